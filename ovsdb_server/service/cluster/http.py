"""HTTP/1.1 on trio for the few requests of a cluster: requests, streams of lines, tiny answers.

A `Client` keeps its connections open; what it reports tells whether the peer can have acted on a
request (`Lost`) or not (`NotSent`).  `serve_connection` answers requests of joining servers.
The protocol itself is h11's.  Trio thread only.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import h11
import trio

_READ_SIZE = 65536


class NotSent(Exception):
    """No connection: the peer knows nothing of the request."""


class Lost(Exception):
    """The connection was lost with a request under way: what became of it is unknown."""


class Endpoint(NamedTuple):
    """Where an HTTP server is: `path` of a Unix socket, else `host` and `port`."""

    host: str
    port: int
    path: str = ""
    is_tls: bool = False

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read http://HOST:PORT or https://HOST:PORT.  Raises: ValueError."""
        scheme, colon, rest = url.partition("://")
        host, _, port = rest.rstrip("/").rpartition(":")
        if scheme not in ("http", "https") or not host or not port.isdecimal():
            raise ValueError(f"{url}: not a URL of etcd")
        return cls(host.strip("[]"), int(port), is_tls=scheme == "https")

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"{self.host}:{self.port}"


class _Connection:
    """One connection to a server, for one request at a time."""

    def __init__(self, stream: trio.abc.Stream, host: str) -> None:
        self._stream = stream
        self._host = host
        self._h11 = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, endpoint: Endpoint, context: ssl.SSLContext | None) -> "_Connection":
        try:
            if endpoint.path:
                stream: trio.abc.Stream = await trio.open_unix_socket(endpoint.path)
            else:
                stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
                stream.setsockopt(6, 1, True)           # TCP_NODELAY
            if endpoint.is_tls:
                stream = trio.SSLStream(stream, context, server_hostname=endpoint.host,
                                        https_compatible=True)
                await stream.do_handshake()
        except (OSError, trio.BrokenResourceError) as error:
            raise NotSent(f"{endpoint}: {_reason(error)}") from None
        return cls(stream, f"{endpoint.host}:{endpoint.port}")

    async def send(self, method: str, path: str, body: bytes) -> None:
        headers = [("Host", self._host), ("Content-Length", str(len(body))),
                   ("Content-Type", "application/json")]
        data = self._h11.send(h11.Request(method=method, target=path, headers=headers))
        data += self._h11.send(h11.Data(data=body)) + self._h11.send(h11.EndOfMessage())
        await self._stream.send_all(data)

    async def next_event(self) -> object:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._h11.receive_data(await self._stream.receive_some(_READ_SIZE))

    async def read_status(self) -> int:
        event = await self.next_event()
        while isinstance(event, h11.InformationalResponse):
            event = await self.next_event()
        if not isinstance(event, h11.Response):
            raise Lost("connection closed")
        return event.status_code

    async def read_body(self) -> bytes:
        parts = []
        while isinstance(event := await self.next_event(), h11.Data):
            parts.append(bytes(event.data))
        return b"".join(parts)

    def reuse(self) -> bool:
        """Make ready for another request, if that can be."""
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            return True
        return False

    async def close(self) -> None:
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)


_TROUBLE = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError)


class Client:
    """A client of one server; any number of tasks may ask at a time."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext | None = None) -> None:
        self.endpoint = endpoint
        self._context = context
        self._idle: list[_Connection] = []

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Return status and body of an answer.  Raises: NotSent, Lost."""
        connection = self._idle.pop() if self._idle else None
        is_fresh = connection is None
        if is_fresh:
            connection = await _Connection.open(self.endpoint, self._context)
        try:
            await connection.send(method, path, body)
            status = await connection.read_status()
            answer = await connection.read_body()
        except (*_TROUBLE, Lost) as error:
            await connection.close()
            raise Lost(f"{self.endpoint}: {_reason(error)}") from None
        except BaseException:
            await connection.close()
            raise
        if connection.reuse():
            self._idle.append(connection)
        else:
            await connection.close()
        return status, answer

    async def stream(self, path: str, body: bytes) -> AsyncIterator[bytes]:
        """Yield the lines of an answer that does not end.  Raises: NotSent, Lost."""
        connection = await _Connection.open(self.endpoint, self._context)
        try:
            await connection.send("POST", path, body)
            await connection.read_status()
            rest = b""
            while isinstance(event := await connection.next_event(), h11.Data):
                *lines, rest = (rest + event.data).split(b"\n")
                for line in lines:
                    yield line
            raise Lost(f"{self.endpoint}: connection closed")
        except _TROUBLE as error:
            raise Lost(f"{self.endpoint}: {_reason(error)}") from None
        finally:
            await connection.close()

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


Answer = tuple[int, bytes]


async def serve_connection(stream: trio.abc.Stream,
                           answer: Callable[[str, str, bytes], Awaitable[Answer]]) -> None:
    """Answer the one request of a connection by `answer(method, path, body)`, and close it."""
    connection = h11.Connection(h11.SERVER)
    try:
        async with stream:
            request, parts = None, []
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await stream.receive_some(_READ_SIZE))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    parts.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            status, body = await answer(request.method.decode(), request.target.decode(),
                                        b"".join(parts))
            headers = [("Content-Length", str(len(body))), ("Connection", "close")]
            data = connection.send(h11.Response(status_code=status, headers=headers))
            data += connection.send(h11.Data(data=body)) + connection.send(h11.EndOfMessage())
            await stream.send_all(data)
    except _TROUBLE:
        pass            # Not a server that joins; it learns nothing here.
