"""Faucet, unmodified, makes a router with VLANs and an access list of our switch; Gauge watches it.

       h1 ── p1 ┐ office (VLAN 100, untagged)
       h2 ── p2 ┤ office, with an access list
       h3 ── p3 ┤ guest (VLAN 200, untagged)      both VLANs are routed by Faucet
       h4 ── s2 (access port of 200) ── p4 ┘ guest, tagged
"""

import os
import re

import pytest

from tests.conformance.controllers import HOME, Suite, require
from tests.system.network import transfer, wait

pytestmark = [pytest.mark.system, require]

CONFIG = """
vlans:
  office: {vid: 100, faucet_mac: "0e:00:00:00:10:01", faucet_vips: ["10.0.100.254/24"]}
  guest: {vid: 200, faucet_mac: "0e:00:00:00:20:01", faucet_vips: ["10.0.200.254/24"]}
routers: {main: {vlans: [office, guest]}}
acls:
  no_pings_to_three:
    - rule: {dl_type: 0x800, ip_proto: 1, ipv4_dst: 10.0.200.3, actions: {allow: false}}
    - rule: {actions: {allow: true}}
dps:
  s1:
    dp_id: 0x1
    hardware: "Open vSwitch"
    interfaces:
      1: {native_vlan: office}
      2: {native_vlan: office, acl_in: no_pings_to_three}
      3: {native_vlan: guest}
      4: {tagged_vlans: [guest]}
"""
GAUGE = """
faucet_configs: ["{directory}/faucet.yaml"]
watchers:
  ports: {{type: port_stats, dps: [s1], interval: 1, db: file}}
  flows: {{type: flow_table, dps: [s1], interval: 1, db: flows}}
dbs:
  file: {{type: text, file: "{directory}/ports.txt"}}
  flows: {{type: text, path: "{directory}/flows", compress: false}}
"""


@pytest.fixture
def suite(tmp_path):
    found = Suite(tmp_path / "suite")
    try:
        found.start()
        found.add_bridge("s1", "other-config:datapath-id=0000000000000001", "fail_mode=secure",
                         "protocols=OpenFlow13")
        for number, address in enumerate(("10.0.100.1", "10.0.100.2", "10.0.200.3"), 1):
            host = found.add_host(f"p{number}", f"{address}/24", "s1", "--", "set", "interface",
                                  f"p{number}", f"ofport_request={number}")
            host.ip(f"route add default via {address.rpartition('.')[0]}.254")
        found.add_bridge("s2")
        found.host.ip("link add p4 type veth peer name trunk")
        for device in ("p4", "trunk"):
            found.host.ip(f"link set {device} up")
        found.vsctl("add-port", "s1", "p4", "--", "set", "interface", "p4", "ofport_request=4",
                    "--", "add-port", "s2", "trunk")
        found.add_host("p5", "10.0.200.4/24", "s2", "tag=200")
        yield found
    finally:
        found.close()


def test_vlans_are_apart_routed_and_guarded(suite) -> None:
    directory = suite.directory
    (directory / "faucet.yaml").write_text(CONFIG)
    (directory / "gauge.yaml").write_text(GAUGE.format(directory=directory))
    (directory / "flows").mkdir()
    log = directory / "faucet.log"
    settings = {"PATH": f"{HOME / 'bin'}:{os.environ['PATH']}",
                "FAUCET_CONFIG": f"{directory}/faucet.yaml", "FAUCET_LOG": str(log),
                "FAUCET_EXCEPTION_LOG": f"{directory}/exceptions.log",
                "FAUCET_PROMETHEUS_ADDR": "127.0.0.1",
                "GAUGE_CONFIG": f"{directory}/gauge.yaml", "GAUGE_LOG": f"{directory}/gauge.log",
                "GAUGE_EXCEPTION_LOG": f"{directory}/exceptions.log",
                "GAUGE_PROMETHEUS_ADDR": "127.0.0.1"}
    for name, port in (("faucet", 6653), ("gauge", 6654)):
        suite.control(str(HOME / "bin" / name), f"--ryu-ofp-tcp-listen-port={port}",
                      f"--ryu-config-file={directory}/none.conf", environment=settings)
    suite.connect("s1", "tcp:127.0.0.1:6653", "tcp:127.0.0.1:6654")
    wait(lambda: log.exists() and "Configuring VLAN guest" in log.read_text(), 20, 0.2)
    one, two, three, four = suite.hosts
    assert one.pings("10.0.100.2", 5) and two.pings("10.0.100.1")       # one VLAN
    assert four.pings("10.0.200.3", 5)                                  # tagged to untagged
    assert one.pings("10.0.100.254", 5)                                 # the router itself
    assert one.pings("10.0.200.3", 10) and four.pings("10.0.200.254", 5)    # routed
    assert not two.pings("10.0.200.3", 2)                               # refused by the list
    transfer(two, three, "10.0.200.3", 1 << 20)                         # which is about pings
    flows = suite.ofctl("-O", "OpenFlow13", "dump-flows", "s1")
    assert len(set(re.findall(r"table=(\d+)", flows))) >= 6, flows
    assert "dec_ttl" in flows and "push_vlan:0x8100" in flows
    learned = log.read_text()
    for number in range(1, 5):
        assert re.search(rf"L2 learned on Port {number} ", learned), learned
    wait(lambda: (directory / "ports.txt").exists()
         and "packets-in" in (directory / "ports.txt").read_text(), 10, 0.2)
    wait(lambda: any((directory / "flows").iterdir()), 10, 0.2)
    for change in ("down", "up"):
        seen = len(log.read_text())
        one.ip(f"link set eth0 {change}")
        wait(lambda: f"Port 1 (1) {change}" in log.read_text()[seen:], 10, 0.1)
    one.ip("route replace default via 10.0.100.254")
    assert one.pings("10.0.100.2", 5)
    exceptions = directory / "exceptions.log"
    assert not exceptions.exists() or exceptions.read_text() == ""
    assert [line for line in suite.complaints() if "connection failed" not in line] == []
