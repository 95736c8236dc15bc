"""A transaction that would keep everybody waiting: it runs in slices, and others in between.

Others read the database as it is without it, and write other databases.  Whoever wants to write
the same one waits until it is over: `waiting` are their sessions, in the order in which they came,
and the session whose transaction it is.  What the server itself wants to write ends the slices
by `HostedDatabase.settle`.  It takes effect and is stored at once, in the last slice.

Trio thread only.
"""

from collections.abc import Callable

from ovsdb_server.engine.database import Database, Execution
from ovsdb_server.engine.pace import Paced
from ovsdb_server.engine.table import Delta
from ovsdb_server.service.hub import Hub
from ovsdb_server.service.slices import Slices, keep_from_collector

# Operations, rows looked at by a condition and rows changed, above which a transaction is large.
MANY_OPERATIONS = 2000
MANY_ROWS = 5000
MANY_CHANGES = 500

# So many changed rows are dropped at a time.
_DISCARDED = 500

_SWEEPING = frozenset(("update", "mutate", "delete"))


def is_large(database: Database, operations: list) -> bool:
    """Might it take long to run `operations`, some of which may write?"""
    if len(operations) > MANY_OPERATIONS:
        return True
    tables = database.tables
    for operation in operations:
        if type(operation) is not dict:
            continue
        name, table = operation.get("op"), operation.get("table")
        if type(name) is str and name in _SWEEPING and type(table) is str and table in tables:
            table = tables[table]
            if len(table.rows) > MANY_ROWS and not _is_look_up(table, operation.get("where")):
                return True
    return False


def _is_look_up(table, where: object) -> bool:
    """Does a "where" name a row by its UUID or by an index?"""
    if type(where) is not list:
        return True         # And it is an error.
    names = {clause[0] for clause in where if type(clause) is list and len(clause) == 3
             and type(clause[0]) is str and clause[1] == "=="}
    return "_uuid" in names or any(names.issuperset(column.name for column in columns)
                                   for columns in table.schema.indexes)


class LargeTransaction:
    """One of them; `run` returns when it is over.

    `execute(paced)` decides, stores and applies it; `finish(execution)` tells of it, of None if
    nothing came of it.  `owns_delta`: nobody else keeps what has changed.
    """

    def __init__(self, execute: Callable[[Paced], Execution | None],
                 finish: Callable[[Execution | None], None], owns_delta: bool) -> None:
        self._owns_delta = owns_delta
        self._delta: Delta = {}
        self.waiting: list = []
        self._finish = finish
        self._slices = Slices(execute)
        self._is_finished = False

    async def run(self, hub: Hub) -> None:
        """Run it, a slice in each turn of the event loop."""
        try:
            await self._slices.run(hub)
            self.settle()
            keep_from_collector()
            await self._discard(hub)
        finally:
            self.abandon()

    async def _discard(self, hub: Hub) -> None:
        """Drop what has changed bit by bit: that takes a while too."""
        for changes in self._delta.values():
            while changes:
                for _ in range(min(_DISCARDED, len(changes))):
                    changes.popitem()
                await hub.give_way()

    def settle(self) -> None:
        """Run what is left of it now."""
        if self._is_finished:
            return
        self._slices.advance(float("inf"))
        self._is_finished = True
        slices, finish = self._slices, self._finish
        # What was asked for is large and would otherwise wait for the garbage collector.
        del self._slices, self._finish
        try:
            execution = slices.result
        except Exception:
            finish(None)
            raise
        finish(execution)
        if self._owns_delta and execution is not None:
            self._delta = execution.delta

    def abandon(self) -> None:
        """Forget it, if it is not over: nothing has happened."""
        if not self._is_finished:
            self._is_finished = True
            self._slices.abandon()
