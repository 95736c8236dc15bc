"""make demo: it shows what it promises, and leaves nothing behind, also when interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMESPACES = ["unshare", "--net", "--mount"]
if os.geteuid() != 0:
    NAMESPACES[1:1] = ["--user", "--map-root-user"]

pytestmark = pytest.mark.system


@pytest.fixture
def demo(tmp_path):
    """Start the demonstration; its private directory lies below `tmp_path`."""
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode:
        pytest.skip("needs root or user namespaces")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("needs permission for /dev/net/tun")
    if not (ROOT / ".venv" / "bin" / "ovs-vswitchd").exists():
        pytest.skip("needs make build")
    process = subprocess.Popen(
        [sys.executable, "-m", "utilities.demo"], cwd=ROOT, text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def processes_below(directory):
    """Return the command lines of running processes that name `directory` or live in it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            environment = (path / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"OVS_RUNDIR={directory}" in environment:
            found.append(command)
    return found


def test_demo_shows_a_working_switch_and_cleans_up(demo, tmp_path):
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output
    for line in ("yes: h3 pings h2", "Gbit/s", "yes: h1 does not reach h2",
                 "yes: the rule has counted the packets", "everything is cleaned up."):
        assert line in output
    assert list(tmp_path.iterdir()) == []
    assert processes_below(tmp_path) == []


@pytest.mark.parametrize("line, number", [
    ("$ ovsdb-server", signal.SIGINT),
    ("$ ovs-vswitchd", signal.SIGTERM),
    ("yes: h1 pings h2", signal.SIGINT),
])
def test_interrupted_demo_leaves_nothing_behind(demo, tmp_path, line, number):
    while line not in (text := demo.stdout.readline()):
        assert text, "the demonstration ended early"
    demo.send_signal(number)
    output, _ = demo.communicate(timeout=20)
    assert demo.returncode == 130, output
    assert "everything is cleaned up" in output
    assert list(tmp_path.iterdir()) == []
    assert processes_below(tmp_path) == []
