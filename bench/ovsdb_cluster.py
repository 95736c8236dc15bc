"""Inserts per second into clusters of one server and of three, beside a standalone database.

    python bench/ovsdb_cluster.py [SECONDS PER FIGURE [TURNS]]

Every commit of a clustered database is on the disk (of three servers: of two at least) before it is
answered, so the standalone figure is that of transactions which ask for durability.  1 and 20
clients wait for each reply; one client keeps 100 requests on the way.  Three servers of ours meet
on the etcds that they start, those of Debian by Raft; their processor time is that of all together.
"""

import sys
import tempfile
from pathlib import Path

from peers import (DURABLE_INSERT, INSERT, SCHEMA, Members, Server, alternate, less_is_better,
                   measure_load, print_table)

LOADS = (("1 client", 1, 1), ("20 clients", 20, 1), ("1 client, 100 on the way", 1, 100))


def main() -> None:
    """Measure both servers and print a table."""
    from ovsdb_server.engine.schema import DatabaseSchema
    from ovsdb_server.storage.cluster_file import create_cluster
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    n_turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    folder = tempfile.TemporaryDirectory()
    clustered = Path(folder.name) / "cluster.db"
    create_cluster(str(clustered), DatabaseSchema.from_json(SCHEMA), {}, "unix:s1.raft")

    def alone(command: list[str], load: Path | None) -> Server:
        server = Server(command, load)
        server.client().close()
        return server

    kinds = (
        ("standalone, durable", lambda command: alone(command, None), DURABLE_INSERT),
        ("cluster of one", lambda command: alone(command, clustered), INSERT),
        ("three servers, at the leader", Members, INSERT),
        ("three servers, at a follower", lambda command: Members(command, True), INSERT))

    def measure(command: list[str]) -> dict[str, float]:
        figures = {}
        for kind, start, text in kinds:
            for name, n_clients, window in LOADS:
                figures |= measure_load(start(command), f"{kind}: {name}", n_clients, window,
                                        text, seconds)
        return figures

    figures = alternate(measure, n_turns)
    print_table(figures, less_is_better(figures))


if __name__ == "__main__":
    main()
