"""What waits for a slow reader: order, limits, and flow updates counted."""

import random

from vswitchd.openflow.outbox import FlowUpdates, Outbox


class Reader:
    """A peer that takes `room` bytes at once; the rest waits for its writer."""

    def __init__(self, room: int = 0, most: int = 65536) -> None:
        self.room, self.read = room, b""
        self.outbox = Outbox(self._take, most)

    def _take(self, data: bytes) -> bytes:
        size = 0 if len(self.outbox) else min(self.room, len(data))
        self.read, self.room = self.read + data[:size], self.room - size
        return data[size:]

    def write(self) -> bool:
        """What the edge's writer does with one piece; whether those were the last flow updates."""
        data = self.outbox.take()
        self.read += data
        return self.outbox.note_written(data)


def test_what_the_peer_takes_at_once_never_waits():
    reader = Reader(100)
    reader.outbox.send(b"one")
    assert reader.read == b"one" and len(reader.outbox) == 0 and reader.outbox.take() is None


def test_nothing_is_lost_or_overtaken_up_to_the_limit():
    rng = random.Random(3)
    for _ in range(200):
        reader, sent = Reader(rng.randrange(40)), b""
        for n in range(rng.randrange(30)):
            piece = bytes([n]) * rng.randrange(1, 9)
            reader.outbox.send(piece)
            sent += piece
            if len(reader.outbox) and rng.random() < 0.3:
                reader.write()
        while len(reader.outbox):
            reader.write()
        assert reader.read == sent


def test_a_reader_that_is_too_slow_loses_whole_messages():
    reader = Reader(2, most=3)
    for text in (b"aaa", b"bbb", b"ccc", b"ddd", b"eee"):
        reader.outbox.send(text)
    assert len(reader.outbox) == 3
    while len(reader.outbox):
        reader.write()
    assert reader.read == b"aaabbbccc"          # a is not cut, the last ones never began
    reader.outbox.send(b"fff")
    reader.write()
    assert reader.read.endswith(b"cccfff")      # there is room again


def test_bytes_of_flow_updates_are_counted_until_they_are_written():
    reader = Reader(4)
    reader.outbox.send(FlowUpdates(b"123456"))
    reader.outbox.send(b"other")
    reader.outbox.send(FlowUpdates(b"789"))
    assert reader.outbox.n_watched == 2 + 3
    assert [reader.write() for _ in range(3)] == [False, False, True]
    assert reader.outbox.n_watched == 0


def test_after_the_end_nothing_more_waits():
    reader = Reader()
    reader.outbox.send(b"last words")
    reader.outbox.close()
    reader.outbox.send(b"too late")
    assert reader.outbox.take() == b"last words" and reader.outbox.take() is None
