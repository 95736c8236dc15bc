"""The groups of a bridge: group_mods in, descriptions and statistics out.

As with rules the library's table is the only truth; a group keeps its description as opaque source
bytes. Control task only.
"""

import marshal
import struct
from collections.abc import Iterable

from datapath import face
from ovsdb_server import vlog
from schema.flow.seam import SEAM
from schema.openflow.limits import BUCKET_ALL, BUCKET_MAX, GROUP_ALL, GROUP_ANY, PORT_NONE
from schema.openflow.messages import OF10
from vswitchd.openflow import source
from vswitchd.openflow.action_types import Actions
from vswitchd.openflow.compile import compile_actions
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import INFO
from vswitchd.openflow.features import table_features
from vswitchd.openflow.messages.group import (Bucket, GroupDesc, GroupFeaturesReply, GroupMod,
                                              GroupStats, Selection)
from vswitchd.openflow.messages.table import ACTIONS10, actions_to_bits
from vswitchd.openflow.selection import describe_selection

_ANY = face.ANY
_NOBODY = 0xfffffffd            # A number that no group has.
_dpif = vlog.module("ofproto_dpif")
_METHODS = {"": SEAM["GROUP_METHOD_DEFAULT"], "dp_hash": SEAM["GROUP_METHOD_DP_HASH"],
            "hash": SEAM["GROUP_METHOD_HASH"]}
_HASH_FIELD = struct.Struct("BB16s2x")
_MAX_FIELD = 16                 # bytes of a field's value
_MAX_GROUPS = 0xffffff00
# Bit masks as on the wire: all types; select weight, select and fast failover liveness, chaining.
_TYPES, _CAPABILITIES = 0xf, 0x7


def _pack(desc: GroupDesc) -> bytes:
    selection = desc.selection
    return marshal.dumps((desc.type, selection.method, selection.parameter, selection.fields, tuple(
        (row.bucket_id, source.pack(row.actions), row.weight, row.watch_port, row.watch_group)
        for row in desc.buckets)))


def unpack(group: face.Group) -> GroupDesc:
    """What a dumped group was made of."""
    kind, method, parameter, fields, buckets = marshal.loads(group.source)
    return GroupDesc(group.group, kind, tuple(
        Bucket(number, source.unpack(actions), weight, port, other)
        for number, actions, weight, port, other in buckets), Selection(method, parameter, fields))


def find(bridge: int, number: int) -> GroupDesc | None:
    """A group's description."""
    return next((unpack(row) for row in face.groups(bridge, number)), None)


def bucket_actions(bridge: int, number: int, index: int) -> Actions:
    """The actions of a bucket; none if there is no such bucket any more."""
    group = find(bridge, number)
    return group.buckets[index].actions if group and index < len(group.buckets) else ()


def _wanted(number: int) -> int:
    """The group or groups that a message means, as the library names them: OFPG_ANY are none."""
    return _ANY if number == GROUP_ALL else _NOBODY if number == GROUP_ANY else number


def descriptions(bridge: int, number: int = GROUP_ALL) -> tuple[GroupDesc, ...]:
    """Descriptions of all groups, or of one."""
    return tuple(map(unpack, face.groups(bridge, _wanted(number))))


def statistics(bridge: int, number: int, now_ms: int) -> tuple[GroupStats, ...]:
    """Counters of all groups, or of one."""
    found = []
    for row in face.groups(bridge, _wanted(number)):
        seconds, rest = divmod(max(0, now_ms - row.created_ms), 1000)
        found.append(GroupStats(row.group, row.ref_count, row.n_packets, row.n_bytes,
                                (seconds, rest * 1_000_000), row.buckets))
    return tuple(found)


def features(version: int) -> GroupFeaturesReply:
    """What groups can be."""
    # In OpenFlow 1.0 tables do not tell of actions.
    names = (frozenset(ACTIONS10) if version == OF10
             else table_features(0, version).hit.apply.actions)
    actions = actions_to_bits(names, version)
    return GroupFeaturesReply(_TYPES, _CAPABILITIES, (_MAX_GROUPS,) * 4, (actions,) * 4)


def _numbered(buckets: tuple[Bucket, ...]) -> tuple[Bucket, ...]:
    """Buckets with ids of their own where the version has none."""
    used, found, number = {row.bucket_id for row in buckets}, [], 0
    for row in buckets:
        if row.bucket_id >= 0xffffff00:
            while number in used:
                number += 1
            used.add(number)
            row = Bucket(number, row.actions, row.weight, row.watch_port, row.watch_group)
        found.append(row)
    return tuple(found)


def _merged(bridge: int, mod: GroupMod) -> GroupDesc:
    """A group after insert_bucket or remove_bucket. Raises OpenFlowError."""
    old = find(bridge, mod.group)
    if old is None:
        raise OpenFlowError("OFPGMFC_UNKNOWN_GROUP")
    rows = list(old.buckets)
    place = next((index for index, row in enumerate(rows)
                  if row.bucket_id == mod.command_bucket), None)
    first, last = 0xfffffffd, 0xfffffffe
    if mod.command == "insert_bucket":
        if place is None and mod.command_bucket <= BUCKET_MAX:
            raise OpenFlowError("OFPGMFC_UNKNOWN_BUCKET")
        if any(new.bucket_id == row.bucket_id for new in mod.buckets for row in rows):
            raise OpenFlowError("OFPGMFC_BUCKET_EXISTS")
        place = len(rows) if mod.command_bucket == last else 0 if place is None else place + 1
        rows[place:place] = mod.buckets
    elif mod.command_bucket == BUCKET_ALL:
        rows = []
    elif mod.command_bucket == first:
        rows = rows[1:]
    elif mod.command_bucket == last:
        rows = rows[:-1]
    elif place is None:
        raise OpenFlowError("OFPGMFC_UNKNOWN_BUCKET")
    else:
        del rows[place]
    return GroupDesc(mod.group, old.type, tuple(rows), old.selection)


def change_of(bridge: int, mod: GroupMod) -> face.GroupChange:
    """A group_mod as a change of the library's table. Raises OpenFlowError."""
    if mod.command == "delete":
        return face.GroupChange(bridge, SEAM["GROUP_DELETE"], 0,
                                _wanted(mod.group))
    if mod.group > _MAX_GROUPS:
        raise OpenFlowError("OFPGMFC_INVALID_GROUP" if mod.command in ("add", "add_or_mod")
                            else "OFPGMFC_UNKNOWN_GROUP")
    command = SEAM["GROUP_ADD"] if mod.command == "add" else SEAM["GROUP_MODIFY"]
    if mod.command == "add_or_mod":
        command = SEAM["GROUP_MODIFY" if find(bridge, mod.group) else "GROUP_ADD"]
    if mod.command in ("insert_bucket", "remove_bucket"):
        desc = _merged(bridge, mod)
    else:
        desc = GroupDesc(mod.group, mod.type, _numbered(mod.buckets), mod.selection)
        if desc.type == SEAM["GROUP_INDIRECT"] and len(desc.buckets) != 1:
            raise OpenFlowError("OFPGMFC_INVALID_GROUP")
    buckets = []
    for row in desc.buckets:
        # A bucket has no match that could say what its packets are: its actions pass over packets
        # that have not what they change.
        buckets.append(face.Bucket(row.bucket_id, row.weight,
                                   _ANY if row.watch_port == PORT_NONE else row.watch_port,
                                   row.watch_group, compile_actions(row.actions)))
    return face.GroupChange(bridge, command, desc.type, desc.group, tuple(buckets), _pack(desc),
                            _METHODS.get(desc.selection.method, 0), desc.selection.parameter,
                            _fields(desc.selection))


def _fields(selection: Selection) -> bytes:
    """The fields of the hash method as struct hash_field.

    Those without a place of their own (tunnel options) are passed over.
    """
    rows = sorted((INFO[name].id, INFO[name].size, mask) for name, mask in selection.fields
                  if not INFO[name].variable)
    return b"".join(_HASH_FIELD.pack(number, size, mask.to_bytes(_MAX_FIELD, "big"))
                    for number, size, mask in rows)


def as_done(bridge: int, mods: Iterable[GroupMod]) -> list[GroupMod]:
    """The group_mods that are about to be carried out, as others hear of them: who asks to add or
    to modify does one of both."""
    done, there = [], {}
    for mod in mods:
        if mod.command == "add_or_mod":
            is_there = there.get(mod.group, find(bridge, mod.group) is not None)
            mod = mod.replace(command="modify" if is_there else "add")
        there[mod.group] = mod.command != "delete"
        done.append(mod)
    return done


def tell(change: face.GroupChange) -> None:
    """Logs how a select group that has been made or changed chooses its buckets."""
    if (_dpif.is_dbg and change.command != SEAM["GROUP_DELETE"]
            and change.type == SEAM["GROUP_SELECT"]):
        group = unpack(face.Group(change.group, 0, 0, 0, 0, (), change.source))
        for line in describe_selection(group):
            _dpif.dbg(line)


def apply(dp: int, bridge: int, mod: GroupMod) -> None:
    """Carries out a group_mod. Raises OpenFlowError."""
    change = change_of(bridge, mod)
    version = face.version_open(dp)
    try:
        face.groups_stage(version, [change])
    except face.RuleError as error:
        face.version_abort(version)
        raise OpenFlowError(error.name) from None
    except BaseException:
        face.version_abort(version)
        raise
    face.version_commit(version)
    tell(change)
