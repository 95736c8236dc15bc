"""Groups: modification, description, statistics, features.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
OpenFlow 1.0 has them as Nicira extensions in the layout of 1.5.
"""

import struct
from collections.abc import Iterator

from schema.openflow.limits import (
    BUCKET_ALL, BUCKET_FIRST, BUCKET_LAST, BUCKET_MAX, GROUP_ALL, GROUP_ANY, PORT_NONE,
)
from schema.openflow.messages import OF10, OF11, OF12, OF13, OF15
from vswitchd.openflow.actions import decode_actions, encode_actions
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.messages.base import (
    Style, format_duration, hash_hex, pack_property, port_from_wire, port_to_wire,
    property_number, read_properties, unknown_property,
)
from vswitchd.openflow.oxm import pull_entry, put_entry
from vswitchd.openflow.text import format_actions
from vswitchd.openflow.value import Value

TYPES = ("all", "select", "indirect", "ff")
_ALL, _SELECT, _INDIRECT, _FAST_FAILOVER = range(4)
COMMANDS = {"add": 0, "modify": 1, "delete": 2, "insert_bucket": 3, "remove_bucket": 5,
            "add_or_mod": 0x8000}
_COMMAND_NAMES = {number: name for name, number in COMMANDS.items()}
_SHOWN = {"add": "ADD", "modify": "MOD", "delete": "DEL", "insert_bucket": "INSERT_BUCKET",
          "remove_bucket": "REMOVE_BUCKET", "add_or_mod": "ADD_OR_MOD"}
_NO_TIME = 0xFFFFFFFF
"""Seconds of a duration that is not known."""

_NTR_VENDOR = 0x0000154D
_SELECTION_METHOD = 1


class Bucket(Value):
    """One bucket.  watch_port: PORT_NONE for none; watch_group: GROUP_ANY for none.

    bucket_id is None only until the text that it is read from gives it one.
    """

    bucket_id: int | None
    actions: tuple
    weight: int = 0
    watch_port: int = PORT_NONE
    watch_group: int = GROUP_ANY


class Selection(Value):
    """How a select group chooses: method, parameter, fields as (name, mask) in their order."""

    method: str = ""
    parameter: int = 0
    fields: tuple[tuple[str, int], ...] = ()


class GroupMod(Value):
    """OFPT_GROUP_MOD or NXT_GROUP_MOD.  command: key of COMMANDS; type: index of TYPES."""

    command: str
    group: int
    type: int = 0
    buckets: tuple[Bucket, ...] = ()
    command_bucket: int = BUCKET_ALL
    selection: Selection = Selection()


# Buckets.


def _read_watch_port(number: int) -> int:
    try:
        return port_from_wire(number)
    except OpenFlowError as error:
        raise OpenFlowError("OFPGMFC_BAD_WATCH", error.reason, error.module) from None


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
        buckets.append(Bucket(len(buckets), actions, weight, _read_watch_port(port), group))
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
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"OpenFlow message bucket actions length {actions_size} exceeds "
                                f"remaining bucket data size {size - 8}", "ofp_group")
        actions = decode_actions(data, version, start, start + actions_size)
        weight, watch_port, watch_group = (1 if kind == 1 else 0), PORT_NONE, GROUP_ANY
        for prop in read_properties(data[start + actions_size:end], 8):
            if prop.type == 0:
                weight = property_number(prop.body, 2)
            elif prop.type == 1:
                watch_port = _read_watch_port(property_number(prop.body, 4))
            elif prop.type == 2:
                watch_group = property_number(prop.body, 4)
            else:
                raise unknown_property(prop, "group bucket", "ofp_group")
        if bucket_id > BUCKET_MAX:
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"bucket id ({bucket_id}) is out of range", "ofp_group")
        if any(bucket.bucket_id == bucket_id for bucket in buckets):
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                "Duplicate bucket id", "ofp_group")
        buckets.append(Bucket(bucket_id, actions, weight, watch_port, watch_group))
        offset = end
    return tuple(buckets)


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
        if (prop.experimenter, prop.exp_type) != (_NTR_VENDOR, _SELECTION_METHOD):
            raise unknown_property(prop, "group", "ofp_group")
        if kind >= len(TYPES):
            raise OpenFlowError("OFPGMFC_BAD_TYPE")
        if kind != _SELECT:
            raise _bad_selection("property is only allowed for select groups")
        if command not in _COMMAND_NAMES:
            raise OpenFlowError("OFPGMFC_BAD_COMMAND")
        if command not in (0, 1, 0x8000):
            raise _bad_selection("property is only allowed for add and delete group modifications")
        body = prop.body
        if len(body) < 28:
            raise _bad_selection(f"property length {len(body) + 12} is not valid",
                                 "OFPBPC_BAD_LEN")
        name = body[4:20]
        if b"\0" not in name:
            raise _bad_selection("is not null terminated")
        method = name.split(b"\0")[0].decode("ascii", "replace")
        if method not in ("hash", "dp_hash"):
            raise _bad_selection(f"'{method}' is not supported")
        if len(body) > 28 and method != "hash":
            raise _bad_selection(f"{method} does not support fields")
        selection = Selection(method, int.from_bytes(body[20:28], "big"),
                              _read_selected(body))
    return selection


def _bad_selection(text: str, name: str = "OFPBPC_BAD_VALUE") -> OpenFlowError:
    return OpenFlowError(name, f"ntr selection method {text}", "ofp_group")


def _read_selected(body: bytes) -> tuple[tuple[str, int], ...]:
    """(field, mask) of each field that is hashed."""
    fields: dict[str, int] = {}
    at = 28
    try:
        while at < len(body):
            info, mask, _, at = pull_entry(body, at, len(body), False)
            if info.name in fields:
                raise OpenFlowError("OFPBMC_DUP_FIELD")
            fields[info.name] = mask
    except OpenFlowError as error:
        raise _bad_selection("fields are invalid", error.name) from None
    return tuple(fields.items())


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
    selection = Selection()
    command_bucket = BUCKET_ALL
    if version >= OF15 or frame.raw.space == "NXT":
        size, command_bucket = struct.unpack_from("!H2xI", body, 8)
        if not _is_command_bucket(command, command_bucket):
            raise OpenFlowError("OFPGMFC_BAD_BUCKET",
                                f"group command bucket id ({command_bucket}) is out of range",
                                "ofp_group")
        if len(body) < 16 + size:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        buckets = _decode_buckets15(body[16:16 + size], version, kind)
        selection = _decode_selection(body[16 + size:], kind, command, version)
    else:
        buckets = _decode_buckets11(body[8:], version)
        if version >= OF13 and command == COMMANDS["delete"] and buckets:
            raise OpenFlowError("OFPGMFC_INVALID_GROUP")
    if kind >= len(TYPES):
        raise OpenFlowError("OFPGMFC_BAD_TYPE")
    if kind == _INDIRECT and command != COMMANDS["delete"] and len(buckets) != 1:
        raise OpenFlowError("OFPGMFC_INVALID_GROUP")
    if command not in _COMMAND_NAMES:
        raise OpenFlowError("OFPGMFC_BAD_COMMAND")
    value = GroupMod(_COMMAND_NAMES[command], group, kind, buckets, command_bucket, selection)
    _check_buckets(value)
    return value


def _is_command_bucket(command: int, bucket: int) -> bool:
    """Whether `command` may name `bucket` as its place."""
    if command in (COMMANDS["insert_bucket"], COMMANDS["remove_bucket"]):
        return (bucket <= BUCKET_MAX or bucket in (BUCKET_FIRST, BUCKET_LAST)
                or bucket == BUCKET_ALL and command == COMMANDS["remove_bucket"])
    return bucket == BUCKET_ALL


def _check_buckets(value: GroupMod) -> None:
    """What cannot be right whatever groups there are."""
    if value.command == "remove_bucket" and value.buckets:
        raise OpenFlowError("OFPGMFC_BAD_BUCKET")
    inserts = value.command == "insert_bucket"
    for b in value.buckets:
        if b.weight and value.type != _SELECT and not inserts:
            raise OpenFlowError("OFPGMFC_INVALID_GROUP")
        is_watched = b.watch_port != PORT_NONE or b.watch_group != GROUP_ANY
        if is_watched and value.type in (_ALL, _INDIRECT):
            raise OpenFlowError("OFPGMFC_WATCH_UNSUPPORTED")
        if not is_watched and value.type == _FAST_FAILOVER and not inserts:
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


class GroupDescRequest(Value):
    """OFPST_GROUP_DESC or NXST_GROUP_DESC request.  group: GROUP_ALL for all."""

    group: int = GROUP_ALL


class GroupDesc(Value):
    """One group as it was made."""

    group: int
    type: int
    buckets: tuple[Bucket, ...]
    selection: Selection = Selection()


class GroupDescReply(Value):
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


class GroupStatsRequest(Value):
    """OFPST_GROUP or NXST_GROUP request."""

    group: int = GROUP_ALL


class GroupStats(Value):
    """Counters of one group.  buckets: (packets, bytes) each; duration from 1.3 on."""

    group: int
    ref_count: int = 0
    packets: int = 0
    bytes: int = 0
    duration: tuple[int, int] | None = (0, 0)
    buckets: tuple[tuple[int, int], ...] = ()


class GroupStatsReply(Value):
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
        # What is left over of a bucket begins the next entry.
        size -= (size - head) % 16
        if size < head or size > left:
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
    entries = iterate_group_stats(frame)
    while True:
        try:
            s = next(entries, None)
        except OpenFlowError:
            out.append(" ***parse error***")
            raise
        if s is None:
            return
        text = f"\n group_id={s.group},"
        if s.duration is not None and s.duration[0] != _NO_TIME:
            text += f"duration={format_duration(*s.duration)}s,"
        text += f"ref_count={s.ref_count},packet_count={s.packets},byte_count={s.bytes}"
        for index, (packets, octets) in enumerate(s.buckets):
            if packets == _NOT_COUNTED:
                continue
            text += f",bucket{index}:packet_count={packets},byte_count={octets}"
        out.append(text)


_NOT_COUNTED = 0xFFFFFFFFFFFFFFFF
"""Packets of a bucket of which nothing is known."""


# Features.

CAPABILITIES = ((1, "weight"), (2, "liveness"), (4, "chaining"), (8, "chaining-check"))


class GroupFeaturesRequest(Value):
    """OFPST_GROUP_FEATURES or NXST_GROUP_FEATURES request."""


class GroupFeaturesReply(Value):
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
    out.append(f"\n Group table:\n    Types:  {value.types:#x}\n"
               f"    Capabilities:  {value.capabilities:#x}\n")
    for index, title in enumerate(titles):
        if value.types >> index & 1:
            out.append(f"    {title} group:\n"
                       f"       max_groups={hash_hex(value.max_groups[index])}\n"
                       f"       actions: {describe_actions(value.actions[index], frame.version)}"
                       "\n")
