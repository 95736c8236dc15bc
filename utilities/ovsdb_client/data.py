"""The commands about data: transact, query, dump."""

from ovsdb_server.engine.datum import from_json, sort_key
from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.schema import Column
from utilities.command_line import Fatal
from ovsdb_server.engine.json_complaint import JsonError, read_json
from utilities.ovsdb_client.session import Session
from utilities.table import Table


def _parse_transaction(text: str) -> list:
    try:
        transaction = read_json(text)
    except JsonError as error:
        raise Fatal(f'"{text}": {error}') from None
    if not (isinstance(transaction, list) and transaction and isinstance(transaction[0], str)):
        raise Fatal("not a valid OVSDB query")
    return transaction


def _connect(session: Session) -> None:
    session.connect([], 0, has_database=False)
    if session.is_change_aware:
        # A transaction that waits is then told that it was canceled, if the schema changes.
        session.set_change_aware(True)


def transact(session: Session, arguments: list[str]) -> None:
    transaction = _parse_transaction(arguments[0])
    _connect(session)
    session.print_json(session.call("transact", transaction))


def query(session: Session, arguments: list[str]) -> None:
    transaction = _parse_transaction(arguments[0])
    _connect(session)
    results = session.call("transact", [*transaction, {"op": "abort"}])
    if not isinstance(results, list):
        raise Fatal("result is not array")
    if results and len(results) == len(transaction) and isinstance(results[-1], dict) and (
            results[-1].get("error") == "aborted"):
        results.pop()
    session.print_json(results)


def dump(session: Session, arguments: list[str]) -> None:
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
            # The server complains of columns that are named twice.
            columns = [column for column in columns
                       for name in arguments[1:] if name == column.name]
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
        rows.sort(key=lambda row: [sort_key(cell[1]) for cell, column in zip(row, columns)
                                   if column.name != "_uuid"])
        out.rows = rows
        session.printer.print(out)


def _datum(column: Column, json) -> tuple:
    """Return a value as a table's cell."""
    try:
        return column.type, from_json(column.type, json)
    except OvsdbError as error:
        raise Fatal(str(error)) from None
