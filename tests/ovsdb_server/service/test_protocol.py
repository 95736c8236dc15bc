"""The protocol, message by message, compared with the reference server's answers."""

import json
from pathlib import Path

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.storage import journal

SCHEMA = DatabaseSchema.from_json({"name": "D", "version": "1.0.0", "tables": {
    "Root": {"isRoot": True, "columns": {"leaves": {"type": {
        "key": {"type": "uuid", "refTable": "Leaf"}, "min": 0, "max": "unlimited"}}}},
    "Leaf": {"indexes": [["name"]], "columns": {
        "name": {"type": "string"}, "n": {"type": "integer"},
        "tags": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}}}})


def request(id, method, *params):
    return {"id": id, "method": method, "params": list(params)}


def transact(id, *operations):
    return request(id, "transact", "D", *operations)


INSERT = ({"op": "insert", "table": "Leaf", "row": {"name": "a", "tags": ["map", [["k", "v"]]]},
           "uuid-name": "leaf"},
          {"op": "insert", "table": "Root", "row": {"leaves": ["named-uuid", "leaf"]}})
WAIT = {"op": "wait", "table": "Leaf", "where": [], "columns": ["name"], "until": "!=", "rows": []}
Z = "00000000-0000-0000-0000-000000000000"

CASES = {
    "wrong parameters": [
        request(1, "monitor", 3, 1), request(2, "monitor_cond", "x", 1, {}),
        request(3, "get_schema"), request(4, "set_db_change_aware"), request(5, "monitor_cancel"),
        request(6, "monitor_cancel", 8), request(7, "monitor_cond_change", 8),
        request(8, "monitor_cond_change", 8, 9, {}), request(9, "transact"),
        request(10, "convert", "D"), request(11, "monitor_cond_since", "D", 1, {}, 5),
        request(12, "monitor_cond_since", "D", 1, {}, "x"), request(13, "monitor", "D", 1, []),
        request(14, "foo", 1), request(15, "cancel", 1), request(16, "update", 2)],
    "locks": [
        request(1, "lock", 3), request(2, "lock", "a"), request(3, "lock", "a"),
        request(4, "steal", "a"), request(5, "unlock", "b"), transact(6, {"op": "assert",
                                                                          "lock": "a"}),
        request(7, "unlock", "a"), transact(8, {"op": "assert", "lock": "a"})],
    "echo and ids of any type": [
        request(1, "echo", 1.0, 1e3, "x", {"a": [2.0]}, None), request([1, {"a": 2}], "echo"),
        request("x", "echo", "é")],
    "list_dbs": [request(1, "list_dbs", 5)],
    "a wait that holds everything up": [transact(5, WAIT), transact(5)],
    "waits that time out": [transact(1, dict(WAIT, timeout=0)), transact(2, *INSERT[:1],
                                                                         dict(WAIT, timeout=0))],
    "the reserved database": [
        request(1, "transact", "_Server", {
            "op": "select", "table": "Database", "where": [["name", "==", "D"]],
            "columns": ["name", "model", "connected", "leader", "schema", "index", "cid"]}),
        request(2, "transact", "_Server", {"op": "delete", "table": "Database", "where": []})],
    "the first form of monitors": [
        request(1, "monitor", "D", "m", {"Leaf": {"columns": ["name", "n", "tags"]},
                                         "Root": {"columns": ["leaves"]}}),
        request(2, "monitor", "D", "m", {}), transact(3, *INSERT),
        transact(4, {"op": "mutate", "table": "Leaf", "where": [],
                     "mutations": [["n", "+=", 3], ["tags", "insert", ["map", [["x", "y"]]]]]}),
        request(5, "monitor_cond_change", "m", "m5", {"Leaf": [{"where": [True]}]}),
        transact(6, {"op": "delete", "table": "Root", "where": []}),
        request(7, "monitor_cancel", "m5"), request(8, "monitor_cancel", "m5")],
    "select masks": [
        request(1, "monitor", "D", "m", {"Leaf": [
            {"columns": ["name"], "select": {"initial": False, "delete": False}},
            {"columns": ["n"], "select": {"modify": False}}]}),
        transact(2, *INSERT), transact(3, {"op": "update", "table": "Leaf", "where": [],
                                           "row": {"n": 9}}),
        transact(4, {"op": "update", "table": "Leaf", "where": [], "row": {"name": "b"}}),
        transact(5, {"op": "delete", "table": "Root", "where": []})],
    "conditions that change": [
        request(1, "monitor_cond", "D", "m", {"Leaf": [{"columns": ["name", "n", "tags"],
                                                        "where": [["n", "==", 1]]}]}),
        transact(2, *INSERT),
        transact(3, {"op": "update", "table": "Leaf", "where": [], "row": {"n": 1}}),
        transact(4, {"op": "mutate", "table": "Leaf", "where": [], "mutations": [
            ["tags", "delete", ["set", ["k"]]]]}),
        transact(5, {"op": "update", "table": "Leaf", "where": [], "row": {"n": 2}}),
        request(6, "monitor_cond_change", "m", "n", {"Leaf": [{"where": [["n", ">", 1]]}]}),
        request(7, "monitor_cond_change", "n", "n", {"Nope": [{"where": [True]}]}),
        request(8, "monitor_cond_change", "n", "n", {"Leaf": {}}),
        request(9, "monitor_cond_change", "n", "n", {"Leaf": [{"columns": ["name"]}]}),
        request(10, "monitor_cond_change", "n", "n", []),
        request(11, "monitor_cond_change", "n", "n", {"Leaf": [{"where": [False]}]})],
    "monitor_cond_since": [
        request(1, "monitor_cond_since", "D", "m", {"Leaf": [{"columns": ["name"]}]}, Z),
        transact(2, *INSERT),
        transact(3, {"op": "update", "table": "Leaf", "where": [], "row": {"name": "b"}}),
        transact(4, {"op": "delete", "table": "Root", "where": []})],
    "durable commits": [transact(1, *INSERT, {"op": "commit", "durable": True},
                                 {"op": "comment", "comment": "x"})],
    "replies nobody asked for": [{"id": 1, "result": 3, "error": None}],
    "replies to a probe": [{"id": "echo", "result": [], "error": None}, request(1, "list_dbs")],
    "a bad message after a good one": [b'{"id":1,"method":"echo","params":[]} }'],
    "an unexpected member": [b'{"id":1,"method":"echo","params":[],"x":1}'],
    "parameters that are no array": [b'{"id":1,"method":"echo","params":{}}'],
    "a NUL in a string": [b'{"id":1,"method":"echo","params":["\\u0000"]}'],
    "an array": [b"[1]"],
    "schemas that cannot be converted to": [
        request(1, "convert", "D", {"name": "Other", "version": "1.0.0", "tables": {
            "A": {"columns": {"b": {"type": "string"}}}}}),
        request(2, "convert", "D", 3), request(3, "convert", "No", {})],
}


def converse(server, messages, tools) -> list[str]:
    talk = server.connect()
    talk.send(*messages)
    names: dict[str, str] = {}
    try:
        return [tools.normalized(answer, names) for answer in talk.until_sync()]
    except BrokenPipeError:
        return [tools.normalized(answer, names) for answer in iter(talk.receive, None)] + ['"end"']
    finally:
        talk.close()


@pytest.mark.differential
def test_every_answer_is_the_references(make_server, tools):
    answers = {}
    for kind in ("reference", "ours"):
        server = make_server(kind, files=("d.db",))
        journal.create(str(server.directory / "d.db"), SCHEMA)
        assert server.start("-vconsole:off", "--log-file").returncode == 0
        for name, messages in CASES.items():
            _empty(server)
            answers.setdefault(name, {})[kind] = converse(server, messages, tools)
    for name, pair in answers.items():
        assert pair["ours"] == pair["reference"], name


def _empty(server) -> None:
    talk = server.connect()
    talk.call("transact", "D", {"op": "delete", "table": "Root", "where": []})
    talk.close()


@pytest.fixture
def server(make_server, tools):
    process = make_server(files=("d.db",))
    journal.create(str(process.directory / "d.db"), SCHEMA)
    assert process.start("-vconsole:off").returncode == 0
    return process


def test_a_cancelled_transaction_is_answered(server):
    talk = server.connect()
    talk.send(transact(5, WAIT), {"id": None, "method": "cancel", "params": [5]})
    assert talk.receive() == {"id": 5, "result": None, "error": "canceled"}


def test_a_wait_is_released_by_another_session(server):
    waiter, writer = server.connect(), server.connect()
    waiter.send(transact(5, WAIT))
    assert waiter.until_sync() == []
    writer.call("transact", "D", *INSERT)
    assert waiter.receive() == {"id": 5, "result": [{}], "error": None}


def test_locks_pass_from_session_to_session(server):
    first, second, third = (server.connect() for _ in range(3))
    assert first.call("lock", "a") == {"locked": True}
    assert second.call("lock", "a") == {"locked": False}
    assert third.call("steal", "a") == {"locked": True}
    assert first.receive()["method"] == "stolen"
    third.close()
    assert first.receive() == {"id": None, "method": "locked", "params": ["a"]}
    first.close()
    assert second.receive() == {"id": None, "method": "locked", "params": ["a"]}


def test_conversion_keeps_data_and_sends_unaware_sessions_away(server):
    aware, unaware, requester = (server.connect() for _ in range(3))
    aware.call("set_db_change_aware", True)
    unaware.call("echo")
    aware.call("monitor", "D", "m", {"Leaf": {}})
    requester.call("set_db_change_aware", True)
    requester.call("transact", "D", *INSERT)
    assert aware.receive()["method"] == "update"
    schema = json.loads(json.dumps(SCHEMA.to_json()))
    schema["version"] = "2.0.0"
    schema["tables"]["Leaf"]["columns"]["color"] = {"type": "string"}
    assert requester.call("convert", "D", schema) == {}
    assert aware.receive() == {"id": None, "method": "monitor_canceled", "params": ["m"]}
    assert unaware.receive() is None
    rows = aware.call("transact", "D", {"op": "select", "table": "Leaf", "where": [],
                                        "columns": ["name", "color"]})
    assert rows == [{"rows": [{"name": "a", "color": ""}]}]
    server.kill()
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    assert server.connect().call("get_schema", "D")["version"] == "2.0.0"


def test_a_reader_that_sleeps_gets_one_merged_update(server):
    sleeper, writer = server.connect(), server.connect()
    big = "x" * 400_000
    sleeper.call("monitor_cond", "D", "m", {"Leaf": [{"columns": ["name", "n"]}]})
    writer.call("transact", "D", *INSERT)
    for number in range(60):
        writer.call("transact", "D", {"op": "update", "table": "Leaf", "where": [],
                                      "row": {"name": f"{big}{number}", "n": number}})
    updates = sleeper.until_sync()
    assert len(updates) < 30
    last = updates[-1]["params"][1]["Leaf"]
    assert next(iter(last.values()))["modify"]["n"] == 59


def test_what_was_acknowledged_survives_a_kill(server):
    talk = server.connect()
    names = []
    for number in range(20):
        talk.call("transact", "D", {"op": "insert", "table": "Leaf", "uuid-name": "l",
                                    "row": {"name": str(number)}},
                  {"op": "insert", "table": "Root", "row": {"leaves": ["named-uuid", "l"]}},
                  {"op": "commit", "durable": True})
        names.append(str(number))
    server.kill()
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    rows = server.connect().call("transact", "D", {
        "op": "select", "table": "Leaf", "where": [], "columns": ["name"]})[0]["rows"]
    assert sorted(row["name"] for row in rows) == sorted(names)


def test_a_torn_tail_is_cut_off(server):
    talk = server.connect()
    talk.call("transact", "D", *INSERT)
    server.kill()
    path = Path(server.directory / "d.db")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[-80:-10])
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    talk = server.connect()
    assert len(talk.call("transact", "D", {"op": "select", "table": "Leaf", "where": []})[0][
        "rows"]) == 1
    talk.call("transact", "D", {"op": "delete", "table": "Root", "where": []})
    assert path.read_bytes().startswith(whole)


NEW_SCHEMA = {"name": "D", "version": "2.0.0", "tables": {
    "Leaf": {"isRoot": True, "columns": {
        "name": {"type": "string"}, "n": {"type": {"key": "integer", "min": 0, "max": 3}},
        "more": {"type": "string"}}}}}
MONITOR_ALL = request("mon", "monitor_cond", "D", "m", {"Leaf": [{"columns": ["name", "n"]}]})
AWARE = request("aware", "set_db_change_aware", True)

# {name: [(session, message)]}; "close" ends a session.  After each step all sessions are read.
TALKS = {
    "a queue of locks": [
        ("a", request(1, "lock", "l")), ("b", request(1, "lock", "l")),
        ("c", request(1, "lock", "l")), ("a", request(2, "unlock", "l")),
        ("b", "close"), ("a", request(3, "lock", "l")), ("c", request(2, "unlock", "l")),
        ("a", request(4, "unlock", "l"))],
    "theft": [
        ("a", request(1, "lock", "l")), ("b", request(1, "steal", "l")),
        ("c", request(1, "steal", "l")), ("b", request(2, "steal", "l")),
        ("b", request(3, "unlock", "l")), ("b", request(4, "steal", "l")),
        ("a", transact(2, {"op": "assert", "lock": "l"})),
        ("b", transact(5, {"op": "assert", "lock": "l"})), ("b", "close"),
        ("c", request(2, "unlock", "l")), ("a", transact(3, {"op": "assert", "lock": "l"}))],
    "a waiting transaction that another one releases": [
        ("a", transact(1, *INSERT, WAIT)), ("a", request(2, "echo")),
        ("b", transact(1, {"op": "select", "table": "Leaf", "where": []})),
        ("a", transact(3, dict(WAIT, until="==", timeout=0), *INSERT[:1])),
        ("b", transact(3, {"op": "select", "table": "Leaf", "where": [], "columns": ["name"]}))],
    "cancelled": [
        ("a", AWARE), ("a", transact(1, dict(WAIT, table="Leaf"))),
        ("a", {"id": None, "method": "cancel", "params": [5]}),
        ("a", {"id": None, "method": "cancel", "params": [1]}),
        ("a", {"id": None, "method": "cancel", "params": [1]}), ("a", transact(1))],
    "monitors of several sessions": [
        ("a", MONITOR_ALL), ("b", request(1, "monitor", "D", "x", {"Leaf": {"columns": ["n"]}})),
        ("c", transact(1, *INSERT)), ("a", transact(1, {
            "op": "update", "table": "Leaf", "where": [], "row": {"name": "new"}})),
        ("b", request(2, "monitor_cancel", "x")),
        ("c", transact(2, {"op": "update", "table": "Leaf", "where": [], "row": {"n": 8}})),
        ("c", transact(3, {"op": "delete", "table": "Root", "where": []}))],
    "a conversion": [
        ("a", AWARE), ("a", MONITOR_ALL), ("b", MONITOR_ALL),
        ("c", AWARE), ("c", request(1, "monitor_cond", "_Server", "s", {"Database": [{
            "columns": ["name", "connected"], "where": [["name", "==", "D"]]}]})),
        ("c", transact(2, *INSERT)), ("a", transact("wait", dict(WAIT, until="==", rows=[
            {"name": "never"}]))),
        ("c", request(3, "convert", "D", NEW_SCHEMA)),
        ("a", request(5, "get_schema", "D")),
        ("a", transact(6, {"op": "select", "table": "Leaf", "where": [], "columns": [
            "name", "n", "more"]})),
        ("a", request(7, "convert", "D", dict(NEW_SCHEMA, tables={"Leaf": {"columns": {
            "name": {"type": "integer"}}}})))],
}


@pytest.mark.differential
@pytest.mark.parametrize("name", TALKS)
def test_several_sessions_hear_what_the_reference_tells_them(make_server, tools, name):
    heard = {}
    for kind in ("reference", "ours"):
        server = make_server(kind, files=("d.db",))
        journal.create(str(server.directory / "d.db"), SCHEMA)
        assert server.start("-vconsole:off").returncode == 0
        names: dict[str, str] = {}
        control = blocking.connect(
            f"unix:{server.directory}/ovsdb-server.{server.pid}.ctl", 5)
        sessions, ended, log = {}, set(), heard.setdefault(kind, [])
        for session in sorted({session for session, _ in TALKS[name]}):
            sessions[session] = server.connect()
        for session, message in TALKS[name]:
            if message == "close":
                sessions.pop(session).close()
                while f"sessions:{len(sessions)}\n" not in control.call("memory/show", [], 5):
                    pass
            else:
                sessions[session].send(message)
            # Whoever asked is read first: what others hear follows from that.
            for other in sorted(sessions, key=lambda other: other != session):
                if other in ended:
                    continue
                try:
                    messages = sessions[other].until_sync()
                except BrokenPipeError:
                    messages = ["end"]
                if messages and messages[-1] == "end":
                    ended.add(other)
                log.append((session, message, other, [tools.normalized(each, names)
                                                      for each in messages]))
    for ours, theirs in zip(heard["ours"], heard["reference"], strict=True):
        assert ours == theirs
