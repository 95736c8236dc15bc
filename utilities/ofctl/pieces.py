"""Makes generated/pieces.h: what flow.c knows of matches and of actions, all of it from the codec;
and generated/names.h, what show.c calls the bits of switches and ports.

Match fields are rows of the field table. Actions are pieces: texts of single ones, with the bytes
that the codec makes of them in each version, and where in there the numbers of the text lie; so
nothing says what an action means but the codec. A piece may mean something else, or be wrong,
where a flow matches other packets: it says which of `CONTEXTS` it is good for. `utilities/
quickstart/build.py` calls `write`; test_ofctl_flow.py holds what C makes of it against the codec.
"""

from collections.abc import Callable, Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from schema.flow.fields import CT_STATE_BITS, Format, Prereq
from utilities.ofctl import protocol
from vswitchd.openflow.action_encoder import encode_instructions
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import ANY, INFO, MAX_PORT, PLACES, Info
from vswitchd.openflow.messages import base, port, session
from vswitchd.openflow.oxm import written_order
from vswitchd.openflow.quick.shapes import (
    DECIMAL, IPV4, IPV6, MAC, NUMBER, OddError, Slot, fill, find_place,
)
from vswitchd.openflow.text import FlowTextError, ParsedFlow, match_words, parse_flow
from vswitchd.openflow.value_text import ComplainingTo, port_words

DIRECTORY = Path(__file__).parent / "generated"
VERSIONS = (1, 3, 4, 5, 6)                              # those that flow.c can write
_TLV_VERSIONS = (0, 3, 4, 5, 6)                         # 0 is NXM, as in OpenFlow 1.0

PORT, CT_STATE = 6, 7                                   # behind NUMBER ... IPV6
_FORMS = {Format.DEC: NUMBER, Format.HEX: NUMBER, Format.MAC: MAC, Format.IPV4: IPV4,
          Format.IPV6: IPV6, Format.PORT10: PORT, Format.CT_STATE: CT_STATE}
_PREREQS = tuple(Prereq)
# Fields of which a number does not say all, or that need others that are not known here.
_NOT_MATCHED = frozenset((
    "dp_hash", "recirc_id", "packet_type", "actset_output", "in_port_oxm", "skb_priority",
    "vlan_vid", "tun_erspan_dir", "tun_flags", "nd_sll", "nd_tll"))
_NOT_PREREQS = (Prereq.CT, Prereq.NSH, Prereq.ND, Prereq.ND_SOLICIT, Prereq.ND_ADVERT)
# How a value gets to its place (enum put), for those whose place is not their own.
_PUTS = {"dl_vlan": "VID", "dl_vlan_pcp": "PCP", "vlan_pcp": "PCP", "nw_tos": "PART",
         "ip_dscp": "PART", "nw_ecn": "PART", "icmp_type": "WHOLE", "icmp_code": "WHOLE",
         "icmpv6_type": "WHOLE", "icmpv6_code": "WHOLE"}
_SHIFTS = {"ip_dscp": 2, "vlan_pcp": 13, "dl_vlan_pcp": 13}
# The bits that a field has in its place, before the shift, and as it is written.
_BITS = {"nw_tos": 0xfc, "vlan_vid": 0x1fff, "arp_op": 0xff, "ct_state": 0xff}

# What a flow may match that makes an action right or another: its words, ethertype and protocol.
_KINDS = (("", 0, 0), ("ip", 0x800, 0), ("icmp", 0x800, 1), ("tcp", 0x800, 6), ("udp", 0x800, 17),
          ("sctp", 0x800, 132), ("ipv6", 0x86dd, 0), ("icmp6", 0x86dd, 58), ("tcp6", 0x86dd, 6),
          ("udp6", 0x86dd, 17), ("sctp6", 0x86dd, 132), ("arp", 0x806, 0), ("rarp", 0x8035, 0),
          ("mpls", 0x8847, 0))
CONTEXTS = tuple(f"{words},{vlan}" for words, _, _ in _KINDS for vlan in ("", "dl_vlan=1"))

_U8, _U16, _U32, _U64 = ((1 << bits) - 1 for bits in (8, 16, 32, 64))
_PORT = (PORT, MAX_PORT - 1)                            # or a name
_TABLE = (DECIMAL, 254)
_ZONE = (NUMBER, _U16)
_RANKS = {"meter": 0, "clear_actions": 2, "write_metadata": 3, "goto_table": 4}
_ACTION = 1                                             # the rank of all others
# Behind these, packets are others than those that were matched.
_CHANGING = ("vlan", "mpls", "dl_type", "VLAN", "MPLS", "push", "pop", "encap", "decap")

# Texts with a % for each number, and what these may be.
_SIMPLE: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = (
    ("%", (_PORT,)), ("output:%", (_PORT,)), ("output=%", (_PORT,)),
    ("controller:%", ((NUMBER, _U16),)), ("CONTROLLER:%", ((NUMBER, _U16),)),
    ("enqueue:%:%", (_PORT, (NUMBER, _U16))), ("set_queue:%", ((NUMBER, _U32),)), ("pop_queue", ()),
    ("group:%", ((DECIMAL, 0xfffffeff),)), ("meter:%", ((DECIMAL, 0xfffe),)),
    ("resubmit:%", (_PORT,)), ("resubmit(,%)", (_TABLE,)), ("resubmit(%,%)", (_PORT, _TABLE)),
    ("resubmit(%,)", (_PORT,)), ("goto_table:%", ((DECIMAL, 253),)),
    ("mod_dl_src:%", ((MAC, 0),)), ("mod_dl_dst:%", ((MAC, 0),)),
    ("mod_nw_src:%", ((IPV4, 0),)), ("mod_nw_dst:%", ((IPV4, 0),)),
    *((f"mod_nw_tos:{tos}", ()) for tos in range(0, 256, 4)), ("mod_nw_ecn:%", ((NUMBER, 3),)),
    ("mod_nw_ttl:%", ((NUMBER, _U8),)), ("mod_tp_src:%", ((NUMBER, _U16),)),
    ("mod_tp_dst:%", ((NUMBER, _U16),)), ("mod_vlan_vid:%", ((NUMBER, 0xfff),)),
    ("set_vlan_vid:%", ((NUMBER, 0xfff),)), ("mod_vlan_pcp:%", ((NUMBER, 7),)),
    ("set_vlan_pcp:%", ((NUMBER, 7),)), ("strip_vlan", ()), ("pop_vlan", ()),
    ("push_vlan:0x8100", ()), ("push_vlan:0x88a8", ()), ("push_mpls:0x8847", ()),
    ("pop_mpls:0x0800", ()), ("pop_mpls:0x800", ()), ("pop_mpls:0x8847", ()),
    ("dec_ttl", ()), ("dec_mpls_ttl", ()), ("set_mpls_ttl:%", ((NUMBER, _U8),)),
    ("set_tunnel:%", ((NUMBER, _U32),)), ("set_tunnel64:%", ((NUMBER, _U64),)),
    ("exit", ()), ("clear_actions", ()), ("write_metadata:%", ((NUMBER, _U64),)),
    ("write_metadata:%/%", ((NUMBER, _U64), (NUMBER, _U64))), ("ct_clear", ()),
    ("ct", ()), ("ct()", ()), ("ct(commit)", ()), ("ct(nat)", ()), ("ct(commit,nat)", ()),
    ("ct(table=%)", (_TABLE,)), ("ct(zone=%)", (_ZONE,)), ("ct(commit,table=%)", (_TABLE,)),
    ("ct(commit,zone=%)", (_ZONE,)), ("ct(table=%,zone=%)", (_TABLE, _ZONE)),
    ("ct(zone=%,table=%)", (_ZONE, _TABLE)), ("ct(commit,table=%,zone=%)", (_TABLE, _ZONE)),
    ("ct(commit,zone=%,table=%)", (_ZONE, _TABLE)), ("ct(nat,table=%)", (_TABLE,)),
    ("ct(table=%,nat)", (_TABLE,)), ("ct(nat,zone=%,table=%)", (_ZONE, _TABLE)),
    ("ct(table=%,zone=%,nat)", (_TABLE, _ZONE)), ("ct(zone=%,table=%,nat)", (_ZONE, _TABLE)),
    ("ct(commit,nat(src=%))", ((IPV4, 0),)), ("ct(commit,nat(dst=%))", ((IPV4, 0),)),
    ("move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", ()), ("move:eth_src->eth_dst", ()),
    ("move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]", ()),
    ("move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]", ()),
    ("move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[]", ()),
)
_NOT_SET = ("tun_metadata", "nsh_", "xreg", "xxreg", "nd_", "ct_", "in_port", "tun_flags",
            "tun_erspan", "tun_gbp")


class Template(NamedTuple):
    """A text of an action, and what the numbers at its % may be: (form, most)."""

    text: str
    slots: tuple[tuple[int, int], ...]


class Wire(NamedTuple):
    """What a piece is in one version: in which contexts (bits), for which flow formats of OpenFlow
    1.0, its bytes with zeros for numbers, and where these go (at, size, shift)."""

    contexts: int
    usable: int
    data: bytes
    places: tuple[tuple[int, int, int], ...]


class Piece(NamedTuple):
    """An action under all of its names."""

    texts: tuple[str, ...]
    slots: tuple[tuple[int, int], ...]
    wires: tuple[Wire | None, ...]

    @property
    def rank(self) -> int:
        """Where it may stand: an instruction before or behind the actions."""
        return _RANKS.get(self.texts[0].partition(":")[0], _ACTION)

    @property
    def change(self) -> str:
        """What packets are behind it (enum change)."""
        if self.texts[0].startswith("push_vlan"):
            return "PUSHED"
        if self.texts[0].startswith(("mod_vlan", "set_vlan")):
            return "TAGGED"
        return "UNKNOWN" if any(word in self.texts[0] for word in _CHANGING) else "SAME"


def _setters() -> Iterator[list[Template]]:
    """set_field and load of whole fields, in all of their names."""
    for info in dict.fromkeys(INFO.values()):
        form = _FORMS.get(info.format)
        if (not info.writable or form in (None, PORT, CT_STATE) or info.name.startswith(_NOT_SET)
                or form == NUMBER and info.size > 8):
            continue
        names = [name for name, other in INFO.items() if other is info]
        most = 0x1fff if info.name == "vlan_vid" else info.significant & _U64
        yield [Template(f"set_field:%->{name}", ((form, most if form == NUMBER else 0),))
               for name in names]
        if info.bits <= 64:
            names += [code.name for code in info.codes]
            yield [Template(f"load:%->{name}[]", ((NUMBER, info.significant),)) for name in names]


def _ports() -> Iterator[list[Template]]:
    """Ports by their names."""
    for word in port_words():
        for name in (word.upper(), word):
            yield [Template(name, ()), Template(f"output:{name}", ()),
                   Template(f"output={name}", ())]


def _fill(template: Template, numbers: list[bytes]) -> bytes:
    parts = template.text.encode().split(b"%")
    return b"".join(part + number for part, number in zip(parts, [*numbers, b""]))


def _slots(template: Template, numbers: list[bytes]) -> list[Slot]:
    """Where the numbers are in a filled template."""
    slots, at = [], 0
    parts = template.text.encode().split(b"%")
    for part, (form, most), number in zip(parts, template.slots, numbers):
        at += len(part)
        slots.append(Slot(at, at + len(number), DECIMAL if form == PORT else form, most,
                          -1 & _mask(form)))
        at += len(number)
    return slots


def _mask(form: int) -> int:
    return (1 << {IPV4: 32, MAC: 48, IPV6: 128}.get(form, 64)) - 1


@cache
def _parse(text: str) -> ParsedFlow | None:
    """A flow, None if it is wrong."""
    with ComplainingTo(lambda *words: None):
        try:
            return parse_flow(text)
        except FlowTextError:
            return None


_HEAD = bytes(8)                # find_place looks for messages, which have headers
_APPLY = 4
_VARIANTS = 2                   # of an action that are known


def _encode(text: str, context: str, version: int, rank: int) -> tuple[bytes, int]:
    """(the bytes of an action, the flow formats that can have it); raises where it is wrong."""
    flow = _parse(f"{context},actions={text}")
    if flow is None:
        raise OddError
    data = encode_instructions(flow.actions, version)
    if version > 1:
        is_list = len(data) >= 8 and data[:2] == bytes((0, _APPLY))
        if not data or not is_list and rank == _ACTION:
            raise OddError
        if is_list:
            if rank != _ACTION or int.from_bytes(data[2:4], "big") != len(data):
                raise OddError
            data = data[8:]
    return data, flow.usable


# The last for fields that have no TLV.
_WRONG = (OpenFlowError, OddError, ValueError)


def _learn(template: Template, version: int, rank: int) -> list[Wire]:
    """What a template is in one version, in contexts of one kind and of another."""
    bits = protocol.of_versions((version,))
    slots = _slots(template, [b""] * len(template.slots))
    least = [slot.texts()[0] for slot in slots]
    text = _fill(template, least).decode()
    found: dict[tuple[bytes, int], list[int]] = {}
    for index, context in enumerate(CONTEXTS):
        try:
            data, usable = _encode(text, context, version, rank)
        except _WRONG:
            continue
        # What the match does not allow is not to be known from here.
        usable = (usable | ~_parse(f"{context},actions=drop").usable) & bits
        if usable:
            found.setdefault((data, usable), []).append(index)
    common = sorted(found.items(), key=lambda item: -len(item[1]))[:_VARIANTS]
    wires = (_place_numbers(template, slots, Wire(sum(1 << index for index in indexes), usable,
                                                  data, ()),
                            lambda text: _encode(text, CONTEXTS[indexes[0]], version, rank)[0])
             for (data, usable), indexes in common)
    return [wire for wire in wires if wire is not None]


def _place_numbers(template: Template, slots: list[Slot], wire: Wire,
                   make: Callable[[str], bytes]) -> Wire | None:
    """The wire with the places of its numbers; `make` encodes a text.  None if these are not put
    there as they are."""
    least = [slot.texts()[0] for slot in slots]
    places = []
    for number, slot in enumerate(slots):
        texts = [*least[:number], slot.texts()[1], *least[number + 1:]]
        try:
            other = make(_fill(template, texts).decode())
            if len(other) != len(wire.data):
                return None
            at, size, up, _, _ = find_place(slot, _HEAD + wire.data, _HEAD + other)
        except _WRONG:
            return None
        places.append((at - len(_HEAD), size, up))
    wire = wire._replace(places=tuple(places))
    third = [slot.texts()[2] for slot in slots]
    try:
        is_right = (put_numbers(wire, template.slots, third)
                    == make(_fill(template, third).decode()))
    except _WRONG:
        is_right = False
    return wire if is_right else None


def put_numbers(wire: Wire, slots, texts: list[bytes]) -> bytes:
    """The bytes of a piece with these numbers."""
    data = bytearray(wire.data)
    for (form, _), (at, size, up), text in zip(slots, wire.places, texts):
        if form == MAC:
            value = bytes.fromhex(text.decode().replace(":", ""))
        elif form == IPV4:
            value = bytes(map(int, text.split(b".")))
        elif form == IPV6:
            value = bytes.fromhex(text.decode().replace(":", "").rjust(32, "0"))
        else:
            value = (int(text, 0) << up).to_bytes(size, "big")
        for index, byte in enumerate(value):
            data[at + index] |= byte
    return bytes(data)


def pieces() -> Iterator[Piece]:
    """All actions that are known."""
    groups = [[Template(text, slots)] for text, slots in _SIMPLE]
    for group in (*groups, *_ports(), *_setters()):
        texts = tuple(template.text for template in group)
        piece = Piece(texts, group[0].slots, ())
        wires = [_learn(group[0], version, piece.rank) for version in VERSIONS]
        for variant in zip_longest(*wires):
            yield piece._replace(wires=variant)


# Matches.


def form_of(info: Info) -> int | None:
    """How the values of a field are written, None if that is not known here."""
    return _FORMS.get(info.format)


def _places() -> list[str]:
    """The places of the fields that are known, in the order of their numbers."""
    names = (info.place for info in INFO.values() if _is_matched(info))
    return list(dict.fromkeys(names))


def _is_matched(info: Info) -> bool:
    return (info.format in _FORMS and not info.variable and info.name not in _NOT_MATCHED
            and info.prereq not in _NOT_PREREQS and bool(info.codes or info.name in PLACES)
            and not info.name.startswith(("xreg", "xxreg", "nsh_")))


def _keys(places: list[str]) -> Iterator[str]:
    """struct key."""
    for name, info in INFO.items():
        if not _is_matched(info):
            continue
        bits = _BITS.get(info.name, 0).bit_length() or info.bits
        yield (f'"{name}", {places.index(info.place)}, {_FORMS[info.format]}, '
               f'PUT_{_PUTS.get(info.name, "PLAIN")}, {bits}, {info.size}, '
               f"{_SHIFTS.get(info.name, 0)}, {int(info.maskable)}, {info.exact:#x}, "
               f"{info.cidr:#x}, {info.bitwise:#x}")


def _tlvs(places: list[str]) -> Iterator[str]:
    """struct tlv, the rows of the versions one behind the other."""
    for version in _TLV_VERSIONS:
        for name, prereq in written_order(version):
            info = INFO[name]
            headers = info.headers[version], info.masked[version]
            if (info.place not in places or prereq in _NOT_PREREQS or None in headers
                    or any(len(header) != 4 for header in headers) or name.startswith("xreg")
                    or info.variable):
                continue
            mask = info.significant if name == "ct_state" else _BITS.get(name, info.significant)
            shift = _SHIFTS.get(name, 0)
            low = (mask & -mask).bit_length() - 1
            yield (f"{version}, {places.index(info.place)}, {_PREREQS.index(prereq)}, "
                   f"{(mask >> low).bit_length()}, {low + shift}, {low}, {info.size}, "
                   f"{int(info.maskable)}, {int.from_bytes(headers[0], 'big'):#x}, "
                   f"{int.from_bytes(headers[1], 'big'):#x}")


def _piece_rows() -> Iterator[tuple[list[str], str]]:
    """The rows of struct piece for each of its texts, and its wires, as members of these."""
    for number, piece in enumerate(pieces()):
        wires = []
        for wire in piece.wires:
            if wire is None:
                wires.append("{ 0, 0, 0, NULL, { { 0, 0, 0 } } }")
                continue
            data = "".join(f"\\x{byte:02x}" for byte in wire.data)
            spots = ", ".join(f"{{ {at}, {size}, {up} }}" for at, size, up in wire.places)
            wires.append(f"{{ {wire.contexts:#x}, {wire.usable & _U8:#x}, {len(wire.data)}, "
                         f'"{data}", {{ {spots or "{ 0, 0, 0 }"} }} }}')
        slots = ", ".join(f"{{ {form}, UINT64_C({most:#x}) }}" for form, most in piece.slots)
        rows = [f'"{text}", {len(piece.slots)}, {piece.rank}, {piece.change}, '
                f"{{ {slots or '{ 0, 0 }'} }}, wires_{number}" for text in piece.texts]
        yield rows, ",\n    ".join(wires)


def header() -> str:
    """The text of pieces.h."""
    places = _places()
    out = ["/* Generated by utilities/ofctl/pieces.py: do not edit. */\n#pragma once\n\n"]
    out += ["enum {\n", *(f"    PLACE_{place.upper()},\n" for place in places),
            "    N_PLACES\n};\n"]
    out += ["\nenum {\n", *(f"    PREREQ_{prereq.name},\n" for prereq in _PREREQS), "};\n"]
    contexts = (1 << len(CONTEXTS)) - 1
    out.append(f"\nenum {{ ANY_PROTOCOL = {ANY:#x}, ALL_CONTEXTS = {contexts:#x} }};\n")

    def table(kind: str, name: str, rows) -> None:
        body = "".join(f"    {{ {row} }},\n" for row in rows)
        out.append(f"\nstatic const struct {kind} {name}[] = {{\n{body}}};\n")

    table("key", "keys", _keys(places))
    table("tlv", "tlvs", _tlvs(places))
    table("word", "words", (f'"{word}", {kind:#x}, {proto}'
                            for word, (kind, proto) in match_words().items()))
    table("kind", "kinds", (f"{kind:#x}, {proto}" for _, kind, proto in _KINDS))
    table("named", "port_words", (f'"{name}", {number}' for name, number in port_words().items()))
    table("named", "ct_bits", (f'"{name}", {bit}' for name, bit in CT_STATE_BITS.items()))
    rows: list[str] = []
    for number, (texts, wires) in enumerate(_piece_rows()):
        out.append(f"\nstatic const struct wire wires_{number}[] = {{\n    {wires}\n}};\n")
        rows += texts
    table("piece", "pieces", rows)
    return "".join(out)


def names_header() -> str:
    """The text of names.h."""
    out = ["/* Generated by utilities/ofctl/pieces.py: do not edit. */\n#pragma once\n"]
    shown = [(1 << session.FEATURE_ACTIONS.index(name), name) for name in session.ACTIONS_SHOWN]
    for name, rows in (("config_bits", port.CONFIG), ("state_bits", port.STATE),
                       ("feature_bits", port.FEATURES), ("action_bits", shown),
                       ("stp_states", port.STP_STATES.items()),
                       ("fragments", session.FRAGMENTS.items()),
                       ("port_names", base.PORT_NAMES.items())):
        body = "".join(f'    {{ {bit:#x}, "{word}" }},\n' for bit, word in rows)
        out.append(f"\nstatic const struct named {name}[] = {{\n{body}}};\n")
    body = "".join(f'    {{ {bit:#x}, {low}, {high}, "{name}" }},\n'
                   for name, bit, low, high in session.CAPABILITIES)
    out.append(f"\nstatic const struct capability capabilities[] = {{\n{body}}};\n")
    body = "".join(f"    {{ {mask:#x}, {mbps} }},\n" for mask, mbps in port.SPEEDS)
    out.append(f"\nstatic const struct speed speeds[] = {{\n{body}}};\n")
    return "".join(out)


def write() -> None:
    """Brings the headers up to date; one whose text is the same is left untouched."""
    DIRECTORY.mkdir(exist_ok=True)
    for name, text in (("pieces.h", header()), ("names.h", names_header())):
        path = DIRECTORY / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
