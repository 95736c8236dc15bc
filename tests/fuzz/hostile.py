"""Hostile input for the switch: frames of every kind, OpenFlow messages, requests; and the bridges
and flows that lead the frames through every layer.

All are made from well-formed ones by random changes; `rng` decides, so a seed repeats a run. Used by
the tests of this directory, in the test's process, in one under sanitizers, and over sockets.
"""

import json
import random
import struct

from tests.datapath.frames import (
    A, B, arp, ethernet, fill_checksums, ipv4, ipv6, tcp, udp,
)
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.session import EchoRequest, Hello

PORTS = 8                       # p1 to p8 of br0; q1 and q2 are those of br1
TAGGED = {7: 10, 8: 20}         # Access ports.

_SET_ALL = ",".join((
    "set_field:02:00:00:00:00:55->eth_src", "set_field:02:00:00:00:00:66->eth_dst",
    "set_field:192.0.2.7->ip_src", "set_field:192.0.2.8->ip_dst", "set_field:9->ip_dscp",
    "set_field:2->ip_ecn", "set_field:77->nw_ttl"))

# What a frame meets depends on the port it comes in by: the layers are chained through tables.
FLOWS = (
    "table=0,priority=0,actions=normal",
    "table=0,priority=5,in_port=1,actions=resubmit(,1),normal",
    "table=0,priority=5,in_port=2,actions=group:1",
    "table=0,priority=5,in_port=3,actions=push_vlan:0x88a8,push_vlan:0x8100,"
    "set_field:4200->vlan_vid,normal",
    "table=0,priority=5,in_port=4,actions=push_mpls:0x8847,set_field:77->mpls_label,"
    "push_mpls:0x8848,dec_mpls_ttl,output:5,pop_mpls:0x8847,output:6",
    "table=0,priority=5,in_port=5,actions=group:2,group:3",
    "table=0,priority=5,in_port=6,actions=move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG0[0..15],"
    "push:NXM_OF_ETH_DST[],pop:NXM_NX_XXREG1[0..47],clone(push_vlan:0x8100,output:1),"
    "resubmit(,2)",
    "table=1,priority=9,tcp,tp_dst=80/0xfff0,actions=dec_ttl,set_field:81->tcp_dst,"
    "set_field:7777->tcp_src,output:2",
    "table=1,priority=9,udp,actions=set_field:53->udp_src,set_field:54->udp_dst,output:3",
    "table=1,priority=9,sctp,actions=set_field:5->sctp_src,output:3",
    "table=1,priority=8,tcp6,ipv6_src=fe80::/10,actions=set_field:2001:db8::1->ipv6_dst,"
    "set_field:5->ipv6_label,dec_ttl,output:4",
    "table=1,priority=8,icmp6,icmp_type=135,actions=set_field:fe80::9->nd_target,output:4",
    "table=1,priority=8,icmp6,actions=set_field:3->icmpv6_code,output:4",
    "table=1,priority=8,icmp,actions=set_field:8->icmp_type,output:4",
    "table=1,priority=8,arp,actions=set_field:2->arp_op,move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],"
    "set_field:10.9.8.7->arp_spa,output:5",
    "table=1,priority=7,ip,nw_frag=later,actions=output:6",
    f"table=1,priority=6,ip,actions={_SET_ALL},output:6",
    "table=1,priority=5,vlan_tci=0x1000/0x1000,actions=pop_vlan,output:7,resubmit(,2)",
    "table=1,priority=5,mpls,actions=pop_mpls:0x0800,resubmit(,2)",
    "table=1,priority=0,actions=flood",
    "table=2,priority=5,tcp,actions=fin_timeout(idle_timeout=5),"
    "learn(table=4,idle_timeout=5,eth_type=0x800,NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],"
    "output:OXM_OF_IN_PORT[]),output:8",
    "table=2,priority=4,ip,actions=write_actions(output:3,set_field:1->ip_dscp),goto_table:3",
    "table=2,priority=0,actions=in_port,controller(max_len=64)",
    "table=3,priority=0,actions=output:NXM_NX_REG0[0..15],output(port=8,max_len=40)",
)
# ovs-ofctl does not read it back.
DEBUG_FLOWS = ("table=1,priority=10,udp6,actions=output:1,debug_recirc,dec_ttl,resubmit(,2)",)
GROUPS = {1: ("all", ("output:3,pop_vlan,output:4", "push_vlan:0x8100,output:5",
                      "set_field:02:00:00:00:00:77->eth_src,resubmit(,1),output:9")),
          2: ("select", ("output:6", "output:7", "pop_vlan,output:8")),
          3: ("indirect", ("resubmit(,1)",))}


def _transports(rng: random.Random) -> tuple[int, bytes]:
    """A protocol number and what follows the IP header."""
    return rng.choice((
        (6, tcp(rng.randrange(65536), rng.choice((80, 443, 1)), rng.randrange(4096))),
        (17, udp(rng.randrange(65536), rng.choice((53, 4789, 6081)), bytes(rng.randrange(99)))),
        (132, struct.pack("!HHII", 1, 2, 3, 4)),
        (1, struct.pack("!BBHI", rng.choice((0, 3, 8, 11)), 0, 0, 7) + bytes(20)),
        (58, struct.pack("!BBHI", rng.choice((128, 133, 134)), 0, 0, 0) + bytes(16)),
        (58, struct.pack("!BBHI", rng.choice((135, 136)), 0, 0, 0) + bytes(16)
         + bytes((rng.choice((1, 2)), rng.choice((0, 1, 1, 255)))) + A),
        (2, struct.pack("!BBHI", rng.choice((0x11, 0x12, 0x16, 0x17, 0x22)), 0, 0, 0xe0000105)),
        (47, struct.pack("!HH", 0, 0x6558) + ethernet(b"inner")),
        (rng.randrange(256), rng.randbytes(rng.randrange(60)))))


def _network(rng: random.Random) -> tuple[int, bytes]:
    """An Ethernet type and what follows it."""
    protocol, payload = _transports(rng)
    match rng.randrange(9):
        case 0 | 1 | 2:
            options = rng.randbytes(4 * rng.choice((0, 0, 1, 10)))
            frag = rng.choice((0, 0, 0, 0x4000, 0x2000, 0x2010, 0x0010))
            return 0x0800, ipv4(payload, protocol, rng.randrange(256), rng.choice((0, 1, 64)),
                                frag, options, src=bytes((10, 0, 0, rng.randrange(256))))
        case 3 | 4 | 5:
            next_header, chain = protocol, b""
            for kind in rng.choices((0, 43, 44, 51, 60, 135), k=rng.choice((0, 0, 1, 2, 9))):
                chain = bytes((next_header, 0)) + rng.randbytes(6) + chain
                next_header = kind
            return 0x86DD, ipv6(payload, next_header, rng.randrange(1 << 20), 0,
                                rng.choice((0, 1, 64)), chain)
        case 6:
            return rng.choice((0x0806, 0x8035)), arp(rng.choice((1, 2, 3, 9)))
        case 7:
            depth = rng.choice((1, 2, 3, 5))
            stack = b"".join(struct.pack("!I", rng.randrange(1 << 20) << 12 | (n == depth - 1) << 8
                                         | rng.choice((0, 1, 64))) for n in range(depth))
            return rng.choice((0x8847, 0x8848)), stack + ipv4(payload, protocol)
        case _:
            return rng.choice(((0x894F, struct.pack("!HBBII", 0x0FC6, 1, 3, 1, 2) + bytes(16)),
                               (0x88CC, b"\x02\x07\x04" + A + b"\x06\x02\x00\x78\x00\x00"),
                               (0x8809, b"\x01\x01" + rng.randbytes(108)),
                               (0x8902, rng.randbytes(40)), (46, b"\xaa\xaa\x03" + bytes(43)),
                               (38, b"\x42\x42\x03" + rng.randbytes(35))))


def good_frame(rng: random.Random) -> bytes:
    """A well-formed frame of a random kind."""
    eth_type, payload = _network(rng)
    tags = tuple((rng.choice((0x8100, 0x88A8)), rng.randrange(65536))
                 for _ in range(rng.choice((0, 0, 0, 1, 2, 3))))
    frame = ethernet(payload, eth_type, tags)
    if rng.random() < 0.5:
        try:
            frame = fill_checksums(frame)
        except struct.error:
            pass                # Too short for a checksum.
    return rng.choice((B, b"\xff" * 6, bytes.fromhex("01005e000105"), bytes.fromhex("0180c2000000"),
                       bytes((2, 0, 0, 0, 0, rng.randrange(64))))) + frame[6:]


def mutate(rng: random.Random, data: bytes, most: int = 6) -> bytes:
    """`data` with some bytes changed, taken out, put in, or its end cut off."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0 | 1 if at < len(changed):
                changed[at] = rng.randrange(256)
            case 2 if at < len(changed):
                changed[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 3:
                del changed[at:at + rng.choice((1, 2, 4, 8))]
            case 4:
                changed[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8)))
            case 5 if rng.random() < 0.3:
                del changed[at:]
    return bytes(changed)


def frame(rng: random.Random) -> bytes:
    """A hostile frame, 0 to some thousand bytes."""
    match rng.randrange(16):
        case 0:
            return rng.randbytes(rng.choice((0, 1, 13, 14, 15, 18, 60, 200)))
        case 1 | 2 | 3:
            return good_frame(rng)
        case 4 | 5:
            whole = good_frame(rng)
            return whole[:rng.randrange(len(whole) + 1)]
        case 6 if rng.random() < 0.5:
            return good_frame(rng) + rng.randbytes(rng.choice((1500, 9000, 60000)))
    return mutate(rng, good_frame(rng))


def openflow(rng: random.Random, seeds: list[bytes]) -> bytes:
    """An OpenFlow message like one of `seeds`, changed behind its header; its length is right.

    """
    whole = rng.choice(seeds)
    body = whole[8:]
    match rng.randrange(6):
        case 0 | 1 | 2 | 3:
            body = mutate(rng, body, 3)[:65000]
        case 4:
            body = rng.randbytes(rng.choice((0, 1, 4, 8, 16, 40, 72)))
    kind = whole[1:2] if rng.random() < 0.98 else rng.randbytes(1)
    return whole[:1] + kind + struct.pack("!H", 8 + len(body)) + whole[4:8] + body


def wrong_length(rng: random.Random, message: bytes) -> bytes:
    """The same with a length that cannot be, or that is not the message's."""
    length = rng.choice((0, 7, 8, len(message) - 1, len(message) + 1, 65535))
    return message[:2] + struct.pack("!H", length) + message[4:]


def hello(version: int) -> bytes:
    """A hello that offers one version."""
    return encode(Hello(frozenset((version,))), version, 1)


def echo(version: int, xid: int) -> bytes:
    """An echo request with a number to look for."""
    return encode(EchoRequest(), version, xid)


_COMMANDS = ("netdev-dummy/receive", "ofproto/trace", "fdb/show", "fdb/add", "dpctl/add-flow",
             "dpctl/del-flow", "dpctl/parse-actions", "dpctl/normalize-actions", "vlog/set",
             "time/warp", "upcall/show", "ofproto/list", "dpif/set-dp-features", "nonsense",
             "coverage/read-counter", "netdev-dummy/set-admin-state", "netdev-dummy/ip4addr")
_WORDS = ("p1", "br0", "in_port=1", "in_port=1,tcp,nw_src=1.2.3.4", "-generate", "0", "-1", "",
          "in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),"
          "ipv4(src=1.1.1.1,dst=2.2.2.2,proto=6,tos=0,ttl=64,frag=no),tcp(src=1,dst=2)",
          "push_vlan(vid=1,pcp=0),2", "set(eth(dst=00:00:00:00:00:01)),1", "((((", "1,2,3",
          "505400000007505400000005080600010800060400015054000000050102030400000000000001020305",
          "é\0", "x" * 3000, "recirc(1)", "nosuch:dbg", "1.2.3.4/24", "--qid", "--len", "99999")


def request(rng: random.Random) -> bytes:
    """One request to a control socket, or what looks like one."""
    words = [rng.choice(_WORDS) for _ in range(rng.randrange(5))]
    words = [mutate(rng, word.encode(), 2).decode("latin-1") if rng.random() < 0.3 else word
             for word in words]
    args = rng.choice((words, words, words, words, [1, None], {"a": 1}, None))
    text = json.dumps({"id": rng.choice((0, 1, "x", None, [])), "method": rng.choice(_COMMANDS),
                       "params": args}).encode()
    return mutate(rng, text, 3) if rng.random() < 0.4 else text
