"""ovs-vsctl itself: its options, the attempts to run the commands, and waiting for the switch.

One run: parse argv, ask the commands which columns they need, fetch those, run all commands on
the replica in one transaction, commit, and start again from the new contents when something that
was read has changed meanwhile.  Then wait until ovs-vswitchd says that it has followed.  A wait
that takes long is announced.  With --plan the commit is only rehearsed, and told in words.
"""

import sys

from utilities.command_line import (DBG, ERR, INFO, LOG, NO_ARGUMENT, OFF, REQUIRED_ARGUMENT,
                                    TABLE_OPTIONS, TLS_OPTIONS, VERBOSE_OPTIONS, WARN, Fatal,
                                    TlsFiles, announce_wait, apply_log_option, default_remote,
                                    end_wait, flush_output, log_directory, parse_options,
                                    parse_seconds, print_error, print_options, print_version,
                                    run_tool, time_limit, write_text)

PROGRAM = "ovs-vsctl"

# What a switch that could not do as it was told makes ovs-vsctl exit with.
EXIT_SWITCH_ERROR = 65

OPTIONS = (
    ("db", REQUIRED_ARGUMENT, ""),
    ("no-syslog", NO_ARGUMENT, ""),
    ("no-wait", NO_ARGUMENT, ""),
    ("dry-run", NO_ARGUMENT, ""),
    ("oneline", NO_ARGUMENT, ""),
    ("timeout", REQUIRED_ARGUMENT, "t"),
    ("retry", NO_ARGUMENT, ""),
    ("help", NO_ARGUMENT, "h"),
    ("commands", NO_ARGUMENT, ""),
    ("options", NO_ARGUMENT, ""),
    ("leader-only", NO_ARGUMENT, ""),
    ("no-leader-only", NO_ARGUMENT, ""),
    ("shuffle-remotes", NO_ARGUMENT, ""),
    ("no-shuffle-remotes", NO_ARGUMENT, ""),
    ("version", NO_ARGUMENT, "V"),
    *VERBOSE_OPTIONS,
    *TABLE_OPTIONS,
    *TLS_OPTIONS,
    ("bootstrap-ca-cert", REQUIRED_ARGUMENT, ""),
    ("peer-ca-cert", REQUIRED_ARGUMENT, ""),
    ("plan", NO_ARGUMENT, ""),
)


class Settings:
    """What the global options say."""

    def __init__(self) -> None:
        self.remote = default_remote()
        self.waits = True
        self.is_dry_run = False
        self.is_plan = False                # Then is_dry_run, too.
        self.is_oneline = False
        self.timeout: int | None = None
        self.retry = False
        self.leader_only = True
        self.shuffle = True
        self.tls = TlsFiles()
        self.style = None


def main(argv: list[str] | None = None) -> int:
    """Run ovs-vsctl with `argv`, which lacks the program's name; return the exit code."""
    return run_tool(PROGRAM, _run_and_log, sys.argv[1:] if argv is None else argv)


def _run_and_log(argv: list[str]) -> int:
    """Do as `_run`; what ends it is also logged, but for the console, where it is printed."""
    try:
        return _run(argv)
    except Fatal as fatal:
        if fatal.text is not None:
            LOG.set_level("db_ctl_base", "console", OFF)
            LOG.log("db_ctl_base", ERR, fatal.text)
        raise


def _schema_version() -> str:
    """Return the version of the suite's schema without parsing all of it."""
    from utilities.schema_file import schema_path
    with open(schema_path("vswitch"), encoding="utf-8") as file:
        text = file.read(4096)
    return text.partition('"version"')[2].partition('"')[2].partition('"')[0]


def _run(argv: list[str]) -> int:
    if argv in (["--version"], ["-V"]):
        # The most frequent question of all must not cost the import of the rest.
        print_version(PROGRAM, f"DB Schema {_schema_version()}")
        return 0
    from utilities.vsctl.command import COMMANDS, LOCAL_OPTIONS
    from utilities.vsctl.language import escape_words, parse_commands
    LOG.set_level("reconnect", None, WARN)
    settings = Settings()
    local, words = _apply_options(argv, settings, LOCAL_OPTIONS)
    if words is None:
        return 0
    calls = parse_commands(words, local, COMMANDS)
    arguments = escape_words([PROGRAM, *argv])
    level = INFO if any(call.command.is_write for call in calls) else DBG
    LOG.log("vsctl", level, f"Called as {arguments}")
    time_limit(settings.timeout)
    return _run_commands(calls, arguments, settings)


def _apply_options(argv: list[str], settings: Settings, local_options: tuple
                   ) -> tuple[dict[str, str | None], list[str] | None]:
    """Apply global options; return those of the first command, and the words that follow.

    The words are None when an option (--help, ...) has done everything.
    """
    from utilities.table import Style
    settings.style = Style("list")
    local: dict[str, str | None] = {}
    local_names = {row[0] for row in local_options}
    found, words = parse_options(argv, OPTIONS + local_options)
    for name, value in found:
        if name in local_names:
            local["--" + name] = value
            continue
        match name:
            case "db":
                settings.remote = value
            case "no-syslog":
                LOG.set_level("vsctl", "syslog", WARN)
            case "no-wait":
                settings.waits = False
            case "dry-run":
                settings.is_dry_run = True
            case "plan":
                settings.is_dry_run = settings.is_plan = True
            case "oneline":
                settings.is_oneline = True
            case "timeout":
                settings.timeout = parse_seconds(value, "t")
            case "retry":
                settings.retry = True
            case "leader-only" | "no-leader-only":
                settings.leader_only = name == "leader-only"
            case "shuffle-remotes" | "no-shuffle-remotes":
                settings.shuffle = name == "shuffle-remotes"
            case "help" | "commands" | "options" | "version":
                _answer(name, local_options)
                return {}, None
            case _:
                if not (apply_log_option(name, value) or settings.tls.apply_option(name, value)):
                    settings.style.apply_option(name, value)
    return local, words


def _answer(name: str, local_options: tuple) -> None:
    if name == "help":
        from utilities.vsctl.help import help_text
        write_text(help_text())
    elif name == "commands":
        from utilities.vsctl.command import COMMANDS
        for command in COMMANDS.values():
            options = "".join(f"[{option}] " for option in command.options)
            print(f"{options},{command.name},{command.arguments}")
    elif name == "options":
        print_options(OPTIONS)
    else:
        print_version(PROGRAM, f"DB Schema {_schema_version()}")


def _run_commands(calls: list, arguments: str, settings: Settings) -> int:
    from utilities import database as db
    from utilities.vsctl.bridge import (finds_fake, is_in_the_way, names_of_new_ports,
                                        narrow_to_new_ports)
    from utilities.vsctl.command import RECORD_NAMES
    from utilities.vsctl.language import Context, Run
    schema = db.Schema(db.schema_path("vswitch"))
    database = db.Database(schema, settings.remote, settings.tls,
                           settings.retry and not settings.is_dry_run, settings.leader_only,
                           settings.shuffle)
    database.want("Open_vSwitch")
    if settings.waits:
        database.want("Open_vSwitch", "cur_cfg")
    run = Run(schema, RECORD_NAMES, database, settings.waits)
    for call in calls:
        call.command.prepare(Context(run, call))
    new_names = [] if settings.is_plan else names_of_new_ports(calls)
    if new_names:
        narrow_to_new_ports(database, calls)
    announce_wait(f"still waiting for the database server at {settings.remote}; --timeout=SECS "
                  "limits the wait")
    database.open()
    while True:
        run = Run(schema, RECORD_NAMES, database, settings.waits)
        run.new_names = new_names
        number = database.change_number
        try:
            if database.is_narrow and is_in_the_way(database, new_names):
                database.widen()
            elif database.leaves_out("Bridge", "ports") and finds_fake(database):
                database.complete()
            status = _attempt(run, calls, arguments, settings)
        except (db.ConnectionClosed, db.ProtocolError, ConnectionError):
            database.lose("End of file")
            continue
        if status != db.TRY_AGAIN:
            break
        run.transaction.forget()
        if database.change_number == number:
            end_wait()
            database.wait_for_change()
    end_wait()
    _print_outputs(calls, settings)
    if settings.is_plan:
        _print_plan(run)
    elif settings.waits and status != db.UNCHANGED and not settings.is_dry_run:
        return _wait_for_switch(run)
    return 0


def _attempt(run, calls: list, arguments: str, settings: Settings) -> str:
    """Run all commands on the replica as it is, and commit; return the commit's status."""
    from utilities import database as db
    from utilities.vsctl.language import Context, TryAgain, parent_name
    transaction = run.transaction
    transaction.is_dry_run = settings.is_dry_run
    run.root = run.database.first("Open_vSwitch")
    if run.root is None:
        run.root = transaction.insert(run.schema.table("Open_vSwitch"))
    if settings.waits:
        transaction.increment(run.root, "next_cfg")
    for call in calls:
        call.output = []
        call.table = None
    for call in calls:
        try:
            call.command.run(Context(run, call, call is calls[-1]))
        except TryAgain:
            if not settings.is_dry_run:
                return db.TRY_AGAIN
            run.unfulfilled.append(call)
    _check_symbols(run)
    parent = parent_name()
    invoker = f" (invoked by {parent})" if parent is not None else ""
    transaction.comments.append(f"{PROGRAM}{invoker}: {arguments}")
    if settings.is_plan:
        from utilities.vsctl.plan import Plan
        plan = Plan(run)
        status = transaction.rehearse(plan.execute)
        run.plan = plan
    else:
        status = transaction.commit()
    if status in (db.UNCHANGED, db.SUCCESS):
        for call in calls:
            if call.command.finish is not None:
                call.command.finish(Context(run, call))
    elif status == db.FAILURE:
        LOG.log("ovsdb_idl", WARN, f"transaction error: {transaction.error}")
        raise Fatal(f"transaction error: {transaction.error}")
    elif status == db.NOT_LOCKED:
        raise Fatal("database not locked")
    return status


def _check_symbols(run) -> None:
    for name, symbol in run.symbols.names.items():
        if not symbol.created:
            raise Fatal(f'row id "{name}" is referenced but never created (e.g. with "-- '
                        f'--id={name} create ...")')
        if not symbol.strongly_referenced:
            what = "only a weak" if symbol.weakly_referenced else "no"
            LOG.log("vsctl", WARN, f'row id "{name}" was created but {what} reference to it was '
                                   "inserted, so it will not actually appear in the database")


def _print_outputs(calls: list, settings: Settings) -> None:
    printer = None
    for call in calls:
        if settings.is_plan and call.command.is_write:
            continue
        if call.table is not None:
            if printer is None:
                from utilities.table import Printer
                printer = Printer(settings.style)
            printer.print(call.table)
            continue
        text = "".join(call.output)
        if settings.is_oneline:
            text = text.removesuffix("\n").replace("\\", "\\\\").replace("\n", "\\n") + "\n"
        if text:
            write_text(text)
    flush_output()


def _print_plan(run) -> None:
    for call in run.unfulfilled:
        write_text(f"Would wait here: {call.words()}\n")
    write_text(run.plan.text())


def _wait_for_switch(run) -> int:
    """Wait until the switch has applied the commit; complain about what it could not do."""
    run.database.keep_connected()
    announce_wait("the database is changed; still waiting for ovs-vswitchd to reconfigure (is it "
                  "running?); interrupting keeps the change, --no-wait does not wait")
    while not any(row.scalar("cur_cfg") >= run.transaction.incremented
                  for row in run.database.all("Open_vSwitch")):
        run.database.wait_for_change()
    end_wait()
    is_failed = False
    for provisional in run.new_interfaces:
        uuid = run.transaction.real_uuids.get(provisional)
        row = run.database.row("Interface", uuid) if uuid is not None else None
        if row is None or row.scalar("ofport") not in (None, -1):
            continue
        error = row.scalar("error")
        reason = f": {error}." if error else "."
        print_error(PROGRAM, f"Error detected while setting up '{row.scalar('name')}'{reason}  "
                             "See ovs-vswitchd log for details.")
        is_failed = True
    if not is_failed:
        return 0
    print_error(PROGRAM, f'The default log directory is "{log_directory()}".')
    return EXIT_SWITCH_ERROR
