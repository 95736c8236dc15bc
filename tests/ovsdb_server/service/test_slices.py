"""A call in slices runs to its end, a bit at a time, and never beside who asked for it."""

import gc
import threading

import pytest
import trio

from ovsdb_server.service import slices as module
from ovsdb_server.service.slices import Slices


def test_it_runs_only_when_it_is_its_turn():
    done = []

    def call(paced):
        for thing in paced(range(1000)):
            done.append(thing)
        return "the end"

    slices = Slices(call)
    assert done == []
    lengths = []
    while not slices.advance(0.0):
        lengths.append(len(done))
    assert done == list(range(1000)) and slices.result == "the end"
    assert len(lengths) > 10 and lengths == sorted(set(lengths))
    assert slices.advance(1.0) and len(done) == 1000


def test_much_that_has_come_is_not_looked_at_by_the_collector():
    class NoHub:
        async def give_way(self):
            pass

    thresholds = gc.get_threshold()
    gc.set_threshold(100, 2, 1_000_000)
    try:
        kept = trio.run(module.run_slices, lambda paced: [[n] for n in paced(range(5000))], NoHub())
        assert gc.get_freeze_count() > len(kept)
        gc.unfreeze()
        assert trio.run(module.run_slices, lambda paced: 5, NoHub()) == 5
        assert gc.get_freeze_count() == 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def test_with_time_enough_it_ends_in_one_slice():
    slices = Slices(lambda paced: sum(paced(range(100_000))))
    assert slices.advance(float("inf"))
    assert slices.result == sum(range(100_000))


def test_an_exception_comes_out_of_the_result():
    def call(paced):
        for _ in paced(range(200)):
            pass
        raise ValueError("no")

    slices = Slices(call)
    while not slices.advance(0.0):
        pass
    with pytest.raises(ValueError, match="no"):
        slices.result


def test_what_is_abandoned_ends_there_and_leaves_no_thread():
    n_threads = threading.active_count()
    seen = []

    def call(paced):
        try:
            for thing in paced(range(10_000)):
                seen.append(thing)
        finally:
            seen.append("out")

    slices = Slices(call)
    assert not slices.advance(0.0)
    slices.abandon()
    assert slices.is_over and seen[-1] == "out" and len(seen) < 1000
    slices.abandon()
    never_begun = Slices(call)
    never_begun.abandon()
    assert never_begun.is_over
    for thread in threading.enumerate():
        if thread.daemon and thread is not threading.current_thread():
            thread.join(5)
    assert threading.active_count() <= n_threads


def test_what_is_added_while_it_runs_is_done_too():
    """`paced` reads nothing ahead: a list of work that grows as it is done."""
    work, done = [0], []

    def take():
        while work:
            yield work.pop()

    def call(paced):
        for number in paced(take()):
            done.append(number)
            if number < 500:
                work.append(number + 1)

    slices = Slices(call)
    while not slices.advance(0.0):
        pass
    assert done == list(range(501))


def test_without_a_thread_it_is_done_at_one_go(monkeypatch):
    class NoThread(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "Thread", NoThread)
    slices = Slices(lambda paced: sum(paced(range(10_000))))
    assert slices.advance(0.0)
    assert slices.result == sum(range(10_000))
    slices.abandon()
