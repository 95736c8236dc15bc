"""The journal: a database in one file of records, the first a schema, each other a transaction.

    journal = Journal.open("conf.db")            takes the lock; OvsdbError
    database = journal.load()                    replays; journal.damage says where it stopped
    journal.write(delta, comment, wall_ms)       appends one record, in the page cache
    journal.sync()                               to the disk; may run in a thread

A damaged tail (a torn write) is not an error to a server: what precedes it is the database, and
the next write cuts it off.  Many writes may share one sync: group commit.

Compaction writes a snapshot beside the file and renames it over; `begin_compaction`,
`Compaction.write` (any thread) and `finish_compaction` let commits go on meanwhile.

Edge: all file access of the database is here.  Called from one task; `sync` and
`Compaction.write` also from threads.
"""

import errno
import os
import stat
import threading
from collections.abc import Callable

import orjson

from ovsdb_server.engine.database import Database
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.engine.table import Delta, Row

from .lockfile import LockFile
from .record import CLUSTERED, encode_record, identify, read_records
from .replay import Replay, encode_delta, encode_rows

MODE = 0o640

COMPACTION_COMMENT = "compacting database online"
MIN_CHECK_INTERVAL = 10 * 60
MAX_CHECK_INTERVAL = 20 * 60
MAX_AGE = 24 * 3600
MIN_RECORDS = 100
MIN_SIZE = 10 << 20


# A conversion in the loop and a compaction in a thread use the same temporary file.
_one_temporary = threading.Lock()


def _io_error(name: str, what: str, error: OSError) -> OvsdbError:
    return OvsdbError("I/O error", f"{name}: {what}", io_error=error.strerror)


def create(path: str, schema: DatabaseSchema) -> None:
    """Create the database file `path`, which must not exist, without rows.  Raises OvsdbError."""
    lock = LockFile(path)
    try:
        fd = _create_file(os.path.realpath(path), path)
        try:
            _write_all(fd, _schema_record(schema))
            os.fsync(fd)
        except OSError as error:
            os.unlink(os.path.realpath(path))
            raise _io_error(path, "write failed", error) from None
        finally:
            os.close(fd)
    finally:
        lock.release()


def save(path: str, database: Database, comment: str, wall_ms: int) -> None:
    """Write `database` to the file `path`, replacing what is there.  Raises OvsdbError.

    The caller holds the lock of `path`.
    """
    rows = {name: table.rows for name, table in database.tables.items()}
    compaction = Compaction(path, os.path.realpath(path), database.schema, rows, comment,
                            wall_ms)
    compaction.write()
    try:
        compaction.put_in_place(b"")
    except OSError as error:
        compaction.abandon()
        raise _io_error(path, "rename failed", error) from None
    os.close(compaction.fd)


def _create_file(path: str, name: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    except OSError as error:
        raise _io_error(name, "create failed", error) from None


def _schema_record(schema: DatabaseSchema) -> bytes:
    return encode_record(orjson.dumps(schema.to_json()))


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


class Journal:
    """An open database file.

    `name` as the caller wrote it, `schema` of the first record, `damage` (None, or the error at
    which reading stopped), `n_records`, `size` in bytes of what is valid.
    """

    def __init__(self, name: str, fd: int, lock: LockFile | None):
        self.name = name
        self.schema: DatabaseSchema | None = None
        self.damage: OvsdbError | None = None
        self.n_records = 0
        self.size = 0
        self.as_diff = True
        self._path = os.path.realpath(name)
        self._fd = fd
        self._lock = lock
        self._is_read_only = lock is None
        self._has_bad_tail = False
        self._compacted_size = 0
        self._written_since_compaction = False
        self._next_check: float | None = None
        self._last_compaction = 0.0
        self._n_replaced = 0
        self._guard = threading.Lock()

    @classmethod
    def open(cls, path: str, is_read_only: bool = False) -> "Journal":
        """Open the database file `path` and read its schema; take the lock unless read-only.

        Raises OvsdbError (LockError when another process has it open).
        """
        lock = None if is_read_only else LockFile(path)
        try:
            flags = os.O_CLOEXEC | (os.O_RDONLY if is_read_only else os.O_RDWR)
            try:
                fd = os.open(path, flags)
            except OSError as error:
                raise _io_error(path, "open failed", error) from None
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                os.close(fd)
                raise OvsdbError("I/O error", f"{path}: read error",
                                 io_error=os.strerror(errno.EISDIR))
        except OvsdbError:
            if lock is not None:
                lock.release()
            raise
        journal = cls(path, fd, lock)
        try:
            journal._read_schema()
        except BaseException:
            journal.close()
            raise
        return journal

    def _read_schema(self) -> None:
        with os.fdopen(self._fd, "rb", closefd=False) as stream:
            try:
                line = stream.readline(127)
            except OSError as error:
                raise _io_error(self.name, "read failed", error) from None
            if identify(self.name, line) == CLUSTERED:
                raise OvsdbError("not supported", f"{self.name}: clustered databases are not "
                                                  f"supported yet")
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
        replay = Replay(schema or self.schema, is_lenient=schema is not None)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.n_records, self.damage, self._has_bad_tail = 0, None, False
        with os.fdopen(self._fd, "rb", closefd=False) as stream:
            try:
                for record in read_records(stream, self.name):
                    if self.n_records:
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

    def append(self, record: bytes) -> None:
        """Append an encoded record.  Raises OvsdbError, and then the file is as before."""
        if self._is_read_only:
            raise OvsdbError("I/O error", f"{self.name}: cannot truncate to length {self.size}",
                             io_error="Invalid argument")
        try:
            if self._has_bad_tail:
                os.ftruncate(self._fd, self.size)
                self._has_bad_tail = False
        except OSError as error:
            raise _io_error(self.name, f"cannot truncate to length {self.size}", error) from None
        try:
            os.lseek(self._fd, self.size, os.SEEK_SET)
            _write_all(self._fd, record)
        except OSError as error:
            self._has_bad_tail = True
            raise _io_error(self.name, "write failed", error) from None
        self.size += len(record)
        self.n_records += 1
        self._written_since_compaction = True

    def sync(self) -> None:
        """Wait until everything written is on the disk.  Raises OvsdbError."""
        with self._guard:
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                raise _io_error(self.name, "fsync failed", error) from None

    def is_compaction_due(self, now: float, uniform: Callable[[float, float], float]) -> bool:
        """Has the file grown enough, or aged enough, to be compacted?

        Looks only every 10 to 20 minutes, chosen by `uniform(low, high)` (as random.uniform);
        `now` is monotonic seconds.
        """
        if self._next_check is None:
            self._last_compaction = now
            self._next_check = now + uniform(MIN_CHECK_INTERVAL, MAX_CHECK_INTERVAL)
            return False
        if now < self._next_check:
            return False
        self._next_check = now + uniform(MIN_CHECK_INTERVAL, MAX_CHECK_INTERVAL)
        has_grown = (self.n_records >= MIN_RECORDS and self.size > MIN_SIZE
                     and self.size > 2 * self._compacted_size)
        is_old = now - self._last_compaction >= MAX_AGE and self._written_since_compaction
        if has_grown or is_old:
            self._last_compaction = now
        return has_grown or is_old

    def compact(self, database: Database, comment: str, wall_ms: int) -> None:
        """Rewrite the file as its schema and one record.  Raises OvsdbError."""
        compaction = self.begin_compaction(database, comment, wall_ms)
        compaction.write()
        self.finish_compaction(compaction)

    replace = compact

    def begin_compaction(self, database: Database, comment: str, wall_ms: int) -> "Compaction":
        """Take a snapshot of `database`, whose schema may be a new one (a conversion).

        Commits may go on until `finish_compaction`, unless the schema is new.
        """
        rows = {name: dict(table.rows) for name, table in database.tables.items()}
        return Compaction(self.name, self._path, database.schema, rows, comment, wall_ms,
                          self.size, self._n_replaced)

    def finish_compaction(self, compaction: "Compaction") -> None:
        """Copy what was written since the snapshot and put the new file in place.

        Does nothing when the file was replaced meanwhile (a conversion): that is newer.
        Raises OvsdbError, and then the old file stays.
        """
        if compaction.n_replaced != self._n_replaced:
            compaction.abandon()
            return
        try:
            tail = os.pread(self._fd, self.size - compaction.since, compaction.since)
            compaction.put_in_place(tail)
        except OSError as error:
            compaction.abandon()
            raise _io_error(self.name, "compaction failed", error) from None
        with self._guard:
            os.close(self._fd)
            self._fd = compaction.fd
        self._n_replaced += 1
        self.schema = compaction.schema
        self._compacted_size = compaction.size
        self.size = compaction.size + len(tail)
        self.n_records = 2
        self._has_bad_tail = False
        self._written_since_compaction = bool(tail)

    def close(self) -> None:
        """Close the file and let the lock go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class Compaction:
    """A snapshot on its way to the disk; made by `Journal.begin_compaction`."""

    def __init__(self, name: str, path: str, schema: DatabaseSchema,
                 rows: dict[str, dict[str, Row]], comment: str, wall_ms: int, since: int = 0,
                 n_replaced: int = 0):
        self.name = name
        self.n_replaced = n_replaced
        self.schema = schema
        self.since = since
        self.size = 0
        self.fd = -1
        self._path = path
        self._temporary = f"{path}.tmp"
        self._rows = rows
        self._comment = comment
        self._wall_ms = wall_ms

    def write(self) -> None:
        """Write the snapshot to the temporary file, in any thread.  Raises OvsdbError."""
        with _one_temporary:
            self._write()

    def _write(self) -> None:
        json = encode_rows(self.schema, self._rows, self._comment, self._wall_ms)
        data = _schema_record(self.schema) + encode_record(orjson.dumps(json))
        try:
            if os.path.lexists(self._temporary):
                os.unlink(self._temporary)
        except OSError as error:
            raise _io_error(self.name, "failed to remove temporary file", error) from None
        self.fd = _create_file(self._temporary, self._temporary)
        try:
            _write_all(self.fd, data)
            os.fsync(self.fd)
        except OSError as error:
            self.abandon()
            raise _io_error(self._temporary, "write failed", error) from None
        self.size = len(data)

    def put_in_place(self, tail: bytes) -> None:
        """Append `tail`, make everything durable and rename over the database."""
        if tail:
            _write_all(self.fd, tail)
            os.fsync(self.fd)
        os.rename(self._temporary, self._path)
        folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def abandon(self) -> None:
        """Remove the temporary file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if os.path.exists(self._temporary):
            os.unlink(self._temporary)
