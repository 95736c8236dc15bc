"""A member of a cluster that meets on etcd: the machine that follows and extends the log.

It holds what this server knows of the keys of `etcd.Keys` and decides what to ask of etcd next.
It never raises on what etcd answers, reads no clock and sends nothing: `take_effects` gives

    Send(number, path, body)    ask etcd; report with `replied` or `failed`
    Watch(number, body)         watch from now on (instead of before); `watched`, `watch_failed`
    Apply(entries)              the log goes on with these, of other servers
    Install(snapshot)           the log does not reach back far enough: fetch the snapshot, then
                                call `installed`
    Decided(is_committed)       what became of the last `propose`, before any Apply of entries
                                that follow it; None: it cannot be told any more.  With a
                                `refusal` etcd will not take it, whenever it is tried
    Changed()                   leader, connection or members are others now
    Fault(text)                 this cannot go on

One proposal is under way at a time.  Whether it was committed is decided by the log alone: an
append that etcd confirms or that is seen in the log is; when another entry stands in its place, it
is not; when no answer came, the head is moved (`Keys.fence`) until an answer tells which.
So nothing that a client was told of is lost, and nothing is done twice.

The leader is who holds the key `leader`, bound to a lease; a member believes in its own lease only
for `ttl` seconds after it asked for the last extension that was granted.

    follower --(no leader, all applied)--> candidate --(key is ours)--> leader
    leader --(lease or key gone)--> follower

Owner: service/cluster/member.py, one task.  `now` is monotonic seconds.
"""

import math
from dataclasses import dataclass
from random import Random

from .cluster_file import Entry
from .etcd import (KV_TXN, LEASE_GRANT, LEASE_KEEPALIVE, LEASE_REVOKE, Head, Keys, Leader, News,
                   Snapshot, State, grant, keep_alive)

# How long etcd keeps a lease, in seconds; it does not do with less.
LEASE_TTL = 3

RETRY_INTERVAL = 0.3

# How long an answer may take before its request counts as failed.
REPLY_TIMEOUT = 2.0

# Who campaigns waits up to so long, lest all come at once.
_CAMPAIGN_DELAY = 0.15


@dataclass(frozen=True, slots=True)
class Send:
    number: int
    path: str
    body: dict


@dataclass(frozen=True, slots=True)
class Watch:
    number: int
    body: dict


@dataclass(frozen=True, slots=True)
class Apply:
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Install:
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Decided:
    is_committed: bool | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    pass


@dataclass(frozen=True, slots=True)
class Fault:
    text: str


Effect = Send | Watch | Apply | Install | Decided | Changed | Fault

def describe(effect: Effect) -> str:
    """Return an effect in a few words, for logs."""
    match effect:
        case Send(number, path, body):
            what = "".join(sorted(set(body) - {"compare", "success", "failure"}))
            return f"send {number} {path} {what}"
        case Apply(entries):
            return f"apply {entries[0].index}..{entries[-1].index}"
        case Watch(number, _):
            return f"watch {number}"
    return str(effect)


# What a request was for; at most one of each kind is under way.
_LEASE, _RENEW, _ANNOUNCE, _READ, _APPEND, _FENCE, _CAMPAIGN, _CLEAR, _OTHER = (
    "lease", "renew", "announce", "read", "append", "fence", "campaign", "clear", "other")


class Member:
    """The machine of one member.

    Args: `keys` of the database; `sid` and `address` of this server; `cid` of the cluster; the
    last entry that this server has applied (`index`, `term`, `eid`) and the `servers` known then.
    """

    def __init__(self, keys: Keys, sid: str, address: str, cid: str, index: int, term: int,
                 eid: str, servers: dict[str, str], rng: Random) -> None:
        self.keys = keys
        self.sid = sid
        self.address = address
        self.cid = cid
        self.index = index
        self.term = term
        self.eid = eid
        self.servers = dict(servers)
        self.live: set[str] = set()
        self.leader: Leader | None = None
        self.head: Head | None = None
        self.snapshot: Snapshot | None = None
        self.revision = 0
        self.has_joined = False         # Has it ever been up to date since it started?
        self._rng = rng
        self._effects: list[Effect] = []
        self._number = 0
        self._pending: dict[str, tuple[int, float]] = {}        # kind: (number, asked at)
        self._kinds: dict[int, str] = {}
        self._retry_at: dict[str, float] = {}
        self._lease = 0
        self._lease_until = -math.inf
        self._renew_at = math.inf
        self._is_announced = False
        self._is_watching = False
        self._watch_number = 0
        self._is_installing = False
        self._campaign_at = math.inf
        self._proposal: list[Entry] | None = None
        self._base: Head | None = None
        self.leader_sid: str | None = None
        self.is_connected = False       # Does etcd answer, and is all of its log applied?
        self._is_stopped = False

    # What others ask.

    @property
    def is_leader(self) -> bool:
        """Does this server lead, as far as it can know?"""
        return self.is_connected and self.leader_sid == self.sid

    @property
    def may_propose(self) -> bool:
        """Can `propose` be called?"""
        return (self._proposal is None and self.head is not None and not self._is_stopped
                and _APPEND not in self._retry_at)

    def summary(self) -> str:
        """Return the state in a few words, for logs."""
        head = "?" if self.head is None else f"{self.head.index}@{self.head.revision}"
        return (f"applied {self.index} head {head} revision {self.revision} leader "
                f"{self.leader and self.leader.sid[:4]} lease {self._lease} "
                f"{'connected' if self.is_connected else 'disconnected'} "
                f"pending {' '.join(self._pending)} retry {' '.join(self._retry_at)}"
                f"{' proposed' if self._proposal else ''}{' watching' if self._is_watching else ''}"
                f"{' installing' if self._is_installing else ''}")

    # What happens.

    def start(self, now: float) -> None:
        self._ask_lease(now)
        self._ask_read(now)

    def propose(self, entries: list[Entry], now: float) -> list[Entry]:
        """Append entries, whose term and index are filled in here; return them so.

        Only when `may_propose`.  `Decided` follows.
        """
        assert self.may_propose and entries
        leader = self.leader if self._leads(now) else None
        term = max(self.term, leader.term if leader else self.term)
        self._proposal = [entry._replace(index=self.index + n, term=term)
                          for n, entry in enumerate(entries, 1)]
        self._base = self.head
        self._ask(_APPEND, KV_TXN, self.keys.append(self._proposal, self.head, leader), now)
        return self._proposal

    def resign(self, now: float) -> None:
        """Stop: give leadership and lease up, so that others need not wait for its end."""
        self._is_stopped = True
        if self._lease:
            self._ask(_OTHER, LEASE_REVOKE, keep_alive(self._lease), now)

    def installed(self, snapshot: Snapshot, servers: dict[str, str], now: float) -> None:
        """The database is now that of `snapshot`."""
        self._is_installing = False
        self.index, self.term, self.eid = snapshot.index, snapshot.term, snapshot.eid
        self.servers = dict(servers)
        self._ask_read(now)

    def install_failed(self, now: float) -> None:
        """The snapshot could not be fetched: perhaps there is a newer one."""
        self._is_installing = False
        self._retry_at[_READ] = now + RETRY_INTERVAL

    def replied(self, number: int, body: dict, now: float) -> None:
        """etcd answered request `number`."""
        kind, asked_at = self._close(number)
        if kind is None:
            return
        handler = {
            _LEASE: self._on_lease, _RENEW: self._on_renewed, _READ: self._on_read,
            _APPEND: self._on_append, _FENCE: self._on_fence, _CAMPAIGN: self._on_campaign,
            _CLEAR: self._on_read_needed, _ANNOUNCE: self._on_announced,
        }.get(kind)
        if handler is not None:
            handler(body, asked_at, now)
        self._go_on(now)

    def failed(self, number: int, is_refused: bool, text: str, now: float) -> None:
        """Request `number` failed; `is_refused`: etcd did and will do nothing of it.

        `text` is etcd's reason if there is no use in another attempt, else "".
        """
        kind, _ = self._close(number)
        if kind is None:
            return
        if kind == _APPEND:
            if is_refused:
                self._decide(False, text)
                self._retry_at[_APPEND] = now + RETRY_INTERVAL
            else:
                self._retry_at[_FENCE] = now
        elif kind == _RENEW:
            if is_refused:
                self._lose_lease()
                self._retry_at[_LEASE] = now
            else:
                self._renew_at = now + RETRY_INTERVAL
        elif kind == _CAMPAIGN:
            self._retry_at[_READ] = now + RETRY_INTERVAL
        else:
            self._retry_at[kind] = now + RETRY_INTERVAL
        self._go_on(now)

    def watched(self, number: int, body: dict, now: float) -> None:
        """An answer of watch `number`."""
        if number != self._watch_number or not self._is_watching:
            return
        if body.get("canceled") or int(body.get("compact_revision", 0)):
            self.watch_failed(number, now)
            return
        events = body.get("events")
        if events:
            self._learn_news(self.keys.parse_events(events, self.index), now)
        self._go_on(now)

    def watch_failed(self, number: int, now: float) -> None:
        """Watch `number` has ended: everything is read again."""
        if number != self._watch_number:
            return
        self._is_watching = False
        self._retry_at.setdefault(_READ, now + RETRY_INTERVAL)
        self._go_on(now)

    def next_deadline(self) -> float:
        """Return when `elapse` has something to do; math.inf for never."""
        times = [self._campaign_at, *self._retry_at.values()]
        if _RENEW not in self._pending:
            times.append(self._renew_at)
        if self.is_connected:
            times.append(self._lease_until)
        return min(times)

    def elapse(self, now: float) -> None:
        """Do what is due."""
        for kind, at in list(self._retry_at.items()):
            if now >= at:
                self._retry_at.pop(kind, None)
                self._again(kind, now)
        if self._lease and now >= self._renew_at and _RENEW not in self._pending:
            self._renew_at = math.inf
            self._ask(_RENEW, LEASE_KEEPALIVE, keep_alive(self._lease), now)
        if now >= self._campaign_at:
            self._campaign_at = math.inf
            self._campaign(now)
        self._go_on(now)

    def take_effects(self) -> list[Effect]:
        """Return what is to be done, in this order; each once."""
        effects, self._effects = self._effects, []
        return effects

    # Requests.

    def _ask(self, kind: str, path: str, body: dict, now: float) -> None:
        self._number += 1
        self._pending[kind] = self._number, now
        self._kinds[self._number] = kind
        self._effects.append(Send(self._number, path, body))

    def _close(self, number: int) -> tuple[str | None, float]:
        """Take a request off the list; kind None for one that does not matter any more."""
        kind = self._kinds.pop(number, None)
        if kind is None or self._pending.get(kind, (0,))[0] != number:
            return None, 0.0
        return kind, self._pending.pop(kind)[1]

    def _again(self, kind: str, now: float) -> None:
        match kind:
            case "lease":
                self._ask_lease(now)
            case "announce":
                self._announce(now)
            case "read":
                self._ask_read(now)
            case "fence":
                self._fence(now)
            case "clear":
                self._ask_read(now)

    def _ask_lease(self, now: float) -> None:
        if _LEASE not in self._pending and not self._is_stopped:
            self._ask(_LEASE, LEASE_GRANT, grant(LEASE_TTL), now)

    def _ask_read(self, now: float) -> None:
        if _READ not in self._pending and not self._is_installing:
            self._retry_at.pop(_READ, None)
            self._ask(_READ, KV_TXN, self.keys.read(self.index), now)

    def _on_read_needed(self, _body: dict, _asked_at: float, now: float) -> None:
        self._ask_read(now)

    # The lease.

    def _on_lease(self, body: dict, asked_at: float, now: float) -> None:
        self._lease = int(body["ID"])
        self._lease_until = asked_at + LEASE_TTL
        self._renew_at = now + LEASE_TTL / 4
        self._is_announced = False
        self._announce(now)

    def _on_renewed(self, body: dict, asked_at: float, now: float) -> None:
        if int(body.get("result", body).get("TTL", 0)) <= 0:
            self._lose_lease()
            self._ask_lease(now)
            return
        self._lease_until = asked_at + LEASE_TTL
        self._renew_at = now + LEASE_TTL / 4
        if not self._is_announced:
            self._announce(now)

    def _lose_lease(self) -> None:
        self._lease = 0
        self._lease_until = -math.inf
        self._renew_at = math.inf

    def _announce(self, now: float) -> None:
        if self._lease and _ANNOUNCE not in self._pending and self.has_joined:
            self._ask(_ANNOUNCE, KV_TXN, self.keys.announce(self.sid, self._lease), now)

    def _on_announced(self, _body: dict, _asked_at: float, _now: float) -> None:
        self._is_announced = True

    # Leadership.

    def _leads(self, now: float) -> bool:
        return (self.leader is not None and self.leader.sid == self.sid and self._lease != 0
                and self.leader.lease == self._lease and now < self._lease_until)

    def _campaign(self, now: float) -> None:
        if (self.leader is None and self._lease and now < self._lease_until
                and self._is_watching and self.head is not None
                and _CAMPAIGN not in self._pending):
            self._ask(_CAMPAIGN, KV_TXN, self.keys.campaign(
                self.sid, self.term + 1, self.address, self._lease, self.index), now)

    def _on_campaign(self, body: dict, _asked_at: float, now: float) -> None:
        if body.get("succeeded"):
            revision = int(body["header"]["revision"])
            self.term += 1
            self.leader = Leader(self.sid, self.term, self.address, revision, self._lease)
        else:
            self._learn(self.keys.parse_state(body, self.index), now)

    # The log.

    def _on_read(self, body: dict, _asked_at: float, now: float) -> None:
        self._learn(self.keys.parse_state(body, self.index), now)

    def _learn(self, state: State, now: float) -> None:
        """Take in what one read tells of everything."""
        if state.revision < self.revision or (
                self.head is not None and state.head is not None
                and state.head.revision < self.head.revision):
            # Older than what is known: a slow reply.
            if self.head is None or not self._is_watching:
                self._ask_read(now)
            return
        if state.head is None:
            if self.has_joined:
                self._effects.append(Fault("the database is not in etcd any more"))
            else:               # Its first server is about to put it there.
                self._retry_at[_READ] = now + RETRY_INTERVAL
            return
        if self.cid and state.cid != self.cid:
            self._effects.append(Fault(f"etcd holds another cluster's database (cluster id "
                                       f"{state.cid}, not {self.cid})"))
            return
        if state.head.index < self.index:
            self._effects.append(Fault(f"etcd has lost entries of the log: the last there is "
                                       f"{state.head.index}, here {self.index}"))
            return
        self.cid = state.cid
        self.revision = state.revision
        self.snapshot = state.snapshot
        self.leader = state.leader
        self.live = set(state.live)
        if not self._advance(state.entries):
            self.head = None
            if state.snapshot.index > self.index:
                self._install(state.snapshot)
            else:
                self._effects.append(Fault(f"entry {self.index + 1} is missing in etcd"))
            return
        if state.is_partial:
            self.head = None
            if state.entries or state.snapshot.index <= self.index:
                self._ask_read(now)     # More; or more was applied since this was asked for.
            else:
                self._install(state.snapshot)
            return
        self.head = state.head
        self.term = max(self.term, state.term)
        self._settle()
        if not self.has_joined:
            self.has_joined = True
            self._announce(now)
        if not self._is_watching:
            self._is_watching = True
            self._number += 1
            self._watch_number = self._number
            self._effects.append(Watch(self._number, self.keys.watch(state.revision + 1)))

    def _learn_news(self, news: News, now: float) -> None:
        """Take in what a watch tells of what changed."""
        state = news.state
        if not self._advance(state.entries):
            # The log was trimmed as far as this before the news came; a read tells more.
            self.head = None
            self._ask_read(now)
            return
        if state.revision <= self.revision:
            return                      # Of an earlier time than the last read.
        self.revision = state.revision
        if state.head is not None and (self.head is None
                                       or state.head.revision > self.head.revision):
            if state.head.index != self.index:
                # An entry is missing; a reread tells.
                self.head = None
                self._ask_read(now)
                return
            self.head = state.head
            self._settle()
        known = self.leader.revision if self.leader is not None else 0
        if state.leader is not None and state.leader.revision >= known:
            self.leader = state.leader
            self.term = max(self.term, state.leader.term)
        elif news.leader_gone > known:
            self.leader = None
        if state.snapshot is not None:
            self.snapshot = state.snapshot
        self.live |= state.live
        self.live -= set(news.live_gone)

    def _advance(self, entries: list[Entry]) -> bool:
        """Apply entries that follow; False when one between is missing."""
        fresh = [entry for entry in entries if entry.index > self.index]
        if not fresh:
            return True
        if fresh[0].index != self.index + 1:
            return False
        if self._proposal is not None and fresh[0].eid == self._proposal[0].eid:
            n = len(self._proposal)
            self._note_applied(self._proposal)
            self._decide(True)
            fresh = fresh[n:]
        elif self._proposal is not None:
            self._decide(False)
        if fresh:
            self._note_applied(fresh)
            self._effects.append(Apply(fresh))
        return True

    def _note_applied(self, entries: list[Entry]) -> None:
        last = entries[-1]
        self.index, self.eid = last.index, last.eid or self.eid
        self.term = max(self.term, last.term)
        for entry in entries:
            if entry.servers is not None:
                self.servers = dict(entry.servers)

    def _install(self, snapshot: Snapshot) -> None:
        self._is_installing = True
        self.head = None
        # Whether what was proposed is in the snapshot cannot be told.
        self._decide(None)
        self._effects.append(Install(snapshot))

    # Proposals.

    def _on_append(self, body: dict, _asked_at: float, now: float) -> None:
        if body.get("succeeded") and self._proposal is not None:
            revision = int(body["header"]["revision"])
            last = self._proposal[-1]
            self._note_applied(self._proposal)
            self.head = Head(last.index, last.term, last.eid, revision)
            self._decide(True)
        elif not body.get("succeeded"):
            self._learn(self.keys.parse_state(body, self.index), now)
            self._settle()

    def _fence(self, now: float) -> None:
        if self._proposal is not None and _FENCE not in self._pending:
            self._ask(_FENCE, KV_TXN, self.keys.fence(self._base), now)

    def _on_fence(self, body: dict, _asked_at: float, now: float) -> None:
        if self._proposal is None:
            return
        if body.get("succeeded"):
            self.head = self._base._replace(revision=int(body["header"]["revision"]))
            self._decide(False)
        else:
            self._learn(self.keys.parse_state(body, self.index), now)
            self._settle()

    def _settle(self) -> None:
        """Give a proposal up whose place the log has passed or whose head has moved."""
        if (self._proposal is not None and self.head is not None
                and self.head.revision != self._base.revision):
            self._decide(False)
        elif (self._proposal is not None and self.head is not None
              and _APPEND not in self._pending and _FENCE not in self._pending
              and _FENCE not in self._retry_at):
            self._decide(False)

    def _decide(self, is_committed: bool | None, refusal: str = "") -> None:
        if self._proposal is not None:
            self._proposal = self._base = None
            self._pending.pop(_APPEND, None)
            self._pending.pop(_FENCE, None)
            self._retry_at.pop(_FENCE, None)
            self._effects.append(Decided(is_committed, refusal))

    # Afterwards.

    def _go_on(self, now: float) -> None:
        """Do what follows from what was learnt."""
        is_connected = self.has_joined and now < self._lease_until
        leader = self.leader
        if leader is not None and leader.sid == self.sid and leader.lease != self._lease:
            # The key of an earlier life of this server.
            if is_connected and _CLEAR not in self._pending:
                self._ask(_CLEAR, KV_TXN, self.keys.resign(leader), now)
        elif (leader is None and is_connected and self.sid in self.servers
              and not self._is_stopped and self._campaign_at == math.inf
              and _CAMPAIGN not in self._pending):
            self._campaign_at = now + self._rng.uniform(0, _CAMPAIGN_DELAY)
        sid = leader.sid if leader is not None and (
            leader.sid != self.sid or self._leads(now)) else None
        if (sid, is_connected) != (self.leader_sid, self.is_connected):
            self.leader_sid, self.is_connected = sid, is_connected
            self._effects.append(Changed())
