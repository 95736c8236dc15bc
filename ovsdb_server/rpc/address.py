"""Where a peer is: remotes such as tcp:127.0.0.1:6640 and punix:/run/db.sock, and socket paths.

Parses the connection methods of ovsdb(7), resolves relative socket files against the run
directory, and opens Unix sockets whose path does not fit into a sockaddr by going through
/proc/self/fd/DIRECTORY/NAME.  Standard library only; used by both edges and by every tool.
"""

import errno
import os

# The C module: `socket` around it costs a tool more than all the rest of its start, because it
# makes enums of every constant.
import _socket

DEFAULT_PORT = 6640

# sun_path holds 108 bytes with its final NUL.
_PATH_MAX = 107

ACTIVE = ("tcp", "ssl", "unix")
PASSIVE = ("ptcp", "pssl", "punix", "pfd")


class Remote:
    """A parsed connection method.

    `kind` is one of ACTIVE or PASSIVE.  Unix kinds have `path` (absolute or relative to the
    current directory); pfd has the number of an inherited descriptor in `port`; the others have
    `host` (without brackets; "" means any) and `port`.
    `text` is what the user wrote.
    """

    __slots__ = ("text", "kind", "path", "host", "port")

    def __init__(self, text: str, kind: str, path: str = "", host: str = "",
                 port: int = DEFAULT_PORT) -> None:
        self.text = text
        self.kind = kind
        self.path = path
        self.host = host
        self.port = port

    @property
    def is_passive(self) -> bool:
        return self.kind in PASSIVE

    @property
    def is_unix(self) -> bool:
        return self.kind.endswith("unix")

    @property
    def is_tls(self) -> bool:
        return self.kind.endswith("ssl")


def run_directory() -> str:
    """Return where sockets and pidfiles live: OVS_RUNDIR, or the packaged place."""
    return os.environ.get("OVS_RUNDIR") or "/var/run/openvswitch"


def resolve_path(name: str) -> str:
    """Return `name` as a file: absolute names unchanged, others under the run directory."""
    return name if name.startswith("/") else os.path.join(run_directory(), name)


def parse_remote(text: str, default_port: int = DEFAULT_PORT) -> Remote:
    """Parse a connection method.  Raises: ValueError with a sentence for the user."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in ACTIVE + PASSIVE:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    if kind.endswith("unix"):
        if not rest:
            raise ValueError(f"{text}: file name missing")
        return Remote(text, kind, path=resolve_path(rest))
    if kind in ACTIVE:
        host, port = _split_host(rest, text)
        if not host:
            raise ValueError(f"{text}: host must be specified")
        return Remote(text, kind, host=host, port=_port(port, default_port, text))
    if kind == "pfd":
        if not rest.isdecimal():
            raise ValueError(f"{text}: file descriptor number expected")
        return Remote(text, kind, port=int(rest))
    # Passive: [PORT][:HOST].
    port, _, host = rest.partition(":")
    if host.startswith("["):
        if not host.endswith("]"):
            raise ValueError(f"{text}: bad IP address")
        host = host[1:-1]
    return Remote(text, kind, host=host, port=_port(port, default_port, text))


def split_remotes(text: str) -> list[str]:
    """Split a list of active remotes at the commas that separate them."""
    found: list[str] = []
    for part in text.split(","):
        if part.split(":")[0].strip() in ACTIVE or not found:
            found.append(part.strip())
        else:
            found[-1] += "," + part
    return found


def _split_host(rest: str, text: str) -> tuple[str, str]:
    """Split HOST[:PORT], where HOST may be an IPv6 address in brackets."""
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise ValueError(f"{text}: bad IP address")
        return host, tail[1:]
    if rest.count(":") > 1:
        return rest, ""
    host, _, port = rest.partition(":")
    return host, port


def _port(port: str, default: int, text: str) -> int:
    if not port:
        return default
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"{text}: bad port number \"{port}\"")
    return int(port)


class socket_path:
    """Context manager giving a name for the socket file `path` that fits into a sockaddr.

    The name is valid only inside the block: it may lead through an open directory.
    Raises: OSError (ENAMETOOLONG) when even the last component is too long.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._directory = -1

    def __enter__(self) -> str:
        if len(os.fsencode(self._path)) <= _PATH_MAX:
            return self._path
        directory, name = os.path.split(self._path)
        self._directory = os.open(directory or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        short = f"/proc/self/fd/{self._directory}/{name}"
        if len(os.fsencode(short)) > _PATH_MAX:
            self.__exit__()
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return short

    def __exit__(self, *exc_info: object) -> None:
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1


def _make_socket(family: int):
    import socket
    return socket.socket(family, _socket.SOCK_STREAM)


def _make_plain_socket(family: int):
    return _socket.socket(family, _socket.SOCK_STREAM)


def connect_unix(path: str, timeout: float | None = None, is_plain: bool = False):
    """Return a stream socket connected to the socket file `path`.  Raises: OSError.

    It is a socket.socket, or with `is_plain` the cheaper _socket.socket.

    `timeout` limits the wait for a listener that has no room; 0 is not to wait at all.
    """
    sock = (_make_plain_socket if is_plain else _make_socket)(_socket.AF_UNIX)
    try:
        if timeout == 0:
            sock.setblocking(False)
        elif timeout is not None:
            import struct       # Few calls limit the wait.
            # A non-blocking connect would fail at once instead of waiting for room.
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, struct.pack(
                "ll", int(timeout), int(timeout % 1 * 1e6) or 1))
        with socket_path(path) as name:
            sock.connect(name)
    except BaseException:
        sock.close()
        raise
    return sock


def listen_unix(path: str, mode: int = 0o770, backlog: int = 1024):
    """Bind a socket.socket to the file `path`, replacing a stale one.  Raises: OSError.

    The file gets permissions `mode` from the moment it exists.
    """
    sock = _make_socket(_socket.AF_UNIX)
    try:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        # Linux creates the file with the mode of the socket's inode, less the umask.
        os.fchmod(sock.fileno(), mode)
        with socket_path(path) as name:
            sock.bind(name)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def listen_inherited(number: int):
    """Return the listening socket.socket that is our descriptor `number`.  Raises: OSError."""
    import socket
    return socket.socket(fileno=os.dup(number))


def listen_tcp(host: str, port: int, backlog: int = 1024):
    """Bind and listen on a TCP address; "" is every address (IPv4).  Raises: OSError."""
    family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
    sock = _make_socket(family)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        address = _socket.getaddrinfo(host or "0.0.0.0", port, family, _socket.SOCK_STREAM,
                                     0, _socket.AI_NUMERICHOST)[0][4]
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock
