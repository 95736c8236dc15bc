"""Bridges, fake bridges, ports, bonds and interfaces: add-br, add-port, del-port, list-br, ...

A `Cache` is the tree of bridges, ports and interfaces as the transaction would leave it, by
name, with fake bridges (a port with `fake_bridge` and a tag) as bridges of their own.  Generic
commands invalidate it; the commands here keep it current, so a long command line costs linear
time.
"""

from _bisect import bisect_left

from ovsdb_server.engine.atom import is_uuid
from utilities.command_line import ERR, LOG, WARN, Fatal
from utilities.database import Database, Row
from utilities.vsctl.generic import set_column, set_columns
from utilities.vsctl.language import UNLIMITED, Command, Context


class Bridge:
    """A bridge, or a fake one: then `parent` and `vlan` say of what, and `row` is None."""

    __slots__ = ("name", "row", "parent", "vlan", "children", "ports")

    def __init__(self, name: str, row: Row | None, parent: "Bridge | None", vlan: int) -> None:
        self.name = name
        self.row = row
        self.parent = parent
        self.vlan = vlan
        self.children: dict[int, Bridge] = {}
        self.ports: dict[Port, None] = {}

    @property
    def real(self) -> "Bridge":
        """The bridge that carries this one."""
        return self.parent or self


class Port:
    """A port of `bridge`."""

    __slots__ = ("row", "bridge", "interfaces")

    def __init__(self, row: Row, bridge: Bridge) -> None:
        self.row = row
        self.bridge = bridge
        self.interfaces: dict[Interface, None] = {}

    @property
    def name(self) -> str:
        return self.row.scalar("name")


class Interface:
    """An interface of `port`."""

    __slots__ = ("row", "port")

    def __init__(self, row: Row, port: Port) -> None:
        self.row = row
        self.port = port

    @property
    def name(self) -> str:
        return self.row.scalar("name")


class Cache:
    """Bridges, ports and interfaces by name."""

    def __init__(self) -> None:
        self.bridges: dict[str, Bridge] = {}
        self.ports: dict[str, Port] = {}
        self.interfaces: dict[str, Interface] = {}

    def add_bridge(self, name: str, row: Row | None, parent: Bridge | None = None,
                   vlan: int = 0) -> Bridge:
        """Enter a bridge, real or fake."""
        bridge = self.bridges[name] = Bridge(name, row, parent, vlan)
        if parent is not None:
            conflict = parent.children.get(vlan)
            if conflict is not None:
                LOG.log("vsctl", WARN, f"{parent.name}: bridge has multiple VLAN bridges "
                        f"({name} and {conflict.name}) for VLAN {vlan}, but only one is allowed")
            else:
                parent.children[vlan] = bridge
        return bridge

    def add_port(self, bridge: Bridge, row: Row) -> Port:
        """Enter a port; one with the tag of a fake bridge belongs to that."""
        tag = row.scalar("tag")
        port = Port(row, bridge.children.get(tag, bridge) if tag is not None else bridge)
        port.bridge.ports[port] = None
        self.ports[port.name] = port
        return port

    def add_interface(self, port: Port, row: Row) -> Interface:
        """Enter an interface."""
        interface = Interface(row, port)
        port.interfaces[interface] = None
        self.interfaces[interface.name] = interface
        return interface


def want_bridges(ctx: Context) -> None:
    """Ask the database for the tree of bridges."""
    want = ctx.database.want
    want("Open_vSwitch", "bridges")
    want("Bridge", "name", "ports")
    want("Port", "name", "fake_bridge", "tag", "interfaces")
    want("Interface", "name")


def names_of_new_ports(calls: list) -> list[str]:
    """Return the names of the ports that `calls` add if they do nothing else, else [].

    To set columns of what was added is nothing else.  Names that are no text cannot be sent to
    the server: such calls are left to fail as others do.
    """
    names: list[str] = []
    for call in calls:
        first, second = call.arguments[:2] if len(call.arguments) > 1 else ("", "")
        if call.command.run is add_port and first.isprintable() and second.isprintable():
            names.append(second)
        elif not (call.command.run is set_columns and first.lower() in ("port", "interface")
                  and second in names and not is_uuid(second)):
            return []
    return names


def narrow_to_new_ports(database: Database, calls: list) -> None:
    """Fetch of ports and interfaces only what could be in the way of what `calls` add.

    That is enough to add ports to a bridge, however many it has.  If the bridge is a fake one,
    there is a port of its name; only then it matters which ports a bridge has (`finds_fake`).
    """
    clauses = [["name", "==", name] for name in names_of_new_ports(calls)]
    bridges = dict.fromkeys(call.arguments[0] for call in calls if call.command.run is add_port)
    database.narrow("Port", [*clauses, *(["name", "==", name] for name in bridges)])
    database.narrow("Interface", clauses)
    database.leave_out("Bridge", "ports")


def finds_fake(database: Database) -> bool:
    """Are there fake bridges among the ports that were fetched?"""
    return any(row.scalar("fake_bridge") for row in database.all("Port"))


def is_in_the_way(database: Database, names: list[str]) -> bool:
    """Is a port or an interface called as one of the new ones?  Then the whole tree counts."""
    return any(row.scalar("name") in names for table in ("Port", "Interface")
               for row in database.all(table))


def want_additions(ctx: Context) -> None:
    """Ask for the tree, and for what the switch reports about new interfaces."""
    want_bridges(ctx)
    if ctx.run.waits:
        ctx.database.want("Interface", "ofport", "error")


def _vlan_of_fake_bridge(row: Row) -> int | None:
    tag = row.scalar("tag")
    return tag if row.scalar("fake_bridge") and tag is not None and 0 <= tag <= 4095 else None


def get_cache(ctx: Context) -> Cache:
    """Return the tree of bridges, read anew if it was invalidated."""
    cache = ctx.run.cache
    if cache is None:
        cache = ctx.run.cache = _read_cache(ctx)
    return cache


def _rows(ctx: Context, table: str, uuids: tuple) -> list[Row]:
    rows = (ctx.database.row(table, uuid) for uuid in uuids)
    return [row for row in rows if row is not None]


def _read_cache(ctx: Context) -> Cache:
    cache = Cache()
    port_names: set[str] = set()
    for bridge_row in _rows(ctx, "Bridge", ctx.run.root.get("bridges")):
        name = bridge_row.scalar("name")
        if name in cache.bridges:
            LOG.log("vsctl", WARN, f"{name}: database contains duplicate bridge name")
            continue
        bridge = cache.add_bridge(name, bridge_row)
        for port_row in _rows(ctx, "Port", bridge_row.get("ports")):
            port_name = port_row.scalar("name")
            if port_name in port_names:
                continue                    # The loop below complains.
            port_names.add(port_name)
            vlan = _vlan_of_fake_bridge(port_row)
            if vlan is not None and port_name not in cache.bridges:
                cache.add_bridge(port_name, None, bridge, vlan)
    for bridge in [bridge for bridge in cache.bridges.values() if bridge.row is not None]:
        for port_row in _rows(ctx, "Port", bridge.row.get("ports")):
            _read_port(ctx, cache, bridge, port_row)
    return cache


def _read_port(ctx: Context, cache: Cache, bridge: Bridge, row: Row) -> None:
    name = row.scalar("name")
    known = cache.ports.get(name)
    if known is not None:
        if known.row is row:
            LOG.log("vsctl", WARN, f"{name}: port is in multiple bridges ({bridge.name} and "
                                   f"{known.bridge.name})")
        else:
            LOG.log("vsctl", ERR, f"{name}: database contains duplicate port name")
        return
    port = cache.add_port(bridge, row)
    for interface_row in _rows(ctx, "Interface", row.get("interfaces")):
        interface_name = interface_row.scalar("name")
        other = cache.interfaces.get(interface_name)
        if other is None:
            cache.add_interface(port, interface_row)
        elif other.row is interface_row:
            LOG.log("vsctl", WARN, f"{interface_name}: interface is in multiple ports "
                                   f"({port.name} and {other.port.name})")
        else:
            LOG.log("vsctl", ERR, f"{interface_name}: database contains duplicate interface name")


def _verify_bridges(ctx: Context) -> None:
    ctx.transaction.verify(ctx.run.root, "bridges")


def _verify_ports(ctx: Context) -> None:
    """The names of all ports and interfaces mattered: let the commit check them all."""
    if ctx.run.has_verified_ports:
        return
    _verify_bridges(ctx)
    if ctx.database.is_narrow:
        for name in ctx.run.new_names:
            ctx.transaction.verify_absence("Port", "name", name)
            ctx.transaction.verify_absence("Interface", "name", name)
        ctx.run.has_verified_ports = True
        return
    for row in ctx.database.all("Bridge"):
        ctx.transaction.verify(row, "ports")
    for row in ctx.database.all("Port"):
        ctx.transaction.verify(row, "interfaces")
    ctx.run.has_verified_ports = True


def find_bridge(ctx: Context, name: str, must_exist: bool = True) -> Bridge | None:
    """Return the bridge called `name`, real or fake.  Raises Fatal."""
    bridge = get_cache(ctx).bridges.get(name)
    if bridge is None and must_exist:
        raise Fatal(f"no bridge named {name}")
    _verify_bridges(ctx)
    return bridge


def find_real_bridge(ctx: Context, name: str) -> Bridge:
    """Return the bridge called `name`, which must not be a fake one.  Raises Fatal."""
    bridge = find_bridge(ctx, name)
    if bridge.parent is not None:
        raise Fatal(f"{name} is a fake bridge")
    return bridge


def find_port(ctx: Context, name: str, must_exist: bool = True) -> Port | None:
    """Return the port called `name`; the local port of a bridge does not count."""
    port = get_cache(ctx).ports.get(name)
    if port is not None and port.bridge.name == name:
        port = None
    if port is None and must_exist:
        raise Fatal(f"no port named {name}")
    _verify_ports(ctx)
    return port


def find_interface(ctx: Context, name: str, must_exist: bool = True) -> Interface | None:
    """Return the interface called `name`; the local one of a bridge does not count."""
    interface = get_cache(ctx).interfaces.get(name)
    if interface is not None and interface.port.bridge.name == name:
        interface = None
    if interface is None and must_exist:
        raise Fatal(f"no interface named {name}")
    _verify_ports(ctx)
    return interface


def _require_free_name(ctx: Context, name: str, intention: str) -> None:
    """Raise Fatal if a bridge, port or interface is called `name`."""
    _verify_ports(ctx)
    cache = get_cache(ctx)
    if name in cache.bridges:
        raise Fatal(f"{intention} because a bridge named {name} already exists")
    port = cache.ports.get(name)
    if port is not None:
        raise Fatal(f"{intention} because a port named {name} already exists on bridge "
                    f"{port.bridge.name}")
    interface = cache.interfaces.get(name)
    if interface is not None:
        raise Fatal(f"{intention} because an interface named {name} already exists on bridge "
                    f"{interface.port.bridge.name}")


def _insert(ctx: Context, table: str, **values: tuple) -> Row:
    row = ctx.transaction.insert(ctx.run.schema.table(table))
    row.written.update(values)
    return row


def _add_reference(ctx: Context, row: Row, column: str, uuid: str) -> None:
    references = row.get(column)
    place = bisect_left(references, uuid)
    column_schema = row.table.columns[column]
    ctx.transaction.mutate(row, column_schema, (*references[:place], uuid, *references[place:]),
                           [("insert", ctx.transaction.reference(uuid))])


def _remove_reference(ctx: Context, row: Row, column: str, uuid: str) -> None:
    ctx.transaction.write(row, column, tuple(u for u in row.get(column) if u != uuid))


def _insert_interface(ctx: Context, name: str, **values: tuple) -> Row:
    row = _insert(ctx, "Interface", name=(name,), **values)
    if ctx.run.waits:
        ctx.run.new_interfaces.append(row.uuid)
    return row


# Bridges.

def add_br(ctx: Context) -> None:
    """BRIDGE [PARENT VLAN]"""
    name = ctx.arguments[0]
    if not name:
        raise Fatal("bridge name must not be empty string")
    parent_name, vlan = None, 0
    if len(ctx.arguments) == 3:
        parent_name, vlan = ctx.arguments[1], _atoi(ctx.arguments[2])
        if not 0 <= vlan <= 4095:
            raise Fatal("add-br: vlan must be between 0 and 4095")
    elif len(ctx.arguments) != 1:
        raise Fatal("'add-br' command takes exactly 1 or 3 arguments")
    if "--may-exist" in ctx.options:
        bridge = find_bridge(ctx, name, must_exist=False)
        if bridge is not None:
            _require_same_bridge(bridge, name, parent_name, vlan)
            return
    _require_free_name(ctx, name, f"cannot create a bridge named {name}")
    if parent_name is None:
        _add_real_bridge(ctx, name)
    else:
        _add_fake_bridge(ctx, name, parent_name, vlan)


def _atoi(text: str) -> int:
    """Return the number at the start of `text`, 0 when there is none, as C's atoi does."""
    text = text.strip()
    sign = -1 if text[:1] == "-" else 1
    digits = text[1:] if text[:1] in ("-", "+") else text
    length = 0
    while digits[length:length + 1].isdigit() and digits[length].isascii():
        length += 1
    return sign * int(digits[:length] or 0)


def _require_same_bridge(bridge: Bridge, name: str, parent_name: str | None, vlan: int) -> None:
    if parent_name is None:
        if bridge.parent is not None:
            raise Fatal(f'"--may-exist add-br {name}" but {name} is a VLAN bridge for VLAN '
                        f"{bridge.vlan}")
        return
    command = f'"--may-exist add-br {name} {parent_name} {vlan}"'
    if bridge.parent is None:
        raise Fatal(f"{command} but {name} is not a VLAN bridge")
    if bridge.parent.name != parent_name:
        raise Fatal(f"{command} but {name} has the wrong parent {bridge.parent.name}")
    if bridge.vlan != vlan:
        raise Fatal(f"{command} but {name} is a VLAN bridge for the wrong VLAN {bridge.vlan}")


def _add_real_bridge(ctx: Context, name: str) -> None:
    cache = get_cache(ctx)
    interface = _insert_interface(ctx, name, type=("internal",))
    port = _insert(ctx, "Port", name=(name,), interfaces=(interface.uuid,))
    row = _insert(ctx, "Bridge", name=(name,), ports=(port.uuid,))
    _add_reference(ctx, ctx.run.root, "bridges", row.uuid)
    bridge = cache.add_bridge(name, row)
    cache.add_interface(cache.add_port(bridge, port), interface)


def _add_fake_bridge(ctx: Context, name: str, parent_name: str, vlan: int) -> None:
    parent = find_bridge(ctx, parent_name, must_exist=False)
    if parent is not None and parent.parent is not None:
        raise Fatal("cannot create bridge with fake bridge as parent")
    if parent is None:
        raise Fatal(f"parent bridge {parent_name} does not exist")
    conflict = parent.children.get(vlan)
    if conflict is not None:
        raise Fatal(f"bridge {parent_name} already has a child VLAN bridge {conflict.name} on "
                    f"VLAN {vlan}")
    interface = _insert_interface(ctx, name, type=("internal",))
    port = _insert(ctx, "Port", name=(name,), interfaces=(interface.uuid,), fake_bridge=(True,),
                   tag=(vlan,))
    _add_reference(ctx, parent.row, "ports", port.uuid)
    # Ports with this tag now belong to the new bridge.
    ctx.invalidate_cache()


def del_br(ctx: Context) -> None:
    """BRIDGE"""
    bridge = find_bridge(ctx, ctx.arguments[0], "--if-exists" not in ctx.options)
    if bridge is not None:
        _delete_bridge(ctx, bridge)


def want_del_br(ctx: Context) -> None:
    """Ask for the tree, and for the collector sets, which keep bridges alive."""
    want_bridges(ctx)
    ctx.database.want("Flow_Sample_Collector_Set", "bridge")


def _delete_bridge(ctx: Context, bridge: Bridge) -> None:
    for child in list(bridge.children.values()):
        _delete_bridge(ctx, child)
    for port in list(bridge.ports):
        _delete_port(ctx, port)
    get_cache(ctx).bridges.pop(bridge.name, None)
    if bridge.parent is not None:
        bridge.parent.children.pop(bridge.vlan, None)
        return
    for row in ctx.database.all("Flow_Sample_Collector_Set"):
        if row.scalar("bridge") == bridge.row.uuid:
            ctx.transaction.delete(row)
    _remove_reference(ctx, ctx.run.root, "bridges", bridge.row.uuid)
    ctx.transaction.delete(bridge.row)


def _delete_port(ctx: Context, port: Port) -> None:
    cache = get_cache(ctx)
    for interface in list(port.interfaces):
        cache.interfaces.pop(interface.name, None)
        ctx.transaction.delete(interface.row)
    cache.ports.pop(port.name, None)
    port.bridge.ports.pop(port, None)
    _remove_reference(ctx, port.bridge.real.row, "ports", port.row.uuid)
    ctx.transaction.delete(port.row)


def _print_sorted(ctx: Context, names: list[str]) -> None:
    for name in sorted(names):
        ctx.print(name)


def list_br(ctx: Context) -> None:
    """Print the names of all bridges, or with --real or --fake of those."""
    real, fake = "--real" in ctx.options, "--fake" in ctx.options
    if not real and not fake:
        real = fake = True
    _print_sorted(ctx, [bridge.name for bridge in get_cache(ctx).bridges.values()
                        if (fake if bridge.parent else real)])


def br_exists(ctx: Context) -> None:
    """BRIDGE: exit 2 unless it exists."""
    if find_bridge(ctx, ctx.arguments[0], must_exist=False) is None:
        raise Fatal(None, 2)


def br_to_vlan(ctx: Context) -> None:
    """BRIDGE"""
    ctx.print(str(find_bridge(ctx, ctx.arguments[0]).vlan))


def br_to_parent(ctx: Context) -> None:
    """BRIDGE"""
    ctx.print(find_bridge(ctx, ctx.arguments[0]).real.name)


def want_external_ids(ctx: Context) -> None:
    """Ask for the tree and the external IDs of bridges and of fake bridges' ports."""
    want_bridges(ctx)
    ctx.database.want("Bridge", "external_ids")
    ctx.database.want("Port", "external_ids")


def _external_ids_owner(ctx: Context) -> tuple[Row | None, str]:
    """Return the row that holds the bridge's external IDs, and the prefix of the keys."""
    bridge = find_bridge(ctx, ctx.arguments[0])
    if bridge.row is not None:
        return bridge.row, ""
    port = get_cache(ctx).ports.get(bridge.name)
    return (port.row if port else None), "fake-bridge-"


def br_set_external_id(ctx: Context) -> None:
    """BRIDGE KEY [VALUE]"""
    row, prefix = _external_ids_owner(ctx)
    if row is None:
        return
    ctx.transaction.verify(row, "external_ids")
    ids = dict(row.get("external_ids"))
    key = prefix + ctx.arguments[1]
    ids.pop(key, None)
    if len(ctx.arguments) > 2:
        ids[key] = ctx.arguments[2]
    ctx.transaction.write(row, "external_ids", tuple(sorted(ids.items())))


def br_get_external_id(ctx: Context) -> None:
    """BRIDGE [KEY]"""
    row, prefix = _external_ids_owner(ctx)
    if row is None:
        return
    ctx.transaction.verify(row, "external_ids")
    for key, value in row.get("external_ids"):
        if len(ctx.arguments) > 1:
            if key == prefix + ctx.arguments[1]:
                ctx.print(value)
        elif key.startswith(prefix):
            ctx.print(f"{key[len(prefix):]}={value}")


# Ports and interfaces.

def list_ports(ctx: Context) -> None:
    """BRIDGE"""
    bridge = find_bridge(ctx, ctx.arguments[0])
    ctx.transaction.verify(bridge.real.row, "ports")
    _print_sorted(ctx, [port.name for port in bridge.ports if port.name != bridge.name])


def list_ifaces(ctx: Context) -> None:
    """BRIDGE"""
    bridge = find_bridge(ctx, ctx.arguments[0])
    _verify_ports(ctx)
    _print_sorted(ctx, [interface.name for port in bridge.ports
                        for interface in port.interfaces if interface.name != bridge.name])


def port_to_br(ctx: Context) -> None:
    """PORT"""
    ctx.print(find_port(ctx, ctx.arguments[0]).bridge.name)


def iface_to_br(ctx: Context) -> None:
    """IFACE"""
    ctx.print(find_interface(ctx, ctx.arguments[0]).port.bridge.name)


def add_port(ctx: Context) -> None:
    """BRIDGE PORT [COLUMN[:KEY]=VALUE]..."""
    bridge, port, *settings = ctx.arguments
    _add_port(ctx, bridge, port, [port], settings)


def add_bond(ctx: Context) -> None:
    """BRIDGE PORT IFACE... [COLUMN[:KEY]=VALUE]..."""
    bridge, port, *rest = ctx.arguments
    n = next((i for i, word in enumerate(rest) if "=" in word), len(rest))
    if n < 2:
        raise Fatal(f"add-bond requires at least 2 interfaces, but only {n} were specified")
    _add_port(ctx, bridge, port, rest[:n], rest[n:])


def _add_port(ctx: Context, bridge_name: str, name: str, interface_names: list[str],
              settings: list[str]) -> None:
    if not name:
        raise Fatal("port name must not be empty string")
    if "" in interface_names:
        raise Fatal("interface name must not be empty string")
    if "--may-exist" in ctx.options:
        port = find_port(ctx, name, must_exist=False)
        if port is not None:
            _require_same_port(ctx, port, bridge_name, interface_names)
            return
    _require_free_name(ctx, name, f"cannot create a port named {name}")
    for interface_name in interface_names:
        _require_free_name(ctx, interface_name,
                           f"cannot create an interface named {interface_name}")
    bridge = find_bridge(ctx, bridge_name)
    interfaces = [_insert_interface(ctx, interface_name) for interface_name in interface_names]
    row = _insert(ctx, "Port", name=(name,),
                  interfaces=tuple(sorted(interface.uuid for interface in interfaces)),
                  bond_fake_iface=("--fake-iface" in ctx.options,))
    if bridge.parent is not None:
        row.written["tag"] = (bridge.vlan,)
    table = ctx.run.schema.table("Port")
    cache = get_cache(ctx)
    for setting in settings:
        set_column(ctx, table, row, setting)
    _add_reference(ctx, bridge.real.row, "ports", row.uuid)
    if settings and not {"name", "interfaces", "fake_bridge"}.isdisjoint(
            ctx.find_column(table, ctx.read_column_name(s)[0]).name for s in settings):
        ctx.invalidate_cache()
        return
    # The settings were of a row that the tree does not have yet.
    ctx.run.cache = cache
    port = cache.add_port(bridge.real, row)
    for interface in interfaces:
        cache.add_interface(port, interface)


def _require_same_port(ctx: Context, port: Port, bridge_name: str,
                       interface_names: list[str]) -> None:
    have = sorted(interface.name for interface in port.interfaces)
    if port.bridge.name != bridge_name:
        raise Fatal(f'"{ctx.call.words()}" but {port.name} is actually attached to bridge '
                    f"{port.bridge.name}")
    if have != sorted(interface_names):
        raise Fatal(f'"{ctx.call.words()}" but {port.name} actually has interface(s) '
                    f"{', '.join(have)}")


def add_bond_iface(ctx: Context) -> None:
    """BOND IFACE"""
    port_name, name = ctx.arguments
    port = find_port(ctx, port_name)
    if not name:
        raise Fatal("interface name must not be empty string")
    if "--may-exist" in ctx.options:
        interface = find_interface(ctx, name, must_exist=False)
        if interface is not None:
            if interface.port is not port:
                raise Fatal(f'"{ctx.call.words()}" but {name} is actually attached to port '
                            f"{interface.port.name}")
            return
    _require_free_name(ctx, name, f"cannot create an interface named {name}")
    row = _insert_interface(ctx, name)
    _add_reference(ctx, port.row, "interfaces", row.uuid)
    get_cache(ctx).add_interface(port, row)


def del_bond_iface(ctx: Context) -> None:
    """[BOND] IFACE"""
    must_exist = "--if-exists" not in ctx.options
    name = ctx.arguments[-1]
    interface = find_interface(ctx, name, must_exist)
    if interface is None:
        return
    port = interface.port
    if len(ctx.arguments) > 1:
        wanted = find_port(ctx, ctx.arguments[0])
        if port is not wanted:
            raise Fatal(f"port {wanted.name} does not have an interface {name}")
    if len(port.interfaces) == 1:
        raise Fatal(f"cannot delete last interface from port {port.name}")
    _remove_reference(ctx, port.row, "interfaces", interface.row.uuid)
    ctx.transaction.delete(interface.row)
    get_cache(ctx).interfaces.pop(name, None)
    port.interfaces.pop(interface, None)


def del_port(ctx: Context) -> None:
    """[BRIDGE] PORT|IFACE"""
    must_exist = "--if-exists" not in ctx.options
    target = ctx.arguments[-1]
    if find_bridge(ctx, target, must_exist=False) is not None:
        if must_exist:
            raise Fatal(f"cannot delete port {target} because it is the local port for bridge "
                        f"{target} (deleting this port requires deleting the entire bridge)")
        return
    if "--with-iface" in ctx.options:
        port = find_port(ctx, target, must_exist=False)
        if port is None:
            interface = find_interface(ctx, target, must_exist=False)
            port = interface.port if interface is not None else None
        if port is None and must_exist:
            raise Fatal(f"no port or interface named {target}")
    else:
        port = find_port(ctx, target, must_exist)
    if port is None:
        return
    if len(ctx.arguments) > 1:
        bridge = find_bridge(ctx, ctx.arguments[0])
        if port.bridge is not bridge:
            lack = f"bridge {bridge.name} does not have a port {target}"
            if port.bridge.parent is bridge:
                raise Fatal(f"{lack} (although its child bridge {port.bridge.name} does)")
            raise Fatal(lack)
    _delete_port(ctx, port)


BRIDGE_COMMANDS = (
    Command("add-br", 1, 3, "!NEW-BRIDGE ?PARENT ?NEW-VLAN", want_additions, add_br, None,
            "--may-exist", True),
    Command("del-br", 1, 1, "!BRIDGE", want_del_br, del_br, None, "--if-exists", True),
    Command("list-br", 0, 0, "", want_bridges, list_br, None, "--real --fake"),
    Command("br-exists", 1, 1, "!BRIDGE", want_bridges, br_exists),
    Command("br-to-vlan", 1, 1, "!BRIDGE", want_bridges, br_to_vlan),
    Command("br-to-parent", 1, 1, "!BRIDGE", want_bridges, br_to_parent),
    Command("br-set-external-id", 2, 3, "!BRIDGE !KEY ?VALUE", want_external_ids,
            br_set_external_id, None, "", True),
    Command("br-get-external-id", 1, 2, "!BRIDGE ?KEY", want_external_ids, br_get_external_id),
    Command("list-ports", 1, 1, "!BRIDGE", want_bridges, list_ports),
    Command("add-port", 2, UNLIMITED, "!BRIDGE !NEW-PORT *COLUMN?:KEY=VALUE",
            want_additions, add_port, None, "--may-exist", True),
    Command("del-port", 1, 2, "?BRIDGE !PORT|IFACE", want_bridges, del_port, None,
            "--if-exists --with-iface", True),
    Command("port-to-br", 1, 1, "!PORT", want_bridges, port_to_br),
    Command("add-bond", 4, UNLIMITED, "!BRIDGE !BOND +IFACE *COLUMN?:KEY=VALUE",
            want_additions, add_bond, None, "--may-exist --fake-iface", True),
    Command("add-bond-iface", 2, 2, "!BOND !IFACE", want_additions, add_bond_iface, None,
            "--may-exist", True),
    Command("del-bond-iface", 1, 2, "?BOND !IFACE", want_bridges, del_bond_iface, None,
            "--if-exists", True),
    Command("list-ifaces", 1, 1, "!BRIDGE", want_bridges, list_ifaces),
    Command("iface-to-br", 1, 1, "!IFACE", want_bridges, iface_to_br),
)
