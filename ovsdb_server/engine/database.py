"""A database: its schema, its rows, and what a server does with it.

The road of a transaction, in three steps that the caller (service, ovsdb-tool) joins:

    execution = database.transact(operations, context)           # decides; changes nothing
    database.commit(execution, write)                            # write(delta, comment), apply
    execution.results, execution.is_durable                      # the reply

`Triggers.submit` does all of it and keeps the transactions that wait:

    database = Database(schema)                  rows: database.tables["Port"].rows {uuid: Row}
    triggers = Triggers(database, write)         write(delta, comment): storage, may raise
                                                 OvsdbError: error to the client, nothing applied
    execution = triggers.submit(operations, context, now, token)
    execution.is_waiting                         True: `token` stays queued
    execution.results                            the list that answers "transact"
    execution.delta                              {table: {uuid: (old Row|None, new Row|None)}}
    execution.is_durable                         sync the storage before replying
    triggers.next_deadline()                     earliest time-out of a waiting one, or None
    triggers.run(now) -> [(token, execution)]    finished ones; call after commits and deadlines
    triggers.cancel(token) -> bool               forget a waiting one

    Context(is_read_only, owns_lock, role, client_id, is_internal)

A large one runs in slices (`pace`), in which nobody else may commit, and takes effect at once:

    execution = database.transact(operations, context, paced=paced)
    prepared = database.prepare(execution, paced)
    (store execution.delta)
    database.install(execution, prepared)

Monitors (module `monitor`); all updates are encoded JSON (bytes), once for equal monitors:

    monitor = database.monitors.add(kind, requests)   kind: MONITOR | COND | COND_SINCE
                                                      requests: the JSON object; OvsdbError
    monitor.initial() -> bytes                        the table-updates of the reply
    monitor.flush() -> bytes | None                   net change since the last flush
    monitor.has_changes                               might flush() give something?
    monitor.change(requests)                          monitor_cond_change; then flush()
    monitor.close()

`convert(database, schema) -> Database` gives the same data under another schema.

A Row is a tuple of datums in the order of `Table.order`: row[column.index]; row[0] is `_uuid`.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from . import operations
from .atom import random_uuid
from .error import OvsdbError
from .monitor import Monitors, Relevant
from .pace import Paced, at_once
from .schema import DatabaseSchema
from .table import Change, Delta, Row, TableRows
from .transaction import (Context, Outcome, ReferenceChanges, Transaction, strong_targets,
                          weak_targets)

__all__ = ["Context", "Database", "Execution", "Triggers", "convert"]

Write = Callable[[Delta, str | None], None]


class Execution:
    """The outcome of one run of a transaction.

    `results` answers the request; `delta` is what `Database.commit` applies; `is_waiting` means
    that it must be run again when the database changes or after `wait_limit_ms` (None: never)
    since it was submitted; `has_lazy_rows`: there are `LazyRows` in the results.
    """

    __slots__ = ("results", "delta", "comment", "is_durable", "is_waiting", "wait_limit_ms",
                 "has_lazy_rows", "_reference_changes", "_sequence")

    def __init__(self, results: list, outcome: Outcome, transaction: Transaction,
                 is_waiting: bool, sequence: int):
        self.results = results
        self.delta: Delta = outcome.delta
        self.comment = "\n".join(transaction.comments) if transaction.comments else None
        self.is_durable = transaction.is_durable
        self.has_lazy_rows = transaction.has_lazy_rows
        self.is_waiting = is_waiting
        self.wait_limit_ms = transaction.wait_limit_ms
        self._reference_changes: ReferenceChanges = outcome.reference_changes
        self._sequence = sequence


_NOTHING = Outcome({}, {})


class Database:
    """Rows of all tables under `schema`; `tables` {name: TableRows}; `monitors`.

    `sequence` counts the commits; `new_uuid` makes random UUIDs (tests pass their own).
    One task at a time; nothing here blocks.
    """

    def __init__(self, schema: DatabaseSchema, new_uuid: Callable[[], str] = random_uuid):
        self.schema = schema
        self.tables = {name: TableRows(table) for name, table in schema.tables.items()}
        self.monitors = Monitors(self)
        self.sequence = 0
        self.new_uuid = new_uuid

    @property
    def name(self) -> str:
        """Return the name of the database."""
        return self.schema.name

    def transact(self, operations_json: list, context: Context = Context(),
                 elapsed_ms: int = 0, paced: Paced = at_once) -> Execution:
        """Run the operations of a transaction and check what a commit checks; change nothing.

        `elapsed_ms` is the time since the client's request came, for "wait".
        """
        transaction = Transaction(self, context, elapsed_ms, self.new_uuid, paced)
        results: list = []
        outcome = _NOTHING
        total = len(operations_json)
        try:
            for number, json in enumerate(paced(operations_json), 1):
                results.append(operations.execute(transaction, json, number, total))
            outcome = transaction.finish()
        except operations.MustWait:
            # What answers where nobody can wait (ovsdb-tool).
            results.append({"error": "not supported", "details": "triggers not supported"})
            results += [None] * (total - len(results))
            return Execution(results, _NOTHING, transaction, True, self.sequence)
        except OvsdbError as error:
            results.append(error.to_json())
            results += [None] * (total - len(results))
        return Execution(results, outcome, transaction, False, self.sequence)

    def replace(self, rows: dict[str, dict[str, Row | None]], comment: str,
                paced: Paced = at_once) -> Execution:
        """Decide a transaction that puts rows in place ({table: {uuid: Row}}, None deletes).

        For copies of another server's data; every check of a commit applies.  Raises OvsdbError.
        """
        transaction = Transaction(self, Context(is_internal=True), 0, self.new_uuid, paced)
        transaction.comments.append(comment)
        for name, table_rows in rows.items():
            view = transaction.view(name)
            for uuid, row in paced(table_rows.items()):
                view.put(uuid, row)
        return Execution([], transaction.finish(), transaction, False, self.sequence)

    def commit(self, execution: Execution, write: Write) -> None:
        """Store and apply what `execution` decided.

        `write(delta, comment)` stores it; when it raises OvsdbError the error becomes the last
        result and nothing is applied.  No commit may come between `transact` and this.
        """
        if not execution.delta:
            return
        assert execution._sequence == self.sequence
        try:
            write(execution.delta, execution.comment)
        except OvsdbError as error:
            execution.results.append(error.to_json())
            execution.delta = {}
            return
        self._apply(execution.delta, execution._reference_changes)

    def stage(self, execution: Execution) -> None:
        """Put what `execution` decided in place for the transactions that are decided next.

        Monitors hear nothing of it.  `unstage`, in reverse order, must follow before anything else
        looks at the database; `apply` makes it so for good when it is stored.
        """
        self._put(execution.delta, execution._reference_changes)

    def unstage(self, execution: Execution) -> None:
        """Take away what `stage` put in place last."""
        self._put({name: {uuid: (new, old) for uuid, (old, new) in changes.items()}
                   for name, changes in execution.delta.items()},
                  {name: {uuid: -amount for uuid, amount in counts.items()}
                   for name, counts in execution._reference_changes.items()})

    def apply(self, execution: Execution) -> None:
        """Apply what `execution` decided on the database as it is now, and what is stored."""
        self._apply(execution.delta, execution._reference_changes)

    def prepare(self, execution: Execution, paced: Paced) -> "Prepared":
        """Make beside the tables what they will be after `execution`, for `install`."""
        delta, reference_changes = execution.delta, execution._reference_changes
        weak_targeted = {base.ref_table for name in delta
                         for column in self.schema.tables[name].weak_columns
                         for base in (column.type.key, column.type.value)
                         if base is not None and base.ref_table is not None}
        tables = {name: self.tables[name].copy()
                  for name in {*delta, *reference_changes, *weak_targeted}}
        for name in weak_targeted:
            table = tables[name]
            table.weak_sources = {target: sources.copy()
                                  for target, sources in paced(table.weak_sources.items())}
        _put(tables, delta, reference_changes, paced)
        return Prepared(tables, self.monitors.prepare(delta, paced))

    def install(self, execution: Execution, prepared: "Prepared") -> None:
        """Apply what `execution` decided, and what is stored, in no time."""
        for name, made in prepared.tables.items():
            self.tables[name].take(made.rows, made.indexes, made.references, made.weak_sources)
        self.sequence += 1
        self.monitors.note(execution.delta, prepared.relevant)

    def _apply(self, delta: Delta, reference_changes: ReferenceChanges) -> None:
        self._put(delta, reference_changes)
        self.note(delta)

    def note(self, delta: Delta) -> None:
        """Count a commit that is in place, and tell the monitors."""
        self.sequence += 1
        self.monitors.note(delta)

    def _put(self, delta: Delta, reference_changes: ReferenceChanges) -> None:
        _put(self.tables, delta, reference_changes)

    def load(self, rows: dict[str, dict[str, Row]]) -> None:
        """Fill an empty database with `rows`, which were checked when they were stored."""
        for name, table_rows in rows.items():
            table = self.tables[name]
            table.rows.update(table_rows)
            table.index_changes({uuid: (None, row) for uuid, row in table_rows.items()})
        for name, table in self.tables.items():
            strong, weak = table.schema.strong_columns, table.schema.weak_columns
            for uuid, row in table.rows.items() if strong or weak else ():
                for target_table, target in strong_targets(strong, row):
                    if target != uuid or target_table != name:
                        references = self.tables[target_table].references
                        references[target] = references.get(target, 0) + 1
                for target_table, target in weak_targets(weak, row):
                    sources = self.tables[target_table].weak_sources
                    sources.setdefault(target, set()).add((name, uuid))


class Prepared(NamedTuple):
    """What a commit makes of `tables`, and what of it is `relevant` to which monitors."""

    tables: dict[str, TableRows]
    relevant: Relevant


def _put(tables: dict[str, TableRows], delta: Delta, reference_changes: ReferenceChanges,
         paced: Paced = at_once) -> None:
    """Change `tables` as a commit does."""
    for name, changes in delta.items():
        table = tables[name]
        rows = table.rows
        for uuid, (_old, new) in paced(changes.items()):
            if new is None:
                del rows[uuid]
            else:
                rows[uuid] = new
        if table.indexes:
            table.index_changes(changes, paced)
        if table.schema.weak_columns:
            _note_weak(tables, table, paced(changes.items()))
    for name, counts in reference_changes.items():
        references = tables[name].references
        for uuid, amount in paced(counts.items()):
            count = references.get(uuid, 0) + amount
            if count:
                references[uuid] = count
            else:
                references.pop(uuid, None)


def _note_weak(tables: dict[str, TableRows], table: TableRows,
               changes: Iterable[tuple[str, Change]]) -> None:
    columns = table.schema.weak_columns
    for uuid, (old, new) in changes:
        source = table.schema.name, uuid
        before = set() if old is None else weak_targets(columns, old)
        after = set() if new is None else weak_targets(columns, new)
        for name, target in before - after:
            sources = tables[name].weak_sources
            sources[target].discard(source)
            if not sources[target]:
                del sources[target]
        for name, target in after - before:
            tables[name].weak_sources.setdefault(target, set()).add(source)


class _Waiting:
    __slots__ = ("token", "operations", "context", "submitted", "deadline", "sequence")

    def __init__(self, token, operations_json: list, context: Context, submitted: float):
        self.token = token
        self.operations = operations_json
        self.context = context
        self.submitted = submitted
        self.deadline: float | None = None
        self.sequence = -1


class Triggers:
    """The transactions of a database that wait until their "wait" holds.

    Tokens are the caller's names for requests; `now` is monotonic seconds.
    """

    def __init__(self, database: Database, write: Write):
        self.database = database
        self._write = write
        self._waiting: dict[object, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, operations_json: list, context: Context, now: float, token) -> Execution:
        """Run and commit a transaction; when it must wait, keep it under `token` (hashable)."""
        execution = self.database.transact(operations_json, context)
        if execution.is_waiting:
            self.keep(operations_json, context, now, token, execution)
        else:
            self.database.commit(execution, self._write)
        return execution

    def keep(self, operations_json: list, context: Context, now: float, token,
             execution: Execution) -> None:
        """Keep under `token` a transaction of which `execution` says that it must wait."""
        waiting = self._waiting[token] = _Waiting(token, operations_json, context, now)
        self._note_limit(waiting, execution)

    def _run(self, waiting: _Waiting, now: float) -> Execution:
        # A hair more than the clock says: a deadline that was reached must count as elapsed.
        elapsed_ms = int((now - waiting.submitted) * 1000 + 1e-6)
        execution = self.database.transact(waiting.operations, waiting.context, elapsed_ms)
        if execution.is_waiting:
            self._note_limit(waiting, execution)
        else:
            self.database.commit(execution, self._write)
        return execution

    def _note_limit(self, waiting: _Waiting, execution: Execution) -> None:
        waiting.sequence = self.database.sequence
        limit = execution.wait_limit_ms
        waiting.deadline = None if limit is None else waiting.submitted + limit / 1000

    def cancel(self, token) -> bool:
        """Forget a waiting transaction; was there one?"""
        return self._waiting.pop(token, None) is not None

    def tokens(self) -> list:
        """Return the tokens of all waiting transactions."""
        return list(self._waiting)

    def release(self) -> list["_Waiting"]:
        """Give all waiting transactions up to another queue: token, operations, context..."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting

    def next_deadline(self) -> float | None:
        """Return the earliest time at which a waiting transaction times out, or None."""
        return min((w.deadline for w in self._waiting.values() if w.deadline is not None),
                   default=None)

    def run(self, now: float) -> list[tuple[object, Execution]]:
        """Run again what the database's changes or the time may have released.

        Returns (token, execution) of those that finished, committed ones included.
        """
        finished: list[tuple[object, Execution]] = []
        is_settled = False
        while not is_settled:
            is_settled = True
            for waiting in list(self._waiting.values()):
                is_due = waiting.deadline is not None and now >= waiting.deadline
                if waiting.sequence == self.database.sequence and not is_due:
                    continue
                execution = self._run(waiting, now)
                if not execution.is_waiting:
                    del self._waiting[waiting.token]
                    finished.append((waiting.token, execution))
                    is_settled = is_settled and not execution.delta
        return finished


def convert(database: Database, schema: DatabaseSchema) -> Database:
    """Return a new database with `schema` and the data of `database` that it has room for.

    Tables and columns that `schema` lacks are dropped, new columns get their default, values
    that are kept are read again under the new type, and every check of a commit applies.
    Raises OvsdbError.
    """
    from .datum import from_json, to_json
    converted = Database(schema, database.new_uuid)
    transaction = Transaction(converted, Context(), 0, database.new_uuid)
    for name, source in database.tables.items():
        target = schema.tables.get(name)
        if target is None:
            continue
        view = transaction.view(name)
        pairs = [(column, target.columns[column.name]) for column in source.schema.named_columns
                 if column.name in target.columns]
        for uuid, row in source.rows.items():
            cells = list(target.default_row)
            cells[:2] = (uuid,), (database.new_uuid(),)
            for old, new in pairs:
                cells[new.index] = from_json(new.type, to_json(old.type, row[old.index]))
            view.put(uuid, tuple(cells))
    outcome = transaction.finish()
    converted._apply(outcome.delta, outcome.reference_changes)
    converted.sequence = 0
    return converted
