"""Groups: modification, description, statistics, features.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
OpenFlow 1.0 has them as Nicira extensions in the layout of 1.5.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from schema.openflow.limits import (
    BUCKET_ALL, BUCKET_FIRST, BUCKET_LAST, BUCKET_MAX, GROUP_ALL, GROUP_ANY, GROUP_MAX, PORT_NONE,
)
from schema.openflow.messages import OF10, OF11, OF12, OF13, OF15
from vswitchd.openflow.actions import decode_actions, encode_actions
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.messages.base import (
    Style, format_duration, hash_hex, pack_property, port_from_wire, port_to_wire,
    read_properties,
)
from vswitchd.openflow.oxm import pull_entry, put_entry
from vswitchd.openflow.text import format_actions

TYPES = ("all", "select", "indirect", "ff")
COMMANDS = {"add": 0, "modify": 1, "delete": 2, "insert_bucket": 3, "remove_bucket": 5,
            "add_or_mod": 0x8000}
_COMMAND_NAMES = {number: name for name, number in COMMANDS.items()}
_SHOWN = {"add": "ADD", "modify": "MOD", "delete": "DEL", "insert_bucket": "INSERT_BUCKET",
          "remove_bucket": "REMOVE_BUCKET", "add_or_mod": "ADD_OR_MOD"}
_NTR_VENDOR = 0x0000154D


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket.  watch_port: PORT_NONE for none; watch_group: GROUP_ANY for none."""

    bucket_id: int
    actions: tuple
    weight: int = 0
    watch_port: int = PORT_NONE
    watch_group: int = GROUP_ANY


@dataclass(frozen=True, slots=True)
class Selection:
    """How a select group chooses: method, parameter, fields as (name, mask) in their order."""

    method: str = ""
    parameter: int = 0
    fields: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class GroupMod:
    """OFPT_GROUP_MOD or NXT_GROUP_MOD.  command: key of COMMANDS; type: index of TYPES."""

    command: str
    group: int
    type: int = 0
    buckets: tuple[Bucket, ...] = ()
    command_bucket: int = BUCKET_ALL
    selection: Selection = Selection()


# Buckets.


def _decode_buckets11(data: bytes, version: int) -> tuple[Bucket, ...]:
    buckets, offset = [], 0
    while offset < len(data):
        if len(data) - offset < 16:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"buckets end with {len(data) - offset} leftover bytes",
                                "ofp_group")
        size, weight, port, group = struct.unpack_from("!HHII", data, offset)
        if size < 16:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"OpenFlow message bucket length {size} is not valid",
                                "ofp_group")
        if size > len(data) - offset:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"OpenFlow message bucket length {size} exceeds remaining buckets "
                                f"data size {len(data) - offset}", "ofp_group")
        actions = decode_actions(data, version, offset + 16, offset + size)
        try:
            watch = port_from_wire(port)
        except OpenFlowError as error:
            raise OpenFlowError("OFPGMFC_BAD_WATCH", error.reason, error.module) from None
        buckets.append(Bucket(len(buckets), actions, weight, watch, group))
        offset += size
    return tuple(buckets)


def _decode_buckets15(data: bytes, version: int, kind: int) -> tuple[Bucket, ...]:
    buckets, offset = [], 0
    while offset < len(data):
        left = len(data) - offset
        if left < 8:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"buckets end with {left} leftover bytes", "ofp_group")
        size, actions_size, bucket_id = struct.unpack_from("!HHI", data, offset)
        if size < 8:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"OpenFlow message bucket length {size} is not valid",
                                "ofp_group")
        if size > left:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"OpenFlow message bucket length {size} exceeds remaining buckets "
                                f"data size {left}", "ofp_group")
        end = offset + size
        start = offset + 8
        if actions_size > size - 8:
            raise OpenFlowError("OFPBAC_BAD_LEN",
                                f"OpenFlow message bucket actions length {actions_size} exceeds "
                                f"remaining bucket data size {size - 8}", "ofp_group")
        actions = decode_actions(data, version, start, start + actions_size)
        weight, watch_port, watch_group = (1 if kind == 1 else 0), PORT_NONE, GROUP_ANY
        for prop in read_properties(data[start + actions_size:end], 8):
            if prop.type == 0:
                weight = int.from_bytes(_sized(prop, 4)[:2], "big")
            elif prop.type == 1:
                watch_port = port_from_wire(int.from_bytes(_sized(prop, 4), "big"))
            elif prop.type == 2:
                watch_group = int.from_bytes(_sized(prop, 4), "big")
            elif prop.type < 0xFFFE:
                raise OpenFlowError("OFPBPC_BAD_TYPE",
                                    f"unknown group bucket property type {prop.type}",
                                    "ofp_group")
        if bucket_id > BUCKET_MAX:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"bucket id ({bucket_id}) is out of range", "ofp_group")
        if any(bucket.bucket_id == bucket_id for bucket in buckets):
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"Duplicate bucket id {bucket_id}", "ofp_group")
        buckets.append(Bucket(bucket_id, actions, weight, watch_port, watch_group))
        offset = end
    return tuple(buckets)


def _sized(prop, size: int) -> bytes:
    if len(prop.body) != size:
        raise OpenFlowError("OFPBPC_BAD_LEN")
    return prop.body


def _encode_buckets11(buckets: tuple[Bucket, ...], version: int) -> bytes:
    out = b""
    for b in buckets:
        actions = encode_actions(b.actions, version)
        out += struct.pack("!HHII4x", 16 + len(actions), b.weight, port_to_wire(b.watch_port),
                           b.watch_group) + actions
    return out


def _encode_buckets15(buckets: tuple[Bucket, ...], version: int, kind: int | None) -> bytes:
    out = b""
    for b in buckets:
        actions = encode_actions(b.actions, version)
        props = b""
        if kind in (1, None):
            props += pack_property(0, struct.pack("!H2x", b.weight))
        if b.watch_port != PORT_NONE:
            props += pack_property(1, struct.pack("!I", port_to_wire(b.watch_port)))
        if b.watch_group != GROUP_ANY:
            props += pack_property(2, struct.pack("!I", b.watch_group))
        out += struct.pack("!HHI", 8 + len(actions) + len(props), len(actions),
                           b.bucket_id) + actions + props
    return out


# Selection method: a property of the Netronome vendor.


def _decode_selection(data: bytes, kind: int, command: int, version: int) -> Selection:
    selection = Selection()
    for prop in read_properties(data, 8):
        if prop.type != 0xFFFF or prop.experimenter != _NTR_VENDOR:
            if prop.type == 0xFFFF:
                raise OpenFlowError("OFPBPC_BAD_EXPERIMENTER")
            raise OpenFlowError("OFPBPC_BAD_TYPE",
                                f"unknown group property type {prop.type}", "ofp_group")
        if prop.exp_type != 1:
            raise OpenFlowError("OFPBPC_BAD_EXP_TYPE",
                                f"ntr selection method property has unknown type "
                                f"{prop.exp_type}", "ofp_group")
        if kind != 1:
            raise OpenFlowError("OFPBPC_BAD_VALUE",
                                "ntr selection method property is only allowed for select groups",
                                "ofp_group")
        if command not in (0, 1, 0x8000):
            raise OpenFlowError("OFPBPC_BAD_VALUE",
                                "ntr selection method property is only allowed for add and delete "
                                "group modifications", "ofp_group")
        body = prop.body
        if len(body) < 28:
            raise OpenFlowError("OFPBPC_BAD_LEN",
                                "ntr selection method property length is not valid", "ofp_group")
        name = body[4:20]
        if b"\0" not in name:
            raise OpenFlowError("OFPBPC_BAD_VALUE",
                                "ntr selection method is not null terminated", "ofp_group")
        method = name.split(b"\0")[0].decode("ascii", "replace")
        if method not in ("hash", "dp_hash"):
            raise OpenFlowError("OFPBPC_BAD_VALUE",
                                f"ntr selection method '{method}' is not supported", "ofp_group")
        parameter = int.from_bytes(body[20:28], "big")
        fields, at = [], 28
        while at < len(body):
            info, value, mask, at = _pull_selected(body, at)
            fields.append((info.name, value))
        if fields and method != "hash":
            raise OpenFlowError("OFPBPC_BAD_VALUE",
                                f"ntr selection method {method} does not support fields",
                                "ofp_group")
        selection = Selection(method, parameter, tuple(fields))
    return selection


def _pull_selected(body: bytes, at: int):
    try:
        return pull_entry(body, at, len(body), False)
    except OpenFlowError:
        raise OpenFlowError("OFPBPC_BAD_VALUE") from None


def _encode_selection(selection: Selection, version: int) -> bytes:
    if not selection.method:
        return b""
    from vswitchd.openflow.fields import INFO
    fields = b"".join(put_entry(INFO[name], version if version >= 3 else 0, mask, INFO[name].full)
                      for name, mask in selection.fields)
    body = struct.pack("!II4x16sQ", _NTR_VENDOR, 1, selection.method.encode()[:15],
                       selection.parameter) + fields
    return pack_property(0xFFFF, body)


# Modification.


def decode_group_mod(frame: Frame) -> GroupMod:
    body, version = frame.body, frame.version
    command, kind, group = struct.unpack_from("!HBxI", body)
    new_layout = version >= OF15 or frame.raw.space == "NXT"
    if command not in _COMMAND_NAMES:
        raise OpenFlowError("OFPGMFC_BAD_COMMAND")
    selection = Selection()
    command_bucket = BUCKET_ALL
    if new_layout:
        size, command_bucket = struct.unpack_from("!H2xI", body, 8)
        if len(body) < 16 + size:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET")
        if command in (3, 5):
            if (command_bucket > BUCKET_MAX and command_bucket not in
                    ((BUCKET_FIRST, BUCKET_LAST) if command == 3 else
                     (BUCKET_FIRST, BUCKET_LAST, BUCKET_ALL))):
                raise OpenFlowError("OFPGMFC_UNKNOWN_BUCKET",
                                    f"command bucket id ({command_bucket}) is out of range",
                                    "ofp_group")
        buckets = _decode_buckets15(body[16:16 + size], version, kind)
        selection = _decode_selection(body[16 + size:], kind, command, version)
    else:
        buckets = _decode_buckets11(body[8:], version)
    value = GroupMod(_COMMAND_NAMES[command], group, kind, buckets, command_bucket, selection)
    _check_mod(value)
    return value


def _check_mod(value: GroupMod) -> None:
    """What cannot be right whatever groups there are."""
    command, kind, buckets = value.command, value.type, value.buckets
    if value.group > GROUP_MAX and (command != "delete" or value.group != GROUP_ALL):
        raise OpenFlowError("OFPGMFC_INVALID_GROUP")
    if kind > 3:
        raise OpenFlowError("OFPGMFC_BAD_TYPE")
    if command == "delete" and buckets:
        raise OpenFlowError("OFPGMFC_INVALID_GROUP")
    if command in ("insert_bucket", "remove_bucket", "delete"):
        return
    if kind == 2 and len(buckets) != 1:
        raise OpenFlowError("OFPGMFC_INVALID_GROUP")
    for b in buckets:
        if b.weight and kind != 1:
            raise OpenFlowError("OFPGMFC_INVALID_GROUP")
        if b.watch_port == PORT_NONE and b.watch_group == GROUP_ANY and kind == 3:
            raise OpenFlowError("OFPGMFC_INVALID_GROUP")


def encode_group_mod(value: GroupMod, version: int):
    command = COMMANDS[value.command]
    head = struct.pack("!HBxI", command, value.type, value.group)
    if OF11 <= version < OF15:
        return "OFPT_GROUP_MOD", head + _encode_buckets11(value.buckets, version)
    weighted = value.type if value.command not in ("insert_bucket",) else None
    if value.command == "insert_bucket" and not any(b.weight for b in value.buckets):
        weighted = value.type
    buckets = _encode_buckets15(value.buckets, version, weighted)
    body = head + struct.pack("!H2xI", len(buckets), value.command_bucket) + buckets
    body += _encode_selection(value.selection, version)
    return ("NXT_GROUP_MOD" if version == OF10 else "OFPT_GROUP_MOD"), body


def format_group_id(group: int) -> str:
    if group == GROUP_ALL:
        return "ALL"
    if group == GROUP_ANY:
        return "ANY"
    return str(group)


def _format_bucket_id(bucket: int) -> str:
    names = {BUCKET_FIRST: "first", BUCKET_LAST: "last", BUCKET_ALL: "all"}
    return names.get(bucket, str(bucket))


def format_group(group: int, kind: int | None, buckets, selection: Selection, style: Style,
                 new_layout: bool, suppress_type: bool = False) -> str:
    """`group_id=1,type=all,bucket=...`, as commands take it and dumps print it."""
    text = f"group_id={group}"
    if not suppress_type and kind is not None:
        text += f",type={TYPES[kind] if kind < len(TYPES) else 'unknown'}"
    if selection.method:
        text += f",selection_method={selection.method}"
        if selection.parameter:
            text += f",selection_method_param={selection.parameter}"
        text += _format_fields(selection.fields)
    for b in buckets:
        text += ",bucket="
        words = []
        if new_layout and b.bucket_id <= BUCKET_MAX:
            words.append(f"bucket_id:{b.bucket_id}")
        if b.weight != (1 if kind == 1 else 0):
            words.append(f"weight:{b.weight}")
        if b.watch_port != PORT_NONE:
            words.append(f"watch_port:{style.port(b.watch_port)}")
        if b.watch_group != GROUP_ANY:
            words.append(f"watch_group:{b.watch_group}")
        words.append("actions=" + format_actions(b.actions, style.port_names, style.table_names))
        text += ",".join(words)
    return text


def _format_fields(fields: tuple[tuple[str, int], ...]) -> str:
    if not fields:
        return ""
    from vswitchd.openflow.fields import INFO
    from vswitchd.openflow.value_text import format_value
    words = []
    for name, mask in fields:
        info = INFO[name]
        words.append(name if mask in (info.full, info.significant)
                     else f"{name}={format_value(info, mask)}")
    return ",fields" + ("=" + words[0] if len(words) == 1 and "=" not in words[0]
                        else "(" + ",".join(words) + ")")


def show_group_mod(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_group_mod(frame)
    new_layout = frame.version >= OF15 or frame.version == OF10
    text = f"\n {_SHOWN[value.command]} "
    if value.command in ("insert_bucket", "remove_bucket") and new_layout:
        text = f"\n {_SHOWN[value.command]} command_bucket_id:"
        text += _format_bucket_id(value.command_bucket) + ","
    text += format_group(value.group, value.type, value.buckets, value.selection, style,
                         new_layout, value.command in ("insert_bucket", "remove_bucket"))
    out.append(text)


# Descriptions.


@dataclass(frozen=True, slots=True)
class GroupDescRequest:
    """OFPST_GROUP_DESC or NXST_GROUP_DESC request.  group: GROUP_ALL for all."""

    group: int = GROUP_ALL


@dataclass(frozen=True, slots=True)
class GroupDesc:
    """One group as it was made."""

    group: int
    type: int
    buckets: tuple[Bucket, ...]
    selection: Selection = Selection()


@dataclass(frozen=True, slots=True)
class GroupDescReply:
    """OFPST_GROUP_DESC or NXST_GROUP_DESC reply."""

    groups: tuple[GroupDesc, ...]


def decode_group_desc_request(frame: Frame) -> GroupDescRequest:
    if frame.body:
        return GroupDescRequest(int.from_bytes(frame.body[:4], "big"))
    return GroupDescRequest()


def encode_group_desc_request(value: GroupDescRequest, version: int):
    if version == OF10:
        return "NXST_GROUP_DESC_REQUEST", struct.pack("!I4x", value.group)
    body = struct.pack("!I4x", value.group) if version >= OF15 else b""
    return "OFPST_GROUP_DESC_REQUEST", body


def show_group_request(frame: Frame, out: list[str], style: Style) -> None:
    group = int.from_bytes(frame.body[:4], "big") if frame.body else GROUP_ALL
    out.append(f" group_id={format_group_id(group)}")


def iterate_group_descs(frame: Frame) -> Iterator[GroupDesc]:
    """Yields each group of a description reply."""
    data, version, offset = frame.body, frame.version, 0
    new_layout = version >= OF15 or version == OF10
    head = 16 if new_layout else 8
    while offset < len(data):
        left = len(data) - offset
        if left < head:
            raise OpenFlowError("OFPBRC_BAD_LEN",
                                f"OFPST11_GROUP_DESC reply has {left} leftover bytes at end",
                                "ofp_group")
        size, kind, group = struct.unpack_from("!HBxI", data, offset)
        if size < head or size > left:
            raise OpenFlowError("OFPBRC_BAD_LEN",
                                f"OFPST11_GROUP_DESC reply claims invalid length {size}",
                                "ofp_group")
        entry = data[offset + head:offset + size]
        if new_layout:
            buckets_size = int.from_bytes(data[offset + 8:offset + 10], "big")
            if buckets_size > len(entry):
                raise OpenFlowError("OFPBRC_BAD_LEN")
            buckets = _decode_buckets15(entry[:buckets_size], version, kind)
            selection = _decode_selection(entry[buckets_size:], kind, 0, version)
        else:
            buckets, selection = _decode_buckets11(entry, version), Selection()
        yield GroupDesc(group, kind, buckets, selection)
        offset += size


def decode_group_desc_reply(frame: Frame) -> GroupDescReply:
    return GroupDescReply(tuple(iterate_group_descs(frame)))


def _encode_desc(desc: GroupDesc, version: int) -> bytes:
    if OF11 <= version < OF15:
        buckets = _encode_buckets11(desc.buckets, version)
        return struct.pack("!HBxI", 8 + len(buckets), desc.type, desc.group) + buckets
    buckets = _encode_buckets15(desc.buckets, version, desc.type)
    tail = buckets + _encode_selection(desc.selection, version)
    return struct.pack("!HBxIH6x", 16 + len(tail), desc.type, desc.group, len(buckets)) + tail


def encode_group_desc_reply(value: GroupDescReply, version: int):
    kind = "NXST" if version == OF10 else "OFPST"
    return f"{kind}_GROUP_DESC_REPLY", [_encode_desc(desc, version) for desc in value.groups]


def show_group_desc_reply(frame: Frame, out: list[str], style: Style) -> None:
    new_layout = frame.version >= OF15 or frame.version == OF10
    for desc in iterate_group_descs(frame):
        out.append("\n " + format_group(desc.group, desc.type, desc.buckets, desc.selection,
                                        style, new_layout))


# Statistics.


@dataclass(frozen=True, slots=True)
class GroupStatsRequest:
    """OFPST_GROUP or NXST_GROUP request."""

    group: int = GROUP_ALL


@dataclass(frozen=True, slots=True)
class GroupStats:
    """Counters of one group.  buckets: (packets, bytes) each; duration from 1.3 on."""

    group: int
    ref_count: int = 0
    packets: int = 0
    bytes: int = 0
    duration: tuple[int, int] | None = (0, 0)
    buckets: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class GroupStatsReply:
    """OFPST_GROUP or NXST_GROUP reply."""

    stats: tuple[GroupStats, ...]


def decode_group_stats_request(frame: Frame) -> GroupStatsRequest:
    return GroupStatsRequest(int.from_bytes(frame.body[:4], "big"))


def encode_group_stats_request(value: GroupStatsRequest, version: int):
    kind = "NXST" if version == OF10 else "OFPST"
    return f"{kind}_GROUP_REQUEST", struct.pack("!I4x", value.group)


def iterate_group_stats(frame: Frame) -> Iterator[GroupStats]:
    """Yields the counters of each group."""
    data, version, offset = frame.body, frame.version, 0
    timed = version >= OF13 or version == OF10
    head = 40 if timed else 32
    while offset < len(data):
        left = len(data) - offset
        if left < head:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        size, group, refs, packets, octets = struct.unpack_from("!H2xII4xQQ", data, offset)
        if size < head or size > left or (size - head) % 16:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        duration = struct.unpack_from("!II", data, offset + 32) if timed else None
        buckets = tuple(struct.iter_unpack("!QQ", data[offset + head:offset + size]))
        yield GroupStats(group, refs, packets, octets, duration, buckets)
        offset += size


def decode_group_stats_reply(frame: Frame) -> GroupStatsReply:
    return GroupStatsReply(tuple(iterate_group_stats(frame)))


def _encode_stats(s: GroupStats, version: int) -> bytes:
    timed = version >= OF13 or version == OF10
    tail = struct.pack("!II", *(s.duration or (0, 0))) if timed else b""
    tail += b"".join(struct.pack("!QQ", *bucket) for bucket in s.buckets)
    return struct.pack("!H2xII4xQQ", 32 + len(tail), s.group, s.ref_count, s.packets,
                       s.bytes) + tail


def encode_group_stats_reply(value: GroupStatsReply, version: int):
    kind = "NXST" if version == OF10 else "OFPST"
    return f"{kind}_GROUP_REPLY", [_encode_stats(stats, version) for stats in value.stats]


def show_group_stats_reply(frame: Frame, out: list[str], style: Style) -> None:
    for s in iterate_group_stats(frame):
        text = f"\n group_id={s.group},"
        if s.duration is not None:
            text += f"duration={format_duration(*s.duration)}s,"
        text += f"ref_count={s.ref_count},packet_count={s.packets},byte_count={s.bytes}"
        for index, (packets, octets) in enumerate(s.buckets):
            text += f",bucket{index}:packet_count={packets},byte_count={octets}"
        out.append(text)


# Features.

CAPABILITIES = ((1, "weight"), (2, "liveness"), (4, "chaining"), (8, "chaining-check"))


@dataclass(frozen=True, slots=True)
class GroupFeaturesRequest:
    """OFPST_GROUP_FEATURES or NXST_GROUP_FEATURES request."""


@dataclass(frozen=True, slots=True)
class GroupFeaturesReply:
    """What groups the switch can have.  max_groups, actions: per type, in the order of TYPES;
    types and actions are bit masks as on the wire."""

    types: int
    capabilities: int
    max_groups: tuple[int, int, int, int]
    actions: tuple[int, int, int, int]


def decode_group_features_request(frame: Frame) -> GroupFeaturesRequest:
    return GroupFeaturesRequest()


def encode_group_features_request(value: GroupFeaturesRequest, version: int):
    kind = "NXST" if version < OF12 else "OFPST"
    return f"{kind}_GROUP_FEATURES_REQUEST", b""


def decode_group_features_reply(frame: Frame) -> GroupFeaturesReply:
    numbers = struct.unpack("!10I", frame.body)
    return GroupFeaturesReply(numbers[0], numbers[1], numbers[2:6], numbers[6:10])


def encode_group_features_reply(value: GroupFeaturesReply, version: int):
    kind = "NXST" if version < OF12 else "OFPST"
    return f"{kind}_GROUP_FEATURES_REPLY", struct.pack(
        "!10I", value.types, value.capabilities, *value.max_groups, *value.actions)


def show_group_features_reply(frame: Frame, out: list[str], style: Style) -> None:
    from vswitchd.openflow.messages.table import describe_actions
    value = decode_group_features_reply(frame)
    titles = ("all", "select", "indirect", "fast failover")
    out.append(f"\n Group table:\n    Types:  {hash_hex(value.types)}\n"
               f"    Capabilities:  {hash_hex(value.capabilities)}\n")
    for index, title in enumerate(titles):
        if value.types >> index & 1:
            out.append(f"    {title} group:\n       max_groups={value.max_groups[index]:#x}\n"
                       f"       actions: {describe_actions(value.actions[index], frame.version)}"
                       "\n")
