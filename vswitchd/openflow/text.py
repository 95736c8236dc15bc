"""OpenFlow text: values, ports, matches and flows, read and written as ovs-ofctl does.

parse_flow(text, command, ...) -> ParsedFlow      a line of add-flow, del-flows, dump-flows ...
parse_match(text, ...) -> (Match, protocols)      just a match
format_match(match, port_names, priority)         'priority=5,tcp,in_port=1,tp_dst=80'
parse_exact_flow(text, ports)                     a packet's flow, as ofproto/trace takes it
format_flow(values, ...)                          a packet's flow, as ofproto/trace prints it
format_megaflow(match, ...)                       a megaflow, likewise: 'recirc_id=0,eth,tcp,...'
parse_value / format_value                        a field's value, as in set_field
format_actions, parse_actions                     from action_text.py, action_reader.py

Names of ports and tables: parsers take {name: number}, printers {number: name}. Texts of errors are
ovs-ofctl's, without its "ovs-ofctl: ". Any thread; no I/O.
"""

import re
from collections.abc import Callable, Mapping

from schema.openflow.limits import COOKIE_NONE, GROUP_ANY
from schema.flow.fields import Prereq
from vswitchd.openflow import color
from vswitchd.openflow.action_reader import parse_actions, parse_instructions
from vswitchd.openflow.action_text import format_actions
from vswitchd.openflow.action_types import Actions
from vswitchd.openflow.consistency import check
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import (
    ANY, INFO, NONE, NXM, NXM_ANY, NXM_OF11_UP, NXM_OXM_ANY, NXM_TID, OF10, OF10_ANY, OF10_TID,
    OF11, OF11_UP, OF12_UP, OF13_UP, OXM12, OXM13, OXM14, OXM15, OXM_ANY, TID_ANY, Info,
)
from vswitchd.openflow.match import (
    CT_EST, CT_NEW, CT_RPL, ETH_ARP, ETH_IP, ETH_IPV6, ETH_MPLS, ETH_MPLS_MC, ETH_NSH, ETH_RARP,
    ICMP, ICMPV6, IGMP, SCTP, TCP, UDP, FieldDict, Match, add_ethernet, get, normalize,
    prerequisites_hold, put,
)
from vswitchd.openflow.value import Value
from vswitchd.openflow.value_text import (
    CT_NAMES, FRAG_TEXT, TCP_NAMES, TUN_SHOWN, FlowTextError, Names, Numbers, UnknownKeywordError,
    c_integer, format_flags, format_ipv4, format_ipv6, format_mac, format_name,
    format_packet_type, format_port, format_table, format_value, hexadecimal, key_values,
    masked_ip, masked_ipv6, masked_mac, parse_group, parse_port, parse_subfield, parse_table,
    parse_u16, parse_u64, parse_value, sized_integer, warn,
)

DEFAULT_PRIORITY = 32768


# Protocols.


def format_protocols(protocols: int) -> str:
    """A set of protocols as ovs-ofctl names it: 'OpenFlow10,NXM', 'any', 'none'."""
    if not protocols:
        return "none"
    if protocols & ANY == ANY:
        return "any"
    out = []
    for bits, name in _PRINTED:
        if protocols & bits == bits:
            out.append(name)
            protocols &= ~bits
    return ",".join(out)


_PRINTED: tuple[tuple[int, str], ...] = (
    (OF10_ANY, "OpenFlow10"), (NXM_ANY, "NXM"), (OXM_ANY, "OXM"),
    (OF10, "OpenFlow10-table_id"), (OF10_TID, "OpenFlow10+table_id"),
    (NXM, "NXM-table_id"), (NXM_TID, "NXM+table_id"), (OF11, "OpenFlow11"),
    (OXM12, "OXM-OpenFlow12"), (OXM13, "OXM-OpenFlow13"), (OXM14, "OXM-OpenFlow14"),
    (OXM15, "OXM-OpenFlow15"))


# Matches.

# Words that stand for an ethertype and an IP protocol.
_WORDS = {"ip": (ETH_IP, 0), "ipv4": (ETH_IP, 0), "ip4": (ETH_IP, 0), "arp": (ETH_ARP, 0),
          "icmp": (ETH_IP, ICMP), "tcp": (ETH_IP, TCP), "udp": (ETH_IP, UDP),
          "sctp": (ETH_IP, SCTP), "ipv6": (ETH_IPV6, 0), "ip6": (ETH_IPV6, 0),
          "icmp6": (ETH_IPV6, ICMPV6), "tcp6": (ETH_IPV6, TCP), "udp6": (ETH_IPV6, UDP),
          "sctp6": (ETH_IPV6, SCTP), "rarp": (ETH_RARP, 0), "mpls": (ETH_MPLS, 0),
          "mplsm": (ETH_MPLS_MC, 0)}
_PT_ETH = (0, 0xffffffff)


def match_words() -> dict[str, tuple[int, int]]:
    """{word: (ethertype, IP protocol or 0)}, for those who read matches by rows."""
    return _WORDS


def _match_field(fields: FieldDict, info: Info, text: str, ports: Names | None) -> int:
    """Matches a field as its text says; returns the protocols that can carry it."""
    if info.variable and info.name in fields:
        raise FlowTextError(f"field {info.name} set multiple times")
    value, mask = parse_value(info, text or "0/0", ports)
    put(fields, info, value, mask)
    add_ethernet(fields, info)
    return info.usable(mask) if mask or info.variable else ANY


def _match_subfield(fields: FieldDict, name: str, text: str) -> int:
    info, offset, n_bits, rest = parse_subfield(name)
    if rest:
        raise FlowTextError("unexpected input following field syntax")
    value, rest, large = sized_integer(text, 128)
    if rest or large or not text:
        raise FlowTextError(f"{name}: cannot parse integer value: {text}")
    if value >> n_bits:
        raise FlowTextError(f"{name}: value {value:#x} does not fit into {n_bits} bits")
    bits = (1 << n_bits) - 1 << offset
    old_value, old_mask = get(fields, info)
    mask = old_mask | bits
    if mask & info.significant == info.significant:
        mask = info.full
    put(fields, info, old_value & ~bits | value << offset, mask)
    add_ethernet(fields, info)
    return info.usable(mask)


def _match_key(fields: FieldDict, key: str, value: str, ports: Names | None) -> int | None:
    """Takes one key of a flow as a match; None if it is not one."""
    word = _WORDS.get(key)
    if word is not None:
        eth_type, proto = word
        fields["eth_type"] = (eth_type, 0xffff)
        if proto:
            fields["nw_proto"] = (proto, 0xff)
        fields.setdefault("packet_type", _PT_ETH)
        return ANY
    if key == "eth":
        fields["packet_type"] = _PT_ETH
        return ANY
    info = INFO.get(key)
    if info is not None:
        return _match_field(fields, info, value, ports)
    if "[" in key:
        return _match_subfield(fields, key, value)
    return None


def _match_usable(fields: FieldDict) -> int:
    """Protocols left by dependencies between fields: only TLVs can match inside IPv6."""
    kind = fields.get("eth_type", (0, 0))[0]
    packet_type = fields.get("packet_type", (0, 0))[0]
    if packet_type >> 16 == 1:
        kind = packet_type & 0xffff
    if kind == ETH_IPV6 and not fields.keys().isdisjoint(_INSIDE_IPV6):
        return NXM_OXM_ANY
    return ANY


_INSIDE_IPV6 = ("nw_proto", "nw_tos", "tcp_src", "tcp_dst")


def parse_match(text: str, ports: Names | None = None) -> tuple[Match, int]:
    """Reads a match alone: (match, protocols that can carry it). Raises FlowTextError."""
    fields: FieldDict = {}
    usable = ANY
    for key, value in key_values(text):
        found = _match_key(fields, key, value, ports)
        if found is None:
            raise UnknownKeywordError(f"unknown keyword {key}" if value
                                      else f"field {key} missing value")
        usable &= found
    return Match(fields), usable & _match_usable(fields)


# Printing a match.

_NW_NAMES = {ICMP: "icmp", TCP: "tcp", UDP: "udp", SCTP: "sctp"}
_NW6_NAMES = {ICMPV6: "icmp6", TCP: "tcp6", UDP: "udp6", SCTP: "sctp6"}
_ETH_NAMES = {ETH_ARP: "arp", ETH_RARP: "rarp", ETH_MPLS: "mpls", ETH_MPLS_MC: "mplsm"}
_REGS = [f"reg{n}" for n in range(32)]
_METADATA_TUN = [f"tun_metadata{n}" for n in range(64)]
_TUNNEL_KEYS = frozenset({
    "tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst", "tun_gbp_id", "tun_gbp_flags",
    "tun_tos", "tun_ttl", "tun_erspan_ver", "tun_erspan_idx", "tun_erspan_dir", "tun_erspan_hwid",
    "tun_gtpu_flags", "tun_gtpu_msgtype", "tun_flags", *_METADATA_TUN})
_CT_KEYS = frozenset({"ct_state", "ct_zone", "ct_mark", "ct_label", "ct_nw_src", "ct_nw_dst",
                      "ct_ipv6_src", "ct_ipv6_dst", "ct_nw_proto", "ct_tp_src", "ct_tp_dst"})
_REG_KEYS = frozenset(_REGS)
_U32, _U64, _U128 = (1 << 32) - 1, (1 << 64) - 1, (1 << 128) - 1


def _hex_masked(name: str, value: int, mask: int, full: int) -> str:
    if mask == full:
        return f"{name}={hexadecimal(value)}"
    return f"{name}={hexadecimal(value)}/{mask:#x}"


def _dec_masked(name: str, value: int, mask: int, full: int = 0xffff) -> str:
    if mask == full:
        return f"{name}={value}"
    return f"{name}=0x{value:x}/0x{mask:x}"


def format_match(match: Match, port_names: Numbers | None = None,
                 priority: int = DEFAULT_PRIORITY) -> str:
    """A match as ovs-ofctl prints it, with priority in front unless it is the default."""
    text = _format_fields(match.fields, port_names, priority)
    return color.paint_match(text) if color.is_on else text


def format_megaflow(match: Match, port_names: Numbers | None = None) -> str:
    """A megaflow's match as ofproto/trace prints it: with recirc_id and the packet type."""
    fields = match.fields
    if "recirc_id" not in fields:
        fields = {**fields, "recirc_id": (0, _U32)}
    return _format_fields(fields, port_names, DEFAULT_PRIORITY)


def _format_fields(fields: FieldDict, names: Numbers | None, priority: int) -> str:
    out: list[str] = []
    add = out.append
    if priority != DEFAULT_PRIORITY:
        add(f"priority={priority}")
    if not fields:
        return ",".join(out)
    get_pair = fields.get
    is_megaflow = False
    for name in ("pkt_mark", "recirc_id", "dp_hash"):
        if name in fields:
            value, mask = fields[name]
            add(_hex_masked(name, value, mask, _U32))
            is_megaflow = is_megaflow or name == "recirc_id"
    if "conj_id" in fields:
        add(f"conj_id={fields['conj_id'][0]}")
    if "skb_priority" in fields:
        add(_hex_masked("skb_priority", *fields["skb_priority"], _U32))
    if "actset_output" in fields:
        add(f"actset_output={format_port(fields['actset_output'][0], names)}")
    if not _CT_KEYS.isdisjoint(fields):
        _format_ct(fields, add)
    packet_type, packet_mask = get_pair("packet_type", (0, 0))
    dl_type, dl_mask = get_pair("eth_type", (0, 0))
    if packet_mask and (packet_type or is_megaflow):
        add("eth" if not packet_type else f"packet_type={format_packet_type(packet_type)}")
        if packet_type >> 16 == 1:
            dl_type = packet_type & 0xffff
    proto, proto_mask = get_pair("nw_proto", (0, 0))
    show_type, show_proto = bool(dl_mask), bool(proto_mask)
    if dl_mask:
        show_type = False
        by_proto = _NW_NAMES if dl_type == ETH_IP else _NW6_NAMES if dl_type == ETH_IPV6 else None
        if by_proto is not None:
            word = by_proto.get(proto) if proto_mask else None
            show_proto = show_proto and word is None
            add(word or ("ip" if dl_type == ETH_IP else "ipv6"))
        elif dl_type in _ETH_NAMES:
            add(_ETH_NAMES[dl_type])
        else:
            show_type = True
    if not _REG_KEYS.isdisjoint(fields):
        for name in _REGS:
            if name in fields:
                add(_hex_masked(name, *fields[name], _U32))
    if not _TUNNEL_KEYS.isdisjoint(fields):
        _format_tunnel(fields, add)
    if "metadata" in fields:
        add(_hex_masked("metadata", *fields["metadata"], _U64))
    if "in_port" in fields:
        add(f"in_port={format_port(fields['in_port'][0], names)}")
    _format_vlans(fields, add)
    for key, name in (("eth_src", "dl_src"), ("eth_dst", "dl_dst")):
        if key in fields:
            add(f"{name}={masked_mac(*fields[key])}")
    if show_type:
        add(f"dl_type=0x{dl_type:04x}")
    _format_l3(fields, dl_type, proto, show_proto, add)
    _format_l4(fields, dl_type, proto, add)
    return ",".join(out)


def _format_ct(fields: FieldDict, add: Callable[[str], None]) -> None:
    if "ct_state" in fields:
        value, mask = fields["ct_state"]
        add(f"ct_state={format_flags(CT_NAMES, value, mask, 0xff)}")
    if "ct_zone" in fields:
        add(_dec_masked("ct_zone", *fields["ct_zone"]))
    if "ct_mark" in fields:
        add(_hex_masked("ct_mark", *fields["ct_mark"], _U32))
    if "ct_label" in fields:
        add(_hex_masked("ct_label", *fields["ct_label"], _U128))
    for name, form in (("ct_nw_src", masked_ip), ("ct_ipv6_src", masked_ipv6),
                       ("ct_nw_dst", masked_ip), ("ct_ipv6_dst", masked_ipv6)):
        if name in fields:
            add(f"{name}={form(*fields[name])}")
    if "ct_nw_proto" in fields:
        add(f"ct_nw_proto={fields['ct_nw_proto'][0]}")
        for name in ("ct_tp_src", "ct_tp_dst"):
            if name in fields:
                add(_dec_masked(name, *fields[name]))


def _format_tunnel(fields: FieldDict, add: Callable[[str], None]) -> None:
    if "tun_id" in fields:
        add(_hex_masked("tun_id", *fields["tun_id"], _U64))
    for name, form in (("tun_src", masked_ip), ("tun_dst", masked_ip),
                       ("tun_ipv6_src", masked_ipv6), ("tun_ipv6_dst", masked_ipv6)):
        if name in fields:
            add(f"{name}={form(*fields[name])}")
    if "tun_gbp_id" in fields:
        add(_dec_masked("tun_gbp_id", *fields["tun_gbp_id"]))
    if "tun_gbp_flags" in fields:
        add(f"tun_gbp_flags={hexadecimal(fields['tun_gbp_flags'][0])}")
    if "tun_tos" in fields:
        add(f"tun_tos={fields['tun_tos'][0]:x}")
    if "tun_ttl" in fields:
        add(f"tun_ttl={fields['tun_ttl'][0]}")
    version = fields.get("tun_erspan_ver", (0, 0))
    if version[1]:
        add(f"tun_erspan_ver={version[0]}")
    for name, when, form in (("tun_erspan_idx", 1, hexadecimal), ("tun_erspan_dir", 2, str),
                             ("tun_erspan_hwid", 2, hexadecimal)):
        if name in fields and version[0] == when:
            add(f"{name}={form(fields[name][0])}")
    if "tun_gtpu_flags" in fields:
        add(f"gtpu_flags={hexadecimal(fields['tun_gtpu_flags'][0])}")
    if "tun_gtpu_msgtype" in fields:
        add(f"gtpu_msgtype={fields['tun_gtpu_msgtype'][0]}")
    if "tun_flags" in fields:
        value, mask = fields["tun_flags"]
        add(f"tun_flags={format_flags(TUN_SHOWN, value, mask, 0xf)}")
    for name in _METADATA_TUN:
        if name in fields:
            add(_tun_metadata(name, *fields[name]))


ABSENT = -1                     # the value of a tunnel option that must not be there


def _tun_metadata(name: str, value: int, mask: int) -> str:
    if value == ABSENT:
        return f"{name}=NP"
    if not mask:
        return name
    ones = INFO[name].full
    if mask == ones or not mask + 1 & mask and mask.bit_length() % 8 == 0:
        return f"{name}={hexadecimal(value)}"
    return f"{name}={hexadecimal(value)}/{mask:#x}"


def _format_vlans(fields: FieldDict, add: Callable[[str], None]) -> None:
    for key, suffix in (("vlan_tci", ""), ("vlan1_tci", "1")):
        pair = fields.get(key)
        if pair is None:
            return
        tci, mask = pair
        vid_mask, pcp_mask = mask & 0xfff, mask & 0xe000
        if (mask & tci & 0x1000 and vid_mask in (0, 0xfff) and pcp_mask in (0, 0xe000)
                and (vid_mask or pcp_mask)):
            if vid_mask:
                add(f"dl_vlan{suffix}={tci & 0xfff}")
            if pcp_mask:
                add(f"dl_vlan_pcp{suffix}={tci >> 13}")
        elif mask == 0xffff:
            add(f"vlan_tci{suffix}=0x{tci:04x}")
        else:
            add(f"vlan_tci{suffix}=0x{tci:04x}/0x{mask:04x}")


def _format_l3(fields: FieldDict, dl_type: int, proto: int, show_proto: bool,
               add: Callable[[str], None]) -> None:
    is_arp = dl_type in (ETH_ARP, ETH_RARP)
    if dl_type == ETH_IPV6:
        for name in ("ipv6_src", "ipv6_dst"):
            if name in fields:
                add(f"{name}={masked_ipv6(*fields[name])}")
        if "ipv6_label" in fields:
            value, mask = fields["ipv6_label"]
            add(f"ipv6_label=0x{value:05x}" if mask & 0xfffff == 0xfffff
                else f"ipv6_label=0x{value:05x}/0x{mask:05x}")
    elif dl_type == ETH_NSH:
        _format_nsh(fields, add)
    else:
        for key, name in (("ip_src", "arp_spa" if is_arp else "nw_src"),
                          ("ip_dst", "arp_tpa" if is_arp else "nw_dst")):
            if key in fields:
                add(f"{name}={masked_ip(*fields[key])}")
    if show_proto:
        add(f"arp_op={proto}" if is_arp else f"nw_proto={proto}")
    if is_arp:
        for name in ("arp_sha", "arp_tha"):
            if name in fields:
                add(f"{name}={masked_mac(*fields[name])}")
    tos, tos_mask = fields.get("nw_tos", (0, 0))
    if tos_mask & 0xfc:
        add(f"nw_tos={tos & 0xfc}")
    if tos_mask & 0x03:
        add(f"nw_ecn={tos & 0x03}")
    if "nw_ttl" in fields:
        add(f"nw_ttl={fields['nw_ttl'][0]}")
    for name in ("mpls_label", "mpls_tc", "mpls_ttl", "mpls_bos"):
        if name in fields:
            add(f"{name}={fields[name][0]}")
    for name in ("mpls_lse1", "mpls_lse2"):
        if name in fields:
            value, mask = fields[name]
            add(f"{name}={value}" if mask == _U32 else f"{name}=0x{value:08x}/0x{mask:08x}")
    if "ip_frag" in fields:
        add(f"nw_frag={FRAG_TEXT.get(fields['ip_frag'], '<error>')}")


def _format_nsh(fields: FieldDict, add: Callable[[str], None]) -> None:
    for name in ("nsh_flags", "nsh_ttl", "nsh_mdtype", "nsh_np"):
        if name in fields:
            value, mask = fields[name]
            add(f"{name}={value}" if mask == 0xff else f"{name}=0x{value:02x}/0x{mask:02x}")
    if "nsh_spi" in fields:
        value, mask = fields["nsh_spi"]
        add(f"nsh_spi=0x{value:x}" + (f"/0x{mask:x}" if mask != 0xffffff else ""))
    if "nsh_si" in fields:
        value, mask = fields["nsh_si"]
        add(f"nsh_si={value}" if mask == 0xff else f"nsh_si=0x{value:02x}/0x{mask:02x}")
    if fields.get("nsh_mdtype", (0, 0))[0] == 1:
        for name in ("nsh_c1", "nsh_c2", "nsh_c3", "nsh_c4"):
            if name in fields:
                value, mask = fields[name]
                add(f"{name}=0x{value:x}" if mask == _U32 else f"{name}=0x{value:x}/0x{mask:x}")


def _format_l4(fields: FieldDict, dl_type: int, proto: int, add: Callable[[str], None]) -> None:
    is_nd = False
    if dl_type == ETH_IP and proto == ICMP or dl_type == ETH_IPV6 and proto == ICMPV6:
        names = ("icmp_type", "icmp_code")
        is_nd = dl_type == ETH_IPV6
    else:
        names = ("tp_src", "tp_dst")
    for key, name in zip(("tcp_src", "tcp_dst"), names):
        if key in fields:
            add(_dec_masked(name, *fields[key]))
    if is_nd:
        if "nd_target" in fields:
            add(f"nd_target={masked_ipv6(*fields['nd_target'])}")
        for key, name in (("arp_sha", "nd_sll"), ("arp_tha", "nd_tll")):
            if key in fields:
                add(f"{name}={masked_mac(*fields[key])}")
        for name, full in (("nd_reserved", _U32), ("nd_options_type", 0xff)):
            if name in fields:
                add(_dec_masked(name, *fields[name], full))
    elif proto == TCP and dl_type in (ETH_IP, ETH_IPV6) and "tcp_flags" in fields:
        value, mask = fields["tcp_flags"]
        add(f"tcp_flags={format_flags(TCP_NAMES, value & 0xfff, mask & 0xfff, 0xfff)}")


# A packet's flow: what it always has, by what it is. Of the metadata only what is not 0 is shown.
_FLOW_METADATA = ("pkt_mark", "recirc_id", "dp_hash", "skb_priority", "ct_state", "ct_zone",
                  "ct_mark", "ct_label", *_REGS, "metadata", "in_port")
_FLOW_TUNNEL = ("tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst", "tun_gbp_id",
                "tun_gbp_flags", "tun_tos", "tun_ttl", "tun_erspan_ver", "tun_erspan_idx",
                "tun_erspan_dir", "tun_erspan_hwid", "tun_gtpu_flags", "tun_gtpu_msgtype",
                "tun_flags")
_FULL_MASKS = {"tcp_flags": 0xfff, "ct_state": 0xff, "ip_frag": 3, "tun_flags": 0xf,
               "mpls_lse1": _U32, "mpls_lse2": _U32, "vlan1_tci": 0xffff, "nsh_spi": 0xffffff}
_TUNNEL_KEY = 0x8
_MPLS_BOTTOM = 0x100


def format_flow(values: Mapping[str, int], port_names: Numbers | None = None) -> str:
    """A packet's flow as ofproto/trace and packet-in print it.

    values: {key: value} with the keys of Match (tcp_src for every protocol's source port, vlan_tci
    and vlan1_tci, eth_type ...) and mpls_lse1, mpls_lse2; keys it lacks are 0.
    """
    get_value = values.get
    fields: FieldDict = {}

    def show(*keys: str) -> None:
        for key in keys:
            fields[key] = (get_value(key, 0), _FULL_MASKS.get(key) or INFO[key].full)

    show(*(key for key in _FLOW_METADATA if get_value(key)))
    packet_type = get_value("packet_type", 0)
    fields["packet_type"] = (packet_type, _U32)
    dl_type = packet_type & 0xffff if packet_type >> 16 == 1 else get_value("eth_type", 0)
    if get_value("tun_dst") or get_value("tun_ipv6_dst"):
        if get_value("tun_flags", 0) & _TUNNEL_KEY:
            show("tun_id")
        show(*_FLOW_TUNNEL, *(key for key in _METADATA_TUN if key in values))
    elif get_value("tun_id"):
        show("tun_id")
    if dl_type in (ETH_IP, ETH_IPV6):
        has_tuple = get_value("ct_state", 0) & _CT_VALID and get_value("ct_nw_proto")
        if has_tuple:
            show("ct_nw_proto", "ct_tp_src", "ct_tp_dst")
        # The reference shows them always where the packet type alone says what it is.
        if has_tuple or packet_type and not get_value("eth_type"):
            show(*(("ct_nw_src", "ct_nw_dst") if dl_type == ETH_IP
                   else ("ct_ipv6_src", "ct_ipv6_dst")))
    if not packet_type:
        show("eth_src", "eth_dst", "eth_type", "vlan_tci")
        if get_value("vlan_tci"):
            show("vlan1_tci")
    _flow_layers(values, dl_type, show)
    return _format_fields(fields, port_names, DEFAULT_PRIORITY)


_CT_VALID = 0x0b                                 # new, est, rpl: the original tuple is known


def _flow_layers(values: Mapping[str, int], dl_type: int, show: Callable[..., None]) -> None:
    """What is shown of a packet above Ethernet."""
    if dl_type == ETH_IP:
        show("ip_src", "ip_dst")
    elif dl_type == ETH_IPV6:
        show("ipv6_src", "ipv6_dst", "ipv6_label")
    elif dl_type in (ETH_ARP, ETH_RARP):
        show("ip_src", "ip_dst", "nw_proto", "arp_sha", "arp_tha")
        return
    elif dl_type in (ETH_MPLS, ETH_MPLS_MC):
        show("mpls_label", "mpls_tc", "mpls_ttl", "mpls_bos")
        if not values.get("mpls_bos"):
            show("mpls_lse1")
            if not values.get("mpls_lse1", 0) & _MPLS_BOTTOM:
                show("mpls_lse2")
        return
    elif values.get("eth_type") == ETH_NSH:     # The packet type does not say enough.
        show("nsh_flags", "nsh_ttl", "nsh_mdtype", "nsh_np", "nsh_spi", "nsh_si", "nsh_c1",
             "nsh_c2", "nsh_c3", "nsh_c4", "nw_proto", "nw_ttl", "ip_frag")
        show("nw_tos")
        return
    else:
        return
    show("nw_proto", "nw_tos", "nw_ttl", "ip_frag")
    if values.get("ip_frag", 0) & 2:
        return
    proto = values.get("nw_proto", 0)
    if proto in (TCP, UDP, SCTP, ICMP, IGMP, ICMPV6):
        show("tcp_src", "tcp_dst")
    if proto == TCP:
        show("tcp_flags")
    elif (dl_type == ETH_IPV6 and proto == ICMPV6 and values.get("tcp_src", 0) in (135, 136)
          and not values.get("tcp_dst")):
        show("nd_target", "arp_sha", "arp_tha")


_TRACKED = CT_NEW | CT_EST | CT_RPL         # one of them is set where there is a connection


def parse_exact_flow(text: str, ports: Names | None = None) -> dict[str, int]:
    """Reads one packet's flow, as ofproto/trace takes it: {key of Match: value}.

    Fields must come after what they need, once, and without masks. in_port is 0xffff if it is not
    given. Raises FlowTextError.
    """
    values = {key: value for key, (value, _) in parse_exact_fields(text, ports).items()}
    if not values.get("in_port"):
        values["in_port"] = NONE
    return values


def parse_exact_fields(text: str, ports: Names | None = None) -> FieldDict:
    """Reads fields of a packet's flow, as dpctl/dump-flows takes them: {key of Match: (value,
    mask)}. They must come after what they need, once, and without masks. Raises FlowTextError."""
    fields: FieldDict = {}
    for key, value_text in key_values(text):
        word = _WORDS.get(key)
        if word is not None:
            kind, proto = word
            if fields.get("eth_type", (0, 0))[0]:
                raise FlowTextError(f"{text}: Ethernet type set multiple times")
            fields["eth_type"] = (kind, 0xffff)
            if proto:
                if fields.get("nw_proto", (0, 0))[0]:
                    raise FlowTextError(f"{text}: network protocol set multiple times")
                fields["nw_proto"] = (proto, 0xff)
            continue
        info = INFO.get(key)
        if info is None:
            raise FlowTextError(f"{text}: unknown field {key}")
        if not prerequisites_hold(fields, info) or (
                info.prereq is Prereq.CT and not fields["ct_state"][0] & _TRACKED):
            raise FlowTextError(f"{text}: prerequisites not met for setting {key}")
        if get(fields, info)[0]:
            raise FlowTextError(f"{text}: field {key} set multiple times")
        try:
            value, mask = parse_value(info, value_text, ports)
            if mask != info.full:
                raise FlowTextError(f"{value_text}: wildcards not allowed here")
        except FlowTextError as error:
            raise FlowTextError(f"{text}: bad value for {key} ({error})") from None
        put(fields, info, value, mask)
    return fields


# Flows.

SEND_FLOW_REM, CHECK_OVERLAP, RESET_COUNTS, NO_PACKET_COUNTS, NO_BYTE_COUNTS = 1, 2, 4, 8, 16
_FLAGS = {"send_flow_rem": (SEND_FLOW_REM, ANY), "check_overlap": (CHECK_OVERLAP, ANY),
          "reset_counts": (RESET_COUNTS, OF12_UP),
          "no_packet_counts": (NO_PACKET_COUNTS, OF13_UP),
          "no_byte_counts": (NO_BYTE_COUNTS, OF13_UP)}
_IGNORED = frozenset({"duration", "n_packets", "n_bytes", "idle_age", "hard_age"})
_NO_OPS = frozenset({"no_readonly_table", "allow_hidden_fields"})

# Keys that each command takes beside the match.
_TAKES = {
    "add": frozenset({"actions", "timeout", "priority", "flags", "importance"}),
    "modify": frozenset({"actions", "timeout", "priority", "flags"}),
    "modify_strict": frozenset({"actions", "timeout", "priority", "flags"}),
    "delete": frozenset({"out_port"}),
    "delete_strict": frozenset({"out_port", "priority"}),
    "match": frozenset({"out_port"}),
}
_COMMANDS = ("add", "delete", "delete_strict", "modify", "modify_strict")


class ParsedFlow(Value):
    """What a flow's text says; the members are those of a flow_mod.

    table: 255 if none was named. new_cookie: all ones leaves it as it is. usable: the protocols
    (fields.py) that can carry it.
    """

    command: str
    match: Match
    priority: int
    actions: Actions
    table: int
    cookie: int
    cookie_mask: int
    new_cookie: int
    modify_cookie: bool
    idle_timeout: int
    hard_timeout: int
    importance: int
    out_port: int
    out_group: int
    flags: int
    usable: int


def note_normal(match: Match, note: Callable[[str, str], None]) -> Match:
    """The normalized match; `note` is told (log module, text) of what was dropped."""
    normal = normalize(match)
    if normal is not match:
        for line in ("normalization changed ofp_match, details:",
                     f" pre: {format_match(match, None)}", f"post: {format_match(normal, None)}"):
            note("ofp_match", line)
    return normal


def parse_flow(text: str, command: str = "add", ports: Names | None = None,
               tables: Names | None = None) -> ParsedFlow:
    """Reads a flow.

    command: 'add', 'modify', 'modify_strict', 'delete', 'delete_strict'; 'match' for what a
    statistics request selects; 'auto' if the text begins with the command itself (default add).
    Raises FlowTextError.
    """
    if command == "auto":
        command, text = _leading_command(text)
    takes = _TAKES[command]
    action_text = None
    if "actions" in takes:
        at = text.find("action")
        equals = text.find("=", at) if at >= 0 else -1
        if equals < 0:
            raise FlowTextError("must specify an action")
        text, action_text = text[:at], text[equals + 1:]
    flow = _FlowReader(command, takes, ports, tables)
    for key, value in key_values(text):
        flow.take(key, value)
    return flow.finish(action_text)


def _leading_command(text: str) -> tuple[str, str]:
    stripped = text.lstrip(" \t\r\n")
    word = re.match(r"[^, \t\r\n]*", stripped)[0]
    for command in _COMMANDS:
        if command.startswith(word) and word:
            return command, stripped[len(word):]
    return "add", stripped


class _FlowReader:
    """A flow while its keys are read."""

    __slots__ = ("command", "takes", "ports", "tables", "fields", "usable", "priority", "table",
                 "cookie", "cookie_mask", "new_cookie", "modify_cookie", "idle_timeout",
                 "hard_timeout", "importance", "out_port", "out_group", "flags")

    def __init__(self, command: str, takes: frozenset[str], ports: Names | None,
                 tables: Names | None) -> None:
        self.command, self.takes, self.ports, self.tables = command, takes, ports, tables
        self.fields: FieldDict = {}
        self.usable = ANY
        self.priority, self.table = DEFAULT_PRIORITY, 0xff
        self.cookie = self.cookie_mask = 0
        self.new_cookie = COOKIE_NONE if command.startswith("modify") else 0
        self.modify_cookie = False
        self.idle_timeout = self.hard_timeout = self.importance = self.flags = 0
        self.out_port, self.out_group = NONE, GROUP_ANY

    def take(self, key: str, value: str) -> None:
        takes = self.takes
        if key in _FLAGS and "flags" in takes:
            bit, usable = _FLAGS[key]
            self.flags |= bit
            self.usable &= usable
            return
        if key in _NO_OPS:
            return
        found = _match_key(self.fields, key, value, self.ports)
        if found is not None:
            self.usable &= found
            return
        if not value:
            raise FlowTextError(f"field {key} missing value")
        if key == "table":
            table = parse_table(value, self.tables)
            if table is None:
                raise FlowTextError(f'unknown table "{value}"')
            self.table = table
            if table != 0xff:
                self.usable &= TID_ANY
        elif key == "priority" and "priority" in takes:
            self.priority = parse_u16(value, key)
        elif key == "cookie":
            self._take_cookie(value)
        elif key in ("idle_timeout", "hard_timeout") and "timeout" in takes:
            setattr(self, key, parse_u16(value, key))
        elif key == "importance" and "importance" in takes:
            self.importance = parse_u16(value, key)
        elif key == "out_port" and "out_port" in takes:
            port = parse_port(value, self.ports)
            if port is None:
                raise FlowTextError(f"{value} is not a valid OpenFlow port")
            self.out_port = port
        elif key == "out_group" and "out_port" in takes:
            self.usable &= OF11_UP
            group = parse_group(value)
            if group is None:
                raise FlowTextError(f"{value} is not a valid OpenFlow group")
            self.out_group = group
        elif key not in _IGNORED:
            raise FlowTextError(f"unknown keyword {key}")

    def _take_cookie(self, text: str) -> None:
        value, slash, mask = text.partition("/")
        if slash:
            if self.command == "add":
                raise FlowTextError("flow additions cannot use a cookie mask")
            self.cookie, self.cookie_mask = parse_u64(value), parse_u64(mask)
            if self.cookie_mask:
                self.usable &= NXM_OF11_UP
        else:
            if not self.command.startswith(("add", "modify")):
                raise FlowTextError("cannot set cookie (to match on a cookie, specify a mask, "
                                    f"e.g. cookie={text}/-1)")
            self.new_cookie = parse_u64(value)
            self.modify_cookie = True

    def finish(self, action_text: str | None) -> ParsedFlow:
        match = Match(self.fields)
        usable = self.usable & _match_usable(self.fields)
        if (self.command.startswith("modify") and not self.cookie_mask
                and self.new_cookie == COOKIE_NONE):
            self.new_cookie = 0                  # a modify without match on a cookie may add
        actions: Actions = ()
        if action_text is not None:
            actions, parsed = parse_instructions(action_text, self.ports, self.tables)
            usable &= parsed
            try:
                actions, checked = check(actions, match, table=self.table)
                usable &= checked
                if not usable:
                    raise OpenFlowError("OFPBAC_MATCH_INCONSISTENT")
            except OpenFlowError as error:
                for module, line in error.log:
                    warn(module, line)
                raise FlowTextError("actions are invalid with specified match "
                                    f"({error.name})") from None
        return ParsedFlow(self.command, match, self.priority, actions, self.table, self.cookie,
                          self.cookie_mask, self.new_cookie, self.modify_cookie, self.idle_timeout,
                          self.hard_timeout, self.importance, self.out_port, self.out_group,
                          self.flags, usable)


__all__ = [
    "FlowTextError", "ParsedFlow", "c_integer", "format_actions", "format_flags", "format_flow",
    "format_ipv4", "format_ipv6", "format_mac", "format_match", "format_megaflow",
    "format_name", "format_port", "format_protocols", "format_table", "format_value",
    "hexadecimal", "key_values", "parse_actions", "parse_exact_flow", "parse_flow", "parse_group",
    "parse_instructions", "parse_match", "parse_port", "parse_subfield", "parse_table",
    "parse_value",
]
