"""ovs-ofctl beside the real one: same command lines on two like bridges of the real switch.

Also what needs no switch: options, printing, and how long a start takes.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import utilities.ofctl.debug
import utilities.ofctl.groups
import utilities.ofctl.packets
import utilities.ofctl.switch
from tests.utilities.oracle import Server, needs_reference, run_ours, run_reference
from utilities.ofctl import COMMANDS, main

assert utilities.ofctl.debug and utilities.ofctl.groups and utilities.ofctl.packets

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(__file__).parent / "data"
VSWITCH_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")

FILES = {
    "f1.txt": "table=1,priority=5,ip,actions=2\n# a comment\n\nin_port=1 actions=drop\n",
    "f2.txt": "table=1,priority=5,ip,actions=3\n"
              "in_port=2 cookie=0x5 idle_timeout=10 actions=drop\n",
    "g.txt": "group_id=11,type=all,bucket=actions=1,bucket=actions=2\n"
             "group_id=12,type=select,bucket=weight:5,actions=1,bucket=weight:7,actions=2\n",
    "b.txt": "group group_id=1,type=all,bucket=actions=1\n"
             "group add group_id=2,type=all,bucket=actions=2\n"
             "flow add in_port=1,actions=group:1\nflow in_port=2,actions=group:2\n"
             "packet-out in_port=1 packet=ffffffffffff0011223344550800 actions=output:2\n",
    "b2.txt": "foo bar\n",
    "b3.txt": "flow bar\n",
}
_NORMAL = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "DATE"),
    (re.compile(r"duration[=:][\d.]+s"), "duration=D"),
    (re.compile(r"(idle_age|hard_age)=\d+, "), ""),
    (re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}"), "MAC"),
    (re.compile(r"dpid:\w+"), "dpid"),
    (re.compile(r"\bbr[01]\b"), "BR"),
)


def sections() -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for line in (DATA / "ofctl.txt").read_text().splitlines():
        if line.startswith("["):
            rows = found.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            rows.append(shlex.split(line))
    return found


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    """The real ovs-vswitchd with two bridges of three dummy ports each."""
    directory = tmp_path_factory.mktemp("ofctl")
    server = Server(directory, VSWITCH_SCHEMA)
    for name, text in FILES.items():
        (directory / name).write_text(text)
    subprocess.run(["ovs-vswitchd", "--enable-dummy", "--disable-system", "--detach",
                    "--no-chdir", "--pidfile", "--log-file", "-vconsole:off"], cwd=directory,
                   env=server.environment, check=True)
    make_bridges(server)
    yield server
    for name in ("ovs-vswitchd", "ovsdb-server"):
        pidfile = directory / f"{name}.pid"
        if pidfile.exists():
            os.kill(int(pidfile.read_text()), signal.SIGTERM)


def make_bridges(server: Server) -> None:
    words = []
    for bridge in ("br0", "br1"):
        words += ["--", "--if-exists", "del-br", bridge, "--", "add-br", bridge, "--", "set",
                  "bridge", bridge, "datapath-type=dummy", "fail-mode=secure",
                  "protocols=[OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15]"]
        for number in (1, 2, 3):
            port = f"{bridge}-p{number}"
            words += ["--", "add-port", bridge, port, "--", "set", "interface", port,
                      "type=dummy", f"ofport_request={number}"]
    subprocess.run(["ovs-vsctl", *words], env=server.environment, cwd=server.directory,
                   check=True)
    # A bridge that is deleted and made again in one transaction keeps its flows.
    for bridge in ("br0", "br1"):
        for command in ("del-groups", "del-flows"):
            subprocess.run(["ovs-ofctl", command, bridge], env=server.environment,
                           cwd=server.directory, check=True)


def normal(text: str) -> str:
    for pattern, replacement in _NORMAL:
        text = pattern.sub(replacement, text)
    return text


@needs_reference
@pytest.mark.differential
@pytest.mark.parametrize("section", sections())
def test_outputs_are_those_of_the_reference(switch, section):
    make_bridges(switch)
    different = []
    for words in sections()[section]:
        ours = run_ours(main, [re.sub(r"\bBR", "br1", word) for word in words], switch)
        theirs = run_reference("ovs-ofctl", [re.sub(r"\bBR", "br0", word) for word in words],
                               switch)
        for name in ("stdout", "stderr", "code"):
            mine, other = (str(getattr(side, name)) for side in (ours, theirs))
            if normal(mine) != normal(other):
                different.append((words, name, normal(other)[:600], normal(mine)[:600]))
    assert not different


@needs_reference
@pytest.mark.differential
@pytest.mark.skipif(not shutil.which("ovs-appctl"), reason="ovs-appctl is not installed")
def test_a_detached_monitor_prints_and_obeys(switch, tmp_path):
    make_bridges(switch)
    directory = switch.directory
    texts = []
    for side in ("ours", "reference"):
        log = directory / f"{side}.log"
        command = ["ovs-ofctl"] if side == "reference" else [
            sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r});"
            "from utilities.ofctl import main; sys.exit(main(sys.argv[1:]))"]
        with log.open("wb") as output:
            subprocess.run([*command, "monitor", "br0", "65534", "watch:!initial", "--detach",
                            "--no-chdir", "--pidfile"], cwd=directory, env=switch.environment,
                           stderr=output, check=True, timeout=30)

        def control(*words):
            return subprocess.run(["ovs-appctl", "-t", "ovs-ofctl", *words], cwd=directory,
                                  env=switch.environment, capture_output=True, text=True,
                                  timeout=30)

        answers = []
        for words in (("ofctl/send", "0105000800000007", "zz"), ("ofctl/block",),
                      ("ofctl/block",), ("ofctl/unblock",), ("ofctl/barrier",), ("nonsense",),
                      ("ofctl/packet-out", "in_port=1 packet=ffffffffffff0011223344550800 "
                       "actions=controller(pause),2"), ("ofctl/barrier",)):
            result = control(*words)
            answers.append((result.returncode, result.stdout, result.stderr))
        for flow in ("in_port=2,actions=3", "in_port=2,actions=1"):
            subprocess.run(["ovs-ofctl", "add-flow", "br0", flow], cwd=directory,
                           env=switch.environment, check=True)
        subprocess.run(["ovs-ofctl", "del-flows", "br0"], cwd=directory,
                       env=switch.environment, check=True)
        control("ofctl/barrier")
        assert control("exit").returncode == 0
        deadline = time.monotonic() + 10
        while (directory / "ovs-ofctl.pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not list(directory.glob("ovs-ofctl*"))
        # A packet-in may come before or after the reply to the barrier.
        texts.append((answers, sorted(normal(log.read_text()).splitlines())))
    assert texts[0][0] == texts[1][0]
    assert texts[0][1] == texts[1][1]


def run(*words: str) -> tuple[str, str, int]:
    result = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r});"
         "from utilities.ofctl import main; sys.exit(main(sys.argv[1:]))", *words],
        capture_output=True, text=True, env={"OVS_RUNDIR": "/nonexistent", "LC_ALL": "C",
                                             "OVS_SYSLOG_METHOD": "null"}, timeout=30)
    return result.stdout, result.stderr, result.returncode


def test_version_and_list_commands():
    stdout, _, code = run("--version")
    assert stdout.splitlines() == ["ovs-ofctl (Open vSwitch) 4.0.90",
                                   "OpenFlow versions 0x1:0x6"] and code == 0
    listed = {line.split()[0] for line in run("list-commands")[0].splitlines()[1:]}
    assert listed == {row[0] for row in COMMANDS}


@pytest.mark.parametrize("words, text", [
    ((), "missing command name; use --help for help"),
    (("nothing",), "unknown command 'nothing'; use --help for help"),
    (("show",), "'show' command requires at least 1 arguments"),
    (("show", "a", "b"), "'show' command takes at most 1 arguments"),
    (("--read-only", "add-flow", "br0", "drop"),
     "'add-flow' command does not work in read only mode"),
    (("show", "br0"), "br0 is not a bridge or a socket"),
    (("-t", "x", "show", "br0"), "value x on -t or --timeout is invalid"),
    (("-O", "OpenFlow99", "show", "br0"), 'Unknown OpenFlow version: "OpenFlow99"'),
    (("-F", "foo", "show", "br0"), "foo: unknown flow protocol"),
    (("--sort=foo", "dump-flows", "br0"), "foo: unknown field name"),
])
def test_wrong_command_lines_are_refused(words, text):
    assert run(*words) == ("", f"ovs-ofctl: {text}\n", 1)


def test_ofp_print_reads_hexadecimal_with_blanks():
    stdout, stderr, code = run("ofp-print", "01 05 00 08 00 00 00 01")
    assert (stdout, stderr, code) == ("OFPT_FEATURES_REQUEST (xid=0x1):\n", "", 0)
    assert run("ofp-print", "0105000800000001zz")[1] == (
        "ovs-ofctl: trailing garbage following hex bytes\n")


def test_a_start_loads_nothing_heavy():
    script = ("import sys; sys.path.insert(0, sys.argv[1]); from utilities.ofctl import main;"
              "main(['--version']); print(sorted(m for m in sys.modules if m in "
              "('trio', 'argparse', 'jsonschema', 'dataclasses', 'logging', 'json', 're')))")
    result = subprocess.run([sys.executable, "-I", "-c", script, str(ROOT)], capture_output=True,
                            text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
