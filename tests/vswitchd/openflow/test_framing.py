"""Cutting a stream into messages, and what a message is called."""

import pytest

from schema.openflow.messages import RAWS
from vswitchd.openflow.framing import (
    OpenFlowError, Splitter, find_raw, identify, open_frame, pack,
)
from vswitchd.openflow.messages import KINDS


def test_every_message_of_the_table_is_spoken():
    assert {raw.kind for raw in RAWS} == set(KINDS)


def test_messages_come_out_whole_whatever_the_chunks():
    stream = bytes.fromhex("0100000800000001" "0102000b00000002aabbcc" "0105000800000003")
    for size in (1, 3, 7, 8, 100):
        splitter, found = Splitter(), []
        for start in range(0, len(stream), size):
            splitter.feed(stream[start:start + size])
            found += splitter.messages()
        assert [len(message) for message in found] == [8, 11, 8]
        assert b"".join(found) == stream
        assert splitter.pending == 0


def test_a_length_that_cannot_be_ends_the_stream():
    splitter = Splitter()
    splitter.feed(bytes.fromhex("0100000700000001"))
    with pytest.raises(OpenFlowError, match="too-short ofp_header"):
        list(splitter.messages())


@pytest.mark.parametrize("raw", RAWS, ids=lambda raw: raw.name)
def test_a_packed_message_is_identified_as_what_it_is(raw):
    for version in range(raw.low, min(raw.high, 6) + 1):
        data = pack(raw, version, 7, bytes(raw.size))
        found, header, _ = identify(data)
        assert (found, header.version, header.xid) == (raw, version, 7)
        assert open_frame(data).body == bytes(raw.size)
        assert find_raw(raw.kind, version) == raw


@pytest.mark.parametrize("data, name", [
    ("0163000800000001", "OFPBRC_BAD_TYPE"),
    ("0110000c0000000100500000", "OFPBRC_BAD_STAT"),
    ("0104001000000001000023ff000000ff", "OFPBRC_BAD_VENDOR"),
    ("010400100000000100002320000000ff", "OFPBRC_BAD_SUBTYPE"),
    ("010500090000000100", "OFPBRC_BAD_LEN"),
])
def test_what_is_no_message_is_refused_as_the_reference_does(data, name):
    with pytest.raises(OpenFlowError) as caught:
        open_frame(bytes.fromhex(data))
    assert caught.value.name == name
