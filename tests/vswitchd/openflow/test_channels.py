"""The shell around the machines: writing what waits, closing, and the clock that is asked."""

import socket
from types import SimpleNamespace

import pytest
import trio
from trio.testing import memory_stream_pair

from vswitchd.config.desired import Controller
from vswitchd.openflow.channels import Channel, Channels
from vswitchd.openflow.outbox import FlowUpdates
from vswitchd.openflow.remote import Remote


async def read_all(stream) -> bytes:
    data = b""
    while more := await stream.receive_some(5):
        data += more
    return data


@pytest.mark.trio
async def test_what_waits_is_written_in_order_and_before_the_stream_closes(autojump_clock):
    ours, theirs = memory_stream_pair()
    resumed = []
    channel = Channel(ours, lambda: resumed.append(channel.outbox.n_watched))
    async with trio.open_nursery() as readers:
        got = []

        async def read() -> None:
            got.append(await read_all(theirs))

        readers.start_soon(read)
        async with ours, trio.open_nursery() as nursery:
            channel.scope = nursery.cancel_scope
            nursery.start_soon(channel.write)
            await trio.sleep(1)                     # the writer has nothing to do yet
            for data in (b"one ", FlowUpdates(b"two "), b"three "):
                channel.outbox.send(data)
            assert channel.line.is_busy and len(channel.outbox) == 3
            await channel.wait_for_writing()
            await trio.sleep(1)
            assert not channel.line.is_busy and resumed == [0]
            channel.outbox.send(b"four")
            channel.finish()
            channel.outbox.send(b"too late")
    assert got == [b"one two three four"]


@pytest.mark.trio
async def test_a_peer_that_does_not_read_is_left_after_a_second(autojump_clock):
    ours, theirs = trio.testing.lockstep_stream_pair()      # nothing is written until it is read
    channel = Channel(ours)
    began = trio.current_time()
    async with ours, trio.open_nursery() as nursery:
        channel.scope = nursery.cancel_scope
        nursery.start_soon(channel.write)
        channel.outbox.send(b"never read")
        channel.finish()
    assert trio.current_time() - began == pytest.approx(1.0)
    await theirs.aclose()


@pytest.mark.trio
async def test_a_peer_that_left_ends_the_connection(autojump_clock):
    ours, theirs = memory_stream_pair()
    channel = Channel(ours)
    async with ours, trio.open_nursery() as nursery:
        channel.scope = nursery.cancel_scope
        nursery.start_soon(channel.write)
        await theirs.aclose()
        channel.outbox.send(b"to nobody")
        await trio.sleep_forever()                  # until the writer ends it


class Files:
    """What a daemon removes when it ends."""

    def __init__(self) -> None:
        self.paths: set[str] = set()
        self.unlink_at_exit, self.forget = self.paths.add, self.paths.discard


@pytest.mark.trio
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
async def test_where_one_record_listened_another_may_at_once(family, tmp_path, lines):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = str(tmp_path / "br0.sock")
    target, where = ((f"punix:{path}", path) if family == socket.AF_UNIX
                     else (f"ptcp:{port}:127.0.0.1", ("127.0.0.1", port)))
    files = Files()
    host = SimpleNamespace(now=trio.current_time)
    async with trio.open_nursery() as nursery:
        channels = Channels(SimpleNamespace(host=host, bridge=SimpleNamespace(name="br0")),
                            nursery, files, None, iter(range(9)).__next__)
        before, after = (Remote(Controller(target), "br0", 0.0) for _ in range(2))
        channels.start(before)
        await trio.testing.wait_all_tasks_blocked()
        channels.stop(before)
        channels.start(after)
        await trio.testing.wait_all_tasks_blocked()
        with socket.socket(family) as peer:
            peer.connect(where)                     # somebody listens
        assert files.paths == ({path} if family == socket.AF_UNIX else set())
        channels.stop(after)
        assert files.paths == set()
        with socket.socket(family) as peer, pytest.raises(OSError):
            peer.connect(where)
    assert lines == [f'connmgr|INFO|br0: added service controller "{target}"'] * 2
