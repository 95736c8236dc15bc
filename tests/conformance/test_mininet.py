"""Mininet, unmodified, builds its networks of hosts on our switch.

Its Python interface is used, as its users' scripts do (the `mn` program would kill processes of
others when it meets an error).  It finds our programs in PATH and our sockets by the environment,
and makes switches and ports by long ovs-vsctl lines, many switches in one.

      h1 ── s1 ── s2 ── s3 ── h3        (linear; single: three hosts on one switch)
                  │
                  h2
"""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.system.network import ROOT, Namespace, Suite, need_privileges
from utilities.launcher import launcher_text
from utilities.programs import PROGRAMS

PYTHON = "/usr/bin/python3"             # Debian's packages are Debian's Python's.

SCRIPT = """
import json, sys
from functools import partial
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.node import OVSBridge, OVSSwitch
from mininet.topo import LinearTopo, SingleSwitchTopo
from mininet.topolib import TreeTopo
kind = json.loads(sys.argv[1])
topologies = {"single": SingleSwitchTopo(3), "linear": LinearTopo(3), "tree": TreeTopo(2, 2)}
switch = {"bridge": OVSBridge, "switch": OVSSwitch}[kind["switch"]]
options = {"link": TCLink} if kind.get("bandwidth") else {}
net = Mininet(topo=topologies[kind["topology"]], controller=None,
              switch=partial(switch, **kind.get("options", {})), **options)
net.start()
if kind.get("bandwidth"):
    for link in net.links:
        for interface in (link.intf1, link.intf2):
            interface.config(bw=kind["bandwidth"])
answer = {"loss": net.pingAll(timeout="1")}
first, last = net.hosts[0], net.hosts[-1]
answer["connected"] = all(switch.connected() for switch in net.switches)
answer["flows"] = net.switches[0].dpctl("dump-flows")
if kind.get("down"):
    net.configLinkStatus(first.name, net.switches[0].name, "down")
    answer["loss when down"] = net.ping([first, last], timeout="1")
    net.configLinkStatus(first.name, net.switches[0].name, "up")
    # The first ARP request may be lost before the link is up at both ends, and is repeated after 1 s.
    for _ in range(5):
        answer["loss when up"] = net.ping([first, last], timeout="1")
        if not answer["loss when up"]:
            break
net.stop()
print("ANSWER" + json.dumps(answer))
"""


def has_mininet() -> bool:
    """Whether Debian's mininet is here."""
    return subprocess.run([PYTHON, "-c", "import mininet.net"],
                          capture_output=True).returncode == 0


pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not has_mininet(), reason="Debian's mininet is not installed")]


@pytest.fixture(scope="module")
def mininet_suite(tmp_path_factory):
    """Our daemons in a namespace, and a directory of launchers for PATH."""
    need_privileges()
    directory = tmp_path_factory.mktemp("mininet")
    programs = directory / "bin"
    programs.mkdir()
    for name in PROGRAMS:
        path = programs / name
        path.write_text(launcher_text(name, str(ROOT), sys.executable,
                                      sysconfig.get_path("purelib")))
        path.chmod(0o755)
    namespace = Namespace()
    suite = Suite(directory, namespace)
    suite.environment["PATH"] = f"{programs}:{suite.environment['PATH']}"
    try:
        suite.start()
        yield suite
    finally:
        suite.close()
        namespace.close()


def build(suite: Suite, **kind) -> dict:
    """Have Mininet build a network, try it and take it down; return what it saw."""
    script = Path(suite.directory) / "network.py"
    script.write_text(SCRIPT)
    done = subprocess.run(suite.host.command(PYTHON, str(script), json.dumps(kind)),
                          env=suite.environment, capture_output=True, text=True, timeout=60)
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert done.returncode == 0 and answers, done.stdout + done.stderr
    assert suite.vsctl("list-br") == ""         # Mininet has taken down what it made.
    return json.loads(answers[0].removeprefix("ANSWER"))


@pytest.mark.parametrize("kind", [
    {"topology": "single", "switch": "bridge"},
    {"topology": "linear", "switch": "bridge", "down": True},
    {"topology": "tree", "switch": "switch", "options": {"failMode": "standalone"}},
    {"topology": "single", "switch": "switch",
     "options": {"failMode": "standalone", "datapath": "user", "protocols": "OpenFlow13"}},
    {"topology": "linear", "switch": "switch",
     "options": {"failMode": "standalone", "batch": True, "stp": False}},
    {"topology": "single", "switch": "bridge", "bandwidth": 50},
], ids=lambda kind: "-".join(map(str, kind.values())))
def test_all_hosts_reach_each_other(mininet_suite, kind) -> None:
    answer = build(mininet_suite, **kind)
    assert answer["loss"] == 0
    assert answer["connected"]
    if "protocols" not in kind.get("options", {}):      # Mininet asks by OpenFlow 1.0.
        assert answer["flows"].strip().endswith("actions=NORMAL")
    if kind.get("down"):
        assert answer["loss when down"] == 100 and answer["loss when up"] == 0


@pytest.mark.long
def test_a_secure_switch_without_a_controller_forwards_nothing(mininet_suite) -> None:
    answer = build(mininet_suite, topology="single", switch="switch",
                   options={"failMode": "secure"})
    assert answer["loss"] == 100
