"""A cluster of our servers as processes, each with the etcd that it supervises."""

import json
import os
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.ovsdb_server.conftest import ServerProcess, program

ETCD_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NAME = "D"
SCHEMA = {"name": NAME, "version": "1.0.0", "tables": {"T": {
    "isRoot": True, "indexes": [["k"]],
    "columns": {"k": {"type": "string"}, "v": {"type": "string"},
                "n": {"type": "integer"}}}}}


def insert(k: str, v: str = "", n: int = 0) -> dict:
    """Return the operation that inserts a row."""
    return {"op": "insert", "table": "T", "row": {"k": k, "v": v, "n": n}}


def need_etcd() -> None:
    """Skip the test on a machine without etcd."""
    if shutil.which("etcd", path=ETCD_PATH) is None:
        pytest.skip("etcd is not installed (Debian: etcd-server)")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Node(ServerProcess):
    """One server of a cluster; `address` is where it meets the others."""

    def __init__(self, directory: Path, address: str) -> None:
        directory.mkdir()
        super().__init__(program("ovsdb_server.main"), directory,
                         ("--log-file", "-vconsole:off"), ("db",))
        self.address = address

    def tool(self, *args: str) -> None:
        done = self.run(*program("utilities.ovsdb_tool"), *args)
        assert done.returncode == 0, done.stderr

    def create(self) -> None:
        (self.directory / "schema").write_text(json.dumps(SCHEMA))
        self.tool("create-cluster", "db", "schema", self.address)

    def join(self, *remotes: str) -> None:
        self.tool("join-cluster", "db", NAME, self.address, *remotes)

    def start_well(self) -> None:
        done = self.start()
        assert done.returncode == 0, done.stderr

    def etcd_pid(self) -> int | None:
        """Return the process id of the server's etcd."""
        for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
            for child in _read_process(task).split():
                if _read_process(Path(f"/proc/{child}/comm")).strip() == "etcd":
                    return int(child)
        return None

    def signal_etcd(self, number: int) -> None:
        pid = self.etcd_pid()
        if pid is not None:
            os.kill(pid, number)

    def state(self) -> dict:
        """Return the columns of `_Server` about the database."""
        talk = self.connect()
        result = talk.call("transact", "_Server", {
            "op": "select", "table": "Database", "where": [["name", "==", NAME]]})
        talk.socket.close()
        return result[0]["rows"][0]

    def is_connected(self) -> bool:
        try:
            return self.state()["connected"]
        except (OSError, EOFError):
            return False

    def is_leader(self) -> bool:
        try:
            return self.state()["leader"]
        except (OSError, EOFError):
            return False

    def transact(self, *operations: dict) -> list:
        talk = self.connect()
        # Otherwise a change of leader in the midst of it ends the session.
        talk.call("set_db_change_aware", True)
        try:
            return talk.call("transact", NAME, *operations)
        finally:
            talk.socket.close()

    def rows(self) -> dict[str, list]:
        """Return {k: [v, n]} as this server has it."""
        rows = self.transact({"op": "select", "table": "T", "where": []})[0]["rows"]
        return {row["k"]: [row["v"], row["n"]] for row in rows}

    def last_txn(self) -> str:
        """Return the id of the last transaction, as monitor_cond_since tells it."""
        talk = self.connect()
        reply = talk.call("monitor_cond_since", NAME, "m", {"T": [{}]},
                          "00000000-0000-0000-0000-000000000000")
        talk.socket.close()
        return reply[1]


def _read_process(path: Path) -> str:
    """Return what /proc says, nothing of who has just ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_until(holds, seconds: float = 30, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what or "timed out"
        time.sleep(0.05)


class Cluster:
    """Servers on one database; use as a context manager."""

    def __init__(self, directory: Path, addresses: list[str]) -> None:
        self.nodes = [Node(directory / f"s{n}", address)
                      for n, address in enumerate(addresses, 1)]

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *exc_info: object) -> None:
        for node in self.nodes:
            if node.pid and node.is_alive():
                etcd = node.etcd_pid()
                os.kill(node.pid, signal.SIGKILL)
                if etcd is not None:
                    # Dies with the server; a stopped one only when it goes on.
                    try:
                        os.kill(etcd, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                node.wait_end()

    def start(self) -> None:
        """Create, join and start all of them."""
        first, *others = self.nodes
        first.create()
        first.start_well()
        for node in others:
            node.join(first.address)
            node.start_well()
        self.wait_connected()

    def wait_connected(self, seconds: float = 40) -> None:
        wait_until(lambda: all(node.is_connected() for node in self.nodes), seconds,
                   "not all servers are connected")
        wait_until(lambda: any(node.is_leader() for node in self.nodes), seconds, "no leader")

    def leader(self) -> Node:
        wait_until(lambda: any(node.is_leader() for node in self.nodes), 20, "no leader")
        return next(node for node in self.nodes if node.is_leader())

    def check_agreement(self) -> dict[str, list]:
        """Return the rows, which must be the same on all servers, as must be their history."""
        wait_until(lambda: len({node.state()["index"] for node in self.nodes}) == 1)
        rows = [node.rows() for node in self.nodes]
        assert rows[0] == rows[1] == rows[-1]
        assert len({node.last_txn() for node in self.nodes}) == 1
        return rows[0]

    def check_logs(self) -> None:
        for node in self.nodes:
            assert "internal error" not in node.log(), node.log()[-3000:]


def tcp_addresses(n: int) -> list[str]:
    return [f"tcp:127.0.0.1:{free_port()}" for _ in range(n)]
