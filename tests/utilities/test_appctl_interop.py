"""ovs-appctl with control sockets and clients that are not ours: the `ovs` package's and Debian's."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.utilities.oracle import Server, run_ours
from utilities.appctl import main

REFERENCE = shutil.which("ovs-appctl", path="/usr/bin:/usr/local/bin")

# A daemon made of the `ovs` package, which a Python program of the field would be.
DAEMON = '''
import sys
import ovs.daemon, ovs.poller, ovs.unixctl, ovs.unixctl.server, ovs.util, ovs.vlog
ovs.util.PROGRAM_NAME = "test-unixctl"
ovs.daemon.set_pidfile(None)
ended = []
blocked = []
def exit_(conn, argv, aux): ended.append(conn)
def echo(conn, argv, aux): conn.reply(str(argv))
def echo_error(conn, argv, aux): conn.reply_error(str(argv))
def lines(conn, argv, aux): conn.reply("a\\nb\\n")
def table(conn, argv, aux): conn.reply_json({"b": [1, "x"], "a": None, "c": "\\u00e9"})
for name, function in (("exit", exit_), ("echo", echo), ("echo_error", echo_error),
                       ("lines", lines), ("table", table)):
    ovs.unixctl.command_register(name, "ARG", 0, 9, function, None)
error, server = ovs.unixctl.server.UnixctlServer.create(None, "9.9")
ovs.daemon.daemonize_start()
ovs.daemon.daemonize_complete()
print("ready", flush=True)
while not ended:
    server.run()
    poller = ovs.poller.Poller()
    server.wait(poller)
    if not ended:
        poller.block()
ended[0].reply(None)
server.run()
server.close()
'''


class Place:
    """A directory that looks like a server's to `run_ours`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "OVS_SYSLOG_METHOD": "null",
                            "OVS_CTL_TIMEOUT": "20", "OVS_RUNDIR": str(directory)}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("unixctl"))
    script = place.directory / "daemon.py"
    script.write_text(DAEMON)
    process = subprocess.Popen([sys.executable, str(script)], env=place.environment,
                               stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    yield place
    process.stdout.close()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait(10)


def ask(place: Place, *argv: str) -> tuple[str, str, int]:
    """Run our ovs-appctl."""
    outcome = run_ours(main, ["-t", "test-unixctl", *argv], place)
    return outcome.stdout, outcome.stderr, outcome.code


ERROR = "ovs-appctl: test-unixctl: server returned an error\n"


@pytest.mark.parametrize("argv, expected", [
    (["version"], ("test-unixctl (Open vSwitch) 9.9\n", "", 0)),
    (["echo"], ("[]\n", "", 0)),
    (["echo", "a", "b c", ""], ("['a', 'b c', '']\n", "", 0)),
    (["-e", "echo", "x"], ("['x']\n", "", 0)),
    (["--execute", "echo", "x"], ("['x']\n", "", 0)),
    (["-T", "9", "echo", "-x", "--"], ("['-x', '--']\n", "", 0)),
    (["--timeout=9", "lines"], ("a\nb\n", "", 0)),
    (["echo_error", "x"], ("", "['x']\n" + ERROR, 2)),
    (["nosuch"], ("", '"nosuch" is not a valid command\n' + ERROR, 2)),
    (["version", "x"], ("", '"version" command takes at most 0 arguments\n' + ERROR, 2)),
    (["table"], ('{"a": null, "b": [1, "x"], "c": "é"}\n', "", 0)),
    (["--format", "json", "table"], ('{"a":null,"b":[1,"x"],"c":"é"}\n', "", 0)),
    (["-f", "json", "--pretty", "table"],
     ('{\n  "a": null,\n  "b": [\n    1,\n    "x"],\n  "c": "é"}\n', "", 0)),
    (["--format=json", "echo", "x"], ('{"reply":"[\'x\']","reply-format":"plain"}\n', "", 0)),
    (["--format=json", "--pretty", "version"],
     ('{\n  "reply": "test-unixctl (Open vSwitch) 9.9",\n  "reply-format": "plain"}\n', "", 0)),
    (["--format=json", "echo_error", "x"], ("", "['x']\n" + ERROR, 2)),
    (["--format=text", "echo"], ("[]\n", "", 0)),
    (["--format=xml", "echo"],
     ("", "ovs-appctl: value xml on -f or --format is invalid\n", 1)),
    (["--pretty", "echo"],
     ("", "ovs-appctl: --pretty is supported with --format json only\n", 1)),
])
def test_a_daemon_of_the_ovs_package_is_understood(place, argv, expected) -> None:
    assert ask(place, *argv) == expected


def test_its_list_of_commands(place) -> None:
    text = ask(place, "help")[0]
    assert text.startswith("The available commands are:\n")
    assert "  echo                    ARG\n" in text and "  set-options " in text


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"), is_ours=True)
    yield server
    server.stop()


def test_clients_of_the_ovs_package_are_answered(server) -> None:
    pid = (server.directory / "ovsdb-server.pid").read_text().strip()
    code = ("import ovs.unixctl.client as c, json, sys\n"
            "error, client = c.UnixctlClient.create(sys.argv[1])\n"
            "print(json.dumps([client.transact(*call) for call in json.loads(sys.argv[2])]))\n")
    calls = [["ovsdb-server/list-dbs", []], ["nosuch", []], ["version", ["x"]],
             ["set-options", ["--format", "json"]], ["version", []],
             ["set-options", ["--format", "xml"]]]
    answers = json.loads(subprocess.run(
        [sys.executable, "-c", code, f"{server.directory}/ovsdb-server.{pid}.ctl",
         json.dumps(calls)], env=server.environment, check=True, capture_output=True).stdout)
    assert answers[0] == [0, None, "Open_vSwitch\n_Server\n"]
    assert answers[1][1].startswith('"nosuch" is not a valid command')
    assert answers[2][1] == '"version" command takes at most 0 arguments\n'
    assert answers[4] == [0, None, {"reply": "ovsdb-server (Open vSwitch) 4.0.90",
                                    "reply-format": "plain"}]
    assert answers[5][1] is not None


@pytest.mark.differential
@pytest.mark.skipif(REFERENCE is None, reason="Debian's openvswitch-common is not installed")
@pytest.mark.parametrize("argv", [
    ["version"], ["list-commands"], ["ovsdb-server/list-dbs"], ["nosuch"], ["version", "x"],
    ["vlog/set", "x"], ["vlog/list-pattern"], ["ovsdb-server/get-db-storage-status", "nosuch"],
    ["-T", "5", "ovsdb-server/list-remotes"], ["-e", "version"]])
def test_debians_program_and_ours_show_our_daemon_alike(server, argv) -> None:
    theirs = subprocess.run([REFERENCE, "-t", "ovsdb-server", *argv], capture_output=True,
                            text=True, env=server.environment, cwd=server.directory)
    ours = run_ours(main, ["-t", "ovsdb-server", *argv], server)
    assert (ours.stdout, ours.stderr, ours.code) == (theirs.stdout, theirs.stderr,
                                                     theirs.returncode)


def test_exit_ends_a_daemon_of_ours(tmp_path) -> None:
    server = Server(tmp_path, is_ours=True)
    pid = int((tmp_path / "ovsdb-server.pid").read_text())
    outcome = run_ours(main, ["-t", "ovsdb-server", "-e", "exit"], server)
    assert (outcome.stdout, outcome.stderr, outcome.code) == ("", "", 0)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}").exists() and not (tmp_path / "ovsdb-server.pid").exists()
