"""The megaflow cache against its stupid twin, a list of (value, mask) that is searched in order.

Random masks over fields that are in short keys, in wide keys and in neither; frames of all kinds;
flows come and go in between, so that signatures and deleted entries are met too.
"""

import random
import struct

import pytest

from datapath.match import pack_match
from schema.flow.fields import FIELD, FLOW_SIZE
from schema.flow.seam import SEAM
from tests.datapath import frames as f
from tests.datapath.conftest import Switch, output
from tests.datapath.test_parser import CASES

FIELDS = ("in_port_oxm", "eth_src", "eth_type", "vlan_tci", "ip_src", "ip_dst", "nw_proto", "nw_ttl",
          "ip_frag", "ipv6_src", "ipv6_dst", "ipv6_label",
          "tcp_src", "tcp_dst", "tcp_flags", "arp_sha", "nd_target", "mpls_label", "nsh_spi",
          "packet_type", "pkt_mark", "ct_state")
FRAMES = [frame for frame, _ in CASES.values() if len(frame) >= 14]


def random_frame(generator: random.Random) -> bytes:
    """A frame of a small set, so that flows are hit."""
    if generator.random() < 0.5:
        return generator.choice(FRAMES)
    return f.ethernet(f.ipv4(f.udp(src=generator.randrange(4), dst=generator.randrange(4)), 17,
                             src=bytes([10, 0, 0, generator.randrange(4)])))


def random_mask(generator: random.Random) -> bytes:
    """A mask of a few fields, some of them in part."""
    fields = {}
    for name in generator.sample(FIELDS, generator.randrange(1, 6)):
        ones = (1 << FIELD[name].bits) - 1
        fields[name] = (0, ones if generator.random() < 0.5 else generator.getrandbits(
            FIELD[name].bits) or 1)
    return pack_match(fields)[1]


def masked(flow: bytes, mask: bytes) -> bytes:
    """The bits of `flow` in `mask`."""
    return (int.from_bytes(flow, "big") & int.from_bytes(mask, "big")).to_bytes(FLOW_SIZE, "big")


@pytest.mark.parametrize("seed", range(4))
def test_a_frame_finds_a_flow_that_matches_it(face, seed):
    switch = Switch(face, flags=SEAM["DP_MEGAFLOWS"] | SEAM["DP_NO_UPCALLS"])
    generator = random.Random(seed)
    masks = [random_mask(generator) for _ in range(24)]
    twin: dict[tuple[bytes, bytes], int] = {}
    n_found = 0
    for step in range(1500):
        frame = random_frame(generator)
        flow = switch.face.frame_parse(frame, 1)
        mask = generator.choice(masks)
        roll = generator.random()
        if roll < 0.15:
            key = masked(flow, mask), mask
            port = generator.randrange(2, 5)
            switch.face.flow_put(switch.dp, *key, output(port), may_exist=True)
            twin[key] = port
        elif roll < 0.2 and twin:
            key = generator.choice(list(twin))
            switch.face.flow_del(switch.dp, *key)
            del twin[key]
        else:
            ports = {port for (value, bits), port in twin.items() if masked(flow, bits) == value}
            sent = {port for port, _ in switch.send(1, frame)}
            assert len(sent) == bool(ports) and sent <= ports, step
            n_found += bool(ports)
    assert n_found > 300
    assert switch.face.datapath_stats(switch.dp).n_flows == len(twin)
    assert {(flow.key, flow.mask): struct.unpack_from("=I", flow.actions, 4)[0]
            for flow in switch.face.flows(switch.dp)} == twin
    face.datapath_close(switch.dp)
