"""Monitors: net changes, shared encoding, closing; the forms are in test_differential."""

import json

import orjson
import pytest

from ovsdb_server.engine.database import Context, Database, Triggers
from ovsdb_server.engine.monitor import COND, MONITOR
from ovsdb_server.engine.schema import DatabaseSchema
from tests.ovsdb_server.engine.transactions import ZOO, delete, plain, update

REQUESTS = {"Plain": {"columns": ["name"]}}
ONE_NAMED_X = {"Plain": [{"columns": ["name"], "where": [["name", "==", "x"]]}]}


@pytest.fixture
def database():
    return Database(DatabaseSchema.from_json(json.loads(ZOO.read_text())))


def _run(database, *operations):
    triggers = Triggers(database, lambda _delta, _comment: None)
    return triggers.submit(list(operations), Context(), 0.0, 1).results


def _rows(text):
    return list(orjson.loads(text)["Plain"].values())


def test_equal_monitors_that_keep_up_share_one_encoding(database):
    monitors = [database.monitors.add(MONITOR, REQUESTS) for _ in range(3)]
    _run(database, plain(name="a"))
    texts = [monitor.flush() for monitor in monitors]
    assert texts[0] is texts[1] is texts[2]
    assert _rows(texts[0]) == [{"new": {"name": "a"}}]


def test_a_slow_monitor_gets_the_net_change(database):
    quick, slow = (database.monitors.add(MONITOR, REQUESTS) for _ in range(2))
    _run(database, plain(name="a"))
    quick.flush()
    _run(database, update("Plain", {"name": "b"}), plain(name="c"))
    assert {"new": {"name": "b"}, "old": {"name": "a"}} in _rows(quick.flush())
    assert sorted(_rows(slow.flush()), key=str) == [{"new": {"name": "b"}}, {"new": {"name": "c"}}]
    assert not slow.has_changes


def test_changes_that_cancel_out_are_not_told(database):
    monitor = database.monitors.add(MONITOR, REQUESTS)
    _run(database, plain(name="a"))
    _run(database, delete("Plain"))
    assert monitor.flush() is None
    _run(database, plain(name="a"))
    monitor.flush()
    _run(database, update("Plain", {"name": "b"}))
    _run(database, update("Plain", {"name": "a"}))
    assert monitor.flush() is None


def test_columns_that_nobody_watches_cost_nothing(database):
    monitor = database.monitors.add(MONITOR, REQUESTS)
    _run(database, plain(name="a"))
    monitor.flush()
    _run(database, update("Plain", {"number": 7}))
    assert not monitor.has_changes and monitor.flush() is None


def test_rows_come_and_go_with_columns_that_only_the_condition_names(database):
    monitor = database.monitors.add(COND, {"Plain": [
        {"columns": ["name"], "where": [["number", "==", 1]]}]})
    later = database.monitors.add(COND, {"Plain": [{"columns": ["name"]}]})
    _run(database, plain(name="a", number=0))
    assert monitor.flush() is None and _rows(later.flush()) == [{"insert": {"name": "a"}}]
    later.change({"Plain": [{"where": [["number", "==", 1]]}]})
    assert _rows(later.flush()) == [{"delete": None}]
    for number, told in ((1, {"insert": {"name": "a"}}), (2, {"delete": None}), (3, None)):
        _run(database, update("Plain", {"number": number}))
        for each in (monitor, later):
            text = each.flush()
            assert (None if text is None else _rows(text)[0]) == told
    later.close()
    monitor.close()
    assert len(database.monitors) == 0


def test_a_changed_condition_and_pending_changes_come_as_one_update(database):
    _run(database, plain(name="x"), plain(name="y"))
    monitor = database.monitors.add(COND, ONE_NAMED_X)
    assert _rows(monitor.initial()) == [{"initial": {"name": "x"}}]
    _run(database, update("Plain", {"name": "z"}, [["name", "==", "x"]]))
    monitor.change({"Plain": [{"where": [["name", "==", "y"]]}]})
    assert sorted(_rows(monitor.flush()), key=str) == [{"delete": None}, {"insert": {"name": "y"}}]
    assert monitor.flush() is None


def test_closing_forgets_everything(database):
    monitors = [database.monitors.add(kind, REQUESTS) for kind in (MONITOR, COND)]
    _run(database, plain(name="a"))
    for monitor in monitors:
        monitor.close()
    assert len(database.monitors) == 0
    _run(database, plain(name="b"))
    assert not any(monitor.has_changes for monitor in monitors)


INDEXED = {"name": "Small", "version": "1.0.0", "tables": {"T": {
    "columns": {"name": {"type": "string"}, "number": {"type": "integer"}},
    "indexes": [["name"]], "isRoot": True}}}


def test_rows_that_an_index_finds_are_all_that_the_first_reply_looks_at():
    database = Database(DatabaseSchema.from_json(INDEXED))
    uuids = [result["uuid"] for result in _run(database, *(
        {"op": "insert", "table": "T", "row": {"name": name, "number": number}}
        for number, name in enumerate("abcdef")))]

    def names(*where):
        monitor = database.monitors.add(COND, {"T": [{"columns": ["name"], "where": list(where)}]})
        rows = orjson.loads(monitor.initial()).get("T", {}).values()
        return "".join(sorted(row["initial"]["name"] for row in rows)), monitor.n_initial

    assert names(["name", "==", "b"], ["name", "==", "none"], ["_uuid", "==", uuids[3]],
                 ["name", "==", "d"], False) == ("bd", 2)
    assert names(["name", "==", "b"], ["number", "==", 4]) == ("be", 6)
    assert names(["name", "!=", "b"]) == ("acdef", 6)
    assert names(["name", "==", "b"], True) == ("abcdef", 6)
    assert names(False) == ("", 0)
    assert names() == ("abcdef", 6)
