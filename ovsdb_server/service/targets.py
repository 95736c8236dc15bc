"""Remotes that a table lists: db:DB,TABLE,COLUMN read, and their status written back.

A column of strings holds connection methods; one of references leads to rows like those of table
Manager, with options of the connection and columns for its status.  Functions over the server's
databases; no I/O.  Source: ovsdb-server(1), "--remote=db:".
"""

from typing import NamedTuple

from ovsdb_server.engine.datum import Datum
from ovsdb_server.engine.table import Row, TableRows
from ovsdb_server.service.remotes import Remotes
from ovsdb_server.service.session import Policy

# Sessions over a network are probed after this many seconds of silence unless told otherwise.
PROBE_INTERVAL = 5.0


class RemoteError(ValueError):
    """A remote cannot be; the text is for the user."""


class Target(NamedTuple):
    """A remote wanted by a row: where its status is written back ("" uuid: nowhere)."""

    text: str
    policy: Policy
    uuid: str = ""


def default_policy(target: str) -> Policy:
    """Return how sessions of a remote named on the command line are treated."""
    is_network = target.startswith(("tcp:", "ssl:", "ptcp:", "pssl:"))
    return Policy(PROBE_INTERVAL if is_network else 0.0)


def split_reference(text: str) -> tuple[str, str, str]:
    """Split db:DB,TABLE,COLUMN.  Raises: RemoteError."""
    words = text[3:].split(",", 3)
    if len(words) < 3 or not all(words[:3]):
        raise RemoteError(f'"{text}": invalid syntax')
    return words[0], words[1], words[2]


def _find_column(text: str, databases: dict) -> tuple[TableRows, object, object]:
    """Return (table, column, hosted) that db:DB,TABLE,COLUMN names.  Raises: RemoteError."""
    name, table_name, column_name = split_reference(text)
    hosted = databases.get(name)
    if hosted is None:
        raise RemoteError(f'"{text}": no database named {name}')
    table = hosted.database.tables.get(table_name)
    if table is None:
        raise RemoteError(f'"{text}": no table named {table_name}')
    column = table.schema.columns.get(column_name)
    if column is None:
        raise RemoteError(f'"{text}": table "{table_name}" has no column "{column_name}"')
    return table, column, hosted


def check_reference(text: str, databases: dict) -> None:
    """Raise RemoteError unless db:DB,TABLE,COLUMN is there.

    A column that can name no remotes, being neither of strings nor of references, names none.
    Of a database whose tables are not known yet (its server has not joined its cluster) any may
    come.
    """
    hosted = databases.get(split_reference(text)[0])
    if hosted is None or hosted.has_schema:
        _find_column(text, databases)


def read_string(text: str, databases: dict) -> str | None:
    """Return the first string in the column db:DB,TABLE,COLUMN, for file names and the like."""
    try:
        table, column, _ = _find_column(text, databases)
    except RemoteError:
        return None
    for row in table.rows.values():
        for value in row[column.index]:
            if isinstance(value, str) and value:
                return value
    return None


def resolve(text: str, databases: dict) -> list[Target]:
    """Return the remotes that db:DB,TABLE,COLUMN lists now, none if it cannot be read."""
    try:
        table, column, hosted = _find_column(text, databases)
    except RemoteError:
        return []
    values = [value for row in table.rows.values() for value in row[column.index]]
    if column.type.key.type == "string":
        return [Target(value, default_policy(value)) for value in values if value]
    targets = hosted.database.tables.get(column.type.key.ref_table)
    if targets is None:
        return []
    found = []
    for uuid in values:
        row = targets.rows.get(uuid)
        if row is not None and (target := _row_target(targets, uuid, row)) is not None:
            found.append(target)
    return found


def _row_target(table: TableRows, uuid: str, row: Row) -> Target | None:
    """Return the remote that a row like those of table Manager describes."""

    def cell(name: str) -> Datum:
        column = table.schema.columns.get(name)
        return () if column is None else row[column.index]

    def scalar(name: str, kind: type) -> object:
        value = cell(name)
        return value[0] if len(value) == 1 and type(value[0]) is kind else None

    text = scalar("target", str)
    if not text:
        return None
    policy = default_policy(text)
    probe_ms = scalar("inactivity_probe", int)
    if probe_ms is not None:
        policy = policy._replace(probe_interval=probe_interval(probe_ms))
    backoff_ms = scalar("max_backoff", int)
    if backoff_ms is not None:
        policy = policy._replace(max_backoff=max(backoff_ms, 1000) / 1000)
    if scalar("read_only", bool):
        policy = policy._replace(is_read_only=True)
    policy = policy._replace(role=scalar("role", str) or "")
    config = cell("other_config")
    dscp = dict(config).get("dscp", "") if config and isinstance(config[0], tuple) else ""
    if dscp.isdecimal() and int(dscp) < 64:
        policy = policy._replace(dscp=int(dscp))
    return Target(text, policy, uuid)


def probe_interval(milliseconds: int) -> float:
    """Return a probe interval in seconds; below a second counts as one, 0 as never."""
    if milliseconds <= 0:
        return 0.0
    return max(milliseconds, 1000) / 1000


def status_operations(text: str, databases: dict, remotes: Remotes, now: float) -> tuple[
        object, list] | None:
    """Return (database, operations) that write the status of the remotes of `text` back.

    None when there is nothing to write.
    """
    try:
        _, column, hosted = _find_column(text, databases)
    except RemoteError:
        return None
    if column.type.key.type != "uuid":
        return None
    table = hosted.database.tables[column.type.key.ref_table]
    columns = table.schema.columns
    operations = []
    for target in resolve(text, databases):
        remote = remotes.running.get(target.text)
        if remote is None:
            continue
        is_connected, status = remote.status(now)
        row = table.rows[target.uuid]
        changes: dict[str, object] = {}
        if "is_connected" in columns and row[columns["is_connected"].index] != (is_connected,):
            changes["is_connected"] = is_connected
        if "status" in columns:
            pairs = tuple(sorted(status.items()))
            if row[columns["status"].index] != pairs:
                changes["status"] = ["map", [list(pair) for pair in pairs]]
        if changes:
            operations.append({"op": "update", "table": table.schema.name, "row": changes,
                               "where": [["_uuid", "==", ["uuid", target.uuid]]]})
    return (hosted, operations) if operations else None
