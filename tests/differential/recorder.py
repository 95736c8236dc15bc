"""Somebody between ovs-ofctl and the bridges of a switch, who keeps what ovs-ofctl says.

`Recorder` listens in one directory on sockets with the names of those in another, and carries
everything to and fro. Only tests that compare clients use it.
"""

import selectors
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class _Side:
    """One end of a connection; what comes from the client is kept."""

    stream: socket.socket
    heard: bytearray | None = None
    other: "_Side | None" = field(default=None, repr=False)


class Recorder:
    """Carries what comes to sockets `names` in directory `front` to those in `back`."""

    def __init__(self, front: Path, back: Path, names: tuple[str, ...]) -> None:
        self._front, self._back = front, back
        self._calls: list[tuple[str, bytearray]] = []
        self._wake, self._woken = socket.socketpair()
        self._is_quiet = threading.Event()
        self._is_asked = self._is_closed = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        for name in names:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(front / name))
            listener.listen(100)
            self._selector.register(listener, selectors.EVENT_READ, name)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self) -> list[tuple[str, bytes]]:
        """(socket, all that the client said) of each connection since the last time."""
        self._is_quiet.clear()
        self._is_asked = True
        self._wake.send(b"?")
        assert self._is_quiet.wait(10)
        calls, self._calls = self._calls, []
        return [(name, bytes(heard)) for name, heard in calls]

    def close(self) -> None:
        self._is_closed = True
        self._wake.send(b".")
        self._thread.join(5)

    def _run(self) -> None:
        while not self._is_closed:
            ready = self._selector.select(0 if self._is_asked else None)
            if not ready:
                self._is_asked = False
                self._is_quiet.set()
            for key, _ in ready:
                if key.data is None:
                    self._woken.recv(1)
                elif isinstance(key.data, str):
                    self._accept(key.fileobj, key.data)
                elif key.fileobj.fileno() >= 0:
                    self._carry(key.data)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()

    def _accept(self, listener: socket.socket, name: str) -> None:
        client, _ = listener.accept()
        switch = socket.socket(socket.AF_UNIX)
        try:
            switch.connect(str(self._back / name))
        except OSError:
            client.close()
            return
        one, other = _Side(client, bytearray()), _Side(switch)
        one.other, other.other = other, one
        self._calls.append((name, one.heard))
        for side in (one, other):
            self._selector.register(side.stream, selectors.EVENT_READ, side)

    def _carry(self, side: _Side) -> None:
        try:
            data = side.stream.recv(1 << 20)
            if side.heard is not None:
                side.heard += data
            if data:
                side.other.stream.sendall(data)
        except OSError:
            data = b""
        if not data:
            for one in (side, side.other):
                self._selector.unregister(one.stream)
                one.stream.close()


def cut(stream: bytes) -> list[bytes]:
    """The messages in what somebody said; the last may not be whole."""
    found = []
    while stream:
        size = max(int.from_bytes(stream[2:4], "big"), 8)
        found.append(stream[:size])
        stream = stream[size:]
    return found

