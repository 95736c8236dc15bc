"""A steerable clock: the monotonic time of a daemon, which commands can stop and warp.

A daemon gives it to `trio.run(..., clock=clock)`, so every trio timeout follows it; code outside
trio asks `clock.now()`.  While nobody steers, it is the kernel's monotonic clock.

`time/stop` freezes it.  `time/warp [TOTAL] STEP` advances it in steps; after each step all tasks
run until none is runnable and each pump hook has been called (the switch daemon hooks the C
datapath and its settlement in there), so that after the reply `warped` everything that was due has
happened.  Trio thread only.
"""

import inspect
import time
from collections.abc import Awaitable, Callable

import trio
# As trio.testing has it, which brings much else, even pytest where that is installed.
from trio._core import wait_all_tasks_blocked

from ovsdb_server.rpc.unixctl import Command, CommandError

_A_BIT = 1e-7                   # s; above the resolution of a float that counts years


class SteerableClock(trio.abc.Clock):
    """Kernel monotonic time plus what was warped, or a frozen moment.

    `pump_hooks` are called, in order, after each warp step; one may be async, and returns whether
    it did something (then the tasks run again before the next step).
    """

    def __init__(self) -> None:
        self.pump_hooks: list[Callable[[], Awaitable[bool | None] | bool | None]] = []
        self._warp = 0.0
        self._stopped_at: float | None = None
        self._warping = trio.Lock()

    def now(self) -> float:
        """Return monotonic seconds."""
        if self._stopped_at is not None:
            return self._stopped_at
        return time.monotonic() + self._warp

    def start_clock(self) -> None:
        """Nothing to start (trio's clock interface)."""

    def current_time(self) -> float:
        return self.now()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if self._stopped_at is not None:
            return 0.0 if deadline <= self._stopped_at else 999999.0
        return deadline - self.now()

    def stop(self) -> None:
        """Freeze the clock; a second stop changes nothing."""
        self._stopped_at = self.now()

    def advance(self, seconds: float) -> None:
        """Move the clock forward without running anything.

        A bit more keeps what is due now due now: sums of steps are rounded otherwise than a
        deadline, which is one sum.
        """
        seconds += _A_BIT
        if self._stopped_at is not None:
            self._stopped_at += seconds
        else:
            self._warp += seconds

    async def settle(self) -> None:
        """Let all tasks and pump hooks run until nothing more is runnable now."""
        for _ in range(1000):
            await wait_all_tasks_blocked()
            worked = False
            for hook in self.pump_hooks:
                outcome = hook()
                if inspect.isawaitable(outcome):
                    outcome = await outcome
                worked = worked or bool(outcome)
            if not worked:
                break
        await wait_all_tasks_blocked()

    async def warp(self, total: float, step: float) -> None:
        """Advance by `total` seconds in steps of `step`, settling after each."""
        async with self._warping:
            await self.settle()
            remaining = total
            while remaining > 1e-9:
                self.advance(min(step, remaining))
                remaining -= step
                await self.settle()

    def commands(self) -> tuple[Command, ...]:
        """Return the rows time/stop and time/warp."""

        def stop(_args: list[str]) -> None:
            self.stop()

        async def warp(args: list[str]) -> str:
            numbers = []
            for text in args:
                try:
                    numbers.append(int(text))
                except ValueError:
                    numbers.append(0)
            step = numbers[-1]
            total = numbers[0]
            if step <= 0 or total < 0:
                raise CommandError("invalid MSECS")
            await self.warp((total or step) / 1000, step / 1000)
            return "warped"

        return (Command("time/stop", "", 0, 0, stop),
                Command("time/warp", "[large_msecs] msecs", 1, 2, warp))
