"""Tests of vswitchd/openflow/line.py."""

import socket

import pytest
import trio

from vswitchd.openflow.line import Line


def pair() -> tuple[trio.SocketStream, socket.socket]:
    """A stream, and a socket of its peer that does not block."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    return trio.SocketStream(trio.socket.from_stdlib_socket(ours)), theirs


@pytest.mark.trio
async def test_what_the_socket_takes_is_written_at_once():
    stream, peer = pair()
    line = Line(stream)
    assert line.send_now(b"hello") == b"" and peer.recv(10) == b"hello"
    line.is_busy = True
    assert line.send_now(b"later") == b"later"
    await stream.aclose()
    peer.close()


@pytest.mark.trio
async def test_nothing_is_written_to_who_has_the_number_of_a_closed_socket():
    stream, peer = pair()
    line = Line(stream)
    number = line.fd
    await stream.aclose()
    other, theirs = pair()
    assert other.socket.fileno() == number      # the lowest one that is free
    assert line.send_now(b"not for you") == b"not for you"
    with pytest.raises(BlockingIOError):
        theirs.recv(10)
    assert not line.is_direct
    await other.aclose()
    for sock in (peer, theirs):
        sock.close()
