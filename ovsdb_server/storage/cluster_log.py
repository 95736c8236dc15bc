"""A clustered database in its file: the log of one server, with the verbs of `journal.Journal`.

    log = ClusterLog.open("db")                  takes the lock; OvsdbError
    database = log.load()                        replays all entries; None in a server that has
                                                 not joined (log.header.is_joining)
    log.begin_term()                             vote, leader and first entry of a new term
    log.write(delta, comment, wall_ms)           appends one entry, in the page cache; log.eid and
                                                 log.index are then those of the entry
    log.sync()                                   to the disk; may run in a thread
    log.note_commit(index)                       notes in the file that entries are committed
    log.replace(database, comment, wall_ms)      appends a conversion

What is written is what the reference writes, so that either may go on with the other's file.
`load` applies entries beyond the noted commit_index too: for the only server of a cluster what is
in its log is committed.

Called from one task; `sync` and `Compaction.write` also from threads.
"""

import gc
import os
from collections import deque
from dataclasses import replace
from collections.abc import Callable
from functools import partial

import orjson

from ovsdb_server.engine.atom import random_uuid
from ovsdb_server.engine.database import Database, convert
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.engine.table import Delta, Row

from .cluster_file import (ELECTION_TIMER_DEFAULT, LEFT, Entry, Header, NotClustered, Note,
                           Snapshot, State, encode, parse_record, read_header_record)
from .lockfile import LockFile
from .record import CLUSTERED, encode_record, identify, read_records
from .record_file import Compaction, RecordFile, create_file
from .replay import META_MEMBERS, Replay, encode_delta, encode_rows

HISTORY_LENGTH = 100


class ClusterLog(RecordFile):
    """An open clustered database file.

    `header` is its first record, with the snapshot from which the log goes on (of which the
    data are forgotten once they are loaded); `schema` is the schema now.

    `term`, `vote`, `leader`: as last noted; `index` and `eid` of the last entry; `commit_index`;
    `servers` {sid: address} and `election_timer` (ms) as the log says.  `history` [(eid, delta)]
    of the last entries, `history_base` the id of the one before them.  `is_sync_needed`: is this
    file where the entries must be safe, before anyone is told of them?
    """

    def __init__(self, name: str, fd: int, lock: LockFile | None):
        super().__init__(name, fd, lock)
        self.header: Header | None = None
        self.schema: DatabaseSchema | None = None
        self.term = 0
        self.vote: str | None = None
        self.leader: str | None = None
        self.index = 0
        self.eid = ""
        self.commit_index = 0
        self.servers: dict[str, str] = {}
        self.election_timer = ELECTION_TIMER_DEFAULT
        self.history: deque[tuple[str, Delta]] = deque()
        self.history_base = ""
        self.is_sync_needed = True
        self._has_data = False

    @property
    def n_entries(self) -> int:
        """The number of entries since the snapshot."""
        return self.index - self.first_index + 1

    @property
    def first_index(self) -> int:
        """The index of the first entry after the snapshot, be it there yet or not."""
        return self.header.snapshot.index + 1

    def take_snapshot(self) -> Snapshot | None:
        """Return the snapshot with its data, which are not kept any longer; None in a stub."""
        if not self._has_data:
            self._read_first()
        snapshot = self.header.snapshot
        if snapshot is not None:
            self.header = replace(self.header, snapshot=replace(snapshot, data={}))
        self._has_data = False
        return snapshot

    def _read_first(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)
        with os.fdopen(self._fd, "rb", closefd=False) as stream:
            if identify(self.name, stream.readline(127)) != CLUSTERED:
                raise NotClustered(self.name)
            stream.seek(0)
            record, self.header = read_header_record(stream, self.name)
            self.size, self.n_records, self._has_data = record.end, 1, True
            self._compacted_size = record.end
        snapshot = self.header.snapshot
        if snapshot is not None:
            self.schema = DatabaseSchema.from_json(snapshot.schema)
            self.index, self.eid = snapshot.index, snapshot.eid
            self.servers = snapshot.servers
            self.election_timer = snapshot.election_timer or ELECTION_TIMER_DEFAULT

    def load(self) -> Database | None:
        """Replay all records and return the database; sets `damage` when they end badly.

        Returns None for a server that has not joined its cluster.  Raises OvsdbError when a
        sound record holds what cannot be.
        """
        # Nothing of what is made here is garbage: the collector would look at all of it in vain.
        collects = gc.isenabled()
        gc.disable()
        try:
            return self._read(_Reading(self)).finish()
        finally:
            if collects:
                gc.enable()

    def _read(self, reading: "_Reading") -> "_Reading":
        """Give the records after the header to `reading`, which has taken that already."""
        os.lseek(self._fd, self.size, os.SEEK_SET)
        self.damage, self._has_bad_tail = None, False
        with os.fdopen(self._fd, "rb", closefd=False) as stream:
            records = read_records(stream, self.name, CLUSTERED)
            while True:
                try:
                    record = next(records, None)
                except OvsdbError as error:
                    self.damage = error
                    self._has_bad_tail = True
                    return reading
                if record is None:
                    return reading
                reading.read(self.n_records, record.json)
                self.n_records += 1
                self.size = record.end

    def sync(self) -> None:
        if self.is_sync_needed:
            super().sync()

    def begin_term(self) -> None:
        """Note that this server, the only one, leads from now on in a new term.

        Raises OvsdbError.
        """
        sid = self.header.server_id
        term = max(self.term + 1, self.header.snapshot.term)
        self.append(encode(State(term, vote=sid)) + encode(State(term, leader=sid))
                    + encode(Entry(term, self.index + 1)))
        self.term, self.vote, self.leader = term, sid, sid
        self.index += 1

    def write(self, delta: Delta, comment: str | None, wall_ms: int) -> bool:
        """Append `delta` as an entry; was there anything in it?  Raises OvsdbError.

        After an error the file is as before.
        """
        json = encode_delta(self.schema, delta, comment, wall_ms, self.as_diff)
        if json is None:
            return False
        self._append_entry(data=json)
        return True

    @staticmethod
    def make_record(text: bytes | None) -> bytes | None:
        """Return what `write_record` takes, from the text that `encode_delta_text` gives.

        The rest of the entry is known only when it is written.
        """
        return text

    def write_record(self, text: bytes | None) -> bool:
        """As `write`, of what `make_record` has made."""
        if text is None:
            return False
        self._append_entry(data=orjson.Fragment(text))
        return True

    def replace(self, database: Database, comment: str, wall_ms: int) -> None:
        """Append an entry that makes the database what `database` is, also its schema.

        Raises OvsdbError.
        """
        rows = {name: table.rows for name, table in database.tables.items()}
        data = encode_rows(database.schema, rows, comment, wall_ms)
        self._append_entry(schema=database.schema.to_json(), data=data | {"_is_diff": True})
        self.schema = database.schema

    def change_election_timer(self, milliseconds: int) -> None:
        """Append an entry that sets the election timer.  Raises OvsdbError."""
        entry = Entry(self.term, self.index + 1, election_timer=milliseconds)
        self.append(encode(entry))
        self.index = entry.index
        self.election_timer = milliseconds

    def _append_entry(self, **content) -> None:
        entry = Entry(self.term, self.index + 1, random_uuid(), **content)
        self.append(encode(entry))
        self.index, self.eid = entry.index, entry.eid

    def append_entry(self, entry: Entry, to_file: bool = True) -> None:
        """Take in an entry of a log that this server shares; without `to_file` only here.

        Raises OvsdbError, and then nothing has changed.
        """
        # Of what is no transaction the file has no id, as the reference's files.
        is_transaction = entry.data is not None or entry.schema is not None
        if to_file:
            self.append(encode(entry if is_transaction else entry._replace(eid=None)))
        self.index, self.term = entry.index, max(self.term, entry.term)
        if entry.servers is not None:
            self.servers = entry.servers
        if entry.election_timer is not None:
            self.election_timer = entry.election_timer
        if is_transaction:
            self.eid = entry.eid

    def install(self, cluster_id: str, snapshot: Snapshot) -> Database:
        """Make the file that of a member which has just got `snapshot`; return the database.

        Raises OvsdbError.
        """
        old = self.header
        header = Header(old.name, old.server_id, old.local_address, cluster_id, snapshot)
        compaction = self.new_compaction(lambda _rest: encode(header))
        compaction.write(is_alone=True)
        if super().finish_compaction(compaction):
            self.header = header
            self.term, self.vote, self.leader = snapshot.term, None, None
            self.commit_index = 0
            self._read_first()
        return self.load()

    def note_left(self) -> None:
        """Note that this server has left its cluster: the file will not be opened again."""
        self.append(encode(Note(LEFT)))

    def note_commit(self, index: int) -> None:
        """Note that the entries up to `index` are committed.  Raises OvsdbError."""
        if index > self.commit_index:
            self.append(encode(State(commit_index=index)))
            self.commit_index = index

    def compact(self, database: Database, comment: str, wall_ms: int) -> None:
        """Rewrite the file as a snapshot.  Raises OvsdbError."""
        compaction = self.begin_compaction(database, comment, wall_ms)
        compaction.write(is_alone=True)
        self.finish_compaction(compaction)

    def begin_compaction(self, database: Database, comment: str, wall_ms: int) -> Compaction:
        """Take a snapshot of `database`; commits may go on until `finish_compaction`."""
        rows = {name: dict(table.rows) for name, table in database.tables.items()}
        header = self.header
        snapshot = Snapshot(self.term, self.index, self.eid, self.servers, {}, {},
                            self.election_timer)
        header = Header(header.name, header.server_id, header.local_address, header.cluster_id,
                        snapshot)
        compaction = self.new_compaction(partial(
            _encode_snapshot, header, self.vote, database.schema, rows, comment, wall_ms))
        compaction.header = header
        return compaction

    def finish_compaction(self, compaction: Compaction) -> bool:
        """Put the new file in place, with what was written since; see `RecordFile`."""
        if not super().finish_compaction(compaction):
            return False
        self.header = compaction.header
        return True


class _Reading:
    """The records of a file on their way into rows.

    Entries wait in `_pending` until they are known to be committed, because a later record may
    replace those that are not.
    """

    def __init__(self, log: ClusterLog, transactions: list[dict] | None = None):
        self._log = log
        self._transactions = transactions
        self._pending: deque[Entry] = deque()
        self._replay: Replay | None = None
        snapshot = log.take_snapshot()
        if snapshot is not None:
            self._replay = Replay(log.schema)
            self._replay.add(snapshot.data)
            self._keep(snapshot.data)
        log.history.clear()
        log.history_base = log.eid
        self._applied = log.index

    def _keep(self, transaction: dict) -> None:
        if self._transactions is not None:
            self._transactions.append(transaction)

    def read(self, number: int, json: dict) -> None:
        """Take in the record `number`.  Raises OvsdbError."""
        try:
            self._take(number, parse_record(json))
        except OvsdbError as error:
            raise OvsdbError(error.tag, f"error reading record {number} from "
                                        f"{self._log.header.name} log: {error.details}",
                             error.syntax) from None

    def _take(self, number: int, value: Entry | State | Note) -> None:
        log = self._log
        match value:
            case Entry():
                self._take_entry(number, value)
            case State(commit_index=int(index)):
                if index < log.commit_index:
                    raise OvsdbError("ovsdb error", f"record {number} regresses commit index from "
                                                    f"{log.commit_index} to {index}")
                log.commit_index = index
                self._apply(index)
            case State():
                if value.term > log.term:
                    log.term, log.vote, log.leader = value.term, None, None
                log.vote = value.vote or log.vote
                log.leader = value.leader or log.leader
            case Note(text=text):
                if text == LEFT and self._transactions is None:
                    raise OvsdbError("ovsdb error", f"record {number} indicates server has left "
                                                    "the cluster; it cannot be added back (use "
                                                    '"ovsdb-tool join-cluster" to add a new '
                                                    'server)')

    def _take_entry(self, number: int, entry: Entry) -> None:
        after = (self._pending[-1].index if self._pending else self._applied) + 1
        if entry.index > after:
            raise OvsdbError("ovsdb error", f"record {number} with index {entry.index} skips past "
                                            f"expected index {after}")
        if entry.index <= self._applied:
            raise OvsdbError("ovsdb error",
                             f"record {number} attempts to truncate log from {after} to "
                             f"{entry.index} entries, but commit index is already "
                             f"{self._applied}")
        while self._pending and self._pending[-1].index >= entry.index:
            self._pending.pop()
        self._pending.append(entry)
        self._log.term = max(self._log.term, entry.term)

    def _apply(self, index: int) -> None:
        while self._pending and self._pending[0].index <= index:
            self._apply_entry(self._pending[0])
            self._applied = self._pending.popleft().index

    def _apply_entry(self, entry: Entry) -> None:
        log = self._log
        if entry.schema is not None:
            schema = DatabaseSchema.from_json(entry.schema)
            if entry.data is None:
                self._replay = _replay_of(convert(self._replay.database(), schema))
            else:
                self._replay = Replay(schema)
                self._replay.add(entry.data)
            log.schema = schema
            log.history.clear()
            log.history_base = entry.eid
            if self._transactions is not None:
                self._transactions[:] = [_rows_json(self._replay, entry.data)]
        elif entry.data is not None:
            log.history.append((entry.eid, self._replay.add(entry.data)))
            if len(log.history) > HISTORY_LENGTH:
                log.history_base = log.history.popleft()[0]
            self._keep(entry.data)
        log.index, log.eid = entry.index, entry.eid or log.eid
        if entry.servers is not None:
            log.servers = entry.servers
        if entry.election_timer is not None:
            log.election_timer = entry.election_timer

    def finish(self) -> Database | None:
        """Apply what is left; return the database."""
        if self._replay is None:
            return None
        while self._pending:
            self._apply(self._pending[0].index)
        return self._replay.database()


def _rows_json(replay: Replay, like: dict | None) -> dict:
    """Return all rows as one transaction, with the date and comment of the transaction `like`."""
    json = encode_rows(replay.schema, replay.rows, "", 0)
    return {name: value for name, value in json.items() if name not in META_MEMBERS} | {
        name: value for name, value in (like or {}).items() if name in META_MEMBERS}


def _replay_of(database: Database) -> Replay:
    """Return a replay that goes on from the rows of `database`."""
    replay = Replay(database.schema)
    for name, table in database.tables.items():
        replay.rows[name] = table.rows
    return replay


def _encode_snapshot(header: Header, vote: str | None, schema: DatabaseSchema,
                     rows: dict[str, dict[str, Row]], comment: str, wall_ms: int,
                     _rest: Callable[[], None]) -> bytes:
    data = encode_rows(schema, rows, comment, wall_ms) | {"_is_diff": True}
    json = header.to_json() | {"prev_data": [schema.to_json(), data]}
    records = encode_record(orjson.dumps(json), CLUSTERED)
    if header.snapshot.term:
        records += encode(State(header.snapshot.term, vote=vote))
    return records


def write_standalone(clustered: str, path: str) -> None:
    """Write the data of the clustered file to a new standalone file `path`.

    One record per transaction, counted from the last change of schema.  Raises OvsdbError.
    """
    transactions: list[dict] = []
    log = ClusterLog.open(clustered, is_read_only=True)
    try:
        if log.header.is_joining:
            raise OvsdbError("ovsdb error", f"{clustered}: has not joined its cluster")
        log._read(_Reading(log, transactions)).finish()
    finally:
        log.close()
    if log.damage is not None:
        raise log.damage
    create_file(path, b"".join(encode_record(orjson.dumps(json))
                               for json in (log.schema.to_json(), *transactions)))
