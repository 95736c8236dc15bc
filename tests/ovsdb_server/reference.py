"""The real ovsdb-server in a private directory, and how its answers are made comparable.

Used by the differential tests.  `normalize` replaces random UUIDs by names in order of
appearance, and sorts what has no order.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

SERVER = shutil.which("ovsdb-server", path="/usr/sbin:/usr/bin")
TOOL = shutil.which("ovsdb-tool", path="/usr/bin:/usr/sbin")

needs_reference = pytest.mark.skipif(SERVER is None or TOOL is None,
                                     reason="Debian's ovsdb-server is not installed")

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ROWS_OF_INDEX = re.compile(r"First row, (.*?\.)  Second row, (.*?\.)\"")


def environment(folder: Path) -> dict:
    """Return an environment in which the reference keeps to `folder`."""
    return {**os.environ, "OVS_RUNDIR": str(folder), "OVS_LOGDIR": str(folder),
            "OVS_DBDIR": str(folder), "OVS_SYSLOG_METHOD": "null"}


class ReferenceGone(Exception):
    """The real server hung up; 3.1 dies of a few rare sequences of monitors and deletions."""


class Server:
    """A real ovsdb-server serving a new database of `schema`, or the database `file`."""

    def __init__(self, folder: Path, schema: Path, file: Path | None = None):
        self.database = file or folder / "conf.db"
        if file is None:
            subprocess.run([TOOL, "create", self.database, schema], check=True)
        path = str(folder / "db.sock")
        self._process = subprocess.Popen(
            [SERVER, str(self.database), f"--remote=punix:{path}",
             f"--unixctl={folder / 'ctl'}"], env=environment(folder), stderr=subprocess.DEVNULL)
        self._socket = _connect(path)
        self._text = ""
        self._n_calls = 0

    def call(self, method: str, params: list):
        """Return (notifications before the reply, result or {"ERROR": error})."""
        self._n_calls += 1
        request = {"id": self._n_calls, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode())
        notifications = []
        while True:
            message = self._receive()
            if message.get("id") == self._n_calls and "method" not in message:
                error = message.get("error")
                return notifications, message["result"] if error is None else {"ERROR": error}
            if message["method"] != "echo":
                notifications.append([message["method"], message["params"]])

    def _receive(self) -> dict:
        decoder = json.JSONDecoder()
        while True:
            try:
                message, end = decoder.raw_decode(self._text)
            except ValueError:
                data = self._socket.recv(1 << 20)
                if not data:
                    raise ReferenceGone("the reference closed the connection")
                self._text += data.decode()
                continue
            self._text = self._text[end:]
            return message

    def close(self) -> None:
        """Stop the server."""
        self._socket.close()
        self._process.terminate()
        self._process.wait(10)


def _connect(path: str) -> socket.socket:
    for _attempt in range(200):
        try:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(10)
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
            time.sleep(0.05)
    raise AssertionError("the reference does not listen")


def normalize(json_value, names: dict[str, str] | None = None) -> str:
    """Return `json_value` as text with random UUIDs named in order of appearance.

    `names` keeps the names over several calls.
    """
    names = {} if names is None else names

    def name(match: re.Match) -> str:
        uuid = match.group()
        return uuid if uuid.startswith("00000000") else names.setdefault(uuid, f"u{len(names)}")

    text = json.dumps(_sorted(json_value), sort_keys=True)
    text = _ROWS_OF_INDEX.sub(
        lambda m: f'Rows {sorted(_UUID.sub("U", row) for row in m.groups())}"', text)
    text = _UUID.sub(name, text)
    text = text.replace("the table or deleted within", "T")
    return re.sub(r'the \\"\w+\\" table or deleted from this table within', "T", text)


def _sorted(value):
    """Sort selected rows, which have no order; drop versions."""
    if isinstance(value, dict):
        value = {k: _sorted(v) for k, v in value.items() if k != "_version"}
        if isinstance(value.get("rows"), list):
            value["rows"].sort(key=lambda row: _UUID.sub("", json.dumps(row, sort_keys=True)))
        return value
    if isinstance(value, list):
        return [_sorted(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)                # 1e+15 and 1000000000000000 are one number.
    return value
