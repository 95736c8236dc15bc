"""Texts of messages: as the real ovs-ofctl printed them, damaged ones included."""

import json
import struct
from pathlib import Path

import pytest

from vswitchd.openflow.messages.base import hex_dump
from vswitchd.openflow.print import format_message

DATA = Path(__file__).parent / "data"
ROWS = [json.loads(line) for line in (DATA / "printed.jsonl").read_text().splitlines()]


def test_texts_are_those_of_the_reference():
    for row in ROWS:
        assert format_message(bytes.fromhex(row["message"]), 1) == row["text"], row["message"]
    assert len(ROWS) > 1000


def test_damaged_messages_are_those_of_the_reference():
    """As above, of messages with random damage; what is dumped of those refused is left out."""
    rows = [json.loads(line) for line in (DATA / "damaged.jsonl").read_text().splitlines()]
    for row in rows:
        data = bytes.fromhex(row["message"])
        text = format_message(data, 2)
        if row.get("dumped"):
            text = text.replace(hex_dump(data), "DUMP\n")
        assert text == row["text"], row["message"]
    assert len(rows) > 2000


def flow_update(size: int, event: int, table: int = 3, match_size: int = 0) -> bytes:
    """A flow update of OpenFlow 1.0 as Nicira has it, about any packet."""
    return struct.pack("!HHHHHHHBxQ", size, event, 0, 5, 0, 0, match_size, table, 0)


@pytest.mark.parametrize("updates, text, warning", [
    (flow_update(24, 0) + flow_update(24, 2, 4),
     " event=ADDED table=3 cookie=0 \n event=MODIFIED table=4 cookie=0\n", None),
    (flow_update(24, 0) + bytes.fromhex("0008000400000005"),
     " event=ADDED table=3 cookie=0\n***decode error: NXBRC_FM_BAD_EVENT***\n",
     "has bad event 4"),
    (flow_update(24, 0) + bytes.fromhex("0008000100000005"),
     " event=ADDED table=3 cookie=0\n***decode error: OFPBRC_BAD_LEN***\n",
     "has 8 leftover bytes at end"),
    (flow_update(24, 0, match_size=8), "***decode error: OFPBRC_BAD_LEN***\n",
     "has 0 leftover bytes at end"),
    (flow_update(32, 0, match_size=16) + bytes(8), "***decode error: OFPBRC_BAD_LEN***\n",
     "has 8 leftover bytes at end"),
])
def test_updates_about_any_packet_are_those_of_the_reference(updates, text, warning):
    data = struct.pack("!BBHIHHIII", 1, 17, 24 + len(updates), 9, 0xFFFF, 0, 0x2320, 2, 0) + updates
    said = []
    printed = format_message(data, 1, warn=lambda module, line: said.append(line))
    title = "NXST_FLOW_MONITOR reply (xid=0x9):"
    assert printed.replace(hex_dump(data), "").removeprefix(title).lstrip("\n") in (text, " " + text)
    assert said == ([f"NXST_FLOW_MONITOR reply {warning}"] if warning else [])


@pytest.mark.parametrize("data, text", [
    ("", "OpenFlow message is empty\n"),
    ("00", "OpenFlow packet too short (only 1 bytes):\n"
           "00000000  00                                              |.               |\n"),
    ("010000ff00000001", "OFPT_HELLO (xid=0x1):\n(***truncated to 8 bytes from 255***)\n"
     "00000000  01 00 00 ff 00 00 00 01-                        |........        |\n"),
    ("0100000800000001ff", "(***only uses 8 bytes out of 9***)\n"
     "00000000  01 00 00 08 00 00 00 01-ff                      |.........       |\n"),
])
def test_what_is_no_whole_message_is_dumped(data, text):
    assert format_message(bytes.fromhex(data), 1) == text


def test_verbosity_adds_dumps():
    echo = bytes.fromhex("0102000b00000001aabbcc")
    dump = "00000000  aa bb cc                                        |...             |\n"
    whole = "00000000  01 02 00 0b 00 00 00 01-aa bb cc                |...........     |\n"
    title = "OFPT_ECHO_REQUEST (xid=0x1): 3 bytes of payload\n"
    assert format_message(echo, 1) == title
    assert format_message(echo, 2) == title + dump
    assert format_message(echo, 5) == title + dump + whole


def test_names_replace_numbers_and_are_quoted_when_odd():
    request = bytes.fromhex("0110001400000009000400000003000000000000")
    assert format_message(request, 1, {3: "p3"}).endswith(" port_no=p3\n")
    assert format_message(request, 1, {3: "br0-p3"}).endswith(' port_no="br0-p3"\n')


def test_warnings_are_told_with_their_module():
    warnings = []
    format_message(bytes.fromhex("0163000800000001"), 1,
                   warn=lambda module, text: warnings.append((module, text)))
    assert warnings == [("ofp_msgs", "unknown OpenFlow message (version 1, type 99)")]
