"""ovs-lib beside the reference's: the same snippets of shell scripts print and return the same."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from utilities import launcher

OURS = Path(launcher.ROOT) / "utilities" / "ovs-lib"
REFERENCE = Path("/usr/share/openvswitch/scripts/ovs-lib")
SCHEMA = Path(launcher.ROOT) / "schema" / "vswitch.ovsschema"

DAEMON = """\
#!/bin/sh
echo "args $*"; echo "in $(pwd), niceness $(nice)"
"""

SNIPPETS = {
    "versions": 'for p in "1.2.3 1.2.3" "1.2.3 1.2.4" "1.10.0 1.9.0" "2.0 1.9.9" "1.2 1.2.0" '
                '"7.12.1 8.0.0"; do version_geq $p; echo "$p: $?"; done',
    "messages": "log_success_msg good; log_failure_msg bad; log_warning_msg so so",
    "actions": "action works true; echo $?; action fails sh -c 'exit 3'; echo $?",
    "processes": "pid_exists $$; echo $?; pid_exists 9999999; echo $?; pid_comm_check foo $$; "
                 "echo $?",
    "status": "daemon_status nosuch; echo $?; echo 9999999 > $rundir/stale.pid; "
              "daemon_status stale; echo $?; daemon_is_running stale; echo $?",
    "directories": "install_dir $rundir/a; install_dir $rundir/b 0700; install_dir $rundir/a 0700;"
                   "ls -ld $rundir/a $rundir/b | cut -c1-10",
    "places": "echo $logdir $rundir $sysconfdir $etcdir $dbdir $LC_ALL",
    "starting": "start_daemon 5 '' testd a b; MONITOR=no; start_daemon '' '' testd; "
                "start_daemon '' nosuchwrap testd; start_daemon '' glibc testd; echo $?; "
                "DAEMON_CWD=/tmp; start_daemon '' '' testd c",
    "starting what is not there": "start_daemon '' '' nosuchd 2>/dev/null; echo $?",
    "stopping nothing": "stop_daemon nosuch; echo $?",
    "creating": "create_db $rundir/c.db $schema; echo $?; ls $rundir; ovsdb_tool db-name "
                "$rundir/c.db",
    "upgrading": "upgrade_db $rundir/d.db $schema; upgrade_db $rundir/d.db $schema; echo $?; "
                 "sed 's/\"version\": \"[0-9.]*\"/\"version\": \"9.0.0\"/' $schema > $rundir/s2; "
                 "upgrade_db $rundir/d.db $rundir/s2; echo $?; ls $rundir; "
                 "ovsdb_tool db-version $rundir/d.db",
    "a bad schema": "upgrade_db $rundir/d.db $schema; echo '{bad' > $rundir/s3; "
                    "upgrade_db $rundir/d.db $rundir/s3 2>/dev/null; echo $?",
    "clusters": "create_cluster $rundir/e.db $schema tcp:127.0.0.1:6644; "
                "create_cluster $rundir/e.db $schema tcp:127.0.0.1:6644; echo $?; "
                "create_cluster $rundir/f.db $schema tcp:127.0.0.1:6644 2000; "
                "join_cluster $rundir/g.db Open_vSwitch tcp:127.0.0.1:6645 tcp:127.0.0.1:6644; "
                "join_cluster $rundir/g.db Open_vSwitch tcp:127.0.0.1:6645 tcp:127.0.0.1:6644; "
                "echo $?; ls $rundir; ovsdb_tool db-local-address $rundir/g.db",
    "accounts": "run_as_ovsuser echo done",
}


def run(shell: str, library: Path, snippet: str, directory: Path) -> str:
    """Run a snippet after sourcing a library; return what it printed."""
    directory.mkdir()
    programs = directory.parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "testd").write_text(DAEMON)
    (programs / "testd").chmod(0o755)
    variables = {f"OVS_{name}": str(directory) for name in ("RUNDIR", "LOGDIR", "DBDIR",
                                                            "SYSCONFDIR")}
    done = subprocess.run([shell, "-c", f". {library}; set +e; {snippet}"], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=directory,
                          env=variables | {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin",
                                           "HOME": str(directory), "schema": str(SCHEMA)})
    return re.sub(r"\d{7,}", "N", done.stdout.replace(str(directory), "DIR"))


@pytest.mark.differential
@pytest.mark.skipif(not REFERENCE.exists() or shutil.which("ovsdb-tool") is None,
                    reason="Debian's openvswitch-common is not installed")
@pytest.mark.parametrize("name", SNIPPETS)
def test_snippets_do_the_same(name: str, tmp_path) -> None:
    theirs = run("/bin/sh", REFERENCE, SNIPPETS[name], tmp_path / "theirs")
    assert run("/bin/sh", OURS, SNIPPETS[name], tmp_path / "ours") == theirs
    assert run("bash", OURS, SNIPPETS[name], tmp_path / "bash") == theirs


def test_a_running_daemon_is_stopped(tmp_path) -> None:
    code = ("sleep 60 & echo $! > $rundir/sleep.pid; disown; daemon_status sleep; "
            "daemon_is_running sleep; echo $?; stop_daemon sleep; echo $?; ls $rundir")
    text = run("bash", OURS, code, tmp_path / "x")
    assert re.fullmatch(r"sleep is running with pid \d+\n0\nExiting sleep \(\d+\) \.\.\. failed!\n"
                        r"Killing sleep \(\d+\)\.\n0\n", text)


def test_make_build_puts_it_where_scripts_look_for_it(tmp_path) -> None:
    launcher.write_share(tmp_path)
    library = tmp_path / "share/openvswitch/scripts/ovs-lib"
    text = run("/bin/sh", library, "echo $datadir $bindir $sbindir; ls $datadir/scripts",
               tmp_path / "x")
    assert text.split() == [f"{tmp_path}/share/openvswitch", f"{tmp_path}/bin", f"{tmp_path}/bin",
                            "ovs-ctl", "ovs-lib", "ovs-save"]
    assert (tmp_path / "share/openvswitch/vswitch.ovsschema").exists()
