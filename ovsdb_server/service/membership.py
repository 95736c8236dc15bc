"""What a clustered database has besides its rows: a place in a cluster.  The seam of clusters.

`HostedDatabase.cluster` is a `Membership` for a clustered database, None for any other.  There
are two kinds: `solo.Solo`, the only server of its cluster, which serves its own file; and a member
of a cluster of several servers (package `cluster`).  The rest of the server knows only what stands
here.  `opening.open_database` chooses the kind by what the file says.

How a transaction is committed is the business of `hosted.triggers`, which has the verbs of
`engine.database.Triggers` (submit, run, cancel, tokens, next_deadline, len):

- Those of a sole server commit at once: `storage.write`, apply, `server.after_commit`; the reply
  waits for `hosted.sync`, as all do of clustered databases.
- A cluster of several installs its own (`hosted.triggers = ...`, also after `replace_database`).
  What it cannot decide at once it calls waiting (`Execution.is_waiting`).  Once the log has
  decided, it calls `session.finish(key, hosted, execution)` for each token (session, key), and
  `server.after_commit(hosted)` once for the delta that was applied.  `session.finish`
  still waits for `hosted.sync`, which is nothing where the storage's `sync` does nothing.

What the kinds owe to the server:

- `hosted.note_entry(eid, delta)` for each entry that is applied, also other servers', before it
  is applied; it is what monitor_cond_since answers from.  Transactions that go through
  `storage.write` are added there, under `storage.eid`; `History.begin` when a database is
  replaced.
- a storage with the attributes `index` (of the last entry written) and `eid`.
- `server.note_cluster(hosted)` whenever one of the attributes below has changed: it brings the
  row of `_Server` up to date, by which clients know.
- `server.replace_database(hosted, database)` when the schema changes under a database (a
  conversion in the log, a snapshot of another schema), also when a joining server gets its first.

Trio thread only.
"""

from dataclasses import dataclass, field

from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.storage.cluster_file import (ELECTION_TIMER_MAX, ELECTION_TIMER_MIN, nickname,
                                               short)

LEADER, FOLLOWER, CANDIDATE = "leader", "follower", "candidate"
MEMBER, JOINING, LEAVING, LEFT = ("cluster member", "joining cluster", "leaving cluster",
                                  "left cluster")


class ClusterError(Exception):
    """A command about the cluster is refused; the text is for the user."""


TIMER_UNCHANGED = "change election timer to current value."
TIMER_CHANGING = "change of election timer initiated."


def check_new_timer(now: int, milliseconds: int) -> None:
    """Raise ClusterError unless the election timer may become so from what it is `now`."""
    if not ELECTION_TIMER_MIN <= milliseconds <= ELECTION_TIMER_MAX:
        raise ClusterError(f"election timer must be between {ELECTION_TIMER_MIN} and "
                           f"{ELECTION_TIMER_MAX}, in msec.")
    if milliseconds > 2 * now:
        raise ClusterError("election timer increase should not exceed the current value x 2.")


class Membership:
    """This server's place in the cluster of one database.

    `name` of the database; `cid` of the cluster, None while unknown; `sid` and `address` of this
    server.  `has_schema`: has it joined, so that the database can be used?  `is_connected`: is it
    in touch with a majority?  `is_leader`; `index` of the last entry that is committed and
    applied, None before there is one.
    """

    def __init__(self, name: str, cid: str | None, sid: str, address: str) -> None:
        self.name = name
        self.cid = cid
        self.sid = sid
        self.address = address
        self.has_schema = False
        self.is_connected = False
        self.is_leader = False
        self.index: int | None = None

    async def serve(self, server) -> None:
        """Do what there is to do while the database is served; cancelled at the end."""

    def close(self) -> None:
        """Stop; the database is closed after this."""

    def note_synced(self, index: int) -> None:
        """The storage's entries up to `index` are on the disk."""

    async def convert(self, schema: DatabaseSchema, requester) -> None:
        """Put the data under another schema, for all servers; return when that is committed.

        `requester` is the session that asks; pass it to `server.replace_database`.
        Raises: OvsdbError, and then nothing has changed.
        """
        raise NotImplementedError

    def check_compaction(self) -> None:
        """Raise OvsdbError when the file cannot be compacted now."""

    # What cluster/ commands do; each may raise ClusterError, and returns what it answers.

    def status(self, now: float) -> "Status":
        """Return what cluster/status shows."""
        raise NotImplementedError

    def leave(self) -> None:
        """Begin to leave the cluster."""
        raise NotImplementedError

    def kick(self, server: str) -> str | None:
        """Begin to make another server leave; `server` is its address, id or beginning of it."""
        raise NotImplementedError

    def change_election_timer(self, milliseconds: int) -> str:
        """Set the election timer."""
        raise NotImplementedError

    def engage(self, failure: str) -> None:
        """Let an accident happen (cluster/failure-test); those that cannot happen here do not."""


@dataclass
class Peer:
    """A server of the cluster as cluster/status shows it; None for what is not known."""

    sid: str
    address: str
    is_self: bool = False
    next_index: int | None = None
    match_index: int | None = None
    last_message_ms: int | None = None

    @property
    def nickname(self) -> str:
        return nickname(self.address, self.sid)


@dataclass
class Status:
    """What cluster/status shows of `membership`.

    `state` is MEMBER, JOINING, LEAVING, LEFT or another sentence; `role` LEADER, FOLLOWER or
    CANDIDATE; `leader` and `vote` are "self", a nickname or "unknown".  The log holds the entries
    from `first_index` up to, without it, `next_index`.  Elections are milliseconds ago.
    """

    membership: Membership
    state: str
    role: str
    term: int
    leader: str = "unknown"
    vote: str = "unknown"
    election_timer: int = 1000
    first_index: int = 0
    next_index: int = 0
    n_uncommitted: int = 0
    n_unapplied: int = 0
    election_started_ms: int | None = None
    election_won_ms: int | None = None
    n_disconnections: int = 0
    remotes: tuple[str, ...] = ()
    connections: list[str] = field(default_factory=list)
    servers: list[Peer] = field(default_factory=list)

    def text(self) -> str:
        """Return the answer to cluster/status."""
        membership = self.membership
        cid = membership.cid
        lines = [nickname(membership.address, membership.sid),
                 f"Name: {membership.name}",
                 f"Cluster ID: {f'{short(cid)} ({cid})' if cid else 'not yet known'}",
                 f"Server ID: {short(membership.sid)} ({membership.sid})",
                 f"Address: {membership.address}",
                 f"Status: {self.state}"]
        if self.state == JOINING:
            lines.append(f"Remotes for joining: {' '.join(self.remotes)}")
        lines += [f"Role: {self.role}", f"Term: {self.term}", f"Leader: {self.leader}",
                  f"Vote: {self.vote}", ""]
        if self.election_started_ms is not None:
            lines.append(f"Last Election started {self.election_started_ms} ms ago, "
                         "reason: timeout")
        if self.election_won_ms is not None:
            lines.append(f"Last Election won: {self.election_won_ms} ms ago")
        lines += [f"Election timer: {self.election_timer}",
                  f"Log: [{self.first_index}, {self.next_index}]",
                  f"Entries not yet committed: {self.n_uncommitted}",
                  f"Entries not yet applied: {self.n_unapplied}",
                  " ".join(["Connections:", *self.connections]),
                  f"Disconnections: {self.n_disconnections}",
                  "Servers:", *map(_peer_text, self.servers)]
        return "\n".join(lines)


def _peer_text(peer: Peer) -> str:
    text = f"    {peer.nickname} ({short(peer.sid)} at {peer.address})"
    if peer.is_self:
        text += " (self)"
    if peer.next_index is not None:
        text += f" next_index={peer.next_index} match_index={peer.match_index}"
    if peer.last_message_ms is not None:
        text += f" last msg {peer.last_message_ms} ms ago"
    return text
