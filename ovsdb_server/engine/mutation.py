"""Mutations: arithmetic, insertion and deletion on the value of one column.

Source: RFC 7047 section 5.1, `<mutation>`.
"""

from math import isfinite

from . import datum
from .atom import BaseType, Symbols
from .error import INT64_MAX, INT64_MIN, OvsdbError, constraint_violation, syntax_error
from .schema import Column, ColumnType, Datum, Table

ARITHMETIC = ("+=", "-=", "*=", "/=", "%=")
MUTATORS = frozenset((*ARITHMETIC, "insert", "delete"))


class Mutation:
    """One clause: `mutator` with `argument` applied to `column`.

    `argument_is_keys`: the argument of a "delete" on a map is a set of keys, not pairs.
    """

    __slots__ = ("column", "mutator", "argument", "argument_is_keys")

    def __init__(self, column: Column, mutator: str, argument: Datum,
                 argument_is_keys: bool = False):
        self.column = column
        self.mutator = mutator
        self.argument = argument
        self.argument_is_keys = argument_is_keys

    def apply(self, value: Datum) -> Datum:
        """Return the mutated value.  Raises OvsdbError."""
        type_ = self.column.type
        if self.mutator == "insert":
            result = datum.union(type_, value, self.argument)
        elif self.mutator == "delete":
            result = datum.subtract(type_, value, self.argument, self.argument_is_keys)
        else:
            return self._calculate(type_, value)
        if not type_.accepts_count(len(result)):
            raise constraint_violation(
                f"Attempted to store {len(result)} elements in {type_.english()}.")
        return result

    def _calculate(self, type_: ColumnType, value: Datum) -> Datum:
        calculate = _real if type_.key.type == "real" else _integer
        operand = self.argument[0]
        results = []
        for atom in value:
            result = calculate(self.mutator, atom, operand)
            if type_.key.is_constrained:
                type_.key.check(result)
            results.append(result)
        results.sort()
        if any(a == b for a, b in zip(results, results[1:])):
            raise constraint_violation(
                f'Result of "{self.mutator}" operation contains duplicates.')
        return tuple(results)


def _out_of_range(mutator: str) -> OvsdbError:
    return OvsdbError("range error", f'Result of "{mutator}" operation is out of range.')


def _integer(mutator: str, a: int, b: int) -> int:
    match mutator:
        case "+=":
            result = a + b
        case "-=":
            result = a - b
        case "*=":
            result = a * b
        case _:
            if b == 0:
                raise OvsdbError("domain error", "Division by zero.")
            if a == INT64_MIN and b == -1:
                raise _out_of_range(mutator)
            # C truncates toward zero and gives the remainder the sign of the dividend.
            quotient = abs(a) // abs(b)
            quotient = quotient if (a < 0) == (b < 0) else -quotient
            result = quotient if mutator == "/=" else a - quotient * b
    if not INT64_MIN <= result <= INT64_MAX:
        raise _out_of_range(mutator)
    return result


def _real(mutator: str, a: float, b: float) -> float:
    match mutator:
        case "+=":
            result = a + b
        case "-=":
            result = a - b
        case "*=":
            result = a * b
        case _:
            if b == 0:
                raise OvsdbError("domain error", "Division by zero.")
            try:
                result = a / b
            except OverflowError:
                raise _out_of_range(mutator) from None
    if not isfinite(result):
        raise _out_of_range(mutator)
    return result


def parse_mutations(table: Table, json: list, symbols: Symbols | None) -> list[Mutation]:
    """Parse the "mutations" of an operation.  Raises OvsdbError."""
    return [_parse_mutation(table, mutation, symbols) for mutation in json]


_OPERANDS = {kind: ColumnType(BaseType(kind)) for kind in ("integer", "real")}


def _parse_mutation(table: Table, json, symbols: Symbols | None) -> Mutation:
    if (type(json) is not list or len(json) != 3 or type(json[0]) is not str
            or type(json[1]) is not str):
        raise syntax_error(json, "Parse error in mutation.")
    name, mutator, argument_json = json
    column = table.columns.get(name)
    if column is None:
        raise syntax_error(json, f"No column {name} in table {table.name}.", "unknown column")
    if not column.is_mutable:
        raise syntax_error(json, f"Cannot mutate immutable column {name} in table {table.name}.",
                           "constraint violation")
    if mutator not in MUTATORS:
        raise OvsdbError("unknown mutator", f"No mutator named {mutator}.")
    type_ = column.type
    if mutator in ARITHMETIC:
        if (type_.is_map or type_.key.type not in ("integer", "real")
                or mutator == "%=" and type_.key.type == "real"):
            raise _mismatch(json, column, mutator)
        scalar = _OPERANDS[type_.key.type]
        return Mutation(column, mutator, scalar.read(argument_json, symbols))
    if type_.is_scalar:
        raise _mismatch(json, column, mutator)
    if mutator == "insert":
        relaxed = type_.relaxed(0, type_.n_max)
        return Mutation(column, mutator, relaxed.read(argument_json, symbols))
    relaxed = type_.relaxed(0, None)
    try:
        return Mutation(column, mutator, relaxed.read(argument_json, symbols))
    except OvsdbError:
        if not type_.is_map:
            raise
    keys = ColumnType(type_.key, None, 0, None)
    return Mutation(column, mutator, datum.from_json(keys, argument_json, symbols), True)


def _mismatch(json, column: Column, mutator: str) -> OvsdbError:
    return syntax_error(json, f'Type mismatch: "{mutator}" operator may not be applied to column '
                              f"{column.name} of type {column.type.english()}.")
