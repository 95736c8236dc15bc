"""The quick road of transactions: a `Road` of transact.c for a database.

`new_road(database)` describes the database's tables to C.  `decide` and `apply` are said in
transact.c; what they leave alone is the engine's, whose results they equal.  Trio thread only.
"""

import orjson

from ovsdb_server.engine import datum
from ovsdb_server.engine.atom import random_uuid
from ovsdb_server.engine.condition import parse_condition
from ovsdb_server.engine.database import Database
from ovsdb_server.engine.schema import Column
from ovsdb_server.engine.table import Row, TableRows, TableView
from ovsdb_server.quick.library import LIBRARY

# enum read_kind and enum atom_kind.
_READ_PYTHON, _READ_STRING, _READ_INTEGER, _READ_BOOLEAN, _READ_STRING_MAP = range(5)
_READ_KINDS = {"string": _READ_STRING, "integer": _READ_INTEGER, "boolean": _READ_BOOLEAN}
_ATOM_NONE, _ATOM_OTHER = 0, 5
_ATOM_KINDS = {"string": 1, "integer": 2, "boolean": 3, "uuid": 4, "real": _ATOM_OTHER}


def new_road(database: Database):
    """Return the Road of `database`, None where the C extension is not built."""
    if LIBRARY is None:
        return None
    new_uuid = None if database.new_uuid is random_uuid else database.new_uuid
    return LIBRARY.Road(tuple(map(_table_row, database.tables.values())), new_uuid, _find,
                        datum.diff, orjson.dumps)


def _find(base: TableRows, where: list) -> list[Row]:
    return TableView(base).find(parse_condition(base.schema, where, None))


def _table_row(base: TableRows) -> tuple:
    schema = base.schema
    may_insert = schema.is_root and not schema.has_doubtful_default and all(
        not column.type.default for column in schema.order[2:] if column.is_reference)
    indexes = tuple((keys, tuple(column.index for column in columns))
                    for keys, columns in zip(base.indexes, schema.indexes))
    return (schema.name, base, base.rows, schema.default_row,
            tuple(map(_column_row, schema.order)), indexes, may_insert,
            -1 if schema.max_rows is None else schema.max_rows)


def _column_row(column: Column) -> tuple:
    type_ = column.type
    value_kind = _ATOM_NONE if type_.value is None else _ATOM_KINDS[type_.value.type]
    return (column.name, type_.read, type_.write, type_, type_.default, _read_kind(type_),
            _ATOM_KINDS[type_.key.type], value_kind, type_.is_composite, column.is_mutable,
            column.is_reference, column.is_persistent)


def _read_kind(type_: datum.ColumnType) -> int:
    key, value = type_.key, type_.value
    if key.is_constrained:
        return _READ_PYTHON
    if value is not None:
        is_plain = key.type == value.type == "string" and not value.is_constrained
        return _READ_STRING_MAP if is_plain else _READ_PYTHON
    if type_.is_scalar:
        return _READ_KINDS.get(key.type, _READ_PYTHON)
    return _READ_PYTHON
