"""Flows of known shapes become the flow_mods that the usual way makes of them."""

import random

import pytest

from utilities.ofctl import protocol
from utilities.ofctl.flows import make_flow_mod
from utilities.ofctl.many import Flow, Reader, Sender
from vswitchd.openflow.match import normalize
from vswitchd.openflow.messages import encode
from vswitchd.openflow.text import FlowTextError, parse_flow

_ACTIONS = ("drop", "output:1", "output:7", "normal", "mod_dl_dst:00:00:00:00:00:01,output:3",
            "set_field:5->reg1,resubmit(,4)", "ct(commit)", "learn(table=9,output:NXM_OF_IN_PORT[])")


def make_lines(rng: random.Random) -> list[str]:
    """Lines of a few shapes; some are odd, and some are wrong."""
    number, octet = (lambda: rng.choice((0, 1, 80, 255, 256, 65535, rng.randrange(65536)))), (
        lambda: rng.choice((0, 1, 255, rng.randrange(256))))

    def address() -> str:
        return ".".join(str(octet()) for _ in range(4))

    def mac() -> str:
        return ":".join(f"{octet():02x}" for _ in range(6))

    shapes = (
        lambda: f"table={rng.randrange(256)},priority={number()},tcp,nw_src={address()},"
                f"nw_dst={address()}/{rng.choice((1, 8, 25, 32))},tp_dst={number()}",
        lambda: f"priority={number()},ip,nw_src={address()}",
        lambda: f"udp,udp_src={number()},tp_dst={number()},nw_dst={address()}/255.255.0.0",
        lambda: f"cookie=0x5,idle_timeout=10,dl_src={mac()},dl_dst={mac()},priority={number()}",
        lambda: f"in_port=1,dl_dst={mac()}",
        lambda: f"arp,nw_src={address()},priority=0{number()}",
        lambda: f"priority={number()},tp_src={number()}",
        lambda: f"priority={number()},priority={number()},ip",
        lambda: f"priority= {number()},ip",
        lambda: f"ip,nw_src={address()}/{address()},table={rng.randrange(300)}",
        lambda: f"delete_strict priority={number()},ip",
        lambda: f"send_flow_rem,priority={number() * 2},ipv6,tcp_dst={number()}",
    )
    return [f"{rng.choice(shapes)()},actions={rng.choice(_ACTIONS)}" for _ in range(400)]


def parse(line: str) -> tuple[object, bool]:
    flow = parse_flow(line, "auto", {}, {})
    return flow, normalize(flow.match) is flow.match and flow.command == "add"


@pytest.mark.parametrize("seed", range(3))
def test_flows_are_those_of_the_usual_way(seed):
    reader, n_known = Reader(parse), 0
    for chosen in (protocol.OF10_STD, protocol.OF10_NXM_TID, protocol.OF13_OXM, protocol.OF15_OXM):
        rng = random.Random(seed)
        sender = Sender(lambda line: encode(*make_flow_mod(parse(line)[0], chosen), 0))
        for line in make_lines(rng):
            try:
                expected, why = parse(line)[0], None
            except FlowTextError as error:
                expected, why = None, str(error)
            if why is not None:
                with pytest.raises(FlowTextError) as found:
                    reader.read(line)
                assert str(found.value) == why
                continue
            flow = reader.read(line)
            assert flow.usable == expected.usable, line
            if type(flow) is not Flow:
                assert flow == expected
                continue
            if not flow.usable & chosen:
                continue
            n_known += 1
            data = sender.encode(flow, 77)
            assert data is None or data == encode(*make_flow_mod(expected, chosen), 77), line
    assert n_known > 200
