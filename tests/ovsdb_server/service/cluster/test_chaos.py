"""Servers and etcds of a cluster are killed and paused at random under load.

Clients change four registers: some by JSON-RPC at a random server, some with the `ovs` library's
IDL, bound to the leader or not.  What each of them was told makes a history; whatever happened, it
must be linearizable, and in the end all servers must hold the same.
"""

import math
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import ovs.db.idl
import ovs.poller
import pytest

from tests.model.linearizability import (Exchange, Operation, Swap, is_linearizable, register,
                                         settle)
from tests.ovsdb_server.conftest import Talk
from tests.ovsdb_server.service.cluster.cluster import (NAME, SCHEMA, Cluster, need_etcd,
                                                        tcp_addresses, wait_until)

KEYS = ("a", "b", "c", "d")


class History:
    """What clients did to each register."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._operations: dict[str, list[Operation]] = {key: [] for key in KEYS}
        self._n_values = 0
        self.n_known = 0
        self.n_unknown = 0

    def new_value(self) -> str:
        with self._lock:
            self._n_values += 1
            return f"v{self._n_values}"

    def add(self, key: str, operation: Operation) -> None:
        with self._lock:
            self._operations[key].append(operation)
            self.n_known += operation.is_known
            self.n_unknown += not operation.is_known

    def check(self, last: dict[str, str]) -> None:
        """Is the history of each register one that a register can have, with `last` at its end?"""
        for key, operations in self._operations.items():
            end = Operation(time.monotonic(), time.monotonic() + 1, Exchange(last[key], "end"),
                            True)
            history = settle([*operations, end])
            assert is_linearizable(history, "", register), f"register {key}: " + (
                "\n".join(map(str, sorted(history))))


class Client(threading.Thread):
    """One client; `work` does one operation and may fail by OSError or in unknown ways."""

    def __init__(self, cluster: Cluster, history: History, rng: Random) -> None:
        super().__init__(daemon=True)
        self.cluster = cluster
        self.history = history
        self.rng = rng
        self.stopped = False
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopped:
                self.work()
        except BaseException as error:
            self.failure = error

    def work(self) -> None:
        raise NotImplementedError


class Raw(Client):
    """Speaks JSON-RPC to one server until that does not answer, then to another."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self._talk: Talk | None = None

    def work(self) -> None:
        if self._talk is None:
            try:
                self._talk = Talk(self.rng.choice(self.cluster.nodes).path)
                self._talk.socket.settimeout(4)
            except OSError:
                time.sleep(0.05)
                return
        key, new = self.rng.choice(KEYS), self.history.new_value()
        where = [["k", "==", key]]
        swap = [{"op": "select", "table": "T", "where": where, "columns": ["v"]},
                {"op": "update", "table": "T", "where": where, "row": {"v": new}}]
        start = time.monotonic()
        try:
            result = self._talk.call("transact", NAME, *swap)
        except (OSError, EOFError):
            self.history.add(key, Operation(start, math.inf, Swap(new)))
            self._drop()
            return
        end = time.monotonic()
        if isinstance(result, list) and len(result) == 2 and result[1] == {"count": 1}:
            old = result[0]["rows"][0]["v"]
            self.history.add(key, Operation(start, end, Swap(new), old))
        elif isinstance(result, dict) and result.get("error") == "database not available":
            self._drop()                # It has not begun: not done.
        else:
            self.history.add(key, Operation(start, math.inf, Swap(new)))
            assert result == "canceled", result
        if self.rng.random() < 0.05:
            self._drop()

    def _drop(self) -> None:
        self._talk.socket.close()
        self._talk = None


class Library(Client):
    """Uses the IDL: reads a row, changes it if it is still what was read."""

    def __init__(self, cluster: Cluster, history: History, rng: Random, leader_only: bool) -> None:
        super().__init__(cluster, history, rng)
        helper = ovs.db.idl.SchemaHelper(schema_json=SCHEMA)
        helper.register_all()
        remotes = ",".join(f"unix:{node.path}" for node in cluster.nodes)
        self.idl = ovs.db.idl.Idl(remotes, helper, leader_only=leader_only)
        self.n_changes = 0

    def _turn(self, limit: float) -> None:
        poller = ovs.poller.Poller()
        self.idl.wait(poller)
        poller.timer_wait(max(1, int(min(limit - time.monotonic(), 0.1) * 1000)))
        poller.block()

    def work(self) -> None:
        self.idl.run()
        key = self.rng.choice(KEYS)
        row = next((row for row in self.idl.tables["T"].rows.values() if row.k == key), None)
        if row is None:
            self._turn(time.monotonic() + 0.1)
            return
        old, new = row.v, self.history.new_value()
        txn = ovs.db.idl.Transaction(self.idl)
        row.verify("v")
        row.v = new
        start = time.monotonic()
        limit = start + 4
        status = txn.commit()
        if status == txn.TRY_AGAIN:
            # Not connected: nothing was sent.
            txn.abort()
            self._turn(start + 0.1)
            return
        while status == txn.INCOMPLETE and time.monotonic() < limit:
            self._turn(limit)
            self.idl.run()
            status = txn.commit()
        if status == txn.SUCCESS:
            self.history.add(key, Operation(start, time.monotonic(), Exchange(old, new), True))
            self.n_changes += 1
        else:
            # TRY_AGAIN is also what the library says when the connection was lost.
            self.history.add(key, Operation(start, math.inf, Exchange(old, new)))
        txn.abort()


class Faults:
    """Draws accidents from a seed; `heal` ends them all."""

    def __init__(self, cluster: Cluster, rng: Random) -> None:
        self.cluster = cluster
        self.rng = rng
        self.n = 0
        self._repairs: list[tuple[float, object]] = []

    def step(self) -> None:
        """Repair what is due; perhaps break something."""
        now = time.monotonic()
        for at, repair in list(self._repairs):
            if now >= at:
                self._repairs.remove((at, repair))
                repair()
        if len(self._repairs) < 2:
            self._break(now)

    def _break(self, now: float) -> None:
        node = self.rng.choice(self.cluster.nodes)
        if not node.is_alive():
            return
        self.n += 1
        # Longer than a lease, or just so long that something is lost.
        until = now + self.rng.uniform(*self.rng.choice(((0.1, 1), (0.1, 1), (1, 5))))
        what = self.rng.randrange(4)
        etcd = node.etcd_pid()
        if what == 0:
            os.kill(node.pid, signal.SIGSTOP)
            self._repairs.append((until, lambda pid=node.pid: _signal(pid, signal.SIGCONT)))
        elif what == 1 and etcd is not None:
            _signal(etcd, signal.SIGSTOP)
            self._repairs.append((until, lambda: _signal(etcd, signal.SIGCONT)))
        elif what == 2 and etcd is not None:
            _signal(etcd, signal.SIGKILL)
        else:
            if etcd is not None:
                _signal(etcd, signal.SIGCONT)
            os.kill(node.pid, signal.SIGCONT)
            node.kill()
            self._repairs.append((now + self.rng.uniform(0, 2), node.start_well))

    def heal(self) -> None:
        for _, repair in self._repairs:
            repair()
        self._repairs.clear()


def _signal(pid: int, number: int) -> None:
    """Signal a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def run(directory: Path, seed: int, seconds: float) -> tuple[History, Faults, list[Client]]:
    """Let clients and faults loose on a cluster, and check what came of it."""
    rng = Random(seed)
    with Cluster(directory, tcp_addresses(3)) as cluster:
        cluster.start()
        cluster.nodes[0].transact(*(
            {"op": "insert", "table": "T", "row": {"k": key}} for key in KEYS))
        # A server that lags may find a row missing and then has nothing to change.
        wait_until(lambda: all(len(node.rows()) == len(KEYS) for node in cluster.nodes))
        history = History()
        clients: list[Client] = [
            *(Raw(cluster, history, Random(rng.random())) for _ in range(3)),
            *(Library(cluster, history, Random(rng.random()), leader_only)
              for leader_only in (True, False))]
        for client in clients:
            client.start()
        faults = Faults(cluster, Random(rng.random()))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.05, 0.6))
            faults.step()
        faults.heal()
        cluster.wait_connected()
        # Each must be able to go on.
        n_before = history.n_known
        wait_until(lambda: history.n_known >= n_before + 10)
        for client in clients:
            client.stopped = True
        for client in clients:
            client.join(15)
            assert not client.is_alive()
            assert client.failure is None, repr(client.failure)
        cluster.wait_connected()
        rows = cluster.check_agreement()
        history.check({key: rows[key][0] for key in KEYS})
        cluster.check_logs()
        assert history.n_known > 20
        assert all(client.n_changes for client in clients if isinstance(client, Library))
        return history, faults, clients


@pytest.mark.slow
def test_a_short_storm(tmp_path):
    need_etcd()
    run(tmp_path, seed=1, seconds=8)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [(10, 11), (12, 13), (14, 15)])
def test_a_long_storm(tmp_path, seeds):
    """Two clusters at a time: mostly they wait for leases and elections."""
    need_etcd()

    def storm(seed: int) -> None:
        directory = tmp_path / str(seed)
        directory.mkdir()
        history, faults, _ = run(directory, seed, seconds=60)
        print(f"{history.n_known} acknowledged, {history.n_unknown} unknown, {faults.n} faults")
        assert faults.n > 40

    with ThreadPoolExecutor() as pool:
        for result in [pool.submit(storm, seed) for seed in seeds]:
            result.result()
