"""What the parser makes of frames: each header, and what is left when one is malformed.

The malformed cases are what Open vSwitch makes of the same frames.
"""

import struct

import pytest

from datapath.match import get_member
from tests.datapath import frames as f

IP_IN_FLOW = int.from_bytes(f.IP_A, "big")


def parse(face, frame: bytes) -> dict[str, int]:
    """The members of the flow of `frame` that are not 0 (without Ethernet addresses)."""
    from schema.flow.fields import FLOW
    flow = face.frame_parse(frame, 7)
    values = {member.name: get_member(flow, member.name) for member in FLOW
              if not member.name.startswith("pad")}
    return {name: value for name, value in values.items()
            if value and name not in ("eth_src", "eth_dst", "in_port")}


IPV4 = {"eth_type": 0x0800, "nw_src": IP_IN_FLOW, "nw_dst": IP_IN_FLOW + 1, "nw_ttl": 64}
IPV6 = {"eth_type": 0x86DD, "ipv6_src": int.from_bytes(f.IP6_A, "big"),
        "ipv6_dst": int.from_bytes(f.IP6_B, "big"), "nw_ttl": 64}
ND = struct.pack("!BBHI", 135, 0, 0, 0x20000000) + f.IP6_B
NSH = struct.pack("!HBBI4I", 0 << 12 | 63 << 6 | 6, 1, 3, 0x1234 << 8 | 255, 1, 2, 3, 4)

CASES = {
    "tcp": (f.ethernet(f.ipv4(f.tcp(flags=0x112), 6, tos=4)),
            IPV4 | {"nw_proto": 6, "nw_tos": 4, "tp_src": 1000, "tp_dst": 80,
                    "tcp_flags": 0x112}),
    "udp with IPv4 options": (f.ethernet(f.ipv4(f.udp(), 17, options=bytes(8))),
                              IPV4 | {"nw_proto": 17, "tp_src": 1000, "tp_dst": 53}),
    "first fragment": (f.ethernet(f.ipv4(f.udp(), 17, frag=0x2000)),
                       IPV4 | {"nw_proto": 17, "tp_src": 1000, "tp_dst": 53, "nw_frag": 1}),
    "later fragment": (f.ethernet(f.ipv4(f.udp(), 17, frag=0x0010)),
                       IPV4 | {"nw_proto": 17, "nw_frag": 3}),
    "icmp": (f.ethernet(f.ipv4(bytes([8, 1]) + bytes(6), 1)),
             IPV4 | {"nw_proto": 1, "tp_src": 8, "tp_dst": 1}),
    "igmp": (f.ethernet(f.ipv4(bytes([0x11, 0, 0, 0, 224, 0, 0, 1]), 2)),
             IPV4 | {"nw_proto": 2, "tp_src": 0x11, "igmp_group": 0xE0000001}),
    "sctp": (f.ethernet(f.ipv4(struct.pack("!HHII", 5, 6, 0, 0), 132)),
             IPV4 | {"nw_proto": 132, "tp_src": 5, "tp_dst": 6}),
    "vlan": (f.ethernet(f.ipv4(f.udp(), 17), tags=((0x8100, 0x6005),)),
             IPV4 | {"nw_proto": 17, "tp_src": 1000, "tp_dst": 53, "vlan0_tpid": 0x8100,
                     "vlan0_tci": 0x7005}),
    "second tag is payload": (f.ethernet(f.ipv4(f.udp(), 17), tags=((0x88A8, 5), (0x8100, 6))),
                              {"eth_type": 0x8100, "vlan0_tpid": 0x88A8, "vlan0_tci": 0x1005}),
    "arp": (f.ethernet(f.arp(2), 0x0806),
            {"eth_type": 0x0806, "nw_proto": 2, "nw_src": IP_IN_FLOW, "nw_dst": IP_IN_FLOW + 1,
             "arp_sha": int.from_bytes(f.A, "big")}),
    "rarp": (f.ethernet(f.arp(3), 0x8035),
             {"eth_type": 0x8035, "nw_proto": 3, "nw_src": IP_IN_FLOW, "nw_dst": IP_IN_FLOW + 1,
              "arp_sha": int.from_bytes(f.A, "big")}),
    "arp operation above 255": (
        f.ethernet(f.arp(256), 0x0806),
        {"eth_type": 0x0806, "nw_src": IP_IN_FLOW, "nw_dst": IP_IN_FLOW + 1,
         "arp_sha": int.from_bytes(f.A, "big")}),
    "tcp over IPv6": (f.ethernet(f.ipv6(f.tcp(), 6, label=0x12345, tclass=0xB8), 0x86DD),
                      IPV6 | {"nw_proto": 6, "tp_src": 1000, "tp_dst": 80, "tcp_flags": 0x10,
                              "ipv6_label": 0x12345, "nw_tos": 0xB8}),
    "IPv6 extension headers": (
        f.ethernet(f.ipv6(f.udp(), 0, extensions=bytes([60, 0]) + bytes(6)
                          + bytes([17, 1]) + bytes(14)), 0x86DD),
        IPV6 | {"nw_proto": 17, "tp_src": 1000, "tp_dst": 53}),
    "IPv6 first fragment": (
        f.ethernet(f.ipv6(f.udp(), 44, extensions=bytes([17, 0, 0, 1, 0, 0, 0, 0])), 0x86DD),
        IPV6 | {"nw_proto": 17, "nw_frag": 1, "tp_src": 1000, "tp_dst": 53}),
    "IPv6 later fragment": (
        f.ethernet(f.ipv6(f.udp(), 44, extensions=bytes([17, 0, 0, 8, 0, 0, 0, 0])), 0x86DD),
        IPV6 | {"nw_proto": 44, "nw_frag": 3}),
    "neighbour solicitation": (
        f.ethernet(f.ipv6(ND + bytes([1, 1]) + f.A, 58), 0x86DD),
        IPV6 | {"nw_proto": 58, "tp_src": 135, "nd_target": int.from_bytes(f.IP6_B, "big"),
                "nd_reserved": 0x20000000, "nd_options_type": 1,
                "arp_sha": int.from_bytes(f.A, "big")}),
    "mpls, two labels": (
        f.ethernet(struct.pack("!II", 5 << 12 | 64, 6 << 12 | 0x100 | 64) + f.ipv4(b"", 17),
                   0x8847),
        {"eth_type": 0x8847, "mpls_lse": (5 << 12 | 64) << 96 | (6 << 12 | 0x140) << 64}),
    "nsh": (f.ethernet(NSH, 0x894F),
            {"eth_type": 0x894F, "nsh_ttl": 63, "nsh_mdtype": 1, "nsh_np": 3,
             "nsh_path": 0x1234FF, "nsh_c": 1 << 96 | 2 << 64 | 3 << 32 | 4}),
    "snap": (f.ethernet(bytes.fromhex("aaaa03000000") + b"\x08\x06" + f.arp(), 36),
             {"eth_type": 0x0806, "nw_proto": 1, "nw_src": IP_IN_FLOW, "nw_dst": IP_IN_FLOW + 1,
              "arp_sha": int.from_bytes(f.A, "big")}),
    "802.2 without SNAP": (f.ethernet(bytes.fromhex("424203") + bytes(40), 43),
                           {"eth_type": 0x05FF}),
    "IPv4 longer than the frame": (f.ethernet(f.ipv4(f.tcp(), 6)[:-1]), {"eth_type": 0x0800}),
    "IPv4 header shorter than 20": (f.ethernet(b"\x44" + f.ipv4(f.tcp(), 6)[1:]),
                                    {"eth_type": 0x0800}),
    "tcp header cut off by the IP length": (f.ethernet(f.ipv4(f.tcp()[:19], 6)),
                                            IPV4 | {"nw_proto": 6}),
    "tcp data offset too small": (
        f.ethernet(f.ipv4(f.tcp()[:12] + b"\x40" + f.tcp()[13:], 6)), IPV4 | {"nw_proto": 6}),
    "tcp options cut off": (
        f.ethernet(f.ipv4(f.tcp()[:12] + b"\x60" + f.tcp()[13:], 6)), IPV4 | {"nw_proto": 6}),
    "IPv6 longer than the frame": (f.ethernet(f.ipv6(f.udp(), 17)[:-1], 0x86DD),
                                   {"eth_type": 0x86DD}),
    "IPv6 extension cut off": (
        f.ethernet(f.ipv6(b"", 60, extensions=bytes([17, 4]) + bytes(6)), 0x86DD),
        {name: IPV6[name] for name in ("eth_type", "ipv6_src", "ipv6_dst")}),
    "padding is no payload": (f.ethernet(f.ipv4(f.udp()[:6], 17)) + bytes(20),
                              IPV4 | {"nw_proto": 17}),
    "vlan tag cut off": (f.B + f.A + b"\x81\x00\x00\x05", {"eth_type": 0x8100}),
    "shorter than Ethernet": (f.B + f.A, {}),
}


@pytest.mark.parametrize("name", CASES)
def test_a_frame_gives_this_flow(face, name):
    frame, expected = CASES[name]
    assert parse(face, frame) == expected


@pytest.mark.parametrize("name", [
    "tcp", "vlan", "arp", "icmp", "igmp", "sctp", "tcp over IPv6", "IPv6 later fragment",
    "first fragment", "neighbour solicitation", "mpls, two labels", "nsh", "802.2 without SNAP"])
def test_a_composed_frame_gives_back_its_flow(face, name):
    flow = face.frame_parse(CASES[name][0], 7)
    frame = face.frame_compose(flow, 64)
    assert face.frame_parse(frame, 7) == flow
    if b"first" not in name.encode():
        assert f.fill_checksums(frame) == frame or "fragment" in name or "sctp" in name


def test_a_composed_tcp_frame_has_the_reference_size(face):
    flow = face.frame_parse(f.ethernet(f.ipv4(f.tcp(), 6)), 1)
    assert len(face.frame_compose(flow, 64)) == 14 + 20 + 20 + 64
