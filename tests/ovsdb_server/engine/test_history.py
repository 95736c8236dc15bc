"""The history of transactions: what is kept, what is found, what a monitor tells of it."""

import json

import pytest

from ovsdb_server.engine.atom import ZERO_UUID
from ovsdb_server.engine.database import Context, Database, Triggers
from ovsdb_server.engine.history import MAX_LENGTH, History
from ovsdb_server.engine.monitor import COND_SINCE
from ovsdb_server.engine.schema import DatabaseSchema

SCHEMA = DatabaseSchema.from_json({"name": "D", "tables": {"T": {"columns": {
    "n": {"type": "integer"}, "s": {"type": "string"}}}}})


class Recorded:
    """A database whose transactions are called t1, t2, ... and kept."""

    def __init__(self):
        self.database = Database(SCHEMA)
        self.history = History()
        self.history.begin(self.database, "t0")
        self.deltas = []
        self.triggers = Triggers(self.database, self._write)

    def _write(self, delta, _comment):
        self.deltas.append((f"t{len(self.deltas) + 1}", delta))
        self.history.add(*self.deltas[-1])

    def run(self, *operations):
        execution = self.triggers.submit(list(operations), now=0, token=0, context=Context())
        assert all("error" not in result for result in execution.results)

    def insert(self, n, s=""):
        self.run({"op": "insert", "table": "T", "row": {"n": n, "s": s}})

    def known(self):
        return [n for n in range(len(self.deltas) + 1)
                if self.history.since(f"t{n}") is not None]





def test_a_history_begins_with_its_base():
    history = History()
    assert history.since(ZERO_UUID) is None and history.last_id == ZERO_UUID
    history.begin(Database(SCHEMA), "t0")
    assert history.since("t0") == [] and history.last_id == "t0"
    assert (len(history), history.n_atoms) == (1, 0)


def test_transactions_are_kept_while_together_they_are_smaller_than_the_database():
    recorded = Recorded()
    for n in range(3):
        recorded.insert(n)
    # Each row has four atoms with its _uuid and _version, the base has none.
    assert recorded.known() == [0, 1, 2, 3] and recorded.history.n_atoms == 12
    recorded.run({"op": "update", "table": "T", "where": [["n", "==", 1]], "row": {"s": "x"}})
    assert recorded.known() == [3, 4] and recorded.history.n_atoms == 12
    recorded.run({"op": "delete", "table": "T", "where": [["n", "==", 2]]})
    assert recorded.known() == [5] and recorded.history.n_atoms == 4
    recorded.run({"op": "delete", "table": "T", "where": []})
    assert recorded.known() == [6] and recorded.history.n_atoms == 8


def test_at_most_a_hundred_are_kept():
    recorded = Recorded()
    for n in range(150):
        recorded.insert(n)
    assert len(recorded.history) == MAX_LENGTH
    assert recorded.known() == list(range(51, 151))
    assert len(recorded.history.since("t51")) == 99


@pytest.mark.parametrize("n_before", [0, 7])
def test_a_history_read_from_a_log_is_the_one_that_grew(n_before):
    recorded = Recorded()
    for n in range(130):
        recorded.insert(n)
        if n % 50 == 49:
            recorded.run({"op": "delete", "table": "T", "where": [["n", "<", n - 9]]})
    again = History()
    base = f"t{n_before}"
    again.begin(recorded.database, base, recorded.deltas[n_before:])
    assert again.last_id == recorded.history.last_id
    assert (len(again), again.n_atoms) == (len(recorded.history), recorded.history.n_atoms)


def test_a_monitor_tells_what_was_missed_as_one_change():
    recorded = Recorded()
    for n in range(20):
        recorded.insert(n)
    recorded.run({"op": "update", "table": "T", "where": [["n", "==", 3]], "row": {"s": "a"}})
    recorded.run({"op": "update", "table": "T", "where": [["n", "==", 3]], "row": {"s": "b"}})
    recorded.insert(77)
    recorded.run({"op": "delete", "table": "T", "where": [["n", "==", 77]]})
    monitor = recorded.database.monitors.add(COND_SINCE, {"T": [{"columns": ["s"]}]})
    rows = json.loads(monitor.updates_of(recorded.history.since("t20")))["T"]
    assert list(rows.values()) == [{"modify": {"s": "b"}}]
    conditional = recorded.database.monitors.add(
        COND_SINCE, {"T": [{"columns": ["n"], "where": [["s", "==", "b"]]}]})
    rows = json.loads(conditional.updates_of(recorded.history.since("t20")))["T"]
    assert list(rows.values()) == [{"insert": {"n": 3}}]
    assert conditional.updates_of(recorded.history.since("t24")) == b"{}"
