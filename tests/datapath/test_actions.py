"""Datapath actions, one by one, on real frames through a pumped datapath.

      p1 --[static flow]-- p2, p3, p4
"""

import random
import struct

import pytest

from tests.datapath import frames as f
from tests.datapath.conftest import action, output, set_key

UDP = f.fill_checksums(f.ethernet(f.ipv4(f.udp(payload=b"hello"), 17)))
TCP = f.fill_checksums(f.ethernet(f.ipv4(f.tcp(payload=b"hello!"), 6)))
TCP6 = f.fill_checksums(f.ethernet(f.ipv6(f.tcp(payload=b"hello!"), 6), 0x86DD))


def run(switch, actions: bytes, frame: bytes, **match) -> list[tuple[int, bytes]]:
    """Send `frame` into p1 with `actions` installed; what goes out."""
    switch.put(actions, **({"in_port_oxm": 1} | match))
    return switch.send(1, frame)


def test_an_output_list_sends_to_each_port(switch):
    assert run(switch, output(2) + output(3), UDP) == [(2, UDP), (3, UDP)]


def test_a_change_does_not_touch_what_was_sent_before_it(switch):
    actions = output(2) + set_key(4, f.B + f.A) + output(3) + set_key(4, bytes(12)) + output(4)
    sent = dict(run(switch, actions, UDP))
    assert sent == {2: UDP, 3: f.A + f.B + UDP[12:], 4: bytes(12) + UDP[12:]}


def test_masked_set_keeps_the_other_bits(switch):
    mask = bytes(6) + b"\0\0\0\0\0\xff"
    sent = run(switch, set_key(4, b"\xaa" * 12, mask) + output(2), UDP)
    assert sent == [(2, UDP[:5] + b"\xaa" + UDP[6:])]


def test_vlan_push_and_pop(switch):
    push = action(4, struct.pack("!HH", 0x8100, 0x7064))
    tagged = UDP[:12] + b"\x81\x00\x60\x64" + UDP[12:]
    assert run(switch, push + output(2) + action(5) + output(3), UDP) == [(2, tagged), (3, UDP)]


def test_pop_vlan_of_an_untagged_frame_does_nothing(switch):
    assert run(switch, action(5) + output(2), UDP) == [(2, UDP)]


def test_mpls_push_set_and_pop(switch):
    lse = 5 << 12 | 0x100 | 64
    push = action(9, struct.pack("!H", 0x8847) + struct.pack("=H", 0) + struct.pack("!I", lse)
                  + bytes(4))
    change = set_key(21, struct.pack("!I", 9 << 12), struct.pack("!I", 0xFFFFF << 12))
    pop = action(10, struct.pack("!HH", 0x0800, 0))
    sent = run(switch, push + output(2) + change + output(3) + pop + output(4), UDP)
    body = UDP[:12] + b"\x88\x47"
    assert sent == [(2, body + struct.pack("!I", lse) + UDP[14:]),
                    (3, body + struct.pack("!I", 9 << 12 | 0x140) + UDP[14:]), (4, UDP)]


def test_push_mpls_goes_behind_a_vlan_tag(switch):
    tagged = UDP[:12] + b"\x81\x00\x00\x05" + UDP[12:]
    push = action(9, struct.pack("!H", 0x8847) + struct.pack("=H", 0)
                  + struct.pack("!I", 0x5140) + bytes(4))
    assert run(switch, push + output(2), tagged) == [
        (2, tagged[:16] + b"\x88\x47" + struct.pack("!I", 0x5140) + tagged[18:])]


def test_pop_and_push_eth(switch):
    push = action(14, f.A + f.B)
    assert run(switch, action(15) + push + output(2), UDP) == [(2, f.A + f.B + UDP[12:])]


def test_nsh_around_a_frame_and_off_again(switch):
    push = action(17, struct.pack("=BBBB", 0, 63, 1, 3) + struct.pack("!I", 0x1234FF)
                  + struct.pack("=I", 16) + bytes(range(16)))
    ether = action(14, f.A + f.B)
    sent = run(switch, push + ether + output(2) + action(15) + action(18) + output(3), UDP)
    nsh = struct.pack("!HBBI", 63 << 6 | 6, 1, 3, 0x1234FF) + bytes(range(16))
    assert sent == [(2, f.A + f.B + b"\x89\x4f" + nsh + UDP), (3, UDP)]


def test_trunc_cuts_the_next_output_only(switch):
    trunc = action(13, struct.pack("=I", 20))
    assert run(switch, trunc + output(2) + output(3), UDP) == [(2, UDP[:20]), (3, UDP)]


def test_clone_leaves_the_frame_as_it_was(switch):
    clone = action(20, bytes(4) + set_key(4, bytes(12)) + output(2))
    assert run(switch, clone + output(3), UDP) == [(2, bytes(12) + UDP[12:]), (3, UDP)]


def test_sample_always_and_never(switch):
    always = action(6, struct.pack("=I", 0xFFFFFFFF) + output(2))
    never = action(6, struct.pack("=I", 0) + output(3))
    assert run(switch, always + never + output(4), UDP) == [(2, UDP), (4, UDP)]


@pytest.mark.parametrize("length, port", [(len(UDP) - 1, 2), (len(UDP), 3)])
def test_check_pkt_len_chooses_a_branch(switch, length, port):
    greater, other = output(2), output(3)
    check = action(21, struct.pack("=HHII", length, 0, len(greater), 0) + greater + other)
    assert run(switch, check, UDP) == [(port, UDP)]


def test_recirculation_is_a_second_lookup(switch):
    switch.put(output(3), recirc_id=9)
    assert run(switch, action(7, struct.pack("=I", 9)), UDP, recirc_id=0) == [(3, UDP)]


def test_endless_recirculation_is_dropped(switch):
    assert run(switch, action(7, struct.pack("=I", 0)), UDP) == []
    assert switch.face.drops(switch.dp) == {"depth": 1}


def test_dp_hash_is_the_same_both_ways_if_symmetric(switch):
    seen = []
    symmetric = action(8, struct.pack("=III", 1, 0, 0)) + action(7, struct.pack("=I", 5))
    for bit in range(2):
        switch.put(output(2 + bit), recirc_id=5, dp_hash=(bit, 1))
    back = UDP[:26] + UDP[30:34] + UDP[26:30] + UDP[36:38] + UDP[34:36] + UDP[38:]
    for frame in (UDP, back):
        seen.append(run(switch, symmetric, frame, recirc_id=0)[0][0])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("ttl, sent_to", [(64, 2), (2, 2), (1, 3), (0, 3)])
def test_dec_ttl_and_what_expired_frames_do_instead(switch, ttl, sent_to):
    frame = f.fill_checksums(f.ethernet(f.ipv4(f.udp(), 17, ttl=ttl)))
    expected = frame if sent_to == 3 else f.fill_checksums(
        f.ethernet(f.ipv4(f.udp(), 17, ttl=ttl - 1)))
    assert run(switch, action(23, bytes(4) + output(3)) + output(2), frame) == [
        (sent_to, expected)]


def test_actions_that_cannot_run_are_counted(switch):
    conntrack = action(12, bytes(132))
    assert run(switch, conntrack + output(2), UDP) == []
    assert switch.face.drops(switch.dp) == {"unsupported": 1}


def test_drop_and_an_empty_list_count_their_reason(switch):
    assert run(switch, b"", UDP) == []
    assert run(switch, action(24, struct.pack("=I", 3)), UDP) == []
    assert switch.face.drops(switch.dp) == {"rule": 1, "recursion": 1}


def test_output_to_a_port_that_is_not_there_is_counted(switch):
    assert run(switch, output(99) + output(2), UDP) == [(2, UDP)]
    assert switch.face.drops(switch.dp) == {"invalid_port": 1}


@pytest.mark.parametrize("actions", [
    b"\1", action(99), action(1)[:4], struct.pack("=HHI", 1, 16, 2),
    action(6, bytes(4) + b"\1\0\x10"), set_key(7, b"ab"), action(21, struct.pack("=HHII", 1, 0, 8, 0))])
def test_a_malformed_list_is_refused(switch, actions):
    from datapath.ffi import DatapathError
    with pytest.raises(DatapathError):
        switch.put(actions, in_port_oxm=1)


# Key attribute, its layout as (offset in the frame, size) per piece in the order of the struct.
SETS = {
    "ipv4": (7, TCP, [(26, 4), (30, 4), None, (15, 1), (22, 1), None]),
    "udp": (10, UDP, [(34, 2), (36, 2)]),
    "tcp": (9, TCP, [(34, 2), (36, 2)]),
    "tcp6": (9, TCP6, [(54, 2), (56, 2)]),
    "icmp": (11, f.fill_checksums(f.ethernet(f.ipv4(bytes([8, 0]) + bytes(20), 1))),
             [(34, 1), (35, 1)]),
}


@pytest.mark.parametrize("name", SETS)
def test_checksums_follow_random_sets(switch, name):
    """Incremental checksums against the naive twin that sums the whole frame again."""
    key, frame, pieces = SETS[name]
    generator = random.Random(name)
    for _ in range(40):
        expected = bytearray(frame)
        value = mask = b""
        for piece in pieces:
            if piece is None:
                value, mask = value + b"\0", mask + b"\0"
                continue
            offset, size = piece
            bits, new = generator.randbytes(size), generator.randbytes(size)
            if generator.random() < 0.3:
                bits = bytes(size)
            value, mask = value + new, mask + bits
            for i in range(size):
                expected[offset + i] = expected[offset + i] & ~bits[i] | new[i] & bits[i]
        assert run(switch, set_key(key, value, mask) + output(2), frame) == [
            (2, f.fill_checksums(bytes(expected)))]


def test_ipv6_addresses_change_the_tcp_checksum(switch):
    value = f.IP6_B + f.IP6_A + struct.pack("!I", 0x12345) + bytes([0, 0xB8, 9, 0])
    mask = b"\xff" * 32 + struct.pack("!I", 0xFFFFF) + bytes([0, 255, 255, 0])
    expected = f.fill_checksums(f.ethernet(f.ipv6(
        f.tcp(payload=b"hello!"), 6, label=0x12345, tclass=0xB8, hlimit=9, src=f.IP6_B,
        dst=f.IP6_A), 0x86DD))
    assert run(switch, set_key(8, value, mask) + output(2), TCP6) == [(2, expected)]


@pytest.mark.parametrize("segments_left", [0, 1])
def test_the_checksum_has_the_final_destination(switch, segments_left):
    """With segments left in a routing header, the address that is set is only a stop."""
    routing = struct.pack("!BBBB", 6, 2, 2, segments_left) + bytes(4) + f.IP6_A
    frame = f.ethernet(f.ipv6(f.tcp(), 43, extensions=routing), 0x86DD)
    value = bytes(16) + f.IP6_A + bytes(8)
    mask = bytes(16) + b"\xff" * 16 + bytes(8)
    (_, sent), = run(switch, set_key(8, value, mask) + output(2), frame)
    assert sent[38:54] == f.IP6_A
    assert (sent[94:96] == frame[94:96]) == bool(segments_left)


def test_udp_without_a_checksum_stays_without(switch):
    frame = UDP[:40] + b"\0\0" + UDP[42:]
    sent = run(switch, set_key(10, struct.pack("!HH", 7, 8)) + output(2), frame)
    assert sent == [(2, frame[:34] + struct.pack("!HH", 7, 8) + frame[38:])]


def test_arp_fields_are_set(switch):
    frame = f.ethernet(f.arp(), 0x0806)
    value = f.IP_B + f.IP_A + struct.pack("!H", 2) + f.B + f.A + bytes(2)
    expected = frame[:20] + struct.pack("!H", 2) + f.B + f.IP_B + f.A + f.IP_A
    assert run(switch, set_key(13, value) + output(2), frame) == [(2, expected)]


def test_neighbour_discovery_is_set_with_its_checksum(switch):
    body = struct.pack("!BBHI", 135, 0, 0, 0) + f.IP6_A + bytes([1, 1]) + f.A
    frame = f.fill_checksums(f.ethernet(f.ipv6(body, 58), 0x86DD))
    changed = struct.pack("!BBHI", 135, 0, 0, 0) + f.IP6_B + bytes([1, 1]) + f.B
    value = f.IP6_B + f.B + bytes(6)
    assert run(switch, set_key(14, value) + output(2), frame) == [
        (2, f.fill_checksums(f.ethernet(f.ipv6(changed, 58), 0x86DD)))]
