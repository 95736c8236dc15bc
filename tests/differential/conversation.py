"""Random conversations of two controllers with a bridge, put to our switch and to Debian's.

    python -m tests.differential.conversation FIRST LAST [VERSION [watch]]

A conversation is some dozens of messages, each on one of two connections, sound ones mostly, whose
answers depend on those before: changes of flows, groups and meters, bundles, monitors, roles and
what is to be told unasked, packets, ports and tables, statistics. After each, barriers go over both
connections, and what came before their replies is compared; at the end what the switch holds is.
"""

import random
import re
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import unified_diff
from functools import cache
from itertools import islice
from pathlib import Path

from tests.differential import client_cases
from tests.differential.client_cases import FRAME, GROUPS, MATCHES, METERS
from tests.differential.switches import Switch
from tests.differential.test_wire import is_known as is_known_text
from tests.fuzz.structure import mutate, sound
from utilities.command_line import Fatal
from utilities.ofctl.flows import make_flow_mod
from utilities.ofctl.groups import parse_group_mod
from utilities.ofctl.meters import parse_meter_mod
from vswitchd.openflow.framing import OpenFlowError, identify
from vswitchd.openflow.match import Match
from vswitchd.openflow.messages import (
    bundle, decode, encode, flow, group, meter, monitor, packet, port, queue, session, switch, table,
    table_config,
)
from vswitchd.openflow.messages.switch import TlvTableMod
from vswitchd.openflow.print import format_message
from vswitchd.openflow.text import FlowTextError, parse_actions, parse_flow, parse_match

VERSIONS = range(1, 7)
# Connections are not tracked yet.
ACTIONS = tuple(text for text in client_cases.ACTIONS if not text.startswith("ct("))
SETUP = """ovs-vsctl -- add-br br0 -- set bridge br0 datapath-type=dummy fail-mode=secure \
other-config:datapath-id=fedcba9876543210 other-config:hwaddr=aa:55:aa:55:00:00 \
protocols=OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15 \
-- add-port br0 p1 -- set Interface p1 type=dummy ofport_request=1 \
&& ovs-vsctl add-port br0 p2 -- set Interface p2 type=dummy ofport_request=2"""
PORT_NAMES, TABLE_NAMES = {"p1": 1, "p2": 2, "br0": 0xfffe}, {"t1": 1}
ALL = {name: mask for name, mask in session.ASYNC_ALLOWED.items()}
PORTS = (1, 1, 2, 2, 3, 0xfffe, 0xfffd, 0xffff, 0xfff8, 0xfffc, 0xfffb)
MACS = {1: "aa:55:aa:55:00:01", 2: "aa:55:aa:55:00:03", 0xfffe: "aa:55:aa:55:00:00"}
TLVS = ((0xffff, 0, 4, 0), (0xffff, 1, 8, 1), (0xffff, 0, 4, 0), (1, 2, 16, 2), (1, 2, 3, 3),
        (5, 5, 4, 70))


@dataclass(frozen=True)
class Step:
    """A message for one of the connections, or a line of shell, or a packet that is resumed."""

    who: int = 0
    data: bytes = b""
    shell: str = ""
    resumes: bool = False


class Unfit(Exception):
    """Nothing of that kind can be said in that version."""


class Speaker:
    """Makes the messages of a conversation in one version."""

    def __init__(self, rng: random.Random, version: int) -> None:
        self.rng, self.version, self._xid = rng, version, 0x1000
        self.said: list[bytes] = []
        # NXST_FLOW_MONITOR of OpenFlow 1.1 and 1.2 has no room for instructions: the reference sends
        # them among the actions all the same.
        self.has_monitors = version not in (2, 3) or rng.random() < 0.5

    def xid(self) -> int:
        self._xid += 1
        return self._xid

    def encode(self, value: object) -> bytes:
        try:
            return encode(value, self.version, self.xid())
        except (ValueError, OpenFlowError, struct.error, OverflowError) as error:
            raise Unfit from error

    def message(self) -> bytes:
        """Something sound of the kinds."""
        weights = [weight for weight, _ in KINDS]
        while True:
            try:
                return self.rng.choices([make for _, make in KINDS], weights)[0](self)
            except (Unfit, FlowTextError, Fatal):
                continue

    def steps(self, count: int) -> Iterator[Step]:
        """A conversation."""
        rng = self.rng
        for who in (0, 1):
            if rng.random() < 0.7:
                yield Step(who, self.encode(session.SetConfig(0, 0xffff, False)))
            if rng.random() < 0.7:
                yield Step(who, self.everything())
        for _ in range(count):
            who = int(rng.random() < 0.25)
            dice = rng.random()
            if dice < 0.04:
                yield Step(shell=f"ovs-appctl revalidator/purge; "
                           f"ovs-appctl netdev-dummy/receive p{rng.choice((1, 2))} {FRAME}")
            elif dice < 0.07:
                yield Step(who, resumes=True)
            else:
                data = self.message()
                if dice > 0.9:
                    data = mutate(rng, data, rng.choice((1, 1, 2)), self.said or [data])
                    data = bytes([self.version]) + data[1:4] + struct.pack("!I",
                                                                           self.xid()) + data[8:]
                if is_dangerous(data):
                    continue
                self.said.append(data)
                yield Step(who, data)

    def everything(self) -> bytes:
        form = "set" if self.version >= 4 else "nx_set"
        known = {k: v & (7 if self.version < 5 else -1) for k, v in ALL.items()}
        return self.encode(session.AsyncConfig(known, known, form))


def is_dangerous(data: bytes) -> bool:
    """Actions that only tests have, a packet type alone, or one part of many."""
    if b"\x23\x20\x00\xfe" in data or b"\x23\x20\x00\xff" in data or b"\x80\x00\x58" in data:
        return True
    if data[0] > 4 and data[1] == 17 and b"\0\2\0\x08" in data[16:]:
        return True                     # A table_mod with an eviction property.
    return data[1] == (16 if data[0] == 1 else 18) and len(data) >= 12 and data[11] & 1 != 0


# Kinds of messages.

_TEXT_FLAGS = ("send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts")
_GOOD_SETTINGS = ("table=1", "table=2", "priority=7", "priority=9", "cookie=5", "cookie=0x123",
                  "importance=3",
                  "importance=5", "idle_timeout=600", *_TEXT_FLAGS[:2], "send_flow_rem",
                  "send_flow_rem")
_FLOW_FORMS = {1: (1, 2, 4, 4, 8), 2: (0x10,), 3: (0x20,), 4: (0x40,), 5: (0x80,), 6: (0x100,)}


_INSTRUCTION = re.compile("goto_table|write_|clear_actions|meter")


def flow_mod(speaker: Speaker) -> bytes:
    rng = speaker.rng
    command = rng.choice(("add", "add", "add", "add", "modify", "modify_strict", "delete",
                          "delete_strict"))
    words = [rng.choice(MATCHES[:36]), *rng.sample(_GOOD_SETTINGS, rng.choice((0, 1, 1, 2, 3)))]
    if command.startswith("delete"):
        words = [word for word in words if not word.startswith(("idle", "importance"))]
        words += rng.choices(("out_port=2", "out_group=1", "cookie=5/-1", "table=0", ""), k=1)
    else:
        actions = rng.choice(ACTIONS[:52] if rng.random() < 0.9 else ACTIONS)
        if speaker.version in (2, 3) and speaker.has_monitors and _INSTRUCTION.match(actions):
            raise Unfit
        words.append("actions=" + actions)
    parsed = parse_flow(",".join(filter(None, words)), command, PORT_NAMES, TABLE_NAMES)
    form = rng.choice(_FLOW_FORMS[speaker.version])
    mod, _ = make_flow_mod(parsed, form)
    return speaker.encode(mod)


def group_mod(speaker: Speaker) -> bytes:
    rng = speaker.rng
    verb = rng.choice(("add", "add", "add", "modify", "add_or_mod", "delete", "insert_bucket",
                       "remove_bucket"))
    mod, _ = parse_group_mod(rng.choice(GROUPS), verb, PORT_NAMES, TABLE_NAMES)
    return speaker.encode(mod)


def meter_mod(speaker: Speaker) -> bytes:
    return speaker.encode(parse_meter_mod(speaker.rng.choice(METERS),
                                           speaker.rng.choice(("add", "add", "modify", "delete"))))


def bundle_control(speaker: Speaker) -> bytes:
    rng = speaker.rng
    kind = rng.choice((0, 0, 0, 2, 4, 4, 4, 4, 6, rng.randrange(8)))
    return speaker.encode(bundle.BundleControl(rng.choice((1, 1, 1, 2)), kind,
                                               rng.choice((0, 1, 2, 3, 3))))


def bundle_add(speaker: Speaker) -> bytes:
    rng = speaker.rng
    make = rng.choice((flow_mod, flow_mod, flow_mod, group_mod, port_mod, meter_mod, echo))
    inner = make(speaker)
    if rng.random() < 0.95:             # They have the same number mostly.
        speaker._xid = int.from_bytes(inner[4:8], "big") - 1
    return speaker.encode(bundle.BundleAdd(rng.choice((1, 1, 1, 2)), rng.choice((0, 1, 2, 3, 3)),
                                           inner))


def flow_monitor(speaker: Speaker) -> bytes:
    rng = speaker.rng
    if not speaker.has_monitors:
        raise Unfit
    if rng.random() < 0.2 and speaker.version < 5:
        return speaker.encode(monitor.FlowMonitorCancel(rng.choice((1, 2, 3))))
    match, _ = parse_match(rng.choice(("", "", "in_port=1", "ip", "tcp,tp_dst=80", "reg1=5")),
                           PORT_NAMES)
    requests = tuple(monitor.FlowMonitorRequest(
        rng.choice((1, 2, 3)), rng.choice((0x3f, 0x3f, 0x1f, 0x2f, 0x3e, rng.randrange(128))),
        match,
        rng.choice((255, 255, 0, 1)), rng.choice((0xffff, 0xffff, 2)), rng.choice((0xffffffff, 1)),
        rng.choice(("add", "add", "modify", "delete"))) for _ in range(rng.choice((1, 1, 1, 2))))
    return speaker.encode(monitor.FlowMonitorRequests(requests))


def packet_out(speaker: Speaker) -> bytes:
    rng = speaker.rng
    text = rng.choice(("1", "2", "controller", "controller(max_len=20)", "output:TABLE", "flood",
                       "in_port", "all",
                       "resubmit(,0)", "group:1", "controller(pause),2", "dec_ttl,2",
                       "set_field:9.9.9.9->ip_dst,2",
                       "controller(userdata=01.02,pause),1", "p2,controller", "local", "drop",
                       "meter:1,2",
                       "load:5->NXM_NX_REG0[],resubmit(,0)", "learn(table=1,reg1=7,output:2)",
                       rng.choice(ACTIONS)))
    actions, _ = parse_actions(text.replace("TABLE", "0xfff9"), PORT_NAMES, TABLE_NAMES)
    match = Match.of(in_port=rng.choice(PORTS))
    if speaker.version == 6 and rng.random() < 0.3:
        match, _ = parse_match("in_port=1," + rng.choice(("reg1=5", "metadata=7", "tun_id=3")),
                               PORT_NAMES)
    return speaker.encode(packet.PacketOut(bytes.fromhex(FRAME), actions, match))


def knob(speaker: Speaker) -> bytes:
    rng = speaker.rng
    return speaker.encode(rng.choice((
        session.SetPacketInFormat(rng.choice(("standard", "nxt_packet_in", "nxt_packet_in2",
                                              "nxt_packet_in2"))),
        session.SetControllerId(rng.choice((0, 3))), session.SetFlowFormat(rng.choice((0, 2))),
        session.FlowModTableId(bool(rng.randrange(2))),
        session.SetConfig(rng.choice((0, 0, 0, 1, 3)), rng.choice((0, 20, 128, 0xffff)), False),
        session.GetConfigRequest(), session.FeaturesRequest(), session.BarrierRequest(),
        session.GetAsyncRequest())))


def echo(speaker: Speaker) -> bytes:
    rng = speaker.rng
    return speaker.encode(rng.choice((
        session.EchoRequest(b"hello"), session.EchoRequest(), session.EchoReply(b"x"),
        session.Hello(frozenset((speaker.version,))), session.Error("OFPBRC_BAD_TYPE", bytes(12)))))


def async_config(speaker: Speaker) -> bytes:
    rng = speaker.rng

    def masks() -> dict[str, int]:
        return {name: rng.choice((0, mask, mask, rng.getrandbits(6) & mask)) for name,
                mask in ALL.items()
                if speaker.version < 4 or rng.random() < 0.8}

    form = "nx_set" if speaker.version < 4 else rng.choice(("set", "nx_set", "nx_set2"))
    return speaker.encode(session.AsyncConfig(masks(), masks(), form))


def role(speaker: Speaker) -> bytes:
    rng = speaker.rng
    is_nicira = speaker.version < 3 or rng.random() < 0.1
    name = rng.choice(("equal", "primary", "secondary") if is_nicira else (
        "nochange", "equal", "primary", "secondary"))
    return speaker.encode(session.RoleRequest(name, None if is_nicira else rng.randrange(10),
                                              is_nicira))


def port_mod(speaker: Speaker) -> bytes:
    rng = speaker.rng
    number = rng.choice((1, 1, 2, 2, 0xfffe, 3, 0xffff))
    mac = bytes.fromhex(MACS.get(number, MACS[1]).replace(":",
                                                          "")) if rng.random() < 0.95 else bytes(6)
    mask = rng.choice((1, 1, 4, 0x20, 0x40, 0x10, 0x7f, 2, 0))
    return speaker.encode(port.PortMod(number, mac, rng.choice((0, 0, mask)), mask,
                                       rng.choice((0, 0, 0, 1))))


def table_mod(speaker: Speaker) -> bytes:
    rng = speaker.rng
    number = rng.choice((0, 1, 2, 255, 254))
    if speaker.version < 5:
        return speaker.encode(table_config.TableMod(number, rng.choice((0, 1, 2))))
    vacancy = rng.choice((False, table_config.Vacancy(20, 80), None))
    return speaker.encode(table_config.TableMod(number, None, rng.choice((True, False, None)), None,
                                         vacancy))


def statistics(speaker: Speaker) -> bytes:
    rng = speaker.rng
    match, _ = parse_match(rng.choice(("", "", "in_port=1", "ip", "tcp")), PORT_NAMES)
    form = rng.choice(("of", "nxm")) if speaker.version == 1 else "of"
    flows = flow.FlowStatsRequest(match, rng.choice((255, 0, 1)), rng.choice((0xffff, 0xffff, 2)),
                                  0xffffffff,
                                  0, 0, rng.random() < 0.3, form)
    values = (
        flows, flows, flows, port.PortStatsRequest(rng.choice((0xffff, 1, 5, 0xfffe))),
        port.PortDescRequest(rng.choice((0xffff, 1, 5))), table.TableStatsRequest(),
        table_config.TableDescRequest(),
        queue.QueueStatsRequest(rng.choice((0xffff, 1, 5)), rng.choice((0xffffffff, 0, 3))),
        queue.QueueConfigRequest(rng.choice((1, 1, 0xffff, 5)), rng.choice((0xffffffff, 0))),
        group.GroupDescRequest(rng.choice((0xfffffffc, 1, 9))),
        group.GroupStatsRequest(rng.choice((0xfffffffc, 1, 9))),
        group.GroupFeaturesRequest(), meter.MeterConfigRequest(rng.choice((0xffffffff, 1, 9))),
        meter.MeterStatsRequest(rng.choice((0xffffffff, 1, 9))), meter.MeterFeaturesRequest(),
        switch.TlvTableRequest(), switch.IpfixBridgeRequest(), switch.IpfixFlowRequest())
    return speaker.encode(rng.choice(values))


def mapping(speaker: Speaker) -> bytes:
    rng = speaker.rng
    return speaker.encode(switch.TlvTableMod(rng.choice((0, 0, 1, 2, 3)),
                                             tuple(rng.sample(TLVS, rng.choice((0, 1, 1, 2))))))


def flush(speaker: Speaker) -> bytes:
    return speaker.encode(switch.CtFlushZone(speaker.rng.choice((0, 5, 0xffff))))


_NO_REQUESTS = ("PACKET_IN", "FLOW_REMOVED", "PORT_STATUS", "REPLY", "HELLO", "OFPT_ERROR",
                "CT_FLUSH",
                "TABLE_FEATURES", "OFPST_DESC")
"""What is no request, or whose answers tell of known differences."""


@cache
def _recorded(version: int) -> list[list[bytes]]:
    return [group for (name, spoken), group in sound().items()
            if spoken == version and not any(word in name for word in _NO_REQUESTS)
            and not identify(group[0])[0].is_reply]


def recorded(speaker: Speaker) -> bytes:
    data = speaker.rng.choice(speaker.rng.choice(_recorded(speaker.version)))
    if b"\x23\x20\x00\x23" in data or is_dangerous(data) or not speaker.has_monitors and "MONITOR" in identify(data)[0].name:
        raise Unfit
    return data[:4] + struct.pack("!I", speaker.xid()) + data[8:]


KINDS: tuple[tuple[int, Callable[[Speaker], bytes]], ...] = (
    (30, flow_mod), (12, group_mod), (7, meter_mod), (12, bundle_control), (14, bundle_add),
    (10, flow_monitor),
    (9, packet_out), (7, knob), (2, echo), (5, async_config), (4, role), (6, port_mod),
    (4, table_mod),
    (20, statistics), (4, mapping), (1, flush), (25, recorded))


# Both switches.


class Client:
    """A connection to a switch's br0.mgmt in one version."""

    def __init__(self, switch: Switch, version: int) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(20)
        self.stream.connect(str(switch.directory / "br0.mgmt"))
        self.version, self.data, self._barrier = version, b"", 0x80000000
        self.packet: packet.PacketIn | None = None
        self.stream.sendall(struct.pack("!BBHI", version, 0, 8, 1))
        self.read()

    def read(self) -> bytes | None:
        """The next message, None at the end."""
        while len(self.data) < 8 or len(self.data) < int.from_bytes(self.data[2:4], "big"):
            try:
                more = self.stream.recv(65536)
            except ConnectionError:
                return None
            if not more:
                return None
            self.data += more
        size = int.from_bytes(self.data[2:4], "big")
        message, self.data = self.data[:size], self.data[size:]
        return message

    def say(self, data: bytes) -> None:
        try:
            self.stream.sendall(data)
        except OSError:
            pass                        # Seen when it is read.

    def settle(self) -> list[bytes] | None:
        """What has come before the reply to a barrier; None if the switch has hung up."""
        kind, found = 18 if self.version == 1 else 20, []
        self._barrier += 1
        self.say(struct.pack("!BBHI", self.version, kind, 8, self._barrier))
        while (message := self.read()) is not None:
            if message[1] == kind + 1 and message[4:8] == struct.pack("!I", self._barrier):
                return found
            found.append(message)
            if message[1] in (4, 10) and len(message) > 40:
                self._note_packet(message)
        return None

    def _note_packet(self, message: bytes) -> None:
        try:
            value = decode(message).value
        except OpenFlowError:
            return
        if isinstance(value, packet.PacketIn) and value.private is not None:
            self.packet = value


def comparable(message: bytes) -> str:
    """A message without what is chance."""
    kind = message[1]
    if message[1:2] + message[8:10] in (b"\x11\0\3", b"\x13\0\3"):
        # How many packets were looked up before is not known, and decides what is like the last.
        return " ".join(f"{row.table}:{row.active}" for row in decode(message).value.stats)
    text = format_message(message, 3)
    if kind == 1:
        return f"{message.hex()} {text.splitlines()[0]}"
    if kind in (2, 3, 8, 21, 25, 27, 33):
        return f"{message.hex()} {text}"
    text = re.sub(r"Software: .*|lookup=\d+, matched=\d+|n?_?(packets?|pkts|bytes?)(_count)?=\d+|"
                  r"pkts\d+ bytes\d+|duration[:=]?[\d.]+s?|(idle|hard)_age=\d+, ?|UUID|"
                  r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "", text)
    if kind == 12:
        text = re.sub(r"(?<=state:      )(LIVE|0)", "", text)
    first, *rest = text.splitlines()
    if "MONITOR" in first and message[4:8] == bytes(4):
        return text                     # What was there before comes in no order.
    return "\n".join([first, *sorted(rest)])


class Scene:
    """A switch and its two controllers."""

    def __init__(self, switch: Switch, version: int) -> None:
        self.switch = switch
        self.clients = [Client(switch, version) for _ in range(2)]
        self.ports: dict[str, str] = {}

    def take(self, step: Step) -> list[str]:
        """What both hear of a step."""
        client = self.clients[step.who]
        if step.shell:
            self.switch.run(step.shell)
            time.sleep(0.1)             # What it makes is done by others.
        elif step.resumes:
            if client.packet is not None:
                client.say(encode(client.packet.replace(resume=True), client.version, 0x77))
                client.packet = None
        else:
            client.say(step.data)
        # The first barrier finds the step done; what that made others hear is behind it.
        heard: list[list[str]] = [[], []]
        for _ in range(2):
            for number in (step.who, 1 - step.who):
                messages = self.clients[number].settle()
                if messages is None:
                    heard[number].append("closed")
                    self.clients[number].stream.close()
                    self.clients[number] = Client(self.switch, client.version)
                else:
                    heard[number] += map(comparable, messages)
        return [f"{number}: {text}" for number, texts in enumerate(heard)
                for text in self._without_ports(texts)]

    def _without_ports(self, texts: list[str]) -> list[str]:
        """Without what is told of ports' states, which comes when it is noticed, perhaps twice and
        to who asked for it meanwhile; the last of it is kept."""
        for text in texts:
            if text.startswith("OFPT_PORT_STATUS"):
                self.ports[re.search(r"\w+\(\w+\):", text)[0]] = text
        return [text for text in texts if not text.startswith("OFPT_PORT_STATUS")]

    def state(self) -> list[str]:
        """What the switch holds at the end."""
        found = [text for _, text in sorted(self.ports.items())]
        client = Client(self.switch, 6)
        for value in (flow.FlowStatsRequest(), group.GroupDescRequest(), meter.MeterConfigRequest(),
                      switch.TlvTableRequest(), port.PortDescRequest(), table_config.TableDescRequest(),
                      session.GetConfigRequest()):
            client.say(encode(value, 6, 9))
            for message in client.settle() or ():
                found += sorted(comparable(message).splitlines())
        client.stream.close()
        return found

    def close(self) -> None:
        for client in self.clients:
            client.stream.close()


def reset_messages() -> list[bytes]:
    """What makes a bridge as it was, in OpenFlow 1.5."""
    values = [group.GroupMod("delete", 0xfffffffc),
              meter.MeterMod("delete", meter.MeterConfig(0xffffffff, 0, ())),
              flow.FlowMod("delete"), session.SetConfig(0, 0, False),
              *(port.PortMod(number, bytes.fromhex(mac.replace(":", "")), 0, 0x65) for number,
                mac in MACS.items()),
              table_config.TableMod(255, None, False, None, False)]
    return [encode(value, 6, 0x50 + number) for number, value in enumerate(values)]


def reset(switch: Switch) -> None:
    client = Client(switch, 6)
    client.say(b"".join(reset_messages()))
    answers = client.settle()
    # Debian's lets go of what rules used a little later.
    for _ in range(20):
        client.say(encode(TlvTableMod(2), 6, 0x60))
        if not (found := client.settle()):
            break
        time.sleep(0.05)
    answers = (answers or []) + (found or [])
    client.stream.close()
    old = Client(switch, 2)
    old.say(encode(table_config.TableMod(255, 0), 2, 5))
    answers += old.settle() or []
    old.stream.close()
    assert not [message for message in answers if message[1] == 1], [m.hex() for m in answers]


def is_alive(switch: Switch) -> bool:
    """Whether its daemon runs; nobody may have asked yet how it ended."""
    pid = switch.pid("ovs-vswitchd")
    if pid is None:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


class Pair:
    """Debian's switch and ours."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._n_started = directory, 0
        self.pool = ThreadPoolExecutor(2)
        self._start()

    def _start(self) -> None:
        self._n_started += 1
        directory = self._directory / str(self._n_started)
        directory.mkdir()
        self.switches = list(self.pool.map(lambda real: Switch(directory / str(real), real),
                                           (True, False)))
        for printed in self.pool.map(lambda one: one.run(SETUP), self.switches):
            assert printed == ""
        list(self.pool.map(lambda one: one.run(
            "until ovs-ofctl -OOpenFlow15 dump-ports-desc br0 2 | grep -q LIVE; do sleep 0.1; done"), self.switches))

    def difference(self, seed: int, version: int, count: int = 40,
                   is_watched: bool = False) -> tuple | None:
        """(what was said, theirs, ours) of the first step that differs, None if none does.

        is_watched: what the switches hold is compared after each step.
        """
        try:
            return self._difference(seed, version, count, is_watched)
        except OSError:
            time.sleep(1)               # Who crashes first closes its sockets and then ends.
            if all(map(is_alive, self.switches)):
                raise
            has_ours = is_alive(self.switches[1])
            list(self.pool.map(Switch.close, self.switches))
            self._start()
            # Debian's does not bear everything.
            return None if has_ours else (Step(shell="crash"), [], ["ours"])

    def _difference(self, seed: int, version: int, count: int, is_watched: bool) -> tuple | None:
        list(self.pool.map(reset, self.switches))
        speaker = Speaker(random.Random(f"{seed} {version}"), version)
        scenes = list(self.pool.map(lambda one: Scene(one, version), self.switches))
        try:
            for step in speaker.steps(count):
                theirs, ours = self.pool.map(lambda scene: scene.take(step), scenes)
                if theirs != ours and not is_known(step, theirs, ours):
                    return step, theirs, ours
                if theirs != ours:
                    return None         # They are not the same any more.
                if is_watched:
                    theirs, ours = self.pool.map(Scene.state, scenes)
                    if theirs != ours:
                        return step, theirs, ours
            theirs, ours = self.pool.map(Scene.state, scenes)
            return None if theirs == ours else (Step(shell="state"), theirs, ours)
        finally:
            for scene in scenes:
                scene.close()

    def close(self) -> None:
        list(self.pool.map(Switch.close, self.switches))
        self.pool.shutdown()


def is_known(step: Step, theirs: list[str], ours: list[str]) -> bool:
    """Whether docs/compatibility.md tells of the difference."""
    one, other = "".join(theirs), "".join(ours)
    xids = {found[1] for text in theirs if (found := re.match("\\d: ..01....(.{8})", text))}
    return (is_known_text(one, other)
            or "TABLE_FEATURES reply" in one and "TABLE_FEATURES reply" in other     # Registers.
            or "OFPBFC_BAD_TYPE" in other and "type=OPEN_REQUEST" in one
            or "OFPMMFC_BAD_BAND" in one and "OFPT_ERROR" not in other          # dscp_remark.
            or "INVALID_TLV_DEL" in one                 # It forgets rules a little later.
            or "OFPMOFC_BAD_COMMAND" in other and "FLOW_MONITOR reply" in one
            or not xids <= {step.data[4:8].hex()}            # It reads a header that is not there.
            or "INVALID_TLV_FIELD" in one + other            # What else is wrong goes first.
            or "BAD_ARGUMENT" in other and not one)          # bundle_load, set_mpls_*.


def describe(step: Step) -> str:
    if step.shell or step.resumes:
        return step.shell or "resume"
    try:
        name = identify(step.data)[0].name
    except OpenFlowError as error:
        name = str(error)
    return f"{step.who} {name} {step.data.hex()}\n  {format_message(step.data, 2)}"


if __name__ == "__main__":
    first, last = map(int, sys.argv[1:3])
    versions = [int(sys.argv[3])] if len(sys.argv) > 3 else VERSIONS
    is_watched = len(sys.argv) > 4
    with tempfile.TemporaryDirectory() as place:
        pair, bad, total = Pair(Path(place)), 0, 0
        try:
            for seed in range(first, last):
                for version in versions:
                    total += 1
                    found = pair.difference(seed, version, is_watched=is_watched)
                    if found is not None:
                        bad += 1
                        step, theirs, ours = found
                        print(f"#{seed} v{version}: {describe(step)}")
                        print(*islice(unified_diff("\n".join(theirs).split("\n"),
                                                   "\n".join(ours).split("\n"), n=1,
                                                   lineterm=""), 2, 40), sep="\n", flush=True)
        finally:
            pair.close()
        print(f"{bad} of {total} differ")
