"""ovs-vsctl on our own database server: its commands together, waiting, retrying, starting fast.

The texts were seen from the reference; test_vsctl_differential.py compares them where it is
installed.
"""

import os
import shlex
import signal
import subprocess
import sys
import threading

import pytest

from ovsdb_server.rpc import blocking
from tests.utilities.oracle import ROOT, Server, run_ours
from utilities.database import Database
from utilities.vsctl import main


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("vsctl"), is_ours=True)
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def empty(server) -> None:
    """Let every test begin with an empty database."""
    server.transact({"op": "update", "table": "Open_vSwitch", "where": [], "row": {
        "ovs_version": ["set", []], "bridges": ["set", []], "manager_options": ["set", []],
        "datapaths": ["map", []]}},
        {"op": "delete", "table": "Flow_Sample_Collector_Set", "where": []})


def vsctl(server: Server, line: str, waits: bool = False):
    argv = shlex.split(line)
    return run_ours(main, argv if waits else ["--no-wait", *argv], server)


def ok(server: Server, line: str) -> str:
    outcome = vsctl(server, line)
    assert (outcome.stderr, outcome.code) == ("", 0)
    return outcome.stdout


def fails(server: Server, line: str, text: str) -> None:
    outcome = vsctl(server, line)
    assert (outcome.stdout, outcome.stderr, outcome.code) == ("", f"ovs-vsctl: {text}\n", 1)


def test_a_bridge_and_ports_come_and_go(server) -> None:
    assert ok(server, "init") == ""
    assert ok(server, "add-br br0 -- add-port br0 p1 tag=5 -- add-port br0 p2") == ""
    assert ok(server, "list-br -- list-ports br0") == "br0\np1\np2\n"
    assert ok(server, "get port p1 tag -- get port p2 tag") == "5\n[]\n"
    fails(server, "add-br br0", "cannot create a bridge named br0 because a bridge named br0 "
                                "already exists")
    fails(server, "add-port br0 p1", "cannot create a port named p1 because a port named p1 "
                                     "already exists on bridge br0")
    assert ok(server, "--may-exist add-port br0 p1 -- del-port p2 -- list-ports br0") == "p1\n"
    assert ok(server, "del-br br0 -- list-br") == ""


def test_exit_codes(server) -> None:
    ok(server, "add-br br0")
    assert vsctl(server, "br-exists br0").code == 0
    outcome = vsctl(server, "br-exists br1")
    assert (outcome.stdout, outcome.stderr, outcome.code) == ("", "", 2)


def test_show_has_the_known_layout(server) -> None:
    ok(server, "add-br br0 -- add-port br0 p1 tag=5 -- set interface p1 type=vxlan "
               "options:remote_ip=1.2.3.4 -- set bridge br0 fail_mode=secure "
               "-- set-controller br0 tcp:1.2.3.4 -- set-manager ptcp:6640 "
               "-- set open . ovs_version=4.0.90")
    lines = ok(server, "show").splitlines()
    assert len(lines[0]) == 36
    assert lines[1:5] == ['    Manager "ptcp:6640"', "    Bridge br0",
                          '        Controller "tcp:1.2.3.4"', "        fail_mode: secure"]
    port = lines.index("        Port p1")
    assert lines[port + 1:port + 5] == [
        "            tag: 5", "            Interface p1", "                type: vxlan",
        '                options: {remote_ip="1.2.3.4"}']
    assert lines[-1] == '    ovs_version: "4.0.90"'


def test_show_can_be_filtered(server) -> None:
    ok(server, "add-br br0 -- add-port br0 p1 -- add-port br0 p2 -- add-br br1 "
               "-- set interface p1 type=geneve")
    lines = ok(server, "--filter='interface(geneve)' show").splitlines()
    assert lines[1:] == ["    Bridge br0", "        Port p1", "            Interface p1",
                         "                type: geneve"]
    lines = ok(server, "--filter='bridge(br1)|interface(geneve)' show").splitlines()
    assert "    Bridge br1" in lines and "        Port p1" in lines
    assert "        Port p2" not in lines
    fails(server, "--filter=x show", "Malformed filter: missing parenthesis in 'x'")


def test_zone_limits(server) -> None:
    ok(server, "-- --id=@d create Datapath capabilities:a=b "
               "-- set Open_vSwitch . datapaths:netdev=@d")
    fails(server, "set-zone-limit system zone=1 5", "datapath system does not exist")
    ok(server, "set-zone-limit netdev zone=1 5 -- set-zone-limit netdev default 10")
    assert ok(server, "list-zone-limits netdev") == "Default, Limit: 10\nZone: 1, Limit: 5\n"
    ok(server, "set-zone-limit netdev zone=1 6 -- del-zone-limit netdev default")
    assert ok(server, "list-zone-limits netdev") == "Zone: 1, Limit: 6\n"
    ok(server, "--may-exist add-zone-tp netdev zone=1 icmp_first=9")
    ok(server, "del-zone-limit netdev zone=1")
    assert ok(server, "list-zone-limits netdev -- list-zone-tp netdev") == (
        "Zone:1, Timeout Policies: icmp_first=9\n")
    assert vsctl(server, "del-zone-limit netdev zone=1").code == 1
    ok(server, "--if-exists del-zone-limit netdev zone=1")


def test_a_bridge_goes_with_the_collector_sets_that_name_it(server) -> None:
    ok(server, "add-br br0")
    ok(server, "-- --id=@b get bridge br0 "
               "-- --id=@f create Flow_Sample_Collector_Set id=7 bridge=@b")
    ok(server, "del-br br0")
    assert server.dump()["Bridge"] == [] == server.dump()["Flow_Sample_Collector_Set"]


def test_an_older_server_is_tolerated(tmp_path) -> None:
    text = (ROOT / "schema" / "vswitch.ovsschema").read_text()
    import json
    schema = json.loads(text)
    del schema["tables"]["Mirror"]["columns"]["filter"]
    del schema["tables"]["CT_Zone"]
    del schema["tables"]["Datapath"]["columns"]["ct_zones"]
    path = tmp_path / "old.ovsschema"
    path.write_text(json.dumps(schema))
    server = Server(tmp_path, path, is_ours=True)
    try:
        assert ok(server, "add-br br0 -- list-br") == "br0\n"
        outcome = vsctl(server, "list mirror")
        assert outcome.code == 0
        assert outcome.stderr.endswith("|ovsdb_idl|WARN|Mirror table in Open_vSwitch database "
                                       "lacks filter column (database needs upgrade?)\n")
        assert "lacks CT_Zone table" in vsctl(server, "list ct_zone").stderr
    finally:
        server.stop()


class FakeSwitch(threading.Thread):
    """Follows next_cfg as ovs-vswitchd would, and reports `error` for interfaces it refuses."""

    def __init__(self, server: Server, errors: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self._connection = blocking.connect(server.socket, 10)
        self._errors = errors
        self._connection.call("monitor", ["Open_vSwitch", "switch", {
            "Open_vSwitch": {"columns": ["next_cfg"]},
            "Interface": {"columns": ["name"]}}], 10)
        self.count = 0

    def run(self) -> None:
        try:
            while True:
                message = self._connection.next_notification(20)
                root = message.params[1].get("Open_vSwitch")
                if not root:
                    continue
                next_cfg = next(iter(root.values()))["new"]["next_cfg"]
                operations = [{"op": "update", "table": "Open_vSwitch", "where": [],
                               "row": {"cur_cfg": next_cfg}},
                              {"op": "update", "table": "Interface", "where": [],
                               "row": {"ofport": 1}}]
                for name, error in self._errors.items():
                    operations.append({
                        "op": "update", "table": "Interface", "where": [["name", "==", name]],
                        "row": {"ofport": -1, "error": error or ["set", []]}})
                self.count += 1
                self._connection.call("transact", ["Open_vSwitch", *operations], 10)
        except (OSError, EOFError):
            pass

    def stop(self) -> None:
        self._connection.close()


def test_waits_for_the_switch_and_tells_what_it_refused(server) -> None:
    ok(server, "init")
    switch = FakeSwitch(server, {"bad": "no such device", "worse": ""})
    switch.start()
    try:
        outcome = vsctl(server, "add-br br0 -- add-port br0 good", waits=True)
        assert (outcome.stdout, outcome.stderr, outcome.code) == ("", "", 0)
        assert ok(server, "get open . cur_cfg") == ok(server, "get open . next_cfg")
        outcome = vsctl(server, "add-bond br0 bond0 bad worse", waits=True)
        directory = f'ovs-vsctl: The default log directory is "{server.directory}".\n'
        lines = {"ovs-vsctl: Error detected while setting up 'bad': no such device.  See "
                 "ovs-vswitchd log for details.\n",
                 "ovs-vsctl: Error detected while setting up 'worse'.  See ovs-vswitchd log for "
                 "details.\n", directory}
        assert set(outcome.stderr.splitlines(keepends=True)) == lines
        assert outcome.stderr.endswith(directory)
        assert outcome.code == 65
        count = switch.count
        # Nothing changed: nothing to wait for, and the switch is left alone.
        assert vsctl(server, "set bridge br0 stp_enable=false", waits=True).code == 0
        assert switch.count == count
    finally:
        switch.stop()


def test_gives_up_after_the_time_limit(server) -> None:
    ok(server, "init")
    outcome = vsctl(server, "-t 1 add-br br0", waits=True)
    assert outcome.code == -signal.SIGALRM
    assert outcome.stderr.endswith(
        "|fatal_signal|WARN|terminating with signal 14 (Alarm clock)\n")
    assert ok(server, "list-br") == "br0\n"


def test_wait_until_returns_when_the_condition_is_met(server) -> None:
    ok(server, "add-br br0")
    results = []
    waiter = threading.Thread(target=lambda: results.append(subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r});"
         "from utilities.vsctl import main; sys.exit(main(sys.argv[1:]))",
         "wait-until", "bridge", "br0", "external_ids:x=1", "--", "get", "bridge", "br0",
         "external_ids"], env=server.environment, capture_output=True, text=True)))
    waiter.start()
    ok(server, "set bridge br0 external_ids:y=2")
    ok(server, "set bridge br0 external_ids:x=1")
    waiter.join(20)
    assert results[0].stdout == '{x="1", y="2"}\n'
    assert results[0].returncode == 0


def test_concurrent_runs_all_succeed(server) -> None:
    """Each adds a port to the same bridge: all but one must notice the others and try again."""
    ok(server, "add-br br0")
    pids = []
    for i in range(12):
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.environ.update(server.environment)
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                code = main(["--no-wait", "add-port", "br0", f"p{i}"])
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 12
    assert len(ok(server, "list-ports br0").split()) == 12


def test_a_long_command_line_is_one_transaction(server) -> None:
    line = " -- ".join(["add-br br0", *(
        f"add-port br0 p{i} tag={i} -- set interface p{i} ofport_request={i + 1} "
        f"external_ids:n={i}" for i in range(200))])
    ok(server, line)
    assert len(ok(server, "list-ports br0").split()) == 200
    assert ok(server, "get interface p77 ofport_request external_ids") == '78\n{n="77"}\n'
    fails(server, "add-port br0 q1 -- add-port br0 p77",
          "cannot create a port named p77 because a port named p77 already exists on bridge br0")
    assert "q1" not in ok(server, "list-ports br0")


def test_the_comment_in_the_journal_names_the_command(server) -> None:
    ok(server, "add-br br0 -- comment 'two words'")
    journal = (server.directory / "conf.db").read_text()
    assert '): ovs-vsctl --no-wait add-br br0 -- comment \\"two words\\"' in journal
    assert '"ovs-vsctl (invoked by ' in journal


def test_dry_run_changes_nothing(server) -> None:
    ok(server, "init")
    assert ok(server, "--dry-run add-br br0 -- list-br") == "br0\n"
    assert ok(server, "list-br") == ""


def test_help_and_lists_know_every_command(server) -> None:
    from utilities.vsctl.command import COMMANDS
    text = ok(server, "--help")
    listed = ok(server, "--commands").splitlines()
    assert {line.split(",")[1].strip() for line in listed} == set(COMMANDS)
    for name in COMMANDS:
        assert f"\n  {name}" in text
    options = ok(server, "--options").splitlines()
    assert options[:2] == ["--db=ARG", "--no-syslog"]
    assert "-t ARG" in options


@pytest.mark.parametrize("redirections, code", [
    (">/dev/full", 0), (">&-", 0), ("<&- >&- 2>&-", 0), ("2>&-", 0)])
def test_unusable_standard_files_do_not_matter(server, redirections: str, code: int) -> None:
    ok(server, "add-br br0")
    program = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); from utilities.vsctl import main;"
               "sys.exit(main(sys.argv[1:]))")
    line = f"{shlex.quote(sys.executable)} -I -c {shlex.quote(program)} list bridge {redirections}"
    result = subprocess.run(["sh", "-c", line], env=server.environment, capture_output=True)
    assert (result.returncode, result.stderr) == (code, b"")


HEAVY = ("trio", "orjson", "jsonschema", "cffi", "argparse", "dataclasses", "inspect", "logging",
         "asyncio", "typing", "uuid", "ssl", "subprocess", "ovsdb_server.service", "datapath",
         "random", "pathlib", "tempfile", "json", "re", "enum", "socket", "functools")


@pytest.mark.parametrize("line, most", [("--version", 3), ("show", 12), ("add-br br9", 12)])
def test_start_imports_nothing_heavy(server, line: str, most: int) -> None:
    """What is imported decides how fast a tool starts; what Python itself has loaded is free."""
    code = (f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules);"
            "from utilities.vsctl import main; assert main(sys.argv[1:]) == 0;"
            "print(*sorted(set(sys.modules) - before), file=sys.stderr)")
    result = subprocess.run([sys.executable, "-I", "-c", code, "--no-wait", *shlex.split(line)]
                            if line != "--version" else [sys.executable, "-I", "-c", code, line],
                            env=server.environment, capture_output=True, text=True, check=True)
    loaded = set(result.stderr.split())
    assert not loaded.intersection(HEAVY)
    ours = {name for name in loaded if name.split(".")[0] in ("utilities", "ovsdb_server")}
    assert len(loaded - ours) <= most


def test_adding_a_port_fetches_none_of_the_others(server, monkeypatch) -> None:
    ok(server, "add-br br0 -- " + " -- ".join(f"add-port br0 p{i}" for i in range(30)))
    update = Database._update

    def check(self, updates: dict) -> None:
        assert len(updates.get("Port", ())) <= 2
        for change in updates.get("Bridge", {}).values():
            assert "ports" not in change.get("initial", change)
        update(self, updates)
    monkeypatch.setattr(Database, "_update", check)
    ok(server, "add-port br0 new tag=3")
    ok(server, "add-port br0 dummy -- set Interface dummy type=internal options:a=b -- set port "
               "dummy tag=7 other_config:x=y -- add-port br0 another")
    outcome = vsctl(server, "list-ports br0")
    assert "AssertionError" in outcome.stderr
    monkeypatch.undo()
    assert ok(server, "get port dummy tag -- get interface dummy type -- get interface dummy "
                      "options -- get port dummy other_config") == (
        "7\ninternal\n{a=b}\n{x=y}\n")
    assert ok(server, "get port new tag -- list-ports br0").split() == sorted(
        ["3", "new", "dummy", "another", *(f"p{i}" for i in range(30))])
    fails(server, "add-port br0 br0", "cannot create a port named br0 because a bridge named "
                                      "br0 already exists")
    ok(server, "add-bond br0 bond0 e1 e2")
    fails(server, "add-port br0 e1", "cannot create a port named e1 because an interface named "
                                     "e1 already exists on bridge br0")
    ok(server, "add-br vlan7 br0 7 -- add-port vlan7 tagged")
    ok(server, "add-port vlan7 more")
    assert ok(server, "get port more tag -- port-to-br more") == "7\nvlan7\n"
    ok(server, "--may-exist add-port br0 new")
    fails(server, "--may-exist add-port br0 tagged",
          '"--may-exist add-port br0 tagged" but tagged is actually attached to bridge vlan7')


@pytest.mark.parametrize("rival, text", [
    ("add-port br0 p", "cannot create a port named p because a port named p already exists on "
                       "bridge br0"),
    ("add-bond br0 bond0 p q", "cannot create a port named p because an interface named p already "
                               "exists on bridge br0"),
    ("del-br br0", "no bridge named br0")])
def test_a_rival_that_takes_the_name_first_is_noticed(server, monkeypatch, rival: str,
                                                      text: str) -> None:
    ok(server, "add-br br0")
    transact = Database.transact

    def lose_the_race(self, operations: list):
        monkeypatch.undo()
        command = [sys.executable, "-I", "-c", (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from utilities.vsctl import main;"
            "sys.exit(main(sys.argv[1:]))"), "--no-wait", *rival.split()]
        subprocess.run(command, env=server.environment, check=True)
        return transact(self, operations)
    monkeypatch.setattr(Database, "transact", lose_the_race)
    fails(server, "add-port br0 p", text)
