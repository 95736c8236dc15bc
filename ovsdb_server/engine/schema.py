"""Database schemas: databases, tables, columns; read from and written to RFC 7047 JSON.

`DatabaseSchema.to_json` gives the normalised form that get_schema answers and journals hold.
Each table numbers its columns: a row is a tuple of datums in that order, `_uuid` first and
`_version` second, then by name.

Source: RFC 7047 section 3.2.  Pure values: any program may import this module.
"""

from _operator import itemgetter

from .atom import (DEFAULT_ATOMS, ZERO_UUID, Atom, BaseType, Symbol, Symbols, is_uuid,
                   random_uuid)
from .datum import ColumnType, Datum
from .error import MAX_UINT32, OvsdbError, syntax_error
from .parser import (ARRAY, BOOLEAN, IDENTIFIER, INTEGER, OBJECT, STRING, Parser, as_integer,
                     is_identifier)

__all__ = ["Atom", "BaseType", "Column", "ColumnType", "DatabaseSchema", "Datum",
           "DEFAULT_ATOMS", "OvsdbError", "Symbol", "Symbols", "Table", "UUID_INDEX",
           "VERSION_INDEX", "ZERO_UUID", "check_version", "compare_versions", "is_uuid",
           "random_uuid"]

UUID_INDEX = 0
VERSION_INDEX = 1


class Column:
    """A column: `name`, `type`, `is_mutable`, `is_persistent`, and `index`, its place in rows."""

    __slots__ = ("name", "type", "is_mutable", "is_persistent", "index", "is_reference")

    def __init__(self, name: str, type: ColumnType, is_mutable: bool = True,
                 is_persistent: bool = True, index: int = -1):
        self.name = name
        self.type = type
        self.is_mutable = is_mutable
        self.is_persistent = is_persistent
        self.index = index
        self.is_reference = (type.key.ref_table is not None
                             or type.value is not None and type.value.ref_table is not None)

    @classmethod
    def from_json(cls, name: str, json) -> "Column":
        """Parse a `<column-schema>`.  Raises OvsdbError."""
        parser = Parser(json, f"schema for column {name}")
        mutable = parser.member("mutable", BOOLEAN, optional=True)
        ephemeral = parser.member("ephemeral", BOOLEAN, optional=True)
        type_json = parser.member("type", STRING | OBJECT)
        parser.finish()
        type_ = ColumnType.from_json(type_json)
        has_weak = type_.key.is_weak_ref or type_.value is not None and type_.value.is_weak_ref
        return cls(name, type_, mutable is not False or has_weak, ephemeral is not True)

    def to_json(self) -> dict:
        """Return the normalised `<column-schema>`."""
        json = {"type": self.type.to_json()}
        if not self.is_mutable:
            json["mutable"] = False
        if not self.is_persistent:
            json["ephemeral"] = True
        return json


class Table:
    """A table: `columns` {name: Column} with `_uuid` and `_version`, `order` (columns by place in
    a row), `max_rows` (None when unlimited), `is_root`, `indexes` (tuples of Columns) and
    `index_keys`, for each a function of a row that gives what identifies it there; `readers`
    {column name: (place in a row, type's `read`)};
    `has_doubtful_default`: the default of some column may violate its constraints."""

    __slots__ = ("name", "columns", "order", "is_mutable", "max_rows", "is_root", "indexes",
                 "strong_columns", "weak_columns", "default_row", "has_doubtful_default",
                 "persistent_columns", "index_keys", "readers")

    def __init__(self, name: str, columns: list[Column], is_mutable: bool = True,
                 max_rows: int | None = None, is_root: bool = False,
                 indexes: tuple[tuple[str, ...], ...] = ()):
        uuid = BaseType("uuid")
        order = [Column("_uuid", ColumnType(uuid), False, True),
                 Column("_version", ColumnType(uuid), False, False)]
        order += sorted(columns, key=lambda column: column.name)
        for index, column in enumerate(order):
            column.index = index
        self.name = name
        self.order = tuple(order)
        self.columns = {column.name: column for column in order}
        self.is_mutable = is_mutable
        self.max_rows = max_rows
        self.is_root = is_root
        self.indexes = tuple(tuple(self.columns[name] for name in names) for names in indexes)
        self.persistent_columns = tuple(c for c in self.named_columns if c.is_persistent)
        self.readers = {column.name: (column.index, column.type.read) for column in order}
        self.index_keys = tuple(itemgetter(*(column.index for column in index))
                                for index in self.indexes)
        self.strong_columns: tuple[Column, ...] = ()
        self.weak_columns: tuple[Column, ...] = ()
        self.note_references()
        self.default_row = tuple(column.type.default for column in order)
        self.has_doubtful_default = any(
            column.type.n_min and (column.type.key.is_constrained or column.type.value is not None
                                   and column.type.value.is_constrained) for column in order)

    def note_references(self) -> None:
        """Find the columns that refer to rows, for the checks of a commit."""
        def refers(column: Column, test) -> bool:
            value = column.type.value
            return test(column.type.key) or value is not None and test(value)
        self.strong_columns = tuple(c for c in self.order if refers(c, _is_strong))
        self.weak_columns = tuple(c for c in self.order if refers(c, _is_weak))

    @property
    def named_columns(self) -> tuple[Column, ...]:
        """Return the columns that the schema declares, by name."""
        return self.order[2:]

    @classmethod
    def from_json(cls, name: str, json) -> "Table":
        """Parse a `<table-schema>`.  Raises OvsdbError."""
        parser = Parser(json, f"table schema for table {name}")
        columns_json = parser.member("columns", OBJECT)
        mutable = parser.member("mutable", BOOLEAN, optional=True)
        max_rows_json = parser.member("maxRows", INTEGER, optional=True)
        is_root = parser.member("isRoot", BOOLEAN, optional=True)
        indexes_json = parser.member("indexes", ARRAY, optional=True)
        parser.finish()
        max_rows = None
        if max_rows_json is not None:
            max_rows = as_integer(max_rows_json)
            if max_rows <= 0:
                raise syntax_error(json, "maxRows must be at least 1")
            if max_rows >= MAX_UINT32:
                max_rows = None
        if not columns_json:
            raise syntax_error(json, "table must have at least one column")
        columns = []
        for column_name, column_json in columns_json.items():
            _check_name(json, column_name)
            columns.append(Column.from_json(column_name, column_json))
        by_name = {column.name: column for column in columns}
        indexes = tuple(_index_from_json(index, json, by_name) for index in indexes_json or ())
        return cls(name, columns, mutable is not False, max_rows, is_root is True, indexes)

    def to_json(self, show_root: bool) -> dict:
        """Return the normalised `<table-schema>`; `isRoot` only when `show_root`."""
        json: dict = {}
        if not self.is_mutable:
            json["mutable"] = False
        if show_root and self.is_root:
            json["isRoot"] = True
        json["columns"] = {column.name: column.to_json() for column in self.named_columns}
        if self.max_rows is not None:
            json["maxRows"] = self.max_rows
        if self.indexes:
            json["indexes"] = [[column.name for column in index] for index in self.indexes]
        return json


def _is_strong(base: BaseType) -> bool:
    return base.is_strong_ref


def _is_weak(base: BaseType) -> bool:
    return base.is_weak_ref


def _check_name(json, name: str) -> None:
    if name.startswith("_"):
        raise syntax_error(json, 'names beginning with "_" are reserved')
    if not is_identifier(name):
        raise syntax_error(json, "name must be a valid id")


def _index_from_json(json, table_json, columns: dict[str, Column]) -> tuple[str, ...]:
    names = column_set_from_json(json, columns)
    if not names:
        raise syntax_error(table_json, "index must have at least one column")
    for name in names:
        if not columns[name].is_persistent:
            raise syntax_error(table_json,
                               f"ephemeral columns (such as {name}) may not be indexed")
    return names


def column_set_from_json(json, columns: dict[str, Column]) -> tuple[str, ...]:
    """Parse an array of distinct names of `columns`.  Raises OvsdbError."""
    if type(json) is not list:
        raise syntax_error(json, "array of distinct column names expected")
    for name in json:
        if type(name) is not str:
            raise syntax_error(json, "array of distinct column names expected")
        if name not in columns:
            raise syntax_error(json, f"{name} is not a valid column name")
    if len(set(json)) < len(json):
        raise syntax_error(json, "array of distinct column names expected")
    return tuple(json)


class DatabaseSchema:
    """A schema: `name`, `version` ("" when absent), `cksum` ("" when absent), `tables`;
    `is_reserved`: only the server itself writes the database."""

    __slots__ = ("name", "version", "cksum", "tables", "is_reserved", "_all_root")

    def __init__(self, name: str, version: str, cksum: str, tables: list[Table]):
        self.name = name
        self.is_reserved = name.startswith("_")
        self.version = version
        self.cksum = cksum
        self.tables = {table.name: table for table in sorted(tables, key=lambda t: t.name)}
        if not any(table.is_root for table in tables):
            for table in tables:
                table.is_root = True
        self._all_root = all(table.is_root for table in tables)
        for table in self.tables.values():
            self._link(table)

    def _link(self, table: Table) -> None:
        for column in table.named_columns:
            self._check_ref_table(column, column.type.key, "key")
            if column.type.value is not None:
                self._check_ref_table(column, column.type.value, "value")
            # A row that only an ephemeral column kept alive would be lost at restart.
            if not column.is_persistent and (
                    self._keeps_alive(column.type.key) or self._keeps_alive(column.type.value)):
                column.is_persistent = True
        table.persistent_columns = tuple(c for c in table.named_columns if c.is_persistent)

    def _keeps_alive(self, base: BaseType | None) -> bool:
        return base is not None and base.is_strong_ref and (
            not self.tables[base.ref_table].is_root)

    def _check_ref_table(self, column: Column, base: BaseType, what: str) -> None:
        if base.ref_table is not None and base.ref_table not in self.tables:
            raise OvsdbError("syntax error", f"column {column.name} {what} refers to undefined "
                                             f"table {base.ref_table}")

    @classmethod
    def from_json(cls, json) -> "DatabaseSchema":
        """Parse a `<database-schema>`.  Raises OvsdbError."""
        parser = Parser(json, "database schema")
        name = parser.member("name", IDENTIFIER)
        version = parser.member("version", STRING, optional=True)
        cksum = parser.member("cksum", STRING, optional=True)
        tables_json = parser.member("tables", OBJECT)
        parser.finish()
        if version is not None and _version_numbers(version) is None:
            raise syntax_error(json, f'schema version "{version}" not in format x.y.z')
        tables = []
        for table_name, table_json in tables_json.items():
            _check_name(json, table_name)
            tables.append(Table.from_json(table_name, table_json))
        return cls(name, version or "", cksum or "", tables)

    def to_json(self) -> dict:
        """Return the normalised `<database-schema>`."""
        json = {"name": self.name}
        if self.version:
            json["version"] = self.version
        if self.cksum:
            json["cksum"] = self.cksum
        json["tables"] = {
            table.name: table.to_json(not self._all_root) for table in self.tables.values()}
        return json

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatabaseSchema) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.name, self.version, self.cksum))


def _version_numbers(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    return tuple(int(part) for part in parts)


def check_version(version: str) -> None:
    """Raise OvsdbError unless `version` reads x.y.z."""
    if _version_numbers(version) is None:
        raise OvsdbError("syntax error", f'schema version "{version}" not in format x.y.z')


def compare_versions(a: str, b: str) -> int:
    """Return a number below, equal to or above 0 as version `a` is below, equal to or above `b`.

    Raises OvsdbError when one of them is not x.y.z.
    """
    check_version(a)
    check_version(b)
    left, right = _version_numbers(a), _version_numbers(b)
    return (left > right) - (left < right)
