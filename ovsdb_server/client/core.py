"""The machine inside a replica: JSON-RPC messages in, requests and row changes out; no I/O.

It finds out about the server (`_Server`), monitors the wanted columns of one database in the best
way the server offers (monitor_cond_since, monitor_cond, monitor), keeps the rows, and asks for a
lock.  The edge (`replica.py`) connects, carries bytes and keeps time.

    core.opened()                     a connection is open
    core.receive(message)             a message came
    core.closed()                     the connection ended; the rows stay
    core.take_output() -> list        Request values to send, in order
    core.take_changes() -> Changes    net row changes since the last call
    core.complaint                    why to drop this connection, or ""

A row is a read-only mapping {column: datum} with the wanted columns; a datum is as in
`engine.datum`.  Columns that the server does not have hold their default.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ovsdb_server.engine import datum
from ovsdb_server.engine.atom import ZERO_UUID
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.pace import Paced, at_once
from ovsdb_server.engine.schema import Column, DatabaseSchema, Table
from ovsdb_server.rpc.message import ERROR, NOTIFICATION, REPLY, REQUEST, Message

Row = Mapping[str, datum.Datum]
Rows = dict[str, dict[str, Row]]
Changes = dict[str, dict[str, tuple[Row | None, Row | None]]]

_MONITOR_ID = "data"
_SERVER_MONITOR_ID = "server"

# Ways to monitor, best first; a server that lacks one answers "unknown method".
_METHODS = ("monitor_cond_since", "monitor_cond", "monitor")


# A message with more rows takes long.
_MANY = 500


class Request(NamedTuple):
    """A message to send: a request, or a notification or reply when `id` says so."""

    method: str
    params: object
    id: object
    is_reply: bool = False


class Core:
    """The state of one replica.

    Args: `schema`, our own idea of the database (defaults of columns that the server lacks);
    `columns` {table: names}, what to monitor (None: every column of every table of `schema`);
    `lock`, a name to own, or None; `leader_only`, refuse a clustered server that follows.

    `last_id` of the last transaction the server told of, all zeros where there are no such ids;
    `n_dumps`: how often did a server send everything?
    """

    def __init__(self, schema: DatabaseSchema, columns: Mapping[str, tuple[str, ...]] | None = None,
                 lock: str | None = None, leader_only: bool = True) -> None:
        self.schema = schema
        self.columns = {name: tuple(names) for name, names in columns.items()} if (
            columns is not None) else {
            table.name: tuple(column.name for column in table.named_columns)
            for table in schema.tables.values()}
        self.rows: Rows = {name: {} for name in self.columns}
        self.server_schema: DatabaseSchema | None = None
        self.is_synced = False
        self.complaint = ""
        self.has_lock = False
        self.is_waiting_for_lock = False
        self.is_lock_contended = False      # The server said that somebody else owns it.
        self._lock = lock
        self._leader_only = leader_only
        self._output: list[Request] = []
        self._changes: Changes = {}
        self._expected: dict[object, str] = {}
        self._next_id = 0
        self._method = 0
        self.last_id = ZERO_UUID
        self.n_dumps = 0
        self._min_index = 0
        self._server_rows: dict[str, dict] = {}
        self._relaxed: dict[Column, object] = {}
        self._paced: Paced = at_once

    # The edge's verbs.

    def opened(self) -> None:
        """A new connection is open: ask who the server is."""
        self.complaint = ""
        self._expected.clear()
        self._server_rows.clear()
        self._method = 0
        self._send("set_db_change_aware", [True], "aware")
        self._send("monitor_cond", ["_Server", _SERVER_MONITOR_ID, {"Database": [{"columns": [
            "name", "model", "connected", "leader", "schema", "index"]}]}], "server")

    def closed(self) -> None:
        """The connection ended."""
        self.is_synced = False
        self.has_lock = self.is_waiting_for_lock = self.is_lock_contended = False
        self._output.clear()
        self._expected.clear()

    def take_output(self) -> list[Request]:
        output, self._output = self._output, []
        return output

    def take_changes(self) -> Changes:
        """Return {table: {uuid: (old, new)}} since the last call; None where there is no row."""
        changes, self._changes = self._changes, {}
        return changes

    def receive(self, message: Message, paced: Paced = at_once) -> bool:
        """Take one message; return whether it was ours (else: a reply to the edge's request).

        Between two things of `paced` the rows are not of one moment, and nobody may look at them.
        """
        self._paced = paced
        match message.kind:
            case "request":
                if message.method == "echo":
                    self._output.append(Request("", message.params, message.id, True))
            case "notification":
                self._note(message)
            case _:
                step = self._expected.pop(message.id, None)
                if step is None:
                    return False
                self._reply(step, message)
        return True

    def receive_large(self, message: Message, paced: Paced) -> bool:
        """Do as `receive`, and take apart a message that `is_large`: its end takes long, too."""
        is_ours = self.receive(message, paced)
        if is_ours:
            for rows in _tables(message):
                for _ in paced(range(len(rows))):
                    rows.popitem()
        return is_ours

    @staticmethod
    def is_large(message: Message) -> bool:
        """Does a message tell of so many rows that it takes long to receive it?"""
        return _MANY < sum(map(len, _tables(message)))

    def new_id(self) -> int:
        """Return a request id that is not in use."""
        self._next_id += 1
        return self._next_id

    # Steps of the dialogue.

    def _send(self, method: str, params: list, step: str) -> None:
        id = self.new_id()
        self._expected[id] = step
        self._output.append(Request(method, params, id))

    def _reply(self, step: str, message: Message) -> None:
        is_error = message.kind == ERROR
        try:
            match step:
                case "server":
                    if is_error:
                        # A server from before `_Server`: it has what it has.
                        self._ask_schema()
                    else:
                        self._update_server(message.result)
                case "schema":
                    if is_error:
                        self.complaint = f"{self.schema.name} database: {_text(message.error)}"
                    else:
                        self.server_schema = DatabaseSchema.from_json(message.result)
                        self._ask_data()
                case "data":
                    self._take_data_reply(message)
                case "lock":
                    self.has_lock = not is_error and bool(message.result.get("locked"))
                    self.is_waiting_for_lock = self.is_lock_contended = not self.has_lock
        except (OvsdbError, TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            self.complaint = f"malformed reply from server: {error}"

    def _is_recent(self, row: dict) -> bool:
        """Has the server got at least what servers of its cluster told us already?"""
        index = row.get("index")
        if row.get("model") != "clustered" or type(index) is not int:
            return True
        is_recent = index >= self._min_index
        self._min_index = max(self._min_index, index)
        return is_recent

    def _ask_schema(self) -> None:
        self._send("get_schema", [self.schema.name], "schema")

    def _update_server(self, updates: dict) -> None:
        """Take rows of `_Server`, and judge whether this server will do."""
        for uuid, update in updates.get("Database", {}).items():
            for kind, row in update.items():
                if kind == "delete":
                    self._server_rows.pop(uuid, None)
                elif kind == "modify":
                    self._server_rows.setdefault(uuid, {}).update(row)
                else:
                    self._server_rows[uuid] = dict(row)
        ours = [row for row in self._server_rows.values() if row.get("name") == self.schema.name]
        if not ours:
            self.complaint = f"server does not have {self.schema.name} database"
            return
        row = ours[0]
        model = row.get("model", "clustered")
        if row.get("connected") is not True:
            self.complaint = "clustered database server is disconnected from cluster"
        elif model == "clustered" and self._leader_only and row.get("leader") is not True:
            self.complaint = "clustered database server is not cluster leader"
        elif not self._is_recent(row):
            self.complaint = "clustered database server has stale data"
        elif not self.is_synced and "data" not in self._expected.values() and (
                "schema" not in self._expected.values()):
            self._ask_schema()

    def _ask_data(self) -> None:
        """Monitor the wanted columns that the server has."""
        requests = {}
        for name, names in self.columns.items():
            table = self.server_schema.tables.get(name)
            if table is not None:
                requests[name] = [{"columns": [c for c in names if c in table.columns]}]
        method = _METHODS[self._method]
        params: list = [self.schema.name, _MONITOR_ID, requests]
        if method == "monitor_cond_since":
            params.append(self.last_id)
        self._send(method, params, "data")

    def _take_data_reply(self, message: Message) -> None:
        if message.kind == ERROR:
            if message.error == "unknown method" and self._method + 1 < len(_METHODS):
                self._method += 1
                self._ask_data()
            else:
                self.complaint = f"monitoring failed: {_text(message.error)}"
            return
        match _METHODS[self._method]:
            case "monitor_cond_since":
                is_found, last_id, updates = message.result
                if is_found:
                    self._apply2(updates)
                else:
                    self._replace(updates, self._row2)
                self.last_id = last_id
            case "monitor_cond":
                self._replace(message.result, self._row2)
                self.last_id = ZERO_UUID
            case _:
                self._replace(message.result, self._row1)
                self.last_id = ZERO_UUID
        self.is_synced = True
        if self._lock is not None and not self.has_lock and not self.is_waiting_for_lock:
            self.is_waiting_for_lock = True
            self._send("lock", [self._lock], "lock")

    def _note(self, message: Message) -> None:
        params = message.params
        try:
            match message.method:
                case "update3" if params[0] == _MONITOR_ID:
                    self._apply2(params[2])
                    self.last_id = params[1]
                case "update2" if params[0] == _MONITOR_ID:
                    self._apply2(params[1])
                case "update2" if params[0] == _SERVER_MONITOR_ID:
                    self._note_server(params[1])
                case "update" if params[0] == _MONITOR_ID:
                    self._apply1(params[1])
                case "monitor_canceled" if params[0] == _MONITOR_ID:
                    # Another schema, or the end of the database: the reply tells which.
                    self.is_synced = False
                    self._ask_schema()
                case "locked" if params == [self._lock]:
                    self.has_lock, self.is_waiting_for_lock = True, False
                    self.is_lock_contended = False
                case "stolen" if params == [self._lock]:
                    self.has_lock, self.is_waiting_for_lock = False, True
                    self.is_lock_contended = True
        except (OvsdbError, TypeError, KeyError, ValueError, AttributeError, IndexError) as error:
            self.complaint = f"malformed update from server: {error}"

    def _note_server(self, updates: dict) -> None:
        schemas = {row.get("schema") for row in self._server_rows.values()
                   if row.get("name") == self.schema.name}
        self._update_server(updates)
        after = {row.get("schema") for row in self._server_rows.values()
                 if row.get("name") == self.schema.name}
        if self.is_synced and schemas != after and not self.complaint:
            self.complaint = "database schema changed"

    # Rows.

    def _replace(self, updates: dict, read) -> None:
        """Make the rows those of a full dump, and the changes what differs from before."""
        paced = self._paced
        for name, table_rows in self.rows.items():
            fresh = {uuid: read(name, update)
                     for uuid, update in paced(updates.get(name, {}).items())}
            for uuid in paced([uuid for uuid in table_rows if uuid not in fresh]):
                self._put(name, uuid, None)
            for uuid, row in paced(fresh.items()):
                if table_rows.get(uuid) != row:
                    self._put(name, uuid, row)
        self.n_dumps += 1

    def _put(self, name: str, uuid: str, row: Row | None) -> None:
        table_rows = self.rows[name]
        old = table_rows.get(uuid)
        if row is None:
            table_rows.pop(uuid, None)
        else:
            table_rows[uuid] = row
        changes = self._changes.setdefault(name, {})
        if uuid in changes:
            old = changes[uuid][0]
        if old is None and row is None:
            changes.pop(uuid, None)
        else:
            changes[uuid] = (old, row)

    def _apply1(self, updates: dict) -> None:
        for name, rows in updates.items():
            for uuid, update in self._paced(rows.items()):
                self._put(name, uuid, self._row1(name, update) if "new" in update else None)

    def _apply2(self, updates: dict) -> None:
        for name, rows in updates.items():
            for uuid, update in self._paced(rows.items()):
                if "delete" in update:
                    self._put(name, uuid, None)
                elif "modify" in update:
                    self._put(name, uuid, self._modified(name, uuid, update["modify"]))
                else:
                    self._put(name, uuid, self._row2(name, update))

    def _default_row(self, name: str) -> dict:
        """Return what the wanted columns hold where nothing is said."""
        row = {}
        theirs = self.server_schema.tables.get(name)
        ours = self.schema.tables[name]
        for column_name in self.columns[name]:
            column = theirs.columns.get(column_name) if theirs is not None else None
            row[column_name] = (column or ours.columns[column_name]).type.default
        return row

    def _row1(self, name: str, update: dict) -> Row:
        return self._read(name, update["new"])

    def _row2(self, name: str, update: dict) -> Row:
        return self._read(name, update["initial"] if "initial" in update else update["insert"])

    def _read(self, name: str, json: dict) -> Row:
        row = self._default_row(name)
        columns = self.server_schema.tables[name].columns
        for column_name, value in json.items():
            row[column_name] = datum.from_json(columns[column_name].type, value)
        return MappingProxyType(row)

    def _modified(self, name: str, uuid: str, json: dict) -> Row:
        row = dict(self.rows[name][uuid])
        columns = self.server_schema.tables[name].columns
        for column_name, value in json.items():
            column = columns[column_name]
            if column.type.is_composite:
                difference = datum.from_json(self._relaxed_type(column), value)
                row[column_name] = datum.apply_diff(column.type, row[column_name], difference)
            else:
                row[column_name] = datum.from_json(column.type, value)
        return MappingProxyType(row)

    def _relaxed_type(self, column: Column):
        if column not in self._relaxed:
            self._relaxed[column] = column.type.relaxed(0, None)
        return self._relaxed[column]

    def table(self, name: str) -> Table | None:
        """Return the table as the server has it, or None if it lacks it."""
        return self.server_schema.tables.get(name) if self.server_schema is not None else None


def _text(error: object) -> str:
    if isinstance(error, dict):
        return f"{error.get('error')}: {error.get('details')}"
    return str(error)


def _tables(message: Message) -> list[dict]:
    """Return what may be the changes of each table that a message tells of."""
    updates = message.result if message.kind == REPLY else message.params
    if type(updates) is list and updates:
        updates = updates[-1]
    return ([rows for rows in updates.values() if type(rows) is dict]
            if type(updates) is dict else [])


__all__ = ["Changes", "Core", "NOTIFICATION", "REPLY", "REQUEST", "Request", "Row", "Rows"]
