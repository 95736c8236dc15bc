"""The JSON of journal records: deltas written as transactions, transactions replayed into rows.

A transaction record is {table: {uuid: row or null}} with "_date" (ms), "_comment" and
"_is_diff".  New rows list their columns that are not at the default; changed rows list changed
columns, with differences in the update2 sense when "_is_diff".  Ephemeral columns are left out.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple

import orjson

from ovsdb_server.engine import datum
from ovsdb_server.engine.atom import is_uuid, random_uuid
from ovsdb_server.engine.database import Database
from ovsdb_server.engine.error import OvsdbError, syntax_error
from ovsdb_server.engine.pace import Paced, at_once
from ovsdb_server.engine.schema import Column, ColumnType, DatabaseSchema, Datum, Table
from ovsdb_server.engine.table import Change, Delta, Row

# From so many bytes on, a transaction is read in parts.
_LARGE = 1 << 20

META_MEMBERS = frozenset(("_date", "_comment", "_is_diff"))


@dataclass(frozen=True, slots=True)
class TransactionText:
    """A transaction that is still `text`, as `encode_delta_text` makes it."""

    text: bytes


def encode_delta(schema: DatabaseSchema, delta: Delta, comment: str | None, wall_ms: int,
                 as_diff: bool = True) -> dict | None:
    """Return the transaction that stores `delta`, or None when it changes nothing persistent."""
    json: dict = {}
    for name, changes in delta.items():
        rows = _encode_changes(schema.tables[name].persistent_columns, changes.items(), as_diff)
        if rows:
            json[name] = rows
    return json | _members(comment, wall_ms, as_diff) if json else None


def _members(comment: str | None, wall_ms: int, as_diff: bool) -> dict:
    """Return what a transaction has besides tables."""
    json: dict = {"_date": wall_ms}
    if comment is not None:
        json["_comment"] = comment
    if as_diff:
        json["_is_diff"] = True
    return json


def _encode_changes(columns: tuple[Column, ...], changes: Iterable[tuple[str, Change]],
                    as_diff: bool) -> dict:
    rows = {}
    for uuid, (old, new) in changes:
        if new is None:
            rows[uuid] = None
        elif old is None:
            rows[uuid] = _encode_new(columns, new)
        else:
            row = _encode_changed(columns, old, new, as_diff)
            if row:
                rows[uuid] = row
    return rows


def encode_delta_text(schema: DatabaseSchema, delta: Delta, comment: str | None, wall_ms: int,
                      as_diff: bool, paced: Paced) -> bytes | None:
    """Return the JSON text of what `encode_delta` gives, made in slices."""
    pieces = []
    before = b"{"
    for name, changes in delta.items():
        columns = schema.tables[name].persistent_columns
        start = b'%b"%b":{' % (before, name.encode())
        items = iter(paced(changes.items()))
        while some := list(islice(items, _SLICE)):
            text = orjson.dumps(_encode_changes(columns, some, as_diff))
            if len(text) > 2:
                pieces.append(start + text[1:-1])
                start, before = b",", b"},"
    if not pieces:
        return None
    pieces.append(before + orjson.dumps(_members(comment, wall_ms, as_diff))[1:])
    return b"".join(pieces)


def _encode_new(columns: tuple[Column, ...], row: Row) -> dict:
    return {c.name: c.type.write(value) for c in columns
            if (value := row[c.index]) != c.type.default}


def _encode_changed(columns: tuple[Column, ...], old: Row, new: Row, as_diff: bool) -> dict:
    json = {}
    for column in columns:
        before, after = old[column.index], new[column.index]
        if before != after:
            if as_diff:
                after = datum.diff(column.type, before, after)
            json[column.name] = column.type.write(after)
    return json


def encode_rows(schema: DatabaseSchema, rows: dict[str, dict[str, Row]], comment: str,
                wall_ms: int) -> dict:
    """Return the one transaction that holds all `rows` {table: {uuid: Row}}."""
    json: dict = {}
    for name, table_rows in rows.items():
        if table_rows:
            columns = schema.tables[name].persistent_columns
            json[name] = {uuid: _encode_new(columns, row) for uuid, row in table_rows.items()}
    json["_date"] = wall_ms
    json["_comment"] = comment
    return json


def encode_in_pieces(schema: DatabaseSchema, rows: dict[str, dict[str, Row]], comment: str,
                     wall_ms: int) -> Iterator[bytes]:
    """Yield the JSON text of what `encode_rows` gives; a piece takes about a millisecond."""
    before = b"{"
    for name, table_rows in rows.items():
        columns = schema.tables[name].persistent_columns
        start = b'%b"%b":{' % (before, name.encode())
        items = iter(table_rows.items())
        while some := list(islice(items, _SLICE)):
            text = orjson.dumps({uuid: _encode_new(columns, row) for uuid, row in some})
            yield start + text[1:-1]
            start, before = b",", b"},"
    yield b'%b"_date":%d,"_comment":%b}' % (before, wall_ms, orjson.dumps(comment))


_SLICE = 250


def split_transaction(body: bytes) -> Iterator[dict]:
    """Yield the transaction in the JSON text `body` as several that have a few rows each.

    A database of many rows may be one transaction, which parsed as a whole takes far more memory
    than its rows need.  Rows hold no objects, and in a string a double quote is always escaped:
    so what looks like the beginning of a row or of a table is one.  The last transaction has all
    that was not recognised.  Raises ValueError where `body` is no JSON object.
    """
    rest: list[bytes] = []
    done, position = 0, 1
    while (table := _TABLE.match(body, position)) is not None:
        start = table.end() - _ROW_HEAD
        rest.append(body[done:start])
        while (end := _find_row(body, start + _PART)) >= 0:
            try:
                rows = orjson.loads(b"{%b}" % body[start:end])
            except ValueError:
                break                       # Another table begins in between.
            yield {table[1].decode(): rows}
            start = end + 1
        done = start
        position = body.find(b'}},"', start) + 3
        if position < start:
            break
    rest.append(body[done:])
    json = orjson.loads(b"".join(rest))
    if type(json) is not dict:
        raise ValueError("object expected")
    yield json


def read_members(json: dict | TransactionText) -> dict:
    """Return what a transaction has besides tables."""
    if type(json) is TransactionText:
        # No row holds this, and in a string the quotes would be escaped.
        start = json.text.rfind(b',"_date":')
        return orjson.loads(b"{" + json.text[start + 1:]) if start >= 0 else {}
    return {name: json[name] for name in META_MEMBERS.intersection(json)}


_PART = 256 * 1024
_TABLE = re.compile(rb'"([A-Za-z_][A-Za-z0-9_]*)":\{"[0-9a-fA-F-]{36}":')
_ROW = re.compile(rb',"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}":')
_ROW_HEAD = len('"":') + 36


def _find_row(body: bytes, position: int) -> int:
    """Return where the comma before the next row is, from `position`; -1 where there is none."""
    found = _ROW.search(body, position)
    return -1 if found is None else found.start()


def _versions(uuid: str) -> Iterator[Datum]:
    """Yield values for `_version`, each another one, in a fraction of the time of random ones."""
    head, first = uuid[:24], int(uuid[24:], 16)
    for number in count(first):
        yield f"{head}{number & 0xFFFFFFFFFFFF:012x}",


class Staged(NamedTuple):
    """Rows of a transaction that `Replay.stage` has read and `Replay.apply` puts in place."""

    rows: dict[str, dict[str, Row]]


class Replay:
    """Rows built from the transactions of a journal, under `schema`.

    `is_lenient`: tables and columns that `schema` lacks are passed over (a conversion).
    """

    def __init__(self, schema: DatabaseSchema, is_lenient: bool = False,
                 new_uuid: Callable[[], str] = random_uuid):
        self.schema = schema
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in schema.tables}
        self._is_lenient = is_lenient
        self._new_uuid = new_uuid
        self._versions = _versions(new_uuid())
        self._relaxed: dict[Column, ColumnType] = {}

    def add(self, json: dict) -> Delta:
        """Apply one transaction; return what it changes.

        Raises OvsdbError, and then none of it is applied.
        """
        delta = self.read(json)
        for name, changes in delta.items():
            rows = self.rows[name]
            for uuid, (_old, row) in changes.items():
                if row is None:
                    del rows[uuid]
                else:
                    rows[uuid] = row
        return delta

    def read(self, json: dict | TransactionText, paced: Paced = at_once) -> Delta:
        """Return what one transaction, which may still be text, would change.

        Raises OvsdbError.
        """
        is_diff = read_members(json).get("_is_diff") is True
        delta: Delta = {}
        for part in split_transaction(json.text) if type(json) is TransactionText else (json,):
            for table, uuid, row_json in paced(self._rows_of(part)):
                old = self.rows[table.name].get(uuid)
                row = self._row(table, uuid, old, row_json, is_diff)
                delta.setdefault(table.name, {})[uuid] = old, row
        return delta

    def parse(self, body: bytes) -> dict | Staged:
        """Return the transaction in the JSON text `body`, for `add` or for `apply`.

        Raises ValueError where it is no JSON, OvsdbError where it is no transaction.
        """
        if len(body) < _LARGE or b'"_is_diff"' in body:
            json = orjson.loads(body)
            if type(json) is not dict:
                raise ValueError("object expected")
            return json
        staged: dict[str, dict[str, Row]] = {}
        for json in split_transaction(body):
            for table, uuid, row_json in self._rows_of(json):
                row = self._row(table, uuid, self.rows[table.name].get(uuid), row_json, False)
                staged.setdefault(table.name, {})[uuid] = row
        return Staged(staged)

    def apply(self, staged: Staged) -> None:
        """Put the rows of a transaction in place."""
        for name, changes in staged.rows.items():
            rows = self.rows[name]
            if not rows and None not in changes.values():
                self.rows[name] = changes
                continue
            for uuid, row in changes.items():
                if row is None:
                    del rows[uuid]
                else:
                    rows[uuid] = row

    def _rows_of(self, json: dict) -> Iterator[tuple[Table, str, object]]:
        """Yield (table, uuid, JSON) of the rows in a transaction.  Raises OvsdbError."""
        for name, rows_json in json.items():
            table = self.schema.tables.get(name)
            if table is None:
                if name in META_MEMBERS or self._is_lenient:
                    continue
                raise syntax_error(json, f"No table named {name}.", "unknown table")
            if type(rows_json) is not dict:
                raise syntax_error(rows_json, "object expected")
            for uuid, row_json in rows_json.items():
                if not is_uuid(uuid):
                    raise syntax_error(rows_json, f'"{uuid}" is not a valid UUID')
                yield table, uuid if uuid.islower() else uuid.lower(), row_json

    def _row(self, table: Table, uuid: str, old: Row | None, json, is_diff: bool) -> Row | None:
        if json is None:
            if old is None:
                raise OvsdbError("syntax error",
                                 f"transaction deletes row {uuid} that does not exist")
            return None
        if type(json) is not dict:
            raise syntax_error(json, "row must be JSON object")
        if old is None:
            return self._new_row(table, uuid, json)
        cells = list(old)
        cells[1] = next(self._versions)
        for name, value_json in json.items():
            column = table.columns.get(name)
            if column is None:
                if self._is_lenient:
                    continue
                raise syntax_error(json, f"No column {name} in table {table.name}.",
                                   "unknown column")
            if column.index < 2:
                continue
            if is_diff and column.type.is_composite:
                difference = datum.from_json(self._relaxed_type(column), value_json)
                cells[column.index] = datum.apply_diff(column.type, cells[column.index],
                                                       difference)
            else:
                cells[column.index] = column.type.read(value_json)
        return tuple(cells)

    def _new_row(self, table: Table, uuid: str, json: dict) -> Row:
        cells = list(table.default_row)
        columns = table.columns
        for name, value_json in json.items():
            column = columns.get(name)
            if column is not None:
                cells[column.index] = column.type.read(value_json)
            elif not self._is_lenient:
                raise syntax_error(json, f"No column {name} in table {table.name}.",
                                   "unknown column")
        cells[0] = (uuid,)
        cells[1] = next(self._versions)
        return tuple(cells)

    def _relaxed_type(self, column: Column) -> ColumnType:
        type_ = self._relaxed.get(column)
        if type_ is None:
            type_ = self._relaxed[column] = column.type.relaxed(0, None)
        return type_

    @classmethod
    def over(cls, database: Database) -> "Replay":
        """Return a replay whose rows are those of `database`, for `read`."""
        replay = cls(database.schema)
        replay.rows = {name: table.rows for name, table in database.tables.items()}
        return replay

    def database(self) -> Database:
        """Return the database that the transactions make."""
        database = Database(self.schema, self._new_uuid)
        database.load(self.rows)
        return database
