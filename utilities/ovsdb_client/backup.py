"""The commands backup and restore: a database as a file on stdout or stdin."""

import os
import sys
import time

from ovsdb_server.engine.datum import to_json
from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.schema import DatabaseSchema
from utilities.command_line import INFO, LOG, Fatal, flush_output
from utilities.ovsdb_client.session import Session


def backup(session: Session, arguments: list[str]) -> None:
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


def restore(session: Session, arguments: list[str]) -> None:
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
