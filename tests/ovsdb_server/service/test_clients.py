"""Clients that nobody here wrote, on our server: ovsdb-client, ovs-vsctl, ovs-appctl, ovs's Idl."""

import json
import subprocess

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.storage import journal
from tests.ovsdb_server.service.watcher import watching

SCHEMA = DatabaseSchema.from_json({"name": "T", "version": "1.0.0", "tables": {
    "Top": {"isRoot": True, "maxRows": 1, "columns": {
        "managers": {"type": {"key": {"type": "uuid", "refTable": "Manager"}, "min": 0,
                              "max": "unlimited"}},
        "things": {"type": {"key": {"type": "uuid", "refTable": "Thing"}, "min": 0,
                            "max": "unlimited"}}}},
    "Thing": {"indexes": [["name"]], "columns": {
        "name": {"type": "string"}, "n": {"type": "integer"},
        "tags": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}},
    "Manager": {"indexes": [["target"]], "columns": {
        "target": {"type": "string"},
        "inactivity_probe": {"type": {"key": "integer", "min": 0, "max": 1}},
        "is_connected": {"type": "boolean", "ephemeral": True},
        "status": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"},
                   "ephemeral": True}}}}})

INSERT = json.dumps(["T", {"op": "insert", "table": "Thing", "uuid-name": "t",
                           "row": {"name": "a", "tags": ["map", [["k", "v"]]]}},
                     {"op": "insert", "table": "Top", "row": {"things": ["named-uuid", "t"]}}])


@pytest.fixture
def server(make_server):
    process = make_server(files=("t.db",), options=("--remote=db:T,Top,managers",))
    journal.create(str(process.directory / "t.db"), SCHEMA)
    assert process.start("-vconsole:off", "--log-file").returncode == 0
    return process


@pytest.mark.differential
def test_ovsdb_client_works(server, tools):
    client = tools.reference("ovsdb-client")

    def run(*args):
        done = server.run(client, *args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("list-dbs", server.remote) == "T\n_Server\n"
    assert json.loads(run("get-schema", server.remote, "T")) == SCHEMA.to_json()
    assert '"uuid"' in run("transact", server.remote, INSERT)
    assert "\n0 a    {k=v}\n" in run("dump", server.remote, "T", "Thing", "name", "n", "tags")
    wait = subprocess.Popen([client, "monitor", "--format=csv", server.remote, "T", "Thing",
                             "name", "n"], stdout=subprocess.PIPE, text=True,
                            env=server.environment)
    try:
        first = [wait.stdout.readline() for _ in range(2)]
        assert first[0] == "row,action,name,n\n" and ",initial,a,0\n" in first[1]
        run("transact", server.remote, json.dumps(["T", {
            "op": "update", "table": "Thing", "where": [], "row": {"n": 5}}]))
        lines = [wait.stdout.readline() for _ in range(4)]
        assert lines[2].endswith(",old,,0\n") and lines[3].endswith(",new,a,5\n")
    finally:
        wait.kill()
        wait.wait()
        wait.stdout.close()


@pytest.mark.differential
def test_ovs_appctl_of_the_reference_drives_us(server, tools):
    appctl = tools.reference("ovs-appctl")
    for command in (["version"], ["list-commands"], ["ovsdb-server/list-dbs"], ["vlog/list"],
                    ["bogus"], ["ovsdb-server/add-remote"], ["vlog/set", "foo"]):
        theirs = server.run(appctl, "-t", "ovsdb-server", *command)
        ours = server.appctl(*command)
        assert (theirs.returncode, theirs.stdout, theirs.stderr) == (
            ours.returncode, ours.stdout, ours.stderr)


def test_the_ovs_idl_follows_through_changes_and_reconnects(server):
    with watching(server, SCHEMA.to_json(), "Thing", """
print(sorted((row.name, row.n, dict(row.tags)) for row in table.values()), flush=True)
""") as idl:
        assert idl.stdout.readline() == "[]\n"
        with blocking.connect(server.remote, 5) as connection:
            connection.call("transact", json.loads(INSERT), 5)
            assert idl.stdout.readline() == "[('a', 0, {'k': 'v'})]\n"
            connection.call("transact", ["T", {
                "op": "mutate", "table": "Thing", "where": [], "mutations": [
                    ["n", "+=", 3], ["tags", "insert", ["map", [["x", "y"]]]]]}], 5)
            assert idl.stdout.readline() == "[('a', 3, {'k': 'v', 'x': 'y'})]\n"
        server.kill()
        assert server.start("-vconsole:off").returncode == 0
        with blocking.connect(server.remote, 5) as connection:
            connection.call("transact", ["T", {"op": "update", "table": "Thing", "where": [],
                                               "row": {"n": 9}}], 5)
        line = idl.stdout.readline()
        while "9" not in line:
            line = idl.stdout.readline()
        assert line == "[('a', 9, {'k': 'v', 'x': 'y'})]\n"


def test_rows_of_a_table_are_remotes_and_get_their_status(server):
    path = f"{server.directory}/m.sock"
    with blocking.connect(server.remote, 5) as connection:
        connection.call("transact", ["T", {
            "op": "insert", "table": "Manager", "uuid-name": "u",
            "row": {"target": f"punix:{path}"}}, {
            "op": "insert", "table": "Manager", "uuid-name": "t",
            "row": {"target": "ptcp:0:127.0.0.1"}}, {
            "op": "insert", "table": "Top",
            "row": {"managers": ["set", [["named-uuid", "u"], ["named-uuid", "t"]]]}}], 5)
        updates = connection.call("monitor", ["T", "m", {"Manager": {"columns": [
            "target", "is_connected", "status"]}}], 5)
        with blocking.connect(f"unix:{path}", 5) as other:
            assert other.call("echo", ["x"], 5) == ["x"]
            status = {}
            while not (status.get(f"punix:{path}", (False,))[0] and "bound_port" in status.get(
                    "ptcp:0:127.0.0.1", (0, {}))[1]):
                for row in updates["Manager"].values():
                    new = row["new"]
                    status[new["target"]] = new["is_connected"], dict(new["status"][1])
                if len(status) < 2 or not status[f"punix:{path}"][0]:
                    updates = connection.next_notification(10).params[1]
        port = status["ptcp:0:127.0.0.1"][1]["bound_port"]
        with blocking.connect(f"tcp:127.0.0.1:{port}", 5) as other:
            assert other.call("list_dbs", [], 5) == ["T", "_Server"]
            connection.call("transact", ["T", {"op": "delete", "table": "Top", "where": []}], 5)
            with pytest.raises(blocking.ConnectionClosed):
                other.receive(5)
        with pytest.raises(FileNotFoundError):
            blocking.connect(f"unix:{path}", 5)


def test_remotes_and_databases_come_and_go_by_command(server):
    journal.create(str(server.directory / "u.db"), DatabaseSchema.from_json({
        "name": "U", "version": "1.0.0", "tables": {"A": {"columns": {"x": {"type": "string"}}}}}))
    assert server.appctl("ovsdb-server/add-remote", "punix:other.sock").stderr == ""
    assert server.appctl("ovsdb-server/add-db", "u.db").stderr == ""
    assert server.appctl("ovsdb-server/add-db", "u.db").stderr.startswith(
        "ovsdb error: u.db: already open\n")
    assert server.appctl("ovsdb-server/list-dbs").stdout == "T\nU\n_Server\n"
    with blocking.connect("unix:" + str(server.directory / "other.sock"), 5) as connection:
        assert connection.call("list_dbs", [], 5) == ["T", "U", "_Server"]
        assert server.appctl("ovsdb-server/remove-db", "U").stderr == ""
        with pytest.raises(blocking.ConnectionClosed):
            connection.receive(5)
    assert server.appctl("ovsdb-server/remove-remote", "punix:other.sock").stderr == ""
    assert server.appctl("ovsdb-server/list-remotes").stdout == (
        f"db:T,Top,managers\np{server.remote}\n")
    assert not (server.directory / "other.sock").exists()


def test_compaction_keeps_the_data(server):
    with blocking.connect(server.remote, 5) as connection:
        connection.call("transact", json.loads(INSERT), 5)
        for number in range(50):
            connection.call("transact", ["T", {"op": "update", "table": "Thing", "where": [],
                                               "row": {"n": number}}], 5)
        size = (server.directory / "t.db").stat().st_size
        assert server.appctl("ovsdb-server/compact").stderr == ""
        assert (server.directory / "t.db").stat().st_size < size
        connection.call("transact", ["T", {"op": "mutate", "table": "Thing", "where": [],
                                           "mutations": [["n", "+=", 1]]}], 5)
    server.kill()
    assert server.start("-vconsole:off").returncode == 0
    with blocking.connect(server.remote, 5) as connection:
        assert connection.call("transact", ["T", {
            "op": "select", "table": "Thing", "where": [], "columns": ["n"]}], 5) == [
                {"rows": [{"n": 50}]}]
