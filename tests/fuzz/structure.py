"""OpenFlow messages changed along their structure, so that what is damaged lies deep inside.

OpenFlow is made of elements (type, length, body) within elements: actions, instructions, buckets,
bands, properties, and OXM entries. `grow` finds what looks like them without knowing any layout,
and changes one: its length, its type, its place, or what is in it; the lengths around it mostly
follow, so that decoders get to the spot. Elements of other messages are put in the place of its
own.
Seeded: the same seed gives the same messages.
"""

import json
import random
import struct
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vswitchd.openflow.framing import OpenFlowError, identify

RECORDED = Path(__file__).parents[1] / "vswitchd" / "openflow" / "data" / "printed.jsonl"

_SMALL = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 40, 0x7F, 0x80, 0xFE, 0xFF)
_TYPES = (*range(32), 0xFFFF, 0x8000, 0xFFFE)
_WORDS = (0, 1, 0xFF00, 0x154D, 0x2320, 0x4F4E4600, 0x005AD650, 0xFFFFFF00, 0xFFFFFFF8, 0xFFFFFFFB,
          0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF, 0x80000000, 0x7FFFFFFF)
_STEPS = (-16, -8, -8, -4, -2, -1, 1, 2, 4, 8, 8, 16)
_OXM_CLASSES = (0x0000, 0x0001, 0x1000, 0x8000, 0x8001, 0xFFFF)


def sound() -> dict[tuple[str, int], list[bytes]]:
    """{(row, version): messages that a real switch or ovs-ofctl sent}"""
    found = defaultdict(list)
    for line in RECORDED.read_text().splitlines():
        data = bytes.fromhex(json.loads(line)["message"])
        try:
            raw, header, _ = identify(data)
        except OpenFlowError:
            continue
        if header.length == len(data) < 3000:
            found[raw.name, header.version].append(data)
    return {key: found[key] for key in sorted(found)}


class Element(NamedTuple):
    """What looks like an element: where it begins, how long it says it is, and where it says so."""

    at: int
    size: int
    length_at: int


def elements(message: bytes) -> list[Element]:
    """What looks like (type, length, body), or (length, ...), behind the header."""
    found = []
    end = len(message)
    for at in range(8, end - 3, 4):
        first, second = struct.unpack_from("!HH", message, at)
        if 4 <= second <= end - at and first in _TYPES or 8 <= second <= end - at and first < 64:
            found.append(Element(at, second, at + 2))
        if 8 <= first <= end - at and not first & 7:
            found.append(Element(at, first, at))
    return found


def oxms(message: bytes) -> list[int]:
    """Where an OXM header seems to be."""
    return [at for at in range(8, len(message) - 4)
            if int.from_bytes(message[at:at + 2], "big") in _OXM_CLASSES
            and 0 < message[at + 3] <= len(message) - at - 4]


def with_length(data: bytes) -> bytes:
    """`data` with its own length in its header."""
    return data[:2] + len(data).to_bytes(2, "big") + data[4:]


def pieces(messages: Iterable[bytes]) -> list[bytes]:
    """Elements to put into other messages."""
    found = {message[e.at:e.at + e.size] for message in messages for e in elements(message)
             if e.length_at == e.at + 2 and 8 <= e.size <= 200 and not e.size & 7}
    return sorted(found)


def _replace(rng: random.Random, message: bytearray, start: int, end: int, new: bytes) -> None:
    """Puts `new` in the place of message[start:end]; lengths around it follow, mostly."""
    around = [e for e in elements(bytes(message))
              if e.at < start and e.at + e.size >= end] if rng.random() < 0.9 else []
    step = len(new) - (end - start)
    for element in around:
        old = int.from_bytes(message[element.length_at:element.length_at + 2], "big")
        message[element.length_at:element.length_at + 2] = (old + step & 0xFFFF).to_bytes(2, "big")
    message[start:end] = new


def change(rng: random.Random, message: bytearray, others: list[bytes]) -> None:
    """Changes one thing in `message`."""
    size = len(message)
    if size <= 8:
        message += bytes(rng.choice(_SMALL) for _ in range(rng.choice((1, 4, 8, 16, 40))))
        return
    at = rng.randrange(8, size)
    found = elements(bytes(message))
    match rng.randrange(26):
        case 0 | 1:
            message[at] = rng.choice(_SMALL)
        case 2:
            message[at] = rng.randrange(256)
        case 3:
            message[at] ^= 1 << rng.randrange(8)
        case 4:
            at &= ~3
            message[at:at + 4] = rng.choice(_WORDS).to_bytes(4, "big")
        case 5:
            at &= ~1
            number = rng.choice((0, 1, 4, 8, 12, 0x100, 0x8000, 0xFFFE, 0xFFFF, size - at))
            message[at:at + 2] = number.to_bytes(2, "big")
        case 6:
            del message[rng.choice((at, at & ~7, at & ~3)):]
        case 7:
            message += bytes(rng.choice((1, 2, 4, 8, 8, 16)))
        case 8 | 9 if found:
            one = rng.choice(found)
            number = (one.size + rng.choice(_STEPS)) & 0xFFFF
            message[one.length_at:one.length_at + 2] = number.to_bytes(2, "big")
        case 10 | 11 if found:
            one = rng.choice(found)
            kind = (one.at + one.at + 2 - one.length_at)
            message[kind:kind + 2] = rng.choice(_TYPES).to_bytes(2, "big")
        case 12 | 13 if found:
            one = rng.choice(found)
            _replace(rng, message, one.at, one.at + one.size, rng.choice(others))
        case 14 | 15 if found:
            one = rng.choice(found)
            spot = one.at + rng.choice((0, one.size))
            _replace(rng, message, spot, spot, rng.choice(others))
        case 16 if found:
            one = rng.choice(found)
            _replace(rng, message, one.at, one.at + one.size, b"")
        case 17 if found:
            one = rng.choice(found)
            _replace(rng, message, one.at, one.at, bytes(message[one.at:one.at + one.size]))
        case 18 if found:
            one = rng.choice(found)
            inner = one.at + (rng.choice((4, 8, 16, 24, one.size)) if one.size > 4 else one.size)
            pad = bytes(rng.choice((1, 2, 4, 8, 8)))
            _replace(rng, message, inner, inner, pad)
            if rng.random() < 0.5:
                old = int.from_bytes(message[one.length_at:one.length_at + 2], "big")
                message[one.length_at:one.length_at + 2] = (old + len(pad) & 0xFFFF).to_bytes(2,
                                                                                              "big")
        case 19 | 20 | 21 if spots := oxms(bytes(message)):
            _change_oxm(rng, message, rng.choice(spots))
        case 22 if found:
            one, two = sorted(rng.choices(found, k=2))
            if one.at + one.size <= two.at:
                first, second = (bytes(message[e.at:e.at + e.size]) for e in (one, two))
                message[two.at:two.at + two.size] = first
                message[one.at:one.at + one.size] = second
        case 23:
            message[rng.randrange(2)] = rng.choice(_SMALL)
        case 24:
            at &= ~7
            message[at:at] = message[at:at + 8 * rng.randrange(1, 6)]
        case 25:
            at &= ~7
            del message[at:at + 8 * rng.randrange(1, 4)]
        case _:
            message[at] = rng.choice((0, 1, 0xFF))


def _change_oxm(rng: random.Random, message: bytearray, at: int) -> None:
    length = message[at + 3]
    end = min(at + 4 + length, len(message))
    match rng.randrange(7):
        case 0:
            message[at + 2] ^= 1
        case 1:
            message[at + 2] = rng.randrange(256)
        case 2:
            message[at:at + 2] = rng.choice(_OXM_CLASSES).to_bytes(2, "big")
        case 3:
            message[at + 3] = (length + rng.choice((-4, -2, -1, 1, 2, 4, 8, length))) & 0xFF
        case 4:                                 # With a mask, and room for it.
            if not message[at + 2] & 1 and length < 128:
                mask = rng.choice((b"\xff" * length, bytes(length), rng.randbytes(length)))
                message[at + 2] |= 1
                message[at + 3] = 2 * length
                _replace(rng, message, end, end, mask)
        case 5:
            message[at + 4:end] = rng.randbytes(end - at - 4)
        case 6:                                 # Another entry behind it.
            _replace(rng, message, end, end, bytes(message[at:end]))


def mutate(rng: random.Random, data: bytes, n: int, others: list[bytes]) -> bytes:
    """A message like `data` after `n` changes; its length is mostly that of its bytes."""
    message = bytearray(data)
    for _ in range(n):
        change(rng, message, others)
    del message[60000:]
    return with_length(bytes(message))
