"""ovs-ofctl commands about packets: compose them, and print the flows of recorded ones.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import struct
import sys

from utilities.command_line import LOG, WARN, Fatal
from vswitchd.openflow.text import FlowTextError, format_flow, parse_match


def compose_packet(settings, arguments) -> None:
    from utilities.ofctl.debug import read_hex
    from vswitchd.openflow.compose_packet import compose_packet as compose
    from vswitchd.openflow.messages.base import hex_dump
    try:
        match, _ = parse_match(arguments[0])
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    payload = None
    if len(arguments) > 1:
        payload = read_hex(arguments[1])
    data = compose({key: value for key, (value, _) in match.items()}, payload,
                   settings.bad_checksum)
    if settings.bare:
        print(data.hex())
    else:
        print(hex_dump(data, False), end="")


def _flow_line(data: bytes, in_port: int | None) -> str:
    from vswitchd.openflow.packet_text import parse_packet
    fields = dict(parse_packet(data).fields)
    if in_port is not None:
        fields["in_port"] = in_port
    return format_flow(fields)


def parse_packet(settings, arguments) -> None:
    print(_flow_line(sys.stdin.buffer.read(), None))


def parse_pcap(settings, arguments) -> None:
    for name in arguments:
        for data in read_pcap(name):
            print(_flow_line(data, 0xFFFF))


def read_pcap(name: str):
    """Yields the packets of a pcap file.  Raises Fatal."""
    try:
        file = sys.stdin.buffer if name == "-" else open(name, "rb")
    except OSError as error:
        LOG.log("pcap", WARN, f"{name}: failed to open pcap file for reading ({error.strerror})")
        raise Fatal(f"{name}: open failed ({error.strerror})", error.errno) from None
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
            size = struct.unpack(f"{order}IIII", record)[2]
            yield file.read(size)
