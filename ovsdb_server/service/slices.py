"""A long call that runs in slices, between which whoever wants it done does something else.

    work = Slices(lambda paced: ...)             nothing runs yet
    work.advance(0.002)                          run for so long; is it over?
    work.result                                  what the call has returned, when it is over
    work.abandon()                               the call ends where it is
    await work.run(hub)                          all of it, a slice in each turn of the event loop
    await run_slices(call, hub)                  the same, and what the call returns

The call is an ordinary function that goes over what is long by `paced(things)` (`engine.pace`).
It has a thread, but that runs only during `advance`, which waits for it: there is never a moment
at which both run, so the call may use whatever its caller owns.  What the caller changes between
slices, the call finds changed at its next thing.
"""

import math
import gc
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Lock, Thread

from ovsdb_server.engine.pace import Paced
from ovsdb_server.service.hub import Hub

# So many things are done between two looks at the clock.
_STEP = 63

# Collections of the middle generation that only much that stays brings about.
_MANY_COLLECTIONS = 4

# Seconds for which a call runs before others have their turn.
SLICE = 0.002


class _Abandoned(BaseException):
    """Ends the call."""


class Slices:
    """See above; `is_over`: there is nothing left to run."""

    def __init__(self, call: Callable[[Paced], object]) -> None:
        self.is_over = False
        self._call = call
        self._result: object = None
        self._error: BaseException | None = None
        self._end = 0.0
        self._is_begun = False
        self._is_abandoned = False
        # Of the two sides one runs; each waits for its lock.
        self._turn, self._return = Lock(), Lock()
        self._turn.acquire()
        self._return.acquire()

    @property
    def result(self) -> object:
        """What the call has returned.  Raises: what it has raised."""
        if self._error is not None:
            raise self._error
        return self._result

    def advance(self, seconds: float) -> bool:
        """Go on for `seconds` (and until the call comes to its next thing); is it over?"""
        if not self.is_over:
            self._end = time.perf_counter() + seconds
            if not self._is_begun:
                self._is_begun = True
                try:
                    Thread(target=self._run, daemon=True).start()
                except RuntimeError:        # The system has no more threads: do it at one go.
                    self._end = math.inf
                    self._run()
            else:
                self._turn.release()
            self._return.acquire()
        return self.is_over

    def abandon(self) -> None:
        """End the call, if it is not over, as if an exception came out of its next thing."""
        if self._is_begun and not self.is_over:
            self._is_abandoned = True
            self.advance(0.0)
        self.is_over = True

    async def run(self, hub: Hub) -> None:
        """Go on until it is over, a slice in each turn of the event loop; cancelled, abandon it."""
        try:
            while not self.advance(SLICE):
                await hub.give_way()
        finally:
            self.abandon()

    def _run(self) -> None:
        call, self._call = self._call, None
        try:
            self._result = call(self._paced)
        except BaseException as error:
            self._error = error
        self.is_over = True
        self._return.release()

    def _paced(self, things: Iterable) -> Iterator:
        n = 0
        for thing in things:
            yield thing
            n += 1
            if not n & _STEP and time.perf_counter() >= self._end:
                self._return.release()
                self._turn.acquire()
                if self._is_abandoned:
                    raise _Abandoned


async def run_slices(call: Callable[[Paced], object], hub: Hub) -> object:
    """Run a call, a slice in each turn of the event loop; return what it returns."""
    work = Slices(call)
    await work.run(hub)
    keep_from_collector()
    return work.result


def keep_from_collector() -> None:
    """Let the collector of cycles pass over what there is, if much has come.

    A look at a large copy or transaction would keep everybody waiting for a second.  It has no
    cycles, and goes when nobody refers to it.
    """
    if gc.get_count()[2] >= _MANY_COLLECTIONS:
        gc.freeze()
