"""Remotes that tables name: what they do and the status written back, ours and the reference."""

import json
import re
import socket
import time

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage import journal


def _optional(kind):
    return {"type": {"key": kind, "min": 0}}


def _many(kind):
    return {"type": {"key": kind, "min": 0, "max": "unlimited"}}


_MAP = {"key": "string", "value": "string", "min": 0, "max": "unlimited"}
SCHEMA = DatabaseSchema.from_json({"name": "M", "version": "1.0.0", "tables": {
    "Root": {"isRoot": True, "columns": {
        "texts": _many("string"), "rows": _many({"type": "uuid", "refTable": "Manager"})}},
    "Manager": {"columns": {
        "target": {"type": "string"}, "max_backoff": _optional("integer"),
        "inactivity_probe": _optional("integer"), "read_only": _optional("boolean"),
        "role": _optional("string"), "other_config": {"type": _MAP},
        "is_connected": {"type": "boolean", "ephemeral": True},
        "status": {"type": _MAP, "ephemeral": True}}}}})


@pytest.fixture(params=["ours", pytest.param("reference", marks=[
    pytest.mark.differential, pytest.mark.long])])
def server(request, make_server):
    server = make_server(request.param, files=("m.db",), options=(
        "--remote=db:M,Root,texts", "--remote=db:M,Root,rows"))
    journal.create(str(server.directory / "m.db"), SCHEMA)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    return server


def manage(talk, *rows, texts=()):
    """Make `rows` and `texts` the remotes."""
    inserts = [{"op": "insert", "table": "Manager", "uuid-name": f"m{index}", "row": row}
               for index, row in enumerate(rows)]
    result = talk.call(
        "transact", "M", {"op": "delete", "table": "Root", "where": []}, *inserts,
        {"op": "insert", "table": "Root", "row": {
            "texts": ["set", list(texts)],
            "rows": ["set", [["named-uuid", f"m{index}"] for index in range(len(rows))]]}})
    assert not any("error" in each for each in result if each), result


def status(talk):
    """Return {target: (is_connected, status)}."""
    rows = talk.call("transact", "M", {"op": "select", "table": "Manager", "where": []})[0]["rows"]
    return {row["target"]: (row["is_connected"], dict(row["status"][1])) for row in rows}


def wait_for(read, is_right):
    deadline = time.monotonic() + 10
    while not is_right(seen := read()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen


def talk_to(server, name):
    return type(server.connect())(str(server.directory / name))


def listener(server, name):
    """Return a listening socket where the server is to call."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(server.directory / name))
    sock.listen()
    sock.settimeout(10)
    return sock


def test_both_forms_are_remotes_until_their_text_or_row_goes(server):
    talk = server.connect()
    manage(talk, {"target": "punix:row.sock", "read_only": True}, texts=["punix:text.sock"])
    wait_for(lambda: list(server.directory.glob("*.sock")), lambda found: len(found) == 3)
    by_text, by_row = talk_to(server, "text.sock"), talk_to(server, "row.sock")
    insert = {"op": "insert", "table": "Root", "row": {}}
    assert "uuid" in by_text.call("transact", "M", insert)[0]
    assert by_row.call("transact", "M", insert)[0] == {
        "error": "not allowed",
        "details": "insert operation not allowed when database server is in read only mode"}
    assert by_row.call("lock", "l") == (
        "lock and unlock methods not allowed, DB server is read only.")
    manage(talk)
    assert by_text.receive() is None and by_row.receive() is None
    assert {path.name for path in server.directory.glob("*.sock")} == {"db.sock"}
    for target in ("punix:text.sock", "punix:row.sock"):
        assert f"|ovsdb_jsonrpc_server|INFO|{target}: remote deconfigured\n" in server.log()


def test_a_socket_that_cannot_be_bound_is_told(server):
    talk = server.connect()
    manage(talk, {"target": "punix:/nonexistent/a.sock"})
    wait_for(server.log, lambda log: "listen failed" in log)
    # The reference says so again each time that it reads the table.
    assert [line.split("|", 2)[2] for line in server.log().splitlines()
            if "|WARN|" in line or "|ERR|" in line][:3] == [
        'fatal_signal|WARN|could not unlink "/nonexistent/a.sock" (No such file or directory)',
        "stream_unix|ERR|/nonexistent/a.sock: binding failed: No such file or directory",
        "ovsdb_jsonrpc_server|ERR|punix:/nonexistent/a.sock: listen failed: "
        "No such file or directory"]


def test_the_status_of_listeners_counts_their_connections(server):
    talk = server.connect()
    manage(talk, {"target": "punix:a.sock"}, {"target": "ptcp:0:127.0.0.1"},
           {"target": "ptcp:1:1.2.3.4"})
    times = {"sec_since_connect": "N", "sec_since_disconnect": "N"}

    def read():
        """The status; how many seconds have passed is the machine's business."""
        return {target: (is_connected, {
            key: re.sub(r"^\d+$", "N", value) if key.startswith("sec_") else value
            for key, value in each.items()}) for target, (is_connected, each)
            in status(talk).items()}

    wait_for(lambda: status(talk), lambda seen: all(each for _, each in seen.values()))
    port = re.search(r"0:127.0.0.1: listening on port (\d+)$", server.log(), re.M).group(1)
    clients = [talk_to(server, "a.sock")]
    more = [socket.create_connection(("127.0.0.1", int(port))) for _ in range(2)]
    assert clients[0].call("lock", "l") == {"locked": True}
    assert wait_for(read, lambda seen: "n_connections" in seen["ptcp:0:127.0.0.1"][1]) == {
        "punix:a.sock": (True, times),
        "ptcp:0:127.0.0.1": (True, {**times, "bound_port": port, "n_connections": "2"}),
        "ptcp:1:1.2.3.4": (False, times)}
    assert ("|socket_util|ERR|1:1.2.3.4: bind: Cannot assign requested address" in server.log()
            and "|ovsdb_jsonrpc_server|ERR|ptcp:1:1.2.3.4: listen failed: Cannot assign requested "
                "address" in server.log())
    for client in (*more, *clients):
        client.close()
    wait_for(read, lambda seen: seen["ptcp:0:127.0.0.1"] == (
        False, {**times, "bound_port": port}))


def test_a_server_that_calls_out_tells_its_state_and_locks(server):
    talk = server.connect()
    with listener(server, "called.sock") as waiting:
        manage(talk, {"target": "unix:called.sock"}, {"target": "unix:nobody.sock"})
        called, _ = waiting.accept()
    for index, name in enumerate(("one", "two")):
        called.sendall(json.dumps({"id": index, "method": "lock", "params": [name]}).encode())
    seen = wait_for(lambda: status(talk), lambda seen: seen["unix:called.sock"][1].get(
        "locks_held", "").count(" ") == 1)
    is_connected, found = seen["unix:called.sock"]
    assert is_connected and found["state"] == "ACTIVE"
    assert sorted(found["locks_held"].split()) == ["one", "two"]
    assert int(found["sec_since_connect"]) <= 5 and "sec_since_disconnect" not in found
    assert not seen["unix:nobody.sock"][0]
    assert seen["unix:nobody.sock"][1]["state"] in ("BACKOFF", "CONNECTING")
    called.close()
    is_connected, found = wait_for(lambda: status(talk), lambda seen: not seen[
        "unix:called.sock"][0])["unix:called.sock"]
    assert found["state"] == "BACKOFF" and "locks_held" not in found
    assert "sec_since_disconnect" in found


def test_a_silent_client_is_asked_and_then_dropped(server):
    talk = server.connect()
    manage(talk, {"target": "ptcp:0:127.0.0.1", "inactivity_probe": 1})
    port = wait_for(lambda: re.search(r"listening on port (\d+)$", server.log(), re.M),
                    lambda found: found is not None).group(1)
    with socket.create_connection(("127.0.0.1", int(port))) as client:
        client.settimeout(5)
        started = time.monotonic()
        assert json.loads(client.recv(1000)) == {"id": "echo", "method": "echo", "params": []}
        assert time.monotonic() - started >= 0.9
        assert client.recv(1000) == b""
    assert re.search(r"\|reconnect\|ERR\|tcp:127.0.0.1:\d+: no response to inactivity probe after "
                     r"1 seconds, disconnecting\n", server.log())


def test_another_probe_interval_keeps_the_listener_and_its_clients(server):
    talk = server.connect()
    manage(talk, {"target": "ptcp:0:127.0.0.1", "inactivity_probe": 60_000})
    port = wait_for(lambda: re.search(r"listening on port (\d+)$", server.log(), re.M),
                    lambda found: found is not None).group(1)
    with socket.create_connection(("127.0.0.1", int(port))) as client:
        client.settimeout(5)
        client.sendall(b'{"id":1,"method":"list_dbs","params":[]}')
        assert b'"M"' in client.recv(1000)
        manage(talk, {"target": "ptcp:0:127.0.0.1", "inactivity_probe": 1000})
        assert json.loads(client.recv(1000))["method"] == "echo"
        client.sendall(b'{"id":"echo","result":[],"error":null}')
        manage(talk, {"target": "ptcp:0:127.0.0.1", "inactivity_probe": 0})
        client.sendall(b'{"id":1,"method":"list_dbs","params":[]}')
        assert b'"M"' in client.recv(1000)
    assert server.log().count("listening on port") == 1


# 3.1 lets go on who was there, and who comes later too.
@pytest.mark.parametrize("server", ["ours"], indirect=True)
def test_another_role_or_access_ends_the_sessions_not_the_listener(server):
    talk = server.connect()
    manage(talk, {"target": "punix:a.sock"})
    wait_for(lambda: (server.directory / "a.sock").exists(), bool)
    inode = (server.directory / "a.sock").stat().st_ino
    client = talk_to(server, "a.sock")
    insert = {"op": "insert", "table": "Root", "row": {}}
    assert "uuid" in client.call("transact", "M", insert)[0]
    manage(talk, {"target": "punix:a.sock", "read_only": True})
    wait_for(lambda: talk_to(server, "a.sock").call("transact", "M", insert)[0],
             lambda result: result.get("error") == "not allowed")
    assert (server.directory / "a.sock").stat().st_ino == inode
