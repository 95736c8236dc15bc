"""The trio edge of JSON-RPC: a connected socket that gives messages and takes encoded ones.

`Channel` owns a non-blocking socket, plain or TLS.  `receive` returns the messages of one read,
`take` and `take_one` those of bytes that somebody else has received;
`send` writes at once what the kernel takes and keeps the rest as backlog, which `flush` (or the
task in `serve_backlog`) writes as the peer reads.  So a quick exchange costs no task switch, and
the owner can see that a peer is slow.  What many channels `hold` leaves with `release_all` at
once.  Trio thread only.
"""

import errno
import os
import socket
import ssl
from collections.abc import Iterable

import trio

from ovsdb_server.quick.sockets import send_all
from ovsdb_server.rpc import address
from ovsdb_server.rpc.message import (DEPTH_MAX, SIZE_MAX, Message, ProtocolError, classify,
                                      fast_codec, first_object, not_json)
from ovsdb_server.rpc.progressive import Parts, ProgressiveSplitter

CODEC = fast_codec()

_CHUNK = 64 * 1024
_TRY_AGAIN = frozenset((errno.EAGAIN, errno.EWOULDBLOCK))
_BRACE = ord("{")

# Held bytes are sent when they are so many.
_HELD_MAX = 64 * 1024

_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Channel:
    """A JSON-RPC peer.

    `name` is what logs call it; `received_at` is trio time of the last bytes, `n_backlog` bytes
    not taken by the kernel yet, `is_broken` whether it was in vain to send, `client_id` the common
    name in the peer's certificate or "".
    One task receives; any task of the trio thread sends.
    """

    def __init__(self, sock: socket.socket, name: str, size_max: int = SIZE_MAX) -> None:
        sock.setblocking(False)
        self.name = name
        self.received_at = trio.current_time()
        self.client_id = ""
        self.n_backlog = 0
        self._sock = sock
        self._number = sock.fileno()
        self._splitter = ProgressiveSplitter(size_max, CODEC.loads)
        self._failure: ProtocolError | None = None
        self._backlog: list[memoryview] = []
        self._has_backlog = trio.Event()
        self._drained = trio.Event()
        self.is_broken = False
        self._is_closed = False
        self._size_max = size_max
        self._held: list[bytes] | None = None
        self._n_held = 0
        self._is_tls = isinstance(sock, ssl.SSLSocket)

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @property
    def has_failed(self) -> bool:
        """Will the next attempt to receive raise ProtocolError?"""
        return self._failure is not None

    @property
    def is_tls(self) -> bool:
        return self._is_tls

    @property
    def socket(self) -> socket.socket:
        """The socket, for those who wait for it; only the channel reads and writes."""
        return self._sock

    def close(self) -> None:
        """Close the socket; whoever waits on it gets trio.ClosedResourceError."""
        if not self._is_closed:
            self._is_closed = True
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
            # Nothing that leads back to those who have raised or wait: else all of this would
            # only go when the collector comes, and it comes seldom.
            self._splitter.clear()
            self._failure = None
            self._backlog.clear()
            self._has_backlog.set()
            self._drained.set()

    async def handshake(self) -> None:
        """Do the TLS handshake.  Raises: OSError."""
        if not self._is_tls:
            return
        while True:
            try:
                self._sock.do_handshake()
                break
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._sock)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._sock)
        certificate = self._sock.getpeercert() or {}
        for part in certificate.get("subject", ()):
            for key, value in part:
                if key == "commonName":
                    self.client_id = value

    async def receive(self) -> list[Message] | None:
        """Return the messages that the next bytes complete (maybe none), or None at the end.

        Raises: ProtocolError (the stream is unusable from there), OSError,
        trio.ClosedResourceError.
        """
        if self._failure is not None:
            raise self._failure
        data = await self._receive_bytes()
        if not data:
            return None
        self.received_at = trio.current_time()
        return self._decode_all(data)

    def take_one(self, data: bytes) -> dict | None:
        """Return the JSON object if `data`, the next bytes, is one whole small text, else None.

        Mostly one small message comes at a time.  After None, `take` has to look at `data`.
        """
        if 0 < len(data) < DEPTH_MAX and data[0] == _BRACE and not self._splitter.pending:
            try:
                value = CODEC.loads(data)
            except ValueError:
                return None
            self._splitter.pass_over(len(data))
            return value
        return None

    def take(self, data: bytes) -> list[Message]:
        """Return the messages that `data`, the next bytes, completes.  Raises: ProtocolError."""
        return self._decode_all(data)

    def check(self) -> None:
        """Raise the ProtocolError that came behind messages that were still returned, if any."""
        if self._failure is not None:
            raise self._failure

    def _decode_all(self, data: bytes) -> list[Message]:
        """Return the messages that `data`, the next bytes, completes.  Raises: ProtocolError."""
        messages: list[Message] = []
        try:
            if not self._splitter.pending and len(data) <= self._size_max:
                data = self._decode_whole(data, messages)
            if data:
                texts = self._splitter.feed(data)
                self._failure = self._splitter.failure
                for text in texts:
                    self._decode(text, messages)
        except ProtocolError as error:
            # What came before the bad message still counts.
            self._failure = error
            if not messages:
                raise
        return messages

    def _decode_whole(self, data: bytes, messages: list[Message]) -> bytes:
        """Decode the whole messages that `data` begins with; return the rest.

        What is parsed as one JSON object up to a brace that another follows is a message: no
        JSON object begins with another.  Where it is not, the splitter decides.
        """
        start, end = 0, len(data)
        loads = CODEC.loads
        while start < end:
            stop = data.find(b"}{", start) + 1 or end
            text = data[start:stop] if start or stop < end else data
            if text[0] != _BRACE or len(text) > DEPTH_MAX and (
                    text.count(b"[") + text.count(b"{") > DEPTH_MAX):
                break
            try:
                value = loads(text)
            except ValueError:
                break
            self._splitter.pass_over(len(text))
            messages.append(classify(value))
            start = stop
        return data[start:]

    @staticmethod
    def _decode(text: bytes | Parts, messages: list[Message]) -> None:
        try:
            value = CODEC.loads(text) if type(text) is bytes else text.value(CODEC.loads)
        except ValueError as error:
            if type(text) is not bytes:
                raise ProtocolError(str(error)) from None
            # A whole message may stand before the garbage.
            salvaged = first_object(text)
            if salvaged is not None and len(salvaged) < len(text):
                messages.append(classify(CODEC.loads(salvaged)))
                text = text[len(salvaged):]
            raise not_json(text, str(error)) from None
        messages.append(classify(value))

    async def _receive_bytes(self) -> bytes:
        sock = self._sock
        if not self._is_tls:
            await trio.lowlevel.wait_readable(sock)
        while True:
            if self._is_closed:
                raise trio.ClosedResourceError
            try:
                return sock.recv(_CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                await trio.lowlevel.wait_readable(sock)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(sock)
            except ssl.SSLEOFError:
                return b""

    def hold(self) -> None:
        """Gather what is sent until `release`."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Send what was gathered since `hold`, all at once; nothing if nothing is held."""
        held, self._held, self._n_held = self._held, None, 0
        if held:
            self.send(held[0] if len(held) == 1 else b"".join(held))

    def send(self, data: bytes) -> None:
        """Send or queue `data`.  A broken connection shows at the receiving side."""
        if self._is_closed:
            return
        if self._held is not None:
            self._held.append(data)
            self._n_held += len(data)
            if self._n_held >= _HELD_MAX:
                self.release()
                self.hold()
            return
        if not self._backlog:
            try:
                n_sent = self._sock.send(data)
            except _WOULD_BLOCK:
                n_sent = 0
            except OSError:
                self.is_broken = True
                return
            if n_sent == len(data):
                return
            self._begin_backlog(data, n_sent)
            return
        self._backlog.append(memoryview(data))
        self.n_backlog += len(data)
        self._has_backlog.set()

    def _begin_backlog(self, data: bytes, n_sent: int) -> None:
        """Keep what the kernel did not take of `data`."""
        rest = memoryview(data)[n_sent:]
        self._drained = trio.Event()
        self._backlog.append(rest)
        self.n_backlog += len(rest)
        self._has_backlog.set()

    def _take_held(self) -> bytes | None:
        """Return what was gathered since `hold` if it may go out now and as it is."""
        held, self._held, self._n_held = self._held, None, 0
        if not held:
            return None
        data = held[0] if len(held) == 1 else b"".join(held)
        if self._backlog or self._is_tls or self._is_closed:
            self.send(data)
            return None
        return data

    async def flush(self) -> None:
        """Wait until there is no backlog.  Needs `serve_backlog` in another task."""
        while self._backlog and not self._is_closed:
            await self._drained.wait()

    async def serve_backlog(self, on_drained=None) -> None:
        """Write backlog as the peer takes it, until the channel is closed or cancelled.

        `on_drained()` is called each time that nothing is left to write.
        """
        while not self._is_closed:
            if not self._backlog:
                self._has_backlog = trio.Event()
                await self._has_backlog.wait()
                continue
            try:
                await trio.lowlevel.wait_writable(self._sock)
                self._write_backlog()
            except (OSError, trio.ClosedResourceError):
                self.is_broken = True
                self._backlog.clear()
                self.n_backlog = 0
                self._drained.set()
                return
            if not self._backlog:
                self._drained.set()
                if on_drained is not None:
                    on_drained()

    def _write_backlog(self) -> None:
        while self._backlog:
            view = self._backlog[0]
            try:
                n_sent = self._sock.send(view)
            except _WOULD_BLOCK:
                return
            self.n_backlog -= n_sent
            if n_sent < len(view):
                self._backlog[0] = view[n_sent:]
            else:
                self._backlog.pop(0)


def release_all(channels: Iterable[Channel]) -> None:
    """Send what each of `channels` has gathered since `hold`, in one call for all."""
    parcels, senders = [], []
    for channel in channels:
        data = channel._take_held()
        if data is not None:
            parcels.append((channel._number, data))
            senders.append(channel)
    _send_parcels(parcels, senders)


def post_all(messages: Iterable[tuple[Channel, bytes | None]]) -> None:
    """Send to each channel, named once, its data if any; in one call where none has a backlog."""
    parcels, senders = [], []
    for channel, data in messages:
        if not data:
            continue
        if channel._held is None and not (channel._backlog or channel._is_tls
                                          or channel._is_closed):
            parcels.append((channel._number, data))
            senders.append(channel)
        else:
            channel.send(data)
    _send_parcels(parcels, senders)


def _send_parcels(parcels: list[tuple[int, bytes]], senders: list[Channel]) -> None:
    if parcels:
        for place, n_sent in send_all(tuple(parcels)):
            if n_sent >= 0 or -n_sent in _TRY_AGAIN:
                senders[place]._begin_backlog(parcels[place][1], max(n_sent, 0))
            else:
                senders[place].is_broken = True


async def connect(remote: address.Remote, context: ssl.SSLContext | None = None,
                  size_max: int = SIZE_MAX) -> Channel:
    """Connect to an active remote.  Raises: OSError."""
    if remote.is_unix:
        # A Unix connect never waits for long: it finds a listener with room or fails.
        sock = address.connect_unix(remote.path, 0.0)
    else:
        sock = await _connect_tcp(remote.host, remote.port)
    if not remote.is_tls:
        return Channel(sock, remote.text, size_max)
    if context is None:
        sock.close()
        raise OSError(0, "Private key must be configured to use SSL")
    tls = context.wrap_socket(sock, do_handshake_on_connect=False,
                              server_hostname=getattr(context, "server_name", None))
    channel = Channel(tls, remote.text, size_max)
    try:
        await channel.handshake()
        learn = getattr(context, "learn", None)
        if learn is not None:
            learn(tls)
            # The next connection is made with what was learned.
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    except BaseException:
        channel.close()
        raise
    return channel


async def _connect_tcp(host: str, port: int) -> socket.socket:
    infos = await trio.socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    failure: OSError | None = None
    for family, kind, protocol, _, place in infos:
        sock = trio.socket.socket(family, kind, protocol)
        try:
            await sock.connect(place)
        except OSError as error:
            # trio puts the address into the text; users expect the system's words.
            failure = OSError(error.errno, os.strerror(error.errno)) if error.errno else error
            sock.close()
            continue
        except BaseException:
            sock.close()
            raise
        plain = socket.socket(fileno=sock.detach())
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain
    raise failure or OSError(0, "no address")


__all__ = ["CODEC", "Channel", "ProtocolError", "connect", "post_all", "release_all"]
