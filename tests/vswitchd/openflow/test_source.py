"""Source actions and packed matches come back as they went in."""

from vswitchd.openflow import packed, source
from vswitchd.openflow.action_types import Clone, Output, SetField, Subfield
from vswitchd.openflow.match import Match
from vswitchd.openflow.text import parse_actions


def test_source_actions_come_back_equal_and_of_their_types():
    actions = (Output(3), Clone((Output(5, 128),)), Subfield("reg0", 0, 16))
    assert source.unpack(source.pack(actions)) == actions
    assert [type(action) for action in source.unpack(source.pack(actions))] == [
        Output, Clone, Subfield]
    assert source.pack(()) == b"" and source.unpack(b"") == ()
    assert SetField in source._CLASSES


def test_options_that_actions_name_are_found():
    for text, numbers in (("output:1", set()), ("set_field:5->tun_metadata3,output:2", {3}),
                          ("clone(move:tun_metadata12[0..7]->tun_metadata3[0..7])", {3, 12}),
                          ("learn(table=1,load:NXM_NX_TUN_METADATA7[0..7]->NXM_NX_REG0[0..7])",
                           {7})):
        assert source.options_in(source.pack(parse_actions(text)[0])) == numbers


def test_packed_match_comes_back_equal():
    for match in (Match(), Match.of(in_port=3, eth_type=0x0800, ip_src=(0x0a000000, 0xff000000)),
                  Match.of(eth_type=0x86dd, ipv6_dst=1 << 127, nw_proto=6, tcp_dst=80,
                           tcp_flags=(2, 2)),
                  Match.of(reg3=7, xreg4=(1 << 40, 0xff << 40), metadata=5, ct_state=(0x21, 0x21)),
                  Match.of(dl_vlan=100, eth_src=0x50540000001), Match.of(vlan_tci=(0, 0xffff)),
                  Match.of(eth_type=0x0806, arp_op=1, arp_spa=0x01020304),
                  Match.of(eth_type=0x8847, mpls_label=17, mpls_bos=1)):
        value, mask = packed.pack(match)
        assert packed.unpack(value, mask) == match
