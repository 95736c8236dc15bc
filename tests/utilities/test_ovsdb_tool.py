"""ovsdb-tool: its answers, and every command beside the reference's."""

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.ovsdb_server.reference import TOOL, environment, needs_reference
from utilities import ovsdb_tool
from utilities.command_line import LOG
from ovsdb_server.engine.json_complaint import JsonError, read_json

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "schema" / "vswitch.ovsschema"


def _run(argv):
    """Return (exit code, stdout, stderr) of our tool."""
    LOG.__init__()                                  # As in a process of its own.
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = ovsdb_tool.main(argv)
    return code, *(stream.buffer.getvalue().decode() for stream in (out, err))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with schemas and files of every kind, made current."""
    monkeypatch.chdir(tmp_path)
    schema = json.loads(SCHEMA.read_text())
    (tmp_path / "s1").write_text(json.dumps(schema))
    columns = schema["tables"]["Open_vSwitch"]["columns"]
    del columns["external_ids"], schema["cksum"]
    columns["new"] = {"type": "integer"}
    schema["version"] = "8.9.9"
    (tmp_path / "s2").write_text(json.dumps(schema))
    columns["next_cfg"]["type"] = "string"
    (tmp_path / "s3").write_text(json.dumps(schema))
    (tmp_path / "sbad").write_text('{"name":"a"}')
    (tmp_path / "empty").write_text("")
    (tmp_path / "folder").mkdir()
    (tmp_path / "ln").symlink_to("real.db")
    monkeypatch.setenv("OVS_DBDIR", str(tmp_path))
    monkeypatch.setenv("OVS_LOGDIR", str(tmp_path))
    monkeypatch.setenv("OVS_PKGDATADIR", str(tmp_path))
    (tmp_path / "vswitch.ovsschema").write_text((tmp_path / "s1").read_text())
    return tmp_path


_INSERT = '["Open_vSwitch",{"op":"insert","table":"Open_vSwitch","row":{"external_ids":' \
          '["map",[["a","b"]]]}},{"op":"comment","comment":"hi"}]'
_UPDATE = '["Open_vSwitch",{"op":"update","where":[],"table":"Open_vSwitch","row":{"next_cfg":8}}' \
          ',{"op":"commit","durable":true}]'
_WAIT = '["Open_vSwitch",{"op":"wait","where":[],"table":"Open_vSwitch","until":"==","columns":' \
        '["next_cfg"],"rows":[]%s},{"op":"comment","comment":"x"}]'

LINES = [
    "create a.db s1", "create a.db s1", "create", "create", "db-name", "db-version a.db",
    "db-cksum", "db-name nope", "schema-name nope", "schema-name", "schema-version",
    "schema-cksum", "schema-name a.db", "needs-conversion", "needs-conversion a.db",
    "needs-conversion a.db s2", "--opt", "-x", "--more=3", "--rbac-role", "-o", "--options",
    "show-log a b", "--log-file=x.log list-commands", "-vfoo show-log", "--ver",
    "--mo db-name nope", "-vconsole:off db-name nope", "db-name -m", "needs-conversion a b c",
    "query", "query x", "compare-versions 1", "db-cid", "db-sid nope", "db-sid a.db",
    "check-cluster", "check-cluster nope", "check-cluster a.db", "join-cluster a",
    "cluster-to-standalone a b", "db-is-clustered nope", "db-is-clustered a.db",
    "db-is-standalone a.db", "db-is-standalone s1", "db-is-standalone nope",
    "db-local-address nope", "help", "list-commands", "-h", "-V", "query nope []",
    "query a.db x", "query a.db []", "query a.db {}", """query a.db '["x"]'""",
    """transact '["Open_vSwitch"]'""", f"transact a.db '{_INSERT}'", f"transact a.db '{_INSERT}'",
    f"query a.db '{_UPDATE}'", f"transact a.db '{_UPDATE}'",
    f"transact a.db '{_WAIT % ''}'", "transact a.db '%s'" % (_WAIT % ',"timeout":0'),
    """query a.db '["Open_vSwitch",{"op":"select","where":[],"table":"Open_vSwitch"}]'""",
    "show-log a.db", "-m show-log a.db", "-m -m show-log a.db", "-mm show-log nope",
    "compact a.db", "show-log a.db", "compact a.db b.db", "compact a.db b.db", "compact nope",
    "compact nope x", "convert a.db", "convert a.db s2", "show-log a.db", "db-version a.db",
    "-mm show-log a.db", "convert a.db s3", "convert a.db sbad", "convert a.db s2 c.db",
    "convert nope s2", "convert a.db s2 /nope/x", "create /nope/x", "create x.db sbad",
    "compare-versions 1.2.3 > 1.2.2", "compare-versions 01.2.3 == 1.2.3",
    "compare-versions 1.2.3 = 1.2.3", "compare-versions -1.2.3 == 1.2.3",
    "compare-versions 1.2.3.4 == 1.2.3", "compare-versions a.b.c == 1.2.3",
    "compare-versions 1.2.3 != 1.2.2", "db-name empty", "show-log empty", "compact /nope/x",
    "create ln", "db-version ln", "compact ln", "--cid=foo help", "--election-timer=9 help",
    "db-name folder", "create folder/a.db", "create folder", "needs-conversion a.db folder",
    "needs-conversion nope nope", "foo", "",
]


@pytest.mark.differential
@needs_reference
def test_every_command_answers_as_the_reference_does(folder):
    differences = []
    ours, theirs = _answers(folder, _run), _answers(folder, _run_reference)
    for line, our_answer, their_answer in zip(LINES, ours, theirs):
        if our_answer != their_answer:
            differences.append((line, our_answer, their_answer))
    assert differences == []


def _run_reference(argv):
    run = subprocess.run(["ovsdb-tool", *argv], executable=TOOL, capture_output=True, text=True,
                         env=environment(Path.cwd()))
    return run.returncode, run.stdout, run.stderr


def _answers(folder, run):
    answers = []
    for line in LINES:
        text = repr(run(shlex.split(line)))
        for pattern, name in (
                (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{8}\b", "UUID"),
                (r"\d{4}-\d\d-\d\d[T ][\d:.]+", "TIME"), (r"4\.0\.90|3\.1\.0", "VERSION"),
                (r"pid \d+", "PID")):
            text = re.sub(pattern, name, text)
        answers.append(text)
    for name in ("a.db", "b.db", "c.db", "conf.db", "real.db", "folder/a.db"):
        assert os.stat(folder / name).st_mode & 0o777 == 0o640
        os.unlink(folder / name)
    return answers


def test_a_torn_database_is_an_error_that_says_where(folder):
    assert _run(["create", "a.db", "s1"]) == (0, "", "")
    assert _run(["transact", "a.db", _INSERT])[0] == 0
    data = (folder / "a.db").read_bytes()
    (folder / "a.db").write_bytes(data[:-5])
    for command in (["compact"], ["query", "[]"], ["transact", "[]"], ["show-log"], ["convert"]):
        code, _out, err = _run([command[0], "a.db", *command[1:]])
        assert code == 1 and re.search(r"error reading \d+ bytes starting at offset \d+ \(End of "
                                       r"file\)\n$", err)
    assert _run(["db-name", "a.db"]) == (0, "Open_vSwitch\n", "")
    assert (folder / "a.db").read_bytes() == data[:-5]


def test_without_a_package_directory_our_own_schema_is_taken(folder, monkeypatch):
    monkeypatch.delenv("OVS_PKGDATADIR")
    assert _run(["schema-name"]) == (0, "Open_vSwitch\n", "")


TEXTS = [
    "", " ", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{a:1}", '{"a" 1}',
    '{"a":1 "b":2}', "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "}", "[1]x", "[1] 2",
    '"abc', "[01]", "[-]", "[1.]", "[1.e5]", "[.5]", "[1e]", "[1e400]", "[+1]", "[1-2]", "nul",
    "[nul]", "[true false]", "nullx", "5", '"abc"', "[1]]", '{"a":1}}', "[NaN]", '{"a":tru}',
    "[123abc]", "[1.5x]", "[-x]", "//c", "['a']", "[1e5.5]", "[0x10]", ":", '"a"b', "[true]true",
    '["a\\qb"]', '["a\\u12"]', '["a\\u0000"]', '["a\\ud800"]', '["a\\ud800\\u0041"]',
    '["a\\uzzzz"]', '["a\nb"]', '["a\tb"]', '["\xe9", x]', "[\n\n  x]", '{"a":"b" "c"}',
    '["a" "b"]', '{"a" "b"}', '[ "abc', '[1]"x"', "{5:1}", '["\x01"]', "\x01", "\xe9", "[true",
    "[tru", '{"a":"x"', '["a"', "[[1]", "[" * 1001 + "]" * 1001, '{"a":[}', "[1}", '{"a":1]',
    '["\\', "[1.5", '["a\\ud800x"]', "[\x7f]",
]


@pytest.mark.differential
@needs_reference
def test_json_complaints_are_the_references(tmp_path):
    path = tmp_path / "s"
    differences = []
    for text in TEXTS:
        path.write_text(text)
        error = subprocess.run([TOOL, "schema-name", path], capture_output=True, text=True).stderr
        theirs = error.partition("could not be read as JSON (")[2][:-2]
        with pytest.raises(JsonError) as caught:
            read_json(text)
        if str(caught.value) != theirs:
            differences.append((text, str(caught.value), theirs))
    assert differences == []


@pytest.mark.parametrize("text", ['["\\u00e9\\ud83d\\ude00"]', "[1e5, -0.5, 12]", '{"a": {}}'])
def test_good_json_is_read(text):
    assert read_json(text) == json.loads(text)
