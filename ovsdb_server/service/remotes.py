"""The remotes of a server: what it listens on and whom it calls, from options and from tables.

`Remotes.configure` takes the wanted {target: Policy} and starts and stops what differs.  A passive
remote is a listening socket and a task that accepts; an active one is a task that connects with
backoff.  `resolve` reads db:DB,TABLE,COLUMN.  Trio thread only.
"""

import errno
import os
import socket
import traceback
from typing import NamedTuple

import trio

from ovsdb_server import vlog
from ovsdb_server.engine.datum import Datum
from ovsdb_server.engine.table import Row, TableRows
from ovsdb_server.rpc import address
from ovsdb_server.rpc.backoff import Backoff
from ovsdb_server.rpc.stream import Channel, connect
from ovsdb_server.service.session import Policy, Session
from ovsdb_server.service.tls import TlsNotConfigured

_log = vlog.module("ovsdb_jsonrpc_server")
_socket_log = vlog.module("socket_util")
_unix_log = vlog.module("stream_unix")
_ssl_log = vlog.module("stream_ssl")

# Sessions over a network are probed after this many seconds of silence unless told otherwise.
PROBE_INTERVAL = 5.0

# A socket that cannot be opened is tried again after this many seconds.
_RETRY_INTERVAL = 2.5

# Connections accepted before the others get a turn.
_ACCEPT_BURST = 32

# DSCP of connections: network control.
_DEFAULT_DSCP = 48


class RemoteError(ValueError):
    """A remote cannot be; the text is for the user."""


class Target(NamedTuple):
    """A remote wanted by a row: where its status is written back ("" uuid: nowhere)."""

    text: str
    policy: Policy
    uuid: str = ""


def default_policy(target: str) -> Policy:
    """Return how sessions of a remote named on the command line are treated."""
    is_network = target.startswith(("tcp:", "ssl:", "ptcp:", "pssl:"))
    return Policy(PROBE_INTERVAL if is_network else 0.0)


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
        self.n_connects = 0
        self._remotes = remotes
        self._scope = trio.CancelScope()
        self._socket: socket.socket | None = None
        self._path = ""
        try:
            self._parsed: address.Remote | None = address.parse_remote(target)
        except (OSError, ValueError) as error:
            self._parsed = None
            self.last_error = error.strerror if isinstance(error, OSError) else str(error)

    @property
    def is_passive(self) -> bool:
        return self.target.startswith(("punix:", "ptcp:", "pssl:", "pfd:"))

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
                    _unix_log.err(f"{self._parsed.path}: binding failed: {text}")
                else:
                    _socket_log.err(f"{self.target[5:]}: bind: {text}")
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
            with trio.fail_after(PROBE_INTERVAL * 2):
                await channel.handshake()
        except TlsNotConfigured as error:
            _ssl_log.err(str(error), _HANDSHAKE_LIMIT)
            sock.close()
            return
        except (OSError, trio.TooSlowError) as error:
            _ssl_log.warn(f"{name}: SSL handshake failed: {error}", _HANDSHAKE_LIMIT)
            sock.close()
            return
        await self._serve_session(channel)

    async def _connect_forever(self) -> None:
        backoff = Backoff(self.target, max_delay=self.policy.max_backoff)
        while True:
            self.state = "CONNECTING"
            backoff.connecting()
            try:
                if self._parsed is None:
                    raise OSError(errno.EAFNOSUPPORT, self.last_error)
                context = self._remotes.tls_context(False) if self._parsed.is_tls else None
                channel = await connect(self._parsed, context)
            except OSError as error:
                if isinstance(error, TlsNotConfigured):
                    _ssl_log.err(str(error))
                self.last_error = error.strerror or str(error)
                self.state = "BACKOFF"
                self._remotes.note_status()
                await trio.sleep(backoff.failed(self.last_error))
                continue
            backoff.connected()
            started = trio.current_time()
            self.last_error = ""
            await self._serve_session(channel)
            self.state = "BACKOFF"
            await trio.sleep(backoff.lost("", trio.current_time() - started))

    async def _serve_session(self, channel: Channel) -> None:
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

    def status(self, now: float) -> tuple[bool, dict[str, str]]:
        """Return (is_connected, the map that goes into column status)."""
        status: dict[str, str] = {}
        if self.bound_port:
            status["bound_port"] = str(self.bound_port)
        if self.is_passive and not self.sessions:
            return False, status
        if not self.is_passive:
            status["state"] = self.state
            if self.last_error:
                status["last_error"] = self.last_error
        if len(self.sessions) > 1:
            status["n_connections"] = str(len(self.sessions))
        for key, moment in (("sec_since_connect", self.connected_at),
                            ("sec_since_disconnect", self.disconnected_at)):
            if moment is not None:
                status[key] = str(int(now - moment))
            elif self.is_passive:
                status[key] = "0"
        if len(self.sessions) == 1:
            held, waiting, lost = self._remotes.server.locks.names(next(iter(self.sessions)))
            for key, names in (("locks_held", held), ("locks_waiting", waiting),
                               ("locks_lost", lost)):
                if names:
                    status[key] = " ".join(names)
        return bool(self.sessions), status


_ACCEPT_LIMIT = vlog.RateLimit(5, 5)
_HANDSHAKE_LIMIT = vlog.RateLimit(10, 10)


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
            if wanted.get(target) != remote.policy:
                remote.close()
                del self.running[target]
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


# Remotes that a table lists.


def split_reference(text: str) -> tuple[str, str, str]:
    """Split db:DB,TABLE,COLUMN.  Raises: RemoteError."""
    words = text[3:].split(",")
    if len(words) != 3 or not all(words):
        raise RemoteError(f'"{text}": invalid syntax')
    return words[0], words[1], words[2]


def _find_column(text: str, databases: dict) -> tuple[TableRows, object, object]:
    """Return (table, column, hosted) that db:DB,TABLE,COLUMN names.  Raises: RemoteError."""
    name, table_name, column_name = split_reference(text)
    hosted = databases.get(name)
    if hosted is None:
        raise RemoteError(f'"{text}": no database named {name}')
    table = hosted.database.tables.get(table_name)
    if table is None:
        raise RemoteError(f'"{text}": no table named {table_name}')
    column = table.schema.columns.get(column_name)
    if column is None:
        raise RemoteError(f'"{text}": table "{table_name}" has no column "{column_name}"')
    return table, column, hosted


def check_reference(text: str, databases: dict) -> None:
    """Raise RemoteError unless db:DB,TABLE,COLUMN can name remotes."""
    _, column, _ = _find_column(text, databases)
    kind = column.type.key
    if kind.type == "string" and column.type.value is None:
        return
    if kind.type == "uuid" and kind.ref_table and column.type.value is None:
        return
    raise RemoteError(f'"{text}": type mismatch: not a string or a reference to a table')


def read_string(text: str, databases: dict) -> str | None:
    """Return the first string in the column db:DB,TABLE,COLUMN, for file names and the like."""
    try:
        table, column, _ = _find_column(text, databases)
    except RemoteError:
        return None
    for row in table.rows.values():
        for value in row[column.index]:
            if isinstance(value, str) and value:
                return value
    return None


def resolve(text: str, databases: dict) -> list[Target]:
    """Return the remotes that db:DB,TABLE,COLUMN lists now, none if it cannot be read."""
    try:
        table, column, hosted = _find_column(text, databases)
    except RemoteError:
        return []
    values = [value for row in table.rows.values() for value in row[column.index]]
    if column.type.key.type == "string":
        return [Target(value, default_policy(value)) for value in values if value]
    targets = hosted.database.tables.get(column.type.key.ref_table)
    if targets is None:
        return []
    found = []
    for uuid in values:
        row = targets.rows.get(uuid)
        if row is not None and (target := _row_target(targets, uuid, row)) is not None:
            found.append(target)
    return found


def _row_target(table: TableRows, uuid: str, row: Row) -> Target | None:
    """Return the remote that a row like those of table Manager describes."""

    def cell(name: str) -> Datum:
        column = table.schema.columns.get(name)
        return () if column is None else row[column.index]

    def scalar(name: str, kind: type) -> object:
        value = cell(name)
        return value[0] if len(value) == 1 and type(value[0]) is kind else None

    text = scalar("target", str)
    if not text:
        return None
    policy = default_policy(text)
    probe_ms = scalar("inactivity_probe", int)
    if probe_ms is not None:
        policy = policy._replace(probe_interval=_probe_interval(probe_ms))
    backoff_ms = scalar("max_backoff", int)
    if backoff_ms is not None:
        policy = policy._replace(max_backoff=max(backoff_ms, 1000) / 1000)
    if scalar("read_only", bool):
        policy = policy._replace(is_read_only=True)
    policy = policy._replace(role=scalar("role", str) or "")
    config = cell("other_config")
    dscp = dict(config).get("dscp", "") if config and isinstance(config[0], tuple) else ""
    if dscp.isdecimal() and int(dscp) < 64:
        policy = policy._replace(dscp=int(dscp))
    return Target(text, policy, uuid)


def _probe_interval(milliseconds: int) -> float:
    """Return a probe interval in seconds; below a second counts as one, 0 as never."""
    if milliseconds <= 0:
        return 0.0
    return max(milliseconds, 1000) / 1000


def status_operations(text: str, databases: dict, remotes: Remotes, now: float) -> tuple[
        object, list] | None:
    """Return (database, operations) that write the status of the remotes of `text` back.

    None when there is nothing to write.
    """
    try:
        _, column, hosted = _find_column(text, databases)
    except RemoteError:
        return None
    if column.type.key.type != "uuid":
        return None
    table = hosted.database.tables[column.type.key.ref_table]
    columns = table.schema.columns
    operations = []
    for target in resolve(text, databases):
        remote = remotes.running.get(target.text)
        if remote is None:
            continue
        is_connected, status = remote.status(now)
        row = table.rows[target.uuid]
        changes: dict[str, object] = {}
        if "is_connected" in columns and row[columns["is_connected"].index] != (is_connected,):
            changes["is_connected"] = is_connected
        if "status" in columns:
            pairs = tuple(sorted(status.items()))
            if row[columns["status"].index] != pairs:
                changes["status"] = ["map", [list(pair) for pair in pairs]]
        if changes:
            operations.append({"op": "update", "table": table.schema.name, "row": changes,
                               "where": [["_uuid", "==", ["uuid", target.uuid]]]})
    return (hosted, operations) if operations else None


__all__ = ["Policy", "Remotes", "RemoteError", "Target", "check_reference", "default_policy",
           "read_string", "resolve", "status_operations"]
