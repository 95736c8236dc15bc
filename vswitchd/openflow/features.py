"""What our flow tables can do, in the terms of each OpenFlow version.

Derived from the field table; all tables can do the same but for where they can go next. The reply
to a table features request is more than a megabyte and the same every time (ovs-ofctl asks for it
before it adds a flow), so its encoded parts are kept, and are made of those of one table. Pure;
any thread.
"""

import struct
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from schema.flow.fields import FIELDS, Of1x
from vswitchd.openflow import messages
from vswitchd.openflow.framing import find_raw
from vswitchd.openflow.messages.base import pack_property
from vswitchd.openflow.messages.table import (ActionFeatures, InstructionFeatures, TableFeatures,
                                              TableFeaturesReply, TableStats, TableStatsReply,
                                              encode_table_features_reply)
from vswitchd.openflow.session import OF10, OF11, OF13

N_TABLES = 254                  # tables that are told of
MAX_ENTRIES = 1_000_000
_ALL_ONES = (1 << 64) - 1
_GOTO_TABLE = 0b10
_NEXT_TABLES = (2, 3)           # OFPTFPT_NEXT_TABLES, OFPTFPT_NEXT_TABLES_MISS
_INSTRUCTIONS, _WITH_METER = 0b0111110, 0b1111110

_COMMON = ("dec_mpls_ttl", "dec_ttl", "group", "mod_nw_ttl", "output", "pop_mpls", "push_mpls",
           "push_vlan", "set_mpls_ttl", "set_queue", "strip_vlan")
_ACTIONS_12 = frozenset((*_COMMON, "set_field"))
_ACTIONS_11 = frozenset((*_COMMON, "mod_dl_src", "mod_dl_dst", "mod_nw_src", "mod_nw_dst",
                         "mod_nw_tos", "mod_nw_ecn", "mod_tp_src", "mod_tp_dst", "set_vlan_vid",
                         "set_vlan_pcp", "set_mpls_label", "set_mpls_tc"))
_MATCH_10 = frozenset(("in_port", "eth_src", "eth_dst", "eth_type", "vlan_vid", "vlan_pcp",
                       "ip_src", "ip_dst", "nw_proto", "nw_tos", "tcp_src", "tcp_dst"))
_ON_WIRE = tuple(field for field in FIELDS if field.codes)


def _standard(since: str) -> frozenset[str]:
    return frozenset(field.name for field in _ON_WIRE
                     if any(code.since and code.since <= since for code in field.codes))


@cache
def table_features(table: int, version: int, has_miss: bool = False) -> TableFeatures:
    """What one table can do. `has_miss`: as table statistics tell it, with what a miss does."""
    miss = 0 if has_miss and version > OF10 else None
    if version == OF10:
        return TableFeatures(table, max_entries=MAX_ENTRIES, match=_MATCH_10, wildcard=_MATCH_10)
    if version == OF11:
        fields = frozenset(field.name for field in FIELDS if field.of11 is not Of1x.NONE)
        mask = frozenset(field.name for field in FIELDS if field.of11 is Of1x.BITWISE)
        settable, actions, metadata = frozenset(), _ACTIONS_11, 0
    else:
        # Later fields that were OXM fields from the first are told of too.
        fields = (_standard("1.2") | {"mpls_bos", "packet_type"} if version < OF13
                  else frozenset(field.name for field in _ON_WIRE))
        mask = frozenset(field.name for field in _ON_WIRE
                         if field.maskable and field.name in fields)
        settable = frozenset(field.name for field in _ON_WIRE
                             if field.writable and field.name in fields)
        actions, metadata = _ACTIONS_12, _ALL_ONES
    apply = ActionFeatures(actions, settable)
    is_last = table + 1 == N_TABLES
    instructions = _WITH_METER if version in (OF13, OF13 + 1) else _INSTRUCTIONS
    flow = InstructionFeatures(
        frozenset() if is_last else frozenset(range(table + 1, N_TABLES)),
        instructions & ~_GOTO_TABLE if is_last else instructions, apply, apply)
    newer = False if version > OF13 else None
    return TableFeatures(table, "", metadata, metadata, miss, newer, newer, MAX_ENTRIES, flow, flow,
                         fields, mask, fields)


@cache
def encoded_reply(version: int) -> tuple[bytes, ...]:
    """The parts of the reply to a table features request; their transaction id is 0."""
    first, last = encode_table_features_reply(TableFeaturesReply(
        (table_features(0, version), table_features(N_TABLES - 1, version))), version)[1]
    entries = []
    for table in range(N_TABLES - 1):
        entry = first[3:]
        for kind in _NEXT_TABLES:
            entry = entry.replace(_next_tables(kind, 0), _next_tables(kind, table))
        entries.append(struct.pack("!HB", len(entry) + 3, table) + entry)
    raw = find_raw("OFPST_TABLE_FEATURES_REPLY", version)
    return tuple(messages.pack_entries(raw, version, 0, [*entries, last]))


class _Counts(NamedTuple):
    """How long the head of a reply is, each table's entry, and what is before its counters."""

    head: int
    size: int
    at: int


# Where statistics of tables that have a common form have their counters: 32, 64, 64 bits.
_COUNTS = {OF10: _Counts(12, 64, 44)} | {version: _Counts(16, 24, 4)
                                         for version in (OF13, OF13 + 1, OF13 + 2)}
_COUNTERS = struct.Struct("!IQQ")
_NOTHING = (0, 0, 0)


@cache
def _encoded_stats(version: int) -> bytes:
    """Table statistics without anything counted."""
    return messages.encode(TableStatsReply(tuple(
        TableStats(table, 0, 0, 0, table_features(table, version, True)
                   if version < OF13 else None) for table in range(N_TABLES))), version, 0)


def encode_stats(version: int, counters: Sequence[tuple[int, int, int]]) -> bytes | None:
    """Table statistics of plain tables by (rules, lookups, matches) of each, with transaction id 0;
    None if `version` has them in a form of its own."""
    where = _COUNTS.get(version)
    if where is None:
        return None
    reply = bytearray(_encoded_stats(version))
    for table, row in enumerate(counters):
        if row != _NOTHING:
            _COUNTERS.pack_into(reply, where.head + table * where.size + where.at,
                                *(min(row[0], 0xffffffff), *row[1:]))
    return bytes(reply)


def _next_tables(kind: int, table: int) -> bytes:
    """The property that tells where one can go from a table, hit or missed."""
    return pack_property(kind, bytes(range(table + 1, N_TABLES)))
