"""The steerable clock: timers fire in order of warped time, hooks are pumped at every step."""

import pytest
import trio

from ovsdb_server.clock import SteerableClock
from ovsdb_server.rpc.unixctl import CommandError


def run(body):
    clock = SteerableClock()

    async def main():
        with trio.move_on_after(1e9):
            async with trio.open_nursery() as nursery:
                await body(clock, nursery)
                nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)


def test_a_stopped_clock_fires_nothing_and_a_warp_fires_in_order():
    fired = []

    async def body(clock, nursery):
        clock.stop()
        start = clock.now()

        async def timer(delay):
            await trio.sleep(delay)
            fired.append((delay, round(clock.now() - start, 3)))

        for delay in (0.25, 0.05, 0.1):
            nursery.start_soon(timer, delay)
        await clock.settle()
        assert fired == []
        await clock.warp(0.2, 0.05)
        assert fired == [(0.05, 0.05), (0.1, 0.1)]
        await clock.warp(1.0, 1.0)
        assert fired[2] == (0.25, 1.2)

    run(body)


def test_tasks_that_wake_each_other_settle_before_the_next_step():
    seen = []

    async def body(clock, nursery):
        clock.stop()
        start = clock.now()
        send, receive = trio.open_memory_channel(0)

        async def beat():
            while True:
                await trio.sleep(0.1)
                await send.send(clock.now() - start)

        async def hear():
            async for moment in receive:
                seen.append((round(moment, 3), round(clock.now() - start, 3)))

        nursery.start_soon(beat)
        nursery.start_soon(hear)
        await clock.warp(0.5, 0.1)

    run(body)
    assert seen == [(pytest.approx(n / 10), pytest.approx(n / 10)) for n in range(1, 6)]


def test_hooks_run_at_every_step_until_they_have_nothing_to_do():
    calls = []

    async def body(clock, _nursery):
        clock.stop()
        start = clock.now()
        work = [2]

        def pump():
            calls.append(round(clock.now() - start, 3))
            work[0] -= 1
            return work[0] > 0

        async def pump_async():
            return False

        clock.pump_hooks += [pump, pump_async]
        await clock.warp(0.02, 0.01)

    run(body)
    assert calls == [0.0, 0.0, 0.01, 0.02]


def test_the_commands_follow_the_reference():
    async def body(clock, _nursery):
        stop, warp = (row.handler for row in clock.commands())
        stop([])
        before = clock.now()
        assert await warp(["100"]) == "warped"
        assert await warp(["1000", "300"]) == "warped"
        assert clock.now() - before == pytest.approx(1.1)
        for wrong in (["0"], ["-5"], ["x"], ["10", "0"]):
            with pytest.raises(CommandError, match="invalid MSECS"):
                await warp(wrong)

    run(body)


def test_a_running_clock_goes_on_by_itself():
    async def body(clock, _nursery):
        before = clock.now()
        await trio.sleep(0.01)
        assert clock.now() - before >= 0.01
        clock.advance(100)
        assert clock.now() - before >= 100

    run(body)
