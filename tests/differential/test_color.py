"""What --color and OVS_COLORS mark, by our ovs-ofctl and by Debian's."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from tests.differential.switches import Switch, is_installed, ours

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="needs Debian's openvswitch-switch")]

_DATA = Path(__file__).parents[1] / "vswitchd" / "openflow" / "data" / "flow_mods.jsonl"
_CLIENTS = (["ovs-ofctl"], ours("ovs-ofctl"))


def _flows(version: str) -> list[str]:
    """Matches and actions of all kinds that Debian's ovs-ofctl knows too."""
    texts = {json.loads(line)["flow"] for line in _DATA.read_text().splitlines()}
    known = [text for text in sorted(texts) if subprocess.run(
        ["ovs-ofctl", "-vOFF", f"-OOpenFlow{version}", "parse-flow", text],
        capture_output=True, check=False).returncode == 0]
    assert len(known) > 100
    return known


@pytest.mark.parametrize("version", ["10", "13", "15"])
def test_all_matches_and_actions_have_the_references_colors(version, tmp_path):
    path = tmp_path / "flows"
    path.write_text("\n".join(_flows(version)))
    theirs, our = (subprocess.run(
        [*client, "-vOFF", "--color=always", f"-OOpenFlow{version}", "parse-flows", str(path)],
        capture_output=True, check=True, text=True).stdout for client in _CLIENTS)
    assert "\33[36m" in theirs
    assert our == theirs


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    switch = Switch(tmp_path_factory.mktemp("color") / "switch", real=True)
    switch.run("ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure "
               "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15 "
               "-- add-port br0 p1 -- set interface p1 type=dummy")
    switch.run("ovs-ofctl -O OpenFlow14 add-flow br0 'table=3,cookie=5,idle_timeout=100,"
               "hard_timeout=200,importance=7,send_flow_rem,check_overlap,no_packet_counts,"
               "reset_counts,priority=7,tcp,in_port=1,actions=output:2,dec_ttl,goto_table:5'")
    switch.run("ovs-ofctl add-flow br0 in_port=1,actions=drop")
    switch.run("ovs-ofctl -O OpenFlow15 add-group br0 'group_id=1,type=select,bucket=bucket_id:3,"
               "weight:5,watch_port:1,actions=output:1,dec_ttl,bucket=drop'")
    # More than what is written in one piece.
    lines = "\n".join(f"table=4,ip,nw_src=10.0.{n}.1,actions=note:{n:02x}" for n in range(100))
    switch.run(f"printf '{lines}' | ovs-ofctl add-flows br0 -")
    yield switch
    switch.close()


@pytest.mark.parametrize("command", [
    "dump-flows br0", "-O OpenFlow14 dump-flows br0", "--no-stats dump-flows br0 table=3",
    "--sort dump-flows br0", "--names dump-flows br0 in_port=1", "-O OpenFlow15 dump-groups br0",
    "diff-flows br0 /dev/null", "dump-aggregate br0 table=3", "-mm dump-flows br0 table=3"])
def test_answers_have_the_references_colors(command, switch):
    shown = []
    for client in _CLIENTS:
        done = subprocess.run([*client, "--color=yes", *command.split()], text=True,
                              env=switch.environment, capture_output=True, check=False)
        shown.append("".join(sorted(_without_times(done.stdout))))
    assert "\33[" in shown[0] or "aggregate" in command
    assert shown[1] == shown[0]


def _without_times(text: str) -> list[str]:
    """The lines without times."""
    return re.sub(r"(\Sduration=|_age=)(\S*?K)[\d.]+", r"\1\2", text).splitlines(keepends=True)


@pytest.mark.parametrize("capabilities", ["dr=35", "dr=:vl=4;1", "xx=1:dr=1;4", "dr=ab", ":", "ac"])
def test_colors_are_those_of_the_environment(capabilities):
    theirs, our = (subprocess.run(
        [*client, "--color=always", "parse-flow", "tcp,in_port=1,actions=drop"], text=True,
        env=_environment(capabilities), capture_output=True, check=True).stdout
        for client in _CLIENTS)
    assert our == theirs


def _environment(colors: str) -> dict[str, str]:
    return {**os.environ, "OVS_COLORS": colors}


@pytest.mark.parametrize("terminal", ["xterm", "dumb"])
@pytest.mark.parametrize("option", [[], ["--color"], ["--color=tty"], ["--color=none"]])
def test_terminals_have_colors_if_they_are_asked_for(option, terminal):
    shown = []
    for client in _CLIENTS:
        mine, other = pty.openpty()
        subprocess.run([*client, *option, "parse-flow", "in_port=1,actions=drop"], stdout=other,
                       env={**os.environ, "TERM": terminal}, check=True)
        os.close(other)
        shown.append(os.read(mine, 65536))
        os.close(mine)
    assert shown[1] == shown[0]
    assert (b"\33[" in shown[0]) == (terminal == "xterm" and option in (["--color"], ["--color=tty"]))
