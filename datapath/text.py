"""Text of datapath flow keys: what `dpctl/dump-flows` prints and `netdev-dummy/receive` reads.

A key is a `struct flow` whose in_port is a datapath port number; a mask is another one. Here both
are dicts {member name: int} (`unpack`, `pack` turn them into bytes): a missing member is 0, byte
arrays are big-endian integers. `KEYS` says once how each attribute is written and which packets
have it; printing, parsing and validation walk it. Text of datapath actions is in `actions_text.py`.

Source: facts of ovs-dpctl(8) and ovs-actions(7); numbers are OVS_KEY_ATTR_*. Pure Python, needs no
compiled library; any thread.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from schema.flow.fields import (CT_STATE_BITS, FLOW, FLOW_SIZE, FRAG_ANY, FRAG_LATER, MEMBER,
                                OFFSET, TCP_FLAG_BITS, TUN_FLAG_BITS, VLAN_PRESENT)

Values = dict[str, int]


class TextError(ValueError):
    """The text is no flow key; the message is the reference's."""


# ---- struct flow as bytes <-> dict

def width(member: str) -> int:
    """Bits of the container that stands for `member`: an array of be32 counts as one container."""
    row = MEMBER[member]
    return row.size * row.count * 8


def unpack(flow: bytes) -> Values:
    """The non-zero members of a struct flow."""
    values = {}
    for row in FLOW:
        start = OFFSET[row.name]
        value = int.from_bytes(flow[start:start + row.size * row.count], "big")
        if value:
            values[row.name] = value
    return values


def pack(values: Mapping[str, int]) -> bytes:
    """The struct flow with these members; the others are 0."""
    flow = bytearray(FLOW_SIZE)
    for name, value in values.items():
        row = MEMBER[name]
        size = row.size * row.count
        flow[OFFSET[name]:OFFSET[name] + size] = value.to_bytes(size, "big")
    return bytes(flow)


# ---- one value

def _hash_x(value: int) -> str:
    """C's %#x."""
    return f"{value:#x}" if value else "0"


def _format_mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def _format_ip(value: int) -> str:
    return ".".join(map(str, value.to_bytes(4, "big")))


def _format_ip6(value: int) -> str:
    import ipaddress            # only IPv6 text needs it, and it is slow to load
    return str(ipaddress.IPv6Address(value))


def _parse_mac(text: str) -> int:
    if not re.fullmatch(r"[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}", text):
        raise ValueError(text)
    return int.from_bytes(bytes(int(part, 16) for part in text.split(":")), "big")


def _parse_ip(text: str) -> int:
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise ValueError(text)
    return int.from_bytes(bytes(map(int, parts)), "big")


def _parse_ip6(text: str) -> int:
    import ipaddress
    return int(ipaddress.IPv6Address(text))


def _parse_int(text: str) -> int:
    return int(text, 0) if not re.fullmatch(r"0[0-9]+", text) else int(text, 8)


_FRAG_NAMES = {"no": 0, "first": FRAG_ANY, "later": FRAG_ANY | FRAG_LATER}
_FRAG_TEXT = {value: name for name, value in _FRAG_NAMES.items()}


def _parse_frag(text: str) -> int:
    return _FRAG_NAMES[text]


class _Kind(NamedTuple):
    """How values of a kind are written: value, mask, and read."""

    value: Callable[[int], str]
    mask: Callable[[int], str]
    parse: Callable[[str], int]


_DEC = _Kind(str, _hash_x, _parse_int)
_DEC_0X = _Kind(str, lambda mask: f"{mask:#x}", _parse_int)
_DEC_DEC = _Kind(str, lambda mask: f"{mask:x}", _parse_int)
_HEX = _Kind(_hash_x, _hash_x, _parse_int)
_HEX_0X = _Kind(lambda value: f"{value:#x}", lambda mask: f"{mask:#x}", _parse_int)
_TYPE = _Kind(lambda value: f"0x{value:04x}", lambda mask: f"0x{mask:04x}", _parse_int)
_MAC = _Kind(_format_mac, _format_mac, _parse_mac)
_IP = _Kind(_format_ip, _format_ip, _parse_ip)
_IP6 = _Kind(_format_ip6, _format_ip6, _parse_ip6)
_FRAG = _Kind(lambda value: _FRAG_TEXT.get(value, "<error>"), _hash_x, _parse_frag)


class Part(NamedTuple):
    """One field of an attribute: `width` bits above `shift` of `member`."""

    key: str
    member: str
    kind: _Kind
    shift: int = 0
    bits: int = 0               # 0: the whole member

    @property
    def full(self) -> int:
        """All ones of this field's width."""
        return (1 << (self.bits or width(self.member))) - 1

    def get(self, values: Mapping[str, int]) -> int:
        """The field's value."""
        return (values.get(self.member, 0) >> self.shift) & self.full

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


def _type_is(*types: int) -> Callable[[Mapping[str, int]], bool]:
    return lambda values: values.get("eth_type", 0) in types


def _l4(proto: int, *types: int) -> Callable[[Mapping[str, int]], bool]:
    return lambda values: (values.get("eth_type", 0) in (types or (0x0800, 0x86dd))
                           and values.get("nw_proto", 0) == proto
                           and not values.get("nw_frag", 0) & FRAG_LATER)


def _is_nd(values: Mapping[str, int]) -> bool:
    return (_l4(58, 0x86dd)(values) and values.get("tp_src", 0) in (135, 136)
            and not values.get("tp_dst", 0))


_LSE = 96                       # mpls_lse is one 128-bit container, outermost label first


def _mpls(index: int) -> tuple[Part, ...]:
    at = _LSE - 32 * index
    return (Part("label", "mpls_lse", _DEC_0X, at + 12, 20), Part("tc", "mpls_lse", _DEC_DEC, at + 9, 3),
            Part("ttl", "mpls_lse", _DEC_0X, at, 8), Part("bos", "mpls_lse", _DEC_DEC, at + 8, 1))


MPLS = tuple(_mpls(index) for index in range(3))
ETH = Key("eth", 4, (Part("src", "eth_src", _MAC), Part("dst", "eth_dst", _MAC)))
IPV4 = Key("ipv4", 7, (
    Part("src", "nw_src", _IP), Part("dst", "nw_dst", _IP), Part("proto", "nw_proto", _DEC),
    Part("tos", "nw_tos", _HEX), Part("ttl", "nw_ttl", _DEC), Part("frag", "nw_frag", _FRAG, 0, 2)),
    _type_is(0x0800))
IPV6 = Key("ipv6", 8, (
    Part("src", "ipv6_src", _IP6), Part("dst", "ipv6_dst", _IP6),
    Part("label", "ipv6_label", _HEX, 0, 20), Part("proto", "nw_proto", _DEC),
    Part("tclass", "nw_tos", _HEX), Part("hlimit", "nw_ttl", _DEC),
    Part("frag", "nw_frag", _FRAG, 0, 2)), _type_is(0x86dd))
ARP = Key("arp", 13, (
    Part("sip", "nw_src", _IP), Part("tip", "nw_dst", _IP), Part("op", "nw_proto", _DEC),
    Part("sha", "arp_sha", _MAC), Part("tha", "arp_tha", _MAC)), _type_is(0x0806, 0x8035))
NSH = Key("nsh", 28, (
    Part("flags", "nsh_flags", _DEC), Part("ttl", "nsh_ttl", _DEC),
    Part("mdtype", "nsh_mdtype", _DEC), Part("np", "nsh_np", _DEC),
    Part("spi", "nsh_path", _HEX_0X, 8, 24), Part("si", "nsh_path", _DEC, 0, 8),
    *(Part(f"c{n}", "nsh_c", _HEX_0X, 128 - 32 * n, 32) for n in range(1, 5))), _type_is(0x894f))
TCP = Key("tcp", 9, (Part("src", "tp_src", _DEC), Part("dst", "tp_dst", _DEC)), _l4(6))
UDP = Key("udp", 10, (Part("src", "tp_src", _DEC), Part("dst", "tp_dst", _DEC)), _l4(17))
SCTP = Key("sctp", 17, (Part("src", "tp_src", _DEC), Part("dst", "tp_dst", _DEC)), _l4(132))
ICMP = Key("icmp", 11, (Part("type", "tp_src", _DEC), Part("code", "tp_dst", _DEC)),
           _l4(1, 0x0800))
ICMPV6 = Key("icmpv6", 12, (Part("type", "tp_src", _DEC), Part("code", "tp_dst", _DEC)),
             _l4(58, 0x86dd))
ND = Key("nd", 14, (Part("target", "nd_target", _IP6), Part("sll", "arp_sha", _MAC),
                    Part("tll", "arp_tha", _MAC)), _is_nd)
ND_EXT = Key("nd_ext", 30, (Part("nd_reserved", "nd_reserved", _HEX),
                            Part("nd_options_type", "nd_options_type", _DEC)),
             lambda values: _is_nd(values) and (values.get("nd_reserved", 0)
                                                or values.get("nd_options_type", 0)))
CT_TUPLE4 = Key("ct_tuple4", 26, (
    Part("src", "ct_nw_src", _IP), Part("dst", "ct_nw_dst", _IP), Part("proto", "ct_nw_proto", _DEC),
    Part("tp_src", "ct_tp_src", _DEC), Part("tp_dst", "ct_tp_dst", _DEC)))
CT_TUPLE6 = Key("ct_tuple6", 27, (
    Part("src", "ct_ipv6_src", _IP6), Part("dst", "ct_ipv6_dst", _IP6),
    Part("proto", "ct_nw_proto", _DEC), Part("tp_src", "ct_tp_src", _DEC),
    Part("tp_dst", "ct_tp_dst", _DEC)))
PACKET_TYPE = Key("packet_type", 29, (Part("ns", "packet_type", _DEC, 16, 16),
                                      Part("id", "packet_type", _HEX, 0, 16)))
VLANS = tuple(
    Key("vlan", 5, (Part("vid", f"vlan{n}_tci", _DEC_0X, 0, 12),
                    Part("pcp", f"vlan{n}_tci", _DEC_0X, 13, 3),
                    Part("cfi", f"vlan{n}_tci", _DEC_0X, 12, 1))) for n in range(2))
# Keys with one unnamed value.
SCALARS: dict[str, tuple[int, Part]] = {
    "skb_priority": (2, Part("", "skb_priority", _HEX_0X)),
    "skb_mark": (15, Part("", "pkt_mark", _HEX_0X)),
    "dp_hash": (19, Part("", "dp_hash", _HEX_0X)),
    "recirc_id": (20, Part("", "recirc_id", _HEX)),
    "ct_zone": (23, Part("", "ct_zone", _HEX_0X)),
    "ct_mark": (24, Part("", "ct_mark", _HEX_0X)),
    "ct_label": (25, Part("", "ct_label", _HEX_0X)),
    "eth_type": (6, Part("", "eth_type", _TYPE)),
}
TUNNEL: tuple[Part, ...] = (
    Part("tun_id", "tun_id", _HEX_0X), Part("src", "tun_src", _IP), Part("dst", "tun_dst", _IP),
    Part("ipv6_src", "tun_ipv6_src", _IP6), Part("ipv6_dst", "tun_ipv6_dst", _IP6),
    Part("tos", "tun_tos", _HEX_0X), Part("ttl", "tun_ttl", _DEC),
    Part("tp_src", "tun_tp_src", _DEC), Part("tp_dst", "tun_tp_dst", _DEC))
L3 = (IPV4, IPV6, ARP, NSH)
L4 = (TCP, UDP, SCTP, ICMP, ICMPV6, ND, ND_EXT)
NAMED = {key.name: key for key in (ETH, *L3, *L4, CT_TUPLE4, CT_TUPLE6, PACKET_TYPE)}


# ---- printing

def _is_exact(part: Part, mask: Mapping[str, int] | None) -> bool:
    return mask is None or part.get(mask) == part.full


def _format_part(part: Part, key: Mapping[str, int], mask: Mapping[str, int] | None,
                 verbose: bool) -> str | None:
    """"key=value[/mask]", or None where the field is wildcarded and not wanted."""
    text = part.kind.value(part.get(key))
    if not _is_exact(part, mask):
        bits = part.get(mask)
        if not bits and not verbose:
            return None
        text += "/" + part.kind.mask(bits)
    return f"{part.key}={text}" if part.key else text


def format_key(attribute: Key, key: Mapping[str, int], mask: Mapping[str, int] | None = None,
               verbose: bool = False) -> str | None:
    """"name(key=value,...)" of one attribute, None where nothing of it is matched."""
    parts = [_format_part(part, key, mask, verbose) for part in attribute.parts]
    body = ",".join(part for part in parts if part is not None)
    return f"{attribute.name}({body})" if body else None


def format_flags(bits: int, mask: int | None, full: int, names: Mapping[str, int]) -> str:
    """Flags: a|b where exact, +a-b where masked."""
    if mask is None or mask == full:
        text = "|".join(name for name, bit in names.items() if bits & bit)
        return text or "0"
    return "".join(("+" if bits & bit else "-") + name for name, bit in names.items() if mask & bit)


def format_tunnel(key: Mapping[str, int], mask: Mapping[str, int] | None = None,
                  verbose: bool = False) -> str:
    is_set = mask if mask is not None else key
    parts = [_format_part(part, key, mask, False) for part in TUNNEL if part.get(is_set)
             or (part.key in ("tun_id",) and is_set.get("tun_flags", 0) & 0x08)]
    flags = is_set.get("tun_flags", 0)
    if flags:
        text = format_flags(key.get("tun_flags", 0), None if mask is None else flags, 0xffff,
                            TUN_FLAG_BITS)
        parts.append(f"flags({text})")
    return f"tunnel({','.join(part for part in parts if part)})"


def _quote_port(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][-\w.]*", name) else '"' + name.replace('"', r'\"') + '"'


def format_port(number: int, ports: Mapping[int, str] | None) -> str:
    """A datapath port by name where `ports` knows it, else by number."""
    return _quote_port(ports[number]) if ports and number in ports else str(number)


def _scalar(name: str, key: Mapping[str, int], mask: Mapping[str, int] | None,
            verbose: bool) -> str | None:
    _, part = SCALARS[name]
    text = part.kind.value(part.get(key))
    if name == "recirc_id":
        return f"recirc_id({_hash_x(part.get(key))})"
    if not _is_exact(part, mask):
        bits = part.get(mask)
        if not bits:
            return f"{name}({_hash_x(part.get(key))}/0)" if verbose else None
        text += "/" + part.kind.mask(bits)
    elif mask is None and not part.get(key) and not verbose:
        return None
    return f"{name}({text if part.get(key) or name == 'eth_type' else text.replace('0x0', '0', 1)})"


def _layers(key: Mapping[str, int], mask: Mapping[str, int] | None, verbose: bool) -> list[str]:
    """eth_type and all that follows."""
    found = []
    if mask is None or mask.get("eth_type") or verbose:
        if mask is None or mask.get("eth_type"):
            found.append(_scalar("eth_type", key, mask, verbose))
    elif not verbose and mask is not None and not mask.get("eth_type"):
        pass
    if key.get("eth_type", 0) in (0x8847, 0x8848):
        lses = []
        bits = mask.get("mpls_lse", 0) if mask is not None else None
        for index, parts in enumerate(MPLS):
            lse = key.get("mpls_lse", 0) >> (_LSE - 32 * index) & 0xffffffff
            lses.extend(parts)
            if lse & 0x100:
                break
        if verbose or mask is None or bits:
            is_exact = all(_is_exact(part, mask) for part in lses)
            texts = [f"{part.key}={part.kind.value(part.get(key))}"
                     + ("" if is_exact else "/" + part.kind.mask(part.get(mask)))
                     for part in lses]
            found.append(f"mpls({','.join(texts)})")
        return found
    for attribute in (*L3, *L4):
        if attribute.applies(key):
            text = format_key(attribute, key, mask, verbose)
            if text:
                found.append(text)
            if attribute is TCP and (mask is not None and (verbose or mask.get("tcp_flags"))
                                     or mask is None and key.get("tcp_flags")):
                bits = None if mask is None else mask.get("tcp_flags", 0) & 0xfff
                value = key.get("tcp_flags", 0)
                found.append(f"tcp_flags({_hash_x(value)}/0)" if bits == 0 else
                             f"tcp_flags({format_flags(value, bits, 0xfff, TCP_FLAG_BITS)})")
    return found


def format_flow(key: Mapping[str, int], mask: Mapping[str, int] | None = None,
                ports: Mapping[int, str] | None = None, verbose: bool = False) -> str:
    """A flow as dpctl/dump-flows prints it. `mask` None: all exact. `ports`: names of datapath
    ports, to be printed instead of numbers."""
    found: list[str | None] = [_scalar("skb_priority", key, mask, verbose)]
    if any((mask if mask is not None else key).get(part.member) for part in TUNNEL) or (
            mask if mask is not None else key).get("tun_flags"):
        found.append(format_tunnel(key, mask, verbose))
    found.append(_scalar("skb_mark", key, mask, verbose))
    state, state_mask = key.get("ct_state", 0), None if mask is None else mask.get("ct_state", 0)
    if state_mask == 0:
        found.append(f"ct_state({_hash_x(state)}/0)" if verbose else None)
    elif state or verbose or mask is not None:
        found.append(f"ct_state({format_flags(state, state_mask, 0xff, CT_STATE_BITS)})")
    found.extend(_scalar(name, key, mask, verbose) for name in ("ct_zone", "ct_mark", "ct_label"))
    for attribute in (CT_TUPLE4, CT_TUPLE6):
        if any(part.get(mask if mask is not None else key) for part in attribute.parts[:2]):
            found.append(format_key(attribute, key, mask, verbose))
    found.append(_scalar("recirc_id", key, mask, verbose))
    found.append(_scalar("dp_hash", key, mask, verbose))
    if mask is None or mask.get("in_port") or verbose:
        found.append(f"in_port({format_port(key.get('in_port', 0), ports)})")
    if mask is None or mask.get("packet_type") or verbose:
        value = key.get("packet_type", 0)
        found.append(f"packet_type(ns={value >> 16},id={_hash_x(value & 0xffff)})")
    if not key.get("packet_type", 0) >> 16:
        shown = format_key(ETH, key, mask, verbose)
        if shown is None and mask is not None and not mask.get("packet_type"):
            shown = "eth()"     # nothing else says that it is Ethernet
        found.append(shown)
        found.extend(_vlans(key, mask, verbose, 0))
    else:
        found.extend(_layers(key, mask, verbose))
    return ",".join(text for text in found if text)


def _vlans(key: Mapping[str, int], mask: Mapping[str, int] | None, verbose: bool,
           index: int) -> list[str]:
    """VLAN tags from `index` inwards, each with what it encapsulates."""
    tci = f"vlan{index}_tci" if index < 2 else ""
    if not tci or not key.get(tci, 0) & VLAN_PRESENT or (
            mask is not None and not mask.get(tci) and not mask.get(f"vlan{index}_tpid")):
        return _layers(key, mask, verbose)
    found = [f"eth_type(0x{key.get(f'vlan{index}_tpid', 0x8100):04x})"]
    parts = [_format_part(part, key, mask, True) for part in VLANS[index].parts[:2]]
    found.append(f"vlan({','.join(parts)})")
    found.append(f"encap({','.join(_vlans(key, mask, verbose, index + 1))})")
    return found


# ---- parsing

_ATTRIBUTE = re.compile(r"[\s,]*([A-Za-z_0-9]+)\(")


class _Parser:
    """Reads a flow; `key` and `mask` grow as attributes are met."""

    def __init__(self, text: str, ports: Mapping[str, int] | None):
        self.text = text
        self.ports = ports or {}
        self.key: Values = {}
        self.mask: Values = {}
        self.has_masks = False

    def error(self, at: int) -> TextError:
        return TextError(f"syntax error at {self.text[at:].strip(', ')}")

    def parse(self, at: int, end: int) -> None:
        """Attributes from `at` up to `end`."""
        while True:
            rest = self.text[at:end]
            if not rest.strip(", \t\r\n"):
                return
            match = _ATTRIBUTE.match(self.text, at, end)
            if rest.lstrip(", \t\r\n").startswith("ufid:"):
                start = self.text.index("ufid:", at)
                at = self.text.find(",", start)
                if at < 0:
                    return
                continue
            if not match:
                raise self.error(at)
            close = self.closing(match.end(), end)
            if close < 0:
                raise self.error(match.start(1))
            try:
                self.attribute(match.group(1), match.end(), close)
            except TextError:
                raise
            except (ValueError, KeyError, OverflowError):
                raise self.error(match.start(1)) from None
            at = close + 1

    def closing(self, at: int, end: int) -> int:
        """Index of the parenthesis that closes the one before `at`, or -1."""
        depth = 1
        for index in range(at, end):
            char = self.text[index]
            depth += (char == "(") - (char == ")")
            if not depth:
                return index
        return -1

    def attribute(self, name: str, start: int, end: int) -> None:
        body = self.text[start:end]
        if name == "encap":
            if "vlan0_tpid" not in self.key:
                self.key["vlan0_tpid"] = self.key.pop("eth_type", 0x8100)
                self.mask["vlan0_tpid"] = self.mask.pop("eth_type", 0xffff)
            elif self.key.get("eth_type"):
                self.key["vlan1_tpid"] = self.key.pop("eth_type")
                self.mask["vlan1_tpid"] = self.mask.pop("eth_type", 0xffff)
            self.parse(start, end)
        elif name == "in_port":
            value, _, bits = body.partition("/")
            value = value.strip().strip('"')
            self.key["in_port"] = self.ports[value] if value in self.ports else _parse_int(value)
            self.mask["in_port"] = 0xffffffff if not bits else _parse_int(bits)
        elif name in ("ct_state", "tcp_flags"):
            names = CT_STATE_BITS if name == "ct_state" else TCP_FLAG_BITS
            full = 0xff if name == "ct_state" else 0xfff
            self.key[name], self.mask[name] = parse_flags(body, names, full)
        elif name == "tunnel":
            self.tunnel(body)
        elif name == "vlan":
            index = 1 if "vlan0_tci" in self.key else 0
            self.parts(VLANS[index].parts, body)
            tci = f"vlan{index}_tci"
            if "cfi" not in body:
                self.key[tci] = self.key.get(tci, 0) | VLAN_PRESENT
                self.mask[tci] = self.mask.get(tci, 0) | VLAN_PRESENT
        elif name == "mpls":
            self.mpls(body)
        elif name in SCALARS:
            self.value(SCALARS[name][1], body)
        else:
            self.parts(NAMED[name].parts, body)

    def value(self, part: Part, text: str) -> None:
        """"value[/mask]" of one field."""
        value, slash, bits = text.strip().partition("/")
        part.put(self.key, part.kind.parse(value.strip()))
        if slash:
            kind = part.kind if part.kind is not _FRAG else _DEC
            part.put(self.mask, kind.parse(bits.strip()))
            self.has_masks = True
        else:
            part.put(self.mask, part.full)

    def parts(self, parts: tuple[Part, ...], body: str) -> None:
        by_key = {part.key: part for part in parts}
        if "src_port" in body:                          # an old spelling of ct_tuple6
            body = body.replace("src_port", "tp_src").replace("dst_port", "tp_dst")
        for word in body.split(","):
            if word.strip():
                key, _, text = word.partition("=")
                self.value(by_key[key.strip()], text)

    def mpls(self, body: str) -> None:
        index, seen = 0, set()
        for word in body.split(","):
            key, _, text = word.strip().partition("=")
            if key in seen:
                index, seen = index + 1, set()
            seen.add(key)
            part = next(part for part in MPLS[index] if part.key == key)
            self.value(part, text)

    def tunnel(self, body: str) -> None:
        match = re.search(r",?\s*flags\(([^)]*)\)", body)
        if match:
            body = body[:match.start()] + body[match.end():]
            value, bits = parse_flags(match.group(1), TUN_FLAG_BITS, 0x0f)
            self.key["tun_flags"], self.mask["tun_flags"] = value, bits
        self.parts(TUNNEL, body)
        if self.key.get("tun_id"):
            self.key.setdefault("tun_flags", 0)


def parse_flags(text: str, names: Mapping[str, int], full: int) -> tuple[int, int]:
    """Flags as (value, mask): a|b, +a-b, 0xV or 0xV/0xM. Raises ValueError, KeyError."""
    text = text.strip()
    if re.fullmatch(r"(0x[0-9a-fA-F]+|\d+)(/(0x[0-9a-fA-F]+|\d+))?", text):
        value, slash, bits = text.partition("/")
        return _parse_int(value), _parse_int(bits) if slash else full
    if text[:1] in "+-" and text:
        value = mask = 0
        for sign, name in re.findall(r"([+-])([^+-]+)", text):
            mask |= names[name]
            value |= names[name] if sign == "+" else 0
        return value, mask
    value = 0
    for name in filter(None, text.split("|")):
        value |= names[name.strip()]
    return value, full


def parse_flow(text: str, ports: Mapping[str, int] | None = None) -> tuple[Values, Values]:
    """(key, mask) of a flow in text form; what is not written is wildcarded.

    `ports`: numbers of datapath ports by name. Raises TextError in the reference's words.
    """
    parser = _Parser(text, ports)
    parser.parse(0, len(text))
    key, mask = parser.key, parser.mask
    if parser.key.get("eth_type", 0x0800) < 0x600 and mask.get("eth_type") == 0xffff:
        raise TextError(f"invalid Ethertype {key['eth_type']} in flow key; the flow key in error "
                        f"is: {text.strip()}")
    return key, mask


# ---- statistics lines

_TCP_LETTERS = ((0x001, "F"), (0x002, "S"), (0x004, "R"), (0x008, "P"), (0x010, "."), (0x020, "U"),
                (0x040, "E"), (0x080, "C"), (0x100, "N"))


def format_tcp_letters(flags: int) -> str:
    """TCP flags seen by a flow, a letter each: SFP. ."""
    return "".join(letter for bit, letter in _TCP_LETTERS if flags & bit)


def format_statistics(n_packets: int, n_bytes: int, used_ms: int, now_ms: int,
                      tcp_flags: int) -> str:
    """", packets:1, bytes:60, used:0.1s, flags:S" without the leading comma."""
    used = f"{(now_ms - used_ms) / 1000:.3f}s" if used_ms else "never"
    flags = f", flags:{format_tcp_letters(tcp_flags)}" if tcp_flags else ""
    return f"packets:{n_packets}, bytes:{n_bytes}, used:{used}{flags}"
