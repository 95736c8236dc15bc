"""Text of actions and instructions, as ovs-ofctl prints it.

format_actions(actions, port_names, table_names)    'set_field:0x5->reg0,output:2', or 'drop'

`action_reader.py` reads such text, and `text.py` offers both. Any thread.
"""

from collections.abc import Callable

from schema.openflow.actions import (
    BUNDLE_ALGORITHMS, CT_ALGS, CT_COMMIT, CT_FORCE, CT_NO_TABLE, HASH_FIELDS, LEARN_DELETE_LEARNED,
    LEARN_SEND_FLOW_REM, LEARN_WRITE_RESULT, MULTIPATH_ALGORITHMS, NAT_DST, NAT_HASH,
    NAT_PERSISTENT, NAT_RANDOM, NAT_SRC, PACKET_IN_REASONS, PACKET_TYPE_ETH, PACKET_TYPE_MPLS,
    PACKET_TYPE_MPLS_MC, PACKET_TYPE_NEXT, PACKET_TYPE_NSH,
)
from vswitchd.openflow import color
from vswitchd.openflow.action_layout import segments
from vswitchd.openflow.action_types import (
    Action, Actions, Bundle, CheckPktLarger, ClearActions, Clone, Conjunction, Controller, Ct,
    CtClear, DebugRecirc, DebugSlow, DecMplsTtl, DecNshTtl, DecTtl, Decap, DeleteField, Encap,
    EncapNsh, Enqueue, Exit, FinTimeout, GotoTable, Group, Learn, LearnSpec, Meter, Multipath, Nat,
    Note, Output, OutputReg, OutputTrunc, PopMpls, PopQueue, PushMpls, PushVlan, RegMove, Resubmit,
    Sample, SetEthDst, SetEthSrc, SetField, SetIpDscp, SetIpEcn, SetIpTtl, SetIpv4Dst, SetIpv4Src,
    SetL4DstPort, SetL4SrcPort, SetMplsLabel, SetMplsTc, SetMplsTtl, SetQueue, SetTunnel,
    SetVlanPcp, SetVlanVid, StackPop, StackPush, StripVlan, Subfield, UnrollXlate, WriteActions,
    WriteMetadata,
)
from vswitchd.openflow.fields import CONTROLLER, IN_PORT, INFO, MAX_PORT, NONE
from vswitchd.openflow.value_text import (
    Numbers, format_ipv4, format_ipv6, format_mac, format_port, format_table, format_value,
    hexadecimal,
)

_FULL64 = (1 << 64) - 1


def format_actions(actions: Actions, port_names: Numbers | None = None,
                   table_names: Numbers | None = None) -> str:
    """Actions as ovs-ofctl prints them, 'drop' if there are none."""
    text = _format_list(actions, (port_names, table_names))
    return color.paint_actions(text) if color.is_on else text


_MISSES = (6, 7)                # explicit and implicit: reasons without a name
_Both = tuple[Numbers | None, Numbers | None]


def _format_list(actions: Actions, names: _Both) -> str:
    if not actions:
        return "drop"
    return ",".join([_FORMAT[type(action)](action, names) for action in actions])


def format_subfield(subfield: Subfield) -> str:
    """A subfield by its NXM name: 'NXM_NX_REG0[0..3]'."""
    field, offset, n_bits = subfield
    info = INFO[field]
    if n_bits == info.bits and not offset:
        return f"{info.nxm_name}[]"
    if n_bits == 1:
        return f"{info.nxm_name}[{offset}]"
    return f"{info.nxm_name}[{offset}..{offset + n_bits - 1}]"


def _format_output(action: Output, names: _Both) -> str:
    port = action.port
    if port < MAX_PORT:
        return f"output:{format_port(port, names[0])}"
    if port == CONTROLLER:
        return f"CONTROLLER:{action.max_len}"
    return format_port(port, names[0])


def _format_controller(action: Controller, names: _Both) -> str:
    max_len, controller, reason, userdata, pause, meter = action
    if reason == 1 and not controller and not userdata and not pause and not meter:
        return f"CONTROLLER:{max_len}"
    out = []
    if reason != 1:
        name = (PACKET_IN_REASONS[reason] if reason < len(PACKET_IN_REASONS) else
                "" if reason in _MISSES else str(reason))
        out.append(f"reason={name}")
    if max_len != 0xffff:
        out.append(f"max_len={max_len}")
    if controller:
        out.append(f"id={controller}")
    if userdata:
        out.append(f"userdata={_dotted(userdata)}")
    if pause:
        out.append("pause")
    if meter:
        out.append(f"meter_id={meter}")
    return f"controller({','.join(out)})"


def _dotted(data: bytes) -> str:
    return data.hex(".")


def _format_bundle(action: Bundle, names: _Both) -> str:
    dst = action.dst
    name = "bundle" if dst is None else "bundle_load"
    where = "" if dst is None else format_subfield(dst) + ","
    members = ",".join(format_port(port, names[0]) for port in action.members)
    return (f"{name}({HASH_FIELDS[action.fields]},{action.basis},"
            f"{BUNDLE_ALGORITHMS[action.algorithm]},ofport,{where}members:{members})")


def _format_set_field(action: SetField, names: _Both) -> str:
    if action.load:
        return ",".join(f"load:{hexadecimal(value)}->{format_subfield(dst)}"
                        for dst, value in segments(action))
    info = INFO[action.field]
    return f"set_field:{format_value(info, action.value, action.mask, names[0])}->{info.name}"


def _format_dec_ttl(action: DecTtl, names: _Both) -> str:
    if action.ids is None:
        return "dec_ttl"
    return f"dec_ttl({','.join(map(str, action.ids))})"


def _format_tunnel(action: SetTunnel, names: _Both) -> str:
    wide = "64" if action.wide or action.tun_id >> 32 else ""
    return f"set_tunnel{wide}:{hexadecimal(action.tun_id)}"


def _format_fin_timeout(action: FinTimeout, names: _Both) -> str:
    out = []
    if action.idle:
        out.append(f"idle_timeout={action.idle}")
    if action.hard:
        out.append(f"hard_timeout={action.hard}")
    return f"fin_timeout({','.join(out)})"


def _format_resubmit(action: Resubmit, names: _Both) -> str:
    in_port, table, ct = action
    port = "" if in_port == IN_PORT else format_port(in_port, names[0])
    if port and table == 0xff:
        return f"resubmit:{port}"
    table_text = "" if table == 0xff else format_table(table, names[1])
    return f"resubmit({port},{table_text}{',ct' if ct else ''})"


def _format_learn(action: Learn, names: _Both) -> str:
    out = [f"table={format_table(action.table, names[1])}"]
    for name, value in (("idle_timeout", action.idle_timeout),
                        ("hard_timeout", action.hard_timeout),
                        ("fin_idle_timeout", action.fin_idle_timeout),
                        ("fin_hard_timeout", action.fin_hard_timeout)):
        if value:
            out.append(f"{name}={value}")
    if action.priority != 32768:
        out.append(f"priority={action.priority}")
    if action.flags & LEARN_SEND_FLOW_REM:
        out.append("send_flow_rem")
    if action.flags & LEARN_DELETE_LEARNED:
        out.append("delete_learned")
    if action.cookie:
        out.append(f"cookie={action.cookie:#x}")
    if action.limit:
        out.append(f"limit={action.limit}")
    if action.flags & LEARN_WRITE_RESULT and action.result_dst is not None:
        out.append(f"result_dst={format_subfield(action.result_dst)}")
    out += [_format_spec(spec, names[0]) for spec in action.specs]
    return f"learn({','.join(out)})"


def _format_spec(spec: LearnSpec, names: Numbers | None) -> str:
    n_bits, src, value, kind, dst = spec
    if kind == 2:
        return f"output:{format_subfield(src)}"
    if kind == 1:
        source = hexadecimal(value) if src is None else format_subfield(src)
        return f"load:{source}->{format_subfield(dst)}"
    if src is None:
        info = INFO[dst.field]
        if dst.offset == 0 and n_bits == info.bits:
            return f"{info.name}={format_value(info, value, None, names)}"
        return f"{format_subfield(dst)}={hexadecimal(value)}"
    if src == dst:
        return format_subfield(dst)
    return f"{format_subfield(dst)}={format_subfield(src)}"


def _format_multipath(action: Multipath, names: _Both) -> str:
    return (f"multipath({HASH_FIELDS[action.fields]},{action.basis},"
            f"{MULTIPATH_ALGORITHMS[action.algorithm]},{action.max_link + 1},{action.arg},"
            f"{format_subfield(action.dst)})")


def _format_sample(action: Sample, names: _Both) -> str:
    out = [f"probability={action.probability}", f"collector_set_id={action.collector_set}"]
    for name, value, src in (("obs_domain_id", action.domain, action.domain_src),
                             ("obs_point_id", action.point, action.point_src)):
        out.append(f"{name}={value if src is None else format_subfield(src)}")
    if action.port != NONE:
        out.append(f"sampling_port={format_port(action.port, names[0])}")
    if action.direction:
        out.append("ingress" if action.direction == 1 else "egress")
    return f"sample({','.join(out)})"


def _format_ct(action: Ct, names: _Both) -> str:
    out = []
    if action.flags & CT_COMMIT:
        out.append("commit")
    if action.flags & CT_FORCE:
        out.append("force")
    if action.table != CT_NO_TABLE:
        out.append(f"table={format_table(action.table, names[1])}")
    if action.zone_src is not None:
        out.append(f"zone={format_subfield(action.zone_src)}")
    elif action.zone:
        out.append(f"zone={action.zone}")
    inner = action.actions
    if inner and type(inner[0]) is Nat:
        out.append(_format_nat(inner[0], names))
        inner = inner[1:]
    if inner:
        out.append(f"exec({_format_list(inner, names)})")
    if action.alg:
        out.append(f"alg={CT_ALGS.get(action.alg, action.alg)}")
    return f"ct({','.join(out)})"


def _format_nat(action: Nat, names: _Both) -> str:
    flags, family, ip_min, ip_max, port_min, port_max = action
    if not flags & (NAT_SRC | NAT_DST):
        return "nat"
    text = "src" if flags & NAT_SRC else "dst"
    if family:
        if family == 4:
            def address(value: int) -> str:
                return format_ipv4(value)
        else:
            def address(value: int) -> str:
                return f"[{format_ipv6(value)}]" if port_min else format_ipv6(value)
        text += f"={address(ip_min)}"
        if ip_max and ip_max != ip_min:
            text += f"-{address(ip_max)}"
        if port_min:
            text += f":{port_min}"
            if port_max and port_max != port_min:
                text += f"-{port_max}"
        for bit, name in ((NAT_PERSISTENT, "persistent"), (NAT_HASH, "hash"),
                          (NAT_RANDOM, "random")):
            if flags & bit:
                text += f",{name}"
    return f"nat({text})"


ENCAP_NAMES = {PACKET_TYPE_ETH: "ethernet", PACKET_TYPE_NSH: "nsh", PACKET_TYPE_MPLS: "mpls",
               PACKET_TYPE_MPLS_MC: "mpls_mc"}


def _format_encap(action: Encap, names: _Both) -> str:
    text = ENCAP_NAMES.get(action.packet_type, "error")
    props = []
    for prop in action.props:
        if type(prop) is EncapNsh:
            props.append(f"md_type={prop.md_type}")
        else:
            props.append(f"tlv(0x{prop.tlv_class:04x},{prop.type},0x{prop.data.hex()})")
    return f"encap({text}({','.join(props)}))" if props else f"encap({text})"


def _format_decap(action: Decap, names: _Both) -> str:
    kind = action.packet_type
    if kind == PACKET_TYPE_NEXT:
        return "decap()"
    return f"decap(packet_type(ns={kind >> 16},type={hexadecimal(kind & 0xffff)}))"


def _format_write_metadata(action: WriteMetadata, names: _Both) -> str:
    mask = "" if action.mask == _FULL64 else f"/{hexadecimal(action.mask)}"
    return f"write_metadata:{hexadecimal(action.metadata)}{mask}"


_FORMAT: dict[type, Callable[[Action, _Both], str]] = {
    Output: _format_output,
    Controller: _format_controller,
    Enqueue: lambda a, names: f"enqueue:{format_port(a.port, names[0])}:{a.queue}",
    OutputReg: lambda a, names: f"output:{format_subfield(a.src)}",
    OutputTrunc: lambda a, names: (f"output(port={format_port(a.port, names[0])},"
                                   f"max_len={a.max_len})"),
    Group: lambda a, names: f"group:{a.group}",
    Bundle: _format_bundle,
    SetField: _format_set_field,
    SetVlanVid: lambda a, names: f"{'mod' if a.push else 'set'}_vlan_vid:{a.vid}",
    SetVlanPcp: lambda a, names: f"{'mod' if a.push else 'set'}_vlan_pcp:{a.pcp}",
    StripVlan: lambda a, names: "pop_vlan" if a.pop else "strip_vlan",
    PushVlan: lambda a, names: f"push_vlan:{a.eth_type:#x}",
    SetEthSrc: lambda a, names: f"mod_dl_src:{format_mac(a.mac)}",
    SetEthDst: lambda a, names: f"mod_dl_dst:{format_mac(a.mac)}",
    SetIpv4Src: lambda a, names: f"mod_nw_src:{format_ipv4(a.ip)}",
    SetIpv4Dst: lambda a, names: f"mod_nw_dst:{format_ipv4(a.ip)}",
    SetIpDscp: lambda a, names: f"mod_nw_tos:{a.tos}",
    SetIpEcn: lambda a, names: f"mod_nw_ecn:{a.ecn}",
    SetIpTtl: lambda a, names: f"mod_nw_ttl:{a.ttl}",
    SetL4SrcPort: lambda a, names: f"mod_tp_src:{a.port}",
    SetL4DstPort: lambda a, names: f"mod_tp_dst:{a.port}",
    RegMove: lambda a, names: f"move:{format_subfield(a.src)}->{format_subfield(a.dst)}",
    StackPush: lambda a, names: f"push:{format_subfield(a.subfield)}",
    StackPop: lambda a, names: f"pop:{format_subfield(a.subfield)}",
    DecTtl: _format_dec_ttl,
    SetMplsLabel: lambda a, names: f"set_mpls_label({a.label})",
    SetMplsTc: lambda a, names: f"set_mpls_tc({a.tc})",
    SetMplsTtl: lambda a, names: f"set_mpls_ttl({a.ttl})",
    DecMplsTtl: lambda a, names: "dec_mpls_ttl",
    PushMpls: lambda a, names: f"push_mpls:0x{a.eth_type:04x}",
    PopMpls: lambda a, names: f"pop_mpls:0x{a.eth_type:04x}",
    DecNshTtl: lambda a, names: "dec_nsh_ttl",
    DeleteField: lambda a, names: f"delete_field:{a.field}",
    SetTunnel: _format_tunnel,
    SetQueue: lambda a, names: f"set_queue:{a.queue}",
    PopQueue: lambda a, names: "pop_queue",
    FinTimeout: _format_fin_timeout,
    Resubmit: _format_resubmit,
    Learn: _format_learn,
    Conjunction: lambda a, names: f"conjunction({a.id},{a.clause + 1}/{a.n_clauses})",
    Multipath: _format_multipath,
    Note: lambda a, names: f"note:{_dotted(a.data)}",
    Exit: lambda a, names: "exit",
    UnrollXlate: lambda a, names: f"unroll_xlate(table={a.table}, cookie={a.cookie})",
    Sample: _format_sample,
    Ct: _format_ct,
    Nat: _format_nat,
    CtClear: lambda a, names: "ct_clear",
    Clone: lambda a, names: f"clone({_format_list(a.actions, names)})",
    CheckPktLarger: lambda a, names: f"check_pkt_larger({a.size})->{format_subfield(a.dst)}",
    Encap: _format_encap,
    Decap: _format_decap,
    DebugRecirc: lambda a, names: "debug_recirc",
    DebugSlow: lambda a, names: "debug_slow",
    Meter: lambda a, names: f"meter:{a.meter}",
    ClearActions: lambda a, names: "clear_actions",
    WriteActions: lambda a, names: f"write_actions({_format_list(a.actions, names)})",
    WriteMetadata: _format_write_metadata,
    GotoTable: lambda a, names: f"goto_table:{format_table(a.table, names[1])}",
}
