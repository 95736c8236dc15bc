"""OVN's controller, unmodified, makes logical switches and a router of our switch, for hosts.

       h1 ── p1 ┐
       h2 ── p2 ┼ sw0 ── lr0 ── sw1 ┬ p3 ── h3
       h5 ── p5 ┘ (asks by DHCP)    └ p4 ── h4 (its address is unknown to OVN)

Beside `test_ovn.py`, which compares flows and traces, packets pass here through all that needs
ovn-controller's answers: ARP and ND for unknown addresses, ICMP errors, refusals, DHCP, names.
"""

import re
import subprocess
import sys

import pytest

from tests.conformance.cloud import is_installed
from tests.conformance.controllers import Suite
from tests.system.network import Namespace, need_privileges, transfer, wait

pytestmark = [pytest.mark.system, pytest.mark.long,
              pytest.mark.skipif(not is_installed(), reason="OVN is not installed")]

ROUTERS = [(0, "10", "00:00:00:00:ff:01"), (1, "20", "00:00:00:00:ff:02")]
# (logical port, its switch, MAC, its host's addresses, what OVN knows of them)
HOSTS = [("p1", 0, "50:54:00:00:00:01", ("10.0.0.1", "fd00::1"), "10.0.0.1 fd00::1"),
         ("p2", 0, "50:54:00:00:00:02", ("10.0.0.2", "fd00::2"), "10.0.0.2 fd00::2"),
         ("p3", 1, "50:54:00:00:00:03", ("20.0.0.3",), "20.0.0.3"),
         ("p4", 1, "50:54:00:00:00:04", ("20.0.0.4",), "unknown"),
         ("p5", 0, "50:54:00:00:00:05", (), "10.0.0.5")]
_REFUSED = """
import socket, sys
client = socket.socket(type=getattr(socket, sys.argv[1]))
client.settimeout(3)
try:
    client.connect((sys.argv[2], 99))
    client.send(b"x")
    client.recv(1)
except OSError as error:
    print(type(error).__name__)
"""
# Prints the address, the router and the server that a server offers to the MAC of eth0.
_DISCOVER = """
import socket, struct
mac = bytes.fromhex(open("/sys/class/net/eth0/address").read().replace(":", ""))
client = socket.socket(type=socket.SOCK_DGRAM)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
client.bind(("", 68))
client.settimeout(3)
client.sendto(struct.pack("!4BIHH16x16s192xI", 1, 1, 6, 0, 7, 0, 0x8000, mac, 0x63825363)
              + bytes([53, 1, 1, 255]), ("255.255.255.255", 67))
answer, rest, options = (data := client.recv(1500)), data[240:], {}
while rest[0] != 255:
    options[rest[0]], rest = rest[2:2 + rest[1]], rest[2 + rest[1]:]
print(*map(socket.inet_ntoa, (answer[16:20], options[3], options[54])))
"""
_NAME = """
import socket, struct
asked = b"".join(bytes([len(word)]) + word.encode() for word in ("vm", "ovn", "org")) + bytes(1)
client = socket.socket(type=socket.SOCK_DGRAM)
client.settimeout(3)
client.sendto(struct.pack("!6H", 7, 0x100, 1, 0, 0, 0) + asked + struct.pack("!2H", 1, 1),
              ("10.0.0.2", 53))
print(socket.inet_ntoa(client.recv(500)[-4:]))
"""


class Cloud(Suite):
    """OVN beside a suite, with the logical network of HOSTS; `hosts` are in their order."""

    def __init__(self, directory) -> None:
        super().__init__(directory)
        self.start()
        self.environment |= {f"OVN_{name}": str(directory)
                             for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}
        for name in ("nb", "sb"):
            self.environment[f"OVN_{name.upper()}_DB"] = f"unix:{directory}/ovn{name}_db.sock"
            file = f"{directory}/{name}.db"
            self.tool("ovsdb-tool", "create", file, f"/usr/share/ovn/ovn-{name}.ovsschema")
            self.tool("ovsdb-server", "--detach", "--no-chdir", f"--pidfile={directory}/{name}.pid",
                      f"--log-file={directory}/ovs-{name}.log", f"--unixctl={directory}/{name}.ctl",
                      f"--remote=punix:{directory}/ovn{name}_db.sock", file)
        self.ovn("ovn-nbctl", "init")
        self.ovn("ovn-northd", "--detach", "--no-chdir", "--pidfile", "--log-file")
        self.add_bridge("br-int", "fail-mode=secure", "other-config:disable-in-band=true", "--",
                        "set", "open_vswitch", ".", "external-ids:system-id=hv1",
                        f"external-ids:ovn-remote=unix:{directory}/ovnsb_db.sock",
                        "external-ids:ovn-encap-type=geneve", "external-ids:ovn-encap-ip=127.0.0.1")
        self.ovn("ovn-controller", "--detach", "--no-chdir", "--pidfile", "--log-file")
        self.north("lr-add lr0")
        for number, net, mac in ROUTERS:
            port = f"sw{number}-lr0"
            self.north(f"ls-add sw{number} -- lrp-add lr0 lr0-sw{number} {mac} {net}.0.0.254/24 -- "
                       f"lsp-add sw{number} {port} -- lsp-set-type {port} router -- "
                       f"lsp-set-addresses {port} router -- "
                       f"lsp-set-options {port} router-port=lr0-sw{number}")
        for port, switch, mac, addresses, known in HOSTS:
            self.north(f"lsp-add sw{switch} {port} --", "lsp-set-addresses", port, f"{mac} {known}")
            host = Namespace()
            self.hosts.append(host)
            self.wire(host, f"v{port}")
            host.ip(f"link set eth0 address {mac}")
            for address in addresses:
                host.ip(f"addr add {address}/{64 if ':' in address else 24} dev eth0"
                        + (" nodad" if ":" in address else ""))
                if ":" not in address:
                    host.ip(f"route add default via {address[:2]}.0.0.254")
            self.vsctl("add-port", "br-int", f"v{port}", "--", "set", "interface", f"v{port}",
                       f"external-ids:iface-id={port}")
        for port, *_ in HOSTS:
            self.north(f"wait-until logical_switch_port {port} up=true")
        self.sync()

    def ovn(self, *words: str) -> str:
        """Runs a program of OVN."""
        done = subprocess.run(self.host.command(*words), env=self.environment, text=True,
                              cwd=self.directory, capture_output=True, timeout=40)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout.strip()

    def north(self, line: str, *words: str) -> str:
        """Runs ovn-nbctl."""
        return self.ovn("ovn-nbctl", "--timeout=20", *line.split(), *words)

    def sync(self) -> None:
        """Waits until the hypervisor does what the northbound database says."""
        self.north("--wait=hv sync")

    def close(self) -> None:
        """Ends all."""
        for name in ("ovn-controller", "ovn-northd"):
            subprocess.run(self.host.command("ovn-appctl", "-t", name, "exit"),
                           env=self.environment, capture_output=True, timeout=20)
        for name in ("nb", "sb"):
            self.tool("ovs-appctl", "-t", f"{self.directory}/{name}.ctl", "exit", check=False)
        super().close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    need_privileges()
    found = Cloud(tmp_path_factory.mktemp("ovn") / "suite")
    try:
        yield found
    finally:
        found.close()


def is_refused(host: Namespace, kind: str, address: str) -> bool:
    """Whether `host` is told at once that a port is closed."""
    return host.run(sys.executable, "-c", _REFUSED, kind, address) == "ConnectionRefusedError\n"


def test_hosts_reach_each_other_and_what_is_wrong_is_told(cloud) -> None:
    one, two, three, four, _ = cloud.hosts
    assert one.pings("10.0.0.2") and one.pings("fd00::2") and one.pings("10.0.0.254")
    assert one.pings("20.0.0.3") and three.pings("10.0.0.2")
    assert one.pings("20.0.0.4", 5)                     # ovn-controller asks who that is
    assert "20.0.0.4" in cloud.ovn("ovn-sbctl", "--bare", "--columns=ip", "list", "mac_binding")
    transfer(one, three, "20.0.0.3", 1 << 20)
    assert "Time to live" in one.run("ping", "-n", "-t1", "-c1", "-W3", "20.0.0.3", check=False)
    assert is_refused(one, "SOCK_STREAM", "10.0.0.254")


def test_access_lists_follow_their_address_sets(cloud) -> None:
    one, two, _, _, _ = cloud.hosts
    cloud.north("create address_set name=bad addresses=10.0.0.2 -- acl-add sw1 to-lport 1001",
                'outport=="p3" && ip4.src==$bad', "drop")
    cloud.sync()
    assert one.pings("20.0.0.3") and not two.pings("20.0.0.3", 1)
    cloud.north("set address_set bad addresses=10.0.0.1")
    cloud.sync()
    assert two.pings("20.0.0.3") and not one.pings("20.0.0.3", 1)
    cloud.north("acl-del sw1 -- acl-add sw1 to-lport 1001", 'outport=="p3" && (tcp||udp)', "reject")
    cloud.sync()
    assert is_refused(one, "SOCK_STREAM", "20.0.0.3") and is_refused(two, "SOCK_DGRAM", "20.0.0.3")
    cloud.north("acl-del sw1")


def test_addresses_and_names_are_told(cloud) -> None:
    options = cloud.north("create dhcp_options cidr=10.0.0.0/24", 'options="server_id"="10.0.0.254"'
                          ' "server_mac"="c0:ff:ee:00:00:01" "lease_time"="60" "router"="10.0.0.254"')
    names = cloud.north("create dns", 'records="vm.ovn.org"="10.0.0.77"')
    cloud.north(f"lsp-set-dhcpv4-options p5 {options} -- set logical_switch sw0 dns_records={names}")
    cloud.sync()
    assert cloud.hosts[4].run(sys.executable, "-c", _DISCOVER) == "10.0.0.5 10.0.0.254 10.0.0.254\n"
    assert cloud.hosts[0].run(sys.executable, "-c", _NAME) == "10.0.0.77\n"


def test_a_restart_of_the_switch_is_got_over_and_connections_are_kept(cloud) -> None:
    log = cloud.directory / "ovn-controller.log"
    assert not re.search(r"WARN\|.*br-int\.mgmt", log.read_text())
    assert cloud.complaints() == []
    cloud.stop()
    cloud.start()
    cloud.sync()
    wait(lambda: cloud.hosts[0].pings("20.0.0.3", 1), 15)
