"""make demo: three hosts on a switch, each step shown with the command that does it.

Runs everything in network namespaces of its own and in a private directory: the machine's own
interfaces, databases and switches are neither seen nor touched, and all is gone when it ends,
also by Ctrl-C.  Needs root, or a kernel that lets users make namespaces.

`python -m utilities.demo` enters the namespaces by running itself anew below unshare(1); a host
is a process in a network namespace of its own, entered by nsenter(1).
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
PROGRAMS = ROOT / ".venv" / "bin"
INSIDE = "--inside"
ADDRESS = "10.0.0.{}"
TRANSFER_MB = 200

# The two ends of the TCP transfer, run as `python -c` inside a host.
_RECEIVE = """
import socket
listener = socket.create_server(("", 5001))
print("ready", flush=True)
peer, _ = listener.accept()
size = 0
while data := peer.recv(1 << 20):
    size += len(data)
peer.sendall(b"%d" % size)
"""
_SEND = """
import socket, sys, time
peer = socket.create_connection((sys.argv[1], 5001), 10)
begin = time.monotonic()
block = bytes(1 << 20)
for _ in range(int(sys.argv[2])):
    peer.sendall(block)
peer.shutdown(socket.SHUT_WR)
size = int(peer.recv(64))
seconds = time.monotonic() - begin
print(f"{size >> 20} MB in {seconds:.2f} s: {size * 8 / seconds / 1e9:.2f} Gbit/s")
"""


class Surprise(Exception):
    """The switch did not do what the demonstration promises."""


class Host:
    """A network namespace, kept alive by a process that sleeps in it."""

    def __init__(self, name: str, number: int, stack: ExitStack) -> None:
        self.name = name
        self.address = ADDRESS.format(number)
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
        stack.callback(self._leave)
        self._process.stdout.readline()
        self.pid = self._process.pid
        self.run("ip", "link", "set", "lo", "up")

    def _leave(self) -> None:
        self._process.kill()
        self._process.wait()

    def command(self, *args: str) -> list[str]:
        """Return the command that runs `args` in this host."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *args]

    def run(self, *args: str) -> str:
        """Run `args` in this host and return what it printed.  Raises: CalledProcessError."""
        return _run(self.command(*args))

    def take(self, device: str) -> None:
        """Move network device `device` here, give it this host's address and start it."""
        _run(["ip", "link", "set", device, "netns", str(self.pid)])
        self.run("ip", "addr", "add", f"{self.address}/24", "dev", device)
        self.run("ip", "link", "set", device, "up")

    def reaches(self, other: "Host", tries: int = 1) -> bool:
        """Tell whether one of `tries` pings, a second for each, is answered by `other`."""
        for _ in range(tries):
            done = subprocess.run(self.command("ping", "-n", "-q", "-c1", "-W1", other.address),
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if done.returncode == 0:
                return True
        return False


def main(argv: list[str]) -> int:
    """Enter namespaces of our own, then run the demonstration in them; return the exit code."""
    if argv != [INSIDE]:
        return _enter()
    _react_to_signals(signal.default_int_handler)
    begin = time.monotonic()
    try:
        with ExitStack() as stack:
            try:
                _demonstrate(stack)
            finally:
                _react_to_signals(signal.SIG_IGN)    # Nothing interrupts the clean-up.
    except KeyboardInterrupt:
        print("\nstopped; everything is cleaned up")
        return 130
    except (Surprise, subprocess.CalledProcessError) as error:
        print(f"\nthis demonstration failed: {error}", file=sys.stderr)
        if isinstance(error, subprocess.CalledProcessError) and error.stderr:
            print(error.stderr, file=sys.stderr)
        return 1
    print(f"\nDone in {time.monotonic() - begin:.0f} s; everything is cleaned up.")
    return 0


def _react_to_signals(handler) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _enter() -> int:
    namespaces = ["--net", "--mount"]
    if os.geteuid() != 0:
        namespaces = ["--user", "--map-root-user", *namespaces]
    probe = subprocess.run(["unshare", *namespaces, "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        print("This demonstration makes network namespaces, which needs root or a kernel that\n"
              "lets users have namespaces (sysctl kernel.unprivileged_userns_clone=1).\n"
              f"Here: {probe.stderr.strip()}", file=sys.stderr)
        return 1
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        print("This demonstration makes a port of the switch itself, which needs read and write\n"
              "permission for /dev/net/tun (a module: modprobe tun).", file=sys.stderr)
        return 1
    os.chdir(ROOT)
    os.execvp("unshare", ["unshare", *namespaces, sys.executable, "-m", "utilities.demo", INSIDE])


def _demonstrate(stack: ExitStack) -> None:
    _say("The suite starts: a database, and a switch that follows it")
    _start_suite(stack)
    _show("ovs-vsctl", "add-br", "br0")

    _say("Three hosts: two on virtual cables (veth), one on a port of the switch itself")
    hosts = [Host(f"h{number}", number, stack) for number in (1, 2, 3)]
    for host in hosts[:2]:
        _run(["ip", "link", "add", f"{host.name}-port", "type", "veth", "peer", "name", "eth0"])
        host.take("eth0")
        _run(["ip", "link", "set", f"{host.name}-port", "up"])
    _show("ovs-vsctl", "add-port", "br0", "h1-port", "--", "add-port", "br0", "h2-port")
    _show("ovs-vsctl", "add-port", "br0", "h3-port", "--", "set", "interface", "h3-port",
          "type=internal")
    hosts[2].take("h3-port")
    _show("ovs-vsctl", "show")

    _say("Everyone reaches everyone")
    for one in hosts:
        for other in hosts:
            if one is not other:
                _expect(one.reaches(other, tries=5), f"{one.name} pings {other.name}")

    _say(f"TCP with the devices' offloads as they are: {TRANSFER_MB} MB from h1 to h2")
    _transfer(hosts[0], hosts[1])

    _say("What the switch has learned and built")
    table = _show("ovs-appctl", "fdb/show", "br0")
    _expect(len(re.findall(r"(?:[0-9a-f]{2}:){5}", table)) >= 3, "three addresses in the MAC table")
    print("Megaflows: the fields a decision looked at, how often it was used, what it does")
    flows = _show("ovs-appctl", "dpctl/dump-flows")
    _expect("packets:" in flows, "megaflows carry the traffic")

    _say("h2 moves to another VLAN, and is cut off")
    _show("ovs-vsctl", "set", "port", "h2-port", "tag=10")
    _expect(not hosts[0].reaches(hosts[1]), "h1 does not reach h2")
    _expect(hosts[0].reaches(hosts[2], tries=3), "h1 still reaches h3")
    _show("ovs-vsctl", "clear", "port", "h2-port", "tag")
    _expect(hosts[0].reaches(hosts[1], tries=5), "back in the VLAN, h1 reaches h2")

    _say("An OpenFlow rule drops what h1 sends to h3")
    _show("ovs-ofctl", "add-flow", "br0",
          f"priority=100,ip,nw_src={hosts[0].address},nw_dst={hosts[2].address},actions=drop")
    _expect(not hosts[0].reaches(hosts[2]), "h1 does not reach h3")
    _expect(hosts[1].reaches(hosts[2], tries=3), "h2 still reaches h3")
    rules = _show("ovs-ofctl", "dump-flows", "br0")
    _expect(re.search(r"n_packets=[1-9]\d*,.*actions=drop", rules) is not None,
            "the rule has counted the packets")
    _show("ovs-ofctl", "--strict", "del-flows", "br0",
          f"priority=100,ip,nw_src={hosts[0].address},nw_dst={hosts[2].address}")
    _expect(hosts[0].reaches(hosts[2], tries=5), "without the rule, h1 reaches h3")


def _start_suite(stack: ExitStack) -> None:
    """Start both daemons in a private directory; `stack` stops them and removes it."""
    directory = tempfile.mkdtemp(prefix="pyvswitch-demo-")
    stack.callback(shutil.rmtree, directory, ignore_errors=True)
    for variable in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"):
        os.environ[f"OVS_{variable}"] = directory
    os.environ["OVS_SYSLOG_METHOD"] = "null"
    os.environ["PATH"] = f"{PROGRAMS}:{os.environ['PATH']}:/usr/sbin:/sbin"
    _show("ovsdb-tool", "create", f"{directory}/conf.db", str(ROOT / "schema/vswitch.ovsschema"))
    stack.callback(_stop, "ovsdb-server", directory)
    stopped = []
    _react_to_signals(lambda number, frame: stopped.append(number))    # No daemon half started.
    _show("ovsdb-server", f"--remote=punix:{directory}/db.sock", "--pidfile", "--detach",
          "--no-chdir", "--log-file", "-vconsole:emer")
    _show("ovs-vsctl", "--no-wait", "init")
    stack.callback(_stop, "ovs-vswitchd", directory, "--cleanup")
    _show("ovs-vswitchd", "--pidfile", "--detach", "--no-chdir", "--log-file", "-vconsole:emer")
    _react_to_signals(signal.default_int_handler)
    if stopped:
        raise KeyboardInterrupt


def _stop(daemon: str, directory: str, *options: str) -> None:
    """Let `daemon` exit; one that does not within five seconds is killed."""
    try:
        pid = int(Path(directory, f"{daemon}.pid").read_text())
    except (OSError, ValueError):
        return                                   # It has not started.
    try:
        subprocess.run(["ovs-appctl", "-T", "5", "-t", daemon, "exit", *options],
                       capture_output=True)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _transfer(sender: Host, receiver: Host) -> None:
    python = [sys.executable, "-I", "-c"]
    with subprocess.Popen(receiver.command(*python, _RECEIVE), stdout=subprocess.PIPE) as server:
        try:
            server.stdout.readline()
            print(_run(sender.command(*python, _SEND, receiver.address, str(TRANSFER_MB)),
                       timeout=40), end="")
        except subprocess.TimeoutExpired as error:
            raise Surprise("the TCP transfer does not come to an end") from error
        finally:
            server.kill()


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _show(*command: str) -> str:
    """Print `command` as a user would type it, run it, print and return what it printed."""
    print("$", " ".join(f"'{word}'" if re.search(r"[^\w@%+=:,./-]", word) else word
                        for word in command), flush=True)
    text = _run(list(command))
    print(text, end="", flush=True)
    return text


def _run(command: list[str], timeout: float = 30) -> str:
    # In a session of its own: the terminal's Ctrl-C is for us alone.
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                          start_new_session=True).stdout


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise Surprise(f"not true: {what}")
    print(f"   yes: {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
