"""The form of schemas at load."""

import copy
import json
import random
from pathlib import Path

from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service.schema_check import find_fault, is_shipped

VSWITCH = Path(__file__).resolve().parents[3] / "schema" / "vswitch.ovsschema"
ZOO = Path(__file__).resolve().parents[1] / "engine" / "zoo.ovsschema"
SPOILS = (None, True, 0, -1, 2, 1.5, "", "x", "_x", "integer", "unlimited", [], ["set", []], {},
          {"key": "uuid"}, {"type": {"key": "string", "max": 7}}, 10**30)


def places(value):
    """(container, key) of every value inside."""
    items = (value.items() if isinstance(value, dict) else
             enumerate(value) if isinstance(value, list) else ())
    for key, inner in items:
        yield value, key
        yield from places(inner)


def test_what_the_engine_takes_has_the_declared_form():
    """So the tools, which have the engine alone, take no schema that the server finds odd."""
    rng, zoo, n_taken = random.Random(4), json.loads(ZOO.read_text()), 0
    for _ in range(400):
        spoiled = copy.deepcopy(zoo)
        container, key = rng.choice(list(places(spoiled)))
        if isinstance(container, dict) and rng.random() < 0.3:
            container[rng.choice(("x", "_x", "min", "maxRows", "isRoot"))] = container.pop(key)
        else:
            container[key] = rng.choice(SPOILS)
        try:
            schema = DatabaseSchema.from_json(spoiled)
        except OvsdbError:
            continue
        n_taken += 1
        assert find_fault(schema) is None, spoiled
    assert 20 < n_taken < 380


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
