"""Ports: descriptions, status changes, modifications, statistics.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
Numbers of features differ between OpenFlow 1.0 and later; inside, the later ones are used.
"""

import re
import struct
from collections.abc import Iterator

from schema.openflow.limits import PORT_NONE
from schema.openflow.messages import OF10, OF11, OF13, OF14, OF15
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.messages.base import (
    Style, describe_bits, format_duration, format_mac, format_port, pack_name, pack_property,
    port_to_wire, read_port, read_properties, strip_name,
)
from vswitchd.openflow.value import Value

CONFIG = ((0x1, "PORT_DOWN"), (0x2, "NO_STP"), (0x4, "NO_RECV"), (0x8, "NO_RECV_STP"),
          (0x10, "NO_FLOOD"), (0x20, "NO_FWD"), (0x40, "NO_PACKET_IN"))
"""Bits of `config`: all in OpenFlow 1.0, without STP and FLOOD later."""

CONFIG11 = 0x65

STATE = ((0x1, "LINK_DOWN"), (0x2, "BLOCKED"), (0x4, "LIVE"))
STP_STATES = {0x0: "STP_LISTEN", 0x100: "STP_LEARN", 0x200: "STP_FORWARD", 0x300: "STP_BLOCK"}

FEATURES = (
    (0x1, "10MB-HD"), (0x2, "10MB-FD"), (0x4, "100MB-HD"), (0x8, "100MB-FD"), (0x10, "1GB-HD"),
    (0x20, "1GB-FD"), (0x40, "10GB-FD"), (0x80, "40GB-FD"), (0x100, "100GB-FD"),
    (0x200, "1TB-FD"), (0x400, "OTHER"), (0x800, "COPPER"), (0x1000, "FIBER"),
    (0x2000, "AUTO_NEG"), (0x4000, "AUTO_PAUSE"), (0x8000, "AUTO_PAUSE_ASYM"),
)
SPEEDS = ((0x200, 1000000), (0x100, 100000), (0x80, 40000), (0x40, 10000), (0x30, 1000),
           (0xC, 100), (0x3, 10))


def features_to_mbps(features: int) -> int:
    """The fastest speed among the features, in Mbps."""
    for mask, mbps in SPEEDS:
        if features & mask:
            return mbps
    return 0


def _features_from_wire(bits: int, version: int) -> int:
    """OpenFlow 1.0 has five bits of medium and pause right after 10GB-FD."""
    if version != OF10:
        return bits & 0xFFFF
    return (bits & 0x7F) | (bits & 0xF80) << 4


def _features_to_wire(bits: int, version: int) -> int:
    if version != OF10:
        return bits
    return (bits & 0x7F) | (bits & 0xF800) >> 4


class Port(Value):
    """Description of a port.  speeds in kbps; features as in FEATURES; stp: a key of
    STP_STATES, told in OpenFlow 1.0 only."""

    number: int
    mac: bytes
    name: str
    config: int = 0
    state: int = 0
    current: int = 0
    advertised: int = 0
    supported: int = 0
    peer: int = 0
    current_speed: int = 0
    max_speed: int = 0


_PORT10 = struct.Struct("!H6s16s6I")
_PORT11 = struct.Struct("!I4x6s2x16s8I")
_PORT14 = struct.Struct("!IH2x6s2x16sII")
_ETHERNET = struct.Struct("!4x6I")


def _decode_port10(data: bytes, offset: int) -> Port:
    number, mac, name, config, state, *features = _PORT10.unpack_from(data, offset)
    current, advertised, supported, peer = (_features_from_wire(f, OF10) for f in features)
    return Port(number, mac, strip_name(name[:15]), config & 0x7F, state & 0x301, current,
                advertised, supported, peer, features_to_mbps(current) * 1000,
                features_to_mbps(supported) * 1000)


def _decode_port11(data: bytes, offset: int) -> Port:
    _, mac, name, config, state, *rest = _PORT11.unpack_from(data, offset)
    number = read_port(data, offset, OF11)
    features = (_features_from_wire(f, OF11) for f in rest[:4])
    return Port(number, mac, strip_name(name[:15]), config & CONFIG11, state & 7, *features,
                rest[4], rest[5])


def _decode_port14(data: bytes, offset: int) -> tuple[Port, int]:
    if len(data) - offset < 40:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    _, length, mac, name, config, state = _PORT14.unpack_from(data, offset)
    if length < 40 or length > len(data) - offset:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    number = read_port(data, offset, OF14)
    ethernet = (0, 0, 0, 0, 0, 0)
    for prop in read_properties(data[offset + 40:offset + length], 8):
        if prop.type == 0:
            if len(prop.body) != 28:
                raise OpenFlowError("OFPBPC_BAD_LEN")
            ethernet = _ETHERNET.unpack(prop.body)
        # An optical port or an experimenter's description says nothing that is shown.
    features = (_features_from_wire(f, OF14) for f in ethernet[:4])
    return Port(number, mac, strip_name(name[:15]), config & CONFIG11, state & 7, *features,
                ethernet[4], ethernet[5]), length


def iterate_ports(data: bytes, version: int) -> Iterator[Port]:
    """Yields each port description of `data`."""
    offset = 0
    while offset < len(data):
        if version >= OF14:
            port, size = _decode_port14(data, offset)
        else:
            size = 48 if version == OF10 else 64
            if len(data) - offset < size:
                raise OpenFlowError("OFPBRC_BAD_LEN")
            port = (_decode_port10 if version == OF10 else _decode_port11)(data, offset)
        yield port
        offset += size


def decode_ports(data: bytes, version: int) -> tuple[Port, ...]:
    return tuple(iterate_ports(data, version))


def encode_port(port: Port, version: int) -> bytes:
    """One description in the layout of `version`."""
    name = pack_name(port.name, 16)
    features = [_features_to_wire(f, version)
                for f in (port.current, port.advertised, port.supported, port.peer)]
    if version == OF10:
        return _PORT10.pack(port.number, port.mac, name, port.config, port.state & 0x301,
                            *features)
    config, state = port.config & CONFIG11, port.state & 7
    number = port_to_wire(port.number)
    if version < OF14:
        return _PORT11.pack(number, port.mac, name, config, state, *features,
                            port.current_speed, port.max_speed)
    return (_PORT14.pack(number, 72, port.mac, name, config, state)
            + pack_property(0, _ETHERNET.pack(*features, port.current_speed, port.max_speed)))


def _describe_state(state: int) -> str:
    """STP's state and the bits run into each other, as they do in Open vSwitch."""
    stp, bits = state & 0x300, state & ~0x300
    if not stp:
        return describe_bits(bits, STATE)
    return STP_STATES[stp] + (describe_bits(bits, STATE) if bits else "")


def show_port(port: Port, out: list[str]) -> None:
    """The lines of one port, as in `ovs-ofctl show`."""
    name = re.split(r"[^ -~]", port.name, maxsplit=1)[0]
    out.append(f" {format_port(port.number)}({name}): addr:{format_mac(port.mac)}\n")
    out.append(f"     config:     {describe_bits(port.config, CONFIG)}\n")
    out.append(f"     state:      {_describe_state(port.state)}\n")
    for title, bits in (("current:    ", port.current), ("advertised: ", port.advertised),
                        ("supported:  ", port.supported), ("peer:       ", port.peer)):
        if bits:
            out.append(f"     {title}{describe_bits(bits, FEATURES)}\n")
    out.append(f"     speed: {port.current_speed // 1000} Mbps now, "
               f"{port.max_speed // 1000} Mbps max\n")


def show_ports(data: bytes, version: int, out: list[str]) -> None:
    """All descriptions of `data`, by port number; then raises what stopped the decoding."""
    ports = []
    try:
        for port in iterate_ports(data, version):
            ports.append(port)
    finally:
        for port in sorted(ports, key=lambda p: p.number):
            show_port(port, out)


# Descriptions on request.


class PortDescRequest(Value):
    """OFPST_PORT_DESC request.  port: which, in OpenFlow 1.5 only; else all."""

    port: int = PORT_NONE


class PortDescReply(Value):
    """OFPST_PORT_DESC reply."""

    ports: tuple[Port, ...]


def decode_port_desc_request(frame: Frame) -> PortDescRequest:
    if frame.version >= OF15:
        return PortDescRequest(read_port(frame.body, 0, frame.version))
    return PortDescRequest()


def encode_port_desc_request(value: PortDescRequest, version: int):
    body = struct.pack("!I4x", port_to_wire(value.port)) if version >= OF15 else b""
    return "OFPST_PORT_DESC_REQUEST", body


def show_port_desc_request(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" port={style.port(decode_port_desc_request(frame).port)}")


def decode_port_desc_reply(frame: Frame) -> PortDescReply:
    return PortDescReply(decode_ports(frame.body, frame.version))


def encode_port_desc_reply(value: PortDescReply, version: int):
    return "OFPST_PORT_DESC_REPLY", [encode_port(port, version) for port in value.ports]


def show_port_desc_reply(frame: Frame, out: list[str], style: Style) -> None:
    out.append("\n")
    show_ports(frame.body, frame.version, out)


# Status.

STATUS_REASONS = ("ADD", "DEL", "MOD")


class PortStatus(Value):
    """OFPT_PORT_STATUS.  reason: 0 add, 1 delete, 2 modify."""

    reason: int
    port: Port


def decode_port_status(frame: Frame) -> PortStatus:
    reason = frame.body[0]
    if reason > 2:
        raise OpenFlowError("NXBRC_BAD_REASON")
    return PortStatus(reason, next(iterate_ports(frame.body[8:], frame.version)))


def encode_port_status(value: PortStatus, version: int):
    return "OFPT_PORT_STATUS", (struct.pack("!B7x", value.reason)
                                + encode_port(value.port, version))


def show_port_status(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_port_status(frame)
    out.append(f" {STATUS_REASONS[value.reason]}:")
    show_port(value.port, out)


# Modification.


class PortMod(Value):
    """OFPT_PORT_MOD: the bits of `config` under `mask` are set as `config` says."""

    number: int
    mac: bytes
    config: int
    mask: int
    advertise: int = 0


_PORT_MOD10 = struct.Struct("!H6sIII4x")
_PORT_MOD11 = struct.Struct("!I4x6s2xIII4x")
_PORT_MOD14 = struct.Struct("!I4x6s2xII")


def decode_port_mod(frame: Frame, loose: bool = False) -> PortMod:
    """loose: properties that nobody knows are skipped, not refused."""
    body, version = frame.body, frame.version
    if version == OF10:
        number, mac, config, mask, advertise = _PORT_MOD10.unpack(body)
    elif version < OF14:
        _, mac, config, mask, advertise = _PORT_MOD11.unpack(body)
        number = read_port(body, 0, version)
    else:
        _, mac, config, mask = _PORT_MOD14.unpack_from(body)
        number, advertise = read_port(body, 0, version), 0
        for prop in read_properties(body[24:], 8):
            if prop.type == 0:
                if len(prop.body) != 4:
                    raise OpenFlowError("OFPBPC_BAD_LEN")
                advertise = int.from_bytes(prop.body, "big")
            elif loose:
                continue
            elif prop.type == 0xFFFF:
                raise OpenFlowError("OFPBPC_BAD_EXPERIMENTER")
            else:
                raise OpenFlowError("OFPBPC_BAD_TYPE", f"unknown port_mod property type "
                                                       f"{prop.type}", "ofp_port")
    known = 0x7F if version == OF10 else CONFIG11
    return PortMod(number, mac, config & mask & known, mask & known,
                   _features_from_wire(advertise, version))


def encode_port_mod(value: PortMod, version: int):
    advertise = _features_to_wire(value.advertise, version)
    config, mask = value.config & CONFIG11, value.mask & CONFIG11
    if version == OF10:
        body = _PORT_MOD10.pack(value.number, value.mac, value.config, value.mask, advertise)
    elif version < OF14:
        body = _PORT_MOD11.pack(port_to_wire(value.number), value.mac, config, mask, advertise)
    else:
        body = _PORT_MOD14.pack(port_to_wire(value.number), value.mac, config, mask)
        if advertise:
            body += pack_property(0, struct.pack("!I", advertise))
    return "OFPT_PORT_MOD", body


def show_port_mod(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_port_mod(frame, True)
    out.append(f" port: {style.port(value.number)}: addr:{format_mac(value.mac)}\n")
    out.append(f"     config: {describe_bits(value.config, CONFIG)}\n")
    out.append(f"     mask:   {describe_bits(value.mask, CONFIG)}\n")
    out.append("     advertise: "
               + (describe_bits(value.advertise, FEATURES) if value.advertise else "UNCHANGED")
               + "\n")


# Statistics.

_UNKNOWN = (1 << 64) - 1


class PortStatsRequest(Value):
    """OFPST_PORT request.  port: PORT_NONE for all."""

    port: int = PORT_NONE


class PortStats(Value):
    """Counters of one port; None is unknown.  duration: (seconds, nanoseconds) or None.

    rfc2819: 21 counters (sizes 1 to 64, 65 to 127, 128 to 255, 256 to 511, 512 to 1023, 1024 to
    1522, 1523 to max received, the same sent, multicast sent, broadcast received and sent,
    undersized, oversize, fragments, jabber) or empty; custom: (name, value) pairs.
    """

    port: int
    rx_packets: int | None = None
    tx_packets: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None
    rx_dropped: int | None = None
    tx_dropped: int | None = None
    rx_errors: int | None = None
    tx_errors: int | None = None
    rx_frame_errors: int | None = None
    rx_over_errors: int | None = None
    rx_crc_errors: int | None = None
    collisions: int | None = None
    duration: tuple[int, int] | None = None
    rfc2819: tuple[int | None, ...] = ()
    custom: tuple[tuple[str, int], ...] = ()


class PortStatsReply(Value):
    """OFPST_PORT reply."""

    stats: tuple[PortStats, ...]


def decode_port_stats_request(frame: Frame) -> PortStatsRequest:
    return PortStatsRequest(read_port(frame.body, 0, frame.version))


def encode_port_stats_request(value: PortStatsRequest, version: int):
    body = (struct.pack("!H6x", value.port) if version == OF10
            else struct.pack("!I4x", port_to_wire(value.port)))
    return "OFPST_PORT_REQUEST", body


def show_port_stats_request(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" port_no={style.port(decode_port_stats_request(frame).port)}")


_STATS10 = struct.Struct("!H6x12Q")
_STATS11 = struct.Struct("!I4x12Q")
_STATS13 = struct.Struct("!I4x12QII")
_STATS14 = struct.Struct("!H2xIII8Q")
_STATS_ETHERNET = struct.Struct("!4x4Q")
_INTEL = 0x0000AA01
_RFC2819 = struct.Struct("!21Q")


def _known(value: int) -> int | None:
    return None if value == _UNKNOWN else value


def _raw(value: int | None) -> int:
    return _UNKNOWN if value is None else value


def _decode_stats14(data: bytes, offset: int) -> tuple[PortStats, int]:
    if len(data) - offset < 80:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    length, _, sec, nsec, *counters = _STATS14.unpack_from(data, offset)
    if length < 80 or length > len(data) - offset:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    port = read_port(data, offset + 4, OF14)
    ethernet = (_UNKNOWN,) * 4
    rfc2819: tuple[int | None, ...] = ()
    custom: tuple[tuple[str, int], ...] = ()
    for prop in read_properties(data[offset + 80:offset + length], 8):
        if prop.type == 0:
            if len(prop.body) != 36:
                raise OpenFlowError("OFPBPC_BAD_LEN")
            ethernet = _STATS_ETHERNET.unpack(prop.body)
        elif prop.type == 0xFFFF and prop.experimenter == _INTEL:
            if prop.exp_type == 1:
                rfc2819 = _decode_rfc2819(prop.body)
            elif prop.exp_type == 2:
                custom = _decode_custom(prop.body)
        # A property of somebody else's is his business.
    return PortStats(port, *map(_known, counters), *map(_known, ethernet), (sec, nsec), rfc2819,
                     custom), length


def _decode_rfc2819(body: bytes) -> tuple[int | None, ...]:
    if len(body) != 4 + _RFC2819.size:
        raise OpenFlowError("OFPBPC_BAD_LEN")
    return tuple(map(_known, _RFC2819.unpack_from(body, 4)))


def _decode_custom(body: bytes) -> tuple[tuple[str, int], ...]:
    if len(body) < 4:
        raise OpenFlowError("OFPBPC_BAD_LEN")
    count = int.from_bytes(body[2:4], "big")
    offset, rows = 4, []
    for _ in range(count):
        if offset >= len(body):
            raise OpenFlowError("OFPBPC_BAD_LEN")
        size = body[offset]
        end = offset + 1 + size
        if end + 8 > len(body):
            raise OpenFlowError("OFPBPC_BAD_LEN")
        rows.append((strip_name(body[offset + 1:end]),
                     int.from_bytes(body[end:end + 8], "big")))
        offset = end + 8
    return tuple(rows)


def iterate_port_stats(data: bytes, version: int) -> Iterator[PortStats]:
    """Yields the counters of each port."""
    offset = 0
    while offset < len(data):
        if version >= OF14:
            stats, size = _decode_stats14(data, offset)
            yield stats
        elif version == OF13:
            _, *counters, sec, nsec = _STATS13.unpack_from(data, offset)
            yield PortStats(read_port(data, offset, version), *map(_known, counters), (sec, nsec))
            size = 112
        else:
            layout = _STATS10 if version == OF10 else _STATS11
            _, *counters = layout.unpack_from(data, offset)
            yield PortStats(read_port(data, offset, version), *map(_known, counters))
            size = 104
        offset += size


def decode_port_stats_reply(frame: Frame) -> PortStatsReply:
    return PortStatsReply(tuple(iterate_port_stats(frame.body, frame.version)))


def _encode_port_stats(stats: PortStats, version: int) -> bytes:
    counters = [_raw(v) for v in (
        stats.rx_packets, stats.tx_packets, stats.rx_bytes, stats.tx_bytes, stats.rx_dropped,
        stats.tx_dropped, stats.rx_errors, stats.tx_errors)]
    ethernet = [_raw(v) for v in (stats.rx_frame_errors, stats.rx_over_errors,
                                  stats.rx_crc_errors, stats.collisions)]
    if version == OF10:
        return _STATS10.pack(stats.port, *counters, *ethernet)
    port = port_to_wire(stats.port)
    if version < OF13:
        return _STATS11.pack(port, *counters, *ethernet)
    sec, nsec = stats.duration or (0xFFFFFFFF, 0xFFFFFFFF)
    if version == OF13:
        return _STATS13.pack(port, *counters, *ethernet, sec, nsec)
    props = pack_property(0, _STATS_ETHERNET.pack(*ethernet))
    if stats.rfc2819:
        props += pack_property(0xFFFF, struct.pack("!II4x", _INTEL, 1)
                               + _RFC2819.pack(*map(_raw, stats.rfc2819)))
    if stats.custom:
        rows = b"".join(bytes([len(name.encode()[:63])]) + name.encode()[:63]
                        + struct.pack("!Q", _raw(value)) for name, value in stats.custom)
        props += pack_property(0xFFFF, struct.pack("!II2xH", _INTEL, 2, len(stats.custom)) + rows)
    return _STATS14.pack(80 + len(props), port, sec, nsec, *counters) + props


def encode_port_stats_reply(value: PortStatsReply, version: int):
    return "OFPST_PORT_REPLY", [_encode_port_stats(stats, version) for stats in value.stats]


def _say(name: str, value: int | None, more: bool = True) -> str:
    return f"{name}={'?' if value is None else value}{', ' if more else chr(10)}"


def show_port_stats_reply(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" {_count_port_stats(frame)} ports\n")
    if style.verbosity < 1:
        return
    for s in iterate_port_stats(frame.body, frame.version):
        out.append(f"  port {' ' if s.port < 10 else ''}{style.port(s.port)}: ")
        out.append("rx " + _say("pkts", s.rx_packets) + _say("bytes", s.rx_bytes)
                   + _say("drop", s.rx_dropped) + _say("errs", s.rx_errors)
                   + _say("frame", s.rx_frame_errors) + _say("over", s.rx_over_errors)
                   + _say("crc", s.rx_crc_errors, False))
        out.append("           tx " + _say("pkts", s.tx_packets) + _say("bytes", s.tx_bytes)
                   + _say("drop", s.tx_dropped) + _say("errs", s.tx_errors)
                   + _say("coll", s.collisions, False))
        if s.duration is not None and s.duration[0] != 0xFFFFFFFF:
            out.append(f"           duration={format_duration(*s.duration)}s\n")
        _show_rfc2819(s.rfc2819, out)
        _show_custom(s.custom, out)


def _count_port_stats(frame: Frame) -> int:
    count = 0
    try:
        for _ in iterate_port_stats(frame.body, frame.version):
            count += 1
    except OpenFlowError:
        pass
    return count


_SIZES = ("1_to_64_packets", "65_to_127_packets", "128_to_255_packets", "256_to_511_packets",
          "512_to_1023_packets", "1024_to_1522_packets", "1523_to_max_packets")
_RFC2819_LINES = (
    ("rx", tuple(enumerate(_SIZES)) + (
        (15, "broadcast_packets"), (17, "undersized_errors"), (18, "oversize_errors"),
        (19, "rx_fragmented_errors"), (20, "rx_jabber_errors"))),
    ("tx", tuple(enumerate(_SIZES, 7)) + ((14, "multicast_packets"), (16, "broadcast_packets"))),
)
"""Direction and (index of the counter, its name) in the order of the text."""


def _show_rfc2819(counters: tuple[int | None, ...], out: list[str]) -> None:
    for direction, names in _RFC2819_LINES if counters else ():
        words = [_say(name, counters[index]) for index, name in names
                 if counters[index] is not None]
        if words:
            out.append(f"           {direction} rfc2819 " + "".join(words) + "\n")


def _show_custom(rows: tuple[tuple[str, int], ...], out: list[str]) -> None:
    if not rows:
        return
    out.append("           CUSTOM Statistics")
    for index, (name, value) in enumerate(rows):
        if name:
            gap = "\n" + " " * 21 if index % 3 == 0 else ""
            out.append(f"{gap} {name}={value},")
    out.append("\n")
