"""TCP between two namespaces through the switch: ours beside the installed one, in one run.

    python bench/tcp.py [SECONDS PER FIGURE]

    sender -- p1 [br0, datapath_type=netdev] p2 -- receiver

Each switch gets namespaces, veth pairs, a private directory and a database server of its own. Ours
runs with default offloads. The installed one loses partial checksums, so that TCP stalls: on its
side the senders complete them (ethtool -K tx off), which ours does not need. "to LOCAL" has the
receiver behind the bridge's own port. Needs root.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "schema" / "vswitch.ovsschema"
ROUNDS = 3
_START = "import sys; sys.path.insert(0, {root!r}); from utilities.programs import start; " \
         "sys.argv[0] = {name!r}; start({name!r})"
_RECEIVE = """
import socket, time
listener = socket.create_server(("", 5001))
print("ready", flush=True)
peer, _ = listener.accept()
size, buffer = 0, bytearray(1 << 20)
while count := peer.recv_into(buffer):
    if not size:
        begin = time.monotonic()
    size += count
print(size * 8 / (time.monotonic() - begin) / 1e9, flush=True)
"""
_SEND = """
import socket, sys, time
peer = socket.create_connection((sys.argv[1], 5001), 10)
block, end = bytes(1 << 20), time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    peer.sendall(block)
"""


class Host:
    """A network namespace."""

    def __init__(self, stack: ExitStack) -> None:
        keeper = subprocess.Popen(["unshare", "--net", "sh", "-c",
                                   "ip link set lo up; echo ready; exec sleep 1000"],
                                  stdout=subprocess.PIPE, text=True)
        stack.callback(keeper.wait)
        stack.callback(keeper.kill)
        keeper.stdout.readline()
        self.pid = keeper.pid

    def command(self, *args: str) -> list[str]:
        """The command that runs `args` here."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *args]

    def run(self, *args: str, **options) -> None:
        """Runs `args` here."""
        subprocess.run(self.command(*args), check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, timeout=30, **options)


class Side:
    """A switch, its database and two hosts."""

    def __init__(self, stack: ExitStack, is_ours: bool) -> None:
        self.is_ours = is_ours
        self.directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tcp-"))
        self.switch, self.sender, self.receiver = Host(stack), Host(stack), Host(stack)
        self.environment = os.environ | {
            f"OVS_{name}": self.directory for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")
        } | {"OVS_SYSLOG_METHOD": "null"}
        self.tool("ovsdb-tool", "create", f"{self.directory}/conf.db", str(SCHEMA))
        self.tool("ovsdb-server", "--detach", "--no-chdir", "--pidfile", "-vconsole:off",
                  f"--remote=punix:{self.directory}/db.sock", f"{self.directory}/conf.db")
        stack.callback(self.stop, "ovsdb-server")
        self.tool("ovs-vsctl", "--no-wait", "init")
        self.tool("ovs-vswitchd", "--detach", "--no-chdir", "--pidfile", "-vconsole:off",
                  *([] if is_ours else ["--disable-system"]))
        stack.callback(self.stop, "ovs-vswitchd")
        self.tool("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0",
                  "datapath_type=netdev")
        for name, host, address in (("p1", self.sender, "10.9.0.1/24"),
                                    ("p2", self.receiver, "10.9.0.2/24")):
            self.switch.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0",
                            "netns", str(host.pid))
            self.switch.run("ip", "link", "set", name, "up")
            self.tool("ovs-vsctl", "add-port", "br0", name)
            host.run("ip", "link", "set", "eth0", "up")
            host.run("ip", "addr", "add", address, "dev", "eth0")
            if not is_ours:
                host.run("ethtool", "-K", "eth0", "tx", "off")
        self.switch.run("ip", "addr", "add", "10.9.0.3/24", "dev", "br0")
        self.switch.run("ip", "link", "set", "br0", "up")
        if not is_ours:
            self.switch.run("ethtool", "-K", "br0", "tx", "off")

    def tool(self, name: str, *args: str) -> None:
        """Runs a program of this side's suite."""
        command = ([sys.executable, "-I", "-c", _START.format(root=str(ROOT), name=name)]
                   if self.is_ours else [shutil.which(name, path="/usr/sbin:/usr/bin")])
        self.switch.run(*command, *args, env=self.environment, cwd=self.directory)

    def stop(self, name: str) -> None:
        """Ends a daemon and waits for it."""
        pid = int(Path(self.directory, f"{name}.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        for _ in range(250):
            if not Path(f"/proc/{pid}/stat").exists():
                return
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)

    def switch_seconds(self) -> float:
        """Processor time that the switch has used."""
        pid = Path(self.directory, "ovs-vswitchd.pid").read_text().strip()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def measure(self, receiver: Host, address: str, seconds: float) -> tuple[float, float]:
        """(Gbit/s, cores that the switch used)."""
        listener = subprocess.Popen(receiver.command(sys.executable, "-c", _RECEIVE),
                                    stdout=subprocess.PIPE, text=True)
        listener.stdout.readline()
        begin, used = time.monotonic(), self.switch_seconds()
        self.sender.run(sys.executable, "-c", _SEND, address, str(seconds))
        used, begin = self.switch_seconds() - used, time.monotonic() - begin
        rate = float(re.match(r"[\d.]+", listener.stdout.readline())[0])
        listener.wait()
        return rate, used / begin


def main() -> int:
    """Measures both sides in turn and prints the best round of each with its ratio."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    has_peer = shutil.which("ovs-vswitchd", path="/usr/sbin:/usr/bin") is not None
    with ExitStack() as stack:
        sides = [Side(stack, True)] + ([Side(stack, False)] if has_peer else [])
        for title, address in (("host to host", "10.9.0.2"), ("to LOCAL", "10.9.0.3")):
            best = []
            for _ in range(ROUNDS):
                round_ = [side.measure(side.switch if address.endswith("3") else side.receiver,
                                       address, seconds) for side in sides]
                best = [max(pair) for pair in zip(best or round_, round_)]
            texts = [f"{rate:6.2f} Gbit/s ({cores:.2f} cores)" for rate, cores in best]
            text = f"{title:14} ours {texts[0]}"
            if has_peer:
                text += f"   installed {texts[1]}   ratio {best[0][0] / best[1][0]:.2f}"
            print(text, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
