"""A switch between two configurations: carried out in turns, it is asked for in between."""

import pytest

from vswitchd.config.desired import Bridge, Interface
from vswitchd.switch.switch import Switch


@pytest.fixture
def switch():
    switch = Switch("1", False)
    yield switch
    for name in list(switch.bridges):
        switch.delete_bridge(name)


def test_a_patch_port_that_the_datapath_has_not_met_has_counted_nothing(switch):
    assert switch.add_bridge(Bridge("br0", "u", "dummy", ()))
    bridge = switch.bridges["br0"]
    bridge.add(Interface("p", "i", "patch", options=(("peer", "q"),)), True)
    assert set(bridge.statistics(bridge.ports["p"]).values()) == {0}
