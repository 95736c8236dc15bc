"""Tables: statistics and features; how they are set is in `table_config.py`.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
"""

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache

from schema.openflow.limits import TABLE_ALL
from schema.openflow.messages import OF10, OF11, OF12, OF13, OF14, OF15
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.messages.base import (
    Property, Style, hash_hex, pack_name, pack_property, read_properties, strip_name,
    unknown_property,
)
from vswitchd.openflow.value import Value

MISS = {0: "controller", 1: "continue", 2: "drop"}
EVICTION, VACANCY = 4, 8

Warn = Callable[[str, str], None]


class TableStatsRequest(Value):
    """OFPST_TABLE request."""


class TableFeaturesRequest(Value):
    """OFPST_TABLE_FEATURES request; without a body: tell, do not change.  has_more: a part."""

    body: bytes = b""
    has_more: bool = False


def decode_table_stats_request(frame: Frame) -> TableStatsRequest:
    return TableStatsRequest()


def decode_table_features_request(frame: Frame) -> TableFeaturesRequest:
    return TableFeaturesRequest(frame.body, bool(frame.flags & 1))


def encode_table_stats_request(value: TableStatsRequest, version: int):
    return "OFPST_TABLE_REQUEST", b""


def encode_table_features_request(value: TableFeaturesRequest, version: int):
    return "OFPST_TABLE_FEATURES_REQUEST", value.body


# What a table can do.


class ActionFeatures(Value):
    """What an action list can have: wire bits of action types, and fields that can be set."""

    actions: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()


class InstructionFeatures(Value):
    """What a flow can do: tables it can go to, instructions, write and apply actions."""

    next_tables: frozenset[int] = frozenset()
    instructions: int = 0
    write: ActionFeatures = ActionFeatures()
    apply: ActionFeatures = ActionFeatures()


class TableFeatures(Value):
    """What one table can match and do.

    miss: key of MISS or None if it is the version's default; eviction, vacancy: whether
    supported, None if not told; match, mask, wildcard: names of fields; command: index of
    COMMANDS in a request of OpenFlow 1.5.
    """

    table: int
    name: str = ""
    metadata_match: int = 0
    metadata_write: int = 0
    miss: int | None = None
    eviction: bool | None = None
    vacancy: bool | None = None
    max_entries: int = 0
    hit: InstructionFeatures = InstructionFeatures()
    missed: InstructionFeatures = InstructionFeatures()
    match: frozenset[str] = frozenset()
    mask: frozenset[str] = frozenset()
    wildcard: frozenset[str] = frozenset()
    command: int = 0


class TableStats(Value):
    """Counters of one table; features are told up to OpenFlow 1.2."""

    table: int
    active: int
    lookup: int
    matched: int
    features: TableFeatures | None = None


class TableStatsReply(Value):
    """OFPST_TABLE reply."""

    stats: tuple[TableStats, ...]


class TableFeaturesReply(Value):
    """OFPST_TABLE_FEATURES reply."""

    tables: tuple[TableFeatures, ...]


# Action types by bit, and their names as they are shown.

ACTIONS10 = ("output", "set_vlan_vid", "set_vlan_pcp", "strip_vlan", "mod_dl_src", "mod_dl_dst",
              "mod_nw_src", "mod_nw_dst", "mod_nw_tos", "mod_tp_src", "mod_tp_dst", "enqueue")
_ACTIONS11 = {
    0: "output", 1: "set_vlan_vid", 2: "set_vlan_pcp", 3: "mod_dl_src", 4: "mod_dl_dst",
    5: "mod_nw_src", 6: "mod_nw_dst", 7: "mod_nw_tos", 8: "mod_nw_ecn", 9: "mod_tp_src",
    10: "mod_tp_dst", 13: "set_mpls_label", 14: "set_mpls_tc", 15: "set_mpls_ttl",
    16: "dec_mpls_ttl", 17: "push_vlan", 18: "strip_vlan", 19: "push_mpls", 20: "pop_mpls",
    21: "set_queue", 22: "group", 23: "mod_nw_ttl", 24: "dec_ttl", 25: "set_field",
}
ACTION_ORDER = (
    "output", "group", "enqueue", "set_field", "set_vlan_vid", "set_vlan_pcp", "strip_vlan",
    "push_vlan", "mod_dl_src", "mod_dl_dst", "mod_nw_src", "mod_nw_dst", "mod_nw_tos",
    "mod_nw_ecn", "mod_nw_ttl", "mod_tp_src", "mod_tp_dst", "dec_ttl", "set_mpls_label",
    "set_mpls_tc", "set_mpls_ttl", "dec_mpls_ttl", "push_mpls", "pop_mpls", "set_queue",
)
"""The order in which action names are shown."""


def actions_from_bits(bits: int, version: int) -> frozenset[str]:
    """Names of the action types whose bits are set."""
    if version == OF10:
        return frozenset(name for i, name in enumerate(ACTIONS10) if bits >> i & 1)
    # What a set_field can say is no action of its own from 1.2 on.
    known = range(1) if version >= OF12 else range(15)
    top = 26 if version >= OF12 else 25
    return frozenset(name for i, name in _ACTIONS11.items()
                     if bits >> i & 1 and (i in known or 15 <= i < top))


@lru_cache(256)
def actions_to_bits(names: frozenset[str], version: int) -> int:
    """The bits of action types; names that the version does not have are left out."""
    if version == OF10:
        return sum(1 << i for i, name in enumerate(ACTIONS10) if name in names)
    return sum(1 << i for i, name in _ACTIONS11.items() if name in names)


def describe_action_names(names: frozenset[str]) -> str:
    return " ".join(name for name in ACTION_ORDER if name in names) or "<none>"


def describe_actions(bits: int, version: int) -> str:
    """Action types by wire bits, as texts name them."""
    return describe_action_names(actions_from_bits(bits, version))


_INSTRUCTION_NAMES = ((6, "meter"), (4, "apply_actions"), (5, "clear_actions"),
                      (3, "write_actions"), (2, "write_metadata"), (1, "goto_table"))
"""(type, name) in the order of the text."""


def _known_instructions(bits: int, version: int) -> int:
    """Those of `bits` that stand for an instruction of `version`."""
    return bits & (0x7E if version >= OF13 else 0x3E)


# Fields by the bits of OpenFlow 1.0 to 1.2.

_WILD10 = ((0x1, "in_port"), (0x2, "vlan_vid"), (0x4, "eth_src"), (0x8, "eth_dst"),
           (0x10, "eth_type"), (0x20, "nw_proto"), (0x40, "tcp_src"), (0x80, "tcp_dst"),
           (0x3F00, "ip_src"), (0xFC000, "ip_dst"), (0x100000, "vlan_pcp"), (0x200000, "nw_tos"))
_FIELDS11 = (
    (0x1, "in_port"), (0x2, "vlan_vid"), (0x4, "vlan_pcp"), (0x8, "eth_type"), (0x10, "nw_tos"),
    (0x20, "nw_proto"), (0x40, "tcp_src"), (0x80, "tcp_dst"), (0x100, "mpls_label"),
    (0x200, "mpls_tc"), (0x800, "eth_src"), (0x1000, "eth_dst"), (0x2000, "ip_src"),
    (0x4000, "ip_dst"), (0x8000, "metadata"),
)


def _by_bits(bits: int, rows) -> frozenset[str]:
    return frozenset(name for mask, name in rows if bits & mask)


def _oxm_fields():
    """(bit, field name) of the fields of OpenFlow 1.2 to 1.5: their OXM numbers."""
    # The field table is needed by few messages.
    from schema.flow.fields import FIELDS
    rows = []
    for field in FIELDS:
        for code in field.codes:
            if code.oxm_class == 0x8000:
                rows.append((1 << code.field, field.name))
    return rows


def _fields_in_order():
    from schema.flow.fields import FIELDS
    return [field.name for field in FIELDS]


# Decoding statistics.

_ROW10 = struct.Struct("!B3x32sIIIQQ")
_ROW11 = struct.Struct("!B7x32sIIIIIIIIQQ")
_ROW12 = struct.Struct("!B7x32sQQIIQQQQIIIIQQ")
_ROW13 = struct.Struct("!B3xIQQ")
def _next_tables(table: int, instructions: int) -> frozenset[int]:
    return frozenset(range(table + 1, 255)) if instructions & 2 else frozenset()


def _same(next_tables, instructions, write, apply) -> dict:
    features = InstructionFeatures(next_tables, instructions, write, apply)
    return {"hit": features, "missed": features}


def _read_miss(config: int, warn: Warn) -> int:
    miss = config & 3
    if miss not in MISS:
        warn("ofp_table", f"bad table miss config {config}")
        return 0
    return miss


def iterate_table_stats(data: bytes, version: int, warn: Warn = lambda module, text: None,
                        ) -> Iterator[TableStats]:
    """Yields each table of a statistics reply.  warn: told of miss settings that do not exist."""
    layout = {OF10: _ROW10, OF11: _ROW11, OF12: _ROW12}.get(version, _ROW13)
    if version == OF12:
        rows = [row for row in _oxm_fields() if row[0] < 1 << 36]
    for row in layout.iter_unpack(data):
        if version >= OF13:
            yield TableStats(*row)
            continue
        table, name = row[0], strip_name(row[1][:31])
        if version == OF10:
            _, _, wild, entries, active, lookup, matched = row
            fields = _by_bits(wild, _WILD10)
            features = TableFeatures(table, name, max_entries=entries, match=fields,
                                     wildcard=fields)
        elif version == OF11:
            (_, _, wild, match, instructions, write, apply, config, entries, active, lookup,
             matched) = row
            # The reference shows the actions of write_actions for apply_actions too.
            actions = ActionFeatures(actions_from_bits(write, version))
            known = _known_instructions(instructions, version)
            wildcard = _by_bits(wild, _FIELDS11)
            features = TableFeatures(
                table, name, miss=_read_miss(config, warn), max_entries=entries,
                match=_by_bits(match, _FIELDS11) | wildcard, wildcard=wildcard,
                **_same(_next_tables(table, instructions), known, actions, actions))
        else:
            (_, _, match, wild, write, apply, write_fields, apply_fields, metadata_match,
             metadata_write, instructions, config, entries, active, lookup, matched) = row
            wildcard = _by_bits(wild, rows)
            features = TableFeatures(
                table, name, metadata_match, metadata_write, miss=_read_miss(config, warn),
                max_entries=entries,
                match=_by_bits(match, rows) | wildcard, wildcard=wildcard,
                **_same(_next_tables(table, instructions),
                        _known_instructions(instructions, version),
                        ActionFeatures(actions_from_bits(write, version),
                                       _by_bits(write_fields, rows)),
                        ActionFeatures(actions_from_bits(apply, version),
                                       _by_bits(apply_fields, rows))))
        yield TableStats(table, active, lookup, matched, features)


def decode_table_stats_reply(frame: Frame) -> TableStatsReply:
    return TableStatsReply(tuple(iterate_table_stats(frame.body, frame.version)))


def encode_table_stats_reply(value: TableStatsReply, version: int):
    return "OFPST_TABLE_REPLY", [_encode_stats(stats, version) for stats in value.stats]


@lru_cache(256)
def _fields_to_bits(names: frozenset[str], version: int) -> int:
    """The bits of fields; most tables have the same ones, and there are many tables."""
    rows = {OF10: _WILD10, OF11: _FIELDS11}.get(version) or _oxm_fields()
    return sum(mask for mask, field in rows if field in names)


def _encode_stats(s: TableStats, version: int) -> bytes:
    if version >= OF13:
        return _ROW13.pack(s.table, s.active, s.lookup, s.matched)
    f = s.features or TableFeatures(s.table)
    name = pack_name(f.name, 32)
    if version == OF10:
        wild = _fields_to_bits(f.wildcard, version)
        return _ROW10.pack(s.table, name, wild, f.max_entries, s.active, s.lookup, s.matched)
    instructions = f.hit.instructions & 0x3E
    write = actions_to_bits(f.hit.write.actions, version)
    apply = actions_to_bits(f.hit.apply.actions, version)
    if version == OF11:
        wild, match = (_fields_to_bits(names, version) for names in (f.wildcard, f.match))
        return _ROW11.pack(s.table, name, wild, match, instructions, write, apply, f.miss or 0,
                           f.max_entries, s.active, s.lookup, s.matched)
    match, wild, write_fields, apply_fields = (
        _fields_to_bits(names, version)
        for names in (f.match, f.wildcard, f.hit.write.fields, f.hit.apply.fields))
    return _ROW12.pack(s.table, name, match, wild, write, apply, write_fields, apply_fields,
                       f.metadata_match, f.metadata_write, instructions, f.miss or 0,
                       f.max_entries, s.active, s.lookup, s.matched)


def iterate_table_names(frame: Frame, warn: Warn) -> Iterator[tuple[int, bytes]]:
    """Yields (number, name) of each table that a statistics or features reply tells of.  warn: told
    of miss settings that do not exist."""
    data, version = frame.body, frame.version
    if frame.raw.kind == "OFPST_TABLE_REPLY":
        layout = {OF10: _ROW10, OF11: _ROW11, OF12: _ROW12}.get(version)
        for row in layout.iter_unpack(data) if layout else ():
            if version != OF10:
                _read_miss(row[-5], warn)
            yield row[0], row[1]
        return
    offset = 0
    while len(data) - offset >= 64:
        size = int.from_bytes(data[offset:offset + 2], "big")
        if size < 64:
            return
        yield data[offset + 2], data[offset + 8:offset + 40]
        offset += size


# Features.

_FEATURES = struct.Struct("!HBBI32sQQII")


# Property types: those of a flow that matches are even, of a table miss odd.
_HIT, _MISS = 0, 1
(_INSTRUCTIONS, _NEXT_TABLES, _WRITE_ACTIONS, _APPLY_ACTIONS, _MATCH, _WILDCARDS, _WRITE_FIELDS,
 _APPLY_FIELDS) = range(0, 16, 2)
_REQUIRED = (_INSTRUCTIONS, _NEXT_TABLES, _WRITE_ACTIONS, _APPLY_ACTIONS, _MATCH, _WILDCARDS,
             _WRITE_FIELDS, _APPLY_FIELDS)
_HAVE_MISS = (_INSTRUCTIONS, _NEXT_TABLES, _WRITE_ACTIONS, _APPLY_ACTIONS, _WRITE_FIELDS,
              _APPLY_FIELDS)
COMMANDS = ("replace", "modify", "enable", "disable")
"""What a features request of OpenFlow 1.5 asks for."""


def iterate_table_features(data: bytes, version: int, loose: bool = True,
                           ) -> Iterator[TableFeatures]:
    """Yields each table of a features message.

    loose: pass over what is not known; a request that would change a table must not have it.
    """
    offset = 0
    while offset < len(data):
        if len(data) - offset < 64:
            raise OpenFlowError("OFPBPC_BAD_LEN")
        size = int.from_bytes(data[offset:offset + 2], "big")
        if size < 64 or size % 8 or size > len(data) - offset:
            raise OpenFlowError("OFPBPC_BAD_LEN")
        yield _decode_features(data[offset:offset + size], version, loose)
        offset += size


def rename_features(frame: Frame, table: int, name: bytes) -> bytes | None:
    """The features of a table in a part of a reply, with another name; None if it is not there."""
    if not frame.raw.is_stats:
        return None
    data, offset = frame.body, 0
    while len(data) - offset >= _FEATURES.size:
        size, number, _, features, _, *rest = _FEATURES.unpack_from(data, offset)
        if size < _FEATURES.size:
            return None
        if number == table:
            command = COMMANDS.index("modify") if frame.version >= OF15 else 0
            return _FEATURES.pack(size, table, command, features, name[:31], *rest) + data[
                offset + _FEATURES.size:offset + size]
        offset += size
    return None


def _decode_features(data: bytes, version: int, loose: bool) -> TableFeatures:
    (_, table, command, features, name, metadata_match, metadata_write, capabilities,
     entries) = _FEATURES.unpack_from(data)
    if version < OF15:
        command = 0
    elif command >= len(COMMANDS):
        raise OpenFlowError("OFPTFFC_BAD_COMMAND")
    if table == TABLE_ALL:
        raise OpenFlowError("OFPTFFC_BAD_TABLE")
    found: dict[int, object] = {}
    for prop in read_properties(data[64:], 8):
        if prop.type in found:
            raise OpenFlowError("OFPTFFC_BAD_FEATURES")
        value = _decode_feature(prop, version, loose)
        if prop.type < 32:
            found[prop.type] = value
    missing = [kind for kind in _REQUIRED if kind not in found]
    if missing and (found or version < OF15):
        raise OpenFlowError(
            "OFPTFFC_BAD_FEATURES", f"table features message missing {len(missing)} required "
            f"properties, including property {missing[0]}", "ofp_table")
    if missing:
        found = {kind: 0 if kind == _INSTRUCTIONS else frozenset() for kind in _REQUIRED}
        found[_MATCH] = found[_WILDCARDS] = (frozenset(), frozenset())
    for kind in _HAVE_MISS:
        found.setdefault(kind | _MISS, found[kind])
    hit, missed = (InstructionFeatures(
        found[_NEXT_TABLES | of], found[_INSTRUCTIONS | of],
        ActionFeatures(found[_WRITE_ACTIONS | of], found[_WRITE_FIELDS | of]),
        ActionFeatures(found[_APPLY_ACTIONS | of], found[_APPLY_FIELDS | of]))
        for of in (_HIT, _MISS))
    exact, masked = found[_MATCH]
    match = exact | masked
    eviction = vacancy = None
    if version >= OF14:
        eviction, vacancy = bool(capabilities & EVICTION), bool(capabilities & VACANCY)
    return TableFeatures(table, strip_name(name[:31]), metadata_match, metadata_write, None,
                         eviction, vacancy, entries, hit, missed, match, masked,
                         (found[_WILDCARDS][0] | masked) & match, command)


def _decode_feature(prop: Property, version: int, loose: bool):
    """The value of one property, None if it is not known."""
    if prop.type in (_MATCH, _WILDCARDS):
        exact, masked = _read_fields(prop.body, loose)
        if masked and prop.type == _WILDCARDS:
            raise OpenFlowError("OFPBMC_BAD_MASK")
        return exact, masked
    kind = prop.type & ~_MISS
    if prop.experimenter or kind not in _HAVE_MISS:
        if not loose:
            raise unknown_property(prop, "table features", "ofp_table")
        return None
    if kind == _INSTRUCTIONS:
        types = _read_types(prop.body)
        known = _known_instructions(sum(1 << t for t in types if t < 32), version)
        if not loose:
            _refuse_unknown_instructions(types, known)
        return known
    if kind == _NEXT_TABLES:
        if TABLE_ALL in prop.body:
            raise OpenFlowError("OFPBPC_BAD_VALUE")
        return frozenset(prop.body)
    if kind in (_WRITE_ACTIONS, _APPLY_ACTIONS):
        return actions_from_bits(sum(1 << t for t in _read_types(prop.body) if t < 32), version)
    fields, masked = _read_fields(prop.body, loose)
    if masked:
        raise OpenFlowError("OFPBMC_BAD_MASK")
    return fields


def _refuse_unknown_instructions(types: set[int], known: int) -> None:
    for kind in types:
        if kind > _OTHERS:
            raise OpenFlowError("OFPBIC_BAD_EXPERIMENTER")
        if kind >= 32 or not known >> kind & 1:
            raise OpenFlowError("OFPBIC_UNKNOWN_INST")


_OTHERS = 0xFFFF
"""Types above are those of experimenters."""


def _read_types(data: bytes) -> set[int]:
    """Types of actions or instructions; those of experimenters are above 65535."""
    return {prop.type if not prop.experimenter else _OTHERS + prop.experimenter
            for prop in read_properties(data, 1, _OTHERS + 1)}


def _read_fields(data: bytes, loose: bool) -> tuple[frozenset[str], frozenset[str]]:
    """(fields that match exactly, fields with masks) of a list of OXM headers."""
    from vswitchd.openflow.oxm import pull_header
    exact, masked, offset = set(), set(), 0
    while offset < len(data):
        info, _, _, is_masked, offset = pull_header(data, offset, len(data))
        if info is not None:
            (masked if is_masked else exact).add(info.name)
        elif not loose:
            raise OpenFlowError("OFPBMC_BAD_FIELD")
    return frozenset(exact), frozenset(masked)


def decode_table_features_reply(frame: Frame) -> TableFeaturesReply:
    return TableFeaturesReply(tuple(iterate_table_features(frame.body, frame.version)))


def _put_fields(names: frozenset[str], masked: frozenset[str], version: int) -> bytes:
    from vswitchd.openflow.fields import INFO
    out = b""
    for name in _fields_in_order():
        if name in names:
            info = INFO[name]
            header = (info.masked if name in masked else info.headers)[version]
            if header is not None:
                out += header
    return out


def _encode_features(f: TableFeatures, version: int) -> bytes:
    props = b""
    for miss, features in ((0, f.hit), (1, f.missed)):
        types = [t for t in range(1, 7) if features.instructions >> t & 1
                 and not (t == 6 and version >= 6)]
        props += pack_property(miss, b"".join(struct.pack("!HH", t, 4) for t in types))
        props += pack_property(2 | miss, bytes(sorted(features.next_tables)))
        for kind, which in ((4, features.write), (6, features.apply)):
            bits = actions_to_bits(which.actions, version)
            body = b"".join(struct.pack("!HH", t, 4) for t in range(26) if bits >> t & 1)
            props += pack_property(kind | miss, body)
            props += pack_property(kind + 8 | miss,
                                   _put_fields(which.fields, frozenset(), version))
    props += pack_property(8, _put_fields(f.match, f.mask, version))
    props += pack_property(10, _put_fields(f.wildcard, frozenset(), version))
    capabilities = (EVICTION if f.eviction else 0) | (VACANCY if f.vacancy else 0)
    return _FEATURES.pack(64 + len(props), f.table, f.command, 0, pack_name(f.name, 32),
                          f.metadata_match, f.metadata_write,
                          capabilities if version >= OF14 else 0, f.max_entries) + props


def encode_table_features_reply(value: TableFeaturesReply, version: int):
    return "OFPST_TABLE_FEATURES_REPLY", [_encode_features(f, version) for f in value.tables]


# Text of statistics and features.


def compress_names(names: list[str]) -> str:
    """Joins names that begin alike: `ip_{src,dst}`, and counts: `reg0...reg15`."""
    return " ".join(_compress([name.split("_") for name in names]))


def _compress(names: list[list[str]]) -> list[str]:
    """names: words of each, none empty; runs with the same first word share it."""
    out: list[str] = []
    i = 0
    while i < len(names):
        first = names[i][0]
        j = i + 1
        while j < len(names) and names[j][0] == first:
            j += 1
        run = names[i:j]
        if len(run) == 1 or any(len(name) == 1 for name in run):
            for name in run:
                out.append("_".join(name))
        else:
            out.append(first + "_{" + ",".join(_compress([name[1:] for name in run])) + "}")
        i = j
    return _count_runs(out)


def _count_runs(words: list[str]) -> list[str]:
    """Turns three and more words with rising numbers into `first...last`."""
    out: list[str] = []
    i = 0
    while i < len(words):
        stem, number = _split_number(words[i])
        j = i + 1
        while number is not None and j < len(words) and _split_number(words[j]) == (
                stem, number + j - i):
            j += 1
        out += [f"{words[i]}...{words[j - 1]}"] if j - i > 2 else words[i:j]
        i = j
    return out


def _split_number(word: str) -> tuple[str, int | None]:
    stem = word.rstrip("0123456789")
    return stem, int(word[len(stem):]) if len(stem) < len(word) else None


def _list_fields(names: frozenset[str]) -> str:
    return compress_names([name for name in _fields_in_order() if name in names])


def _list_tables(tables: frozenset[int]) -> str:
    words = []
    numbers = sorted(tables)
    i = 0
    while i < len(numbers):
        j = i
        while j + 1 < len(numbers) and numbers[j + 1] == numbers[j] + 1:
            j += 1
        words.append(str(numbers[i]) if i == j else f"{numbers[i]}-{numbers[j]}")
        i = j + 1
    return ",".join(words)


class TablePrinter:
    """Prints tables one after another, saying 'ditto' for those like the one before."""

    def __init__(self, version: int, table_names: dict[int, str] | None = None,
                 out: list[str] | None = None) -> None:
        """out: what the lines are added to as they come."""
        self._version = version
        self._names = table_names
        self._out: list[str] = [] if out is None else out
        self._n_before = len(self._out)
        self._features: TableFeatures | None = None
        self._stats: TableStats | None = None
        self._ditto: list[int] = []

    def add_features(self, frame: Frame) -> None:
        for features in iterate_table_features(frame.body, frame.version, frame.raw.is_reply):
            self.add(features, None)

    def add(self, features: TableFeatures, stats: TableStats | None) -> None:
        """Prints one more table."""
        before, self._features = self._features, features
        stats_before, self._stats = self._stats, stats
        same = before is not None and _comparable(features) == _comparable(before)
        same_stats = stats is None or (
            stats_before is not None and (stats.active, stats.lookup, stats.matched)
            == (stats_before.active, stats_before.lookup, stats_before.matched))
        if same and same_stats and not features.name:
            self._ditto.append(features.table)
            return
        self._flush()
        self._out.append(f"\n  table {features.table}"
                         if len(self._out) > self._n_before or stats is not None
                         else f"  table {features.table}")
        if features.name:
            self._out.append(f' ("{features.name}")')
        if same and same_stats:
            self._out.append(": ditto")         # without a newline: the next line is near
            return
        self._out.append(":\n")
        if stats is not None:
            self._out.append(f"    active={stats.active}, lookup={stats.lookup}, "
                             f"matched={stats.matched}\n")
        if same:
            if (features.hit.instructions or features.match or features.max_entries
                    or features.miss is not None):
                self._out.append("    (same features)\n")
            return
        self._describe(features, before)

    def _describe(self, f: TableFeatures, before: TableFeatures | None) -> None:
        out = self._out
        if f.metadata_match or f.metadata_write:
            out.append(f"    metadata: match={hash_hex(f.metadata_match)} "
                       f"write={hash_hex(f.metadata_write)}\n")
        if f.miss is not None:
            out.append(f"    config={MISS[f.miss]}\n")
        if f.eviction is not None:
            out.append(f"    eviction: {'' if f.eviction else 'not '}supported\n")
        if f.vacancy is not None:
            out.append(f"    vacancy events: {'' if f.vacancy else 'not '}supported\n")
        if f.max_entries:
            out.append(f"    max_entries={f.max_entries}\n")
        if before is not None and _instructions(f) == _instructions(before):
            if InstructionFeatures() not in (f.hit, f.missed):
                out.append("    (same instructions)\n")
        elif f.hit == f.missed:
            if f.hit != InstructionFeatures():
                out.append("    instructions (table miss and others):\n")
                self._describe_instructions(f.hit, before and before.hit)
        else:
            out.append("    instructions (other than table miss):\n")
            self._describe_instructions(f.hit, before and before.hit)
            out.append("    instructions (table miss):\n")
            self._describe_instructions(f.missed, before and before.missed)
        if not f.match:
            return
        if before is not None and _matching(f) == _matching(before):
            out.append("    (same matching)\n")
            return
        out.append("    matching:\n")
        groups = (("arbitrary mask", f.match & f.mask),
                  ("exact match or wildcard", (f.match - f.mask) & f.wildcard),
                  ("must exact match", f.match - f.mask - f.wildcard))
        for title, names in groups:
            if names:
                out.append(f"      {title}: {_list_fields(names)}\n")

    def _describe_instructions(self, f: InstructionFeatures,
                               before: InstructionFeatures | None) -> None:
        out = self._out
        if f.next_tables and self._version >= OF13:
            out.append(f"      next tables: {_list_tables(f.next_tables)}\n")
        if f.instructions and before is not None and f.instructions == before.instructions:
            out.append("      (same instructions)\n")
        elif f.instructions:
            names = " ".join(name for kind, name in _INSTRUCTION_NAMES
                             if f.instructions >> kind & 1)
            out.append(f"      instructions: {names}\n")
        if f.write == f.apply == ActionFeatures():
            return
        # The reference says so only of tables that can set fields.
        if (before is not None and f.write.fields
                and (f.write, f.apply) == (before.write, before.apply)):
            out.append("      (same actions)\n")
        elif f.write == f.apply:
            out.append("      Write-Actions and Apply-Actions features:\n")
            self._describe_actions(f.write)
        else:
            out.append("      Write-Actions features:\n")
            self._describe_actions(f.write)
            out.append("      Apply-Actions features:\n")
            self._describe_actions(f.apply)

    def _describe_actions(self, f: ActionFeatures) -> None:
        if f.actions:
            self._out.append(f"        actions: {describe_action_names(f.actions)}\n")
        if f.fields:
            self._out.append(f"        supported on Set-Field: {_list_fields(f.fields)}\n")

    def _flush(self) -> None:
        if not self._ditto:
            return
        first, last = self._ditto[0], self._ditto[-1]
        self._out.append(f"\n  tables {first}...{last}: ditto\n" if first != last
                         else f"\n  table {first}: ditto\n")
        self._ditto = []

    def finish(self) -> str:
        self._flush()
        return "".join(self._out[self._n_before:])


def _instructions(f: TableFeatures):
    """Instructions but for the tables that follow, which shift from table to table."""
    return tuple((_next_kind(s.next_tables, f.table), s.instructions, s.write, s.apply)
                 for s in (f.hit, f.missed))


def _next_kind(next_tables: frozenset[int], table: int):
    """Two tables are alike if each can go to all tables after it."""
    return frozenset(t for t in next_tables if t <= table), bool(
        [t for t in next_tables if t > table])


def _matching(f: TableFeatures):
    return f.match, f.mask, f.wildcard


def _comparable(f: TableFeatures):
    return (f.metadata_match, f.metadata_write, f.miss, f.eviction, f.vacancy,
            f.max_entries, _instructions(f), _matching(f))


def show_table_stats_reply(frame: Frame, out: list[str], style: Style) -> None:
    printer = TablePrinter(frame.version, style.table_names, out)
    for stats in iterate_table_stats(frame.body, frame.version, style.warn):
        printer.add(stats.features or TableFeatures(stats.table), stats)
    printer.finish()


def show_table_features(frame: Frame, out: list[str], style: Style) -> None:
    if not frame.body:
        return
    # The headline ends once a table follows it.
    tables: list[str] = []
    printer = TablePrinter(frame.version, style.table_names, tables)
    try:
        printer.add_features(frame)
        printer.finish()
    finally:
        if tables:
            out.append("\n" + "".join(tables))
