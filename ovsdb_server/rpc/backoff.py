"""When to try a connection again, and what the log says about it: without I/O or clock.

One `Backoff` per remote of a server or client.  The caller reports what happened and gets the
seconds to wait; the delay is nothing at first, then doubles from `min_delay` to `max_delay`.  Log
lines are those of the reference's module `reconnect`.
"""

from ovsdb_server import vlog

_log = vlog.module("reconnect")


UNANSWERED = "no response to inactivity probe"


class Backoff:
    """Delays and log lines for the remote called `name`; delays in seconds.

    `log` takes the lines (`log`, `warn`), by default the daemons' log.
    """

    def __init__(self, name: str, min_delay: float = 1.0, max_delay: float = 8.0,
                 log=_log) -> None:
        self.name = name
        self._log = log
        self.min_delay = min_delay
        self.max_delay = max(max_delay, min_delay)
        self._delay = 0.0
        self._is_quiet = False

    def connecting(self) -> None:
        self._info("connecting...")

    def connected(self) -> None:
        self._is_quiet = False
        self._info("connected")

    def failed(self, reason: str) -> float:
        """A connection attempt failed; return how long to wait before the next."""
        self._info(f"connection attempt failed ({reason})")
        return self._grow()

    def lost(self, reason: str, lasted: float) -> float:
        """An established connection ended after `lasted` seconds; "" is a close by the peer.

        UNANSWERED, the reason of which the log knows already, is that it did not answer a probe.
        """
        if reason == UNANSWERED:
            self._info("connection dropped")
        elif reason:
            self._log.warn(f"{self.name}: connection dropped ({reason})")
        else:
            self._info("connection closed by peer")
        if lasted >= self._delay:
            self._delay = self.min_delay
            return self.min_delay
        return self._grow()

    def reset(self) -> None:
        """Forget the failures, as after a change of remote."""
        self._delay = 0.0
        self._is_quiet = False

    def _grow(self) -> float:
        self._delay = min(max(self._delay * 2, self.min_delay), self.max_delay)
        if self._delay >= self.max_delay and not self._is_quiet:
            self._info("continuing to reconnect in the background but suppressing further logging")
            self._is_quiet = True
        elif self._delay > self.min_delay:
            self._info(f"waiting {self._delay:g} seconds before reconnect")
        return self._delay

    def _info(self, text: str) -> None:
        self._log.log(vlog.DBG if self._is_quiet else vlog.INFO, f"{self.name}: {text}")
