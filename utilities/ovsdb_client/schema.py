"""The commands about schemas: list-dbs, get-schema*, list-tables, list-columns, conversion."""

from ovsdb_server.engine.ephemeral import persist_ephemeral
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from utilities.command_line import LOG, WARN, Fatal, write_text
from ovsdb_server.engine.json_complaint import JsonError, read_json
from utilities.ovsdb_client.session import Session, reason_of, server_rows
from utilities.table import Table


def list_dbs(session: Session, arguments: list[str]) -> None:
    names = session.call("list_dbs", [])
    if not isinstance(names, list):
        raise Fatal("list_dbs response is not array")
    write_text("".join(f"{name}\n" for name in sorted(names)))


def get_schema(session: Session, arguments: list[str]) -> None:
    session.print_json(session.fetch_schema().to_json())


def get_schema_version(session: Session, arguments: list[str]) -> None:
    print(session.fetch_schema().version)


def get_schema_cksum(session: Session, arguments: list[str]) -> None:
    print(session.fetch_schema().cksum)


def list_tables(session: Session, arguments: list[str]) -> None:
    table = Table(["Table"])
    table.rows = [[name] for name in session.fetch_schema().tables]
    session.printer.print(table)


def list_columns(session: Session, arguments: list[str]) -> None:
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
            json = read_json(file.read())
    except OSError as error:
        raise Fatal(f'failed to read schema: "{path}" could not be read as JSON (error opening '
                    f'"{path}": {reason_of(error)})') from None
    except JsonError as error:
        raise Fatal(f'failed to read schema: "{path}" could not be read as JSON '
                    f"({error})") from None
    try:
        return DatabaseSchema.from_json(json)
    except OvsdbError as error:
        syntax = f'syntax "{error.syntax}": ' if error.syntax is not None else ""
        raise Fatal(f'{syntax}{error.tag}: failed to parse "{path}" as ovsdb schema: '
                    f"{error.details}") from None


def _read_schema_for(session: Session, path: str) -> DatabaseSchema:
    """Return the schema in a file as the server, now connected, can have it.

    A cluster has nothing ephemeral.
    """
    schema = _read_schema(path)
    session.connect([], 0, has_database=False)
    rows = server_rows(session.connection, schema.name, ["model"])
    if rows and rows[0].get("model") == "clustered":
        warning = persist_ephemeral(schema, path)
        if warning is not None:
            LOG.log("ovsdb", WARN, warning)
    return schema


def convert(session: Session, arguments: list[str]) -> None:
    schema = _read_schema_for(session, arguments[0])
    session.set_change_aware(True)
    session.call("convert", [schema.name, schema.to_json()])


def needs_conversion(session: Session, arguments: list[str]) -> None:
    schema = _read_schema_for(session, arguments[0])
    session.database = schema.name
    print("no" if session.fetch_schema() == schema else "yes")
