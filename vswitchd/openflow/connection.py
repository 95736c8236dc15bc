"""An OpenFlow connection as a machine: versions, probes, reconnecting, roles.  Sans-IO.

`Connection` is fed with bytes and times and yields effects: connect, send, deliver, close, log.  It
agrees on a version with a hello, answers echo requests, probes an idle peer, and, if it is the
active side, connects again with a growing backoff.  Messages of the peer are delivered as bytes:
decoding them is the agent's.  `Roles` knows which controller of a bridge is primary.

Used by the agent on trio; never reads a clock and never raises on what a peer sends.  Source:
OpenFlow 1.3.5 sections 6.3.1 (connection setup), 6.3.4 (multiple controllers), 6.4 (echo).
"""

from dataclasses import dataclass, field
from enum import Enum

from vswitchd.openflow.framing import HEADER, OpenFlowError, Splitter, parse_header
from vswitchd.openflow.messages import decode, encode
from vswitchd.openflow.messages.session import (
    EchoReply, EchoRequest, Error, Hello, RoleReply, RoleRequest, answer_error, has_code,
)

SPOKEN = frozenset(range(1, 7))
"""Versions that we can speak."""

# Effects.


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the stream to the target, then call `connected` or `failed`."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes, whole messages."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Established:
    """A version was agreed on; the session begins."""

    version: int


@dataclass(frozen=True, slots=True)
class Deliver:
    """One message of the peer, other than hello and echo."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """Close the stream; reason as a log would say it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Log:
    """One line for the log module 'rconn' or 'vconn'; level is a vlog level name."""

    module: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Settings:
    """How a connection behaves.

    versions: that the configuration allows; those we do not speak are not offered.
    probe_interval: seconds of silence before a probe, 0 for never.  max_backoff: seconds, None on
    the passive side, which never reconnects.
    """

    versions: frozenset[int] = SPOKEN
    probe_interval: float = 5.0
    max_backoff: float | None = None


class State(Enum):
    """VOID: nothing to do; BACKOFF: waiting to connect; CONNECTING: stream or hello pending;
    ACTIVE: in session; IDLE: probed, no answer yet."""

    VOID = "VOID"
    BACKOFF = "BACKOFF"
    CONNECTING = "CONNECTING"
    ACTIVE = "ACTIVE"
    IDLE = "IDLE"


class Connection:
    """One connection.

    name: in front of log lines.  xid numbers of our own messages come from `next_xid`.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self.name = name
        self.state = State.VOID
        self.version = 0
        self.attempts = 0
        self.successes = 0
        self._entered = 0.0
        self._heard = 0.0
        self._backoff = 0.0
        self._splitter = Splitter()
        self._effects: list = []
        self._xid = 0
        self._has_stream = False

    # The verbs.

    def configure(self, settings: Settings, now: float) -> None:
        """Takes new settings; versions count from the next connection on."""
        self._settings = settings
        if settings.max_backoff is not None:
            self._backoff = min(self._backoff, settings.max_backoff)

    def start(self, now: float) -> None:
        """Begins to connect; only the active side."""
        self._enter(State.BACKOFF, now)
        self._backoff = 0.0
        self.elapse(now)

    def stop(self, now: float, reason: str = "") -> None:
        """Ends the connection for good."""
        self._drop_stream(reason)
        self._enter(State.VOID, now)

    def reconnect(self, now: float) -> None:
        """Drops the session, if there is one, and connects again."""
        if self.state in (State.ACTIVE, State.IDLE):
            self._log("INFO", "disconnecting")
            self._disconnect(now, "disconnecting")

    def connected(self, now: float) -> None:
        """The stream is open (ours, or one that we accepted): say hello."""
        self._has_stream = True
        self._splitter = Splitter()
        self.version = 0
        self._heard = now
        if self.state is not State.CONNECTING:
            self._enter(State.CONNECTING, now)
        versions = self._offered()
        if not versions:
            self._disconnect(now, "no OpenFlow version is enabled")
            return
        self._send(encode(Hello(versions), max(versions), self.next_xid()))

    def failed(self, now: float, reason: str) -> None:
        """The stream could not be opened."""
        self._log("INFO", f"connection failed ({reason})")
        self._wait(now)

    def closed(self, now: float, reason: str = "") -> None:
        """The peer closed the stream; reason is '' for an orderly end, else the error."""
        self._has_stream = False
        if self.state in (State.ACTIVE, State.IDLE):
            if reason:
                self._log("WARN", f"connection dropped ({reason})")
            else:
                self._log("INFO", "connection closed by peer")
        elif self.state is State.CONNECTING:
            self._log("INFO", f"connection failed ({reason or 'End of file'})")
        self._disconnect(now, "")

    def receive(self, data: bytes, now: float) -> None:
        """Takes bytes from the stream."""
        self._heard = now
        if self.state is State.IDLE:
            self._enter(State.ACTIVE, now)
        self._splitter.feed(data)
        try:
            for message in self._splitter.messages():
                if not self._has_stream:
                    return
                self._take(message, now)
        except OpenFlowError as error:
            self._effects.append(Log("vconn", "ERR", f"{self.name}: {error.reason}"))
            self._disconnect(now, "Protocol error")

    def next_deadline(self) -> float | None:
        """When `elapse` has something to do, None for never."""
        interval = self._settings.probe_interval
        match self.state:
            case State.BACKOFF:
                return self._entered + self._backoff
            case State.CONNECTING:
                return self._entered + max(1.0, self._backoff, interval)
            case State.ACTIVE if interval:
                return self._heard + interval
            case State.IDLE if interval:
                return self._entered + interval
        return None

    def elapse(self, now: float) -> None:
        """Does what is due."""
        deadline = self.next_deadline()
        if deadline is None or now < deadline:
            return
        match self.state:
            case State.BACKOFF:
                self.attempts += 1
                self._log("INFO", "connecting...")
                self._enter(State.CONNECTING, now)
                self._effects.append(Connect())
            case State.CONNECTING:
                self._log("INFO", "connection timed out")
                self._disconnect(now, "timed out")
            case State.ACTIVE:
                self._effects.append(Log("rconn", "DBG", f"{self.name}: idle "
                                         f"{now - self._heard:.0f} seconds, sending inactivity "
                                         "probe"))
                self._enter(State.IDLE, now)
                self._send(encode(EchoRequest(), self.version, 0))
            case State.IDLE:
                self._log("ERR", "no response to inactivity probe after "
                          f"{now - self._entered:.0f} seconds, disconnecting")
                self._disconnect(now, "no response")

    def take_effects(self) -> list:
        """What is to be done, in order; each is returned once."""
        effects, self._effects = self._effects, []
        return effects

    def status(self) -> dict[str, str]:
        """Columns of the database's Controller.status."""
        return {"state": self.state.value}

    @property
    def is_established(self) -> bool:
        return self.state in (State.ACTIVE, State.IDLE)

    def next_xid(self) -> int:
        """The number of our next message."""
        self._xid = (self._xid + 1) & 0xFFFFFFFF
        return self._xid

    # Inside.

    def _offered(self) -> frozenset[int]:
        return self._settings.versions & SPOKEN

    def _take(self, message: bytes, now: float) -> None:
        header = parse_header(message)
        if self.version == 0:
            self._negotiate(message, header, now)
        elif header.version != self.version and header.type > 3:
            self._refuse_version(message, header)
        elif header.type == 2:
            self._send(encode(EchoReply(message[8:]), header.version, header.xid))
        elif header.type not in (0, 3):
            self._effects.append(Deliver(message))

    def _negotiate(self, message: bytes, header, now: float) -> None:
        if header.type != 0:
            self._effects.append(Log("vconn", "WARN", f"{self.name}: received message of type "
                                     f"{header.type} while expecting hello"))
            self._refuse_hello(header, "received non-OFPT_HELLO message", "OFPBRC_BAD_TYPE")
            self._disconnect(now, "Protocol error")
            return
        theirs, ours = decode(message).value.versions, self._offered()
        common = ours & theirs
        if not common:
            mine, peer = describe_versions(ours), describe_versions(theirs)
            self._effects.append(Log("vconn", "WARN", f"{self.name}: version negotiation failed "
                                     f"(we support {mine}, peer supports {peer})"))
            self._refuse_hello(header, f"We support {mine}, you support {peer}, no common "
                               "versions.", "OFPHFC_INCOMPATIBLE")
            self._disconnect(now, "Protocol error")
            return
        self.version = max(common)
        self.successes += 1
        self._backoff = 0.0
        self._log("INFO", "connected")
        self._enter(State.ACTIVE, now)
        self._effects.append(Established(self.version))

    def _refuse_hello(self, header, text: str, name: str) -> None:
        version = header.version if header.version in SPOKEN else max(self._offered(), default=1)
        self._send(encode(Error(name, text.encode()), version, header.xid))

    def _refuse_version(self, message: bytes, header) -> None:
        self._effects.append(Log("vconn", "ERR", f"{self.name}: received OpenFlow version "
                                 f"0x{header.version:02x} != expected {self.version:02x}"))
        self._send(encode(answer_error("OFPBRC_BAD_VERSION", message), self.version, header.xid))

    def _disconnect(self, now: float, reason: str) -> None:
        self._drop_stream(reason)
        self._wait(now)

    def _drop_stream(self, reason: str) -> None:
        if self._has_stream:
            self._effects.append(Close(reason))
        self._has_stream = False
        self.version = 0

    def _wait(self, now: float) -> None:
        limit = self._settings.max_backoff
        if limit is None:
            self._enter(State.VOID, now)
            return
        self._backoff = min(max(1.0, self._backoff * 2), limit)
        if self.state is not State.BACKOFF:
            self._log("INFO", f"waiting {self._backoff:.0f} seconds before reconnect")
        self._enter(State.BACKOFF, now)

    def _enter(self, state: State, now: float) -> None:
        self.state = state
        self._entered = now

    def _send(self, data: bytes) -> None:
        self._effects.append(Send(data))

    def _log(self, level: str, text: str) -> None:
        self._effects.append(Log("rconn", level, f"{self.name}: {text}"))


def describe_versions(versions) -> str:
    """How Open vSwitch words a set of versions in logs and errors."""
    rows = sorted(versions)
    if len(rows) > 1 and rows == list(range(1, rows[-1] + 1)):
        return f"version 0x{rows[-1]:02x} and earlier"
    return f"version{'s' if len(rows) > 1 else ''} " + ", ".join(f"0x{v:02x}" for v in rows)


def answer(request: bytes, error: OpenFlowError, version: int) -> bytes:
    """The error message that answers `request`, encoded for the connection."""
    name = error.name if has_code(error.name, version) else "NXBRC_UNENCODABLE_ERROR"
    _, _, _, xid = HEADER.unpack_from(request)
    return encode(answer_error(name, request), version, xid)


# Roles.

ASYNC_DEFAULTS = {
    "primary": {"packet_in": 0x1B, "port_status": 0x7, "flow_removed": 0x3F,
                "role_status": 0, "table_status": 0, "requestforward": 0},
    "secondary": {"packet_in": 0, "port_status": 0x7, "flow_removed": 0,
                  "role_status": 0, "table_status": 0, "requestforward": 0},
}
"""Masks of asynchronous messages of a controller that has not set its own: an equal one has those
of a primary.  Invalid TTL needs OFPC_INVALID_TTL_TO_CONTROLLER or a mask."""


@dataclass(slots=True)
class Roles:
    """The roles of a bridge's controllers: at most one is primary.

    roles: {controller: role}, the controllers being whatever the agent uses.
    """

    roles: dict = field(default_factory=dict)
    generation: int | None = None

    def role_of(self, controller) -> str:
        return self.roles.get(controller, "equal")

    def forget(self, controller) -> None:
        """The controller has gone."""
        self.roles.pop(controller, None)

    def request(self, controller, asked: RoleRequest) -> tuple[RoleReply, list]:
        """Grants or refuses a role.

        Returns (reply, controllers that were primary and are secondary now).  Raises
        OpenFlowError(OFPRRFC_STALE) if the generation is older than the newest one seen.
        """
        generation = asked.generation_id
        if asked.role in ("primary", "secondary") and generation is not None:
            if self.generation is not None and _is_older(generation, self.generation):
                raise OpenFlowError("OFPRRFC_STALE")
            self.generation = generation
        demoted = []
        if asked.role != "nochange":
            if asked.role == "primary":
                for other, role in list(self.roles.items()):
                    if role == "primary" and other != controller:
                        self.roles[other] = "secondary"
                        demoted.append(other)
            self.roles[controller] = asked.role
        reply = RoleReply(self.role_of(controller), self.generation, asked.nicira)
        return reply, demoted


def _is_older(generation: int, newest: int) -> bool:
    """Compares numbers that wrap around at 64 bits."""
    return (generation - newest) & (1 << 63) != 0
