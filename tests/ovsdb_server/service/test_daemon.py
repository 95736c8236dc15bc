"""How scripts start, drive, wait for and stop ovsdb-server: facts about every program's life."""

import fcntl
import os
import re
import signal
import socket
import stat
import struct
import subprocess
import time
from pathlib import Path

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import blocking
from ovsdb_server.storage import journal

SCHEMA = DatabaseSchema.from_json({"name": "T", "version": "1.0.0", "tables": {
    "A": {"columns": {"x": {"type": "integer"}}}}})

LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|\d{5}\|"


@pytest.fixture
def server(make_server):
    process = make_server()
    journal.create(str(process.directory / "conf.db"), SCHEMA)
    return process


def lock_owner(path: Path) -> int:
    """Return the pid that holds a lock on the file, 0 if none does."""
    with open(path, "rb") as file:
        query = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, query))
    return 0 if kind == fcntl.F_UNLCK else pid


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_parent_returns_when_everything_is_there(server):
    done = server.start("--log-file")
    directory = server.directory
    assert done.returncode == 0 and done.stdout == ""
    for line in done.stderr.splitlines():
        assert re.fullmatch(
            LINE + rf"(vlog\|INFO\|opened log file {re.escape(str(directory))}/ovsdb-server.log"
            r"|ovsdb_server\|INFO\|ovsdb-server \(Open vSwitch\) 4\.0\.90)", line), line
    control = directory / f"ovsdb-server.{server.pid}.ctl"
    assert {p.name for p in directory.iterdir()} == {
        "conf.db", ".conf.db.~lock~", "db.sock", control.name, "ovsdb-server.log",
        "ovsdb-server.pid"}
    assert mode(control) == mode(directory / "db.sock") == 0o750
    assert mode(directory / "conf.db") == mode(directory / "ovsdb-server.log") == 0o640
    assert mode(directory / "ovsdb-server.pid") == 0o644
    assert lock_owner(directory / "ovsdb-server.pid") == server.pid
    assert Path(f"/proc/{server.pid}/comm").read_text() == "ovsdb-server\n"
    with blocking.connect(server.remote, 5) as connection:
        assert connection.call("list_dbs", [], 5) == ["T", "_Server"]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\|00001\|vlog\|INFO\|opened log file \S+",
        server.log().splitlines()[0])


def test_a_relative_log_file_starts_where_the_server_does(server):
    done = server.start("--log-file=some.log")
    assert "|vlog|INFO|opened log file some.log\n" in done.stderr
    (server.directory / "some.log").rename(server.directory / "old.log")
    assert server.appctl("vlog/reopen").returncode == 0
    assert "opened log file" in (server.directory / "some.log").read_text()


@pytest.mark.parametrize("name", ["", "nosuch/some.log"])
def test_a_log_file_that_cannot_be_opened_ends_the_start(server, name):
    done = server.start(f"--log-file={name}")
    assert done.returncode == 1
    assert done.stderr.endswith(f"|vlog|WARN|failed to open {name} for logging: "
                                "No such file or directory\n")


def test_warnings_only_on_the_console_means_silence(server):
    done = server.start("--log-file", "-vconsole:warn")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_exit_answers_nothing_and_leaves_only_files(server):
    server.start("--log-file", "-vconsole:off")
    done = server.appctl("exit")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.wait_end()
    assert {p.name for p in server.directory.iterdir()} == {
        "conf.db", ".conf.db.~lock~", "ovsdb-server.log"}
    assert not re.search(r"\|(WARN|ERR|EMER)\|", server.log())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_fatal_signal_removes_pidfile_and_sockets(server, number):
    server.start("--log-file", "-vconsole:off")
    server.kill(number)
    assert {p.name for p in server.directory.iterdir()} == {
        "conf.db", ".conf.db.~lock~", "ovsdb-server.log"}
    assert f"|fatal_signal|WARN|terminating with signal {number} (" in server.log()


def test_a_second_daemon_is_refused_unless_told_to_overwrite(server):
    server.start("-vconsole:off")
    first = server.pid
    done = server.start("-vconsole:off")
    assert done.returncode == 1
    assert done.stderr == (f"ovsdb-server: {server.directory}/ovsdb-server.pid: already running "
                           f"as pid {first}, aborting\n")
    assert lock_owner(server.directory / "ovsdb-server.pid") == first
    done = server.start("-vconsole:off", "--log-file=second.log")
    assert "|vlog|INFO|" not in done.stderr and "already running" in done.stderr
    assert (f"|daemon_unix|EMER|{server.directory}/ovsdb-server.pid: already running as pid "
            f"{first}, aborting") in (server.directory / "second.log").read_text()


def test_a_stale_pidfile_and_a_stale_socket_do_not_matter(server):
    server.start("-vconsole:off")
    server.kill(signal.SIGKILL)
    assert (server.directory / "db.sock").exists()
    assert server.appctl("version").stderr.endswith(
        f'cannot read pidfile "{server.directory}/ovsdb-server.pid" (No such process)\n')
    assert server.start("-vconsole:off").returncode == 0
    assert server.appctl("version").stdout == "ovsdb-server (Open vSwitch) 4.0.90\n"


def test_port_zero_tells_the_port_in_the_log(server):
    done = server.start("--log-file", "-vconsole:off", "--remote=ptcp:0:127.0.0.1")
    assert done.returncode == 0
    port = re.search(r"\|socket_util\|INFO\|0:127\.0\.0\.1: listening on port (\d+)$",
                     server.log(), re.MULTILINE).group(1)
    with blocking.connect(f"tcp:127.0.0.1:{port}", 5) as connection:
        assert connection.call("echo", [1], 5) == [1]


def test_a_passed_descriptor_is_listened_on(server):
    path = str(server.directory / "passed.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        done = subprocess.run(
            [*server.command, "--detach", "--no-chdir", "--pidfile", "-vconsole:off",
             f"--remote=pfd:{listener.fileno()}"], env=server.environment, cwd=server.directory,
            pass_fds=[listener.fileno()], timeout=20)
        assert done.returncode == 0
    server.pid = int((server.directory / "ovsdb-server.pid").read_text())
    with blocking.connect(f"unix:{path}", 5) as connection:
        assert connection.call("list_dbs", [], 5) == ["T", "_Server"]


def test_a_missing_database_is_named(server):
    done = server.start("-vconsole:off", "nope.db")
    assert done.returncode == 1
    assert done.stderr == ("ovsdb-server: I/O error: nope.db: open failed (No such file or "
                           "directory)\n")
    assert not (server.directory / "ovsdb-server.pid").exists()


def test_directories_with_long_names_work(make_server):
    server = make_server(name="d" * 120)
    journal.create(str(server.directory / "conf.db"), SCHEMA)
    assert server.start("-vconsole:off").returncode == 0
    with blocking.connect(server.remote, 5) as connection:
        assert connection.call("list_dbs", [], 5) == ["T", "_Server"]
    assert server.appctl("exit").returncode == 0


def _wait_for_another(server) -> None:
    """Wait until the monitor has started another server, and make `server.pid` that one's."""
    first = server.pid
    pidfile = server.directory / "ovsdb-server.pid"
    deadline = time.monotonic() + 10
    while not pidfile.exists() or pidfile.read_text() in ("", f"{first}\n"):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    server.pid = int(pidfile.read_text())
    while server.appctl("version").returncode:
        assert time.monotonic() < deadline


def test_the_monitor_restarts_a_crashed_daemon(server):
    assert server.start("--monitor", "--log-file", "-vconsole:off").returncode == 0
    first = server.pid
    parent = int(re.search(r"^PPid:\t(\d+)$", Path(f"/proc/{first}/status").read_text(),
                           re.MULTILINE).group(1))
    assert Path(f"/proc/{parent}/comm").read_text() == "monitor\n"
    log = server.directory / "ovsdb-server.log"
    log.rename(server.directory / "rotated")
    assert server.appctl("vlog/reopen").returncode == 0
    os.kill(first, signal.SIGSEGV)
    _wait_for_another(server)
    pidfile = server.directory / "ovsdb-server.pid"
    assert server.pid != first and lock_owner(pidfile) == server.pid
    assert f"1 crashes: pid {first} died, killed (Segmentation fault)" in server.log()
    assert server.appctl("exit").returncode == 0
    server.wait_end()
    server.pid = parent
    server.wait_end()


def test_after_a_crash_the_server_has_what_commands_gave_it(server):
    server.start("--monitor", "--log-file", "-vconsole:off")
    other = DatabaseSchema.from_json({"name": "U", "version": "1.0.0", "tables": {
        "A": {"columns": {"x": {"type": "integer"}}}}})
    journal.create(str(server.directory / "other.db"), other)
    for command in (("add-db", "other.db"), ("add-remote", "punix:two.sock"),
                    ("remove-db", "T"), ("remove-remote", f"p{server.remote}")):
        done = server.appctl(f"ovsdb-server/{command[0]}", command[1])
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    first = server.pid
    parent = int(re.search(r"^PPid:\t(\d+)$", Path(f"/proc/{first}/status").read_text(),
                           re.MULTILINE).group(1))
    os.kill(first, signal.SIGSEGV)
    _wait_for_another(server)
    assert server.appctl("ovsdb-server/list-dbs").stdout == "U\n_Server\n"
    assert server.appctl("ovsdb-server/list-remotes").stdout == "punix:two.sock\n"
    assert (f"daemon_unix(monitor)|ERR|1 crashes: pid {first} died, killed (Segmentation fault), "
            "restarting") in server.log()
    assert server.appctl("exit").returncode == 0
    server.wait_end()
    server.pid = parent
    server.wait_end()


def test_run_returns_the_status_of_its_command(server):
    command = [*server.command, f"--remote=p{server.remote}", "-vconsole:off"]
    done = server.run(*command, "--run=test -S db.sock")
    assert (done.returncode, done.stderr) == (0, "")
    done = server.run(*command, "--run=exit 3")
    assert (done.returncode, done.stderr) == (
        1, "ovsdb-server: exit 3: child exited, exit status 3\n")


@pytest.mark.parametrize("option, text", [
    ("--bogus", "unrecognized option '--bogus'"), ("--remote", "option '--remote' requires an "
                                                              "argument"),
    ("-vfoo", 'processing "foo": no destination, level, or module "foo"'),
    ("--remote=db:No,A,x", '"db:No,A,x": no database named No\n'),
    ("--remote=db:T,B,x", '"db:T,B,x": no table named B\n'),
    ("--remote=db:T,A,y", '"db:T,A,y": table "A" has no column "y"\n'),
])
def test_a_wrong_command_line_is_named(server, option, text):
    done = server.run(*server.command, option, timeout=10)
    assert done.returncode == 1
    assert done.stderr.removesuffix("\n").split("\n", 1)[-1] in f"ovsdb-server: {text}"
    assert text in done.stderr


@pytest.mark.parametrize("kind", [
    "ours", pytest.param("reference", marks=pytest.mark.differential)])
def test_the_monitor_tells_of_a_start_that_failed_and_of_nothing_else(make_server, kind):
    server = make_server(kind)
    command = [*server.command, "--monitor", "--no-chdir", "--pidfile", "-vconsole:off"]
    done = server.run(*command, "none.db")
    assert (done.returncode, done.stderr) == (
        1, "ovsdb-server: I/O error: none.db: open failed (No such file or directory)\n")
    done = server.run(*command, "--no-dbs", "--run=exit 3")
    assert (done.returncode, done.stderr) == (
        0, "ovsdb-server: exit 3: child exited, exit status 3\n")
