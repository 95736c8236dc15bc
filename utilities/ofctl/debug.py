"""ovs-ofctl commands that need no switch: printing and parsing what OpenFlow carries.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import sys

from utilities.command_line import Fatal
from utilities.ofctl.connection import print_message, warn
from vswitchd.openflow.framing import parse_header
from vswitchd.openflow.print import format_message


def read_hex(text: str) -> bytes:
    """The bytes that hexadecimal digits, with blanks between bytes, stand for.  Raises Fatal."""
    data = bytearray()
    position = 0
    while True:
        while position < len(text) and text[position] in " \t\r\n":
            position += 1
        pair = text[position:position + 2]
        if len(pair) < 2:
            break
        try:
            data += bytes.fromhex(pair)
        except ValueError:
            break
        position += 2
    if text[position:].strip():
        raise Fatal("trailing garbage following hex bytes")
    return bytes(data)


def _write(text: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def ofp_print(settings, arguments) -> None:
    verbosity = int(arguments[1]) if len(arguments) > 1 and arguments[1].isdigit() else 2
    source = arguments[0]
    lines = sys.stdin.read() if source == "-" else source
    _write(format_message(read_hex(lines), verbosity, None, None, warn))


def ofp_parse(settings, arguments) -> None:
    name = arguments[0]
    try:
        data = sys.stdin.buffer.read() if name == "-" else open(name, "rb").read()
    except OSError as error:
        raise Fatal(f"{name}: open failed ({error.strerror})") from None
    offset = 0
    while offset < len(data):
        left = len(data) - offset
        if left < 8:
            raise Fatal(f"{name}: unexpected end of file")
        length = parse_header(data[offset:]).length
        if length < 8:
            raise Fatal(f"{name}: {length}-byte message is too short for OpenFlow")
        if length > left:
            raise Fatal(f"{name}: unexpected end of file")
        _write(format_message(data[offset:offset + length], settings.verbosity + 1, None, None,
                              warn))
        offset += length


def print_error(settings, arguments) -> None:
    from schema.openflow.errors import ERRORS
    for error in ERRORS:
        if error.name == arguments[0]:
            print(error.name)
            return
    raise Fatal(f'unknown error "{arguments[0]}"')


def encode_hello(settings, arguments) -> None:
    from vswitchd.openflow.messages import encode
    from vswitchd.openflow.messages.base import hex_dump
    from vswitchd.openflow.messages.session import Hello
    bits = int(arguments[0], 0)
    versions = frozenset(v for v in range(1, 32) if bits >> v & 1)
    data = encode(Hello(versions), max(versions), 1)
    print(hex_dump(data, False), end="")
    print_message(data, settings, 0)
