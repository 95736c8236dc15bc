"""BRIDGE.mgmt: those who come, ask something and are gone again before anybody has to know them.

ovs-ofctl makes up to three connections for a command, each for one or two questions. So a peer is a
guest at first: it has no queue, no tasks and hardly a session of its own. quick.c talks to it
(hello, flow_mods, barriers), and what only looks at the bridge is answered here. As soon as it asks
for anything else, or something is odd, it becomes a connection like any other, which begins with
what it has said and nobody has done. Guests hear of nothing that they have not asked for, which is
so with all peers of this socket until they ask for more.

Trio edge; control task only.
"""

import os
import socket
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from enum import Enum, auto
from math import inf
from time import perf_counter

import trio

from ovsdb_server import vlog
from schema.openflow.messages import OF10
from vswitchd.openflow import messages
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.framing import HEADER
from vswitchd.openflow.messages import session as session_messages
from vswitchd.openflow.messages.flow import FlowStatsRequest
from vswitchd.openflow.messages.port import PortDescRequest
from vswitchd.openflow.messages.switch import DescRequest
from vswitchd.openflow.messages.table import TableFeaturesRequest, TableStatsRequest
from vswitchd.openflow.quick.codec import MOST_RECEIVED, Codec, Guest
from vswitchd.openflow.service import Encoded, Service
from vswitchd.openflow.session import Session

_TURN = 0.001                   # how long other tasks may be kept waiting
_QUICK = 0.0005                 # seconds in which a peer asks that is worth waiting for
_HELLO = 0.05                   # seconds that a guest has for its hello
_HELLO_XID = 1                  # of ours
_PAUSE = 0.0002                 # until a worker may have ended its burst
_LOOKS = (session_messages.EchoRequest, session_messages.FeaturesRequest,
          session_messages.GetConfigRequest, DescRequest, FlowStatsRequest, PortDescRequest,
          TableFeaturesRequest, TableStatsRequest)
_LOOK_TYPES = (2, 5, 7)         # of those that are not statistics

_connmgr = vlog.module("connmgr")
_vconn = vlog.module("vconn")


class Need(Enum):
    """What a guest waits for."""

    QUESTION = auto()           # its own next one
    ROOM = auto()               # until it reads what it is told
    TURN = auto()               # until others have had theirs
    VERSION = auto()            # until no packet meets older rules
    KEEPER = auto()             # to be a connection
    NOTHING = auto()            # it has left


class Visit:
    """A guest and what is on the way to it: parts that are there, then those that are made one by
    one."""

    def __init__(self, fd: int, name: str) -> None:
        self.name = name
        self.guest = Guest(fd)
        self.queue: deque[bytes] = deque()
        self.more: Iterator[bytes] = iter(())
        self._session: Session | None = None

    @property
    def session(self) -> Session:
        """What it has agreed on and asked for."""
        if self._session is None:
            self._session = Session(self.name, True, miss_send_len=0, next_xid=_HELLO_XID)
        session, guest = self._session, self.guest
        if guest.version and not session.version:
            session.agree(guest.version)
        session.flow_format = "nxm" if guest.flow_format else "of"
        return session

    def message(self) -> bytes | None:
        """The next message, None if it has not come yet; b"" for one that can never be right."""
        rest = self.guest.rest
        if len(rest) < HEADER.size:
            return None
        length = rest[2] << 8 | rest[3]
        if length < HEADER.size:
            return b""
        return rest[:length] if len(rest) >= length else None

    def flush(self) -> bool:
        """Writes what the socket takes; whether that is all. Raises OSError."""
        queue = self.queue
        while True:
            if not queue:
                part = next(self.more, None)
                if part is None:
                    return True
                queue.append(part)
            try:
                n = os.write(self.guest.fd, queue[0])
            except BlockingIOError:
                return False
            if n < len(queue[0]):
                queue[0] = queue[0][n:]
            else:
                queue.popleft()

    def send(self, parts: Iterable[bytes]) -> None:
        """Sends parts that are made now; the peer reads the first meanwhile. Raises OSError."""
        for part in parts:
            self.queue.append(part)
            self.flush()


class Reception:
    """The management socket of a bridge.

    `versions()` are those that are spoken; `number()` counts who comes; `keep(stream, session,
    data)` serves a connection that has been greeted and has said `data` since.
    """

    def __init__(self, service: Service, codec: Codec, versions: Callable[[], frozenset[int]],
                 number: Callable[[], int],
                 keep: Callable[[trio.SocketStream, Session, bytes], Awaitable]) -> None:
        self._service = service
        self._codec = codec
        self._versions = versions
        self._number = number
        self._keep = keep
        self._greeted: frozenset[int] = frozenset()
        self._greeting = b""

    async def serve(self, listener: socket.socket) -> None:
        """Receives all who come."""
        listener.setblocking(False)
        fd = listener.fileno()
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(fd)
                end = perf_counter() + _TURN
                lingers = False
                while perf_counter() < end:
                    try:
                        found = self._codec.admit(fd, self._hello(), lingers)
                    except OSError:
                        await trio.sleep(0.1)       # out of descriptors: later there may be some
                        break
                    if found is None:
                        break
                    visit = Visit(found, f"unix#{self._number()}")
                    need = self._talk(visit)
                    lingers = need is Need.NOTHING      # it may come back at once
                    if lingers:
                        os.close(found)
                    else:
                        nursery.start_soon(self._stay, visit, need)

    def _hello(self) -> bytes:
        versions = self._versions()
        if versions != self._greeted:
            self._greeted = versions
            self._greeting = messages.encode(session_messages.Hello(versions), max(versions),
                                             _HELLO_XID)
        return self._greeting

    async def _stay(self, visit: Visit, need: Need) -> None:
        fd = visit.guest.fd
        try:
            while need not in (Need.NOTHING, Need.KEEPER):
                need = await self._wait(visit, need)
            if need is Need.KEEPER:
                sock = trio.socket.from_stdlib_socket(socket.socket(fileno=fd))
                fd = -1
                await self._keep(trio.SocketStream(sock), visit.session, visit.guest.rest)
        finally:
            if fd >= 0:
                os.close(fd)

    async def _wait(self, visit: Visit, need: Need) -> Need:
        began = perf_counter()
        if need is Need.ROOM:
            await trio.lowlevel.wait_writable(visit.guest.fd)
        elif need is Need.TURN:
            await trio.lowlevel.checkpoint()
        elif need is Need.VERSION:
            await trio.sleep(_PAUSE)
        else:
            with trio.move_on_after(inf if visit.guest.version else _HELLO) as patience:
                await trio.lowlevel.wait_readable(visit.guest.fd)
            if patience.cancelled_caught:
                return Need.KEEPER
            visit.guest.is_quick = perf_counter() - began < _QUICK
        return self._talk(visit)

    def _talk(self, visit: Visit) -> Need:
        """Does what a guest asks, for as long as it asks at once."""
        try:
            return self._converse(visit)
        except OSError:
            return Need.NOTHING                     # it does not read any more
        except Exception as error:
            # A mistake about one peer must not end the daemon.
            _connmgr.err(f"{self._service.bridge.name}<->{visit.name}: "
                         f"{''.join(traceback.format_exception(error))}")
            return Need.NOTHING

    def _converse(self, visit: Visit) -> Need:
        service, guest = self._service, visit.guest
        has_room = visit.flush()
        if _vconn.is_dbg or service.needs_care or len(guest.rest) >= MOST_RECEIVED:
            return Need.KEEPER if has_room else Need.ROOM
        if not has_room:
            return Need.ROOM
        service.settle()
        end = perf_counter() + _TURN
        while perf_counter() < end:
            self._codec.entertain(guest, self._versions(), service.dp, service.bridge.handle)
            if guest.n_injected:
                service.settle()
            if guest.replies:
                visit.queue.append(guest.replies)
            if guest.is_over:
                return Need.NOTHING
            message = visit.message()
            if message is None:
                if guest.is_broken:
                    return Need.KEEPER
                if visit.queue:
                    return Need.ROOM
                return Need.TURN if guest.is_quick and perf_counter() >= end else Need.QUESTION
            if _is_barrier(message, guest.version):
                if guest.n_injected:
                    continue
                return Need.VERSION
            if not self._answer(visit, message):
                return Need.KEEPER if visit.flush() else Need.ROOM
            if not visit.flush():
                return Need.ROOM
        return Need.TURN

    def _answer(self, visit: Visit, message: bytes) -> bool:
        """Answers what only looks at the bridge; False for anything else, and for errors, which
        others know how to tell."""
        guest, version = visit.guest, visit.guest.version
        if len(message) < HEADER.size or message[0] != version or not version or (
                message[1] not in _LOOK_TYPES and message[1] != (16 if version == OF10 else 18)):
            return False
        try:
            decoded = messages.decode(message)
            value = decoded.value
            if type(value) not in _LOOKS or isinstance(value, TableFeaturesRequest) and (
                    value.body or value.has_more):
                return False
            replies = self._service.handle(visit.session, decoded)
        except OpenFlowError:
            return False
        guest.rest = guest.rest[len(message):]
        for reply in replies:
            if not isinstance(reply, Encoded):
                visit.send(messages.encode_parts(reply, version, decoded.xid))
            elif isinstance(reply.parts, tuple):
                visit.more = reply.with_xid(decoded.xid)
            else:
                visit.send(reply.with_xid(decoded.xid))
        return True


def _is_barrier(message: bytes, version: int) -> bool:
    return len(message) == HEADER.size and message[0] == version and (
        message[1] == (18 if version == OF10 else 20))
