"""Large replies go out in pieces: exactly once, in order, and others have their turn meanwhile.

The client that asks does not read at first, so the server stands in the middle of its reply while
others change the database.
"""

import json
import time

import pytest

N_ROWS = 8_000
SCHEMA = {"name": "D", "version": "1.0.0", "tables": {"T": {"columns": {
    "name": {"type": "string"},
    "tags": {"type": {"key": "string", "min": 0, "max": "unlimited"}}},
    "indexes": [["name"]], "isRoot": True}}}


@pytest.fixture
def server(make_server, tmp_path):
    """A server with a table of many rows."""
    from ovsdb_server.engine.schema import DatabaseSchema
    from ovsdb_server.storage.journal import create
    create(str(tmp_path / "D.db"), DatabaseSchema.from_json(SCHEMA))
    server = make_server(files=(str(tmp_path / "D.db"),))
    assert server.start().returncode == 0
    talk = server.connect()
    for start in range(0, N_ROWS, 4000):
        talk.call("transact", "D", *(
            {"op": "insert", "table": "T", "row": {"name": f"n{i}", "tags": "x" * 20}}
            for i in range(start, start + 4000)))
    talk.close()
    return server


def connect(server):
    """Return a connection that the server has accepted."""
    talk = server.connect()
    assert talk.call("echo") == []
    return talk


def change_rows(server) -> None:
    """Modify, delete and insert a row, and change one back and forth."""
    other = server.connect()
    for operation in (
            {"op": "update", "table": "T", "where": [["name", "==", "n7999"]],
             "row": {"tags": "changed"}},
            {"op": "delete", "table": "T", "where": [["name", "==", "n7998"]]},
            {"op": "insert", "table": "T", "row": {"name": "new"}},
            {"op": "update", "table": "T", "where": [["name", "==", "n5"]], "row": {"name": "m5"}},
            {"op": "update", "table": "T", "where": [["name", "==", "m5"]],
             "row": {"name": "n5"}}):
        (result,) = other.call("transact", "D", operation)
        assert "error" not in result
    other.close()


def names_of(updates: dict) -> list[str]:
    return sorted(row["initial"]["name"] for row in updates["T"].values())


def test_a_commit_during_a_large_reply_is_told_after_it_and_once(server):
    talk = connect(server)
    talk.send({"id": 1, "method": "monitor_cond", "params": [
        "D", "m", {"T": [{"columns": ["name", "tags"]}]}]},
              {"id": 2, "method": "echo", "params": ["behind"]})
    change_rows(server)
    first = talk.receive()
    assert first["id"] == 1
    assert names_of(first["result"]) == sorted(f"n{i}" for i in range(N_ROWS))
    assert {len(row["initial"]["tags"]) for row in first["result"]["T"].values()} == {20}
    update = talk.receive()
    assert update["method"] == "update2" and update["params"][0] == "m"
    rows = update["params"][1]["T"]
    uuids = {row["initial"]["name"]: uuid for uuid, row in first["result"]["T"].items()}
    assert rows[uuids["n7998"]] == {"delete": None}
    # Of a set, what is told is what came and what went.
    assert rows[uuids["n7999"]] == {"modify": {"tags": ["set", ["changed", "x" * 20]]}}
    del rows[uuids["n7998"]], rows[uuids["n7999"]]
    assert uuids["n5"] not in rows
    assert list(rows.values()) == [{"insert": {"name": "new"}}]
    assert talk.receive() == {"id": 2, "result": ["behind"], "error": None}
    assert talk.until_sync() == []


def test_a_large_select_shows_the_rows_of_its_moment(server):
    talk = connect(server)
    talk.send({"id": 1, "method": "transact", "params": [
        "D", {"op": "select", "table": "T", "where": [], "columns": ["name", "tags"]},
        {"op": "insert", "table": "T", "row": {"name": "mine"}},
        {"op": "select", "table": "T", "where": [["name", "==", "mine"]], "columns": ["name"]},
        {"op": "comment", "comment": "x"}]})
    change_rows(server)
    rows, inserted, mine, comment = talk.receive()["result"]
    assert sorted(row["name"] for row in rows["rows"]) == sorted(f"n{i}" for i in range(N_ROWS))
    assert {row["tags"] for row in rows["rows"]} == {"x" * 20}
    assert list(inserted) == ["uuid"] and comment == {}
    assert mine == {"rows": [{"name": "mine"}]}


def test_what_a_select_cannot_go_on_with_is_told_in_its_place(server):
    talk = server.connect()
    results = talk.call("transact", "D", {"op": "select", "table": "T", "where": []},
                        {"op": "abort"}, {"op": "comment", "comment": "x"})
    assert len(results[0]["rows"]) == N_ROWS
    assert results[1]["error"] == "aborted" and results[2] is None


def test_notifications_wait_until_a_reply_is_whole(server):
    talk = server.connect()
    assert talk.call("lock", "l") == {"locked": True}
    talk.send({"id": 1, "method": "monitor", "params": ["D", "m", {"T": {}}]})
    thief = server.connect()
    assert thief.call("steal", "l") == {"locked": True}
    first, second = talk.receive(), talk.receive()
    assert first["id"] == 1 and len(first["result"]["T"]) == N_ROWS
    assert second == {"id": None, "method": "stolen", "params": ["l"]}


def test_replies_keep_their_order_around_durable_transactions(server):
    talk = server.connect()
    durable = [{"op": "insert", "table": "T", "row": {"name": "durable"}},
               {"op": "commit", "durable": True}]
    talk.send({"id": 1, "method": "transact", "params": ["D", *durable]},
              {"id": 2, "method": "monitor_cond", "params": ["D", "m", {"T": [{}]}]},
              {"id": 3, "method": "transact", "params": ["D", {
                  "op": "delete", "table": "T", "where": [["name", "==", "durable"]]}]},
              {"id": 4, "method": "echo", "params": []})
    messages = [talk.receive() for _ in range(5)]
    assert [message["id"] for message in messages] == [1, 2, None, 3, 4]
    assert "durable" in names_of(messages[1]["result"])
    assert list(messages[2]["params"][1]["T"].values()) == [{"delete": None}]


def test_a_client_that_goes_during_its_reply_leaves_nothing(server):
    for _ in range(3):
        talk = connect(server)
        talk.send({"id": 1, "method": "monitor", "params": ["D", "m", {"T": {}}]})
        assert server.connect().call("echo", "x") == ["x"]
        talk.socket.recv(1000)
        talk.close()
    change_rows(server)
    talk = server.connect()
    assert talk.call("list_dbs") == ["D", "_Server"]
    deadline = time.monotonic() + 10
    while "monitors:0" not in (shown := server.appctl("memory/show").stdout):
        assert time.monotonic() < deadline
    assert "backlog" not in shown and "sessions:1\n" in shown


def test_two_large_replies_at_once_come_whole(server):
    talks = [connect(server) for _ in range(2)]
    for talk in talks:
        talk.send({"id": 1, "method": "monitor_cond_since", "params": [
            "D", "m", {"T": [{"where": [["name", "!=", "n7"]]}]},
            "00000000-0000-0000-0000-000000000000"]})
    for talk in talks:
        found, _, updates = talk.receive()["result"]
        assert found is False
        assert names_of(updates) == sorted(f"n{i}" for i in range(N_ROWS) if i != 7)


def test_compaction_keeps_what_is_committed_meanwhile(server, tmp_path):
    control, talk = server.connect(), server.connect()
    path = str(server.directory / f"ovsdb-server.{server.pid}.ctl")
    control = type(talk)(path)
    control.send({"id": 1, "method": "ovsdb-server/compact", "params": []})
    n = 0
    control.socket.setblocking(False)
    while True:
        try:
            answer = control.socket.recv(1000)
            break
        except BlockingIOError:
            talk.call("transact", "D", {"op": "insert", "table": "T", "row": {"name": f"c{n}"}})
            n += 1
    assert json.loads(answer)["error"] is None
    talk.call("transact", "D", {"op": "insert", "table": "T", "row": {"name": "after"}})
    server.kill()
    from ovsdb_server.storage.journal import Journal
    journal = Journal.open(str(tmp_path / "D.db"), is_read_only=True)
    names = {row[2][0] for row in journal.load().tables["T"].rows.values()}
    assert journal.damage is None and journal.n_records < n + 4
    assert names == {f"n{i}" for i in range(N_ROWS)} | {f"c{i}" for i in range(n)} | {"after"}
