"""Datums: the value of one column in one row; `ColumnType`; JSON, text and differences.

A datum is a sorted tuple without duplicates: of atoms for a scalar or a set, of (key, value)
pairs for a map.  So datums are immutable, hash, and compare by value; the column's `ColumnType`
says how to read one.  A scalar is a tuple of one.  Functions here take the type first.

Source: RFC 7047 sections 3.2, 4.1.2 (update2 differences: ovsdb-server(7)) and 5.1.
Pure values: any program may import this module.
"""

from _bisect import bisect_left         # The C module: tools start sooner without its wrapper.

from .atom import (ATOMIC_TYPES, DEFAULT_ATOMS, INTEGER_TYPE, MAX_LENGTH, REAL_TYPE, STRING_TYPE,
                   UUID_TYPE, BaseType, SpokenError, Symbols, format_atom, format_atom_bare,
                   from_json_atom, parse_atom, to_json_atom)
from .codec import make_reader, make_writer
from .error import MAX_UINT32, OvsdbError, json_text, syntax_error
from .parser import ANY, IDENTIFIER, INTEGER, NUMBER, OBJECT, STRING, Parser, as_integer

Datum = tuple


class ColumnType:
    """The `<type>` of a column: `key`, `value` (None for sets and scalars), `n_min` (0 or 1) and
    `n_max` (None when unlimited).  Immutable by convention.

    `read(json, symbols)` is `from_json` and `write(datum)` is `to_json` of this type, quicker;
    what `write` gives may hold tuples for arrays.
    """

    __slots__ = ("key", "value", "n_min", "n_max", "default", "read", "write", "_relaxed")

    def __init__(self, key: BaseType, value: BaseType | None = None, n_min: int = 1,
                 n_max: int | None = 1):
        self.key = key
        self.value = value
        self.n_min = n_min
        self.n_max = n_max
        self.default = self._default()
        self.read = make_reader(self, _parse)
        self.write = make_writer(self, to_json)
        self._relaxed: dict[tuple[int, int | None], ColumnType] = {}

    def _default(self) -> Datum:
        if not self.n_min:
            return ()
        key = DEFAULT_ATOMS[self.key.type]
        return (key,) if self.value is None else ((key, DEFAULT_ATOMS[self.value.type]),)

    @classmethod
    def from_json(cls, json) -> "ColumnType":
        """Parse a `<type>`.  Raises OvsdbError."""
        if type(json) is str:
            return cls(_read_base(json))
        parser = Parser(json, "ovsdb type")
        key_json = parser.member("key", STRING | OBJECT)
        value_json = parser.member("value", STRING | OBJECT, optional=True)
        min_json = parser.member("min", INTEGER, optional=True)
        max_json = parser.member("max", INTEGER | STRING, optional=True)
        parser.finish()
        key = _read_base(key_json)
        value = None if value_json is None else _read_base(value_json)
        n_min = 1 if min_json is None else as_integer(min_json)
        if not 0 <= n_min < MAX_UINT32:
            raise syntax_error(min_json, "bad min or max value")
        if max_json is None:
            n_max = 1
        elif max_json == "unlimited":
            n_max = None
        else:
            n_max = as_integer(max_json)
            if n_max is None or not 0 <= n_max < MAX_UINT32:
                raise syntax_error(max_json, "bad min or max value")
        if n_min > 1 or n_max is not None and n_max < 1:
            raise syntax_error(json, "ovsdb type fails constraint checks")
        return cls(key, value, n_min, n_max)

    def to_json(self):
        """Return the normalised `<type>`."""
        if self.is_scalar and not self.key.is_constrained and self.key.ref_table is None:
            return _write_base(self.key)
        json = {"key": _write_base(self.key)}
        if self.value is not None:
            json["value"] = _write_base(self.value)
        if self.n_min != 1:
            json["min"] = self.n_min
        if self.n_max is None:
            json["max"] = "unlimited"
        elif self.n_max != 1:
            json["max"] = self.n_max
        return json

    @property
    def is_scalar(self) -> bool:
        """Exactly one atom?"""
        return self.value is None and self.n_min == 1 and self.n_max == 1

    @property
    def is_map(self) -> bool:
        """Key-value pairs?"""
        return self.value is not None

    @property
    def is_set(self) -> bool:
        """Atoms, other than exactly one?"""
        return self.value is None and (self.n_min != 1 or self.n_max != 1)

    @property
    def is_optional(self) -> bool:
        """Zero or one element?"""
        return self.n_min == 0 and self.n_max == 1

    @property
    def is_composite(self) -> bool:
        """May there be more than one element?"""
        return self.n_max is None or self.n_max > 1

    def accepts_count(self, n: int) -> bool:
        """May a value of this type have `n` elements?"""
        return self.n_min <= n and (self.n_max is None or n <= self.n_max)

    def relaxed(self, n_min: int, n_max: int | None) -> "ColumnType":
        """Return this type with other bounds on the number of elements."""
        relaxed = self._relaxed.get((n_min, n_max))
        if relaxed is None:
            relaxed = ColumnType(self.key, self.value, n_min, n_max)
            self._relaxed[n_min, n_max] = relaxed
        return relaxed

    def english(self) -> str:
        """Return this type as error texts name it, e.g. "set of up to 3 integers"."""
        key = self.key.type
        value = None if self.value is None else self.value.type
        if value is None and self.n_min == 1 and self.n_max == 1:
            return key
        plural = f"{key}s" if value is None else f"({key}, {value}) pairs"
        noun = "set" if value is None else "map"
        if self.n_max is None:
            amount = f"{self.n_min} or more " if self.n_min else ""
        elif self.n_min:
            amount = f"{self.n_min} to {self.n_max} "
        else:
            amount = f"up to {self.n_max} "
        return f"{noun} of {amount}{plural}"


def _read_base(json) -> BaseType:
    """Parse a `<base-type>`.  Raises OvsdbError."""
    if type(json) is str:
        return BaseType(_atomic_type(json))
    parser = Parser(json, "ovsdb type")
    type_json = parser.member("type", STRING)
    if parser.error is not None:
        raise parser.error
    atomic = _atomic_type(type_json)
    enum_json = parser.member("enum", ANY, optional=True)
    enum = None
    if enum_json is not None:
        enum = from_json(_enum_type(atomic), enum_json, None)
    minimum = maximum = ref_table = None
    min_length, max_length, ref_type = 0, MAX_LENGTH, "strong"
    if enum is None and atomic == INTEGER_TYPE:
        minimum = as_integer(parser.member("minInteger", INTEGER, optional=True))
        maximum = as_integer(parser.member("maxInteger", INTEGER, optional=True))
        if minimum is not None and maximum is not None and minimum > maximum:
            raise syntax_error(json, "minInteger exceeds maxInteger")
    elif enum is None and atomic == REAL_TYPE:
        minimum = parser.member("minReal", NUMBER, optional=True)
        maximum = parser.member("maxReal", NUMBER, optional=True)
        real = BaseType(REAL_TYPE)
        minimum = None if minimum is None else from_json_atom(real, minimum, None)
        maximum = None if maximum is None else from_json_atom(real, maximum, None)
        if minimum is not None and maximum is not None and minimum > maximum:
            raise syntax_error(json, "minReal exceeds maxReal")
    elif enum is None and atomic == STRING_TYPE:
        min_length = _length(parser, "minLength", 0)
        max_length = _length(parser, "maxLength", MAX_LENGTH)
        if min_length > max_length:
            raise syntax_error(json, "minLength exceeds maxLength")
    elif enum is None and atomic == UUID_TYPE:
        ref_table = parser.member("refTable", IDENTIFIER, optional=True)
        if ref_table is not None:
            word = parser.member("refType", IDENTIFIER, optional=True)
            if word is not None:
                if word not in ("strong", "weak"):
                    raise syntax_error(
                        json, 'refType must be "strong" or "weak" (not "%s")' % word)
                ref_type = word
    parser.finish()
    return BaseType(atomic, enum, minimum, maximum, min_length, max_length, ref_table, ref_type)


def _enum_type(atomic: str) -> ColumnType:
    """Return the type of the set of values that a base type may be limited to."""
    return ColumnType(BaseType(atomic), None, 1, None)


def _atomic_type(json) -> str:
    if type(json) is not str:
        raise syntax_error(json, "atomic-type expected")
    if json not in ATOMIC_TYPES:
        raise syntax_error(json, f'"{json}" is not an atomic-type')
    return json


def _length(parser: Parser, name: str, default: int) -> int:
    json = parser.member(name, INTEGER, optional=True)
    if json is None:
        return default
    length = as_integer(json)
    if not 0 <= length <= MAX_LENGTH:
        raise OvsdbError("syntax error", f"{name} out of valid range 0 to {MAX_LENGTH}",
                         json_text(json))
    return length


def _write_base(base: BaseType):
    """Return the normalised `<base-type>`: the bare type when nothing constrains it."""
    if not base.is_constrained and base.ref_table is None:
        return base.type
    json = {"type": base.type}
    if base.enum is not None:
        json["enum"] = to_json(_enum_type(base.type), base.enum)
    if base.type == INTEGER_TYPE:
        if base.minimum is not None:
            json["minInteger"] = base.minimum
        if base.maximum is not None:
            json["maxInteger"] = base.maximum
    elif base.type == REAL_TYPE:
        if base.minimum is not None:
            json["minReal"] = to_json_atom(REAL_TYPE, base.minimum)
        if base.maximum is not None:
            json["maxReal"] = to_json_atom(REAL_TYPE, base.maximum)
    elif base.type == STRING_TYPE:
        if base.min_length:
            json["minLength"] = base.min_length
        if base.max_length < MAX_LENGTH:
            json["maxLength"] = base.max_length
    elif base.ref_table is not None:
        json["refTable"] = base.ref_table
        if base.ref_type == "weak":
            json["refType"] = "weak"
    return json


def from_json(type_: ColumnType, json, symbols: Symbols | None = None) -> Datum:
    """Parse a `<value>`, checking counts and constraints.

    `symbols` resolves named UUIDs.  Returns a datum.  Raises OvsdbError.
    """
    return type_.read(json, symbols)


def _parse(type_: ColumnType, json, symbols: Symbols | None) -> Datum:
    """Parse a `<value>` by all the rules; the reader of a type asks when it is in doubt."""
    if type_.value is not None:
        return _map_from_json(type_, json, symbols)
    if type(json) is list and len(json) == 2 and json[0] == "set" and type(json[1]) is list:
        elements = json[1]
        _check_count(type_, json, len(elements))
        key = type_.key
        atoms = [from_json_atom(key, element, symbols) for element in elements]
        if len(atoms) > 1:
            atoms.sort()
            for i in range(1, len(atoms)):
                if atoms[i] == atoms[i - 1]:
                    raise OvsdbError("ovsdb error", "set contains duplicate")
        return tuple(atoms)
    if type(json) is list and json and json[0] == "set":
        raise syntax_error(json, 'expected ["set", <array>]')
    return (from_json_atom(type_.key, json, symbols),)


def _check_count(type_: ColumnType, json, n: int) -> None:
    if type_.accepts_count(n):
        return
    noun = "set" if type_.value is None else "map"
    if type_.n_min == type_.n_max:
        raise syntax_error(json, f"{noun} must have exactly one member but {n} are present")
    n_max = MAX_UINT32 if type_.n_max is None else type_.n_max
    raise syntax_error(
        json, f"{noun} must have {type_.n_min} to {n_max} members but {n} are present")


def _map_from_json(type_: ColumnType, json, symbols: Symbols | None) -> Datum:
    if not (type(json) is list and len(json) == 2 and json[0] == "map"
            and type(json[1]) is list):
        raise syntax_error(json, 'expected ["map", <array>]')
    pairs = json[1]
    _check_count(type_, json, len(pairs))
    key_type, value_type = type_.key, type_.value
    result = {}
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2:
            raise syntax_error(pair, "expected 2-element array")
        key = from_json_atom(key_type, pair[0], symbols)
        value = from_json_atom(value_type, pair[1], symbols)
        if key in result:
            # The reference looks for duplicates after it has parsed every pair.
            result["duplicate", key] = value
        else:
            result[key] = value
    if any(type(key) is tuple for key in result):
        raise OvsdbError("ovsdb error", "map contains duplicate key")
    return tuple(sorted(result.items()))


def to_json(type_: ColumnType, datum: Datum):
    """Return the `<value>` of a datum: sorted, a one-element set as the bare atom."""
    kind = type_.key.type
    if type_.value is None:
        if len(datum) == 1:
            return to_json_atom(kind, datum[0])
        if kind == UUID_TYPE or kind == REAL_TYPE:
            return ["set", [to_json_atom(kind, atom) for atom in datum]]
        return ["set", list(datum)]
    value_kind = type_.value.type
    if kind in _PLAIN and value_kind in _PLAIN:
        return ["map", [list(pair) for pair in datum]]
    return ["map", [[to_json_atom(kind, key), to_json_atom(value_kind, value)]
                    for key, value in datum]]


_PLAIN = frozenset(("string", "integer", "boolean"))


def is_default(type_: ColumnType, datum: Datum) -> bool:
    """Is `datum` what a new row has in a column of this type?"""
    return datum == type_.default


def check(type_: ColumnType, datum: Datum) -> None:
    """Raise a constraint violation unless every atom obeys the constraints of its type."""
    if type_.value is None:
        if type_.key.is_constrained:
            for atom in datum:
                type_.key.check(atom)
        return
    for key, value in datum:
        if type_.key.is_constrained:
            type_.key.check(key)
        if type_.value.is_constrained:
            type_.value.check(value)


def union(type_: ColumnType, datum: Datum, other: Datum) -> Datum:
    """Return `datum` with the elements of `other` added; existing map keys keep their value."""
    if not other:
        return datum
    if type_.value is not None:
        merged = dict(other)
        merged.update(datum)
        return tuple(sorted(merged.items()))
    if len(other) > _FEW:
        return tuple(sorted(set(datum).union(other)))
    for atom in other:
        place = bisect_left(datum, atom)
        if place == len(datum) or datum[place] != atom:
            datum = datum[:place] + (atom,) + datum[place:]
    return datum


def subtract(type_: ColumnType, datum: Datum, other: Datum, other_is_keys: bool) -> Datum:
    """Return `datum` without the elements of `other`.

    For a map, `other` holds pairs of which key and value must match, or bare keys when
    `other_is_keys`.
    """
    if type_.value is not None and other_is_keys:
        unwanted = set(other)
        return tuple(pair for pair in datum if pair[0] not in unwanted)
    if len(other) > _FEW:
        unwanted = set(other)
        return tuple(element for element in datum if element not in unwanted)
    for element in other:
        place = bisect_left(datum, element)
        if place < len(datum) and datum[place] == element:
            datum = datum[:place] + datum[place + 1:]
    return datum


# Up to so many elements are found one by one in a sorted tuple, which beats hashing all of it.
_FEW = 8


def _trim(old: Datum, new: Datum) -> tuple[Datum, Datum]:
    """Return `old` and `new` without the elements with which both begin and end.

    Comparing tuples that share their elements is far cheaper than hashing the elements, and a
    large set mostly changes in one place.
    """
    global _last_trimmed
    if len(old) < _FEW or len(new) < _FEW:
        return old, new
    last = _last_trimmed
    if old is last[0] and new is last[1]:
        return last[2]
    trimmed = _trim_large(old, new)
    if len(new) > _MANY:
        _last_trimmed = old, new, trimmed
    return trimmed


# A commit asks three times what has changed: for references, the journal and monitors.
_last_trimmed: tuple = (None, None, None)
_MANY = 64


def _trim_large(old: Datum, new: Datum) -> tuple[Datum, Datum]:
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    start = low
    low, high = 0, min(len(old), len(new)) - start
    n_old, n_new = len(old), len(new)
    while low < high:
        middle = (low + high + 1) // 2
        if old[n_old - middle:n_old - low] == new[n_new - middle:n_new - low]:
            low = middle
        else:
            high = middle - 1
    return old[start:n_old - low], new[start:n_new - low]


def changes(old: Datum, new: Datum) -> tuple[list, list]:
    """Return the elements (of a map: pairs) that only `old` has, and those only `new` has."""
    old, new = _trim(old, new)
    old_set, new_set = set(old), set(new)
    return [e for e in old if e not in new_set], [e for e in new if e not in old_set]


def diff(type_: ColumnType, old: Datum, new: Datum) -> Datum:
    """Return what turns `old` into `new` in the sense of update2 and of the journal.

    For columns of at most one element the new value itself; for sets the symmetric difference;
    for maps the pairs whose key is in only one of both, and changed keys with the new value.
    """
    if not type_.is_composite:
        return new
    removed, added = changes(old, new)
    if type_.value is not None:
        kept_keys = {pair[0] for pair in added}
        removed = [pair for pair in removed if pair[0] not in kept_keys]
    return tuple(sorted(removed + added))


_ABSENT = object()


def apply_diff(type_: ColumnType, old: Datum, difference: Datum) -> Datum:
    """Return the value that `diff` was taken to; inverse of `diff`.

    Raises OvsdbError when the result has an impossible number of elements.
    """
    if not type_.is_composite:
        return difference
    if type_.value is None:
        new = _apply_set_diff(old, difference)
    else:
        pairs = dict(old)
        for key, value in difference:
            if pairs.get(key, _ABSENT) == value:
                del pairs[key]
            else:
                pairs[key] = value
        new = tuple(sorted(pairs.items()))
    if not type_.accepts_count(len(new)):
        raise OvsdbError("ovsdb error", "after applying diff, the value has an invalid "
                                        "number of elements")
    return new


def _apply_set_diff(old: Datum, difference: Datum) -> Datum:
    if len(difference) > _FEW:
        return tuple(sorted(set(old).symmetric_difference(difference)))
    for atom in difference:
        place = bisect_left(old, atom)
        if place < len(old) and old[place] == atom:
            old = old[:place] + old[place + 1:]
        else:
            old = old[:place] + (atom,) + old[place:]
    return old


def format_text(type_: ColumnType, datum: Datum) -> str:
    """Return a datum as `ovs-vsctl get` prints it."""
    kind = type_.key.type
    if type_.value is None:
        text = ", ".join([format_atom(kind, atom) for atom in datum])
        return f"[{text}]" if type_.is_composite or not datum else text
    value_kind = type_.value.type
    text = ", ".join([f"{format_atom(kind, key)}={format_atom(value_kind, value)}"
                      for key, value in datum])
    return f"{{{text}}}" if type_.is_composite or not datum else text


def format_bare(type_: ColumnType, datum: Datum) -> str:
    """Return a datum for `--bare` output: elements separated by spaces, nothing quoted."""
    kind = type_.key.type
    if type_.value is None:
        return " ".join([format_atom_bare(kind, atom) for atom in datum])
    value_kind = type_.value.type
    return " ".join([f"{format_atom_bare(kind, key)}={format_atom_bare(value_kind, value)}"
                     for key, value in datum])


_SPACES = " \t\n\v\f\r"
_DELIMITERS = ":=, []{}!<>"
_SPECIAL = frozenset(_DELIMITERS + '"\\')


def sort_key(datum: Datum) -> tuple:
    """What orders datums of one type: their size, their keys, their values."""
    if datum and type(datum[0]) is tuple:
        return len(datum), [key for key, _ in datum], [value for _, value in datum]
    return len(datum), list(datum)


def read_token(text: str, start: int) -> tuple[str, int]:
    """Return the token at `start` and its end.

    A token ends at a delimiter outside of double quotes; the quotes stay in it.  A backslash
    takes the next character as it is, and stays too inside quotes.
    Raises OvsdbError when a quoted string or a backslash has no end.
    """
    index = start
    while index < len(text) and text[index] not in _SPECIAL:
        index += 1
    if index == len(text) or text[index] in _DELIMITERS:
        return text[start:index], index
    out = [text[start:index]]
    is_quoted = False
    while index < len(text):
        char = text[index]
        if char == "\\":
            index += 1
            if index == len(text):
                raise SpokenError(f"{text[start:]}: backslash at end of argument")
            out.append(char + text[index] if is_quoted else text[index])
        elif char == '"':
            is_quoted = not is_quoted
            out.append(char)
        elif not is_quoted and char in _DELIMITERS:
            break
        else:
            out.append(char)
        index += 1
    if is_quoted:
        raise SpokenError(f"{text[start:]}: quoted string extends past end of argument")
    return "".join(out), index


def parse_text(type_: ColumnType, text: str, symbols: Symbols | None = None) -> Datum:
    """Parse a datum as `ovs-vsctl set` reads it: [1, 2], {a=b}, brackets optional.

    "@name" in UUID columns goes to `symbols`.  Raises OvsdbError (its str() is the message).
    """
    elements, counted = [], 0
    index = _skip_spaces(text, 0)
    if index == len(text):
        empty = '"[]" to specify the empty set' if type_.value is None else (
            '"{}" to specify the empty map')
        raise SpokenError(f"use {empty}")
    closing = ""
    opening, wanted = ("{", "}") if type_.value is not None else ("[", "]")
    if text[index:index + 1] == opening:
        closing = wanted
        index = _skip_spaces(text, index + 1)
    while index < len(text) and text[index] != closing:
        if text[index] in _DELIMITERS:
            raise SpokenError(f'{text}: unexpected "{text[index]}" parsing {type_.english()}')
        start = index
        key, index = _parse_element(type_.key, text, index, symbols, type_.value is None)
        if type_.value is None:
            elements.extend(key if isinstance(key, range) else (key,))
        else:
            index = _skip_spaces(text, index)
            if text[index:index + 1] != "=":
                # At the end the reference prints a NUL, where a C string ends.
                at = text[index:index + 1] or "\0"
                raise SpokenError(f'{text[start:]}: syntax error at "{at}" expecting "="')
            index = _skip_spaces(text, index + 1)
            value, index = _parse_element(type_.value, text, index, symbols, False)
            elements.append((key, value))
        index = _skip_spaces(text, index)
        if text[index:index + 1] == ",":
            index = _skip_spaces(text, index + 1)
    if closing:
        if index >= len(text):
            raise SpokenError(f'{text}: missing "{closing}" at end of data')
        index = _skip_spaces(text, index + 1)
        if index < len(text):
            raise SpokenError(f'{text}: trailing garbage after "{closing}"')
    counted = len(elements)
    noun = "value(s)" if type_.value is None else "pair(s)"
    if counted < type_.n_min:
        raise SpokenError(f"{text}: {counted} {noun} specified but the minimum number is "
                          f"{type_.n_min}")
    if type_.n_max is not None and counted > type_.n_max:
        raise SpokenError(f"{text}: {counted} {noun} specified but the maximum number is "
                          f"{type_.n_max}")
    if type_.value is None:
        datum = tuple(sorted(set(elements)))
        if len(datum) < counted:
            raise SpokenError(f"{text}: set contains duplicate value")
        return datum
    pairs = dict(elements)
    if len(pairs) < counted:
        raise SpokenError(f"{text}: map contains duplicate key")
    return tuple(sorted(pairs.items()))


def _skip_spaces(text: str, index: int) -> int:
    while index < len(text) and text[index] in _SPACES:
        index += 1
    return index


def _parse_element(base: BaseType, text: str, index: int, symbols: Symbols | None,
                   ranges: bool):
    token, end = read_token(text, index)
    return parse_atom(base, token, symbols, ranges), end
