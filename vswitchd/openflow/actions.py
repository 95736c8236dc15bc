"""OpenFlow actions and instructions: wire <-> values, in every version.

decode_actions(data, version) -> tuple of actions     a list (packet-out, bucket, OF1.0 flow)
decode_instructions(data, version) -> tuple           the instructions of a flow, in one list
encode_actions(actions, version) -> bytes
encode_instructions(actions, version) -> bytes        OF1.0: an action list, else instructions
verify(actions, ...)                                  order and nesting, as the reference checks it

version is the wire's version byte, 1 for OpenFlow 1.0 to 6 for 1.5. The values are those of
`action_types`, whose names are all found here too. Decoders raise OpenFlowError and nothing else;
its `log` holds the WARN lines of the reference's module ofp_actions, its `offset` the place.
`consistency.py` checks actions against a match. Fixed layouts come from schema/openflow/actions.py.
Any thread.
"""

from vswitchd.openflow import action_types
from vswitchd.openflow.action_decoder import (
    MIN_TRUNC, allow_debug_actions, decode_actions, decode_instructions, hex_dump,
)
from vswitchd.openflow.action_encoder import encode_actions, encode_instructions
from vswitchd.openflow.action_layout import load, segments
from vswitchd.openflow.action_order import (
    INSTRUCTION_NAMES, NAME_OF, fields_set, instruction_of, subfield_problem, verify,
)
from vswitchd.openflow.action_types import (
    Action, Actions, Bundle, CheckPktLarger, ClearActions, Clone, Conjunction, Controller, Ct,
    CtClear, DebugRecirc, DebugSlow, DecMplsTtl, DecNshTtl, DecTtl, Decap, DeleteField, Encap,
    EncapNsh, EncapTlv, Enqueue, Exit, FinTimeout, GotoTable, Group, Learn, LearnSpec, Meter,
    Multipath, Nat, Note, Output, OutputReg, OutputTrunc, PopMpls, PopQueue, PushMpls, PushVlan,
    RegMove, Resubmit, Sample, SetEthDst, SetEthSrc, SetField, SetIpDscp, SetIpEcn, SetIpTtl,
    SetIpv4Dst, SetIpv4Src, SetL4DstPort, SetL4SrcPort, SetMplsLabel, SetMplsTc, SetMplsTtl,
    SetQueue, SetTunnel, SetVlanPcp, SetVlanVid, StackPop, StackPush, StripVlan, Subfield,
    UnrollXlate, Value, WriteActions, WriteMetadata,
)
from vswitchd.openflow.error import OpenFlowError

__all__ = [name for name in dir(action_types) if name[0].isupper()] + [
    "INSTRUCTION_NAMES", "MIN_TRUNC", "NAME_OF", "OpenFlowError", "allow_debug_actions",
    "decode_actions", "decode_instructions", "encode_actions", "encode_instructions",
    "fields_set", "hex_dump", "instruction_of", "load", "segments", "subfield_problem", "verify"]
