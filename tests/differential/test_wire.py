"""Messages and actions changed along their structure: ours beside Debian's programs.

Texts of messages (`ofp-parse`) and of lists of actions and instructions (`parse-actions`,
`parse-instructions`) are compared in full. All is seeded. A few seeds run always; those marked
`long` are many. What switches answer is in test_conversation.py.
"""

import io
import random
import re
import shutil
import struct
import subprocess
import sys

import pytest

from tests.differential.test_print import shown_by_reference
from tests.fuzz.structure import change, elements, mutate, pieces, sound
from utilities.ofctl import debug
from vswitchd.openflow.print import format_message

pytestmark = [
    pytest.mark.differential,
    pytest.mark.skipif(not shutil.which("ovs-ofctl"), reason="ovs-ofctl is not installed")]

VERSIONS = {1: "OpenFlow10", 2: "OpenFlow11", 3: "OpenFlow12", 4: "OpenFlow13", 5: "OpenFlow14",
            6: "OpenFlow15"}
CHANGES = (0, 1, 1, 1, 1, 2, 2, 3, 5)
_HASH_TABLE = {"OFPBAC_BAD_SET_LEN", "OFPBAC_BAD_SET_TYPE", "OFPBMC_BAD_LEN",
               "OFPBMC_BAD_WILDCARDS"}
"""Which of these the reference says of an unknown field depends on its hash table."""


def errors(text: str) -> set[str]:
    return set(re.findall(r"\b(?:OFP|NX)[A-Z]+C_[A-Z_]+", text))


def is_known(theirs: str, ours: str) -> bool:
    """Whether docs/compatibility.md tells of the difference."""
    said = errors(theirs) | errors(ours)
    return (bool(said) and said <= _HASH_TABLE
            or "NXT_CT_FLUSH" in theirs
            # The reference takes an experimenter's property for one of its own.
            or "TABLE_FEATURES" in theirs and "OFPBPC_BAD_LEN" in theirs)


# Texts of messages.


@pytest.mark.parametrize("seed, count", [
    (1, 6000), *(pytest.param(seed, 40000, marks=pytest.mark.long) for seed in (2, 3))])
def test_messages_are_shown_as_the_reference_shows_them(seed, count, tmp_path):
    rng = random.Random(seed)
    groups = list(sound().values())
    others = pieces(data for group in groups for data in group)
    messages = [mutate(rng, rng.choice(rng.choice(groups)), rng.choice(CHANGES), others)
                for _ in range(count)]
    shown = shown_by_reference(messages, tmp_path)
    different = [(data.hex(), theirs, ours)
                 for data, theirs in zip(messages, shown, strict=True)
                 if (ours := format_message(data, 2)) != theirs and not is_known(theirs, ours)]
    assert len(different) <= count // 10000, different[:3]


# Lists of actions and instructions.


def action_pool(version: int) -> list[bytes]:
    """Actions from recorded messages that `version` may know."""
    found = set()
    for (_, spoken), group in sound().items():
        for message in group:
            for one in elements(message):
                data = message[one.at:one.at + one.size]
                if one.length_at != one.at + 2 or not 8 <= one.size <= 160 or one.size & 7:
                    continue
                if data[:2] == b"\xff\xff" or (spoken > 1) == (version > 1) and data[0] == 0:
                    found.add(data)
    return sorted(found)


def action_list(rng: random.Random, pool: list[bytes], instructions: bool) -> bytes:
    items = []
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5))):
        data = rng.choice(pool)
        if rng.random() < 0.6:
            message = bytearray(8) + data
            change(rng, message, pool)
            data = bytes(message[8:])
            data += bytes(-len(data) % 8)
            if len(data) >= 4 and rng.random() < 0.7:
                data = data[:2] + struct.pack("!H", len(data) & 0xFFFF) + data[4:]
        items.append(data)
    data = b"".join(items)[:60000]
    if instructions and rng.random() < 0.85:
        data = struct.pack("!HH4x", rng.choice((3, 4, 4, 4)), len(data) + 8) + data
    return data


class Settings:
    """What the commands want to know."""

    strict, verbosity = False, 0


@pytest.mark.parametrize("seed, count", [(1, 250), pytest.param(2, 3000, marks=pytest.mark.long)])
@pytest.mark.parametrize("command, parse", [("parse-actions", debug.parse_actions),
                                            ("parse-instructions", debug.parse_instructions)])
@pytest.mark.parametrize("version", VERSIONS)
def test_actions_are_read_as_the_reference_reads_them(version, command, parse, seed, count,
                                                      monkeypatch):
    rng = random.Random(f"{seed} {version} {command}")
    pool = action_pool(version)
    lists = (action_list(rng, pool, command == "parse-instructions") for _ in range(count))
    lines = [data.hex() for data in lists if data]
    done = subprocess.run(["ovs-ofctl", "-voff", command, VERSIONS[version]],
                          input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    printed = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)
    monkeypatch.setattr(debug, "warn", lambda module, text: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    monkeypatch.setattr(sys, "stdout", printed)
    parse(Settings, [VERSIONS[version]])
    monkeypatch.undo()
    ours = printed.buffer.getvalue().decode()
    rows = zip(lines, done.stdout.split("\n\n"), ours.split("\n\n"))
    different = [row for row in rows if row[1] != row[2] and not is_known_action(*row)]
    assert ours.count("\n\n") == len(lines)
    assert len(different) <= count // 1000, different[:3]


def is_known_action(line: str, theirs: str, ours: str) -> bool:
    """Whether docs/compatibility.md tells of the difference, or has the action only since 3.1."""
    return (is_known(theirs, ours)
            or "00002320000d" in line                   # Reserved fields of bundle_load.
            or "0000232000" in line and "sample" in ours
            or "000023200033" in line                   # sample with fields as ids.
            or "000023200001" in line or "000023200025" in line     # Shortest forms.
            or "00002320002e" in line                   # Versions of NSH.
            or "set_mpls_" in theirs and "BAD_ARGUMENT" in ours)
