"""The control socket of a daemon: what ovs-appctl talks to (trio).

A daemon hands `Server` a visible table of `Command` rows.  The wire is JSON-RPC: the method is the
command's name, the parameters its arguments as strings, the result a string.  Trio thread only.
"""

import errno
import inspect
import json
import os
import traceback
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import trio

from ovsdb_server import vlog
from ovsdb_server.rpc import address, message

_log = vlog.module("unixctl")

# A command line of ovs-appctl is limited by the kernel to 2 MB; injected packets may be long.
_SIZE_MAX = 16 * 1024 * 1024


class CommandError(Exception):
    """A command failed; the text goes to the user."""


class Answer(str):
    """The text of an answer that has another form, `value`, for those who ask for JSON."""

    def __new__(cls, text: str, value: object) -> "Answer":
        answer = super().__new__(cls, text)
        answer.value = value
        return answer


class Command(NamedTuple):
    """One row of the table.

    `handler(args)` returns the text of the answer, an `Answer` where JSON says more than that text
    in quotes, None for an empty one, or a JSON value; it may be async.  It raises CommandError,
    ValueError, LookupError or OSError to answer with an error.  `max_args` None means any number.
    """

    name: str
    usage: str | None           # None: list-commands does not tell of it
    min_args: int
    max_args: int | None
    handler: Callable[[list[str]], str | None | Awaitable[str | None]]


class Server:
    """A control socket and its command table.

    Args: `path` of the socket file; `commands`, any objects shaped like Command;
    `version_text`, what `version` answers, without newline.
    """

    def __init__(self, path: str, commands: Iterable, version_text: str) -> None:
        self.path = path
        self._version = version_text
        # Turns of the loop before a command runs: what came in elsewhere earlier is served first.
        self.n_turns_before = 0
        self.commands = {row.name: row for row in commands}
        for row in (Command("list-commands", "", 0, 0, self._list),
                    Command("set-options", "[--format text|json]", 1, 2, _set_nothing),
                    Command("version", "", 0, 0, lambda args: self._version)):
            self.commands.setdefault(row.name, row)
        self._listener = address.listen_unix(path)

    def add(self, commands: Iterable) -> None:
        """Add rows to the table."""
        self.commands.update((row.name, row) for row in commands)

    def close(self) -> None:
        """Close the socket and remove its file."""
        self._listener.close()
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass

    async def serve(self, *, task_status: trio.TaskStatus = trio.TASK_STATUS_IGNORED) -> None:
        """Answer commands until cancelled."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                try:
                    stream = await listener.accept()
                except OSError as error:
                    if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                        raise
                    await trio.sleep(0.1)
                    continue
                nursery.start_soon(self._serve_connection, stream)

    async def _serve_connection(self, stream: trio.SocketStream) -> None:
        splitter = message.Splitter(_SIZE_MAX)
        formats = {"--format": "text"}
        try:
            async with stream:
                while data := await stream.receive_some(65536):
                    for text in splitter.feed(data):
                        request = message.decode(text)
                        if request.kind == message.REQUEST:
                            await stream.send_all(await self._answer(request, formats))
        except message.ProtocolError as error:
            _log.warn(f"received bad message on control socket: {error.reason}", _LIMIT)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _answer(self, request: message.Message, formats: dict[str, str]) -> bytes:
        args = request.params
        if _log.is_dbg:
            words = json.dumps(args, ensure_ascii=False, separators=(",", ":"))
            _log.dbg(f"received request {request.method}{words}, id={request.id}")
        try:
            result = await self.run(request.method, args, formats)
        except CommandError as error:
            text = str(error)
            if _log.is_dbg:
                _log.dbg(f'replying with error, id={request.id}: "{text}"')
            return message.encode_error(_ended(text), request.id)
        if result is None or isinstance(result, str):
            if formats["--format"] == "json" and isinstance(result, Answer):
                result = result.value
            elif formats["--format"] == "json":
                result = {"reply": result or "", "reply-format": "plain"}
            else:
                # Clients before 3.4 print what they get as it is.
                result = _ended(result)
        if _log.is_dbg:
            _log.dbg(f'replying with success, id={request.id}: "{result}"')
        return message.encode_reply(result, request.id)

    async def run(self, name: str, args: list, formats: dict[str, str] | None = None) -> object:
        """Run one command; return its answer, a text or None mostly.  Raises: CommandError."""
        if name == "set-options" and formats is not None:
            return self._set_options(args, formats)
        row = self.commands.get(name)
        if row is None:
            raise CommandError(f'"{name}" is not a valid command (use "list-commands" to see a '
                               "list of valid commands)")
        if len(args) < row.min_args:
            raise CommandError(f'"{name}" command requires at least {row.min_args} arguments')
        if row.max_args is not None and len(args) > row.max_args:
            raise CommandError(f'"{name}" command takes at most {row.max_args} arguments')
        for index, arg in enumerate(args):
            if not isinstance(arg, str):
                raise CommandError(f'"{name}" command has non-string argument')
        try:
            for _ in range(self.n_turns_before):
                await trio.lowlevel.checkpoint()
            result = row.handler(args)
            if inspect.isawaitable(result):
                result = await result
        except OSError as error:
            raise CommandError(os.strerror(error.errno) if error.errno else str(error)) from None
        except (ValueError, LookupError) as error:
            raise CommandError(str(error.args[0] if error.args else error)) from None
        except CommandError:
            raise
        except Exception as error:
            # A mistake in one command must not end the daemon.
            _log.err(f"{name}: {''.join(traceback.format_exception(error))}")
            raise CommandError(f"{name}: internal error: {error}") from None
        return result

    def _set_options(self, args: list, formats: dict[str, str]) -> str:
        if len(args) != 2 or args[0] != "--format":
            raise CommandError('"set-options" command requires "--format text|json"')
        if args[1] not in ("text", "json"):
            raise CommandError(f"option format has invalid value {args[1]}")
        formats["--format"] = args[1]
        return ""

    def _list(self, _args: list[str]) -> str:
        lines = ["The available commands are:"]
        lines += [f"  {row.name:<23} {row.usage}" for _, row in sorted(self.commands.items())
                  if row.usage is not None]
        return "\n".join(lines)


def _set_nothing(args: list[str]) -> str:
    """set-options where there is no connection whose format it could set."""
    return ""


_LIMIT = vlog.RateLimit(60, 5)


def _ended(text: str | None) -> str:
    """Return `text` with a newline at its end, unless it is empty."""
    if not text:
        return ""
    return text if text.endswith("\n") else text + "\n"
