"""The hub: one task that watches the sockets of all sessions and gives each its turn.

A task per session would wait for its own socket, and each message would then cost a turn of the
event loop, which is more than most requests cost.  The hub keeps an epoll of its own, which it
waits for as one descriptor; when that is readable it serves every socket that is, and goes on
without the event loop as long as there is something to do, but not for longer than `_TURN`.
Where requests follow one another closely it also waits for the next one by itself, for a
millisecond at most, unless somebody has said by `hurry` that other tasks have work.

The bytes of all readable sockets are received in one call.  Replies leave a few at a time: one by
one each would cost an entry into the system, and together the first would wait for the last while
its peer has nothing to do.  Updates of monitors leave when every session that was ready had its
turn, so that what all of them have changed is told at once.  A session that has more to do after
its own turn is served again after all others.  Trio thread
only; started by `server.py`.
"""

import select
import socket
import time
import traceback
from collections.abc import Callable
from typing import Protocol

import trio

from ovsdb_server import vlog
from ovsdb_server.quick.sockets import receive_all
from ovsdb_server.rpc.stream import Channel, release_all

_log = vlog.module("ovsdb_jsonrpc_server")

# Seconds after which the other tasks of the event loop get their turn, and after which those do
# that are known to have something to do.
_TURN = 0.004
_SHORT_TURN = 0.001

# Seconds to wait for the next request before the event loop waits instead.
_LINGER = 0.001

# Sockets looked up at a time, and those whose replies leave together.
_EVENTS_MAX = 256
_GROUP = 8


class Worker(Protocol):
    """Who has a socket that the hub watches; what its channel holds is sent by the hub."""

    channel: Channel

    def work(self, data: bytes | int | None) -> bool:
        """Do what there is to do for a moment; is there more?

        `data` has arrived, b"" at the end of the stream, or is an errno; None: nothing was
        received.
        """

    def end_turn(self) -> None:
        """What `work` had to say has been sent."""


class Hub:
    """Sockets and those who serve them.

    `is_working` while it has them work; `now` is trio time of the turn; `n_others` counts the
    tasks that have work beside it, so that it does not linger and its turns are short.  When each
    had its turn `end_turns()` is called if `has_updates` was set, and then the `end_turn` of each.
    """

    def __init__(self, end_turns: Callable[[], None]) -> None:
        self.is_working = False
        self.now = 0.0
        self.n_others = 0
        self.has_updates = False
        self._end_turns = end_turns
        self._epoll = select.epoll()
        self._workers: dict[int, Worker] = {}
        self._busy: dict[Worker, None] = {}
        self._has_busy = trio.Event()
        self._must_hurry = False

    def hurry(self) -> None:
        """Let the event loop have its turn soon: another task has something to do."""
        self._must_hurry = True

    async def give_way(self) -> None:
        """Let everybody have a turn, called by another task that has more to do."""
        self.n_others += 1
        try:
            await trio.lowlevel.checkpoint()
        finally:
            self.n_others -= 1

    def watch(self, sock: socket.socket, worker: Worker) -> None:
        """Have `worker` work when `sock`, not watched yet, is readable, and once now."""
        number = sock.fileno()
        self._workers[number] = worker
        self._epoll.register(number, select.EPOLLIN)
        self._busy[worker] = None
        self._has_busy.set()

    def forget(self, sock: socket.socket, worker: Worker) -> None:
        """Stop watching `sock` if it is watched; it must still be open."""
        number = sock.fileno()
        if self._workers.get(number) is worker:
            del self._workers[number]
            self._epoll.unregister(number)
        self._busy.pop(worker, None)

    async def serve(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve_woken)
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                while self._run_turn():
                    await trio.lowlevel.checkpoint()

    async def _serve_woken(self) -> None:
        """See to it that what was put to work without its socket being readable is served."""
        while True:
            await self._has_busy.wait()
            self._has_busy = trio.Event()
            while self._busy:
                self._run_turn()
                await trio.lowlevel.checkpoint()

    def _run_turn(self) -> bool:
        """Work until nothing is left (returns False) or others should have a turn."""
        end = time.perf_counter() + (_SHORT_TURN if self.n_others else _TURN)
        busy, workers, poll = self._busy, self._workers, self._epoll.poll
        self._must_hurry = False
        linger = 0.0
        while True:
            events = poll(0 if busy else linger, _EVENTS_MAX)
            turn = dict.fromkeys(busy)
            # Who is still busy with what came before is given nothing more.
            readable = [number for number, _ in events
                        if number in workers and workers[number] not in turn]
            for number, data in zip(readable, receive_all(readable)):
                worker = workers[number]
                busy[worker] = None
                turn[worker] = data
            if not busy:
                return False
            self._serve(turn)
            if time.perf_counter() >= end:
                return True
            linger = 0.0 if self._must_hurry or self.n_others else _LINGER

    def _serve(self, turn: dict[Worker, bytes | int | None]) -> None:
        """Let each of `turn` work on what has arrived for it."""
        busy = self._busy
        self.is_working = True
        self.now = trio.current_time()
        channels = []
        for worker, data in turn.items():
            if worker in busy and not worker.work(data):
                busy.pop(worker, None)
            channels.append(worker.channel)
            if len(channels) == _GROUP:
                guard(release_all, channels)
                channels.clear()
        self.is_working = False
        if self.has_updates:
            self.has_updates = False
            guard(self._end_turns)
        guard(release_all, channels)
        for worker in turn:
            guard(worker.end_turn)

def guard(call: Callable[..., None], *args: object) -> None:
    """Make a call: a defect that one session meets must not end the service for all."""
    try:
        call(*args)
    except Exception as error:
        log_defect(_log, error)


def log_defect(log: vlog.Logger, error: Exception) -> None:
    """Log what should not have happened."""
    log.err("internal error: " + "".join(traceback.format_exception(error)))
