"""Is a history of operations linearizable?  The search of Wing and Gong with Lowe's memory.

An `Operation` begins at `start` and ends at `end`; one whose outcome its client never learnt ends
never (math.inf): it may have taken effect at any time after its start, or not at all.  `step`
tells what an operation does to the state of the object: `step(state, operation)` gives the state
after it, or `IMPOSSIBLE` if the operation cannot have had this outcome in that state.

    is_linearizable(history, initial, step)

Source: G. Lowe, "Testing for linearizability" (2017).
"""

import math
from collections.abc import Callable, Hashable
from typing import NamedTuple

IMPOSSIBLE = object()


class Operation(NamedTuple):
    """One operation of a client; `input` and `output` are for `step`."""

    start: float
    end: float
    input: Hashable
    output: Hashable = None

    @property
    def is_known(self) -> bool:
        """Did its client learn the outcome?"""
        return self.end != math.inf


class _Node:
    """A call or a return in the list of events; `match` of a call is its return."""

    __slots__ = ("number", "match", "previous", "next")

    def __init__(self, number: int) -> None:
        self.number = number
        self.match: _Node | None = None
        self.previous: _Node | None = None
        self.next: _Node | None = None


def _events(history: list[Operation]) -> _Node:
    """Return the head of the list of calls and returns in order of time."""
    events: list[tuple[float, int, _Node]] = []
    for number, operation in enumerate(history):
        call, back = _Node(number), _Node(number)
        call.match = back
        # At the same time calls come first: they may have overlapped.
        events += [(operation.start, 0, call), (operation.end, 1, back)]
    events.sort(key=lambda event: event[:2])
    head = last = _Node(-1)
    for _, _, node in events:
        last.next, node.previous = node, last
        last = node
    return head


def _lift(call: _Node) -> None:
    for node in (call, call.match):
        node.previous.next = node.next
        if node.next is not None:
            node.next.previous = node.previous


def _put_back(call: _Node) -> None:
    for node in (call.match, call):
        node.previous.next = node
        if node.next is not None:
            node.next.previous = node


def is_linearizable(history: list[Operation], initial: Hashable,
                    step: Callable[[Hashable, Operation], object]) -> bool:
    """Is there an order of the operations that fits their times, outcomes and `initial`?"""
    head = _events(history)
    state: object = initial
    done = 0
    n_known = sum(operation.is_known for operation in history)
    seen: set[tuple[int, object]] = set()
    stack: list[tuple[_Node, object]] = []
    node = head.next
    while n_known:
        if node is not None and node.match is not None:
            after = step(state, history[node.number])
            key = done | 1 << node.number, after
            if after is not IMPOSSIBLE and key not in seen:
                seen.add(key)
                stack.append((node, state))
                state, done = after, key[0]
                n_known -= history[node.number].is_known
                _lift(node)
                node = head.next
            else:
                node = node.next
        else:
            # The return of an operation that is not in the order yet: one before it is wrong.
            if not stack:
                return False
            node, state = stack.pop()
            done ^= 1 << node.number
            n_known += history[node.number].is_known
            _put_back(node)
            node = node.next
    return True


class Swap(NamedTuple):
    """Of a register: put `new` there; the output is what was there."""

    new: Hashable


class Exchange(NamedTuple):
    """Of a register: put `new` there, if there is `old`; the output tells whether it was."""

    old: Hashable
    new: Hashable


class Read(NamedTuple):
    """Of a register: the output is what is there."""


DONE = "done, with an outcome that nobody learnt"


def _observed(operation: Operation) -> Hashable | None:
    """Return the value that a register had before `operation`, as far as its outcome says."""
    match operation.input:
        case Swap():
            return None if operation.output == DONE else operation.output
        case Exchange(old, _) if operation.output in (True, DONE):
            return old
    return None


def settle(history: list[Operation]) -> list[Operation]:
    """Find out about operations of unknown outcome on a register into which no value is put twice.

    Whose value somebody found there was done, before that one's end; of others nobody can tell,
    and they leave no trace: they are left out.  Without this the search tries every place for
    every one of them.
    """
    unknown = {operation.input.new: operation for operation in history if not operation.is_known}
    settled = [operation for operation in history if operation.is_known]
    ends: dict[Hashable, float] = {}
    doubtful = list(settled)
    while doubtful:
        operation = doubtful.pop()
        value = _observed(operation)
        if value in unknown and operation.end < ends.get(value, math.inf):
            ends[value] = operation.end
            doubtful.append(unknown[value]._replace(end=operation.end, output=DONE))
    return settled + [unknown[value]._replace(end=end, output=DONE)
                      for value, end in ends.items()]


def register(state: Hashable, operation: Operation) -> object:
    """The `step` of a register with the three operations above."""
    is_open = not operation.is_known or operation.output == DONE
    match operation.input:
        case Swap(new):
            return new if is_open or operation.output == state else IMPOSSIBLE
        case Exchange(old, new):
            if is_open:
                return new if old == state else IMPOSSIBLE
            if operation.output != (old == state):
                return IMPOSSIBLE
            return new if old == state else state
        case Read():
            return state if is_open or operation.output == state else IMPOSSIBLE
