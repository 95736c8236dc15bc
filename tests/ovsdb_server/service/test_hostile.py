"""Hostile clients: the sender gets an end or an error, everybody else is served, memory stays."""

import random
import time
from pathlib import Path

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage import journal

SCHEMA = DatabaseSchema.from_json({"name": "D", "version": "1.0.0", "tables": {
    "A": {"columns": {"x": {"type": "integer"}, "s": {"type": {"key": "string", "min": 0,
                                                               "max": "unlimited"}}}}}})


@pytest.fixture
def server(make_server):
    process = make_server(files=("d.db",))
    journal.create(str(process.directory / "d.db"), SCHEMA)
    assert process.start("-vconsole:off", "--log-file").returncode == 0
    return process


def resident_kb(server) -> int:
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


VALID = b'{"id":1,"method":"transact","params":["D",{"op":"insert","table":"A","row":{"x":1}}]}'
HARMLESS = VALID.replace(b'"insert"', b'"delete"').replace(b'"row":{"x":1}', b'"where":[["x","==",1]]')


def mutated(rng: random.Random) -> bytes:
    data = bytearray(HARMLESS)
    for _ in range(rng.randint(1, 4)):
        match rng.randint(0, 2):
            case 0:
                data[rng.randrange(len(data))] = rng.randrange(256)
            case 1:
                del data[rng.randrange(len(data))]
            case _:
                data.insert(rng.randrange(len(data)), rng.choice(b'{}[]",:\\0\x00\xff'))
    return bytes(data)


def attack(server, rng: random.Random, count: int) -> None:
    for _ in range(count):
        talk = server.connect()
        try:
            talk.send(mutated(rng))
        except OSError:
            pass
        talk.close()


def test_mutated_messages_cost_no_memory_and_disturb_nobody(server):
    rng = random.Random(1)
    bystander = server.connect()
    attack(server, rng, 3000)
    before = resident_kb(server)
    attack(server, rng, 1500)
    assert bystander.call("echo", 1) == [1]
    assert resident_kb(server) <= before * 1.05 + 512
    assert server.is_alive()


@pytest.mark.parametrize("message", [
    b"hello", b"[1]", b"{]}{", b'{"id":1,"method":"echo","params":["\xff"]}', b"{" * 5000 + b"}",
    b'{"id":1,"method":"echo","params":' + b"[" * 2000 + b"]" * 2000 + b"}", b'{"id":NaN}{}'])
def test_what_is_no_message_ends_the_connection_with_a_line_in_the_log(server, message):
    talk = server.connect()
    talk.send(message + b'{"id":1,"method":"echo","params":[]}')
    assert talk.receive() is None
    assert "|jsonrpc|WARN|unix#" in server.log()
    assert server.connect().call("echo", 2) == [2]


@pytest.mark.parametrize("depth", [100, 300, 900])
def test_deep_nesting_is_carried_or_refused(server, depth):
    talk = server.connect()
    nested = b"[" * depth + b"]" * depth
    talk.send(b'{"id":1,"method":"echo","params":[%b]}' % nested,
              b'{"id":%b,"method":"transact","params":[%b]}' % (nested, nested),
              b'{"id":3,"method":"transact","params":["D",%b]}' % nested,
              b'{"id":4,"method":"transact","params":["D",{"op":"select","table":"A","where":%b}]}'
              % nested)
    assert len(talk.until_sync()) == 4
    assert "|ERR|" not in server.log()


def test_half_a_message_then_silence_holds_nobody_up(server):
    halves = [server.connect() for _ in range(50)]
    for talk in halves:
        talk.send(VALID[:40])
    assert server.connect().call("echo", 3) == [3]
    for talk in halves:
        talk.send(VALID[40:])
        assert "uuid" in talk.receive()["result"][0]


def test_a_value_that_breaks_the_schema_is_an_error_of_its_operation(server):
    talk = server.connect()
    for row in ({"x": "no"}, {"x": 2**70}, {"x": 1.5}, {"nope": 1}, {"s": ["set", [1]]}, 7):
        result = talk.call("transact", "D", {"op": "insert", "table": "A", "row": row})
        assert "error" in result[0], row
    assert talk.call("transact", "D", {"op": "select", "table": "A", "where": []}) == [
        {"rows": []}]


def test_clients_that_vanish_leave_nothing_behind(server):
    monitor = {"A": [{"columns": ["x"]}]}
    for _ in range(100):
        talk = server.connect()
        talk.send({"id": 1, "method": "monitor_cond", "params": ["D", 1, monitor]},
                  {"id": 2, "method": "lock", "params": ["l"]},
                  {"id": 3, "method": "transact", "params": ["D", {
                      "op": "wait", "table": "A", "where": [], "columns": ["x"], "until": "!=",
                      "rows": []}]})
        talk.close()
    deadline = time.monotonic() + 10
    while "sessions" in (shown := server.appctl("memory/show").stdout):
        assert time.monotonic() < deadline, shown
    assert shown == "atoms:14 cells:20 monitors:0 n-weak-refs:0\n"
