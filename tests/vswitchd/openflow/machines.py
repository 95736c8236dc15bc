"""Connections without sockets: what a peer would send and has been sent, and time turned by hand."""

import struct

from vswitchd.config.desired import Controller
from vswitchd.openflow import messages
from vswitchd.openflow.connection import ALL_VERSIONS, Connection
from vswitchd.openflow.messages.session import Hello
from vswitchd.openflow.outbox import Outbox
from vswitchd.openflow.session import Session

NAME = "br0<->tcp:h:1"


def message(version: int, kind: int, body: bytes = b"", xid: int = 1) -> bytes:
    """A message by its numbers."""
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


def hello(*versions: int) -> bytes:
    """A hello that lists versions."""
    return messages.encode(Hello(frozenset(versions)), max(versions), 1)


class Wire:
    """The peer's end of a connection: `sent` is what it got, of which it reads `room` bytes more;
    `is_open` until we hang up."""

    def __init__(self, versions: frozenset[int] = ALL_VERSIONS, is_service: bool = False,
                 controller: Controller | None = None, now: float = 100.0, snoopers=()) -> None:
        self.sent = b""
        self.room = 1 << 30
        self.is_open = True
        session = Session("unix#0", True) if is_service else Session(NAME)
        self.connection = Connection(session, Outbox(self._write), self._hang_up, "br0", versions,
                                     snoopers, controller, now)

    def _write(self, data: bytes) -> bytes:
        size = 0 if len(self.connection.outbox) else min(self.room, len(data))
        self.sent += data[:size]
        self.room -= size
        return data[size:]

    def _hang_up(self) -> None:
        self.is_open = False

    def heard(self) -> list[tuple[int, int]]:
        """(version, type) of the messages that the peer got since it last asked."""
        found, data, self.sent = [], self.sent, b""
        while data:
            found.append((data[0], data[1]))
            data = data[int.from_bytes(data[2:4], "big"):]
        return found

    def agree(self, version: int, now: float = 100.0) -> "Wire":
        """Has both sides say hello."""
        self.connection.open()
        self.connection.feed(hello(version), now)
        assert self.connection.negotiate()
        self.heard()
        return self

    def run(self, until: float) -> list[float]:
        """Lets time pass as the edge would; returns when the machine asked to be called."""
        called = []
        while self.is_open and (due := self.connection.next_deadline()) <= until:
            called.append(due)
            self.connection.elapse(due)
        return called
