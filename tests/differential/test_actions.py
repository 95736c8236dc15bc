"""The same datapath actions on the same frames, by our executor and Debian's userspace datapath.

Flows are put by hand (dpctl/add-flow and flow_put); what leaves ports 2 and 3 is compared byte for
byte. The reference trusts that a flow matches what its actions change (it aborts or corrupts
frames otherwise), so a set is tried only on frames that have its header.
"""

import struct
from pathlib import Path

import pytest

from datapath import action_text, text
from tests.datapath import frames as f
from tests.datapath.conftest import Switch
from tests.datapath.test_parser import CASES
from tests.differential.test_parser import pytestmark, reference  # noqa: F401  (a fixture)

FRAMES = {
    "tcp": f.ethernet(f.ipv4(f.tcp(payload=b"hello"), 6)),
    "udp": f.ethernet(f.ipv4(f.udp(payload=b"hello"), 17)),
    "tcp6": f.ethernet(f.ipv6(f.tcp(payload=b"hello"), 6), 0x86DD),
    "udp6": f.ethernet(f.ipv6(f.udp(payload=b"hello"), 17), 0x86DD),
    "icmp": f.ethernet(f.ipv4(bytes([8, 0]) + bytes(10), 1)),
    "icmp6": f.ethernet(f.ipv6(bytes([128, 0]) + bytes(10), 58), 0x86DD),
    "vlan": f.ethernet(f.ipv4(f.tcp(), 6), tags=((0x8100, 0x6005),)),
    "nd": CASES["neighbour solicitation"][0],
}
FRAMES = {name: f.fill_checksums(frame) for name, frame in FRAMES.items()} | {
    "udp without checksum": f.ethernet(f.ipv4(f.udp(payload=b"hello"), 17)),
    "sctp, wrong checksum": f.ethernet(f.ipv4(struct.pack("!HHII", 5, 6, 0, 0x12345678), 132)),
    "arp": f.ethernet(f.arp(), 0x0806),
    "later fragment": CASES["later fragment"][0],
    "options": CASES["udp with IPv4 options"][0],
    "mpls": CASES["mpls, two labels"][0],
    "short tcp": CASES["tcp header cut off by the IP length"][0],
    "qinq": CASES["second tag is payload"][0],
}
ACTIONS = (
    "set(eth(src=00:01:02:03:04:05)),2",
    "set(eth(src=01:00:01:00:01:00/ff:00:ff:00:ff:00,dst=02:02:02:02:02:02)),2",
    "set(ipv4(src=1.2.3.4,dst=5.6.7.8,tos=0x10/0xfc,ttl=9)),2,set(ipv4(ttl=8)),3",
    "set(tcp(src=7)),2",
    "set(udp(src=1,dst=9)),set(ipv4(dst=9.9.9.9)),2",
    "set(sctp(src=3)),2",
    "set(ipv6(src=2001::1)),2",
    "set(ipv6(dst=2001::1,label=0x3,tclass=0x20,hlimit=3)),2",
    "set(arp(sip=1.2.3.4,op=2,sha=00:00:00:00:00:05)),2",
    "set(nd(target=2001::5,sll=00:01:02:03:04:05)),2",
    "set(mpls(label=5,tc=1,ttl=64,bos=1)),2",
    "push_vlan(vid=10,pcp=3),2,pop_vlan,3",
    "push_vlan(tpid=0x88a8,vid=10,pcp=3),2",
    "pop_vlan,pop_vlan,2",
    "trunc(20),2,3",
    "clone(set(eth(src=00:01:02:03:04:05)),2),3",
    "sample(sample=100.0%,actions(set(eth(src=00:01:02:03:04:05)),2)),3",
    "check_pkt_len(size=60,gt(2),le(push_vlan(vid=7,pcp=0),3)),2",
    "2,set(ipv4(src=1.1.1.1)),3,set(tcp(dst=1)),2",
)


def has_headers(values: dict[str, int], actions: str) -> bool:
    """Tell whether a frame with the flow `values` has all headers that `actions` set."""
    eth_type, proto = values.get("eth_type", 0), values.get("nw_proto", 0)
    is_ip = eth_type in (0x0800, 0x86DD) and not values.get("nw_frag", 0) & 2
    needs = {"set(ipv4": eth_type == 0x0800, "set(ipv6": eth_type == 0x86DD,
             "set(tcp": is_ip and proto == 6 and "tp_src" in values,
             "set(udp": is_ip and proto == 17 and eth_type == 0x0800,
             "set(sctp": is_ip and proto == 132, "set(arp": eth_type == 0x0806,
             "set(nd": "nd_target" in values, "set(mpls": eth_type == 0x8847}
    return all(met for word, met in needs.items() if word in actions)


def frames_in(path: Path, start: int) -> list[bytes]:
    """The frames of a pcap file behind offset `start`."""
    data, found = path.read_bytes(), []
    while start < len(data):
        size, = struct.unpack_from("=I", data, start + 8)
        found.append(data[start + 16:start + 16 + size])
        start += 16 + size
    return found


@pytest.fixture
def switch():
    """Our datapath with four ports, pumped."""
    from datapath import face
    face.clock(True, 1_000_000)
    switch = Switch(face)
    yield switch
    face.datapath_close(switch.dp)
    face.clock(False)


def test_both_send_the_same_frames(reference, switch):  # noqa: F811
    run, directory = reference
    command = ["add-br", "br0", "--", "set", "bridge", "br0", "datapath-type=dummy",
               "fail-mode=secure"]
    for n in (1, 2, 3):
        command += ["--", "add-port", "br0", f"p{n}", "--", "set", "interface", f"p{n}",
                    "type=dummy", f"ofport_request={n}", f"options:tx_pcap={directory}/p{n}.pcap"]
    run("ovs-vsctl", *command)
    run("ovs-appctl", "revalidator/pause")
    key = text.pack({"in_port": 1}), text.pack({"in_port": 0xFFFFFFFF})
    different, n_compared = {}, 0
    for actions in ACTIONS:
        for name, frame in FRAMES.items():
            values = text.unpack(switch.face.frame_parse(frame, 1))
            if not has_headers(values, actions):
                continue
            run("ovs-appctl", "dpctl/del-flows")
            run("ovs-appctl", "dpctl/add-flow", text.format_flow(values), actions)
            paths = {port: directory / f"p{port}.pcap" for port in (2, 3)}
            sizes = {port: path.stat().st_size for port, path in paths.items()}
            run("ovs-appctl", "netdev-dummy/receive", "p1", frame.hex())
            run("ovs-appctl", "version")         # Served when the frame has been switched.
            expected = [(port, sent) for port, path in paths.items()
                        for sent in frames_in(path, sizes[port])]
            switch.face.flow_put(switch.dp, *key, action_text.parse_actions(actions),
                                 may_exist=True)
            got = switch.send(1, frame)
            n_compared += 1
            if got != expected:
                different[name, actions] = (expected, got)
    assert different == {}
    assert n_compared > 150
