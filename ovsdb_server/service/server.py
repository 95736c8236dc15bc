"""The database server: databases, sessions, remotes, and what ties them together (trio).

`Server.run` is the nursery tree:

    run
     |- one task per remote (remotes.py), with a task per session below it
     |- one task that serves the sockets of all sessions in turn (hub.py)
     |- one task that runs waiting transactions whose time is up
     |- one task per relay database (relay.py)
     |- one task that copies an active server while this one is its backup (replication.py)
     |- one task that writes the status of remotes back, looks after compaction and counters
     `- one task per database with transactions that wait for the disk

Everything is called in the trio thread.
"""

import gc
import math
import sys
from collections.abc import Callable

import trio

from ovsdb_server import vlog
from ovsdb_server.coverage import COVERAGE
from ovsdb_server.engine.atom import ZERO_UUID, random_uuid
from ovsdb_server.engine.database import Context, Database
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.engine.table import count_atoms
from ovsdb_server.service import targets
from ovsdb_server.service.hosted import HostedDatabase, new_server_database
from ovsdb_server.service.hub import Hub, guard, log_defect
from ovsdb_server.service.locks import Locks, Notice
from ovsdb_server.service.membership import Membership
from ovsdb_server.service.relay import Relay
from ovsdb_server.service.remotes import Remotes
from ovsdb_server.service.replication import Replication, Source
from ovsdb_server.service.schema_check import find_fault, is_shipped
from ovsdb_server.service.session import Policy, Session, send_updates
from ovsdb_server.rpc.tls_files import TlsContexts, TlsFiles

_log = vlog.module("ovsdb_server")
_file_log = vlog.module("ovsdb_file")
_raft_log = vlog.module("raft")

_STATUS_INTERVAL = 2.5

# Old objects are looked at after so many collections among younger ones and so many seconds.
_COLLECTIONS = 20
_COLLECTION_INTERVAL = 300.0

# Seconds after which a schema is looked at: clients that come at once come first.
_CHECK_DELAY = 2.0

_INTERNAL = Context(is_internal=True)


class Server:
    """The server.

    `databases` {name: HostedDatabase} always holds `_Server`; `remote_texts` are the configured
    remotes, db: ones unresolved, with their policy (None: by kind); `tls` names the files as
    configured; `active_names`, databases that --config-file has as the active of a pair.
    `note_file(path, exists)` is told of socket files,
    `note_setting()` that a command has changed what is served, and `note_cluster_opened()` that
    a clustered database is.
    """

    def __init__(self, note_file=lambda path, exists: None,
                 note_setting=lambda: None) -> None:
        self.note_setting = note_setting
        self.note_cluster_opened = lambda: None
        self.databases: dict[str, HostedDatabase] = {}
        self.sessions: set[Session] = set()
        self.locks = Locks()
        self.server_id = random_uuid()
        self.has_cond = True
        self.has_column_diff = True
        self.remote_texts: dict[str, Policy | None] = {}
        self.tls = TlsFiles()
        self._tls_contexts = TlsContexts()
        self.remotes = Remotes(self, note_file, self.tls_context, self._note_status)
        self.replication = Replication(self)
        self.config_replications: list[Replication] = []
        self.active_names: frozenset[str] = frozenset()
        self.hub = Hub(self._send_updates)
        self._durable: dict[HostedDatabase, list[Callable]] = {}
        self.stopped = trio.Event()
        self.exit_code = 0
        self._nursery: trio.Nursery | None = None
        self._deadline_changed = trio.Event()
        self._status_changed = trio.Event()
        self._next_collection = 0.0
        self._relay_probe_interval: float | None = None
        self._self = new_server_database()
        self.add_database(self._self)

    # Databases.

    def add_database(self, hosted: HostedDatabase) -> None:
        """Serve one more database; `hosted.name` must be new."""
        if hosted.path:
            hosted.storage.as_diff = self.has_column_diff
        self.disconnect_unaware(f"adding {hosted.name} database")
        self.databases[hosted.name] = hosted
        if hosted.relay is not None and self._relay_probe_interval is not None:
            hosted.relay.set_probe_interval(self._relay_probe_interval)
        if hosted.cluster is not None:
            self.note_cluster_opened()
        self._write_server_row(hosted)
        if self._nursery is not None:
            self._start(hosted)

    def set_relay_probe_interval(self, seconds: float) -> None:
        """Change after how long a silence the sources of all relays are asked; 0, never."""
        self._relay_probe_interval = seconds
        for hosted in self.databases.values():
            if hosted.relay is not None:
                hosted.relay.set_probe_interval(seconds)

    def _start(self, hosted: HostedDatabase) -> None:
        """Do beside everything else what a database wants done."""
        self.spawn(self._check_schema, hosted)
        if hosted.relay is not None:
            self.spawn(hosted.relay.serve, self)
        if hosted.cluster is not None:
            self.spawn(hosted.cluster.serve, self)

    async def _check_schema(self, hosted: HostedDatabase) -> None:
        """Look at the form of a schema and log what is odd about it."""
        schema = hosted.database.schema
        if hosted is self._self or hosted.relay is not None or is_shipped(schema):
            return
        await trio.sleep(_CHECK_DELAY)
        fault = await trio.to_thread.run_sync(find_fault, schema, abandon_on_cancel=True)
        if fault is not None:
            _log.info(f"{hosted.path}: schema has an unusual form: {fault}")

    def remove_dead(self, hosted: HostedDatabase) -> None:
        """Stop serving a database whose server has left its cluster."""
        name = hosted.name
        if self.databases.get(name) is hosted:
            _log.info(f"{name}: removing database because storage disconnected permanently")
            self.remove_database(
                name, f"removing database {name} because storage disconnected permanently")

    def remove_database(self, name: str, reason: str = "") -> None:
        """Stop serving a database and close its file; `reason`, if it is not a user's wish."""
        hosted = self.databases[name]
        hosted.settle()
        self._part_from(hosted)
        self.disconnect_unaware(reason or f"removing {name} database by user request")
        del self.databases[name]
        self._change_server_rows([_delete_row(hosted.uuid)])
        hosted.close()
        self.reload_remotes()

    def convert(self, hosted: HostedDatabase, schema: DatabaseSchema, requester: Session) -> None:
        """Change a database's schema.  Raises: OvsdbError, and then nothing has changed."""
        converted = hosted.convert(schema)
        self.replace_database(hosted, converted, requester)

    def replace_database(self, hosted: HostedDatabase, database: Database,
                         requester: Session | None = None) -> None:
        """Serve `database`, of another schema, in place of what `hosted` has."""
        hosted.settle()
        self._part_from(hosted)
        hosted.replace_database(database)
        self._write_server_row(hosted)
        self.disconnect_unaware(f"committed {hosted.name} database schema conversion", requester)
        self.reload_remotes()

    def add_relay(self, relay: Relay) -> None:
        """Serve a copy of another server's database."""
        self.add_database(relay.hosted)

    def change_schema(self, hosted: HostedDatabase, schema: DatabaseSchema) -> None:
        """Begin anew with an empty database of another schema (a relay's source has told it)."""
        self.replace_database(hosted, Database(schema))

    def note_relay(self, hosted: HostedDatabase) -> None:
        """The connection of a relay to its source has come or gone."""
        self.execute(self._self, [{
            "op": "update", "table": "Database", "row": {"connected": hosted.relay.is_connected},
            "where": [["_uuid", "==", ["uuid", hosted.uuid]]]}])

    def note_cluster(self, hosted: HostedDatabase) -> None:
        """A clustered database has a new index, or its server's place in the cluster changed."""
        row = _cluster_columns(hosted.cluster)
        if _raft_log.is_dbg:
            _raft_log.dbg(f"raft_is_connected: {'true' if row['connected'] else 'false'}")
        if not hosted.uuid:
            return
        self.execute(self._self, [{
            "op": "update", "table": "Database", "row": row,
            "where": [["_uuid", "==", ["uuid", hosted.uuid]]]}])

    def _part_from(self, hosted: HostedDatabase) -> None:
        """Cancel what clients have going on in a database that changes under them."""
        for session in list(self.sessions):
            session.cancel_monitors(hosted)
            session.cancel_transactions(hosted)

    def disconnect_unaware(self, reason: str, requester: Session | None = None) -> None:
        """End the sessions that did not ask to stay when databases change."""
        for session in list(self.sessions):
            if session.is_change_aware:
                continue
            if session is requester:
                self.spawn(session.disconnect_answered, reason)
            else:
                session.disconnect(reason)

    def _write_server_row(self, hosted: HostedDatabase) -> None:
        row = {"name": hosted.name, "model": hosted.model, "connected": True, "leader": True,
               "schema": hosted.schema_text}
        if hosted.relay is not None:
            row |= {"connected": hosted.relay.is_connected, "leader": False}
        if hosted.cluster is not None:
            row |= {"sid": ["uuid", hosted.cluster.sid], **_cluster_columns(hosted.cluster)}
        if not hosted.has_schema:
            row["schema"] = ["set", []]
        if hosted.uuid:
            operation = {"op": "update", "where": [["_uuid", "==", ["uuid", hosted.uuid]]]}
        else:
            hosted.uuid = random_uuid()
            operation = {"op": "insert", "uuid": hosted.uuid}
        self._change_server_rows([operation | {"table": "Database", "row": row}])

    def _change_server_rows(self, operations: list) -> None:
        self.execute(self._self, operations)

    def execute(self, hosted: HostedDatabase, operations: list) -> None:
        """Run a transaction of the server itself.  Raises: OvsdbError if it fails."""
        execution = hosted.submit(operations, _INTERNAL, ("server", random_uuid()))
        failed = next((r for r in execution.results if r and "error" in r), None)
        if failed is not None:
            raise OvsdbError(failed["error"], failed.get("details"), failed.get("syntax"))
        if execution.delta:
            self.after_commit(hosted)
            if hosted.cluster is not None:
                self.spawn(hosted.sync)

    # Commits.

    def after_commit(self, hosted: HostedDatabase) -> None:
        """Do what follows from a commit: waiting transactions, monitors, remotes in tables."""
        if len(hosted.triggers) and hosted.large is None:
            self._run_triggers(hosted)
        if self.hub.is_working:
            self.hub.has_updates = True
        else:
            self._send_updates()
        if self._nursery is not None:
            self._note_commit(hosted)

    def _send_updates(self) -> None:
        """Tell the monitors what has changed."""
        for hosted in self.databases.values():
            awakened = hosted.database.monitors.take_awakened()
            if awakened:
                send_updates(awakened)

    def _note_commit(self, hosted: HostedDatabase) -> None:
        for text in self.remote_texts:
            if text.startswith("db:") and text.startswith(hosted.name, 3):
                self.reload_remotes()
                return

    def _run_triggers(self, hosted: HostedDatabase) -> None:
        for (session, key), execution in hosted.triggers.run(trio.current_time()):
            session.finish(key, hosted, execution)

    def note_waiting(self) -> None:
        """A transaction waits: its time limit may be the next."""
        self._deadline_changed.set()

    async def _serve_deadlines(self) -> None:
        while True:
            # Those that wait behind a large transaction are asked about when that is over.
            deadline = min((limit for hosted in self.databases.values() if hosted.large is None
                            and (limit := hosted.triggers.next_deadline()) is not None),
                           default=math.inf)
            self._deadline_changed = trio.Event()
            with trio.move_on_at(deadline):
                await self._deadline_changed.wait()
                continue
            for hosted in list(self.databases.values()):
                if len(hosted.triggers) and hosted.large is None:
                    sequence = hosted.database.sequence
                    self._run_triggers(hosted)
                    if hosted.database.sequence != sequence:
                        self.after_commit(hosted)

    def call_when_durable(self, hosted: HostedDatabase,
                          call: Callable[[OvsdbError | None], None]) -> None:
        """Call `call(error)` when what is written now is on the disk, or could not be put there.

        All who ask while one sync runs share the next.
        """
        if not hosted.is_sync_needed:
            call(None)
            return
        self.hub.hurry()
        waiting = self._durable.get(hosted)
        if waiting is None:
            self._durable[hosted] = [call]
            self.spawn(self._make_durable, hosted)
        else:
            waiting.append(call)

    async def _make_durable(self, hosted: HostedDatabase) -> None:
        while calls := self._durable[hosted]:
            # Whoever has a request in its socket by now may share the sync.
            await trio.lowlevel.checkpoint()
            self._durable[hosted] = []
            error = None
            self.hub.n_others += 1
            try:
                await hosted.sync(is_alone=len(calls) == 1)
            except OvsdbError as failure:
                error = failure
            finally:
                self.hub.n_others -= 1
            for call in calls:
                guard(call, error)
        del self._durable[hosted]

    def notify(self, notices: list[Notice]) -> None:
        """Send lock notifications."""
        for notice in notices:
            notice.holder.notify(notice.method, [notice.name])

    def spawn(self, function, *args: object) -> None:
        """Run an async function beside everything else; a defect in it ends only itself."""
        self.hub.hurry()
        self._nursery.start_soon(self._guard, function, *args)

    @staticmethod
    async def _guard(function, *args: object) -> None:
        try:
            await function(*args)
        except Exception as error:
            log_defect(_log, error)

    # Copies of active servers.

    @property
    def replications(self) -> list[Replication]:
        """That of the command line, and those of --config-file, each with its own source."""
        return [self.replication, *self.config_replications]

    def active_of_pairs(self) -> list[str]:
        """Return the databases that are the active of a pair now, and may become a copy."""
        return [name for name, hosted in self.databases.items() if not self.is_copy(name) and (
            name in self.active_names or self.replication.source and not name.startswith("_")
            and hosted.relay is None and hosted.cluster is None)]

    def is_copy(self, name: str) -> bool:
        """Is the database `name` a copy of an active server's now, and so read-only?"""
        if self.replication.copies(name):
            return True
        for replication in self.config_replications:
            if replication.copies(name):
                return True
        return False

    def configure_replications(self, wanted: list[Source]) -> None:
        """Copy from the sources of --config-file; those that stay as they are go on."""
        kept = {replication.settings: replication for replication in self.config_replications}
        self.config_replications = []
        for source in wanted:
            replication = kept.pop(source, None)
            if replication is None:
                replication = Replication(self)
                replication.configure(source.remote, ",".join(source.excluded),
                                      source.probe_interval)
                replication.set_backup(True, source.names)
                if self._nursery is not None:
                    self.spawn(replication.serve)
            self.config_replications.append(replication)
        for replication in kept.values():
            replication.close()

    # Remotes.

    def check_remote(self, text: str) -> None:
        """Raise RemoteError for a db: remote that names nothing."""
        if text.startswith("db:"):
            targets.check_reference(text, self.databases)

    def reload_remotes(self) -> None:
        """Open and close remotes as options and tables now want."""
        if self._nursery is None or self.stopped.is_set():
            return
        wanted: dict[str, Policy] = {}
        for text, policy in self.remote_texts.items():
            if text.startswith("db:"):
                for target in targets.resolve(text, self.databases):
                    wanted.setdefault(target.text, target.policy)
            else:
                wanted[text] = policy or targets.default_policy(text)
        self.remotes.configure(wanted, self._nursery)

    def _note_status(self) -> None:
        self._status_changed.set()

    def tls_context(self, is_server: bool):
        """Return a TLS context from the configured files.  Raises: TlsNotConfigured, OSError."""
        return self._tls_contexts.get(self.tls_files(), is_server)

    def tls_files(self) -> TlsFiles:
        """Return the files that TLS uses now, those that the database names looked up."""

        def resolved(value: str | None) -> str | None:
            if isinstance(value, str) and value.startswith("db:"):
                return targets.read_string(value, self.databases)
            return value
        return TlsFiles(*map(resolved, self.tls))

    async def _serve_upkeep(self) -> None:
        """Write status back, count, compact: every few seconds and when a status changed."""
        while True:
            now = trio.current_time()
            COVERAGE.tick(now)
            self._write_status(now)
            self._collect_garbage(now)
            for hosted in list(self.databases.values()):
                if hosted.is_compaction_due(now):
                    self.spawn(self._compact_when_due, hosted)
            with trio.move_on_after(_STATUS_INTERVAL):
                await self._status_changed.wait()
            self._status_changed = trio.Event()

    def _collect_garbage(self, now: float) -> None:
        """Let Python look for cyclic garbage among what has lived for a while.

        That stops everything, for longer the more there is under way: so not in the middle of it.
        """
        if (now >= self._next_collection and gc.get_count()[2] >= _COLLECTIONS
                and not self.hub.n_others):
            self._next_collection = now + _COLLECTION_INTERVAL
            gc.collect()

    def _write_status(self, now: float) -> None:
        for text in self.remote_texts:
            if text.startswith("db:"):
                work = targets.status_operations(text, self.databases, self.remotes, now)
                if (work is not None and work[0].large is None
                        and (work[0].cluster is None or work[0].cluster.is_leader)):
                    try:
                        self.execute(*work)
                    except OvsdbError as error:
                        _log.err(f"failed to update remote status: {error}", _STATUS_LIMIT)

    async def _compact_when_due(self, hosted: HostedDatabase) -> None:
        _file_log.info(f"{hosted.path}: compacting database online")
        try:
            await hosted.compact()
        except OvsdbError as error:
            # The file stays as it is and is looked at again later.
            _file_log.warn(f"{hosted.path}: compaction failed: {error}")

    # Life.

    async def run(self, on_listening: Callable[[], None] = lambda: None, *,
                  task_status: trio.TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`.

        `on_listening()` is called when every socket that can be opened is open, and before
        anything that logs of its own accord begins.
        """
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._tls_contexts.check(self.tls_files())
                self.reload_remotes()
                on_listening()
                nursery.start_soon(self.hub.serve)
                nursery.start_soon(self._serve_deadlines)
                nursery.start_soon(self._serve_upkeep)
                for replication in self.replications:
                    self.spawn(replication.serve)
                for hosted in self.databases.values():
                    self._start(hosted)
                task_status.started()
                await self.stopped.wait()
                self.remotes.close()
                nursery.cancel_scope.cancel()
        finally:
            self._nursery = None
            self.remotes.close()
            for hosted in self.databases.values():
                hosted.close()

    def stop(self) -> None:
        """Make `run` return; clients that can know hear that their databases go."""
        for session in list(self.sessions):
            if session.is_change_aware:
                for hosted in self.databases.values():
                    session.cancel_monitors(hosted)
        self.stopped.set()

    def crash(self, reason: str) -> None:
        """End at once, without a reply to anybody, as a test has asked for."""
        print(f"ovsdb-server: {reason}", file=sys.stderr, flush=True)
        self.exit_code = 1
        for session in self.sessions:
            session.channel.close()
        self.stop()

    def memory_usage(self) -> dict[str, int]:
        """Return the numbers of memory/show."""
        usage = {"atoms": 0, "cells": 0, "monitors": 0, "n-weak-refs": 0}
        for hosted in self.databases.values():
            usage["monitors"] += len(hosted.database.monitors)
            for table in hosted.database.tables.values():
                usage["cells"] += len(table.rows) * len(table.schema.order)
                usage["n-weak-refs"] += sum(map(len, table.weak_sources.values()))
                for row in table.rows.values():
                    usage["atoms"] += count_atoms(row)
        self._add_history_usage(usage)
        if self.sessions:
            usage["sessions"] = len(self.sessions)
        backlog = sum(session.channel.n_backlog for session in self.sessions)
        if backlog:
            usage["backlog"] = backlog
        triggers = sum(len(hosted.triggers) for hosted in self.databases.values())
        if triggers:
            usage["triggers"] = triggers
        return usage

    def _add_history_usage(self, usage: dict[str, int]) -> None:
        histories = [hosted.history for hosted in self.databases.values()
                     if hosted.history is not None and hosted.has_schema]
        n_entries = sum(hosted.storage.n_entries for hosted in self.databases.values()
                        if hosted.cluster is not None and hosted.has_schema)
        for name, count in (("txn-history", sum(map(len, histories))),
                            ("txn-history-atoms", sum(each.n_atoms for each in histories)),
                            ("raft-log", n_entries)):
            if count:
                usage[name] = count


def _cluster_columns(cluster: Membership) -> dict:
    """Return the columns of `_Server`'s table that may change while a database is clustered."""
    return {"connected": cluster.is_connected, "leader": cluster.is_leader,
            "cid": ["uuid", cluster.cid or ZERO_UUID],
            "index": ["set", []] if cluster.index is None else cluster.index}


_STATUS_LIMIT = vlog.RateLimit(5, 5)


def _delete_row(uuid: str) -> dict:
    return {"op": "delete", "table": "Database", "where": [["_uuid", "==", ["uuid", uuid]]]}
