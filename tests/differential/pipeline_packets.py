"""Packets of random pipeline cases: frames of many shapes, and the fields that they have.

`make_packet(rng)` returns a `Packet`: its bytes, the flow text that says the same where there is
one, and its fields, of which `pipeline_cases.py` makes matches and actions.
"""

import random
import struct
from dataclasses import dataclass, field

from tests.datapath.frames import fill_checksums

PORTS = (1, 2, 3, 4, 5)         # of br0; 9 is the patch port to br1
MACS = ("50:54:00:00:00:01", "50:54:00:00:00:02", "50:54:00:00:00:03", "01:00:5e:00:00:07",
        "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:00", "a2:54:00:00:00:05")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.1.9", "192.168.1.1", "224.0.0.5", "1.2.3.4")
ADDRESSES6 = ("fe80::1", "fe80::2", "2001:db8::1", "2001:db8::77", "ff02::1", "fd00:1:2:3:4:5:6:7")
L4 = (80, 443, 53, 1000, 8, 0xfffe)


@dataclass(frozen=True)
class Field:
    """A field that the packet has: the name in matches, its size, and how a value is written."""

    name: str
    bits: int
    value: int
    style: str = "dec"          # dec, hex, mac, ip, ip6, flags, state
    masks: bool = True          # whether the reference takes masks
    sets: bool = True           # whether it can be set
    needs: str = ""             # what the match has to say besides


@dataclass
class Packet:
    """What a packet is: its fields, the words of a match that it needs, and its bytes."""

    in_port: int
    protocol: str
    fields: list[Field] = field(default_factory=list)
    flow: list[str] = field(default_factory=list)
    frame: bytes = b""


def show(style: str, value: int, bits: int) -> str:
    if style == "mac":
        return ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))
    if style == "ip":
        return ".".join(map(str, value.to_bytes(4, "big")))
    if style == "ip6":
        raw = value.to_bytes(16, "big").hex()
        return ":".join(raw[at:at + 4] for at in range(0, 32, 4))
    return hex(value) if style == "hex" else str(value)


def number(text: str) -> int:
    if ":" in text and text.count(":") == 5 and "::" not in text and len(text) == 17:
        return int(text.replace(":", ""), 16)
    if "." in text:
        return int.from_bytes(bytes(map(int, text.split("."))), "big")
    head, _, tail = text.partition("::")
    if "::" not in text:
        parts = text.split(":")
    else:
        left, right = head.split(":") if head else [], tail.split(":") if tail else []
        parts = left + ["0"] * (8 - len(left) - len(right)) + right
    return int("".join(part.zfill(4) for part in parts), 16)


_KINDS = {"tcp": 9, "udp": 6, "icmp": 3, "sctp": 2, "ip": 2, "tcp6": 5, "udp6": 3, "sctp6": 1,
          "icmp6": 2, "nd": 3, "ipv6": 1, "arp": 4, "rarp": 1, "mpls": 4, "nsh": 3, "raw": 1,
          "frag": 2, "frag6": 2, "igmp": 1, "extended6": 2, "snap": 1, "llc": 1}
RESERVED = ("01:80:c2:00:00:00", "01:80:c2:00:00:0e", "01:80:c2:00:00:03", "01:00:0c:cc:cc:cc")


def make_packet(rng: random.Random, kinds: dict[str, int] = _KINDS) -> Packet:
    """A packet."""
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    packet = Packet(rng.choice((*PORTS, 9)) if rng.random() < 0.5 else 1, kind)
    add = packet.fields.append
    add(Field("in_port", 16, packet.in_port, masks=False))
    src, dst = rng.choice(MACS[:3]), rng.choice(MACS)
    if kind == "llc" or rng.random() < 0.03:
        dst = rng.choice(RESERVED)
    add(Field("dl_src", 48, number(src), "mac"))
    add(Field("dl_dst", 48, number(dst), "mac"))
    flow = [f"in_port={packet.in_port}", f"dl_src={src}", f"dl_dst={dst}"]
    tags = []
    if rng.random() < 0.3 and kind != "llc":
        tags.append((0x8100 if rng.random() < 0.8 else 0x88a8,
                     rng.choice((0, 10, 20, 30, 4095, 100)) | rng.choice((0, 0, 3, 7)) << 13 | 0x1000))
        if rng.random() < 0.3:
            tags.append((0x8100, rng.choice((10, 5)) | 0x1000))
        vid, pcp = tags[0][1] & 0xfff, tags[0][1] >> 13
        flow += [f"dl_vlan={vid}", f"dl_vlan_pcp={pcp}"]
        add(Field("vlan_vid", 13, vid | 0x1000, "hex"))
        add(Field("dl_vlan", 12, vid, masks=False))
        add(Field("dl_vlan_pcp", 3, pcp, masks=False, needs=f"dl_vlan={vid}"))
        add(Field("vlan_tci", 16, tags[0][1], "hex"))
    else:
        add(Field("vlan_tci", 16, 0, "hex"))
        if rng.random() < 0.3:
            add(Field("dl_vlan", 12, 0xffff, masks=False, sets=False))
    body, eth_type = _payload(rng, kind, packet, flow)
    if kind in ("raw", "llc"):
        flow.append(f"dl_type=0x{eth_type:04x}")
        add(Field("dl_type", 16, eth_type, "hex", False, False))
    _add_metadata(rng, packet, flow)
    packet.flow = flow
    head = bytes.fromhex((dst + src).replace(":", ""))
    tagged = b"".join(struct.pack("!HH", kind, tci & 0xefff) for kind, tci in tags)
    if kind == "llc":
        body = struct.pack("!H", len(body)) + body
    elif kind == "snap":
        body = struct.pack("!H", len(body) + 8) + bytes.fromhex("aaaa03000000") + struct.pack(
            "!H", eth_type) + body
    else:
        body = struct.pack("!H", eth_type) + body
    frame = head + tagged + body
    frame += bytes(max(0, 60 - len(frame)))
    try:
        packet.frame = fill_checksums(frame)
    except (struct.error, IndexError):
        packet.frame = frame
    if rng.random() < 0.06:
        packet.frame = damage(rng, packet.frame)
    return packet


def damage(rng: random.Random, frame: bytes) -> bytes:
    """A frame cut off, or with a byte of its headers changed."""
    if rng.random() < 0.5:
        return frame[:max(14, rng.randrange(14, min(len(frame), 90)))]
    at = rng.randrange(12, min(len(frame), 60))
    return frame[:at] + bytes([frame[at] ^ 1 << rng.randrange(8)]) + frame[at + 1:]


def _add_metadata(rng: random.Random, packet: Packet, flow: list[str]) -> None:
    add = packet.fields.append
    for row in (("reg0", 32), ("reg1", 32), ("metadata", 64), ("pkt_mark", 32), ("tun_id", 64),
                ("xreg1", 64), ("xxreg1", 128), ("reg15", 32)):
        if rng.random() < 0.15:
            value = rng.choice((1, 5, 0x1234, 0xff00))
            flow.append(f"{row[0]}={hex(value)}")
            add(Field(*row, value, "hex"))
        else:
            add(Field(*row, 0, "hex"))
    if rng.random() < 0.15:
        names = rng.choice((("tun_src", "tun_dst"), ("tun_ipv6_src", "tun_ipv6_dst")))
        for name in names:
            six = "6" in name
            value = rng.choice(ADDRESSES6 if six else ADDRESSES)
            flow.append(f"{name}={value}")
            add(Field(name, 128 if six else 32, number(value), "ip6" if six else "ip"))
        for name, bits, value, masks in (
                ("tun_ttl", 8, 64, False), ("tun_tos", 8, rng.choice((0, 3, 0x10)), False),
                ("tun_gbp_id", 16, 7, True), ("tun_gbp_flags", 8, 0x48, True)):
            if rng.random() < 0.3:
                flow.append(f"{name}={value}")
                add(Field(name, bits, value, "hex" if masks else "dec", masks, masks))
        if rng.random() < 0.3:
            flow.append(f"tun_flags={rng.choice(('oam', '0'))}")
        for name, bits in (("tun_metadata0", 32), ("tun_metadata1", 64)):
            if rng.random() < 0.3:
                flow.append(f"{name}=0x12345")
                add(Field(name, bits, 0x12345, "hex"))
            elif rng.random() < 0.5:
                add(Field(name, bits, 0, "hex"))
    if rng.random() < 0.1:
        state, bits = rng.choice((("trk|est", 0x22), ("trk|new", 0x21), ("trk|est|rpl|dnat", 0xaa),
                                  ("trk|inv", 0x30)))
        flow.append(f"ct_state={state},ct_zone=5,ct_mark=0x7,ct_label=0x9")
        add(Field("ct_state", 32, bits, "hex", sets=False))
        add(Field("ct_mark", 32, 7, "hex", sets=False))
        add(Field("ct_label", 128, 9, "hex", sets=False))
        add(Field("ct_zone", 16, 5, "hex", False, False))


def _payload(rng: random.Random, kind: str, packet: Packet, flow: list[str]) -> tuple[bytes, int]:
    add = packet.fields.append
    if kind == "raw":
        return bytes(rng.randrange(256) for _ in range(50)), rng.choice((0x88cc, 0x1234, 0x8809, 0x9000))
    if kind == "llc":
        return bytes.fromhex("424203000000000080000000000000010000000080000000000000018001"), 0x5ff
    if kind in ("arp", "rarp"):
        op = rng.choice((1, 1, 2, 3 if kind == "rarp" else 1))
        spa, tpa = rng.choice(ADDRESSES), rng.choice(ADDRESSES)
        sha, tha = rng.choice(MACS[:3]), rng.choice((*MACS[:2], "00:00:00:00:00:00"))
        flow += [kind, f"arp_spa={spa}", f"arp_tpa={tpa}", f"arp_op={op}", f"arp_sha={sha}",
                 f"arp_tha={tha}"]
        add(Field("arp_spa", 32, number(spa), "ip", needs=kind))
        add(Field("arp_tpa", 32, number(tpa), "ip", needs=kind))
        add(Field("arp_op", 16, op, masks=False, needs=kind))
        add(Field("arp_sha", 48, number(sha), "mac", needs=kind))
        add(Field("arp_tha", 48, number(tha), "mac", needs=kind))
        return (struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + bytes.fromhex(sha.replace(":", ""))
                + number(spa).to_bytes(4, "big") + bytes.fromhex(tha.replace(":", ""))
                + number(tpa).to_bytes(4, "big"), 0x806 if kind == "arp" else 0x8035)
    if kind == "mpls":
        labels = []
        for index in range(count := rng.choice((1, 1, 2, 3, 4))):
            labels.append((rng.choice((3, 16, 77, 0xfffff)), rng.choice((0, 3, 7)),
                           int(index == count - 1), rng.choice((64, 1, 2, 0))))
        label, tc, bos, ttl = labels[0]
        flow += ["mpls", f"mpls_label={label}", f"mpls_tc={tc}", f"mpls_bos={bos}", f"mpls_ttl={ttl}"]
        for name, bits, value in (("mpls_label", 20, label), ("mpls_tc", 3, tc), ("mpls_ttl", 8, ttl)):
            add(Field(name, bits, value, masks=False, needs="mpls"))
        add(Field("mpls_bos", 1, bos, masks=False, sets=False, needs="mpls"))
        inner, _ = _payload(rng, rng.choice(("tcp", "udp")), Packet(1, ""), [])
        return b"".join(struct.pack("!I", a << 12 | b << 9 | c << 8 | d)
                        for a, b, c, d in labels) + inner, 0x8847
    if kind == "nsh":
        spi, si, ttl, c1 = rng.choice((1, 0x1234)), rng.choice((255, 1, 7)), rng.choice((63, 1, 2)), 0x11223344
        np = rng.choice((1, 3, 3))
        flow += ["dl_type=0x894f", "nsh_mdtype=1", f"nsh_np={np}", f"nsh_spi={hex(spi)}", f"nsh_si={si}",
                 f"nsh_ttl={ttl}", f"nsh_c1={hex(c1)}"]
        for name, bits, value, masks, sets in (
                ("nsh_spi", 24, spi, True, True), ("nsh_si", 8, si, True, True), ("nsh_ttl", 8, ttl, True, True),
                ("nsh_c1", 32, c1, True, True), ("nsh_c4", 32, 0, True, True), ("nsh_flags", 8, 0, True, True),
                ("nsh_np", 8, np, False, False), ("nsh_mdtype", 8, 1, False, False)):
            needs = "dl_type=0x894f" + (",nsh_mdtype=1" if name.startswith("nsh_c") else "")
            add(Field(name, bits, value, "hex" if bits > 8 else "dec", masks, sets, needs))
        inner, _ = _payload(rng, rng.choice(("tcp", "udp")), Packet(1, ""), [])
        if np == 3:
            inner = bytes.fromhex("505400000007505400000005") + b"\x08\x00" + inner
        return struct.pack("!HBBII", ttl << 6 | 6, 1, np, spi << 8 | si, c1) + bytes(12) + inner, 0x894f
    return _ip(rng, kind, packet, flow)


_PROTOCOLS = {"nd": "icmp6", "frag": "udp", "frag6": "udp6", "extended6": "tcp6", "snap": "tcp"}


def _ip(rng: random.Random, kind: str, packet: Packet, flow: list[str]) -> tuple[bytes, int]:
    add = packet.fields.append
    v6 = kind.endswith("6") or kind in ("nd", "ipv6")
    base = "ipv6" if v6 else "ip"
    protocol = _PROTOCOLS.get(kind, kind)
    proto = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 58 if v6 else 1, "igmp": 2}.get(
        protocol.rstrip("6"), rng.choice((47, 47, 50, 51, 59, 4)))
    src, dst = (rng.choice(ADDRESSES6 if v6 else ADDRESSES) for _ in range(2))
    tos, ttl = rng.choice((0, 0, 0x10, 0xb9, 3, 2)), rng.choice((64, 64, 255, 1, 2, 0))
    names = ("ipv6_src", "ipv6_dst") if v6 else ("nw_src", "nw_dst")
    bits, style = (128, "ip6") if v6 else (32, "ip")
    flow.append(protocol if kind not in ("ip", "ipv6", "igmp") else f"{base},nw_proto={proto}")
    for name, value in zip(names, (src, dst), strict=True):
        flow.append(f"{name}={value}")
        add(Field(name, bits, number(value), style, needs=base))
    flow += [f"nw_tos={tos & 0xfc}", f"nw_ecn={tos & 3}", f"nw_ttl={ttl}"]
    add(Field("nw_tos", 8, tos & 0xfc, masks=False, needs=base))
    add(Field("nw_ecn", 2, tos & 3, masks=False, needs=base))
    add(Field("nw_ttl", 8, ttl, masks=False, needs=base))
    label = 0
    if v6:
        label = rng.choice((0, 5, 0x12345))
        flow.append(f"ipv6_label={hex(label)}")
        add(Field("ipv6_label", 20, label, "hex", needs=base))
    if kind in ("ip", "ipv6", "igmp"):
        add(Field("nw_proto", 8, proto, masks=False, sets=False, needs=base))
    frag = 0
    if kind.startswith("frag"):
        frag = rng.choice((0x2000, 0x2001, 0x0005))
        shown = "first" if frag == 0x2000 else "later"
        flow.append(f"nw_frag={shown}")
    add(Field("nw_frag", 2, rng.choice((0, 1, 3)), "frag", sets=False, needs=base))
    sport, dport = rng.choice(L4), rng.choice(L4)
    payload = bytes(range(rng.choice((0, 7, 40, 200))))
    if proto in (6, 17, 132):
        if frag & 0xfff == 0:
            name = protocol.rstrip("6")
            flow += [f"{name}_src={sport}", f"{name}_dst={dport}"]
            add(Field("tp_src", 16, sport, needs=protocol))
            add(Field("tp_dst", 16, dport, needs=protocol))
        if proto == 6:
            flags = rng.choice((2, 0x10, 0x12, 0x11, 4, 0))
            flow.append(f"tcp_flags={hex(flags)}")
            add(Field("tcp_flags", 12, flags, "hex", sets=False, needs=protocol))
            body = struct.pack("!HHIIHHHH", sport, dport, 1, 2, 0x5000 | flags, 1024, 0, 0) + payload
        elif proto == 17:
            body = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
        else:
            body = struct.pack("!HHII", sport, dport, 1, 0) + b"\1\0\0\4" + payload
    elif kind == "nd":
        body = _neighbor(rng, packet, flow)
    elif proto in (1, 58):
        type_, code = rng.choice((8, 0, 3, 11, 128, 130, 131, 143)), rng.choice((0, 0, 1, 3))
        if type_ in (3, 11):            # what it is about
            payload = struct.pack("!BBHHHBBH", 0x45, 0, 48, 1, 0, 9, 17, 0) + bytes(range(28))
        prefix = "icmpv6" if v6 else "icmp"
        flow += [f"{prefix}_type={type_}", f"{prefix}_code={code}"]
        add(Field(f"{prefix}_type", 8, type_, masks=False, needs=protocol))
        add(Field(f"{prefix}_code", 8, code, masks=False, needs=protocol))
        body = struct.pack("!BBHHH", type_, code, 0, 1, 2) + payload
    else:
        body = payload
    if v6:
        if kind == "frag6":
            body = struct.pack("!BBHI", proto, 0, (frag & 0x1fff) << 3 | frag >> 13, 7) + body
            proto = 44
        elif kind == "extended6":
            for header in rng.sample((0, 43, 60, 51), rng.choice((1, 1, 2))):
                body = bytes((proto, 1 if header != 51 else 2)) + bytes(14) + body
                proto = header
        return struct.pack("!IHBB", 6 << 28 | tos << 20 | label, len(body), proto, ttl) + b"".join(
            number(text).to_bytes(16, "big") for text in (src, dst)) + body, 0x86dd
    return struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(body), 1, frag, ttl, proto, 0) + b"".join(
        number(text).to_bytes(4, "big") for text in (src, dst)) + body, 0x800


def _neighbor(rng: random.Random, packet: Packet, flow: list[str]) -> bytes:
    type_ = rng.choice((135, 136))
    target, mac = rng.choice(ADDRESSES6), rng.choice(MACS[:3])
    needs = f"icmp6,icmp_type={type_},icmp_code=0"
    packet.fields.append(Field("icmpv6_type", 8, type_, masks=False, needs="icmp6"))
    packet.fields.append(Field("nd_target", 128, number(target), "ip6", needs=needs))
    name = "nd_sll" if type_ == 135 else "nd_tll"
    packet.fields.append(Field(name, 48, number(mac), "mac", needs=needs))
    flow += [f"icmpv6_type={type_},icmpv6_code=0", f"nd_target={target}", f"{name}={mac}"]
    return (struct.pack("!BBHI", type_, 0, 0, 0) + number(target).to_bytes(16, "big")
            + bytes((1 if type_ == 135 else 2, 1)) + bytes.fromhex(mac.replace(":", "")))
