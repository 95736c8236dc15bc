"""A database as the server holds it: engine, storage, waiting transactions, group commit.

`HostedDatabase.submit` runs a transaction; `sync` waits until everything written so far is on the
disk, and all who wait at the same time share one fsync.  Trio thread only; compaction's writing
runs in a worker thread, and so does an fsync that others would notice.
"""

import os
import time
from collections.abc import Callable
from random import Random

import trio

from ovsdb_server import vlog
from ovsdb_server.engine import database as engine
from ovsdb_server.engine.database import Context, Database, Execution, Triggers
from ovsdb_server.engine.datum import format_text
from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.history import History, delta_atoms
from ovsdb_server.engine.operations import is_write
from ovsdb_server.engine.pace import Paced
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.engine.table import Delta, Row
from ovsdb_server.service.hub import Hub
from ovsdb_server.service.large import MANY_CHANGES, LargeTransaction, is_large
from ovsdb_server.service.membership import Membership
from ovsdb_server.quick.road import new_road
from ovsdb_server.storage.cluster_log import ClusterLog
from ovsdb_server.storage.journal import COMPACTION_COMMENT, Journal
from ovsdb_server.storage.memory import Memory
from ovsdb_server.storage.replay import encode_delta_text

_server_log = vlog.module("ovsdb_server")
_log_log = vlog.module("ovsdb_log")
_transaction_log = vlog.module("transaction")


# Seconds that an fsync may have taken for the next to be done in the event loop.
_QUICK_SYNC = 0.001

_WRITE_LIMIT = vlog.RateLimit(5, 1)

# Rows as another server has them, {table: {uuid: row}}; None: it has them no more.
Copied = dict[str, dict[str, Row | None]]


def _check_stored(execution: Execution) -> None:
    """Raise OvsdbError if what another server said could not be stored."""
    if execution.results:
        failed = execution.results[-1]
        raise OvsdbError(failed["error"], failed.get("details"))


class HostedDatabase:
    """One database of the server.

    `name`; `path` of the file as the user wrote it, "" if in memory; `database`; `triggers`;
    `uuid`, the row of `_Server`'s table that describes it ("" before there is one); `relay`, its
    `relay.Relay` if it is a copy of another server's; `cluster`, its `membership.Membership` if
    it is clustered; `history` of the transactions of either; `large`, the large transaction under
    way; `logged_tables`, names whose transactions are logged (tlog-set).
    """

    def __init__(self, database: Database, storage: Journal | ClusterLog | Memory,
                 path: str = "") -> None:
        self.database = database
        self.path = path
        self.storage = storage
        self.triggers = Triggers(database, self._write)
        self.large: LargeTransaction | None = None
        self.relay = None
        self.cluster: Membership | None = None
        self.history: History | None = None
        self.uuid = ""
        self.logged_tables: set[str] = set()
        self._syncs_wanted = 0
        self._syncs_done = 0
        self._sync_running = False
        self._is_disk_quick = False
        self._synced = trio.Event()
        self._compacting = trio.Lock()
        self._rng = Random()
        self._road = self._make_road()

    def _make_road(self):
        """Return the quick road for transactions, None where each must take the long way."""
        if isinstance(self.storage, Journal) and not self.database.schema.is_reserved:
            return new_road(self.database)
        return None

    @classmethod
    def open_file(cls, path: str) -> "HostedDatabase":
        """Open the standalone database file `path`.  Raises: OvsdbError (LockError is one)."""
        journal = Journal.open(path)
        try:
            database = journal.load()
        except BaseException:
            journal.close()
            raise
        if journal.damage is not None:
            _server_log.err(f"{journal.damage}")
        return cls(database, journal, path)

    @property
    def name(self) -> str:
        return self.database.name

    @property
    def model(self) -> str:
        """The service model: "standalone", "clustered" or "relay"."""
        if self.cluster is not None:
            return "clustered"
        return "standalone" if self.relay is None else "relay"

    @property
    def has_schema(self) -> bool:
        """Can the database be used: has its source, or the cluster that it joins, been reached?"""
        return ((self.relay is None or self.relay.has_schema)
                and (self.cluster is None or self.cluster.has_schema))

    @property
    def schema_text(self) -> str:
        """The schema as compact JSON with sorted keys."""
        return json_text(self.database.schema.to_json())

    def close(self) -> None:
        if self.large is not None:
            self.large.abandon()
        if self.relay is not None:
            self.relay.close()
        if self.cluster is not None:
            self.cluster.close()
        self.storage.close()

    @property
    def is_sync_needed(self) -> bool:
        """Is what is written durable only after `sync`?  Otherwise it is in etcd already."""
        return self.cluster is None or self.storage.is_sync_needed

    def _write(self, delta: dict, comment: str | None) -> None:
        try:
            self.storage.write(delta, comment, int(time.time() * 1000))
        except OvsdbError as error:
            _log_log.warn(str(error).removeprefix("I/O error: "), _WRITE_LIMIT)
            raise
        if self.history is not None:
            self.history.add(self.storage.eid, delta)
        if self.logged_tables:
            self._log_delta(delta)

    def _commit_large(self, execution: Execution, paced: Paced) -> None:
        """Store and apply what a large transaction has decided; `execution` tells of errors."""
        database, delta = self.database, execution.delta
        if sum(map(len, delta.values())) <= MANY_CHANGES:
            database.commit(execution, self._write)
            return
        is_kept = not isinstance(self.storage, Memory)
        record = self.storage.make_record(encode_delta_text(
            database.schema, delta, execution.comment, int(time.time() * 1000),
            self.storage.as_diff, paced)) if is_kept else None
        atoms = None if self.history is None else delta_atoms(delta, paced)
        prepared = database.prepare(execution, paced)
        # Nobody has a turn from here on.
        try:
            if is_kept:
                self.storage.write_record(record)
        except OvsdbError as error:
            _log_log.warn(str(error).removeprefix("I/O error: "), _WRITE_LIMIT)
            execution.results.append(error.to_json())
            execution.delta = {}
            return
        if self.history is not None:
            self.history.add(self.storage.eid, delta, atoms)
        if self.logged_tables:
            self._log_delta(delta)
        database.install(execution, prepared)
        self._road = self._make_road()      # The tables have other dictionaries now.

    def note_entry(self, eid: str, delta: Delta, atoms: tuple[int, int] | None = None) -> None:
        """Take note of an entry of a shared log that is about to be applied."""
        self.history.add(eid, delta, atoms)
        if self.logged_tables:
            self._log_delta(delta)

    def _log_delta(self, delta: Delta) -> None:
        """Log the changes of tables for which tlog-set has asked."""
        for name in sorted(self.logged_tables.intersection(delta)):
            self._log_rows(name, delta[name])

    def _log_rows(self, name: str, changes: dict[str, tuple[Row | None, Row | None]]) -> None:
        """Log the changed rows of a table, as tlog-set asked for."""
        columns = self.database.tables[name].schema.order
        for old, new in changes.values():
            verb = "inserted" if old is None else "deleted" if new is None else "updated"
            cells = ",".join(f"{column.name}:{format_text(column.type, cell)}"
                             for column, cell in zip(columns, new or old))
            _transaction_log.info(f"table:{name},op:{verb},{cells}")

    def begin_large(self, operations: list, context: Context,
                    finish: Callable[[Execution | None], None]) -> LargeTransaction | None:
        """Return a transaction that is to run in slices, if it can be; see `large`."""
        if (context.is_read_only or isinstance(self.storage, Memory)
                or type(self.triggers) is not Triggers):
            return None

        def execute(paced: Paced) -> Execution:
            execution = self.database.transact(operations, context, paced=paced)
            if not execution.is_waiting:
                self._commit_large(execution, paced)
            return execution

        self.large = LargeTransaction(execute, finish, owns_delta=self.history is None)
        return self.large

    def settle(self) -> None:
        """Let nothing be half done: run a large transaction that is under way to its end."""
        if self.large is not None:
            self.large.settle()

    def submit(self, operations: list, context: Context, token: object) -> Execution:
        """Run a transaction now; if it must wait, it is kept under `token`."""
        if self.large is not None and is_write(operations):
            self.settle()
        return self.triggers.submit(operations, context, trio.current_time(), token)

    def submit_quickly(self, params: list, id: object) -> tuple[bytes, Delta, bool] | None:
        """Run and commit the transaction of a request if it is of the common kind.

        Returns the reply, what has changed and whether it is to be durable; None if nothing was
        done and `submit` has to.  The client must be one who may do everything.
        """
        road = self._road
        if (road is None or self.relay is not None or self.cluster is not None
                or self.history is not None or self.logged_tables or len(self.triggers)
                or self.large is not None or is_large(self.database, params)):
            return None
        decided = road.decide(params, id, self.storage.as_diff)
        if decided is None:
            return None
        reply, record, delta, is_durable = decided
        if delta:
            if record is not None:
                try:
                    self.storage.append(record)
                except OvsdbError:
                    return None         # `submit` tries again, and says what is wrong.
            road.apply(delta)
            self.database.note(delta)
        return reply, delta, is_durable

    def replace(self, rows: Copied, comment: str) -> Execution:
        """Make rows what another server says, as one commit.  Raises: OvsdbError."""
        self.settle()
        execution = self.database.replace(rows, comment)
        self.database.commit(execution, self._write)
        _check_stored(execution)
        return execution

    async def replace_in_slices(self, read: Callable[[Paced], Copied], comment: str, hub: Hub,
                                finish: Callable[[Execution], None]) -> None:
        """As `replace`, of the many rows that `read(paced)` gives, while others are served.

        `finish(execution)` is called as soon as they are in place.  Raises: what `read` does,
        OvsdbError; then nothing has changed.
        """
        self.settle()
        errors: list[Exception] = []

        def execute(paced: Paced) -> Execution | None:
            try:
                execution = self.database.replace(read(paced), comment, paced)
                self._commit_large(execution, paced)
                _check_stored(execution)
            except Exception as error:
                errors.append(error)
                return None
            return execution

        def end(execution: Execution | None) -> None:
            self.large = None
            if execution is not None:
                finish(execution)
            for session in large.waiting:
                session.unblock()

        self.large = large = LargeTransaction(execute, end, owns_delta=self.history is None)
        try:
            await large.run(hub)
        finally:
            if self.large is large:
                end(None)
        if errors:
            raise errors[0]

    async def sync(self, is_alone: bool = False) -> None:
        """Wait until all that is written is on the disk.  Raises: OvsdbError.

        `is_alone`: one client waits for it.  If the disk was quick the last time everybody does,
        for waking a thread takes longer than such a disk.
        """
        self._syncs_wanted += 1
        mine = self._syncs_wanted
        while self._syncs_done < mine:
            if self._sync_running:
                await self._synced.wait()
                continue
            self._sync_running = True
            covered = self._syncs_wanted
            index = self.storage.index if self.cluster is not None else 0
            event = self._synced
            try:
                if is_alone and self._is_disk_quick and not self._compacting.locked():
                    self._sync()
                else:
                    with trio.CancelScope(shield=True):
                        await trio.to_thread.run_sync(self._sync)
                self._syncs_done = covered
            finally:
                self._sync_running = False
                self._synced = trio.Event()
                event.set()
            if self.cluster is not None:
                self.cluster.note_synced(index)

    def _sync(self) -> None:
        started = time.perf_counter()
        try:
            self.storage.sync()
        finally:
            self._is_disk_quick = time.perf_counter() - started < _QUICK_SYNC

    def is_compaction_due(self, now: float) -> bool:
        return self.storage.is_compaction_due(now, self._rng.uniform)

    async def compact(self, comment: str = COMPACTION_COMMENT) -> None:
        """Rewrite the file as a snapshot; commits go on meanwhile.  Raises: OvsdbError."""
        if isinstance(self.storage, Memory):
            return
        if self.cluster is not None:
            self.cluster.check_compaction()
        async with self._compacting:
            compaction = self.storage.begin_compaction(self.database, comment,
                                                       int(time.time() * 1000))
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(compaction.write)
            self.storage.finish_compaction(compaction)

    def convert(self, schema: DatabaseSchema) -> Database:
        """Put the data under another schema in the file; return the new database.

        `replace_database` makes it the one that is served.  Raises: OvsdbError.
        """
        self.settle()
        converted = engine.convert(self.database, schema)
        self.storage.replace(converted, "converted by ovsdb-server", int(time.time() * 1000))
        return converted

    def replace_database(self, database: Database) -> None:
        """Serve `database` from now on; what waits on the old one must have been cancelled."""
        self.settle()
        self.database = database
        self.triggers = Triggers(database, self._write)
        self._road = self._make_road()


def load_server_schema() -> DatabaseSchema:
    """Return the schema of the `_Server` database."""
    import orjson
    path = os.path.join(os.path.dirname(__file__), "..", "..", "schema", "server.ovsschema")
    with open(path, "rb") as file:
        return DatabaseSchema.from_json(orjson.loads(file.read()))


def new_server_database() -> HostedDatabase:
    """Return an empty `_Server` database, in memory."""
    return HostedDatabase(Database(load_server_schema()), Memory())


__all__ = ["HostedDatabase", "OvsdbError", "new_server_database"]
