"""What every family of messages needs: properties, bit names, hex dumps, the style of texts.

Used by the modules of this package and by `vswitchd.openflow.print`; pure.
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from schema.openflow.limits import PORT11_OFFSET, PORT_MAX, PORT_NAMES
from schema.openflow.messages import OF10
from vswitchd.openflow.framing import OpenFlowError


class Property(NamedTuple):
    """One property: its type and what follows its four-byte header, without padding.

    experimenter, exp_type: of an experimenter property, else 0; `body` then begins after them.
    """

    type: int
    body: bytes
    experimenter: int = 0
    exp_type: int = 0


NO_ERROR_NAME = "<invalid>"
"""What the reference names as the error where a message ends before its only entry."""

EXPERIMENTER = 0xFFFF
"""Type of the properties of experimenters."""


def read_properties(data: bytes, alignment: int = 8, experimenters: int = EXPERIMENTER,
                    ) -> Iterator[Property]:
    """Yields the properties of `data`.

    experimenters: the first type whose body begins with an experimenter and a type of his.
    Raises OpenFlowError(OFPBPC_BAD_LEN), and OFPBPC_BAD_EXPERIMENTER for experimenter 0.
    """
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 4:
            raise OpenFlowError("OFPBPC_BAD_LEN")
        kind, size = struct.unpack_from("!HH", data, offset)
        padded = (size + alignment - 1) // alignment * alignment
        if size < 4 or padded > end - offset:
            raise OpenFlowError("OFPBPC_BAD_LEN")
        body = data[offset + 4:offset + size]
        if kind >= experimenters:
            if len(body) < 8:
                raise OpenFlowError("OFPBPC_BAD_LEN")
            experimenter, exp_type = struct.unpack_from("!II", body)
            if not experimenter:
                raise OpenFlowError("OFPBPC_BAD_EXPERIMENTER")
            yield Property(kind, body[8:], experimenter, exp_type)
        else:
            yield Property(kind, body)
        offset += padded


def unknown_property(prop: Property, what: str, module: str) -> OpenFlowError:
    """The error of a property that a message called `what` must not have."""
    if prop.experimenter:
        return OpenFlowError(
            "OFPBPC_BAD_EXP_TYPE",
            f"unknown {what} property type for exp_id 0x{prop.experimenter:x}, "
            f"exp_type {prop.exp_type}", module)
    return OpenFlowError("OFPBPC_BAD_TYPE", f"unknown {what} property type {prop.type}", module)


def property_number(body: bytes, size: int) -> int:
    """The number that a property's body is: of `size` bytes, with padding as the sizes have it."""
    start, exact = {4: (0, 4), 8: (4, 12)}.get(size, (0, 0))
    if len(body) < start + size or exact and len(body) != exact:
        raise OpenFlowError("OFPBPC_BAD_LEN")
    return int.from_bytes(body[start:start + size], "big")


def pack_property(kind: int, body: bytes, alignment: int = 8) -> bytes:
    """One property with its header and its padding."""
    size = 4 + len(body)
    return struct.pack("!HH", kind, size) + body + bytes(-size % alignment)


def pack_properties(properties) -> bytes:
    return b"".join(pack_property(prop.type, prop.body) for prop in properties)


def describe_bits(bits: int, names, separator: str = " ") -> str:
    """Names the bits that are set, lowest first; what has no name is added as one hex number.

    names: (mask, name) rows, lowest mask first.
    """
    if not bits:
        return "0"
    words = []
    for mask, name in names:
        if bits & mask:
            words.append(name)
            bits &= ~mask
    if bits:
        words.append(f"0x{bits:x}")
    return separator.join(words)


def hash_hex(number: int, width: int = 0) -> str:
    """Hexadecimal with 0x in front, except for zero; right-aligned in `width`."""
    return (f"{number:#x}" if number else "0").rjust(width)


def hex_dump(data: bytes, characters: bool = True) -> str:
    """The classic dump: offset, sixteen bytes with a dash in the middle, characters if wanted."""
    lines = []
    for start in range(0, len(data), 16):
        row = data[start:start + 16]
        cells = "".join(
            f"{c:02x}{'-' if i == 7 else ' '}" for i, c in enumerate(row))
        cells += "   " * (16 - len(row))
        if not characters:
            lines.append(f"{start:08x}  {cells.rstrip(' -')}\n")
            continue
        text = "".join(chr(c) if 0x20 <= c < 0x7F else "." for c in row)
        lines.append(f"{start:08x}  {cells}|{text:<16}|\n")
    return "".join(lines)


class Style:
    """How a message is to be shown.

    data: the whole message; nested: shows a message (data, verbosity if another) within the
    message; port_names, table_names: {number: name} or None; verbosity: 0 and up; warn, note: told
    (module, text).
    """

    __slots__ = ("data", "version", "verbosity", "port_names", "table_names", "nested", "warn",
                 "note")

    def __init__(self, data: bytes = b"", version: int = OF10, verbosity: int = 0,
                 port_names: dict[int, str] | None = None,
                 table_names: dict[int, str] | None = None,
                 nested: Callable[..., str] = lambda data, verbosity=0: "",
                 warn: Callable[[str, str], None] = lambda module, text: None,
                 note: Callable[[str, str], None] = lambda module, text: None) -> None:
        self.data = data
        self.version = version
        self.verbosity = verbosity
        self.port_names = port_names
        self.table_names = table_names
        self.nested = nested
        self.warn = warn
        self.note = note

    def port(self, number: int) -> str:
        return format_port(number, self.port_names)

    def table(self, number: int) -> str:
        return format_table(number, self.table_names)


def port_from_wire(number: int) -> int:
    """OpenFlow 1.1+ port -> 16 bits.  Raises OpenFlowError if it is in between."""
    if number < PORT_MAX:
        return number
    if number >= PORT_MAX + PORT11_OFFSET:
        return number - PORT11_OFFSET
    raise OpenFlowError(
        "OFPBAC_BAD_OUT_PORT",
        f"port {number} is outside the supported range 0 through {PORT_MAX - 1} or "
        f"0x{PORT_MAX + PORT11_OFFSET:x} through 0xffffffff", "ofp_port")


def port_to_wire(number: int) -> int:
    """16-bit port -> OpenFlow 1.1+."""
    return number if number < PORT_MAX else number + PORT11_OFFSET


def read_port(data: bytes, offset: int, version: int) -> int:
    """The port at `offset`: 16 bits in OpenFlow 1.0, 32 later."""
    if version == OF10:
        return int.from_bytes(data[offset:offset + 2], "big")
    return port_from_wire(int.from_bytes(data[offset:offset + 4], "big"))


def needs_quotes(name: str) -> bool:
    """Whether a name of a port or table must be quoted to be read back."""
    if not name or not (name[0].isalpha() or name[0] in "_" ) or not name.isascii():
        return True
    return not all(c.isalnum() or c == "_" for c in name) or name.upper() in _RESERVED


_RESERVED = frozenset(PORT_NAMES.values()) | {"NONE"}


def quote_name(name: str) -> str:
    """`name`, as a JSON string if it could be misread."""
    if not needs_quotes(name):
        return name
    escapes = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
               "\t": "\\t"}
    return '"' + "".join(escapes.get(c) or (c if c >= " " else f"\\u{ord(c):04x}")
                         for c in name) + '"'


def format_port(number: int, names: dict[int, str] | None = None) -> str:
    """The port's reserved name, its name of `names`, or its number."""
    if number in PORT_NAMES:
        return PORT_NAMES[number]
    if names and number in names:
        return quote_name(names[number])
    return str(number)


def format_table(number: int, names: dict[int, str] | None = None) -> str:
    """The table's name or number."""
    if names and number in names:
        return quote_name(names[number])
    return str(number)


def format_duration(seconds: int, nanoseconds: int) -> str:
    """Seconds; with whole milliseconds three decimals, else as many as it takes."""
    if not nanoseconds:
        return f"{seconds}"
    if nanoseconds % 1000000 == 0:
        return f"{seconds}.{nanoseconds // 1000000:03d}"
    return f"{seconds}.{nanoseconds:09d}".rstrip("0")


def format_mac(data: bytes) -> str:
    return data.hex(":")


def strip_name(data: bytes) -> str:
    """A fixed-size name: up to the first zero byte."""
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def pack_name(name: str, size: int) -> bytes:
    """A name in a field of `size` bytes, always zero terminated."""
    return name.encode("utf-8", "surrogateescape")[:size - 1].ljust(size, b"\0")
