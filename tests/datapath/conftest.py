"""Fixtures of the datapath tests: a datapath of dummy ports that the test pumps."""

import struct

import pytest

from vswitchd.switch.netdev import PortConfig


def port(name: str, kind: str = "dummy", **settings) -> PortConfig:
    """A port's configuration; what it sends comes back by the queue FRAMES."""
    return PortConfig(kind, name, "00:00:00:00:00:00", 1500, sends_to_queue=True, **settings)


def action(kind: int, body: bytes = b"") -> bytes:
    """One datapath action: head, body, padding."""
    size = (4 + len(body) + 7) // 8 * 8
    return (struct.pack("=HH", kind, size) + body).ljust(size, b"\0")


def output(port: int) -> bytes:
    """The output action."""
    return action(1, struct.pack("=I", port))


def set_key(key: int, value: bytes, mask: bytes | None = None) -> bytes:
    """The set action; `mask` None: all of it."""
    mask = b"\xff" * len(value) if mask is None else mask
    padded = (len(value) + 7) // 8 * 8
    return action(11, struct.pack("=HH", key, len(value)) + value.ljust(padded, b"\0")
                  + mask.ljust(padded, b"\0"))


@pytest.fixture
def face():
    """The face of the library, with the clock steered and no workers."""
    pytest.importorskip("cffi")
    from datapath import face as module
    from datapath import upcall
    module.workers_set(0)
    module.clock(True, 1_000_000)
    for queue in upcall.Queue:
        while list(upcall.take(queue)):
            pass
    yield module
    module.workers_set(0)
    module.clock(False)


class Switch:
    """A datapath with ports 1 to `n_ports`, whose frames sent come back as a list."""

    def __init__(self, face, n_ports: int = 4, **settings) -> None:
        self.face = face
        self.dp = face.datapath_open("test", **settings)
        for number in range(1, n_ports + 1):
            face.port_add(self.dp, number, port(f"p{number}"))

    def put(self, actions: bytes, **fields: int | tuple[int, int]) -> None:
        """Install a static flow for `fields`; exact where no mask is given."""
        from datapath.match import pack_match
        from schema.flow.fields import FIELD
        match = {name: value if isinstance(value, tuple) else (value, (1 << FIELD[name].bits) - 1)
                 for name, value in fields.items()}
        self.face.flow_put(self.dp, *pack_match(match), actions, may_exist=True)

    def send(self, port: int, *frames: bytes) -> list[tuple[int, bytes]]:
        """Let frames come in at `port`; return (port, frame) of all that went out,
        ordered by port."""
        from datapath import upcall
        for frame in frames:
            self.face.port_receive(self.dp, port, 0, frame)
        while self.face.pump():
            pass
        records = upcall.take(upcall.Queue.FRAMES)
        return sorted(((record.odp, record.frame) for record in records), key=lambda sent: sent[0])


@pytest.fixture
def switch(face):
    """A pumped datapath with four dummy ports."""
    switch = Switch(face)
    yield switch
    face.datapath_close(switch.dp)
