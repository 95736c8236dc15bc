"""How megaflows that were translated live: made, refreshed, revalidated, settled, expired.

      p1 --[br0: rules]-- p2, p3, p4
"""

import select

import pytest

from datapath import program
from datapath.match import pack_match
from schema.flow.seam import SEAM
from tests.datapath import frames as f
from tests.datapath.conftest import Switch

UDP = f.fill_checksums(f.ethernet(f.ipv4(f.udp(), 17)))
TCP = f.fill_checksums(f.ethernet(f.ipv4(f.tcp(), 6)))
NORMAL = 0xFFFA
ALL_VLANS = (1 << 4096) - 1


class Bridge(Switch):
    """A switch whose four ports are in one bridge."""

    def __init__(self, face, **settings) -> None:
        super().__init__(face, **settings)
        self.bridge = face.bridge_add(self.dp, {
            "name": "br0", "mac_aging_s": 300, "mac_table_size": 2048, "forward_bpdu": False,
            "mac": "02:00:00:00:00:ff", "flood_vlans": 0})
        numbers = (1, 2, 3, 4)
        face.bridge_ports_set(self.bridge, [
            {"ofp": n, "odp": n, "peer_bridge": 0, "peer_ofp": 0, "config": 0, "is_live": True,
             "bundle": n, "mtu": 1500, "name": f"p{n}"} for n in numbers])
        face.bundles_set(self.bridge, [
            {"id": n, "vlan_mode": "trunk", "vlan": 0, "qinq_tpid": 0x88A8, "protected": False,
             "priority_tags": "never", "bond_mode": None, "active_ofp": 0, "first_member": n - 1,
             "n_members": 1, "trunks": ALL_VLANS, "cvlans": ALL_VLANS} for n in numbers],
            list(numbers))

    def rule(self, port: int | None, priority: int = 10, command: int = SEAM["RULE_ADD"],
             **match: int) -> None:
        """Add a rule that outputs to `port` (None: drops)."""
        from schema.flow.fields import FIELD
        fields = {name: (value, (1 << FIELD[name].bits) - 1) for name, value in match.items()}
        ops = b"" if port is None else program.pack_op("output", port=port, max_len=0)
        version = self.face.version_open(self.dp)
        self.face.rules_stage(version, [self.face.RuleChange(
            self.bridge, command, 0, priority, *pack_match(fields), ops)])
        self.face.version_commit(version)

    def flows(self) -> list[tuple[int, int]]:
        """(packets, used_ms) of the megaflows."""
        return [(flow.n_packets, flow.used_ms) for flow in self.face.flows(self.dp)]

    def counts(self) -> list[tuple[int, int]]:
        """(packets, bytes) of the rules, after settling."""
        self.face.flows_settle(self.dp)
        return [(rule.n_packets, rule.n_bytes) for rule in self.face.rules(self.bridge)]


@pytest.fixture
def bridge(face):
    """A bridge without rules."""
    bridge = Bridge(face)
    yield bridge
    face.datapath_close(bridge.dp)


def test_the_first_frame_makes_a_megaflow_that_has_not_counted_it(bridge):
    bridge.rule(2, in_port_oxm=1)
    assert bridge.send(1, UDP) == [(2, UDP)]
    assert bridge.flows() == [(0, 0)]
    assert bridge.counts() == [(1, len(UDP))]


def test_each_frame_is_counted_once_for_its_rule(bridge):
    bridge.rule(2, in_port_oxm=1)
    bridge.send(1, UDP, UDP, TCP)
    bridge.send(1, TCP)
    assert bridge.counts() == [(4, 2 * len(UDP) + 2 * len(TCP))]
    assert bridge.counts() == [(4, 2 * len(UDP) + 2 * len(TCP))]


def test_no_frame_uses_a_megaflow_from_before_a_change(bridge):
    bridge.rule(2, in_port_oxm=1)
    bridge.send(1, UDP)
    bridge.rule(3, priority=20, nw_proto=17, eth_type=0x0800)
    assert bridge.send(1, UDP) == [(3, UDP)]
    assert bridge.send(1, TCP) == [(2, TCP)]
    bridge.rule(None, priority=20, command=SEAM["RULE_DELETE_STRICT"], nw_proto=17,
                eth_type=0x0800)
    assert bridge.send(1, UDP, TCP) == [(2, UDP), (2, TCP)]


def test_counters_survive_a_refresh(bridge):
    bridge.rule(2, in_port_oxm=1)
    bridge.send(1, UDP)
    bridge.send(1, UDP)
    bridge.rule(4, in_port_oxm=3)
    bridge.send(1, UDP)
    assert sorted(bridge.counts()) == [(0, 0), (3, 3 * len(UDP))]


def test_pause_keeps_megaflows_as_they_are(bridge):
    bridge.rule(2, in_port_oxm=1)
    bridge.send(1, UDP)
    bridge.face.flows_pause(bridge.dp, True)
    bridge.rule(3, priority=20)
    assert bridge.send(1, UDP) == [(2, UDP)]
    bridge.face.flows_pause(bridge.dp, False)
    assert bridge.send(1, UDP) == [(3, UDP)]


def test_revalidation_changes_actions_without_traffic(bridge):
    bridge.rule(2, in_port_oxm=1)
    bridge.send(1, UDP)
    bridge.rule(3, in_port_oxm=1)
    bridge.face.flows_revalidate(bridge.dp)
    flow, = bridge.face.flows(bridge.dp)
    assert int.from_bytes(flow.actions[4:8], "little") == 3


def test_revalidation_deletes_a_flow_whose_mask_is_other(bridge):
    bridge.rule(2, in_port_oxm=1)
    bridge.send(1, UDP)
    bridge.rule(3, priority=20, udp_dst=53, nw_proto=17, eth_type=0x0800)
    bridge.face.flows_revalidate(bridge.dp)
    assert bridge.flows() == []


def test_an_idle_megaflow_expires_and_its_counters_stay(bridge):
    bridge.rule(2, in_port_oxm=1)
    bridge.send(1, UDP, UDP)
    bridge.face.clock(True, 1_009_000)
    bridge.face.pump()
    assert len(bridge.flows()) == 1
    bridge.face.clock(True, 1_010_000)
    assert bridge.face.deadline() <= 1_010_000
    bridge.face.pump()
    assert bridge.flows() == []
    assert bridge.counts() == [(2, 2 * len(UDP))]


def test_a_used_megaflow_stays(bridge):
    bridge.rule(2, in_port_oxm=1)
    for now in range(1_000_000, 1_030_000, 5_000):
        bridge.face.clock(True, now)
        bridge.send(1, UDP)
    assert bridge.flows() == [(5, 1_025_000)]


def test_the_flow_limit_is_kept_and_frames_still_go(face):
    bridge = Bridge(face, flow_limit=2)
    bridge.rule(2, in_port_oxm=1, udp_dst=1, nw_proto=17, eth_type=0x0800)
    bridge.rule(3, priority=5)
    for number in (1, 2, 4, 8, 16):
        frame = f.ethernet(f.ipv4(f.udp(dst=number), 17))
        assert bridge.send(1, frame) == [(2 if number == 1 else 3, frame)]
    assert len(bridge.flows()) == 2
    face.datapath_close(bridge.dp)


def test_without_megaflows_each_flow_has_its_own(face):
    bridge = Bridge(face, flags=0)
    bridge.rule(2, in_port_oxm=1)
    for number in (1, 2, 3, 1):
        bridge.send(1, f.ethernet(f.ipv4(f.udp(dst=number), 17)))
    assert len(bridge.flows()) == 3
    face.flows_revalidate(bridge.dp)
    assert len(bridge.flows()) == 3
    face.datapath_close(bridge.dp)


def test_log_records_tell_of_misses_and_flows(face):
    from datapath.upcall import Queue, take
    flags = SEAM["DP_MEGAFLOWS"] | SEAM["DP_LOG_UPCALLS"] | SEAM["DP_LOG_FLOWS"]
    bridge = Bridge(face, flags=flags)
    bridge.rule(2, in_port_oxm=1)
    bridge.send(1, UDP)
    miss, add = take(Queue.LOG)
    assert (miss.reason, miss.flow) == (SEAM["LOG_MISS"], face.frame_parse(UDP, 1))
    assert add.reason == SEAM["LOG_FLOW_ADD"] and add.data
    face.flows_flush(bridge.dp)
    assert [record.reason for record in take(Queue.LOG)] == [SEAM["LOG_FLOW_DELETE"]]
    face.datapath_close(bridge.dp)


def test_a_learned_mac_changes_the_next_frame(bridge):
    bridge.rule(NORMAL)
    back = f.A + f.B + UDP[12:]
    assert [port for port, _ in bridge.send(1, UDP)] == [2, 3, 4]
    assert bridge.send(2, back) == [(1, back)]
    assert bridge.send(1, UDP) == [(2, UDP)]
    assert bridge.counts() == [(3, 3 * len(UDP))]


def test_a_frame_is_injected_into_the_tables(bridge):
    bridge.rule(3, in_port_oxm=2)
    bridge.face.packets_inject([bridge.face.Injection(
        bridge.dp, bridge.bridge, 2, UDP, b"", through_tables=True)])
    assert bridge.send(1) == [(3, UDP)]
    assert bridge.counts() == [(1, len(UDP))]


def test_a_program_is_run_on_an_injected_frame(bridge):
    ops = program.pack_op("output", port=4, max_len=0)
    bridge.face.packets_inject([bridge.face.Injection(bridge.dp, bridge.bridge, 2, UDP, ops)])
    assert bridge.send(1) == [(4, UDP)]


def test_what_has_no_ethernet_header_reaches_the_tables_but_no_port(bridge):
    bridge.rule(3, in_port_oxm=2)
    bridge.face.packets_inject([bridge.face.Injection(
        bridge.dp, bridge.bridge, 2, UDP[:size], b"", through_tables=True) for size in (13, 14)])
    assert bridge.send(1) == [(3, UDP[:14])]
    assert bridge.counts() == [(2, 27)]


def test_memory_stats_count_what_there_is(bridge):
    before = bridge.face.memory_stats()
    bridge.rule(NORMAL)
    bridge.send(1, UDP)
    after = bridge.face.memory_stats()
    assert after.n_rules - before.n_rules == 1
    assert after.n_megaflows - before.n_megaflows == 1
    assert after.n_macs - before.n_macs == 1
    assert after.n_ports == 4


def test_what_was_deleted_is_freed_in_slices(bridge):
    face = bridge.face
    while face.reclaim(4096):
        pass
    fd = face.reclaim_fd()
    changes = [face.RuleChange(bridge.bridge, SEAM["RULE_ADD"], 0, 1,
                               *pack_match({"metadata": (n, (1 << 64) - 1)}), b"")
               for n in range(1500)]
    version = face.version_open(bridge.dp)
    face.rules_stage(version, changes)
    face.version_commit(version)
    assert not select.select([fd], [], [], 0)[0]
    bridge.rule(None, command=SEAM["RULE_DELETE"])
    assert select.select([fd], [], [], 0)[0], "nobody hears that there is much to free"
    assert sum(freed := list(iter(lambda: face.reclaim(1000), 0))) >= 1500
    assert max(freed) == 1000
    assert not select.select([fd], [], [], 0)[0]


def test_rules_that_leave_others_behind_are_freed_in_slices(bridge):
    face = bridge.face
    while face.reclaim(4096):
        pass
    n_before = face.memory_stats().n_rules
    face.rules_change(bridge.dp, [
        face.RuleChange(bridge.bridge, SEAM["RULE_ADD"], 0, 1,
                        *pack_match({"metadata": (n, (1 << 64) - 1)}), b"", cookie=n % 4)
        for n in range(2000)])
    face.rules_change(bridge.dp, [
        face.RuleChange(bridge.bridge, SEAM["RULE_DELETE"], 0, 0, *pack_match({}),
                        cookie_match=1, cookie_mask=1)])
    freed = list(iter(lambda: face.reclaim(500), 0))
    assert max(freed) == 500
    assert sum(freed) >= 2000, "1,000 rules are taken out of the tables, and then freed"
    assert face.memory_stats().n_rules - n_before == 1000
