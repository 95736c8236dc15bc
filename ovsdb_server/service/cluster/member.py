"""A server's part in a cluster of several: the database, its file, etcd and the machine joined up.

`ClusterMember.serve` is one database's life on etcd:

    stub file --(join)--> member
    sole server --(`grow`, when a first other server asks)--> member
    file with FILE.etcd, or an etcd: address --> member

A member runs the machine `storage.etcd_member`, asks etcd what it wants asked, commits to the
engine's database and to this server's file what the log says, and puts what clients want to write
into the log by way of a `Proposer`.  Followers decide transactions like the leader and append them
under the same comparisons, so that each server can be written at; an answer goes out when this
server has applied the transaction.  The leader also stores snapshots and trims the log.

What etcd has confirmed is durable; this server's file is there to start from.

Trio thread only; snapshots are encoded in a thread.
"""

import os
import shutil
import time
from collections.abc import Callable
from random import Random

import orjson
import trio

from ovsdb_server import vlog
from ovsdb_server.engine.atom import random_uuid
from ovsdb_server.engine.database import Database, Execution, convert
from ovsdb_server.engine.ephemeral import refuse_ephemeral
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.history import History
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service.cluster.client import EtcdClient, EtcdError
from ovsdb_server.service.cluster.joining import (Door, JoinError, admit, find_cluster,
                                                  remove_member)
from ovsdb_server.service.cluster.proposer import Proposer
from ovsdb_server.service.cluster.supervisor import (Admission, Etcd, NoEtcd, candidate,
                                                     choose_urls, directory_of, find_program)
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.service.membership import (CANDIDATE, FOLLOWER, JOINING, LEADER, LEFT, MEMBER,
                                             ClusterError, Membership, Peer, Status)
from ovsdb_server.storage.cluster_file import Entry, Snapshot, nickname, short
from ovsdb_server.storage.cluster_log import ClusterLog
from ovsdb_server.storage.etcd import (KV_COMPACT, KV_RANGE, KV_TXN, LEASE_REVOKE, Keys, Kv,
                                       compact, keep_alive, split_pieces)
from ovsdb_server.storage.etcd import Snapshot as StoredSnapshot
from ovsdb_server.storage.etcd_member import (REPLY_TIMEOUT, Apply, Changed, Decided, Effect,
                                              Fault, Install, Member, Send, Watch, describe)
from ovsdb_server.storage.replay import META_MEMBERS, Replay, encode_rows

_log = vlog.module("raft")
_LIMIT = vlog.RateLimit(5, 5)

# A snapshot is stored when the log has this many entries, or is this big and twice as big as it.
_SNAPSHOT_ENTRIES = 5000
_SNAPSHOT_SIZE = 10 << 20

# So many entries stay in the log behind a snapshot, for those who are a little late.
_KEPT_ENTRIES = 1000

_JOIN_INTERVAL = 0.5

# Kicked servers have so long to read of it before etcd forgets them.
_FAREWELL = 1.0

FAILED = "failed"


class _Proposal:
    """An entry that is not a client's: made anew by `make` until it stands in the log."""

    def __init__(self, make: Callable[[], Entry | None]) -> None:
        self.make = make
        self.done = trio.Event()
        self.error: OvsdbError | None = None


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
        self._etcd: Etcd | None = None
        self._client: EtcdClient | None = None
        self._door: Door | None = None
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._woken = trio.Event()
        self._watch_scope = trio.CancelScope()
        self._entries: list[Entry] = []
        self._own: list[_Proposal] = []
        self._own_under_way: _Proposal | None = None
        self._is_stepping = False
        self._is_file_behind = False
        self._is_storing = False
        self._log_size = 0
        self._snapshot_size = 0
        self._n_disconnections = 0
        self._won_at: float | None = None
        self._grown = trio.Event()
        self._growing = trio.Lock()
        self._requester = None

    @property
    def _directory(self) -> str:
        return directory_of(self.hosted.path)

    # Life.

    async def serve(self, server, is_alone: bool = False) -> None:
        """Take part until cancelled; `is_alone`: when another server has asked to join."""
        self.server = server
        with self._scope:
            try:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    try:
                        if is_alone:
                            self._open_door(nursery)
                            await self._grown.wait()
                        await self._begin(nursery)
                        await self._run()
                    finally:
                        await self._resign()
            except* NoEtcd as group:
                self._fail(str(group.exceptions[0]))
            finally:
                self._nursery = None
                with trio.CancelScope(shield=True):
                    await self._end()

    async def _resign(self) -> None:
        """Give leadership up while etcd still runs, so that others need not wait for it."""
        if self._client is not None and self.machine is not None:
            self.machine.resign(trio.current_time())
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 0.5):
                for effect in self.machine.take_effects():
                    if isinstance(effect, Send):
                        try:
                            await self._client.call(effect.path, effect.body)
                        except EtcdError:
                            pass        # The lease ends by itself.
        if self._etcd is not None:
            self._etcd.release()

    async def _end(self) -> None:
        if self._client is not None:
            await self._client.close()
        if self._door is not None:
            await self._door.close()
        if self._etcd is not None:
            await self._etcd.stop()

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
        self.is_connected = (machine is not None and machine.is_connected
                             and self.state == MEMBER)
        is_leader = self.is_connected and machine.is_leader
        if is_leader and not self.is_leader:
            self._won_at = trio.current_time()
        self.is_leader = is_leader
        self.server.note_cluster(self.hosted)

    async def _begin(self, nursery: trio.Nursery) -> None:
        """Reach etcd, and be one of its members.  Raises: NoEtcd."""
        if self.address.startswith("etcd:"):
            urls = [f"http://{part}" for part in self.address.removeprefix("etcd:").split(",")]
            self._client = EtcdClient(urls)
            if not self.log.header.is_joining:
                await self._found()
            return
        find_program()
        admission = Admission.load(self._directory)
        if admission is None and self._etcd is None:
            admission, lease = await self._join()
            await self._start_etcd(nursery, admission)
            try:
                await self._client.call(LEASE_REVOKE, keep_alive(lease))
            except EtcdError:
                pass                    # It ends by itself.
        elif self._etcd is None:
            await self._start_etcd(nursery, admission)
        if self.address.startswith("unix:") and self._door is None:
            self._open_door(nursery)

    async def _start_etcd(self, nursery: trio.Nursery, admission: Admission) -> None:
        self._etcd = Etcd(self._directory, admission, self.server.tls_files)
        nursery.start_soon(self._etcd.serve)
        self._client = EtcdClient([admission.client_url], self._context(admission))
        await self._until_ready()

    def _context(self, admission: Admission):
        return self.server.tls_context(False) if admission.client_url.startswith("https") else None

    async def _until_ready(self) -> None:
        """Wait until etcd answers with a quorum behind it."""
        while True:
            try:
                with trio.move_on_after(REPLY_TIMEOUT):
                    return await self._client.call(KV_RANGE, {"key": "AA=="})
            except EtcdError as error:
                self.reason = str(error)
            await trio.sleep(0.1)

    async def _join(self) -> tuple[Admission, int]:
        """Become a member of the etcd of the servers whose addresses are known.

        Returns how to start it and the lease to revoke once it runs.
        """
        header = self.log.header
        is_tls = self.address.startswith("ssl:")
        remotes = list(self._remotes) or [
            address for sid, address in self.log.servers.items() if sid != self.sid]
        while True:
            try:
                context = self.server.tls_context(False) if is_tls else None
                urls = await find_cluster(header, remotes, context)
                client = EtcdClient(urls, context)
                try:
                    with trio.fail_after(10):
                        body = await client.call(KV_TXN, self.keys.read(0))
                        state = self.keys.parse_state(body, 0)
                        if state.head is None:
                            raise JoinError(f"no database {header.name} there")
                        if header.cluster_id and state.cid != header.cluster_id:
                            raise JoinError(f"the cluster there is {state.cid}")
                        admission, lease = await admit(
                            client, candidate(self._directory, self.sid, self.address),
                            self.keys, context)
                        admission.save(self._directory)
                        return admission, lease
                finally:
                    await client.close()
            except (JoinError, EtcdError, OSError) as error:
                self.reason = str(error)
            except trio.TooSlowError:
                self.reason = "no answer from the members of etcd"
            _log.info(f"{self.name}: cannot join yet: {self.reason}", _LIMIT)
            await trio.sleep(_JOIN_INTERVAL * self._rng.uniform(0.5, 1.5))

    # Growing: the server is the only one, and another wants to join.

    def _open_door(self, nursery: trio.Nursery) -> None:
        try:
            context = self.server.tls_context(True) if self.address.startswith("ssl:") else None
        except OSError as error:
            _log.info(f"{self.address}: listen failed ({error}): no server can join here")
            return
        self._door = Door(self.address, context, self._answer_joiner)
        nursery.start_soon(self._door.serve)

    async def _answer_joiner(self, question: dict) -> list[str]:
        """Let another server join: return where etcd is.  Raises: JoinError."""
        header = self.log.header
        if question["name"] != header.name:
            raise JoinError(f"the database here is {header.name}, not {question['name']}")
        if question.get("cid") not in (None, header.cluster_id):
            raise JoinError(f"the cluster here is {header.cluster_id}")
        async with self._growing:
            if self._etcd is None:
                await self._grow()
        return [self._etcd.admission.client_url]

    async def _grow(self) -> None:
        """Move the log of this only server into an etcd of its own.  Raises: JoinError.

        Transactions that write wait meanwhile.  The move counts from the moment member.json is
        there; until then the file is all there is and what etcd got is forgotten.
        """
        try:
            find_program()
        except NoEtcd as error:
            _log.warn(f"{self.name}: a server wants to join, but {error}", _LIMIT)
            raise JoinError(str(error)) from None
        _log.info(f"{self.name}: a server wants to join; moving the log to etcd")
        if not self.address.startswith("unix:"):
            door, self._door = self._door, None
            await door.close()
        self.take_over()
        self.hosted.cluster = self
        shutil.rmtree(self._directory, ignore_errors=True)
        os.makedirs(self._directory, 0o750)
        admission = choose_urls(self.sid, self.address)
        await self.hosted.sync()
        await self._start_etcd(self._nursery, admission)
        await self._found()
        admission.save(self._directory)
        self._grown.set()

    def take_over(self) -> None:
        """From now on transactions of this database go by way of the log in etcd."""
        if self._proposer is None:
            self._proposer = Proposer(self.hosted.database, self._kick, random_uuid,
                                      lambda: int(time.time() * 1000))
            waiting = self.hosted.triggers
            self.hosted.triggers = self._proposer
            self._proposer.take_over(waiting)

    def _kick(self) -> None:
        if self.machine is not None and not self._is_stepping:
            self._woken.set()

    async def _found(self) -> None:
        """See to it that the database is in etcd; of the only server's database, put it there."""
        await self._until_ready()
        while True:
            try:
                state = self.keys.parse_state(
                    await self._client.call(KV_TXN, self.keys.read(self.log.index)),
                    self.log.index)
                if state.head is not None:
                    return
                log, database = self.log, self.hosted.database
                rows = {name: dict(table.rows) for name, table in database.tables.items()}
                data = await trio.to_thread.run_sync(
                    _encode_snapshot, database.schema, rows, log.servers)
                pieces = split_pieces(data)
                for number, piece in enumerate(pieces):
                    await self._client.call(
                        KV_TXN, self.keys.put_piece(log.index, number, piece, None))
                stored = StoredSnapshot(log.index, log.term, log.eid, len(pieces))
                await self._client.call(
                    KV_TXN, self.keys.found(self.cid, log.header.name, stored))
            except EtcdError as error:
                self.reason = str(error)
                await trio.sleep(0.3)

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
            if self._proposer.has_work and self.machine.may_propose:
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
                    self._perform(effect)
                if not self.machine.may_propose or not self._propose():
                    break
        finally:
            self._is_stepping = False
        self._woken.set()

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
        if self._proposer.has_work and self.state == MEMBER:
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
                answer = await self._client.call(path, body)
            except EtcdError as error:
                self.machine.failed(number, error.is_refused,
                                    str(error) if error.is_answer else "", trio.current_time())
            else:
                self.machine.replied(number, answer, trio.current_time())
            self._step()
            return
        self.machine.failed(number, False, "", trio.current_time())
        self._step()

    async def _watch(self, scope: trio.CancelScope, number: int, body: dict) -> None:
        with scope:
            try:
                async for answer in self._client.watch(body):
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
        for decision in self._proposer.committed():
            execution = decision.execution
            if decision.entry is not None:
                self._store(next(following))
                self.hosted.history.add(decision.entry.eid, execution.delta)
                self.hosted.database.apply(execution)
                has_changed = True
            finished.append((decision.request.token, execution))
        self._note_commit()
        self._finish(finished)
        if has_changed:
            self.server.after_commit(self.hosted, {})
        self._trim_when_due()

    def _apply(self, entries: list[Entry]) -> None:
        """Entries of other servers (or of no client) follow in the log."""
        has_changed = False
        for entry in entries:
            if entry.schema is not None:
                self._convert(entry)
            elif entry.data is not None:
                has_changed = self._apply_transaction(entry) or has_changed
            else:
                self._store(entry)
        self._note_commit()
        if has_changed:
            self.server.after_commit(self.hosted, {})
        if any(entry.servers is not None for entry in entries):
            self._note_servers()
        self._trim_when_due()

    def _apply_transaction(self, entry: Entry) -> bool:
        database = self.hosted.database
        delta = Replay.over(database).read(entry.data)
        rows = {name: {uuid: new for uuid, (_old, new) in changes.items()}
                for name, changes in delta.items()}
        execution = database.replace(rows, entry.data.get("_comment", ""))
        self._store(entry)
        self.hosted.history.add(entry.eid, execution.delta)
        database.apply(execution)
        return bool(execution.delta)

    def _store(self, entry: Entry) -> None:
        """Append an entry to this server's file."""
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
            self.state = LEFT
            _log.info(f"{self.name}: server {short(self.sid)} has left the cluster")
            try:
                self.log.note_left()
            except OvsdbError as error:
                _log.err(str(error))
            self._is_file_behind = True         # Nothing may follow in it.
            self._nursery.start_soon(self._withdraw)
        self._publish()
        self._woken.set()

    async def _withdraw(self) -> None:
        """Give up etcd after having left."""
        await trio.sleep(_FAREWELL)
        if self._etcd is not None:
            try:
                with trio.move_on_after(REPLY_TIMEOUT):
                    await remove_member(self._client, self.sid)
            except EtcdError:
                pass            # Whoever kicked it does the same.
            await self._etcd.stop()
            shutil.rmtree(self._directory, ignore_errors=True)
        self._scope.cancel()

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
        if sid != self.sid and self._etcd is not None:
            await self._forget_member(sid)

    async def _forget_member(self, sid: str) -> None:
        await trio.sleep(2 * _FAREWELL)
        try:
            with trio.move_on_after(REPLY_TIMEOUT):
                await remove_member(self._client, sid)
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

    def kick(self, server: str) -> None:
        for sid, address in self.log.servers.items():
            if server == address or len(server) >= 4 and sid.startswith(server.lower()):
                if sid == self.sid:
                    return self.leave()
                self._nursery.start_soon(self._remove, sid)
                return None
        raise ClusterError("unknown server")

    def change_election_timer(self, milliseconds: int) -> str:
        raise ClusterError("the election timer of a cluster on etcd is fixed")

    def check_compaction(self) -> None:
        if not self.has_schema:
            raise OvsdbError("ovsdb error", "not compacting, because the server has not joined "
                                            "its cluster")

    # Snapshots.

    async def _install(self, stored: StoredSnapshot) -> None:
        """Replace the database by a snapshot of it."""
        try:
            pieces: list[bytes] = []
            while len(pieces) < stored.n:
                body = await self._client.call(
                    KV_RANGE, self.keys.pieces(stored.index, len(pieces)))
                if not body.get("kvs"):
                    raise EtcdError("the snapshot is gone", True)
                pieces += (Kv.from_json(json).value for json in body["kvs"])
            schema, data, servers = orjson.loads(b"".join(pieces))
            snapshot = Snapshot(stored.term, stored.index, stored.eid, servers, schema, data)
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
        self.machine.installed(stored, servers, trio.current_time())
        self._note_servers()
        self._step()

    def _trim_when_due(self) -> None:
        machine = self.machine
        if not self.is_leader or self._is_storing or machine.snapshot is None:
            return
        n = machine.index - machine.snapshot.index
        if n >= _SNAPSHOT_ENTRIES or self._log_size > max(_SNAPSHOT_SIZE,
                                                         2 * self._snapshot_size):
            self._is_storing = True
            self._nursery.start_soon(self._store_snapshot)

    async def _store_snapshot(self) -> None:
        """Put a snapshot of the database into etcd and trim the log, as the leader."""
        leader, size = self.machine.leader, self._log_size
        try:
            database, servers = self.hosted.database, dict(self.log.servers)
            index, term, eid = self.log.index, self.log.term, self.log.eid
            rows = {name: dict(table.rows) for name, table in database.tables.items()}
            self._log_size = 0
            data = await trio.to_thread.run_sync(_encode_snapshot, database.schema, rows, servers)
            pieces = split_pieces(data)
            for number, piece in enumerate(pieces):
                body = await self._client.call(
                    KV_TXN, self.keys.put_piece(index, number, piece, leader))
                if not body.get("succeeded"):
                    return
            kept = max(index - _KEPT_ENTRIES, 0)
            body = await self._client.call(KV_TXN, self.keys.finish_snapshot(
                StoredSnapshot(index, term, eid, len(pieces)), leader, kept))
            if body.get("succeeded"):
                self._snapshot_size = len(data)
                _log.info(f"{self.name}: snapshot stored in etcd: entry {index}, {len(data)} bytes")
                await self._client.call(KV_COMPACT, compact(int(body["header"]["revision"]) - 1))
        except EtcdError as error:
            self._log_size += size
            _log.info(f"{self.name}: snapshot not stored: {error}", _LIMIT)
        finally:
            self._is_storing = False


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


def _encode_snapshot(schema: DatabaseSchema, rows: dict, servers: dict[str, str]) -> bytes:
    """Return a snapshot as etcd holds it; in any thread."""
    data = encode_rows(schema, rows, "", 0)
    for name in META_MEMBERS:
        data.pop(name, None)
    return orjson.dumps([schema.to_json(), data, servers])
