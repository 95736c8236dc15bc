"""Inserts per second: 20 clients, 20 clients that want durability, one client that pipelines.

    python bench/ovsdb_inserts.py [SECONDS PER FIGURE [TURNS]]

Each of the 20 waits for its reply before it asks again; the pipelining one keeps 100 requests on
the way.  "cpu us" is the server's processor time per transaction, which a busy machine disturbs
less than the rate.
"""

import sys

from peers import (DURABLE_INSERT, INSERT, Server, alternate, less_is_better, measure_load,
                   print_table)

CASES = (
    ("20 clients", 20, 1, INSERT),
    ("20 clients, durable", 20, 1, DURABLE_INSERT),
    ("1 client, 100 on the way", 1, 100, INSERT),
)


def main() -> None:
    """Measure both servers and print a table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    n_turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3

    def measure(command: list[str]) -> dict[str, float]:
        figures = {}
        for name, n_clients, window, text in CASES:
            server = Server(command)
            server.client().close()
            figures |= measure_load(server, name, n_clients, window, text, seconds)
        return figures

    figures = alternate(measure, n_turns)
    print_table(figures, less_is_better(figures))


if __name__ == "__main__":
    main()
