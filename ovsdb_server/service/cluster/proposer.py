"""The transactions of a clustered database on their way into the log: queue, batches, outcome.

Takes the place of `engine.database.Triggers` in a database whose log is shared.  A transaction
that writes waits in a queue; `next_batch` decides all that wait, each on top of those before it,
and gives their entries; the database itself stays what the log says until `committed` applies
them.  When the log went on with another server's entries instead, `rejected` puts them back into
the queue and they are decided anew.

A large transaction goes alone: `next_large` gives it, `decide_large` runs, in slices perhaps, and
`propose_large` puts what came of it under way; or `put_back` it.  It is tried so a few times; when
others were always faster, it is decided at one go like all the rest.

Transactions that only read are answered at once, from what is committed.  No I/O, no trio; one
task at a time.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import orjson

from ovsdb_server.engine.database import Context, Database, Execution, Triggers
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.operations import is_write
from ovsdb_server.engine.pace import Paced, at_once
from ovsdb_server.storage.cluster_file import Entry
from ovsdb_server.storage.replay import TransactionText, encode_delta, encode_delta_text

# What one append takes at most, in bytes and in transactions; one transaction may be larger.
_BATCH_SIZE = 1 << 20
_BATCH_LENGTH = 500

# How often a large transaction is decided in slices.
_SLICED_MAX = 3


class _Later:
    """What `submit` returns of a transaction that is decided later: it looks like a waiting one."""

    is_waiting = True
    is_durable = False
    results: list = []
    delta: dict = {}


LATER = _Later()


class Request:
    """A transaction that a client waits for; `deadline` of its "wait", None without."""

    __slots__ = ("token", "operations", "context", "submitted", "deadline", "sequence",
                 "is_write", "is_large", "n_sliced")

    def __init__(self, token: object, operations: list, context: Context, now: float) -> None:
        self.token = token
        self.operations = operations
        self.context = context
        self.submitted = now
        self.deadline: float | None = None
        self.sequence = -1
        self.is_write = is_write(operations)
        self.is_large = False
        self.n_sliced = 0

    @property
    def is_sliced(self) -> bool:
        """Is it to be decided in slices?"""
        return self.is_large and self.n_sliced < _SLICED_MAX


class Decision(NamedTuple):
    """A transaction of a batch; `entry` None if it changes nothing."""

    request: Request
    execution: Execution
    entry: Entry | None


class Proposer:
    """The queue of one database.

    `kick()` is called when there is something for `next_batch`; `new_uuid` makes the ids of
    entries; `wall_ms` tells the time for their dates; `is_large(database, operations)`: might it
    take long to decide them?
    """

    def __init__(self, database: Database, kick: Callable[[], None],
                 new_uuid: Callable[[], str], wall_ms: Callable[[], int],
                 is_large: Callable[[Database, list], bool] = lambda *_: False) -> None:
        self.database = database
        self.as_diff = True
        self._kick = kick
        self._new_uuid = new_uuid
        self._wall_ms = wall_ms
        self._is_large = is_large
        self._queue: deque[Request] = deque()
        self._waiting: dict[object, Request] = {}
        self._batch: list[Decision] = []
        self._n_alone = 0               # So many of the next go alone, each in its own batch.

    # As of Triggers.

    def __len__(self) -> int:
        return len(self._waiting)

    def submit(self, operations: list, context: Context, now: float,
               token: object) -> Execution | _Later:
        """Answer a transaction that only reads, or queue it."""
        request = Request(token, operations, context, now)
        if request.is_write:
            request.is_large = self._is_large(self.database, operations)
            self._queue.append(request)
            self._kick()
            return LATER
        execution = self._decide(request, now)
        if execution.is_waiting:
            self._waiting[token] = request
        return execution

    def _decide(self, request: Request, now: float, paced: Paced = at_once) -> Execution:
        elapsed_ms = int((now - request.submitted) * 1000 + 1e-6)
        execution = self.database.transact(request.operations, request.context, elapsed_ms, paced)
        if execution.is_waiting:
            request.sequence = self.database.sequence
            limit = execution.wait_limit_ms
            request.deadline = None if limit is None else request.submitted + limit / 1000
        return execution

    def cancel(self, token: object) -> bool:
        """Forget a transaction that is not under way yet; was there one?"""
        if self._waiting.pop(token, None) is not None:
            return True
        for request in self._queue:
            if request.token == token:
                self._queue.remove(request)
                return True
        return False

    def tokens(self) -> list:
        """Return the tokens of all that wait."""
        return [*self._waiting, *(request.token for request in self._queue)]

    def next_deadline(self) -> float | None:
        return min((request.deadline for request in self._waiting.values()
                    if request.deadline is not None), default=None)

    def run(self, now: float) -> list[tuple[object, Execution]]:
        """Decide again what waits and what the database's changes or the time may have released.

        Returns those that finished; those that write go into the queue instead.
        """
        finished = []
        for token, request in list(self._waiting.items()):
            is_due = request.deadline is not None and now >= request.deadline
            if request.sequence == self.database.sequence and not is_due:
                continue
            execution = self._decide(request, now)
            if execution.is_waiting:
                continue
            del self._waiting[token]
            if request.is_write and execution.delta:
                self._queue.append(request)
                self._kick()
            else:
                finished.append((token, execution))
        return finished

    def take_over(self, triggers: Triggers) -> None:
        """Go on with what waited until now as of a database of one server alone."""
        for waiting in triggers.release():
            request = Request(waiting.token, waiting.operations, waiting.context,
                              waiting.submitted)
            request.deadline = waiting.deadline
            self._waiting[waiting.token] = request

    def release(self) -> list[Request]:
        """Give up all transactions, none of which is under way."""
        requests = [*self._waiting.values(), *self._queue]
        self._waiting.clear()
        self._queue.clear()
        return requests

    def replace_database(self, database: Database) -> None:
        """Decide on another database from now on; who waited was told."""
        self.database = database
        self._waiting.clear()

    # The log.

    @property
    def has_work(self) -> bool:
        """Is there anything for `next_batch`?"""
        return bool(self._queue) and not self._batch

    @property
    def under_way(self) -> list[Decision]:
        """The transactions whose outcome is not known yet."""
        return self._batch

    def next_batch(self, now: float) -> tuple[list[tuple[object, Execution]], list[Entry]]:
        """Decide what waits in the queue.

        Returns (token, execution) of those that are finished already because they change nothing,
        and the entries of the others, which are under way from now on.
        """
        finished: list[tuple[object, Execution]] = []
        size = 0
        try:
            length = 1 if self._n_alone else _BATCH_LENGTH
            self._n_alone = max(self._n_alone - 1, 0)
            while self._queue and size < _BATCH_SIZE and len(self._batch) < length:
                if self._batch and self._queue[0].is_sliced:
                    break
                request = self._queue.popleft()
                execution = self._decide(request, now)
                if execution.is_waiting:
                    self._waiting[request.token] = request
                    continue
                if not execution.delta:
                    if self._batch:
                        self._batch.append(Decision(request, execution, None))
                    else:
                        finished.append((request.token, execution))
                    continue
                data = encode_delta(self.database.schema, execution.delta, execution.comment,
                                    self._wall_ms(), self.as_diff)
                size += len(orjson.dumps(data))
                self.database.stage(execution)
                self._batch.append(Decision(
                    request, execution, Entry(0, 0, self._new_uuid(), None, data)))
        finally:
            for decision in reversed(self._batch):
                if decision.entry is not None:
                    self.database.unstage(decision.execution)
        return finished, [d.entry for d in self._batch if d.entry is not None]

    def next_large(self) -> Request | None:
        """Take the next transaction out of the queue if it is large, else return None."""
        if not self._queue[0].is_sliced:
            return None
        request = self._queue.popleft()
        request.n_sliced += 1
        self._n_alone = max(self._n_alone - 1, 0)
        return request

    def decide_large(self, request: Request, now: float, paced: Paced) -> Decision:
        """Decide what `next_large` gave; the database must not change meanwhile."""
        execution = self._decide(request, now, paced)
        if execution.is_waiting or not execution.delta:
            return Decision(request, execution, None)
        text = encode_delta_text(self.database.schema, execution.delta, execution.comment,
                                 self._wall_ms(), self.as_diff, paced)
        data = None if text is None else TransactionText(text)
        return Decision(request, execution, Entry(0, 0, self._new_uuid(), None, data))

    def propose_large(self, decision: Decision) -> tuple[list[tuple[object, Execution]],
                                                         list[Entry]]:
        """Put the decision under way, or keep what waits; returns what `next_batch` does."""
        request, execution, entry = decision
        if execution.is_waiting:
            self._waiting[request.token] = request
            return [], []
        if entry is None:
            return [(request.token, execution)], []
        self._batch.append(decision)
        return [], [entry]

    def put_back(self, request: Request) -> None:
        """Let what `next_large` gave be decided anew."""
        self._queue.appendleft(request)
        self._kick()

    def committed(self) -> list[Decision]:
        """The batch is in the log: return it; the caller applies each to the database in turn."""
        batch, self._batch = self._batch, []
        return batch

    def rejected(self) -> None:
        """The batch is not in the log and never will be."""
        self._queue.extendleft(decision.request for decision in reversed(self._batch))
        self._batch = []
        if self._queue:
            self._kick()

    def refused(self, error: OvsdbError) -> list[tuple[object, Execution]]:
        """The batch cannot be stored: return what failed.

        Of several transactions it may be one that cannot (too big): each is tried alone.
        """
        if sum(decision.entry is not None for decision in self._batch) > 1:
            self._n_alone = len(self._batch)
            self.rejected()
            return []
        finished = []
        for decision in self._batch:
            execution = decision.execution
            if decision.entry is not None:
                execution.results.append(error.to_json())
                execution.delta = {}
            finished.append((decision.request.token, execution))
        self._batch = []
        return finished
