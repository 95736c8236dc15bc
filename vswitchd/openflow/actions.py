"""OpenFlow actions and instructions: wire <-> values, in every version.

decode_actions(data, version) -> tuple of actions     a list (packet-out, bucket, OF1.0 flow)
decode_instructions(data, version) -> tuple           the instructions of a flow, in one list
encode_actions(actions, version) -> bytes
encode_instructions(actions, version) -> bytes        OF1.0: an action list, else instructions

version is the wire's version byte, 1 for OpenFlow 1.0 to 6 for 1.5. The values are those of
`action_types`. Decoders raise OpenFlowError and nothing else; its `log` holds the WARN lines of the
reference's module ofp_actions, its `offset` the place. `action_order.verify` checks order and
nesting, `consistency.py` actions against a match. Fixed layouts come from
schema/openflow/actions.py. Any thread.
"""

from vswitchd.openflow.action_decoder import decode_actions, decode_instructions
from vswitchd.openflow.action_encoder import encode_actions, encode_instructions

__all__ = ["decode_actions", "decode_instructions", "encode_actions", "encode_instructions"]
