"""ovs-testcontroller does what Debian's was seen to do, and controls both switches.

`data/testcontroller.jsonl` holds what the real program answered: per line a version of OpenFlow,
options, what it said first and its answers to messages of a switch, all in hexadecimal.
"""

import itertools
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ovsdb_server.rpc import blocking
from tests.differential.switches import ROOT, Switch, is_installed
from tests.vswitchd.openflow.controllers import SETUP, arp
from utilities import testcontroller
from utilities.command_line import parse_options
from utilities.testcontroller.learning import Habits, Learner
from vswitchd.openflow.error import OpenFlowError

RECORDED = [json.loads(line) for line in
            (Path(__file__).parent / "data" / "testcontroller.jsonl").read_text().splitlines()]
RUN = ("import sys; sys.path.insert(0, {root!r}); from utilities.testcontroller import main; "
       "sys.exit(main(sys.argv[1:]))")


def command(*words: str) -> list[str]:
    """The command that runs the program."""
    return [sys.executable, "-I", "-c", RUN.format(root=str(ROOT)), *words]


@pytest.mark.parametrize("record", RECORDED, ids=lambda record: " ".join(
    [str(record["version"]), *record["options"]]))
def test_it_answers_as_the_real_one_was_seen_to_answer(record) -> None:
    settings = testcontroller.Settings()
    for name, value in parse_options(record["options"], testcontroller._OPTIONS, reorder=True)[0]:
        testcontroller._apply(settings, name, value)
    numbers = itertools.count(2)                # 1 was the hello
    learner = Learner(Habits(settings.learns, settings.max_idle, settings.wildcards,
                             settings.queue, settings.queues), record["version"],
                      lambda: next(numbers))
    assert [data.hex() for data in learner.greet()] == record["greeting"]
    for label, message, answers in record["steps"]:
        try:
            said = [data.hex() for data in learner.answer(bytes.fromhex(message))]
        except OpenFlowError:
            said = []                           # a line in the log
        assert said == answers, label


@pytest.mark.parametrize("words, text", [
    ((), "at least one vconn argument required; use --help for usage"),
    (("--max-idle=0", "ptcp:"),
     "--max-idle argument must be between 1 and 65535 or the word 'permanent'"),
    (("-Q", "p1", "ptcp:"),
     'argument to -Q or --port-queue should take the form "<port-name>:<queue-id>"'),
    (("what:1",), "no active or passive switch connections"),
    (("--with-flows=/no/such", "ptcp:"), "/no/such: open failed (No such file or directory)")])
def test_options_that_make_no_sense_are_refused(words, text) -> None:
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"ovs-testcontroller: {text}"


NORMAL = "queue IDs are incompatible with -N or --normal; not using OFPP_NORMAL"
HUB = "queue IDs are incompatible with -H or --hub; not acting as hub"


@pytest.mark.parametrize("words, complaints, learns", [
    (("-q1", "-N"), [NORMAL], True), (("--normal", "-Qp1:2"), [NORMAL], True),
    (("-H", "-q1"), [HUB], True), (("-H", "-N", "-q1"), [NORMAL, HUB], True),
    (("-H", "-N"), [], False), (("-N",), [], False), (("-q1",), [], True)])
def test_queues_go_before_hub_and_normal(words, complaints, learns) -> None:
    settings = testcontroller.Settings()
    for name, value in parse_options(words, testcontroller._OPTIONS, reorder=True)[0]:
        testcontroller._apply(settings, name, value)
    assert settings.prefer_queues() == complaints and settings.learns == learns
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=20)
    assert done.stderr.splitlines()[:-1] == [f"ovs-testcontroller: {text}" for text in complaints]


def test_it_answers_appctl(tmp_path) -> None:
    environment = os.environ | {"OVS_RUNDIR": str(tmp_path)}
    done = subprocess.run(command("--detach", "--unixctl=control", "ptcp:0:127.0.0.1"),
                          env=environment, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr

    def ask(*words: str) -> str:
        with blocking.connect_path(f"{tmp_path}/control", 20) as control:
            return control.call(words[0], list(words[1:]))

    try:
        assert ask("version").split() == ["ovs-testcontroller", "(Open", "vSwitch)", "4.0.90"]
        assert "vlog/reopen" in ask("list-commands") and "console" in ask("vlog/list")
    finally:
        ask("exit")


def test_part_of_a_record_keeps_nobody_waiting() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        settings = testcontroller.Settings()
        controller = SimpleNamespace(settings=settings, encode=lambda value, version: b"hello")
        switch = testcontroller._Switch(controller, ours, "unix")
        assert theirs.recv(100) == b"hello"
        switch.receive()                        # There is nothing yet.
        assert ours.gettimeout() > 0            # But it waits until what it says is read.
        theirs.close()
        with pytest.raises(ConnectionResetError):
            switch.receive()


@pytest.mark.differential
@pytest.mark.skipif(not is_installed(), reason="Debian's daemons are absent")
@pytest.mark.parametrize("real", [True, False], ids=["Debian's switch", "ours"])
def test_a_switch_learns_from_it(real, tmp_path) -> None:
    switch = Switch(tmp_path / "switch", real)
    (switch.directory / "flows").write_text("in_port=9,actions=drop   # for everybody\n")
    try:
        switch.run(SETUP)
        started = subprocess.run(
            command("--detach", "--no-chdir", "--pidfile", "--log-file",
                    "--with-flows=flows", "punix:control.sock", "ptcp:0:127.0.0.1"),
            cwd=switch.directory, env=switch.environment, capture_output=True, text=True, timeout=20)
        assert started.returncode == 0, started.stderr
        port = re.search(r"listening on port (\d+)",
                         (switch.directory / "ovs-testcontroller.log").read_text())[1]
        flows = ""
        for target, version in ((f"tcp:127.0.0.1:{port}", 10), ("unix:control.sock", 13)):
            switch.run(f"ovs-vsctl del-controller br0; ovs-ofctl del-flows br0; ovs-vsctl "
                       f"set-controller br0 {target} -- set bridge br0 protocols=OpenFlow{version}")
            dump = f"ovs-ofctl -O OpenFlow{version} --no-stats dump-flows br0"
            _poll(switch, dump, "in_port=9")
            for source in (1, 2):
                switch.run(arp(source, 4 + source, 7 - source))     # 5 asks for 6, 6 for 5
            flows = _poll(switch, dump, "actions=output:")
            assert "in_port=2" in flows and "dl_dst=50:54:00:00:00:05" in flows, flows
        assert "priority=0 actions=CONTROLLER:128" in flows
        assert switch.run("ovs-appctl -t ovs-testcontroller exit") == ""
        assert not (switch.directory / "ovs-testcontroller.pid").exists()
    finally:
        switch.run("kill `cat ovs-testcontroller.pid` 2>/dev/null")
        switch.close()


def _poll(switch: Switch, line: str, wanted: str) -> str:
    """Waits until a line of shell prints `wanted` somewhere; returns what it printed."""
    for _ in range(100):
        if wanted in (text := switch.run(line)):
            return text
        time.sleep(0.1)
    raise AssertionError(f"{line}: no {wanted!r} in {text}")
