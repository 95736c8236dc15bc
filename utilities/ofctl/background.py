"""How ovs-ofctl monitor and ovs-testcontroller become daemons that ovs-appctl can talk to.

`become_service` forks where that is asked for: the parent leaves when the child says it is ready.
`Control` is the control socket, to be polled by its owner.
"""

import fcntl
import os
import signal
import socket
import sys
import time

from ovsdb_server.rpc import address
from ovsdb_server.rpc.message import (
    REQUEST, ProtocolError, Splitter, decode, encode_error, encode_reply,
)
from utilities.command_line import ERR, LOG, VERSION, WARN, Fatal, run_directory
from utilities.log_commands import log_commands

_cleanup: list[str] = []


def _remove_files() -> None:
    for path in _cleanup:
        try:
            os.unlink(path)
        except OSError:
            pass
    _cleanup.clear()


def _end_by_signal(number: int, frame: object) -> None:
    names = {signal.SIGTERM: "Terminated", signal.SIGINT: "Interrupt", signal.SIGHUP: "Hangup"}
    LOG.log("fatal_signal", WARN, f"terminating with signal {number} ({names.get(number, '')})")
    _remove_files()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def become_service(settings, program: str) -> "Service":
    """Detaches if asked to, writes the pidfile, opens the control socket.  Raises Fatal.

    With --monitor this process stays behind as the parent of the one that goes on.
    """
    ready = _fork() if settings.detach else None
    if settings.monitor:
        ready = _supervise(ready)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end_by_signal)
    if settings.user is not None:
        _become(settings.user)
    if settings.pidfile is not None:
        _write_pidfile(settings, program)
    path = settings.unixctl or f"{run_directory()}/{program}.{os.getpid()}.ctl"
    control = None
    if path != "none":
        try:
            full = os.path.join(run_directory(), path)
            control = Control(address.listen_unix(full))
            _cleanup.append(full)
        except OSError as error:
            raise Fatal(f"failed to create unixctl server ({error.strerror})") from None
    return Service(settings, ready, control)


class Service:
    """What `become_service` set up.  control: None without a control socket."""

    def __init__(self, settings, ready: int | None, control: "Control | None") -> None:
        self._settings = settings
        self._ready = ready
        self.control = control

    def complete(self) -> None:
        """Lets the parent go; from here on only stderr is kept."""
        if self._ready is None:
            return
        if not self._settings.detach:
            os.write(self._ready, b"\0")
            os.close(self._ready)
            return
        sys.stdout.flush()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):
            os.dup2(null, number)
        os.close(null)
        if not self._settings.no_chdir:
            os.chdir("/")
        os.write(self._ready, b"\0")
        os.close(self._ready)

    def close(self) -> None:
        if self.control is not None:
            self.control.close()
        _remove_files()


def _fork() -> int:
    """Returns, in the child, the pipe on which it says that it is ready."""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        return writer
    os.close(writer)
    if os.read(reader, 1):
        os._exit(0)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else 1)


_RESTARTABLE = (signal.SIGABRT, signal.SIGALRM, signal.SIGBUS, signal.SIGFPE, signal.SIGILL,
                signal.SIGPIPE, signal.SIGSEGV, signal.SIGXCPU, signal.SIGXFSZ)
_RESTART_INTERVAL = 10.0
"""Seconds between two restarts, but for the first."""


def _supervise(ready: int | None) -> int:
    """Forks a child and starts another whenever one crashes; returns in the child.

    Returns the pipe on which the child says that it is ready, which is passed on to `ready`.
    """
    crashes, next_start = 0, 0.0
    while True:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            if ready is not None:
                os.close(ready)
            return writer
        os.close(writer)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, frame, child=child: os.kill(child, number))
        if os.read(reader, 1) and ready is not None:
            os.write(ready, b"\0")
            os.close(ready)
            ready = None
        os.close(reader)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            os._exit(os.waitstatus_to_exitcode(status))
        number = os.WTERMSIG(status)
        if number not in _RESTARTABLE:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        crashes += 1
        LOG.log("daemon_unix", ERR, f"{crashes} crashes: pid {child} died, killed "
                f"({signal.strsignal(number)}), restarting")
        time.sleep(max(0.0, next_start - time.monotonic()))
        next_start = time.monotonic() + _RESTART_INTERVAL


def _become(user: str) -> None:
    """Goes on as USER[:GROUP].  Raises Fatal."""
    import grp          # Only --user needs these.
    import pwd
    name, _, group = user.partition(":")
    try:
        entry = pwd.getpwnam(name) if name else pwd.getpwuid(os.getuid())
    except KeyError:
        raise Fatal(f"user {name} not found, aborting.") from None
    try:
        number = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    except KeyError:
        raise Fatal(f"group {group} not found, aborting.") from None
    if (os.geteuid(), os.getegid()) == (entry.pw_uid, number):
        return
    if os.geteuid():
        raise Fatal(f"{user}: only root may change user")
    try:
        os.initgroups(entry.pw_name, number)
        os.setgid(number)
        os.setuid(entry.pw_uid)
    except OSError as error:
        raise Fatal(f"{user}: failed to change user ({os.strerror(error.errno)})") from None


_pidfile_lock = -1


def _write_pidfile(settings, program: str) -> None:
    global _pidfile_lock
    path = os.path.join(run_directory(), settings.pidfile or f"{program}.pid")
    if not settings.overwrite_pidfile:
        owner = _pidfile_owner(path)
        if owner:
            raise Fatal(f"{path}: already running as pid {owner}, aborting")
    temporary = f"{path}.tmp{os.getpid()}"
    number = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(number, f"{os.getpid()}\n".encode())
    os.rename(temporary, path)
    _pidfile_lock = number
    _cleanup.append(path)


def _pidfile_owner(path: str) -> int:
    """The process that holds the pidfile's lock, 0 if none does."""
    import struct
    try:
        number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, owner = struct.unpack("hhqqi4x", fcntl.fcntl(number, fcntl.F_GETLK, lock))
        return owner if kind != fcntl.F_UNLCK else 0
    except OSError:
        return 0
    finally:
        os.close(number)


class Control:
    """The control socket: whoever polls it gets commands and answers them."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._clients: dict[int, _Client] = {}
        listener.setblocking(False)

    def sockets(self) -> list:
        return [self._listener, *(client.sock for client in self._clients.values())]

    def take(self, readable: list) -> list["Request"]:
        """Reads what is there; returns the commands that arrived."""
        requests = []
        if self._listener in readable:
            sock, _ = self._listener.accept()
            self._clients[sock.fileno()] = _Client(sock)
        for client in list(self._clients.values()):
            if client.sock in readable:
                number = client.sock.fileno()
                requests += client.read()
                if client.is_closed:
                    self._clients.pop(number, None)
        return requests

    def close(self) -> None:
        for client in self._clients.values():
            client.sock.close()
        self._listener.close()


class _Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_closed = False
        self._splitter = Splitter()

    def read(self) -> list["Request"]:
        try:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError
            messages = [decode(text) for text in self._splitter.feed(data)]
        except (OSError, ProtocolError):
            self.sock.close()
            self.is_closed = True
            return []
        return [Request(self.sock, message) for message in messages if message.kind == REQUEST]


class Request:
    """A command with its arguments; `reply` or `fail` must be called once, at any time."""

    def __init__(self, sock: socket.socket, message) -> None:
        self._sock = sock
        self._id = message.id
        self.name = message.method
        self.arguments = [str(word) for word in message.params or []]

    def reply(self, text: str = "") -> None:
        self._send(encode_reply(_line(text), self._id))

    def fail(self, text: str) -> None:
        self._send(encode_error(_line(text), self._id))

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            pass


def _line(text: str) -> str:
    return text + "\n" if text and not text.endswith("\n") else text


def answer_common(request: Request, commands: dict[str, tuple[str, int, int]]) -> bool:
    """Answers what every daemon answers; returns whether it was that.

    commands: {name: (usage, least, most)} of all commands.  A command with a wrong number of
    arguments is answered too.
    """
    row = commands.get(request.name)
    if row is None:
        request.fail(f'"{request.name}" is not a valid command (use "list-commands" to see a '
                     "list of valid commands)")
        return True
    _, least, most = row
    count = len(request.arguments)
    if count < least:
        request.fail(f'"{request.name}" command requires at least {least} arguments')
        return True
    if count > most:
        request.fail(f'"{request.name}" command takes at most {most} arguments')
        return True
    match request.name:
        case "version":
            request.reply(f"{LOG.program} (Open vSwitch) {VERSION}")
        case "list-commands":
            request.reply("The available commands are:\n" + "".join(
                f"  {name:<23} {usage}\n" for name, (usage, _, _) in sorted(commands.items())))
        case name if name in (rows := log_commands()):
            result, error = rows[name][3](request.arguments)
            if error is None:
                request.reply(result)
            else:
                request.fail(error)
        case _:
            return False
    return True
