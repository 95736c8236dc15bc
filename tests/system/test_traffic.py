"""Frames between real hosts: nothing reaches the host's own stack, offloads and tags survive."""

import pytest

from tests.system.network import transfer, wait

pytestmark = pytest.mark.system


def test_tcp_with_default_offloads_between_hosts(suite, make_host):
    """h1 -- p1 [br0] p2 -- h2"""
    first, second = make_host(), make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    suite.wire(second, "p2", "br0", "10.1.0.2/24")
    assert first.pings("10.1.0.2")
    transfer(first, second, "10.1.0.2")
    transfer(second, first, "10.1.0.1")
    # Frames of more than the MTU went through whole.
    received = suite.host.run("cat", "/sys/class/net/p1/statistics/rx_bytes", check=False)
    assert received is not None
    drops = suite.appctl("coverage/show")
    assert "tx_too_big" not in drops


def test_tcp_to_and_from_an_internal_port(suite, make_host):
    """h1 -- p1 [br0] LOCAL -- the daemon's own host"""
    first = make_host()
    suite.add_bridge("br0")
    suite.wire(first, "p1", "br0", "10.1.0.1/24")
    suite.host.ip("addr add 10.1.0.3/24 dev br0")
    suite.host.ip("link set br0 up")
    assert first.pings("10.1.0.3")
    transfer(first, suite.host, "10.1.0.3")
    transfer(suite.host, first, "10.1.0.1")
