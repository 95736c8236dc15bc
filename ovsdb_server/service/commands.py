"""The control commands of ovsdb-server: ovsdb-server(1), "Runtime Management Commands".

`commands(server, ...)` is the table.  What needs a feature that this server lacks answers with an
error that says so.  Trio thread only.
"""

import os
from collections.abc import Callable

import trio

from ovsdb_server import vlog
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.rpc.unixctl import Command, CommandError
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.service.membership import ClusterError, Membership
from ovsdb_server.service.opening import open_database
from ovsdb_server.service.relay import Relay, split_argument
from ovsdb_server.service.server import Server
from ovsdb_server.service.targets import RemoteError

_SELF = "_Server"

_log = vlog.module("ovsdb_server")

# The least messages that cluster/set-backlog-threshold takes.
_BACKLOG_MIN = 50

# What cluster/failure-test knows.  All are accidents between the servers of a cluster.
_FAILURES = frozenset((
    *(f"crash-{when}-sending-{what}" for when in ("before", "after") for what in (
        "append-request", "execute-command-reply", "execute-command-request")),
    "crash-after-receiving-append-request-update", "delay-election", "dont-send-vote-request",
    "stop-raft-rpc", "transfer-leadership", "transfer-leadership-after-sending-append-request",
    "clear"))


def _number(text: str) -> int | None:
    """Return the integer that `text` is, None when it is none."""
    try:
        return int(text)
    except ValueError:
        return None


def commands(server: Server, working_directory: str, stop: Callable[[], None],
             reload_config: Callable[[], None] | None = None,
             config_file: str | None = None) -> tuple[Command, ...]:
    """Return the rows of ovsdb-server's own commands.

    `working_directory` is where the program was started, for relative file names; `stop()` ends
    it; `reload_config()` reads --config-file, which is `config_file`, again; both are None without
    that option.
    """

    def find(name: str) -> HostedDatabase:
        hosted = server.databases.get(name)
        if hosted is None:
            raise CommandError("Failed to find the database.")
        return hosted

    def fixed_by_config() -> None:
        if config_file is not None:
            raise CommandError(f"Update the {config_file} and use ovsdb-server/reload instead")

    def exit_(_args: list[str]) -> None:
        stop()

    def add_db(args: list[str]) -> None:
        fixed_by_config()
        if args[0].startswith("relay:"):
            try:
                name, remotes = split_argument(args[0])
            except ValueError as error:
                raise CommandError(f"ovsdb error: {error}") from None
            if name in server.databases:
                raise CommandError(f"ovsdb error: {name}: duplicate database name")
            server.add_relay(Relay(name, remotes))
            server.note_setting()
            return
        path = os.path.join(working_directory, args[0]) if args[0] else ""
        if any(hosted.path and os.path.realpath(os.path.join(working_directory, hosted.path))
               == os.path.realpath(path) for hosted in server.databases.values()):
            raise CommandError(f"ovsdb error: {args[0]}: already open")
        try:
            hosted = open_database(path)
        except OvsdbError as error:
            raise CommandError(str(error).replace(path, args[0])) from None
        if hosted.name in server.databases:
            hosted.close()
            raise CommandError(f"ovsdb error: {hosted.name}: duplicate database name")
        server.add_database(hosted)
        server.reload_remotes()
        server.note_setting()

    def remove_db(args: list[str]) -> None:
        fixed_by_config()
        find(args[0])
        if args[0].startswith("_"):
            raise CommandError("Cannot remove reserved database.")
        server.remove_database(args[0])
        faults = [f'"{text}": no database named {args[0]}' for text in server.remote_texts
                  if text.startswith(f"db:{args[0]},")]
        if faults:
            _log.warn("\n".join(faults))
        server.note_setting()

    def list_dbs(_args: list[str]) -> str:
        return "\n".join(sorted(server.databases))

    def add_remote(args: list[str]) -> None:
        fixed_by_config()
        try:
            server.check_remote(args[0])
        except RemoteError as error:
            raise CommandError(str(error)) from None
        if args[0] not in server.remote_texts:
            server.remote_texts[args[0]] = None
            server.reload_remotes()
            server.note_setting()

    def remove_remote(args: list[str]) -> None:
        fixed_by_config()
        if args[0] not in server.remote_texts:
            raise CommandError("no such remote")
        del server.remote_texts[args[0]]
        server.reload_remotes()
        server.note_setting()

    def list_remotes(_args: list[str]) -> str:
        return "\n".join(sorted(server.remote_texts))

    def reconnect(_args: list[str]) -> None:
        for session in list(server.sessions):
            session.disconnect("user ran ovsdb-server/reconnect")

    async def compact(args: list[str]) -> None:
        if args:
            if args[0] not in server.databases:
                raise CommandError("no database by that name")
            if args[0].startswith("_"):
                raise CommandError("cannot compact built-in databases")
            chosen = [server.databases[args[0]]]
        else:
            chosen = [hosted for hosted in server.databases.values() if hosted.name != _SELF]
        errors = []
        for hosted in chosen:
            _log.info(f"compacting {hosted.name} database by user request")
            try:
                await hosted.compact()
            except OvsdbError as error:
                errors.append(str(error))
        if errors:
            raise CommandError("\n".join(errors))

    def trim(args: list[str]) -> None:
        if args[0] not in ("on", "off"):
            raise CommandError("invalid argument")
        # Nothing to do: what a compaction frees goes back to the system by itself.
        _log.info("memory trimming after compaction "
                  f"{'enabled' if args[0] == 'on' else 'disabled'}.")

    def storage_status(args: list[str]) -> str:
        hosted = find(args[0])
        damage = None if hosted.cluster else getattr(hosted.storage, "damage", None)
        trouble = getattr(hosted.storage, "failure", None) or damage
        return f"status: {trouble}" if trouble else "status: ok"

    def tlog_list(_args: list[str]) -> str:
        lines = [f"{'database':<16}{'table':<28}logging", f"{'--------':<16}{'-----':<28}-------"]
        for name, hosted in sorted(server.databases.items()):
            lines.append(f"{name:<16} ")
            for table in sorted(hosted.database.tables):
                lines.append(f"{'':16}{table:<27} "
                             f"{'ON' if table in hosted.logged_tables else 'OFF'}")
        return "\n".join(lines)

    def tlog_set(args: list[str]) -> None:
        if args[1].lower() not in ("on", "off"):
            raise CommandError("invalid command argument")
        names = [word for word in args[0].split(":") if word]
        if len(names) != 2:
            raise CommandError("invalid DB:TABLE argument")
        name, table = names
        hosted = server.databases.get(name)
        if hosted is None:
            raise CommandError("no such database")
        if table not in hosted.database.tables:
            raise CommandError("no such table")
        if args[1].lower() == "on":
            hosted.logged_tables.add(table)
        else:
            hosted.logged_tables.discard(table)

    def disable_cond(_args: list[str]) -> None:
        server.has_cond = False
        for session in list(server.sessions):
            session.disconnect("user ran ovsdb-server/disable-monitor-cond")

    def column_diff(_args: list[str]) -> None:
        server.has_column_diff = True
        for hosted in server.databases.values():
            if hosted.path:
                hosted.storage.as_diff = True

    def reload(_args: list[str]) -> None:
        if reload_config is None:
            raise CommandError("Configuration file was not specified on command line")
        reload_config()

    def memory(_args: list[str]) -> str:
        return " ".join(f"{key}:{value}" for key, value in sorted(server.memory_usage().items()))

    def nothing(_args: list[str]) -> None:
        return None

    replication = server.replication

    def set_active(args: list[str]) -> None:
        fixed_by_config()
        replication.configure(source=args[0])
        server.note_setting()

    def connect_active(_args: list[str]) -> str | None:
        fixed_by_config()
        if not replication.source:
            return "Unable to connect: active server is not specified."
        replication.set_backup(True)
        server.note_setting()
        return None

    def disconnect_active(_args: list[str]) -> None:
        fixed_by_config()
        replication.set_backup(False)
        server.note_setting()

    def set_probe(args: list[str]) -> str | None:
        return with_interval(args[0], lambda seconds: replication.configure(
            probe_interval=seconds))

    def set_relay_probe(args: list[str]) -> str | None:
        return with_interval(args[0], server.set_relay_probe_interval)

    def with_interval(text: str, use: Callable[[float], None]) -> str | None:
        milliseconds = _number(text)
        if milliseconds is None:
            # Not as an error: scripts may have come to rely on the exit code.
            return "Invalid probe interval, integer value expected"
        use(max(milliseconds, 1000) / 1000 if milliseconds > 0 else 0.0)
        return None

    def sync_status(_args: list[str]) -> str:
        copies = [text for each in server.replications if (text := each.status())]
        active = [f"database: {name}\nstate: active" for name in sorted(server.active_of_pairs())]
        return "\n".join(copies + active) or "state: active"

    def set_excluded(args: list[str]) -> None:
        fixed_by_config()
        replication.configure(excluded=args[0] if args else "")
        server.note_setting()

    prefix = "ovsdb-server/"
    return (
        Command("exit", "", 0, 0, exit_),
        Command("memory/show", "", 0, 0, memory),
        Command(f"{prefix}add-db", "DB", 1, 1, add_db),
        Command(f"{prefix}remove-db", "DB", 1, 1, remove_db),
        Command(f"{prefix}list-dbs", "", 0, 0, list_dbs),
        Command(f"{prefix}add-remote", "REMOTE", 1, 1, add_remote),
        Command(f"{prefix}remove-remote", "REMOTE", 1, 1, remove_remote),
        Command(f"{prefix}list-remotes", "", 0, 0, list_remotes),
        Command(f"{prefix}reconnect", "", 0, 0, reconnect),
        Command(f"{prefix}compact", "", 0, 1, compact),
        Command(f"{prefix}memory-trim-on-compaction", "on|off", 1, 1, trim),
        Command(f"{prefix}get-db-storage-status", "DB", 1, 1, storage_status),
        Command(f"{prefix}perf-counters-show", "", 0, 0,
                lambda args: "performance counter is not supported on this platform"),
        Command(f"{prefix}perf-counters-clear", "", 0, 0, nothing),
        Command(f"{prefix}tlog-list", "", 0, 0, tlog_list),
        Command(f"{prefix}tlog-set", "DB:TABLE on|off", 2, 2, tlog_set),
        Command(f"{prefix}disable-monitor-cond", "", 0, 0, disable_cond),
        Command(f"{prefix}reload", "", 0, 0, reload),
        Command("ovsdb/file/column-diff-enable", "", 0, 0, column_diff),
        Command("ovsdb/file/no-data-conversion-enable", "", 0, 0, nothing),
        Command(f"{prefix}sync-status", "", 0, 0, sync_status),
        Command(f"{prefix}get-active-ovsdb-server", "", 0, 0,
                lambda args: replication.source),
        Command(f"{prefix}set-active-ovsdb-server", "", 1, 1, set_active),
        Command(f"{prefix}connect-active-ovsdb-server", "", 0, 0, connect_active),
        Command(f"{prefix}disconnect-active-ovsdb-server", "", 0, 0,
                disconnect_active),
        Command(f"{prefix}set-active-ovsdb-server-probe-interval", "", 1, 1, set_probe),
        Command(f"{prefix}set-relay-source-probe-interval", "PROBE", 1, 1, set_relay_probe),
        Command(f"{prefix}get-sync-exclude-tables", "", 0, 0,
                lambda args: replication.excluded_text),
        Command(f"{prefix}set-sync-exclude-tables", "", 0, 1, set_excluded),
    )


def cluster_commands(server: Server) -> tuple[Command, ...]:
    """Return the rows that there are once a clustered database has been opened."""

    def membership(name: str) -> Membership:
        hosted = server.databases.get(name)
        if hosted is None or hosted.cluster is None:
            raise CommandError("unknown cluster")
        return hosted.cluster

    def cluster_cid(args: list[str]) -> str:
        cid = membership(args[0]).cid
        if cid is None:
            raise CommandError("cluster id not yet known")
        return cid

    def cluster_status(args: list[str]) -> str:
        return membership(args[0]).status(trio.current_time()).text()

    def cluster_leave(args: list[str]) -> None:
        of_cluster(membership(args[0]).leave)

    def cluster_kick(args: list[str]) -> str | None:
        return of_cluster(membership(args[0]).kick, args[1])

    def of_cluster(function: Callable, *args: object) -> str | None:
        try:
            return function(*args)
        except ClusterError as error:
            raise CommandError(str(error)) from None

    def change_election_timer(args: list[str]) -> str:
        return of_cluster(membership(args[0]).change_election_timer, _number(args[1]) or 0)

    def set_backlog_threshold(args: list[str]) -> None:
        membership(args[0])
        n_messages, n_bytes = map(_number, args[1:])
        if n_messages is None or n_bytes is None:
            raise CommandError("invalid argument")
        if 0 <= n_messages < _BACKLOG_MIN:
            raise CommandError("values out of range")

    def failure_test(args: list[str]) -> str:
        if args[0] not in _FAILURES:
            raise CommandError("unknown test scenario")
        for hosted in server.databases.values():
            if hosted.cluster is not None:
                hosted.cluster.engage(args[0])
        return "test dismissed" if args[0] == "clear" else "test engaged"

    return (
        Command("cluster/cid", "DB", 1, 1, cluster_cid),
        Command("cluster/sid", "DB", 1, 1, lambda args: membership(args[0]).sid),
        Command("cluster/status", "DB", 1, 1, cluster_status),
        Command("cluster/leave", "DB", 1, 1, cluster_leave),
        Command("cluster/kick", "DB SERVER", 2, 2, cluster_kick),
        Command("cluster/change-election-timer", "DB TIME", 2, 2, change_election_timer),
        Command("cluster/set-backlog-threshold", "DB N_MSGS N_BYTES", 3, 3,
                set_backlog_threshold),
        Command("cluster/failure-test", "FAILURE SCENARIO", 1, 1, failure_test),
    )
