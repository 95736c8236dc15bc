"""--config-file of ovsdb-server: a JSON file that names databases and remotes.

    {"remotes": {TARGET: {"inactivity-probe": ms, "max-backoff": ms, "read-only": bool,
                          "role": text, "dscp": n}},
     "databases": {FILE: {"service-model": "standalone" or "clustered"},
                   FILE: {"service-model": "active-backup", "backup": bool,
                          "source": {TARGET: {"inactivity-probe": ms, ...}},
                          "exclude-tables": [NAME]},
                   NAME: {"service-model": "relay", "source": {TARGET: {...}}}}}

Each of the innermost objects may be null.  `apply_config` reads the file and makes the server look
like it; also for ovsdb-server/reload.

Source: ovsdb-server(1) of Open vSwitch 3.3 and later, "Configuration File".
"""

import os
from dataclasses import dataclass

from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.json_complaint import JsonError, read_json
from ovsdb_server.service import targets
from ovsdb_server.service.opening import open_database
from ovsdb_server.service.relay import Relay
from ovsdb_server.service.replication import PROBE_INTERVAL, Source
from ovsdb_server.service.session import Policy

_FILE_MODELS = ("standalone", "clustered", "active-backup")
_MODELS = (*_FILE_MODELS, "relay")

_POLICY_TYPES = {"inactivity-probe": int, "max-backoff": int, "read-only": bool, "role": str,
                 "dscp": int}
_MODEL_MEMBERS = {"relay": ("service-model", "source"),
                  "active-backup": ("service-model", "source", "backup", "exclude-tables")}
_DATABASE_TYPES = {"service-model": str, "source": dict, "backup": bool, "exclude-tables": list}

_TYPE_NAMES = {int: "integer", bool: "boolean", str: "string", dict: "object", list: "array"}


class ConfigError(ValueError):
    """The file cannot be used; the text is for the user."""


@dataclass(frozen=True, eq=False, slots=True)
class _Wanted:
    """What the file says about one database; `name` as the file has it."""

    name: str
    model: str
    sources: dict[str, Policy]
    is_backup: bool
    excluded: tuple[str, ...]


def apply_config(server, path: str, directory: str) -> None:
    """Read `path` and open and close databases and remotes accordingly.

    `directory` is where relative database files are.  Raises: ConfigError, before anything
    changed unless a database file itself cannot be opened.
    """
    config = _read(path)
    remotes = {target: _policy(f"remote {target}", target, options)
               for target, options in _members(config, "remotes").items()}
    wanted = [_database(name, options) for name, options in _members(config, "databases").items()]
    relays = {each.name: each for each in wanted if each.model == "relay"}
    files = {os.path.join(directory, each.name): each for each in wanted if each.model != "relay"}
    for name, hosted in list(server.databases.items()):
        if hosted.relay is not None and (
                name not in relays or _new_relay(relays[name]).settings != hosted.relay.settings):
            server.remove_database(name)
    open_files = {os.path.realpath(hosted.path): hosted.name
                  for hosted in server.databases.values() if hosted.path}
    keep = {os.path.realpath(file) for file in files}
    for file, name in open_files.items():
        if file not in keep:
            server.remove_database(name)
    names = {}
    for file, each in files.items():
        name = open_files.get(os.path.realpath(file))
        names[each] = name if name is not None else _open(server, file, each)
    for name, each in relays.items():
        if name not in server.databases:
            server.add_relay(_new_relay(each))
    for target in remotes:
        try:
            server.check_remote(target)
        except targets.RemoteError as error:
            raise ConfigError(str(error)) from None
    _apply_backups(server, names)
    server.remote_texts = remotes
    server.reload_remotes()


def _open(server, file: str, wanted: _Wanted) -> str:
    """Serve the database of a file; return its name.  Raises: ConfigError."""
    try:
        hosted = open_database(file)
    except OvsdbError as error:
        raise ConfigError(str(error).replace(file, wanted.name)) from None
    model = hosted.model
    failure = ""
    if hosted.name in server.databases:
        failure = f"ovsdb error: {wanted.name}: duplicate database name"
    elif wanted.model and (model == "clustered") != (wanted.model == "clustered"):
        failure = f"ovsdb error: {wanted.name}: database is {model} and not {wanted.model}"
    if failure:
        hosted.close()
        raise ConfigError(failure)
    server.add_database(hosted)
    return hosted.name


def _new_relay(wanted: _Wanted) -> Relay:
    policy = next(iter(wanted.sources.values()))
    return Relay(wanted.name, ",".join(wanted.sources), policy.probe_interval, policy.max_backoff)


def _read(path: str) -> dict:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            config = read_json(file.read())
    except OSError as error:
        raise ConfigError(f"config: failed to open '{path}': {error.strerror}") from None
    except JsonError as error:
        raise ConfigError(f"config: reading JSON failed ({error})") from None
    if not isinstance(config, dict):
        raise ConfigError("config: configuration in a file must be a JSON object")
    return config


def _members(config: dict, name: str) -> dict:
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"config: '{name}' is not a JSON object")
    return value


def _options(what: str, options: object, types: dict[str, type]) -> dict:
    """Return the members of one object after a look at their types.  Raises: ConfigError."""
    if options is None:
        return {}
    failed = f"syntax error: Parsing {what} failed: "
    if not isinstance(options, dict):
        raise ConfigError(failed + "Object expected.")
    for name, value in options.items():
        if name not in types:
            raise ConfigError(f"{failed}Member '{name}' is present but not allowed here.")
        if type(value) is not types[name] and value is not None:
            raise ConfigError(f"{failed}Type mismatch for member '{name}': "
                              f"{_TYPE_NAMES[types[name]]} expected.")
    return {name: value for name, value in options.items() if value is not None}


def _database(name: str, value: object) -> _Wanted:
    """Return what the file says about one database.  Raises: ConfigError."""
    options = _options(f"database {name}", value, _DATABASE_TYPES)
    failed = f"syntax error: Parsing database {name} failed: "
    model = options.get("service-model", "")
    if model and model not in _MODELS:
        raise ConfigError(f"{failed}'{model}' is not a valid service model")
    for member in options:
        if member not in _MODEL_MEMBERS.get(model, ("service-model",)):
            raise ConfigError(f"{failed}Member '{member}' is present but not allowed here.")
    sources = {target: _policy(f"source {target}", target, more)
               for target, more in options.get("source", {}).items()}
    if not sources and (model == "relay" or options.get("backup")):
        raise ConfigError(f"{failed}Required 'source' member is missing.")
    if model == "active-backup" and len(sources) > 1:
        raise ConfigError(f"{failed}'source' must have exactly one member")
    excluded = options.get("exclude-tables", [])
    if not all(isinstance(table, str) for table in excluded):
        raise ConfigError(f"{failed}'exclude-tables' must be an array of strings")
    return _Wanted(name, model, sources, options.get("backup", False), tuple(excluded))


def _apply_backups(server, names: dict[_Wanted, str]) -> None:
    """Copy those of the databases `names` that are backups."""
    wanted = []
    for each, name in names.items():
        if each.model == "active-backup" and each.is_backup:
            target, policy = next(iter(each.sources.items()))
            wanted.append(Source(target, frozenset({name}),
                                 tuple(sorted(f"{name}:{table}" for table in set(each.excluded))),
                                 policy.probe_interval))
    server.configure_replications(wanted)
    server.active_names = frozenset(
        name for each, name in names.items()
        if each.model == "active-backup" and not each.is_backup)


def _policy(what: str, target: str, value: object) -> Policy:
    """Return how the sessions of one remote or source are treated.  Raises: ConfigError."""
    options = _options(what, value, _POLICY_TYPES)
    policy = targets.default_policy(target)
    if what.startswith("source "):
        policy = policy._replace(probe_interval=PROBE_INTERVAL)
    if "inactivity-probe" in options:
        policy = policy._replace(
            probe_interval=targets.probe_interval(options["inactivity-probe"]))
    if "max-backoff" in options:
        policy = policy._replace(max_backoff=max(options["max-backoff"], 1000) / 1000)
    policy = policy._replace(is_read_only=options.get("read-only", False),
                             role=options.get("role", ""))
    if "dscp" in options:
        if not 0 <= options["dscp"] < 64:
            raise ConfigError(f"syntax error: Parsing {what} failed: 'dscp' must be 0 to 63")
        policy = policy._replace(dscp=options["dscp"])
    return policy
