"""Tunnel options: which Geneve option tun_metadataN is, and where it lies in the flow struct.

Each bridge has a `TlvMap`, changed by NXT_TLV_TABLE_MOD. The flow struct has 256 bytes for options
and a bit per option that says it is there; `PLACES` tells where option N lies. Places are those of
the process: bridges that map the same N to options of one length share its place, and one that asks
for another length finds the table full. `chunks` says the bits of a field as bits of the library's
16-byte pieces of that space (OPTION_SPACE of schema/flow/fields.py). Control task only.
"""

from collections.abc import Iterable
from typing import NamedTuple

from schema.flow.fields import OPTION_CHUNK, OPTION_FIELD_ID, OPTION_PRESENT_ID
from vswitchd.openflow.error import OpenFlowError

SPACE, MAX_FIELDS = 256, 64
_PREFIX = "tun_metadata"


class Place(NamedTuple):
    """Where an option lies: byte offset and size."""

    offset: int
    size: int


class Chunk(NamedTuple):
    """`n_bits` bits at `offset` of library field `field`, which are those from bit `start` of the
    option's field on."""

    field: int
    offset: int
    n_bits: int
    start: int


PLACES: dict[int, Place] = {}           # of options that some bridge has
_users: dict[int, int] = {}             # how many bridges


def option_number(name: str) -> int | None:
    """N of tun_metadataN, None for another field."""
    return int(name[len(_PREFIX):]) if name.startswith(_PREFIX) else None


def place_of(number: int) -> Place:
    """The place of an option. Raises OpenFlowError where it is not mapped."""
    place = PLACES.get(number)
    if place is None:
        raise OpenFlowError("NXFMFC_INVALID_TLV_FIELD")
    return place


def chunks(name: str, offset: int, n_bits: int) -> list[Chunk]:
    """The bits of an option's field, those that its option has, lowest first."""
    place = place_of(option_number(name))
    found, bit, end = [], offset, min(offset + n_bits, place.size * 8)
    while bit < end:
        byte = place.offset + place.size - 1 - bit // 8
        piece, within = divmod(byte, OPTION_CHUNK)
        at = (OPTION_CHUNK - 1 - within) * 8 + bit % 8
        count = min(end - bit, OPTION_CHUNK * 8 - at)
        found.append(Chunk(OPTION_FIELD_ID + piece, at, count, bit))
        bit += count
    return found


def present(name: str) -> Chunk:
    """The bit that says that an option is there."""
    number = option_number(name)
    place_of(number)
    return Chunk(OPTION_PRESENT_ID, number, 1, 0)


def _free(size: int) -> int | None:
    """Room for an option: as far as it can be, within one piece of the space."""
    taken = sorted(PLACES.values())
    for offset in range(0, SPACE - size + 1, 4):
        if size <= OPTION_CHUNK and offset // OPTION_CHUNK != (offset + size - 1) // OPTION_CHUNK:
            continue
        if all(offset + size <= place.offset or place.offset + place.size <= offset
               for place in taken):
            return offset
    return None


class TlvMap:
    """The options of one bridge: {N: (class, type, length)}."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[int, int, int]] = {}

    def told(self) -> tuple[tuple[int, int, int, int], ...]:
        """The rows as a reply has them."""
        return tuple((*row, number) for number, row in sorted(self.rows.items()))

    def add(self, maps: Iterable[tuple[int, int, int, int]]) -> None:
        """Maps options to fields, all or none. Raises OpenFlowError."""
        before = dict(self.rows)
        try:
            for option_class, kind, size, number in maps:
                if number in self.rows:
                    raise OpenFlowError("NXTTMFC_ALREADY_MAPPED")
                if any(row[:2] == (option_class, kind) for row in self.rows.values()):
                    raise OpenFlowError("NXTTMFC_DUP_ENTRY")
                self._take(number, size)
                self.rows[number] = (option_class, kind, size)
        except OpenFlowError:
            self.remove(set(self.rows) - set(before))
            raise

    def _take(self, number: int, size: int) -> None:
        place = PLACES.get(number)
        if place is None:
            offset = _free(size)
            if offset is None or sum(row[2] for row in self.rows.values()) + size > SPACE:
                raise OpenFlowError("NXTTMFC_TABLE_FULL")
            PLACES[number] = Place(offset, size)
        elif place.size != size:
            raise OpenFlowError("NXTTMFC_TABLE_FULL")
        _users[number] = _users.get(number, 0) + 1

    def remove(self, numbers: Iterable[int]) -> None:
        """Forgets fields; those that are not mapped do not matter."""
        for number in list(numbers):
            if self.rows.pop(number, None) is not None:
                _users[number] -= 1
                if not _users[number]:
                    del PLACES[number], _users[number]
