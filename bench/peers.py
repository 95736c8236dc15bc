"""Database servers to measure, ours and the installed one, and a client cheap enough to load them.

Used by the programs `bench/ovsdb_*.py`.  Each server gets a private directory; `SCHEMA` is a
database "Bench" with a table of small rows, whose column `name` has an index.
"""

import json
import os
import resource
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

OURS = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from utilities.programs import start; start('ovsdb-server')"]
OUR_TOOL = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
            "from utilities.programs import start; start('ovsdb-tool')"]
_PATH = "/usr/sbin:/usr/bin"
THEIRS = [shutil.which("ovsdb-server", path=_PATH)] if shutil.which(
    "ovsdb-server", path=_PATH) else None
PEERS = {"ours": OURS} | ({"theirs": THEIRS} if THEIRS else {})

SCHEMA = {"name": "Bench", "version": "1.0.0", "tables": {"T": {
    "columns": {
        "name": {"type": "string"},
        "number": {"type": "integer"},
        "tags": {"type": {"key": "string", "min": 0, "max": "unlimited"}},
        "options": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}},
    "indexes": [["name"]], "isRoot": True}}}

_CHUNK = 1 << 20


def row_json(number: int) -> dict:
    """Return row `number` of the large databases, about 200 bytes of JSON."""
    return {"name": f"row-{number}", "number": number,
            "tags": ["set", [f"tag{number % 7}", f"tag{number % 11 + 10}"]],
            "options": ["map", [["key", f"value{number}"], ["other", "x" * 20]]]}


def insert(row: dict) -> dict:
    """Return the operation that inserts `row`."""
    return {"op": "insert", "table": "T", "row": row}


class Client:
    """A blocking connection."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def send(self, method: str, params: list, id: object = 0) -> None:
        """Send a request without waiting."""
        self.socket.sendall(json.dumps({"id": id, "method": method, "params": params}).encode())

    def receive(self) -> dict:
        """Return the next message, which must be all that arrives."""
        chunks = []
        while True:
            data = self.socket.recv(_CHUNK)
            if not data:
                raise SystemExit("the server closed the connection")
            chunks.append(data)
            if data.endswith(b"}"):
                try:
                    return json.loads(b"".join(chunks))
                except ValueError:
                    continue

    def call(self, method: str, params: list) -> object:
        """Send a request and return its result."""
        self.send(method, params)
        reply = self.receive()
        if reply["error"] is not None:
            raise SystemExit(f"refused: {reply['error']}")
        failed = [r for r in reply["result"] if isinstance(r, dict) and "error" in r]
        if failed:
            raise SystemExit(f"refused: {failed}")
        return reply["result"]

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


class Server:
    """A server process on a database of its own; `load` is a file to begin with."""

    def __init__(self, command: list[str], load: Path | None = None, schema: dict = SCHEMA):
        self.folder = Path(tempfile.mkdtemp(prefix="ovsdb-bench-"))
        self.path = str(self.folder / "db.sock")
        self.database = self.folder / "conf.db"
        if load is not None:
            shutil.copyfile(load, self.database)
        else:
            create(self.database, schema)
        self.environment = {**os.environ, "OVS_RUNDIR": str(self.folder),
                            "OVS_LOGDIR": str(self.folder), "OVS_DBDIR": str(self.folder),
                            "OVS_SYSLOG_METHOD": "null"}
        self.started_at = time.perf_counter()
        self.process = subprocess.Popen(
            [*command, str(self.database), f"--remote=punix:{self.path}", os.environ.get("BENCH_LOG", "-vconsole:off"),
             f"--unixctl={self.folder / 'ctl'}"], env=self.environment)

    def client(self) -> Client:
        """Return a new connection, waiting for the server to listen."""
        for _attempt in range(20000):
            try:
                return Client(self.path)
            except OSError:
                time.sleep(0.005)
                if self.process.poll() is not None:
                    break
        raise SystemExit("the server does not listen")

    def cpu(self) -> float:
        """Return the seconds of processor time that the server has used."""
        return _cpu(self.process.pid)

    def memory(self, field: str = "VmRSS") -> float:
        """Return resident megabytes; `field` VmHWM is the most there were."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        return 0.0

    def command(self, *words: str) -> None:
        """Run a command of ovs-appctl on the server, with a client of our own."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self.folder / "ctl"))
            control.sendall(json.dumps(
                {"id": 0, "method": words[0], "params": list(words[1:])}).encode())
            reply = b""
            while True:
                reply += control.recv(_CHUNK)
                try:
                    answer = json.loads(reply)
                    break
                except ValueError:
                    continue
        if answer["error"] is not None:
            raise SystemExit(f"{words[0]}: {answer['error']}")

    def close(self) -> None:
        """Stop the server and remove its directory."""
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)


class Members:
    """Three servers of one cluster, with the attributes of `Server` that loads need.

    `path` is the socket of the leader, or with `follower` that of another member.
    """

    def __init__(self, command: list[str], follower: bool = False):
        tool = OUR_TOOL if command == OURS else [shutil.which("ovsdb-tool", path=_PATH)]
        self.folder = Path(tempfile.mkdtemp(prefix="ovsdb-bench-"))
        schema = self.folder / "schema"
        schema.write_text(json.dumps(SCHEMA))
        addresses = [f"tcp:127.0.0.1:{port}" for port in _free_ports(3)]
        self._processes = []
        self._paths = []
        for number, address in enumerate(addresses):
            home = self.folder / str(number)
            home.mkdir()
            arguments = (["create-cluster", "conf.db", str(schema), address] if not number else
                         ["join-cluster", "conf.db", SCHEMA["name"], address, addresses[0]])
            environment = {**os.environ, "OVS_SYSLOG_METHOD": "null", **{
                f"OVS_{name}": str(home) for name in ("RUNDIR", "LOGDIR", "DBDIR")}}
            subprocess.run([*tool, *arguments], cwd=home, env=environment, check=True)
            self._paths.append(str(home / "db.sock"))
            self._processes.append(subprocess.Popen(
                [*command, "conf.db", f"--remote=punix:{self._paths[-1]}",
                 os.environ.get("BENCH_LOG", "-vconsole:off"), f"--unixctl={home / 'ctl'}"],
                cwd=home, env=environment))
            self._wait(lambda: self._state(number)["connected"])
        self._wait(lambda: any(self._state(number)["leader"] for number in range(3)))
        self.path = next(path for number, path in enumerate(self._paths)
                         if self._state(number)["leader"] is not follower)

    @staticmethod
    def _wait(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not holds():
            if time.monotonic() > end:
                raise SystemExit("the cluster does not form")
            time.sleep(0.1)

    def _state(self, number: int) -> dict:
        try:
            client = Client(self._paths[number])
        except OSError:
            return {"connected": False, "leader": False}
        rows = client.call("transact", ["_Server", {
            "op": "select", "table": "Database",
            "where": [["name", "==", SCHEMA["name"]]]}])[0]["rows"]
        client.close()
        return rows[0] if rows else {"connected": False, "leader": False}

    def cpu(self) -> float:
        """Return the seconds of processor time of the servers and what they have started."""
        return sum(_cpu(process.pid) + sum(map(_cpu, _children(process.pid)))
                   for process in self._processes)

    def close(self) -> None:
        """Stop the servers and remove their directories."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_ports(n: int) -> list[int]:
    socks = [socket.socket() for _ in range(n)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def _cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")


def _children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()]


def measure_load(server: "Server | Members", name: str, n_clients: int, window: int, text: bytes,
                 seconds: float) -> dict[str, float]:
    """Return the figures of a load on a server, which ends with it.

    The figures are "`name`, per second" and "`name`, cpu us"; `text` holds the operations, with
    two places for the number of the transaction.
    """
    try:
        before = server.cpu()
        n, elapsed = drive(server.path, n_clients, window,
                           lambda number: text % (number, number), seconds)
        return {f"{name}, per second": n / elapsed,
                f"{name}, cpu us": (server.cpu() - before) / n * 1e6}
    finally:
        server.close()


def less_is_better(figures: dict[str, dict[str, float]]) -> frozenset[str]:
    """Return the names of the figures that should be small."""
    return frozenset(name for name in figures["ours"]
                     if not name.endswith(", per second"))


def create(path: Path, schema: dict) -> None:
    """Write an empty database."""
    from ovsdb_server.engine.schema import DatabaseSchema
    from ovsdb_server.storage.journal import create as create_file
    create_file(str(path), DatabaseSchema.from_json(schema))


def make_large(path: Path, n_rows: int) -> None:
    """Write a database of `n_rows` rows as one transaction record."""
    import orjson
    from ovsdb_server.engine.atom import random_uuid
    from ovsdb_server.storage.record import encode_record
    create(path, SCHEMA)
    rows = {random_uuid(): row_json(number) for number in range(n_rows)}
    record = {"T": rows, "_date": 1, "_comment": "made by a benchmark"}
    with open(path, "ab") as file:
        file.write(encode_record(orjson.dumps(record)))


_END = b'"error":null'


def drive(path: str, n_clients: int, window: int, make: Callable[[int], list], seconds: float
          ) -> tuple[int, float]:
    """Load a server from this process; return the number of transactions and the seconds.

    Each of `n_clients` keeps `window` transactions on the way; `make(number)` gives operations.
    """
    db = SCHEMA["name"]
    socks = []
    poll = select.epoll()
    carry = {}
    for _ in range(n_clients):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        poll.register(sock, select.EPOLLIN)
        carry[sock.fileno()] = (sock, b"")
        socks.append(sock)
    number = 0

    def requests(n: int) -> bytes:
        nonlocal number
        texts = []
        for _ in range(n):
            number += 1
            texts.append(b'{"id":%d,"method":"transact","params":["%b",%b]}' % (
                number, db.encode(), make(number)))
        return b"".join(texts)

    n_done = 0
    started = time.perf_counter()
    for sock in socks:
        sock.sendall(requests(window))
    end = started + seconds
    while n_done < number:
        for fd, _ in poll.poll():
            sock, rest = carry[fd]
            data = rest + sock.recv(_CHUNK)
            n = data.count(_END)
            n_done += n
            # What may be the beginning of the next mark is kept, no whole one.
            cut = max(data.rfind(_END) + len(_END) if n else 0, len(data) - len(_END) + 1)
            carry[fd] = sock, data[cut:]
            if n and time.perf_counter() < end:
                sock.sendall(requests(n))
    elapsed = time.perf_counter() - started
    for sock in socks:
        sock.close()
    return n_done, elapsed


class Bystander:
    """A client in a process of its own that does a small transaction now and then.

    What it finds is how long others are kept waiting while the server does something large.
    `operation` is what it does; by default it changes a row.
    """

    _CHANGE = {"op": "mutate", "table": "T", "where": [["name", "==", "row-1"]],
               "mutations": [["number", "+=", 1]]}

    _PROGRAM = """
import json, socket, sys, time
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
worst = 0.0
n = 0
print("ready", flush=True)
request = json.dumps({"id": 1, "method": "transact", "params": [
    "Bench", json.loads(sys.argv[2])]}).encode()
sock.settimeout(120)
import select, os
times = []
while not select.select([0], [], [], 0.002)[0]:
    start = time.perf_counter()
    sock.sendall(request)
    data = b""
    while not data.endswith(b"}"):
        data += sock.recv(65536)
    times.append(time.perf_counter() - start)
times.sort()
print(json.dumps([times[-1] * 1000, times[len(times) // 2] * 1000, len(times)]))
"""

    def __init__(self, server: Server, operation: dict = _CHANGE):
        self._process = subprocess.Popen(
            [sys.executable, "-IS", "-c", self._PROGRAM, server.path, json.dumps(operation)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._process.stdout.readline()

    def finish(self) -> tuple[float, float, int]:
        """Stop it; return its longest and its median wait in ms, and how often it asked."""
        output, _ = self._process.communicate(b"\n")
        return tuple(json.loads(output))


def alternate(measure: Callable[[list[str]], dict[str, float]], n_turns: int
              ) -> dict[str, dict[str, float]]:
    """Let the peers take turns `n_turns` times; return {peer: {figure: median}}."""
    figures: dict[str, dict[str, list[float]]] = {peer: {} for peer in PEERS}
    for _turn in range(n_turns):
        for peer, command in PEERS.items():
            for name, value in measure(command).items():
                figures[peer].setdefault(name, []).append(value)
    return {peer: {name: statistics.median(values) for name, values in by_name.items()}
            for peer, by_name in figures.items()}


def print_table(figures: dict[str, dict[str, float]], less_is_better: frozenset[str] = frozenset()
                ) -> None:
    """Print ours beside theirs and how many times better ours is."""
    print(f"{'figure':<60} {'ours':>10} {'theirs':>10} {'better':>7}")
    for name, ours in figures["ours"].items():
        theirs = figures.get("theirs", {}).get(name)
        if theirs is None:
            print(f"{name:<60} {ours:10.1f}          -       -")
            continue
        ratio = theirs / ours if name in less_is_better else ours / theirs
        print(f"{name:<60} {ours:10.1f} {theirs:10.1f} {ratio:7.2f}")


def compare_large(measure: Callable[[list[str], Path], dict[str, float]], n_turns: int,
                  less: frozenset[str] | None = None) -> None:
    """Let the peers take turns on a file of many rows, and print a table.

    The command line may say how many rows and turns; `measure(command, file)` gives figures, of
    which `less` (None: all) should be small.
    """
    numbers = [int(word) for word in sys.argv[1:]]
    n_rows, n_turns = numbers + [200_000, n_turns][len(numbers):]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large.db"
        make_large(file, n_rows)
        figures = alternate(lambda command: measure(command, file), n_turns)
    print_table(figures, frozenset(figures["ours"]) if less is None else less)


# The operations of a small transaction, for `measure_load`.
INSERT = (b'{"op":"insert","table":"T","row":{"name":"n%d","number":%d,'
          b'"options":["map",[["key","value"]]]}}')
DURABLE_INSERT = INSERT + b',{"op":"commit","durable":true}'

__all__ = ["DURABLE_INSERT", "INSERT", "PEERS", "SCHEMA", "Bystander", "Client", "Members",
           "Server", "alternate", "compare_large", "create", "drive", "insert",
           "less_is_better", "make_large", "measure_load", "print_table", "resource", "row_json"]
