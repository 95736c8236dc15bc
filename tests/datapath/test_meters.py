"""Meters: token buckets on the steered clock, bands, and what does not exist."""

import struct

import pytest

from schema.flow.seam import SEAM
from tests.datapath.conftest import action, output

KBPS, PKTPS = SEAM["METER_KBPS"], SEAM["METER_PKTPS"]
DROP, REMARK = SEAM["METER_DROP"], SEAM["METER_DSCP_REMARK"]
METER = 19


def frame(tos: int = 0, size: int = 60) -> bytes:
    """An IPv4 frame; its checksum is right for `tos` 0."""
    header = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, tos, size - 14, 0, 0, 64, 253, 0,
                                   b"\1\1\1\1", b"\2\2\2\2"))
    total = sum(struct.unpack("!10H", header))
    header[10:12] = struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff)
    return b"\0\0\0\0\0\1\0\0\0\0\0\2\x08\0" + bytes(header) + bytes(size - 34)


@pytest.fixture
def metered(switch):
    switch.put(action(METER, struct.pack("=I", 5)) + output(2), in_port=1)
    return switch


def passed(switch, n: int, sent: bytes = frame()) -> int:
    """How many of `n` frames come out."""
    return len(switch.send(1, *[sent] * n))


def test_packets_fill_and_empty_a_bucket(face, metered):
    face.meter_set(metered.dp, 5, face.Meter(PKTPS, (face.Band(DROP, 2, 3),)))
    assert passed(metered, 5) == 3
    face.clock(True, 1_000_499)
    assert passed(metered, 1) == 0
    face.clock(True, 1_000_500)
    assert passed(metered, 2) == 1
    face.clock(True, 9_000_000)
    assert passed(metered, 5) == 3                          # no more than the burst
    found = face.meter(metered.dp, 5)
    assert (found.n_packets, found.n_bytes) == (13, 13 * 60)
    assert (found.bands[0].n_packets, found.bands[0].n_bytes) == (6, 360)


def test_bits_count_by_size_and_a_burst_of_0_is_a_second(face, metered):
    face.meter_set(metered.dp, 5, face.Meter(KBPS, (face.Band(DROP, 1),)))
    assert passed(metered, 3) == 2                          # 480 bits each of 1000
    assert passed(metered, 1, frame(size=1000)) == 0


def test_the_band_with_the_highest_rate_that_is_exceeded_fires(face, metered):
    face.meter_set(metered.dp, 5, face.Meter(PKTPS, (face.Band(DROP, 1, 1), face.Band(DROP, 2, 2))))
    assert passed(metered, 4) == 1
    assert [band.n_packets for band in face.meter(metered.dp, 5).bands] == [1, 2]


@pytest.mark.parametrize("tos, level, expected", [
    (0x28, 1, 0x30), (0x28, 9, 0x38), (0x38, 1, 0x38), (0x89, 1, 0x91), (0xb8, 1, 0xb8), (0, 1, 0)])
def test_a_remarking_band_raises_the_drop_precedence(face, metered, tos, level, expected):
    face.meter_set(metered.dp, 5, face.Meter(PKTPS, (face.Band(REMARK, 1, 1, level),)))
    (_, first), (_, second) = metered.send(1, frame(tos), frame(tos))
    assert (first[15], second[15]) == (tos, expected)
    assert second == frame(expected)                        # with its checksum


def test_what_does_not_exist_lets_everything_pass(face, metered):
    assert passed(metered, 3) == 3
    face.meter_set(metered.dp, 5, face.Meter(PKTPS, (face.Band(DROP, 1, 1),)))
    assert passed(metered, 3) == 1
    face.meter_del(metered.dp, 5)
    assert passed(metered, 3) == 3
    for call in (face.meter_del, face.meter):
        with pytest.raises(face.DatapathError, match="no meter 5"):
            call(metered.dp, 5)
    with pytest.raises(face.DatapathError, match="too high"):
        face.meter_set(metered.dp, 1 << 18, face.Meter(PKTPS, ()))


def test_a_frozen_state_goes_through_the_seam(face):
    state = face.Frozen(3, 0, 7, 1, True, ((5, 32), (9, 128)), bytes(8), bytes(16), b"")
    assert face.unpack_frozen(face.pack_frozen(state)) == state
