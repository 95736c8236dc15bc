"""The same transactions over every transport have the same results and leave the same rows.

A transport is a way to a database: Unix socket, TCP and TLS over IPv4 and IPv6, a relay, the end
of a chain of relays, an active server with a backup, the offline tool, the reference.  The
transactions are those of `engine/transactions.py`; the engine, in this process, says what the
results must be.
"""

import json
import re
import time

import pytest

from ovsdb_server.engine.database import Context, Database, Triggers
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.storage import journal
from tests.ovsdb_server.authority import Authority
from tests.ovsdb_server.engine.transactions import ABORT, CASES, ZOO, plain
from tests.ovsdb_server.reference import normalize
from utilities.ovsdb_tool import main as tool_main

SCHEMA = DatabaseSchema.from_json(json.loads(ZOO.read_text()))

# What stays in the database at the end.
LAST = [plain(number=n, name=f"last {n}", numbers=["set", [n, 0]], map=["map", [["k", str(n)]]])
        for n in range(1, 8)]

# What changes the database, and a sample of the many that only try values.
SAMPLE = [case for index, case in enumerate(CASES)
          if index % 40 == 0 or not case or case[-1] != ABORT]

SELECTS = [{"op": "select", "table": name, "where": []} for name in sorted(SCHEMA.tables)]

N_CHAINED = 5


def dump(call):
    """Return all rows, without what differs from one database to the next."""
    return normalize([json.loads(normalize(result)) for result in call(SELECTS)])


class Engine:
    """The engine without any transport."""

    def __init__(self) -> None:
        self._triggers = Triggers(Database(SCHEMA), lambda _delta, _comment: None)

    def call(self, operations: list) -> list:
        return json.loads(json.dumps(self._triggers.submit(
            operations, Context(), 0.0, object()).results))


class Client:
    """A connection to a server."""

    def __init__(self, remote: str, tls=None) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self.connection = blocking.connect(remote, 5, tls)
                self.connection.call("set_db_change_aware", [True], 5)
                connected = {"op": "wait", "table": "Database", "where": [["name", "==", "Zoo"]],
                             "columns": ["connected"], "until": "==", "rows": [{"connected": True}]}
                assert self.connection.call("transact", ["_Server", connected], 10) == [{}]
                return
            except (blocking.ConnectionClosed, OSError):
                # A relay sends away who came before it knew its schema.
                assert time.monotonic() < deadline

    def call(self, operations: list) -> list:
        return self.connection.call("transact", ["Zoo", *operations], 10)


class Tool:
    """ovsdb-tool on a file."""

    def __init__(self, path: str, capsys) -> None:
        self._path = path
        self._capsys = capsys

    def call(self, operations: list) -> list:
        assert tool_main(["transact", self._path, json.dumps(["Zoo", *operations])]) == 0
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def serve(make_server):
    """Return a function that starts a server of the Zoo."""

    def start(*options, kind="ours", name="zoo", files=("zoo.db",)):
        server = make_server(kind, name, options, files)
        if files == ("zoo.db",):
            journal.create(str(server.directory / "zoo.db"), SCHEMA)
        assert server.start("-vconsole:off", "--log-file").returncode == 0
        return server

    return start


def unix(serve, _path, _capsys):
    return [Client(serve().remote)]


def reference(serve, _path, _capsys):
    return [Client(serve(kind="reference").remote)]


def port_of(server):
    return re.search(r"listening on port (\d+)$", server.log(), re.MULTILINE).group(1)


def tcp(host):
    def make(serve, _path, _capsys):
        server = serve(f"--remote=ptcp:0:{host}")
        return [Client(f"tcp:{host}:{port_of(server)}")]
    return make


def tls(host):
    def make(serve, path, _capsys):
        keys = Authority(path, "ca").issue("host")
        server = serve(f"--remote=pssl:0:{host}", f"--private-key={keys[0]}",
                       f"--certificate={keys[1]}", f"--ca-cert={keys[2]}")
        return [Client(f"ssl:{host}:{port_of(server)}", blocking.Tls(*keys))]
    return make


def chain(kind, length, relay_kind="ours"):
    """Relays, each of the one before; the last and the first must hold the same."""

    def make(serve, _path, _capsys):
        source = server = serve(kind=kind)
        for index in range(length):
            server = serve("-vjsonrpc:file:dbg", name=f"relay{index}", kind=relay_kind,
                           files=(f"relay:Zoo:{server.remote}",))
        return [Client(server.remote), Client(source.remote)]
    return make


def backup(kind, of_kind):
    def make(serve, _path, _capsys):
        active = serve(kind=of_kind)
        copy = serve(f"--sync-from={active.remote}", kind=kind, name="backup")
        return [Client(active.remote), Client(copy.remote)]
    return make


def tool(_serve, path, capsys):
    journal.create(str(path / "zoo.db"), SCHEMA)
    return [Tool(str(path / "zoo.db"), capsys)]


differential = pytest.mark.differential
TRANSPORTS = [
    pytest.param(unix, id="unix"),
    pytest.param(reference, id="reference", marks=differential),
    pytest.param(tcp("127.0.0.1"), id="tcp4"), pytest.param(tcp("[::1]"), id="tcp6"),
    pytest.param(tls("127.0.0.1"), id="tls4"), pytest.param(tls("[::1]"), id="tls6"),
    pytest.param(chain("ours", 1), id="relay"),
    pytest.param(chain("reference", 1), id="relay-of-reference", marks=differential),
    pytest.param(chain("ours", 1, "reference"), id="reference-is-relay", marks=differential),
    pytest.param(chain("ours", N_CHAINED), id="chain"),
    pytest.param(backup("ours", "ours"), id="backup"),
    pytest.param(backup("ours", "reference"), id="backup-of-reference", marks=differential),
    pytest.param(backup("reference", "ours"), id="reference-is-backup", marks=differential),
    pytest.param(tool, id="tool")]


def compare(cases, clients):
    """Run `cases` at the first client; then the others must come to hold the same rows."""
    engine = Engine()
    differences = []
    for case in [*cases, LAST]:
        wanted = normalize(engine.call(case))
        found = normalize(clients[0].call(case))
        if found != wanted:
            differences.append((case, found, wanted))
    assert differences == []
    rows = dump(engine.call)
    assert rows.count("_uuid") > 5
    for client in clients:
        deadline = time.monotonic() + 10
        while (found := dump(client.call)) != rows:
            assert time.monotonic() < deadline, (found, rows)


@pytest.mark.parametrize("make", TRANSPORTS)
def test_every_transport_gives_the_same_results(make, serve, tmp_path, capsys):
    compare(SAMPLE, make(serve, tmp_path, capsys))


@pytest.mark.long
@pytest.mark.parametrize("make", TRANSPORTS)
def test_every_transport_gives_the_same_results_at_length(make, serve, tmp_path, capsys):
    compare(CASES, make(serve, tmp_path, capsys))


def test_each_relay_of_a_chain_is_told_by_update3(serve, tmp_path):
    """Scripts look for this line in the logs of relays."""
    clients = chain("ours", 2)(serve, tmp_path, None)
    assert "uuid" in clients[0].call([plain()])[0]
    for index in range(2):
        log = (tmp_path / f"relay{index}" / "ovsdb-server.log").read_text()
        assert re.search(r'\|jsonrpc\|DBG\|unix:\S+: received notification, method="update3", '
                         r"params=\[", log)
        assert re.search(r'\|jsonrpc\|DBG\|unix:\S+: send request, method="transact", '
                         r"params=\[", log)
