"""A tool's view of one database: a replica of the columns it needs, and transactions on it.

`Database` connects (several remotes, TLS, retry), monitors the columns that were asked for with
`want`, and keeps `rows` current.  A `Transaction` collects inserts, writes, deletes and the
values that must not have changed meanwhile (`verify`), and commits them at once.  The schema is
the suite's own; a server with an older one lacks columns, which is logged and tolerated.

Blocking, one thread; for `utilities` only (daemons use ovsdb_server.client).
Source: RFC 7047; monitor_cond of ovsdb-server(7).
"""

from _bisect import bisect_left
from itertools import islice

from ovsdb_server.engine.atom import UUID_TYPE, BaseType, random_uuid, to_json_atom
from ovsdb_server.engine.datum import ColumnType, apply_diff, from_json, is_default, to_json
from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.schema import Column
from ovsdb_server.rpc.blocking import Connection, ConnectionClosed, ProtocolError, RpcError
from ovsdb_server.rpc.message import ERROR, NOTIFICATION, REPLY, STANDARD
from utilities.command_line import LOG, WARN, Fatal, TlsFiles
from utilities.remote import failure_of, open_remote
from utilities.schema_file import schema_path

__all__ = ["ConnectionClosed", "Database", "ProtocolError", "Row", "Schema", "Transaction",
           "schema_path"]

UNCHANGED, SUCCESS, TRY_AGAIN, FAILURE, NOT_LOCKED = (
    "unchanged", "success", "try again", "error", "not locked")

_BACKOFF_MIN, _BACKOFF_MAX = 1.0, 8.0


class _Columns:
    """The columns of a table by name, parsed when first asked for: tools need few of them."""

    __slots__ = ("_json", "_names", "_parsed")

    def __init__(self, json: dict) -> None:
        self._json = json
        self._names = sorted(json)
        uuid = ColumnType(BaseType(UUID_TYPE))
        self._parsed = {"_uuid": Column("_uuid", uuid, False, True, 0),
                        "_version": Column("_version", uuid, False, False, 1)}

    def __getitem__(self, name: str) -> Column:
        column = self._parsed.get(name)
        if column is None:
            column = self._parsed[name] = Column.from_json(name, self._json[name])
            column.index = 2 + bisect_left(self._names, name)
        return column

    def get(self, name: str) -> Column | None:
        """Return the column called `name`, None when there is none."""
        return self[name] if name in self._parsed or name in self._json else None

    @property
    def names(self) -> list[str]:
        """The names of the columns that the schema declares, sorted."""
        return self._names

    def in_order(self) -> list[Column]:
        """Return the columns in the order of their places in a row."""
        return [self[name] for name in ("_uuid", "_version", *self._names)]


class Table:
    """A table as the tools need it; see engine.schema.Table, whose members these are."""

    __slots__ = ("name", "columns", "is_root", "max_rows")

    def __init__(self, name: str, json: dict) -> None:
        self.name = name
        self.columns = _Columns(json["columns"])
        self.is_root = json.get("isRoot", False)
        self.max_rows = json.get("maxRows")

    @property
    def order(self) -> list[Column]:
        """Return the columns by their place in a row."""
        return self.columns.in_order()

    @property
    def named_columns(self) -> list[Column]:
        """Return the columns that the schema declares, by name."""
        return self.columns.in_order()[2:]


class Schema:
    """A schema file; tables are parsed when first asked for, because tools need few of them."""

    def __init__(self, path: str) -> None:
        with open(path, "rb") as file:
            self.json = STANDARD.loads(file.read())
        self.name: str = self.json["name"]
        self.version: str = self.json["version"]
        self.table_names: list[str] = sorted(self.json["tables"])
        self._tables: dict[str, Table] = {}

    def table(self, name: str) -> Table:
        """Return the table called `name`; KeyError when there is none."""
        table = self._tables.get(name)
        if table is None:
            table = self._tables[name] = Table(name, self.json["tables"][name])
        return table


class Row:
    """A row as the database has it (`values`) and as the transaction wants it (`written`).

    `written` maps columns to datums; `mutations` maps columns to what the commit sends for them
    instead of the whole value; `verified` are the columns that must still be as read.
    """

    __slots__ = ("table", "uuid", "values", "written", "mutations", "verified", "is_new",
                 "is_deleted", "is_forced", "chosen_uuid")

    def __init__(self, table: Table, uuid: str, is_new: bool = False) -> None:
        self.table = table
        self.uuid = uuid
        self.values: dict[str, tuple] = {}
        self.written: dict[str, tuple] | None = None
        self.mutations: dict[str, list] | None = None
        self.verified: set[str] | None = None
        self.is_new = is_new
        self.is_deleted = False
        self.is_forced = False
        self.chosen_uuid = False

    def read(self, column: Column) -> tuple:
        """Return the value of `column`, as written by the transaction if it was."""
        name = column.name
        if self.written is not None and name in self.written:
            return self.written[name]
        value = self.values.get(name)
        return column.type.default if value is None else value

    def get(self, name: str) -> tuple:
        """Return the value of the column called `name`."""
        if self.written is not None and name in self.written:
            return self.written[name]
        value = self.values.get(name)
        return self.table.columns[name].type.default if value is None else value

    def scalar(self, name: str):
        """Return the only atom of the column called `name`, None when it is empty."""
        value = self.get(name)
        return value[0] if value else None


class Database:
    """A replica of the wanted columns of one database, over one connection at a time."""

    def __init__(self, schema: Schema, remote: str, tls: TlsFiles | None = None,
                 retry: bool = False, leader_only: bool = True, shuffle: bool = True) -> None:
        self.schema = schema
        self.remote = remote
        self.remotes = [part.strip() for part in remote.split(",")]
        self._tls = tls or TlsFiles()
        self._retry = retry
        self._leader_only = leader_only
        self._shuffle = shuffle
        self._connection: Connection | None = None
        self._wanted: dict[str, set[str]] = {}
        self._narrowed: dict[str, list] = {}
        self._left_out: set[tuple[str, str]] = set()
        self._lacking: set[tuple[str, str]] = set()
        self._version = 2
        self.rows: dict[str, dict[str, Row]] = {}
        self.change_number = 0

    def want(self, table: str, *columns: str) -> None:
        """Ask for `columns` of `table` (none: only which rows exist).  Before `open`."""
        if table not in self._wanted:
            self._wanted[table] = set()
            self.rows[table] = {}
        self._wanted[table].update(columns)

    def narrow(self, table: str, where: list) -> None:
        """Fetch only the rows for which a clause of `where` holds, if the server can do that.

        Before `open`.
        """
        self._narrowed[table] = where

    def leave_out(self, table: str, column: str) -> None:
        """Do not fetch a wanted column as long as the database `is_narrow`.  Before `open`."""
        self._left_out.add((table, column))

    def leaves_out(self, table: str, column: str) -> bool:
        """Is the column not fetched?"""
        return self.is_narrow and (table, column) in self._left_out

    @property
    def is_narrow(self) -> bool:
        """Are there rows that were not fetched because of `narrow`?"""
        return bool(self._narrowed) and self._version == 2

    def widen(self) -> None:
        """Fetch what `narrow` and `leave_out` did not let in."""
        self._narrowed.clear()
        self.complete()

    def complete(self) -> None:
        """Fetch what `leave_out` did not let in."""
        self._left_out.clear()
        self._connection.call("monitor_cancel", [self._monitor_id])
        self._monitor()

    @property
    def _monitor_id(self) -> list[str]:
        return ["monid", self.schema.name]

    def wants(self, table: str) -> bool:
        """Was `want` called for `table`?"""
        return table in self._wanted

    def row(self, table: str, uuid: str) -> Row | None:
        """Return the row with that UUID unless it is deleted."""
        row = self.rows[table].get(uuid)
        return None if row is None or row.is_deleted else row

    def all(self, table: str) -> list[Row]:
        """Return the rows of `table` that are not deleted."""
        return [row for row in self.rows[table].values() if not row.is_deleted]

    def first(self, table: str) -> Row | None:
        """Return any row of `table`, None when it is empty."""
        for row in self.rows[table].values():
            if not row.is_deleted:
                return row
        return None

    def open(self) -> None:
        """Connect and fetch.  Raises Fatal when that fails and no retry was asked for."""
        backoff = _BACKOFF_MIN
        while True:
            failure = self._open_any()
            if failure is None:
                return
            if not self._retry:
                raise Fatal(f"{self.remote}: database connection failed ({failure})")
            import time
            time.sleep(backoff)
            backoff = min(2 * backoff, _BACKOFF_MAX)

    def _open_any(self) -> str | None:
        remotes = list(self.remotes)
        if self._shuffle and len(remotes) > 1:
            import random
            random.shuffle(remotes)
        failure = ""
        for remote in remotes:
            try:
                self._open_one(remote)
                return None
            except RpcError:
                failure = ""                # No such database; the reference says no more.
            except (ConnectionClosed, ProtocolError):
                failure = "End of file"
            except OSError as error:
                failure = failure_of(error)
            except ValueError as error:
                failure = str(error)
            self.close()
        return failure

    def _open_one(self, remote: str) -> None:
        self._connection = open_remote(remote, self._tls)
        if self._leader_only and len(self.remotes) > 1:
            self._require_leader(remote)
        self._monitor()

    def _require_leader(self, remote: str) -> None:
        """Raise ConnectionClosed unless the server leads (or has no need of a leader)."""
        try:
            outcome = self._connection.call("transact", ["_Server", {
                "op": "select", "table": "Database", "where": [["name", "==", self.schema.name]],
                "columns": ["model", "connected", "leader"]}])
            rows = outcome[0]["rows"]
        except (RpcError, LookupError, TypeError):
            return
        if rows and rows[0]["model"] == "clustered":
            if not rows[0]["connected"]:
                LOG.log("ovsdb_cs", WARN, f"{remote}: clustered database server is disconnected "
                                          "from cluster; trying another server")
                raise ConnectionClosed(remote)
            if not rows[0]["leader"]:
                raise ConnectionClosed(remote)

    def close(self) -> None:
        """Close the connection; the rows stay."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _monitor(self) -> None:
        """Fetch the wanted columns and ask to be told of changes."""
        while True:
            requests = {}
            for table, columns in self._wanted.items():
                if (table, "") in self._lacking:
                    continue
                requests[table] = {"columns": sorted(
                    name for name in columns if (table, name) not in self._lacking
                    and not self.leaves_out(table, name))}
            try:
                if self._version == 2:
                    for table, where in self._narrowed.items():
                        requests[table]["where"] = where
                    requests = {table: [request] for table, request in requests.items()}
                method = "monitor_cond" if self._version == 2 else "monitor"
                updates = self._connection.call(
                    method, [self.schema.name, self._monitor_id, requests])
                break
            except RpcError as error:
                if error.error == "unknown method" and self._version == 2:
                    self._version = 1
                elif not self._drop_lacking():
                    raise
        for table in self.rows.values():
            table.clear()
        self._update(updates)

    def _drop_lacking(self) -> bool:
        """Learn what the server's schema lacks of what is wanted; return whether it is news."""
        theirs = self._connection.call("get_schema", [self.schema.name])["tables"]
        before = len(self._lacking)
        for table, columns in self._wanted.items():
            if table not in theirs:
                self._lacking.add((table, ""))
                LOG.log("ovsdb_idl", WARN, f"{self.schema.name} database lacks {table} table "
                                           "(database needs upgrade?)")
                continue
            for column in sorted(columns):
                if column not in theirs[table]["columns"]:
                    self._lacking.add((table, column))
                    LOG.log("ovsdb_idl", WARN, f"{table} table in {self.schema.name} database "
                                               f"lacks {column} column (database needs upgrade?)")
        return len(self._lacking) > before

    def _update(self, updates: dict) -> None:
        self.change_number += 1
        apply_row = self._apply_row_update2 if self._version == 2 else self._apply_row_update
        for table_name, row_updates in updates.items():
            table = self.schema.table(table_name)
            rows = self.rows[table_name]
            for uuid, update in row_updates.items():
                apply_row(table, rows, uuid, update)

    def _apply_row_update2(self, table: Table, rows: dict[str, Row], uuid: str,
                           update: dict) -> None:
        if "delete" in update:
            rows.pop(uuid, None)
            return
        changes = update.get("modify")
        row = rows.get(uuid)
        if changes is None or row is None:
            row = rows[uuid] = Row(table, uuid)
            changes = changes or update.get("initial") or update.get("insert") or {}
            for name, value in changes.items():
                row.values[name] = self._datum(table.columns[name], value)
            return
        for name, value in changes.items():
            column = table.columns[name]
            type_ = column.type
            relaxed = type_ if not type_.is_composite else type_.relaxed(0, None)
            old = row.values.get(name, type_.default)
            row.values[name] = apply_diff(type_, old, self._datum(column, value, relaxed))

    def _apply_row_update(self, table: Table, rows: dict[str, Row], uuid: str,
                          update: dict) -> None:
        new = update.get("new")
        if new is None:
            rows.pop(uuid, None)
            return
        row = rows.get(uuid)
        if row is None:
            row = rows[uuid] = Row(table, uuid)
        for name, value in new.items():
            row.values[name] = self._datum(table.columns[name], value)

    def _datum(self, column: Column, value, type_=None) -> tuple:
        try:
            return from_json(type_ or column.type, value)
        except OvsdbError:
            # The server's schema allows what ours does not: take it without the constraints.
            return _lenient_datum(value)

    def run(self, block: bool) -> None:
        """Take the messages that arrived; with `block` wait for at least one.

        Raises ConnectionClosed, OSError, ProtocolError when the connection breaks.
        """
        timeout = None if block else 0
        while True:
            try:
                message = self._connection.receive(timeout)
            except TimeoutError:
                return
            if message.kind == NOTIFICATION:
                self._notice(message)
            timeout = 0

    def _notice(self, message) -> None:
        if message.method in ("update2", "update") and len(message.params) == 2:
            self._update(message.params[1])

    def wait_for_change(self) -> None:
        """Return when the replica has changed.  Raises Fatal when the connection breaks."""
        number = self.change_number
        while self.change_number == number:
            try:
                self.run(True)
            except (ConnectionClosed, ProtocolError):
                self.lose("End of file")
            except OSError as error:
                self.lose(failure_of(error))

    def keep_connected(self) -> None:
        """From now on reconnect when the connection breaks."""
        self._retry = True

    def lose(self, failure: str) -> None:
        """Deal with a broken connection: reconnect if wanted, else raise Fatal."""
        self.close()
        if not self._retry:
            raise Fatal(f"{self.remote}: database connection failed ({failure})")
        self.open()

    def call(self, method: str, params: list):
        """Send a request and return its result.  Raises RpcError, and as `run`."""
        return self._connection.call(method, params)

    def transact(self, operations: list) -> list | dict | str:
        """Send operations; return the results, or the error the server answered with.

        Updates that precede the reply are taken first.  Raises as `run`.
        """
        id = self._connection.send_request("transact", [self.schema.name, *operations])
        while True:
            message = self._connection.receive()
            if message.kind == NOTIFICATION:
                self._notice(message)
            elif message.kind == REPLY and message.id == id:
                return message.result
            elif message.kind == ERROR and message.id == id:
                return message.error


def _lenient_datum(value) -> tuple:
    def atom(json):
        return json[1] if type(json) is list else json
    if type(value) is list and value[0] == "set":
        return tuple(sorted(map(atom, value[1])))
    if type(value) is list and value[0] == "map":
        return tuple(sorted((atom(pair[0]), atom(pair[1])) for pair in value[1]))
    return (atom(value),)


class _Index:
    """Finds rows by the only atom of a column; follows new rows, which come last.

    Whoever writes the column of a row that is already here must drop the index.
    """

    def __init__(self, rows: dict[str, Row], column: str) -> None:
        self._rows = rows
        self._column = column
        self._n_seen = 0
        self._found: dict[object, list[Row]] = {}

    def find(self, atom) -> list[Row]:
        """Return the rows, at most two."""
        if len(self._rows) != self._n_seen:
            self._follow()
        found = self._found.get(atom, [])
        return [row for row in found if not row.is_deleted][:2]

    def _follow(self) -> None:
        if len(self._rows) < self._n_seen:
            self._found.clear()
            self._n_seen = 0
        for row in islice(self._rows.values(), self._n_seen, None):
            value = row.get(self._column)
            if len(value) == 1:
                self._found.setdefault(value[0], []).append(row)
        self._n_seen = len(self._rows)


class Transaction:
    """Changes to commit together, against the replica as it is now."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.is_dry_run = False
        self.comments: list[str] = []
        self.error = ""
        self.real_uuids: dict[str, str] = {}
        self.incremented: int | None = None
        self._increment: tuple[Row, str] | None = None
        self._touched: dict[Row, None] = {}
        self._inserted: dict[str, Row] = {}
        self._absent: set[tuple[str, str, str]] = set()
        self._indexes: dict[tuple[str, str], _Index] = {}

    def find(self, table: str, column: str, atom) -> list[Row]:
        """Return the rows (at most two) whose `column` is exactly `atom`."""
        index = self._indexes.get((table, column))
        if index is None:
            index = self._indexes[table, column] = _Index(self.database.rows[table], column)
        return index.find(atom)

    def insert(self, table: Table, uuid: str | None = None, chosen: bool = False) -> Row:
        """Add a row.  `uuid` names it within the transaction; `chosen` makes it the real one."""
        row = Row(table, uuid or random_uuid(), is_new=True)
        row.chosen_uuid = chosen
        row.written = {}
        self.database.want(table.name)
        self.database.rows[table.name][row.uuid] = row
        self._inserted[row.uuid] = row
        self._touched[row] = None
        return row

    def write(self, row: Row, column: Column | str, datum: tuple) -> None:
        """Set the whole value of a column."""
        name = column if type(column) is str else column.name
        if row.written is None:
            row.written = {}
        row.written[name] = datum
        if row.mutations is not None:
            row.mutations.pop(name, None)
        if self._indexes:
            self._indexes.pop((row.table.name, name), None)
        self._touched[row] = None

    def mutate(self, row: Row, column: Column, datum: tuple, steps: list) -> None:
        """Set a column by `steps` [(mutator, JSON value)] that lead to `datum`."""
        name = column.name
        is_written = row.written is not None and name in row.written
        if row.is_new or is_written and (row.mutations is None or name not in row.mutations):
            self.write(row, column, datum)
            return
        if row.written is None:
            row.written = {}
        row.written[name] = datum
        if row.mutations is None:
            row.mutations = {}
        row.mutations.setdefault(name, []).extend(steps)
        self._touched[row] = None

    def force(self, row: Row, column: str, datum: tuple) -> None:
        """Set a column and send it even if it does not change."""
        self.write(row, column, datum)
        row.is_forced = True

    def verify(self, row: Row, column: Column | str) -> None:
        """Let the commit fail (and be tried again) if the column has changed meanwhile."""
        if row.is_new:
            return
        name = column if type(column) is str else column.name
        if row.verified is None:
            row.verified = set()
        row.verified.add(name)
        self._touched[row] = None

    def verify_absence(self, table: str, column: str, text: str) -> None:
        """Let the commit fail (and be tried again) if a row has `text` in `column` by then."""
        self._absent.add((table, column, text))

    def delete(self, row: Row) -> None:
        """Remove a row; of a table that is not in the root set, the server decides."""
        row.is_deleted = True
        if row.is_new:
            self._touched.pop(row, None)
            self._inserted.pop(row.uuid, None)
            self.database.rows[row.table.name].pop(row.uuid, None)
            self._indexes.clear()
        else:
            self._touched[row] = None

    def increment(self, row: Row, column: str) -> None:
        """If the commit changes anything, also add 1 to `column`; see `incremented`."""
        self._increment = (row, column)

    def forget(self) -> None:
        """Take back everything from the replica."""
        self._indexes.clear()
        self._absent.clear()
        for row in self._touched:
            row.written = row.mutations = row.verified = None
            row.is_deleted = row.is_forced = False
        for row in self._inserted.values():
            self.database.rows[row.table.name].pop(row.uuid, None)
        self._touched.clear()
        self._inserted.clear()

    def commit(self) -> str:
        """Send the changes; return UNCHANGED, SUCCESS, TRY_AGAIN, FAILURE or NOT_LOCKED.

        After FAILURE `error` says what was wrong.  The replica forgets what was written: the
        server's update says what came of it.  Raises as Database.run.
        """
        operations, inserts, counter = self._compose()
        if not operations:
            self.forget()
            return UNCHANGED
        if self.is_dry_run:
            operations.append({"op": "abort"})
        results = self.database.transact(operations)
        status = self._judge(results)
        if status == SUCCESS and not self.is_dry_run:
            for index, row in inserts:
                self.real_uuids[row.uuid] = results[index]["uuid"][1]
            if counter is not None:
                self.incremented = results[counter]["rows"][0][self._increment[1]]
        self.forget()
        return status

    def rehearse(self, execute) -> str:
        """Do as `commit`, but have `execute(operations)` return the results; change nothing."""
        operations, _, _ = self._compose()
        status = self._judge(execute(operations)) if operations else UNCHANGED
        self.forget()
        return status

    def _compose(self) -> tuple[list[dict], list[tuple[int, Row]], int | None]:
        """Return the operations that make the changes, [] when there are none.

        Also: [(place of an insert, its row)], and the place of the select of what is incremented.
        """
        changes: list[dict] = []
        inserts: list[tuple[int, Row]] = []
        for row in self._touched:
            if row.is_new:
                inserts.append((len(changes), row))
            self._add_changes(row, changes)
        if not changes:
            return [], [], None
        operations = self._conditions()
        inserts = [(len(operations) + place, row) for place, row in inserts]
        operations += changes
        counter = None
        if self._increment is not None:
            row, column = self._increment
            target = {"table": row.table.name, "where": self._where(row)}
            operations.append({"op": "mutate", **target, "mutations": [[column, "+=", 1]]})
            counter = len(operations)
            operations.append({"op": "select", **target, "columns": [column]})
        if self.comments:
            operations.append({"op": "comment", "comment": "\n".join(self.comments)})
        return operations, inserts, counter

    def _conditions(self) -> list[dict]:
        """Return the wait operations that fail when what was read has changed."""
        operations = [{"op": "wait", "table": table, "timeout": 0, "until": "==", "rows": [],
                       "where": [[column, "==", text]], "columns": [column]}
                      for table, column, text in sorted(self._absent)]
        for row in self._touched:
            # Another client may have made the only row meanwhile.
            if row.is_new and row.table.max_rows == 1 and len(
                    self.database.rows[row.table.name]) == 1:
                operations.append({"op": "wait", "table": row.table.name, "timeout": 0,
                                   "where": [], "until": "==", "rows": []})
            if not row.verified:
                continue
            names = sorted(name for name in row.verified)
            values = {}
            for name in names:
                column = row.table.columns[name]
                values[name] = to_json(column.type, row.values.get(name, column.type.default))
            operations.append({"op": "wait", "table": row.table.name, "timeout": 0,
                               "where": self._where(row), "until": "==", "columns": names,
                               "rows": [values]})
        return operations

    def _add_changes(self, row: Row, operations: list[dict]) -> None:
        if row.is_deleted:
            if row.table.is_root:
                operations.append({"op": "delete", "table": row.table.name,
                                   "where": self._where(row)})
            return
        if row.is_new:
            values = {name: self._json(row, name, datum) for name, datum in row.written.items()
                      if not is_default(row.table.columns[name].type, datum)}
            operation = {"op": "insert", "table": row.table.name, "row": values,
                         "uuid-name": _uuid_name(row.uuid)}
            if row.chosen_uuid:
                operation["uuid"] = row.uuid
            operations.append(operation)
            return
        if row.written is None:
            return
        values, mutations = {}, []
        for name, datum in row.written.items():
            default = row.table.columns[name].type.default
            is_mutated = row.mutations is not None and name in row.mutations
            if datum == row.values.get(name, default) and not row.is_forced and not is_mutated:
                continue
            if is_mutated:
                mutations.extend([name, mutator, argument]
                                 for mutator, argument in row.mutations[name])
            else:
                values[name] = self._json(row, name, datum)
        target = {"table": row.table.name, "where": self._where(row)}
        if values:
            operations.append({"op": "update", **target, "row": values})
        if mutations:
            operations.append({"op": "mutate", **target, "mutations": mutations})

    def _where(self, row: Row) -> list:
        return [["_uuid", "==", self.reference(row.uuid)]]

    def reference(self, uuid: str) -> list:
        """Return the JSON atom that names a row, perhaps one of this transaction."""
        if uuid in self._inserted:
            return ["named-uuid", _uuid_name(uuid)]
        return ["uuid", uuid]

    def json_of(self, column: Column, datum: tuple):
        """Return the JSON value of a datum, with named-uuid for rows of this transaction."""
        type_ = column.type
        key_kind = type_.key.type
        value_kind = None if type_.value is None else type_.value.type
        if key_kind != UUID_TYPE and value_kind != UUID_TYPE:
            return to_json(type_, datum)
        if value_kind is None:
            atoms = [self.reference(atom) for atom in datum]
            return atoms[0] if len(atoms) == 1 else ["set", atoms]

        def atom_json(kind: str, atom):
            return self.reference(atom) if kind == UUID_TYPE else to_json_atom(kind, atom)
        return ["map", [[atom_json(key_kind, key), atom_json(value_kind, value)]
                        for key, value in datum]]

    def _json(self, row: Row, name: str, datum: tuple):
        return self.json_of(row.table.columns[name], datum)

    def _judge(self, results) -> str:
        if not isinstance(results, list):
            self.error = json_text(results)
            return FAILURE
        status = SUCCESS
        for result in results:
            if not isinstance(result, dict) or "error" not in result:
                continue
            match result["error"]:
                case "timed out" | "resources exhausted":
                    if status == SUCCESS:
                        status = TRY_AGAIN
                case "not owner":
                    status = NOT_LOCKED if status != FAILURE else status
                case "aborted":
                    pass
                case _:
                    if status != FAILURE:
                        self.error = json_text(result)
                    status = FAILURE
        return status


def _uuid_name(uuid: str) -> str:
    return "row" + uuid.replace("-", "_")
