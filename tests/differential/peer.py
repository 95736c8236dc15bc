"""A controller without a mind: it listens, shakes hands, says what it is told to and keeps what it
hears, so that two switches can be compared by the messages they send."""

import socket
import struct
import subprocess
import threading
import time

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY = range(4)


class Peer:
    """Listens on a TCP port of 127.0.0.1; each connection's first message is a hello of
    `version`. `heard` holds the messages of the newest connection, without echoes."""

    def __init__(self, version: int, answers_echo: bool = True, port: int = 0):
        self.version = version
        self.answers_echo = answers_echo
        self.heard: list[bytes] = []
        self.n_connections = 0
        self.wrap = lambda stream: stream       # makes a TLS stream of a TCP stream
        self._came = threading.Condition()
        self._stream: socket.socket | None = None
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def target(self) -> str:
        """What set-controller wants."""
        return f"tcp:127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            try:
                stream = self.wrap(stream)
            except OSError:
                continue                    # no handshake
            with self._came:
                self.heard, self._stream = [], stream
                self.n_connections += 1
            try:
                stream.sendall(struct.pack("!BBHI", self.version, HELLO, 8, 1))
                self._read(stream)
            except OSError:
                pass
            with self._came:
                if self._stream is stream:
                    self._stream = None
                self._came.notify_all()

    def _read(self, stream: socket.socket) -> None:
        data = b""
        while more := stream.recv(65536):
            data += more
            while len(data) >= 8 and len(data) >= (size := int.from_bytes(data[2:4], "big")):
                message, data = data[:size], data[size:]
                if message[1] == ECHO_REQUEST:
                    if self.answers_echo:
                        stream.sendall(bytes([message[0], ECHO_REPLY]) + message[2:])
                    continue
                with self._came:
                    self.heard.append(message)
                    self._came.notify_all()

    def wait(self, is_there, timeout: float = 10) -> None:
        """Waits until `is_there()`; what it looks at is told in the failure."""
        with self._came:
            if not self._came.wait_for(is_there, timeout):
                raise AssertionError(f"not heard: {[message.hex() for message in self.heard]}")

    def wait_connected(self, count: int = 1) -> None:
        """Waits until the switch has connected `count` times and said hello."""
        self.wait(lambda: self.n_connections >= count and bool(self.heard))

    def say(self, kind: int, body: bytes = b"", xid: int = 0x77) -> None:
        """Sends a message."""
        self._stream.sendall(struct.pack("!BBHI", self.version, kind, 8 + len(body), xid) + body)

    def ask(self, kind: int, body: bytes = b"", reply: int | None = None) -> None:
        """Sends a message and waits for its reply, by default the next kind."""
        self.say(kind, body)
        wanted = kind + 1 if reply is None else reply
        self.wait(lambda: any(message[1] == wanted for message in self.heard))

    def drop(self) -> None:
        """Closes the connection."""
        with self._came:
            stream = self._stream
        if stream is not None:
            stream.shutdown(socket.SHUT_RDWR)
            stream.close()

    def close(self) -> None:
        """Stops to listen, and closes the connection."""
        self._listener.close()
        try:
            self.drop()
        except OSError:
            pass
        time.sleep(0.05)

    def told(self) -> str:
        """What was heard after the hello, as Debian's ovs-ofctl prints it."""
        return "".join(
            subprocess.run(["ovs-ofctl", "ofp-print", message.hex()], text=True,
                           capture_output=True, check=False).stdout
            for message in self.heard if message[1] != HELLO)
