"""Small transactions per second of our ovsdb-server beside the installed Open vSwitch's.

`python bench/ovsdb_transact.py [SECONDS]` starts both in private directories and prints, for each
workload, transactions per second of each and their ratio.  The clients are the same: raw sockets
in this process, one request outstanding per connection unless the workload says otherwise.
"""

import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ovsdb_server.engine.schema import DatabaseSchema       # noqa: E402
from ovsdb_server.rpc.message import Splitter               # noqa: E402
from ovsdb_server.storage import journal                    # noqa: E402

SCHEMA = DatabaseSchema.from_json({"name": "B", "version": "1.0.0", "tables": {
    "Item": {"indexes": [["name"]], "columns": {
        "name": {"type": "string"}, "n": {"type": "integer"},
        "ids": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}}}})

UPDATE = {"op": "mutate", "table": "Item", "where": [["name", "==", "item5"]],
          "mutations": [["n", "+=", 1]]}
DURABLE = {"op": "commit", "durable": True}
INSERT = {"op": "insert", "table": "Item", "row": {"ids": ["map", [["k", "v"]]]}}
SELECT = {"op": "select", "table": "Item", "where": [["name", "==", "item5"]]}

# Name, operations of one transaction, connections, requests outstanding on each, monitors.
WORKLOADS = (
    ("select one row", [SELECT], 1, 1, 0),
    ("change one row", [UPDATE], 1, 1, 0),
    ("change one row, 10 clients", [UPDATE], 10, 1, 0),
    ("change one row, 10 outstanding", [UPDATE], 1, 10, 0),
    ("change one row, 20 monitors", [UPDATE], 1, 1, 20),
    ("change one row, durable", [UPDATE, DURABLE], 1, 1, 0),
    ("change one row, durable, 10 clients", [UPDATE, DURABLE], 10, 1, 0),
    ("insert 20 rows", [INSERT] * 20, 1, 1, 0),
)


def start(command: list[str], directory: str) -> int:
    """Start a server with 200 rows in `directory`; return its pid."""
    path = os.path.join(directory, "b.db")
    schema = SCHEMA
    journal.create(path, schema)
    environment = dict(os.environ, OVS_SYSLOG_METHOD="null", OVS_RUNDIR=directory,
                       OVS_LOGDIR=directory, OVS_DBDIR=directory)
    subprocess.run([*command, "--detach", "--no-chdir", "--pidfile", "-vconsole:off",
                    f"--remote=punix:{directory}/db.sock", path], env=environment, check=True)
    return int(Path(directory, "ovsdb-server.pid").read_text())


def request(id: int, operations: list, n: int = 0) -> bytes:
    operations = [dict(op, row={**op["row"], "name": f"i{id}.{n}.{k}"})
                  if op["op"] == "insert" else op for k, op in enumerate(operations)]
    return json.dumps({"id": id, "method": "transact", "params": ["B", *operations]}).encode()


def call(path: str, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(path)
        sock.sendall(data)
        splitter, texts = Splitter(), []
        while not texts:
            texts = splitter.feed(sock.recv(1 << 20))
        return texts[0]


def measure(path: str, operations: list, clients: int, depth: int, monitors: int,
            seconds: float) -> float:
    """Return transactions per second."""
    sockets = []
    selector = selectors.DefaultSelector()
    for _ in range(monitors):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sock.sendall(b'{"id":1,"method":"monitor_cond","params":["B","m",{"Item":[{"columns":'
                     b'["name","n"]}]}]}')
        sockets.append(sock)
        selector.register(sock, selectors.EVENT_READ, None)
    count = n = 0
    for index in range(clients):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        sockets.append(sock)
        selector.register(sock, selectors.EVENT_READ, Splitter())
        for _ in range(depth):
            n += 1
            sock.sendall(request(n, operations, index))
    begin = time.perf_counter()
    while (elapsed := time.perf_counter() - begin) < seconds:
        for key, _ in selector.select(1):
            data = key.fileobj.recv(1 << 20)
            if key.data is None:
                continue
            for _ in key.data.feed(data):
                count += 1
                n += 1
                key.fileobj.sendall(request(n, operations))
    for sock in sockets:
        sock.close()
    return count / elapsed


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    ours = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
            "from ovsdb_server.main import main; sys.exit(main(sys.argv[1:]))"]
    servers = {"ours": ours}
    reference = shutil.which("ovsdb-server", path="/usr/sbin:/usr/bin")
    if reference:
        servers["reference"] = [reference]
    rates: dict[str, dict[str, float]] = {}
    for name, command in servers.items():
        with tempfile.TemporaryDirectory() as directory:
            pid = start(command, directory)
            path = f"{directory}/db.sock"
            try:
                fill = [{"op": "insert", "table": "Item", "row": {"name": f"item{i}"}}
                        for i in range(200)]
                call(path, json.dumps({"id": 0, "method": "transact",
                                       "params": ["B", *fill]}).encode())
                for row in WORKLOADS:
                    rates.setdefault(row[0], {})[name] = measure(path, *row[1:], seconds)
            finally:
                os.kill(pid, signal.SIGKILL)
    print(f"{'transactions per second':<38}" + "".join(f"{name:>12}" for name in servers)
          + f"{'ratio':>8}")
    for name, row in rates.items():
        ratio = f"{row['ours'] / row['reference']:8.2f}" if reference else ""
        print(f"{name:<38}" + "".join(f"{row[s]:12.0f}" for s in servers) + ratio)
    return 0


if __name__ == "__main__":
    sys.exit(main())
