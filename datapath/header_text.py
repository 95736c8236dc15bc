"""Text of the header that tnl_push puts in front of a frame.

    size=50,type=4,eth(...),ipv4(...),udp(...),vxlan(flags=0x8000000,vni=0x7b)

`format_header` reads the bytes, `parse_header` makes them. Lengths and checksums that depend on the
frame are zero. `action_text.py` calls this. Source: facts of ovs-dpctl(8); RFC 2784, 2890, 7348,
8754, 8926, the ERSPAN draft and 3GPP TS 29.281. Pure Python; any thread.
"""

import re
import struct
from collections.abc import Callable
from enum import IntEnum

from datapath.part import (format_ip, format_ip6, format_mac, hash_x, parse_int, parse_ip,
                           parse_ip6, parse_mac, parse_pairs)
from datapath.tunnel_text import format_option, parse_options, unpack_options


class Tunnel(IntEnum):
    """Kinds of tunnels, as `type` numbers them."""

    GRE = 3
    VXLAN = 4
    GENEVE = 5
    ERSPAN = 107
    IP6ERSPAN = 108
    IP6GRE = 109
    GTPU = 110
    BAREUDP = 111
    SRV6 = 112


_ETHERNET = struct.Struct("!6s6sH")
_IP = struct.Struct("!BBHHHBBH4s4s")
_IP6 = struct.Struct("!IHBB16s16s")
_UDP = struct.Struct("!HHHH")
_GRE_CSUM, _GRE_KEY, _GRE_SEQ = 0x8000, 0x2000, 0x1000
_ERSPAN_PROTO = {1: 0x88be, 2: 0x22eb}
_OAM, _CRITICAL = 0x80, 0x40
_TRANSPARENT = 0x6558           # Ethertype of Ethernet in a tunnel
_SEGMENT_ROUTING = 4            # type of IPv6 routing header


def _be(data: bytes) -> int:
    return int.from_bytes(data, "big")


# ---- printing

def format_header(kind: int, header: bytes) -> str:
    """"size=..,type=..,eth(..),.." of a header."""
    dst, src, eth_type = _ETHERNET.unpack_from(header)
    words = [f"size={len(header)}", f"type={kind}",
             f"eth(dst={format_mac(_be(dst))},src={format_mac(_be(src))},dl_type=0x{eth_type:04x})"]
    rest = header[_ETHERNET.size:]
    if eth_type == 0x0800:
        _, tos, _, _, frag, ttl, proto, _, source, target = _IP.unpack_from(rest)
        words.append(f"ipv4(src={format_ip(_be(source))},dst={format_ip(_be(target))},"
                     f"proto={proto},tos={hash_x(tos)},ttl={ttl},frag=0x{frag:x})")
        rest = rest[_IP.size:]
    else:
        first, _, proto, hop_limit, source, target = _IP6.unpack_from(rest)
        words.append(f"ipv6(src={format_ip6(_be(source))},dst={format_ip6(_be(target))},"
                     f"label={first & 0xfffff},proto={proto},tclass=0x{first >> 20 & 0xff:x},"
                     f"hlimit={hop_limit})")
        rest = rest[_IP6.size:]
    if kind in (Tunnel.VXLAN, Tunnel.GENEVE, Tunnel.GTPU, Tunnel.BAREUDP):
        source_port, port, _, checksum = _UDP.unpack_from(rest)
        words.append(f"udp(src={source_port},dst={port},csum=0x{checksum:x})")
        rest = rest[_UDP.size:]
    if kind in _FORMATS:
        words.append(_FORMATS[kind](rest))
    return ",".join(words)


def _format_vxlan(data: bytes) -> str:
    return f"vxlan(flags=0x{_be(data[:4]):x},vni=0x{_be(data[4:7]):x})"


def _format_geneve(data: bytes) -> str:
    words = [name for name, bit in (("oam", _OAM), ("crit", _CRITICAL)) if data[1] & bit]
    words.append(f"vni=0x{_be(data[4:7]):x}")
    if data[8:]:
        words.append(f"options({''.join(map(format_option, unpack_options(data[8:])))})")
    return f"geneve({','.join(words)})"


def _format_gre(data: bytes) -> str:
    flags, proto = struct.unpack_from("!HH", data)
    text, at = f"(flags=0x{flags:x},proto=0x{proto:x})", 4
    for name, bit, size in (("csum", _GRE_CSUM, 2), ("key", _GRE_KEY, 4), ("seq", _GRE_SEQ, 4)):
        if flags & bit:
            text += f",{name}=0x{_be(data[at:at + size]):x}"
            at += 4
    return f"gre({text})"


def _format_erspan(data: bytes) -> str:
    base = _be(data[8:12])
    text = f"ver={base >> 28},sid=0x{base & 0x3ff:x}"
    if base >> 28 == 1:
        return f"erspan({text},idx=0x{_be(data[12:16]):x})"
    bits = _be(data[18:20])
    return f"erspan({text},dir={bits >> 3 & 1},hwid=0x{bits >> 4 & 0x3f:x})"


def _format_gtpu(data: bytes) -> str:
    return f"gtpu(flags=0x{data[0]:x},msgtype={data[1]},teid=0x{_be(data[4:8]):x})"


def _format_srv6(data: bytes) -> str:
    segments = [format_ip6(_be(data[at:at + 16])) for at in range(8, len(data), 16)]
    return f"srv6(segments_left={data[3]},segs({','.join(reversed(segments))}))"


_FORMATS: dict[int, Callable[[bytes], str]] = {
    Tunnel.GRE: _format_gre, Tunnel.IP6GRE: _format_gre, Tunnel.VXLAN: _format_vxlan,
    Tunnel.GENEVE: _format_geneve, Tunnel.ERSPAN: _format_erspan,
    Tunnel.IP6ERSPAN: _format_erspan, Tunnel.GTPU: _format_gtpu, Tunnel.SRV6: _format_srv6,
}


# ---- parsing

_PART = re.compile(r"\s*,?\s*(\w+)(?:=(\d+)|\()")


def parse_header(body: str) -> tuple[int, bytes]:
    """(kind of the tunnel, header). Raises ValueError, LookupError, struct.error."""
    numbers: dict[str, int] = {}
    header, names, at = b"", [], 0
    while body[at:].strip():
        match = _PART.match(body, at)
        if not match:
            raise ValueError(body[at:])
        name, number = match.groups()
        at = match.end()
        if number is not None:
            numbers[name] = int(number)
            continue
        depth, start = 1, at
        while depth:
            depth += {"(": 1, ")": -1}.get(body[at], 0)
            at += 1
        header += _PARSERS[name](body[start:at - 1])
        names.append(name)
    if names[0] != "eth" or names[2:] not in _STACKS[numbers["type"]] or (
            numbers["size"] != len(header)):
        raise ValueError(body)
    return numbers["type"], header


_STACKS: dict[int, tuple[list[str], ...]] = {
    Tunnel.GRE: (["gre"],), Tunnel.IP6GRE: (["gre"],), Tunnel.VXLAN: (["udp", "vxlan"],),
    Tunnel.GENEVE: (["udp", "geneve"],), Tunnel.ERSPAN: (["erspan"],),
    Tunnel.IP6ERSPAN: (["erspan"],), Tunnel.GTPU: (["udp", "gtpu"],),
    Tunnel.BAREUDP: (["udp"],), Tunnel.SRV6: (["srv6"],),
}


def _numbers(body: str) -> dict[str, int]:
    return {key: parse_int(value) if value else 1 for key, value in parse_pairs(body).items()}


def _parse_eth(body: str) -> bytes:
    pairs = parse_pairs(body)
    return _ETHERNET.pack(parse_mac(pairs["dst"]).to_bytes(6, "big"),
                          parse_mac(pairs["src"]).to_bytes(6, "big"), parse_int(pairs["dl_type"]))


def _parse_ipv4(body: str) -> bytes:
    pairs = parse_pairs(body)
    return _IP.pack(0x45, parse_int(pairs["tos"]), 0, 0, parse_int(pairs["frag"]),
                    parse_int(pairs["ttl"]), parse_int(pairs["proto"]), 0,
                    parse_ip(pairs["src"]).to_bytes(4, "big"),
                    parse_ip(pairs["dst"]).to_bytes(4, "big"))


def _parse_ipv6(body: str) -> bytes:
    pairs = parse_pairs(body)
    first = 6 << 28 | parse_int(pairs["tclass"]) << 20 | parse_int(pairs["label"])
    return _IP6.pack(first, 0, parse_int(pairs["proto"]), parse_int(pairs["hlimit"]),
                     parse_ip6(pairs["src"]).to_bytes(16, "big"),
                     parse_ip6(pairs["dst"]).to_bytes(16, "big"))


def _parse_udp(body: str) -> bytes:
    numbers = _numbers(body)
    return _UDP.pack(numbers["src"], numbers["dst"], 0, numbers["csum"])


def _parse_vxlan(body: str) -> bytes:
    numbers = _numbers(body)
    return struct.pack("!II", numbers["flags"], numbers["vni"] << 8)


def _parse_geneve(body: str) -> bytes:
    options = re.search(r",?\s*options\((.*)\)", body)
    data = b""
    if options:
        body = body[:options.start()] + body[options.end():]
        data = b"".join(option.pack() for option in parse_options(options[1])[0])
    numbers = _numbers(body)
    flags = _OAM * ("oam" in numbers) | _CRITICAL * ("crit" in numbers)
    return struct.pack("!BBHI", len(data) // 4, flags, _TRANSPARENT, numbers["vni"] << 8) + data


def _parse_gre(body: str) -> bytes:
    head = re.match(r"\(([^)]*)\)", body)
    if not head:
        raise ValueError(body)
    numbers = _numbers(head[1]) | _numbers(body[head.end():])
    flags, data = numbers["flags"], struct.pack("!HH", numbers["flags"], numbers["proto"])
    if flags & _GRE_CSUM:
        data += struct.pack("!HH", numbers["csum"], 0)
    for name, bit in (("key", _GRE_KEY), ("seq", _GRE_SEQ)):
        if flags & bit:
            data += struct.pack("!I", numbers[name])
    return data


def _parse_erspan(body: str) -> bytes:
    numbers = _numbers(body)
    version = numbers["ver"]
    data = struct.pack("!HHII", _GRE_SEQ, _ERSPAN_PROTO[version], 0,
                       version << 28 | numbers["sid"])
    if version == 1:
        return data + struct.pack("!I", numbers["idx"])
    return data + struct.pack("!IHH", 0, 0, numbers["hwid"] << 4 | numbers["dir"] << 3)


def _parse_gtpu(body: str) -> bytes:
    numbers = _numbers(body)
    return struct.pack("!BBHI", numbers["flags"], numbers["msgtype"], 0, numbers["teid"])


def _parse_srv6(body: str) -> bytes:
    match = re.fullmatch(r"segments_left=(\d+),\s*segs\(([^)]*)\)", body)
    if not match:
        raise ValueError(body)
    segments = [parse_ip6(word.strip()).to_bytes(16, "big") for word in match[2].split(",")]
    return struct.pack("!BBBBBBH", 0, 2 * len(segments), _SEGMENT_ROUTING, int(match[1]),
                       len(segments) - 1, 0, 0) + b"".join(reversed(segments))


_PARSERS: dict[str, Callable[[str], bytes]] = {
    "eth": _parse_eth, "ipv4": _parse_ipv4, "ipv6": _parse_ipv6, "udp": _parse_udp,
    "vxlan": _parse_vxlan, "geneve": _parse_geneve, "gre": _parse_gre, "erspan": _parse_erspan,
    "gtpu": _parse_gtpu, "srv6": _parse_srv6,
}
