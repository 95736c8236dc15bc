"""Datums: JSON and text forms, differences; and the texts people type."""

import pytest
from hypothesis import given, strategies as st

from ovsdb_server.engine import datum
from ovsdb_server.engine.atom import BaseType, Symbols, from_json_atom, is_uuid, random_uuid
from ovsdb_server.engine.datum import ColumnType
from ovsdb_server.engine.error import OvsdbError, json_text

_INTEGERS = ColumnType(BaseType("integer"), None, 0, None)
_STRINGS = ColumnType(BaseType("string"), None, 0, None)
_MAP = ColumnType(BaseType("string"), BaseType("integer"), 0, None)
_REAL = ColumnType(BaseType("real"))
_VLANS = ColumnType(BaseType("integer", minimum=0, maximum=4095), None, 0, 4096)

_int64 = st.integers(-2**63, 2**63 - 1)
_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def _set(values):
    return tuple(sorted(set(values)))


def _map(pairs):
    return tuple(sorted(pairs.items()))


SETS = st.lists(_int64 | st.integers(0, 20), max_size=40).map(_set)
MAPS = st.dictionaries(st.text("abc", max_size=2), st.integers(0, 3), max_size=30).map(_map)
REALS = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: (x,))


@given(SETS)
def test_sets_survive_json_and_text(value):
    assert datum.from_json(_INTEGERS, datum.to_json(_INTEGERS, value)) == value
    assert datum.parse_text(_INTEGERS, datum.format_text(_INTEGERS, value)) == value


@given(MAPS)
def test_maps_survive_json_and_text(value):
    assert datum.from_json(_MAP, datum.to_json(_MAP, value)) == value
    assert datum.parse_text(_MAP, datum.format_text(_MAP, value)) == value


@given(st.lists(_text).map(_set))
def test_strings_survive_json_and_text(value):
    assert datum.from_json(_STRINGS, datum.to_json(_STRINGS, value)) == value
    assert datum.parse_text(_STRINGS, datum.format_text(_STRINGS, value)) == value


@given(REALS)
def test_reals_lose_at_most_what_15_digits_lose(value):
    back = datum.from_json(_REAL, datum.to_json(_REAL, value))
    assert back[0] == pytest.approx(value[0], rel=1e-14, abs=5e-324)


@given(SETS, SETS)
def test_a_set_difference_leads_from_old_to_new(old, new):
    difference = datum.diff(_INTEGERS, old, new)
    assert set(difference) == set(old) ^ set(new)
    assert datum.apply_diff(_INTEGERS, old, difference) == new


@given(MAPS, MAPS)
def test_a_map_difference_leads_from_old_to_new(old, new):
    difference = dict(datum.diff(_MAP, old, new))
    before, after = dict(old), dict(new)
    assert set(difference) == {k for k in before.keys() | after.keys()
                               if before.get(k) != after.get(k)}
    assert datum.apply_diff(_MAP, old, _map(difference)) == new


@given(SETS, SETS)
def test_union_and_subtract_are_those_of_sets(a, b):
    assert datum.union(_INTEGERS, a, b) == _set(set(a) | set(b))
    assert datum.subtract(_INTEGERS, a, b, False) == _set(set(a) - set(b))


@given(SETS, st.lists(st.integers(0, 20), max_size=3), st.lists(st.integers(0, 20), max_size=3))
def test_changes_are_what_only_one_side_has(old, added, removed):
    new = _set((set(old) | set(added)) - set(removed))
    assert datum.changes(old, new) == (sorted(set(old) - set(new)), sorted(set(new) - set(old)))


def test_an_impossible_difference_is_refused():
    at_most_two = ColumnType(BaseType("integer"), None, 0, 2)
    with pytest.raises(OvsdbError):
        datum.apply_diff(at_most_two, (1, 2), (3,))


@pytest.mark.parametrize("text, expected", [
    ("1,2,3-5", "[1, 2, 3, 4, 5]"), ("[1 2 3]", "[1, 2, 3]"), (" [ ] ", "[]"), ("", 'use "[]" to specify the empty set'),
    ("[1,,2", '[1,,2: unexpected "," parsing set of up to 4096 integers'),
    ("[1,2]x", '[1,2]x: trailing garbage after "]"'),
    ("1,2]", '1,2]: unexpected "]" parsing set of up to 4096 integers'),
    ("1,a", '"a" is not a valid integer or range'),
    ("5-2", '"5-2" is not a valid range. Range end cannot be before start.'),
    ("1-", '"1-" is not a valid integer or range'), ("1,1", "1,1: set contains duplicate value"),
    ("4096", "constraint violation: 4096 is not in the valid range 0 to 4095 (inclusive)"),
    ("99999999999999999999", '"99999999999999999999" is not a valid integer or range'),
])
def test_sets_are_read_as_people_type_them(text, expected):
    assert _read(_VLANS, text) == expected


@pytest.mark.parametrize("text, expected", [
    ("a=b,c=d", "{a=b, c=d}"), ('{a="b c"}', '{a="b c"}'), ("{}", "{}"),
    ("{a=b", '{a=b: missing "}" at end of data'),
    ("{x=y,a b}", 'a b}: syntax error at "b" expecting "="'),
    ("{a=b}}", '{a=b}}: trailing garbage after "}"'),
    ("{a=}", 'An empty string is not valid as input; use "" to represent the empty string'),
    ('{a="b c}', '"b c}: quoted string extends past end of argument'),
    (r'{"a\qb"=c}', r'"a\qb": bad escape \q'),
    ("{a=b,a=c}", "{a=b,a=c}: map contains duplicate key"),
    ("{=b}", '{=b}: unexpected "=" parsing map of (string, string) pairs'),
])
def test_maps_are_read_as_people_type_them(text, expected):
    strings = ColumnType(BaseType("string"), BaseType("string"), 0, None)
    assert _read(strings, text) == expected


def _read(type_, text):
    try:
        return datum.format_text(type_, datum.parse_text(type_, text))
    except OvsdbError as error:
        return str(error)


@pytest.mark.parametrize("type_, english", [
    (ColumnType(BaseType("integer")), "integer"),
    (ColumnType(BaseType("string"), None, 0, 1), "set of up to 1 strings"),
    (ColumnType(BaseType("string"), None, 1, 2), "set of 1 to 2 strings"),
    (ColumnType(BaseType("uuid"), None, 0, None), "set of uuids"),
    (ColumnType(BaseType("uuid"), None, 1, None), "set of 1 or more uuids"),
    (_MAP, "map of (string, integer) pairs"),
])
def test_types_have_names_in_english(type_, english):
    assert type_.english() == english


def test_named_uuids_get_their_uuid_at_the_first_mention():
    symbols = Symbols()
    base = BaseType("uuid")
    first = from_json_atom(base, ["named-uuid", "a"], symbols)
    assert is_uuid(first) and not symbols.lookup("a").created
    assert from_json_atom(base, ["named-uuid", "a"], symbols) == first
    assert datum.parse_text(ColumnType(base), "@b", symbols) == (symbols.lookup("@b").uuid,)
    with pytest.raises(OvsdbError):
        from_json_atom(base, ["named-uuid", "a"], None)


def test_random_uuids_are_of_version_4():
    uuid = random_uuid()
    assert is_uuid(uuid) and uuid[14] == "4" and uuid[19] in "89ab"


@pytest.mark.parametrize("value, text", [
    (2.0, "2"), (1e3, "1000"), (-0.0, "0"), (12345678901234567890, "1.23456789012346e+19"),
    (1e-7, "1e-07"), (0.1, "0.1"), ("\x01\"\\\n\x7f\u00e9", '"\\u0001\\"\\\\\\n\x7f\u00e9"'),
    ({"b": [True, None], "a": False}, '{"a":false,"b":[true,null]}'),
])
def test_json_is_quoted_as_the_reference_prints_it(value, text):
    assert json_text(value) == text
