"""The longest wait of other clients while one has something very large done.

    python bench/ovsdb_fair.py [ROWS [TURNS]]

One client inserts 50,000 rows in one transaction, then changes, makes visible (monitor_cond_change)
and deletes ROWS rows at once; another has a monitor of everything.  Meanwhile a third reads one row
every 2 ms: "worst wait" is how long that has taken at most.  Otherwise seconds until the reply.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from peers import SCHEMA, Bystander, Client, Server, compare_large, insert, row_json

DB = SCHEMA["name"]
N_INSERTED = 50_000
LOOK = {"op": "select", "table": "T", "where": [["name", "==", "row-1"]], "columns": ["number"]}

# A client that reads all that comes, in a process of its own; it ends with its input.
_READER = """
import select, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(sys.argv[2].encode())
while True:
    ready = select.select([0, sock], [], [])[0]
    if 0 in ready:
        break
    if not sock.recv(1 << 20):
        break
"""


def transact(*operations: dict) -> tuple[str, list]:
    """Return a request."""
    return "transact", [DB, *operations]


def measure(command: list[str], file: Path) -> dict[str, float]:
    """Return the figures of one server."""
    server = Server(command, load=file)
    monitor = {"id": 0, "method": "monitor_cond", "params": [DB, "all", {"T": [{}]}]}
    reader = None
    figures: dict[str, float] = {}
    try:
        client = server.client()
        client.send("monitor_cond", [DB, "m", {"T": [{"where": [False]}]}])
        client.receive()
        reader = subprocess.Popen([sys.executable, "-IS", "-c", _READER, server.path,
                                   json.dumps(monitor)], stdin=subprocess.PIPE)
        time.sleep(2)
        for name, (method, params) in (
                (f"insert {N_INSERTED} rows", transact(*(
                    insert(row_json(10_000_000 + n)) for n in range(N_INSERTED)))),
                ("change all rows", transact({"op": "mutate", "table": "T", "where": [],
                                              "mutations": [["number", "+=", 1]]})),
                ("monitor_cond_change to all rows", (
                    "monitor_cond_change", ["m", "m", {"T": [{"where": [True]}]}])),
                ("delete all rows but one", transact(
                    {"op": "delete", "table": "T", "where": [["name", "!=", "row-1"]]}))):
            bystander = Bystander(server, LOOK)
            started = time.perf_counter()
            client.send(method, params, id="the end")
            wait_for_end(client)
            figures[f"{name}: s"] = time.perf_counter() - started
            # The monitor's update follows.
            time.sleep(3)
            figures[f"{name}: worst wait ms"] = bystander.finish()[0]
        figures["highest MB"] = server.memory("VmHWM")
        return figures
    finally:
        if reader is not None:
            reader.communicate()
        server.close()


def wait_for_end(client: Client) -> None:
    """Read until the reply with the id "the end" is there."""
    tail = b""
    while b'"the end"' not in tail:
        data = client.socket.recv(1 << 20)
        if not data:
            raise SystemExit("the server closed the connection")
        tail = tail[-20:] + data


if __name__ == "__main__":
    compare_large(measure, 1)
