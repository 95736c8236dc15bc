"""Text of values: keys, numbers, ports, tables, addresses, flags, and the values of fields.

The lower half of `text.py`, which offers all of it; action_text.py builds on it too. Parsers raise
FlowTextError with ovs-ofctl's sentence. Any thread; no I/O.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from schema.flow.fields import CT_STATE_BITS, Format
from vswitchd.openflow.fields import (
    BY_OXM_NAME, INFO, MAX_PORT, NONE, PORT11_OFFSET, UNSET, Info,
)
from vswitchd.openflow.match import port_from_11, port_to_11

Names = Mapping[str, int]
Numbers = Mapping[int, str]


class FlowTextError(Exception):
    """A text that cannot be read; str() is the sentence ovs-ofctl prints."""


class UnknownKeywordError(FlowTextError):
    """A part of a match that names no field, or a field without a value."""


_listeners: list[Callable[[str, str, str], None]] = []


def complain_to(listener: Callable[[str, str, str], None]) -> None:
    """Sends what parsers log to `listener` (module, level, text) instead of to logging."""
    _listeners[:] = [listener]


class ComplainingTo:
    """A context in which what parsers log is sent to `listener`."""

    def __init__(self, listener: Callable[[str, str, str], None]) -> None:
        self._listener = listener

    def __enter__(self) -> None:
        self._before = _listeners[:]
        complain_to(self._listener)

    def __exit__(self, *_) -> None:
        _listeners[:] = self._before


def complain(module: str, level: str, text: str) -> None:
    """Logs what a parser has to say, at WARN or ERR, under the reference's module name."""
    if _listeners:
        _listeners[0](module, level, text)
        return
    import logging                               # slow to import and seldom needed
    logging.getLogger(module).log(logging.ERROR if level == "ERR" else logging.WARNING, text)


def warn(module: str, text: str) -> None:
    """Logs a warning of a parser."""
    complain(module, "WARN", text)


# Keys and values.

_KEY = re.compile(r"[, \t\r\n]*([^:=(, \t\r\n]*)([:=(, \t\r\n]?)")
_PLAIN_VALUE = re.compile(r"[^(, \t\r\n]*")
_SPACES = ", \t\r\n"


def _value_end(text: str, at: int, delimiters: str) -> int:
    """Where a value ends: at a delimiter outside of parentheses."""
    size = len(text)
    while at < size and text[at] not in delimiters:
        if text[at] == "(":
            level = 0
            while at < size:
                if text[at] == "(":
                    level += 1
                elif text[at] == ")":
                    level -= 1
                at += 1
                if not level:
                    break
        else:
            at += 1
    return at


def key_values(text: str) -> Iterator[tuple[str, str]]:
    """Cuts 'a,b=c,d(e,f)->g h:i' into (key, value) pairs; a key alone has the value ''."""
    at, size = 0, len(text)
    while True:
        found = _KEY.match(text, at)
        key, delimiter = found[1], found[2]
        at = found.end()
        if not key and not delimiter and at >= size:
            return
        if delimiter in (":", "="):
            end = _PLAIN_VALUE.match(text, at).end()
            if end < size and text[end] == "(":
                end = _value_end(text, at, _SPACES)
            yield key, text[at:end]
            at = end + 1
        elif delimiter == "(":
            end = _value_end(text, at, ")")
            value = text[at:end]
            if text.startswith(")->", end):
                last = _value_end(text, end + 3, _SPACES)
                value, end = text[at:last], last
            yield key, value
            at = end + 1
        else:
            yield key, ""


# Numbers.

_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")


def c_integer(text: str) -> tuple[int, str] | None:
    """Reads an integer as strtoull does with base 0: (value, rest), None if there is none."""
    found = _INTEGER.match(text)
    if found is None:
        return None
    digits = found[2]
    if digits[0] == "0" and len(digits) > 1 and digits[1] not in "xX":
        value = int(digits, 8)
    else:
        value = int(digits, 0)
    return -value if found[1] == "-" else value, text[found.end():]


def parse_u16(text: str, name: str) -> int:
    """A number of 16 bits. Raises FlowTextError 'invalid NAME "TEXT"'."""
    return _bounded(text, name, 0xffff)


def parse_u8(text: str, name: str) -> int:
    """A number of 8 bits, like parse_u16."""
    return _bounded(text, name, 0xff)


def _bounded(text: str, name: str, most: int) -> int:
    found = c_integer(text)
    if found is None or found[1] or not 0 <= found[0] <= most:
        raise FlowTextError(f'invalid {name} "{text}"')
    return found[0]


def parse_u32(text: str) -> int:
    """A number of 32 bits; more are cut off."""
    return _wide(text) & 0xffffffff


def parse_u64(text: str) -> int:
    """A number of 64 bits."""
    return _wide(text) & 0xffffffffffffffff


def _wide(text: str) -> int:
    if not text:
        raise FlowTextError("missing required numeric argument")
    found = c_integer(text)
    if found is None or found[1] or abs(found[0]) >> 64:
        raise FlowTextError(f"invalid numeric format {text}")
    return found[0]


def hexadecimal(number: int) -> str:
    """A number as C's %#x prints it."""
    return f"{number:#x}" if number else "0"


def sized_integer(text: str, size: int) -> tuple[int, str, bool]:
    """Reads an integer that must fit into `size` bytes: (value, rest, too large).

    The rest is the whole text if there is none.
    """
    if text[:2] in ("0x", "0X"):
        at, value, digits = 2, 0, 0
        while at < len(text):
            char = text[at]
            if char in " \t\r\n":
                at += 1
                continue
            if char not in "0123456789abcdefABCDEF":
                break
            if char != "0" or digits:
                digits += 1
                if digits > size * 2:
                    return 0, text[at:], True
            value = value << 4 | int(char, 16)
            at += 1
        return value, text[at:], False
    found = c_integer(text)
    if found is None:
        return 0, text, False
    value, rest = found
    if abs(value) >> 64:
        return 0, rest, True
    value &= (1 << 64) - 1
    return value, rest, size < 8 and bool(value >> size * 8)


# Ports, tables, groups.

RESERVED_PORTS = {0xfff8: "IN_PORT", 0xfff9: "TABLE", 0xfffa: "NORMAL", 0xfffb: "FLOOD",
                  0xfffc: "ALL", 0xfffd: "CONTROLLER", 0xfffe: "LOCAL", 0xffff: "ANY",
                  UNSET: "UNSET"}
_PORTS = {name.lower(): number for number, name in RESERVED_PORTS.items()} | {"none": NONE}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")      # an underscore already asks for quotes


def port_words() -> dict[str, int]:
    """{name in small letters: number} of the reserved ports, for those who read ports by rows."""
    return _PORTS


def parse_port(text: str, ports: Names | None = None) -> int | None:
    """An OpenFlow port as a 1.0 number: a number, a reserved name or one of `ports`; else None."""
    if text.isdecimal() and text.isascii():
        number = int(text)
        if number < MAX_PORT:
            return number
        if number >> 32:
            return None
        if number < UNSET:
            warn("ofp_port", f"port {number} is a reserved OF1.0 port number that will be "
                  f"translated to {number + PORT11_OFFSET} when talking to an OF1.1 or later "
                  "controller")
        elif number <= NONE:
            warn("ofp_port", f"referring to port {RESERVED_PORTS[number]} as {number} is "
                  "deprecated for compatibility with OpenFlow 1.1 and later")
        elif number < 0xffffff00:
            warn("ofp_port", f"port {number} is outside the supported range 0 through ffff or "
                  "0xffffff00 through 0xffffffff")
            return None
        else:
            number -= PORT11_OFFSET
        return number
    if text.startswith("-"):
        warn("ofp_port", f"Negative value {text} is not a valid port number.")
        return None
    number = _PORTS.get(text.lower())
    if number is None and ports:
        number = ports.get(_unquote(text))
    return number


def _unquote(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == '"':
        import json                              # only for quoted names
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def format_name(name: str) -> str:
    """A port's or table's name, quoted as JSON unless it is a plain word."""
    if _NAME.fullmatch(name):
        return name
    import json                                  # only for odd names
    return json.dumps(name, ensure_ascii=False)


def format_port(port: int, names: Numbers | None = None) -> str:
    """A port by reserved name, by its name in `names`, or by number."""
    if names:
        name = names.get(port)
        if name is not None and port not in RESERVED_PORTS:
            return format_name(name)
    return RESERVED_PORTS.get(port) or str(port)


def parse_table(text: str, tables: Names | None = None) -> int | None:
    """A table as a number up to 255 or one of `tables`; None if it is neither."""
    if text.isdecimal() and text.isascii():
        number = int(text)
        if number > 255:
            if number <= 0xffffffff:
                warn("ofp_table",
                     f"table {number} is outside the supported range 0 through 255")
            return None
        return number
    if text.startswith("-"):
        warn("ofp_table", f"Negative value {text} is not a valid table number.")
        return None
    return tables.get(_unquote(text)) if tables else None


def format_table(table: int, names: Numbers | None = None) -> str:
    """A table by its name in `names`, else by number."""
    name = names.get(table) if names else None
    return str(table) if name is None else format_name(name)


_GROUPS = {"any": 0xffffffff, "all": 0xfffffffc}


def parse_group(text: str) -> int | None:
    """A group number, 'any' or 'all'; None if it is none of them."""
    number = _GROUPS.get(text.lower())
    if number is not None:
        return number
    if text.isdecimal() and int(text) <= 0xffffff00:
        return int(text)
    warn("ofp_group", f"{text} is not a valid group ID.  (Valid group IDs are 32-bit "
         "nonnegative integers or the keywords ANY or ALL.)")
    return None


# Addresses.

_MAC_TEXT = re.compile(r"([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2}):"
                       r"([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})")
_IP_TEXT = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})")
_MAC_ONES = (1 << 48) - 1


def parse_mac(text: str) -> int | None:
    """An Ethernet address, None if it is not one."""
    found = _MAC_TEXT.fullmatch(text)
    if found is None:
        return None
    value = 0
    for part in found.groups():
        value = value << 8 | int(part, 16)
    return value


def parse_ipv4(text: str) -> int | None:
    """A dotted quad, None if it is not one."""
    found = _IP_TEXT.fullmatch(text)
    if found is None:
        return None
    value = 0
    for part in found.groups():
        number = int(part)
        if number > 255:
            return None
        value = value << 8 | number
    return value


def parse_ipv6(text: str) -> int | None:
    """An IPv6 address, None if it is not one."""
    from socket import AF_INET6, inet_pton       # not needed by most flows
    try:
        return int.from_bytes(inet_pton(AF_INET6, text), "big")
    except (OSError, ValueError):
        return None


def format_mac(value: int) -> str:
    """An Ethernet address as text."""
    text = f"{value:012x}"
    return f"{text[0:2]}:{text[2:4]}:{text[4:6]}:{text[6:8]}:{text[8:10]}:{text[10:12]}"


def format_ipv4(value: int) -> str:
    """An IPv4 address as text."""
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def format_ipv6(value: int) -> str:
    """An IPv6 address as text."""
    from socket import AF_INET6, inet_ntop       # not needed by most flows
    return inet_ntop(AF_INET6, value.to_bytes(16, "big"))


def _prefix_length(mask: int, bits: int) -> int | None:
    """Length of a prefix mask, None if it is not one."""
    wild = ~mask & (1 << bits) - 1
    return None if wild & wild + 1 else bits - wild.bit_length()


def masked_ip(value: int, mask: int) -> str:
    """An IPv4 address with its mask as a prefix length where it is one."""
    if mask == 0xffffffff:
        return format_ipv4(value)
    length = _prefix_length(mask, 32)
    return f"{format_ipv4(value)}/{format_ipv4(mask) if length is None else length}"


def masked_ipv6(value: int, mask: int) -> str:
    """An IPv6 address, likewise."""
    if mask == (1 << 128) - 1:
        return format_ipv6(value)
    length = _prefix_length(mask, 128)
    return f"{format_ipv6(value)}/{format_ipv6(mask) if length is None else length}"


def masked_mac(value: int, mask: int) -> str:
    """An Ethernet address with its mask unless that is all ones."""
    if mask == _MAC_ONES:
        return format_mac(value)
    return f"{format_mac(value)}/{format_mac(mask)}"


# Flags.

CT_NAMES = {bit: name for name, bit in CT_STATE_BITS.items()}
TCP_NAMES = {0x1: "fin", 0x2: "syn", 0x4: "rst", 0x8: "psh", 0x10: "ack", 0x20: "urg",
              0x40: "ece", 0x80: "cwr", 0x100: "ns", 0x200: "[200]", 0x400: "[400]",
              0x800: "[800]"}
_TUN_NAMES = {0x1: "oam"}
TUN_SHOWN = {0x1: "oam", 0x2: "df", 0x4: "csum", 0x8: "key"}


def format_flags(names: Mapping[int, str], value: int, mask: int, most: int) -> str:
    """Flags: 'a|b' if all of `most` are matched ('0' if none is set), else '+a-b'."""
    if mask == most:
        return "|".join(name for bit, name in names.items() if value & bit) or "0"
    return "".join(("+" if value & bit else "-") + name
                   for bit, name in names.items() if mask & bit)


_FLAG_WORD = re.compile(r"[^+-]+")


def _parse_flags(text: str, names: Mapping[int, str], what: str, allowed: int,
                 exact: int) -> tuple[int, int]:
    """'+a-b', 'a|b' or a number with or without mask."""
    bits = {name: bit for bit, name in names.items()}

    def unknown(rest: str) -> FlowTextError:
        return FlowTextError(f"{rest}: unknown {what} flag(s)")

    if text[:1] in "+-" and text:
        value = mask = 0
        at = 0
        while at < len(text):
            sign = text[at]
            if sign not in "+-":
                raise FlowTextError(f"{text}: {what} flag must be preceded "
                                    "by '+' (for SET) or '-' (NOT SET)")
            found = _FLAG_WORD.match(text, at + 1)
            word = found[0] if found else ""
            bit = bits.get(word)
            if bit is None or not bit & allowed:
                raise unknown(text[at + 1:])
            if mask & bit:
                raise FlowTextError(f"{word}: Each {what} flag can be specified only once")
            mask |= bit
            if sign == "+":
                value |= bit
            at = found.end()
        return value, mask
    number = c_integer(text)
    if number is not None:
        value, rest = number
        mask = exact
        if rest.startswith("/"):
            second = c_integer(rest[1:])
            if second is None or second[1]:
                raise unknown(text)
            mask = second[0]
        elif rest:
            raise unknown(text)
        if value & ~allowed or mask != exact and mask & ~allowed:
            raise unknown(text)
        return value, mask
    value = 0
    for word in text.split("|"):
        bit = bits.get(word)
        if bit is None or not bit & allowed:
            raise unknown(text)
        value |= bit
    return value, exact


# Values of fields.

_FRAGS = {"no": (0, 3), "yes": (1, 1), "first": (1, 3), "later": (3, 3), "not_later": (0, 2)}
FRAG_TEXT = {pair: name for name, pair in _FRAGS.items()}


def parse_value(info: Info, text: str, ports: Names | None = None) -> tuple[int, int]:
    """Reads 'value[/mask]' of a field: (value, mask), the mask info.full if there is none.

    Raises FlowTextError. Whether the value suits the field is not looked at.
    """
    value, mask = _PARSE[info.format](info, text, ports)
    if mask != info.full and mask and not info.maskable:
        raise FlowTextError(f"{text}: invalid mask for field {info.name}")
    return value, mask


def _parse_number(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    value, rest, large = sized_integer(text, info.size)
    what = "value"
    mask = info.full
    bad = rest == text and not large or rest and rest[0] != "/"
    if not large and not bad and rest:
        what = "mask"
        tail = rest[1:]
        mask, end, large = sized_integer(tail, info.size)
        bad = end == tail and not large or bool(end)
    if large:
        raise FlowTextError(f"{text}: {what} too large for {info.size}-byte field {info.name}")
    if bad:
        raise FlowTextError(f"{text}: bad syntax for {info.name} {what}")
    return value, mask


def _parse_mac_value(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    first, slash, second = text.partition("/")
    value, mask = parse_mac(first), parse_mac(second) if slash else _MAC_ONES
    if value is None or mask is None:
        raise FlowTextError(f"{text}: invalid Ethernet address")
    return value, mask


def _parse_address(text: str, bits: int, read: Callable[[str], int | None],
                   family: str, words: str) -> tuple[int, int]:
    first, slash, second = text.partition("/")
    value = read(first)
    mask: int | None = (1 << bits) - 1
    if slash:
        if second.isdecimal():
            length = int(second)
            if length > bits:
                raise FlowTextError(f"{text}: {family} network prefix bits not between 0 and "
                                    f"{bits}, inclusive")
            mask = ((1 << length) - 1) << bits - length
        else:
            mask = read(second)
    if value is None or mask is None:
        raise FlowTextError(f"{text}: invalid {words} address")
    return value, mask


def _parse_ipv4_value(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    return _parse_address(text, 32, parse_ipv4, "IPv4", "IP")


def _parse_ipv6_value(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    return _parse_address(text, 128, parse_ipv6, "IPv6", "IPv6")


def _parse_port_value(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    port = parse_port(text, ports)
    if port is None:
        what = "invalid or unknown port" if info.size == 2 else "port value out of range"
        raise FlowTextError(f"{text}: {what} for {info.name}")
    return (port_to_11(port) if info.size == 4 else port), info.full


def _parse_frag(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    pair = _FRAGS.get(text)
    if pair is None:
        raise FlowTextError(f'{text}: unknown fragment type (valid types are "no", "yes", '
                            '"first", "later", "not_later"')
    value, mask = pair
    return value, info.full if mask == 3 else mask


def _parse_ct_state(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    return _parse_flags(text, CT_NAMES, "ct_state", 0xff, info.full)


def _parse_tun_flags(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    return _parse_flags(text, _TUN_NAMES, "tunnel", 1, info.full)


def _parse_tcp_flags(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    return _parse_flags(text, TCP_NAMES, "TCP", 0xfff, info.full)


def _parse_packet_type(info: Info, text: str, ports: Names | None) -> tuple[int, int]:
    if not text.startswith("("):
        raise FlowTextError(f"{text}: bad syntax for packet type missing '('")
    number = c_integer(text[1:])
    if number is None or not 0 <= number[0] <= 0xffff:
        raise FlowTextError(f"{text[1:]}: bad syntax for packet type ns")
    if not number[1].startswith(","):
        raise FlowTextError(f"{text[1:]}: bad syntax for packet type missing ','")
    rest = number[1][1:]
    kind = c_integer(rest)
    if kind is None or not 0 <= kind[0] <= 0xffff:
        raise FlowTextError(f"{rest}: bad syntax for packet type ns_type")
    if not kind[1].startswith(")"):
        raise FlowTextError(f"{rest}: bad syntax for packet type missing ')'")
    return number[0] << 16 | kind[0], info.full


_PARSE: dict[Format, Callable[[Info, str, Names | None], tuple[int, int]]] = {
    Format.DEC: _parse_number, Format.HEX: _parse_number, Format.MAC: _parse_mac_value,
    Format.IPV4: _parse_ipv4_value, Format.IPV6: _parse_ipv6_value,
    Format.PORT10: _parse_port_value, Format.PORT11: _parse_port_value,
    Format.CT_STATE: _parse_ct_state, Format.FRAG: _parse_frag,
    Format.TUN_FLAGS: _parse_tun_flags, Format.TCP_FLAGS: _parse_tcp_flags,
    Format.PACKET_TYPE: _parse_packet_type,
}


def format_value(info: Info, value: int, mask: int | None = None,
                 names: Numbers | None = None) -> str:
    """A field's value, with its mask unless that is None or all ones, as in set_field."""
    if mask is not None:
        if not mask:
            return "ANY"
        if mask == info.full:
            mask = None
    kind = info.format
    match kind:
        case Format.DEC | Format.HEX:
            text = str(value) if kind is Format.DEC else hexadecimal(value)
            return text if mask is None else f"{text}/{mask:#x}"
        case Format.MAC:
            return masked_mac(value, _MAC_ONES if mask is None else mask)
        case Format.IPV4:
            return masked_ip(value, 0xffffffff if mask is None else mask)
        case Format.IPV6:
            return masked_ipv6(value, (1 << 128) - 1 if mask is None else mask)
        case Format.PORT10:
            return format_port(value, names)
        case Format.PORT11:
            port = port_from_11(value)
            return format_port(value & 0xffff if port is None else port, names)
        case Format.CT_STATE:
            return format_flags(CT_NAMES, value, 0xff if mask is None else mask, 0xff)
        case Format.TCP_FLAGS:
            return format_flags(TCP_NAMES, value, 0xfff if mask is None else mask, 0xfff)
        case Format.TUN_FLAGS:
            return format_flags(TUN_SHOWN, value, 0x1 if mask is None else mask, 0x1)
        case Format.FRAG:
            return FRAG_TEXT.get((value, 3 if mask is None else mask), "<error>")
        case Format.PACKET_TYPE:
            return format_packet_type(value)
    raise AssertionError(kind)


def format_packet_type(value: int) -> str:
    """A packet type as (namespace,type)."""
    words = (str(number) if number < 10 else hex(number)
             for number in (value >> 16, value & 0xffff))
    return f"({','.join(words)})"


# Subfields.

_FIELD_NAME = re.compile(r"[^\[-]*")
_BRACKETS = re.compile(r"\[\s*(?:(\d+)(?:\.\.(\d+))?)?\s*\]")


def parse_subfield(text: str) -> tuple[Info, int, int, str]:
    """Reads 'name', 'name[]', 'name[bit]' or 'name[low..high]': (field, offset, bits, rest).

    Names are fields' own names, aliases and those of NXM and OXM. Raises FlowTextError.
    """
    name = _FIELD_NAME.match(text)[0]
    info = _field_named(name)
    if info is None:
        raise FlowTextError(f"{text}: unknown field `{name}'")
    rest = text[len(name):]
    if not rest.startswith("["):
        return info, 0, info.bits, rest
    found = _BRACKETS.match(text, len(name))
    if found is None:
        raise FlowTextError(f"{text}: syntax error expecting [] or [<bit>] or [<start>..<end>]")
    if found[1] is None:
        low, high = 0, info.bits - 1
    else:
        low = int(found[1])
        high = low if found[2] is None else int(found[2])
    shown = text[:found.end()]
    if low > high:
        raise FlowTextError(f"{shown}: starting bit {low} is after ending bit {high}")
    if low >= info.bits:
        raise FlowTextError(f"{shown}: starting bit {low} is not valid because field is only "
                            f"{info.bits} bits wide")
    if high >= info.bits:
        raise FlowTextError(f"{shown}: ending bit {high} is not valid because field is only "
                            f"{info.bits} bits wide")
    return info, low, high - low + 1, text[found.end():]


def _field_named(name: str) -> Info | None:
    return INFO.get(name) or BY_OXM_NAME.get(name)
