"""Tests of vswitchd/openflow/reception.py: guests of the management socket, and who is kept."""

import socket
import struct
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio

from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.messages.session import EchoReply, EchoRequest
from vswitchd.openflow.messages.table import TableFeaturesRequest
from vswitchd.openflow.quick.codec import Codec
from vswitchd.openflow.reception import Reception
from vswitchd.openflow.service import Encoded

HELLO, ECHO, ECHO_REPLY, FEATURES, SET_CONFIG, STATS = 0, 2, 3, 5, 9, 18
VERSIONS = frozenset(range(1, 7))
NUMBERS_TABLES = struct.pack("!IIB7x", 0x2320, 15, 1)    # NXT_FLOW_MOD_TABLE_ID
LARGE = tuple(struct.pack("!BBHI", 4, 19, 60_000, 0) + bytes(59_992) for _ in range(40))


def say(version: int, kind: int, xid: int, body: bytes = b"") -> bytes:
    """A message."""
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


class Service:
    """Answers echo requests with their data, and table features with a lot."""

    def __init__(self) -> None:
        self.bridge = SimpleNamespace(name="br0", handle=0)
        self.dp = 0
        self.needs_care = False

    def settle(self) -> None:
        """Nothing has started."""

    def handle(self, session, message):
        """The replies to a message."""
        value = message.value
        if isinstance(value, EchoRequest):
            if value.data == b"refuse":
                raise OpenFlowError("OFPBRC_EPERM")
            return [EchoReply(value.data)]
        assert isinstance(value, TableFeaturesRequest)
        return [Encoded(LARGE)]


class Host:
    """A reception, and those who were kept as (name, version, flow format, what they had said)."""

    def __init__(self, address) -> None:
        self.address = address
        self.service = Service()
        self.kept: list[tuple] = []
        self.n_kept = trio.Event()

    async def keep(self, stream, session, said: bytes) -> None:
        """Serves no one."""
        tables = "+table_id" if session.table_in_command else ""
        self.kept.append((session.name, session.version, session.flow_format + tables, said))
        self.n_kept.set()
        await stream.aclose()

    async def come(self, data: bytes) -> trio.SocketStream:
        """A peer who says something."""
        stream = await trio.open_unix_socket(str(self.address))
        await stream.send_all(data)
        return stream


@asynccontextmanager
async def reception(tmp_path):
    """A management socket."""
    numbers = iter(range(100))
    host = Host(tmp_path / "br0.mgmt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(host.address))
        listener.listen()
        async with trio.open_nursery() as nursery:
            serving = Reception(host.service, Codec(), lambda: VERSIONS, lambda: next(numbers),
                                host.keep)
            nursery.start_soon(serving.serve, listener)
            with trio.fail_after(10):
                yield host
            nursery.cancel_scope.cancel()


async def read(stream, size: int) -> bytes:
    """So many bytes."""
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        assert more, data
        data += more
    return data


@pytest.mark.trio
async def test_guests_are_answered_and_nobody_has_to_know_them(tmp_path):
    async with reception(tmp_path) as host:
        for _ in range(3):
            async with await host.come(say(4, HELLO, 7)) as peer:
                assert await read(peer, 8) == say(6, HELLO, 1)
                await peer.send_all(say(4, ECHO, 8, b"abc") + say(4, ECHO, 9))
                assert await read(peer, 19) == say(4, ECHO_REPLY, 8, b"abc") + say(4, ECHO_REPLY, 9)
        assert host.kept == []


@pytest.mark.trio
async def test_who_leaves_without_reading_is_left_to_those_who_complain(tmp_path):
    async with reception(tmp_path) as host:
        async with await host.come(say(1, HELLO, 7)) as peer:
            await trio.lowlevel.wait_readable(peer.socket)
        await host.n_kept.wait()
        assert host.kept == [("unix#0", 1, "of", b"")]


@pytest.mark.trio
@pytest.mark.parametrize("hello,version", [
    (say(1, HELLO, 1), 1), (say(4, HELLO, 1), 4), (say(9, HELLO, 1), 6),
    (say(5, HELLO, 1, struct.pack("!HHI", 1, 8, 1 << 4 | 1 << 1)), 4),
    (say(9, HELLO, 1, struct.pack("!HHI", 1, 8, 1 << 9 | 1 << 3)), 3)])
async def test_the_highest_version_that_both_speak_is_agreed_on(tmp_path, hello, version):
    async with reception(tmp_path) as host, await host.come(hello + say(version, ECHO, 2)) as peer:
        assert await read(peer, 16) == say(6, HELLO, 1) + say(version, ECHO_REPLY, 2)
        assert host.kept == []


@pytest.mark.trio
@pytest.mark.parametrize("first,kept", [
    # What is more than a look, with all that follows it.
    (say(4, HELLO, 1) + say(4, SET_CONFIG, 2, bytes(4)) + say(4, ECHO, 3),
     (4, "of", say(4, SET_CONFIG, 2, bytes(4)) + say(4, ECHO, 3))),
    # What a guest has chosen is remembered.
    (say(1, HELLO, 1) + say(1, 4, 2, struct.pack("!III", 0x2320, 12, 2)) + say(1, SET_CONFIG, 3),
     (1, "nxm", say(1, SET_CONFIG, 3))),
    (say(1, HELLO, 1) + say(1, 4, 2, NUMBERS_TABLES) + say(1, SET_CONFIG, 3),
     (1, "of+table_id", say(1, SET_CONFIG, 3))),
    (say(1, HELLO, 1) + say(1, 4, 2, NUMBERS_TABLES[:-1] + b"\1"),
     (1, "of", say(1, 4, 2, NUMBERS_TABLES[:-1] + b"\1"))),
    # What gets an error.
    (say(4, HELLO, 1) + say(4, ECHO, 2, b"refuse"), (4, "of", say(4, ECHO, 2, b"refuse"))),
    (say(4, HELLO, 1) + say(5, FEATURES, 2), (4, "of", say(5, FEATURES, 2))),
    (say(4, HELLO, 1) + b"\4\2\0\7\0\0\0\0", (4, "of", b"\4\2\0\7\0\0\0\0")),
    # No hello, one of a version that is not spoken, an odd one.
    (say(4, ECHO, 1), (0, "of", say(4, ECHO, 1))),
    (say(9, HELLO, 1, struct.pack("!HHI", 1, 8, 1 << 9)),
     (0, "of", say(9, HELLO, 1, struct.pack("!HHI", 1, 8, 1 << 9)))),
    (say(4, HELLO, 1, bytes(4)), (0, "of", say(4, HELLO, 1, bytes(4)))),
    (b"", (0, "of", b"")),
])
async def test_who_asks_for_more_becomes_a_connection(tmp_path, first, kept):
    async with reception(tmp_path) as host, await host.come(first) as peer:
        await host.n_kept.wait()
        assert host.kept == [("unix#0", *kept)]
        assert await read(peer, 8) == say(6, HELLO, 1)


@pytest.mark.trio
async def test_half_a_message_is_left_to_those_who_complain(tmp_path):
    async with reception(tmp_path) as host:
        peer = await host.come(say(4, HELLO, 1) + say(4, ECHO, 2, b"abc")[:9])
        await peer.send_eof()
        await host.n_kept.wait()
        assert host.kept == [("unix#0", 4, "of", say(4, ECHO, 2, b"abc")[:9])]
        await peer.aclose()


@pytest.mark.trio
async def test_who_is_slow_to_read_keeps_nobody_waiting(tmp_path):
    async with reception(tmp_path) as host:
        request = say(4, STATS, 7, struct.pack("!HHI", 12, 0, 0))
        async with await host.come(say(4, HELLO, 1) + request + say(4, ECHO, 8)) as slow:
            async with await host.come(say(1, HELLO, 1) + say(1, ECHO, 2)) as peer:
                assert await read(peer, 16) == say(6, HELLO, 1) + say(1, ECHO_REPLY, 2)
            expected = b"".join(part[:4] + (7).to_bytes(4, "big") + part[8:] for part in LARGE)
            assert await read(slow, 8 + len(expected) + 8) == (
                say(6, HELLO, 1) + expected + say(4, ECHO_REPLY, 8))
        # One who leaves in the middle does no harm.
        async with await host.come(say(4, HELLO, 1) + request) as hasty:
            await read(hasty, 1000)
        async with await host.come(say(1, HELLO, 1) + say(1, ECHO, 2)) as peer:
            await read(peer, 16)


@pytest.mark.trio
async def test_nobody_is_a_guest_while_changes_need_care(tmp_path):
    async with reception(tmp_path) as host:
        host.service.needs_care = True
        async with await host.come(say(4, HELLO, 1)):
            await host.n_kept.wait()
            assert len(host.kept) == 1 and host.kept[0][1] == 0
