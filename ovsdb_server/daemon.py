"""How a program of this suite becomes a daemon: options, fork, pidfile, signals, directories.

The order is: `getopt` and `Settings.apply` read the options; `Daemon.start` forks (before trio,
threads and locks), names the process, takes the pidfile and opens the log; the program opens its
sockets and calls `Daemon.ready`, which lets the waiting parent return; at the end `Daemon.finish`
removes pidfile and sockets.  A fatal signal removes them as well.

Standard library only, no trio: it runs before the event loop.  Main thread.
"""

import errno
import fcntl
import os
import resource
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ovsdb_server import vlog
from ovsdb_server.rpc.address import run_directory

VERSION = "4.0.90"

_log = vlog.module("daemon_unix")
_signals_log = vlog.module("fatal_signal")

# Signals that end a daemon after it has removed its files.
_FATAL = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)

# Deaths after which the monitor starts the daemon again: bugs, not requests.
_RESTARTABLE = frozenset((signal.SIGABRT, signal.SIGALRM, signal.SIGBUS, signal.SIGFPE,
                          signal.SIGILL, signal.SIGPIPE, signal.SIGSEGV, signal.SIGXCPU,
                          signal.SIGXFSZ))

# Two restarts are at least this far apart, in seconds.
_RESTART_INTERVAL = 10


class OptionError(Exception):
    """The command line is wrong; the text is for the user, without the program's name."""


class Option(NamedTuple):
    """A command line option: `argument` is None, "required" or "optional"; `letter` may be ""."""

    name: str
    letter: str = ""
    argument: str | None = None


# What every daemon accepts.
OPTIONS = (
    Option("detach"), Option("no-chdir"), Option("no-self-confinement"),
    Option("pidfile", "", "optional"), Option("overwrite-pidfile"), Option("monitor"),
    Option("user", "", "required"), Option("unixctl", "", "required"),
    Option("log-file", "", "optional"), Option("verbose", "v", "optional"),
    Option("syslog-method", "", "required"), Option("syslog-target", "", "required"),
    Option("help", "h"), Option("version", "V"),
)

HELP = """
Daemon options:
  --detach                run in background as daemon
  --monitor               creates a process to monitor this daemon
  --user=username[:group] changes the effective daemon user:group
  --no-chdir              do not chdir to '/'
  --pidfile[=FILE]        create pidfile (default: {rundir}/{program}.pid)
  --overwrite-pidfile     with --pidfile, start even if already running

Logging options:
  -vSPEC, --verbose=SPEC   set logging levels
  -v, --verbose            set maximum verbosity level
  --log-file[=FILE]        enable logging to specified FILE
                           (default: {logdir}/{program}.log)
  --syslog-method=(libc|unix:file|udp:ip:port)
                           specify how to send messages to syslog daemon
  --syslog-target=HOST:PORT  also send syslog msgs to HOST:PORT via UDP
"""


def help_text(program: str) -> str:
    """Return the part of --help about the options of this module."""
    return HELP.format(program=program, rundir=run_directory(), logdir=log_directory())


def log_directory() -> str:
    """Return where log files live."""
    return os.environ.get("OVS_LOGDIR") or "/var/log/openvswitch"


def sysconf_directory() -> str:
    """Return the directory above openvswitch/ that holds configuration."""
    return os.environ.get("OVS_SYSCONFDIR") or "/etc"


def database_directory() -> str:
    """Return where conf.db lives: OVS_DBDIR, or below the configuration directory."""
    return os.environ.get("OVS_DBDIR") or os.path.join(sysconf_directory(), "openvswitch")


def getopt(argv: Sequence[str], options: Sequence[Option]) -> tuple[
        list[tuple[str, str | None]], list[str]]:
    """Split a command line as getopt_long(3) does, options and others in any order.

    Long names may be abbreviated.  Returns ([(long name, argument)], the others).
    Raises: OptionError with getopt's own text.
    """
    found: list[tuple[str, str | None]] = []
    others: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if word == "--":
            others += words
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            option = _long_option(name, options)
            if option.argument is None and equals:
                raise OptionError(f"option '--{option.name}' doesn't allow an argument")
            argument = value if equals else None
            if option.argument == "required" and not equals:
                if not words:
                    raise OptionError(f"option '--{option.name}' requires an argument")
                argument = words.pop(0)
            found.append((option.name, argument))
        elif word.startswith("-") and word != "-":
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                option = next((row for row in options if row.letter == letter), None)
                if option is None:
                    raise OptionError(f"invalid option -- '{letter}'")
                argument = None
                if option.argument is not None and letters:
                    argument, letters = letters, ""
                elif option.argument == "required":
                    if not words:
                        raise OptionError(f"option requires an argument -- '{letter}'")
                    argument = words.pop(0)
                found.append((option.name, argument))
        else:
            others.append(word)
    return found, others


def _long_option(name: str, options: Sequence[Option]) -> Option:
    candidates = [row for row in options if row.name.startswith(name)]
    for row in candidates:
        if row.name == name:
            return row
    if not candidates:
        raise OptionError(f"unrecognized option '--{name}'")
    if len(candidates) > 1:
        listed = " ".join(f"'--{row.name}'" for row in candidates)
        raise OptionError(f"option '--{name}' is ambiguous; possibilities: {listed}")
    return candidates[0]


class Settings:
    """What the options of this module ask for.

    Paths are absolute, because a daemon may change its directory; only `log_file`, which is opened
    before, stays as it was given.  `log_file` and `pidfile` are None when not asked for; `unixctl`
    None means the default place, "none" no control socket.
    """

    def __init__(self, program: str) -> None:
        self.program = program
        self.detach = False
        self.chdir = True
        self.pidfile: str | None = None
        self.overwrite_pidfile = False
        self.monitor = False
        self.user: str | None = None
        self.log_file: str | None = None
        self.unixctl: str | None = None

    def apply(self, name: str, argument: str | None) -> bool:
        """Take one option; return whether it is one of ours.  Raises: OptionError."""
        match name:
            case "detach":
                self.detach = True
            case "no-chdir":
                self.chdir = False
            case "no-self-confinement":
                pass        # Unix sockets and files are never confined to our directories.
            case "pidfile":
                self.pidfile = _under(run_directory(), argument or f"{self.program}.pid")
            case "overwrite-pidfile":
                self.overwrite_pidfile = True
            case "monitor":
                self.monitor = True
            case "user":
                self.user = argument
            case "unixctl":
                self.unixctl = (argument if argument == "none"
                                else _under(run_directory(), argument))
            case "log-file":
                self.log_file = (os.path.join(log_directory(), f"{self.program}.log")
                                 if argument is None else argument)
            case "verbose" | "syslog-method" | "syslog-target":
                self._apply_logging(name, argument)
            case _:
                return False
        return True

    @staticmethod
    def _apply_logging(name: str, argument: str | None) -> None:
        try:
            if name == "verbose":
                vlog.apply_verbose(argument)
            elif name == "syslog-method":
                vlog.set_syslog_method(argument)
            else:
                vlog.set_syslog_target(argument)
        except vlog.VlogError as error:
            raise OptionError(str(error)) from None


def _under(directory: str, name: str) -> str:
    """Return `name` as an absolute path; a relative one lies in `directory`."""
    return os.path.abspath(os.path.join(directory, name))


class StartError(Exception):
    """The daemon cannot start; the text is for the user, without the program's name."""


def _fatal(text: str) -> StartError:
    """Tell the log why the daemon cannot become one, and return the error to raise.

    The error goes to stderr as it is, so the console does not get the line of the log.
    """
    level, _log.levels[vlog.CONSOLE] = _log.levels[vlog.CONSOLE], vlog.OFF
    _log.emer(text)
    _log.levels[vlog.CONSOLE] = level
    return StartError(text)


class Daemon:
    """A process that is or becomes a daemon.  Make one with `Daemon.start`."""

    def __init__(self, settings: Settings, kept: tuple[int, ...] = ()) -> None:
        self.settings = settings
        self._kept = kept
        self.program = settings.program
        self._ready_fd = -1
        self._pidfile_fd = -1
        self._memory_fd = -1
        self._files: dict[str, None] = {}       # To unlink at the end, in order of creation.

    @classmethod
    def start(cls, settings: Settings, capabilities: tuple[int, ...] = (),
              kept: tuple[int, ...] = ()) -> "Daemon":
        """Fork as the settings ask, name the process, open the log, take the pidfile.

        `capabilities` is what --user keeps, NETWORK_CAPABILITIES unless given; `kept` are standard
        files that stay open when it is detached.  Returns in the process that is to do the work.
        With --detach the caller's process waits for `ready` and ends by itself.  Raises:
        StartError; SystemExit, after a warning, when the log file cannot be opened.
        """
        self = cls(settings, kept)
        vlog.set_program(self.program)
        if settings.log_file is not None:
            # Before forking, so that a wrong name is reported at once.
            try:
                vlog.open_file(settings.log_file)
            except OSError as error:
                vlog.module("vlog").warn(f"failed to open {settings.log_file} for logging: "
                                         f"{os.strerror(error.errno)}")
                raise SystemExit(1) from None
        if settings.detach:
            self._ready_fd = _fork_and_wait(self.program)
            os.setsid()
        if settings.monitor:
            self._monitor()
        _name_process(self.program)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for number in _FATAL:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._die)
        if settings.user:
            # The reference names the pidfile, be there one or not.
            _become(settings.user, capabilities, settings.pidfile or "(null)")
        if settings.pidfile:
            self._take_pidfile(settings.pidfile)
        return self

    def unixctl_path(self) -> str | None:
        """Return where the control socket belongs, or None for none."""
        if self.settings.unixctl == "none":
            return None
        return (self.settings.unixctl
                or os.path.join(run_directory(), f"{self.program}.{os.getpid()}.ctl"))

    def unlink_at_exit(self, path: str) -> None:
        """Remove the file `path` when the daemon ends, also by a signal."""
        self._files[os.path.abspath(path)] = None

    def forget(self, path: str) -> None:
        """Do not remove `path` any more."""
        self._files.pop(os.path.abspath(path), None)

    def ready(self) -> None:
        """Say that the daemon serves: its parent returns, and it lets go of the terminal."""
        self._report_ready()
        if self.settings.detach and self.settings.chdir:
            os.chdir("/")

    def _report_ready(self) -> None:
        """Tell the waiting parent, and let go of the terminal if detached."""
        if self._ready_fd >= 0:
            try:
                os.write(self._ready_fd, b"\0")
            except OSError:
                pass
            os.close(self._ready_fd)
            self._ready_fd = -1
        if self.settings.detach:
            vlog.set_level(None, vlog.CONSOLE, vlog.OFF)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in {0, 1, 2}.difference(self._kept):
                os.dup2(null, fd)
            if null > 2:
                os.close(null)

    def remember(self, state: bytes) -> None:
        """Keep `state` for the process that --monitor starts when this one has crashed."""
        if self._memory_fd >= 0:
            os.ftruncate(self._memory_fd, 0)
            os.pwrite(self._memory_fd, state, 0)

    def recall(self) -> bytes:
        """Return what the process before this one remembered; empty when there was none."""
        if self._memory_fd < 0:
            return b""
        return os.pread(self._memory_fd, os.fstat(self._memory_fd).st_size, 0)

    def finish(self) -> None:
        """Remove pidfile and sockets; the process is about to exit."""
        for path in self._files:
            try:
                os.unlink(path)
            except OSError:
                pass
        self._files.clear()

    def _die(self, number: int, _frame: object) -> None:
        _signals_log.warn(f"terminating with signal {number} ({signal.strsignal(number)})")
        self.finish()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _take_pidfile(self, path: str) -> None:
        """Write our pid into `path` and lock it for the life of the process.

        The lock ends when this process closes any descriptor of the file and does not survive a
        fork, so nothing here opens it again.  Raises: StartError.
        """
        if not self.settings.overwrite_pidfile:
            try:
                owner = _lock_owner(path)
            except OSError as error:
                reason = os.strerror(error.errno)
                _log.warn(f"{path}: open: {reason}")
                raise _fatal(f"{path}: pidfile check failed ({reason}), aborting") from None
            if owner:
                raise _fatal(f"{path}: already running as pid {owner}, aborting")
        temporary = f"{path}.tmp"
        try:
            fd = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(fd, f"{os.getpid()}\n".encode())
            os.rename(temporary, path)
        except OSError as error:
            raise _fatal(f"{temporary}: create failed ({os.strerror(error.errno)})") from None
        self._pidfile_fd = fd
        self.unlink_at_exit(path)

    def _monitor(self) -> None:
        """Stay here as the parent that restarts the daemon; return only in the child."""
        crashes = 0
        next_restart = 0.0
        passed_on: list[int] = []
        self._memory_fd = os.memfd_create("memory")
        _name_process("monitor")
        while True:
            receive, send = os.pipe2(os.O_CLOEXEC)
            pid = os.fork()
            if pid == 0:
                os.close(receive)
                if self._ready_fd >= 0:
                    os.close(self._ready_fd)
                self._ready_fd = send
                vlog.set_subprogram(self.program if crashes else "")
                for number in _FATAL:
                    signal.signal(number, signal.SIG_DFL)
                return
            os.close(send)
            vlog.set_subprogram("monitor")
            for number in _FATAL:
                signal.signal(number, lambda n, frame, pid=pid: _pass_on(n, pid, passed_on))
            is_ready = bool(os.read(receive, 1))
            if is_ready:
                self._report_ready()
            os.close(receive)
            if is_ready:
                # From now on the log may be rotated, which only the daemon is told.
                vlog.pause_file()
            status = _wait_for(pid)
            if is_ready:
                vlog.reopen_file()
            elif os.WIFEXITED(status) and not crashes:
                os._exit(os.WEXITSTATUS(status))    # It could not start, and has said why.
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) in _RESTARTABLE:
                crashes += 1
                death = f"{crashes} crashes: pid {pid} died, {describe_status(status)}"
                if os.WCOREDUMP(status):
                    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
                    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
                if time.monotonic() < next_restart:
                    _log.warn(f"{death}, waiting until {_RESTART_INTERVAL} seconds since last "
                              "restart")
                    time.sleep(max(0.0, next_restart - time.monotonic()))
                _log.err(f"{death}, restarting")
                next_restart = time.monotonic() + _RESTART_INTERVAL
                continue
            _log.info(f"pid {pid} died, {describe_status(status)}, exiting")
            if passed_on:
                signal.signal(passed_on[0], signal.SIG_DFL)
                os.kill(os.getpid(), passed_on[0])
            os._exit(0)         # However the daemon ended: the reference's monitor does so too.


def _pass_on(number: int, pid: int, passed_on: list[int]) -> None:
    """Let the monitored daemon die of the signal; the monitor follows when it sees that."""
    passed_on.append(number)
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _wait_for(pid: int) -> int:
    return os.waitpid(pid, 0)[1]


def describe_status(status: int) -> str:
    """Return how a process ended, in the words of the reference."""
    if os.WIFEXITED(status):
        return f"exit status {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    core = ", core dumped" if os.WCOREDUMP(status) else ""
    return f"killed ({signal.strsignal(number) or f'signal {number}'}){core}"


def _fork_and_wait(program: str) -> int:
    """Fork.  The child returns the descriptor to report on; the parent waits for it and exits."""
    receive, send = os.pipe2(os.O_CLOEXEC)
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(receive)
        return send
    os.close(send)
    while True:
        try:
            data = os.read(receive, 1)
            break
        except InterruptedError:
            continue
    if data:
        os._exit(0)
    status = _wait_for(pid)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        os._exit(os.WEXITSTATUS(status))        # The child has said why.
    sys.stderr.write(f"{program}: fork child died before signaling startup "
                     f"({describe_status(status)})\n")
    sys.stderr.flush()
    os._exit(1)


def _name_process(name: str) -> None:
    """Set what ps and /proc/PID/comm show for this process."""
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(name[:15])
    except OSError:
        pass


def _lock_owner(path: str) -> int:
    """Return the pid that holds the lock on pidfile `path`, or 0.  Raises: OSError."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(fd, fcntl.F_GETLK, request))
    finally:
        os.close(fd)
    return 0 if kind == fcntl.F_UNLCK else pid


# Capabilities kept by a daemon that gives up being root (capabilities(7)).
_NET_BIND_SERVICE, _NET_BROADCAST, _NET_ADMIN, _NET_RAW, _IPC_LOCK = range(10, 15)
PLAIN_CAPABILITIES = (_NET_BIND_SERVICE, _IPC_LOCK)
NETWORK_CAPABILITIES = PLAIN_CAPABILITIES + (_NET_BROADCAST, _NET_ADMIN, _NET_RAW)


def _become(user: str, capabilities: tuple[int, ...], place: str) -> None:
    """Change to USER[:GROUP], keeping some capabilities.  Raises: StartError.

    `place` is where errors say that they are.
    """
    import grp      # Only --user needs these.
    import pwd
    name, _, group = user.partition(":")
    try:
        entry = pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())
    except KeyError:
        raise _fatal(f"{place}: user {name} not found, aborting.") from None
    gid = entry.pw_gid
    if group:
        try:
            found = grp.getgrnam(group)
        except KeyError:
            raise _fatal(f"{place}: group {group} not found, aborting.") from None
        if gid != found.gr_gid and entry.pw_name not in found.gr_mem:
            raise _fatal(f"{place}: Invalid --user option {user} (user {entry.pw_name} is not in "
                         f"group {group}), aborting.")
        gid = found.gr_gid
    if os.geteuid() != 0:
        if (entry.pw_uid, gid) == (os.geteuid(), os.getegid()):
            return
        raise StartError(f"{user}: only root may change user")
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    keep_capabilities = 8
    libc.prctl(keep_capabilities, 1, 0, 0, 0)
    try:
        if vlog.LOG.file_fd >= 0:
            os.fchown(vlog.LOG.file_fd, entry.pw_uid, gid)
        os.initgroups(entry.pw_name, gid)
        os.setgid(gid)
        os.setuid(entry.pw_uid)
    except OSError as error:
        raise StartError(f"{user}: failed to change user ({os.strerror(error.errno)})") from None
    mask = sum(1 << number for number in capabilities or NETWORK_CAPABILITIES)
    header = struct.pack("Ii", 0x20080522, 0)
    data = struct.pack("IIIIII", mask, mask, 0, 0, 0, 0)
    if libc.capset(header, data) != 0 and ctypes.get_errno() != errno.EPERM:
        _log.warn(f"failed to keep capabilities: {os.strerror(ctypes.get_errno())}")


def fail(program: str, text: str) -> int:
    """Print `text` as the program's fatal error; return its exit code."""
    sys.stderr.write(f"{program}: {text}\n")
    sys.stderr.flush()
    return 1


def begin(program: str, read: Callable, argv: list[str], usage: Callable[[], str],
          capabilities: tuple[int, ...] = ()):
    """Do what every daemon does first: read the options, answer --help and --version, start.

    `read(argv)` returns what the options say, with attributes `settings` (a Settings) and
    `action` ("", "help" or "version"), or raises OptionError; `usage` returns the text of --help.
    Returns (what `read` returned, the Daemon), or the exit code when there is nothing to serve.
    """
    try:
        arguments = read(argv)
    except OptionError as error:
        return fail(program, str(error))
    if arguments.action == "help":
        sys.stdout.write(usage())
        return 0
    if arguments.action == "version":
        print(f"{program} (Open vSwitch) {VERSION}")
        return 0
    try:
        return arguments, Daemon.start(arguments.settings, capabilities)
    except StartError as error:
        return fail(program, str(error))


def report_end(program: str, error: BaseException) -> int:
    """Say why a daemon's event loop has ended; return the exit code."""
    leaf = error
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, StartError):
        return fail(program, str(leaf))
    module = vlog.module(program.removeprefix("ovs-").replace("-", "_"))
    module.emer("unexpected error, exiting: " + "".join(traceback.format_exception(error)))
    return 1
