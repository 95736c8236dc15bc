"""How tables are set, by Flow_Table rows and table_mods, ours beside Debian's."""

import pytest

from tests.differential.switches import Switch, is_installed, normal
from tests.differential.test_daemon import SETUP
from tests.differential.test_monitor import CTL, END, START
from vswitchd.openflow import messages
from vswitchd.openflow.messages.session import AsyncConfig

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]

_ALL = {"packet_in": 0x3f, "port_status": 7, "flow_removed": 0x3f, "role_status": 7,
        "table_status": 0x18, "requestforward": 3}
WANT_ALL = f"{CTL}send {messages.encode(AsyncConfig(_ALL, _ALL), 5, 9).hex()}"
DUMP = "ovs-ofctl -O OpenFlow14 --no-stats dump-flows br0 | sort"
TABLES = "ovs-ofctl -O OpenFlow{} dump-tables br0 | head -44"


def adds(*flows: str) -> list[str]:
    """Lines that add flows one by one and show what is there then."""
    return [f"ovs-ofctl -O OpenFlow14 add-flow br0 '{flow},actions=drop'; {DUMP}" for flow in flows]


SCRIPTS = {
    "eviction": [
        "ovs-vsctl -- --id=@t create Flow_Table flow_limit=4 overflow_policy=evict name=evil "
        "-- set bridge br0 flow_tables:0=@t",
        *adds("importance=4,hard_timeout=100,in_port=1", "importance=3,hard_timeout=200,in_port=2",
              "importance=2,hard_timeout=300,in_port=3", "importance=2,hard_timeout=400,in_port=4",
              "importance=1,idle_timeout=300,send_flow_rem,in_port=5"),
        START.format(v="14", watch="65534"),
        *adds("in_port=6", "importance=9,in_port=7", "importance=9,in_port=8",
              "importance=9,in_port=9", "importance=9,in_port=10", "importance=1,in_port=6"),
        END, "ovs-ofctl dump-tables br0", "ovs-ofctl -O OpenFlow14 dump-table-desc br0",
        "ovs-ofctl -O OpenFlow15 dump-table-features br0 table=0 2>&1 | grep -v 'supported on'",
        "ovs-vsctl set Flow_Table . overflow_policy=refuse", *adds("in_port=11"),
        "ovs-vsctl set Flow_Table . flow_limit=0", *adds("in_port=11"),
        "ovs-vsctl clear bridge br0 flow_tables", *adds("in_port=11")],
    "eviction by table_mod": [
        "ovs-ofctl -O OpenFlow14 mod-table br0 0 evict",
        "ovs-vsctl -- --id=@t create Flow_Table flow_limit=2 -- set bridge br0 flow_tables:0=@t",
        *adds("idle_timeout=9,in_port=1", "idle_timeout=5,in_port=2", "in_port=3"),
        "ovs-ofctl -O OpenFlow14 mod-table br0 0 noevict", *adds("in_port=4"),
        "ovs-ofctl -O OpenFlow14 mod-table br0 254 evict",
        "ovs-ofctl -O OpenFlow14 mod-table br0 all evict",
        "ovs-ofctl -O OpenFlow15 dump-table-desc br0"],
    "eviction groups": [
        "ovs-vsctl -- --id=@t create Flow_Table flow_limit=5 overflow_policy=evict "
        "groups='\"NXM_OF_ETH_TYPE[]\"' -- set bridge br0 flow_tables:0=@t",
        *adds("idle_timeout=90,in_port=1,ip", "idle_timeout=80,in_port=2,ip",
              "idle_timeout=70,in_port=3,ip", "idle_timeout=10,in_port=1,arp",
              "idle_timeout=20,in_port=2,arp", "idle_timeout=30,in_port=3,arp", "in_port=9,ip"),
        "ovs-vsctl set Flow_Table . groups='\"foo[]\"' prefixes=ip_dst,zork,tcp_dst",
        *adds("in_port=4,arp"), "grep -o 'bridge|WARN.*' ovs-vswitchd.log | sort -u"],
    "vacancy": [
        "ovs-vsctl -- --id=@t create Flow_Table flow_limit=10 -- set bridge br0 flow_tables:0=@t",
        START.format(v="14", watch="65534"), WANT_ALL,
        "ovs-ofctl -O OpenFlow14 mod-table br0 0 vacancy:20,80",
        *adds(*(f"in_port={n}" for n in range(1, 10))),
        *(f"ovs-ofctl del-flows br0 in_port={n}" for n in range(9, 3, -1)),
        "ovs-ofctl del-flows br0", *adds(*(f"in_port={n}" for n in range(1, 10))),
        "ovs-ofctl -O OpenFlow14 mod-table br0 0 vacancy:60,70",
        "ovs-ofctl -O OpenFlow14 dump-table-desc br0 | head -4", "ovs-ofctl del-flows br0",
        "ovs-ofctl -O OpenFlow14 mod-table br0 0 novacancy",
        "ovs-ofctl -O OpenFlow14 dump-table-desc br0 | head -4", END],
    "misses": [
        "ovs-ofctl -O OpenFlow12 mod-table br0 4 drop", "ovs-ofctl -O OpenFlow11 mod-table br0 5 "
        "continue", "ovs-ofctl -O OpenFlow11 mod-table br0 3 controller",
        *map(TABLES.format, (11, 12)), "ovs-ofctl -O OpenFlow11 mod-table br0 254 continue",
        "ovs-ofctl -O OpenFlow12 mod-table br0 0 continue", "ovs-ofctl add-flow br0 table=1,"
        "in_port=2,actions=3", "ovs-appctl ofproto/trace br0 in_port=2",
        "ovs-ofctl -O OpenFlow12 mod-table br0 all controller", *map(TABLES.format, (11, 12))],
}


def answer(switch: Switch, name: str) -> str:
    """What the lines of a script print; the switch is closed."""
    try:
        return "".join(f"$ {line}\n" + normal(switch.run(line), switch.directory)
                       for line in [SETUP.strip(), *SCRIPTS[name]])
    finally:
        switch.close()


OFTEN = ("eviction", "vacancy")         # the others are part of make check-long
CASES = [pytest.param(name, marks=() if name in OFTEN else pytest.mark.long) for name in SCRIPTS]


@pytest.mark.parametrize("name", CASES)
def test_tables_are_set_as_the_real_ones(name, tmp_path):
    theirs = answer(Switch(tmp_path / "real", True), name)
    ours = answer(Switch(tmp_path / "ours", False), name)
    assert ours == theirs
