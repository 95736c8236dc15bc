"""Requests of a controller in every version, odd ones too, draw the same bytes from both switches.

Each row of `requests` is sent with a barrier behind it; what comes before the barrier's reply is
compared as it is on the wire. Lists of ports are left out: Debian's have no order.
"""

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.differential.peer import Peer
from tests.differential.switches import Switch, is_installed

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]

OF10, OF11, OF13, OF14, OF15 = 1, 2, 4, 5, 6
NICIRA, ONF, STRANGER = 0x2320, 0x4f4e4600, 0x123456
NO_BUFFER, IN_PORT, CONTROLLER, LOCAL, NONE = 0xffffffff, 0xfff8, 0xfffd, 0xfffe, 0xffff
RESERVED = (0xff01, IN_PORT, 0xfff9, 0xfffa, 0xfffb, 0xfffc, CONTROLLER, LOCAL, NONE)
MAC, LOCAL_MAC = bytes.fromhex("aa55aa550001"), bytes.fromhex("aa55aa550000")
SETUP = """ovs-vsctl -- add-br br0 -- set bridge br0 datapath-type=dummy fail-mode=secure \
other-config:datapath-id=fedcba9876543210 other-config:hwaddr=aa:55:aa:55:00:00 \
protocols=OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15 \
&& ovs-vsctl add-port br0 p1 -- set Interface p1 type=dummy ofport_request=1"""


def wide(port: int, version: int) -> int:
    """A port's number in messages of a version."""
    return port | 0xffff0000 if version > OF10 and port >= 0xff00 else port


def vendor(kind: int, *words: int) -> bytes:
    return struct.pack(f"!II{len(words)}I", NICIRA, kind, *words)


def packet_out(version: int, in_port: int, actions: bytes, data: bytes = bytes(60),
               buffer: int = NO_BUFFER) -> bytes:
    if version == OF10:
        return struct.pack("!IHH", buffer, in_port & 0xffff, len(actions)) + actions + data
    if version < OF15:
        return struct.pack("!IIH6x", buffer, wide(in_port, version), len(actions)) + actions + data
    match = struct.pack("!HHII4x", 1, 12, 0x80000004, wide(in_port, version))
    return struct.pack("!IHxx", buffer, len(actions)) + match + actions + data


def output(version: int, port: int, size: int = 0) -> bytes:
    if version == OF10:
        return struct.pack("!HHHH", 0, 8, port, size)
    return struct.pack("!HHIH6x", 0, 16, wide(port, version), size)


def port_mod(version: int, port: int, mac: bytes, config: int, mask: int, features: int = 0) -> bytes:
    if version == OF10:
        return struct.pack("!H6sIII4x", port, mac, config, mask, features)
    head = struct.pack("!I4x6s2xII", wide(port, version), mac, config, mask)
    return head + (struct.pack("!HHI", 0, 8, features) if version >= OF14
                   else struct.pack("!I4x", features))


def requests(version: int) -> Iterator[tuple[str, int, bytes]]:
    """(what, type, body)"""
    yield "echo", 2, b"hello"
    for flags, size in ((0, 64), (3, 64), (4, 128), (8, 128)):
        yield f"set config {flags}", 9, struct.pack("!HH", flags, size)
        yield "get config", 7, b""
    for kind, body in ((99, b""), (0, b""), (1, bytes(12)), (10, bytes(40)), (4, b"")):
        yield f"type {kind}", kind, body
    for who in (STRANGER, NICIRA, ONF):
        yield f"vendor {who:x}", 4, struct.pack("!II", who, 999)
    for role in (0, 1, 2, 3, 0):
        yield f"NXT role {role}", 4, vendor(10, role)
    if version > OF11:
        top = 1 << 63
        for role, generation in ((0, 0), (1, 0), (2, top), (2, 5), (3, top + 1), (3, 2), (2, 2 * top - 1),
                                 (2, 0), (2, 2 * top - 1), (3, 1), (7, 1), (1, 0)):
            yield f"role {role} {generation:x}", 24, struct.pack("!I4xQ", role, generation)
    yield from async_requests(version)
    for form in (*range(5), 0):
        yield f"packet-in format {form}", 4, vendor(16, form)
    for form in (0, 1, 2):
        yield f"flow format {form}", 4, vendor(12, form)
    yield from packet_requests(version)
    for what, *args in (("down", 1, MAC, 1, 1), ("up", 1, MAC, 0, 1), ("no flood", 1, MAC, 16, 16),
                        ("all", 1, MAC, 0xffffffff, 0x7e), ("none", 1, MAC, 0, 0xffffffff),
                        ("wrong MAC", 1, bytes(6), 1, 1), ("no port", 9, MAC, 1, 1),
                        ("any", NONE, MAC, 1, 1), ("local", LOCAL, LOCAL_MAC, 1, 1),
                        ("local up", LOCAL, LOCAL_MAC, 0, 1), ("features", 1, MAC, 0, 0, 0xffffffff)):
        yield f"port mod {what}", 15 if version == OF10 else 16, port_mod(version, *args)
    head = "!HH" if version == OF10 else "!HH4x"
    for kind in (3, 5, 6, 7, 8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 0xffff):
        yield f"statistics {kind}", 16 if version == OF10 else 18, struct.pack(head, kind, 0)
    if version > OF10:
        for config in (0, 1, 2, 3, 4, 8, 0xffffffff):
            for table in (3, 255):
                yield f"table mod {table} {config:x}", 17, struct.pack("!B3xI", table, config)
        yield "table mod 254", 17, struct.pack("!B3xI", 254, 0)


def async_requests(version: int) -> Iterator[tuple[str, int, bytes]]:
    yield "NXT async", 4, vendor(19, 1, 2, 3, 4, 5, 6)
    if version == OF13:
        for masks in ((7, 1, 7, 1, 15, 3), (0xffffffff, 0) * 3):
            yield "get async", 26, b""
            yield f"set async {masks}", 28, struct.pack("!6I", *masks)
    elif version > OF13:
        for kind in range(14):
            for mask in (0, 0x3f, 0xffffffff):
                yield f"set async {kind} {mask:x}", 28, struct.pack("!HHI", kind, 8, mask)
        yield "set async, cut off", 28, struct.pack("!HH", 0, 4)
    if version >= OF13:
        yield "get async", 26, b""


def packet_requests(version: int) -> Iterator[tuple[str, int, bytes]]:
    for port in (0, 1, 9, 0xfeff, 0xff00, *RESERVED):
        yield f"packet-out from {port:x}", 13, packet_out(version, port, output(version, 1))
        yield f"packet-out to {port:x}", 13, packet_out(version, CONTROLLER, output(version, port))
    for size in (0, 1, 20, 0xffe5, 0xffff):
        yield f"packet-out to the controller, {size}", 13, packet_out(
            version, 1, output(version, CONTROLLER, size), bytes(range(64)))
    yield "a buffer", 13, packet_out(version, 1, output(version, 1), b"", 5)
    yield "a buffer and data", 13, packet_out(version, 1, output(version, 1), buffer=5)
    yield "no data", 13, packet_out(version, 1, output(version, 1), b"")
    yield "no such action", 13, packet_out(version, 1, struct.pack("!HH4x", 77, 8))
    yield "a short action", 13, packet_out(version, 1, struct.pack("!HHHH", 0, 4, 2, 0))


def observe(directory, real: bool, version: int) -> list[tuple[str, list[str]]]:
    """What a switch answers to each request."""
    switch, peer, found = Switch(directory, real), Peer(version), []
    barrier = 18 if version == OF10 else 20
    try:
        assert switch.run(SETUP) == ""
        switch.run(f"ovs-vsctl set-controller br0 {peer.target} -- "
                   "set controller br0 connection_mode=out-of-band")
        peer.wait_connected()
        for number, (what, kind, body) in enumerate(requests(version)):
            before, end = len(peer.heard), (0x2001 + 2 * number).to_bytes(4, "big")
            peer.say(kind, body, 0x2000 + 2 * number)
            peer.say(barrier, b"", 0x2001 + 2 * number)

            def is_end(message: bytes, end: bytes = end) -> bool:
                return message[1] == barrier + 1 and message[4:8] == end

            peer.wait(lambda: any(map(is_end, peer.heard[before:])))
            # A port that is told of again when it is found to be live is Debian's way.
            found.append((what, sorted(message.hex() for message in peer.heard[before:]
                                       if message[1] != 12 and not is_end(message))))
    finally:
        peer.close()
        switch.close()
    return found


@pytest.mark.parametrize("version", [
    pytest.param(version, marks=() if version == OF13 else pytest.mark.long)
    for version in range(OF10, OF15 + 1)])
def test_both_switches_answer_alike(version, tmp_path) -> None:
    with ThreadPoolExecutor(2) as pool:
        theirs, ours = pool.map(lambda real: observe(tmp_path / str(real), real, version),
                                (True, False))
    assert [row for row in ours if row not in theirs] == []
    assert ours == theirs
