"""ovs-ofctl commands that turn matches into their wire forms and back, to see what is lost.

`parse-ofp10-match`, `parse-ofp11-match` and `check-vlan`.  Each function takes (settings,
arguments) and returns an exit code or None for 0.  None needs a switch.
"""

import struct
import sys
from collections.abc import Callable

from utilities.command_line import Fatal
from utilities.ofctl.connection import note
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.match import Match
from vswitchd.openflow.oxm import (
    decode_match10, decode_match11, decode_nxm, encode_match10, encode_match11, encode_nxm,
)
from vswitchd.openflow.text import FlowTextError, format_match, note_normal, parse_match


def read_hex(text: str, size: int) -> bytes:
    """`size` bytes of hexadecimal digits with blanks between bytes.  Raises Fatal."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise Fatal("Trailing garbage in hex data") from None
    if len(data) != size:
        raise Fatal(f"Input is {len(data)} bytes, expected {size}")
    return data


def _compare(prefix: str, before: bytes, after: bytes) -> None:
    for place, (old, new) in enumerate(zip(before, after)):
        if old != new:
            print(f"{prefix}{place:2}: {old:02x} -> {new:02x}")


def _lines() -> list[str]:
    """What the lines of stdin say, without comments and those that say nothing."""
    lines = (line.split("#", 1)[0].strip() for line in sys.stdin)
    return [line for line in lines if line]


def parse_ofp10_match(settings, arguments) -> None:
    for line in _lines():
        # An x is a digit that may be anything: nothing is made of it.
        data = read_hex(line.replace("x", "0"), 40)
        match = decode_match10(data)
        print(format_match(match))
        again = encode_match10(match)
        _compare("", data, again)
        _compare("normal: ", again, encode_match10(note_normal(match, note)))
        print()


def parse_ofp11_match(settings, arguments) -> None:
    for line in _lines():
        data = read_hex(line, 88)
        try:
            match = decode_match11(data)
        except OpenFlowError as error:
            print(f"bad ofp11_match: {error.name}\n")
            continue
        print(format_match(match))
        _compare("", data, encode_match11(match))
        print()


# VLANs: one match in every form that there is.

_VLAN10, _PCP10 = 0x2, 0x100000
_VLAN11, _PCP11 = 0x2, 0x4
_PRESENT, _VID = 0x1000, 0x1FFF


def _number(text: str) -> int:
    """The 16 bits of a number in hexadecimal, 0 if it is none."""
    try:
        return int(text, 16) & 0xFFFF
    except ValueError:
        return 0


def _tci(match: Match) -> str:
    value, mask = match.fields.get("vlan_tci", (0, 0))
    return f"{value:04x}/{mask:04x}"


def _show_text(match: Match) -> None:
    text = format_match(match)
    try:
        print(f"{text} -> {_tci(parse_match(text)[0])}")
    except FlowTextError as error:
        raise Fatal(str(error)) from None


def _show_tlvs(name: str, match: Match, version: int, describe: Callable[[Match], str]) -> None:
    from vswitchd.openflow.oxm_text import format_oxm
    data = encode_nxm(match, version)
    try:
        result = describe(decode_nxm(data)[0])
    except OpenFlowError as error:
        result = error.name
    print(f"{name}: {format_oxm(data)} -> {result}")


def _describe_oxm(match: Match) -> str:
    """VLAN id with its mask, and the priority if it is matched."""
    value, mask = match.fields.get("vlan_tci", (0, 0))
    priority = f"{value >> 13:02x}" if mask >> 13 else "--"
    return f"{value & _VID:04x}/{mask & _VID:04x},{priority}"


def _show_fixed(name: str, parts: tuple[int, int, int], wild: tuple[int, int],
                again: Match) -> None:
    wildcards, vlan, priority = parts
    flags = [int(bool(wildcards & bit)) for bit in wild]
    print(f"{name}: {vlan:04x}/{flags[0]},{priority:02x}/{flags[1]} -> {_tci(again)}")


def check_vlan(settings, arguments) -> None:
    value, mask = (_number(text) for text in arguments)
    match = Match({"vlan_tci": (value & mask, mask)} if mask else {})
    _show_text(match)
    _show_tlvs("NXM", match, 0, _tci)
    _show_tlvs("OXM", match, 3, _describe_oxm)
    data = encode_match10(match)
    _show_fixed("OF1.0", struct.unpack_from("!I14xHB", data), (_VLAN10, _PCP10),
                decode_match10(data))
    data = encode_match11(match)
    _show_fixed("OF1.1", struct.unpack_from("!8xI24xHB", data), (_VLAN11, _PCP11),
                decode_match11(data))
