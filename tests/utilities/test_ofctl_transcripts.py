"""ovs-ofctl says to a switch what the real one said, and shows the answers as it did.

`data/transcripts.jsonl` holds, for one command line each, the messages both ways as the real
ovs-ofctl and ovs-vswitchd exchanged them, and what the command printed; its first line has the
long bodies that several messages end with.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import utilities.ofctl.groups
import utilities.ofctl.switch
from tests.utilities.oracle import run_ours
from tests.utilities.replay import CLIENT, Replay
from utilities.ofctl import main

assert utilities.ofctl.groups and utilities.ofctl.switch

ROOT = Path(__file__).resolve().parents[2]
BODIES, *ROWS = [json.loads(line) for line in (
    Path(__file__).parent / "data" / "transcripts.jsonl").read_text().splitlines()]
FILES = {"flows.txt": "table=0,priority=10,in_port=1,actions=2\ntable=1,ip,actions=drop\n",
         "groups.txt": "group_id=10,type=select,bucket=weight:5,actions=output:1\n"}
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def message(said: str) -> tuple[str, bytes]:
    """(who says it, bytes) of one entry of `said`: C or S, hexadecimal, perhaps @ and a body."""
    head, _, body = said.partition("@")
    return head[0], bytes.fromhex(head[1:] + (BODIES[int(body)] if body else ""))


@pytest.mark.parametrize("version", sorted({row["version"] for row in ROWS}))
def test_commands_say_and_show_what_the_reference_did(version, tmp_path):
    machine = SimpleNamespace(directory=tmp_path, environment={
        "PATH": os.environ["PATH"], "LC_ALL": "C", "OVS_RUNDIR": str(tmp_path),
        "OVS_CTL_TIMEOUT": "10"})
    rows = [row for row in ROWS if row["version"] == version]
    assert len(rows) > 15
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    for row in rows:
        messages = [message(said) for said in row["said"]]
        with Replay(tmp_path / "SW.mgmt", messages) as switch:
            outcome = run_ours(main, ["-O", version, *shlex.split(row["command"])], machine)
        expected = [data for side, data in messages if side == CLIENT]
        assert (row["command"], switch.heard) == (row["command"], expected)
        assert outcome.stdout == row["stdout"]
        assert _DATE.sub("", outcome.stderr).strip() == _DATE.sub("", row["stderr"]).strip()
        assert outcome.code == row["code"]


def play(tmp_path, row: dict, *options: str):
    machine = SimpleNamespace(directory=tmp_path, environment={
        "PATH": os.environ["PATH"], "LC_ALL": "C", "OVS_RUNDIR": str(tmp_path),
        "OVS_CTL_TIMEOUT": "10"})
    with Replay(tmp_path / "SW.mgmt", [message(said) for said in row["said"]]):
        return run_ours(main, ["-O", row["version"], *options, *shlex.split(row["command"])],
                        machine)


def test_every_dump_can_be_had_as_json(tmp_path):
    kinds = set()
    for row in ROWS:
        words = row["command"].split()
        if not words[0].startswith(("dump", "show", "queue", "meter")) or row["code"]:
            continue
        outcome = play(tmp_path, row, "--format=json")
        assert (outcome.stderr, outcome.code) == ("", 0), row["command"]
        documents = [json.loads(line) for line in outcome.stdout.splitlines()]
        assert all(document["version"] == row["version"] for document in documents)
        kinds |= {document["message"] for document in documents}
    assert len(kinds) > 12


def test_flows_as_json_have_their_parts_by_name(tmp_path):
    row = next(row for row in ROWS
               if (row["version"], row["command"]) == ("OpenFlow13", "dump-flows SW"))
    flow, = json.loads(play(tmp_path, row, "--format=json").stdout)["flows"]
    assert (flow["match"], flow["priority"], flow["actions"]) == (
        {"tcp": True, "tp_dst": "80"}, 7, ["set_field:0x5->reg0", "output:2"])
    alone = json.loads(play(tmp_path, row, "--format=json", "--no-stats").stdout)
    assert alone["match"] == flow["match"]
    assert play(tmp_path, row, "--format=xml").stderr == (
        "ovs-ofctl: unknown output format `xml'\n")


def wait_for(condition) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited for 10 s")


def test_a_monitor_that_crashes_is_started_again(tmp_path):
    hello = bytes.fromhex("0100000800000001")
    environment = {"PATH": os.environ["PATH"], "OVS_RUNDIR": str(tmp_path)}
    start = ("import sys; sys.path.insert(0, sys.argv.pop(1));"
             "from utilities.ofctl import main; sys.exit(main(sys.argv[1:]))")
    pidfile, log = tmp_path / "ovs-ofctl.pid", tmp_path / "log"

    def child() -> int:
        return int(pidfile.read_text()) if pidfile.exists() else 0

    with Replay(tmp_path / "SW.snoop", [("S", hello), (CLIENT, hello)]):
        with log.open("wb") as output:
            subprocess.run([sys.executable, "-I", "-c", start, str(ROOT), "snoop", "SW",
                            "--detach", "--no-chdir", "--pidfile", "--monitor"],
                           cwd=tmp_path, env=environment, stderr=output, check=True, timeout=30)
        first = child()
        supervisor = int(Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[1])
        try:
            os.kill(first, signal.SIGSEGV)
            wait_for(lambda: child() not in (0, first))
            assert "|daemon_unix|ERR|1 crashes: pid" in log.read_text()
        finally:
            os.kill(supervisor, signal.SIGTERM)
        wait_for(lambda: not pidfile.exists())
