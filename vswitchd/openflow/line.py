"""The stream of one connection, with short ways past the event loop.

A peer that asks one thing at a time (flow_mod, barrier, flow_mod ...) would wait for a turn of the
loop at each answer and each question. So `send_now` writes at once what nothing waits before, and
`receive` awaits the next message of a peer that answers quickly for some microseconds at the socket
itself. Both are bounded: other tasks wait for a millisecond at most. Streams that are no plain
sockets (TLS) take the long way. Control task only.
"""

import os
import select
from time import perf_counter

import trio

_SIZE = 65536
_QUICK = 0.0005                 # seconds in which a peer answers that is worth waiting for
_LINGER = 0.0001                # how long it is awaited at the socket
_TURN = 0.001                   # how long other tasks may be kept waiting
_MAX_FD = 1024                  # of select


class Line:
    """A stream. `is_busy` while something waits to be written by other means, `is_quick` while its
    peer answers quickly."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._socket = stream.socket if isinstance(stream, trio.SocketStream) else None
        self.is_quick = False
        self._turn_began = 0.0
        self.is_busy = False

    @property
    def fd(self) -> int:
        """The plain socket, -1 where there is none or it is closed: its number may be another's."""
        return -1 if self._socket is None else self._socket.fileno()

    @property
    def is_direct(self) -> bool:
        """Whether somebody may read and write the socket `fd` itself now."""
        return self.fd >= 0 and not self.is_busy

    def send_now(self, data: bytes) -> bytes:
        """Writes what the socket takes; returns what is left."""
        fd = self.fd
        if fd < 0 or self.is_busy:
            return data
        try:
            return data[os.write(fd, data):]
        except OSError:
            return data                 # trio tells what is wrong when it writes that

    async def receive(self) -> bytes:
        """The next bytes; b"" at the end of the stream. Raises trio.BrokenResourceError."""
        if self.is_quick:
            if perf_counter() - self._turn_began >= _TURN:
                await trio.lowlevel.checkpoint()
                self._turn_began = perf_counter()
            fd = self.fd
            if 0 <= fd < _MAX_FD and select.select([fd], [], [], _LINGER)[0]:
                try:
                    return os.read(fd, _SIZE)
                except OSError:
                    pass                # trio tells what is wrong when it reads
            self.is_quick = False
        asked_at = perf_counter()
        data = await self._stream.receive_some(_SIZE)
        self._turn_began = perf_counter()
        self.is_quick = self._turn_began - asked_at < _QUICK
        return data
