"""ovs-vswitchd answers ovs-appctl as the reference did, over the wire and with our own tools.

`data/traces.txt` has, below a line `### COMMAND` each, what ovs-appctl printed when the reference's
switch was set up as `SETUP` does; `test_trace.py` asks the library alone.
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
