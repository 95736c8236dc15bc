"""Numbers that devices get: datapath ports by name, MACs by creation."""

import pytest

from vswitchd.config.desired import Interface
from vswitchd.switch.datapath import wished_number
from vswitchd.switch.kinds import make
from vswitchd.switch.netdev import DeviceError
from vswitchd.switch.virtual import Dummy, Patch


@pytest.mark.parametrize(("name", "number"), [
    ("p7", 7), ("br0", 100), ("br1", 101), ("p0", 0), ("eth", 0), ("p12x34", 12),
    ("vxlan_sys_4789", 4789), ("p99999", 0)])
def test_a_dummy_port_has_the_number_of_its_name(name, number):
    assert wished_number(name) == number


def test_macs_count_up_and_a_configured_one_is_for_internal_ports_only():
    first, second = (Dummy(Interface("a", "", "dummy", mac="02:00:00:00:00:09")) for _ in range(2))
    assert int(second.mac.replace(":", ""), 16) == int(first.mac.replace(":", ""), 16) + 1
    assert Dummy(Interface("b", "", "dummy-internal", mac="02:00:00:00:00:09")).mac == (
        "02:00:00:00:00:09")


@pytest.mark.parametrize(("interface", "text"), [
    (Interface("x", "", "foo"),
     "could not open network device x (Address family not supported by protocol)"),
    (Interface("x", "", "patch"), "x: patch type requires valid 'peer' argument"),
    (Interface("x", "", "patch", options=(("peer", "x"),)), "x: patch peer must not be self")])
def test_devices_that_cannot_be_had_say_why(interface, text):
    with pytest.raises(DeviceError, match="^" + text.replace("(", r"\(").replace(")", r"\)")):
        make(interface, True).open()


def test_dummy_devices_exist_only_in_dummy_mode():
    with pytest.raises(DeviceError):
        make(Interface("x", "", "dummy"), False)
    assert isinstance(make(Interface("x", "", "patch", options=(("peer", "y"),)), False), Patch)
