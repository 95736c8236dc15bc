"""Many clients, and clients that do not read: everybody is served, memory stays bounded."""

import json
import resource
import select
import socket
import time
from pathlib import Path

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc.message import SIZE_MAX
from ovsdb_server.storage import journal

SCHEMA = DatabaseSchema.from_json({"name": "D", "version": "1.0.0", "tables": {
    "A": {"columns": {"client": {"type": "integer"}, "n": {"type": "integer"},
                      "s": {"type": "string"}}}}})

MONITOR = {"id": "m", "method": "monitor_cond", "params": ["D", "m", {"A": [{}]}]}


@pytest.fixture
def server(make_server):
    process = make_server(files=("d.db",))
    journal.create(str(process.directory / "d.db"), SCHEMA)
    assert process.start("-vconsole:off", "--log-file").returncode == 0
    return process


def status_kb(server, key: str) -> int:
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise AssertionError(key)


def update(n: int, size: int) -> dict:
    return {"op": "update", "table": "A", "where": [], "row": {"n": n, "s": f"{n}" + "x" * size}}


def test_readers_that_stop_cost_no_more_than_what_they_do_not_know_yet(server):
    """20 readers stop; the row of 100 kB then changes 400 times: 40 MB for each if kept."""
    writer = server.connect()
    writer.call("transact", "D", {"op": "insert", "table": "A", "row": {"s": "x" * 100_000}})
    readers = [server.connect() for _ in range(20)]
    for reader in readers:
        reader.send(MONITOR)
        assert reader.receive()["id"] == "m"
    for n in range(100):
        writer.call("transact", "D", update(n, 100_000))
    before = status_kb(server, "VmRSS")
    for n in range(100, 500):
        writer.call("transact", "D", update(n, 100_000))
    assert status_kb(server, "VmRSS") - before < 20_000
    for reader in readers:
        updates = reader.until_sync()
        assert len(updates) < 50
        assert next(iter(updates[-1]["params"][1]["A"].values()))["modify"]["n"] == 499


def test_a_client_that_only_asks_is_not_read_any_further(server):
    """It sends requests with big answers and reads none; the others are served meanwhile."""
    writer = server.connect()
    writer.call("transact", "D", {"op": "insert", "table": "A", "row": {"s": "x" * 500_000}})
    before = status_kb(server, "VmRSS")
    greedy = socket.socket(socket.AF_UNIX)
    greedy.connect(server.path)
    greedy.setblocking(False)
    question = json.dumps({"id": 1, "method": "transact", "params": [
        "D", {"op": "select", "table": "A", "where": []}]}).encode() * 100
    n_sent = 0
    poll = select.poll()
    poll.register(greedy, select.POLLOUT)
    while n_sent < 50_000_000 and poll.poll(300):
        n_sent += greedy.send(question)
    assert n_sent < 50_000_000
    assert writer.call("echo", 1) == [1]
    assert status_kb(server, "VmRSS") - before < 30_000
    greedy.close()
    assert writer.call("echo", 2) == [2]


def test_updates_of_a_reader_that_comes_back_are_complete(server):
    """What is merged for a slow reader, put together, is what is in the database."""
    writer, reader = server.connect(), server.connect()
    reader.send(MONITOR)
    for n in range(300):
        writer.call("transact", "D",
                    {"op": "insert", "table": "A", "row": {"client": n, "s": "x" * 20_000}},
                    {"op": "delete", "table": "A", "where": [["client", "==", n - 7]]},
                    {"op": "update", "table": "A", "where": [["client", "==", n - 3]],
                     "row": {"n": n}})
    rows: dict[str, dict] = {}
    for message in reader.until_sync():
        changes = message["result"] if message.get("id") == "m" else message["params"][1]
        for uuid, change in changes.get("A", {}).items():
            (verb, row), = change.items()
            if verb in ("insert", "initial"):
                assert uuid not in rows
                rows[uuid] = {"n": 0, "client": 0, **row}
            elif verb == "modify":
                rows[uuid].update(row)
            else:
                del rows[uuid]
    found = writer.call("transact", "D", {"op": "select", "table": "A", "where": [],
                                          "columns": ["_uuid", "client", "n"]})[0]["rows"]
    assert {uuid: (row["client"], row["n"]) for uuid, row in rows.items()} == {
        row["_uuid"][1]: (row["client"], row["n"]) for row in found}


@pytest.mark.long
def test_two_thousand_idle_and_five_hundred_busy_clients(server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4000:
        pytest.skip("not enough descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = status_kb(server, "VmRSS")
    try:
        started = time.monotonic()
        idle = [server.connect() for _ in range(2000)]
        for talk in idle:
            talk.send({"id": "m", "method": "monitor_cond", "params": ["D", "m", {
                "A": [{"columns": ["n"], "where": [["client", "==", -1]]}]}]})
        assert all(talk.receive()["id"] == "m" for talk in idle)
        print(f"2000 idle clients: {time.monotonic() - started:.2f} s, "
              f"{(status_kb(server, 'VmRSS') - before) / 2000:.1f} kB each")
        busy = {}
        for number in range(500):
            talk = server.connect()
            busy[talk.socket.fileno()] = [talk, number, 0]
        witness = server.connect()
        poll = select.epoll()
        for fd, (talk, _, _) in busy.items():
            poll.register(fd, select.EPOLLIN)

        def ask(entry):
            entry[0].send({"id": entry[2], "method": "transact", "params": ["D", {
                "op": "insert", "table": "A", "row": {"client": entry[1], "n": entry[2]}}]})

        started = time.monotonic()
        for entry in busy.values():
            ask(entry)
        left, slowest = len(busy), 0.0
        while left:
            for fd, _ in poll.poll(5):
                entry = busy[fd]
                reply = entry[0].receive()
                assert reply["id"] == entry[2] and "uuid" in reply["result"][0]
                entry[2] += 1
                if entry[2] < 20:
                    ask(entry)
                else:
                    left -= 1
            asked = time.monotonic()
            witness.call("echo")
            slowest = max(slowest, time.monotonic() - asked)
        print(f"500 busy clients: {500 * 20 / (time.monotonic() - started):.0f} transactions/s, "
              f"slowest echo {slowest * 1000:.0f} ms")
        assert slowest < 1.0
        for talk in idle:
            assert talk.call("echo") == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.long
@pytest.mark.parametrize("start, chunk", [
    (b'{"id":1,"method":"echo","params":["', b"x" * (1 << 20)),
    # What is parsed as it arrives is counted too.
    (b'{"id":1,"method":"transact","params":["D",{"op":"comment"}', b",{" + b'"op":"comment",'
     b'"comment":"' + b"y" * 65_536 + b'"}')], ids=["string", "operations"])
def test_a_message_without_end_is_cut_off_at_the_limit(server, start, chunk):
    """Others are served while it comes; the memory it took does for the next one."""
    other = server.connect()
    before = status_kb(server, "VmRSS")
    slowest = 0.0
    for _ in range(2):
        talk = server.connect()
        talk.socket.settimeout(30)
        n_sent = 0
        try:
            talk.socket.sendall(start)
            while n_sent < 2 * SIZE_MAX:
                talk.socket.sendall(chunk)
                n_sent += len(chunk)
                asked = time.monotonic()
                assert other.call("echo", n_sent) == [n_sent]
                slowest = max(slowest, time.monotonic() - asked)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert SIZE_MAX - (1 << 20) <= n_sent <= SIZE_MAX + (2 << 20)
        most = status_kb(server, "VmHWM") - before
        assert most < SIZE_MAX / 1024 * 1.3, most
        assert talk.receive() is None
    assert slowest < 1
    assert f"error parsing stream: message exceeds {SIZE_MAX} bytes" in server.log()
    assert "uuid" in other.call("transact", "D", {"op": "insert", "table": "A", "row": {}})[0]
