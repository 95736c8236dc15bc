"""The quick road of transactions beside the engine: same replies, records, deltas and rows.

The engine is the twin.  What the road takes must come out the same to the last byte; what it
leaves alone is the engine's.  A test says which transactions it must not leave alone.
"""

import json
import os
import random
import re
from uuid import RFC_4122, UUID

import orjson
import pytest

from ovsdb_server.engine.atom import is_uuid
from ovsdb_server.engine.database import Database
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.quick.library import LIBRARY
from ovsdb_server.quick.road import new_road
from ovsdb_server.storage.record import encode_record
from ovsdb_server.storage.replay import encode_delta
from tests.ovsdb_server.engine.test_fuzz import _spoil
from tests.ovsdb_server.engine.transactions import CASES, ZOO

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="needs the C extension: make build")

MANY = {"min": 0, "max": "unlimited"}
TAME = {"name": "Tame", "version": "1.0.0", "tables": {
    "All": {"isRoot": True, "indexes": [["name"], ["a", "b"]], "columns": {
        "name": {"type": "string"},
        "a": {"type": "integer"},
        "b": {"type": "boolean"},
        "real": {"type": "real"},
        "id": {"type": "uuid"},
        "fixed": {"type": "integer", "mutable": False},
        "fleeting": {"type": "string", "ephemeral": True},
        "small": {"type": {"key": {"type": "integer", "maxInteger": 5}, "min": 0}},
        "maybe": {"type": {"key": "string", "min": 0}},
        "numbers": {"type": {"key": "integer", **MANY}},
        "reals": {"type": {"key": "real", **MANY}},
        "words": {"type": {"key": "string", "value": "string", **MANY}},
        "flags": {"type": {"key": "integer", "value": "boolean", **MANY}},
        "ids": {"type": {"key": "string", "value": "uuid", **MANY}},
        "costs": {"type": {"key": "string", "value": "real", **MANY}},
        "friends": {"type": {"key": {"type": "uuid", "refTable": "All", "refType": "weak"},
                             **MANY}},
        "parts": {"type": {"key": {"type": "uuid", "refTable": "Part"}, **MANY}}}},
    "Few": {"isRoot": True, "maxRows": 3, "columns": {"n": {"type": "integer"}}},
    "Part": {"columns": {"n": {"type": "integer"}}}}}

TEXTS = ["", "x", "é", "\U0001f600", 'q"\\/', "\b\t\n\v\f\r\x01\x1f\x7f", "\ud800", "a\0b", "z" * 300]
NUMBERS = [0, 1, -1, 7, 2**63 - 1, -2**63, 2**63, 2.0, 1.5, True, "x", None]
UUIDS = [f"00000000-0000-0000-0000-{n:012}" for n in range(4)]


class Side:
    """A database whose random UUIDs are told beforehand."""

    def __init__(self, schema: dict):
        self.database = Database(DatabaseSchema.from_json(schema), self._new_uuid)
        self.turn = self.n_given = 0
        self.road = new_road(self.database)

    def _new_uuid(self) -> str:
        self.n_given += 1
        return f"00000000-0000-4000-{self.n_given:04x}-{self.turn:012x}"

    def begin(self, turn: int) -> None:
        """The next UUIDs are those of `turn`."""
        self.turn, self.n_given = turn, 0

    def transact(self, operations: list, as_diff: bool, wall_ms: int) -> tuple:
        """Run a transaction as the engine does; return what `decide` returns."""
        execution = self.database.transact(operations)
        record = None

        def write(delta, comment):
            nonlocal record
            body = encode_delta(self.database.schema, delta, comment, wall_ms, as_diff)
            record = body and encode_record(orjson.dumps(body))

        if not execution.is_waiting:
            self.database.commit(execution, write)
        reply = orjson.dumps({"id": 5, "result": execution.results, "error": None},
                             default=lambda value: None)
        return reply, record, execution.delta, execution.is_durable

    def state(self) -> tuple:
        """Everything that transactions change."""
        return ({name: (table.rows, table.indexes, table.references, table.weak_sources)
                 for name, table in self.database.tables.items()}, self.database.sequence)


def play(schema: dict, transactions: list[list], as_diff: bool = True) -> int:
    """Run transactions on both sides; return how many took the quick road."""
    engine, quick = Side(schema), Side(schema)
    n_quick = 0
    for turn, operations in enumerate(transactions):
        params = [schema["name"], *operations]
        before = json.dumps(operations, default=str)
        quick.begin(turn)
        decided = quick.road.decide(params, 5, as_diff)
        assert json.dumps(operations, default=str) == before
        wall_ms = 0
        if decided is not None:
            n_quick += 1
            record = decided[1]
            if record is not None:
                wall_ms = int(re.search(rb'"_date":(\d+)[,}]', record)[1])
            quick.road.apply(decided[2])
            if decided[2]:
                quick.database.note(decided[2])
        else:
            quick.begin(turn)
            try:
                quick.transact(operations, as_diff, 0)
            except (TypeError, UnicodeEncodeError):
                return n_quick          # What no journal can hold: neither side can go on.
        engine.begin(turn)
        expected = engine.transact(operations, as_diff, wall_ms)
        if decided is not None:
            assert decided == expected
        assert quick.state() == engine.state()
    return n_quick


def _value(rng: random.Random, column: str) -> object:
    pick = rng.choice
    match column:
        case "name" | "fleeting" | "maybe":
            return pick([*TEXTS, str(rng.randrange(9)), ["set", []], ["set", [pick(TEXTS)]]])
        case "a" | "fixed" | "small" | "real":
            return pick([*NUMBERS, rng.randrange(9), ["set", [3]]])
        case "b":
            return pick([True, False, 0])
        case "id":
            return pick([["uuid", pick(UUIDS)], ["named-uuid", "x"], 3])
        case "numbers" | "reals":
            return pick([["set", rng.sample(range(9), rng.randrange(5))], 4, ["set", [2.5]]])
        case "friends" | "parts":
            return ["set", [["uuid", pick(UUIDS)]] * rng.choice([0, 0, 0, 1])]
    atoms = {"words": TEXTS, "flags": [True, False], "costs": [0.5, 2, -0.0],
             "ids": [["uuid", u] for u in UUIDS]}[column]
    keys = range(4) if column == "flags" else "abcdé"
    return ["map", [[key, pick(atoms)] for key in rng.sample(keys, rng.randrange(4))]]


def _row(rng: random.Random) -> dict:
    columns = list(TAME["tables"]["All"]["columns"])
    return {name: _value(rng, name) for name in rng.sample(columns, rng.randrange(4))}


def _where(rng: random.Random, known: list[str]) -> list:
    return rng.choice([
        [], [["_uuid", "==", ["uuid", rng.choice(known)]]], [["name", "==", rng.choice(TEXTS)]],
        [["_uuid", "==", ["uuid", rng.choice(known)]]], [["a", ">", 3]], [["name", "==", "3"]],
        [["name", "==", str(rng.randrange(9))]], [["name", "==", 3]],
        [["_uuid", "==", ["uuid", rng.choice(known).upper()]]], [["a", "==", 1], ["b", "==", True]]])


def _operation(rng: random.Random, known: list[str]) -> dict:
    kind = rng.randrange(12)
    if kind < 4:
        return {"op": "insert", "table": "All",
                "row": {"name": str(rng.randrange(10**6)), "a": rng.randrange(10**6), **_row(rng)}}
    if kind < 7:
        return {"op": "update", "table": "All", "where": _where(rng, known), "row": _row(rng)}
    if kind < 9:
        return {"op": "mutate", "table": "All", "where": _where(rng, known), "mutations": [
            [rng.choice(["a", "a", "small", "fixed", "real"]), rng.choice(["+=", "-=", "*="]),
             rng.choice([1, 1, 2, -1, 2**63 - 1, 1.5])] for _ in range(rng.randrange(3))]}
    if kind < 10:
        return rng.choice([{"op": "insert", "table": "Few", "row": {"n": 3}},
                           {"op": "insert", "table": "Part", "row": {}},
                           {"op": "update", "table": "Few", "where": [], "row": {"n": 4}},
                           {"op": "delete", "table": "All", "where": _where(rng, known)}])
    return rng.choice([{"op": "comment", "comment": rng.choice(TEXTS[:4])},
                       {"op": "commit", "durable": rng.choice([True, False])},
                       {"op": "abort"}, {"op": "select", "table": "All", "where": []}])


@pytest.mark.parametrize("as_diff", [True, False])
def test_random_transactions_come_out_as_from_the_engine(as_diff):
    rng = random.Random(4711)
    n_quick = 0
    for _ in range(60):
        known = [f"00000000-0000-4000-0001-{turn:012x}" for turn in range(20)]
        n_quick += play(TAME, [[_operation(rng, known) for _ in range(rng.choice([1, 1, 2, 3]))]
                               for _ in range(25)], as_diff)
    assert n_quick > 300


def test_hostile_transactions_come_out_as_from_the_engine():
    rng = random.Random(17)
    zoo = json.loads(ZOO.read_text())
    play(zoo, CASES)
    for _ in range(10):
        play(zoo, [_spoil(rng, case) for case in rng.sample(CASES, 60)])
    known = [f"00000000-0000-4000-0001-{turn:012x}" for turn in range(10)]
    for _ in range(60):
        play(TAME, [_spoil(rng, [_operation(rng, known) for _ in range(2)]) for _ in range(20)])


FIRST = [["_uuid", "==", ["uuid", "00000000-0000-4000-0001-000000000000"]]]
INSERT = {"op": "insert", "table": "All", "row": {
    "name": "é\n", "a": 1, "words": ["map", [["k", "v"]]], "parts": ["set", []]}}


@pytest.mark.parametrize("operations", [
    [INSERT],
    [INSERT, {"op": "insert", "table": "Part", "row": {}}][:1] + [{"op": "comment", "comment": "c"}],
    [{"op": "update", "table": "All", "where": FIRST, "row": {"a": 5, "real": 2.5}}],
    [{"op": "update", "table": "All", "where": [["name", "==", "first"]], "row": {"b": True}}],
    [{"op": "update", "table": "All", "where": [], "row": {"words": ["map", [["a", "b"]]]}}],
    [{"op": "mutate", "table": "All", "where": FIRST, "mutations": [["a", "+=", 1]]},
     {"op": "commit", "durable": True}],
    [{"op": "update", "table": "Part", "where": [], "row": {"n": 3}}],
])
def test_common_transactions_take_the_quick_road(operations):
    first = [{"op": "insert", "table": "All", "row": {"name": "first"}}]
    assert play(TAME, [first, operations]) == 2


@pytest.mark.parametrize("operations", [
    [{"op": "insert", "table": "Part", "row": {}}],
    [{**INSERT, "uuid-name": "x"}],
    [{**INSERT, "row": {"parts": ["set", [["uuid", UUIDS[0]]]]}}],
    [INSERT, INSERT],
    [{"op": "update", "table": "All", "where": [], "row": {"friends": ["set", []]}}],
    [{"op": "update", "table": "All", "where": [], "row": {"fixed": 3}}],
    [{"op": "mutate", "table": "All", "where": [], "mutations": [["a", "+=", 2**63 - 1]] * 2}],
    [{"op": "insert", "table": "Few", "row": {}}] * 4,
    [],
])
def test_what_has_consequences_or_is_wrong_is_left_to_the_engine(operations):
    assert play(TAME, [[{"op": "insert", "table": "All", "row": {}}], operations]) == 1


def test_arguments_of_the_wrong_kind_are_refused():
    road = Side(TAME).road
    for arguments in ((), (["Tame"], 1), ("Tame", 1, True)):
        with pytest.raises(TypeError):
            road.decide(*arguments)
    with pytest.raises(TypeError):
        road.apply(None)
    with pytest.raises(ValueError):
        road.apply({"Unknown": {}})
    for wrong in (5, (None, None), (None, ()), (None, ((),) * 19, 3)):
        with pytest.raises(ValueError):
            road.apply({"All": {UUIDS[0]: wrong}})
    for wrong_id in (None, [], 1.5, True, 2**70):
        assert road.decide(["Tame", INSERT], wrong_id, True) is None


def test_random_uuids_are_made_as_the_engine_makes_them():
    database = Database(DatabaseSchema.from_json(TAME))
    road = new_road(database)
    uuids = set()
    for n in range(100):
        reply, _, delta, _ = road.decide(["Tame", {"op": "insert", "table": "Few", "row": {}}],
                                         n, True)
        (uuid, (_, row)), = delta["Few"].items()
        assert orjson.loads(reply)["result"] == [{"uuid": ["uuid", uuid]}] and row[0] == (uuid,)
        assert UUID(uuid).version == 4 and UUID(uuid).variant == RFC_4122 and is_uuid(uuid)
        uuids |= {uuid, *row[1]}
    assert len(uuids) == 200
    reader, writer = os.pipe()
    insert = ["Tame", {"op": "insert", "table": "Few", "row": {}}]
    child = os.fork()
    if not child:
        os.write(writer, road.decide(insert, 1, True)[0])
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 999) != road.decide(insert, 1, True)[0]
    os.close(reader)
    os.close(writer)
