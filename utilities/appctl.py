"""ovs-appctl: sends one command to a running daemon's control socket and prints the answer.

`main(argv)` is the program; `argv` is without the program name.  The target is a socket path
(`/...`) or a daemon's name, whose pidfile leads to RUNDIR/NAME.PID.ctl.  A pidfile counts only
while its owner holds a lock on it.  Texts and exit codes follow the reference: 1 for our own
trouble, 2 for an error from the daemon.  `ask` is for other tools that need a daemon's answer.

Starts fast: standard library only, no argparse.
"""

import errno
import fcntl
import os
import struct
import sys

import _socket

from ovsdb_server.rpc import address, blocking
from utilities.begun import Begun, begun
from utilities.command_line import (LOG, NO_ARGUMENT, REQUIRED_ARGUMENT, VERBOSE_OPTIONS, WARN,
                                    Fatal, apply_log_option, flush_output, parse_options,
                                    parse_seconds, print_option_list, print_version, run_tool,
                                    time_limit)

PROGRAM = "ovs-appctl"

_HELP = """\
{program}, for querying and controlling Open vSwitch daemon
usage: {program} [TARGET] COMMAND [ARG...]
Targets:
  -t, --target=TARGET  pidfile or socket to contact
Common commands:
  list-commands      List commands supported by the target
  version            Print version of the target
  vlog/list          List current logging levels
  vlog/list-pattern  List logging patterns for each destination.
  vlog/set [SPEC]
      Set log levels as detailed in SPEC, which may include:
      A valid module name (all modules, by default)
      'syslog', 'console', 'file' (all destinations, by default))
      'off', 'emer', 'err', 'warn', 'info', or 'dbg' ('dbg', bydefault)
  vlog/reopen        Make the program reopen its log file
Other options:
  --timeout=SECS     wait at most SECS seconds for a response
  -f, --format=FMT   Output format. One of: 'json', or 'text'
                     ('text', by default)
  --pretty           Format the output in a more readable fashion.
                     Requires --format=json
  -h, --help         Print this helpful information
  -V, --version      Display {program} version information
"""

_OPTIONS = (
    ("target", REQUIRED_ARGUMENT, "t"),
    ("execute", NO_ARGUMENT, "e"),
    ("format", REQUIRED_ARGUMENT, "f"),
    ("pretty", NO_ARGUMENT, ""),
    ("help", NO_ARGUMENT, "h"),
    ("option", NO_ARGUMENT, "o"),
    ("version", NO_ARGUMENT, "V"),
    ("timeout", REQUIRED_ARGUMENT, "T"),
    *VERBOSE_OPTIONS,
)


class _Settings:
    """What the command line asks for."""

    __slots__ = ("target", "timeout", "is_json", "is_pretty")

    def __init__(self) -> None:
        self.target = "ovs-vswitchd"
        self.timeout: int | None = None
        self.is_json = False
        self.is_pretty = False


def main(argv: list[str]) -> int:
    """Run ovs-appctl with arguments `argv`; return the exit code."""
    return run_tool(PROGRAM, _run, argv)


def _run(argv: list[str]) -> int:
    settings = _Settings()
    found, words = parse_options(argv, _OPTIONS)
    for name, value in found:
        match name:
            case "target":
                settings.target = value
            case "timeout":
                settings.timeout = parse_seconds(value, "T")
            case "format":
                if value not in ("text", "json"):
                    raise Fatal(f"value {value} on -f or --format is invalid")
                settings.is_json = value == "json"
            case "pretty":
                settings.is_pretty = True
            case "help":
                sys.stdout.write(_HELP.format(program=PROGRAM))
                return 0
            case "option":
                print_option_list(_OPTIONS)
                return 0
            case "version":
                print_version(PROGRAM)
                return 0
            case _:
                apply_log_option(name, value)
    if not words:
        raise Fatal("at least one non-option argument is required (use --help for help)")
    if settings.is_pretty and not settings.is_json:
        raise Fatal("--pretty is supported with --format json only")
    time_limit(settings.timeout)
    return _execute(settings, words[0], words[1:])


def _execute(settings: _Settings, command: str, arguments: list[str]) -> int:
    """Send the command, print the answer, return the exit code.  Raises: Fatal."""
    left = begun()
    connection = _go_on(left, settings.target) if left.fd >= 0 else connect(settings.target)
    try:
        if settings.is_json:
            _call(connection, settings.target, "set-options", ["--format", "json"])
        result = _call(connection, settings.target, command, arguments, left.n_sent > 0)
    except blocking.RpcError as error:
        text = error_text(error)
        flush_output()
        sys.stderr.write(text if text.endswith("\n") else text + "\n")
        raise Fatal(f"{settings.target}: server returned an error", 2) from None
    finally:
        connection.close()
    _print_result(result, settings)
    return 0


def _go_on(left: Begun, target: str) -> blocking.Connection:
    """Return the connection on which C has sent the command."""
    return blocking.Connection.go_on(_socket.socket(fileno=left.fd), target, left.n_sent,
                                     left.data or b"")


def _call(connection: blocking.Connection, target: str, command: str, arguments: list[str],
          is_sent: bool = False):
    """Return the result of a command, which may have been sent.  Raises: RpcError, Fatal."""
    try:
        return connection.wait_for(0) if is_sent else connection.call(command, arguments)
    except blocking.ConnectionClosed:
        reason = "End of file"
    except blocking.ProtocolError:
        reason = "Protocol error"
    except OSError as error:
        reason = os.strerror(error.errno or 0)
    raise Fatal(f"{target}: transaction error ({reason})")


def error_text(error: blocking.RpcError) -> str:
    """Return what a daemon said was wrong."""
    return error.error if isinstance(error.error, str) else _json_text(error.error)


def _json_text(value: object, separators: tuple[str, str] = (", ", ": ")) -> str:
    import json                 # Few answers are no texts; the import would double the start.
    return json.dumps(value, separators=separators, ensure_ascii=False, sort_keys=True)


def ask(target: str, command: str, arguments: list[str]) -> tuple[str, bool]:
    """Send one command to a daemon; return (answer, whether it is an error).  Raises: Fatal."""
    connection = connect(target)
    try:
        return _call(connection, target, command, arguments), False
    except blocking.RpcError as error:
        return error_text(error), True
    finally:
        connection.close()


def _print_result(result: object, settings: _Settings) -> None:
    if settings.is_pretty:
        from utilities.table import pretty_json         # Imports what few runs need.
        text = pretty_json(result)
    elif settings.is_json:
        text = _json_text(result, (",", ":"))
    else:
        text = result if isinstance(result, str) else _json_text(result)
    if text and not text.endswith("\n"):
        text += "\n"
    # surrogateescape keeps whatever bytes the daemon sent.
    sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))
    sys.stdout.flush()


def connect(target: str) -> blocking.Connection:
    """Return a connection to `target`, a daemon's name or a socket path.  Raises: Fatal."""
    if target.startswith("/"):
        path = target
    else:
        pidfile = f"{address.run_directory()}/{target}.pid"
        path = f"{address.run_directory()}/{target}.{_read_pidfile(pidfile)}.ctl"
    try:
        return blocking.connect_path(path)
    except OSError as error:
        LOG.log("unixctl", WARN, f"failed to connect to {path}")
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Fatal(f'cannot connect to "{path}" ({reason})') from None


def _read_pidfile(pidfile: str) -> int:
    """Return the pid in `pidfile` if its owner, who must be alive, holds a lock on it."""
    try:
        # F_GETLK needs no write access; read only, as the daemon may belong to another user.
        with open(pidfile, "rb") as file:
            request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file, fcntl.F_GETLK, request)
            kind, _, _, _, holder = struct.unpack("hhqqi4x", answer)
            text = file.read(64)
    except OSError as error:
        LOG.log("daemon_unix", WARN, f"{pidfile}: open: {os.strerror(error.errno)}")
        raise Fatal(f'cannot read pidfile "{pidfile}" ({os.strerror(error.errno)})') from None
    if kind == fcntl.F_UNLCK:
        raise Fatal(f'cannot read pidfile "{pidfile}" ({os.strerror(errno.ESRCH)})')
    words = text.split()
    if not words or not words[0].isdigit() or int(words[0]) != holder:
        raise Fatal(f'cannot read pidfile "{pidfile}" ({os.strerror(errno.ESRCH)})')
    return holder
