"""The only server of its cluster: leads at once, and commits to its own file.

Every commit is durable before it is answered; the entries of a group commit become the `index`
of `_Server` together, once they are on the disk.

Neighbours: `membership.py` (what clusters have in common), `storage/cluster_log.py` (the file).
Trio thread only.
"""

import time
from importlib import import_module

import trio

from ovsdb_server import vlog
from ovsdb_server.engine import database as engine
from ovsdb_server.engine.database import Database
from ovsdb_server.engine.ephemeral import refuse_ephemeral
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.history import History
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.service.membership import (LEADER, MEMBER, TIMER_CHANGING, TIMER_UNCHANGED,
                                             ClusterError, Membership, Peer, Status,
                                             check_new_timer)
from ovsdb_server.storage.cluster_file import short
from ovsdb_server.storage.cluster_log import ClusterLog

_log = vlog.module("raft")
_NOTE_LIMIT = vlog.RateLimit(1, 1)


class Solo(Membership):
    """The membership of a server that is alone in its cluster."""

    def __init__(self, hosted: HostedDatabase, log: ClusterLog, started_at: float,
                 next_index: int) -> None:
        header = log.header
        super().__init__(header.name, header.cluster_id, header.server_id, header.local_address)
        self.has_schema = self.is_connected = self.is_leader = True
        self.index = log.index
        self._hosted = hosted
        self._log = log
        self._started_at = started_at
        self._next_index = next_index
        self._server = None
        self._member = None             # What this becomes when another server joins.
        self._failure = ""              # What happens at the next commit, as a test.

    async def serve(self, server) -> None:
        self._server = server
        server.note_cluster(self._hosted)
        # What it takes to let others join is not needed to begin, and takes a while to import.
        module = await trio.to_thread.run_sync(
            import_module, "ovsdb_server.service.cluster.member")
        self._member = module.ClusterMember(self._hosted, self._log)
        await self._member.serve(server, is_alone=True)

    def close(self) -> None:
        if self._member is not None:
            self._member.close()

    def note_synced(self, index: int) -> None:
        if index > self.index:
            try:
                self._log.note_commit(index)
            except OvsdbError as error:
                # It is committed all the same; the note is for those who read the file.
                _log.warn(str(error), _NOTE_LIMIT)
            self.index = index
            if self._server is not None:
                self._server.note_cluster(self._hosted)
            self._fail()

    def engage(self, failure: str) -> None:
        self._failure = failure
        if failure == "transfer-leadership":
            self._begin_term()

    def _fail(self) -> None:
        """Do what a test has asked for: an entry is to be sent to all the others, who are none."""
        failure, self._failure = self._failure, ""
        match failure:
            case "crash-before-sending-append-request" | "crash-after-sending-append-request":
                self._server.crash("Raft test: " + failure.replace("-", " ").replace(
                    "append request", "append_request") + ".")
            case "transfer-leadership-after-sending-append-request":
                self._begin_term()

    def _begin_term(self) -> None:
        """Hand leadership over: to nobody, so that it comes back with the next term."""
        _log.info("Transferring leadership to write a snapshot.")
        try:
            self._log.begin_term()
        except OvsdbError as error:
            _log.warn(str(error), _NOTE_LIMIT)
            return
        self._started_at = trio.current_time()
        _log.info(f"term {self._log.term}: 0 ms timeout expired, starting election")
        _log.info(f"term {self._log.term}: elected leader by 1+ of 1 servers")
        self._server.spawn(self._hosted.sync)

    async def convert(self, schema: DatabaseSchema, requester) -> None:
        refuse_ephemeral(schema)
        hosted = self._hosted
        hosted.settle()
        converted = engine.convert(hosted.database, schema)
        self._log.replace(converted, "converted by ovsdb-server", int(time.time() * 1000))
        hosted.history.begin(converted, self._log.eid)
        self._server.replace_database(hosted, converted, requester)
        await hosted.sync()

    def status(self, now: float) -> Status:
        log = self._log
        ago = max(0, round((now - self._started_at) * 1000))
        return Status(
            self, MEMBER, LEADER, log.term, "self", "self", log.election_timer, log.first_index,
            log.index + 1, log.index - self.index, 0, ago, ago,
            servers=[Peer(self.sid, self.address, True, self._next_index, log.index)])

    def leave(self) -> None:
        raise ClusterError("the only server of a cluster cannot leave it")

    def kick(self, server: str) -> None:
        if not self.is_named(server):
            raise ClusterError("unknown server")
        self.leave()

    def is_named(self, server: str) -> bool:
        """Does `server` mean this server: its address, its id or the beginning of that?"""
        return server == self.address or len(server) >= 4 and self.sid.startswith(server.lower())

    def change_election_timer(self, milliseconds: int) -> str:
        now = self._log.election_timer
        if milliseconds == now:
            return TIMER_UNCHANGED
        check_new_timer(now, milliseconds)
        try:
            self._log.change_election_timer(milliseconds)
        except OvsdbError as error:
            raise ClusterError(str(error)) from None
        _log.info(f"Election timer changed from {now} to {milliseconds}")
        self._server.spawn(self._hosted.sync)
        return TIMER_CHANGING


def lead(log: ClusterLog, database: Database) -> HostedDatabase:
    """Serve `database`, which `log` of a sole server has given.  Raises: OvsdbError."""
    hosted = HostedDatabase(database, log, log.name)
    hosted.history = History()
    hosted.history.begin(database, log.history_base, log.history)
    log.history.clear()
    started_at = trio.current_time()
    next_index = log.index + 1
    log.begin_term()
    log.sync()
    log.note_commit(log.index)
    _log.info(f"term {log.term}: {started_at * 1000:.0f} ms timeout expired, starting election")
    _log.info(f"term {log.term}: elected leader by 1+ of 1 servers")
    _log.info(f"local server ID is {short(log.header.server_id)}")
    hosted.cluster = Solo(hosted, log, started_at, next_index)
    return hosted
