"""Frames for the datapath tests, written field by field, and their checksums the naive way."""

import struct

A, B = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")
IP_A, IP_B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
IP6_A, IP6_B = bytes.fromhex("fe80" + "0" * 27 + "1"), bytes.fromhex("fe80" + "0" * 27 + "2")


def checksum(data: bytes) -> int:
    """The Internet checksum of RFC 1071, one 16-bit word after the other."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) // 2 * 2]))
    if len(data) % 2:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(payload: bytes, eth_type: int = 0x0800, tags: tuple[tuple[int, int], ...] = ()) -> bytes:
    """A frame from A to B with VLAN `tags` ((tpid, tci), ...)."""
    return (B + A + b"".join(struct.pack("!HH", *tag) for tag in tags)
            + struct.pack("!H", eth_type) + payload)


def ipv4(payload: bytes, proto: int, tos: int = 0, ttl: int = 64, frag: int = 0,
         options: bytes = b"", src: bytes = IP_A, dst: bytes = IP_B) -> bytes:
    """An IPv4 packet with a right header checksum."""
    ihl = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | ihl, tos, ihl * 4 + len(payload), 1, frag, ttl,
                       proto, 0, src, dst) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(payload: bytes, proto: int, label: int = 0, tclass: int = 0, hlimit: int = 64,
         extensions: bytes = b"", src: bytes = IP6_A, dst: bytes = IP6_B) -> bytes:
    """An IPv6 packet; `proto` is the first next-header number."""
    return struct.pack("!IHBB", 6 << 28 | tclass << 20 | label, len(extensions) + len(payload),
                       proto, hlimit) + src + dst + extensions + payload


def tcp(src: int = 1000, dst: int = 80, flags: int = 0x10, payload: bytes = b"") -> bytes:
    """A TCP segment without a checksum."""
    return struct.pack("!HHIIHHHH", src, dst, 1, 2, 0x5000 | flags, 1024, 0, 0) + payload


def udp(src: int = 1000, dst: int = 53, payload: bytes = b"") -> bytes:
    """A UDP datagram without a checksum."""
    return struct.pack("!HHHH", src, dst, 8 + len(payload), 0) + payload


def arp(operation: int = 1) -> bytes:
    """An ARP packet from A for B's address."""
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + A + IP_A + bytes(6) + IP_B


def fill_checksums(frame: bytes) -> bytes:
    """The frame with the IPv4 header and transport checksums computed anew."""
    at, eth_type = 12, struct.unpack_from("!H", frame, 12)[0]
    while eth_type in (0x8100, 0x88A8):
        at += 4
        eth_type = struct.unpack_from("!H", frame, at)[0]
    ip = at + 2
    out = bytearray(frame)
    if eth_type == 0x0800:
        size = (frame[ip] & 15) * 4
        total = struct.unpack_from("!H", frame, ip + 2)[0]
        out[ip + 10:ip + 12] = b"\0\0"
        out[ip + 10:ip + 12] = struct.pack("!H", checksum(bytes(out[ip:ip + size])))
        proto, pseudo = frame[ip + 9], frame[ip + 12:ip + 20]
        l4, end = ip + size, ip + total
    elif eth_type == 0x86DD:
        proto, pseudo = frame[ip + 6], frame[ip + 8:ip + 40]
        l4, end = ip + 40, ip + 40 + struct.unpack_from("!H", frame, ip + 4)[0]
    else:
        return frame
    pseudo += struct.pack("!II", end - l4, proto)
    field = {6: 16, 17: 6, 58: 2, 1: 2}.get(proto)
    if field is not None:
        out[l4 + field:l4 + field + 2] = b"\0\0"
        data = bytes(out[l4:end])
        value = checksum(data if proto == 1 else pseudo + data)
        if proto == 17 and not value:
            value = 0xFFFF
        out[l4 + field:l4 + field + 2] = struct.pack("!H", value)
    return bytes(out)
