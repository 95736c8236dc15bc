"""A restart under traffic keeps flows and port numbers, and lets no frame through unjudged."""

import re
import signal
import sys

import pytest

from tests.system.network import ROOT, wait
from utilities.launcher import launcher_text
from utilities.programs import PROGRAMS

pytestmark = pytest.mark.system
CTL = ("--system-id=random", "--no-record-hostname", "--ovsdb-server-priority=",
       "--ovs-vswitchd-priority=", "--no-monitor", "--no-mlockall", "--daemon-cwd=.")


@pytest.fixture
def control(fresh_suite):
    """Runs ovs-ctl, which finds our programs in a directory of the test."""
    programs = fresh_suite.directory / "bin"
    programs.mkdir()
    site = next(path for path in sys.path if path.endswith("site-packages"))
    for name in PROGRAMS:
        path = programs / name
        path.write_text(launcher_text(name, str(ROOT), sys.executable, site))
        path.chmod(0o755)
    fresh_suite.environment |= {"OVS_BINDIR": str(programs), "OVS_SBINDIR": str(programs)}
    return lambda command: fresh_suite.tool("ovs-ctl", *CTL, command, timeout=40)


def flows(suite):
    lines = suite.ofctl("dump-flows", "br0").splitlines()
    return sorted(re.sub(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]*, ?", "", line)
                  for line in lines if "cookie" in line)


def test_restart_keeps_flows_and_numbers_and_lets_nothing_slip(fresh_suite, control, make_host):
    """h1 -- p1 [br0] p2 -- h2, h3 -- p3: h1 may reach h3 but never h2."""
    suite = fresh_suite
    suite.start()
    suite.add_bridge("br0")
    hosts = [make_host() for _ in range(3)]
    for number, host in ((1, hosts[0]), (3, hosts[2]), (2, hosts[1])):
        suite.wire(host, f"p{number}", "br0", f"10.5.0.{number}/24")
    numbers = [suite.get("interface", f"p{number}", "ofport")[0] for number in (1, 2, 3)]
    suite.ofctl("add-flow", "br0", f"cookie=0x77,priority=100,icmp,in_port={numbers[0]},"
                                   "nw_dst=10.5.0.2,actions=drop")
    suite.ofctl("add-flow", "br0", "table=1,priority=5,actions=drop")
    assert hosts[0].pings("10.5.0.3") and not hosts[0].pings("10.5.0.2", 1)
    before = flows(suite)
    count = "import subprocess; p = subprocess.run(['ping', '-n', '-i', '0.02', '-w', '5', " \
            "'10.5.0.2'], stdout=subprocess.PIPE, text=True); print(p.stdout)"
    pinger = hosts[0].python(count)
    control("restart")
    assert hosts[0].pings("10.5.0.3")
    assert flows(suite) == before
    assert [suite.get("interface", f"p{number}", "ofport")[0] for number in (1, 2, 3)] == numbers
    assert suite.vsctl("get", "open_vswitch", ".", "other_config") == "{}"
    reply = pinger.stdout.read()
    assert re.search(r" 0 received| 0 packets received", reply), reply
    assert int(re.search(r"(\d+) packets transmitted", reply)[1]) > 100
    control("stop")
    wait(lambda: not (suite.directory / "ovs-vswitchd.pid").exists())


def test_a_switch_that_crashed_is_started_again_by_its_monitor(fresh_suite, make_host):
    suite = fresh_suite
    suite.start("--monitor")
    suite.add_bridge("br0")
    first, second = make_host(), make_host()
    suite.wire(first, "p1", "br0", "10.5.0.1/24")
    suite.wire(second, "p2", "br0", "10.5.0.2/24")
    assert first.pings("10.5.0.2")
    crashed = suite.pid
    suite.kill(signal.SIGSEGV)
    wait(lambda: (suite.directory / "ovs-vswitchd.pid").exists() and suite.pid != crashed
         and suite.appctl("version", check=False))
    assert f"1 crashes: pid {crashed} died, killed (Segmentation fault)" in suite.log()
    assert first.pings("10.5.0.2")
    assert all("crashes" in line for line in suite.complaints())
    suite.stop()


def test_packets_wait_while_flows_are_restored(fresh_suite, make_host):
    suite = fresh_suite
    suite.start()
    suite.vsctl("set", "open_vswitch", ".", "other_config:flow-restore-wait=true")
    suite.stop()
    suite.start()               # Flows are waited for from the start or not at all.
    suite.add_bridge("br0")
    first, second = make_host(), make_host()
    suite.wire(first, "p1", "br0", "10.5.0.1/24")
    suite.wire(second, "p2", "br0", "10.5.0.2/24")
    assert not first.pings("10.5.0.2", 1)
    assert suite.appctl("dpctl/dump-flows", "netdev@ovs-netdev").count("in_port") == 0
    suite.vsctl("remove", "open_vswitch", ".", "other_config", "flow-restore-wait")
    assert first.pings("10.5.0.2")


def test_types_of_datapath_are_told_apart_in_one_daemon(fresh_suite, make_host):
    suite = fresh_suite
    suite.start()
    suite.vsctl("add-br", "brs", "--", "set", "bridge", "brs", "datapath_type=system")
    suite.vsctl("add-br", "bre")
    suite.add_bridge("brn")
    first, second = make_host(), make_host()
    suite.wire(first, "p1", "brs", "10.5.0.1/24")
    suite.wire(second, "p2", "bre", "10.5.0.2/24")
    for command in ("dpif/show", "dpctl/show"):
        titles = [line.split(":")[0] for line in suite.appctl(command).splitlines()
                  if not line.startswith(" ")]
        assert titles == ["netdev@ovs-netdev", "system@ovs-system"]
    assert suite.appctl("dpctl/dump-dps").split() == ["netdev@ovs-netdev", "system@ovs-system"]
    words = []
    for near, far, bridge in (("a", "b", "brs"), ("b", "a", "bre")):
        words += ["--", "add-port", bridge, near, "--", "set", "interface", near, "type=patch",
                  f"options:peer={far}"]
    suite.vsctl(*words)
    assert first.pings("10.5.0.2")
    assert suite.complaints() == []
    # A patch port does not lead from one datapath into another.
    suite.vsctl("set", "bridge", "bre", "datapath_type=netdev")
    assert not first.pings("10.5.0.2", 1)
    assert suite.get("interface", "a", "error") != ["[]"]
    suite.stop("--cleanup")
    for device in ("brs", "bre", "brn", "ovs-system", "ovs-netdev"):
        assert not suite.host.exists(device)


def test_without_system_the_type_does_not_exist(fresh_suite):
    suite = fresh_suite
    suite.start("--disable-system")
    suite.add_bridge("brn")
    suite.vsctl("--no-wait", "add-br", "brs", "--", "set", "bridge", "brs",
                "datapath_type=system")
    wait(lambda: "failed to create bridge brs" in suite.log())
    assert "system" not in suite.get("open_vswitch", ".", "datapath_types")[0]
    assert suite.host.exists("brn") and not suite.host.exists("brs")
