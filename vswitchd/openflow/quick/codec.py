"""Runs of flow_mods to staged changes, and rules to flow statistics, in C where they are common.

`Codec` wraps what quick.h declares: `decode` reads the flow_mods at the beginning of some bytes,
`check_bundled` those that are added to bundles, `encode` dumped rules. Each says how far it came;
what stopped it is for the codec of `messages`, and `learn` tells C what the actions of that one
meant, so that it knows them the next time. Control task only.
"""

from typing import NamedTuple

from datapath import face
from schema import extension
from vswitchd.openflow import source
from vswitchd.openflow.action_types import GotoTable, Group, Output
from vswitchd.openflow.quick.rows import read_rows, write_rows

END, OTHER, UNKNOWN, FULL = range(4)            # enum quick_stop
_MAX_ROWS = 256
_BLOB_SIZE = 1 << 19
_RECORDS = 1 << 17              # bytes of rules that are read at a time
_N_VERSIONS = 7
MOST_RECEIVED = 1 << 18         # bytes in a conversation
_LINGER_US = 100                # how long a peer's next question is awaited
_NAP_US = 30                    # in which more is added to a bundle
_TURN_US = 1000                 # how long other tasks may be kept waiting


_module = extension.load("vswitchd.openflow.quick._quick")
_ffi, _lib = _module.ffi, _module.lib


class Run(NamedTuple):
    """What was done: `n` messages or rules of `used` bytes, then it stopped because of `stop`."""

    n: int
    used: int
    filled: int
    stop: int


class Bundled(NamedTuple):
    """Messages that are added to a bundle, one behind the other."""

    bundle: int
    flags: int
    messages: bytes


class Talk(NamedTuple):
    """How a conversation ended: what was received and not done, replies that could not be sent,
    how many packets were sent."""

    rest: bytes
    replies: bytes
    n_injected: int
    added: bytes = b""          # to the bundle, one message behind the other


class Guest:
    """A peer that nobody else knows: what talk.c and `visit.py` have to remember of it."""

    __slots__ = ("fd", "version", "flow_format", "table_in_command", "rest", "replies", "is_quick",
                 "is_over", "is_broken", "n_injected")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.version = 0            # 0: it has not said hello
        self.flow_format = 0        # of NXT_SET_FLOW_FORMAT
        self.table_in_command = False   # of NXT_FLOW_MOD_TABLE_ID
        self.rest = b""             # what it said and talk.c did not do
        self.replies = b""          # what could not be sent
        self.is_quick = True        # it asks at once
        self.is_over = False        # it has left, with all answered
        self.is_broken = False      # something is wrong with its socket
        self.n_injected = 0         # packets that it sent


class Dump:
    """Rules on their way into flow statistics."""

    def __init__(self, version: int, wanted: face.RuleFilter, now_ms: int) -> None:
        self._wanted = wanted               # kept alive
        self._records = _ffi.new("uint8_t[]", _RECORDS)
        self.state = _ffi.new("struct quick_dump *", {
            "rules_dump": _ffi.cast("void *", face.address_of("rules_dump")),
            "filter": _ffi.cast("void *", wanted.filter_at),
            "match": _ffi.cast("uint8_t *", wanted.match_at), "records": self._records,
            "room": _RECORDS, "version": version, "now_ms": now_ms})

    def next(self) -> tuple[face.Rule, int]:
        """The rule that was not written, and the size of its record."""
        if self.state.at == self.state.size:
            face.check_last()
        rest = _ffi.buffer(self._records, self.state.size)[self.state.at:]
        return face.unpack_record(rest, 0)

    def skip(self, size: int) -> None:
        """Goes on behind that rule."""
        self.state.at += size


class Codec:
    """The quick codec of one daemon. One that does not know plain ones has to learn the meaning of
    each list of actions."""

    def __init__(self, knows_plain: bool = True) -> None:
        read = read_rows()
        write = [write_rows(version) if version not in (1, 2) else []
                 for version in range(_N_VERSIONS)]
        self._quick = _ffi.gc(_lib.quick_new(
            self._rows(read), len(read), self._rows([row for rows in write for row in rows]),
            _ffi.new("uint32_t[]", [len(rows) for rows in write])), _lib.quick_free)
        if knows_plain:
            _lib.quick_set_kinds(self._quick, *map(source.number_of, (Output, Group, GotoTable)))
        self._items = _ffi.new("struct quick_item[]", _MAX_ROWS)
        self._listener = _ffi.new("struct quick_listener *")
        self._which = _ffi.new("uint32_t[2]")
        self._run = _ffi.new("struct quick_run *")
        self._changes = face.ChangeBuffer(_MAX_ROWS, _BLOB_SIZE)
        self._added = _ffi.new("uint8_t[]", _BLOB_SIZE)
        self._received = _ffi.new("uint8_t[]", MOST_RECEIVED)
        self._talk = _ffi.new("struct quick_talk *", {
            "data": self._received, "room": MOST_RECEIVED, "linger_us": _LINGER_US,
            "turn_us": _TURN_US, "nap_us": _NAP_US, "added": self._added,
            "added_room": _BLOB_SIZE})
        self._calls = _ffi.new("struct quick_calls *", {
            name: _ffi.cast("void *", face.address_of(name))
            for name in ("version_open", "rules_stage", "version_commit", "version_current",
                         "version_reached", "packets_inject")})
        self._out = _ffi.new("uint8_t[]", 0x10000)

    @staticmethod
    def _rows(rows: list) -> object:
        return _ffi.new("struct quick_field[]", [
            (*row[:10], (0, 0, 0), *row[10:]) for row in rows])

    def _result(self) -> Run:
        run = self._run
        return Run(run.n, run.used, run.filled, run.stop)

    def decode(self, version: int, bridge: int, data: bytes, start: int = 0,
               table_in_command: bool = False) -> tuple[Run, face.ChangeBuffer]:
        """Reads flow_mods from `start` on into changes, which hold until the next call."""
        changes = self._changes
        view = _ffi.from_buffer(data)
        _lib.quick_decode(self._quick, version, table_in_command, bridge, view + start,
                          len(data) - start,
                          _ffi.cast("void *", changes.rows_at), _MAX_ROWS, self._items,
                          _ffi.cast("uint8_t *", changes.blob_at), _BLOB_SIZE, self._run)
        run = self._result()
        changes.n, changes.blob_used = run.n, run.filled
        return run, changes

    def converse(self, version: int, table_in_command: bool, dp: int, bridge: int, fd: int,
                 data: bytes, lingers: bool = True, bundle: tuple[int, int] | None = None) -> Talk:
        """Carries out flow_mods and packet-outs and answers barriers of a peer for as long as it
        says nothing else and says it at once; `data` has been received already. Flow_mods may also
        be added to `bundle`, a number and flags."""
        talk, changes = self._talk, self._changes
        talk.has_bundle, talk.n_added = bundle is not None, 0
        talk.bundle, talk.bundle_flags = bundle or (0, 0)
        talk.fd, talk.version, talk.table_in_command = fd, version, table_in_command
        talk.dp, talk.bridge = dp, bridge
        talk.size, talk.used, talk.n_replies, talk.n_injected = len(data), 0, 0, 0
        talk.linger_us = _LINGER_US if lingers else 0
        _ffi.memmove(self._received, data, len(data))
        _lib.quick_converse(self._quick, self._calls, talk, _ffi.cast("void *", changes.rows_at),
                            _MAX_ROWS, self._items, _ffi.cast("uint8_t *", changes.blob_at),
                            _BLOB_SIZE)
        return Talk(_ffi.buffer(self._received, talk.size)[talk.used:],
                    _ffi.buffer(talk.replies, talk.n_replies)[:], talk.n_injected,
                    _ffi.buffer(self._added, talk.n_added)[:])

    @staticmethod
    def admit(listener: int, hello: bytes, lingers: bool) -> int | None:
        """Takes in and greets who comes to a listening socket; returns his socket, None for nobody.
        Raises OSError."""
        fd = _lib.quick_admit(listener, _LINGER_US if lingers else 0, hello, len(hello))
        if fd < -1:
            raise OSError("nobody can be taken in")
        return fd if fd >= 0 else None

    def entertain(self, guest: Guest, versions: frozenset[int], dp: int, bridge: int) -> None:
        """As `converse`, with a guest, who may have to say hello first."""
        talk, changes = self._talk, self._changes
        talk.fd, talk.version = guest.fd, guest.version
        talk.table_in_command = guest.table_in_command
        talk.has_bundle, talk.n_added = False, 0
        talk.is_guest, talk.versions = True, sum(1 << version - 1 for version in versions)
        talk.flow_format, talk.is_over, talk.is_broken = guest.flow_format, False, False
        talk.dp, talk.bridge = dp, bridge
        talk.size, talk.used, talk.n_replies, talk.n_injected = len(guest.rest), 0, 0, 0
        talk.linger_us = _LINGER_US if guest.is_quick else 0
        _ffi.memmove(self._received, guest.rest, len(guest.rest))
        _lib.quick_converse(self._quick, self._calls, talk, _ffi.cast("void *", changes.rows_at),
                            _MAX_ROWS, self._items, _ffi.cast("uint8_t *", changes.blob_at),
                            _BLOB_SIZE)
        talk.is_guest = False
        guest.version, guest.flow_format = talk.version, talk.flow_format
        guest.table_in_command = bool(talk.table_in_command)
        guest.rest = _ffi.buffer(self._received, talk.size)[talk.used:]
        guest.replies = _ffi.buffer(talk.replies, talk.n_replies)[:]
        guest.is_over, guest.is_broken = bool(talk.is_over), bool(talk.is_broken)
        guest.n_injected = talk.n_injected

    def item(self, index: int) -> tuple[int, int]:
        """Where the message number `index` of the last run lies, from its start on."""
        item = self._items[index]
        return item.offset, item.offset + item.length

    def check_bundled(self, version: int, data: bytes, start: int = 0) -> tuple[Run, Bundled]:
        """Reads messages from `start` on that add flow_mods to a bundle."""
        blob = _ffi.cast("uint8_t *", self._changes.blob_at)
        _lib.quick_check_bundled(self._quick, version, _ffi.from_buffer(data) + start,
                                 len(data) - start, self._which, self._which + 1, blob, _BLOB_SIZE,
                                 self._run)
        run = self._result()
        return run, Bundled(self._which[0], self._which[1], _ffi.buffer(blob, run.filled)[:])

    def learn(self, program: bytes, source: bytes) -> None:
        """Says what the actions meant at which `decode` or `check_bundled` stopped as UNKNOWN."""
        _lib.quick_learn(self._quick, program, len(program), source, len(source))

    def encode(self, version: int, records: bytes, start: int, now_ms: int, room: int) -> tuple[
            Run, bytes]:
        """Writes rules from `start` on as entries of at most `room` bytes together."""
        view = _ffi.from_buffer(records)
        _lib.quick_encode(self._quick, version, view + start, len(records) - start, now_ms,
                          self._out, min(room, 0x10000), self._run)
        run = self._result()
        return run, _ffi.buffer(self._out, run.filled)[:]

    def learn_output(self, version: int, actions: bytes, program: bytes) -> None:
        """Says what a list of actions means in packet-outs."""
        _lib.quick_learn_output(self._quick, version, actions, len(actions), program,
                                len(program))

    def begin_dump(self, version: int, wanted: face.RuleFilter, now_ms: int) -> Dump:
        """Prepares to write the rules that a filter lets through."""
        return Dump(version, wanted, now_ms)

    def dump(self, rules: Dump, room: int) -> tuple[Run, bytes]:
        """Writes some more rules as entries of at most `room` bytes together."""
        _lib.quick_dump(self._quick, rules.state, self._out, min(room, 0x10000), self._run)
        run = self._result()
        return run, _ffi.buffer(self._out, run.filled)[:]

    def packet_ins(self, bridge: int, version: int, controller_id: int, told: bytes,
                   records: bytes, start: int, end: int) -> tuple[Run, bytes]:
        """Writes the upcalls that lie between `start` and `end` as packet-ins in the plain form of
        `version`; `told` has the number of each reason there, 255 where it is not told."""
        listener = self._listener
        listener.bridge, listener.version, listener.controller_id = bridge, version, controller_id
        listener.told = told
        _lib.quick_packet_ins(self._quick, listener, _ffi.from_buffer(records) + start,
                              end - start, self._out, 0x10000, self._run)
        run = self._result()
        return run, _ffi.buffer(self._out, run.filled)[:]

    def learn_wire(self, version: int, source: bytes, wire: bytes) -> None:
        """Says how `version` encodes the actions of rules with this source."""
        _lib.quick_learn_wire(self._quick, version, source, len(source), wire, len(wire))
