"""What a flow matches: an immutable mapping from field to (value, mask).

Fields that share a place in the C flow struct share one key, so that two spellings of the same
match are equal: all VLAN fields are `vlan_tci`, DSCP and ECN are bits of `nw_tos`, the source port
of any protocol and an ICMP type are `tcp_src`, ARP's addresses are `ip_src` and `ip_dst`, xreg and
xxreg are split into `reg`s, ports are 16-bit OpenFlow 1.0 numbers under `in_port` (`PLACES` in
fields.py has them all). Bits of a value outside its mask are 0, and an all-zero mask is not kept.

`FieldDict` functions (`put`, `is_wild`, `prerequisites_hold`) work on the plain dict from which a
Match is made; text.py and oxm.py use them while they read. `datapath/match.py` packs a Match into
the C struct. Any thread.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from schema.flow.fields import Prereq
from vswitchd.openflow.fields import INFO, PORT11_OFFSET, Info

FieldDict = dict[str, tuple[int, int]]

VLAN_PRESENT, VLAN_VID, VLAN_PCP = 0x1000, 0x0fff, 0xe000
ETH_IP, ETH_ARP, ETH_RARP, ETH_IPV6 = 0x0800, 0x0806, 0x8035, 0x86dd
ETH_MPLS, ETH_MPLS_MC, ETH_NSH = 0x8847, 0x8848, 0x894f
ICMP, IGMP, TCP, UDP, ICMPV6, SCTP = 1, 2, 6, 17, 58, 132
CT_NEW, CT_EST, CT_REL, CT_RPL, CT_INV, CT_TRK = 1, 2, 4, 8, 0x10, 0x20
CT_SNAT, CT_DNAT = 0x40, 0x80
_CT_KNOWN = 0xff
_WILD = (0, 0)

# Bits of its place that a field covers, where it is not the whole place.
_BITS = {"vlan_tci": 0xffff, "dl_vlan": 0x1fff, "vlan_vid": 0x1fff, "dl_vlan_pcp": 0xe000,
         "vlan_pcp": 0xe000, "nw_tos": 0xfc, "ip_dscp": 0xfc, "nw_ecn": 0x03}
_KEEPS_MASK = ("tun_flags", "tun_erspan_dir")     # sent with a mask even if all bits are matched
_SPLIT = {**{f"xreg{n}": [f"reg{2 * n + i}" for i in range(2)] for n in range(16)},
          **{f"xxreg{n}": [f"reg{4 * n + i}" for i in range(4)] for n in range(8)}}


class Match:
    """An immutable match. `fields` is for reading only: {key: (value, mask)}."""

    __slots__ = ("fields", "_hash")

    def __init__(self, fields: Mapping[str, tuple[int, int]] | Iterable = ()) -> None:
        """Takes fields under their keys as they are; `Match.of` takes any spelling."""
        self.fields: FieldDict = dict(fields)
        self._hash: int | None = None

    @classmethod
    def of(cls, **values: int | tuple[int, int]) -> "Match":
        """Builds a match from any field names: Match.of(eth_type=0x800, ip_src=(v, mask))."""
        fields: FieldDict = {}
        for name, value in values.items():
            info = INFO[name]
            if isinstance(value, tuple):
                put(fields, info, *value)
            else:
                put(fields, info, value, info.full)
            add_ethernet(fields, info)
        return cls(fields)

    def value(self, key: str) -> int:
        """Value under `key`, 0 if it is not matched."""
        return self.fields.get(key, _WILD)[0]

    def mask(self, key: str) -> int:
        """Mask under `key`, 0 if it is not matched."""
        return self.fields.get(key, _WILD)[1]

    def __contains__(self, key: str) -> bool:
        return key in self.fields

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def items(self) -> Iterable[tuple[str, tuple[int, int]]]:
        return self.fields.items()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Match) and self.fields == other.fields

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.fields.items()))
        return self._hash

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v:#x}/{m:#x}" for k, (v, m) in self.fields.items())
        return f"Match({inside})"

    def covers(self, other: "Match") -> bool:
        """True if every packet that `other` matches is matched by this one too."""
        theirs = other.fields
        for key, (value, mask) in self.fields.items():
            their_value, their_mask = theirs.get(key, _WILD)
            if mask & ~their_mask or (their_value ^ value) & mask:
                return False
        return True

    def overlaps(self, other: "Match") -> bool:
        """True if some packet could be matched by both."""
        theirs = other.fields
        for key, (value, mask) in self.fields.items():
            their_value, their_mask = theirs.get(key, _WILD)
            if (their_value ^ value) & mask & their_mask:
                return False
        return True

    def matches(self, flow: Mapping[str, int]) -> bool:
        """True if a flow {key: value} is matched; keys it lacks are 0."""
        return all(flow.get(key, 0) & mask == value for key, (value, mask) in self.fields.items())

    @property
    def eth_type(self) -> int:
        """Ethertype of the packets matched, 0 if any; packet_type (1, T) says it too."""
        return eth_type(self.fields)


EMPTY = Match()


def eth_type(fields: FieldDict) -> int:
    """The ethertype that `fields` imply, 0 if none."""
    packet_type = fields.get("packet_type", _WILD)[0]
    if packet_type >> 16 == 1:
        return packet_type & 0xffff
    return fields.get("eth_type", _WILD)[0]


def port_from_11(port: int) -> int | None:
    """Converts an OpenFlow 1.1 port number to 1.0, None if it has no equivalent."""
    if port < 0xff00:
        return port
    return port - PORT11_OFFSET if port >= 0xffffff00 else None


def port_to_11(port: int) -> int:
    """Converts an OpenFlow 1.0 port number to 1.1."""
    return port if port < 0xff00 else port + PORT11_OFFSET


def put(fields: FieldDict, info: Info, value: int, mask: int) -> None:
    """Matches `info` with `value` under `mask` in `fields`; an all-zero mask un-matches it.

    But for a tunnel's metadata: under an all-zero mask it has to be there, whatever its value.
    Both are as in the field's OXM: info.full is an exact match. The value must be valid.
    """
    name = info.name
    special = _PUT.get(name)
    if special is not None:
        special(fields, value, mask)
    elif mask or info.variable:
        mask &= info.significant
        fields[name] = (value & mask, mask)
    else:
        fields.pop(name, None)


def _merge(fields: FieldDict, key: str, bits: int, value: int, mask: int) -> None:
    """Replaces the `bits` of a place by value and mask."""
    old_value, old_mask = fields.get(key, _WILD)
    mask = old_mask & ~bits | mask
    if mask:
        fields[key] = (old_value & ~bits | value) & mask, mask
    else:
        fields.pop(key, None)


def _put_dl_vlan(fields: FieldDict, value: int, mask: int) -> None:
    if not mask:
        _merge(fields, "vlan_tci", VLAN_VID | VLAN_PRESENT, 0, 0)
    elif value == 0xffff:
        fields["vlan_tci"] = (0, 0xffff)
    else:
        _merge(fields, "vlan_tci", VLAN_VID | VLAN_PRESENT, value & VLAN_VID | VLAN_PRESENT,
               VLAN_VID | VLAN_PRESENT)


def _put_vlan_vid(fields: FieldDict, value: int, mask: int) -> None:
    mask &= VLAN_VID | VLAN_PRESENT
    _merge(fields, "vlan_tci", VLAN_VID | VLAN_PRESENT, value & mask, mask)


def _put_vlan_pcp(fields: FieldDict, value: int, mask: int) -> None:
    if mask:
        _merge(fields, "vlan_tci", VLAN_PCP | VLAN_PRESENT, (value & 7) << 13 | VLAN_PRESENT,
               VLAN_PCP | VLAN_PRESENT)
    else:
        _merge(fields, "vlan_tci", VLAN_PCP, 0, 0)


def _whole(key: str, bits: int) -> Callable[[FieldDict, int, int], None]:
    """A field that is matched exactly or not at all and leaves `bits` of value under `key`."""
    def put_whole(fields: FieldDict, value: int, mask: int) -> None:
        if mask:
            fields[key] = (value & bits, 0xffff if key.startswith("tcp_") else bits)
        else:
            fields.pop(key, None)
    return put_whole


def _moved(key: str, bits: int) -> Callable[[FieldDict, int, int], None]:
    """A maskable field that lies under another key."""
    def put_moved(fields: FieldDict, value: int, mask: int) -> None:
        mask &= bits
        if mask:
            fields[key] = (value & mask, mask)
        else:
            fields.pop(key, None)
    return put_moved


def _part(key: str, shift: int, bits: int) -> Callable[[FieldDict, int, int], None]:
    """A field that is `bits` of a place, `shift`ed up, and exact or not matched."""
    def put_part(fields: FieldDict, value: int, mask: int) -> None:
        _merge(fields, key, bits, value << shift & bits, bits if mask else 0)
    return put_part


def _put_port(key: str) -> Callable[[FieldDict, int, int], None]:
    def put_port(fields: FieldDict, value: int, mask: int) -> None:
        if mask:
            fields[key] = (value - PORT11_OFFSET if value >= PORT11_OFFSET else value, 0xffff)
        else:
            fields.pop(key, None)
    return put_port


def _split(names: list[str]) -> Callable[[FieldDict, int, int], None]:
    """A wide register: several narrow ones."""
    def put_split(fields: FieldDict, value: int, mask: int) -> None:
        for name in reversed(names):
            low = mask & 0xffffffff
            if low:
                fields[name] = (value & low, low)
            else:
                fields.pop(name, None)
            value >>= 32
            mask >>= 32
    return put_split


_PUT: dict[str, Callable[[FieldDict, int, int], None]] = {
    "in_port_oxm": _put_port("in_port"), "actset_output": _put_port("actset_output"),
    "dl_vlan": _put_dl_vlan, "vlan_vid": _put_vlan_vid,
    "dl_vlan_pcp": _put_vlan_pcp, "vlan_pcp": _put_vlan_pcp,
    "nw_tos": _part("nw_tos", 0, 0xfc), "ip_dscp": _part("nw_tos", 2, 0xfc),
    "nw_ecn": _part("nw_tos", 0, 0x03), "arp_op": _whole("nw_proto", 0xff),
    "arp_spa": _moved("ip_src", 0xffffffff), "arp_tpa": _moved("ip_dst", 0xffffffff),
    "nd_sll": _moved("arp_sha", (1 << 48) - 1), "nd_tll": _moved("arp_tha", (1 << 48) - 1),
    "udp_src": _moved("tcp_src", 0xffff), "udp_dst": _moved("tcp_dst", 0xffff),
    "sctp_src": _moved("tcp_src", 0xffff), "sctp_dst": _moved("tcp_dst", 0xffff),
    "icmp_type": _whole("tcp_src", 0xff), "icmp_code": _whole("tcp_dst", 0xff),
    "icmpv6_type": _whole("tcp_src", 0xff), "icmpv6_code": _whole("tcp_dst", 0xff),
    "ct_state": _moved("ct_state", _CT_KNOWN),
    **{name: _split(parts) for name, parts in _SPLIT.items()},
}


def get(fields: FieldDict, info: Info) -> tuple[int, int]:
    """Returns (value, mask) of a field as its OXM would carry them; (0, 0) if not matched."""
    name = info.name
    if name in _SPLIT:
        value = mask = 0
        for part in _SPLIT[name]:
            low_value, low_mask = fields.get(part, _WILD)
            value, mask = value << 32 | low_value, mask << 32 | low_mask
        return value, mask
    value, mask = fields.get(info.place, _WILD)
    if name in ("dl_vlan_pcp", "vlan_pcp"):
        return value >> 13, mask >> 13 and info.full
    if name == "ip_dscp":
        return value >> 2, mask >> 2 and info.full
    if name in _BITS:
        bits = _BITS[name]
        value, mask = value & bits, mask & bits
        if info.maskable:
            return value, info.full if mask == bits and name != "vlan_vid" else mask
        return value, mask and info.full
    if name in ("in_port_oxm", "actset_output") and mask:
        return port_to_11(value), info.full
    if mask and (not info.maskable or mask & info.significant == info.significant
                 and name not in _KEEPS_MASK):
        mask = info.full
    return value, mask


def is_wild(fields: FieldDict, info: Info) -> bool:
    """True if nothing of the field is matched yet."""
    name = info.name
    if name in _SPLIT:
        return not any(part in fields for part in _SPLIT[name])
    place = fields.get(info.place)
    return place is None or not place[1] & _BITS.get(name, -1)


def add_ethernet(fields: FieldDict, info: Info) -> None:
    """Matching a packet's own field means Ethernet packets unless a packet type is given."""
    if info.prereq not in (Prereq.NONE, Prereq.CT) and "packet_type" not in fields:
        fields["packet_type"] = (0, 0xffffffff)


def prerequisites_hold(fields: FieldDict, info: Info) -> bool:
    """True if `fields` match what `info` needs before it may be matched or set."""
    check = _PREREQ[info.prereq]
    return check is None or check(fields)


def _is_ethernet(fields: FieldDict) -> bool:
    return not fields.get("packet_type", _WILD)[0]


def _is_ip(fields: FieldDict) -> bool:
    return eth_type(fields) in (ETH_IP, ETH_IPV6)


def _is_l4(proto: int) -> Callable[[FieldDict], bool]:
    def check(fields: FieldDict) -> bool:
        return (fields.get("nw_proto", _WILD)[0] == proto and _is_ip(fields)
                and not fields.get("ip_frag", _WILD)[0] & 2)
    return check


def _is_icmpv6(fields: FieldDict) -> bool:
    return fields.get("nw_proto", _WILD)[0] == ICMPV6 and eth_type(fields) == ETH_IPV6


def _is_nd(*types: int) -> Callable[[FieldDict], bool]:
    def check(fields: FieldDict) -> bool:
        return (_is_icmpv6(fields) and fields.get("tcp_dst", _WILD)[0] == 0
                and fields.get("tcp_src", _WILD)[0] in types)
    return check


def _is_ct(fields: FieldDict) -> bool:
    state, mask = fields.get("ct_state", _WILD)
    return bool(state & (CT_NEW | CT_EST | CT_REL | CT_RPL | CT_SNAT | CT_DNAT)
                or state & CT_TRK and mask & CT_INV and not state & CT_INV)


_PREREQ: dict[Prereq, Callable[[FieldDict], bool] | None] = {
    Prereq.NONE: None,
    Prereq.ETHERNET: _is_ethernet,
    Prereq.VLAN: lambda fields: (_is_ethernet(fields)
                                 and bool(fields.get("vlan_tci", _WILD)[0] & VLAN_PRESENT)),
    Prereq.ARP: lambda fields: eth_type(fields) in (ETH_ARP, ETH_RARP),
    Prereq.IPV4: lambda fields: eth_type(fields) == ETH_IP,
    Prereq.IPV6: lambda fields: eth_type(fields) == ETH_IPV6,
    Prereq.IP: _is_ip,
    Prereq.MPLS: lambda fields: eth_type(fields) in (ETH_MPLS, ETH_MPLS_MC),
    Prereq.NSH: lambda fields: eth_type(fields) == ETH_NSH,
    Prereq.TCP: _is_l4(TCP), Prereq.UDP: _is_l4(UDP), Prereq.SCTP: _is_l4(SCTP),
    Prereq.ICMPV4: lambda fields: (fields.get("nw_proto", _WILD)[0] == ICMP
                                   and eth_type(fields) == ETH_IP),
    Prereq.ICMPV6: _is_icmpv6,
    Prereq.ND: _is_nd(135, 136), Prereq.ND_SOLICIT: _is_nd(135), Prereq.ND_ADVERT: _is_nd(136),
    Prereq.CT: _is_ct,
}


class Step(NamedTuple):
    """What reading one field takes, looked up once: see the functions of the same purpose.

    key, bits: its place and the bits of it that the field covers, None and 0 for wide registers.
    """

    info: Info
    prerequisite: Callable[[FieldDict], bool] | None
    is_valid: Callable[[int], bool] | None
    put: Callable[[FieldDict, int, int], None] | None
    key: str | None
    bits: int
    says_ethernet: bool


def step_of(info: Info) -> Step:
    """The reading steps of a field, for decoders that read many."""
    is_valid = _VALID.get(info.name)
    if is_valid is None and info.bits < info.size * 8:
        most = info.significant

        def is_valid(value: int) -> bool:
            return value <= most
    return Step(info, _PREREQ[info.prereq], is_valid, _PUT.get(info.name),
                None if info.name in _SPLIT else info.place, _BITS.get(info.name, -1),
                info.prereq is not Prereq.NONE)


def value_is_valid(info: Info, value: int) -> bool:
    """True if the reference accepts `value` for the field in an OXM (reserved bits are 0)."""
    check = _VALID.get(info.name)
    if check is not None:
        return check(value)
    return info.bits == info.size * 8 or not value >> info.bits


_VALID: dict[str, Callable[[int], bool]] = {
    "in_port_oxm": lambda value: port_from_11(value) is not None,
    "actset_output": lambda value: port_from_11(value) is not None,
    "dl_vlan": lambda value: not value & 0xf000,
    "vlan_vid": lambda value: not value & 0xe000,
    "nw_tos": lambda value: not value & 0x03,
    "arp_op": lambda value: not value & 0xff00,
    "tcp_flags": lambda value: not value & 0xf000,
    "nsh_flags": lambda value: True,
    "nsh_mdtype": lambda value: value in (1, 2),
    "nsh_np": lambda value: True,
    "nsh_ttl": lambda value: value <= 63,
    "ct_state": lambda value: not value & ~_CT_KNOWN,
    "tun_flags": lambda value: not value & ~1,
}

_L4 = (TCP, UDP, SCTP)


def normalize(match: Match) -> Match:
    """Drops what can never be matched as its layer is not: nw_src without eth_type and so on."""
    fields = match.fields
    kind = eth_type(fields)
    proto = fields.get("nw_proto", _WILD)[0]
    drop: set[str] = set()
    is_ip, is_ipv6 = kind == ETH_IP, kind == ETH_IPV6
    is_arp = kind in (ETH_ARP, ETH_RARP)
    if not (is_ip or is_arp):
        drop |= {"ip_src", "ip_dst"}
    if not (is_ip and proto in (*_L4, ICMP) or is_ipv6 and proto in (*_L4, ICMPV6)):
        drop |= {"tcp_src", "tcp_dst"}
    if not (is_ip or is_ipv6 or is_arp):
        drop.add("nw_proto")
    if not (is_ip or is_ipv6):
        drop |= {"nw_tos", "nw_ttl"}
    neighbor = fields.get("tcp_src", _WILD)[0] if is_ipv6 and proto == ICMPV6 else 0
    if not (is_arp or neighbor == 135):
        drop.add("arp_sha")
    if not (is_arp or neighbor == 136):
        drop.add("arp_tha")
    if neighbor not in (135, 136):
        drop.add("nd_target")
    if not is_ipv6:
        drop |= {"ipv6_src", "ipv6_dst", "ipv6_label"}
    if kind not in (ETH_MPLS, ETH_MPLS_MC):
        drop |= {"mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl"}
    if drop.isdisjoint(fields):
        return match
    return Match({key: pair for key, pair in fields.items() if key not in drop})
