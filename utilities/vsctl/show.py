"""The show command: an indented overview of the database.

What is shown is a table: per database table its title column and the columns below it, in order.
A column that refers to a shown table is shown as the rows it refers to, indented.
"""

from ovsdb_server.engine.datum import format_text, is_default
from utilities.command_line import Fatal
from utilities.database import Row
from utilities.vsctl.language import Command, Context

ROOT = "Open_vSwitch"

# Table: (title column or None for the UUID, columns shown below it).
SHOWN = {
    "Open_vSwitch": (None, ("manager_options", "bridges", "ovs_version")),
    "Bridge": ("name", ("controller", "fail_mode", "datapath_type", "ports")),
    "Port": ("name", ("tag", "trunks", "interfaces")),
    "Interface": ("name", ("type", "options", "error")),
    "Controller": ("target", ("is_connected",)),
    "Manager": ("target", ("is_connected",)),
}


def want_show(ctx: Context) -> None:
    """Ask for all that is shown."""
    for table, (title, columns) in SHOWN.items():
        ctx.database.want(table, *columns)
        if title:
            ctx.database.want(table, title)


def show(ctx: Context) -> None:
    """Print the overview; with --filter only the branches in which a row matches."""
    conditions = _parse_filter(ctx)
    for row in ctx.database.all(ROOT):
        lines, _ = _row_lines(ctx, row, 0, conditions)
        ctx.call.output.extend(lines)


def _parse_filter(ctx: Context) -> list[tuple[str, str]]:
    """Read --filter=TABLE(TEXT)[|TABLE(TEXT)]...; return (table, text) pairs."""
    text = ctx.options.get("--filter")
    if text is None:
        return []
    conditions = []
    for part in text.split("|"):
        table, parenthesis, wanted = part.partition("(")
        if not parenthesis or not wanted.endswith(")"):
            raise Fatal(f"Malformed filter: missing parenthesis in '{part}'")
        conditions.append((ctx.find_table(table.strip()).name, wanted[:-1]))
    return conditions


def _row_lines(ctx: Context, row: Row, level: int,
               conditions: list[tuple[str, str]]) -> tuple[list[str], bool]:
    """Return the lines of `row` and of what is below it, and whether a condition matches there."""
    indent = " " * (4 * level)
    title, columns = SHOWN[row.table.name]
    if title is None:
        own = [f"{indent}{row.uuid}\n"]
    else:
        column = row.table.columns[title]
        own = [f"{indent}{row.table.name} {format_text(column.type, row.read(column))}\n"]
    lines: list[tuple[list[str], bool | None]] = []
    for name in columns:
        column = row.table.columns[name]
        type_ = column.type
        datum = row.read(column)
        if type_.key.ref_table in SHOWN:
            for uuid in datum:
                child = ctx.database.row(type_.key.ref_table, uuid)
                if child is not None:
                    lines.append(_row_lines(ctx, child, level + 1, conditions))
        elif not is_default(type_, datum):
            line = f"{indent}    {name}: {format_text(type_, datum)}\n"
            own.append(line)
            lines.append(([line], None))
    text = "".join(own)
    matches = any(table == row.table.name and wanted in text for table, wanted in conditions)
    # Of a row that matches everything is shown, of one above it only the way down.
    is_kept = matches or any(found for _, found in lines)
    shown = own[:1]
    for part, found in lines:
        if not conditions or matches or found is None or found:
            shown.extend(part)
    if conditions and not is_kept and level > 0:
        return shown, False
    return shown, is_kept


SHOW_COMMANDS = (Command("show", 0, 0, "", want_show, show, None, "--filter="),)
