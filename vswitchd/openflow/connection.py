"""One OpenFlow connection of a bridge as a machine: bytes and time in, messages and bytes out.

    connection.open()                   greets the peer
    connection.feed(data, now)          bytes came
    connection.negotiate() -> bool      looks for the peer's hello: whether a version is agreed on
    connection.take() -> message        the next one to serve, None if there is none yet
    connection.finish()                 the peer closed the stream
    connection.next_deadline()          when `elapse(now)` wants to be called

`fault` says why the connection has to end, if there is a reason of ours. What goes out is put into
`outbox`; `hang_up` is the edge's, and ends the connection. No I/O and no clock. Log lines and waits
follow the reference's modules vconn, rconn and connmgr. Source: OpenFlow 1.0 to 1.5, sections
"OpenFlow channel" and "hello".
"""

import math
from collections.abc import Callable, Collection

from ovsdb_server import vlog
from schema.openflow.messages import VERSION_NAMES
from vswitchd.config.desired import Controller
from vswitchd.openflow import messages
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.framing import HEADER, Splitter, identify, name_raw
from vswitchd.openflow.messages import session as session_messages
from vswitchd.openflow.outbox import Outbox
from vswitchd.openflow.pace import Pace
from vswitchd.openflow.session import Session, describe_versions

ALL_VERSIONS = frozenset(VERSION_NAMES)
HELLO_WAIT = 1.0                # seconds that a peer has for its hello
MANAGEMENT_PROBE = 60.0         # seconds of silence until a peer of BRIDGE.mgmt is probed
RATE = vlog.RateLimit(60, 60)   # of lines about connections that come and go
_ERROR_RATE = vlog.RateLimit(10, 10)    # of error replies
_ERROR_DATA = 0xffff - 12       # most bytes of a message that an error returns
_HANDSHAKE = frozenset(("OFPT_HELLO", "OFPT_ERROR", "OFPT_ECHO_REQUEST", "OFPT_ECHO_REPLY",
                        "OFPT_FEATURES_REQUEST", "OFPT_FEATURES_REPLY",
                        "OFPT_GET_CONFIG_REQUEST", "OFPT_GET_CONFIG_REPLY", "OFPT_SET_CONFIG"))
_LAST_VERSIONLESS = 3           # hello, error and echo are understood in any version

_connmgr = vlog.module("connmgr")
_rconn = vlog.module("rconn")
_vconn = vlog.module("vconn")
_vconn_stream = vlog.module("vconn_stream")
_ofp_errors = vlog.module("ofp_errors")
# Limits of what peers cause by bad messages: {log module: limit}.
_LIMITS: dict[str, vlog.RateLimit] = {}


def limit_of(module: str) -> vlog.RateLimit:
    """How often a log module may complain about peers."""
    return _LIMITS.setdefault(module, vlog.RateLimit(60, 5))


def describe(data: bytes) -> str:
    """A message as text, for the log."""
    from vswitchd.openflow.print import format_message    # costs time only when logging
    return format_message(data).rstrip("\n")


class Connection:
    """One live connection of the bridge called `bridge`, which speaks `versions`; `snoopers` hear
    what is said on it unless it is a service connection. `opened_at` in seconds."""

    __slots__ = ("session", "outbox", "hang_up", "bridge", "versions", "snoopers", "controller",
                 "splitter", "last_heard", "is_probing", "is_incompatible", "is_admitted", "fault",
                 "pace", "_hello_due")

    def __init__(self, session: Session, outbox: Outbox, hang_up: Callable[[], None], bridge: str,
                 versions: frozenset[int], snoopers: Collection[Outbox],
                 controller: Controller | None, opened_at: float) -> None:
        self.session = session
        self.outbox = outbox
        self.hang_up = hang_up
        self.bridge = bridge
        self.versions = versions
        self.snoopers = snoopers
        self.controller = controller
        self.splitter = Splitter()
        self.last_heard = opened_at
        self.is_probing = False
        self.is_incompatible = False        # there was no common version
        self.is_admitted = False            # has asked for more than a handshake
        self.fault = ""
        self.pace: Pace | None = None       # of packet-ins, where a limit is set
        self._hello_due = opened_at + HELLO_WAIT

    @property
    def name(self) -> str:
        """What logs call it."""
        session = self.session
        return f"{self.bridge}<->{session.name}" if session.is_service else session.name

    def follow_limits(self) -> None:
        """Paces packet-ins as the controller's record says."""
        rate, burst = self.controller.rate_limit, self.controller.burst_limit
        if not rate:
            self.pace = None
        elif self.pace is None:
            self.pace = Pace(rate, burst)
        else:
            self.pace.change(rate, burst)

    # -- from the peer

    def open(self) -> None:
        """Greets the peer."""
        hello = session_messages.Hello(self.versions)
        self.transmit(messages.encode(hello, max(self.versions), self.session.xid()))

    def feed(self, data: bytes, now: float) -> None:
        """Takes bytes that came."""
        self.last_heard = now
        self.is_probing = False
        self.splitter.feed(data)

    def take(self) -> bytes | None:
        """The next message, None if it has not come yet, or never will: see `fault`."""
        try:
            return self.splitter.take()
        except OpenFlowError as error:
            _vconn_stream.err(error.reason, limit_of("vconn_stream"))
            self.fault = "Protocol error"
            return None

    def negotiate(self) -> bool:
        """Agrees on a version by the peer's first message, if that has come."""
        message = self.take()
        if message is None:
            return False
        common = self._common_versions(message)
        if not common:
            self.fault = "Protocol error"
            return False
        self.session.agree(max(common))
        return True

    def _common_versions(self, message: bytes) -> frozenset[int]:
        """What both sides speak by the peer's first message; if nothing, the peer and the log are
        told why."""
        peer = self.session.peer
        try:
            value = messages.decode(message).value
        except OpenFlowError as error:
            value = None
            self.complain(error)
        if not isinstance(value, session_messages.Hello) or not value.versions:
            _vconn.warn(f"{peer}: received message while expecting hello: {describe(message)}",
                        limit_of("vconn"))
            return frozenset()
        common = self.versions & value.versions
        if not common:
            ours, theirs = map(describe_versions, (self.versions, value.versions))
            _vconn.warn(f"{peer}: version negotiation failed (we support {ours}, "
                        f"peer supports {theirs})", limit_of("vconn"))
            text = f"We support {ours}, you support {theirs}, no common versions."
            version = max(value.versions)
            if version not in ALL_VERSIONS:
                _ofp_errors.err(f"cannot encode error for unknown OpenFlow version "
                                f"0x{version:02x}", limit_of("ofp_errors"))
                version = min(ALL_VERSIONS)
            error = session_messages.Error("OFPHFC_INCOMPATIBLE", text.encode())
            self.transmit(messages.encode(error, version, 0))
            self.is_incompatible = True
        return common

    def refuse_version(self, message: bytes) -> bool:
        """Refuses a message that is of another version than was agreed on; whether it is."""
        if message[0] == self.session.version or message[1] <= _LAST_VERSIONLESS:
            return False
        _vconn.err(f"{self.session.peer}: received OpenFlow version 0x{message[0]:02x} != expected "
                   f"{self.session.version:02x}", limit_of("vconn"))
        self.refuse(message, OpenFlowError("OFPBRC_BAD_VERSION"))
        return True

    def admit_by(self, kind: str) -> bool:
        """Notes that the peer takes us for its switch if it asks for more than a handshake; whether
        it does."""
        self.is_admitted = self.is_admitted or kind not in _HANDSHAKE
        return self.is_admitted

    def overhear(self, message: bytes) -> None:
        """Lets others, and the log, know of a message that came."""
        if not self.session.is_service:
            for snooper in self.snoopers:
                snooper.send(message)
        if _vconn.is_dbg:
            _vconn.dbg(f"{self.session.peer}: received: {describe(message)}")

    def finish(self) -> None:
        """The peer closed its stream."""
        if self.splitter.pending:
            _vconn_stream.err("connection dropped mid-packet", limit_of("vconn_stream"))
            self.fault = "Protocol error"

    def log_end(self) -> None:
        """Tells why the peer ended the connection, or why we had to."""
        session, name, fault = self.session, self.name, self.fault
        if fault and not (session.version or session.is_service or self.is_incompatible):
            _rconn.info(f"{name}: connection failed ({fault})", RATE)
        elif fault:
            _rconn.warn(f"{name}: connection dropped ({fault})", RATE)
        elif session.is_service:
            return
        elif session.version:
            _rconn.info(f"{name}: connection closed by peer", RATE)
        else:
            _rconn.info(f"{name}: connection failed (End of file)", RATE)

    # -- to the peer

    def transmit(self, data: bytes) -> None:
        """Sends bytes to the peer, and to those who listen in."""
        self.outbox.send(data)
        session = self.session
        if self.snoopers and session.version and not session.is_service:
            for snooper in self.snoopers:
                snooper.send(data)
        if _vconn.is_dbg:
            _vconn.dbg(f"{session.peer}: sent (Success): {describe(data)}")

    def tell(self, value) -> None:
        """Sends an asynchronous message: one that answers nothing has transaction id 0."""
        for part in messages.encode_parts(value, self.session.version, 0):
            self.transmit(part)

    def refuse(self, message: bytes, error: OpenFlowError) -> None:
        """Answers a message that cannot be served, in the message's own version."""
        self.complain(error)
        reply = session_messages.Error(error.name, message[:_ERROR_DATA])
        version = message[0] if message[0] in ALL_VERSIONS else self.session.version
        self.transmit(messages.encode(reply, version, HEADER.unpack_from(message)[3]))
        try:
            what = name_raw(identify(message)[0])
        except OpenFlowError:
            what = "invalid"
        _connmgr.info(f"{self.bridge}<->{self.session.name}: sending {error.name} error reply to "
                      f"{what} message", _ERROR_RATE)

    def complain(self, error: OpenFlowError) -> None:
        """Logs what is wrong with a message. A bad match is worth a debug line only, unless the
        error says itself that it is more."""
        for module, text in error.log or ((error.module, error.reason),):
            if not text:
                continue
            log = vlog.module(module)
            if module == "nx_match" and not error.log:
                log.dbg(text)
            else:
                log.warn(f"{self.bridge}: {text}" if module == "ofproto" else text,
                         limit_of(module))

    # -- time

    @property
    def _probe_interval(self) -> float:
        return (self.controller.inactivity_probe if self.controller else MANAGEMENT_PROBE
                ) or math.inf

    def next_deadline(self) -> float:
        """When time alone changes something next. Another record of the controller may change
        it."""
        due = math.inf if self.session.version else self._hello_due
        return min(due, self.last_heard + self._probe_interval)

    def elapse(self, now: float) -> None:
        """Hangs up on a peer that does not say hello in time, or does not answer a probe; sends a
        probe after silence."""
        session = self.session
        if not session.version and now >= self._hello_due:
            _rconn.info(f"{self.name}: connection timed out", RATE)
            self.hang_up()
            return
        interval = self._probe_interval
        if now < self.last_heard + interval:
            return
        if self.is_probing:
            _rconn.err(f"{self.name}: no response to inactivity probe after {interval:.0f} "
                       f"seconds, disconnecting")
            self.hang_up()
            return
        self.is_probing = True
        self.last_heard = now
        if session.version:
            self.tell(session_messages.EchoRequest())
