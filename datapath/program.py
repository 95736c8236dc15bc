"""Programs: compiled OpenFlow actions, packed as the ops of schema/flow/ops.py.

`pack_op` makes one op, `unpack_ops` reads them back; a program is the concatenation of its ops.
Layouts are derived from the op table: nothing here knows a code or an offset. Pure Python, needs no
compiled library; any thread.
"""

import struct
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from schema.flow.ops import OP, OPS

NO_SOURCE = 0xffff
_HEAD = struct.Struct("<HHHH") if struct.pack("=H", 1) == b"\1\0" else struct.Struct(">HHHH")
_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "subfield": "HHHH", "bits": "16s"}


class Subfield(NamedTuple):
    """Bits `ofs` .. `ofs + n_bits - 1` of a field, by the field's id."""

    field: int
    ofs: int
    n_bits: int


class _Layout(NamedTuple):
    code: int
    fixed: struct.Struct
    arguments: tuple[tuple[str, str], ...]
    tail: str
    has_count: bool


@cache
def _layout(name: str) -> _Layout:
    op = OPS[OP[name] - 1]
    codes = "".join(_CODES[kind] for _, kind in op.arguments)
    named = tuple((key, kind) for key, kind in op.arguments)
    return _Layout(OP[name], struct.Struct("=" + codes), named, op.tail,
                   any(key == "n" for key, _ in named))


def pack_op(name: str, source: int = NO_SOURCE, tail: bytes | tuple[int, ...] = b"",
            **arguments) -> bytes:
    """One op: arguments by the names of the table (missing ones are 0), Subfields for `subfield`,
    bytes of a container for `bits`. `tail`: packed ops, bytes, or numbers for u16s and u32s; the
    argument `n` is its number of elements. Raises TypeError for an unknown argument."""
    layout = _layout(name)
    if isinstance(tail, tuple):
        count = len(tail)
        tail = struct.pack(f"={count}{'H' if layout.tail == 'u16s' else 'I'}", *tail)
    else:
        count = len(tail)
    if layout.has_count:
        arguments["n"] = count
    values: list = []
    for key, kind in layout.arguments:
        value = arguments.pop(key, 0)
        if kind == "subfield":
            values.extend((*value, 0) if value else (0, 0, 0, 0))
        elif kind == "bits":
            values.append(value or b"")
        else:
            values.append(value)
    if arguments:
        raise TypeError(f"{name} has no argument {next(iter(arguments))}")
    body = layout.fixed.pack(*values) + tail
    size = _HEAD.size + len(body)
    padding = -size % 8
    return _HEAD.pack(layout.code, size + padding, source, 0) + body + bytes(padding)


class UnpackedOp(NamedTuple):
    """One op: `arguments` by name (subfields as tuples, `bits` as bytes), `tail` with padding."""

    name: str
    source: int
    flags: int
    arguments: dict[str, int | bytes | tuple[int, int, int]]
    tail: bytes


def unpack_ops(ops: bytes) -> Iterator[UnpackedOp]:
    """The ops of a program, up to its end or to zeros."""
    at = 0
    while at < len(ops):
        code, size, source, flags = _HEAD.unpack_from(ops, at)
        if not size:
            return
        name = OPS[code - 1].name
        layout = _layout(name)
        values = iter(layout.fixed.unpack_from(ops, at + _HEAD.size))
        arguments: dict[str, int | bytes | tuple[int, int, int]] = {}
        for key, kind in layout.arguments:
            if kind == "subfield":
                arguments[key] = (next(values), next(values), next(values))
                next(values)
            else:
                arguments[key] = next(values)
        yield UnpackedOp(name, source, flags, arguments,
                         ops[at + _HEAD.size + layout.fixed.size:at + size])
        at += size
