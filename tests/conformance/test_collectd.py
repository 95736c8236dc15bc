"""collectd's plugins ovs_events and ovs_stats, unmodified, watch our database and switch.

They speak OVSDB by a client of their own in C: they monitor tables, answer and ask echo, and parse
what comes without a schema.  Each gets a collectd of its own: together ovs_events is silent, with
Debian's switch too.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.differential.switches import Switch
from tests.system.network import wait

PROGRAM = "/usr/sbin/collectd"

pytestmark = pytest.mark.skipif(not os.path.exists(PROGRAM) or shutil.which("ovsdb-tool") is None,
                                reason="Debian's collectd-core is not installed")

CONFIGURATION = """
Hostname "here"
BaseDir "{directory}"
PIDFile "{directory}/{plugin}.pid"
Interval 0.5
TypesDB "/usr/share/collectd/types.db"
LoadPlugin logfile
LoadPlugin write_log
LoadPlugin {plugin}
<Plugin logfile>
    LogLevel info
    File stdout
</Plugin>
<Plugin {plugin}>
    Socket "{directory}/db.sock"
    {settings}
</Plugin>
"""
EVENTS = """Interfaces "p1" "p2"
    SendNotification true
    DispatchValues true"""
STATS = 'Bridges "br0"'
FRAME = ("in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),"
         "ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)")


class Collectd:
    """A collectd with one of the plugins."""

    def __init__(self, switch: Switch, plugin: str, settings: str) -> None:
        file: Path = switch.directory / f"{plugin}.conf"
        file.write_text(CONFIGURATION.format(directory=switch.directory, plugin=plugin,
                                             settings=settings))
        self.path = switch.directory / f"{plugin}.txt"
        with self.path.open("w") as output:
            self._process = subprocess.Popen([PROGRAM, "-f", "-C", str(file)], stdout=output,
                                             stderr=output, stdin=subprocess.DEVNULL)

    def wait_for(self, *words: str) -> None:
        """Waits until it has said some words."""
        missing = list(words)

        def is_said() -> bool:
            text = self.path.read_text()
            missing[:] = [word for word in words if word not in text]
            return not missing
        try:
            wait(is_said, 20, 0.1)
        except AssertionError:
            raise AssertionError(f"{missing} not in {self.path.read_text()[-3000:]}") from None

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def switch(tmp_path):
    found = Switch(tmp_path / "switch", real=False, our_tools=True)
    try:
        assert found.run(
            "ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy "
            "-- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 "
            "external-ids:vm-uuid=11111111-2222-3333-4444-555555555555 "
            "-- add-port br0 p2 -- set interface p2 type=dummy ofport_request=2") == ""
        yield found
    finally:
        found.close()


def test_events_and_statistics_reach_collectd(switch) -> None:
    events = Collectd(switch, "ovs_events", EVENTS)
    stats = Collectd(switch, "ovs_stats", STATS)
    try:
        events.wait_for("ovs_events-p1.gauge-link_status 1 ", "ovs_events-p2.gauge-link_status 1 ")
        stats.wait_for("ovs_stats-br0_br0.if_packets.rx 0 ", "ovs_stats-br0_p1.if_packets.rx 0 ",
                       "ovs_stats-br0_p2.if_tx_octets 0 ")
        assert switch.run("ovs-appctl netdev-dummy/set-admin-state p1 down") == "OK\n"
        events.wait_for('link state of "p1" interface has been changed to "DOWN"',
                        "ovs_events-p1.gauge-link_status 0 ")
        assert switch.run("ovs-appctl netdev-dummy/set-admin-state p1 up; "
                          f"for n in 1 2 3; do ovs-appctl netdev-dummy/receive p1 '{FRAME}'; done; "
                          "ovs-vsctl add-br br9 -- set bridge br9 datapath_type=dummy") == "OK\n"
        events.wait_for('severity = OKAY, host = here, plugin = ovs_events, plugin_instance = p1, ')
        stats.wait_for("ovs_stats-br0_p1.if_packets.rx 3 ", "ovs_stats-br0_p2.if_packets.tx 3 ",
                       "ovs_stats-br0_p1.if_rx_octets 318 ")
        assert "br9" not in stats.path.read_text()      # which it was not told to watch
        switch.run("ovs-vsctl del-br br0")
        for collectd in (events, stats):
            size = collectd.path.stat().st_size
            assert "lost connection" not in collectd.path.read_text().lower()
            assert collectd._process.poll() is None and size
    finally:
        events.close()
        stats.close()
    assert not switch.complaints()
