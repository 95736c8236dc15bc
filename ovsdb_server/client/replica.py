"""A live copy of a database in this process: the trio edge around `core.Core` (an IDL).

    replica = Replica("unix:/run/db.sock", schema, columns)
    nursery.start_soon(replica.serve)
    feed = replica.subscribe()
    changes = await feed.next()              # first: every row; then what changed since
    replica.rows["Bridge"][uuid]["name"]     # ('br0',)
    txn = replica.transaction("ovs-vswitchd: writing status")
    txn.update("Interface", uuid, {"ofport": (1,)})
    status = await replica.commit(txn)

It reconnects with backoff, walks through several remotes separated by commas, keeps its rows while
disconnected and tells only differences afterwards.  One trio thread.
"""

import math
from collections.abc import Awaitable, Callable

import trio

from ovsdb_server import vlog
from ovsdb_server.client.core import Changes, Core, Rows
from ovsdb_server.client.transaction import Status, Transaction
from ovsdb_server.engine.pace import Paced
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import address, message
from ovsdb_server.rpc.backoff import Backoff
from ovsdb_server.rpc.stream import CODEC, Channel, ProtocolError, connect

_log = vlog.module("ovsdb_cs")
_rpc_log = vlog.module("jsonrpc")
_reconnect_log = vlog.module("reconnect")

# Silence after which a server is asked whether it lives, in seconds; Unix sockets need none.
PROBE_INTERVAL = 5.0

_PROBE_ID = "echo"


class Feed:
    """One listener's pending changes; made by `Replica.subscribe`."""

    def __init__(self, rows: Rows) -> None:
        self._pending: Changes = {name: {uuid: (None, row) for uuid, row in table.items()}
                                  for name, table in rows.items() if table}
        self._event = trio.Event()

    def _add(self, changes: Changes) -> None:
        for name, table in changes.items():
            mine = self._pending.setdefault(name, {})
            if not mine:
                mine.update(table)
                continue
            for uuid, (old, new) in table.items():
                if uuid in mine:
                    old = mine[uuid][0]
                if old is None and new is None:
                    mine.pop(uuid, None)
                else:
                    mine[uuid] = old, new
        self._event.set()

    def wake(self) -> None:
        """Let `next` return although nothing has changed (lock or connection has)."""
        self._event.set()

    async def next(self) -> Changes:
        """Wait for news; return the net {table: {uuid: (old row, new row)}} since the last call.

        The first return holds the first full copy.  It may be empty.
        """
        await self.wait()
        return self.take()

    async def wait(self) -> None:
        """Wait until there is something to `take`."""
        await self._event.wait()

    def take(self) -> Changes:
        """Return what is pending without waiting."""
        pending, self._pending = self._pending, {}
        if self._event.is_set():
            self._event = trio.Event()
        return {name: table for name, table in pending.items() if table}


class Replica:
    """A copy of the database `schema.name` at `remotes`.

    Args as of `core.Core`; `remotes`, one or more connection methods separated by commas;
    `probe_interval` in seconds for network remotes, 0 for none; `tls_context()` returns an
    ssl.SSLContext or raises OSError; `in_slices(call)` runs `call(paced)`, which takes long, while
    others have turns (None: at one go).
    """

    def __init__(self, remotes: str, schema: DatabaseSchema, columns=None, lock: str | None = None,
                 probe_interval: float = PROBE_INTERVAL, leader_only: bool = True,
                 max_backoff: float = 8.0, tls_context=None,
                 in_slices: Callable[[Callable[[Paced], bool]], Awaitable[bool]] | None = None
                 ) -> None:
        self._remotes = address.split_remotes(remotes)
        self._core = Core(schema, columns, lock, leader_only)
        self._lock_name = lock
        self._probe_interval = probe_interval
        self._probe_changed = trio.Event()
        self._max_backoff = max_backoff
        self._tls_context = tls_context
        self._in_slices = in_slices
        self._is_receiving = False
        self._feeds: list[Feed] = []
        self._channel: Channel | None = None
        self._calls: dict[object, _Call] = {}
        self._synced = trio.Event()
        self._changed = trio.Event()
        self.sequence = 0

    @property
    def rows(self) -> Rows:
        """{table: {uuid: row}}; do not change it."""
        return self._core.rows

    @property
    def is_connected(self) -> bool:
        """Is the copy up to date with a server that answers?"""
        return self._core.is_synced and self._channel is not None

    @property
    def has_lock(self) -> bool:
        """Do we own the lock (also true when none is wanted)?"""
        return self._lock_name is None or self._core.has_lock

    @property
    def is_lock_contended(self) -> bool:
        """Does somebody else own the lock?"""
        return self._lock_name is not None and self._core.is_lock_contended

    @property
    def last_id(self) -> str:
        """The id of the last transaction in the copy, all zeros if the server gives none."""
        return self._core.last_id

    @property
    def n_dumps(self) -> int:
        """How often did a server send everything, instead of what had changed?"""
        return self._core.n_dumps

    @property
    def server_schema(self) -> DatabaseSchema | None:
        """The schema of the server that was connected last."""
        return self._core.server_schema

    def subscribe(self) -> Feed:
        """Return a new listener, which first gets all rows."""
        feed = Feed(self._core.rows)
        if self._synced.is_set():
            feed.wake()
        self._feeds.append(feed)
        return feed

    async def wait_synced(self) -> None:
        """Wait until the first full copy is here."""
        await self._synced.wait()

    async def serve(self) -> None:
        """Keep the copy until cancelled."""
        backoffs = [Backoff(remote, max_delay=self._max_backoff) for remote in self._remotes]
        turn = 0
        while True:
            backoff = backoffs[turn % len(backoffs)]
            delay = await self._connect_once(backoff)
            turn += 1
            # A failed remote makes way for the next one at once; a whole round does not.
            if turn % len(backoffs) == 0 or len(backoffs) == 1:
                await trio.sleep(delay)

    async def _connect_once(self, backoff: Backoff) -> float:
        """Connect, follow until the connection ends; return how long to wait then."""
        backoff.connecting()
        try:
            remote = address.parse_remote(backoff.name)
            context = self._tls_context() if remote.is_tls and self._tls_context else None
            channel = await connect(remote, context)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return backoff.failed(reason)
        backoff.connected()
        started = trio.current_time()
        reason = await self._follow(channel, remote.is_unix)
        return backoff.lost(reason, trio.current_time() - started)

    async def _follow(self, channel: Channel, is_unix: bool) -> str:
        """Talk to a server until the connection ends; return why, "" if the server closed it."""
        self._channel = channel
        self._core.opened()
        self._send_output()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.serve_backlog)
                if not is_unix:
                    nursery.start_soon(self._probe, channel)
                reason = await self._read(channel)
                nursery.cancel_scope.cancel()
        finally:
            channel.close()
            self._channel = None
            self._core.closed()
            for call in self._calls.values():
                call.event.set()
            self._calls.clear()
            self._wake()
        return reason

    async def _read(self, channel: Channel) -> str:
        try:
            while (messages := await channel.receive()) is not None:
                before = self._core.has_lock, self._core.is_synced
                for received in messages:
                    if _rpc_log.is_dbg:
                        _rpc_log.dbg(f"{channel.name}: received {message.describe(received)}")
                    if not await self._receive(received, channel):
                        self._finish_call(received)
                self._send_output()
                self._publish()
                if (self._core.has_lock, self._core.is_synced) != before:
                    self._wake()
                if self._core.complaint:
                    _log.info(f"{channel.name}: {self._core.complaint}; trying another server"
                              if len(self._remotes) > 1 else
                              f"{channel.name}: {self._core.complaint}")
                    return ""
        except ProtocolError as error:
            _rpc_log.warn(f"{channel.name}: error parsing stream: {error.reason}")
            return "Protocol error"
        except trio.ClosedResourceError:
            return ""
        except OSError as error:
            return error.strerror or str(error)
        return ""

    async def _receive(self, received: message.Message, channel: Channel) -> bool:
        core = self._core
        if self._in_slices is None or not core.is_large(received):
            return core.receive(received)
        # Who has an answer already must find what came before it.
        self._publish()
        self._is_receiving = True
        try:
            return await self._in_slices(lambda paced: core.receive_large(received, paced))
        finally:
            self._is_receiving = False
            # What came meanwhile is only read now.
            channel.received_at = trio.current_time()

    async def _probe(self, channel: Channel) -> None:
        while True:
            interval = self._probe_interval
            asked_at = channel.received_at
            with trio.move_on_at(asked_at + interval if interval else math.inf) as silence:
                await self._probe_changed.wait()
            if not silence.cancelled_caught or channel.received_at > asked_at:
                continue
            channel.send(message.encode_request("echo", [], _PROBE_ID))
            sent_at = trio.current_time()
            await trio.sleep_until(sent_at + interval)
            if channel.received_at <= sent_at and not self._is_receiving:
                _reconnect_log.err(f"{channel.name}: no response to inactivity probe after "
                                   f"{interval:g} seconds, disconnecting")
                channel.close()
                return

    def _send_output(self) -> None:
        for request in self._core.take_output():
            if request.is_reply:
                data = message.encode_reply(request.params, request.id, CODEC)
            else:
                data = message.encode_request(request.method, request.params, request.id, CODEC)
            self._send(data)

    def _send(self, data: bytes) -> None:
        if _rpc_log.is_dbg:
            _rpc_log.dbg(f"{self._channel.name}: send {message.describe(message.decode(data))}")
        self._channel.send(data)

    def _publish(self) -> None:
        if self._is_receiving:
            return
        changes = self._core.take_changes()
        is_first = self._core.is_synced and not self._synced.is_set()
        if is_first:
            self._synced.set()
        if changes or is_first:
            self.sequence += 1
            for feed in self._feeds:
                feed._add(changes)
            event, self._changed = self._changed, trio.Event()
            event.set()

    def _wake(self) -> None:
        if self._synced.is_set():
            for feed in self._feeds:
                feed.wake()

    def _finish_call(self, reply: message.Message) -> None:
        call = self._calls.pop(reply.id, None)
        if call is not None:
            call.reply = reply
            call.event.set()

    # Requests.

    def set_probe_interval(self, seconds: float) -> None:
        """Change after how long a silence a network remote is asked whether it lives; 0, never."""
        self._probe_interval = seconds
        event, self._probe_changed = self._probe_changed, trio.Event()
        event.set()

    def force_reconnect(self) -> None:
        """Drop the connection; `serve` connects again."""
        if self._channel is not None:
            self._channel.close()

    def transaction(self, comment: str | None = None) -> Transaction:
        """Return an empty transaction on this database."""
        return Transaction(self._core, comment, self._lock_name)

    async def call(self, method: str, params: list) -> object:
        """Send any request; return its result.

        Raises: ConnectionError when there is no server or it goes away, RemoteError.
        """
        if self._channel is None:
            raise ConnectionError("not connected to the database server")
        id = self._core.new_id()
        call = self._calls[id] = _Call()
        self._send(message.encode_request(method, params, id, CODEC))
        try:
            await call.event.wait()
        finally:
            self._calls.pop(id, None)
        if call.reply is None:
            raise ConnectionError("connection to the database server broke")
        if call.reply.kind == message.ERROR:
            raise RemoteError(call.reply.error)
        # The updates that the transaction caused came before its reply.
        self._publish()
        return call.reply.result

    async def commit(self, transaction: Transaction) -> Status:
        """Send a transaction; return what became of it.  The rows show its effect on return."""
        if transaction.is_empty:
            return Status.UNCHANGED
        if not self.is_connected:
            return Status.DISCONNECTED
        if not self.has_lock:
            return Status.NOT_LOCKED
        try:
            results = await self.call("transact", transaction.params())
        except ConnectionError:
            return Status.DISCONNECTED
        except RemoteError as error:
            transaction.error = str(error)
            return Status.ERROR
        return transaction.judge(results)

    async def execute(self, build, comment: str | None = None) -> Transaction:
        """Run `build(transaction)` and commit, again whenever what it verified has changed.

        Waits for connection and lock.  Returns the transaction that went through; raises
        RemoteError when the server refuses it.
        """
        while True:
            await self._synced.wait()
            sequence = self.sequence
            transaction = self.transaction(comment)
            build(transaction)
            match await self.commit(transaction):
                case Status.SUCCESS | Status.UNCHANGED:
                    return transaction
                case Status.ERROR:
                    raise RemoteError(transaction.error)
                case Status.TRY_AGAIN if self.sequence != sequence:
                    continue
                case _:
                    with trio.move_on_after(1.0):
                        await self._changed.wait()


class RemoteError(Exception):
    """The server answered with an error; `error` is the JSON value."""

    def __init__(self, error: object) -> None:
        super().__init__(error if isinstance(error, str) else repr(error))
        self.error = error


class _Call:
    """A request of ours under way."""

    __slots__ = ("event", "reply")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.reply: message.Message | None = None


__all__ = ["Feed", "RemoteError", "Replica", "Status", "Transaction"]
