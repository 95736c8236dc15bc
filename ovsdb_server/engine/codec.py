"""Readers and writers of column values, made once per column type for the well-formed common case.

`make_reader(type_, parse)` gives a function of (JSON value, symbols) that returns the datum of a
value that is plainly right, and leaves whatever is not to `parse`, which knows all the rules and
all the complaints.  `make_writer(type_, encode)` gives a function of a datum that returns JSON for
orjson: tuples stand for arrays, so that sets and maps of plain atoms need no copy.

Used by `datum.ColumnType`; pure functions.
"""

# The C modules: what Python wraps around them costs a tool time at each start.
from _collections_abc import Callable
from _operator import itemgetter

from .error import INT64_MAX, INT64_MIN

Reader = Callable[[object, object], tuple]
Writer = Callable[[tuple], object]

_PYTHON_TYPES = {"string": str, "integer": int, "boolean": bool}
_PLAIN = frozenset(_PYTHON_TYPES)

# Maps every digit of a UUID to "0", so that one comparison checks all of it.
_DIGITS = str.maketrans("123456789abcdefABCDEF", "0" * 21)
_UUID_FORM = "00000000-0000-0000-0000-000000000000"


def is_uuid(text: str) -> bool:
    """Is `text` a UUID in the usual 36-character form (either case)?"""
    return len(text) == 36 and text.translate(_DIGITS) == _UUID_FORM


def _bounds(base) -> tuple[int, int] | None:
    """Return the range of a constrained integer type, None when it is no range."""
    if base.enum is not None:
        return None
    return (INT64_MIN if base.minimum is None else base.minimum,
            INT64_MAX if base.maximum is None else base.maximum)


def _make_test(base) -> Callable[[object], bool] | None:
    """Return a function that accepts only right atoms of `base`, None where there is none."""
    kind = base.type
    if base.enum is not None:
        if kind not in _PLAIN:
            return None
        python_type, members = _PYTHON_TYPES[kind], frozenset(base.enum)
        return lambda json: type(json) is python_type and json in members
    if kind == "string":
        if base.is_constrained:
            return None
        return lambda json: type(json) is str and json.isascii() and "\0" not in json
    if kind == "integer":
        low, high = _bounds(base)
        return lambda json: type(json) is int and low <= json <= high
    if kind == "boolean":
        return lambda json: type(json) is bool
    return None


def make_reader(type_, parse: Callable) -> Reader:
    """Return the reader of a column type; `parse(type_, json, symbols)` is the whole truth."""
    if type_.value is not None:
        return _map_reader(type_, parse)
    if type_.key.type == "uuid":
        return _uuid_reader(type_, parse)
    test = _make_test(type_.key)
    if test is None:
        return lambda json, symbols=None: parse(type_, json, symbols)
    if type_.n_max == 1 and type_.n_min == 1:
        if type_.key.type == "string" and not type_.key.is_constrained:
            def read_string(json, symbols=None):
                if type(json) is str and json.isascii() and "\0" not in json:
                    return (json,)
                return parse(type_, json, symbols)
            return read_string

        def read_scalar(json, symbols=None):
            if test(json):
                return (json,)
            return parse(type_, json, symbols)
        return read_scalar
    most = INT64_MAX if type_.n_max is None else type_.n_max
    least = type_.n_min

    def read_set(json, symbols=None):
        if type(json) is not list:
            if test(json):
                return (json,)
        elif len(json) == 2 and json[0] == "set" and type(json[1]) is list:
            atoms = json[1]
            n = len(atoms)
            if least <= n <= most and all(map(test, atoms)):
                if n < 2:
                    return tuple(atoms)
                unique = set(atoms)
                if len(unique) == n:
                    return tuple(sorted(unique))
        return parse(type_, json, symbols)
    return read_set


def _uuid_reader(type_, parse: Callable) -> Reader:
    if type_.key.enum is not None:
        return lambda json, symbols=None: parse(type_, json, symbols)
    if type_.n_min == 1 and type_.n_max == 1:
        def read_uuid(json, symbols=None):
            if type(json) is list and len(json) == 2:
                word, text = json
                if word == "uuid" and type(text) is str and is_uuid(text):
                    return (text.lower(),)
            return parse(type_, json, symbols)
        return read_uuid
    most = INT64_MAX if type_.n_max is None else type_.n_max
    least = type_.n_min

    def read_uuids(json, symbols=None):
        if type(json) is list and len(json) == 2:
            word, what = json
            if word == "uuid":
                if type(what) is str and is_uuid(what):
                    return (what.lower(),)
            elif word == "set" and type(what) is list and least <= len(what) <= most:
                atoms = set()
                for element in what:
                    if type(element) is not list or len(element) != 2:
                        break
                    word, text = element
                    if word != "uuid" or type(text) is not str or not is_uuid(text):
                        break
                    atoms.add(text.lower())
                else:
                    if len(atoms) == len(what):
                        return tuple(sorted(atoms))
        return parse(type_, json, symbols)
    return read_uuids


def _map_reader(type_, parse: Callable) -> Reader:
    test_key, test_value = _make_test(type_.key), _make_test(type_.value)
    if test_key is None or test_value is None:
        return lambda json, symbols=None: parse(type_, json, symbols)
    most = INT64_MAX if type_.n_max is None else type_.n_max
    least = type_.n_min

    def read_map(json, symbols=None):
        if (type(json) is list and len(json) == 2 and json[0] == "map"
                and type(json[1]) is list):
            pairs = json[1]
            n = len(pairs)
            if least <= n <= most:
                result = {}
                for pair in pairs:
                    if type(pair) is not list or len(pair) != 2:
                        break
                    key, value = pair
                    if not (test_key(key) and test_value(value)):
                        break
                    result[key] = value
                else:
                    if len(result) == n:
                        if n < 2:
                            return tuple(result.items())
                        return tuple(sorted(result.items()))
        return parse(type_, json, symbols)
    return read_map


def make_writer(type_, encode: Callable) -> Writer:
    """Return the writer of a column type; `encode(type_, datum)` writes all types."""
    kind = type_.key.type
    is_scalar = type_.n_min == 1 and type_.n_max == 1
    if type_.value is not None:
        if kind in _PLAIN and type_.value.type in _PLAIN:
            return lambda datum: ("map", datum)
    elif kind in _PLAIN:
        if is_scalar:
            return itemgetter(0)
        return lambda datum: datum[0] if len(datum) == 1 else ("set", datum)
    elif kind == "uuid":
        if is_scalar:
            return lambda datum: ("uuid", datum[0])
        return lambda datum: (("uuid", datum[0]) if len(datum) == 1
                              else ("set", [("uuid", atom) for atom in datum]))
    return lambda datum: encode(type_, datum)
