"""Flows of known shapes become the flow_mods that the usual way makes of them."""

import random
import socket

import pytest

from utilities.command_line import Fatal
from utilities.ofctl import protocol
from utilities.ofctl.connection import Connection
from utilities.ofctl.flows import make_flow_mod
from utilities.ofctl.many import LineError, Maker, is_for_many, message_at
from vswitchd.openflow.match import normalize
from vswitchd.openflow.messages import encode
from vswitchd.openflow.quick.shapes import ODD, Teacher, make_shapes
from vswitchd.openflow.text import FlowTextError, parse_flow

FORMATS = (protocol.OF10_STD, protocol.OF10_NXM_TID, protocol.OF11_STD, protocol.OF12_OXM,
           protocol.OF13_OXM, protocol.OF15_OXM)


class Lines:
    """Draws lines of a few shapes; some are odd, and some are wrong."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def number(self, bits: int = 16) -> int:
        most = (1 << bits) - 1
        return self.rng.choice((0, 1, 80, most, most, self.rng.randrange(most)))

    def written(self, bits: int) -> str:
        number = self.number(bits)
        return self.rng.choice((str(number), hex(number), f"{number:#x}"))

    def octet(self) -> int:
        return self.rng.choice((0, 1, 255, self.rng.randrange(256)))

    def ip(self) -> str:
        return ".".join(str(self.octet()) for _ in range(4))

    def mac(self) -> str:
        return ":".join(f"{self.octet():02x}" for _ in range(6))

    def ip6(self) -> str:
        return self.rng.choice(("::", "fe80::1", f"2001:db8::{self.number():x}",
                                f"{self.number():x}:0:0:1::ABC", "::ffff:1.2.3.4"))

    def action(self) -> str:
        rng = self.rng
        return rng.choice((
            "drop", "normal", f"output:{rng.randrange(70000)}", f"{rng.randrange(300)}",
            f"mod_dl_dst:{self.mac()},output:3", "ct(commit)", f"group:{self.written(32)}",
            f"set_field:{self.written(33)}->reg1,resubmit(,4)", "learn(table=9,output:NXM_OF_IN_PORT[])",
            f"load:{self.written(12)}->NXM_NX_REG2[3..12],{rng.randrange(9)}",
            f"load:{self.written(64)}->OXM_OF_METADATA[]", f"set_field:{self.mac()}->eth_src",
            f"set_field:{self.ip()}->ip_dst", f"set_field:{self.ip6()}->ipv6_src",
            f"goto_table:{rng.randrange(250)}", f"mod_nw_src:{self.ip()}", "enqueue:1:2",
            f"mod_vlan_vid:{self.number(13)}", f"mod_tp_dst:{self.number(17)}",
            f"set_field:{self.number(4)}->vlan_pcp", f"set_field:{self.written(16)}->udp_dst",
            f"move:NXM_NX_REG0[{rng.randrange(32)}]->NXM_NX_REG1[0]",
            f"conjunction({self.number()},1/2)", f"set_field:1/0x{self.number():x}->reg3"))

    def draw(self) -> str:
        rng = self.rng
        body = rng.choice((
            lambda: f"table={rng.randrange(256)},priority={self.number()},tcp,nw_src={self.ip()},"
                    f"nw_dst={self.ip()}/{rng.choice((0, 1, 8, 25, 32))},tp_dst={self.number()}",
            lambda: f"priority={self.written(16)},ip,nw_src={self.ip()}",
            lambda: f"udp,udp_src={self.number(17)},tp_dst={self.number()},nw_dst=10.0.0.0/255.255.0.0",
            lambda: f"cookie={self.written(63)},idle_timeout={self.number(17)},dl_src={self.mac()},"
                    f"dl_dst={self.mac()},priority={self.number()}",
            lambda: f"in_port={rng.randrange(70000)},dl_dst={self.mac()}",
            lambda: f"in_port=1,dl_dst={self.mac()}/01:00:00:00:00:00,dl_vlan={self.number(13)}",
            lambda: f"arp,nw_src={self.ip()},priority=0{self.number()}",
            lambda: f"priority={self.number()},tp_src={self.number()}",
            lambda: f"priority={self.number()},priority={self.number()},ip",
            lambda: f"priority= {self.number()},ip",
            lambda: f" ip,nw_src={self.ip()}/{self.ip()},table={rng.randrange(300)} # {rng.random()}",
            lambda: f"delete_strict priority={self.number()},ip",
            lambda: f"reg{rng.randrange(4)}={self.written(33)}/0xff0,metadata={self.written(64)}",
            lambda: f"ipv6,ipv6_dst={self.ip6()}/{rng.choice((64, 127, 128))},tun_id={self.written(40)}",
            lambda: f"icmp6,icmp_type={rng.randrange(130, 140)},nd_target={self.ip6()}",
            lambda: f"icmp6,tp_src={rng.choice((1, 135, 136))},icmp_code=0,nd_sll={self.mac()}",
            lambda: f"send_flow_rem,priority={self.number() * 2},ipv6,tcp_dst={self.number()}",
            lambda: f"conj_id={self.written(32)},ct_mark={self.written(33)},ct_zone={self.number()}",
            lambda: f"foo(priority=1,in_port={rng.randrange(9)}",
            lambda: f"mpls,mpls_label={self.number(21)},dl_type=0x8847,xreg1={self.written(65)}"))()
        return f"{body},actions={','.join(self.action() for _ in range(rng.choice((1, 1, 2))))}"


class Usual:
    """The usual way, and what it says."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.n_read = 0

    def read(self, line: str, tell: bool):
        self.n_read += 1
        flow = parse_flow(line, "auto", {}, {})
        is_normal = normalize(flow.match) is flow.match
        if tell and not is_normal:
            self.told.append(line)
        return flow, is_normal

    @staticmethod
    def encode(flow, chosen: int) -> bytes:
        return encode(*make_flow_mod(flow, chosen), 0)


def read_right(line: str):
    try:
        return parse_flow(line.partition("#")[0].strip(), "auto", {}, {})
    except FlowTextError:
        return None


@pytest.mark.parametrize("chosen", FORMATS)
def test_flow_mods_are_those_of_the_usual_way(chosen):
    drawn = Lines(chosen)
    lines, flows = [], []
    while len(flows) < 1000:
        line = drawn.draw()
        flow = read_right(line)
        if flow is not None and flow.usable & chosen:
            lines.append(line)
            flows.append(flow)
    usual = Usual()
    made = Maker(usual.read, lambda usable: chosen, usual.encode).make("\n".join(lines).encode())
    assert made.count == len(flows)
    expected = [usual.encode(flow, chosen) for flow in flows]
    at = 0
    for line, message in zip(lines, expected):
        assert made.messages[at:at + len(message)] == message, line
        at += len(message)
    assert made.messages == b"".join(expected)
    assert made.usable == protocol.ANY & _all(flow.usable for flow in flows)
    assert [line.strip() for line in usual.told] == [
        line.partition("#")[0].strip() for line, flow in zip(lines, flows)
        if normalize(flow.match) is not flow.match]


def _all(numbers) -> int:
    result = -1
    for number in numbers:
        result &= number
    return result


def test_most_flows_of_a_common_file_are_made_in_c():
    drawn = Lines(1)
    lines = [f"table={n % 3},priority={drawn.number()},tcp,nw_src={drawn.ip()},tp_dst={drawn.number()},"
             f"reg1={drawn.written(32)},actions=load:{n}->NXM_NX_REG0[],set_field:{drawn.ip()}->ip_dst,"
             f"output:{n % 60000}" for n in range(3000)]
    usual = Usual()
    made = Maker(usual.read, lambda usable: protocol.OF13_OXM, usual.encode).make(
        "\n".join(lines).encode())
    assert made.count == 3000
    assert usual.n_read < 30
    assert message_at(made.messages, 2999) == usual.encode(read_right(lines[2999]), protocol.OF13_OXM)


def test_wrong_lines_are_told_with_their_number_and_what_is_wrong():
    drawn = Lines(5)
    n_wrong = 0
    usual = Usual()
    for _ in range(400):
        lines = [drawn.draw() for _ in range(4)]
        lines = [line for line in lines if read_right(line) is not None] * 2
        line = drawn.draw()
        maker = Maker(usual.read, lambda usable: protocol.OF10_NXM_TID & usable, usual.encode)
        text = "\n".join((*lines, "# nothing", "", line)).encode()
        if read_right(line) is not None:
            maker.make(text)
            continue
        n_wrong += 1
        with pytest.raises(FlowTextError) as wrong:
            parse_flow(line.partition("#")[0].strip(), "auto", {}, {})
        with pytest.raises(LineError) as told:
            maker.make(text)
        assert told.value.args == (len(lines) + 3, str(wrong.value))
    assert n_wrong > 30


def test_a_number_out_of_range_is_wrong_in_a_known_shape_too():
    usual = Usual()
    lines = [f"priority={n},actions=load:{n % 16}->NXM_NX_REG0[0..3]" for n in range(20)]
    for wrong, text in (("priority=70000,actions=load:1->NXM_NX_REG0[0..3]", "70000"),
                        ("priority=1,actions=load:16->NXM_NX_REG0[0..3]", "does not fit")):
        with pytest.raises(LineError) as told:
            Maker(usual.read, lambda usable: protocol.OF10_STD, usual.encode).make(
                "\n".join((*lines, wrong)).encode())
        assert told.value.args[0] == 21 and text in told.value.args[1]


def test_the_format_follows_what_all_flows_need_and_nothing_is_told_twice():
    usual = Usual()
    lines = ["tcp_dst=1,actions=1", *[f"priority={n},ip,actions=1" for n in range(300)],
             "reg1=5,actions=2", "tcp_src=1,table=3,actions=1"]
    made = Maker(usual.read, lambda usable: usable & -usable, usual.encode).make(
        "\n".join(lines).encode())
    assert made.chosen == made.usable & -made.usable == protocol.OF10_NXM_TID
    assert made.messages == b"".join(usual.encode(read_right(line), protocol.OF10_NXM_TID)
                                     for line in lines)
    assert usual.told == [lines[0], lines[-1]]


def test_odd_files_are_not_for_many():
    plain = b"priority=1,actions=1\n" * 300
    assert is_for_many(plain)
    for odd in (b"\r", b"\x0b", b"\xc3\xa9", b"\0", b"\x1c"):
        assert not is_for_many(plain + odd)


@pytest.mark.parametrize("seed", range(2))
def test_damaged_lines_are_left_alone_or_made_as_usual(seed):
    rng, drawn, shapes = random.Random(seed), Lines(seed), make_shapes()
    usual = Usual()

    def make(line: bytes) -> tuple[bytes, int]:
        flow = parse_flow(line.decode(), "auto", {}, {})
        return usual.encode(flow, protocol.OF13_OXM), flow.usable

    teacher = Teacher(shapes, make)
    lines = [line.partition("#")[0].strip().encode() for line in
             (drawn.draw() for _ in range(150)) if read_right(line)]
    for line in lines:
        if shapes.read(line, 0)[4] != ODD:
            teacher.teach(line, True)
    n_made = 0
    for _ in range(6000):
        line = bytearray(rng.choice(lines))
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(line))
            match rng.randrange(3):
                case 0:
                    line[at] = rng.choice(b"0123456789abcdefx:./,=()->[] ")
                case 1:
                    del line[at]
                case _:
                    line.insert(at, rng.choice(b"0123456789abcdefx:./,=()->[] "))
            if not line:
                break
        message, at, count, _, _ = shapes.read(bytes(line), 0)
        if count:
            n_made += 1
            assert message == make(line.strip())[0], line
    assert n_made > 100


@pytest.mark.parametrize("in_c", [True, False])
def test_a_switch_that_hangs_up_is_told_in_the_same_words(in_c):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.shutdown(socket.SHUT_RD)
        connection = Connection(ours, "br0", "unix:br0.mgmt")
        connection.version = 4
        message = bytes.fromhex("0402000800000000")
        with pytest.raises(Fatal, match=r"^failed to send packet to switch \(Broken pipe\)$"):
            if in_c:
                connection.transact_many(message)
            else:
                connection.transact_each([message])
