"""Snapshots of a database in etcd: put there in pieces, and fetched.

A snapshot is JSON, [schema, rows as a transaction, servers, election timer].
Trio thread; encoding in a thread.
"""

import orjson
import trio

from ovsdb_server.engine.database import Database
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.service.cluster.client import EtcdClient, EtcdError
from ovsdb_server.storage.cluster_file import Snapshot
from ovsdb_server.storage.etcd import KV_RANGE, KV_TXN, Keys, Kv, Leader, split_pieces
from ovsdb_server.storage.etcd import Snapshot as StoredSnapshot
from ovsdb_server.storage.replay import META_MEMBERS, encode_rows


class NotLeader(Exception):
    """Another server leads by now."""


async def put_pieces(etcd: EtcdClient, keys: Keys, index: int, database: Database,
                     servers: dict[str, str], election_timer: int,
                     leader: Leader | None) -> tuple[int, int]:
    """Store what the database is now, after entry `index`; return number and size of the pieces.

    Only while `leader` leads (None: nobody).  Raises: NotLeader, EtcdError.
    """
    rows = {name: dict(table.rows) for name, table in database.tables.items()}
    data = await trio.to_thread.run_sync(_encode, database.schema, rows, dict(servers),
                                          election_timer)
    pieces = split_pieces(data)
    for number, piece in enumerate(pieces):
        answer = await etcd.call(KV_TXN, keys.put_piece(index, number, piece, leader))
        if not answer.get("succeeded"):
            raise NotLeader
    return len(pieces), len(data)


async def fetch(etcd: EtcdClient, keys: Keys, stored: StoredSnapshot) -> Snapshot:
    """Return a snapshot that is stored.  Raises: EtcdError."""
    pieces: list[bytes] = []
    while len(pieces) < stored.n:
        answer = await etcd.call(KV_RANGE, keys.pieces(stored.index, len(pieces)))
        if not answer.get("kvs"):
            raise EtcdError("the snapshot is gone", True)
        pieces += (Kv.from_json(json).value for json in answer["kvs"])
    schema, data, servers, *timer = orjson.loads(b"".join(pieces))
    return Snapshot(stored.term, stored.index, stored.eid, servers, schema, data, *timer)


def _encode(schema: DatabaseSchema, rows: dict, servers: dict[str, str],
            election_timer: int) -> bytes:
    data = encode_rows(schema, rows, "", 0)
    for name in META_MEMBERS:
        data.pop(name, None)
    return orjson.dumps([schema.to_json(), data, servers, election_timer])
