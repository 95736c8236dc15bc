"""The order in which the reference tells of things that it keeps in a hash table by number.

Controllers and scripts see meters and the statistics of ports in that order, so ours are told in
it: `HashOrder` follows a chained table that doubles when it holds two entries a bucket (from one
bucket at once to four), newest first in each chain, under MurmurHash3's mixing of a number and a
zero. Any thread.
"""

from collections.abc import Iterable

_ONES = 0xffffffff


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> 32 - bits) & _ONES


def _add(state: int, word: int) -> int:
    word = _rotate(word * 0xcc9e2d51 & _ONES, 15) * 0x1b873593 & _ONES
    return (_rotate(state ^ word, 13) * 5 + 0xe6546b64) & _ONES


def hash_number(number: int) -> int:
    """MurmurHash3 of two words, `number` as the start and as nothing else."""
    state = _add(_add(number, 0), 0) ^ 8
    state = (state ^ state >> 16) * 0x85ebca6b & _ONES
    state = (state ^ state >> 13) * 0xc2b2ae35 & _ONES
    return state ^ state >> 16


class HashOrder:
    """Numbers in the order of the reference's table, which begins with `n_buckets`; `numbers` are
    put in one after the other."""

    def __init__(self, numbers: Iterable[int] = (), n_buckets: int = 1) -> None:
        self._buckets: list[list[int]] = [[] for _ in range(n_buckets)]
        self._count = 0
        for number in numbers:
            self.add(number)

    def add(self, number: int) -> None:
        """Puts in a number that is not there."""
        self._chain(number).insert(0, number)
        self._count += 1
        if self._count // 2 >= len(self._buckets):
            size = 4
            while self._count // 2 >= size:
                size *= 2
            old = list(self)
            self._buckets = [[] for _ in range(size)]
            for entry in old:
                self._chain(entry).insert(0, entry)

    def remove(self, number: int) -> None:
        """Takes out a number that is there."""
        self._chain(number).remove(number)
        self._count -= 1

    def _chain(self, number: int) -> list[int]:
        return self._buckets[hash_number(number) & len(self._buckets) - 1]

    def __iter__(self):
        return (number for chain in self._buckets for number in chain)
