"""A switch that has learned its part by heart: it answers as a real one once answered.

`Replay` serves the recorded bytes of one command on a socket and keeps what the client sent.
"""

import socket
import struct
import threading
from pathlib import Path

CLIENT, SWITCH = "C", "S"
_HELLO = 0


class Replay:
    """Plays `messages`, [(who sends, bytes)] in their order, on the socket `path`.

    heard: what the client sent, in its order.  Use as a context.
    """

    def __init__(self, path: Path, messages: list[tuple[str, bytes]]) -> None:
        self.messages = messages
        self.heard: list[bytes] = []
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(8)
        self._listener.settimeout(10)
        self._thread = threading.Thread(target=self._play, daemon=True)

    def __enter__(self) -> "Replay":
        self._thread.start()
        return self

    def __exit__(self, *failure) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)        # in case that nobody came
        self._listener.close()
        self._thread.join(20)

    def _play(self) -> None:
        peer, greeted = None, set()
        try:
            for side, data in self.messages:
                is_hello = data[1] == _HELLO
                if peer is None or is_hello and side in greeted:
                    peer, greeted = self._listener.accept()[0], set()
                    peer.settimeout(10)
                if is_hello:
                    greeted.add(side)
                if side == SWITCH:
                    peer.sendall(data)
                else:
                    self.heard.append(read_message(peer))
            while peer is not None and (data := read_message(peer)):
                self.heard.append(data)
        except OSError:
            return                               # the client has gone: `heard` says how far it came


def read_message(peer: socket.socket) -> bytes:
    """One message of OpenFlow, empty when the peer has gone."""
    head = _read(peer, 8)
    return head + _read(peer, struct.unpack("!BBHI", head)[2] - 8) if head else b""


def _read(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = peer.recv(size - len(data))
        if not part:
            return data
        data += part
    return data
