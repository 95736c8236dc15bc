"""The same frames through our parser and Debian's ovs-vswitchd, whose `miss upcall` log shows the
flow that it made of each. Well-formed frames and random damage to them.
"""

import os
import random
import re
import signal
import shutil
import subprocess

import pytest

from datapath import text
from tests.datapath.test_parser import CASES

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
N_FRAMES = 250                   # The log of misses is limited to about 300 at a time.
# Members that this log does not show.
UNSHOWN = ("in_port", "nd_options_type", "nd_reserved", "igmp_group")

pytestmark = [
    pytest.mark.differential,
    pytest.mark.skipif(not shutil.which("ovs-vswitchd") or not os.path.exists(SCHEMA),
                       reason="Debian's Open vSwitch is not installed")]


def frames(seed: int) -> list[bytes]:
    """Frames of the parser's cases and damaged ones, told apart by their source address."""
    generator = random.Random(seed)
    whole = [frame for frame, _ in CASES.values() if len(frame) >= 14]
    found = list(whole)
    while len(found) < N_FRAMES:
        frame = bytearray(generator.choice(whole))
        for _ in range(generator.randrange(1, 4)):
            frame[generator.randrange(12, min(len(frame), 90))] ^= 1 << generator.randrange(8)
        if generator.random() < 0.3:
            frame = frame[:generator.randrange(14, len(frame) + 1)]
        found.append(bytes(frame))
    return [frame[:6] + b"\x02\x01\x00" + n.to_bytes(3, "big") + frame[12:]
            for n, frame in enumerate(found)]


@pytest.fixture
def reference(tmp_path):
    """A function that runs a command with Debian's daemons, in dummy mode; and their directory."""
    directory = str(tmp_path)
    environment = os.environ | {"OVS_RUNDIR": directory, "OVS_LOGDIR": directory,
                                "OVS_DBDIR": directory}

    def run(*command: str) -> str:
        return subprocess.run(command, env=environment, capture_output=True, text=True,
                              check=True).stdout
    remote = f"unix:{directory}/db.sock"
    run("ovsdb-tool", "create", f"{directory}/conf.db", SCHEMA)
    run("ovsdb-server", "--detach", "--no-chdir", "--pidfile", "--log-file",
        f"--remote=p{remote}", f"{directory}/conf.db")
    try:
        run("ovs-vsctl", "--no-wait", "init")
        run("ovs-vswitchd", "--detach", "--no-chdir", "--pidfile", "--log-file",
            "--enable-dummy=override", "--disable-system", remote)
        switch = int((tmp_path / "ovs-vswitchd.pid").read_text())
        try:
            yield run, tmp_path
        finally:
            # It may sleep for ever at its end, once it was made to send damaged frames.
            os.kill(switch, signal.SIGKILL)
    finally:
        run("ovs-appctl", "-t", "ovsdb-server", "exit")


def seen_by_reference(reference, vlan_limit: int, sent: list[bytes]) -> dict[str, str]:
    """{source address: flow text} of the frames that the reference has logged."""
    run, directory = reference
    run("ovs-vsctl", "set", "Open_vSwitch", ".", f"other_config:vlan-limit={vlan_limit}")
    run("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath-type=dummy",
        "fail-mode=secure", "--", "add-port", "br0", "p1", "--", "set", "interface", "p1",
        "type=dummy", "ofport_request=1")
    run("ovs-ofctl", "add-flow", "br0", "actions=drop")
    run("ovs-appctl", "upcall/disable-megaflows")
    run("ovs-appctl", "vlog/set", "dpif_netdev:file:dbg")
    for frame in sent:
        run("ovs-appctl", "netdev-dummy/receive", "p1", frame.hex())
    log = (directory / "ovs-vswitchd.log").read_text()
    flows = re.findall(r"miss upcall:\n(.*)\n", log)
    return {re.search(r"eth\(src=([0-9a-f:]+)", flow)[1]: flow for flow in flows}


def shown(values: dict[str, int]) -> dict[str, int]:
    """What the reference's text of a flow can show of `values`."""
    values = {name: value for name, value in values.items() if value and name not in UNSHOWN}
    if values.get("eth_type") == 0x05FF:
        del values["eth_type"]
    if values.get("eth_type") == 0x0800 and values.get("nw_proto") == 2:
        values.pop("tp_src", None)
        values.pop("tp_dst", None)
    return values


@pytest.mark.parametrize("vlan_limit", [1, 2])
def test_both_make_the_same_flow_of_a_frame(reference, face_of_datapath, vlan_limit):
    face = face_of_datapath
    dp = face.datapath_open("test", vlan_limit=vlan_limit)
    sent = frames(vlan_limit)
    theirs = seen_by_reference(reference, vlan_limit, sent)
    n_compared, different = 0, {}
    for frame in sent:
        flow = theirs.get(frame[6:12].hex(":"))
        # Cut-off tags and labels and flags without names are written so that they cannot be read.
        if flow is None or re.search(r"encap\(\)|\[|bad key", flow):
            continue
        expected = shown(text.parse_flow(flow)[0])
        got = shown(text.unpack(face.frame_parse(frame, 1)))
        n_compared += 1
        if got != expected:
            different[frame.hex()] = (expected, got)
    face.datapath_close(dp)
    assert different == {}
    assert n_compared > N_FRAMES // 2


@pytest.fixture
def face_of_datapath():
    """The face of our library."""
    from datapath import face
    return face
