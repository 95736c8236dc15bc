"""A clustered database as keys of etcd: names, encodings, and the requests that change them.

All keys of a database lie below /ovsdb/NAME/:

    meta            {"cid", "name"}: which cluster this is; never changes
    head            {"index", "term", "eid"}: the last entry of the log
    log/INDEX       a batch of entries, in the JSON of clustered files; INDEX is that of the last
                    of them, 16 hex digits
    term            {"term"}: of the last leader
    leader          {"sid", "term", "address"}, bound to the lease of the server that leads
    live/SID        {}, bound to the lease of a server that runs
    snapshot        {"index", "term", "eid", "n"}: which snapshot is complete
    joining         bound to the lease of a server that is becoming a member of etcd
    snap/INDEX/N    its pieces, to be joined: JSON [schema, rows as a transaction, servers,
                    election timer]

Every append compares the revision of `head` (and, by a leader, the creation of `leader`), so of
two writers that know the same last entry one wins, and who was asleep loses.  The mod_revision of
`head` is thus the fence of the whole log: `fence` moves it without an entry, after which an append
whose outcome was unknown either is in the log or never will be.

Bodies are those of etcd's gateway for JSON (https://etcd.io/docs/v3.4/dev-guide/api_grpc_gateway).
Nothing here does I/O.
"""

import base64
import re
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from .cluster_file import Entry, parse_record
from .replay import TransactionText

# Pieces of a snapshot; etcd refuses requests above 1.5 MiB unless told otherwise.
PIECE_SIZE = 1 << 20

# A batch of so many bytes that is one transaction is not parsed before it is applied.
_LARGE = 1 << 18
_ALONE = re.compile(rb'\[\{"term":(\d+),"index":(\d+),"eid":"([0-9a-f-]{36})","data":\[null,(?=\{)')

# How many batches one read fetches: each may have a megabyte and hundreds of transactions.
READ_LIMIT = 16

KV_TXN = "/v3/kv/txn"
KV_RANGE = "/v3/kv/range"
KV_COMPACT = "/v3/kv/compaction"
LEASE_GRANT = "/v3/lease/grant"
LEASE_KEEPALIVE = "/v3/lease/keepalive"
LEASE_REVOKE = "/v3/lease/revoke"
WATCH = "/v3/watch"
MEMBER_LIST = "/v3/cluster/member/list"
MEMBER_ADD = "/v3/cluster/member/add"
MEMBER_REMOVE = "/v3/cluster/member/remove"


class Head(NamedTuple):
    """The end of the log, and `revision`, the mod_revision of its key."""

    index: int
    term: int
    eid: str
    revision: int


class Leader(NamedTuple):
    """Who leads: `revision` is the create_revision of the key, `lease` what it is bound to."""

    sid: str
    term: int
    address: str
    revision: int
    lease: int


class Snapshot(NamedTuple):
    """The snapshot that is complete: it holds what the log made up to `index`."""

    index: int
    term: int
    eid: str
    n: int


class State(NamedTuple):
    """What one read of a database's keys at one revision tells (or the news of a watch).

    `entries` follow each other; `is_partial`: there may be more of them than were read.
    """

    revision: int
    head: Head | None
    leader: Leader | None
    snapshot: Snapshot | None
    term: int
    live: frozenset[str]
    cid: str
    entries: list[Entry]
    is_partial: bool


class Kv(NamedTuple):
    """A key with its value."""

    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int

    @classmethod
    def from_json(cls, json: dict) -> "Kv":
        return cls(base64.b64decode(json["key"]).decode(),
                   base64.b64decode(json.get("value", "")),
                   int(json.get("create_revision", 0)), int(json.get("mod_revision", 0)),
                   int(json.get("lease", 0)))

    def json(self) -> dict:
        return orjson.loads(self.value)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def encode_index(index: int) -> str:
    """Return `index` as the keys have it: their order is that of the numbers."""
    return f"{index:016x}"


def encode_batch(entries: Iterable[Entry]) -> bytes:
    """Return entries as the value of a log key."""
    return orjson.dumps([entry.to_json() for entry in entries])


def decode_batch(value: bytes) -> list[Entry]:
    if len(value) >= _LARGE:
        match = _ALONE.match(value)
        if match is not None and value.endswith(b"]}]") and b'},{"term":' not in value:
            term, index, eid = match.groups()
            return [Entry(int(term), int(index), eid.decode(),
                          data=TransactionText(value[match.end():-3]))]
    return [parse_record(json) for json in orjson.loads(value)]


def split_pieces(data: bytes, size: int = PIECE_SIZE) -> list[bytes]:
    """Cut a snapshot into pieces that fit into requests."""
    return [data[start:start + size] for start in range(0, len(data), size)] or [b""]


class Compare(NamedTuple):
    """A condition of a transaction of etcd: `target` is MOD, CREATE or VERSION."""

    key: str
    target: str
    value: int

    def to_json(self) -> dict:
        member = {"MOD": "mod_revision", "CREATE": "create_revision", "VERSION": "version"}
        return {"key": _b64(self.key.encode()), "target": self.target, "result": "EQUAL",
                member[self.target]: str(self.value)}


def _put(key: str, value: bytes, lease: int = 0) -> dict:
    json: dict = {"key": _b64(key.encode()), "value": _b64(value)}
    if lease:
        json["lease"] = str(lease)
    return {"request_put": json}


def _range(key: str, end: str = "", limit: int = 0) -> dict:
    json: dict = {"key": _b64(key.encode())}
    if end:
        json["range_end"] = _b64(end.encode())
    if limit:
        json["limit"] = str(limit)
    return {"request_range": json}


def _delete(key: str, end: str = "") -> dict:
    json: dict = {"key": _b64(key.encode())}
    if end:
        json["range_end"] = _b64(end.encode())
    return {"request_delete_range": json}


def _after(prefix: str) -> str:
    """Return the first key behind all that begin with `prefix`."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


class Keys:
    """The keys of database `name`, and the requests about them; each returns a body in JSON."""

    def __init__(self, name: str) -> None:
        self.prefix = f"/ovsdb/{name}/"
        self.meta = self.prefix + "meta"
        self.head = self.prefix + "head"
        self.leader = self.prefix + "leader"
        self.term = self.prefix + "term"
        self.snapshot = self.prefix + "snapshot"
        self._log = self.prefix + "log/"
        self._snap = self.prefix + "snap/"
        self._live = self.prefix + "live/"

    # Reading.

    def _reads(self, applied: int) -> list[dict]:
        return [_range(self.head), _range(self.leader), _range(self.snapshot), _range(self.term),
                _range(self.meta), _range(self._live, _after(self._live)),
                _range(self._log + encode_index(applied + 1), _after(self._log), READ_LIMIT)]

    def read(self, applied: int) -> dict:
        """Read everything but snapshots, and the log behind entry `applied`: `parse_state`."""
        return {"compare": [], "success": self._reads(applied), "failure": []}

    def pieces(self, index: int, first: int) -> dict:
        """Read pieces of the snapshot of `index` from number `first` on (a few of them)."""
        key = f"{self._snap}{encode_index(index)}/"
        return _range(f"{key}{first:08d}", _after(key), 4)["request_range"]

    def watch(self, revision: int) -> dict:
        """Watch all keys from `revision` on: `parse_events`."""
        return {"create_request": {"key": _b64(self.prefix.encode()),
                                   "range_end": _b64(_after(self.prefix).encode()),
                                   "start_revision": str(revision)}}

    def parse_state(self, body: dict, applied: int) -> State:
        """Read the answer to `read`, or to another request whose condition did not hold."""
        kvs = [Kv.from_json(json) for response in body.get("responses", ())
               for json in response.get("response_range", {}).get("kvs", ())]
        state = self._gather(kvs, int(body["header"]["revision"]), applied)
        head = state.head
        last = state.entries[-1].index if state.entries else applied
        return state._replace(is_partial=head is not None and last < head.index)

    def _gather(self, kvs: list[Kv], revision: int, applied: int) -> State:
        head = leader = snapshot = None
        term, cid = 0, ""
        live: set[str] = set()
        entries: list[Entry] = []
        for kv in kvs:
            if kv.key.startswith(self._log):
                if int(kv.key.removeprefix(self._log), 16) <= applied:
                    continue
                entries += (e for e in decode_batch(kv.value) if e.index > applied)
            elif kv.key == self.head:
                json = kv.json()
                head = Head(json["index"], json["term"], json["eid"], kv.mod_revision)
            elif kv.key == self.leader:
                json = kv.json()
                leader = Leader(json["sid"], json["term"], json["address"], kv.create_revision,
                                kv.lease)
            elif kv.key == self.snapshot:
                json = kv.json()
                snapshot = Snapshot(json["index"], json["term"], json["eid"], json["n"])
            elif kv.key == self.term:
                term = kv.json()["term"]
            elif kv.key == self.meta:
                cid = kv.json()["cid"]
            elif kv.key.startswith(self._live):
                live.add(kv.key.removeprefix(self._live))
        return State(revision, head, leader, snapshot, term, frozenset(live), cid, entries,
                     False)

    def parse_events(self, events: list[dict], applied: int) -> "News":
        """Read the events of one answer of a watch."""
        put: list[Kv] = []
        deleted: list[str] = []
        last: dict[str, dict] = {}
        for event in events:
            kv = Kv.from_json(event["kv"])
            # A key may come twice (put, deleted, put): the order decides what stands at the end.
            last[kv.key] = event
            if event.get("type") == "DELETE":
                deleted.append(kv.key)
            else:
                put.append(kv)
        revision = max((int(event["kv"]["mod_revision"]) for event in events), default=0)
        gone = [key for key in deleted if last[key].get("type") == "DELETE"]
        return News(
            self._gather([kv for kv in put if kv.key not in gone], revision, applied),
            leader_gone=(int(last[self.leader]["kv"]["mod_revision"])
                         if self.leader in gone else 0),
            live_gone=[k.removeprefix(self._live) for k in gone if k.startswith(self._live)])

    # Writing.

    def claim(self, sid: str, lease: int) -> dict:
        """Claim to be the only server that is joining now."""
        key = self.prefix + "joining"
        return {"compare": [Compare(key, "CREATE", 0).to_json()],
                "success": [_put(key, orjson.dumps({"sid": sid}), lease)], "failure": []}

    def _head_value(self, last: Entry) -> bytes:
        return orjson.dumps({"index": last.index, "term": last.term, "eid": last.eid})

    def append(self, entries: list[Entry], head: Head, leader: Leader | None) -> dict:
        """Append `entries` behind `head`; of `leader`, only while it leads."""
        compare = [Compare(self.head, "MOD", head.revision)]
        if leader is not None:
            compare.append(Compare(self.leader, "CREATE", leader.revision))
        return {"compare": [c.to_json() for c in compare],
                "success": [_put(self._log + encode_index(entries[-1].index),
                                 encode_batch(entries)),
                            _put(self.head, self._head_value(entries[-1]))],
                "failure": self._reads(head.index)}

    def fence(self, head: Head) -> dict:
        """Move the revision of the head: what was to be appended to this one cannot be any more."""
        value = orjson.dumps({"index": head.index, "term": head.term, "eid": head.eid})
        return {"compare": [Compare(self.head, "MOD", head.revision).to_json()],
                "success": [_put(self.head, value)], "failure": self._reads(head.index)}

    def campaign(self, sid: str, term: int, address: str, lease: int, applied: int) -> dict:
        """Become the leader, in `term`, if there is none; else read what is behind `applied`."""
        value = orjson.dumps({"sid": sid, "term": term, "address": address})
        return {"compare": [Compare(self.leader, "CREATE", 0).to_json()],
                "success": [_put(self.leader, value, lease),
                            _put(self.term, orjson.dumps({"term": term}))],
                "failure": self._reads(applied)}

    def resign(self, leader: Leader) -> dict:
        """Give up leadership."""
        return {"compare": [Compare(self.leader, "CREATE", leader.revision).to_json()],
                "success": [_delete(self.leader)], "failure": []}

    def announce(self, sid: str, lease: int) -> dict:
        """Say that a member runs."""
        return {"compare": [], "success": [_put(self._live + sid, b"{}", lease)], "failure": []}

    def put_piece(self, index: int, number: int, data: bytes, leader: Leader | None) -> dict:
        """Store a piece of a snapshot, only while `leader` leads (None: nobody does)."""
        key = f"{self._snap}{encode_index(index)}/{number:08d}"
        return {"compare": [self._leads(leader)], "success": [_put(key, data)], "failure": []}

    def _leads(self, leader: Leader | None) -> dict:
        return Compare(self.leader, "CREATE", leader.revision if leader else 0).to_json()

    def finish_snapshot(self, snapshot: Snapshot, leader: Leader, kept: int) -> dict:
        """Make a stored snapshot the one that counts; forget the log up to entry `kept`."""
        return {"compare": [self._leads(leader)],
                "success": [_put(self.snapshot, orjson.dumps(snapshot._asdict())),
                            _delete(self._snap, self._snap + encode_index(snapshot.index)),
                            _delete(self._log, self._log + encode_index(kept + 1))],
                "failure": []}

    def found(self, cid: str, name: str, snapshot: Snapshot) -> dict:
        """Begin the database with a stored snapshot, if it does not exist yet."""
        head = orjson.dumps({"index": snapshot.index, "term": snapshot.term, "eid": snapshot.eid})
        return {"compare": [Compare(self.head, "VERSION", 0).to_json()],
                "success": [_put(self.meta, orjson.dumps({"cid": cid, "name": name})),
                            _put(self.head, head),
                            _put(self.term, orjson.dumps({"term": snapshot.term})),
                            _put(self.snapshot, orjson.dumps(snapshot._asdict()))],
                "failure": self._reads(snapshot.index)}


class News(NamedTuple):
    """What a watch told: values in `state` where they changed, and what is gone.

    `leader_gone` is the revision at which there was no leader any more, or 0.
    """

    state: State
    leader_gone: int
    live_gone: list[str]


def grant(ttl: int) -> dict:
    """Ask for a lease of `ttl` seconds."""
    return {"TTL": str(ttl)}


def keep_alive(lease: int) -> dict:
    return {"ID": str(lease)}


def compact(revision: int) -> dict:
    """Forget the values that keys had before `revision`."""
    return {"revision": str(revision)}
