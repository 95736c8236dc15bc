"""How long a tool takes, ovs-vsctl above all, from exec to exit, ours beside the reference's.

`python bench/vsctl_start.py [RUNS]` starts the reference's database server (ours if it is not
installed) in a private directory, and prints the median wall time of each command line in
milliseconds.  The two programs take turns, so that a busy machine slows both.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from utilities.launcher import launcher_text  # noqa: E402
from utilities.quickstart.build import write_tools  # noqa: E402

TOOLS = ("ovs-vsctl", "ovs-appctl", "ovs-ofctl", "ovsdb-client", "ovsdb-tool")
# %d is another number each time: every run really changes something.
COMMANDS = (
    "ovs-vsctl --version", "ovs-vsctl --no-wait list-br", "ovs-vsctl --no-wait show",
    "ovs-vsctl --no-wait get bridge br0 name",
    "ovs-vsctl --no-wait set bridge br0 other_config:x=%d",
    "ovs-vsctl --no-wait add-port br0 q%d", "ovs-vsctl --no-wait --if-exists del-port q%d",
    "ovs-appctl --version", "ovs-appctl -t ovsdb-server version",
    "ovsdb-client --version", "ovsdb-client list-dbs", "ovsdb-tool --version",
    "ovs-ofctl --version", "ovs-ofctl parse-flow ip,nw_dst=10.0.0.%d,actions=output:1")


def environment(directory: Path) -> dict[str, str]:
    names = ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")
    return {"PATH": os.environ["PATH"], "LC_ALL": "C", "OVS_SYSLOG_METHOD": "null",
            **{f"OVS_{name}": str(directory) for name in names}}


def make_launchers(directory: Path) -> dict[str, str]:
    """Make programs below `directory` as `make build` does; return {program: path}."""
    import json
    site = str(Path(json.__file__).parents[1])
    (directory / "bin").mkdir()
    complaint = write_tools(directory, site, list(TOOLS))
    if complaint:
        raise SystemExit(complaint)
    server = directory / "bin" / "ovsdb-server"
    server.write_text(launcher_text("ovsdb-server", str(ROOT), sys.executable, site))
    server.chmod(0o755)
    return {path.name: str(path) for path in (directory / "bin").iterdir()}


def _fill(words: str, number: int) -> list[str]:
    return (words % number if "%d" in words else words).split()


def measure(argv: list[str], env: dict[str, str]) -> float:
    """Return the milliseconds that one run takes."""
    start = time.perf_counter()
    subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        env = environment(directory)
        ours = make_launchers(directory)
        tool = shutil.which("ovsdb-tool") or ours["ovsdb-tool"]
        server = shutil.which("ovsdb-server") or ours["ovsdb-server"]
        subprocess.run([tool, "create", "conf.db", ROOT / "schema" / "vswitch.ovsschema"],
                       cwd=directory, env=env, check=True)
        subprocess.run([server, "--detach", "--no-chdir", "--pidfile", "-vconsole:off",
                        "--remote=punix:db.sock"], cwd=directory, env=env, check=True)
        try:
            setup = ["add-br", "br0"]
            for i in range(20):
                setup += ["--", "add-port", "br0", f"p{i}", f"tag={i + 1}"]
            subprocess.run([ours["ovs-vsctl"], "--no-wait", *setup], env=env, check=True)
            print(f"{'command':58} {'ours ms':>8} {'peer ms':>8} {'ratio':>6}")
            for command in COMMANDS:
                times: dict[str, list[float]] = {"ours": [], "peer": []}
                tool, words = command.split(" ", 1)
                peer = shutil.which(tool, path="/usr/bin:/bin")
                for number in range(0, 2 * runs, 2):
                    times["ours"].append(measure([ours[tool], *_fill(words, number)], env))
                    if peer:
                        times["peer"].append(measure([peer, *_fill(words, number + 1)], env))
                mine = statistics.median(times["ours"])
                theirs = statistics.median(times["peer"]) if peer else float("nan")
                print(f"{command:58} {mine:8.1f} {theirs:8.1f} {mine / theirs:6.1f}")
            bare = [measure([sys.executable, "-IS", "-c", "pass"], env) for _ in range(runs)]
            print(f"{'(python that does nothing)':58} {statistics.median(bare):8.1f}")
        finally:
            os.kill(int((directory / "ovsdb-server.pid").read_text()), signal.SIGTERM)


if __name__ == "__main__":
    main()
