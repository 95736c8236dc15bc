"""Members of a cluster on a model of etcd, under faults drawn from a seed.

Requests are delayed, lost before etcd did them and lost after; watches lag and end; members pause
and are started anew.  Whatever happens: all apply the same log, a proposal that was decided as
committed is in it once, and one that was decided as rejected is not.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

import pytest

from ovsdb_server.storage.cluster_file import Entry
from ovsdb_server.storage.etcd import Keys, Snapshot
from ovsdb_server.storage.etcd_member import (REPLY_TIMEOUT, Apply, Changed, Decided, Fault,
                                              Install, Member, Send, Watch)
from tests.model.etcd import FakeEtcd

SIDS = ("s1", "s2", "s3")
KEYS = Keys("D")
FIRST = "00000000-0000-4000-8000-000000000000"


@dataclass
class Server:
    """A member with what a service keeps for it."""

    sid: str
    member: Member
    log: list[str] = field(default_factory=list)        # Ids of the entries applied.
    proposed: list[str] | None = None
    was_leader: bool = False
    paused_until: float = 0.0
    life: int = 0
    watcher: object = None
    watch_number: int = 0


class World:
    """Etcd, members, and the messages between them in order of time."""

    def __init__(self, seed: int, fault_rate: float) -> None:
        self.rng = Random(seed)
        self.fault_rate = fault_rate
        self.now = 0.0
        self.etcd = FakeEtcd()
        self.events: list = []
        self.n = 0
        self.counter = 0
        self.committed: list[str] = []
        self.rejected: set[str] = set()
        self.doubtful: set[str] = set()
        self.faults: list[str] = []
        self.snapshots = {1: [FIRST]}
        self.etcd.handle("/v3/kv/txn", KEYS.found("cid", "D", Snapshot(1, 1, FIRST, 1)), 0)
        self.servers = {sid: self.start(sid, [], 1) for sid in SIDS}

    def start(self, sid: str, log: list[str], term: int, life: int = 0) -> Server:
        log = log or [FIRST]
        member = Member(KEYS, sid, f"tcp:{sid}", "cid", len(log), term, log[-1],
                        dict.fromkeys(SIDS, "tcp:h:1"), Random(self.rng.random()))
        server = Server(sid, member, list(log), life=life)
        member.start(self.now)
        self.later(0, self.tick, server)
        self.run_effects(server)
        return server

    def later(self, delay: float, function, *args: object) -> None:
        self.n += 1
        heappush(self.events, (self.now + delay, self.n, function, args))

    def run_effects(self, server: Server) -> None:
        for effect in server.member.take_effects():
            match effect:
                case Send(number, path, body):
                    self.send(server, number, path, body)
                case Watch(number, body):
                    server.watcher, server.watch_number = self.etcd.watch(body), number
                case Apply(entries):
                    server.log += [entry.eid for entry in entries]
                case Decided(is_committed):
                    eids, server.proposed = server.proposed, None
                    if is_committed:
                        server.log += eids
                        self.committed += eids
                    elif is_committed is None:
                        self.doubtful |= set(eids)
                    else:
                        self.rejected |= set(eids)
                case Install(snapshot):
                    server.log = list(self.snapshots[snapshot.index])
                    server.member.installed(snapshot, dict.fromkeys(SIDS, "tcp:h:1"), self.now)
                    self.run_effects(server)
                case Fault(text):
                    self.faults.append(text)
                case Changed():
                    self.check_leader(server)

    def check_leader(self, server: Server) -> None:
        if server.member.is_leader:
            others = [other for other in self.servers.values()
                      if other is not server and other.member.is_leader
                      and other.paused_until <= self.now]
            assert not [o for o in others if o.member._leads(self.now)], "two lead"

    def send(self, server: Server, number: int, path: str, body: dict) -> None:
        delay = self.rng.expovariate(1 / 0.01)
        if self.rng.random() < self.fault_rate:
            delay += self.rng.uniform(0, 4)
        fate = self.rng.random()
        life = server.life
        if fate >= self.fault_rate / 2:
            self.later(delay, self.serve, server, life, number, path, body,
                       fate < self.fault_rate)
        self.later(REPLY_TIMEOUT, self.deliver, server, life, "failed", number)

    def serve(self, server: Server, life: int, number: int, path: str, body: dict,
              is_lost: bool) -> None:
        reply = self.etcd.handle(path, body, self.now)
        if not is_lost:
            self.later(self.rng.expovariate(1 / 0.01), self.deliver, server, life, "replied",
                       number, reply)

    def deliver(self, server: Server, life: int, what: str, number: int, reply=None) -> None:
        if self.servers.get(server.sid) is not server or life != server.life:
            return
        if server.paused_until > self.now:
            self.later(server.paused_until - self.now, self.deliver, server, life, what, number,
                       reply)
            return
        if what == "failed":
            server.member.failed(number, False, "timeout", self.now)
        else:
            server.member.replied(number, reply, self.now)
        self.run_effects(server)

    def tick(self, server: Server) -> None:
        """What a service's loop does: time, watches, new proposals."""
        if self.servers.get(server.sid, server) is not server:
            return
        self.later(self.rng.uniform(0.005, 0.05), self.tick, server)
        if server.paused_until > self.now:
            return
        if self.now >= server.member.next_deadline():
            server.member.elapse(self.now)
            self.run_effects(server)
        if server.watcher is not None and self.rng.random() < 0.7:
            self.etcd.expire(self.now)
            events = self.etcd.events(server.watcher)
            if events is not None:
                server.member.watched(server.watch_number, events, self.now)
            elif self.rng.random() < self.fault_rate / 10:
                server.watcher = None
                server.member.watch_failed(server.watch_number, self.now)
            self.run_effects(server)
        if server.member.may_propose and self.rng.random() < 0.5:
            self.propose(server)

    def propose(self, server: Server) -> None:
        eids: list[str] = []
        for _ in range(self.rng.randint(1, 3)):
            self.counter += 1
            eids.append(f"{server.sid[1:]:0>8}-0000-4000-8000-{self.counter:012}")
        server.proposed = eids
        server.member.propose([Entry(0, 0, eid, data={}) for eid in eids], self.now)
        self.run_effects(server)
        if server.member.is_leader and self.rng.random() < 0.05:
            self.trim(server)

    def trim(self, server: Server) -> None:
        """Store a snapshot and forget the log before it, as a leader does."""
        member = server.member
        snapshot = Snapshot(member.index, member.term, member.eid, 1)
        self.snapshots[snapshot.index] = list(server.log)
        self.etcd.handle("/v3/kv/txn", KEYS.finish_snapshot(
            snapshot, member.leader, snapshot.index - self.rng.choice((0, 2, 50))), self.now)

    def disturb(self) -> None:
        server = self.rng.choice(list(self.servers.values()))
        if self.rng.random() < 0.5:
            server.paused_until = self.now + self.rng.uniform(0, 8)
        else:
            # A new life begins with a prefix of the log: what the file held.
            if server.proposed:
                self.doubtful |= set(server.proposed)
            log = server.log[:self.rng.randint(1, len(server.log))]
            self.servers[server.sid] = self.start(server.sid, log, server.member.term,
                                                  server.life + 1)
        self.later(self.rng.uniform(0, 6), self.disturb)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.events and self.events[0][0] <= end:
            self.now, _, function, args = heappop(self.events)
            function(*args)

    def true_log(self) -> list[str]:
        """Read the log as etcd has it, complete by way of the last snapshot."""
        applied, entries, state = 0, [], None
        while state is None or state.is_partial:
            state = KEYS.parse_state(
                self.etcd.handle("/v3/kv/txn", KEYS.read(applied), self.now), applied)
            entries += state.entries
            applied = entries[-1].index if entries else 0
        log = list(self.snapshots[state.snapshot.index])
        for entry in entries:
            if entry.index > state.snapshot.index:
                assert entry.index == len(log) + 1
                log.append(entry.eid)
        return log


@pytest.mark.parametrize("seed", range(15))
def test_all_apply_the_same_log_and_every_proposal_once(seed):
    world = World(seed, fault_rate=(0.0, 0.05, 0.3)[seed % 3])
    world.later(3, world.disturb)
    world.run(60)
    # Calm: everyone catches up, and there is a leader.
    world.fault_rate = 0.0
    world.disturb = lambda: None
    world.run(30)
    for server in world.servers.values():
        server.member._is_stopped = True
    world.run(20)
    log = world.true_log()
    assert not world.faults
    assert len(set(log)) == len(log), "something was done twice"
    assert set(world.committed) <= set(log), "something acknowledged is lost"
    assert not world.rejected & set(log), "something rejected was done"
    order = {eid: n for n, eid in enumerate(log)}
    for sid in SIDS:
        mine = [order[eid] for eid in world.committed if eid.startswith(f"{sid[1:]:0>8}")]
        assert mine == sorted(mine)
        assert world.servers[sid].log == log
    assert len(world.committed) > 100


def test_the_key_of_a_leader_that_is_gone_is_taken_over():
    world = World(7, 0.0)
    world.run(3)
    leader, = (s for s in world.servers.values() if s.member.is_leader)
    leader.paused_until = 1e9
    world.run(8)
    again, = (s for s in world.servers.values()
              if s is not leader and s.member.is_leader)
    assert again.member.term > leader.member.term


def test_a_leader_that_slept_cannot_append_what_it_decided_before():
    world = World(3, 0.0)
    world.run(3)
    leader, = (s for s in world.servers.values() if s.member.is_leader)
    stale = leader.member.head, leader.member.leader
    leader.paused_until = world.now + 10
    world.run(12)
    body = KEYS.append([Entry(9, stale[0].index + 1, FIRST, data={})], *stale)
    assert "succeeded" not in world.etcd.handle("/v3/kv/txn", body, world.now)


def test_who_is_far_behind_takes_the_snapshot():
    world = World(5, 0.0)
    world.run(5)
    sleeper = world.servers["s3"]
    sleeper.paused_until = world.now + 5
    world.run(4)
    leader = next(s for s in world.servers.values() if s.member.is_leader and s is not sleeper)
    world.trim(leader)
    world.servers["s3"] = world.start("s3", [FIRST], 1, 1)
    world.run(3)
    assert world.servers["s3"].log[:40] == leader.log[:40]
    assert not world.faults
