"""ovs-vswitchd answers ovs-appctl as the reference did, over the wire and with our own tools.

`data/traces.txt` and `data/shown.txt` have, below a line `### COMMAND` each, what ovs-appctl
printed when the reference's switch was set up as `SETUP` does; `test_trace.py` asks the library
alone. What differs on purpose is in docs/compatibility.md and not in the files.
"""

import re
import shlex
from pathlib import Path

import pytest

from tests.differential.switches import Switch

SETUP = r"""
ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure \
    protocols=OpenFlow10,OpenFlow13,OpenFlow15
for n in 1 2 3 4; do
    ovs-vsctl add-port br0 p$n -- set interface p$n type=dummy ofport_request=$n
done
ovs-ofctl -O OpenFlow13 add-group br0 group_id=1,type=select,bucket=output:1,bucket=output:2
ovs-ofctl -O OpenFlow13 add-flows br0 - <<END
priority=100,tcp,in_port=1,tp_dst=80 actions=set_field:5->reg0,resubmit(,1)
table=1,ip,reg0=5,nw_src=10.0.0.0/8 actions=set_field:192.168.1.1->ip_dst, \
set_field:00:00:00:00:00:05->eth_dst,dec_ttl,output:2,push_vlan:0x8100, \
set_field:4196->vlan_vid,output:3
priority=100,ip,in_port=2 actions=ct(table=2,zone=5)
table=2,ip,ct_state=+trk+new actions=ct(commit,zone=5),output:1
table=2,ip,ct_state=+trk+est actions=output:1
priority=90,in_port=3 actions=group:1
priority=80,arp actions=normal
priority=0 actions=drop
END
"""


def samples(name: str) -> list[tuple[str, str]]:
    """[(command, what it printed)] of a file of samples."""
    text = (Path(__file__).parent / "data" / name).read_text()
    return re.findall(r"(?ms)^### ([^\n]*)\n(.*?)(?=^### |\Z)", text)


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    ours = Switch(tmp_path_factory.mktemp("samples") / "ours", real=False, our_tools=True)
    try:
        assert ours.run(SETUP) == ""
        yield ours
    finally:
        ours.close()


def asked(switch: Switch, command: str) -> str:
    """What ovs-appctl prints about a command, on both standard files."""
    line = f"ovs-appctl {shlex.join(shlex.split(command))}; true"
    return re.sub(r"duration=\d+s", "duration=0s", switch.run(line))


def test_traces(switch):
    rows = samples("traces.txt")
    assert len(rows) == 8
    for command, expected in rows:           # in their order: recirculation ids count on
        assert asked(switch, command) == expected, command


def test_shown(switch):
    learning, = (command for command, _ in samples("traces.txt") if command.endswith("-generate"))
    asked(switch, learning)
    rows = samples("shown.txt")
    assert len(rows) == 7
    for command, expected in rows:
        found = asked(switch, command).replace("psample action: Yes\n", "")    # 3.1 has none
        assert re.sub(r" \d$", "", found) == re.sub(r" \d$", "", expected), command


def test_memory_counts_connections_and_megaflows(switch):
    assert "ofconns" not in asked(switch, "memory/show")
    assert switch.run(
        "ovs-ofctl monitor br0 --detach --pidfile=monitor.pid 2>/dev/null; "
        "ovs-appctl netdev-dummy/receive p1 'in_port(1),eth(src=50:54:00:00:00:05,"
        "dst=50:54:00:00:00:07),eth_type(0x1234)'; "
        "ovs-appctl memory/show | grep -oE '(ofconns|keys):[0-9]*'; kill $(cat monitor.pid)"
    ) == "ofconns:1\nkeys:1\n"


def test_hidden_rules_count_what_no_rule_matches(switch):
    key = "in_port(9),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type"
    other, fragment = f"{key}(0x1234)", (
        f"{key}(0x0800),ipv4(src=1.1.1.1,dst=1.1.1.2,proto=6,tos=0,ttl=64,frag=later)")
    receive = "ovs-appctl netdev-dummy/receive p9"
    assert switch.run(
        "ovs-vsctl add-br br1 -- set bridge br1 datapath_type=dummy fail_mode=secure "
        "-- add-port br1 p9 -- set interface p9 type=dummy ofport_request=9; "
        f"ovs-ofctl set-frags br1 drop; {receive} '{other}' '{other}' '{fragment}'; "
        "ovs-ofctl -O OpenFlow11 mod-table br1 0 controller; ovs-appctl revalidator/wait; "
        f"{receive} '{other}'; ovs-appctl revalidator/wait; "
        "ovs-appctl bridge/dump-flows br1 | cut -d, -f1,3-; "
        "ovs-ofctl -O OpenFlow11 dump-tables br1 | sed -n 3p") == """\
table_id=254, n_packets=0, n_bytes=0, priority=2,recirc_id=0,actions=drop
table_id=254, n_packets=1, n_bytes=14, priority=0,reg0=0x1,actions=controller(reason=)
table_id=254, n_packets=2, n_bytes=28, priority=0,reg0=0x2,actions=drop
table_id=254, n_packets=1, n_bytes=34, priority=0,reg0=0x3,actions=drop
    active=0, lookup=4, matched=1
"""


@pytest.mark.parametrize("mode, later, first", [
    ("normal", " 0. priority 1", " 0. priority 1"),
    ("drop", *[' 0. Packets are IP fragments and the fragment handling mode is "drop".'] * 2),
    ("nx-match", " 0. priority 1", " 0. tcp,tp_dst=80, priority 32768"),
    ("reassemble", " 0. priority 1", " 0. tcp,tp_dst=80, priority 32768")])     # refused
def test_fragments_are_handled_as_openflow_says(switch, mode, later, first):
    trace = "ovs-appctl ofproto/trace br2 in_port=9,tcp,nw_frag"
    found = switch.run(
        "ovs-vsctl --may-exist add-br br2 -- set bridge br2 datapath_type=dummy fail_mode=secure; "
        "ovs-ofctl add-flow br2 tcp,tp_dst=80,actions=2; ovs-ofctl add-flow br2 priority=1,actions=1;"
        "test {0} != reassemble || ovs-ofctl set-frags br2 nx-match; "
        "ovs-ofctl set-frags br2 {0}; ovs-ofctl get-frags br2; "
        "for key in later first,tp_dst=80; do {1}=$key | grep '^ 0'; done".format(mode, trace))
    told = "" if mode != "reassemble" else (
        "ovs-ofctl: br2: setting fragment handling mode failed (this switch probably doesn't "
        "support mode \"reassemble\")\nnx-match")
    assert found == f"{told or mode}\n{later}\n{first}\n"


def test_an_option_of_a_tunnel_can_be_matched_by_its_presence(switch):
    trace = "ovs-appctl ofproto/trace br3 in_port=1,tun_dst=1.1.1.1"
    assert switch.run(
        "ovs-vsctl add-br br3 -- set bridge br3 datapath_type=dummy fail_mode=secure; "
        "ovs-ofctl add-tlv-map br3 '{class=0xffff,type=0,len=4}->tun_metadata0'; "
        "ovs-ofctl parse-flow tun_metadata0,actions=2; "
        "ovs-ofctl add-flow br3 tun_metadata0,actions=2; "
        "ovs-ofctl add-flow br3 priority=1,actions=3; ovs-ofctl --no-stats dump-flows br3; "
        "for option in '' ,tun_metadata0=9 ,tun_metadata0=0 ,tun_metadata1=9; "
        f"do {trace}$option | grep '^ 0'; done") == """\
usable protocols: NXM,OXM
chosen protocol: NXM-table_id
NXT_FLOW_MOD (xid=0x1): ADD tun_metadata0 actions=output:2
 tun_metadata0 actions=output:2
 priority=1 actions=output:3
 0. priority 1
 0. tun_metadata0, priority 32768
 0. tun_metadata0, priority 32768
 0. priority 1
"""
