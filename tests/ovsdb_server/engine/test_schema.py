"""Schemas: what is refused and in which words, and the normalised form."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.schema import DatabaseSchema, compare_versions
from tests.ovsdb_server.engine.transactions import ZOO
from tests.ovsdb_server.reference import TOOL, needs_reference

OUR_SCHEMAS = sorted((Path(__file__).parents[3] / "schema").glob("*.ovsschema"))


def _with_column(column):
    return {"name": "a", "tables": {"x": {"columns": {"a": column}}}}


def _with_type(type_):
    return _with_column({"type": type_})


def _with_key(key):
    return _with_type({"key": key})


def _with_table(**members):
    return {"name": "a", "tables": {"x": {"columns": {"a": {"type": "integer"}}, **members}}}


BAD = [
    {}, [], {"name": "a b", "tables": {}}, {"name": "a", "tables": {"_x": {}}},
    {"name": "a", "tables": {"x y": {}}}, {"name": "a", "tables": {"x": {}}},
    {"name": "a", "tables": {"x": {"columns": {}}}}, {"name": "a", "tables": {"x": 5}},
    {"name": "a", "tables": {"x": {"columns": {"_a": {"type": "integer"}}}}},
    {"name": "a", "version": "1.2", "tables": {}}, {"name": "a", "foo": 1, "tables": {}},
    {"name": "a", "cksum": "zz", "$schema": "x", "tables": {}},
    _with_column({}), _with_type("int"), _with_type(7), _with_type({"max": 3}),
    _with_type({"key": "integer", "min": 2}), _with_type({"key": "integer", "max": 0}),
    _with_type({"key": "integer", "min": -1}), _with_type({"key": "integer", "max": "lots"}),
    _with_type({"key": "string", "maxLength": 5}),
    _with_type({"key": "integer", "max": 4294967295}),
    _with_type({"key": "integer", "value": {"type": "real", "minReal": 2.5, "maxReal": 1}}),
    _with_key({"type": "integer", "minInteger": 5, "maxInteger": 3}),
    _with_key({"type": "string", "minLength": -1}),
    _with_key({"type": "string", "maxLength": 4294967296}),
    _with_key({"type": "uuid", "refTable": "y"}),
    _with_key({"type": "uuid", "refTable": "x", "refType": "foo"}),
    _with_key({"type": "uuid", "refType": "weak"}),
    _with_key({"type": "integer", "minLength": 1}),
    _with_key({"type": "integer", "enum": ["set", []]}),
    _with_key({"type": "integer", "enum": ["set", [1, 1]]}),
    _with_key({"type": "integer", "enum": ["set", ["a"]]}),
    _with_key({"type": "integer", "enum": 1, "minInteger": 3}),
    _with_table(indexes=[[]]), _with_table(indexes=[["b"]]), _with_table(indexes=[["a", "a"]]),
    _with_table(maxRows=0),
    {"name": "a", "tables": {"x": {"columns": {"a": {"type": "integer", "ephemeral": True}},
                                   "indexes": [["a"]]}}},
]


@pytest.mark.differential
@needs_reference
@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_schemas_are_refused_in_the_same_words(number, tmp_path):
    path = tmp_path / "s"
    path.write_text(json.dumps(BAD[number]))
    run = subprocess.run([TOOL, "schema-name", path], capture_output=True, text=True)
    theirs = run.stderr.strip().replace(f'failed to parse "{path}" as ovsdb schema: ', "")
    with pytest.raises(OvsdbError) as caught:
        DatabaseSchema.from_json(BAD[number])
    assert f"ovsdb-tool: {caught.value}" == theirs


@pytest.mark.parametrize("path", [*OUR_SCHEMAS, ZOO], ids=lambda path: path.name)
def test_the_normalised_form_is_stable(path):
    schema = DatabaseSchema.from_json(json.loads(path.read_text()))
    once = schema.to_json()
    assert DatabaseSchema.from_json(once) == schema
    assert json_text(DatabaseSchema.from_json(once).to_json()) == json_text(once)


@pytest.mark.differential
@needs_reference
@pytest.mark.parametrize("path", [*OUR_SCHEMAS, ZOO], ids=lambda path: path.name)
def test_the_reference_normalises_alike(path, tmp_path):
    database = tmp_path / "db"
    subprocess.run([TOOL, "create", database, path], check=True)
    header, body = database.read_text().split("\n", 1)
    assert header.startswith("OVSDB JSON ")
    ours = DatabaseSchema.from_json(json.loads(path.read_text())).to_json()
    assert json_text(ours) == json_text(json.loads(body))
    shutil.rmtree(tmp_path)


def test_a_strong_reference_to_a_table_without_roots_is_kept_on_disk():
    child = {"key": {"type": "uuid", "refTable": "child"}, "min": 0}
    schema = DatabaseSchema.from_json({"name": "a", "tables": {
        "root": {"isRoot": True, "columns": {
            "owned": {"type": child, "ephemeral": True},
            "noted": {"type": "string", "ephemeral": True}}},
        "child": {"columns": {"name": {"type": "string"}}}}})
    columns = schema.tables["root"].columns
    assert columns["owned"].is_persistent and not columns["noted"].is_persistent


def test_a_weak_reference_is_mutable_whatever_the_schema_says():
    weak = {"key": {"type": "uuid", "refTable": "x", "refType": "weak"}, "min": 0}
    schema = DatabaseSchema.from_json(_with_column({"type": weak, "mutable": False}))
    assert schema.tables["x"].columns["a"].is_mutable


@pytest.mark.parametrize("a, b, order", [
    ("1.2.3", "1.2.4", -1), ("1.10.0", "1.9.9", 1), ("01.2.3", "1.2.3", 0)])
def test_versions_compare_number_by_number(a, b, order):
    assert compare_versions(a, b) == order
