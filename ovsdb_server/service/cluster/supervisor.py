"""An etcd of this server's own: its directory, its process, its place in the etcd cluster.

Beside the database file FILE lies FILE.etcd with etcd's data, its log and member.json, which says
how this member was admitted; its presence means that the database lives in etcd.  The process dies
with the server, and is started again when it ends by itself.  Trio thread only: the process must
be started by the thread that lives as long as the server, because it is told of that one's death.

What members say to each other goes to the server's own address (the peer URL of etcd); a server
at unix:FILE uses a port of 127.0.0.1 instead.  Clients of etcd, that is this server and servers
that join, use another port of the same host, chosen by the kernel the first time: it is found
through the list of members that etcd serves at its peer URL, or that the server serves at FILE.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import trio

from ovsdb_server import vlog
from ovsdb_server.rpc.tls_files import TlsFiles

_log = vlog.module("etcd")

PACKAGE = "etcd-server"
_RESTART_INTERVAL = 0.5
_MAX_ENDS = 3
_STOP_TIMEOUT = 3.0
_RELEASE_TIMEOUT = 1.0
_LOG_SIZE_MAX = 4 << 20
_LOG_TAIL = 4096

# A transaction may be as big as clients of a database dare to make it.
_REQUEST_SIZE_MAX = 128 << 20
_DATABASE_SIZE_MAX = 8 << 30

# Where etcd wants to be told that its users know what they do.
_ARCHITECTURE = {"aarch64": {"ETCD_UNSUPPORTED_ARCH": "arm64"},
                 "armv7l": {"ETCD_UNSUPPORTED_ARCH": "arm"}}


class NoEtcd(Exception):
    """etcd is not installed."""

    def __init__(self) -> None:
        super().__init__("etcd is not installed, and clusters of more than one server need it: "
                         f"install it (Debian's package is {PACKAGE})")


def find_program() -> str:
    """Return the path of etcd.  Raises: NoEtcd."""
    path = shutil.which("etcd")
    if path is None:
        raise NoEtcd
    return path


def directory_of(path: str) -> str:
    """Return the directory of etcd's files for the database file `path`."""
    return os.path.realpath(path) + ".etcd"


@dataclass
class Admission:
    """How a member of etcd begins; kept in member.json.

    `name` of the member (the server's id), its `peer_url` and `client_url`; `members` is etcd's
    initial cluster {peer URL: name}; `is_new` for the first member of all.
    """

    name: str
    peer_url: str
    client_url: str
    members: dict[str, str] = field(default_factory=dict)
    is_new: bool = True

    @classmethod
    def load(cls, directory: str, name: str = "member.json") -> "Admission | None":
        try:
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                return cls(**json.load(file))
        except FileNotFoundError:
            return None

    def save(self, directory: str, name: str = "member.json") -> None:
        """Make it durable."""
        path = os.path.join(directory, name)
        with open(path + ".tmp", "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".tmp", path)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def candidate(directory: str, name: str, address: str) -> Admission:
    """Return with which URLs a server tries to join: with the same ones every time.

    An attempt that seemed to fail may have made a member of them.
    """
    chosen = Admission.load(directory, "candidate.json")
    if chosen is None or chosen.name != name:
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory, 0o750)
        chosen = choose_urls(name, address)
        chosen.save(directory, "candidate.json")
    return chosen


def choose_urls(name: str, address: str) -> Admission:
    """Choose the URLs of a member at `address` (tcp:, ssl:HOST:PORT or unix:FILE)."""
    kind, _, rest = address.partition(":")
    if kind == "unix":
        return Admission(name, f"http://127.0.0.1:{_free_port('127.0.0.1')}",
                         f"http://127.0.0.1:{_free_port('127.0.0.1')}")
    scheme = "https" if kind == "ssl" else "http"
    host = rest.rpartition(":")[0]
    return Admission(name, f"{scheme}://{rest}",
                     f"{scheme}://{host}:{_free_port(host.strip('[]'))}")


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        return sock.getsockname()[1]


class Etcd:
    """The process of a member; `tls_files()` names the files of a member at an ssl: address.

    `faltered` is set once it has ended by itself several times; `note_removed()` is called, and
    it is not started any more, when the other members have taken it out.
    """

    def __init__(self, directory: str, admission: Admission, tls_files: Callable[[], TlsFiles],
                 note_removed: Callable[[], None]) -> None:
        self.directory = directory
        self._note_removed = note_removed
        self.admission = admission
        self._tls_files = tls_files
        self.faltered = trio.Event()
        self._n_ends = 0
        self._released = trio.Event()
        self._process: subprocess.Popen | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """The process id, None while there is none."""
        return self._process.pid if self._process is not None else None

    def _command(self) -> list[str]:
        admission = self.admission
        members = admission.members or {admission.peer_url: admission.name}
        command = [
            find_program(), "--name", admission.name,
            "--data-dir", os.path.join(self.directory, "data"),
            "--listen-peer-urls", _listening(admission.peer_url),
            "--initial-advertise-peer-urls", admission.peer_url,
            "--listen-client-urls", _listening(admission.client_url),
            "--advertise-client-urls", admission.client_url,
            "--initial-cluster", ",".join(f"{name}={url}" for url, name in members.items()),
            "--initial-cluster-state", "new" if admission.is_new else "existing",
            "--max-request-bytes", str(_REQUEST_SIZE_MAX),
            "--quota-backend-bytes", str(_DATABASE_SIZE_MAX),
            # Who joins checks by itself, see joining.py.
            "--strict-reconfig-check=false",
            "--logger", "zap", "--log-level", "warn",
        ]
        if admission.peer_url.startswith("https:"):
            files = self._tls_files()
            for kind in ("", "peer-"):
                command += [f"--{kind}cert-file", files.certificate or "",
                            f"--{kind}key-file", files.private_key or "",
                            f"--{kind}trusted-ca-file", files.ca_certificate or "",
                            f"--{kind}client-cert-auth"]
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            return command
        # The shell looks whether the server died before its death could be told.
        return [setpriv, "--pdeathsig", "KILL", "/bin/sh", "-c",
                f'[ "$PPID" = {os.getpid()} ] && exec "$@"', "etcd", *command]

    def _start(self) -> None:
        os.makedirs(self.directory, 0o750, exist_ok=True)
        path = os.path.join(self.directory, "etcd.log")
        is_big = os.path.exists(path) and os.path.getsize(path) > _LOG_SIZE_MAX
        with open(path, "wb" if is_big else "ab") as log:
            # In the thread of the event loop, see above.
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True,
                env={**os.environ, **_ARCHITECTURE.get(os.uname().machine, {})})

    async def serve(self) -> None:
        """Keep the process running until stopped, or cancelled and released.  Raises: NoEtcd."""
        try:
            while not self._is_stopping:
                self._start()
                await _wait(self._process)
                if self._is_stopping:
                    break
                if self._is_removed():
                    self._note_removed()
                    break
                self._n_ends += 1
                if self._n_ends >= _MAX_ENDS:
                    self.faltered.set()
                _log.warn(f"etcd ended unexpectedly (status {self._process.returncode}), "
                          f"starting it again; see {self.directory}/etcd.log", _LIMIT)
                await trio.sleep(_RESTART_INTERVAL)
        finally:
            with trio.CancelScope(shield=True):
                with trio.move_on_after(_RELEASE_TIMEOUT):
                    await self._released.wait()
                await self.stop()

    def _is_removed(self) -> bool:
        """Did the process say that the others have removed it?"""
        with open(os.path.join(self.directory, "etcd.log"), "rb") as log:
            log.seek(max(os.fstat(log.fileno()).st_size - _LOG_TAIL, 0))
            return b"permanently removed from the cluster" in log.read()

    def release(self) -> None:
        """Nothing is asked of the process any more."""
        self._released.set()

    async def stop(self) -> None:
        """End the process."""
        self._is_stopping = True
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        with trio.move_on_after(_STOP_TIMEOUT):
            await _wait(process)
            return
        process.kill()
        process.wait()


_LIMIT = vlog.RateLimit(5, 5)


def _listening(url: str) -> str:
    """Return the URL to listen on: etcd wants an address there, not a name."""
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    bare = host.strip("[]")
    try:
        address = socket.getaddrinfo(bare, None, type=socket.SOCK_STREAM)[0][4][0]
    except OSError:
        address = bare
    if ":" in address:
        address = f"[{address}]"
    return f"{scheme}://{address}:{port}"


async def _wait(process: subprocess.Popen) -> None:
    """Wait until `process` has ended, and collect it."""
    if process.poll() is not None:
        return
    fd = os.pidfd_open(process.pid)
    try:
        await trio.lowlevel.wait_readable(fd)
    finally:
        os.close(fd)
    process.wait()
