"""What a database asks for becomes values; what cannot be meant becomes a complaint."""

import json
from pathlib import Path

import pytest

from ovsdb_server.engine.schema import DatabaseSchema
from vswitchd.config.derive import derive, integer, vlan_set
from vswitchd.config.desired import ALL_VLANS

SCHEMA = DatabaseSchema.from_json(json.loads(
    (Path(__file__).parents[3] / "schema" / "vswitch.ovsschema").read_text()))


def row(table: str, **columns) -> dict[str, tuple]:
    """A row with defaults for all columns but these."""
    values = {column.name: column.type.default for column in SCHEMA.tables[table].named_columns}
    assert columns.keys() <= values.keys()
    return {**values, **columns}


def database(ports: dict[str, dict], bridge: dict | None = None, **top) -> dict:
    """A snapshot with one bridge br0 that has these ports, each with one interface."""
    tables = {name: {} for name in SCHEMA.tables}
    for name, columns in ports.items():
        kind = columns.pop("type", "dummy")
        interface = columns.pop("interface", {})
        tables["Interface"]["i-" + name] = row("Interface", name=(name,), type=(kind,), **interface)
        tables["Port"]["p-" + name] = row("Port", name=(name,), interfaces=("i-" + name,), **columns)
    tables["Bridge"]["b"] = row("Bridge", name=("br0",), datapath_type=("dummy",),
                                ports=tuple(sorted(tables["Port"])), **(bridge or {}))
    tables["Open_vSwitch"]["o"] = row("Open_vSwitch", bridges=("b",), **top)
    return tables


def only_port(**columns):
    """The desired port of a bridge with one port of these columns."""
    switch, complaints = derive(database({"p1": columns}), "")
    return next(port for port in switch.bridges[0].ports if port.name == "p1"), complaints


def test_an_empty_database_asks_for_nothing():
    switch, complaints = derive({name: {} for name in SCHEMA.tables})
    assert switch.bridges == () and complaints == ()


def test_a_bridge_gets_a_local_port_of_its_own():
    switch, _ = derive(database({"p1": {}}), "")
    (bridge,) = switch.bridges
    assert [(port.name, port.interfaces[0].kind) for port in bridge.ports] == [
        ("p1", "dummy"), ("br0", "dummy-internal")]


@pytest.mark.parametrize(("columns", "expected"), [
    ({}, ("trunk", 0, ALL_VLANS)),
    ({"tag": (10,)}, ("access", 10, ALL_VLANS)),
    ({"trunks": (1, 3)}, ("trunk", 0, 0b1010)),
    ({"tag": (5,), "vlan_mode": ("native-tagged",), "trunks": (6,)},
     ("native-tagged", 5, 1 << 5 | 1 << 6)),
    ({"tag": (5,), "vlan_mode": ("native-untagged",)}, ("native-untagged", 5, ALL_VLANS)),
    ({"tag": (5,), "vlan_mode": ("trunk",), "trunks": (6,)}, ("trunk", 0, 1 << 6))])
def test_vlan_mode_is_completed_as_the_manual_says(columns, expected):
    port, _ = only_port(**columns)
    assert (port.vlan_mode, port.tag, port.trunks) == expected


def test_a_tag_with_trunks_is_complained_of():
    port, complaints = only_port(tag=(5,), trunks=(6,))
    assert port.vlan_mode == "access" and len(complaints) == 1


def test_a_bridge_with_a_slash_in_its_name_is_ignored():
    tables = database({})
    tables["Bridge"]["b"] = row("Bridge", name=("a/b",))
    switch, complaints = derive(tables)
    assert switch.bridges == ()
    assert complaints[0].text == "ignoring bridge with invalid name 'a/b'"


def test_override_makes_every_datapath_and_device_dummy():
    tables = database({"eth0": {"type": ""}})
    tables["Bridge"]["b"] = row("Bridge", name=("br0",), ports=("p-eth0",))
    (bridge,) = derive(tables, "override")[0].bridges
    assert bridge.datapath_type == "dummy"
    assert {port.interfaces[0].kind for port in bridge.ports} == {"dummy", "dummy-internal"}
    (bridge,) = derive(tables, None)[0].bridges
    assert bridge.datapath_type == "system" and bridge.ports[0].interfaces[0].kind == "system"


def test_settings_fall_back_where_they_make_no_sense():
    settings = derive(database({}, other_config=(
        ("flow-limit", "x"), ("max-idle", "500"), ("vlan-limit", "0"))))[0].settings
    assert (settings.flow_limit, settings.max_idle_ms, settings.vlan_limit) == (200_000, 500, 2)
    assert integer("7", 1, 0, 5) == 1 and integer(None, 3, 0, 5) == 3
    assert vlan_set((0, 4095)) == 1 | 1 << 4095


@pytest.mark.parametrize(("text", "mac", "complaint"), [
    ("02:03:04:05:06:0A", "02:03:04:05:06:0a", None), ("2:3:4:5:6:0x7", "02:03:04:05:06:07", None),
    ("zz", None, None), ("02:03:04:05:06", None, None), ("02:03:04:05:06:07x", None, None),
    ("02-03-04-05-06-07", None, None), ("02:03:04:05:06:100", None, None),
    ("01:02:03:04:05:06", None,
     "bridge br0: cannot set MAC address to multicast address 01:02:03:04:05:06"),
    ("00:00:00:00:00:00", None, "bridge br0: cannot set MAC address to zero")])
def test_a_bridge_takes_only_macs_that_it_can_have(text, mac, complaint):
    switch, complaints = derive(database({}, {"other_config": (("hwaddr", text),)}), "")
    assert switch.bridges[0].hwaddr == mac
    assert [(c.text, c.level) for c in complaints] == ([(complaint, "err")] if complaint else [])


def test_the_mac_of_an_interface_is_not_for_the_local_port():
    wanted = {"interface": {"mac": ("02:00:00:00:00:07",)}}
    switch, complaints = derive(database({"p1": dict(wanted), "br0": dict(wanted)}), "")
    macs = {port.name: port.interfaces[0].mac for port in switch.bridges[0].ports}
    assert macs == {"p1": "02:00:00:00:00:07", "br0": None}
    assert [c.text for c in complaints] == [
        "interface br0: ignoring mac in Interface record (use Bridge record to set local port's mac)"]
