"""A file of records that is open for service: appended, synced, rewritten in the background.

What a standalone database (`journal.Journal`) and a clustered one (`cluster_log.ClusterLog`) have
in common.  A damaged tail (a torn write) is cut off by the next append.  Many appends may share
one sync: group commit.

Compaction writes a snapshot beside the file and renames it over; `Compaction.write` may run in
any thread while appends go on.

Edge: all file access of the database is here.  Called from one task; `sync` and
`Compaction.write` also from threads.
"""

import errno
import os
import stat
import threading
import time
from collections.abc import Callable
from typing import Self

from ovsdb_server.engine.error import OvsdbError

from .lockfile import LockFile

MODE = 0o660

MIN_CHECK_INTERVAL = 10 * 60
MAX_CHECK_INTERVAL = 20 * 60
MAX_AGE = 24 * 3600
REPAIR_INTERVAL = 10
MIN_RECORDS = 100
MIN_SIZE = 10 << 20


# A conversion in the loop and a compaction in a thread use the same temporary file.
_one_temporary = threading.Lock()


def io_error(name: str, what: str, error: OSError) -> OvsdbError:
    """Return the error of an operation `what` on the file `name`."""
    return OvsdbError("I/O error", f"{name}: {what}", io_error=error.strerror)


def create_file(path: str, content: bytes) -> None:
    """Create the file `path`, which must not exist, with `content` (records).

    Takes its lock meanwhile.  Raises OvsdbError.
    """
    lock = LockFile(path)
    try:
        fd = _create_new(os.path.realpath(path), path)
        try:
            _write_all(fd, content)
            os.fsync(fd)
        except OSError as error:
            os.unlink(os.path.realpath(path))
            raise io_error(path, "write failed", error) from None
        finally:
            os.close(fd)
    finally:
        lock.release()


def _create_new(path: str, name: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    except OSError as error:
        raise io_error(name, "create failed", error) from None


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def _write_pieces(fd: int, pieces: list[bytes]) -> int:
    """Write all `pieces`, many at a time; return their size."""
    size = 0
    for start in range(0, len(pieces), 64):
        data = b"".join(pieces[start:start + 64])
        _write_all(fd, data)
        size += len(data)
    return size


# Encoding holds the interpreter, so a thread that does nothing else rests as long as it works.
_REST = 0.001


def _let_others_run() -> None:
    time.sleep(_REST)


def _do_nothing() -> None:
    pass


class RecordFile:
    """An open database file.

    `name` as the caller wrote it, `damage` (None, or the error at which reading stopped),
    `failure` (None, or the error of the last write or sync if it failed), `n_records`, `size` in
    bytes of what is valid.
    """

    def __init__(self, name: str, fd: int, lock: LockFile | None):
        self.name = name
        self.damage: OvsdbError | None = None
        self.failure: OvsdbError | None = None
        self.n_records = 0
        self.size = 0
        self.as_diff = True
        self._path = os.path.realpath(name)
        self._fd = fd
        self._lock = lock
        self._is_read_only = lock is None
        self._has_bad_tail = False
        self._is_doubtful = False
        self._compacted_size = 0
        self._written_since_compaction = False
        self._next_check: float | None = None
        self._next_repair = 0.0
        self._last_compaction = 0.0
        self._n_replaced = 0
        self._guard = threading.Lock()

    @classmethod
    def open(cls, path: str, is_read_only: bool = False) -> Self:
        """Open the database file `path` and read its first record; take the lock unless read-only.

        Raises OvsdbError (LockError when another process has it open).
        """
        file = cls(path, *cls._open_file(path, is_read_only))
        try:
            file._read_first()
        except BaseException:
            file.close()
            raise
        return file

    def _read_first(self) -> None:
        """Read the first record of the file."""
        raise NotImplementedError

    @staticmethod
    def _open_file(path: str, is_read_only: bool) -> tuple[int, LockFile | None]:
        lock = None if is_read_only else LockFile(path)
        try:
            flags = os.O_CLOEXEC | (os.O_RDONLY if is_read_only else os.O_RDWR)
            try:
                fd = os.open(path, flags)
            except OSError as error:
                raise io_error(path, "open failed", error) from None
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                os.close(fd)
                raise OvsdbError("I/O error", f"{path}: read error",
                                 io_error=os.strerror(errno.EISDIR))
        except OvsdbError:
            if lock is not None:
                lock.release()
            raise
        return fd, lock

    def append(self, record: bytes) -> None:
        """Append an encoded record.  Raises OvsdbError, and then the file is as before."""
        try:
            self._append(record)
        except OvsdbError as error:
            self.failure = error
            raise
        if not self._is_doubtful:
            self.failure = None

    def _append(self, record: bytes) -> None:
        if self._is_read_only:
            raise OvsdbError("I/O error", f"{self.name}: cannot truncate to length {self.size}",
                             io_error="Invalid argument")
        try:
            if self._has_bad_tail:
                os.ftruncate(self._fd, self.size)
                self._has_bad_tail = False
        except OSError as error:
            raise io_error(self.name, f"cannot truncate to length {self.size}", error) from None
        try:
            n_written = os.pwrite(self._fd, record, self.size)
            while n_written < len(record):
                n_written += os.pwrite(self._fd, record[n_written:], self.size + n_written)
        except OSError as error:
            self._has_bad_tail = True
            self._cut_tail()
            raise io_error(self.name, "write failed", error) from None
        self.size += len(record)
        self.n_records += 1
        self._written_since_compaction = True

    def _cut_tail(self) -> None:
        """Remove half a record now if possible; the next write tries again."""
        try:
            os.ftruncate(self._fd, self.size)
            self._has_bad_tail = False
        except OSError:
            pass

    def sync(self) -> None:
        """Wait until everything written is on the disk.  Raises OvsdbError.

        After a failure the kernel may take for written what is not, and let the next sync pass.
        So none passes any more until a compaction has made the file anew.
        """
        with self._guard:
            if self._is_doubtful:
                raise self.failure
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self._is_doubtful = True
                self.failure = io_error(self.name, "fsync failed", error)
                raise self.failure from None

    def is_compaction_due(self, now: float, uniform: Callable[[float, float], float]) -> bool:
        """Has the file grown enough, or aged enough, to be compacted, or did a sync fail?

        Looks only every 10 to 20 minutes, chosen by `uniform(low, high)` (as random.uniform);
        `now` is monotonic seconds.
        """
        if self._is_doubtful and now >= self._next_repair:
            self._next_repair = now + REPAIR_INTERVAL
            return True
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

    def new_compaction(self, encode: Callable[[Callable[[], None]], bytes | list[bytes]]
                       ) -> "Compaction":
        """Begin to rewrite the file as the records that `encode(rest)` makes, in a thread.

        Appends may go on until `finish_compaction`.
        """
        return Compaction(self.name, self._path, encode, self.size, self._n_replaced)

    def finish_compaction(self, compaction: "Compaction") -> bool:
        """Copy what was written since the snapshot and put the new file in place.

        Returns False and does nothing when the file was replaced meanwhile (a conversion): that
        is newer.  Raises OvsdbError, and then the old file stays.
        """
        if compaction.n_replaced != self._n_replaced:
            compaction.abandon()
            return False
        try:
            tail = os.pread(self._fd, self.size - compaction.since, compaction.since)
            compaction.put_in_place(tail)
        except OSError as error:
            compaction.abandon()
            raise io_error(self.name, "compaction failed", error) from None
        with self._guard:
            os.close(self._fd)
            self._fd = compaction.fd
            self._is_doubtful = False
            self.failure = None
        self._n_replaced += 1
        self._compacted_size = compaction.size
        self.size = compaction.size + len(tail)
        self.n_records = compaction.n_records
        self._has_bad_tail = False
        self._written_since_compaction = bool(tail)
        return True

    def close(self) -> None:
        """Close the file and let the lock go."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class Compaction:
    """A snapshot on its way to the disk; made by `RecordFile.new_compaction`.

    `encode(rest)` makes the records, whole or in pieces, and calls `rest()` now and then.
    """

    def __init__(self, name: str, path: str,
                 encode: Callable[[Callable[[], None]], bytes | list[bytes]], since: int = 0,
                 n_replaced: int = 0):
        self.name = name
        self.n_replaced = n_replaced
        self.since = since
        self.size = 0
        self.n_records = 2
        self.fd = -1
        self._path = path
        self._temporary = f"{path}.tmp"
        self._encode = encode

    def write(self, is_alone: bool = False) -> None:
        """Write the snapshot to the temporary file, in any thread.  Raises OvsdbError.

        Unless `is_alone`, other threads get their turn again and again.
        """
        with _one_temporary:
            self._write(_do_nothing if is_alone else _let_others_run)

    def _write(self, rest: Callable[[], None]) -> None:
        data = self._encode(rest)
        pieces = [data] if isinstance(data, bytes) else data
        try:
            if os.path.lexists(self._temporary):
                os.unlink(self._temporary)
        except OSError as error:
            raise OvsdbError("I/O error", f"failed to remove {self._temporary}",
                             io_error=error.strerror) from None
        self.fd = _create_new(self._temporary, self._temporary)
        try:
            self.size = _write_pieces(self.fd, pieces)
            os.fsync(self.fd)
        except OSError as error:
            self.abandon()
            raise io_error(self._temporary, "write failed", error) from None

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
