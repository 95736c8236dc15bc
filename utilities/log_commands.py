"""vlog/* and coverage/* of a tool that stays: what its control socket answers about its log.

`log_commands()` gives rows {name: (usage, fewest and most arguments, function)}; a function takes
the arguments and returns (result, None) or (None, error).  For ovs-testcontroller and detached
runs of ovsdb-client and ovs-ofctl, which import this only then; the daemons have
`ovsdb_server.vlog`, whose texts are these.
"""

from collections.abc import Callable

from utilities.command_line import LOG, Fatal

Answer = tuple[str | None, str | None]
_MANY = 1 << 30


def _set(arguments: list[str]) -> Answer:
    try:
        for word in arguments:
            LOG.set_levels(word)
    except Fatal as fatal:
        return None, fatal.text.partition(": ")[2]
    return "", None


def _reopen(_arguments: list[str]) -> Answer:
    complaint = LOG.reopen_file()
    return (None, complaint) if complaint else ("", None)


def _close(_arguments: list[str]) -> Answer:
    LOG.close_file()
    return "", None


def _limit(arguments: list[str]) -> Answer:
    """What a tool logs is never limited in rate; only the names are looked at."""
    if all(name.lower() == "any" or LOG.knows(name) for name in arguments):
        return "", None
    return None, "unknown module"


def _show_coverage(_arguments: list[str]) -> Answer:
    from ovsdb_server.coverage import COVERAGE      # Few ask for it.
    return COVERAGE.show(), None


def _read_counter(arguments: list[str]) -> Answer:
    from ovsdb_server.coverage import COVERAGE
    try:
        return COVERAGE.read(arguments), None
    except LookupError as error:
        return None, str(error.args[0])


def log_commands() -> dict[str, tuple[str, int, int, Callable[[list[str]], Answer]]]:
    """Return the rows of these commands."""
    return {
        "coverage/read-counter": ("COUNTER", 1, 1, _read_counter),
        "coverage/show": ("", 0, 0, _show_coverage),
        "vlog/close": ("", 0, 0, _close),
        "vlog/disable-rate-limit": ("[module]...", 0, _MANY, _limit),
        "vlog/enable-rate-limit": ("[module]...", 0, _MANY, _limit),
        "vlog/list": ("", 0, 0, lambda arguments: (LOG.level_table(), None)),
        "vlog/list-pattern": ("", 0, 0, lambda arguments: (LOG.pattern_table(), None)),
        "vlog/reopen": ("", 0, 0, _reopen),
        "vlog/set": ("{spec | PATTERN:destination:pattern}", 0, _MANY, _set),
    }
