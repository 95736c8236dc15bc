"""Locks of RFC 7047 section 4.1.8: names that one session at a time owns, with a queue.

Server-wide, not per database.  Pure: each verb returns the notifications that must be sent.
"""

from typing import NamedTuple, Protocol


class Holder(Protocol):
    """A session as far as locks see it: anything hashable."""


class Notice(NamedTuple):
    """Send notification `method` ("locked" or "stolen") with parameter [name] to `holder`."""

    holder: Holder
    method: str
    name: str


class Waiter:
    """A session's place in the queue of one lock; `is_thief` if it got there by stealing."""

    __slots__ = ("holder", "is_thief")

    def __init__(self, holder: Holder, is_thief: bool) -> None:
        self.holder = holder
        self.is_thief = is_thief


class Locks:
    """Queues {lock name: [Waiter]}; the first of a queue owns the lock."""

    def __init__(self) -> None:
        self._queues: dict[str, list[Waiter]] = {}
        self.lost: dict[Holder, set[str]] = {}

    def owns(self, holder: Holder, name: str) -> bool:
        """Does `holder` own the lock `name`?"""
        queue = self._queues.get(name)
        return bool(queue) and queue[0].holder is holder

    def wants(self, holder: Holder, name: str) -> bool:
        """Does `holder` own or wait for the lock, or has it lost it by theft?"""
        return (any(waiter.holder is holder for waiter in self._queues.get(name, ()))
                or name in self.lost.get(holder, ()))

    def acquire(self, holder: Holder, name: str, is_steal: bool) -> tuple[bool, list[Notice]]:
        """Lock or steal; return whether `holder` owns it now, and who must hear of it."""
        queue = self._queues.setdefault(name, [])
        waiter = Waiter(holder, is_steal)
        notices = []
        if not is_steal:
            queue.append(waiter)
        else:
            if queue:
                victim = queue[0]
                notices.append(Notice(victim.holder, "stolen", name))
                if victim.is_thief:
                    queue.pop(0)
                    self.lost.setdefault(victim.holder, set()).add(name)
            queue.insert(0, waiter)
        return queue[0] is waiter, notices

    def release(self, holder: Holder, name: str) -> list[Notice]:
        """Give up the lock or the place in its queue; return who must hear of it."""
        self.lost.get(holder, set()).discard(name)
        queue = self._queues.get(name)
        if not queue:
            return []
        owned = queue[0].holder is holder
        queue[:] = [waiter for waiter in queue if waiter.holder is not holder]
        if not queue:
            del self._queues[name]
            return []
        return [Notice(queue[0].holder, "locked", name)] if owned else []

    def release_all(self, holder: Holder) -> list[Notice]:
        """Release everything of a session that ends."""
        notices = []
        for name in [name for name, queue in self._queues.items()
                     if any(waiter.holder is holder for waiter in queue)]:
            notices += self.release(holder, name)
        self.lost.pop(holder, None)
        return notices

    def names(self, holder: Holder) -> tuple[list[str], list[str], list[str]]:
        """Return the sorted names of the locks that `holder` holds, waits for and has lost."""
        held, waiting = [], []
        for name, queue in sorted(self._queues.items()):
            if queue[0].holder is holder:
                held.append(name)
            elif any(waiter.holder is holder for waiter in queue):
                waiting.append(name)
        return held, waiting, sorted(self.lost.get(holder, ()))
