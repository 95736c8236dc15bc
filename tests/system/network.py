"""Hosts, wires and a suite of our programs for the system tests.

A `Namespace` is a network namespace that lives as long as a process sleeping in it: no name, nothing
to clean up but the process. A `Suite` is our ovsdb-server and ovs-vswitchd in a private directory
and in a namespace of their own, so that devices of the machine and of other tests are neither seen
nor touched.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_RUN = ("import sys; sys.path.insert(0, {root!r}); from utilities.programs import start; "
        "sys.argv[0] = {name!r}; start({name!r})")


def need_privileges() -> None:
    """Skips the test where namespaces, taps or packet sockets cannot be had."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode:
        pytest.skip("needs network namespaces")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("needs permission for /dev/net/tun")
    missing = [tool for tool in ("ip", "nsenter", "ping") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")


def wait(condition, timeout: float = 5.0, step: float = 0.02):
    """Returns what `condition()` returns once it is true; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s in vain"
        time.sleep(step)


class Namespace:
    """A network namespace with its loopback up."""

    def __init__(self) -> None:
        self._keeper = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "ip link set lo up; echo ready; exec sleep 600"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self._keeper.stdout.readline()
        self.pid = self._keeper.pid
        self._children: list[subprocess.Popen] = []

    def close(self) -> None:
        """Ends it and what was started in it by `start`."""
        for process in (*self._children, self._keeper):
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()

    def command(self, *args: str) -> list[str]:
        """The command that runs `args` here."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *args]

    def run(self, *args: str, check: bool = True, timeout: float = 15) -> str:
        """Runs a command here; returns what it printed."""
        done = subprocess.run(self.command(*args), capture_output=True, text=True,
                              timeout=timeout)
        assert not check or done.returncode == 0, (args, done.stdout, done.stderr)
        return done.stdout

    def ip(self, line: str, check: bool = True) -> str:
        """Runs ip(8)."""
        return self.run("ip", *line.split(), check=check)

    def python(self, code: str, *args: str) -> subprocess.Popen:
        """Starts a Python program here, with pipes."""
        process = subprocess.Popen(self.command(sys.executable, "-c", code, *args),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._children.append(process)
        return process

    def pings(self, address: str, tries: int = 3, *options: str) -> bool:
        """Whether one of `tries` echo requests is answered."""
        for _ in range(tries):
            if subprocess.run(self.command("ping", "-n", "-q", "-c1", "-W1", *options, address),
                              capture_output=True).returncode == 0:
                return True
        return False

    def exists(self, device: str) -> bool:
        """Whether a device is here."""
        return subprocess.run(self.command("ip", "link", "show", device),
                              capture_output=True).returncode == 0


_RECEIVE = """
import hashlib, socket, sys
listener = socket.create_server((sys.argv[1], 5001), family=socket.AF_INET)
print("ready", flush=True)
peer, _ = listener.accept()
digest = hashlib.sha256()
while data := peer.recv(1 << 20):
    digest.update(data)
peer.sendall(digest.digest())
"""
_SEND = """
import hashlib, os, socket, sys
peer = socket.create_connection((sys.argv[1], 5001), 8)
peer.settimeout(20)
data = os.urandom(int(sys.argv[2]))
peer.sendall(data)
peer.shutdown(socket.SHUT_WR)
assert peer.recv(64) == hashlib.sha256(data).digest()
print("intact")
"""


def transfer(sender: Namespace, receiver: Namespace, address: str, size: int = 8 << 20) -> None:
    """Sends bytes by TCP and checks that they arrive as they left."""
    listener = receiver.python(_RECEIVE, address)
    assert listener.stdout.readline() == "ready\n"
    assert sender.run(sys.executable, "-c", _SEND, address, str(size), timeout=30) == "intact\n"


class Suite:
    """Our database server and switch. `host` is the namespace they live in."""

    def __init__(self, directory: Path, namespace: Namespace) -> None:
        self.directory = directory
        self.host = namespace
        self.environment = os.environ | {
            "OVS_RUNDIR": str(directory), "OVS_LOGDIR": str(directory),
            "OVS_DBDIR": str(directory), "OVS_SYSCONFDIR": str(directory),
            "OVS_SYSLOG_METHOD": "null", "OVS_CTL_TIMEOUT": "10"}
        self.tool("ovsdb-tool", "create", str(directory / "conf.db"),
                  str(ROOT / "schema" / "vswitch.ovsschema"))
        self.tool("ovsdb-server", "--detach", "--no-chdir", "--pidfile", "--log-file",
                  f"--remote=punix:{directory}/db.sock", str(directory / "conf.db"))
        self.vsctl("--no-wait", "init")
        self.options: tuple[str, ...] = ()

    def command(self, name: str, *args: str) -> list[str]:
        """The command that runs one of our programs here."""
        return self.host.command(sys.executable, "-I", "-c",
                                 _RUN.format(root=str(ROOT), name=name), *args)

    def tool(self, name: str, *args: str, check: bool = True, timeout: float = 20) -> str:
        """Runs one of our programs; returns what it printed."""
        done = subprocess.run(self.command(name, *args), capture_output=True, text=True,
                              timeout=timeout, env=self.environment, cwd=self.directory)
        assert not check or done.returncode == 0, (name, args, done.stdout, done.stderr)
        return done.stdout

    def start(self, *options: str) -> None:
        """Starts the switch."""
        self.options = options or self.options
        self.tool("ovs-vswitchd", *self.options, "--detach", "--no-chdir", "--pidfile",
                  "--log-file")

    @property
    def pid(self) -> int:
        """Of the switch."""
        return int((self.directory / "ovs-vswitchd.pid").read_text())

    def vsctl(self, *args: str, check: bool = True) -> str:
        """Runs ovs-vsctl."""
        return self.tool("ovs-vsctl", *args, check=check).strip()

    def appctl(self, *args: str, check: bool = True) -> str:
        """Runs ovs-appctl for the switch."""
        return self.tool("ovs-appctl", "-t", "ovs-vswitchd", *args, check=check)

    def ofctl(self, *args: str, check: bool = True) -> str:
        """Runs ovs-ofctl."""
        return self.tool("ovs-ofctl", *args, check=check)

    def get(self, table: str, record: str, *columns: str) -> list[str]:
        """Column values as ovs-vsctl prints them."""
        return self.vsctl("get", table, record, *columns).splitlines()

    def statistics(self, name: str) -> dict[str, int]:
        """Interface.statistics, as the database has them."""
        return eval_map(self.vsctl("get", "interface", name, "statistics"))

    def statistics_now(self, name: str) -> tuple[int, int]:
        """(received, sent) frames of a port, asked of the datapath."""
        return self._counts(name, "packets")

    def dropped(self, name: str) -> tuple[int, int]:
        """Frames dropped on the way in and on the way out of a port."""
        return self._counts(name, "dropped")

    def _counts(self, name: str, word: str) -> tuple[int, int]:
        lines = self.appctl("dpctl/show", "-s").splitlines()
        start = next(index for index, line in enumerate(lines)
                     if re.fullmatch(rf"\s*port \d+: {name}( .*)?", line))
        received, sent = (int(re.search(rf"{word}:(\d+)", line)[1])
                          for line in lines[start + 1:start + 3])
        return received, sent

    def counter(self, name: str) -> int:
        """A coverage counter."""
        return int(self.appctl("coverage/read-counter", name))

    def log(self) -> str:
        """The switch's log."""
        return (self.directory / "ovs-vswitchd.log").read_text()

    def complaints(self) -> list[str]:
        """Warnings and errors in the log."""
        return [line for line in self.log().splitlines()
                if "|WARN|" in line or "|ERR|" in line or "|EMER|" in line]

    def add_bridge(self, name: str, *settings: str) -> None:
        """Adds a bridge of our datapath."""
        self.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", *settings)

    def wire(self, host: Namespace, name: str, bridge: str | None = None, address: str = "",
             inside: str = "eth0", *settings: str) -> None:
        """Joins a host's `inside` to `name` here, and that to a bridge.

        A device of that name whose peer's namespace has just ended goes a moment later.
        """
        wait(lambda: not self.host.ip(f"-oneline link show {name}", check=False))
        self.host.ip(f"link add {name} type veth peer name {inside} netns {host.pid}")
        self.host.ip(f"link set {name} up")
        host.ip(f"link set {inside} up")
        if address:
            host.ip(f"addr add {address} dev {inside}" + (" nodad" if ":" in address else ""))
        if bridge:
            self.vsctl("add-port", bridge, name, *settings)

    def stop(self, *options: str) -> None:
        """Stops the switch and waits until it is gone."""
        pid = self.pid
        self.appctl("exit", *options)
        wait(lambda: not _is_running(pid))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kills the switch and waits until it is gone."""
        pid = self.pid
        os.kill(pid, number)
        wait(lambda: not _is_running(pid))

    def clear(self) -> None:
        """Removes all bridges."""
        bridges = self.vsctl("list-br").split()
        words = [word for name in bridges for word in ("--", "del-br", name)]
        if words:
            self.vsctl(*words)

    def close(self) -> None:
        """Ends both daemons."""
        for name in ("ovs-vswitchd", "ovsdb-server"):
            path = self.directory / f"{name}.pid"
            try:
                pid = int(path.read_text())
                os.kill(pid, signal.SIGTERM)
            except (OSError, ValueError):
                continue
            deadline = time.monotonic() + 5
            while _is_running(pid) and time.monotonic() < deadline:
                time.sleep(0.02)
            if _is_running(pid):
                os.kill(pid, signal.SIGKILL)


def eval_map(text: str) -> dict[str, int]:
    """A map of numbers as ovs-vsctl prints it."""
    pairs = (pair.split("=") for pair in text.strip("{}").split(", ") if pair)
    return {name.strip('"'): int(value) for name, value in pairs}


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
