"""Conditions: the "where" of operations (all clauses hold) and of monitors (any clause holds).

A clause is compiled once into a function of the row; a row is a tuple of datums, see `schema`.
Source: RFC 7047 section 5.1, `<condition>`, with booleans as clauses (ovsdb-server(7)).
"""

from collections.abc import Callable

from .atom import Symbols
from .error import OvsdbError, syntax_error
from .schema import UUID_INDEX, Column, Datum, Table

Test = Callable[[tuple], bool]

_COMPARISONS = ("<", "<=", ">", ">=")
FUNCTIONS = frozenset(("==", "!=", "includes", "excludes", *_COMPARISONS))


class Clause:
    """One clause: `column` and `function` applied to `argument`; `test(row)` answers it.

    For a bare true or false, `column` is None.
    """

    __slots__ = ("column", "function", "argument", "test")

    def __init__(self, column: Column | None, function: str, argument: Datum, test: Test):
        self.column = column
        self.function = function
        self.argument = argument
        self.test = test


class Condition:
    """A list of clauses; `matches` joins them with and, `matches_any` with or."""

    __slots__ = ("clauses", "matches", "uuid")

    def __init__(self, clauses: list[Clause]):
        self.clauses = clauses
        self.matches = _conjunction([clause.test for clause in clauses])
        self.uuid: str | None = None
        for clause in clauses:
            if (clause.function == "==" and clause.column is not None
                    and clause.column.index == UUID_INDEX):
                self.uuid = clause.argument[0]
                break

    def matches_any(self, row: tuple) -> bool:
        """Does some clause hold for `row`?  No clauses at all hold for every row."""
        return not self.clauses or any(clause.test(row) for clause in self.clauses)

    def equalities(self) -> dict[int, Datum]:
        """Return {column index: value} of the == clauses, for index look-ups."""
        return {clause.column.index: clause.argument for clause in self.clauses
                if clause.function == "==" and clause.column is not None}


def _always(_row: tuple) -> bool:
    return True


def _never(_row: tuple) -> bool:
    return False


def _conjunction(tests: list[Test]) -> Test:
    if not tests:
        return _always
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def parse_condition(table: Table, json: list, symbols: Symbols | None) -> Condition:
    """Parse a "where" array.  Raises OvsdbError."""
    return Condition([parse_clause(table, clause, symbols) for clause in json])


def parse_clause(table: Table, json, symbols: Symbols | None) -> Clause:
    """Parse one clause.  Raises OvsdbError."""
    if type(json) is bool:
        return Clause(None, "true" if json else "false", (), _always if json else _never)
    if (type(json) is not list or len(json) != 3 or type(json[0]) is not str
            or type(json[1]) is not str):
        raise syntax_error(json, "Parse error in condition.")
    name, function, argument_json = json
    column = table.columns.get(name)
    if column is None:
        raise syntax_error(json, f"No column {name} in table {table.name}.", "unknown column")
    if function not in FUNCTIONS:
        raise OvsdbError("unknown function", f"No function named {function}.")
    type_ = column.type
    if function in _COMPARISONS:
        if (not (type_.is_scalar or type_.is_optional and not type_.is_map)
                or type_.key.type not in ("integer", "real")):
            raise syntax_error(
                json, f'Type mismatch: "{function}" operator may not be applied to column '
                      f"{name} of type {type_.english()}.")
        type_ = type_.relaxed(1, 1)
    elif not type_.is_scalar:
        if function == "includes":
            type_ = type_.relaxed(0, type_.n_max)
        elif function == "excludes":
            type_ = type_.relaxed(0, None)
    argument = type_.read(argument_json, symbols)
    return Clause(column, function, argument, _compile(column.index, function, argument))


def _compile(index: int, function: str, argument: Datum) -> Test:
    match function:
        case "==":
            return lambda row: row[index] == argument
        case "!=":
            return lambda row: row[index] != argument
        case "includes":
            if len(argument) == 1:
                only = argument[0]
                return lambda row: only in row[index]
            wanted = frozenset(argument)
            return lambda row: wanted.issubset(row[index])
        case "excludes":
            unwanted = frozenset(argument)
            return lambda row: unwanted.isdisjoint(row[index])
    bound = argument[0]
    match function:
        case "<":
            return lambda row: bool(row[index]) and row[index][0] < bound
        case "<=":
            return lambda row: bool(row[index]) and row[index][0] <= bound
        case ">":
            return lambda row: bool(row[index]) and row[index][0] > bound
    return lambda row: bool(row[index]) and row[index][0] >= bound
