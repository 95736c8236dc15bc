"""The queue of transactions on their way into the log."""

from itertools import count

from ovsdb_server.engine.database import Context, Database
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service.cluster.proposer import LATER, Proposer
from ovsdb_server.storage.replay import Replay
from tests.ovsdb_server.service.cluster.cluster import SCHEMA


class Case:
    """A proposer of an empty database, with what it kicked."""

    def __init__(self) -> None:
        self.database = Database(DatabaseSchema.from_json(SCHEMA))
        self.n_kicks = 0
        ids = count(1)
        self.proposer = Proposer(self.database, self._kick,
                                 lambda: f"{next(ids):08}-0000-4000-8000-000000000000",
                                 lambda: 12345)

    def _kick(self) -> None:
        self.n_kicks += 1

    def submit(self, token: object, *operations: dict, now: float = 0.0):
        return self.proposer.submit(list(operations), Context(), now, token)

    def keys(self) -> set[str]:
        column = self.database.tables["T"].schema.columns["k"].index
        return {row[column][0] for row in self.database.tables["T"].rows.values()}

    def commit(self) -> list[object]:
        """Let the batch stand in the log; return the tokens of who is answered."""
        tokens = []
        for decision in self.proposer.committed():
            if decision.entry is not None:
                self.database.apply(decision.execution)
            tokens.append(decision.request.token)
        return tokens


def insert(k: str, n: int = 0) -> dict:
    return {"op": "insert", "table": "T", "row": {"k": k, "n": n}}


def add(k: str) -> dict:
    return {"op": "mutate", "table": "T", "where": [["k", "==", k]],
            "mutations": [["n", "+=", 1]]}


def count_of(case: Case, k: str) -> int:
    result = case.submit("count", {"op": "select", "table": "T", "where": [["k", "==", k]],
                                   "columns": ["n"]})
    return result.results[0]["rows"][0]["n"]


def test_what_reads_is_answered_at_once_and_what_writes_later():
    case = Case()
    assert case.submit(1, {"op": "select", "table": "T", "where": []}).results == [{"rows": []}]
    assert case.submit(2, insert("a")) is LATER
    assert case.n_kicks == 1 and case.proposer.has_work


def test_nothing_of_a_batch_is_seen_before_it_is_committed():
    case = Case()
    monitor = case.database.monitors.add("monitor", {"T": [{}]})
    monitor.initial()
    case.submit(1, insert("a"))
    finished, entries = case.proposer.next_batch(0.0)
    assert not finished and len(entries) == 1
    assert case.keys() == set() and not monitor.has_changes
    assert case.commit() == [1]
    assert case.keys() == {"a"} and monitor.has_changes


def test_transactions_of_a_batch_see_those_before_them():
    case = Case()
    case.submit(1, insert("a"))
    for token in range(2, 6):
        case.submit(token, add("a"))
    case.submit(6, insert("a"))
    _, entries = case.proposer.next_batch(0.0)
    assert len(entries) == 5
    replay = Replay(case.database.schema)
    for entry in entries:
        replay.add(entry.data)
    batch = list(case.proposer.under_way)
    assert "error" in batch[-1].execution.results[-1]
    assert case.commit() == [1, 2, 3, 4, 5, 6]
    assert count_of(case, "a") == 4
    column = case.database.tables["T"].schema.columns["n"].index
    assert [row[column] for row in replay.rows["T"].values()] == [(4,)]


def test_a_rejected_batch_is_decided_anew_in_its_order():
    case = Case()
    case.submit(1, insert("a"))
    case.submit(2, add("a"))
    case.proposer.next_batch(0.0)
    case.submit(3, add("a"))
    # Another server's insert came first.
    execution = case.database.transact([insert("a", 10)])
    case.proposer.rejected()
    case.database.apply(execution)
    finished, entries = case.proposer.next_batch(0.0)
    assert [token for token, _ in finished] == [1]
    assert "error" in finished[0][1].results[-1]
    assert len(entries) == 2
    assert case.commit() == [2, 3]
    assert count_of(case, "a") == 12


def test_a_transaction_that_waits_is_decided_when_its_row_comes():
    case = Case()
    wait = {"op": "wait", "table": "T", "where": [["k", "==", "a"]], "columns": ["n"],
            "until": "==", "rows": [{"n": 1}], "timeout": 5000}
    case.submit(1, wait, insert("b"))
    assert case.proposer.next_batch(0.0) == ([], [])
    assert len(case.proposer) == 1 and case.proposer.next_deadline() == 5.0
    case.submit(2, insert("a", 1))
    case.proposer.next_batch(1.0)
    assert case.commit() == [2]
    assert case.proposer.run(1.0) == []
    _, entries = case.proposer.next_batch(1.0)
    assert len(entries) == 1
    assert case.commit() == [1]
    assert case.keys() == {"a", "b"}


def test_a_wait_that_times_out_is_answered():
    case = Case()
    case.submit(1, {"op": "wait", "table": "T", "where": [], "columns": ["n"], "until": "==",
                    "rows": [{"n": 1}], "timeout": 100}, insert("b"))
    case.proposer.next_batch(0.0)
    finished = case.proposer.run(0.1)
    assert [token for token, _ in finished] == [1]
    assert finished[0][1].results[0]["error"] == "timed out"


def test_who_is_gone_is_not_decided_unless_under_way():
    case = Case()
    case.submit(1, insert("a"))
    case.submit(2, insert("b"))
    assert case.proposer.cancel(2)
    case.proposer.next_batch(0.0)
    assert not case.proposer.cancel(1)
    assert case.commit() == [1]


def test_of_a_batch_that_is_refused_only_what_cannot_be_stored_fails():
    case = Case()
    for token, key in enumerate("abc"):
        case.submit(token, insert(key))
    case.proposer.next_batch(0.0)
    error = OvsdbError("I/O error", "too large")
    assert case.proposer.refused(error) == []
    _, entries = case.proposer.next_batch(0.0)
    assert len(entries) == 1
    finished = case.proposer.refused(error)
    assert [token for token, _ in finished] == [0]
    assert finished[0][1].results[-1]["error"] == "I/O error"
    case.proposer.next_batch(0.0)
    assert case.commit() == [1]
    case.proposer.next_batch(0.0)
    assert case.commit() == [2]
    assert case.keys() == {"b", "c"}
