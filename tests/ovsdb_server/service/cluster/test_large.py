"""Large transactions in a cluster: others are served meanwhile, nothing is lost or done twice."""

import json
import time

import pytest

from tests.ovsdb_server.service.cluster.cluster import (Cluster, insert, need_etcd,
                                                        tcp_addresses, wait_until)
from tests.ovsdb_server.service.test_large import server_cpu

N_ROWS = 6_000
SWEEP = {"op": "mutate", "table": "T", "where": [["k", "!=", "small"]],
         "mutations": [["n", "+=", 1]]}
COUNT = {"op": "select", "table": "T", "where": [["k", "!=", "small"]], "columns": ["n"]}
SMALL = {"op": "mutate", "table": "T", "where": [["k", "==", "small"]],
         "mutations": [["n", "+=", 1]]}


def insert_odd(k: str) -> dict:
    """Return an insertion in whose text objects seem to end."""
    return insert(k, '},"x":{')


def connect(node):
    talk = node.connect()
    talk.socket.settimeout(60)
    talk.call("set_db_change_aware", True)
    return talk


@pytest.fixture
def cluster(tmp_path):
    need_etcd()
    with Cluster(tmp_path, tcp_addresses(3)) as cluster:
        cluster.start()
        yield cluster


def test_large_and_small_transactions_at_all_servers_at_once(cluster):
    bigs = [connect(node) for node in cluster.nodes]
    smalls = [connect(node) for node in cluster.nodes]
    results = bigs[0].call("transact", "D", *(insert_odd(f"row-{n}") for n in range(N_ROWS)),
                           insert_odd("small"))
    assert len(results) == N_ROWS + 1 and all("uuid" in result for result in results)
    wait_until(lambda: all(len(node.rows()) == N_ROWS + 1 for node in cluster.nodes))
    watcher = connect(cluster.nodes[2])
    watcher.call("monitor_cond", "D", "m", {"T": [{"columns": ["n"]}]})
    for n, big in enumerate(bigs):
        big.send(*({"id": n, "method": "transact", "params": ["D", SWEEP]} for n in range(2)))
        smalls[n].send(*({"id": i, "method": "transact", "params": ["D", SMALL]}
                         for i in range(20)))
    # Nobody sees half of a sweep.
    seen = {row["n"] for talk in smalls for row in _read(talk)}
    assert seen <= set(range(7))
    for talk in bigs:
        assert [talk.receive()["result"] for _ in range(2)] == [[{"count": N_ROWS}]] * 2
    for talk in smalls:
        while talk.n_left:
            talk.n_left -= _is_small(talk.receive())
    rows = cluster.check_agreement()
    assert rows.pop("small")[1] == 60
    assert {n for _, n in rows.values()} == {6}
    _check_updates(watcher)
    assert connect(cluster.nodes[1]).call("transact", "D", {
        "op": "delete", "table": "T", "where": []}) == [{"count": N_ROWS + 1}]
    assert cluster.check_agreement() == {}
    cluster.check_logs()
    # What went to the file is read again.
    bigs[1].call("transact", "D", *(insert_odd(f"row-{n}") for n in range(N_ROWS)))
    wait_until(lambda: all(len(node.rows()) == N_ROWS for node in cluster.nodes))
    for node in cluster.nodes:
        node.kill()
    for node in cluster.nodes:
        node.start_well()
    cluster.wait_connected()
    assert len(cluster.check_agreement()) == N_ROWS


def _is_small(message: dict) -> bool:
    assert message["result"] == [{"count": 1}]
    return True


def _read(talk) -> list[dict]:
    """Read the rows of one moment, between the answers to small transactions."""
    talk.n_left = 20
    talk.send({"id": "count", "method": "transact", "params": ["D", COUNT]})
    while (reply := talk.receive())["id"] != "count":
        talk.n_left -= _is_small(reply)
    rows = reply["result"][0]["rows"]
    assert len(rows) == 1, "half of a transaction was seen"
    return rows


def _check_updates(watcher) -> None:
    """All updates have all the rows of a sweep, or only the small one."""
    n_sweeps = 0
    while n_sweeps < 6:
        update = watcher.receive()
        assert update["method"] == "update2"
        changes = update["params"][1]["T"]
        assert len(changes) in (1, N_ROWS, N_ROWS + 1)
        if len(changes) > 1:
            n_sweeps = max(change["modify"]["n"] for change in changes.values()
                           if change["modify"]["n"] <= 6)


@pytest.mark.long
def test_a_leader_lost_in_the_midst_of_a_large_transaction(cluster):
    leader = cluster.leader()
    other = next(node for node in cluster.nodes if node is not leader)
    talk = connect(leader)
    talk.call("transact", "D", *(insert_odd(f"row-{n}") for n in range(N_ROWS)), insert_odd("small"))
    wait_until(lambda: len(other.rows()) == N_ROWS + 1)
    talk.send({"id": 1, "method": "transact", "params": ["D", *[SWEEP] * 20]})
    time.sleep(0.1)
    leader.kill()
    # It was done or it was not, at all servers.
    assert connect(other).call("transact", "D", SWEEP) == [{"count": N_ROWS}]
    leader.start_well()
    cluster.wait_connected()
    rows = cluster.check_agreement()
    rows.pop("small")
    assert {n for _, n in rows.values()} in ({1}, {21})
    cluster.check_logs()


@pytest.mark.long
def test_nobody_waits_for_the_largest(tmp_path):
    """50,000 inserts at a time, 200,000 rows changed and deleted: at who is asked and who follows."""
    need_etcd()
    with Cluster(tmp_path, tcp_addresses(2)) as cluster:
        cluster.start()
        asked = cluster.leader()
        follower, = (node for node in cluster.nodes if node is not asked)
        big, others = connect(asked), {node: connect(node) for node in (asked, follower)}
        waits = []

        def index(node) -> int:
            return node.state()["index"]

        def run(name: str, *operations: dict) -> None:
            left = memoryview(json.dumps({"id": name, "method": "transact",
                                          "params": ["D", *operations]}).encode())
            goal = index(asked) + 1
            big.socket.setblocking(False)
            received = b""
            while not received.endswith(b'"error":null}') or index(follower) < goal:
                try:
                    if left:
                        left = left[big.socket.send(left):]
                    received = (received + big.socket.recv(1 << 20))[-200:]
                except BlockingIOError:
                    pass
                for node, talk in others.items():
                    before = server_cpu(node)
                    talk.call("transact", "D", {
                        "op": "select", "table": "T", "where": [["k", "==", "row-1"]]})
                    waits.append((server_cpu(node) - before, name,
                                  "asked" if node is asked else "follower"))

        for start in range(0, 200_000, 50_000):
            run(f"insert {start}", *(insert_odd(f"row-{n}") for n in range(start, start + 50_000)))
        run("change", SWEEP)
        run("delete", {"op": "delete", "table": "T", "where": []})
        for who in ("asked", "follower"):
            worst = sorted(wait for wait in waits if wait[2] == who)[-4:]
            print(who, [f"{wait * 1000:.0f} ms at {name}" for wait, name, _ in worst])
        assert len(waits) > 500 and max(waits)[0] < 0.15
        cluster.check_logs()
