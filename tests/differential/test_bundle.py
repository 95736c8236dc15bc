"""Bundles, and what other controllers hear of changes, ours beside Debian's."""

import pytest

from tests.differential.switches import Switch, is_installed
from tests.differential.test_monitor import CTL, END, START, answer, flow_mod
from tests.differential.test_tables import _ALL
from vswitchd.openflow import messages
from vswitchd.openflow.messages.bundle import BundleAdd, BundleControl
from vswitchd.openflow.messages.packet import PacketOut
from vswitchd.openflow.messages.port import PortMod
from vswitchd.openflow.messages.session import AsyncConfig, EchoRequest
from vswitchd.openflow.action_types import Output

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]

OPEN, CLOSE, COMMIT, DISCARD = 0, 2, 4, 6
DUMP = "ovs-ofctl --no-stats dump-flows br0 | sort"


def send(value, version: int, xid: int = 0x31) -> str:
    """A line of shell by which the monitor sends a message."""
    return f"{CTL}send {messages.encode(value, version, xid).hex()}; {CTL}barrier"


def control(kind: int, number: int = 1, flags: int = 3, version: int = 5) -> str:
    return send(BundleControl(number, kind, flags), version, 0x20 + kind)


def add(inner: bytes, number: int = 1, flags: int = 3, version: int = 5) -> str:
    xid = int.from_bytes(inner[4:8], "big")
    return send(BundleAdd(number, flags, inner), version, xid)


def mod(text: str, command: str = "add", version: int = 5, xid: int = 0x61) -> bytes:
    return flow_mod(version, text, command, xid)


def encoded(value, version: int = 5, xid: int = 0x62) -> bytes:
    return messages.encode(value, version, xid)


START14 = START.format(v="14", watch="65534")
WANT_ALL = send(AsyncConfig(_ALL, _ALL), 5)
MAC = bytes.fromhex("020000000001")
FRAME = bytes.fromhex("505400000007505400000005080045000014000000004001") + bytes(20)

SCRIPTS = {
    "life": [
        START14, control(OPEN), control(OPEN), control(OPEN), control(CLOSE), control(CLOSE),
        control(OPEN), control(CLOSE), control(COMMIT), control(COMMIT), control(DISCARD),
        control(OPEN, flags=1), control(COMMIT, flags=3), control(OPEN, flags=2),
        control(DISCARD, flags=3), control(OPEN), control(CLOSE), add(mod("in_port=1,actions=2")),
        control(COMMIT), add(mod("in_port=1,actions=2"), number=7), control(COMMIT, number=7),
        control(OPEN, number=8), add(mod("in_port=1,actions=2"), number=8, flags=1),
        control(DISCARD, number=8), control(OPEN, flags=8), END, DUMP],
    "errors": [
        START14, control(OPEN), add(encoded(EchoRequest(b"x"))),
        add(mod("in_port=1,actions=2", version=4)), control(COMMIT), control(OPEN, number=2),
        add(mod("in_port=1,actions=2"), number=2), add(mod("in_port=2,actions=group:77", xid=0x63),
                                                       number=2),
        add(mod("in_port=3,actions=1", xid=0x64), number=2), control(COMMIT, number=2), DUMP,
        control(OPEN, number=3), add(mod("table=1,in_port=1,actions=2"), number=3),
        add(encoded(PortMod(99, MAC, 1, 1)), number=3), control(COMMIT, number=3), DUMP,
        control(OPEN, number=4, flags=2), add(mod("table=1,in_port=1,actions=2"), number=4, flags=2),
        add(encoded(PortMod(99, MAC, 1, 1)), number=4, flags=2), control(COMMIT, number=4, flags=2),
        DUMP, END],
    "all kinds": [
        START14, control(OPEN, flags=2), add(mod("in_port=1,actions=2"), flags=2),
        add(encoded(PortMod(1, MAC, 0x4, 0x4), xid=0x64), flags=2),
        add(encoded(PacketOut(FRAME, (Output(2),)), xid=0x65), flags=2),
        control(COMMIT, flags=2), END, DUMP, "ovs-ofctl show br0 | grep -A1 '1(p1)'",
        "ovs-ofctl dump-ports br0 p2 | grep tx"],
    "files": [
        "printf 'group group_id=1,type=all,bucket=output:1\\nflow add in_port=1,actions=group:1\\n"
        "packet-out in_port=2,packet=505400000007505400000005080045000014,actions=output:3\\n'"
        " > mix; ovs-ofctl -O OpenFlow14 bundle br0 mix", DUMP,
        "ovs-ofctl -O OpenFlow14 dump-groups br0",
        "printf 'flow add in_port=2,actions=1\\nflow add in_port=3,actions=group:9\\n' > bad; "
        "ovs-ofctl -O OpenFlow14 bundle br0 bad", DUMP,
        "printf 'flow modify in_port=1,actions=3\\ngroup delete group_id=1\\n' > more; "
        "ovs-ofctl -O OpenFlow15 bundle br0 more", DUMP,
        "printf 'add in_port=7,actions=1\\nmodify_strict in_port=7,actions=2\\n"
        "delete_strict in_port=1\\n' > flows; ovs-ofctl --bundle -O OpenFlow13 add-flows br0 flows",
        DUMP, "ovs-ofctl --bundle -O OpenFlow10 add-flows br0 flows; ovs-ofctl --bundle "
        "replace-flows br0 flows", DUMP],
    "forwarded": [
        START14, WANT_ALL,
        "ovs-ofctl -O OpenFlow14 add-group br0 group_id=5,type=all,bucket=output:1",
        "ovs-ofctl -O OpenFlow13 mod-group br0 group_id=5,type=select,bucket=weight:3,output:2",
        "ovs-ofctl -O OpenFlow14 mod-group br0 group_id=6,type=all,bucket=output:1",
        "ovs-ofctl -O OpenFlow13 add-meter br0 meter=4,kbps,band=type=drop,rate=3",
        "ovs-ofctl -O OpenFlow14 --bundle add-group br0 group_id=35,type=all,bucket=output:1",
        "ovs-ofctl -O OpenFlow15 add-group br0 group_id=7,type=indirect,bucket=output:1",
        "ovs-ofctl -O OpenFlow14 del-groups br0", "ovs-ofctl -O OpenFlow13 del-meters br0", END],
}


OFTEN = ("errors", "forwarded")         # the others are part of make check-long
CASES = [pytest.param(name, marks=() if name in OFTEN else pytest.mark.long) for name in SCRIPTS]


@pytest.mark.parametrize("name", CASES)
def test_bundles_do_the_same(name, tmp_path):
    theirs = answer(Switch(tmp_path / "real", True), SCRIPTS[name])
    ours = answer(Switch(tmp_path / "ours", False), SCRIPTS[name])
    assert ours == theirs
