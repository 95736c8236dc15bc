"""The JSON of `OVSDB CLUSTER` records: what a clustered database file says, as values.

The first record is a `Header`: who this server is, and either a `Snapshot` of the database (with
the servers of the cluster) or, while it has not joined, the remotes to ask.  Each later record is
one of `Entry` (of the replicated log), `State` (term, vote, leader, commit_index) or `Note`.
`parse_header` / `parse_record` read a record's JSON object, `.to_json()` gives it back.

`create_cluster` and `join_cluster` make new files.  The envelope is `record.py`; a file open for
service is `cluster_log.ClusterLog`.  Pure but for the two functions that create files.

Source: ovsdb(5), "Clustered Format".
"""

import os
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from ovsdb_server.engine.atom import is_uuid, random_uuid
from ovsdb_server.engine.ephemeral import refuse_ephemeral
from ovsdb_server.engine.error import OvsdbError, syntax_error
from ovsdb_server.engine.parser import ARRAY, INTEGER, OBJECT, STRING, Parser, as_integer
from ovsdb_server.engine.schema import DatabaseSchema

from .record import CLUSTERED, Record, encode_record, identify, read_records
from .record_file import create_file
from .replay import TransactionText

ELECTION_TIMER_DEFAULT = 1000
ELECTION_TIMER_MIN = 100
ELECTION_TIMER_MAX = 600_000


def check_election_timer(milliseconds: int) -> None:
    """Raise OvsdbError unless an election timer may have this value."""
    if not ELECTION_TIMER_MIN <= milliseconds <= ELECTION_TIMER_MAX:
        raise OvsdbError("ovsdb error", f"election timer must be between {ELECTION_TIMER_MIN} "
                                        f"and {ELECTION_TIMER_MAX}, in msec.")


def check_address(address: str) -> None:
    """Raise OvsdbError unless `address` can be a server's.

    That is unix:FILE, tcp:HOST:PORT, ssl:HOST:PORT, or etcd:HOST:PORT[,HOST:PORT...]: an etcd
    that is not this server's own.
    """
    kind, _, rest = address.partition(":")
    if kind == "etcd":
        for part in rest.split(","):
            if _split_port(part) is None:
                raise AddressError(address, part)
        return
    if kind not in ("tcp", "ssl", "unix") or ":" not in address:
        raise OvsdbError("ovsdb error", f'{address}: expected "tcp" or "ssl" address')
    if kind != "unix" and _split_port(rest) is None:
        raise AddressError(address, rest)


class AddressError(OvsdbError):
    """The HOST:PORT of an address is wrong; `warning` is what module socket_util logs as ERR."""

    def __init__(self, address: str, target: str):
        super().__init__("ovsdb error", f"{address}: syntax error in address")
        host, _, port = target.rpartition(":")
        if host and not target.endswith("]") and host.count(":") == 0:
            self.warning = f'{target}: bad port number "{port}"'
        else:
            self.warning = f"{target}: port must be specified"


def _split_port(target: str) -> tuple[str, int] | None:
    """Return (host, port) of HOST:PORT with a numeric port, None for anything else."""
    if target.startswith("["):
        host, bracket, port = target[1:].partition("]:")
        if not bracket:
            return None
    else:
        host, colon, port = target.partition(":")
        if not host or not colon or ":" in port:
            return None
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        return None
    return host, int(port)


def nickname(address: str, sid: str) -> str:
    """Return the short name by which logs call the server `sid` at `address`.

    That is the file name of a unix: address up to its first dot; else the beginning of the
    server's id.
    """
    kind, _, rest = address.partition(":")
    if kind == "unix" and rest:
        return os.path.basename(rest).split(".")[0] or short(sid)
    return short(sid)


def short(uuid: str) -> str:
    """Return the beginning of a server's, cluster's or entry's id, as logs show it."""
    return uuid[:4]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database after the entry `index` of `term`, whose id is `eid`.

    `schema` and `data` are JSON: a database schema, and a transaction with all rows in it.
    `servers` {sid: address} are the members of the cluster at that time.
    """

    term: int
    index: int
    eid: str
    servers: dict[str, str]
    schema: dict
    data: dict
    election_timer: int | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """The first record: `name` of the schema, this server's id and address, the cluster's id.

    `snapshot` is None and `remotes` are set in a server that has not joined its cluster yet; it
    may not know `cluster_id`.
    """

    name: str
    server_id: str
    local_address: str
    cluster_id: str | None
    snapshot: Snapshot | None
    remotes: tuple[str, ...] = ()

    @property
    def is_joining(self) -> bool:
        return self.snapshot is None

    def to_json(self) -> dict:
        """Return the JSON object of the record."""
        json = {"name": self.name, "server_id": self.server_id,
                "local_address": self.local_address}
        if self.cluster_id is not None:
            json["cluster_id"] = self.cluster_id
        snapshot = self.snapshot
        if snapshot is None:
            json["remote_addresses"] = list(self.remotes)
            return json
        json |= {"prev_term": _signed(snapshot.term), "prev_index": _signed(snapshot.index),
                 "prev_eid": snapshot.eid, "prev_servers": snapshot.servers,
                 "prev_data": [snapshot.schema, snapshot.data]}
        if snapshot.election_timer is not None:
            json["prev_election_timer"] = snapshot.election_timer
        return json


class Entry(NamedTuple):
    """An entry of the log.

    At most one kind of content: a transaction (`eid` with `data`, and `schema` when it changes
    that; `data` None then means that each server converts what it has; of a large one it is text),
    `servers` {sid: address}, or an `election_timer`; none of them in the entry with which a leader
    begins its term.
    """

    term: int
    index: int
    eid: str | None = None
    schema: dict | None = None
    data: dict | TransactionText | None = None
    servers: dict[str, str] | None = None
    election_timer: int | None = None
    comment: str | None = None

    def to_json(self) -> dict:
        """Return the JSON object of the record."""
        json: dict = {} if self.comment is None else {"comment": self.comment}
        json |= {"term": _signed(self.term), "index": _signed(self.index)}
        if self.eid is not None:
            json["eid"] = self.eid
            data = self.data
            if type(data) is TransactionText:
                data = orjson.Fragment(data.text)
            json["data"] = [self.schema, data]
        if self.servers is not None:
            json["servers"] = self.servers
        if self.election_timer is not None:
            json["election_timer"] = self.election_timer
        return json


class State(NamedTuple):
    """What a server noted: a new `term`, its `vote` or the `leader` in it, or a `commit_index`."""

    term: int | None = None
    vote: str | None = None
    leader: str | None = None
    commit_index: int | None = None
    comment: str | None = None

    def to_json(self) -> dict:
        """Return the JSON object of the record."""
        json: dict = {} if self.comment is None else {"comment": self.comment}
        if self.commit_index is not None:
            return json | {"commit_index": _signed(self.commit_index)}
        json["term"] = _signed(self.term)
        if self.vote is not None:
            json["vote"] = self.vote
        if self.leader is not None:
            json["leader"] = self.leader
        return json


class Note(NamedTuple):
    """A remark of the log: "transfer leadership" or "left"."""

    text: str
    comment: str | None = None

    def to_json(self) -> dict:
        """Return the JSON object of the record."""
        json: dict = {} if self.comment is None else {"comment": self.comment}
        return json | {"note": self.text}


LEFT = "left"

LogRecord = Entry | State | Note


def encode(value: "Header | LogRecord") -> bytes:
    """Return the record of `value` as it stands in a file."""
    return encode_record(orjson.dumps(value.to_json()), CLUSTERED)


def _signed(value: int) -> int:
    """Return a uint64 as the files hold it: what does not fit an int64 is negative."""
    return value - (1 << 64) if value >> 63 else value


def parse_header(json: dict) -> Header:
    """Return the header that the first record's JSON holds.  Raises OvsdbError."""
    parser = Parser(json, "raft header")
    server_id = _uuid(parser, "server_id")
    name = parser.member("name", STRING)
    local_address = parser.member("local_address", STRING)
    cluster_id = _uuid(parser, "cluster_id", is_optional=True)
    if parser.error is None:
        check_address(local_address)
    remotes_json = parser.member("remote_addresses", ARRAY | STRING, optional=True)
    if remotes_json is not None:
        parser.finish()
        remotes = [remotes_json] if type(remotes_json) is str else remotes_json
        if not all(type(remote) is str for remote in remotes):
            raise syntax_error(remotes_json, "array of strings expected")
        for remote in remotes:
            check_address(remote)
        return Header(name, server_id, local_address, cluster_id, None, tuple(remotes))
    if cluster_id is None:
        parser.fail("Required 'cluster_id' member is missing.")
    term = _number(parser, "prev_term")
    index = _number(parser, "prev_index")
    eid = _uuid(parser, "prev_eid")
    servers_json = parser.member("prev_servers", OBJECT)
    data = parser.member("prev_data", ARRAY)
    timer = _timer(parser, "prev_election_timer")
    parser.finish()
    if len(data) != 2 or type(data[0]) is not dict or type(data[1]) is not dict:
        raise syntax_error(data, "2-element array of schema and transaction expected")
    snapshot = Snapshot(term, index, eid, _servers(servers_json), data[0], data[1], timer)
    return Header(name, server_id, local_address, cluster_id, snapshot)


def parse_record(json: dict) -> LogRecord:
    """Return what a record after the first holds.  Raises OvsdbError."""
    parser = Parser(json, "raft log record")
    comment = parser.member("comment", STRING, optional=True)
    note = parser.member("note", STRING, optional=True)
    if note is not None:
        parser.finish()
        return Note(note, comment)
    commit_index = _number(parser, "commit_index", is_optional=True)
    if commit_index is not None:
        parser.finish()
        return State(commit_index=commit_index, comment=comment)
    term = _number(parser, "term")
    index = _number(parser, "index", is_optional=True)
    if index is None:
        vote = _uuid(parser, "vote", is_optional=True)
        leader = _uuid(parser, "leader", is_optional=True)
        parser.finish()
        return State(term, vote, leader, None, comment)
    data = parser.member("data", ARRAY, optional=True)
    eid = _uuid(parser, "eid", is_optional=data is None)
    servers = parser.member("servers", OBJECT, optional=True)
    timer = _timer(parser, "election_timer")
    parser.finish()
    schema = transaction = None
    if data is not None:
        if len(data) != 2 or any(part is not None and type(part) is not dict for part in data):
            raise syntax_error(data, "2-element array of schema and transaction expected")
        schema, transaction = data
    return Entry(term, index, eid, schema, transaction,
                 None if servers is None else _servers(servers), timer, comment)


def _uuid(parser: Parser, name: str, is_optional: bool = False) -> str | None:
    text = parser.member(name, STRING, optional=is_optional)
    if text is None:
        return None
    if not is_uuid(text):
        parser.fail(f"{name} is not a valid UUID")
    return text.lower()


def _number(parser: Parser, name: str, is_optional: bool = False) -> int | None:
    json = parser.member(name, INTEGER, optional=is_optional)
    return None if json is None else as_integer(json) & (1 << 64) - 1


def _timer(parser: Parser, name: str) -> int | None:
    milliseconds = _number(parser, name, is_optional=True)
    if milliseconds is not None:
        check_election_timer(milliseconds)
    return milliseconds


def _servers(json: dict) -> dict[str, str]:
    if not json:
        raise syntax_error(json, "must have at least one server")
    for sid, address in json.items():
        if not is_uuid(sid):
            raise syntax_error(json, f"{sid} is a not a UUID")
        if type(address) is not str:
            raise syntax_error(json, f"{sid} value is not string")
        check_address(address)
    return {sid.lower(): address for sid, address in json.items()}


# Files.

def read_cluster_records(stream, name: str):
    """Yield (Record, Header) and then (Record, LogRecord) of a file.  Raises OvsdbError."""
    parse = parse_header
    for record in read_records(stream, name, CLUSTERED):
        yield record, parse(record.json)
        parse = parse_record


def read_header_record(stream, name: str) -> tuple[Record, Header]:
    """Return the first record of a file and what it says.  Raises OvsdbError."""
    for record, header in read_cluster_records(stream, name):
        return record, header
    raise OvsdbError("ovsdb error", f"{name}: cannot identify file type")


def read_header(path: str) -> Header:
    """Return the header of the clustered database file `path`.

    Raises OvsdbError: also when the file is of another kind.
    """
    try:
        with open(path, "rb") as stream:
            if identify(path, stream.readline(127)) != CLUSTERED:
                raise NotClustered(path)
            stream.seek(0)
            return read_header_record(stream, path)[1]
    except OSError as error:
        what = "read error" if os.path.isdir(path) else "open failed"
        raise OvsdbError("I/O error", f"{path}: {what}", io_error=error.strerror) from None


class NotClustered(OvsdbError):
    """The file is a standalone database."""

    def __init__(self, path: str):
        super().__init__("ovsdb error", f"{path}: not a clustered database")


def create_cluster(path: str, schema: DatabaseSchema, data: dict, local_address: str,
                   election_timer: int | None = None) -> Header:
    """Create the file of a new cluster's first server; `data` is a transaction with all rows.

    Returns its header.  Raises OvsdbError.
    """
    refuse_ephemeral(schema)
    check_address(local_address)
    sid = random_uuid()
    header = Header(schema.name, sid, local_address, random_uuid(), Snapshot(
        1, 1, random_uuid(), {sid: local_address}, schema.to_json(), data))
    content = encode(header)
    if election_timer is not None:
        check_election_timer(election_timer)
        content += encode(Entry(1, 2, election_timer=election_timer))
    create_file(path, content)
    return header


def join_cluster(path: str, name: str, local_address: str, remotes: list[str],
                 cluster_id: str | None = None) -> Header:
    """Create the file of a server that is to join a cluster through one of `remotes`.

    Returns its header.  Raises OvsdbError.
    """
    for address in (local_address, *remotes):
        check_address(address)
    if local_address in remotes and not local_address.startswith("etcd:"):
        raise OvsdbError("ovsdb error",
                         "remote addresses cannot be the same as the local address")
    header = Header(name, random_uuid(), local_address, cluster_id, None,
                    tuple(dict.fromkeys(remotes)))
    create_file(path, encode(header))
    return header
