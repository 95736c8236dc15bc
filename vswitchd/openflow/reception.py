"""BRIDGE.mgmt: those who come, ask something and are gone again before anybody has to know them.

ovs-ofctl makes up to three connections for a command, each for one or two questions. So a peer is a
guest at first: it has no queue, no tasks and hardly a session of its own. talk.c talks to it
(hello, flow_mods, barriers), and `visit.py` answers what only looks at the bridge. As soon as it
asks for anything else, or something is odd, it becomes a connection like any other, which begins
with what it has said and nobody has done. Guests hear of nothing that they have not asked for,
which is so with all peers of this socket until they ask for more.

Trio edge: accepts, waits, reads and writes; control task only.
"""

import os
import socket
import traceback
from collections.abc import Awaitable, Callable
from math import inf
from time import perf_counter

import trio

from ovsdb_server import vlog
from vswitchd.openflow import messages
from vswitchd.openflow.messages import session as session_messages
from vswitchd.openflow.quick.codec import MOST_RECEIVED, Codec, Guest
from vswitchd.openflow.service import Service
from vswitchd.openflow.session import Session
from vswitchd.openflow.visit import HELLO_XID, Need, Visit

_TURN = 0.001                   # how long other tasks may be kept waiting
_QUICK = 0.0005                 # seconds in which a peer asks that is worth waiting for
_HELLO = 0.05                   # seconds that a guest has for its hello
_PAUSE = 0.0002                 # until a worker may have ended its burst

_connmgr = vlog.module("connmgr")
_vconn = vlog.module("vconn")


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
                    visit = Visit(Guest(found), f"unix#{self._number()}")
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
                                             HELLO_XID)
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
        has_room = _flush(visit)
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
            need = visit.next_need(perf_counter() >= end)
            if need is not None:
                return need
            if visit.is_at_barrier():
                if guest.n_injected:
                    continue
                return Need.VERSION
            answer = visit.answer(service)
            if answer is None:
                return Need.KEEPER if _flush(visit) else Need.ROOM
            for part in answer:                 # the peer reads the first meanwhile
                visit.send(part)
                _flush(visit)
            if not _flush(visit):
                return Need.ROOM
        return Need.TURN


def _flush(visit: Visit) -> bool:
    """Writes what the socket takes; whether that is all. Raises OSError."""
    while (part := visit.next_part()) is not None:
        try:
            visit.note_written(os.write(visit.guest.fd, part))
        except BlockingIOError:
            return False
    return True
