"""The remotes of a server: what it listens on and whom it calls, from options and from tables.

`Remotes.configure` takes the wanted {target: Policy} and starts and stops what differs.  A passive
remote is a listening socket and a task that accepts; an active one is a task that connects with
backoff.  Which remotes a table lists is `targets.py`'s.  Trio thread only.
"""

import errno
import os
import socket
import ssl
import traceback

import trio

from ovsdb_server import vlog
from ovsdb_server.rpc import address
from ovsdb_server.rpc.backoff import Backoff
from ovsdb_server.rpc.stream import Channel, connect
from ovsdb_server.rpc.tls import describe_error
from ovsdb_server.service.session import Policy, Session
from ovsdb_server.rpc.tls_files import TlsNotConfigured

_log = vlog.module("ovsdb_jsonrpc_server")
_socket_log = vlog.module("socket_util")
_unix_log = vlog.module("stream_unix")
_rpc_log = vlog.module("jsonrpc")
_signals_log = vlog.module("fatal_signal")
_reconnect_log = vlog.module("reconnect")
_ssl_log = vlog.module("stream_ssl")

# A TLS handshake must be over after this many seconds.
_HANDSHAKE_TIME = 10.0

# A socket that cannot be opened is tried again after this many seconds.
_RETRY_INTERVAL = 2.5

# Connections accepted before the others get a turn.
_ACCEPT_BURST = 32

# DSCP of connections: network control.
_DEFAULT_DSCP = 48


class Remote:
    """One remote that is at work: its sessions and what its status says."""

    def __init__(self, remotes: "Remotes", target: str, policy: Policy) -> None:
        self.target = target
        self.policy = policy
        self.sessions: set[Session] = set()
        self.bound_port = 0
        self.state = "VOID"
        self.last_error = ""
        self.connected_at: float | None = None
        self.disconnected_at: float | None = None
        self._remotes = remotes
        self._scope = trio.CancelScope()
        self._socket: socket.socket | None = None
        self._path = ""
        try:
            self._parsed: address.Remote | None = address.parse_remote(target)
        except (OSError, ValueError) as error:
            self._parsed = None
            self.last_error = error.strerror if isinstance(error, OSError) else str(error)
            if self.is_passive:
                _socket_log.err(self.last_error.removeprefix(target.partition(":")[0] + ":"))

    @property
    def is_passive(self) -> bool:
        return self.target.startswith(("punix:", "ptcp:", "pssl:", "pfd:"))

    @property
    def _bound_name(self) -> str:
        """What we listen on, with the port that was chosen for port 0."""
        kind, _, place = self.target.partition(":")
        _, colon, host = place.partition(":")
        return f"{kind}:{self.bound_port}{colon}{host}"

    def open(self) -> None:
        """Listen, if passive.  Trouble is logged, and `serve` tries again."""
        if self._parsed is None or not self._parsed.is_passive or self._socket is not None:
            return
        try:
            self._open_listener(self._parsed)
            self.last_error = ""
        except OSError as error:
            text = error.strerror or str(error)
            if text != self.last_error:
                if self._parsed.is_unix:
                    clear_away(self._parsed.path, text)
                else:
                    _socket_log.err(f"{self.target.partition(chr(58))[2]}: bind: {text}")
                _log.err(f"{self.target}: listen failed: {text}")
            self.last_error = text

    def _open_listener(self, parsed: address.Remote) -> None:
        if parsed.is_unix:
            self._socket = address.listen_unix(parsed.path)
            self._path = parsed.path
            self._remotes.note_file(parsed.path, True)
        elif parsed.kind == "pfd":
            self._socket = address.listen_inherited(parsed.port)
        else:
            self._socket = address.listen_tcp(parsed.host, parsed.port)
            self.bound_port = self._socket.getsockname()[1]
            if parsed.port == 0:
                _socket_log.info(f"{self.target[5:]}: listening on port {self.bound_port}")
        self._socket.setblocking(False)

    async def serve(self) -> None:
        """Accept or connect until closed."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                if self.is_passive:
                    await self._accept_forever(nursery)
                else:
                    await self._connect_forever()

    def set_policy(self, policy: Policy) -> None:
        """Treat clients differently.  Those who may do something else now have to come anew."""
        before, self.policy = self.policy, policy
        if before.dscp != policy.dscp and self._socket is not None and not self._parsed.is_unix:
            _set_dscp(self._socket, policy.dscp)
        for session in list(self.sessions):
            if (before.is_read_only, before.role, before.dscp) != (
                    policy.is_read_only, policy.role, policy.dscp):
                session.disconnect("options of the remote changed")
            else:
                session.set_policy(policy)

    def close(self) -> None:
        """Stop listening or connecting and end the sessions."""
        self._scope.cancel()
        if self._socket is not None:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
            self._socket = None
        if self._path:
            try:
                os.unlink(self._path)
            except OSError:
                pass
            self._remotes.note_file(self._path, False)
            self._path = ""

    async def _accept_forever(self, nursery: trio.Nursery) -> None:
        while True:
            self.open()
            if self._socket is None:
                await trio.sleep(_RETRY_INTERVAL)
                continue
            try:
                await trio.lowlevel.wait_readable(self._socket)
                for _ in range(_ACCEPT_BURST):
                    nursery.start_soon(self._serve_accepted, *self._socket.accept())
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except trio.ClosedResourceError:
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
                    raise
                _log.warn(f"{self.target}: accept failed: {error.strerror}", _ACCEPT_LIMIT)
                await trio.sleep(0.1)

    async def _serve_accepted(self, sock: socket.socket, peer: object) -> None:
        name = self._remotes.next_name(sock, peer, self._parsed.is_tls)
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _set_dscp(sock, self.policy.dscp)
            if self._parsed.is_tls:
                context = self._remotes.tls_context(True)
                sock = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            channel = Channel(sock, name)
            with trio.fail_after(_HANDSHAKE_TIME):
                await channel.handshake()
        except TlsNotConfigured as error:
            for complaint in error.complaints:
                _ssl_log.err(complaint, _HANDSHAKE_LIMIT)
            _log.warn(f"{self._bound_name}: accept failed: {error.strerror}", _ACCEPT_LIMIT)
            sock.close()
            return
        except (OSError, trio.TooSlowError) as error:
            if isinstance(error, ssl.SSLError):
                _ssl_log.warn(f"SSL_accept: {describe_error(error)}", _HANDSHAKE_LIMIT)
                reason = os.strerror(errno.EPROTO)
            else:
                reason = getattr(error, "strerror", None) or os.strerror(errno.ETIMEDOUT)
            _rpc_log.warn(f"{name}: receive error: {reason}", _HANDSHAKE_LIMIT)
            _reconnect_log.warn(f"{name}: connection dropped ({reason})")
            sock.close()
            return
        await self._serve_session(channel)

    async def _connect_forever(self) -> None:
        backoff = Backoff(self.target, max_delay=self.policy.max_backoff)
        while True:
            self.state = "CONNECTING"
            backoff.max_delay = max(self.policy.max_backoff, backoff.min_delay)
            backoff.connecting()
            try:
                if self._parsed is None:
                    raise OSError(errno.EAFNOSUPPORT, self.last_error)
                context = self._remotes.tls_context(False) if self._parsed.is_tls else None
                channel = await connect(self._parsed, context)
            except OSError as error:
                if isinstance(error, TlsNotConfigured):
                    for complaint in error.complaints:
                        _ssl_log.err(complaint)
                self.last_error = error.strerror or str(error)
                self.state = "BACKOFF"
                self._remotes.note_status()
                await trio.sleep(backoff.failed(self.last_error))
                continue
            backoff.connected()
            started = trio.current_time()
            self.last_error = ""
            reason = await self._serve_session(channel)
            self.state = "BACKOFF"
            await trio.sleep(backoff.lost(reason, trio.current_time() - started))

    async def _serve_session(self, channel: Channel) -> str:
        """Serve a client until it is gone; return why, "" if it wished so or was told to."""
        session = Session(self._remotes.server, channel, self.policy)
        self.sessions.add(session)
        self.state = "ACTIVE"
        self.connected_at = trio.current_time()
        self._remotes.note_status()
        try:
            await session.serve()
        except Exception as error:
            # A defect that one client meets must not end the service for the others.
            _log.err(f"{channel.name}: internal error, disconnecting: "
                     + "".join(traceback.format_exception(error)))
        finally:
            self.sessions.discard(session)
            self.disconnected_at = trio.current_time()
            self._remotes.note_status()
        return session.end_reason

    def status(self, now: float) -> tuple[bool, dict[str, str]]:
        """Return (is_connected, the map that goes into column status)."""
        status: dict[str, str] = {}
        if self.bound_port:
            status["bound_port"] = str(self.bound_port)
        if self.is_passive:
            # The reference's zeros: the times of several sessions are not one time.
            if len(self.sessions) > 1:
                status["n_connections"] = str(len(self.sessions))
            return bool(self.sessions), status | {"sec_since_connect": "0",
                                                  "sec_since_disconnect": "0"}
        status["state"] = self.state
        if self.last_error:
            status["last_error"] = self.last_error
        for key, moment in (("sec_since_connect", self.connected_at),
                            ("sec_since_disconnect", self.disconnected_at)):
            if moment is not None:
                status[key] = str(int(now - moment))
        if self.sessions:
            held, waiting, lost = self._remotes.server.locks.names(next(iter(self.sessions)))
            for key, names in (("locks_held", held), ("locks_waiting", waiting),
                               ("locks_lost", lost)):
                if names:
                    status[key] = " ".join(names)
        return bool(self.sessions), status


_ACCEPT_LIMIT = vlog.RateLimit(5, 5)
_HANDSHAKE_LIMIT = vlog.RateLimit(10, 10)


def clear_away(path: str, reason: str) -> None:
    """Remove the file of a socket that could not be bound; the log tells if there is none."""
    try:
        os.unlink(path)
    except OSError as error:
        _signals_log.warn(f'could not unlink "{path}" ({os.strerror(error.errno)})')
    _unix_log.err(f"{path}: binding failed: {reason}")


def _set_dscp(sock: socket.socket, dscp: int | None) -> None:
    value = (_DEFAULT_DSCP if dscp is None else dscp) << 2
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, value)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, value)
    except OSError:
        pass


class Remotes:
    """All remotes of a server.

    Args: `server`, for sessions; `note_file(path, exists)`, told of socket files;
    `tls_context(is_server)`, raising OSError while TLS is not configured;
    `note_status()`, told that a status changed.
    """

    def __init__(self, server, note_file, tls_context, note_status) -> None:
        self.server = server
        self.note_file = note_file
        self.tls_context = tls_context
        self.note_status = note_status
        self.running: dict[str, Remote] = {}
        self._n_unix = 0

    def configure(self, wanted: dict[str, Policy], nursery: trio.Nursery) -> None:
        """Make `wanted` {target: policy} what is at work."""
        for target, remote in list(self.running.items()):
            if target not in wanted:
                _log.info(f"{target}: remote deconfigured")
                remote.close()
                del self.running[target]
            elif wanted[target] != remote.policy:
                remote.set_policy(wanted[target])
        for target, policy in wanted.items():
            if target not in self.running:
                remote = self.running[target] = Remote(self, target, policy)
                remote.open()
                nursery.start_soon(remote.serve)

    def close(self) -> None:
        for remote in self.running.values():
            remote.close()
        self.running.clear()

    def next_name(self, sock: socket.socket, peer: object, is_tls: bool) -> str:
        """Return what logs call a new passive session."""
        if sock.family == socket.AF_UNIX:
            self._n_unix += 1
            return f"unix#{self._n_unix - 1}"
        host, port = peer[0], peer[1]
        shown = f"[{host}]" if ":" in host else host
        return f"{'ssl' if is_tls else 'tcp'}:{shown}:{port}"
