"""How fast packet-ins go to a controller: Controller.controller_rate_limit and its burst.

A bucket of tokens, one a packet, that fills at the rate and holds at most the burst; packets that
find it empty wait, as many as the burst, and are dropped beyond that. No I/O and no clock: callers
pass the time in seconds. Source: ovs-vswitchd.conf.db(5), table Controller.
"""

from collections import deque
from typing import Any


class Pace:
    """The packet-ins of one connection; `rate` a second, `burst` at once (0: a quarter of that)."""

    def __init__(self, rate: int, burst: int):
        self.change(rate, burst)
        self.waiting: deque[Any] = deque()
        self.n_dropped = 0
        self._tokens = float(self.burst)
        self._filled_at: float | None = None

    def change(self, rate: int, burst: int) -> None:
        """Sets other limits; what waits stays."""
        self.rate = rate
        self.burst = max(1, burst or rate // 4)

    def _fill(self, now: float) -> None:
        if self._filled_at is not None:
            self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now

    def admit(self, value: Any, now: float) -> list:
        """Takes a packet-in; returns those that may go now, in order."""
        if len(self.waiting) < self.burst:
            self.waiting.append(value)
        else:
            self.n_dropped += 1
        return self.release(now)

    def release(self, now: float) -> list:
        """Those that have waited long enough."""
        self._fill(now)
        count = min(len(self.waiting), int(self._tokens))
        self._tokens -= count
        return [self.waiting.popleft() for _ in range(count)]
