"""ovs-dpctl without a daemon: parsing, normalizing, complaints."""

import pytest

from utilities.dpctl import main

FLOW = ("in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),"
        "ipv4(src=10.1.0.1,dst=10.0.0.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=8,dst=80)")


def test_actions_are_printed_as_they_are_read(capfd):
    assert main(["parse-actions", "1,2,push_vlan(vid=5,pcp=0)", "drop"]) == 0
    assert capfd.readouterr().out == "1,2,push_vlan(vid=5,pcp=0)\ndrop\n"


def test_normal_form_groups_by_tags_and_sorts_outputs(capfd):
    assert main(["normalize-actions", FLOW, "push_vlan(vid=5,pcp=0),3,2,pop_vlan,3"]) == 0
    assert capfd.readouterr().out == (
        f"input flow: {FLOW}\nno vlan: no mpls: 3\nvlan(vid=5,pcp=0): no mpls: 2,3\n")


def test_actions_to_normalize_may_name_ports(capfd):
    assert main(["normalize-actions", FLOW, "p2,br0,3,p1", "br0=100", "p1=1", "p2=2x"]) == 0
    assert capfd.readouterr().out == f"input flow: {FLOW}\nno vlan: no mpls: 1,2,3,100\n"


@pytest.mark.parametrize(("argv", "complaint"), [
    ([], "missing command name; use --help for help"),
    (["foo"], "unknown command 'foo'; use --help for help"),
    (["normalize-actions"], "'normalize-actions' command requires at least 2 arguments"),
    (["normalize-actions", "foo", "1"],
     "odp_flow_key_from_string (syntax error at foo) (Invalid argument)"),
    (["normalize-actions", "foo", "1", "p1=1", "p2"], "p2: expected NAME=NUMBER"),
    (["parse-actions", "zz"], "odp_actions_from_string (Invalid argument)"),
    (["--read-only", "del-flows"], "'del-flows' command does not work in read only mode")])
def test_complaints_are_the_references(argv, complaint, capfd):
    assert main(argv) == 1
    assert capfd.readouterr().err == f"ovs-dpctl: {complaint}\n"
