"""convert: which schemas are refused with which words, and what becomes of the data."""

import copy
import json
import subprocess
import time

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage import journal
from tests.ovsdb_server.conftest import program

BASE = {"name": "S", "version": "1.0.0", "tables": {"A": {
    "isRoot": True, "maxRows": 5, "indexes": [["x"]], "columns": {
        "x": {"type": "integer"},
        "u": {"type": {"key": {"type": "uuid", "refTable": "A"}, "min": 0}}}}}}

ABSENT = object()
TABLE = ("tables", "A")
COLUMN = (*TABLE, "columns", "x")

TYPES = [
    "bogus", 5, None, [], {}, {"key": "bogus"}, {"key": "integer", "min": 2},
    {"key": "integer", "min": 0, "max": 0}, {"key": "integer", "min": -1},
    {"key": "integer", "max": "lots"}, {"key": "integer", "max": 2.5},
    {"key": "integer", "min": 1, "max": "unlimited"}, {"key": "integer", "value": "bogus"},
    {"key": "integer", "foo": 1}, {"value": "integer"}, {"key": {}}, {"key": 5},
    {"key": "uuid", "value": {"type": "uuid", "refTable": "Zip"}}]
KEYS = [
    {"type": "integer", "minInteger": 5, "maxInteger": 1}, {"type": "integer", "minReal": 1},
    {"type": "real", "minReal": 2, "maxReal": 1},
    {"type": "string", "minLength": 5, "maxLength": 1}, {"type": "string", "minLength": -1},
    {"type": "string", "maxLength": 99999999999}, {"type": "string", "enum": ["set", ["a", "b"]]},
    {"type": "string", "enum": ["set", []]}, {"type": "string", "enum": ["set", ["a", "a"]]},
    {"type": "string", "enum": ["set", [1]]}, {"type": "string", "enum": "a"},
    {"type": "string", "enum": ["set", ["a"]], "maxLength": 5},
    {"type": "uuid", "refTable": "B"}, {"type": "uuid", "refTable": "A", "refType": "loose"},
    {"type": "uuid", "refType": "weak"}, {"type": "integer", "refTable": "A"},
    {"type": "integer", "minInteger": "x"}, {"type": "integer", "minInteger": 1.5},
    {"type": "boolean", "minInteger": 1}, {"type": "integer", "x": 1}]
ONE = {"columns": {"x": {"type": "integer"}}}
MEMBERS = {
    ("name",): [ABSENT, 5, "9x", "_x", "a b", "", "Other"],
    ("version",): [ABSENT, 5, "1", "1.2", "1.2.3.4", "a.b.c", "1.2.3x", ""],
    ("cksum",): [5, "x"], ("foo",): [1],
    ("tables",): [ABSENT, {}, 5, {"A": 5}, {"_A": ONE}, {"9": ONE}, {"A b": ONE}],
    (*TABLE, "columns"): [ABSENT, {}, 5, {"_x": {"type": "integer"}}, {"x y": {"type": "integer"}},
                          {"x": 5}, {"x": {}}],
    (*TABLE, "maxRows"): [0, -1, 1.5, "x", True], (*TABLE, "isRoot"): [5, None, "true"],
    (*TABLE, "mutable"): [5, True, False], (*TABLE, "foo"): [1],
    (*TABLE, "indexes"): [5, [], [[]], [["nope"]], [["x", "x"]], [[5]], ["x"], [["x"], ["x"]],
                          [["u"]], [["x", "u"]]],
    (*COLUMN, "mutable"): [5, True, False], (*COLUMN, "ephemeral"): [5, True, False],
    (*COLUMN, "foo"): [1],
    (*COLUMN, "type"): [ABSENT, *TYPES, *({"key": key} for key in KEYS)]}


def changed(base, path, value):
    """Return `base` with another value at `path`."""
    result = copy.deepcopy(base)
    place = result
    for name in path[:-1]:
        place = place[name]
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return result


SCHEMAS = [changed(BASE, path, value) for path, values in MEMBERS.items() for value in values] + [
    5, [], "x", None, {}]


def begin(make_server, kind, schema):
    server = make_server(kind, files=("d.db",))
    journal.create(str(server.directory / "d.db"), DatabaseSchema.from_json(schema))
    assert server.start("-vconsole:off").returncode == 0
    talk = server.connect()
    talk.call("set_db_change_aware", True)
    return talk


@pytest.mark.differential
def test_every_schema_is_taken_or_refused_as_the_reference_does(make_server):
    talks = [begin(make_server, kind, BASE) for kind in ("ours", "reference")]
    for schema in SCHEMAS:
        ours, theirs = ([talk.call("convert", "S", schema), talk.call("get_schema", "S"),
                         talk.call("convert", "S", BASE)] for talk in talks)
        assert ours == theirs, schema


def _type(name):
    return ("tables", "A", "columns", name)


OLD = {"name": "D", "version": "1.0.0", "tables": {
    "A": {"isRoot": True, "columns": {
        "i": {"type": "integer"}, "s": {"type": "string"},
        "set": {"type": {"key": "integer", "min": 0, "max": 5}},
        "m": {"type": {"key": "string", "value": "string", "min": 0, "max": 5}},
        "b": {"type": {"key": {"type": "uuid", "refTable": "B"}, "min": 0, "max": 9}},
        "w": {"type": {"key": {"type": "uuid", "refTable": "B", "refType": "weak"}, "min": 0}}}},
    "B": {"columns": {"n": {"type": "integer"}}}}}

# (where the schema changes, to what, the error or what column then holds what)
CONVERSIONS = [
    (_type("i"), {"type": "real"}, ("i", 5)),
    (_type("i"), {"type": {"key": "integer", "min": 0, "max": 3}}, ("i", 5)),
    (_type("set"), ABSENT, ("i", 5)),
    (_type("b"), {"type": {"key": "uuid", "min": 0, "max": 9}}, ("b", "uuid 1")),
    (_type("new"), {"type": "string"}, ("new", "")),
    (_type("i"), {"type": "string"}, ("syntax error", "expected string", "5")),
    (_type("s"), {"type": "integer"}, ("syntax error", "expected integer", '"zz"')),
    (_type("i"), {"type": {"key": {"type": "integer", "maxInteger": 3}}},
     ("constraint violation", "5 is greater than maximum allowed value 3")),
    (_type("set"), {"type": "integer"},
     ("syntax error", "set must have exactly one member but 2 are present", '["set",[1,2]]')),
    (_type("set"), {"type": {"key": "integer", "value": "integer", "min": 0}},
     ("syntax error", 'expected ["map", <array>]', '["set",[1,2]]')),
    (_type("m"), {"type": {"key": "string", "value": "integer", "min": 0}},
     ("syntax error", "expected integer", '"b"')),
    (_type("w"), {"type": {"key": {"type": "uuid", "refTable": "A", "refType": "weak"}}},
     ("constraint violation", "Deletion of 1 weak reference(s) to deleted (or never-existing) rows "
      'from column "w" in "A" row {row} (inserted within this transaction) caused this column to '
      "become empty, but constraints on this column disallow an empty column.")),
    (_type("b"), {"type": {"key": {"type": "uuid", "refTable": "A"}, "min": 0}},
     ("referential integrity violation",
      "Table A column b row {row} references nonexistent row {target} in table A."))]


@pytest.mark.parametrize("path, value, wanted", CONVERSIONS)
def test_data_that_does_not_fit_stops_a_conversion(make_server, path, value, wanted):
    talk = begin(make_server, "ours", OLD)
    row, target = (f"00000000-0000-0000-0000-00000000000{n}" for n in (3, 1))
    talk.call("transact", "D", {"op": "insert", "table": "B", "uuid": target, "row": {"n": 1}}, {
        "op": "insert", "table": "A", "uuid": row, "row": {
            "i": 5, "s": "zz", "set": ["set", [1, 2]], "m": ["map", [["a", "b"]]],
            "b": ["uuid", target], "w": ["uuid", target]}})
    result = talk.call("convert", "D", changed(OLD, path, value))
    select = {"op": "select", "table": "A", "where": []}
    cells = talk.call("transact", "D", select)[0]["rows"][0]
    if len(wanted) == 2 and result == {}:
        column, cell = wanted
        assert cells[column] == (["uuid", target] if cell == "uuid 1" else cell)
        assert json.dumps(talk.call("get_schema", "D")) != json.dumps(OLD)
        return
    tag, details, *syntax = wanted
    assert result == {"error": tag, "details": details.format(row=row, target=target),
                      **({"syntax": syntax[0]} if syntax else {})}
    assert (cells["i"], cells["s"], cells["set"]) == (5, "zz", ["set", [1, 2]])
    assert "uuid" in talk.call("transact", "D", {"op": "insert", "table": "A", "row": {}})[0]


@pytest.mark.parametrize("options, says", [
    (["--db-change-aware"], 'transaction returned error: "canceled"'),
    (["--no-db-change-aware"], "transaction failed (End of file)")])
def test_a_client_that_waits_hears_of_a_conversion_as_it_asked(make_server, options, says):
    server = make_server(files=("s.db",))
    journal.create(str(server.directory / "s.db"), DatabaseSchema.from_json(BASE))
    assert server.start("-vconsole:off").returncode == 0
    wait = ["S", {"op": "wait", "table": "A", "where": [], "columns": ["x"], "until": "!=",
                  "rows": []}]
    with subprocess.Popen([*program("utilities.ovsdb_client"), *options, "transact",
                           server.remote, json.dumps(wait)], env=server.environment,
                          stderr=subprocess.PIPE, text=True) as client:
        deadline = time.monotonic() + 10
        while "triggers:1" not in server.appctl("memory/show").stdout:
            assert time.monotonic() < deadline
        talk = server.connect()
        assert talk.call("convert", "S", BASE | {"version": "2.0.0"}) == {}
        assert client.communicate(timeout=10)[1] == f"ovsdb-client: {says}\n"
