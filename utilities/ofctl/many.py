"""ovs-ofctl add-flows: many flows are often of few shapes, and need not all be read one by one.

`Maker` lets C make the flow_mods of a file by shapes (`vswitchd.openflow.quick.shapes`); flows of
shapes that are new or odd are read and encoded the usual way. Flow_mods are made for one flow
format, which hangs on what all flows need: where another turns out to be the one, all is made anew.
Other files, which are small or have odd characters, are for `flows.py`.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from utilities.begun import begun
from utilities.command_line import Fatal
from utilities.ofctl.connection import Connection, complain, next_xid, note, reserve_xids
from utilities.ofctl.flows import (
    BUNDLE_FLAGS, carry_bundle, end_by, guess_protocol, go_on, limit_protocols, make_flow_mod,
    open_for_changes, read_file, read_flows, send_bundle, send_flows, shows_bytes,
)
from utilities.ofctl.ports import known_numbers
from utilities.ofctl.protocol import ANY
from vswitchd.openflow.messages import encode
from vswitchd.openflow.quick.shapes import END, LIBRARY, NEW, Teacher, make_shapes
from vswitchd.openflow.text import FlowTextError, ParsedFlow, note_normal, parse_flow
from vswitchd.openflow.value_text import ComplainingTo

_LEAST = 200                    # lines for which shapes are worth the while
_PLAIN = bytes((9, 10, *range(32, 127)))
_BUNDLE_HEAD = 16               # bytes of an addition to a bundle in front of the message


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
    """True if a `Maker` can have the text of a file."""
    return LIBRARY is not None and not data.translate(None, _PLAIN)


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


def _read_silently(line: str, ports, tables, tell: bool) -> tuple[ParsedFlow, bool]:
    """A flow of a file, and whether there is nothing to note or warn of; only if `tell`, this is
    done.  Raises FlowTextError."""
    heard = []
    try:
        with ComplainingTo(lambda *words: heard.append((complain, words))):
            flow = parse_flow(line, "auto", ports, tables)
        note_normal(flow.match, lambda *words: heard.append((note, words)))
    finally:
        for listener, words in heard if tell else ():
            listener(*words)
    return flow, not heard


def add_flows(settings, arguments) -> None:
    """The command; takes (settings, arguments) as those in `flows.py`."""
    switch, name = arguments
    if begun().fd >= 0:
        go_on(settings, switch, lambda ports, tables: read_flows(name, "auto", ports, tables))
        return
    ports, tables = known_numbers(settings, switch)
    data = read_file(name)
    if data.count(b"\n") >= _LEAST and is_for_many(data) and not shows_bytes(settings):
        _send_many(settings, switch, name, data, ports, tables)
    else:
        flows = read_flows(name, "auto", ports, tables, data=data)
        send_flows(settings, switch, flows)


def _send_many(settings, switch: str, name: str, data: bytes, ports, tables) -> None:
    """Sends the flow_mods of a file with many flows.  Raises Fatal."""
    def choose(usable: int) -> int:
        return guess_protocol(settings, limit_protocols(settings, usable))

    maker = Maker(lambda line, tell: _read_silently(line, ports, tables, tell), choose,
                  lambda flow, chosen: encode(*make_flow_mod(flow, chosen), 0))
    try:
        made = maker.make(data)
        connection, chosen = open_for_changes(settings, switch,
                                              limit_protocols(settings, made.usable))
        if chosen != made.chosen:
            made = maker.make(data, lambda usable: chosen)
    except LineError as error:
        raise Fatal("{}:{}: {}".format(name, *error.args)) from None
    if not connection.is_direct():
        messages = _number(made)
        if settings.bundle:
            send_bundle(settings, connection, list(messages))
        else:
            end_by(settings, connection, connection.transact_each(messages))
    elif settings.bundle:
        _send_large_bundle(settings, connection, made)
    else:
        end_by(settings, connection, connection.transact_many(made.messages))
    connection.close()


def _number(made: Made) -> Iterator[bytes]:
    """The messages one by one, with their numbers."""
    at, data = 0, made.messages
    while at < len(data):
        end = at + int.from_bytes(data[at + 2:at + 4], "big")
        yield data[at:at + 4] + next_xid().to_bytes(4, "big") + data[at + 8:end]
        at = end


def _send_large_bundle(settings, connection: Connection, made: Made) -> None:
    """Lets the switch take all messages, each of a multiple of eight bytes, or none."""
    from vswitchd.openflow.messages.bundle import BundleAdd
    first = reserve_xids(made.count)
    head = encode(BundleAdd(0, BUNDLE_FLAGS, message_at(made.messages, 0)), connection.version, 0)
    data = LIBRARY.wrap(made.messages, head[:_BUNDLE_HEAD], first)

    def find(number: int) -> bytes | None:
        if not 0 <= number - first < made.count:
            return None
        return message_at(data, number - first)[_BUNDLE_HEAD:]

    carry_bundle(settings, connection, lambda: connection.send_many(data), find)
