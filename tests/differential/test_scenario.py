"""Scripts of several steps, as people write them to test a switch: each is run once with Debian's
daemons and tools and once with ours, and prints the same.

What only one command is about is elsewhere; here orders, times and what one step leaves to the
next count. Dumps are not sorted where the reference's order is no chance.
"""

import re
from pathlib import Path

import pytest

from tests.differential.switches import Switch, is_installed, normal
from tests.differential.test_daemon import ARP, TCP, UDP

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]

SETUP = " -- ".join((
    "ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure "
    "other_config:hwaddr=aa:55:aa:55:00:00 "
    "protocols=OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15",
    *(f"add-port br0 p{n} -- set interface p{n} type=dummy ofport_request={n} "
      f"options:tx_pcap=p{n}.pcap" for n in (1, 2, 3))))
DUMP = "ovs-ofctl --no-stats dump-flows br0"
MEGAFLOWS = "ovs-appctl dpctl/dump-flows | sort"
MONITOR = "ovs-ofctl {} monitor br0 65534 --detach --no-chdir --pidfile 2> mon"
HEARD = "ovs-appctl -t ovs-ofctl ofctl/barrier; ovs-appctl -t ovs-ofctl exit; cat mon"
PACKET = "50540000000750540000000512340000000"
TAGGED = TCP.replace("eth_type(0x0800),", "eth_type(0x8100),vlan(vid=5,pcp=1),"
                     "encap(eth_type(0x0800),") + ")"


def add(*flows: str) -> str:
    lines = " ".join(f"'{flow}'" for flow in flows)
    return f"printf '%s\\n' {lines} | ovs-ofctl add-flows br0 -"


def receive(port: int, *flows: str) -> str:
    return (f"ovs-appctl netdev-dummy/receive p{port} "
            + " ".join(f"'{flow}'" for flow in flows).replace("in_port(1)", f"in_port({port})"))


SCRIPTS = {
    "order of flows": [
        add("in_port=1,actions=1", "ip,actions=2", "in_port=2,actions=3", "tcp,actions=4",
            "ip,priority=3,actions=5", "arp,actions=6"), DUMP, "ovs-ofctl del-flows br0",
        add(*(f"priority={priority},reg{reg}={value},send_flow_rem,actions=1" for
              priority, reg, value in ((10, 0, 1), (3, 0, 2), (5, 1, 1), (3, 2, 1), (5, 1, 2)))),
        DUMP, "ovs-ofctl --strict del-flows br0 priority=10,reg0=1; sleep 0.3", DUMP,
        add("priority=3,reg3=1,actions=2", "priority=65,reg2=7,actions=3", "reg3=5,actions=4"),
        DUMP, "ovs-ofctl mod-flows br0 priority=3,reg0=2,actions=9", DUMP,
        MONITOR.format("-O OpenFlow13"), "ovs-ofctl del-flows br0", HEARD,
        "printf 'reg0=1,priority=3,actions=1\\nreg1=1,priority=8,actions=2\\n"
        "reg0=5,priority=9,actions=3\\nreg2=1,priority=8,actions=4\\n' "
        "| ovs-ofctl -O OpenFlow15 --bundle add-flows br0 -", DUMP],
    "megaflows that look at more than they need": [
        add("in_port=1,tcp,tp_dst=80,actions=2", "in_port=1,priority=1,actions=3"),
        receive(1, TCP, UDP), MEGAFLOWS,
        f"ovs-ofctl del-flows br0 tcp; {add('in_port=1,priority=1,actions=2')}",
        "ovs-appctl revalidator/wait", MEGAFLOWS, receive(1, TCP, UDP), MEGAFLOWS,
        add("in_port=1,tcp,nw_ttl=64,actions=3"), "ovs-appctl revalidator/wait", MEGAFLOWS,
        receive(1, TCP), MEGAFLOWS, "ovs-appctl upcall/disable-megaflows", MEGAFLOWS,
        receive(1, TCP), MEGAFLOWS, "ovs-appctl upcall/enable-megaflows", MEGAFLOWS],
    "packets of a bundle": [
        f"printf '%s\\n' 'flow in_port=1,actions=2' 'packet-out in_port=1,packet={PACKET}1,"
        f"actions=table' 'flow modify in_port=1,actions=3' 'packet-out in_port=1,packet={PACKET}2,"
        f"actions=table' 'flow delete' 'packet-out in_port=1,packet={PACKET}3,actions=table' "
        f"'group group_id=5,type=all,bucket=3' 'packet-out in_port=1,packet={PACKET}4,"
        "actions=group:5' 'flow table=2,in_port=1,actions=2,3' 'packet-out in_port=1,"
        f"packet={PACKET}5,actions=resubmit(,2)' 'group delete group_id=5' > bundle; "
        "ovs-ofctl -O OpenFlow14 bundle br0 bundle",
        "ovs-ofctl dump-flows br0; ovs-ofctl dump-ports br0", "ovs-pcap p2.pcap; ovs-pcap p3.pcap"],
    "rules that meet misses": [
        receive(1, TCP), "ovs-ofctl dump-flows br0 table=254; ovs-ofctl dump-flows br0 table=254,"
        "reg0=3; ovs-ofctl -O OpenFlow15 dump-flows br0 table=254",
        "ovs-ofctl dump-aggregate br0 table=254; ovs-ofctl dump-flows br0 table=254,out_port=2",
        "ovs-ofctl dump-flows br0 cookie=1/-1,table=254", "ovs-ofctl dump-flows br0"],
    "files of megaflows": [
        "ovs-appctl revalidator/pause",
        *(f"printf '%s\\n' {lines} > file; ovs-appctl dpctl/{command} file" for command, lines in (
            ("add-flows", "'in_port(1),eth(),eth_type(0x0801) 1' 'zz 2' '# none' ' ' "
             "'in_port(1),eth(),eth_type(0x1234) zz' 'in_port(1),eth(),eth_type(0x0802)' "
             "'in_port(1),eth(),eth_type(0x0803) 1 # x'"),
            ("mod-flows", "'in_port(1),eth(),eth_type(0x0801) 2' "
             "'in_port(1),eth(),eth_type(0x0888) 1' 'add in_port(1),eth(),eth_type(0x0805) drop' "
             "'delete in_port(1),eth(),eth_type(0x0803)' 'foo in_port(1) 1'"),
            ("del-flows", "'in_port(1),eth(),eth_type(0x0877)' 'in_port(1),eth(),eth_type(0x0805)'"
             ))), MEGAFLOWS, "ovs-appctl dpctl/add-flows nofile",
        "ovs-appctl dpctl/add-dp dummy@d; ovs-appctl dpctl/add-if dummy@d x1,type=dummy "
        "x2,type=zz x3,type=dummy,port_no=1 x4,type=dummy", "ovs-appctl dpctl/show dummy@d",
        "ovs-appctl dpctl/del-if dummy@d nope x1 77", "ovs-appctl dpctl/show dummy@d",
        "ovs-appctl dpctl/set-if dummy@d nope x4", "ovs-appctl dpctl/del-dp dummy@d"],
    "names of tables": [
        " -- ".join(("ovs-vsctl", *(f"--id=@{id_} create Flow_Table name={name}" for id_, name in (
            ("a", "main"), ("b", "twice"), ("c", "twice"), ("d", "last"))),
            "set bridge br0 flow_tables:0=@a flow_tables:1=@b flow_tables:5=@c flow_tables:7=@d")),
        "ovs-ofctl add-flow br0 table=6,actions=2; ovs-ofctl add-flow br0 table=last,actions=2",
        *(f"ovs-ofctl {names} -O OpenFlow1{version} dump-tables br0 | grep -v '^ *[ae][rx]'"
          for version in (0, 1, 3) for names in ("", "--names")),
        "ovs-ofctl --names -O OpenFlow14 dump-table-features br0 | grep table",
        "ovs-ofctl dump-aggregate br0 table=twice; ovs-ofctl dump-aggregate br0 table=main",
        "ovs-ofctl -O OpenFlow15 mod-table br0 3 name:third; ovs-ofctl -O OpenFlow14 --names "
        "dump-table-desc br0 | head -24"],
    "silence": [
        "ovs-appctl time/stop", MONITOR.format("-O OpenFlow13"),
        *("ovs-appctl time/warp 10000 1000; sleep 0.1; cat mon" for _ in range(7)), HEARD],
    "traces that go to controllers": [
        add("in_port=1,actions=2,mod_dl_src:02:00:00:00:00:09,controller,strip_vlan,controller",
            "in_port=2,ip,actions=dec_ttl,controller(userdata=01.02)"),
        MONITOR.format("-P nxt_packet_in2") .replace("65534", "65534 invalid_ttl"),
        "ovs-appctl ofproto/trace br0 in_port=1,tcp -generate >/dev/null",
        "ovs-appctl ofproto/trace br0 in_port=2,tcp,nw_ttl=1 -generate >/dev/null",
        "ovs-appctl ofproto/trace br0 in_port=2,tcp,nw_ttl=9 -generate >/dev/null",
        "ovs-appctl ofproto/trace br0 in_port=2,tcp,nw_ttl=9 >/dev/null", HEARD,
        "ovs-ofctl dump-ports br0"],
    "tags and other things in packet-ins": [
        add("actions=controller,mod_vlan_vid:7,controller"),
        *(line for version, form in ((0, "standard"), (3, "nxt_packet_in"), (5, "nxt_packet_in2"))
          for line in (MONITOR.format(f"-O OpenFlow1{version} -P {form}"),
                       receive(1, TCP, TAGGED, ARP), HEARD)),
        "ovs-ofctl monitor br0 65534 resume -P nxt_packet_in2 --detach --no-chdir --pidfile 2> mon",
        add("in_port=1,actions=controller(userdata=01.02,pause),2"), receive(1, TCP), HEARD],
    "traces": [
        add("ip,actions=2", "actions=3"),
        *(f"ovs-appctl ofproto/trace ovs-dummy '{flow}'" for flow in (
            "in_port(1)", "in_port(1),eth_type(0x0800),ipv4(src=1.1.1.1)",
            "in_port(1),eth_type(0x1234)", "in_port(1),eth()",
            "in_port(1),eth(),eth_type(0x88a8),vlan(vid=3,pcp=0),encap(eth_type(0x8100),"
            "vlan(vid=4,pcp=0),encap(eth_type(0x0800),ipv4(),tcp()))")),
        "ovs-appctl ofproto/trace br0 in_port=1,tcp -consistent",
        *(f"ovs-appctl ofproto/trace-packet-out {options} br0 {flow} {actions}"
          for flow in ("in_port=1", "in_port=1,tcp") for actions in ("mod_tp_src:5,2", "dec_ttl,2")
          for options in ("", "-consistent") if (flow, actions[:3]) != ("in_port=1", "mod")
          or options)],
    "addresses that are learned": [
        "ovs-appctl time/stop; ovs-ofctl add-flow br0 actions=normal",
        *(f"{receive(port, ARP.replace('50:54:00:00:00:05,d', f'50:54:00:00:00:0{mac},d'))}; "
          "ovs-appctl fdb/show br0" for port, mac in ((3, 5), (1, 6), (2, 7), (3, 5), (1, 7))),
        "ovs-appctl fdb/add br0 p2 0 50:54:00:00:00:99; ovs-appctl time/warp 2000",
        receive(1, ARP.replace("50:54:00:00:00:05,d", "50:54:00:00:00:06,d")),
        "ovs-appctl revalidator/wait; ovs-appctl fdb/show br0"],
}
OFTEN = ("order of flows", "megaflows that look at more than they need", "packets of a bundle")


def answer(directory: Path, real: bool, name: str) -> str:
    switch = Switch(directory, real, our_tools=not real)
    try:
        text = "".join(f"$ {line}\n{switch.run(line)}" for line in [SETUP, *SCRIPTS[name]])
    finally:
        switch.close()
    # Identities of what is frozen come from a counter that other things turn, too.
    return re.sub(r"recirc_id=\d+", "recirc_id=N", normal(text, directory))


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in OFTEN else pytest.mark.long) for name in SCRIPTS])
def test_both_tell_the_same_of_a_scenario(name, tmp_path):
    assert answer(tmp_path / "ours", False, name) == answer(tmp_path / "real", True, name)
