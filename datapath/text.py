"""Text of datapath flow keys: what `dpctl/dump-flows` prints and `netdev-dummy/receive` reads.

A key is a `struct flow` whose in_port is a datapath port number; a mask is another one. Here both
are dicts {member name: int} (`unpack`, `pack` turn them into bytes): a missing member is 0, byte
arrays are big-endian integers. `KEYS` says once how each attribute is written and which packets
have it; printing, parsing and validation walk it. Text of datapath actions is in `action_text.py`.

Source: facts of ovs-dpctl(8) and ovs-actions(7); numbers are OVS_KEY_ATTR_*. Pure Python, needs no
compiled library; any thread.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from datapath.part import (DEC, DEC_0X, DEC_DEC, FRAG, HEX, HEX_08X, HEX_0X, IP, IP6, MAC, OCTET,
                           TYPE, Key, Part, TextError, Values, hash_x, parse_int)
from datapath.tunnel_text import (MEMBERS as TUNNEL_MEMBERS, format_flags, format_tunnel,
                                  is_tunneled, parse_flags, parse_tunnel)
from schema.flow.fields import (CT_STATE_BITS, FLOW, FLOW_SIZE, FRAG_LATER, MEMBER, OFFSET,
                                TCP_FLAG_BITS, VLAN_PRESENT)

# ---- struct flow as bytes <-> dict

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
    return (Part("label", "mpls_lse", DEC_0X, at + 12, 20),
            Part("tc", "mpls_lse", DEC_DEC, at + 9, 3), Part("ttl", "mpls_lse", DEC_0X, at, 8),
            Part("bos", "mpls_lse", DEC_DEC, at + 8, 1))


MPLS = tuple(_mpls(index) for index in range(3))
ETH = Key("eth", 4, (Part("src", "eth_src", MAC), Part("dst", "eth_dst", MAC)))
IPV4 = Key("ipv4", 7, (
    Part("src", "nw_src", IP), Part("dst", "nw_dst", IP), Part("proto", "nw_proto", DEC),
    Part("tos", "nw_tos", HEX), Part("ttl", "nw_ttl", DEC), Part("frag", "nw_frag", FRAG, 0, 2)),
    _type_is(0x0800))
IPV6 = Key("ipv6", 8, (
    Part("src", "ipv6_src", IP6), Part("dst", "ipv6_dst", IP6),
    Part("label", "ipv6_label", HEX, 0, 20), Part("proto", "nw_proto", DEC),
    Part("tclass", "nw_tos", HEX), Part("hlimit", "nw_ttl", DEC),
    Part("frag", "nw_frag", FRAG, 0, 2)), _type_is(0x86dd))
ARP = Key("arp", 13, (
    Part("sip", "nw_src", IP), Part("tip", "nw_dst", IP), Part("op", "nw_proto", DEC),
    Part("sha", "arp_sha", MAC), Part("tha", "arp_tha", MAC)), _type_is(0x0806, 0x8035))
NSH = Key("nsh", 28, (
    Part("flags", "nsh_flags", OCTET), Part("ttl", "nsh_ttl", OCTET),
    Part("mdtype", "nsh_mdtype", OCTET), Part("np", "nsh_np", OCTET),
    Part("spi", "nsh_path", HEX_08X, 8, 24), Part("si", "nsh_path", OCTET, 0, 8),
    *(Part(f"c{n}", "nsh_c", HEX_08X, 128 - 32 * n, 32) for n in range(1, 5))), _type_is(0x894f))
TCP = Key("tcp", 9, (Part("src", "tp_src", DEC), Part("dst", "tp_dst", DEC)), _l4(6))
UDP = Key("udp", 10, (Part("src", "tp_src", DEC), Part("dst", "tp_dst", DEC)), _l4(17))
SCTP = Key("sctp", 17, (Part("src", "tp_src", DEC), Part("dst", "tp_dst", DEC)), _l4(132))
ICMP = Key("icmp", 11, (Part("type", "tp_src", DEC, 0, 8), Part("code", "tp_dst", DEC, 0, 8)),
           _l4(1, 0x0800))
ICMPV6 = Key("icmpv6", 12, (Part("type", "tp_src", DEC, 0, 8), Part("code", "tp_dst", DEC, 0, 8)),
             _l4(58, 0x86dd))
ND = Key("nd", 14, (Part("target", "nd_target", IP6), Part("sll", "arp_sha", MAC),
                    Part("tll", "arp_tha", MAC)), _is_nd)
ND_EXT = Key("nd_ext", 30, (Part("nd_reserved", "nd_reserved", HEX),
                            Part("nd_options_type", "nd_options_type", DEC)),
             lambda values: _is_nd(values) and (values.get("nd_reserved", 0)
                                                or values.get("nd_options_type", 0)))
CT_TUPLE4 = Key("ct_tuple4", 26, (
    Part("src", "ct_nw_src", IP), Part("dst", "ct_nw_dst", IP), Part("proto", "ct_nw_proto", DEC),
    Part("tp_src", "ct_tp_src", DEC), Part("tp_dst", "ct_tp_dst", DEC)))
CT_TUPLE6 = Key("ct_tuple6", 27, (
    Part("src", "ct_ipv6_src", IP6), Part("dst", "ct_ipv6_dst", IP6),
    Part("proto", "ct_nw_proto", DEC), Part("tp_src", "ct_tp_src", DEC),
    Part("tp_dst", "ct_tp_dst", DEC)))
PACKET_TYPE = Key("packet_type", 29, (Part("ns", "packet_type", DEC, 16, 16),
                                      Part("id", "packet_type", HEX, 0, 16)))
VLANS = tuple(
    Key("vlan", 5, (Part("vid", f"vlan{n}_tci", DEC_0X, 0, 12),
                    Part("pcp", f"vlan{n}_tci", DEC_0X, 13, 3),
                    Part("cfi", f"vlan{n}_tci", DEC_0X, 12, 1))) for n in range(2))
# Keys with one unnamed value.
SCALARS: dict[str, tuple[int, Part]] = {
    "skb_priority": (2, Part("", "skb_priority", HEX_0X)),
    "skb_mark": (15, Part("", "pkt_mark", HEX_0X)),
    "dp_hash": (19, Part("", "dp_hash", HEX_0X)),
    "recirc_id": (20, Part("", "recirc_id", HEX)),
    "ct_zone": (23, Part("", "ct_zone", HEX_0X)),
    "ct_mark": (24, Part("", "ct_mark", HEX_0X)),
    "ct_label": (25, Part("", "ct_label", HEX_0X)),
    "eth_type": (6, Part("", "eth_type", TYPE)),
}
L3 = (IPV4, IPV6, ARP, NSH)
L4 = (TCP, UDP, SCTP, ICMP, ICMPV6, ND)
NAMED = {key.name: key for key in (ETH, *L3, *L4, ND_EXT, CT_TUPLE4, CT_TUPLE6, PACKET_TYPE)}


# ---- printing

def format_key(attribute: Key, key: Mapping[str, int], mask: Mapping[str, int] | None = None,
               verbose: bool = False) -> str | None:
    """"name(key=value,...)" of one attribute, None where nothing of it is matched."""
    parts = [part.format(key, mask, verbose) for part in attribute.parts]
    body = ",".join(part for part in parts if part is not None)
    return f"{attribute.name}({body})" if body else None


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
        return f"recirc_id({hash_x(part.get(key))})"
    if not part.is_exact(mask):
        bits = part.get(mask)
        if not bits:
            return f"{name}({hash_x(part.get(key))}/0)" if verbose else None
        text += "/" + part.kind.mask(bits)
    elif mask is None and not part.get(key) and not verbose:
        return None
    return f"{name}({text if part.get(key) or name == 'eth_type' else text.replace('0x0', '0', 1)})"


def format_labels(parts: Sequence[Part], key: Mapping[str, int],
                  mask: Mapping[str, int] | None) -> str:
    """"mpls(...)": with all masks, or with none where all are exact."""
    is_exact = all(part.is_exact(mask) for part in parts)
    texts = [f"{part.key}={part.kind.value(part.get(key))}"
             + ("" if is_exact else "/" + part.kind.mask(part.get(mask))) for part in parts]
    return f"mpls({','.join(texts)})"


def _layers(key: Mapping[str, int], mask: Mapping[str, int] | None, verbose: bool) -> list[str]:
    """eth_type and all that follows. The key says which layers there are."""
    found = []
    if 0 < key.get("eth_type", 0) < 0x600:
        return [f"eth_type(0/0x{mask['eth_type']:04x})"] if mask and mask.get("eth_type") else []
    if mask is None or mask.get("eth_type") or verbose:
        found.append(_scalar("eth_type", key, mask, verbose))
    if key.get("eth_type", 0) in (0x8847, 0x8848):
        lses = []
        bits = mask.get("mpls_lse", 0) if mask is not None else None
        for index, parts in enumerate(MPLS):
            lse = key.get("mpls_lse", 0) >> (_LSE - 32 * index) & 0xffffffff
            lses.extend(parts)
            if lse & 0x100:
                break
        if verbose or mask is None or bits:
            found.append(format_labels(lses, key, mask))
        return found
    for attribute in (*L3, *L4):
        if attribute.applies(key):
            text = format_key(attribute, key, mask, verbose)
            if text or attribute is NSH:
                found.append(text or "nsh()")
            if attribute is TCP:
                found.append(_tcp_flags(key, mask, verbose))
    return [text for text in found if text]


_SHOWN_TCP_FLAGS = TCP_FLAG_BITS | {"[200]": 0x200, "[400]": 0x400, "[800]": 0x800}


def _tcp_flags(key: Mapping[str, int], mask: Mapping[str, int] | None, verbose: bool) -> str:
    value = key.get("tcp_flags", 0)
    care = None if mask is None else mask.get("tcp_flags", 0) & 0xfff
    if care == 0:
        return "tcp_flags(0/0)" if value and verbose else ""
    if not value and not care:
        return ""
    return f"tcp_flags({format_flags(value, care, 0xfff, _SHOWN_TCP_FLAGS)})"


def _ct_state(key: Mapping[str, int], mask: Mapping[str, int] | None, verbose: bool) -> str:
    value = key.get("ct_state", 0)
    if mask is None:
        if verbose:
            return f"ct_state({hash_x(value)})"
        return f"ct_state({format_flags(value, None, 0, CT_STATE_BITS)})" if value else ""
    care = mask.get("ct_state", 0)
    if verbose:
        return f"ct_state({hash_x(value)}/{hash_x(care)})"
    if not care:
        return ""
    signs = "".join(("+" if value & bit else "-") + name for name, bit in CT_STATE_BITS.items()
                    if care & bit)
    return f"ct_state({signs})"


def format_flow(key: Mapping[str, int], mask: Mapping[str, int] | None = None,
                ports: Mapping[int, str] | None = None, verbose: bool = False) -> str:
    """A flow as dpctl/dump-flows prints it. `mask` None: all exact. `ports`: names of datapath
    ports, to be printed instead of numbers."""
    found: list[str | None] = [_scalar("skb_priority", key, mask, verbose)]
    if is_tunneled(key) or mask is None and any(key.get(name) for name in TUNNEL_MEMBERS):
        found.append(format_tunnel(key, mask, verbose))
    found.append(_scalar("skb_mark", key, mask, verbose))
    found.append(_ct_state(key, mask, verbose))
    found.extend(_scalar(name, key, mask, verbose) for name in ("ct_zone", "ct_mark", "ct_label"))
    for attribute in (CT_TUPLE4, CT_TUPLE6):
        if any(part.get(key) for part in attribute.parts[:2]):
            found.append(format_key(attribute, key, mask, verbose))
    found.append(_scalar("recirc_id", key, mask, verbose))
    found.append(_scalar("dp_hash", key, mask, verbose))
    if mask is None or mask.get("in_port") or verbose:
        found.append(f"in_port({format_port(key.get('in_port', 0), ports)})")
    if mask is None or mask.get("packet_type") or verbose:
        value = key.get("packet_type", 0)
        none = "" if mask is None or mask.get("packet_type") else "/0"
        found.append(f"packet_type(ns={value >> 16}{none},id={hash_x(value & 0xffff)}{none})")
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
    is_open = mask is not None and tci and not (mask.get(tci) or mask.get(f"vlan{index}_tpid"))
    if not tci or not key.get(tci, 0) & VLAN_PRESENT or is_open and not index:
        return _layers(key, mask, verbose)
    found = [f"eth_type(0x{key.get(f'vlan{index}_tpid', 0x8100):04x})"]
    if not is_open or verbose:
        parts = [part.format(key, mask, verbose or part.get(key) != 0)
                 for part in VLANS[index].parts[:2]]
        found.append(f"vlan({','.join(filter(None, parts))})")
    inside = _vlans(key, mask, verbose, index + 1) if key.get("eth_type") else []
    found.append(f"encap({','.join(inside)})")
    return found


# ---- parsing

_UFID = re.compile(r"ufid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ATTRIBUTE = re.compile(r"[\s,]*([A-Za-z_0-9]+)\(")


def read_part(part: Part, text: str, key: Values, mask: Values) -> None:
    """Reads "value[/mask]" of one field into `key` and `mask`. Raises ValueError, KeyError."""
    value, slash, bits = text.strip().partition("/")
    part.put(key, part.kind.parse(value.strip()))
    kind = part.kind if part.kind is not FRAG else DEC
    part.put(mask, kind.parse(bits.strip()) if slash else part.full)


class _Parser:
    """Reads a flow; `key` and `mask` grow as attributes are met, `names` lists those."""

    def __init__(self, text: str, ports: Mapping[str, int] | None):
        self.text = text
        self.ports = ports or {}
        self.key: Values = {}
        self.mask: Values = {}
        self.names: list[str] = []

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
                ufid = _UFID.search(self.text, at, end)
                if not ufid:
                    raise self.error(self.text.index("ufid:", at))
                at = ufid.end()
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
        self.names.append(name)
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
            self.key["in_port"] = self.ports[value] if value in self.ports else parse_int(value)
            self.mask["in_port"] = 0xffffffff if not bits else parse_int(bits)
        elif name in ("ct_state", "tcp_flags"):
            names = CT_STATE_BITS if name == "ct_state" else _SHOWN_TCP_FLAGS
            full = 0xff if name == "ct_state" else 0xfff
            self.key[name], self.mask[name] = parse_flags(body, names, full)
        elif name == "tunnel":
            parse_tunnel(body, self.key, self.mask, read_part)
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
            read_part(SCALARS[name][1], body, self.key, self.mask)
        else:
            self.parts(NAMED[name].parts, body)

    def parts(self, parts: tuple[Part, ...], body: str) -> None:
        by_key = {part.key: part for part in parts}
        if "src_port" in body:                          # an old spelling of ct_tuple6
            body = body.replace("src_port", "tp_src").replace("dst_port", "tp_dst")
        for word in body.split(","):
            if word.strip():
                key, _, text = word.partition("=")
                read_part(by_key[key.strip()], text, self.key, self.mask)

    def mpls(self, body: str) -> None:
        index, seen = 0, set()
        for word in body.split(","):
            key, _, text = word.strip().partition("=")
            if key in seen:
                index, seen = index + 1, set()
            seen.add(key)
            part = next(part for part in MPLS[index] if part.key == key)
            read_part(part, text, self.key, self.mask)


def parse_flow(text: str, ports: Mapping[str, int] | None = None) -> tuple[Values, Values]:
    """(key, mask) of a flow in text form; what is not written is wildcarded.

    `ports`: numbers of datapath ports by name. Raises TextError in the reference's words.
    """
    parser = _Parser(text, ports)
    parser.parse(0, len(text))
    if parser.key.get("eth_type", 0x0800) < 0x600 and parser.mask.get("eth_type") == 0xffff:
        raise TextError(f"invalid Ethertype {parser.key['eth_type']} in flow key; the flow key in "
                        f"error is: {text.strip()}")
    return parser.key, parser.mask


class UnfitError(ValueError):
    """The attributes of a flow do not make a packet."""


def parse_whole_flow(text: str, ports: Mapping[str, int] | None = None,
                     n_vlans: int = 1) -> tuple[Values, Values]:
    """As parse_flow, of a flow that a datapath is to take: each layer is there, and none twice.

    n_vlans: how many tags the datapath looks at. Raises TextError, UnfitError.
    """
    parser = _Parser(text, ports)
    parser.parse(0, len(text))
    key, mask, names = parser.key, parser.mask, parser.names
    if "eth" not in names and "packet_type" not in names:
        key["packet_type"] = 1 << 16 | key.get("eth_type", 0)
    if not _fits(key, mask, names, n_vlans):
        raise UnfitError(text)
    return key, mask


_TWICE = ("vlan", "encap", "eth_type")          # may be there twice
_ANYWHERE = frozenset(("skb_priority", "skb_mark", "recirc_id", "dp_hash", "ct_state", "ct_zone",
                       "ct_mark", "ct_label", "ct_tuple4", "ct_tuple6", "tunnel", "in_port",
                       "packet_type", "eth", "eth_type", "vlan", "encap", "nd_ext", "tcp_flags"))


def _fits(key: Values, mask: Values, names: list[str], n_vlans: int) -> bool:
    counts = {name: names.count(name) for name in names}
    tags = counts.get("vlan", 0)
    if (any(count > 1 and name not in _TWICE for name, count in counts.items())
            or counts.get("eth_type", 0) != tags + 1 or counts.get("encap", 0) != tags
            or tags > n_vlans or mask.get("in_port") != 0xffffffff):
        return False
    if ("eth" in names) == bool(key.get("packet_type", 0) >> 16):
        return False
    for number in range(tags):
        if not key.get(f"vlan{number}_tci", 0) & VLAN_PRESENT or (
                key.get(f"vlan{number}_tpid") not in (0x8100, 0x88a8)):
            return False
    if "tunnel" in names and "tun_ttl" not in key:
        return False
    kind = key.get("eth_type", 0)
    if kind < 0x600 or kind in (0x8100, 0x88a8):
        return False
    if kind in (0x8847, 0x8848) and not any(
            key.get("mpls_lse", 0) >> _LSE - 32 * index & 0x100 for index in range(3)):
        return False
    expected = {row.name for row in (*L3, *L4) if row.applies(key)}
    if kind in (0x8847, 0x8848):
        expected = {"mpls"}
    if mask.get("eth_type") != 0xffff and expected:
        return False
    return expected == set(names) - _ANYWHERE


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
