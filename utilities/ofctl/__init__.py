"""ovs-ofctl: administers OpenFlow switches.

`main(argv)` is the program; `argv` lacks its name.  `COMMANDS` is the table of commands in the
order of list-commands; the module of a command is loaded when it runs.  Options and what they set
are in `Settings`, which every command gets.  Nothing here but the start; connections are in
`connection.py`.
"""

import os
import sys

from utilities.command_line import (
    DAEMON_NAMES, INFO, LOG, NO_ARGUMENT, OPTIONAL_ARGUMENT, REQUIRED_ARGUMENT, TLS_OPTIONS,
    VERBOSE_OPTIONS, Fatal, TlsFiles, apply_log_option, parse_options, parse_seconds,
    print_option_list, print_version, run_tool, time_limit,
)

PROGRAM = "ovs-ofctl"

_OPTIONS = (
    ("timeout", REQUIRED_ARGUMENT, "t"),
    ("strict", NO_ARGUMENT, ""),
    ("readd", NO_ARGUMENT, ""),
    ("flow-format", REQUIRED_ARGUMENT, "F"),
    ("packet-in-format", REQUIRED_ARGUMENT, "P"),
    ("more", NO_ARGUMENT, "m"),
    ("timestamp", NO_ARGUMENT, ""),
    ("sort", OPTIONAL_ARGUMENT, ""),
    ("rsort", OPTIONAL_ARGUMENT, ""),
    ("names", NO_ARGUMENT, ""),
    ("no-names", NO_ARGUMENT, ""),
    ("stats", NO_ARGUMENT, ""),
    ("no-stats", NO_ARGUMENT, ""),
    ("unixctl", REQUIRED_ARGUMENT, ""),
    ("help", NO_ARGUMENT, "h"),
    ("option", NO_ARGUMENT, "o"),
    ("bundle", NO_ARGUMENT, ""),
    ("color", OPTIONAL_ARGUMENT, ""),
    ("may-create", NO_ARGUMENT, ""),
    ("pcap", NO_ARGUMENT, ""),
    ("raw", NO_ARGUMENT, ""),
    ("read-only", NO_ARGUMENT, ""),
    ("detach", NO_ARGUMENT, ""),
    ("no-self-confinement", NO_ARGUMENT, ""),
    ("no-chdir", NO_ARGUMENT, ""),
    ("pidfile", OPTIONAL_ARGUMENT, ""),
    ("overwrite-pidfile", NO_ARGUMENT, ""),
    ("monitor", NO_ARGUMENT, ""),
    ("user", REQUIRED_ARGUMENT, ""),
    ("version", NO_ARGUMENT, "V"),
    ("protocols", REQUIRED_ARGUMENT, "O"),
    *VERBOSE_OPTIONS,
    *TLS_OPTIONS,
    ("bare", NO_ARGUMENT, ""),
    ("bad-csum", NO_ARGUMENT, ""),
    ("format", REQUIRED_ARGUMENT, ""),
)

_MANY = 1 << 30

# Name, least and most arguments, usage, module and function, whether --read-only forbids it.
COMMANDS: tuple[tuple[str, int, int, str, str, bool], ...] = (
    ("show", 1, 1, "switch", "switch.show", False),
    ("monitor", 1, 3, "switch [misslen] [invalid_ttl] [watch:[...]]", "monitor.monitor", False),
    ("snoop", 1, 1, "switch", "monitor.snoop", False),
    ("dump-desc", 1, 1, "switch", "switch.dump_desc", False),
    ("dump-tables", 1, 1, "switch", "switch.dump_tables", False),
    ("dump-table-features", 1, 1, "switch", "switch.dump_table_features", False),
    ("dump-table-desc", 1, 1, "switch", "switch.dump_table_desc", False),
    ("dump-flows", 1, 2, "switch", "short.dump_flows", False),
    ("dump-aggregate", 1, 2, "switch", "flows.dump_aggregate", False),
    ("queue-stats", 1, 3, "switch [port [queue]]", "switch.queue_stats", False),
    ("queue-get-config", 1, 3, "switch [port [queue]]", "switch.queue_get_config", False),
    ("add-flow", 2, 2, "switch flow", "flows.add_flow", True),
    ("add-flows", 2, 2, "switch file", "many.add_flows", True),
    ("mod-flows", 2, 2, "switch flow", "flows.mod_flows", True),
    ("del-flows", 1, 2, "switch [flow]", "flows.del_flows", True),
    ("replace-flows", 2, 2, "switch file", "flows.replace_flows", True),
    ("diff-flows", 2, 2, "source1 source2", "flows.diff_flows", True),
    ("add-meter", 2, 2, "switch meter", "meters.add_meter", True),
    ("mod-meter", 2, 2, "switch meter", "meters.mod_meter", True),
    ("del-meter", 1, 2, "switch meter", "meters.del_meters", True),
    ("del-meters", 1, 2, "switch", "meters.del_meters", True),
    ("dump-meter", 1, 2, "switch meter", "meters.dump_meters", False),
    ("dump-meters", 1, 2, "switch", "meters.dump_meters", False),
    ("meter-stats", 1, 2, "switch [meter]", "meters.meter_stats", False),
    ("meter-features", 1, 1, "switch", "meters.meter_features", False),
    ("packet-out", 2, _MANY,
     'switch "in_port=<port> packet=<hex data> actions=..."',
     "flows.packet_out", True),
    ("dump-ports", 1, 2, "switch [port]", "switch.dump_ports", False),
    ("dump-ports-desc", 1, 2, "switch [port]", "switch.dump_ports_desc", False),
    ("mod-port", 3, 3, "switch iface act", "switch.mod_port", True),
    ("mod-table", 3, 3, "switch mod", "switch.mod_table", True),
    ("get-frags", 1, 1, "switch", "switch.get_frags", False),
    ("set-frags", 2, 2, "switch frag_mode", "switch.set_frags", True),
    ("probe", 1, 1, "target", "switch.probe", False),
    ("ping", 1, 2, "target [n]", "switch.ping", False),
    ("benchmark", 3, 3, "target n count", "switch.benchmark", False),
    ("dump-ipfix-bridge", 1, 1, "switch", "switch.dump_ipfix_bridge", False),
    ("dump-ipfix-flow", 1, 1, "switch", "switch.dump_ipfix_flow", False),
    ("ct-flush-zone", 2, 2, "switch zone", "switch.ct_flush_zone", False),
    ("ct-flush", 1, 6, "switch [zone=N] [ct-orig-tuple [ct-reply-tuple]]", "groups.ct_flush",
     False),
    ("ofp-parse", 1, 1, "file", "debug.ofp_parse", True),
    ("ofp-parse-pcap", 1, _MANY, "pcap", "packets.ofp_parse_pcap", True),
    ("add-group", 1, 2, "switch group", "groups.add_group", True),
    ("add-groups", 2, 2, "switch file", "groups.add_groups", True),
    ("mod-group", 1, 2, "switch group", "groups.mod_group", True),
    ("del-groups", 1, 2, "switch [group]", "groups.del_groups", True),
    ("insert-buckets", 1, 2, "switch [group]", "groups.insert_buckets", True),
    ("remove-buckets", 1, 2, "switch [group]", "groups.remove_buckets", True),
    ("dump-groups", 1, 2, "switch [group]", "groups.dump_groups", False),
    ("dump-group-stats", 1, 2, "switch [group]", "groups.dump_group_stats", False),
    ("dump-group-features", 1, 1, "switch", "switch.dump_group_features", False),
    ("bundle", 2, 2, "switch file", "groups.bundle", True),
    ("add-tlv-map", 2, 2, "switch map", "groups.add_tlv_map", False),
    ("del-tlv-map", 1, 2, "switch [map]", "groups.del_tlv_map", False),
    ("dump-tlv-map", 1, 1, "switch", "switch.dump_tlv_map", False),
    ("help", 0, _MANY, "", "help", False),
    ("list-commands", 0, _MANY, "", "list", False),
    ("parse-flow", 1, 1, "", "flows.parse_flow_command", True),
    ("parse-flows", 1, 1, "", "flows.parse_flows_command", True),
    ("parse-group", 1, 1, "", "debug.parse_group", True),
    ("parse-nx-match", 0, 0, "", "debug.parse_nxm", True),
    ("parse-nxm", 0, 0, "", "debug.parse_nxm", True),
    ("parse-oxm", 1, 1, "", "debug.parse_oxm", True),
    ("parse-actions", 1, 1, "", "debug.parse_actions", True),
    ("parse-instructions", 1, 1, "", "debug.parse_instructions", True),
    ("parse-ofp10-match", 0, 0, "", "wire.parse_ofp10_match", True),
    ("parse-ofp11-match", 0, 0, "", "wire.parse_ofp11_match", True),
    ("parse-pcap", 1, _MANY, "", "packets.parse_pcap", True),
    ("check-vlan", 2, 2, "", "wire.check_vlan", True),
    ("print-error", 1, 1, "", "debug.print_error", True),
    ("encode-error-reply", 2, 2, "", "debug.encode_error_reply", True),
    ("ofp-print", 1, 2, "", "debug.ofp_print", True),
    ("encode-hello", 1, 1, "", "debug.encode_hello", True),
    ("parse-key-value", 1, _MANY, "", "debug.parse_key_value", True),
    ("compose-packet", 1, 2, "", "packets.compose_packet", False),
    ("parse-packet", 0, 0, "", "packets.parse_packet", False),
)

class Settings:
    """What the options say; commands get it as their first argument."""

    def __init__(self) -> None:
        # Loaded after --version could have ended the program.
        from utilities.ofctl.protocol import ANY
        self.strict = self.readd = self.bundle = self.read_only = self.may_create = False
        self.timestamp = False
        self.verbosity = 0
        self.versions: frozenset[int] = frozenset({1})
        self.protocols = ANY
        self.protocols_given = False
        self.packet_in_format: str | None = None
        self.sort: list[tuple[str | None, bool]] = []
        self.names: bool | None = None
        self.stats = True
        self.has_json = self.color = False
        self.daemon_options: dict[str, str | None] = {}
        self.bare = self.bad_checksum = self.raw = self.pcap = False
        self.tls = TlsFiles()

    def show_names(self) -> bool:
        """Whether names of ports and tables are wanted on stdout: on terminals unless said."""
        return sys.stdout.isatty() if self.names is None else self.names


def main(argv: list[str]) -> int:
    """Runs ovs-ofctl.  Returns its exit code."""
    return run_tool(PROGRAM, _main, argv)


def _main(argv: list[str]) -> int:
    found, words = parse_options(argv, _OPTIONS, reorder=True)
    options = list(found)
    for name, _ in options:
        if name == "version":
            print_version(PROGRAM, "OpenFlow versions 0x1:0x6")
            return 0
        if name == "help":
            return _help()
        if name == "option":
            print_option_list(_OPTIONS)
            return 0
    settings = _apply(options)
    if not words:
        raise Fatal("missing command name; use --help for help")
    return _run(settings, words[0], words[1:])


def _run(settings: Settings, name: str, arguments: list[str]) -> int:
    for command, least, most, _, place, writes in COMMANDS:
        if command != name:
            continue
        if len(arguments) < least:
            raise Fatal(f"'{name}' command requires at least {least} arguments")
        if len(arguments) > most:
            raise Fatal(f"'{name}' command takes at most {most} arguments")
        if writes and settings.read_only:
            raise Fatal(f"'{name}' command does not work in read only mode")
        if place == "help":
            return _help()
        if place == "list":
            return _list()
        module, function = place.split(".")
        path = f"utilities.ofctl.{module}"
        __import__(path)
        return getattr(sys.modules[path], function)(settings, arguments) or 0
    raise Fatal(f"unknown command '{name}'; use --help for help")


def _apply(options: list[tuple[str, str | None]]) -> Settings:
    from utilities.ofctl import protocol
    # Notices are shown too, unless -v asks for less.
    LOG.set_level(None, "console", INFO)
    settings = Settings()
    timeout = None
    for name, value in options:
        match name:
            case "timeout":
                timeout = parse_seconds(value, "t")
            case "flow-format":
                settings.protocols = protocol.parse_protocols(value)
                settings.protocols_given = True
            case "packet-in-format":
                settings.packet_in_format = protocol.parse_packet_in_format(value)
            case "protocols":
                settings.versions = protocol.parse_versions(value)
                settings.protocols_given = True
            case "strict" | "readd" | "bundle" | "timestamp" | "raw" | "pcap":
                setattr(settings, name, True)
            case "may-create" | "read-only" | "bare":
                setattr(settings, name.replace("-", "_"), True)
            case "bad-csum":
                settings.bad_checksum = True
            case "more":
                settings.verbosity += 1
            case "sort" | "rsort":
                settings.sort.append((protocol.parse_sort_field(value), name == "rsort"))
            case "names" | "no-names":
                settings.names = name == "names"
            case "stats" | "no-stats":
                settings.stats = name == "stats"
            case "format":
                if value not in ("json", "text"):
                    raise Fatal(f"unknown output format `{value}'")
                settings.has_json = value == "json"
            case "color":
                settings.color = _parse_color(value)
            case _ if name in DAEMON_NAMES:
                settings.daemon_options[name] = value
            case _:
                if not apply_log_option(name, value):
                    settings.tls.apply_option(name, value)
    time_limit(timeout)
    if settings.sort:
        # Sorting by priority comes last, whatever was asked for.
        settings.sort.append(("priority", True))
    protocol.settle(settings)
    if settings.color and not settings.has_json:
        from vswitchd.openflow import color                 # Few runs need it.
        color.turn_on(os.environ.get("OVS_COLORS", ""))
    return settings


def _parse_color(value: str | None) -> bool:
    """Whether output is to be coloured."""
    match value:
        case "always" | "yes" | "force":
            return True
        case "never" | "no" | "none":
            return False
        case None | "auto" | "tty" | "if-tty":
            return os.environ.get("TERM", "dumb") != "dumb" and sys.stdout.isatty()
    raise Fatal(f"incorrect value `{value}' for --color")


def _list() -> int:
    print("The available commands are:")
    for name, _, _, usage, _, _ in COMMANDS:
        print(f"  {name:<23} {usage}")
    return 0


def _help() -> int:
    from utilities.help_parts import fill
    from utilities.ofctl.help import TEXT
    versions = ", ".join(f"OpenFlow1{minor}" for minor in range(6))
    sys.stdout.write(fill(TEXT, PROGRAM, versions=versions))
    return 0
