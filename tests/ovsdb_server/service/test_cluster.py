"""Clustered databases of one server: beside the reference, with clients nobody here wrote."""

import json
import random
import re
import subprocess
import time

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage.cluster_file import create_cluster, join_cluster, read_header
from tests.ovsdb_server.service.cluster.cluster import wait_until
from tests.ovsdb_server.service.watcher import watching

ZERO = "00000000-0000-0000-0000-000000000000"
SCHEMA = DatabaseSchema.from_json({"name": "D", "version": "1.0.0", "tables": {"T": {
    "columns": {"n": {"type": "integer"}, "s": {"type": "string"}}, "indexes": [["n"]]}}})
REQUEST = {"T": [{"columns": ["n", "s"]}]}


def insert(n, s="x"):
    return {"op": "insert", "table": "T", "row": {"n": n, "s": s}}


SELECT = {"op": "select", "table": "T", "where": [], "columns": ["n"]}


def numbers(talk):
    return sorted(row["n"] for row in talk.call("transact", "D", SELECT)[0]["rows"])


@pytest.fixture
def make_cluster(make_server):
    """Return a function that makes a server (not started) of a new cluster's database."""
    def make(kind="ours", schema=SCHEMA, **options):
        server = make_server(kind, files=("d.db",), **options)
        create_cluster(str(server.directory / "d.db"), schema, {}, "unix:s1.raft")
        return server
    return make


@pytest.fixture
def server(make_cluster):
    server = make_cluster()
    start(server)
    return server


def start(server):
    done = server.start("-vconsole:off", "--log-file")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def stop(server):
    server.appctl("exit")
    server.wait_end()


def server_row(talk, *columns):
    result = talk.call("transact", "_Server", {
        "op": "select", "table": "Database", "where": [["name", "==", "D"]],
        "columns": [*columns]})
    return [result[0]["rows"][0][column] for column in columns]


def until(check):
    """Call `check` until it is true, for 10 s at most."""
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def masked(text):
    text = re.sub(r"\b\d+ ms ago", "N ms ago", text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
    return re.sub(r"\b[0-9a-f]{4}\b", "HEX", text)


STATUS = """\
s1
Name: D
Cluster ID: HEX (UUID)
Server ID: HEX (UUID)
Address: unix:s1.raft
Status: cluster member
Role: leader
Term: 1
Leader: self
Vote: self

Last Election started N ms ago, reason: timeout
Last Election won: N ms ago
Election timer: HEX
Log: [2, %d]
Entries not yet committed: 0
Entries not yet applied: 0
Connections:
Disconnections: 0
Servers:
    s1 (HEX at unix:s1.raft) (self) next_index=2 match_index=%d
"""


def test_it_leads_at_once_and_its_index_grows(make_cluster, server_kind):
    server = make_cluster(server_kind)
    start(server)
    header = read_header(str(server.directory / "d.db"))
    assert server.appctl("cluster/cid", "D").stdout == f"{header.cluster_id}\n"
    assert server.appctl("cluster/sid", "D").stdout == f"{header.server_id}\n"
    talk = server.connect()
    until(lambda: server_row(talk, "index") == [2])
    # What there is none of is not told.
    memory = server.appctl("memory/show").stdout.split()
    assert "txn-history:1" in memory and "raft-log:1" in memory
    assert not any(word.startswith("txn-history-atoms") for word in memory)
    assert masked(server.appctl("cluster/status", "D").stdout) == STATUS % (3, 2)
    model, connected, leader, cid, sid, schema = server_row(
        talk, "model", "connected", "leader", "cid", "sid", "schema")
    assert (model, connected, leader) == ("clustered", True, True)
    assert (cid, sid) == (["uuid", header.cluster_id], ["uuid", header.server_id])
    assert json.loads(schema) == SCHEMA.to_json()
    for n in range(3):
        assert "uuid" in talk.call("transact", "D", insert(n))[0]
    assert talk.call("transact", "D", {"op": "update", "table": "T", "where": [],
                                       "row": {"s": "x"}}) == [{"count": 3}]
    until(lambda: server_row(talk, "index") == [5])
    assert masked(server.appctl("cluster/status", "D").stdout) == STATUS % (6, 5)
    assert "raft-log:4 " in server.appctl("memory/show").stdout
    assert server.appctl("ovsdb-server/get-db-storage-status", "D").stdout == "status: ok\n"


def test_what_scripts_read_is_logged(server):
    header = read_header(str(server.directory / "d.db"))
    log = server.log()
    assert "|raft|INFO|term 1: elected leader by 1+ of 1 servers\n" in log
    assert f"|raft|INFO|local server ID is {header.server_id[:4]}\n" in log
    assert "|WARN|" not in log and "|ERR|" not in log


COMMANDS = [
    "cid", "cid x", "sid x", "status", "status x", "leave x", "kick x y", "kick D", "cid _Server",
    "status _Server", "change-election-timer D 50", "change-election-timer D 9000",
    "change-election-timer D x", "change-election-timer D 2000", "change-election-timer x 1000",
    "set-backlog-threshold D 1 1", "set-backlog-threshold D 100 100000000",
    "set-backlog-threshold D 100", "set-backlog-threshold x 100 100", "set-backlog-threshold D a b",
    "failure-test", "failure-test foo", "failure-test crash D", "failure-test delay-election",
    "failure-test clear",
]


FAILURES = ["crash-before-sending-append-request", "crash-after-sending-append-request",
            "crash-before-sending-execute-command-request", "stop-raft-rpc", "delay-election",
            "transfer-leadership", "transfer-leadership-after-sending-append-request"]


@pytest.mark.differential
@pytest.mark.parametrize("failure", FAILURES)
def test_accidents_befall_an_only_server_as_the_reference_s(make_cluster, failure):
    answers = []
    for kind in ("ours", "reference"):
        server = make_cluster(kind)
        start(server)
        done = [server.appctl("cluster/failure-test", failure).stdout]
        talk = server.connect()
        talk.call("set_db_change_aware", True)
        try:
            done.append("uuid" in talk.call("transact", "D", insert(1))[0])
        except EOFError:
            done.append("the end")
            server.wait_end()
        if server.is_alive():
            wait_until(lambda: "Role: leader" in server.appctl("cluster/status", "D").stdout)
            status = server.appctl("cluster/status", "D").stdout
            done.append(re.search("^Term: .*", status, re.MULTILINE)[0])
            server.kill()
        start(server)
        # It was in the log.
        wait_until(lambda: server.connect().call("transact", "D", {
            "op": "select", "table": "T", "where": [], "columns": ["n"]}) == [{"rows": [{"n": 1}]}])
        answers.append(done)
    assert answers[0] == answers[1]


@pytest.mark.differential
def test_commands_of_clusters_answer_as_the_reference_s(make_cluster):
    answers = []
    for kind in ("ours", "reference"):
        server = make_cluster(kind)
        start(server)
        done = [server.appctl(*f"cluster/{line}".split()) for line in COMMANDS]
        answers.append([(each.returncode, each.stdout, each.stderr) for each in done])
    assert answers[0] == answers[1]


def test_the_only_server_cannot_leave(server):
    header = read_header(str(server.directory / "d.db"))
    for command in (["leave", "D"], ["kick", "D", header.server_id[:4]],
                    ["kick", "D", "unix:s1.raft"]):
        done = server.appctl(f"cluster/{command[0]}", *command[1:])
        assert done.returncode == 2 and "the only server of a cluster cannot leave" in done.stderr
    assert "unknown server" in server.appctl("cluster/kick", "D", "foo").stderr
    assert numbers(server.connect()) == []


def test_the_election_timer_is_in_the_log_and_in_the_snapshot(server):
    assert server.appctl("cluster/change-election-timer", "D", "2000").returncode == 0
    assert server.appctl("cluster/change-election-timer", "D", "2000").stdout == (
        "change election timer to current value.\n")
    for command in ("ovsdb-server/list-dbs", "ovsdb-server/compact"):
        assert server.appctl(command).returncode == 0
        stop(server)
        start(server)
        assert "Election timer: 2000\n" in server.appctl("cluster/status", "D").stdout


@pytest.mark.parametrize("kinds", [
    ("ours", "ours"), pytest.param(("ours", "reference"), marks=pytest.mark.differential),
    pytest.param(("reference", "ours"), marks=pytest.mark.differential)])
@pytest.mark.parametrize("is_compacted", [False, True])
def test_either_server_goes_on_with_the_file_of_the_other(make_server, make_cluster, kinds,
                                                           is_compacted):
    first = make_cluster(kinds[0])
    start(first)
    talk = first.connect()
    for n in range(3):
        talk.call("transact", "D", insert(n), {"op": "comment", "comment": "hi"})
    talk.call("transact", "D", {"op": "delete", "table": "T", "where": [["n", "==", 1]]})
    last_id = talk.call("monitor_cond_since", "D", "m", REQUEST, ZERO)[1]
    if is_compacted:
        assert first.appctl("ovsdb-server/compact", "D").returncode == 0
    stop(first)
    second = make_server(kinds[1], "second", files=(str(first.directory / "d.db"),))
    start(second)
    talk = second.connect()
    assert numbers(talk) == [0, 2]
    assert talk.call("monitor_cond_since", "D", "m", REQUEST, last_id) == [True, last_id, {}]
    talk.call("transact", "D", insert(9))
    assert "Term: 2\n" in second.appctl("cluster/status", "D").stdout
    stop(second)
    start(first)
    assert numbers(first.connect()) == [0, 2, 9]


def test_who_comes_back_gets_what_was_missed(make_cluster, server_kind):
    server = make_cluster(server_kind)
    start(server)
    talk = server.connect()
    found, last_id, rows = talk.call("monitor_cond_since", "D", "m", REQUEST, ZERO)
    assert (found, rows) == (False, {}) and last_id != ZERO
    for n in range(20):
        talk.call("transact", "D", insert(n))
    late = server.connect()
    found, missed_id, rows = late.call("monitor_cond_since", "D", "m", REQUEST, last_id)
    assert found and len(rows["T"]) == 20
    assert all(row == {"insert": row["insert"]} for row in rows["T"].values())
    talk.call("transact", "D", {"op": "update", "table": "T", "where": [["n", "==", 3]],
                                "row": {"s": "y"}})
    stop(server)
    start(server)
    talk = server.connect()
    found, now_id, rows = talk.call("monitor_cond_since", "D", "m", REQUEST, missed_id)
    assert found and list(rows["T"].values()) == [{"modify": {"s": "y"}}]
    found, id, rows = talk.call("monitor_cond_since", "D", "n", REQUEST, ZERO[:-1] + "1")
    assert (found, id, len(rows["T"])) == (False, now_id, 20)
    talk.send({"id": 5, "method": "transact", "params": ["D", insert(99)]})
    updates = [message for message in (talk.receive() for _ in range(3)) if "method" in message]
    assert {message["method"] for message in updates} == {"update3"}
    assert len({message["params"][1] for message in updates} - {now_id}) == 1


def changed_schema(**column):
    json_schema = json.loads(json.dumps(SCHEMA.to_json()))
    json_schema["version"] = "2.0.0"
    json_schema["tables"]["T"]["columns"]["new"] = {"type": "string", **column}
    return json_schema


def test_a_conversion_is_an_entry_of_the_log(make_cluster, server_kind):
    server = make_cluster(server_kind)
    start(server)
    talk, watcher = server.connect(), server.connect()
    for session in (talk, watcher):
        session.call("set_db_change_aware", True)
    talk.call("transact", "D", insert(1))
    watcher.call("monitor_cond_since", "D", "m", REQUEST, ZERO)
    assert talk.call("convert", "D", changed_schema()) == {}
    assert {"id": None, "method": "monitor_canceled", "params": ["m"]} in watcher.until_sync()
    assert "new" in talk.call("get_schema", "D")["tables"]["T"]["columns"]
    until(lambda: server_row(talk, "index") == [4])
    last_id = talk.call("monitor_cond_since", "D", "m", REQUEST, ZERO)[1]
    stop(server)
    start(server)
    talk = server.connect()
    assert talk.call("monitor_cond_since", "D", "m", REQUEST, last_id)[0] is True
    assert numbers(talk) == [1] and talk.call("get_schema", "D")["version"] == "2.0.0"


def test_ephemeral_columns_are_refused(server):
    talk = server.connect()
    error = talk.call("convert", "D", changed_schema(ephemeral=True))
    assert error["details"] == ("Table T column new is ephemeral but clustered databases do not "
                                "support ephemeral columns.")
    assert talk.call("get_schema", "D") == SCHEMA.to_json()
    assert "uuid" in talk.call("transact", "D", insert(1))[0]


def test_our_client_makes_columns_persistent_for_a_cluster(server, tools):
    client = tools.program("utilities.ovsdb_client")
    path = server.directory / "new"
    path.write_text(json.dumps(changed_schema(ephemeral=True)))
    warning = (f"|00001|ovsdb|WARN|{path}: changed 1 columns in 'D' database from ephemeral to "
               "persistent, including 'new' column in 'T' table, because clusters do not support "
               "ephemeral columns\n")
    for command, answer in (("needs-conversion", "yes\n"), ("convert", ""),
                            ("needs-conversion", "no\n")):
        done = server.run(*client, command, server.remote, str(path))
        assert (done.returncode, done.stdout) == (0, answer) and done.stderr.endswith(warning)


def test_a_server_that_is_to_join_has_no_database_yet(make_server):
    server = make_server(files=("j.db",))
    join_cluster(str(server.directory / "j.db"), "D", "unix:s2.raft", ["unix:none.raft"])
    start(server)
    talk = server.connect()
    assert talk.call("list_dbs") == ["D", "_Server"]
    assert talk.call("transact", "D", insert(1)) == {
        "error": "database not available",
        "details": "transact request specifies database D which is not yet available because it "
                   "has not completed joining its cluster"}
    assert server_row(talk, "model", "connected", "leader", "schema", "cid", "index") == [
        "clustered", False, False, ["set", []], ["uuid", ZERO], ["set", []]]
    status = server.appctl("cluster/status", "D").stdout
    assert "Status: joining cluster\nRemotes for joining: unix:none.raft\nRole: follower\n" in status
    assert "Cluster ID: not yet known\n" in status
    for command, text in (("cid", "cluster id not yet known"),
                          ("leave", "can't leave while join in progress")):
        assert text in server.appctl(f"cluster/{command}", "D").stderr
    assert server.appctl("ovsdb-server/compact", "D").returncode == 2


def test_databases_of_every_kind_come_and_go(server):
    assert "d.db: already open" in server.appctl("ovsdb-server/add-db", "d.db").stderr
    assert server.appctl("ovsdb-server/remove-db", "D").returncode == 0
    assert "unknown cluster" in server.appctl("cluster/status", "D").stderr
    assert server.appctl("ovsdb-server/add-db", "d.db").returncode == 0
    assert "Term: 2\n" in server.appctl("cluster/status", "D").stdout


def test_a_config_file_knows_clustered_databases(make_cluster, tmp_path):
    server = make_cluster()
    config = tmp_path / "config.json"
    server.files = (f"--config-file={config}",)
    config.write_text(json.dumps({"remotes": {f"p{server.remote}": {}}, "databases": {
        str(server.directory / "d.db"): {"service-model": "clustered"}}}))
    done = subprocess.run([*server.command, "--detach", "--no-chdir", "--pidfile",
                           "-vconsole:off", *server.files], env=server.environment,
                          cwd=server.directory, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    server.pid = int((server.directory / "ovsdb-server.pid").read_text())
    assert server_row(server.connect(), "model") == ["clustered"]
    assert server.appctl("ovsdb-server/reload").returncode == 0


def test_damage_at_the_end_is_repaired_and_a_wrong_record_is_refused(make_cluster):
    server = make_cluster()
    start(server)
    server.connect().call("transact", "D", insert(1))
    stop(server)
    path = server.directory / "d.db"
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    start(server)
    assert "|raft|WARN|I/O error: d.db: error reading" in server.log()
    assert numbers(server.connect()) == [1]
    stop(server)
    good = path.read_bytes()
    path.write_bytes(good + good[:good.index(b"\n", 60) + 1])
    done = server.start("-vconsole:off")
    assert done.returncode == 1 and "error reading record" in done.stderr


def test_acknowledged_writes_survive_kill_9(make_cluster):
    server = make_cluster()
    rng = random.Random(5)
    acknowledged = set()
    for round in range(6):
        start(server)
        talk = server.connect()
        assert acknowledged <= set(numbers(talk))
        sent = [round * 1000 + n for n in range(rng.randint(5, 60))]
        for n in sent:
            talk.send({"id": n, "method": "transact", "params": ["D", insert(n)]})
        for _ in range(rng.randrange(len(sent))):
            message = talk.receive()
            assert message["error"] is None
            acknowledged.add(message["id"])
        server.kill()
    start(server)
    found = numbers(server.connect())
    assert acknowledged <= set(found) and len(set(found)) == len(found)


# Clients nobody here wrote.

@pytest.mark.differential
def test_ovsdb_client_of_the_reference_talks_to_a_leader(server, tools):
    client = tools.reference("ovsdb-client")

    def run(*args):
        done = server.run(client, "-vconsole:off", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("wait", server.remote, "D", "connected")
    assert '"uuid"' in run("transact", server.remote, json.dumps(["D", insert(4)]))
    assert "\n4 x\n" in run("dump", server.remote, "D", "T", "n", "s")
    backup = run("backup", server.remote, "D")
    run("transact", server.remote, json.dumps(["D", insert(5)]))
    (server.directory / "backup").write_text(backup)
    with open(server.directory / "backup") as file:
        restore = subprocess.run([client, "restore", server.remote, "D"], stdin=file, text=True,
                                 env=server.environment, capture_output=True, timeout=10)
    assert restore.returncode == 0, restore.stderr
    assert numbers(server.connect()) == [4]
    path = server.directory / "new"
    path.write_text(json.dumps(changed_schema(ephemeral=True)))
    run("convert", server.remote, str(path))
    assert run("needs-conversion", server.remote, str(path)) == "no\n"
    assert run("get-schema-version", server.remote, "D") == "2.0.0\n"


@pytest.mark.differential
def test_ovs_vsctl_of_the_reference_works_on_a_clustered_switch_database(make_server, tools):
    import orjson

    from ovsdb_server.engine.ephemeral import persist_ephemeral
    server = make_server(files=("d.db",))
    with open("schema/vswitch.ovsschema", "rb") as file:
        schema = DatabaseSchema.from_json(orjson.loads(file.read()))
    persist_ephemeral(schema, "")
    create_cluster(str(server.directory / "d.db"), schema, {}, "unix:s1.raft")
    start(server)
    for vsctl in ([tools.reference("ovs-vsctl")], tools.program("utilities.vsctl")):
        def run(*args):
            done = server.run(*vsctl, f"--db={server.remote}", "--no-wait", *args)
            assert done.returncode == 0, done.stderr
            return done.stdout
        run("init")
        run("add-br", "br0", "--", "add-port", "br0", "p1", "--", "set", "port", "p1", "tag=5")
        assert run("list-ports", "br0") == "p1\n" and run("get", "port", "p1", "tag") == "5\n"
        run("del-br", "br0")


CHANGE_ROWS = """
rows = sorted(row.n for row in table.values())
print(rows, idl.last_id, flush=True)
if rows and max(rows) < 10:
    txn = ovs.db.idl.Transaction(idl)
    for row in list(table.values()):
        row.n = row.n + 10
    assert txn.commit_block() in (txn.SUCCESS, txn.UNCHANGED)
    continue
"""


def test_the_ovs_idl_goes_on_where_it_was_when_the_server_comes_back(server):
    def until_rows(rows):
        while not (line := idl.stdout.readline()).startswith(f"{rows} "):
            assert line
        return line.split()[-1]
    with watching(server, SCHEMA.to_json(), "T", CHANGE_ROWS) as idl:
        until_rows([])
        server.connect().call("transact", "D", insert(1))
        last_id = until_rows([11])
        server.kill()
        start(server)
        talk = server.connect()
        assert talk.call("monitor_cond_since", "D", "m", REQUEST, last_id)[0] is True
        talk.call("transact", "D", insert(12))
        assert until_rows([11, 12]) != last_id


def has_its_copy(relay):
    """Is the relay connected?  Until it has its schema, it may hang up."""
    try:
        return server_row(relay.connect(), "connected") == [True]
    except (OSError, EOFError):
        return False


def test_a_relay_knows_transactions_by_the_ids_of_its_source(server, make_server):
    relay = make_server("ours", "relay", files=(f"relay:D:{server.remote}",))
    start(relay)
    source = server.connect()
    source.call("transact", "D", insert(1))
    until(lambda: has_its_copy(relay))
    talk = relay.connect()
    found, last_id, rows = talk.call("monitor_cond_since", "D", "m", REQUEST, ZERO)
    assert (found, len(rows["T"])) == (False, 1)
    assert source.call("monitor_cond_since", "D", "m", REQUEST, ZERO)[1] == last_id
    talk.call("transact", "D", insert(2))
    late = relay.connect()
    found, now_id, rows = late.call("monitor_cond_since", "D", "m", REQUEST, last_id)
    assert found and list(rows["T"].values()) == [{"insert": {"n": 2, "s": "x"}}]
    assert source.call("monitor_cond_since", "D", "m2", REQUEST, now_id) == [True, now_id, {}]


def test_a_relay_tells_the_loss_of_its_source_only_after_a_while(server, make_server):
    relay = make_server("ours", "relay", files=(f"relay:D:{server.remote}",))
    start(relay)
    until(lambda: has_its_copy(relay))
    unaware = relay.connect()
    assert unaware.call("monitor", "D", "m", {"T": {}}) == {}
    relay.appctl("time/stop")
    stop(server)
    for milliseconds, is_connected in ((1000, True), (27000, True), (3000, False)):
        assert relay.appctl("time/warp", str(milliseconds), "500").stdout == "warped\n"
        assert server_row(unaware, "connected") == [is_connected]
