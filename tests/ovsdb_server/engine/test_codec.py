"""The quick readers and writers of column types do what the slow ones do."""

import orjson
from hypothesis import given, settings, strategies as st

from ovsdb_server.engine import datum
from ovsdb_server.engine.atom import BaseType, Symbols, is_uuid, random_uuid
from ovsdb_server.engine.datum import ColumnType
from ovsdb_server.engine.error import OvsdbError

UUID = "0c4a17d2-8b5e-4f6a-9d3c-1e2f3a4b5c6d"
BASES = [BaseType(kind) for kind in ("integer", "real", "boolean", "string", "uuid")] + [
    BaseType("integer", minimum=0, maximum=5), BaseType("integer", minimum=3),
    BaseType("string", enum=("a", "b")), BaseType("integer", enum=(1, 2)),
    BaseType("boolean", enum=(True,)), BaseType("string", min_length=1, max_length=2),
    BaseType("real", minimum=0.5), BaseType("uuid", ref_table="T"),
    BaseType("uuid", enum=(UUID,))]
TYPES = ([ColumnType(base, None, n_min, n_max) for base in BASES
          for n_min, n_max in ((1, 1), (0, 1), (0, None), (1, None), (0, 2))]
         + [ColumnType(key, value, n_min, n_max) for key in BASES for value in BASES
            for n_min, n_max in ((0, None), (1, 1), (0, 2))])

_atoms = (st.sampled_from([0, 1, 2, 3, 4, 6, -1, 1.0, 0.5, 2.5, True, False, "", "a", "b", "abc",
                           "\u00e9", "\ud800", "x\0y", None, 2**63, -2**63, 1e300])
          | st.sampled_from([["uuid", UUID], ["uuid", UUID.upper()], ["uuid", "x"], ["uuid"],
                             ["named-uuid", "n"], ["named-uuid", "-"], ["uuid", 5], [], {}]))
_values = (_atoms | st.lists(_atoms, max_size=4).map(lambda atoms: ["set", atoms])
           | st.lists(st.tuples(_atoms, _atoms).map(list) | _atoms, max_size=4).map(
               lambda pairs: ["map", pairs])
           | st.sampled_from([["set"], ["map"], ["set", 1], ["map", {}], ["set", [], 1], "set"]))


def outcome(read, value):
    """Return what `read` makes of a value, or its complaint."""
    try:
        return read(value, Symbols(lambda: UUID))
    except OvsdbError as error:
        return error.to_json()


@settings(max_examples=1500)
@given(st.sampled_from(TYPES), _values)
def test_a_reader_reads_and_complains_as_the_slow_parser(type_, value):
    expected = outcome(lambda json, symbols: datum._parse(type_, json, symbols), value)
    found = outcome(type_.read, value)
    assert found == expected
    if type(found) is tuple:
        assert [type(atom) for atom in found] == [type(atom) for atom in expected]


@settings(max_examples=1500)
@given(st.sampled_from(TYPES), _values)
def test_a_writer_writes_what_to_json_gives(type_, value):
    try:
        read = datum._parse(type_, value, Symbols(lambda: UUID))
    except OvsdbError:
        return
    assert orjson.dumps(type_.write(read)) == orjson.dumps(datum.to_json(type_, read))


def test_the_form_of_a_uuid():
    assert is_uuid(UUID) and is_uuid(UUID.upper()) and is_uuid(random_uuid())
    for wrong in ("", UUID[:-1], UUID + "0", UUID.replace("-", "_"), UUID.replace("a", "g"),
                  UUID.replace("-", "0", 1), "\u0660" + UUID[1:], "+" + UUID[1:], " " + UUID[1:]):
        assert not is_uuid(wrong), wrong


def test_random_uuids_differ_and_say_how_they_were_made():
    made = [random_uuid() for _ in range(500)]
    assert len(set(made)) == 500 and all(map(is_uuid, made))
    assert {text[14] for text in made} == {"4"}
    assert {text[19] for text in made} == set("89ab")
