"""The command table of ovs-vsctl, and the ways in which rows are named besides by UUID."""

from utilities.command_line import NO_ARGUMENT, REQUIRED_ARGUMENT
from utilities.vsctl.bridge import BRIDGE_COMMANDS
from utilities.vsctl.generic import GENERIC_COMMANDS
from utilities.vsctl.language import Command, RecordName
from utilities.vsctl.service import SERVICE_COMMANDS
from utilities.vsctl.show import SHOW_COMMANDS

COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (*GENERIC_COMMANDS, *SHOW_COMMANDS, *BRIDGE_COMMANDS, *SERVICE_COMMANDS)}

RECORD_NAMES: dict[str, tuple[RecordName, ...]] = {
    "AutoAttach": (RecordName("Bridge", "name", "auto_attach"),),
    "Bridge": (RecordName("Bridge", "name"),),
    "Controller": (RecordName("Bridge", "name", "controller"),),
    "Flow_Sample_Collector_Set": (RecordName("Flow_Sample_Collector_Set", "id"),),
    "Flow_Table": (RecordName("Flow_Table", "name"),),
    "IPFIX": (RecordName("Bridge", "name", "ipfix"),),
    "Interface": (RecordName("Interface", "name"),),
    "Manager": (RecordName("Manager", "target"),),
    "Mirror": (RecordName("Mirror", "name"),),
    "NetFlow": (RecordName("Bridge", "name", "netflow"),),
    "Open_vSwitch": (RecordName("Open_vSwitch"),),
    "Port": (RecordName("Port", "name"),),
    "QoS": (RecordName("Port", "name", "qos"),),
    "SSL": (RecordName("SSL"),),
    "sFlow": (RecordName("Bridge", "name", "sflow"),),
}


def _local_options() -> tuple:
    """Return the commands' options as rows for command_line.parse_options."""
    rows = {}
    for command in COMMANDS.values():
        for option in command.options:
            name = option.strip("-=")
            argument = REQUIRED_ARGUMENT if option.endswith("=") else NO_ARGUMENT
            rows[name] = (name, argument, "", "command")
    return tuple(rows.values())


LOCAL_OPTIONS = _local_options()
