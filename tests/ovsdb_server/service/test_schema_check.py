"""The form of schemas at load."""

import json
from pathlib import Path

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service.schema_check import find_fault, is_shipped

VSWITCH = Path(__file__).resolve().parents[3] / "schema" / "vswitch.ovsschema"


def test_our_own_schema_is_known_and_sound():
    schema = DatabaseSchema.from_json(json.loads(VSWITCH.read_text()))
    assert is_shipped(schema)
    assert find_fault(schema) is None


def test_a_changed_schema_is_looked_at_and_its_fault_is_placed():
    schema = DatabaseSchema.from_json({"name": "T", "version": "1.0.0", "tables": {
        "A": {"columns": {"x": {"type": "integer"}}}}})
    assert not is_shipped(schema)
    assert find_fault(schema) is None
    schema.version = "one"
    assert find_fault(schema).startswith("version: ")
