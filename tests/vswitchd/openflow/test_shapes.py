"""The extension by which many flows are made and sent: its bounds, and its conversation."""

import random
import socket
import threading

import pytest

from vswitchd.openflow.quick.shapes import (
    ACTIONS, END, LIBRARY, MAC, MATCH, NEW, NUMBER, ODD, make_shapes,
)

LINE = b"priority=5,dl_src=00:01:02:03:04:05,actions=output:7"
MESSAGE = bytes.fromhex("04ff0020 00000000") + bytes(24)
PLACES = [(8, 2, 0, 0xffff, b"\xff" * 8), (10, 6, 0, 0, b"\xff" * 6), (20, 2, 2, 100, b"\xff" * 8)]


def test_numbers_go_to_their_places():
    shapes = make_shapes()
    assert shapes.read(LINE, 0) == (b"", 0, 0, 0xffffffff, NEW)
    assert [LINE[start:end] for start, end, *_ in shapes.slots(LINE)] == [
        b"5", b"00:01:02:03:04:05", b"7"]
    shapes.learn(LINE, MESSAGE, 0x30, PLACES)
    text = LINE + b"  # x\n\n#\n \tpriority=0x102,dl_src=FF:ee:00:00:00:01,actions=output:100"
    first = MESSAGE[:8] + bytes.fromhex("0005 000102030405 00000000 001c") + bytes(10)
    second = MESSAGE[:8] + bytes.fromhex("0102 ffee00000001 00000000 0190") + bytes(10)
    assert shapes.read(text, 0) == (first + second, len(text), 2, 0x30, END)
    assert shapes.read(LINE.replace(b":7", b":101"), 0)[4] == ODD
    shapes.learn(LINE, b"", 0, [])
    assert shapes.read(LINE, 0) == (b"", 0, 0, 0xffffffff, ODD)


@pytest.mark.parametrize("line", [
    b"priority=05,actions=1", b"priority=+5,actions=1", b"priority=5x,actions=1",
    b"priority=99999999999999999999,actions=1", b"dl_src=0:1:2:3:4:5,actions=1",
    b"nw_src=1.2.3.4.5,actions=1", b"nw_src=1.2.3.256,actions=1", b"ipv6_src=1::2::3,actions=1",
    b"priority=-1,actions=1", b"nopriority=1,actions=1", b"learn(priority=1),actions=1",
    b"table=0x1,actions=1", b"table=1,actions=goto_table:1", b"reg0=1,actions=write(output:1,2)"])
def test_what_could_be_read_in_another_way_is_no_number(line):
    at = line.index(b"actions")
    assert not [row for row in make_shapes().slots(line) if row[0] < at and b"reg0" not in line]
    assert not [row for row in make_shapes().slots(line) if row[0] > at and b"(" in line[at:]]


def test_any_bytes_can_be_lines():
    rng, shapes = random.Random(3), make_shapes()
    words = (b"priority=", b"actions=", b"action", b"nw_src=", b"1.2.3.4", b"::1", b"->", b"reg0[",
             b"set_field:", b"load:", b"(", b")", b"#", b"\n", b",", b" ", b"9", b"0x", b"output:",
             b"aa:bb:cc:dd:ee:ff", b"\xff", b"\0", b"=", b"/", b"dl_dst=", b"x" * 600)
    for _ in range(20_000):
        line = b"".join(rng.choices(words, k=rng.randrange(12)))
        _, at, count, _, stop = shapes.read(line, 0)
        assert count == 0 and 0 <= at <= len(line)
        slots = shapes.slots(line)
        assert (slots is None) == (len(line) > 1024)
        for start, end, _, _ in slots or ():
            assert 0 < end - start and end <= len(line)
        if stop == NEW and rng.random() < 0.1:
            shapes.learn(line[at:].partition(b"\n")[0].partition(b"#")[0].strip(b" \t"), b"", 0, [])
    line = b",".join([b"reg0=1"] * 100) + b",actions=" + b",".join([b"7"] * 40)
    assert len(shapes.slots(line)) == 32


def test_a_character_that_means_a_number_in_a_skeleton_is_none_in_a_line():
    shapes = make_shapes()
    shapes.learn(LINE, MESSAGE, 0x30, PLACES)
    for mark in range(1, 7):
        line = LINE.replace(b"=5", b"=%c" % mark)
        assert shapes.read(line, 0) == (b"", 0, 0, 0xffffffff, ODD)
        assert shapes.slots(line) is None


@pytest.mark.parametrize("place", [
    (31, 2, 0, 1, b"\xff" * 8), (8, 0, 0, 1, b"\xff" * 8), (8, 9, 0, 1, b"\xff" * 8),
    (8, 2, 8, 1, b"\xff" * 8), (8, 2, -1, 1, b"\xff" * 8), (8, 2, 0, 1, b"\xff" * 7),
    (0xffffffff, 2, 0, 1, b"\xff" * 8), ()])
def test_places_outside_of_the_message_are_refused(place):
    shapes = make_shapes()
    with pytest.raises((ValueError, TypeError)):
        shapes.learn(b"priority=5,actions=drop", MESSAGE, 1, [place])
    with pytest.raises(ValueError):
        shapes.learn(b"priority=5,actions=drop", MESSAGE, 1, [])
    with pytest.raises(ValueError):
        shapes.read(b"priority=5", 11)
    for word in (("a" * 64, MATCH, NUMBER, 1, ""), ("a", 9, NUMBER, 1, ""), ("a", MATCH, 9, 1, ""),
                 ("a", MATCH, NUMBER, 1, "b" * 64), ("a", ACTIONS, MAC, -1, "", 3)):
        with pytest.raises((ValueError, TypeError)):
            LIBRARY.Shapes([word])


def message(size: int) -> bytes:
    return bytes((4, 14)) + size.to_bytes(2, "big") + bytes(4) + b"x" * (size - 8)


def test_messages_are_wrapped_and_numbered():
    head = bytes.fromhex("05220000 00000000 00000001 00000003")
    made = LIBRARY.wrap(message(16) + message(24), head, 0xffff)
    assert made == (bytes.fromhex("05220020 0000ffff 00000001 00000003 040e0010 0000ffff") + b"x" * 8
                    + bytes.fromhex("05220028 00010000 00000001 00000003 040e0018 00010000")
                    + b"x" * 16)
    for wrong in (b"x", message(16)[:-1], bytes(8), message(0xfff8)):
        with pytest.raises(ValueError):
            LIBRARY.wrap(wrong, head, 1)


def test_each_message_waits_for_its_barrier_and_other_answers_are_told():
    ours, theirs = socket.socketpair()
    heard = []

    def answer() -> None:
        for number, reply in ((6, b"\4\x15\0\x08\0\0\0\6"), (8, b"\4\x15\0\x08\0\0\0\x08"),
                              (10, b"something else")):
            asked = b""
            while not asked.endswith(bytes((0, 0, 0, number))):
                asked += theirs.recv(65536)
            heard.append(asked)
            theirs.sendall(reply)

    peer = threading.Thread(target=answer)
    peer.start()
    messages = message(16) + message(24) + message(8) + message(8)
    found = LIBRARY.exchange(ours.fileno(), messages, 0, 5, 0x04140008, 0x04150008)
    peer.join()
    assert found == (48, 11, b"something else")
    assert heard == [message(16)[:4] + b"\0\0\0\5" + b"x" * 8 + b"\4\x14\0\x08\0\0\0\6",
                     message(24)[:4] + b"\0\0\0\7" + b"x" * 16 + b"\4\x14\0\x08\0\0\0\x08",
                     message(8)[:4] + b"\0\0\0\x09" + b"\4\x14\0\x08\0\0\0\x0a"]
    assert LIBRARY.exchange(ours.fileno(), messages, 56, 9, 0, 0) == (56, 9, None)
    theirs.close()
    with pytest.raises(OSError):
        LIBRARY.exchange(ours.fileno(), messages, 0, 5, 0, 0)
    with pytest.raises(ValueError):
        LIBRARY.exchange(ours.fileno(), messages[:-1], 48, 5, 0, 0)
    ours.close()
