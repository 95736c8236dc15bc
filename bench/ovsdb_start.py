"""Starting on a file of 200,000 rows: seconds until it answers, and memory.

    python bench/ovsdb_start.py [ROWS [TURNS]]

The file holds all rows in one transaction record, as compaction leaves it.
"""

import time
from pathlib import Path

from peers import Server, compare_large


def measure(command: list[str], file: Path) -> dict[str, float]:
    """Return the figures of one server."""
    server = Server(command, load=file)
    try:
        server.client().call("list_dbs", [])
        elapsed = time.perf_counter() - server.started_at
        return {"start ms": elapsed * 1000, "resident MB": server.memory(),
                "highest MB": server.memory("VmHWM")}
    finally:
        server.close()


if __name__ == "__main__":
    compare_large(measure, 3)
