"""Ephemeral columns and clusters: a clustered database has none.

Tools make such columns persistent before they hand a schema to a cluster; a server refuses them.

Source: ovsdb(7), "Ephemeral Columns".  Pure.
"""

from .error import syntax_error
from .schema import DatabaseSchema


def first_ephemeral(schema: DatabaseSchema) -> tuple[str, str, int] | None:
    """Return (table, column) of an ephemeral column and how many there are, None without any."""
    found = [(table.name, column.name) for table in schema.tables.values()
             for column in table.named_columns if not column.is_persistent]
    return (*found[0], len(found)) if found else None


def refuse_ephemeral(schema: DatabaseSchema) -> None:
    """Raise OvsdbError when a clustered database cannot have `schema`."""
    found = first_ephemeral(schema)
    if found is not None:
        raise syntax_error(
            schema.to_json(), f"Table {found[0]} column {found[1]} is ephemeral but clustered "
                              f"databases do not support ephemeral columns.")


def persist_ephemeral(schema: DatabaseSchema, name: str) -> str | None:
    """Make all columns of `schema` persistent; return what to warn of, None if they were.

    `name` is where the schema comes from.
    """
    found = first_ephemeral(schema)
    if found is None:
        return None
    for table in schema.tables.values():
        for column in table.named_columns:
            column.is_persistent = True
    table, column, count = found
    return (f"{name}: changed {count} columns in '{schema.name}' database from ephemeral to "
            f"persistent, including '{column}' column in '{table}' table, because clusters do "
            "not support ephemeral columns")
