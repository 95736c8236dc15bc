"""Programs -> actions, for rules that the library has learned by itself.

A rule made by a learn op has no source actions: its source is `MARK` and its ops, of the few kinds
that learning makes. `unpack_learned` turns them into the actions that the reference shows: loads,
outputs and fin_timeout. Any thread.
"""

import struct

from schema.flow.fields import FIELDS
from schema.flow.ops import OP
from vswitchd.openflow.action_types import Action, Actions, FinTimeout, Output, SetField

MARK = b"\0L"
_HEAD = struct.Struct("=HHHH")
_SET_FIELD = struct.Struct("=HHI16s16s")
_FIELDS = {row.id: row for row in FIELDS}


def unpack_learned(source: bytes) -> Actions:
    """The actions of a source that begins with MARK. Raises ValueError for another op."""
    ops, found, at = source[len(MARK):], [], 0
    while at < len(ops):
        code, size, _, _ = _HEAD.unpack_from(ops, at)
        if not size:            # Zeros up to the end.
            break
        found.append(_action(code, ops[at + _HEAD.size:at + size]))
        at += size
    return tuple(found)


def _action(code: int, body: bytes) -> Action:
    if code == OP["output"]:
        return Output(struct.unpack_from("=I", body)[0])
    if code == OP["fin_timeout"]:
        return FinTimeout(*struct.unpack_from("=HH", body))
    if code == OP["set_field"]:
        number, _, _, value, mask = _SET_FIELD.unpack_from(body)
        field = _FIELDS[number]
        bits, care = (int.from_bytes(part[:field.container], "big") >> field.shift
                      for part in (value, mask))
        return SetField(field.name, bits, care, load=True)
    raise ValueError(f"op {code} cannot be learned")
