"""ovs-ofctl commands about the switch itself: show, statistics, ports, probing.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import sys
import time

from schema.openflow.limits import PORT_NONE, QUEUE_ALL, TABLE_ALL
from schema.openflow.messages import OF10, OF13, OF14, VERSION_NAMES
from utilities.command_line import Fatal
from utilities.ofctl.connection import (
    Connection, next_xid, open_reply, open_switch, print_message, read_reply, warn,
)
from utilities.ofctl.ports import fetch_ports, find_port, port_number, shown_names
from vswitchd.openflow.framing import OpenFlowError, identify, open_frame, parse_header
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.session import (
    FRAGMENTS, EchoRequest, FeaturesRequest, GetConfigReply, GetConfigRequest, SetConfig,
)
from vswitchd.openflow.print import log_error


def dump(settings, connection: Connection, request) -> None:
    """Sends a request and prints every part of the answer."""
    for data in connection.transact_parts(request):
        # Asked for when the answer has come, on connections of their own.
        print_message(data, settings, 1, *shown_names(settings, connection))


def dump_trivial(settings, switch: str, request) -> None:
    connection = open_switch(settings, switch)
    dump(settings, connection, request)
    connection.close()


def send_silent(settings, connection: Connection, *values) -> None:
    """Sends messages that have no answer; prints the error and ends if one comes."""
    messages = [encode(value, connection.version, next_xid()) for value in values]
    error = connection.transact_silent(messages)
    if error is not None:
        print_message(error, settings, 2, *shown_names(settings, connection), file=sys.stderr)
        raise Fatal(None)


def show(settings, arguments) -> None:
    switch = arguments[0]
    connection = open_switch(settings, switch)
    print_message(connection.transact(FeaturesRequest()), settings)
    if connection.version >= OF13:
        from vswitchd.openflow.messages.port import PortDescRequest
        dump(settings, connection, PortDescRequest())
    connection.close()
    dump_trivial(settings, switch, GetConfigRequest())


def dump_desc(settings, arguments) -> None:
    from vswitchd.openflow.messages.switch import DescRequest
    dump_trivial(settings, arguments[0], DescRequest())


def dump_tables(settings, arguments) -> None:
    from vswitchd.openflow.messages.table import TableStatsRequest
    dump_trivial(settings, arguments[0], TableStatsRequest())


def dump_table_features(settings, arguments) -> None:
    from vswitchd.openflow.messages.table import TableFeaturesRequest, TablePrinter
    connection = open_switch(settings, arguments[0])
    if connection.version < 4:
        raise Fatal("dump-table-features needs OpenFlow 1.3 or later ('-O OpenFlow13')")
    if settings.has_json:
        dump(settings, connection, TableFeaturesRequest())
        return
    printer = TablePrinter(connection.version)
    for data in connection.transact_parts(TableFeaturesRequest()):
        frame = open_reply(data)
        if not frame.raw.is_stats:
            print_message(data, settings)
            raise Fatal(None)
        try:
            printer.add_features(frame)
        except OpenFlowError as error:
            log_error(error, warn)
            raise Fatal(f"decode error: {error.name}") from None
    sys.stdout.write(printer.finish() + "\n")
    connection.close()


def dump_table_desc(settings, arguments) -> None:
    from vswitchd.openflow.messages.table_config import TableDescRequest
    connection = open_switch(settings, arguments[0])
    if connection.version < 5:
        raise Fatal("dump-table-desc needs OpenFlow 1.4 or later ('-O OpenFlow14')")
    dump(settings, connection, TableDescRequest())
    connection.close()


def fetch_config(connection: Connection) -> GetConfigReply:
    """How the switch is configured."""
    return read_reply(connection.transact(GetConfigRequest()), GetConfigReply,
                      f"{connection.name}: bad reply to config request")


def get_frags(settings, arguments) -> None:
    connection = open_switch(settings, arguments[0])
    print(FRAGMENTS[fetch_config(connection).fragments])
    connection.close()


def set_frags(settings, arguments) -> None:
    modes = {name: number for number, name in FRAGMENTS.items()}
    mode = modes.get(arguments[1].lower())
    if mode is None:
        raise Fatal(f"{arguments[1]}: unknown fragment handling mode")
    connection = open_switch(settings, arguments[0])
    config = fetch_config(connection)
    if config.fragments != mode:
        ttl = config.invalid_ttl if connection.version < OF13 else None
        send_silent(settings, connection, SetConfig(mode, config.miss_send_len, ttl))
        config = fetch_config(connection)
        if config.fragments != mode:
            raise Fatal(f"{arguments[0]}: setting fragment handling mode failed (this switch "
                        f'probably doesn\'t support mode "{arguments[1]}")')
    connection.close()


# Ports and queues.

# (bit of the port's configuration, whether it is set); with "no" or "no-" before it the other way.
_PORT_ACTIONS = {
    "up": (0x1, False), "down": (0x1, True), "stp": (0x2, False), "receive": (0x4, False),
    "receive-stp": (0x8, False), "flood": (0x10, False), "forward": (0x20, False),
    "packet-in": (0x40, False),
}


def mod_port(settings, arguments) -> None:
    from vswitchd.openflow.messages.port import PortMod
    switch, name, action = arguments
    port = find_port(settings, switch, name)
    if port is None:
        raise Fatal(f"{switch}: couldn't find port `{name}'")
    plain = action.lower()
    is_negated = plain.startswith("no")
    plain = plain.removeprefix("no").removeprefix("-") if is_negated else plain
    if plain not in _PORT_ACTIONS:
        raise Fatal(f"unknown mod-port command '{action}'")
    mask, on = _PORT_ACTIONS[plain]
    on = on != is_negated
    connection = open_switch(settings, switch)
    send_silent(settings, connection, PortMod(port.number, port.mac, mask if on else 0, mask))
    connection.close()


def dump_ports(settings, arguments) -> None:
    from vswitchd.openflow.messages.port import PortStatsRequest
    connection = open_switch(settings, arguments[0])
    port = port_number(settings, *arguments) if len(arguments) > 1 else PORT_NONE
    dump(settings, connection, PortStatsRequest(port))
    connection.close()


def dump_ports_desc(settings, arguments) -> None:
    from vswitchd.openflow.messages.port import PortDescRequest
    connection = open_switch(settings, arguments[0])
    port = port_number(settings, *arguments) if len(arguments) > 1 else PORT_NONE
    dump(settings, connection, PortDescRequest(port))
    connection.close()


def _port_and_queue(settings, arguments, any_port=()) -> tuple[int, int]:
    """The port and the queue asked for; a port in `any_port` means all of them."""
    port, queue = PORT_NONE, QUEUE_ALL
    if len(arguments) > 1 and arguments[1].upper() not in any_port:
        port = port_number(settings, arguments[0], arguments[1])
    if len(arguments) > 2 and arguments[2] and arguments[2].upper() != "ALL":
        digits = arguments[2].lstrip()
        number = ""
        for letter in digits:
            if not letter.isdigit():
                break
            number += letter
        queue = int(number or 0)
    return port, queue


def queue_stats(settings, arguments) -> None:
    from vswitchd.openflow.messages.queue import QueueStatsRequest
    connection = open_switch(settings, arguments[0])
    port, queue = _port_and_queue(settings, arguments, ("", "ALL"))
    dump(settings, connection, QueueStatsRequest(port, queue))
    connection.close()


def queue_get_config(settings, arguments) -> None:
    from vswitchd.openflow.messages.queue import QueueConfigRequest
    switch = arguments[0]
    port, queue = _port_and_queue(settings, arguments)
    connection = open_switch(settings, switch)
    if connection.version == OF10 and port == PORT_NONE:
        second = open_switch(settings, switch)
        for number in sorted(p.number for p in fetch_ports(connection) if p.number < 0xFF00):
            dump(settings, second, QueueConfigRequest(number, queue))
        second.close()
    else:
        dump(settings, connection, QueueConfigRequest(port, queue))
    connection.close()


# Other requests.


def dump_ipfix_bridge(settings, arguments) -> None:
    from vswitchd.openflow.messages.switch import IpfixBridgeRequest
    dump_trivial(settings, arguments[0], IpfixBridgeRequest())


def dump_ipfix_flow(settings, arguments) -> None:
    from vswitchd.openflow.messages.switch import IpfixFlowRequest
    dump_trivial(settings, arguments[0], IpfixFlowRequest())


def dump_tlv_map(settings, arguments) -> None:
    from vswitchd.openflow.messages.switch import TlvTableRequest
    dump_trivial(settings, arguments[0], TlvTableRequest())


def dump_group_features(settings, arguments) -> None:
    from vswitchd.openflow.messages.group import GroupFeaturesRequest
    dump_trivial(settings, arguments[0], GroupFeaturesRequest())


def ct_flush_zone(settings, arguments) -> None:
    from vswitchd.openflow.messages.switch import CtFlushZone
    from vswitchd.openflow.value_text import FlowTextError, parse_u16
    try:
        zone = parse_u16(arguments[1], "zone_id")
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    connection = open_switch(settings, arguments[0])
    send_silent(settings, connection, CtFlushZone(zone))
    connection.close()


# Probing.


def probe(settings, arguments) -> None:
    connection = open_switch(settings, arguments[0])
    connection.send_bytes(encode(EchoRequest(), connection.version, 0))
    data = connection.receive_xid(0)
    if len(data) != 8:
        raise Fatal("reply does not match request")
    connection.close()


def ping(settings, arguments) -> None:
    import os
    size = _payload(arguments[1]) if len(arguments) > 1 else 64
    connection = open_switch(settings, arguments[0])
    for _ in range(10):
        payload = os.urandom(size)
        start = time.monotonic()
        xid = next_xid()
        connection.send_bytes(encode(EchoRequest(payload), connection.version, xid))
        data = connection.receive_xid(xid)
        end = time.monotonic()
        name = identify(data)[0].kind
        if name != "OFPT_ECHO_REPLY" or data[8:] != payload:
            print("Reply does not match request.  Request:")
            print_message(encode(EchoRequest(payload), connection.version, xid), settings, 3)
            print("Reply:")
            print_message(data, settings, 3)
        print(f"{len(data) - 8} bytes from {arguments[0]}: xid={parse_header(data).xid:08x} "
              f"time={(end - start) * 1000:.1f} ms")
    connection.close()


def _payload(text: str) -> int:
    size = int(text) if text.isdigit() else 0
    if size > 65535 - 8:
        raise Fatal(f"payload must be between 0 and {65535 - 8} bytes")
    return size


def benchmark(settings, arguments) -> None:
    size = _payload(arguments[1])
    count = int(arguments[2]) if arguments[2].isdigit() else 0
    message_size = size + 8
    print(f"Sending {count} packets * {message_size} bytes (with header) = "
          f"{count * message_size} bytes total")
    connection = open_switch(settings, arguments[0])
    start = time.monotonic()
    payload = bytes(size)
    for _ in range(count):
        connection.transact(EchoRequest(payload))
    duration = max((time.monotonic() - start) * 1000, 1e-6)
    connection.close()
    print(f"Finished in {duration:.1f} ms ({count / (duration / 1000):.0f} packets/s) "
          f"({count * message_size / (duration / 1000):.0f} bytes/s)")


def _name_table(settings, switch: str, table: int, name: str) -> None:
    """Gives a table another name, by a request that its features be as they are but for that."""
    from vswitchd.openflow.messages.table import TableFeaturesRequest, rename_features
    settings.versions &= frozenset((4, 5, 6))
    if not settings.versions:
        raise Fatal("naming a table requires OpenFlow13 or later")
    connection = open_switch(settings, switch)
    wanted = None
    for data in connection.transact_parts(TableFeaturesRequest()):
        wanted = wanted or rename_features(open_reply(data), table, name.encode())
    if wanted is not None:
        for data in connection.transact_parts(TableFeaturesRequest(wanted)):
            if not open_reply(data).raw.is_stats:
                print_message(data, settings, 2, file=sys.stderr)
                raise Fatal(None)
    connection.close()


def mod_table(settings, arguments) -> None:
    """Changes what a table does on a miss (1.1, 1.2), or its eviction and vacancy (1.4)."""
    from utilities.ofctl.ports import table_numbers
    from vswitchd.openflow.messages.table_config import parse_table_mod
    from vswitchd.openflow.value_text import FlowTextError, parse_table
    switch, table_text, setting = arguments
    names = table_numbers(settings, switch)
    table = TABLE_ALL if table_text.lower() == "all" else parse_table(table_text, names)
    if table is None:
        raise Fatal(f'unknown table "{table_text}"')
    if setting.startswith("name:"):
        _name_table(settings, switch, table, setting.removeprefix("name:"))
        return
    try:
        mod, usable = parse_table_mod(table, setting)
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    allowed = settings.versions & usable
    if not allowed:
        names = ", ".join(VERSION_NAMES[v] for v in sorted(usable))
        raise Fatal(f"table_mod '{setting}' requires one of the OpenFlow versions {names}")
    settings.versions = allowed
    connection = open_switch(settings, switch)
    if connection.version < OF14:
        send_silent(settings, connection, mod)
    else:
        for number in range(_N_TABLES) if table == TABLE_ALL else (table,):
            _set_table(settings, connection, mod.replace(table=number))
    connection.close()


_N_TABLES = 254


def _set_table(settings, connection: Connection, mod) -> None:
    """Changes eviction or vacancy of a table: they travel together, so the other one is kept."""
    from vswitchd.openflow.messages.table_config import TableDescRequest, iterate_table_descs
    for data in connection.transact_parts(TableDescRequest()):
        for desc in iterate_table_descs(open_frame(data)):
            if desc.table == mod.table:
                mod = mod.replace(vacancy=desc.vacancy if mod.vacancy is None else mod.vacancy,
                                  eviction=desc.eviction if mod.eviction is None else mod.eviction)
    send_silent(settings, connection, mod)
