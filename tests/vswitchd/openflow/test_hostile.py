"""Peers that break the rules of OpenFlow: each gets an error or a closed connection, others go on.

Our own daemon and tools; messages that are wrong by construction, and seeded noise.
"""

import random
import socket
import struct

import pytest

from tests.differential.switches import Switch
from tests.vswitchd.openflow.controllers import SETUP

VERSIONS = range(1, 7)


def message(version: int, kind: int, body: bytes = b"", xid: int = 0x1234) -> bytes:
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


def hello(version: int) -> bytes:
    return message(version, 0, struct.pack("!HHI", 1, 8, 1 << version) if version > 3 else b"")


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    switch = Switch(tmp_path_factory.mktemp("hostile") / "ours", False, our_tools=True)
    try:
        switch.run(SETUP)
        yield switch
    finally:
        switch.close()


def talk(switch: Switch, data: bytes) -> bytes | None:
    """Sends bytes and a barrier; what came back, None if the switch closed the connection."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        peer.connect(str(switch.directory / "br0.mgmt"))
        got = b""
        try:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while part := peer.recv(65536):
                got += part
        except (BrokenPipeError, ConnectionResetError):
            return None
        return got


def kinds(data: bytes) -> list[tuple[int, int]]:
    """(type, xid) of the messages in `data`."""
    found = []
    while len(data) >= 8:
        _, kind, size, xid = struct.unpack_from("!BBHI", data)
        found.append((kind, xid))
        data = data[size:]
    return found


def memory(switch: Switch) -> int:
    """Resident kilobytes of the switch daemon."""
    status = open(f"/proc/{switch.pid('ovs-vswitchd')}/status").read()
    return int(status.split("VmRSS:")[1].split()[0])


def test_without_a_common_version_the_peer_is_told_why(switch):
    switch.run("ovs-vsctl set bridge br0 protocols=OpenFlow13,OpenFlow14")
    try:
        got = talk(switch, hello(1))
    finally:
        switch.run("ovs-vsctl clear bridge br0 protocols")
    assert got is not None and (1, 0) in kinds(got)
    assert b"We support versions 0x04, 0x05, you support version 0x01, no common" in got


@pytest.mark.parametrize("first", [message(4, 5), message(0, 0), message(4, 0)[:6],
                                   b"GET / HTTP/1.0\r\n\r\n", struct.pack("!BBHI", 4, 0, 4, 7)])
def test_no_session_without_a_hello(switch, first):
    got = talk(switch, first + message(4, 20, xid=9))
    assert got is None or (21, 9) not in kinds(got)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_wrong_length_gets_an_error_and_the_session_goes_on(switch, version):
    barrier = message(version, 18 if version == 1 else 20, xid=7)
    bad = [message(version, kind, bytes(size), kind << 8 | size)
           for kind in (5, 7, 14, 15, 16, 18) for size in (1, 5, 11)]
    got = talk(switch, hello(version) + b"".join(bad) + barrier)
    assert got is not None
    answers = kinds(got)
    errors = {xid for kind, xid in answers if kind == 1}
    assert {struct.unpack_from("!I", row, 4)[0] for row in bad} <= errors
    assert answers[-1] == (19 if version == 1 else 21, 7)


def test_noise_of_all_versions_does_no_harm(switch):
    rng = random.Random(7)
    talk(switch, hello(4) + message(4, 20))
    before = memory(switch)
    for round_number in range(60):
        version = rng.choice(VERSIONS)
        rows = [hello(version)]
        for _ in range(30):
            body = rng.randbytes(rng.choice((0, 4, 8, 16, 48, 100, 1000)))
            if rng.random() < 0.5:
                body = bytes(len(body) // 2) + body[len(body) // 2:]
            rows.append(message(version, rng.randrange(36), body, rng.getrandbits(32)))
        data = b"".join(rows)
        if round_number % 4 == 0:
            data = data[:rng.randrange(8, len(data))]
        talk(switch, data)
    assert (21, 5) in kinds(talk(switch, hello(4) + message(4, 20, xid=5)))
    assert memory(switch) - before < 30_000
    log = (switch.directory / "ovs-vswitchd.log").read_text()
    assert "Traceback" not in log


def test_a_peer_that_does_not_read_costs_a_bounded_amount(switch):
    before = memory(switch)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(0.5)
        peer.connect(str(switch.directory / "br0.mgmt"))
        peer.sendall(hello(4))
        echo = message(4, 2, bytes(60_000))
        try:
            for _ in range(1500):
                peer.sendall(echo)
        except TimeoutError:
            pass
        assert (21, 5) in kinds(talk(switch, hello(4) + message(4, 20, xid=5)))
        assert memory(switch) - before < 60_000
