"""Three of our servers on three members of etcd, which they supervise."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ovsdb_server.conftest import ROOT, program
from tests.ovsdb_server.service.cluster.cluster import (SCHEMA, Cluster, Node, free_port,
                                                        insert, need_etcd, tcp_addresses,
                                                        wait_until)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    need_etcd()
    with Cluster(tmp_path_factory.mktemp("cluster"), tcp_addresses(3)) as cluster:
        cluster.start()
        yield cluster


def test_a_write_at_any_server_is_read_at_that_server_and_then_at_all(cluster):
    for number, node in enumerate(cluster.nodes):
        result = node.transact(insert(f"w{number}"))
        assert "uuid" in result[0]
        assert f"w{number}" in node.rows()
    rows = cluster.check_agreement()
    assert {"w0", "w1", "w2"} <= rows.keys()


def test_a_constraint_holds_across_servers(cluster):
    cluster.nodes[0].transact(insert("unique"))
    wait_until(lambda: "unique" in cluster.nodes[1].rows())
    result = cluster.nodes[1].transact(insert("unique"))
    assert result[1]["error"] == "constraint violation"


def test_counting_at_all_servers_at_once_loses_nothing(cluster):
    cluster.nodes[0].transact(insert("sum"))
    wait_until(lambda: all("sum" in node.rows() for node in cluster.nodes))
    talks = [node.connect() for node in cluster.nodes for _ in range(2)]
    add = {"op": "mutate", "table": "T", "where": [["k", "==", "sum"]],
           "mutations": [["n", "+=", 1]]}
    for _ in range(5):
        for talk in talks:
            talk.send(*({"id": n, "method": "transact", "params": ["D", add]} for n in range(4)))
        for talk in talks:
            for _ in range(4):
                assert talk.receive()["result"] == [{"count": 1}]
    assert cluster.check_agreement()["sum"] == ["", 5 * 4 * len(talks)]


def test_changes_are_logged_by_each_server_that_was_asked_to(cluster):
    asked, writer, silent = cluster.nodes
    for node in (asked, writer):
        assert node.appctl("ovsdb-server/tlog-set", "D:T", "on").returncode == 0
    writer.transact(insert("logged"))
    wait_until(lambda: all("logged" in node.rows() for node in cluster.nodes))
    for node, n in ((asked, 1), (writer, 1), (silent, 0)):
        lines = [line for line in node.log().splitlines()
                 if "|transaction|INFO|table:T,op:inserted," in line and "k:logged," in line]
        assert len(lines) == n
    for node in (asked, writer):
        node.appctl("ovsdb-server/tlog-set", "D:T", "off")


def test_the_row_of_server_tells_clients_where_they_are(cluster):
    states = [node.state() for node in cluster.nodes]
    assert [state["model"] for state in states] == ["clustered"] * 3
    assert sum(state["leader"] for state in states) == 1
    assert len({state["cid"][1] for state in states}) == 1
    assert len({state["sid"][1] for state in states}) == 3
    before = states[0]["index"]
    cluster.nodes[1].transact(insert("index"))
    wait_until(lambda: cluster.nodes[0].state()["index"] > before)


def test_a_client_that_comes_back_to_another_server_gets_what_it_missed(cluster):
    cluster.nodes[0].transact(insert("since1"))
    wait_until(lambda: "since1" in cluster.nodes[1].rows())
    last = cluster.nodes[0].last_txn()
    cluster.nodes[1].transact(insert("since2"))
    wait_until(lambda: "since2" in cluster.nodes[2].rows())
    talk = cluster.nodes[2].connect()
    found, _, updates = talk.call("monitor_cond_since", "D", "m", {"T": [{"columns": ["k"]}]}, last)
    assert found is True
    assert [row["insert"]["k"] for row in updates["T"].values()] == ["since2"]


def test_a_wait_at_one_server_is_released_by_a_write_at_another(cluster):
    cluster.nodes[0].transact(insert("wait"))
    wait_until(lambda: all("wait" in node.rows() for node in cluster.nodes))
    talk = cluster.nodes[1].connect()
    talk.send({"id": 1, "method": "transact", "params": ["D", {
        "op": "wait", "table": "T", "where": [["k", "==", "wait"]], "columns": ["n"],
        "until": "==", "rows": [{"n": 7}]}, {
        "op": "update", "table": "T", "where": [["k", "==", "wait"]], "row": {"v": "seen"}}]})
    cluster.nodes[2].transact({"op": "update", "table": "T", "where": [["k", "==", "wait"]],
                               "row": {"n": 7}})
    assert talk.receive()["result"] == [{}, {"count": 1}]
    assert cluster.check_agreement()["wait"] == ["seen", 7]


def test_status_names_the_servers_and_the_leader(cluster):
    leader = cluster.leader()
    text = leader.appctl("cluster/status", "D").stdout
    assert "Status: cluster member\nRole: leader\n" in text
    assert "\nLeader: self\n" in text
    for node in cluster.nodes:
        assert f"at {node.address})" in text
    other = next(node for node in cluster.nodes if node is not leader)
    text = other.appctl("cluster/status", "D").stdout
    assert "\nRole: follower\n" in text
    assert f"\nLeader: {leader.state()['sid'][1][:4]}\n" in text


def test_the_election_timer_is_the_same_at_all_servers(cluster):
    leader = cluster.leader()
    other = next(node for node in cluster.nodes if node is not leader)
    done = other.appctl("cluster/change-election-timer", "D", "2000")
    assert "election timer must be changed through leader." in done.stderr
    done = leader.appctl("cluster/change-election-timer", "D", "2000")
    assert done.stdout == "change of election timer initiated.\n"
    for node in cluster.nodes:
        wait_until(lambda node=node: "Election timer: 2000\n" in node.appctl(
            "cluster/status", "D").stdout)
    leader.transact(insert("after the timer"))
    cluster.check_agreement()


def test_a_leader_that_is_stopped_is_replaced_and_comes_back_as_a_follower(cluster):
    leader = cluster.leader()
    others = [node for node in cluster.nodes if node is not leader]
    os.kill(leader.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: any(node.is_leader() for node in others), 20)
        others[0].transact(insert("meanwhile"))
    finally:
        os.kill(leader.pid, signal.SIGCONT)
    wait_until(lambda: "meanwhile" in leader.rows())
    wait_until(leader.is_connected)
    assert sum(node.is_leader() for node in cluster.nodes) == 1
    leader.transact(insert("again"))
    cluster.check_agreement()


def test_a_killed_server_starts_from_its_file_and_catches_up(cluster):
    victim = cluster.nodes[1]
    victim.kill()
    wait_until(cluster.nodes[0].is_connected)
    cluster.nodes[0].transact(insert("missed"))
    victim.start_well()
    wait_until(victim.is_connected)
    assert "missed" in victim.rows()
    cluster.check_agreement()


def test_a_killed_etcd_is_started_again(cluster):
    first = cluster.nodes[2].etcd_pid()
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: cluster.nodes[2].etcd_pid() not in (None, first))
    wait_until(cluster.nodes[2].is_connected)
    cluster.nodes[2].transact(insert("etcd"))
    cluster.check_agreement()


def test_without_a_majority_nothing_is_acknowledged_and_clients_are_told(cluster):
    one, *others = cluster.nodes
    for node in others:
        wait_until(node.etcd_pid)
        node.signal_etcd(signal.SIGSTOP)
    try:
        wait_until(lambda: not one.state()["connected"])
        assert "disconnected from the cluster" in one.appctl("cluster/status", "D").stdout
        assert "w0" in one.rows()
        # Nor by one that has just started from its file.
        one.kill()
        one.start_well()
        talk = one.connect()
        talk.call("set_db_change_aware", True)
        talk.send({"id": 1, "method": "transact", "params": ["D", insert("late")]})
        time.sleep(0.3)
        assert talk.call("echo", 1) == [1]
        assert "late" not in one.rows()
    finally:
        for node in others:
            node.signal_etcd(signal.SIGCONT)
    talk.socket.settimeout(30)
    assert "uuid" in talk.receive()["result"][0]
    cluster.wait_connected()
    assert "late" in cluster.check_agreement()


def test_the_schema_is_converted_on_all(cluster):
    schema = {**SCHEMA, "version": "1.0.1"}
    talk = cluster.nodes[1].connect()
    talk.call("set_db_change_aware", True)
    assert talk.call("convert", "D", schema) == {}
    for node in cluster.nodes:
        wait_until(lambda: node.connect().call("get_schema", "D")["version"] == "1.0.1")
    cluster.nodes[2].transact(insert("converted"))
    cluster.check_agreement()


@contextmanager
def _outside_etcd(directory: Path):
    """Run an etcd that is nobody's own; gives the address by which servers meet there."""
    client, peer = free_port(), free_port()
    etcd = subprocess.Popen(
        ["etcd", "--data-dir", str(directory / "etcd"), "--logger", "zap", "--log-level", "error",
         "--listen-client-urls", f"http://127.0.0.1:{client}",
         "--advertise-client-urls", f"http://127.0.0.1:{client}",
         "--listen-peer-urls", f"http://127.0.0.1:{peer}",
         "--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}",
         "--initial-cluster", f"default=http://127.0.0.1:{peer}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"etcd:127.0.0.1:{client}"
    finally:
        etcd.kill()
        etcd.wait()


def test_a_server_leaves_and_one_is_kicked(cluster, tmp_path):
    fourth = Node(tmp_path / "s4", tcp_addresses(1)[0])
    fourth.join(cluster.nodes[0].address)
    fourth.start_well()
    try:
        wait_until(fourth.is_connected)
        assert fourth.appctl("cluster/leave", "D").returncode == 0
        wait_until(lambda: "unknown cluster" in fourth.appctl("cluster/status", "D").stderr)
        assert "D" not in fourth.appctl("ovsdb-server/list-dbs").stdout.split()
        text = cluster.nodes[0].appctl("cluster/status", "D").stdout
        assert fourth.address not in text
    finally:
        fourth.kill()
    done = fourth.start()
    assert done.returncode == 1
    assert "has left" in done.stderr
    victim = next(node for node in cluster.nodes if not node.is_leader())
    keeper = next(node for node in cluster.nodes if node is not victim)
    wait_until(keeper.is_connected)
    assert keeper.appctl("cluster/kick", "D", victim.address).stdout in (
        "started removal\n", "sent removal request to leader\n")
    wait_until(lambda: "unknown cluster" in victim.appctl("cluster/status", "D").stderr)
    keeper.transact(insert("without"))
    cluster.check_logs()


@pytest.mark.long
def test_who_is_kicked_while_it_is_down_learns_of_it(tmp_path):
    need_etcd()
    with Cluster(tmp_path, tcp_addresses(3)) as cluster:
        cluster.start()
        keeper = cluster.leader()
        victim = next(node for node in cluster.nodes if node is not keeper)
        victim.kill()
        assert keeper.appctl("cluster/kick", "D", victim.address).returncode == 0
        wait_until(lambda: victim.address not in keeper.appctl("cluster/status", "D").stdout)
        time.sleep(3)                   # Until etcd has forgotten it too.
        victim.start_well()
        wait_until(lambda: "unknown cluster" in victim.appctl("cluster/status", "D").stderr)
        cluster.check_logs()


def test_what_is_too_big_for_an_outside_etcd_is_an_error(tmp_path):
    need_etcd()
    with _outside_etcd(tmp_path) as address, Cluster(tmp_path, [address]) as cluster:
        one, = cluster.nodes
        one.create()
        one.start_well()
        cluster.wait_connected()
        result = one.transact(insert("big", "x" * 2_000_000))
        assert result[-1]["error"] == "I/O error" and "too large" in result[-1]["details"]
        assert "uuid" in one.transact(insert("small"))[0]
        assert one.rows().keys() == {"small"}


def test_servers_at_unix_addresses_join_each_other(tmp_path):
    need_etcd()
    addresses = [f"unix:{tmp_path}/s{n}.raft" for n in range(1, 4)]
    with Cluster(tmp_path, addresses) as cluster:
        # A remote in a table that is not known before the server has joined.
        cluster.nodes[2].options += ("--remote=db:D,T,k",)
        cluster.start()
        cluster.nodes[2].transact(insert(f"punix:{tmp_path}/listed"))
        wait_until((tmp_path / "listed").exists)
        cluster.check_agreement()
        cluster.check_logs()


def test_without_etcd_a_joining_server_names_the_package(tmp_path):
    node = Node(tmp_path / "s1", tcp_addresses(1)[0])
    node.environment["PATH"] = str(tmp_path)
    done = node.run(*program("utilities.ovsdb_tool"), "join-cluster", "db", "D", node.address,
                    "tcp:127.0.0.1:1")
    assert done.returncode == 0 and "Debian's package is etcd-server" in done.stderr
    node.start_well()
    try:
        wait_until(lambda: "etcd-server" in node.log())
        assert "failed (etcd is not installed" in node.appctl("cluster/status", "D").stdout
    finally:
        node.kill()


def test_an_outside_etcd_serves_as_well(tmp_path):
    need_etcd()
    with _outside_etcd(tmp_path) as address, Cluster(tmp_path, [address] * 2) as cluster:
        cluster.start()
        cluster.nodes[0].transact(insert("outside"))
        cluster.check_agreement()
        assert cluster.nodes[0].etcd_pid() is None
        # All servers stop and start: what etcd has is what counts.
        for node in cluster.nodes:
            node.kill()
        for node in cluster.nodes:
            node.start_well()
        cluster.wait_connected()
        assert "outside" in cluster.check_agreement()
        cluster.check_logs()


@pytest.mark.long
def test_the_log_is_trimmed_and_who_missed_too_much_takes_the_snapshot(tmp_path):
    need_etcd()
    with Cluster(tmp_path, tcp_addresses(3)) as cluster:
        cluster.start()
        one, two, three = cluster.nodes
        three.kill()
        talk = one.connect()
        talk.socket.settimeout(60)
        talk.call("set_db_change_aware", True)
        talk.call("transact", "D", insert("big"))
        for number in range(130):
            assert talk.call("transact", "D", {
                "op": "update", "table": "T", "where": [["k", "==", "big"]],
                "row": {"v": "x" * 100_000, "n": number}}) == [{"count": 1}]
            talk.call("transact", "D", {
                "op": "update", "table": "T", "where": [["k", "==", "big"]], "row": {"v": ""}})
        wait_until(lambda: "snapshot stored" in one.log() + two.log())
        three.start_well()
        wait_until(three.is_connected)
        assert three.rows()["big"] == ["", 129]
        assert "snapshot installed" in three.log()
        three.transact(insert("more"))
        assert "more" in cluster.check_agreement()
        cluster.check_logs()


def _certificates(directory: Path) -> tuple[str, ...]:
    """Make an authority and a certificate for 127.0.0.1; return the options that name them."""
    def openssl(*args: str) -> None:
        subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
            "-subj", "/CN=authority", "-days", "2")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "req.pem",
            "-subj", "/CN=server")
    (directory / "ext").write_text("subjectAltName=IP:127.0.0.1\n")
    openssl("x509", "-req", "-in", "req.pem", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-CAcreateserial", "-out", "cert.pem", "-days", "2", "-extfile", "ext")
    return tuple(f"--{option}={directory}/{name}" for option, name in (
        ("private-key", "key.pem"), ("certificate", "cert.pem"), ("ca-cert", "ca.pem")))


def test_servers_at_ssl_addresses_join_each_other(tmp_path):
    need_etcd()
    addresses = [f"ssl:127.0.0.1:{free_port()}" for _ in range(2)]
    options = _certificates(tmp_path)
    with Cluster(tmp_path, addresses) as cluster:
        for node in cluster.nodes:
            node.options += options
        cluster.start()
        cluster.nodes[1].transact(insert("x"))
        cluster.check_agreement()
        cluster.check_logs()


@pytest.mark.long
def test_a_leader_that_ends_in_order_is_replaced_at_once(tmp_path):
    need_etcd()
    with Cluster(tmp_path, tcp_addresses(3)) as cluster:
        cluster.start()
        leader = cluster.leader()
        others = [node for node in cluster.nodes if node is not leader]
        assert leader.appctl("exit").returncode == 0
        start = time.monotonic()
        wait_until(lambda: any(node.is_leader() for node in others))
        assert time.monotonic() - start < 2.5
        assert leader.appctl("version").returncode != 0


def test_a_server_without_clusters_imports_nothing_for_them():
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); import ovsdb_server.main; "
            "print(*(name for name in sys.modules if name == 'h11' or 'service.cluster' in name))")
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True,
                          check=True)
    assert not done.stdout.strip()


def test_a_lone_server_whose_etcd_does_not_start_goes_on_alone(tmp_path):
    (tmp_path / "etcd").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "etcd").chmod(0o755)
    with Cluster(tmp_path, tcp_addresses(2)) as cluster:
        one, two = cluster.nodes
        one.environment["PATH"] = f"{tmp_path}:{one.environment['PATH']}"
        one.create()
        one.start_well()
        two.join(one.address)
        two.start_well()
        wait_until(lambda: "moving the log to etcd" in one.log())
        # Waits until it is clear that nothing comes of it.
        assert "uuid" in one.transact(insert("kept"))[0]
        assert "etcd does not start" in one.log()
        assert "kept" in one.rows() and one.is_leader()
        two.kill()
        one.kill()
        one.start_well()
        assert "kept" in one.rows() and one.is_leader()
