"""A server's part in a cluster of several: the database, its file, etcd and the machine joined up.

A `ClusterMember` gets to etcd by way of its `Meeting`, runs the machine `storage.etcd_member`, asks
etcd what it wants asked, commits to the engine's database and to this server's file what the log
says, and puts what clients want to write into the log by way of a `Proposer`.  Followers decide
transactions like the leader and append them under the same comparisons, so that each server can be
written at; an answer goes out when this server has applied the transaction.  The leader also stores
snapshots and trims the log.

What takes long, to decide a large transaction and to apply one, runs in slices.  What the machine
tells of the log meanwhile waits until it is over, in its order; a decision is given up for it and
made anew.  Nothing is proposed until all of the log that is known is applied.

What etcd has confirmed is durable; this server's file is there to start from.

Trio thread only.
"""

import time
from collections import deque
from collections.abc import Callable
from random import Random

import trio

from ovsdb_server import vlog
from ovsdb_server.engine.atom import random_uuid
from ovsdb_server.engine.database import Database, Execution, convert
from ovsdb_server.engine.ephemeral import refuse_ephemeral
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.history import History, delta_atoms
from ovsdb_server.engine.pace import Paced, at_once
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service.cluster import snapshots
from ovsdb_server.service.cluster.client import EtcdError
from ovsdb_server.service.cluster.joining import remove_member
from ovsdb_server.service.cluster.meeting import Meeting
from ovsdb_server.service.cluster.proposer import Decision, Proposer, Request
from ovsdb_server.service.cluster.supervisor import NoEtcd
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.service.large import MANY_CHANGES, is_large
from ovsdb_server.service.membership import (CANDIDATE, FOLLOWER, JOINING, LEADER, LEFT, MEMBER,
                                             TIMER_CHANGING, TIMER_UNCHANGED, ClusterError,
                                             Membership, Peer, Status, check_new_timer)
from ovsdb_server.service.slices import Slices
from ovsdb_server.storage.cluster_file import Entry, nickname, short
from ovsdb_server.storage.cluster_log import ClusterLog
from ovsdb_server.storage.etcd import KV_COMPACT, KV_TXN, Keys, compact
from ovsdb_server.storage.etcd import Snapshot as StoredSnapshot
from ovsdb_server.storage.etcd_member import (REPLY_TIMEOUT, Apply, Changed, Decided, Effect,
                                              Fault, Install, Member, Send, Watch, describe)
from ovsdb_server.storage.replay import Replay, TransactionText, encode_rows, read_members

_log = vlog.module("raft")
_LIMIT = vlog.RateLimit(5, 5)

# A snapshot is stored when the log has this many entries, or is this big and twice as big as it.
_SNAPSHOT_ENTRIES = 5000
_SNAPSHOT_SIZE = 10 << 20

# So many entries stay in the log behind a snapshot, for those who are a little late: of many small
# ones, and of big ones.
_KEPT_ENTRIES = 1000
_KEPT_BIG_ENTRIES = 100

# Kicked servers have so long to read of it before etcd forgets them.
_FAREWELL = 1.0

# Words of etcd's errors after which there is no use in another attempt.
_FINAL = ("too large", "larger than max", "space exceeded")

FAILED = "failed"


class _Proposal:
    """An entry that is not a client's: made anew by `make` until it stands in the log."""

    def __init__(self, make: Callable[[], Entry | None]) -> None:
        self.make = make
        self.done = trio.Event()
        self.error: OvsdbError | None = None


class _Work:
    """Something long: `finish(result)` follows `call(paced)`.

    `request`: it is the decision of this transaction, which may be given up.
    """

    def __init__(self, call: Callable[[Paced], object], finish: Callable[[object], None],
                 request: Request | None = None) -> None:
        self.slices = Slices(call)
        self.finish = finish
        self.request = request


class ClusterMember(Membership):
    """One database's membership; `hosted.storage` is its `log`.

    `state` is one of the words of cluster/status; `reason` says why it is not another; `machine`
    is None until it runs.
    """

    def __init__(self, hosted: HostedDatabase, log: ClusterLog) -> None:
        header = log.header
        super().__init__(header.name, header.cluster_id, header.server_id, header.local_address)
        self.hosted = hosted
        self.log = log
        self.server = None
        self.keys = Keys(header.name)
        self.machine: Member | None = None
        self.state = MEMBER if self.sid in log.servers else JOINING
        self.reason = ""
        self.has_schema = not header.is_joining
        self.index = None if header.is_joining else log.index
        self._remotes = header.remotes
        self._rng = Random()
        self._proposer: Proposer | None = None
        self._meeting: Meeting | None = None
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._woken = trio.Event()
        self._watch_scope = trio.CancelScope()
        self._entries: list[Entry] = []
        self._own: list[_Proposal] = []
        self._own_under_way: _Proposal | None = None
        self._is_stepping = False
        self._work: _Work | None = None
        self._backlog: deque[Effect] = deque()
        self._is_held_back = False      # Is more true by now than was told?
        self._is_file_behind = False
        self._is_storing = False
        self._is_timer_changing = False
        self._log_size = 0
        self._snapshot_size = 0
        self._n_disconnections = 0
        self._won_at: float | None = None
        self._requester = None

    # Life.

    async def serve(self, server, is_alone: bool = False) -> None:
        """Take part until cancelled; `is_alone`: once another server has asked to join."""
        self.server = server
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    meeting = self._meeting = Meeting(server, self.hosted, self.log, nursery,
                                                      self._note_left)
                    try:
                        if is_alone:
                            await meeting.wait_alone(self._grow)
                        await meeting.reach()
                        await self._run()
                    finally:
                        await self._resign()
            except* NoEtcd as group:
                self._fail(str(group.exceptions[0]))
            finally:
                self._nursery = None
                with trio.CancelScope(shield=True):
                    await self._meeting.close()

    async def _resign(self) -> None:
        """Give leadership up while etcd still runs, so that others need not wait for it."""
        if self._meeting.client is not None and self.machine is not None:
            self.machine.resign(trio.current_time())
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 0.5):
                for effect in self.machine.take_effects():
                    if isinstance(effect, Send):
                        try:
                            await self._meeting.client.call(effect.path, effect.body)
                        except EtcdError:
                            pass        # The lease ends by itself.
        if self._meeting.etcd is not None:
            self._meeting.etcd.release()

    def close(self) -> None:
        """Stop taking part."""
        self._scope.cancel()

    def _fail(self, reason: str) -> None:
        self.state, self.reason = FAILED, reason
        _log.err(f"{self.name}: {reason}", _LIMIT)
        self._publish()

    def _publish(self) -> None:
        """Tell the server what is the case now."""
        machine = self.machine
        self.cid = self.log.header.cluster_id
        self.index = self.log.index if self.has_schema else None
        is_connected = (machine is not None and machine.is_connected
                        and self.state == MEMBER)
        is_leader = is_connected and machine.is_leader
        if self._backlog or self._work is not None and self._work.request is None:
            # Who is behind with what the log says does not become more than it was.
            told = is_connected and self.is_connected, is_leader and self.is_leader
            self._is_held_back = told != (is_connected, is_leader)
            is_connected, is_leader = told
        else:
            self._is_held_back = False
        self.is_connected = is_connected
        if is_leader and not self.is_leader:
            self._won_at = trio.current_time()
        self.is_leader = is_leader
        self.server.note_cluster(self.hosted)

    # From one server to several.

    async def _grow(self) -> None:
        """Put this only server's database into etcd; transactions that write wait meanwhile."""
        before = self.hosted.cluster
        self.take_over()
        self.hosted.cluster = self
        if not await self._meeting.start_first():
            self._hand_back(before)

    def take_over(self) -> None:
        """From now on transactions of this database go by way of the log in etcd."""
        self.hosted.settle()
        self._proposer = Proposer(self.hosted.database, self._kick, random_uuid,
                                  lambda: int(time.time() * 1000), is_large)
        self._proposer.take_over(self.hosted.triggers)
        self.hosted.triggers = self._proposer

    def _hand_back(self, membership: Membership) -> None:
        """Go on as before `take_over`: alone, with this server's file."""
        hosted, requests = self.hosted, self._proposer.release()
        self._proposer = None
        hosted.cluster = membership
        hosted.replace_database(hosted.database)
        for request in requests:
            execution = hosted.triggers.submit(request.operations, request.context,
                                               request.submitted, request.token)
            if not execution.is_waiting:
                self._finish([(request.token, execution)])
                if execution.delta:
                    self.server.after_commit(hosted)
        self.server.note_waiting()

    def _kick(self) -> None:
        if self.machine is not None and not self._is_stepping:
            self._woken.set()
            self.server.hub.hurry()

    # The machine.

    async def _run(self) -> None:
        log = self.log
        log.is_sync_needed = False      # What is in it is safe in etcd.
        is_stub = log.header.is_joining
        self.machine = Member(
            self.keys, self.sid, self.address, self.cid or "", 0 if is_stub else log.index,
            log.term, log.eid, log.servers, self._rng)
        self.machine.start(trio.current_time())
        while True:
            self._step()
            self._woken = trio.Event()
            if self._has_work and self._work is None and self.machine.may_propose:
                self._woken.set()
            with trio.move_on_at(self.machine.next_deadline()):
                await self._woken.wait()
                continue
            self.machine.elapse(trio.current_time())

    def _step(self) -> None:
        """Do what the machine wants done, and propose what waits, until neither is left."""
        if self._is_stepping:
            return
        self._is_stepping = True
        try:
            while True:
                for effect in self.machine.take_effects():
                    if isinstance(effect, (Apply, Decided, Install)):
                        self._give_up_decision()
                        self._backlog.append(effect)
                        self._catch_up()
                    else:
                        self._perform(effect)
                if self._work is not None and self._work.slices.is_over:
                    work, self._work = self._work, None
                    work.finish(work.slices.result)
                    self._catch_up()
                    continue
                if self._work is not None or not self.machine.may_propose or not self._propose():
                    break
        finally:
            self._is_stepping = False
        self._woken.set()

    def _catch_up(self) -> None:
        """Do what the machine has said of the log, as far as nothing long is in between."""
        while self._backlog and self._work is None:
            self._perform(self._backlog.popleft())
        if self._is_held_back and self._work is None:
            self._publish()

    def _begin(self, work: _Work) -> None:
        self._work = work
        self._nursery.start_soon(self._run_slices, work)

    async def _run_slices(self, work: _Work) -> None:
        """Run something long, a slice in each turn of the event loop."""
        await work.slices.run(self.server.hub)
        if work is self._work:
            self._step()

    def _give_up_decision(self) -> None:
        """Other servers were faster: decide anew, on top of what they did."""
        work = self._work
        if work is not None and work.request is not None:
            self._work = None
            work.slices.abandon()
            self._proposer.put_back(work.request)

    def _decide_large(self, request: Request) -> None:
        now = trio.current_time()

        def finish(decision: Decision) -> None:
            if not self.machine.may_propose or self.state != MEMBER:
                self._proposer.put_back(request)
                return
            finished, entries = self._proposer.propose_large(decision)
            self._finish(finished)
            if entries:
                self._entries = self.machine.propose(entries, trio.current_time())
            self.server.note_waiting()

        self._begin(_Work(lambda paced: self._proposer.decide_large(request, now, paced), finish,
                          request))

    @property
    def _has_work(self) -> bool:
        return self._proposer.has_work and self.state == MEMBER

    def _propose(self) -> bool:
        """Propose something; was there anything?"""
        now = trio.current_time()
        while self._own:
            self._own_under_way = self._own.pop(0)
            entry = self._own_under_way.make()
            if entry is not None:
                self._entries = self.machine.propose([entry], now)
                return True
            self._own_under_way.done.set()
            self._own_under_way = None
        if self._has_work:
            request = self._proposer.next_large()
            if request is not None:
                self._decide_large(request)
                return False
            finished, entries = self._proposer.next_batch(now)
            self._finish(finished)
            if entries:
                self._entries = self.machine.propose(entries, now)
                return True
        return False

    def _perform(self, effect: Effect) -> None:
        if _log.is_dbg:
            _log.dbg(f"{self.name}: {self.machine.summary()}: {describe(effect)}")
        match effect:
            case Send(number, path, body):
                self._nursery.start_soon(self._ask, number, path, body)
            case Watch(number, body):
                self._watch_scope.cancel()
                self._watch_scope = trio.CancelScope()
                self._nursery.start_soon(self._watch, self._watch_scope, number, body)
            case Apply(entries):
                self._apply(entries)
            case Decided(True):
                self._apply_own()
            case Decided(is_committed, refusal):
                self._give_back(is_committed, refusal)
            case Install(snapshot):
                self._nursery.start_soon(self._install, snapshot)
            case Changed():
                self._note_change()
            case Fault(text):
                self.machine.resign(trio.current_time())
                self._fail(text)

    async def _ask(self, number: int, path: str, body: dict) -> None:
        with trio.move_on_after(REPLY_TIMEOUT):
            try:
                answer = await self._meeting.client.call(path, body)
            except EtcdError as error:
                is_final = error.is_answer and any(text in str(error) for text in _FINAL)
                self.machine.failed(number, error.is_refused, str(error) if is_final else "",
                                    trio.current_time())
            else:
                self.machine.replied(number, answer, trio.current_time())
            self._step()
            return
        self.machine.failed(number, False, "", trio.current_time())
        self._step()

    async def _watch(self, scope: trio.CancelScope, number: int, body: dict) -> None:
        with scope:
            try:
                async for answer in self._meeting.client.watch(body):
                    self.machine.watched(number, answer, trio.current_time())
                    self._step()
            except EtcdError:
                pass
            self.machine.watch_failed(number, trio.current_time())
            self._step()

    # What the log says.

    def _apply_own(self) -> None:
        """What this server proposed last stands in the log."""
        entries, self._entries = self._entries, []
        if self._own_under_way is not None:
            proposal, self._own_under_way = self._own_under_way, None
            self._apply(entries)
            proposal.done.set()
            return
        finished: list[tuple[object, Execution]] = []
        following = iter(entries)
        has_changed = False
        decisions = self._proposer.committed()
        if len(decisions) == 1 and decisions[0].entry is not None and (
                sum(map(len, decisions[0].execution.delta.values())) > MANY_CHANGES):
            request, execution, _ = decisions[0]
            self._commit_large(next(following), lambda _paced: execution, request.token)
            return
        for decision in decisions:
            execution = decision.execution
            if decision.entry is not None:
                self._store(next(following))
                self.hosted.note_entry(decision.entry.eid, execution.delta)
                self.hosted.database.apply(execution)
                has_changed = True
            finished.append((decision.request.token, execution))
        self._note_commit()
        self._finish(finished)
        if has_changed:
            self.server.after_commit(self.hosted)
        self._trim_when_due()

    def _apply(self, entries: list[Entry]) -> None:
        """Entries of other servers (or of no client) follow in the log."""
        has_changed = False
        for n, entry in enumerate(entries):
            if entry.schema is None and _is_large(entry.data):
                if n + 1 < len(entries):
                    self._backlog.appendleft(Apply(entries[n + 1:]))
                entries = entries[:n]
                self._commit_large(entry, lambda paced, entry=entry: self._read(entry, paced))
                break
            if entry.schema is not None:
                self._convert(entry)
            elif entry.data is not None:
                has_changed = self._apply_transaction(entry) or has_changed
            else:
                self._store(entry)
        self._note_commit()
        if has_changed:
            self.server.after_commit(self.hosted)
        if any(entry.servers is not None for entry in entries):
            self._note_servers()
        self._trim_when_due()

    def _apply_transaction(self, entry: Entry) -> bool:
        execution = self._read(entry)
        self._store(entry)
        self.hosted.note_entry(entry.eid, execution.delta)
        self.hosted.database.apply(execution)
        return bool(execution.delta)

    def _read(self, entry: Entry, paced: Paced = at_once) -> Execution:
        """Return what an entry of another server does to the database."""
        database = self.hosted.database
        delta = Replay.over(database).read(entry.data, paced)
        rows = {name: {uuid: new for uuid, (_old, new) in paced(changes.items())}
                for name, changes in delta.items()}
        return database.replace(rows, read_members(entry.data).get("_comment", ""), paced)

    def _commit_large(self, entry: Entry, decide: Callable[[Paced], Execution],
                      token: object = None) -> None:
        """Store and apply, in slices, an entry of what `decide` returns; `token` of its client."""
        hosted = self.hosted

        def call(paced: Paced) -> tuple:
            execution = decide(paced)
            return (execution, delta_atoms(execution.delta, paced),
                    hosted.database.prepare(execution, paced))

        def finish(result: tuple) -> None:
            execution, atoms, prepared = result
            self._store(entry)
            hosted.note_entry(entry.eid, execution.delta, atoms)
            hosted.database.install(execution, prepared)
            self._note_commit()
            if token is not None:
                self._finish([(token, execution)])
            self.server.after_commit(hosted)
            self._trim_when_due()

        self._begin(_Work(call, finish))

    def _store(self, entry: Entry) -> None:
        """Append an entry to this server's file."""
        if entry.election_timer is not None:
            _log.info(f"Election timer changed from {self.log.election_timer} to "
                      f"{entry.election_timer}")
        if self._is_file_behind and self.has_schema and self.state != LEFT:
            # Has a compaction written everything anew?
            self._is_file_behind = self.log.header.snapshot.index != self.log.index
        try:
            before = self.log.size
            self.log.append_entry(entry, not self._is_file_behind)
            self._log_size += self.log.size - before
        except OvsdbError as error:
            # The log in etcd has it; the file is written anew by the next compaction.
            self._is_file_behind = True
            self.log.append_entry(entry, False)
            _log.err(f"{self.hosted.path}: {error}", _LIMIT)

    def _note_commit(self) -> None:
        if not self._is_file_behind:
            try:
                self.log.note_commit(self.log.index)
            except OvsdbError:
                self._is_file_behind = True
        self._publish()

    def _finish(self, finished: list[tuple[object, Execution]]) -> None:
        for (session, key), execution in finished:
            if session in self.server.sessions:
                session.finish(key, self.hosted, execution)

    def _give_back(self, is_committed: bool | None, refusal: str) -> None:
        """What was proposed last is not in the log, or nobody can tell."""
        self._entries = []
        proposal, self._own_under_way = self._own_under_way, None
        if proposal is not None and not refusal:
            self._own.insert(0, proposal)
        elif proposal is not None:
            proposal.error = OvsdbError("I/O error", f"etcd: {refusal}")
            proposal.done.set()
        elif is_committed is None:
            for session in {d.request.token[0] for d in self._proposer.committed()}:
                if session in self.server.sessions:
                    session.disconnect("outcome of a transaction is unknown")
        elif refusal:
            error = OvsdbError("I/O error", f"etcd: {refusal}")
            self._finish(self._proposer.refused(error))
        else:
            self._proposer.rejected()

    def _convert(self, entry: Entry) -> None:
        """The log changes the schema."""
        schema = DatabaseSchema.from_json(entry.schema)
        if entry.data is None:
            database = convert(self.hosted.database, schema)
        else:
            replay = Replay(schema)
            replay.add(entry.data)
            database = replay.database()
        self._store(entry)
        self.log.schema = schema
        self._serve_database(database, entry.eid)

    def _serve_database(self, database: Database, eid: str) -> None:
        self.has_schema = True
        self.hosted.history.begin(database, eid)
        self.server.replace_database(self.hosted, database, self._requester)
        self._proposer.replace_database(database)
        self.hosted.triggers = self._proposer

    # Members and leaders.

    def _note_change(self) -> None:
        """Leadership or connection have changed."""
        machine = self.machine
        if machine.is_connected and self.state == JOINING and not self._own \
                and self._own_under_way is None:
            self._own.append(_Proposal(self._enrollment))
        if self.is_connected and not machine.is_connected:
            self._n_disconnections += 1
        self.log.term = max(self.log.term, machine.term)
        self._publish()

    def _enrollment(self) -> Entry | None:
        if self.sid in self.machine.servers:
            self._note_servers()
            return None
        return Entry(0, 0, random_uuid(), servers=self.machine.servers | {self.sid: self.address})

    def _note_servers(self) -> None:
        """The members are others now."""
        is_member = self.sid in self.log.servers
        if is_member and self.state == JOINING:
            self.state, self.reason = MEMBER, ""
            _log.info(f"{self.name}: server {short(self.sid)} has joined the cluster")
        elif not is_member and self.state == MEMBER:
            self._note_left()
        self._publish()
        self._woken.set()

    def _note_left(self) -> None:
        """This server is no member any more."""
        if self.state == LEFT:
            return
        self.state = LEFT
        _log.info(f"{self.name}: server {short(self.sid)} has left the cluster")
        try:
            self.log.note_left()
        except OvsdbError as error:
            _log.err(str(error))
        self._is_file_behind = True             # Nothing may follow in it.
        self._publish()
        self._nursery.start_soon(self._withdraw)

    async def _withdraw(self) -> None:
        """Give up etcd, and the database, after having left."""
        await trio.sleep(_FAREWELL)
        if self._meeting.etcd is not None:
            try:
                with trio.move_on_after(REPLY_TIMEOUT):
                    await remove_member(self._meeting.client, self.sid)
            except EtcdError:
                pass            # Whoever kicked it does the same.
        await self._meeting.leave()
        self.server.remove_dead(self.hosted)

    async def _remove(self, sid: str) -> None:
        """Take a server, perhaps this one, out of the cluster."""

        def make() -> Entry | None:
            servers = dict(self.machine.servers)
            if servers.pop(sid, None) is None:
                return None
            return Entry(0, 0, random_uuid(), servers=servers)
        try:
            await self._propose_own(make)
        except OvsdbError as error:
            _log.warn(f"{self.name}: server {short(sid)} not removed: {error}")
            return
        if sid != self.sid and self._meeting.etcd is not None:
            await self._forget_member(sid)

    async def _forget_member(self, sid: str) -> None:
        await trio.sleep(2 * _FAREWELL)
        try:
            with trio.move_on_after(REPLY_TIMEOUT):
                await remove_member(self._meeting.client, sid)
        except EtcdError as error:
            _log.warn(f"etcd: member of server {short(sid)} not removed: {error}")

    async def convert(self, schema: DatabaseSchema, requester) -> None:
        refuse_ephemeral(schema)
        faults: list[OvsdbError] = []

        def make() -> Entry | None:
            faults.clear()
            try:
                converted = convert(self.hosted.database, schema)
            except OvsdbError as error:
                faults.append(error)
                return None
            rows = {name: table.rows for name, table in converted.tables.items()}
            data = encode_rows(schema, rows, "converted by ovsdb-server",
                               int(time.time() * 1000))
            return Entry(0, 0, random_uuid(), schema=schema.to_json(),
                         data=data | {"_is_diff": True})
        self._requester = requester
        try:
            await self._propose_own(make)
        finally:
            self._requester = None
        if faults:
            raise faults[0]

    async def _propose_own(self, make: Callable[[], Entry | None]) -> None:
        proposal = _Proposal(make)
        self._own.append(proposal)
        self._step()
        await proposal.done.wait()
        if proposal.error is not None:
            raise proposal.error

    # Commands.

    def status(self, now: float) -> Status:
        machine, log = self.machine, self.log
        leader = machine.leader_sid if machine is not None and self.is_connected else None
        role = LEADER if self.is_leader else FOLLOWER if leader or machine is None else CANDIDATE
        name = "unknown" if leader is None else "self" if leader == self.sid else nickname(
            log.servers.get(leader, ""), leader)
        state = self.state
        if state == MEMBER and not self.is_connected:
            state = "disconnected from the cluster (election timeout)"
        elif state == FAILED:
            state = f"{FAILED} ({self.reason})"
        first = log.first_index if self.has_schema else 1
        others = {sid: address for sid, address in log.servers.items() if sid != self.sid}
        live = machine.live if machine is not None and self.is_connected else set()
        connections = []
        for sid, address in others.items():
            arrows = (f"->{nickname(address, sid)}", f"<-{nickname(address, sid)}")
            connections += arrows if sid in live else [f"({arrow})" for arrow in arrows]
        ago = None if self._won_at is None else max(0, round((now - self._won_at) * 1000))
        won = ago if self.is_leader else None
        return Status(
            self, state, role, log.term, name, name, log.election_timer, first,
            log.index + 1 if self.has_schema else 1, len(self._entries), 0, won, won,
            self._n_disconnections, self._remotes, connections,
            [Peer(sid, address, sid == self.sid) for sid, address in log.servers.items()])

    def leave(self) -> None:
        if self.state == JOINING:
            raise ClusterError("can't leave while join in progress")
        if self.state != MEMBER or self.machine is None:
            return
        if set(self.log.servers) == {self.sid}:
            raise ClusterError("the only server of a cluster cannot leave it")
        self._nursery.start_soon(self._remove, self.sid)

    def kick(self, server: str) -> str | None:
        for sid, address in self.log.servers.items():
            if server == address or len(server) >= 4 and sid.startswith(server.lower()):
                if sid == self.sid:
                    return self.leave()
                self._nursery.start_soon(self._remove, sid)
                return "started removal" if self.is_leader else "sent removal request to leader"
        raise ClusterError("unknown server")

    def change_election_timer(self, milliseconds: int) -> str:
        if not self.is_leader:
            raise ClusterError("election timer must be changed through leader.")
        if self._is_timer_changing:
            raise ClusterError("election timer change pending.")
        if milliseconds == self.log.election_timer:
            return TIMER_UNCHANGED
        check_new_timer(self.log.election_timer, milliseconds)
        self._is_timer_changing = True
        self._nursery.start_soon(self._set_election_timer, milliseconds)
        return TIMER_CHANGING

    async def _set_election_timer(self, milliseconds: int) -> None:
        """Put another election timer into the log: it is told, and has no effect here."""
        try:
            await self._propose_own(
                lambda: Entry(0, 0, random_uuid(), election_timer=milliseconds))
        except OvsdbError as error:
            _log.warn(f"{self.name}: election timer not changed: {error}")
        finally:
            self._is_timer_changing = False

    def check_compaction(self) -> None:
        if not self.has_schema:
            raise OvsdbError("ovsdb error", "not compacting, because the server has not joined "
                                            "its cluster")

    # Snapshots.

    async def _install(self, stored: StoredSnapshot) -> None:
        """Replace the database by a snapshot of it."""
        try:
            snapshot = await snapshots.fetch(self._meeting.client, self.keys, stored)
            database = await trio.to_thread.run_sync(
                self.log.install, self.machine.cid, snapshot)
        except (EtcdError, OvsdbError) as error:
            _log.warn(f"{self.name}: snapshot not installed: {error}", _LIMIT)
            self.machine.install_failed(trio.current_time())
            self._step()
            return
        self._is_file_behind = False
        _log.info(f"{self.name}: snapshot installed: entry {stored.index}")
        self._serve_database(database, stored.eid)
        self.machine.installed(stored, snapshot.servers, trio.current_time())
        self._note_servers()
        self._step()

    def _trim_when_due(self) -> None:
        machine = self.machine
        if not self.is_leader or self._is_storing or machine.snapshot is None:
            return
        kept = 0
        if machine.index - machine.snapshot.index >= _SNAPSHOT_ENTRIES:
            kept = _KEPT_ENTRIES
        if self._log_size > max(_SNAPSHOT_SIZE, 2 * self._snapshot_size):
            kept = _KEPT_BIG_ENTRIES
        if kept:
            self._is_storing = True
            self._nursery.start_soon(self._store_snapshot, kept)

    async def _store_snapshot(self, n_kept: int) -> None:
        """Put a snapshot of the database into etcd and trim the log, as the leader."""
        etcd, leader, size = self._meeting.client, self.machine.leader, self._log_size
        index, term, eid = self.log.index, self.log.term, self.log.eid
        self._log_size = 0
        try:
            n, n_bytes = await snapshots.put_pieces(
                etcd, self.keys, index, self.hosted.database, self.log.servers,
                self.log.election_timer, leader)
            answer = await etcd.call(KV_TXN, self.keys.finish_snapshot(
                StoredSnapshot(index, term, eid, n), leader, max(index - n_kept, 0)))
            if answer.get("succeeded"):
                self._snapshot_size = n_bytes
                _log.info(f"{self.name}: snapshot stored in etcd: entry {index}, {n_bytes} bytes")
                revision = int(answer["header"]["revision"])
                await etcd.call(KV_COMPACT, compact(revision - 1))
        except (EtcdError, snapshots.NotLeader) as error:
            self._log_size += size
            _log.info(f"{self.name}: snapshot not stored: {error}", _LIMIT)
        finally:
            self._is_storing = False


def _is_large(data: dict | TransactionText | None) -> bool:
    """Does a transaction change so many rows that it takes long to apply it?"""
    return type(data) is TransactionText or type(data) is dict and sum(
        len(rows) for rows in data.values() if type(rows) is dict) > MANY_CHANGES


def open_member(log: ClusterLog, database: Database) -> HostedDatabase:
    """Serve a database whose log is, or will be, in etcd; `database` as far as the file goes."""
    hosted = HostedDatabase(database, log, log.name)
    hosted.history = History()
    if not log.header.is_joining:
        hosted.history.begin(database, log.history_base, log.history)
    log.history.clear()
    hosted.cluster = member = ClusterMember(hosted, log)
    member.take_over()
    return hosted
