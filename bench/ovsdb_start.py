"""Starting on a file of 200,000 rows: seconds until it answers, and memory.

    python bench/ovsdb_start.py [ROWS [TURNS]]

The file holds all rows in one transaction record, as compaction leaves it.
"""

import sys
import tempfile
import time
from pathlib import Path

from peers import Server, alternate, make_large, print_table


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


def main() -> None:
    """Measure both servers and print a table."""
    numbers = [int(word) for word in sys.argv[1:]]
    n_rows, n_turns = numbers + [200_000, 3][len(numbers):]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.db"
        make_large(file, n_rows)
        figures = alternate(lambda command: measure(command, file), n_turns)
    print_table(figures, frozenset(figures["ours"]))


if __name__ == "__main__":
    main()
