"""Random transactions under random monitors, through the real server and through the engine.

UUIDs are chosen by the client, so that results and updates compare as they are.  Not compared:
`_version`, the words of errors that depend on which of several rows is met first, and the empty
"modify" that the reference sends when only a condition's column changed.
"""

import json
import random

import pytest

from tests.ovsdb_server.engine.test_differential import Engine
from tests.ovsdb_server.engine.transactions import (FINE, ZOO, a_map, a_set, delete, insert,
                                                    mutate, update, uuid)
from tests.ovsdb_server.reference import ReferenceGone, Server, needs_reference

pytestmark = [pytest.mark.differential, needs_reference]

PARENTS, CHILDREN, PLAINS = range(1, 6), range(11, 19), range(31, 39)
COLUMNS = {
    "Plain": ["name", "number", "numbers", "maybe", "map", "fleeting", "real"],
    "Parent": ["name", "children", "friends", "by_name"],
    "Child": ["name", "toy"],
}
_ZERO = "00000000-0000-0000-0000-000000000000"
_VAGUE = ("duplicate uuid", "referential integrity violation")


class Player:
    """Makes random calls; remembers the monitors that are open."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.monitors = {}

    def call(self, number):
        """Return (method, params) of the next call."""
        chance = self.rng.random()
        if chance < 0.03 or not self.monitors:
            return self._monitor(f"m{number}")
        if chance < 0.06 and len(self.monitors) > 5:
            name = self.rng.choice(sorted(self.monitors))
            del self.monitors[name]
            return "monitor_cancel", [name]
        conditional = [n for n, (kind, _r) in sorted(self.monitors.items()) if kind != "monitor"]
        if chance < 0.15 and conditional:
            return self._change(self.rng.choice(conditional))
        operations = [self._operation() for _ in range(self.rng.randrange(1, 5))]
        return "transact", ["Zoo", *operations]

    def _monitor(self, name):
        kind = self.rng.choice(["monitor", "monitor_cond", "monitor_cond_since"])
        tables = self.rng.sample(sorted(COLUMNS), self.rng.randrange(1, 4))
        requests = {table: [self._request(table, kind)] for table in tables}
        self.monitors[name] = kind, requests
        since = [_ZERO] if kind == "monitor_cond_since" else []
        return kind, ["Zoo", name, requests, *since]

    def _request(self, table, kind):
        columns = self.rng.sample(COLUMNS[table], self.rng.randrange(1, len(COLUMNS[table]) + 1))
        request = {"columns": columns}
        if self.rng.random() < 0.3:
            unwanted = self.rng.choice(["initial", "insert", "delete", "modify"])
            request["select"] = {unwanted: False}
        if kind != "monitor":
            request["where"] = self._condition(columns)
        return request

    def _change(self, name):
        requests = self.monitors[name][1]
        return "monitor_cond_change", [name, name, {
            table: [{"where": self._condition(request[0]["columns"])}]
            for table, request in requests.items() if self.rng.random() < 0.7}]

    def _condition(self, columns):
        rng = self.rng
        if rng.random() < 0.15:
            return [rng.choice([True, False])]
        match rng.choice(columns):
            case "number":
                return [["number", rng.choice(["==", "<", "!=", ">="]), rng.randrange(4)]]
            case "name":
                return [["name", rng.choice(["==", "!="]), rng.choice("abcdpquv")]
                        for _ in range(rng.randrange(1, 3))]
            case "numbers":
                return [["numbers", rng.choice(["includes", "excludes"]), rng.randrange(5)]]
            case "maybe":
                return [["maybe", rng.choice(["<", "=="]), 1]]
            case "map":
                return [["map", "includes", a_map((rng.choice("abc"), rng.choice("12")))]]
        return []

    def _operation(self):
        rng = self.rng
        parent = [["_uuid", "==", uuid(rng.choice(PARENTS))]]
        child = [["_uuid", "==", uuid(rng.choice(CHILDREN))]]
        one = [["_uuid", "==", uuid(rng.choice(PLAINS))]]
        named = [["name", "==", rng.choice("abcd")]]
        pairs = a_map(*((key, uuid(rng.choice(CHILDREN))) for key in rng.sample("abc", 1)))
        return rng.choice([
            lambda: insert("Plain", {**FINE, **self._plain()}, uuid=one[0][2][1]),
            lambda: update("Plain", self._plain(), rng.choice([one, [], [["number", "==", 1]]])),
            lambda: delete("Plain", one),
            lambda: mutate("Plain", [
                ["numbers", rng.choice(["insert", "delete"]), a_set(*rng.sample(range(5), 2))],
                ["map", "delete", a_set(rng.choice("abc"))]], named),
            lambda: insert("Parent", {"name": rng.choice("pqr"), "children": self._children(),
                                      "friends": self._children(), "by_name": pairs},
                           uuid=parent[0][2][1]),
            lambda: insert("Child", {"name": rng.choice("uvw"), "toy": self._children(1)},
                           uuid=child[0][2][1]),
            lambda: insert("Child", {"name": rng.choice("uvw")}, uuid=child[0][2][1]),
            lambda: update("Parent", {"children": self._children()}, parent),
            lambda: mutate("Parent", [
                ["friends", rng.choice(["insert", "delete"]), self._children()],
                ["by_name", "insert", pairs]], parent),
            lambda: delete("Parent", parent),
            lambda: delete("Child", child),
            lambda: update("Child", {"toy": self._children(1)}, child),
        ])()

    def _children(self, most=3):
        numbers = self.rng.sample(CHILDREN, self.rng.randrange(most + 1))
        return a_set(*(uuid(number) for number in numbers))

    def _plain(self):
        rng = self.rng
        values = {
            "name": rng.choice("abcd"), "number": rng.randrange(4),
            "numbers": a_set(*rng.sample(range(5), rng.randrange(4))),
            "maybe": a_set(*rng.sample(range(3), rng.randrange(2))),
            "map": a_map(*((key, rng.choice("12")) for key in rng.sample("abc", 2))),
            "fleeting": rng.choice("xy"), "real": rng.choice([0, 1.5, 2])}
        return {key: values[key] for key in rng.sample(sorted(values), rng.randrange(1, 7))}


def _plain_results(value):
    if isinstance(value, dict):
        details = str(value.get("details", ""))
        if value.get("error") in _VAGUE or details.startswith("Attempted to store"):
            return value["error"]
        return {k: _plain_results(v) for k, v in value.items() if k != "_version"}
    if isinstance(value, list):
        return [_plain_results(v) for v in value]
    return value


def _updates(notifications):
    kept = []
    for method, params in _plain_results(notifications):
        updates = {table: {u: row for u, row in rows.items() if row != {"modify": {}}}
                   for table, rows in params[-1].items()}
        updates = {table: rows for table, rows in updates.items() if rows}
        if updates:
            kept.append(json.dumps([method, *params[:-1], updates], sort_keys=True))
    return sorted(kept)


def _play(folder, seed, n):
    player, engine = Player(seed), Engine(ZOO)
    server = Server(folder, ZOO)
    n_committed = 0
    try:
        for number in range(n):
            call = player.call(number)
            try:
                their_updates, theirs = server.call(*call)
            except ReferenceGone:
                break                    # What came before was compared.
            our_updates, ours = engine.call(*call)
            assert _plain_results(ours) == _plain_results(theirs), call
            assert _updates(our_updates) == _updates(their_updates), call
            n_committed += call[0] == "transact" and "error" not in json.dumps(ours)
    finally:
        server.close()
    assert n_committed > number // 6


def test_random_sessions_go_the_same_way(tmp_path):
    _play(tmp_path, 1, 1200)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_random_sessions_go_the_same_way(tmp_path, seed):
    _play(tmp_path, seed, 20000)
