"""The journal: a database in one file of records, the first a schema, each other a transaction.

    journal = Journal.open("conf.db")            takes the lock; OvsdbError
    database = journal.load()                    replays; journal.damage says where it stopped
    journal.write(delta, comment, wall_ms)       appends one record, in the page cache
    journal.sync()                               to the disk; may run in a thread

A damaged tail (a torn write) is not an error to a server: what precedes it is the database, and
the next write cuts it off.  Many writes may share one sync: group commit.

Compaction writes a snapshot beside the file and renames it over; `begin_compaction`,
`Compaction.write` (any thread) and `finish_compaction` let commits go on meanwhile.

Called from one task; `sync` and `Compaction.write` also from threads.  File access is
`record_file`'s.
"""

import gc
import os
from collections.abc import Callable
from functools import partial
from hashlib import sha1

import orjson

from ovsdb_server.engine.database import Database
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.engine.table import Delta, Row

from .lockfile import LockFile
from .record import CLUSTERED, encode_header, encode_record, identify, read_records
from .record_file import Compaction, RecordFile, create_file, io_error
from .replay import Replay, Staged, encode_delta, encode_in_pieces

COMPACTION_COMMENT = "compacting database online"


def create(path: str, schema: DatabaseSchema) -> None:
    """Create the database file `path`, which must not exist, without rows.  Raises OvsdbError."""
    create_file(path, _schema_record(schema))


def save(path: str, database: Database, comment: str, wall_ms: int) -> None:
    """Write `database` to the file `path`, replacing what is there.  Raises OvsdbError.

    The caller holds the lock of `path`.
    """
    rows = {name: table.rows for name, table in database.tables.items()}
    compaction = Compaction(path, os.path.realpath(path), partial(
        _encode_all, database.schema, rows, comment, wall_ms))
    compaction.write()
    try:
        compaction.put_in_place(b"")
    except OSError as error:
        compaction.abandon()
        raise io_error(path, "rename failed", error) from None
    os.close(compaction.fd)


def _schema_record(schema: DatabaseSchema) -> bytes:
    return encode_record(orjson.dumps(schema.to_json()))


def _encode_all(schema: DatabaseSchema, rows: dict[str, dict[str, Row]], comment: str,
                wall_ms: int, rest: Callable[[], None]) -> list[bytes]:
    """Return the records of a database; `rest()` is called every millisecond or so."""
    pieces: list[bytes] = []
    for piece in encode_in_pieces(schema, rows, comment, wall_ms):
        pieces.append(piece)
        rest()
    pieces.append(b"\n")
    digest = sha1()
    for piece in pieces:
        digest.update(piece)
    header = encode_header(sum(map(len, pieces)), digest.hexdigest())
    return [_schema_record(schema) + header, *pieces]


class Journal(RecordFile):
    """An open standalone database file; `schema` is that of its first record."""

    def __init__(self, name: str, fd: int, lock: LockFile | None):
        super().__init__(name, fd, lock)
        self.schema: DatabaseSchema | None = None

    def _read_first(self) -> None:
        with os.fdopen(self._fd, "rb", closefd=False) as stream:
            try:
                line = stream.readline(127)
            except OSError as error:
                raise io_error(self.name, "read failed", error) from None
            if identify(self.name, line) == CLUSTERED:
                raise OvsdbError("ovsdb error", f"{self.name}: cannot apply this operation to "
                                                "clustered database file")
            stream.seek(0)
            for record in read_records(stream, self.name):
                self.schema = DatabaseSchema.from_json(record.json)
                self.size, self.n_records = record.end, 1
                self._compacted_size = record.end
                return

    def load(self, schema: DatabaseSchema | None = None) -> Database:
        """Replay all records and return the database; sets `damage` when they end badly.

        With another `schema`, what it has no room for is passed over.  Raises OvsdbError only
        then, when a value does not fit.
        """
        # Nothing of what is made here is garbage: the collector would look at all of it in vain.
        collects = gc.isenabled()
        gc.disable()
        try:
            return self._load(schema)
        finally:
            if collects:
                gc.enable()

    def _load(self, schema: DatabaseSchema | None) -> Database:
        replay = Replay(schema or self.schema, is_lenient=schema is not None)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.n_records, self.damage, self._has_bad_tail = 0, None, False
        with os.fdopen(self._fd, "rb", closefd=False) as stream:
            try:
                for record in read_records(stream, self.name, parse=replay.parse):
                    if isinstance(record.json, Staged):
                        replay.apply(record.json)
                    elif self.n_records:
                        replay.add(record.json)
                    self.n_records += 1
                    self.size = record.end
                    if self.n_records == 2:
                        self._compacted_size = record.end
            except OvsdbError as error:
                if schema is not None:
                    raise
                self.damage = error
                self._has_bad_tail = True
        return replay.database()

    def write(self, delta: Delta, comment: str | None, wall_ms: int) -> bool:
        """Append `delta`; was there anything persistent in it?  Raises OvsdbError.

        After an error the file is as before.
        """
        json = encode_delta(self.schema, delta, comment, wall_ms, self.as_diff)
        if json is None:
            return False
        self.append(encode_record(orjson.dumps(json)))
        return True

    @staticmethod
    def make_record(text: bytes | None) -> bytes | None:
        """Return what `write_record` takes, from the text that `encode_delta_text` gives."""
        return None if text is None else encode_record(text)

    def write_record(self, record: bytes | None) -> bool:
        """As `write`, of what `make_record` has made."""
        if record is None:
            return False
        self.append(record)
        return True

    def compact(self, database: Database, comment: str, wall_ms: int) -> None:
        """Rewrite the file as its schema and one record.  Raises OvsdbError."""
        compaction = self.begin_compaction(database, comment, wall_ms)
        compaction.write(is_alone=True)
        self.finish_compaction(compaction)

    def replace(self, database: Database, comment: str, wall_ms: int) -> None:
        """Rewrite the file as `database`, whose schema may be a new one.  Raises OvsdbError."""
        self.compact(database, comment, wall_ms)
        self.schema = database.schema

    def begin_compaction(self, database: Database, comment: str, wall_ms: int) -> Compaction:
        """Take a snapshot of `database`, whose schema may be a new one (a conversion).

        Commits may go on until `finish_compaction`, unless the schema is new.
        """
        rows = {name: dict(table.rows) for name, table in database.tables.items()}
        return self.new_compaction(partial(_encode_all, database.schema, rows, comment, wall_ms))
