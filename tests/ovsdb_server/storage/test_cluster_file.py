"""Clustered database files: the codec, the log of a sole server, and the tool beside the real one."""

import contextlib
import io
import json
import re
import shutil
import subprocess

import orjson
import pytest

from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.storage.cluster_file import (Entry, Note, State, check_address, encode,
                                               nickname, parse_header, parse_record, read_header)
from ovsdb_server.storage.cluster_log import ClusterLog
from ovsdb_server.storage.record import CLUSTERED, encode_record
from tests.ovsdb_server.reference import TOOL, environment, needs_reference
from utilities import ovsdb_tool
from utilities.command_line import LOG

SCHEMA = {"name": "ordinals", "version": "5.1.3", "cksum": "12345678 9", "tables": {"ordinals": {
    "columns": {"number": {"type": "integer"}, "name": {"type": "string"}},
    "indexes": [["number"]]}}}
OTHER = "11111111-2222-3333-4444-555555555555"
ROW = "22222222-2222-3333-4444-555555555555"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with a schema, `e` with ephemeral columns, and a standalone database."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").write_text(json.dumps(SCHEMA))
    ephemeral = json.loads(json.dumps(SCHEMA))
    ephemeral["tables"]["ordinals"]["columns"]["name"]["ephemeral"] = True
    (tmp_path / "e").write_text(json.dumps(ephemeral))
    _ours("create", "std", "s")
    _ours("transact", "std", '["ordinals",{"op":"insert","table":"ordinals","row":'
                             '{"number":1,"name":"one"}}]')
    return tmp_path


def _ours(*argv):
    LOG.__init__()                                  # As in a process of its own.
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = ovsdb_tool.main(list(argv))
    return code, *(stream.buffer.getvalue().decode() for stream in (out, err))


def _theirs(*argv):
    run = subprocess.run([TOOL, *argv], capture_output=True, text=True, env=environment("."))
    return run.returncode, run.stdout, run.stderr


def _record(value) -> bytes:
    return encode_record(orjson.dumps(value), CLUSTERED)


RECORDS = [
    Entry(1, 2), Entry(3, 4, OTHER, None, {"ordinals": {}}), Entry(3, 5, OTHER, SCHEMA, None),
    Entry(3, 6, servers={OTHER: "tcp:1.2.3.4:5"}), Entry(3, 7, election_timer=5000, comment="x"),
    Entry((1 << 64) - 2, 1 << 63), State(5), State(5, vote=OTHER), State(5, leader=OTHER),
    State(commit_index=7, comment="c"), Note("left"), Note("transfer leadership", "x"),
]


@pytest.mark.parametrize("record", RECORDS)
def test_records_read_back_as_they_were(record):
    text = encode(record)
    value = json.loads(text.split(b"\n")[1])
    assert parse_record(value) == record
    assert all(not isinstance(number, int) or number < 1 << 63 for number in value.values())


@pytest.mark.parametrize("value, text", [
    ({"term": 1, "foo": 2}, "Member 'foo' is present but not allowed here."),
    ({"foo": 1}, "Required 'term' member is missing."),
    ({"term": "x"}, "Type mismatch for member 'term'."),
    ({"term": 1, "index": 2, "data": [None, {}]}, "Required 'eid' member is missing."),
    ({"term": 1, "vote": "x"}, "vote is not a valid UUID"),
])
def test_a_bad_record_says_what_is_wrong(value, text):
    with pytest.raises(OvsdbError) as caught:
        parse_record(value)
    assert caught.value.details == f"Parsing raft log record failed: {text}"


def test_headers_of_servers_that_joined_and_that_did_not(folder):
    assert _ours("create-cluster", "a", "s", "unix:s1.raft") == (0, "", "")
    header = read_header("a")
    assert parse_header(header.to_json()) == header and not header.is_joining
    assert header.snapshot.servers == {header.server_id: "unix:s1.raft"}
    assert _ours("join-cluster", "b", "ordinals", "unix:s2", "unix:s1", "tcp:[::1]:5")[0] == 0
    header = read_header("b")
    assert parse_header(header.to_json()) == header and header.is_joining
    assert (header.cluster_id, header.remotes) == (None, ("unix:s1", "tcp:[::1]:5"))


def test_addresses_and_nicknames():
    for good in ("tcp:1.2.3.4:5", "ssl:[::1]:6", "unix:x", "tcp:host:0"):
        check_address(good)
    for bad in ("ptcp:5", "x", "tcp:1.2.3.4", "tcp:1.2.3.4:99999", "tcp:", "ssl:[::1]"):
        with pytest.raises(OvsdbError):
            check_address(bad)
    assert nickname("unix:/run/s1.raft", OTHER) == "s1"
    assert nickname("tcp:1.2.3.4:5", OTHER) == "1111"


LINES = [
    "db-name F", "db-version F", "db-cksum F", "db-cid F", "db-sid F", "db-local-address F",
    "db-is-clustered F", "db-is-standalone F", "show-log F", "-m show-log F", "-m -m show-log F",
    "check-cluster F", "compact F", "needs-conversion F s", "convert F s", "query F []",
    "transact F []",
]
MAKES = {
    "fresh": "create-cluster F s unix:s1.raft",
    "data": "create-cluster F std tcp:127.0.0.1:6644",
    "timer": "--election-timer=5000 create-cluster F s unix:s1.raft",
    "ephemeral": "create-cluster F e unix:s1.raft",
    "stub": "join-cluster F ordinals unix:j unix:s1",
    "named": f"--cid={OTHER} join-cluster F ordinals unix:j unix:s1",
    "standalone": "create F s",
}


def _masked(answer) -> tuple:
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", repr(answer))
    text = re.sub(r"\b[0-9a-f]{8}\b", "HEX8", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+", "TIME", text)
    return re.sub(r'(_id|eid): [0-9a-f]{4}\b|\b[0-9a-f]{4}(?=\(")', "HEX4", text)


@pytest.mark.differential
@needs_reference
@pytest.mark.parametrize("kind", MAKES)
def test_each_tool_says_the_same_of_what_either_made(folder, kind):
    files = []
    for maker in (_ours, _theirs):
        answer = maker(*MAKES[kind].replace(" F", " F.db").split())
        shutil.move("F.db", f"{len(files)}.db")
        files.append(answer)
    assert _masked(files[0]) == _masked(files[1])
    for line in LINES:
        answers = {_masked(tool(*line.replace("F", file).split())).replace(file, "F")
                   for tool in (_ours, _theirs) for file in ("0.db", "1.db")}
        assert len(answers) == 1, answers


@pytest.mark.differential
@needs_reference
@pytest.mark.parametrize("line", [
    "join-cluster z o unix:a unix:a", "join-cluster z o foo:x unix:a",
    "join-cluster z o tcp:1.2.3.4 unix:a", "join-cluster z o tcp:1.2.3.4:99999 unix:a",
    "join-cluster z o tcp:[::1] unix:a", "join-cluster z o- unix:a unix:b",
    "join-cluster std o unix:a unix:b", "create-cluster z nope unix:a",
    "create-cluster z s ptcp:9", "create-cluster z s", "create-cluster std s unix:a",
    "--election-timer=50 create-cluster z s unix:a", "--cid=x join-cluster z o unix:a unix:b",
    "cluster-to-standalone z std", "cluster-to-standalone z nope", "db-cid std", "db-sid nope",
    "check-cluster std",
])
def test_mistakes_are_named_as_the_reference_names_them(folder, line):
    assert _masked(_ours(*line.split())) == _masked(_theirs(*line.split()))


@pytest.mark.differential
@needs_reference
@pytest.mark.parametrize("records", [
    [{"term": 1, "leader": OTHER}, {"term": 1, "index": 2}],
    [{"term": 1, "leader": 0}, {"term": 1, "index": 2}, {"term": 2}],
    [{"term": 2, "leader": 0}, {"term": 2, "index": 2}, {"term": 1, "index": 3}],
    [{"term": 2}, {"term": 1, "index": 2}, {"commit_index": 3}, {"commit_index": 2}],
    [{"term": 1}, {"term": 1, "index": 4}], [{"term": 1, "index": 2}, {"note": "left"}],
    [{"term": 1, "index": 2}, {"term": 1, "index": 2}],
    # Nothing after the snapshot: empty, unless a term is told.
    [], [{"commit_index": 1}], [{"term": 2}], [{"term": 1, "vote": 0}],
])
def test_a_cluster_is_checked_as_the_reference_checks_it(folder, records):
    _ours("create-cluster", "a", "s", "unix:s1.raft")
    header = read_header("a").to_json()
    header["prev_servers"][OTHER] = "unix:s2"
    sid = header["server_id"]
    (folder / "k1").write_bytes(_record(header) + _record({"term": 1, "leader": sid})
                                + _record({"term": 1, "index": 2}))
    for record in records:
        for key in ("leader", "vote"):
            if record.get(key) == 0:
                record[key] = sid
    (folder / "k2").write_bytes(_record(header | {"server_id": OTHER, "local_address": "unix:s2"})
                                + b"".join(map(_record, records)))
    for files in (("k1", "k2"), ("k2",), ("k1", "k1")):
        assert _ours("check-cluster", *files) == _theirs("check-cluster", *files)


# The log of a sole server.

def _insert(number):
    return {"ordinals": {ROW[:-1] + f"{number}": {"number": number}}, "_date": 5}


@pytest.fixture
def log(folder):
    """An open log of a new cluster."""
    _ours("create-cluster", "a", "s", "unix:s1.raft")
    log = ClusterLog.open("a")
    log.load()
    yield log
    log.close()


def _numbers(database):
    table = database.tables["ordinals"]
    column = table.schema.columns["number"].index
    return sorted(row[column][0] for row in table.rows.values())


def _reopen(log):
    log.close()
    log = ClusterLog.open("a")
    return log, log.load()


def test_entries_are_there_after_opening_again(log):
    log.begin_term()
    assert (log.term, log.index, log.n_entries) == (1, 2, 1)
    for number in range(3):
        log.append(encode(Entry(1, 3 + number, ROW[:-2] + f"0{number}", None, _insert(number))))
    log, database = _reopen(log)
    assert _numbers(database) == [0, 1, 2]
    assert (log.term, log.index, log.damage) == (1, 5, None)
    assert [eid[-2:] for eid, _ in log.history] == ["00", "01", "02"]
    log.begin_term()
    assert (log.term, log.index) == (2, 6)
    log.close()


def test_compaction_keeps_what_is_written_meanwhile(log):
    log.begin_term()
    log.append(encode(Entry(1, 3, OTHER, None, _insert(1))))
    log, database = _reopen(log)
    compaction = log.begin_compaction(database, "compacting", 7)
    log.append(encode(Entry(1, 4, OTHER, None, _insert(2))))
    log.note_commit(4)
    compaction.write()
    assert log.finish_compaction(compaction)
    assert log.first_index == 4
    log, database = _reopen(log)
    assert _numbers(database) == [1, 2]
    assert (log.header.snapshot.index, log.index, log.commit_index, log.term) == (3, 4, 4, 1)
    log.close()


def test_a_torn_tail_is_cut_off_and_a_bad_record_is_fatal(log):
    log.begin_term()
    log.append(encode(Entry(1, 3, OTHER, None, _insert(1))))
    size = log.size
    log.append(encode(Entry(1, 4, OTHER, None, _insert(2)))[:-9])
    log, database = _reopen(log)
    assert "error reading" in str(log.damage) and (log.index, log.size) == (3, size)
    log.begin_term()
    log, database = _reopen(log)
    assert (log.index, log.damage) == (4, None) and _numbers(database) == [1]
    log.append(encode(Entry(2, 9)))
    log.close()
    log = ClusterLog.open("a")
    with pytest.raises(OvsdbError, match="record 8 with index 9 skips past expected index 5"):
        log.load()
    log.close()


def test_an_uncommitted_entry_may_be_replaced_and_a_committed_one_not(log):
    for entry in (Entry(1, 2), Entry(1, 3, OTHER, None, _insert(1)),
                  Entry(2, 3, ROW, None, _insert(2))):
        log.append(encode(entry))
    log, database = _reopen(log)
    assert _numbers(database) == [2] and log.eid == ROW
    log.note_commit(3)
    log.append(encode(Entry(2, 3)))
    log.close()
    log = ClusterLog.open("a")
    with pytest.raises(OvsdbError, match="commit index is already 3"):
        log.load()
    log.close()


def test_a_conversion_in_the_log_is_replayed(log):
    schema = json.loads(json.dumps(SCHEMA))
    schema["tables"]["ordinals"]["columns"]["new"] = {"type": "string"}
    log.begin_term()
    log.append(encode(Entry(1, 3, OTHER, None, _insert(1))))
    log.append(encode(Entry(1, 4, OTHER, schema, None)))
    log.append(encode(Entry(1, 5, OTHER, None, _insert(2))))
    log, database = _reopen(log)
    assert _numbers(database) == [1, 2] and "new" in database.schema.tables["ordinals"].columns
    assert len(log.history) == 1
    log.close()
    assert _ours("cluster-to-standalone", "sa", "a") == (0, "", "")
    code, out, _err = _ours("query", "sa", '["ordinals",{"op":"select","table":"ordinals",'
                                           '"where":[],"columns":["number","new"]}]')
    assert json.loads(out)[0]["rows"] == [{"number": n, "new": ""} for n in (1, 2)]
