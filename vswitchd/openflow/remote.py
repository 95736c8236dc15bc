"""A controller record at work, as a machine: when it is connected to, and what the log and the
database are told of that.

    remote.begin(now) -> seconds that the attempt may take
    remote.fail(reason)             it failed; or else
    remote.serve(connection)        ... a connection lives, and
    remote.end(reason)              ... has ended
    remote.rest(now) -> seconds until the next attempt

A passive record only has connections come and go: `admit`, `forget`. No I/O and no clock. Log lines
and delays follow the reference's module rconn.
"""

import math

from ovsdb_server import vlog
from vswitchd.config.desired import Controller
from vswitchd.openflow.connection import RATE, Connection

_ATTEMPT = 1.0                  # seconds that an attempt has at least, and the first delay

_rconn = vlog.module("rconn")
_ROLES = {"primary": "master", "secondary": "slave", "equal": "other"}


def kind_of(target: str) -> str:
    """What the log calls a controller: we go to a primary one, one of service comes to us."""
    return "service" if target.startswith("p") else "primary"


class Remote:
    """One controller record of the bridge called `bridge`; `added_at` in seconds."""

    def __init__(self, controller: Controller, bridge: str, added_at: float) -> None:
        self.controller = controller
        self.name = f"{bridge}<->{controller.target}"
        self.state = "VOID"
        self.admitted_at = added_at     # when it was last heard as a controller, or added
        self.connected_at: float | None = None
        self.disconnected_at: float | None = None
        self.last_error = ""
        self.connections: set[Connection] = set()   # whose versions are known
        self._live: Connection | None = None        # that we have made
        self._backoff = 0.0
        self._settled_at = math.inf     # a connection that lasts until then is good

    @property
    def is_primary(self) -> bool:
        """Whether we connect to it."""
        return kind_of(self.controller.target) == "primary"

    def change(self, controller: Controller) -> None:
        """Follows another record of the same target, without connecting anew."""
        self.controller = controller
        for connection in self.connections:
            connection.controller = controller
            connection.follow_limits()

    # -- attempts

    @property
    def _limit(self) -> float:
        return max(_ATTEMPT, self.controller.max_backoff)

    def begin(self, now: float) -> float:
        """An attempt begins; returns how many seconds it may take."""
        self._settled_at = now + self._backoff
        self.state = "CONNECTING"
        if self._backoff < self._limit:
            _rconn.info(f"{self.name}: connecting...", RATE)
        return max(_ATTEMPT, self._backoff)

    def fail(self, reason: str) -> None:
        """The attempt failed."""
        _rconn.warn(f"{self.name}: connection failed ({reason})", RATE)
        self.last_error, self._settled_at = reason, math.inf

    def serve(self, connection: Connection) -> None:
        """The attempt made a connection."""
        self._live = connection

    def end(self, reason: str) -> None:
        """That connection has ended."""
        self._live = None
        self.last_error = reason

    def rest(self, now: float) -> float:
        """Returns how many seconds to wait before the next attempt."""
        self.state = "BACKOFF"
        limit = self._limit
        if now >= self._settled_at:
            self._backoff = _ATTEMPT
        elif self._backoff < limit / 2:
            self._backoff = max(_ATTEMPT, 2 * self._backoff)
            _rconn.info(f"{self.name}: waiting {self._backoff:.0f} seconds before reconnect", RATE)
        else:
            if self._backoff < limit:
                _rconn.info(f"{self.name}: continuing to retry connections in the background but "
                            f"suppressing further logging", RATE)
            self._backoff = limit
        return self._backoff

    def reconnect(self) -> None:
        """Ends the connection that we have made; it is made again."""
        if self._live is not None:
            _rconn.info(f"{self.name}: disconnecting")
            self._live.hang_up()
            self._live = None

    # -- connections

    def admit(self, connection: Connection, now: float) -> None:
        """A connection has agreed on a version."""
        self.connections.add(connection)
        self.connected_at = now
        self.state = "ACTIVE"
        if not connection.session.is_service:
            _rconn.info(f"{connection.session.name}: connected")

    def forget(self, connection: Connection, now: float) -> None:
        """A connection that was admitted has ended."""
        self.connections.discard(connection)
        self.disconnected_at = now

    def status(self, now: float) -> dict[str, tuple]:
        """The status columns of its row."""
        status = {"state": self.state}
        if self.connected_at is not None:
            status["sec_since_connect"] = str(int(now - self.connected_at))
        if self.disconnected_at is not None:
            status["sec_since_disconnect"] = str(int(now - self.disconnected_at))
        if self.last_error:
            status["last_error"] = self.last_error
        role = next((connection.session.role for connection in self.connections), None)
        return {"is_connected": (bool(self.connections),),
                "role": (_ROLES[role],) if role else (),
                "status": tuple(sorted(status.items()))}
