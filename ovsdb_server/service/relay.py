"""Relay databases: relay:DB:REMOTES serves a copy of another server's database, in memory.

Reads, waits and monitors are answered from the copy; a transaction that writes is forwarded
verbatim and answered with the source's reply, which comes after the updates it caused.  The copy
is a `client.replica.Replica` whose changes are committed to a database of this server.

Source: ovsdb(7), "Relay Service Model".  One task per relay database; trio thread only.
"""

import trio

from ovsdb_server import vlog
from ovsdb_server.client.replica import PROBE_INTERVAL, Feed, RemoteError, Replica
from ovsdb_server.client.core import Changes
from ovsdb_server.engine.atom import ZERO_UUID, random_uuid
from ovsdb_server.engine.database import Database, Execution
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.history import History
from ovsdb_server.engine.pace import Paced, at_once
from ovsdb_server.engine.schema import DatabaseSchema
from ovsdb_server.rpc import address, message
from ovsdb_server.rpc.backoff import Backoff
from ovsdb_server.rpc.stream import ProtocolError, connect
from ovsdb_server.service.hosted import Copied, HostedDatabase
from ovsdb_server.service.large import MANY_CHANGES
from ovsdb_server.service.slices import run_slices
from ovsdb_server.storage.memory import Memory

_log = vlog.module("relay")

_COMMENT = "relayed"

# Seconds for which a source that is lost still counts as connected.
GRACE = 30.0


def split_argument(text: str) -> tuple[str, str]:
    """Split relay:DB:REMOTES into (database, remotes).  Raises: ValueError."""
    _, _, rest = text.partition(":")
    name, colon, remotes = rest.partition(":")
    if not name or not colon or not remotes:
        raise ValueError(f"{text}: invalid syntax")
    return name, remotes


class Relay:
    """The source of a relay database; `hosted.relay` of the database that it fills.

    Args: `probe_interval`, `max_backoff` of the connection, in seconds.

    `is_connected`: is the copy up to date with a source that answers, or was it a moment ago?
    Clients look for another server when it is not, which a short break is not worth.  The
    database has no tables until the source has told its schema.
    """

    def __init__(self, name: str, remotes: str, probe_interval: float = PROBE_INTERVAL,
                 max_backoff: float = 8.0) -> None:
        self.name = name
        self.remotes = remotes
        self.settings = name, remotes, probe_interval, max_backoff
        self.is_connected = False
        self.has_schema = False
        self.hosted = HostedDatabase(Database(DatabaseSchema(name, "", "", [])), Memory())
        self.hosted.relay = self
        self._server = None
        self._replica: Replica | None = None
        self._feed: Feed | None = None
        self._last_id = ZERO_UUID
        self._n_dumps = 0
        self._connected = trio.Event()
        self._applying = trio.Lock()
        self._scope = trio.CancelScope()
        self._grace: trio.CancelScope | None = None

    @property
    def argument(self) -> str:
        """The command-line argument that names this relay."""
        return f"relay:{self.name}:{self.remotes}"

    def set_probe_interval(self, seconds: float) -> None:
        """Change after how long a silence a source is asked whether it lives; 0, never."""
        self.settings = *self.settings[:2], seconds, self.settings[3]
        if self._replica is not None:
            self._replica.set_probe_interval(seconds)

    async def forward(self, method: str, params: list) -> object:
        """Send a transaction or a conversion to the source; return its result.

        Waits for a connection.  Raises: RemoteError with the source's error, ConnectionError.
        """
        while self._replica is None or not self._replica.is_connected:
            await self._connected.wait()
        result = await self._replica.call(method, params)
        # The reply may only be passed on when the copy shows its effect.
        if self._feed is not None:
            await self._apply(self._feed)
        return result

    async def serve(self, server) -> None:
        """Keep the copy until cancelled; `server` is told of commits and changes of state."""
        self._server = server
        with self._scope:
            while True:
                schema = await self._find_schema()
                if not self.has_schema or schema != self.hosted.database.schema:
                    self.has_schema = True
                    server.change_schema(self.hosted, schema)
                await self._follow(schema)

    def close(self) -> None:
        """Stop copying."""
        self._scope.cancel()
        if self._grace is not None:
            self._grace.cancel()

    async def _find_schema(self) -> DatabaseSchema:
        """Ask the remotes in turn for the schema until one tells it."""
        remotes = [Backoff(remote) for remote in address.split_remotes(self.remotes)]
        while True:
            delay = 0.0
            for backoff in remotes:
                backoff.connecting()
                try:
                    return await self._ask_schema(backoff.name)
                except OSError as error:
                    delay = backoff.failed(error.strerror or str(error))
                except (ValueError, EOFError, RemoteError, OvsdbError, ProtocolError) as error:
                    delay = backoff.failed(str(error))
            await trio.sleep(delay)

    async def _ask_schema(self, remote: str) -> DatabaseSchema:
        parsed = address.parse_remote(remote)
        context = self._server.tls_context(False) if parsed.is_tls else None
        channel = await connect(parsed, context)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(channel.serve_backlog)
                channel.send(message.encode_request("get_schema", [self.name], "schema"))
                while (messages := await channel.receive()) is not None:
                    for reply in messages:
                        if reply.id == "schema" and reply.kind == message.ERROR:
                            raise RemoteError(reply.error)
                        if reply.id == "schema":
                            nursery.cancel_scope.cancel()
                            return DatabaseSchema.from_json(reply.result)
                nursery.cancel_scope.cancel()
                raise EOFError("connection closed by peer")
        except ExceptionGroup as group:
            # One task reads and one writes: the reader's failure is the one that counts.
            raise group.exceptions[0] from None
        finally:
            channel.close()

    async def _follow(self, schema: DatabaseSchema) -> None:
        """Copy until the source's schema differs from `schema`."""
        self._replica = replica = Replica(
            self.remotes, schema, leader_only=False, probe_interval=self.settings[2],
            max_backoff=self.settings[3],
            tls_context=lambda: self._server.tls_context(False),
            in_slices=lambda call: run_slices(call, self._server.hub))
        feed = self._feed = replica.subscribe()
        self._last_id, self._n_dumps = ZERO_UUID, 0
        self.hosted.history = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(replica.serve)
                # `forward` may take what the feed has while this waits for its turn to apply, so
                # the schema is looked at on both sides of that.
                while replica.server_schema in (None, schema):
                    await feed.wait()
                    if replica.server_schema in (None, schema):
                        await self._apply(feed)
                        self._note_connection(replica.is_connected)
                nursery.cancel_scope.cancel()
        finally:
            self._replica = self._feed = None
            if not self._scope.cancel_called:
                self._note_connection(False)

    def _note_connection(self, is_connected: bool) -> None:
        if not is_connected:
            if self.is_connected and self._grace is None:
                self._grace = trio.CancelScope()
                self._server.spawn(self._report_loss, self._grace)
            return
        event, self._connected = self._connected, trio.Event()
        event.set()
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        if not self.is_connected:
            self.is_connected = True
            self._server.note_relay(self.hosted)

    async def _report_loss(self, grace: trio.CancelScope) -> None:
        """Say that the source is lost, unless it comes back soon."""
        with grace:
            await trio.sleep(GRACE)
            self._grace = None
            self.is_connected = False
            self._server.note_relay(self.hosted)

    async def _apply(self, feed: Feed) -> None:
        """Commit here what the source has told, all of it in its order."""
        async with self._applying:
            if feed is not self._feed:
                return
            hosted, replica, changes = self.hosted, self._replica, feed.take()
            last_id, n_dumps = replica.last_id, replica.n_dumps
            if not changes and last_id == self._last_id:
                return
            hosted.storage.eid = last_id

            def finish(execution: Execution) -> None:
                self._note_history(last_id, n_dumps)
                if execution.delta:
                    self._server.after_commit(hosted)

            try:
                if sum(map(len, changes.values())) > MANY_CHANGES:
                    await hosted.replace_in_slices(lambda paced: self._rows(changes, paced),
                                                   _COMMENT, self._server.hub, finish)
                else:
                    finish(hosted.replace(self._rows(changes, at_once), _COMMENT))
            except OvsdbError as error:
                _log.err(f"{self.name}: update from the source cannot be applied: {error}")
                self._note_history(last_id, n_dumps)

    def _note_history(self, last_id: str, n_dumps: int) -> None:
        """Know transactions by the source's ids, if it has such."""
        hosted = self.hosted
        self._last_id = last_id
        if last_id == ZERO_UUID:
            hosted.history = None
        elif hosted.history is None or n_dumps != self._n_dumps:
            hosted.history = History()
            hosted.history.begin(hosted.database, last_id)
        elif hosted.history.last_id != last_id:
            hosted.history.add(last_id, {})
        self._n_dumps = n_dumps

    def _rows(self, changes: Changes, paced: Paced) -> Copied:
        """Return changes of the source as rows of ours."""
        rows: Copied = {}
        for name, table_changes in changes.items():
            columns = [column.name for column
                       in self.hosted.database.tables[name].schema.named_columns]
            rows[name] = {uuid: None if new is None else (
                (uuid,), (random_uuid(),), *[new[column] for column in columns])
                for uuid, (_, new) in paced(table_changes.items())}
        return rows
