"""A switch under an os-ken controller: starts both, sends traffic, tells what was seen."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.differential.switches import Switch

APP = Path(__file__).with_name("controller_app.py")
SETUP = """ovs-vsctl -- add-br br0 -- set bridge br0 datapath-type=dummy fail-mode=secure \
other-config:datapath-id=fedcba9876543210 other-config:hwaddr=aa:55:aa:55:00:00 \
-- add-port br0 p1 -- set Interface p1 type=dummy ofport_request=1 mac='"02:00:00:00:00:01"' \
-- add-port br0 p2 -- set Interface p2 type=dummy ofport_request=2 mac='"02:00:00:00:00:02"'"""
ADD_PORT = ("ovs-vsctl add-port br0 p5 -- set interface p5 type=dummy ofport_request=5 "
            "mac='\"02:00:00:00:00:05\"'")


def free_port() -> int:
    """A TCP port of this host that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def arp(port: int, source: int, target: int) -> str:
    """A shell line by which an ARP request comes in on a dummy port."""
    return (f"ovs-appctl netdev-dummy/receive p{port} 'in_port({port}),"
            f"eth(src=50:54:00:00:00:{source:02x},dst=50:54:00:00:00:{target:02x}),"
            f"eth_type(0x0806),arp(sip=1.2.3.4,tip=1.2.3.5,op=1,"
            f"sha=50:54:00:00:00:{source:02x},tha=00:00:00:00:00:00)'")


class Controller:
    """The learning switch of `controller_app.py` as a process; `lines` is what it printed."""

    def __init__(self, version: int, port: int):
        self.lines: list[str] = []
        self._came = threading.Condition()
        self._process = subprocess.Popen([sys.executable, str(APP), str(version), str(port)],
                                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        for _ in range(200):                # until it listens
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)

    def _read(self) -> None:
        for line in self._process.stdout:
            with self._came:
                self.lines.append(line.rstrip("\n"))
                self._came.notify_all()

    def wait_for(self, start: str, count: int = 1, timeout: float = 15) -> None:
        """Waits until `count` lines begin with `start`."""
        def is_there() -> bool:
            return sum(line.startswith(start) for line in self.lines) >= count

        with self._came:
            if not self._came.wait_for(is_there, timeout):
                raise AssertionError(f"no {count} {start!r} among {self.lines}")

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()


def observe(switch: Switch, version: int) -> tuple[list[str], dict[str, str]]:
    """What a controller of `version` sees of a switch that it is the controller of, and what the
    tools tell of that: {line: output}."""
    port = free_port()
    controller = Controller(version, port)
    told = {}

    def run(line: str) -> None:
        told[line] = switch.run(line)

    try:
        run(SETUP)
        run(f"ovs-vsctl set-controller br0 tcp:127.0.0.1:{port} -- set controller br0 "
            "connection_mode=out-of-band max_backoff=1000 -- set bridge br0 "
            f"protocols=OpenFlow1{version - 1}")
        controller.wait_for("BarrierReply")
        run(arp(1, 5, 7))                       # unknown: flooded
        controller.wait_for("BarrierReply", 2)
        run(arp(2, 7, 5))                       # known: a flow
        controller.wait_for("BarrierReply", 3)
        run(arp(2, 7, 5))                       # by the flow
        run(f"ovs-ofctl -O OpenFlow1{version - 1} dump-flows br0 | sort")
        run(ADD_PORT)
        controller.wait_for("PortStatus")
        run(f"ovs-ofctl -O OpenFlow1{version - 1} mod-port br0 p5 down")
        controller.wait_for("PortStatus: config=1")
        run("ovs-vsctl del-port p5")
        controller.wait_for("PortStatus: deleted")
        run(f"ovs-ofctl -O OpenFlow1{version - 1} del-flows br0 arp")
        run(f"ovs-ofctl -O OpenFlow1{version - 1} del-flows br0")
        controller.wait_for("FlowRemoved")
        run("ovs-vsctl --columns=is_connected,role list controller")
    finally:
        controller.close()
    return controller.lines, {line.replace(str(port), "PORT"): text.replace(str(port), "PORT")
                              for line, text in told.items()}
