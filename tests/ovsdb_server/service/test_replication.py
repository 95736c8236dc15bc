"""Active and backup: ours copies ours and the reference, and the reference copies ours."""

import json
import time

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.storage import journal

SCHEMA = DatabaseSchema.from_json({"name": "D", "version": "1.0.0", "tables": {
    "Root": {"isRoot": True, "columns": {"leaves": {"type": {
        "key": {"type": "uuid", "refTable": "Leaf"}, "min": 0, "max": "unlimited"}}}},
    "Leaf": {"columns": {"name": {"type": "string"}, "n": {"type": "integer"}}},
    "Local": {"isRoot": True, "columns": {"x": {"type": "integer"}}}}})

SELECT = {"op": "select", "table": "Leaf", "where": [], "columns": ["_uuid", "name", "n"]}


def insert(name):
    return [{"op": "insert", "table": "Leaf", "uuid-name": "l", "row": {"name": name}},
            {"op": "insert", "table": "Root", "row": {"leaves": ["named-uuid", "l"]}}]


def transact(server, *operations):
    with blocking.connect(server.remote, 5) as connection:
        return connection.call("transact", ["D", *operations], 5)


def wait_for(read, wanted):
    deadline = time.monotonic() + 10
    while (seen := read()) != wanted:
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)


def rows(server):
    return sorted(sorted(map(str, row.items())) for row in transact(server, SELECT)[0]["rows"])


@pytest.fixture(params=[("ours", "ours"),
                        pytest.param(("reference", "ours"), marks=pytest.mark.differential),
                        pytest.param(("ours", "reference"), marks=pytest.mark.differential)],
                ids="->".join)
def pair(request, make_server):
    """Return (active, backup), with a row in each before they meet."""
    active = make_server(request.param[0], "active", files=("d.db",))
    backup = make_server(request.param[1], "backup", files=("d.db",))
    for server in (active, backup):
        journal.create(str(server.directory / "d.db"), SCHEMA)
    assert active.start("-vconsole:off").returncode == 0
    transact(active, *insert("first"), {"op": "insert", "table": "Local", "row": {"x": 1}})
    assert backup.start("-vconsole:off", "--log-file", f"--sync-from={active.remote}",
                        "--sync-exclude-tables=D:Local").returncode == 0
    return active, backup


def test_a_backup_follows_is_read_only_and_takes_over(pair):
    active, backup = pair
    wait_for(lambda: rows(backup), rows(active))
    transact(active, *insert("second"))
    transact(active, {"op": "update", "table": "Leaf", "where": [["name", "==", "first"]],
                      "row": {"n": 5}})
    wait_for(lambda: rows(backup), rows(active))
    assert transact(backup, {"op": "select", "table": "Local", "where": []}) == [{"rows": []}]
    assert transact(backup, *insert("no"))[0]["error"] == "not allowed"
    with blocking.connect(backup.remote, 5) as connection, pytest.raises(blocking.RpcError):
        connection.call("lock", ["l"], 5)
    transact(active, {"op": "delete", "table": "Root", "where": []})
    wait_for(lambda: rows(backup), [])

    status = set(backup.appctl("ovsdb-server/sync-status").stdout.splitlines())
    assert {"state: backup", f"replicating: {active.remote}", "database: D",
            "exclude: D:Local"} <= status
    # Another active server counts when the backup is told to connect.
    assert backup.appctl("ovsdb-server/set-active-ovsdb-server", "unix:no").stderr == ""
    assert backup.appctl("ovsdb-server/get-active-ovsdb-server").stdout == "unix:no\n"
    assert status == set(backup.appctl("ovsdb-server/sync-status").stdout.splitlines())
    active.kill()
    assert backup.appctl("ovsdb-server/disconnect-active-ovsdb-server").stderr == ""
    assert "uuid" in transact(backup, *insert("mine"))[0]
    # 3.1 does not name the database.
    assert backup.appctl("ovsdb-server/sync-status").stdout in (
        "database: D\nstate: active\n", "state: active\n")


def test_what_was_copied_survives_a_restart(make_server):
    active = make_server("ours", "active", files=("d.db",))
    backup = make_server("ours", "backup", files=("d.db",))
    for server in (active, backup):
        journal.create(str(server.directory / "d.db"), SCHEMA)
    assert active.start("-vconsole:off").returncode == 0
    transact(active, *insert("first"))
    assert backup.start("-vconsole:off", f"--sync-from={active.remote}").returncode == 0
    wait_for(lambda: rows(backup), rows(active))
    expected = rows(active)
    backup.kill()
    assert backup.start("-vconsole:off").returncode == 0
    assert rows(backup) == expected


@pytest.mark.parametrize("kind", [
    "ours", pytest.param("reference", marks=pytest.mark.differential)])
def test_a_server_that_is_told_to_copy_itself_stays_active(make_server, kind):
    server = make_server(kind, files=("d.db",))
    journal.create(str(server.directory / "d.db"), SCHEMA)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    transact(server, *insert("first"))
    before = rows(server)
    server.appctl("ovsdb-server/set-active-ovsdb-server", server.remote)
    server.appctl("ovsdb-server/connect-active-ovsdb-server")
    wait_for(lambda: "|ovsdb_error|ERR|unexpected ovsdb error: Server ID check failed: Self "
                     "replicating is not allowed" in server.log(), True)
    assert server.appctl("ovsdb-server/get-active-ovsdb-server").stdout == f"{server.remote}\n"
    # 3.1 does not name the database.
    assert server.appctl("ovsdb-server/sync-status").stdout == (
        "database: D\n" * (kind == "ours") + "state: active\n")
    assert rows(server) == before
    assert "uuid" in transact(server, *insert("second"))[0]


WIDER = DatabaseSchema.from_json({"name": "D", "version": "2.0.0", "tables": {
    **SCHEMA.to_json()["tables"],
    "Local": {"isRoot": True, "columns": {"x": {"type": "integer"}, "y": {"type": "string"}}},
    "More": {"isRoot": True, "columns": {"x": {"type": "integer"}}}}})


@pytest.mark.parametrize("kind", [
    "ours", pytest.param("reference", marks=pytest.mark.differential)])
def test_a_backup_with_a_wider_schema_follows_and_one_with_a_narrower_does_not(make_server, kind):
    active = make_server("ours", "active", files=("d.db",))
    wide = make_server(kind, "wide", files=("d.db",))
    journal.create(str(active.directory / "d.db"), SCHEMA)
    journal.create(str(wide.directory / "d.db"), WIDER)
    assert active.start("-vconsole:off").returncode == 0
    transact(active, *insert("first"), {"op": "insert", "table": "Local", "row": {"x": 3}})
    assert wide.start("-vconsole:off", "--log-file",
                      f"--sync-from={active.remote}").returncode == 0
    wait_for(lambda: rows(wide), rows(active))
    assert transact(wide, {"op": "select", "table": "Local", "where": [],
                           "columns": ["x", "y"]}) == [{"rows": [{"x": 3, "y": ""}]}]
    for line in ("Schema version mismatch, checking if D can still be replicated or not.",
                 "D can be replicated.", "Monitor request received. Resetting the database"):
        assert f"|replication|INFO|{line}\n" in wide.log()
    # The other way round it does not fit; what was there stays until the roles are changed.
    assert wide.appctl("ovsdb-server/disconnect-active-ovsdb-server").stderr == ""
    narrow = make_server(kind, "narrow", files=("d.db",))
    journal.create(str(narrow.directory / "d.db"), SCHEMA)
    assert narrow.start("-vconsole:off", "--log-file",
                        f"--sync-from={wide.remote}").returncode == 0
    wait_for(lambda: "|replication|INFO|D cannot be replicated.\n" in narrow.log(), True)
    assert rows(narrow) == []
    # It goes on as if it were active, so that its schema can be changed.
    wait_for(lambda: narrow.appctl("ovsdb-server/sync-status").stdout.endswith("state: active\n"),
             True)
    assert "|replication|WARN|Nothing to replicate.\n" in narrow.log()
    assert "uuid" in transact(narrow, *insert("mine"))[0]


@pytest.mark.parametrize("kind", [
    "ours", pytest.param("reference", marks=pytest.mark.differential)])
def test_roles_change_places_and_back(make_server, kind):
    """Each is the other's backup in turn; clients that are aware of changes stay."""
    servers = [make_server("ours", "one", files=("d.db",)),
               make_server(kind, "two", files=("d.db",))]
    for server in servers:
        journal.create(str(server.directory / "d.db"), SCHEMA)
        assert server.start("-vconsole:off", "--log-file").returncode == 0
    for one, two in (servers, servers[::-1], servers):
        assert one.appctl("ovsdb-server/disconnect-active-ovsdb-server").stderr == ""
        two.appctl("ovsdb-server/set-active-ovsdb-server", one.remote)
        two.appctl("ovsdb-server/connect-active-ovsdb-server")
        transact(one, *insert(one.directory.name))
        wait_for(lambda: (rows(two), "replicating" in two.appctl(
            "ovsdb-server/sync-status").stdout), (rows(one), True))
        assert transact(two, *insert("no"))[0]["error"] == "not allowed"
        assert transact(two, SELECT)[0]["rows"] != []
        row, = transact_server(two)
        assert row == {"model": "standalone", "connected": True, "leader": True}
        # The active comes back after a break, with something new.
        one.kill()
        assert one.start("-vconsole:off", "--log-file").returncode == 0
        transact(one, *insert("again"))
        wait_for(lambda: rows(two), rows(one))


def transact_server(server):
    with blocking.connect(server.remote, 5) as connection:
        return connection.call("transact", ["_Server", {
            "op": "select", "table": "Database", "where": [["name", "==", "D"]],
            "columns": ["model", "connected", "leader"]}], 5)[0]["rows"]


def test_the_config_file_says_which_databases_are_copies(make_server):
    active = make_server("ours", "active", files=("d.db",))
    backup = make_server("ours", "backup")
    other = DatabaseSchema.from_json({"name": "Other", "version": "1.0.0", "tables": {
        "A": {"columns": {"x": {"type": "integer"}}}}})
    journal.create(str(active.directory / "d.db"), SCHEMA)
    journal.create(str(backup.directory / "d.db"), SCHEMA)
    journal.create(str(backup.directory / "other.db"), other)
    assert active.start("-vconsole:off").returncode == 0
    transact(active, *insert("first"))
    config = backup.directory / "config.json"

    def write(is_backup):
        config.write_text(json.dumps({
            "remotes": {f"p{backup.remote}": {}}, "databases": {"other.db": None, "d.db": {
                "service-model": "active-backup", "backup": is_backup,
                "source": {active.remote: {}}, "exclude-tables": ["Local"]}}}))

    write(True)
    done = backup.run(*backup.command, "--detach", "--no-chdir", "--pidfile", "-vconsole:off",
                      f"--config-file={config}")
    assert (done.returncode, done.stderr) == (0, "")
    backup.pid = int((backup.directory / "ovsdb-server.pid").read_text())
    wait_for(lambda: rows(backup), rows(active))
    assert transact(backup, *insert("no"))[0]["error"] == "not allowed"
    assert backup.appctl("ovsdb-server/sync-status").stdout.splitlines() == [
        "database: D", "state: backup", f"replicating: {active.remote}", "exclude: D:Local"]
    with blocking.connect(backup.remote, 5) as connection:
        assert "uuid" in connection.call("transact", ["Other", {
            "op": "insert", "table": "A", "row": {"x": 1}}], 5)[0]
    write(False)
    assert backup.appctl("ovsdb-server/reload").stderr == ""
    assert "uuid" in transact(backup, *insert("mine"))[0]
