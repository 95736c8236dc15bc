"""Megaflows through the seam: put, match, count, dump, delete; and ports around them."""

import struct

import pytest

from datapath.match import pack_match
from schema.flow.seam import SEAM
from tests.datapath import frames as f
from tests.datapath.conftest import Switch, action, output, port

UDP = f.fill_checksums(f.ethernet(f.ipv4(f.udp(), 17)))
ANY = (0, 0)


def udp_to(number: int) -> bytes:
    """A frame to UDP port `number`."""
    return f.ethernet(f.ipv4(f.udp(dst=number), 17))


def test_a_flow_counts_its_frames(switch):
    switch.put(output(2), in_port_oxm=1)
    switch.send(1, UDP, UDP)
    flow, = switch.face.flows(switch.dp)
    assert (flow.n_packets, flow.n_bytes, flow.used_ms) == (2, 2 * len(UDP), 1_000_000)


def test_an_unused_flow_was_never_used(switch):
    switch.put(output(2), in_port_oxm=1)
    flow, = switch.face.flows(switch.dp)
    assert (flow.n_packets, flow.used_ms) == (0, 0)
    assert (flow.key, flow.mask) == pack_match({"in_port_oxm": (1, 0xFFFFFFFF)})


def test_tcp_flags_are_collected(switch):
    switch.put(output(2), in_port_oxm=1)
    for flags in (0x02, 0x10, 0x11):
        switch.send(1, f.ethernet(f.ipv4(f.tcp(flags=flags), 6)))
    flow, = switch.face.flows(switch.dp)
    assert flow.tcp_flags == 0x13


def test_many_masks_find_their_own(switch):
    """Also with signatures: the second round is found by them."""
    for n in range(12):
        switch.put(output(2 + n % 3), in_port_oxm=1, udp_dst=(1 << n, 0xFFFF & ~((1 << n) - 1)),
                   nw_proto=17)
    for _ in range(3):
        for n in range(12):
            assert [port for port, _ in switch.send(1, udp_to(1 << n))] == [2 + n % 3]


def test_flows_of_outer_words_are_told_apart(switch):
    """pkt_mark and ARP addresses are not in the short key of plain frames."""
    arp = f.ethernet(f.arp(), 0x0806)
    switch.put(output(2), in_port_oxm=1, arp_sha=int.from_bytes(f.A, "big"))
    switch.put(output(3), in_port_oxm=1, arp_sha=int.from_bytes(f.B, "big"))
    switch.put(output(4), in_port_oxm=1, arp_sha=0, nw_proto=17)
    assert switch.send(1, arp) == [(2, arp)]
    assert switch.send(1, arp[:22] + f.B + arp[28:])[0][0] == 3
    assert switch.send(1, UDP) == [(4, UDP)]


def test_a_plain_frame_never_hits_a_flow_with_outer_bits(switch):
    switch.put(output(2), in_port_oxm=1, pkt_mark=5)
    assert switch.send(1, UDP, UDP) == []


@pytest.mark.parametrize("eth_type", [0x0800, 0x86DD])
def test_ipv6_addresses_take_part(switch, eth_type):
    frame = f.ethernet(f.ipv6(f.udp(), 17), 0x86DD)
    switch.put(output(2), in_port_oxm=1, ipv6_src=int.from_bytes(f.IP6_A, "big"))
    switch.put(output(3), in_port_oxm=1, ipv6_src=int.from_bytes(f.IP6_B, "big"))
    assert switch.send(1, frame) == [(2, frame)]
    assert switch.send(1, frame[:22] + f.IP6_B + frame[38:])[0][0] == 3


def test_put_says_what_exists(switch):
    from datapath.ffi import DatapathError
    key = pack_match({"in_port_oxm": (1, 0xFFFFFFFF)})
    with pytest.raises(DatapathError, match="no such flow"):
        switch.face.flow_put(switch.dp, *key, output(2), must_exist=True)
    switch.face.flow_put(switch.dp, *key, output(2))
    with pytest.raises(DatapathError, match="exists already"):
        switch.face.flow_put(switch.dp, *key, output(2))
    switch.face.flow_put(switch.dp, *key, output(3), may_exist=True)
    assert switch.send(1, UDP) == [(3, UDP)]


def test_a_deleted_flow_is_gone(switch):
    from datapath.ffi import DatapathError
    key = pack_match({"in_port_oxm": (1, 0xFFFFFFFF)})
    switch.face.flow_put(switch.dp, *key, output(2))
    switch.face.flow_del(switch.dp, *key)
    with pytest.raises(DatapathError, match="no such flow"):
        switch.face.flow_del(switch.dp, *key)
    assert switch.send(1, UDP) == []
    assert switch.face.datapath_stats(switch.dp).n_missed == 1


def test_a_miss_is_lost_while_upcalls_are_disabled(face):
    switch = Switch(face, flags=SEAM["DP_MEGAFLOWS"] | SEAM["DP_NO_UPCALLS"])
    assert switch.send(1, UDP) == []
    assert face.drops(switch.dp) == {"upcall_error": 1}
    stats = face.datapath_stats(switch.dp)
    assert (stats.n_missed, stats.n_lost, stats.n_flows, stats.n_masks) == (1, 1, 0, 0)
    face.datapath_close(switch.dp)


def test_flush_deletes_all_and_dump_is_complete(switch):
    numbers = range(3000)
    for n in numbers:
        switch.put(output(2), udp_dst=n)
    dumped = {int.from_bytes(flow.key[722:724], "big") for flow in switch.face.flows(switch.dp)}
    assert dumped == set(numbers)
    assert len({flow.ufid for flow in switch.face.flows(switch.dp)}) == len(numbers)
    switch.face.flows_flush(switch.dp)
    assert list(switch.face.flows(switch.dp)) == []


def test_a_frame_larger_than_the_mtu_is_dropped_by_name(switch):
    big = f.ethernet(f.ipv4(f.udp(payload=bytes(1500)), 17))
    fits = f.ethernet(f.ipv4(f.udp(payload=bytes(1472)), 17), tags=((0x8100, 5),))
    switch.put(output(2), in_port_oxm=1)
    assert switch.send(1, big) == []
    assert switch.send(1, fits) == [(2, fits)]
    assert switch.face.drops(switch.dp) == {"too_big": 1}
    assert switch.face.port_stats(switch.dp, 2).tx_too_big == 1


def test_a_port_that_is_down_neither_sends_nor_receives(switch):
    switch.put(output(2), in_port_oxm=1)
    switch.face.port_set(switch.dp, 2, port("p2", is_up=False))
    assert switch.send(1, UDP) == []
    switch.face.port_set(switch.dp, 2, port("p2"))
    switch.face.port_set(switch.dp, 1, port("p1", is_up=False))
    assert switch.send(1, UDP) == []
    switch.face.port_set(switch.dp, 1, port("p1"))
    assert switch.send(1, UDP) == [(2, UDP)]


def test_ports_refuse_what_is_wrong(switch):
    from datapath.ffi import DatapathError
    for number, config, error in ((1, port("x"), "number 1 is taken"), (9, port("p1"), "p1 exists"),
                                  (9, port("x", kind="none"), "unknown port kind"),
                                  (70000, port("x"), "bad port number")):
        with pytest.raises(DatapathError, match=error):
            switch.face.port_add(switch.dp, number, config)
    with pytest.raises(DatapathError, match="no port 9"):
        switch.face.port_del(switch.dp, 9)
    with pytest.raises(DatapathError, match="no datapath"):
        switch.face.datapath_stats(999)


def test_frames_of_a_deleted_port_vanish(switch):
    switch.put(output(2), in_port_oxm=1)
    switch.face.port_receive(switch.dp, 1, 0, UDP)
    switch.face.port_del(switch.dp, 1)
    assert switch.face.pump() == 0
    switch.face.port_add(switch.dp, 1, port("p1"))
    assert switch.send(1, UDP) == [(2, UDP)]


def test_pcap_files_hold_what_went_through(switch, tmp_path):
    rx, tx = tmp_path / "rx.pcap", tmp_path / "tx.pcap"
    switch.face.port_add(switch.dp, 8, port("p8", rx_pcap=str(rx), tx_pcap=str(tx)))
    switch.put(output(8), in_port_oxm=1)
    switch.send(1, UDP)
    switch.send(8, UDP[:50])
    for path, frame in ((tx, UDP), (rx, UDP[:50])):
        data = path.read_bytes()
        assert struct.unpack_from("=IHHIIII", data)[:3] == (0xA1B2C3D4, 2, 4)
        assert struct.unpack_from("=II", data, 32) == (len(frame), len(frame))
        assert data[40:] == frame


def test_packets_injected_with_actions_go_out_at_once(switch):
    switch.face.packets_inject([switch.face.Injection(switch.dp, 0, 1, UDP, output(2) + output(3))])
    assert switch.send(1) == [(2, UDP), (3, UDP)]


def test_userspace_actions_become_upcalls(switch):
    from datapath.upcall import Queue, take
    body = struct.pack("=BBHIIQIHHIIIIIIIHHQII", 2, 0, 1, 0, 0, 0xC00C1E, 0, 7, 128, 3, 4, 0, 0,
                       0, 0, 0, 0, 2, 55, 9, 0)
    userspace = action(2, body + b"xy")
    switch.put(userspace + output(2), in_port_oxm=1)
    assert switch.send(1, UDP) == [(2, UDP)]
    upcall, = take(Queue.OPENFLOW)
    assert (upcall.reason, upcall.odp, upcall.frame, upcall.total_len) == (1, 1, UDP, len(UDP))
    assert (upcall.controller_id, upcall.max_len, upcall.data) == (7, 128, b"xy")
    assert upcall.flow == switch.face.frame_parse(UDP, 1)


def test_two_datapaths_do_not_mix(face):
    one, two = Switch(face), Switch(face)
    one.put(output(2), in_port_oxm=1)
    assert two.send(1, UDP) == []
    assert one.send(1, UDP) == [(2, UDP)]
    face.datapath_close(two.dp)
    assert one.send(1, UDP) == [(2, UDP)]
    face.datapath_close(one.dp)


def test_workers_forward_between_pmd_ports(face):
    """p1 --(two workers)-- p2"""
    from datapath import upcall
    switch = Switch(face)
    for number in (5, 6):
        face.port_add(switch.dp, number, port(f"pmd{number}", kind="dummy-pmd", n_rxq=2))
    face.workers_set(2)
    switch.put(output(6), in_port_oxm=5)
    for n in range(100):
        face.port_receive(switch.dp, 5, n % 2, udp_to(n))
    got = list(upcall.take(upcall.Queue.FRAMES))
    assert sorted(record.frame for record in got) == sorted(udp_to(n) for n in range(100))
    assert sum(flow.n_packets for flow in face.flows(switch.dp)) == 100
    face.workers_set(0)
    face.datapath_close(switch.dp)
