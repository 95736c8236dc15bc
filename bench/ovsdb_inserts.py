"""Inserts per second: 20 clients, 20 clients that want durability, one client that pipelines.

    python bench/ovsdb_inserts.py [SECONDS PER FIGURE [TURNS]]

Each of the 20 waits for its reply before it asks again; the pipelining one keeps 100 requests on
the way.  "cpu us" is the server's processor time per transaction, which a busy machine disturbs
less than the rate.
"""

import sys

from peers import Server, alternate, drive, print_table

PLAIN = (b'{"op":"insert","table":"T","row":{"name":"n%d","number":%d,'
         b'"options":["map",[["key","value"]]]}}')
CASES = (
    ("20 clients", 20, 1, PLAIN),
    ("20 clients, durable", 20, 1, PLAIN + b',{"op":"commit","durable":true}'),
    ("1 client, 100 on the way", 1, 100, PLAIN),
)


def main() -> None:
    """Measure both servers and print a table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    n_turns = int(sys.argv[2]) if len(sys.argv) > 2 else 3

    def measure(command: list[str]) -> dict[str, float]:
        figures = {}
        for name, n_clients, window, text in CASES:
            server = Server(command)
            try:
                server.client().close()
                before = server.cpu()
                n, elapsed = drive(server.path, n_clients, window,
                                   lambda number, text=text: text % (number, number), seconds)
                figures[f"{name}, per second"] = n / elapsed
                figures[f"{name}, cpu us"] = (server.cpu() - before) / n * 1e6
            finally:
                server.close()
        return figures

    print_table(alternate(measure, n_turns),
                frozenset(f"{name}, cpu us" for name, *_ in CASES))


if __name__ == "__main__":
    main()
