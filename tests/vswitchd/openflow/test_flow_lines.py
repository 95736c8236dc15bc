"""Replies with many flows are shown as one flow after the other would be.

The formatter in Python is lines.c's twin: where lines.c writes an entry, the text must be the same;
what it leaves alone is for the twin. A test says which flows it must not leave alone.
"""

import json
import random
from pathlib import Path

import pytest
from hypothesis import assume, given, strategies as st

from tests.vswitchd.openflow.test_actions import ACTIONS
from tests.vswitchd.openflow.test_oxm import matches
from vswitchd.openflow import messages
from vswitchd.openflow.action_types import (
    Conjunction, GotoTable, Meter, Output, PushVlan, SetEthDst, SetEthSrc, SetField, SetIpv4Dst,
    SetIpv4Src, SetL4DstPort, SetL4SrcPort, SetVlanPcp, SetVlanVid, StripVlan, Subfield,
)
from vswitchd.openflow.action_layout import load
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import INFO
from vswitchd.openflow.framing import Frame, open_frame
from vswitchd.openflow.match import value_is_valid
from vswitchd.openflow.messages.flow import (
    FlowStats, FlowStatsReply, _kind_of, forget_ages, format_flow_stats, iterate_flow_stats,
    write_flow_stats,
)
from vswitchd.openflow.print import format_message
from vswitchd.openflow.quick.lines import Lines
from vswitchd.openflow.text import FlowTextError, parse_flow


def make_flow(rng: random.Random) -> FlowStats:
    def address() -> str:
        return ".".join(str(rng.choice((0, 1, 255, rng.randrange(256)))) for _ in range(4))

    def port() -> int:
        return rng.choice((0, 1, 80, 65535, rng.randrange(65536)))

    mac = ":".join(f"{rng.choice((0, 1, 255)):02x}" for _ in range(6))
    text = rng.choice((
        f"tcp,nw_src={address()},nw_dst={address()}/{rng.choice((1, 8, 24, 31))},tp_dst={port()}",
        f"udp,tp_src={port()},tp_dst={port()}", f"dl_dst={mac}", f"dl_src={mac},dl_vlan=5",
        f"ip,nw_dst={address()}/255.0.255.0,dl_dst={mac},reg1=5", "", f"in_port={rng.randrange(9)}",
        f"sctp,tp_src={port()}/0xff00", f"arp,arp_spa={address()},dl_src={mac}"))
    actions = rng.choice(("drop", "output:1", "output:2,output:3", "mod_dl_dst:" + mac))
    flow = parse_flow(f"{text},actions={actions}")
    number = rng.choice((0, 1, 7, rng.randrange(1 << 40)))
    return FlowStats(flow.match, rng.choice((0, 1, 32768, 65535)), flow.actions, rng.randrange(5),
                     number, (number & 0xffff, 5_000_000), rng.choice((0, 10)), rng.choice((0, 5)),
                     rng.choice((0, 3)), rng.choice((0, 4)), number, number)


@pytest.mark.parametrize("version, form", [(1, "nxm"), (1, "of"), (3, "of"), (4, "of"), (5, "of"),
                                           (6, "of")])
def test_many_flows_are_shown_as_each_of_them(version, form):
    rng = random.Random(version)
    for _ in range(6):
        reply = FlowStatsReply(tuple(make_flow(rng) for _ in range(380)), form)
        data = messages.encode(reply, version, 5)
        lines = format_message(data, 1).splitlines()
        expected = [" " + format_flow_stats(flow) for flow in iterate_flow_stats(open_frame(data))]
        assert lines[-len(expected):] == expected


RECORDED = Path(__file__).with_name("data") / "flow_mods.jsonl"
FORMS = ((1, "nxm"), (3, "of"), (4, "of"), (5, "of"), (6, "of"))
PORTS = {1: "eth0", 2: "a b", 3: "p\"q", 4: "br_0", 65534: "br0", 500: "\udcff\u00e9"}
TABLES = {0: "first", 3: "a_b", 254: "last one"}
WRITABLE = [info for info in INFO.values()
            if info.writable and info.codes and not info.variable]


@st.composite
def setters(draw):
    """set_field or load of any field."""
    info = draw(st.sampled_from(WRITABLE))
    if draw(st.booleans()):
        low = draw(st.integers(0, info.bits - 1))
        n_bits = draw(st.integers(1, min(64, info.bits - low)))
        return load(Subfield(info.name, low, n_bits), draw(st.integers(0, (1 << n_bits) - 1)))
    value = draw(st.integers(0, info.significant))
    return SetField(info.name, value if value_is_valid(info, value) else 1, info.full)


PLAIN = st.one_of(
    st.sampled_from((0xfff8, 0xfff9, 0xfffa, 0xfffb, 0xfffc, 0xfffd, 0xfffe, 1, 2, 500)).map(
        lambda port: Output(port, 0)),
    st.builds(Output, st.just(0xfffd), st.integers(0, 0xffff)), setters(),
    st.builds(SetVlanVid, st.integers(0, 0xfff)), st.builds(SetVlanPcp, st.integers(0, 7)),
    st.builds(StripVlan, st.booleans()), st.builds(PushVlan, st.sampled_from((0x8100, 0x88a8))),
    st.builds(SetEthSrc, st.integers(0, (1 << 48) - 1)),
    st.builds(SetEthDst, st.integers(0, (1 << 48) - 1)),
    st.builds(SetIpv4Src, st.integers(0, (1 << 32) - 1)),
    st.builds(SetIpv4Dst, st.integers(0, (1 << 32) - 1)),
    st.builds(SetL4SrcPort, st.integers(0, 0xffff)),
    st.builds(SetL4DstPort, st.integers(0, 0xffff)))
NUMBERS = st.sampled_from((0, 1, 1500, (1 << 64) - 2, None))
SHORTS = st.sampled_from((0, 1, 60, 65535))
LISTS = st.one_of(
    st.lists(st.one_of(PLAIN, ACTIONS), max_size=4).map(tuple),
    st.lists(PLAIN, max_size=2).map(lambda actions: (*actions, GotoTable(3))),
    st.builds(lambda actions: (Meter(5), *actions), st.lists(PLAIN, max_size=2)),
    st.just((Conjunction(7, 0, 2),)))
FLOWS = st.builds(
    FlowStats, matches(), st.sampled_from((0, 1, 32768, 65535)), LISTS, st.integers(0, 254),
    st.sampled_from((0, 1, (1 << 64) - 1)),
    st.tuples(st.integers(0, 5), st.sampled_from((0, 1, 5_000_000, 999_999_999, 120_000))), SHORTS,
    SHORTS, st.none() | st.integers(0, 5), st.none() | st.integers(0, 5), NUMBERS, NUMBERS,
    st.integers(0, 31), SHORTS)


def compare(frame: Frame, names: bool, stats: bool, ages: bool = True) -> tuple[int, int]:
    """How many entries lines.c took, of how many; all must be written as in Python."""
    ports, tables = (PORTS, TABLES) if names else (None, None)
    lines = Lines(_kind_of(frame), ports, tables, stats, ages, " ", "\n")
    data, at, n_taken, n = frame.body, 0, 0, 0
    while at < len(data):
        text, end = lines.write(data, at)
        assert at <= end <= len(data)
        taken = [flow if ages else forget_ages(flow) for flow in iterate_flow_stats(
            Frame(frame.raw, frame.version, 0, 0, data[at:end]))]
        assert text.decode("utf-8", "surrogateescape").splitlines() == [
            " " + format_flow_stats(flow, ports, tables, stats) for flow in taken]
        n_taken += len(taken)
        n += len(taken)
        if end < len(data):
            end += int.from_bytes(data[end:end + 2], "big") or len(data)
            n += 1
        at = end
    return n_taken, n


def frame_of(flows: list[FlowStats], version: int, form: str) -> Frame:
    return open_frame(messages.encode(FlowStatsReply(tuple(flows), form), version, 5))


def is_sound(frame: Frame) -> bool:
    """Some lists of actions cannot be had in one order, or everywhere."""
    try:
        list(iterate_flow_stats(frame))
    except OpenFlowError:
        return False
    return True


@given(st.lists(FLOWS, min_size=1, max_size=3), st.sampled_from(FORMS), st.booleans(),
       st.booleans(), st.booleans())
def test_entries_are_written_in_c_as_in_python(flows, form, names, stats, ages):
    frame = frame_of(flows, *form)
    assume(is_sound(frame))
    compare(frame, names, stats, ages)
    ports, tables = (PORTS, TABLES) if names else (None, None)
    many = frame_of(flows * (4096 // len(frame.body) + 1), *form)
    expected = "".join(
        f" {format_flow_stats(forget_ages(flow), ports, tables, stats)}\n"
        for flow in iterate_flow_stats(many)).encode("utf-8", "surrogateescape")
    assert b"".join(write_flow_stats([many], ports, tables, stats)) == expected


@given(st.lists(FLOWS, min_size=1, max_size=2), st.sampled_from(FORMS), st.integers(0),
       st.integers(0, 255), st.integers(0, 7))
def test_damaged_entries_are_written_as_in_python_or_not_at_all(flows, form, at, byte, cut):
    frame = frame_of(flows, *form)
    data = bytearray(frame.body)
    data[at % len(data)] = byte
    del data[len(data) - cut:]
    for size in {len(data), at % len(data)}:
        compare(Frame(frame.raw, frame.version, 0, 0, bytes(data[:size])), True, True)


@given(st.binary(max_size=300), st.sampled_from(FORMS))
def test_any_bytes_are_no_danger(data, form):
    frame = frame_of([], *form)
    compare(Frame(frame.raw, frame.version, 0, 0, data), False, True)


@pytest.mark.parametrize("version, form", FORMS)
def test_common_flows_are_written_in_c(version, form):
    """All of the recorded flows but those with rare fields or actions."""
    n_taken = n = 0
    for row in RECORDED.read_text().splitlines():
        text = json.loads(row).get("flow", "")
        try:
            flow = parse_flow(text)
            frame = frame_of([FlowStats(flow.match, flow.priority, flow.actions, 0, 0, (1, 0), 0, 0,
                                        None, None, 0, 0)], version, form)
            list(iterate_flow_stats(frame))
        except (FlowTextError, OpenFlowError, ValueError):
            continue
        taken, all_of_them = compare(frame, False, True)
        n_taken, n = n_taken + taken, n + all_of_them
    assert n > 500 and n_taken > n * 0.5, (n_taken, n)


@pytest.mark.parametrize("form", [(1, "nxm"), (4, "of")])
@pytest.mark.parametrize("actions", [
    "dec_ttl", "mod_nw_tos:32", "set_queue:3", "set_tunnel:5", "set_tunnel64:0x500000000", "exit",
    "ct", "ct(commit)", "ct(table=1)", "ct(commit,zone=5,table=2)", "ct(nat)", "ct_clear",
    "ct(table=0,zone=7,nat)", "move:NXM_NX_REG0[]->NXM_NX_REG1[]", "mod_vlan_vid:5",
    "move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[3..18]", "move:NXM_OF_ETH_SRC[1]->NXM_NX_REG1[1]"])
def test_actions_of_many_flows_are_written_in_c(actions, form):
    flow = parse_flow(f"tcp,dl_vlan=1,actions={actions}")
    frame = frame_of([FlowStats(flow.match, flow.priority, flow.actions, 0, 0, (1, 0), 0, 0,
                                None, None, 0, 0)], *form)
    assert compare(frame, False, True) == (1, 1)


def test_enqueue_is_written_in_c():
    flow = parse_flow("actions=enqueue:1:2")
    frame = frame_of([FlowStats(flow.match, flow.priority, flow.actions, 0, 0, (1, 0), 0, 0,
                                None, None, 0, 0)], 1, "nxm")
    assert compare(frame, False, True) == (1, 1)
