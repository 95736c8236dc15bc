"""os-ken's own test of switches, run as its users do: two bridges joined by three wires, one under
test and one that sends and receives.

       ┌────────────┐ 1 ─────── 1 ┌────────────┐
       │ target  s1 │ 2 ─────── 2 │ tester  s2 │
       └────────────┘ 3 ─────── 3 └────────────┘

`run` carries out a directory of its cases (JSON files) and returns {case: "OK" or what went wrong}.
"""

import re
from pathlib import Path

from tests.conformance.controllers import Controller, Suite
from tests.system.network import wait

# What it waits, in seconds, for a packet that should not come.
_PATIENCE = 0.6
_RUN = ("import sys; from os_ken.tests.switch import tester; tester.INTERVAL = {patience}; "
        "sys.argv[0] = 'osken-manager'; from os_ken.cmd.manager import main; main()")


def cases() -> Path:
    """Where the cases are."""
    from tests.conformance.controllers import HOME
    return next(HOME.glob("lib/python3*/site-packages/os_ken/tests/switch"))


def build(suite: Suite) -> None:
    """Makes the two bridges."""
    suite.host.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6", check=False)
    for number in (1, 2, 3):
        suite.host.ip(f"link add s1-{number} type veth peer name s2-{number}")
    for bridge in (1, 2):
        suite.add_bridge(f"s{bridge}", f"other-config:datapath-id={bridge:016x}",
                         "fail_mode=secure")
        for number in (1, 2, 3):
            suite.host.ip(f"link set s{bridge}-{number} up")
            suite.vsctl("add-port", f"s{bridge}", f"s{bridge}-{number}", "--", "set", "interface",
                        f"s{bridge}-{number}", f"ofport_request={number}")


def run(suite: Suite, version: str, *directories: Path, timeout: float = 300) -> dict[str, str]:
    """Runs the cases of some directories by OpenFlow `version` ("10", "13", "14")."""
    found = {}
    for bridge in ("s1", "s2"):
        suite.vsctl("set", "bridge", bridge, f"protocols=OpenFlow{version}")
    for directory in directories:
        tester = suite.control(
            "-c", _RUN.format(patience=_PATIENCE), "--test-switch-dir", str(directory),
            "--test-switch-target-version", f"openflow{version}",
            "--test-switch-tester-version", f"openflow{version}", "os_ken.tests.switch.tester")
        for bridge in ("s1", "s2"):
            suite.vsctl("set-controller", bridge, "tcp:127.0.0.1:6653", "--", "set", "controller",
                        bridge, "connection_mode=out-of-band", "max_backoff=1000")
        try:
            wait(lambda: tester.has_ended, timeout, 0.2)
        finally:
            tester.close()
        found |= results(tester)
    return found


def results(tester: Controller) -> dict[str, str]:
    """{case: outcome} of what the test has printed."""
    found, group, last = {}, "", ""
    assert "--- Test start ---" in tester.text, tester.text[-2000:]
    body = tester.text.partition("--- Test start ---")[2].partition("---  Test end  ---")[0]
    for line in body.splitlines():
        if match := re.fullmatch(r"    (\S.*?)\s+(OK|ERROR)", line):
            last = f"{group}: {match[1]}"
            while last in found:            # some are described alike
                last += "'"
            found[last] = match[2]
        elif line.startswith("        ") and last:
            found[last] += f" {line.strip()}"
        elif line.strip() and not line.startswith(("dpid=", " ")):
            group = line.strip()
    return found
