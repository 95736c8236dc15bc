"""The language of ovs-vsctl's command line: commands, their options, tables, columns, records.

`parse_commands` cuts argv at "--" into `Call`s of the commands in a table.  `Context` is what a
command runs in: the database, the transaction, its arguments, and the lookups by which users
name tables, columns and rows.  Used by `generic.py` (get, set, ...) and `bridge.py`; another
ctl program with another schema could be built from it.
"""

import os

from ovsdb_server.engine.atom import Symbol, Symbols, is_uuid
from ovsdb_server.engine.datum import read_token
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import Column
from utilities.command_line import Fatal
from utilities.database import Database, Row, Schema, Transaction
from utilities.database import Table as SchemaTable

UNLIMITED = 1 << 30

# What the tree of bridges, ports and interfaces is read from.
TREE_COLUMNS = {
    "Open_vSwitch": ("bridges",),
    "Bridge": ("name", "ports"),
    "Port": ("name", "tag", "fake_bridge", "interfaces"),
    "Interface": ("name",),
}


class Command:
    """One row of the command table.

    `name`; how many arguments it takes; `arguments` in the notation of --commands; `prepare`
    (before connecting: says which columns are needed), `run`, `finish` (after the commit, may be
    None), each called with a Context; `options` ("--x", or "--x=" when it takes a value);
    `is_write`: may it change the database?
    """

    __slots__ = ("name", "n_min", "n_max", "arguments", "prepare", "run", "finish", "options",
                 "is_write")

    def __init__(self, name: str, n_min: int, n_max: int, arguments: str, prepare, run,
                 finish=None, options: str = "", is_write: bool = False) -> None:
        self.name = name
        self.n_min = n_min
        self.n_max = n_max
        self.arguments = arguments
        self.prepare = prepare
        self.run = run
        self.finish = finish
        self.options = tuple(options.split())
        self.is_write = is_write


class Call:
    """A command as the user wrote it, and what it printed."""

    __slots__ = ("command", "options", "arguments", "output", "table")

    def __init__(self, command: Command, options: dict[str, str | None],
                 arguments: list[str]) -> None:
        self.command = command
        self.options = options
        self.arguments = arguments
        self.output: list[str] = []
        self.table = None

    def words(self) -> str:
        """Return the call as words, for error texts."""
        words = [name if value is None else f"{name}={value}"
                 for name, value in self.options.items()]
        return " ".join([*words, self.command.name, *self.arguments])


def parse_commands(words: list[str], options: dict[str, str | None],
                   commands: dict[str, Command]) -> list[Call]:
    """Return the calls in `words`; `options` were found before and belong to the first.

    Raises Fatal.
    """
    calls = []
    start = 0
    for index in range(len(words) + 1):
        if index < len(words) and words[index] != "--":
            continue
        if index > start:
            calls.append(_parse_command(words[start:index], options, commands))
            options = {}
        elif options:
            raise Fatal("missing command name (use --help for help)")
        start = index + 1
    if not calls:
        raise Fatal("missing command name (use --help for help)")
    return calls


def _parse_command(words: list[str], options: dict[str, str | None],
                   commands: dict[str, Command]) -> Call:
    options = dict(options)
    position = 0
    while position < len(words) and words[position].startswith("-"):
        name, equals, value = words[position].partition("=")
        if name in options:
            raise Fatal(f"'{words[position]}' option specified multiple times")
        options[name] = value if equals else None
        position += 1
    if position == len(words):
        raise Fatal("missing command name (use --help for help)")
    name = words[position]
    command = commands.get(name)
    if command is None:
        raise Fatal(f"unknown command '{name}'; use --help for help")
    for option, value in options.items():
        if option in command.options:
            if value is not None:
                raise Fatal(f"'{option}' option on '{name}' does not accept an argument")
        elif option + "=" not in command.options:
            raise Fatal(f"'{name}' command has no '{option}' option")
        elif value is None:
            raise Fatal(f"missing argument to '{option}' option on '{name}' command")
    arguments = words[position + 1:]
    if len(arguments) < command.n_min:
        raise Fatal(f"'{name}' command requires at least {command.n_min} arguments")
    if len(arguments) > command.n_max:
        note = ""
        if any(word.startswith("-") for word in arguments):
            note = ' (note that options must precede command names and follow a "--" argument)'
        raise Fatal(f"'{name}' command takes at most {command.n_max} arguments{note}")
    return Call(command, options, arguments)


class RecordName:
    """One way to name a row of a table other than by UUID.

    It is the row of `table` whose `column` is the name, or with `reference` the row which that
    column of it points to.  `column` None stands for ".", which names the only row of any table;
    it is listed for the tables that never have more.
    """

    __slots__ = ("table", "column", "reference")

    def __init__(self, table: str, column: str | None = None,
                 reference: str | None = None) -> None:
        self.table = table
        self.column = column
        self.reference = reference


class Run:
    """What the commands of one attempt share.

    `root` is the row of the root table; `cache` belongs to `bridge.py`; `new_interfaces` are
    provisional UUIDs of interfaces to look at when the switch has followed; `waits`: will
    ovs-vsctl wait for it?  `plan` and `unfulfilled`, the calls that would have to wait, are for
    runs that change nothing; `new_names` of ports, where these are all that the run is about.
    """

    __slots__ = ("schema", "record_names", "database", "transaction", "symbols", "root", "cache",
                 "new_interfaces", "has_verified_ports", "waits", "plan", "unfulfilled",
                 "new_names")

    def __init__(self, schema: Schema, record_names: dict[str, tuple[RecordName, ...]],
                 database: Database, waits: bool) -> None:
        self.schema = schema
        self.record_names = record_names
        self.database = database
        self.transaction = Transaction(database)
        self.symbols = Symbols()
        self.root: Row | None = None
        self.cache = None
        self.new_interfaces: list[str] = []
        self.has_verified_ports = False
        self.waits = waits
        self.plan = None
        self.unfulfilled: list[Call] = []
        self.new_names: list[str] = []


class TryAgain(Exception):
    """A condition is not fulfilled yet: run everything again after the next change."""


class Context:
    """What one command sees: its call, the run, and whether it is the last command of it."""

    __slots__ = ("run", "call", "options", "arguments", "database", "transaction", "symbols",
                 "is_last")

    def __init__(self, run: Run, call: Call, is_last: bool = False) -> None:
        self.is_last = is_last
        self.run = run
        self.call = call
        self.options = call.options
        self.arguments = call.arguments
        self.database = run.database
        self.transaction = run.transaction
        self.symbols = run.symbols

    def print(self, text: str) -> None:
        """Add a line to the output."""
        self.call.output.append(text + "\n")

    def invalidate_cache(self) -> None:
        """Forget what is known of bridges and ports."""
        self.run.cache = None

    def note_change(self, table: SchemaTable, column: str | None = None) -> None:
        """Forget it if a change of this column (None: of rows) may have changed it."""
        columns = TREE_COLUMNS.get(table.name, ())
        if column in columns or column is None and columns:
            self.run.cache = None

    def find_table(self, name: str) -> SchemaTable:
        """Return the table whose name matches `name`, perhaps abbreviated.  Raises Fatal."""
        best = _best_matches(name, self.run.schema.table_names)
        if not best:
            raise Fatal(f'unknown table "{name}"')
        if len(best) > 1:
            raise Fatal(f'"{name}" matches multiple table names: {", ".join(best)}')
        return self.run.schema.table(best[0])

    def find_column(self, table: SchemaTable, name: str) -> Column:
        """Return the column of `table` whose name matches `name`.  Raises Fatal."""
        column = table.columns.get(name)
        if column is not None and column.index > 1:
            return column
        best = _best_matches(name, table.columns.names)
        if not best:
            raise Fatal(f'{table.name} does not contain a column whose name matches "{name}"')
        if len(best) > 1:
            raise Fatal(f"{table.name} contains more than one column whose name matches "
                        f'"{name}": {", ".join(best)}')
        return table.columns[best[0]]

    def want_table(self, name: str) -> SchemaTable:
        """Find a table, and ask the database for what names its rows."""
        table = self.find_table(name)
        self.database.want(table.name)
        for way in self.run.record_names.get(table.name, ()):
            self.database.want(way.table)
            if way.column is not None:
                self.database.want(way.table, way.column)
            if way.reference is not None:
                self.database.want(way.table, way.reference)
        return table

    def want_column(self, table: SchemaTable, name: str) -> Column:
        """Find a column, and ask the database for it."""
        column = self.find_column(table, name)
        self.database.want(table.name, column.name)
        return column

    def want_argument(self, table: SchemaTable, argument: str) -> None:
        """Ask the database for the column with which COLUMN[:KEY][=VALUE] begins."""
        name, _ = self.read_column_name(argument)
        self.want_column(table, name)

    @staticmethod
    def read_column_name(argument: str) -> tuple[str, int]:
        """Return the column's name at the start of `argument` and where it ends."""
        name, end = spoken(read_token, argument, 0)
        if not name:
            raise Fatal(f"{argument}: missing column name")
        return name, end

    def read_column_key(self, table: SchemaTable, argument: str
                        ) -> tuple[Column, str | None, int]:
        """Read COLUMN[:KEY]; return the column, the key and where it ends."""
        name, end = self.read_column_name(argument)
        column = self.find_column(table, name)
        if argument[end:end + 1] != ":":
            return column, None, end
        key, end = spoken(read_token, argument, end + 1)
        return column, key, end

    def read_column_only(self, table: SchemaTable, argument: str) -> tuple[Column, str | None]:
        """Read all of `argument` as COLUMN[:KEY]."""
        column, key, end = self.read_column_key(table, argument)
        if end < len(argument):
            raise Fatal(f'{argument}: trailing garbage "{argument[end:]}" in argument')
        return column, key

    def read_setting(self, table: SchemaTable, argument: str,
                     operators: tuple[str, ...] = ("=",)
                     ) -> tuple[Column, str | None, str, str]:
        """Read COLUMN[:KEY] OPERATOR VALUE; return column, key, operator, value."""
        column, key, end = self.read_column_key(table, argument)
        best = ""
        for operator in operators:
            if (len(operator) > len(best) and argument.startswith(operator, end)
                    and end + len(operator) < len(argument)):
                best = operator
        if not best:
            quoted = [f'"{operator}"' for operator in operators]
            listed = quoted[0] if len(quoted) == 1 else (
                f"{', '.join(quoted[:-1])}, or {quoted[-1]}")
            raise Fatal(f"{argument}: argument does not end in {listed} followed by a value.")
        return column, key, best, argument[end + len(best):]

    def find_row(self, table: SchemaTable, name: str, must_exist: bool = True) -> Row | None:
        """Return the row of `table` called `name`.  Raises Fatal."""
        if is_uuid(name):
            row = self.database.row(table.name, name.lower())
            if row is not None:
                return row
        for way in self.run.record_names.get(table.name, ()):
            row = self._find_row_by(table, way, name)
            if row is not None:
                return row
        row = (self._only_row(table.name) if name == "." else
               self._find_row_by_prefix(table, name))
        if row is None and must_exist:
            raise Fatal(f'no row "{name}" in table {table.name}')
        return row

    def _find_row_by(self, table: SchemaTable, way: RecordName, name: str) -> Row | None:
        if way.column is None:
            return None
        wanted: str | int = name
        if self.run.schema.table(way.table).columns[way.column].type.key.type == "integer":
            if not (name.isascii() and name.lstrip("-+").isdigit()):
                return None
            wanted = int(name)
        rows = self.transaction.find(way.table, way.column, wanted)
        if len(rows) > 1:
            raise Fatal(f'multiple rows in {way.table} match "{name}"')
        found = rows[0] if rows else None
        if found is None or way.reference is None:
            return found
        self.transaction.verify(found, way.reference)
        target = found.get(way.reference)
        return self.database.row(table.name, target[0]) if len(target) == 1 else None

    def _only_row(self, table: str) -> Row | None:
        rows = self.database.all(table)
        return rows[0] if len(rows) == 1 else None

    def _find_row_by_prefix(self, table: SchemaTable, name: str) -> Row | None:
        if len(name) < 4 or not _UUID_CHARACTERS.issuperset(name):
            return None
        prefix = name.lower()
        found = None
        for row in self.database.all(table.name):
            if row.uuid.startswith(prefix):
                if found is not None:
                    raise Fatal(f"{table.name} contains 2 or more rows whose UUIDs begin with "
                                f"{name}: at least {found.uuid} and {row.uuid}")
                found = row
        return found

    def make_symbol(self, name: str) -> tuple[Symbol, bool]:
        """Return the symbol that --id=NAME declares, and whether it is new.  Raises Fatal."""
        if not name.startswith("@"):
            raise Fatal(f'row id "{name}" does not begin with "@"')
        is_new = name not in self.symbols.names
        symbol = self.symbols.lookup(name)
        if symbol.created:
            raise Fatal(f'row id "{name}" may only be specified on one --id option')
        symbol.created = True
        return symbol, is_new


_UUID_CHARACTERS = frozenset("0123456789abcdefABCDEF-")


def spoken(function, *arguments):
    """Call `function`; its OvsdbError becomes the Fatal that says the same."""
    try:
        return function(*arguments)
    except OvsdbError as error:
        raise Fatal(str(error)) from None


def _fold(name: str) -> str:
    return name.lower().replace("-", "_")


def _best_matches(name: str, candidates: list[str]) -> list[str]:
    """Return the candidates that `name` fits best, sorted: exactly, folded, or abbreviated."""
    if name in candidates:
        return [name]
    folded = _fold(name)
    same = [candidate for candidate in candidates if _fold(candidate) == folded]
    if same:
        return sorted(same)
    if not name:
        return []
    return sorted(candidate for candidate in candidates if _fold(candidate).startswith(folded))


def escape_words(words: list[str]) -> str:
    """Return argv as one line, quoted where it needs to be, as the reference logs it."""
    return " ".join(_escape_word(word) for word in words)


def _escape_word(word: str) -> str:
    if not any(char in ' \t\r\n\v\\\'"' for char in word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parent_name() -> str | None:
    """Return the first word of our parent's command line, None when it cannot be read."""
    pid = os.getppid()
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            line = file.read()
    except OSError:
        return None
    word = line.split(b"\0", 1)[0] if line else f" (pid {pid})".encode()
    return os.fsdecode(word.split(b"\n", 1)[0])
