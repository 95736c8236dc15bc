"""ovsdb-client beside the reference's: one run after the other on two equal servers."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.utilities.oracle import Pair, Server, needs_reference, run_ours, run_reference
from utilities.ovsdb_client import main

pytestmark = [pytest.mark.differential, needs_reference]

ORDINALS = {
    "name": "ordinals", "version": "5.1.3", "cksum": "12345678 9",
    "tables": {
        "ordinals": {"indexes": [["number"]], "columns": {
            "number": {"type": "integer"}, "name": {"type": "string"}, "r": {"type": "real"},
            "m": {"type": {"key": "string", "value": "integer", "min": 0, "max": "unlimited"}},
            "e": {"type": "string", "ephemeral": True},
            "ref": {"type": {"key": {"type": "uuid", "refTable": "ordinals"},
                             "min": 0, "max": "unlimited"}}}},
        "empty": {"columns": {"a": {"type": "string"}}}}}

INSERT = '["ordinals",%s]' % ",".join(
    '{"op":"insert","table":"ordinals","uuid":"%08d-1111-1111-1111-111111111111","row":%s}'
    % (i, row) for i, row in enumerate((
        '{"number":1,"name":"one","m":["map",[["a",1],["b",2]]],"r":1.5}',
        '{"number":0,"name":"zero x","e":"eph"}',
        '{"number":10,"name":"same"}',
        '{"number":9,"name":"same","r":-1e100}',
        '{"number":-3,"name":"a\\"b","ref":["uuid","00000000-1111-1111-1111-111111111111"]}')))

# Lines that start with "~" print in hash order: their lines are compared sorted.
SCRIPT = Path(__file__).parent / "ovsdb_client_script.txt"


def _make_pair(directory: Path, with_our_server: bool) -> Pair:
    schema = directory / "ordinals.ovsschema"
    schema.write_text(json.dumps(ORDINALS))
    pair = Pair(directory, schema, with_our_server)
    for server in pair.sides:
        subprocess.run(["ovsdb-client", "transact", INSERT], env=server.environment, check=True,
                       stdout=subprocess.DEVNULL)
        for name, change in (("same", {}), ("next", {"version": "5.1.4"})):
            (server.directory / f"{name}.ovsschema").write_text(json.dumps(ORDINALS | change))
        (server.directory / "bad.ovsschema").write_text('{"name":"x"}')
    return pair


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A server of the reference for each side."""
    pair = _make_pair(tmp_path_factory.mktemp("client"), False)
    yield pair
    pair.stop()


@pytest.fixture(scope="module")
def mixed_pair(tmp_path_factory):
    """Our server for our program, the reference's for the reference's."""
    pair = _make_pair(tmp_path_factory.mktemp("mixed"), True)
    yield pair
    pair.stop()


def _run_script(pair: Pair, is_wanted) -> None:
    failures = []
    for line in filter(is_wanted, SCRIPT.read_text().splitlines()):
        argv = shlex.split(line.lstrip("~"))
        if argv == ["."]:
            argv = []
        try:
            pair.compare("ovsdb-client", main, argv, line.startswith("~"))
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n\n".join(failures)


def test_runs_print_the_same(pair) -> None:
    _run_script(pair, lambda line: True)


def test_runs_print_the_same_with_our_server(mixed_pair) -> None:
    # Those that only a time limit ends have been compared.
    _run_script(mixed_pair, lambda line: not line.startswith("-t 1"))


def _records(text: str) -> list:
    lines = text.splitlines()
    assert all(line.startswith("OVSDB JSON ") for line in lines[::2])
    for header, body in zip(lines[::2], lines[1::2]):
        assert int(header.split()[2]) == len(body.encode()) + 1
    contents = [json.loads(line) for line in lines[1::2]]
    for record in contents:
        record.pop("_date", None)
    return contents


def test_backups_can_be_exchanged(pair) -> None:
    ours, reference = pair.run_both("ovsdb-client", main, ["backup"])
    assert _records(ours.stdout) == _records(reference.stdout)
    before = [server.dump() for server in pair.sides]
    # Each side restores what the other has saved.
    first = run_ours(main, ["restore"], pair.sides[0], reference.stdout.encode())
    second = run_reference("ovsdb-client", ["restore"], pair.sides[1], ours.stdout.encode())
    assert (first.stdout, first.stderr, first.code) == ("", "", 0)
    assert second.code == 0
    for table in ("ordinals", "empty"):
        for old, server in zip(before, pair.sides):
            wanted = [re.sub('"e": "[^"]*"', '"e": ""', row) for row in old[table]]
            assert server.dump()[table] == wanted


@pytest.mark.parametrize("stdin", [
    b"", b"x", b"OVSDB CLUSTER 2 0000000000000000000000000000000000000000\n{}", ])
def test_restore_refuses_what_is_no_backup(pair, stdin: bytes) -> None:
    pair.compare("ovsdb-client", main, ["restore"], stdin=stdin)


def test_restore_of_another_version_needs_force(pair) -> None:
    other = run_reference("ovsdb-client", ["backup"], pair.sides[1]).stdout
    body = other.splitlines()[1].replace("5.1.3", "5.1.9").encode() + b"\n"
    from hashlib import sha1
    record = b"OVSDB JSON %d %s\n%s" % (len(body), sha1(body).hexdigest().encode(), body)
    pair.compare("ovsdb-client", main, ["restore"], stdin=record)
    pair.compare("ovsdb-client", main, ["--force", "restore"], stdin=record)


def _transact(server: Server, *operations: dict) -> None:
    assert all("error" not in result for result in server.transact(*operations))


def _wait_for(condition, what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def _start_ours(server: Server, argv: list[str], output: Path) -> None:
    """Run our program in a child; it detaches, so it is waited for."""
    result = run_ours(lambda words: _redirected(words, output), argv, server)
    assert result.code == 0, result.stderr


def _redirected(argv: list[str], output: Path) -> int:
    fd = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    return main(argv)


def _start_theirs(server: Server, argv: list[str], output: Path) -> None:
    """Run the reference's ovsdb-client, which detaches, with its output in a file."""
    with open(output, "wb") as file:
        subprocess.run(["ovsdb-client", *argv], cwd=server.directory, check=True,
                       env=server.environment, stdout=file, stderr=file)


def _watch(server: Server, argv: list[str], is_ours: bool) -> str:
    """Detach a monitor, change the database step by step, and return what it printed."""
    output = server.directory / "monitor.out"
    options = ["--detach", "--no-chdir", "--pidfile", "-vconsole:warn", *argv]
    if is_ours:
        _start_ours(server, options, output)
    else:
        _start_theirs(server, options, output)
    pidfile = server.directory / "ovsdb-client.pid"
    pid = int(pidfile.read_text())
    where = [["number", "==", 7]]
    size = output.stat().st_size
    sizes = [size]
    for operation in (
            {"op": "insert", "table": "ordinals", "row": {"number": 7, "name": "seven"}},
            {"op": "update", "table": "ordinals", "where": where,
             "row": {"name": "SEVEN", "m": ["map", [["x", 1]]]}},
            {"op": "delete", "table": "ordinals", "where": where}):
        _transact(server, operation)
        # The monitor takes each change before the next is made: appctl answers after it.
        subprocess.run(["ovs-appctl", "-t", str(server.directory / f"ovsdb-client.{pid}.ctl"),
                        "version"], env=server.environment, check=True, capture_output=True)
        time.sleep(0.02)
        sizes.append(output.stat().st_size)
    subprocess.run(["ovs-appctl", "-t", "ovsdb-client", "exit"], env=server.environment,
                   check=True)
    _wait_for(lambda: not pidfile.exists(), "the monitor does not exit")
    return output.read_text()


MONITORS = [
    "monitor ordinals empty",
    "monitor ordinals ordinals number,name",
    "-f csv monitor ordinals ordinals",
    "-f json monitor ordinals ordinals number,name",
    "-d json -f csv monitor ordinals ordinals number,name,m",
    "-f list monitor ordinals ordinals number",
    "-f csv monitor ordinals ALL",
    "-f csv --no-headings monitor ordinals ordinals number,!insert name,!modify,!delete",
    "-f csv monitor ordinals ordinals number,!initial",
    """-f csv monitor-cond ordinals '[["number","==",7]]' ordinals number,name""",
    "-f csv monitor-cond ordinals '[]' ordinals number,m,!initial",
    """-f csv monitor-cond-since ordinals '[["number",">",3]]' ordinals number,!initial""",
    "-f csv monitor-cond-since ordinals 11111111-1111-1111-1111-111111111111 '[true]' ordinals "
    "number,!initial",
    "-f csv --timestamp monitor ordinals ordinals number,!initial",
    "-f html --timestamp monitor ordinals ordinals number,!initial",
]


def _order_free(text: str) -> list:
    """Return the lines sorted, JSON tables with their rows sorted: rows come in hash order."""
    lines = []
    for line in text.splitlines():
        if line.startswith("{"):
            table = json.loads(line)
            table["data"].sort(key=json.dumps)
            line = json.dumps(table, sort_keys=True)
        lines.append(line)
    return sorted(lines)


@pytest.mark.parametrize("line", MONITORS)
def test_monitor_prints_the_same(pair, line: str) -> None:
    _compare_monitors(pair, line)


@pytest.mark.parametrize("line", MONITORS)
def test_monitor_prints_the_same_with_our_server(mixed_pair, line: str) -> None:
    _compare_monitors(mixed_pair, line)


def _compare_monitors(pair: Pair, line: str) -> None:
    argv = shlex.split(line)
    texts = []
    for server, is_ours in zip(pair.sides, (True, False)):
        text = _watch(server, argv, is_ours)
        text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", text)
        text = re.sub(r'(?<="#UUID">)[0-9a-f]{8}', "UUID", text)
        texts.append(re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "TIME", text))
    assert _order_free(texts[0]) == _order_free(texts[1])


def test_a_detached_monitor_is_a_daemon(pair) -> None:
    server = pair.sides[0]
    output = server.directory / "daemon.out"
    _start_ours(server, ["--detach", "--no-chdir", "--pidfile=DIR.pid".replace(
        "DIR", str(server.directory / "m")), "monitor", "ordinals", "empty"], output)
    pid = int((server.directory / "m.pid").read_text())
    control = server.directory / f"ovsdb-client.{pid}.ctl"
    assert Path(f"/proc/{pid}/comm").read_text() == "ovsdb-client\n"

    def appctl(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["ovs-appctl", "-t", str(control), *words],
                              env=server.environment, capture_output=True, text=True)
    assert appctl("ovsdb-client/unblock").returncode == 2
    assert appctl("ovsdb-client/block").returncode == 0
    assert "already blocking" in appctl("ovsdb-client/block").stderr
    assert appctl("ovsdb-client/unblock").returncode == 0
    assert "list-commands" in appctl("nosuch").stderr
    listed = [line.split()[0] for line in appctl("list-commands").stdout.splitlines()[1:]]
    assert listed == [
        "coverage/read-counter", "coverage/show", "exit", "list-commands", "ovsdb-client/block",
        "ovsdb-client/cond_change", "ovsdb-client/unblock", "version", "vlog/close",
        "vlog/disable-rate-limit", "vlog/enable-rate-limit", "vlog/list", "vlog/list-pattern",
        "vlog/reopen", "vlog/set"]
    assert "\njsonrpc            OFF       INFO       INFO\n" in appctl("vlog/list").stdout
    assert appctl("vlog/set", "jsonrpc:syslog:dbg").returncode == 0
    assert "\njsonrpc            OFF        DBG       INFO\n" in appctl("vlog/list").stdout
    assert 'no destination, level, or module "bogus"' in appctl("vlog/set", "bogus").stderr
    assert appctl("vlog/list-pattern").stdout.splitlines()[3:] == [
        "CONSOLE  none                              %D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
        "FILE     none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m"]
    assert "Logging to file not configured" in appctl("vlog/reopen").stderr
    assert "unknown module" in appctl("vlog/disable-rate-limit", "bogus").stderr
    assert appctl("coverage/show").stdout.startswith("Event coverage, avg rate over last: ")
    assert "No such counter" in appctl("coverage/read-counter", "bogus").stderr
    os.kill(pid, signal.SIGTERM)
    _wait_for(lambda: not control.exists(), "the control socket stays")
    assert not (server.directory / "m.pid").exists()


def test_conditions_can_be_changed_while_watching(pair) -> None:
    texts = []
    for server, is_ours in zip(pair.sides, (True, False)):
        _transact(server, *({"op": "insert", "table": "ordinals", "row": {"number": number}}
                            for number in (501, 510)))
        output = server.directory / "cond.out"
        argv = ["--detach", "--no-chdir", "--pidfile", "-f", "csv", "monitor-cond", "ordinals",
                '[["number","==",501]]', "ordinals", "number"]
        if is_ours:
            _start_ours(server, argv, output)
        else:
            with open(output, "wb") as file:
                subprocess.run(["ovsdb-client", *argv], cwd=server.directory, check=True,
                               env=server.environment, stdout=file, stderr=file)

        def appctl(*words: str) -> str:
            return subprocess.run(["ovs-appctl", "-t", "ovsdb-client", *words],
                                  env=server.environment, check=True, capture_output=True,
                                  text=True).stdout
        assert appctl("ovsdb-client/cond_change", "ordinals",
                      '[["number","==",510]]').strip() == "condition changed"
        _wait_for(lambda: "delete" in output.read_text(), "no change after the condition")
        appctl("exit")
        _wait_for(lambda: not (server.directory / "ovsdb-client.pid").exists(), "no exit")
        texts.append(sorted(line.partition(",")[2] for line in output.read_text().splitlines()))
    assert texts[0] == texts[1]
    assert "insert,510" in texts[0]


def test_the_control_socket_may_be_elsewhere(pair) -> None:
    server = pair.sides[0]
    output = server.directory / "locker.out"
    _start_ours(server, ["--detach", "--no-chdir", "--pidfile=" + str(server.directory / "c1.pid"),
                         "--unixctl=" + str(server.directory / "c1"), "lock", "lock0"], output)

    def appctl(*words: str) -> None:
        subprocess.run(["ovs-appctl", "-t", str(server.directory / "c1"), *words],
                       env=server.environment, check=True, capture_output=True)
    appctl("unlock", "lock0")
    appctl("steal", "lock0")
    _wait_for(lambda: output.read_text().count('{"locked":true}') == 2, "no second lock")
    appctl("exit")
    _wait_for(lambda: not (server.directory / "c1.pid").exists(), "no exit")


def test_detached_lockers_print_the_same(pair) -> None:
    texts = []
    for server, is_ours in zip(pair.sides, (True, False)):
        outputs = [server.directory / f"locker{number}.out" for number in range(3)]
        pids = []
        for number, output in enumerate(outputs):
            pidfile = server.directory / f"locker{number}.pid"
            argv = ["-vconsole:off", "--detach", "--no-chdir", f"--pidfile={pidfile}", "lock",
                    "shared"]
            if is_ours:
                _start_ours(server, argv, output)
            else:
                _start_theirs(server, argv, output)
            pids.append(int(pidfile.read_text()))

        def appctl(number: int, *words: str) -> None:
            control = server.directory / f"ovsdb-client.{pids[number]}.ctl"
            subprocess.run(["ovs-appctl", "-t", str(control), *words], env=server.environment,
                           check=True, capture_output=True)
        for number, words, waiter, end in (
                (0, ("unlock", "shared"), 1, '["shared"]\n'),
                (1, ("unlock", "shared"), 2, '["shared"]\n'),
                (0, ("steal", "shared"), 2, 'stolen\n["shared"]\n'),
                (0, ("lock", "other"), 0, '{"locked":true}\n')):
            appctl(number, *words)
            _wait_for(lambda: outputs[waiter].read_text().endswith(end), f"{number} {words}")
        # Before they end: the reference tells an owner `locked` again when one who waits leaves.
        texts.append([output.read_text() for output in outputs])
        for number in (2, 1, 0):
            appctl(number, "exit")
        _wait_for(lambda: not any((server.directory / f"locker{number}.pid").exists()
                                  for number in range(3)), "no exit")
    assert texts[0] == texts[1]
