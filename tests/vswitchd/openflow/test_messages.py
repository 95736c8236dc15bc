"""Messages on the wire: what the real Open vSwitch sent decodes, and encodes to the same bytes."""

import json
import random
from pathlib import Path

import pytest

from schema.openflow.messages import RAWS
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.framing import identify, pack
from vswitchd.openflow.messages import decode, encode, encode_parts
from vswitchd.openflow.messages.base import NO_ERROR_NAME
from vswitchd.openflow.messages.flow import FlowStats, FlowStatsReply
from vswitchd.openflow.messages.port import Port, PortStatus
from vswitchd.openflow.messages.session import Error, find_error, has_code
from vswitchd.openflow.match import Match

DATA = Path(__file__).parent / "data"


def _bytes(text: str | None) -> bytes:
    """Hexadecimal of a recording, nothing where it has words."""
    try:
        return bytes.fromhex(text or "")
    except ValueError:
        return b""


def recorded() -> list[bytes]:
    """Every message that a real switch or ovs-ofctl sent, and damaged copies of some."""
    messages = [bytes.fromhex(json.loads(line)["message"])
                for line in (DATA / "printed.jsonl").read_text().splitlines()]
    for line in (DATA / "flow_mods.jsonl").read_text().splitlines():
        row = json.loads(line)
        for key in ("flow_mod", "error", "stats_reply"):
            data = _bytes(row.get(key))
            if len(data) >= 8 and int.from_bytes(data[2:4], "big") == len(data):
                messages.append(data)
    return messages


MESSAGES = recorded()


def test_flow_messages_of_the_reference_encode_to_the_same_bytes():
    checked = 0
    for line in (DATA / "flow_mods.jsonl").read_text().splitlines():
        row = json.loads(line)
        for key in ("flow_mod", "stats_reply"):
            data = _bytes(row.get(key))
            # A zero in a variable-length field is as long as the switch's TLV table says.
            if len(data) < 8 or "tun_metadata" in row["flow"] or "nsh" in row["flow"]:
                continue
            try:
                message = decode(data)
            except OpenFlowError:
                continue
            assert encode(message.value, message.version, message.xid) == data, row["flow"]
            checked += 1
    assert checked > 800


def test_what_is_encoded_decodes_to_the_same_value():
    checked = set()
    for data in MESSAGES:
        try:
            message = decode(data)
        except OpenFlowError:
            continue
        if getattr(message.value, "whole", True) is False:
            continue                             # a hello with more in it than we keep
        parts = encode_parts(message.value, message.version, message.xid)
        assert len(parts) == 1
        again = decode(parts[0])
        assert again.value == message.value, data.hex()
        assert encode_parts(again.value, again.version, again.xid) == parts
        checked.add(message.raw.kind)
    assert {raw.kind for raw in RAWS} - checked <= {"NXT_RESUME", "OFPT_REQUESTFORWARD",
                                                    "ONFT_REQUESTFORWARD", "NXT_REQUESTFORWARD"}


def test_no_bytes_make_a_decoder_raise_anything_else():
    rng = random.Random(1)
    for _ in range(6000):
        data = bytearray(rng.choice(MESSAGES))
        for _ in range(rng.choice((1, 1, 2, 5))):
            if len(data) > 8:
                data[rng.randrange(8, len(data))] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
        if rng.random() < 0.3:
            del data[rng.randrange(8, len(data) + 1):]
        data[2:4] = (len(data) & 0xFFFF).to_bytes(2, "big")
        try:
            decode(bytes(data))
        except OpenFlowError as error:
            assert error.name.startswith(("OFP", "NX")) or error.name == NO_ERROR_NAME


def test_random_bodies_of_every_message_decode_or_are_refused():
    rng = random.Random(2)
    for raw in RAWS:
        for version in range(raw.low, min(raw.high, 6) + 1):
            for size in (raw.size, raw.size + raw.unit, raw.size + 8 * raw.unit):
                data = pack(raw, version, 1, rng.randbytes(min(size, 60000)))
                try:
                    decode(data)
                except OpenFlowError:
                    pass


def test_long_replies_are_cut_between_entries():
    flows = tuple(FlowStats(Match.of(in_port=n % 100), cookie=n) for n in range(3000))
    for version in (1, 4):
        parts = encode_parts(FlowStatsReply(flows), version, 9)
        assert len(parts) > 1
        assert [data[11] & 1 for data in parts] == [1] * (len(parts) - 1) + [0]
        cookies = [flow.cookie for data in parts for flow in decode(data).value.flows]
        assert cookies == list(range(3000))


@pytest.mark.parametrize("version", range(1, 7))
def test_a_port_keeps_its_features_through_every_version(version):
    port = Port(0xFFFE, bytes(6), "br0", 0x1, 0x1, 0x2820, 0x4000, 0x2824, 0)
    value = decode(encode(PortStatus(2, port), version, 1)).value
    assert (value.port.number, value.port.current, value.port.supported) == (
        0xFFFE, 0x2820, 0x2824)


def test_every_error_is_found_by_the_code_points_it_is_sent_with():
    from schema.openflow.errors import ERRORS
    for error in ERRORS:
        for version in range(1, 7):
            if has_code(error.name, version):
                value = decode(encode(Error(error.name, b"12345678"), version, 1)).value
                assert value.data == b"12345678"
                # Several errors may share code points; the first of the table is meant.
                assert find_error(version, value.vendor, value.type,
                                  None if value.vendor and version >= 3 else value.code)


def test_identify_needs_no_body():
    assert identify(bytes.fromhex("0105ffff00000001"))[0].kind == "OFPT_FEATURES_REQUEST"
