"""The operations of "transact": each reads its members, acts on the transaction, gives a result.

`OPERATIONS` is the table of all of them.  An operation raises OvsdbError, or `MustWait` when a
"wait" does not hold yet.

Source: RFC 7047 section 5.2, with "assert" of 5.2.10, the member "uuid" of insert and the member
"sort" of select (ovsdb-server(7)).
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import orjson

from . import datum
from .atom import is_uuid
from .condition import Condition, parse_condition
from .error import OvsdbError, syntax_error
from .mutation import Mutation, parse_mutations
from .parser import (ARRAY, BOOLEAN, IDENTIFIER, NUMBER, OBJECT, STRING, Parser,
                     is_identifier)
from .schema import Column, Table, column_set_from_json
from .table import Row, TableView
from .transaction import Transaction


class MustWait(Exception):
    """A "wait" does not hold yet: undo everything and run the transaction again later."""


def _table(transaction: Transaction, parser: Parser) -> TableView | None:
    name = parser.member("table", IDENTIFIER)
    if name is None:
        return None
    if name not in transaction.database.tables:
        parser.fail(f"No table named {name}.")
        return None
    return transaction.view(name)


def _check(parser: Parser) -> None:
    if parser.error is not None:
        raise parser.error


def _parse_row(transaction: Transaction, table: Table, json) -> dict[Column, tuple]:
    if type(json) is not dict:
        raise syntax_error(json, "row must be JSON object")
    values = {}
    for name, value in json.items():
        column = table.columns.get(name)
        if column is None:
            raise syntax_error(json, f"No column {name} in table {table.name}.",
                               "unknown column")
        values[column] = column.type.read(value, transaction.symbols)
    return values


def _columns(table: Table, json: list | None) -> tuple[Column, ...]:
    if json is None:
        return table.order
    return tuple(table.columns[name] for name in column_set_from_json(json, table.columns))


def _where(transaction: Transaction, view: TableView, json: list) -> Condition:
    return parse_condition(view.schema, json, transaction.symbols)


def _row_with(row: Row, values: dict[Column, tuple]) -> Row:
    cells = list(row)
    for column, value in values.items():
        cells[column.index] = value
    return tuple(cells)


def _insert(transaction: Transaction, parser: Parser) -> dict:
    view = _table(transaction, parser)
    uuid = parser.member("uuid", STRING, optional=True)
    uuid_name = parser.member("uuid-name", IDENTIFIER, optional=True)
    row_json = parser.member("row", OBJECT)
    _check(parser)
    table = view.schema
    if uuid is not None:
        if not is_uuid(uuid):
            raise syntax_error(uuid, "bad uuid")
        uuid = uuid.lower()
        if view.knows(uuid):
            raise syntax_error(
                uuid, f'This UUID would duplicate a UUID already present within the '
                      f'"{table.name}" table or deleted from this table within the same '
                      f"transaction.", "duplicate uuid")
    if uuid_name is not None:
        uuid = _name_row(transaction, uuid_name, uuid)
    elif uuid is None:
        uuid = transaction.new_uuid()
    values = _parse_row(transaction, table, row_json)
    row = _row_with(table.default_row, values)
    for column in table.order:
        if len(row[column.index]) == 1 and column not in values:
            datum.check(column.type, row[column.index])
    transaction.permissions.check_insert(table, row)
    row = ((uuid,), (transaction.new_uuid(),)) + row[2:]
    view.put(uuid, row)
    return {"uuid": ["uuid", uuid]}


def _name_row(transaction: Transaction, name: str, uuid: str | None) -> str:
    symbol = transaction.symbols.lookup(name)
    if symbol.created:
        raise syntax_error(name, 'This "uuid-name" appeared on an earlier "insert" operation.',
                           "duplicate uuid-name")
    if uuid is not None:
        symbol.uuid = uuid
    symbol.created = True
    return symbol.uuid


def _select(transaction: Transaction, parser: Parser) -> dict:
    view = _table(transaction, parser)
    where = parser.member("where", ARRAY)
    columns_json = parser.member("columns", ARRAY, optional=True)
    sort_json = parser.member("sort", ARRAY, optional=True)
    _check(parser)
    condition = _where(transaction, view, where)
    columns = _columns(view.schema, columns_json)
    sort = _columns(view.schema, sort_json) if sort_json is not None else ()
    rows = view.find(condition)
    if columns_json is not None and "_uuid" not in columns_json:
        rows = list({tuple(row[c.index] for c in columns): row for row in rows}.values())
    if sort:
        rows.sort(key=lambda row: tuple(row[c.index] for c in sort))
    if transaction.context.takes_lazy_rows and len(rows) > _MANY:
        transaction.has_lazy_rows = True
        return {"rows": LazyRows(columns, rows)}
    return {"rows": [_row_to_json(columns, row) for row in rows]}


def _row_to_json(columns: tuple[Column, ...], row: Row) -> dict:
    return {c.name: datum.to_json(c.type, row[c.index]) for c in columns}


# So many rows of a "select" are encoded only as they are sent.
_MANY = 1000
_SLICE = 250


class LazyRows:
    """The rows that a "select" has found, as they were then; `pieces` makes JSON of them."""

    __slots__ = ("_columns", "_rows")

    def __init__(self, columns: tuple[Column, ...], rows: list[Row]):
        self._columns = columns
        self._rows = rows

    def pieces(self) -> Iterator[bytes]:
        """Yield the text of the JSON array, in pieces of a millisecond or so."""
        before = b"["
        cells = [(c.name, c.index, c.type.write) for c in self._columns]
        for first in range(0, len(self._rows), _SLICE):
            text = orjson.dumps([{name: write(row[i]) for name, i, write in cells}
                                 for row in self._rows[first:first + _SLICE]])
            yield before + text[1:-1]
            before = b","
        yield b"]"


# The common forms of the common operations.  Each looks whether the operation is plainly right
# and then does it, or returns None before it has changed anything: the function of the table
# below then does it, or says what is wrong.

def _rows_quickly(transaction: Transaction, view: TableView, where: object) -> list[Row]:
    """Return the rows that the array `where` names."""
    if len(where) == 1 and type(where[0]) is list and len(where[0]) == 3:
        name, function, value = where[0]
        if (name == "_uuid" and function == "==" and type(value) is list and len(value) == 2
                and value[0] == "uuid" and type(value[1]) is str):
            row = view.get(value[1])
            if row is not None:
                return [row]
    return view.find(_where(transaction, view, where))


def _insert_quickly(transaction: Transaction, json: dict) -> dict | None:
    view = transaction.known_view(json.get("table"))
    row_json = json.get("row")
    if view is None or type(row_json) is not dict or view.schema.has_doubtful_default:
        return None
    readers, symbols = view.schema.readers, transaction.symbols
    cells = list(view.schema.default_row)
    try:
        for name, value in row_json.items():
            index, read = readers[name]
            cells[index] = read(value, symbols)
    except (KeyError, OvsdbError):
        return None
    if len(json) == 3:
        uuid = transaction.new_uuid()
    elif len(json) == 4 and is_identifier(json.get("uuid-name")):
        uuid = _name_row(transaction, json["uuid-name"], None)
    else:
        return None
    cells[0] = (uuid,)
    cells[1] = (transaction.new_uuid(),)
    view.changes[uuid] = None, tuple(cells)
    return {"uuid": ["uuid", uuid]}


def _update_quickly(transaction: Transaction, json: dict) -> dict | None:
    view = transaction.known_view(json.get("table"))
    row_json, where = json.get("row"), json.get("where")
    if view is None or len(json) != 4 or type(row_json) is not dict or type(where) is not list:
        return None
    columns, symbols = view.schema.columns, transaction.symbols
    values = []
    for name, value in row_json.items():
        column = columns.get(name)
        if column is None or not column.is_mutable:
            return None
        values.append((column.index, column.type.read(value, symbols)))
    rows = _rows_quickly(transaction, view, where)
    for row in transaction.paced(rows):
        cells = list(row)
        for index, value in values:
            cells[index] = value
        new = tuple(cells)
        if new != row:
            view.put(row[0][0], new)
    return {"count": len(rows)}


def _mutate_quickly(transaction: Transaction, json: dict) -> dict | None:
    view = transaction.known_view(json.get("table"))
    mutations_json, where = json.get("mutations"), json.get("where")
    if (view is None or len(json) != 4 or type(mutations_json) is not list
            or type(where) is not list):
        return None
    mutations = parse_mutations(view.schema, mutations_json, transaction.symbols)
    rows = _rows_quickly(transaction, view, where)
    _apply_mutations(view, transaction.paced(rows), mutations)
    return {"count": len(rows)}


def _apply_mutations(view: TableView, rows: Iterable[Row], mutations: list[Mutation]) -> None:
    for row in rows if mutations else ():
        cells = list(row)
        for mutation in mutations:
            index = mutation.column.index
            cells[index] = mutation.apply(cells[index])
        new = tuple(cells)
        if new != row:
            view.put(row[0][0], new)


def _wait_quickly(transaction: Transaction, json: dict) -> dict | None:
    """A row is still what the client knows: clients say so of every row that they have read."""
    view = transaction.known_view(json.get("table"))
    where, columns, rows_json = json.get("where"), json.get("columns"), json.get("rows")
    timeout = json.get("timeout")
    if (view is None or len(json) != 7 or json.get("until") != "==" or type(timeout) is not int
            or timeout < 0 or type(where) is not list or type(columns) is not list
            or type(rows_json) is not list or len(rows_json) != 1
            or type(rows_json[0]) is not dict or len(rows_json[0]) != len(columns)):
        return None
    rows = _rows_quickly(transaction, view, where)
    if len(rows) != 1:
        return None
    readers, symbols, row = view.schema.readers, transaction.symbols, rows[0]
    try:
        for name, value in rows_json[0].items():
            index, read = readers[name]
            if name not in columns or read(value, symbols) != row[index]:
                return None
    except (KeyError, OvsdbError):
        return None
    transaction.limit_wait(min(timeout, 1 << 62))
    return {}


_QUICK = {"insert": _insert_quickly, "update": _update_quickly, "mutate": _mutate_quickly,
          "wait": _wait_quickly}


def _update(transaction: Transaction, parser: Parser) -> dict:
    view = _table(transaction, parser)
    where = parser.member("where", ARRAY)
    row_json = parser.member("row", OBJECT)
    _check(parser)
    table = view.schema
    values = _parse_row(transaction, table, row_json)
    for column in values:
        if not column.is_mutable:
            raise syntax_error(
                parser.json, f"Cannot update immutable column {column.name} in table "
                             f"{table.name}.", "constraint violation")
    rows = view.find(_where(transaction, view, where))
    transaction.permissions.check_update(table, rows, [c.name for c in values])
    for row in transaction.paced(rows):
        new = _row_with(row, values)
        if new != row:
            view.put(row[0][0], new)
    return {"count": len(rows)}


def _mutate(transaction: Transaction, parser: Parser) -> dict:
    view = _table(transaction, parser)
    where = parser.member("where", ARRAY)
    mutations_json = parser.member("mutations", ARRAY)
    _check(parser)
    table = view.schema
    mutations = parse_mutations(table, mutations_json, transaction.symbols)
    rows = view.find(_where(transaction, view, where))
    transaction.permissions.check_mutate(table, rows, [m.column.name for m in mutations])
    _apply_mutations(view, transaction.paced(rows), mutations)
    return {"count": len(rows)}


def _delete(transaction: Transaction, parser: Parser) -> dict:
    where = parser.member("where", ARRAY)
    view = _table(transaction, parser)
    _check(parser)
    rows = view.find(_where(transaction, view, where))
    transaction.permissions.check_delete(view.schema, rows)
    for row in transaction.paced(rows):
        view.put(row[0][0], None)
    return {"count": len(rows)}


def _wait(transaction: Transaction, parser: Parser) -> dict:
    timeout = parser.member("timeout", NUMBER, optional=True)
    where = parser.member("where", ARRAY)
    columns_json = parser.member("columns", ARRAY, optional=True)
    until = parser.member("until", STRING)
    rows_json = parser.member("rows", ARRAY)
    view = _table(transaction, parser)
    _check(parser)
    condition = _where(transaction, view, where)
    columns = _columns(view.schema, columns_json)
    if timeout is not None:
        if timeout < 0:
            raise syntax_error(timeout, "timeout must be nonnegative")
        transaction.limit_wait(int(min(timeout, 1 << 62)))
    if until not in ("==", "!="):
        raise syntax_error(until, '"until" must be "==" or "!="')
    expected = set()
    for row_json in rows_json:
        row = _row_with(view.schema.default_row, _parse_row(transaction, view.schema, row_json))
        expected.add(tuple(row[c.index] for c in columns))
    actual = {tuple(row[c.index] for c in columns) for row in view.find(condition)}
    if (actual == expected) == (until == "=="):
        return {}
    limit, elapsed = transaction.wait_limit_ms, transaction.elapsed_ms
    if limit is None or elapsed < limit:
        raise MustWait
    if elapsed:
        raise OvsdbError("timed out", f'"wait" timed out after {elapsed} ms')
    raise OvsdbError("timed out", '"where" clause test failed')


def _commit(transaction: Transaction, parser: Parser) -> dict:
    durable = parser.member("durable", BOOLEAN)
    if durable:
        transaction.is_durable = True
    return {}


def _abort(_transaction: Transaction, _parser: Parser) -> dict:
    raise OvsdbError("aborted", "aborted by request")


def _comment(transaction: Transaction, parser: Parser) -> dict:
    comment = parser.member("comment", STRING)
    if comment is not None:
        transaction.comments.append(comment)
    return {}


def _assert(transaction: Transaction, parser: Parser) -> dict:
    lock = parser.member("lock", IDENTIFIER)
    _check(parser)
    if not transaction.context.owns_lock(lock):
        raise OvsdbError("not owner", f"Asserted lock {lock} not held.")
    return {}


class Operation(NamedTuple):
    """A row of the table of operations."""

    execute: Callable[[Transaction, Parser], dict]
    is_write: bool


OPERATIONS = {
    "insert": Operation(_insert, True),
    "select": Operation(_select, False),
    "update": Operation(_update, True),
    "mutate": Operation(_mutate, True),
    "delete": Operation(_delete, True),
    "wait": Operation(_wait, False),
    "commit": Operation(_commit, True),
    "abort": Operation(_abort, False),
    "comment": Operation(_comment, False),
    "assert": Operation(_assert, False),
}


def is_write(operations_json: list) -> bool:
    """Does any of a transaction's operations write?"""
    for json in operations_json:
        name = json.get("op") if type(json) is dict else None
        if type(name) is str and name in OPERATIONS and OPERATIONS[name].is_write:
            return True
    return False


def execute(transaction: Transaction, json, number: int, total: int) -> dict:
    """Execute operation `number` of `total` and return its result.

    Raises OvsdbError, and MustWait when the transaction must be run again later.
    """
    if type(json) is dict and transaction.is_unrestricted:
        name = json.get("op")
        quick = _QUICK.get(name) if type(name) is str else None
        if quick is not None:
            result = quick(transaction, json)
            if result is not None:
                return result
    parser = Parser(json, f"ovsdb operation {number} of {total}")
    name = parser.member("op", IDENTIFIER)
    operation = OPERATIONS.get(name)
    error = None
    result = None
    if operation is not None:
        try:
            result = operation.execute(transaction, parser)
        except OvsdbError as complaint:
            error = complaint
    elif name is not None:
        parser.fail(f'No operation "{name}"')
    parser.finish()
    if error is not None:
        try:
            raise error
        finally:
            del error       # It knows this frame: together they would be a cycle.
    if operation.is_write:
        transaction.check_may_write(name)
    return result


