"""The commands of Debian's ovs-bugtool, as its plugins list them, ask our suite.

The tool itself also waits and packs; only what it runs concerns us.  What looks at the machine
rather than at the switch is left out, as is what our switch has not got.
"""

import html
import re
from pathlib import Path

import pytest

from tests.differential.switches import Switch

PLUGINS = Path("/usr/share/openvswitch/bugtool-plugins")
OURS = re.compile(r"^ovs|/ovs-bugtool-(?!daemons-ver|get-dpdk|tc-class|ovs-vswitchd-threads)")
ABSENT = re.compile(r"lacp/show|cfm/show|bfd/show|bond/show|dump-conntrack|dpif-netdev/pmd")
COMMANDS = [html.unescape(command) for file in sorted(PLUGINS.glob("*/*.xml"))
            for command in re.findall(r"<command [^>]*>(.*?)</command>", file.read_text())
            if OURS.search(command) and not ABSENT.search(command)] if PLUGINS.is_dir() else []

pytestmark = [pytest.mark.long,
              pytest.mark.skipif(not COMMANDS,
                                 reason="Debian's openvswitch-common is not installed")]


@pytest.fixture(scope="module")
def switch(tmp_path_factory):
    found = Switch(tmp_path_factory.mktemp("bugtool") / "switch", real=False, our_tools=True)
    try:
        assert found.run(
            "ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy "
            "-- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 "
            "-- add-br br1 -- set bridge br1 datapath_type=dummy protocols=OpenFlow10,OpenFlow13; "
            "ovs-ofctl add-flow br0 in_port=1,actions=local") == ""
        yield found
    finally:
        found.close()


def test_the_plugins_list_commands() -> None:
    assert len(COMMANDS) > 20


def test_every_command_works(switch) -> None:
    for command in COMMANDS:
        command = command.replace("/var/run/openvswitch", str(switch.directory))
        datapath = re.search(r"(netdev|system)@ovs-(netdev|system)", command)
        text = switch.run(f"bash -c '{command}'" if "'" not in command else command)
        if datapath:            # There is a datapath of type dummy only.
            assert "datapath not found" in text, (command, text)
        else:
            assert "exit code" not in text and "not a valid command" not in text, (command, text)
            assert "Traceback" not in text and text.strip(), (command, text)
