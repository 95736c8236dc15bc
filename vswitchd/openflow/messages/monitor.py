"""Flow monitors: what a controller wants to be told about flow tables, and what it is told.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.  Nicira
extension in OpenFlow 1.0 to 1.2, ONF extension in 1.3, standard from 1.4 on.  Inside, flags and
events are those of the standard.
"""

import struct
from collections.abc import Iterator

from schema.openflow.limits import GROUP_ANY, PORT_NONE, PRIORITY_DEFAULT, TABLE_ALL
from schema.openflow.messages import OF13, OF14
from vswitchd.openflow.actions import (
    decode_actions, decode_instructions, encode_actions, encode_instructions,
)
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.match import EMPTY, Match
from vswitchd.openflow.messages.base import (
    Style, describe_bits, hash_hex, port_from_wire, port_to_wire,
)
from vswitchd.openflow.messages.flow import format_removed_reason
from vswitchd.openflow.oxm import decode_match, decode_nxm, encode_match, encode_nxm
from vswitchd.openflow.text import format_actions, format_match
from vswitchd.openflow.value import Value

INITIAL, ADD, REMOVED, MODIFY, ACTIONS, OWN = 1, 2, 4, 8, 16, 32
FLAGS = ((INITIAL, "initial"), (ADD, "add"), (REMOVED, "delete"), (MODIFY, "modify"),
         (ACTIONS, "actions"), (OWN, "own"))
_OWN14 = 0x40
"""OWN as Open vSwitch says it from OpenFlow 1.4 on."""

COMMANDS = ("add", "modify", "delete")
EVENTS = ("INITIAL", "ADDED", "DELETED", "MODIFIED", "ABBREV", "PAUSED", "RESUMED")
_ABBREV, _PAUSED, _RESUMED = 4, 5, 6


class FlowMonitorRequest(Value):
    """One monitor.  flags: of FLAGS; command: of COMMANDS, always 'add' before 1.4."""

    monitor: int
    flags: int
    match: Match = EMPTY
    table: int = TABLE_ALL
    out_port: int = PORT_NONE
    out_group: int = GROUP_ANY
    command: str = "add"


class FlowMonitorRequests(Value):
    """OFPST_FLOW_MONITOR, ONFST_FLOW_MONITOR or NXST_FLOW_MONITOR request."""

    monitors: tuple[FlowMonitorRequest, ...]


class FlowUpdate(Value):
    """One event.  event: index of EVENTS; xid: of the request of an abbreviated event; reason:
    of REMOVED_REASONS; actions: None if they are not told."""

    event: int
    xid: int = 0
    match: Match = EMPTY
    priority: int = PRIORITY_DEFAULT
    table: int = 0
    cookie: int = 0
    reason: int = 0
    idle_timeout: int = 0
    hard_timeout: int = 0
    actions: tuple | None = None


class FlowMonitorReply(Value):
    """OFPST_FLOW_MONITOR, ONFST_FLOW_MONITOR or NXST_FLOW_MONITOR reply."""

    updates: tuple[FlowUpdate, ...]


class FlowMonitorCancel(Value):
    """NXT_FLOW_MONITOR_CANCEL or ONFT_FLOW_MONITOR_CANCEL (until 1.3)."""

    monitor: int


class FlowMonitorPaused(Value):
    """NXT_FLOW_MONITOR_PAUSED or ONFT_FLOW_MONITOR_PAUSED (until 1.3)."""


class FlowMonitorResumed(Value):
    """NXT_FLOW_MONITOR_RESUMED or ONFT_FLOW_MONITOR_RESUMED (until 1.3)."""


def _kind(version: int, stats: bool, name: str) -> str:
    if version >= OF14:
        return f"OFPST_{name}" if stats else f"OFPT_{name}"
    prefix = "ONF" if version == OF13 else "NX"
    return f"{prefix}{'ST' if stats else 'T'}_{name}"


def _pull_match(data: bytes, start: int, length: int, version: int) -> tuple[Match, int]:
    """A match of `length` bytes, with a header of its own in the ONF's form."""
    if version == OF13:
        return decode_match(data, start, version)
    end = start + (length + 7 & ~7)
    if end > len(data):
        raise OpenFlowError(
            "OFPBMC_BAD_LEN", f"nx_match length {length}, rounded up to a multiple of 8, is longer "
            f"than space in message (max length {len(data) - start})", "nx_match")
    match, _, _ = decode_nxm(data, start, start + length)
    return match, end


# Requests.


_WANTED = 0xE
"""A monitor that is no longer to be told of any of these would be none."""


def _check_flags(flags: int, known: int, name: str) -> None:
    if flags & ~known or not flags & _WANTED:
        raise OpenFlowError("OFPMOFC_BAD_FLAGS", f"{name}_FLOW_MONITOR has bad flags "
                            f"{hash_hex(flags)}", "ofp_monitor")


def iterate_monitors(frame: Frame) -> Iterator[FlowMonitorRequest]:
    """Yields each monitor of a request."""
    data, version, offset = frame.body, frame.version, 0
    while offset < len(data):
        if len(data) - offset < 16:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        if version >= OF14:
            number, port, group, flags, table, command = struct.unpack_from("!IIIHBB", data,
                                                                            offset)
            # A command that does not exist is for the switch to refuse.
            command = COMMANDS[command] if command < len(COMMANDS) else str(command)
            if command == "delete":
                port = PORT_NONE
            else:
                _check_flags(flags, 0x1F | _OWN14, "OFPST")
                port = port_from_wire(port)
            match, offset = decode_match(data, offset + 16, version)
            flags = flags & 0x1F | (OWN if flags & _OWN14 else 0)
            yield FlowMonitorRequest(number, flags, match, table, port, group, command)
            continue
        if version == OF13:
            number, flags, length, port, table = struct.unpack_from("!IHHIB", data, offset)
            zeros = data[offset + 13:offset + 16]
        else:
            number, flags, port, length, table = struct.unpack_from("!IHHHB", data, offset)
            zeros = data[offset + 11:offset + 16]
        _check_flags(flags, 0x3F, "ONFST" if version == OF13 else "NXST")
        if any(zeros):
            raise OpenFlowError("NXBRC_MUST_BE_ZERO")
        if version == OF13:
            port = port_from_wire(port)
        match, offset = _pull_match(data, offset + 16, length, version)
        yield FlowMonitorRequest(number, flags, match, table, port)


def decode_flow_monitor_requests(frame: Frame) -> FlowMonitorRequests:
    monitors = tuple(iterate_monitors(frame))
    if any(m.command not in COMMANDS for m in monitors):
        raise OpenFlowError("OFPMOFC_BAD_COMMAND")
    return FlowMonitorRequests(monitors)


def encode_flow_monitor_requests(value: FlowMonitorRequests, version: int):
    body = b"".join(_encode_monitor(request, version) for request in value.monitors)
    return _kind(version, True, "FLOW_MONITOR_REQUEST"), body


def _encode_monitor(m: FlowMonitorRequest, version: int) -> bytes:
    if version >= OF14:
        flags = m.flags & 0x1F | (_OWN14 if m.flags & OWN else 0)
        return struct.pack("!IIIHBB", m.monitor, port_to_wire(m.out_port), m.out_group, flags,
                           m.table, COMMANDS.index(m.command)) + encode_match(m.match, version)
    match, length = _put_match(m.match, version)
    if version == OF13:
        return struct.pack("!IHHIB3x", m.monitor, m.flags, length, port_to_wire(m.out_port),
                           m.table) + match
    return struct.pack("!IHHHB5x", m.monitor, m.flags, m.out_port, length, m.table) + match


def _put_match(match: Match, version: int) -> tuple[bytes, int]:
    """(bytes with padding, length without it), as `_pull_match` reads."""
    if version == OF13:
        data = encode_match(match, version)
        return data, int.from_bytes(data[2:4], "big")
    data = encode_nxm(match, 0)
    return data + bytes(-len(data) % 8), len(data)


def show_flow_monitor_requests(frame: Frame, out: list[str], style: Style) -> None:
    for m in iterate_monitors(frame):
        if m.command == "delete":
            out.append(f"\n id={m.monitor} command=delete")
            continue
        text = f"\n id={m.monitor} flags={describe_bits(m.flags, FLAGS, ',')}"
        if m.out_port != PORT_NONE:
            text += f" out_port={style.port(m.out_port)}"
        if m.out_group not in (0, GROUP_ANY):
            text += f" out_group={m.out_group - (m.out_group >> 31 << 32)}"
        if m.table != TABLE_ALL:
            text += f" table={style.table(m.table)}"
        match = format_match(m.match, style.port_names, PRIORITY_DEFAULT)
        out.append(text + (f" {match}" if match else ""))


# Replies.


def iterate_updates(frame: Frame) -> Iterator[FlowUpdate]:
    """Yields each event of a reply."""
    data, offset = frame.body, 0
    standard = frame.version >= OF14
    while offset < len(data):
        left = len(data) - offset
        if left < 8:
            raise _bad_length(left)
        size, event = struct.unpack_from("!HH", data, offset)
        if not standard:
            event += 1
        if size > left or size % 8:
            raise _bad_length(left)
        if event > (_RESUMED if standard else _ABBREV):
            raise OpenFlowError("NXBRC_FM_BAD_EVENT",
                                f"NXST_FLOW_MONITOR reply has bad event {event - (not standard)}",
                                "ofp_monitor")
        if size < 8:
            raise _bad_length(left)
        yield _decode_update(data, offset, size, event, frame.version)
        offset += size


def _bad_length(left: int) -> OpenFlowError:
    return OpenFlowError("OFPBRC_BAD_LEN",
                         f"NXST_FLOW_MONITOR reply has {left} leftover bytes at end", "ofp_monitor")


def _decode_update(data: bytes, offset: int, size: int, event: int, version: int) -> FlowUpdate:
    left = len(data) - offset
    if event >= _ABBREV:
        if size != 8:
            raise _bad_length(left)
        xid = int.from_bytes(data[offset + 4:offset + 8], "big") if event == _ABBREV else 0
        return FlowUpdate(event, xid)
    if size < 24:
        raise _bad_length(left)
    if version >= OF14:
        table, reason, idle, hard, priority, cookie = struct.unpack_from("!BBHHH4xQ", data,
                                                                         offset + 4)
        length = 0
    else:
        reason, priority, idle, hard, length, table, cookie = struct.unpack_from(
            "!HHHHHBxQ", data, offset + 4)
        if size < 24 + (length + 7 & ~7):
            raise _bad_length(left - 24)
    if version >= OF13:
        match, start = decode_match(data, offset + 24, version)
    else:
        match, start = _pull_match(data, offset + 24, length, version)
    end = offset + size
    if start > end:
        raise OpenFlowError("OFPBIC_BAD_LEN", "OpenFlow message instructions length "
                            f"{end - start & 0xFFFFFFFF} exceeds remaining message length "
                            f"({len(data) - start})", "ofp_actions")
    decode = decode_instructions if version >= OF13 else decode_actions
    return FlowUpdate(event, 0, match, priority, table, cookie, reason, idle, hard,
                      decode(data, version, start, end) if start < end else None)


def decode_flow_monitor_reply(frame: Frame) -> FlowMonitorReply:
    return FlowMonitorReply(tuple(iterate_updates(frame)))


def encode_update(u: FlowUpdate, version: int) -> bytes:
    """One event; before 1.4 an INITIAL one is ADDED."""
    event = u.event if version >= OF14 else max(u.event, 1) - 1
    if u.event == _ABBREV:
        return struct.pack("!HHI", 8, event, u.xid)
    if u.event >= _PAUSED:
        return struct.pack("!HH4x", 8, event)
    if version >= OF14:
        tail = encode_match(u.match, version)
        if u.actions is not None:
            tail += encode_instructions(u.actions, version)
        return struct.pack("!HHBBHHH4xQ", 24 + len(tail), event, u.table, u.reason,
                           u.idle_timeout, u.hard_timeout, u.priority, u.cookie) + tail
    tail, length = _put_match(u.match, version)
    if u.actions is not None:
        encode = encode_instructions if version == OF13 else encode_actions
        tail += encode(u.actions, version)
    return struct.pack("!HHHHHHHBxQ", 24 + len(tail), event, u.reason, u.priority, u.idle_timeout,
                       u.hard_timeout, length, u.table, u.cookie) + tail


def encode_flow_monitor_reply(value: FlowMonitorReply, version: int):
    return (_kind(version, True, "FLOW_MONITOR_REPLY"),
            [encode_update(update, version) for update in value.updates])


def show_flow_monitor_reply(frame: Frame, out: list[str], style: Style) -> None:
    try:
        for update in iterate_updates(frame):
            out.append(f"\n event={EVENTS[update.event]}{_describe_update(update, style)}")
    finally:
        # What matches everything leaves a space before nothing, but not at the end.
        out[-1] = out[-1].removesuffix(" ")


def _describe_update(u: FlowUpdate, style: Style) -> str:
    if u.event == _ABBREV:
        return f" xid=0x{u.xid:x}"
    if u.event >= _PAUSED:
        return ""
    text = f" reason={format_removed_reason(u.reason)}" if u.event == 2 else ""
    text += f" table={style.table(u.table)}"
    if u.idle_timeout:
        text += f" idle_timeout={u.idle_timeout}"
    if u.hard_timeout:
        text += f" hard_timeout={u.hard_timeout}"
    text += f" cookie={hash_hex(u.cookie)} "
    text += format_match(u.match, style.port_names, PRIORITY_DEFAULT)
    if u.actions is not None:
        text = text.removesuffix(" ") + " actions=" + format_actions(
            u.actions, style.port_names, style.table_names)
    return text


# Cancelling and congestion.


def decode_flow_monitor_cancel(frame: Frame) -> FlowMonitorCancel:
    return FlowMonitorCancel(int.from_bytes(frame.body, "big"))


def encode_flow_monitor_cancel(value: FlowMonitorCancel, version: int):
    return _kind(version, False, "FLOW_MONITOR_CANCEL"), struct.pack("!I", value.monitor)


def show_flow_monitor_cancel(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" id={decode_flow_monitor_cancel(frame).monitor}")


def decode_flow_monitor_paused(frame: Frame) -> FlowMonitorPaused:
    return FlowMonitorPaused()


def decode_flow_monitor_resumed(frame: Frame) -> FlowMonitorResumed:
    return FlowMonitorResumed()


def encode_flow_monitor_paused(value: FlowMonitorPaused, version: int):
    return _kind(version, False, "FLOW_MONITOR_PAUSED"), b""


def encode_flow_monitor_resumed(value: FlowMonitorResumed, version: int):
    return _kind(version, False, "FLOW_MONITOR_RESUMED"), b""
