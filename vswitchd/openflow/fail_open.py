"""When a bridge switches on its own because no controller is there: fail_mode "standalone".

A controller counts once it asks for more than a handshake, or has been connected for long; it is
missed when all have been silent for three of their probe intervals. No I/O and no clock. Source:
ovs-vswitchd.conf.db(5), Bridge:fail_mode; log lines of the reference's module fail_open.
"""

import enum
from collections.abc import Collection

from ovsdb_server import vlog
from vswitchd.openflow.remote import Remote

_ADMITTED = 30                  # seconds after which a connected controller counts anyway
_PROBES = 3                     # intervals of silence

_fail_open = vlog.module("fail_open")


class Change(enum.Enum):
    """What has to be done to the bridge's flows."""

    OPEN = "open"               # forget all, and switch alone
    CLOSE = "close"             # leave it to the controllers


class FailOpen:
    """Whether a bridge has failed open."""

    def __init__(self) -> None:
        self.is_open = False

    def follow(self, primaries: Collection[Remote], is_standalone: bool, now: float
               ) -> Change | None:
        """Looks at the controllers that the bridge connects to; returns what changes by that."""
        if not primaries or not is_standalone:
            was_open, self.is_open = self.is_open, False
            return Change.CLOSE if was_open else None
        silence = min(now - remote.admitted_at for remote in primaries)
        is_up = any(connection.is_admitted or now - (remote.connected_at or now) >= _ADMITTED
                    for remote in primaries for connection in remote.connections)
        patience = max(_PROBES * remote.controller.inactivity_probe for remote in primaries)
        if self.is_open and is_up:
            self.is_open = False
            _fail_open.warn("No longer in fail-open mode")
            return Change.CLOSE
        if not self.is_open and not is_up and silence >= patience:
            self.is_open = True
            _fail_open.warn(
                "Could not connect to controller (or switch failed controller's post-connection "
                f"admission control policy) for {silence:.0f} seconds, failing open")
            return Change.OPEN
        return None
