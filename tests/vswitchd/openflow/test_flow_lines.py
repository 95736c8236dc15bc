"""Replies with many alike flows are shown as one flow after the other would be."""

import random

import pytest

from vswitchd.openflow import messages
from vswitchd.openflow.messages.flow import (FlowStatsReply, format_flow_stats, iterate_flow_stats)
from vswitchd.openflow.messages.flow import FlowStats
from vswitchd.openflow.framing import open_frame
from vswitchd.openflow.print import format_message
from vswitchd.openflow.text import parse_flow


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
