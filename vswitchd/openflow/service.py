"""The OpenFlow service of one bridge: a request in, replies out.

`handle` looks at one decoded message and returns the values to send back; it never sends and never
waits. What a connection hears without asking (packet-ins, port status, removed flows) is made here
too and sent by the agent. Control task only.

Source: OpenFlow 1.0 to 1.5; the Nicira extensions as in ovs-ofctl(8).
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from datapath import face, text
from ovsdb_server import vlog
from schema.flow.seam import SEAM
from schema.openflow.limits import (
    BUFFER_NONE, MISS_SEND_LEN_DEFAULT, PORT_NONE, QUEUE_ALL, TABLE_ALL,
)
from vswitchd.config.desired import LOCAL
from vswitchd.openflow import (bundles, continuations, groups, messages, meters, options, packed,
                               source, tables)
from vswitchd.openflow.action_types import Actions, Group, Meter, Output, SetQueue
from vswitchd.openflow.actions import encode_actions
from vswitchd.openflow.compile import compile_actions, number_actions
from vswitchd.openflow.consistency import check
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.features import N_TABLES, encode_stats, encoded_reply
from vswitchd.openflow.fields import PROTOCOLS_OF_VERSION
from vswitchd.openflow.framing import identify, name_raw
from vswitchd.openflow.hash_order import HashOrder
from vswitchd.openflow.match import Match
from vswitchd.openflow.messages import (Message, bundle, flow, group, meter, monitor, packet,
                                        port, queue, session, table, table_config)
from vswitchd.openflow.messages import switch as description
from vswitchd.openflow.quick import serve as quick
from vswitchd.openflow.quick.codec import Codec
from vswitchd.openflow.session import OF10, OF11, OF13, OF15, Session, told_reason
from vswitchd.openflow.table_settings import TableSettings
from vswitchd.openflow.text import parse_match
from vswitchd.switch.bridge import Bridge, BridgePort

_CAPABILITIES_10 = frozenset(("FLOW_STATS", "TABLE_STATS", "PORT_STATS", "QUEUE_STATS",
                              "ARP_MATCH_IP"))
_CAPABILITIES = frozenset(("FLOW_STATS", "TABLE_STATS", "PORT_STATS", "QUEUE_STATS",
                           "GROUP_STATS"))
_ACTIONS_10 = frozenset(("output", "enqueue", "set_vlan_vid", "set_vlan_pcp", "strip_vlan",
                         "mod_dl_src", "mod_dl_dst", "mod_nw_src", "mod_nw_dst", "mod_nw_tos",
                         "mod_tp_src", "mod_tp_dst"))
PC_PORT_DOWN = 1
_CONFIG_10 = 0x7f               # OFPPC_* that can be set in OpenFlow 1.0
_CONFIG_11 = 0x65
PS_LINK_DOWN, PS_LIVE = 1, 4
ADDED, DELETED, MODIFIED = 0, 1, 2
NORMAL = 0xfffa
_PORT_MODS = ("OFPT_PORT_MOD",)
_PACKET_OUTS = ("OFPT_PACKET_OUT",)
_GROUP_MODS = ("OFPT_GROUP_MOD", "NXT_GROUP_MOD")
_MAY_BE_ONE = (4, 13, 15, 16)   # message types of these in some version: a quick first look
_MAX_FEATURES = 1 << 22         # most bytes of a table features request in parts
_RFC2819 = 21                   # counters of frame sizes and the like, none of which is known
PRIMARY_REQUEST = 0             # why a role changed
# What actions of a packet-out ask of their packet.
_SHAPE = ("packet_type", "eth_type", "vlan_tci", "nw_proto", "ip_frag", "tcp_src", "tcp_dst")

_log = vlog.module("ofproto")
_RATE = vlog.RateLimit(1, 5)


def _shown(row: port.Port, version: int) -> port.Port:
    """A port as far as a version shows it."""
    if version == OF10:
        return row.replace(state=row.state & ~PS_LIVE)
    return row.replace(config=row.config & _CONFIG_11)


class PortChange(NamedTuple):
    """A PORT_STATUS, how the port was before, and who asked for the change."""

    value: port.PortStatus
    old: port.Port | None = None
    source: Session | None = None

    def is_for(self, conn: Session) -> bool:
        """Whether a connection is to be told. Who asked for a change is not before OpenFlow 1.5,
        and nobody is of what his version does not show."""
        return (conn.wants("port_status", self.value.reason)
                and not (conn is self.source and conn.version < OF15)
                and (self.old is None
                     or _shown(self.old, conn.version) != _shown(self.value.port, conn.version)))


class Encoded(NamedTuple):
    """A reply that is encoded already, or when it is sent: its parts, with transaction id 0."""

    parts: Iterable[bytes]

    def with_xid(self, xid: int) -> Iterator[bytes]:
        """The parts as an answer to the request `xid`."""
        for part in self.parts:
            yield part[:4] + xid.to_bytes(4, "big") + part[8:]


def _device_errors(row: BridgePort) -> dict[str, int]:
    """What a port's device counts, by the names of PortStats."""
    counts = row.netdev.counters()
    names = {"collisions": "collisions", "rx_crc_err": "rx_crc_errors",
             "rx_frame_err": "rx_frame_errors", "rx_over_err": "rx_over_errors"}
    return {names[name]: count for name, count in counts.items() if name in names}


def _port_order(numbers: Collection[int]) -> HashOrder:
    """Port numbers, in the order in which they came, in that in which statistics are told."""
    return HashOrder(numbers, 4)


def _is_one_of(message: bytes, kinds: tuple[str, ...]) -> bool:
    """Whether a message is of one of these kinds of group_mods and port_mods."""
    return message[1] in _MAY_BE_ONE and name_raw(identify(message)[0]) in kinds


class Service:
    """OpenFlow of one bridge. `settle` finishes what packets have started, so that counters are up
    to date; `datapath_of` tells the library's datapath of any bridge's handle, 0 for none."""

    def __init__(self, bridge: Bridge, settle, codec: Codec, datapath_of=lambda bridge: 0):
        self.bridge = bridge
        self.codec = codec
        self.compiled: face.RuleChange | None = None    # of the last flow_mod
        self.datapath_of = datapath_of
        self.settle = settle
        self.meters = meters.Meters(bridge.datapath, bridge.handle)
        self.options = options.TlvMap()
        self.told: dict[int, port.Port] = {}    # ports as the controllers know them
        self.asked: list[PortChange] = []       # what port_mods asked for: not told yet
        self.sessions: list[Session] = []       # of all connections
        self.generation_id: int | None = None   # of the last role request that had one
        self.fragments = 0
        self.is_watched = False
        self.forwards: list = []        # group and meter changes that others may want to hear of
        self.tables = TableSettings(bridge.name, bridge.handle)
        self.hidden: frozenset[tuple[int, str]] = frozenset()   # rules of in-band control
        self.hidden_queue: int | None = None
        self.is_fail_open = False
        self.n_hidden = 0               # rules of ours above those of controllers
        self.created_ms = face.now()

    @property
    def dp(self) -> int:
        return self.bridge.datapath.handle

    # -- ports

    def describe(self, name: str, bridge_port: BridgePort) -> port.Port:
        """A port in OpenFlow's terms."""
        state = bridge_port.netdev.state()
        speed = (state.speed or 0) // 1000
        current = {10_000: 2, 100_000: 8, 1_000_000: 32, 10_000_000: 64}.get(speed, 0)
        current |= {"copper": 0x800, "fiber": 0x1000}.get(state.media, 0)
        is_down = not state.is_up
        config = bridge_port.config | (PC_PORT_DOWN if is_down else 0)
        is_live = state.has_carrier and not config & PC_PORT_DOWN
        return port.Port(bridge_port.ofport, bytes.fromhex(state.mac.replace(":", "")), name,
                         config, (0 if state.has_carrier else PS_LINK_DOWN)
                         | (PS_LIVE if is_live else 0),
                         current=current, current_speed=speed if current else 0)

    def ports(self) -> dict[int, port.Port]:
        """All ports by number, LOCAL last."""
        found = {row.ofport: self.describe(name, row) for name, row in self.bridge.ports.items()}
        return dict(sorted(found.items()))

    def port_changes(self) -> Iterator[PortChange]:
        """What changed since the controllers were last told. As in the reference, what a port_mod
        asked for comes before what it led to; a new port is live only in a second message, and one
        whose link goes down is not live in a message before."""
        for asked in self.asked:
            yield asked
        self.asked.clear()
        now = self.ports()
        before, self.told = self.told, now
        for number, old in before.items():
            if number not in now or now[number].name != old.name:
                yield PortChange(port.PortStatus(DELETED, old))
        for number, new in now.items():
            old = before.get(number)
            if old is None or old.name != new.name:
                old = new.replace(state=new.state & ~PS_LIVE)
                yield PortChange(port.PortStatus(ADDED, old))
            elif new.state & PS_LINK_DOWN and old.state & PS_LIVE:
                before_last, old = old, old.replace(state=old.state & ~PS_LIVE)
                yield PortChange(port.PortStatus(MODIFIED, old), before_last)
            if old != new:
                yield PortChange(port.PortStatus(MODIFIED, new), old)

    # -- requests

    def handle(self, conn: Session, message: Message) -> list:
        """The replies to a message. Raises OpenFlowError for one that gets an error instead."""
        value = message.value
        handler = _HANDLERS.get(type(value))
        if handler is None:
            raise OpenFlowError("OFPBRC_BAD_TYPE")
        return list(handler(self, conn, value))

    @staticmethod
    def check_kind(conn: Session, kind: str) -> None:
        """Refuses messages by their kind, before they are decoded. Raises OpenFlowError."""
        if kind in _UNASKED or kind.endswith("_REPLY") and kind != "OFPT_ECHO_REPLY":
            raise OpenFlowError("OFPBRC_BAD_TYPE")
        if conn.role == "secondary" and kind in _WRITES:
            raise OpenFlowError("OFPBRC_IS_SECONDARY" if conn.version > OF10 else "OFPBRC_EPERM")

    def echo(self, conn: Session, value: session.EchoRequest):
        yield session.EchoReply(value.data)

    def nothing(self, conn: Session, value):
        return ()

    def features(self, conn: Session, value: session.FeaturesRequest):
        ports = tuple(self.ports().values()) if conn.version < OF13 else ()
        capabilities = (_CAPABILITIES_10 if conn.version == OF10 else
                        _CAPABILITIES | {"ARP_MATCH_IP"} if conn.version == OF11 else
                        _CAPABILITIES | {"BUNDLES"} if conn.version > OF13 else _CAPABILITIES)
        yield session.FeaturesReply(self.bridge.datapath_id, 0, N_TABLES, 0, capabilities,
                                    _ACTIONS_10 if conn.version == OF10 else frozenset(), ports)

    def get_config(self, conn: Session, value: session.GetConfigRequest):
        yield session.GetConfigReply(self.fragments, conn.miss_send_len, conn.wants_invalid_ttl)

    def set_config(self, conn: Session, value: session.SetConfig):
        conn.miss_send_len = value.miss_send_len
        self.follow_misses()
        if conn.role != "secondary" or conn.is_service:
            self.set_fragments(value.fragments)
        if value.invalid_ttl is not None:
            conn.wants_invalid_ttl = value.invalid_ttl
        return ()

    def set_fragments(self, mode: int) -> None:
        """Has IP fragments handled in another way, if there is one."""
        name = session.FRAGMENTS[mode]
        if name == "reassemble":
            _log.warn(f"{self.bridge.name}: unsupported fragment handling mode {name}", _RATE)
        elif mode != self.fragments:
            self.fragments = mode
            self.bridge.set_fragments(name)

    def barrier(self, conn: Session, value: session.BarrierRequest):
        yield session.BarrierReply()

    def role(self, conn: Session, value: session.RoleRequest):
        if value.role != "nochange":
            if value.generation_id is not None and value.role in ("primary", "secondary"):
                last = self.generation_id
                if last is not None and (value.generation_id - last) & (1 << 63):
                    raise OpenFlowError("OFPRRFC_STALE")
                self.generation_id = value.generation_id
            if value.role == "primary":
                for other in self.sessions:
                    if other is not conn and other.role == "primary":
                        other.role = "secondary"
                        other.is_demoted = True
            conn.role = value.role
        yield session.RoleReply(conn.role, self.told_generation, value.nicira)

    @property
    def told_generation(self) -> int:
        """The generation id as role replies tell it."""
        return (1 << 64) - 1 if self.generation_id is None else self.generation_id

    def role_status(self, conn: Session) -> session.RoleStatus | None:
        """What a controller hears that another one has made secondary, None for nothing."""
        if not conn.is_demoted:
            return None
        conn.is_demoted = False
        if conn.version < OF13:
            return None
        return session.RoleStatus(conn.role, PRIMARY_REQUEST, self.told_generation)

    def get_async(self, conn: Session, value: session.GetAsyncRequest):
        def told(masks: dict[str, int]) -> dict[str, int]:
            return masks if conn.version > OF13 else masks | {"packet_in": masks["packet_in"] & 7}

        yield session.AsyncConfig(told(conn.primary), told(conn.secondary), "reply")

    def set_async(self, conn: Session, value: session.AsyncConfig):
        conn.primary.update(value.primary)
        conn.secondary.update(value.secondary)
        if not conn.miss_send_len:
            conn.miss_send_len = MISS_SEND_LEN_DEFAULT      # Who says so wants messages.
        return ()

    def set_flow_format(self, conn: Session, value: session.SetFlowFormat):
        conn.flow_format = "nxm" if value.format else "of"
        return ()

    def set_table_id(self, conn: Session, value: session.FlowModTableId):
        conn.table_in_command = value.enable
        return ()

    def set_packet_in_format(self, conn: Session, value: session.SetPacketInFormat):
        conn.packet_in_format = value.format
        return ()

    def set_controller_id(self, conn: Session, value: session.SetControllerId):
        conn.controller_id = value.controller_id
        self.follow_misses()
        return ()

    # -- flows

    @property
    def needs_care(self) -> bool:
        """Whether somebody hears of each single change of flows."""
        return self.is_watched or self.tables.has_vacancy

    def flow_mod(self, conn: Session, value: flow.FlowMod):
        self.settle()
        self.compiled = tables.change_of(self.bridge.handle, value)
        if value.buffer_id != BUFFER_NONE and not value.command.startswith("delete"):
            raise OpenFlowError("OFPBRC_BUFFER_UNKNOWN")
        tables.apply(self.dp, [self.compiled])
        return ()

    def flow_stats(self, conn: Session, value: flow.FlowStatsRequest):
        self.settle()
        if quick.can_dump(value, conn.version):
            yield Encoded(quick.dump(self.codec, self.bridge.handle, value, conn.version))
            return
        rules = tables.select(self.bridge.handle, value)
        now = face.now()
        hidden = (tables.select_hidden(self.hidden_stats(now), value)
                  if value.table == tables.HIDDEN_TABLE else [])
        if not value.aggregate:
            yield flow.FlowStatsReply((*(tables.stats_of(rule, now) for rule in rules), *hidden),
                                      value.form)
            return
        packets, octets = (sum(row.packets for row in hidden), sum(row.bytes for row in hidden))
        count = len(hidden)
        for rule in rules:
            packets, octets, count = packets + rule.n_packets, octets + rule.n_bytes, count + 1
        yield flow.AggregateStatsReply(packets, octets, count, value.form)

    def hidden_stats(self, now_ms: int) -> list[flow.FlowStats]:
        """The rules of the hidden table, which the reference has."""
        return tables.hidden_stats(self.bridge.handle, self.created_ms, now_ms)

    def table_stats(self, conn: Session, value):
        self.settle()
        counters = face.table_counters(self.bridge.handle, N_TABLES)
        n_active, *others = counters[0]
        counters[0] = (n_active - self.n_hidden, *others)
        encoded = encode_stats(conn.version, counters) if self.tables.is_plain() else None
        if encoded is not None:
            yield Encoded((encoded,))
            return
        yield table.TableStatsReply(tuple(
            table.TableStats(number, *stats, self.tables.features(number, conn.version, True)
                             if conn.version < OF13 else None)
            for number, stats in enumerate(counters)))

    def table_features(self, conn: Session, value: table.TableFeaturesRequest):
        conn.features += value.body
        if len(conn.features) > _MAX_FEATURES:
            conn.features.clear()
            raise OpenFlowError("OFPBRC_MULTIPART_BUFFER_OVERFLOW")
        if value.has_more:
            return
        if conn.features:
            wanted = bytes(conn.features)
            conn.features.clear()
            self.tables.accept(table.iterate_table_features(wanted, conn.version, loose=False),
                               conn.version)
        if self.tables.is_plain():
            yield Encoded(encoded_reply(conn.version))
        else:
            yield table.TableFeaturesReply(tuple(self.tables.features(number, conn.version)
                                                 for number in range(N_TABLES)))

    def table_desc(self, conn: Session, value: table_config.TableDescRequest):
        stats = face.tables_stats(self.bridge.handle, N_TABLES)
        yield table_config.TableDescReply(tuple(self.tables.describe(number, stats)
                                         for number in range(N_TABLES)))

    def table_mod(self, conn: Session, value: table_config.TableMod):
        self.tables.change(value)
        return ()

    def table_changes(self) -> Iterator[table_config.TableStatus]:
        """Which tables have become full, or have room again."""
        for reason, desc in self.tables.vacancy_events():
            yield table_config.TableStatus(reason, desc)

    # -- bundles

    def bundle_control(self, conn: Session, value: bundle.BundleControl):
        def commit(added: list[bytes]) -> None:
            self.settle()
            made: set[int] = set()
            for message in added:
                if _is_one_of(message, _PORT_MODS):
                    self.check_bundled(conn, message, value.flags)
                elif _is_one_of(message, _GROUP_MODS):
                    made.add(messages.decode(message).value.group)
                elif _is_one_of(message, _PACKET_OUTS):
                    try:
                        self.check_packet(conn.version, messages.decode(message).value, made)
                    except OpenFlowError as error:
                        raise bundles.BundleFailed(message, error) from None
            done = groups.as_done(self.bridge.handle, (
                messages.decode(message).value for message in added
                if _is_one_of(message, _GROUP_MODS)))
            packets: list[face.Injection] = []

            def send(version: int, value: packet.PacketOut) -> None:
                if not packets:
                    face.forget_traces()
                packets.append(self.translate_packet(conn, value, version))

            for message in quick.commit(self.codec, self.dp, self.bridge.handle, added, send):
                self.handle(conn, message)
            if packets:
                face.packets_inject(packets)
                self.settle()
            self.forwards += done

        yield bundles.control(conn.bundles, value, commit)

    def check_bundled(self, conn: Session, message: bytes, flags: int) -> None:
        """Whether a port_mod can be part of a bundle: of an atomic one, since it cannot be undone,
        never. Raises BundleFailed."""
        try:
            if flags & bundles.ATOMIC:
                raise OpenFlowError("OFPBFC_MSG_FAILED")
            self.port_to_change(messages.decode(message).value)
        except OpenFlowError as error:
            raise bundles.BundleFailed(message, error) from None

    def bundle_add(self, conn: Session, value: bundle.BundleAdd):
        added = bundles.read(value)
        if isinstance(added, packet.PacketOut):
            self.fit_actions(conn.version, added)
        bundles.add(conn.bundles, value)
        return ()

    # -- groups

    def group_mod(self, conn: Session, value: group.GroupMod):
        self.settle()
        done = groups.as_done(self.bridge.handle, (value,))
        groups.apply(self.dp, self.bridge.handle, value)
        self.forwards += done
        return ()

    def group_desc(self, conn: Session, value: group.GroupDescRequest):
        yield group.GroupDescReply(groups.descriptions(self.bridge.handle, value.group))

    def group_stats(self, conn: Session, value: group.GroupStatsRequest):
        self.settle()
        yield group.GroupStatsReply(groups.statistics(self.bridge.handle, value.group, face.now()))

    def group_features(self, conn: Session, value: group.GroupFeaturesRequest):
        yield groups.features(conn.version)

    # -- ports and queues

    def port_stats(self, conn: Session, value: port.PortStatsRequest):
        self.settle()
        rows = {row.ofport: row for row in self.bridge.ports.values()
                if value.port in (PORT_NONE, row.ofport)}
        yield port.PortStatsReply(tuple(self.describe_counts(rows[number])
                                        for number in _port_order(rows)))

    def describe_counts(self, row: BridgePort) -> port.PortStats:
        """The statistics of a port."""
        counts = self.bridge.statistics(row)
        return port.PortStats(row.ofport, **counts, **_device_errors(row),
                              duration=row.duration(), rfc2819=(None,) * _RFC2819,
                              custom=tuple(row.netdev.made_up(counts).items()))

    def port_desc(self, conn: Session, value: port.PortDescRequest):
        yield port.PortDescReply(tuple(row for number, row in self.ports().items()
                                       if value.port in (PORT_NONE, number)))

    def port_mod(self, conn: Session, value: port.PortMod):
        row = self.port_to_change(value)
        before = self.told.get(row.ofport)
        mask = value.mask & (_CONFIG_10 if conn.version == OF10 else _CONFIG_11)
        config = row.config & ~mask | value.config & mask
        is_down = not row.netdev.state().is_up
        if mask & PC_PORT_DOWN and bool(config & PC_PORT_DOWN) != is_down:
            row.netdev.set_up(not config & PC_PORT_DOWN)
            if row.number is not None:
                self.bridge.datapath.update(row.number)
        if before and before.config != config:
            # Others hear of the configuration first, and then of what came of it.
            is_live = before.state & PS_LIVE and not config & PC_PORT_DOWN
            asked = before.replace(config=config,
                                   state=before.state & ~PS_LIVE | PS_LIVE * bool(is_live))
            self.asked.append(PortChange(port.PortStatus(MODIFIED, asked), before, conn))
            self.told[row.ofport] = asked
        row.config = config & ~PC_PORT_DOWN
        self.bridge.is_published = False
        return ()

    def port_to_change(self, value: port.PortMod) -> BridgePort:
        """The port of a port_mod. Raises OpenFlowError."""
        found = self.bridge.port_of(value.number)
        if found is None:
            raise OpenFlowError("OFPPMFC_BAD_PORT")
        name, row = found
        if value.mac != self.describe(name, row).mac:
            raise OpenFlowError("OFPPMFC_BAD_HW_ADDR")
        return row

    def queue_stats(self, conn: Session, value: queue.QueueStatsRequest):
        rows = self.queues(value)
        if not rows and value.queue != QUEUE_ALL:
            raise OpenFlowError("OFPQOFC_BAD_QUEUE")
        yield queue.QueueStatsReply(tuple(queue.QueueStats(*row) for row in rows))

    def queue_config(self, conn: Session, value: queue.QueueConfigRequest):
        rows = self.queues(value)
        if conn.version > OF13:
            if not rows and value.queue != QUEUE_ALL:
                raise OpenFlowError("OFPQOFC_BAD_QUEUE")
            rows.sort(key=lambda row: row[0] == LOCAL)
        yield queue.QueueConfigReply(value.port, tuple(queue.QueueConfig(*row) for row in rows))

    def queues(self, wanted) -> list[tuple[int, int]]:
        """(port, queue) of the queues that a request asks for. A dummy device has queue 0; other
        devices have none unless QoS is configured."""
        found = {row.ofport: row.netdev.kind for row in self.bridge.ports.values()}
        if wanted.port not in (PORT_NONE, *found):
            raise OpenFlowError("OFPQOFC_BAD_PORT")
        return [(number, 0) for number in _port_order(found)
                if wanted.port in (PORT_NONE, number) and wanted.queue in (QUEUE_ALL, 0)
                and found[number].startswith("dummy")]

    # -- meters

    def meter_features(self, conn: Session, value: meter.MeterFeaturesRequest):
        yield meters.FEATURES

    def meter_stats(self, conn: Session, value: meter.MeterStatsRequest):
        self.settle()
        yield meter.MeterStatsReply(self.meters.statistics(value.meter))

    def meter_config(self, conn: Session, value: meter.MeterConfigRequest):
        yield meter.MeterConfigReply(self.meters.configuration(value.meter))

    def meter_mod(self, conn: Session, value: meter.MeterMod):
        self.settle()
        self.meters.apply(value)
        self.forwards.append(value)
        return ()

    def desc(self, conn: Session, value: description.DescRequest):
        desired = self.bridge.desired
        yield description.DescReply("Nicira, Inc.", "Open vSwitch", "4.0.90",
                                    desired.dp_sn or "None", desired.dp_desc or "None")

    # -- tunnel options, connections, exporters: nothing there to be told or changed

    def tlv_table(self, conn: Session, value: description.TlvTableRequest):
        yield description.TlvTableReply(options.SPACE, options.MAX_FIELDS, self.options.told())

    def tlv_table_mod(self, conn: Session, value: description.TlvTableMod):
        command = description.TLV_COMMANDS[value.command]
        if command == "ADD":
            self.options.add(value.maps)
            return ()
        numbers = set(self.options.rows) if command == "CLEAR" else {row[3] for row in value.maps}
        used = tables.used_options(self.bridge.handle) if numbers & set(self.options.rows) else ()
        if numbers.intersection(used):
            raise OpenFlowError("NXTTMFC_INVALID_TLV_DEL")
        self.options.remove(numbers)
        return ()

    def ipfix(self, conn: Session, value):
        raise OpenFlowError("NXST_NOT_CONFIGURED")

    # -- flow monitors

    def flow_monitor(self, conn: Session, value: monitor.FlowMonitorRequests):
        self.settle()
        updates = conn.watcher.change(self.bridge.handle, value.monitors)
        self.follow_watchers()
        yield monitor.FlowMonitorReply(tuple(updates))

    def cancel_monitor(self, conn: Session, value: monitor.FlowMonitorCancel):
        conn.watcher.cancel(value.monitor)
        self.follow_watchers()
        return ()

    def follow_watchers(self) -> None:
        """Has the library tell of changes of rules while a connection monitors them."""
        is_watched = any(conn.watcher.monitors for conn in self.sessions)
        if is_watched != self.is_watched:
            self.is_watched = is_watched
            face.rules_watch(self.bridge.handle, is_watched)

    # -- packets

    def packet_out(self, conn: Session, value: packet.PacketOut):
        if value.buffer_id != BUFFER_NONE:
            raise OpenFlowError("OFPBRC_BUFFER_UNKNOWN")
        in_port = value.in_port
        if in_port > 0xff00 and in_port not in (0xfffd, LOCAL, PORT_NONE):
            raise OpenFlowError("OFPBRC_BAD_PORT")
        actions, is_general = self.check_packet(conn.version, value)
        metadata, _ = packed.pack(value.metadata)
        program = compile_actions(actions)
        face.packets_inject([face.Injection(self.dp, self.bridge.handle, in_port, value.data,
                                            program, metadata)])
        if is_general and not source.options_in(source.pack(actions)):
            self.codec.learn_output(conn.version, encode_actions(value.actions, conn.version),
                                    program)
        self.settle()
        return ()

    def translate_packet(self, conn: Session, value: packet.PacketOut, version: int
                         ) -> face.Injection:
        """What a packet_out of a bundle does where the bundle has it: among the rules as they are
        staged in `version` so far."""
        actions, _ = self.fit_actions(conn.version, value)
        metadata, _ = packed.pack(value.metadata)
        flow = text.pack(text.unpack(face.frame_parse(value.data)) | text.unpack(metadata)
                         | {"in_port": value.in_port})
        translated = face.trace(self.dp, flow, self.bridge.handle, value.data, True,
                                compile_actions(actions), 1, version)
        _, port = self.bridge.port_of(value.in_port) or ("", None)
        number = port.number if port is not None and port.number is not None else 0xffffffff
        return face.Injection(self.dp, 0, number, value.data, translated.actions)

    @staticmethod
    def fit_actions(version: int, value: packet.PacketOut) -> tuple[Actions, bool]:
        """The actions of a packet_out, which must make sense for its packet, and whether they would
        for any packet. Raises OpenFlowError."""
        wanted = {"table": 0, "n_tables": tables.N_TABLES}
        try:
            actions, usable = check(value.actions, Match(), **wanted)
            is_general = bool(usable & PROTOCOLS_OF_VERSION[version])
        except OpenFlowError:
            is_general = False
        if not is_general:
            fields = packed.flow_fields(face.frame_parse(value.data))
            match = Match({name: (fields.get(name, 0), packed.exact_mask(name)) for name in _SHAPE})
            actions, _ = check(value.actions, match, version=version, **wanted)
        return actions, is_general

    def check_packet(self, version: int, value: packet.PacketOut, made: Collection[int] = ()
                     ) -> tuple[Actions, bool]:
        """As `fit_actions`, if there are the groups and meters that are named; groups `made` are
        about to be."""
        actions, is_general = self.fit_actions(version, value)
        for action in number_actions(actions):
            if isinstance(action, Group):
                is_general = False
                if action.group not in made and groups.find(self.bridge.handle,
                                                            action.group) is None:
                    raise OpenFlowError("OFPBAC_BAD_OUT_GROUP")
            elif isinstance(action, Meter):
                is_general = False
                if action.meter not in self.meters:
                    raise OpenFlowError("OFPMMFC_INVALID_METER")
        return actions, is_general

    def resume(self, conn: Session, value: packet.PacketIn):
        face.packets_inject([continuations.injection(value, conn.version, self.datapath_of)])
        self.settle()
        return ()

    def packet_in(self, conn: Session, upcall) -> packet.PacketIn | None:
        """A packet-in for one connection, None where it does not want it."""
        reason = told_reason(upcall.reason, conn.version)
        if (reason is None or not conn.wants("packet_in", reason)
                or upcall.controller_id != conn.controller_id):
            return None
        userdata, private = upcall.data, None
        if upcall.kind == SEAM["UPCALL_PAUSED"]:
            odp = upcall.odp if self.bridge.port_of(upcall.ofp) else None
            userdata, private = continuations.describe(
                upcall.data, odp, conn.version, groups.bucket_actions)
        # Nothing is buffered here, so the whole frame is sent whatever the length asked for.
        return packet.PacketIn(upcall.frame, packed.metadata(upcall.flow, upcall.ofp), reason,
                               upcall.total_len, upcall.table, upcall.cookie,
                               form=conn.packet_in_format, userdata=userdata, private=private)

    def flow_removed(self, conn: Session, rule: face.Rule, reason: int,
                     when_ms: int) -> flow.FlowRemoved | None:
        """A flow_removed for one connection, None where it does not want it."""
        if not conn.wants("flow_removed", reason):
            return None
        stats = tables.stats_of(rule, when_ms)
        return flow.FlowRemoved(stats.match, stats.priority, stats.cookie, reason, stats.table,
                                stats.duration, stats.idle_timeout, stats.hard_timeout,
                                stats.packets, stats.bytes, conn.flow_format)

    def forwarded(self, conn: Session, value) -> bundle.RequestForward | None:
        """A change of groups or meters for another connection, None where it does not want it."""
        if conn.version < OF13 or not conn.wants("requestforward", isinstance(value,
                                                                              meter.MeterMod)):
            return None
        return bundle.RequestForward(messages.encode(value, conn.version, 0))

    # -- rules of our own

    def follow_misses(self) -> None:
        """Sends packets that match no rule to controllers that speak less than OpenFlow 1.3, as
        long as there are any; since then (5.4, "Table-miss") such packets are dropped."""
        is_wanted = any(0 < conn.version < OF13 and conn.miss_send_len and not conn.controller_id
                        for conn in self.sessions)
        self.tables.follow_misses(is_wanted)

    def add_normal(self) -> None:
        """Adds the rule that makes a bridge without controllers a plain switch."""
        tables.apply(self.dp, [tables.simple_rule(self.bridge.handle, Match(),
                                                  (Output(NORMAL),))])

    def set_hidden(self, flows: frozenset[tuple[int, str]], queue: int | None) -> None:
        """Makes these, (priority, match), the rules of in-band control."""
        if (flows, queue) == (self.hidden, self.hidden_queue):
            return
        is_changed = queue != self.hidden_queue
        gone = self.hidden if is_changed else self.hidden - flows
        new = flows if is_changed else flows - self.hidden
        actions = (Output(NORMAL),) if queue is None else (SetQueue(queue), Output(NORMAL))
        tables.apply(self.dp, [
            tables.simple_rule(self.bridge.handle, parse_match(match)[0], actions, priority,
                               is_deletion=rows is gone)
            for rows in (gone, new) for priority, match in sorted(rows)])
        self.hidden, self.hidden_queue = flows, queue
        self.n_hidden = len(flows) + self.is_fail_open

    def set_fail_open(self, is_wanted: bool) -> None:
        """The same above all rules of controllers that have gone away."""
        self.is_fail_open = is_wanted
        self.n_hidden = len(self.hidden) + is_wanted
        tables.apply(self.dp, [tables.simple_rule(self.bridge.handle, Match(), (Output(NORMAL),),
                                                  tables.FAIL_OPEN_PRIORITY,
                                                  is_deletion=not is_wanted)])

    def flush(self) -> None:
        """Deletes all flows, groups and meters."""
        tables.apply(self.dp, [tables.change_of(self.bridge.handle,
                                                flow.FlowMod("delete", table=TABLE_ALL))])
        groups.apply(self.dp, self.bridge.handle, group.GroupMod("delete", group.GROUP_ALL))
        self.meters.clear()


_HANDLERS = {
    session.EchoRequest: Service.echo,
    session.EchoReply: Service.nothing,
    session.FlowAge: Service.nothing,
    session.FeaturesRequest: Service.features,
    session.GetConfigRequest: Service.get_config,
    session.SetConfig: Service.set_config,
    session.BarrierRequest: Service.barrier,
    session.RoleRequest: Service.role,
    session.GetAsyncRequest: Service.get_async,
    session.AsyncConfig: Service.set_async,
    session.SetFlowFormat: Service.set_flow_format,
    session.FlowModTableId: Service.set_table_id,
    session.SetPacketInFormat: Service.set_packet_in_format,
    session.SetControllerId: Service.set_controller_id,
    flow.FlowMod: Service.flow_mod,
    flow.FlowStatsRequest: Service.flow_stats,
    table.TableStatsRequest: Service.table_stats,
    table.TableFeaturesRequest: Service.table_features,
    table_config.TableDescRequest: Service.table_desc,
    table_config.TableMod: Service.table_mod,
    bundle.BundleControl: Service.bundle_control,
    bundle.BundleAdd: Service.bundle_add,
    group.GroupMod: Service.group_mod,
    group.GroupDescRequest: Service.group_desc,
    group.GroupStatsRequest: Service.group_stats,
    group.GroupFeaturesRequest: Service.group_features,
    port.PortStatsRequest: Service.port_stats,
    port.PortDescRequest: Service.port_desc,
    port.PortMod: Service.port_mod,
    queue.QueueStatsRequest: Service.queue_stats,
    queue.QueueConfigRequest: Service.queue_config,
    meter.MeterFeaturesRequest: Service.meter_features,
    meter.MeterStatsRequest: Service.meter_stats,
    meter.MeterConfigRequest: Service.meter_config,
    meter.MeterMod: Service.meter_mod,
    description.TlvTableRequest: Service.tlv_table,
    description.TlvTableMod: Service.tlv_table_mod,
    description.CtFlushZone: Service.nothing,
    description.CtFlush: Service.nothing,
    description.IpfixBridgeRequest: Service.ipfix,
    description.IpfixFlowRequest: Service.ipfix,
    description.DescRequest: Service.desc,
    monitor.FlowMonitorRequests: Service.flow_monitor,
    monitor.FlowMonitorCancel: Service.cancel_monitor,
    packet.PacketOut: Service.packet_out,
    packet.PacketIn: Service.resume,
}
# Messages that a secondary controller may not send.
_WRITES = frozenset((
    "OFPT_FLOW_MOD", "NXT_FLOW_MOD", "OFPT_GROUP_MOD", "NXT_GROUP_MOD", "OFPT_METER_MOD",
    "OFPT_PORT_MOD", "OFPT_TABLE_MOD", "OFPT_PACKET_OUT", "OFPT_BUNDLE_CONTROL",
    "ONFT_BUNDLE_CONTROL", "OFPT_BUNDLE_ADD_MESSAGE", "ONFT_BUNDLE_ADD_MESSAGE",
    "NXT_TLV_TABLE_MOD"))
# Messages that only a switch sends; replies are known by their names.
_UNASKED = frozenset((
    "OFPT_HELLO", "OFPT_ERROR", "OFPT_PACKET_IN", "NXT_PACKET_IN", "NXT_PACKET_IN2",
    "OFPT_FLOW_REMOVED", "NXT_FLOW_REMOVED", "OFPT_PORT_STATUS", "OFPT_TABLE_STATUS",
    "OFPT_ROLE_STATUS", "ONFT_ROLE_STATUS", "OFPT_REQUESTFORWARD", "ONFT_REQUESTFORWARD",
    "NXT_REQUESTFORWARD", "NXT_FLOW_MONITOR_PAUSED", "NXT_FLOW_MONITOR_RESUMED",
    "ONFT_FLOW_MONITOR_PAUSED", "ONFT_FLOW_MONITOR_RESUMED"))
