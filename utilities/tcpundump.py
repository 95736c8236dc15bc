"""ovs-tcpundump: turns what `tcpdump -xx` prints back into packets, a line of digits each.

A line of digits is `  0xOFFSET:  0123 4567 ...`; offset 0 begins a packet, any other line ends it.
Source: ovs-tcpundump(1).
"""

import re
import sys
from collections.abc import Iterable, Iterator

from utilities.command_line import Fatal, plain_words, run_tool

PROGRAM = "ovs-tcpundump"

_HELP = """\
ovs-tcpundump: print the packets in what "tcpdump -xx" printed as hexadecimal digits
usage: ovs-tcpundump < FILE

Options:
  -h, --help      print this
  -V, --version   print the version
"""
_LINE = re.compile(r"\s+0x([0-9a-fA-F]+): ((?: (?:[0-9a-fA-F]{2}){1,2})+)")


def main(argv: list[str]) -> int:
    """Run ovs-tcpundump with arguments `argv`; return the exit code."""
    return run_tool(PROGRAM, _run, argv)


def _run(argv: list[str]) -> int:
    words = plain_words(PROGRAM, _HELP, argv)
    if words is None:
        return 0
    if words:
        raise Fatal("non-option argument not supported (use --help for help)")
    for packet in packets(sys.stdin):
        print(packet)
    return 0


def packets(lines: Iterable[str]) -> Iterator[str]:
    """Yield the digits of each packet."""
    digits = ""
    for line in lines:
        match = _LINE.match(line)
        if digits and (match is None or int(match[1], 16) == 0):
            yield digits
            digits = ""
        if match is not None:
            digits += match[2].replace(" ", "")
    if digits:
        yield digits
