"""A `Match` <-> value and mask laid out as the C flow struct.

The forward way is `datapath.match.pack_match`; the way back reads the members of the struct under
which the field table has places. Any thread.
"""

from collections.abc import Iterator
from functools import cache

from datapath.match import MatchError, get_member, pack_match
from schema.flow.fields import FIELD, FLOW, MEMBER, OFFSET
from vswitchd.openflow import options
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import INFO, PLACES
from vswitchd.openflow.match import Match, put


def _exact(key: str) -> int:
    """The mask under which a Match holds an exact value of `key`."""
    if key == "nw_tos":
        return 0xff                             # DSCP and ECN
    fields: dict[str, tuple[int, int]] = {}
    put(fields, INFO[key], 0, INFO[key].full)
    return fields[key][1]


def _keys() -> dict[str, tuple[tuple[str, int, int, int], ...]]:
    """{member: ((match key, shift in the member, all ones, exact mask), ...)}."""
    found: dict[str, dict[int, tuple[str, int, int, int]]] = {}
    for field in FIELD.values():
        if field.where is None or field.name in PLACES or field.name.startswith(("xreg", "xxreg")):
            continue
        member = MEMBER[field.where.member]
        whole = member.size * member.count * 8
        start = field.where.index * member.size * 8
        shift = whole - start - field.container * 8 + field.shift
        found.setdefault(member.name, {})[shift] = (
            field.name, shift, (1 << field.width) - 1, _exact(field.name))
    return {name: tuple(keys.values()) for name, keys in found.items()}


# Keys of a packet-in's metadata, in_port aside; what connection tracking told, where it did.
_METADATA = frozenset(("metadata", "tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst",
                       "tun_flags", "tun_gbp_id", "tun_gbp_flags", "tun_erspan_ver",
                       "tun_erspan_idx", "tun_erspan_dir", "tun_erspan_hwid", "tun_gtpu_flags",
                       "tun_gtpu_msgtype", "pkt_mark", "packet_type",
                       *(f"tun_metadata{n}" for n in range(options.MAX_FIELDS)),
                       *(f"reg{n}" for n in range(32))))
_TRACKED = _METADATA | {"ct_state", "ct_zone", "ct_mark", "ct_label", "eth_type"}
_TUPLE = ("ct_nw_proto", "ct_tp_src", "ct_tp_dst")
_TUPLES = {0x0800: (*_TUPLE, "ct_nw_src", "ct_nw_dst"),
           0x86dd: (*_TUPLE, "ct_ipv6_src", "ct_ipv6_dst")}
exact_mask = cache(_exact)
_OPTIONS, _PRESENT = OFFSET["tun_metadata"], OFFSET["tun_metadata_present"]
_KEYS = _keys()
_MEMBERS = tuple(row.name for row in FLOW if row.name in _KEYS)


def pack(match: Match) -> tuple[bytes, bytes]:
    """(value, mask) of a match. Raises OpenFlowError for tunnel metadata that is not mapped."""
    fields = match.fields
    if options.PLACES:
        fields = {key: row for key, row in fields.items() if options.option_number(key) is None}
    try:
        value, mask = pack_match(fields)
    except MatchError:
        raise OpenFlowError("NXFMFC_INVALID_TLV_FIELD") from None
    if len(fields) == len(match.fields):
        return value, mask
    packed = bytearray(value), bytearray(mask)
    for key, (bits, care) in match.fields.items():
        if key not in fields:
            number = options.option_number(key)
            place = options.place_of(number)
            ones = (1 << 8 * place.size) - 1
            for part, number_of in zip(packed, (bits & care & ones, care & ones)):
                at = _OPTIONS + place.offset
                part[at:at + place.size] = number_of.to_bytes(place.size, "big")
                part[_PRESENT + 7 - number // 8] |= 1 << number % 8
    return bytes(packed[0]), bytes(packed[1])


def unpack(value: bytes, mask: bytes) -> Match:
    """The match of a packed value and mask."""
    fields = {}
    for name in _MEMBERS:
        care = get_member(mask, name)
        if not care:
            continue
        bits = get_member(value, name)
        for key, shift, ones, exact in _KEYS[name]:
            part = care >> shift & ones
            if part:
                fields[key] = (bits >> shift & ones, exact if part == ones else part)
    for key, bits, place in _options_of(mask):
        at = _OPTIONS + place.offset
        ones = (1 << 8 * place.size) - 1
        fields[key] = (int.from_bytes(value[at:at + place.size], "big"),
                       exact_mask(key) if bits == ones else bits)
    return Match(fields)


def _options_of(flow: bytes) -> Iterator[tuple[str, int, options.Place]]:
    """(key, bits, place) of the tunnel options that a flow or mask has."""
    bits = get_member(flow, "tun_metadata_present")
    if bits:
        for number, place in options.PLACES.items():
            if bits >> number & 1:
                at = _OPTIONS + place.offset
                yield (f"tun_metadata{number}", int.from_bytes(flow[at:at + place.size], "big"),
                       place)


def flow_fields(flow: bytes) -> dict[str, int]:
    """{match key: value} of a whole struct flow; keys whose value is 0 are left out."""
    fields = {}
    for name in _MEMBERS:
        bits = get_member(flow, name)
        if bits:
            for key, shift, ones, _ in _KEYS[name]:
                if bits >> shift & ones:
                    fields[key] = bits >> shift & ones
    for key, bits, _ in _options_of(flow):
        fields[key] = bits
    return fields


def metadata(flow: bytes, in_port: int) -> Match:
    """What a packet-in says of a packet beside its bytes."""
    fields = flow_fields(flow)
    wanted = _METADATA
    if fields.get("ct_state"):
        wanted = _TRACKED
        if fields.get("ct_nw_proto"):
            wanted |= frozenset(_TUPLES.get(fields.get("eth_type", 0), ()))
    found = {key: (fields[key], exact_mask(key)) for key in fields if key in wanted}
    found["in_port"] = (in_port, 0xffff)
    return Match(found)
