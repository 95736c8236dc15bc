"""A large transaction is read in parts: the same rows, whatever its strings look like."""

import random

import orjson
import pytest

from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage import replay
from ovsdb_server.storage.replay import Replay, Staged, encode_in_pieces, split_transaction

_COLUMNS = {"name": {"type": "string"},
            "T": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}
SCHEMA = DatabaseSchema.from_json({"name": "D", "version": "1.0.0", "tables": {
    name: {"columns": _COLUMNS, "isRoot": True} for name in ("T", "U", "Empty", "V")}})
NASTY = ["}},", '"}},"U":{"', '},"00000000-0000-4000-8000-000000000000":{', "},", "\\", '"', "",
         'T":{"', "}", "{", "\u00e9", "\n", "x" * 300, '"_is_diff":true', "}},\"V\":{\"x\":"]


def new_uuid(rng: random.Random) -> str:
    return "%08x-%04x-4%03x-8%03x-%012x" % (rng.getrandbits(32), rng.getrandbits(16),
                                            rng.getrandbits(12), rng.getrandbits(12),
                                            rng.getrandbits(48))


def make_transaction(rng: random.Random, is_nasty: bool) -> dict:
    words = NASTY if is_nasty else NASTY[10:13]
    json: dict = {}
    for name in rng.sample(("T", "U", "V"), rng.randint(0, 3)):
        json[name] = {new_uuid(rng): rng.choice((
            {"name": rng.choice(words)}, {},
            {"T": ["map", [[rng.choice(words), rng.choice(words)]]], "name": rng.choice(words)}))
            for _ in range(rng.choice((0, 1, 2, 40)))}
    members = [*json.items(), ("_date", 5), ("_comment", rng.choice(words))]
    if rng.random() < 0.5:
        rng.shuffle(members)
    return dict(members)


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(replay, "_PART", 200)
    monkeypatch.setattr(replay, "_LARGE", 0)


def test_the_parts_of_a_transaction_are_the_transaction(small_parts):
    rng, n_split = random.Random(3), 0
    for _ in range(400):
        json = make_transaction(rng, is_nasty=True)
        joined: dict = {}
        for part in split_transaction(orjson.dumps(json)):
            n_split += 1
            for name, value in part.items():
                if isinstance(value, dict):
                    assert not value.keys() & joined.get(name, {}).keys()
                    joined.setdefault(name, {}).update(value)
                else:
                    joined[name] = value
        assert joined == json
    assert n_split > 1000


def test_rows_read_in_parts_are_those_read_at_once(small_parts):
    rng = random.Random(4)
    for _ in range(100):
        body = orjson.dumps(make_transaction(rng, is_nasty=False))
        whole, parts = Replay(SCHEMA), Replay(SCHEMA)
        whole.add(orjson.loads(body))
        staged = parts.parse(body)
        assert isinstance(staged, Staged)
        parts.apply(staged)
        assert {name: {uuid: row[2:] for uuid, row in rows.items()}
                for name, rows in whole.rows.items()} == {
                    name: {uuid: row[2:] for uuid, row in rows.items()}
                    for name, rows in parts.rows.items()}


def test_a_damaged_transaction_is_refused_whole(small_parts):
    rng, n_refused = random.Random(5), 0
    for _ in range(300):
        body = bytearray(orjson.dumps(make_transaction(rng, is_nasty=False)))
        place = rng.randrange(len(body))
        body[place:place + 1] = rng.choice((b"", b"{", b"}", b'"', b",", b"\\", b"5"))
        target = Replay(SCHEMA)
        try:
            expected = orjson.loads(bytes(body))
            target.add(expected if isinstance(expected, dict) else {"x": 1})
        except (ValueError, OvsdbError):
            n_refused += 1
            with pytest.raises((ValueError, OvsdbError)):
                Replay(SCHEMA).parse(bytes(body))
        else:
            Replay(SCHEMA).parse(bytes(body))
    assert n_refused > 100


def test_pieces_of_a_snapshot_make_what_is_encoded_at_once():
    rng = random.Random(6)
    for _ in range(20):
        source = Replay(SCHEMA)
        source.add(make_transaction(rng, is_nasty=True))
        text = b"".join(encode_in_pieces(SCHEMA, source.rows, 'a "comment"', 7))
        assert text == orjson.dumps(replay.encode_rows(SCHEMA, source.rows, 'a "comment"', 7))
