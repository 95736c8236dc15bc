"""The database schemas: their form, their checksums, and what the suite promises about them."""

import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

SCHEMA = Path(__file__).resolve().parents[2] / "schema"
FILES = sorted(SCHEMA.glob("*.ovsschema"))
META = json.loads((SCHEMA / "meta.schema.json").read_text())
RPC = json.loads((SCHEMA / "rpc.schema.json").read_text())
ROW_UUID = "550e8400-e29b-41d4-a716-446655440000"


def load(name):
    return json.loads((SCHEMA / name).read_text())


def posix_cksum(data):
    """CRC of POSIX `cksum`: polynomial 0x04C11DB7 over the bytes, then over the length."""
    size = len(data)
    tail = size.to_bytes((size.bit_length() + 7) // 8, "little")
    crc = 0
    for byte in data + tail:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return f"{crc ^ 0xFFFFFFFF} {size}"


@pytest.mark.parametrize("name", ["meta.schema.json", "rpc.schema.json"])
def test_json_schemas_are_themselves_valid(name):
    jsonschema.Draft202012Validator.check_schema(load(name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_schema_has_the_form_of_rfc_7047(path):
    jsonschema.validate(json.loads(path.read_text()), META)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_cksum_covers_the_file_without_its_own_line(path):
    if path.name == "server.ovsschema":
        # Clients see it, so it is the one of Open vSwitch's file, whose lines are other ones.
        assert json.loads(path.read_text())["cksum"] == "3009684573 744"
        return
    lines = path.read_bytes().splitlines(keepends=True)
    rest = b"".join(line for line in lines if b"cksum" not in line)
    assert json.loads(path.read_text())["cksum"] == posix_cksum(rest)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_references_and_indexes_name_what_exists(path):
    tables = json.loads(path.read_text())["tables"]
    for table in tables.values():
        for index in table.get("indexes", []):
            assert set(index) <= set(table["columns"])
        for column in table["columns"].values():
            if isinstance(column["type"], dict):
                for base in (column["type"]["key"], column["type"].get("value")):
                    if isinstance(base, dict) and "refTable" in base:
                        assert base["refTable"] in tables


def test_vswitch_schema_is_8_8_0_with_19_tables_and_190_columns():
    schema = load("vswitch.ovsschema")
    assert (schema["name"], schema["version"]) == ("Open_vSwitch", "8.8.0")
    assert len(schema["tables"]) == 19
    assert sum(len(table["columns"]) for table in schema["tables"].values()) == 190


def flat(column):
    """A column with every default written out, so that two spellings of a type compare equal."""
    kind = column["type"]
    kind = {"key": kind} if isinstance(kind, str) else dict(kind)
    for part in ("key", "value"):
        if isinstance(kind.get(part), str):
            kind[part] = {"type": kind[part]}
    kind = {"min": 1, "max": 1} | kind
    return {"ephemeral": False, "mutable": True} | column | {"type": kind}


@pytest.mark.differential
def test_vswitch_schema_extends_the_installed_one():
    """Every table and column of the release in the field is here with the same type."""
    path = Path("/usr/share/openvswitch/vswitch.ovsschema")
    if not path.exists():
        pytest.skip("needs Debian's openvswitch-switch: vswitch.ovsschema")
    theirs, ours = json.loads(path.read_text()), load("vswitch.ovsschema")
    widened = {("Flow_Table", "prefixes")}
    for name, table in theirs["tables"].items():
        mine = ours["tables"][name]
        for attribute in ("isRoot", "maxRows", "indexes"):
            assert mine.get(attribute) == table.get(attribute), name
        for column, definition in table["columns"].items():
            if (name, column) not in widened:
                assert flat(mine["columns"][column]) == flat(definition), (name, column)


@pytest.mark.differential
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_reference_ovsdb_tool_creates_a_database_from_it(path, tmp_path):
    tool = shutil.which("ovsdb-tool", path="/usr/bin")
    if tool is None:
        pytest.skip("needs Debian's openvswitch-common: ovsdb-tool")
    run = lambda *args: subprocess.run(
        [tool, *args], check=True, capture_output=True, text=True).stdout.strip()
    assert run("create", str(tmp_path / "db"), str(path)) == ""
    assert run("schema-version", str(path)) == json.loads(path.read_text())["version"]


BAD_SCHEMAS = {
    "no tables": {"name": "x"},
    "unknown member": {"name": "x", "tables": {}, "colour": "red"},
    "bad version": {"name": "x", "version": "1.2", "tables": {}},
    "empty columns": {"name": "x", "tables": {"t": {"columns": {}}}},
    "reserved name": {"name": "x", "tables": {"t": {"columns": {"_c": {"type": "integer"}}}}},
    "unknown type": {"name": "x", "tables": {"t": {"columns": {"c": {"type": "float"}}}}},
    "min of 2": {"name": "x", "tables": {"t": {"columns": {
        "c": {"type": {"key": "integer", "min": 2, "max": 3}}}}}},
    "enum and range": {"name": "x", "tables": {"t": {"columns": {
        "c": {"type": {"key": {"type": "integer", "enum": 1, "minInteger": 0}}}}}}},
    "string with a range": {"name": "x", "tables": {"t": {"columns": {
        "c": {"type": {"key": {"type": "string", "minInteger": 0}}}}}}},
    "refType alone": {"name": "x", "tables": {"t": {"columns": {
        "c": {"type": {"key": {"type": "uuid", "refType": "weak"}}}}}}},
}


@pytest.mark.parametrize("why", BAD_SCHEMAS)
def test_malformed_schema_is_refused(why):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(BAD_SCHEMAS[why], META)


GOOD_MESSAGES = [
    {"method": "list_dbs", "params": [], "id": 1},
    {"method": "get_schema", "params": ["Open_vSwitch"], "id": "x"},
    {"method": "transact", "id": 2, "params": ["Open_vSwitch",
        {"op": "insert", "table": "Bridge", "row": {"name": "br0"}, "uuid-name": "b"},
        {"op": "mutate", "table": "Open_vSwitch", "where": [],
         "mutations": [["bridges", "insert", ["set", [["named-uuid", "b"]]]]]},
        {"op": "wait", "table": "Bridge", "where": [["name", "==", "br0"]], "until": "==",
         "rows": [{"other_config": ["map", [["a", "b"]]]}], "timeout": 0},
        {"op": "commit", "durable": True}]},
    {"method": "monitor", "params": ["db", None, {"t": {"columns": ["c"]}}], "id": 3},
    {"method": "monitor_cond_since", "id": 4,
     "params": ["db", ["m"], {"t": [{"where": [True]}]}, ROW_UUID]},
    {"method": "update", "params": [None, {"t": {ROW_UUID: {"new": {"c": 1}}}}], "id": None},
    {"method": "update3", "id": None,
     "params": ["m", ROW_UUID, {"t": {ROW_UUID: {"delete": None}}}]},
    {"result": [{}, {"count": 1}], "error": None, "id": 2},
    {"result": None, "error": "unknown method", "id": 2},
]
BAD_MESSAGES = {
    "response without id": {"result": 1, "error": None},
    "result and error": {"result": 1, "error": "no", "id": 1},
    "unknown operation": {"method": "transact", "params": ["db", {"op": "upsert"}], "id": 1},
    "insert without row": {"method": "transact", "id": 1,
                           "params": ["db", {"op": "insert", "table": "t"}]},
    "misspelt member": {"method": "transact", "id": 1, "params": [
        "db", {"op": "delete", "table": "t", "wher": [], "where": []}]},
    "two-part condition": {"method": "transact", "id": 1, "params": [
        "db", {"op": "delete", "table": "t", "where": [["c", "=="]]}]},
    "lock without a name": {"method": "lock", "params": [], "id": 1},
    "update of nothing": {"method": "update", "params": [1, {"t": {ROW_UUID: {}}}], "id": None},
}


@pytest.mark.parametrize("message", GOOD_MESSAGES, ids=lambda m: m.get("method", "response"))
def test_protocol_message_is_accepted(message):
    jsonschema.validate(message, RPC)


@pytest.mark.parametrize("why", BAD_MESSAGES)
def test_malformed_protocol_message_is_refused(why):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(BAD_MESSAGES[why], RPC)
