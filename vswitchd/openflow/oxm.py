"""Matches on the wire: NXM and OXM, and the fixed-size matches of OpenFlow 1.0 and 1.1.

decode_nxm(data, ...) -> (Match, cookie, cookie mask)    the TLVs themselves
encode_nxm(match, version, ...) -> bytes                 version 0 or 1, 2: NXM; 3 to 6: OXM
decode_match(data, offset, version) / encode_match(match, version)
        the whole `struct ofp_match` of messages in OpenFlow 1.0 (40 bytes), 1.1 (88) and 1.2 and
        later (TLVs with header and padding)
pull_entry / put_entry / pull_header / put_header: single TLVs, as actions carry them.

Errors are OpenFlowError with the OFPBMC_* that the reference gives. Any thread.
"""

import struct

from schema.flow.fields import Prereq
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import BY_CODE, COOKIE_CODE, INFO, Info
from vswitchd.openflow.match import (
    ETH_ARP, ETH_IP, ETH_IPV6, ETH_MPLS, ETH_MPLS_MC, ETH_RARP, ICMP, ICMPV6, SCTP, TCP,
    UDP, EMPTY, FieldDict, Match, Step, eth_type, get, is_wild, port_from_11, port_to_11, step_of,
)

_U32 = struct.Struct("!I")
_HEADER = struct.Struct("!HBB")
_MODULE = "nx_match"
_WILD = (0, 0)
_ETHERNET = (0, 0xffffffff)

_STEP = {info.name: step_of(info) for info in BY_CODE.values()}
# Header of four bytes -> (steps, length of value, has a mask), for all fields without experimenter.
QUICK: dict[int, tuple[Step, int, bool]] = {}
for (_key, _vendor), _info in BY_CODE.items():
    if not _vendor and not _info.variable:
        QUICK[_key << 9 | _info.size] = (_STEP[_info.name], _info.size, False)
        QUICK[_key << 9 | 0x100 | _info.size * 2] = (_STEP[_info.name], _info.size, True)


def _error(name: str, reason: str, offset: int = 0) -> OpenFlowError:
    return OpenFlowError(name, reason, _MODULE, offset)


def pull_header(data: bytes, at: int, end: int) -> tuple[Info | None, int, int, bool, int]:
    """Reads an OXM header: (field or None, its code, payload length, has a mask, next offset).

    Raises OFPBMC_BAD_LEN if it is cut off. A field whose length is not the table's is unknown.
    """
    if end - at < 4:
        raise _error("OFPBMC_BAD_LEN", f"encountered partial ({end - at}-byte) OXM entry", at)
    oxm_class, field, length = _HEADER.unpack_from(data, at)
    vendor = 0
    next_at = at + 4
    if oxm_class == 0xffff:
        if end - at < 8:
            raise _error("OFPBMC_BAD_LEN", f"encountered partial ({end - at}-byte) OXM entry", at)
        if length < 4:
            text = (f"OXM header {_U32.unpack_from(data, next_at)[0]:#x}:{oxm_class}:{field >> 1}:"
                    f"{field & 1}:{length} has invalid length {length} (minimum is 8)")
            raise OpenFlowError("OFPBMC_BAD_LEN", text, _MODULE, at, ((_MODULE, text),))
        vendor = _U32.unpack_from(data, next_at)[0]
        length -= 4
        next_at += 4
    masked = bool(field & 1)
    code = oxm_class << 7 | field >> 1
    info = BY_CODE.get((code, vendor))
    if info is not None:
        size = length // 2 if masked else length
        if size > info.size if info.variable else size != info.size:
            info = None
    return info, code, length, masked, next_at


def _fit(info: Info, data: bytes, error: str, at: int) -> int:
    """Reads a value that may be wider than the field if what is too much is zero."""
    value = int.from_bytes(data, "big")
    if value > info.full:
        raise _error(error, f"{info.name}: value is too long", at)
    return value


def pull_entry(data: bytes, at: int, end: int, masks: bool,
               action: bool = False) -> tuple[Info, int, int, int]:
    """Reads one TLV: (field, value, mask, next offset). A mask is an error unless `masks`.

    action: the TLV belongs to a set_field action, whose errors are OFPBAC_BAD_SET_*.
    """
    info, code, length, masked, start = pull_header(data, at, end)
    if info is None:
        if action and (code, 0) in BY_CODE:
            raise _error("OFPBAC_BAD_SET_LEN", "OXM header has a wrong length", at)
        _skip(data, at, start, length, end, masked)
        if action:
            raise _error("OFPBAC_BAD_SET_TYPE", "OXM header is unknown", at)
        raise _error("OFPBMC_BAD_FIELD", "OXM header is unknown", at)
    next_at = start + length
    if next_at > end:
        raise _error("OFPBMC_BAD_LEN",
                     f"OXM header calls for {length}-byte payload but only {end - start} bytes "
                     "are left", at)
    if not masked:
        return info, _fit(info, data[start:next_at], "OFPBMC_BAD_VALUE", at), info.full, next_at
    half = start + length // 2
    value = _fit(info, data[start:half], "OFPBMC_BAD_VALUE", at)
    mask = _fit(info, data[half:half + length // 2], "OFPBMC_BAD_MASK", at)
    if value & ~mask:
        raise _wildcards(data, at)
    if not masks:
        raise _error("OFPBMC_BAD_MASK", "OXM header includes mask but was not expected to", at)
    return info, value, mask, next_at


def _skip(data: bytes, at: int, start: int, length: int, end: int, masked: bool) -> int:
    """Passes over the payload of an unknown field, which must be sound all the same."""
    next_at = start + length
    if next_at > end:
        raise _error("OFPBMC_BAD_LEN",
                     f"OXM header calls for {length}-byte payload but only {end - start} bytes "
                     "are left", at)
    if masked:
        half = start + length // 2
        mask = int.from_bytes(data[half:half + length // 2], "big")
        if int.from_bytes(data[start:half], "big") & ~mask:
            raise _wildcards(data, at)
    return next_at


def _wildcards(data: bytes, at: int) -> OpenFlowError:
    oxm_class, field, length = _HEADER.unpack_from(data, at)
    vendor = _U32.unpack_from(data, at + 4)[0] if oxm_class == 0xffff else 0
    shown = f"{vendor:#x}" if vendor else "0"
    text = (f"Rejecting NXM/OXM entry {shown}:{oxm_class}:{field >> 1}:{field & 1}:{length} with "
            "1-bits in value for bits wildcarded by the mask.")
    return OpenFlowError("OFPBMC_BAD_WILDCARDS", text, _MODULE, at, ((_MODULE, text),))


def decode_nxm(data: bytes, start: int = 0, end: int | None = None, *, strict: bool = True,
               cookie: bool = False, pipeline: bool = False) -> tuple[Match, int, int]:
    """Decodes TLVs to (match, cookie, cookie mask).

    strict: unknown fields and missing prerequisites are errors, else they do not matter.
    cookie: NXM_NX_COOKIE may be among them. pipeline: only pipeline fields may be (packet-out).
    """
    if end is None:
        end = len(data)
    elif end > len(data):
        raise _error("OFPBMC_BAD_LEN", f"match ends {end - len(data)} bytes behind the message")
    fields: FieldDict = {}
    cookie_value = cookie_mask = 0
    at = start
    quick = QUICK
    read = _U32.unpack_from
    from_bytes = int.from_bytes
    while at < end:
        known = quick.get(read(data, at)[0]) if end - at >= 4 else None
        if known is not None and not (cookie and known[0].info.name == "mpls_ttl"):
            step, size, masked = known
            info = step.info
            value_at = at + 4
            middle = value_at + size
            next_at = middle + size if masked else middle
            if next_at > end:
                raise _error("OFPBMC_BAD_LEN",
                             f"OXM header calls for {next_at - value_at}-byte payload but only "
                             f"{end - value_at} bytes are left", at)
            value = from_bytes(data[value_at:middle], "big")
            if masked:
                mask = from_bytes(data[middle:next_at], "big")
                if value & ~mask:
                    raise _wildcards(data, at)
                if mask != info.full and mask and not info.maskable:
                    raise _error("OFPBMC_BAD_MASK", f"bad mask for field {info.name}", at)
            else:
                mask = info.full
        else:
            info, code, length, masked, value_at = pull_header(data, at, end)
            if cookie and code == COOKIE_CODE and length == (16 if masked else 8):
                if value_at + length > end:
                    raise _error("OFPBMC_BAD_LEN", "OXM cookie is cut off", at)
                if cookie_mask:
                    raise _error("OFPBMC_DUP_FIELD", "error parsing OXM", at)
                cookie_value = from_bytes(data[value_at:value_at + 8], "big")
                cookie_mask = (from_bytes(data[value_at + 8:value_at + 16], "big")
                               if masked else (1 << 64) - 1)
                at = value_at + length
                continue
            if info is None:
                next_at = _skip(data, at, value_at, length, end, masked)
                if strict:
                    raise _error("OFPBMC_BAD_FIELD", "error parsing OXM: field is unknown", at)
                at = next_at
                continue
            info, value, mask, next_at = pull_entry(data, at, end, True)
            if mask != info.full and mask and not info.maskable:
                raise _error("OFPBMC_BAD_MASK", f"bad mask for field {info.name}", at)
            step = _STEP[info.name]
        _, prerequisite, is_valid, special, key, bits, says_ethernet = step
        if is_valid is not None and not is_valid(value):
            raise _bad_value(info, value, at)
        if prerequisite is not None and strict and not prerequisite(fields):
            raise _error("OFPBMC_BAD_PREREQ", f"{info.name} lacks its prerequisites", at)
        if not is_wild(fields, info) if key is None else (
                key in fields and fields[key][1] & bits):
            raise _error("OFPBMC_DUP_FIELD", f"{info.name} is matched twice", at)
        if pipeline and not is_pipeline(info):
            raise _error("OFPBRC_PIPELINE_FIELDS_ONLY", f"{info.name} is no pipeline field", at)
        if special is not None:
            special(fields, value, mask)
        elif mask or info.variable:
            mask &= info.significant
            fields[key] = (value & mask, mask)
        if says_ethernet and "packet_type" not in fields:
            fields["packet_type"] = _ETHERNET
        at = next_at
    return Match(fields), cookie_value, cookie_mask


def _bad_value(info: Info, value: int, at: int) -> OpenFlowError:
    if info.name not in ("in_port_oxm", "actset_output"):
        return _error("OFPBMC_BAD_VALUE", f"bad value for field {info.name}", at)
    text = (f"port {value} is outside the supported range 0 through 65279 or 0xffffff00 through "
            "0xffffffff")
    return OpenFlowError("OFPBMC_BAD_VALUE", text, "ofp_port", at, (("ofp_port", text),))


_NO_PIPELINE = frozenset({"conj_id", "actset_output", "skb_priority"})


def is_pipeline(info: Info) -> bool:
    """True for metadata that travels with a packet through the pipeline, not in it."""
    return info.id < INFO["eth_src"].id and info.name not in _NO_PIPELINE


def put_header(info: Info, version: int, masked: bool = False) -> bytes:
    """Encodes the OXM header of a field for a version (0: NXM)."""
    headers = info.masked if masked else info.headers
    header = headers[version]
    if header is None:
        raise ValueError(f"{info.name} has no OXM header")
    return header


def put_entry(info: Info, version: int, value: int, mask: int) -> bytes:
    """Encodes one TLV; the mask is left out if it is all ones."""
    if info.variable:
        return _put_variable(info, version, value, mask)
    if mask == info.full:
        return put_header(info, version) + value.to_bytes(info.size, "big")
    return (put_header(info, version, True) + value.to_bytes(info.size, "big")
            + mask.to_bytes(info.size, "big"))


def _put_variable(info: Info, version: int, value: int, mask: int) -> bytes:
    """tun_metadata: as long as its value, or its mask if it has one."""
    masked = mask != info.full
    size = ((mask if masked else value).bit_length() + 7) // 8
    header = bytearray(put_header(info, version, masked))
    header[3] = size * 2 if masked else size
    body = value.to_bytes(size, "big")
    return bytes(header) + body + (mask.to_bytes(size, "big") if masked else b"")


_ORDER_HEAD = [INFO[name] for name in ("dp_hash", "recirc_id", "conj_id")]
_ETH = [INFO[name] for name in ("eth_src", "eth_dst", "eth_type")]
_TUNNEL = [INFO[name] for name in (
    "tun_id", "tun_flags", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst", "tun_gbp_id",
    "tun_gbp_flags", "tun_erspan_ver", "tun_erspan_idx", "tun_erspan_dir", "tun_erspan_hwid",
    "tun_gtpu_flags", "tun_gtpu_msgtype", *(f"tun_metadata{n}" for n in range(64)))]
_REGS = [INFO[f"reg{n}"] for n in range(32)]
_XREGS = [(INFO[f"xreg{n}"], f"reg{2 * n}", f"reg{2 * n + 1}") for n in range(16)]
_CT = [INFO[name] for name in (
    "pkt_mark", "ct_state", "ct_zone", "ct_mark", "ct_label", "ct_nw_src", "ct_ipv6_src",
    "ct_nw_dst", "ct_ipv6_dst")]
_CT_TUPLE = [INFO[name] for name in ("ct_nw_proto", "ct_tp_src", "ct_tp_dst")]
_NSH = [INFO[f"nsh_{name}"] for name in
        ("flags", "ttl", "mdtype", "np", "spi", "si", "c1", "c2", "c3", "c4")]
_SAY_ETHERNET = frozenset({"eth_src", "eth_dst", "eth_type", "vlan_tci",
                           *(info.name for info in _NSH)})
_MPLS = [INFO[name] for name in ("mpls_tc", "mpls_bos", "mpls_ttl", "mpls_label")]
_IPV4 = [INFO["ip_src"], INFO["ip_dst"]]
_IPV6 = [INFO["ipv6_src"], INFO["ipv6_dst"]]
_ARP = [INFO[name] for name in ("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha")]
_L4 = {TCP: ("tcp_src", "tcp_dst", "tcp_flags"), UDP: ("udp_src", "udp_dst"),
       SCTP: ("sctp_src", "sctp_dst")}


def encode_nxm(match: Match, version: int, cookie: int = 0, cookie_mask: int = 0) -> bytes:
    """Encodes a match as TLVs in the reference's order; version 0 to 2 is NXM, 3 to 6 OXM."""
    oxm = version if version >= 3 else 0
    fields = match.fields
    out: list[bytes] = []

    def add(info: Info) -> None:
        value, mask = get(fields, info)
        if mask or info.variable:
            out.append(put_entry(info, oxm, value, mask))

    if fields:
        if "packet_type" in fields and (fields["packet_type"][0]
                                        or _SAY_ETHERNET.isdisjoint(fields)):
            add(INFO["packet_type"])
        for info in _ORDER_HEAD:
            if info.name in fields:
                add(info)
        if "in_port" in fields:
            add(INFO["in_port_oxm" if oxm else "in_port"])
        if "actset_output" in fields:
            add(INFO["actset_output"])
        for info in _ETH:
            if info.name in fields:
                add(info)
        if "vlan_tci" in fields:
            _encode_vlan(fields, oxm, out)
        _encode_packet(fields, oxm, out, add)
        for info in _TUNNEL:
            if info.name in fields:
                add(info)
        for info in _NSH:
            if info.name in fields:
                add(info)
        _encode_registers(fields, oxm, out, add)
        for info in _CT:
            if info.name in fields:
                add(info)
        if "ct_nw_proto" in fields:
            for info in _CT_TUPLE:
                add(info)
        if "metadata" in fields:
            add(INFO["metadata"])
    if cookie_mask:
        out.append(_encode_cookie(cookie & cookie_mask, cookie_mask))
    return b"".join(out)


def written_order(version: int) -> list[tuple[str, Prereq]]:
    """The fields in the order in which `encode_nxm` writes them, with what must be matched for it;
    for those who encode by rows. version: 0 for NXM."""
    def free(infos: list[Info]) -> list[tuple[str, Prereq]]:
        return [(info.name, Prereq.NONE) for info in infos]

    def own(*names: str) -> list[tuple[str, Prereq]]:
        return [(name, INFO[name].prereq) for name in names]

    return [
        *free(_ORDER_HEAD), ("in_port_oxm" if version else "in_port", Prereq.NONE), *free(_ETH),
        *((("vlan_vid", Prereq.NONE), ("vlan_pcp", Prereq.NONE)) if version
          else (("vlan_tci", Prereq.NONE),)),
        *own(*(info.name for info in (*_MPLS, *_IPV4, *_IPV6)), "ip_frag",
             "ip_dscp" if version else "nw_tos", "nw_ecn", "nw_ttl", "ipv6_label", "nw_proto"),
        *(row for names in _L4.values() for row in own(*names)),
        *own("icmp_type", "icmp_code", "icmpv6_type", "icmpv6_code", "nd_target", "nd_sll",
             "nd_tll", "nd_reserved", "nd_options_type", *(info.name for info in _ARP)),
        *free(_TUNNEL), *free(_REGS if version < 6 else [row[0] for row in _XREGS]), *free(_CT),
        ("metadata", Prereq.NONE)]


def _encode_vlan(fields: FieldDict, oxm: int, out: list[bytes]) -> None:
    value, mask = fields["vlan_tci"]
    if not oxm:
        out.append(put_entry(INFO["vlan_tci"], 0, value, mask))
        return
    vid_mask = mask & 0x1fff
    if vid_mask:
        out.append(put_entry(INFO["vlan_vid"], oxm, value & 0x1fff,
                             0xffff if vid_mask == 0x1fff else vid_mask))
    if value & 0x1fff and mask & 0xe000:
        out.append(put_entry(INFO["vlan_pcp"], oxm, value >> 13, 0xff))


def _encode_packet(fields: FieldDict, oxm: int, out: list[bytes], add) -> None:
    """Layers 2.5 to 4, as far as the ethertype says they are there."""
    kind = eth_type(fields)
    if kind in (ETH_MPLS, ETH_MPLS_MC):
        for info in _MPLS:
            add(info)
    elif kind in (ETH_IP, ETH_IPV6):
        for info in _IPV4 if kind == ETH_IP else _IPV6:
            add(info)
        add(INFO["ip_frag"])
        if fields.get("nw_tos", _WILD)[1] & 0xfc:
            add(INFO["ip_dscp" if oxm else "nw_tos"])
        add(INFO["nw_ecn"])
        add(INFO["nw_ttl"])
        if kind == ETH_IPV6:
            add(INFO["ipv6_label"])
        proto, mask = fields.get("nw_proto", _WILD)
        if mask:
            add(INFO["nw_proto"])
            for name in _L4.get(proto, ()):
                add(INFO[name])
            if proto == ICMP and kind == ETH_IP:
                _add_icmp("icmp", fields, oxm, out)
            elif proto == ICMPV6 and kind == ETH_IPV6:
                _add_icmp("icmpv6", fields, oxm, out)
                nd_type, code = fields.get("tcp_src", _WILD)[0], fields.get("tcp_dst", _WILD)[0]
                if nd_type in (135, 136) and not code:
                    for name in ("nd_target", "nd_sll" if nd_type == 135 else "nd_tll",
                                 "nd_reserved", "nd_options_type"):
                        add(INFO[name])
    elif kind in (ETH_ARP, ETH_RARP):
        for info in _ARP:
            add(info)


def _add_icmp(family: str, fields: FieldDict, oxm: int, out: list[bytes]) -> None:
    for key, part in (("tcp_src", "type"), ("tcp_dst", "code")):
        value, mask = fields.get(key, _WILD)
        if mask:
            out.append(put_entry(INFO[f"{family}_{part}"], oxm, value & 0xff, 0xff))


def _encode_registers(fields: FieldDict, oxm: int, out: list[bytes], add) -> None:
    if oxm < 6:
        for info in _REGS:
            if info.name in fields:
                add(info)
        return
    for info, high, low in _XREGS:
        if high in fields or low in fields:
            add(info)


def _encode_cookie(cookie: int, mask: int) -> bytes:
    if mask == (1 << 64) - 1:
        return struct.pack("!HBBQ", 0x0001, 30 << 1, 8, cookie)
    return struct.pack("!HBBQQ", 0x0001, 30 << 1 | 1, 16, cookie, mask)


# The 40-byte match of OpenFlow 1.0.
_MATCH10 = struct.Struct("!IH6s6sHBxHBB2xIIHH")
(_W10_IN_PORT, _W10_VLAN, _W10_SRC, _W10_DST, _W10_TYPE, _W10_PROTO, _W10_TP_SRC, _W10_TP_DST,
 ) = (1 << bit for bit in range(8))
_W10_PCP, _W10_TOS = 1 << 20, 1 << 21
_MAC = (1 << 48) - 1


def _prefix_mask(wild_bits: int) -> int:
    return 0 if wild_bits >= 32 else 0xffffffff << wild_bits & 0xffffffff


def _wild_bits(mask: int) -> int:
    """Low bits not covered by a prefix mask (32 for none)."""
    return 32 if not mask else (mask & -mask).bit_length() - 1


def decode_match10(data: bytes, at: int = 0) -> Match:
    """Decodes the fixed match of OpenFlow 1.0; it cannot be wrong, only short."""
    if len(data) - at < 40:
        raise OpenFlowError("OFPBMC_BAD_LEN", "match is cut off", "ofp_match", at)
    (wild, in_port, src, dst, vlan, pcp, dl_type, tos, proto, nw_src, nw_dst, tp_src,
     tp_dst) = _MATCH10.unpack_from(data, at)
    fields: FieldDict = {"packet_type": (0, 0xffffffff)}
    if not wild & _W10_IN_PORT:
        fields["in_port"] = (in_port, 0xffff)
    if not wild & _W10_SRC:
        fields["eth_src"] = (int.from_bytes(src, "big"), _MAC)
    if not wild & _W10_DST:
        fields["eth_dst"] = (int.from_bytes(dst, "big"), _MAC)
    _decode_vlan10(fields, wild, vlan, pcp)
    if not wild & _W10_TYPE:
        fields["eth_type"] = (dl_type, 0xffff)
    for key, value, shift in (("ip_src", nw_src, 8), ("ip_dst", nw_dst, 14)):
        mask = _prefix_mask(wild >> shift & 0x3f)
        if mask:
            fields[key] = (value & mask, mask)
    if not wild & _W10_TOS:
        fields["nw_tos"] = (tos & 0xfc, 0xfc)
    if not wild & _W10_PROTO:
        fields["nw_proto"] = (proto, 0xff)
    if not wild & _W10_TP_SRC:
        fields["tcp_src"] = (tp_src, 0xffff)
    if not wild & _W10_TP_DST:
        fields["tcp_dst"] = (tp_dst, 0xffff)
    return Match(fields)


def _decode_vlan10(fields: FieldDict, wild: int, vlan: int, pcp: int) -> None:
    if not wild & _W10_VLAN:
        if vlan == 0xffff:                       # no tag; a priority would make no sense
            fields["vlan_tci"] = (0, 0xffff)
        else:
            value, mask = vlan & 0xfff | 0x1000, 0x1fff
            if not wild & _W10_PCP:
                value, mask = value | (pcp & 7) << 13, 0xffff
            fields["vlan_tci"] = (value, mask)
    elif not wild & _W10_PCP:
        fields["vlan_tci"] = ((pcp & 7) << 13 | 0x1000, 0xf000)


_EXACT10 = (("in_port", _W10_IN_PORT), ("eth_src", _W10_SRC), ("eth_dst", _W10_DST),
            ("eth_type", _W10_TYPE), ("nw_proto", _W10_PROTO), ("tcp_src", _W10_TP_SRC),
            ("tcp_dst", _W10_TP_DST))
"""What OpenFlow 1.0 matches whole or not at all, with the bit that says not."""


def _exact_values(match: Match, members: tuple[tuple[str, int], ...]) -> tuple[list[int], int]:
    """The values of `members` in `match`, and the bits of those that it leaves open."""
    pairs = [match.fields.get(key, _WILD) for key, _ in members]
    wild = sum(bit for (_, bit), (_, mask) in zip(members, pairs) if not mask)
    return [value for value, _ in pairs], wild


def encode_match10(match: Match) -> bytes:
    """Encodes a match for OpenFlow 1.0; what it cannot say is left out."""
    values, wild = _exact_values(match, _EXACT10)
    in_port, src, dst, dl_type, proto, tp_src, tp_dst = values
    get_pair = match.fields.get
    tos, tos_mask = get_pair("nw_tos", _WILD)
    if not tos_mask & 0xfc:
        wild |= _W10_TOS
    nw_src, src_mask = get_pair("ip_src", _WILD)
    nw_dst, dst_mask = get_pair("ip_dst", _WILD)
    wild |= _wild_bits(src_mask) << 8 | _wild_bits(dst_mask) << 14
    tci, tci_mask = get_pair("vlan_tci", _WILD)
    vlan = pcp = 0
    if not tci_mask:
        wild |= _W10_VLAN | _W10_PCP
    elif tci_mask & 0x1000 and not tci & 0x1000:
        vlan = 0xffff
    else:
        if tci_mask & 0xfff:
            vlan = tci & 0xfff
        else:
            wild |= _W10_VLAN
        if tci_mask & 0xe000:
            pcp = tci >> 13
        else:
            wild |= _W10_PCP
    return _MATCH10.pack(wild, in_port, src.to_bytes(6, "big"), dst.to_bytes(6, "big"), vlan, pcp,
                         dl_type, tos & 0xfc, proto & 0xff, nw_src, nw_dst, tp_src, tp_dst)


# The 88-byte match of OpenFlow 1.1.
_MATCH11 = struct.Struct("!HHII6s6s6s6sHBxHBBIIIIHHIB3xQQ")
(_W11_IN_PORT, _W11_VLAN, _W11_PCP, _W11_TYPE, _W11_TOS, _W11_PROTO, _W11_TP_SRC, _W11_TP_DST,
 _W11_MPLS_LABEL, _W11_MPLS_TC) = (1 << bit for bit in range(10))
_U64 = (1 << 64) - 1


def decode_match11(data: bytes, at: int = 0) -> Match:
    """Decodes the fixed match of OpenFlow 1.1 behind its type and length."""
    if len(data) - at < 88:
        raise OpenFlowError("OFPBMC_BAD_LEN", "match is cut off", "ofp_match", at)
    (_, _, in_port, wild, src, src_wild, dst, dst_wild, vlan, pcp, dl_type, tos, proto, nw_src,
     nw_src_wild, nw_dst, nw_dst_wild, tp_src, tp_dst, label, tc, metadata,
     metadata_wild) = _MATCH11.unpack_from(data, at)
    fields: FieldDict = {"packet_type": (0, 0xffffffff)}

    def bad(name: str) -> OpenFlowError:
        return OpenFlowError(name, "", "ofp_match", at)

    if not wild & _W11_IN_PORT:
        port = port_from_11(in_port)
        if port is None:
            raise OpenFlowError(
                "OFPBMC_BAD_VALUE", f"port {in_port} is outside the supported range 0 through "
                "65279 or 0xffffff00 through 0xffffffff", "ofp_port", at)
        fields["in_port"] = (port, 0xffff)
    for key, mac, wild_mac in (("eth_src", src, src_wild), ("eth_dst", dst, dst_wild)):
        mask = ~int.from_bytes(wild_mac, "big") & _MAC
        if mask:
            fields[key] = (int.from_bytes(mac, "big") & mask, mask)
    if not wild & _W11_VLAN:
        if vlan == 0xffff:
            fields["vlan_tci"] = (0, 0xffff)
        elif vlan == 0xfffe:
            fields["vlan_tci"] = (0x1000, 0x1000)
        elif vlan < 0x1000:
            value, mask = vlan | 0x1000, 0x1fff
            if not wild & _W11_PCP:
                if pcp > 7:
                    raise bad("OFPBMC_BAD_VALUE")
                value, mask = value | pcp << 13, 0xffff
            fields["vlan_tci"] = (value, mask)
        else:
            raise bad("OFPBMC_BAD_VALUE")
        if vlan == 0xfffe and not wild & _W11_PCP:
            if pcp > 7:
                raise bad("OFPBMC_BAD_VALUE")
            fields["vlan_tci"] = (0x1000 | pcp << 13, 0xf000)
    if not wild & _W11_TYPE:
        fields["eth_type"] = (dl_type, 0xffff)
    _decode_l3_11(fields, wild, tos, proto, nw_src, nw_src_wild, nw_dst, nw_dst_wild, tp_src,
                  tp_dst, bad)
    if fields.get("eth_type", _WILD)[0] in (ETH_MPLS, ETH_MPLS_MC):
        if not wild & _W11_MPLS_LABEL:
            fields["mpls_label"] = (label & 0xfffff, 0xfffff)
        if not wild & _W11_MPLS_TC:
            fields["mpls_tc"] = (tc & 7, 7)
    mask = ~metadata_wild & _U64
    if mask:
        fields["metadata"] = (metadata & mask, mask)
    return Match(fields)


def _decode_l3_11(fields: FieldDict, wild: int, tos: int, proto: int, nw_src: int, src_wild: int,
                  nw_dst: int, dst_wild: int, tp_src: int, tp_dst: int, bad) -> None:
    kind = fields.get("eth_type", _WILD)[0]
    is_ip = kind == ETH_IP
    if is_ip and not wild & _W11_TOS:
        if tos & ~0xfc:
            raise bad("OFPBMC_BAD_VALUE")
        fields["nw_tos"] = (tos, 0xfc)
    if is_ip or kind in (ETH_ARP, ETH_RARP):
        if not wild & _W11_PROTO:
            fields["nw_proto"] = (proto, 0xff)
        for key, value, wildcard in (("ip_src", nw_src, src_wild), ("ip_dst", nw_dst, dst_wild)):
            mask = ~wildcard & 0xffffffff
            if mask:
                fields[key] = (value & mask, mask)
    proto = fields.get("nw_proto", _WILD)[0]
    if not is_ip or proto not in (ICMP, TCP, UDP, SCTP):
        return                                   # ports of anything else are to be ignored
    for key, value, bit in (("tcp_src", tp_src, _W11_TP_SRC), ("tcp_dst", tp_dst, _W11_TP_DST)):
        if not wild & bit:
            if proto == ICMP and value > 0xff:
                raise bad("OFPBMC_BAD_FIELD")
            fields[key] = (value, 0xffff)


_EXACT11 = (("in_port", _W11_IN_PORT), ("eth_type", _W11_TYPE), ("nw_proto", _W11_PROTO),
            ("tcp_src", _W11_TP_SRC), ("tcp_dst", _W11_TP_DST), ("mpls_label", _W11_MPLS_LABEL),
            ("mpls_tc", _W11_MPLS_TC))
"""As `_EXACT10`, of OpenFlow 1.1."""


def encode_match11(match: Match) -> bytes:
    """Encodes a match for OpenFlow 1.1; what it cannot say is left out."""
    values, wild = _exact_values(match, _EXACT11)
    in_port, dl_type, proto, tp_src, tp_dst, label, tc = values
    get_pair = match.fields.get
    if not wild & _W11_IN_PORT:
        in_port = port_to_11(in_port)
    tos, tos_mask = get_pair("nw_tos", _WILD)
    if not tos_mask & 0xfc:
        wild |= _W11_TOS
    tci, tci_mask = get_pair("vlan_tci", _WILD)
    vlan = pcp = 0
    if not tci_mask:
        wild |= _W11_VLAN | _W11_PCP
    elif tci_mask & 0x1000 and not tci & 0x1000:
        vlan = 0xffff
        wild |= _W11_PCP
    else:
        vlan = tci & 0xfff if tci_mask & 0xfff else 0xfffe
        if tci_mask & 0xe000:
            pcp = tci >> 13
        else:
            wild |= _W11_PCP
    (src, src_mask), (dst, dst_mask) = get_pair("eth_src", _WILD), get_pair("eth_dst", _WILD)
    (ip_src, ip_src_mask), (ip_dst, ip_dst_mask) = (get_pair("ip_src", _WILD),
                                                    get_pair("ip_dst", _WILD))
    metadata, metadata_mask = get_pair("metadata", _WILD)
    return _MATCH11.pack(
        0, 88, in_port, wild, src.to_bytes(6, "big"), (~src_mask & _MAC).to_bytes(6, "big"),
        dst.to_bytes(6, "big"), (~dst_mask & _MAC).to_bytes(6, "big"), vlan, pcp, dl_type,
        tos & 0xfc, proto & 0xff, ip_src, ~ip_src_mask & 0xffffffff, ip_dst,
        ~ip_dst_mask & 0xffffffff, tp_src, tp_dst, label, tc, metadata, ~metadata_mask & _U64)


def decode_match(data: bytes, at: int, version: int, *, strict: bool = True,
                 pipeline: bool = False, fixed: bool = True) -> tuple[Match, int]:
    """Decodes the match of a message at offset `at`: (match, offset behind it and its padding).

    fixed: it may be that of OpenFlow 1.1.
    """
    if version == 1:
        return decode_match10(data, at), at + 40
    if len(data) - at < 4:
        raise OpenFlowError("OFPBMC_BAD_LEN", "match is cut off", "ofp_match", at)
    kind, length = struct.unpack_from("!HH", data, at)
    if not fixed and length < 4:
        raise OpenFlowError("OFPBMC_BAD_LEN", "", "ofp_match", at)
    if kind == 0 and fixed:
        if length != 88:
            raise OpenFlowError("OFPBMC_BAD_LEN", "", "ofp_match", at)
        return decode_match11(data, at), at + 88      # the reference takes it in any version
    if kind != 1:
        raise OpenFlowError("OFPBMC_BAD_TYPE", "", "ofp_match", at)
    end = at + (length + 7 & ~7)
    if length < 4 or end > len(data):
        raise OpenFlowError(
            "OFPBMC_BAD_LEN", f"match length {length}, rounded up to a multiple of 8, is longer "
            f"than space in message (max length {len(data) - at})", _MODULE, at)
    match, _, _ = decode_nxm(data, at + 4, at + length, strict=strict, pipeline=pipeline)
    return match, end


def encode_match(match: Match, version: int) -> bytes:
    """Encodes the match of a message: fixed in 1.0 and 1.1, TLVs with header and padding after."""
    if version == 1:
        return encode_match10(match)
    if version == 2:
        return encode_match11(match)
    body = encode_nxm(match, version)
    length = len(body) + 4
    return struct.pack("!HH", 1, length) + body + bytes(-length % 8)


__all__ = ["EMPTY", "decode_match", "decode_match10", "decode_match11", "decode_nxm",
           "encode_match", "encode_match10", "encode_match11", "encode_nxm", "is_pipeline",
           "pull_entry", "pull_header", "put_entry", "put_header"]
