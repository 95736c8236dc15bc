"""The switch as a whole: description, IPFIX statistics, TLV table, conntrack flushing.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
"""

import struct
from ipaddress import IPv6Address

from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.messages.base import (
    Style, hash_hex, pack_name, pack_property, property_number, read_properties, strip_name,
)
from vswitchd.openflow.value import Value
from vswitchd.openflow.value_text import format_ipv6


class DescRequest(Value):
    """OFPST_DESC request."""


class DescReply(Value):
    """OFPST_DESC reply."""

    manufacturer: str
    hardware: str
    software: str
    serial: str
    description: str


_DESC = struct.Struct("!256s256s256s32s256s")


def decode_desc_request(frame: Frame) -> DescRequest:
    return DescRequest()


def encode_desc_request(value: DescRequest, version: int):
    return "OFPST_DESC_REQUEST", b""


def decode_desc_reply(frame: Frame) -> DescReply:
    return DescReply(*(strip_name(part) for part in _DESC.unpack(frame.body)))


def encode_desc_reply(value: DescReply, version: int):
    return "OFPST_DESC_REPLY", _DESC.pack(
        pack_name(value.manufacturer, 256), pack_name(value.hardware, 256),
        pack_name(value.software, 256), pack_name(value.serial, 32),
        pack_name(value.description, 256))


def show_desc_reply(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_desc_reply(frame)
    out.append("\n")
    for title, text in (
            ("Manufacturer", value.manufacturer), ("Hardware", value.hardware),
            ("Software", value.software), ("Serial Num", value.serial),
            ("DP Description", value.description)):
        out.append(f"{title}: {text}\n")


# IPFIX statistics.


class IpfixBridgeRequest(Value):
    """NXST_IPFIX_BRIDGE request."""


class IpfixFlowRequest(Value):
    """NXST_IPFIX_FLOW request."""


class IpfixStats(Value):
    """Counters of one IPFIX exporter."""

    total_flows: int
    current_flows: int
    packets: int
    ipv4_packets: int
    ipv6_packets: int
    error_packets: int
    ipv4_error_packets: int
    ipv6_error_packets: int
    tx_packets: int
    tx_errors: int
    collector_set: int = 0


class IpfixBridgeReply(Value):
    """NXST_IPFIX_BRIDGE reply."""

    stats: IpfixStats


class IpfixFlowReply(Value):
    """NXST_IPFIX_FLOW reply."""

    stats: tuple[IpfixStats, ...]


_IPFIX = struct.Struct("!10QI4x")


def _pack_ipfix(s: IpfixStats) -> bytes:
    return _IPFIX.pack(s.total_flows, s.current_flows, s.packets, s.ipv4_packets, s.ipv6_packets,
                       s.error_packets, s.ipv4_error_packets, s.ipv6_error_packets, s.tx_packets,
                       s.tx_errors, s.collector_set)


def decode_ipfix_bridge_request(frame: Frame) -> IpfixBridgeRequest:
    return IpfixBridgeRequest()


def decode_ipfix_flow_request(frame: Frame) -> IpfixFlowRequest:
    return IpfixFlowRequest()


def encode_ipfix_bridge_request(value: IpfixBridgeRequest, version: int):
    return "NXST_IPFIX_BRIDGE_REQUEST", b""


def encode_ipfix_flow_request(value: IpfixFlowRequest, version: int):
    return "NXST_IPFIX_FLOW_REQUEST", b""


def decode_ipfix_bridge_reply(frame: Frame) -> IpfixBridgeReply:
    return IpfixBridgeReply(IpfixStats(*_IPFIX.unpack(frame.body)))


def decode_ipfix_flow_reply(frame: Frame) -> IpfixFlowReply:
    return IpfixFlowReply(tuple(IpfixStats(*row) for row in _IPFIX.iter_unpack(frame.body)))


def encode_ipfix_bridge_reply(value: IpfixBridgeReply, version: int):
    return "NXST_IPFIX_BRIDGE_REPLY", _pack_ipfix(value.stats)


def encode_ipfix_flow_reply(value: IpfixFlowReply, version: int):
    return "NXST_IPFIX_FLOW_REPLY", [_pack_ipfix(s) for s in value.stats]


def _describe_ipfix(s: IpfixStats, indent: int) -> str:
    return (f"flows={s.total_flows}, current flows={s.current_flows}, "
            f"sampled pkts={s.packets}, ipv4 ok={s.ipv4_packets}, ipv6 ok={s.ipv6_packets}, "
            f"tx pkts={s.tx_packets}\n" + " " * indent
            + f"pkts errs={s.error_packets}, ipv4 errs={s.ipv4_error_packets}, "
            f"ipv6 errs={s.ipv6_error_packets}, tx errs={s.tx_errors}\n")


def show_ipfix_bridge_reply(frame: Frame, out: list[str], style: Style) -> None:
    out.append("\n  bridge ipfix: "
               + _describe_ipfix(decode_ipfix_bridge_reply(frame).stats, 16))


def show_ipfix_flow_reply(frame: Frame, out: list[str], style: Style) -> None:
    stats = decode_ipfix_flow_reply(frame).stats
    out.append(f" {len(stats)} ids\n")
    for s in stats:
        out.append(f"  id {s.collector_set:3}: " + _describe_ipfix(s, 10))


# The TLV table: which Geneve options are which tun_metadata fields.

TLV_COMMANDS = ("ADD", "DEL", "CLEAR")


class TlvTableMod(Value):
    """NXT_TLV_TABLE_MOD.  command: index of TLV_COMMANDS; maps: (class, type, length, index)."""

    command: int
    maps: tuple[tuple[int, int, int, int], ...] = ()


class TlvTableRequest(Value):
    """NXT_TLV_TABLE_REQUEST."""


class TlvTableReply(Value):
    """NXT_TLV_TABLE_REPLY."""

    max_option_space: int
    max_fields: int
    maps: tuple[tuple[int, int, int, int], ...] = ()


_TLV = struct.Struct("!HBBH2x")
_N_FIELDS = 64


def _decode_tlvs(data: bytes, max_fields: int) -> tuple[tuple[int, int, int, int], ...]:
    maps = tuple(_TLV.iter_unpack(data))
    for _, _, size, index in maps:
        if size % 4 or size > 124:
            raise OpenFlowError("NXTTMFC_BAD_OPT_LEN",
                                f"tlv table option length ({size}) is not a valid option size",
                                "ofp_match")
        if index >= max_fields:
            raise OpenFlowError("NXTTMFC_BAD_FIELD_IDX",
                                f"tlv table field index ({index}) is too large "
                                f"(max {max_fields - 1 & 0xFFFFFFFF})", "ofp_match")
    return maps


def _encode_tlvs(maps) -> bytes:
    return b"".join(_TLV.pack(*row) for row in maps)


def decode_tlv_table_mod(frame: Frame) -> TlvTableMod:
    command = int.from_bytes(frame.body[:2], "big")
    if command > 2:
        raise OpenFlowError("NXTTMFC_BAD_COMMAND",
                            f"tlv table mod command ({command}) is out of range", "ofp_match")
    return TlvTableMod(command, _decode_tlvs(frame.body[8:], _N_FIELDS))


def encode_tlv_table_mod(value: TlvTableMod, version: int):
    return "NXT_TLV_TABLE_MOD", struct.pack("!H6x", value.command) + _encode_tlvs(value.maps)


def decode_tlv_table_request(frame: Frame) -> TlvTableRequest:
    return TlvTableRequest()


def encode_tlv_table_request(value: TlvTableRequest, version: int):
    return "NXT_TLV_TABLE_REQUEST", b""


def decode_tlv_table_reply(frame: Frame) -> TlvTableReply:
    space, fields = struct.unpack_from("!IH", frame.body)
    return TlvTableReply(space, fields, _decode_tlvs(frame.body[16:], fields))


def encode_tlv_table_reply(value: TlvTableReply, version: int):
    return "NXT_TLV_TABLE_REPLY", (struct.pack("!IH10x", value.max_option_space,
                                               value.max_fields) + _encode_tlvs(value.maps))


def _show_tlvs(maps, out: list[str]) -> None:
    out.append(" mapping table:\n"
               "  class  type  length  match field\n"
               " ------  ----  ------  --------------")
    for option_class, kind, size, index in maps:
        out.append(f"\n {hash_hex(option_class, 6)}  {hash_hex(kind, 4)}  {size:6}  "
                   f"tun_metadata{index}")


def show_tlv_table_mod(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_tlv_table_mod(frame)
    out.append(f"\n {TLV_COMMANDS[value.command]}")
    if value.command != 2:
        _show_tlvs(value.maps, out)


def show_tlv_table_reply(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_tlv_table_reply(frame)
    out.append(f"\n max option space={value.max_option_space} max fields={value.max_fields}\n"
               f" allocated option space={sum(row[2] for row in value.maps)}\n\n")
    _show_tlvs(value.maps, out)


# Connection tracking.


class CtFlushZone(Value):
    """NXT_CT_FLUSH_ZONE."""

    zone: int


class CtTuple(Value):
    """One direction of a connection; None is any.  Addresses are 16 bytes, IPv4 mapped."""

    src: bytes | None = None
    dst: bytes | None = None
    src_port: int | None = None
    dst_port: int | None = None
    icmp_id: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None


class CtFlush(Value):
    """NXT_CT_FLUSH: which connections to forget.  mark and labels: (value, mask) or None."""

    protocol: int = 0
    zone: int | None = None
    orig: CtTuple | None = None
    reply: CtTuple | None = None
    mark: tuple[int, int] | None = None
    labels: tuple[int, int] | None = None


def decode_ct_flush_zone(frame: Frame) -> CtFlushZone:
    if any(frame.body[:6]):
        raise OpenFlowError("NXBRC_MUST_BE_ZERO")
    return CtFlushZone(int.from_bytes(frame.body[6:8], "big"))


def encode_ct_flush_zone(value: CtFlushZone, version: int):
    return "NXT_CT_FLUSH_ZONE", struct.pack("!6xH", value.zone)


def show_ct_flush_zone(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" zone_id={int.from_bytes(frame.body[6:8], 'big')}")


_TUPLE = (("src", 16), ("dst", 16), ("src_port", 2), ("dst_port", 2), ("icmp_id", 2),
          ("icmp_type", 1), ("icmp_code", 1))
"""Members by type of property, with the size of the value, which is padded to four bytes."""


def _pad(value: bytes) -> bytes:
    return value + bytes(-len(value) % 4)


_SCALARS = {2: ("zone", 2), 3: ("mark", 4), 4: ("mark_mask", 4), 5: ("labels", 16),
            6: ("labels_mask", 16)}
"""The other properties by type: their names and the sizes of their values."""


def _family_of(address: bytes, before: str) -> str:
    """"nw", "ipv6" or, for the address that is all zero, "".  before: that of the one before."""
    if not any(address):
        return ""
    family = "nw" if IPv6Address(address).ipv4_mapped else "ipv6"
    if before not in ("", family):
        raise OpenFlowError("OFPBPC_BAD_VALUE",
                            "the l3_type does not match the one previously set", "ofp_ct")
    return family


def _decode_tuple(data: bytes, family: str, members: dict[str, int | bytes]) -> str:
    """Adds what the tuple has to `members`, returns the family of its last address.

    What is not known is passed over.
    """
    for prop in read_properties(data, 8):
        if prop.type >= len(_TUPLE):
            continue
        name, size = _TUPLE[prop.type]
        number = property_number(prop.body, size)
        if size == 16:
            family = _family_of(prop.body[:16], family)
        members[name] = prop.body[:16] if size == 16 else number
    return family


_ICMP = (1, 58)


def _encode_tuple(value: CtTuple, protocol: int) -> bytes:
    """The members that there are; of ICMP those of its own in any case."""
    out = b""
    for kind, (name, size) in enumerate(_TUPLE):
        member = getattr(value, name)
        if member is None and name.startswith("icmp") and protocol in _ICMP:
            member = 0
        if member is not None:
            body = member if isinstance(member, bytes) else member.to_bytes(size, "big")
            out += pack_property(kind, body if size == 1 else _pad(body))
    return out


def decode_ct_flush(frame: Frame) -> CtFlush:
    return _decode_ct_flush(frame)[0]


def _decode_ct_flush(frame: Frame) -> tuple[CtFlush, str]:
    """(value, family of its last address)."""
    body = frame.body
    if any(body[1:8]):
        raise OpenFlowError("NXBRC_MUST_BE_ZERO")
    tuples: dict[int, dict[str, int | bytes]] = {}
    values: dict[str, int] = {}
    family = ""
    for prop in read_properties(body[8:], 8):
        if prop.type in (0, 1):
            if len(prop.body) < 4:
                raise OpenFlowError("OFPBPC_BAD_LEN")
            members = tuples.setdefault(prop.type, {})
            family = _decode_tuple(prop.body[4:], family, members)
        elif prop.type in _SCALARS:
            name, size = _SCALARS[prop.type]
            values[name] = property_number(prop.body, size)
    mark, labels = ((values[name], values.get(f"{name}_mask", (1 << size * 8) - 1))
                    if name in values else None for name, size in (("mark", 4), ("labels", 16)))
    orig, reply = (CtTuple(**tuples[kind]) if kind in tuples else None for kind in (0, 1))
    return CtFlush(body[0], values.get("zone"), orig, reply, mark, labels), family


def encode_ct_flush(value: CtFlush, version: int):
    out = struct.pack("!B7x", value.protocol)
    for kind, inner in ((0, value.orig), (1, value.reply)):
        if inner is not None or value.protocol in _ICMP:
            out += pack_property(kind, bytes(4) + _encode_tuple(inner or CtTuple(), value.protocol))
    if value.zone is not None:
        out += pack_property(2, struct.pack("!H2x", value.zone))
    for first, size, pair in ((3, 4, value.mark), (5, 16, value.labels)):
        if pair is not None:
            out += pack_property(first, pair[0].to_bytes(size, "big"))
            out += pack_property(first + 1, pair[1].to_bytes(size, "big"))
    return "NXT_CT_FLUSH", out


def _describe_tuple(value: CtTuple | None, protocol: int, family: str) -> str:
    value = value or CtTuple()
    words = []
    for name, address in (("src", value.src), ("dst", value.dst)):
        mapped = IPv6Address(address or bytes(16)).ipv4_mapped
        text = mapped or format_ipv6(int.from_bytes(address or bytes(16), "big"))
        words.append(f"ct_{family}_{name}={text}")
    if protocol in (1, 58):
        words.append(f"icmp_id={value.icmp_id or 0},icmp_type={value.icmp_type or 0},"
                     f"icmp_code={value.icmp_code or 0}")
    else:
        words.append(f"ct_tp_src={value.src_port or 0},ct_tp_dst={value.dst_port or 0}")
    return ",".join(words)


def _describe_masked(value: int, mask: int, size: int) -> str:
    full = mask == (1 << size * 8) - 1
    return hash_hex(value) if full else f"{hash_hex(value)}/{hash_hex(mask)}"


def show_ct_flush(frame: Frame, out: list[str], style: Style) -> None:
    value, family = _decode_ct_flush(frame)
    out.append(f" zone={value.zone or 0} ")
    if value.mark is not None and value.mark[1]:
        out.append(f"mark={_describe_masked(*value.mark, 4)} ")
    if value.labels is not None and value.labels[1]:
        out.append(f"labels={_describe_masked(*value.labels, 16)} ")
    orig, reply = (_describe_tuple(side, value.protocol, family or "ipv6")
                   for side in (value.orig, value.reply))
    out.append(f"'{orig},ct_nw_proto={value.protocol}' '{reply}'")
