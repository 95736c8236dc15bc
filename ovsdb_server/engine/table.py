"""The rows of a table and the indexes that make them quick to find; and a transaction's view.

`TableRows` is the committed state; only `Database.apply` and `Database.load` change it.
`TableView` lays a transaction's own changes over it without copying anything.
"""

from .condition import Condition
from .pace import Paced, at_once
from .schema import UUID_INDEX, Column, Datum, Table

Row = tuple[Datum, ...]
Change = tuple[Row | None, Row | None]
Delta = dict[str, dict[str, Change]]


def count_atoms(row: Row) -> int:
    """Return how many atoms a row holds; a pair of a map is two."""
    n = 0
    for value in row:
        if value:
            n += 2 * len(value) if type(value[0]) is tuple else len(value)
    return n


class TableRows:
    """Committed rows of one table.

    `rows` {uuid: Row}; `indexes`, one {key: uuid} per index of the schema, with the keys that its
    `index_keys` give; `references`
    {uuid: number of strong references from other rows}; `weak_sources` {uuid: {(table, uuid) of
    rows with a weak reference to it}}.
    """

    __slots__ = ("schema", "rows", "indexes", "references", "weak_sources")

    def __init__(self, schema: Table):
        self.schema = schema
        self.rows: dict[str, Row] = {}
        self.indexes: tuple[dict[tuple, str], ...] = tuple({} for _ in schema.indexes)
        self.references: dict[str, int] = {}
        self.weak_sources: dict[str, set[tuple[str, str]]] = {}

    def index_changes(self, changes: dict[str, Change], paced: Paced = at_once) -> None:
        """Bring `indexes` up to date with `changes`; removals first, for values that swap."""
        for key_of, index in zip(self.schema.index_keys, self.indexes):
            for uuid, (old, _new) in paced(changes.items()):
                if old is not None:
                    key = key_of(old)
                    if index.get(key) == uuid:
                        del index[key]
            for uuid, (_old, new) in paced(changes.items()):
                if new is not None:
                    index[key_of(new)] = uuid

    def look_up_any(self, condition: Condition) -> list[Row] | None:
        """Return the rows for which some clause holds; None if that takes a scan."""
        found: dict[str, Row] = {}
        for clause in condition.clauses:
            if clause.function == "false":
                continue
            uuid = None
            if clause.function == "==" and clause.column.index == UUID_INDEX:
                uuid = clause.argument[0]
            elif clause.function == "==":
                for columns, index in zip(self.schema.indexes, self.indexes):
                    if columns == (clause.column,):
                        uuid = index.get(clause.argument)
                        break
                else:
                    return None
            else:
                return None
            row = self.rows.get(uuid)
            if row is not None:
                found[uuid] = row
        return list(found.values()) if condition.clauses else None

    def copy(self) -> "TableRows":
        """Return a table with the same rows that may change by itself."""
        twin = TableRows(self.schema)
        twin.take(self.rows.copy(), tuple(index.copy() for index in self.indexes),
                  self.references.copy(), self.weak_sources)
        return twin

    def take(self, rows: dict[str, Row], indexes: tuple[dict[tuple, str], ...],
             references: dict[str, int], weak_sources: dict[str, set[tuple[str, str]]]) -> None:
        """Have these contents from now on."""
        self.rows, self.indexes = rows, indexes
        self.references, self.weak_sources = references, weak_sources


def index_key(columns: tuple[Column, ...], row: Row) -> tuple:
    """Return the values of an index's columns in `row`."""
    return tuple(row[column.index] for column in columns)


class TableView:
    """A table as one transaction sees it: committed rows under its own `changes`.

    `has_only_new`: are all the changes new rows?
    """

    __slots__ = ("schema", "base", "changes", "has_only_new", "_paced")

    def __init__(self, base: TableRows, paced: Paced = at_once):
        self._paced = paced
        self.schema = base.schema
        self.base = base
        self.changes: dict[str, Change] = {}
        self.has_only_new = True

    @property
    def is_isolated(self) -> bool:
        """Is it certain that the changes concern no other row than those changed?

        So it is when rows refer to nothing and are kept by nothing.
        """
        table = self.schema
        if table.strong_columns or table.weak_columns or not table.is_root:
            return False
        return self.has_only_new or not ((self.base.references or self.base.weak_sources)
                    and any(new is None for _old, new in self.changes.values()))

    def get(self, uuid: str) -> Row | None:
        """Return the row as it is now, or None."""
        change = self.changes.get(uuid)
        return self.base.rows.get(uuid) if change is None else change[1]

    def knows(self, uuid: str) -> bool:
        """Is there such a row, or was one deleted in this transaction?"""
        return uuid in self.changes or uuid in self.base.rows

    def put(self, uuid: str, row: Row | None) -> None:
        """Insert, replace or (None) delete a row."""
        change = self.changes.get(uuid)
        old = self.base.rows.get(uuid) if change is None else change[0]
        if old is None and row is None:
            self.changes.pop(uuid, None)
        else:
            if old is not None:
                self.has_only_new = False
            self.changes[uuid] = (old, row)

    def find(self, condition: Condition) -> list[Row]:
        """Return the rows for which every clause holds.

        A look-up when the condition fixes `_uuid` or all columns of an index, else a scan.
        """
        matches = condition.matches
        if condition.uuid is not None:
            row = self.get(condition.uuid)
            return [row] if row is not None and matches(row) else []
        changes = self.changes
        candidates = self._from_index(condition) if self.schema.indexes else None
        if candidates is None:
            rows = self.base.rows
            if not changes:
                return [row for row in self._paced(rows.values()) if matches(row)]
            found = [row for uuid, row in self._paced(rows.items())
                     if uuid not in changes and matches(row)]
        else:
            found = [row for row in candidates if row[0][0] not in changes and matches(row)]
        found += [row for _old, row in self._paced(changes.values())
                  if row is not None and matches(row)]
        return found

    def _from_index(self, condition: Condition) -> list[Row] | None:
        if not condition.clauses:
            return None
        equalities = condition.equalities()
        for columns, index in zip(self.schema.indexes, self.base.indexes):
            if all(column.index in equalities for column in columns):
                key = tuple(equalities[column.index] for column in columns)
                uuid = index.get(key[0] if len(key) == 1 else key)
                return [] if uuid is None else [self.base.rows[uuid]]
        return None
