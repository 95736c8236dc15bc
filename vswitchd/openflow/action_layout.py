"""The action table's layouts and code points, compiled, and what both directions share.

Used by `action_decoder.py` and `action_encoder.py`; `action_text.py` needs `load` and `segments`.
Any thread.
"""

import struct
from collections.abc import Iterable

from schema.openflow.actions import RAWS, VENDORS, Raw
from vswitchd.openflow.action_types import SetField, Subfield
from vswitchd.openflow.fields import INFO, Info

NX = VENDORS["NX"]
ONF = VENDORS["ONF"]
HEADER = struct.Struct("!HH")
U16, U32, U64 = struct.Struct("!H"), struct.Struct("!I"), struct.Struct("!Q")
LEARN = struct.Struct("!HHHQHBBHH")


class Layout:
    """A fixed layout behind a header of `base` bytes: reads and writes its members."""

    __slots__ = ("code", "size", "zeros", "names", "packed")

    def __init__(self, layout: str, base: int) -> None:
        at, code, zeros, names = base, "!", [], []
        for word in layout.split():
            if word[-1] in "xz":
                count = int(word[:-1])
                if word[-1] == "z":
                    zeros.append((at, at + count))
                code += f"{count}x"
                at += count
                continue
            kind, name = word.split(":")
            size = struct.calcsize("!" + kind)
            gap = 0 if kind.endswith("s") else -at % size
            code += f"{gap}x{kind}"
            at += gap + size
            names.append(name)
        self.size = at + 7 & ~7
        self.code = struct.Struct(code)
        self.zeros, self.names = tuple(zeros), tuple(names)
        self.packed = struct.Struct(f"{code}{self.size - at}x")


_LAYOUTS: dict[tuple[str, int], Layout] = {}


def layout_of(raw: Raw, base: int) -> Layout:
    """The layout of a raw action behind a header of `base` bytes."""
    key = (raw.layout, base)
    layout = _LAYOUTS.get(key)
    if layout is None:
        layout = _LAYOUTS[key] = Layout(raw.layout, base)
    return layout


def points_of(raw: Raw) -> Iterable[tuple[str, range, int]]:
    """Code points of a row: (vendor name, versions, type or subtype)."""
    for point in raw.points.split():
        where, _, number = point.rstrip("*").rstrip(")").partition("(")
        vendor = where.rstrip("0123456789.+-")
        low, _, high = where[len(vendor):].partition("-")
        first = int(low.rstrip("+")[2:]) + 1
        if low.endswith("+"):
            last = 6
        else:
            last = int(high[2:]) + 1 if high else first
        yield vendor, range(first, last + 1), int(number)


def _codes() -> dict[tuple[str, int], tuple[int, int]]:
    return {(raw.name, version): (VENDORS[vendor], number)
            for raw in RAWS for vendor, versions, number in points_of(raw)
            for version in versions}


CODES = _codes()                                 # (raw name, version) -> (vendor, number)
RAW: dict[str, Raw] = {raw.name: raw for raw in RAWS}


def load(dst: Subfield, value: int) -> SetField:
    """The action load:value->dst."""
    mask = ((1 << dst.n_bits) - 1) << dst.offset
    return SetField(dst.field, value << dst.offset & mask, mask, True)


def segments(action: SetField) -> Iterable[tuple[Subfield, int]]:
    """Cuts a set_field into loads of at most 64 contiguous bits, lowest first."""
    info = INFO[action.field]
    mask = action.mask & info.significant
    at = 0
    while mask >> at:
        rest = mask >> at
        at += (rest & -rest).bit_length() - 1
        rest = mask >> at
        run = (~rest & rest + 1).bit_length() - 1
        n_bits = min(run, 64)
        yield Subfield(info.name, at, n_bits), action.value >> at & (1 << n_bits) - 1
        at += n_bits
