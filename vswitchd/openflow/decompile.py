"""Programs -> actions: what ops do, said in OpenFlow actions.

The way back from compile.py, for ops whose source actions are not at hand: rules that the library
has learned by itself, and packets that go on from a continuation. The actions do the same; how they
were spelled (set_field or mod_nw_src, notes) is lost. Any thread.
"""

import struct
from collections.abc import Callable

from datapath.program import UnpackedOp, unpack_ops
from schema.flow.fields import FIELDS
from vswitchd.openflow import action_types as t
from vswitchd.openflow.compile import LEARN, LEARN_SPEC

_FIELDS = {row.id: row for row in FIELDS}


def _subfield(bits: tuple[int, int, int]) -> t.Subfield | None:
    number, offset, n_bits = bits[:3]
    return t.Subfield(_FIELDS[number].name, offset, n_bits) if n_bits else None


def _set_field(op: UnpackedOp) -> t.Action:
    field = _FIELDS.get(op.arguments["field"])
    if field is None:                   # XXX pieces of tunnel options are not put together
        return t.Note(b"")
    bits, care = (int.from_bytes(op.arguments[part][:field.container], "big") >> field.shift
                  for part in ("value", "mask"))
    if op.flags:                # it was write_metadata
        return t.WriteMetadata(bits, care)
    return t.SetField(field.name, bits, care)


def _learn(op: UnpackedOp) -> t.Action:
    (table, _, priority, idle, hard, fin_idle, fin_hard, flags, count, limit, _, cookie,
     *result, _) = LEARN.unpack_from(op.tail)
    specs = []
    for index in range(count):
        n_bits, kind, from_field, _, *ends, value = LEARN_SPEC.unpack_from(
            op.tail, LEARN.size + index * LEARN_SPEC.size)
        src, dst = _subfield(tuple(ends[:3])), _subfield(tuple(ends[4:7]))
        specs.append(t.LearnSpec(n_bits, src if from_field else None,
                                 int.from_bytes(value, "big"), kind, dst))
    return t.Learn(table, idle, hard, priority, cookie, flags, fin_idle, fin_hard, limit,
                   _subfield(tuple(result)), tuple(specs))


def _nat(op: UnpackedOp) -> t.Action:
    values = op.arguments
    size = 4 if values["family"] == 4 else 16
    low, high = (int.from_bytes(values[name][:size], "big") for name in ("addr_min", "addr_max"))
    return t.Nat(values["flags"], values["family"], low, high, values["port_min"],
                 values["port_max"])


def _encap(op: UnpackedOp) -> t.Action:
    props, at = [], 0
    while at < op.arguments["n"]:
        kind, first = struct.unpack_from("=HH", op.tail, at)
        if kind == 1:
            props.append(t.EncapNsh(first))
            at += 8
        else:
            tlv_class, number, size = struct.unpack_from("=HBB", op.tail, at + 4)
            props.append(t.EncapTlv(tlv_class, number, op.tail[at + 8:at + 8 + size]))
            at += first
    return t.Encap(op.arguments["packet_type"], tuple(props))


def _plain(kind: type, *names: str) -> Callable[[UnpackedOp], t.Action]:
    """An action whose members are arguments of the op."""
    def make(op: UnpackedOp) -> t.Action:
        values = [op.arguments[name] for name in names]
        return kind(*(_subfield(value) if isinstance(value, tuple) else value for value in values))
    return make


def _numbers(op: UnpackedOp, code: str) -> tuple[int, ...]:
    return struct.unpack_from(f"={op.arguments['n']}{code}", op.tail)


_MAKERS: dict[str, Callable[[UnpackedOp], t.Action]] = {
    "output": _plain(t.Output, "port", "max_len"),
    "output_reg": _plain(t.OutputReg, "src", "max_len"),
    "output_trunc": _plain(t.OutputTrunc, "port", "max_len"),
    "controller": lambda op: t.Controller(
        op.arguments["max_len"], op.arguments["controller_id"], op.arguments["reason"],
        op.tail[:op.arguments["n"]], bool(op.arguments["pause"]), op.arguments["meter_id"]),
    "enqueue": _plain(t.Enqueue, "port", "queue"),
    "set_queue": _plain(t.SetQueue, "queue"),
    "pop_queue": _plain(t.PopQueue),
    "set_field": _set_field,
    "move": _plain(t.RegMove, "src", "dst"),
    "push": _plain(t.StackPush, "src"),
    "pop": _plain(t.StackPop, "dst"),
    "push_vlan": _plain(t.PushVlan, "tpid"),
    "pop_vlan": lambda op: t.StripVlan(True),
    "set_vlan_vid": lambda op: t.SetVlanVid(op.arguments["vid"], bool(op.arguments["may_push"])),
    "set_vlan_pcp": lambda op: t.SetVlanPcp(op.arguments["pcp"], bool(op.arguments["may_push"])),
    "push_mpls": _plain(t.PushMpls, "eth_type"),
    "pop_mpls": _plain(t.PopMpls, "eth_type"),
    "dec_mpls_ttl": _plain(t.DecMplsTtl),
    "dec_ttl": lambda op: t.DecTtl(None if (ids := _numbers(op, "H")) == (0,) else ids),
    "dec_nsh_ttl": _plain(t.DecNshTtl),
    "resubmit": lambda op: t.Resubmit(op.arguments["port"], op.arguments["table"],
                                      bool(op.arguments["ct"])),
    "goto_table": _plain(t.GotoTable, "table"),
    "group": _plain(t.Group, "group"),
    "learn": _learn,
    "conjunction": _plain(t.Conjunction, "id", "clause", "n_clauses"),
    "ct": lambda op: t.Ct(op.arguments["flags"], op.arguments["table"], op.arguments["zone"],
                          _subfield(op.arguments["zone_src"]), op.arguments["alg"],
                          decompile(op.tail)),
    "ct_clear": _plain(t.CtClear),
    "nat": _nat,
    "clone": lambda op: t.Clone(decompile(op.tail)),
    "exit": _plain(t.Exit),
    "note": lambda op: t.Note(b""),
    "fin_timeout": _plain(t.FinTimeout, "idle", "hard"),
    "sample": _plain(t.Sample, "probability", "collector_set", "obs_domain", "obs_point", "port",
                     "direction", "obs_domain_src", "obs_point_src"),
    "bundle": lambda op: t.Bundle(op.arguments["fields"], op.arguments["basis"],
                                  op.arguments["algorithm"], _numbers(op, "I"),
                                  _subfield(op.arguments["dst"])),
    "multipath": _plain(t.Multipath, "fields", "basis", "algorithm", "max_link", "arg", "dst"),
    "check_pkt_larger": _plain(t.CheckPktLarger, "length", "dst"),
    "delete_field": lambda op: t.DeleteField(_FIELDS[op.arguments["field"]].name),
    "encap": _encap,
    "decap": _plain(t.Decap, "packet_type"),
    "write_actions": lambda op: t.WriteActions(decompile(op.tail)),
    "clear_actions": _plain(t.ClearActions),
    "meter": _plain(t.Meter, "meter"),
    "unroll": _plain(t.UnrollXlate, "table", "cookie"),
    "debug_recirc": _plain(t.DebugRecirc),
    "debug_slow": _plain(t.DebugSlow),
}


def decompile_op(op: UnpackedOp) -> t.Action:
    """The action that does what one op does."""
    return _MAKERS[op.name](op)


def decompile(ops: bytes) -> t.Actions:
    """The actions that do what ops do; zeros end them."""
    return tuple(map(decompile_op, unpack_ops(ops)))
