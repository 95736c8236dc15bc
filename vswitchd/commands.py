"""THE APPCTL TABLE of ovs-vswitchd: what its control socket answers beyond what every daemon does.

Each command is a row of `commands()`: name, usage, least and most arguments, handler. A handler
returns the answer's text or raises CommandError with the reference's sentence. Commands of the
datapath (dpctl/*) are in `dpctl.py`, those that translate packets in `trace.py`. Control task only.
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Interface, IPv6Interface

from datapath import face, text
from ovsdb_server.rpc.unixctl import Command, CommandError
from schema.flow.fields import FRAG_LATER
from vswitchd import dpctl
from vswitchd.config.desired import LOCAL
from vswitchd.openflow import tables
from vswitchd.switch.bridge import Bridge
from vswitchd.switch.switch import Switch
from vswitchd.switch.virtual import Dummy


_PAYLOAD = 64                   # bytes behind the headers of a packet given as a flow
_SYN_FIN_RST = 0x007


def _has_payload(key: text.Values) -> bool:
    """Whether a packet of this flow carries data: TCP, UDP, ICMP, but not neighbor
    discovery, nor what begins or ends a connection."""
    if key.get("eth_type") not in (0x0800, 0x86dd) or key.get("nw_frag", 0) & FRAG_LATER:
        return False
    protocol = key.get("nw_proto")
    is_discovery = protocol == 58 and key.get("tp_src") in (135, 136)
    opens_or_closes = protocol == 6 and key.get("tcp_flags", 0) & _SYN_FIN_RST
    return protocol in (1, 6, 17, 58) and not is_discovery and not opens_or_closes


class Commands:
    """Handlers over the living switch. `agent` serves OpenFlow; `settle` finishes what packets and
    changes have started, so that an answer shows it."""

    def __init__(self, switch: Switch, agent, settle: Callable[[], None]):
        self.switch = switch
        self.agent = agent
        self.settle = settle

    # -- finding things

    def bridge(self, name: str, complaint: str = "no such bridge") -> Bridge:
        """The bridge of that name. Raises CommandError."""
        bridge = self.switch.bridges.get(name)
        if bridge is None:
            raise CommandError(complaint)
        return bridge

    def dummy(self, name: str, complaint: str = "Unknown Dummy Interface") -> Dummy:
        """The dummy device of that name. Raises CommandError."""
        netdev = self.switch.netdev(name)
        if not isinstance(netdev, Dummy):
            raise CommandError(complaint)
        return netdev

    # -- dpif/*

    def dpif_show(self, args: list[str]) -> str:
        self.settle()
        lines = []
        for _, datapath in sorted(self.switch.datapaths.items()):
            stats = face.datapath_stats(datapath.handle)
            lines.append(f"{datapath.title}: hit:{stats.n_hit} missed:{stats.n_missed}")
            for name, bridge in sorted(self.switch.bridges.items()):
                if bridge.datapath is not datapath:
                    continue
                lines.append(f"  {name}:")
                for port_name, port in sorted(bridge.ports.items()):
                    number = "none" if port.number is None else port.number
                    lines.append(f"    {port_name} {port.ofport}/{number}: "
                                 f"({dpctl.describe_netdev(port.netdev, datapath)})")
        return "\n".join(lines)

    def dump_dps(self, args: list[str]) -> str:
        return "\n".join(f"{bridge.datapath.kind}@{name}"
                         for name, bridge in sorted(self.switch.bridges.items()))

    def dpif_dump_flows(self, args: list[str]) -> str:
        *options, name = args
        verbose = "-m" in options
        names = "--names" in options or (verbose and "--no-names" not in options)
        bridge = self.bridge(name)
        self.settle()
        own = {port.number for port in bridge.ports.values() if port.number is not None}
        return dpctl.dump_flows(bridge.datapath, verbose, names,
                                keep=lambda record: record.key.get("in_port", 0) in own,
                                tells_datapath=False)

    def change_port_number(self, args: list[str]) -> None:
        name, port_name, word = args
        datapath = next((datapath for datapath in self.switch.datapaths.values()
                         if datapath.kind == "dummy" and datapath.name == name), None)
        if datapath is None:
            raise CommandError("unknown datapath or not a dummy")
        old = datapath.port_numbers().get(port_name)
        if old is None:
            raise CommandError("unknown port")
        new = int(word) if word.isdigit() else 0
        if not 0 < new < 1 << 16:
            raise CommandError("bad port number")
        if new in datapath.ports:
            raise CommandError("port number already in use")
        self.settle()
        datapath.attach(datapath.detach(old), new)
        for bridge in self.switch.bridges.values():
            for port in bridge.ports.values():
                if bridge.datapath is datapath and port.number == old:
                    port.number = new
        self.follow_devices()

    def show_dp_features(self, args: list[str]) -> str:
        bridge = self.bridge(args[0])
        return dpctl.show_features(bridge.datapath)

    def set_dp_features(self, args: list[str]) -> str | None:
        bridge = self.bridge(args[0])
        return dpctl.set_features(bridge.datapath, args[1:])

    # -- ofproto/*

    def ofproto_list(self, args: list[str]) -> str:
        return "\n".join(sorted(self.switch.bridges))

    # -- fdb/*

    def fdb_show(self, args: list[str]) -> str:
        bridge = self.bridge(args[0])
        lines = [" port  VLAN  MAC                Age"]
        for entry in face.macs(bridge.handle):
            port = "LOCAL" if entry.ofp == LOCAL else str(entry.ofp)
            age = "static" if entry.is_static else f"{entry.age_s:3d}"
            lines.append(f"{port:>5}  {entry.vlan:4d}  {entry.mac}  {age}" if not entry.is_static
                         else f"{port:>5}  {entry.vlan:4d}  {entry.mac}  static")
        return "\n".join(lines)

    def _vlan(self, word: str) -> int:
        number = int((re.match(r"\s*\d+", word) or ["0"])[0])
        if number > 4095:
            raise CommandError(f"Invalid vlan {word}")
        return number

    @staticmethod
    def _mac(word: str) -> str:
        parts = word.lower().split(":")
        try:
            if len(parts) == 6:
                return ":".join(f"{int(part, 16):02x}" for part in parts)
        except ValueError:
            pass
        raise CommandError("bad MAC address")

    def fdb_add(self, args: list[str]) -> str | None:
        bridge, mac = self.bridge(args[0]), self._mac(args[3])
        port = bridge.ports.get(args[1])
        if port is None and args[1].isdigit():
            found = bridge.port_of(int(args[1]))
            port = found[1] if found else None
        if port is None:
            raise CommandError("software error, odp port is present but no ofp port")
        vlan = self._vlan(args[2])
        old = next((entry for entry in face.macs(bridge.handle)
                    if (entry.mac, entry.vlan) == (mac, vlan)), None)
        face.mac_set(bridge.handle, mac, vlan, port.ofport)
        if old is None or (old.is_static and old.ofp == port.ofport):
            return None
        kind = "static" if old.is_static else "dynamic"
        return f"Overriding already existing {kind} entry on {old.ofp}"

    def fdb_del(self, args: list[str]) -> None:
        bridge = self.bridge(args[0])
        try:
            face.mac_del(bridge.handle, self._mac(args[2]), self._vlan(args[1]))
        except face.DatapathError:
            raise CommandError("could not find static mac entry") from None

    def fdb_flush(self, args: list[str]) -> str:
        bridges = [self.bridge(args[0])] if args else list(self.switch.bridges.values())
        for bridge in bridges:
            face.macs_flush(bridge.handle)
        return "table successfully flushed"

    def fdb_stats_show(self, args: list[str]) -> str:
        bridge = self.bridge(args[0])
        stats = face.mac_stats(bridge.handle)
        size = bridge.desired.mac_table_size
        return (f'Statistics for bridge "{bridge.name}":\n'
                f"  Current/maximum MAC entries in the table: {stats.n_current}/{size}\n"
                f"  Current static MAC entries in the table : {stats.n_static}\n"
                f"  Total number of learned MAC entries     : {stats.n_learned}\n"
                f"  Total number of expired MAC entries     : {stats.n_expired}\n"
                f"  Total number of evicted MAC entries     : {stats.n_evicted}\n"
                f"  Total number of port moved MAC entries  : {stats.n_moved}")

    def fdb_stats_clear(self, args: list[str]) -> str:
        bridges = [self.bridge(args[0])] if args else list(self.switch.bridges.values())
        for bridge in bridges:
            face.mac_stats(bridge.handle, clear=True)
        return "statistics successfully cleared"

    # -- netdev-dummy/*

    def dummy_receive(self, args: list[str]) -> None:
        name, *rest = args
        self.dummy(name, "no such dummy netdev")
        queue, frames, index = 0, [], 0
        datapath, number = next((datapath, number) for datapath in self.switch.datapaths.values()
                                for number, netdev in datapath.ports.items() if netdev.name == name)
        if rest[:1] == ["--qid"]:
            if len(rest) < 2 or not rest[1].isdigit():
                raise CommandError("Invalid qid")
            queue, index = int(rest[1]), 2
        while index < len(rest):
            word = rest[index]
            index += 1
            length = 0
            if rest[index:index + 1] == ["--len"]:
                if index + 1 >= len(rest) or not rest[index + 1].isdigit():
                    raise CommandError("Invalid packet length")
                length, index = int(rest[index + 1]), index + 2
            frames.append(self._frame(word, datapath, length))
        for frame in frames:
            face.port_receive(datapath.handle, number, queue, frame)
        self.settle()

    @staticmethod
    def _frame(word: str, datapath, length: int) -> bytes:
        try:
            frame = bytes.fromhex(word)
            if len(frame) >= 14:
                return frame
        except ValueError:
            pass
        try:
            key, _ = text.parse_flow(word, datapath.port_numbers())
        except text.TextError as error:
            raise CommandError(str(error)) from None
        if key.get("eth_type") == 0x86dd and not key.get("nw_frag", 0) & FRAG_LATER:
            key.pop("nw_frag", None)    # as in the reference: no extension header
        flow = text.pack(key)
        frame = face.frame_compose(flow, 0)
        if length > len(frame) and _has_payload(key):
            frame = face.frame_compose(flow, length - len(frame), counts=False)
        elif not length and _has_payload(key):
            frame = face.frame_compose(flow, _PAYLOAD)
        return frame.ljust(length, b"\0")

    def dummy_set_admin_state(self, args: list[str]) -> str:
        if args[-1] not in ("up", "down"):
            raise CommandError("Invalid Admin State")
        netdevs = [self.dummy(args[0])] if len(args) > 1 else self.switch.dummies()
        for netdev in netdevs:
            netdev.set_up(args[-1] == "up")
        self.follow_devices()
        return "OK"

    def dummy_conn_state(self, args: list[str]) -> str | None:
        if args:
            netdev = self.switch.netdev(args[0])
            state = netdev.connection_state() if isinstance(netdev, Dummy) else "unknown"
            return f"{args[0]}: {state}"
        states = ((netdev.name, netdev.connection_state()) for netdev in self.switch.dummies())
        return "\n".join(f"{name}: {state}" for name, state in states if state != "unknown")

    def dummy_ip4addr(self, args: list[str]) -> str:
        return self._add_address(args, IPv4Interface, "IP address", "IPv4", 32)

    def dummy_ip6addr(self, args: list[str]) -> str:
        return self._add_address(args, IPv6Interface, "IPv6 address", "IPv6", 128)

    def _add_address(self, args: list[str], parse: Callable, kind: str, version: str,
                     n_bits: int) -> str:
        netdev, text = self.dummy(args[0]), args[1]
        prefix = text.partition("/")[2]
        if prefix.isdecimal() and int(prefix) > n_bits:
            raise CommandError(f"{text}: {version} network prefix bits not between 0 and {n_bits}, "
                               f"inclusive")
        try:
            netdev.addresses.append(str(parse(text)))
        except ValueError:
            raise CommandError(f"{text}: invalid {kind}") from None
        return "OK"

    def follow_devices(self) -> None:
        """Passes changed device states on to datapath and bridges."""
        for datapath in self.switch.datapaths.values():
            for number in datapath.ports:
                datapath.update(number)
        for bridge in self.switch.bridges.values():
            bridge.is_published = False
        self.switch.publish()
        self.agent.ports_changed()
        self.agent.report()

    # -- revalidator/*, upcall/*

    def _each_datapath(self, function: Callable[[int], None]) -> None:
        for datapath in self.switch.datapaths.values():
            function(datapath.handle)

    def revalidator_wait(self, args: list[str]) -> None:
        self.settle()
        self._each_datapath(face.flows_revalidate)
        self.settle()

    def revalidator_purge(self, args: list[str]) -> None:
        self.settle()
        self._each_datapath(face.flows_flush)
        self.settle()

    def revalidator_pause(self, args: list[str]) -> None:
        self._each_datapath(lambda handle: face.flows_pause(handle, True))

    def revalidator_resume(self, args: list[str]) -> None:
        self._each_datapath(lambda handle: face.flows_pause(handle, False))

    def megaflows(self, is_enabled: bool) -> str:
        self.switch.use_megaflows(is_enabled)
        self._each_datapath(face.flows_flush)
        return f"megaflows {'enabled' if is_enabled else 'disabled'}"

    def upcall_show(self, args: list[str]) -> str:
        lines = []
        for _, datapath in sorted(self.switch.datapaths.items()):
            stats = face.datapath_stats(datapath.handle)
            # The reference begins with 10000 and lets the limit grow as flows come.
            limit = min(self.switch.settings.flow_limit, max(10000, stats.n_flows))
            lines.append(f"{datapath.title}:\n"
                         f"  flows         : (current {stats.n_flows}) (avg {stats.n_flows}) "
                         f"(max {stats.n_flows}) (limit {limit})\n"
                         f"  dump duration : 1ms\n  ufid enabled : true\n\n"
                         f"  0: (keys {stats.n_flows})")
        return "\n".join(lines)

    def set_flow_limit(self, args: list[str]) -> str:
        digits = re.match(r"\s*\d+", args[0])        # as atoi() reads it
        limit = int(digits[0]) & 0xffffffff if digits else 0
        self.switch.set_flow_limit(limit)
        return f"set flow_limit to {limit}"

    # -- bridge/*

    def bridge_dump_flows(self, args: list[str]) -> str:
        bridge = self.bridge(args[-1], "Unknown bridge")
        self.settle()
        return self.agent.dump_all_flows(bridge, "--offload-stats" in args[:-1])

    def bridge_reconnect(self, args: list[str]) -> None:
        bridges = ([self.bridge(args[0], "Unknown bridge")] if args
                   else list(self.switch.bridges.values()))
        for bridge in bridges:
            self.agent.reconnect(bridge.name)

    # -- others

    def memory_report(self) -> dict[str, int]:
        """Rows of memory/show that this daemon adds to the database client's."""
        stats = face.memory_stats()
        ports = sum(len(bridge.ports) for bridge in self.switch.bridges.values())
        n_datapaths = len(self.switch.datapaths)
        counts = {"handlers": max(1, self.switch.n_workers) * n_datapaths, "ports": ports,
                  "revalidators": n_datapaths,
                  "rules": stats.n_rules + tables.N_HIDDEN * len(self.switch.bridges),
                  "ofconns": self.agent.n_connections, "udpif keys": stats.n_megaflows}
        return {name: count for name, count in counts.items() if count}

    def route_show(self, args: list[str]) -> str:
        return "Route Table:"

    def qos_show_types(self, args: list[str]) -> str:
        if self.switch.netdev(args[0]) is None:
            raise CommandError("no such interface")
        return f"No QoS types supported for interface: {args[0]}"

    def rows(self) -> tuple[Command, ...]:
        """The table."""
        return (
            Command("bridge/dump-flows", "[--offload-stats] bridge", 1, 2, self.bridge_dump_flows),
            Command("bridge/reconnect", "[bridge]", 0, 1, self.bridge_reconnect),
            Command("dpif/dump-dps", "", 0, 0, self.dump_dps),
            Command("dpif/dump-flows", "[-m] [--names | --no-names] bridge", 1, None,
                    self.dpif_dump_flows),
            Command("dpif/set-dp-features", "bridge", 1, 3, self.set_dp_features),
            Command("dpif/show", "", 0, 0, self.dpif_show),
            Command("dpif/show-dp-features", "bridge", 1, 1, self.show_dp_features),
            Command("fdb/add", "bridge port vlan mac", 4, 4, self.fdb_add),
            Command("fdb/del", "bridge vlan mac", 3, 3, self.fdb_del),
            Command("fdb/flush", "[bridge]", 0, 1, self.fdb_flush),
            Command("fdb/show", "bridge", 1, 1, self.fdb_show),
            Command("fdb/stats-clear", "[bridge]", 0, 1, self.fdb_stats_clear),
            Command("fdb/stats-show", "bridge", 1, 1, self.fdb_stats_show),
            Command("ofproto/list", "", 0, 0, self.ofproto_list),
            Command("ovs/route/show", "", 0, 0, self.route_show),
            Command("qos/show-types", "interface", 1, 1, self.qos_show_types),
            Command("revalidator/pause", None, 0, 0, self.revalidator_pause),
            Command("revalidator/purge", "", 0, 0, self.revalidator_purge),
            Command("revalidator/resume", None, 0, 0, self.revalidator_resume),
            Command("revalidator/wait", "", 0, 0, self.revalidator_wait),
            Command("upcall/disable-megaflows", "", 0, 0, lambda args: self.megaflows(False)),
            Command("upcall/disable-ufid", "", 0, 0, lambda args: "Datapath dumping tersely using "
                    "UFID disabled"),
            Command("upcall/enable-megaflows", "", 0, 0, lambda args: self.megaflows(True)),
            Command("upcall/enable-ufid", "", 0, 0, lambda args: "Datapath dumping tersely using "
                    "UFID enabled for supported datapaths"),
            Command("upcall/set-flow-limit", "flow-limit-number", 1, 1, self.set_flow_limit),
            Command("upcall/show", "", 0, 0, self.upcall_show),
        )

    def dummy_rows(self) -> tuple[Command, ...]:
        """The rows that only --enable-dummy brings."""
        return (
            Command("dpif-dummy/change-port-number", "dp port new-number", 3, 3,
                    self.change_port_number),
            Command("netdev-dummy/conn-state", "[netdev]", 0, 1, self.dummy_conn_state),
            Command("netdev-dummy/ip4addr", "[netdev] ipaddr/mask-prefix-len", 2, 2,
                    self.dummy_ip4addr),
            Command("netdev-dummy/ip6addr", "[netdev] ip6addr", 2, 2, self.dummy_ip6addr),
            Command("netdev-dummy/receive", "name [--qid queue_id] packet|flow [--len packet_len]",
                    2, None, self.dummy_receive),
            Command("netdev-dummy/set-admin-state", "[netdev] up|down", 1, 2,
                    self.dummy_set_admin_state),
        )


