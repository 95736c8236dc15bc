"""The commands monitor, monitor-cond and monitor-cond-since: print contents and their changes."""

import select
import time

from ovsdb_server.engine.atom import ZERO_UUID, is_uuid
from ovsdb_server.engine.condition import parse_condition
from ovsdb_server.engine.datum import from_json
from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.schema import Column
from ovsdb_server.engine.schema import Table as SchemaTable
from ovsdb_server.rpc.blocking import ConnectionClosed, ProtocolError
from ovsdb_server.rpc.message import NOTIFICATION, REPLY, REQUEST
from utilities.command_line import Fatal, flush_output, write_text
from ovsdb_server.engine.json_complaint import JsonError, read_json
from utilities.ovsdb_client.session import Session
from utilities.remote import failure_of
from utilities.table import Table


class _Monitored:
    """A monitored table: its columns in the order in which they are printed."""

    __slots__ = ("table", "columns")

    def __init__(self, table: SchemaTable, columns: list[Column]) -> None:
        self.table = table
        self.columns = columns


_SELECTS = ("!initial", "!insert", "!delete", "!modify")


def monitor(session: Session, arguments: list[str]) -> None:
    _watch(session, 1, arguments)


def monitor_cond(session: Session, arguments: list[str]) -> None:
    _watch(session, 2, arguments[1:], arguments[0])


def monitor_cond_since(session: Session, arguments: list[str]) -> None:
    last_id = ZERO_UUID
    if len(arguments) > 2 and is_uuid(arguments[0]):
        last_id = arguments.pop(0)
    _watch(session, 3, arguments[1:], arguments[0], last_id)


def _parse_groups(session: Session, table: SchemaTable, groups: list[str], where: list | None
                  ) -> tuple[_Monitored, list[dict]]:
    """Read the arguments COLUMN[,COLUMN]...; return what to print and the requests to send."""
    columns: list[Column] = []
    requests = []
    for group in groups or [""]:
        words = [word for word in group.split(",") if word]
        select = {word[1:]: False for word in words if word in _SELECTS}
        names = [word for word in words if word not in _SELECTS]
        for name in names:
            if name not in table.columns:
                raise Fatal(f'{session.server}: table "{table.name}" in {session.database} does '
                            f'not have a column named "{name}"')
        if not names:
            names = [column.name for column in (*table.named_columns,
                                                table.columns["_version"])]
        for name in names:
            column = table.columns[name]
            if column in columns:
                raise Fatal(f'{session.server}: column "{name}" mentioned multiple times')
            columns.append(column)
        request: dict = {"columns": names}
        if where is not None:
            request["where"] = where
        if select:
            request["select"] = select
        requests.append(request)
    return _Monitored(table, columns), requests


def _watch(session: Session, version: int, arguments: list[str], condition: str | None = None,
           last_id: str = ZERO_UUID) -> None:
    """Monitor, print, go to the background if wanted, and print until the end."""
    schema = session.fetch_schema()
    name, groups = arguments[0], arguments[1:]
    where = None
    if condition is not None:
        if name not in schema.tables:
            raise Fatal(f'{session.database} does not have a table named "{name}"')
        try:
            where = read_json(condition)
        except JsonError as error:
            raise Fatal(f'"{condition}": {error}') from None
    monitored: dict[str, _Monitored] = {}
    requests = {}
    if name == "ALL" and version == 1:
        for table in schema.tables.values():
            monitored[table.name], requests[table.name] = _parse_groups(session, table, groups,
                                                                        None)
    else:
        if name not in schema.tables:
            raise Fatal(f'{session.server}: {session.database} does not have a table named '
                        f'"{name}"')
        table = schema.tables[name]
        if where is not None:
            try:
                if not isinstance(where, list):
                    raise OvsdbError("syntax error", "array expected", json_text(where))
                parse_condition(table, where, None)
            except OvsdbError as error:
                raise Fatal(str(error)) from None
        monitored[name], requests[name] = _parse_groups(session, table, groups, where)
    if session.is_change_aware is not False:
        session.set_change_aware(session.is_change_aware is True)
    session.start_background()
    params: list = [session.database, [session.database, 0], requests]
    if version == 3:
        params.append(last_id)
    method = ("monitor", "monitor_cond", "monitor_cond_since")[version - 1]
    watcher = Watcher(session, version, monitored)
    request_id = session.connection.send_request(method, params)
    watcher.run(request_id)


class Watcher:
    """Reads messages of the server and commands of the control socket, and prints."""

    def __init__(self, session: Session, version: int,
                 monitored: dict[str, _Monitored]) -> None:
        self.session = session
        self.connection = session.connection
        self.version = version
        self.monitored = monitored
        self.control = None
        self.is_blocked = False
        self.is_finished = False
        self._has_initial = False

    def run(self, request_id: object) -> None:
        """Handle messages until the connection or a command ends it."""
        self.control = self.session.open_control(self.commands())
        while not self.is_finished:
            try:
                message = self.connection.receive(0)
            except TimeoutError:
                flush_output()
                self._wait()
                continue
            except (ConnectionClosed, ProtocolError):
                raise Fatal(f"{self.session.server}: receive failed (End of file)") from None
            except OSError as error:
                raise Fatal(f"{self.session.server}: receive failed "
                            f"({failure_of(error)})") from None
            self._handle(message, request_id)
            while self.is_blocked and not self.is_finished:
                self._wait()
        flush_output()

    def commands(self) -> dict:
        """Return what the control socket understands, see `Background.open_control`."""
        return {"exit": ("", 0, 0, self._exit),
                "ovsdb-client/block": ("", 0, 0, self._block),
                "ovsdb-client/unblock": ("", 0, 0, self._unblock),
                "ovsdb-client/cond_change": ("TABLE COND", 2, 2, self._change_condition)}

    def _exit(self, arguments: list[str]) -> tuple[str | None, str | None]:
        self.is_finished = True
        return "", None

    def _block(self, arguments: list[str]) -> tuple[str | None, str | None]:
        if self.is_blocked:
            return None, "already blocking"
        self.is_blocked = True
        return "", None

    def _unblock(self, arguments: list[str]) -> tuple[str | None, str | None]:
        if not self.is_blocked:
            return None, "already unblocked"
        self.is_blocked = False
        return "", None

    def _change_condition(self, arguments: list[str]) -> tuple[str | None, str | None]:
        name, text = arguments
        try:
            where = read_json(text)
        except JsonError as error:
            return None, f"parse cond error: {error}"
        monitor_id = [self.session.database, 0]
        self.connection.send_request(
            "monitor_cond_change", [monitor_id, monitor_id, {name: [{"where": where}]}])
        return "condition changed", None

    def _wait(self) -> None:
        poll = select.poll()
        if not self.is_blocked:
            poll.register(self.connection, select.POLLIN)
        fds = self.control.fds() if self.control is not None else []
        for fd in fds:
            poll.register(fd, select.POLLIN)
        events = poll.poll()
        ready = {fd for fd, _ in events}
        if self.control is not None:
            self.control.take(ready)

    def _handle(self, message, request_id: object) -> None:
        if message.kind == REPLY and message.id == request_id:
            self._take_reply(message.result)
            if not self._has_initial:
                self._has_initial = True
                self.session.go_background()
        elif message.kind not in (REPLY, NOTIFICATION, REQUEST) and message.id == request_id:
            raise Fatal(f"transaction returned error: {json_text(message.error)}")
        elif message.kind == NOTIFICATION:
            self._take_notification(message)

    def _take_reply(self, result) -> None:
        if self.version == 3:
            if not isinstance(result, list):
                raise Fatal("<result> is not array")
            if len(result) != 3:
                raise Fatal(f"<result> should have 3 elements, but has {len(result)}.")
            found = "true" if result[0] else "false"
            write_text(f"found: {found}, last_id: {result[1]}\n")
            result = result[2]
        self._print_updates(result, is_initial=True)

    def _take_notification(self, message) -> None:
        params = message.params
        match message.method:
            case "update" | "update2" if len(params) == 2:
                self._print_updates(params[1], False)
            case "update3" if len(params) == 3:
                write_text(f"\nlast_id: {params[1]}")
                self._print_updates(params[2], False)
            case "monitor_canceled":
                raise Fatal(f"{self.session.server}: {self.session.database} database was "
                            "removed")

    def _print_updates(self, updates, is_initial: bool) -> None:
        if not isinstance(updates, dict):
            raise Fatal("<table-updates> is not object")
        for name in self.monitored:
            rows = updates.get(name)
            if rows is None:
                continue
            monitored = self.monitored[name]
            table = Table(["row", "action", *(column.name for column in monitored.columns)],
                          name if len(self.monitored) > 1 else None)
            if self.session.has_timestamps:
                now = time.time()
                table.timestamp = (time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
                                   + f".{int(now * 1000) % 1000:03d}")
            for uuid, update in rows.items():
                add = self._add_update if self.version == 1 else self._add_update2
                add(table, monitored, uuid, update, is_initial)
            if table.rows:
                self.session.printer.print(table)

    def _add_update(self, table: Table, monitored: _Monitored, uuid: str, update: dict,
                    is_initial: bool) -> None:
        old, new = update.get("old"), update.get("new")
        if is_initial:
            self._add_row(table, monitored, uuid, "initial", new)
        elif old is None:
            self._add_row(table, monitored, uuid, "insert", new)
        elif new is None:
            self._add_row(table, monitored, uuid, "delete", old)
        else:
            self._add_row(table, monitored, uuid, "old", old)
            self._add_row(table, monitored, "", "new", new)

    def _add_update2(self, table: Table, monitored: _Monitored, uuid: str, update: dict,
                     is_initial: bool) -> None:
        for action in ("initial", "insert", "delete", "modify"):
            if action in update:
                self._add_row(table, monitored, uuid, action, update[action] or {})

    def _add_row(self, table: Table, monitored: _Monitored, uuid: str, action: str,
                 row: dict) -> None:
        cells: list = [uuid, action]
        for column in monitored.columns:
            value = row.get(column.name)
            if value is None:
                cells.append(None)
                continue
            try:
                cells.append((column.type, from_json(column.type, value)))
            except OvsdbError:
                cells.append((None, value))         # A difference that is no value by itself.
        table.rows.append(cells)
