"""ovsdb-tool: makes, converts, compacts, queries and shows database files, without a server.

`main(argv)` is the program; `argv` is without the program name.  Commands are rows of
`_COMMANDS`.  Texts and exit codes follow the reference: 1 for errors, 2 where a command answers
a question with no.

Starts fast: what only some commands need is imported inside them.
"""

import os
import sys
from _collections_abc import Callable        # What collections.abc exports, already loaded.

from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.schema import DatabaseSchema
from utilities.command_line import (ERR, LOG, NO_ARGUMENT, OPTIONAL_ARGUMENT, REQUIRED_ARGUMENT,
                                    VERSION, WARN, Fatal, apply_log_option, parse_options,
                                    print_option_list, print_version, run_tool)

PROGRAM = "ovsdb-tool"

_HELP = """\
ovsdb-tool: Open vSwitch database management utility
usage: ovsdb-tool [OPTIONS] COMMAND [ARG...]
  create [DB [SCHEMA]]    create DB with the given SCHEMA
  [--election-timer=ms] create-cluster DB CONTENTS LOCAL
    create clustered DB with given CONTENTS and LOCAL address
  [--cid=UUID] join-cluster DB NAME LOCAL REMOTE...
    join clustered DB with given NAME and LOCAL and REMOTE addrs
  compact [DB [DST]]      compact DB in-place (or to DST)
  convert [DB [SCHEMA [DST]]]   convert DB to SCHEMA (to DST)
  db-name [DB]            report name of schema used by DB
  db-version [DB]         report version of schema used by DB
  db-cksum [DB]           report checksum of schema used by DB
  db-cid DB               report cluster ID of clustered DB
  db-sid DB               report server ID of clustered DB
  db-local-address DB     report local address of clustered DB
  db-is-clustered DB      test whether DB is clustered
  db-is-standalone DB     test whether DB is standalone
  schema-name [SCHEMA]    report SCHEMA's name
  schema-version [SCHEMA] report SCHEMA's schema version
  schema-cksum [SCHEMA]   report SCHEMA's checksum
  compare-versions A OP B  compare OVSDB schema version numbers
  query [DB] TRNS         execute read-only transaction on DB
  transact [DB] TRNS      execute read/write transaction on DB
  cluster-to-standalone DB DB    Convert clustered DB to
      standalone DB when cluster is down and cannot be
        revived
  [-m]... show-log [DB]   print DB's log entries
The default DB is {db}.
The default SCHEMA is {schema}.
"""

_OTHER_HELP = """
Other options:
  -m, --more                  increase show-log verbosity
  --rbac-role=ROLE            RBAC role for transact and query commands
  -h, --help                  display this help message
  -V, --version               display version information
"""

_OPTIONS = (
    ("more", NO_ARGUMENT, "m"),
    ("rbac-role", REQUIRED_ARGUMENT, ""),
    ("cid", REQUIRED_ARGUMENT, ""),
    ("election-timer", REQUIRED_ARGUMENT, ""),
    ("verbose", OPTIONAL_ARGUMENT, "v"),
    ("help", NO_ARGUMENT, "h"),
    ("option", NO_ARGUMENT, "o"),
    ("version", NO_ARGUMENT, "V"),
)


class _Options:
    """What the options say."""

    def __init__(self):
        self.more = 0
        self.role = ""
        self.cluster_id: str | None = None
        self.election_timer: int | None = None


def main(argv: list[str]) -> int:
    """Run ovsdb-tool with arguments `argv`; return the exit code."""
    return run_tool(PROGRAM, _run, argv)


def _run(argv: list[str]) -> int:
    options = _Options()
    found, words = parse_options(argv, _OPTIONS, reorder=True)
    for name, argument in found:
        match name:
            case "help":
                _help(options)
                return 0
            case "option":
                print_option_list(_OPTIONS)
                return 0
            case "version":
                print_version(PROGRAM)
                return 0
        _apply(options, name, argument)
    if not words:
        raise Fatal("missing command name; use --help for help")
    name, arguments = words[0], words[1:]
    command = _COMMANDS.get(name)
    if command is None:
        raise Fatal(f"unknown command '{name}'; use --help for help")
    _usage, n_min, n_max, run = command
    if len(arguments) < n_min:
        raise Fatal(f"'{name}' command requires at least {n_min} arguments")
    if n_max is not None and len(arguments) > n_max:
        raise Fatal(f"'{name}' command takes at most {n_max} arguments")
    try:
        return run(options, *arguments) or 0
    except OvsdbError as error:
        _warn_locked(error)
        if isinstance(getattr(error, "warning", None), str):
            LOG.log("socket_util", ERR, error.warning)
        raise Fatal(str(error)) from None


def _apply(options: _Options, name: str, argument: str | None) -> None:
    match name:
        case "more":
            options.more += 1
        case "rbac-role":
            options.role = argument
        case "cid":
            from ovsdb_server.engine.atom import ZERO_UUID, is_uuid
            if not is_uuid(argument) or argument == ZERO_UUID:
                raise Fatal(f"{argument}: not a valid UUID")
            options.cluster_id = argument.lower()
        case "election-timer":
            if not argument.isdigit() or not 100 <= int(argument) <= 600000:
                raise Fatal("ovsdb error: election timer must be between 100 and 600000, "
                            "in msec.")
            options.election_timer = int(argument)
        case _:
            apply_log_option(name, argument)


def _warn_locked(error: OvsdbError) -> None:
    """Log what the reference logs when the lock of the database cannot be had."""
    for warning in getattr(error, "warnings", ()):
        LOG.log("lockfile", WARN, warning)


# Paths and files.

def _default_db() -> str:
    folder = os.environ.get("OVS_DBDIR")
    if folder is None:
        folder = os.path.join(os.environ.get("OVS_SYSCONFDIR") or "/etc", "openvswitch")
    return os.path.join(folder, "conf.db")


def _default_schema() -> str:
    """Return the vswitch schema: of the environment's package directory, else our own."""
    folder = os.environ.get("OVS_PKGDATADIR")
    if folder is None:
        folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                              "schema")
    return os.path.join(folder, "vswitch.ovsschema")


def _read_schema(path: str) -> DatabaseSchema:
    from ovsdb_server.engine.json_complaint import JsonError, read_json
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read()
    except OSError as error:
        what = "reading JSON stream" if os.path.isdir(path) else f'opening "{path}"'
        raise Fatal(f'failed to read schema: "{path}" could not be read as JSON (error '
                       f"{what}: {error.strerror})") from None
    try:
        json = read_json(text)
    except JsonError as error:
        raise Fatal(f'failed to read schema: "{path}" could not be read as JSON '
                       f"({error})") from None
    try:
        return DatabaseSchema.from_json(json)
    except OvsdbError as error:
        raise OvsdbError(error.tag, f'failed to parse "{path}" as ovsdb schema: {error.details}',
                         error.syntax) from None


def _open_first_line(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.readline(127)
    except OSError as error:
        what = "read error" if os.path.isdir(path) else "open failed"
        raise OvsdbError("I/O error", f"{path}: {what}", io_error=error.strerror) from None


def _file_magic(path: str) -> str:
    from ovsdb_server.storage.record import identify
    return identify(path, _open_first_line(path))


def _db_schema(path: str) -> DatabaseSchema:
    from ovsdb_server.storage.journal import Journal
    journal = Journal.open(path, is_read_only=True)
    journal.close()
    return journal.schema


def _open_sound(path: str, is_read_only: bool):
    """Open a journal and return it with its database; any damage is an error to a tool."""
    from ovsdb_server.storage.journal import Journal
    journal = Journal.open(path, is_read_only)
    database = journal.load()
    if journal.damage is not None:
        journal.close()
        raise journal.damage
    return journal, database


def _wall_ms() -> int:
    from time import time
    return int(time() * 1000)


# Commands.

def _create(_options: _Options, db: str = "", schema: str = "") -> None:
    parsed = _read_schema(schema or _default_schema())
    from ovsdb_server.storage.journal import create
    create(db or _default_db(), parsed)


def _compact(options: _Options, db: str = "", target: str = "") -> None:
    _rewrite(options, db or _default_db(), target, None,
             f"compacted by ovsdb-tool {VERSION}")


def _convert(options: _Options, db: str = "", schema: str = "", target: str = "") -> None:
    parsed = _read_schema(schema or _default_schema())
    _rewrite(options, db or _default_db(), target, parsed,
             f"converted by ovsdb-tool {VERSION}")


def _rewrite(options: _Options, db: str, target: str, schema: DatabaseSchema | None,
             comment: str) -> None:
    from ovsdb_server.engine.database import convert
    from ovsdb_server.storage.journal import save
    from ovsdb_server.storage.lockfile import LockError, LockFile
    try:
        journal, database = _open_sound(db, is_read_only=bool(target))
    except LockError as error:
        _warn_locked(error)
        raise Fatal(f"{error.details} ({error.io_error})") from None
    try:
        if schema is not None:
            database = convert(database, schema)
        if not target:
            journal.compact(database, comment, _wall_ms())
            return
        try:
            lock = LockFile(target)
        except LockError as error:
            _warn_locked(error)
            raise Fatal(f"{error.details} ({error.io_error})") from None
        try:
            save(target, database, comment, _wall_ms())
        finally:
            lock.release()
    finally:
        journal.close()


def _needs_conversion(_options: _Options, db: str = "", schema: str = "") -> None:
    stored = _db_schema(db or _default_db())
    wanted = _read_schema(schema or _default_schema())
    print("no" if stored == wanted else "yes")


def _db_name(_options: _Options, db: str = "") -> None:
    db = db or _default_db()
    if _file_magic(db) == "CLUSTER":
        print(_cluster_header(db).name)
    else:
        print(_db_schema(db).name)


def _db_version(_options: _Options, db: str = "") -> None:
    print(_db_schema(db or _default_db()).version)


def _db_cksum(_options: _Options, db: str = "") -> None:
    print(_db_schema(db or _default_db()).cksum)


def _schema_name(_options: _Options, schema: str = "") -> None:
    print(_read_schema(schema or _default_schema()).name)


def _schema_version(_options: _Options, schema: str = "") -> None:
    print(_read_schema(schema or _default_schema()).version)


def _schema_cksum(_options: _Options, schema: str = "") -> None:
    print(_read_schema(schema or _default_schema()).cksum)


def _db_is_clustered(_options: _Options, db: str) -> int:
    return 0 if _file_magic(db) == "CLUSTER" else 2


def _db_is_standalone(_options: _Options, db: str) -> int:
    return 0 if _file_magic(db) == "JSON" else 2


def _cluster_header(db: str):
    """Return the header of a clustered database file; any other kind ends the program."""
    from ovsdb_server.storage.cluster_file import read_header
    if _file_magic(db) != "CLUSTER":
        raise Fatal(f"{db}: not a clustered database")
    return read_header(db)


def _db_cid(_options: _Options, db: str) -> int:
    cid = _cluster_header(db).cluster_id
    if cid is None:
        sys.stderr.write(f"{db}: cluster ID not yet known\n")
        return 2
    print(cid)
    return 0


def _db_sid(_options: _Options, db: str) -> None:
    print(_cluster_header(db).server_id)


def _db_local_address(_options: _Options, db: str) -> None:
    print(_cluster_header(db).local_address)


def _check_cluster(_options: _Options, *dbs: str) -> None:
    from utilities.cluster_check import CheckError, check_cluster
    try:
        for warning in check_cluster(dbs):
            print(warning)
    except CheckError as error:
        raise Fatal(str(error)) from None


def _create_cluster(options: _Options, db: str, contents: str, local: str) -> None:
    from ovsdb_server.engine.ephemeral import persist_ephemeral
    from ovsdb_server.storage.cluster_file import create_cluster
    data: dict = {}
    try:
        is_database = _open_first_line(contents).startswith(b"OVSDB ")
    except OvsdbError:
        is_database = True               # It complains better than a schema's reader.
    if is_database:
        journal, database = _open_sound(contents, is_read_only=True)
        journal.close()
        schema = database.schema
    else:
        database, schema = None, _read_schema(contents)
    warning = persist_ephemeral(schema, contents)
    if warning is not None:
        LOG.log("ovsdb", WARN, warning)
    if database is not None:
        from ovsdb_server.storage.replay import encode_rows
        rows = {name: table.rows for name, table in database.tables.items()}
        data = encode_rows(schema, rows, f"created from {contents}", _wall_ms())
        data["_is_diff"] = True
    create_cluster(db, schema, data, local, options.election_timer)


def _join_cluster(options: _Options, db: str, name: str, local: str, *remotes: str) -> None:
    from ovsdb_server.engine.parser import is_identifier
    from ovsdb_server.storage.cluster_file import join_cluster
    if not is_identifier(name):
        raise Fatal(f'{name}: not a valid schema name (use "schema-name" command to find the '
                       "correct name)")
    join_cluster(db, name, local, list(remotes), options.cluster_id)
    if not local.startswith("etcd:"):
        _warn_without_etcd()


def _warn_without_etcd() -> None:
    """Say so if the server of a file that has just been made cannot join its cluster."""
    import shutil
    if shutil.which("etcd") is None:
        LOG.log("ovsdb_tool", WARN, "etcd is not installed, and clusters of more than one server "
                                    "need it: install it (Debian's package is etcd-server)")


def _cluster_to_standalone(_options: _Options, db: str, clustered: str) -> None:
    from ovsdb_server.storage.cluster_log import write_standalone
    if _file_magic(clustered) != "CLUSTER":
        raise Fatal("Database is not clustered db.\n")
    write_standalone(clustered, db)


def _compare_versions(_options: _Options, a: str, operator: str, b: str) -> int:
    from ovsdb_server.engine.schema import compare_versions
    for version in (a, b):
        try:
            compare_versions(version, version)
        except OvsdbError:
            raise Fatal(f"{version}: not an OVSDB version number in format x.y.z") from None
    order = compare_versions(a, b)
    answers = {"<": order < 0, "<=": order <= 0, "==": order == 0, ">=": order >= 0,
               ">": order > 0, "!=": order != 0}
    if operator not in answers:
        raise Fatal(f"{operator}: not a relational operator")
    return 0 if answers[operator] else 2


def _query(options: _Options, *arguments: str) -> None:
    _execute(options, arguments, is_read_only=True)


def _transact(options: _Options, *arguments: str) -> None:
    _execute(options, arguments, is_read_only=False)


def _execute(options: _Options, arguments: tuple[str, ...], is_read_only: bool) -> None:
    from ovsdb_server.engine.database import Context
    from ovsdb_server.engine.json_complaint import JsonError, read_json
    db = arguments[0] if len(arguments) > 1 else _default_db()
    text = arguments[-1]
    journal, database = _open_sound(db, is_read_only)
    try:
        try:
            params = read_json(text)
        except JsonError as error:
            raise Fatal(f'"{text}": {error}') from None
        complaint = _check_params(params, database.name)
        if complaint is not None:
            print(json_text(complaint))
            return
        execution = database.transact(params[1:], Context(role=options.role))
        database.commit(
            execution, lambda delta, comment: journal.write(delta, comment, _wall_ms()))
        if execution.delta:
            journal.sync()
        print(json_text(execution.results))
    finally:
        journal.close()


def _check_params(params, name: str) -> dict | None:
    from ovsdb_server.engine.error import syntax_error
    if type(params) is not list:
        return syntax_error(params, "array expected").to_json()
    if not params or params[0] != name:
        return syntax_error(params, "database name expected as first parameter").to_json()
    return None


def _show_log(options: _Options, db: str = "") -> None:
    from ovsdb_server.storage.record import CLUSTERED, identify, read_records
    db = db or _default_db()
    magic = identify(db, _open_first_line(db))
    schema = None
    names: dict[str, str] = {}
    with open(db, "rb") as stream:
        for number, record in enumerate(read_records(stream, db, magic)):
            sys.stdout.write(f"record {number}:")
            if magic == CLUSTERED:
                print()
                schema = _show_cluster_record(options, number, record.json, schema, names)
            elif number == 0:
                schema = DatabaseSchema.from_json(record.json)
                print(f' "{schema.name}" schema, version="{schema.version}", '
                      f'cksum="{schema.cksum}"\n')
            else:
                _show_transaction(options, record.json, schema, names)


def _show_cluster_record(options: _Options, number: int, json: dict,
                         schema: DatabaseSchema | None, names: dict[str, str]
                         ) -> DatabaseSchema | None:
    """Print a record of a clustered database; return the schema that holds after it."""
    from ovsdb_server.storage.cluster_file import Entry, parse_header, parse_record
    try:
        value = parse_record(json) if number else parse_header(json)
    except OvsdbError as error:
        print(f"{error}\n")
        return schema
    if not number:
        return _show_header(options, value, names)
    if value.comment is not None:
        print(f' comment: "{value.comment}"')
    shown = value.to_json()
    for name in ("term", "index", "servers", "eid", "vote", "leader", "commit_index", "note"):
        if shown.get(name) is not None and name != "eid":
            print(f" {name}: {_cluster_value_text(name, shown[name])}")
        elif name in shown:
            print(f" eid: {shown[name][:4]}")
    if not isinstance(value, Entry) or value.schema is None and value.data is None:
        print()
        return schema
    return _show_cluster_data(options, "schema", value.schema, value.data, schema, names)


def _cluster_value_text(name: str, value) -> str:
    match name:
        case "servers":
            return _servers_text(value)
        case "vote" | "leader":
            return value[:4]
        case "note":
            return f'"{value}"'
    return str(value)


def _servers_text(servers: dict[str, str]) -> str:
    return ", ".join(f'{sid[:4]}("{address}")' for sid, address in sorted(servers.items()))


def _show_header(options: _Options, header, names: dict[str, str]) -> DatabaseSchema | None:
    print(f" name: \"{header.name}'")   # The reference's quotes.
    print(f' local address: "{header.local_address}"')
    print(f" server_id: {header.server_id[:4]}")
    if header.cluster_id is not None:
        print(f" cluster_id: {header.cluster_id[:4]}")
    snapshot = header.snapshot
    if snapshot is None:
        print(f" remote_addresses: {' '.join(header.remotes)}\n")
        return None
    print(f" prev_index: {snapshot.index}\n prev_term: {snapshot.term}")
    print(f" prev_servers: {_servers_text(snapshot.servers)}")
    print(f" prev_eid: {snapshot.eid[:4]}")
    return _show_cluster_data(options, "prev_schema", snapshot.schema, snapshot.data, None,
                              names)


def _show_cluster_data(options: _Options, label: str, schema_json: dict | None,
                       data: dict | None, schema: DatabaseSchema | None,
                       names: dict[str, str]) -> DatabaseSchema | None:
    if schema_json is not None:
        try:
            schema = DatabaseSchema.from_json(schema_json)
        except OvsdbError as error:
            print(f" ***invalid schema: {error}***")
        else:
            print(f' {label}: "{schema.name}", version="{schema.version}", '
                  f'cksum="{schema.cksum}"')
    if not data or schema is None:
        print()
    else:
        _show_transaction(options, data, schema, names)
    return schema


def _show_transaction(options: _Options, json: dict, schema: DatabaseSchema,
                      names: dict[str, str]) -> None:
    from ovsdb_server.engine.parser import as_integer
    date = as_integer(json.get("_date"))
    if date is not None:
        sys.stdout.write(f" {_date_text(date)}")
    comment = json.get("_comment")
    if type(comment) is str:
        sys.stdout.write(f' "{comment}"')
    print()
    if not options.more:
        return
    is_diff = json.get("_is_diff") is True
    tables = [(table, rows) for table, rows in json.items() if type(rows) is dict]
    for table, rows in tables:
        for uuid, row in rows.items():
            _show_row(options, schema, names, table, uuid, row, is_diff)
    if tables:
        print()


def _date_text(date: int) -> str:
    from time import gmtime, strftime
    if date < 1 << 32:
        date *= 1000                     # Old files hold seconds.
    try:
        return strftime("%Y-%m-%d %H:%M:%S", gmtime(date // 1000)) + f".{date % 1000:03}"
    except (OverflowError, OSError, ValueError):
        return str(date)


def _show_row(options: _Options, schema: DatabaseSchema, names: dict[str, str], table: str,
              uuid: str, row, is_diff: bool) -> None:
    short = uuid[:8]
    old_name = names.get(uuid)
    new_name = None
    if type(row) is dict and "name" in row:
        new_name = json_text(row["name"])
    names[uuid] = new_name or old_name or short
    if old_name is not None:
        print(f"  table {table} row {old_name} ({short}){' diff' if is_diff else ''}:")
    elif new_name is not None:
        print(f"  table {table} insert row {new_name} ({short}):")
    else:
        print(f"  table {table} insert row {short}:")
    if row is None:
        print("    delete row")
    elif type(row) is dict and options.more > 1:
        known = schema.tables.get(table)
        for name, value in row.items():
            print(f"    {name}={_value_text(known, name, value)}")


def _value_text(table, name: str, json) -> str:
    from ovsdb_server.engine import datum
    column = None if table is None else table.columns.get(name)
    if column is not None:
        try:
            return datum.format_text(column.type, datum.from_json(column.type, json))
        except OvsdbError:
            pass
    return json_text(json)


def _help(_options: _Options) -> int:
    from utilities.help_parts import LOGGING, fill
    sys.stdout.write(fill(_HELP + LOGGING + _OTHER_HELP, PROGRAM, db=_default_db(),
                          schema=_default_schema()))
    return 0


def _list_commands(_options: _Options) -> None:
    print("The available commands are:")
    for name, command in _COMMANDS.items():
        print(f"  {name:<23} {command[0]}")


# Name: usage, least and most arguments (None: any number), function.
_COMMANDS: dict[str, tuple[str, int, int | None, Callable]] = {
    "create": ("[db [schema]]", 0, 2, _create),
    "create-cluster": ("db contents local", 3, 3, _create_cluster),
    "join-cluster": ("db name local remote...", 4, None, _join_cluster),
    "compact": ("[db [dst]]", 0, 2, _compact),
    "convert": ("[db [schema [dst]]]", 0, 3, _convert),
    "needs-conversion": ("", 0, 2, _needs_conversion),
    "db-name": ("[db]", 0, 1, _db_name),
    "db-version": ("[db]", 0, 1, _db_version),
    "db-cksum": ("[db]", 0, 1, _db_cksum),
    "db-cid": ("db", 1, 1, _db_cid),
    "db-sid": ("db", 1, 1, _db_sid),
    "db-local-address": ("db", 1, 1, _db_local_address),
    "db-is-clustered": ("db", 1, 1, _db_is_clustered),
    "db-is-standalone": ("db", 1, 1, _db_is_standalone),
    "schema-name": ("[schema]", 0, 1, _schema_name),
    "schema-version": ("[schema]", 0, 1, _schema_version),
    "schema-cksum": ("[schema]", 0, 1, _schema_cksum),
    "query": ("[db] trns", 1, 2, _query),
    "transact": ("[db] trns", 1, 2, _transact),
    "show-log": ("[db]", 0, 1, _show_log),
    "check-cluster": ("db...", 1, None, _check_cluster),
    "compare-versions": ("a op b", 3, 3, _compare_versions),
    "help": ("", 0, None, lambda options, *_words: _help(options)),
    "list-commands": ("", 0, None, lambda options, *_words: _list_commands(options)),
    "cluster-to-standalone": ("db clusterdb", 2, 2, _cluster_to_standalone),
}
