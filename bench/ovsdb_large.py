"""What a server does with 200,000 rows while others want it too: dump, compaction, select.

    python bench/ovsdb_large.py [ROWS [TURNS]]

"monitor": one client asks for all rows; seconds to the end of the reply, and meanwhile the longest
wait of another client that changes one row every 2 ms.  "compaction": the same during
ovsdb-server/compact.  "select": selects per second by the indexed column `name`, by one client
that waits for each reply.
"""

import time
from pathlib import Path

from peers import SCHEMA, Bystander, Server, compare_large

DB = SCHEMA["name"]
LESS = frozenset(("monitor ms", "monitor, worst wait ms", "compaction ms",
                  "compaction, worst wait ms", "highest MB"))


def dump(server: Server) -> tuple[float, int]:
    """Ask for everything; return the seconds until the reply is there, and its size."""
    client = server.client()
    started = time.perf_counter()
    client.send("monitor_cond", [DB, 0, {"T": [{"select": {"modify": False}}]}], id="the end")
    size, tail = 0, b""
    while True:
        data = client.socket.recv(1 << 20)
        size += len(data)
        # The id comes last in our replies, and somewhere in the others'.
        tail = (tail + data)[-300:] if len(data) < 300 else data[-300:]
        if tail.endswith(b"}"):
            client.socket.settimeout(0.25)
            try:
                if not client.socket.recv(1 << 20, 2):
                    break
            except TimeoutError:
                elapsed = time.perf_counter() - started - 0.25
                break
            client.socket.settimeout(None)
    client.close()
    return elapsed, size


def measure(command: list[str], file: Path) -> dict[str, float]:
    """Return the figures of one server."""
    server = Server(command, load=file)
    figures: dict[str, float] = {}
    try:
        client = server.client()
        client.call("list_dbs", [])
        n = 0
        started = time.perf_counter()
        while time.perf_counter() - started < 2:
            rows = client.call("transact", [DB, {
                "op": "select", "table": "T", "where": [["name", "==", f"row-{n * 7919 % 1000}"]],
                "columns": ["number"]}])
            assert len(rows[0]["rows"]) == 1
            n += 1
        figures["select by index per second"] = n / (time.perf_counter() - started)
        bystander = Bystander(server)
        elapsed, size = dump(server)
        worst, _median, _n = bystander.finish()
        figures |= {"monitor ms": elapsed * 1000, "monitor, worst wait ms": worst,
                    "monitor MB": size / 1e6}
        bystander = Bystander(server)
        started = time.perf_counter()
        server.command("ovsdb-server/compact")
        figures["compaction ms"] = (time.perf_counter() - started) * 1000
        worst, _median, _n = bystander.finish()
        figures |= {"compaction, worst wait ms": worst, "highest MB": server.memory("VmHWM")}
        return figures
    finally:
        server.close()


if __name__ == "__main__":
    compare_large(measure, 1, LESS)
