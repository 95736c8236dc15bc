"""ovs-ofctl says to a switch what the real one said, and shows the answers as it did.

`data/transcripts.jsonl` holds, for one command line each, the messages both ways as the real
ovs-ofctl and ovs-vswitchd exchanged them, and what the command printed; its first line has the
long bodies that several messages end with.
"""

import json
import os
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

import utilities.ofctl.groups
import utilities.ofctl.switch
from tests.utilities.oracle import run_ours
from tests.utilities.replay import CLIENT, Replay
from utilities.ofctl import main

assert utilities.ofctl.groups and utilities.ofctl.switch

BODIES, *ROWS = [json.loads(line) for line in (
    Path(__file__).parent / "data" / "transcripts.jsonl").read_text().splitlines()]
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
    for row in rows:
        messages = [message(said) for said in row["said"]]
        with Replay(tmp_path / "SW.mgmt", messages) as switch:
            outcome = run_ours(main, ["-O", version, *shlex.split(row["command"])], machine)
        expected = [data for side, data in messages if side == CLIENT]
        assert (row["command"], switch.heard) == (row["command"], expected)
        assert outcome.stdout == row["stdout"]
        assert _DATE.sub("", outcome.stderr).strip() == _DATE.sub("", row["stderr"]).strip()
        assert outcome.code == row["code"]
