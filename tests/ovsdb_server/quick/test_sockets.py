"""Sending and receiving for many sockets at once: the C functions and their twins in Python."""

import errno
import socket

import pytest

from ovsdb_server.quick import sockets
from ovsdb_server.quick.library import LIBRARY

NEEDS_C = pytest.mark.skipif(LIBRARY is None, reason="needs the C extension: make build")
RECEIVERS = [sockets.receive_all_slowly, pytest.param(sockets.receive_all, marks=NEEDS_C)]
SENDERS = [sockets.send_all_slowly, pytest.param(sockets.send_all, marks=NEEDS_C)]


@pytest.fixture
def pairs():
    made = []

    def make(n):
        for _ in range(n):
            pair = socket.socketpair()
            for sock in pair:
                sock.setblocking(False)
            made.append(pair)
        return made

    yield make
    for pair in made:
        for sock in pair:
            sock.close()


@pytest.mark.parametrize("receive", RECEIVERS)
def test_each_socket_gives_what_has_arrived(receive, pairs):
    made = pairs(150)
    sent = [b"%d" % n * (n % 7) * n for n in range(150)]
    for (ours, _), data in zip(made, sent):
        if data:
            ours.send(data)
    made[3][0].close()
    received = receive([theirs.fileno() for _, theirs in made])
    assert received == [b"333" * 3 if n == 3 else data or errno.EAGAIN
                        for n, data in enumerate(sent)]
    assert receive([made[3][1].fileno()]) == [b""]
    assert receive([]) == []


@pytest.mark.parametrize("receive", RECEIVERS)
def test_much_that_has_arrived_comes_in_chunks(receive, pairs):
    made = pairs(40)
    for n, (ours, _) in enumerate(made):
        ours.send(bytes([n]) * 70_000)
    received = receive([theirs.fileno() for _, theirs in made])
    assert received == [bytes([n]) * 65_536 for n in range(40)]


@pytest.mark.parametrize("send", SENDERS)
def test_what_is_not_sent_whole_is_told(send, pairs):
    made = pairs(100)
    made[2][1].close()
    ours, theirs = made[70]
    while True:
        try:
            ours.send(b"x" * 100_000)
        except BlockingIOError:
            break
    big = b"y" * 10_000_000
    parcels = [(ours.fileno(), b"%d" % n) for n, (ours, _) in enumerate(made)]
    parcels[50] = parcels[50][0], big
    rests = dict(send(tuple(parcels)))
    assert set(rests) == {2, 50, 70}
    assert rests[2] == -errno.EPIPE and rests[70] == -errno.EAGAIN
    assert 0 < rests[50] < len(big)
    assert [theirs.recv(9) for n, (_, theirs) in enumerate(made) if n not in rests] == [
        b"%d" % n for n in range(100) if n not in rests]
    assert send(()) == []


@NEEDS_C
def test_arguments_of_the_wrong_kind_are_refused():
    for wrong in (None, [(1, b"x")], (5,), ((1, "x"),), (("1", b"x"),)):
        with pytest.raises(TypeError):
            sockets.send_all(wrong)
    for wrong in (None, (1,), ["x"]):
        with pytest.raises(TypeError):
            sockets.receive_all(wrong)
    with pytest.raises(ValueError):
        sockets.receive_all([-1])
    assert sockets.receive_all([]) == []
