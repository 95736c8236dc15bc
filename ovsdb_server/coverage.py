"""Event counters of a daemon: coverage/show and coverage/read-counter.

`counter(name)` gives a `Counter` whose `add()` is one addition.  `tick(now)` is called about every
5 seconds and feeds the averages.  One thread.
"""

from collections.abc import Callable

from ovsdb_server.vlog import Command

_TICK = 5.0

# Counters that scripts read although nothing here counts them: they exist and stay zero.
_NAMES = ("dp_packet_batch_grow",)


class Counter:
    """A named event counter with the last minute in 5-second parts and the last hour in minutes."""

    __slots__ = ("name", "total", "_seen", "_minute", "_hour")

    def __init__(self, name: str) -> None:
        self.name = name
        self.total = 0
        self._seen = 0
        self._minute = [0] * 12
        self._hour = [0] * 60

    def add(self, count: int = 1) -> None:
        self.total += count

    def _advance(self, tick: int) -> None:
        self._minute[tick % 12] = self.total - self._seen
        self._seen = self.total
        if tick % 12 == 11:
            self._hour[tick // 12 % 60] = sum(self._minute)

    def _row(self, tick: int) -> str:
        recent = self._minute[(tick - 1) % 12] / _TICK
        minute = sum(self._minute) / 60
        hour = sum(self._hour) / 3600
        return (f"{self.name:<24} {recent:5.1f}/sec {minute:9.3f}/sec {hour:13.4f}/sec   "
                f"total: {self.total}")


class Coverage:
    """The counters of a process."""

    def __init__(self) -> None:
        self._counters = {name: Counter(name) for name in _NAMES}
        self._sources: list[Callable[[], None]] = []
        self._tick = 0
        self._next = 0.0

    def counter(self, name: str) -> Counter:
        """Return the counter `name`, making it if it is new."""
        if name not in self._counters:
            self._counters[name] = Counter(name)
        return self._counters[name]

    def add_source(self, refresh: Callable[[], None]) -> None:
        """Have `refresh` called before counters are read: it sets what is counted elsewhere."""
        self._sources.append(refresh)

    def refresh(self) -> None:
        """Bring counters that are counted elsewhere up to date."""
        for refresh in self._sources:
            refresh()

    def tick(self, now: float) -> None:
        """Move the averages on to `now`, monotonic seconds."""
        if not self._next:
            self._next = now + _TICK
        for _ in range(720):
            if now < self._next:
                return
            self.refresh()
            for counter in self._counters.values():
                counter._advance(self._tick)
            self._tick += 1
            self._next += _TICK
        self._next = now + _TICK

    def show(self) -> str:
        """Return the text of coverage/show."""
        self.refresh()
        hit = [counter for counter in self._counters.values() if counter.total]
        lines = ["Event coverage, avg rate over last: 5 seconds, last minute, last hour,  "
                 f"hash={hash(tuple(c.name for c in hit)) & 0xffffffff:08x}:"]
        lines += [counter._row(self._tick) for counter in hit]
        lines.append(f"{len(self._counters) - len(hit)} events never hit")
        return "\n".join(lines) + "\n"

    def read(self, args: list[str]) -> str:
        """Answer coverage/read-counter.  Raises: LookupError with the text for the user."""
        self.refresh()
        counter = self._counters.get(args[0])
        if counter is None:
            raise LookupError("No such counter")
        return f"{counter.total}\n"

    def commands(self) -> tuple[Command, ...]:
        return (Command("coverage/show", "", 0, 0, lambda args: self.show()),
                Command("coverage/read-counter", "COUNTER", 1, 1, self.read))


COVERAGE = Coverage()
counter = COVERAGE.counter
