"""What the command-line tools share: options, logging, time limits, and how they end.

`parse_options` reads argv as GNU getopt_long does, with its texts.  `LOG` holds the levels and
destinations that -v, --log-file and --syslog-* set.  `Fatal` ends a tool with its message and
exit code; `run_tool` turns it into the usual line on stderr.

Any tool may call this; one thread.  It is on the way of every start, so it imports next to
nothing; what few runs need is imported inside the functions that need it.
"""

import os
import sys
import time
from _collections_abc import Iterator        # What collections.abc exports, already loaded.

VERSION = "4.0.90"

NO_ARGUMENT, OPTIONAL_ARGUMENT, REQUIRED_ARGUMENT = 0, 1, 2

# (long name, argument, short letter or "", how --options prints the argument's name).
VERBOSE_OPTIONS = (
    ("verbose", OPTIONAL_ARGUMENT, "v"),
    ("log-file", OPTIONAL_ARGUMENT, ""),
    ("syslog-method", REQUIRED_ARGUMENT, ""),
    ("syslog-target", REQUIRED_ARGUMENT, ""),
)
TABLE_OPTIONS = (
    ("format", REQUIRED_ARGUMENT, "f"),
    ("data", REQUIRED_ARGUMENT, "d"),
    ("no-headings", NO_ARGUMENT, ""),
    ("pretty", NO_ARGUMENT, ""),
    ("bare", NO_ARGUMENT, ""),
    ("max-column-width", REQUIRED_ARGUMENT, ""),
)
TLS_OPTIONS = (
    ("private-key", REQUIRED_ARGUMENT, "p"),
    ("certificate", REQUIRED_ARGUMENT, "c"),
    ("ca-cert", REQUIRED_ARGUMENT, "C"),
    ("ssl-protocols", REQUIRED_ARGUMENT, ""),
    ("ssl-ciphers", REQUIRED_ARGUMENT, ""),
    ("ssl-ciphersuites", REQUIRED_ARGUMENT, ""),
    ("ssl-server-name", REQUIRED_ARGUMENT, ""),
)
# Options of tools that can become daemons; `utilities.background` knows what they mean.
DAEMON_NAMES = frozenset(("detach", "no-chdir", "no-self-confinement", "pidfile",
                          "overwrite-pidfile", "monitor", "user", "unixctl"))


class Fatal(Exception):
    """Ends the tool: `text` goes to stderr after the program's name (None: silently)."""

    def __init__(self, text: str | None, code: int = 1) -> None:
        super().__init__(text)
        self.text = text
        self.code = code


def parse_options(argv: list[str], table: tuple, reorder: bool = False
                  ) -> tuple[Iterator[tuple[str, str | None]], list[str]]:
    """Read the options of `argv`, which lacks the program's name.

    `table` holds (long name, argument, short letter, group...) in the order in which an ambiguity
    is reported; names of one `group` do not make each other ambiguous.  Without `reorder` the
    first word that is no option ends the options (getopt's "+"), with it options may come later.
    Returns an iterator over (long name, argument or None), which raises Fatal, and the list of the
    remaining words, which is complete when the iterator has ended: as with getopt, an option takes
    effect before the next one is looked at.
    """
    rest: list[str] = []
    return _options(argv, table, reorder, rest), rest


def _options(argv: list[str], table: tuple, reorder: bool, rest: list[str]
             ) -> Iterator[tuple[str, str | None]]:
    long = {row[0]: row for row in table}
    short = {row[2]: row for row in table if row[2]}
    words = iter(argv)
    for word in words:
        if word == "--":
            rest.extend(words)
            return
        if word[:1] != "-" or word == "-":
            rest.append(word)
            if not reorder:
                rest.extend(words)
                return
        elif word[1] == "-":
            name, equals, argument = word[2:].partition("=")
            row = long.get(name) or _find_by_prefix(name, word, table)
            if equals and row[1] == NO_ARGUMENT:
                raise Fatal(f"option '--{row[0]}' doesn't allow an argument")
            value = argument if equals else None
            if not equals and row[1] == REQUIRED_ARGUMENT:
                value = next(words, None)
                if value is None:
                    raise Fatal(f"option '--{row[0]}' requires an argument")
            yield row[0], value
        else:
            letters = word[1:]
            while letters:
                row = short.get(letters[0])
                if row is None:
                    raise Fatal(f"invalid option -- '{letters[0]}'")
                letter, letters, value = letters[0], letters[1:], None
                if row[1] != NO_ARGUMENT:
                    value, letters = letters or None, ""
                    if value is None and row[1] == REQUIRED_ARGUMENT:
                        value = next(words, None)
                        if value is None:
                            raise Fatal(f"option requires an argument -- '{letter}'")
                yield row[0], value


def _find_by_prefix(name: str, word: str, table: tuple) -> tuple:
    candidates = [row for row in table if row[0].startswith(name)]
    if not candidates:
        raise Fatal(f"unrecognized option '{word}'")
    first = candidates[0]
    for row in candidates[1:]:
        if row[1] != first[1] or len(row) < 4 or len(first) < 4 or row[3] != first[3]:
            names = " ".join(f"'--{row[0]}'" for row in candidates)
            raise Fatal(f"option '{word}' is ambiguous; possibilities: {names}")
    return first


def print_options(table: tuple) -> None:
    """Print what ovs-vsctl --options prints: each option as it is typed, one per line."""
    for row in table:
        print(f"--{row[0]}" + ("" if row[1] == NO_ARGUMENT else "=ARG"))
        if row[2]:
            print(f"-{row[2]}" + ("" if row[1] == NO_ARGUMENT else " ARG"))


def print_option_list(table: tuple) -> None:
    """Print what --option of the other tools prints; completion scripts read it."""
    for row in table:
        argument = ("", "[ARG]", "ARG")[row[1]]
        print(f"--{row[0]}={argument}" if argument else f"--{row[0]}")
        if row[2]:
            print(f"-{row[2]} {argument}")


def print_version(program: str, *lines: str) -> None:
    """Print what --version prints."""
    print(f"{program} (Open vSwitch) {VERSION}")
    for line in lines:
        print(line)


def plain_words(program: str, help_text: str, argv: list[str]) -> list[str] | None:
    """Return the words of a tool that has no options but --help and --version; None where one of
    these was given and has been answered."""
    table = (("help", NO_ARGUMENT, "h"), ("version", NO_ARGUMENT, "V"))
    found, words = parse_options(argv, table, reorder=True)
    for name, _ in found:
        if name == "help":
            sys.stdout.write(help_text)
        else:
            print_version(program)
        return None
    return words


def run_directory() -> str:
    """Return where sockets and pidfiles are."""
    return os.environ.get("OVS_RUNDIR") or "/var/run/openvswitch"


def log_directory() -> str:
    """Return where log files are."""
    return os.environ.get("OVS_LOGDIR") or "/var/log/openvswitch"


def default_remote() -> str:
    """Return the connection method of the configuration database."""
    return f"unix:{run_directory()}/db.sock"


def run_tool(program: str, tool, argv: list[str]) -> int:
    """Call `tool(argv)` and return its exit code; a Fatal becomes "PROGRAM: text" on stderr."""
    LOG.program = program
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _open_standard_files()
    try:
        code = tool(argv)
    except Fatal as fatal:
        code = fatal.code
        if fatal.text is not None:
            flush_output()
            print_error(program, fatal.text)
    flush_output()
    return code


def _open_standard_files() -> None:
    """Give us the standard files that our parent has closed: connections must not get them."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdin = sys.stdin or open(0, closefd=False)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)


def flush_output() -> None:
    """Write out what was printed; a full disk is not told, as by the reference."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def print_error(program: str, text: str) -> None:
    """Print a line on stderr as the reference's ovs_error does; a NUL ends the text."""
    text = text.partition("\0")[0]
    sys.stderr.flush()
    sys.stderr.buffer.write(f"{program}: {text}\n".encode("utf-8", "surrogateescape"))
    sys.stderr.flush()


def write_text(text: str) -> None:
    """Write `text` to stdout as UTF-8 whatever the locale; undecodable argv bytes come back."""
    flush_output()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))


def parse_seconds(text: str, letter: str) -> int:
    """Return the argument of --timeout, whose short letter is `letter`.  Raises Fatal."""
    if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 1 << 32:
        raise Fatal(f"value {text} on -{letter} or --timeout is invalid")
    return int(text)


# Seconds of waiting after which a tool says what it waits for.
PATIENCE = 3

_deadline: float | None = None
_notice: tuple[float, str] | None = None


def time_limit(seconds: int | None) -> None:
    """Let the process die of SIGALRM after `seconds` (None: what OVS_CTL_TIMEOUT says)."""
    global _deadline
    if not seconds:
        text = os.environ.get("OVS_CTL_TIMEOUT", "")
        seconds = int(text) if text.isascii() and text.isdigit() else 0
    if seconds:
        _deadline = time.monotonic() + min(seconds, 0x7FFFFFFF)
        _set_alarm()


def announce_wait(text: str) -> None:
    """Print `text` on stderr if `end_wait` is not called within PATIENCE; once."""
    global _notice
    if LOG.wants_notices():
        _notice = time.monotonic() + PATIENCE, text
        _set_alarm()


def end_wait() -> None:
    """What was waited for has come."""
    global _notice
    if _notice is not None:
        _notice = None
        _set_alarm()


def _set_alarm() -> None:
    """Let SIGALRM come when the notice or the time limit is due: one timer serves both."""
    import _signal
    moments = [_deadline] if _deadline is not None else []
    if _notice is not None:
        moments.append(_notice[0])
    _signal.signal(_signal.SIGALRM, _alarm)
    rest = max(min(moments) - time.monotonic(), 1e-6) if moments else 0
    _signal.setitimer(_signal.ITIMER_REAL, rest)


def _alarm(number: int, frame: object) -> None:
    global _notice
    now = time.monotonic()
    if _notice is not None and now >= _notice[0] and (_deadline is None or now < _deadline):
        text, _notice = _notice[1], None
        # The buffers of sys.stderr may be in use where the signal has come.
        os.write(2, f"{LOG.program}: {text}\n".encode("utf-8", "surrogateescape"))
        _set_alarm()
        return
    import _signal
    flush_output()
    LOG.log("fatal_signal", WARN, "terminating with signal 14 (Alarm clock)")
    _signal.signal(number, _signal.SIG_DFL)
    os.kill(os.getpid(), number)


OFF, EMER, ERR, WARN, INFO, DBG = range(6)
_LEVEL_NAMES = ("OFF", "EMER", "ERR", "WARN", "INFO", "DBG")
_LEVELS = {name.lower(): level for level, name in enumerate(_LEVEL_NAMES)}
_DESTINATIONS = ("syslog", "console", "file")
_FACILITIES = ("kern user mail daemon auth syslog lpr news uucp clock ftp ntp audit alert clock2 "
               "local0 local1 local2 local3 local4 local5 local6 local7").split()
_SYSLOG_PRIORITIES = (3, 1, 3, 4, 6, 7)

# The module names that the suite's programs know; a -v word must be one of them.
_MODULES = frozenset(
    "backtrace bfd bond bridge bundle bundles cfm collectors command_line connmgr conntrack "
    "conntrack_tp coverage ct_dpif daemon daemon_unix db_ctl_base dns_resolve dpctl dpdk dpif "
    "dpif_lookup_autovalidator dpif_lookup_generic dpif_mfex_extract_study dpif_netdev "
    "dpif_netdev_extract dpif_netdev_impl dpif_netdev_lookup dpif_netlink dpif_netlink_rtnl "
    "dpif_offload entropy fail_open fatal_signal flow hmap in_band ipf ipfix jsonrpc lacp lldp "
    "lldpd lldpd_structs lockfile memory meta_flow native_tnl netdev netdev_afxdp netdev_dummy "
    "netdev_linux netdev_offload netdev_offload_tc netdev_vport netflow netlink "
    "netlink_conntrack netlink_notifier netlink_socket nx_match odp_execute odp_execute_impl "
    "odp_util ofctl ofp_actions ofp_bundle ofp_connection ofp_errors ofp_flow ofp_group "
    "ofp_match ofp_meter ofp_monitor ofp_msgs ofp_packet ofp_port ofp_protocol ofp_queue "
    "ofp_table ofp_util ofproto ofproto_dpif ofproto_dpif_mirror ofproto_dpif_monitor "
    "ofproto_dpif_rid ofproto_dpif_trace ofproto_dpif_upcall ofproto_dpif_xlate "
    "ofproto_xlate_cache ovs_lldp ovs_numa ovs_rcu ovs_replay ovs_router ovs_thread ovsdb "
    "ovsdb_client ovsdb_cs ovsdb_error ovsdb_file ovsdb_idl ovsdb_jsonrpc_server ovsdb_log "
    "ovsdb_monitor ovsdb_rbac ovsdb_server ovsdb_tool ovsdb_util ox_stat pcap pmd_perf "
    "poll_loop process raft raft_rpc rconn reconnect relay replication route_table rstp rstp_sm "
    "sflow sha1 signals socket_util socket_util_unix storage stp stream stream_fd stream_replay "
    "stream_ssl stream_tcp stream_unix svec system_stats tc timeval transaction "
    "transaction_forward trigger tunnel unixctl userspace_tso util uuid vconn vconn_stream "
    "vlog vsctl vswitchd vtep_ctl".split())


def _split_two_words(text: str) -> tuple[str, str, str]:
    """Return two words, "" where there is none, and what follows the separator after them."""
    words = []
    for _ in range(2):
        text = text.lstrip(" ,:")
        size = next((n for n, letter in enumerate(text) if letter in " ,:"), len(text))
        words.append(text[:size])
        text = text[size:]
    return words[0], words[1], text[1:]


class Log:
    """Levels per module and destination, and where the lines go.

    A tool starts with warnings on the console and INFO to syslog, as the reference's tools do.
    """

    def __init__(self) -> None:
        self.program = ""
        self._number = 0
        self._levels = {"syslog": INFO, "console": WARN, "file": INFO}
        self._module_levels: dict[tuple[str, str], int] = {}
        self._patterns = {
            "syslog": "ovs|%05N|%c%T|%p|%m",
            "console": "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
            "file": "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m"}
        self._file = -1
        self._file_path: str | None = None
        self._facility = 3
        self._syslog = None
        self.syslog_method: str | None = None
        self._has_console_level = False

    def wants_notices(self) -> bool:
        """May the tool say on stderr what is no warning?  Not if -v asks for warnings at most."""
        return not self._has_console_level or self._levels["console"] >= INFO

    def set_levels(self, specification: str) -> None:
        """Apply a -v argument.  Raises Fatal."""
        complaint = self._set_levels(specification)
        if complaint:
            raise Fatal(f'processing "{specification}": {complaint}')

    def set_level(self, module: str | None, destination: str | None, level: int) -> None:
        """Set the level of a module (None: all) on a destination (None: all)."""
        for name in (destination,) if destination else _DESTINATIONS:
            if module is not None:
                self._module_levels[module, name] = level
                continue
            self._levels[name] = level
            for key in [key for key in self._module_levels if key[1] == name]:
                del self._module_levels[key]

    def _set_levels(self, specification: str) -> str:
        head, name, rest = _split_two_words(specification)
        if head.upper() == "PATTERN":
            if not name:
                return "missing destination"
            if name.lower() not in _DESTINATIONS + ("any",):
                return f'unknown destination "{name}"'
            name = name.lower()
            for destination in _DESTINATIONS if name == "any" else (name,):
                self._patterns[destination] = rest
            return ""
        if head.upper() == "FACILITY":
            if name.lower() not in _FACILITIES:
                return "invalid facility"
            self._facility = _FACILITIES.index(name.lower())
            return ""
        module = destination = level = None
        for word in specification.replace(",", " ").replace(":", " ").split():
            lowered = word.lower()
            if lowered in _LEVELS:
                if level is not None:
                    return "cannot specify multiple levels"
                level = _LEVELS[lowered]
            elif lowered in _DESTINATIONS:
                if destination is not None:
                    return "cannot specify multiple destinations"
                destination = lowered
            elif lowered == "any":
                pass
            elif lowered.replace("-", "_") in _MODULES:
                if module is not None:
                    return "cannot specify multiple modules"
                module = lowered.replace("-", "_")
            else:
                return f'no destination, level, or module "{word}"'
        self.set_level(module, destination, DBG if level is None else level)
        if module is None and destination in (None, "console"):
            self._has_console_level = True
        return ""

    def open_file(self, path: str | None) -> None:
        """Start logging to `path`, by default PROGRAM.log in the log directory.  Raises Fatal.

        A relative name starts at the working directory, and is shown as it was given.
        """
        if path is None:
            path = f"{log_directory()}/{self.program}.log"
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC,
                                 0o660)
        except OSError as error:
            self.log("vlog", WARN, f"failed to open {path} for logging: {error.strerror}")
            raise Fatal(None) from None
        self._file_path = os.path.abspath(path)      # A daemon may leave the directory.
        self.log("vlog", INFO, f"opened log file {path}")

    def close_file(self) -> None:
        """Stop logging to the file, until it is opened again."""
        if self._file >= 0:
            self.log("vlog", INFO, "closing log file")
            os.close(self._file)
            self._file = -1

    def reopen_file(self) -> str | None:
        """Open the log file anew if its name leads to another one; return what is wrong."""
        if self._file_path is None:
            return "Logging to file not configured"
        try:
            named = os.stat(self._file_path)
            if self._file >= 0 and os.path.samestat(named, os.fstat(self._file)):
                return None
        except FileNotFoundError:
            pass
        except OSError as error:
            return os.strerror(error.errno)
        self.close_file()
        try:
            self.open_file(self._file_path)
        except Fatal as fatal:
            return os.strerror(fatal.__context__.errno)
        return None

    def knows(self, module: str) -> bool:
        """Is there a module of this name?"""
        return module.lower().replace("-", "_") in _MODULES

    def level_table(self) -> str:
        """Return the text of vlog/list."""
        lines = ["                 console    syslog    file",
                 "                 -------    ------    ------"]
        for module in sorted(_MODULES):
            console, syslog, file = (_LEVEL_NAMES[self._level(module, name)]
                                     for name in ("console", "syslog", "file"))
            lines.append(f"{module:<16}  {console:>4}       {syslog:>4}       {file:>4}")
        return "\n".join(lines) + "\n"

    def pattern_table(self) -> str:
        """Return the text of vlog/list-pattern."""
        lines = ["         prefix                            format",
                 "         ------                            ------"]
        for name in _DESTINATIONS:
            prefix = "<%B> %D{%h %e %T} %E %A: " if name == "syslog" else "none"
            lines.append(f"{name.upper():<7}  {prefix:<32}  {self._patterns[name]}")
        return "\n".join(lines) + "\n"

    def is_enabled(self, module: str, level: int) -> bool:
        """Does a message of `module` at `level` go anywhere?"""
        return any(level <= self._level(module, name) for name in _DESTINATIONS
                   if name != "file" or self._file >= 0)

    def _level(self, module: str, destination: str) -> int:
        return self._module_levels.get((module, destination), self._levels[destination])

    def log(self, module: str, level: int, text: str) -> None:
        """Write one message to every destination that wants it."""
        if not self.is_enabled(module, level):
            return
        now = time.time()
        self._number += 1
        if level <= self._level(module, "console"):
            sys.stderr.flush()
            sys.stderr.buffer.write(self._line("console", module, level, text, now) + b"\n")
            sys.stderr.buffer.flush()
        if self._file >= 0 and level <= self._level(module, "file"):
            os.write(self._file, self._line("file", module, level, text, now) + b"\n")
        if level <= self._level(module, "syslog"):
            self._send_to_syslog(self._line("syslog", module, level, text, now), level)

    def _line(self, destination: str, module: str, level: int, text: str, now: float) -> bytes:
        pattern = self._patterns[destination]
        out = []
        position = 0
        while position < len(pattern):
            if pattern[position] != "%":
                out.append(pattern[position])
                position += 1
                continue
            position += 1
            flags = position
            while pattern[position:position + 1] in ("-", "0"):
                position += 1
            left, zero = "-" in pattern[flags:position], "0" in pattern[flags:position]
            digits = position
            while pattern[position:position + 1].isdigit():
                position += 1
            width = int(pattern[digits:position] or 0)
            letter = pattern[position:position + 1]
            position += 1
            argument = ""
            if pattern[position:position + 1] == "{":
                end = pattern.find("}", position)
                argument, position = pattern[position + 1:end], end + 1
            value = self._field(letter, argument, module, level, text, now)
            value = value.ljust(width) if left else value.rjust(width, "0" if zero else " ")
            out.append(value)
        return "".join(out).encode("utf-8", "surrogateescape")

    def _field(self, letter: str, argument: str, module: str, level: int, text: str,
               now: float) -> str:
        match letter:
            case "A":
                return self.program
            case "c":
                return module
            case "d" | "D":
                moment = time.gmtime(now) if letter == "D" else time.localtime(now)
                stamp = time.strftime(argument or "%Y-%m-%d %H:%M:%S.###", moment)
                return stamp.replace("###", f"{int(now * 1000) % 1000:03d}")
            case "E":
                return os.uname().nodename
            case "B":
                return f"<{self._facility * 8 + _SYSLOG_PRIORITIES[level]}>"
            case "m":
                return text
            case "N":
                return str(self._number)
            case "n":
                return "\n"
            case "p":
                return _LEVEL_NAMES[level]
            case "P":
                return str(os.getpid())
            case "r":
                return str(int(time.monotonic() * 1000))
            case "%":
                return "%"
        return ""

    def _send_to_syslog(self, line: bytes, level: int) -> None:
        method = self.syslog_method or os.environ.get("OVS_SYSLOG_METHOD") or "libc"
        if method == "null" or self._syslog is False:
            return
        import _socket as socket        # All of `socket` would take longer than the tool.
        try:
            if self._syslog is None:
                kind, _, where = method.partition(":")
                if kind == "udp":
                    host, _, port = where.rpartition(":")
                    target, family = (host, int(port)), socket.AF_INET
                else:
                    target, family = where or "/dev/log", socket.AF_UNIX
                self._syslog = socket.socket(family, socket.SOCK_DGRAM)
                self._syslog.setblocking(False)
                self._syslog.connect(target)
            moment = time.strftime("%b %e %H:%M:%S", time.localtime()).encode()
            priority = self._facility * 8 + _SYSLOG_PRIORITIES[level]
            self._syslog.send(b"<%d>%s %s: %s" % (priority, moment, self.program.encode(), line))
        except (OSError, ValueError):
            self._syslog = False


LOG = Log()


def apply_log_option(name: str, value: str | None) -> bool:
    """Apply an option of VERBOSE_OPTIONS; return whether `name` is one.  Raises Fatal."""
    if name == "verbose":
        LOG.set_levels(value) if value is not None else LOG.set_level(None, None, DBG)
    elif name == "log-file":
        LOG.open_file(value)
    elif name == "syslog-method":
        if value not in ("libc", "null") and not value.startswith(("unix:", "udp:")):
            raise Fatal(f"unsupported syslog method '{value}'")
        LOG.syslog_method = value
    elif name == "syslog-target":
        LOG.syslog_method = f"udp:{value}"
    else:
        return False
    return True


class TlsFiles:
    """The files that the options of TLS_OPTIONS name, for ssl: remotes."""

    def __init__(self) -> None:
        self.private_key: str | None = None
        self.certificate: str | None = None
        self.ca_certificate: str | None = None
        self.bootstrap = False
        self.protocols: str | None = None
        self.ciphers: str | None = None
        self.ciphersuites: str | None = None
        self.server_name: str | None = None
        self.peer_ca_certificate: str | None = None

    def apply_option(self, name: str, value: str | None) -> bool:
        """Take note of a TLS option; return whether `name` is one.  Raises Fatal."""
        if name == "private-key":
            self.private_key = _readable(value, "SSL_use_PrivateKey_file")
        elif name == "certificate":
            self.certificate = _readable(value, "SSL_use_certificate_file")
        elif name == "bootstrap-ca-cert":
            self.ca_certificate, self.bootstrap = value, True
        elif name == "ca-cert":
            self.ca_certificate, self.bootstrap = value, False
            if value == "none":
                LOG.log("stream_ssl", WARN,
                        "Peer certificate validation disabled (this is a security risk)")
            else:
                _readable(value, f"failed to load client certificates from {value}")
        elif name == "ssl-protocols":
            self.protocols = value
        elif name == "ssl-ciphers":
            self.ciphers = value
        elif name == "ssl-server-name":
            self.server_name = value
        elif name == "peer-ca-cert":
            self.peer_ca_certificate = _readable(
                value, f"failed to load client certificates from {value}")
        elif name == "ssl-ciphersuites":
            self.ciphersuites = value
        else:
            return False
        return True

    def complain(self) -> bool:
        """Log what is missing for TLS as the reference does; return whether anything is."""
        missing = [what for what, file in (
            ("Private key", self.private_key), ("Certificate", self.certificate),
            ("CA certificate", self.ca_certificate)) if file is None]
        for what in missing:
            LOG.log("stream_ssl", ERR, f"{what} must be configured to use SSL")
        return bool(missing)


# What OpenSSL notes of a file that cannot be opened, oldest first; a complaint takes one note, so
# that further complaints show what the first has left.
_OPENSSL_NOTES = ("error:8{errno:07X}:system library::{reason}",
                  "error:10080002:BIO routines::system lib",
                  "error:0A080002:SSL routines::system lib")
_openssl_queue: list[str] = []


def _readable(path: str, action: str) -> str | None:
    """Return `path`, or None after a complaint when the file cannot be opened."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        _openssl_queue.extend(note.format(errno=error.errno, reason=error.strerror)
                              for note in _OPENSSL_NOTES)
        LOG.log("stream_ssl", ERR, f"{action}: {_openssl_queue.pop(0)}")
        return None
    return path
