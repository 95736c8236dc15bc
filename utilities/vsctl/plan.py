"""What --plan prints: rows that a transaction would change, and what the switch would make of it.

`Plan.execute` stands in for the server: it fetches the whole database, runs the operations on a
copy with the suite's own engine (constraints, references and garbage included) and keeps what came
of it; `Plan.text` tells it.  What happens to the switch is what ovs-vswitchd itself would decide:
`vswitchd.config` derives both configurations and their difference.

Loaded only by --plan, because these imports take time.
"""

from dataclasses import fields

from ovsdb_server.engine.database import Database
from ovsdb_server.engine.datum import format_text, from_json
from ovsdb_server.engine.schema import Column, DatabaseSchema, Table
from utilities.vsctl.language import Run

_SHOWN_ITEMS = 8                # A longer set or map is shown by what is added and removed.


class _NamedRow:
    """A row as `vswitchd.config.derive` reads it: columns by name."""

    __slots__ = ("_table", "_row")

    def __init__(self, table: Table, row: tuple) -> None:
        self._table = table
        self._row = row

    def __getitem__(self, name: str) -> tuple:
        column = self._table.columns.get(name)
        return () if column is None else self._row[column.index]


class Plan:
    """One rehearsal of a transaction."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._engine: Database | None = None
        self._delta: dict[str, dict[str, tuple]] = {}
        self._names: dict[str, str] = {}

    def execute(self, operations: list[dict]) -> list:
        """Return the results that `operations` would have."""
        self._fetch()
        execution = self._engine.transact(operations)
        self._delta = execution.delta
        return execution.results

    def _fetch(self) -> None:
        """Copy the whole database."""
        database = self._run.database
        name = self._run.schema.name
        schema = DatabaseSchema.from_json(database.call("get_schema", [name]))
        tables = list(schema.tables.values())
        results = database.call("transact", [name, *(
            {"op": "select", "table": table.name, "where": []} for table in tables)])
        self._engine = Database(schema)
        self._engine.load({table.name: {
            row["_uuid"][1]: tuple(from_json(column.type, row[column.name])
                                   for column in table.order)
            for row in result["rows"]} for table, result in zip(tables, results)})

    def text(self) -> str:
        """Return the plan in words."""
        if not self._delta:
            return "Nothing would change.\n"
        lines = ["Rows:"]
        for name, changes in sorted(self._delta.items()):
            table = self._engine.schema.tables[name]
            for uuid, (old, new) in sorted(changes.items(), key=lambda item: self._label(
                    table, item[0], item[1][1] or item[1][0])):
                lines += self._row_lines(table, uuid, old, new)
        lines.append("Switch:")
        lines += [f"  {line}" for line in self._switch_lines()]
        lines.append("Nothing has been changed (--plan).")
        return "".join(line + "\n" for line in lines)

    # Rows.

    def _row_lines(self, table: Table, uuid: str, old: tuple | None, new: tuple | None
                   ) -> list[str]:
        label = f"{table.name} {self._label(table, uuid, new or old)}"
        if new is None:
            return [f"  delete {label}"]
        if old is None:
            return [f"  insert {label}", *(
                f"    {column.name}: {self._value(column, new[column.index])}"
                for column in table.named_columns
                if new[column.index] != column.type.default)]
        return [f"  change {label}", *(
            f"    {column.name}: {self._change(column, old[column.index], new[column.index])}"
            for column in table.named_columns if old[column.index] != new[column.index])]

    def _label(self, table: Table, uuid: str, row: tuple) -> str:
        for name in ("name", "target"):
            column = table.columns.get(name)
            if column is not None and row[column.index]:
                return format_text(column.type, row[column.index])
        return "." if table.name == "Open_vSwitch" else uuid[:8]

    def _value(self, column: Column, datum: tuple) -> str:
        """Return a datum as text, references by the names of the rows they refer to."""
        target = column.type.key.ref_table or (column.type.value and column.type.value.ref_table)
        if not target:
            return format_text(column.type, datum)
        table = self._engine.schema.tables[target]

        def name(uuid: object) -> str:
            return self._label(table, uuid, self._row(target, uuid) or ((),) * len(table.order))
        if column.type.is_map:
            return "{" + ", ".join(f"{key}={name(value)}" for key, value in datum) + "}"
        names = sorted(name(uuid) for uuid in datum)
        return names[0] if len(names) == 1 and column.type.n_max == 1 else f"[{', '.join(names)}]"

    def _row(self, table: str, uuid: str) -> tuple | None:
        old, new = self._delta.get(table, {}).get(uuid, (None, None))
        return new or old or self._engine.tables[table].rows.get(uuid)

    def _change(self, column: Column, old: tuple, new: tuple) -> str:
        if column.type.n_max == 1 or max(len(old), len(new)) <= _SHOWN_ITEMS:
            return f"{self._value(column, old)} -> {self._value(column, new)}"
        added = tuple(item for item in new if item not in old)
        removed = tuple(item for item in old if item not in new)
        parts = [f"{word} {self._value(column, items)}" for word, items in (
            ("added", added), ("removed", removed)) if items]
        return f"{', '.join(parts)} ({len(old)} -> {len(new)})"

    # The switch.

    def _switch_lines(self) -> list[str]:
        from vswitchd.config.derive import derive
        from vswitchd.config.diff import diff
        old, old_complaints = derive(self._snapshot(is_after=False))
        new, new_complaints = derive(self._snapshot(is_after=True))
        lines = _Story(old, new, diff(old, new)).lines()
        known = {complaint.text for complaint in old_complaints}
        lines += [f"warning: {complaint.text}" for complaint in new_complaints
                  if complaint.text not in known]
        return lines or ["no bridge, port or flow is affected"]

    def _snapshot(self, is_after: bool) -> dict[str, dict[str, _NamedRow]]:
        """Return {table: {uuid: row}} as it is, or as it would be."""
        snapshot = {}
        for name, table in self._engine.tables.items():
            rows = {uuid: _NamedRow(table.schema, row) for uuid, row in table.rows.items()}
            if is_after:
                for uuid, (_, new) in self._delta.get(name, {}).items():
                    if new is None:
                        rows.pop(uuid, None)
                    else:
                        rows[uuid] = _NamedRow(table.schema, new)
            snapshot[name] = rows
        return snapshot


class _Story:
    """The actions of the switch, told bridge by bridge."""

    def __init__(self, old, new, actions: list) -> None:
        self._old = {bridge.name: bridge for bridge in old.bridges}
        self._new = {bridge.name: bridge for bridge in new.bridges}
        self._old_settings = old.settings
        self._actions = actions

    def lines(self) -> list[str]:
        """Return the lines, without indentation."""
        from vswitchd.config.actions import SetSettings
        lines: list[str] = []
        by_bridge: dict[str, list] = {}
        for action in self._actions:
            if isinstance(action, SetSettings):
                lines += [f"all bridges: {text}"
                          for text in _changes(self._old_settings, action.settings)]
                continue
            by_bridge.setdefault(_bridge_name(action), []).append(action)
        for name, actions in by_bridge.items():
            lines += [f"bridge {name}: {text}" for text in self._bridge_lines(name, actions)]
        return lines

    def _bridge_lines(self, name: str, actions: list) -> list[str]:
        old, new = self._old.get(name), self._new.get(name)
        if new is None:
            return [f"deleted, its devices ({_list(_devices(old))}) detached",
                    "all its flows, groups and meters are lost"]
        if old is None:
            return [f"created with datapath type {new.datapath_type}", *_attached(actions),
                    *_controllers(new), f"starts {_first_flows(new)}"]
        if old.datapath_type != new.datapath_type:
            return [f"deleted and created anew, because the datapath type changes from "
                    f"{old.datapath_type} to {new.datapath_type}; its devices "
                    f"({_list(_devices(old))}) are detached for a moment",
                    f"all its flows, groups and meters are lost; it starts {_first_flows(new)}"]
        lines = self._changed_lines(old, new, actions)
        if _is_on_its_own(old) != _is_on_its_own(new):
            whom = "it switches on its own" if _is_on_its_own(new) else "controllers rule it"
            lines.append(f"all its flows are lost, because from now on {whom}; it starts "
                         f"{_first_flows(new)}")
        else:
            lines.append("its flows are kept")
        return lines

    def _changed_lines(self, old, new, actions: list) -> list[str]:
        detached = {action.name for action in actions if _kind(action) == "DeleteInterface"}
        attached = {action.interface.name for action in actions
                    if _kind(action) == "AddInterface"}
        gone = sorted(detached - attached)
        lines = []
        if gone:
            lines.append(f"{_devices_text(gone)} detached; packets that flows send there are "
                         "dropped")
        if again := sorted(detached & attached):
            lines.append(f"{_devices_text(again)} detached and attached again")
        lines += _attached([action for action in actions if _kind(action) != "AddInterface"
                            or action.interface.name not in detached])
        old_devices = {i.name: i for port in old.ports for i in port.interfaces}
        old_ports = {port.name: port for port in old.ports}
        for action in actions:
            match _kind(action):
                case "SetBridge":
                    lines += _changes(old, new, ("uuid", "ports", "controllers", "fail_mode",
                                                 "protocols"))
                case "SetInterface":
                    name = action.interface.name
                    lines += [f"device {name}: {text}" for text in _changes(
                        old_devices[name], action.interface, ("uuid", "last_ofport"))]
                case "SetPorts":
                    lines += _bundle_lines(old_ports, action.ports)
                case "SetControllers":
                    lines += _changes(old, new, ("ports",), ("fail_mode", "protocols"))
                    if old.controllers != new.controllers:
                        lines += _controllers(new) or ["no controller any more"]
        return lines


def _kind(action) -> str:
    return type(action).__name__


def _bridge_name(action) -> str:
    bridge = getattr(action, "bridge", None)
    return action.name if bridge is None else getattr(bridge, "name", bridge)


def _list(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN_ITEMS]) + (
        f" and {len(names) - _SHOWN_ITEMS} more" if len(names) > _SHOWN_ITEMS else "")


def _devices(bridge) -> list[str]:
    return sorted(interface.name for port in bridge.ports for interface in port.interfaces)


def _devices_text(names: list[str]) -> str:
    return f"device {names[0]} is" if len(names) == 1 else f"devices {_list(names)} are"


def _attached(actions: list) -> list[str]:
    lines = []
    for action in actions:
        if _kind(action) == "AddInterface":
            interface = action.interface
            number = ("" if interface.ofport_request is None else
                      f", OpenFlow port {interface.ofport_request} if it is free")
            lines.append(f"device {interface.name} is attached (type {interface.kind}{number})")
    return lines


def _is_on_its_own(bridge) -> bool:
    return not bridge.controllers and bridge.fail_mode == "standalone"


def _first_flows(bridge) -> str:
    return ("with one flow that makes it a learning switch" if _is_on_its_own(bridge)
            else "without flows")


def _controllers(bridge) -> list[str]:
    return [f"controlled by {_list([controller.target for controller in bridge.controllers])}"
            ] if bridge.controllers else []


def _bundle_lines(old: dict, ports: tuple) -> list[str]:
    lines = []
    for port in ports:
        before = old.get(port.name)
        if before is None:
            continue
        texts = _changes(before, port, ("uuid",))
        members = [sorted(i.name for i in bundle.interfaces) for bundle in (before, port)]
        if members[0] != members[1]:
            texts.append(f"interfaces: {_list(members[0])} -> {_list(members[1])}")
        lines += [f"port {port.name}: {text}" for text in texts]
    return lines


def _changes(old, new, passed_over: tuple[str, ...] = (), only: tuple[str, ...] | None = None
             ) -> list[str]:
    """Return "name: old -> new" for the fields of two values that differ and are plain."""
    lines = []
    for field in fields(new):
        name = field.name
        before, after = getattr(old, name), getattr(new, name)
        if (before == after or name in passed_over or name == "interfaces"
                or only is not None and name not in only):
            continue
        lines.append(f"{name}: {_plain(name, before)} -> {_plain(name, after)}")
    return lines


def _plain(name: str, value: object) -> str:
    """Return a field's value for people."""
    if name in ("trunks", "cvlans", "flood_vlans"):
        count = value.bit_count()
        return "all VLANs" if count == 4096 else "none" if not count else _list(
            [str(vlan) for vlan in range(4096) if value >> vlan & 1])
    if value is None or value == ():
        return "none"
    if name == "qinq_ethtype":
        return f"{value:#x}"
    if isinstance(value, tuple):
        return "{" + ", ".join("=".join(item) if isinstance(item, tuple) else str(item)
                               for item in value) + "}"
    return str(value)
