"""Real disks that are full or become read-only under a live server: told, and survived.

The database is on a file system of its own (tmpfs), which only the server sees, through a
namespace that a holder keeps.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage.cluster_file import create_cluster
from ovsdb_server.storage.journal import create
from tests.ovsdb_server.conftest import program

pytestmark = pytest.mark.system

SCHEMA = {"name": "D", "version": "1.0.0", "tables": {"T": {"columns": {
    "n": {"type": "integer"}, "pad": {"type": "string"}}, "isRoot": True}}}
NO_SPACE = "No space left on device"


class Disk:
    """A small file system at `path`; `inside` is where this process finds it."""

    def __init__(self, path: Path, size: str) -> None:
        path.mkdir()
        self.path = path
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c",
             f"mount -t tmpfs -o size={size} none {path} && echo ready && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self._holder.stdout.readline() != b"ready\n":
            self.close()
            pytest.skip("no file system may be mounted here")
        self.inside = Path(f"/proc/{self._holder.pid}/root{path}")

    @property
    def enter(self) -> list[str]:
        """The words before a command that sees the disk."""
        return ["nsenter", "-t", str(self._holder.pid), "-m", "--"]

    def run(self, *command: str) -> None:
        subprocess.run([*self.enter, *command], check=True, capture_output=True, timeout=10)

    def close(self) -> None:
        self._holder.communicate()


@pytest.fixture
def disk(tmp_path):
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("needs root, unshare and nsenter")
    disk = Disk(tmp_path / "disk", "600k")
    yield disk
    disk.close()


@pytest.fixture(params=["standalone", "clustered"])
def server(make_server, disk, tmp_path, request):
    """A server with its database on the disk."""
    schema = DatabaseSchema.from_json(SCHEMA)
    if request.param == "standalone":
        create(str(tmp_path / "D.db"), schema)
    else:
        create_cluster(str(tmp_path / "D.db"), schema, {}, "unix:s1.raft")
    shutil.copyfile(tmp_path / "D.db", disk.inside / "D.db")
    server = make_server(files=(str(disk.path / "D.db"),))
    server.command = [*disk.enter, *server.command]
    server.started = lambda: server.start("-vconsole:off", "--log-file")
    assert server.started().returncode == 0
    return server


def insert(n: int, size: int = 20_000) -> dict:
    return {"op": "insert", "table": "T", "row": {"n": n, "pad": "x" * size}}


def numbers(talk) -> list[int]:
    (result,) = talk.call("transact", "D", {"op": "select", "table": "T", "where": [],
                                            "columns": ["_uuid", "n"]})
    return sorted(row["n"] for row in result["rows"])


def status(server) -> str:
    return server.appctl("ovsdb-server/get-db-storage-status", "D").stdout.strip()


@pytest.mark.parametrize("commit", [[], [{"op": "commit", "durable": True}]])
def test_a_full_disk_is_told_and_takes_nothing_acknowledged(server, disk, commit):
    filler = disk.inside / "filler"
    filler.write_bytes(b"x" * 200_000)
    talk = server.connect()
    assert status(server) == "status: ok"
    acknowledged = []
    for n in range(100):
        results = talk.call("transact", "D", insert(n), *commit)
        if "error" in (results[-1] or {}):
            break
        acknowledged.append(n)
    assert 5 < len(acknowledged) < 99
    # The operations were all right; what failed is one more.
    assert len(results) == 2 + len(commit) and "uuid" in results[0]
    assert results[-1] == {"error": "I/O error", "io-error": NO_SPACE,
                           "details": f"{disk.path}/D.db: write failed"}
    assert "write failed" in status(server) and NO_SPACE in status(server)
    # What was refused is not there; reads go on, and so do refusals, large and small.
    assert numbers(talk) == acknowledged
    assert NO_SPACE in json.dumps(talk.call("transact", "D", insert(200)))
    refused = talk.call("transact", "D", *(insert(1000 + n, 100) for n in range(3000)))
    assert len(refused) == 3001 and NO_SPACE in json.dumps(refused[-1])
    assert numbers(talk) == acknowledged
    # There is room again.
    filler.unlink()
    assert "uuid" in talk.call("transact", "D", insert(300), *commit)[0]
    acknowledged.append(300)
    assert status(server) == "status: ok"
    assert numbers(talk) == acknowledged
    server.kill()
    assert server.started().returncode == 0
    assert numbers(server.connect()) == acknowledged
    assert "internal error" not in server.log()


def test_without_room_for_a_snapshot_the_file_stays(server, disk):
    talk = server.connect()
    for n in range(12):
        assert "uuid" in talk.call("transact", "D", insert(n))[0]
    filler = disk.inside / "filler"
    filler.write_bytes(b"x" * 200_000)
    refusal = server.appctl("ovsdb-server/compact", "D")
    assert refusal.returncode == 2 and NO_SPACE in refusal.stderr
    assert not (disk.inside / "D.db.tmp").exists()
    assert "uuid" in talk.call("transact", "D", insert(12))[0]
    filler.unlink()
    assert server.appctl("ovsdb-server/compact", "D").returncode == 0
    server.kill()
    assert server.started().returncode == 0
    assert numbers(server.connect()) == list(range(13))


def test_a_file_system_that_becomes_read_only(server, disk):
    """Nothing new can be made on it; the server says so, and goes on with what it has open."""
    talk = server.connect()
    assert "uuid" in talk.call("transact", "D", insert(1))[0]
    path = str(disk.path)
    disk.run("mount", "--bind", path, path)
    disk.run("mount", "-o", "remount,bind,ro", path)
    refusal = server.appctl("ovsdb-server/compact", "D")
    assert refusal.returncode == 2 and "Read-only file system" in refusal.stderr
    assert "uuid" in talk.call("transact", "D", insert(2))[0]
    server.kill()
    failed = server.started()
    assert failed.returncode != 0
    assert "Read-only file system" in failed.stderr + server.log()
    disk.run("umount", path)
    assert server.started().returncode == 0
    assert numbers(server.connect()) == [1, 2]


def test_tools_say_that_the_disk_is_full(disk, tmp_path):
    schema = tmp_path / "d.ovsschema"
    schema.write_text(json.dumps(SCHEMA))
    (disk.inside / "filler").write_bytes(b"x" * 612_000)
    done = subprocess.run(
        [*disk.enter, *program("utilities.ovsdb_tool"), "create", str(disk.path / "new.db"),
         str(schema)], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and NO_SPACE in done.stderr
    assert not (disk.inside / "new.db").exists()
