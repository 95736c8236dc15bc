"""The checker of histories says yes and no where it should."""

import math
from itertools import permutations
from random import Random

import pytest

from tests.model.linearizability import (IMPOSSIBLE, Exchange, Operation, Read, Swap,
                                         is_linearizable, register, settle)


def test_what_overlaps_may_be_in_either_order():
    history = [Operation(0, 10, Swap(1), 2), Operation(1, 9, Swap(2), 0)]
    assert is_linearizable(history, 0, register)


def test_what_does_not_overlap_is_in_order():
    history = [Operation(0, 1, Swap(1), 2), Operation(2, 3, Swap(2), 0)]
    assert not is_linearizable(history, 0, register)


def test_a_read_of_what_was_overwritten_is_stale():
    history = [Operation(0, 1, Swap(1), 0), Operation(2, 3, Swap(2), 1), Operation(4, 5, Read(), 1)]
    assert not is_linearizable(history, 0, register)


def test_a_lost_acknowledged_write_is_found():
    history = [Operation(0, 1, Exchange(0, 1), True), Operation(2, 3, Exchange(0, 2), True)]
    assert not is_linearizable(history, 0, register)


def test_an_unknown_outcome_may_be_either():
    unknown = Operation(0, math.inf, Exchange(0, 1))
    assert is_linearizable([unknown, Operation(2, 3, Read(), 1)], 0, register)
    assert is_linearizable([unknown, Operation(2, 3, Read(), 0)], 0, register)
    late = [unknown, Operation(2, 3, Read(), 0), Operation(4, 5, Read(), 1)]
    assert is_linearizable(late, 0, register)
    undone = [unknown, Operation(2, 3, Read(), 1), Operation(4, 5, Read(), 0)]
    assert not is_linearizable(undone, 0, register)


def _by_trying(history: list[Operation]) -> bool:
    """Say the same by trying every order of every subset that has all known ones."""
    unknown = [o for o in history if not o.is_known]
    for mask in range(1 << len(unknown)):
        chosen = [o for o in history if o.is_known] + [
            o for n, o in enumerate(unknown) if mask >> n & 1]
        for order in permutations(chosen):
            if any(b.end < a.start for n, a in enumerate(order) for b in order[n + 1:]):
                continue
            state: object = 0
            for operation in order:
                state = register(state, operation)
                if state is IMPOSSIBLE:
                    break
            else:
                return True
    return False


@pytest.mark.parametrize("seed", range(3))
def test_the_search_agrees_with_trying_all_orders(seed):
    rng = Random(seed)
    answers = []
    for _ in range(150):
        history = []
        for _ in range(rng.randint(1, 5)):
            start = rng.randint(0, 8)
            end = math.inf if rng.random() < 0.2 else start + rng.randint(1, 6)
            what = rng.choice((Swap(rng.randint(0, 2)), Read(),
                               Exchange(rng.randint(0, 2), rng.randint(0, 2))))
            output = (rng.random() < 0.5 if isinstance(what, Exchange) else rng.randint(0, 2))
            history.append(Operation(start, end, what, output))
        answers.append(is_linearizable(history, 0, register))
        assert answers[-1] == _by_trying(history), history
    assert True in answers and False in answers


@pytest.mark.parametrize("seed", range(3))
def test_settling_unknown_outcomes_changes_no_answer(seed):
    rng = Random(seed)
    answers = []
    for _ in range(300):
        history = []
        for new in range(1, rng.randint(2, 7)):
            start = rng.randint(0, 8)
            end = math.inf if rng.random() < 0.4 else start + rng.randint(1, 6)
            if rng.random() < 0.5:
                history.append(Operation(start, end, Swap(new), rng.randint(0, 5)))
            else:
                history.append(Operation(start, end, Exchange(rng.randint(0, 5), new), True))
        answers.append(is_linearizable(history, 0, register))
        assert answers[-1] == is_linearizable(settle(history), 0, register), history
    assert True in answers and False in answers
