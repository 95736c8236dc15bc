"""ovs-dpctl: commands about datapaths, carried out by the running switch daemon.

`main(argv)` is the program; `argv` is without the program name. The reference's program speaks to
the kernel module; our datapaths live in ovs-vswitchd, so a command becomes the daemon's dpctl/*
command of the same name. parse-actions and normalize-actions need no daemon. Source: ovs-dpctl(8).
"""

from utilities import command_line
from utilities.command_line import (NO_ARGUMENT, OPTIONAL_ARGUMENT, REQUIRED_ARGUMENT, Fatal,
                                    print_option_list, print_version, run_tool, time_limit)

PROGRAM = "ovs-dpctl"

_OPTIONS = (
    ("statistics", NO_ARGUMENT, "s"), ("clear", NO_ARGUMENT, ""), ("may-create", NO_ARGUMENT, ""),
    ("read-only", NO_ARGUMENT, ""), ("more", NO_ARGUMENT, "m"), ("names", NO_ARGUMENT, ""),
    ("no-names", NO_ARGUMENT, ""), ("timeout", REQUIRED_ARGUMENT, "t"), ("help", NO_ARGUMENT, "h"),
    ("option", NO_ARGUMENT, "o"), ("version", NO_ARGUMENT, "V"),
    ("verbose", OPTIONAL_ARGUMENT, "v"), ("log-file", OPTIONAL_ARGUMENT, ""),
    ("syslog-method", REQUIRED_ARGUMENT, ""), ("syslog-target", REQUIRED_ARGUMENT, ""),
)
# Command: usage, least and most arguments, and whether it changes something.
_COMMANDS: dict[str, tuple[str, int, int, bool]] = {
    "add-dp": ("dp [iface...]", 1, 999, True),
    "del-dp": ("dp", 1, 1, True),
    "add-if": ("dp iface...", 2, 999, True),
    "del-if": ("dp iface...", 2, 999, True),
    "set-if": ("dp iface...", 2, 999, True),
    "dump-dps": ("", 0, 0, False),
    "show": ("[dp...]", 0, 999, False),
    "dump-flows": ("[dp] [filter=..] [type=..]", 0, 6, False),
    "add-flow": ("[dp] flow actions", 2, 3, True),
    "add-flows": ("[dp] file", 1, 2, True),
    "mod-flow": ("[dp] flow actions", 2, 3, True),
    "mod-flows": ("[dp] file", 1, 2, True),
    "get-flow": ("[dp] ufid", 1, 2, False),
    "del-flow": ("[dp] flow", 1, 2, True),
    "del-flows": ("[dp] [file]", 0, 2, True),
    "help": ("", 0, 999, False),
    "list-commands": ("", 0, 999, False),
    "parse-actions": ("actions", 1, 999, False),
    "normalize-actions": ("flow actions", 2, 999, False),
}
_PASSED_ON = {"statistics": "-s", "more": "-m", "names": "--names", "no-names": "--no-names",
              "may-create": "--may-create", "clear": "--clear"}


def main(argv: list[str]) -> int:
    """Run ovs-dpctl with arguments `argv`; return the exit code."""
    return run_tool(PROGRAM, _run, argv)


def _run(argv: list[str]) -> int:
    options, words = command_line.parse_options(argv, _OPTIONS, reorder=True)
    passed: list[str] = []
    is_read_only = False
    timeout = None
    for name, value in options:
        match name:
            case "help":
                _help()
                return 0
            case "option":
                print_option_list(_OPTIONS)
                return 0
            case "version":
                print_version(PROGRAM)
                return 0
            case "timeout":
                timeout = command_line.parse_seconds(value, "t")
            case "read-only":
                is_read_only = True
            case _ if name in _PASSED_ON:
                passed.append(_PASSED_ON[name])
            case _:
                command_line.apply_log_option(name, value)
    time_limit(timeout)
    if not words:
        raise Fatal("missing command name; use --help for help")
    command, *arguments = words
    if command not in _COMMANDS:
        raise Fatal(f"unknown command '{command}'; use --help for help")
    _, least, most, writes = _COMMANDS[command]
    if len(arguments) < least:
        raise Fatal(f"'{command}' command requires at least {least} arguments")
    if len(arguments) > most:
        raise Fatal(f"'{command}' command takes at most {most} arguments")
    if writes and is_read_only:
        raise Fatal(f"'{command}' command does not work in read only mode")
    match command:
        case "help":
            _help()
        case "list-commands":
            for name, (usage, *_) in _COMMANDS.items():
                print(f"  {name:<23} {usage}".rstrip())
        case "parse-actions":
            _parse_actions(arguments)
        case "normalize-actions":
            _normalize_actions(*arguments)
        case _:
            return _ask_daemon(command, passed + arguments)
    return 0


def _ask_daemon(command: str, arguments: list[str]) -> int:
    """Has ovs-vswitchd carry a command out."""
    from utilities.appctl import ask    # only commands that need the daemon pay for it
    answer, is_error = ask("ovs-vswitchd", f"dpctl/{command}", arguments)
    if is_error:
        raise Fatal(answer.rstrip("\n").removeprefix("ovs-vswitchd: "))
    command_line.write_text(answer)
    return 0


def _help() -> None:
    print(f"{PROGRAM}: Open vSwitch datapath management utility\n"
          f"usage: {PROGRAM} [OPTIONS] COMMAND [ARG...]")
    for name, (usage, *_) in _COMMANDS.items():
        if name != "help":
            print(f"  {name} {usage}".rstrip())
    print("\n"
          "Commands are carried out by the running ovs-vswitchd, whose datapaths they are about;\n"
          "parse-actions and normalize-actions need no daemon.\n\n"
          "Options:\n"
          "  -s, --statistics        print statistics for port or flow\n"
          "  -m, --more              increase verbosity of output\n"
          "  --names                 use port names in output\n"
          "  --may-create            create flow if it doesn't exist\n"
          "  --read-only             do not run read/write commands\n"
          "  --clear                 reset existing stats to zero\n"
          "  -t, --timeout=SECS      give up after SECS seconds\n"
          "  -h, --help              display this help message\n"
          "  -V, --version           display version information")


def _parse_actions(arguments: list[str]) -> None:
    from datapath.action_text import format_actions, parse_actions
    from datapath.part import TextError
    for written in arguments:
        try:
            print(format_actions(parse_actions(written)))
        except TextError:
            raise Fatal("odp_actions_from_string (Invalid argument)") from None


def _normalize_actions(flow: str, written: str, *ports: str) -> None:
    """Prints actions by the headers that frames have there; `ports` are names, "NAME=NUMBER"."""
    from datapath.normalize import normalize
    lines, wrong = normalize(flow, written, ports)
    for line in lines:
        print(line)
    if wrong:
        raise Fatal(wrong)
