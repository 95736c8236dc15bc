"""Queues: their configuration and statistics.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
"""

import struct
from collections.abc import Iterator

from schema.openflow.limits import PORT_MAX, PORT_NONE, QUEUE_ALL
from schema.openflow.messages import OF10, OF11, OF12, OF13, OF14
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.messages.base import (
    Style, format_duration, pack_property, port_to_wire, property_number, read_port,
    read_properties,
)
from vswitchd.openflow.value import Value

_UNKNOWN = (1 << 64) - 1


def format_queue(queue: int) -> str:
    """The queue's number, ALL for all of them."""
    return "ALL" if queue == QUEUE_ALL else str(queue)


# Statistics.


class QueueStatsRequest(Value):
    """OFPST_QUEUE request.  port: PORT_NONE for all; queue: QUEUE_ALL for all."""

    port: int = PORT_NONE
    queue: int = QUEUE_ALL


class QueueStats(Value):
    """Counters of one queue; None is unknown.  duration: (seconds, nanoseconds) or None."""

    port: int
    queue: int
    tx_bytes: int | None = None
    tx_packets: int | None = None
    tx_errors: int | None = None
    duration: tuple[int, int] | None = None


class QueueStatsReply(Value):
    """OFPST_QUEUE reply."""

    stats: tuple[QueueStats, ...]


def decode_queue_stats_request(frame: Frame) -> QueueStatsRequest:
    port = read_port(frame.body, 0, frame.version)
    if frame.version == OF10 and port == 0xFFFC:
        port = PORT_NONE
    return QueueStatsRequest(port, int.from_bytes(frame.body[4:8], "big"))


def encode_queue_stats_request(value: QueueStatsRequest, version: int):
    if version == OF10:
        port = 0xFFFC if value.port == PORT_NONE else value.port
        return "OFPST_QUEUE_REQUEST", struct.pack("!H2xI", port, value.queue)
    return "OFPST_QUEUE_REQUEST", struct.pack("!II", port_to_wire(value.port), value.queue)


def show_queue_stats_request(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_queue_stats_request(frame)
    out.append(f" port={style.port(value.port)} queue={format_queue(value.queue)}")


def _known(value: int) -> int | None:
    return None if value == _UNKNOWN else value


def iterate_queue_stats(data: bytes, version: int) -> Iterator[QueueStats]:
    """Yields the counters of each queue."""
    offset = 0
    while offset < len(data):
        start, size = offset, 32
        if version >= OF14:
            if len(data) - offset < 48:
                raise OpenFlowError("OFPBRC_BAD_LEN")
            size = int.from_bytes(data[offset:offset + 2], "big")
            if size < 48 or size > len(data) - offset:
                raise OpenFlowError("OFPBRC_BAD_LEN")
            start += 8
        elif version == OF13:
            size = 40
        port = read_port(data, start, version)
        queue, octets, packets, errors = struct.unpack_from("!IQQQ", data, start + 4)
        duration = struct.unpack_from("!II", data, start + 32) if version >= OF13 else None
        if duration is not None and duration[0] == 0xFFFFFFFF:
            duration = None
        yield QueueStats(port, queue, _known(octets), _known(packets), _known(errors), duration)
        offset += size


def decode_queue_stats_reply(frame: Frame) -> QueueStatsReply:
    return QueueStatsReply(tuple(iterate_queue_stats(frame.body, frame.version)))


def _encode_stats(stats: QueueStats, version: int) -> bytes:
    counters = [_UNKNOWN if v is None else v
                for v in (stats.tx_bytes, stats.tx_packets, stats.tx_errors)]
    if version == OF10:
        return struct.pack("!H2xIQQQ", stats.port, stats.queue, *counters)
    body = struct.pack("!IIQQQ", port_to_wire(stats.port), stats.queue, *counters)
    if version >= OF13:
        body += struct.pack("!II", *(stats.duration or (0xFFFFFFFF, 0xFFFFFFFF)))
    return struct.pack("!H6x", 48) + body if version >= OF14 else body


def encode_queue_stats_reply(value: QueueStatsReply, version: int):
    return "OFPST_QUEUE_REPLY", [_encode_stats(stats, version) for stats in value.stats]


def show_queue_stats_reply(frame: Frame, out: list[str], style: Style) -> None:
    count = 0
    try:
        for _ in iterate_queue_stats(frame.body, frame.version):
            count += 1
    except OpenFlowError:
        pass
    out.append(f" {count} queues\n")
    if style.verbosity < 1:
        return
    for s in iterate_queue_stats(frame.body, frame.version):
        words = [f"{name}={'?' if value is None else value}" for name, value in (
            ("bytes", s.tx_bytes), ("pkts", s.tx_packets), ("errors", s.tx_errors))]
        duration = "?" if s.duration is None else format_duration(*s.duration) + "s"
        out.append(f"  port {style.port(s.port)} queue {format_queue(s.queue)}: "
                   + ", ".join(words) + f", duration={duration}\n")


# Configuration.


class QueueConfigRequest(Value):
    """OFPT_QUEUE_GET_CONFIG_REQUEST, OFPST_QUEUE_DESC request from 1.4 on."""

    port: int = PORT_NONE
    queue: int = QUEUE_ALL


class QueueConfig(Value):
    """One queue.  Rates in tenths of a percent of the port's rate, None if not told."""

    port: int
    queue: int
    min_rate: int | None = None
    max_rate: int | None = None


class QueueConfigReply(Value):
    """OFPT_QUEUE_GET_CONFIG_REPLY, OFPST_QUEUE_DESC reply from 1.4 on.

    port: of the whole reply before 1.4.
    """

    port: int
    queues: tuple[QueueConfig, ...]


def decode_queue_config_request(frame: Frame) -> QueueConfigRequest:
    version = frame.version
    port = read_port(frame.body, 0, version)
    if version >= OF14:
        return QueueConfigRequest(port, int.from_bytes(frame.body[4:8], "big"))
    if port >= PORT_MAX and not (port == PORT_NONE and version >= OF11):
        raise OpenFlowError("OFPQOFC_BAD_PORT")
    return QueueConfigRequest(port)


def encode_queue_config_request(value: QueueConfigRequest, version: int):
    if version >= OF14:
        return "OFPST_QUEUE_DESC_REQUEST", struct.pack("!II", port_to_wire(value.port),
                                                       value.queue)
    if version == OF10:
        return "OFPT_QUEUE_GET_CONFIG_REQUEST", struct.pack("!H2x", value.port)
    return "OFPT_QUEUE_GET_CONFIG_REQUEST", struct.pack("!I4x", port_to_wire(value.port))


def show_queue_config_request(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_queue_config_request(frame)
    out.append(f" port={style.port(value.port)}")
    if value.queue != QUEUE_ALL:
        out.append(f" queue={format_queue(value.queue)}")


_NO_RATE = 0xFFFF
_RATES = (1, 2)
"""Types of properties: least and greatest rate."""


def _read_rates(data: bytes) -> Iterator[tuple[int, int]]:
    """(property type, rate) of a queue up to OpenFlow 1.3, whose properties are its own."""
    offset = 0
    while offset < len(data):
        kind, size = struct.unpack_from("!HH", data, offset)
        if size < 8 or size % 8 or size > len(data) - offset:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        if kind in _RATES:
            if size != 16:
                raise OpenFlowError("OFPBRC_BAD_LEN")
            yield kind, int.from_bytes(data[offset + 8:offset + 10], "big")
        offset += size


def _read_rates14(data: bytes) -> Iterator[tuple[int, int]]:
    for prop in read_properties(data):
        if prop.type in _RATES:
            yield prop.type, property_number(prop.body, 2)


def iterate_queues(frame: Frame) -> Iterator[QueueConfig]:
    """Yields each queue of a configuration reply."""
    data, version = frame.body, frame.version
    if version < OF14:
        # A port that cannot be is not noticed before a queue is said to be there.
        first, data = data, data[8:]
        reply_port = read_port(first, 0, version) if data else PORT_NONE
    offset = 0
    head = 8 if version < OF12 else 16
    while offset < len(data):
        if len(data) - offset < head:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        if version < OF12:
            port, (queue, size) = reply_port, struct.unpack_from("!IH", data, offset)
        elif version < OF14:
            queue, _, size = struct.unpack_from("!IIH", data, offset)
            port = reply_port
        else:
            _, queue, size = struct.unpack_from("!IIH", data, offset)
            port = read_port(data, offset, version)
        if size < head or size % 8 or size > len(data) - offset:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        read_rates = _read_rates if version < OF14 else _read_rates14
        rates = {kind: None if rate == _NO_RATE else rate
                 for kind, rate in read_rates(data[offset + head:offset + size])}
        yield QueueConfig(port, queue, rates.get(1), rates.get(2))
        offset += size


def decode_queue_config_reply(frame: Frame) -> QueueConfigReply:
    queues = tuple(iterate_queues(frame))
    if frame.version < OF14:
        port = read_port(frame.body, 0, frame.version)
    else:
        port = queues[0].port if queues else PORT_NONE
    return QueueConfigReply(port, queues)


def _encode_queue(queue: QueueConfig, version: int) -> bytes:
    props = b""
    for kind, rate in ((1, queue.min_rate), (2, queue.max_rate)):
        if rate is not None:
            body = struct.pack("!4xH6x" if version < OF14 else "!H2x", rate)
            props += pack_property(kind, body)
    if version < OF12:
        return struct.pack("!IH2x", queue.queue, 8 + len(props)) + props
    port = port_to_wire(queue.port)
    first, second = (queue.queue, port) if version < OF14 else (port, queue.queue)
    return struct.pack("!IIH6x", first, second, 16 + len(props)) + props


def encode_queue_config_reply(value: QueueConfigReply, version: int):
    queues = [_encode_queue(queue, version) for queue in value.queues]
    if version >= OF14:
        return "OFPST_QUEUE_DESC_REPLY", queues
    port = value.port if version == OF10 else port_to_wire(value.port)
    head = struct.pack("!H6x" if version == OF10 else "!I4x", port)
    return "OFPT_QUEUE_GET_CONFIG_REPLY", head + b"".join(queues)


def _describe_rate(name: str, rate: int | None) -> str:
    if rate is None:
        return ""
    percent = f"{rate // 10}.{rate % 10}%" if rate <= 1000 else "(disabled)"
    return f" {name}:{percent}"


def show_queue_config_reply(frame: Frame, out: list[str], style: Style) -> None:
    queues = []
    try:
        for queue in iterate_queues(frame):
            queues.append(queue)
    finally:
        _show_queues(queues, out, style)


def _show_queues(queues: list[QueueConfig], out: list[str], style: Style) -> None:
    if queues:
        out.append(" ")
    port = 0
    for q in sorted(queues, key=lambda q: (q.port, q.queue)):
        if q.port != port:
            out.append(f"port={style.port(q.port)}\n")
            port = q.port
        out.append(f"queue {q.queue}:" + _describe_rate("min_rate", q.min_rate)
                   + _describe_rate("max_rate", q.max_rate) + "\n")
