"""Frames on a stream: cut at their lengths, however the bytes come; and wires end to end."""

import struct
from types import SimpleNamespace

import pytest
import trio
from hypothesis import given, strategies as st

from vswitchd.config.desired import Interface
from vswitchd.switch import stream
from vswitchd.switch.virtual import Dummy

FRAMES = st.lists(st.binary(max_size=200))


def written(frames: list[bytes]) -> bytes:
    """Frames as they are on a stream."""
    return b"".join(struct.pack("!H", len(frame)) + frame for frame in frames)


@given(FRAMES, st.integers(1, 50))
def test_frames_are_cut_wherever_the_bytes_break(frames, step):
    buffer, found, data = bytearray(), [], written(frames)
    for at in range(0, len(data), step):
        buffer += data[at:at + step]
        found += stream.cut_frames(buffer)
    assert found == frames and not buffer


@pytest.mark.trio
async def test_two_ports_talk_over_a_socket(tmp_path, monkeypatch):
    received = []
    monkeypatch.setattr(stream, "face", SimpleNamespace(
        port_receive=lambda dp, number, queue, frame: received.append((number, frame)),
        DatapathError=ValueError))
    path = tmp_path / "wire"
    ports = [Dummy(Interface(name, "", "dummy", options=((key, kind + str(path)),)))
             for name, key, kind in (("a", "pstream", "punix:"), ("b", "stream", "unix:"))]
    wires = [stream.Wire(port, 1, number, lambda: None) for number, port in enumerate(ports, 1)]
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wires[0].run)
            while not path.exists():
                await trio.sleep(0.01)
            nursery.start_soon(wires[1].run)
            while not all(port.connection_state() == "connected" for port in ports):
                await trio.sleep(0.01)
            ports[0].transmit(b"from a")
            ports[1].transmit(b"from b")
            while len(received) < 2:
                await trio.sleep(0.01)
            for wire in wires:
                wire.scope.cancel()
    assert sorted(received) == [(1, b"from b"), (2, b"from a")]
    assert [port.connection_state() for port in ports] == ["unknown", "unknown"]
