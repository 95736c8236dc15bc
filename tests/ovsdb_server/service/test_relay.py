"""Relays: copies in memory that forward writes, over our source, the reference's, and a chain."""

import json
import time

import pytest
import trio
import trio.testing

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.service.relay import GRACE, Relay
from ovsdb_server.storage import journal

SCHEMA = DatabaseSchema.from_json({"name": "D", "version": "1.0.0", "tables": {
    "Leaf": {"indexes": [["name"]], "columns": {
        "name": {"type": "string"}, "n": {"type": "integer"},
        "tags": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}}}}}})


def insert(name):
    return {"op": "insert", "table": "Leaf", "row": {"name": name, "tags": ["map", [["k", "v"]]]}}


SELECT = {"op": "select", "table": "Leaf", "where": [], "columns": ["name", "n"]}


@pytest.fixture(params=["ours", pytest.param("reference", marks=pytest.mark.differential)])
def source(request, make_server):
    server = make_server(request.param, "source", files=("d.db",))
    journal.create(str(server.directory / "d.db"), SCHEMA)
    assert server.start("-vconsole:off").returncode == 0
    return server


@pytest.fixture
def make_relay(make_server):
    def make(source, name="relay"):
        relay = make_server("ours", name, files=(f"relay:D:{source.remote}",))
        assert relay.start("-vconsole:off", "--log-file", "-vjsonrpc:file:dbg").returncode == 0
        return relay
    return make


def connect_synced(server):
    """Return a connection that stays when databases change, once the relay has its copy."""
    deadline = time.monotonic() + 10
    while True:
        assert time.monotonic() < deadline
        connection = blocking.connect(server.remote, 5)
        try:
            connection.call("set_db_change_aware", [True], 5)
            row = connection.call("transact", ["_Server", {
                "op": "select", "table": "Database", "where": [["name", "==", "D"]],
                "columns": ["model", "connected", "leader", "schema"]}], 5)[0]["rows"][0]
        except (OSError, blocking.ConnectionClosed):
            # The relay sent us away, as its schema came before we could say that we may stay.
            connection.close()
            continue
        if row["connected"]:
            assert (row["model"], row["leader"]) == ("relay", False)
            assert json.loads(row["schema"]) == SCHEMA.to_json()
            return connection
        connection.close()
        time.sleep(0.01)


def test_a_relay_forwards_writes_and_shows_their_effect_before_the_reply(source, make_relay):
    relay = make_relay(source)
    with connect_synced(relay) as connection:
        assert connection.call("get_schema", ["D"], 5) == SCHEMA.to_json()
        connection.call("monitor_cond", ["D", "m", {"Leaf": [{"columns": ["name", "n"]}]}], 5)
        result = connection.call("transact", ["D", insert("a")], 5)
        uuid = result[0]["uuid"][1]
        assert connection.receive(0).params == ["m", {"Leaf": {uuid: {"insert": {"name": "a"}}}}]
        assert connection.call("transact", ["D", SELECT], 5) == [
            {"rows": [{"name": "a", "n": 0}]}]
        result = connection.call("transact", ["D", insert("a")], 5)
        assert result[1]["error"] == "constraint violation" and "identical" in result[1]["details"]
        with blocking.connect(source.remote, 5) as direct:
            assert direct.call("transact", ["D", SELECT], 5) == [{"rows": [{"name": "a", "n": 0}]}]
            direct.call("transact", ["D", {"op": "mutate", "table": "Leaf", "where": [],
                                           "mutations": [["n", "+=", 7]]}], 5)
        assert connection.next_notification(5).params == [
            "m", {"Leaf": {uuid: {"modify": {"n": 7}}}}]
    assert '|jsonrpc|DBG|' in relay.log()
    assert f'{source.remote}: received notification, method="update' in relay.log()


def test_locks_of_a_relay_are_its_own(source, make_relay):
    with connect_synced(make_relay(source)) as connection:
        assert connection.call("lock", ["l"], 5) == {"locked": True}
        assert connection.call("transact", ["D", {"op": "assert", "lock": "l"}], 5) == [{}]
        result = connection.call("transact", ["D", {"op": "assert", "lock": "l"}, insert("b")], 5)
        assert result[0]["error"] == "not owner"


def test_relays_can_be_chained_and_outlive_their_source(source, make_relay):
    first = make_relay(source)
    connect_synced(first).close()
    second = make_relay(first, "second")
    with connect_synced(second) as connection:
        connection.call("transact", ["D", insert("far")], 5)
        assert connection.call("transact", ["D", SELECT], 5) == [{"rows": [{"name": "far",
                                                                           "n": 0}]}]
    source.kill()
    with blocking.connect(second.remote, 5) as connection:
        assert connection.call("transact", ["D", SELECT], 5) == [{"rows": [{"name": "far",
                                                                           "n": 0}]}]
    assert source.start("-vconsole:off").returncode == 0
    with connect_synced(first) as connection:
        assert "uuid" in connection.call("transact", ["D", insert("again")], 10)[0]


def state(connection):
    return connection.call("transact", ["_Server", {
        "op": "select", "table": "Database", "where": [["name", "==", "D"]],
        "columns": ["model", "connected", "leader", "cid", "sid", "index"]}], 5)[0]["rows"][0]


def test_a_short_loss_of_the_source_is_not_told(source, make_relay):
    """Clients would look for another server; what they write meanwhile waits."""
    relay = make_relay(source)
    with connect_synced(relay) as connection, blocking.connect(relay.remote, 5) as unaware:
        connection.call("monitor", ["_Server", "s", {"Database": {"columns": ["connected"]}}], 5)
        unaware.call("monitor", ["D", "m", {"Leaf": {"columns": ["name"]}}], 5)
        source.kill()
        deadline = time.monotonic() + 5
        while "connection closed by peer" not in relay.log():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        waiting = connection.send_request("transact", ["D", insert("late")])
        empty = ["set", []]
        assert state(unaware) == {"model": "relay", "connected": True, "leader": False,
                                  "cid": empty, "sid": empty, "index": empty}
        assert source.start("-vconsole:off").returncode == 0
        reply = connection.receive(15)
        assert reply.id == waiting and "uuid" in reply.result[0]
        update, = unaware.next_notification(5).params[1]["Leaf"].values()
        assert update == {"new": {"name": "late"}}


def test_a_long_loss_of_the_source_is_told():
    relay = Relay("D", "unix:nowhere")
    told = []

    class Server:
        @staticmethod
        def note_relay(hosted):
            told.append((trio.current_time(), hosted.relay.is_connected))

    async def main():
        async with trio.open_nursery() as nursery:
            relay._server = Server
            Server.spawn = nursery.start_soon
            start = trio.current_time()
            relay._note_connection(True)
            await trio.sleep(5)
            relay._note_connection(False)
            await trio.sleep(20)
            relay._note_connection(True)
            await trio.sleep(100)
            relay._note_connection(False)
            relay._note_connection(False)
        return start

    start = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert told == [(start, True), (start + 125 + GRACE, False)]


def test_a_conversion_by_the_relay_is_the_sources(source, make_relay):
    relay = make_relay(source)
    schema = json.loads(json.dumps(SCHEMA.to_json()))
    schema["version"] = "2.0.0"
    with connect_synced(relay) as connection, blocking.connect(source.remote, 5) as direct:
        direct.call("set_db_change_aware", [True], 5)
        connection.call("transact", ["D", insert("kept")], 5)
        assert connection.call("convert", ["D", schema], 5) == {}
        assert direct.call("get_schema", ["D"], 5)["version"] == "2.0.0"
        deadline = time.monotonic() + 5
        while connection.call("get_schema", ["D"], 5)["version"] != "2.0.0":
            assert time.monotonic() < deadline
            time.sleep(0.01)
        rows = [{"rows": [{"name": "kept", "n": 0}]}]
        while connection.call("transact", ["D", SELECT], 5) != rows:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(blocking.RpcError) as caught:
            connection.call("convert", ["D", {**schema, "name": "Other"}], 5)
        assert caught.value.error["error"] == "invalid parameters"


def test_before_the_source_is_there_the_database_is_not_available(make_server, make_relay):
    source = make_server("ours", "source", files=("d.db",))
    journal.create(str(source.directory / "d.db"), SCHEMA)
    relay = make_relay(source)
    with blocking.connect(relay.remote, 5) as connection:
        connection.call("set_db_change_aware", [True], 5)
        with pytest.raises(blocking.RpcError) as caught:
            connection.call("transact", ["D", SELECT], 5)
        assert caught.value.error["error"] == "database not available"
        assert source.start("-vconsole:off").returncode == 0
        connect_synced(relay).close()
        assert connection.call("transact", ["D", SELECT], 5) == [{"rows": []}]


def test_relays_come_and_go_by_command_and_by_file(make_server, make_relay):
    source = make_server("ours", "source", files=("d.db",))
    journal.create(str(source.directory / "d.db"), SCHEMA)
    assert source.start("-vconsole:off").returncode == 0
    relay = make_relay(source)
    connect_synced(relay).close()
    assert relay.appctl("ovsdb-server/remove-db", "D").stderr == ""
    assert relay.appctl("ovsdb-server/list-dbs").stdout == "_Server\n"
    assert relay.appctl("ovsdb-server/add-db", f"relay:D:{source.remote}").stderr == ""
    connect_synced(relay).close()
    assert relay.appctl("exit").stderr == ""
    relay.wait_end()

    config = relay.directory / "config.json"
    config.write_text(json.dumps({"remotes": {f"p{relay.remote}": {}}, "databases": {
        "D": {"service-model": "relay", "source": {source.remote: {}}}}}))
    done = relay.run(*relay.command, "--detach", "--no-chdir", "--pidfile", "-vconsole:off",
                     f"--config-file={config}")
    assert (done.returncode, done.stderr) == (0, "")
    relay.pid = int((relay.directory / "ovsdb-server.pid").read_text())
    connect_synced(relay).close()
