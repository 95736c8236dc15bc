"""ovs-ofctl commands that need no switch: printing and parsing what OpenFlow carries.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import sys

from schema.openflow.limits import HEADER_SIZE
from utilities.command_line import ERR, LOG, Fatal
from utilities.ofctl.connection import note, print_message, warn
from utilities.ofctl.hex_text import read_hex
from vswitchd.openflow.framing import parse_header
from vswitchd.openflow.print import format_message


def _read_hex_alone(text: str) -> bytes:
    """As `read_hex`, for those who say it in other words."""
    try:
        return read_hex(text)
    except Fatal:
        raise Fatal("Trailing garbage in hex data") from None


def _write(text: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def ofp_print(settings, arguments) -> None:
    verbosity = int(arguments[1]) if len(arguments) > 1 and arguments[1].isdigit() else 2
    source = arguments[0]
    lines = sys.stdin.read() if source == "-" else source
    _write(format_message(read_hex(lines), verbosity, None, None, warn, note))


def ofp_parse(settings, arguments) -> None:
    name = arguments[0]
    try:
        data = sys.stdin.buffer.read() if name == "-" else open(name, "rb").read()
    except OSError as error:
        raise Fatal(f"{name}: open ({error.strerror})") from None
    offset = 0
    while offset < len(data):
        left = len(data) - offset
        if left < 8:
            raise Fatal(f"{name}: unexpected end of file mid-message")
        length = parse_header(data[offset:]).length
        if length < 8:
            raise Fatal(f"{name}: {length}-byte message is too short for OpenFlow")
        if length > left:
            raise Fatal(f"{name}: unexpected end of file mid-message")
        _write(format_message(data[offset:offset + length], settings.verbosity + 1, None, None,
                              warn, note))
        offset += length


def print_error(settings, arguments) -> None:
    from schema.openflow.errors import ERRORS
    for error in ERRORS:
        if error.name == arguments[0]:
            print(_describe_codes(error))
            return
    raise Fatal(f'unknown error "{arguments[0]}"')


def encode_hello(settings, arguments) -> None:
    from vswitchd.openflow.messages import encode
    from vswitchd.openflow.messages.base import hex_dump
    from vswitchd.openflow.messages.session import Hello
    from vswitchd.openflow.value_text import c_integer
    found = c_integer(arguments[0])
    versions = frozenset(v for v in range(1, 32) if found and found[0] >> v & 1)
    if not versions:
        raise Fatal(f"{arguments[0]}: no OpenFlow version")
    highest = max(versions)
    data = bytes([highest]) + encode(Hello(versions), min(highest, 6), 1)[1:]
    print(hex_dump(data, False), end="")
    print_message(data, settings, 0)


def _describe_codes(error) -> str:
    """The code points of an error in each version."""
    vendors = {"OF": 0, "NX": 0x2320, "ONF": 0x4F4E4600}
    lines = []
    for version in range(1, 7):
        for point in error.codes:
            if point.low <= version <= point.high:
                code = 0 if point.code is None else point.code
                text = f"vendor {vendors[point.vendor]:#x}, type {point.type}, code {code}"
                text = text.replace("vendor 0x0,", "vendor 0,")
                lines.append(f"OpenFlow 1.{version - 1}: {text}")
                break
    return "\n".join(lines)


def encode_error_reply(settings, arguments) -> None:
    from schema.openflow.errors import ERRORS
    from vswitchd.openflow.messages import encode
    from vswitchd.openflow.messages.base import hex_dump
    from vswitchd.openflow.messages.session import Error, has_code
    name = arguments[0]
    if name not in {error.name for error in ERRORS}:
        raise Fatal(f'unknown error "{name}"')
    request = _read_hex_alone(arguments[1])
    if len(request) < HEADER_SIZE:
        raise Fatal("Request too short")
    header = parse_header(request)
    if header.length != len(request):
        raise Fatal("Request size inconsistent")
    version = header.version
    if not 1 <= version <= 6:
        LOG.log("ofp_errors", ERR,
                f"cannot encode error for unknown OpenFlow version 0x{version:02x}")
        version = 1
    if not has_code(name, version):
        LOG.log("ofp_errors", ERR, f"cannot encode {name} for OpenFlow 1.{version - 1}")
    data = encode(Error(name, request), version, header.xid)
    print(hex_dump(data, False), end="")


def _compare(before: bytes, after: bytes) -> None:
    """Shows which bytes are others after decoding and encoding."""
    for place in range(max(len(before), len(after))):
        old, new = (f"{data[place]:02x}" if place < len(data) else "(none)"
                    for data in (before, after))
        if old != new:
            _write(f"{place:2}: {old} -> {new}\n")


def _parse_wire(settings, arguments, decode_list, encode_list, tables: bool = False) -> None:
    """tables: lines may begin with a number of a table and a comma; actions must fit its flows."""
    from utilities.ofctl import protocol
    from vswitchd.openflow.consistency import check
    from vswitchd.openflow.error import OpenFlowError
    from vswitchd.openflow.match import Match
    from vswitchd.openflow.text import format_actions
    from vswitchd.openflow.value_text import c_integer
    version = protocol.version_named(arguments[0])
    if version is None:
        raise Fatal(f"{arguments[0]}: not a valid OpenFlow version")
    for line in sys.stdin:
        text = line.split("#", 1)[0]
        if not text.strip():
            continue
        table, text = text.split(",", 1) if tables and "," in text else ("0", text)
        data = _read_hex_alone(text)
        try:
            actions = decode_list(data, version)
            if tables:
                check(actions, Match({}), table=(c_integer(table) or (0,))[0] & 0xff,
                      version=version)
            _write(f"actions={format_actions(actions)}\n")
            _compare(data, encode_list(actions, version))
            _write("\n")
        except OpenFlowError as error:
            for module, said in error.log or ((error.module, error.reason),):
                if said:
                    warn(module, said)
            _write(f"bad {arguments[0]} {decode_list.__name__.removeprefix('decode_')}: "
                   f"{error.name}\n\n")


def parse_actions(settings, arguments) -> None:
    from vswitchd.openflow.actions import decode_actions, encode_actions
    _parse_wire(settings, arguments, decode_actions, encode_actions)


def parse_instructions(settings, arguments) -> None:
    from vswitchd.openflow.actions import decode_instructions, encode_instructions
    _parse_wire(settings, arguments, decode_instructions, encode_instructions, True)


def parse_group(settings, arguments) -> None:
    from schema.openflow.messages import VERSION_NAMES
    from utilities.ofctl import protocol
    from utilities.ofctl.connection import next_xid
    from utilities.ofctl.groups import parse_group_mod
    from vswitchd.openflow.messages import encode
    from vswitchd.openflow.text import FlowTextError
    try:
        mod, usable = parse_group_mod(arguments[0], "add", None, None)
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    print(f"usable protocols: {protocol.format_protocols(usable)}")
    allowed = usable & settings.protocols if settings.protocols_given else usable
    if not allowed:
        raise Fatal("no usable protocol")
    version = min(protocol.to_versions(allowed & -allowed))
    print(f"chosen version: {VERSION_NAMES[version]}")
    print_message(encode(mod, version, next_xid()), settings, 0)


def parse_key_value(settings, arguments) -> None:
    from vswitchd.openflow.text import key_values
    for text in arguments:
        print(", ".join(f"{key}={value}" if value else key for key, value in key_values(text)))


def _parse_tlvs(settings, version: int) -> None:
    """Reads matches as raw TLVs, judges them, and prints them as we would send them."""
    from vswitchd.openflow.error import OpenFlowError
    from vswitchd.openflow.messages.base import hex_dump
    from vswitchd.openflow.oxm import decode_nxm, encode_match, encode_nxm
    from vswitchd.openflow.oxm_text import format_oxm, parse_oxm as read_oxm
    from vswitchd.openflow.value_text import FlowTextError
    for line in sys.stdin:
        text = line.rstrip("\n").split("#", 1)[0]
        if not text.strip():
            _write(line if line.endswith("\n") else line + "\n")
            continue
        try:
            data = read_oxm(text)
        except FlowTextError as error:
            raise Fatal(str(error)) from None
        try:
            match, cookie, mask = decode_nxm(data, strict=settings.strict, cookie=not version)
        except OpenFlowError as error:
            for module, said in error.log:
                warn(module, said)
            _write(f"nx_pull_match() returned error {error.name}\n")
            continue
        data = encode_nxm(match, version, cookie, mask)
        _write(format_oxm(data) + "\n")
        if settings.verbosity > 0:
            whole = encode_match(match, version) if version else data + bytes(-len(data) % 8)
            _write(hex_dump(whole, False))


def parse_nxm(settings, arguments) -> None:
    _parse_tlvs(settings, 0)


def parse_oxm(settings, arguments) -> None:
    from utilities.ofctl import protocol
    version = protocol.version_named(arguments[0])
    if version is None or version < 3:
        raise Fatal(f"{arguments[0]}: not a valid version for OXM")
    _parse_tlvs(settings, version)
