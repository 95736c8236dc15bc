"""ovs-ofctl commands about groups, the TLV table, connections to be forgotten and bundles.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import re
from itertools import count

from schema.openflow.limits import (
    BUCKET_ALL, BUCKET_FIRST, BUCKET_LAST, GROUP_ALL, GROUP_ANY, PORT_MAX, PORT_NONE,
)
from schema.openflow.messages import OF10, OF15
from utilities.command_line import Fatal
from utilities.ofctl import protocol
from utilities.ofctl.connection import next_xid, note, open_switch
from utilities.ofctl.flows import (
    make_flow_mod, open_for_changes, parse_packet_out, read_lines, send_bundle, send_silent,
)
from utilities.ofctl.ports import known_numbers
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.group import (
    TYPES, Bucket, GroupDescRequest, GroupMod, GroupStatsRequest, Selection,
)
from vswitchd.openflow.text import (
    FlowTextError, key_values, parse_actions, parse_group, parse_port,
)
from vswitchd.openflow.value_text import parse_u16, parse_u32, parse_u64

_VERBS = ("add", "modify", "add_or_mod", "delete", "insert_bucket", "remove_bucket")
_DEFINING, _ABOUT_BUCKETS = _VERBS[:3], _VERBS[4:]
_MOST_BUCKETS = _MOST_GROUPS = 0xFFFFFF00
_COMMAND_BUCKETS = {"all": BUCKET_ALL, "first": BUCKET_FIRST, "last": BUCKET_LAST}
_KINDS = {name: index for index, name in enumerate(TYPES)} | {"fast_failover": 3}
_SELECT, _INDIRECT = TYPES.index("select"), TYPES.index("indirect")


def _parse_command_bucket(value: str, command: str) -> int:
    if value in _COMMAND_BUCKETS:
        return _COMMAND_BUCKETS[value]
    number = parse_u32(value)
    if number > _MOST_BUCKETS:
        raise FlowTextError(f"invalid command bucket id {number}")
    return number


def _parse_group_id(value: str, command: str) -> int:
    if value == "all":
        return GROUP_ALL
    number = parse_u32(value)
    if number > _MOST_GROUPS and (command != "delete" or number != GROUP_ALL):
        raise FlowTextError(f"invalid group id {number}")
    return number


def _parse_kind(value: str, command: str) -> int:
    if value not in _KINDS:
        raise FlowTextError(f"invalid group type {value}")
    return _KINDS[value]


def _parse_method(value: str, command: str) -> str:
    if len(value) >= 16:
        raise FlowTextError("selection method is longer than 15 bytes long")
    return value


# Keywords: the commands that know them, what is told in others, and what reads their values.
_KEYWORDS = {
    "command_bucket_id": (_ABOUT_BUCKETS, "command bucket id is not needed",
                          _parse_command_bucket),
    "group_id": (_VERBS, "", _parse_group_id),
    "type": (_DEFINING, "type is not needed", _parse_kind),
    "selection_method": (_DEFINING, "selection method is not needed", _parse_method),
    "selection_method_param": (_DEFINING, "selection method param is not needed",
                               lambda value, command: parse_u64(value)),
    "fields": (_DEFINING, "fields are not needed", lambda value, command: _parse_fields(value)),
}


def _parse_head(head: str, command: str) -> dict:
    """The values of the keywords before the buckets.  Raises FlowTextError."""
    values = {}
    for key, value in key_values(head):
        if key not in _KEYWORDS:
            raise FlowTextError(f"unknown keyword {key}")
        commands, complaint, parse = _KEYWORDS[key]
        if command not in commands:
            raise FlowTextError(complaint)
        values[key] = parse(value, command)
    if command == "insert_bucket" and values.get("command_bucket_id") == BUCKET_ALL:
        raise FlowTextError("command_bucket_id=all is not permitted")
    if "group_id" not in values and command != "delete":
        raise FlowTextError("must specify a group_id")
    if command in _DEFINING and "type" not in values:
        raise FlowTextError("must specify a type")
    if command == "insert_bucket" and "command_bucket_id" not in values:
        raise FlowTextError("must specify a command bucket id")
    if values.get("selection_method_param") and not values.get("selection_method"):
        raise FlowTextError('selection_method_param is only allowed with "selection_method"')
    if values.get("fields") and values.get("selection_method") != "hash":
        raise FlowTextError('fields may only be specified with "selection_method=hash"')
    return values


def parse_group_mod(text: str, command: str, ports, tables) -> tuple[GroupMod, int]:
    """(message, usable flow formats) of a group's text.  Raises FlowTextError."""
    head, bucket_texts = _split_buckets(text)
    if bucket_texts and command in ("delete", "remove_bucket"):
        raise FlowTextError("bucket is not needed")
    values = _parse_head(head, command)
    kind = values.get("type")
    usable = protocol.ANY
    if not bucket_texts and (command in _ABOUT_BUCKETS or "selection_method" in values):
        usable = protocol.WITH_BUCKET_COMMANDS
    buckets = []
    for bucket_text in bucket_texts:
        bucket, said = _parse_bucket(bucket_text, kind, ports, tables)
        usable &= said
        buckets.append(bucket)
        if kind not in (None, _SELECT) and bucket.weight:
            raise FlowTextError("Only select groups can have bucket weights.")
    if kind == _INDIRECT and len(buckets) > 1:
        raise FlowTextError("Indirect groups can have at most one bucket.")
    selection = Selection(values.get("selection_method", ""),
                          values.get("selection_method_param", 0), values.get("fields", ()))
    return GroupMod(command, values.get("group_id", GROUP_ALL), kind or 0, _numbered(buckets),
                    values.get("command_bucket_id", BUCKET_ALL), selection), usable


def _numbered(buckets: list[Bucket]) -> tuple[Bucket, ...]:
    """Give the buckets that have no number (None) the least ones that are free."""
    taken = {bucket.bucket_id for bucket in buckets}
    free = (number for number in count() if number not in taken)
    return tuple(bucket if bucket.bucket_id is not None else bucket.replace(bucket_id=next(free))
                 for bucket in buckets)


def _split_buckets(text: str) -> tuple[str, list[str]]:
    head, *buckets = text.split("bucket=")
    return head, [bucket.rstrip(", \t") for bucket in buckets]


def _parse_fields(text: str) -> tuple[tuple[str, int], ...]:
    from vswitchd.openflow.fields import INFO
    from vswitchd.openflow.text import parse_value
    fields = []
    pairs = list(key_values(text))
    for number, (key, value) in enumerate(pairs):
        info = INFO.get(key)
        rest = ",".join(key for key, _ in pairs[number + 1:])
        if info is None:
            raise FlowTextError(f"{rest}: unknown field {key}")
        if any(name == info.name for name, _ in fields):
            raise FlowTextError(f"{key}: duplicate field")
        bits, mask = parse_value(info, value) if value else (info.full, info.full)
        if mask != info.full:
            raise FlowTextError(f"{value}: wildcards not allowed here")
        if not bits:
            raise FlowTextError(
                f"{rest}: values are wildcards here and must not be all-zeros")
        fields.append((info.name, bits))
    return tuple(fields)


def _parse_bucket(text: str, kind: int | None, ports, tables) -> tuple[Bucket, int]:
    """(bucket, whose number is None unless it is given; usable flow formats)."""
    weight, watch_port, watch_group, bucket_id = None, PORT_NONE, GROUP_ANY, None
    words = []
    for key, value in key_values(text):
        match key.lower():
            case "weight":
                weight = parse_u16(value, "weight")
            case "watch_port":
                port = parse_port(value, ports)
                if port is None or (port >= PORT_MAX and port != PORT_NONE):
                    raise FlowTextError(f"{value}: invalid watch_port")
                watch_port = port
            case "watch_group":
                watch_group = parse_u32(value)
                if watch_group > 0xFFFFFF00:
                    raise FlowTextError(f"invalid watch_group id {watch_group}")
            case "bucket_id":
                bucket_id = parse_u32(value)
                if bucket_id > 0xFFFFFF00:
                    raise FlowTextError(f"invalid bucket_id id {bucket_id}")
            case "action" | "actions":
                words.append(value)
            case "":
                raise FlowTextError("unknown action ")
            case _:
                words.append(f"{key}({value})" if value else key)
    if not words:
        raise FlowTextError("bucket must specify actions")
    if kind == TYPES.index("ff") and watch_port == PORT_NONE and watch_group == GROUP_ANY:
        raise FlowTextError("fast failover bucket requires watch_port or watch_group")
    actions, usable = parse_actions(",".join(words), ports, tables)
    if weight is None:
        weight = 1 if kind == TYPES.index("select") else 0
    return Bucket(bucket_id, actions, weight, watch_port, watch_group), usable


def _send_groups(settings, switch: str, groups) -> None:
    usable = protocol.ANY
    for _, said in groups:
        usable &= said
    if settings.bundle:
        usable &= protocol.OF13_UP
    connection, _ = open_for_changes(settings, switch, usable)
    messages = []
    for mod, _ in groups:
        if mod.command == "insert_bucket" and OF10 < connection.version < OF15:
            raise Fatal("insert-bucket needs OpenFlow 1.5 or later ('-O OpenFlow15')")
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
    from vswitchd.openflow.messages.switch import CtFlush, CtTuple
    words = list(arguments[1:])
    zone, masked = None, {}
    while words and words[0].startswith(("zone=", "mark=", "labels=")):
        key, _, text = words.pop(0).partition("=")
        if key == "zone":
            if not text.isdigit():
                raise Fatal("Failed to parse zone")
            zone = int(text) & 0xFFFF
        else:
            masked[key] = _parse_masked(key, text, 32 if key == "mark" else 128)
    sides, protocol_number = [], 0
    for word in words:
        try:
            side, number = _parse_tuple(word)
        except FlowTextError as error:
            raise Fatal(f"Failed to parse ct-tuple: {error}") from None
        protocol_number = number or protocol_number
        sides.append(None if side == CtTuple() else side)
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


_ICMP_PROTOCOLS = (1, 58)
_TUPLE_NUMBERS = {"ct_tp_src": ("src_port", 0xFFFF), "ct_tp_dst": ("dst_port", 0xFFFF),
                  "icmp_id": ("icmp_id", 0xFFFF), "icmp_type": ("icmp_type", 0xFF),
                  "icmp_code": ("icmp_code", 0xFF)}


def _parse_tuple(text: str):
    """(one direction of a connection, protocol) of `ct_nw_src=...,ct_tp_dst=...`.

    Raises FlowTextError.
    """
    from ipaddress import IPv4Address, IPv6Address

    from vswitchd.openflow.messages.switch import CtTuple
    members: dict = {}
    number = family = 0
    for key, value in key_values(text):
        if not value:
            raise FlowTextError(f"field {key} missing value")
        try:
            if key in ("ct_nw_src", "ct_nw_dst", "ct_ipv6_src", "ct_ipv6_dst"):
                mine = 4 if key.startswith("ct_nw") else 6
                address = IPv4Address(value) if mine == 4 else IPv6Address(value)
                if family not in (0, mine):
                    raise FlowTextError(f"the L3 protocol does not match {value}")
                family = mine
                members[key[-3:]] = bytes(10) + b"\xff\xff" + address.packed if (
                    mine == 4) else address.packed
            elif key == "ct_nw_proto":
                number = _bounded(value, 0xFF)
            elif key in _TUPLE_NUMBERS:
                name, most = _TUPLE_NUMBERS[key]
                members[name] = _bounded(value, most)
            else:
                raise FlowTextError(f"invalid conntrack tuple field: {key}")
        except ValueError:
            raise FlowTextError(f"failed to parse field {key}") from None
    has_ports = not members.keys().isdisjoint(("src_port", "dst_port"))
    has_icmp = not members.keys().isdisjoint(("icmp_id", "icmp_type", "icmp_code"))
    if has_icmp and number not in _ICMP_PROTOCOLS or has_ports and number in _ICMP_PROTOCOLS:
        raise FlowTextError("invalid L4 fields")
    if has_ports and not number:
        raise FlowTextError("port is set without protocol")
    return CtTuple(**members), number


def _bounded(text: str, most: int) -> int:
    """A number up to `most`.  Raises ValueError."""
    number = int(text)
    if not 0 <= number <= most:
        raise ValueError(text)
    return number


# Bundles of mixed messages.


def bundle(settings, arguments) -> None:
    """Sends the flow_mods, group_mods and packet-outs of a file in one bundle."""
    from vswitchd.openflow.text import note_normal, parse_flow
    switch, name = arguments
    ports, tables = known_numbers(settings, switch)
    settings.bundle = True
    if not settings.protocols & protocol.OF13_UP:
        settings.protocols = protocol.ANY
    protocol.settle(settings)
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
