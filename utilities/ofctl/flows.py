"""ovs-ofctl commands about flows: dump, add, modify, delete, replace, compare; packet-out.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import functools
import operator
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from schema.openflow.limits import BUFFER_NONE, PORT_CONTROLLER, PORT_LOCAL, PORT_MAX, PORT_NONE
from utilities.begun import begun
from utilities.command_line import Fatal
from utilities.ofctl import protocol
from utilities.ofctl.begun import go_on_sending
from utilities.ofctl.connection import (
    Connection, next_xid, note, open_switch, print_message, warn,
)
from utilities.ofctl.hex_text import read_hex
from utilities.ofctl.ports import known_numbers, port_names, shown_names, table_names
from vswitchd.openflow.fields import INFO, NONE
from vswitchd.openflow.framing import Frame, OpenFlowError, identify, open_frame
from vswitchd.openflow.match import EMPTY, Match, get, is_wild, prerequisites_hold
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.flow import (
    FlowMod, FlowStats, FlowStatsRequest, forget_ages, format_flags, format_flow_stats,
    iterate_flow_stats, write_flow_stats,
)
from vswitchd.openflow.text import (
    FlowTextError, ParsedFlow, format_actions, format_match, note_normal, parse_flow,
)

_TABLE_ANY = 255
_TOGETHER = 256                 # messages that are sent at once


# What a connection speaks.


def make_flow_mod(flow: ParsedFlow, chosen: int) -> tuple[FlowMod, int]:
    """The message for a flow in a flow format, and its version."""
    version = min(protocol.to_versions(chosen))
    table = flow.table
    if version > 1 and table == _TABLE_ANY and (
            version == 2 or not flow.command.startswith("delete")):
        table = 0
    form = "nxm" if chosen & (protocol.OF10_NXM | protocol.OF10_NXM_TID) else "of"
    in_command = bool(chosen & (protocol.OF10_STD_TID | protocol.OF10_NXM_TID))
    mod = FlowMod(flow.command, flow.match, flow.priority, flow.actions, table, flow.cookie,
                  flow.cookie_mask, flow.new_cookie, flow.idle_timeout, flow.hard_timeout,
                  flow.importance, BUFFER_NONE, flow.out_port, flow.out_group, flow.flags, form,
                  in_command)
    return mod, version


def try_protocol(connection: Connection, want: int, current: int) -> int:
    """Turns the connection to flow format `want` as far as it goes; returns what it speaks."""
    from vswitchd.openflow.messages.session import FlowModTableId, SetFlowFormat
    if protocol.to_versions(want) != {connection.version}:
        return current
    nxm = protocol.OF10_NXM | protocol.OF10_NXM_TID
    table_id = protocol.OF10_STD_TID | protocol.OF10_NXM_TID
    if bool(want & nxm) != bool(current & nxm):
        if not _told(connection, SetFlowFormat(2 if want & nxm else 0)):
            return current
        current = (current << 2) if want & nxm else (current >> 2)
    if bool(want & table_id) != bool(current & table_id):
        if not _told(connection, FlowModTableId(bool(want & table_id))):
            return current
        current = (current << 1) if want & table_id else (current >> 1)
    return current


def _told(connection: Connection, value) -> bool:
    data = encode(value, connection.version, next_xid())
    return connection.transact_silent([data]) is None


def _refuse(settings, usable: int) -> None:
    names = protocol.format_protocols(usable)
    if usable & settings.protocols:
        raise Fatal(f"switch does not support any of the usable flow formats ({names})")
    raise Fatal(f"none of the usable flow formats ({names}) is among the allowed flow formats "
                f"({protocol.format_protocols(settings.protocols)})")


def open_for_changes(settings, switch: str, usable: int) -> tuple[Connection, int]:
    """Connects and agrees on a flow format that can carry what is to be sent."""
    if not usable & settings.protocols:
        _refuse(settings, usable)
    connection = open_switch(settings, switch)
    current = protocol.of_version(connection.version)
    if usable & settings.protocols & current:
        return connection, current
    for bit in range(9):
        want = 1 << bit
        if want != current and want & usable & settings.protocols:
            current = try_protocol(connection, want, current)
            if current == want:
                return connection, want
    _refuse(settings, usable)
    raise AssertionError


def guess_protocol(settings, usable: int) -> int:
    """What `open_for_changes` most likely agrees on, 0 if nothing."""
    version = max(settings.versions)
    allowed = usable & settings.protocols
    if allowed & protocol.of_version(version):
        return protocol.of_version(version)
    return next((1 << bit for bit in range(9) if allowed & 1 << bit
                 and protocol.to_versions(1 << bit) == {version}), 0)


def agree_for_dump(settings, connection: Connection, usable: int, current: int = 0) -> int:
    """Agrees on the flow format in which flows come back; `current` is spoken already."""
    current = current or protocol.of_version(connection.version)
    for want in protocol.DUMP_ORDER:
        if want & usable & settings.protocols:
            current = try_protocol(connection, want, current)
            if current == want:
                return want
    _refuse(settings, usable)
    raise AssertionError


def send_silent(settings, connection: Connection, messages: list[bytes]) -> None:
    """Sends messages that have no answer; prints the error and ends if one comes."""
    end_by(settings, connection, connection.transact_silent(messages))


def end_by(settings, connection: Connection, error: bytes | None) -> None:
    """Prints an error and ends, if there is one."""
    if error is not None:
        sys.stdout.flush()
        print_message(error, settings, 2, *shown_names(settings, connection), file=sys.stderr)
        raise Fatal(None)


# Reading flows.


def _parse(text: str, command: str, ports, tables) -> ParsedFlow:
    try:
        flow = parse_flow(text, command, ports, tables)
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    if command != "match":
        note_normal(flow.match, note)            # sent as it is: what to make of it is the switch's
    return flow


def read_file(name: str, complaint: str = "open failed") -> bytes:
    """What is in a file; '-' is stdin.  Raises Fatal."""
    try:
        if name == "-":
            known = begun().input
            return sys.stdin.buffer.read() if known is None else known
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise Fatal(f"{name}: {complaint} ({error.strerror})") from None


def read_lines(name: str, data: bytes | None = None) -> list[tuple[int, str]]:
    """(number, text) of the lines of a file that say something; '-' is stdin.  Raises Fatal."""
    text = (read_file(name) if data is None else data).decode("utf-8", "surrogateescape")
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip(" \t\r\n")
        if line:
            lines.append((number, line))
    return lines


def read_flows(name: str, command: str, ports, tables, has_notes: bool = True,
               data: bytes | None = None) -> list[ParsedFlow]:
    """The flows of a file, with notes on odd ones.  Raises Fatal with file and line."""
    flows = []
    for number, line in read_lines(name, data):
        try:
            flow = parse_flow(line, command, ports, tables)
        except FlowTextError as error:
            raise Fatal(f"{name}:{number}: {error}") from None
        if has_notes:
            note_normal(flow.match, note)
        flows.append(flow)
    return flows


# Changing.


def go_on(settings, switch: str, read: Callable[..., list[ParsedFlow]] | None) -> None:
    """Goes on with flows of which short.c has sent some.  `read` reads all of them, with the
    numbers of ports and tables by their names; None if there are no others."""
    connection, error, n_sent = go_on_sending(settings, switch)
    end_by(settings, connection, error)
    if read is not None:
        try:
            flows = read({}, {})
        except Fatal:
            flows = read(*known_numbers(settings, switch))
        usable = functools.reduce(operator.and_, (flow.usable for flow in flows), protocol.ANY)
        chosen = guess_protocol(settings, usable)
        end_by(settings, connection, connection.transact_each(
            encode(*make_flow_mod(flow, chosen), next_xid()) for flow in flows[n_sent:]))
    connection.close()


def _change(settings, arguments, command: str) -> None:
    switch = arguments[0]
    text = arguments[1] if len(arguments) > 1 else ""
    if begun().fd >= 0:
        go_on(settings, switch, (lambda ports, tables: read_flows("-", command, ports, tables))
              if text == "-" else None)
        return
    ports, tables = known_numbers(settings, switch)
    if text == "-":
        flows = read_flows("-", command, ports, tables)
    else:
        flows = [_parse(text, command, ports, tables)]
    send_flows(settings, switch, flows)


def send_flows(settings, switch: str, flows: list[ParsedFlow]) -> None:
    """Sends flow_mods, in a bundle if asked for."""
    usable = protocol.ANY
    for flow in flows:
        usable &= flow.usable
    connection, chosen = open_for_changes(settings, switch, limit_protocols(settings, usable))
    messages = (encode(*make_flow_mod(flow, chosen), next_xid()) for flow in flows)
    if settings.bundle:
        send_bundle(settings, connection, list(messages))
    else:
        if shows_bytes(settings):
            messages = _dumped(messages)
        end_by(settings, connection, connection.transact_each(messages))
    connection.close()


def shows_bytes(settings) -> bool:
    """Whether the bytes of flow_mods are wanted: -mmmmm."""
    return settings.verbosity >= 5


def _dumped(messages: Iterable[bytes]) -> Iterator[bytes]:
    """The messages, each dumped to stdout as it is taken."""
    from vswitchd.openflow.messages.base import hex_dump
    for data in messages:
        print(hex_dump(data), end="", flush=True)
        yield data


def limit_protocols(settings, usable: int) -> int:
    """Those of the flow formats that can carry bundles, too, if one is asked for."""
    return usable & protocol.OF13_UP if settings.bundle else usable


BUNDLE_FLAGS = 3               # atomic, ordered


def send_bundle(settings, connection: Connection, messages: list[bytes]) -> None:
    """Lets the switch take all messages or none.  Raises Fatal after printing the errors."""
    from vswitchd.openflow.messages.bundle import BundleAdd
    sent = {int.from_bytes(data[4:8], "big"): data for data in messages}

    def send_adds() -> None:
        for start in range(0, len(messages), _TOGETHER):
            connection.send_messages([
                encode(BundleAdd(0, BUNDLE_FLAGS, data), connection.version,
                       int.from_bytes(data[4:8], "big"))
                for data in messages[start:start + _TOGETHER]])

    carry_bundle(settings, connection, send_adds, sent.get)


def carry_bundle(settings, connection: Connection, send_adds: Callable[[], None],
                  find: Callable[[int], bytes | None]) -> None:
    """Opens a bundle, lets `send_adds` fill it, and commits it; `find` finds what was sent under a
    number."""
    from vswitchd.openflow.messages.bundle import BundleControl
    from vswitchd.openflow.messages.session import BarrierRequest
    controls: dict[int, bytes] = {}
    failed = False

    def collect(until: int) -> None:
        """Reads answers up to the one to `until`, printing the errors."""
        nonlocal failed
        while True:
            reply = connection.receive_bytes()
            number = int.from_bytes(reply[4:8], "big")
            if identify(reply)[0].kind == "OFPT_ERROR":
                request = controls.get(number) or find(number)
                if request is not None:
                    failed = True
                    _print_bundle_error(settings, connection, reply, request)
            if number == until:
                return

    def control(kind: int) -> None:
        xid = next_xid()
        controls[xid] = encode(BundleControl(0, kind, BUNDLE_FLAGS), connection.version, xid)
        connection.send_bytes(controls[xid])
        collect(xid)

    control(0)
    if not failed:
        send_adds()
        collect(connection.send(BarrierRequest()))
        control(6 if failed else 4)
    if failed:
        raise Fatal(f"talking to {connection.remote} (Protocol error)")


def _print_bundle_error(settings, connection: Connection, reply: bytes, request: bytes) -> None:
    from vswitchd.openflow.messages.session import decode_error
    from vswitchd.openflow.print import format_message
    sys.stdout.flush()
    text = format_message(request, settings.verbosity + 1, *shown_names(settings, connection), warn)
    sys.stderr.write(f"Error {decode_error(open_frame(reply)).name} for: {text}")
    sys.stderr.flush()


def add_flow(settings, arguments) -> None:
    _change(settings, arguments, "add")


def mod_flows(settings, arguments) -> None:
    _change(settings, arguments, "modify_strict" if settings.strict else "modify")


def del_flows(settings, arguments) -> None:
    _change(settings, arguments, "delete_strict" if settings.strict else "delete")


# Dumping.


def _prepare_dump(settings, arguments, aggregate: bool):
    switch = arguments[0]
    text = arguments[1] if len(arguments) > 1 else ""
    ports, tables = known_numbers(settings, switch, True) if text else ({}, {})
    flow = _parse(text, "match", ports, tables)
    connection = open_switch(settings, switch)
    # Naming a table takes no table ids in flow_mods.
    tids = flow.usable & (protocol.OF10_STD_TID | protocol.OF10_NXM_TID)
    chosen = agree_for_dump(settings, connection, flow.usable | tids >> 1)
    form = "nxm" if chosen & protocol.OF10_NXM else "of"
    return connection, FlowStatsRequest(flow.match, flow.table, flow.out_port, flow.out_group,
                                        flow.cookie, flow.cookie_mask, aggregate, form)


def dump_flows(settings, arguments) -> None:
    connection, request = _prepare_dump(settings, arguments, False)
    show_flows(settings, connection, connection.transact_parts(request))


def dump_all(settings, connection: Connection, usable: int, current: int) -> None:
    """Dumps all flows of a connected switch; `current` is the flow format that is spoken."""
    chosen = agree_for_dump(settings, connection, usable, current)
    request = FlowStatsRequest(EMPTY, form="nxm" if chosen & protocol.OF10_NXM else "of")
    show_flows(settings, connection, connection.transact_parts(request))


def show_flows(settings, connection: Connection, replies: Iterable[bytes]) -> None:
    """Prints the flows of replies, as the options say."""
    if not settings.sort and not settings.show_names() and settings.stats:
        for data in replies:
            print_message(data, settings)
        connection.close()
        return
    if not settings.sort and not settings.has_json:
        _show_plain(settings, connection, replies)
        return
    flows = fetch_flows(replies)
    _sort(settings, flows)
    tables, ports = _names(settings, connection, bool(flows))
    if settings.has_json:
        from utilities.ofctl.json_output import describe_flow
        for flow in flows:
            print(describe_flow(flow, ports))
        flows = []
    for flow in flows:
        print(" " + format_flow_stats(flow, ports, tables, settings.stats))
    connection.close()


def _show_plain(settings, connection: Connection, replies: Iterable[bytes]) -> None:
    """Prints the flows as they come, but not before all are known to be sound."""
    frames = list(_open_replies(replies))
    tables, ports = _names(settings, connection, any(frame.body for frame in frames))
    try:
        texts = list(write_flow_stats(frames, ports, tables, settings.stats))
    except OpenFlowError as error:
        raise Fatal(f"dump flows ({error.name})") from None
    sys.stdout.flush()
    sys.stdout.buffer.writelines(texts)
    sys.stdout.flush()
    connection.close()


def _names(settings, connection: Connection, has_flows: bool):
    """The names of tables and of ports, if they are to be shown; nobody is asked for no flows."""
    if not has_flows:
        return None, None
    return table_names(settings, connection.name), port_names(settings, connection.name)


def _open_replies(replies: Iterable[bytes]) -> Iterator[Frame]:
    """The replies to a request for flows.  Raises Fatal."""
    for data in replies:
        try:
            frame = open_frame(data)
            if frame.raw.kind == "OFPT_ERROR":
                from vswitchd.openflow.messages.session import decode_error
                raise Fatal(f"dump flows ({decode_error(frame).name})")
        except OpenFlowError as error:
            raise Fatal(f"dump flows ({error.name})") from None
        yield frame


def fetch_flows(replies: Iterable[bytes]) -> list[FlowStats]:
    """All flows of replies, without their ages.  Raises Fatal."""
    flows: list[FlowStats] = []
    for frame in _open_replies(replies):
        try:
            flows.extend(forget_ages(flow) for flow in iterate_flow_stats(frame))
        except OpenFlowError as error:
            raise Fatal(f"dump flows ({error.name})") from None
    return flows


def _sort(settings, flows: list[FlowStats]) -> None:
    """Sorts by the criteria; flows that lack a field come last, whatever the order."""
    for name, descending in reversed(settings.sort):
        if name == "priority":
            flows.sort(key=lambda flow: flow.priority, reverse=descending)
            continue
        info = INFO[name]
        have = [flow for flow in flows if prerequisites_hold(flow.match.fields, info)
                and not is_wild(flow.match.fields, info)]
        lack = [flow for flow in flows if not any(flow is other for other in have)]
        have.sort(key=lambda flow: get(flow.match.fields, info)[0], reverse=descending)
        flows[:] = have + lack


def dump_aggregate(settings, arguments) -> None:
    from utilities.ofctl.switch import dump
    connection, request = _prepare_dump(settings, arguments, True)
    dump(settings, connection, request)
    connection.close()


# Comparing and replacing.


class _Version:
    """One side's version of a flow."""

    def __init__(self, cookie: int, idle: int, hard: int, importance: int, flags: int,
                 actions: tuple) -> None:
        self.cookie, self.idle, self.hard = cookie, idle, hard
        self.importance, self.flags, self.actions = importance, flags, actions

    def is_same(self, other: "_Version") -> bool:
        return (self.cookie, self.idle, self.hard, self.importance, self.actions) == (
            other.cookie, other.idle, other.hard, other.importance, other.actions)


_Table = dict[tuple[int, int, Match], list]
"""{(table, -priority, match): [version of the first, version of the second]}"""


def _read_file_side(settings, name: str, side: int, table: _Table, ports, tables) -> int:
    usable = protocol.ANY
    data = read_file(name, "open")
    for flow in read_flows(name, "add", ports, tables, False, data):
        usable &= flow.usable
        _put_side(table, flow, side, flow.new_cookie, flow.flags)
    return usable


def _put_side(table: _Table, flow, side: int, cookie: int, flags: int) -> None:
    number = 0 if flow.table == _TABLE_ANY else flow.table
    version = _Version(cookie, flow.idle_timeout, flow.hard_timeout, flow.importance, flags,
                       flow.actions)
    table.setdefault((number, -flow.priority, flow.match), [None, None])[side] = version


def _read_switch_side(connection: Connection, chosen: int, side: int, table: _Table) -> None:
    form = "nxm" if chosen & (protocol.OF10_NXM | protocol.OF10_NXM_TID) else "of"
    for flow in fetch_flows(connection.transact_parts(FlowStatsRequest(EMPTY, form=form))):
        # What the switch tells of flags is not compared, nor put in what is sent.
        _put_side(table, flow, side, flow.cookie, 0)


def _in_order(table: _Table):
    return sorted(table.items(), key=lambda item: item[0][0])


def _is_file(source: str) -> bool:
    return source[:1] in ("/", ".") or (":" not in source and os.path.exists(source))


def diff_flows(settings, arguments) -> int:
    table: _Table = {}
    names = None
    for side, source in enumerate(arguments):
        if _is_file(source):
            _read_file_side(settings, source, side, table, {}, {})
        else:
            connection = open_switch(settings, source)
            chosen = agree_for_dump(settings, connection, protocol.ANY)
            _read_switch_side(connection, chosen, side, table)
            connection.close()
            if names is None:
                names = port_names(settings, source)
    different = False
    for key, (first, second) in _in_order(table):
        if first is not None and second is not None and first.is_same(second):
            continue
        different = True
        for sign, version in (("-", first), ("+", second)):
            if version is not None:
                print(sign + _format_side(key, version, names))
    return 2 if different else 0


def _format_side(key, version: _Version, names) -> str:
    number, priority, match = key
    words = [f"table={number}"] if number else []
    text = format_match(match, names, -priority)
    words.append(text)
    if version.cookie:
        words.append(f"cookie=0x{version.cookie:x}")
    if version.idle:
        words.append(f"idle_timeout={version.idle}")
    if version.hard:
        words.append(f"hard_timeout={version.hard}")
    if version.importance:
        words.append(f"importance={version.importance}")
    if version.flags:
        words.append(format_flags(version.flags).strip())
    words.append("actions=" + format_actions(version.actions, names, None))
    return " ".join(words)


def replace_flows(settings, arguments) -> None:
    switch, name = arguments
    table: _Table = {}
    ports, tables = known_numbers(settings, switch, True)
    usable = _read_file_side(settings, name, 0, table, ports, tables)
    if settings.bundle:
        usable &= protocol.OF13_UP
    connection = open_switch(settings, switch)
    chosen = agree_for_dump(settings, connection, usable)
    _read_switch_side(connection, chosen, 1, table)
    messages = []
    for key, (new, old) in _in_order(table):
        if old is not None and new is None:
            messages.append(_make_change("delete_strict", key, old, chosen))
    for key, (new, old) in _in_order(table):
        if new is not None and (settings.readd or old is None or not new.is_same(old)):
            messages.append(_make_change("add", key, new, chosen))
    if settings.bundle:
        send_bundle(settings, connection, messages)
    else:
        end_by(settings, connection, connection.transact_each(messages))
    connection.close()


def _make_change(command: str, key, version: _Version, chosen: int) -> bytes:
    number, priority, match = key
    flow = ParsedFlow(
        command, match, -priority, version.actions if command == "add" else (), number, 0, 0,
        version.cookie, False, version.idle, version.hard, version.importance, NONE, 0xFFFFFFFF,
        version.flags, protocol.ANY)
    mod, of_version = make_flow_mod(flow, chosen)
    return encode(mod, of_version, next_xid())


# Packet-out.


def read_packet(text: str) -> bytes:
    """The bytes of a packet in hexadecimal; needs an Ethernet header.  Raises Fatal."""
    try:
        data = read_hex(text)
    except Fatal:
        raise Fatal("Trailing garbage in packet data") from None
    if len(data) < 14:
        raise Fatal("Packet data too short for Ethernet")
    return data


def packet_out(settings, arguments) -> None:
    from vswitchd.openflow.messages.packet import PacketOut
    from vswitchd.openflow.text import parse_actions
    switch = arguments[0]
    if len(arguments) == 2:
        ports, tables = known_numbers(settings, switch)
        value, usable = parse_packet_out(arguments[1], ports, tables)
        packets = [value]
    elif len(arguments) > 3:
        from utilities.ofctl.ports import port_number
        ports, tables = known_numbers(settings, switch, True)
        port = port_number(settings, switch, arguments[1])
        try:
            actions, usable = parse_actions(arguments[2], ports, tables)
        except FlowTextError as error:
            raise Fatal(str(error)) from None
        packets = [PacketOut(read_packet(text), actions, Match.of(in_port=port))
                   for text in arguments[3:]]
    else:
        raise Fatal(f"Too many arguments ({len(arguments) + 1})")
    connection, chosen = open_for_changes(settings, switch, usable)
    for value in packets:
        send_silent(settings, connection, [encode(value, connection.version, next_xid())])
    connection.close()


def parse_packet_out(text: str, ports, tables):
    """(PacketOut, usable flow formats) of `in_port=P packet=HEX actions=A`.  Raises Fatal."""
    from vswitchd.openflow.messages.packet import PacketOut
    from vswitchd.openflow.text import key_values, parse_actions, parse_match, parse_port
    at = text.find("action")
    equals = text.find("=", at) if at >= 0 else -1
    action_text = text[equals + 1:] if equals >= 0 else None
    head = text[:at] if equals >= 0 else text
    data, words, metadata, in_port = None, [], False, PORT_CONTROLLER
    for key, value in key_values(head):
        if not value:
            raise Fatal(f"field {key} missing value")
        if key == "packet":
            try:
                data = read_packet(value)
            except Fatal as error:
                raise Fatal(f"packet: {error.text}") from None
        else:
            if key not in INFO:
                raise Fatal(f"unknown keyword {key}")
            if key == "in_port":
                port = parse_port(value, ports)
                if port is None:
                    raise Fatal(f"{value} is not a valid OpenFlow port")
                if port > PORT_MAX and port not in (PORT_CONTROLLER, PORT_LOCAL, PORT_NONE):
                    raise Fatal(f"{value} is not a valid OpenFlow port for PACKET_OUT")
                in_port = port
                continue
            metadata = True
            words.append(f"{key}={value}")
    try:
        match, usable = parse_match(",".join(words), ports)
        match = Match({**match.fields, "in_port": (in_port, 0xFFFF)})
        actions: tuple = ()
        if data is None:
            raise Fatal("must specify packet")
        usable = usable if metadata else protocol.ANY
        if action_text is not None:
            actions, parsed = parse_actions(action_text, ports, tables)
            usable &= parsed
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    return PacketOut(data, actions, match), usable


# Parsing without a switch.


def _show_parsed(settings, flows: list[ParsedFlow]) -> None:
    usable = protocol.ANY
    for flow in flows:
        usable &= flow.usable
    print(f"usable protocols: {protocol.format_protocols(usable)}")
    usable &= settings.protocols
    if not usable:
        raise Fatal("no usable protocol")
    chosen = usable & -usable
    print(f"chosen protocol: {protocol.format_protocols(chosen)}")
    for flow in flows:
        mod, version = make_flow_mod(flow, chosen)
        print_message(encode(mod, version, next_xid()), settings, 0)


def parse_flow_command(settings, arguments) -> None:
    _show_parsed(settings, [_parse(arguments[0], "add", None, None)])


def parse_flows_command(settings, arguments) -> None:
    _show_parsed(settings, read_flows(arguments[0], "add", None, None))


# Watching.

_WATCH_FLAGS = {"initial": 1, "add": 2, "delete": 4, "modify": 8, "actions": 16, "own": 32}


def parse_watch(settings, switch: str, text: str):
    """The request that `monitor ... watch:SPEC` sends.  Raises Fatal."""
    from vswitchd.openflow.messages.monitor import FlowMonitorRequest, FlowMonitorRequests
    from vswitchd.openflow.text import key_values, parse_group, parse_match, parse_port
    from vswitchd.openflow.value_text import UnknownKeywordError, parse_table
    ports, tables = known_numbers(settings, switch)
    flags, table, out_port, out_group, words = 0x3F, _TABLE_ANY, NONE, 0xFFFFFFFF, []
    try:
        for key, value in key_values(text):
            if key[:1] == "!" and key[1:] in _WATCH_FLAGS:
                flags &= ~_WATCH_FLAGS[key[1:]]
            elif key in ("table", "out_port", "out_group") and not value:
                raise FlowTextError(f"field {key} missing value")
            elif key == "table":
                table = parse_table(value, tables)
                if table is None:
                    raise Fatal(f'unknown table "{value}"')
            elif key == "out_port":
                out_port = parse_port(value, ports)
                if out_port is None:
                    raise FlowTextError(f"{value} is not a valid OpenFlow port")
            elif key == "out_group":
                out_group = parse_group(value)
                if out_group is None:
                    raise FlowTextError(f"{value} is not a valid OpenFlow group")
            else:
                words.append(f"{key}={value}" if value else key)
    except FlowTextError as error:
        raise Fatal(f"{text}: {error}") from None
    try:
        match, _ = parse_match(",".join(words), ports)
    except UnknownKeywordError as error:
        raise Fatal(f"{text}: {error}") from None
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    number = next_watch()
    return FlowMonitorRequests((FlowMonitorRequest(number, flags, match, table, out_port,
                                                   out_group),))


_watches = 0


def next_watch() -> int:
    """Numbers of monitors count up from 0."""
    global _watches
    _watches += 1
    return _watches - 1
