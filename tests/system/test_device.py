"""Interfaces that do not exist yet, appear, vanish, are renamed, moved, or go down."""

import pytest

from tests.system.network import wait

pytestmark = pytest.mark.system
SECOND = 1.0
NO_DEVICE = '"could not open network device {} (No such device)"'


def is_attached(suite, name):
    return suite.get("interface", name, "ofport", "error")[1] == "[]"


def is_absent(suite, name):
    ofport, error = suite.get("interface", name, "ofport", "error")
    return (ofport, error) == ("-1", NO_DEVICE.format(name))


@pytest.fixture
def bridge(suite, make_host):
    """h1 -- p1 [br0], with a number and traffic that nothing may disturb."""
    host = make_host()
    suite.add_bridge("br0", "other_config:hwaddr=00:00:5e:00:53:01")
    suite.wire(host, "p1", "br0", "10.2.0.1/24")
    suite.host.ip("addr add 10.2.0.9/24 dev br0")
    suite.host.ip("link set br0 up")
    assert host.pings("10.2.0.9")
    number = suite.get("interface", "p1", "ofport")
    start = suite.log()
    yield host
    assert suite.get("interface", "p1", "ofport") == number
    assert host.pings("10.2.0.9")
    assert "p1 on port" not in suite.log()[len(start):]


def test_device_that_does_not_exist_yet_is_attached_when_it_appears(suite, make_host, bridge):
    second = make_host()
    suite.vsctl("add-port", "br0", "later", check=False)
    assert is_absent(suite, "later")
    suite.wire(second, "later", None, "10.2.0.2/24")
    wait(lambda: is_attached(suite, "later"), SECOND)
    assert second.pings("10.2.0.1")


def test_deleted_device_is_detached_and_attached_again(suite, make_host, bridge):
    second = make_host()
    suite.wire(second, "p2", "br0", "10.2.0.2/24")
    assert second.pings("10.2.0.1")
    number = suite.get("interface", "p2", "ofport")
    suite.host.ip("link del p2")
    wait(lambda: is_absent(suite, "p2"), SECOND)
    assert suite.get("interface", "p2", "mac_in_use", "ifindex", "link_state") == ["[]"] * 3
    assert "p2" not in suite.appctl("dpif/show")
    suite.wire(second, "p2", None, "10.2.0.2/24")
    wait(lambda: is_attached(suite, "p2"), SECOND)
    assert suite.get("interface", "p2", "ofport") == number
    assert second.pings("10.2.0.1")


def test_device_that_was_replaced_at_once_is_attached_again(suite, make_host, bridge):
    second = make_host()
    suite.wire(second, "p2", "br0", "10.2.0.2/24")
    suite.host.run("sh", "-c", "ip link del p2; ip link add p2 type veth peer name other; "
                               "ip link set p2 up; ip link set other up")
    wait(lambda: suite.get("interface", "p2", "ifindex")
         == [suite.host.run("cat", "/proc/self/net/dev_snmp6/p2").split()[1]], SECOND)
    assert is_attached(suite, "p2")
    suite.host.ip("link del p2")


def test_renamed_device_is_gone_under_the_old_name_and_there_under_the_new(suite, make_host,
                                                                          bridge):
    second = make_host()
    suite.wire(second, "p2", "br0", "10.2.0.2/24")
    suite.vsctl("add-port", "br0", "p3", check=False)
    suite.host.ip("link set p2 name p3")        # Linux 6.2 and later rename what is up, too.
    wait(lambda: is_absent(suite, "p2") and is_attached(suite, "p3"), SECOND)
    assert second.pings("10.2.0.1")


def test_device_moved_to_another_namespace_and_back(suite, make_host, bridge):
    second, third = make_host(), make_host()
    suite.wire(second, "p2", "br0", "10.2.0.2/24")
    suite.host.ip(f"link set p2 netns {third.pid}")
    wait(lambda: is_absent(suite, "p2"), SECOND)
    # The filter that keeps frames from the host went with the port.
    assert "bpf" not in third.run("tc", "filter", "show", "dev", "p2", "ingress")
    third.run("nsenter", f"--net=/proc/{third.pid}/ns/net", "ip", "link", "set", "p2", "netns",
              str(suite.host.pid))
    suite.host.ip("link set p2 up")
    wait(lambda: is_attached(suite, "p2"), SECOND)
    assert second.pings("10.2.0.1")


def test_device_moved_away_and_back_at_once_still_works(suite, make_host, bridge):
    second, third = make_host(), make_host()
    suite.wire(second, "p2", "br0", "10.2.0.2/24")
    suite.host.run("sh", "-c",
                   f"ip link set p2 netns {third.pid}; nsenter --net=/proc/{third.pid}/ns/net "
                   f"ip link set p2 netns {suite.host.pid}; ip link set p2 up")
    assert second.pings("10.2.0.1", 5)


def test_states_are_followed(suite, make_host, bridge):
    second = make_host()
    suite.wire(second, "p2", "br0", "10.2.0.2/24")

    def states():
        return suite.get("interface", "p2", "admin_state", "link_state", "mtu", "mac_in_use")

    suite.host.ip("link set p2 address 02:00:00:00:00:77")
    wait(lambda: states() == ["up", "up", "1500", '"02:00:00:00:00:77"'], SECOND)
    suite.host.ip("link set p2 mtu 1400")
    wait(lambda: states()[2] == "1400", SECOND)
    second.ip("link set eth0 down")
    wait(lambda: states()[:2] == ["up", "down"], SECOND)
    suite.host.ip("link set p2 down")
    wait(lambda: states()[:2] == ["down", "down"], SECOND)
    suite.host.ip("link set p2 up")
    second.ip("link set eth0 up")
    wait(lambda: states()[:2] == ["up", "up"], SECOND)
    assert second.pings("10.2.0.1")


def test_loopback_device_is_refused(suite, bridge):
    suite.vsctl("add-port", "br0", "lo", check=False)
    assert suite.get("interface", "lo", "ofport", "error") == [
        "-1", '"could not add network device lo to ofproto (Invalid argument)"']


def test_devices_tell_what_they_count(suite, bridge):
    names = set(suite.statistics("p1"))
    assert names == {"collisions", "rx_bytes", "rx_crc_err", "rx_dropped", "rx_errors",
                     "rx_frame_err", "rx_missed_errors", "rx_multicast_packets", "rx_over_err",
                     "rx_packets", "tx_bytes", "tx_dropped", "tx_errors", "tx_packets"}
    assert "current:    10GB-FD COPPER" in suite.ofctl("show", "br0")
    assert "frame=0, over=0, crc=0" in suite.ofctl("dump-ports", "br0", "p1")


def test_traffic_does_not_meet_ports_that_come_and_go(suite, make_host):
    """Many chatty ports are added and deleted: no frame comes to a bridge that does not know it."""
    suite.add_bridge("br0")
    names = [f"n{number}" for number in range(20)]
    start = len(suite.complaints())
    suite.host.run("sh", "-c", ";".join(
        f"ip link add {name} type veth peer name {name}x; ip link set {name} up;"
        f"ip link set {name}x up" for name in names))
    for _ in range(3):
        suite.vsctl(*(word for name in names for word in ("--", "add-port", "br0", name)))
        suite.vsctl(*(word for name in names for word in ("--", "del-port", name)))
    assert suite.complaints()[start:] == []
    suite.host.run("sh", "-c", ";".join(f"ip link del {name}" for name in names))
