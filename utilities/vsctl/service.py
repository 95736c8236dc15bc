"""What else a switch is told: controllers, managers, TLS files, fail modes, Auto Attach, conntrack
zones, datapath capabilities, and emer-reset, which takes most of it back.
"""

from utilities.command_line import LOG, WARN, Fatal
from utilities.database import Row
from utilities.vsctl.bridge import find_bridge, find_real_bridge, want_bridges
from utilities.vsctl.generic import nothing
from utilities.vsctl.language import UNLIMITED, Command, Context

_STREAMS = ("tcp", "ssl", "unix", "ptcp", "pssl", "punix")


# Controllers and managers: rows with a `target`, referred to by a column of another row.

class _Targets:
    """A kind of peer: its table, and the column that refers to its rows."""

    __slots__ = ("table", "column")

    def __init__(self, table: str, column: str) -> None:
        self.table = table
        self.column = column

    def rows(self, ctx: Context, owner: Row) -> list[Row]:
        """Return the rows that `owner` refers to; the commit checks what was read."""
        ctx.transaction.verify(owner, self.column)
        rows = []
        for uuid in owner.get(self.column):
            row = ctx.database.row(self.table, uuid)
            if row is not None:
                ctx.transaction.verify(row, "target")
                rows.append(row)
        return rows

    def print(self, ctx: Context, owner: Row) -> None:
        """Print the targets, sorted."""
        for target in sorted(row.scalar("target") for row in self.rows(ctx, owner)):
            ctx.print(target)

    def delete(self, ctx: Context, owner: Row) -> None:
        """Remove all of them."""
        for row in self.rows(ctx, owner):
            ctx.transaction.delete(row)
        ctx.transaction.write(owner, self.column, ())

    def set(self, ctx: Context, owner: Row, targets: list[str]) -> None:
        """Replace them by `targets`."""
        self.delete(ctx, owner)
        probe = ctx.options.get("--inactivity-probe")
        uuids = []
        for target in targets:
            kind, colon, _ = target.partition(":")
            if not colon or kind not in _STREAMS:
                LOG.log("vsctl", WARN, f'target type "{target}" is possibly erroneous')
            row = ctx.transaction.insert(ctx.run.schema.table(self.table))
            row.written["target"] = (target,)
            if probe is not None:
                row.written["inactivity_probe"] = (_leading_integer(probe),)
            uuids.append(row.uuid)
        ctx.transaction.write(owner, self.column, tuple(sorted(uuids)))


def _leading_integer(text: str) -> int:
    text = text.strip()
    end = 1 if text[:1] in ("-", "+") else 0
    while text[end:end + 1].isdigit():
        end += 1
    try:
        return int(text[:end])
    except ValueError:
        return 0


_CONTROLLERS = _Targets("Controller", "controller")
_MANAGERS = _Targets("Manager", "manager_options")


def want_controllers(ctx: Context) -> None:
    """Ask for bridges and their controllers."""
    want_bridges(ctx)
    ctx.database.want("Bridge", "controller", "fail_mode")
    ctx.database.want("Controller", "target")


def get_controller(ctx: Context) -> None:
    """BRIDGE; of a fake bridge, those of its parent."""
    _CONTROLLERS.print(ctx, find_bridge(ctx, ctx.arguments[0]).real.row)


def del_controller(ctx: Context) -> None:
    """BRIDGE"""
    _CONTROLLERS.delete(ctx, find_real_bridge(ctx, ctx.arguments[0]).row)


def set_controller(ctx: Context) -> None:
    """BRIDGE TARGET..."""
    bridge = find_real_bridge(ctx, ctx.arguments[0])
    _CONTROLLERS.set(ctx, bridge.row, ctx.arguments[1:])


def get_fail_mode(ctx: Context) -> None:
    """BRIDGE"""
    row = find_bridge(ctx, ctx.arguments[0]).real.row
    ctx.transaction.verify(row, "fail_mode")
    mode = row.scalar("fail_mode")
    if mode:
        ctx.print(mode)


def del_fail_mode(ctx: Context) -> None:
    """BRIDGE"""
    ctx.transaction.write(find_real_bridge(ctx, ctx.arguments[0]).row, "fail_mode", ())


def set_fail_mode(ctx: Context) -> None:
    """BRIDGE MODE"""
    row = find_real_bridge(ctx, ctx.arguments[0]).row
    mode = ctx.arguments[1]
    if mode not in ("standalone", "secure"):
        raise Fatal('fail-mode must be "standalone" or "secure"')
    ctx.transaction.write(row, "fail_mode", (mode,))


def want_managers(ctx: Context) -> None:
    """Ask for the managers."""
    ctx.database.want("Open_vSwitch", "manager_options")
    ctx.database.want("Manager", "target")


def get_manager(ctx: Context) -> None:
    """Print the managers' targets."""
    _MANAGERS.print(ctx, ctx.run.root)


def del_manager(ctx: Context) -> None:
    """Remove all managers."""
    _MANAGERS.delete(ctx, ctx.run.root)


def set_manager(ctx: Context) -> None:
    """TARGET..."""
    _MANAGERS.set(ctx, ctx.run.root, ctx.arguments)


# TLS files.

_SSL_COLUMNS = ("private_key", "certificate", "ca_cert", "bootstrap_ca_cert")


def want_ssl(ctx: Context) -> None:
    """Ask for the TLS configuration."""
    ctx.database.want("Open_vSwitch", "ssl")
    ctx.database.want("SSL", *_SSL_COLUMNS)


def _ssl_row(ctx: Context) -> Row | None:
    ctx.transaction.verify(ctx.run.root, "ssl")
    uuid = ctx.run.root.scalar("ssl")
    return None if uuid is None else ctx.database.row("SSL", uuid)


def get_ssl(ctx: Context) -> None:
    """Print the TLS configuration."""
    row = _ssl_row(ctx)
    if row is None:
        return
    for column in _SSL_COLUMNS:
        ctx.transaction.verify(row, column)
    ctx.print(f"Private key: {row.scalar('private_key')}")
    ctx.print(f"Certificate: {row.scalar('certificate')}")
    ctx.print(f"CA Certificate: {row.scalar('ca_cert')}")
    ctx.print(f"Bootstrap: {'true' if row.scalar('bootstrap_ca_cert') else 'false'}")


def del_ssl(ctx: Context) -> None:
    """Remove the TLS configuration."""
    row = _ssl_row(ctx)
    if row is not None:
        ctx.transaction.delete(row)
        ctx.transaction.write(ctx.run.root, "ssl", ())


def set_ssl(ctx: Context) -> None:
    """PRIVATE-KEY CERTIFICATE CA-CERT"""
    del_ssl(ctx)
    row = ctx.transaction.insert(ctx.run.schema.table("SSL"))
    values = (*ctx.arguments, "--bootstrap" in ctx.options)
    row.written.update((name, (value,)) for name, value in zip(_SSL_COLUMNS, values))
    ctx.transaction.write(ctx.run.root, "ssl", (row.uuid,))


# Auto Attach.

def want_mappings(ctx: Context) -> None:
    """Ask for bridges and their Auto Attach mappings."""
    want_bridges(ctx)
    ctx.database.want("Bridge", "auto_attach")
    ctx.database.want("AutoAttach", "mappings")


def _mapping_arguments(ctx: Context) -> tuple[int, int]:
    numbers = []
    for text in ctx.arguments[1:]:
        if not (text.lstrip().isascii() and text.lstrip().lstrip("+-").isdigit()):
            raise Fatal(f"Invalid argument {text}")
        numbers.append(int(text))
    return numbers[0], numbers[1]


def _auto_attach(ctx: Context, bridge_row: Row) -> Row | None:
    uuid = bridge_row.scalar("auto_attach")
    return None if uuid is None else ctx.database.row("AutoAttach", uuid)


def add_aa_mapping(ctx: Context) -> None:
    """BRIDGE I-SID VLAN; an I-SID that is mapped stays as it is."""
    isid, vlan = _mapping_arguments(ctx)
    bridge_row = find_bridge(ctx, ctx.arguments[0]).real.row
    row = _auto_attach(ctx, bridge_row)
    if row is None:
        row = ctx.transaction.insert(ctx.run.schema.table("AutoAttach"))
        ctx.transaction.write(bridge_row, "auto_attach", (row.uuid,))
    mappings = dict(row.get("mappings"))
    mappings.setdefault(isid, vlan)
    ctx.transaction.verify(row, "mappings")
    ctx.transaction.write(row, "mappings", tuple(sorted(mappings.items())))


def del_aa_mapping(ctx: Context) -> None:
    """BRIDGE I-SID VLAN"""
    pair = _mapping_arguments(ctx)
    row = _auto_attach(ctx, find_bridge(ctx, ctx.arguments[0]).real.row)
    if row is not None and pair in row.get("mappings"):
        ctx.transaction.verify(row, "mappings")
        ctx.transaction.write(row, "mappings",
                              tuple(other for other in row.get("mappings") if other != pair))


def get_aa_mapping(ctx: Context) -> None:
    """BRIDGE"""
    bridge_row = find_bridge(ctx, ctx.arguments[0]).real.row
    ctx.transaction.verify(bridge_row, "auto_attach")
    row = _auto_attach(ctx, bridge_row)
    for isid, vlan in row.get("mappings") if row is not None else ():
        ctx.print(f"{isid} {vlan}")


# Datapaths: conntrack zones and capabilities.

def want_zones(ctx: Context) -> None:
    """Ask for datapaths, zones and timeout policies."""
    ctx.database.want("Open_vSwitch", "datapaths")
    ctx.database.want("Datapath", "ct_zones")
    ctx.database.want("CT_Zone", "timeout_policy")
    ctx.database.want("CT_Timeout_Policy", "timeouts")


def want_limits(ctx: Context) -> None:
    """Ask for datapaths and the limits of their zones."""
    ctx.database.want("Open_vSwitch", "datapaths")
    ctx.database.want("Datapath", "ct_zones", "ct_zone_default_limit")
    ctx.database.want("CT_Zone", "limit", "timeout_policy")


def want_capabilities(ctx: Context) -> None:
    """Ask for the datapaths' capabilities."""
    ctx.database.want("Open_vSwitch", "datapaths")
    ctx.database.want("Datapath", "capabilities")


def _find_datapath(ctx: Context) -> Row | None:
    uuid = dict(ctx.run.root.get("datapaths")).get(ctx.arguments[0])
    return None if uuid is None else ctx.database.row("Datapath", uuid)


def _require_datapath(ctx: Context) -> Row:
    row = _find_datapath(ctx)
    if row is None:
        raise Fatal(f"datapath {ctx.arguments[0]} does not exist")
    return row


def _zone_argument(text: str) -> int:
    digits = text.removeprefix("zone=")
    if digits == text or not (digits.isascii() and digits.isdigit()):
        raise Fatal(f"{text}: zone is not of the form zone=ID")
    return int(digits)


def _zones(ctx: Context, datapath: Row) -> dict[int, Row]:
    rows = {zone: ctx.database.row("CT_Zone", uuid) for zone, uuid in datapath.get("ct_zones")}
    return {zone: row for zone, row in rows.items() if row is not None}


def _put_zone(ctx: Context, datapath: Row, zone: int, row: Row | None) -> None:
    """Let `zone` of the datapath be `row`, or none."""
    column = datapath.table.columns["ct_zones"]
    zones = dict(datapath.get("ct_zones"))
    had = zones.pop(zone, None) is not None
    steps: list[tuple] = [("delete", ["set", [zone]])] if had else []
    if row is not None:
        zones[zone] = row.uuid
        steps.append(("insert", ctx.transaction.json_of(column, ((zone, row.uuid),))))
    ctx.transaction.mutate(datapath, column, tuple(sorted(zones.items())), steps)


def add_zone_tp(ctx: Context) -> None:
    """DATAPATH zone=ID KEY=SECONDS..."""
    zone = _zone_argument(ctx.arguments[1])
    datapath = _require_datapath(ctx)
    row = _zones(ctx, datapath).get(zone)
    if row is not None and "--may-exist" not in ctx.options:
        raise Fatal(f"zone id {zone} already exists")
    timeouts: dict[str, int] = {}
    for text in ctx.arguments[2:]:
        key, _, value = text.partition("=")
        timeouts.setdefault(key, _leading_integer(value))
    policy = ctx.transaction.insert(ctx.run.schema.table("CT_Timeout_Policy"))
    policy.written["timeouts"] = tuple(sorted(timeouts.items()))
    if row is None:
        row = ctx.transaction.insert(ctx.run.schema.table("CT_Zone"))
        _put_zone(ctx, datapath, zone, row)
    ctx.transaction.write(row, "timeout_policy", (policy.uuid,))


def del_zone_tp(ctx: Context) -> None:
    """DATAPATH zone=ID"""
    zone = _zone_argument(ctx.arguments[1])
    datapath = _require_datapath(ctx)
    if zone in _zones(ctx, datapath):
        _put_zone(ctx, datapath, zone, None)
    elif "--if-exists" not in ctx.options:
        raise Fatal(f"zone id {zone} does not exist")


def list_zone_tp(ctx: Context) -> None:
    """DATAPATH"""
    datapath = _find_datapath(ctx)
    if datapath is None:
        raise Fatal(f"datapath: {ctx.arguments[0]} record not found")
    for zone, row in _zones(ctx, datapath).items():
        uuid = row.scalar("timeout_policy")
        policy = None if uuid is None else ctx.database.row("CT_Timeout_Policy", uuid)
        text = "system default"
        if policy is not None:
            text = " ".join(f"{key}={value}" for key, value in policy.get("timeouts"))
        ctx.print(f"Zone:{zone}, Timeout Policies: {text}")


def set_zone_limit(ctx: Context) -> None:
    """DATAPATH zone=ID|default LIMIT"""
    datapath = _require_datapath(ctx)
    text = ctx.arguments[2]
    if not (text.isascii() and text.isdigit()) or int(text) > 0xFFFFFFFF:
        raise Fatal(f"invalid limit: {text}")
    limit = int(text)
    if ctx.arguments[1] == "default":
        ctx.transaction.write(datapath, "ct_zone_default_limit", (limit,))
        return
    zone = _zone_argument(ctx.arguments[1])
    row = _zones(ctx, datapath).get(zone)
    if row is None:
        row = ctx.transaction.insert(ctx.run.schema.table("CT_Zone"))
        _put_zone(ctx, datapath, zone, row)
    ctx.transaction.write(row, "limit", (limit,))


def del_zone_limit(ctx: Context) -> None:
    """DATAPATH zone=ID|default"""
    datapath = _require_datapath(ctx)
    must_exist = "--if-exists" not in ctx.options
    if ctx.arguments[1] == "default":
        if must_exist and not datapath.get("ct_zone_default_limit"):
            raise Fatal(f"datapath {ctx.arguments[0]} does not have a limit")
        ctx.transaction.write(datapath, "ct_zone_default_limit", ())
        return
    zone = _zone_argument(ctx.arguments[1])
    row = _zones(ctx, datapath).get(zone)
    if row is None or not row.get("limit"):
        if must_exist:
            raise Fatal(f"zone_id {zone} does not have a limit")
        return
    if row.get("timeout_policy"):
        ctx.transaction.write(row, "limit", ())
    else:
        _put_zone(ctx, datapath, zone, None)


def list_zone_limits(ctx: Context) -> None:
    """DATAPATH"""
    datapath = _find_datapath(ctx)
    if datapath is None:
        raise Fatal(f"datapath: {ctx.arguments[0]} record not found")
    default = datapath.scalar("ct_zone_default_limit")
    if default is not None:
        ctx.print(f"Default, Limit: {default}")
    for zone, row in _zones(ctx, datapath).items():
        limit = row.scalar("limit")
        if limit is not None:
            ctx.print(f"Zone: {zone}, Limit: {limit}")


def list_dp_cap(ctx: Context) -> None:
    """DATAPATH"""
    datapath = _find_datapath(ctx)
    if datapath is None:
        raise Fatal(f'datapath "{ctx.arguments[0]}" record not found')
    ctx.print(" ".join(f"{key}={value}" for key, value in datapath.get("capabilities")))


# emer-reset

_RESET_TABLES = ("Mirror", "Controller", "Manager", "NetFlow", "SSL", "sFlow", "IPFIX",
                 "Flow_Sample_Collector_Set")
_RESET_BRIDGE_COLUMNS = ("controller", "fail_mode", "mirrors", "netflow", "sflow", "ipfix",
                         "flood_vlans")


def want_reset(ctx: Context) -> None:
    """Ask for the rows that are reset, and for what survives."""
    ctx.database.want("Open_vSwitch", "manager_options", "ssl")
    ctx.database.want("Bridge", "other_config", *_RESET_BRIDGE_COLUMNS)
    ctx.database.want("Port", "other_config")
    ctx.database.want("Interface", "ingress_policing_rate", "ingress_policing_burst")
    for table in _RESET_TABLES:
        ctx.database.want(table)


def emer_reset(ctx: Context) -> None:
    """Back to plain bridges and ports; of other_config only a bridge's hwaddr stays."""
    force = ctx.transaction.force
    force(ctx.run.root, "manager_options", ())
    force(ctx.run.root, "ssl", ())
    for bridge in ctx.database.all("Bridge"):
        for column in _RESET_BRIDGE_COLUMNS:
            force(bridge, column, ())
        force(bridge, "other_config", tuple(
            pair for pair in bridge.get("other_config") if pair[0] == "hwaddr"))
    for port in ctx.database.all("Port"):
        force(port, "other_config", ())
    for interface in ctx.database.all("Interface"):
        force(interface, "ingress_policing_rate", (0,))
        force(interface, "ingress_policing_burst", (0,))
    for table in _RESET_TABLES:
        for row in ctx.database.all(table):
            ctx.transaction.delete(row)
    ctx.invalidate_cache()


SERVICE_COMMANDS = (
    Command("init", 0, 0, "", nothing, nothing, None, "", True),
    Command("emer-reset", 0, 0, "", want_reset, emer_reset, None, "", True),
    Command("get-controller", 1, 1, "!BRIDGE", want_controllers, get_controller),
    Command("del-controller", 1, 1, "!BRIDGE", want_controllers, del_controller, None, "", True),
    Command("set-controller", 1, UNLIMITED, "!BRIDGE +TARGET", want_controllers, set_controller,
            None, "--inactivity-probe=", True),
    Command("get-fail-mode", 1, 1, "!BRIDGE", want_controllers, get_fail_mode),
    Command("del-fail-mode", 1, 1, "!BRIDGE", want_controllers, del_fail_mode, None, "", True),
    Command("set-fail-mode", 2, 2, "!BRIDGE !MODE", want_controllers, set_fail_mode, None, "",
            True),
    Command("get-manager", 0, 0, "", want_managers, get_manager),
    Command("del-manager", 0, 0, "", want_managers, del_manager, None, "", True),
    Command("set-manager", 1, UNLIMITED, "+TARGET", want_managers, set_manager, None,
            "--inactivity-probe=", True),
    Command("get-ssl", 0, 0, "", want_ssl, get_ssl),
    Command("del-ssl", 0, 0, "", want_ssl, del_ssl, None, "", True),
    Command("set-ssl", 3, 3, "!PRIVATE-KEY !CERTIFICATE !CA-CERT", want_ssl, set_ssl, None,
            "--bootstrap", True),
    Command("add-aa-mapping", 3, 3, "!BRIDGE !ARG !ARG", want_mappings, add_aa_mapping, None, "",
            True),
    Command("del-aa-mapping", 3, 3, "!BRIDGE !ARG !ARG", want_mappings, del_aa_mapping, None, "",
            True),
    Command("get-aa-mapping", 1, 1, "!BRIDGE", want_mappings, get_aa_mapping),
    Command("add-zone-tp", 3, UNLIMITED, "", want_zones, add_zone_tp, None, "--may-exist", True),
    Command("del-zone-tp", 2, 2, "", want_zones, del_zone_tp, None, "--if-exists", True),
    Command("list-zone-tp", 1, 1, "", want_zones, list_zone_tp),
    Command("set-zone-limit", 3, 3, "", want_limits, set_zone_limit, None, "", True),
    Command("del-zone-limit", 2, 2, "", want_limits, del_zone_limit, None, "--if-exists", True),
    Command("list-zone-limits", 1, 1, "", want_limits, list_zone_limits),
    Command("list-dp-cap", 1, 1, "", want_capabilities, list_dp_cap),
)
