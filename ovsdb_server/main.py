"""ovsdb-server: the program.  `main(argv)` reads the options, becomes a daemon and serves.

Neighbours: `daemon.py` (options and life of every daemon), `service/server.py` (what is served).
"""

import gc
import os
import resource
import signal
import sys

import orjson
import trio

from ovsdb_server import vlog
from ovsdb_server.clock import SteerableClock
from ovsdb_server.coverage import COVERAGE
from ovsdb_server.daemon import (OPTIONS, PLAIN_CAPABILITIES, VERSION, Daemon, Option,
                                 OptionError, Settings, StartError, begin, database_directory,
                                 fail, getopt, help_text, report_end)
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.rpc.unixctl import CommandError
from ovsdb_server.rpc.unixctl import Server as ControlServer
from ovsdb_server.service.commands import cluster_commands, commands
from ovsdb_server.service.config_file import ConfigError, apply_config
from ovsdb_server.service.remotes import clear_away
from ovsdb_server.service.opening import open_database
from ovsdb_server.service.relay import Relay, split_argument
from ovsdb_server.service.server import Server
from ovsdb_server.service.targets import RemoteError
from ovsdb_server.rpc.tls_files import TlsFiles

PROGRAM = "ovsdb-server"

_OPTIONS = OPTIONS + (
    Option("remote", "", "required"), Option("run", "", "required"), Option("no-dbs"),
    Option("config-file", "", "required"), Option("sync-from", "", "required"),
    Option("sync-exclude-tables", "", "required"), Option("active"),
    Option("private-key", "p", "required"), Option("certificate", "c", "required"),
    Option("ca-cert", "C", "required"), Option("bootstrap-ca-cert", "", "required"),
    Option("peer-ca-cert", "", "required"), Option("ssl-protocols", "", "required"),
    Option("ssl-ciphers", "", "required"), Option("ssl-ciphersuites", "", "required"),
    Option("ssl-server-name", "", "required"), Option("disable-file-column-diff"),
    Option("disable-file-no-data-conversion"),
    Option("record", "", "optional"), Option("replay", "", "optional"),
)

# Accepted options whose feature is absent: the program refuses to start without it.
_ABSENT = {"record": "replay files", "replay": "replay files"}

_HELP = """\
ovsdb-server: Open vSwitch database server
usage: ovsdb-server [OPTIONS] [DATABASE...]
where each DATABASE is a database file in ovsdb format.
The default DATABASE, if none is given, is
{default}.

JSON-RPC options (may be specified any number of times):
  --remote=REMOTE         connect or listen to REMOTE

Active JSON-RPC connection methods:
  tcp:HOST:PORT           PORT at remote HOST
  ssl:HOST:PORT           SSL PORT at remote HOST
  unix:FILE               Unix domain socket named FILE
Passive JSON-RPC connection methods:
  ptcp:PORT[:IP]          listen to TCP PORT on IP
  pssl:PORT[:IP]          listen for SSL on PORT on IP
  punix:FILE              listen on Unix domain socket FILE
PKI configuration (required to use SSL):
  -p, --private-key=FILE  file with private key
  -c, --certificate=FILE  file with certificate for private key
  -C, --ca-cert=FILE      file with peer CA certificate
  --bootstrap-ca-cert=FILE  file with peer CA certificate to read or create
SSL options:
  --ssl-protocols=PROTOS  list of SSL protocols to enable
  --ssl-ciphers=CIPHERS   list of SSL ciphers to enable
{daemon}
Syncing options:
  --sync-from=SERVER      sync DATABASE from active SERVER and start in
                          backup mode (except with --active)
  --sync-exclude-tables=DB:TABLE,...
                          exclude the TABLE in DB from syncing
  --active                with --sync-from, start in active mode

Other options:
  --run COMMAND           run COMMAND as subprocess then exit
  --no-dbs                do not open a default database
  --config-file=FILE      read databases and remotes from FILE (JSON)
  --unixctl=SOCKET        override default control socket name
  --disable-file-column-diff
                          don't use column diff in database file
  -h, --help              display this help message
  -V, --version           display version information
"""

_log = vlog.module("ovsdb_server")


class _Arguments:
    """The command line, read."""

    def __init__(self, argv: list[str]) -> None:
        self.settings = Settings(PROGRAM)
        self.remotes: list[str] = []
        self.databases: list[str] = []
        self.run: str | None = None
        self.config_file: str | None = None
        self.files: dict[str, str] = {}
        self.bootstraps = False
        self.has_column_diff = True
        self.source = ""
        self.excluded = ""
        self.is_active = False
        self.action = ""
        options, self.databases = getopt(argv, _OPTIONS)
        names = {name for name, _ in options}
        for name, argument in options:
            self._apply(name, argument)
        if self.action:
            return
        if self.config_file is not None and (self.databases or self.remotes or self.source):
            raise OptionError("--config-file cannot be combined with databases, --remote or "
                              "--sync-from")
        if not self.databases and self.config_file is None and "no-dbs" not in names:
            self.databases = [os.path.join(database_directory(), "conf.db")]
        for text in self.databases:
            if text.startswith("relay:"):
                try:
                    split_argument(text)
                except ValueError as error:
                    raise OptionError(f"ovsdb error: {error}") from None

    def _apply(self, name: str, argument: str | None) -> None:
        if self.settings.apply(name, argument):
            return
        if name in _ABSENT:
            raise OptionError(f"--{name}: {_ABSENT[name]} are not supported")
        match name:
            case "remote":
                self.remotes.append(argument)
            case "run":
                self.run = argument
            case "sync-from":
                self.source = argument
            case "sync-exclude-tables":
                self.excluded = argument
            case "active":
                self.is_active = True
            case "config-file":
                self.config_file = os.path.abspath(argument)
            case "disable-file-column-diff":
                self.has_column_diff = False
            case "help" | "version":
                self.action = self.action or name
            case "bootstrap-ca-cert" | "ca-cert":
                self.files["ca-cert"] = argument
                self.bootstraps = name == "bootstrap-ca-cert"
            case _:
                if argument is not None:
                    self.files[name] = argument


def main(argv: list[str]) -> int:
    """Run ovsdb-server with arguments `argv`; return the exit code."""
    begun = begin(PROGRAM, _Arguments, argv, _usage, PLAIN_CAPABILITIES)
    return begun if isinstance(begun, int) else _serve(*begun)


def _usage() -> str:
    return _HELP.format(default=os.path.join(database_directory(), "conf.db"),
                        daemon=help_text(PROGRAM))


def _serve(arguments: _Arguments, daemon: Daemon) -> int:
    """Open the databases and serve until told to exit."""
    # Requests may nest as deep as JSON does (message.DEPTH_MAX), and some are walked recursively.
    sys.setrecursionlimit(20_000)
    # A descriptor for each client: as many as we may have.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    # Rows are values without cycles: the collector would walk over each of them for nothing.  It
    # looks at everything only when the server says so (`Server._collect_garbage`).
    gc.set_threshold(3_000, 15, 1_000_000)
    runner = _Runner(arguments, daemon, SteerableClock())
    try:
        return trio.run(runner.run, clock=runner.clock)
    except Exception as error:
        return report_end(PROGRAM, error)
    finally:
        daemon.finish()


class _Runner:
    """What happens inside the event loop."""

    def __init__(self, arguments: _Arguments, daemon: Daemon, clock: SteerableClock) -> None:
        self._arguments = arguments
        self._daemon = daemon
        self.clock = clock
        self._directory = os.getcwd()
        self._server: Server | None = None
        self._exit_code = 0

    async def run(self) -> int:
        """Serve; return the exit code.  Raises: StartError."""
        daemon = self._daemon
        self._server = server = Server(self._note_file, self._remember)
        given = self._arguments.files
        files = {name: self._absolute(value) for name, value in given.items()}
        server.tls = TlsFiles(
            files.get("private-key"), files.get("certificate"), files.get("ca-cert"),
            given.get("ssl-protocols"), given.get("ssl-ciphers"), given.get("ssl-ciphersuites"),
            files.get("peer-ca-cert"), given.get("ssl-server-name"), self._arguments.bootstraps)
        server.has_column_diff = self._arguments.has_column_diff
        before = orjson.loads(daemon.recall() or b"{}")
        self._open_databases(before.get("databases", self._arguments.databases))
        # The collector need not look again at what was loaded.
        gc.freeze()
        reload_config = None
        if self._arguments.config_file is not None:
            reload_config = self._reload_config
            self._load_config()
        if before:
            server.remote_texts |= dict.fromkeys(before["remotes"])
            server.replication.configure(before["source"], before["excluded"])
            server.replication.set_backup(before["is_backup"])
        else:
            self._check_remotes()
        if not before and self._arguments.config_file is None:
            server.replication.configure(self._arguments.source, self._arguments.excluded)
            if self._arguments.source and not self._arguments.is_active:
                server.replication.set_backup(True)
        control = None
        path = daemon.unixctl_path()
        if path is not None:
            rows = (commands(server, self._directory, server.stop, reload_config,
                             self._arguments.config_file)
                    + vlog.commands() + COVERAGE.commands() + self.clock.commands())
            try:
                control = ControlServer(path, rows, f"{PROGRAM} (Open vSwitch) {VERSION}")
            except OSError as error:
                clear_away(path, error.strerror)
                raise StartError(f"{path}: could not initialize control socket "
                                 f"({error.strerror})") from None
            server.note_cluster_opened = lambda: control.add(cluster_commands(server))
            if any(hosted.cluster for hosted in server.databases.values()):
                server.note_cluster_opened()
            daemon.unlink_at_exit(path)
        async with trio.open_nursery() as nursery:
            if control is not None:
                await nursery.start(control.serve)
            await nursery.start(server.run, self._announce)
            if self._arguments.run is not None:
                nursery.start_soon(self._run_command, self._arguments.run)
            await server.stopped.wait()
            # Let the answer to `exit` leave.
            with trio.move_on_after(1):
                await self.clock.settle()
            nursery.cancel_scope.cancel()
        if control is not None:
            control.close()
        return self._exit_code or server.exit_code

    def _announce(self) -> None:
        """The server listens: let go of the terminal before anything else is logged."""
        self._daemon.ready()
        if self._arguments.run is None:
            _log.info(f"{PROGRAM} (Open vSwitch) {VERSION}")

    def _remember(self) -> None:
        """Keep what commands have changed, for the server that --monitor starts after a crash."""
        server = self._server
        databases = [hosted.path or hosted.relay.argument
                     for hosted in server.databases.values() if hosted.path or hosted.relay]
        self._daemon.remember(orjson.dumps({
            "databases": databases, "remotes": list(server.remote_texts),
            "source": server.replication.source,
            "excluded": server.replication.excluded_text,
            "is_backup": server.replication.is_backup}))

    def _note_file(self, path: str, exists: bool) -> None:
        if exists:
            self._daemon.unlink_at_exit(path)
        else:
            self._daemon.forget(path)

    def _absolute(self, name: str) -> str:
        if name.startswith("db:") or name == "none":
            return name
        return os.path.join(self._directory, name)

    def _open_databases(self, paths: list[str]) -> None:
        for path in dict.fromkeys(paths):
            if path.startswith("relay:"):
                self._server.add_relay(Relay(*split_argument(path)))
                continue
            try:
                hosted = open_database(path)
            except OvsdbError as error:
                raise StartError(str(error)) from None
            if hosted.name in self._server.databases:
                if any(os.path.realpath(path) == os.path.realpath(other.path)
                       for other in self._server.databases.values() if other.path):
                    raise StartError(f"ovsdb error: {path}: already open")
                raise StartError(f"ovsdb error: {hosted.name}: duplicate database name")
            self._server.add_database(hosted)

    def _check_remotes(self) -> None:
        for text in self._arguments.remotes:
            try:
                self._server.check_remote(text)
            except RemoteError as error:
                raise StartError(f"{error}\n") from None
            self._server.remote_texts[text] = None

    def _load_config(self) -> None:
        """Read --config-file and make it so.  Raises: StartError, after the cause was logged."""
        try:
            apply_config(self._server, self._arguments.config_file, self._directory)
        except ConfigError as error:
            _log.warn(str(error))
            raise StartError("server configuration failed") from None

    def _reload_config(self) -> None:
        """Do as ovsdb-server/reload asks.  Raises: CommandError."""
        try:
            self._load_config()
        except StartError:
            raise CommandError(
                "Configuration failed.  See the log file for details.") from None

    async def _run_command(self, command: str) -> None:
        """Run COMMAND of --run in a shell; the server ends when it ends."""
        process = await trio.lowlevel.open_process(
            ["/bin/sh", "-c", command], stdin=None,
            preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL))
        code = await process.wait()
        if code:
            status = f"exit status {code}" if code > 0 else f"killed ({signal.strsignal(-code)})"
            self._exit_code = fail(PROGRAM, f"{command}: child exited, {status}")
        self._server.stop()


__all__ = ["main"]
