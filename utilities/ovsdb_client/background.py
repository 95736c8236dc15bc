"""What --detach needs: going to the background, and a control socket that answers ovs-appctl.

The daemon module is imported only by runs that ask for it.
"""

import os

from ovsdb_server.rpc import address
from ovsdb_server.rpc.blocking import Connection, ConnectionClosed, ProtocolError
from ovsdb_server.rpc.message import REQUEST
from utilities.command_line import LOG, OFF, VERSION, Fatal, flush_output
from utilities.ovsdb_client.session import PROGRAM, Session


def start_background(session: Session) -> None:
    """Fork for --detach, take the pidfile."""
    options = session.daemon_options
    if not {"detach", "pidfile", "monitor", "user", "unixctl"} & set(options):
        return
    # Only these runs pay for the import.
    from ovsdb_server import daemon
    settings = daemon.Settings(PROGRAM)
    for name, value in options.items():
        settings.apply(name, value)
    flush_output()
    try:
        session.daemon = daemon.Daemon.start(settings)
    except daemon.StartError as error:
        raise Fatal(str(error)) from None


def go_background(session: Session) -> None:
    """Let the parent return; what is printed still goes where it went."""
    flush_output()
    if session.daemon is None or not session.is_detached:
        return
    LOG.set_level(None, "console", OFF)
    kept = [os.dup(fd) for fd in (1, 2)]
    session.daemon.ready()
    for target, fd in enumerate(kept, 1):
        os.dup2(fd, target)
        os.close(fd)


class Control:
    """A control socket: answers ovs-appctl, one request at a time per connection."""

    def __init__(self, path: str, commands: dict) -> None:
        self._listener = address.listen_unix(path)
        self._listener.setblocking(False)
        self._commands = commands
        self._connections: dict[int, Connection] = {}

    def fds(self) -> list[int]:
        """Return the descriptors to wait for."""
        return [self._listener.fileno(), *self._connections]

    def serve(self, ready: set[int]) -> None:
        """Handle what came in."""
        if self._listener.fileno() in ready:
            connection = Connection(self._listener.accept()[0], "unixctl")
            self._connections[connection.fileno()] = connection
        for fd in ready & set(self._connections):
            self._serve_one(fd, self._connections[fd])

    def _serve_one(self, fd: int, connection: Connection) -> None:
        while True:
            try:
                message = connection.receive(0)
            except TimeoutError:
                return
            except (ConnectionClosed, ProtocolError, OSError):
                del self._connections[fd]
                connection.close()
                return
            if message.kind != REQUEST:
                continue
            arguments = [str(argument) for argument in message.params]
            result, error = self._execute(message.method, arguments)
            if error is None:
                connection.reply(result, message.id)
            else:
                connection.reply_error(error, message.id)

    def _execute(self, name: str, arguments: list[str]) -> tuple[str | None, str | None]:
        """Return the result and the error of a command, one of them None."""
        if name == "list-commands":
            lines = ["The available commands are:",
                     *(f"  {name:<23} {usage}" for name, usage in sorted(
                         [("list-commands", ""), *((name, row[0])
                                                   for name, row in self._commands.items())]))]
            return "\n".join(lines) + "\n", None
        if name not in self._commands:
            return None, (f'"{name}" is not a valid command (use "list-commands" to see a list '
                          "of valid commands)")
        _, n_min, n_max, function = self._commands[name]
        if len(arguments) < n_min:
            return None, f'"{name}" command requires at least {n_min} arguments'
        if len(arguments) > n_max:
            return None, f'"{name}" command takes at most {n_max} arguments'
        return function(arguments)


def open_control(session: Session, commands: dict) -> Control | None:
    """Open the control socket of a detached process, or of one that was given --unixctl.

    `commands` {name: (usage, fewest and most arguments, function)}; a function takes the
    arguments and returns (result, None) or (None, error).
    """
    if session.daemon is None or not (
            session.is_detached or "unixctl" in session.daemon_options):
        return None
    path = session.daemon.unixctl_path()
    if path is None:
        return None

    def version(arguments: list[str]) -> tuple[str | None, str | None]:
        return f"{PROGRAM} (Open vSwitch) {VERSION}\n", None

    from utilities.log_commands import log_commands
    control = Control(path, {"version": ("", 0, 0, version), **log_commands(), **commands})
    session.daemon.unlink_at_exit(path)
    return control
