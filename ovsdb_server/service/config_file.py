"""--config-file of ovsdb-server: a JSON file that names databases and remotes.

    {"remotes": {TARGET: {"inactivity-probe": ms, "max-backoff": ms, "read-only": bool,
                          "role": text, "dscp": n}},
     "databases": {FILE: {"service-model": "standalone"},
                   FILE: {"service-model": "active-backup", "backup": bool,
                          "source": {TARGET: {}}, "exclude-tables": [NAME]},
                   NAME: {"service-model": "relay", "source": {TARGET: {}}}}}

`apply_config` reads it and makes the server look like it; also for ovsdb-server/reload.
"""

import os

import orjson

from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.service import targets
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.service.relay import Relay
from ovsdb_server.service.session import Policy

_MODELS = ("standalone", "relay", "active-backup", "clustered")


class ConfigError(ValueError):
    """The file cannot be used; the text is for the user."""


def apply_config(server, path: str, directory: str) -> None:
    """Read `path` and open and close databases and remotes accordingly.

    `directory` is where relative database files are.  Raises: ConfigError, before anything
    changed unless a database file itself cannot be opened.
    """
    config = _read(path)
    wanted_remotes = {target: _policy(target, options)
                      for target, options in _members(config, "remotes").items()}
    wanted_files, relays, backups = {}, {}, {}
    for name, options in _members(config, "databases").items():
        model = _model(name, options)
        if model == "relay":
            relays[name] = _sources(name, options)
            continue
        file = os.path.join(directory, name)
        wanted_files[file] = name
        if model == "active-backup" and options.get("backup") is True:
            backups[os.path.realpath(file)] = (_sources(name, options),
                                               options.get("exclude-tables") or [])
    if len({source for source, _ in backups.values()}) > 1:
        raise ConfigError("config-file: backups of more than one active server are not supported")
    for name, hosted in list(server.databases.items()):
        if hosted.relay is not None and relays.get(name) != hosted.relay.remotes:
            server.remove_database(name)
    open_files = {os.path.realpath(hosted.path): hosted.name
                  for hosted in server.databases.values() if hosted.path}
    keep = {os.path.realpath(file) for file in wanted_files}
    for file, name in open_files.items():
        if file not in keep:
            server.remove_database(name)
    for file, name in wanted_files.items():
        if os.path.realpath(file) in open_files:
            continue
        try:
            hosted = HostedDatabase.open_file(file)
        except OvsdbError as error:
            raise ConfigError(str(error).replace(file, name)) from None
        if hosted.name in server.databases:
            hosted.close()
            raise ConfigError(f"ovsdb error: {name}: duplicate database name")
        server.add_database(hosted)
    for name, sources in relays.items():
        if name not in server.databases:
            server.add_relay(Relay(name, sources))
    for target in wanted_remotes:
        try:
            server.check_remote(target)
        except targets.RemoteError as error:
            raise ConfigError(str(error)) from None
    _apply_backups(server, backups)
    server.remote_texts = wanted_remotes
    server.reload_remotes()


def _read(path: str) -> dict:
    try:
        with open(path, "rb") as file:
            config = orjson.loads(file.read())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: reading JSON failed ({error})") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path}: configuration is not a JSON object")
    return config


def _members(config: dict, name: str) -> dict:
    value = config.get(name) or {}
    if not isinstance(value, dict):
        raise ConfigError(f"config-file: '{name}' is not a JSON object")
    return value


def _model(name: str, options: object) -> str:
    """Return the service model of a database.  Raises: ConfigError."""
    options = options or {}
    if not isinstance(options, dict):
        raise ConfigError(f"config-file: database '{name}' is not a JSON object")
    model = options.get("service-model", "standalone")
    if model not in _MODELS:
        raise ConfigError(f"config-file: '{model}' is not a valid service model")
    return model


def _apply_backups(server, backups: dict[str, tuple[str, list]]) -> None:
    """Copy the databases of `backups` {file: (source, names of tables not to copy)}."""
    names, excluded, source = set(), [], ""
    for hosted in server.databases.values():
        if hosted.path and os.path.realpath(hosted.path) in backups:
            source, tables = backups[os.path.realpath(hosted.path)]
            names.add(hosted.name)
            excluded += [f"{hosted.name}:{table}" for table in tables]
    replication = server.replication
    only = frozenset(names) or None
    before = replication.source, replication.excluded_text, replication.only
    if before != (source, ",".join(excluded), only):
        replication.configure(source, ",".join(excluded))
        replication.set_backup(bool(names), only)


def _sources(name: str, options: dict) -> str:
    """Return the remotes of a database's source, separated by commas.  Raises: ConfigError."""
    source = options.get("source")
    if not isinstance(source, dict) or not source:
        raise ConfigError(f"config-file: database '{name}': no source")
    return ",".join(source)


def _policy(target: str, options: object) -> Policy:
    options = options or {}
    if not isinstance(options, dict):
        raise ConfigError(f"config-file: remote '{target}' is not a JSON object")
    policy = targets.default_policy(target)
    probe = options.get("inactivity-probe")
    if isinstance(probe, int):
        policy = policy._replace(probe_interval=max(probe, 1000) / 1000 if probe > 0 else 0.0)
    backoff = options.get("max-backoff")
    if isinstance(backoff, int):
        policy = policy._replace(max_backoff=max(backoff, 1000) / 1000)
    if options.get("read-only") is True:
        policy = policy._replace(is_read_only=True)
    if isinstance(options.get("role"), str):
        policy = policy._replace(role=options["role"])
    if isinstance(options.get("dscp"), int):
        policy = policy._replace(dscp=options["dscp"])
    return policy
