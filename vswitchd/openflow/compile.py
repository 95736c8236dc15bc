"""OpenFlow actions -> programs: the last place where versions and spellings of actions differ.

`compile_actions` walks action values and emits the ops of schema/flow/ops.py. Every op carries the
index of its source action, counted depth first, so that a trace can name it; `number_actions` gives
the same numbering to those who print.

What a learn op's bytes hold (`LEARN`, `LEARN_SPEC`; host byte order unless said otherwise): table,
priority, timeouts, flags, limit, cookie, result subfield, then `n_specs` specs. Any thread.
"""

import struct
from collections.abc import Callable, Iterator

from datapath.match import MatchError, place
from datapath.program import Subfield as OpSubfield, pack_op
from schema.flow.fields import FIELD, OPTION_CHUNK, OPTION_PRESENT_ID
from schema.openflow.actions import NAT_DST, NAT_SRC
from vswitchd.openflow import options
from vswitchd.openflow import action_types as t
from vswitchd.openflow.error import OpenFlowError

# u8 table, u8 pad, u16 priority, u16 idle, u16 hard, u16 fin_idle, u16 fin_hard, u16 flags,
# u16 n_specs, u32 limit, u32 pad, u64 cookie, subfield result (n_bits 0: none)
LEARN = struct.Struct("=BBHHHHHHHIIQHHHH")
# u16 n_bits, u16 kind (0 match, 1 load, 2 output), u16 from_field, u16 pad, subfield src,
# subfield dst, 16 bytes: the constant, big-endian, right-aligned
LEARN_SPEC = struct.Struct("=HHHHHHHHHHHH16s")

_L4_FIELDS = {6: "tcp", 17: "udp", 132: "sctp"}


def number_actions(actions: t.Actions) -> Iterator[t.Action]:
    """The actions in the order of their source indices."""
    for action in actions:
        yield action
        nested = getattr(action, "actions", None)
        if nested:
            yield from number_actions(nested)


def _subfield(subfield: t.Subfield | None) -> OpSubfield | int:
    if subfield is None:
        return 0
    if options.option_number(subfield.field) is not None:
        place = options.place_of(options.option_number(subfield.field))
        if subfield.offset + subfield.n_bits > 8 * place.size:
            raise OpenFlowError("OFPBAC_BAD_SET_LEN")
        found = options.chunks(*subfield)
        if len(found) != 1:             # XXX bits of several pieces of the option space
            raise OpenFlowError("OFPBAC_BAD_SET_ARGUMENT")
        return OpSubfield(*found[0][:3])
    return OpSubfield(FIELD[subfield.field].id, subfield.offset, subfield.n_bits)


def _set(name: str, source: int, value: int, mask: int | None = None) -> bytes:
    """Ops that set bits of a field."""
    if options.option_number(name) is not None:
        return _set_option(name, source, value, mask)
    try:
        _, size, shift, ones = place(name)
    except MatchError as error:
        raise OpenFlowError("OFPBAC_BAD_SET_TYPE", str(error)) from None
    care = (ones if mask is None else mask & ones) << shift
    return pack_op("set_field", source, field=FIELD[name].id,
                   value=((value & ones) << shift & care).to_bytes(size, "big"),
                   mask=care.to_bytes(size, "big"))


def _set_raw(chunk: options.Chunk, source: int, value: int, care: int) -> bytes:
    size = 8 if chunk.field == OPTION_PRESENT_ID else OPTION_CHUNK
    ones = (1 << chunk.n_bits) - 1
    care = (care >> chunk.start & ones) << chunk.offset
    bits = (value >> chunk.start & ones) << chunk.offset & care
    return pack_op("set_field", source, field=chunk.field, value=bits.to_bytes(size, "big"),
                   mask=care.to_bytes(size, "big"))


def _set_option(name: str, source: int, value: int, mask: int | None) -> bytes:
    """Ops that set bits of a tunnel option, which is there from then on."""
    care = -1 if mask is None else mask
    parts = [_set_raw(chunk, source, value, care) for chunk in options.chunks(name, 0, 992)
             if care >> chunk.start]
    return b"".join(parts) + _mark(name, source, True)


def _mark(name: str, source: int, is_there: bool) -> bytes:
    return _set_raw(options.present(name), source, int(is_there), 1)


def _marking(emit: Callable, attribute: str) -> Callable:
    """An op that may write a tunnel option, which is there from then on."""
    def marked(action, source: int, compiler: "_Compiler") -> bytes:
        ops = emit(action, source, compiler)
        subfield = getattr(action, attribute)
        if subfield is not None and options.option_number(subfield.field) is not None:
            ops += _mark(subfield.field, source, True)
        return ops
    return marked


def _looking(emit: Callable, attribute: str) -> Callable:
    """An op that may read a tunnel option, and so depends on whether it is there."""
    def looked(action, source: int, compiler: "_Compiler") -> bytes:
        subfield, before = getattr(action, attribute), b""
        if options.option_number(subfield.field) is not None:
            bit = OpSubfield(*options.present(subfield.field)[:3])
            before = _with_flags(pack_op("move", source, src=bit, dst=bit), _SET_SILENT)
        return before + emit(action, source, compiler)
    return looked


def _delete_field(action: t.DeleteField, source: int, compiler) -> bytes:
    ops = [_set_raw(chunk, source, 0, -1) for chunk in options.chunks(action.field, 0, 992)]
    ops.append(_mark(action.field, source, False))
    return (b"".join(_with_flags(op, _SET_METADATA) for op in ops)      # which looks at nothing
            + pack_op("delete_field", source, field=FIELD[action.field].id))


def _move(action: t.RegMove, source: int, compiler) -> bytes:
    src, dst = map(_subfield, (action.src, action.dst))
    n_bits = min(src.n_bits, dst.n_bits)        # an option may be shorter than its field
    return pack_op("move", source, src=src._replace(n_bits=n_bits),
                   dst=dst._replace(n_bits=n_bits))


def _set_l4(side: str) -> Callable:
    def emit(action, source: int, compiler: "_Compiler") -> bytes:
        protocols = [_L4_FIELDS[action.proto]] if action.proto in _L4_FIELDS else (
            _L4_FIELDS.values())
        return b"".join(_with_flags(_set(f"{name}_{side}", source, action.port), _SET_SILENT)
                        for name in protocols)
    return emit


def _set_simple(name: str, attribute: str, shift: int = 0) -> Callable:
    return lambda action, source, compiler: _with_flags(
        _set(name, source, getattr(action, attribute) >> shift), _SET_SILENT)


def _plain(name: str, **arguments: str) -> Callable:
    """An op whose arguments are attributes of the action."""
    def emit(action, source: int, compiler: "_Compiler") -> bytes:
        values = {key: getattr(action, attribute) for key, attribute in arguments.items()}
        return pack_op(name, source, **{key: _subfield(value) if isinstance(value, t.Subfield)
                                        else value for key, value in values.items()})
    return emit


def _controller(action: t.Controller, source: int, compiler) -> bytes:
    return pack_op("controller", source, action.userdata, max_len=action.max_len,
                   controller_id=action.controller_id, reason=action.reason,
                   pause=action.pause, meter_id=action.meter)


def _dec_ttl(action: t.DecTtl, source: int, compiler) -> bytes:
    return pack_op("dec_ttl", source, tuple(action.ids) if action.ids is not None else (0,))


def _learn_spec(spec: t.LearnSpec) -> Iterator[bytes]:
    src, dst = (_subfield(end) or OpSubfield(0, 0, 0) for end in (spec.src, spec.dst))
    n_bits = min(spec.n_bits, src.n_bits or 992, dst.n_bits or 992)
    yield LEARN_SPEC.pack(n_bits, spec.kind, spec.src is not None, 0,
                          *(src._replace(n_bits=n_bits) if src.n_bits else src), 0,
                          *(dst._replace(n_bits=n_bits) if dst.n_bits else dst), 0,
                          spec.value.to_bytes(16, "big"))
    if spec.dst is not None and options.option_number(spec.dst.field) is not None:
        there = options.present(spec.dst.field)         # and the option is there
        yield LEARN_SPEC.pack(1, spec.kind, False, 0, 0, 0, 0, 0, *there[:3], 0,
                              (1).to_bytes(16, "big"))


def _learn(action: t.Learn, source: int, compiler) -> bytes:
    result = _subfield(action.result_dst) or (0, 0, 0)
    specs = [part for spec in action.specs for part in _learn_spec(spec)]
    data = LEARN.pack(action.table, 0, action.priority, action.idle_timeout, action.hard_timeout,
                      action.fin_idle_timeout, action.fin_hard_timeout, action.flags,
                      len(specs), action.limit, 0, action.cookie, *result, 0)
    data += b"".join(specs)
    return pack_op("learn", source, data)


def _ct(action: t.Ct, source: int, compiler) -> bytes:
    return pack_op("ct", source, compiler.run(action.actions), flags=action.flags, alg=action.alg,
                   table=action.table, zone=action.zone, zone_src=_subfield(action.zone_src))


def _nat(action: t.Nat, source: int, compiler) -> bytes:
    if not action.flags & (NAT_SRC | NAT_DST):
        action = t.Nat()                        # The rest is for one of them.
    size = 4 if action.family == 4 else 16
    return pack_op("nat", source, family=action.family, port_min=action.port_min,
                   port_max=action.port_max, addr_min=action.ip_min.to_bytes(size, "big"),
                   addr_max=action.ip_max.to_bytes(size, "big"), flags=action.flags)


def _nested(name: str) -> Callable:
    return lambda action, source, compiler: pack_op(name, source, compiler.run(action.actions))


def _bundle(action: t.Bundle, source: int, compiler) -> bytes:
    return pack_op("bundle", source, tuple(action.members), fields=action.fields,
                   basis=action.basis, algorithm=action.algorithm, dst=_subfield(action.dst))


def _sample(action: t.Sample, source: int, compiler) -> bytes:
    return pack_op("sample", source, probability=action.probability,
                   collector_set=action.collector_set, obs_domain=action.domain,
                   obs_point=action.point, port=action.port, direction=action.direction,
                   obs_domain_src=_subfield(action.domain_src),
                   obs_point_src=_subfield(action.point_src))


def _encap(action: t.Encap, source: int, compiler) -> bytes:
    data = b""
    for prop in action.props:
        if isinstance(prop, t.EncapNsh):
            data += struct.pack("=HHI", 1, prop.md_type, 0)
        else:
            body = prop.data + bytes(-len(prop.data) % 4)
            data += struct.pack("=HHHBB", 2, 8 + len(body), prop.tlv_class, prop.type,
                                len(prop.data)) + body
    return pack_op("encap", source, data, packet_type=action.packet_type)


def _write_metadata(action: t.WriteMetadata, source: int, compiler) -> bytes:
    return _with_flags(_set("metadata", source, action.metadata, action.mask), _SET_METADATA)


_SET_METADATA, _SET_SILENT = 1, 2       # flags of set_field: SET_METADATA... of the pipeline


def _with_flags(op: bytes, flags: int) -> bytes:
    return op[:6] + struct.pack("=H", flags) + op[8:]


def _set_field(action: t.SetField, source: int, compiler) -> bytes:
    return _set(action.field, source, action.value, action.mask)


_EMITTERS: dict[type, Callable] = {
    t.Output: _plain("output", port="port", max_len="max_len"),
    t.Controller: _controller,
    t.Enqueue: _plain("enqueue", port="port", queue="queue"),
    t.OutputReg: _plain("output_reg", src="src", max_len="max_len"),
    t.OutputTrunc: _plain("output_trunc", port="port", max_len="max_len"),
    t.Group: _plain("group", group="group"),
    t.Bundle: _bundle,
    t.SetField: _set_field,
    t.SetVlanVid: _plain("set_vlan_vid", vid="vid", may_push="push"),
    t.SetVlanPcp: _plain("set_vlan_pcp", pcp="pcp", may_push="push"),
    t.StripVlan: _plain("pop_vlan"),
    t.PushVlan: _plain("push_vlan", tpid="eth_type"),
    t.SetEthSrc: _set_simple("eth_src", "mac"),
    t.SetEthDst: _set_simple("eth_dst", "mac"),
    t.SetIpv4Src: _set_simple("ip_src", "ip"),
    t.SetIpv4Dst: _set_simple("ip_dst", "ip"),
    t.SetIpDscp: lambda action, source, compiler: _with_flags(
        _set("nw_tos", source, action.tos, 0xfc), _SET_SILENT),
    t.SetIpEcn: _set_simple("nw_ecn", "ecn"),
    t.SetIpTtl: _set_simple("nw_ttl", "ttl"),
    t.SetL4SrcPort: _set_l4("src"),
    t.SetL4DstPort: _set_l4("dst"),
    t.RegMove: _looking(_marking(_move, "dst"), "src"),
    t.StackPush: _looking(_plain("push", src="subfield"), "subfield"),
    t.StackPop: _marking(_plain("pop", dst="subfield"), "subfield"),
    t.DecTtl: _dec_ttl,
    t.SetMplsLabel: _set_simple("mpls_label", "label"),
    t.SetMplsTc: _set_simple("mpls_tc", "tc"),
    t.SetMplsTtl: _set_simple("mpls_ttl", "ttl"),
    t.DecMplsTtl: _plain("dec_mpls_ttl"),
    t.PushMpls: _plain("push_mpls", eth_type="eth_type"),
    t.PopMpls: _plain("pop_mpls", eth_type="eth_type"),
    t.DecNshTtl: _plain("dec_nsh_ttl"),
    t.DeleteField: _delete_field,
    t.SetTunnel: _set_simple("tun_id", "tun_id"),
    t.SetQueue: _plain("set_queue", queue="queue"),
    t.PopQueue: _plain("pop_queue"),
    t.FinTimeout: _plain("fin_timeout", idle="idle", hard="hard"),
    t.Resubmit: _plain("resubmit", port="in_port", table="table", ct="ct"),
    t.Learn: _learn,
    t.Conjunction: _plain("conjunction", id="id", clause="clause", n_clauses="n_clauses"),
    t.Multipath: _plain("multipath", fields="fields", basis="basis", algorithm="algorithm",
                        max_link="max_link", arg="arg", dst="dst"),
    t.Note: _plain("note"),
    t.Exit: _plain("exit"),
    t.UnrollXlate: _plain("unroll", table="table", cookie="cookie"),
    t.Sample: _sample,
    t.Ct: _ct,
    t.Nat: _nat,
    t.CtClear: _plain("ct_clear"),
    t.Clone: _nested("clone"),
    t.Encap: _encap,
    t.Decap: _plain("decap", packet_type="packet_type"),
    t.CheckPktLarger: _plain("check_pkt_larger", length="size", dst="dst"),
    t.DebugRecirc: _plain("debug_recirc"),
    t.DebugSlow: _plain("debug_slow"),
    t.Meter: _plain("meter", meter="meter"),
    t.ClearActions: _plain("clear_actions"),
    t.WriteActions: _nested("write_actions"),
    t.WriteMetadata: _write_metadata,
    t.GotoTable: _plain("goto_table", table="table"),
}


class _Compiler:
    """One compilation: counts source actions."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, actions: t.Actions) -> bytes:
        ops = []
        for action in actions:
            source = self.count
            self.count += 1
            ops.append(_EMITTERS[type(action)](action, source, self))
        return b"".join(ops)


def compile_actions(actions: t.Actions) -> bytes:
    """The program of a list of actions and instructions. Raises OpenFlowError."""
    return _Compiler().run(actions)
