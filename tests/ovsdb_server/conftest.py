"""Database servers as processes, ours and the reference's, for the tests of this directory."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ovsdb_server import vlog

ROOT = Path(__file__).resolve().parents[2]
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def program(module: str) -> list[str]:
    """Return the command that runs the `main` of one of our modules."""
    return [sys.executable, "-I", "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
            f"from {module} import main; sys.exit(main(sys.argv[1:]))"]


def reference(name: str) -> str:
    """Return the path of a program of the installed Open vSwitch; skip without it."""
    path = shutil.which(name, path=PATH)
    if path is None:
        pytest.skip("Open vSwitch is not installed")
    return path


class ServerProcess:
    """An ovsdb-server in its own directory, which is also where its files go."""

    def __init__(self, command: list[str], directory: Path, options: tuple[str, ...] = (),
                 files: tuple[str, ...] = ()) -> None:
        self.command = command
        self.directory = directory
        self.options = options
        self.files = files
        self.path = str(directory / "db.sock")
        self.remote = f"unix:{self.path}"
        self.pid = 0
        self.environment = dict(os.environ, OVS_SYSLOG_METHOD="null", LC_ALL="C", **{
            f"OVS_{name}": str(directory) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")})

    def start(self, *more: str) -> subprocess.CompletedProcess:
        """Start it as a daemon; return how the parent process ended."""
        done = subprocess.run(
            [*self.command, "--detach", "--no-chdir", "--pidfile", f"--remote=p{self.remote}",
             *self.options, *more, *self.files], env=self.environment, cwd=self.directory,
            capture_output=True, text=True, timeout=20)
        pidfile = self.directory / "ovsdb-server.pid"
        if done.returncode == 0 and pidfile.exists():
            self.pid = int(pidfile.read_text())
        return done

    def run(self, *command: str, timeout: float = 10) -> subprocess.CompletedProcess:
        """Run a client in the server's environment."""
        return subprocess.run(command, env=self.environment, cwd=self.directory,
                              capture_output=True, text=True, timeout=timeout)

    def appctl(self, *args: str) -> subprocess.CompletedProcess:
        """Run our ovs-appctl on the server."""
        return self.run(*program("utilities.appctl"), "-t", "ovsdb-server", *args)

    def is_alive(self) -> bool:
        try:
            return "State:\tZ" not in Path(f"/proc/{self.pid}/status").read_text()
        except FileNotFoundError:
            return False

    def wait_end(self) -> None:
        """Wait until the process is gone."""
        deadline = time.monotonic() + 10
        while self.is_alive():
            assert time.monotonic() < deadline, "the server did not end"
            time.sleep(0.005)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self.pid and self.is_alive():
            os.kill(self.pid, number)
            self.wait_end()

    def log(self) -> str:
        return (self.directory / "ovsdb-server.log").read_text()

    def connect(self) -> "Talk":
        return Talk(self.path)


class Talk:
    """A raw connection: bytes out, JSON messages in."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(10)
        self._text = ""
        self._next_id = 1000

    def send(self, *messages: object) -> None:
        for message in messages:
            data = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.socket.sendall(data)

    def receive(self) -> dict | None:
        """Return the next message, None at the end of the stream."""
        while True:
            try:
                value, end = json.JSONDecoder().raw_decode(self._text)
            except ValueError:
                try:
                    data = self.socket.recv(1 << 20)
                except ConnectionResetError:
                    data = b""
                if not data:
                    return None
                self._text += data.decode()
                continue
            self._text = self._text[end:]
            return value

    def call(self, method: str, *params: object) -> object:
        """Send a request; return the result (or the error) of its reply, dropping the rest.

        Raises: EOFError at the end of the stream.
        """
        self._next_id += 1
        self.send({"id": self._next_id, "method": method, "params": list(params)})
        while True:
            message = self.receive()
            if message is None:
                raise EOFError
            if message.get("id") == self._next_id and "method" not in message:
                return message["result"] if message.get("error") is None else message["error"]

    def until_sync(self) -> list[dict]:
        """Return all messages up to the reply of an echo sent now."""
        self.send({"id": "sync", "method": "echo", "params": []})
        messages = []
        while (message := self.receive()) is not None and message.get("id") != "sync":
            messages.append(message)
        return messages if message is not None else messages + ["end"]

    def close(self) -> None:
        self.socket.close()


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ZERO = "00000000-0000-0000-0000-000000000000"


def normalized(message: object, names: dict[str, str]) -> str:
    """Return a message as sorted text with UUIDs numbered in order of appearance."""
    if isinstance(message, dict) and message.get("error") is not None:
        message = {key: value for key, value in message.items() if key != "result"}
    text = json.dumps(message, sort_keys=True)
    return _UUID.sub(lambda m: m.group() if m.group() == ZERO
                     else names.setdefault(m.group(), f"U{len(names)}"), text)


@pytest.fixture
def make_server(tmp_path):
    """Return a function that makes ServerProcess objects, "ours" or "reference"."""
    servers = []

    def make(kind: str = "ours", name: str = "", options: tuple[str, ...] = (),
             files: tuple[str, ...] = ()) -> ServerProcess:
        command = program("ovsdb_server.main") if kind == "ours" else [reference("ovsdb-server")]
        directory = tmp_path / (name or kind)
        directory.mkdir(parents=True, exist_ok=True)
        server = ServerProcess(command, directory, options, files)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.kill()


@pytest.fixture(params=["ours", pytest.param("reference", marks=pytest.mark.differential)])
def server_kind(request):
    """Both kinds of server, one after the other."""
    return request.param


@pytest.fixture
def quiet_console():
    """Keep this process's log off the console."""
    vlog.set_levels("console:off")
    yield
    vlog.set_levels("console:info")


@pytest.fixture
def tools():
    """Functions of this module for tests: program, reference, normalized."""

    class Tools:
        pass

    Tools.program = staticmethod(program)
    Tools.reference = staticmethod(reference)
    Tools.normalized = staticmethod(normalized)
    return Tools
