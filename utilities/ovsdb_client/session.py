"""One run of ovsdb-client: what the options say, the connection, the database, and their errors."""

import errno
import os

from ovsdb_server.engine.error import OvsdbError, json_text
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc.address import split_remotes
from ovsdb_server.rpc.blocking import Connection, ConnectionClosed, ProtocolError, RpcError
from utilities.command_line import INFO, LOG, WARN, Fatal, TlsFiles, default_remote, write_text
from utilities.remote import failure_of, open_remote
from utilities.table import Printer, Style, pretty_json

PROGRAM = "ovsdb-client"


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
        self.background = None              # Of utilities.background, once it is there.
        self.server = default_remote()
        self.connection: Connection | None = None
        self.database = ""

    def start_background(self) -> None:
        """Fork for --detach, take the pidfile."""
        if {"detach", "pidfile", "monitor", "user", "unixctl"} & set(self.daemon_options):
            from utilities.background import Background     # Few runs pay for this.
            self.background = Background(PROGRAM, self.daemon_options, 1, 2)

    def open_control(self, commands: dict):
        """Open the control socket of a detached process, or of one that was given --unixctl."""
        if self.background is None or not {"detach", "unixctl"} & set(self.daemon_options):
            return None
        return self.background.open_control(commands)

    def go_background(self) -> None:
        """Let the parent return; what is printed still goes where it went."""
        if self.background is not None:
            self.background.ready()

    def call(self, method: str, params: list):
        """Send a request and return its result; the server's error ends the program."""
        try:
            return self.connection.call(method, params)
        except RpcError as error:
            raise Fatal(f"transaction returned error: {json_text(error.error)}") from None
        except (ConnectionClosed, ProtocolError):
            raise Fatal("transaction failed (End of file)") from None
        except OSError as error:
            raise Fatal(f"transaction failed ({failure_of(error)})") from None

    def fetch_schema_json(self) -> dict:
        """Return the database's schema as the server gives it."""
        return self.call("get_schema", [self.database])

    def fetch_schema(self) -> DatabaseSchema:
        """Return the database's schema."""
        return parse_schema(self.fetch_schema_json())

    def print_json(self, json) -> None:
        """Print a JSON value, --pretty if wanted."""
        write_text((pretty_json(json) if self.style.is_pretty else json_text(json)) + "\n")

    def connect(self, arguments: list[str], n_min: int, has_database: bool) -> None:
        """Connect, and find out which database is meant; its name is taken from `arguments`."""
        remotes = split_remotes(self.server)
        if len(remotes) > 1:
            if has_database:
                if len(arguments) <= n_min:
                    raise Fatal("database name is required with multiple remotes")
                self.database = arguments.pop(0)
            self._connect_any(remotes)
            return
        try:
            self.connection = open_remote(self.server, self.tls)
        except OSError as error:
            is_listening = (self.server.startswith("p") or error.errno == errno.EAFNOSUPPORT)
            phrase = "connect or listen" if is_listening else "connect"
            raise Fatal(f'failed to {phrase} to "{self.server}" ({reason_of(error)})') from None
        if has_database:
            self._choose_database(arguments, n_min)

    def _connect_any(self, remotes: list[str]) -> None:
        """Connect to one of several servers, for a database to the cluster's leader."""
        import random       # Only several remotes need it.
        random.shuffle(remotes)
        for remote in remotes:
            LOG.log("reconnect", INFO, f"{remote}: connecting...")
            try:
                connection = open_remote(remote, self.tls)
            except OSError as error:
                LOG.log("reconnect", INFO,
                        f"{remote}: connection attempt failed ({reason_of(error)})")
                continue
            LOG.log("reconnect", INFO, f"{remote}: connected")
            if self.database and self.leader_only and not _may_serve(
                    connection, remote, self.database):
                connection.close()
                continue
            self.server, self.connection = remote, connection
            return
        raise Fatal("no servers were available")

    def _choose_database(self, arguments: list[str], n_min: int) -> None:
        names = self.call("list_dbs", [])
        if not isinstance(names, list):
            raise Fatal("list_dbs response is not array")
        if len(arguments) > n_min and arguments[0] in names:
            self.database = arguments.pop(0)
            return
        others = [name for name in names if not name.startswith("_")]
        if "Open_vSwitch" in names:
            self.database = "Open_vSwitch"
        elif len(others) == 1:
            self.database = others[0]
        else:
            raise Fatal("could not find a default database, please specify a database name")

    def set_change_aware(self, is_required: bool) -> None:
        """Ask to stay connected when databases come and go; old servers do not know how."""
        try:
            self.connection.call("set_db_change_aware", [True])
        except RpcError as error:
            if is_required and error.error != "unknown method":
                raise Fatal(f"{self.server}: set_db_change_aware failed "
                            f"({json_text(error.error)})") from None
        except (ConnectionClosed, ProtocolError):
            raise Fatal(f"{self.server}: error setting db_change_aware (End of file)") from None


def server_rows(connection: Connection, database: str, columns: list[str]) -> list[dict] | None:
    """Return the rows of _Server about `database`, None if the server has no such thing."""
    try:
        return connection.call("transact", ["_Server", {
            "op": "select", "table": "Database", "where": [["name", "==", database]],
            "columns": columns}])[0]["rows"]
    except (RpcError, LookupError, TypeError):
        return None


def _may_serve(connection: Connection, remote: str, database: str) -> bool:
    """Has that server the database, and if it is clustered, does it lead?"""
    rows = server_rows(connection, database, ["model", "connected", "leader"])
    if rows is None:
        return True                             # A server older than clusters.
    if not rows:
        return False
    row = rows[0]
    if row["model"] != "clustered":
        return True
    if not row["connected"]:
        LOG.log("ovsdb_client", WARN, f"{remote}: database server is disconnected from cluster; "
                                      "trying another server")
    elif not row["leader"]:
        LOG.log("ovsdb_client", INFO, f"{remote}: database server is not cluster leader; trying "
                                      "another server")
    return row["connected"] and row["leader"]


def parse_schema(json) -> DatabaseSchema:
    """Return the schema that a server has sent."""
    try:
        return DatabaseSchema.from_json(json)
    except OvsdbError as error:
        raise Fatal(str(error)) from None


def reason_of(error: OSError) -> str:
    """Return what the system calls the error."""
    return os.strerror(error.errno) if error.errno else str(error)
