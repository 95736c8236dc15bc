"""What the OpenFlow agent does by itself or at a word of a controller, ours beside Debian's: timeouts,
ages, groups and their liveness, names of tables, bundles that are left.

Clocks stand still unless a script lets them go on, so times are compared, too.
"""

import re
import time

import pytest

from tests.differential.peer import Peer
from tests.differential.switches import FLAGS, Switch, is_installed, normal
from tests.differential.test_bundle import control
from tests.differential.test_daemon import SETUP, TCP
from tests.differential.test_monitor import CTL, END, START, send

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]

OPEN, COMMIT = 0, 4
STOP = "ovs-appctl time/stop"
DUMP = "ovs-ofctl dump-flows br0; ovs-ofctl -O OpenFlow15 dump-flows br0"
VERSIONS = range(6)
IP = "505400000007505400000005080045000028000000004006b9f40a0000010a000002" \
     "0008005000000000000000005002000000000000"
ARP = "505400000007505400000005080600010800060400015054000000050102030400000000000001020305"
FIN = TCP + ",tcp_flags(fin)"


def receive(port: str, *flows: str) -> str:
    words = " ".join(f"'{flow}'" for flow in flows)
    return f"ovs-appctl netdev-dummy/receive {port} {words}; ovs-appctl revalidator/wait"


def each(versions, *lines: str) -> list[str]:
    """Lines with {v} for each version."""
    return [line.format(v=version) for version in versions for line in lines]


SCRIPTS = {
    "ages": [
        STOP, "ovs-ofctl add-flow br0 idle_timeout=20,in_port=1,actions=2",
        "ovs-ofctl add-flow br0 hard_timeout=30,in_port=2,actions=2",
        "ovs-ofctl -O OpenFlow13 add-flow br0 no_packet_counts,in_port=3,actions=2",
        "ovs-ofctl -O OpenFlow13 add-flow br0 no_byte_counts,reset_counts,table=1,actions=2",
        "ovs-appctl time/warp 2345 500", DUMP, receive("p1", TCP), receive("p3", TCP),
        "ovs-appctl time/warp 3000 500", DUMP, "ovs-ofctl mod-flows br0 in_port=1,actions=3",
        "ovs-appctl time/warp 3000 500", DUMP,
        # What resets counters leaves when a flow was used.
        "ovs-ofctl -O OpenFlow13 mod-flows br0 reset_counts,in_port=1,actions=3",
        "ovs-ofctl -O OpenFlow15 mod-flows br0 reset_counts,in_port=2,actions=3", DUMP,
        "ovs-appctl time/warp 3000 500", "ovs-ofctl add-flow br0 idle_timeout=20,in_port=1,actions=2",
        DUMP, *each(VERSIONS, "ovs-ofctl -O OpenFlow1{v} dump-aggregate br0"),
        "ovs-appctl bridge/dump-flows --offload-stats br0", "ovs-appctl time/warp 11000 1000", DUMP,
        "ovs-ofctl add-flow br0 'tcp,priority=9,actions=fin_timeout(idle_timeout=3,hard_timeout=9)'",
        receive("p1", TCP, FIN), "ovs-appctl time/warp 1000", DUMP, "ovs-appctl time/warp 5000 1000",
        "ovs-ofctl dump-flows br0 tcp"],
    "removals": [
        STOP, *each(VERSIONS, "ovs-ofctl -O OpenFlow1{v} monitor br0 65534 --detach --no-chdir "
                    "--pidfile=m{v}.pid --unixctl=$PWD/m{v} 2> mon{v}"),
        "ovs-ofctl add-flow br0 send_flow_rem,idle_timeout=5,cookie=0x1234,in_port=1,actions=2",
        "ovs-appctl time/warp 9000 500",
        "ovs-ofctl add-flow br0 send_flow_rem,hard_timeout=7,table=1,tcp,tp_dst=80,actions=3",
        "ovs-appctl time/warp 9000 500",
        "ovs-ofctl -O OpenFlow13 add-group br0 group_id=1,type=all,bucket=output:1",
        "ovs-ofctl -O OpenFlow13 add-flow br0 send_flow_rem,in_port=3,actions=group:1",
        "ovs-ofctl -O OpenFlow13 add-meter br0 meter=1,kbps,band=type=drop,rate=3",
        "ovs-ofctl -O OpenFlow13 add-flow br0 send_flow_rem,in_port=4,actions=meter:1,output:3",
        "ovs-ofctl -O OpenFlow13 del-groups br0", "ovs-ofctl -O OpenFlow13 del-meters br0",
        *each(VERSIONS, f"{CTL}barrier; ovs-appctl -t $PWD/m{{v}} exit; cat mon{{v}}".replace(
            "ovs-ofctl ofctl", "$PWD/m{v} ofctl"))],
    "removals that are monitored": [
        STOP, "ovs-vsctl -- --id=@t create Flow_Table flow_limit=3 overflow_policy=evict "
        "-- set bridge br0 flow_tables:0=@t", START.format(v="14", watch="65534 watch:"),
        *(f"ovs-ofctl add-flow br0 send_flow_rem,hard_timeout=1{n},reg0={n},actions=2"
          for n in range(4)), f"{CTL}barrier", "ovs-vsctl set Flow_Table . flow_limit=2",
        # Debian's tells of the removals in its own time, before or after the answer to a barrier.
        f"sleep 0.5; {CTL}barrier", "ovs-ofctl del-flows br0", f"{CTL}barrier; ovs-appctl -t ovs-ofctl exit",
        # Debian's does not tell of the rule that took the place.
        "grep -v 'ADDED.*reg0=0x3' mon"],
    "groups": [
        STOP, "ovs-ofctl -O OpenFlow15 add-group br0 group_id=1,type=all,"
        "bucket=bucket_id:1,actions=2,bucket=bucket_id:2,actions=3",
        "ovs-ofctl -O OpenFlow11 add-flow br0 in_port=1,tcp,actions=group:1",
        receive("p1", TCP, TCP), "ovs-appctl time/warp 3000 500",
        *each(VERSIONS[1:], *(f"ovs-ofctl -O OpenFlow1{{v}} {command} br0" for command in (
            "dump-groups", "dump-group-stats", "dump-group-features"))),
        "ovs-ofctl -O OpenFlow15 dump-group-stats br0 77; ovs-ofctl -O OpenFlow15 dump-groups br0 77",
        *(f"ovs-ofctl -O OpenFlow15 {change}; ovs-ofctl -O OpenFlow15 dump-groups br0 1"
          for change in (
              *(f"insert-buckets br0 group_id=1,command_bucket_id={place},bucket=bucket_id:{number},"
                "actions=1" for place, number in (("first", 7), ("last", 8), (7, 10), (99, 11),
                                                  ("first", 10), ("all", 10))),
              *(f"remove-buckets br0 group_id=1,command_bucket_id={place}"
                for place in ("first", "last", 1, 99, "all", "first")))),
        "ovs-ofctl -O OpenFlow13 del-groups br0",
        "ovs-ofctl -O OpenFlow13 add-group br0 group_id=4,type=indirect,bucket=2",
        "ovs-ofctl -O OpenFlow15 insert-buckets br0 group_id=4,command_bucket_id=first,"
        "bucket=bucket_id:10,actions=1; ovs-ofctl -O OpenFlow15 dump-groups br0",
        "ovs-ofctl -O OpenFlow15 remove-buckets br0 group_id=4,command_bucket_id=all; "
        "ovs-ofctl -O OpenFlow15 dump-groups br0",
        *(f"ovs-ofctl -O OpenFlow15 add-group br0 group_id=5,type={wrong}" for wrong in (
            "indirect,bucket=1,bucket=2", "indirect", "ff,bucket=1", "nope,bucket=1",
            "all,bucket=weight:5,actions=1", "select,selection_method=foo,bucket=1",
            "all,selection_method=hash,bucket=1"))],
    "liveness": [
        *(f"ovs-ofctl -O OpenFlow13 add-group br0 group_id={number},type={kind}; ovs-ofctl "
          f"-O OpenFlow13 add-flow br0 reg0={number},actions=group:{number}"
          for number, kind in enumerate((
              "ff,bucket=watch_port:2,2,bucket=watch_port:3,3",
              "ff,bucket=watch_group:1,group:1,bucket=watch_port:1,1",
              "ff,bucket=watch_group:55,2,bucket=watch_port:2,3",
              "select,bucket=watch_port:2,2,bucket=watch_port:3,3"), 1)),
        *(f"{change}; for g in 1 2 3 4; do ovs-appctl ofproto/trace br0 reg0=$g,in_port=1; done"
          for change in (":", "ovs-appctl netdev-dummy/set-admin-state p2 down",
                         "ovs-ofctl mod-port br0 p3 down", "ovs-ofctl mod-port br0 p1 down"))],
    "names of tables": [
        *(f"ovs-ofctl -O OpenFlow1{version} mod-table br0 {table} name:{name}; "
          "ovs-ofctl --names dump-tables br0 | grep '\"'" for version, table, name in (
              (5, 0, "one"), (4, 1, "other"), (3, 2, "third"), (5, "third", "more"), (5, 254, "no"),
              (5, "all", "no"), (5, 2, ""), (5, 3, "x" * 40))),
        "ovs-vsctl -- --id=@t create Flow_Table name=first -- set bridge br0 flow_tables:0=@t",
        "ovs-ofctl -O OpenFlow15 mod-table br0 0 name:again; ovs-ofctl --names dump-tables br0 | "
        "grep '\"'", "ovs-vsctl clear bridge br0 flow_tables",
        "ovs-ofctl --names dump-tables br0 | grep '\"'"],
    "bundles that are left": [
        STOP, "ovs-vsctl set open . other_config:bundle-idle-timeout=3",
        START.format(v="14", watch="65534"), control(OPEN), control(OPEN, 2),
        "ovs-appctl time/warp 2000 500", control(2, 2), "ovs-appctl time/warp 2500 500",
        control(COMMIT), control(COMMIT, 2), "ovs-vsctl clear open . other_config", control(OPEN, 3),
        "ovs-appctl time/warp 7000 1000", control(OPEN, 4), "ovs-appctl time/warp 7000 1000",
        send(5, "in_port=1,actions=2"), END],
    "packets and their actions": [
        *(f"ovs-ofctl -O OpenFlow1{version} packet-out br0 'in_port=1 packet={frame} "
          f"actions={actions}'; ovs-ofctl dump-ports br0 2 | grep tx"
          for version, frame, actions in (
              (3, IP, "set_field:1.2.3.4->ip_src,2"), (3, IP, "set_field:9->tcp_src,dec_ttl,2"),
              (3, IP, "set_field:9->udp_src,2"), (0, IP, "mod_nw_src:1.2.3.4,mod_tp_dst:7,2"),
              (0, ARP, "mod_nw_src:1.2.3.4,2"), (3, ARP, "dec_ttl,2"), (3, ARP, "pop_vlan,2"),
              (3, ARP, "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],set_field:2->arp_op,2"),
              (3, ARP, "move:NXM_OF_IP_SRC[]->NXM_NX_REG0[],2"), (3, IP, "dec_mpls_ttl,2"),
              (3, IP, "push_mpls:0x8847,set_field:5->mpls_label,dec_mpls_ttl,2"),
              (3, IP, "clone(group:9)"), (3, IP, "group:5"), (5, IP, "meter:3,2"))),
        *(f"{change}; ovs-ofctl -O OpenFlow13 packet-out br0 'in_port=1 packet={IP} "
          "actions=group:5'; ovs-ofctl dump-ports br0 2 | grep tx" for change in (
              "ovs-ofctl -O OpenFlow13 add-group br0 group_id=5,type=all,bucket=2",
              "ovs-ofctl -O OpenFlow13 del-groups br0")),
        *(f"printf '{lines}' > bundle; ovs-ofctl -O OpenFlow14 bundle br0 bundle" for lines in (
            f"packet-out in_port=1,packet={IP},actions=group:9\\n",
            f"group group_id=9,type=all,bucket=2\\npacket-out in_port=1,packet={IP},"
            "actions=group:9\\n",
            f"flow table=6,actions=3\\npacket-out in_port=1,packet={IP},actions=dec_mpls_ttl\\n")),
        "ovs-ofctl dump-ports br0; ovs-ofctl dump-flows br0"],
    "who watches a group": [
        "ovs-ofctl add-flow br0 in_port=1,actions=2",
        "ovs-ofctl -O OpenFlow13 add-group br0 group_id=1,type=all,bucket=3",
        "ovs-ofctl -O OpenFlow13 add-flow br0 table=3,reg0=5,actions=group:1,output:2",
        START.format(v="15", watch="watch:out_group=1"),
        *(f"ovs-ofctl -O OpenFlow13 {change}" for change in (
            "add-flow br0 table=2,in_port=3,actions=group:1", "mod-flows br0 in_port=3,actions=3",
            "mod-flows br0 in_port=3,actions=2", "mod-flows br0 'in_port=3,actions=write_actions("
            "group:1)'", "add-flow br0 table=2,in_port=3,actions=2", "del-flows br0")), END],
    "what a secondary one of service may": [
        START.format(v="13", watch="65534"),
        *(f"{CTL}send {message}; {CTL}barrier" for message in (
            "0418001800000010000000030000000000000000000000ff", "0409000c0000001b00030080",
            "040700080000001c", "0409000c0000001d00000080", "0302000800000021", "0502000800000022")),
        send(4, "in_port=1,actions=2"), END, "ovs-ofctl --no-stats dump-flows br0"],
    "commands and what they take": [
        f"ovs-appctl {command}" for command in (
            "upcall/set-flow-limit 5000", "upcall/set-flow-limit x", "upcall/enable-ufid",
            "upcall/disable-ufid", "netdev-dummy/ip4addr br0", "netdev-dummy/ip6addr br0",
            "dpif/dump-flows a b c d e", "qos/show-types nope", "bridge/dump-flows a b c",
            "list-commands | grep revalidator")],
}
OFTEN = ("ages", "removals that are monitored", "packets and their actions")  # the others: make check-long
CASES = [pytest.param(name, marks=() if name in OFTEN else pytest.mark.long) for name in SCRIPTS]


def answer(switch: Switch, name: str) -> str:
    """What the lines of a script print; the switch is closed."""
    try:
        text = "".join(f"$ {line}\n{switch.run(line)}" for line in [SETUP.strip(), *SCRIPTS[name]])
    finally:
        switch.close()
    text = re.sub(r"\w{8}(-\w{4}){3}-\w{12}", "UUID", text.replace(str(switch.directory), "DIR"))
    # Debian's notices expired flows when its other threads have been round.
    text = re.sub(r"(FLOW_REMOVED.*) duration\S+", r"\1", re.sub(r"\d+-\d+-\d+T\S+Z", "", text))
    # The clock was stopped at some millisecond.
    return re.sub(r"(duration=\d+)\.\d+s", r"\1s", text)


@pytest.mark.parametrize("name", CASES)
def test_our_agent_does_as_the_real_one(name, tmp_path):
    theirs = answer(Switch(tmp_path / "real", True), name)
    ours = answer(Switch(tmp_path / "ours", False), name)
    assert ours == theirs


def restarted(switch: Switch, peer: Peer) -> str:
    """What is there after a restart, and while flows are being restored; the switch is closed."""
    seen = []

    def run(line: str) -> None:
        text = normal(switch.run(line), switch.directory)
        seen.append(f"$ {line}\n{text}".replace(peer.target, "PEER"))

    def restart(while_down: str) -> None:
        switch.run("ovs-appctl exit; while test -e ovs-vswitchd.pid; do sleep 0.05; done")
        run(while_down)
        switch._check([*switch._daemon("ovs-vswitchd"), *FLAGS])

    frame = f"{receive('p1', TCP)}; ovs-ofctl dump-ports br0 p2"
    try:
        run(SETUP.strip())
        run("ovs-vsctl add-port br0 p4 -- set interface p4 type=dummy")
        run("ovs-vsctl add-port br0 p5 -- set interface p5 type=dummy -- del-port p4")
        run("ovs-ofctl add-flow br0 in_port=1,actions=2; ovs-ofctl mod-port br0 p1 no-flood")
        restart("ovs-vsctl get interface p5 ofport; ovs-ofctl show br0; ls br0.*")
        run("ovs-vsctl get interface p5 ofport; ovs-ofctl dump-flows br0; ovs-appctl dpif/show; "
            "ovs-ofctl show br0 | grep -A2 p1")
        run(f"ovs-vsctl set-controller br0 {peer.target}")
        peer.wait_connected()
        before = peer.n_connections
        restart("ovs-vsctl --no-wait set open . other_config:flow-restore-wait=true")
        run("ovs-ofctl add-flow br0 in_port=1,actions=2")
        run(frame.replace("; ovs-appctl revalidator/wait", ""))   # Debian's waits for packets
        time.sleep(0.5)
        seen.append(f"connections: {peer.n_connections - before}\n")
        run("ovs-vsctl remove open . other_config flow-restore-wait")
        peer.wait_connected(before + 1)
        # Debian's has lost the flow now.
        run("ovs-ofctl add-flow br0 in_port=1,actions=2")
        run(frame)
        run("ovs-vsctl set open . other_config:flow-restore-wait=true")     # too late
        run(f"ovs-appctl revalidator/purge; {frame}")
    finally:
        peer.close()
        switch.close()
    return "".join(seen)


@pytest.mark.long
def test_a_restart_keeps_the_same_and_waits_alike(tmp_path):
    theirs = restarted(Switch(tmp_path / "real", True), Peer(4))
    ours = restarted(Switch(tmp_path / "ours", False), Peer(4))
    assert ours == theirs


def changed(switch: Switch, peer: Peer) -> str:
    """Which changes of a controller's record make the switch connect anew, and how versions that do
    not fit are told; the switch is closed."""
    seen = []

    def run(line: str) -> None:
        text = normal(switch.run(line), switch.directory)
        seen.append(f"$ {line}\n{text}".replace(peer.target, "PEER"))

    try:
        run(SETUP.strip())
        run(f"ovs-vsctl set-controller br0 {peer.target}")
        peer.wait_connected()
        peer.ask(5)
        for change in ("controller_rate_limit=100 controller_burst_limit=25", "max_backoff=2000",
                       "enable_async_messages=false", "inactivity_probe=60000"):
            run(f"ovs-vsctl set controller br0 {change}")
        run("ovs-vsctl set bridge br0 protocols=OpenFlow13,OpenFlow14")
        peer.wait_connected(2)
        peer.ask(5)
        seen.append(f"connections: {peer.n_connections}\n")
        run("ovs-vsctl set bridge br0 protocols=OpenFlow14")
        peer.wait(lambda: peer.n_connections > 2)
        end = time.monotonic() + 10
        while len(told := re.findall(r"(?:vconn|rconn)\|WARN\|(?:br0<->)?tcp.*\n", (
                switch.directory / "ovs-vswitchd.log").read_text())) < 2:
            assert time.monotonic() < end, told
            time.sleep(0.1)
        seen += told[:2]
    finally:
        peer.close()
        switch.close()
    return "".join(seen).replace(peer.target, "PEER")


@pytest.mark.long
def test_changes_of_a_controller_are_followed_alike(tmp_path):
    theirs = changed(Switch(tmp_path / "real", True), Peer(4))
    ours = changed(Switch(tmp_path / "ours", False), Peer(4))
    assert ours == theirs
