"""ovsdb-client: asks a database server questions, one request per run, or watches it.

The commands are rows of a table: what they need (only a server, a connection, or also a
database) and how many arguments they take.  Watching (monitor*, lock*) can go to the background
with --detach, where a control socket answers.

Start-up matters: what only backup, restore or --detach need is imported there.
"""

import os
import sys
import time

from ovsdb_server.engine.atom import is_uuid
from ovsdb_server.engine.condition import parse_condition
from ovsdb_server.engine.datum import from_json, to_json
from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.schema import Column, DatabaseSchema
from ovsdb_server.engine.schema import Table as SchemaTable
from ovsdb_server.rpc import address
from ovsdb_server.rpc.blocking import Connection, ConnectionClosed, ProtocolError, RpcError
from ovsdb_server.rpc.message import NOTIFICATION, REPLY, REQUEST
from utilities.command_line import (INFO, LOG, NO_ARGUMENT, OPTIONAL_ARGUMENT, REQUIRED_ARGUMENT,
                                    TABLE_OPTIONS, TLS_OPTIONS, VERBOSE_OPTIONS, WARN, Fatal,
                                    TlsFiles, apply_log_option, default_remote, flush_output,
                                    log_directory, parse_options, parse_seconds, print_version,
                                    run_directory, run_tool, time_limit, write_text)
from utilities.json_input import JsonError, parse_json
from utilities.remote import open_remote
from utilities.table import Printer, Style, Table, pretty_json

PROGRAM = "ovsdb-client"
ZERO_UUID = "00000000-0000-0000-0000-000000000000"

_DAEMON_OPTIONS = (
    ("detach", NO_ARGUMENT, ""), ("no-chdir", NO_ARGUMENT, ""),
    ("no-self-confinement", NO_ARGUMENT, ""), ("pidfile", OPTIONAL_ARGUMENT, ""),
    ("overwrite-pidfile", NO_ARGUMENT, ""), ("monitor", NO_ARGUMENT, ""),
    ("user", REQUIRED_ARGUMENT, ""))
OPTIONS = (
    ("help", NO_ARGUMENT, "h"), ("version", NO_ARGUMENT, "V"),
    ("timestamp", NO_ARGUMENT, ""), ("force", NO_ARGUMENT, ""),
    ("timeout", REQUIRED_ARGUMENT, "t"), ("db-change-aware", NO_ARGUMENT, ""),
    ("no-db-change-aware", NO_ARGUMENT, ""), *VERBOSE_OPTIONS, *_DAEMON_OPTIONS,
    ("bootstrap-ca-cert", REQUIRED_ARGUMENT, ""), *TLS_OPTIONS, *TABLE_OPTIONS,
    ("leader-only", NO_ARGUMENT, ""), ("no-leader-only", NO_ARGUMENT, ""),
    ("record", OPTIONAL_ARGUMENT, ""), ("replay", OPTIONAL_ARGUMENT, ""))

_HELP = """\
ovsdb-client: Open vSwitch database JSON-RPC client
usage: ovsdb-client [OPTIONS] COMMAND [ARG...]

Commands:
  list-dbs [SERVER]                         list the databases of SERVER
  get-schema [SERVER] [DATABASE]            print the schema
  get-schema-version [SERVER] [DATABASE]    print the schema's version
  get-schema-cksum [SERVER] [DATABASE]      print the schema's checksum
  list-tables [SERVER] [DATABASE]           list the tables
  list-columns [SERVER] [DATABASE] [TABLE]  list the columns and their types
  transact [SERVER] TRANSACTION             run TRANSACTION, print its results
  query [SERVER] TRANSACTION                the same, but change nothing
  dump [SERVER] [DATABASE] [TABLE [COLUMN...]]
                                            print the contents
  monitor [SERVER] [DATABASE] TABLE [COLUMN,...]...
  monitor [SERVER] [DATABASE] ALL           print contents and changes;
                                            COLUMN may be !initial, !insert,
                                            !delete or !modify
  monitor-cond [SERVER] [DATABASE] CONDITION TABLE [COLUMN,...]...
                                            the same of rows that match
  monitor-cond-since [SERVER] [DATABASE] [LASTID] CONDITION TABLE [COLUMN,...]...
                                            the same since transaction LASTID
  wait [SERVER] DATABASE STATE              wait until DATABASE is "added",
                                            "connected" or "removed"
  backup [SERVER] [DATABASE] > SNAPSHOT     print the contents as a database file
  [--force] restore [SERVER] [DATABASE] < SNAPSHOT
                                            replace the contents by SNAPSHOT
  convert [SERVER] SCHEMA                   convert the database to SCHEMA
  needs-conversion [SERVER] SCHEMA          print whether that would change it
  lock [SERVER] LOCK, steal [SERVER] LOCK, unlock [SERVER] LOCK

The default SERVER is {remote}.
The default DATABASE is Open_vSwitch.
SERVER is tcp:HOST:PORT, ssl:HOST:PORT, unix:FILE, ptcp:PORT[:IP], pssl:PORT[:IP] or punix:FILE,
or several of the first three separated by commas.

Output formatting options:
  -f, --format=FORMAT         "table", "list", "html", "csv" or "json"
  -d, --data=FORMAT           cells as "string", "bare" or "json"
  --no-headings, --pretty, --bare, --max-column-width=N
  --timestamp                 print times when watching
Daemon options:
  --detach, --no-chdir, --pidfile[=FILE], --overwrite-pidfile, --monitor, --user=USER[:GROUP]
Logging options:
  -vSPEC, --verbose=SPEC, --log-file[=FILE] (default: {log}/ovsdb-client.log)
  --syslog-method=(libc|unix:file|udp:ip:port|null), --syslog-target=HOST:PORT
SSL/TLS options:
  -p, --private-key=FILE  -c, --certificate=FILE  -C, --ca-cert=FILE
  --bootstrap-ca-cert=FILE  --ssl-protocols=PROTOS  --ssl-ciphers=CIPHERS
Other options:
  -t, --timeout=SECS          give up after SECS seconds
  --no-leader-only            accept any member of a cluster
  -h, --help                  print this
  -V, --version               print the version
"""


class Session:
    """What one run knows: its options, and once they are known connection and database."""

    def __init__(self) -> None:
        self.style = Style("table")
        self.printer = Printer(self.style)
        self.tls = TlsFiles()
        self.timeout: int | None = None
        self.has_timestamps = False
        self.is_forced = False
        self.is_change_aware: bool | None = None
        self.leader_only = True
        self.daemon_options: dict[str, str | None] = {}
        self.daemon = None
        self.server = default_remote()
        self.connection: Connection | None = None
        self.database = ""

    @property
    def is_detached(self) -> bool:
        return "detach" in self.daemon_options

    def call(self, method: str, params: list):
        """Send a request and return its result; the server's error ends the program."""
        try:
            return self.connection.call(method, params)
        except RpcError as error:
            raise Fatal(f"transaction returned error: {json_text(error.error)}") from None
        except (ConnectionClosed, ProtocolError):
            raise Fatal(f"{self.server}: transaction failed (End of file)") from None
        except OSError as error:
            raise Fatal(f"{self.server}: transaction failed ({_reason(error)})") from None

    def fetch_schema_json(self) -> dict:
        """Return the database's schema as the server gives it."""
        return self.call("get_schema", [self.database])

    def fetch_schema(self) -> DatabaseSchema:
        """Return the database's schema."""
        return _schema(self.fetch_schema_json())

    def print_json(self, json) -> None:
        """Print a JSON value, --pretty if wanted."""
        write_text((pretty_json(json) if self.style.is_pretty else json_text(json)) + "\n")


def _schema(json) -> DatabaseSchema:
    try:
        return DatabaseSchema.from_json(json)
    except OvsdbError as error:
        raise Fatal(str(error)) from None


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


# Starting.

def main(argv: list[str] | None = None) -> int:
    """Run ovsdb-client with `argv`, which lacks the program's name; return the exit code."""
    return run_tool(PROGRAM, _run, sys.argv[1:] if argv is None else argv)


def _run(argv: list[str]) -> int:
    LOG.set_level(None, "console", INFO)
    session = Session()
    found, words = parse_options(argv, OPTIONS, reorder=True)
    for name, value in found:
        if name == "help":
            write_text(_HELP.format(remote=default_remote(), log=log_directory()))
            return 0
        if name == "version":
            print_version(PROGRAM)
            return 0
        _apply_option(session, name, value)
    time_limit(session.timeout)
    _handle_signals()
    if not words:
        raise Fatal("missing command name; use --help for help")
    command = COMMANDS.get(words[0])
    if command is None:
        raise Fatal(f"unknown command '{words[0]}'; use --help for help")
    need, n_min, n_max, function = command
    arguments = words[1:]
    if need != "nothing":
        if len(arguments) > n_min and arguments[0][:1].isalpha() and ":" in arguments[0]:
            session.server = arguments.pop(0)
        if need != "server":
            _open(session, need, arguments, n_min)
    if not n_min <= len(arguments) <= n_max:
        raise Fatal(f"invalid syntax for '{words[0]}' (use --help for help)")
    try:
        function(session, arguments)
    finally:
        if session.daemon is not None:
            session.daemon.finish()
    return 0


def _apply_option(session: Session, name: str, value: str | None) -> None:
    match name:
        case "timestamp":
            session.has_timestamps = True
        case "force":
            session.is_forced = True
        case "timeout":
            session.timeout = parse_seconds(value, "t")
        case "db-change-aware" | "no-db-change-aware":
            session.is_change_aware = name == "db-change-aware"
        case "leader-only" | "no-leader-only":
            session.leader_only = name == "leader-only"
        case "detach" | "no-chdir" | "no-self-confinement" | "pidfile" | "overwrite-pidfile" \
                | "monitor" | "user":
            session.daemon_options[name] = value
        case "record" | "replay":
            raise Fatal(f"--{name} is not supported")
        case _:
            if not (apply_log_option(name, value) or session.tls.apply_option(name, value)):
                session.style.apply_option(name, value)


def _handle_signals() -> None:
    import _signal

    def die(number: int, frame: object) -> None:
        flush_output()
        name = {_signal.SIGTERM: "Terminated", _signal.SIGINT: "Interrupt",
                _signal.SIGHUP: "Hangup"}[number]
        LOG.log("fatal_signal", WARN, f"terminating with signal {number} ({name})")
        _signal.signal(number, _signal.SIG_DFL)
        os.kill(os.getpid(), number)
    for number in (_signal.SIGTERM, _signal.SIGINT, _signal.SIGHUP):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, die)


def _open(session: Session, need: str, arguments: list[str], n_min: int) -> None:
    """Connect, and find out which database is meant."""
    remotes = session.server.split(",")
    if len(remotes) > 1:
        _open_any(session, remotes, need, arguments, n_min)
    else:
        try:
            session.connection = open_remote(session.server, session.tls)
        except (OSError, ValueError) as error:
            reason = _reason(error) if isinstance(error, OSError) else str(error)
            phrase = "connect or listen" if session.server.startswith("p") else "connect"
            raise Fatal(f'failed to {phrase} to "{session.server}" ({reason})') from None
    if need == "database":
        _choose_database(session, arguments, n_min)


def _open_any(session: Session, remotes: list[str], need: str, arguments: list[str],
              n_min: int) -> None:
    """Connect to one of several servers, for a database to the cluster's leader."""
    if need == "database" and len(arguments) <= n_min:
        raise Fatal("database name is required with multiple remotes")
    import random
    random.shuffle(remotes)
    for remote in remotes:
        LOG.log("reconnect", INFO, f"{remote}: connecting...")
        try:
            connection = open_remote(remote, session.tls)
        except (OSError, ValueError) as error:
            reason = _reason(error) if isinstance(error, OSError) else str(error)
            LOG.log("reconnect", INFO, f"{remote}: connection attempt failed ({reason})")
            continue
        LOG.log("reconnect", INFO, f"{remote}: connected")
        if need == "database" and session.leader_only and not _is_leader(
                connection, remote, arguments[0]):
            connection.close()
            continue
        session.server, session.connection = remote, connection
        return
    raise Fatal("no servers were available")


def _is_leader(connection: Connection, remote: str, database: str) -> bool:
    rows = _server_rows(connection, database, ["model", "connected", "leader"])
    if not rows or rows[0].get("model") != "clustered":
        return True
    if not rows[0]["connected"]:
        LOG.log("ovsdb_client", WARN, f"{remote}: database server is disconnected from cluster; "
                                      "trying another server")
    elif not rows[0]["leader"]:
        LOG.log("ovsdb_client", INFO, f"{remote}: database server is not cluster leader; trying "
                                      "another server")
    return rows[0]["connected"] and rows[0]["leader"]


def _server_rows(connection: Connection, database: str, columns: list[str]) -> list[dict]:
    """Return the _Server rows about `database`, [] when the server has no such thing."""
    try:
        results = connection.call("transact", ["_Server", {
            "op": "select", "table": "Database", "where": [["name", "==", database]],
            "columns": columns}])
        return results[0]["rows"]
    except (RpcError, LookupError, TypeError):
        return []


def _choose_database(session: Session, arguments: list[str], n_min: int) -> None:
    if session.server.count(",") or "," in session.server:
        session.database = arguments.pop(0)
        return
    names = session.call("list_dbs", [])
    if not isinstance(names, list):
        raise Fatal("list_dbs response is not array")
    if len(arguments) > n_min and arguments[0] in names:
        session.database = arguments.pop(0)
        return
    others = [name for name in names if not name.startswith("_")]
    if "Open_vSwitch" in names:
        session.database = "Open_vSwitch"
    elif len(others) == 1:
        session.database = others[0]
    else:
        raise Fatal("could not find a default database, please specify a database name")


# Schemas.

def _list_dbs(session: Session, arguments: list[str]) -> None:
    names = session.call("list_dbs", [])
    if not isinstance(names, list):
        raise Fatal("list_dbs response is not array")
    write_text("".join(f"{name}\n" for name in sorted(names)))


def _get_schema(session: Session, arguments: list[str]) -> None:
    session.print_json(session.fetch_schema().to_json())


def _get_schema_version(session: Session, arguments: list[str]) -> None:
    print(session.fetch_schema().version)


def _get_schema_cksum(session: Session, arguments: list[str]) -> None:
    print(session.fetch_schema().cksum)


def _list_tables(session: Session, arguments: list[str]) -> None:
    table = Table(["Table"])
    table.rows = [[name] for name in session.fetch_schema().tables]
    session.printer.print(table)


def _list_columns(session: Session, arguments: list[str]) -> None:
    tables = session.fetch_schema().tables
    is_one = bool(arguments)
    table = Table(["Column", "Type"] if is_one else ["Table", "Column", "Type"])
    for schema in tables.values():
        if is_one and schema.name != arguments[0]:
            continue
        for column in schema.order:
            row: list = [] if is_one else [schema.name]
            table.rows.append([*row, column.name, (None, column.type.to_json())])
    session.printer.print(table)


def _read_schema(path: str) -> DatabaseSchema:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            json = parse_json(file.read())
    except OSError as error:
        raise Fatal(f'failed to read schema: "{path}" could not be read as JSON (error opening '
                    f'"{path}": {_reason(error)})') from None
    except JsonError as error:
        raise Fatal(f'failed to read schema: "{path}" could not be read as JSON '
                    f"({error})") from None
    try:
        return DatabaseSchema.from_json(json)
    except OvsdbError as error:
        syntax = f'syntax "{error.syntax}": ' if error.syntax is not None else ""
        raise Fatal(f'{syntax}{error.tag}: failed to parse "{path}" as ovsdb schema: '
                    f"{error.details}") from None


def _convert(session: Session, arguments: list[str]) -> None:
    schema = _read_schema(arguments[0])
    _set_change_aware(session, True)
    session.call("convert", [schema.name, schema.to_json()])


def _needs_conversion(session: Session, arguments: list[str]) -> None:
    schema = _read_schema(arguments[0])
    session.database = schema.name
    print("no" if session.fetch_schema() == schema else "yes")


# Data.

def _parse_transaction(text: str) -> list:
    try:
        transaction = parse_json(text)
    except JsonError as error:
        raise Fatal(f'"{text}": {error}') from None
    if not (isinstance(transaction, list) and transaction and isinstance(transaction[0], str)):
        raise Fatal("not a valid OVSDB query")
    return transaction


def _transact(session: Session, arguments: list[str]) -> None:
    session.print_json(session.call("transact", _parse_transaction(arguments[0])))


def _query(session: Session, arguments: list[str]) -> None:
    transaction = _parse_transaction(arguments[0])
    results = session.call("transact", [*transaction, {"op": "abort"}])
    if not isinstance(results, list):
        raise Fatal("result is not array")
    if results and len(results) == len(transaction) and isinstance(results[-1], dict) and (
            results[-1].get("error") == "aborted"):
        results.pop()
    session.print_json(results)


def _dump(session: Session, arguments: list[str]) -> None:
    schema = session.fetch_schema()
    tables = list(schema.tables.values())
    if arguments:
        if arguments[0] not in schema.tables:
            raise Fatal(f'No table "{arguments[0]}" found.')
        tables = [schema.tables[arguments[0]]]
    chosen: list[list[Column]] = []
    for table in tables:
        columns = [column for column in table.order if column.name != "_version"]
        if len(arguments) > 1:
            for name in arguments[1:]:
                if name not in table.columns:
                    raise Fatal(f'Table "{table.name}" has no column {name}.')
            columns = [column for column in columns if column.name in arguments[1:]]
        chosen.append(columns)
    results = session.call("transact", [session.database, *(
        {"op": "select", "table": table.name, "where": [],
         "columns": [column.name for column in columns]}
        for table, columns in zip(tables, chosen))])
    for table, columns, result in zip(tables, chosen, results):
        out = Table([column.name for column in columns], f"{table.name} table")
        if not (isinstance(result, dict) and isinstance(result.get("rows"), list)):
            raise Fatal(f'{table.name} table reply is not an object with a "rows" member array: '
                        f"{json_text(result)}")
        rows = [[_datum(column, row[column.name]) for column in columns]
                for row in result["rows"]]
        rows.sort(key=lambda row: [_order(cell[1]) for cell, column in zip(row, columns)
                                   if column.name != "_uuid"])
        out.rows = rows
        session.printer.print(out)


def _order(datum: tuple) -> tuple:
    if datum and type(datum[0]) is tuple:
        return len(datum), [key for key, _ in datum], [value for _, value in datum]
    return len(datum), list(datum)


def _datum(column: Column, json) -> tuple:
    """Return a value as a table's cell."""
    try:
        return column.type, from_json(column.type, json)
    except OvsdbError as error:
        raise Fatal(str(error)) from None


def _backup(session: Session, arguments: list[str]) -> None:
    if os.isatty(1):
        raise Fatal("not writing backup to a terminal; please redirect stdout to a file")
    from hashlib import sha1
    schema = session.fetch_schema()
    columns = {name: [column.name for column in table.named_columns if column.is_persistent]
               for name, table in schema.tables.items()}
    results = session.call("transact", [session.database, *(
        {"op": "select", "table": name, "where": [], "columns": ["_uuid", *names]}
        for name, names in columns.items())])
    contents: dict = {"_date": int(time.time() * 1000), "_is_diff": True,
                      "_comment": 'produced by "ovsdb-client backup"'}
    for name, result in zip(columns, results):
        rows = {row.pop("_uuid")[1]: row for row in result["rows"]}
        if rows:
            contents[name] = rows
    for json in (schema.to_json(), contents):
        body = json_text(json).encode() + b"\n"
        header = f"OVSDB JSON {len(body)} {sha1(body).hexdigest()}\n".encode()
        flush_output()
        sys.stdout.buffer.write(header + body)


def _restore(session: Session, arguments: list[str]) -> None:
    if os.isatty(0):
        raise Fatal("not reading backup from a terminal; please redirect stdin from a file")
    schema, rows = _read_backup()
    theirs = session.fetch_schema()
    if theirs != schema:
        if theirs.version != schema.version:
            difference = (f'backup schema has version "{schema.version}" but database schema has '
                          f'version "{theirs.version}"')
        else:
            difference = (f"backup schema and database schema are both version "
                          f"{schema.version} but still differ")
        if not session.is_forced:
            raise Fatal(f'{difference} (use --force to override differences, or "ovsdb-client '
                        'convert" to change the schema)')
        LOG.log("ovsdb_client", INFO, difference)
    operations: list[dict] = [{"op": "delete", "table": name, "where": []}
                              for name in schema.tables]
    known = {uuid for table_rows in rows.values() for uuid in table_rows}
    for name, table_rows in rows.items():
        columns = [c for c in schema.tables[name].named_columns if c.is_persistent]
        for uuid, row in table_rows.items():
            values = {column.name: _restored(to_json(column.type, row[column.index]), known)
                      for column in columns if row[column.index] != column.type.default}
            operations.append({"op": "insert", "table": name, "row": values,
                               "uuid-name": "row" + uuid.replace("-", "_")})
    operations.append({"op": "comment", "comment": "restored from backup"})
    results = session.call("transact", [session.database, *operations])
    for result in results:
        if isinstance(result, dict) and "error" in result:
            raise Fatal(f"transaction returned error: {json_text(result)}")


def _restored(json, known: set[str]):
    """Return a JSON value in which references to restored rows are by name."""
    if isinstance(json, list):
        if len(json) == 2 and json[0] == "uuid" and json[1] in known:
            return ["named-uuid", "row" + json[1].replace("-", "_")]
        return [_restored(element, known) for element in json]
    return json


def _read_backup() -> tuple[DatabaseSchema, dict[str, dict[str, tuple]]]:
    """Return the schema and the rows of the database file on stdin."""
    # Only this command reads journals.
    from io import BytesIO

    from ovsdb_server.storage.record import CLUSTERED, identify, read_records
    from ovsdb_server.storage.replay import Replay
    name = "/dev/stdin"
    data = sys.stdin.buffer.read()
    try:
        if identify(name, data[:data.find(b"\n") + 1] or data) == CLUSTERED:
            raise OvsdbError("ovsdb error", f"{name}: cannot apply this operation to clustered "
                                            "database file")
        schema = replay = None
        for record in read_records(BytesIO(data), name):
            if replay is None:
                schema = DatabaseSchema.from_json(record.json)
                replay = Replay(schema)
            else:
                replay.add(record.json)
        if replay is None:
            raise OvsdbError("ovsdb error", f"{name}: database file contains no schema")
        database = replay.database()
    except OvsdbError as error:
        raise Fatal(str(error)) from None
    return schema, {name: dict(table.rows) for name, table in database.tables.items()}


# Watching.

class _Monitored:
    """A monitored table: its columns in the order in which they are printed."""

    __slots__ = ("table", "columns")

    def __init__(self, table: SchemaTable, columns: list[Column]) -> None:
        self.table = table
        self.columns = columns


_SELECTS = ("!initial", "!insert", "!delete", "!modify")


def _monitor(session: Session, arguments: list[str]) -> None:
    _watch(session, 1, arguments)


def _monitor_cond(session: Session, arguments: list[str]) -> None:
    _watch(session, 2, arguments[1:], arguments[0])


def _monitor_cond_since(session: Session, arguments: list[str]) -> None:
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
    where = None
    if condition is not None:
        try:
            where = parse_json(condition)
        except JsonError as error:
            raise Fatal(f'"{condition}": {error}') from None
    name, groups = arguments[0], arguments[1:]
    monitored: dict[str, _Monitored] = {}
    requests = {}
    if name == "ALL" and version == 1:
        for table in schema.tables.values():
            monitored[table.name], requests[table.name] = _parse_groups(session, table, [], None)
    else:
        if name not in schema.tables:
            prefix = f"{session.server}: " if where is None else ""
            raise Fatal(f'{prefix}{session.database} does not have a table named "{name}"')
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
        _set_change_aware(session, session.is_change_aware is True)
    _start_background(session)
    params: list = [session.database, [session.database, 0], requests]
    if version == 3:
        params.append(last_id)
    method = ("monitor", "monitor_cond", "monitor_cond_since")[version - 1]
    watcher = _Watcher(session, version, monitored)
    request_id = session.connection.send_request(method, params)
    watcher.run(request_id)


def _set_change_aware(session: Session, is_required: bool) -> None:
    """Ask to stay connected when databases come and go; old servers do not know how."""
    try:
        session.connection.call("set_db_change_aware", [True])
    except RpcError as error:
        if is_required and error.error != "unknown method":
            raise Fatal(f"{session.server}: set_db_change_aware failed "
                        f"({json_text(error.error)})") from None
    except (ConnectionClosed, ProtocolError):
        raise Fatal(f"{session.server}: error setting db_change_aware (End of file)") from None


class _Watcher:
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
        self.control = _open_control(self.session, self)
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
                            f"({_reason(error)})") from None
            self._handle(message, request_id)
            while self.is_blocked and not self.is_finished:
                self._wait()
        flush_output()

    def _wait(self) -> None:
        import select
        poll = select.poll()
        if not self.is_blocked:
            poll.register(self.connection, select.POLLIN)
        fds = self.control.fds() if self.control is not None else []
        for fd in fds:
            poll.register(fd, select.POLLIN)
        events = poll.poll()
        ready = {fd for fd, _ in events}
        if self.control is not None:
            self.control.serve(ready)

    def _handle(self, message, request_id: object) -> None:
        if message.kind == REPLY and message.id == request_id:
            self._take_reply(message.result)
            if not self._has_initial:
                self._has_initial = True
                _go_background(self.session)
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


# Locks.

def _lock(session: Session, arguments: list[str]) -> None:
    _do_lock(session, "lock", arguments[0])


def _steal(session: Session, arguments: list[str]) -> None:
    _do_lock(session, "steal", arguments[0])


def _unlock(session: Session, arguments: list[str]) -> None:
    _do_lock(session, "unlock", arguments[0])


def _do_lock(session: Session, method: str, name: str) -> None:
    """Send the request, print the answer and what follows."""
    _start_background(session)
    locker = _Locker(session)
    locker.requests[session.connection.send_request(method, [name])] = method
    locker.run(None)


class _Locker(_Watcher):
    """Prints replies to lock requests, and notifications about locks."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, 1, {})
        self.requests: dict[object, str] = {}

    def request(self, method: str, name: str) -> None:
        """Send a further request, for the control socket."""
        self.requests[self.connection.send_request(method, [name])] = method

    def _handle(self, message, request_id: object) -> None:
        if message.kind == REPLY and message.id in self.requests:
            method = self.requests.pop(message.id)
            if method in ("lock", "steal"):
                self.session.print_json(message.result)
            if not self._has_initial:
                self._has_initial = True
                _go_background(self.session)
        elif message.kind == NOTIFICATION and message.method in ("locked", "stolen"):
            write_text(f"{message.method}\n")
            self.session.print_json(message.params)


# Daemons.

def _start_background(session: Session) -> None:
    """Fork for --detach, take the pidfile."""
    options = session.daemon_options
    if not {"detach", "pidfile", "monitor", "user"} & set(options):
        return
    # Only these runs pay for the import.
    from ovsdb_server import daemon
    settings = daemon.Settings(PROGRAM)
    for name, value in options.items():
        settings.apply(name, value)
    flush_output()
    try:
        session.daemon = daemon.Daemon.start(settings)
    except daemon.StartError as error:
        raise Fatal(str(error)) from None


def _go_background(session: Session) -> None:
    """Let the parent return; what is printed still goes where it went."""
    flush_output()
    if session.daemon is None or not session.is_detached:
        return
    kept = [os.dup(fd) for fd in (1, 2)]
    session.daemon.ready()
    for target, fd in enumerate(kept, 1):
        os.dup2(fd, target)
        os.close(fd)


class _Control:
    """A control socket: answers ovs-appctl, one request at a time per connection."""

    def __init__(self, path: str, commands: dict) -> None:
        self._listener = address.listen_unix(path)
        self._listener.setblocking(False)
        self._commands = commands
        self._connections: dict[int, Connection] = {}

    def fds(self) -> list[int]:
        """Return the descriptors to wait for."""
        return [self._listener.fileno(), *self._connections]

    def serve(self, ready: set[int]) -> None:
        """Handle what came in."""
        if self._listener.fileno() in ready:
            connection = Connection(self._listener.accept()[0], "unixctl")
            self._connections[connection.fileno()] = connection
        for fd in ready & set(self._connections):
            self._serve_one(fd, self._connections[fd])

    def _serve_one(self, fd: int, connection: Connection) -> None:
        while True:
            try:
                message = connection.receive(0)
            except TimeoutError:
                return
            except (ConnectionClosed, ProtocolError, OSError):
                del self._connections[fd]
                connection.close()
                return
            if message.kind != REQUEST:
                continue
            arguments = [str(argument) for argument in message.params]
            result, error = self._execute(message.method, arguments)
            if error is None:
                connection.reply(result, message.id)
            else:
                connection.reply_error(error, message.id)

    def _execute(self, name: str, arguments: list[str]) -> tuple[str | None, str | None]:
        """Return the result and the error of a command, one of them None."""
        if name == "list-commands":
            lines = ["The available commands are:",
                     *(f"  {name:<23} {usage}".rstrip()
                       for name, (usage, _, _, _) in sorted(self._commands.items()))]
            return "\n".join(lines) + "\n", None
        if name not in self._commands:
            return None, (f'"{name}" is not a valid command (use "list-commands" to see a list '
                          "of valid commands)")
        _, n_min, n_max, function = self._commands[name]
        if len(arguments) < n_min:
            return None, f'"{name}" command requires at least {n_min} arguments'
        if len(arguments) > n_max:
            return None, f'"{name}" command takes at most {n_max} arguments'
        return function(arguments)


def _open_control(session: Session, watcher: _Watcher) -> _Control | None:
    """Open the control socket of a detached process."""
    if session.daemon is None or not session.is_detached:
        return None

    def finish(arguments: list[str]) -> tuple[str | None, str | None]:
        watcher.is_finished = True
        return "", None

    def block(arguments: list[str]) -> tuple[str | None, str | None]:
        if watcher.is_blocked:
            return None, "already blocking"
        watcher.is_blocked = True
        return "", None

    def unblock(arguments: list[str]) -> tuple[str | None, str | None]:
        if not watcher.is_blocked:
            return None, "already unblocked"
        watcher.is_blocked = False
        return "", None

    def change_condition(arguments: list[str]) -> tuple[str | None, str | None]:
        name, text = arguments
        try:
            where = parse_json(text)
        except JsonError as error:
            return None, f"parse cond error: {error}"
        monitor_id = [session.database, 0]
        watcher.connection.send_request(
            "monitor_cond_change", [monitor_id, monitor_id, {name: [{"where": where}]}])
        return "condition changed", None

    def request(method: str):
        def send(arguments: list[str]) -> tuple[str | None, str | None]:
            watcher.request(method, arguments[0])
            return "", None
        return send

    def version(arguments: list[str]) -> tuple[str | None, str | None]:
        from utilities.command_line import VERSION
        return f"{PROGRAM} (Open vSwitch) {VERSION}\n", None

    commands = {"exit": ("", 0, 0, finish), "version": ("", 0, 0, version)}
    if isinstance(watcher, _Locker):
        for method in ("lock", "steal", "unlock"):
            commands[method] = ("[LOCK]", 1, 1, request(method))
    else:
        commands["ovsdb-client/block"] = ("", 0, 0, block)
        commands["ovsdb-client/unblock"] = ("", 0, 0, unblock)
        commands["ovsdb-client/cond_change"] = ("TABLE COND", 2, 2, change_condition)
    path = f"{run_directory()}/{PROGRAM}.{os.getpid()}.ctl"
    control = _Control(path, commands)
    session.daemon.unlink_at_exit(path)
    return control


# Waiting for a database.

def _wait(session: Session, arguments: list[str]) -> None:
    name, state = arguments
    if state not in ("added", "connected", "removed"):
        raise Fatal(f"{state}: unknown state")
    backoff = 1.0
    while True:
        LOG.log("reconnect", INFO, f"{session.server}: connecting...")
        try:
            session.connection = open_remote(session.server, session.tls)
        except (OSError, ValueError) as error:
            reason = _reason(error) if isinstance(error, OSError) else str(error)
            LOG.log("reconnect", INFO,
                    f"{session.server}: connection attempt failed ({reason})")
        else:
            LOG.log("reconnect", INFO, f"{session.server}: connected")
            backoff = 1.0
            if _wait_connected(session, name, state):
                return
            LOG.log("reconnect", INFO, f"{session.server}: connection closed by peer")
        LOG.log("reconnect", INFO,
                f"{session.server}: waiting {int(backoff)} seconds before reconnect")
        time.sleep(backoff)
        backoff = min(2 * backoff, 8.0)


def _wait_connected(session: Session, name: str, state: str) -> bool:
    """Wait over the open connection; return False when it breaks."""
    where: list = [["name", "==", name]]
    if state == "connected":
        where.append(["connected", "==", True])
    rows = [] if state == "removed" else [{"name": name}]
    try:
        _set_change_aware(session, False)
        results = session.connection.call("transact", ["_Server", {
            "op": "wait", "table": "Database", "where": where, "columns": ["name"],
            "until": "==", "rows": rows}])
    except RpcError as error:
        raise Fatal(f"transaction returned error: {json_text(error.error)}") from None
    except (ConnectionClosed, ProtocolError, OSError, Fatal):
        return False
    return bool(results) and results[0] == {}


def _help(session: Session, arguments: list[str]) -> None:
    write_text(_HELP.format(remote=default_remote(), log=log_directory()))


_MANY = 1 << 30

# Name: (what it needs, fewest and most arguments, function).
COMMANDS = {
    "list-dbs": ("connection", 0, 0, _list_dbs),
    "get-schema": ("database", 0, 0, _get_schema),
    "get-schema-version": ("database", 0, 0, _get_schema_version),
    "get-schema-cksum": ("database", 0, 0, _get_schema_cksum),
    "list-tables": ("database", 0, 0, _list_tables),
    "list-columns": ("database", 0, 1, _list_columns),
    "transact": ("connection", 1, 1, _transact),
    "query": ("connection", 1, 1, _query),
    "monitor": ("database", 1, _MANY, _monitor),
    "monitor-cond": ("database", 2, _MANY, _monitor_cond),
    "monitor-cond-since": ("database", 2, _MANY, _monitor_cond_since),
    "convert": ("connection", 1, 1, _convert),
    "needs-conversion": ("connection", 1, 1, _needs_conversion),
    "wait": ("server", 2, 2, _wait),
    "dump": ("database", 0, _MANY, _dump),
    "backup": ("database", 0, 0, _backup),
    "restore": ("database", 0, 0, _restore),
    "lock": ("connection", 1, 1, _lock),
    "steal": ("connection", 1, 1, _steal),
    "unlock": ("connection", 1, 1, _unlock),
    "help": ("nothing", 0, _MANY, _help),
}
