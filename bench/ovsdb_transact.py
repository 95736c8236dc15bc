"""Small transactions per second: our ovsdb-server beside the installed one, in one run.

    python bench/ovsdb_transact.py [SECONDS PER FIGURE]

Each server gets a private directory and a fresh vswitch database; this client speaks JSON-RPC
over the Unix socket.  Figures: "one at a time" waits for each reply (latency decides);
"pipelined" keeps 32 requests on the way (throughput decides); "durable" asks for an fsync before
the reply; "add-port" inserts a Port and an Interface and counts next_cfg up, as ovs-vsctl does;
"8 followers" repeats the pipelined figure while eight clients monitor the changed table.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "schema" / "vswitch.ovsschema"
OURS = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from utilities.programs import start; start('ovsdb-server')"]
THEIRS = shutil.which("ovsdb-server", path="/usr/sbin:/usr/bin")
DB = "Open_vSwitch"
WINDOW = 32


class Client:
    """A blocking JSON-RPC client that counts replies."""

    def __init__(self, path: str):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._text = ""
        self._decoder = json.JSONDecoder()
        self._n_sent = 0

    def send(self, method: str, params: list) -> None:
        """Send a request without waiting."""
        self._n_sent += 1
        request = {"id": self._n_sent, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode())

    def receive(self) -> list:
        """Return the result of the next reply."""
        while True:
            try:
                message, end = self._decoder.raw_decode(self._text)
            except ValueError:
                data = self._socket.recv(1 << 20)
                if not data:
                    raise SystemExit("the server closed the connection") from None
                self._text += data.decode()
                continue
            self._text = self._text[end:]
            if "result" in message and "method" not in message:
                if any(isinstance(r, dict) and "error" in r for r in message["result"]):
                    raise SystemExit(f"refused: {message['result']}")
                return message["result"]

    def call(self, method: str, params: list) -> list:
        """Send a request and return its result."""
        self.send(method, params)
        return self.receive()

    def drain(self) -> None:
        """Throw away what arrived, without waiting."""
        self._socket.setblocking(False)
        try:
            while self._socket.recv(1 << 20):
                pass
        except BlockingIOError:
            pass
        self._socket.setblocking(True)


class Server:
    """A server process with a fresh database in a private directory."""

    def __init__(self, command: list[str]):
        self.folder = Path(tempfile.mkdtemp(prefix="ovsdb-bench-"))
        self.path = str(self.folder / "db.sock")
        database = self.folder / "conf.db"
        sys.path.insert(0, str(ROOT))
        from ovsdb_server.engine.schema import DatabaseSchema
        from ovsdb_server.storage.journal import create
        create(str(database), DatabaseSchema.from_json(json.loads(SCHEMA.read_text())))
        environment = {**os.environ, "OVS_RUNDIR": str(self.folder),
                       "OVS_LOGDIR": str(self.folder), "OVS_DBDIR": str(self.folder)}
        self._process = subprocess.Popen(
            [*command, str(database), f"--remote=punix:{self.path}", "-vconsole:off",
             f"--unixctl={self.folder / 'ctl'}"], env=environment)

    def client(self) -> Client:
        """Return a new connection, waiting for the server to listen."""
        for _attempt in range(200):
            try:
                return Client(self.path)
            except OSError:
                time.sleep(0.05)
        raise SystemExit("the server does not listen")

    def close(self) -> None:
        """Stop the server and remove its directory."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self.folder)


def _rate(client: Client, make, seconds: float, window: int, followers=()) -> float:
    """Return transactions per second; `make(number)` gives the operations."""
    started = time.perf_counter()
    n_sent = n_done = 0
    while time.perf_counter() - started < seconds or n_done < n_sent:
        is_over = time.perf_counter() - started >= seconds
        while n_sent - n_done < window and not is_over:
            client.send("transact", [DB, *make(n_sent)])
            n_sent += 1
        if n_done < n_sent:
            client.receive()
            n_done += 1
        if followers and n_done % 64 == 0:
            for follower in followers:
                follower.drain()
    return n_done / (time.perf_counter() - started)


def measure(command: list[str], seconds: float) -> dict[str, float]:
    """Return all figures of the server that `command` starts."""
    server = Server(command)
    try:
        client = server.client()
        result = client.call("transact", [
            DB, {"op": "insert", "table": DB, "row": {"bridges": ["named-uuid", "b"]}},
            {"op": "insert", "table": "Bridge", "uuid-name": "b", "row": {"name": "br0"}}])
        root, bridge = (["_uuid", "==", r["uuid"]] for r in result)

        def small(number: int) -> list:
            return [{"op": "update", "table": DB, "where": [root], "row": {"next_cfg": number + 1}}]

        def durable(number: int) -> list:
            return [*small(number), {"op": "commit", "durable": True}]

        def add_port(number: int) -> list:
            name = f"p{number}"
            return [
                {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": name}},
                {"op": "insert", "table": "Port", "uuid-name": "p",
                 "row": {"name": name, "interfaces": ["named-uuid", "i"]}},
                {"op": "mutate", "table": "Bridge", "where": [bridge],
                 "mutations": [["ports", "insert", ["named-uuid", "p"]]]},
                {"op": "mutate", "table": DB, "where": [root],
                 "mutations": [["next_cfg", "+=", 1]]}]

        figures = {
            "one at a time": _rate(client, small, seconds, 1),
            "pipelined": _rate(client, small, seconds, WINDOW),
            "durable, one at a time": _rate(client, durable, seconds, 1),
            "durable, pipelined": _rate(client, durable, seconds, WINDOW),
            "add-port, pipelined": _rate(client, add_port, seconds, WINDOW),
        }
        followers = [server.client() for _ in range(8)]
        for follower in followers:
            follower.send("monitor_cond", [DB, "m", {DB: [{}]}])
        figures["pipelined, 8 followers"] = _rate(client, small, seconds, WINDOW, followers)
        return figures
    finally:
        server.close()


def main() -> None:
    """Measure both servers and print a table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    ours = measure(OURS, seconds)
    theirs = measure([THEIRS], seconds) if THEIRS else {}
    print(f"{'transactions per second':<26} {'ours':>8} {'theirs':>8}")
    for name, rate in ours.items():
        other = f"{theirs[name]:8.0f}" if theirs else "       -"
        print(f"{name:<26} {rate:8.0f} {other}")


if __name__ == "__main__":
    main()
