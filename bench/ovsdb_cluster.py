"""Inserts per second into a cluster of one server, beside durable ones into a standalone database.

    python bench/ovsdb_cluster.py [SECONDS PER FIGURE [TURNS]]

Every commit of a clustered database is on the disk before it is answered, so the standalone figure
is that of transactions which ask for durability.  20 clients wait for each reply; one client keeps
100 requests on the way.
"""

import sys
import tempfile
from pathlib import Path

from peers import SCHEMA, Server, alternate, drive, print_table

PLAIN = (b'{"op":"insert","table":"T","row":{"name":"n%d","number":%d,'
         b'"options":["map",[["key","value"]]]}}')
DURABLE = PLAIN + b',{"op":"commit","durable":true}'
LOADS = (("20 clients", 20, 1), ("1 client, 100 on the way", 1, 100))


def main() -> None:
    """Measure both servers and print a table."""
    from ovsdb_server.engine.schema import DatabaseSchema
    from ovsdb_server.storage.cluster_file import create_cluster
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    n_turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    folder = tempfile.TemporaryDirectory()
    clustered = Path(folder.name) / "cluster.db"
    create_cluster(str(clustered), DatabaseSchema.from_json(SCHEMA), {}, "unix:s1.raft")

    def measure(command: list[str]) -> dict[str, float]:
        figures = {}
        for kind, load, text in (("standalone, durable", None, DURABLE),
                                 ("cluster of one", clustered, PLAIN)):
            for name, n_clients, window in LOADS:
                server = Server(command, load)
                try:
                    server.client().close()
                    before = server.cpu()
                    n, elapsed = drive(server.path, n_clients, window,
                                       lambda number, text=text: text % (number, number), seconds)
                    figures[f"{kind}: {name}, per second"] = n / elapsed
                    figures[f"{kind}: {name}, cpu us"] = (server.cpu() - before) / n * 1e6
                finally:
                    server.close()
        return figures

    results = alternate(measure, n_turns)
    print_table(results, frozenset(f"{kind}: {name}, cpu us" for name, *_ in LOADS
                                   for kind in ("standalone, durable", "cluster of one")))


if __name__ == "__main__":
    main()
