"""Packets as text: the fields of a frame, found by a small parser in Python.

`parse_packet` finds the match fields of a frame as the datapath's parser does, slowly and without
the compiled library; `format_packet` is the line that packet-ins show.  Used by the texts of
messages and by ovs-ofctl.  Pure.
"""

import struct
from dataclasses import dataclass, field

from vswitchd.openflow.text import format_flow

_VLAN = (0x8100, 0x88A8)
_MPLS = (0x8847, 0x8848)
_FRAG_ANY, _FRAG_LATER = 1, 2


@dataclass(slots=True)
class Parsed:
    """What was found: {field: value} under the keys of a match, and the transport header."""

    fields: dict[str, int] = field(default_factory=dict)
    transport: bytes = b""

    def put(self, **values: int) -> None:
        self.fields.update(values)


def parse_packet(data: bytes, packet_type: int = 0) -> Parsed:
    """Parses a frame of Ethernet (packet_type 0) or a packet of (1, ethertype)."""
    out = Parsed()
    if packet_type == 0:
        _parse_ethernet(data, out)
    else:
        out.put(packet_type=packet_type)
        _parse_network(data, packet_type & 0xFFFF, out)
    return out


def _parse_ethernet(data: bytes, out: Parsed) -> None:
    out.put(packet_type=0, eth_dst=0, eth_src=0, vlan_tci=0, eth_type=0)
    if len(data) < 14:
        return
    out.put(eth_dst=int.from_bytes(data[0:6], "big"), eth_src=int.from_bytes(data[6:12], "big"))
    at, tags = 12, []
    kind = int.from_bytes(data[at:at + 2], "big")
    while kind in _VLAN and len(tags) < 2 and len(data) >= at + 6:
        tags.append(int.from_bytes(data[at + 2:at + 4], "big") | 0x1000)
        at += 4
        kind = int.from_bytes(data[at:at + 2], "big")
    for name, tag in zip(("vlan_tci", "vlan1_tci"), tags):
        out.fields[name] = tag
    at += 2
    if kind < 0x600:
        llc = data[at:at + 8]
        kind = 0x05FF
        if (llc[:6] == b"\xaa\xaa\x03\0\0\0" and len(llc) == 8
                and int.from_bytes(llc[6:], "big") >= 0x600):
            kind, at = int.from_bytes(llc[6:8], "big"), at + 8
    out.put(eth_type=kind)
    _parse_network(data[at:], kind, out)


def _parse_network(data: bytes, kind: int, out: Parsed) -> None:
    out.put(eth_type=kind)
    if kind in _MPLS:
        _parse_mpls(data, out)
    elif kind == 0x0800:
        _parse_ipv4(data, out)
    elif kind == 0x86DD:
        _parse_ipv6(data, out)
    elif kind in (0x0806, 0x8035):
        _parse_arp(data, out)
    elif kind == 0x894F:
        _parse_nsh(data, out)


def _parse_mpls(data: bytes, out: Parsed) -> None:
    words = []
    for at in range(0, len(data) - 3, 4):
        words.append(int.from_bytes(data[at:at + 4], "big"))
        if words[-1] & 0x100 or len(words) == 3:
            break
    if words:
        out.put(mpls_label=words[0] >> 12, mpls_tc=words[0] >> 9 & 7, mpls_bos=words[0] >> 8 & 1,
                mpls_ttl=words[0] & 0xFF)
    for name, word in zip(("mpls_lse1", "mpls_lse2"), words[1:]):
        out.fields[name] = word


def _parse_nsh(data: bytes, out: Parsed) -> None:
    if len(data) < 8:
        return
    first, mdtype, np, path = struct.unpack_from("!HBBI", data)
    size = (first & 0x3f) * 4
    if first >> 14 or not 8 <= size <= len(data) or mdtype == 1 and size != 24:
        return
    out.put(nsh_flags=first >> 12 & 3, nsh_ttl=first >> 6 & 0x3f, nsh_mdtype=mdtype, nsh_np=np,
            nsh_spi=path >> 8, nsh_si=path & 0xff)
    if mdtype == 1:
        for number, word in enumerate(struct.unpack_from("!4I", data, 8), 1):
            out.fields[f"nsh_c{number}"] = word


def _parse_arp(data: bytes, out: Parsed) -> None:
    out.put(ip_src=0, ip_dst=0, nw_proto=0, arp_sha=0, arp_tha=0)
    if len(data) < 28 or data[:6] != b"\0\x01\x08\0\x06\x04":
        return
    operation = int.from_bytes(data[6:8], "big")
    out.put(nw_proto=operation if operation <= 0xFF else 0,
            arp_sha=int.from_bytes(data[8:14], "big"), ip_src=int.from_bytes(data[14:18], "big"),
            arp_tha=int.from_bytes(data[18:24], "big"), ip_dst=int.from_bytes(data[24:28], "big"))


def _parse_ipv4(data: bytes, out: Parsed) -> None:
    out.put(ip_src=0, ip_dst=0, nw_proto=0, nw_tos=0, nw_ttl=0, ip_frag=0)
    if len(data) < 20:
        return
    head = (data[0] & 15) * 4
    total = int.from_bytes(data[2:4], "big")
    if head < 20 or head > total or total > len(data):
        return
    fragment = int.from_bytes(data[6:8], "big")
    flags = 0
    if fragment & 0x3FFF:
        flags = _FRAG_ANY | (_FRAG_LATER if fragment & 0x1FFF else 0)
    out.put(nw_tos=data[1], nw_ttl=data[8], nw_proto=data[9], ip_frag=flags,
            ip_src=int.from_bytes(data[12:16], "big"), ip_dst=int.from_bytes(data[16:20], "big"))
    if flags & _FRAG_LATER:
        # Not a header, but what the checksum is read from.
        if len(data[head:total]) >= _LEAST.get(data[9], 8):
            out.transport = data[head:total]
        return
    _parse_transport(data[head:total], data[9], False, out)


def _parse_ipv6(data: bytes, out: Parsed) -> None:
    out.put(ipv6_src=0, ipv6_dst=0, ipv6_label=0, nw_proto=0, nw_tos=0, nw_ttl=0, ip_frag=0)
    if len(data) < 40:
        return
    first, size, proto, ttl = struct.unpack_from("!IHBB", data)
    if size > len(data) - 40:
        return
    out.put(ipv6_src=int.from_bytes(data[8:24], "big"), ipv6_dst=int.from_bytes(data[24:40], "big"))
    rest = {"ipv6_label": first & 0xFFFFF, "nw_tos": first >> 20 & 0xFF, "nw_ttl": ttl}
    data, flags = data[40:40 + size], 0
    while proto in (0, 43, 44, 51, 60):
        if len(data) < 8:
            return
        length = (data[1] + 1) * 8
        if proto == 51:
            length = (data[1] + 2) * 4
        elif proto == 44:
            length = 8
            offset = int.from_bytes(data[2:4], "big")
            if offset:
                flags = _FRAG_ANY | (_FRAG_LATER if offset & 0xFFF8 else 0)
        if len(data) < length:
            return
        is_later = flags & _FRAG_LATER
        proto, data = 44 if is_later else data[0], data[length:]
        if is_later:
            break
    out.put(**rest, nw_proto=proto, ip_frag=flags)
    if not flags & _FRAG_LATER:
        _parse_transport(data, proto, True, out)


_LEAST = {6: 20, 17: 8, 132: 12}
"""Size of the headers of TCP, UDP and SCTP."""


def _parse_transport(data: bytes, proto: int, ipv6: bool, out: Parsed) -> None:
    if proto in _LEAST:
        out.put(tcp_src=0, tcp_dst=0)
        if proto == 6:
            out.put(tcp_flags=0)
        if len(data) >= _LEAST[proto]:
            out.transport = data
            if proto == 6:
                if not 20 <= (data[12] >> 4) * 4 <= len(data):
                    return                       # the header says that it is longer than that
                out.put(tcp_flags=int.from_bytes(data[12:14], "big") & 0xFFF)
            source, target = struct.unpack_from("!HH", data)
            out.put(tcp_src=source, tcp_dst=target)
    elif proto == 2:
        out.put(tcp_src=0, tcp_dst=0)
        if len(data) >= 8:
            out.put(tcp_src=data[0], tcp_dst=data[1])
    elif proto in (1, 58):
        out.put(tcp_src=0, tcp_dst=0)
        if proto == 58 and len(data) >= 4:
            out.transport = data
        if len(data) >= 8:
            out.put(tcp_src=data[0], tcp_dst=data[1])
            out.transport = data
            if (proto == 58 and data[0] in (135, 136) and data[1] == 0
                    and len(data) >= 24):
                _parse_neighbor(data, out)


def _parse_neighbor(data: bytes, out: Parsed) -> None:
    out.put(nd_target=int.from_bytes(data[8:24], "big"), arp_sha=0, arp_tha=0)
    at = 24
    while len(data) - at >= 8:
        kind, size = data[at], data[at + 1] * 8
        if size == 0 or size > len(data) - at:
            return
        name = {1: "arp_sha", 2: "arp_tha"}.get(kind)
        if name and size == 8:
            if out.fields[name]:                # twice the same option
                out.put(nd_target=0, arp_sha=0, arp_tha=0)
                return
            out.fields[name] = int.from_bytes(data[at + 2:at + 8], "big")
        at += size


def format_packet(data: bytes, packet_type: int = 0) -> str:
    """The fields and the transport checksum of a packet, one line."""
    parsed = parse_packet(data, packet_type)
    text = format_flow(parsed.fields)
    proto, transport = parsed.fields.get("nw_proto"), parsed.transport
    ip = parsed.fields.get("eth_type") in (0x0800, 0x86DD)
    if transport and ip:
        if proto == 6:
            text += f" tcp_csum:{int.from_bytes(transport[16:18], 'big'):x}"
        elif proto == 17:
            text += f" udp_csum:{int.from_bytes(transport[6:8], 'big'):x}"
        elif proto == 132:
            text += f" sctp_csum:{int.from_bytes(transport[8:12], 'big'):x}"
        elif proto == 1:
            text += f" icmp_csum:{int.from_bytes(transport[2:4], 'big'):x}"
        elif proto == 58:
            text += f" icmp6_csum:{int.from_bytes(transport[2:4], 'big'):x}"
    return text + "\n"
