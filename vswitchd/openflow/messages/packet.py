"""Packets: packet-in in its four forms, packet-out, resume.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
"""

import struct
from uuid import UUID

from schema.openflow.limits import BUFFER_NONE, COOKIE_NONE, PORT_CONTROLLER, PRIORITY_DEFAULT
from schema.openflow.messages import OF10, OF11, OF13, OF15
from vswitchd.openflow.action_types import UnrollXlate
from vswitchd.openflow.actions import decode_actions, encode_actions
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.match import Match
from vswitchd.openflow.messages.base import (
    Style, hash_hex, hex_dump, pack_property, port_to_wire,
    property_number, read_port, read_properties, unknown_property,
)
from vswitchd.openflow.messages.flow import encode_tlvs
from vswitchd.openflow.oxm import decode_match, decode_nxm, encode_match, encode_nxm
from vswitchd.openflow.text import format_actions, format_match
from vswitchd.openflow.value import Value

REASONS = ("no_match", "action", "invalid_ttl", "action_set", "group", "packet_out",
           "explicit_miss", "implicit_miss")
_EXPLICIT_MISS = 6
FORMATS = ("standard", "nxt_packet_in", "nxt_packet_in2")


class PacketIn(Value):
    """A packet-in.

    metadata: the pipeline fields (in_port among them).  total_len: of the whole packet;
    data may be less of it.  table and cookie: None if the form does not tell.  form: one of
    FORMATS; userdata and continuation only in the last of them, where `private` keeps the bytes
    of the continuation's property as they came; resume: the message is NXT_RESUME.
    """

    data: bytes
    metadata: Match
    reason: int = 0
    total_len: int = 0
    table: int | None = None
    cookie: int | None = None
    buffer_id: int = BUFFER_NONE
    form: str = "standard"
    userdata: bytes = b""
    private: bytes | None = None
    resume: bool = False

    @property
    def in_port(self) -> int:
        return self.metadata.value("in_port")


_IN11 = struct.Struct("!IIIHBB")
_IN12 = struct.Struct("!IHBB")
_IN_NX = struct.Struct("!IHBBQH6x")


def decode_packet_in(frame: Frame) -> PacketIn:
    kind = frame.raw.kind
    if kind == "NXT_PACKET_IN":
        return _decode_nx(frame)
    if kind in ("NXT_PACKET_IN2", "NXT_RESUME"):
        return _decode_nx2(frame)
    body, version = frame.body, frame.version
    if version == OF10:
        buffer_id, total, port, reason = struct.unpack_from("!IHHB", body)
        return PacketIn(body[10:], Match.of(in_port=port), reason, total, None, None, buffer_id)
    if version == OF11:
        buffer_id, _, _, total, reason, table = _IN11.unpack_from(body)
        port = read_port(body, 4, version)
        return PacketIn(body[16:], Match.of(in_port=port), reason, total, table, None, buffer_id)
    buffer_id, total, reason, table = _IN12.unpack_from(body)
    cookie, start = None, 8
    if version >= OF13:
        cookie, start = int.from_bytes(body[8:16], "big"), 16
    metadata, offset = decode_match(body, start, version, strict=False, fixed=False)
    if len(body) < offset + 2:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    return PacketIn(body[offset + 2:], metadata, reason, total, table, cookie, buffer_id)


def _decode_nx(frame: Frame) -> PacketIn:
    body = frame.body
    buffer_id, total, reason, table, cookie, length = _IN_NX.unpack_from(body)
    end = 24 + (length + 7 & ~7)
    if end > len(body):
        raise OpenFlowError(
            "OFPBMC_BAD_LEN", f"nx_match length {length}, rounded up to a multiple of 8, is longer "
            f"than space in message (max length {len(body) - 24})", "nx_match")
    metadata, _, _ = decode_nxm(body, 24, 24 + length, strict=False)
    if len(body) < end + 2:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    return PacketIn(body[end + 2:], metadata, reason, total, table, cookie, buffer_id,
                    "nxt_packet_in")


def _decode_nx2(frame: Frame, loose: bool = False) -> PacketIn:
    """loose: what is not known of a resumed packet is passed over, as of any other."""
    data, metadata, reason, total = None, Match(), 0, 0
    table, cookie, buffer_id, userdata, private = None, None, BUFFER_NONE, b"", None
    resume = frame.raw.kind == "NXT_RESUME"
    for prop in read_properties(frame.body, 8):
        body = prop.body
        match prop.type:
            case 0:
                data = body
            case 1:
                total = property_number(body, 4)
            case 2:
                buffer_id = property_number(body, 4)
            case 3:
                table = property_number(body, 1)
            case 4:
                cookie = property_number(body, 8)
            case 5:
                reason = property_number(body, 1)
            case 6:
                metadata, _, _ = decode_nxm(body, strict=resume and not loose)
            case 7:
                userdata = body
            case 8:
                if len(body) < 4:
                    raise OpenFlowError("OFPBPC_BAD_LEN")
                private = body
            case _:
                if resume and not loose:
                    raise unknown_property(prop, "NXT_PACKET_IN2", "ofp_packet")
    if not data:
        raise OpenFlowError("OFPBRC_BAD_LEN",
                            "NXT_PACKET_IN2 lacks packet", "ofp_packet")
    if total and total < len(data):
        raise OpenFlowError("OFPBRC_BAD_LEN",
                            "NXT_PACKET_IN2 claimed full_len < len", "ofp_packet")
    return PacketIn(data, metadata, reason, total or len(data), table, cookie, buffer_id,
                    "nxt_packet_in2", userdata, private, resume)


def encode_packet_in(value: PacketIn, version: int):
    """In the value's form; the reasons that `version` does not know become the nearest."""
    reason = value.reason
    if value.form == "nxt_packet_in2":
        return "NXT_RESUME" if value.resume else "NXT_PACKET_IN2", _encode_nx2(value, version)
    table = 0 if value.table is None else value.table
    cookie = COOKIE_NONE if value.cookie is None else value.cookie
    if value.form == "nxt_packet_in":
        match = encode_nxm(value.metadata, 0)
        padded = match + bytes(-len(match) % 8 + 2)
        return "NXT_PACKET_IN", _IN_NX.pack(value.buffer_id, value.total_len, reason, table,
                                            cookie, len(match)) + padded + value.data
    port = value.in_port
    if version == OF10:
        return "OFPT_PACKET_IN", struct.pack("!IHHBx", value.buffer_id, value.total_len, port,
                                             reason) + value.data
    if version == OF11:
        wide = port_to_wire(port)
        return "OFPT_PACKET_IN", _IN11.pack(value.buffer_id, wide, wide, value.total_len, reason,
                                            table) + value.data
    head = _IN12.pack(value.buffer_id, value.total_len, reason, table)
    if version >= OF13:
        head += struct.pack("!Q", cookie)
    return "OFPT_PACKET_IN", (head + encode_match(value.metadata, version) + bytes(2)
                              + value.data)


def _encode_nx2(value: PacketIn, version: int) -> bytes:
    out = pack_property(0, value.data)
    if value.total_len != len(value.data) and value.total_len:
        out += pack_property(1, struct.pack("!I", value.total_len))
    if value.buffer_id != BUFFER_NONE:
        out += pack_property(2, struct.pack("!I", value.buffer_id))
    out += pack_property(3, bytes([value.table or 0]))
    if value.cookie is not None and value.cookie != COOKIE_NONE:
        out += pack_property(4, struct.pack("!4xQ", value.cookie))
    out += pack_property(5, bytes([value.reason]))
    out += pack_property(6, encode_tlvs(value.metadata, version))
    if value.private is not None:
        out += pack_property(8, value.private)
    if value.userdata:
        out += pack_property(7, value.userdata)
    return out


def format_reason(reason: int) -> str:
    """The reason's name, empty for the two that only the switch itself tells apart."""
    if reason >= len(REASONS):
        return str(reason)
    return REASONS[reason] if reason < _EXPLICIT_MISS else ""


def show_packet_in(frame: Frame, out: list[str], style: Style) -> None:
    is_new = frame.raw.kind in ("NXT_PACKET_IN2", "NXT_RESUME")
    value = _decode_nx2(frame, True) if is_new else decode_packet_in(frame)
    text = ""
    if value.table:
        text += f" table_id={style.table(value.table)}"
    if value.cookie is not None and value.cookie != COOKIE_NONE:
        text += f" cookie=0x{value.cookie:x}"
    text += f" total_len={value.total_len} "
    text += format_match(value.metadata, style.port_names, PRIORITY_DEFAULT)
    text += f" (via {format_reason(value.reason)}) data_len={len(value.data)}"
    if value.buffer_id == BUFFER_NONE:
        text += " (unbuffered)"
        if value.total_len != len(value.data):
            text += " (***total_len != data_len***)"
    else:
        text += f" buffer=0x{value.buffer_id:08x}"
        if value.total_len < len(value.data):
            text += " (***total_len < data_len***)"
    text += "\n"
    if value.userdata:
        text += " userdata=" + ".".join(f"{c:02x}" for c in value.userdata) + "\n"
    if value.private is not None:
        text += _describe_continuation(value.private, frame.version, style)
    out.append(text)
    if style.verbosity > 0:
        # Parsing packets is needed by few commands.
        from vswitchd.openflow.packet_text import format_packet
        packet_type = value.metadata.value("packet_type")
        out.append(format_packet(value.data, packet_type))
    if style.verbosity > 2:
        out.append(hex_dump(value.data, False))


# Continuations: what a paused packet still has to do.


class Continuation(Value):
    """The state of a paused packet.

    bridge: UUID; stack: bytes of each entry, the top first; actions: with an UnrollXlate in front
    of what each level of resubmit has left to do; odp_port: datapath port or None.
    """

    bridge: UUID | None = None
    stack: tuple[bytes, ...] = ()
    mirrors: int = 0
    conntracked: bool = False
    actions: tuple = ()
    action_set: tuple = ()
    odp_port: int | None = None


def decode_continuation(data: bytes, version: int, loose: bool = False) -> Continuation:
    """Decodes a packet-in's `private` bytes.  Raises OpenFlowError.

    loose: properties that are not known are passed over.
    """
    bridge, stack, mirrors, conntracked, odp_port = None, [], 0, False, None
    actions: tuple = ()
    action_set: tuple = ()
    table = cookie = 0
    for prop in read_properties(data[4:], 8):
        body = prop.body
        match prop.type:
            case 0x8000:
                if len(body) != 16:
                    raise OpenFlowError("OFPBPC_BAD_LEN")
                # Four words, each in the byte order of the switch.
                bridge = UUID(bytes=b"".join(body[i:i + 4][::-1] for i in range(0, 16, 4)))
            case 0x8001:
                stack.append(body)
            case 0x8002:
                mirrors = property_number(body, 4)
            case 0x8003:
                conntracked = True
            case 0x8004:
                table = property_number(body, 1)
            case 0x8005:
                cookie = property_number(body, 8)
            case 0x8006:
                actions += (UnrollXlate(table, cookie), *_nested_actions(body, version))
            case 0x8007:
                action_set = _nested_actions(body, version)
            case 0x8008:
                odp_port = property_number(body, 4)
            case _:
                if not loose:
                    raise unknown_property(prop, "continuation", "ofp_packet")
    return Continuation(bridge, tuple(stack), mirrors, conntracked, actions, action_set, odp_port)


def _nested_actions(body: bytes, version: int) -> tuple:
    if len(body) < 4:
        raise OpenFlowError("OFPBPC_BAD_LEN", f"actions property has bad length {len(body) + 4}",
                            "ofp_packet")
    return decode_actions(body, version, 4)


def encode_continuation(value: Continuation, version: int) -> bytes:
    """The `private` bytes of a packet-in; a level's actions follow its UnrollXlate."""
    out = bytes(4)
    if value.bridge is not None:
        words = value.bridge.bytes
        out += pack_property(0x8000, b"".join(words[i:i + 4][::-1] for i in range(0, 16, 4)))
    for entry in value.stack:
        out += pack_property(0x8001, entry)
    if value.mirrors:
        out += pack_property(0x8002, struct.pack("!I", value.mirrors))
    if value.conntracked:
        out += pack_property(0x8003, b"")
    levels: list[tuple[int, int, list]] = []
    for action in value.actions:
        if isinstance(action, UnrollXlate):
            levels.append((action[0], action[1], []))
        else:
            if not levels:
                levels.append((0, 0, []))
            levels[-1][2].append(action)
    before = (0, 0)
    for table, cookie, actions in levels:
        if table != before[0]:
            out += pack_property(0x8004, bytes([table]))
        if cookie != before[1]:
            out += pack_property(0x8005, struct.pack("!4xQ", cookie))
        before = (table, cookie)
        out += pack_property(0x8006, bytes(4) + encode_actions(tuple(actions), version))
    if value.action_set:
        out += pack_property(0x8007, bytes(4) + encode_actions(value.action_set, version))
    if value.odp_port is not None:
        out += pack_property(0x8008, struct.pack("!I", value.odp_port))
    return out


def _describe_continuation(data: bytes, version: int, style: Style) -> str:
    value = decode_continuation(data, version, loose=True)
    text = ""
    if value.bridge is not None and value.bridge.int:
        text += f" continuation.bridge={value.bridge}\n"
    if value.stack:
        entries = " ".join(hash_hex(int.from_bytes(entry, "big")) for entry in value.stack)
        text += f" continuation.stack=(top) {entries} (bottom)\n"
    if value.mirrors:
        text += f" continuation.mirrors={hash_hex(value.mirrors)}\n"
    if value.conntracked:
        text += " continuation.conntracked=true\n"
    for name, actions in (("actions", value.actions), ("action_set", value.action_set)):
        if actions:
            words = format_actions(actions, style.port_names, style.table_names)
            text += f" continuation.{name}={words}\n"
    if value.odp_port:
        text += f" continuation.odp_port={value.odp_port}\n"
    return text


# Packet-out.


class PacketOut(Value):
    """OFPT_PACKET_OUT.  metadata: in_port, and in OpenFlow 1.5 other pipeline fields."""

    data: bytes
    actions: tuple = ()
    metadata: Match = Match.of(in_port=PORT_CONTROLLER)
    buffer_id: int = BUFFER_NONE

    @property
    def in_port(self) -> int:
        return self.metadata.value("in_port")


def decode_packet_out(frame: Frame) -> PacketOut:
    body, version = frame.body, frame.version
    if version >= OF15:
        buffer_id, length = struct.unpack_from("!IH2x", body)
        metadata, start = decode_match(body, 8, version, strict=False, pipeline=True,
                                       fixed=False)
        if "in_port" not in metadata:
            raise OpenFlowError("OFPBRC_BAD_PORT",
                                "packet-out contains no in_port", "ofp_packet")
    elif version == OF10:
        buffer_id, port, length = struct.unpack_from("!IHH", body)
        metadata, start = Match.of(in_port=port), 8
    else:
        buffer_id, _, length = struct.unpack_from("!IIH", body)
        metadata, start = Match.of(in_port=read_port(body, 4, version)), 16
    if start + length > len(body):
        raise OpenFlowError("OFPBRC_BAD_LEN")
    actions = decode_actions(body, version, start, start + length)
    port = metadata.value("in_port")
    if 0xFF00 <= port and port not in (0xFFFE, 0xFFFF, 0xFFFD):
        raise OpenFlowError("OFPBRC_BAD_PORT",
                            f"packet-out has bad input port {hash_hex(port)}", "ofp_packet")
    data = body[start + length:] if buffer_id == BUFFER_NONE else b""
    return PacketOut(data, actions, metadata, buffer_id)


def encode_packet_out(value: PacketOut, version: int):
    actions = encode_actions(value.actions, version)
    if version >= OF15:
        head = struct.pack("!IH2x", value.buffer_id, len(actions)) + encode_match(
            value.metadata, version)
    elif version == OF10:
        head = struct.pack("!IHH", value.buffer_id, value.in_port, len(actions))
    else:
        head = struct.pack("!IIH6x", value.buffer_id, port_to_wire(value.in_port), len(actions))
    return "OFPT_PACKET_OUT", head + actions + value.data


def show_packet_out(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_packet_out(frame)
    text = " " + format_match(value.metadata, style.port_names, PRIORITY_DEFAULT)
    text += " actions=" + format_actions(value.actions, style.port_names, style.table_names)
    if value.buffer_id != BUFFER_NONE:
        out.append(f"{text} buffer=0x{value.buffer_id:08x}\n")
        return
    out.append(f"{text} data_len={len(value.data)}\n")
    if style.verbosity > 0 and value.data:
        from vswitchd.openflow.packet_text import format_packet
        out.append(format_packet(value.data, value.metadata.value("packet_type")))
    if style.verbosity > 2:
        out.append(hex_dump(value.data, False))
