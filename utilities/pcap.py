"""ovs-pcap: prints the packets of a pcap file, one line of hexadecimal digits each.

Reads both byte orders, with times in micro- or nanoseconds.  Test scripts compare its output, so
its texts are those of Open vSwitch's ovs-pcap(1).  `read_packets` is for other tools.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from utilities.command_line import Fatal, plain_words, run_tool

PROGRAM = "ovs-pcap"

_HELP = """\
ovs-pcap: print the packets of a pcap file as hexadecimal digits
usage: ovs-pcap FILE

Options:
  -h, --help      print this
  -V, --version   print the version
"""
_MAGIC = (0xa1b2c3d4, 0xa1b23c4d)           # Times in microseconds, in nanoseconds.
_HEADER_SIZE, _RECORD_SIZE = 24, 16


def main(argv: list[str]) -> int:
    """Run ovs-pcap with arguments `argv`; return the exit code."""
    return run_tool(PROGRAM, _run, argv)


def _run(argv: list[str]) -> int:
    words = plain_words(PROGRAM, _HELP, argv)
    if words is None:
        return 0
    if len(words) != 1:
        raise Fatal("exactly 1 non-option argument required (use --help for help)")
    try:
        with open(words[0], "rb") as file:
            for packet in read_packets(file):
                print(packet.hex())
    except OSError as error:
        raise Fatal(f"{words[0]}: {error.strerror}") from None
    return 0


def read_packets(file: BinaryIO) -> Iterator[bytes]:
    """Yield the packets of a pcap file.  Raises Fatal when it is none, or when it ends early."""
    header = file.read(_HEADER_SIZE)
    if len(header) < _HEADER_SIZE:
        raise Fatal("end of file reading pcap header")
    magic = struct.unpack(">I", header[:4])[0]
    order = ">"
    if magic not in _MAGIC:
        order = "<"
        if struct.unpack("<I", header[:4])[0] not in _MAGIC:
            raise Fatal(f"bad magic {magic} reading pcap file (expected 0xa1b2c3d4, 0xa1b23c4d, "
                        "0x4d3cb2a1 or 0xd4c3b2a1)")
    while record := file.read(_RECORD_SIZE):
        if len(record) < _RECORD_SIZE:
            raise Fatal("end of file within pcap record header")
        size = struct.unpack(order + "I", record[8:12])[0]
        packet = file.read(size)
        if len(packet) < size:
            raise Fatal("end of file reading pcap packet data")
        yield packet
