"""Logging as Open vSwitch's programs do it: modules, levels, destinations, patterns.

A `Logger` per module, made by `module(name)`; three destinations (syslog, console, file), each with
a pattern and a level per module.  `set_levels` takes what follows -v on a command line and what
vlog/set gets.  `commands()` gives the vlog/* rows for a control socket.

Logging belongs to the process, so the state is one object, `LOG`.  Main thread only.  Standard
library only: tools may use it.
"""

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

OFF, EMER, ERR, WARN, INFO, DBG = range(6)
LEVELS = ("OFF", "EMER", "ERR", "WARN", "INFO", "DBG")
DESTINATIONS = ("syslog", "console", "file")
SYSLOG, CONSOLE, FILE = range(3)

# Severity of each level in syslog(3).
_SEVERITY = (7, 1, 3, 4, 5, 7)
_FACILITIES = {name: number for number, name in enumerate(
    ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "clock",
     "authpriv", "ftp", "ntp", "audit", "alert", "clock2", "local0", "local1", "local2", "local3",
     "local4", "local5", "local6", "local7"))}

_PATTERNS = ("ovs|%05N|%c%T|%p|%m",
             "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
             "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m")

# Modules of the reference's programs: scripts name them in -v and vlog/set whether or not this
# suite logs there, so all of them exist.
MODULE_NAMES = """
backtrace bfd bond bridge bundle bundles cfm collectors command_line connmgr conntrack conntrack_tp
coverage ct_dpif daemon daemon_unix dns_resolve dpctl dpdk dpif dpif_lookup_autovalidator
dpif_lookup_generic dpif_mfex_extract_study dpif_netdev dpif_netdev_extract dpif_netdev_impl
dpif_netdev_lookup dpif_netlink dpif_netlink_rtnl dpif_offload dpif_offload_dummy dpif_offload_tc
entropy fail_open fatal_signal flow hmap in_band ipf ipfix jsonrpc lacp lldp lldpd lldpd_structs
lockfile mcast_snooping memory meta_flow native_tnl netdev netdev_afxdp netdev_dpdk netdev_dummy
netdev_linux netdev_offload netdev_offload_tc netdev_vport netflow netlink netlink_conntrack
netlink_notifier netlink_socket nx_match odp_execute odp_execute_impl odp_util ofctl ofp_actions
ofp_bundle ofp_connection ofp_ct ofp_errors ofp_flow ofp_group ofp_match ofp_meter ofp_monitor
ofp_msgs ofp_packet ofp_parse ofp_port ofp_protocol ofp_queue ofp_table ofp_util ofproto
ofproto_dpif ofproto_dpif_mirror ofproto_dpif_monitor ofproto_dpif_rid ofproto_dpif_upcall
ofproto_dpif_xlate ofproto_xlate_cache ovs_lldp ovs_numa ovs_rcu ovs_replay ovs_router ovs_thread
ovsdb ovsdb_client ovsdb_cs ovsdb_error ovsdb_file ovsdb_idl ovsdb_jsonrpc_server ovsdb_log
ovsdb_monitor ovsdb_rbac ovsdb_server ovsdb_tool ovsdb_util ox_stat pcap pmd_perf poll_loop process
raft raft_rpc rconn reconnect relay replication route_table rstp rstp_sm sflow sha1 signals
socket_util socket_util_unix storage stp stream stream_fd stream_replay stream_ssl stream_tcp
stream_unix svec system_stats tc timeval transaction transaction_forward trigger tunnel unixctl
userspace_tso util uuid vconn vconn_stream vlog vsctl vswitchd
""".split()


class VlogError(ValueError):
    """A level, pattern, file or method that cannot be; the text is for the user."""


class RateLimit:
    """A token bucket: `burst` messages at once, then `per_minute`.

    Share one between the calls that should share an allowance.
    """

    __slots__ = ("_per_minute", "_burst", "_tokens", "_filled", "_dropped", "_first_drop",
                 "_last_drop")

    def __init__(self, per_minute: int = 60, burst: int = 5) -> None:
        self._per_minute = per_minute
        self._burst = burst
        self._tokens = float(burst)
        self._filled = 0.0
        self._dropped = 0
        self._first_drop = self._last_drop = 0.0

    def take(self, now: float) -> str | None:
        """Return None if a message must be dropped, else "" or a note on what was dropped."""
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._per_minute / 60)
        self._filled = now
        if self._tokens < 1:
            self._dropped += 1
            self._first_drop = self._first_drop or now
            self._last_drop = now
            return None
        self._tokens -= 1
        if not self._dropped:
            return ""
        note = (f"Dropped {self._dropped} log messages in last {now - self._first_drop:.0f} "
                f"seconds (most recently, {now - self._last_drop:.0f} seconds ago) due to "
                f"excessive rate")
        self._dropped = 0
        self._first_drop = 0.0
        return note


class Logger:
    """What one module logs with.

    `levels` holds a level per destination; `threshold` is the highest of them, so that
    `logger.threshold >= DBG` is the cheap question to ask before building a text.
    """

    __slots__ = ("name", "levels", "threshold", "is_limited")

    def __init__(self, name: str) -> None:
        self.name = name
        self.levels = [INFO, INFO, INFO]
        self.threshold = INFO
        self.is_limited = True

    def log(self, level: int, text: str, limit: RateLimit | None = None) -> None:
        if level > self.threshold:
            return
        if limit is not None and self.is_limited:
            note = limit.take(time.monotonic())
            if note is None:
                return
            if note:
                LOG.write(self, level, note)
        LOG.write(self, level, text)

    def emer(self, text: str, limit: RateLimit | None = None) -> None:
        self.log(EMER, text, limit)

    def err(self, text: str, limit: RateLimit | None = None) -> None:
        self.log(ERR, text, limit)

    def warn(self, text: str, limit: RateLimit | None = None) -> None:
        self.log(WARN, text, limit)

    def info(self, text: str, limit: RateLimit | None = None) -> None:
        self.log(INFO, text, limit)

    def dbg(self, text: str, limit: RateLimit | None = None) -> None:
        self.log(DBG, text, limit)

    @property
    def is_dbg(self) -> bool:
        return self.threshold >= DBG


class _Log:
    """The process's log: its modules, destinations and counters."""

    def __init__(self) -> None:
        self.program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "ovs"
        self.subprogram = ""
        self.loggers = {name: Logger(name) for name in MODULE_NAMES}
        self.patterns = list(_PATTERNS)
        self.facility = _FACILITIES["daemon"]
        self.count = 0
        self.started = time.monotonic()
        self.file_path: str | None = None
        self.file_shown = ""                    # What the user called it.
        self.file_fd = -1
        self.syslog_method = os.environ.get("OVS_SYSLOG_METHOD") or "unix:/dev/log"
        self.syslog_target = ""
        self._syslog_socket: socket.socket | None = None
        self._syslog_address: object = None

    def write(self, logger: Logger, level: int, text: str) -> None:
        """Send a message to the destinations whose level for this module admits it."""
        self.count += 1
        wall = time.time()
        levels = logger.levels
        if level <= levels[CONSOLE]:
            self._write_fd(2, self.format(CONSOLE, logger.name, level, text, wall) + "\n")
        if level <= levels[FILE] and self.file_fd >= 0:
            self._write_fd(self.file_fd, self.format(FILE, logger.name, level, text, wall) + "\n")
        if level <= levels[SYSLOG] and self.syslog_method != "null":
            self._write_syslog(logger.name, level, text, wall)

    @staticmethod
    def _write_fd(fd: int, text: str) -> None:
        try:
            os.write(fd, text.encode("utf-8", "backslashreplace"))
        except OSError:
            pass        # A full disk or a closed terminal must not stop a daemon.

    def format(self, destination: int, module: str, level: int, text: str, wall: float) -> str:
        """Expand the destination's pattern (ovs-appctl(8), vlog/set)."""
        return self.expand(self.patterns[destination], module, level, text, wall)

    def expand(self, pattern: str, module: str, level: int, text: str, wall: float) -> str:
        parts = []
        index, end = 0, len(pattern)
        while index < end:
            percent = pattern.find("%", index)
            if percent < 0:
                parts.append(pattern[index:])
                break
            parts.append(pattern[index:percent])
            index = percent + 1
            is_left = pattern[index:index + 1] == "-"
            index += is_left
            fill = "0" if pattern[index:index + 1] == "0" else " "
            width = 0
            while index < end and pattern[index].isdigit():
                width = width * 10 + int(pattern[index])
                index += 1
            letter = pattern[index:index + 1]
            index += 1
            argument = ""
            if pattern[index:index + 1] == "{" and letter in "cdDEmnNpPrtTAB":
                close = pattern.find("}", index)
                close = end if close < 0 else close
                argument = pattern[index + 1:close]
                index = close + 1
            field = self._field(letter, argument, module, level, text, wall)
            parts.append(field.ljust(width, " ") if is_left else field.rjust(width, fill))
        return "".join(parts)

    def _field(self, letter: str, argument: str, module: str, level: int, text: str,
               wall: float) -> str:
        match letter:
            case "m":
                return text
            case "N":
                return str(self.count)
            case "c":
                return module
            case "p":
                return LEVELS[level]
            case "T":
                name = _thread_name()
                return f"({name})" if name else ""
            case "D" | "d":
                moment = time.gmtime(wall) if letter == "D" else time.localtime(wall)
                shown = time.strftime(argument or "%Y-%m-%d %H:%M:%S.###", moment)
                if "#" in shown:
                    run = shown.count("#")
                    fraction = f"{int(wall % 1 * 1000):03}"[:run].ljust(run, "0")
                    shown = shown.replace("#" * run, fraction)
                return shown
            case "A":
                return self.program
            case "B":
                return str(self.facility * 8 + _SEVERITY[level])
            case "E":
                return socket.gethostname()
            case "P":
                return str(os.getpid())
            case "r":
                return str(int((time.monotonic() - self.started) * 1000))
            case "t":
                return _thread_name() or "main"
            case "n":
                return "\n"
        return letter

    def _write_syslog(self, module: str, level: int, text: str, wall: float) -> None:
        prefix = self.expand("<%B>%D{%b %e %T} %E %A: ", module, level, text, wall)
        try:
            if self._syslog_socket is None:
                self._open_syslog()
            for line in self.format(SYSLOG, module, level, text, wall).split("\n"):
                if line:
                    self._syslog_socket.sendto((prefix + line).encode("utf-8", "replace"),
                                               self._syslog_address)
        except OSError:
            pass        # No syslog daemon here: as if nobody listened.

    def _open_syslog(self) -> None:
        kind, _, rest = self.syslog_method.partition(":")
        if self.syslog_target:
            kind, rest = "udp", self.syslog_target
        if kind == "udp":
            host, _, port = rest.rpartition(":")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._syslog_socket = socket.socket(family, socket.SOCK_DGRAM)
            self._syslog_address = (host.strip("[]"), int(port))
        else:
            self._syslog_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._syslog_address = rest or "/dev/log"
        self._syslog_socket.setblocking(False)


def _thread_name() -> str:
    """Return the current thread's name; that of the process (mostly "") in the main thread."""
    thread = threading.current_thread()
    return LOG.subprogram if thread is threading.main_thread() else thread.name


LOG = _Log()


def forward(write: Callable[[str, int, str], None]) -> None:
    """Has `write(module, level, text)` take what is logged here: a tool has a log of its own."""
    LOG.write = lambda logger, level, text: write(logger.name, level, text)


def module(name: str) -> Logger:
    """Return the logger of module `name`, making it if it is new."""
    logger = LOG.loggers.get(name)
    if logger is None:
        logger = LOG.loggers[name] = Logger(name)
    return logger


_vlog = module("vlog")


def set_subprogram(name: str) -> None:
    """Name what this process is for, in its log lines: "daemon_unix(monitor)"."""
    LOG.subprogram = name


def set_program(name: str) -> None:
    """Say what the program is called, in log lines and for the default log file."""
    LOG.program = name


def set_level(logger_name: str | None, destination: int | None, level: int) -> None:
    """Set the level of one module (None: all) at one destination (None: all)."""
    loggers = LOG.loggers.values() if logger_name is None else (LOG.loggers[logger_name],)
    for logger in loggers:
        for index in range(3):
            if destination is None or destination == index:
                logger.levels[index] = level
        logger.threshold = max(logger.levels)


# Two words and what follows the separator after them.
_WORDS = re.compile(r"[ ,:]*([^ ,:]*)[ ,:]*([^ ,:]*)(?:[ ,:](.*))?", re.DOTALL)


def set_levels(spec: str) -> None:
    """Apply one specification of -v or vlog/set.  Raises: VlogError with the reference's text.

    It is PATTERN:DESTINATION:PATTERN, FACILITY:NAME, or words separated by colons, commas or
    spaces, in any order, of which each is a destination, a level or a module; what is not
    named means all, and no level means DBG.
    """
    match _WORDS.match(spec).groups(""):
        case first, name, pattern if first.upper() == "PATTERN":
            _set_pattern(name.lower(), pattern)
            return
        case first, name, _ if first.upper() == "FACILITY":
            if name.lower() not in _FACILITIES:
                raise VlogError("invalid facility")
            LOG.facility = _FACILITIES[name.lower()]
            return
    destination = level = logger_name = None
    for word in spec.replace(":", " ").replace(",", " ").split():
        lower = word.lower()
        if lower == "any":
            continue
        if lower in DESTINATIONS:
            if destination is not None:
                raise VlogError("cannot specify multiple destinations")
            destination = DESTINATIONS.index(lower)
        elif lower.upper() in LEVELS:
            if level is not None:
                raise VlogError("cannot specify multiple levels")
            level = LEVELS.index(lower.upper())
        elif lower.replace("-", "_") in LOG.loggers:
            if logger_name is not None:
                raise VlogError("cannot specify multiple modules")
            logger_name = lower.replace("-", "_")
        else:
            raise VlogError(f'no destination, level, or module "{word}"')
    set_level(logger_name, destination, DBG if level is None else level)


def _set_pattern(name: str, pattern: str) -> None:
    """Set the pattern of the destination `name`, or of any.  Raises: VlogError."""
    if not name:
        raise VlogError("missing destination")
    if name not in DESTINATIONS and name != "any":
        raise VlogError(f'unknown destination "{name}"')
    for index, known in enumerate(DESTINATIONS):
        if name in (known, "any"):
            LOG.patterns[index] = pattern


def apply_verbose(argument: str | None) -> None:
    """Apply one -v option; None is a bare -v.  Raises: VlogError with the text for the user."""
    if argument is None:
        set_level(None, None, DBG)
        return
    try:
        set_levels(argument)
    except VlogError as error:
        raise VlogError(f'processing "{argument}": {error}') from None


def set_syslog_method(method: str) -> None:
    """Choose how to reach syslog: libc, null, unix:FILE or udp:IP:PORT.  Raises: VlogError."""
    if method not in ("libc", "null") and not method.startswith(("unix:", "udp:")):
        raise VlogError(f"unsupported syslog method '{method}'")
    LOG.syslog_method = "unix:/dev/log" if method == "libc" else method


def set_syslog_target(target: str) -> None:
    """Send syslog messages to HOST:PORT over UDP."""
    LOG.syslog_target = target
    if LOG.syslog_method == "null":
        LOG.syslog_method = "udp:" + target


def open_file(path: str, shown: str = "") -> None:
    """Log to `path` from now on, appending; a relative one starts where we are now.

    The log calls it `shown`, if that is given.  Raises: OSError.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o660)
    close_file()
    LOG.file_path = os.path.abspath(path)
    LOG.file_shown = shown or path
    LOG.file_fd = fd
    _vlog.info(f"opened log file {LOG.file_shown}")


def close_file() -> None:
    """Stop logging to a file; its name is kept for `reopen_file`."""
    if LOG.file_fd >= 0:
        os.close(LOG.file_fd)
        LOG.file_fd = -1


def reopen_file() -> str | None:
    """Open the log file again after rotation; return an error text or None.

    Nothing is logged when the name still leads to the open file, as in the reference.
    """
    if LOG.file_path is None:
        return "Logging to file not configured"
    try:
        named = os.stat(LOG.file_path)
        if LOG.file_fd >= 0:
            current = os.fstat(LOG.file_fd)
            if (named.st_dev, named.st_ino) == (current.st_dev, current.st_ino):
                return None
    except FileNotFoundError:
        pass
    try:
        if LOG.file_fd >= 0:
            _vlog.info("closing log file")
        open_file(LOG.file_path, LOG.file_shown)
    except OSError as error:
        return os.strerror(error.errno)
    return None


def pause_file() -> None:
    """Let go of the log file, which another process writes, until `reopen_file`."""
    if LOG.file_fd >= 0:
        _vlog.info("closing log file")
        close_file()


def list_levels() -> str:
    """Return the table of vlog/list."""
    lines = ["                 console    syslog    file",
             "                 -------    ------    ------"]
    for name in sorted(LOG.loggers):
        levels = LOG.loggers[name].levels
        lines.append(f"{name:<16}  {LEVELS[levels[CONSOLE]]:>4}       "
                     f"{LEVELS[levels[SYSLOG]]:>4}       {LEVELS[levels[FILE]]:>4}")
    return "\n".join(lines) + "\n"


def list_patterns() -> str:
    """Return the table of vlog/list-pattern."""
    prefix = "" if LOG.syslog_method == "null" else "<%B> %D{%h %e %T} %E %A: "
    lines = ["         prefix                            format",
             "         ------                            ------"]
    for index, name in enumerate(DESTINATIONS):
        shown = prefix if index == SYSLOG else "none"
        lines.append(f"{name.upper():<7}  {shown:<32}  {LOG.patterns[index]}")
    return "\n".join(lines) + "\n"


class Command(NamedTuple):
    """One row of a control socket's table; see rpc/unixctl.py, which has the same shape."""

    name: str
    usage: str
    min_args: int
    max_args: int
    handler: object


def _set(args: list[str]) -> str | None:
    for spec in args:
        set_levels(spec)
    return None


def _limit(args: list[str], is_limited: bool) -> str | None:
    names = args or list(LOG.loggers)
    for name in names:
        if name.replace("-", "_") not in LOG.loggers and name.lower() != "any":
            raise VlogError("unknown module")
    for name in names:
        chosen = LOG.loggers if name.lower() == "any" else (name.replace("-", "_"),)
        for key in chosen:
            LOG.loggers[key].is_limited = is_limited
    return None


def _reopen(_args: list[str]) -> str | None:
    error = reopen_file()
    if error:
        raise VlogError(error)
    return None


def commands() -> tuple[Command, ...]:
    """Return the vlog/* commands that every daemon answers."""
    return (
        Command("vlog/set", "{spec | PATTERN:destination:pattern}", 0, 10**6, _set),
        Command("vlog/list", "", 0, 0, lambda args: list_levels()),
        Command("vlog/list-pattern", "", 0, 0, lambda args: list_patterns()),
        Command("vlog/enable-rate-limit", "[module]...", 0, 10**6,
                lambda args: _limit(args, True)),
        Command("vlog/disable-rate-limit", "[module]...", 0, 10**6,
                lambda args: _limit(args, False)),
        Command("vlog/reopen", "", 0, 0, _reopen),
        Command("vlog/close", "", 0, 0, lambda args: close_file()),
    )
