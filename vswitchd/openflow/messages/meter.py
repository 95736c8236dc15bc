"""Meters (OpenFlow 1.3 and later): modification, configuration, statistics, features.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
"""

import struct
from collections.abc import Iterator

from schema.openflow.limits import METER_ALL, METER_CONTROLLER, METER_MAX, METER_SLOWPATH
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.messages.base import Style, describe_bits, format_duration
from vswitchd.openflow.value import Value

COMMANDS = {"add": 0, "modify": 1, "delete": 2}
FLAGS = {"kbps": 1, "pktps": 2, "burst": 4, "stats": 8}
BANDS = {"drop": 1, "dscp_remark": 2}
_BAND_NAMES = {number: name for name, number in BANDS.items()}
METER_NAMES = {METER_SLOWPATH: "slowpath", METER_CONTROLLER: "controller", METER_ALL: "all"}


class Band(Value):
    """One band.  type: key of BANDS; rate in the meter's unit; prec_level of dscp_remark."""

    type: str
    rate: int
    burst_size: int = 0
    prec_level: int = 0


class MeterConfig(Value):
    """A meter.  flags: sum of FLAGS."""

    meter: int
    flags: int
    bands: tuple[Band, ...]


class MeterMod(Value):
    """OFPT_METER_MOD.  command: key of COMMANDS."""

    command: str
    config: MeterConfig


def format_meter(meter: int) -> str:
    return METER_NAMES.get(meter, str(meter) if meter <= METER_MAX else "unknown")


def _decode_bands(data: bytes) -> tuple[Band, ...]:
    bands, offset = [], 0
    while offset < len(data):
        if len(data) - offset < 16:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        kind, size, rate, burst = struct.unpack_from("!HHII", data, offset)
        if size != 16:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        if kind not in _BAND_NAMES:
            raise OpenFlowError("OFPMMFC_BAD_BAND")
        level = data[offset + 12] if kind == 2 else 0
        bands.append(Band(_BAND_NAMES[kind], rate, burst, level))
        offset += size
    return tuple(bands)


def _encode_bands(bands: tuple[Band, ...]) -> bytes:
    return b"".join(struct.pack("!HHIIB3x", BANDS[b.type], 16, b.rate, b.burst_size,
                                b.prec_level if b.type == "dscp_remark" else 0) for b in bands)


def decode_meter_mod(frame: Frame) -> MeterMod:
    command, flags, meter = struct.unpack_from("!HHI", frame.body)
    if command > 2:
        raise OpenFlowError("OFPMMFC_BAD_COMMAND")
    if command == 2:
        return MeterMod("delete", MeterConfig(meter, 0, ()))
    if flags & 3 == 3:
        raise OpenFlowError("OFPMMFC_BAD_FLAGS")
    return MeterMod("add" if command == 0 else "modify",
                    MeterConfig(meter, flags, _decode_bands(frame.body[8:])))


def encode_meter_mod(value: MeterMod, version: int):
    config = value.config
    return "OFPT_METER_MOD", (struct.pack("!HHI", COMMANDS[value.command], config.flags,
                                          config.meter) + _encode_bands(config.bands))


def format_meter_config(config: MeterConfig) -> str:
    """`meter=1 kbps bands=` and a line per band."""
    flags = "".join(f" {name}" for name, bit in FLAGS.items() if config.flags & bit)
    if config.flags & ~15:
        flags += f" flags:{config.flags & ~15:#x}"
    text = f"meter={format_meter(config.meter)}{flags} bands=\n"
    for band in config.bands:
        text += f"type={band.type} rate={band.rate}"
        if config.flags & FLAGS["burst"]:
            text += f" burst_size={band.burst_size}"
        if band.type == "dscp_remark":
            text += f" prec_level={band.prec_level}"
        text += "\n"
    return text


def format_meter_mod(value: MeterMod) -> str:
    """What follows the title of a meter_mod, also within a forwarded request."""
    word = {"add": "ADD", "modify": "MOD", "delete": "DEL"}[value.command]
    return f" {word} {format_meter_config(value.config)}"


def show_meter_mod(frame: Frame, out: list[str], style: Style) -> None:
    out.append(format_meter_mod(decode_meter_mod(frame)))


# Requests.


class MeterConfigRequest(Value):
    """OFPST_METER_CONFIG request."""

    meter: int = METER_ALL


class MeterStatsRequest(Value):
    """OFPST_METER request."""

    meter: int = METER_ALL


class MeterFeaturesRequest(Value):
    """OFPST_METER_FEATURES request."""


def decode_meter_config_request(frame: Frame) -> MeterConfigRequest:
    return MeterConfigRequest(int.from_bytes(frame.body[:4], "big"))


def decode_meter_stats_request(frame: Frame) -> MeterStatsRequest:
    return MeterStatsRequest(int.from_bytes(frame.body[:4], "big"))


def decode_meter_features_request(frame: Frame) -> MeterFeaturesRequest:
    return MeterFeaturesRequest()


def encode_meter_config_request(value: MeterConfigRequest, version: int):
    return "OFPST_METER_CONFIG_REQUEST", struct.pack("!I4x", value.meter)


def encode_meter_stats_request(value: MeterStatsRequest, version: int):
    return "OFPST_METER_REQUEST", struct.pack("!I4x", value.meter)


def encode_meter_features_request(value: MeterFeaturesRequest, version: int):
    return "OFPST_METER_FEATURES_REQUEST", b""


def show_meter_request(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" meter={format_meter(int.from_bytes(frame.body[:4], 'big'))}")


# Configuration.


class MeterConfigReply(Value):
    """OFPST_METER_CONFIG reply."""

    meters: tuple[MeterConfig, ...]


def iterate_meter_configs(data: bytes) -> Iterator[MeterConfig]:
    """Yields each meter of a configuration reply."""
    offset = 0
    while offset < len(data):
        if len(data) - offset < 8:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        size, flags, meter = struct.unpack_from("!HHI", data, offset)
        if size < 8 or size > len(data) - offset:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        yield MeterConfig(meter, flags, _decode_bands(data[offset + 8:offset + size]))
        offset += size


def decode_meter_config_reply(frame: Frame) -> MeterConfigReply:
    return MeterConfigReply(tuple(iterate_meter_configs(frame.body)))


def encode_meter_config_reply(value: MeterConfigReply, version: int):
    entries = []
    for config in value.meters:
        bands = _encode_bands(config.bands)
        entries.append(struct.pack("!HHI", 8 + len(bands), config.flags, config.meter) + bands)
    return "OFPST_METER_CONFIG_REPLY", entries


def show_meter_config_reply(frame: Frame, out: list[str], style: Style) -> None:
    for config in iterate_meter_configs(frame.body):
        out.append("\n" + format_meter_config(config))


# Statistics.


class MeterStats(Value):
    """Counters of one meter.  bands: (packets, bytes) per band."""

    meter: int
    flow_count: int
    packet_in_count: int
    byte_in_count: int
    duration: tuple[int, int]
    bands: tuple[tuple[int, int], ...]


class MeterStatsReply(Value):
    """OFPST_METER reply."""

    stats: tuple[MeterStats, ...]


_STATS = struct.Struct("!IH6xIQQII")


def iterate_meter_stats(data: bytes) -> Iterator[MeterStats]:
    """Yields the counters of each meter."""
    offset = 0
    while offset < len(data):
        if len(data) - offset < 40:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        meter, size, flows, packets, octets, sec, nsec = _STATS.unpack_from(data, offset)
        if size < 40 or size > len(data) - offset or size % 16 != 8:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        bands = tuple(struct.iter_unpack("!QQ", data[offset + 40:offset + size]))
        yield MeterStats(meter, flows, packets, octets, (sec, nsec), bands)
        offset += size


def decode_meter_stats_reply(frame: Frame) -> MeterStatsReply:
    return MeterStatsReply(tuple(iterate_meter_stats(frame.body)))


def encode_meter_stats_reply(value: MeterStatsReply, version: int):
    return "OFPST_METER_REPLY", [
        _STATS.pack(s.meter, 40 + 16 * len(s.bands), s.flow_count, s.packet_in_count,
                    s.byte_in_count, *s.duration)
        + b"".join(struct.pack("!QQ", *band) for band in s.bands) for s in value.stats]


def show_meter_stats_reply(frame: Frame, out: list[str], style: Style) -> None:
    for s in iterate_meter_stats(frame.body):
        out.append(f"\nmeter:{format_meter(s.meter)} flow_count:{s.flow_count} "
                   f"packet_in_count:{s.packet_in_count} byte_in_count:{s.byte_in_count} "
                   f"duration:{format_duration(*s.duration)}s bands:\n")
        for index, (packets, octets) in enumerate(s.bands):
            out.append(f"{index}: packet_count:{packets} byte_count:{octets}\n")


# Features.


class MeterFeaturesReply(Value):
    """OFPST_METER_FEATURES reply.  band_types: bits 1 << type; capabilities: sum of FLAGS."""

    max_meter: int
    band_types: int
    capabilities: int
    max_bands: int
    max_color: int


def decode_meter_features_reply(frame: Frame) -> MeterFeaturesReply:
    return MeterFeaturesReply(*struct.unpack("!IIIBB2x", frame.body))


def encode_meter_features_reply(value: MeterFeaturesReply, version: int):
    return "OFPST_METER_FEATURES_REPLY", struct.pack(
        "!IIIBB2x", value.max_meter, value.band_types, value.capabilities, value.max_bands,
        value.max_color)


def show_meter_features_reply(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_meter_features_reply(frame)
    out.append(f"\nmax_meter:{value.max_meter} max_bands:{value.max_bands} "
               f"max_color:{value.max_color}\n")
    out.append("band_types: "
               + describe_bits(value.band_types, [(1 << n, name) for name, n in BANDS.items()])
               + "\n")
    out.append("capabilities: "
               + describe_bits(value.capabilities, [(n, name) for name, n in FLAGS.items()])
               + "\n")
