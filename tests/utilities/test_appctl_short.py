"""ovs-appctl does the same before Python starts as Python does, whatever a daemon answers."""

import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from schema import extension
from utilities import appctl
from utilities.ofctl import pieces

ROOT = Path(__file__).resolve().parents[2]


class Talk(ctypes.Structure):
    """struct short_talk."""

    _fields_ = (("fd", ctypes.c_int), ("xid", ctypes.c_uint32), ("n_sent", ctypes.c_uint32),
                ("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("input", ctypes.c_void_p),
                ("input_size", ctypes.c_size_t))


@pytest.fixture(scope="module")
def in_c(tmp_path_factory):
    """What ovs-appctl does before Python is there: from words to its exit code, -1 for none, and
    what is left."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    pieces.write()
    library = tmp_path_factory.mktemp("appctl") / "appctl.so"
    sources = ("quickstart/appctl.c", "ofctl/short.c", "ofctl/flow.c", "ofctl/show.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", library,
                    f"-I{ROOT / 'vswitchd/openflow/quick'}",
                    f'-DEXT_SUFFIX="{extension.VERSIONED}"',
                    *(ROOT / "utilities" / source for source in sources)], check=True)
    call = ctypes.CDLL(str(library)).appctl_short

    def run_words(*words: str) -> tuple[int, tuple]:
        argv = (ctypes.c_char_p * (len(words) + 2))(b"ovs-appctl", *map(os.fsencode, words), None)
        talk = Talk()
        code = call(len(words) + 1, argv, bytes(ROOT), ctypes.byref(talk))
        data = ctypes.string_at(talk.data, talk.size) if talk.data else None
        return code, (talk.fd, talk.xid, talk.n_sent, data, None)

    return run_words


class Daemon:
    """Answers one request with parts of bytes, and keeps it."""

    def __init__(self, path: Path, *parts: bytes) -> None:
        self.told = b""
        self._parts = parts
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        peer, _ = self._listener.accept()
        with peer:
            self.told = peer.recv(65536)
            for part in self._parts:
                peer.sendall(part)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass                    # Hanging up on what was not read would be an error.

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()


def answer(text: str, error: str = "null", id: str = "0") -> bytes:
    return f'{{"id":{id},"result":{text},"error":{error}}}'.encode("utf-8", "surrogatepass")


def run(path: Path, parts, way, capfdbinary) -> tuple:
    """What is printed, the exit code, and the request."""
    daemon = Daemon(path, *parts)
    try:
        code = way()
    finally:
        daemon.close()
        path.unlink()
    out, error = capfdbinary.readouterr()
    return code, out, re.sub(rb"(?m)^\d{4}-\S*Z\|", b"", error), daemon.told


ANSWERS = {
    "line": [answer('"4.0.90\\n"')], "no end": [answer('"a"')], "empty": [answer('""')],
    "escapes": [answer(r'"\"\\\/\b\f\n\r\t\u0041\u00b5\u20ac\u007f"')],
    "spaces": [b' { "error" : null , "id" : 0 , "result" : "x\\n" } \n'],
    "parts": [b'{"id":0,"res', b'ult":"a}', b'\\"]\\', b'n","error":null', b"}"],
    "large": [answer('"' + "x" * 300_000 + '"')],
    "error": [answer("null", '"no such command\\n"')], "error, no end": [answer("null", '"no"')],
    "empty error": [answer("null", '""')],
}
FOR_PYTHON = {
    "UTF-8": [answer('"\u00b5\u20ac"')], "two halves": [answer(r'"\ud83d\ude00"')],
    "half": [answer(r'"\ud83d"')], "object": [answer('{"b":1,"a":[true]}')],
    "error as object": [answer("null", '{"a":1}')], "NUL": [answer(r'"a\u0000b"')],
    "another id": [answer('"other"', id="7"), answer('"x"')], "both": [answer('"a"', '"b"')],
    "none": [answer("null")], "no JSON": [b"nonsense"], "cut off": [b'{"id":0,"result":"a'],
    "nothing": [], "echo first": [b'{"id":"e","method":"echo","params":[]}', answer('"x"')],
}
WORDS = ["cmd/x", 'a "quoted\\" word', "-t", ""]


@pytest.mark.parametrize("name", [*ANSWERS, *FOR_PYTHON])
def test_answers_are_told_as_by_python(name, in_c, tmp_path, monkeypatch, capfdbinary):
    path = tmp_path / "daemon.ctl"
    parts = (ANSWERS | FOR_PYTHON)[name]
    words = ["-t", str(path), *WORDS]
    codes = []

    def short() -> int:
        code, talk = in_c(*words)
        codes.append(code)
        if code >= 0:
            return code
        monkeypatch.setitem(sys.modules, "_quickstart", SimpleNamespace(talk=talk))
        try:
            return appctl.main(words)
        finally:
            monkeypatch.delitem(sys.modules, "_quickstart")

    usual = run(path, parts, lambda: appctl.main(words), capfdbinary)
    assert run(path, parts, short, capfdbinary) == usual
    assert (codes[0] >= 0) == (name in ANSWERS)
    assert usual[3].startswith(b'{')


@pytest.mark.parametrize("words", [
    (), ("-t",), ("--target",), ("-x", "version"), ("--format=json", "version"), ("-T", "3", "x"),
    ("--", "version"), ("-t", "/none", "version"), ("-t", "none", "version"), ("\u00b5",),
    ("-t", "unlocked", "version"), ("--help",)])
def test_other_words_are_for_python(words, in_c, tmp_path, monkeypatch):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    (tmp_path / "unlocked.pid").write_text("1\n")
    assert in_c(*words) == (-1, (-1, 0, 0, None, None))


def test_daemons_are_found_by_their_locked_pidfiles(in_c, tmp_path, monkeypatch, capfdbinary):
    monkeypatch.setenv("OVS_RUNDIR", str(tmp_path))
    script = ("import fcntl, os, sys; file = open(sys.argv[1], 'w'); "
              "fcntl.lockf(file, fcntl.LOCK_EX); file.write(f'{os.getpid()}\\n'); file.flush(); print('x', flush=True); input()")
    with subprocess.Popen([sys.executable, "-c", script, tmp_path / "probe.pid"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        daemon = Daemon(tmp_path / f"probe.{holder.pid}.ctl", answer('"here"'))
        code, _ = in_c("--target=probe", "version")
        daemon.close()
        holder.stdin.close()
    assert (code, capfdbinary.readouterr().out) == (0, b"here\n")
