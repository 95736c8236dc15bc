"""Large updates that a relay or a backup receives: others are served, and see all or nothing."""

import json
import time

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage.journal import create
from tests.ovsdb_server.service.test_large import (COUNT, N_ROWS, SCHEMA, SWEEP, connect, fill,
                                                   insert, is_there, request, server_cpu, values)


@pytest.fixture(params=["relay", "backup"])
def pair(make_server, request):
    """A server with a database and another that has a copy of it."""
    source = make_server("ours", "source", files=("D.db",))
    create(str(source.directory / "D.db"), DatabaseSchema.from_json(SCHEMA))
    assert source.start("-vconsole:off").returncode == 0
    if request.param == "relay":
        copy = make_server("ours", "copy", files=(f"relay:D:{source.remote}",))
        assert copy.start("-vconsole:off", "--log-file").returncode == 0
    else:
        copy = make_server("ours", "copy", files=("D.db",))
        create(str(copy.directory / "D.db"), DatabaseSchema.from_json(SCHEMA))
        assert copy.start("-vconsole:off", "--log-file",
                          f"--sync-from={source.remote}").returncode == 0
    copy.is_relay = request.param == "relay"
    return source, copy


def connect_synced(copy):
    """Return a connection to a server that has got its copy."""
    deadline = time.monotonic() + 10
    while not (_is_connected(copy) if copy.is_relay
               else "replicating" in copy.appctl("ovsdb-server/sync-status").stdout):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return connect(copy)


def _is_connected(copy) -> bool:
    try:
        (result,) = copy.connect().call("transact", "_Server", {
            "op": "select", "table": "Database", "where": [["name", "==", "D"]]})
    except (OSError, EOFError):
        return False
    return result["rows"][0]["connected"]


def wait_values(talk, wanted: set[int]) -> None:
    deadline = time.monotonic() + 20
    while values(talk) != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_all_of_a_large_update_is_seen_or_nothing(pair):
    source, copy = pair
    big = fill(source)
    other, watcher = connect_synced(copy), connect_synced(copy)
    wait_values(other, {0})
    watcher.send({"id": 0, "method": "monitor_cond", "params": [
        "D", "m", {"T": [{"columns": ["n"]}]}]})
    assert len(watcher.receive()["result"]["T"]) == N_ROWS
    for n in range(1, 6):
        big.send(request(n, SWEEP))
        while not is_there(watcher):
            assert values(other) in ({n - 1}, {n})
            assert other.call("echo", 7) == [7]
        update = watcher.receive()
        assert {row["modify"]["n"] for row in update["params"][1]["T"].values()} == {n}
        assert len(update["params"][1]["T"]) == N_ROWS
        assert big.receive()["result"] == [{"count": N_ROWS}]
    if copy.is_relay:
        # The answer comes when the copy has it, and keeps its place among the small ones.
        change = {"op": "update", "table": "T", "where": [["name", "==", "row-3"]]}
        other.send(request(1, SWEEP))
        assert other.receive()["result"] == [{"count": N_ROWS}]
        assert values(other) == {6}
        big.send(request(2, SWEEP), request(3, change | {"row": {"n": 100}}))
        assert other.call("transact", "D", change | {"row": {"n": 200}}) == [{"count": 1}]
        assert values(other) in ({6, 200}, {7, 200}, {7, 100})
    else:
        assert other.call("transact", "D", SWEEP)[0]["error"] == "not allowed"
    big.call("transact", "D", {"op": "delete", "table": "T", "where": []})
    wait_values(other, set())
    assert "internal error" not in copy.log()


@pytest.mark.long
def test_a_copy_that_is_lost_in_the_midst_of_it_is_made_anew(pair):
    source, copy = pair
    big = fill(source)
    wait_values(connect_synced(copy), {0})
    big.send(request(1, *[SWEEP] * 3))
    big.receive()
    source.kill()
    assert source.start("-vconsole:off").returncode == 0
    wait_values(connect_synced(copy), {3})
    assert "internal error" not in copy.log()


@pytest.mark.long
def test_nobody_waits_for_the_largest(pair):
    """50,000 rows at a time come, 200,000 are changed and deleted."""
    source, copy = pair
    big, other = connect(source), connect_synced(copy)
    waits = []

    def run(name: str, *operations: dict, is_done) -> None:
        if operations:
            data = json.dumps(request(name, *operations)).encode()
            big.socket.settimeout(60)
            big.socket.sendall(data)
            big.receive()
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline
            before = server_cpu(copy)
            (result,) = other.call("transact", "D", {
                "op": "select", "table": "T", "columns": ["n"],
                "where": [["name", "==", "row-199999" if name == "change" else f"row-{last}"]]})
            waits.append((server_cpu(copy) - before, name))
            if is_done(result["rows"]):
                return

    for start in range(0, 200_000, 50_000):
        last = start + 49_999
        run(f"insert {start}", *map(insert, range(start, start + 50_000)), is_done=bool)
    run("change", SWEEP, is_done=lambda rows: rows == [{"n": 1}])
    run("delete", {"op": "delete", "table": "T", "where": []}, is_done=lambda rows: not rows)
    print(*[f"{wait * 1000:.0f} ms at {name}" for wait, name in sorted(waits)[-6:]], sep=", ")
    # What a backup gets has all columns of the rows as they were, and is parsed at one go.
    assert len(waits) > 200 and max(waits)[0] < (0.4 if copy.is_relay else 1.0)
    assert other.call("transact", "D", COUNT) == [{"rows": []}]
