"""Sockets of OpenFlow connections as trio streams: making them, TLS, and why it failed (edge)."""

import errno
import os
import ssl

import trio

from ovsdb_server import vlog
from ovsdb_server.rpc import address
from ovsdb_server.rpc.tls import describe_error
from ovsdb_server.rpc.tls_files import TlsNotConfigured
from vswitchd.openflow.connection import limit_of

_stream_ssl = vlog.module("stream_ssl")


def peer_name(stream: trio.SocketStream) -> str:
    """A TCP peer as logged."""
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:
        return "tcp:?"
    return f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}"


def reason_of(error: BaseException) -> str:
    """Why a connection could not be made, as the system says it; trio wraps the first reason."""
    while True:
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno)
        inner = (error.exceptions[0] if isinstance(error, BaseExceptionGroup)
                 else error.__cause__)
        if inner is None:
            return str(error)
        error = inner


def failure_of(error: BaseException, action: str = "SSL_connect") -> str:
    """Why a connection is none; what has gone wrong under TLS is logged here."""
    if isinstance(error, trio.TooSlowError):
        return os.strerror(errno.ETIMEDOUT)
    if isinstance(error, TlsNotConfigured):
        for complaint in error.complaints:
            _stream_ssl.err(complaint, limit_of("stream_ssl"))
        return error.strerror
    if isinstance(error, ssl.SSLError):
        _stream_ssl.warn(f"{action}: {describe_error(error)}", limit_of("stream_ssl"))
        return os.strerror(errno.EPROTO)
    return reason_of(error)


def listen(parsed: address.Remote):
    """A listening socket for a passive remote. Raises OSError."""
    if parsed.is_unix:
        return address.listen_unix(parsed.path)
    return address.listen_tcp(parsed.host, parsed.port)


async def open_stream(parsed: address.Remote) -> trio.SocketStream:
    """A stream to an active remote. Raises OSError."""
    if parsed.is_unix:
        return trio.SocketStream(trio.socket.from_stdlib_socket(address.connect_unix(parsed.path)))
    return await trio.open_tcp_stream(parsed.host, parsed.port)


async def encrypt(stream, context: ssl.SSLContext, is_server: bool) -> trio.SSLStream:
    """A TLS stream on a TCP stream, after the handshake. Raises OSError."""
    learn = getattr(context, "learn", None)
    wrapped = trio.SSLStream(stream, context, server_side=is_server, https_compatible=True,
                             server_hostname=None if is_server
                             else getattr(context, "server_name", None))
    try:
        await wrapped.do_handshake()
        if learn is not None and not is_server:
            learn(wrapped._ssl_object)      # who answered is trusted from the next time on
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error.__cause__, ssl.SSLError):
            raise error.__cause__ from None
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO)) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return wrapped
