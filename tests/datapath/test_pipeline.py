"""The pipeline: flow_mods in versions, NORMAL in each VLAN mode, patch ports, groups, freezing.

                 br0                                  br1
    p1 p2 p3     trunks               pb(8)  p11
    p4           access 10    pa(9) ----'
    p5           access 10
    p6           native-untagged 7, trunks 7,8
"""

import pytest

from datapath import face
from datapath.action_text import format_actions
from schema.flow.seam import SEAM
from tests.vswitchd.twin import Ours
from vswitchd.openflow import packed, source
from vswitchd.openflow.compile import compile_actions
from vswitchd.openflow.text import format_actions as format_of_actions, format_match, parse_flow

MAC = "dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02"


@pytest.fixture
def switch():
    ours = Ours()
    ours.bridge("br0", {"p1": {"ofp": 1}, "p2": {"ofp": 2}, "p3": {"ofp": 3},
                        "p4": {"ofp": 4, "tag": 10}, "p5": {"ofp": 5, "tag": 10},
                        "p6": {"ofp": 6, "tag": 7, "trunks": [7, 8], "mode": "native-untagged"},
                        "pa": {"ofp": 9, "peer": ("br1", "pb")}})
    ours.bridge("br1", {"p11": {"ofp": 11}, "pb": {"ofp": 8, "peer": ("br0", "pa")}})
    yield ours
    ours.close()


def actions(switch: Ours, flow: str, bridge: str = "br0", learn: bool = False) -> str:
    value, _ = packed.pack(parse_flow(f"{flow},actions=drop", "add").match)
    traced = face.trace(switch.dp, value, switch.bridges[bridge], learn=learn)
    return format_actions(traced.actions) or "drop"


def test_normal_floods_within_the_vlan(switch):
    switch.flows("br0", ["actions=normal"])
    assert actions(switch, f"in_port=1,{MAC}") == "100,2,3"
    assert actions(switch, f"in_port=4,{MAC}") == "push_vlan(vid=10,pcp=0),100,1,2,3,pop_vlan,5"
    assert actions(switch, f"in_port=6,{MAC}") == "push_vlan(vid=7,pcp=0),100,1,2,3"
    assert actions(switch, f"in_port=6,dl_vlan=8,{MAC}") == "100,1,2,3"
    assert actions(switch, f"in_port=1,dl_vlan=7,{MAC}") == "100,2,3,pop_vlan,6"
    assert actions(switch, f"in_port=1,dl_vlan=10,{MAC}") == "100,2,3,pop_vlan,4,5"


def test_normal_refuses_vlans_that_a_port_does_not_carry(switch):
    switch.flows("br0", ["actions=normal"])
    assert actions(switch, f"in_port=4,dl_vlan=9,{MAC}") == "drop"
    assert actions(switch, f"in_port=6,dl_vlan=9,{MAC}") == "drop"


def test_normal_learns_forwards_and_does_not_reflect(switch):
    switch.flows("br0", ["actions=normal"])
    actions(switch, f"in_port=2,{MAC}", learn=True)
    assert [(mac.vlan, mac.ofp) for mac in face.macs(switch.bridges["br0"])] == [(0, 2)]
    back = "dl_src=00:00:00:00:00:03,dl_dst=00:00:00:00:00:01"
    assert actions(switch, f"in_port=1,{back}") == "2"
    assert actions(switch, f"in_port=2,{back}") == "drop"
    assert actions(switch, f"in_port=4,{back}") == "push_vlan(vid=10,pcp=0),100,1,2,3,pop_vlan,5"


def test_macs_age_and_move(switch):
    switch.flows("br0", ["actions=normal"])
    bridge = switch.bridges["br0"]
    actions(switch, f"in_port=2,{MAC}", learn=True)
    actions(switch, f"in_port=3,{MAC}", learn=True)
    assert [mac.ofp for mac in face.macs(bridge)] == [3]
    face.clock(True, 1000 + 299_000)
    face.pump()
    assert len(list(face.macs(bridge))) == 1
    face.clock(True, 1000 + 301_000)
    face.pump()
    assert not list(face.macs(bridge))


def test_counts_that_come_late_do_not_move_a_mac_back(switch):
    switch.flows("br0", ["actions=normal"])
    key = ("in_port({}),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),"
           "ipv4(src=1.1.1.1,dst=2.2.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)")
    for port, now in ((2, 2000), (2, 2001), (3, 2002)):
        face.clock(True, now)
        switch.receive(port, key.format(port))
    face.flows_settle(switch.dp)
    face.flows_revalidate(switch.dp)
    assert [mac.ofp for mac in face.macs(switch.bridges["br0"])] == [3]


def test_a_static_mac_stays_where_it_was_put(switch):
    switch.flows("br0", ["actions=normal"])
    bridge = switch.bridges["br0"]
    face.macs_flush(bridge)
    assert actions(switch, f"in_port=1,{MAC}", learn=True) != "drop"
    assert face.mac_stats(bridge).n_learned == 1


def test_reserved_multicast_is_not_forwarded(switch):
    switch.flows("br0", ["actions=normal"])
    assert actions(switch, "in_port=1,dl_src=00:00:00:00:00:01,dl_dst=01:80:c2:00:00:0e") == "drop"


def test_patch_ports_are_crossed_in_one_translation(switch):
    switch.flows("br0", ["in_port=1 actions=9,2", "in_port=9 actions=3"])
    switch.flows("br1", ["in_port=8 actions=set_field:00:00:00:00:00:05->eth_dst,11,in_port"])
    assert actions(switch, f"in_port=1,{MAC}") == (
        "set(eth(dst=00:00:00:00:00:05)),11,3,set(eth(dst=00:00:00:00:00:02)),2")


def test_a_ring_of_resubmits_ends(switch):
    switch.flows("br0", ["actions=resubmit(,0)"])
    assert "over max translation depth 64" in switch.trace("br0", "in_port=1")
    assert switch.trace("br0", "in_port=1").endswith(
        "Translation failed (Recursion too deep), packet is dropped.")


@pytest.mark.parametrize("flow, expected", [
    ("set_field:00:00:00:00:00:05->eth_src,1", "set(eth(src=00:00:00:00:00:05)),1"),
    ("set_field:1.2.3.4->ip_dst,dec_ttl,1", "set(ipv4(dst=1.2.3.4,ttl=63)),1"),
    ("set_field:9->tcp_src,1", "set(tcp(src=9)),1"),
    ("push_vlan:0x8100,set_field:4101->vlan_vid,1,pop_vlan,3",
     "push_vlan(vid=5,pcp=0),1,pop_vlan,3"),
    ("push_mpls:0x8847,1", "push_mpls(label=0,tc=0,ttl=64,bos=1,eth_type=0x8847),1"),
    ("clone(set_field:5->nw_ttl,1),3", "set(ipv4(ttl=5)),1,set(ipv4(ttl=64)),3"),
    ("move:NXM_OF_ETH_DST[]->NXM_OF_ETH_SRC[],1", "set(eth(src=00:00:00:00:00:02)),1"),
    ("push:NXM_OF_IP_DST[],pop:NXM_OF_IP_SRC[],1", "set(ipv4(src=10.0.0.2)),1"),
    ("set_field:3->reg0,output:NXM_NX_REG0[]", "3"),
    ("set_queue:5,1,pop_queue,3", "set(skb_priority(0x5)),1,set(skb_priority(0)),3"),
    ("output(port=1,max_len=100),3", "trunc(100),1,3"),
    ("in_port,2,3,99", "2,3"),
    ("all", "1,3,5,6,100,4"),
    ("write_actions(output:3,set_field:9->nw_ttl),write_metadata:5", "set(ipv4(ttl=9)),3"),
    ("exit,1", "drop"),
    ("check_pkt_larger(100)->reg0[0],1", "check_pkt_len(size=100,gt(1),le(1))"),
    ("1,debug_recirc,3", "1,recirc(0x1)"),
    ("clear_actions", "drop"),
    ("set_field:1->pkt_mark,1", "set(skb_mark(0x1)),1"),
])
def test_ops(switch, flow, expected):
    switch.flows("br0", [f"tcp,in_port=2 actions={flow}"])
    found = actions(switch, f"in_port=2,tcp,{MAC},nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_ttl=64,"
                            "tcp_src=1,tcp_dst=2")
    if flow == "all":
        assert sorted(found.split(",")) == sorted(expected.split(","))
    else:
        assert found == expected


def test_groups(switch):
    switch.group("br0", 1, "all", ["output:1", "set_field:00:00:00:00:00:07->eth_dst,output:2"])
    switch.group("br0", 2, "select", ["output:1", "output:2"])
    switch.group("br0", 3, "indirect", ["output:3"])
    switch.flows("br0", ["in_port=4 actions=group:1", "in_port=5 actions=group:2,group:3"])
    assert actions(switch, f"in_port=4,{MAC}") == "1,set(eth(dst=00:00:00:00:00:07)),2"
    assert actions(switch, f"in_port=5,{MAC}") == "hash(sym_l4(0)),recirc(0x1)"
    assert len(list(face.groups(switch.bridges["br0"]))) == 3


def test_a_flow_with_an_unknown_group_is_refused(switch):
    with pytest.raises(face.RuleError) as info:
        switch.flows("br0", ["actions=group:5"])
    assert info.value.name == "OFPBAC_BAD_OUT_GROUP"


def test_deleting_a_group_deletes_its_flows(switch):
    switch.group("br0", 1, "all", ["output:1"])
    switch.flows("br0", ["in_port=1 actions=group:1", "in_port=2 actions=1"])
    version = face.version_open(switch.dp)
    face.groups_stage(version, [face.GroupChange(switch.bridges["br0"], 2, 0, 1)])
    face.version_commit(version)
    assert len(list(face.rules(switch.bridges["br0"]))) == 1


def count(switch: Ours) -> int:
    return len(list(face.rules(switch.bridges["br0"])))


def test_commands(switch):
    switch.flows("br0", ["in_port=1,cookie=1 actions=1",
                         "priority=40000,in_port=1,tcp,cookie=2 actions=2", "in_port=2 actions=3"])
    switch.flows("br0", ["cookie=5,in_port=1 actions=output:3"], "modify")
    assert actions(switch, f"in_port=1,tcp,{MAC}") == "3"
    switch.flows("br0", ["cookie=6,in_port=1 actions=output:2"], "modify_strict")
    assert actions(switch, f"in_port=1,{MAC}") == "2"
    assert actions(switch, f"in_port=1,tcp,{MAC}") == "3"
    switch.flows("br0", ["cookie=5/-1"], "delete")
    assert count(switch) == 2
    switch.flows("br0", ["in_port=1"], "delete_strict")
    assert count(switch) == 1
    switch.flows("br0", [""], "delete")
    assert count(switch) == 0


def order(switch: Ours) -> list[str]:
    """The rules of br0 as they are told."""
    return [f"{rule.priority},{format_match(packed.unpack(rule.value, rule.mask))}"
            for rule in face.rules(switch.bridges["br0"])]


def test_small_tables_are_told_by_their_masks_and_large_ones_by_age(switch):
    switch.flows("br0", ["priority=3,reg0=1 actions=2", "priority=9,reg1=1 actions=2",
                         "priority=5,reg0=2 actions=2", "priority=9,reg2=1 actions=2"])
    assert order(switch) == ["9,reg1=0x1", "9,reg2=0x1", "3,reg0=0x1", "5,reg0=0x2"]
    switch.flows("br0", ["priority=20,reg0=3 actions=2"])
    assert order(switch)[:3] == ["3,reg0=0x1", "5,reg0=0x2", "20,reg0=0x3"]
    # Two masks of one priority stay as they were to each other.
    switch.flows("br0", ["priority=9,reg0=4 actions=2"])
    switch.flows("br0", ["priority=20,reg0=3"], "delete_strict")
    face.pump()
    face.reclaim(1000)
    assert order(switch) == ["3,reg0=0x1", "5,reg0=0x2", "9,reg0=0x4", "9,reg1=0x1", "9,reg2=0x1"]
    switch.flows("br0", [f"priority=1,in_port={n} actions=2" for n in range(1, 1100)])
    assert order(switch)[:2] == ["3,reg0=0x1", "9,reg1=0x1"]
    assert len(order(switch)) == 1104


def test_an_aborted_version_leaves_no_trace(switch):
    switch.flows("br0", ["in_port=1 actions=2"])
    value, mask = packed.pack(parse_flow("in_port=1,actions=3", "add").match)
    version = face.version_open(switch.dp)
    face.rules_stage(version, [face.RuleChange(switch.bridges["br0"], SEAM["RULE_ADD"], 0, 32768,
                                               value, mask)])
    assert actions(switch, f"in_port=1,{MAC}") == "2"
    face.version_abort(version)
    assert actions(switch, f"in_port=1,{MAC}") == "2" and count(switch) == 1


MANY = 40                       # rules, enough that their table is begun anew without them


def many(output: int, cookie: int = 0) -> list[str]:
    """Flows to 10.0.0.0, 10.0.0.1... and all else, with some masks."""
    return [f"cookie={cookie},priority={n + 1},ip,nw_dst=10.0.0.{n}/{32 - n % 3} "
            f"actions={output}" for n in range(MANY)] + [f"priority=0 actions={output}"]


def changes_of(switch: Ours, lines: list[str], command: int, **settings) -> list:
    """Changes of br0's table 0 that add or delete `lines`, to be staged."""
    found = []
    for line in lines:
        flow = parse_flow(line, "add")
        found.append(face.RuleChange(
            switch.bridges["br0"], command, 0, flow.priority, *packed.pack(flow.match),
            compile_actions(flow.actions), source.pack(flow.actions), **settings))
    return found


def replacement(switch: Ours, output: int) -> list:
    """Changes that delete all rules and add others."""
    return [*changes_of(switch, ["actions=drop"], SEAM["RULE_DELETE"]),
            *changes_of(switch, many(output), SEAM["RULE_ADD"])]


TO_HOST = f"in_port=1,ip,nw_dst=10.0.0.7,{MAC}"


def test_all_rules_are_replaced_in_one_version(switch):
    switch.flows("br0", many(2))
    version = face.version_open(switch.dp)
    face.rules_stage(version, replacement(switch, 3))
    face.rules_stage(version, replacement(switch, 4))
    assert actions(switch, TO_HOST) == "2" and actions(switch, f"in_port=1,{MAC}") == "2"
    face.version_commit(version)
    for _ in range(3):
        assert actions(switch, TO_HOST) == "4" and actions(switch, f"in_port=1,{MAC}") == "4"
        assert count(switch) == MANY + 1
        while face.reclaim(7):
            pass
        switch.flows("br0", many(4))


def test_rules_that_were_to_be_replaced_stay_when_the_version_is_given_up(switch):
    switch.flows("br0", many(2))
    version = face.version_open(switch.dp)
    face.rules_stage(version, replacement(switch, 3))
    face.rules_stage(version, replacement(switch, 4)[:9])
    with pytest.raises(face.RuleError):
        face.rules_stage(version, [*replacement(switch, 5), *changes_of(
            switch, ["actions=group:9"], SEAM["RULE_ADD"])])
    assert actions(switch, TO_HOST) == "2"
    face.version_abort(version)
    while face.reclaim(7):
        pass
    assert actions(switch, TO_HOST) == "2" and count(switch) == MANY + 1
    switch.flows("br0", ["ip,nw_dst=10.0.0.6/32"], "delete")
    assert count(switch) == MANY


def test_a_frame_meets_the_old_rules_or_the_new_ones(switch):
    switch.flows("br0", many(2))
    switch.flows("br0", [""], "delete")
    assert actions(switch, TO_HOST) == "drop" and not count(switch)
    switch.flows("br0", many(3, cookie=5))
    switch.flows("br0", ["cookie=5/-1"], "delete")
    assert actions(switch, TO_HOST) == "3" and count(switch) == 1
    switch.flows("br0", ["cookie=0/-1"], "delete")
    assert actions(switch, TO_HOST) == "drop" and not count(switch)


def test_rules_that_nobody_sees_stay_when_all_others_go(switch):
    bridge = switch.bridges["br0"]
    hidden = [change._replace(priority=70_000 + n) for n, change in enumerate(changes_of(
        switch, ["in_port=4 actions=6", "in_port=4,arp actions=5"], SEAM["RULE_ADD"]))]
    face.rules_change(switch.dp, hidden)
    for _ in range(3):
        switch.flows("br0", many(2))
        switch.flows("br0", [""], "delete")
        while face.reclaim(7):
            pass
        assert not count(switch)
        assert actions(switch, f"in_port=4,{MAC}") == "6"
        assert actions(switch, f"in_port=4,arp,{MAC}") == "5"
        assert actions(switch, TO_HOST) == "drop"
    face.rules_change(switch.dp, [change._replace(command=SEAM["RULE_DELETE_STRICT"])
                                  for change in hidden])
    assert actions(switch, f"in_port=4,{MAC}") == "drop"
    assert face.tables_stats(bridge)[0].n_active == 0


def test_a_batch_with_an_error_changes_nothing(switch):
    with pytest.raises(face.RuleError):
        switch.flows("br0", ["in_port=1 actions=2", "in_port=2 actions=group:9"])
    assert count(switch) == 0


def test_overlap_is_found(switch):
    switch.flows("br0", ["priority=5,in_port=1 actions=2"])
    with pytest.raises(face.RuleError) as info:
        switch.flows("br0", ["check_overlap,priority=5,tcp actions=2"])
    assert info.value.name == "OFPFMFC_OVERLAP"
    switch.flows("br0", ["check_overlap,priority=6,tcp actions=2",
                         "check_overlap,priority=5,in_port=2 actions=2"])


def test_rules_expire_and_are_reported(switch):
    from datapath.upcall import Queue, take
    list(take(Queue.EVENT))
    switch.flows("br0", ["send_flow_rem,hard_timeout=5,in_port=1 actions=2",
                         "idle_timeout=9,in_port=2 actions=2"])
    face.clock(True, 1000 + 5_100)
    face.pump()
    assert count(switch) == 1
    found = [upcall for upcall in take(Queue.EVENT)
             if upcall.kind == SEAM["UPCALL_RULE_REMOVED"]]
    assert [upcall.reason for upcall in found] == [SEAM["RR_HARD_TIMEOUT"]]
    face.clock(True, 1000 + 9_100)
    face.pump()
    assert count(switch) == 0


def test_traffic_keeps_an_idle_rule_alive_and_is_counted(switch):
    switch.flows("br0", ["idle_timeout=9,in_port=2 actions=1"])
    key = ("in_port(2),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),"
           "ipv4(src=1.1.1.1,dst=2.2.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)")
    for second in (1, 8, 15):
        face.clock(True, 1000 + second * 1000)
        switch.receive(2, key)
    assert count(switch) == 1
    face.flows_settle(switch.dp)
    assert next(face.rules(switch.bridges["br0"])).n_packets == 3


def test_frozen_frames_go_on_where_they_were(switch):
    switch.flows("br0", ["in_port=2 actions=set_field:5->reg0,resubmit(,1),3",
                         "table=1 actions=debug_recirc,output:NXM_NX_REG0[],1"])
    key = ("in_port(2),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),"
           "ipv4(src=1.1.1.1,dst=2.2.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)")
    switch.receive(2, key)
    found = switch.dump()
    assert [line.rsplit("actions:", 1)[1] for line in found] == ["recirc(0x1)", "5,1,3"]


def test_what_cannot_be_translated_is_dropped(switch):
    switch.flows("br0", ["in_port=1 actions=2,encap(ethernet),3", "in_port=2 actions=1,decap,3"])
    assert actions(switch, f"in_port=1,{MAC}") == "drop"
    assert actions(switch, f"in_port=2,{MAC}") == "1"   # no Ethernet, and port 3 has nothing else


def test_hashes_choose_among_live_members(switch):
    switch.flows("br0", [
        "in_port=1 actions=bundle(eth_src,0,active_backup,ofport,members:99,3,2)",
        "in_port=2 actions=bundle_load(eth_src,0,hrw,ofport,NXM_NX_REG0[0..15],members:99,3),"
        "output:NXM_NX_REG0[0..15]",
        "in_port=3,ip actions=multipath(symmetric_l3,7,modulo_n,1,0,NXM_NX_REG1[]),"
        "output:NXM_NX_REG1[]",
        "in_port=4 actions=sample(probability=5,collector_set_id=1),1"])
    assert actions(switch, f"in_port=1,{MAC}") == "3"
    assert actions(switch, f"in_port=2,{MAC}") == "3"
    assert actions(switch, "in_port=3,ip,nw_src=1.1.1.1") == "drop"     # to port 0
    assert actions(switch, f"in_port=4,{MAC}") == "1"


def test_table_statistics_count_lookups(switch):
    switch.flows("br0", ["in_port=2,table=0 actions=resubmit(,1)"])
    key = ("in_port(2),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),"
           "ipv4(src=1.1.1.1,dst=2.2.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)")
    switch.receive(2, key)
    face.flows_settle(switch.dp)
    stats = face.tables_stats(switch.bridges["br0"], 2)
    assert [(row.n_active, row.n_lookup, row.n_matched) for row in stats] == [(1, 1, 1), (0, 1, 0)]


def test_equal_frozen_states_share_an_id(switch):
    switch.group("br0", 2, "select", ["output:1", "output:2"])
    switch.flows("br0", ["in_port=3 actions=group:2,output:1"])
    flow = f"in_port=3,tcp,{MAC}"
    assert actions(switch, flow) == "hash(sym_l4(0)),recirc(0x1)"
    assert actions(switch, f"recirc_id=1,{flow}") == "hash(sym_l4(0)),recirc(0x1)"
    found = face.frozen(switch.dp, 1)
    assert found[:3] == (switch.bridges["br0"], 0, 3) and face.frozen(switch.dp, 99) is None


LEARNER = ("priority=9,in_port=2 actions=learn(table=1,hard_timeout=30,cookie=0x7,priority=5,"
           "NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
           "load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15],output:NXM_OF_IN_PORT[]%s),1")


def learned(switch: Ours) -> list[str]:
    return [format_match(packed.unpack(rule.value, rule.mask), None, rule.priority)
            + " " + format_of_actions(source.unpack(rule.source))
            for rule in face.rules(switch.bridges["br0"], 1)]


def test_learn_makes_rules_and_refreshes_them(switch):
    switch.flows("br0", [LEARNER % ""])
    key = ("in_port(2),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),"
           "ipv4(src=1.1.1.1,dst=2.2.2.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1,dst=2)")
    switch.receive(2, key)
    expected = ["priority=5,vlan_tci=0x0000/0x0fff,dl_dst=00:00:00:00:00:01 "
                "load:0x2->NXM_NX_REG0[0..15],output:2"]
    assert learned(switch) == expected
    face.clock(True, 21_000)
    switch.receive(2, key)              # Seen again: the timeout begins anew.
    face.clock(True, 40_000)
    face.pump()
    assert learned(switch) == expected
    face.clock(True, 52_000)
    face.pump()
    assert learned(switch) == []


def test_a_trace_learns_only_when_told(switch):
    switch.flows("br0", [LEARNER % ""])
    actions(switch, f"in_port=2,{MAC}")
    face.pump()
    assert learned(switch) == []
    actions(switch, f"in_port=2,{MAC}", learn=True)
    face.pump()
    assert len(learned(switch)) == 1


def test_learned_rules_go_with_the_last_learner(switch):
    other = (LEARNER % ",delete_learned").replace("in_port=2 ", "in_port=3 ", 1)
    switch.flows("br0", [LEARNER % ",delete_learned", other])
    actions(switch, f"in_port=2,{MAC}", learn=True)
    face.pump()
    switch.flows("br0", ["in_port=2"], "delete")
    assert len(learned(switch)) == 1
    switch.flows("br0", ["in_port=3"], "delete")
    assert learned(switch) == []
