"""200 monitors of one table hear 200 updates: the server's processor time and the wall time.

    python bench/ovsdb_monitors.py [MONITORS [UPDATES [TURNS]]]

One client updates a row and waits for its reply, 200 times; the clock stops when every monitor has
heard of the last update.  The monitors are read by a process of their own.
"""

import subprocess
import sys
import time

from peers import SCHEMA, Server, alternate, insert, print_table, row_json

DB = SCHEMA["name"]

# Reads monitors until each has heard the number that stands for the end.
_READER = """
import json, select, socket, sys
path, n, last = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
poll, socks = select.epoll(), {}
request = json.dumps({"id": 0, "method": "monitor_cond", "params": [
    "Bench", 0, {"T": [{"columns": ["name", "number"]}]}]}).encode()
for _ in range(n):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    sock.sendall(request)
    sock.recv(65536)
    socks[sock.fileno()] = sock
    poll.register(sock, select.EPOLLIN)
print("ready", flush=True)
tails = dict.fromkeys(socks, b"")
n_bytes = 0
while socks:
    for fd, _ in poll.poll():
        sock = socks[fd]
        data = sock.recv(1 << 20)
        n_bytes += len(data)
        if last in tails[fd] + data:
            poll.unregister(fd)
            del socks[fd]
        tails[fd] = data[-40:]
print(n_bytes)
"""


def measure(command: list[str], n_monitors: int, n_updates: int) -> dict[str, float]:
    """Return the figures of one server."""
    server = Server(command)
    last = 1_000_000_000
    try:
        client = server.client()
        for number in range(10):
            client.call("transact", [DB, insert(row_json(number))])
        reader = subprocess.Popen(
            [sys.executable, "-IS", "-c", _READER, server.path, str(n_monitors),
             f":{last}}}"], stdout=subprocess.PIPE)
        reader.stdout.readline()
        before, started = server.cpu(), time.perf_counter()
        for number in range(n_updates):
            is_last = number == n_updates - 1
            client.call("transact", [DB, {
                "op": "update", "table": "T", "where": [["name", "==", "row-1"]],
                "row": {"number": last if is_last else number + 100}}])
        reader.communicate()
        wall = time.perf_counter() - started
        time.sleep(0.1)
        return {"wall ms": wall * 1000, "server cpu ms": (server.cpu() - before) * 1000,
                "cpu us per message": (server.cpu() - before) / n_monitors / n_updates * 1e6}
    finally:
        server.close()


def main() -> None:
    """Measure both servers and print a table."""
    numbers = [int(word) for word in sys.argv[1:]]
    n_monitors, n_updates, n_turns = numbers + [200, 200, 3][len(numbers):]
    figures = alternate(lambda command: measure(command, n_monitors, n_updates), n_turns)
    print_table(figures, frozenset(figures["ours"]))


if __name__ == "__main__":
    main()
