"""The database commands: list find get set add remove clear create destroy wait-until comment.

Each command has a function that says which columns it needs, called before connecting, and one
that runs it.  They know tables and columns only by their schema.
"""

import os

from ovsdb_server.engine.atom import BaseType, format_atom, is_uuid, parse_atom
from ovsdb_server.engine.datum import (ColumnType, format_text, parse_text, sort_key, subtract,
                                       to_json, union)
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import Column
from utilities.command_line import LOG, WARN, Fatal
from utilities.database import Row
from utilities.database import Table as SchemaTable
from utilities.table import Table
from utilities.vsctl.language import UNLIMITED, Command, Context, TryAgain, spoken

OPERATORS = ("=", "!=", "<", ">", "<=", ">=", "{=}", "{!=}", "{<}", "{>}", "{<=}", "{>=}",
             "{in}", "{not-in}")

_UUID_TYPE = ColumnType(BaseType("uuid"))


def _is_uuid_column(name: str) -> bool:
    return name.lower() in ("_uuid", "-uuid")


def want_record(ctx: Context) -> None:
    """TABLE RECORD COLUMN..., where a column may be followed by :KEY or =VALUE."""
    table = ctx.want_table(ctx.arguments[0])
    for argument in ctx.arguments[2:]:
        ctx.want_argument(table, argument)


def want_one_column(ctx: Context) -> None:
    """TABLE RECORD COLUMN, and values that are no columns."""
    ctx.want_column(ctx.want_table(ctx.arguments[0]), ctx.arguments[2])


def want_plain_columns(ctx: Context) -> None:
    """TABLE RECORD COLUMN..."""
    table = ctx.want_table(ctx.arguments[0])
    for argument in ctx.arguments[2:]:
        ctx.want_column(table, argument)


def _find_record(ctx: Context) -> tuple[SchemaTable, Row | None]:
    table = ctx.find_table(ctx.arguments[0])
    return table, ctx.find_row(table, ctx.arguments[1], "--if-exists" not in ctx.options)


def want_get(ctx: Context) -> None:
    """TABLE RECORD [COLUMN[:KEY]]..."""
    if "--id" not in ctx.options and len(ctx.arguments) <= 2 and os.isatty(1):
        LOG.log("db_ctl_base", WARN,
                '"get" command without row arguments or "--id" is possibly erroneous')
    table = ctx.want_table(ctx.arguments[0])
    for argument in ctx.arguments[2:]:
        if not _is_uuid_column(argument):
            ctx.want_argument(table, argument)


def get(ctx: Context) -> None:
    """Print columns or values of keys, one per line."""
    must_exist = "--if-exists" not in ctx.options
    name = ctx.options.get("--id")
    if name is not None and not must_exist:
        raise Fatal("--if-exists and --id may not be specified together")
    table, row = _find_record(ctx)
    if row is None:
        return
    if name is not None:
        symbol, is_new = ctx.make_symbol(name)
        if not is_new:
            raise Fatal(f'row id "{name}" specified on "get" command was used before it was '
                        "defined")
        symbol.uuid = row.uuid
        # The row exists, so nobody need refer to it.
        symbol.strongly_referenced = True
    for argument in ctx.arguments[2:]:
        if _is_uuid_column(argument):
            ctx.print(row.uuid)
            continue
        column, key = ctx.read_column_only(table, argument)
        ctx.transaction.verify(row, column)
        datum = row.read(column)
        if key is None:
            ctx.print(format_text(column.type, datum))
            continue
        if not column.type.is_map:
            raise Fatal(f"cannot specify key to get for non-map column {column.name}")
        atom = spoken(parse_atom, column.type.key, key, ctx.symbols)
        for have, value in datum:
            if have == atom:
                ctx.print(format_atom(column.type.value.type, value))
                break
        else:
            if must_exist:
                raise Fatal(f'no key "{key}" in {table.name} record "{ctx.arguments[1]}" column '
                            f"{column.name}")
            ctx.print("")


def _want_columns(ctx: Context, table: SchemaTable) -> None:
    for column in _listed_columns(ctx, table):
        if column is not None:
            ctx.database.want(table.name, column.name)


def _listed_columns(ctx: Context, table: SchemaTable) -> list[Column | None]:
    """Return the columns to list; None stands for _uuid."""
    names = ctx.options.get("--columns")
    if names is None:
        return [None, *table.named_columns]
    columns = [None if _is_uuid_column(name) else ctx.find_column(table, name)
               for name in names.replace(",", " ").split(" ") if name]
    if not columns:
        raise Fatal("must specify at least one column name")
    return columns


def _make_table(columns: list[Column | None]) -> Table:
    return Table([column.name if column else "_uuid" for column in columns])


def _list_row(table: Table, columns: list[Column | None], row: Row) -> None:
    table.rows.append([(column.type, row.read(column)) if column else (_UUID_TYPE, (row.uuid,))
                       for column in columns])


def want_list(ctx: Context) -> None:
    """TABLE [RECORD]..."""
    _want_columns(ctx, ctx.want_table(ctx.arguments[0]))


def list_rows(ctx: Context) -> None:
    """Make a table of the named rows, or of all."""
    table = ctx.find_table(ctx.arguments[0])
    columns = _listed_columns(ctx, table)
    out = ctx.call.table = _make_table(columns)
    if len(ctx.arguments) == 1:
        for row in ctx.database.all(table.name):
            _list_row(out, columns, row)
    for name in ctx.arguments[1:]:
        row = ctx.find_row(table, name, "--if-exists" not in ctx.options)
        if row is not None:
            _list_row(out, columns, row)


def want_find(ctx: Context) -> None:
    """TABLE [COLUMN[:KEY]=VALUE]..."""
    table = ctx.want_table(ctx.arguments[0])
    _want_columns(ctx, table)
    for argument in ctx.arguments[1:]:
        ctx.want_argument(table, argument)


def find(ctx: Context) -> None:
    """Make a table of the rows that satisfy all conditions."""
    table = ctx.find_table(ctx.arguments[0])
    columns = _listed_columns(ctx, table)
    out = ctx.call.table = _make_table(columns)
    for row in ctx.database.all(table.name):
        if all(_is_satisfied(ctx, table, row, argument) for argument in ctx.arguments[1:]):
            _list_row(out, columns, row)


def _is_satisfied(ctx: Context, table: SchemaTable, row: Row, argument: str) -> bool:
    """Does `row` satisfy COLUMN[:KEY] OPERATOR VALUE?"""
    column, key, operator, text = ctx.read_setting(table, argument, OPERATORS)
    have = row.read(column)
    type_ = column.type
    if key is None:
        return _compare(operator, have, spoken(parse_text, type_, text, ctx.symbols))
    if not type_.is_map:
        raise Fatal(f"cannot specify key to check for non-map column {column.name}")
    key_atom = spoken(parse_atom, type_.key, key, ctx.symbols)
    values = tuple(value for name, value in have if name == key_atom)
    # Under a key there is one value at most, but it may be compared with several.
    value_type = ColumnType(type_.value, None, type_.n_min, type_.n_max)
    wanted = spoken(parse_text, value_type, text, ctx.symbols)
    return (bool(values) or operator.startswith("{")) and _compare(operator, values, wanted)


def _compare(operator: str, have: tuple, wanted: tuple) -> bool:
    match operator:
        case "=" | "{=}":
            return have == wanted
        case "!=" | "{!=}":
            return have != wanted
        case "<":
            return sort_key(have) < sort_key(wanted)
        case ">":
            return sort_key(have) > sort_key(wanted)
        case "<=":
            return sort_key(have) <= sort_key(wanted)
        case ">=":
            return sort_key(have) >= sort_key(wanted)
        case "{<}":
            return set(have) < set(wanted)
        case "{>}":
            return set(have) > set(wanted)
        case "{<=}" | "{in}":
            return set(have) <= set(wanted)
        case "{>=}":
            return set(have) >= set(wanted)
        case "{not-in}":
            return not set(have) & set(wanted)
    raise AssertionError(operator)


def _require_mutable(table: SchemaTable, row: Row, column: Column) -> None:
    if not column.is_mutable and not row.is_new:
        raise Fatal(f"cannot modify read-only column {column.name} in table {table.name}")


def set_column(ctx: Context, table: SchemaTable, row: Row, argument: str) -> None:
    """Apply COLUMN[:KEY]=VALUE to `row`."""
    column, key, _, text = ctx.read_setting(table, argument)
    _require_mutable(table, row, column)
    type_ = column.type
    if key is None:
        value = spoken(parse_text, type_, text, ctx.symbols)
        if row.mutations is not None and column.name in row.mutations:
            # Keys that the same command has set stay, as in the reference.
            before = row.values.get(column.name, type_.default)
            value = union(type_, tuple(pair for pair in row.read(column) if pair not in before),
                          value)
        ctx.transaction.write(row, column, value)
        ctx.note_change(table, column.name)
        return
    if not type_.is_map:
        raise Fatal(f"cannot specify key to set for non-map column {column.name}")
    key_atom = spoken(parse_atom, type_.key, key, ctx.symbols)
    value_atom = spoken(parse_atom, type_.value, text, ctx.symbols)
    _set_pair(ctx, row, column, key_atom, value_atom)


def _set_pair(ctx: Context, row: Row, column: Column, key, value) -> None:
    """Set a key of a map column without touching the other keys."""
    pair = (key, value)
    old = row.read(column)
    if pair in old:
        return
    steps = [("insert", ctx.transaction.json_of(column, (pair,)))]
    if any(have == key for have, _ in old):
        key_json = to_json(ColumnType(BaseType(column.type.key.type)), (key,))
        steps.insert(0, ("delete", ["set", [key_json]]))
    new = union(column.type, (pair,), old)
    if ctx.is_last:
        ctx.transaction.mutate(row, column, new, steps)
    else:
        ctx.transaction.verify(row, column)
        ctx.transaction.write(row, column, new)


def set_columns(ctx: Context) -> None:
    """TABLE RECORD COLUMN[:KEY]=VALUE..."""
    table, row = _find_record(ctx)
    if row is None:
        return
    for argument in ctx.arguments[2:]:
        set_column(ctx, table, row, argument)


def _count_noun(type_: ColumnType) -> str:
    return "pairs" if type_.is_map else "values"


def add(ctx: Context) -> None:
    """TABLE RECORD COLUMN [KEY=]VALUE..."""
    table, row = _find_record(ctx)
    column = ctx.find_column(table, ctx.arguments[2])
    if row is None:
        return
    _require_mutable(table, row, column)
    type_ = column.type
    relaxed = type_.relaxed(1, None)
    additions = [spoken(parse_text, relaxed, argument, ctx.symbols)
                 for argument in ctx.arguments[3:]]
    if not ctx.is_last:
        _add_to_whole(ctx, table, row, column, additions)
    elif type_.is_map:
        for key, value in (pair for addition in additions for pair in addition):
            _set_pair(ctx, row, column, key, value)
    else:
        # Whether there is room for the new elements, the server decides.
        new = tuple(sorted({atom for addition in additions for atom in addition}))
        atoms = [ctx.transaction.json_of(column, (atom,)) for atom in new]
        ctx.transaction.mutate(row, column, union(type_, row.read(column), new),
                               [("insert", ["set", atoms])])
    ctx.note_change(table, column.name)


def _add_to_whole(ctx: Context, table: SchemaTable, row: Row, column: Column,
                  additions: list[tuple]) -> None:
    """Add by writing the whole column: later commands may read or change it again."""
    type_ = column.type
    datum = row.read(column)
    for addition in additions:
        datum = union(type_, datum, addition)
    if type_.n_max is not None and len(datum) > type_.n_max:
        raise Fatal(f'"add" operation would put {len(datum)} {_count_noun(type_)} in column '
                    f"{column.name} of table {table.name} but the maximum number is "
                    f"{type_.n_max}")
    ctx.transaction.verify(row, column)
    ctx.transaction.write(row, column, datum)


def remove(ctx: Context) -> None:
    """TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE..."""
    table, row = _find_record(ctx)
    column = ctx.find_column(table, ctx.arguments[2])
    if row is None:
        return
    _require_mutable(table, row, column)
    type_ = column.type
    relaxed = type_.relaxed(1, None)
    datum = row.read(column)
    for argument in ctx.arguments[3:]:
        try:
            unwanted, is_keys = parse_text(relaxed, argument, ctx.symbols), False
        except OvsdbError as error:
            if not type_.is_map:
                raise Fatal(str(error)) from None
            keys = ColumnType(type_.key, None, 1, None)
            unwanted, is_keys = spoken(parse_text, keys, argument, ctx.symbols), True
        datum = subtract(type_, datum, unwanted, is_keys)
    if len(datum) < type_.n_min:
        raise Fatal(f'"remove" operation would put {len(datum)} {_count_noun(type_)} in column '
                    f"{column.name} of table {table.name} but the minimum number is "
                    f"{type_.n_min}")
    ctx.transaction.verify(row, column)
    ctx.transaction.write(row, column, datum)
    ctx.note_change(table, column.name)


def clear(ctx: Context) -> None:
    """TABLE RECORD COLUMN..."""
    table, row = _find_record(ctx)
    if row is None:
        return
    for name in ctx.arguments[2:]:
        column = ctx.find_column(table, name)
        _require_mutable(table, row, column)
        if column.type.n_min > 0:
            raise Fatal(f'"clear" operation cannot be applied to column {column.name} of table '
                        f"{table.name}, which is not allowed to be empty")
        ctx.transaction.write(row, column, ())
        ctx.note_change(table, column.name)


def want_create(ctx: Context) -> None:
    """TABLE COLUMN[:KEY]=VALUE..."""
    table = ctx.find_table(ctx.arguments[0])
    if "--id" not in ctx.options and not table.is_root:
        LOG.log("db_ctl_base", WARN, f'applying "create" command to table {table.name} without '
                                     "--id option will have no effect")
    ctx.want_table(table.name)


def create(ctx: Context) -> None:
    """Insert a row and print its UUID."""
    table = ctx.find_table(ctx.arguments[0])
    name = ctx.options.get("--id")
    if name is not None and is_uuid(name):
        row = ctx.transaction.insert(table, name.lower(), chosen=True)
    elif name is not None:
        symbol, _ = ctx.make_symbol(name)
        if table.is_root:
            # Rows of this table stay even if nothing refers to them.
            symbol.strongly_referenced = True
        row = ctx.transaction.insert(table, symbol.uuid)
    else:
        row = ctx.transaction.insert(table)
    for argument in ctx.arguments[1:]:
        set_column(ctx, table, row, argument)
    ctx.call.output.append(row.uuid)
    ctx.note_change(table)


def finish_create(ctx: Context) -> None:
    """Replace the provisional UUID by the real one."""
    uuid = ctx.call.output[0]
    ctx.call.output[0] = ctx.transaction.real_uuids.get(uuid, uuid) + "\n"


def want_destroy(ctx: Context) -> None:
    """TABLE [RECORD]..."""
    ctx.want_table(ctx.arguments[0])


def destroy(ctx: Context) -> None:
    """Delete the named rows, or all."""
    must_exist = "--if-exists" not in ctx.options
    table = ctx.find_table(ctx.arguments[0])
    names = ctx.arguments[1:]
    if "--all" in ctx.options:
        if names:
            raise Fatal("--all and records argument should not be specified together")
        if not must_exist:
            raise Fatal("--all and --if-exists should not be specified together")
        for row in ctx.database.all(table.name):
            ctx.transaction.delete(row)
    elif not names:
        LOG.log("db_ctl_base", WARN, "either --all or records argument should be specified")
    for name in names:
        row = ctx.find_row(table, name, must_exist)
        if row is not None:
            ctx.transaction.delete(row)
    ctx.note_change(table)


def wait_until(ctx: Context) -> None:
    """TABLE RECORD [COLUMN[:KEY]=VALUE]...: run all commands again later unless it is so."""
    table = ctx.find_table(ctx.arguments[0])
    row = ctx.find_row(table, ctx.arguments[1], must_exist=False)
    if row is None:
        raise TryAgain
    for argument in ctx.arguments[2:]:
        if not _is_satisfied(ctx, table, row, argument):
            raise TryAgain


def nothing(ctx: Context) -> None:
    """Do nothing."""


GENERIC_COMMANDS = (
    Command("comment", 0, UNLIMITED, "*ARG", nothing, nothing),
    Command("get", 2, UNLIMITED, "!TABLE !RECORD *COLUMN?:KEY", want_get, get, None,
            "--if-exists --id="),
    Command("list", 1, UNLIMITED, "!TABLE *RECORD", want_list, list_rows, None,
            "--if-exists --columns="),
    Command("find", 1, UNLIMITED, "!TABLE *COLUMN?:KEY=VALUE", want_find, find, None,
            "--columns="),
    Command("set", 3, UNLIMITED, "!TABLE !RECORD +COLUMN?:KEY=VALUE", want_record, set_columns,
            None, "--if-exists", True),
    Command("add", 4, UNLIMITED, "!TABLE !RECORD !COLUMN +?KEY=VALUE", want_one_column, add,
            None, "--if-exists", True),
    Command("remove", 4, UNLIMITED, "!TABLE !RECORD !COLUMN +KEY|VALUE|KEY=VALUE",
            want_one_column, remove, None, "--if-exists", True),
    Command("clear", 3, UNLIMITED, "!TABLE !RECORD +COLUMN", want_plain_columns, clear, None,
            "--if-exists", True),
    Command("create", 2, UNLIMITED, "!TABLE +COLUMN?:KEY=VALUE", want_create, create,
            finish_create, "--id=", True),
    Command("destroy", 1, UNLIMITED, "!TABLE *RECORD", want_destroy, destroy, None,
            "--if-exists --all", True),
    Command("wait-until", 2, UNLIMITED, "!TABLE !RECORD *COLUMN?:KEY=VALUE", want_record,
            wait_until),
)
