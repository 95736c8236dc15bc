"""Flow monitors of both switches tell the same: what `ovs-ofctl monitor BRIDGE watch:` prints."""

import re

import pytest

from tests.differential.switches import Switch, is_installed, normal
from tests.differential.test_daemon import ARP, SETUP
from vswitchd.openflow import messages
from vswitchd.openflow.messages import monitor
from vswitchd.openflow.messages.bundle import BundleAdd, BundleControl
from vswitchd.openflow.messages.flow import FlowMod
from vswitchd.openflow.text import parse_flow

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]

VERSIONS = {"10": 1, "12": 3, "13": 4, "14": 5, "15": 6}
CTL = "ovs-appctl -t ovs-ofctl ofctl/"
START = "ovs-ofctl -O OpenFlow{v} monitor br0 {watch} --detach --no-chdir --pidfile 2> mon"
END = f"{CTL}barrier; ovs-appctl -t ovs-ofctl exit; cat mon"


def flow_mod(version: int, text: str, command: str = "add", xid: int = 0x1234) -> bytes:
    """An encoded flow_mod, of table 0 if it names none."""
    flow = parse_flow(text, command)
    mod = FlowMod(command, flow.match, flow.priority, flow.actions,
                  0 if flow.table == 255 else flow.table)
    return messages.encode(mod, version, xid)


def send(version: int, text: str, command: str = "add", xid: int = 0x1234) -> str:
    """A line of shell by which the monitor itself sends a flow_mod."""
    return f"{CTL}send {flow_mod(version, text, command, xid).hex()}"


def others(version: str) -> list[str]:
    """What other connections change."""
    return [
        "ovs-ofctl add-flow br0 in_port=1,tcp,actions=2",
        "ovs-ofctl add-flow br0 in_port=2,udp,idle_timeout=100,cookie=7,actions=controller,3",
        START.format(v=version, watch="watch: watch:out_port=3,table=0"),
        "ovs-ofctl add-flow br0 in_port=3,actions=3", "ovs-ofctl add-flow br0 in_port=3,actions=3",
        "ovs-ofctl add-flow br0 table=3,in_port=4,hard_timeout=9,actions=2",
        "ovs-ofctl mod-flows br0 in_port=3,actions=2", "ovs-ofctl mod-flows br0 in_port=3,actions=2",
        "ovs-ofctl mod-flows br0 cookie=8,in_port=3,actions=2",
        "ovs-ofctl --strict mod-flows br0 in_port=9,tcp,actions=2",
        "ovs-ofctl add-flow br0 in_port=3,cookie=9,actions=drop",
        "ovs-ofctl del-flows br0 in_port=3", "ovs-ofctl del-flows br0 in_port=4", END]


def own(version: str) -> list[str]:
    """What the monitoring connection changes itself, abbreviated or not."""
    number = VERSIONS[version]
    changes = [send(number, "in_port=9,actions=drop"),
               send(number, "table=7,tcp,in_port=9,actions=output:1,output:2", xid=0x5),
               send(number, "in_port=9,actions=output:1", "modify_strict", 0x6),
               send(number, "tcp", "delete", 0x7),
               "ovs-ofctl add-flow br0 in_port=8,actions=drop",
               send(number, "table=0", "delete", 0x8)]
    # It prints what it sends at once: what came of the line before has to be there by then.
    changes = [f"{line}; {CTL}barrier" for line in changes]
    return [line for watch in ("watch:", "watch:!own", "watch:!add,!delete", "watch:!initial,!actions")
            for line in (START.format(v=version, watch=watch), *changes, END)]


def bundles(version: str) -> list[str]:
    """What bundles change, of another connection and of one's own."""
    number = VERSIONS[version]
    lines = ["printf 'in_port=5,actions=3\\ndelete in_port=1\\nmodify in_port=6,actions=drop\\n'"
             " > flows", "ovs-ofctl add-flow br0 in_port=1,actions=2",
             "ovs-ofctl add-flow br0 in_port=6,actions=2",
             START.format(v=version, watch="watch:"),
             "ovs-ofctl -O OpenFlow14 --bundle add-flows br0 flows"]
    if number >= 4:
        def control(kind: int, xid: int) -> str:
            return f"{CTL}send {messages.encode(BundleControl(1, kind, 3), number, xid).hex()}"

        lines.append(control(0, 0x20))
        for xid, text in ((0x21, "in_port=7,actions=1"), (0x22, "in_port=8,actions=1")):
            inner = flow_mod(number, text, xid=xid)
            added = messages.encode(BundleAdd(1, 3, inner), number, xid)
            lines.append(f"{CTL}send {added.hex()}")
        lines.append(control(4, 0x23))
    return [*lines, END]


def by_themselves(version: str) -> list[str]:
    """Rules that are learned, expire, are evicted or go with their group."""
    return [
        "ovs-appctl time/stop",
        "ovs-ofctl add-flow br0 'in_port=1,actions=learn(table=1,hard_timeout=30,"
        "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])'",
        "ovs-ofctl -O OpenFlow13 add-group br0 group_id=5,type=all,bucket=output:2",
        "ovs-ofctl -O OpenFlow13 add-flow br0 table=2,tcp,actions=group:5",
        START.format(v=version, watch="watch:"),
        f"ovs-appctl netdev-dummy/receive p1 '{ARP}'", "ovs-appctl revalidator/wait",
        f"ovs-appctl netdev-dummy/receive p1 '{ARP}'", "ovs-appctl revalidator/wait",
        "ovs-appctl time/warp 20000 1000",
        "ovs-ofctl add-flow br0 table=3,idle_timeout=10,udp,actions=drop",
        "ovs-appctl time/warp 12000 1000", "ovs-ofctl -O OpenFlow13 del-groups br0",
        "ovs-ofctl add-flow br0 table=4,idle_timeout=10,udp,actions=drop",
        "ovs-vsctl -- --id=@t create Flow_Table flow_limit=1 overflow_policy=evict "
        "-- set bridge br0 flow_tables:4=@t",
        "ovs-ofctl add-flow br0 table=4,idle_timeout=10,tcp,actions=drop",
        "ovs-ofctl dump-flows br0 table=4",
        # Debian's does not tell of the rule that took the place.
        f"{CTL}barrier; ovs-appctl -t ovs-ofctl exit; grep -v 'ADDED table=4.* tcp' mon"]


def errors(version: str) -> list[str]:
    """Monitors that end, change, or never were. (Debian's gives errors about requests for several
    monitors, and since 1.4, from memory that it has overwritten.)"""
    number = VERSIONS[version]
    lines = [START.format(v=version, watch="watch:")]
    request = monitor.FlowMonitorRequest
    many = monitor.FlowMonitorRequests
    for xid, value in enumerate((
            many((request(6, 63), request(7, 2, table=3))),
            *((many((request(6, 63, command="delete"),)),
               many((request(7, 63, command="modify"),))) if number >= 5 else
              (monitor.FlowMonitorCancel(6), monitor.FlowMonitorCancel(77)))), 0x40):
        lines.append(f"{CTL}send {messages.encode(value, number, xid).hex()}")
    lines += ["ovs-ofctl add-flow br0 table=3,udp,actions=drop", END,
              "ovs-ofctl add-flow br0 table=3,tcp,actions=drop"]
    return ["ovs-ofctl add-flow br0 in_port=1,tcp,actions=2", *lines]


def slow(version: str) -> list[str]:
    """One that does not read is paused, and then told how things are."""
    return ["for i in `seq 1 600`; do echo cookie=$i,reg1=$i,actions=drop; done > known",
            "for i in `seq 1 8000`; do echo cookie=$i,reg0=$i,actions=drop; done > flows",
            "ovs-ofctl add-flows br0 known",
            START.format(v=version, watch="watch:!initial"), f"{CTL}block",
            "ovs-ofctl add-flows br0 flows", "ovs-ofctl mod-flows br0 reg1=5,actions=1",
            "ovs-ofctl del-flows br0 reg1=6", "ovs-ofctl del-flows br0 reg0=7",
            "ovs-ofctl del-flows br0 reg0=7999", "ovs-ofctl add-flow br0 cookie=1,reg0=9000,actions=3",
            "ovs-ofctl mod-flows br0 reg0=9000,actions=4", "ovs-ofctl del-flows br0 reg0=7998/0xfffe",
            f"{CTL}unblock", f"{CTL}barrier",
            "ovs-ofctl add-flow br0 reg2=1,actions=3", END,
            "ovs-ofctl --no-stats dump-flows br0"]


def replay(text: str) -> dict[str, str]:
    """The flows, {match: cookie and actions}, that a monitor's reader would know at the end."""
    flows = {}
    for line in text.splitlines():
        if found := re.match(r" event=(\w+) (?:reason=\w+ )?table=0 cookie=(\w+) (reg.=\w+)"
                             r"(?: actions=(.*))?$", line):
            event, cookie, match, actions = found.groups()
            if event == "DELETED":
                flows.pop(match, None)
            else:
                flows[match] = f"cookie={cookie} actions={actions or 'drop'}"
    return flows


def answer(switch: Switch, script) -> str:
    """What the lines of a script print; the switch is closed."""
    try:
        return "".join(f"$ {line[:200]}\n" + re.sub(
            r"xid=0x0", "xid=0", text) for line in [SETUP.strip(), *script]
            if (text := normal(re.sub(r"\(xid=0x0\)", "(xid=none)", switch.run(line)),
                               switch.directory)) is not None)
    finally:
        switch.close()


SCRIPTS = {others: "10", own: "13", bundles: "15", by_themselves: "14", errors: "15"}
OFTEN = (own, by_themselves)            # the others are part of make check-long
CASES = [pytest.param(script, version, id=f"{script.__name__}-{version}",
                      marks=() if version == SCRIPTS[script] and script in OFTEN
                      else pytest.mark.long)
         for script in SCRIPTS for version in VERSIONS]


@pytest.mark.parametrize("script, version", CASES)
def test_monitors_tell_the_same(script, version, tmp_path):
    theirs = answer(Switch(tmp_path / "real", True), script(version))
    ours = answer(Switch(tmp_path / "ours", False), script(version))
    assert ours == theirs


def reader(real: bool, version: str, directory) -> str:
    """What a slow reader hears; that it knows the flows of the switch at the end is checked."""
    text = answer(Switch(directory, real), slow(version))
    heard, _, dumped = text.rpartition("$ ovs-ofctl --no-stats dump-flows br0\n")
    known = {match: f"cookie={cookie or '0'} actions={actions}" for cookie, match, actions in
             re.findall(r"(?m)^ (?:cookie=(\w+), )?(reg[02]=\w+) actions=(.*)$", dumped)}
    told = replay(heard)
    assert {match: flow for match, flow in told.items() if match[3] != "1"} == known
    assert (told["reg1=0x5"], "reg1=0x6" in told) == ("cookie=0 actions=output:1", False)
    marks = [line for line in heard.splitlines() if "DELETED" in line or re.search(
        r"FLOW_MONITOR_(PAUSED|RESUMED)|event=(PAUSED|RESUMED)|reg2=", line)]
    return "\n".join(marks)


@pytest.mark.parametrize("version", ["10", *(pytest.param(version, marks=pytest.mark.long)
                                             for version in ("13", "15"))])
def test_a_slow_reader_is_paused_and_then_told_the_rest(version, tmp_path):
    assert reader(False, version, tmp_path / "ours") == reader(True, version, tmp_path / "real")
