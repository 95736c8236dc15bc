"""Actions and instructions from the wire. Offered by `actions.py`. Any thread.

Fixed layouts come from schema/openflow/actions.py (`_fixed_decoder`, with a maker per raw action
that checks its members); raw actions without a layout have a decoder each (`_SPECIAL`).
"""

import struct
from collections.abc import Callable
from functools import lru_cache

from schema.openflow.actions import (
    BUNDLE_ALGORITHMS, CT_COMMIT, CT_FORCE, ENCAP_NSH_CLASS, ENCAP_NSH_MD_TYPE, ENCAP_NSH_TLV,
    HASH_FIELDS, INSTRUCTIONS, INSTRUCTION_EXPERIMENTER, LEARN_WRITE_RESULT, MULTIPATH_ALGORITHMS,
    NAT_DST, NAT_HASH, NAT_RANDOM, NAT_RANGE_IPV4_MAX, NAT_RANGE_IPV4_MIN, NAT_RANGE_IPV6_MAX,
    NAT_RANGE_IPV6_MIN, NAT_RANGE_PORT_MAX, NAT_RANGE_PORT_MIN, NAT_SRC, PACKET_TYPE_ETH,
    PACKET_TYPE_MPLS, PACKET_TYPE_MPLS_MC, PACKET_TYPE_NSH, RAWS, VENDORS, VENDOR_ACTION, Raw,
)
from schema.openflow.limits import PORT_CONTROLLER
from vswitchd.openflow import action_types
from vswitchd.openflow.action_layout import (
    HEADER, LEARN, NX, ONF, U16, U32, U64, Layout, layout_of, load, points_of,
)
from vswitchd.openflow.action_order import MODULE, bad, subfield_problem, verify
from vswitchd.openflow.action_types import (
    Action, Actions, Bundle, CheckPktLarger, ClearActions, Clone, Conjunction, Controller, Ct,
    CtClear, DebugRecirc, DebugSlow, DecMplsTtl, DecNshTtl, DecTtl, Decap, DeleteField, Encap,
    EncapNsh, EncapTlv, Enqueue, GotoTable, Group, Learn, LearnSpec, Meter, Multipath, Nat, Note,
    Output, OutputReg, OutputTrunc, PopMpls, PushMpls, PushVlan, RegMove, Resubmit, Sample,
    SetEthDst, SetEthSrc, SetField, SetIpDscp, SetIpEcn, SetIpTtl, SetIpv4Dst, SetIpv4Src,
    SetL4DstPort, SetL4SrcPort, SetMplsLabel, SetMplsTc, SetMplsTtl, SetQueue, SetTunnel,
    SetVlanPcp, SetVlanVid, StackPop, StackPush, StripVlan, Subfield, WriteActions, WriteMetadata,
)
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import IN_PORT, LOCAL, MAX_PORT, NONE, Info
from vswitchd.openflow.match import port_from_11, value_is_valid
from vswitchd.openflow.oxm import pull_entry, pull_header
from vswitchd.openflow.value_text import format_value

MIN_TRUNC = 14                                   # bytes that output(max_len=) must leave
_DEBUG = (254, 255)                              # subtypes of debug_slow and debug_recirc
_has_debug = False                               # this process knows them everywhere


def allow_debug_actions() -> None:
    """Lets every decoder of this process know debug_slow and debug_recirc (--enable-dummy)."""
    global _has_debug
    _has_debug = True


_VERSIONS = {1: "OpenFlow10", 2: "OpenFlow11", 3: "OpenFlow12", 4: "OpenFlow13",
             5: "OpenFlow14", 6: "OpenFlow15"}


class _Form:
    """A raw action in one version: how long it may be, how to decode it."""

    __slots__ = ("name", "least", "most", "decode")

    def __init__(self, raw: Raw, least: int, most: int, decode) -> None:
        kind, _, rest = raw.name.partition("_RAW")
        self.name = f"{kind}_{rest.partition('_')[2]}"
        self.least, self.most, self.decode = least, most, decode


def decode_actions(data: bytes, version: int, start: int = 0, end: int | None = None, *,
                   debug: bool = False) -> Actions:
    """Decodes a list of actions, which are not instructions, and verifies it.

    debug: debug_recirc and debug_slow exist (as in a daemon with --enable-dummy).
    """
    actions = _decode_whole(data, version, start, len(data) if end is None else end, debug)
    verify(actions, instructions=False, version=version)
    return actions


def _decode_whole(data: bytes, version: int, start: int, end: int, debug: bool) -> Actions:
    if (end - start) % 8 or end > len(data) or end < start:
        raise bad("OFPBRC_BAD_LEN", f"OpenFlow message actions length {end - start} is not a "
                  "multiple of 8")
    return _decode_list(data, version, start, end, debug)


def _decode_list(data: bytes, version: int, start: int, end: int, debug: bool) -> Actions:
    forms = _FORMS[version]
    actions = []
    at = start
    try:
        while at < end:
            if end - at < 8:
                raise bad("OFPBAC_BAD_LEN")
            kind, length = HEADER.unpack_from(data, at)
            if kind == VENDOR_ACTION:
                form, number, vendor = _vendor_form(forms, data, at, end)
            else:
                form, number, vendor = forms.get(kind), kind, 0
            if form is None:
                text = (f"unknown {_VERSIONS[version]} action for vendor {_alternate(vendor)} "
                        f"and type {number}")
                raise bad("OFPBAC_BAD_VENDOR_TYPE" if vendor else "OFPBAC_BAD_TYPE", text)
            if length > end - at:
                raise bad("OFPBAC_BAD_LEN", f"OpenFlow action {form.name} length {length} "
                          f"exceeds action buffer length {end - at}")
            if length < form.least or length > form.most:
                raise bad("OFPBAC_BAD_LEN", f"OpenFlow action {form.name} length {length} "
                          f"not in valid range [{form.least},{form.most}]")
            if length % 8:
                raise bad("OFPBAC_BAD_LEN", f"OpenFlow action {form.name} length {length} "
                          "is not a multiple of 8")
            if vendor and number in _DEBUG and not (debug or _has_debug):
                raise bad("OFPBAC_BAD_VENDOR_TYPE")
            actions.append(form.decode(data, at, at + length, version, debug))
            at += length
    except OpenFlowError as error:
        dump = hex_dump(data[start:end], 0)
        text = f"bad action at offset {at - start} ({error.name}):\n{dump}"
        raise OpenFlowError(error.name, error.reason, error.module, at,
                            (*error.log, (MODULE, text.rstrip("\n")))) from None
    return tuple(actions)


def _alternate(number: int) -> str:
    """A number as C's %#x prints it: 0 has no prefix."""
    return f"{number:#x}" if number else "0"


def hex_dump(data: bytes, offset: int) -> str:
    """A dump as the reference's logs show it: 16 bytes a line, without the text column."""
    lines = []
    for at in range(0, len(data), 16):
        line = data[at:at + 16]
        first = " ".join(f"{byte:02x}" for byte in line[:8])
        second = " ".join(f"{byte:02x}" for byte in line[8:])
        lines.append(f"{offset + at:08x}  {first}" + (f"-{second}" if len(line) >= 8 else ""))
    return "\n".join(lines)


def _vendor_form(forms: dict, data: bytes, at: int, end: int):
    vendor = U32.unpack_from(data, at + 4)[0]
    if vendor not in (NX, ONF):
        raise bad("OFPBAC_BAD_VENDOR", f"OpenFlow action has unknown vendor "
                  f"{hex(vendor) if vendor else 0}")
    if end - at < 16:
        raise bad("OFPBAC_BAD_LEN", f"OpenFlow message bad vendor action length {end - at}")
    number = U16.unpack_from(data, at + 8)[0]
    return forms.get((vendor, number)), number, vendor


def _check_out_port(port: int) -> int:
    """An output port must be a real one or one of the reserved ones that one can output to."""
    if port < MAX_PORT or IN_PORT <= port <= LOCAL:
        return port
    raise bad("OFPBAC_BAD_OUT_PORT")


def _port11(port: int) -> int:
    port10 = port_from_11(port)
    if port10 is None:
        raise bad("OFPBAC_BAD_OUT_PORT", f"port {port} is outside the supported range 0 through "
                  "65279 or 0xffffff00 through 0xffffffff", "ofp_port")
    return port10


def _limited(cls: type, index: int, allowed: int, **extra):
    """Makes `cls` of its members if the member at `index` has no bit outside `allowed`."""
    def make(*members):
        if members[index] & ~allowed:
            raise bad("OFPBAC_BAD_ARGUMENT")
        return cls(*members, **extra)
    return make


def _make_enqueue(port: int, queue: int) -> Enqueue:
    if port >= MAX_PORT and port not in (IN_PORT, LOCAL):
        raise bad("OFPBAC_BAD_OUT_PORT")
    return Enqueue(port, queue)


def _one_of(cls: type, *allowed: int):
    def make(value: int):
        if value not in allowed:
            raise bad("OFPBAC_BAD_ARGUMENT")
        return cls(value)
    return make


def _make_sample(probability: int, collector: int, domain: int, point: int, port: int = NONE,
                 direction: int = 0, domain_src=None, point_src=None) -> Sample:
    if not probability:
        raise bad("OFPBAC_BAD_ARGUMENT")
    return Sample(probability, collector, domain, point, port, direction, domain_src, point_src)


def _make_conjunction(clause: int, n_clauses: int, conj_id: int) -> Conjunction:
    if not 2 <= n_clauses <= 64 or clause >= n_clauses:
        raise bad("NXBAC_BAD_CONJUNCTION")
    return Conjunction(conj_id, clause, n_clauses)


def _make_trunc(port: int, max_len: int) -> OutputTrunc:
    if max_len < MIN_TRUNC:
        raise bad("OFPBAC_BAD_ARGUMENT")
    return OutputTrunc(port, max_len)


_MAKE: dict[str, Callable[..., Action]] = {
    "OFPAT_RAW10_OUTPUT": lambda port, max_len: Output(_check_out_port(port), max_len),
    "OFPAT_RAW11_OUTPUT": lambda port, max_len: Output(_check_out_port(_port11(port)), max_len),
    "OFPAT_RAW10_SET_VLAN_VID": _limited(SetVlanVid, 0, 0xfff),
    "OFPAT_RAW10_SET_VLAN_PCP": _limited(SetVlanPcp, 0, 7),
    "OFPAT_RAW11_SET_VLAN_VID": _limited(SetVlanVid, 0, 0xfff, push=False),
    "OFPAT_RAW11_SET_VLAN_PCP": _limited(SetVlanPcp, 0, 7, push=False),
    "OFPAT_RAW11_PUSH_VLAN": _one_of(PushVlan, 0x8100, 0x88a8),
    "OFPAT_RAW11_POP_VLAN": lambda: StripVlan(True),
    "OFPAT_RAW_SET_DL_SRC": lambda mac: SetEthSrc(int.from_bytes(mac, "big")),
    "OFPAT_RAW_SET_DL_DST": lambda mac: SetEthDst(int.from_bytes(mac, "big")),
    "OFPAT_RAW_SET_NW_TOS": _limited(SetIpDscp, 0, 0xfc),
    "OFPAT_RAW11_SET_NW_ECN": _limited(SetIpEcn, 0, 3),
    "OFPAT_RAW10_ENQUEUE": _make_enqueue,
    "OFPAT_RAW_SET_MPLS_LABEL": _limited(SetMplsLabel, 0, 0xfffff),
    "OFPAT_RAW_SET_MPLS_TC": _limited(SetMplsTc, 0, 7),
    "OFPAT_RAW_PUSH_MPLS": _one_of(PushMpls, 0x8847, 0x8848),
    "NXAST_RAW_RESUBMIT": lambda in_port: Resubmit(in_port),
    "NXAST_RAW_RESUBMIT_TABLE_CT": lambda in_port, table: Resubmit(in_port, table, True),
    "NXAST_RAW_SET_TUNNEL64": lambda tun_id: SetTunnel(tun_id, True),
    "NXAST_RAW_SAMPLE": _make_sample,
    "NXAST_RAW_CONJUNCTION": _make_conjunction,
    "NXAST_RAW_OUTPUT_TRUNC": _make_trunc,
}


def _ofs_nbits(value: int) -> tuple[int, int]:
    return value >> 6, (value & 0x3f) + 1


def _subfield(info: Info | None, offset: int, n_bits: int, role: str) -> Subfield:
    """A checked subfield; role is 'source' or 'destination'."""
    info = _known_field(info)
    problem = subfield_problem(info, offset, n_bits, role)
    if problem:
        raise bad(problem[0], problem[1], "meta_flow")
    return Subfield(info.name, offset, n_bits)


def _known_field(info: Info | None) -> Info:
    if info is None:
        raise bad("OFPBAC_BAD_SET_TYPE")
    return info


def _field32(data: bytes, at: int) -> Info | None:
    """The field of a four-byte NXM header, None if unknown."""
    return pull_header(data, at, at + 4)[0] if data[at:at + 2] != b"\xff\xff" else None


def _pull_field(data: bytes, at: int, end: int) -> tuple[Info, int]:
    info, _, _, masked, next_at = pull_header(data, at, end)
    if info is None:
        raise bad("OFPBMC_BAD_FIELD")
    if masked:
        raise bad("OFPBMC_BAD_MASK")
    return info, next_at


def _require_zero(data: bytes, at: int, end: int, error: str = "NXBRC_MUST_BE_ZERO") -> None:
    if any(data[at:end]):
        raise bad(error)


def _decode_set_field(data: bytes, at: int, end: int, version: int, debug: bool) -> SetField:
    masks = version >= 6
    try:
        info, value, mask, next_at = pull_entry(data, at + 4, end, masks, action=True)
    except OpenFlowError as error:
        if error.name == "OFPBMC_BAD_MASK":
            raise bad("OFPBAC_BAD_SET_MASK") from None
        raise
    _require_zero(data, next_at, end, "OFPBAC_BAD_SET_ARGUMENT")
    if info.name == "in_port_oxm":
        raise bad("OFPBAC_BAD_SET_ARGUMENT")
    if not info.writable:
        raise bad("OFPBAC_BAD_SET_ARGUMENT", f"destination field {info.name} is not writable")
    if not value_is_valid(info, value) or info.name == "vlan_vid" and not value & mask & 0x1000:
        raise bad("OFPBAC_BAD_SET_ARGUMENT",
                  f"Invalid value for set field {info.name}: {format_value(info, value)}")
    return SetField(info.name, value & mask, mask)


def _decode_reg_load(data: bytes, at: int, end: int, version: int, debug: bool) -> SetField:
    ofs_nbits, = U16.unpack_from(data, at + 10)
    value, = U64.unpack_from(data, at + 16)
    offset, n_bits = _ofs_nbits(ofs_nbits)
    info = _field32(data, at + 12)
    dst = _subfield(info, offset, n_bits, "destination")
    if n_bits < 64 and value >> n_bits:
        raise bad("OFPBAC_BAD_ARGUMENT")
    return load(dst, value)


def _decode_reg_load2(data: bytes, at: int, end: int, version: int, debug: bool) -> SetField:
    info, value, mask, next_at = pull_entry(data, at + 10, end, True, action=True)
    _require_zero(data, next_at, end, "OFPBAC_BAD_SET_ARGUMENT")
    if not info.writable:
        raise bad("OFPBAC_BAD_SET_ARGUMENT", f"destination field {info.name} is not writable")
    if mask != info.full and not info.maskable and mask:
        raise bad("OFPBMC_BAD_MASK")
    return SetField(info.name, value & mask, mask)


def _decode_move(where: int, sizes: int):
    """Copy-field and reg_move: n_bits, offsets at `where`, OXM headers at `sizes`."""
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> RegMove:
        n_bits, src_ofs, dst_ofs = struct.unpack_from("!HHH", data, at + where)
        src, next_at = _pull_field(data, at + sizes, end)
        dst, next_at = _pull_field(data, next_at, end)
        _require_zero(data, next_at, end)
        return RegMove(_subfield(src, src_ofs, n_bits, "source"),
                       _subfield(dst, dst_ofs, n_bits, "destination"))
    return decode


def _decode_dec_ttl_ids(data: bytes, at: int, end: int, version: int, debug: bool) -> DecTtl:
    count, = U16.unpack_from(data, at + 10)
    _require_zero(data, at + 12, at + 16)
    room = end - at - 16
    if room < count * 2:
        raise bad("OFPBAC_BAD_LEN", f"Nicira action dec_ttl_cnt_ids only has {room} bytes "
                  f"allocated for controller ids.  {count * 2} bytes are required for {count} "
                  "controllers.")
    return DecTtl(struct.unpack_from(f"!{count}H", data, at + 16))


def _decode_output_reg(data: bytes, at: int, end: int, version: int, debug: bool) -> OutputReg:
    ofs_nbits, = U16.unpack_from(data, at + 10)
    max_len, = U16.unpack_from(data, at + 16)
    _require_zero(data, at + 18, at + 24, "OFPBAC_BAD_ARGUMENT")
    src = _subfield(_field32(data, at + 12), *_ofs_nbits(ofs_nbits), "source")
    return OutputReg(src, max_len)


def _decode_output_reg2(data: bytes, at: int, end: int, version: int, debug: bool) -> OutputReg:
    ofs_nbits, max_len = struct.unpack_from("!HH", data, at + 10)
    info, next_at = _pull_field(data, at + 14, end)
    _require_zero(data, next_at, end)
    return OutputReg(_subfield(info, *_ofs_nbits(ofs_nbits), "source"), max_len)


def _decode_note(data: bytes, at: int, end: int, version: int, debug: bool) -> Note:
    return Note(bytes(data[at + 10:end]))


def _decode_multipath(data: bytes, at: int, end: int, version: int, debug: bool) -> Multipath:
    (fields, basis, _, algorithm, max_link, arg, _,
     ofs_nbits) = struct.unpack_from("!HHHHHIHH", data, at + 10)
    offset, n_bits = _ofs_nbits(ofs_nbits)
    info = _known_field(_field32(data, at + 28))
    if fields >= len(HASH_FIELDS):
        raise bad("OFPBAC_BAD_ARGUMENT", f"unsupported fields {fields}", "multipath")
    if algorithm >= len(MULTIPATH_ALGORITHMS):
        raise bad("OFPBAC_BAD_ARGUMENT", f"unsupported algorithm {algorithm}", "multipath")
    if n_bits < 16 and max_link + 1 > 1 << n_bits:
        raise bad("OFPBAC_BAD_ARGUMENT",
                  f"{n_bits}-bit destination field allows specifying values 0 through "
                  f"{(1 << n_bits) - 1} but {max_link + 1} links need more", "multipath")
    dst = _subfield(info, offset, n_bits, "destination")
    return Multipath(fields, basis, algorithm, max_link, arg, dst)


def _decode_bundle(with_load: bool):
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Bundle:
        (algorithm, fields, basis, _, count,
         ofs_nbits) = struct.unpack_from("!HHHIHH", data, at + 10)
        problems = []
        member_type, = U32.unpack_from(data, at + 16)
        if fields >= len(HASH_FIELDS):
            problems.append(f"unsupported fields {fields}")
        if member_type != 2:
            problems.append(f"unsupported member type {member_type}")
        if algorithm >= len(BUNDLE_ALGORITHMS):
            problems.append(f"unsupported algorithm {algorithm}")
        if any(data[at + 28:at + 32]):
            problems.append("reserved field is nonzero")
        if with_load:
            info, (offset, n_bits) = _known_field(_field32(data, at + 24)), _ofs_nbits(ofs_nbits)
            if n_bits < 16:
                problems.append("bundle_load action requires at least 16 bit destination.")
        elif ofs_nbits or any(data[at + 24:at + 28]):
            problems.append("bundle action has nonzero reserved fields")
        room = end - at - 32
        is_short = room < count * 2
        if is_short:
            problems.append(f"Nicira action bundle{'_load' if with_load else ''} only has {room} "
                            f"bytes allocated for members.  {count * 2} bytes are required for "
                            f"{count} members.")
        if problems:
            raise OpenFlowError("OFPBAC_BAD_LEN" if is_short else "OFPBAC_BAD_ARGUMENT",
                                problems[-1], MODULE,
                                log=tuple((MODULE, text) for text in problems))
        dst = _subfield(info, offset, n_bits, "destination") if with_load else None
        members = struct.unpack_from(f"!{count}H", data, at + 32)
        for port in members:
            if port != NONE:
                _check_out_port(port)
            if port == PORT_CONTROLLER:
                raise bad("OFPBAC_BAD_OUT_PORT", "unsupported controller member", "bundle")
        return Bundle(fields, basis, algorithm, members, dst)
    return decode


def _decode_controller(data: bytes, at: int, end: int, version: int, debug: bool) -> Controller:
    max_len, controller, reason = struct.unpack_from("!HHB", data, at + 10)
    return Controller(max_len, controller, reason)


def _decode_controller2(data: bytes, at: int, end: int, version: int, debug: bool) -> Controller:
    _require_zero(data, at + 10, at + 16)
    members = {}
    at += 16
    while at < end:
        if end - at < 4:
            raise bad("OFPBPC_BAD_LEN", "", "ofp_prop")
        kind, length = HEADER.unpack_from(data, at)
        if length < 4 or at + length > end:
            raise bad("OFPBPC_BAD_LEN", "", "ofp_prop")
        body = data[at + 4:at + length]
        form = _CONTROLLER_PROPS.get(kind)
        if kind == 0xffff:
            _refuse_experimenter(body)
        if form is None:
            raise bad("OFPBPC_BAD_TYPE", f"unknown NXAST_RAW_CONTROLLER2 property type {kind}",
                      "ofp_prop")
        name, size = form
        if size is None:
            members[name] = bytes(body)
        elif len(body) < size or size == 4 and len(body) != size:
            raise bad("OFPBPC_BAD_LEN", "", "ofp_prop")
        else:
            # Padding may be counted by the length of short numbers.
            members[name] = True if name == "pause" else int.from_bytes(body[:size], "big")
        at += length + 7 & ~7
        if at > end:
            raise bad("OFPBPC_BAD_LEN", "", "ofp_prop")
    return Controller(**members)


def _refuse_experimenter(body: bytes) -> None:
    """Raises the error for a property of somebody who is not known here."""
    if len(body) < 8:
        raise bad("OFPBPC_BAD_LEN", "", "ofp_prop")
    experimenter, kind = struct.unpack_from("!II", body)
    if not experimenter:
        raise bad("OFPBPC_BAD_EXPERIMENTER", "", "ofp_prop")
    raise bad("OFPBPC_BAD_EXP_TYPE", "unknown NXAST_RAW_CONTROLLER2 property type for exp_id "
              f"0x{experimenter:x}, exp_type {kind}", "ofp_prop")


_CONTROLLER_PROPS: dict[int, tuple[str, int | None]] = {
    0: ("max_len", 2), 1: ("controller_id", 2), 2: ("reason", 1), 3: ("userdata", None),
    4: ("pause", 0), 5: ("meter", 4)}


def _decode_stack(cls: type, role: str):
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Action:
        offset, = U16.unpack_from(data, at + 10)
        info, next_at = _pull_field(data, at + 12, end - 2)
        n_bits, = U16.unpack_from(data, next_at)
        _require_zero(data, next_at + 2, end)
        return cls(_subfield(info, offset, n_bits, role))
    return decode


def _decode_sample2(direction: bool):
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Sample:
        (probability, collector, domain, point, port,
         way) = struct.unpack_from("!HIIIHB", data, at + 10)
        if not direction:
            way = 0
        elif any(data[at + 27:at + 32]):
            raise bad("NXBRC_MUST_BE_ZERO")
        if way > 2:
            raise bad("OFPBAC_BAD_ARGUMENT", f"invalid sample direction {way}")
        return _make_sample(probability, collector, domain, point, port, way)
    return decode


def _decode_sample4(data: bytes, at: int, end: int, version: int, debug: bool) -> Sample:
    probability, collector = struct.unpack_from("!HI", data, at + 10)
    port, way = struct.unpack_from("!HB", data, at + 32)
    _require_zero(data, at + 35, at + 40)
    if way > 2:
        raise bad("OFPBAC_BAD_ARGUMENT", f"invalid sample direction {way}")
    ids = []
    for where in (16, 24):
        if any(data[at + where:at + where + 4]):
            ofs_nbits, pad = struct.unpack_from("!HH", data, at + where + 4)
            if pad:
                raise bad("NXBRC_MUST_BE_ZERO")
            src = _subfield(_field32(data, at + where), *_ofs_nbits(ofs_nbits), "source")
            if src.n_bits > 32:
                raise bad("OFPBAC_BAD_SET_LEN",
                          "size of field used in observation_id (%d) exceeds maximum (%d)"
                          % (src.n_bits, 32))
            ids.append((0, src))
        else:
            ids.append((U32.unpack_from(data, at + where + 4)[0], None))
    (domain, domain_src), (point, point_src) = ids
    return _make_sample(probability, collector, domain, point, port, way, domain_src, point_src)


def _decode_learn(extended: bool):
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Learn:
        (idle, hard, priority, cookie, flags, table, pad, fin_idle,
         fin_hard) = LEARN.unpack_from(data, at + 10)
        if pad:
            raise bad("OFPBAC_BAD_ARGUMENT")
        if flags & ~(7 if extended else 3) or table == 0xff:
            raise bad("OFPBAC_BAD_ARGUMENT")
        limit, result_dst, specs_at = 0, None, at + 32
        if extended:
            limit, offset, pad = struct.unpack_from("!IHH", data, at + 32)
            if pad:
                raise bad("NXBAC_MUST_BE_ZERO")
            specs_at = at + 40
            if flags & LEARN_WRITE_RESULT:
                info, next_at = _pull_field(data, specs_at, end)
                if not info.writable:
                    raise bad("OFPBAC_BAD_SET_ARGUMENT",
                              f"destination field {info.name} is not writable", "meta_flow")
                result_dst = _subfield(info, offset, 1, "destination")
                specs_at = next_at
            elif offset:
                raise bad("OFPBAC_BAD_ARGUMENT")
        specs = _decode_specs(data, specs_at, end)
        return Learn(table, idle, hard, priority, cookie, flags, fin_idle, fin_hard, limit,
                     result_dst, specs)
    return decode


def _decode_specs(data: bytes, at: int, end: int) -> tuple[LearnSpec, ...]:
    specs = []
    while end - at >= 2:
        header, = U16.unpack_from(data, at)
        at += 2
        if not header:
            break
        n_bits, from_value, kind = header & 0x3ff, header >> 13 & 1, header >> 11 & 3
        if kind == 3 or kind == 2 and from_value:
            raise bad("OFPBAC_BAD_ARGUMENT")
        if end - at < ((n_bits + 15) // 16 * 2 if from_value else 6) + (6 if kind != 2 else 0):
            raise bad("OFPBAC_BAD_LEN")
        if not n_bits:
            raise bad("OFPBAC_BAD_ARGUMENT")
        src, value = None, 0
        if from_value:
            size = (n_bits + 15) // 16 * 2
            value = int.from_bytes(data[at:at + size], "big") & (1 << n_bits) - 1
            at += size
        else:
            src, at = _spec_subfield(data, at, end, n_bits)
        dst = None
        if kind != 2:
            dst, at = _spec_subfield(data, at, end, n_bits)
        specs.append(LearnSpec(n_bits, src, value, kind, dst))
    _require_zero(data, at, end, "OFPBAC_BAD_ARGUMENT")
    return tuple(specs)


def _spec_subfield(data: bytes, at: int, end: int, n_bits: int) -> tuple[Subfield, int]:
    """Whether the field has these bits is looked at with the match, by `consistency`."""
    if end - at < 6:
        raise bad("OFPBAC_BAD_LEN")
    info, _, _, _, next_at = pull_header(data, at, end)
    if end - next_at < 2:
        raise bad("OFPBAC_BAD_LEN")
    offset, = U16.unpack_from(data, next_at)
    return Subfield(_known_field(info).name, offset, n_bits), next_at + 2


def _decode_ct(data: bytes, at: int, end: int, version: int, debug: bool) -> Ct:
    flags, = U16.unpack_from(data, at + 10)
    zone, table, alg = struct.unpack_from("!HB3xH", data, at + 16)
    zone_src = None
    if any(data[at + 12:at + 16]):
        zone_src = _subfield(_field32(data, at + 12), *_ofs_nbits(zone), "source")
        if zone_src.n_bits != 16:
            raise bad("OFPBAC_BAD_SET_LEN",
                      f"zone n_bits {zone_src.n_bits} not within valid range [16..16]")
        zone = 0
    if flags & CT_FORCE and not flags & CT_COMMIT:
        raise bad("OFPBAC_BAD_ARGUMENT")
    actions = _decode_list(data, version, at + 24, end, debug)
    if actions:
        verify(actions, instructions=False, outer=Ct)
        if not flags & CT_COMMIT and any(
                not isinstance(action, Nat) or action.flags or action.family for action in actions):
            raise bad("OFPBAC_BAD_ARGUMENT",
                      "CT action requires commit flag if actions other than NAT "
                      "without arguments are specified.")
    return Ct(flags, table, zone, zone_src, alg, actions)


def _decode_nat(data: bytes, at: int, end: int, version: int, debug: bool) -> Nat:
    flags, ranges = struct.unpack_from("!HH", data, at + 12)
    if flags & ~0x1f:
        raise bad("OFPBAC_BAD_ARGUMENT")
    if flags & NAT_SRC and flags & NAT_DST:
        raise bad("OFPBAC_BAD_ARGUMENT")
    if flags & NAT_HASH and flags & NAT_RANDOM:
        raise bad("OFPBAC_BAD_ARGUMENT")
    if (ranges & NAT_RANGE_IPV4_MIN and ranges & NAT_RANGE_IPV6_MIN
            or ranges & NAT_RANGE_IPV4_MAX and not ranges & NAT_RANGE_IPV4_MIN
            or ranges & NAT_RANGE_IPV6_MAX and not ranges & NAT_RANGE_IPV6_MIN
            or ranges & NAT_RANGE_PORT_MAX and not ranges & NAT_RANGE_PORT_MIN
            or ranges & NAT_RANGE_PORT_MIN
            and not ranges & (NAT_RANGE_IPV4_MIN | NAT_RANGE_IPV6_MIN)):
        raise bad("OFPBAC_BAD_ARGUMENT")
    values = {}
    at += 16
    for bit, size in _NAT_RANGES:
        if ranges & bit:
            if end - at < size:
                raise bad("OFPBAC_BAD_ARGUMENT")
            values[bit] = int.from_bytes(data[at:at + size], "big")
            at += size
    # What is left over is not looked at.
    family = 4 if ranges & NAT_RANGE_IPV4_MIN else 6 if ranges & NAT_RANGE_IPV6_MIN else 0
    low, high = ((NAT_RANGE_IPV6_MIN, NAT_RANGE_IPV6_MAX) if family == 6
                 else (NAT_RANGE_IPV4_MIN, NAT_RANGE_IPV4_MAX))
    nat = Nat(flags, family, values.get(low, 0), values.get(high, 0),
              values.get(NAT_RANGE_PORT_MIN, 0), values.get(NAT_RANGE_PORT_MAX, 0))
    if 0 in values.values():
        raise bad("OFPBAC_BAD_ARGUMENT")         # no end of a range can be zero
    if (high in values and nat.ip_max < nat.ip_min
            or NAT_RANGE_PORT_MAX in values and nat.port_max < nat.port_min):
        raise bad("OFPBAC_BAD_ARGUMENT")
    return nat


_NAT_RANGES = ((NAT_RANGE_IPV4_MIN, 4), (NAT_RANGE_IPV4_MAX, 4), (NAT_RANGE_IPV6_MIN, 16),
               (NAT_RANGE_IPV6_MAX, 16), (NAT_RANGE_PORT_MIN, 2), (NAT_RANGE_PORT_MAX, 2))


def _decode_clone(data: bytes, at: int, end: int, version: int, debug: bool) -> Clone:
    actions = _decode_list(data, version, at + 16, end, debug)
    verify(actions, instructions=False, outer=Clone, version=version)
    return Clone(actions)


_ENCAP_TYPES = (PACKET_TYPE_ETH, PACKET_TYPE_NSH, PACKET_TYPE_MPLS, PACKET_TYPE_MPLS_MC)


def _decode_encap(data: bytes, at: int, end: int, version: int, debug: bool) -> Encap:
    hdr_size, packet_type = struct.unpack_from("!HI", data, at + 10)
    if packet_type not in _ENCAP_TYPES:
        raise bad("NXBAC_BAD_HEADER_TYPE")
    props = []
    at += 16
    while at < end:
        if end - at < 4:
            raise bad("OFPBAC_BAD_LEN")
        prop_class, kind, length = struct.unpack_from("!HBB", data, at)
        padded = length + 7 & ~7
        if length < 4 or padded > end - at:
            raise bad("OFPBAC_BAD_LEN")
        if prop_class != ENCAP_NSH_CLASS or kind not in (ENCAP_NSH_MD_TYPE, ENCAP_NSH_TLV):
            raise bad("NXBAC_UNKNOWN_ED_PROP")
        if kind == ENCAP_NSH_MD_TYPE:
            if padded > 8:
                raise bad("NXBAC_BAD_ED_PROP")
            props.append(EncapNsh(data[at + 4]))
            if props[-1].md_type not in (1, 2):
                raise bad("NXBAC_BAD_ED_PROP")
        else:
            if length < 8:
                raise bad("NXBAC_BAD_ED_PROP")
            tlv_class, tlv_type, tlv_len = struct.unpack_from("!HBB", data, at + 4)
            if tlv_len > length - 8:
                raise bad("NXBAC_BAD_ED_PROP")
            props.append(EncapTlv(tlv_class, tlv_type, bytes(data[at + 8:at + 8 + tlv_len])))
        at += padded
    return Encap(packet_type, tuple(props), hdr_size)


def _decode_decap(data: bytes, at: int, end: int, version: int, debug: bool) -> Decap:
    if end - at > 16:
        raise bad("NXBAC_UNKNOWN_ED_PROP")
    return Decap(U32.unpack_from(data, at + 12)[0])


def _decode_check_pkt_larger(data: bytes, at: int, end: int, version: int,
                             debug: bool) -> CheckPktLarger:
    size, offset = struct.unpack_from("!HH", data, at + 10)
    info, next_at = _pull_field(data, at + 14, end)
    _require_zero(data, next_at, end)
    return CheckPktLarger(size, _subfield(info, offset, 1, "destination"))


def _decode_delete_field(data: bytes, at: int, end: int, version: int, debug: bool) -> DeleteField:
    info, _ = _pull_field(data, at + 10, end)
    if not info.variable:
        raise bad("OFPBAC_BAD_ARGUMENT")
    return DeleteField(info.name)


# Forms with their own decoders: (least length, decoder).
_SPECIAL: dict[str, tuple[int, Callable[..., Action]]] = {
    "NXAST_RAW_DEC_TTL_CNT_IDS": (16, _decode_dec_ttl_ids),
    "OFPAT_RAW12_SET_FIELD": (8, _decode_set_field),
    "OFPAT_RAW15_SET_FIELD": (8, _decode_set_field),
    "NXAST_RAW_REG_LOAD": (24, _decode_reg_load),
    "NXAST_RAW_REG_LOAD2": (16, _decode_reg_load2),
    "OFPAT_RAW15_COPY_FIELD": (16, _decode_move(4, 12)),
    "ONFACT_RAW13_COPY_FIELD": (24, _decode_move(12, 20)),
    "NXAST_RAW_REG_MOVE": (16, _decode_move(10, 16)),
    "NXAST_RAW_NOTE": (16, _decode_note),
    "NXAST_RAW_MULTIPATH": (32, _decode_multipath),
    "NXAST_RAW_BUNDLE": (32, _decode_bundle(False)),
    "NXAST_RAW_BUNDLE_LOAD": (32, _decode_bundle(True)),
    "NXAST_RAW_OUTPUT_REG": (24, _decode_output_reg),
    "NXAST_RAW_OUTPUT_REG2": (24, _decode_output_reg2),
    "NXAST_RAW_LEARN": (32, _decode_learn(False)),
    "NXAST_RAW_LEARN2": (40, _decode_learn(True)),
    "NXAST_RAW_CONTROLLER": (16, _decode_controller),
    "NXAST_RAW_CONTROLLER2": (16, _decode_controller2),
    "NXAST_RAW_STACK_PUSH": (24, _decode_stack(StackPush, "source")),
    "NXAST_RAW_STACK_POP": (24, _decode_stack(StackPop, "destination")),
    "NXAST_RAW_SAMPLE2": (32, _decode_sample2(False)),
    "NXAST_RAW_SAMPLE3": (32, _decode_sample2(True)),
    "NXAST_RAW_SAMPLE4": (40, _decode_sample4),
    "NXAST_RAW_CT": (24, _decode_ct),
    "NXAST_RAW_NAT": (16, _decode_nat),
    "NXAST_RAW_CLONE": (16, _decode_clone),
    "NXAST_RAW_DECAP": (16, _decode_decap),
    "NXAST_RAW_ENCAP": (16, _decode_encap),
    "NXAST_RAW_CHECK_PKT_LARGER": (24, _decode_check_pkt_larger),
    "NXAST_RAW_DELETE_FIELD": (24, _decode_delete_field),
}
_ERRORS_OF_ZEROS = {"NXAST_RAW_RESUBMIT_TABLE": "OFPBAC_BAD_ARGUMENT",
                    "NXAST_RAW_RESUBMIT_TABLE_CT": "OFPBAC_BAD_ARGUMENT"}


def _fixed_decoder(raw: Raw, layout: Layout, base: int):
    make = _MAKE.get(raw.name) or getattr(action_types, raw.action)
    unpack = layout.code.unpack_from
    if not layout.names and not layout.zeros:
        value = make()
        return lambda data, at, end, version, debug: value
    if not layout.zeros:
        return lambda data, at, end, version, debug: make(*unpack(data, at + base))
    zeros, error = layout.zeros, _ERRORS_OF_ZEROS.get(raw.name, "NXBRC_MUST_BE_ZERO")

    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Action:
        for low, high in zeros:
            _require_zero(data, at + low, at + high, error)
        return make(*unpack(data, at + base))
    return decode


def _build_forms() -> dict[int, dict]:
    """{version: {type, or (vendor, subtype): form}}."""
    forms: dict[int, dict] = {version: {} for version in range(1, 7)}
    for raw in RAWS:
        made: dict[int, _Form] = {}
        for vendor_name, versions, number in points_of(raw):
            vendor = VENDORS[vendor_name]
            base = 10 if vendor else 4
            form = made.get(base)
            if form is None:
                if raw.name in _SPECIAL:
                    least, decode = _SPECIAL[raw.name]
                else:
                    layout = layout_of(raw, base)
                    least, decode = layout.size, _fixed_decoder(raw, layout, base)
                most = least if raw.fixed else 0xfff8
                form = made[base] = _Form(raw, least, most, decode)
            for version in versions:
                forms[version][(vendor, number) if vendor else number] = form
    return forms


_FORMS = _build_forms()


_INSTRUCTION_BY_TYPE = {row.type: (index, row) for index, row in enumerate(INSTRUCTIONS)}


def decode_instructions(data: bytes, version: int, start: int = 0, end: int | None = None, *,
                        debug: bool = False) -> Actions:
    """Decodes the instructions of a flow (OpenFlow 1.0: its actions) and verifies their order.

    The flows of a switch have few different actions, so the last few hundred are remembered.
    """
    return _decode_instructions(bytes(data[start:end]), version, debug)


@lru_cache(256)
def _decode_instructions(data: bytes, version: int, debug: bool) -> Actions:
    end = len(data)
    if version == 1:
        actions = _decode_whole(data, version, 0, end, debug)
        verify(actions)
        return actions
    if end % 8:
        raise bad("OFPBIC_BAD_LEN", f"OpenFlow message instructions length {end} is not a "
                  "multiple of 8")
    found: list[tuple[int, int] | None] = [None] * len(INSTRUCTIONS)
    at = 0
    while at < end:
        kind, length = HEADER.unpack_from(data, at)
        if length % 8 or length < 8 or length > end - at:
            raise bad("OFPBIC_BAD_LEN", f"bad instruction format at offset {at}")
        if kind == INSTRUCTION_EXPERIMENTER:
            raise bad("OFPBIC_BAD_EXPERIMENTER")
        index, row = _INSTRUCTION_BY_TYPE.get(kind, (0, None))
        if row is None:
            raise bad("OFPBIC_UNKNOWN_INST")
        if length != row.size if not row.variable else length < row.size:
            raise bad("OFPBIC_BAD_LEN")
        if not row.versions[0] <= version <= row.versions[1]:
            raise bad("OFPBIC_UNKNOWN_INST")
        if found[index] is not None:
            raise bad("OFPBIC_DUP_INST")
        found[index] = (at, at + length)
        at += length
    actions = _assemble(data, version, found, debug)
    verify(actions)
    return actions


def _assemble(data: bytes, version: int, found: list[tuple[int, int] | None],
              debug: bool) -> Actions:
    actions: list[Action] = []
    for index, place in enumerate(found):
        if place is None:
            continue
        at, end = place
        match INSTRUCTIONS[index].action:
            case "":
                actions += _decode_list(data, version, at + 8, end, debug)
            case "Meter":
                actions.append(Meter(U32.unpack_from(data, at + 4)[0]))
            case "ClearActions":
                actions.append(ClearActions())
            case "WriteActions":
                actions.append(WriteActions(
                    _decode_action_set(data, version, at + 8, end, debug)))
            case "WriteMetadata":
                metadata, mask = struct.unpack_from("!QQ", data, at + 8)
                actions.append(WriteMetadata(metadata, mask))
            case "GotoTable":
                actions.append(GotoTable(data[at + 4]))
    return tuple(actions)


def _decode_action_set(data: bytes, version: int, at: int, end: int, debug: bool) -> Actions:
    actions = _decode_list(data, version, at, end, debug)
    if any(type(action) not in _IN_ACTION_SET for action in actions):
        raise bad("OFPBAC_BAD_TYPE", "disallowed action in action set")
    return actions


_IN_ACTION_SET = frozenset({
    Output, Group, SetField, SetVlanVid, SetVlanPcp, StripVlan, PushVlan, SetEthSrc, SetEthDst,
    SetIpv4Src, SetIpv4Dst, SetIpDscp, SetIpEcn, SetIpTtl, SetL4SrcPort, SetL4DstPort, RegMove,
    DecTtl, SetMplsLabel, SetMplsTc, SetMplsTtl, DecMplsTtl, PushMpls, PopMpls, DecNshTtl,
    SetTunnel, SetQueue, Resubmit, Ct, CtClear, Encap, Decap, DebugRecirc, DebugSlow})
