"""An ovsdb-server that dies in the middle of its work on files, for tests: see `main`.

The storage's module `os` is replaced by one that counts writes, syncs, truncations and renames;
the chosen one kills the process: before it, after it, or with half of it done.  With `power` 1,
what was not synced by then may be lost or damaged too, as when the machine's power fails: the
part of each file that was written since its last sync is cut off, zeroed or scrambled.  With
`power` 2 nobody dies: the call fails, as on a bad disk.
"""

import errno
import os
import signal
import sys
import threading
from random import Random

from ovsdb_server import main as server
from ovsdb_server.storage import record_file


class FaultyOs:
    """The module os, but the call number `count` of those that change files is the last."""

    def __init__(self, count: int, rng: Random, power: int) -> None:
        self._left = count
        self._rng = rng
        self._has_power_loss = power == 1
        self._is_bad_disk = power == 2
        self._lock = threading.Lock()
        self._files: dict[int, tuple[int, int]] = {}    # {inode: (our descriptor, synced size)}

    def __getattr__(self, name: str):
        return getattr(os, name)

    def write(self, fd: int, data) -> int:
        self._note(fd)
        if self._is_due():
            os.write(fd, bytes(data)[:self._rng.randint(0, len(data))])
            self._die()
        return os.write(fd, data)

    def pwrite(self, fd: int, data, offset: int) -> int:
        self._note(fd)
        if self._is_due():
            os.pwrite(fd, bytes(data)[:self._rng.randint(0, len(data))], offset)
            self._die()
        return os.pwrite(fd, data, offset)

    def ftruncate(self, fd: int, size: int) -> None:
        self._change(os.ftruncate, fd, size)

    def rename(self, old: str, new: str) -> None:
        self._change(os.rename, old, new)

    def fsync(self, fd: int) -> None:
        self._sync(os.fsync, fd)

    def fdatasync(self, fd: int) -> None:
        self._sync(os.fdatasync, fd)

    def _change(self, function, *args) -> None:
        is_last = self._is_due()
        if is_last and self._rng.random() < 0.5:
            self._die()
        function(*args)
        if is_last:
            self._die()

    def _sync(self, function, fd: int) -> None:
        is_last = self._is_due()
        if is_last and self._rng.random() < 0.5:
            self._die()
        size = os.fstat(fd).st_size
        function(fd)
        inode = os.fstat(fd).st_ino
        if inode in self._files:
            self._files[inode] = self._files[inode][0], size
        if is_last:
            self._die()

    def _note(self, fd: int) -> None:
        found = os.fstat(fd)
        self._files.setdefault(found.st_ino, (os.dup(fd), found.st_size))

    def _is_due(self) -> bool:
        with self._lock:
            self._left -= 1
            if self._left == 0 and self._is_bad_disk:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return self._left == 0

    def _die(self) -> None:
        if self._has_power_loss:
            for fd, synced in self._files.values():
                self._spoil(fd, synced)
        os.kill(os.getpid(), signal.SIGKILL)

    def _spoil(self, fd: int, synced: int) -> None:
        """Do to the bytes after `synced` what a failing power may do."""
        size = os.fstat(fd).st_size
        if size <= synced:
            return
        start = self._rng.randint(synced, size)
        match self._rng.randrange(3):
            case 0:
                os.ftruncate(fd, start)
            case 1:
                os.pwrite(fd, bytes(size - start), start)
            case 2:
                os.pwrite(fd, self._rng.randbytes(size - start), start)


def main(argv: list[str]) -> int:
    """Run ovsdb-server; the variable FAULT is "COUNT SEED POWER", numbers."""
    count, seed, power = map(int, os.environ["FAULT"].split())
    record_file.os = FaultyOs(count, Random(seed), power)
    return server.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
