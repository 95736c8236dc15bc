"""ofproto/trace: goldens of the real one, and both switches side by side on random tables."""

import random
import re

import pytest

from datapath import face
from datapath.upcall import Queue, take
from schema.flow.fields import FIELD
from schema.flow.seam import SEAM
from tests.vswitchd.twin import HAS_REFERENCE, Ours, Reference
from vswitchd.detrace import format_origin
from vswitchd.openflow import groups, packed
from vswitchd.openflow.action_reader import parse_actions
from vswitchd.openflow.messages.group import Bucket, GroupDesc
from vswitchd.openflow.text import parse_flow
from vswitchd.trace import build_tree, format_complaint, tree_value

needs_reference = pytest.mark.skipif(not HAS_REFERENCE, reason="Debian's Open vSwitch is not here")
PREFIXES = (FIELD["ip_dst"].id, FIELD["ip_src"].id)     # 3.1 has no others by default


@pytest.fixture
def switch():
    ours = Ours()
    ours.bridge("br0", {f"p{number}": {"ofp": number} for number in range(1, 5)})
    ours.group("br0", 1, "select", ["output:1", "output:2"])
    ours.flows("br0", [
        "priority=100,tcp,in_port=1,tp_dst=80 actions=set_field:5->reg0,resubmit(,1)",
        "table=1,ip,reg0=5,nw_src=10.0.0.0/8 actions=set_field:192.168.1.1->ip_dst,"
        "set_field:00:00:00:00:00:05->eth_dst,dec_ttl,output:2,push_vlan:0x8100,"
        "set_field:4196->vlan_vid,output:3",
        "priority=100,ip,in_port=2 actions=ct(table=2,zone=5)",
        "table=2,ip,ct_state=+trk+new actions=ct(commit,zone=5),output:1",
        "table=2,ip,ct_state=+trk+est actions=output:1",
        "priority=90,in_port=3 actions=group:1", "priority=80,arp actions=normal",
        "priority=0 actions=drop"])
    yield ours
    ours.close()


GOLDEN = {
    "in_port=1,tcp,dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02,nw_src=10.1.2.3,"
    "nw_dst=10.0.0.9,nw_ttl=64,tcp_src=1000,tcp_dst=80": """\
Flow: tcp,in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02,\
nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=1000,tp_dst=80,\
tcp_flags=0

bridge("br0")
-------------
 0. tcp,in_port=1,tp_dst=80, priority 100
    set_field:0x5->reg0
    resubmit(,1)
 1. ip,reg0=0x5,nw_src=10.0.0.0/8, priority 32768
    set_field:192.168.1.1->ip_dst
    set_field:00:00:00:00:00:05->eth_dst
    dec_ttl
    output:2
    push_vlan:0x8100
    set_field:4196->vlan_vid
    output:3

Final flow: tcp,reg0=0x5,in_port=1,dl_vlan=100,dl_vlan_pcp=0,vlan_tci1=0x0000,\
dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:05,nw_src=10.1.2.3,nw_dst=192.168.1.1,nw_tos=0,\
nw_ecn=0,nw_ttl=63,nw_frag=no,tp_src=1000,tp_dst=80,tcp_flags=0
Megaflow: recirc_id=0,eth,tcp,in_port=1,dl_dst=00:00:00:00:00:02,nw_src=10.0.0.0/8,\
nw_dst=10.0.0.9,nw_ttl=64,nw_frag=no,tp_dst=80
Datapath actions: set(eth(dst=00:00:00:00:00:05)),set(ipv4(dst=192.168.1.1,ttl=63)),2,\
push_vlan(vid=100,pcp=0),3""",
    "in_port=1,tcp,nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_ttl=64,tcp_dst=22": """\
Flow: tcp,in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,\
nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=0,tp_dst=22,\
tcp_flags=0

bridge("br0")
-------------
 0. priority 0
    drop

Final flow: unchanged
Megaflow: recirc_id=0,eth,tcp,in_port=1,nw_frag=no,tp_dst=0x0/0xffc0
Datapath actions: drop""",
    "in_port=3,udp,nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_ttl=64": """\
Flow: udp,in_port=3,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,\
nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=0,tp_dst=0

bridge("br0")
-------------
 0. in_port=3, priority 90
    group:1
     -> no live bucket

Final flow: unchanged
Megaflow: recirc_id=0,eth,ip,in_port=3,nw_frag=no
Datapath actions: hash(sym_l4(0)),recirc(0x1)""",
    "in_port=2,tcp,nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_ttl=64,tcp_dst=22": """\
Flow: tcp,in_port=2,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,\
nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=0,tp_dst=22,\
tcp_flags=0

bridge("br0")
-------------
 0. ip,in_port=2, priority 100
    ct(table=2,zone=5)
    drop
     -> A clone of the packet is forked to recirculate. The forked pipeline will be resumed at \
table 2.
     -> Sets the packet to an untracked state, and clears all the conntrack fields.

Final flow: unchanged
Megaflow: recirc_id=0,eth,ip,in_port=2,nw_frag=no
Datapath actions: ct(zone=5),recirc(0x1)

===============================================================================
recirc(0x1) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)
===============================================================================

Flow: recirc_id=0x1,ct_state=new|trk,ct_zone=5,eth,tcp,in_port=2,vlan_tci=0x0000,\
dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_tos=0,\
nw_ecn=0,nw_ttl=64,nw_frag=no,tp_src=0,tp_dst=22,tcp_flags=0

bridge("br0")
-------------
    thaw
        Resuming from table 2
 2. ct_state=+new+trk,ip, priority 32768
    ct(commit,zone=5)
    drop
     -> Sets the packet to an untracked state, and clears all the conntrack fields.
    output:1

Final flow: recirc_id=0x1,eth,tcp,in_port=2,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,\
dl_dst=00:00:00:00:00:00,nw_src=10.1.2.3,nw_dst=10.0.0.9,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,\
tp_src=0,tp_dst=22,tcp_flags=0
Megaflow: recirc_id=0x1,ct_state=+new+trk,eth,ip,in_port=2,nw_frag=no
Datapath actions: ct(commit,zone=5),1""",
}


def texts(lines: list[dict]):
    """The texts of a tree, from top to bottom."""
    for line in lines:
        yield line["text"]
        yield from texts(line.get("below", []))


@pytest.mark.parametrize("flow", GOLDEN)
def test_values_say_what_the_text_says(switch, flow):
    text, translations = switch.account("br0", flow)
    at = 0
    for value in translations:
        for name in ("flow", "tree", "final-flow", "megaflow", "datapath-actions"):
            for said in texts(value[name]) if name == "tree" else (value[name],):
                at = text.index(said.strip(), at)
    assert len(translations) == text.count("Datapath actions: ")


@pytest.mark.parametrize("flow", GOLDEN)
def test_golden(switch, flow):
    assert switch.trace("br0", flow) == GOLDEN[flow]


def test_a_megaflow_leads_back_to_its_rules_and_groups(switch, monkeypatch):
    buckets = tuple(Bucket(number, parse_actions(f"output:{number + 1}")[0]) for number in (0, 1))
    monkeypatch.setattr(groups, "find", lambda bridge, number: GroupDesc(number, 0, buckets))
    switch.group("br0", 2, "all", ["output:1", "output:2"])
    switch.flows("br0", ["cookie=0x7,priority=95,in_port=4,udp actions=resubmit(,3)",
                         "table=3 actions=group:2"])
    value, _ = packed.pack(parse_flow("in_port=4,udp,actions=drop", "add").match)
    traced = face.trace(switch.dp, value, switch.bridges["br0"])
    assert format_origin(traced.events).splitlines() == [
        "cookie=0x7, table=0, priority=95,udp,in_port=4, actions=resubmit(,3)",
        "cookie=0x0, table=3, actions=group:2",
        "group_id=2,type=all,bucket=bucket_id:0,actions=output:1,bucket=bucket_id:1,"
        "actions=output:2"]


def test_an_expired_ttl_goes_to_the_controller(switch):
    text = switch.trace("br0", "in_port=1,tcp,nw_src=10.1.2.3,nw_ttl=1,tcp_dst=80")
    assert "    dec_ttl\n     >> IPv4 decrement TTL exception\n\nFinal flow: " in text
    assert text.endswith(
        "set(ipv4(dst=192.168.1.1)),userspace(pid=0,controller(reason=2,dont_send=1,"
        "continuation=0,recirc_id=1,rule_cookie=0,controller_id=0,max_len=65535))")


def test_generate_learns(switch):
    flow = "in_port=4,arp,dl_src=00:00:00:00:00:07,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1"
    assert "learned that" not in switch.trace("br0", flow)
    assert "     -> learned that 00:00:00:00:00:07 is on port p4 in VLAN 0\n" in switch.trace(
        "br0", flow, generate=True)
    assert "learned that" not in switch.trace("br0", flow, generate=True)


def test_learn_tells_what_it_would_make(switch):
    switch.flows("br0", ["priority=200,in_port=4 actions=learn(table=1,hard_timeout=30,cookie=0x7,"
                         "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0->NXM_NX_REG0[0..15],"
                         "output:NXM_OF_IN_PORT[])"])
    flow = "in_port=4,dl_src=00:00:00:00:00:01"
    assert "     >> suppressing side effects, so learn action ignored\n" in switch.trace("br0",
                                                                                       flow)
    assert ("     -> table=1 dl_dst=00:00:00:00:00:01 priority=32768 cookie=0x7 hard=30 "
            "actions=load:0->NXM_NX_REG0[0..15],output:4\n") in switch.trace("br0", flow, True)


def test_an_unknown_recirculation_id_is_an_error(switch):
    assert switch.trace("br0", "recirc_id=9,in_port=2").endswith(
        "     >>>> Recirculation context not found for ID 9 <<<<\n\nFinal flow: unchanged\n"
        "Megaflow: recirc_id=0x9,eth,in_port=2,dl_type=0x0000\nDatapath actions: drop\n"
        "Translation failed (No recirculation context), packet is dropped.")


def test_the_tree_as_plain_values(switch):
    value, _ = packed.pack(parse_flow("in_port=2,ip,actions=drop", "add").match)
    traced = face.trace(switch.dp, value, switch.bridges["br0"])
    tree = tree_value(build_tree(traced.events, switch.names()))
    assert tree[0]["text"] == 'bridge("br0")'
    assert tree[0]["below"][0]["kind"] == "table"
    assert tree[0]["below"][0]["below"][0] == {"node": "action", "kind": "action",
                                               "text": "ct(table=2,zone=5)"}


# Side by side.

_ADDRESSES = tuple(f"10.{a}.{b}.{c}" for a in (0, 1, 128) for b in (0, 3) for c in (1, 2, 200))
_ADDRESSES6 = ("fe80::1", "fe80::2", "2001:db8::1", "2001:db8:1::5")
_PORTS = (1, 2, 22, 80, 81, 443, 1000, 1024, 65535)


class Maker:
    """Random flows and packets of texts, made of few values so that they meet."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def pick(self, *choices):
        return self.rng.choice(choices)

    def chance(self, part: float) -> bool:
        return self.rng.random() < part

    def mac(self) -> str:
        return f"00:00:00:00:00:0{self.rng.randint(1, 4)}"

    def match(self) -> tuple[list[str], str]:
        found = []
        if self.chance(.4):
            found.append(f"in_port={self.pick(1, 2, 3)}")
        if self.chance(.2):
            found.append(f"dl_src={self.mac()}{self.pick('', '/ff:ff:00:00:00:03')}")
        if self.chance(.2):
            found.append(f"dl_dst={self.mac()}{self.pick('', '/01:00:00:00:00:00')}")
        if self.chance(.15):
            found.append(self.pick("dl_vlan=5", "dl_vlan=6", "vlan_tci=0x1000/0x1000"))
        if self.chance(.15):
            found.append(f"reg0={self.pick(0, 1, 5)}")
        l3 = self.pick("ip", "tcp", "udp", "tcp", "udp", "icmp", "arp", "ipv6", "tcp6", "", "")
        if l3:
            found.append(l3)
        if l3 in ("ip", "tcp", "udp", "icmp"):
            if self.chance(.5):
                found.append(f"nw_src={self.rng.choice(_ADDRESSES)}"
                             f"{self.pick('', '/8', '/16', '/24', '/12', '/0.0.0.255')}")
            if self.chance(.5):
                found.append(f"nw_dst={self.rng.choice(_ADDRESSES)}"
                             f"{self.pick('', '/8', '/16', '/30')}")
        if l3 in ("tcp", "udp", "tcp6") and self.chance(.5):
            found.append(f"tp_dst={self.rng.choice(_PORTS)}{self.pick('', '', '/0xfff0', '/1')}")
        if l3 == "arp" and self.chance(.5):
            found.append("arp_op=1")
        if l3 in ("ipv6", "tcp6") and self.chance(.6):
            found.append(f"ipv6_dst={self.rng.choice(_ADDRESSES6)}{self.pick('', '/64', '/16')}")
        return found, l3

    def actions(self, l3: str, table: int, has_vlan: bool) -> str:
        found = []
        for _ in range(self.rng.randint(0, 4)):
            choices = [f"output:{self.pick(1, 2, 3)}", f"set_field:{self.pick(0, 5)}->reg0",
                       f"set_field:{self.mac()}->eth_{self.pick('src', 'dst')}",
                       "normal",
                       "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
                       "push:NXM_OF_ETH_DST[],pop:NXM_OF_ETH_SRC[]"]
            if l3 in ("ip", "tcp", "udp", "icmp"):
                choices += [f"set_field:{self.rng.choice(_ADDRESSES)}->ip_dst", "dec_ttl",
                            "set_field:8->ip_dscp"]
            if l3 in ("tcp", "udp"):
                choices.append(f"set_field:{self.rng.choice(_PORTS)}->{l3}_dst")
            if table < 3:
                choices += [f"resubmit(,{self.rng.randint(table + 1, 3)})"] * 3
            if not any("push_vlan" in action for action in found):
                choices.append("push_vlan:0x8100,set_field:4101->vlan_vid")
                choices += ["pop_vlan"] * has_vlan
            found.append(self.rng.choice(choices))
            has_vlan = has_vlan and found[-1] != "pop_vlan"
        if table < 3 and self.chance(.3):
            found.append(f"goto_table:{self.rng.randint(table + 1, 3)}")
        elif self.chance(.1):
            found.append(f"write_actions(output:{self.pick(1, 2, 3)})")
        return ",".join(found) or "drop"

    def flow(self) -> str:
        table = self.pick(0, 0, 0, 1, 2, 3)
        match, l3 = self.match()
        has_vlan = any(part.startswith(("dl_vlan=", "vlan_tci")) for part in match)
        return (f"table={table},priority={self.pick(1, 2, 3, 10, 100)},"
                + "".join(part + "," for part in match)
                + f"actions={self.actions(l3, table, has_vlan)}")

    def packet(self) -> str:
        l3 = self.pick("tcp", "udp", "icmp", "arp", "tcp6", "", "tcp", "udp")
        found = [f"in_port={self.pick(1, 2, 3)},dl_src={self.mac()},dl_dst={self.mac()}"]
        if self.chance(.3):
            found.append(f"dl_vlan={self.pick(5, 6, 7)},dl_vlan_pcp={self.pick(0, 3)}")
        if l3:
            found.append(l3)
        if l3 in ("tcp", "udp", "icmp"):
            found.append(f"nw_src={self.rng.choice(_ADDRESSES)},"
                         f"nw_dst={self.rng.choice(_ADDRESSES)},nw_ttl={self.pick(1, 64, 64)}")
        if l3 == "tcp6":
            found.append(f"ipv6_dst={self.rng.choice(_ADDRESSES6)},nw_ttl=64")
        if l3 in ("tcp", "udp", "tcp6"):
            found.append(f"{l3[:3]}_src={self.rng.choice(_PORTS)},"
                         f"{l3[:3]}_dst={self.rng.choice(_PORTS)}")
        if l3 == "arp":
            found.append(f"arp_op=1,arp_tpa={self.rng.choice(_ADDRESSES)}")
        return ",".join(found)


class WideMaker(Maker):
    """More of everything: what changes headers, freezes, clones, tells controllers."""

    def match(self) -> tuple[list[str], str]:
        found, l3 = super().match()
        if self.chance(.1):
            found.append(self.pick("metadata=1", "metadata=0/0xf0", "pkt_mark=5", "pkt_mark=0/0xff",
                                   "ct_state=-trk", "ct_mark=0", "reg1=2", "tun_id=5/0xff"))
        if l3 in ("ip", "tcp", "udp", "icmp", "ipv6", "tcp6") and self.chance(.3):
            found.append(self.pick("ip_dscp=8", "nw_ttl=64", "nw_ecn=0", "ip_frag=no",
                                   "ip_frag=later", "ip_frag=not_later", "ip_dscp=0"))
        if l3 in ("tcp", "tcp6") and self.chance(.2):
            found.append(self.pick("tcp_flags=+syn", "tcp_flags=0/0xfff", "tp_src=80"))
        if l3 == "icmp" and self.chance(.5):
            found.append(self.pick("icmp_type=8", "icmp_code=0"))
        return found, l3

    def nested(self, l3: str) -> str:
        """What a clone may hold."""
        choices = [f"output:{self.pick(1, 2, 3)}", f"set_field:{self.mac()}->eth_dst",
                   "set_field:7->reg2", "resubmit(,3)", "controller", "push_vlan:0x8100,output:1",
                   "ct_clear"]
        if l3 in ("ip", "tcp", "udp", "icmp"):
            choices += ["dec_ttl", "set_field:1.1.1.1->ip_src", "ct(commit,zone=2)",
                        "encap(nsh),encap(ethernet),output:2", "ct(table=3)"]
        return ",".join(self.rng.sample(choices, self.rng.randint(1, 3)))

    def extra(self, l3: str, table: int) -> str:
        """One more action."""
        choices = [
            "set_field:1->metadata", f"set_field:{self.pick(0, 5)}->pkt_mark", "set_field:2->reg1",
            "load:3->NXM_NX_REG1[0..7]", "set_field:5->tun_id", "output:NXM_NX_REG1[0..15]",
            "controller(max_len=20,reason=no_match)", "controller(userdata=01.02,id=0)", "controller",
            "note:01.02", "set_queue:3", "set_queue:1,output:2,pop_queue", "pop_queue", "output(port=2,max_len=100)",
            "debug_slow", "debug_recirc", f"clone({self.nested(l3)})", f"clone({self.nested(l3)})",
            "group:1", "group:2", "group:3", "group:4", "check_pkt_larger(100)->NXM_NX_REG0[3]",
            "learn(table=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])", "in_port",
            "flood", "all", "push:NXM_NX_REG0[],push:NXM_OF_IN_PORT[],pop:NXM_NX_REG1[0..15]",
            "bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG1[0..15],members:9,2)",
            "sample(probability=1000,collector_set_id=1)", "controller(pause)"]
        if self.chance(.05):
            choices = ["exit"]
        if l3 in ("ip", "tcp", "udp", "icmp"):
            choices += ["ct(commit,zone=3,exec(set_field:1->ct_mark))", f"ct(table={self.pick(2, 3)},zone=1)",
                        "ct(commit,nat(src=10.0.0.1-10.0.0.9:5-7),table=3)", "ct_clear", "set_field:3->nw_ecn",
                        "set_field:9->nw_ttl", "ct(nat,zone=NXM_NX_REG0[0..15],table=2)"]
        if l3 in ("tcp", "tcp6"):
            choices.append("fin_timeout(idle_timeout=2)")
        if l3 in ("ipv6", "tcp6"):
            choices += ["set_field:fe80::9->ipv6_src", "set_field:3->ipv6_label", "dec_ttl",
                        "set_field:2->ip_dscp"]
        if l3 == "arp":
            choices += ["set_field:2->arp_op", "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]",
                        "set_field:00:00:00:00:00:01->arp_sha"]
        if l3 == "icmp":
            choices.append("set_field:3->icmp_type")
        return self.rng.choice(choices)

    def tail(self, l3: str) -> str:
        """What changes the kind of packet, at the end of a list."""
        choices = ["push_mpls:0x8847,set_field:9->mpls_label,output:1,push_mpls:0x8847,dec_mpls_ttl,output:2",
                   "push_vlan:0x88a8,set_field:4102->vlan_vid,push_vlan:0x8100,output:3,pop_vlan,output:2"]
        if l3 in ("ip", "tcp", "udp", "icmp"):
            choices += ["push_mpls:0x8847,pop_mpls:0x0800,dec_ttl,output:2",
                        "push_mpls:0x8847,output:1,pop_mpls:0x0800,output:2",
                        "encap(nsh(md_type=1)),set_field:2->nsh_spi,encap(ethernet),output:2",
                        "decap,encap(ethernet),set_field:00:00:00:00:00:03->eth_dst,output:1",
                        "encap(mpls),set_field:5->mpls_label,encap(ethernet),output:3",
                        "decap,output:2", "encap(nsh),resubmit(,3)"]
        return self.rng.choice(choices)

    def actions(self, l3: str, table: int, has_vlan: bool) -> str:
        text = super().actions(l3, table, has_vlan)
        found = [] if text == "drop" else re.split(r",(?![^(]*\))", text)
        ends = [action for action in found if action.startswith(("goto_table", "write_actions"))]
        found = [action for action in found if action not in ends]
        for _ in range(self.rng.randint(0, 2)):
            found.insert(self.rng.randint(0, len(found)), self.extra(l3, table))
        if self.chance(.15):
            found.append(self.tail(l3))
        if self.chance(.15):
            ends.insert(0, "clear_actions")
        if self.chance(.15) and not any("write_actions" in end for end in ends):
            ends.insert(len(ends) - any("goto" in end for end in ends), "write_actions(" + ",".join(
                self.rng.sample([f"output:{self.pick(1, 2, 3)}", "group:1", "push_vlan:0x8100",
                                 f"set_field:{self.mac()}->eth_src", "set_field:4->reg3",
                                 "set_queue:4"], self.rng.randint(1, 3))) + ")")
        return ",".join(found + ends) or "drop"

    def packet(self) -> str:
        if self.chance(.1):
            return ("in_port=1,mpls,mpls_label=5,mpls_ttl=64,mpls_bos=1," if self.chance(.5) else
                    "in_port=2,ip,nw_proto=6,nw_frag=later,") + f"dl_src={self.mac()}"
        text = super().packet()
        if self.chance(.2):
            text += self.pick(",pkt_mark=5", ",metadata=1", ",reg0=5", ",tun_id=5")
        return text


@pytest.fixture(scope="module")
def reference():
    real = Reference()
    yield real
    real.close()


def normalize(text: str) -> str:
    """Without recirculation ids, which count on."""
    return re.sub(r"recirc_id=\d+,rule|recirc\(0x[0-9a-f]+\)|recirc_id=0x[0-9a-f]+", "", text)


GROUPS = ((1, "all", ["output:1", "set_field:00:00:00:00:00:09->eth_dst,output:2"]),
          (2, "select", ["output:1", "output:2"]), (3, "indirect", ["resubmit(,3)"]),
          (4, "all", ["output:3", "push_vlan:0x8100,resubmit(,2)"]))


@needs_reference
@pytest.mark.differential
@pytest.mark.parametrize("kind, seed", [(Maker, 0), (Maker, 1), (WideMaker, 2), (WideMaker, 3),
                                        (WideMaker, 4)])
def test_random_tables_are_traced_alike(reference, kind, seed):
    maker = kind(seed)
    name = f"br{seed}"
    ports = {f"p{seed}{number}": {"ofp": number} for number in (1, 2, 3)}
    flows = [maker.flow() for _ in range(90)]
    reference.bridge(name, ports)
    ours = Ours()
    try:
        numbers = {port: 10 * seed + row["ofp"] for port, row in ports.items()}
        ours.bridge(name, {port: {**row, "odp": numbers[port]} for port, row in ports.items()})
        for switch in (reference, ours):
            for group in GROUPS:
                switch.group(name, *group)
        for table in range(4):
            face.table_set(ours.bridges[name], table, prefixes=PREFIXES)
        if kind is Maker:
            reference.run("ovs-ofctl", "-O", "OpenFlow13", "add-flows", name, "-",
                          text="\n".join(flows))
        else:
            flows = [flow for flow in flows if is_taken(reference, name, flow)]
        for flow in flows:
            ours.flows(name, [flow])
        for packet in [maker.packet() for _ in range(60)]:
            assert normalize(ours.trace(name, packet)) == normalize(reference.trace(name, packet))
    finally:
        ours.close()


def is_taken(reference: Reference, name: str, flow: str) -> bool:
    """Whether the real switch takes a flow: some are wrong by chance."""
    try:
        reference.run("ovs-ofctl", "-O", "OpenFlow13", "add-flow", name, flow)
    except AssertionError:
        return False
    return True


VLANS = {"p1": {"ofp": 1}, "p2": {"ofp": 2}, "p4": {"ofp": 4, "tag": 7, "trunks": [7, 8],
                                                    "mode": "native-untagged"},
         "p5": {"ofp": 5, "tag": 8}, "p6": {"ofp": 6, "trunks": [5, 9]},
         "p7": {"ofp": 7, "tag": 9, "mode": "native-tagged"},
         "pa": {"ofp": 9, "peer": ("br9", "pb")}}


@needs_reference
@pytest.mark.differential
def test_normal_and_patches_are_traced_alike():
    real, ours = Reference(), Ours()
    try:
        for switch in (real, ours):
            switch.bridge("br8", {name: dict(row) for name, row in VLANS.items()})
            switch.bridge("br9", {"p11": {"ofp": 11}, "pb": {"ofp": 8, "peer": ("br8", "pa")}})
            switch.group("br8", 1, "all", ["output:1",
                                           "set_field:00:00:00:00:00:07->eth_dst,output:2"])
            switch.group("br8", 2, "select", ["output:1", "output:2"])
            switch.flows("br8", [
                "priority=9,in_port=20 actions=resubmit(,1),output:2,resubmit(,2),output:3",
                "table=1 actions=normal,set_field:5->reg0",
                "table=2 actions=resubmit(,3),resubmit(,3)", "table=3 actions=output:4",
                "priority=9,in_port=21,cookie=0x5 actions=group:1,2",
                "priority=9,in_port=22 actions=group:2,1",
                "priority=9,in_port=23 actions=flood,all",
                "priority=9,in_port=24 actions=resubmit(,4)", "table=4 actions=resubmit(,4)",
                "priority=9,in_port=25,tcp actions=ct(table=3,zone=1),resubmit(,3)",
                "priority=9,in_port=26,mpls actions=dec_mpls_ttl,output:1,pop_mpls:0x8847,output:2",
                "priority=9,in_port=27,ip actions=push_mpls:0x8847,set_field:9->mpls_label,1",
                "priority=9,in_port=28 actions=controller,clone(push_vlan:0x8100,1),output:2",
                "priority=0 actions=normal"])
            switch.flows("br9", ["actions=normal"])
        macs = "dl_src=00:00:00:00:00:0{},dl_dst=00:00:00:00:00:0{}"
        flows = [f"in_port={port},{vlan}{macs.format(port, port % 5)}"
                 for port in (1, 4, 5, 6, 7, 9) for vlan in ("", "dl_vlan=7,", "dl_vlan=8,",
                                                             "dl_vlan=9,dl_vlan_pcp=3,")]
        flows += [f"in_port={port},{kind}" for port, kind in (
            (20, "ip"), (21, "tcp"), (22, "udp"), (23, "arp"), (24, "ip"), (25, "tcp"),
            (26, "mpls,mpls_ttl=5,mpls_bos=1"),
            (27, "udp,nw_ttl=5,udp_src=1"), (28, "udp"), (77, "ip"))]
        for flow in flows:
            assert normalize(ours.trace("br8", flow)) == normalize(real.trace("br8", flow))
    finally:
        real.close()
        ours.close()


def test_a_packet_that_loops_is_complained_about(switch):
    list(take(Queue.LOG))
    switch.flows("br0", ["priority=200,in_port=4 actions=resubmit(,0)"])
    switch.receive(4, "in_port(4),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),"
                      "eth_type(0x0800),ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,tos=0,ttl=64,"
                      "frag=no),icmp(type=8,code=0)")
    found, = [upcall for upcall in take(Queue.LOG) if upcall.reason == SEAM["LOG_TRANSLATE"]]
    assert format_complaint(found.data, found.flow, found.bridge, switch.names()) == (
        "over max translation depth 64 on bridge br0 while processing icmp,in_port=4,"
        "vlan_tci=0x0000,dl_src=50:54:00:00:00:09,dl_dst=50:54:00:00:00:0a,nw_src=192.168.0.1,"
        "nw_dst=192.168.0.2,nw_tos=0,nw_ecn=0,nw_ttl=64,nw_frag=no,icmp_type=8,icmp_code=0")
