"""Tables as the tools print them: 2-D text, list, HTML, CSV and JSON.

A `Table` holds cells, each either a text or a database value with its type; a `Style` says how
to print it (--format, --data, --no-headings, --pretty, --bare, --max-column-width).  Used by
every tool that lists database rows.
"""

from ovsdb_server.engine.atom import is_uuid
from ovsdb_server.engine.datum import format_bare, format_text, to_json
from ovsdb_server.engine.error import json_text, number_text, string_text
from utilities.command_line import Fatal, write_text

FORMATS = ("table", "list", "html", "csv", "json")
CELL_FORMATS = ("string", "bare", "json")


class Style:
    """How to print tables.  `cell_format` None means what suits the table format."""

    __slots__ = ("format", "cell_format", "headings", "is_pretty", "max_column_width")

    def __init__(self, format: str = "table") -> None:
        self.format = format
        self.cell_format: str | None = None
        self.headings = True
        self.is_pretty = False
        self.max_column_width = 0

    def apply_option(self, name: str, value: str | None) -> bool:
        """Apply one of command_line.TABLE_OPTIONS; return whether `name` is one.  Raises Fatal."""
        if name == "format":
            if value not in FORMATS:
                raise Fatal(f'unknown output format "{value}"')
            self.format = value
        elif name == "data":
            if value not in CELL_FORMATS:
                raise Fatal(f'unknown data format "{value}"')
            self.cell_format = value
        elif name == "no-headings":
            self.headings = False
        elif name == "pretty":
            self.is_pretty = True
        elif name == "bare":
            self.format, self.cell_format, self.headings = "list", "bare", False
        elif name == "max-column-width":
            digits = value.strip()
            self.max_column_width = int(digits) if digits.isdigit() else 0
        else:
            return False
        return True


class Table:
    """A caption, headings and rows.

    A cell is a str, printed as it is, or (column type, datum), or (None, JSON value), or None
    when there is nothing to show.
    """

    __slots__ = ("caption", "headings", "rows", "timestamp")

    def __init__(self, headings: list[str], caption: str | None = None) -> None:
        self.caption = caption
        self.headings = headings
        self.rows: list[list] = []
        self.timestamp: str | None = None

    def text(self, style: Style, is_first: bool) -> str:
        """Return the table in `style`; `is_first` is false when one was printed before it."""
        printer = _PRINTERS[style.format]
        separator = "" if is_first or style.format in ("html", "json") else "\n"
        return separator + printer(self, style)


class Printer:
    """Prints one table after the other with the blank lines between them."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self._is_first = True

    def print(self, table: Table) -> None:
        """Write `table` to stdout."""
        write_text(table.text(self.style, self._is_first))
        self._is_first = False


def cell_text(cell, style: Style) -> str:
    """Return a cell's text in the cell format of `style`."""
    if type(cell) is str:
        return cell
    if cell is None:
        return ""
    type_, datum = cell
    if type_ is None:
        return json_text(datum)
    if style.cell_format == "json":
        return json_text(to_json(type_, datum))
    if style.cell_format == "bare":
        return format_bare(type_, datum)
    return format_text(type_, datum)


def _cell_json(cell):
    if type(cell) is str or cell is None:
        return cell
    return to_json(*cell) if cell[0] is not None else cell[1]


def _head(table: Table) -> str:
    lines = ""
    if table.timestamp is not None:
        lines += f"{table.timestamp}\n"
    if table.caption is not None:
        lines += f"{table.caption}\n"
    return lines


def _width(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _fit(text: str, width: int) -> str:
    """Return `text` cut or padded to `width` bytes, as C's "%-*.*s" does."""
    size = _width(text)
    if size > width:
        return text.encode("utf-8", "surrogateescape")[:width].decode("utf-8", "surrogateescape")
    return text + " " * (width - size)


def _table_text(table: Table, style: Style) -> str:
    rows = [[cell_text(cell, style) for cell in row] for row in table.rows]
    widths = []
    for x, heading in enumerate(table.headings):
        width = max((_width(row[x]) for row in rows), default=0)
        if 0 < style.max_column_width < width:
            width = style.max_column_width
        widths.append(max(width, _width(heading)) if style.headings else width)
    lines = []
    if style.headings:
        lines.append(table.headings)
        lines.append(["-" * width for width in widths])
    lines.extend(rows)
    body = "".join(" ".join(map(_fit, line, widths)).rstrip(" ") + "\n" for line in lines)
    return _head(table) + body


def _list_text(table: Table, style: Style) -> str:
    blocks = []
    for row in table.rows:
        lines = []
        for heading, cell in zip(table.headings, row):
            prefix = f"{heading:<20}: " if style.headings else ""
            lines.append(f"{prefix}{cell_text(cell, style)}\n")
        blocks.append("".join(lines))
    return _head(table) + "\n".join(blocks)


_HTML_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def _html_text(table: Table, style: Style) -> str:
    out = []
    if table.timestamp is not None:
        out.append(f"{table.timestamp}\n")
    out.append("<table border=1>\n")
    if table.caption is not None:
        out.append(f"    <caption>{_escape_html(table.caption)}</caption>\n")
    if style.headings:
        out.append("  <tr>\n")
        out.extend(f"    <th>{_escape_html(heading)}</th>\n" for heading in table.headings)
        out.append("  </tr>\n")
    for row in table.rows:
        out.append("  <tr>\n")
        for heading, cell in zip(table.headings, row):
            text = cell_text(cell, style)
            if heading == "_uuid":
                inner = f'<a name="{_escape_text(text)}">{_escape_text(text[:8])}</a>'
            else:
                inner = _escape_html(text)
            out.append(f"    <td>{inner}</td>\n")
        out.append("  </tr>\n")
    out.append("</table>\n")
    return "".join(out)


def _escape_text(text: str) -> str:
    return "".join([_HTML_ESCAPES.get(char, char) for char in text])


def _escape_html(text: str) -> str:
    """Return `text` for HTML, each UUID in it a link to the row that it names."""
    out = []
    position = 0
    while position < len(text):
        word = text[position:position + 36]
        if word[8:9] == "-" and is_uuid(word):
            out.append(f'<a href="#{word}">{word[:8]}</a>')
            position += 36
            continue
        out.append(_HTML_ESCAPES.get(text[position], text[position]))
        position += 1
    return "".join(out)


def _csv_text(table: Table, style: Style) -> str:
    lines = [table.headings] if style.headings else []
    lines.extend([cell_text(cell, style) for cell in row] for row in table.rows)
    return _head(table) + "".join(",".join(map(_csv_cell, line)) + "\n" for line in lines)


def _csv_cell(text: str) -> str:
    if '"' in text or "," in text or "\n" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def _json_text(table: Table, style: Style) -> str:
    json = {}
    if table.caption is not None:
        json["caption"] = table.caption
    if table.timestamp is not None:
        json["time"] = table.timestamp
    json["headings"] = table.headings
    json["data"] = [[_cell_json(cell) for cell in row] for row in table.rows]
    return (pretty_json(json) if style.is_pretty else json_text(json)) + "\n"


_PRINTERS = {"table": _table_text, "list": _list_text, "html": _html_text, "csv": _csv_text,
             "json": _json_text}


def pretty_json(json, depth: int = 0) -> str:
    """Return JSON with one member or element per line, closing brackets on the last line."""
    indent = "\n" + "  " * (depth + 1)
    if isinstance(json, dict):
        if not json:
            return "{}"
        members = (f"{string_text(name)}: {pretty_json(json[name], depth + 1)}"
                   for name in sorted(json))
        return "{" + indent + ("," + indent).join(members) + "}"
    if isinstance(json, list):
        if not json:
            return "[]"
        return ("[" + indent
                + ("," + indent).join(pretty_json(element, depth + 1) for element in json) + "]")
    if isinstance(json, (int, float)) and not isinstance(json, bool):
        return number_text(json)
    return json_text(json)
