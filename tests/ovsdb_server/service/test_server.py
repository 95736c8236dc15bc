"""What the server itself promises, beyond its methods and its databases."""

import math
import threading

import pytest
import trio
import trio.testing

from ovsdb_server.engine.database import Database
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service import hosted as module
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.service.server import Server
from ovsdb_server.storage.memory import Memory


class Disk:
    """As much of a database as there is to wait for."""

    is_sync_needed = True

    async def sync(self, is_alone: bool) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.trio
async def test_who_fails_at_hearing_of_a_sync_keeps_nobody_else_from_it(nursery, capfd):
    server = Server()
    server._nursery = nursery
    hosted = Disk()
    heard = []
    for _ in range(2):
        server.call_when_durable(hosted, lambda error: heard[0:0].pop())
        server.call_when_durable(hosted, heard.append)
        await trio.testing.wait_all_tasks_blocked()
    assert heard == [None, None]
    assert "internal error" in capfd.readouterr().err


class Storage(Memory):
    """Has what is synced where it is, and remembers in which threads."""

    def __init__(self) -> None:
        super().__init__()
        self.threads = []

    def sync(self) -> None:
        self.threads.append(threading.get_ident())


@pytest.mark.trio
async def test_a_disk_that_is_quick_is_waited_for_by_all(monkeypatch):
    storage = Storage()
    hosted = HostedDatabase(Database(DatabaseSchema("D", "", "", [])), storage)

    async def is_here(is_alone: bool) -> bool:
        await hosted.sync(is_alone)
        return storage.threads[-1] == threading.get_ident()

    monkeypatch.setattr(module, "_QUICK_SYNC", math.inf)
    assert not await is_here(True)          # Nobody knows yet.
    assert await is_here(True)
    assert not await is_here(False)
    async with hosted._compacting:
        assert not await is_here(True)
    monkeypatch.setattr(module, "_QUICK_SYNC", 0)
    assert await is_here(True)
    assert not await is_here(True)
    assert not await is_here(True)
