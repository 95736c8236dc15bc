"""Flows: flow_mod, flow_removed, flow and aggregate statistics.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
Ports are 16 bits, matches and actions as in `vswitchd.openflow.match` and `actions`.
"""

import struct
from collections.abc import Iterable, Iterator

from schema.openflow.limits import (
    BUFFER_NONE, COOKIE_NONE, GROUP_ANY, PORT_NONE, PRIORITY_DEFAULT, TABLE_ALL,
)
from schema.openflow.messages import OF10, OF11, OF12, OF13, OF14, OF15
from vswitchd.openflow import color
from vswitchd.openflow.actions import (
    decode_instructions, encode_actions, encode_instructions,
)
from vswitchd.openflow.consistency import check
from vswitchd.openflow.fields import INFO
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.match import EMPTY, Match, normalize
from vswitchd.openflow.messages.base import (
    NO_ERROR_NAME, Style, format_duration, port_to_wire, read_port,
)
from vswitchd.openflow.oxm import (
    decode_match, decode_match10, decode_nxm, encode_match, encode_nxm, put_entry,
)
from vswitchd.openflow.oxm_text import format_oxm
from vswitchd.openflow.quick.lines import NICIRA, Lines, is_known
from vswitchd.openflow.text import format_actions, format_match, note_normal
from vswitchd.openflow.value import Value

COMMANDS = ("add", "modify", "modify_strict", "delete", "delete_strict")
_SHOWN_COMMANDS = ("ADD", "MOD", "MOD_STRICT", "DEL", "DEL_STRICT")

SEND_FLOW_REM = 0x1
CHECK_OVERLAP = 0x2
RESET_COUNTS = 0x4
NO_PACKET_COUNTS = 0x8
NO_BYTE_COUNTS = 0x10
FLAGS = ((SEND_FLOW_REM, "send_flow_rem"), (CHECK_OVERLAP, "check_overlap"),
         (RESET_COUNTS, "reset_counts"), (NO_PACKET_COUNTS, "no_packet_counts"),
         (NO_BYTE_COUNTS, "no_byte_counts"))
_EMERGENCY = 0x4
_FLAGS13 = 0x1F
"""All the flags from OpenFlow 1.3 on."""
_WILD10 = 0x3FFFFF
"""All the wildcard bits of OpenFlow 1.0."""

REMOVED_REASONS = ("idle", "hard", "delete", "group_delete", "meter_delete", "eviction")


def format_flags(flags: int) -> str:
    """The names of flow_mod flags, each with a space behind it."""
    text = "".join(f"{name} " for bit, name in FLAGS if flags & bit)
    unknown = flags & ~0x1F
    return text + (f"0x{unknown:x} " if unknown else "")


# Modification.


class FlowMod(Value):
    """OFPT_FLOW_MOD or NXT_FLOW_MOD.

    command: one of COMMANDS.  cookie, cookie_mask: which flows; new_cookie: what to set, with
    COOKIE_NONE for leaving it.  table: TABLE_ALL if the message does not say.  flags: of FLAGS.
    form: "of" or "nxm", how OpenFlow 1.0 and 1.1 carry it; table_in_command: whether OpenFlow
    1.0 carries the table id; keeps_cookie: whether only what is added gets new_cookie (1.1).
    """

    command: str
    match: Match = EMPTY
    priority: int = PRIORITY_DEFAULT
    actions: tuple = ()
    table: int = TABLE_ALL
    cookie: int = 0
    cookie_mask: int = 0
    new_cookie: int = 0
    idle_timeout: int = 0
    hard_timeout: int = 0
    importance: int = 0
    buffer_id: int = BUFFER_NONE
    out_port: int = PORT_NONE
    out_group: int = GROUP_ANY
    flags: int = 0
    form: str = "of"
    table_in_command: bool = False
    keeps_cookie: bool = False


_MOD10 = struct.Struct("!QHHHHIHH")
_MOD11 = struct.Struct("!QQBBHHHIIIHH")
_MOD_NX = struct.Struct("!QHHHHIHHH6x")


def decode_flow_mod(frame: Frame, table_in_command: bool = False) -> FlowMod:
    """table_in_command: NXT_FLOW_MOD_TABLE_ID is on, OpenFlow 1.0 commands carry the table."""
    mod = _decode_mod(frame, table_in_command)
    actions, _ = check(mod.actions, mod.match, table=mod.table, version=frame.version)
    return mod if actions is mod.actions else mod.replace(actions=actions)


def _decode_mod(frame: Frame, table_in_command: bool) -> FlowMod:
    if frame.raw.kind == "NXT_FLOW_MOD":
        return _decode_nx_mod(frame, table_in_command)
    if frame.version == OF10:
        return _decode_mod10(frame, table_in_command)
    body, version = frame.body, frame.version
    (cookie, cookie_mask, table, command, idle, hard, priority, buffer_id, _, out_group, flags,
     importance) = _MOD11.unpack_from(body)
    match, offset = decode_match(body, 40, version)
    is_delete = command in (3, 4)
    if table == TABLE_ALL and (version == OF11 or not is_delete):
        raise OpenFlowError("OFPFMFC_BAD_TABLE_ID")
    may_add = command in (1, 2) and cookie_mask == 0 and version == OF11
    if command == 0 or may_add:
        cookie, cookie_mask, new_cookie = 0, 0, cookie
    else:
        new_cookie = COOKIE_NONE
    out_port = read_port(body, 28, version)
    name = _name_command(command)
    actions = decode_instructions(body, version, offset)
    flags = _read_flags(flags, command, version, False)
    if version < OF14 or command != 0:
        importance = 0
    return FlowMod(name, match, priority, actions, table, cookie, cookie_mask, new_cookie,
                   idle, hard, importance, buffer_id, out_port,
                   out_group if is_delete else GROUP_ANY, flags, keeps_cookie=may_add)


def _name_command(command: int) -> str:
    if command >= len(COMMANDS):
        raise OpenFlowError("OFPFMFC_BAD_COMMAND")
    return COMMANDS[command]


def _split_command(command: int, table_in_command: bool) -> tuple[int, int]:
    if table_in_command:
        return command & 0xFF, command >> 8
    return command, TABLE_ALL


_KNOWN_FLAGS = {OF10: 0x3 | _EMERGENCY, OF11: 0x3, OF12: 0x7}
"""The flags that the older versions know."""


def _read_flags(flags: int, command: int, version: int, has_timeout: bool) -> int:
    if flags & ~_KNOWN_FLAGS.get(version, _FLAGS13):
        raise OpenFlowError("OFPFMFC_BAD_FLAGS")
    if version == OF10 and flags & _EMERGENCY:
        # There is no table for emergencies.
        raise OpenFlowError("OFPFMFC_BAD_EMERG_TIMEOUT" if has_timeout else "OFPFMFC_TABLE_FULL")
    return flags | (RESET_COUNTS if command == 0 and version < OF12 else 0)


def _decode_mod10(frame: Frame, table_in_command: bool) -> FlowMod:
    body = frame.body
    new_cookie, command, idle, hard, priority, buffer_id, out_port, flags = _MOD10.unpack_from(
        body, 40)
    command, table = _split_command(command, table_in_command)
    match = normalize(decode_match10(body, 0))
    if not int.from_bytes(body[:4], "big") & _WILD10:
        priority = 0xFFFF                        # nothing may come before an exact match
    name = _name_command(command)
    actions = decode_instructions(body, OF10, 64)
    return FlowMod(name, match, priority, actions, table, 0, 0, new_cookie, idle, hard, 0,
                   buffer_id, out_port, GROUP_ANY,
                   _read_flags(flags, command, OF10, bool(idle or hard)), "of", table_in_command)


def _decode_nx_mod(frame: Frame, table_in_command: bool) -> FlowMod:
    body = frame.body
    (new_cookie, command, idle, hard, priority, buffer_id, out_port, flags,
     length) = _MOD_NX.unpack_from(body)
    match, cookie, mask, offset = _decode_nx_match(body, 32, length, True)
    if command & 0xFF == 0 and mask:
        raise OpenFlowError("NXBRC_NXM_INVALID")
    command, table = _split_command(command, table_in_command)
    name = _name_command(command)
    actions = decode_instructions(body, frame.version, offset)
    return FlowMod(name, match, priority, actions, table, cookie, mask, new_cookie, idle, hard, 0,
                   buffer_id, out_port, GROUP_ANY,
                   _read_flags(flags, command, frame.version, bool(idle or hard)), "nxm",
                   table_in_command)


def _decode_nx_match(body: bytes, start: int, length: int, cookie: bool, strict: bool = True):
    """(match, cookie, cookie mask, offset behind the padding) of TLVs without a header."""
    end = start + (length + 7 & ~7)
    if end > len(body):
        raise OpenFlowError(
            "OFPBMC_BAD_LEN", f"nx_match length {length}, rounded up to a multiple of 8, is longer "
            f"than space in message (max length {len(body) - start})", "nx_match")
    match, value, mask = decode_nxm(body, start, start + length, cookie=cookie, strict=strict)
    return match, value, mask, end


def _encode_nx_match(match: Match, cookie: int = 0, mask: int = 0) -> tuple[bytes, int]:
    body = encode_nxm(match, 0, cookie, mask)
    return body + bytes(-len(body) % 8), len(body)


def encode_flow_mod(value: FlowMod, version: int):
    command = COMMANDS.index(value.command)
    if version >= OF11 and value.form == "of":
        return "OFPT_FLOW_MOD", _encode_mod11(value, version, command)
    if value.table_in_command:
        command |= (value.table & 0xFF) << 8
    flags = value.flags & 0x3
    actions = encode_actions(value.actions, version)
    if value.form == "nxm":
        match, length = _encode_nx_match(value.match, value.cookie, value.cookie_mask)
        head = _MOD_NX.pack(value.new_cookie, command, value.idle_timeout, value.hard_timeout,
                            value.priority, value.buffer_id, value.out_port, flags, length)
        return "NXT_FLOW_MOD", head + match + actions
    body = encode_match(value.match, OF10) + _MOD10.pack(
        value.new_cookie, command, value.idle_timeout, value.hard_timeout, value.priority,
        value.buffer_id, value.out_port, flags)
    return "OFPT_FLOW_MOD", body + actions


def _encode_mod11(value: FlowMod, version: int, command: int) -> bytes:
    cookie, mask = value.cookie, value.cookie_mask
    if command == 0 or (command in (1, 2) and mask == 0 and version == OF11):
        cookie, mask = value.new_cookie, 0 if command == 0 else mask
    known = 0x3 if version == OF11 else 0x7 if version == OF12 else _FLAGS13
    head = _MOD11.pack(
        cookie, mask, value.table, command, value.idle_timeout, value.hard_timeout,
        value.priority, value.buffer_id, port_to_wire(value.out_port), value.out_group,
        value.flags & known, value.importance if version >= OF14 else 0)
    return head + encode_match(value.match, version) + encode_instructions(value.actions, version)


def show_flow_mod(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_flow_mod(frame, frame.version == OF10 or frame.raw.space == "NXT")
    text = " " + _SHOWN_COMMANDS[COMMANDS.index(value.command)]
    if value.table:
        text += f" table:{style.table(value.table)}"
    if frame.raw.name == "OFPT10_FLOW_MOD":
        note_normal(decode_match10(frame.body, 0), style.note)
    raw_match = style.verbosity >= 3 and frame.raw.name in ("OFPT10_FLOW_MOD", "NXT_FLOW_MOD")
    if raw_match and frame.raw.space == "NXT":
        length, = struct.unpack_from("!H", frame.body, 24)
        text += " " + format_oxm(frame.body[32:32 + length])
    elif raw_match:
        text += " " + _format_match10(frame.body, style)
    else:
        text += " " + format_match(value.match, style.port_names, value.priority)
    if not text.endswith(" "):
        text += " "
    if value.new_cookie not in (0, COOKIE_NONE):
        text += f"cookie:0x{value.new_cookie:x} "
    if value.cookie_mask:
        text += f"cookie:0x{value.cookie:x}/0x{value.cookie_mask:x} "
    if value.idle_timeout:
        text += f"idle:{value.idle_timeout} "
    if value.hard_timeout:
        text += f"hard:{value.hard_timeout} "
    if value.importance:
        text += f"importance:{value.importance} "
    if raw_match and value.priority != PRIORITY_DEFAULT:
        text += f"pri:{value.priority} "
    if value.buffer_id != BUFFER_NONE:
        text += f"buf:0x{value.buffer_id:x} "
    if value.out_port != PORT_NONE:
        text += f"out_port:{style.port(value.out_port)} "
    flags = value.flags
    if (frame.version == OF10 or frame.version == OF11) and value.command == "add":
        flags &= ~RESET_COUNTS
    text += format_flags(flags)
    text += "actions=" + format_actions(value.actions, style.port_names, style.table_names)
    out.append(text)


_KEYWORDS10 = {0x0800: "ip", 0x0806: "arp", 0x8035: "rarp", 0x8847: "mpls", 0x8848: "mplsm"}
_PROTOCOLS10 = {1: "icmp", 6: "tcp", 17: "udp", 132: "sctp"}


def _format_match10(body: bytes, style: Style) -> str:
    """The match of OpenFlow 1.0 member by member, wildcards as '*', for the very curious."""
    (wild, port, src, dst, vlan, pcp, kind, tos, proto, nw_src, nw_dst, tp_src,
     tp_dst) = struct.unpack_from("!IH6s6sHBxHBB2xIIHH", body)
    words = []
    show_type = show_proto = True
    if not wild & 0x10 and kind in _KEYWORDS10:
        show_type = False
        word = _KEYWORDS10[kind]
        if kind == 0x0800 and not wild & 0x20 and proto in _PROTOCOLS10:
            word, show_proto = _PROTOCOLS10[proto], False
        words.append(word)
    icmp = not show_type and not show_proto and proto == 1

    def add(name: str, is_wild: int, text: str) -> None:
        words.append(f"{name}={'*' if is_wild else text}")

    def address(name: str, number: int, shift: int) -> None:
        bits = min(wild >> shift & 0x3F, 32)
        text = ".".join(str(number >> s & 0xFF) for s in (24, 16, 8, 0))
        add(name, bits == 32, text if bits == 0 else f"{text}/{32 - bits}")

    add("in_port", wild & 0x1, style.port(port))
    add("dl_vlan", wild & 0x2, str(vlan))
    add("dl_vlan_pcp", wild & 0x100000, str(pcp))
    add("dl_src", wild & 0x4, src.hex(":"))
    add("dl_dst", wild & 0x8, dst.hex(":"))
    if show_type:
        add("dl_type", wild & 0x10, f"0x{kind:04x}")
    address("nw_src", nw_src, 8)
    address("nw_dst", nw_dst, 14)
    if show_proto:
        add("arp_op" if kind == 0x0806 and not show_type else "nw_proto", wild & 0x20, str(proto))
    add("nw_tos", wild & 0x200000, str(tos))
    add("icmp_type" if icmp else "tp_src", wild & 0x40, str(tp_src))
    add("icmp_code" if icmp else "tp_dst", wild & 0x80, str(tp_dst))
    return ",".join(words)


# Removal.


class FlowRemoved(Value):
    """OFPT_FLOW_REMOVED or NXT_FLOW_REMOVED.  reason: index of REMOVED_REASONS.

    packets and bytes: None if unknown; form: "of" or "nxm".
    """

    match: Match
    priority: int
    cookie: int
    reason: int
    table: int = TABLE_ALL
    duration: tuple[int, int] = (0, 0)
    idle_timeout: int = 0
    hard_timeout: int = 0
    packets: int | None = 0
    bytes: int | None = 0
    form: str = "of"


_UNKNOWN = (1 << 64) - 1
_NO_TIME = (0xFFFFFFFF, 0xFFFFFFFF)
"""A duration that OpenFlow 1.5 does not tell."""
_REMOVED10 = struct.Struct("!QHBxIIH2xQQ")
_REMOVED11 = struct.Struct("!QHBBIIHHQQ")
_REMOVED15 = struct.Struct("!BBHHHQ")
_REMOVED_NX = struct.Struct("!QHBBIIHHQQ")


def _known(value: int) -> int | None:
    return None if value == _UNKNOWN else value


def _raw(value: int | None) -> int:
    return _UNKNOWN if value is None else value


def decode_flow_removed(frame: Frame) -> FlowRemoved:
    body, version = frame.body, frame.version
    if frame.raw.kind == "NXT_FLOW_REMOVED":
        (cookie, priority, reason, table, sec, nsec, idle, length, packets,
         octets) = _REMOVED_NX.unpack_from(body)
        match, _, _, end = _decode_nx_match(body, 40, length, False)
        if end != len(body):
            raise OpenFlowError("OFPBRC_BAD_LEN")
        # The table of a Nicira message is one more than the table's number, 0 is unknown.
        return FlowRemoved(match, priority, cookie, reason, (table - 1) & 0xFF, (sec, nsec), idle,
                           0, _known(packets), _known(octets), "nxm")
    if version == OF10:
        cookie, priority, reason, sec, nsec, idle, packets, octets = _REMOVED10.unpack_from(
            body, 40)
        return FlowRemoved(decode_match10(body, 0), priority, cookie, reason, TABLE_ALL,
                           (sec, nsec), idle, 0, _known(packets), _known(octets))
    if version >= OF15:
        table, reason, priority, idle, hard, cookie = _REMOVED15.unpack_from(body)
        match, offset = decode_match(body, 16, version)
        stats, _ = decode_oxs(body, offset)
        return FlowRemoved(match, priority, cookie, reason, table, stats.duration or _NO_TIME, idle,
                           hard, stats.packets, stats.bytes)
    (cookie, priority, reason, table, sec, nsec, idle, hard, packets,
     octets) = _REMOVED11.unpack_from(body)
    match, _ = decode_match(body, 40, version)
    return FlowRemoved(match, priority, cookie, reason, table, (sec, nsec), idle,
                       hard, _known(packets), _known(octets))


def encode_flow_removed(value: FlowRemoved, version: int):
    reason = value.reason
    if reason == 4 and version < OF14 or reason == 3 and version < OF11:
        reason = 2
    if version >= OF15:
        stats = OxsStats(value.duration, None, None, value.packets, value.bytes)
        return "OFPT_FLOW_REMOVED", _REMOVED15.pack(
            value.table, reason, value.priority, value.idle_timeout, value.hard_timeout,
            value.cookie) + encode_match(value.match, version) + encode_oxs(stats)
    counters = _raw(value.packets), _raw(value.bytes)
    if version >= OF11:
        return "OFPT_FLOW_REMOVED", _REMOVED11.pack(
            value.cookie, value.priority, reason, value.table, *value.duration,
            value.idle_timeout, value.hard_timeout, *counters) + encode_match(value.match, version)
    if value.form == "nxm":
        match, length = _encode_nx_match(value.match)
        return "NXT_FLOW_REMOVED", _REMOVED_NX.pack(
            value.cookie, value.priority, reason, (value.table + 1) & 0xFF, *value.duration,
            value.idle_timeout, length, *counters) + match
    return "OFPT_FLOW_REMOVED", encode_match(value.match, OF10) + _REMOVED10.pack(
        value.cookie, value.priority, reason, *value.duration, value.idle_timeout, *counters)


def format_removed_reason(reason: int) -> str:
    return REMOVED_REASONS[reason] if reason < len(REMOVED_REASONS) else str(reason)


def show_flow_removed(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_flow_removed(frame)
    text = " " + format_match(value.match, style.port_names, value.priority)
    text += f" reason={format_removed_reason(value.reason)}"
    if value.table != TABLE_ALL:
        text += f" table_id={style.table(value.table)}"
    if value.cookie:
        text += f" cookie:0x{value.cookie:x}"
    text += f" duration{format_duration(*value.duration)}s idle{value.idle_timeout}"
    if value.hard_timeout:
        text += f" hard{value.hard_timeout}"
    out.append(f"{text} pkts{_raw(value.packets)} bytes{_raw(value.bytes)}\n")


# Statistics of OpenFlow 1.5 in OXS form.


class OxsStats(Value):
    """The statistics fields of OpenFlow 1.5; None is not told."""

    duration: tuple[int, int] | None = None
    idle: tuple[int, int] | None = None
    flows: int | None = None
    packets: int | None = None
    bytes: int | None = None


_OXS_CLASS = 0x8002
_OXS_SIZES = {0: 8, 1: 8, 3: 4, 4: 8, 5: 8}


def decode_oxs(data: bytes, offset: int) -> tuple[OxsStats, int]:
    """(statistics, offset behind their padding).  Raises OpenFlowError."""
    if len(data) - offset < 4:
        raise OpenFlowError("OFPBMC_BAD_LEN")
    length = int.from_bytes(data[offset + 2:offset + 4], "big")
    end = offset + (length + 7 & ~7)
    if length < 4 or end > len(data):
        raise OpenFlowError("OFPBMC_BAD_LEN",
                            f"oxs length {length}, rounded up to a multiple of 8, is longer "
                            f"than space in message (max length {len(data) - offset})", "ox_stat")
    at, stop = offset + 4, offset + length
    found: dict[int, bytes] = {}
    while at < stop:
        if stop - at < 4:
            raise OpenFlowError("OFPBMC_BAD_LEN")
        oxs_class, field, size = struct.unpack_from("!HBB", data, at)
        if at + 4 + size > stop:
            raise OpenFlowError("OFPBMC_BAD_LEN")
        number = field >> 1
        if oxs_class == _OXS_CLASS and not field & 1 and _OXS_SIZES.get(number) == size:
            found[number] = data[at + 4:at + 4 + size]
        at += 4 + size

    def pair(number: int):
        return struct.unpack("!II", found[number]) if number in found else None

    def integer(number: int):
        return int.from_bytes(found[number], "big") if number in found else None

    return OxsStats(pair(0), pair(1), integer(3), integer(4), integer(5)), end


def encode_oxs(stats: OxsStats) -> bytes:
    """The `ofp_stats` of OpenFlow 1.5 with header and padding."""
    body = b""
    for number, value in ((0, stats.duration), (1, stats.idle), (4, stats.packets),
                          (5, stats.bytes), (3, stats.flows)):
        if value is None:
            continue
        size = _OXS_SIZES[number]
        data = struct.pack("!II", *value) if isinstance(value, tuple) else value.to_bytes(
            size, "big")
        body += struct.pack("!HBB", _OXS_CLASS, number << 1, size) + data
    return struct.pack("!HH", 0, 4 + len(body)) + body + bytes(-(4 + len(body)) % 8)


# Statistics requests.


class FlowStatsRequest(Value):
    """OFPST_FLOW or NXST_FLOW request; with `aggregate` the OFPST_AGGREGATE or NXST one.

    form: "of" or "nxm" in OpenFlow 1.0.
    """

    match: Match = EMPTY
    table: int = TABLE_ALL
    out_port: int = PORT_NONE
    out_group: int = GROUP_ANY
    cookie: int = 0
    cookie_mask: int = 0
    aggregate: bool = False
    form: str = "of"


def decode_flow_stats_request(frame: Frame) -> FlowStatsRequest:
    body, version = frame.body, frame.version
    aggregate = "AGGREGATE" in frame.raw.kind
    if frame.raw.space == "NXST":
        out_port, length, table = struct.unpack_from("!HHB", body)
        match, cookie, mask, end = _decode_nx_match(body, 8, length, True)
        if end != len(body):
            raise OpenFlowError("OFPBRC_BAD_LEN")
        return FlowStatsRequest(match, table, out_port, GROUP_ANY, cookie, mask, aggregate, "nxm")
    if version == OF10:
        table, out_port = struct.unpack_from("!BxH", body, 40)
        return FlowStatsRequest(decode_match10(body, 0), table, out_port, aggregate=aggregate)
    table, _, group, cookie, mask = struct.unpack_from("!B3xII4xQQ", body)
    port = read_port(body, 4, version)
    match, _ = decode_match(body, 32, version)
    return FlowStatsRequest(match, table, port, group, cookie, mask, aggregate)


def encode_flow_stats_request(value: FlowStatsRequest, version: int):
    kind = "AGGREGATE_REQUEST" if value.aggregate else "FLOW_REQUEST"
    if version == OF10 and value.form == "nxm":
        match, length = _encode_nx_match(value.match, value.cookie, value.cookie_mask)
        return f"NXST_{kind}", struct.pack("!HHB3x", value.out_port, length, value.table) + match
    if version == OF10:
        return f"OFPST_{kind}", encode_match(value.match, OF10) + struct.pack(
            "!BxH", value.table, value.out_port)
    return f"OFPST_{kind}", struct.pack(
        "!B3xII4xQQ", value.table, port_to_wire(value.out_port), value.out_group, value.cookie,
        value.cookie_mask) + encode_match(value.match, version)


def show_flow_stats_request(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_flow_stats_request(frame)
    if value.table != TABLE_ALL:
        out.append(f" table={style.table(value.table)}")
    if value.out_port != PORT_NONE:
        out.append(f" out_port={style.port(value.out_port)}")
    match = format_match(value.match, style.port_names, PRIORITY_DEFAULT)
    if match:
        out.append(" " + match)


# Statistics replies.


class FlowStats(Value):
    """One flow of a dump.  packets, bytes, idle_age, hard_age: None if not told; ages in s."""

    match: Match
    priority: int = PRIORITY_DEFAULT
    actions: tuple = ()
    table: int = 0
    cookie: int = 0
    duration: tuple[int, int] = (0, 0)
    idle_timeout: int = 0
    hard_timeout: int = 0
    idle_age: int | None = None
    hard_age: int | None = None
    packets: int | None = 0
    bytes: int | None = 0
    flags: int = 0
    importance: int = 0


class FlowStatsReply(Value):
    """OFPST_FLOW or NXST_FLOW reply.  form: "of" or "nxm" in OpenFlow 1.0."""

    flows: tuple[FlowStats, ...]
    form: str = "of"


_STATS10 = struct.Struct("!IIHHH6xQQQ")
_STATS11 = struct.Struct("!HBxIIHHHHH2xQQQ")
_STATS15 = struct.Struct("!H2xBxHHHHHQ")
_STATS_NX = struct.Struct("!HBxIIHHHHHHQQQ")


def _entry_size(data: bytes, offset: int, least: int, what: str = "OFPST_FLOW reply") -> int:
    """The size that an entry claims; whether it fits is seen when its actions are cut out."""
    left = len(data) - offset
    if left < least:
        raise OpenFlowError("OFPBRC_BAD_LEN", f"{what} has {left} leftover bytes at end",
                            "ofp_flow")
    size = (data[offset] << 8) | data[offset + 1]
    if size < least:
        raise OpenFlowError("OFPBRC_BAD_LEN", f"{what} claims invalid length {size}", "ofp_flow")
    return size


def _stats_match(decode, *arguments):
    """What `decode` returns.  A match that is wrong has one more line in the log."""
    try:
        return decode(*arguments)
    except OpenFlowError as error:
        said = error.log or (((error.module, error.reason),) if error.reason else ())
        error.log = (*said, ("ofp_flow", "OFPST_FLOW reply bad match"))
        raise


def _stats_actions(data: bytes, version: int, start: int, end: int):
    """Actions between `start` and `end`, where an entry claims to end: two numbers of the peer."""
    is_list = version == OF10
    try:
        if (end - start) % 8 == 0 and not start <= end <= len(data):
            raise OpenFlowError(
                "OFPBRC_BAD_LEN" if is_list else "OFPBIC_BAD_LEN",
                f"OpenFlow message {'actions' if is_list else 'instructions'} length "
                f"{end - start & 0xFFFFFFFF} exceeds remaining message length "
                f"({len(data) - start})", "ofp_actions")
        if (end - start) % 8:
            end = start + (end - start & 0xFFFFFFFF)
            raise OpenFlowError(
                "OFPBRC_BAD_LEN" if is_list else "OFPBIC_BAD_LEN",
                f"OpenFlow message {'actions' if is_list else 'instructions'} length "
                f"{end - start} is not a multiple of 8", "ofp_actions")
        return decode_instructions(data, version, start, end)
    except OpenFlowError as error:
        said = error.log or (((error.module, error.reason),) if error.reason else ())
        error.log = (*said, ("ofp_flow", "OFPST_FLOW reply bad instructions"))
        raise


def iterate_flow_stats(frame: Frame) -> Iterator[FlowStats]:
    """Yields each flow of a reply."""
    data, version, offset = frame.body, frame.version, 0
    decode = _decoder_of(frame)
    while offset < len(data):
        flow, size = decode(data, offset, version)
        yield flow
        offset += size


def _decoder_of(frame: Frame):
    if frame.raw.space == "NXST":
        return _decode_stats_nx
    if frame.version == OF10:
        return _decode_stats10
    return _decode_stats15 if frame.version >= OF15 else _decode_stats11


def _decode_stats10(data: bytes, offset: int, version: int):
    size = _entry_size(data, offset, 88)
    sec, nsec, priority, idle, hard, cookie, packets, octets = _STATS10.unpack_from(
        data, offset + 44)
    match = decode_match10(data, offset + 4)
    actions = _stats_actions(data, version, offset + 88, offset + size)
    return FlowStats(match, priority, actions, data[offset + 2], cookie, (sec, nsec), idle, hard,
                     None, None, _known(packets), _known(octets)), size


def _decode_stats11(data: bytes, offset: int, version: int):
    size = _entry_size(data, offset, 48)
    (_, table, sec, nsec, priority, idle, hard, flags, importance, cookie, packets,
     octets) = _STATS11.unpack_from(data, offset)
    match, start = _stats_match(decode_match, data, offset + 48, version)
    if version < OF13:
        flags = 0
    elif flags & ~_FLAGS13:
        raise OpenFlowError("OFPFMFC_BAD_FLAGS")
    actions = _stats_actions(data, version, start, offset + size)
    return FlowStats(match, priority, actions, table, cookie, (sec, nsec), idle, hard, None, None,
                     _known(packets), _known(octets), flags,
                     importance if version >= OF14 else 0), size


def _decode_stats15(data: bytes, offset: int, version: int):
    try:
        size = _entry_size(data, offset, 24)
        _, table, priority, idle, hard, flags, importance, cookie = _STATS15.unpack_from(
            data, offset)
        match, start = _stats_match(decode_match, data, offset + 24, version)
        if flags & ~_FLAGS13:
            raise OpenFlowError("OFPFMFC_BAD_FLAGS")
        stats, start = decode_oxs(data, start)
    except OpenFlowError as error:
        if error.name == "OFPFMFC_BAD_FLAGS":
            raise
        # The reference fails here with a number that is no error of OpenFlow.
        raise OpenFlowError(NO_ERROR_NAME, error.reason, error.module, log=error.log) from None
    actions = _stats_actions(data, version, start, offset + size)
    return FlowStats(match, priority, actions, table, cookie, stats.duration or _NO_TIME, idle,
                     hard, stats.idle[0] if stats.idle else None, None, stats.packets,
                     stats.bytes, flags, importance), size


def _decode_stats_nx(data: bytes, offset: int, version: int):
    size = _entry_size(data, offset, 48, "NXST_FLOW reply")
    (_, table, sec, nsec, priority, idle, hard, length, idle_age, hard_age, cookie, packets,
     octets) = _STATS_NX.unpack_from(data, offset)
    if size < 48 + (length + 7 & ~7):
        raise OpenFlowError("OFPBRC_BAD_LEN", f"NXST_FLOW reply with match_len={length} claims "
                            f"invalid length {size}", "ofp_flow")
    match, _, _, start = _decode_nx_match(data, offset + 48, length, False)
    actions = _stats_actions(data, version, start, offset + size)
    # Ages are one more than they are, so that 0 can mean unknown.
    return FlowStats(match, priority, actions, table, cookie, (sec, nsec), idle, hard,
                     idle_age - 1 if idle_age else None, hard_age - 1 if hard_age else None,
                     _known(packets), _known(octets)), size


def decode_flow_stats_reply(frame: Frame) -> FlowStatsReply:
    return FlowStatsReply(tuple(iterate_flow_stats(frame)),
                          "nxm" if frame.raw.space == "NXST" else "of")


def _age(age: int | None) -> int:
    return 0 if age is None else min(age + 1, 0xFFFF)


def encode_tlvs(match: Match, version: int) -> bytes:
    """TLVs as far as `version` names them so, but the port always in the form of 1.1 and later."""
    if version >= OF12 or "in_port" not in match:
        return encode_nxm(match, version)
    rest = Match({key: pair for key, pair in match.items() if key != "in_port"})
    info = INFO["in_port_oxm"]
    return put_entry(info, version, port_to_wire(match.value("in_port")), info.full) + encode_nxm(
        rest, version)


def _encode_tlv_match(match: Match) -> bytes:
    body = encode_tlvs(match, OF11)
    return struct.pack("!HH", 1, 4 + len(body)) + body + bytes(-(4 + len(body)) % 8)


def encode_flow_stats(flow: FlowStats, version: int, form: str = "of") -> bytes:
    """One entry of a flow statistics reply."""
    counters = _raw(flow.packets), _raw(flow.bytes)
    if version == OF10 and form == "nxm":
        match, length = _encode_nx_match(flow.match)
        tail = match + encode_actions(flow.actions, version)
        return _STATS_NX.pack(
            48 + len(tail), flow.table, *flow.duration, flow.priority, flow.idle_timeout,
            flow.hard_timeout, length, _age(flow.idle_age), _age(flow.hard_age), flow.cookie,
            *counters) + tail
    if version == OF10:
        tail = encode_actions(flow.actions, version)
        return struct.pack("!HBx", 88 + len(tail), flow.table) + encode_match(
            flow.match, OF10) + _STATS10.pack(*flow.duration, flow.priority, flow.idle_timeout,
                                              flow.hard_timeout, flow.cookie, *counters) + tail
    # Even OpenFlow 1.1 replies with TLVs: its own match cannot say what a flow may match.
    match = encode_match(flow.match, version) if version >= OF12 else _encode_tlv_match(flow.match)
    actions = encode_instructions(flow.actions, version)
    if version >= OF15:
        idle = None if flow.idle_age is None else (flow.idle_age, 0)
        tail = match + encode_oxs(OxsStats(flow.duration, idle, None, flow.packets,
                                           flow.bytes)) + actions
        return _STATS15.pack(24 + len(tail), flow.table, flow.priority, flow.idle_timeout,
                             flow.hard_timeout, flow.flags, flow.importance, flow.cookie) + tail
    tail = match + actions
    return _STATS11.pack(
        48 + len(tail), flow.table, *flow.duration, flow.priority, flow.idle_timeout,
        flow.hard_timeout, flow.flags if version >= OF13 else 0,
        flow.importance if version >= OF14 else 0, flow.cookie, *counters) + tail


def encode_flow_stats_reply(value: FlowStatsReply, version: int):
    kind = "NXST_FLOW_REPLY" if version == OF10 and value.form == "nxm" else "OFPST_FLOW_REPLY"
    return kind, [encode_flow_stats(flow, version, value.form) for flow in value.flows]


def _shown(counter: int | None) -> str:
    return "?" if counter is None else str(counter)


def format_flow_stats(flow: FlowStats, port_names: dict[int, str] | None = None,
                      table_names: dict[int, str] | None = None, stats: bool = True) -> str:
    """One line of `dump-flows`, without the blank in front.  stats: counters and ages too."""
    text, label = format_flow_head(flow, table_names, stats), "actions="
    if color.is_on:
        text, label = color.paint_head(text), color.paint_label(label)
    match = format_match(flow.match, port_names, flow.priority)
    if match:
        text += match + " "
    return text + label + format_actions(flow.actions, port_names, table_names)


def format_flow_head(flow: FlowStats, table_names: dict[int, str] | None, stats: bool) -> str:
    """What stands in front of a flow's match."""
    text = ""
    if stats or flow.cookie:
        text += f"cookie=0x{flow.cookie:x}, "
    if stats:
        text += f"duration={format_duration(*flow.duration)}s, "
    if stats or flow.table:
        name = (table_names or {}).get(flow.table)
        if name is None:
            name = str(flow.table)
        text += f"table={name}, "
    if stats:
        text += f"n_packets={_shown(flow.packets)}, n_bytes={_shown(flow.bytes)}, "
    if flow.idle_timeout:
        text += f"idle_timeout={flow.idle_timeout}, "
    if flow.hard_timeout:
        text += f"hard_timeout={flow.hard_timeout}, "
    text += format_flags(flow.flags)
    if flow.importance:
        text += f"importance={flow.importance}, "
    if stats and flow.idle_age is not None and flow.idle_age < 1 << 31:
        text += f"idle_age={flow.idle_age}, "
    if stats and flow.hard_age is not None and flow.hard_age != flow.duration[0]:
        text += f"hard_age={flow.hard_age}, "
    return text


def show_flow_stats_reply(frame: Frame, out: list[str], style: Style) -> None:
    if len(frame.body) > _MANY:
        lines = _lines_of(_kind_of(frame), style.port_names, style.table_names)
        if lines is not None:
            out += (text.decode("utf-8", "surrogateescape")
                    for text in _write_entries(frame, lines))
            return
    for flow in iterate_flow_stats(frame):
        out.append("\n " + format_flow_stats(flow, style.port_names, style.table_names))


def write_flow_stats(frames: Iterable[Frame], port_names: dict[int, str] | None,
                     table_names: dict[int, str] | None, stats: bool) -> Iterator[bytes]:
    """The flows of replies without their ages, a line each with a blank in front."""
    lines = None
    for frame in frames:
        kind = _kind_of(frame)
        if len(frame.body) > _MANY and is_known(kind):
            if lines is None or lines.kind != kind:
                lines = Lines(kind, port_names, table_names, stats, False, " ", "\n")
            yield from _write_entries(frame, lines)
            continue
        for flow in iterate_flow_stats(frame):
            text = format_flow_stats(forget_ages(flow), port_names, table_names, stats)
            yield f" {text}\n".encode("utf-8", "surrogateescape")


def forget_ages(flow: FlowStats) -> FlowStats:
    """The same flow without its ages."""
    return flow.replace(idle_age=None, hard_age=None)


_MANY = 4096                    # bytes of a reply from which on it is written in C


def _kind_of(frame: Frame) -> int:
    if color.is_on:
        return -1                       # What is written in C has no colours.
    return NICIRA if frame.raw.space == "NXST" else frame.version if frame.version > OF11 else -1


_last: list = [None, None, None, None]


def _lines_of(kind: int, port_names: dict[int, str] | None,
              table_names: dict[int, str] | None) -> Lines | None:
    """What writes one kind of entries; it is kept, as the next reply will be alike."""
    if not is_known(kind):
        return None
    if _last[0] is None or (_last[0].kind, _last[1], _last[2]) != (kind, port_names, table_names):
        _last[:] = Lines(kind, port_names, table_names, before="\n "), port_names, table_names
    return _last[0]


def _write_entries(frame: Frame, lines: Lines) -> Iterator[bytes]:
    """What `lines` writes of a reply; entries that it does not know are written here."""
    data, version, at = frame.body, frame.version, 0
    ports, tables, stats, ages, before, after = lines.how
    decode = _decoder_of(frame)
    while at < len(data):
        text, at = lines.write(data, at)
        yield text
        if at >= len(data):
            return
        flow, size = decode(data, at, version)
        if not ages:
            flow = forget_ages(flow)
        actions = data[_actions_at(data, at, lines.kind):at + size]
        if lines.is_new(actions):
            lines.learn(actions, format_actions(flow.actions, ports, tables))
        text = format_flow_stats(flow, ports, tables, stats)
        yield f"{before}{text}{after}".encode("utf-8", "surrogateescape")
        at += size


def _actions_at(data: bytes, at: int, kind: int) -> int:
    """Where the actions of a sound entry begin."""
    def padded(where: int) -> int:
        return int.from_bytes(data[where:where + 2], "big") + 7 & ~7

    if kind < OF15:
        return at + 48 + padded(at + (18 if kind == NICIRA else 50))
    at += 24 + padded(at + 26)
    return at + padded(at + 2)


class AggregateStatsReply(Value):
    """OFPST_AGGREGATE or NXST_AGGREGATE reply; packets and bytes None if unknown."""

    packets: int | None
    bytes: int | None
    flows: int
    form: str = "of"


_FLOWS_UNKNOWN = 0xFFFFFFFF


def decode_aggregate_stats_reply(frame: Frame) -> AggregateStatsReply:
    if frame.version >= OF15:
        stats, _ = decode_oxs(frame.body, 0)
        return AggregateStatsReply(stats.packets, stats.bytes,
                                   _FLOWS_UNKNOWN if stats.flows is None else stats.flows)
    packets, octets, flows = struct.unpack_from("!QQI", frame.body)
    return AggregateStatsReply(_known(packets), _known(octets), flows,
                               "nxm" if frame.raw.space == "NXST" else "of")


def encode_aggregate_stats_reply(value: AggregateStatsReply, version: int):
    if version >= OF15:
        return "OFPST_AGGREGATE_REPLY", encode_oxs(
            OxsStats(None, None, value.flows, value.packets, value.bytes))
    kind = "NXST" if version == OF10 and value.form == "nxm" else "OFPST"
    return f"{kind}_AGGREGATE_REPLY", struct.pack("!QQI4x", _raw(value.packets),
                                                  _raw(value.bytes), value.flows)


def show_aggregate_stats_reply(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_aggregate_stats_reply(frame)
    out.append(f" packet_count={_raw(value.packets)} byte_count={_raw(value.bytes)} "
               f"flow_count={value.flows}")
