"""--config-file: databases of every service model and remotes, and ovsdb-server/reload."""

import json
import time

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.storage import journal

FAILED = "ovsdb-server: server configuration failed\n"
RELOAD_FAILED = ("Configuration failed.  See the log file for details.\n"
                 "ovs-appctl: ovsdb-server: server returned an error\n")


def schema(name):
    return DatabaseSchema.from_json({"name": name, "version": "1.0.0", "tables": {
        "A": {"columns": {"n": {"type": "integer"}}},
        "B": {"columns": {"n": {"type": "integer"}}}}})


class Configured:
    """A server that reads its file; `write` changes the file."""

    def __init__(self, server) -> None:
        self.server = server
        self._file = server.directory / "config.json"

    def write(self, databases=None, remotes=None) -> None:
        self._file.write_text(json.dumps({
            "remotes": {f"p{self.server.remote}": {}} if remotes is None else remotes,
            "databases": databases}))

    def write_text(self, text) -> None:
        self._file.write_text(text)

    def start(self):
        server = self.server
        done = server.run(*server.command, "--detach", "--no-chdir", "--pidfile", "--log-file",
                          "-vconsole:off", f"--config-file={self._file.name}")
        if done.returncode == 0:
            server.pid = int((server.directory / "ovsdb-server.pid").read_text())
        return done

    def reload(self) -> str:
        return self.server.appctl("ovsdb-server/reload").stderr

    def call(self, method, *params):
        with blocking.connect(self.server.remote, 5) as connection:
            return connection.call(method, list(params), 5)

    def warnings(self) -> list[str]:
        return [line.split("|WARN|")[1] for line in self.server.log().splitlines()
                if "|ovsdb_server|WARN|" in line]


@pytest.fixture
def configured(make_server):
    server = make_server()
    for name in "DE":
        journal.create(str(server.directory / f"{name}.db"), schema(name))
    return Configured(server)


def insert(name, n, table="A"):
    return name, {"op": "insert", "table": table, "row": {"n": n}}


def numbers(server, name, table="A"):
    result = server.call("transact", name, {"op": "select", "table": table, "where": [],
                                            "columns": ["n"]})[0]
    return sorted(row["n"] for row in result["rows"])


def wait_for(read, wanted):
    deadline = time.monotonic() + 10
    while True:
        try:
            seen = read()
        except (blocking.RpcError, blocking.ConnectionClosed, OSError) as error:
            seen = error
        if seen == wanted:
            return
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)


def test_remotes_and_databases_come_and_go_with_the_file(configured):
    remote = f"p{configured.server.remote}"
    configured.write({"D.db": {"service-model": "standalone"}}, {remote: {"read-only": True}})
    done = configured.start()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert configured.call("transact", *insert("D", 1))[0]["error"] == "not allowed"
    configured.write({"D.db": {}, "E.db": None}, {remote: None, "punix:more.sock": {
        "inactivity-probe": 0, "max-backoff": 5000, "role": "", "dscp": 10}})
    assert configured.reload() == ""
    assert configured.call("list_dbs") == ["D", "E", "_Server"]
    assert "uuid" in configured.call("transact", *insert("D", 1))[0]
    assert configured.server.appctl("ovsdb-server/list-remotes").stdout == (
        f"{remote}\npunix:more.sock\n")
    configured.write({"E.db": {}})
    assert configured.reload() == ""
    assert configured.call("list_dbs") == ["E", "_Server"]
    assert not (configured.server.directory / "more.sock").exists()
    # What the file names is changed in the file.
    for command in ("add-db D.db", "remove-db E", "add-remote punix:x", f"remove-remote {remote}"):
        refused = configured.server.appctl(*f"ovsdb-server/{command}".split())
        assert refused.returncode == 2 and refused.stderr.startswith(
            "Update the ") and "and use ovsdb-server/reload instead" in refused.stderr


@pytest.mark.parametrize("text, warning", [
    ("{x", "config: reading JSON failed (line 0, column 2, byte 2: invalid keyword 'x')"),
    ("[]", "config: configuration in a file must be a JSON object"),
    ('{"remotes": 1}', "config: 'remotes' is not a JSON object"),
    ('{"remotes": {"punix:x": {"probe": 1}}}', "syntax error: Parsing remote punix:x failed: "
     "Member 'probe' is present but not allowed here."),
    ('{"remotes": {"punix:x": {"read-only": 1}}}', "syntax error: Parsing remote punix:x failed: "
     "Type mismatch for member 'read-only': boolean expected."),
    ('{"remotes": {"db:X,Y,z": {}}}', '"db:X,Y,z": no database named X'),
    ('{"databases": {"D.db": {"service-model": "odd"}}}',
     "syntax error: Parsing database D.db failed: 'odd' is not a valid service model"),
    ('{"databases": {"D.db": {"source": {"unix:x": null}}}}',
     "syntax error: Parsing database D.db failed: Member 'source' is present but not allowed"),
    ('{"databases": {"D": {"service-model": "relay"}}}',
     "syntax error: Parsing database D failed: Required 'source' member is missing."),
    ('{"databases": {"D.db": {"service-model": "clustered"}}}',
     "ovsdb error: D.db: database is standalone and not clustered"),
    ('{"databases": {"no.db": {}}}',
     "I/O error: no.db: open failed (No such file or directory)"),
])
def test_a_wrong_file_is_refused_and_the_log_says_why(configured, text, warning):
    configured.write_text(text)
    done = configured.start()
    assert (done.returncode, done.stderr) == (1, FAILED)
    assert configured.warnings()[0].startswith(warning)


def test_a_wrong_file_on_reload_changes_nothing(configured):
    configured.write({"D.db": {}})
    assert configured.start().returncode == 0
    configured.write_text('{"databases": {"E.db": {"service-model": "odd"}}}')
    assert configured.reload() == RELOAD_FAILED
    assert configured.call("list_dbs") == ["D", "_Server"]
    assert len(configured.warnings()) == 1
    configured.write({"D.db": {}, "E.db": {}})
    assert configured.reload() == ""
    assert configured.call("list_dbs") == ["D", "E", "_Server"]


def test_reload_needs_a_file(make_server):
    server = make_server(files=("D.db",))
    journal.create(str(server.directory / "D.db"), schema("D"))
    assert server.start("-vconsole:off").returncode == 0
    assert server.appctl("ovsdb-server/reload").stderr == (
        "Configuration file was not specified on command line\n"
        "ovs-appctl: ovsdb-server: server returned an error\n")


def test_each_database_is_a_copy_of_its_own_active_server(configured, make_server):
    actives = {}
    for name in "DE":
        server = make_server(name=f"active{name}", files=(f"{name}.db",))
        journal.create(str(server.directory / f"{name}.db"), schema(name))
        assert server.start("-vconsole:off").returncode == 0
        actives[name] = Configured(server)
        actives[name].call("transact", *insert(name, 1))
        actives[name].call("transact", *insert(name, 2, "B"))

    def backup(name, **more):
        return {"service-model": "active-backup", "backup": True,
                "source": {actives[name].server.remote: {"inactivity-probe": 5000}}, **more}

    configured.write({"D.db": backup("D"), "E.db": backup("E", **{"exclude-tables": ["B"]})})
    assert configured.start().returncode == 0
    for name in "DE":
        wait_for(lambda: numbers(configured, name), [1])
        assert configured.call("transact", *insert(name, 5))[0]["error"] == "not allowed"
    assert numbers(configured, "D", "B") == [2] and numbers(configured, "E", "B") == []
    assert configured.server.appctl("ovsdb-server/sync-status").stdout == (
        f"database: D\nstate: backup\nreplicating: {actives['D'].server.remote}\n"
        f"database: E\nstate: backup\nreplicating: {actives['E'].server.remote}\n"
        "exclude: E:B\n")
    # One of them takes over; the other goes on without a break.
    configured.write({"D.db": {**backup("D"), "backup": False},
                      "E.db": backup("E", **{"exclude-tables": ["B"]})})
    assert configured.reload() == ""
    assert "uuid" in configured.call("transact", *insert("D", 6))[0]
    actives["D"].call("transact", *insert("D", 7))
    actives["E"].call("transact", *insert("E", 8))
    wait_for(lambda: numbers(configured, "E"), [1, 8])
    assert numbers(configured, "D") == [1, 6]
    assert "database: D\nstate: active\n" in (
        configured.server.appctl("ovsdb-server/sync-status").stdout)
    # And back again: what it had of its own is gone.
    configured.write({"D.db": backup("D")})
    assert configured.reload() == ""
    wait_for(lambda: numbers(configured, "D"), [1, 7])
    assert configured.call("list_dbs") == ["D", "_Server"]


def test_a_relay_follows_its_entry(configured, make_server):
    sources = []
    for index in (1, 2):
        server = make_server(name=f"source{index}", files=("R.db",))
        journal.create(str(server.directory / "R.db"), schema("R"))
        assert server.start("-vconsole:off").returncode == 0
        sources.append(Configured(server))
        sources[-1].call("transact", *insert("R", index))

    def relay(index):
        return {"service-model": "relay", "source": {sources[index].server.remote: {
            "max-backoff": 2000}}}

    configured.write({"R": relay(0), "D.db": None})
    assert configured.start().returncode == 0
    wait_for(lambda: numbers(configured, "R"), [1])
    assert "uuid" in configured.call("transact", *insert("R", 5))[0]
    assert numbers(sources[0], "R") == [1, 5]
    configured.write({"R": relay(1), "D.db": None})
    assert configured.reload() == ""
    wait_for(lambda: numbers(configured, "R"), [2])
