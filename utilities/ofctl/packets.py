"""ovs-ofctl commands about packets: compose them, and print the flows of recorded ones.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import struct
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from utilities.command_line import LOG, WARN, Fatal, print_error
from utilities.ofctl.hex_text import read_hex
from vswitchd.openflow.text import FlowTextError, format_flow, parse_exact_flow


def compose_packet(settings, arguments) -> int:
    from vswitchd.openflow.compose_packet import compose_packet as compose
    from vswitchd.openflow.messages.base import hex_dump
    try:
        wanted = parse_exact_flow(arguments[0])
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    payload = None
    if len(arguments) > 1:
        try:
            payload = read_hex(arguments[1])
        except Fatal:
            raise Fatal(f"{arguments[1]}: trailing garbage in packet data") from None
    data = compose(wanted, payload, settings.bad_checksum)
    if settings.pcap:
        if sys.stdout.isatty():
            raise Fatal("not writing pcap data to stdout; redirect to a file or pipe to tcpdump "
                        "instead")
        sys.stdout.flush()
        sys.stdout.buffer.write(_as_pcap(data, time.time()))
    elif settings.bare:
        print(data.hex())
    else:
        print(hex_dump(data, False), end="")
    return _compare(wanted, data)


def _compare(wanted: dict[str, int], data: bytes) -> int:
    """Complains, and returns 1, if the packet is not of the flow that it was made from."""
    from vswitchd.openflow.packet_text import parse_packet
    found = {"in_port": _ANY_PORT, **parse_packet(data).fields}
    if all(wanted.get(key, 0) == found.get(key, 0) for key in {*wanted, *found}):
        return 0
    sys.stdout.flush()
    sys.stderr.write("specified and extracted flows differ:\n"
                     f"specified: {format_flow(wanted)}\nextracted: {format_flow(found)}")
    return 1


_ANY_PORT = 0xFFFF


def _flow_line(data: bytes) -> str:
    from vswitchd.openflow.packet_text import parse_packet
    return format_flow(parse_packet(data).fields | {"in_port": _ANY_PORT})


def parse_packet(settings, arguments) -> None:
    from vswitchd.openflow.packet_text import format_packet
    print(format_packet(sys.stdin.buffer.read()), end="")


def parse_pcap(settings, arguments) -> int:
    code = 0
    for name in arguments:
        try:
            for _, data in read_pcap(name):
                print(_flow_line(data))
        except Fatal as fatal:
            sys.stdout.flush()
            print_error("ovs-ofctl", fatal.text)
            code = fatal.code
    return code


def _as_pcap(data: bytes, wall: float) -> bytes:
    """A recording of one frame."""
    return struct.pack("<IHHiIIIIIII", 0xA1B2C3D4, 2, 4, 0, 0, 1518, 1, int(wall),
                       int(wall * 1e6) % 1000000, len(data), len(data)) + data


def read_pcap(name: str, code: int = 0) -> Iterator[tuple[float, bytes]]:
    """Yields (time, frame) of the packets of a pcap file.

    code: the exit code if it cannot be opened, 0 for the number of the error.  Raises Fatal.
    """
    try:
        file = sys.stdin.buffer if name == "-" else open(name, "rb")
    except OSError as error:
        LOG.log("pcap", WARN, f"{name}: failed to open pcap file for reading ({error.strerror})")
        raise Fatal(f"{name}: open failed ({error.strerror})", code or error.errno) from None
    with file:
        head = file.read(24)
        if len(head) < 24:
            LOG.log("pcap", WARN, "failed to read pcap header: End of file")
            raise Fatal(f"{name}: open failed (End of file)")
        order = "<" if head[:1] in (b"\xd4", b"\x4d") else ">"
        while True:
            record = file.read(16)
            if len(record) < 16:
                return
            seconds, microseconds, size, _ = struct.unpack(f"{order}IIII", record)
            yield seconds + microseconds / 1e6, file.read(size)


# OpenFlow in recorded TCP connections.

_OPENFLOW_PORTS = (6653, 6633)
_FIN, _SYN, _RST = 0x1, 0x2, 0x4


class _Segment(NamedTuple):
    """A TCP segment: its four ends, (source, destination, source port, destination port)."""

    ends: tuple[int, int, int, int]
    sequence: int
    flags: int
    payload: bytes


class _Streams:
    """Puts the segments of TCP connections together, each direction by itself.

    Segments are taken in their order only: what comes again, or too early, is dropped.
    """

    def __init__(self) -> None:
        self._next: dict[tuple, int] = {}
        self._data: dict[tuple, bytearray] = {}

    def add(self, segment: _Segment) -> bytearray | None:
        """What is known of the segment's direction and was not taken yet; None if it ended."""
        ends, is_start = segment.ends, bool(segment.flags & _SYN)
        if segment.flags & (_FIN | _RST):
            self._next.pop(ends, None)
            self._data.pop(ends, None)
            return None
        if is_start or ends not in self._next:
            self._next[ends] = segment.sequence + is_start
            self._data[ends] = bytearray()
        if is_start or segment.sequence != self._next[ends]:
            return None
        self._next[ends] = (segment.sequence + len(segment.payload)) & 0xFFFFFFFF
        self._data[ends] += segment.payload
        return self._data[ends]


def _read_segment(frame: bytes) -> _Segment | None:
    """The TCP segment over IPv4 of a frame, None if it is something else."""
    from vswitchd.openflow.packet_text import parse_packet
    parsed = parse_packet(frame)
    fields, tcp = parsed.fields, parsed.transport
    if fields.get("eth_type") != 0x0800 or fields.get("nw_proto") != 6 or not tcp:
        return None
    ends = tuple(fields[name] for name in ("ip_src", "ip_dst", "tcp_src", "tcp_dst"))
    return _Segment(ends, int.from_bytes(tcp[4:8], "big"), tcp[13], tcp[(tcp[12] >> 4) * 4:])


def ofp_parse_pcap(settings, arguments) -> None:
    from utilities.ofctl.connection import print_message
    from vswitchd.openflow.value_text import format_ipv4
    ports = {int(text) if text.isdigit() else 0 for text in arguments[1:]} or set(_OPENFLOW_PORTS)
    streams = _Streams()
    gap = ""
    for when, frame in read_pcap(arguments[0], 1):
        segment = _read_segment(frame)
        if segment is None or ports.isdisjoint(segment.ends[2:]):
            continue
        data = streams.add(segment)
        while data is not None and len(data) >= 8:
            size = int.from_bytes(data[2:4], "big")
            if len(data) < size or size < 8:
                break
            source, target, source_port, target_port = segment.ends
            sys.stdout.write(f"{gap}{_clock(when) if settings.timestamp else ''}"
                             f"{format_ipv4(source)}.{source_port} > "
                             f"{format_ipv4(target)}.{target_port}:\n")
            print_message(bytes(data[:size]), settings)
            del data[:size]
            gap = "\n"


def _clock(when: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(when)) + f".{int(when % 1 * 1000):03} "
