"""The same transactions and monitors through the real server and through the engine."""

import json

import orjson
import pytest

from ovsdb_server.engine.database import Context, Database, Triggers
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.monitor import COND, COND_SINCE, MONITOR
from ovsdb_server.engine.schema import DatabaseSchema
from tests.ovsdb_server.engine import monitoring, transactions
from tests.ovsdb_server.reference import Server, needs_reference, normalize

pytestmark = [pytest.mark.differential, needs_reference]

_ZERO = "00000000-0000-0000-0000-000000000000"


class Engine:
    """Our engine behind the calls of `reference.Server`."""

    def __init__(self, schema):
        self.database = Database(DatabaseSchema.from_json(json.loads(schema.read_text())))
        self.triggers = Triggers(self.database, lambda _delta, _comment: None)
        self.monitors = {}

    def call(self, method, params):
        """Return (notifications, result or {"ERROR": error})."""
        try:
            result = self._result(method, params)
        except OvsdbError as error:
            result = {"ERROR": error.to_json()}
        return self._flush(), orjson.loads(orjson.dumps(result))

    def _result(self, method, params):
        if method == "transact":
            execution = self.triggers.submit(params[1:], Context(), 0.0, object())
            assert not execution.is_waiting
            return execution.results
        if method == "monitor_cond_change":
            self.monitors[params[0]].change(params[2])
            self.monitors[params[1]] = self.monitors.pop(params[0])
            return {}
        if method == "monitor_cancel":
            self.monitors.pop(params[0]).close()
            return {}
        monitor = self.database.monitors.add(method, params[2])
        self.monitors[params[1]] = monitor
        initial = orjson.loads(monitor.initial())
        return [False, _ZERO, initial] if method == COND_SINCE else initial

    def _flush(self):
        notifications = []
        for name, monitor in self.monitors.items():
            text = monitor.flush()
            if text is not None:
                update = orjson.loads(text)
                notifications.append({
                    MONITOR: ["update", [name, update]], COND: ["update2", [name, update]],
                    COND_SINCE: ["update3", [name, _ZERO, update]]}[monitor.kind])
        return notifications


@pytest.fixture
def pair(tmp_path):
    server = Server(tmp_path, transactions.ZOO)
    yield server, Engine(transactions.ZOO)
    server.close()


def test_all_transactions_have_the_same_results(pair):
    server, engine = pair
    differences = []
    for case in transactions.CASES:
        theirs = normalize(server.call("transact", ["Zoo", *case])[1])
        ours = normalize(engine.call("transact", ["Zoo", *case])[1])
        if theirs != ours:
            differences.append((case, theirs, ours))
    assert differences == []


def test_all_monitors_tell_the_same(pair):
    server, engine = pair
    our_names, their_names = {}, {}
    differences = []
    for method, params in monitoring.STEPS:
        theirs = _comparable(server.call(method, params), their_names)
        ours = _comparable(engine.call(method, params), our_names)
        if theirs != ours:
            differences.append((method, params, theirs, ours))
    assert differences == []


def _comparable(answer, names):
    """Name UUIDs by the result first: it lists them in the same order on both sides."""
    notifications, result = answer
    text = normalize(result, names)
    notifications.sort(key=lambda notification: notification[1][0])
    return text, json.dumps(json.loads(normalize(notifications, names)), sort_keys=True)
