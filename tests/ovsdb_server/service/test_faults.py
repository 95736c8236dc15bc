"""Files under faults: the process or the power goes between any two writes, the disk is full.

What was acknowledged as durable is there afterwards, and of each transaction all or nothing.
"""

import resource
from random import Random

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.storage import journal
from ovsdb_server.storage.cluster_file import create_cluster
from ovsdb_server.storage.cluster_log import ClusterLog

_TABLE = {"columns": {"client": {"type": "integer"}, "k": {"type": "integer"},
                      "v": {"type": "integer"}, "pad": {"type": "string"}}}
JSON = {"name": "F", "version": "1.0.0", "tables": {"A": _TABLE, "B": _TABLE}}
SCHEMA = DatabaseSchema.from_json(JSON)

N_CLIENTS = 3
N_LIVES = 3


class Load:
    """One client's random transactions; each does the same to table A and to table B.

    `states[n]` is {key: value} after the first n transactions; `n_sent`, `n_acknowledged` and
    `n_durable` count them.
    """

    def __init__(self, number: int, rng: Random) -> None:
        self.number = number
        self._rng = rng
        self._next = 0
        self.connection = None
        self.begin({})

    def begin(self, state: dict[int, int]) -> None:
        """Go on from what is in the database."""
        self.states = [state]
        self._are_durable: list[bool] = []
        self.n_acknowledged = self.n_durable = 0

    def send(self) -> None:
        """Send a transaction."""
        rng, state = self._rng, dict(self.states[-1])
        self._next += 1
        choice = rng.random()
        if choice < 0.5 or not state:
            key = self._next
            operation = {"op": "insert", "row": {
                "client": self.number, "k": key, "v": self._next,
                "pad": "x" * rng.choice((0, 10, 5000))}}
            state[key] = self._next
        else:
            key = rng.choice(sorted(state))
            where = [["client", "==", self.number], ["k", "==", key]]
            if choice < 0.8:
                operation = {"op": "update", "where": where, "row": {"v": self._next}}
                state[key] = self._next
            else:
                operation = {"op": "delete", "where": where}
                del state[key]
        operations = [{**operation, "table": table} for table in "AB"]
        self._are_durable.append(rng.random() < 0.5)
        if self._are_durable[-1]:
            operations.append({"op": "commit", "durable": True})
        self.states.append(state)
        self.connection.send({"id": self._next, "method": "transact",
                              "params": ["F", *operations]})

    def receive(self) -> bool:
        """Take all replies that are due; return False at the end of the connection."""
        while self.n_acknowledged < len(self._are_durable):
            reply = self.connection.receive()
            if reply is None:
                return False
            if "id" in reply and reply["id"] is not None and "result" in reply:
                assert not any("error" in result for result in reply["result"])
                if self._are_durable[self.n_acknowledged]:
                    self.n_durable = self.n_acknowledged + 1
                self.n_acknowledged += 1
        return True


def work(server, loads, rng) -> bool:
    """Let the clients work until the server dies; did it, before it was made to?"""
    control = None
    has_died = True
    try:
        for load in loads:
            load.connection = server.connect()
            load.connection.call("set_db_change_aware", True)
        control = blocking.connect(
            f"unix:{server.directory}/ovsdb-server.{server.pid}.ctl", 5)
        for _ in range(60):
            for load in loads:
                for _ in range(rng.randint(1, 4)):
                    load.send()
            if rng.random() < 0.05:
                control.send_request("ovsdb-server/compact", [])
            if not all([load.receive() for load in loads]):
                break
            if rng.random() < 0.02 and "error" in loads[0].connection.call("convert", "F", JSON):
                break
        else:
            has_died = False
    except (OSError, EOFError):
        pass        # The server is gone: that is what we wait for.
    finally:
        for load in loads:
            try:
                load.receive()
            except (OSError, AttributeError):
                pass
            if load.connection is not None:
                load.connection.close()
        if control is not None:
            control.close()
        server.kill()
    assert "internal error" not in server.log() and "EMER" not in server.log()
    return has_died


def check(path, loads, has_power_loss, is_clustered) -> None:
    """Compare what the file holds with what the clients know, and let them go on from there."""
    file = (ClusterLog if is_clustered else journal.Journal).open(path)
    try:
        tables = file.load().tables
    finally:
        file.close()
    for load in loads:
        halves = []
        for name in "AB":
            columns = tables[name].schema.columns
            cells = [[row[columns[column].index][0] for column in ("client", "k", "v")]
                     for row in tables[name].rows.values()]
            halves.append({key: value for client, key, value in cells if client == load.number})
        assert halves[0] == halves[1], "half a transaction"
        # Only the power can take what the kernel has already.
        least = load.n_durable if has_power_loss and not is_clustered else load.n_acknowledged
        assert halves[0] in load.states[least:], (least, len(load.states))
        load.begin(halves[0])


def suffer(make_server, tools, seed: int) -> None:
    """Let a database live through several violent deaths; every other one is clustered.

    What a cluster has acknowledged is durable, whether that was asked for or not.
    """
    rng = Random(seed)
    is_clustered = seed % 2 == 1
    server = make_server(name=f"seed{seed}", files=("f.db",))
    server.command = tools.program("tests.ovsdb_server.fault")
    path = str(server.directory / "f.db")
    if is_clustered:
        create_cluster(path, SCHEMA, {}, "unix:f.raft")
    else:
        journal.create(path, SCHEMA)
    loads = [Load(number, rng) for number in range(N_CLIENTS)]
    for _life in range(N_LIVES):
        has_power_loss = rng.random() < 0.5
        server.environment["FAULT"] = (
            f"{int(rng.expovariate(1 / 40)) + 1} {rng.randrange(1 << 30)} {has_power_loss:d}")
        done = server.start("-vconsole:off", "--log-file")
        if done.returncode == 0:
            work(server, loads, rng)
        else:
            # A leader has something to write before it serves.
            assert is_clustered and "killed" in done.stderr
        check(path, loads, has_power_loss, is_clustered)


@pytest.mark.parametrize("seed", range(8))
def test_a_sudden_death_loses_nothing_durable_and_halves_nothing(make_server, tools, seed):
    suffer(make_server, tools, seed)


@pytest.mark.long
@pytest.mark.parametrize("decade", range(20))
def test_many_sudden_deaths_lose_nothing_durable_and_halve_nothing(make_server, tools, decade):
    for seed in range(100 + decade * 10, 110 + decade * 10):
        suffer(make_server, tools, seed)


def test_what_a_full_disk_does_not_take_is_not_acknowledged(make_server):
    """The disk is as full as a limit of the file's size makes it."""
    server = make_server(files=("f.db",))
    path = server.directory / "f.db"
    journal.create(str(path), SCHEMA)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    talk = server.connect()
    talk.call("monitor", "F", "m", {"A": {"columns": ["k"]}})

    def insert(key, size, *more):
        row = {"client": 0, "k": key, "v": 0, "pad": "x" * size}
        return talk.call("transact", "F", {"op": "insert", "table": "A", "row": row}, *more)

    def keys(talk):
        return sorted(row["k"] for row in talk.call("transact", "F", {
            "op": "select", "table": "A", "where": [], "columns": ["k"]})[0]["rows"])

    def limit(size):
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    durable = {"op": "commit", "durable": True}
    assert insert(1, 0, durable)[1] == {}
    before = path.read_bytes()
    limit(len(before) + 1000)
    for more in ([], [durable]):
        result = insert(2, 5000, *more)
        assert result[-1] == {"error": "I/O error", "details": "f.db: write failed",
                              "io-error": "File too large"}
        assert len(result) == 2 + len(more) and result[1:-1] == [{}] * len(more)
        assert path.read_bytes() == before and keys(talk) == [1]
    status = ["ovsdb-server/get-db-storage-status", "F"]
    assert server.appctl(*status).stdout == (
        "status: I/O error: f.db: write failed (File too large)\n")
    assert "|ovsdb_log|WARN|f.db: write failed (File too large)" in server.log()
    # There is room for a little one.
    assert insert(3, 10, durable)[1] == {}
    assert server.appctl(*status).stdout == "status: ok\n"
    limit(resource.RLIM_INFINITY)
    assert insert(4, 5000, durable)[1] == {}
    assert keys(talk) == [1, 3, 4]
    server.kill()
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    assert keys(server.connect()) == [1, 3, 4]


def test_a_compaction_without_room_leaves_the_file_as_it_is(make_server):
    server = make_server(files=("f.db",))
    journal.create(str(server.directory / "f.db"), SCHEMA)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    talk = server.connect()
    talk.call("transact", "F", {"op": "insert", "table": "A", "row": {"pad": "x" * 9000}})
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    before = (server.directory / "f.db").read_bytes()
    done = server.appctl("ovsdb-server/compact")
    assert done.returncode == 2 and "write failed (File too large)" in done.stderr
    assert (server.directory / "f.db").read_bytes() == before
    assert not (server.directory / "f.db.tmp").exists()
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    assert server.appctl("ovsdb-server/compact").returncode == 0
    assert "uuid" in talk.call("transact", "F", {"op": "insert", "table": "A", "row": {}})[0]


def test_after_a_failed_sync_nothing_is_durable_until_the_file_is_made_anew(make_server, tools):
    """The kernel forgets that it could not write, and would let the next sync pass."""
    server = make_server(files=("f.db",))
    server.command = tools.program("tests.ovsdb_server.fault")
    server.environment["FAULT"] = "2 0 2"
    journal.create(str(server.directory / "f.db"), SCHEMA)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    talk = server.connect()
    durable = {"op": "commit", "durable": True}

    def insert(key):
        return talk.call("transact", "F", {"op": "insert", "table": "A", "row": {"k": key}},
                         durable)

    failed = {"error": "I/O error", "details": "f.db: fsync failed",
              "io-error": "Input/output error"}
    assert insert(1)[1:] == [{}, failed]
    status = ["ovsdb-server/get-db-storage-status", "F"]
    while (result := insert(2))[1:] == [{}, failed]:
        assert server.appctl(*status).stdout in (
            "status: I/O error: f.db: fsync failed (Input/output error)\n", "status: ok\n")
    # The server has rewritten the file by itself.
    assert result[1:] == [{}]
    assert server.appctl(*status).stdout == "status: ok\n"
    # What came while it did so is after the snapshot: of the failed ones none, some or many.
    snapshot = (server.directory / "f.db").read_text().splitlines()[3]
    assert '"_comment":"compacting database online"' in snapshot and '{"k":1}' in snapshot
    server.kill()
    server.environment["FAULT"] = "0 0 0"
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    rows = server.connect().call("transact", "F", {"op": "select", "table": "A", "where": []})
    assert {row["k"] for row in rows[0]["rows"]} == {1, 2}
