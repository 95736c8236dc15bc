"""The hidden rules of in-band control."""

from vswitchd.openflow.in_band import flows
from vswitchd.openflow.text import parse_match


def test_without_remotes_there_are_no_rules():
    assert list(flows([], "02:00:00:00:00:01")) == []


def test_rules_per_bridge_address_and_connection():
    rules = list(flows([("10.0.0.1", 6653), ("10.0.0.1", 6640), ("10.0.0.2", 6653)],
                       "02:00:00:00:00:01"))
    assert [priority - 180000 for priority, _ in rules] == [0, 1, 2, 5, 6, 5, 6, 7, 8, 7, 8, 7, 8]
    assert len({parse_match(match)[0] for _, match in rules}) == len(rules)
    assert (180007, "tcp,nw_dst=10.0.0.1,tp_dst=6640") in rules
