"""Continuations: what a packet that a controller was asked about still has to do.

The library says it as a frozen state: stack, action set and remaining ops. `describe` turns that
into a packet-in's private property, ops into the OpenFlow actions that they stem from;
`injection` compiles what comes back with NXT_RESUME and lets the packet go on. Control task only.
"""

from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

from datapath import face
from datapath.program import UnpackedOp, unpack_ops
from vswitchd.openflow import packed, source
from vswitchd.openflow.action_types import (
    Action, Actions, GotoTable, Resubmit, SetField, UnrollXlate, WriteMetadata,
)
from vswitchd.openflow.compile import compile_actions, number_actions
from vswitchd.openflow.decompile import decompile_op
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import IN_PORT
from vswitchd.openflow.match import Match
from vswitchd.openflow.messages.packet import (Continuation, PacketIn, decode_continuation,
                                               encode_continuation)

_OWNER = 1
_NO_ODP = 0xffffffff
_MARK = uuid4().int & ~0xffffffff       # bridges of this process: their handle in the low bits

Buckets = Callable[[int, int, int], Actions]    # actions of a bucket by bridge, group, index


def _bridge_uuid(handle: int) -> UUID:
    return UUID(int=_MARK | handle)


def _actions(ops: bytes, buckets: Buckets) -> Iterator[Action]:
    """The actions that ops stem from."""
    owner, last = (), None
    for op in unpack_ops(ops):
        if op.name == "unroll":
            owner, last = tuple(number_actions(_owner(op, buckets))), None
            if not op.flags & _OWNER:
                yield UnrollXlate(op.arguments["table"], op.arguments["cookie"])
        elif op.source < len(owner):
            if op.source != last:       # An action may have become several ops.
                yield _as_action(owner[op.source])
            last = op.source
        else:                           # The rule is gone, or it was no rule.
            yield _as_action(decompile_op(op))


def _as_action(action: Action) -> Action:
    """An instruction as what does the same in a list of actions."""
    match action:
        case GotoTable(table):
            return Resubmit(IN_PORT, table)
        case WriteMetadata(value, mask):
            return SetField("metadata", value, mask)
    return action


def _owner(op: UnpackedOp, buckets: Buckets) -> Actions:
    """The source actions of the rule or bucket that an op names."""
    group, bucket = op.arguments["group"], op.arguments["bucket"]
    if group:
        return buckets(group - 1 >> 32, group - 1 & 0xffffffff, bucket - 1)
    rule = face.rule(op.arguments["rule"]) if op.arguments["rule"] else None
    return source.unpack(rule.source) if rule else ()


def describe(record: bytes, odp: int | None, version: int, buckets: Buckets,
             ) -> tuple[bytes, bytes]:
    """(userdata, private property) of a paused packet. `record`: the upcall's data; `odp`: the
    datapath's number of its port, None if there is no such port."""
    state = face.unpack_frozen(record)
    value = Continuation(
        _bridge_uuid(state.bridge),
        tuple(entry.to_bytes(max(1, (n_bits + 7) // 8), "big")
              for entry, n_bits in reversed(state.stack)),
        state.mirrors, state.is_conntracked, tuple(_actions(state.ops, buckets)),
        tuple(_actions(state.action_set, buckets)), _NO_ODP if odp is None else odp)
    return state.userdata, encode_continuation(value, version)


def injection(value: PacketIn, version: int, find: Callable[[int], int]) -> face.Injection:
    """A resumed packet. `find`: the datapath of a bridge, 0 if it is gone. Raises OpenFlowError."""
    state = decode_continuation(value.private or bytes(4), version)
    bridge = state.bridge.int & 0xffffffff if state.bridge else 0
    dp = find(bridge) if bridge and state.bridge == _bridge_uuid(bridge) else 0
    if not dp:
        raise OpenFlowError("NXR_STALE")
    in_port = value.metadata.value("in_port") or 0
    flow, _ = packed.pack(Match({name: row for name, row in value.metadata.fields.items()
                                 if name not in ("in_port", "eth_type")}))
    stack = tuple((int.from_bytes(entry, "big"), 8 * len(entry))
                  for entry in reversed(state.stack) if 0 < len(entry) <= 16)
    program = face.pack_frozen(face.Frozen(
        bridge, 0, in_port, state.mirrors, state.conntracked, stack,
        compile_actions(state.action_set), compile_actions(state.actions)))
    return face.Injection(dp, bridge, _NO_ODP if state.odp_port is None else state.odp_port,
                          value.data, program, flow, is_resumed=True)
