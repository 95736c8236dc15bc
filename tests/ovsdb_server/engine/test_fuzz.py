"""Hostile transactions and monitor requests: always an answer, never another exception.

Starts from `transactions.CASES` and puts random values in random places.  The database must stay
in order too: its own bookkeeping is compared with one made anew.
"""

import copy
import json
import random

import orjson
import pytest

from ovsdb_server.engine.database import Context, Database, Triggers
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.monitor import COND, MONITOR
from ovsdb_server.engine.schema import DatabaseSchema
from tests.ovsdb_server.engine.transactions import CASES, ZOO

SCHEMA_JSON = json.loads(ZOO.read_text())
_COLUMNS = [column for table in SCHEMA_JSON["tables"].values() for column in table["columns"]]
_WORDS = [*_COLUMNS, *SCHEMA_JSON["tables"], "_uuid", "_version", "==", "!=", "<", "includes",
          "excludes", "+=", "/=", "%=", "insert", "delete", "set", "map", "uuid", "named-uuid",
          "op", "table", "where", "row", "rows", "until", "columns", "\ud800", "\0", ""]
_UUIDS = [f"00000000-0000-0000-0000-{number:012}" for number in range(4)]


def _value(rng, depth=0):
    kind = rng.randrange(12 if depth < 4 else 8)
    if kind < 3:
        return rng.choice(_WORDS)
    if kind < 5:
        return rng.choice([0, 1, -1, 5, 2**63, -2**63, 2**64, 0.5, 1e308, -0.0, 10**400])
    if kind < 7:
        return rng.choice([None, True, False, float("inf")])
    if kind < 8:
        return ["uuid", rng.choice(_UUIDS)]
    if kind < 9:
        return [rng.choice(("set", "map", "uuid", "named-uuid")), _value(rng, depth + 1)]
    if kind < 11:
        return [_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(_WORDS): _value(rng, depth + 1) for _ in range(rng.randrange(3))}


def _places(json_value):
    """Yield (container, key) of every value inside."""
    items = (json_value.items() if isinstance(json_value, dict) else
             enumerate(json_value) if isinstance(json_value, list) else ())
    for key, value in items:
        yield json_value, key
        yield from _places(value)


def _spoil(rng, operations):
    operations = copy.deepcopy(operations)
    for _ in range(rng.randrange(1, 4)):
        places = list(_places(operations))
        if places:
            container, key = rng.choice(places)
            container[key] = _value(rng)
    return [operation for operation in operations if operation != {"op": "abort"}]


def _assert_in_order(database):
    fresh = Database(database.schema)
    fresh.load({name: dict(table.rows) for name, table in database.tables.items()})
    for name, table in database.tables.items():
        assert table.references == fresh.tables[name].references
        assert table.weak_sources == fresh.tables[name].weak_sources
        assert table.indexes == fresh.tables[name].indexes


def _fuzz(seed, n):
    rng = random.Random(seed)
    database = Database(DatabaseSchema.from_json(SCHEMA_JSON))
    triggers = Triggers(database, lambda _delta, _comment: None)
    monitors = [database.monitors.add(kind, {"Plain": {}, "Parent": {}, "Child": {}})
                for kind in (MONITOR, COND)]
    for number in range(n):
        operations = _spoil(rng, rng.choice(CASES))
        execution = triggers.submit(operations, Context(), number / 1000, number)
        if not execution.is_waiting:
            assert len(operations) <= len(execution.results) <= len(operations) + 1
        triggers.run(number / 1000)
        try:
            database.monitors.add(rng.choice((MONITOR, COND)), _value(rng)).close()
            monitors[1].change(_value(rng))
        except OvsdbError as error:
            assert error.tag
        for monitor in monitors:
            text = monitor.flush()
            assert text is None or orjson.loads(text)
        if number % 50 == 0:
            _assert_in_order(database)
            if sum(len(table.rows) for table in database.tables.values()) > 300:
                triggers.submit([{"op": "delete", "table": table, "where": []} for table in (
                    "Needy", "Parent", "Plain", "Indexed")], Context(), 0.0, number)


def test_spoiled_transactions_get_an_answer():
    _fuzz(1, 1500)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_spoiled_transactions_get_an_answer(seed):
    _fuzz(seed, 30000)


@pytest.mark.parametrize("seed", range(3))
def test_spoiled_schemas_are_refused_or_good(seed):
    rng = random.Random(seed)
    for _ in range(300):
        spoiled = copy.deepcopy(SCHEMA_JSON)
        container, key = rng.choice(list(_places(spoiled)))
        container[key] = _value(rng)
        try:
            schema = DatabaseSchema.from_json(spoiled)
        except OvsdbError as error:
            assert str(error)
        else:
            assert DatabaseSchema.from_json(schema.to_json()) == schema
