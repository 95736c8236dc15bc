"""Debian's script that ifup and ifdown call for Open vSwitch, unmodified, with our ovs-vsctl.

It is given what ifupdown would give it: the stanza of /etc/network/interfaces as IF_... variables.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.system.network import ROOT, Namespace, Suite, need_privileges
from utilities.launcher import launcher_text

SCRIPT = "/usr/share/openvswitch/scripts/ifupdown.sh"

pytestmark = [pytest.mark.system,
              pytest.mark.skipif(not os.path.exists(SCRIPT),
                                 reason="Debian's openvswitch-switch is not installed")]

PORTS = {
    "e0": {"type": "OVSPort", "options": "tag=3 vlan_mode=access"},
    "vlan1": {"type": "OVSIntPort", "options": "tag=50",
              "extra": "set interface ${IFACE} external-ids:iface-id=$(echo here)-x"},
    "bond0": {"type": "OVSBond", "bonds": "e1 e2",
              "options": "bond_mode=balance-slb trunks=1,2,3"},
    "patch0": {"type": "OVSPatchPort", "patch_peer": "patch1"}}


@pytest.fixture
def suite(tmp_path: Path):
    """A switch; ovs-vsctl, and services that always run, are first in PATH."""
    need_privileges()
    programs = tmp_path / "bin"
    programs.mkdir()
    texts = {"ovs-vsctl": launcher_text("ovs-vsctl", str(ROOT), sys.executable,
                                        sysconfig.get_path("purelib")),
             "systemctl": "#!/bin/sh\n", "service": "#!/bin/sh\n"}
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    namespace = Namespace()
    found = Suite(tmp_path, namespace)
    found.environment["PATH"] = f"{programs}:{found.environment['PATH']}"
    try:
        found.start()
        yield found
    finally:
        found.close()
        namespace.close()


def call(suite: Suite, mode: str, name: str, **stanza: str) -> None:
    """Runs the script as ifup (start) or ifdown (stop) does."""
    variables = {"MODE": mode, "IFACE": name,
                 **{f"IF_OVS_{key.upper()}": value for key, value in stanza.items()}}
    done = subprocess.run(suite.host.command(SCRIPT), env=suite.environment | variables,
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "ovs-vsctl" not in done.stderr, done.stderr


def test_stanzas_make_bridges_and_ports_and_take_them_away(suite: Suite) -> None:
    for number in range(3):
        suite.host.ip(f"link add e{number} type veth peer name f{number}")
    call(suite, "start", "br0", type="OVSBridge", options="-- set bridge br0 fail_mode=secure",
         extra="set bridge ${IFACE} datapath_type=netdev external-ids:who=${IFACE}")
    for _ in range(2):                      # a second ifup changes nothing
        for name, stanza in PORTS.items():
            if stanza["type"] != "OVSBond" or name not in suite.vsctl("list-ports", "br0"):
                call(suite, "start", name, bridge="br0", **stanza)
    assert suite.get("bridge", "br0", "fail_mode", "external_ids") == ["secure", "{who=br0}"]
    assert suite.vsctl("list-ports", "br0").split() == sorted(PORTS)
    assert suite.get("port", "e0", "tag", "vlan_mode") == ["3", "access"]
    assert suite.get("interface", "vlan1", "type", "external_ids") == [
        "internal", "{iface-id=here-x}"]
    assert suite.get("port", "bond0", "bond_mode", "trunks", "bond_fake_iface") == [
        "balance-slb", "[1, 2, 3]", "true"]
    assert suite.get("interface", "patch0", "type", "options") == ["patch", "{peer=patch1}"]
    for device in ("e0", "e1", "e2", "vlan1"):
        assert "UP" in suite.host.ip(f"link show {device}").partition(">")[0]
    for name, stanza in PORTS.items():
        call(suite, "stop", name, bridge="br0", type=stanza["type"])
    assert suite.vsctl("list-ports", "br0") == "" and not suite.host.exists("vlan1")
    call(suite, "stop", "br0", type="OVSBridge")
    call(suite, "stop", "br0", type="OVSBridge")
    assert suite.vsctl("list-br") == "" and not suite.host.exists("br0")
