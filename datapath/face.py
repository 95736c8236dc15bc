"""The Python face of the switching library: one function per function of `src/api.h`.

Handles are integers; buffers are made here and copied by the library before it returns. Dumps are
generators over whole records, decoded from the buffer by struct; they may be left early. Every
function raises DatapathError(errno, sentence). Control task only unless api.h says otherwise.
"""

import errno
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from datapath.ffi import DatapathError, check, ffi, lib
from schema.flow.drops import DROPS
from schema.flow.fields import FLOW_SIZE
from schema.flow.seam import SEAM

__all__ = ["DatapathError"]

BUFFER = 1 << 18                # bytes of a dump buffer
ANY = 0xffffffff

VLAN_MODES = {"access": SEAM["VLAN_ACCESS"], "trunk": SEAM["VLAN_TRUNK"],
              "native-tagged": SEAM["VLAN_NATIVE_TAGGED"],
              "native-untagged": SEAM["VLAN_NATIVE_UNTAGGED"],
              "dot1q-tunnel": SEAM["VLAN_DOT1Q_TUNNEL"]}
BOND_MODES = {None: SEAM["BOND_NONE"], "active-backup": SEAM["BOND_ACTIVE_BACKUP"],
              "balance-slb": SEAM["BOND_BALANCE_SLB"], "balance-tcp": SEAM["BOND_BALANCE_TCP"]}
RULE_ERRORS = {SEAM["RULE_E_OVERLAP"]: "OFPFMFC_OVERLAP",
               SEAM["RULE_E_TABLE_FULL"]: "OFPFMFC_TABLE_FULL",
               SEAM["RULE_E_UNSUPPORTED"]: "OFPBAC_BAD_TYPE",
               SEAM["RULE_E_BAD_TABLE"]: "OFPBRC_BAD_TABLE_ID",
               SEAM["RULE_E_BAD_GROUP"]: "OFPBAC_BAD_OUT_GROUP",
               SEAM["RULE_E_BAD_METER"]: "OFPMMFC_INVALID_METER",
               SEAM["RULE_E_EPERM"]: "OFPFMFC_EPERM",
               SEAM["RULE_E_BAD_PROGRAM"]: "OFPBAC_BAD_ARGUMENT"}
FEATURES_ALL = (1 << 64) - 1


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _text(buffer) -> str:
    return ffi.string(buffer).decode(errors="replace")


# ---- clock and threads

def clock(is_steered: bool, now_ms: int = 0) -> None:
    """Steers the library's clock, or lets it run."""
    lib.dp_clock(is_steered, now_ms)


def now() -> int:
    """The library's time in milliseconds. Any thread."""
    return lib.dp_now()


def pump() -> int:
    """Does what waits for the control task; returns how much that was."""
    n_work = ffi.new("uint64_t *")
    check(lib.dp_pump(n_work))
    return n_work[0]


def reclaim(most: int) -> int:
    """Frees up to so many deleted objects, more where there are many; returns how many. For when
    there is nothing to do."""
    n_freed = ffi.new("uint32_t *")
    check(lib.dp_reclaim(most, n_freed))
    return n_freed[0]


def reclaim_fd() -> int:
    """A descriptor that is readable when much waits for `reclaim`."""
    return lib.dp_reclaim_fd()


def deadline() -> int:
    """When `pump` has something to do next, in milliseconds of the library's clock."""
    return lib.dp_deadline()


def workers_set(n_workers: int) -> None:
    """Starts or stops worker threads."""
    check(lib.workers_set(n_workers))


# ---- datapaths

def _datapath_config(name: str, max_idle_ms: int, flow_limit: int, vlan_limit: int, features: int,
                     flags: int):
    return ffi.new("struct datapath_config *", {
        "name": name.encode(), "features": features, "max_idle_ms": max_idle_ms,
        "flow_limit": flow_limit, "vlan_limit": vlan_limit, "flags": flags})


def datapath_open(name: str, max_idle_ms: int = 10_000, flow_limit: int = 200_000,
                  vlan_limit: int = 1, features: int = FEATURES_ALL,
                  flags: int = SEAM["DP_MEGAFLOWS"]) -> int:
    """Opens a datapath; returns its handle."""
    handle = ffi.new("uint32_t *")
    check(lib.datapath_open(_datapath_config(name, max_idle_ms, flow_limit, vlan_limit, features,
                                             flags), handle))
    return handle[0]


def datapath_set(dp: int, name: str, max_idle_ms: int, flow_limit: int, vlan_limit: int,
                 features: int = FEATURES_ALL, flags: int = SEAM["DP_MEGAFLOWS"]) -> None:
    """Changes limits and flags."""
    check(lib.datapath_set(dp, _datapath_config(name, max_idle_ms, flow_limit, vlan_limit, features,
                                                flags)))


def datapath_close(dp: int) -> None:
    """Closes a datapath with its ports and bridges."""
    check(lib.datapath_close(dp))


class DatapathStats(NamedTuple):
    """struct datapath_stats."""

    n_hit: int
    n_missed: int
    n_lost: int
    n_mask_hit: int
    n_flows: int
    n_masks: int
    n_exact_hit: int
    n_upcalls_lost: int


def datapath_stats(dp: int) -> DatapathStats:
    """Counters of a datapath."""
    stats = ffi.new("struct datapath_stats *")
    check(lib.datapath_stats_get(dp, stats))
    return DatapathStats(*struct.unpack("=8Q", ffi.buffer(stats)))


def drops(dp: int) -> dict[str, int]:
    """Dropped frames by reason; those that happened."""
    counts = ffi.new("uint64_t[]", len(DROPS))
    check(lib.drops_get(dp, counts, len(DROPS)))
    return {row.name: counts[index] for index, row in enumerate(DROPS) if counts[index]}


# ---- ports

def _port_config(number: int, config):
    flags = (SEAM["PORT_UP"] * config.is_up | SEAM["PORT_OFFLOADS"] * config.has_offloads
             | SEAM["PORT_TX_TO_QUEUE"] * config.sends_to_queue)
    return ffi.new("struct port_config *", {
        "name": config.name.encode(), "kind": config.kind.encode(), "odp": number, "fd": config.fd,
        "ifindex": config.ifindex, "mtu": config.mtu, "n_rxq": config.n_rxq, "flags": flags,
        "mac": _mac(config.mac) + b"\0\0", "rx_pcap": config.rx_pcap.encode(),
        "tx_pcap": config.tx_pcap.encode()})


def port_add(dp: int, number: int, config) -> None:
    """Adds a port; `config` has the attributes of vswitchd.switch.netdev.PortConfig."""
    check(lib.port_add(dp, _port_config(number, config)))


def port_set(dp: int, number: int, config) -> None:
    """Changes a port."""
    check(lib.port_set(dp, _port_config(number, config)))


def port_del(dp: int, number: int) -> None:
    """Removes a port; frames of it that are under way are dropped or finished."""
    check(lib.port_del(dp, number))


class PortStats(NamedTuple):
    """struct port_stats."""

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_dropped: int
    tx_dropped: int
    rx_errors: int
    tx_errors: int
    tx_too_big: int
    rx_gso: int
    tx_gso: int


def port_stats(dp: int, number: int) -> PortStats:
    """Counters of a port."""
    stats = ffi.new("struct port_stats *")
    check(lib.port_stats_get(dp, number, stats))
    return PortStats(*struct.unpack("=11Q", ffi.buffer(stats)))


def port_receive(dp: int, number: int, queue: int, frame: bytes) -> None:
    """Lets a frame come in at a dummy port."""
    check(lib.port_receive(dp, number, queue, frame, len(frame)))


# ---- bridges

def _bitmap(bits: int) -> bytes:
    return bits.to_bytes(512, "little")


def _bridge_config(settings: Mapping):
    config = ffi.new("struct bridge_config *", {
        "name": settings["name"].encode(), "mac_aging_s": settings["mac_aging_s"],
        "mac_table_size": settings["mac_table_size"],
        "flags": (SEAM["BRIDGE_FORWARD_BPDU"] * settings["forward_bpdu"]
                  | {"drop": SEAM["BRIDGE_DROP_FRAGS"], "nx-match": SEAM["BRIDGE_NX_MATCH_FRAGS"]}
                  .get(settings.get("fragments"), 0)),
        "miss_len": settings.get("miss_len", 128), "mac": _mac(settings["mac"]) + b"\0\0"})
    ffi.buffer(config.flood_vlans)[:] = _bitmap(settings["flood_vlans"])
    return config


def bridge_add(dp: int, settings: Mapping) -> int:
    """Makes a bridge without ports; returns its handle."""
    handle = ffi.new("uint32_t *")
    check(lib.bridge_add(dp, _bridge_config(settings), handle))
    return handle[0]


def bridge_set(bridge: int, settings: Mapping) -> None:
    """Changes a bridge's settings."""
    check(lib.bridge_set(bridge, _bridge_config(settings)))


def bridge_del(bridge: int) -> None:
    """Removes a bridge with its rules."""
    check(lib.bridge_del(bridge))


def bridge_ports_set(bridge: int, ports: list[Mapping]) -> None:
    """Makes these the OpenFlow ports of a bridge."""
    rows = ffi.new("struct bridge_port[]", len(ports) or 1)
    for row, port in zip(rows, ports):
        row.ofp, row.odp = port["ofp"], port["odp"]
        row.peer_bridge, row.peer_ofp = port["peer_bridge"], port["peer_ofp"]
        row.config, row.state = port["config"], SEAM["BP_LIVE"] * port["is_live"]
        row.bundle, row.mtu, row.name = port["bundle"], port["mtu"], port["name"].encode()
    check(lib.bridge_ports_set(bridge, rows, len(ports)))


_PRIORITY_TAGS = {"never": 0, "if-nonzero": SEAM["BUNDLE_PRIORITY_TAGS_NONZERO"],
                  "always": SEAM["BUNDLE_PRIORITY_TAGS_ALWAYS"]}


def bundles_set(bridge: int, bundles: list[Mapping], members: list[int]) -> None:
    """Makes these the bundles of a bridge."""
    rows = ffi.new("struct bundle[]", len(bundles) or 1)
    for row, bundle in zip(rows, bundles):
        row.id, row.vlan_mode = bundle["id"], VLAN_MODES[bundle["vlan_mode"]]
        row.vlan, row.qinq_tpid = bundle["vlan"], bundle["qinq_tpid"]
        row.flags = (SEAM["BUNDLE_PROTECTED"] * bundle["protected"]
                     | _PRIORITY_TAGS.get(bundle["priority_tags"], 0))
        row.bond_mode, row.active_ofp = BOND_MODES[bundle["bond_mode"]], bundle["active_ofp"]
        row.first_member, row.n_members = bundle["first_member"], bundle["n_members"]
        ffi.buffer(row.trunks)[:] = _bitmap(bundle["trunks"])
        ffi.buffer(row.cvlans)[:] = _bitmap(bundle["cvlans"])
    check(lib.bundles_set(bridge, rows, len(bundles), members, len(members)))


class BridgePortStats(NamedTuple):
    """struct bridge_port_stats."""

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int


def bridge_port_stats(bridge: int, ofp: int) -> BridgePortStats:
    """Counters of an OpenFlow port."""
    stats = ffi.new("struct bridge_port_stats *")
    check(lib.bridge_port_stats_get(bridge, ofp, stats))
    return BridgePortStats(*struct.unpack("=4Q", ffi.buffer(stats)))


class Mac(NamedTuple):
    """An entry of a MAC table."""

    mac: str
    vlan: int
    ofp: int
    age_s: int
    is_static: bool


_MAC = struct.Struct("=6sHIIII")


def macs(bridge: int) -> Iterator[Mac]:
    """The MAC table, least recently used last."""
    cursor, count = ffi.new("uint64_t *"), ffi.new("uint32_t *")
    rows = ffi.new("struct mac_entry[]", 1024)
    while True:
        check(lib.macs_dump(bridge, cursor, rows, 1024, count))
        for mac, vlan, _, ofp, age, static in _MAC.iter_unpack(
                ffi.buffer(rows, count[0] * _MAC.size)[:]):
            yield Mac(mac.hex(":"), vlan, ofp, age, bool(static))
        if not cursor[0]:
            return


def _mac_entry(mac: str, vlan: int, ofp: int):
    return ffi.new("struct mac_entry *", {"mac": _mac(mac), "vlan": vlan, "ofp": ofp,
                                          "is_static": 1})


def mac_set(bridge: int, mac: str, vlan: int, ofp: int) -> None:
    """Adds a static entry."""
    check(lib.mac_set(bridge, _mac_entry(mac, vlan, ofp)))


def mac_del(bridge: int, mac: str, vlan: int) -> None:
    """Removes an entry."""
    check(lib.mac_del(bridge, _mac_entry(mac, vlan, 0)))


def macs_flush(bridge: int) -> None:
    """Forgets all learned MACs."""
    check(lib.macs_flush(bridge))


class MacStats(NamedTuple):
    """struct mac_stats."""

    n_current: int
    n_static: int
    n_learned: int
    n_expired: int
    n_evicted: int
    n_moved: int


def mac_stats(bridge: int, clear: bool = False) -> MacStats:
    """Counters of a MAC table; `clear` sets them to 0."""
    stats = ffi.new("struct mac_stats *")
    check(lib.mac_stats_get(bridge, stats, clear))
    return MacStats(*struct.unpack("=6Q", ffi.buffer(stats)))


# ---- rules

class RuleChange(NamedTuple):
    """A flow_mod: `value` and `mask` are a packed match, `program` the compiled ops, `source`
    the opaque source actions. Numbers as in struct rule_change."""

    bridge: int
    command: int
    table: int
    priority: int
    value: bytes
    mask: bytes
    program: bytes = b""
    source: bytes = b""
    flags: int = 0
    idle_timeout: int = 0
    hard_timeout: int = 0
    importance: int = 0
    out_port: int = ANY
    out_group: int = ANY
    cookie: int = 0
    cookie_match: int = 0
    cookie_mask: int = 0
    tag: int = 0
    reason: int = 2
    out_meter: int = 0


class RuleError(Exception):
    """Change number `index` of a batch cannot be made; `name` is OpenFlow's."""

    def __init__(self, index: int, name: str) -> None:
        super().__init__(index, name)
        self.index = index
        self.name = name


def version_open(dp: int) -> int:
    """Opens a version in which changes are staged."""
    version = ffi.new("uint64_t *")
    check(lib.version_open(dp, version))
    return version[0]


def version_commit(version: int) -> None:
    """Publishes a version."""
    check(lib.version_commit(version))


def version_abort(version: int) -> None:
    """Forgets a version."""
    check(lib.version_abort(version))


def version_reached(dp: int, version: int) -> bool:
    """Whether every worker has left the versions before `version` behind."""
    return lib.version_reached(dp, version)


def version_current(dp: int) -> int:
    """The version that packets see now."""
    return lib.version_current(dp)


def _blob(parts: Iterable[bytes]) -> tuple[bytes, list[int]]:
    """Joins parts at 8-byte boundaries; returns them with their offsets."""
    joined, offsets = bytearray(), []
    for part in parts:
        offsets.append(len(joined))
        joined += part
        joined += bytes(-len(joined) % 8)
    return bytes(joined), offsets


def _stage(version: int, rows, start: int, end: int, blob, blob_size: int) -> None:
    """Stages the rows from `start` to `end`. Raises RuleError for the first that is refused."""
    number = lib.rules_stage(version, rows + start, end - start, blob, blob_size)
    if number:
        for index in range(start, end):
            if error := rows[index].error:
                raise RuleError(index, RULE_ERRORS.get(error, "OFPFMFC_UNKNOWN"))
    check(number)


def rules_stage(version: int, changes: list[RuleChange]) -> list[int]:
    """Stages changes in order; returns how many rules each affected.

    Raises RuleError for the first that cannot be made; those before it stay staged.
    """
    parts = [part for change in changes
             for part in (change.value + change.mask, change.program, change.source)]
    blob, offsets = _blob(parts)
    rows = ffi.new("struct rule_change[]", len(changes) or 1)
    for index, (row, change) in enumerate(zip(rows, changes)):
        row.bridge, row.command, row.table = change.bridge, change.command, change.table
        row.reason, row.priority, row.flags = change.reason, change.priority, change.flags
        row.idle_timeout, row.hard_timeout = change.idle_timeout, change.hard_timeout
        row.importance = change.importance
        row.out_port, row.out_group = change.out_port, change.out_group
        row.out_meter = change.out_meter
        row.cookie, row.tag = change.cookie, change.tag
        row.cookie_match, row.cookie_mask = change.cookie_match, change.cookie_mask
        row.match_offset, row.program_offset, row.source_offset = offsets[3 * index:3 * index + 3]
        row.program_size, row.source_size = len(change.program), len(change.source)
    _stage(version, rows, 0, len(changes), blob, len(blob))
    return [row.n_affected for row in rows][:len(changes)]


class ChangeBuffer:
    """Room for changes that somebody else writes in C: `n_max` rows at `rows_at`, `blob_size` bytes
    at `blob_at`. `n` and `blob_used` say how much of it holds something."""

    def __init__(self, n_max: int, blob_size: int) -> None:
        self.rows = ffi.new("struct rule_change[]", n_max)
        self.blob = ffi.new("uint8_t[]", blob_size)
        self.rows_at = int(ffi.cast("uintptr_t", self.rows))
        self.blob_at = int(ffi.cast("uintptr_t", self.blob))
        self.n = self.blob_used = 0


def check_last() -> None:
    """Raises the error of a call that somebody else made in C."""
    raise DatapathError(errno.EINVAL, ffi.string(lib.dp_error()).decode(errors="replace"))


def address_of(name: str) -> int:
    """Where a function of the library is, for those who call it in C."""
    return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))


def buffer_stage(version: int, changes: ChangeBuffer, start: int = 0) -> None:
    """Stages the changes of a buffer from number `start` on, as `rules_stage` does."""
    _stage(version, changes.rows, start, changes.n, changes.blob, changes.blob_used)


def rules_change(dp: int, changes: list[RuleChange]) -> list[int]:
    """Stages and publishes changes at once: all of them or, with RuleError, none."""
    version = version_open(dp)
    try:
        affected = rules_stage(version, changes)
    except BaseException:
        version_abort(version)
        raise
    version_commit(version)
    return affected


class Rule(NamedTuple):
    """A rule as it is dumped; times in milliseconds of the library's clock."""

    bridge: int
    handle: int
    cookie: int
    n_packets: int
    n_bytes: int
    created_ms: int
    modified_ms: int
    used_ms: int
    priority: int
    flags: int
    idle_timeout: int
    hard_timeout: int
    importance: int
    table: int
    tag: int
    value: bytes
    mask: bytes
    source: bytes


RULE_RECORD = struct.Struct("=IIQQQQqqqiIHHHBBQII")


def unpack_record(buffer: bytes, start: int) -> tuple[Rule, int]:
    """The rule of a record that begins at `start`, and where the next one begins."""
    (size, bridge, handle, cookie, n_packets, n_bytes, created, modified, used, priority, flags,
     idle, hard, importance, table, _, tag, source_size, _) = RULE_RECORD.unpack_from(buffer, start)
    at = start + RULE_RECORD.size
    source = at + 2 * FLOW_SIZE
    return Rule(bridge, handle, cookie, n_packets, n_bytes, created, modified, used, priority,
                flags, idle, hard, importance, table, tag, buffer[at:at + FLOW_SIZE],
                buffer[at + FLOW_SIZE:source], buffer[source:source + source_size]), start + size


def unpack_rule(record: bytes) -> Rule:
    """The rule of an upcall's data."""
    return unpack_record(record, 0)[0]


class RuleFilter:
    """Which rules to dump: those of a bridge that match what is given; a match in two packed
    parts, or none for all. `filter_at` and `match_at` are for those who dump in C."""

    def __init__(self, bridge: int, table: int = 255, value: bytes = b"", mask: bytes = b"",
                 is_strict: bool = False, priority: int = 0, out_port: int = ANY,
                 out_group: int = ANY, cookie: int = 0, cookie_mask: int = 0,
                 hidden: bool = False, out_meter: int = 0) -> None:
        self.chosen = ffi.new("struct rule_filter *", {
            "bridge": bridge, "table": table, "strict": is_strict, "hidden": hidden,
            "priority": priority, "out_port": out_port, "out_group": out_group, "cookie": cookie,
            "cookie_mask": cookie_mask, "out_meter": out_meter})
        self.match = ffi.from_buffer(value + mask) if value else ffi.NULL
        self.filter_at = int(ffi.cast("uintptr_t", self.chosen))
        self.match_at = int(ffi.cast("uintptr_t", self.match))


def rule_records(wanted: RuleFilter) -> Iterator[bytes]:
    """The rules that a filter lets through, some whole records at a time."""
    cursor, n_bytes, n_records = (ffi.new("uint64_t[2]"), ffi.new("uint32_t *"),
                                  ffi.new("uint32_t *"))
    buffer = ffi.new("uint8_t[]", BUFFER)
    while True:
        check(lib.rules_dump(wanted.chosen, wanted.match, cursor, buffer, BUFFER, n_bytes,
                             n_records))
        yield ffi.buffer(buffer, n_bytes[0])[:]
        if not cursor[0]:
            return


def unpack_records(pieces: Iterable[bytes]) -> Iterator[Rule]:
    """The rules of records."""
    for records in pieces:
        at = 0
        while at < len(records):
            found, at = unpack_record(records, at)
            yield found


def rules(bridge: int, *args, **filters) -> Iterator[Rule]:
    """The rules that a filter lets through; arguments as of `RuleFilter`."""
    return unpack_records(rule_records(RuleFilter(bridge, *args, **filters)))


def rule(handle: int) -> Rule | None:
    """The rule of a handle, None when it is gone."""
    buffer, n_bytes = ffi.new("uint8_t[]", BUFFER), ffi.new("uint32_t *")
    if lib.rule_get(handle, buffer, BUFFER, n_bytes):
        return None
    return unpack_record(ffi.buffer(buffer, n_bytes[0])[:], 0)[0]


class TableStats(NamedTuple):
    """struct table_stats."""

    n_active: int
    n_lookup: int
    n_matched: int


def table_counters(bridge: int, n_tables: int = 255) -> list[tuple[int, int, int]]:
    """Counters of the first tables, as in TableStats."""
    rows = ffi.new("struct table_stats[]", n_tables)
    check(lib.tables_stats_get(bridge, rows, n_tables))
    return list(struct.iter_unpack("=3Q", ffi.buffer(rows)))


def tables_stats(bridge: int, n_tables: int = 255) -> list[TableStats]:
    """The same with names."""
    return [TableStats(*row) for row in table_counters(bridge, n_tables)]


class Unmatched(NamedTuple):
    """struct unmatched_stats."""

    sent_packets: int
    sent_bytes: int
    dropped_packets: int
    dropped_bytes: int
    fragment_packets: int
    fragment_bytes: int


def unmatched_stats(bridge: int) -> Unmatched:
    """What became of packets that no rule of a bridge matched."""
    stats = ffi.new("struct unmatched_stats *")
    check(lib.unmatched_stats_get(bridge, stats))
    return Unmatched(*struct.unpack("=6Q", ffi.buffer(stats)))


def table_set(bridge: int, table: int, miss: int = 0, max_flows: int = ANY, flags: int = 0,
              prefixes: tuple[int, ...] | None = None, eviction_mask: bytes = b"") -> None:
    """Changes the settings of a table; `eviction_mask` is a packed mask or empty."""
    config = ffi.new("struct table_config *", {
        "miss": miss, "max_flows": max_flows, "flags": flags,
        "n_prefixes": ANY if prefixes is None else len(prefixes), "prefixes": prefixes or ()})
    check(lib.table_set(bridge, table, config, eviction_mask or ffi.NULL))


def rules_watch(bridge: int, is_watched: bool) -> None:
    """Has changes of a bridge's rules told by upcalls, or no longer."""
    check(lib.rules_watch(bridge, is_watched))


# ---- groups

class Bucket(NamedTuple):
    """One bucket with its compiled program."""

    id: int
    weight: int
    watch_port: int
    watch_group: int
    program: bytes


class GroupChange(NamedTuple):
    """A group_mod. `command`: 0 add, 1 modify, 2 delete; numbers as in struct group_change."""

    bridge: int
    command: int
    type: int
    group: int
    buckets: tuple[Bucket, ...] = ()
    source: bytes = b""
    method: int = 0
    method_param: int = 0
    fields: bytes = b""


GROUP_ERRORS = {SEAM["GROUP_E_EXISTS"]: "OFPGMFC_GROUP_EXISTS",
                SEAM["GROUP_E_UNKNOWN"]: "OFPGMFC_UNKNOWN_GROUP",
                SEAM["GROUP_E_INVALID"]: "OFPGMFC_INVALID_GROUP",
                SEAM["GROUP_E_OUT_OF_GROUPS"]: "OFPGMFC_OUT_OF_GROUPS",
                SEAM["GROUP_E_LOOP"]: "OFPGMFC_LOOP",
                SEAM["GROUP_E_OUT_OF_BUCKETS"]: "OFPGMFC_OUT_OF_BUCKETS"}
_BUCKET = struct.Struct("=6I")


def _pack_bucket(bucket: Bucket) -> bytes:
    size = _BUCKET.size + len(bucket.program)
    return _BUCKET.pack(size, bucket.id, bucket.weight, bucket.watch_port, bucket.watch_group,
                        len(bucket.program)) + bucket.program


def groups_stage(version: int, changes: list[GroupChange]) -> None:
    """Stages group changes in order. Raises RuleError."""
    blob, offsets = _blob(part for change in changes for part in (
        b"".join(map(_pack_bucket, change.buckets)), change.source, change.fields))
    rows = ffi.new("struct group_change[]", len(changes) or 1)
    for index, (row, change) in enumerate(zip(rows, changes)):
        row.bridge, row.command, row.type = change.bridge, change.command, change.type
        row.method, row.group, row.n_buckets = change.method, change.group, len(change.buckets)
        row.method_param = change.method_param
        row.buckets_offset, row.source_offset, row.fields_offset = offsets[3 * index:3 * index + 3]
        row.source_size = len(change.source)
        row.n_fields = len(change.fields) // ffi.sizeof("struct hash_field")
    number = lib.groups_stage(version, rows, len(changes), blob, len(blob))
    for index, row in enumerate(rows):
        if row.error and index < len(changes):
            raise RuleError(index, GROUP_ERRORS.get(row.error, "OFPGMFC_INVALID_GROUP"))
    check(number)


class Group(NamedTuple):
    """A group as it is dumped; `buckets` are (packets, bytes)."""

    group: int
    ref_count: int
    n_packets: int
    n_bytes: int
    created_ms: int
    buckets: tuple[tuple[int, int], ...]
    source: bytes


_GROUP = struct.Struct("=IIIIQQqII")


def groups(bridge: int, group: int = ANY) -> Iterator[Group]:
    """All groups of a bridge, or one."""
    cursor, n_bytes, n_records = (ffi.new("uint64_t *"), ffi.new("uint32_t *"),
                                  ffi.new("uint32_t *"))
    buffer = ffi.new("uint8_t[]", BUFFER)
    while True:
        check(lib.groups_dump(bridge, group, cursor, buffer, BUFFER, n_bytes, n_records))
        records, at = ffi.buffer(buffer, n_bytes[0])[:], 0
        while at < len(records):
            (size, number, ref_count, n_buckets, n_packets, octets, created, source_size,
             _) = _GROUP.unpack_from(records, at)
            start = at + _GROUP.size
            counts = struct.unpack_from(f"={2 * n_buckets}Q", records, start)
            source = start + 16 * n_buckets
            yield Group(number, ref_count, n_packets, octets, created,
                        tuple(zip(counts[::2], counts[1::2])),
                        records[source:source + source_size])
            at += size
        if not cursor[0]:
            return


# ---- meters

class Band(NamedTuple):
    """A band of a meter: `type` of SEAM["METER_DROP"] or SEAM["METER_DSCP_REMARK"]."""

    type: int
    rate: int
    burst: int = 0
    level: int = 0
    n_packets: int = 0
    n_bytes: int = 0


class Meter(NamedTuple):
    """A meter of a datapath; the counters are those of what met it."""

    flags: int
    bands: tuple[Band, ...]
    n_packets: int = 0
    n_bytes: int = 0


def meter_set(dp: int, number: int, meter: Meter) -> None:
    """Makes or replaces a meter."""
    bands = [{"type": band.type, "rate": band.rate, "burst": band.burst, "level": band.level}
             for band in meter.bands]
    check(lib.meter_set(dp, number, ffi.new("struct meter *", {
        "flags": meter.flags, "n_bands": len(bands), "bands": bands})))


def meter(dp: int, number: int) -> Meter:
    """A meter with its counters."""
    row = ffi.new("struct meter *")
    check(lib.meter_get(dp, number, row))
    bands = struct.iter_unpack("=4I2Q", ffi.buffer(row.bands)[:])
    return Meter(row.flags, tuple(Band(*band) for band in bands)[:row.n_bands], row.n_packets,
                 row.n_bytes)


def meter_del(dp: int, number: int) -> None:
    """Deletes a meter; what still refers to it lets everything pass."""
    check(lib.meter_del(dp, number))


def bridge_meters_set(bridge: int, numbers: Mapping[int, int]) -> None:
    """Says which meters of the datapath the OpenFlow meters of a bridge are."""
    rows = ffi.new("struct bridge_meter[]", sorted(numbers.items()) or 1)
    check(lib.bridge_meters_set(bridge, rows, len(numbers)))


# ---- megaflows

class Flow(NamedTuple):
    """A megaflow: key, mask, and the flow for which it was made (`seen`, with what the mask does
    not cover) are struct flow, actions datapath actions."""

    worker: int
    ufid: bytes
    n_packets: int
    n_bytes: int
    used_ms: int
    tcp_flags: int
    origin: int
    slow_reasons: int
    key: bytes
    mask: bytes
    seen: bytes
    actions: bytes


_FLOW = struct.Struct("=II16sQQqIIII")


def _unpack_flow(records: bytes, at: int) -> tuple[Flow, int]:
    (size, worker, ufid, n_packets, octets, used, tcp_flags, actions_size, origin,
     slow) = _FLOW.unpack_from(records, at)
    key = at + _FLOW.size
    mask, seen, actions = (key + number * FLOW_SIZE for number in (1, 2, 3))
    return Flow(worker, ufid, n_packets, octets, used, tcp_flags, origin, slow, records[key:mask],
                records[mask:seen], records[seen:actions],
                records[actions:actions + actions_size]), at + size


def unpack_flow(record: bytes) -> Flow:
    """The megaflow of a LOG record's data."""
    return _unpack_flow(record, 0)[0]


def flows(dp: int) -> Iterator[Flow]:
    """All megaflows of a datapath."""
    cursor, n_bytes, n_records = (ffi.new("uint64_t *"), ffi.new("uint32_t *"),
                                  ffi.new("uint32_t *"))
    buffer = ffi.new("uint8_t[]", BUFFER)
    while True:
        check(lib.flows_dump(dp, cursor, buffer, BUFFER, n_bytes, n_records))
        records, at = ffi.buffer(buffer, n_bytes[0])[:], 0
        while at < len(records):
            flow, at = _unpack_flow(records, at)
            yield flow
        if not cursor[0]:
            return


def flow_put(dp: int, key: bytes, mask: bytes, actions: bytes, may_exist: bool = False,
             must_exist: bool = False) -> None:
    """Installs a megaflow by hand."""
    check(lib.flow_put(dp, key + mask, actions, len(actions), may_exist, must_exist))


def flow_del(dp: int, key: bytes, mask: bytes) -> None:
    """Deletes a megaflow."""
    check(lib.flow_del(dp, key + mask))


def flows_flush(dp: int) -> None:
    """Deletes all megaflows after settling them."""
    check(lib.flows_flush(dp))


def flows_revalidate(dp: int) -> None:
    """Translates all megaflows again, and settles."""
    check(lib.flows_revalidate(dp))


def flows_pause(dp: int, is_paused: bool) -> None:
    """Stops or resumes revalidation."""
    check(lib.flows_pause(dp, is_paused))


def flows_settle(dp: int) -> None:
    """Brings all counters up to date."""
    check(lib.flows_settle(dp))


# ---- translation

class Event(NamedTuple):
    """Something that happened in a traced translation: kind is a row of schema/flow/trace.py."""

    kind: int
    depth: int
    source: int
    rule: int
    arguments: tuple[int, int, int, int]


class Trace(NamedTuple):
    """A traced translation."""

    error: int
    slow_reasons: int
    events: tuple[Event, ...]
    final: bytes
    mask: bytes
    actions: bytes


_EVENT = struct.Struct("=HHIQ4Q")


def trace(dp: int, flow: bytes, bridge: int = 0, frame: bytes = b"", learn: bool = False,
          program: bytes | None = None, max_events: int = 65536, version: int = 0) -> Trace:
    """Translates a flow and tells how; with a `version` that is open, as staged so far."""
    events = ffi.new("struct trace_event[]", max_events)
    final, mask = ffi.new("uint8_t[]", FLOW_SIZE), ffi.new("uint8_t[]", FLOW_SIZE)
    actions, result = ffi.new("uint8_t[]", 65536), ffi.new("struct translation *")
    check(lib.flow_trace(dp, bridge, flow, frame or ffi.NULL, len(frame), learn,
                         ffi.NULL if program is None else ffi.from_buffer(program),
                         len(program or b""), version, events, max_events, final, mask, actions,
                         65536, result))
    count = min(result.n_events, max_events)
    found = tuple(Event(kind, depth, source, handle, tuple(rest)) for kind, depth, source, handle,
                  *rest in _EVENT.iter_unpack(ffi.buffer(events, count * _EVENT.size)[:]))
    return Trace(result.error, result.slow_reasons, found, ffi.buffer(final)[:],
                 ffi.buffer(mask)[:], ffi.buffer(actions, result.actions_size)[:])


def forget_traces() -> None:
    """Ends a series of traces: recirculation ids that they took are free again."""
    lib.flow_trace_forget()


class Frozen(NamedTuple):
    """How a frame goes on that comes back with a recirculation id, or is resumed.

    in_port: of OpenFlow; stack: (value, bits), the top last; action_set and ops: packed ops.
    Registers and the like are with the frame.
    """

    bridge: int
    table: int
    in_port: int
    mirrors: int = 0
    is_conntracked: bool = False
    stack: tuple[tuple[int, int], ...] = ()
    action_set: bytes = b""
    ops: bytes = b""
    userdata: bytes = b""


_FROZEN = struct.Struct("=IIIBBxxQQIIIIII128x")


def unpack_frozen(record: bytes) -> Frozen:
    """The state in an upcall's data."""
    (_, _, bridge, table, is_conntracked, _, _, stack_size, set_size, ops_size, in_port, mirrors,
     userdata_size) = _FROZEN.unpack_from(record)
    parts, at = [], _FROZEN.size
    for size in (stack_size, set_size, ops_size, userdata_size):
        parts.append(record[at:at + size])
        at += size + -size % 8
    stack = tuple((int.from_bytes(value, "big"), n_bits)
                  for value, n_bits in struct.iter_unpack("=16sQ", parts[0]))
    return Frozen(bridge, table, in_port, mirrors, bool(is_conntracked), stack, *parts[1:])


def pack_frozen(state: Frozen) -> bytes:
    """The program of an injection that goes on as `state` says."""
    stack = b"".join(struct.pack("=16sQ", value.to_bytes(16, "big"), n_bits)
                     for value, n_bits in state.stack)
    parts = (stack, state.action_set, state.ops)
    tail = b"".join(part + bytes(-len(part) % 8) for part in parts)
    return _FROZEN.pack(_FROZEN.size + len(tail), 0, state.bridge, state.table,
                        state.is_conntracked, 0, 0, *map(len, parts), state.in_port, state.mirrors,
                        0) + tail


def frozen(dp: int, recirc_id: int) -> Frozen | None:
    """The frozen state of a recirculation id, None if there is none."""
    buffer, n_bytes = ffi.new("uint8_t[]", BUFFER), ffi.new("uint32_t *")
    if lib.frozen_get(dp, recirc_id, buffer, BUFFER, n_bytes):
        return None
    return unpack_frozen(ffi.buffer(buffer, n_bytes[0])[:])


# ---- frames

class Injection(NamedTuple):
    """A frame to be sent: `program` are ops for a bridge, datapath actions where `bridge` is 0, or
    what `pack_frozen` made, where the frame is resumed."""

    dp: int
    bridge: int
    in_port: int
    frame: bytes
    program: bytes
    flow: bytes | None = None
    through_tables: bool = False
    is_resumed: bool = False


def packets_inject(injections: list[Injection]) -> None:
    """Queues frames, in order."""
    blob, offsets = _blob(part for injection in injections for part in (
        injection.frame, injection.program, injection.flow or b""))
    rows = ffi.new("struct injection[]", len(injections) or 1)
    for index, (row, injection) in enumerate(zip(rows, injections)):
        row.dp, row.bridge, row.in_port = injection.dp, injection.bridge, injection.in_port
        row.frame_offset, row.program_offset, row.flow_offset = offsets[3 * index:3 * index + 3]
        row.frame_size, row.program_size = len(injection.frame), len(injection.program)
        row.flags = (SEAM["INJECT_TABLES"] * injection.through_tables
                     | SEAM["INJECT_RESUME"] * injection.is_resumed)
        if injection.flow is None:
            row.flow_offset = ANY
    check(lib.packets_inject(rows, len(injections), blob, len(blob)))


def frame_parse(frame: bytes, in_port: int = 0) -> bytes:
    """The struct flow of a frame. Any thread."""
    flow = ffi.new("uint8_t[]", FLOW_SIZE)
    check(lib.frame_parse(frame, len(frame), in_port, flow))
    return ffi.buffer(flow)[:]


def frame_compose(flow: bytes, payload_size: int = 0, counts: bool = True) -> bytes:
    """A frame whose struct flow is `flow`; its payload counts up or is zeros. Any thread."""
    frame, size = ffi.new("uint8_t[]", 65536), ffi.new("uint32_t *")
    check(lib.frame_compose(flow, payload_size, counts, frame, 65536, size))
    return ffi.buffer(frame, size[0])[:]


# ---- numbers

class MemoryStats(NamedTuple):
    """struct memory_stats."""

    n_rules: int
    n_megaflows: int
    n_macs: int
    n_frozen: int
    n_groups: int
    n_ports: int
    n_retired: int


def memory_stats() -> MemoryStats:
    """How much the library holds."""
    stats = ffi.new("struct memory_stats *")
    check(lib.memory_stats_get(stats))
    return MemoryStats(*struct.unpack("=7Q", ffi.buffer(stats)))


class WorkerStats(NamedTuple):
    """struct worker_stats."""

    busy_ns: int
    idle_ns: int
    n_bursts: int
    n_packets: int
    n_sleeps: int


def worker_stats(worker: int) -> WorkerStats:
    """Counters of a worker; 0 is what `pump` runs."""
    stats = ffi.new("struct worker_stats *")
    check(lib.worker_stats_get(worker, stats))
    return WorkerStats(*struct.unpack("=5Q", ffi.buffer(stats)))
