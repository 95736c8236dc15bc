"""Internal ports: MAC and MTU of the LOCAL port, what survives and what goes."""

import signal

import pytest

from tests.system.network import transfer, wait

pytestmark = pytest.mark.system
SHOWN = ("-o -4 addr show br0", "route show", "-o -6 addr show in0")


def shown(suite):
    """Addresses and routes, once duplicate address detection is through."""
    wait(lambda: "tentative" not in suite.host.ip("-6 addr show"))
    return [suite.host.ip(line) for line in SHOWN]


def mac_of(suite, device):
    return suite.host.ip(f"-br link show {device}").split()[2]


def mtu_of(suite, device):
    words = suite.host.ip(f"link show {device}").split()
    return int(words[words.index("mtu") + 1])


def test_local_mac_is_the_lowest_of_the_others_or_as_configured(suite):
    suite.add_bridge("br0")
    for name, mac in (("va", "00:00:5e:00:53:20"), ("vb", "00:00:5e:00:53:10")):
        suite.host.ip(f"link add {name} type veth peer name {name}x")
        suite.host.ip(f"link set {name} address {mac}")
        suite.vsctl("add-port", "br0", name)
    assert mac_of(suite, "br0") == "00:00:5e:00:53:10"
    assert suite.get("bridge", "br0", "datapath_id") == ['"000000005e005310"']
    suite.host.ip("link set va address 00:00:5e:00:53:05")
    wait(lambda: mac_of(suite, "br0") == "00:00:5e:00:53:05", 1)
    suite.vsctl("set", "bridge", "br0", "other_config:hwaddr=00:00:5e:00:53:77")
    assert mac_of(suite, "br0") == "00:00:5e:00:53:77"
    suite.vsctl("remove", "bridge", "br0", "other_config", "hwaddr")
    assert mac_of(suite, "br0") == "00:00:5e:00:53:05"
    suite.vsctl("del-port", "va")
    assert mac_of(suite, "br0") == "00:00:5e:00:53:10"
    suite.vsctl("del-port", "vb")
    for name in ("va", "vb"):
        suite.host.ip(f"link del {name}")


def test_mac_of_an_internal_port_is_as_configured(suite):
    suite.add_bridge("br0")
    suite.vsctl("add-port", "br0", "in0", "--", "set", "interface", "in0", "type=internal",
                'mac="00:00:5e:00:53:33"')
    assert mac_of(suite, "in0") == "00:00:5e:00:53:33"
    assert suite.get("interface", "in0", "mac_in_use") == ['"00:00:5e:00:53:33"']


def test_local_has_no_mac_that_somebody_made_up(suite):
    suite.add_bridge("br0")
    before = mac_of(suite, "br0")
    suite.host.ip("link add va type veth peer name vax")
    for name in ("in0", "va"):
        suite.vsctl("add-port", "br0", name, "--", "set", "interface", name,
                    f"type={'internal' if name == 'in0' else 'system'}")
        suite.host.ip(f"link set {name} address 02:00:00:00:00:01")
        suite.vsctl("set", "bridge", "br0", f"other_config:x={name}")
        assert mac_of(suite, "br0") == before
    assert suite.get("bridge", "br0", "datapath_id") == [f'"0000{before.replace(":", "")}"']
    suite.vsctl("del-port", "va")
    suite.host.ip("link del va")


def test_mtu_is_the_smallest_of_the_ports_unless_requested(suite):
    suite.add_bridge("br0")
    for name, mtu in (("va", 1400), ("vb", 9000)):
        suite.host.ip(f"link add {name} mtu {mtu} type veth peer name {name}x mtu {mtu}")
        suite.vsctl("add-port", "br0", name)
    assert mtu_of(suite, "br0") == 1400
    suite.host.ip("link set va mtu 1300")
    wait(lambda: mtu_of(suite, "br0") == 1300, 1)
    suite.vsctl("add-port", "br0", "in0", "--", "set", "interface", "in0", "type=internal")
    assert mtu_of(suite, "in0") == 1300
    suite.vsctl("set", "interface", "in0", "mtu_request=2000")
    assert (mtu_of(suite, "in0"), mtu_of(suite, "br0")) == (2000, 1300)
    suite.vsctl("del-port", "va")
    assert (mtu_of(suite, "in0"), mtu_of(suite, "br0")) == (2000, 2000)
    suite.vsctl("set", "interface", "vb", "mtu_request=1700")
    assert (mtu_of(suite, "vb"), mtu_of(suite, "br0")) == (1700, 1700)
    for name in ("va", "vb"):
        suite.host.ip(f"link del {name}")


def test_internal_port_vanishes_with_the_port(suite):
    suite.add_bridge("br0")
    suite.vsctl("add-port", "br0", "in0", "--", "set", "interface", "in0", "type=internal")
    assert suite.host.exists("in0") and suite.host.exists("br0")
    suite.vsctl("del-port", "in0")
    assert not suite.host.exists("in0")
    suite.vsctl("del-br", "br0")
    assert not suite.host.exists("br0")


def test_internal_port_keeps_working_in_another_namespace(suite, make_host):
    first, second = make_host(), make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.3.0.1/24")
    suite.vsctl("add-port", "br0", "in0", "--", "set", "interface", "in0", "type=internal")
    suite.host.ip(f"link set in0 netns {second.pid}")
    second.ip("addr add 10.3.0.2/24 dev in0")
    second.ip("link set in0 up")
    assert first.pings("10.3.0.2")
    transfer(first, second, "10.3.0.2")
    transfer(second, first, "10.3.0.1")
    ofport, error = suite.get("interface", "in0", "ofport", "error")
    assert int(ofport) > 0 and error == "[]"


def test_deleted_internal_device_is_made_again(suite):
    suite.add_bridge("br0")
    suite.host.ip("link del br0")
    wait(lambda: suite.host.exists("br0"), 1)
    wait(lambda: suite.get("interface", "br0", "ofport", "error") == ["65534", "[]"], 1)


@pytest.mark.parametrize("how", ["exit", "killed"])
def test_addresses_and_routes_survive(fresh_suite, make_host, how):
    suite, host = fresh_suite, make_host()
    suite.start()
    suite.add_bridge("br0")
    suite.wire(host, "p1", "br0", "10.3.0.1/24")
    suite.vsctl("add-port", "br0", "in0", "--", "set", "interface", "in0", "type=internal")
    suite.host.ip("addr add 10.3.0.9/24 dev br0")
    suite.host.ip("link set br0 up")
    suite.host.ip("link set in0 up")
    suite.host.ip("route add 10.99.0.0/16 via 10.3.0.1 dev br0")
    assert host.pings("10.3.0.9")
    before = shown(suite)
    numbers = suite.get("interface", "p1", "ofport") + suite.get("interface", "in0", "ofport")
    suite.stop() if how == "exit" else suite.kill(signal.SIGKILL)
    assert suite.host.exists("br0") and suite.host.exists("in0")
    suite.start()
    assert shown(suite) == before
    assert host.pings("10.3.0.9")
    assert numbers == (suite.get("interface", "p1", "ofport")
                       + suite.get("interface", "in0", "ofport"))
    assert suite.host.run("tc", "filter", "show", "dev", "p1", "ingress").count("handle") == 1
    suite.stop("--cleanup")
    for device in ("br0", "in0", "ovs-netdev"):
        assert not suite.host.exists(device)
    assert "bpf" not in suite.host.run("tc", "filter", "show", "dev", "p1", "ingress")
    assert "clsact" not in suite.host.run("tc", "qdisc", "show", "dev", "p1")


def test_what_a_crash_left_of_ports_deleted_since_is_cleared_away(fresh_suite, make_host):
    suite, host = fresh_suite, make_host()
    suite.start()
    suite.add_bridge("br0")
    suite.wire(host, "p1", "br0", "10.3.0.1/24")
    suite.vsctl("add-port", "br0", "in0", "--", "set", "interface", "in0", "type=internal")
    suite.host.ip("addr add 10.3.0.9/24 dev p1")
    assert not host.pings("10.3.0.9", 1)
    suite.kill(signal.SIGKILL)
    suite.vsctl("--no-wait", "del-port", "in0", "--", "del-port", "p1")
    suite.start()
    assert suite.host.exists("br0")
    wait(lambda: not suite.host.exists("in0"), 1)
    assert host.pings("10.3.0.9")
