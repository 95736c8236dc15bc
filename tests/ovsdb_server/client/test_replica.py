"""The replica follows a real server, ours or the reference's, through changes and restarts."""

import orjson
import pytest
import trio

from ovsdb_server.client.replica import RemoteError, Replica, Status
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage import journal

SCHEMA = DatabaseSchema.from_json({"name": "Test", "version": "1.0.0", "tables": {
    "Thing": {"isRoot": True, "indexes": [["name"]], "columns": {
        "name": {"type": "string"},
        "size": {"type": "integer"},
        "tags": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
        "parts": {"type": {"key": {"type": "uuid", "refTable": "Part"},
                           "min": 0, "max": "unlimited"}}}},
    "Part": {"columns": {"label": {"type": {"key": "string", "min": 0, "max": 1}}}}}})


@pytest.fixture
def server(make_server, server_kind, quiet_console):
    process = make_server(server_kind, files=("test.db",))
    journal.create(str(process.directory / "test.db"), SCHEMA)
    assert process.start("-vconsole:off").returncode == 0
    return process


def run(body, server, **options):
    """Run `body(replica)` with a replica of `server` for at most 20 seconds."""

    async def main():
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                replica = Replica(server.remote, SCHEMA, **options)
                nursery.start_soon(replica.serve)
                await replica.wait_synced()
                await body(replica)
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_inserts_updates_and_deletes_come_back_as_changes(server):
    async def body(replica):
        feed = replica.subscribe()
        assert await feed.next() == {}
        txn = replica.transaction("first")
        part = txn.insert("Part", {"label": ("left",)})
        thing = txn.insert("Thing", {"name": ("a",), "tags": (("k", "v"),), "parts": (part,)})
        assert await replica.commit(txn) is Status.SUCCESS
        changes = await feed.next()
        assert changes["Thing"][thing] == (None, {
            "name": ("a",), "size": (0,), "tags": (("k", "v"),), "parts": (part,)})
        assert replica.rows["Part"] == {part: {"label": ("left",)}}

        txn = replica.transaction()
        txn.update("Thing", thing, {"size": (7,)})
        txn.mutate("Thing", thing, "tags", "insert", (("x", "y"),))
        txn.mutate("Thing", thing, "tags", "delete", ("k",))
        assert await replica.commit(txn) is Status.SUCCESS
        old, new = (await feed.next())["Thing"][thing]
        assert (old["size"], new["size"], new["tags"]) == ((0,), (7,), (("x", "y"),))

        txn = replica.transaction()
        txn.delete("Thing", thing)
        assert await replica.commit(txn) is Status.SUCCESS
        changes = await feed.next()
        assert changes["Thing"][thing][1] is None and changes["Part"][part][1] is None
        assert replica.rows == {"Thing": {}, "Part": {}}

    run(body, server)


def test_a_verified_column_that_changed_makes_the_transaction_run_again(server):
    async def body(replica):
        txn = replica.transaction()
        thing = txn.insert("Thing", {"name": ("a",)})
        await replica.commit(txn)
        stale = replica.transaction()
        stale.verify("Thing", thing, "size")
        stale.update("Thing", thing, {"name": ("b",)})
        other = replica.transaction()
        other.update("Thing", thing, {"size": (1,)})
        await replica.commit(other)
        assert await replica.commit(stale) is Status.TRY_AGAIN

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(replica.execute, _increment(replica, thing))
        assert replica.rows["Thing"][thing]["size"] == (6,)

    run(body, server)


def _increment(replica, thing):
    def build(txn):
        txn.verify("Thing", thing, "size")
        txn.update("Thing", thing, {"size": (replica.rows["Thing"][thing]["size"][0] + 1,)})
    return build


def test_a_refused_transaction_tells_the_servers_reason(server):
    async def body(replica):
        txn = replica.transaction()
        txn.insert("Thing", {"name": ("a",)})
        txn.insert("Thing", {"name": ("a",)})
        assert await replica.commit(txn) is Status.ERROR
        assert txn.error.startswith("constraint violation: Transaction causes multiple rows")
        with pytest.raises(RemoteError):
            await replica.execute(lambda t: t.add_operation({"op": "nonsense"}))

    run(body, server)


def test_after_a_restart_only_differences_are_told(server):
    async def body(replica):
        feed = replica.subscribe()
        await feed.next()
        txn = replica.transaction()
        kept = txn.insert("Thing", {"name": ("kept",)})
        await replica.commit(txn)
        await feed.next()
        server.kill()
        server.start()
        await feed.next()                   # The connection broke.
        while not replica.is_connected:
            await trio.sleep(0.01)
        txn = replica.transaction()
        fresh = txn.insert("Thing", {"name": ("fresh",)})
        assert await replica.commit(txn) is Status.SUCCESS
        seen = {}
        while fresh not in seen:
            seen.update((await feed.next()).get("Thing", {}))
        assert kept not in seen and kept in replica.rows["Thing"]

    run(body, server, max_backoff=1.0)


def test_one_of_two_replicas_owns_the_lock(server):
    async def body(first):
        while not first.has_lock:
            await trio.sleep(0.01)
        async with trio.open_nursery() as nursery:
            second = Replica(server.remote, SCHEMA, lock="boss")
            nursery.start_soon(second.serve)
            await second.wait_synced()
            txn = second.transaction()
            txn.insert("Thing", {"name": ("no",)})
            assert await second.commit(txn) is Status.NOT_LOCKED
            first.force_reconnect()
            while not second.has_lock:
                await trio.sleep(0.01)
            txn = second.transaction()
            txn.insert("Thing", {"name": ("yes",)})
            assert await second.commit(txn) is Status.SUCCESS
            nursery.cancel_scope.cancel()

    run(body, server, lock="boss")


def test_columns_that_the_server_lacks_hold_their_default(server):
    json = orjson.loads(orjson.dumps(SCHEMA.to_json()))
    json["tables"]["Thing"]["columns"]["color"] = {"type": "string"}
    json["tables"]["Extra"] = {"columns": {"a": {"type": "integer"}}}
    newer = DatabaseSchema.from_json(json)

    async def main():
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                replica = Replica(server.remote, newer,
                                  {"Thing": ("name", "color"), "Extra": ("a",)})
                nursery.start_soon(replica.serve)
                await replica.wait_synced()
                txn = replica.transaction()
                thing = txn.insert("Thing", {"name": ("a",), "color": ("red",)})
                assert await replica.commit(txn) is Status.SUCCESS
                assert replica.rows["Thing"][thing] == {"name": ("a",), "color": ("",)}
                assert replica.rows["Extra"] == {}
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_a_conversion_of_the_database_is_followed_on_the_same_connection(server):
    """A column goes, one changes its type; rows and lock stay."""
    schema = orjson.loads(orjson.dumps(SCHEMA.to_json()))
    columns = schema["tables"]["Thing"]["columns"]
    del columns["tags"]
    columns["size"] = {"type": {"key": "integer", "min": 0, "max": 3}}

    async def body(replica):
        while not replica.has_lock:
            await trio.sleep(0.01)
        feed = replica.subscribe()
        await feed.next()
        txn = replica.transaction()
        thing = txn.insert("Thing", {"name": ("kept",), "size": (3,), "tags": (("k", "v"),)})
        assert await replica.commit(txn) is Status.SUCCESS
        await feed.next()
        channel = replica._channel
        await trio.to_thread.run_sync(convert)
        changes = await feed.next()
        while "Thing" not in changes:
            changes = await feed.next()
        assert changes["Thing"][thing][1]["tags"] == ()
        assert replica.server_schema == DatabaseSchema.from_json(schema)
        assert replica._channel is channel and replica.has_lock
        txn = replica.transaction()
        txn.update("Thing", thing, {"name": ("again",)})
        assert await replica.commit(txn) is Status.SUCCESS
        assert replica.rows["Thing"][thing]["name"] == ("again",)

    def convert():
        talk = server.connect()
        talk.call("set_db_change_aware", True)
        assert talk.call("convert", "Test", schema) == {}

    run(body, server, lock="l")
