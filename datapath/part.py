"""One field of an attribute in text: how its value and mask are written and read, and its place.

`Part` is a row of the tables of `text.py` (keys) and `tunnel_text.py` (tunnels); a `Key` is an
attribute with its parts. Values are those of `text.py`: {member of struct flow: int}.

Source: facts of ovs-dpctl(8) and ovs-actions(7). Pure Python; any thread.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from schema.flow.fields import FRAG_ANY, FRAG_LATER, MEMBER

Values = dict[str, int]


class TextError(ValueError):
    """The text is no flow key and no action; the message is the reference's."""


def width(member: str) -> int:
    """Bits of the container that stands for `member`: an array of be32 counts as one container."""
    row = MEMBER[member]
    return row.size * row.count * 8


# ---- one value

def hash_x(value: int) -> str:
    """C's %#x."""
    return f"{value:#x}" if value else "0"


def format_mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def format_ip(value: int) -> str:
    return ".".join(map(str, value.to_bytes(4, "big")))


def format_ip6(value: int) -> str:
    from socket import AF_INET6, inet_ntop       # not needed by most flows
    return inet_ntop(AF_INET6, value.to_bytes(16, "big"))


def parse_mac(text: str) -> int:
    if not re.fullmatch(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}", text):
        raise ValueError(text)
    return int.from_bytes(bytes(int(part, 16) for part in text.split(":")), "big")


def parse_ip(text: str) -> int:
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise ValueError(text)
    return int.from_bytes(bytes(map(int, parts)), "big")


def parse_ip6(text: str) -> int:
    import ipaddress
    return int(ipaddress.IPv6Address(text))


def parse_int(text: str) -> int:
    return int(text, 0) if not re.fullmatch(r"0[0-9]+", text) else int(text, 8)


def parse_pairs(body: str) -> dict[str, str]:
    """key=value pairs of a body without nesting; a bare word has the value ""."""
    found = {}
    for word in filter(None, (word.strip() for word in body.split(","))):
        key, _, value = word.partition("=")
        found[key] = value
    return found


FRAG_NAMES = {"no": 0, "first": FRAG_ANY, "later": FRAG_ANY | FRAG_LATER}
FRAG_TEXT = {value: name for name, value in FRAG_NAMES.items()}


def parse_frag(text: str) -> int:
    return FRAG_NAMES[text]


class Kind(NamedTuple):
    """How values of a kind are written: value, mask, and read; `masked`: value before a mask."""

    value: Callable[[int], str]
    mask: Callable[[int], str]
    parse: Callable[[str], int]
    masked: Callable[[int], str] | None = None


DEC = Kind(str, hash_x, parse_int)
DEC_0X = Kind(str, lambda mask: f"{mask:#x}", parse_int)
OCTET = Kind(str, lambda mask: f"0x{mask:02x}", parse_int, lambda value: f"0x{value:02x}")
DEC_DEC = Kind(str, lambda mask: f"{mask:x}", parse_int)
HEX = Kind(hash_x, hash_x, parse_int)
HEX_0X = Kind(lambda value: f"{value:#x}", lambda mask: f"{mask:#x}", parse_int)
HEX_08X = Kind(lambda value: f"{value:#x}", lambda mask: f"0x{mask:08x}", parse_int)
TYPE = Kind(lambda value: f"0x{value:04x}", lambda mask: f"0x{mask:04x}", parse_int)
MAC = Kind(format_mac, format_mac, parse_mac)
IP = Kind(format_ip, format_ip, parse_ip)
IP6 = Kind(format_ip6, format_ip6, parse_ip6)
FRAG = Kind(lambda value: FRAG_TEXT.get(value, "<error>"), hash_x, parse_frag)


class Part(NamedTuple):
    """One field of an attribute: `width` bits above `shift` of `member`."""

    key: str
    member: str
    kind: Kind
    shift: int = 0
    bits: int = 0               # 0: the whole member

    @property
    def full(self) -> int:
        """All ones of this field's width."""
        return (1 << (self.bits or width(self.member))) - 1

    def get(self, values: Mapping[str, int]) -> int:
        """The field's value."""
        return (values.get(self.member, 0) >> self.shift) & self.full

    def is_exact(self, mask: Mapping[str, int] | None) -> bool:
        """Whether all of the field is matched."""
        return mask is None or self.get(mask) == self.full

    def format(self, key: Mapping[str, int], mask: Mapping[str, int] | None,
               verbose: bool) -> str | None:
        """"key=value[/mask]", or None where the field is wildcarded and not wanted."""
        text = self.kind.value(self.get(key))
        if not self.is_exact(mask):
            bits = self.get(mask)
            if not bits and (not verbose or self.kind is FRAG):
                return None
            if self.kind.masked:
                text = self.kind.masked(self.get(key))
            text += "/" + self.kind.mask(bits)
        return f"{self.key}={text}" if self.key else text

    def put(self, values: Values, value: int) -> None:
        """Sets the field."""
        if value & ~self.full:
            raise ValueError(value)
        old = values.get(self.member, 0) & ~(self.full << self.shift)
        values[self.member] = old | value << self.shift


class Key(NamedTuple):
    """One attribute: its name and number, its parts, and whether a packet has it."""

    name: str
    number: int
    parts: tuple[Part, ...]
    applies: Callable[[Mapping[str, int]], bool] = lambda values: True
