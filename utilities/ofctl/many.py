"""Many flows of few shapes: their flow_mods without reading each as if it were the only one.

Files of flows repeat themselves: the same keys in the same order, with other numbers. `Reader`
reads the first flow of a shape the usual way and makes a pattern of it; lines that the pattern
matches only yield their numbers. `Sender` finds out where the numbers lie in the shape's flow_mod
by encoding it with others, and makes a layout of what stays the same. A shape that does not behave
is left to the usual way, so nothing here says what a flow means. Only ovs-ofctl uses it.
"""

import re
import struct
from collections.abc import Callable
from socket import inet_aton
from typing import NamedTuple

from vswitchd.openflow.text import ParsedFlow

LEAST = 200                     # flows for which this is worth the while
_MOST_SHAPES = 64
_NUMBER = r"(0|[1-9][0-9]{0,9})"
_OCTET = r"(?:0|[1-9][0-9]{0,2})"
_ADDRESS = rf"((?:{_OCTET}\.){{3}}{_OCTET})"
_MAC = "(" + ":".join(["[0-9a-fA-F]{2}"] * 6) + ")"
_ITEM = re.compile(r"[a-z0-9_]+(=[^,\s=]+)?")
_HEADER = 8


class _Kind(NamedTuple):
    """How a number is written: its pattern, what `struct` calls it, how it is read, and the texts
    of its least and greatest value."""

    pattern: str
    code: str
    read: Callable
    least: str
    greatest: str

    @property
    def size(self) -> int:
        return struct.calcsize("!" + self.code)


_ADDRESS_KIND = _Kind(_ADDRESS, "4s", inet_aton, "0.0.0.0", "255.255.255.255")
_MAC_KIND = _Kind(_MAC, "6s", lambda text: bytes.fromhex(text.replace(":", "")),
                  "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff")
_PORT_KIND = _Kind(_NUMBER, "H", int, "0", "65535")


def _read_table(text: str) -> int:
    if len(text) > 3 or int(text) > 253:
        raise ValueError
    return int(text)


_KINDS = {
    "table": _Kind(_NUMBER, "B", _read_table, "0", "253"), "priority": _PORT_KIND,
    "nw_src": _ADDRESS_KIND, "nw_dst": _ADDRESS_KIND, "dl_src": _MAC_KIND, "dl_dst": _MAC_KIND,
    **{f"{protocol}_{end}": _PORT_KIND for protocol in ("tp", "tcp", "udp", "sctp")
       for end in ("src", "dst")},
}


class Shape:
    """The keys of a flow: `parts` and, between them, numbers of `kinds`; then the actions."""

    def __init__(self, parts: list[str], kinds: list[_Kind], end: str) -> None:
        self.parts, self.kinds = parts, kinds
        body = "".join(re.escape(part) + kind.pattern for part, kind in zip(parts, kinds))
        self.pattern = re.compile(body + re.escape(parts[-1]) + end + "(.+)")
        self.end = end
        self.reads = [kind.read for kind in kinds]
        self.usable: dict[str, int] = {}        # of lists of actions

    def line(self, texts: list[str], actions: str) -> str:
        """A flow of this shape."""
        return "".join(part + text for part, text in zip(self.parts, texts)) + (
            self.parts[-1] + self.end + actions)


class Flow(NamedTuple):
    """A flow whose shape is known."""

    shape: Shape
    values: list
    actions: str
    line: str

    @property
    def usable(self) -> int:
        return self.shape.usable[self.actions]


def shape_of(line: str) -> Shape | None:
    """The shape of a line, None for one that is not simple."""
    head, end, actions = line.partition("actions=")
    if not end or not actions or "action" in head or not head.endswith(","):
        return None
    parts, kinds, text, seen = [], [], "", set()
    for item in head[:-1].split(","):
        if not _ITEM.fullmatch(item):
            return None
        key, equals, value = item.partition("=")
        if key in seen:
            return None
        seen.add(key)
        kind = _KINDS.get(key) if equals else None
        number, slash, mask = value.partition("/")
        if kind is None or slash and (kind is not _ADDRESS_KIND or not mask.isdecimal()):
            text += item + ","
            continue
        if not re.fullmatch(kind.pattern, number):
            return None
        parts.append(text + key + "=")
        kinds.append(kind)
        text = slash + mask + ","
    return Shape([*parts, text], kinds, end)


class Reader:
    """Reads lines; `parse` is the usual way, which also says whether a flow may be repeated."""

    def __init__(self, parse: Callable[[str], tuple[ParsedFlow, bool]]) -> None:
        self._parse = parse
        self._shapes: list[Shape] = []

    def read(self, line: str) -> "Flow | ParsedFlow":
        """One flow. Raises what `parse` raises."""
        for index, shape in enumerate(self._shapes):
            match = shape.pattern.fullmatch(line)
            if match is None:
                continue
            *texts, actions = match.groups()
            if index:
                self._shapes.insert(0, self._shapes.pop(index))
            if actions not in shape.usable:
                return self._learn(line, shape, actions)
            try:
                return Flow(shape, [read(text) for read, text in zip(shape.reads, texts)], actions,
                            line)
            except (ValueError, OSError):
                return self._parse(line)[0]
        shape = shape_of(line) if len(self._shapes) < _MOST_SHAPES else None
        if shape is None:
            return self._parse(line)[0]
        self._shapes.insert(0, shape)
        return self._learn(line, shape, line.partition("actions=")[2])

    def _learn(self, line: str, shape: Shape, actions: str) -> ParsedFlow:
        flow, may_repeat = self._parse(line)
        if may_repeat:
            shape.usable[actions] = flow.usable
        return flow


class _Layout(NamedTuple):
    """A flow_mod up to its actions: `pack`(length, number, *values) makes it; `masks` of addresses
    that are not asked for whole, by index of the value."""

    pack: Callable[..., bytes]
    masks: tuple[tuple[int, int], ...]
    tails: dict[str, bytes]             # actions as they are encoded
    size: int


class Sender:
    """Encodes flows for one flow format; `encode` is the usual way, from a line to a flow_mod with
    transaction id 0."""

    def __init__(self, encode: Callable[[str], bytes]) -> None:
        self._encode = encode
        self._layouts: dict[Shape, _Layout | None] = {}

    def encode(self, flow: Flow, number: int) -> bytes | None:
        """The flow_mod of transaction id `number`, None if it is for the usual way."""
        if flow.shape not in self._layouts:
            self._layouts[flow.shape] = self._find_layout(flow)
        layout = self._layouts[flow.shape]
        if layout is None:
            return None
        tail = layout.tails.get(flow.actions)
        if tail is None:
            tail = self._encode(flow.line)[layout.size:]
            layout.tails[flow.actions] = tail
        values = flow.values
        if layout.masks:
            values = [*values]
            for index, mask in layout.masks:
                values[index] = (int.from_bytes(values[index], "big") & mask).to_bytes(4, "big")
        try:
            return layout.pack(layout.size + len(tail), number, *values) + tail
        except struct.error:
            return None

    def _find_layout(self, flow: Flow) -> _Layout | None:
        """How the flow_mods of a shape look, None if it is not so simple."""
        shape = flow.shape
        least = [kind.least for kind in shape.kinds]
        plain = self._encode(shape.line(least, flow.actions))
        places, masks = [], []
        for index, kind in enumerate(shape.kinds):
            texts = least[:]
            texts[index] = kind.greatest
            other = self._encode(shape.line(texts, flow.actions))
            changed = [at for at in range(min(len(plain), len(other))) if plain[at] != other[at]]
            if len(other) != len(plain) or not changed or changed[0] < _HEADER:
                return None
            at, size = changed[0], kind.size
            if changed[-1] >= at + size or any(plain[at:at + size]):
                return None
            if kind is _ADDRESS_KIND:
                mask = int.from_bytes(other[at:at + 4], "big")
                if mask != 0xffffffff:
                    masks.append((index, mask))
            elif other[at:at + size] != struct.pack("!" + kind.code, kind.read(kind.greatest)):
                return None
            places.append((at, index))
        size = _size_of_head(plain)
        order = [index for _, index in sorted(places)]
        code, pieces, at = "!", [], 8
        for start, index in sorted(places):
            if start < at or start + shape.kinds[index].size > size:
                return None
            code += f"{start - at}s{shape.kinds[index].code}"
            pieces.append(plain[at:start])
            at = start + shape.kinds[index].size
        pack = struct.Struct(code + f"{size - at}s").pack
        head, last = plain[:2], plain[at:size]
        header = struct.Struct("!2sHI").pack

        def make(length: int, number: int, *values) -> bytes:
            row = []
            for piece, index in zip(pieces, order):
                row += piece, values[index]
            return header(head, length, number) + pack(*row, last)

        layout = _Layout(make, tuple(masks), {}, size)
        self._layouts[flow.shape] = layout
        return layout if self.encode(flow, 0) == self._encode(flow.line) else None


def _size_of_head(message: bytes) -> int:
    """Bytes of a flow_mod in front of its actions."""
    if message[0] == 1 and message[1] == 14:
        return 72
    at = 40 if message[0] == 1 else 50
    length = int.from_bytes(message[at:at + 2], "big")
    return 48 + length + -length % 8
