"""Database rows -> desired state. The first step of the only road from database to switch.

`derive()` reads a snapshot {table: {uuid: row}}, where a row maps a column to its datum (a sorted
tuple of atoms, or of pairs for a map), and returns a `Switch` with complaints about what cannot be
meant. It never raises on what a user wrote.

Source: ovs-vswitchd.conf.db(5). Pure function, no I/O; any thread.
"""

import os.path
import re
from collections.abc import Mapping

from vswitchd.config.desired import (ALL_VLANS, Bridge, Complaint, Controller, FlowTable, Interface,
                                     Port, Settings, Switch)

Row = Mapping[str, tuple]
Snapshot = Mapping[str, Mapping[str, Row]]

_MAC = re.compile(r"(?:(?:0[xX])?[0-9a-fA-F]{1,8}:){5}(?:0[xX])?[0-9a-fA-F]{1,8}")
VLAN_MODES = ("access", "trunk", "native-tagged", "native-untagged", "dot1q-tunnel")


def one(row: Row, column: str, default=None):
    """The only atom of an optional or scalar column, else `default`."""
    datum = row[column]
    return datum[0] if datum else default


def integer(text: str | None, default: int, low: int, high: int) -> int:
    """`text` as a number within [low, high]; `default` where it is none."""
    try:
        value = int(text, 0) if text is not None else default
    except ValueError:
        return default
    return value if low <= value <= high else default


def bounded(text: str | None, default: int, low: int, high: int) -> int:
    """`text` as a number, or the bound that it goes beyond; `default` where it is none."""
    return min(max(integer(text, default, -(1 << 63), 1 << 63), low), high)


def mac_address(text: str | None) -> str | None:
    """`text` as six pairs of lowercase digits; None where it is no MAC."""
    if text is None or not _MAC.fullmatch(text):
        return None
    values = [int(part, 16) for part in text.split(":")]
    return bytes(values).hex(":") if max(values) < 256 else None


def is_true(text: str | None) -> bool:
    """Booleans in string maps are the word true."""
    return text == "true"


def vlan_set(vlans: tuple[int, ...]) -> int:
    """VLAN numbers as a bitmap."""
    bits = 0
    for vlan in vlans:
        bits |= 1 << vlan
    return bits


class _Derivation:
    """One run of `derive()`: the snapshot and the complaints so far."""

    def __init__(self, tables: Snapshot, dummy: str | None, system: bool, run_directory: str):
        self.tables = tables
        self.dummy = dummy
        self.system = system
        self.run_directory = run_directory
        self.complaints: list[Complaint] = []
        self.port_owner: dict[str, str] = {}
        self.interface_owner: dict[str, str] = {}

    def complain(self, table: str, uuid: str, text: str, level: str = "warn") -> None:
        self.complaints.append(Complaint(table, uuid, text, level))

    def rows(self, table: str, uuids: tuple[str, ...]) -> list[tuple[str, Row]]:
        """The rows of `uuids` that the snapshot has, by name, so that order does not depend on
        uuids."""
        found = [(uuid, self.tables[table][uuid]) for uuid in uuids if uuid in self.tables[table]]
        return sorted(found, key=lambda item: item[1]["name"]) if table != "Controller" else found

    def datapath_type(self, row: Row) -> str:
        """The effective datapath type: under --enable-dummy=override all become dummy."""
        kind = one(row, "datapath_type", "") or "system"
        if self.dummy == "override" and kind in ("system", "netdev"):
            return "dummy"
        if self.dummy == "system" and kind == "system":
            return "dummy"
        return kind

    def interface(self, uuid: str, row: Row, bridge: str, datapath: str) -> Interface:
        name, kind = one(row, "name"), one(row, "type", "")
        if name == bridge:
            kind = "internal"
        elif not kind:
            kind = "system"
        if datapath == "dummy" and kind == "internal":
            kind = "dummy-internal"
        elif kind == "system" and self.dummy == "override":
            kind = "dummy"
        mac = mac_address(one(row, "mac"))
        if mac and name == bridge:
            self.complain("Interface", uuid, f"interface {name}: ignoring mac in Interface record "
                          "(use Bridge record to set local port's mac)", "err")
            mac = None
        return Interface(name, uuid, kind, one(row, "ofport_request"), mac,
                         one(row, "mtu_request"), row["options"], row["other_config"],
                         one(row, "ofport"))

    def port(self, uuid: str, row: Row, bridge: str, datapath: str) -> Port | None:
        name = one(row, "name")
        if name in self.port_owner:
            return None
        interfaces = []
        for iface_uuid, iface in self.rows("Interface", row["interfaces"]):
            iface_name = one(iface, "name")
            if iface_name in self.interface_owner:
                self.complain("Interface", iface_uuid, f"interface {iface_name} is in two ports")
                continue
            self.interface_owner[iface_name] = name
            interfaces.append(self.interface(iface_uuid, iface, bridge, datapath))
        if not interfaces:
            self.complain("Port", uuid, f"port {name} has no interfaces, dropping")
            return None
        self.port_owner[name] = bridge
        config = dict(row["other_config"])
        return Port(name, uuid, tuple(interfaces), **self.vlans(uuid, row, name),
                    cvlans=vlan_set(row["cvlans"]) or ALL_VLANS,
                    qinq_ethtype=0x8100 if config.get("qinq-ethtype") in ("802.1q", "0x8100")
                    else 0x88a8,
                    priority_tags={"true": "if-nonzero"}.get(
                        config.get("priority-tags", "never"), config.get("priority-tags", "never")),
                    protected=one(row, "protected", False),
                    bond_mode=(one(row, "bond_mode", "active-backup") if len(interfaces) > 1
                               else None),
                    bond_primary=config.get("bond-primary"))

    def vlans(self, uuid: str, row: Row, name: str) -> dict:
        """vlan_mode, tag and trunks as the manual completes them (column vlan_mode)."""
        tag, trunks, mode = one(row, "tag"), vlan_set(row["trunks"]), one(row, "vlan_mode")
        if mode is None:
            mode = "trunk" if tag is None else "access"
            if tag is not None and trunks:
                self.complain("Port", uuid,
                              f"port {name}: ignoring trunks in favor of implicit vlan")
        if mode == "trunk":
            return {"vlan_mode": mode, "tag": 0, "trunks": trunks or ALL_VLANS}
        if mode in ("access", "dot1q-tunnel"):
            return {"vlan_mode": mode, "tag": tag or 0, "trunks": ALL_VLANS}
        # A native port carries its native VLAN even where trunks does not name it.
        return {"vlan_mode": mode, "tag": tag or 0,
                "trunks": (trunks | 1 << (tag or 0)) if trunks else ALL_VLANS}

    def controllers(self, bridge: str, row: Row, has_in_band: bool) -> tuple[Controller, ...]:
        """The controllers of a bridge; those whose sockets could harm other files are none."""
        found = (self.controller(uuid, controller, has_in_band)
                 for uuid, controller in self.rows("Controller", row["controller"]))
        return tuple(controller for controller in found if self.may_reach(bridge, controller))

    def may_reach(self, bridge: str, controller: Controller) -> bool:
        """Whether a controller's socket is one that the database may name."""
        kind, _, path = controller.target.partition(":")
        if kind not in ("unix", "punix"):
            return True
        run = self.run_directory
        ending = (f"or connect to \"unix:{run}/{bridge}.mgmt\" (which is always available without "
                  "special configuration).")
        if kind == "punix":
            if os.path.normpath(path).startswith(f"{run}/{bridge}."):
                return True
            self.complain(
                "Controller", controller.uuid, f"bridge {bridge}: Not adding Unix domain socket "
                f"controller \"{controller.target}\" due to possibility of overwriting local "
                f"files. Instead, specify path in permitted format \"punix:{run}/{bridge}.*\" "
                + ending, "err")
            return False
        if os.path.normpath(path).startswith(f"{run}/") or not os.path.isabs(path):
            return True
        self.complain(
            "Controller", controller.uuid, f"bridge {bridge}: Not connecting to socket controller "
            f"\"{controller.target}\" due to possibility for remote exploit.  Instead, specify "
            f"socket in permitted directory \"unix:{run}/\" " + ending, "err")
        return False

    def managers(self) -> tuple[str, ...]:
        """Targets of the managers that are reached in band."""
        return tuple(sorted(one(row, "target") for row in self.tables.get("Manager", {}).values()
                            if one(row, "connection_mode", "in-band") == "in-band"))

    def controller(self, uuid: str, row: Row, has_in_band: bool) -> Controller:
        probe = one(row, "inactivity_probe")
        return Controller(one(row, "target"), uuid,
                          max(one(row, "max_backoff", 8000), 1000) / 1000,
                          5.0 if probe is None else probe / 1000,
                          has_in_band and one(row, "connection_mode", "in-band") == "in-band",
                          one(row, "enable_async_messages", True),
                          one(row, "controller_rate_limit", 0),
                          one(row, "controller_burst_limit", 0))

    def flow_tables(self, row: Row) -> tuple[FlowTable, ...]:
        tables = []
        for number, uuid in row["flow_tables"]:
            table = self.tables["Flow_Table"].get(uuid)
            if table is not None:
                tables.append(FlowTable(number, one(table, "name", ""), one(table, "flow_limit"),
                                        one(table, "overflow_policy") == "evict",
                                        table["groups"],
                                        table["prefixes"] or None))
        return tuple(tables)

    def hwaddr(self, uuid: str, text: str | None, name: str) -> str | None:
        """The MAC that a bridge is to have, None where it cannot have this one."""
        mac = mac_address(text)
        if mac is None:
            return None
        if int(mac[:2], 16) & 1:
            self.complain("Bridge", uuid, f"bridge {name}: cannot set MAC address to multicast "
                          f"address {mac}", "err")
            return None
        if not mac.strip("0:"):
            self.complain("Bridge", uuid, f"bridge {name}: cannot set MAC address to zero", "err")
            return None
        return mac

    def bridge(self, uuid: str, row: Row) -> Bridge | None:
        name = one(row, "name")
        if "/" in name or not name:
            self.complain("Bridge", uuid, f"ignoring bridge with invalid name '{name}'")
            return None
        datapath = self.datapath_type(row)
        config = dict(row["other_config"])
        has_in_band = not is_true(config.get("disable-in-band"))
        ports = [self.port(port_uuid, port, name, datapath)
                 for port_uuid, port in self.rows("Port", row["ports"])]
        ports = [port for port in ports if port is not None]
        if not any(iface.name == name for port in ports for iface in port.interfaces):
            local = "dummy-internal" if datapath == "dummy" else "internal"
            ports.append(Port(name, "", (Interface(name, "", local),)))
        return Bridge(
            name, uuid, datapath, tuple(ports),
            self.controllers(name, row, has_in_band),
            one(row, "fail_mode", "standalone"), row["protocols"],
            self.managers() if has_in_band else (),
            integer(config.get("in-band-queue"), -1, 0, 0xffffffff) if "in-band-queue" in config
            else None,
            config.get("datapath-id"), self.hwaddr(uuid, config.get("hwaddr"), name),
            config.get("dp-desc"), config.get("dp-sn"),
            bounded(config.get("mac-aging-time"), 300, 15, 3600),
            bounded(config.get("mac-table-size"), 8192, 10, 1_000_000),
            vlan_set(row["flood_vlans"]), is_true(config.get("forward-bpdu")),
            self.flow_tables(row), integer(config.get("controller-queue-size"), 100, 1, 512))

    def switch(self) -> Switch:
        top = next(iter(self.tables["Open_vSwitch"].values()), None)
        if top is None:
            return Switch()
        bridges = [self.bridge(*item) for item in self.rows("Bridge", top["bridges"])]
        config = dict(top["other_config"])
        mask = config.get("pmd-cpu-mask", "")
        try:
            n_workers = int(mask, 16).bit_count() or None if mask else None
        except ValueError:
            n_workers = None
        return Switch(
            tuple(bridge for bridge in bridges if bridge is not None),
            Settings(is_true(config.get("flow-restore-wait")),
                     integer(config.get("flow-limit"), 200_000, 0, 1 << 31),
                     integer(config.get("max-idle"), 10_000, 0, 1 << 31),
                     {0: 2}.get(n := integer(config.get("vlan-limit"), 1, 0, 2), n), n_workers,
                     max(integer(config.get("stats-update-interval"), 5000, 0, 1 << 31),
                         5000) / 1000,
                     1000 * (integer(config.get("bundle-idle-timeout"), 10, 0, 1 << 31) or 10)))


def derive(tables: Snapshot, dummy: str | None = None, system: bool = True,
           run_directory: str = "/var/run/openvswitch") -> tuple[Switch, tuple[Complaint, ...]]:
    """What the database asks for, and what is wrong with it.

    `dummy` is None without --enable-dummy, else "", "override" or "system"; `system` is False with
    --disable-system; `run_directory` may hold the sockets of controllers. Complexity: linear in the
    rows reachable from Open_vSwitch.bridges.
    """
    derivation = _Derivation(tables, dummy, system, run_directory)
    return derivation.switch(), tuple(derivation.complaints)
