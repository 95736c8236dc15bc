"""The journal file: records, torn tails, compaction, locks; and both ways with the reference."""

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from ovsdb_server.engine.database import Context, Triggers
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage import journal as journal_module
from ovsdb_server.storage.journal import Journal, create
from ovsdb_server.storage.lockfile import LockError
from ovsdb_server.storage.record import encode_record, parse_header, read_records
from tests.ovsdb_server.engine.transactions import (ZOO, a_map, a_set, delete, insert, mutate,
                                                    named, plain, select, update)
from tests.ovsdb_server.reference import TOOL, Server, needs_reference, normalize

SCHEMA = DatabaseSchema.from_json(json.loads(ZOO.read_text()))

HISTORY = [
    [plain(name="x", numbers=a_set(1, 2), map=a_map(("a", "1"), ("b", "2")), real=0.1,
           fleeting="gone"), {"op": "comment", "comment": "first\nsecond \u00e9"}],
    [mutate("Plain", [["numbers", "insert", 3], ["numbers", "delete", 1],
                      ["map", "delete", a_set("a")], ["map", "insert", a_map(("c", "3"))]])],
    [update("Plain", {"map": a_map(("b", "9")), "maybe": 4, "flag": True, "choice": "b c"})],
    [insert("Parent", {"name": "p", "children": named("c"), "friends": named("c")}),
     insert("Child", {"name": "c"}, **{"uuid-name": "c"}), insert("Indexed", {"name": "i"})],
    [update("Plain", {"fleeting": "still"}), update("Plain", {"maybe": a_set()})],
    [delete("Parent")],
    [plain(name="y")],
]


@pytest.fixture
def path(tmp_path):
    name = str(tmp_path / "conf.db")
    create(name, SCHEMA)
    return name


class Opened:
    """An open journal with its database, and how to run transactions on them."""

    def __init__(self, path, as_diff=True):
        self.journal = Journal.open(path)
        self.journal.as_diff = as_diff
        self.database = self.journal.load()
        self._triggers = Triggers(self.database, self._write)

    def _write(self, delta, comment):
        self.journal.write(delta, comment, 1700000000123)

    def run(self, *operations):
        return self._triggers.submit(list(operations), Context(), 0.0, object()).results

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.journal.close()


def _content(database):
    """Return all persistent values, for comparison."""
    return {name: {uuid: tuple(row[c.index] for c in table.schema.named_columns
                               if c.is_persistent) for uuid, row in table.rows.items()}
            for name, table in database.tables.items()}


def _fill(path, **options):
    """Run HISTORY and return what the database then holds."""
    with Opened(path, **options) as opened:
        for operations in HISTORY:
            assert "error" not in (opened.run(*operations)[-1] or {})
        return _content(opened.database)


def _records(path):
    with open(path, "rb") as stream:
        return [record.json for record in read_records(stream, "db")]


@pytest.mark.parametrize("as_diff", [True, False])
def test_what_was_written_is_read_again(path, as_diff):
    content = _fill(path, as_diff=as_diff)
    with Opened(path) as opened:
        assert _content(opened.database) == content
        assert opened.journal.damage is None
        assert opened.journal.n_records == 1 + len(HISTORY)


def test_a_record_says_what_changed_and_no_more(path):
    _fill(path)
    first, second = _records(path)[1:3]
    assert first.pop("_date") == 1700000000123 and first.pop("_is_diff") is True
    assert first.pop("_comment") == "first\nsecond \u00e9"
    [(uuid, row)] = first["Plain"].items()
    assert row == {"name": "x", "numbers": a_set(1, 2), "real": 0.1, "some": "x", "long": "yy",
                   "map": a_map(("a", "1"), ("b", "2"))}
    assert second["Plain"][uuid] == {"numbers": a_set(1, 3),
                                     "map": a_map(("a", "1"), ("c", "3"))}


def test_ephemeral_changes_are_not_written(path):
    with Opened(path) as opened:
        opened.run(plain(name="x"))
        size = opened.journal.size
        opened.run(update("Plain", {"fleeting": "now"}))
        assert opened.journal.size == size == os.path.getsize(path)
        assert opened.run(select("Plain", columns=["fleeting"])) == [
            {"rows": [{"fleeting": "now"}]}]


def test_the_file_is_private_to_owner_and_group(path):
    assert os.stat(path).st_mode & 0o777 == 0o660 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_database_is_not_created_over_another(path):
    with pytest.raises(OvsdbError) as caught:
        create(path, SCHEMA)
    assert str(caught.value) == f"I/O error: {path}: create failed (File exists)"


@pytest.mark.parametrize("number", range(8))
def test_any_torn_tail_is_cut_off_by_the_next_write(path, tmp_path, number):
    _fill(path)
    data = Path(path).read_bytes()
    rng = random.Random(number)
    with open(path, "rb") as stream:
        ends = [record.end for record in read_records(stream, "db")]
    for _ in range(10):
        cut = rng.randrange(ends[0] + 1, len(data))
        torn = tmp_path / f"torn{cut}.db"
        torn.write_bytes(data[:cut])
        whole = max(end for end in ends if end <= cut)
        with Opened(str(torn)) as opened:
            assert (opened.journal.damage is None) == (cut == whole)
            assert opened.journal.size == whole
            opened.run(plain(name="after"))
            content = _content(opened.database)
        with Opened(str(torn)) as opened:
            assert opened.journal.damage is None
            assert _content(opened.database) == content
        assert torn.read_bytes()[:whole] == data[:whole]


DAMAGES = [
    (lambda d: d + b"garbage\n", 'syntax error: {}: parse error at offset {} in header line '
                                 '"garbage"'),
    (lambda d: d + b"OVSDB JSON 12", 'syntax error: {}: parse error at offset {} in header line '
                                     '"OVSDB JSON"'),
    (lambda d: d + bytes(100), 'syntax error: {}: parse error at offset {} in header line ""'),
    (lambda d: d + encode_record(b'{"Plain":{"zz":null}}'),
     'syntax "{{"zz":null}}": syntax error: "zz" is not a valid UUID'),
    (lambda d: d + encode_record(
        b'{"Plain":{"00000000-0000-0000-0000-000000000000":null}}'),
     "syntax error: transaction deletes row 00000000-0000-0000-0000-000000000000 that does not "
     "exist"),
    (lambda d: d + encode_record(b"{}")[:-1], "I/O error: {}: error reading 3 bytes starting at "
                                              "offset {body} (End of file)"),
    (lambda d: d + encode_record(b"{ }").replace(b"{ }", b"{\n}"),
     "syntax error: {}: 4 bytes starting at offset {body} have SHA-1 hash "),
]


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_damage_is_named_and_what_precedes_it_is_kept(path, number):
    damage, text = DAMAGES[number]
    content = _fill(path)
    data = Path(path).read_bytes()
    Path(path).write_bytes(damage(data))
    with Opened(path) as opened:
        expected = text.format(path, len(data), body=len(data) + len("OVSDB JSON 3 ") + 41)
        assert str(opened.journal.damage).startswith(expected)
        assert _content(opened.database) == content
        opened.run(plain(name="repaired"))
    with Opened(path) as opened:
        assert opened.journal.damage is None
        found = opened.run(select("Plain", [["name", "==", "repaired"]], columns=["name"]))
        assert found == [{"rows": [{"name": "repaired"}]}]


@pytest.mark.parametrize("data, text", [
    (b"", "ovsdb error: {}: cannot identify file type"),
    (b"root:x:0:0\n", "ovsdb error: {}: unexpected file format"),
    (b"OVSDB JSON 14759 deed1daa3dc5e33410f5590b12b7cf86e5ad7c1b\n{}",
     "I/O error: {}: error reading 14759 bytes starting at offset 58 (End of file)"),
    (b"OVSDB CLUSTER 3 5f36b2ea290645ee34d943220a14b54ee5ea5be5\n{}\n",
     "ovsdb error: {}: cannot apply this operation to clustered database file"),
])
def test_files_that_are_no_database_are_refused(tmp_path, data, text):
    path = tmp_path / "x.db"
    path.write_bytes(data)
    with pytest.raises(OvsdbError) as caught:
        Journal.open(str(path))
    assert str(caught.value) == text.format(path)
    Journal.open(_fresh(tmp_path)).close()


def _fresh(folder):
    name = str(folder / "fresh.db")
    create(name, SCHEMA)
    return name


def test_random_bytes_never_break_the_reader(path, tmp_path):
    _fill(path)
    data = Path(path).read_bytes()
    rng = random.Random(7)
    fuzzed = tmp_path / "fuzzed.db"
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(rng.randrange(1, 6)):
            place = rng.randrange(len(broken))
            broken[place:place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
        fuzzed.write_bytes(broken)
        try:
            journal = Journal.open(str(fuzzed))
        except OvsdbError:
            continue
        try:
            journal.load()
        finally:
            journal.close()


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_records_with_random_content_never_break_the_reader(path, seed):
    rng = random.Random(seed)
    names = ["Plain", "Child", "Parent", "Nope", "_date", "_is_diff", "numbers", "map", "name",
             "children", "00000000-0000-0000-0000-000000000001"]

    def value(depth):
        kind = rng.randrange(8 if depth < 5 else 5)
        if kind < 5:
            return rng.choice([None, True, 5, 1e300, "x", "set", ["uuid", names[-1]]])
        if kind < 7:
            return {rng.choice(names): value(depth + 1) for _ in range(rng.randrange(4))}
        return [value(depth + 1) for _ in range(rng.randrange(4))]
    data = Path(path).read_bytes()
    for _ in range(2000):
        body = {rng.choice(names): value(0) for _ in range(3)}
        Path(path).write_bytes(data + encode_record(json.dumps(body).encode()))
        with Opened(path):
            pass


def test_compaction_keeps_the_content_and_later_writes(path):
    with Opened(path) as opened:
        for operations in HISTORY:
            opened.run(*operations)
        compaction = opened.journal.begin_compaction(opened.database, "squeezed", 5)
        opened.run(plain(name="meanwhile", numbers=7))
        compaction.write()
        opened.run(update("Plain", {"numbers": a_set(7, 8)}, [["name", "==", "meanwhile"]]))
        opened.journal.finish_compaction(compaction)
        opened.run(plain(name="later"))
        content = _content(opened.database)
    records = _records(path)
    assert len(records) == 5 and records[1]["_comment"] == "squeezed" and records[1]["_date"] == 5
    with Opened(path) as opened:
        assert _content(opened.database) == content
    assert not os.path.exists(f"{path}.tmp")


def test_a_compaction_that_a_conversion_overtook_is_dropped(path):
    _fill(path)
    with Opened(path) as opened:
        slow = opened.journal.begin_compaction(opened.database, "slow", 5)
        slow.write()
        opened.journal.replace(opened.database, "converted", 6)
        opened.journal.finish_compaction(slow)
        opened.run(plain(name="later"))
        content = _content(opened.database)
    assert [record.get("_comment") for record in _records(path)[1:]] == ["converted", None]
    with Opened(path) as opened:
        assert _content(opened.database) == content
    assert not os.path.exists(f"{path}.tmp")


def test_compaction_goes_through_symbolic_links(path, tmp_path):
    content = _fill(path)
    link = tmp_path / "link.db"
    link.symlink_to("conf.db")
    with Opened(str(link)) as opened:
        opened.journal.compact(opened.database, "c", 5)
    assert link.is_symlink()
    with Opened(path) as opened:
        assert _content(opened.database) == content
        assert opened.journal.n_records == 2


def test_compaction_is_due_by_growth_or_age(path):
    with Opened(path) as opened:
        journal = opened.journal
        last = [0]

        def uniform(low, high):
            last[0] = (low, high)
            return low
        assert not journal.is_compaction_due(0.0, uniform)
        opened.run(plain())
        assert not journal.is_compaction_due(599.0, uniform)
        assert not journal.is_compaction_due(600.0, uniform) and last[0] == (600, 1200)
        journal.size, journal.n_records = 11 << 20, 100
        assert not journal.is_compaction_due(1199.0, uniform)
        assert journal.is_compaction_due(1200.0, uniform)
        journal.size = 1000
        assert not journal.is_compaction_due(5000.0, uniform)
        assert journal.is_compaction_due(1200.0 + 24 * 3600, uniform)


def test_a_full_disk_loses_nothing_that_was_there(path, monkeypatch):
    with Opened(path) as opened:
        opened.run(plain(name="kept"))
        content = _content(opened.database)
        write = os.pwrite

        def half(fd, data, offset):
            write(fd, bytes(data)[:20], offset)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        monkeypatch.setattr(journal_module.os, "pwrite", half)
        assert opened.run(plain(name="lost"))[-1] == {
            "error": "I/O error", "details": f"{path}: write failed",
            "io-error": "No space left on device"}
        monkeypatch.undo()
        assert _content(opened.database) == content
        opened.run(plain(name="next"))
        content = _content(opened.database)
    with Opened(path) as opened:
        assert opened.journal.damage is None and _content(opened.database) == content


def test_only_one_process_at_a_time_writes(path):
    code = (f"import sys; sys.path[:0] = {sys.path!r}\n"
            f"from ovsdb_server.storage.journal import Journal\n"
            f"Journal.open({path!r})")
    with Opened(path):
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "failed to lock lockfile (Resource temporarily unavailable)" in run.stderr
        with pytest.raises(LockError, match="failed to lock lockfile"):
            Journal.open(path)
        Journal.open(path, is_read_only=True).close()
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


_WRITER = """
import sys
sys.path[:0] = {path!r}
from tests.ovsdb_server.storage.test_journal import Opened, plain
with Opened({name!r}) as opened:
    number = 0
    while True:
        number += 1
        opened.run(plain(name=str(number)))
        if number % 7 == 0:
            opened.journal.compact(opened.database, "on the way", 5)
        opened.journal.sync()
        print(number, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_acknowledged(path):
    code = _WRITER.format(path=sys.path, name=path)
    for wanted in (1, 13, 40):
        writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        last = 0
        for line in writer.stdout:
            last = int(line)
            if last >= wanted:
                writer.kill()
                break
        last = int(([last] + writer.stdout.read().split())[-1])
        writer.wait()
        writer.stdout.close()
        with Opened(path) as opened:
            rows = opened.run(select("Plain", columns=["name"]))[0]["rows"]
            assert {str(n) for n in range(1, last + 1)} <= {row["name"] for row in rows}
            opened.run(delete("Plain"))


@pytest.mark.parametrize("line", [
    b"OVSDB JSON 5 aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434\n", b"OVSDB JSON -5 " + b"a" * 40,
    b"OVSDB JSON x " + b"a" * 40 + b"\n", b"OVSDB JSON 5 " + b"g" * 40 + b"\n", b"\n", b"OVSDB"])
def test_bad_headers_are_not_headers(line):
    assert parse_header(line) is None


# Both ways with the reference.

ALL = [select(table) for table in sorted(SCHEMA.tables)]


def _comparable(results):
    for result in results:
        for row in result["rows"]:
            row.pop("_version", None)
            row.pop("fleeting", None)
    return normalize(results)


@pytest.mark.differential
@needs_reference
@pytest.mark.parametrize("as_diff", [True, False])
def test_the_reference_reads_what_we_wrote(path, tmp_path, as_diff):
    _fill(path, as_diff=as_diff)
    query = subprocess.run([TOOL, "query", path, json.dumps(["Zoo", *ALL])], check=True,
                           capture_output=True, text=True)
    with Opened(path) as opened:
        ours = json.loads(json.dumps(opened.run(*ALL)))
    assert _comparable(json.loads(query.stdout)) == _comparable(ours)
    log = subprocess.run([TOOL, "-mm", "show-log", path], check=True, capture_output=True,
                         text=True)
    assert log.stdout.count("record ") == 1 + len(HISTORY)


@pytest.mark.differential
@needs_reference
def test_we_read_what_the_reference_wrote(tmp_path):
    server = Server(tmp_path, ZOO)
    try:
        for operations in HISTORY:
            server.call("transact", ["Zoo", *operations])
        theirs = server.call("transact", ["Zoo", *ALL])[1]
    finally:
        server.close()
    with Opened(str(tmp_path / "conf.db")) as opened:
        ours = json.loads(json.dumps(opened.run(*ALL)))
        assert opened.journal.damage is None
        assert _comparable(ours) == _comparable(theirs)
        opened.run(plain(name="ours"))
    query = subprocess.run([TOOL, "query", str(tmp_path / "conf.db"), json.dumps(
        ["Zoo", select("Plain", [["name", "==", "ours"]], columns=["name"])])],
        check=True, capture_output=True, text=True)
    assert json.loads(query.stdout) == [{"rows": [{"name": "ours"}]}]
