"""ovsdb-client itself: its options, and the table of commands with what they need.

`main` reads the options, connects as the command needs it and calls the command, a function
`command(session, arguments)` of another module.
"""

import os
import sys

from utilities.command_line import (DAEMON_NAMES, INFO, LOG, NO_ARGUMENT,
                                    OPTIONAL_ARGUMENT, REQUIRED_ARGUMENT, TABLE_OPTIONS,
                                    TLS_OPTIONS, VERBOSE_OPTIONS, WARN, Fatal,
                                    apply_log_option, flush_output, parse_options, parse_seconds,
                                    print_version, run_tool, time_limit)
from utilities.ovsdb_client.session import PROGRAM, Session

_DAEMON_OPTIONS = (
    ("detach", NO_ARGUMENT, ""), ("no-chdir", NO_ARGUMENT, ""),
    ("no-self-confinement", NO_ARGUMENT, ""), ("pidfile", OPTIONAL_ARGUMENT, ""),
    ("overwrite-pidfile", NO_ARGUMENT, ""), ("monitor", NO_ARGUMENT, ""),
    ("user", REQUIRED_ARGUMENT, ""), ("unixctl", REQUIRED_ARGUMENT, ""))
OPTIONS = (
    ("help", NO_ARGUMENT, "h"), ("version", NO_ARGUMENT, "V"),
    ("timestamp", NO_ARGUMENT, ""), ("force", NO_ARGUMENT, ""),
    ("timeout", REQUIRED_ARGUMENT, "t"), ("db-change-aware", NO_ARGUMENT, ""),
    ("no-db-change-aware", NO_ARGUMENT, ""), *VERBOSE_OPTIONS, *_DAEMON_OPTIONS,
    ("bootstrap-ca-cert", REQUIRED_ARGUMENT, ""), *TLS_OPTIONS, *TABLE_OPTIONS,
    ("leader-only", NO_ARGUMENT, ""), ("no-leader-only", NO_ARGUMENT, ""),
    ("record", OPTIONAL_ARGUMENT, ""), ("replay", OPTIONAL_ARGUMENT, ""))

_MANY = 1 << 30

# Name: (what it needs, fewest and most arguments, module and function).
COMMANDS = {
    "list-dbs": ("connection", 0, 0, "schema.list_dbs"),
    "get-schema": ("database", 0, 0, "schema.get_schema"),
    "get-schema-version": ("database", 0, 0, "schema.get_schema_version"),
    "get-schema-cksum": ("database", 0, 0, "schema.get_schema_cksum"),
    "list-tables": ("database", 0, 0, "schema.list_tables"),
    "list-columns": ("database", 0, 1, "schema.list_columns"),
    "transact": ("later", 1, 1, "data.transact"),
    "query": ("later", 1, 1, "data.query"),
    "monitor": ("database", 1, _MANY, "monitor.monitor"),
    "monitor-cond": ("database", 2, _MANY, "monitor.monitor_cond"),
    "monitor-cond-since": ("database", 2, _MANY, "monitor.monitor_cond_since"),
    "convert": ("later", 1, 1, "schema.convert"),
    "needs-conversion": ("later", 1, 1, "schema.needs_conversion"),
    "wait": ("server", 2, 2, "wait.wait"),
    "dump": ("database", 0, _MANY, "data.dump"),
    "backup": ("database", 0, 0, "backup.backup"),
    "restore": ("database", 0, 0, "backup.restore"),
    "lock": ("connection", 1, 1, "lock.lock"),
    "steal": ("connection", 1, 1, "lock.steal"),
    "unlock": ("connection", 1, 1, "lock.unlock"),
    "help": ("nothing", 0, _MANY, "help.print_help"),
}


def main(argv: list[str] | None = None) -> int:
    """Run ovsdb-client with `argv`, which lacks the program's name; return the exit code."""
    return run_tool(PROGRAM, _run, sys.argv[1:] if argv is None else argv)


def _run(argv: list[str]) -> int:
    LOG.set_level(None, "console", INFO)
    session = Session()
    found, words = parse_options(argv, OPTIONS, reorder=True)
    for name, value in found:
        if name == "help":
            _function("help.print_help")()
            return 0
        if name == "version":
            print_version(PROGRAM)
            return 0
        _apply_option(session, name, value)
    time_limit(session.timeout)
    _handle_signals()
    if not words:
        raise Fatal("missing command name; use --help for help")
    command = COMMANDS.get(words[0])
    if command is None:
        raise Fatal(f"unknown command '{words[0]}'; use --help for help")
    need, n_min, n_max, function = command
    arguments = words[1:]
    if need == "server" and len(arguments) > n_min:
        session.server = arguments.pop(0)
    elif need == "later" and len(arguments) > n_max:
        # Not every word here is that of a server, but there is no other one that it could be.
        if _names_server(arguments[0]):
            session.server = arguments[0]
        del arguments[0]
    elif need in ("connection", "database"):
        if len(arguments) > n_min and _names_server(arguments[0]):
            session.server = arguments.pop(0)
        session.connect(arguments, n_min, has_database=need == "database")
    if not n_min <= len(arguments) <= n_max:
        raise Fatal(f"invalid syntax for '{words[0]}' (use --help for help)")
    try:
        _function(function)(session, arguments)
    finally:
        if session.background is not None:
            session.background.close()
    return 0


def _names_server(word: str) -> bool:
    return word[:1].isalpha() and ":" in word


def _function(name: str):
    """Return the function MODULE.FUNCTION of this package."""
    module, _, function = name.partition(".")
    module = f"utilities.ovsdb_client.{module}"
    __import__(module)
    return getattr(sys.modules[module], function)


def _apply_option(session: Session, name: str, value: str | None) -> None:
    match name:
        case "timestamp":
            session.has_timestamps = True
        case "force":
            session.is_forced = True
        case "timeout":
            session.timeout = parse_seconds(value, "t")
        case "db-change-aware" | "no-db-change-aware":
            session.is_change_aware = name == "db-change-aware"
        case "leader-only" | "no-leader-only":
            session.leader_only = name == "leader-only"
        case _ if name in DAEMON_NAMES:
            session.daemon_options[name] = value
        case "record" | "replay":
            raise Fatal(f"--{name} is not supported")
        case _:
            if not (apply_log_option(name, value) or session.tls.apply_option(name, value)):
                session.style.apply_option(name, value)


def _handle_signals() -> None:
    import _signal

    def die(number: int, frame: object) -> None:
        flush_output()
        name = {_signal.SIGTERM: "Terminated", _signal.SIGINT: "Interrupt",
                _signal.SIGHUP: "Hangup"}[number]
        LOG.log("fatal_signal", WARN, f"terminating with signal {number} ({name})")
        _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, die)
