"""ovs-ctl and ovs-save: command lines, and the daemons they start in private directories."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from utilities import ovs_ctl, ovs_save, service

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv" / "bin"
START = ("--system-id=random", "--no-record-hostname", "--ovs-vswitchd-options=--enable-dummy",
         "--ovsdb-server-priority=", "--ovs-vswitchd-priority=", "--daemon-cwd=.")


@pytest.fixture
def control(tmp_path, monkeypatch):
    """A Control whose directories are private."""
    for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"):
        monkeypatch.setenv(f"OVS_{name}", str(tmp_path))
    return ovs_ctl.Control("ovs-ctl")


def test_options_change_their_defaults(control):
    assert control.parse(["--system-id=x", "--no-mlockall", "--delete-bridges", "--db-file=/d",
                          "--external-id=a=b=c", "start"]) is None
    assert control.command == "start"
    assert control.options["system-id"] == "x" and control.options["db-file"] == "/d"
    assert not control.options["mlockall"] and control.options["delete-bridges"]
    assert control.external_ids == ["external-ids:a=b=c"]


@pytest.mark.parametrize("argv, code, text", [
    (["-x"], 1, 'ovs-ctl: unknown option "-x" (use --help for help)\n'),
    (["a", "b"], 1, "ovs-ctl: exactly one non-option argument required (use --help for help)\n"),
    (["--external-id=a"], 1, 'ovs-ctl: --external-id argument not in the form "key=value"\n'),
    (["--bogus"], None, 'ovs-ctl: unknown option "--bogus" (use --help for help)\n'),
    (["--no-system-id"], None, 'ovs-ctl: unknown option "--no-system-id" (use --help for help)\n'),
])
def test_mistakes_in_the_command_line(control, capsys, argv, code, text):
    assert control.parse(argv) == code
    assert capsys.readouterr().err == text


def test_random_system_id_is_made_once(control):
    control.options["system-id"] = "random"
    first = control._system_id()
    assert len(first) == 36
    assert control._system_id() == first


def test_status_of_what_does_not_run(control, capsys, tmp_path):
    (tmp_path / "ovs-vswitchd.pid").write_text("999999999\n")
    assert control.status() == 1
    assert capsys.readouterr().out == (
        "ovsdb-server is not running\n"
        f"Pidfile for ovs-vswitchd ({tmp_path}/ovs-vswitchd.pid) is stale\n")


def test_a_stale_pidfile_is_removed_by_stop(control, tmp_path):
    (tmp_path / "ovs-vswitchd.pid").write_text("999999999\n")
    assert service.stop_daemon("ovs-vswitchd", control.directories)
    assert not (tmp_path / "ovs-vswitchd.pid").exists()


def test_dumped_flows_become_input():
    assert ovs_save.flows_as_input(
        "NXST_FLOW reply (xid=0x4):\n"
        " cookie=0x1, idle_age=3, hard_age=4, igmp,igmp_type=0x11 actions=drop\n"
    ) == " cookie=0x1,   ip,nw_proto=2,tp_src=0x11 actions=drop\n"


@pytest.mark.parametrize("column, first", [
    ("[]\n", "OpenFlow14"),
    ("[OpenFlow10, OpenFlow13]\n", "OpenFlow13"),
    ("[OpenFlow15]\n", "OpenFlow15"),
])
def test_flows_are_saved_in_the_best_version(column, first):
    assert ovs_save.versions_to_try(column)[0] == first


@pytest.fixture
def run(tmp_path):
    """Run a program of the suite in private directories; the daemons end with the test."""
    if not (BIN / "ovs-ctl").exists() or not (BIN / "ovs-vswitchd").exists():
        pytest.skip("needs make build")
    environment = os.environ | {"OVS_SYSLOG_METHOD": "null"} | {
        f"OVS_{name}": str(tmp_path) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}

    def run(name, *args, code=0):
        done = subprocess.run([BIN / name, *args], cwd=tmp_path, env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        assert done.returncode == code, done.stdout
        return done.stdout

    yield run
    run("ovs-ctl", "stop")


@pytest.mark.system
def test_start_restart_and_stop(run, tmp_path):
    assert run("ovs-ctl", *START, "start").splitlines() == [
        f"{tmp_path}/conf.db does not exist ... (warning).",
        f"Creating empty database {tmp_path}/conf.db.",
        "Starting ovsdb-server.",
        "Configuring Open vSwitch system IDs.",
        "Starting ovs-vswitchd.",
        "Enabling remote OVSDB managers."]
    run("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy",
        "--", "add-port", "br0", "p1", "--", "set", "interface", "p1", "type=dummy",
        "ofport_request=7", "--", "add-port", "br0", "p2",
        "--", "set", "port", "p2", "other_config:transient=true",
        "--", "set", "interface", "p2", "type=dummy")
    run("ovs-ofctl", "del-flows", "br0")
    run("ovs-ofctl", "add-flow", "br0", "cookie=0x5,priority=3,in_port=7,actions=output:8")
    identity = run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:system-id")
    before = {line.split()[-1] for line in run("ovs-ctl", "status").splitlines()}

    lines = run("ovs-ctl", *START, "--delete-transient-ports", "restart").splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "Saving flows.", "Exiting ovsdb-server", "Starting ovsdb-server.",
        "Configuring Open vSwitch system IDs.", "Exiting ovs-vswitchd", "Starting ovs-vswitchd.",
        "Restoring saved flows.", "Enabling remote OVSDB managers."]
    after = {line.split()[-1] for line in run("ovs-ctl", "status").splitlines()}
    assert len(after) == 2 and not before & after
    assert run("ovs-ofctl", "--no-stats", "dump-flows", "br0").splitlines() == [
        " cookie=0x5, priority=3,in_port=7 actions=output:8"]
    assert run("ovs-vsctl", "list-ports", "br0") == "p1\n"
    assert run("ovs-vsctl", "get", "interface", "p1", "ofport") == "7\n"
    assert run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:system-id") == identity
    assert run("ovs-vsctl", "get", "Open_vSwitch", ".", "other_config") == "{}\n"

    assert "ovs-vswitchd is already running." in run("ovs-ctl", *START, "start").splitlines()
    assert [line.partition(" (")[0] for line in run("ovs-ctl", "stop").splitlines()] == [
        "Exiting ovs-vswitchd", "Exiting ovsdb-server"]
    assert run("ovs-ctl", "status", code=1).splitlines() == [
        "ovsdb-server is not running", "ovs-vswitchd is not running"]


@pytest.mark.differential
def test_start_converts_the_database_of_the_release_in_the_field(run, tmp_path):
    schema = "/usr/share/openvswitch/vswitch.ovsschema"
    tool = shutil.which("ovsdb-tool", path="/usr/bin")
    if tool is None or not os.path.exists(schema):
        pytest.skip("needs Debian's openvswitch-switch")
    database = tmp_path / "conf.db"
    subprocess.run([tool, "create", database, schema], check=True)
    subprocess.run([tool, "transact", database, """["Open_vSwitch",
        {"op": "insert", "table": "Open_vSwitch",
         "row": {"external_ids": ["map", [["kept", "yes"]]]}}]"""],
        check=True, stdout=subprocess.DEVNULL)
    lines = run("ovs-ctl", *START, "--no-ovs-vswitchd", "start").splitlines()
    backup, = tmp_path.glob("conf.db.backup8.3.1-*")
    assert lines[:3] == [f"Backing up database to {backup}.", "Compacting database.",
                         "Converting database schema."]
    assert run("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:kept") == "yes\n"
    assert run("ovs-vsctl", "get", "Open_vSwitch", ".", "db_version") == '"8.8.0"\n'
