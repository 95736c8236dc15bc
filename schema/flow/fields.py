"""THE FIELD TABLE: the C flow struct and every OpenFlow match field, declared once.

`FLOW` lists the members of `struct flow` in memory order with the lookup stage each belongs to;
`FIELDS` lists the match fields (OXM and NXM) and where in the struct each one lies. The C header
(`datapath/generate.py`), the OXM codec, the flow parser and printer, and the packed form of a match
(`datapath/match.py`) are derived from these two tables; nothing else knows an offset or code point.

Every member of the struct is stored in network byte order. So a field is a run of bits of one
big-endian container: `At(member, shift, width)` counts from the container's least significant bit,
and xreg and xxreg are simply wider containers over `regs`.

Ports in the struct are OpenFlow 1.0 numbers widened to 32 bits (0xfffe is LOCAL), in a datapath key
they are datapath port numbers. ICMP type and code lie in tp_src and tp_dst, ARP operation and
addresses in nw_proto, nw_src and nw_dst, ND link-layer addresses in arp_sha and arp_tha.

Source: OpenFlow 1.5.1 section 7.2.3, ovs-fields(7). Any thread; nothing here changes after import.
"""

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import NamedTuple


class Stage(IntEnum):
    """Lookup stages of the classifier, in order: one that fails in one looks at no later one."""

    METADATA = 0
    L2 = 1
    L3 = 2
    L4 = 3


class Member(NamedTuple):
    """One member of `struct flow`: `count` elements of `size` bytes, each of C type `c_type`."""

    name: str
    c_type: str
    size: int
    count: int
    stage: Stage


def _rows(stage: Stage, text: str) -> tuple[Member, ...]:
    sizes = {"u8": 1, "be16": 2, "be32": 4, "be64": 8}
    rows = []
    for word in text.split():
        name, c_type, *count = word.split(":")
        rows.append(Member(name, c_type, sizes[c_type], int(count[0]) if count else 1, stage))
    return tuple(rows)


# name:type[:count]. Each stage is a multiple of 8 bytes; members are naturally aligned.
FLOW: tuple[Member, ...] = (
    *_rows(Stage.METADATA, """
        tun_id:be64 tun_src:be32 tun_dst:be32 tun_ipv6_src:u8:16 tun_ipv6_dst:u8:16
        tun_flags:be16 tun_tos:u8 tun_ttl:u8 tun_tp_src:be16 tun_tp_dst:be16
        tun_gbp_id:be16 tun_gbp_flags:u8 tun_erspan_ver:u8 tun_erspan_idx:be32
        tun_erspan_dir:u8 tun_erspan_hwid:u8 tun_gtpu_flags:u8 tun_gtpu_msgtype:u8 pad_tunnel:u8:4
        tun_metadata_present:be64 tun_metadata:u8:256
        metadata:be64 regs:be32:32
        skb_priority:be32 pkt_mark:be32 dp_hash:be32 in_port:be32
        recirc_id:be32 ct_state:be32 ct_mark:be32 packet_type:be32 ct_label:u8:16
        ct_zone:be16 ct_nw_proto:u8 pad_ct:u8 conj_id:be32 actset_output:be32 pad_metadata:u8:4"""),
    *_rows(Stage.L2, """
        eth_dst:u8:6 eth_src:u8:6 eth_type:be16 pad_l2:u8:2
        vlan0_tpid:be16 vlan0_tci:be16 vlan1_tpid:be16 vlan1_tci:be16
        mpls_lse:be32:4"""),
    *_rows(Stage.L3, """
        nw_src:be32 nw_dst:be32 ct_nw_src:be32 ct_nw_dst:be32
        ipv6_src:u8:16 ipv6_dst:u8:16 ct_ipv6_src:u8:16 ct_ipv6_dst:u8:16
        ipv6_label:be32 nw_frag:u8 nw_tos:u8 nw_ttl:u8 nw_proto:u8"""),
    *_rows(Stage.L4, """
        nd_target:u8:16 arp_sha:u8:6 arp_tha:u8:6 tcp_flags:be16 nd_options_type:u8 pad_l3:u8
        nsh_flags:u8 nsh_ttl:u8 nsh_mdtype:u8 nsh_np:u8 nsh_path:be32 nsh_c:be32:4
        tp_src:be16 tp_dst:be16 ct_tp_src:be16 ct_tp_dst:be16 igmp_group:be32 nd_reserved:be32"""),
)

# Bits of members whose values are flags; names in the order in which they are printed.
CT_STATE_BITS = {"new": 0x01, "est": 0x02, "rel": 0x04, "rpl": 0x08, "inv": 0x10, "trk": 0x20,
                 "snat": 0x40, "dnat": 0x80}
TUN_FLAG_BITS = {"oam": 0x01, "df": 0x02, "csum": 0x04, "key": 0x08}
TCP_FLAG_BITS = {"fin": 0x001, "syn": 0x002, "rst": 0x004, "psh": 0x008, "ack": 0x010, "urg": 0x020,
                 "ece": 0x040, "cwr": 0x080, "ns": 0x100}
FRAG_ANY, FRAG_LATER = 0x1, 0x2      # nw_frag: "no" is 0, "first" is ANY, "later" is ANY | LATER
VLAN_PRESENT = 0x1000                # bit 12 of a vlan tci; tci 0 is no tag


def _offsets() -> dict[str, int]:
    offsets, at = {}, 0
    for member in FLOW:
        offsets[member.name] = at
        at += member.size * member.count
    return offsets


MEMBER: dict[str, Member] = {member.name: member for member in FLOW}
OFFSET: dict[str, int] = _offsets()
FLOW_SIZE: int = sum(member.size * member.count for member in FLOW)


class Format(Enum):
    """How a field is written in text."""

    DEC = "decimal"
    HEX = "hexadecimal"
    MAC = "Ethernet"
    IPV4 = "IPv4"
    IPV6 = "IPv6"
    PORT10 = "OpenFlow 1.0 port"
    PORT11 = "OpenFlow 1.1+ port"
    CT_STATE = "ct state"
    FRAG = "frag"
    TUN_FLAGS = "tunnel flags"
    TCP_FLAGS = "TCP flags"
    PACKET_TYPE = "packet type"


class Prereq(Enum):
    """What must be matched as well before a field may be matched or set (ovs-fields(7))."""

    NONE = "none"
    ETHERNET = "Ethernet"
    VLAN = "VLAN VID"
    ARP = "ARP"
    IPV4 = "IPv4"
    IPV6 = "IPv6"
    IP = "IPv4/IPv6"
    MPLS = "MPLS"
    NSH = "NSH"
    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"
    ICMPV4 = "ICMPv4"
    ICMPV6 = "ICMPv6"
    ND = "ND"
    ND_SOLICIT = "ND solicit"
    ND_ADVERT = "ND advert"
    CT = "CT"


class Of1x(Enum):
    """What the fixed-size matches of OpenFlow 1.0 and 1.1 can say about a field."""

    NONE = "-"
    EXACT = "exact match"
    CIDR = "CIDR mask"
    BITWISE = "bitwise mask"


NX, ONF, NSH = 0x00002320, 0x4f4e4600, 0x005ad650     # experimenter ids


class Code(NamedTuple):
    """An OXM or NXM code point. `since`: the OpenFlow version it is standard in, "" if in none."""

    name: str
    oxm_class: int
    field: int
    experimenter: int = 0
    since: str = ""


class At(NamedTuple):
    """Where a field lies: `width` bits (None: all) above `shift` in a big-endian container.

    The container starts at element `index` of `member`; it is `size` bytes (None: one element, or
    the whole member where that is a byte array).
    """

    member: str
    shift: int = 0
    width: int | None = None
    index: int = 0
    size: int | None = None


class Field(NamedTuple):
    """One match field. `size` and `bits` are those of its OXM value; `where` is None for
    tun_metadataN, whose place is given by the TLV map of the switch."""

    id: int
    name: str
    aliases: tuple[str, ...]
    size: int
    bits: int
    maskable: bool
    writable: bool
    format: Format
    prereq: Prereq
    where: At | None
    codes: tuple[Code, ...]
    of10: Of1x
    of11: Of1x

    @property
    def offset(self) -> int:
        """Byte offset of the container in `struct flow`."""
        member = MEMBER[self.where.member]
        return OFFSET[member.name] + self.where.index * member.size

    @property
    def container(self) -> int:
        """Size of the container in bytes."""
        if self.where.size is not None:
            return self.where.size
        member = MEMBER[self.where.member]
        return member.count if member.c_type == "u8" else member.size

    @property
    def shift(self) -> int:
        """Distance of the field's lowest bit from the container's."""
        return self.where.shift

    @property
    def width(self) -> int:
        """Bits that the field occupies in the container (at most `bits`)."""
        return min(self.bits, self.container * 8) if self.where.width is None else self.where.width


def _family(first: int, name: str, count: int, size: int, elements: int | None,
            code: Callable[[int], Code]) -> tuple[Field, ...]:
    """The fields name0..name<count-1>; each spans `elements` of `regs` (None: no fixed place)."""
    return tuple(
        Field(first + n, f"{name}{n}", (), size, size * 8, True, True, Format.HEX, Prereq.NONE,
              None if elements is None else At("regs", index=n * elements, size=size),
              (code(n),), Of1x.NONE, Of1x.NONE)
        for n in range(count))


FIELDS: tuple[Field, ...] = (
    Field(0, "dp_hash", (), 4, 32, True, False, Format.HEX,
          Prereq.NONE, At("dp_hash"),
           (Code("NXOXM_ET_DP_HASH", 0xffff, 0, NX), Code("NXM_NX_DP_HASH", 0x0001, 35),),
          Of1x.NONE, Of1x.NONE),
    Field(1, "recirc_id", (), 4, 32, False, False, Format.DEC,
          Prereq.NONE, At("recirc_id"), (Code("NXM_NX_RECIRC_ID", 0x0001, 36),),
          Of1x.NONE, Of1x.NONE),
    Field(2, "packet_type", (), 4, 32, False, False, Format.PACKET_TYPE,
          Prereq.NONE, At("packet_type"), (Code("OXM_OF_PACKET_TYPE", 0x8000, 44, 0, "1.5"),),
          Of1x.NONE, Of1x.NONE),
    Field(3, "conj_id", (), 4, 32, False, False, Format.DEC,
          Prereq.NONE, At("conj_id"), (Code("NXM_NX_CONJ_ID", 0x0001, 37),),
          Of1x.NONE, Of1x.NONE),
    Field(4, "tun_id", ("tunnel_id",), 8, 64, True, True, Format.HEX,
          Prereq.NONE, At("tun_id"),
           (Code("OXM_OF_TUNNEL_ID", 0x8000, 38, 0, "1.3"), Code("NXM_NX_TUN_ID", 0x0001, 16),),
          Of1x.NONE, Of1x.NONE),
    Field(5, "tun_src", (), 4, 32, True, True, Format.IPV4,
          Prereq.NONE, At("tun_src"), (Code("NXM_NX_TUN_IPV4_SRC", 0x0001, 31),),
          Of1x.NONE, Of1x.NONE),
    Field(6, "tun_dst", (), 4, 32, True, True, Format.IPV4,
          Prereq.NONE, At("tun_dst"), (Code("NXM_NX_TUN_IPV4_DST", 0x0001, 32),),
          Of1x.NONE, Of1x.NONE),
    Field(7, "tun_ipv6_src", (), 16, 128, True, True, Format.IPV6,
          Prereq.NONE, At("tun_ipv6_src"), (Code("NXM_NX_TUN_IPV6_SRC", 0x0001, 109),),
          Of1x.NONE, Of1x.NONE),
    Field(8, "tun_ipv6_dst", (), 16, 128, True, True, Format.IPV6,
          Prereq.NONE, At("tun_ipv6_dst"), (Code("NXM_NX_TUN_IPV6_DST", 0x0001, 110),),
          Of1x.NONE, Of1x.NONE),
    Field(9, "tun_flags", (), 2, 1, True, True, Format.TUN_FLAGS,
          Prereq.NONE, At("tun_flags", 0, 1), (Code("NXM_NX_TUN_FLAGS", 0x0001, 104),),
          Of1x.NONE, Of1x.NONE),
    Field(10, "tun_ttl", (), 1, 8, False, False, Format.DEC,
          Prereq.NONE, At("tun_ttl"), (),
          Of1x.NONE, Of1x.NONE),
    Field(11, "tun_tos", (), 1, 8, False, False, Format.DEC,
          Prereq.NONE, At("tun_tos"), (),
          Of1x.NONE, Of1x.NONE),
    Field(12, "tun_gbp_id", (), 2, 16, True, True, Format.DEC,
          Prereq.NONE, At("tun_gbp_id"), (Code("NXM_NX_TUN_GBP_ID", 0x0001, 38),),
          Of1x.NONE, Of1x.NONE),
    Field(13, "tun_gbp_flags", (), 1, 8, True, True, Format.HEX,
          Prereq.NONE, At("tun_gbp_flags"), (Code("NXM_NX_TUN_GBP_FLAGS", 0x0001, 39),),
          Of1x.NONE, Of1x.NONE),
    Field(14, "tun_erspan_idx", (), 4, 20, True, True, Format.HEX,
          Prereq.NONE, At("tun_erspan_idx", 0, 20), (Code("NXOXM_ET_ERSPAN_IDX", 0xffff, 11, NX),),
          Of1x.NONE, Of1x.NONE),
    Field(15, "tun_erspan_ver", (), 1, 4, True, True, Format.DEC,
          Prereq.NONE, At("tun_erspan_ver", 0, 4), (Code("NXOXM_ET_ERSPAN_VER", 0xffff, 12, NX),),
          Of1x.NONE, Of1x.NONE),
    Field(16, "tun_erspan_dir", (), 1, 1, True, True, Format.DEC,
          Prereq.NONE, At("tun_erspan_dir", 0, 1), (Code("NXOXM_ET_ERSPAN_DIR", 0xffff, 13, NX),),
          Of1x.NONE, Of1x.NONE),
    Field(17, "tun_erspan_hwid", (), 1, 6, True, True, Format.HEX,
          Prereq.NONE, At("tun_erspan_hwid", 0, 6),
           (Code("NXOXM_ET_ERSPAN_HWID", 0xffff, 14, NX),),
          Of1x.NONE, Of1x.NONE),
    Field(18, "tun_gtpu_flags", (), 1, 8, True, False, Format.HEX,
          Prereq.NONE, At("tun_gtpu_flags"), (Code("NXOXM_ET_GTPU_FLAGS", 0xffff, 15, NX),),
          Of1x.NONE, Of1x.NONE),
    Field(19, "tun_gtpu_msgtype", (), 1, 8, True, False, Format.DEC,
          Prereq.NONE, At("tun_gtpu_msgtype"), (Code("NXOXM_ET_GTPU_MSGTYPE", 0xffff, 16, NX),),
          Of1x.NONE, Of1x.NONE),
    *_family(20, "tun_metadata", 64, 124, None,
              lambda n: Code(f"NXM_NX_TUN_METADATA{n}", 0x0001, 40 + n)),
    Field(84, "metadata", (), 8, 64, True, True, Format.HEX,
          Prereq.NONE, At("metadata"), (Code("OXM_OF_METADATA", 0x8000, 2, 0, "1.2"),),
          Of1x.NONE, Of1x.BITWISE),
    Field(85, "in_port", (), 2, 16, False, True, Format.PORT10,
          Prereq.NONE, At("in_port", 0, 16), (Code("NXM_OF_IN_PORT", 0x0000, 0),),
          Of1x.EXACT, Of1x.EXACT),
    Field(86, "in_port_oxm", (), 4, 32, False, True, Format.PORT11,
          Prereq.NONE, At("in_port"), (Code("OXM_OF_IN_PORT", 0x8000, 0, 0, "1.2"),),
          Of1x.NONE, Of1x.EXACT),
    Field(87, "actset_output", (), 4, 32, False, False, Format.PORT11,
          Prereq.NONE, At("actset_output"),
           (Code("ONFOXM_ET_ACTSET_OUTPUT", 0xffff, 43, ONF, "1.3"),
            Code("OXM_OF_ACTSET_OUTPUT", 0x8000, 43, 0, "1.5"),),
          Of1x.NONE, Of1x.NONE),
    Field(88, "skb_priority", (), 4, 32, False, False, Format.HEX,
          Prereq.NONE, At("skb_priority"), (),
          Of1x.NONE, Of1x.NONE),
    Field(89, "pkt_mark", (), 4, 32, True, True, Format.HEX,
          Prereq.NONE, At("pkt_mark"), (Code("NXM_NX_PKT_MARK", 0x0001, 33),),
          Of1x.NONE, Of1x.NONE),
    Field(90, "ct_state", (), 4, 32, True, False, Format.CT_STATE,
          Prereq.NONE, At("ct_state"), (Code("NXM_NX_CT_STATE", 0x0001, 105),),
          Of1x.NONE, Of1x.NONE),
    Field(91, "ct_zone", (), 2, 16, False, False, Format.HEX,
          Prereq.NONE, At("ct_zone"), (Code("NXM_NX_CT_ZONE", 0x0001, 106),),
          Of1x.NONE, Of1x.NONE),
    Field(92, "ct_mark", (), 4, 32, True, True, Format.HEX,
          Prereq.NONE, At("ct_mark"), (Code("NXM_NX_CT_MARK", 0x0001, 107),),
          Of1x.NONE, Of1x.NONE),
    Field(93, "ct_label", (), 16, 128, True, True, Format.HEX,
          Prereq.NONE, At("ct_label"), (Code("NXM_NX_CT_LABEL", 0x0001, 108),),
          Of1x.NONE, Of1x.NONE),
    Field(94, "ct_nw_proto", (), 1, 8, False, False, Format.DEC,
          Prereq.CT, At("ct_nw_proto"), (Code("NXM_NX_CT_NW_PROTO", 0x0001, 119),),
          Of1x.NONE, Of1x.NONE),
    Field(95, "ct_nw_src", (), 4, 32, True, False, Format.IPV4,
          Prereq.CT, At("ct_nw_src"), (Code("NXM_NX_CT_NW_SRC", 0x0001, 120),),
          Of1x.NONE, Of1x.NONE),
    Field(96, "ct_nw_dst", (), 4, 32, True, False, Format.IPV4,
          Prereq.CT, At("ct_nw_dst"), (Code("NXM_NX_CT_NW_DST", 0x0001, 121),),
          Of1x.NONE, Of1x.NONE),
    Field(97, "ct_ipv6_src", (), 16, 128, True, False, Format.IPV6,
          Prereq.CT, At("ct_ipv6_src"), (Code("NXM_NX_CT_IPV6_SRC", 0x0001, 122),),
          Of1x.NONE, Of1x.NONE),
    Field(98, "ct_ipv6_dst", (), 16, 128, True, False, Format.IPV6,
          Prereq.CT, At("ct_ipv6_dst"), (Code("NXM_NX_CT_IPV6_DST", 0x0001, 123),),
          Of1x.NONE, Of1x.NONE),
    Field(99, "ct_tp_src", (), 2, 16, True, False, Format.DEC,
          Prereq.CT, At("ct_tp_src"), (Code("NXM_NX_CT_TP_SRC", 0x0001, 124),),
          Of1x.NONE, Of1x.NONE),
    Field(100, "ct_tp_dst", (), 2, 16, True, False, Format.DEC,
          Prereq.CT, At("ct_tp_dst"), (Code("NXM_NX_CT_TP_DST", 0x0001, 125),),
          Of1x.NONE, Of1x.NONE),
    *_family(101, "reg", 32, 4, 1, lambda n: Code(f"NXM_NX_REG{n}", 0x0001, n) if n < 16
              else Code(f"NXOXM_ET_REG{n}", 0xffff, n + 1, NX)),
    *_family(133, "xreg", 16, 8, 2, lambda n: Code(f"OXM_OF_PKT_REG{n}", 0x8001, n, 0, "1.3")),
    *_family(149, "xxreg", 8, 16, 4, lambda n: Code(f"NXM_NX_XXREG{n}", 0x0001, 111 + n) if n < 4
              else Code(f"NXOXM_ET_XXREG{n}", 0xffff, 29 + n, NX)),
    Field(157, "eth_src", ("dl_src",), 6, 48, True, True, Format.MAC,
          Prereq.ETHERNET, At("eth_src"),
           (Code("OXM_OF_ETH_SRC", 0x8000, 4, 0, "1.2"), Code("NXM_OF_ETH_SRC", 0x0000, 2),),
          Of1x.EXACT, Of1x.BITWISE),
    Field(158, "eth_dst", ("dl_dst",), 6, 48, True, True, Format.MAC,
          Prereq.ETHERNET, At("eth_dst"),
           (Code("OXM_OF_ETH_DST", 0x8000, 3, 0, "1.2"), Code("NXM_OF_ETH_DST", 0x0000, 1),),
          Of1x.EXACT, Of1x.BITWISE),
    Field(159, "eth_type", ("dl_type",), 2, 16, False, False, Format.HEX,
          Prereq.ETHERNET, At("eth_type"),
           (Code("OXM_OF_ETH_TYPE", 0x8000, 5, 0, "1.2"), Code("NXM_OF_ETH_TYPE", 0x0000, 3),),
          Of1x.EXACT, Of1x.EXACT),
    Field(160, "vlan_tci", (), 2, 16, True, True, Format.HEX,
          Prereq.ETHERNET, At("vlan0_tci"), (Code("NXM_OF_VLAN_TCI", 0x0000, 4),),
          Of1x.EXACT, Of1x.EXACT),
    Field(161, "dl_vlan", (), 2, 12, False, True, Format.DEC,
          Prereq.ETHERNET, At("vlan0_tci", 0, 12), (),
          Of1x.EXACT, Of1x.EXACT),
    Field(162, "vlan_vid", (), 2, 12, True, True, Format.DEC,
          Prereq.ETHERNET, At("vlan0_tci", 0, 12), (Code("OXM_OF_VLAN_VID", 0x8000, 6, 0, "1.2"),),
          Of1x.EXACT, Of1x.EXACT),
    Field(163, "dl_vlan_pcp", (), 1, 3, False, True, Format.DEC,
          Prereq.ETHERNET, At("vlan0_tci", 13, 3), (),
          Of1x.EXACT, Of1x.EXACT),
    Field(164, "vlan_pcp", (), 1, 3, False, True, Format.DEC,
          Prereq.VLAN, At("vlan0_tci", 13, 3), (Code("OXM_OF_VLAN_PCP", 0x8000, 7, 0, "1.2"),),
          Of1x.EXACT, Of1x.EXACT),
    Field(165, "mpls_label", (), 4, 20, False, True, Format.DEC,
          Prereq.MPLS, At("mpls_lse", 12, 20), (Code("OXM_OF_MPLS_LABEL", 0x8000, 34, 0, "1.2"),),
          Of1x.NONE, Of1x.EXACT),
    Field(166, "mpls_tc", (), 1, 3, False, True, Format.DEC,
          Prereq.MPLS, At("mpls_lse", 9, 3), (Code("OXM_OF_MPLS_TC", 0x8000, 35, 0, "1.2"),),
          Of1x.NONE, Of1x.EXACT),
    Field(167, "mpls_bos", (), 1, 1, False, False, Format.DEC,
          Prereq.MPLS, At("mpls_lse", 8, 1), (Code("OXM_OF_MPLS_BOS", 0x8000, 36, 0, "1.3"),),
          Of1x.NONE, Of1x.NONE),
    Field(168, "mpls_ttl", (), 1, 8, False, True, Format.DEC,
          Prereq.MPLS, At("mpls_lse", 0, 8), (Code("NXM_NX_MPLS_TTL", 0x0001, 30),),
          Of1x.NONE, Of1x.NONE),
    Field(169, "ip_src", ("nw_src",), 4, 32, True, True, Format.IPV4,
          Prereq.IPV4, At("nw_src"),
           (Code("OXM_OF_IPV4_SRC", 0x8000, 11, 0, "1.2"), Code("NXM_OF_IP_SRC", 0x0000, 7),),
          Of1x.CIDR, Of1x.BITWISE),
    Field(170, "ip_dst", ("nw_dst",), 4, 32, True, True, Format.IPV4,
          Prereq.IPV4, At("nw_dst"),
           (Code("OXM_OF_IPV4_DST", 0x8000, 12, 0, "1.2"), Code("NXM_OF_IP_DST", 0x0000, 8),),
          Of1x.CIDR, Of1x.BITWISE),
    Field(171, "ipv6_src", (), 16, 128, True, True, Format.IPV6,
          Prereq.IPV6, At("ipv6_src"),
           (Code("OXM_OF_IPV6_SRC", 0x8000, 26, 0, "1.2"), Code("NXM_NX_IPV6_SRC", 0x0001, 19),),
          Of1x.NONE, Of1x.NONE),
    Field(172, "ipv6_dst", (), 16, 128, True, True, Format.IPV6,
          Prereq.IPV6, At("ipv6_dst"),
           (Code("OXM_OF_IPV6_DST", 0x8000, 27, 0, "1.2"), Code("NXM_NX_IPV6_DST", 0x0001, 20),),
          Of1x.NONE, Of1x.NONE),
    Field(173, "ipv6_label", (), 4, 20, True, True, Format.HEX,
          Prereq.IPV6, At("ipv6_label", 0, 20),
           (Code("OXM_OF_IPV6_FLABEL", 0x8000, 28, 0, "1.2"),
            Code("NXM_NX_IPV6_LABEL", 0x0001, 27),),
          Of1x.NONE, Of1x.NONE),
    Field(174, "nw_proto", ("ip_proto",), 1, 8, False, False, Format.DEC,
          Prereq.IP, At("nw_proto"),
           (Code("OXM_OF_IP_PROTO", 0x8000, 10, 0, "1.2"), Code("NXM_OF_IP_PROTO", 0x0000, 6),),
          Of1x.EXACT, Of1x.EXACT),
    Field(175, "nw_tos", (), 1, 8, False, True, Format.DEC,
          Prereq.IP, At("nw_tos"), (Code("NXM_OF_IP_TOS", 0x0000, 5),),
          Of1x.EXACT, Of1x.EXACT),
    Field(176, "ip_dscp", (), 1, 6, False, True, Format.DEC,
          Prereq.IP, At("nw_tos", 2, 6), (Code("OXM_OF_IP_DSCP", 0x8000, 8, 0, "1.2"),),
          Of1x.EXACT, Of1x.EXACT),
    Field(177, "nw_ecn", ("ip_ecn",), 1, 2, False, True, Format.DEC,
          Prereq.IP, At("nw_tos", 0, 2),
           (Code("OXM_OF_IP_ECN", 0x8000, 9, 0, "1.2"), Code("NXM_NX_IP_ECN", 0x0001, 28),),
          Of1x.NONE, Of1x.EXACT),
    Field(178, "nw_ttl", (), 1, 8, False, True, Format.DEC,
          Prereq.IP, At("nw_ttl"), (Code("NXM_NX_IP_TTL", 0x0001, 29),),
          Of1x.NONE, Of1x.NONE),
    Field(179, "ip_frag", ("nw_frag",), 1, 2, True, False, Format.FRAG,
          Prereq.IP, At("nw_frag", 0, 2), (Code("NXM_NX_IP_FRAG", 0x0001, 26),),
          Of1x.NONE, Of1x.NONE),
    Field(180, "arp_op", (), 2, 16, False, True, Format.DEC,
          Prereq.ARP, At("nw_proto"),
           (Code("OXM_OF_ARP_OP", 0x8000, 21, 0, "1.2"), Code("NXM_OF_ARP_OP", 0x0000, 15),),
          Of1x.EXACT, Of1x.EXACT),
    Field(181, "arp_spa", (), 4, 32, True, True, Format.IPV4,
          Prereq.ARP, At("nw_src"),
           (Code("OXM_OF_ARP_SPA", 0x8000, 22, 0, "1.2"), Code("NXM_OF_ARP_SPA", 0x0000, 16),),
          Of1x.CIDR, Of1x.BITWISE),
    Field(182, "arp_tpa", (), 4, 32, True, True, Format.IPV4,
          Prereq.ARP, At("nw_dst"),
           (Code("OXM_OF_ARP_TPA", 0x8000, 23, 0, "1.2"), Code("NXM_OF_ARP_TPA", 0x0000, 17),),
          Of1x.CIDR, Of1x.BITWISE),
    Field(183, "arp_sha", (), 6, 48, True, True, Format.MAC,
          Prereq.ARP, At("arp_sha"),
           (Code("OXM_OF_ARP_SHA", 0x8000, 24, 0, "1.2"), Code("NXM_NX_ARP_SHA", 0x0001, 17),),
          Of1x.NONE, Of1x.NONE),
    Field(184, "arp_tha", (), 6, 48, True, True, Format.MAC,
          Prereq.ARP, At("arp_tha"),
           (Code("OXM_OF_ARP_THA", 0x8000, 25, 0, "1.2"), Code("NXM_NX_ARP_THA", 0x0001, 18),),
          Of1x.NONE, Of1x.NONE),
    Field(185, "tcp_src", ("tp_src",), 2, 16, True, True, Format.DEC,
          Prereq.TCP, At("tp_src"),
           (Code("OXM_OF_TCP_SRC", 0x8000, 13, 0, "1.2"), Code("NXM_OF_TCP_SRC", 0x0000, 9),),
          Of1x.EXACT, Of1x.EXACT),
    Field(186, "tcp_dst", ("tp_dst",), 2, 16, True, True, Format.DEC,
          Prereq.TCP, At("tp_dst"),
           (Code("OXM_OF_TCP_DST", 0x8000, 14, 0, "1.2"), Code("NXM_OF_TCP_DST", 0x0000, 10),),
          Of1x.EXACT, Of1x.EXACT),
    Field(187, "tcp_flags", (), 2, 12, True, False, Format.TCP_FLAGS,
          Prereq.TCP, At("tcp_flags", 0, 12),
           (Code("ONFOXM_ET_TCP_FLAGS", 0xffff, 42, ONF, "1.3"),
            Code("OXM_OF_TCP_FLAGS", 0x8000, 42, 0, "1.5"),
            Code("NXM_NX_TCP_FLAGS", 0x0001, 34),),
          Of1x.NONE, Of1x.NONE),
    Field(188, "udp_src", (), 2, 16, True, True, Format.DEC,
          Prereq.UDP, At("tp_src"),
           (Code("OXM_OF_UDP_SRC", 0x8000, 15, 0, "1.2"), Code("NXM_OF_UDP_SRC", 0x0000, 11),),
          Of1x.EXACT, Of1x.EXACT),
    Field(189, "udp_dst", (), 2, 16, True, True, Format.DEC,
          Prereq.UDP, At("tp_dst"),
           (Code("OXM_OF_UDP_DST", 0x8000, 16, 0, "1.2"), Code("NXM_OF_UDP_DST", 0x0000, 12),),
          Of1x.EXACT, Of1x.EXACT),
    Field(190, "sctp_src", (), 2, 16, True, True, Format.DEC,
          Prereq.SCTP, At("tp_src"), (Code("OXM_OF_SCTP_SRC", 0x8000, 17, 0, "1.2"),),
          Of1x.NONE, Of1x.EXACT),
    Field(191, "sctp_dst", (), 2, 16, True, True, Format.DEC,
          Prereq.SCTP, At("tp_dst"), (Code("OXM_OF_SCTP_DST", 0x8000, 18, 0, "1.2"),),
          Of1x.NONE, Of1x.EXACT),
    Field(192, "icmp_type", (), 1, 8, False, True, Format.DEC,
          Prereq.ICMPV4, At("tp_src", 0, 8),
           (Code("OXM_OF_ICMPV4_TYPE", 0x8000, 19, 0, "1.2"),
            Code("NXM_OF_ICMP_TYPE", 0x0000, 13),),
          Of1x.EXACT, Of1x.EXACT),
    Field(193, "icmp_code", (), 1, 8, False, True, Format.DEC,
          Prereq.ICMPV4, At("tp_dst", 0, 8),
           (Code("OXM_OF_ICMPV4_CODE", 0x8000, 20, 0, "1.2"),
            Code("NXM_OF_ICMP_CODE", 0x0000, 14),),
          Of1x.EXACT, Of1x.EXACT),
    Field(194, "icmpv6_type", (), 1, 8, False, True, Format.DEC,
          Prereq.ICMPV6, At("tp_src", 0, 8),
           (Code("OXM_OF_ICMPV6_TYPE", 0x8000, 29, 0, "1.2"),
            Code("NXM_NX_ICMPV6_TYPE", 0x0001, 21),),
          Of1x.NONE, Of1x.NONE),
    Field(195, "icmpv6_code", (), 1, 8, False, True, Format.DEC,
          Prereq.ICMPV6, At("tp_dst", 0, 8),
           (Code("OXM_OF_ICMPV6_CODE", 0x8000, 30, 0, "1.2"),
            Code("NXM_NX_ICMPV6_CODE", 0x0001, 22),),
          Of1x.NONE, Of1x.NONE),
    Field(196, "nd_target", (), 16, 128, True, True, Format.IPV6,
          Prereq.ND, At("nd_target"),
           (Code("OXM_OF_IPV6_ND_TARGET", 0x8000, 31, 0, "1.2"),
            Code("NXM_NX_ND_TARGET", 0x0001, 23),),
          Of1x.NONE, Of1x.NONE),
    Field(197, "nd_sll", (), 6, 48, True, True, Format.MAC,
          Prereq.ND_SOLICIT, At("arp_sha"),
           (Code("OXM_OF_IPV6_ND_SLL", 0x8000, 32, 0, "1.2"), Code("NXM_NX_ND_SLL", 0x0001, 24),),
          Of1x.NONE, Of1x.NONE),
    Field(198, "nd_tll", (), 6, 48, True, True, Format.MAC,
          Prereq.ND_ADVERT, At("arp_tha"),
           (Code("OXM_OF_IPV6_ND_TLL", 0x8000, 33, 0, "1.2"), Code("NXM_NX_ND_TLL", 0x0001, 25),),
          Of1x.NONE, Of1x.NONE),
    Field(199, "nd_reserved", (), 4, 32, False, True, Format.DEC,
          Prereq.ND, At("nd_reserved"), (Code("ERICOXM_OF_ICMPV6_ND_RESERVED", 0x1000, 1),),
          Of1x.NONE, Of1x.NONE),
    Field(200, "nd_options_type", (), 1, 8, False, True, Format.DEC,
          Prereq.ND, At("nd_options_type"),
           (Code("ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", 0x1000, 2),),
          Of1x.NONE, Of1x.NONE),
    Field(201, "nsh_flags", (), 1, 8, True, True, Format.DEC,
          Prereq.NSH, At("nsh_flags"), (Code("NXOXM_NSH_FLAGS", 0xffff, 1, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(202, "nsh_mdtype", (), 1, 8, False, False, Format.DEC,
          Prereq.NSH, At("nsh_mdtype"), (Code("NXOXM_NSH_MDTYPE", 0xffff, 2, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(203, "nsh_np", (), 1, 8, False, False, Format.DEC,
          Prereq.NSH, At("nsh_np"), (Code("NXOXM_NSH_NP", 0xffff, 3, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(204, "nsh_spi", ("nsp",), 4, 24, False, True, Format.HEX,
          Prereq.NSH, At("nsh_path", 8, 24), (Code("NXOXM_NSH_SPI", 0xffff, 4, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(205, "nsh_si", ("nsi",), 1, 8, False, True, Format.DEC,
          Prereq.NSH, At("nsh_path", 0, 8), (Code("NXOXM_NSH_SI", 0xffff, 5, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(206, "nsh_c1", ("nshc1",), 4, 32, True, True, Format.HEX,
          Prereq.NSH, At("nsh_c", 0, 32), (Code("NXOXM_NSH_C1", 0xffff, 6, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(207, "nsh_c2", ("nshc2",), 4, 32, True, True, Format.HEX,
          Prereq.NSH, At("nsh_c", 0, 32, index=1), (Code("NXOXM_NSH_C2", 0xffff, 7, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(208, "nsh_c3", ("nshc3",), 4, 32, True, True, Format.HEX,
          Prereq.NSH, At("nsh_c", 0, 32, index=2), (Code("NXOXM_NSH_C3", 0xffff, 8, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(209, "nsh_c4", ("nshc4",), 4, 32, True, True, Format.HEX,
          Prereq.NSH, At("nsh_c", 0, 32, index=3), (Code("NXOXM_NSH_C4", 0xffff, 9, NSH),),
          Of1x.NONE, Of1x.NONE),
    Field(210, "nsh_ttl", (), 1, 8, False, True, Format.DEC,
          Prereq.NSH, At("nsh_ttl"), (Code("NXOXM_NSH_TTL", 0xffff, 10, NSH),),
          Of1x.NONE, Of1x.NONE),)

FIELD: dict[str, Field] = {name: field for field in FIELDS
                           for name in (field.name, *field.aliases)}

# The space of tunnel options as fields of the library's own: pieces, and a bit per option that is
# there. tun_metadataN lies where the TLV map says (vswitchd/openflow/options.py).
OPTION_CHUNK = 16
OPTION_FIELD_ID = max(field.id for field in FIELDS) + 1
OPTION_PRESENT_ID = OPTION_FIELD_ID + MEMBER["tun_metadata"].count // OPTION_CHUNK
OPTION_SPACE: tuple[Field, ...] = (
    *(Field(OPTION_FIELD_ID + n, f"tun_options{n}", (), OPTION_CHUNK, 8 * OPTION_CHUNK, True, True,
            Format.HEX, Prereq.NONE,
            At("tun_metadata", index=n * OPTION_CHUNK, size=OPTION_CHUNK), (), Of1x.NONE, Of1x.NONE)
      for n in range(MEMBER["tun_metadata"].count // OPTION_CHUNK)),
    Field(OPTION_PRESENT_ID, "tun_options_present", (), 8, 64, True, True, Format.HEX, Prereq.NONE,
          At("tun_metadata_present"), (), Of1x.NONE, Of1x.NONE))
