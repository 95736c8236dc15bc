"""A client's session: the methods of RFC 7047 section 4.1 and ovsdb-server(7), one at a time.

A `Session` takes requests from a `Channel` when the `Hub` gives it a turn, answers them from the
`Server`'s databases and sends updates of its monitors.  Order is kept as clients rely on it: before
any reply goes out, what the session's monitors have to tell goes out.  While the peer does not
read, no request of it is taken and updates merge in the engine's change sets, so a slow reader
costs bounded memory.

Each method is a row of `_METHODS`.  Trio thread only.
"""

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

import trio

from ovsdb_server import vlog
from ovsdb_server.client.replica import RemoteError
from ovsdb_server.engine.atom import ZERO_UUID, is_uuid
from ovsdb_server.engine.database import Context, Execution
from ovsdb_server.engine.error import OvsdbError, json_text, syntax_error
from ovsdb_server.engine.monitor import COND, COND_SINCE, MONITOR, Monitor, flush_all
from ovsdb_server.engine.operations import LazyRows, is_write
from ovsdb_server.engine.parser import is_identifier
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.engine.table import Delta
from ovsdb_server.rpc import message
from ovsdb_server.rpc.backoff import UNANSWERED
from ovsdb_server.rpc.message import Message, ProtocolError, classify
from ovsdb_server.rpc.stream import CODEC, Channel, post_all, release_all
from ovsdb_server.service.hosted import HostedDatabase
from ovsdb_server.service.large import LargeTransaction, is_large
from ovsdb_server.service.relay import Relay

_log = vlog.module("ovsdb_jsonrpc_server")
_rpc_log = vlog.module("jsonrpc")
_reconnect_log = vlog.module("reconnect")
_LIMIT = vlog.RateLimit(5, 5)

_UPDATES = {MONITOR: "update", COND: "update2", COND_SINCE: "update3"}


class RequestError(Exception):
    """The request is answered with the JSON-RPC error `error`, any JSON value."""

    def __init__(self, error: object) -> None:
        super().__init__(error)
        self.error = error


class Policy(NamedTuple):
    """How the sessions of one remote are treated; intervals in seconds, 0 is never."""

    probe_interval: float = 0.0
    is_read_only: bool = False
    role: str = ""
    max_backoff: float = 8.0
    dscp: int | None = None


# What ends a connection without being a defect of ours.
_LOSSES = (ProtocolError, trio.ClosedResourceError, OSError)

_NOTHING_YET = frozenset((errno.EAGAIN, errno.EWOULDBLOCK))

# A reply that tells of so many rows is sent in pieces, and rests when the peer is so many bytes
# behind.
_MANY = 1000
_BACKLOG_MAX = 256 * 1024

# So many results of a transaction are encoded at a time.
_PLAIN_RESULTS = 1000

# Seconds for which one session answers before the others get their turn.
_TURN = 0.001

_LATER = object()       # The handler has replied or will.


class _Held:
    """A message in its place in the order; `data` None while its transaction is not on the disk.

    A large one is `pieces` of text instead.  `monitor` tells of changes once this is sent.
    """

    __slots__ = ("data", "pieces", "monitor")

    def __init__(self, data: bytes | None, pieces: Iterator[bytes] | None = None,
                 monitor: Monitor | None = None) -> None:
        self.data = data
        self.pieces = pieces
        self.monitor = monitor

    @property
    def is_ready(self) -> bool:
        return self.data is not None or self.pieces is not None


class _Watch(NamedTuple):
    """A monitor of this session, under the id that its client gave it."""

    id: object
    monitor: Monitor
    hosted: HostedDatabase
    head: bytes


def _update_head(kind: str, id: object) -> bytes:
    """Return the JSON text that begins an update, through the id; `_UPDATE_TAIL` ends it."""
    return b'{"id":null,"method":"%b","params":[%b,' % (_UPDATES[kind].encode(),
                                                        CODEC.dumps(id))


_UPDATE_TAIL = b"]}"


class Session:
    """One client.

    Args: `server` has `databases` {name: HostedDatabase}, `sessions`, `locks`, `server_id`,
    `has_cond`, `replications`, `is_copy`, `hub`, and `after_commit`, `note_waiting`, `notify`,
    `convert`, `spawn`, `call_when_durable`.
    """

    def __init__(self, server, channel: Channel, policy: Policy) -> None:
        self.server = server
        self.channel = channel
        self.policy = policy
        self.name = channel.name
        self.is_change_aware = False
        self.monitors: dict[bytes, _Watch] = {}
        self._transactions: dict[bytes, tuple[HostedDatabase, object]] = {}
        self._held: deque[_Held] = deque()
        self._inbox: deque[Message] = deque()
        self._is_paused = False
        self._is_streaming = False
        self._streamed = trio.Event()
        self._is_blocked = False        # Behind a large transaction, perhaps its own.
        self._unblocked = trio.Event()
        self._is_ending = False
        self.end_reason = ""            # As Backoff.lost takes it.
        self._over = trio.Event()
        self._defect: Exception | None = None
        self._nursery: trio.Nursery | None = None
        self._probe_scope = trio.CancelScope()
        self._scope = trio.CancelScope()

    # Life.

    async def serve(self) -> None:
        """Talk to the client until it goes, misbehaves or is disconnected."""
        server, channel = self.server, self.channel
        server.sessions.add(self)
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(channel.serve_backlog, self._resume)
                    self._nursery = nursery
                    self._start_probe()
                    if channel.is_tls:
                        await self._read()
                    else:
                        server.hub.watch(channel.socket, self)
                        await self._over.wait()
                    nursery.cancel_scope.cancel()
        finally:
            self._is_ending = True
            self._nursery = None
            server.sessions.discard(self)
            if not channel.is_closed:
                server.hub.forget(channel.socket, self)
            self._forget_all()
            channel.close()
        if self._defect is not None:
            raise self._defect

    def set_policy(self, policy: Policy) -> None:
        """Treat the client differently from now on."""
        self.policy = policy
        self._start_probe()

    def disconnect(self, reason: str = "") -> None:
        """End the session."""
        if reason:
            _log.info(f"{self.name}: disconnecting ({reason})")
        self._is_ending = True
        self._scope.cancel()

    async def disconnect_answered(self, reason: str) -> None:
        """End the session when the reply to the request that causes it has left."""
        await trio.lowlevel.checkpoint()
        await self.channel.flush()
        self.disconnect(reason)

    async def _read(self) -> None:
        """Serve a connection whose bytes do not come as they are (TLS)."""
        channel = self.channel
        try:
            while (messages := await channel.receive()) is not None:
                self._inbox.extend(messages)
                while self._inbox:
                    if channel.n_backlog:
                        await channel.flush()
                    while self._is_streaming:
                        await self._streamed.wait()
                    if self._is_blocked:
                        await self._unblocked.wait()
                    if not self._serve_inbox():
                        return
                    await trio.lowlevel.checkpoint()
        except _LOSSES as error:
            self._note_loss(error)

    def work(self, data: bytes | int | None) -> bool:
        """Answer for a moment; is there more to do at once?  Called by the hub.

        `data` has arrived, b"" at the end, or is an errno; None: nothing was received.
        """
        if self._is_ending:
            return False
        goes_on = False
        self.channel.hold()
        try:
            goes_on = self._work_on(data)
        except _LOSSES as error:
            self._note_loss(error)
        except Exception as error:
            self._defect = error
        if not goes_on:
            self._is_ending = True
            self.server.hub.forget(self.channel.socket, self)
            self.server.hub.hurry()
            self._over.set()
            return False
        return bool(self._inbox) or self.channel.has_failed

    def _work_on(self, data: bytes | int | None) -> bool:
        """Take what has arrived and answer; does the session go on?  Raises: what `take` does."""
        channel, inbox = self.channel, self._inbox
        if inbox:
            return self._serve_inbox()
        channel.check()
        if not data:
            return data is None
        if type(data) is int:
            if data in _NOTHING_YET:
                return True
            raise OSError(data, os.strerror(data))
        channel.received_at = self.server.hub.now
        value = channel.take_one(data)
        if value is not None:
            if self._transact_quickly(value.get("method"), value.get("params"), value.get("id"),
                                      len(value)):
                return True
            return self._take(classify(value))
        inbox.extend(channel.take(data))
        return self._serve_inbox() if inbox else True

    def end_turn(self) -> None:
        """Rest until the peer has read what `work` had to say and nothing else goes on."""
        if ((self.channel.n_backlog or self._is_streaming or self._is_blocked)
                and not self._is_ending):
            hub = self.server.hub
            hub.hurry()
            hub.forget(self.channel.socket, self)
            self._is_paused = True

    def _resume(self) -> None:
        """The peer has read everything: go on with what it has asked."""
        self.send_updates()
        if (self._is_paused and not self.channel.n_backlog and not self._is_streaming
                and not self._is_blocked and not self._is_ending):
            self._is_paused = False
            self.server.hub.watch(self.channel.socket, self)

    def _serve_inbox(self) -> bool:
        """Answer requests for a moment, as long as the peer reads; does the session go on?"""
        inbox, channel = self._inbox, self.channel
        end = time.perf_counter() + _TURN
        while inbox and not (channel.n_backlog or self._is_streaming or self._is_blocked):
            request = inbox.popleft()
            if not self._transact_quickly(request.method, request.params, request.id, 3) and (
                    not self._take(request)):
                return False
            if time.perf_counter() >= end:
                break
        return True

    def _note_loss(self, error: Exception) -> None:
        """Log why the connection ends."""
        if isinstance(error, ProtocolError):
            self._log_bad_message(error)
        elif isinstance(error, OSError):
            _reconnect_log.warn(f"{self.name}: connection dropped ({error.strerror or error})")

    def _log_bad_message(self, error: ProtocolError) -> None:
        what = "error parsing stream" if error.is_syntax else "received bad JSON-RPC message"
        _rpc_log.warn(f"{self.name}: {what}: {error.reason}", _LIMIT)
        _reconnect_log.warn(f"{self.name}: connection dropped (Protocol error)")

    def _start_probe(self) -> None:
        """Probe as the policy now says."""
        self._probe_scope.cancel()
        if self.policy.probe_interval and self._nursery is not None and not self._is_ending:
            self._probe_scope = trio.CancelScope()
            self._nursery.start_soon(self._probe, self._probe_scope)

    async def _probe(self, scope: trio.CancelScope) -> None:
        """Send an echo after an interval of silence; disconnect after a second one."""
        with scope:
            await self._probe_every(self.policy.probe_interval)

    async def _probe_every(self, interval: float) -> None:
        channel = self.channel
        while True:
            asked_at = channel.received_at
            await trio.sleep_until(asked_at + interval)
            while self._is_blocked:
                await self._unblocked.wait()
                # What came meanwhile is only read now.
                await trio.sleep(1.0)
            if channel.received_at > asked_at:
                continue
            self._send(message.encode_request("echo", [], "echo"))
            sent_at = trio.current_time()
            await trio.sleep_until(sent_at + interval)
            if channel.received_at <= sent_at and not self._is_blocked:
                _reconnect_log.err(f"{self.name}: no response to inactivity probe after "
                                   f"{interval:g} seconds, disconnecting")
                self.end_reason = UNANSWERED
                self._scope.cancel()
                return

    def _forget_all(self) -> None:
        for watch in self.monitors.values():
            watch.monitor.close()
        self.monitors.clear()
        for key, (hosted, _) in self._transactions.items():
            hosted.triggers.cancel((self, key))
        self._transactions.clear()
        self.server.notify(self.server.locks.release_all(self))

    # Messages in.

    def _take(self, request: Message) -> bool:
        """Handle one message; return whether the session goes on."""
        if _rpc_log.is_dbg:
            _rpc_log.dbg(f"{self.name}: received {message.describe(request)}")
        if request.kind is message.REQUEST:
            self._answer(request)
            return True
        match request.kind:
            case message.NOTIFICATION:
                if request.method == "cancel":
                    self._cancel(request.params)
            case message.REPLY | message.ERROR:
                if request.id != "echo":
                    _log.warn(f"{self.name}: received unexpected {request.kind} message")
                    return False
        return True

    def _answer(self, request: Message) -> None:
        handler = _METHODS.get(request.method)
        try:
            if handler is None or request.method in _COND and not self.server.has_cond:
                raise RequestError("unknown method")
            result = handler(self, request)
        except RequestError as error:
            self.reply_error(request.id, error.error)
        except OvsdbError as error:
            self.reply_error(request.id, error.to_json())
        else:
            if result is not _LATER:
                self.reply(request.id, result)

    # Messages out.

    def reply(self, id: object, result: object) -> None:
        """Answer a request, after what the monitors have to tell."""
        self._reply_encoded(message.encode_reply(result, id, CODEC))

    def _reply_encoded(self, data: bytes) -> None:
        if self._held or self._is_streaming or self.monitors:
            self._deliver(_Held(data))
        else:
            self._send(data)

    def reply_error(self, id: object, error: object) -> None:
        self._deliver(_Held(message.encode_error(error, id, CODEC)))

    def _deliver(self, reply: _Held) -> None:
        """Send a reply, behind those that wait for the disk or are being sent."""
        if self._held or self._is_streaming or reply.data is None:
            self._held.append(reply)
            self._release_held()
            return
        self.flush_monitors()
        if self._is_streaming:
            self._held.append(reply)
            return
        self._send(reply.data)
        self._announce(reply.monitor)

    def _release_held(self) -> None:
        """Send the replies that nothing holds up any more."""
        held = self._held
        while held and held[0].is_ready and not self._is_streaming:
            self.flush_monitors()
            if self._is_streaming:
                return
            reply = held.popleft()
            if reply.data is not None:
                self._send(reply.data)
                self._announce(reply.monitor)
            else:
                self._start_stream(reply)

    def _start_stream(self, reply: _Held) -> None:
        self._is_streaming = True
        self._streamed = trio.Event()
        self.server.spawn(self._stream, reply)

    async def _stream(self, reply: _Held) -> None:
        """Send a reply in pieces, as fast as the peer reads; others have turns in between."""
        channel, streamed = self.channel, self._streamed
        try:
            for piece in reply.pieces:
                if channel.is_closed:
                    return
                if channel.is_broken:
                    break
                if piece:
                    channel.send(piece)
                if channel.n_backlog > _BACKLOG_MAX:
                    await channel.flush()
                else:
                    await self.server.hub.give_way()
        except Exception:
            self.disconnect("internal error")
            raise
        self._is_streaming = False
        self._announce(reply.monitor)
        self._release_held()
        streamed.set()
        if not channel.is_closed:
            self._resume()

    def _announce(self, monitor: Monitor | None) -> None:
        """The first rows of a monitor have been sent: changes may follow."""
        if monitor is not None:
            monitor.owner = self

    def notify(self, method: str, params: list) -> None:
        self._send(message.encode_notification(method, params, CODEC))

    def _send(self, data: bytes) -> None:
        if self._is_streaming:
            self._held.append(_Held(data))
            return
        if _rpc_log.is_dbg:
            _rpc_log.dbg(f"{self.name}: send {message.describe(message.decode(data))}")
        self.channel.send(data)

    def send_updates(self) -> None:
        """Send what the monitors have to tell, unless the peer is still reading the last."""
        if not self.channel.n_backlog:
            self.flush_monitors()

    def flush_monitors(self) -> None:
        if self._is_streaming:
            return
        for watch in self.monitors.values():
            if watch.monitor.has_changes:
                self._flush(watch)
                if self._is_streaming:
                    return

    def _flush(self, watch: _Watch) -> None:
        monitor = watch.monitor
        if monitor.owner is None:
            return          # Its first rows have not been sent yet.
        head = watch.head
        if monitor.kind == COND_SINCE:
            head = b'%b"%b",' % (head, _last_id(watch.hosted))
        if monitor.is_large:
            update = _Held(None, monitor.flush_pieces(head, _UPDATE_TAIL))
            if self._is_streaming:
                self._held.append(update)
            else:
                self._start_stream(update)
            return
        updates = monitor.flush(head, _UPDATE_TAIL)
        if updates is not None:
            self._send(updates)

    # Methods.

    def _find(self, request: Message) -> HostedDatabase:
        """Return the database that the first parameter names.  Raises: OvsdbError."""
        params = request.params
        if not params or not isinstance(params[0], str):
            raise syntax_error(params, f"{request.method} request params must begin with <db-name>")
        hosted = self.server.databases.get(params[0])
        if hosted is None:
            raise syntax_error(params, f"{request.method} request specifies unknown database "
                                       f"{params[0]}", "unknown database")
        if not hosted.has_schema:
            raise OvsdbError("database not available",
                             f"{request.method} request specifies database {params[0]} which is "
                             "not yet available because it has not completed joining its cluster")
        return hosted

    def _echo(self, request: Message) -> object:
        return [_as_reference_number(value) for value in request.params]

    def _list_dbs(self, _request: Message) -> object:
        return sorted(self.server.databases)

    def _get_schema(self, request: Message) -> object:
        return self._find(request).database.schema.to_json()

    def _get_server_id(self, _request: Message) -> object:
        return self.server.server_id

    def _set_db_change_aware(self, request: Message) -> object:
        params = request.params
        if len(params) != 1 or not isinstance(params[0], bool):
            raise syntax_error(params, "set_db_change_aware: true or false parameter expected")
        self.is_change_aware = params[0]
        return {}

    def _is_read_only(self, hosted: HostedDatabase) -> bool:
        return self.policy.is_read_only or self.server.is_copy(hosted.name)

    def context(self, hosted: HostedDatabase) -> Context:
        """Return on whose behalf this session's transactions on a database run."""
        return Context(self._is_read_only(hosted), self._owns_lock, self.policy.role,
                       self.channel.client_id, takes_lazy_rows=True)

    def _owns_lock(self, name: str) -> bool:
        return self.server.locks.owns(self, name)

    def _new_transaction_key(self, request: Message) -> bytes:
        key = _key(request.id)
        if key in self._transactions:
            raise syntax_error(request.params, f"{request.method}: duplicate request ID")
        return key

    def _transact(self, request: Message) -> object:
        hosted = self._find(request)
        key = self._new_transaction_key(request)
        is_forwarded = (hosted.relay is not None and not self._is_read_only(hosted)
                        and is_write(request.params[1:]))
        if is_forwarded:
            self._transactions[key] = hosted, request.id
            self.server.spawn(self._forward, key, hosted.relay, "transact", request.params)
            return _LATER
        operations, context = request.params[1:], self.context(hosted)
        if hosted.large is not None:
            if is_write(operations):
                self._wait_behind(hosted.large, request)
                return _LATER
        elif (is_large(hosted.database, operations)
              and self._begin_large(hosted, key, request.id, operations, context)):
            return _LATER
        execution = hosted.submit(operations, context, (self, key))
        if execution.is_waiting:
            self._transactions[key] = hosted, request.id
            self.server.note_waiting()
            return _LATER
        self._reply_to_transaction(request.id, hosted, execution)
        if execution.delta:
            self.server.after_commit(hosted)
        return _LATER

    def _transact_quickly(self, method: object, params: object, id: object, n_members: int
                          ) -> bool:
        """Do the transaction of a request with these members if it is of the common kind.

        Returns False, and has done nothing, if it is not, or this client may not do everything.
        """
        if (method != "transact" or n_members != 3 or type(params) is not list or not params
                or id is None or self._transactions or _rpc_log.threshold >= vlog.DBG):
            return False
        name, policy, server = params[0], self.policy, self.server
        hosted = server.databases.get(name) if type(name) is str else None
        if (hosted is None or policy.is_read_only or policy.role or server.is_copy(name)):
            return False
        outcome = hosted.submit_quickly(params, id)
        if outcome is None:
            return False
        self._finish_quickly(id, hosted, *outcome)
        return True

    def _finish_quickly(self, id: object, hosted: HostedDatabase, reply: bytes, delta: Delta,
                        is_durable: bool) -> None:
        """Do for a transaction that took the quick road what follows from it."""
        if delta and is_durable:
            held = _Held(None)
            self._held.append(held)

            def release(error: OvsdbError | None) -> None:
                held.data = reply
                if error is not None:
                    results = CODEC.loads(reply)["result"] + [error.to_json()]
                    held.data = message.encode_reply(results, id, CODEC)
                self._release_held()

            self.server.call_when_durable(hosted, release)
        elif self._held or self._is_streaming or self.monitors:
            self._deliver(_Held(reply))
        else:
            self.channel.send(reply)        # Nobody listens for debug messages, see above.
        if delta:
            self.server.after_commit(hosted)

    # Large transactions.

    def _begin_large(self, hosted: HostedDatabase, key: bytes, id: object, operations: list,
                     context: Context) -> bool:
        """Run a transaction in slices where that can be done; can it?"""
        submitted = trio.current_time()

        def finish(execution: Execution | None) -> None:
            hosted.large = None
            self._end_large(hosted, key, execution, operations, context, submitted)
            for session in (*large.waiting, self):
                session.unblock()
            self.server.note_waiting()

        large = hosted.begin_large(operations, context, finish)
        if large is None:
            return False
        self._transactions[key] = hosted, id
        self._block()
        self.server.spawn(large.run, self.server.hub)
        return True

    def _end_large(self, hosted: HostedDatabase, key: bytes, execution: Execution | None,
                   operations: list, context: Context, submitted: float) -> None:
        """Reply to a large transaction, unless the client has gone, and tell others of it."""
        if execution is None:
            self.disconnect("internal error")
        elif execution.is_waiting:
            if key in self._transactions:
                hosted.triggers.keep(operations, context, submitted, (self, key), execution)
        else:
            if key in self._transactions:
                self.finish(key, hosted, execution)
            if execution.delta:
                self.server.after_commit(hosted)

    def _wait_behind(self, large: LargeTransaction, request: Message) -> None:
        """Put a request off, and all that follow it, until a large transaction is over."""
        self._inbox.appendleft(request)
        self._block()
        large.waiting.append(self)

    def _block(self) -> None:
        self._is_blocked = True
        self._unblocked = trio.Event()

    def unblock(self) -> None:
        """Go on with requests."""
        self._is_blocked = False
        self._unblocked.set()
        self._resume()

    async def _forward(self, key: bytes, relay: Relay, method: str, params: list) -> None:
        """Let the source of a relay database run a transaction or a conversion."""
        try:
            result = await relay.forward(method, params)
        except RemoteError as error:
            result = RequestError(error.error)
        except ConnectionError:
            result = RequestError("canceled")
        entry = self._transactions.pop(key, None)
        if entry is None:
            return
        if isinstance(result, RequestError):
            self.reply_error(entry[1], result.error)
        else:
            self.reply(entry[1], result)

    def finish(self, key: bytes, hosted: HostedDatabase, execution: Execution) -> None:
        """Reply to a transaction that had to wait; `key` as in the token (session, key)."""
        _, id = self._transactions.pop(key)
        self._reply_to_transaction(id, hosted, execution)

    def _reply_to_transaction(self, id: object, hosted: HostedDatabase,
                              execution: Execution) -> None:
        if not execution.delta or not (execution.is_durable or hosted.cluster is not None):
            self._reply_with(id, execution.results, execution.has_lazy_rows)
            return
        held = _Held(None)
        self._held.append(held)

        def release(error: OvsdbError | None) -> None:
            results = execution.results
            if error is not None:
                results = results + [error.to_json()]
            if execution.has_lazy_rows or len(results) > _MANY:
                held.pieces = _reply_pieces(id, _result_pieces(results))
            else:
                held.data = message.encode_reply(results, id, CODEC)
            self._release_held()

        self.server.call_when_durable(hosted, release)

    def _reply_with(self, id: object, results: list, has_lazy_rows: bool) -> None:
        if has_lazy_rows or len(results) > _MANY:
            self._deliver(_Held(None, _reply_pieces(id, _result_pieces(results))))
        else:
            self.reply(id, results)

    def cancel_transactions(self, hosted: HostedDatabase) -> None:
        """Give up the waiting transactions on a database that goes away or changes schema.

        A session that is sent away for it gets no answer either.
        """
        for key, (theirs, id) in list(self._transactions.items()):
            if theirs is hosted and hosted.triggers.cancel((self, key)):
                del self._transactions[key]
                if self.is_change_aware:
                    self.reply_error(id, "canceled")

    def _cancel(self, params: list) -> None:
        if len(params) != 1:
            return
        key = _key(params[0])
        entry = self._transactions.get(key)
        if entry is not None and entry[0].triggers.cancel((self, key)):
            del self._transactions[key]
            self.reply_error(entry[1], "canceled")

    def _convert(self, request: Message) -> object:
        hosted = self._find(request)
        if hosted.large is not None:
            self._wait_behind(hosted.large, request)
            return _LATER
        key = self._new_transaction_key(request)
        params = request.params
        if len(params) != 2:
            raise syntax_error(params, "array expected")
        if self.policy.role:
            raise OvsdbError("permission error",
                             f'RBAC rules for client "{self.channel.client_id}" role '
                             f'"{self.policy.role}" prohibit "convert" of database {hosted.name} '
                             "(only the root role may convert databases)")
        if self._is_read_only(hosted) or hosted.name.startswith("_"):
            raise OvsdbError("not allowed", "conversion is not allowed for read-only database "
                                            f"{hosted.name}")
        schema = DatabaseSchema.from_json(params[1])
        if schema.name != hosted.name:
            raise OvsdbError("invalid parameters", f"new schema name ({schema.name}) does not "
                                                   f"match database name ({hosted.name})")
        if hosted.relay is not None:
            self._transactions[key] = hosted, request.id
            self.server.spawn(self._forward, key, hosted.relay, "convert", params)
            return _LATER
        if hosted.cluster is not None:
            self._transactions[key] = hosted, request.id
            self.server.spawn(self._convert_cluster, key, hosted, schema)
            return _LATER
        self.server.convert(hosted, schema, self)
        return {}

    async def _convert_cluster(self, key: bytes, hosted: HostedDatabase, schema: DatabaseSchema
                               ) -> None:
        """Change the schema of a clustered database, and reply once that is committed."""
        error = None
        try:
            await hosted.cluster.convert(schema, self)
        except OvsdbError as refusal:
            error = refusal
        entry = self._transactions.pop(key, None)
        if entry is None:
            return
        if error is None:
            self.reply(entry[1], {})
        else:
            self.reply_error(entry[1], error.to_json())

    # Locks.

    def _lock_name(self, request: Message) -> str:
        if self.policy.is_read_only or any(
                replication.is_backup for replication in self.server.replications):
            raise RequestError("lock and unlock methods not allowed, DB server is read only.")
        params = request.params
        if len(params) != 1 or not isinstance(params[0], str) or not is_identifier(params[0]):
            raise syntax_error(params, f"{request.method} request params must be <id>")
        return params[0]

    def _lock(self, request: Message) -> object:
        name = self._lock_name(request)
        locks = self.server.locks
        if locks.wants(self, name):
            raise syntax_error(request.params,
                               f'must issue "unlock" before new "{request.method}"')
        owned, notices = locks.acquire(self, name, request.method == "steal")
        self.server.notify(notices)
        return {"locked": owned}

    def _unlock(self, request: Message) -> object:
        name = self._lock_name(request)
        locks = self.server.locks
        if not locks.wants(self, name):
            raise syntax_error(request.params, 'unlock: "unlock" without "lock" or "steal"')
        self.server.notify(locks.release(self, name))
        return {}

    # Monitors.

    def _monitor(self, request: Message) -> object:
        kind = request.method
        hosted = self._find(request)
        params = request.params
        if len(params) != (4 if kind == COND_SINCE else 3):
            raise syntax_error(params, "invalid parameters")
        key = _key(params[1])
        if key in self.monitors:
            raise syntax_error(params[1], "duplicate monitor ID")
        if kind == COND_SINCE:
            _check_last_id(params)
        monitor = hosted.database.monitors.add(kind, params[2])
        # What earlier monitors have to tell comes before this one's first rows.
        self.flush_monitors()
        self.monitors[key] = _Watch(params[1], monitor, hosted, _update_head(kind, params[1]))
        head, tail, missed = b"", b"", None
        if kind == COND_SINCE:
            if hosted.history is not None:
                missed = hosted.history.since(params[3].lower())
            head = b'[%b,"%b",' % (b"false" if missed is None else b"true", _last_id(hosted))
            tail = b"]"
        if missed is not None:
            pieces = iter((monitor.updates_of(missed),))
        else:
            pieces = monitor.initial_pieces()
        pieces = _reply_pieces(request.id, chain((head,), pieces, (tail,)))
        if missed is None and monitor.n_initial > _MANY:
            self._deliver(_Held(None, pieces, monitor))
        else:
            self._deliver(_Held(b"".join(pieces), None, monitor))
        return _LATER

    def _monitor_cond_change(self, request: Message) -> object:
        params = request.params
        if len(params) != 3:
            raise syntax_error(params, "invalid parameters")
        old_key, new_key = _key(params[0]), _key(params[1])
        watch = self.monitors.get(old_key)
        if watch is None:
            raise syntax_error(params[0], "unknown monitor session")
        if new_key != old_key and new_key in self.monitors:
            raise syntax_error(params[1], "duplicate monitor ID")
        self.flush_monitors()
        watch.monitor.change(params[2])
        del self.monitors[old_key]
        watch = self.monitors[new_key] = watch._replace(
            id=params[1], head=_update_head(watch.monitor.kind, params[1]))
        self._flush(watch)
        return {}

    def _monitor_cancel(self, request: Message) -> object:
        params = request.params
        if len(params) != 1:
            raise RequestError("invalid parameters")
        watch = self.monitors.pop(_key(params[0]), None)
        if watch is None:
            raise RequestError("unknown monitor")
        watch.monitor.close()
        return {}

    def cancel_monitors(self, hosted: HostedDatabase) -> None:
        """End the monitors of `hosted`, and tell the client if it stays."""
        for key, watch in list(self.monitors.items()):
            if watch.hosted is hosted:
                if self.is_change_aware:
                    self._flush(watch)
                    self._deliver(_Held(message.encode_notification(
                        "monitor_canceled", [watch.id], CODEC)))
                watch.monitor.close()
                del self.monitors[key]


def send_updates(monitors: list[Monitor]) -> None:
    """Let the sessions that own `monitors` send what those have to tell.

    Mostly a session has one monitor and nothing else to send: all of these are served at once.
    """
    heads, channels, others = [], [], []
    is_dbg = _rpc_log.is_dbg
    for monitor in monitors:
        session = monitor.owner
        channel = session.channel
        if (len(session.monitors) != 1 or session._is_streaming or channel.n_backlog or is_dbg
                or monitor.kind == COND_SINCE or monitor.is_large):
            others.append(session)
            continue
        watch, = session.monitors.values()
        heads.append((monitor, watch.head))
        channels.append(channel)
    post_all(zip(channels, flush_all(heads, _UPDATE_TAIL)))
    for session in others:
        session.channel.hold()
        session.send_updates()
    release_all([session.channel for session in others])


def _reply_pieces(id: object, result: Iterator[bytes]) -> Iterator[bytes]:
    """Return the text of a reply whose result is JSON text in pieces."""
    return chain((b'{"id":%b,"result":' % CODEC.dumps(id),), result, (b',"error":null}',))


def _result_pieces(results: list) -> Iterator[bytes]:
    """Yield the text of transaction results, some of which are LazyRows, in pieces."""
    before = b"["
    plain: list = []
    for result in results:
        rows = result and result.get("rows")
        if isinstance(rows, LazyRows):
            if plain:
                yield before + CODEC.dumps(plain)[1:-1]
                before, plain = b",", []
            yield before + b'{"rows":'
            yield from rows.pieces()
            yield b"}"
            before = b","
            continue
        plain.append(result)
        if len(plain) == _PLAIN_RESULTS:
            yield before + CODEC.dumps(plain)[1:-1]
            before, plain = b",", []
    yield before + CODEC.dumps(plain)[1:-1] + b"]" if plain else b"]"


def _check_last_id(params: list) -> None:
    if not isinstance(params[3], str):
        raise syntax_error(params[3], "last-txn-id must be string")
    if not is_uuid(params[3]):
        raise syntax_error(params[3], "last-txn-id must be UUID format.")


def _last_id(hosted: HostedDatabase) -> bytes:
    """Return the id of the last transaction, as far as the database has such ids."""
    return (ZERO_UUID if hosted.history is None else hosted.history.last_id).encode()


def _key(id: object) -> bytes:
    """Return a dictionary key for an id, which may be any JSON value."""
    if type(id) is int:
        return b"%d" % id
    return json_text(id).encode("utf-8", "surrogatepass")


def _as_reference_number(value: object) -> object:
    """Return `value` with integral reals as integers, as the reference's JSON layer gives them."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    if isinstance(value, list):
        return [_as_reference_number(element) for element in value]
    if isinstance(value, dict):
        return {name: _as_reference_number(member) for name, member in value.items()}
    return value


_METHODS: dict[str, Callable[[Session, Message], object]] = {
    "echo": Session._echo,
    "list_dbs": Session._list_dbs,
    "get_schema": Session._get_schema,
    "get_server_id": Session._get_server_id,
    "set_db_change_aware": Session._set_db_change_aware,
    "transact": Session._transact,
    "convert": Session._convert,
    "lock": Session._lock,
    "steal": Session._lock,
    "unlock": Session._unlock,
    "monitor": Session._monitor,
    "monitor_cond": Session._monitor,
    "monitor_cond_since": Session._monitor,
    "monitor_cond_change": Session._monitor_cond_change,
    "monitor_cancel": Session._monitor_cancel,
}

# What ovsdb-server/disable-monitor-cond turns off.
_COND = frozenset(("monitor_cond", "monitor_cond_since", "monitor_cond_change"))
