"""Hostile input to the programs, as they run: they answer afterwards, and memory stays.

Frames come over the sockets of dummy ports, OpenFlow over BRIDGE.mgmt, requests over the control
socket, and configuration that cannot be right over the database. By default thousands of inputs;
the tests marked `long` compare memory after 100 thousand and after a million.
"""

import json
import random
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.differential.switches import Switch
from tests.fuzz import hostile
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.flow import FlowMod
from vswitchd.openflow.text import parse_flow

PATIENCE = 60                   # Seconds for what takes a fraction of one.
VERSIONS = (1, 4, 6)            # OpenFlow 1.0, 1.3 and 1.5.
MARK = 0xFEEDBEEF               # Number of the echo request whose answer is waited for.
RECORDED = Path(__file__).parents[1] / "vswitchd" / "openflow" / "data" / "printed.jsonl"
SLACK_KB = 1024                 # Of what a small run may grow besides 5 %.


class Target:
    """Our suite, with br0 and br1 of `hostile`, whose ports listen for frames."""

    def __init__(self, directory: Path) -> None:
        self.switch = Switch(directory, real=False, our_tools=True)
        self.run = self.switch.run
        self.directory = directory

    def configure(self) -> None:
        """Makes bridges, ports, groups, and flows; few megaflows, so that the table fills early."""
        lines = ["ovs-vsctl set open . other_config:flow-limit=2000 other_config:max-idle=2000"]
        for bridge in ("br0", "br1"):
            lines.append(f"-- add-br {bridge} -- set bridge {bridge} datapath-type=dummy "
                         "fail-mode=secure protocols=OpenFlow10,OpenFlow13,OpenFlow15")
        for number in range(1, hostile.PORTS + 1):
            tag = f"tag={hostile.TAGGED[number]}" if number in hostile.TAGGED else ""
            lines.append(f"-- add-port br0 p{number} {tag} -- set interface p{number} type=dummy "
                         f"ofport_request={number} options:pstream=punix:{self.path(number)}")
        for bridge, end, peer, number in (("br0", "pa", "pb", 9), ("br1", "pb", "pa", 8)):
            lines.append(f"-- add-port {bridge} {end} -- set interface {end} type=patch "
                         f"options:peer={peer} ofport_request={number}")
        self.check(" ".join(lines))
        groups = (f"group_id={number},type={kind}," + ",".join(f"bucket={b}" for b in buckets)
                  for number, (kind, buckets) in hostile.GROUPS.items())
        (self.directory / "groups").write_text("\n".join(groups) + "\n")
        (self.directory / "flows").write_text("\n".join(hostile.FLOWS) + "\n")
        self.check("ovs-ofctl add-flow br1 actions=normal")

    def check(self, line: str) -> str:
        """Runs a line that must succeed; what it printed."""
        printed = self.run(line)
        assert "exit code" not in printed, printed
        return printed

    def path(self, number: int) -> Path:
        """The socket of a port."""
        return self.directory / f"port{number}"

    def connect(self, name: str) -> socket.socket:
        """A connection to a Unix socket in the run directory."""
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(PATIENCE)
        peer.connect(str(self.directory / name))
        return peer

    def received(self) -> int:
        """Frames that came in by all ports."""
        shown = self.check("ovs-ofctl dump-ports br0")
        return sum(int(found) for found in re.findall(r"port +[1-8]: rx pkts=(\d+)", shown))

    def resident_kb(self, program: str = "ovs-vswitchd") -> int:
        """Of one of the daemons."""
        pid = self.switch.pid(program)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def assert_well(self) -> None:
        """Both daemons answer, and neither has met a defect."""
        for program in ("ovs-vswitchd", "ovsdb-server"):
            assert "4.0.90" in self.check(f"ovs-appctl -t {program} version")
            log = (self.directory / f"{program}.log").read_text(errors="replace")
            for sign in ("Traceback", "internal error", "|EMER|", "|ERR|unexpected"):
                assert sign not in log, log[max(0, log.find(sign) - 500):][:3000]


@pytest.fixture(scope="module")
def shared_target(tmp_path_factory):
    made = Target(tmp_path_factory.mktemp("hostile") / "suite")
    try:
        made.configure()
        yield made
    finally:
        made.switch.close()


@pytest.fixture
def target(shared_target):
    """The suite, with its flows as they were."""
    shared_target.check("ovs-ofctl -O OpenFlow15 del-groups br0; "
                        "ovs-ofctl -O OpenFlow15 add-groups br0 groups; "
                        "ovs-ofctl -O OpenFlow15 replace-flows br0 flows")
    return shared_target


@contextmanager
def drained(peers: list[socket.socket]) -> Iterator[None]:
    """Has what comes out by the ports read meanwhile, so that it does not pile up in the switch."""
    stop_reader, stop_writer = socket.socketpair()

    def drain() -> None:
        while stop_reader not in (readable := select.select([*peers, stop_reader], [], [])[0]):
            for peer in readable:
                peer.recv(1 << 18)

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        yield
    finally:
        stop_writer.send(b"x")
        thread.join()
        stop_reader.close()
        stop_writer.close()


def send_frames(target: Target, rng: random.Random, count: int) -> None:
    """Sends frames by all ports and waits until the switch has taken them."""
    wanted = target.received() + count
    peers = [target.connect(target.path(n).name) for n in range(1, hostile.PORTS + 1)]
    with drained(peers):
        for start in range(0, count, 512):
            batches = [bytearray() for _ in peers]
            for _ in range(min(512, count - start)):
                frame = hostile.frame(rng)[:65535]
                rng.choice(batches).extend(struct.pack("!H", len(frame)) + frame)
            for peer, batch in zip(peers, batches, strict=True):
                peer.sendall(batch)
        deadline = time.monotonic() + PATIENCE
        while (now := target.received()) < wanted:
            assert time.monotonic() < deadline, f"{now} of {wanted} frames"
            time.sleep(0.05)
    for peer in peers:
        peer.close()


def grows_little(target: Target, attack, early: int, late: int) -> None:
    """Asserts that memory after `late` inputs is that after `early`, give or take 5 %."""
    attack(early)
    before = target.resident_kb()
    attack(late - early)
    assert target.resident_kb() <= before * 1.05 + (SLACK_KB if late < 1_000_000 else 0)
    target.assert_well()


# The heap is full of holes of all sizes only after 300,000 frames: 2000 megaflows come and go.
@pytest.mark.parametrize(("early", "late"), [
    (6000, 12_000), pytest.param(300_000, 1_000_000, marks=pytest.mark.long)])
def test_hostile_frames_through_all_layers(target, early, late):
    rng = random.Random(early)
    grows_little(target, lambda count: send_frames(target, rng, count), early, late)
    assert target.check("ovs-appctl ofproto/trace br0 in_port=1,tcp,tp_dst=80")
    assert "n_packets=" in target.check("ovs-ofctl dump-flows br0 table=1")


def seeds() -> dict[int, list[bytes]]:
    """Well-formed messages of each version that br0 speaks: recorded ones of every kind, and the
    flow_mods for the flows of `hostile`."""
    by_version: dict[int, list[bytes]] = {version: [] for version in VERSIONS}
    with RECORDED.open() as file:
        for line in file:
            message = bytes.fromhex(json.loads(line)["message"])
            if len(message) >= 8 and message[0] in by_version and message[1] != 0:
                by_version[message[0]].append(message)
    for line in hostile.FLOWS:
        flow = parse_flow(line, "add")
        mod = FlowMod(flow.command, flow.match, flow.priority, flow.actions, flow.table)
        by_version[4].append(encode(mod, 4, 7))
    return by_version


def attack_openflow(target: Target, rng: random.Random, count: int) -> int:
    """Sends messages over many sessions, most of which end in half a message or a wrong length;
    how many sessions lived until then."""
    messages, lived = seeds(), 0
    while count > 0:
        version = rng.choice(VERSIONS)
        n_messages = min(count, rng.randint(1, 60))
        count -= n_messages
        data = [hostile.openflow(rng, messages[version]) for _ in range(n_messages)]
        peer = target.connect("br0.mgmt")
        try:
            if rng.random() < 0.95:
                peer.sendall(hostile.hello(version))
            peer.sendall(b"".join(data) + hostile.echo(version, MARK))
            lived += is_answered(peer, version)
            last = hostile.echo(version, 7)
            peer.sendall(last[:rng.randint(1, 7)] if rng.random() < 0.5
                         else hostile.wrong_length(rng, last))
        except OSError:
            pass                # The switch ended the session, as it may.
        peer.close()
    return lived


def is_answered(peer: socket.socket, version: int) -> bool:
    """Whether an answer to the echo request numbered MARK comes before the session ends."""
    wanted = struct.pack("!BBHI", version, 3, 8, MARK)
    heard = b""
    while wanted not in heard:
        more = peer.recv(1 << 18)
        if not more:
            return False
        heard = heard[-len(wanted):] + more
    return True


def read_some(peer: socket.socket) -> bytes:
    """What the peer has said until now; it may have said nothing."""
    peer.setblocking(False)
    try:
        return peer.recv(1 << 20)
    except BlockingIOError:
        return b""
    finally:
        peer.settimeout(PATIENCE)


@pytest.mark.parametrize(("early", "late"), [
    (3000, 6000), pytest.param(100_000, 1_000_000, marks=pytest.mark.long)])
def test_hostile_openflow_ends_sessions_at_most(target, early, late):
    rng = random.Random(late)
    lived = 0
    if late >= 1_000_000:
        # What is known of actions is bounded, but only so many different ones fill it.
        (target.directory / "actions").write_text("".join(
            f"actions=load:{n}->NXM_NX_REG0[],load:{n}->NXM_NX_REG1[],load:{n}->NXM_NX_REG2[]\n"
            for n in range(20_000)))
        target.check("ovs-ofctl add-flows br0 actions")

    def attack(count: int) -> None:
        nonlocal lived
        lived += attack_openflow(target, rng, count)
        target.check("ovs-ofctl -O OpenFlow13 del-flows br0")

    grows_little(target, attack, early, late)
    assert lived > late / 60            # Most of them.
    target.check("ovs-ofctl add-flow br0 in_port=1,actions=2")
    assert "in_port=1" in target.check("ovs-ofctl dump-flows br0")


def test_half_an_openflow_message_then_silence_holds_nobody_up(target):
    halves = [target.connect("br0.mgmt") for _ in range(40)]
    for number, peer in enumerate(halves):
        peer.sendall(hostile.hello(4) + hostile.echo(4, number)[:number % 8])
    assert "capabilities" in target.check("ovs-ofctl show br0")
    for number, peer in enumerate(halves):
        peer.sendall(hostile.echo(4, number)[number % 8:])
        heard = b""
        while (answer := b"\x04\x03\x00\x08" + struct.pack("!I", number)) not in heard:
            more = peer.recv(4096)
            assert more, heard
            heard += more
        assert answer in heard
        peer.close()
    target.assert_well()


@pytest.mark.parametrize("program", ["ovs-vswitchd", "ovsdb-server"])
def test_hostile_requests_to_the_control_socket(target, program):
    rng = random.Random(11)
    name = f"{program}.{target.switch.pid(program)}.ctl"
    for _ in range(250):
        peer = target.connect(name)
        try:
            for _ in range(rng.randint(1, 5)):
                peer.sendall(hostile.request(rng))
            read_some(peer)
        except OSError:
            pass                # It may have been ended.
        peer.close()
    silent = target.connect(name)
    silent.sendall(b'{"id":1,"method":"ver')
    target.assert_well()
    silent.sendall(b'sion","params":[]}')
    assert b"4.0.90" in silent.recv(4096)
    silent.close()


def test_oversized_and_malformed_json_to_the_database(target):
    for data in (b"[" * 100_000, b'"' + b"x" * 3_000_000, b"{}" * 1000, b"\xff\xfe\0",
                 b'{"method":"transact","id":1,"params":' + b"[" * 5000 + b"]" * 5000 + b"}",
                 b'{"method":"echo","id":2,"params":["' + b"y" * 3_000_000):
        peer = target.connect("db.sock")
        try:
            peer.sendall(data)
        except OSError:
            pass                # It has heard enough.
        peer.close()
    assert "br0" in target.check("ovs-vsctl show")
    target.assert_well()


@pytest.mark.parametrize("setting", [
    "bridge br0 other_config:hwaddr=zz", "bridge br0 other_config:mac-table-size=-7",
    "bridge br0 other_config:datapath-id=xyz", "bridge br0 other_config:mac-aging-time=9" + "9" * 40,
    "open . other_config:flow-limit=x", "open . other_config:n-handler-threads=1e9",
    "interface p1 options:pstream=nonsense", "interface p1 options:pstream=ptcp:99999999",
    "interface p1 options:n_rxq=many", "interface p1 type=nonsense",
    "interface p1 ofport_request=65279", "interface p1 mtu_request=68",
    "port p1 vlan_mode=native-tagged tag=4095", "port p1 other_config:priority-tags=what",
    "bridge br0 protocols=OpenFlow15 fail_mode=standalone", "port p1 trunks=0,1,4095"])
def test_configuration_that_cannot_be_right(target, setting):
    target.run(f"ovs-vsctl --timeout=5 set {setting}")
    target.check("ovs-vsctl --timeout=5 --may-exist add-port br0 fresh -- set interface fresh type=dummy")
    target.assert_well()
