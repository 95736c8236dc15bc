"""Actions and instructions to the wire. Entered through `actions.py`. Any thread.

One encoder per class (`_ENCODE`); what a version has no action for is said by other actions, by
set_field or by loads, as the reference says it.
"""

import struct
from collections.abc import Callable

from schema.openflow.actions import (
    ENCAP_NSH_CLASS, ENCAP_NSH_MD_TYPE, ENCAP_NSH_TLV, LEARN_WRITE_RESULT, NAT_RANGE_IPV4_MAX,
    NAT_RANGE_IPV4_MIN, NAT_RANGE_IPV6_MAX, NAT_RANGE_IPV6_MIN, NAT_RANGE_PORT_MAX,
    NAT_RANGE_PORT_MIN, VENDOR_ACTION,
)
from vswitchd.openflow.action_layout import CODES, HEADER, LEARN, RAW, U16, layout_of, segments
from vswitchd.openflow.action_order import APPLY, instruction_of
from vswitchd.openflow.action_types import (
    Action, Actions, Bundle, CheckPktLarger, ClearActions, Clone, Conjunction, Controller, Ct,
    CtClear, DebugRecirc, DebugSlow, DecMplsTtl, DecNshTtl, DecTtl, Decap, DeleteField, Encap,
    EncapNsh, Enqueue, Exit, FinTimeout, GotoTable, Group, Learn, Meter, Multipath, Nat, Note,
    Output, OutputReg, OutputTrunc, PopMpls, PopQueue, PushMpls, PushVlan, RegMove, Resubmit,
    Sample, SetEthDst, SetEthSrc, SetField, SetIpDscp, SetIpEcn, SetIpTtl, SetIpv4Dst, SetIpv4Src,
    SetL4DstPort, SetL4SrcPort, SetMplsLabel, SetMplsTc, SetMplsTtl, SetQueue, SetTunnel,
    SetVlanPcp, SetVlanVid, StackPop, StackPush, StripVlan, Subfield, UnrollXlate, WriteActions,
    WriteMetadata,
)
from vswitchd.openflow.fields import INFO, IN_PORT, MAX_PORT, NONE, Info
from vswitchd.openflow.match import ICMP, ICMPV6, SCTP, UDP
from vswitchd.openflow.oxm import put_entry, put_header

def encode_actions(actions: Actions, version: int) -> bytes:
    """Encodes an action list; what the version has no action for is expressed otherwise or left
    out (instructions in OpenFlow 1.0), as the reference does."""
    return b"".join([_ENCODE[type(action)](action, version) for action in actions])


def encode_instructions(actions: Actions, version: int) -> bytes:
    """Encodes what a flow carries: instructions, or in OpenFlow 1.0 an action list."""
    if version == 1:
        return encode_actions(actions, version)
    out: list[bytes] = []
    run: list[Action] = []

    def flush() -> None:
        if run:
            body = encode_actions(tuple(run), version)
            out.append(struct.pack("!HH4x", 4, len(body) + 8) + body)
            run.clear()

    for action in actions:
        index = instruction_of(action, version)
        if index == APPLY:
            run.append(action)
            continue
        flush()
        match action:
            case Meter(meter):
                if version >= 4:
                    out.append(struct.pack("!HHI", 6, 8, meter))
            case ClearActions():
                out.append(struct.pack("!HH4x", 5, 8))
            case WriteActions(inner):
                body = encode_actions(inner, version)
                if body:
                    out.append(struct.pack("!HH4x", 3, len(body) + 8) + body)
            case WriteMetadata(metadata, mask):
                out.append(struct.pack("!HH4xQQ", 2, 24, metadata, mask))
            case GotoTable(table):
                out.append(struct.pack("!HHB3x", 1, 8, table))
    flush()
    return b"".join(out)


def _head(name: str, version: int, length: int) -> bytes:
    """Header of a raw action (10 bytes with a vendor, 4 without) for a whole of `length` bytes."""
    vendor, number = CODES[name, version]
    if vendor:
        return struct.pack("!HHIH", VENDOR_ACTION, length, vendor, number)
    return struct.pack("!HH", number, length)


def _put(name: str, version: int, *members) -> bytes:
    """Encodes a raw action of fixed layout."""
    vendor, number = CODES[name, version]
    if vendor:
        layout = layout_of(RAW[name], 10)
        return (struct.pack("!HHIH", VENDOR_ACTION, layout.size, vendor, number)
                + layout.packed.pack(*members))
    layout = layout_of(RAW[name], 4)
    return HEADER.pack(number, layout.size) + layout.packed.pack(*members)


def _put_body(name: str, version: int, body: bytes) -> bytes:
    """Encodes a raw action with a body of any length, padded to 8."""
    head = len(_head(name, version, 0))
    length = head + len(body) + 7 & ~7
    return _head(name, version, length) + body + bytes(length - head - len(body))


def _simple(name: str):
    """Encoder of an action whose members are the layout's, in one raw form."""
    return lambda action, version: _put(name, version, *action)


def _encode_output(action: Output, version: int) -> bytes:
    if version == 1:
        return struct.pack("!HHHH", 0, 8, action.port, action.max_len)
    port, max_len = action
    return struct.pack("!HHIH6x", 0, 16, port if port < MAX_PORT else port + 0xffff0000, max_len)


def _encode_controller(action: Controller, version: int) -> bytes:
    if not action.userdata and not action.pause and not action.meter:
        return _put_body("NXAST_RAW_CONTROLLER", version, struct.pack(
            "!HHBx", action.max_len, action.controller_id, action.reason))
    props = []
    if action.max_len != 0xffff:
        props.append(struct.pack("!HHH2x", 0, 8, action.max_len))
    if action.controller_id:
        props.append(struct.pack("!HHH2x", 1, 8, action.controller_id))
    if action.reason != 1:
        props.append(struct.pack("!HHB3x", 2, 5, action.reason))
    if action.userdata:
        length = 4 + len(action.userdata)
        props.append(struct.pack("!HH", 3, length) + action.userdata + bytes(-length % 8))
    if action.pause:
        props.append(struct.pack("!HH4x", 4, 4))
    if action.meter:
        props.append(struct.pack("!HHI", 5, 8, action.meter))
    return _put_body("NXAST_RAW_CONTROLLER2", version, bytes(6) + b"".join(props))


def _encode_enqueue(action: Enqueue, version: int) -> bytes:
    if version == 1:
        return _put("OFPAT_RAW10_ENQUEUE", version, *action)
    return (_put("OFPAT_RAW_SET_QUEUE", version, action.queue)
            + _encode_output(Output(action.port, 0xffff), version)
            + _put("NXAST_RAW_POP_QUEUE", version))


def _nxm32(info: Info) -> bytes | None:
    """The four-byte NXM header of a field, None if its header is longer."""
    header = put_header(info, 0)
    return header if len(header) == 4 else None


def _bits(subfield: Subfield) -> int:
    return subfield.offset << 6 | subfield.n_bits - 1


def _encode_output_reg(action: OutputReg, version: int) -> bytes:
    info = INFO[action.src.field]
    header = _nxm32(info)
    if header is not None:
        return _put_body("NXAST_RAW_OUTPUT_REG", version, struct.pack(
            "!H4sH6x", _bits(action.src), header, action.max_len))
    return _put_body("NXAST_RAW_OUTPUT_REG2", version, struct.pack(
        "!HH10s", _bits(action.src), action.max_len, put_header(info, 0)))


def _encode_bundle(action: Bundle, version: int) -> bytes:
    dst = action.dst
    header = put_header(INFO[dst.field], 0)[:4] if dst else bytes(4)
    body = struct.pack("!HHHIHH4s4x", action.algorithm, action.fields, action.basis, 2,
                       len(action.members), _bits(dst) if dst else 0, header)
    body += struct.pack(f"!{len(action.members)}H", *action.members)
    name = "NXAST_RAW_BUNDLE_LOAD" if dst else "NXAST_RAW_BUNDLE"
    return _put_body(name, version, body)


def _encode_vlan_vid(action: SetVlanVid, version: int) -> bytes:
    if version == 1:
        return _put("OFPAT_RAW10_SET_VLAN_VID", version, action.vid)
    push = _vlan_push(action, version)
    if version == 2:
        return push + _put("OFPAT_RAW11_SET_VLAN_VID", version, action.vid)
    return push + _put_field(INFO["vlan_vid"], action.vid | 0x1000, version)


def _encode_vlan_pcp(action: SetVlanPcp, version: int) -> bytes:
    if version == 1:
        return _put("OFPAT_RAW10_SET_VLAN_PCP", version, action.pcp)
    push = _vlan_push(action, version)
    if version == 2:
        return push + _put("OFPAT_RAW11_SET_VLAN_PCP", version, action.pcp)
    return push + _put_field(INFO["vlan_pcp"], action.pcp, version)


def _vlan_push(action: SetVlanVid | SetVlanPcp, version: int) -> bytes:
    if action.push and not action.has_vlan:
        return _put("OFPAT_RAW11_PUSH_VLAN", version, 0x8100)
    return b""


def _put_field(info: Info, value: int, version: int, mask: int | None = None) -> bytes:
    """A set_field action (1.2 and later)."""
    name = "OFPAT_RAW15_SET_FIELD" if version >= 6 else "OFPAT_RAW12_SET_FIELD"
    return _put_body(name, version,
                     put_entry(info, version, value, info.full if mask is None else mask))


def _encode_load(action: SetField, version: int) -> bytes:
    out = []
    info = INFO[action.field]
    header = None if info.variable else _nxm32(info)
    if header is None:
        return _put_body("NXAST_RAW_REG_LOAD2", version,
                         put_entry(info, 0, action.value, action.mask))
    for dst, value in segments(action):
        out.append(_put_body("NXAST_RAW_REG_LOAD", version, struct.pack(
            "!H4sQ", _bits(dst), header, value)))
    return b"".join(out)


# Fields that OpenFlow 1.0 and 1.1 set by actions of their own.
_LEGACY: dict[str, Callable[[int, int], Action]] = {
    "eth_src": lambda value, version: SetEthSrc(value),
    "eth_dst": lambda value, version: SetEthDst(value),
    "vlan_vid": lambda value, version: SetVlanVid(value & 0xfff, False, True),
    "vlan_pcp": lambda value, version: SetVlanPcp(value, False, True),
    "dl_vlan_pcp": lambda value, version: SetVlanPcp(value, False, True),
    "dl_vlan": lambda value, version: SetVlanVid(value & 0xfff, False, True),
    "ip_src": lambda value, version: SetIpv4Src(value),
    "ip_dst": lambda value, version: SetIpv4Dst(value),
    "nw_tos": lambda value, version: SetIpDscp(value & 0xfc),
    "ip_dscp": lambda value, version: SetIpDscp(value << 2 & 0xfc),
    **{f"{proto}_{part}": make for proto in ("tcp", "udp") for part, make in (
        ("src", lambda value, version: SetL4SrcPort(value)),
        ("dst", lambda value, version: SetL4DstPort(value)))},
}


def _encode_set_field(action: SetField, version: int) -> bytes:
    info = INFO[action.field]
    if version >= 6:
        return _put_field(info, action.value, version, action.mask)
    if action.load:
        return _encode_load(action, version)
    if version >= 3:
        if action.mask == info.full:
            return _put_field(info, action.value, version)
        return _encode_load(action, version)
    if info.name == "vlan_tci":
        return _encode_set_tci(action, version)
    if info.name == "nw_ecn" and version == 2:
        return _put("OFPAT_RAW11_SET_NW_ECN", version, action.value & 3)
    legacy = _LEGACY.get(info.name)
    if legacy is not None:
        new = legacy(action.value, version)
        return _ENCODE[type(new)](new, version)
    return _encode_load(action, version)


def _encode_set_tci(action: SetField, version: int) -> bytes:
    """vlan_tci in 1.0 and 1.1: a tag is stripped, or its parts are set (the mask is lost)."""
    value = action.value
    if not value & 0x1000:
        return _encode_strip_vlan(StripVlan(), version)
    return (_encode_vlan_vid(SetVlanVid(value & 0xfff, True, action.has_vlan), version)
            + _encode_vlan_pcp(SetVlanPcp(value >> 13, True, True), version))


def _encode_strip_vlan(action: StripVlan, version: int) -> bytes:
    return _put("OFPAT_RAW10_STRIP_VLAN" if version == 1 else "OFPAT_RAW11_POP_VLAN", version)


def _setter(name: str, field: str, convert: Callable[[int], int] | None = None,
            last: int = 2, first: int = 1):
    """A header rewrite: `name` in versions first to last, set_field after, load before."""
    def encode(action: Action, version: int) -> bytes:
        if first <= version <= last:
            return _put(name, version, action[0])
        value = convert(action[0]) if convert else action[0]
        info = INFO[field]
        if version >= 3:
            return _put_field(info, value, version)
        return _encode_load(SetField(field, value, info.full, True), version)
    return encode


def _mac_setter(name: str, field: str):
    def encode(action: Action, version: int) -> bytes:
        if version <= 2:
            return _put(name, version, action[0].to_bytes(6, "big"))
        return _put_field(INFO[field], action[0], version)
    return encode


def _l4_setter(name: str, part: str):
    def encode(action: SetL4SrcPort | SetL4DstPort, version: int) -> bytes:
        port, proto = action
        if version <= 2 or not proto:
            return _put(name, version, port)
        if proto in (ICMP, ICMPV6):
            family = "icmp" if proto == ICMP else "icmpv6"
            return _put_field(INFO[f"{family}_{'type' if part == 'src' else 'code'}"],
                              port & 0xff, version)
        family = {UDP: "udp", SCTP: "sctp"}.get(proto, "tcp")
        return _put_field(INFO[f"{family}_{part}"], port, version)
    return encode


def _encode_mpls_ttl(action: SetMplsTtl, version: int) -> bytes:
    return _put("OFPAT_RAW_SET_MPLS_TTL", version, action.ttl)


def _encode_tunnel(action: SetTunnel, version: int) -> bytes:
    if version >= 3:
        return _put_field(INFO["tun_id"], action.tun_id, version)
    wide = action.wide or action.tun_id > 0xffffffff
    return _put("NXAST_RAW_SET_TUNNEL64" if wide else "NXAST_RAW_SET_TUNNEL", version,
                action.tun_id)


def _encode_move(action: RegMove, version: int) -> bytes:
    src, dst = action
    if version >= 6:
        return _put_body("OFPAT_RAW15_COPY_FIELD", version, struct.pack(
            "!HHH2x", src.n_bits, src.offset, dst.offset)
            + put_header(INFO[src.field], version) + put_header(INFO[dst.field], version))
    return _put_body("NXAST_RAW_REG_MOVE", version, struct.pack(
        "!HHH", src.n_bits, src.offset, dst.offset)
        + put_header(INFO[src.field], 0) + put_header(INFO[dst.field], 0))


def _encode_stack(name: str):
    def encode(action: StackPush | StackPop, version: int) -> bytes:
        subfield = action.subfield
        body = (U16.pack(subfield.offset) + put_header(INFO[subfield.field], 0)
                + U16.pack(subfield.n_bits))
        return _put_body(name, version, body.ljust(14, b"\0"))
    return encode


def _encode_dec_ttl(action: DecTtl, version: int) -> bytes:
    if action.ids is None:
        return _put("OFPAT_RAW_DEC_NW_TTL", version)
    count = len(action.ids)
    return _put_body("NXAST_RAW_DEC_TTL_CNT_IDS", version,
                     struct.pack(f"!H4x{count}H", count, *action.ids))


def _encode_resubmit(action: Resubmit, version: int) -> bytes:
    name = "NXAST_RAW_RESUBMIT_TABLE_CT" if action.ct else "NXAST_RAW_RESUBMIT_TABLE"
    return _put(name, version, action.in_port, action.table)


def _encode_learn(action: Learn, version: int) -> bytes:
    extended = bool(action.limit or action.flags & LEARN_WRITE_RESULT)
    body = LEARN.pack(action.idle_timeout, action.hard_timeout, action.priority, action.cookie,
                       action.flags, action.table, 0, action.fin_idle_timeout,
                       action.fin_hard_timeout)
    if extended:
        dst = action.result_dst
        body += struct.pack("!IHH", action.limit, dst.offset if dst else 0, 0)
        if dst is not None:
            body += put_header(INFO[dst.field], 0)
    out = [body]
    for n_bits, src, value, kind, dst in action.specs:
        out.append(U16.pack((src is None) << 13 | kind << 11 | n_bits))
        if src is None:
            out.append(value.to_bytes((n_bits + 15) // 16 * 2, "big"))
        else:
            out.append(put_header(INFO[src.field], 0) + U16.pack(src.offset))
        if dst is not None:
            out.append(put_header(INFO[dst.field], 0) + U16.pack(dst.offset))
    return _put_body("NXAST_RAW_LEARN2" if extended else "NXAST_RAW_LEARN", version,
                     b"".join(out))


def _encode_multipath(action: Multipath, version: int) -> bytes:
    dst = action.dst
    return _put_body("NXAST_RAW_MULTIPATH", version, struct.pack(
        "!HHHHHIHH4s", action.fields, action.basis, 0, action.algorithm, action.max_link,
        action.arg, 0, _bits(dst), put_header(INFO[dst.field], 0)[:4]))


def _encode_sample(action: Sample, version: int) -> bytes:
    (probability, collector, domain, point, port, direction, domain_src, point_src) = action
    if domain_src is not None or point_src is not None:
        body = struct.pack("!HI", probability, collector)
        for value, src in ((domain, domain_src), (point, point_src)):
            body += (_nx_source(src) if src is not None else struct.pack("!4xI", value))
        return _put_body("NXAST_RAW_SAMPLE4", version,
                         body + struct.pack("!HB5x", port, direction))
    if direction or port != NONE:
        name = "NXAST_RAW_SAMPLE3" if direction else "NXAST_RAW_SAMPLE2"
        return _put_body(name, version, struct.pack(
            "!HIIIHB5x", probability, collector, domain, point, port, direction))
    return _put("NXAST_RAW_SAMPLE", version, probability, collector, domain, point)


def _nx_source(src: Subfield) -> bytes:
    return struct.pack("!4sH2x", put_header(INFO[src.field], 0)[:4], _bits(src))


def _encode_ct(action: Ct, version: int) -> bytes:
    src = action.zone_src
    zone = _bits(src) if src else action.zone
    header = put_header(INFO[src.field], 0)[:4] if src else bytes(4)
    body = struct.pack("!H4sHB3xH", action.flags, header, zone, action.table, action.alg)
    return _put_body("NXAST_RAW_CT", version, body + encode_actions(action.actions, version))


def _encode_nat(action: Nat, version: int) -> bytes:
    flags, family, ip_min, ip_max, port_min, port_max = action
    ranges, values = 0, []
    if family and ip_min:
        size = 4 if family == 4 else 16
        ranges |= NAT_RANGE_IPV4_MIN if family == 4 else NAT_RANGE_IPV6_MIN
        values.append(ip_min.to_bytes(size, "big"))
        if ip_max:
            ranges |= NAT_RANGE_IPV4_MAX if family == 4 else NAT_RANGE_IPV6_MAX
            values.append(ip_max.to_bytes(size, "big"))
        if port_min:
            ranges |= NAT_RANGE_PORT_MIN
            values.append(U16.pack(port_min))
            if port_max:
                ranges |= NAT_RANGE_PORT_MAX
                values.append(U16.pack(port_max))
    return _put_body("NXAST_RAW_NAT", version,
                     struct.pack("!2xHH", flags, ranges) + b"".join(values))


def _encode_clone(action: Clone, version: int) -> bytes:
    return _put_body("NXAST_RAW_CLONE", version,
                     bytes(6) + encode_actions(action.actions, version))


def _encode_encap(action: Encap, version: int) -> bytes:
    out = [struct.pack("!HI", action.hdr_size, action.packet_type)]
    for prop in action.props:
        if type(prop) is EncapNsh:
            out.append(struct.pack("!HBBB3x", ENCAP_NSH_CLASS, ENCAP_NSH_MD_TYPE, 5, prop.md_type))
        else:
            size = len(prop.data)
            out.append(struct.pack("!HBBHBB", ENCAP_NSH_CLASS, ENCAP_NSH_TLV, 8 + size + 7 & ~7,
                                   prop.tlv_class, prop.type, size)
                       + prop.data + bytes(-size % 8))
    return _put_body("NXAST_RAW_ENCAP", max(version, 4), b"".join(out))


def _encode_check_pkt_larger(action: CheckPktLarger, version: int) -> bytes:
    body = struct.pack("!HH", action.size, action.dst.offset)
    return _put_body("NXAST_RAW_CHECK_PKT_LARGER", version,
                     (body + put_header(INFO[action.dst.field], 0)).ljust(14, b"\0"))


def _encode_delete_field(action: DeleteField, version: int) -> bytes:
    return _put_body("NXAST_RAW_DELETE_FIELD", version,
                     put_header(INFO[action.field], 0).ljust(14, b"\0"))


def _encode_note(action: Note, version: int) -> bytes:
    return _put_body("NXAST_RAW_NOTE", version, action.data.ljust(6, b"\0"))


def _encode_write_metadata(action: WriteMetadata, version: int) -> bytes:
    if version == 1:
        return _put("NXAST_RAW_WRITE_METADATA", version, action.metadata, action.mask)
    return b""


def _encode_goto(action: GotoTable, version: int) -> bytes:
    return _encode_resubmit(Resubmit(IN_PORT, action.table), version) if version == 1 else b""


def _encode_meter(action: Meter, version: int) -> bytes:
    return _put("OFPAT_RAW15_METER", version, action.meter) if version >= 6 else b""


def _nothing(action: Action, version: int) -> bytes:
    return b""


def _from_13(name: str):
    """Actions that exist since 1.3: earlier ones are told the subtype all the same."""
    def encode(action: Action, version: int) -> bytes:
        return _put(name, max(version, 4), *action)
    return encode


def _encode_push_vlan(action: PushVlan, version: int) -> bytes:
    return _put("OFPAT_RAW11_PUSH_VLAN", version, action.eth_type) if version >= 2 else b""


_ENCODE: dict[type, Callable[[Action, int], bytes]] = {
    Output: _encode_output, Controller: _encode_controller, Enqueue: _encode_enqueue,
    OutputReg: _encode_output_reg, OutputTrunc: _simple("NXAST_RAW_OUTPUT_TRUNC"),
    Group: _simple("OFPAT_RAW_GROUP"), Bundle: _encode_bundle, SetField: _encode_set_field,
    SetVlanVid: _encode_vlan_vid, SetVlanPcp: _encode_vlan_pcp, StripVlan: _encode_strip_vlan,
    PushVlan: _encode_push_vlan,
    SetEthSrc: _mac_setter("OFPAT_RAW_SET_DL_SRC", "eth_src"),
    SetEthDst: _mac_setter("OFPAT_RAW_SET_DL_DST", "eth_dst"),
    SetIpv4Src: _setter("OFPAT_RAW_SET_NW_SRC", "ip_src"),
    SetIpv4Dst: _setter("OFPAT_RAW_SET_NW_DST", "ip_dst"),
    SetIpDscp: _setter("OFPAT_RAW_SET_NW_TOS", "ip_dscp", lambda tos: tos >> 2),
    SetIpEcn: _setter("OFPAT_RAW11_SET_NW_ECN", "nw_ecn", first=2),
    SetIpTtl: _setter("OFPAT_RAW11_SET_NW_TTL", "nw_ttl", first=2, last=6),
    SetL4SrcPort: _l4_setter("OFPAT_RAW_SET_TP_SRC", "src"),
    SetL4DstPort: _l4_setter("OFPAT_RAW_SET_TP_DST", "dst"),
    RegMove: _encode_move, StackPush: _encode_stack("NXAST_RAW_STACK_PUSH"),
    StackPop: _encode_stack("NXAST_RAW_STACK_POP"), DecTtl: _encode_dec_ttl,
    SetMplsLabel: _setter("OFPAT_RAW_SET_MPLS_LABEL", "mpls_label"),
    SetMplsTc: _setter("OFPAT_RAW_SET_MPLS_TC", "mpls_tc"), SetMplsTtl: _encode_mpls_ttl,
    DecMplsTtl: _simple("OFPAT_RAW_DEC_MPLS_TTL"), PushMpls: _simple("OFPAT_RAW_PUSH_MPLS"),
    PopMpls: _simple("OFPAT_RAW_POP_MPLS"), DecNshTtl: _from_13("NXAST_RAW_DEC_NSH_TTL"),
    DeleteField: _encode_delete_field, SetTunnel: _encode_tunnel,
    SetQueue: _simple("OFPAT_RAW_SET_QUEUE"), PopQueue: _simple("NXAST_RAW_POP_QUEUE"),
    FinTimeout: _simple("NXAST_RAW_FIN_TIMEOUT"), Resubmit: _encode_resubmit,
    Learn: _encode_learn, Multipath: _encode_multipath, Note: _encode_note,
    Conjunction: lambda action, version: _put("NXAST_RAW_CONJUNCTION", version, action.clause,
                                              action.n_clauses, action.id),
    Exit: _simple("NXAST_RAW_EXIT"), UnrollXlate: _nothing, Sample: _encode_sample, Ct: _encode_ct,
    Nat: _encode_nat, CtClear: _simple("NXAST_RAW_CT_CLEAR"), Clone: _encode_clone,
    Encap: _encode_encap, Decap: _from_13("NXAST_RAW_DECAP"),
    CheckPktLarger: _encode_check_pkt_larger, DebugRecirc: _simple("NXAST_RAW_DEBUG_RECIRC"),
    DebugSlow: _simple("NXAST_RAW_DEBUG_SLOW"), Meter: _encode_meter, ClearActions: _nothing,
    WriteActions: _nothing, WriteMetadata: _encode_write_metadata, GotoTable: _encode_goto,
}
