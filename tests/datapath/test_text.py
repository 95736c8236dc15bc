"""Text of datapath keys and actions: what is printed can be read, and is what the reference prints."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from datapath import text
from datapath.action_text import format_actions, parse_actions
from schema.flow.fields import FLOW, FLOW_SIZE

ETH = "eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07)"
PREFIX = "recirc_id(0),in_port(1),packet_type(ns=0,id=0),"
KEYS = [
    f"{PREFIX}{ETH},eth_type(0x0800),ipv4(src=10.1.0.1/255.0.0.0,dst=10.0.0.2,proto=6,ttl=64,"
    f"frag=no),tcp(dst=80)",
    f"{PREFIX}{ETH},eth_type(0x8100),vlan(vid=9,pcp=2/0x0),encap(eth_type(0x0806))",
    f"{PREFIX}eth_type(0x86dd),ipv6(proto=58,hlimit=64,frag=no)",
    f"{PREFIX}{ETH},eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.3.5,op=1)",
    f"{PREFIX}eth_type(0x0800),ipv4(proto=6,frag=no),tcp(src=8/0xfff8),tcp_flags(+syn-ack)",
    f"ct_state(+est-inv+trk),ct_zone(0x5),{PREFIX}eth_type(0x0800),ipv4(frag=first)",
    f"{PREFIX}eth_type(0x8847),mpls(label=100/0xfffff,tc=0/0,ttl=64/0x0,bos=1/1)",
]


@pytest.mark.parametrize("written", KEYS)
def test_keys_are_printed_as_they_are_read(written):
    key, mask = text.parse_flow(written)
    assert text.format_flow(key, mask) == written
    assert text.unpack(text.pack(mask)) == {name: bits for name, bits in mask.items() if bits}


@pytest.mark.parametrize(("written", "error"), [
    ("zz", "syntax error at zz"), ("in_port(1),foo(1)", "syntax error at foo(1)"),
    ("in_port(1),eth(src=1:2:3)", "syntax error at eth(src=1:2:3)"),
    ("in_port(1", "syntax error at in_port(1"),
    ("eth_type(0x05ff)", "invalid Ethertype 1535 in flow key; the flow key in error is: "
                         "eth_type(0x05ff)")])
def test_errors_are_the_references(written, error):
    with pytest.raises(text.TextError, match="^" + error.replace("(", r"\(").replace(")", r"\)")):
        text.parse_flow(written)


def test_ports_go_by_name_where_names_are_known():
    key, mask = text.parse_flow("in_port(p1),eth_type(0x0800)", {"p1": 7})
    assert key["in_port"] == 7
    assert "in_port(p1)" in text.format_flow(key, mask, {7: "p1"})
    assert format_actions(parse_actions("p1,8", {"p1": 7}), {7: "p1", 8: "a b"}) == 'p1,"a b"'


# Empty userdata is not padded as the 3.1 printer does.
_OWN_WAY = ("userspace(pid=555666777)",)
GOLDEN = Path(__file__).parents[2].parent / "shared" / "golden" / "odp.jsonl"


@pytest.mark.parametrize("written", [
    "drop", "1,2,3", "set(eth(src=00:01:02:03:04:05,dst=10:11:12:13:14:15))",
    "set(ipv4(tos=0x10/0xfc))", "set(udp(src=1))", "set(mpls(label=5,tc=1,ttl=64,bos=1))",
    "set(skb_priority(0x10)),1", "push_vlan(tpid=0x88a8,vid=10,pcp=3),1", "pop_vlan,1",
    "push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x123,si=255,c1=0x1,c2=0x2,c3=0x3,c4=0x4),1",
    "userspace(pid=9765,slow_path(action))", "userspace(pid=9765,slow_path(0))",
    "userspace(pid=6633,ipfix(output_port=7))", "sample(sample=50.0%,actions(1))",
    "hash(l4(0)),recirc(0x7)", "ct", "ct(commit,zone=5)", "ct(commit,mark=0x1/0xff)", "ct(nat)",
    "ct(commit,nat(dst=10.0.0.128-10.0.0.254,hash))",
    "ct(commit,nat(src=[fe80::20]:5000-6000,persistent))", "clone(clone(push_vlan(vid=12,pcp=0),2),1)",
    "meter(5),1", "check_pkt_len(size=200,gt(set(eth(src=00:01:02:03:04:05)),1),le(2))",
    "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),1", "pop_mpls(eth_type=0x800)",
    "dec_ttl(le_1(userspace(pid=0)))", "trunc(100),2", "push_eth(src=00:00:00:00:00:01,"
    "dst=00:00:00:00:00:02),pop_eth", "set(arp(sip=1.2.3.4,op=2))", "set(nd(target=::1))",
    "userspace(pid=0,controller(reason=2,dont_send=1,continuation=0,recirc_id=4,rule_cookie=0,"
    "controller_id=0,max_len=65535))"])
def test_actions_are_printed_as_they_are_read(written):
    assert format_actions(parse_actions(written)) == written


@pytest.mark.skipif(not GOLDEN.exists(), reason="recorded samples are not beside this checkout")
def test_recorded_actions_are_printed_as_the_reference_does():
    rows = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    for row in rows:
        if row["kind"] == "actions" and "out" in row and row["rc"] == 0:
            if not any(part in row["in"] for part in _OWN_WAY):
                assert format_actions(parse_actions(row["in"])) == row["out"]


_ERSPAN = ("tnl_push(tnl_port(4),header(size={},type={},eth(dst=f8:bc:12:44:34:b6,"
           "src=f8:bc:12:46:58:e0,dl_type=0x{}),{},{}),out_port(1))")
_IP4 = "ipv4(src=1.1.2.88,dst=1.1.2.92,proto={},tos=0,ttl=64,frag=0x4000)"
_IP6 = "ipv6(src=2001:cafe::88,dst=2001:cafe::92,label=0,proto={},tclass=0x0,hlimit=64)"


@pytest.mark.parametrize("written", [
    _ERSPAN.format(50, 107, "0800", _IP4.format(47), "erspan(ver=1,sid=0x7,idx=0x3)"),
    _ERSPAN.format(54, 107, "0800", _IP4.format(47), "erspan(ver=2,sid=0x7,dir=1,hwid=0x7)"),
    _ERSPAN.format(70, 108, "86dd", _IP6.format(47), "erspan(ver=1,sid=0x7,idx=0x3)"),
    _ERSPAN.format(50, 110, "0800", _IP4.format(17),
                   "udp(src=0,dst=2152,csum=0x0),gtpu(flags=0x30,msgtype=255,teid=0x7b)"),
    _ERSPAN.format(42, 111, "0800", _IP4.format(17), "udp(src=0,dst=6635,csum=0x0)"),
    _ERSPAN.format(94, 112, "86dd", _IP6.format(43),
                   "srv6(segments_left=1,segs(2001:cafe::90,2001:cafe::92))"),
    "psample(group=12,cookie=1122)", "set(nsh(ttl=63))"])
def test_actions_younger_than_the_installed_reference_are_printed_as_they_are_read(written):
    assert format_actions(parse_actions(written)) == written


@pytest.mark.parametrize("written", ["1,zz", "set(foo(1))", "clone(1", "sample(1)", "ct(nat(x))"])
def test_bad_actions_are_refused(written):
    with pytest.raises(text.TextError):
        parse_actions(written)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abcdefgipv4(),=/0123456789x.:+-|\"", max_size=80))
def test_garbage_only_ever_is_a_text_error(written):
    for parse in (text.parse_flow, parse_actions):
        try:
            parse(written)
        except text.TextError:
            pass


@given(st.dictionaries(st.sampled_from([row.name for row in FLOW if row.size < 4]),
                       st.integers(1, 255)))
def test_a_struct_flow_comes_back(values):
    assert len(text.pack(values)) == FLOW_SIZE and text.unpack(text.pack(values)) == values
