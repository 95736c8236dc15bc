"""The flow parser of the package `ovs`, ovs.flow, reads what our switch and tools print.

It is what ovs-flowviz and scripts of operators are made of.  It is stricter than a reader: keys
that it does not know are errors.
"""

from importlib.util import find_spec

import pytest

from tests.differential.switches import Switch

pytestmark = pytest.mark.skipif(
    not all(map(find_spec, ("ovs.flow", "netaddr", "pyparsing"))),
    reason="the package ovs is not installed with its extra `flow`")

FLOWS = """\
table=0,priority=100,in_port=1,tcp,nw_src=10.0.0.0/8,tp_dst=0x50/0xfff0,\
actions=ct(table=1,zone=5,nat)
table=0,priority=90,dl_vlan=10,dl_vlan_pcp=3,actions=strip_vlan,output:2
table=0,priority=80,ip6,ipv6_src=fe80::/64,actions=set_field:fe80::1->ipv6_dst,dec_ttl,LOCAL
table=0,priority=70,arp,arp_op=1,arp_tpa=10.0.0.1,actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],\
load:0x2->NXM_OF_ARP_OP[],IN_PORT
table=0,priority=60,reg0=0x1/0xf,metadata=0x5,actions=resubmit(,1),resubmit(2,3),controller
table=0,priority=50,mpls,mpls_label=100,actions=pop_mpls:0x0800,goto_table:3
table=0,priority=40,udp,actions=group:7
table=0,priority=30,sctp,actions=meter:1,controller(max_len=128,reason=action,id=3)
table=0,priority=20,icmp,icmp_type=8,actions=learn(table=2,idle_timeout=10,NXM_OF_ETH_DST[]=\
NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]),flood
table=1,ct_state=+new+trk,ip,actions=ct(commit,zone=NXM_NX_REG1[0..15],\
exec(set_field:0x1->ct_mark)),2
table=1,ct_state=+est+trk,ip,ct_mark=0x1,actions=write_actions(set_field:0x5->reg1,output:1),\
write_metadata:0x1/0xff
table=2,priority=5,conj_id=3,ip,actions=conjunction(5,1/2),note:01.02.03
table=2,priority=4,tun_id=0x10,actions=push_vlan:0x8100,set_field:4106->vlan_vid,set_queue:3,normal
table=3,priority=0,actions=multipath(eth_src,50,modulo_n,4,0,NXM_NX_REG2[0..7]),all
table=3,priority=9,tcp_flags=+syn-ack,tcp,actions=check_pkt_larger(1400)->NXM_NX_REG0[0],exit
table=4,priority=7,nw_tos=16,ip,actions=clone(set_field:0x1->reg0,output:1),2
"""
FRAMES = """\
in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),ipv4(src=10.1.0.2,\
dst=10.0.0.1,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=80),tcp_flags(syn)
in_port(2),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x86dd),ipv6(src=fe80::2,\
dst=fe80::3,label=0,proto=17,tclass=0,hlimit=64,frag=no),udp(src=8,dst=80)
in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0806),arp(sip=1.1.1.1,\
tip=10.0.0.1,op=1,sha=50:54:00:00:00:09,tha=00:00:00:00:00:00)
in_port(2),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x8100),vlan(vid=10,pcp=3),\
encap(eth_type(0x1234))
"""


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    found = Switch(tmp_path_factory.mktemp("flows") / "switch", real=False, our_tools=True)
    (found.directory / "flows").write_text(FLOWS)
    try:
        assert found.run(
            "ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure protocols="
            "OpenFlow10,OpenFlow13,OpenFlow15 "
            "-- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 "
            "-- add-port br0 p2 -- set interface p2 type=dummy ofport_request=2; "
            "ovs-ofctl -OOpenFlow13 add-group br0 group_id=7,type=select,bucket=output:1; "
            "ovs-ofctl -OOpenFlow13 add-meter br0 meter=1,kbps,bands=type=drop,rate=9; "
            "ovs-ofctl -OOpenFlow13 add-flows br0 flows") == ""
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("options", ["-OOpenFlow13", "-OOpenFlow15 --no-names", "-OOpenFlow13 "
                                     "--names", "-OOpenFlow15 --no-stats"])
def test_openflow_flows_are_read(switch, options) -> None:
    from ovs.flow.ofp import OFPFlow
    shown = switch.run(f"ovs-ofctl {options} --rsort dump-flows br0").splitlines()
    assert len(shown) == FLOWS.count("\n"), shown
    for line in shown:
        flow = OFPFlow(line.strip())
        assert ("n_packets" in flow.info) == ("no-stats" not in options)
        assert flow.actions or "drop" in line
    first = OFPFlow(next(line for line in shown if "priority=100," in line).strip())
    assert str(first.match["nw_src"]) == "10.0.0.0/8" and first.match["tcp"] is True
    assert first.actions[0]["ct"]["zone"] == 5


@pytest.mark.parametrize("options", ["", "-m", "--names"])
def test_datapath_flows_are_read(switch, options) -> None:
    from ovs.flow.odp import ODPFlow
    for frame in FRAMES.splitlines():
        name = f"p{frame[8]}"
        assert switch.run(f"ovs-appctl netdev-dummy/receive {name} '{frame}'") == ""
    shown = switch.run(f"ovs-appctl dpctl/dump-flows {options} dummy@ovs-dummy").splitlines()
    flows = [ODPFlow(line) for line in shown if "recirc_id" in line]
    assert len(flows) >= 4
    assert {flow.match["eth_type"].value for flow in flows} >= {0x800, 0x86DD, 0x806}
    assert all(flow.actions for flow in flows)
