"""Compiled actions can be said again in actions that compile to the same."""

import pytest

from vswitchd.openflow.compile import compile_actions
from vswitchd.openflow.decompile import decompile
from vswitchd.openflow.text import parse_actions, parse_flow

ACTIONS = (
    "1,output(port=2,max_len=100),output:NXM_NX_REG1[0..15],controller(max_len=9,reason=no_match,id=3)",
    "controller(userdata=01.02.03,pause,meter_id=4),enqueue:1:2,set_queue:3,pop_queue,group:7",
    "set_field:10.0.0.1->ip_src,load:5->NXM_NX_REG3[4..9],set_field:1/1->reg2,mod_vlan_vid:5",
    "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],push:NXM_NX_REG0[],pop:NXM_NX_REG1[0..7],mod_vlan_pcp:2",
    "push_vlan:0x88a8,strip_vlan,push_mpls:0x8847,dec_mpls_ttl,pop_mpls:0x0800",
    "dec_ttl,dec_ttl(1,2),resubmit(3,4),resubmit(,5,ct)", "conjunction(1,2/3)",
    "learn(table=3,idle_timeout=4,priority=5,cookie=6,limit=9,delete_learned,eth_type=0x800,nw_proto=6,"
    "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:3->NXM_NX_REG1[0..7],output:NXM_OF_IN_PORT[])",
    "ct(commit,zone=NXM_NX_REG0[0..15],nat(src=10.0.0.1-10.0.0.9:5-7,random),exec(set_field:1->ct_mark)),ct_clear",
    "ct(table=4,alg=ftp,nat),clone(set_field:1->reg1,output:3),exit,fin_timeout(idle_timeout=3,hard_timeout=4)",
    "sample(probability=3,collector_set_id=4,obs_domain_id=5,obs_point_id=NXM_NX_REG1[],sampling_port=6,egress)",
    "bundle(eth_src,5,hrw,ofport,members:1,2),bundle_load(eth_src,5,active_backup,ofport,NXM_NX_REG0[],members:4,8)",
    "multipath(symmetric_l4,50,modulo_n,4,0,NXM_NX_REG0[]),check_pkt_larger(9)->NXM_NX_REG0[2]",
    "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),encap(ethernet),decap,decap(packet_type(ns=1,type=0x800))",
    "dec_nsh_ttl,note:01,debug_recirc,debug_slow")


@pytest.mark.parametrize("text", ACTIONS)
def test_compiled_actions_say_what_they_do(text):
    ops = compile_actions(parse_actions(text)[0])
    again = compile_actions(decompile(ops))
    assert again == ops


def test_instructions_too():
    ops = compile_actions(parse_flow("actions=meter:4,clear_actions,write_actions(output:3,group:2),"
                                     "write_metadata:5/7,goto_table:9", "add").actions)
    assert compile_actions(decompile(ops)) == ops
