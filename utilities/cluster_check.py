"""Checks files of several servers of one cluster against each other: ovsdb-tool check-cluster.

Each file must be sound in itself (terms, indexes and commit indexes never go back, votes and
leaders are servers that the log knows), and together they must agree: one leader per term, and
entries of equal term and index are equal.

Source: ovsdb-tool(1), "check-cluster".  Only ovsdb-tool calls it.
"""

from collections.abc import Iterator

from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.storage.cluster_file import (LEFT, Entry, Header, Note, State,
                                               read_cluster_records, short)
from ovsdb_server.storage.record import CLUSTERED, identify


class CheckError(Exception):
    """What is wrong; the text is for the user."""


class _Log:
    """What one file says: `entries` {index: Entry}, `leaders` {term: sid}, `commit_index`.

    `has_term`: does anything after the snapshot tell of a term?
    """

    def __init__(self, path: str, header: Header):
        self.path = path
        self.header = header
        self.entries: dict[int, Entry] = {}
        self.leaders: dict[int, str] = {}
        self.servers: set[str] = set(header.snapshot.servers) if header.snapshot else set()
        self.commit_index = 0
        self.has_term = False


def check_cluster(paths: tuple[str, ...]) -> Iterator[str]:
    """Check the files; yield warnings.  Raises: CheckError, OvsdbError."""
    logs: list[_Log] = []
    for path in paths:
        log = yield from _read(path)
        if log.header.is_joining:
            yield f"{path} has not joined the cluster, omitting"
        else:
            logs.append(log)
    for log in logs[1:]:
        _check_identity(logs[0], log)
    _check_server_ids(logs)
    if not any(log.has_term for log in logs):
        raise CheckError("all logs are empty")
    _check_leaders(logs)
    known = set().union(*(log.servers for log in logs))
    for log in logs:
        for sid in (log.header.server_id, *log.leaders.values()):
            if sid not in known:
                raise CheckError(f"{log.path}: server {short(sid)} not found in server list")
    for number, log in enumerate(logs):
        for other in logs[number + 1:]:
            _check_entries(log, other)


def _read(path: str) -> Iterator[str]:
    """Read one file; yield warnings and return its `_Log`."""
    try:
        with open(path, "rb") as stream:
            if identify(path, stream.readline(127)) != CLUSTERED:
                raise OvsdbError("ovsdb error", f"{path}: cannot identify file type")
            stream.seek(0)
            records = read_cluster_records(stream, path)
            log = _Log(path, next(records)[1])
            term, last = 0, log.header.snapshot.index if log.header.snapshot else 0
            for number, (_record, value) in enumerate(records, 1):
                match value:
                    case Entry():
                        yield from _add_entry(log, number, value, last)
                        last = value.index
                    case State(commit_index=int(index)):
                        if index < log.commit_index:
                            raise CheckError(f"{path}: record {number} regresses commit index "
                                             f"from {log.commit_index} to {index}")
                        if index > last:
                            raise CheckError(f"{path}: record {number} advances commit index to "
                                             f"{index} but last log index is {last}")
                        log.commit_index = index
                    case Note(text=text):
                        if text == LEFT:
                            yield (f"{path}: record {number} shows that the server left the "
                                   "cluster")
                    case State():
                        log.has_term = True
                        if value.term < term:
                            raise CheckError(f"{path}: record {number} regresses term from "
                                             f"{term} to {value.term}")
                        term = value.term
                        if value.leader is not None:
                            log.leaders[term] = value.leader
    except OSError as error:
        raise OvsdbError("I/O error", f"{path}: open failed", io_error=error.strerror) from None
    except StopIteration:
        raise OvsdbError("ovsdb error", f"{path}: cannot identify file type") from None
    return log


def _add_entry(log: _Log, number: int, entry: Entry, last: int) -> Iterator[str]:
    if entry.index > last + 1:
        raise CheckError(f"{log.path}: record {number} with index {entry.index} skips past "
                         f"expected index {last + 1}")
    if entry.index <= last:
        yield (f"{log.path}: record {number} truncates log from {last + 1} to {entry.index} "
               "entries")
        if entry.index <= log.commit_index:
            raise CheckError(f"{log.path}: record {number} truncates log past commit index "
                             f"{log.commit_index}")
        for index in range(entry.index, last + 1):
            log.entries.pop(index, None)
    before = log.entries.get(entry.index - 1)
    if before is not None and entry.term < before.term:
        raise CheckError(f"{log.path}: record {number} with index {entry.index} term {entry.term} "
                         f"precedes previous entry's term {before.term}")
    log.entries[entry.index] = entry
    log.has_term = True
    if entry.servers is not None:
        log.servers |= set(entry.servers)


def _check_identity(first: _Log, other: _Log) -> None:
    ours, theirs = first.header, other.header
    if ours.name != theirs.name:
        raise CheckError(f'{first.path} is named "{ours.name}" but {other.path} is named '
                         f'"{theirs.name}"')
    if ours.cluster_id != theirs.cluster_id:
        raise CheckError(f"{first.path} has cluster ID {short(ours.cluster_id)} but {other.path} "
                         f"has cluster ID {short(theirs.cluster_id)}")


def _check_server_ids(logs: list[_Log]) -> None:
    seen: dict[str, str] = {}
    for log in logs:
        sid = log.header.server_id
        if sid in seen:
            raise CheckError(f"Duplicate server ID {short(sid)} in {seen[sid]} and {log.path}.")
        seen[sid] = log.path


def _check_leaders(logs: list[_Log]) -> None:
    names = {log.header.server_id: log.path for log in logs}
    seen: dict[int, tuple[_Log, str]] = {}
    for log in logs:
        for term, leader in log.leaders.items():
            other, theirs = seen.setdefault(term, (log, leader))
            if theirs != leader:
                raise CheckError(
                    f"term {term} has two different leaders: {other.path} says that the leader is "
                    f"{names.get(theirs, short(theirs))} and {log.path} says that the leader is "
                    f"{names.get(leader, short(leader))}")


def _check_entries(log: _Log, other: _Log) -> None:
    """Entries of one term and index are one entry; committed ones are in both logs."""
    committed = min(log.commit_index, other.commit_index)
    for index in log.entries.keys() & other.entries.keys():
        ours, theirs = log.entries[index], other.entries[index]
        if ours.term == theirs.term and ours._replace(comment=None) != theirs._replace(
                comment=None) or ours.term != theirs.term and index <= committed:
            raise CheckError(f"log entries with index {index} differ: {log.path} has them in term "
                             f"{ours.term}, {other.path} in term {theirs.term}")
