"""Frames between real hosts: nothing reaches the host's own stack, offloads and tags survive."""

import select
import struct
import subprocess
import sys

import pytest

from tests.system.network import transfer, wait

pytestmark = pytest.mark.system


def test_tcp_with_default_offloads_between_hosts(suite, make_host):
    """h1 -- p1 [br0] p2 -- h2"""
    first, second = make_host(), make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    suite.wire(second, "p2", "br0", "10.1.0.2/24")
    assert first.pings("10.1.0.2")
    transfer(first, second, "10.1.0.2")
    transfer(second, first, "10.1.0.1")
    # Frames of more than the MTU went through whole.
    packets, octets = (int(word) for word in first.ip("-s -s link show eth0").splitlines()[-3]
                       .split()[1::-1])
    assert octets / packets > 3000


def test_tcp_to_and_from_an_internal_port(suite, make_host):
    """h1 -- p1 [br0] LOCAL -- the daemon's own host"""
    first = make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    suite.host.ip("addr add 10.1.0.3/24 dev br0")
    suite.host.ip("link set br0 up")
    assert first.pings("10.1.0.3")
    transfer(first, suite.host, "10.1.0.3")
    transfer(suite.host, first, "10.1.0.1")


def test_host_behind_a_port_does_not_reach_the_hosts_own_stack(suite, make_host):
    """h1 -- p1 [br0]: p1 has an address of the daemon's host, which must stay silent."""
    first = make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", None, "10.1.0.1/24")
    suite.host.ip("addr add 10.1.0.8/24 dev p1")
    assert first.pings("10.1.0.8")
    suite.vsctl("add-port", "br0", "p1")
    first.ip("neigh flush dev eth0")
    assert not first.pings("10.1.0.8", 2)
    suite.vsctl("del-port", "p1")
    assert first.pings("10.1.0.8")


def test_ipv6_duplicate_detection_finds_no_duplicate(suite, make_host):
    first, second = make_host(), make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0")
    suite.wire(second, "p2", "br0")
    first.ip("addr add 2001:db8::1/64 dev eth0")
    second.ip("addr add 2001:db8::2/64 dev eth0")
    for host in (first, second):
        wait(lambda: "tentative" not in host.ip("addr show dev eth0"))
        assert "dadfailed" not in host.ip("addr show dev eth0")
    assert first.pings("2001:db8::2", 3, "-6")


def test_addresses_stay_at_their_ports_under_traffic(suite, make_host):
    first, second = make_host(), make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    suite.wire(second, "p2", "br0", "10.1.0.2/24")
    reply = first.run("ping", "-n", "-c5", "-i0.05", "10.1.0.2")
    assert "duplicates" not in reply and "5 received" in reply
    rows = [line.split() for line in suite.appctl("fdb/show", "br0").splitlines()[1:]]
    port_of = {mac: port for port, _, mac, _ in rows}
    for host, name in ((first, "p1"), (second, "p2")):
        mac = host.ip("-br link show eth0").split()[2]
        assert port_of[mac] == suite.get("interface", name, "ofport")[0]


_TAGS = """
import socket, struct, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind((sys.argv[1], 3))
sock.setsockopt(263, 8, 1)
print("ready", flush=True)
seen = set()
while True:
    frame, extra, _, address = sock.recvmsg(70000, 256)
    if address[2] == socket.PACKET_OUTGOING:
        continue
    status, length, snap, mac, net, tci, tpid = struct.unpack("=IIIHHHH", extra[0][2][:20])
    row = (bool(status & 16), tci & 4095)
    if row not in seen:
        seen.add(row)
        print(*row, flush=True)
"""


def test_tags_are_put_back_and_offloads_move_with_them(suite, make_host):
    """h1 -- p1 (access 5) [br0] t0 ======== t1 [br1] (access 5) p2 -- h2, tagged between."""
    first, second = make_host(), make_host()
    suite.add_bridge("br0")
    suite.add_bridge("br1")
    suite.wire(first, "p1", "br0", "10.1.0.1/24", "eth0", "tag=5")
    suite.wire(second, "p2", "br1", "10.1.0.2/24", "eth0", "tag=5")
    suite.host.ip("link add t0 type veth peer name t1")
    suite.host.ip("link set t0 up")
    suite.host.ip("link set t1 up")
    suite.vsctl("add-port", "br0", "t0", "--", "add-port", "br1", "t1")
    watcher = suite.host.python(_TAGS, "t1")
    assert watcher.stdout.readline() == "ready\n"
    transfer(first, second, "10.1.0.2")
    transfer(second, first, "10.1.0.1")
    watcher.kill()
    assert "True 5\n" in watcher.stdout.read()
    assert "tx_error" not in suite.appctl("coverage/show")
    suite.vsctl("set", "port", "p2", "tag=6")
    assert not first.pings("10.1.0.2", 1)
    suite.host.ip("link del t0")


def test_frames_larger_than_the_egress_mtu_are_dropped_under_a_name(suite, make_host):
    """h1 (mtu 3000) -- p1 [br0] p2 (mtu 1500) -- h2"""
    first, second = make_host(), make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    suite.wire(second, "p2", "br0", "10.1.0.2/24")
    suite.host.ip("link set p1 mtu 3000")
    first.ip("link set eth0 mtu 3000")
    assert first.pings("10.1.0.2")
    before = suite.counter("datapath_drop_tx_too_big")
    dropped = suite.dropped("p2")[1]
    assert not first.pings("10.1.0.2", 2, "-s", "2000", "-M", "do")
    assert suite.counter("datapath_drop_tx_too_big") == before + 2
    assert "datapath_drop_tx_too_big" in suite.appctl("coverage/show")
    assert suite.dropped("p2")[1] == dropped + 2
    # GSO frames are judged by their segments, which h2's MSS made small enough.
    transfer(first, second, "10.1.0.2")
    assert suite.counter("datapath_drop_tx_too_big") == before + 2


def test_frames_that_leave_the_switch_otherwise_are_complete(suite, make_host, tmp_path):
    """A packet-in of TCP with default offloads: small segments, right checksums."""
    first, second = make_host(), make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    suite.wire(second, "p2", "br0", "10.1.0.2/24")
    assert first.pings("10.1.0.2")
    suite.ofctl("add-flow", "br0", "priority=10,tcp,tp_dst=5001,actions=controller(max_len=65535),"
                                   "normal")
    monitor = subprocess.Popen(
        suite.command("ovs-ofctl", "monitor", "br0", "65535", "-P", "standard"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=suite.environment, text=True)
    lines = []
    try:
        while sum("tcp_csum" in line for line in lines) < 20:
            transfer(first, second, "10.1.0.2", 100_000)    # Until the monitor is connected.
            if select.select([monitor.stdout], [], [], 0.1)[0]:
                lines.append(monitor.stdout.readline())
                assert lines[-1]
                while sum("tcp_csum" in line for line in lines) < 20:
                    lines.append(monitor.stdout.readline())
                    assert lines[-1]
    finally:
        monitor.kill()          # With messages unread: that must not matter to the daemon.
        monitor.wait()
        monitor.stdout.close()
    assert not any("bad csum" in line or "(bad" in line for line in lines), lines
    sizes = [int(word.split("=")[1]) for line in lines for word in line.split()
             if word.startswith("total_len=")]
    assert sizes and max(sizes) <= 1514


def frames_of(path):
    """The frames of a pcap file."""
    data, at = path.read_bytes(), 24
    while at + 16 <= len(data):
        size, = struct.unpack_from("=I", data, at + 8)
        yield data[at + 16:at + 16 + size]
        at += 16 + size


def ones_sum(data):
    """The Internet checksum's sum over `data`: 0xffff where a checksum within it is right."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data[:len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def test_frames_to_a_port_without_offloads_are_cut_and_complete(fresh_suite, make_host):
    """h1 -- p1 [br0] p2 -- h2, and a dummy port with a pcap file that gets a copy."""
    suite, first, second = fresh_suite, make_host(), make_host()
    suite.start("--enable-dummy")
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    suite.wire(second, "p2", "br0", "10.1.0.2/24")
    path = suite.directory / "d1.pcap"
    suite.vsctl("add-port", "br0", "d1", "--", "set", "interface", "d1", "type=dummy",
                f"options:tx_pcap={path}")
    assert first.pings("10.1.0.2")
    number = suite.get("interface", "d1", "ofport")[0]
    suite.ofctl("add-flow", "br0", f"tcp,tp_dst=5001,actions={number},normal")
    size = 400_000
    transfer(first, second, "10.1.0.2", size)
    packets = [frame for frame in frames_of(path) if frame[12:14] == b"\x08\0" and frame[23] == 6]
    payload = 0
    for frame in packets:
        assert len(frame) <= 1514
        header, length = (frame[14] & 15) * 4, struct.unpack(">H", frame[16:18])[0]
        assert ones_sum(frame[14:14 + header]) == 0xffff
        segment = frame[14 + header:14 + length]
        pseudo = frame[26:34] + struct.pack(">HH", 6, len(segment))
        assert ones_sum(pseudo + segment) == 0xffff
        payload += len(segment) - (segment[12] >> 4) * 4
    assert payload >= size and len(packets) > size // 1460


def test_frames_that_came_too_fast_are_counted(suite, make_host):
    """h1 sends more than the datapath takes: what it missed is in rx_dropped."""
    first = make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    number = suite.get("interface", "p1", "ofport")[0]
    suite.ofctl("add-flow", "br0", f"priority=9,in_port={number},dl_type=0x88b5,actions=drop")
    sent = 300_000
    first.run(sys.executable, "-c", _FLOOD, str(sent), timeout=20)

    def received():
        return suite.statistics_now("p1")[0] + suite.dropped("p1")[0]

    wait(lambda: received() >= sent)
    assert received() < sent + 100


_FLOOD = """
import socket, sys
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
sock.bind(("eth0", 0))
frame = b"\\xff" * 6 + b"\\x02" + bytes(5) + b"\\x88\\xb5" + bytes(46)
for _ in range(int(sys.argv[1])):
    sock.send(frame)
"""
