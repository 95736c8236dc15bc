"""Packets parsed and composed in Python."""

import pytest
from hypothesis import given, strategies as st

from vswitchd.openflow.compose_packet import checksum, compose_packet
from vswitchd.openflow.packet_text import format_packet, parse_packet

_FIELDS = st.fixed_dictionaries({
    "eth_src": st.integers(0, (1 << 48) - 1), "eth_dst": st.integers(0, (1 << 48) - 1),
    "vlan_tci": st.sampled_from((0, 0x1005, 0x7FFF)),
})
_L4 = st.sampled_from((1, 6, 17, 132))


@given(_FIELDS, _L4, st.integers(0, 0xFFFFFFFF), st.integers(0, 255), st.integers(0, 255))
def test_ipv4_fields_come_back(ethernet, proto, address, tos, low):
    fields = ethernet | {"eth_type": 0x0800, "ip_src": address, "ip_dst": address ^ 1,
                         "nw_proto": proto, "nw_tos": tos, "nw_ttl": low, "ip_frag": 0,
                         "tcp_src": low, "tcp_dst": tos, "packet_type": 0}
    if proto == 6:
        fields["tcp_flags"] = low
    assert parse_packet(compose_packet(fields)).fields == fields


@given(_FIELDS, st.sampled_from((6, 17, 58)), st.integers(0, (1 << 128) - 1))
def test_ipv6_fields_come_back(ethernet, proto, address):
    fields = ethernet | {"eth_type": 0x86DD, "ipv6_src": address, "ipv6_dst": address ^ 1,
                         "ipv6_label": 5, "nw_proto": proto, "nw_tos": 3, "nw_ttl": 9,
                         "ip_frag": 0, "tcp_src": 7, "tcp_dst": 8, "packet_type": 0}
    if proto == 6:
        fields["tcp_flags"] = 0x12
    assert parse_packet(compose_packet(fields)).fields == fields


@given(st.binary(max_size=120))
def test_no_bytes_break_the_parser(data):
    assert format_packet(data).endswith("\n")
    assert format_packet(b"\0" * 12 + b"\x08\0" + data).endswith("\n")
    assert format_packet(b"\0" * 12 + b"\x86\xdd" + data).endswith("\n")


@pytest.mark.parametrize("bad", (False, True))
def test_checksums_are_right_unless_asked_otherwise(bad):
    frame = compose_packet({"eth_type": 0x0800, "nw_proto": 6, "ip_src": 1}, b"abc", bad)
    assert (checksum(frame[14:34]) == 0) is not bad
    pseudo = frame[26:34] + bytes([0, 6]) + (len(frame) - 34).to_bytes(2, "big")
    assert (checksum(pseudo + frame[34:]) == 0) is not bad
