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
HARMLESS = VALID.replace(b'"insert"', b'"delete"').replace(
    b'"row":{"x":1}', b'"where":[["x","==",1]]')


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
    # What leaks grows each time; the allocator takes some more now and then.
    sizes = [resident_kb(server)]
    while len(sizes) < 5 and (len(sizes) == 1 or sizes[-1] > sizes[-2] + 512):
        attack(server, rng, 3000)
        sizes.append(resident_kb(server))
    assert bystander.call("echo", 1) == [1]
    assert sizes[-1] <= sizes[-2] + 512
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


METHODS = ("echo", "list_dbs", "get_schema", "get_server_id", "set_db_change_aware", "transact",
           "convert", "lock", "steal", "unlock", "monitor", "monitor_cond", "monitor_cond_since",
           "monitor_cond_change", "monitor_cancel", "cancel", "nonsense")
OPERATIONS = ("insert", "select", "update", "mutate", "delete", "wait", "commit", "abort",
              "comment", "assert", "nonsense")
WORDS = ("D", "A", "x", "s", "m", "_uuid", "_version", "_Server", "==", "!=", "includes", "+=",
         "insert", "delete", "set", "map", "uuid", "named-uuid", "", "é", "columns", "where",
         "select", "initial", "00000000-0000-0000-0000-000000000000")
MEMBERS = ("table", "where", "row", "columns", "mutations", "until", "rows", "timeout", "durable",
           "comment", "lock", "uuid-name", "uuid", "sort")


def random_json(rng: random.Random, depth: int = 0) -> object:
    match rng.randint(0, 11 if depth < 4 else 5):
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2:
            return rng.choice((0, -1, 2**63 - 1, -2**63, 2**64, 1.5, 1e300, -0.0, 30))
        case 3 | 4 | 5:
            return rng.choice(WORDS)
        case 6 | 7 | 8:
            return [random_json(rng, depth + 1) for _ in range(rng.randint(0, 4))]
        case 9:
            return random_operation(rng, depth)
        case 10:
            return [rng.choice(("set", "map", "uuid")), random_json(rng, depth + 1)]
    return {rng.choice(WORDS): random_json(rng, depth + 1) for _ in range(rng.randint(0, 3))}


def random_operation(rng: random.Random, depth: int) -> dict:
    operation = {"op": rng.choice(OPERATIONS), "table": "A"}
    for name in rng.sample(MEMBERS, rng.randint(0, 5)):
        operation[name] = random_json(rng, depth + 1)
    if "timeout" in operation:
        operation["timeout"] = 0
    return operation


def ask_at_random(server, rng: random.Random, n_sessions: int) -> int:
    """Send requests of random shape over some sessions; return how many answers came."""
    answered = 0
    for _ in range(n_sessions):
        talk = server.connect()
        for number in range(60):
            method = rng.choice(METHODS)
            params = [random_json(rng, 1) for _ in range(rng.randint(0, 5))]
            if rng.random() < 0.7:
                params[:1] = ["D"] if method not in ("echo", "lock") else params[:1]
            if method == "transact":
                params[1:] = [random_operation(rng, 1) for _ in range(rng.randint(0, 3))]
            try:
                talk.send({"id": rng.choice((number, random_json(rng, 3), None)),
                           "method": method, "params": params})
            except OSError:
                break
        else:
            answered += len(talk.until_sync())
        talk.close()
    assert server.connect().call("echo", "still here") == ["still here"]
    assert "internal error" not in server.log()
    assert "|EMER|" not in server.log()
    return answered


def test_requests_of_random_shape_meet_no_defect(server):
    assert ask_at_random(server, random.Random(5), 30) > 300


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_many_requests_of_random_shape_meet_no_defect(server, seed):
    rng = random.Random(100 + seed)
    for _ in range(10):
        ask_at_random(server, rng, 30)
        attack(server, rng, 300)
    assert resident_kb(server) < 200_000


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """Return a journal with a few bytes changed, cut out, doubled or swapped."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(result))
        match rng.randrange(4):
            case 0:
                result[place] = rng.randrange(256)
            case 1:
                del result[place:place + rng.choice((1, 10, 200))]
            case 2:
                result[place:place] = result[place:place + rng.choice((1, 10, 200))]
            case 3:
                lines = bytes(result).split(b"OVSDB JSON")
                rng.shuffle(lines)
                result = bytearray(b"OVSDB JSON".join(lines))
        if not result:
            break
    return bytes(result)


def start_on_spoiled(make_server, seed: int, count: int) -> None:
    """Start servers on damaged journals: each serves what it could read, or says why not."""
    rng = random.Random(seed)
    server = make_server(name=f"spoiled{seed}", files=("d.db",))
    path = server.directory / "d.db"
    journal.create(str(path), SCHEMA)
    assert server.start("-vconsole:off", "--log-file").returncode == 0
    talk = server.connect()
    for number in range(20):
        talk.call("transact", "D", {"op": "insert", "table": "A", "row": {
            "x": number, "s": ["set", [str(number), "y"]]}})
        talk.call("transact", "D", {"op": "update", "table": "A",
                                    "where": [["x", "==", number // 2]], "row": {"s": "z"}})
    server.kill()
    whole = path.read_bytes()
    n_served = 0
    for _ in range(count):
        path.write_bytes(spoiled(rng, whole))
        done = server.start("-vconsole:off", "--log-file")
        assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
        if done.returncode:
            assert done.stderr.startswith("ovsdb-server: ")
            continue
        n_served += 1
        talk = server.connect()
        if "D" in talk.call("list_dbs"):
            select = {"op": "select", "table": "A", "where": [], "columns": ["x"]}
            before = talk.call("transact", "D", select)
            result = talk.call("transact", "D", {"op": "insert", "table": "A", "row": {"x": 99}})
            server.kill()
            # What is written after the damage is there the next time.
            assert server.start("-vconsole:off", "--log-file").returncode == 0
            after = server.connect().call("transact", "D", select)
            if "uuid" in result[0] and len(result) == 1:
                assert len(after[0]["rows"]) == len(before[0]["rows"]) + 1
        server.kill()
    assert n_served
    assert "internal error" not in server.log() and "|EMER|" not in server.log()


def test_servers_start_on_damaged_journals(make_server):
    start_on_spoiled(make_server, 1, 6)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 8))
def test_servers_start_on_many_damaged_journals(make_server, seed):
    start_on_spoiled(make_server, seed, 30)
