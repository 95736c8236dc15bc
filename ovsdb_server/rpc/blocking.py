"""The blocking edge of JSON-RPC: what command line tools use to talk to a server or a daemon.

`connect(remote)` opens unix:, tcp: or ssl: (or waits for one connection on punix:, ptcp:, pssl:)
and returns a `Connection`; `call` sends a request and returns its result.  Standard library only,
and few modules of it, because each tool pays for the import at every start.  One thread.
"""

import errno
import os
import time
from _collections_abc import Callable        # What collections.abc exports, already loaded.

from ovsdb_server.rpc import address
from ovsdb_server.rpc.message import (ERROR, NOTIFICATION, REPLY, REQUEST, Message, ProtocolError,
                                      Splitter, decode, encode_error, encode_notification,
                                      encode_reply, encode_request)

_CHUNK = 64 * 1024


class RpcError(Exception):
    """The peer answered a request with an error.  `error` is the JSON value it sent."""

    def __init__(self, error: object) -> None:
        super().__init__(error if isinstance(error, str) else repr(error))
        self.error = error


class ConnectionClosed(EOFError):
    """The peer closed the connection."""


class Tls:
    """Files for ssl: remotes; `ca_certificate` None means that the peer is not verified.

    `protocols`, `ciphers` and `ciphersuites` limit what is offered, `server_name` is told to the
    server (SNI).  `complain(text)` is told which of these lists cannot be used; they are ignored
    then.  `learn(sock)`, if not None, takes the authority from the first server that is called,
    whoever it is; that connection is then given up, as the reference does.
    """

    __slots__ = ("private_key", "certificate", "ca_certificate", "protocols", "ciphers",
                 "server_name", "ciphersuites", "complain", "learn")

    def __init__(self, private_key: str, certificate: str, ca_certificate: str | None,
                 protocols: str | None = None, ciphers: str | None = None,
                 server_name: str | None = None, ciphersuites: str | None = None,
                 complain: Callable[[str], object] = lambda text: None,
                 learn: Callable[[object], object] | None = None) -> None:
        self.private_key = private_key
        self.certificate = certificate
        self.ca_certificate = ca_certificate
        self.protocols = protocols
        self.ciphers = ciphers
        self.server_name = server_name
        self.ciphersuites = ciphersuites
        self.complain = complain
        self.learn = learn


def connect(remote: str, timeout: float | None = None, tls: Tls | None = None) -> "Connection":
    """Open `remote`, a connection method of ovsdb(7).

    Args: `timeout` in seconds, None for none.  Raises: ValueError for a malformed remote, OSError
    for a failed connection, TimeoutError.
    """
    parsed = address.parse_remote(remote)
    if parsed.is_passive:
        sock = _accept_one(parsed, timeout)
    elif parsed.is_unix:
        sock = address.connect_unix(parsed.path, timeout, is_plain=True)
    else:
        import socket       # Unix sockets, the usual case, do not need it.
        # As bytes, a name in ASCII takes no codec to look up.
        host = parsed.host.encode() if parsed.host.isascii() else parsed.host
        sock = socket.create_connection((host, parsed.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parsed.is_tls:
        sock = wrap_tls(sock, parsed.is_passive, tls)
    return Connection(sock, remote)


def connect_path(path: str, timeout: float | None = None) -> "Connection":
    """Open the socket file `path`, as given (unixctl sockets).  Raises: OSError."""
    return Connection(address.connect_unix(path, timeout, is_plain=True), path)


def _accept_one(parsed: address.Remote, timeout: float | None):
    if parsed.is_unix:
        listener = address.listen_unix(parsed.path)
    elif parsed.kind == "pfd":
        listener = address.listen_inherited(parsed.port)
    else:
        listener = address.listen_tcp(parsed.host, parsed.port)
    try:
        listener.settimeout(timeout)
        return listener.accept()[0]
    finally:
        listener.close()


def wrap_tls(sock, is_server: bool, tls: Tls | None):
    """Return the socket.socket `sock` with TLS over it, after the handshake.

    Raises: ValueError without `tls`; OSError, of which ssl.SSLError is one.
    """
    import ssl      # Only ssl: remotes pay for this.
    if tls is None:
        sock.close()
        raise ValueError("Private key must be configured to use SSL")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if not tls.protocols is tls.ciphers is tls.ciphersuites is None:
        from ovsdb_server.rpc.tls import apply_limits
        apply_limits(context, tls.protocols, tls.ciphers, tls.ciphersuites, tls.complain)
    context.load_cert_chain(tls.certificate, tls.private_key)
    if tls.ca_certificate is not None:
        context.load_verify_locations(tls.ca_certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    elif is_server and tls.learn is not None:
        context.verify_mode = ssl.CERT_REQUIRED     # Until then nobody is trusted who calls us.
    else:
        context.verify_mode = ssl.CERT_NONE
    wrapped = context.wrap_socket(sock, server_side=is_server,
                                  server_hostname=None if is_server else tls.server_name)
    if tls.learn is None or is_server:
        return wrapped
    with wrapped:
        tls.learn(wrapped)
    raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))


class Connection:
    """A JSON-RPC peer on a connected stream socket.

    The peer's `echo` requests are answered wherever messages are read.  Messages that `call` meets
    while it waits for its reply are kept in order for `receive`.
    """

    def __init__(self, sock, name: str) -> None:
        self._sock = sock
        # TLS is read and written without blocking, after poll; other sockets wait by themselves.
        self._is_tls = getattr(sock, "_sslobj", None) is not None
        self._limit: float | None = None    # What the socket knows of a time limit.
        sock.settimeout(0 if self._is_tls else None)
        self.name = name
        self._splitter = Splitter()
        self._texts: list[bytes] = []       # Whole messages not parsed yet, in order.
        self._kept: list[Message] = []      # Parsed while waiting for something else, in order.
        self._next_id = 0
        if hasattr(sock, "unwrap"):
            import atexit   # Tools end without closing; see `close`.
            atexit.register(self.close)

    @classmethod
    def go_on(cls, sock, name: str, n_sent: int, received: bytes) -> "Connection":
        """Return one where somebody has sent `n_sent` requests, with ids from 0, and `received`
        something since; see `wait_for`."""
        connection = cls(sock, name)
        connection._next_id = n_sent
        try:
            connection._texts = connection._splitter.feed(received)
        except ProtocolError as failure:
            connection._splitter.failure = failure
        return connection

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        """Close the connection; a TLS peer is told first, or it would log a loss."""
        unwrap = getattr(self._sock, "unwrap", None)
        if unwrap is not None:
            try:
                unwrap()                    # Does not wait for the peer's answer.
            except (OSError, ValueError):
                pass
        self._sock.close()

    def call(self, method: str, params: list, timeout: float | None = None) -> object:
        """Send a request and return the result of its reply.

        Raises: RpcError, ConnectionClosed, OSError, ProtocolError, TimeoutError.
        """
        deadline = _deadline(timeout)
        return self.wait_for(self.send_request(method, params, timeout), deadline)

    def wait_for(self, id: int, deadline: float | None = None) -> object:
        """Return the result of the reply to request `id`.  Raises as `call`."""
        while True:
            message = self._read(deadline)
            if message.kind in (REPLY, ERROR) and message.id == id:
                if message.kind == ERROR:
                    raise RpcError(message.error)
                return message.result
            self._kept.append(message)

    def send_request(self, method: str, params: list, timeout: float | None = None) -> int:
        """Send a request without waiting; return its id."""
        id = self._next_id
        self._next_id += 1
        self._send(encode_request(method, params, id), _deadline(timeout))
        return id

    def notify(self, method: str, params: list, timeout: float | None = None) -> None:
        """Send a notification."""
        self._send(encode_notification(method, params), _deadline(timeout))

    def reply(self, result: object, id: object) -> None:
        """Answer a request of the peer."""
        self._send(encode_reply(result, id), None)

    def reply_error(self, error: object, id: object) -> None:
        """Refuse a request of the peer."""
        self._send(encode_error(error, id), None)

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message from the peer, of any kind but an echo request.

        A `timeout` of 0 returns what has already arrived.  Raises as `call`.
        """
        if self._kept:
            return self._kept.pop(0)
        return self._read(_deadline(timeout))

    def next_notification(self, timeout: float | None = None) -> Message:
        """Return the next notification, dropping other messages.  Raises as `call`."""
        deadline = _deadline(timeout)
        while True:
            message = self._kept.pop(0) if self._kept else self._read(deadline)
            if message.kind == NOTIFICATION:
                return message

    def _read(self, deadline: float | None) -> Message:
        while True:
            while self._texts:
                message = decode(self._texts.pop(0))
                if message.kind == REQUEST and message.method == "echo":
                    self._send(encode_reply(message.params, message.id), deadline)
                    continue
                return message
            if self._splitter.failure is not None:
                raise self._splitter.failure
            data = self._receive_bytes(deadline)
            if not data:
                raise ConnectionClosed(f"{self.name}: connection closed")
            self._texts = self._splitter.feed(data)

    def _receive_bytes(self, deadline: float | None) -> bytes:
        if not self._is_tls:
            self._set_limit(deadline)
            try:
                return self._sock.recv(_CHUNK)
            except (BlockingIOError, TimeoutError) as error:
                raise self._timeout(error) from None
        while True:
            try:
                return self._sock.recv(_CHUNK)
            except OSError as error:
                self._wait_for_tls(error, deadline)

    def _send(self, data: bytes, deadline: float | None) -> None:
        view = memoryview(data)
        while view:
            try:
                if not self._is_tls:
                    self._set_limit(deadline)
                view = view[self._sock.send(view):]
            except (BlockingIOError, TimeoutError) as error:
                raise self._timeout(error) from None
            except OSError as error:
                self._wait_for_tls(error, deadline)

    def _timeout(self, error: OSError) -> OSError:
        """Return what to raise for `error`: the network's own ETIMEDOUT is not our limit."""
        if error.errno == errno.ETIMEDOUT:
            return error
        return TimeoutError(f"{self.name}: timed out")

    def _set_limit(self, deadline: float | None) -> None:
        """Let the next call of the socket end at `deadline`."""
        limit = None if deadline is None else max(0, deadline - time.monotonic())
        if limit != self._limit:
            self._sock.settimeout(limit)
            self._limit = limit

    def _wait_for_tls(self, error: OSError, deadline: float | None) -> None:
        """Wait for what TLS waits for; raise `error` if it waits for nothing."""
        import select       # Only ssl: remotes need it.
        events = {"SSLWantReadError": select.POLLIN, "SSLWantWriteError": select.POLLOUT}
        event = events.get(type(error).__name__)
        if event is None:
            raise error
        poll = select.poll()
        poll.register(self._sock, event)
        if deadline is None:
            poll.poll()
            return
        remaining = deadline - time.monotonic()
        if not poll.poll(max(0, remaining * 1000)):
            raise TimeoutError(f"{self.name}: timed out")


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


__all__ = ["Connection", "ConnectionClosed", "ProtocolError", "RpcError", "Tls", "connect",
           "connect_path"]
