"""ovs-appctl: sends one command to a running daemon's control socket and prints the answer.

`main(argv)` is the program; `argv` is without the program name.  The target is a socket path
(`/...`) or a daemon's name, whose pidfile leads to RUNDIR/NAME.PID.ctl.  A pidfile counts only
while its owner holds a lock on it.  Texts and exit codes follow the reference: 1 for our own
trouble, 2 for an error from the daemon.

Starts fast: standard library only, no argparse.
"""

import errno
import fcntl
import json
import os
import signal
import struct
import sys
import time

from ovsdb_server.rpc import address, blocking

PROGRAM = "ovs-appctl"
VERSION = "4.0.90"

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

# Long name, short name ("" if none), argument: None, "required" or "optional".
_OPTIONS = (
    ("target", "t", "required"),
    ("execute", "e", None),
    ("format", "f", "required"),
    ("pretty", "", None),
    ("help", "h", None),
    ("option", "o", None),
    ("version", "V", None),
    ("timeout", "T", "required"),
    ("verbose", "v", "optional"),
    ("log-file", "", "optional"),
    ("syslog-method", "", "required"),
    ("syslog-target", "", "required"),
)


class Failure(Exception):
    """Ends the program with a message and an exit code."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


class _Settings:
    """What the command line asks for."""

    __slots__ = ("target", "timeout", "is_json", "is_pretty", "action", "command", "arguments",
                 "log")

    def __init__(self) -> None:
        self.target = ""
        self.timeout = 0
        self.is_json = False
        self.is_pretty = False
        self.action = ""                    # "help", "option", "version" or "".
        self.command = ""
        self.arguments: list[str] = []
        self.log = None                     # The module vlog, loaded by options about it.


def main(argv: list[str]) -> int:
    """Run ovs-appctl with arguments `argv`; return the exit code."""
    try:
        settings = _parse(argv)
        match settings.action:
            case "help":
                sys.stdout.write(_HELP.format(program=PROGRAM))
                return 0
            case "option":
                _print_options()
                return 0
            case "version":
                print(f"{PROGRAM} (Open vSwitch) {VERSION}")
                return 0
        if settings.timeout:
            _arm_timeout(settings)
        return _run(settings)
    except Failure as failure:
        sys.stderr.write(f"{PROGRAM}: {failure.text}\n")
        return failure.code


def _parse(argv: list[str]) -> _Settings:
    """Return the settings in `argv`.  Options end at the first other argument.  Raises: Failure"""
    settings = _Settings()
    index = 0
    while index < len(argv):
        word = argv[index]
        if word == "--":
            index += 1
            break
        if not word.startswith("-") or word == "-":
            break
        index += 1
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found = _find_long(name, word)
            argument = value if equals else None
            if found[2] is None and equals:
                raise Failure(f"option '--{found[0]}' doesn't allow an argument")
            if found[2] == "required" and not equals:
                if index == len(argv):
                    raise Failure(f"option '--{found[0]}' requires an argument")
                argument = argv[index]
                index += 1
            _apply(settings, found[0], argument)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            found = next((row for row in _OPTIONS if row[1] == letter), None)
            if found is None:
                raise Failure(f"invalid option -- '{letter}'")
            argument = None
            if found[2] is not None and letters:
                argument, letters = letters, ""
            elif found[2] == "required":
                if index == len(argv):
                    raise Failure(f"option requires an argument -- '{letter}'")
                argument = argv[index]
                index += 1
            _apply(settings, found[0], argument)
    if settings.action:
        return settings
    if index >= len(argv):
        raise Failure("at least one non-option argument is required (use --help for help)")
    settings.command = argv[index]
    settings.arguments = argv[index + 1:]
    if not settings.timeout:
        text = os.environ.get("OVS_CTL_TIMEOUT", "")
        if text.isdecimal():
            settings.timeout = int(text)
    if settings.is_pretty and not settings.is_json:
        raise Failure("--pretty is supported with --format json only")
    return settings


def _find_long(name: str, word: str) -> tuple:
    """Return the option row for `name`, which may be an unambiguous prefix.  Raises: Failure."""
    candidates = [row for row in _OPTIONS if row[0].startswith(name)]
    exact = [row for row in candidates if row[0] == name]
    if exact:
        return exact[0]
    shown = word.partition("=")[0]
    if not candidates:
        raise Failure(f"unrecognized option '{shown}'")
    if len(candidates) > 1:
        listed = " ".join(f"'--{row[0]}'" for row in candidates)
        raise Failure(f"option '{shown}' is ambiguous; possibilities: {listed}")
    return candidates[0]


def _apply(settings: _Settings, name: str, argument: str | None) -> None:
    match name:
        case "target":
            settings.target = argument
        case "timeout":
            if not argument.isdecimal() or not 0 < int(argument) < 2**32:
                raise Failure(f"value {argument} on -T or --timeout is invalid")
            settings.timeout = int(argument)
        case "format":
            if argument not in ("json", "text"):
                raise Failure(f"value {argument} on -f or --format is invalid")
            settings.is_json = argument == "json"
        case "pretty":
            settings.is_pretty = True
        case "help" | "option" | "version":
            settings.action = settings.action or name
        case "verbose":
            from ovsdb_server import vlog       # Costs time that most runs need not spend.
            settings.log = vlog
            try:
                vlog.apply_verbose(argument)
            except vlog.VlogError as error:
                raise Failure(str(error)) from None
        case "syslog-method":
            if argument not in ("libc", "null") and not argument.startswith(("unix:", "udp:")):
                raise Failure(f"unsupported syslog method '{argument}'")


def _print_options() -> None:
    for name, letter, argument in _OPTIONS:
        suffix = {None: "", "required": "ARG", "optional": "[ARG]"}[argument]
        print(f"--{name}={suffix}" if suffix else f"--{name}")
        if letter:
            print(f"-{letter} {suffix}")


def _arm_timeout(settings: _Settings) -> None:
    """Let SIGALRM end the program after the time-out, saying so as the reference does."""

    def die(number: int, _frame: object) -> None:
        _warn(settings, "fatal_signal", f"terminating with signal {number} (Alarm clock)")
        sys.stderr.flush()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGALRM, die)
    signal.alarm(settings.timeout)


def _warn(settings: _Settings, module: str, text: str) -> None:
    """Print a warning as a log line, unless -v has turned it off."""
    log = settings.log
    if log is not None and log.module(module).levels[log.CONSOLE] < log.WARN:
        return
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(f"{stamp}|00001|{module}|WARN|{text}\n")


def _run(settings: _Settings) -> int:
    """Send the command, print the answer, return the exit code.  Raises: Failure."""
    target = settings.target or "ovs-vswitchd"
    connection = _connect(target, settings)
    try:
        if settings.is_json:
            connection.call("set-options", ["--format", "json"])
        result = connection.call(settings.command, settings.arguments)
    except blocking.RpcError as error:
        text = error.error if isinstance(error.error, str) else json.dumps(error.error)
        sys.stdout.flush()
        sys.stderr.write(text if text.endswith("\n") else text + "\n")
        raise Failure(f"{target}: server returned an error", 2) from None
    except blocking.ConnectionClosed:
        raise Failure(f"{target}: transaction error (End of file)") from None
    except OSError as error:
        raise Failure(f"{target}: transaction error ({os.strerror(error.errno or 0)})") from None
    except blocking.ProtocolError:
        raise Failure(f"{target}: transaction error (Protocol error)") from None
    finally:
        connection.close()
    _print_result(result, settings)
    return 0


def ask(target: str, command: str, arguments: list[str]) -> tuple[str, bool]:
    """Send one command to a daemon; return (answer, whether it is an error).  Raises: Failure."""
    connection = _connect(target, _Settings())
    try:
        return connection.call(command, arguments), False
    except blocking.RpcError as error:
        return (error.error if isinstance(error.error, str) else json.dumps(error.error)), True
    except (blocking.ConnectionClosed, blocking.ProtocolError, OSError) as error:
        raise Failure(f"{target}: transaction error ({error})") from None
    finally:
        connection.close()


def _print_result(result: object, settings: _Settings) -> None:
    if settings.is_json:
        text = json.dumps(result, indent=2 if settings.is_pretty else None,
                          separators=(",", ": ") if settings.is_pretty else (",", ":"),
                          ensure_ascii=False, sort_keys=True)
    else:
        text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    if text and not text.endswith("\n"):
        text += "\n"
    # surrogateescape keeps whatever bytes the daemon sent.
    sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))
    sys.stdout.flush()


def _connect(target: str, settings: _Settings) -> blocking.Connection:
    """Return a connection to `target`, a daemon's name or a socket path.  Raises: Failure."""
    if target.startswith("/"):
        path = target
    else:
        pidfile = f"{address.run_directory()}/{target}.pid"
        path = f"{address.run_directory()}/{target}.{_read_pidfile(pidfile, settings)}.ctl"
    try:
        return blocking.connect_path(path)
    except OSError as error:
        _warn(settings, "unixctl", f"failed to connect to {path}")
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise Failure(f'cannot connect to "{path}" ({reason})') from None


def _read_pidfile(pidfile: str, settings: _Settings) -> int:
    """Return the pid in `pidfile` if its owner, who must be alive, holds a lock on it."""
    try:
        # F_GETLK needs no write access; read only, as the daemon may belong to another user.
        with open(pidfile, "rb") as file:
            request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file, fcntl.F_GETLK, request)
            kind, _, _, _, holder = struct.unpack("hhqqi4x", answer)
            text = file.read(64)
    except OSError as error:
        _warn(settings, "daemon_unix", f"{pidfile}: open: {os.strerror(error.errno)}")
        raise Failure(f'cannot read pidfile "{pidfile}" ({os.strerror(error.errno)})') from None
    if kind == fcntl.F_UNLCK:
        raise Failure(f'cannot read pidfile "{pidfile}" ({os.strerror(errno.ESRCH)})')
    words = text.split()
    if not words or not words[0].isdigit() or int(words[0]) != holder:
        raise Failure(f'cannot read pidfile "{pidfile}" ({os.strerror(errno.ESRCH)})')
    return holder
