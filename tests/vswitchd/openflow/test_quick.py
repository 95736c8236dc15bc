"""C does with a flow_mod, and with a rule that is dumped, what the codec in Python does.

The codec is the twin: where C takes a message, the change must be the same to the last bit;
what it leaves alone is the codec's. A test says which messages it must not leave alone.
"""

import json
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from datapath import face, upcall as upcalls
from datapath.match import FLOW_SIZE
from schema.flow.seam import SEAM
from schema.openflow.limits import COOKIE_NONE
from vswitchd.openflow import messages, packed, tables
from vswitchd.openflow.action_types import GotoTable, Group, Output, SetEthSrc, SetField
from vswitchd.openflow.actions import encode_actions, encode_instructions
from vswitchd.openflow.compile import compile_actions
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.match import Match
from vswitchd.openflow.messages.bundle import BundleAdd
from vswitchd.openflow.messages.flow import COMMANDS, FlowMod, encode_flow_stats
from vswitchd.openflow.messages.packet import PacketIn, PacketOut
from vswitchd.openflow.quick import codec as quick
from vswitchd.openflow.quick.serve import teach
from tests.vswitchd.openflow.test_actions import ACTIONS
from tests.vswitchd.openflow.test_oxm import matches

RECORDED = Path(__file__).with_name("data") / "flow_mods.jsonl"


def read_change(changes: face.ChangeBuffer, index: int) -> face.RuleChange:
    """A row of the buffer as the value that `tables.change_of` makes."""
    row = changes.rows[index]
    blob = face.ffi.buffer(changes.blob, changes.blob_used)[:]
    assert row.match_offset % 8 == 0 and row.program_offset % 8 == 0

    def cut(offset: int, size: int) -> bytes:
        assert offset + size <= len(blob)
        return blob[offset:offset + size]

    return face.RuleChange(
        row.bridge, row.command, row.table, row.priority, cut(row.match_offset, FLOW_SIZE),
        cut(row.match_offset + FLOW_SIZE, FLOW_SIZE), cut(row.program_offset, row.program_size),
        cut(row.source_offset, row.source_size), row.flags, row.idle_timeout, row.hard_timeout,
        row.importance, row.out_port, row.out_group, row.cookie, row.cookie_match,
        row.cookie_mask, row.tag, row.reason)


def change_by_codec(message: bytes, table_in_command: bool) -> face.RuleChange | None:
    """What the codec makes of a message; None where it refuses it."""
    try:
        frame = messages.open_frame(message)
        if table_in_command:
            value = messages.flow.decode_flow_mod(frame, True)
        else:
            value = messages.decode(message).value
        return tables.change_of(7, value) if isinstance(value, FlowMod) else None
    except OpenFlowError:
        return None


def compare(codec: quick.Codec, message: bytes, table_in_command: bool = False) -> bool:
    """Whether C takes a message, once it knows the actions; then it must do it right."""
    expected = change_by_codec(message, table_in_command)
    for _ in range(2):
        run, changes = codec.decode(message[0], 7, message + b"\xff", 0, table_in_command)
        assert run.n <= 1
        if run.n:
            assert run.used == len(message) and expected is not None
            assert read_change(changes, 0) == expected
            return True
        if run.stop != quick.UNKNOWN:
            assert run.stop == quick.OTHER
            return False
        if expected is None:
            teach(codec, 7, message)        # must not take in what is refused
        else:
            teach(codec, 7, message, expected)
    return False


@pytest.fixture(scope="module", params=[True, False], ids=["plain", "learned"])
def codec(request):
    return quick.Codec(request.param)


def test_recorded_flow_mods_become_the_same_changes(codec):
    taken = total = 0
    for line in RECORDED.read_text().splitlines():
        message = json.loads(line).get("flow_mod")
        if message:
            total += 1
            taken += compare(codec, bytes.fromhex(message))
    assert total > 900 and taken > total * 0.6, (taken, total)


@st.composite
def flow_mods(draw):
    """(version, bytes of a flow_mod, whether its command has the table)."""
    version = draw(st.sampled_from((1, 3, 4, 5, 6)))
    command = draw(st.sampled_from(COMMANDS))
    in_command = version == 1 and draw(st.booleans())
    number = st.integers(0, 0xffff)
    mod = FlowMod(
        command, draw(matches()), draw(number),
        draw(st.lists(ACTIONS, max_size=3).map(tuple)) if draw(st.booleans())
        else (Output(draw(st.integers(1, 4))),),
        draw(st.sampled_from((0, 3, 253, 254, 255))) if version > 1 or in_command else 255,
        draw(st.sampled_from((0, 5))), draw(st.sampled_from((0, 0xff))),
        draw(st.sampled_from((0, 5, COOKIE_NONE))), draw(number), draw(number), draw(number),
        draw(st.sampled_from((0xffffffff, 3))), draw(st.sampled_from((0xffff, 1, 0xfff8))),
        draw(st.sampled_from((0xffffffff, 1))), draw(st.sampled_from((0, 1, 2, 4, 24, 31))),
        draw(st.sampled_from(("of", "nxm"))), in_command)
    return messages.encode(mod, version, 9), in_command


@settings(max_examples=300, deadline=None)
@given(flow_mods())
def test_any_flow_mod_becomes_the_same_change_or_is_left(codec, case):
    message, in_command = case
    compare(codec, message, in_command)


@settings(max_examples=300, deadline=None)
@given(flow_mods(), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
def test_damaged_flow_mods_are_never_taken_for_others(codec, case, changes):
    message, in_command = bytearray(case[0]), case[1]
    compare(codec, bytes(message), in_command)      # it knows the actions now
    for at, byte in changes:
        if at >= 8:
            message[at % len(message)] = byte
    message[0], message[2:4] = case[0][0], len(message).to_bytes(2, "big")
    compare(codec, bytes(message), in_command)


@pytest.mark.parametrize("version, form", [(1, "of"), (1, "nxm"), (3, "of"), (4, "of"), (5, "of"),
                                           (6, "of")])
def test_common_flow_mods_are_taken(codec, version, form):
    for fields in ({}, {"in_port": 1}, {"eth_type": 0x800, "nw_proto": 6, "tcp_dst": 80,
                                        "ip_src": (0x0a000000, 0xff000000)},
                   {"eth_dst": 0x020000000001, "dl_vlan": 5}, {"eth_type": 0x806, "arp_op": 1}):
        mod = FlowMod("add", Match.of(**fields), 5, (Output(2),),
                      form=form, table=0 if version > 1 else 255)
        assert compare(codec, messages.encode(mod, version, 1)), (version, fields)


def test_runs_stop_where_something_else_begins(codec):
    mods = [messages.encode(FlowMod("add", Match.of(in_port=port), 5, (Output(2),), table=0), 4, 1)
            for port in (1, 2, 3)]
    teach(codec, 7, mods[0]) if codec.decode(4, 7, mods[0])[0].n == 0 else None
    echo = bytes((4, 2, 0, 8, 0, 0, 0, 1))
    run, changes = codec.decode(4, 7, b"".join(mods) + echo + mods[0])
    assert (run.n, run.used, run.stop) == (3, sum(map(len, mods)), quick.OTHER)
    assert [read_change(changes, index).value for index in range(3)] == [
        tables.change_of(7, messages.decode(mod).value).value for mod in mods]
    run, _ = codec.decode(4, 7, mods[0] + mods[1][:-1])
    assert (run.n, run.stop) == (1, quick.END)


@pytest.mark.parametrize("version", [4, 5, 6])
def test_additions_to_bundles_are_checked(codec, version):
    mod = messages.encode(FlowMod("add", Match.of(in_port=1), 5, (Output(3),), table=0), version, 5)
    added = messages.encode(BundleAdd(9, 3, mod), version, 5)
    if not codec.check_bundled(version, added)[0].n:
        teach(codec, 7, added)
    run, found = codec.check_bundled(version, b"\xff" + added + added + b"\x00", 1)
    assert (found, run.n, run.used) == ((9, 3, mod + mod), 2, 2 * len(added))
    other = messages.encode(BundleAdd(8, 3, mod), version, 5)
    run, found = codec.check_bundled(version, added + other)
    assert (found, run.used, run.stop) == ((9, 3, mod), len(added), quick.FULL)
    other_xid = added[:4] + bytes(4) + added[8:]
    assert codec.check_bundled(version, other_xid)[0].stop == quick.OTHER


def record_of(change: face.RuleChange, times: tuple[int, int, int]) -> bytes:
    """A rule as the library would dump it."""
    created, modified, used = times
    body = change.value + change.mask + change.source
    size = face.RULE_RECORD.size + len(body)
    padding = -size % 8
    return face.RULE_RECORD.pack(
        size + padding, 7, 1, change.cookie, 11, 1234, created, modified, used, change.priority,
        change.flags & 0x1f, change.idle_timeout, change.hard_timeout, change.importance,
        change.table, 0, 0, len(change.source), 0) + body + bytes(padding)


@settings(max_examples=300, deadline=None)
@given(flow_mods(), st.sampled_from((1, 3, 4, 5, 6)),
       st.tuples(*[st.integers(0, 10**9)] * 3), st.integers(0, 10**9))
def test_any_rule_is_dumped_the_same(codec, case, version, times, now):
    message, in_command = case
    change = change_by_codec(message, in_command)
    if change is None or change.command != 0:
        return
    record = record_of(change, times)
    rule, _ = face.unpack_record(record, 0)
    stats = tables.stats_of(rule, now)
    if codec.encode(version, record, 0, now, 0x8000)[0].stop == quick.UNKNOWN:
        wire = (encode_actions if version == 1 else encode_instructions)(stats.actions, version)
        codec.learn_wire(version, rule.source, wire)
    run, entry = codec.encode(version, record + record, 0, now, 0x8000)
    if run.stop == quick.OTHER:
        assert run.n == 0
        return
    expected = encode_flow_stats(stats, version, "nxm" if version == 1 else "of")
    assert (run.n, entry) == (2, expected * 2)


@st.composite
def plain_lists(draw):
    """Lists of actions that need no compiler, and nearly such ones."""
    port = st.sampled_from((1, 2, 255, 256, 0xfeff, 0xff00, 0xfff7, 0xfff8, 0xfff9, 0xfffa, 0xfffd,
                            0xfffe, 0xffff))
    listed = draw(st.lists(st.one_of(
        st.builds(Output, port, st.sampled_from((0, 0, 0, 128, 0xffff))),
        st.builds(Group, st.sampled_from((0, 5, 0x7fffffff, 0x80000000, 0xffffff00)))), max_size=5))
    if draw(st.booleans()):
        listed.append(GotoTable(draw(st.sampled_from((0, 3, 4, 253, 254, 255)))))
    return tuple(listed)


@settings(max_examples=300, deadline=None)
@given(plain_lists(), st.sampled_from((1, 3, 4, 5, 6)), st.sampled_from((0, 3, 253)))
def test_plain_actions_are_known_from_the_start(actions, version, table):
    codec = quick.Codec()
    try:
        message = messages.encode(FlowMod("add", Match.of(in_port=1), 5, actions,
                                          table=table if version > 1 else 255), version, 1)
    except OpenFlowError:
        return
    expected = change_by_codec(message, False)
    run, changes = codec.decode(version, 7, message)
    if expected is None:
        assert not run.n
        return
    if run.n:
        assert read_change(changes, 0) == expected
    if all(type(action) is Output and not action.max_len for action in actions):
        assert run.n
    record = record_of(expected, (0, 0, 0))
    rule, _ = face.unpack_record(record, 0)
    run, entry = codec.encode(version, record, 0, 0, 0x8000)
    if run.n:
        assert entry == encode_flow_stats(tables.stats_of(rule, 0), version,
                                          "nxm" if version == 1 else "of")
    else:
        assert run.stop == quick.UNKNOWN and (version == 1 or len(actions) > 4 or any(
            type(action) is Group and action.group > 0x7fffffff for action in actions))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(("metadata", "pkt_mark", "reg0", "reg5", "reg15", "tun_id")),
                       st.integers(0, 5), max_size=3),
       st.sampled_from((1, 4, 5, 6)), st.sampled_from((1, 0xfffe)), st.integers(0, 8),
       st.integers(0, 2), st.binary(min_size=14, max_size=80))
def test_any_packet_in_is_the_same(codec, fields, version, port, reason, controller, frame):
    known = {name: number for name, number in fields.items() if number}
    value, _ = packed.pack(Match.of(**known))
    record = upcall_record(value, frame, port, reason, controller)
    upcall, end = upcalls.unpack(record, 0)
    assert end == len(record)
    told = bytes(number + 1 if number % 2 else 255 for number in range(8))
    run, data = codec.packet_ins(7, version, 1, told, bytes(8) + record + record, 8,
                                 8 + 2 * len(record))
    if "tun_id" in known or reason == 8:
        assert (run.n, data, run.stop) == (0, b"", quick.OTHER)
    elif controller != 1 or not reason % 2:
        assert (run.n, run.used, data) == (2, 2 * len(record), b"")
    else:
        expected = messages.encode(PacketIn(
            frame, packed.metadata(upcall.flow, upcall.ofp), reason + 1, upcall.total_len,
            upcall.table, upcall.cookie), version, 0)
        assert (run.n, run.used, data) == (2, 2 * len(record), 2 * expected)
    assert not codec.packet_ins(8, version, 1, told, record, 0, len(record))[0].n


def upcall_record(flow: bytes, frame: bytes, port: int, reason: int, controller: int) -> bytes:
    """A frame for controllers as the library would pass it on."""
    padded = frame + bytes(-len(frame) % 8)
    head = struct.Struct("=IHHIIIIQQQIIIIIIIIq")
    return head.pack(head.size + len(flow) + len(padded), SEAM["UPCALL_PACKET_IN"], reason, 1, 7, 2,
                     port, 0x1234, 9, 0, 3, controller, 0, 0, len(flow), 0, len(frame), 99,
                     0) + flow + padded


@pytest.mark.parametrize("version", [1, 4, 5])
def test_packet_outs_are_known_when_they_are_plain_or_learned(codec, version):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frame = bytes(60)
        plain = messages.encode(PacketOut(frame, (Output(3),), Match.of(in_port=1)), version, 1)
        other = messages.encode(PacketOut(frame, (SetField("eth_src", 5, (1 << 48) - 1), Output(3))
                                          if version > 1 else (SetEthSrc(5), Output(3)),
                                          Match.of(in_port=1)), version, 1)
        barrier = bytes((version, 18 if version == 1 else 20, 0, 8, 0, 0, 0, 1))
        talk = codec.converse(version, False, 0, 0, ours.fileno(), other + plain, False)
        assert (talk.rest, talk.n_injected) == (other + plain, 0)
        for message in (plain, other):
            actions = messages.decode(message).value.actions
            codec.learn_output(version, encode_actions(actions, version), compile_actions(actions))
        talk = codec.converse(version, False, 0, 0, ours.fileno(), other + plain + barrier, False)
        assert (talk.rest, talk.n_injected, talk.replies) == (barrier, 2, b"")


@pytest.mark.parametrize("version", [4, 5, 6])
def test_what_is_added_to_a_bundle_is_collected_on_the_way(version):
    codec = quick.Codec()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        mods = [messages.encode(FlowMod("add", Match.of(in_port=n), n, (Output(3),), table=0),
                                version, n) for n in range(4)]
        adds = [messages.encode(BundleAdd(7, 1, mod), version, n) for n, mod in enumerate(mods)]
        other = messages.encode(BundleAdd(8, 1, mods[0]), version, 0)
        theirs.sendall(adds[2] + other + adds[3])

        def converse(data: bytes, bundle: tuple[int, int] | None) -> quick.Talk:
            return codec.converse(version, False, 0, 0, ours.fileno(), data, False, bundle)

        talk = converse(adds[0] + adds[1][:9], None)
        assert (talk.rest, talk.added) == (adds[0] + adds[1][:9], b"")
        talk = converse(adds[0] + adds[1], (7, 1))
        assert (talk.added, talk.rest) == (b"".join(mods[:3]), other + adds[3])
        for bundle in ((8, 0), (9, 1)):
            assert converse(other, bundle).rest == other
        # Actions that nobody has told of are for those who know them.
        odd = messages.encode(BundleAdd(7, 1, messages.encode(FlowMod("add", Match(), 1, (
            SetField("reg0", 5, 0xffffffff), Output(2)), table=0), version, 1)), version, 1)
        talk = converse(adds[3] + odd, (7, 1))
        assert (talk.added, talk.rest) == (mods[3], odd)


def test_entries_stop_where_there_is_no_room(codec):
    change = tables.change_of(7, FlowMod("add", Match.of(in_port=1), 5, (
        SetField("reg0", 5, 0xffffffff), Output(2)), table=0))
    record = record_of(change, (0, 0, 0))
    assert codec.encode(4, record, 0, 0, 0x8000)[0].stop == quick.UNKNOWN
    rule, _ = face.unpack_record(record, 0)
    codec.learn_wire(4, rule.source, encode_instructions(tables.stats_of(rule, 0).actions, 4))
    run, entry = codec.encode(4, record * 3, 0, 0, 0x8000)
    assert run.n == 3
    run, part = codec.encode(4, record * 3, 0, 0, len(entry) - 1)
    assert (run.n, run.stop, part) == (2, quick.FULL, entry[:len(part)])
