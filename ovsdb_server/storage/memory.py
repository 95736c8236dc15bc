"""A storage that keeps nothing: for `_Server`, replicas, and tests.

The same verbs as `journal.Journal`.
"""

from ovsdb_server.engine.database import Database
from ovsdb_server.engine.table import Delta


class Memory:
    """Accepts every write at once.

    `eid`: the id of the transaction that is written next, for a copy of another server's database.
    """

    eid = ""

    def write(self, _delta: Delta, _comment: str | None, _wall_ms: int) -> bool:
        """Accept `delta`; nothing needs a sync."""
        return False

    def sync(self) -> None:
        """Do nothing: there is no disk."""

    def is_compaction_due(self, _now: float, _uniform) -> bool:
        """Return False: nothing grows."""
        return False

    def compact(self, _database: Database, _comment: str, _wall_ms: int) -> None:
        """Do nothing: nothing grows."""

    replace = compact

    def close(self) -> None:
        """Do nothing."""
