"""The last transactions of a database, for clients that come back and want only what they missed.

The databases whose transactions have ids that outlive a connection have one: clustered ones and
relays.  It holds at most a hundred transactions, and fewer when together they are larger than the
database, but always the last.

Source: monitor_cond_since of ovsdb-server(7).  Pure.
"""

from collections import deque
from collections.abc import Iterable

from .atom import ZERO_UUID
from .database import Database
from .pace import Paced, at_once
from .table import Delta, count_atoms

MAX_LENGTH = 100


def delta_atoms(delta: Delta, paced: Paced = at_once) -> tuple[int, int]:
    """Return how many atoms the old and the new rows of `delta` have."""
    before = after = 0
    for changes in delta.values():
        for old, new in paced(changes.values()):
            before += 0 if old is None else count_atoms(old)
            after += 0 if new is None else count_atoms(new)
    return before, after


class History:
    """The last transactions of a database.

    `last_id` of the last one; `n_atoms` of the transactions kept; `len` is their number.
    """

    def __init__(self) -> None:
        self.last_id = ZERO_UUID
        self.n_atoms = 0
        self._database_atoms = 0
        self._transactions: deque[tuple[str, Delta, int]] = deque()

    def __len__(self) -> int:
        return len(self._transactions)

    def begin(self, database: Database, base_id: str,
              transactions: Iterable[tuple[str, Delta]] = ()) -> None:
        """Forget everything; `database` is what `transactions` [(id, delta)] made of a base.

        The base counts as the effect of one transaction, `base_id`.
        """
        transactions = list(transactions)
        n_atoms = sum(count_atoms(row) for table in database.tables.values()
                      for row in table.rows.values())
        for _, delta in transactions:
            before, after = delta_atoms(delta)
            n_atoms += before - after
        self._database_atoms = self.n_atoms = n_atoms
        self._transactions.clear()
        self._transactions.append((base_id, {}, n_atoms))
        self.last_id = base_id
        for txn_id, delta in transactions:
            self.add(txn_id, delta)

    def add(self, txn_id: str, delta: Delta, atoms: tuple[int, int] | None = None) -> None:
        """Add the transaction that is applied now; `atoms` of it, if known, as `delta_atoms`."""
        before, after = atoms or delta_atoms(delta)
        self._database_atoms += after - before
        self.last_id = txn_id
        kept = self._transactions
        kept.append((txn_id, delta, before + after))
        self.n_atoms += before + after
        while len(kept) > MAX_LENGTH or len(kept) > 1 and self.n_atoms > self._database_atoms:
            self.n_atoms -= kept.popleft()[2]

    def since(self, txn_id: str) -> list[Delta] | None:
        """Return what changed after transaction `txn_id`, None when that is not known."""
        found: list[Delta] | None = None
        for their_id, delta, _ in self._transactions:
            if found is not None:
                found.append(delta)
            elif their_id == txn_id:
                found = []
        return found
