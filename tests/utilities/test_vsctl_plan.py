"""ovs-vsctl --plan, --dry-run, and what is said about long waits; on our database server."""

import json
import signal

import pytest

from tests.utilities.oracle import UUID, Server, run_ours
from utilities import command_line
from utilities.vsctl import main, program


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("plan"), is_ours=True)
    run(server, "--no-wait", "add-br", "br0", "--", "add-port", "br0", "p1", "--", "set",
        "bridge", "br0", "datapath_type=dummy")
    yield server
    server.stop()


def run(server: Server, *argv: str):
    """Run a command line that has to succeed."""
    outcome = run_ours(main, list(argv), server)
    assert (outcome.stderr, outcome.code) == ("", 0)
    return outcome.stdout


def plan(server: Server, *argv: str) -> tuple[list[str], list[str]]:
    """Return the lines about rows and those about the switch of a plan that changes nothing."""
    before = server.dump()
    text = run(server, "--plan", *argv)
    assert server.dump() == before
    assert text.startswith("Rows:\n") and text.endswith("Nothing has been changed (--plan).\n")
    rows, _, switch = text.removeprefix("Rows:\n").partition("Switch:\n")
    return ([line.strip() for line in rows.splitlines()],
            [line.strip() for line in switch.splitlines()[:-1]])


def test_a_new_port_is_told_row_by_row(server) -> None:
    rows, switch = plan(server, "add-port", "br0", "p2", "tag=5", "--", "set", "interface", "p2",
                        "type=dummy", "ofport_request=7", "--", "set", "port", "p1", "tag=9")
    assert rows == [
        "change Bridge br0", "ports: [br0, p1] -> [br0, p1, p2]",
        "insert Interface p2", "name: p2", "ofport_request: 7", "type: dummy",
        "change Open_vSwitch .", "next_cfg: 0 -> 1",
        "change Port p1", "tag: [] -> 9",
        "insert Port p2", "interfaces: [p2]", "name: p2", "tag: 5"]
    assert switch == [
        "bridge br0: device p2 is attached (type dummy, OpenFlow port 7 if it is free)",
        "bridge br0: port p1: vlan_mode: trunk -> access",
        "bridge br0: port p1: tag: 0 -> 9",
        "bridge br0: its flows are kept"]


def test_rows_that_nothing_refers_to_any_more_are_in_the_plan(server) -> None:
    rows, switch = plan(server, "--no-wait", "clear", "bridge", "br0", "ports")
    assert rows == ["change Bridge br0", "ports: [br0, p1] -> []", "delete Interface br0",
                    "delete Interface p1", "delete Port br0", "delete Port p1"]
    assert "bridge br0: device p1 is detached; packets that flows send there are dropped" in switch


@pytest.mark.parametrize("argv, line", [
    (["del-br", "br0"], "bridge br0: all its flows, groups and meters are lost"),
    (["set", "bridge", "br0", "datapath_type=netdev"],
     "bridge br0: all its flows, groups and meters are lost; it starts with one flow that makes "
     "it a learning switch"),
    (["set-fail-mode", "br0", "secure"],
     "bridge br0: all its flows are lost, because from now on controllers rule it; it starts "
     "without flows"),
    (["set", "bridge", "br0", "other_config:mac-aging-time=60"], "bridge br0: mac_aging: 300 -> 60"),
    (["set", "bridge", "br0", "other_config:hwaddr=01:00:00:00:00:00"],
     "warning: bridge br0: cannot set MAC address to multicast address 01:00:00:00:00:00"),
    (["set", "interface", "p1", "type=dummy"],
     "bridge br0: device p1 is detached and attached again"),
    (["set", "open", ".", "external_ids:a=b"], "no bridge, port or flow is affected"),
    (["add-br", "br1"], "bridge br1: created with datapath type system"),
])
def test_what_the_switch_would_do(server, argv, line) -> None:
    assert line in plan(server, *argv)[1]


def test_what_the_server_would_refuse_is_refused(server) -> None:
    outcome = run_ours(main, ["--plan", "--no-wait", "--id=@p", "create", "port", "name=p1",
                              "interfaces=@i", "--", "--id=@i", "create", "interface", "name=new",
                              "--", "add", "bridge", "br0", "ports", "@p"], server)
    assert outcome.code == 1
    assert "constraint violation" in outcome.stderr and "index on column" in outcome.stderr


def test_questions_are_answered_and_new_uuids_are_not_made_up(server) -> None:
    text = run(server, "--plan", "get", "bridge", "br0", "name", "--", "--id=@q", "create", "qos",
               "type=x", "--", "set", "port", "p1", "qos=@q")
    assert text.startswith("br0\nRows:\n")
    assert not UUID.search(text)
    assert run(server, "--plan", "get", "bridge", "br0", "name") == "br0\nNothing would change.\n"


@pytest.mark.parametrize("option", ["--dry-run", "--plan"])
def test_runs_that_change_nothing_wait_for_nothing(server, option) -> None:
    text = run(server, option, "-t", "5", "wait-until", "bridge", "br0", "stp_enable=true", "--",
               "add-br", "br7")
    assert ("Would wait here: wait-until bridge br0 stp_enable=true" in text) == (
        option == "--plan")
    outcome = run_ours(main, [option, "--retry", "-t", "5", "--db=unix:nosuch.sock", "show"],
                       server)
    assert outcome.code == 1 and "connection failed" in outcome.stderr


WAITS = [
    (["add-br", "waiting"],
     "the database is changed; still waiting for ovs-vswitchd to reconfigure"),
    (["--retry", "--db=unix:nosuch.sock", "show"],
     "still waiting for the database server at unix:nosuch.sock"),
]


@pytest.mark.parametrize("argv, notice", WAITS)
@pytest.mark.parametrize("level, is_told", [
    ([], True), (["-vconsole:info"], True), (["-vsyslog:off"], True), (["-vconsole:warn"], False),
    (["-voff"], False)])
def test_a_long_wait_is_announced_once(server, monkeypatch, argv, notice, level, is_told) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(command_line, "PATIENCE", 0.1)
        patch.setattr(program, "time_limit", lambda seconds: set_limit(0.8))
        outcome = run_ours(main, [*level, *argv], server)
    run(server, "--no-wait", "--if-exists", "del-br", "waiting")
    assert outcome.code == -signal.SIGALRM
    assert outcome.stderr.count(f"ovs-vsctl: {notice}") == is_told


def set_limit(seconds: float) -> None:
    """Set a time limit that is no whole number of seconds."""
    import time
    command_line._deadline = time.monotonic() + seconds
    command_line._set_alarm()


def test_the_plan_does_not_slow_down_other_runs(server) -> None:
    text = run_ours(lambda argv: _modules(argv), ["--no-wait", "show"], server).stdout
    modules = json.loads(text.splitlines()[-1])
    assert not [name for name in modules if name.startswith(("trio", "vswitchd", "dataclasses"))
                or name == "utilities.vsctl.plan"]


def _modules(argv: list[str]) -> int:
    """Run ovs-vsctl in a fresh interpreter and print the modules it has loaded."""
    import subprocess
    import sys
    from tests.utilities.oracle import ROOT
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); from utilities.vsctl import main; "
            "main(sys.argv[1:]); import json; print(json.dumps(sorted(sys.modules)))")
    return subprocess.run([sys.executable, "-I", "-c", code, *argv]).returncode
