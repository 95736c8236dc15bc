"""The control commands of ovsdb-server: what each answers, ours and the reference."""

import re
import shlex

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.storage import journal
from ovsdb_server.storage.cluster_file import create_cluster

SCHEMA = DatabaseSchema.from_json({"name": "T", "version": "1.0.0", "tables": {
    "A": {"isRoot": True, "columns": {
        "n": {"type": "integer"}, "name": {"type": "string"},
        "set": {"type": {"key": "integer", "min": 0, "max": 9}},
        "map": {"type": {"key": "string", "value": "string", "min": 0, "max": 9}},
        "perhaps": {"type": {"key": "string", "min": 0}}}}}})

REFUSED = "\novs-appctl: ovsdb-server: server returned an error\n"
UNKNOWN = ' is not a valid command (use "list-commands" to see a list of valid commands)' + REFUSED

# (command line, what it prints, on the error output if it is a failure); in this order.
COMMANDS = [
    ("nope", '"nope"' + UNKNOWN),
    ("ovsdb-server/add-db", '"ovsdb-server/add-db" command requires at least 1 arguments' + REFUSED),
    ("ovsdb-server/add-db a b", '"ovsdb-server/add-db" command takes at most 1 arguments' + REFUSED),
    ("exit a b", '"exit" command takes at most 0 arguments' + REFUSED),
    ("ovsdb-server/tlog-set a", '"ovsdb-server/tlog-set" command requires at least 2 arguments'
     + REFUSED),
    ("ovsdb-server/list-dbs", "T\n_Server\n"),
    ("ovsdb-server/tlog-list",
     "database        table                       logging\n"
     "--------        -----                       -------\n"
     "T                \n                A                           OFF\n"
     "_Server          \n                Database                    OFF\n"),
    ("ovsdb-server/tlog-set A on", "invalid DB:TABLE argument" + REFUSED),
    ("ovsdb-server/tlog-set T: on", "invalid DB:TABLE argument" + REFUSED),
    ("ovsdb-server/tlog-set :A on", "invalid DB:TABLE argument" + REFUSED),
    ("ovsdb-server/tlog-set T:A:x on", "invalid DB:TABLE argument" + REFUSED),
    ("ovsdb-server/tlog-set X:X maybe", "invalid command argument" + REFUSED),
    ("ovsdb-server/tlog-set X:A on", "no such database" + REFUSED),
    ("ovsdb-server/tlog-set T:X on", "no such table" + REFUSED),
    ("ovsdb-server/tlog-set T:A maybe", "invalid command argument" + REFUSED),
    ("ovsdb-server/tlog-set T:A on", ""),
    ("ovsdb-server/memory-trim-on-compaction maybe", "invalid argument" + REFUSED),
    ("ovsdb-server/memory-trim-on-compaction on", ""),
    ("ovsdb-server/memory-trim-on-compaction off", ""),
    ("ovsdb-server/get-db-storage-status X", "Failed to find the database." + REFUSED),
    ("ovsdb-server/get-db-storage-status T", "status: ok\n"),
    ("ovsdb-server/compact", ""),
    ("ovsdb-server/compact T", ""),
    ("ovsdb-server/compact X", "no database by that name" + REFUSED),
    ("ovsdb-server/compact _Server", "cannot compact built-in databases" + REFUSED),
    ("ovsdb-server/add-remote db:X,A,name", '"db:X,A,name": no database named X' + REFUSED),
    ("ovsdb-server/add-remote db:T", '"db:T": invalid syntax' + REFUSED),
    ("ovsdb-server/add-remote db:T,A,name,x", ""),
    ("ovsdb-server/remove-remote db:T,A,name,x", ""),
    ("ovsdb-server/add-remote db:T,X,name", '"db:T,X,name": no table named X' + REFUSED),
    ("ovsdb-server/add-remote db:T,A,x", '"db:T,A,x": table "A" has no column "x"' + REFUSED),
    ("ovsdb-server/add-remote db:T,A,name", ""),
    ("ovsdb-server/add-remote db:T,A,name", ""),
    ("ovsdb-server/list-remotes", "db:T,A,name\npunix:{directory}/db.sock\n"),
    ("ovsdb-server/remove-remote db:T,A,name", ""),
    ("ovsdb-server/remove-remote db:T,A,name", "no such remote" + REFUSED),
    ("ovsdb-server/add-db no.db",
     "I/O error: no.db: open failed (No such file or directory)" + REFUSED),
    ("ovsdb-server/add-db ''", "I/O error: : open failed (No such file or directory)" + REFUSED),
    ("vlog/set PATTERN", "missing destination" + REFUSED),
    ("vlog/set FACILITY", "invalid facility" + REFUSED),
    ("vlog/set PATTERN:", "missing destination" + REFUSED),
    ("vlog/set pattern,console,%m", ""),
    *((f"cluster/{name} T", f'"cluster/{name}"' + UNKNOWN)
      for name in ("status", "cid", "sid", "leave")),
    ("ovsdb-server/add-db t.db", "ovsdb error: t.db: already open" + REFUSED),
    ("ovsdb-server/add-db copy.db", "ovsdb error: T: duplicate database name" + REFUSED),
    ("ovsdb-server/add-db junk.db", "ovsdb error: junk.db: cannot identify file type" + REFUSED),
    ("ovsdb-server/add-db relay:x", "ovsdb error: relay:x: invalid syntax" + REFUSED),
    ("ovsdb-server/add-db relay:R:unix:no.sock", ""),
    ("ovsdb-server/list-dbs", "R\nT\n_Server\n"),
    ("ovsdb-server/remove-db R", ""),
    ("ovsdb-server/remove-db X", "Failed to find the database." + REFUSED),
    ("ovsdb-server/remove-db _Server", "Cannot remove reserved database." + REFUSED),
    ("ovsdb-server/sync-status", "state: active\n"),
    ("ovsdb-server/get-active-ovsdb-server", ""),
    ("ovsdb-server/connect-active-ovsdb-server",
     "Unable to connect: active server is not specified.\n"),
    ("ovsdb-server/set-active-ovsdb-server unix:no.sock", ""),
    ("ovsdb-server/get-active-ovsdb-server", "unix:no.sock\n"),
    ("ovsdb-server/set-active-ovsdb-server-probe-interval x",
     "Invalid probe interval, integer value expected\n"),
    ("ovsdb-server/set-active-ovsdb-server-probe-interval 2000", ""),
    ("ovsdb-server/set-active-ovsdb-server-probe-interval 0", ""),
    ("ovsdb-server/set-sync-exclude-tables T:B,T:A", ""),
    ("ovsdb-server/get-sync-exclude-tables", "T:A,T:B\n"),
    ("ovsdb-server/set-sync-exclude-tables c,b:x:y,:d,b:,,a:z", ""),
    ("ovsdb-server/get-sync-exclude-tables", ":d:,a:z,b:,b:x:y,c:\n"),
    ("ovsdb-server/set-sync-exclude-tables ,", ""),
    ("ovsdb-server/get-sync-exclude-tables", ""),
    ("ovsdb-server/connect-active-ovsdb-server", ""),
    ("ovsdb-server/disconnect-active-ovsdb-server", ""),
    ("ovsdb-server/sync-status", "database: T\nstate: active\n"),
    ("ovsdb-server/perf-counters-clear", ""),
    ("ovsdb-server/reconnect", ""),
    ("ovsdb-server/disable-monitor-cond", ""),
]


@pytest.fixture
def server(make_server, server_kind):
    server = make_server(server_kind, files=("t.db",))
    for name in ("t.db", "copy.db"):
        journal.create(str(server.directory / name), SCHEMA)
    (server.directory / "junk.db").touch()
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    return server


def test_every_command_answers_as_the_reference_does(server, server_kind):
    with blocking.connect(f"unix:{server.directory}/ovsdb-server.{server.pid}.ctl", 5) as control:
        for line, wanted in COMMANDS:
            name, *args = shlex.split(line)
            try:
                answer = control.call(name, args, 5)
            except blocking.RpcError as error:
                answer = error.error + REFUSED[1:]
            if answer and not answer.endswith("\n"):
                answer += "\n"
            if server_kind == "reference":
                wanted = wanted.removeprefix("database: T\n")      # New since 3.1.
            assert answer == wanted.format(directory=server.directory), line


@pytest.mark.differential
def test_list_commands_names_what_the_reference_has(make_server, tools):
    tools.reference("ovsdb-server")
    found = []
    for kind in ("ours", "reference"):
        server = make_server(kind, files=("t.db",))
        journal.create(str(server.directory / "t.db"), SCHEMA)
        assert server.start("-vconsole:off").returncode == 0
        found.append(server.appctl("list-commands").stdout.splitlines())
    assert set(found[1]) - set(found[0]) == set()


def test_commands_about_clusters_come_with_the_first_cluster(server):
    assert "cluster/" not in server.appctl("list-commands").stdout
    create_cluster(str(server.directory / "c.db"),
                   DatabaseSchema.from_json({**SCHEMA.to_json(), "name": "C"}), {}, "unix:c.raft")
    assert server.appctl("ovsdb-server/add-db", "c.db").stderr == ""
    assert "cluster/status" in server.appctl("list-commands").stdout


def test_changes_of_logged_tables_are_in_the_log(server):
    server.appctl("ovsdb-server/tlog-set", "T:A", "on")
    with blocking.connect(server.remote, 5) as connection:
        def transact(*operations):
            connection.call("transact", ["T", *operations], 5)

        transact({"op": "insert", "table": "A", "row": {
            "n": 1, "name": "one two", "set": ["set", [2, 1]], "map": ["map", [["a", "b c"]]]}})
        transact({"op": "update", "table": "A", "where": [], "row": {
            "name": "", "set": 3, "perhaps": "x"}})
        transact({"op": "update", "table": "A", "where": [], "row": {"n": 1}})
        transact({"op": "delete", "table": "A", "where": []}, {"op": "abort"})
        transact({"op": "delete", "table": "A", "where": []})
        server.appctl("ovsdb-server/tlog-set", "T:A", "off")
        transact({"op": "insert", "table": "A", "row": {}})
    lines = [sorted(re.sub(r"[0-9a-f-]{36}", "U", line.partition("|INFO|")[2]).split(","))
             for line in server.log().splitlines() if "|transaction|" in line]
    same = ["_uuid:U", "_version:U"]
    assert lines == [sorted(words + same) for words in (
        ["table:A", "op:inserted", "n:1", 'name:"one two"', "set:[1", " 2]", 'map:{a="b c"}',
         "perhaps:[]"],
        ["table:A", "op:updated", "n:1", 'name:""', "set:[3]", 'map:{a="b c"}', "perhaps:x"],
        ["table:A", "op:deleted", "n:1", 'name:""', "set:[3]", 'map:{a="b c"}', "perhaps:x"])]


def test_memory_is_shown_as_the_reference_shows_it(server):
    text = server.appctl("memory/show").stdout
    assert re.fullmatch(r"atoms:\d+ cells:\d+ monitors:0 n-weak-refs:0\n", text)
    connection = server.connect()
    connection.call("monitor", "T", 1, {"A": {}})
    assert re.fullmatch(r"atoms:\d+ cells:\d+( json-caches:\d+)? monitors:1 n-weak-refs:0 "
                        r"sessions:1\n", server.appctl("memory/show").stdout)
    connection.close()


@pytest.mark.parametrize("kind", [
    "ours", pytest.param("reference", marks=pytest.mark.differential)])
def test_column_diffs_can_be_switched_off_and_on_again(make_server, kind):
    server = make_server(kind, files=("t.db",), options=("--disable-file-column-diff",))
    for name in ("t.db", "u.db"):
        journal.create(str(server.directory / name), DatabaseSchema.from_json(
            {**SCHEMA.to_json(), "name": name[0].upper()}))
    assert server.start("-vconsole:off").returncode == 0
    assert server.appctl("ovsdb-server/add-db", "u.db").stderr == ""

    def changes(name):
        """Change a set twice; return the last record."""
        with blocking.connect(server.remote, 5) as connection:
            for value in (["set", [1, 2]], ["set", [1, 2, 3]]):
                connection.call("transact", [name, {
                    "op": "insert" if value[1] == [1, 2] else "update", "table": "A",
                    "row": {"set": value}, **({} if value[1] == [1, 2] else {"where": []})}], 5)
        return (server.directory / f"{name.lower()}.db").read_text().splitlines()[-1]

    for name in "TU":
        assert '"set":["set",[1,2,3]]' in changes(name)
    if kind == "ours":
        assert server.appctl("ovsdb/file/column-diff-enable").stderr == ""
        for name in "TU":
            assert '"_is_diff":true' in changes(name)
