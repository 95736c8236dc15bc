"""Connections to switches and controllers: a blocking socket that speaks OpenFlow.

`open_switch` finds what the user named (a bridge, a socket, a connection method), connects and
agrees on a version; `Connection` sends, receives and waits for answers.  Message numbers run
through the whole process, as in Open vSwitch.  Only ovs-ofctl uses it; trio is not.
"""

import errno
import os
import sys
from collections.abc import Iterable

# The C module: see ovsdb_server/rpc/address.py.
import _socket

from ovsdb_server.rpc import address
from utilities.command_line import DBG, ERR, INFO, LOG, WARN, Fatal, run_directory
from vswitchd.openflow.framing import (
    Frame, OpenFlowError, Splitter, identify, open_frame, parse_header,
)
from vswitchd.openflow.messages import decode, encode
from vswitchd.openflow.print import format_message, log_error
from vswitchd.openflow.value_text import complain_to

_OPENFLOW_PORT = 6653
_xid = 0


def next_xid() -> int:
    """The next message number of this process."""
    global _xid
    _xid += 1
    return _xid


def reserve_xids(count: int) -> int:
    """The first of the next `count` message numbers of this process, which are then taken."""
    global _xid
    _xid += count
    return _xid - count + 1


def complain(module: str, level: str, text: str) -> None:
    """Log what a parser has to say, at "WARN" or "ERR"."""
    LOG.log(module, ERR if level == "ERR" else WARN, text)


complain_to(complain)


_WARNINGS_MAX = 5
_warned: dict[str, int] = {}


def warn(module: str, text: str) -> None:
    """Log a warning about a message, the same one so often at most."""
    _warned[text] = _warned.get(text, 0) + 1
    if _warned[text] > _WARNINGS_MAX:
        return
    LOG.log(module, WARN, text)


def note(module: str, text: str) -> None:
    LOG.log(module, INFO, text)


class Connection:
    """A connected peer.  name: as the user gave it; version: what was agreed on."""

    def __init__(self, sock: _socket.socket, name: str, remote: str) -> None:
        self.sock = sock
        self.name = name
        self.remote = remote
        self.version = 0
        self._splitter = Splitter()
        self._waiting: list[bytes] = []

    def close(self) -> None:
        self.sock.close()

    def fileno(self) -> int:
        return self.sock.fileno()

    def negotiate(self, versions: frozenset[int]) -> None:
        """Exchanges hellos.  Raises Fatal."""
        from vswitchd.openflow.messages.session import Hello
        try:
            self.send_bytes(encode(Hello(versions), max(versions), next_xid()))
        except Fatal as fatal:
            reason = fatal.text.rpartition("(")[2].rstrip(")")
            if ":" in self.name:
                raise Fatal(f"connecting to {self.name} ({reason})") from None
            raise Fatal(f"{self.remote.removeprefix('unix:')}: failed to open socket "
                        f"({reason})") from None
        self.hear_hello(versions)

    def hear_hello(self, versions: frozenset[int]) -> None:
        """Agrees on a version when hello has been said.  Raises Fatal."""
        data = self.receive_bytes(f"{self.name}: failed to connect to socket")
        header = parse_header(data)
        if header.type != 0:
            raw = identify(data)[0]
            warn("vconn", f"{self.remote}: received {raw.kind} while expecting hello")
            raise Fatal(f"{self.name}: failed to connect to socket (Protocol error)")
        theirs = decode(data).value.versions
        common = versions & theirs
        if not common:
            from vswitchd.openflow.messages.session import Error
            ours, peer = _describe(versions), _describe(theirs)
            text = f"We support {ours}, you support {peer}, no common versions."
            warn("vconn", f"{self.remote}: version negotiation failed (we support {ours}, "
                          f"peer supports {peer})")
            try:
                self.send_bytes(encode(Error("OFPHFC_INCOMPATIBLE", text.encode()), header.version
                                       if header.version in range(1, 7) else max(versions),
                                       next_xid()))
            except Fatal:
                pass                    # The switch has found out, too, and hung up.
            raise Fatal(f"{self.name}: failed to connect to socket (Broken pipe)")
        self.version = max(common)
        LOG.log("vconn", DBG, f"{self.remote}: negotiated OpenFlow version "
                f"0x{self.version:02x} (we support {_describe(versions)}, peer supports "
                f"{_describe(theirs)})")

    def send_bytes(self, data: bytes) -> None:
        """Sends whole messages."""
        if LOG.is_enabled("vconn", DBG):
            LOG.log("vconn", DBG, f"{self.remote}: sent (Success): "
                    + format_message(data, 1).rstrip("\n"))
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise Fatal(f"failed to send packet to switch ({os.strerror(error.errno)})") from None

    def send_messages(self, messages: list[bytes]) -> None:
        """Sends several messages."""
        if LOG.is_enabled("vconn", DBG):
            for data in messages:
                self.send_bytes(data)
        else:
            self.send_bytes(b"".join(messages))

    def send_many(self, data: bytes) -> None:
        """Sends a lot of messages, taking in meanwhile what the peer has to say."""
        import select                   # Few runs need it.
        rest = memoryview(data)
        try:
            while rest:
                readable, writable, _ = select.select([self.sock], [self.sock], [])
                if readable:
                    self._receive()
                if writable:
                    rest = rest[self.sock.send(rest, _socket.MSG_DONTWAIT):]
        except OSError as error:
            raise Fatal(f"failed to send packet to switch ({os.strerror(error.errno)})") from None

    def send(self, value) -> int:
        """Encodes and sends one message; returns its number."""
        xid = next_xid()
        self.send_bytes(encode(value, self.version, xid))
        return xid

    def receive_bytes(self, trouble: str | None = None) -> bytes:
        """Waits for one message.  Raises Fatal when the peer has gone."""
        while not self._waiting:
            self._receive(trouble or "OpenFlow receive failed")
        return self._waiting.pop(0)

    def _receive(self, trouble: str = "OpenFlow receive failed") -> None:
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            raise Fatal(f"{trouble} ({os.strerror(error.errno)})") from None
        if not data:
            raise Fatal(f"{trouble} (End of file)")
        self._feed(data)

    def _feed(self, data: bytes) -> None:
        self._splitter.feed(data)
        try:
            for message in self._splitter.messages():
                if LOG.is_enabled("vconn", DBG):
                    LOG.log("vconn", DBG, f"{self.remote}: received: "
                            + format_message(message, 1).rstrip("\n"))
                self._waiting.append(message)
        except OpenFlowError as error:
            warn(error.module, f"{self.remote}: {error.reason}")
            raise Fatal(f"OpenFlow receive failed ({os.strerror(errno.EPROTO)})") from None

    def put_back(self, data: bytes) -> None:
        """Lets bytes that somebody else has received be read here."""
        self._feed(data)

    def take_waiting(self) -> list[bytes]:
        """Messages that were read while something else was waited for."""
        messages, self._waiting = self._waiting, []
        return messages

    def poll(self) -> list[bytes]:
        """Reads what is there, after `select` said so; raises EOFError when the peer has gone."""
        try:
            data = self.sock.recv(65536)
        except OSError as error:
            raise EOFError(os.strerror(error.errno)) from None
        if not data:
            raise EOFError("End of file")
        self._feed(data)
        return self.take_waiting()

    def receive_xid(self, xid: int) -> bytes:
        """Waits for the answer to message `xid`; anything else is dropped with a debug line."""
        while True:
            data = self.receive_bytes()
            if parse_header(data).xid == xid:
                return data
            LOG.log("vconn", DBG, f"{self.remote}: received reply with xid "
                    f"{parse_header(data).xid:08x} != expected {xid:08x}")

    def transact(self, value) -> bytes:
        """Sends a request and returns the answer."""
        return self.receive_xid(self.send(value))

    def transact_parts(self, value):
        """Sends a statistics request and yields each part of the answer, or the error."""
        yield from self.receive_parts(self.send(value))

    def receive_parts(self, xid: int):
        """Yields each part of the answer to a statistics request, or the error."""
        while True:
            data = self.receive_xid(xid)
            yield data
            if not open_reply(data).raw.is_stats or not data[11] & 1:
                return

    def transact_silent(self, messages: list[bytes]) -> bytes | None:
        """Sends messages and a barrier; returns the first error that came back, if any."""
        barrier = next_xid()
        self.send_messages([*messages, self._barriers()[0] + barrier.to_bytes(4, "big")])
        return self.await_barrier(barrier, {int.from_bytes(data[4:8], "big") for data in messages})

    def _barriers(self) -> tuple[bytes, bytes]:
        """A barrier request and its reply, without their numbers."""
        kind = 18 if self.version == 1 else 20
        return bytes((self.version, kind, 0, 8)), bytes((self.version, kind + 1, 0, 8))

    def is_direct(self) -> bool:
        """True if somebody may write to and read from the socket itself: it has no TLS around it,
        nobody wants to see messages, and none is waiting."""
        return not (hasattr(self.sock, "pending") or self._waiting or self._splitter.pending
                    or LOG.is_enabled("vconn", DBG))

    def transact_each(self, messages: Iterable[bytes]) -> bytes | None:
        """Sends messages with a barrier behind each; returns the first error that came back."""
        for data in messages:
            error = self.transact_silent([data])
            if error is not None:
                return error
        return None

    def transact_many(self, messages: bytes) -> bytes | None:
        """The same for messages that lie one behind the other and have no numbers yet, in C."""
        from vswitchd.openflow.quick.shapes import LIBRARY      # Only many flows need it.
        request, reply = (int.from_bytes(words, "big") for words in self._barriers())
        at, number, error = 0, next_xid(), None
        answer: bytes | None = b""
        while error is None:
            try:
                at, number, answer = LIBRARY.exchange(self.sock.fileno(), messages, at, number,
                                                      request, reply)
            except BrokenPipeError as failure:
                raise Fatal("failed to send packet to switch "
                            f"({os.strerror(failure.errno)})") from None
            except OSError as failure:
                raise Fatal(f"OpenFlow receive failed ({os.strerror(failure.errno)})") from None
            if answer is None:
                break
            if not answer:
                raise Fatal("OpenFlow receive failed (End of file)")
            self._feed(answer)
            error = self.await_barrier(number - 1, {number - 2})
        return error

    def await_barrier(self, barrier: int, numbers: set[int]) -> bytes | None:
        """Waits for the answer to a barrier; returns the first error about one of `numbers`."""
        error = None
        while True:
            data = self.receive_bytes()
            header = parse_header(data)
            if header.xid == barrier:
                return error
            if header.xid in numbers and error is None:
                error = data


def open_reply(data: bytes) -> Frame:
    """What message `data` is.  Raises Fatal with its text if that cannot be told."""
    try:
        return open_frame(data)
    except OpenFlowError as error:
        log_error(error, warn)
        raise _bad_reply(data) from None


def read_reply(data: bytes, kind: type, complaint: str = ""):
    """The value of an answer, which should be of `kind`.

    Raises Fatal with `complaint`, or with the text of the message.
    """
    try:
        value = decode(data).value
    except OpenFlowError as error:
        log_error(error, warn)
        value = None
    if isinstance(value, kind):
        return value
    raise Fatal(complaint) if complaint else _bad_reply(data)


def _bad_reply(data: bytes) -> Fatal:
    return Fatal(f"received bad reply: {format_message(data, 1, None, None, warn, note)}")


def _describe(versions) -> str:
    """How Open vSwitch words a set of versions."""
    words = sorted(versions)
    text = ", ".join(f"0x{v:02x}" for v in words)
    if len(words) > 1 and words == list(range(words[0], words[-1] + 1)):
        if words[0] == 1:
            return f"version 0x{words[-1]:02x} and earlier"
        return f"versions {text}"
    return f"version{'s' if len(words) > 1 else ''} {text}"


def open_switch(settings, name: str, snoop: bool = False) -> Connection:
    """Connects to what `name` means and agrees on a version.  Raises Fatal."""
    connection = connect(settings, name, "snoop" if snoop else "mgmt")
    connection.negotiate(frozenset(range(1, 7)) if snoop else settings.versions)
    return connection


def connect(settings, name: str, suffix: str = "mgmt") -> Connection:
    """Connects without a word.  Raises Fatal."""
    if ":" in name:
        connection = _connect_method(settings, name)
        LOG.log("ofctl", DBG, f"connecting to {name}")
        return connection
    rundir = run_directory()
    short = name.partition("@")[2] if "@" in name else name
    for path in (name, f"{rundir}/{name}.{suffix}", f"{rundir}/{short}.{suffix}"):
        full = os.path.join(rundir, path)
        try:
            connection = Connection(address.connect_unix(full, is_plain=True), name, f"unix:{path}")
            LOG.log("ofctl", DBG, f"connecting to {connection.remote}")
            return connection
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.ENOTSOCK, errno.ECONNREFUSED) and not os.path.exists(full):
                continue
            raise Fatal(f"{path}: failed to open socket ({os.strerror(error.errno)})") from None
    raise Fatal(f"{name} is not a bridge or a socket")


def _connect_method(settings, name: str) -> Connection:
    kind, _, rest = name.partition(":")
    try:
        if kind == "unix":
            path = os.path.join(run_directory(), rest)
            return Connection(address.connect_unix(path, is_plain=True), name, name)
        if kind in ("tcp", "ssl"):
            return _connect_inet(settings, kind, rest, name)
        raise OSError(errno.EAFNOSUPPORT, "")
    except OSError as error:
        raise Fatal(f"connecting to {name} ({os.strerror(error.errno)})") from None


def _connect_inet(settings, kind: str, rest: str, name: str) -> Connection:
    import socket                       # Bridges of this machine need less.
    host, port = _split_host(rest)
    if port is None:
        warn("stream", "The default OpenFlow port number has changed from 6633 to 6653")
        port = _OPENFLOW_PORT
    try:
        # As bytes, a name in ASCII takes no codec to look up.
        sock = socket.create_connection((host.encode() if host.isascii() else host, port))
    except socket.gaierror:
        LOG.log("stream_tcp", 2, f"{kind}:{host}:{port}: connect: "
                f"{os.strerror(errno.EAFNOSUPPORT)}")
        raise OSError(errno.EAFNOSUPPORT, "") from None
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if kind == "ssl":
        sock = _wrap_tls(settings, sock)
    return Connection(sock, name, f"{kind}:{host}:{port}")


def _split_host(rest: str) -> tuple[str, int | None]:
    if rest.startswith("["):
        host, _, tail = rest[1:].partition("]")
        return host, int(tail[1:]) if tail[1:].isdigit() else None
    if rest.count(":") == 1:
        host, _, port = rest.partition(":")
        return host, int(port) if port.isdigit() else None
    return rest, None


def _wrap_tls(settings, sock: _socket.socket):
    from ovsdb_server.rpc.blocking import wrap_tls      # Only ssl: remotes pay for this.
    from utilities.remote import tls_of
    files = settings.tls
    if files.complain():
        raise OSError(errno.ENOPROTOOPT, "")
    return wrap_tls(sock, False, tls_of(files))


def print_message(data: bytes, settings, extra: int = 1, port_names=None, table_names=None,
                  file=None) -> None:
    """Prints one message, on stdout as JSON if that is wanted."""
    if settings.has_json and file is None:
        from utilities.ofctl.json_output import describe
        print(describe(data, port_names), flush=True)
        return
    text = format_message(data, settings.verbosity + extra, port_names, table_names, warn, note)
    stream = file or sys.stdout
    stream.flush()
    stream.buffer.write(text.encode("utf-8", "surrogateescape"))
    stream.flush()


def readable(*peers, timeout: float | None = None) -> list:
    """Those of `peers` that have something to read."""
    import select                       # Few runs need it.
    return select.select(peers, [], [], timeout)[0]
