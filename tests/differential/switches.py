"""Two switches side by side: ours and Debian's, each in a private directory, driven by shell lines.

`Switch.run(line)` runs a line of shell with Debian's tools (or ours) against one of them and
returns what it printed and its exit code; `normal` takes out what must differ: times, ids, paths.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REAL = {"ovs-vswitchd": "/usr/sbin/ovs-vswitchd", "ovsdb-server": "/usr/sbin/ovsdb-server"}
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
MODULES = {"ovs-vswitchd": "vswitchd.main", "ovsdb-server": "ovsdb_server.main",
           "ovs-vsctl": "utilities.vsctl", "ovs-ofctl": "utilities.ofctl",
           "ovs-appctl": "utilities.appctl", "ovs-dpctl": "utilities.dpctl",
           "ovsdb-client": "utilities.ovsdb_client", "ovsdb-tool": "utilities.ovsdb_tool"}
FLAGS = ("--enable-dummy --disable-system --disable-system-route --detach --no-chdir --pidfile "
         "--log-file").split()


def is_installed() -> bool:
    """Whether Debian's switch is here."""
    return all(map(os.path.exists, REAL.values())) and shutil.which("ovs-ofctl") is not None


def ours(program: str) -> list[str]:
    """The command that runs one of our programs from this checkout."""
    module = MODULES[program]
    return [sys.executable, "-I", "-c",
            f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from {module} import main; "
            f"sys.exit(main(sys.argv[1:]))"]


class Switch:
    """A database and a switch daemon in `directory`; `real` says whose. With `our_tools` the tools
    that lines name are ours too."""

    def __init__(self, directory: Path, real: bool, our_tools: bool = False):
        self.directory = directory
        self.real = real
        directory.mkdir()
        self.environment = {
            **os.environ, "OVS_SYSLOG_METHOD": "null", "OVS_CTL_TIMEOUT": "20", "LC_ALL": "C",
            **{f"OVS_{name}": str(directory) for name in ("RUNDIR", "LOGDIR", "DBDIR",
                                                          "SYSCONFDIR")}}
        if our_tools:
            self._shadow_tools()
        schema = SCHEMA if real else str(ROOT / "schema" / "vswitch.ovsschema")
        self._check(["ovsdb-tool", "create", str(directory / "conf.db"), schema])
        self._check([*self._daemon("ovsdb-server"), "--detach", "--no-chdir", "--pidfile",
                     "--log-file", f"--remote=punix:{directory}/db.sock",
                     str(directory / "conf.db")])
        self._check(["ovs-vsctl", "--no-wait", "init"])
        self._check([*self._daemon("ovs-vswitchd"), *FLAGS])

    def _shadow_tools(self) -> None:
        shadow = self.directory / "bin"
        shadow.mkdir()
        for program in MODULES:
            command = ours(program)
            script = shadow / program
            script.write_text(f"#!/bin/sh\nexec {command[0]} -I -c '{command[3].replace(chr(39), chr(34))}' \"$@\"\n")
            script.chmod(0o755)
        self.environment["PATH"] = f"{shadow}:{os.environ['PATH']}"

    def _daemon(self, program: str) -> list[str]:
        return [REAL[program]] if self.real else ours(program)

    def _check(self, command: list[str]) -> None:
        done = subprocess.run(command, env=self.environment, cwd=self.directory, text=True,
                              capture_output=True, timeout=30)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")

    def run(self, line: str) -> str:
        """What a line of shell prints on both standard files, and its exit code if not 0."""
        done = subprocess.run(["/bin/sh", "-c", line], env=self.environment, cwd=self.directory,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=40)
        return done.stdout + (f"exit code {done.returncode}\n" if done.returncode else "")

    def complaints(self) -> list[str]:
        """Lines of the daemons' logs at WARN and above."""
        return [line for log in self.directory.glob("ovs*.log")
                for line in log.read_text(errors="replace").splitlines()
                if re.search(r"\|(WARN|ERR|EMER)\|", line)]

    def pid(self, program: str) -> int | None:
        """The pid of a daemon that runs."""
        try:
            return int((self.directory / f"{program}.pid").read_text())
        except (OSError, ValueError):
            return None

    def close(self) -> None:
        """Ends both daemons."""
        pids = [self.pid(program) for program in ("ovs-vswitchd", "ovsdb-server")]
        self.run("ovs-appctl -t ovs-vswitchd exit --cleanup; ovs-appctl -t ovsdb-server exit")
        for pid in filter(None, pids):
            for _ in range(50):
                try:
                    os.kill(pid, 0)
                except ProcessLookupError:
                    break
                time.sleep(0.1)
            else:
                os.kill(pid, signal.SIGKILL)


_RULES = (
    (r"(?m)((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) +\d+$", r"\1 AGE"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID"),
    (r"duration=[\d.]+s", "duration=T"), (r"idle_age=\d+", "idle_age=N"),
    (r", hard_age=\d+", ""), (r"used:[\d.]+s", "used:T"), (r"used:never", "used:T"),
    (r"\(xid=0x[0-9a-f]+\)", "(xid=X)"), (r"duration=0s", "duration=T"),
    (r"0x[0-9a-f]{6,}", "HEX"), (r"\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|", ""),
    (r"age=\d+", "age=N"),
    (r"aa:55:aa:55:00:0\d", "MAC"), (r"\b(Software: )[\d.]+", r"\1VERSION"),
    (r"duration[:=]?\d+(\.\d+)?s", "duration=T"),
)


def normal(text: str, directory: Path) -> str:
    """`text` without what differs from run to run."""
    text = text.replace(str(directory), "DIR")
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text)
    return text
