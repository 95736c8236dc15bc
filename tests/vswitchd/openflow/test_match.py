"""Matches as values: canonical keys, equality, covering, prerequisites."""

import pytest
from hypothesis import given, strategies as st

from schema.flow.fields import Prereq
from vswitchd.openflow import packed
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import INFO, INFOS
from vswitchd.openflow.match import (
    EMPTY, Match, get, is_wild, normalize, prerequisites_hold, put, value_is_valid,
)

PLAIN = [info for info in INFOS if not info.variable and info.codes]


def test_spellings_of_one_match_are_equal():
    assert Match.of(dl_vlan=10, dl_vlan_pcp=3) == Match.of(vlan_tci=0x700a)
    assert Match.of(vlan_vid=0x100a) == Match.of(dl_vlan=10)
    assert Match.of(nw_src=1, eth_type=0x800) == Match.of(eth_type=0x800, ip_src=1)
    assert Match.of(xreg0=0x0000000500000006) == Match.of(reg0=5, reg1=6)
    assert Match.of(ip_dscp=4) == Match.of(nw_tos=16)
    assert Match.of(in_port=0xfffe) == Match.of(in_port_oxm=0xfffffffe)


def test_dl_vlan_ffff_means_no_tag_at_all():
    assert Match.of(dl_vlan=0xffff).fields["vlan_tci"] == (0, 0xffff)


def test_dscp_and_ecn_share_a_byte_without_disturbing_each_other():
    match = Match.of(eth_type=0x800, ip_dscp=5, nw_ecn=2)
    assert match.fields["nw_tos"] == (5 << 2 | 2, 0xff)
    assert get(match.fields, INFO["ip_dscp"]) == (5, 0xff)
    assert get(match.fields, INFO["nw_ecn"]) == (2, 0xff)


def test_matching_a_packets_field_means_ethernet():
    assert "packet_type" in Match.of(eth_src=1)
    assert "packet_type" not in Match.of(reg0=1)
    assert Match.of(packet_type=0x10800, nw_src=1).value("packet_type") == 0x10800


def test_covers_and_overlaps():
    wide = Match.of(eth_type=0x800, ip_src=(0x0a000000, 0xff000000))
    narrow = Match.of(eth_type=0x800, ip_src=0x0a010203, nw_proto=6)
    other = Match.of(eth_type=0x800, ip_src=0x0b010203)
    assert wide.covers(narrow) and not narrow.covers(wide)
    assert EMPTY.covers(wide) and wide.overlaps(narrow) and not wide.overlaps(other)
    assert Match.of(nw_proto=6).overlaps(other) and not Match.of(nw_proto=6).covers(other)


@given(st.data())
def test_put_then_get_gives_the_value_back(data):
    info = data.draw(st.sampled_from(PLAIN))
    value = data.draw(st.integers(0, info.significant).filter(
        lambda number: value_is_valid(info, number)))
    if info.name in ("in_port_oxm", "actset_output"):
        value &= 0xfe
    if info.name in ("vlan_pcp", "arp_op", "nw_tos"):
        value &= 0xfc if info.name == "nw_tos" else 0x7
    mask = 0xff if info.name == "ct_state" else info.full     # only eight states are matched
    fields = {}
    put(fields, info, value, mask)
    assert not is_wild(fields, info)
    found, found_mask = get(fields, info)
    assert found == value
    assert found_mask & info.significant == mask & info.significant
    put(fields, info, 0, 0)
    assert is_wild(fields, info)


@given(st.data())
def test_bits_outside_of_the_mask_are_dropped(data):
    info = data.draw(st.sampled_from([info for info in PLAIN if info.maskable]))
    value, mask = (data.draw(st.integers(0, info.significant)) for _ in range(2))
    fields = {}
    put(fields, info, value, mask)
    for found, found_mask in fields.values():
        assert not found & ~found_mask and found_mask
    found, found_mask = get(fields, info)
    assert found == value & found_mask


@pytest.mark.parametrize("info", INFOS, ids=lambda info: info.name)
def test_every_prerequisite_is_known(info):
    assert prerequisites_hold({}, info) == (info.prereq in (Prereq.NONE, Prereq.ETHERNET))


def test_prerequisites():
    tcp = Match.of(eth_type=0x800, nw_proto=6).fields
    assert prerequisites_hold(tcp, INFO["tcp_src"])
    assert not prerequisites_hold(tcp, INFO["udp_src"])
    assert not prerequisites_hold({**tcp, "ip_frag": (3, 3)}, INFO["tcp_src"])
    assert prerequisites_hold(Match.of(packet_type=0x10800).fields, INFO["ip_src"])
    assert not prerequisites_hold(Match.of(packet_type=0x10800).fields, INFO["eth_src"])
    nd = Match.of(eth_type=0x86dd, nw_proto=58, icmpv6_type=135, icmpv6_code=0).fields
    assert prerequisites_hold(nd, INFO["nd_sll"]) and not prerequisites_hold(nd, INFO["nd_tll"])
    assert prerequisites_hold({"ct_state": (0x22, 0x22)}, INFO["ct_nw_src"])
    assert not prerequisites_hold({"ct_state": (0x20, 0x20)}, INFO["ct_nw_src"])
    assert prerequisites_hold({"ct_state": (0x20, 0x30)}, INFO["ct_nw_src"])


def test_normalizing_drops_what_has_no_layer_below():
    assert normalize(Match.of(ip_src=5, tcp_src=80)).fields.keys() == {"packet_type"}
    match = Match.of(eth_type=0x800, nw_proto=17, ip_src=5, udp_src=80, nw_ttl=3)
    assert normalize(match) is match
    arp = Match.of(eth_type=0x806, arp_spa=5, arp_op=1, arp_sha=3, nw_ttl=3)
    assert normalize(arp).fields.keys() == arp.fields.keys() - {"nw_ttl"}


def test_unmapped_tunnel_metadata_is_refused_by_the_switch():
    with pytest.raises(OpenFlowError, match="NXFMFC_INVALID_TLV_FIELD"):
        packed.pack(Match.of(tun_metadata0=5))
    value, mask = packed.pack(Match.of(eth_type=0x800, nw_proto=6, tcp_dst=80))
    assert packed.unpack(value, mask) == Match.of(eth_type=0x800, nw_proto=6, tcp_dst=80)


def test_matches_hash_by_content():
    assert len({Match.of(reg0=1, reg1=2), Match.of(reg1=2, reg0=1), Match.of(reg0=1)}) == 2


def test_dscp_and_ecn_keep_their_bits_when_packed():
    for fields in ({"nw_ecn": 1}, {"ip_dscp": 9}, {"nw_ecn": 2, "ip_dscp": 9}):
        match = Match.of(eth_type=0x800, **fields)
        packed_match = packed.pack(match)
        assert packed.unpack(*packed_match).fields["nw_tos"] == match.fields["nw_tos"]
        assert packed_match != packed.pack(Match.of(eth_type=0x800))
