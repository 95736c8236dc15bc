"""Opens database files for service, each as what it says it is: standalone, or a server's of a
cluster.

Trio thread only.
"""

import os

from ovsdb_server import vlog
from ovsdb_server.engine.database import Database
from ovsdb_server.engine.ephemeral import refuse_ephemeral
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service import solo
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.storage.cluster_file import short
from ovsdb_server.storage.cluster_log import ClusterLog
from ovsdb_server.storage.lockfile import LockError
from ovsdb_server.storage.record import CLUSTERED, parse_header

_log = vlog.module("raft")
_lock_log = vlog.module("lockfile")


def is_clustered(path: str) -> bool:
    """Does the file `path` begin as one of a clustered database?"""
    try:
        with open(path, "rb") as stream:
            header = parse_header(stream.readline(127))
    except OSError:
        return False
    return header is not None and header.magic == CLUSTERED


def open_database(path: str) -> HostedDatabase:
    """Open the database file `path`.  Raises: OvsdbError; the log tells who has it locked."""
    try:
        if not is_clustered(path):
            return HostedDatabase.open_file(path)
        log = ClusterLog.open(path)
    except LockError as error:
        for warning in error.warnings:
            _lock_log.warn(warning)
        raise
    try:
        return _open_clustered(path, log)
    except BaseException:
        log.close()
        raise


def _open_clustered(path: str, log: ClusterLog) -> HostedDatabase:
    header = log.header
    database = Database(DatabaseSchema(header.name, "", "", []))
    if not header.is_joining:
        database = log.load()
        if log.damage is not None:
            _log.warn(str(log.damage))
        refuse_ephemeral(database.schema)
    if not _is_shared(path, log):
        return solo.lead(log, database)
    # Of no use to any other database: etcd's client and supervisor.
    from ovsdb_server.service.cluster.member import open_member
    _log.info(f"local server ID is {short(header.server_id)}")
    return open_member(log, database)


def _is_shared(path: str, log: ClusterLog) -> bool:
    """Is the log of a clustered database (or will it be) in etcd, not in this file alone?"""
    header = log.header
    return (header.is_joining or header.local_address.startswith("etcd:")
            or log.servers.keys() != {header.server_id}
            or os.path.exists(os.path.join(os.path.realpath(path) + ".etcd", "member.json")))
