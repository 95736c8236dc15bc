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


_MACS = "505400000007505400000005"
_TCP = "45000028000000004006b9f40a0000010a0000020008005000000000000000005002000000000000"
_TCP_TEXT = ("nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=8,"
             "tp_dst=80,tcp_flags=syn tcp_csum:0\n")
_ADDRESSES = "dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07"


@pytest.mark.parametrize(("frame", "shown"), [
    ("8100" "0064" "0800" + _TCP,
     f"tcp,dl_vlan=100,dl_vlan_pcp=0,vlan_tci1=0x0000,{_ADDRESSES},{_TCP_TEXT}"),
    ("88a8" "2064" "8100" "0005" "0800" + _TCP,
     f"tcp,dl_vlan=100,dl_vlan_pcp=1,dl_vlan1=5,dl_vlan_pcp1=0,{_ADDRESSES},{_TCP_TEXT}"),
    ("8847" "0000a040" "0000b120" + _TCP,
     f"mpls,vlan_tci=0x0000,{_ADDRESSES},mpls_label=10,mpls_tc=0,mpls_ttl=64,mpls_bos=0,"
     "mpls_lse1=45344\n"),
    ("86dd" "60000000" "0020" "3aff" + "00" * 15 + "01" + "00" * 15 + "02" + "88000000" "60000000"
     + "00" * 15 + "03" + "0101" "505400000005",
     f"icmp6,vlan_tci=0x0000,{_ADDRESSES},ipv6_src=::1,ipv6_dst=::2,ipv6_label=0x00000,nw_tos=0,"
     "nw_ecn=0,nw_ttl=255,nw_frag=no,icmp_type=136,icmp_code=0,nd_target=::3,"
     "nd_sll=50:54:00:00:00:05,nd_tll=00:00:00:00:00:00 icmp6_csum:0\n"),
    ("894f" "0fc60103" "00012301" + "00000007" * 4,
     f"{_ADDRESSES}")])
def test_packets_are_shown_with_all_that_they_have(frame, shown):
    assert shown in format_packet(bytes.fromhex(_MACS + frame))
