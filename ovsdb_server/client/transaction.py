"""A transaction to be sent to a server: collected operations, and what came of it.  No I/O.

Values are datums; the columns' types come from the server's schema.  Rows get their UUID here,
when they are inserted, so one transaction can refer to its own new rows by UUID.
"""

from collections.abc import Mapping
from enum import Enum

from ovsdb_server.client.core import Core
from ovsdb_server.engine import datum
from ovsdb_server.engine.atom import random_uuid
from ovsdb_server.engine.datum import Datum


class Status(Enum):
    """How a transaction ended."""

    UNCHANGED = "unchanged"         # There was nothing to do.
    SUCCESS = "success"
    TRY_AGAIN = "try again"         # Something it relied on has changed meanwhile.
    NOT_LOCKED = "not locked"       # The replica does not own its lock.
    DISCONNECTED = "disconnected"   # The connection broke: it may have happened or not.
    ERROR = "error"                 # The server refused; see `Transaction.error`.


class Transaction:
    """Operations for one "transact"; made by `Replica.transaction`.

    Columns and tables that the server does not have are passed over, so that a newer program
    works with an older schema.  `error` is the server's text after Status.ERROR.
    """

    def __init__(self, core: Core, comment: str | None = None, lock: str | None = None) -> None:
        self._core = core
        self._operations: list[dict] = []
        self._verified: set[tuple[str, str, str]] = set()
        self._comment = comment
        self._lock = lock
        self._n_writes = 0
        self.error = ""
        self.results: list = []

    @property
    def is_empty(self) -> bool:
        return not self._n_writes

    def insert(self, table: str, row: Mapping[str, Datum], uuid: str | None = None) -> str:
        """Insert a row; return its UUID."""
        uuid = uuid or random_uuid()
        self._write({"op": "insert", "table": table, "uuid": uuid, "row": self._row(table, row)})
        return uuid

    def update(self, table: str, uuid: str, row: Mapping[str, Datum]) -> None:
        """Set columns of a row."""
        values = self._row(table, row)
        if values:
            self._write({"op": "update", "table": table, "where": _is(uuid), "row": values})

    def mutate(self, table: str, uuid: str, column: str, mutator: str, value: Datum) -> None:
        """Apply a mutator of RFC 7047 ("insert", "delete", "+=" ...) to a column of a row."""
        place = self._column(table, column)
        if place is None:
            return
        type_ = place.type.relaxed(0, None) if mutator in ("insert", "delete") else place.type
        if mutator == "delete" and place.type.is_map and value and type(value[0]) is not tuple:
            json = datum.to_json(datum.ColumnType(place.type.key, None, 0, None), value)
        else:
            json = datum.to_json(type_, value)
        self._write({"op": "mutate", "table": table, "where": _is(uuid),
                     "mutations": [[column, mutator, json]]})

    def delete(self, table: str, uuid: str) -> None:
        """Delete a row."""
        self._write({"op": "delete", "table": table, "where": _is(uuid)})

    def verify(self, table: str, uuid: str, column: str) -> None:
        """Let the transaction fail with TRY_AGAIN if the column is not what the replica has."""
        row = self._core.rows[table].get(uuid)
        place = self._column(table, column)
        if place is None or row is None or (table, uuid, column) in self._verified:
            return
        self._verified.add((table, uuid, column))
        self._operations.insert(0, {
            "op": "wait", "timeout": 0, "table": table, "where": _is(uuid), "until": "==",
            "columns": [column], "rows": [{column: datum.to_json(place.type, row[column])}]})

    def add_operation(self, operation: dict) -> None:
        """Add an operation in the protocol's own form."""
        self._write(operation)

    def _write(self, operation: dict) -> None:
        self._operations.append(operation)
        self._n_writes += 1

    def _column(self, table: str, column: str):
        place = self._core.table(table)
        return None if place is None else place.columns.get(column)

    def _row(self, table: str, row: Mapping[str, Datum]) -> dict:
        values = {}
        for name, value in row.items():
            column = self._column(table, name)
            if column is not None:
                values[name] = datum.to_json(column.type, value)
        return values

    def params(self) -> list:
        """Return the parameters of the request "transact"."""
        operations = self._operations
        if self._lock is not None:
            operations = [{"op": "assert", "lock": self._lock}] + operations
        if self._comment:
            operations = operations + [{"op": "comment", "comment": self._comment}]
        return [self._core.schema.name, *operations]

    def judge(self, results: object) -> Status:
        """Return what the reply means; keeps `results` (without the lock's) and `error`."""
        if not isinstance(results, list):
            self.error = "reply to transact is not an array"
            return Status.ERROR
        self.results = results[1:] if self._lock is not None else results
        errors = [result for result in results if isinstance(result, dict) and "error" in result]
        if not errors:
            return Status.SUCCESS
        kinds = {error["error"] for error in errors}
        if kinds == {"not owner"}:
            return Status.NOT_LOCKED
        if kinds <= {"timed out", "aborted"}:
            return Status.TRY_AGAIN
        first = next(error for error in errors if error["error"] not in ("timed out", "aborted"))
        self.error = f"{first['error']}: {first.get('details', '')}"
        return Status.ERROR


def _is(uuid: str) -> list:
    return [["_uuid", "==", ["uuid", uuid]]]
