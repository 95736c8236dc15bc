"""ovs-testcontroller: a simple OpenFlow controller, which makes its switches learn addresses.

`main(argv)` is the program; `argv` lacks its name.  It listens for switches, or calls them, and
lets a `Learner` answer each.  One thread that waits for all of them; a switch that does not read
is dropped.
"""

import errno
import os
import select
import socket
import ssl
import sys
import time

from utilities.command_line import (
    DAEMON_NAMES, ERR, INFO, LOG, NO_ARGUMENT, OPTIONAL_ARGUMENT, REQUIRED_ARGUMENT, TLS_OPTIONS,
    VERBOSE_OPTIONS, WARN, Fatal, TlsFiles, apply_log_option, parse_options, print_version,
    run_tool,
)

PROGRAM = "ovs-testcontroller"
_DEFAULT_PORT = 6653
_LONGEST_WAIT = 8.0             # seconds between two calls of a switch
_PATIENCE = 5.0                 # seconds for a handshake, and for a switch to read
_OPTIONS = (
    ("hub", NO_ARGUMENT, "H"),
    ("noflow", NO_ARGUMENT, "n"),
    ("normal", NO_ARGUMENT, "N"),
    ("wildcards", OPTIONAL_ARGUMENT, "w"),
    ("max-idle", REQUIRED_ARGUMENT, ""),
    ("mute", NO_ARGUMENT, ""),
    ("queue", REQUIRED_ARGUMENT, "q"),
    ("port-queue", REQUIRED_ARGUMENT, "Q"),
    ("with-flows", REQUIRED_ARGUMENT, ""),
    ("unixctl", REQUIRED_ARGUMENT, ""),
    ("help", NO_ARGUMENT, "h"),
    ("detach", NO_ARGUMENT, ""),
    ("no-chdir", NO_ARGUMENT, ""),
    ("no-self-confinement", NO_ARGUMENT, ""),
    ("pidfile", OPTIONAL_ARGUMENT, ""),
    ("overwrite-pidfile", NO_ARGUMENT, ""),
    ("monitor", NO_ARGUMENT, ""),
    ("user", REQUIRED_ARGUMENT, ""),
    ("version", NO_ARGUMENT, "V"),
    ("protocols", REQUIRED_ARGUMENT, "O"),
    *VERBOSE_OPTIONS,
    *TLS_OPTIONS,
)


class Settings:
    """What the options say."""

    def __init__(self) -> None:
        self.versions = frozenset(range(1, 7))
        self.is_hub = False
        self.is_normal = False
        self.max_idle: int | None = 60
        self.wildcards = 0
        self.queue: int | None = None
        self.queues: dict[str, int] = {}
        self.flow_files: list[str] = []
        self.daemon_options: dict[str, str | None] = {}
        self.tls = TlsFiles()

    @property
    def learns(self) -> bool:
        """Whether it learns where hosts are; else it floods, with --normal too."""
        return not (self.is_hub or self.is_normal)

    def prefer_queues(self) -> list[str]:
        """Drops what queues cannot be had with; returns what there is to say about it."""
        if self.queue is None and not self.queues:
            return []
        complaints = []
        if self.is_normal:
            complaints.append("queue IDs are incompatible with -N or --normal; "
                              "not using OFPP_NORMAL")
        if self.is_hub:
            complaints.append("queue IDs are incompatible with -H or --hub; not acting as hub")
        self.is_normal = self.is_hub = False
        return complaints


def main(argv: list[str]) -> int:
    """Runs ovs-testcontroller.  Returns its exit code."""
    return run_tool(PROGRAM, _main, argv)


def _main(argv: list[str]) -> int:
    found, words = parse_options(argv, _OPTIONS, reorder=True)
    LOG.set_level(None, "console", INFO)
    settings = Settings()
    for name, value in found:
        if name == "version":
            print_version(PROGRAM, "OpenFlow versions 0x1:0x6")
            return 0
        if name == "help":
            from utilities.help_parts import fill
            from utilities.testcontroller.help import TEXT
            print(fill(TEXT, PROGRAM), end="")
            return 0
        _apply(settings, name, value)
    for complaint in settings.prefer_queues():
        print(f"{PROGRAM}: {complaint}", file=sys.stderr)
    if not words:
        raise Fatal("at least one vconn argument required; use --help for usage")
    _Controller(settings, words).serve()
    return 0


def _number(text: str, base: int = 10) -> int:
    """The number that a text begins with, 0 for none: as C reads it."""
    digits = "0123456789abcdef"[:base]
    text = text.strip().lower()
    if base == 16:
        text = text.removeprefix("0x")
    length = next((i for i, letter in enumerate(text) if letter not in digits), len(text))
    return int(text[:length], base) if length else 0


def _apply(settings: Settings, name: str, value: str | None) -> None:
    match name:
        case "hub":
            settings.is_hub = True
        case "normal":
            settings.is_normal = True
        case "noflow":
            settings.max_idle = None
        case "wildcards":
            from utilities.testcontroller.learning import LAYER_2
            settings.wildcards = _number(value, 16) if value else LAYER_2
        case "max-idle":
            settings.max_idle = 0 if value == "permanent" else _number(value)
            if value != "permanent" and not 1 <= settings.max_idle <= 65535:
                raise Fatal("--max-idle argument must be between 1 and 65535 or the word "
                            "'permanent'")
        case "queue":
            settings.queue = _number(value)
        case "port-queue":
            port, colon, queue = value.partition(":")
            if not colon or not port or not queue:
                raise Fatal('argument to -Q or --port-queue should take the form '
                            '"<port-name>:<queue-id>"')
            settings.queues[port] = _number(queue)
        case "with-flows":
            settings.flow_files.append(value)
        case "protocols":
            from utilities.ofctl.protocol import parse_versions
            settings.versions = parse_versions(value)
        case _ if name in DAEMON_NAMES:
            settings.daemon_options[name] = value
        case "mute":
            pass                # It changes nothing that can be seen, as in Open vSwitch.
        case _:
            if not apply_log_option(name, value):
                settings.tls.apply_option(name, value)


def _read_flows(names: list[str]) -> tuple:
    """The flows of some files.  Raises Fatal."""
    from utilities.ofctl.flows import read_flows
    return tuple(flow for name in names
                 for flow in read_flows(name, "add", None, None, has_notes=False))


class _Switch:
    """A connection to a switch."""

    def __init__(self, controller: "_Controller", sock, name: str) -> None:
        from vswitchd.openflow.framing import Splitter
        from vswitchd.openflow.messages.session import Hello
        self._controller = controller
        self._learner = None
        self._splitter = Splitter()
        self.sock = sock
        self.name = name
        sock.settimeout(_PATIENCE)
        versions = controller.settings.versions
        self._send([controller.encode(Hello(versions), max(versions))])

    def fileno(self) -> int:
        return self.sock.fileno()

    def _send(self, messages: list[bytes]) -> None:
        if messages:
            self.sock.sendall(b"".join(messages))

    def receive(self) -> None:
        """Answers what has come, if anything.  Raises OSError when the connection is at its end."""
        from vswitchd.openflow.framing import OpenFlowError
        # Part of a record of TLS is nothing yet, and others must not wait for the rest.
        self.sock.settimeout(0)
        try:
            data = self.sock.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        finally:
            self.sock.settimeout(_PATIENCE)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "End of file")
        self._splitter.feed(data)
        try:
            for message in self._splitter.messages():
                if self._learner is None:
                    self._agree(message)
                    continue
                try:
                    self._send(self._learner.answer(message))
                except OpenFlowError as error:
                    if error.reason:
                        LOG.log(error.module, WARN, error.reason)
        except OpenFlowError as error:
            LOG.log("vconn_stream", ERR, error.reason)
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO)) from None

    def has_more(self) -> bool:
        """Whether something waits that select does not know of."""
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0

    def _agree(self, message: bytes) -> None:
        from utilities.testcontroller.learning import Learner
        from vswitchd.openflow.messages import decode, encode
        from vswitchd.openflow.messages.session import Error, Hello
        from vswitchd.openflow.session import describe_versions
        value = decode(message).value
        if not isinstance(value, Hello):
            LOG.log("vconn", WARN, f"{self.name}: received message while expecting hello")
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        ours = self._controller.settings.versions
        common = ours & value.versions
        if not common:
            words = describe_versions(ours), describe_versions(value.versions)
            LOG.log("vconn", WARN, f"{self.name}: version negotiation failed (we support "
                    f"{words[0]}, peer supports {words[1]})")
            text = f"We support {words[0]}, you support {words[1]}, no common versions."
            version = max(value.versions)
            error = Error("OFPHFC_INCOMPATIBLE", text.encode())
            self._send([encode(error, version if version in range(1, 7) else 1, 0)])
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
        self._learner = Learner(self._controller.habits, max(common), self._controller.next_xid)
        self._send(self._learner.greet())


class _Caller:
    """A switch that is called, again and again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.switch: _Switch | None = None
        self.wait = 0.0
        self.due = 0.0


class _Controller:
    """The running program."""

    def __init__(self, settings: Settings, methods: list[str]) -> None:
        from utilities.testcontroller.learning import Habits
        self.settings = settings
        self.habits = Habits(settings.learns, settings.max_idle, settings.wildcards,
                             settings.queue, settings.queues, _read_flows(settings.flow_files))
        self._xid = 0
        self._listeners: dict = {}              # {socket: method}
        self._switches: list[_Switch] = []
        self._callers: list[_Caller] = []
        for method in methods:
            self._open(method)
        if not self._listeners and not self._callers:
            raise Fatal("no active or passive switch connections")

    def next_xid(self) -> int:
        """A number for a message of our own."""
        self._xid = self._xid + 1 & 0xFFFFFFFF
        return self._xid

    def encode(self, value, version: int) -> bytes:
        """A message of our own."""
        from vswitchd.openflow.messages import encode
        return encode(value, version, self.next_xid())

    def _open(self, method: str) -> None:
        from ovsdb_server.rpc import address
        try:
            parsed = address.parse_remote(method, _DEFAULT_PORT)
        except (ValueError, OSError):
            LOG.log("controller", ERR,
                    f"{method}: connect: {os.strerror(errno.EAFNOSUPPORT)}")
            return
        if not parsed.is_passive:
            self._callers.append(_Caller(method))
            return
        try:
            listener = (address.listen_unix(parsed.path) if parsed.is_unix
                        else address.listen_tcp(parsed.host, parsed.port))
        except OSError as error:
            LOG.log("controller", ERR, f"{method}: listen: {os.strerror(error.errno)}")
            return
        if not parsed.is_unix and not parsed.port:
            host, port = listener.getsockname()[:2]
            LOG.log("socket_util", INFO, f"0:{host}: listening on port {port}")
        listener.setblocking(False)
        self._listeners[listener] = parsed

    def serve(self) -> None:
        """Controls switches until told to stop."""
        from utilities.background import Background
        background = Background(PROGRAM, self.settings.daemon_options)
        control = background.open_control({"exit": ("", 0, 0, None)})
        background.ready()                  # What complains from now on, does so in the log.
        try:
            while True:
                now = time.monotonic()
                for caller in self._callers:
                    self._call(caller, now)
                waiting = [*self._listeners, *self._switches,
                           *(control.fds() if control else [])]
                buffered = [switch for switch in self._switches if switch.has_more()]
                dues = [caller.due for caller in self._callers if caller.switch is None]
                timeout = 0 if buffered else max(0.0, min(dues) - now) if dues else None
                ready = select.select(waiting, [], [], timeout)[0]
                for request in control.take(ready) if control else ():
                    request.reply()         # `exit` is the only one
                    return
                for listener in [one for one in self._listeners if one in ready]:
                    self._accept(listener)
                for switch in [one for one in self._switches if one in ready or one in buffered]:
                    self._attend(switch)
        finally:
            background.close()

    def _accept(self, listener) -> None:
        parsed = self._listeners[listener]
        try:
            sock, peer = listener.accept()
        except OSError:
            return
        name = f"{'ssl' if parsed.is_tls else 'tcp'}:{peer[0]}:{peer[1]}" if peer else "unix"
        try:
            sock.settimeout(_PATIENCE)
            if parsed.is_tls:
                sock = self._wrap(sock, True)
            self._switches.append(_Switch(self, sock, name))
        except OSError as error:
            LOG.log("rconn", WARN, f"{name}: connection failed ({error.strerror or error})")
            sock.close()

    def _wrap(self, sock: socket.socket, is_server: bool):
        from ovsdb_server.rpc.blocking import wrap_tls
        from utilities.remote import tls_of
        files = self.settings.tls
        if files.complain():
            raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
        return wrap_tls(sock, is_server, tls_of(files))

    def _call(self, caller: _Caller, now: float) -> None:
        if caller.switch is not None or now < caller.due:
            return
        from ovsdb_server.rpc import address
        parsed = address.parse_remote(caller.name, _DEFAULT_PORT)
        LOG.log("rconn", INFO, f"{caller.name}: connecting...")
        try:
            if parsed.is_unix:
                sock = address.connect_unix(parsed.path)
            else:
                sock = socket.create_connection((parsed.host, parsed.port), _PATIENCE)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(_PATIENCE)
            if parsed.is_tls:
                sock = self._wrap(sock, False)
            caller.switch = _Switch(self, sock, caller.name)
        except OSError as error:
            LOG.log("rconn", WARN, f"{caller.name}: connection failed "
                    f"({error.strerror or 'Connection timed out'})")
            self._later(caller)
            return
        caller.wait = 0.0
        self._switches.append(caller.switch)
        LOG.log("rconn", INFO, f"{caller.name}: connected")

    def _later(self, caller: _Caller) -> None:
        caller.switch = None
        caller.wait = min(max(1.0, 2 * caller.wait), _LONGEST_WAIT)
        caller.due = time.monotonic() + caller.wait
        LOG.log("rconn", INFO, f"{caller.name}: waiting {caller.wait:.0f} seconds before reconnect")

    def _attend(self, switch: _Switch) -> None:
        try:
            switch.receive()
        except OSError as error:
            if isinstance(error, ConnectionResetError):
                LOG.log("rconn", INFO, f"{switch.name}: connection closed by peer")
            else:
                LOG.log("rconn", WARN, f"{switch.name}: connection dropped "
                        f"({error.strerror or error})")
            self._switches.remove(switch)
            switch.sock.close()
            for caller in self._callers:
                if caller.switch is switch:
                    self._later(caller)
