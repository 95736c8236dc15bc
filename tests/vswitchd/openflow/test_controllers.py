"""Controllers that nobody here wrote drive our switch: os-ken with OpenFlow 1.0 and 1.3."""

import pytest

from tests.differential.switches import Switch
from tests.vswitchd.openflow.controllers import observe

pytest.importorskip("os_ken", reason="os-ken is not installed")


@pytest.mark.parametrize("version", [1, 4])
def test_a_learning_switch_on_os_ken_works(version, tmp_path):
    switch = Switch(tmp_path / "ours", False, our_tools=True)
    try:
        lines, told = observe(switch, version)
        complaints = switch.complaints()
    finally:
        switch.close()
    assert [line for line in lines if line.startswith("ErrorMsg")] == []
    assert [line.split(" of ")[0] for line in lines if line.startswith("PacketIn")] == [
        f"PacketIn: port {port} reason {0 if version == 4 else 1}" for port in (1, 2)]
    assert [line.split()[1] for line in lines if line.startswith("PortStatus")] == [
        "added", *["config=0"] * (version == 4), "config=1", "config=1", "deleted"]
    assert sum(line.startswith("FlowRemoved") for line in lines) == 1
    assert "role                : " + ("master" if version == 4 else "other") in str(
        told["ovs-vsctl --columns=is_connected,role list controller"])
    assert complaints == []
