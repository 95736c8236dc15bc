"""The advisory lock beside a database file: `.NAME.~lock~`, held by fcntl while we write.

It keeps two writers of the reference or of ours from opening one database; readers take none.
The lock belongs to the process, so two holders within one process are kept apart by a table.
"""

import errno
import fcntl
import os
import struct

from ovsdb_server.engine.error import OvsdbError

_held: set[tuple[int, int]] = set()


class LockError(OvsdbError):
    """The lock cannot be had; `warnings` are what module lockfile logs as WARN."""

    def __init__(self, database: str, error: int, *warnings: str):
        super().__init__("I/O error", f"{database}: failed to lock lockfile",
                         io_error=os.strerror(error))
        self.warnings = warnings


class LockFile:
    """The lock of the database file `path`, whose symbolic links are followed."""

    def __init__(self, path: str):
        target = os.path.realpath(path) if os.path.islink(path) else path
        folder, name = os.path.split(target)
        self.path = os.path.join(folder, f".{name}.~lock~")
        self._fd = -1
        self._key = (0, 0)
        self._take(path)

    def _take(self, database: str) -> None:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            # As fcntl does, the reference has two numbers for a lock that somebody else holds.
            number = errno.EAGAIN if error.errno == errno.EACCES else error.errno
            raise LockError(
                database, number, f"{self.path}: failed to open lock file: {error.strerror}",
                f"{self.path}: failed to lock file: {os.strerror(number)}") from None
        status = os.fstat(fd)
        key = status.st_dev, status.st_ino
        if key in _held:
            # Closing would drop the lock of this process's other holder: leave it open.
            raise LockError(database, errno.EDEADLK,
                            f"{self.path}: cannot lock file because this process has already "
                            f"locked it")
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = _holder(fd)
            os.close(fd)
            raise LockError(database, errno.EAGAIN,
                            f"{self.path}: cannot lock file because it is already locked by "
                            f"pid {pid}") from None
        _held.add(key)
        self._fd, self._key = fd, key

    def release(self) -> None:
        """Let the lock go; the file stays, as the reference leaves it."""
        if self._fd >= 0:
            _held.discard(self._key)
            os.close(self._fd)
            self._fd = -1


_FLOCK = struct.Struct("hhqqi4x")


def _holder(fd: int) -> int:
    query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        return _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, query))[4]
    except (OSError, struct.error):
        return 0
