"""The way back: what is true of the living switch, as values for the database's columns.

`interface_status`, `bridge_status` and `switch_status` return {column: datum} with datums as the
engine writes them (sorted tuples); `changes` leaves out what the database has already. Statistics
and state are asked of the devices, so these functions belong to the control task, but they write
nothing themselves. Source: ovs-vswitchd.conf.db(5).
"""

from collections.abc import Mapping

from vswitchd.switch.bridge import Bridge, BridgePort
from vswitchd.switch.switch import Switch

Columns = dict[str, tuple]

# What a device that could not be had shows.
_ABSENT: Columns = {"admin_state": (), "duplex": (), "ifindex": (), "link_resets": (),
                    "link_speed": (), "link_state": (), "mac_in_use": (), "mtu": (), "status": ()}
# Interface types that exist in every build, and those of dummy mode.
IFACE_TYPES = ("internal", "patch", "system", "tap")
DUMMY_IFACE_TYPES = ("dummy", "dummy-internal", "dummy-pmd")


def _optional(value: object | None) -> tuple:
    return () if value is None else (value,)


def interface_status(bridge: Bridge, name: str, error: str | None) -> Columns:
    """The status columns of one interface."""
    port = bridge.ports.get(name)
    if port is None:
        return {**_ABSENT, "ofport": (-1,), "error": _optional(error)}
    state = port.netdev.state()
    return {
        "ofport": (port.ofport,),
        "error": _optional(error),
        "mac_in_use": (state.mac,),
        "mtu": _optional(state.mtu),
        "ifindex": _optional(state.ifindex),
        "admin_state": ("up" if state.is_up else "down",),
        "link_state": ("up" if state.has_carrier else "down",),
        "link_speed": _optional(state.speed),
        "duplex": _optional(state.duplex),
        "link_resets": (state.link_resets,),
        "status": state.status,
    }


def interface_statistics(bridge: Bridge, port: BridgePort) -> Columns:
    """Interface.statistics."""
    counts = bridge.statistics(port) | port.netdev.counters()
    counts |= port.netdev.made_up(counts)
    return {"statistics": tuple(sorted(counts.items()))}


def bridge_status(bridge: Bridge) -> Columns:
    """The status columns of a bridge."""
    return {"datapath_id": (f"{bridge.datapath_id:016x}",), "datapath_version": ("<built-in>",)}


def switch_status(switch: Switch) -> Columns:
    """The status columns of Open_vSwitch that do not depend on its configuration."""
    types = IFACE_TYPES + (DUMMY_IFACE_TYPES if switch.dummy is not None else ())
    return {"datapath_types": tuple(sorted(switch.datapath_types())),
            "iface_types": tuple(sorted(types)),
            "dpdk_initialized": (False,), "dpdk_version": ("none",)}


def changes(row: Mapping[str, tuple], wanted: Columns) -> Columns:
    """The columns of `wanted` in which `row` differs."""
    return {column: datum for column, datum in wanted.items() if row.get(column) != datum}
