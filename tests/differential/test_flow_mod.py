"""Random flow_mods have the same effect on our tables as on Debian's.

A seeded sequence of adds, modifications and deletions (cookies and masks, strict or not, out_port,
timeouts, flags) in OpenFlow 1.0, 1.3 and 1.5 goes to both switches in batches; after each batch the
dumps, taken in two versions, and what the tools said must be the same.
"""

import random
import shlex
import socket

import pytest

from tests.differential.switches import Switch, is_installed, normal
from tests.differential.test_daemon import SETUP
from vswitchd.openflow import messages
from vswitchd.openflow.action_types import Group, Output, SetIpTtl
from vswitchd.openflow.framing import HEADER
from vswitchd.openflow.messages.flow import FlowMod
from vswitchd.openflow.text import parse_match

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")]

BATCHES, STEPS = 15, 10
MATCHES = ("", "in_port=1", "in_port=2", "ip", "tcp", "tcp,tp_dst=80", "udp",
           "ip,nw_src=10.0.0.0/8", "ip,nw_src=10.1.0.0/16", "ip,nw_src=10.1.0.1", "in_port=1,ip",
           "in_port=1,tcp,tp_dst=80",           "dl_src=02:00:00:00:00:01", "dl_vlan=5",
           "dl_vlan=5,dl_vlan_pcp=3", "arp", "arp,arp_op=1",
           "reg0=5", "reg0=4/4", "metadata=7", "ipv6", "icmp6,icmp_type=135", "tun_id=5",
           "ip,nw_tos=32", "tcp,tcp_flags=+syn", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00")
ACTIONS = ("drop", "output:1", "output:2", "output:3", "normal", "controller:100", "1,2,3",
           "dec_ttl,output:2", "load:5->NXM_NX_REG0[],resubmit(,1)", "strip_vlan,output:1",
           "mod_dl_src:02:00:00:00:00:09,output:3", "mod_vlan_vid:7,output:2", "in_port",
           "learn(table=9,dl_src=02:00:00:00:00:07,output:2)", "set_queue:1,output:1")
VERSIONS = ("OpenFlow10", "OpenFlow13", "OpenFlow15")


def flow(rng: random.Random, is_strict: bool) -> list[str]:
    """Parts of a flow's text without actions."""
    parts = [rng.choice(MATCHES)]
    if rng.random() < 0.4:
        parts.append(f"table={rng.randrange(4)}")
    if is_strict:
        parts.append(f"priority={rng.choice((1, 5, 100, 32768, 65535))}")
    return parts


def step(rng: random.Random) -> str:
    """One command."""
    version = rng.choice(VERSIONS)
    kind = rng.choices(("add", "mod", "del"), (6, 3, 2))[0]
    is_strict = kind == "add" or rng.random() < 0.5
    parts = flow(rng, is_strict)
    if kind == "add":
        if rng.random() < 0.5:
            parts.append(f"cookie={rng.choice(('1', '2', '0x10', '0x11'))}")
        parts += rng.sample(("idle_timeout=100", "hard_timeout=200", "send_flow_rem",
                             "check_overlap"), rng.choice((0, 0, 1, 2)))
        if version != "OpenFlow10" and rng.random() < 0.2:
            parts.append(rng.choice(("no_packet_counts", "no_byte_counts", "reset_counts")))
        if version == "OpenFlow15" and rng.random() < 0.3:
            parts.append("importance=7")
    else:
        if rng.random() < 0.4:
            parts.append(f"cookie={rng.choice(('1/-1', '0x10/0x10', '2/3', '0/0x1'))}")
        if kind == "mod" and rng.random() < 0.2 and not any("cookie" in part for part in parts):
            parts.append("cookie=9")
        if kind == "del" and rng.random() < 0.3:
            parts.append(f"out_port={rng.choice((1, 2))}")
    if kind != "del":
        parts.append(f"actions={rng.choice(ACTIONS)}")
    name = {"add": "add-flow", "mod": "mod-flows", "del": "del-flows"}[kind]
    option = "--strict " if is_strict and kind != "add" else ""
    return (f"ovs-ofctl -O {version} {option}{name} br0 "
            + shlex.quote(",".join(filter(None, parts))))


@pytest.mark.parametrize("seed", [1])
def test_random_flow_mods_have_the_same_effect(seed, tmp_path):
    rng = random.Random(seed)
    switches = [Switch(tmp_path / "real", True), Switch(tmp_path / "ours", False)]
    try:
        for switch in switches:
            switch.run(SETUP.strip())
        for _ in range(BATCHES):
            lines = [step(rng) for _ in range(STEPS)]
            script = "\n".join(f"echo {shlex.quote('$ ' + line)}; {line}" for line in lines)
            said, dumps = [], []
            for switch in switches:
                said.append(normal(switch.run(script), switch.directory))
                dumps.append([sorted(normal(switch.run(
                    f"ovs-ofctl -O {version} dump-flows br0"), switch.directory).splitlines())
                    for version in VERSIONS])
            assert said[1] == said[0]
            for ours, real in zip(dumps[1], dumps[0]):
                assert [set(ours) - set(real), set(real) - set(ours)] == [set(), set()], script
    finally:
        for switch in switches:
            switch.close()


def talk(switch: Switch, version: int, seed: int) -> list[tuple[int, int, bytes]]:
    """(type, xid, body of errors) of the replies to a seeded conversation of flow_mods and
    barriers: some of it a question at a time, some in one piece, some in halves."""
    rng = random.Random(seed)
    replies = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(f"{switch.directory}/br0.mgmt")
        stream = sock.makefile("rb")
        sock.sendall(HEADER.pack(version, 0, 8, 1))
        reply = read_message(stream)
        assert reply[1] == 0
        xid = 1
        for _ in range(60):
            sent, wanted = b"", 0
            for _ in range(rng.choice((1, 1, 1, 2, 30))):
                xid += 1
                mod = FlowMod(
                    rng.choice(("add", "add", "add", "modify", "delete", "delete_strict")),
                    parse_match(rng.choice(MATCHES))[0], rng.choice((1, 5, 100)),
                    rng.choice(((Output(1),), (Output(2), Output(3)), (Group(9),), (),
                                (SetIpTtl(5), Output(1)))),
                    rng.choice((0, 1, 254)) if version > 1 else 255, new_cookie=0,
                    flags=rng.choice((0, 0, 0, 2)))
                if mod.command.startswith("delete"):
                    mod = mod.replace(actions=())
                try:
                    sent += messages.encode(mod, version, xid)
                except ValueError:
                    continue
                if rng.random() < 0.7:
                    xid += 1
                    wanted += 1
                    sent += HEADER.pack(version, 18 if version == 1 else 20, 8, xid)
            xid += 1
            sent += HEADER.pack(version, 2, 8, xid)             # echo: the end of the piece
            cut = rng.randrange(len(sent))
            for piece in (sent[:cut], sent[cut:]) if rng.random() < 0.3 else (sent,):
                sock.sendall(piece)
            while True:
                reply = read_message(stream)
                replies.append((reply[1], HEADER.unpack_from(reply)[3],
                                reply[8:12] if reply[1] == 1 else b""))
                if reply[1] == 3:
                    break
    return replies


def read_message(stream) -> bytes:
    """One whole message."""
    head = stream.read(8)
    return head + stream.read(HEADER.unpack(head)[2] - 8)


@pytest.mark.parametrize("version", [1, 4, 6])
def test_quick_questions_get_the_same_answers(version, tmp_path):
    told = []
    for real in (True, False):
        switch = Switch(tmp_path / ("real" if real else "ours"), real)
        try:
            switch.run(SETUP)
            replies = talk(switch, version, version)
            dump = switch.run("ovs-ofctl --no-stats dump-flows br0")
            told.append((replies, sorted(normal(dump, switch.directory).splitlines())))
        finally:
            switch.close()
    kinds = [kind for kind, _, _ in told[0][0]]
    assert kinds.count(1) > 5 and kinds.count(19 if version == 1 else 21) > 40
    assert told[1] == told[0]
