"""What the server itself promises, beyond its methods and its databases."""

import pytest
import trio
import trio.testing

from ovsdb_server.service.server import Server


class Disk:
    """As much of a database as there is to wait for."""

    is_sync_needed = True

    async def sync(self) -> None:
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
