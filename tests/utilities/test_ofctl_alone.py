"""ovs-ofctl's commands that need no switch print what the real one printed, byte for byte.

`data/ofctl_alone.jsonl`: command lines with what they read, their output and their exit code.
"""

import json
import os
import re
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

import utilities.ofctl.debug
import utilities.ofctl.flows
import utilities.ofctl.groups
import utilities.ofctl.packets
import utilities.ofctl.wire
from tests.utilities.oracle import run_ours
from utilities.ofctl import main

assert (utilities.ofctl.debug and utilities.ofctl.flows and utilities.ofctl.groups
        and utilities.ofctl.packets and utilities.ofctl.wire)

ROWS = [json.loads(line) for line in (
    Path(__file__).parent / "data" / "ofctl_alone.jsonl").read_text().splitlines()]
_STAMP = re.compile(r"^(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?\|\d+\|", re.M)


@pytest.fixture
def machine(tmp_path):
    return SimpleNamespace(directory=tmp_path, environment={
        "PATH": os.environ["PATH"], "LC_ALL": "C", "OVS_RUNDIR": str(tmp_path)})


def command_of(row: dict) -> str:
    return next(word for word in row["argv"] if "-" in word and not word.startswith("-"))


@pytest.mark.parametrize("command", sorted({command_of(row) for row in ROWS}))
def test_output_is_that_of_the_reference(command, machine):
    for row in ROWS:
        if command_of(row) != command:
            continue
        outcome = run_ours(main, row["argv"], machine, row.get("stdin", "").encode())
        assert (outcome.stdout, _STAMP.sub("", outcome.stderr), outcome.code) == (
            row["stdout"], _STAMP.sub("", row.get("stderr", "")), row.get("code", 0)), row["argv"]


def segment(source: str, target: str, sequence: int, flags: int, payload: bytes) -> bytes:
    """An Ethernet frame with a TCP segment between two ADDRESS:PORT."""
    ends = []
    for text in (source, target):
        address, port = text.split(":")
        ends.append((bytes(map(int, address.split("."))), int(port)))
    tcp = struct.pack("!HHIIHHHH", ends[0][1], ends[1][1], sequence, 0, 0x5000 | flags, 100, 0,
                      0) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0)
    return bytes(12) + b"\x08\x00" + ip + ends[0][0] + ends[1][0] + tcp


def test_recorded_connections_are_put_together_and_shown(machine):
    here, there = "10.0.0.1:4000", "10.0.0.2:6653"
    hello, request = bytes.fromhex("0100000800000001"), bytes.fromhex("0105000800000002")
    frames = [segment(here, there, 100, 2, b""),
              segment(here, there, 101, 16, hello + request[:3]),
              segment(there, here, 500, 16, hello),
              segment(here, there, 101, 16, hello),            # once more: not taken
              segment(here, there, 112, 16, request[3:]),
              segment(here, "10.0.0.2:80", 1, 16, hello),      # no OpenFlow
              segment(here, there, 117, 17, b"")]
    pcap = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(
        struct.pack("<IIII", number, 250000, len(frame), len(frame)) + frame
        for number, frame in enumerate(frames))
    (machine.directory / "t.pcap").write_bytes(pcap)
    to, back = "10.0.0.1.4000 > 10.0.0.2.6653:\n", "10.0.0.2.6653 > 10.0.0.1.4000:\n"
    shown = "OFPT_HELLO (xid=0x1):\n version bitmap: 0x01\n"
    assert run_ours(main, ["ofp-parse-pcap", "t.pcap"], machine).stdout == (
        f"{to}{shown}\n{back}{shown}\n{to}OFPT_FEATURES_REQUEST (xid=0x2):\n")
    stamped = run_ours(main, ["--timestamp", "ofp-parse-pcap", "t.pcap"], machine).stdout
    assert stamped.startswith(f"00:00:01.250 {to}")
    assert run_ours(main, ["ofp-parse-pcap", "t.pcap", "80"], machine).stdout == (
        f"10.0.0.1.4000 > 10.0.0.2.80:\n{shown}")
