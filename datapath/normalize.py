"""normalize-actions of ovs-dpctl and dpctl/*: actions by the headers that a frame has there.

Pure text; any thread.  Source: ovs-dpctl(8).
"""

import re
import sys
from collections.abc import Iterable

from datapath import text
from datapath.action_text import Type, format_actions, parse_actions, records
from datapath.part import width


def normalize(flow: str, written: str, ports: Iterable[str] = ()) -> tuple[list[str], str]:
    """(lines about the actions `written` for a flow, what is wrong or "").

    A line for each stack of VLAN tags that there is something to do under, outputs in order of
    port. `ports` are names of ports that the actions may use, "NAME=NUMBER" each.
    """
    numbers: dict[str, int] = {}
    for word in ports:
        name, equals, number = word.partition("=")
        if not name or not equals:
            return [], f"{word}: expected NAME=NUMBER"
        numbers[name] = _leading_number(number)
    try:
        key, _ = text.parse_flow(flow)
    except text.TextError as error:
        return [], f"odp_flow_key_from_string ({error}) (Invalid argument)"
    shown = text.format_flow(key, minimal_mask(key))
    lines = [f"input flow: {shown if 'recirc_id' in key else shown.removeprefix('recirc_id(0),')}"]
    try:
        actions = parse_actions(written, numbers)
    except text.TextError:
        return lines, "odp_actions_from_string (Invalid argument)"
    vlans = [key[name] for name in ("vlan0_tci", "vlan1_tci") if key.get(name, 0) & 0x1000]
    groups: dict[tuple[int, ...], list[bytes]] = {}
    at = 0
    for kind, body in records(actions):
        record = actions[at:at + 4 + len(body)]
        at += len(record)
        if kind == Type.PUSH_VLAN:
            vlans = [int.from_bytes(body[2:4], "big"), *vlans]
        elif kind == Type.POP_VLAN:
            vlans = vlans[1:]
        else:
            groups.setdefault(tuple(vlans), []).append(record)
    if not actions:
        groups[tuple(vlans)] = []
    for stack, found in sorted(groups.items(), key=lambda item: (len(item[0]), item[0])):
        tags = "".join(f"vlan(vid={tci & 0xfff},pcp={tci >> 13}): " for tci in stack)
        ordered = b"".join(_sort_outputs(found, Type.OUTPUT))
        lines.append(f"{tags or 'no vlan: '}no mpls: {format_actions(ordered)}")
    return lines, ""


def _leading_number(word: str) -> int:
    """The 32 bits of the number that a word begins with, as atoi() reads it."""
    return int((re.match(r"\s*[-+]?\d+", word) or ["0"])[0]) & 0xffffffff


def minimal_mask(key: dict[str, int]) -> dict[str, int]:
    """A mask under which just what was written of a flow is printed."""
    return {name: (1 << width(name)) - 1 for name in key}


def _sort_outputs(found: list[bytes], output: int) -> list[bytes]:
    """The records with each run of outputs in order of port."""
    result: list[bytes] = []
    run: list[bytes] = []
    for record in [*found, b""]:
        if record and int.from_bytes(record[:2], sys.byteorder) == output:
            run.append(record)
            continue
        result += sorted(run, key=lambda row: int.from_bytes(row[4:8], sys.byteorder))
        run = []
        if record:
            result.append(record)
    return result
