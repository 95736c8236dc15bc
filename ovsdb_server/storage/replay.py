"""The JSON of journal records: deltas written as transactions, transactions replayed into rows.

A transaction record is {table: {uuid: row or null}} with "_date" (ms), "_comment" and
"_is_diff".  New rows list their columns that are not at the default; changed rows list changed
columns, with differences in the update2 sense when "_is_diff".  Ephemeral columns are left out.
"""

from collections.abc import Callable

from ovsdb_server.engine import datum
from ovsdb_server.engine.atom import is_uuid, random_uuid
from ovsdb_server.engine.database import Database
from ovsdb_server.engine.error import OvsdbError, syntax_error
from ovsdb_server.engine.schema import Column, ColumnType, DatabaseSchema, Table
from ovsdb_server.engine.table import Delta, Row

META_MEMBERS = frozenset(("_date", "_comment", "_is_diff"))


def encode_delta(schema: DatabaseSchema, delta: Delta, comment: str | None, wall_ms: int,
                 as_diff: bool = True) -> dict | None:
    """Return the transaction that stores `delta`, or None when it changes nothing persistent."""
    json: dict = {}
    for name, changes in delta.items():
        rows = {}
        columns = schema.tables[name].persistent_columns
        for uuid, (old, new) in changes.items():
            if new is None:
                rows[uuid] = None
            elif old is None:
                rows[uuid] = _encode_new(columns, new)
            else:
                row = _encode_changed(columns, old, new, as_diff)
                if row:
                    rows[uuid] = row
        if rows:
            json[name] = rows
    if not json:
        return None
    json["_date"] = wall_ms
    if comment is not None:
        json["_comment"] = comment
    if as_diff:
        json["_is_diff"] = True
    return json


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

    def read(self, json: dict) -> Delta:
        """Return what one transaction would change.  Raises OvsdbError."""
        is_diff = json.get("_is_diff") is True
        delta: Delta = {}
        for name, rows_json in json.items():
            table = self.schema.tables.get(name)
            if table is None:
                if name in META_MEMBERS or self._is_lenient:
                    continue
                raise syntax_error(json, f"No table named {name}.", "unknown table")
            if type(rows_json) is not dict:
                raise syntax_error(rows_json, "object expected")
            rows = self.rows[name]
            changes = delta[name] = {}
            for uuid, row_json in rows_json.items():
                if not is_uuid(uuid):
                    raise syntax_error(rows_json, f'"{uuid}" is not a valid UUID')
                uuid = uuid.lower()
                old = rows.get(uuid)
                changes[uuid] = old, self._row(table, uuid, old, row_json, is_diff)
        return delta

    def _row(self, table: Table, uuid: str, old: Row | None, json, is_diff: bool) -> Row | None:
        if json is None:
            if old is None:
                raise OvsdbError("syntax error",
                                 f"transaction deletes row {uuid} that does not exist")
            return None
        if type(json) is not dict:
            raise syntax_error(json, "row must be JSON object")
        if old is None:
            cells = list(table.default_row)
            cells[:2] = (uuid,), (self._new_uuid(),)
        else:
            cells = list(old)
        is_diff = is_diff and old is not None
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
