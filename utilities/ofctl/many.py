"""Many flows of few shapes: their flow_mods without reading each as if it were the only one.

`Maker` lets C make the flow_mods of a file (`vswitchd.openflow.quick.shapes`); flows of
shapes that are new or odd are read and encoded the usual way. Flow_mods are made for one flow
format, which hangs on what all flows need: where another turns out to be the one, all is made anew.
Only ovs-ofctl uses it.
"""

from collections.abc import Callable
from typing import NamedTuple

from utilities.ofctl.protocol import ANY
from vswitchd.openflow.quick.shapes import END, LIBRARY, NEW, Teacher, make_shapes
from vswitchd.openflow.text import FlowTextError, ParsedFlow

LEAST = 200                     # lines for which this is worth the while
_PLAIN = bytes((9, 10, *range(32, 127)))


class LineError(Exception):
    """A flow that cannot be read: the number of its line and what is wrong."""


class Made(NamedTuple):
    """The flow_mods of a file, one behind the other and with transaction id 0, how many they are,
    and the flow format that they are for; usable: those that can carry all flows."""

    messages: bytes
    count: int
    chosen: int
    usable: int


def is_for_many(data: bytes) -> bool:
    """True if a `Maker` can have the text of a file, and that is worth the while."""
    return (LIBRARY is not None and data.count(b"\n") >= LEAST
            and not data.translate(None, _PLAIN))


class Maker:
    """Makes flow_mods of lines.

    read(line, tell) reads one the usual way; if `tell`, it says what is odd about it. Returns the
    flow and whether nothing was. Raises FlowTextError.
    choose(usable) is the flow format to use where those in `usable` can carry all flows.
    encode(flow, chosen) makes a flow_mod with transaction id 0.
    """

    def __init__(self, read: Callable[[str, bool], tuple[ParsedFlow, bool]],
                 choose: Callable[[int], int], encode: Callable[[ParsedFlow, int], bytes]) -> None:
        self._read, self._choose, self._encode = read, choose, encode
        self._told = 0              # up to where what is odd has been told

    def make(self, data: bytes, choose: Callable[[int], int] | None = None) -> Made:
        """The flow_mods of a text that `is_for_many`. Raises LineError."""
        self._choose = choose or self._choose
        usable, made = ANY, None
        while made is None:
            made, usable = self._make(data, usable)
        return made

    def _make(self, data: bytes, usable: int) -> tuple[Made | None, int]:
        """The same for the format that `usable` lets it choose; None where that was not right, and
        what is usable."""
        chosen = self._choose(usable)
        shapes = make_shapes()

        def make_one(line: bytes) -> tuple[bytes, int]:
            flow, _ = self._read(line.decode(), False)
            return self._encode(flow, chosen), flow.usable

        teacher = Teacher(shapes, make_one)
        at = count = 0
        messages: list[bytes] = []
        while True:
            more, at, n, common, stop = shapes.read(data, at)
            messages.append(more)
            count += n
            usable &= common
            if stop == END:
                return Made(b"".join(messages), count, chosen, usable), usable
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            line = data[at:end].partition(b"#")[0].strip()
            try:
                flow, is_plain = self._read(line.decode(), at >= self._told)
            except FlowTextError as error:
                raise LineError(data.count(b"\n", 0, at) + 1, str(error)) from None
            at = end
            self._told = max(self._told, at)
            usable &= flow.usable
            if self._choose(usable) != chosen:
                return None, usable
            if chosen:
                messages.append(self._encode(flow, chosen))
                count += 1
                if stop == NEW:
                    teacher.teach(line, is_plain)


def message_at(messages: bytes, index: int) -> bytes:
    """One of messages that lie one behind the other."""
    at = 0
    for _ in range(index):
        at += int.from_bytes(messages[at + 2:at + 4], "big")
    return messages[at:at + int.from_bytes(messages[at + 2:at + 4], "big")]
