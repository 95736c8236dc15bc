"""Active-backup replication: while this server is a backup, it copies another server's data.

For each database that both have, the tables (minus the excluded ones) are monitored in the first
form, wiped, filled with the reply and then follow each update as one local commit.  Meanwhile all
sessions are read-only.  Source: ovsdb(7), "Active-Backup Database Service Model".

Runs as one task of the server.  Trio thread only.
"""

from collections.abc import Callable
from typing import NamedTuple

import trio

from ovsdb_server import vlog
from ovsdb_server.engine import datum
from ovsdb_server.engine.atom import ZERO_UUID
from ovsdb_server.engine.database import Execution
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.pace import Paced, at_once
from ovsdb_server.engine.schema import DatabaseSchema, Table
from ovsdb_server.engine.table import Row
from ovsdb_server.rpc import address, message
from ovsdb_server.rpc.backoff import Backoff
from ovsdb_server.rpc.message import ERROR, NOTIFICATION, REPLY, REQUEST, Message
from ovsdb_server.rpc.stream import CODEC, Channel, ProtocolError, connect
from ovsdb_server.service.hosted import Copied
from ovsdb_server.service.large import MANY_CHANGES

_log = vlog.module("replication")
_error_log = vlog.module("ovsdb_error")
_rpc_log = vlog.module("jsonrpc")
_reconnect_log = vlog.module("reconnect")

PROBE_INTERVAL = 60.0

_COMMENT = "replicated from the active server"


class ReplicationError(Exception):
    """The active server cannot be copied; the text says why."""


def parse_excluded(text: str) -> dict[str, set[str]]:
    """Parse DB:TABLE,... of --sync-exclude-tables; what is no name of a table excludes nothing."""
    excluded: dict[str, set[str]] = {}
    for word in text.replace(",", " ").split(" "):
        if word:
            name, _, table = (word, "", "") if word[0] == ":" else word.partition(":")
            excluded.setdefault(name, set()).add(table)
    return excluded


class SelfReplication(ReplicationError):
    """The active server is this server."""


class NothingToReplicate(ReplicationError):
    """None of the databases that both servers have can be copied."""


class Source(NamedTuple):
    """Databases `names` of this server that --config-file makes copies of those at `remote`.

    `excluded`, texts DB:TABLE; `probe_interval` in seconds.
    """

    remote: str
    names: frozenset[str]
    excluded: tuple[str, ...] = ()
    probe_interval: float = PROBE_INTERVAL


class Replication:
    """What is copied from where.

    `source` is the active server's remote ("" for none); `is_backup`, whether copying is on;
    `excluded` {database: table names} and `excluded_text` as given; `only`, the databases that are
    copied (None: all that both have); `probe_interval` in seconds.
    """

    def __init__(self, server) -> None:
        self.server = server
        self.source = ""
        self._copied = ""               # The source that is being copied.
        self.is_backup = False
        self.excluded: dict[str, set[str]] = {}
        self.excluded_text = ""
        self.only: frozenset[str] | None = None
        self.probe_interval = PROBE_INTERVAL
        self._states: dict[str, str] = {}
        self._changed = trio.Event()
        self._scope = trio.CancelScope()
        self._pending: list[Message] = []
        self._next_id = 0
        self._is_closed = False

    @property
    def settings(self) -> Source:
        """What --config-file would say to get this."""
        return Source(self.source, self.only or frozenset(),
                      tuple(self.excluded_text.split(",")) if self.excluded_text else (),
                      self.probe_interval)

    def copies(self, name: str) -> bool:
        """Is the database `name` a copy now, and so read-only?"""
        return self.is_backup and not name.startswith("_") and (
            self.only is None or name in self.only)

    # Settings; each takes effect at once.

    def configure(self, source: str | None = None, excluded: str | None = None,
                  probe_interval: float | None = None) -> None:
        """Change settings; what is None stays.

        Another source is copied from the next time that copying begins.
        """
        if source is not None:
            self.source = source
        if excluded is None and probe_interval is None:
            return
        if excluded is not None:
            self.excluded = parse_excluded(excluded)
            self.excluded_text = ",".join(f"{name}:{table}" for name in sorted(self.excluded)
                                          for table in sorted(self.excluded[name]))
        if probe_interval is not None:
            self.probe_interval = probe_interval
        self._restart()

    def set_backup(self, is_backup: bool, only: frozenset[str] | None = None) -> None:
        """Become a backup (of the databases `only`) or the active server.

        Sessions that cannot know are sent away.
        """
        if (is_backup, only) != (self.is_backup, self.only):
            self.is_backup, self.only = is_backup, only
            self.server.disconnect_unaware("server becomes a backup" if is_backup
                                           else "server becomes the active one")
        self._states.clear()
        self._restart()

    def close(self) -> None:
        """Stop copying for good."""
        self._is_closed = True
        self.set_backup(False)

    def _restart(self) -> None:
        self._copied = self.source
        self._scope.cancel()
        self._changed.set()

    def status(self) -> str:
        """Return what ovsdb-server/sync-status says of the copies, "" if there are none."""
        if not self.is_backup:
            return ""
        lines = []
        for name in sorted(filter(self.copies, self.server.databases)):
            state = self._states.get(name, "connecting")
            lines += [f"database: {name}", "state: backup"]
            if state == "replicating":
                lines.append(f"replicating: {self._copied}")
                tables = ",".join(f"{name}:{table}" for table in sorted(
                    self.excluded.get(name, ())))
                if tables:
                    lines.append(f"exclude: {tables}")
            elif state == "connecting":
                lines.append(f"connecting: {self._copied}")
            else:
                lines.append(f"Replication to ({self._copied}) failed")
        return "\n".join(lines)

    # The task.

    async def serve(self) -> None:
        """Copy whenever this server is a backup, until cancelled."""
        while not self._is_closed:
            self._changed = trio.Event()
            if not self.is_backup or not self._copied:
                await self._changed.wait()
                continue
            with trio.CancelScope() as self._scope:
                await self._copy_forever()

    async def _copy_forever(self) -> None:
        backoff = Backoff(self._copied)
        while True:
            self._states = dict.fromkeys(self.server.databases, "connecting")
            backoff.connecting()
            try:
                remote = address.parse_remote(self._copied)
                context = self.server.tls_context(False) if remote.is_tls else None
                channel = await connect(remote, context)
            except (OSError, ValueError) as error:
                await trio.sleep(backoff.failed(getattr(error, "strerror", None) or str(error)))
                continue
            backoff.connected()
            started = trio.current_time()
            reason = await self._copy(channel)
            await trio.sleep(backoff.lost(reason, trio.current_time() - started))

    async def _copy(self, channel: Channel) -> str:
        """Copy over one connection; return why it ended, "" if the active server closed it."""
        self._pending.clear()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.serve_backlog)
                if self.probe_interval:
                    nursery.start_soon(self._probe, channel)
                try:
                    await self._follow(channel)
                except NothingToReplicate:
                    _log.warn("Nothing to replicate.")
                    self.set_backup(False)
                    return ""
                except SelfReplication as error:
                    _error_log.err(f"unexpected ovsdb error: {error}")
                    self.set_backup(False)
                    return ""
                except (ReplicationError, OvsdbError, TypeError, KeyError, ValueError,
                        AttributeError) as error:
                    _log.warn(f"{self._copied}: {error}")
                    self._states = dict.fromkeys(self._states, "failed")
                    # Trying again changes nothing until the other side does.
                    while await channel.receive() is not None:
                        pass
                    return ""
                except ProtocolError:
                    return "Protocol error"
                except (EOFError, trio.ClosedResourceError):
                    return ""
                except OSError as error:
                    return error.strerror or str(error)
                finally:
                    nursery.cancel_scope.cancel()
        finally:
            channel.close()
        return ""

    async def _probe(self, channel: Channel) -> None:
        while True:
            asked_at = channel.received_at
            await trio.sleep_until(asked_at + self.probe_interval)
            if channel.received_at > asked_at:
                continue
            channel.send(message.encode_request("echo", [], "echo"))
            sent_at = trio.current_time()
            await trio.sleep_until(sent_at + self.probe_interval)
            if channel.received_at <= sent_at:
                _reconnect_log.err(f"{self._copied}: no response to inactivity probe after "
                                   f"{self.probe_interval:g} seconds, disconnecting")
                channel.close()
                return

    async def _follow(self, channel: Channel) -> None:
        """Copy every common database and follow it.  Raises EOFError at the end of the stream."""
        if await self._call(channel, "get_server_id", []) == self.server.server_id:
            raise SelfReplication("Server ID check failed: Self replicating is not allowed")
        theirs = await self._call(channel, "list_dbs", [])
        has_misfit = False
        for name in sorted(self.server.databases):
            if not self.copies(name) or name not in theirs:
                continue
            schema = DatabaseSchema.from_json(await self._call(channel, "get_schema", [name]))
            if not self._is_schema_fit(name, schema):
                has_misfit = True
                continue
            tables = {table: {} for table in schema.tables
                      if table not in self.excluded.get(name, ())}
            reply = await self._call(channel, "monitor", [name, name, tables])
            _log.info("Monitor request received. Resetting the database")
            await self._fill(name, reply)
            self._states[name] = "replicating"
        if has_misfit and "replicating" not in self._states.values():
            raise NothingToReplicate
        while True:
            while self._pending:
                await self._take(self._pending.pop(0))
            # What came meanwhile is only read now.
            channel.received_at = trio.current_time()
            self._pending += await self._receive(channel)

    async def _call(self, channel: Channel, method: str, params: list) -> object:
        self._next_id += 1
        request = message.encode_request(method, params, self._next_id, CODEC)
        if _rpc_log.is_dbg:
            _rpc_log.dbg(f"{channel.name}: send {message.describe(message.decode(request))}")
        channel.send(request)
        while True:
            received = await self._receive(channel)
            for index, msg in enumerate(received):
                if msg.kind in (REPLY, ERROR) and msg.id == self._next_id:
                    self._pending += received[:index] + received[index + 1:]
                    if msg.kind == ERROR:
                        raise ReplicationError(f"{method} failed: {msg.error}")
                    return msg.result
            self._pending += received

    async def _receive(self, channel: Channel) -> list[Message]:
        messages = await channel.receive()
        if messages is None:
            raise EOFError
        kept = []
        for msg in messages:
            if _rpc_log.is_dbg:
                _rpc_log.dbg(f"{channel.name}: received {message.describe(msg)}")
            if msg.kind == REQUEST and msg.method == "echo":
                channel.send(message.encode_reply(msg.params, msg.id, CODEC))
            elif msg.id != "echo":
                kept.append(msg)
        return kept

    def _is_schema_fit(self, name: str, theirs: DatabaseSchema) -> bool:
        """Has our schema all that theirs has?  The log tells if they differ."""
        ours = self.server.databases[name].database.schema
        if ours == theirs:
            return True
        _log.info(f"Schema version mismatch, checking if {name} can still be replicated or not.")
        fault = _schema_fault(ours, theirs)
        if fault:
            _log.info(fault)
        _log.info(f"{name} {'cannot' if fault else 'can'} be replicated.")
        return not fault

    async def _take(self, msg: Message) -> None:
        if msg.kind == NOTIFICATION and msg.method == "update" and len(msg.params) == 2:
            name, updates = msg.params
            if name in self.server.databases:
                await self._apply(name, lambda paced: self._rows(name, updates, paced),
                                  sum(map(len, updates.values())))

    async def _fill(self, name: str, updates: dict) -> None:
        """Make our tables hold the reply of a monitor and nothing else."""
        tables = self.server.databases[name].database.tables

        def read(paced: Paced) -> Copied:
            rows = self._rows(name, updates, paced)
            for table, table_rows in tables.items():
                if table not in self.excluded.get(name, ()):
                    mine = rows.setdefault(table, {})
                    for uuid in paced(table_rows.rows):
                        mine.setdefault(uuid, None)
            return rows

        await self._apply(name, read, sum(map(len, updates.values()))
                          + sum(len(table.rows) for table in tables.values()))

    async def _apply(self, name: str, read: Callable[[Paced], Copied], n_rows: int) -> None:
        """Put the rows that `read` gives, about so many, in place as one commit."""
        hosted = self.server.databases[name]

        def finish(execution: Execution) -> None:
            if execution.delta:
                self.server.after_commit(hosted)

        if n_rows > MANY_CHANGES:
            await hosted.replace_in_slices(read, _COMMENT, self.server.hub, finish)
        else:
            finish(hosted.replace(read(at_once), _COMMENT))

    def _rows(self, name: str, updates: dict, paced: Paced) -> Copied:
        """Return table-updates as rows of ours; columns that the active lacks keep their value."""
        tables = self.server.databases[name].database.tables
        return {table: {uuid: _row(tables[table].schema, uuid, tables[table].rows.get(uuid),
                                   update.get("new")) for uuid, update in paced(changes.items())}
                for table, changes in updates.items() if table in tables}


def _schema_fault(ours: DatabaseSchema, theirs: DatabaseSchema) -> str:
    """Return what of theirs ours lacks, "" if nothing."""
    for table in theirs.tables.values():
        mine = ours.tables.get(table.name)
        if mine is None:
            return f"Table {table.name} not present in the local db schema"
        for column in table.named_columns:
            twin = mine.columns.get(column.name)
            if twin is None:
                return (f"Column {column.name} not present in the local db schema table "
                        f"{table.name}.")
            if twin.type.to_json() != column.type.to_json():
                return f"Column {column.name} mismatch in local db schema table {table.name}."
    return ""


def _row(table: Table, uuid: str, old: Row | None, json: dict | None) -> Row | None:
    if json is None:
        return None
    cells = list(old or table.default_row)
    cells[0] = (uuid,)
    if old is None:
        cells[1] = (ZERO_UUID,)
    for name, value in json.items():
        column = table.columns.get(name)
        if column is not None:
            cells[column.index] = datum.from_json(column.type, value)
    return tuple(cells)
