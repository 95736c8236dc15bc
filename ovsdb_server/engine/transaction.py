"""A transaction: views over the tables, and the ordered checks that make a delta of them.

`Transaction.finish` is the commit of RFC 7047 section 4.1.3: drop what did not change, adjust
strong references, collect garbage, count rows, clean weak references, check indexes, and give
new versions.  It changes nothing in the database; `Database.apply` does, with the `Outcome`.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from .atom import ZERO_UUID, Symbols
from .datum import changes, format_text
from .error import OvsdbError, constraint_violation
from .pace import Paced, at_once
from .rbac import Permissions
from .schema import VERSION_INDEX, Column, Table
from .table import Change, Delta, Row, TableView, index_key


def _owns_nothing(_lock: str) -> bool:
    return False


class Context(NamedTuple):
    """On whose behalf a transaction runs.

    `owns_lock(name)` tells whether the session holds a lock; `role` and `client_id` are for
    access control; `is_internal` lets the server itself write databases whose name begins
    with an underscore; `takes_lazy_rows`: many rows of a "select" may come as `LazyRows`.
    """

    is_read_only: bool = False
    owns_lock: Callable[[str], bool] = _owns_nothing
    role: str = ""
    client_id: str = ""
    is_internal: bool = False
    takes_lazy_rows: bool = False


ReferenceChanges = dict[str, dict[str, int]]


class Outcome(NamedTuple):
    """What a commit will do: `delta`, and how strong reference counts change with it."""

    delta: Delta
    reference_changes: ReferenceChanges


class Transaction:
    """One run of one client's transaction over `database`; `paced` as in `pace`.

    `is_unrestricted`: no operation needs to be looked at for whether the client may do it.
    """

    __slots__ = ("database", "context", "symbols", "_permissions", "comments", "is_durable",
                 "elapsed_ms", "wait_limit_ms", "new_uuid", "is_unrestricted",
                 "has_lazy_rows", "paced", "_views", "_counts")

    def __init__(self, database, context: Context, elapsed_ms: int,
                 new_uuid: Callable[[], str], paced: Paced = at_once):
        self.database = database
        self.paced = paced
        self.context = context
        self.symbols = Symbols(new_uuid)
        self._permissions: Permissions | None = None
        self.is_unrestricted = not (context.is_read_only or context.role) and (
            not database.schema.is_reserved or context.is_internal)
        self.comments: list[str] = []
        self.is_durable = False
        self.has_lazy_rows = False
        self.elapsed_ms = elapsed_ms
        self.wait_limit_ms: int | None = None
        self.new_uuid = new_uuid
        self._views: dict[str, TableView] = {}
        self._counts: ReferenceChanges = {}

    @property
    def permissions(self) -> Permissions:
        """Return what the client may do."""
        if self._permissions is None:
            self._permissions = Permissions(self.database.tables, self.context.role,
                                            self.context.client_id)
        return self._permissions

    def view(self, table: str) -> TableView:
        """Return the table `table`, which exists, as this transaction sees it."""
        view = self._views.get(table)
        if view is None:
            view = self._views[table] = TableView(self.database.tables[table], self.paced)
        return view

    def known_view(self, table: object) -> TableView | None:
        """Return the view of `table`, any JSON value, or None if it names no table."""
        if type(table) is not str:
            return None
        view = self._views.get(table)
        if view is None:
            base = self.database.tables.get(table)
            if base is not None:
                view = self._views[table] = TableView(base, self.paced)
        return view

    def limit_wait(self, timeout_ms: int) -> None:
        """Note the time-out of a "wait"; the shortest of a transaction counts."""
        if self.wait_limit_ms is None or timeout_ms < self.wait_limit_ms:
            self.wait_limit_ms = timeout_ms

    def check_may_write(self, operation: str) -> None:
        """Raise OvsdbError when the session or the database is not to be written."""
        if self.context.is_read_only:
            raise OvsdbError("not allowed", f"{operation} operation not allowed when database "
                                            f"server is in read only mode")
        schema = self.database.schema
        if schema.is_reserved and not self.context.is_internal:
            raise OvsdbError("not allowed", f"{operation} operation not allowed on table in "
                                            f"reserved database {schema.name}")

    def finish(self) -> Outcome:
        """Check everything that is checked at commit and return what is to be applied.

        Raises OvsdbError.
        """
        views = [view for view in self._views.values() if view.changes]
        for view in views:
            if not view.has_only_new:
                self._drop_unchanged(view)
        is_isolated = all([view.is_isolated for view in views])
        if not is_isolated:
            self._count_references()
            self._collect_garbage()
        self._check_max_rows()
        if not is_isolated:
            self._clean_weak_references()
            views = [view for view in self._views.values() if view.changes]
            for view in views:
                self._drop_unchanged(view)
        delta: Delta = {}
        for view in views:
            if view.changes:
                delta[view.schema.name] = view.changes
        for view in views:
            for number, columns in enumerate(view.schema.indexes):
                self._check_index(view, number, columns)
        for view in views:
            if not view.has_only_new:
                self._renew_versions(view.changes)
        return Outcome(delta, self._counts)

    def _drop_unchanged(self, view: TableView) -> None:
        changes = view.changes
        unchanged = [uuid for uuid, (old, new) in self.paced(changes.items())
                     if old is not None and old == new]
        for uuid in unchanged:
            del changes[uuid]

    def _renew_versions(self, changes: dict[str, Change]) -> None:
        """Give new versions to the rows that were there before and are changed."""
        for uuid, (old, new) in self.paced(changes.items()):
            if old is not None and new is not None:
                changes[uuid] = old, self._with_new_version(new)

    def _with_new_version(self, new: Row) -> Row:
        return new[:VERSION_INDEX] + ((self.new_uuid(),),) + new[VERSION_INDEX + 1:]

    # Strong references and garbage.

    def _count_references(self) -> None:
        for view in list(self._views.values()):
            if view.schema.strong_columns:
                for uuid, (old, new) in self.paced(list(view.changes.items())):
                    self._count_row(view, uuid, old, new, is_checked=True)
        for name, counts in self._counts.items():
            view = self.view(name)
            for uuid, count in self.paced(counts.items()):
                if count and view.get(uuid) is None:
                    self._check_unreferenced(view, uuid)
        for view in self._views.values():
            for uuid, (_old, new) in self.paced(view.changes.items()):
                if new is None:
                    self._check_unreferenced(view, uuid)

    def _check_unreferenced(self, view: TableView, uuid: str) -> None:
        count = self._reference_count(view, uuid)
        if count:
            raise OvsdbError("referential integrity violation",
                             f"cannot delete {view.schema.name} row {uuid} because of {count} "
                             f"remaining reference(s)")

    def _reference_count(self, view: TableView, uuid: str) -> int:
        change = self._counts.get(view.schema.name, {}).get(uuid, 0)
        return view.base.references.get(uuid, 0) + change

    def _count_row(self, view: TableView, uuid: str, old: Row | None, new: Row | None,
                   is_checked: bool) -> None:
        for column in view.schema.strong_columns:
            before = () if old is None else old[column.index]
            after = () if new is None else new[column.index]
            if before == after:
                continue
            before, after = changes(before, after)
            for table, target in _targets(column, before, strong=True):
                if not self._is_self(view, uuid, table, target):
                    self._add_count(table, target, -1)
            for table, target in _targets(column, after, strong=True):
                if self._is_self(view, uuid, table, target):
                    continue
                if is_checked and not self.view(table).knows(target):
                    raise OvsdbError(
                        "referential integrity violation",
                        f"Table {view.schema.name} column {column.name} row {uuid} references "
                        f"nonexistent row {target} in table {table}.")
                self._add_count(table, target, 1)

    @staticmethod
    def _is_self(view: TableView, uuid: str, table: str, target: str) -> bool:
        return target == uuid and table == view.schema.name

    def _add_count(self, table: str, uuid: str, amount: int) -> None:
        counts = self._counts.setdefault(table, {})
        counts[uuid] = counts.get(uuid, 0) + amount

    def _collect_garbage(self) -> None:
        """Delete rows of non-root tables that nothing refers to, and then what they kept."""
        doubtful: list[tuple[TableView, str]] = []
        for view in self._views.values():
            if not view.schema.is_root:
                doubtful += [(view, uuid) for uuid, (old, _new) in view.changes.items()
                             if old is None]
        for name, counts in self._counts.items():
            view = self.view(name)
            if not view.schema.is_root:
                doubtful += [(view, uuid) for uuid, count in counts.items() if count < 0]
        for view, uuid in self.paced(_popped(doubtful)):
            row = view.get(uuid)
            if row is None or self._reference_count(view, uuid):
                continue
            view.put(uuid, None)
            for column in view.schema.strong_columns:
                for table, target in _targets(column, row[column.index], strong=True):
                    if not self._is_self(view, uuid, table, target):
                        self._add_count(table, target, -1)
                        target_view = self.view(table)
                        if not target_view.schema.is_root:
                            doubtful.append((target_view, target))

    def _check_max_rows(self) -> None:
        for view in self._views.values():
            limit = view.schema.max_rows
            if limit is None:
                continue
            n_rows = len(view.base.rows)
            for old, new in self.paced(view.changes.values()):
                n_rows += (new is not None) - (old is not None)
            if n_rows > limit:
                raise constraint_violation(
                    f'transaction causes "{view.schema.name}" table to contain {n_rows} rows, '
                    f"greater than the schema-defined limit of {limit} row(s)")

    # Weak references.

    def _clean_weak_references(self) -> None:
        """Take references to rows that are gone out of weak columns, wherever they are.

        Of rows that merely changed only what was added is in doubt; rows with a reference to a
        row deleted now are looked at whole.
        """
        suspects: dict[tuple[str, str], bool] = {}
        for name, view in self._views.items():
            has_weak = bool(view.schema.weak_columns)
            for uuid, (old, new) in self.paced(view.changes.items()):
                if new is None:
                    suspects.update(dict.fromkeys(view.base.weak_sources.get(uuid, ()), True))
                elif has_weak:
                    suspects.setdefault((name, uuid), old is None)
        for (name, uuid), is_whole in self.paced(suspects.items()):
            view = self.view(name)
            row = view.get(uuid)
            if row is not None:
                self._clean_row(view, uuid, row, is_whole)

    def _clean_row(self, view: TableView, uuid: str, row: Row, is_whole: bool) -> None:
        cells = None
        for column in view.schema.weak_columns:
            value = row[column.index]
            doubtful = value
            if not is_whole:
                doubtful = changes(view.changes[uuid][0][column.index], value)[1]
            gone = [e for e in doubtful if not self._weak_targets_exist(column, e)]
            if not gone:
                continue
            kept = tuple(e for e in value if e not in gone)
            if len(kept) < column.type.n_min:
                raise self._emptied(view, column, uuid, value, len(gone))
            cells = cells or list(row)
            cells[column.index] = kept
        if cells is not None:
            view.put(uuid, tuple(cells))

    def _weak_targets_exist(self, column: Column, element) -> bool:
        return all(self.view(table).get(target) is not None
                   for table, target in _targets(column, (element,), strong=False))

    def _emptied(self, view: TableView, column: Column, uuid: str, value: tuple,
                 n_removed: int) -> OvsdbError:
        is_new = view.changes.get(uuid, (True, None))[0] is None
        if is_new and value == (ZERO_UUID,):
            return constraint_violation(
                f'Weak reference column "{column.name}" in "{view.schema.name}" row {uuid} '
                f"(inserted within this transaction) contained all-zeros UUID (probably as the "
                f"default value for this column) but deleting this value caused a constraint "
                f"volation because this column is not allowed to be empty.")
        inserted = "(inserted within this transaction) " if is_new else ""
        return constraint_violation(
            f"Deletion of {n_removed} weak reference(s) to deleted (or never-existing) rows from "
            f'column "{column.name}" in "{view.schema.name}" row {uuid} {inserted}caused this '
            f"column to become empty, but constraints on this column disallow an empty column.")

    # Indexes.

    def _check_index(self, view: TableView, number: int, columns: tuple[Column, ...]) -> None:
        committed = view.base.indexes[number]
        key_of = view.schema.index_keys[number]
        if len(view.changes) == 1:
            (_old, new), = view.changes.values()
            if new is None or committed.get(key_of(new)) in (None, *view.changes):
                return
        seen: dict[tuple, str] = {}
        for uuid, (_old, new) in self.paced(view.changes.items()):
            if new is None:
                continue
            key = key_of(new)
            other = seen.setdefault(key, uuid)
            if other == uuid:
                other = committed.get(key)
                if other is None or other in view.changes:
                    continue
            raise self._duplicate(view, columns, uuid, other)

    def _duplicate(self, view: TableView, columns: tuple[Column, ...], one: str,
                   other: str) -> OvsdbError:
        first, second = sorted((one, other), reverse=True,
                               key=lambda uuid: _content_order(view.schema, view.get(uuid)))
        values = _values_text(columns, index_key(columns, view.get(first)))
        return constraint_violation(
            f'Transaction causes multiple rows in "{view.schema.name}" table to have identical '
            f"values ({values}) for index on {_name_columns(columns)}.  "
            f"First row, with UUID {first}, {self._history(view, columns, first)}  "
            f"Second row, with UUID {second}, {self._history(view, columns, second)}")

    def _history(self, view: TableView, columns: tuple[Column, ...], uuid: str) -> str:
        change: Change | None = view.changes.get(uuid)
        if change is None:
            return ("existed in the database before this transaction and was not modified by the "
                    "transaction.")
        old, new = change
        if old is None:
            return "was inserted by this transaction."
        key = index_key(columns, old)
        if key == index_key(columns, new):
            return ("existed in the database before this transaction, which modified some of the "
                    "row's columns but not any columns in this index.")
        values = _values_text(columns, key)
        return f"had the following index values before the transaction: {values}."


def _content_order(table: Table, row: Row) -> list[tuple]:
    """Return a key by which rows are ordered by their content: the client's columns first."""
    names = sorted(table.columns, key=lambda name: (name[0] == "_", name))
    values = [row[table.columns[name].index] for name in names]
    return [(len(value), value) for value in values]


def _popped(things: list) -> Iterator:
    """Take things off the end of a list, to which the caller may add, until it is empty."""
    while things:
        yield things.pop()


def _name_columns(columns: tuple[Column, ...]) -> str:
    names = _enumerate([f'"{column.name}"' for column in columns])
    return f"column {names}" if len(columns) == 1 else f"columns {names}"


def _values_text(columns: tuple[Column, ...], key: tuple) -> str:
    return _enumerate([format_text(c.type, v) for c, v in zip(columns, key)])


def _enumerate(items: list[str]) -> str:
    if len(items) < 3:
        return " and ".join(items)
    return f"{', '.join(items[:-1])}, and {items[-1]}"


def _targets(column: Column, value: Iterable, strong: bool) -> list[tuple[str, str]]:
    """Return (table, uuid) of the rows that `value` of `column` refers to, one per mention."""
    type_ = column.type
    key, value_type = type_.key, type_.value
    if value_type is None:
        table = key.ref_table
        return [(table, atom) for atom in value] if key.is_strong_ref is strong else []
    kinds = [(i, base.ref_table) for i, base in enumerate((key, value_type))
             if base.ref_table is not None and base.is_strong_ref is strong]
    return [(table, pair[i]) for pair in value for i, table in kinds]


def strong_targets(columns: tuple[Column, ...], row: Row):
    """Iterate over (table, uuid) of the strong references in `columns` of `row`."""
    return chain.from_iterable(_targets(c, row[c.index], strong=True) for c in columns)


def weak_targets(columns: tuple[Column, ...], row: Row) -> set[tuple[str, str]]:
    """Return (table, uuid) of the weak references in `columns` of `row`."""
    return set(chain.from_iterable(_targets(c, row[c.index], strong=False) for c in columns))
