"""Random cases for the whole OpenFlow pipeline: tables, groups and meters, and what is put to them.

`make_case(seed)` returns a `Case`: flows, most of which are valid and hit by the case's packets
because their matches are taken from the packets' own fields, and probes: arguments of
`ofproto/trace`, or frames to receive. Text that no OpenFlow message can say is left out while the
case is made. Everything follows from the seed. Used by `pipeline_fuzz.py`.
"""

import random
import struct
from dataclasses import dataclass, field

from tests.datapath.frames import fill_checksums
from utilities.ofctl import meters, protocol
from utilities.ofctl.flows import make_flow_mod
from utilities.ofctl.groups import parse_group_mod
from vswitchd.openflow.messages import encode
from vswitchd.openflow.text import FlowTextError, parse_flow

TABLES = 4                      # 0 to 3 hold flows; 4 is where the learned ones go
PORTS = (1, 2, 3, 4, 5)         # of br0; 9 is the patch port to br1
MACS = ("50:54:00:00:00:01", "50:54:00:00:00:02", "50:54:00:00:00:03", "01:00:5e:00:00:07",
        "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:00", "a2:54:00:00:00:05")
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.1.9", "192.168.1.1", "224.0.0.5", "1.2.3.4")
ADDRESSES6 = ("fe80::1", "fe80::2", "2001:db8::1", "2001:db8::77", "ff02::1", "fd00:1:2:3:4:5:6:7")
_FORMATS = {1: protocol.OF10_NXM_TID, 4: protocol.OF13_OXM, 6: protocol.OF15_OXM}
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


@dataclass(frozen=True)
class Probe:
    """What is put to both switches: "trace" (arguments of ofproto/trace), "packet-out" (arguments
    of ofproto/trace-packet-out) or "frame" (port, hex)."""

    kind: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Flow:
    """A flow as parts, so that each can be left out. Actions are text or (head, actions, tail)."""

    head: tuple[str, ...]
    actions: tuple

    def text(self) -> str:
        return ",".join(self.head) + " actions=" + (join(self.actions) or "drop")


@dataclass(frozen=True)
class Case:
    """`version` is the wire's; groups are (head, buckets), buckets (head, actions)."""

    version: int
    flows: tuple[Flow, ...] = ()
    flows1: tuple[Flow, ...] = ()
    groups: tuple = ()
    meters: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()


def join(actions) -> str:
    """Actions as text."""
    return ",".join(action if isinstance(action, str)
                    else f"{action[0]}{join(action[1])}{action[2]}" for action in actions)


def group_text(group) -> str:
    """A group as text."""
    head, buckets = group
    return ",".join([head, *(f"bucket={','.join(filter(None, (text, 'actions=' + (join(actions) or 'drop'))))}"
                             for text, actions in buckets)])


def encode_flow(flow: Flow, version: int, xid: int) -> bytes:
    """A flow_mod. Raises FlowTextError and ValueError for what cannot be said."""
    parsed = parse_flow(flow.text(), "add")
    chosen = _FORMATS[version]
    if not parsed.usable & chosen:
        raise ValueError("not in this version")
    return encode(make_flow_mod(parsed, chosen)[0], version, xid)


def encode_group(group, xid: int) -> bytes:
    """A group_mod of OpenFlow 1.5."""
    return encode(parse_group_mod(group_text(group), "add", None, None)[0], 6, xid)


def encode_meter(text: str, xid: int) -> bytes:
    """A meter_mod of OpenFlow 1.3."""
    return encode(meters.parse_meter_mod(text, "add"), 4, xid)


# Packets.


@dataclass
class Packet:
    """What a packet is: its fields, the words of a match that it needs, and its bytes."""

    in_port: int
    protocol: str
    fields: list[Field] = field(default_factory=list)
    flow: list[str] = field(default_factory=list)
    frame: bytes = b""


def _show(style: str, value: int, bits: int) -> str:
    if style == "mac":
        return ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))
    if style == "ip":
        return ".".join(map(str, value.to_bytes(4, "big")))
    if style == "ip6":
        raw = value.to_bytes(16, "big").hex()
        return ":".join(raw[at:at + 4] for at in range(0, 32, 4))
    return hex(value) if style == "hex" else str(value)


def _number(text: str) -> int:
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
          "icmp6": 2, "nd": 3, "ipv6": 1, "arp": 4, "rarp": 1, "mpls": 4, "nsh": 2, "raw": 1,
          "frag": 2}


def make_packet(rng: random.Random, kinds: dict[str, int] = _KINDS) -> Packet:
    """A packet."""
    kind = rng.choices(list(kinds), list(kinds.values()))[0]
    packet = Packet(rng.choice((*PORTS, 9)) if rng.random() < 0.5 else 1, kind)
    add = packet.fields.append
    add(Field("in_port", 16, packet.in_port, masks=False))
    src, dst = rng.choice(MACS[:3]), rng.choice(MACS)
    add(Field("dl_src", 48, _number(src), "mac"))
    add(Field("dl_dst", 48, _number(dst), "mac"))
    flow = [f"in_port={packet.in_port}", f"dl_src={src}", f"dl_dst={dst}"]
    tags = []
    if rng.random() < 0.3:
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
    if kind == "raw":
        flow.append(f"dl_type=0x{eth_type:04x}")
        add(Field("dl_type", 16, eth_type, "hex", False, False))
    for row in (("reg0", 32), ("reg1", 32), ("metadata", 64), ("pkt_mark", 32), ("tun_id", 64),
                ("xreg1", 64), ("xxreg1", 128), ("reg15", 32)):
        if rng.random() < 0.15:
            value = rng.choice((1, 5, 0x1234, 0xff00))
            flow.append(f"{row[0]}={hex(value)}")
            add(Field(*row, value, "hex"))
        else:
            add(Field(*row, 0, "hex"))
    if rng.random() < 0.1:
        for name in ("tun_src", "tun_dst"):
            value = rng.choice(ADDRESSES)
            flow.append(f"{name}={value}")
            add(Field(name, 32, _number(value), "ip"))
    if rng.random() < 0.1:
        flow.append("ct_state=trk|est,ct_zone=5,ct_mark=0x7,ct_label=0x9")
        add(Field("ct_state", 32, 0x22, "hex", sets=False))
        add(Field("ct_mark", 32, 7, "hex", sets=False))
        add(Field("ct_label", 128, 9, "hex", sets=False))
        add(Field("ct_zone", 16, 5, "hex", False, False))
    packet.flow = flow
    head = bytes.fromhex((dst + src).replace(":", ""))
    frame = head + b"".join(struct.pack("!HH", kind, tci & 0xefff) for kind, tci in tags) + struct.pack(
        "!H", eth_type) + body
    frame += bytes(max(0, 60 - len(frame)))
    try:
        packet.frame = fill_checksums(frame)
    except (struct.error, IndexError):
        packet.frame = frame
    return packet


def _payload(rng: random.Random, kind: str, packet: Packet, flow: list[str]) -> tuple[bytes, int]:
    add = packet.fields.append
    if kind == "raw":
        return bytes(rng.randrange(256) for _ in range(50)), rng.choice((0x88cc, 0x1234, 0x8809, 0x9000))
    if kind in ("arp", "rarp"):
        op = rng.choice((1, 1, 2, 3 if kind == "rarp" else 1))
        spa, tpa = rng.choice(ADDRESSES), rng.choice(ADDRESSES)
        sha, tha = rng.choice(MACS[:3]), rng.choice((*MACS[:2], "00:00:00:00:00:00"))
        flow += [kind, f"arp_spa={spa}", f"arp_tpa={tpa}", f"arp_op={op}", f"arp_sha={sha}",
                 f"arp_tha={tha}"]
        add(Field("arp_spa", 32, _number(spa), "ip", needs=kind))
        add(Field("arp_tpa", 32, _number(tpa), "ip", needs=kind))
        add(Field("arp_op", 16, op, masks=False, needs=kind))
        add(Field("arp_sha", 48, _number(sha), "mac", needs=kind))
        add(Field("arp_tha", 48, _number(tha), "mac", needs=kind))
        return (struct.pack("!HHBBH", 1, 0x800, 6, 4, op) + bytes.fromhex(sha.replace(":", ""))
                + _number(spa).to_bytes(4, "big") + bytes.fromhex(tha.replace(":", ""))
                + _number(tpa).to_bytes(4, "big"), 0x806 if kind == "arp" else 0x8035)
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


def _ip(rng: random.Random, kind: str, packet: Packet, flow: list[str]) -> tuple[bytes, int]:
    add = packet.fields.append
    v6 = kind.endswith("6") or kind in ("nd", "ipv6")
    base = "ipv6" if v6 else "ip"
    protocol = {"nd": "icmp6", "frag": "udp"}.get(kind, kind)
    proto = {"tcp": 6, "udp": 17, "sctp": 132, "icmp": 58 if v6 else 1}.get(protocol.rstrip("6"), 47)
    src, dst = (rng.choice(ADDRESSES6 if v6 else ADDRESSES) for _ in range(2))
    tos, ttl = rng.choice((0, 0, 0x10, 0xb9, 3, 2)), rng.choice((64, 64, 255, 1, 2, 0))
    names = ("ipv6_src", "ipv6_dst") if v6 else ("nw_src", "nw_dst")
    bits, style = (128, "ip6") if v6 else (32, "ip")
    flow.append(protocol if kind not in ("ip", "ipv6") else f"{base},nw_proto={proto}")
    for name, value in zip(names, (src, dst), strict=True):
        flow.append(f"{name}={value}")
        add(Field(name, bits, _number(value), style, needs=base))
    flow += [f"nw_tos={tos & 0xfc}", f"nw_ecn={tos & 3}", f"nw_ttl={ttl}"]
    add(Field("nw_tos", 8, tos & 0xfc, masks=False, needs=base))
    add(Field("nw_ecn", 2, tos & 3, masks=False, needs=base))
    add(Field("nw_ttl", 8, ttl, masks=False, needs=base))
    label = 0
    if v6:
        label = rng.choice((0, 5, 0x12345))
        flow.append(f"ipv6_label={hex(label)}")
        add(Field("ipv6_label", 20, label, "hex", needs=base))
    if kind in ("ip", "ipv6"):
        add(Field("nw_proto", 8, proto, masks=False, sets=False, needs=base))
    frag = 0
    if kind == "frag":
        frag = rng.choice((0x2000, 0x2001, 0x0005))
        shown = "first" if frag == 0x2000 else "later"
        flow.append(f"nw_frag={shown}")
    add(Field("nw_frag", 2, rng.choice((0, 1, 3)), "frag", sets=False, needs=base))
    sport, dport = rng.choice(L4), rng.choice(L4)
    payload = bytes(range(rng.choice((0, 7, 40, 200))))
    if proto in (6, 17, 132):
        if frag & 0xfff == 0:
            flow += [f"tp_src={sport}", f"tp_dst={dport}"]
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
        type_, code = rng.choice((8, 0, 3, 128)), rng.choice((0, 0, 1))
        flow += [f"icmp_type={type_}", f"icmp_code={code}"]
        prefix = "icmpv6" if v6 else "icmp"
        add(Field(f"{prefix}_type", 8, type_, masks=False, needs=protocol))
        add(Field(f"{prefix}_code", 8, code, masks=False, needs=protocol))
        body = struct.pack("!BBHHH", type_, code, 0, 1, 2) + payload
    else:
        body = payload
    if v6:
        return struct.pack("!IHBB", 6 << 28 | tos << 20 | label, len(body), proto, ttl) + b"".join(
            _number(text).to_bytes(16, "big") for text in (src, dst)) + body, 0x86dd
    return struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(body), 1, frag, ttl, proto, 0) + b"".join(
        _number(text).to_bytes(4, "big") for text in (src, dst)) + body, 0x800


def _neighbor(rng: random.Random, packet: Packet, flow: list[str]) -> bytes:
    type_ = rng.choice((135, 136))
    target, mac = rng.choice(ADDRESSES6), rng.choice(MACS[:3])
    needs = f"icmp6,icmp_type={type_},icmp_code=0"
    packet.fields.append(Field("icmpv6_type", 8, type_, masks=False, needs="icmp6"))
    packet.fields.append(Field("nd_target", 128, _number(target), "ip6", needs=needs))
    name = "nd_sll" if type_ == 135 else "nd_tll"
    packet.fields.append(Field(name, 48, _number(mac), "mac", needs=needs))
    flow += [f"icmp_type={type_},icmp_code=0", f"nd_target={target}", f"{name}={mac}"]
    return (struct.pack("!BBHI", type_, 0, 0, 0) + _number(target).to_bytes(16, "big")
            + bytes((1 if type_ == 135 else 2, 1)) + bytes.fromhex(mac.replace(":", "")))


# Flows.


class Maker:
    """Makes flows and actions for the packets of a case."""

    def __init__(self, rng: random.Random, version: int, packets: list[Packet], extended: bool):
        self.rng = rng
        self.version = version
        self.packets = packets
        self.extended = extended        # with actions that this datapath only traces
        self.groups = rng.choice((0, 1, 2, 3))

    def mask(self, row: Field) -> int:
        full = (1 << row.bits) - 1
        if not row.masks or self.rng.random() < 0.45:
            return full
        if self.rng.random() < 0.6:
            return full & ~((1 << self.rng.randrange(row.bits)) - 1)
        return self.rng.getrandbits(row.bits) & full or full

    def match_part(self, row: Field) -> str:
        """NAME=VALUE[/MASK] that the packet meets, mostly."""
        value = row.value
        if self.rng.random() < 0.08:
            value ^= 1 << self.rng.randrange(row.bits)
        if row.style == "frag":
            return f"nw_frag={self.rng.choice(('no', 'no', 'yes', 'first', 'later', 'not_later'))}"
        if row.name == "ct_state":
            return self.rng.choice(("ct_state=+trk+est", "ct_state=+est", "ct_state=+trk-new",
                                    "ct_state=-trk", "ct_state=+trk-inv-rpl"))
        if row.name == "dl_vlan" and value == 0xffff:
            return "dl_vlan=0xffff"
        mask = self.mask(row)
        shown = _show(row.style, value & mask, row.bits)
        if mask == (1 << row.bits) - 1:
            return f"{row.name}={shown}"
        style = "hex" if row.style == "dec" else row.style
        return f"{row.name}={_show(style, value & mask, row.bits)}/{_show(style, mask, row.bits)}"

    def match(self, packet: Packet, table: int) -> tuple[list[str], list[Field]]:
        """The words of a match and the fields that its actions may touch."""
        rng = self.rng
        rows = rng.sample(packet.fields, min(len(packet.fields), rng.choice((0, 1, 1, 2, 2, 3, 4))))
        needs: list[str] = []
        named, words = set(), []
        want = [row for row in packet.fields if row.needs]
        if want and rng.random() < 0.7:
            deep = rng.choice(want)
            if not any(part.split("=")[0] == deep.name for part in deep.needs.split(",")):
                needs += deep.needs.split(",")
        for row in rows:
            if row.name in ("vlan_tci", "dl_vlan", "vlan_vid", "dl_vlan_pcp") and named & {
                    "vlan_tci", "dl_vlan", "vlan_vid", "dl_vlan_pcp"}:
                continue
            if row.name in ("xreg1", "xxreg1", "reg1") and named & {"xreg1", "xxreg1", "reg1"}:
                continue
            named.add(row.name)
            needs += row.needs.split(",") if row.needs else []
            words.append(self.match_part(row))
        if table and rng.random() < 0.25 and "reg0" not in named:
            words.append(f"reg0={rng.choice((0, 1, 5))}")
        order = []
        protocols = {"tcp", "udp", "sctp", "icmp", "tcp6", "udp6", "sctp6", "icmp6"}
        for need in needs:
            key = need.split("=")[0]
            if need not in order and key not in named:
                order.append(need)
        if set(order) & protocols:
            order = [need for need in order if need not in ("ip", "ipv6")]
        if len(kept := [need for need in order if need in protocols]) > 1:
            order = [need for need in order if need not in kept[1:]]
        if {"nw_proto"} & named and set(order) & protocols:
            words = [word for word in words if not word.startswith("nw_proto")]
        said = set(order) | ({"ip"} if {"tcp", "udp", "sctp", "icmp"} & set(order) else set()) | (
            {"ipv6"} if {"tcp6", "udp6", "sctp6", "icmp6"} & set(order) else set())
        said |= {word.split("=")[0] for word in words} | set(words)
        may = [row for row in packet.fields
               if all(part in said for part in row.needs.split(",") if part)]
        return order + words, may

    def value_for(self, row: Field) -> int:
        pools = {"mac": [_number(mac) for mac in MACS], "ip": [_number(ip) for ip in ADDRESSES],
                 "ip6": [_number(ip) for ip in ADDRESSES6]}
        pool = pools.get(row.style, [0, 1, 5, 8, 80, 0x1234, row.value, (1 << row.bits) - 1])
        return self.rng.choice(pool) & ((1 << row.bits) - 1)

    def set_field(self, may: list[Field]) -> str:
        rng = self.rng
        rows = [row for row in may if row.sets and row.name != "in_port"]
        rows += [Field("reg0", 32, 0, "hex")] * 2
        row = rng.choice(rows)
        value, mask = self.value_for(row), self.mask(row)
        if row.name == "vlan_vid":          # Which is no tag without that bit.
            value, mask = value | 0x1000, mask | 0x1000
        full = (1 << row.bits) - 1
        name = row.name
        if rng.random() < 0.2 and name.startswith(("reg", "xreg", "xxreg", "tp_", "nw_", "dl_src", "metadata")):
            low = rng.randrange(row.bits)
            high = rng.randrange(low, min(row.bits, low + 64))
            return f"load:{hex(value & ((1 << (high - low + 1)) - 1))}->{name}[{low}..{high}]"
        if name in ("tp_src", "tp_dst"):
            name = f"{next(part for part in row.needs.split(',')).rstrip('6')}_{name[3:]}"
        if name == "nw_tos":
            return rng.choice((f"mod_nw_tos:{value & 0xfc}", f"set_field:{value >> 2}->ip_dscp"))
        if name == "dl_vlan":
            return f"mod_vlan_vid:{value}"
        if name == "dl_vlan_pcp":
            return f"mod_vlan_pcp:{value}"
        if mask == full or row.name == "vlan_tci":
            if row.name == "vlan_tci":
                return f"load:{hex(value)}->NXM_OF_VLAN_TCI[]"
            return f"set_field:{_show(row.style, value, row.bits)}->{name}"
        style = "hex" if row.style == "dec" else row.style
        return f"set_field:{_show(style, value & mask, row.bits)}/{_show(style, mask, row.bits)}->{name}"

    def move(self, may: list[Field]) -> str:
        rng = self.rng
        rows = [row for row in may if row.name not in ("tp_src", "tp_dst", "dl_vlan", "dl_vlan_pcp", "ct_state",
                                                       "tcp_flags", "nw_frag", "dl_type", "in_port")]
        source = rng.choice([*rows, Field("in_port", 16, 0)])
        target = rng.choice([row for row in rows if row.sets] + [Field("reg1", 32, 0), Field("xxreg0", 128, 0)])
        width = rng.randint(1, min(source.bits, target.bits))
        low, to = rng.randrange(source.bits - width + 1), rng.randrange(target.bits - width + 1)
        return f"move:{source.name}[{low}..{low + width - 1}]->{target.name}[{to}..{to + width - 1}]"

    def output(self) -> str:
        rng = self.rng
        return rng.choices(
            (f"output:{rng.choice((*PORTS, 9))}", "in_port", "LOCAL", "NORMAL", "FLOOD", "ALL",
             f"output(port={rng.choice((*PORTS, 'in_port', 9))},max_len={rng.choice((14, 60, 100))})",
             f"output:reg{rng.choice((0, 1))}[0..15]", "output:NXM_NX_REG0[]", f"enqueue:{rng.choice(PORTS)}:7",
             "output:77"), (30, 3, 2, 5, 2, 2, 3, 2, 1, 1, 1))[0]

    def controller(self) -> str:
        rng = self.rng
        return rng.choice((
            "controller", "controller:64", "controller(reason=no_match,max_len=20)", "controller(userdata=01.02.03)",
            "controller(pause)" if self.extended else "controller", "controller(id=0,max_len=100)",
            "controller(reason=invalid_ttl)", "controller(meter_id=1)"))

    def learn(self) -> str:
        rng = self.rng
        parts = [f"table={rng.choice((4, 4, 3, 2))}"]
        parts += rng.sample(["hard_timeout=300", "idle_timeout=60", f"priority={rng.choice((1, 5, 40000))}",
                             "cookie=0x77", "send_flow_rem", "delete_learned", "fin_idle_timeout=5",
                             "fin_hard_timeout=9", "limit=2", "limit=1,result_dst=reg0[0]"], rng.choice((0, 1, 2)))
        parts += rng.sample(["NXM_OF_VLAN_TCI[0..11]", "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]", "NXM_OF_ETH_SRC[]",
                             "in_port=1", "reg1=0x5", "NXM_NX_REG2[0..15]=NXM_OF_IN_PORT[]", "eth_type=0x800",
                             "NXM_OF_ETH_TYPE[]", "metadata=7", "reg3[4..9]=reg0[0..5]"], rng.choice((1, 2, 3)))
        parts += rng.sample(["output:NXM_OF_IN_PORT[]", "load:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15]", "load:0x5->reg0[]",
                             "load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "output:reg0", "load:0x123->NXM_OF_VLAN_TCI[]"],
                            rng.choice((0, 1, 1, 2)))
        return f"learn({','.join(parts)})"

    def resubmit(self, table: int) -> str:
        rng = self.rng
        to = (rng.randrange(table + 1, TABLES + 1) if table < TABLES and rng.random() < 0.93
              else rng.randrange(TABLES + 1))
        return rng.choices((f"resubmit(,{to})", f"resubmit({rng.choice(PORTS)},{to})", f"resubmit(,{to},ct)",
                            f"resubmit:{rng.choice(PORTS)}"),
                           (20, 3, 2 if self.extended else 0, 1 if table else 0))[0]

    def one(self, table: int, may: list[Field], depth: int) -> tuple | str:
        """An action."""
        rng = self.rng
        names = {row.name for row in may}
        is_ip = "nw_ttl" in names
        choices: list[tuple[int, object]] = [
            (22, self.output), (22, lambda: self.set_field(may)), (7, lambda: self.move(may)),
            (14, lambda: self.resubmit(table)), (4, self.controller), (3, self.learn),
            (6 if self.groups else 0, lambda: f"group:{rng.randint(1, self.groups)}"),
            (4, lambda: rng.choice(("push_vlan:0x8100", "push_vlan:0x88a8"))), (3, lambda: "strip_vlan"),
            (3, lambda: f"mod_vlan_vid:{rng.choice((10, 20, 100))}"), (2, lambda: f"mod_vlan_pcp:{rng.choice((0, 5))}"),
            (5 if is_ip else 0, lambda: rng.choice(("dec_ttl", "dec_ttl", "dec_ttl(0,1)"))),
            (3 if is_ip or "mpls_label" in names else 1, lambda: "push_mpls:0x8847"),
            (4 if "mpls_label" in names else 0, lambda: rng.choice(
                ("pop_mpls:0x0800", "pop_mpls:0x8847", "dec_mpls_ttl", "set_mpls_label:9", "set_mpls_tc:2",
                 "set_mpls_ttl:7", "pop_mpls:0x86dd", "pop_mpls:0x1234"))),
            (2 if "nsh_si" in names else 0, lambda: "dec_nsh_ttl"),
            (2, lambda: f"push:NXM_NX_REG{rng.choice((0, 1))}[{rng.choice(('', '0..15', '3..9'))}]"),
            (2, lambda: rng.choice(("pop:NXM_NX_REG2[]", "pop:NXM_OF_ETH_SRC[0..15]", "pop:NXM_NX_REG0[0..5]"))),
            (1, lambda: "note:01.02.03"), (1, lambda: "exit"), (1, lambda: "set_queue:3"), (1, lambda: "pop_queue"),
            (2 if "tcp_flags" in names else 0, lambda: "fin_timeout(idle_timeout=5,hard_timeout=7)"),
            (2, lambda: f"bundle({rng.choice(('eth_src', 'symmetric_l4', 'nw_src', 'symmetric_l3l4+udp'))},3,"
                        f"{rng.choice(('hrw', 'active_backup'))},ofport,members:{rng.choice(('1,2,3', '77,3', '2'))})"),
            (2, lambda: f"bundle_load({rng.choice(('eth_src', 'symmetric_l3l4', 'nw_dst', 'symmetric_l3'))},0,"
                        f"{rng.choice(('hrw', 'active_backup'))},ofport,NXM_NX_REG0[0..15],members:3,2)"),
            (2, lambda: f"multipath({rng.choice(('eth_src', 'symmetric_l4', 'symmetric_l3', 'nw_dst'))},5,"
                        f"{rng.choice(('modulo_n,4,0', 'hrw,3,0', 'hash_threshold,5,0', 'iter_hash,3,9'))},NXM_NX_REG0[0..7])"),
            (2, lambda: f"check_pkt_larger({rng.choice((50, 100, 1500))})->NXM_NX_REG0[{rng.choice((0, 3))}]"),
            (1, lambda: f"set_tunnel64:{hex(rng.choice((5, 0x123456789)))}"),
            (1, lambda: "write_metadata:0x12/0xff" if self.version == 1 else "note:ff"),
            (1 if self.extended else 0, lambda: "debug_slow"), 
            (1, lambda: "resubmit(,4)"),
        ]
        if depth < 2:
            choices.append((3, lambda: ("clone(", self.actions(table, may, depth + 1, 3), ")")))
        if self.version >= 4:
            choices.append((2 if depth == 0 else 0, lambda: rng.choice(
                ("encap(nsh(md_type=1))", "encap(nsh)", "encap(ethernet)", "decap()", "encap(mpls)",
                 "encap(nsh),encap(ethernet)", "decap(packet_type(ns=0,type=0))",
                 "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))"))))
        if self.version == 6:
            choices.append((1, lambda: f"meter:{rng.choice((1, 2))}"))
        if self.extended:
            choices += [(9, lambda: self.ct(table)), (1, lambda: "ct_clear"), (2, lambda: rng.choice((
                "sample(probability=12345,collector_set_id=1,obs_domain_id=2,obs_point_id=3)",
                "sample(probability=65535,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=2)",
                "sample(probability=1,collector_set_id=1,sampling_port=2,egress)")))]
        weights = [weight for weight, _ in choices]
        return rng.choices([make for _, make in choices], weights)[0]()

    def ct(self, table: int) -> str:
        rng = self.rng
        further = f"table={min(TABLES, rng.randint(table + 1, TABLES + 1))}"      # No loops.
        parts = rng.sample(["commit", "zone=5", "zone=NXM_NX_REG0[0..15]",
                            *([further] * 2 if table < TABLES else ())], rng.choice((1, 2)))
        keys, kept = set(), []
        for part in parts:
            if part.split("=")[0] not in keys:
                keys.add(part.split("=")[0])
                kept.append(part)
        if rng.random() < 0.3:
            kept.append(rng.choice(("nat", "nat(src=10.0.0.240-10.0.0.250:34-99,random)", "nat(dst=10.0.9.9)", "nat(src)",
                                    "nat(dst=10.0.0.7:80,hash)", "nat(src=fd00::9)")))
        if "commit" in kept and rng.random() < 0.4:
            kept.append(rng.choice(("exec(set_field:0x5->ct_mark)", "exec(load:1->NXM_NX_CT_LABEL[3])",
                                    "exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[])", "exec(set_field:0x7/0xf->ct_label)",
                                    "exec(set_field:1/3->ct_mark,set_field:6->ct_label)")))
        if "commit" in kept and rng.random() < 0.2:
            kept.append(rng.choice(("force", "alg=ftp", "alg=tftp")))
        return f"ct({','.join(kept)})"

    def actions(self, table: int, may: list[Field], depth: int = 0, most: int = 5) -> tuple:
        """A list of actions."""
        return tuple(self.one(table, may, depth) for _ in range(self.rng.choices(
            range(most + 1), [1, 4, 5, 4, 3, 2][:most + 1])[0]))

    def instructions(self, table: int, may: list[Field]) -> tuple:
        rng = self.rng
        found = self.actions(table, may)
        if self.version == 1:
            return found
        if self.version == 4 and rng.random() < 0.08:
            found = (f"meter:{rng.choice((1, 2))}", *found)
        if rng.random() < 0.07:
            found += ("clear_actions",)
        if rng.random() < 0.2:
            # The set holds what OpenFlow has and one of each kind.
            pool = [self.output(), self.set_field(may), self.set_field(may), "push_vlan:0x8100", "strip_vlan",
                    "push_mpls:0x8847", "dec_ttl", "group:1", "set_queue:4", f"resubmit(,{TABLES})", "ct(commit)", "ct_clear"]
            found += (("write_actions(", tuple(rng.sample(pool, rng.choice((1, 2, 3, 4)))), ")"),)
        if rng.random() < 0.1:
            found += (rng.choice(("write_metadata:0x5", "write_metadata:0x12/0xff")),)
        if table < TABLES and rng.random() < 0.3:
            found += (f"goto_table:{rng.randrange(table + 1, TABLES + 1)}",)
        return found

    def flow(self, table: int) -> Flow:
        rng = self.rng
        words, may = self.match(rng.choice(self.packets), table)
        head = [f"table={table}"]
        if rng.random() < 0.7:
            head.append(f"priority={rng.choice((0, 1, 5, 10, 100, 1000, 40000))}")
        if rng.random() < 0.2:
            head.append(f"cookie={rng.choice(('0x1', '0x1234567890'))}")
        if rng.random() < 0.08:
            head.append(rng.choice(("idle_timeout=600", "hard_timeout=900")))
        return Flow((*head, *words), self.instructions(table, may))

    def valid(self, table: int, count: int) -> list[Flow]:
        """`count` flows that a message can say."""
        found: list[Flow] = []
        for _ in range(count * 12):
            if len(found) == count:
                break
            flow = self.flow(table)
            if sayable(flow, self.version):
                found.append(flow)
        return found

    def conjunctions(self) -> list[Flow]:
        """A conjunction over the fields of a packet."""
        rng = self.rng
        packet = rng.choice(self.packets)
        table, number = rng.randrange(TABLES), rng.choice((7, 8))
        dimensions = rng.choice((2, 2, 3))
        found = []
        for clause in range(1, dimensions + 1):
            for _ in range(rng.choice((1, 2))):
                words, _ = self.match(packet, table)
                found.append(Flow((f"table={table}", f"priority={rng.choice((5, 10, 10, 10))}", *words),
                                  (f"conjunction({number},{clause}/{dimensions})",)))
        found.append(Flow((f"table={table}", f"priority={rng.choice((10, 10, 100))}", f"conj_id={number}"),
                          (self.output(), self.resubmit(table))))
        return [flow for flow in found if sayable(flow, self.version)]

    def group(self, number: int):
        rng = self.rng
        kind = rng.choices(("all", "select", "indirect", "ff"), (4, 5, 2, 3))[0]
        head = f"group_id={number},type={kind}"
        if kind == "select" and rng.random() < 0.7:
            head += rng.choice((",selection_method=dp_hash", ",selection_method=dp_hash,selection_method_param=3",
                                ",selection_method=hash,fields(eth_src,ip_src)",
                                ",selection_method=hash,selection_method_param=9,fields(ip_dst=255.255.0.0,tcp_dst,in_port)"))
        packet = rng.choice(self.packets)
        may = [row for row in packet.fields if not row.needs or rng.random() < 0.5]
        buckets = []
        for index in range(1 if kind == "indirect" else rng.choice((0, 1, 2, 2, 3, 4))):
            words = []
            if kind == "select":
                words.append(f"weight={rng.choice((1, 1, 5, 100, 0))}")
            if kind == "ff" or rng.random() < 0.1:
                words.append(f"watch_port={rng.choice((1, 2, 3, 77))}")
            if rng.random() < 0.2:
                words.append(f"bucket_id={index + 10}")
            actions = self.actions(TABLES - 1, may, 1, 3)
            actions = tuple(action for action in actions if not (isinstance(action, str) and action.startswith("group:")
                                                                and int(action[6:]) >= number))
            buckets.append((",".join(words), actions))
        made = (head, tuple(buckets))
        try:
            encode_group(made, 1)
        except (FlowTextError, ValueError):
            return None
        return made


def sayable(flow: Flow, version: int) -> bool:
    """Whether a message of `version` can carry the flow."""
    try:
        return len(encode_flow(flow, version, 1)) < 60000
    except (FlowTextError, ValueError):
        return False


def _probes(rng: random.Random, packets: list[Packet], maker: Maker) -> list[Probe]:
    found = []
    for packet in packets:
        extra = list(rng.choice(((), (), (), ("-generate",), ("--names",))))
        if maker.extended and rng.random() < 0.5:
            for _ in range(rng.choice((1, 2))):
                extra += ["--ct-next", rng.choice(("trk,new", "trk,est", "trk,est,rpl", "trk,inv", "trk,new,rel", "trk,est,dnat"))]
        flow = ",".join(packet.flow)
        found.append(Probe("trace", ("br0", flow, *extra)))
        roll = rng.random()
        if roll < 0.35:
            head = ",".join(word for word in packet.flow if word.split("=")[0] in (
                "in_port", "reg0", "reg1", "metadata", "pkt_mark", "tun_id"))
            found.append(Probe("trace", ("br0", head, *extra, packet.frame.hex())))
        elif roll < 0.5:
            port = str(rng.choice((packet.in_port, packet.in_port, "controller", "local")))
            actions = maker.actions(0, [row for row in packet.fields if not row.needs], 0, 3)
            found.append(Probe("packet-out", ("br0", flow.replace(f"in_port={packet.in_port}", f"in_port={port}"),
                                              *extra, rng.choice((join(actions).replace("note:ff", "exit").replace("note:01.02.03", "exit") or "drop", "TABLE")))))
        if not maker.extended:
            for _ in range(rng.choice((1, 2))):
                if packet.in_port != 9:
                    found.append(Probe("frame", (f"p{packet.in_port}", packet.frame.hex())))
    return found


def make_case(seed: int) -> Case:
    """The case of a seed."""
    rng = random.Random(seed)
    version = rng.choices((1, 4, 6), (2, 6, 4))[0]
    packets = [make_packet(rng) for _ in range(rng.choice((1, 2, 3)))]
    maker = Maker(rng, version, packets, rng.random() < 0.4)
    flows = []
    for table in range(TABLES):
        flows += maker.valid(table, rng.choice((2, 4, 6)) if table else rng.choice((2, 3, 5)))
    if rng.random() < 0.5:
        flows += maker.conjunctions()
    for table in range(TABLES + 1):
        if rng.random() < 0.6:
            catch = Flow((f"table={table}", "priority=0"), (*maker.actions(table, [], 0, 3),))
            if sayable(catch, version):
                flows.append(catch)
    groups = [group for number in range(1, maker.groups + 1) if (group := maker.group(number))]
    flows1 = Maker(rng, 6, packets, maker.extended).valid(0, 2) + [Flow(("table=0", "priority=0"), ("NORMAL",))]
    meters = ("meter=1,pktps,stats,bands=type=drop,rate=100000",
              "meter=2,kbps,burst,stats,bands=type=drop,rate=1000000,burst_size=1000000")
    probes = _probes(rng, packets, maker)
    return Case(version, tuple(flows), tuple(flows1), tuple(groups), meters, tuple(probes))
