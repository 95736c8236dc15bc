"""Frames made of fields, in Python: what `ovs-ofctl compose-packet` prints.

The opposite of `packet_text.parse_packet`; the datapath has its own in C.  Pure.
"""

import struct
from collections.abc import Mapping

_FILL = bytes(range(64))
_VLAN_PRESENT = 0x1000


def compose_packet(fields: Mapping[str, int], payload: bytes | None = None,
                   bad_checksum: bool = False) -> bytes:
    """Builds the frame of a flow.

    fields: {key of a match: value}.  payload: what follows the transport header, None for 64
    counting bytes.  bad_checksum: checksums of layers 3 and 4 are wrong on purpose.
    """
    get = fields.get
    kind = get("eth_type", 0)
    head = get("eth_dst", 0).to_bytes(6, "big") + get("eth_src", 0).to_bytes(6, "big")
    tci = get("vlan_tci", 0)
    if tci & _VLAN_PRESENT:
        head += struct.pack("!HH", 0x8100, tci & ~_VLAN_PRESENT)
    head += struct.pack("!H", kind)
    if kind == 0x0800:
        return head + _compose_ipv4(fields, payload, bad_checksum)
    if kind == 0x86DD:
        return head + _compose_ipv6(fields, payload, bad_checksum)
    if kind in (0x0806, 0x8035):
        return head + _compose_arp(fields)
    if kind in (0x8847, 0x8848):
        word = (get("mpls_label", 0) << 12 | get("mpls_tc", 0) << 9 | get("mpls_bos", 0) << 8
                | get("mpls_ttl", 0))
        return head + struct.pack("!I", word)
    return head


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _seal(data: bytes, at: int, pseudo: bytes, bad: bool, zero_is_none: bool = False) -> bytes:
    """`data` with its checksum at offset `at`."""
    value = checksum(pseudo + data)
    if zero_is_none and value == 0:
        value = 0xFFFF
    if bad:
        value = (value + 0x1234) & 0xFFFF
    return data[:at] + value.to_bytes(2, "big") + data[at + 2:]


def _compose_arp(fields: Mapping[str, int]) -> bytes:
    get = fields.get
    if get("nw_proto", 0) not in (1, 2):
        # Neither request nor reply: nobody knows what the addresses would be.
        get = {"nw_proto": get("nw_proto", 0)}.get
    return (b"\0\x01\x08\0\x06\x04" + struct.pack("!H", get("nw_proto", 0))
            + get("arp_sha", 0).to_bytes(6, "big") + get("ip_src", 0).to_bytes(4, "big")
            + get("arp_tha", 0).to_bytes(6, "big") + get("ip_dst", 0).to_bytes(4, "big"))


def _compose_ipv4(fields: Mapping[str, int], payload: bytes | None, bad: bool) -> bytes:
    get = fields.get
    fragment = get("ip_frag", 0)
    offset = 0x2064 if fragment & 2 else 0x2000 if fragment & 1 else 0
    addresses = get("ip_src", 0).to_bytes(4, "big") + get("ip_dst", 0).to_bytes(4, "big")
    proto = get("nw_proto", 0)
    body = b"" if fragment & 2 else _compose_transport(fields, proto, payload, bad,
                                                       addresses + bytes([0, proto]), False)
    head = struct.pack("!BBHHHBBH", 0x45, get("nw_tos", 0), 20 + len(body), 0, offset,
                       get("nw_ttl", 0), proto, 0) + addresses
    return _seal(head, 10, b"", bad) + body


def _compose_ipv6(fields: Mapping[str, int], payload: bytes | None, bad: bool) -> bytes:
    get = fields.get
    addresses = get("ipv6_src", 0).to_bytes(16, "big") + get("ipv6_dst", 0).to_bytes(16, "big")
    proto = get("nw_proto", 0)
    body = _compose_transport(fields, proto, payload, bad, addresses + bytes([0, proto]), True)
    head = struct.pack("!IHBB", 6 << 28 | get("nw_tos", 0) << 20 | get("ipv6_label", 0),
                       len(body), proto, get("nw_ttl", 0))
    return head + addresses + body


def _compose_transport(fields: Mapping[str, int], proto: int, payload: bytes | None, bad: bool,
                       pseudo: bytes, ipv6: bool) -> bytes:
    """The transport header and payload; the checksum covers `pseudo` and the length."""
    get = fields.get
    source, target = get("tcp_src", 0), get("tcp_dst", 0)
    data = _FILL if payload is None else payload

    def whole(length: int) -> bytes:
        return pseudo + struct.pack("!H", length)

    if proto == 6:
        flags = get("tcp_flags", 0)
        if flags & 0x7:
            data = b""
        body = struct.pack("!HHIIHHHH", source, target, 0, 0, 0x5000 | flags, 0, 0, 0) + data
        return _seal(body, 16, whole(len(body)), bad)
    if proto == 17:
        body = struct.pack("!HHHH", source, target, 8 + len(data), 0) + data
        return _seal(body, 6, whole(len(body)), bad, True)
    if proto == 132:
        return struct.pack("!HHII", source, target, 0, 0)
    if proto == 1 and not ipv6:
        body = struct.pack("!BBHI", source, target, 0, 0) + data
        return _seal(body, 2, b"", bad)
    if proto == 2 and not ipv6:
        return _seal(struct.pack("!BBHI", source, target, 0, 0), 2, b"", bad)
    if proto == 58 and ipv6:
        body = struct.pack("!BBHI", source, target, 0, 0)
        if source in (135, 136) and target == 0:
            body += get("nd_target", 0).to_bytes(16, "big")
            for kind, key in ((1, "arp_sha"), (2, "arp_tha")):
                if get(key):
                    body += bytes([kind, 1]) + get(key).to_bytes(6, "big")
        else:
            body += data
        return _seal(body, 2, whole(len(body)), bad)
    return b""
