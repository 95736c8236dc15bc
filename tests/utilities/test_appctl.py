"""ovs-appctl: its own errors and options beside the reference's, and what it waits for."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from utilities.appctl import main; sys.exit(main(sys.argv[1:]))"]
REFERENCE = shutil.which("ovs-appctl", path="/usr/bin:/usr/local/bin")


def run(command, directory, *args, **environment):
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith("OVS_")} | {
        "OVS_RUNDIR": str(directory), "OVS_SYSLOG_METHOD": "null", **environment}
    done = subprocess.run([*command, *args], capture_output=True, text=True, timeout=20,
                          env=environment)
    # getopt's own texts begin with the path by which a program was started.
    error = done.stderr.replace(f"{REFERENCE}: ", "ovs-appctl: ")
    return done.returncode, done.stdout, re.sub(
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME", error, flags=re.MULTILINE)


CASES = [[], ["-t", "nope", "version"], ["-t", "/nope/nope", "version"], ["--bogus"], ["-x"],
         ["-t"], ["--target"], ["--t"], ["-T", "0", "x"], ["-T", "abc", "x"], ["--timeout=", "x"],
         ["--execute=x"], ["-t", "unlocked", "version"], ["-t", "empty", "version"],
         ["-voff", "-t", "nope", "version"], ["-vconsole:off", "-t", "nope", "version"],
         ["-vunixctl:off", "-t", "/nope", "version"], ["-vfoo", "x"], ["--syslog-method=foo", "x"]]


@pytest.mark.differential
@pytest.mark.skipif(REFERENCE is None, reason="Open vSwitch is not installed")
@pytest.mark.parametrize("args", CASES, ids=" ".join)
def test_errors_are_the_references(tmp_path, args):
    (tmp_path / "unlocked.pid").write_text("1\n")
    (tmp_path / "empty.pid").write_text("")
    assert run(OURS, tmp_path, *args) == run([REFERENCE], tmp_path, *args)


def test_version_and_help(tmp_path):
    assert run(OURS, tmp_path, "--version") == (0, "ovs-appctl (Open vSwitch) 4.0.90\n", "")
    code, text, _ = run(OURS, tmp_path, "-h")
    assert code == 0 and text.startswith("ovs-appctl, for querying and controlling Open vSwitch")
    assert "--target=ARG\n-t ARG\n" in run(OURS, tmp_path, "--option")[1]


@pytest.mark.parametrize("args, environment", [(["-T1"], {}), ([], {"OVS_CTL_TIMEOUT": "1"})])
def test_a_silent_daemon_is_given_up_on(tmp_path, args, environment):
    path = str(tmp_path / "x.ctl")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        code, out, error = run(OURS, tmp_path, *args, "-t", path, "version", **environment)
    assert (code, out) == (-14, "")
    assert error == "TIME|00001|fatal_signal|WARN|terminating with signal 14 (Alarm clock)\n"


def test_a_daemon_that_hangs_up_is_named(tmp_path):
    path = str(tmp_path / "x.ctl")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        process = subprocess.Popen([*OURS, "-t", path, "version"], stderr=subprocess.PIPE,
                                   text=True)
        peer, _ = listener.accept()
        peer.recv(1000)
        peer.close()
        assert process.communicate(timeout=10)[1] == (
            f"ovs-appctl: {path}: transaction error (End of file)\n")
    assert process.returncode == 1
