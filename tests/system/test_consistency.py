"""After a barrier reply no frame is forwarded by older rules, and a bundle is one change.

    h1 -- p1 [br0] p2 -- h2

h1 numbers its frames and is the controller as well, so that it knows which number was the next when
a reply came. The rules write into each frame by which change they came; h2 writes down what it
gets.
"""

import json
from bisect import bisect_left

import pytest

from vswitchd.openflow import messages
from vswitchd.openflow.action_types import Group, Output, SetField
from vswitchd.openflow.bundles import CLOSE, COMMIT, OPEN
from vswitchd.openflow.match import Match
from vswitchd.openflow.messages.bundle import BundleAdd, BundleControl
from vswitchd.openflow.messages.flow import FlowMod
from vswitchd.openflow.messages.session import BarrierRequest

pytestmark = pytest.mark.system
OF14 = 5
ETH_TYPE = 0x88b5
ROUNDS = 100
MAC = (1 << 48) - 1

# Makes changes, each some messages of which the last one is answered; prints for each the number
# of the last frame whose sending had begun when the answer came.
_SENDER = """
import json, socket, struct, sys, threading, time
changes = [bytes.fromhex(text) for text in json.load(open(sys.argv[2]))]
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
frames.bind(("eth0", 0))
head = bytes.fromhex("020000000000" "020000000000" "88b5")
number, is_done = 0, False
def send():
    global number
    while not is_done:
        number += 1
        frames.send(head + struct.pack("!Q", number) + bytes(40))
sys.setswitchinterval(1e-4)
control = socket.socket(socket.AF_UNIX)
control.connect(sys.argv[1])
stream = control.makefile("rb")
def read():
    header = stream.read(8)
    version, kind, length, xid = struct.unpack("!BBHI", header)
    return kind, xid, stream.read(length - 8)
control.sendall(struct.pack("!BBHI", 5, 0, 8, 0))
read()
thread = threading.Thread(target=send)
thread.start()
settled = []
for change in changes:
    time.sleep(0.01)
    last = struct.unpack("!I", change[-4:])[0]      # the xid that ends it
    control.sendall(change[:-4])
    while True:
        kind, xid, body = read()
        assert kind != 1, body
        if xid == last:
            break
    settled.append(number)
time.sleep(0.05)
is_done = True
thread.join()
print(json.dumps(settled), flush=True)
"""

_RECEIVER = """
import json, socket, struct, sys
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
frames.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)          # SO_RCVBUFFORCE
frames.bind(("eth0", 0))
frames.settimeout(0.5)
print("ready", flush=True)
seen = []
while True:
    try:
        frame = frames.recv(2000)
    except TimeoutError:
        if seen:
            break
        continue
    if frame[12:14] == b"\\x88\\xb5":
        number, = struct.unpack("!Q", frame[14:22])
        seen.append((number, *(int.from_bytes(frame[at:at + 2], "big") for at in (4, 10))))
print(json.dumps(seen), flush=True)
"""


def add(table: int, actions: tuple, xid: int) -> bytes:
    """A flow_mod for the numbered frames of p1."""
    match = Match.of(in_port=1, eth_type=ETH_TYPE) if table == 0 else Match.of(eth_type=ETH_TYPE)
    return messages.encode(FlowMod("add", match, 10, actions, table), OF14, xid)


def ended_by(xid: int, *parts: bytes) -> str:
    """A change as the sender reads it."""
    return (b"".join(parts) + xid.to_bytes(4, "big")).hex()


@pytest.fixture
def play(suite, make_host, tmp_path):
    """Makes changes; returns (number of the last frame before each was settled, what h2 saw: rows
    of a frame's number, and the change in its destination and in its source)."""
    first, second = hosts = make_host(), make_host()
    suite.add_bridge("br0", "protocols=[OpenFlow14]", "fail_mode=secure")
    for number, host in enumerate(hosts, 1):
        suite.wire(host, f"p{number}", "br0", "", "eth0", "--", "set", "interface", f"p{number}",
                   f"ofport_request={number}")

    def run(changes: list[str]):
        receiver = second.python(_RECEIVER)
        assert receiver.stdout.readline() == "ready\n"
        file = tmp_path / "changes.json"
        file.write_text(json.dumps(changes))
        sender = first.python(_SENDER, str(suite.directory / "br0.mgmt"), str(file))
        settled = json.loads(sender.stdout.readline())
        return settled, json.loads(receiver.stdout.readline())

    return run


def check(settled: list[int], seen: list[list[int]]) -> None:
    """No frame that was sent after an answer came by an older change."""
    assert len(seen) > 1000 and len({row[1] for row in seen}) > ROUNDS // 2
    for number, change, _ in seen:
        least = bisect_left(settled, number)        # so many were settled when it was sent
        assert change >= least, (number, change, least)


def test_after_a_barrier_no_frame_meets_the_old_rule(play):
    changes = []
    for turn in range(1, ROUNDS + 1):
        rule = add(0, (SetField("eth_dst", turn, MAC), Output(2)), 7)
        xid = 100 + turn
        changes.append(ended_by(
            xid, rule, messages.encode(BarrierRequest(), OF14, xid)))
    check(*play(changes))


def test_no_frame_meets_half_a_bundle(play, suite):
    """Both tables, on either side of a recirculation, are changed at once."""
    suite.ofctl("-O", "OpenFlow14", "add-group", "br0",
                "group_id=1,type=select,selection_method=dp_hash,bucket=resubmit(,1)")
    changes = []
    for turn in range(1, ROUNDS + 1):
        xid = turn * 100
        rules = [add(0, (SetField("eth_src", turn, MAC), Group(1)), xid),
                 add(1, (SetField("eth_dst", turn, MAC), Output(2)), xid + 1)]
        changes.append(ended_by(
            xid + 4, messages.encode(BundleControl(5, OPEN, 3), OF14, xid + 2),
            *(messages.encode(BundleAdd(5, 3, rule), OF14, xid + index)
              for index, rule in enumerate(rules)),
            messages.encode(BundleControl(5, CLOSE, 3), OF14, xid + 3),
            messages.encode(BundleControl(5, COMMIT, 3), OF14, xid + 4)))
    settled, seen = play(changes)
    assert not [row for row in seen if row[1] != row[2]]
    check(settled, seen)
