"""How a tool that stays becomes a daemon, and the control socket by which ovs-appctl reaches it.

For ovs-ofctl monitor and snoop, ovs-testcontroller, and ovsdb-client monitor and lock. What makes a
process a daemon is `ovsdb_server.daemon`, as for the daemons of this suite; it is loaded by runs
that need it only. What it logs goes where the tool logs.
"""

import socket
from collections.abc import Callable, Collection, Mapping

from ovsdb_server.rpc import address
from ovsdb_server.rpc.message import (
    REQUEST, ProtocolError, Splitter, decode, encode_error, encode_reply,
)
from utilities.command_line import LOG, OFF, VERSION, Fatal, flush_output
from utilities.log_commands import Answer, log_commands

# Usage, least and most arguments, and what answers; None: `Control.take` hands the request out.
Command = tuple[str, int, int, Callable[[list[str]], Answer] | None]


class Background:
    """A tool that has become what `options` ask for: {name: argument} of those of
    `command_line.DAEMON_NAMES` that were given."""

    def __init__(self, program: str, options: Mapping[str, str | None], *kept: int) -> None:
        """Forks, takes the pidfile.  Returns in the process that goes on; if it is detached, only
        `kept` of the standard files will stay open.  Raises Fatal."""
        from ovsdb_server import daemon, vlog       # Few runs pay for these.
        vlog.forward(LOG.log)
        settings = daemon.Settings(program)
        for name, value in options.items():
            settings.apply(name, value)
        flush_output()
        try:
            self._daemon = daemon.Daemon.start(settings, kept=kept)
        except daemon.StartError as error:
            raise Fatal(str(error)) from None
        self._program = program
        self._is_detached = settings.detach

    def open_control(self, commands: Mapping[str, Command]) -> "Control | None":
        """Opens the control socket, unless there is to be none.  Raises Fatal."""
        path = self._daemon.unixctl_path()
        if path is None:
            return None
        try:
            control = Control(self._program, address.listen_unix(path), commands)
        except OSError as error:
            self.close()
            raise Fatal(f"failed to create unixctl server ({error.strerror})") from None
        self._daemon.unlink_at_exit(path)
        return control

    def ready(self) -> None:
        """Lets the parent of a detached tool go."""
        flush_output()
        if self._is_detached:
            LOG.set_level(None, "console", OFF)
        self._daemon.ready()

    def close(self) -> None:
        """Removes pidfile and control socket."""
        self._daemon.finish()


class Control:
    """The control socket: whoever waits for its `fds` lets it `take` what came."""

    def __init__(self, program: str, listener: socket.socket, commands: Mapping[str, Command]
                 ) -> None:
        listener.setblocking(False)
        self._program = program
        self._listener = listener
        self._clients: dict[int, _Client] = {}
        self._commands: dict[str, Command] = {
            "list-commands": ("", 0, 0, self._list), "version": ("", 0, 0, self._version),
            **log_commands(), **commands}

    def fds(self) -> list[int]:
        """The descriptors to wait for."""
        return [self._listener.fileno(), *self._clients]

    def take(self, ready: Collection[int]) -> list["Request"]:
        """Answers what came to `ready` descriptors; returns what its owner has to answer."""
        requests = []
        for fd in [fd for fd in self._clients if fd in ready]:
            client = self._clients[fd]
            requests += [request for request in client.read() if not self._answer(request)]
            if client.is_closed:
                del self._clients[fd]
        if self._listener.fileno() in ready:
            try:
                client = _Client(self._listener.accept()[0])
                self._clients[client.sock.fileno()] = client
            except OSError:
                pass                                # it has left again
        return requests

    def _answer(self, request: "Request") -> bool:
        """Answers a request, unless that is for the owner of this; whether it did."""
        row = self._commands.get(request.name)
        if row is None:
            request.fail(f'"{request.name}" is not a valid command (use "list-commands" to see a '
                         "list of valid commands)")
            return True
        _, least, most, function = row
        count = len(request.arguments)
        if count < least:
            request.fail(f'"{request.name}" command requires at least {least} arguments')
        elif count > most:
            request.fail(f'"{request.name}" command takes at most {most} arguments')
        elif function is None:
            return False
        else:
            result, error = function(request.arguments)
            if error is None:
                request.reply(result)
            else:
                request.fail(error)
        return True

    def _list(self, _arguments: list[str]) -> Answer:
        return "The available commands are:\n" + "".join(
            f"  {name:<23} {row[0]}\n" for name, row in sorted(self._commands.items())), None

    def _version(self, _arguments: list[str]) -> Answer:
        return f"{self._program} (Open vSwitch) {VERSION}", None


class _Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.is_closed = False
        self._splitter = Splitter()

    def read(self) -> list["Request"]:
        """The requests that came."""
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
            pass                                    # nobody waits for the answer any more


def _line(text: str) -> str:
    return text + "\n" if text and not text.endswith("\n") else text
