"""Matches and flows in the library's form: values and masks laid out as `struct flow`.

`pack_match` turns {field: (value, mask)} with the names of schema/flow/fields.py into two byte
strings, `unpack_flow` reads fields of a flow. Integers are host values of a field's own width; all
that is known about places comes from the field table. Pure Python, needs no compiled library; any
thread.
"""

from collections.abc import Mapping
from functools import cache

from schema.flow.fields import FIELD, FLOW_SIZE, MEMBER, OFFSET, VLAN_PRESENT, Field

Match = Mapping[str, tuple[int, int]]


class MatchError(ValueError):
    """A field has no place in the flow struct (tun_metadataN without a TLV map)."""


@cache
def place(name: str) -> tuple[int, int, int, int]:
    """(offset, container size, shift, all ones) of a field. Raises MatchError, KeyError."""
    field: Field = FIELD[name]
    if field.where is None:
        raise MatchError(f"{name} has no place in a flow")
    return field.offset, field.container, field.shift, (1 << field.width) - 1


def put(flow: bytearray, name: str, value: int) -> None:
    """Adds the bits of a field's value to a struct flow. Bits beyond its place are dropped."""
    offset, size, shift, ones = place(name)
    old = int.from_bytes(flow[offset:offset + size], "big")
    flow[offset:offset + size] = (old | (value & ones) << shift).to_bytes(size, "big")


def get(flow: bytes, name: str) -> int:
    """The value of a field in a struct flow."""
    offset, size, shift, ones = place(name)
    return int.from_bytes(flow[offset:offset + size], "big") >> shift & ones


def get_member(flow: bytes, name: str) -> int:
    """The value of a member of struct flow as one big-endian number."""
    row = MEMBER[name]
    start = OFFSET[name]
    return int.from_bytes(flow[start:start + row.size * row.count], "big")


def _put_member(flow: bytearray, name: str, value: int) -> None:
    row = MEMBER[name]
    start, size = OFFSET[name], row.size * row.count
    old = int.from_bytes(flow[start:start + size], "big")
    flow[start:start + size] = (old | value).to_bytes(size, "big")


def pack_match(match: Match) -> tuple[bytes, bytes]:
    """(value, mask) of a match, each FLOW_SIZE bytes; value is 0 wherever mask is.

    The VLAN forms mean what ovs-fields(7) says: dl_vlan 0xffff is no tag; any other dl_vlan, and
    dl_vlan_pcp, and vlan_vid with bit 0x1000, is a tag that is present.
    """
    value, mask = bytearray(FLOW_SIZE), bytearray(FLOW_SIZE)
    for name, (bits, care) in match.items():
        canonical = FIELD[name].name
        if canonical == "dl_vlan":
            if bits == 0xffff:
                _put_member(mask, "vlan0_tci", 0xffff)
            else:
                _put_member(value, "vlan0_tci", (bits & 0xfff) | VLAN_PRESENT)
                _put_member(mask, "vlan0_tci", 0x1fff)
        elif canonical == "vlan_vid":
            _put_member(value, "vlan0_tci", bits & care & 0x1fff)
            _put_member(mask, "vlan0_tci", care & 0x1fff)
        elif canonical in ("dl_vlan_pcp", "vlan_pcp"):
            _put_member(value, "vlan0_tci", (bits & 7) << 13 | VLAN_PRESENT)
            _put_member(mask, "vlan0_tci", 0xe000 | VLAN_PRESENT)
        elif canonical in ("in_port", "in_port_oxm"):
            _put_member(value, "in_port", bits & 0xffff)
            _put_member(mask, "in_port", 0xffffffff)
        else:
            _, _, _, ones = place(canonical)
            put(value, canonical, bits & care)
            put(mask, canonical, care & ones)
    return bytes(value), bytes(mask)


def unpack_flow(flow: bytes, names: tuple[str, ...]) -> dict[str, int]:
    """The values of the named fields."""
    return {name: get(flow, name) for name in names}
