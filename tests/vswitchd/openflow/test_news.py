"""What connections are told without asking: limits of queues and rates, slow readers of monitors."""

from types import SimpleNamespace

from tests.vswitchd.openflow.machines import Wire
from vswitchd.config.desired import Controller
from vswitchd.openflow.messages.monitor import FlowUpdate
from vswitchd.openflow.messages.session import EchoRequest
from vswitchd.openflow.monitors import ABBREVIATED, Watcher
from vswitchd.openflow.news import News

QUEUE = 5


class Clock:
    """Time by hand."""

    def __init__(self) -> None:
        self.now = 100.0


class Frames:
    """A service whose packet-ins are echo requests, as any version has them."""

    codec = None
    bridge = SimpleNamespace(desired=SimpleNamespace(packet_in_queue=QUEUE))

    def packet_in(self, session, upcall):
        return EchoRequest(upcall)


def scene(*wires: Wire) -> tuple[News, Clock]:
    clock = Clock()
    return News(Frames(), [wire.connection for wire in wires], lambda: clock.now), clock


def test_frames_that_a_slow_reader_has_no_room_for_are_lost_for_it_alone():
    slow, other = Wire().agree(4), Wire().agree(4)
    slow.room = 0
    news, _ = scene(slow, other)
    for n in range(QUEUE + 3):
        news.packet_in(bytes([n]))
    assert len(slow.connection.outbox) == QUEUE
    assert [slow.connection.outbox.take()[8:] for _ in range(QUEUE)] == [
        bytes([n]) for n in range(QUEUE)]
    assert len(other.heard()) == QUEUE + 3


def test_a_limit_of_the_rate_holds_frames_back_and_releases_them_in_time():
    wire = Wire(controller=Controller("tcp:h:1", rate_limit=4, burst_limit=2)).agree(4)
    wire.connection.follow_limits()
    news, clock = scene(wire)
    for n in range(10):
        news.packet_in(bytes([n]))
    told = [len(wire.heard())]
    for _ in range(4):
        clock.now += 0.25
        news.release_packets()
        told.append(len(wire.heard()))
    assert told == [2, 1, 1, 0, 0]              # two at once, two that may wait, the rest is lost
    assert wire.connection.pace.n_dropped == 6


def test_monitors_of_a_slow_reader_pause_and_go_on_when_it_has_read_all():
    wire = Wire().agree(6)
    wire.connection.session.watcher = watcher = Watcher()
    wire.room = 0
    news, _ = scene(wire)
    rounds = 0
    while not watcher.is_paused:
        watcher.updates = [FlowUpdate(ABBREVIATED, n) for n in range(5000)]
        news.flush_monitors()
        rounds += 1
    outbox = wire.connection.outbox
    assert rounds == 4 and outbox.n_watched > 128 * 1024     # 5000 updates are 40 kB
    messages = []
    while (data := outbox.take()) is not None:
        messages.append(data)
        if outbox.note_written(data):
            assert not len(outbox)
            wire.room = 1 << 20
            news.resume_monitors(wire.connection)
    assert not watcher.is_paused
    assert messages[-1][16:20] == b"\0\x08\0\5"              # paused
    assert wire.sent[16:20] == b"\0\x08\0\6"                 # resumed
