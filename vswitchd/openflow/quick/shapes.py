"""Lines of flows made to flow_mods in C by their shapes: `make_shapes`, `wrap` and `exchange`.

Files of flows repeat themselves: the same words in the same order, with other numbers. shapes.c
cuts lines into their skeleton and the numbers, and puts these into the message that it was taught
for the skeleton. Which words have such numbers is said here, by the field table; `Teacher` finds
out where the numbers lie in a shape's message by having others encoded, so nothing says what a flow
means but the codec. A shape that does not behave is odd, and its lines are for the codec as before.

Without the extension LIBRARY is None. Any thread.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from schema import extension
from schema.flow.fields import Format
from vswitchd.openflow.fields import BY_OXM_NAME, INFO, MAX_PORT, Info
from vswitchd.openflow.match import step_of

LIBRARY = extension.find("vswitchd.openflow.quick._shapes", extension.VERSIONED)

MATCH, ACTIONS, TARGET = range(3)                           # enum where
NUMBER, DECIMAL, IPV4, MAC, IPV6, SETTER = range(6)         # enum form
END, NEW, ODD = range(3)                                    # enum stop: why `read` left a line

_FORMS = {Format.DEC: NUMBER, Format.HEX: NUMBER, Format.MAC: MAC, Format.IPV4: IPV4,
          Format.IPV6: IPV6}
_SIZES = {NUMBER: 8, DECIMAL: 8, IPV4: 4, MAC: 6, IPV6: 16}
_PORT, _U16 = MAX_PORT - 1, 0xffff
# What these say is more than a number: other fields hang on it.
_SPECIAL = frozenset(("eth_type", "nw_proto", "ip_frag", "vlan_tci", "packet_type", "ct_state",
                      "ct_nw_proto", "nsh_mdtype", "tun_erspan_ver", "nw_tos"))
_KEYS = (("priority", NUMBER, _U16, ""), ("cookie", NUMBER, (1 << 63) - 1, ""),
         ("idle_timeout", NUMBER, _U16, ""), ("hard_timeout", NUMBER, _U16, ""),
         ("importance", NUMBER, _U16, ""), ("in_port", DECIMAL, _PORT, ""),
         ("dl_vlan", NUMBER, 0xfff, ""),
         # A goto_table is right or wrong by it.
         ("table", DECIMAL, 253, "goto_table"))
# "" is a port alone.
_ACTIONS = (("", DECIMAL, _PORT), ("output", DECIMAL, _PORT), ("group", DECIMAL, 0xfffffeff),
            ("mod_dl_src", MAC, 0), ("mod_dl_dst", MAC, 0), ("mod_nw_src", IPV4, 0),
            ("mod_nw_dst", IPV4, 0), ("mod_tp_src", NUMBER, _U16), ("mod_tp_dst", NUMBER, _U16),
            ("mod_vlan_vid", NUMBER, 0xfff), ("set_field", SETTER, 0), ("load", SETTER, 0))
# On the type of an ICMPv6 message hangs what else of neighbour discovery there may be.
_ODD = re.compile(rb"nd_", re.IGNORECASE)
_RANGE = re.compile(rb"->\w+\[(\d+)(?:\.\.(\d+))?\]")
_MASK = re.compile(rb"/(0|0x[0-9a-f]+|[1-9][0-9]*)(?![0-9a-zA-Z])")
_TEXTS = {IPV4: (b"0.0.0.0", b"255.255.255.255", b"85.170.85.170"),
          MAC: (b"00:00:00:00:00:00", b"ff:ff:ff:ff:ff:ff", b"55:aa:55:aa:55:aa"),
          IPV6: (b"::", b":".join([b"ffff"] * 8), b":".join([b"55aa"] * 8))}
_HEADER = 8


def _form_of(info: Info) -> int | None:
    """The form of a field's numbers, None if they are not all alike."""
    form = _FORMS.get(info.format)
    if (form is None or info.place in _SPECIAL or "icmp" in info.name or info.variable
            or step_of(info).is_valid is not None and info.bits == info.size * 8):
        return None
    return form if form != NUMBER or info.size <= 8 else None


def make_shapes():
    """A new `_shapes.Shapes`; only with the extension."""
    words = [(name, MATCH, *rest) for name, *rest in _KEYS]
    words += [(*row[:1], ACTIONS, *row[1:], "") for row in _ACTIONS]
    for name, info in INFO.items():
        form = _form_of(info)
        if form is not None:
            words.append((name, MATCH, form, info.significant & (1 << 64) - 1, ""))
    for names in (INFO, BY_OXM_NAME):
        for name, info in names.items():
            form = _form_of(info) if info.writable else None
            if form is not None:
                words.append((name, TARGET, form, info.significant & (1 << 64) - 1, ""))
    return LIBRARY.Shapes(words)


class Slot(NamedTuple):
    """A number in a line: where, its form, the greatest, and the mask behind it."""

    start: int
    end: int
    form: int
    most: int
    mask: int

    def texts(self) -> tuple[bytes, bytes, bytes]:
        """Three numbers: the least, the greatest, and another."""
        if self.form in _TEXTS:
            return _TEXTS[self.form]
        return b"0", b"%d" % self.most, b"%d" % (self.most // 3)


class OddError(Exception):
    """A shape does not behave."""


class Teacher:
    """Teaches shapes; `make` is the usual way, from a line to (message, protocols that can carry
    it), and may raise anything for lines that are wrong."""

    def __init__(self, shapes, make: Callable[[bytes], tuple[bytes, int]]) -> None:
        self._shapes, self._make = shapes, make

    def teach(self, line: bytes, is_plain: bool) -> None:
        """Teaches the shape of a line, as an odd one unless it `is_plain`."""
        try:
            if not is_plain or _ODD.search(line):
                raise OddError
            self._teach(line)
        except Exception:               # What is wrong with other numbers, nobody has asked for.
            self._shapes.learn(line, b"", 0, [])

    def _teach(self, line: bytes) -> None:
        slots = [_find_slot(line, row) for row in self._shapes.slots(line)]
        least = [slot.texts()[0] for slot in slots]
        message, usable = self._make(fill(line, slots, least))
        places = []
        for number, slot in enumerate(slots):
            texts = [*least[:number], slot.texts()[1], *least[number + 1:]]
            other, also = self._make(fill(line, slots, texts))
            if len(other) != len(message) or also != usable:
                raise OddError
            places.append(find_place(slot, message, other))
        self._shapes.learn(line, message, usable, places)
        for known in (line, fill(line, slots, [slot.texts()[2] for slot in slots])):
            if self._make(known) != (self._shapes.read(known, 0)[0], usable):
                raise OddError


def _find_slot(line: bytes, row: tuple[int, int, int, int]) -> Slot:
    start, end, form, most = row
    size = _SIZES[form]
    mask = (1 << 8 * size) - 1
    found = _RANGE.match(line, end)
    if found is not None:
        n_bits = int(found[2] or found[1]) - int(found[1]) + 1
        most = min(most, (1 << n_bits) - 1)
    if line[end:end + 1] == b"/" and form == NUMBER:
        found = _MASK.match(line, end)
        if found is None:
            raise OddError
        mask = int(found[1], 0)
    return Slot(start, end, form, most, mask)


def fill(line: bytes, slots: list[Slot], texts: list[bytes]) -> bytes:
    """The line with other numbers."""
    out, at = [], 0
    for slot, text in zip(slots, texts):
        out += line[at:slot.start], text
        at = slot.end
    return b"".join((*out, line[at:]))


def find_place(slot: Slot, least: bytes, greatest: bytes) -> tuple[int, int, int, int, bytes]:
    """Where a slot lies (struct place), from messages with its least and greatest number."""
    low = int.from_bytes(least, "big")
    bits = low ^ int.from_bytes(greatest, "big")
    size, most = _SIZES[slot.form], slot.most
    if slot.form in (NUMBER, DECIMAL):
        wanted = slot.mask & most
        shift = _zeros(bits) - _zeros(wanted)
        if not wanted or shift < 0 or bits != wanted << shift or low & bits:
            raise OddError
        mask = slot.mask & (1 << 64) - 1
        up = shift % 8
        size = (most.bit_length() + up + 7) // 8
        if size > 8:
            raise OddError
    else:
        # A prefix or all of it: the first bit always counts.
        shift, up = bits.bit_length() - 8 * size, 0
        whole = (1 << 8 * size) - 1
        if shift < 0 or shift % 8 or low >> shift & whole:
            raise OddError
        mask = bits >> shift
        if mask << shift != bits:
            raise OddError
    at = len(least) - shift // 8 - size
    if at < _HEADER:
        raise OddError
    return at, size, up, most, mask.to_bytes(_SIZES[slot.form], "big")


def _zeros(number: int) -> int:
    """How many zero bits a number ends in."""
    return (number & -number).bit_length() - 1
