"""Upcalls: what the library tells Python, record by record.

One eventfd per queue says that a queue is not empty (`fd`); `take` empties it. Kinds and queues are
numbered as in schema/flow/seam.py. Control task only.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from datapath.ffi import check, ffi, lib
from schema.flow.seam import SEAM

_BUFFER = 1 << 20


class Queue(IntEnum):
    """The queues: CONTROL never shares space with data."""

    CONTROL = SEAM["QUEUE_CONTROL"]
    OPENFLOW = SEAM["QUEUE_OPENFLOW"]
    SAMPLE = SEAM["QUEUE_SAMPLE"]
    EVENT = SEAM["QUEUE_EVENT"]
    LOG = SEAM["QUEUE_LOG"]
    FRAMES = SEAM["QUEUE_FRAMES"]


class Upcall(NamedTuple):
    """One record: `flow` is a struct flow or b"", `data` depends on the kind."""

    kind: int
    reason: int
    dp: int
    bridge: int
    odp: int
    ofp: int
    cookie: int
    rule: int
    tag: int
    table: int
    controller_id: int
    max_len: int
    recirc_id: int
    total_len: int
    when_ms: int
    flow: bytes
    data: bytes
    frame: bytes


_HEAD = struct.Struct("=IHHIIIIQQQIIIIIIIIq")
_BRIDGE = struct.Struct("=12xI")


def fd(queue: Queue) -> int:
    """The eventfd of a queue; the library keeps it open."""
    number = ffi.new("int *")
    check(lib.upcall_fd(queue, number))
    return number[0]


_buffer = None


def take_records(queue: Queue) -> Iterator[bytes]:
    """All records that are in the queue now, some whole ones at a time."""
    global _buffer
    if _buffer is None:
        _buffer = ffi.new("uint8_t[]", _BUFFER)
    n_bytes, n_records = ffi.new("uint32_t *"), ffi.new("uint32_t *")
    while True:
        check(lib.upcalls_take(queue, _buffer, _BUFFER, n_bytes, n_records))
        if not n_records[0]:
            return
        yield ffi.buffer(_buffer, n_bytes[0])[:]


def unpack(records: bytes, at: int) -> tuple[Upcall, int]:
    """The record that begins at `at`, and where the next one begins."""
    (size, kind, reason, dp, bridge, odp, ofp, cookie, rule, tag, table, controller, max_len,
     recirc, flow_size, data_size, frame_size, total, when) = _HEAD.unpack_from(records, at)
    flow = at + _HEAD.size
    data = flow + flow_size + -flow_size % 8
    frame = data + data_size + -data_size % 8
    return Upcall(kind, reason, dp, bridge, odp, ofp, cookie, rule, tag, table, controller,
                  max_len, recirc, total, when, records[flow:flow + flow_size],
                  records[data:data + data_size], records[frame:frame + frame_size]), at + size


def bridge_of(records: bytes, at: int) -> int:
    """The bridge of the record that begins at `at`."""
    return _BRIDGE.unpack_from(records, at)[0]


def take(queue: Queue) -> Iterator[Upcall]:
    """All records that are in the queue now."""
    for records in take_records(queue):
        at = 0
        while at < len(records):
            upcall, at = unpack(records, at)
            yield upcall
