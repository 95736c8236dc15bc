"""ovs-ofctl commands about groups, meters, the TLV table and connections to be forgotten.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import re

from schema.openflow.limits import (
    BUCKET_ALL, BUCKET_FIRST, BUCKET_LAST, GROUP_ALL, GROUP_ANY, PORT_MAX, PORT_NONE,
)
from utilities.command_line import Fatal
from utilities.ofctl import protocol
from utilities.ofctl.connection import next_xid, note, open_switch
from utilities.ofctl.flows import open_for_changes, read_lines, send_bundle, send_silent
from utilities.ofctl.ports import known_numbers
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.group import (
    TYPES, Bucket, GroupDescRequest, GroupMod, GroupStatsRequest, Selection,
)
from vswitchd.openflow.text import (
    FlowTextError, key_values, parse_actions, parse_group, parse_port,
)

_VERBS = ("add", "modify", "add_or_mod", "delete", "insert_bucket", "remove_bucket")


def parse_u32(text: str) -> int:
    """A number of 32 bits.  Raises FlowTextError."""
    try:
        number = int(text, 0)
    except ValueError:
        raise FlowTextError(f"invalid numeric format {text}") from None
    return number & 0xFFFFFFFF


def parse_group_mod(text: str, command: str, ports, tables) -> tuple[GroupMod, int]:
    """(message, usable flow formats) of a group's text.  Raises FlowTextError."""
    head, bucket_texts = _split_buckets(text)
    if bucket_texts and command in ("delete", "remove_bucket"):
        raise FlowTextError("bucket is not needed")
    group, kind, command_bucket = None, None, None
    method, parameter, fields = "", 0, ()
    for key, value in key_values(head):
        if key == "command_bucket_id":
            if command not in ("insert_bucket", "remove_bucket"):
                raise FlowTextError("command bucket id is not needed")
            names = {"all": BUCKET_ALL, "first": BUCKET_FIRST, "last": BUCKET_LAST}
            command_bucket = names[value] if value in names else parse_u32(value)
            if value not in names and command_bucket > 0xFFFFFF00:
                raise FlowTextError(f"invalid command bucket id {command_bucket}")
        elif key == "group_id":
            if value == "all":
                group = GROUP_ALL
            else:
                group = parse_u32(value)
                if group > 0xFFFFFF00 and command != "delete":
                    raise FlowTextError(f"invalid group id {group}")
        elif key == "type":
            if command in ("delete", "insert_bucket", "remove_bucket"):
                raise FlowTextError("type is not needed")
            names = {name: index for index, name in enumerate(TYPES)} | {"fast_failover": 3}
            if value not in names:
                raise FlowTextError(f"invalid group type {value}")
            kind = names[value]
        elif key == "selection_method":
            if command in ("delete", "insert_bucket", "remove_bucket"):
                raise FlowTextError("selection method is not needed")
            if len(value) >= 16:
                raise FlowTextError("selection method is longer than 15 bytes long")
            method = value
        elif key == "selection_method_param":
            if command in ("delete", "insert_bucket", "remove_bucket"):
                raise FlowTextError("selection method param is not needed")
            parameter = _parse_u64(value)
        elif key == "fields":
            if command in ("delete", "insert_bucket", "remove_bucket"):
                raise FlowTextError("fields are not needed")
            fields = _parse_fields(value)
        else:
            raise FlowTextError(f"unknown keyword {key}")
    if group is None and command not in ("delete",):
        raise FlowTextError("must specify a group_id")
    if command in ("add", "modify", "add_or_mod") and kind is None:
        raise FlowTextError("must specify a type")
    if command == "insert_bucket" and command_bucket is None:
        raise FlowTextError("must specify a command bucket id")
    if parameter and not method:
        raise FlowTextError('selection_method_param is only allowed with "selection_method"')
    if fields and method != "hash":
        raise FlowTextError('fields may only be specified with "selection_method=hash"')
    if kind == TYPES.index("indirect") and len(bucket_texts) > 1:
        raise FlowTextError("Indirect groups can have at most one bucket.")
    usable = protocol.WITH_BUCKET_COMMANDS if command == "remove_bucket" else protocol.ANY
    buckets = []
    for bucket_text in bucket_texts:
        bucket, said = _parse_bucket(bucket_text, kind, len(buckets), ports, tables)
        usable &= said
        buckets.append(bucket)
    if kind not in (None, 1) and any(b.weight for b in buckets):
        raise FlowTextError("Only select groups can have bucket weights.")
    return GroupMod(command, GROUP_ALL if group is None else group, kind or 0, tuple(buckets),
                    BUCKET_ALL if command_bucket is None else command_bucket,
                    Selection(method, parameter, fields)), usable


def _split_buckets(text: str) -> tuple[str, list[str]]:
    parts = re.split(r"[,\s]*\bbucket=", text)
    return parts[0], [part.rstrip(", \t") for part in parts[1:]]


def _parse_u64(text: str) -> int:
    try:
        return int(text, 0) & (1 << 64) - 1
    except ValueError:
        raise FlowTextError(f"invalid numeric format {text}") from None


def _parse_fields(text: str) -> tuple[tuple[str, int], ...]:
    from vswitchd.openflow.fields import INFO
    from vswitchd.openflow.text import parse_value
    fields = []
    for key, value in key_values(text):
        info = INFO.get(key)
        if info is None:
            raise FlowTextError(f"unknown field {key}")
        if any(name == info.name for name, _ in fields):
            raise FlowTextError(f"{key}: duplicate field")
        fields.append((info.name, parse_value(info, value)[0] if value else info.full))
    return tuple(fields)


def _parse_bucket(text: str, kind: int | None, index: int, ports, tables) -> tuple[Bucket, int]:
    weight, watch_port, watch_group, bucket_id = None, PORT_NONE, GROUP_ANY, None
    words = []
    for key, value in key_values(text):
        match key.lower():
            case "weight":
                if not value.isdigit() or int(value) > 0xFFFF:
                    raise FlowTextError(f'invalid weight "{value}"')
                weight = int(value)
            case "watch_port":
                port = parse_port(value, ports)
                if port is None or (port >= PORT_MAX and port != PORT_NONE):
                    raise FlowTextError(f"{value}: invalid watch_port")
                watch_port = port
            case "watch_group":
                watch_group = parse_u32(value)
                if watch_group > 0xFFFFFF00 and watch_group != GROUP_ANY:
                    raise FlowTextError(f"invalid watch_group id {watch_group}")
            case "bucket_id":
                bucket_id = parse_u32(value)
                if bucket_id > 0xFFFFFF00:
                    raise FlowTextError(f"invalid bucket_id id {bucket_id}")
            case "action" | "actions":
                words.append(value)
            case _:
                words.append(f"{key}({value})" if value else key)
    if not words:
        raise FlowTextError("bucket must specify actions")
    actions, usable = parse_actions(",".join(words), ports, tables)
    if kind == 3 and watch_port == PORT_NONE and watch_group == GROUP_ANY:
        raise FlowTextError("fast failover bucket requires watch_port or watch_group")
    if weight is None:
        weight = 1 if kind == 1 else 0
    return Bucket(index if bucket_id is None else bucket_id, actions, weight, watch_port,
                  watch_group), usable


def _send_groups(settings, switch: str, groups) -> None:
    usable = protocol.ANY
    for _, said in groups:
        usable &= said
    if settings.bundle:
        usable &= protocol.OF13_UP
    connection, _ = open_for_changes(settings, switch, usable)
    messages = []
    for mod, _ in groups:
        data = encode(mod, connection.version, next_xid())
        if settings.bundle:
            messages.append(data)
        else:
            send_silent(settings, connection, [data])
    if settings.bundle:
        send_bundle(settings, connection, messages)
    connection.close()


def _change(settings, arguments, command: str) -> None:
    switch = arguments[0]
    text = arguments[1] if len(arguments) > 1 else ""
    ports, tables = known_numbers(settings, switch)
    if text == "-":
        groups = _read_groups("-", command, ports, tables)
    else:
        try:
            groups = [parse_group_mod(text, command, ports, tables)]
        except FlowTextError as error:
            raise Fatal(str(error)) from None
    _send_groups(settings, switch, groups)


def _read_groups(name: str, command: str | None, ports, tables) -> list:
    groups = []
    for number, line in read_lines(name):
        try:
            verb, text = command or "add", line
            if command is None:
                word = re.match(r"[^, \t]*", line)[0]
                if word in _VERBS:
                    verb, text = word, line[len(word):]
            groups.append(parse_group_mod(text, verb, ports, tables))
        except FlowTextError as error:
            raise Fatal(f"{name}:{number}: {error}") from None
    return groups


def add_group(settings, arguments) -> None:
    _change(settings, arguments, "add_or_mod" if settings.may_create else "add")


def mod_group(settings, arguments) -> None:
    _change(settings, arguments, "add_or_mod" if settings.may_create else "modify")


def del_groups(settings, arguments) -> None:
    _change(settings, arguments, "delete")


def insert_buckets(settings, arguments) -> None:
    _change(settings, arguments, "insert_bucket")


def remove_buckets(settings, arguments) -> None:
    _change(settings, arguments, "remove_bucket")


def add_groups(settings, arguments) -> None:
    switch, name = arguments
    ports, tables = known_numbers(settings, switch)
    _send_groups(settings, switch, _read_groups(name, None, ports, tables))


def dump_groups(settings, arguments) -> None:
    from utilities.ofctl.switch import dump
    group = GROUP_ALL
    if len(arguments) > 1:
        parsed = parse_group(arguments[1])
        group = GROUP_ALL if parsed is None else parsed
    connection = open_switch(settings, arguments[0])
    dump(settings, connection, GroupDescRequest(group))
    connection.close()


def dump_group_stats(settings, arguments) -> None:
    from utilities.ofctl.switch import dump
    switch = arguments[0]
    ports, tables = known_numbers(settings, switch)
    try:
        mod, usable = parse_group_mod(arguments[1] if len(arguments) > 1 else "", "delete", ports,
                                      tables)
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    connection, _ = open_for_changes(settings, switch, usable)
    dump(settings, connection, GroupStatsRequest(mod.group))
    connection.close()


# Meters.


def _parse_meter_mod(text: str, command: str):
    from vswitchd.openflow.messages.meter import BANDS, FLAGS, Band, MeterConfig, MeterMod
    head, *rest = re.split(r"[,\s]*\bbands?=", text, maxsplit=1)
    if command != "delete" and (not rest):
        raise FlowTextError("must specify bands")
    meter, flags = None, 0
    for key, value in key_values(head):
        if key in FLAGS and not value:
            flags |= FLAGS[key]
        elif not value:
            raise FlowTextError(f"field {key} missing value")
        elif key == "meter":
            meter = _parse_meter(value, command)
        else:
            raise FlowTextError(f"unknown keyword {key}")
    if meter is None:
        raise FlowTextError("must specify 'meter'")
    if command != "delete" and not flags & 3:
        raise FlowTextError("meter must specify either 'kbps' or 'pktps'")
    bands: list[dict] = []
    for key, value in key_values(re.sub(r"\bbands?=", "", rest[0]) if rest else ""):
        if key == "type":
            if value not in BANDS:
                raise FlowTextError(f"field type unknown value {value}")
            bands.append({"type": value, "rate": 0})
        elif not bands:
            raise FlowTextError("band must start with the 'type' keyword")
        elif key == "rate":
            bands[-1]["rate"] = parse_u32(value)
        elif key == "burst_size":
            bands[-1]["burst_size"] = parse_u32(value)
        elif key == "prec_level":
            if bands[-1]["type"] != "dscp_remark":
                raise FlowTextError("Only 'dscp_remark' band may have 'prec_level'")
            bands[-1]["prec_level"] = parse_u32(value)
        else:
            raise FlowTextError(f"unknown keyword {key}")
    for band in bands:
        if not band["rate"]:
            raise FlowTextError("band must have 'rate'")
        if band.get("burst_size"):
            flags |= FLAGS["burst"]
    return MeterMod(command, MeterConfig(meter, flags, tuple(Band(**band) for band in bands)))


def _parse_meter(value: str, command: str) -> int:
    special = {"slowpath": 0xFFFFFFFD, "controller": 0xFFFFFFFE}
    if command == "delete":
        special["all"] = 0xFFFFFFFF
    if value in special:
        return special[value]
    number = parse_u32(value)
    if not 0 < number <= 0xFFFF0000:
        raise FlowTextError("invalid value for meter")
    return number


def _change_meter(settings, arguments, command: str) -> None:
    switch = arguments[0]
    text = arguments[1] if len(arguments) > 1 else "meter=all"
    try:
        mod = _parse_meter_mod(text, command)
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    connection, _ = open_for_changes(settings, switch, protocol.OF13_UP)
    send_silent(settings, connection, [encode(mod, connection.version, next_xid())])
    connection.close()


def add_meter(settings, arguments) -> None:
    _change_meter(settings, arguments, "add")


def mod_meter(settings, arguments) -> None:
    _change_meter(settings, arguments, "modify")


def del_meters(settings, arguments) -> None:
    _change_meter(settings, arguments, "delete")


# The TLV table.

_MAPPING = re.compile(r"\{class=(\w+),type=(\w+),len=(\w+)\}->tun_metadata(\d+)")


def _change_tlv(settings, arguments, command: int) -> None:
    from vswitchd.openflow.messages.switch import TlvTableMod
    text = arguments[1] if len(arguments) > 1 else ""
    maps, position = [], 0
    while position < len(text):
        found = _MAPPING.match(text, position)
        try:
            option_class, kind, size, index = (int(word, 0) for word in found.groups())
        except (AttributeError, ValueError):
            raise Fatal("invalid tlv mapping") from None
        maps.append((option_class & 0xFFFF, kind & 0xFF, size & 0xFF, index & 0xFFFF))
        position = found.end()
        while text[position:position + 1] in (",", " "):
            position += 1
    if command == 1 and not maps:
        command = 2
    usable = protocol.ANY & ~(protocol.OF10_STD | protocol.OF10_STD_TID | protocol.OF11_STD)
    connection, _ = open_for_changes(settings, arguments[0], usable)
    send_silent(settings, connection, [encode(TlvTableMod(command, tuple(maps)),
                                              connection.version, next_xid())])
    connection.close()


def add_tlv_map(settings, arguments) -> None:
    _change_tlv(settings, arguments, 0)


def del_tlv_map(settings, arguments) -> None:
    _change_tlv(settings, arguments, 1)


# Connections to be forgotten.


def ct_flush(settings, arguments) -> None:
    from vswitchd.openflow.messages.switch import CtFlush
    words = list(arguments[1:])
    zone, masked = None, {}
    while words and words[0].startswith(("zone=", "mark=", "labels=")):
        key, _, text = words.pop(0).partition("=")
        if key == "zone":
            if not text.isdigit() or int(text) > 0xFFFF:
                raise Fatal("Failed to parse zone")
            zone = int(text)
        else:
            masked[key] = _parse_masked(key, text, 32 if key == "mark" else 128)
    sides, protocol_number = [], 0
    for word in words:
        try:
            side, number = _parse_tuple(word)
        except FlowTextError as error:
            raise Fatal(f"Failed to parse ct-tuple: {error}") from None
        protocol_number = number or protocol_number
        sides.append(side)
    sides += [None] * (2 - len(sides))
    connection = open_switch(settings, arguments[0])
    send_silent(settings, connection, [encode(
        CtFlush(protocol_number, zone, sides[0], sides[1], masked.get("mark"),
                masked.get("labels")), connection.version, next_xid())])
    connection.close()


def _parse_masked(key: str, text: str, bits: int) -> tuple[int, int]:
    """(value, mask) of `V[/M]`; without a mask all bits count.  Raises Fatal."""
    value, slash, mask = text.partition("/")
    try:
        pair = int(value, 0), int(mask, 0) if slash else (1 << bits) - 1
    except ValueError:
        raise Fatal(f"Failed to parse {key}") from None
    if any(number < 0 or number >> bits for number in pair):
        raise Fatal(f"Failed to parse {key}")
    return pair


def _parse_tuple(text: str):
    """(one direction of a connection, protocol) of `ct_nw_src=...,ct_tp_dst=...`."""
    from ipaddress import IPv4Address, IPv6Address

    from vswitchd.openflow.messages.switch import CtTuple
    members: dict = {}
    number = 0
    ports = {"ct_tp_src": "src_port", "ct_tp_dst": "dst_port", "icmp_id": "icmp_id",
             "icmp_type": "icmp_type", "icmp_code": "icmp_code"}
    for key, value in key_values(text):
        if not value:
            raise FlowTextError(f"field {key} missing value")
        try:
            if key in ("ct_nw_src", "ct_nw_dst"):
                members[key[-3:]] = bytes(10) + b"\xff\xff" + IPv4Address(value).packed
            elif key in ("ct_ipv6_src", "ct_ipv6_dst"):
                members[key[-3:]] = IPv6Address(value).packed
            elif key == "ct_nw_proto":
                number = int(value) & 0xFF
            elif key in ports:
                members[ports[key]] = int(value) & (0xFF if key.endswith(("type", "code"))
                                                    else 0xFFFF)
            else:
                raise FlowTextError(f"invalid field {key}")
        except ValueError:
            raise FlowTextError(f"failed to parse field {key}") from None
    return CtTuple(**members), number


# Bundles of mixed messages.


def bundle(settings, arguments) -> None:
    """Sends the flow_mods, group_mods and packet-outs of a file in one bundle."""
    from utilities.ofctl.flows import make_flow_mod, parse_packet_out
    from vswitchd.openflow.text import note_normal, parse_flow
    switch, name = arguments
    settings.bundle = True
    protocol.settle(settings)
    ports, tables = known_numbers(settings, switch)
    usable, makers = protocol.OF13_UP, []
    for number, line in read_lines(name):
        word, _, text = line.partition(" ")
        try:
            if word == "flow":
                flow = parse_flow(text.strip(), "auto", ports, tables)
                note_normal(flow.match, note)
                usable &= flow.usable
                makers.append(lambda chosen, flow=flow: make_flow_mod(flow, chosen)[0])
            elif word == "group":
                text = text.strip()
                verb = re.match(r"[^, \t]*", text)[0]
                command, rest = (verb, text[len(verb):]) if verb in _VERBS else ("add", text)
                mod, said = parse_group_mod(rest, command, ports, tables)
                usable &= said
                makers.append(lambda chosen, mod=mod: mod)
            elif word == "packet-out":
                value, said = parse_packet_out(text.strip(), ports, tables)
                usable &= said
                makers.append(lambda chosen, value=value: value)
            else:
                raise FlowTextError(f"Unsupported bundle message type: {word}")
        except FlowTextError as error:
            raise Fatal(f"{name}:{number}: {error}") from None
        except Fatal as fatal:
            raise Fatal(f"{name}:{number}: {fatal.text}") from None
    connection, chosen = open_for_changes(settings, switch, usable)
    messages = [encode(make(chosen), connection.version, next_xid()) for make in makers]
    send_bundle(settings, connection, messages)
    connection.close()
