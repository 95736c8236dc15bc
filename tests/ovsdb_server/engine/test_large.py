"""What is done in slices has the outcome of what is done at once: commits, updates, records."""

import itertools
import json
import uuid as uuids

import orjson
from hypothesis import given, settings

from ovsdb_server.engine.database import Context, Database
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.monitor import COND, COND_SINCE, MONITOR
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage.replay import encode_delta, encode_delta_text
from tests.ovsdb_server.engine.monitoring import STEPS
from tests.ovsdb_server.engine.test_model import (SCHEMA, TRANSACTIONS, _assert_bookkeeping,
                                                  _operation)
from tests.ovsdb_server.engine.transactions import ZOO


def paced(things):
    """Yield `things`, as those who have time for others do."""
    yield from things


def _new_uuids():
    numbers = itertools.count(1)
    return lambda: str(uuids.UUID(int=next(numbers)))


def _commit(database, execution):
    """Let a transaction take effect as large ones do; return what would be written."""
    text = encode_delta_text(database.schema, execution.delta, "why", 1, True, paced)
    assert orjson.loads(text or b"null") == orjson.loads(orjson.dumps(
        encode_delta(database.schema, execution.delta, "why", 1)))
    if execution.delta:
        database.install(execution, database.prepare(execution, paced))


@settings(max_examples=150, deadline=None)
@given(TRANSACTIONS)
def test_random_transactions_have_the_same_outcome_in_slices(transactions):
    whole, sliced = (Database(SCHEMA, _new_uuids()) for _ in range(2))
    for steps in transactions:
        operations = [_operation(step) for step in steps]
        execution = whole.transact(operations)
        whole.commit(execution, lambda _delta, _comment: None)
        other = sliced.transact(operations, Context(), 0, paced)
        before = {name: dict(table.rows) for name, table in sliced.tables.items()}
        if other.delta:
            sliced.prepare(other, paced)
        # Nothing is to be seen until then.
        assert before == {name: table.rows for name, table in sliced.tables.items()}
        _assert_bookkeeping(sliced)
        _commit(sliced, other)
        assert other.results == execution.results and other.delta == execution.delta
        for name, table in whole.tables.items():
            assert table.rows == sliced.tables[name].rows
        _assert_bookkeeping(sliced)


def _text(pieces):
    data = b"".join(pieces)
    return json.loads(data) if data else None


def test_updates_in_pieces_tell_the_same():
    """Three databases live through the same; the monitors of one tell in pieces, two at a time."""
    schema = DatabaseSchema.from_json(json.loads(ZOO.read_text()))
    whole, sliced = (Database(schema, _new_uuids()) for _ in range(2))
    monitors: dict[str, list] = {}
    n_told = 0
    for method, params in STEPS:
        if method == "transact":
            for database in (whole, sliced):
                execution = database.transact(params[1:])
                if database is sliced:
                    _commit(database, execution)
                else:
                    database.commit(execution, lambda _delta, _comment: None)
        elif method == "monitor_cancel":
            for monitor in monitors.pop(params[0]):
                monitor.close()
        else:
            try:
                if method == "monitor_cond_change":
                    three = monitors.get(params[0], ())
                    for monitor in three:
                        monitor.change(params[2])
                    monitors.pop(params[0], None)
                    monitors[params[1]] = three
                else:
                    kind = {"monitor": MONITOR, "monitor_cond": COND,
                            "monitor_cond_since": COND_SINCE}[method]
                    three = [database.monitors.add(kind, params[2])
                             for database in (whole, sliced, sliced)]
                    initial = [json.loads(monitor.initial()) for monitor in three]
                    assert initial[0] == initial[1] == initial[2]
                    monitors[params[1]] = three
            except OvsdbError:
                pass
        for monitor, first, second in monitors.values():
            expected = monitor.flush(b"[", b"]")
            assert first.has_changes == second.has_changes
            if not first.has_changes:
                assert expected is None
                continue
            # The second one is asked before the first has told everything.
            pieces = [each.flush_pieces(b"[", b"]") for each in (first, second)]
            told = [_text(each) for each in reversed(pieces)]
            assert told == [expected and json.loads(expected)] * 2
            n_told += expected is not None
    assert n_told > 40


def test_what_comes_while_an_update_is_told_is_told_after_it():
    database = Database(SCHEMA)
    monitors = [database.monitors.add(COND, {"Indexed": [{"columns": ["name"]}]})
                for _ in range(3)]

    def rename(name):
        operations = ([{"op": "insert", "table": "Indexed", "row": {"name": name}}] if name == "a"
                      else [{"op": "update", "table": "Indexed", "where": [],
                             "row": {"name": name}}])
        _commit(database, database.transact(operations))

    def told(pieces):
        (update,) = _text(pieces)[0]["Indexed"].values()
        return update

    rename("a")
    first, second = (monitor.flush_pieces(b"[", b"]") for monitor in monitors[:2])
    rename("b")
    assert told(second) == told(first) == {"insert": {"name": "a"}}
    assert told(monitors[0].flush_pieces(b"[", b"]")) == {"modify": {"name": "b"}}
    # Who has not looked before gets both together.
    assert told(monitors[2].flush_pieces(b"[", b"]")) == {"insert": {"name": "b"}}
