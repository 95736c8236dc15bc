"""Messages with something wrong in them, made from sound ones; seeded, so the same each time."""

import random

_SMALL = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 40, 0x7F, 0x80, 0xFE, 0xFF)
_SHORT = (0, 1, 4, 8, 12, 16, 24, 0x100, 0x8000, 0xFFFF)
_LONG = (0, 1, 0xFF00, 0x154D, 0x2320, 0x4F4E4600, 0xFFFFFF00, 0xFFFFFFFD, 0xFFFFFFFE, 0xFFFFFFFF)


def with_length(data: bytes) -> bytes:
    """`data` with its own length in its header."""
    return data[:2] + len(data).to_bytes(2, "big") + data[4:]


def damage(rng: random.Random, data: bytes, n: int) -> bytes:
    """A message like `data` after `n` changes behind its header; its length is that of its bytes."""
    message = bytearray(data)
    for _ in range(n):
        if len(message) <= 8:
            break
        _damage_once(rng, message, rng.randrange(8, len(message)))
    return with_length(bytes(message[:60000]))


def _damage_once(rng: random.Random, message: bytearray, at: int) -> None:
    word = at & ~7
    match rng.randrange(10):
        case 0 | 1 | 2:
            message[at] = rng.choice(_SMALL)
        case 3:
            message[at] = rng.randrange(256)
        case 4:
            message[at] ^= 1 << rng.randrange(8)
        case 5:
            at &= ~1
            left = len(message) - at
            number = rng.choice((*_SHORT, len(message), left, max(0, left - 8)))
            message[at:at + 2] = number.to_bytes(2, "big")
        case 6:
            at &= ~3
            message[at:at + 4] = rng.choice(_LONG).to_bytes(4, "big")
        case 7:
            del message[at:]
        case 8:
            message[word:word] = message[word:word + 8 * rng.randrange(1, 6)]
        case 9:
            del message[word:word + 8 * rng.randrange(1, 4)]
