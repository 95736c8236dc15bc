"""The sockets of one bridge's OpenFlow connections (trio edge).

The service sockets BRIDGE.mgmt and BRIDGE.snoop in the run directory, and the controllers of the
database: passive ones (ptcp:, punix:) listen, active ones (tcp:, unix:) are connected to, again and
again. Each stream has a reader, which lets the `BridgeAgent` serve what `connection.py` has cut, a
writer for its outbox, and one who looks at the clock for it. What is decided is decided by those
machines. Control task only.
"""

import os
import socket
import traceback
from collections.abc import Callable
from typing import NamedTuple

import trio

from datapath import face
from ovsdb_server import vlog
from ovsdb_server.rpc import address
from ovsdb_server.rpc.tls_files import TlsNotConfigured
from vswitchd.openflow.bridge_agent import OPENFLOW_PORT, BridgeAgent
from vswitchd.openflow.connection import RATE, Connection
from vswitchd.openflow.line import Line
from vswitchd.openflow.messages.session import BarrierRequest
from vswitchd.openflow.outbox import Outbox
from vswitchd.openflow.quick import serve as quick
from vswitchd.openflow.reception import Reception
from vswitchd.openflow.remote import Remote, kind_of
from vswitchd.openflow.session import Session
from vswitchd.openflow.sockets import (encrypt, failure_of, listen, open_stream, peer_name,
                                       reason_of)

_REPLIES = 100                  # messages that wait for a peer before more of its are served
_HANDSHAKE_TIME = 10.0          # seconds that a peer has for a TLS handshake
_LONGEST_SLEEP = 5.0            # seconds between looks at a quiet connection
_LAST_WORDS = 1.0               # seconds in which a peer that closed may read what waits for it

_connmgr = vlog.module("connmgr")
_rconn = vlog.module("rconn")
_vconn = vlog.module("vconn")
_socket_util = vlog.module("socket_util")


class Channel:
    """A stream and what waits to be written to it. `resume` is called when its peer has read all
    flow updates."""

    def __init__(self, stream: trio.abc.Stream, resume: Callable[[], None] = lambda: None) -> None:
        self.stream = stream
        self.line = Line(stream)
        self.outbox = Outbox(self._write_now)
        self.resume = resume
        self.scope = trio.CancelScope()     # ends it
        self._more = trio.lowlevel.ParkingLot()         # the writer, while nothing waits
        self._written = trio.lowlevel.ParkingLot()      # who waits until some more is written

    def _write_now(self, data: bytes) -> bytes:
        left = self.line.send_now(data)
        if left:
            self.line.is_busy = True
            self._more.unpark()
        return left

    def hang_up(self) -> None:
        """Ends it."""
        self.scope.cancel()

    def finish(self) -> None:
        """Lets it end when what waits has been written, in a second at most."""
        self.outbox.close()
        self._more.unpark()
        self.scope.deadline = trio.current_time() + _LAST_WORDS

    async def wait_for_writing(self) -> None:
        """Waits until some more has been written."""
        await self._written.park()

    async def write(self) -> None:
        """Writes what waits; a peer that left ends the connection."""
        outbox = self.outbox
        try:
            while True:
                while (data := outbox.take()) is not None:
                    await self.stream.send_all(data)
                    if outbox.note_written(data):
                        self.resume()
                    self.line.is_busy = len(outbox) > 0
                    self._written.unpark_all()
                if outbox.is_closed:
                    break
                await self._more.park()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.scope.cancel()


class Served(NamedTuple):
    """What serves a controller record: its tasks, and where it listens if it is a passive one."""

    scope: trio.CancelScope
    listener: socket.socket | None
    path: str                       # of the listening socket, "" if it has none


class Channels:
    """All streams of a bridge. `tls(is_server)` is the context of encrypted ones, or raises
    OSError; `number` makes up names for peers that have none."""

    def __init__(self, bridge: BridgeAgent, nursery: trio.Nursery, daemon, tls: Callable,
                 number: Callable[[], int]) -> None:
        self.bridge = bridge
        self.name = bridge.bridge.name
        self.nursery = nursery
        self.daemon = daemon
        self.now = bridge.host.now
        self.tls = tls
        self.number = number
        self._scope = trio.CancelScope()
        self._served: dict[Remote, Served] = {}
        self._paths: list[str] = []             # of the bridge's own sockets

    # -- sockets

    def open(self) -> None:
        """Makes and serves the bridge's own sockets: they are there when whoever asked for the
        bridge hears that it is."""
        opened = []
        for kind, run in (("mgmt", self._receive), ("snoop", self._accept_snoopers)):
            path = os.path.join(address.run_directory(), f"{self.name}.{kind}")
            try:
                opened.append((run, address.listen_unix(path)))
            except OSError as error:
                _connmgr.err(f"failed to listen on punix:{path}: {os.strerror(error.errno)}")
                continue
            self.daemon.unlink_at_exit(path)
            self._paths.append(path)
            if kind == "mgmt":
                _connmgr.info(f'{self.name}: added service controller "punix:{path}"')
        self.nursery.start_soon(self._serve, opened)

    def close(self) -> None:
        """Ends all sockets and connections."""
        for path in self._paths:
            self._remove_file(path)
        self._scope.cancel()
        for remote in list(self._served):
            self.stop(remote)

    def _remove_file(self, path: str) -> None:
        """Removes the file of a listening socket."""
        try:
            os.unlink(path)
        except OSError:
            pass                                    # the run directory is gone
        self.daemon.forget(path)

    async def _serve(self, opened: list[tuple]) -> None:
        """Serves the bridge's own sockets until it is removed."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for run, listener in opened:
                    nursery.start_soon(run, listener)

    async def _receive(self, listener) -> None:
        """Serves the management socket."""
        service = self.bridge.service
        reception = Reception(service, service.codec, lambda: self.bridge.versions, self.number,
                              self._serve_service)
        with listener:
            await reception.serve(listener)

    async def _accept_snoopers(self, listener) -> None:
        """Serves the snoop socket."""
        await self._accept(listener, True, self._serve_snooper)

    async def _accept(self, listener, is_unix: bool, run: Callable, is_tls: bool = False) -> None:
        """Accepts connections on a listening socket, each served by `run(stream, name)`."""
        sockets = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    try:
                        stream = await sockets.accept()
                    except OSError:
                        await trio.sleep(0.1)       # out of descriptors: later there may be some
                        continue
                    name = f"unix#{self.number()}" if is_unix else peer_name(stream)
                    if is_tls:
                        nursery.start_soon(self._accept_tls, stream,
                                           name.replace("tcp", "ssl", 1), run)
                    else:
                        nursery.start_soon(run, stream, name)
        finally:
            listener.close()

    async def _accept_tls(self, stream, name: str, run: Callable) -> None:
        """Makes sure of who has come, and serves it."""
        try:
            with trio.fail_after(_HANDSHAKE_TIME):
                stream = await encrypt(stream, self.tls(True), True)
        except (OSError, trio.TooSlowError) as error:
            await trio.aclose_forcefully(stream)
            reason = failure_of(error, "SSL_accept")
            if isinstance(error, TlsNotConfigured):
                _connmgr.warn(f"accept failed ({reason})", RATE)
            else:
                _rconn.warn(f"{self.name}<->{name}: connection dropped ({reason})", RATE)
            return
        await run(stream, name)

    # -- controllers

    def start(self, remote: Remote) -> None:
        """Starts to serve a controller record; a passive one listens from now on."""
        target = remote.controller.target
        try:
            parsed = address.parse_remote(target, OPENFLOW_PORT)
        except (ValueError, OSError):
            _connmgr.warn(f"{self.name}: unsupported controller \"{target}\"")
            return
        listener = None
        if parsed.is_passive:
            try:
                listener = listen(parsed)
            except OSError as error:
                _connmgr.err(f"failed to listen on {parsed.text}: {os.strerror(error.errno)}")
                return
        _connmgr.info(f'{self.name}: added {kind_of(target)} controller "{target}"')
        if listener is not None and not parsed.is_unix and not parsed.port:
            host, port = listener.getsockname()[:2]     # Nobody else knows which port it is.
            _socket_util.info(f"0:{host}: listening on port {port}")
        path = parsed.path if parsed.is_passive and parsed.is_unix else ""
        if path:
            self.daemon.unlink_at_exit(path)
        self._served[remote] = Served(trio.CancelScope(), listener, path)
        self.nursery.start_soon(self._serve_remote, remote, parsed, listener)

    def stop(self, remote: Remote) -> None:
        """Ends all that serves a controller record; somebody else may listen there at once."""
        served = self._served.pop(remote, None)
        if served is None:
            return
        served.scope.cancel()
        if served.listener is not None:
            served.listener.close()
        if served.path:
            self._remove_file(served.path)

    async def _serve_remote(self, remote: Remote, parsed: address.Remote, listener) -> None:
        """Serves one controller record until it is removed."""
        async def run(stream, name: str) -> None:
            await self._serve_stream(stream, Session(name, True, miss_send_len=0), remote)

        with self._served[remote].scope:
            if listener is None:
                await self._connect(parsed, remote)
            else:
                await self._accept(listener, parsed.is_unix, run, parsed.is_tls)

    async def _connect(self, parsed: address.Remote, remote: Remote) -> None:
        """Keeps a connection to a controller, with backoff between attempts."""
        while True:
            stream, failure = None, "Connection timed out"
            with trio.move_on_after(remote.begin(self.now())):
                try:
                    context = self.tls(False) if parsed.is_tls else None
                    stream = await open_stream(parsed)
                    if context is not None:
                        stream = await encrypt(stream, context, False)
                except OSError as error:
                    stream, failure = None, failure_of(error)
            if stream is None:
                remote.fail(failure)
            else:
                remote.end(await self._serve_stream(stream, Session(remote.name), remote))
            pause = remote.rest(self.now())
            self.bridge.host.report()
            await trio.sleep(pause)

    # -- one connection

    async def _serve_service(self, stream, session: Session, said: bytes) -> None:
        """One connection to the management socket, from when it asks for more than a guest."""
        await self._serve_stream(stream, session, None, said)

    async def _serve_snooper(self, stream, name: str) -> None:
        """One connection to the snoop socket: it hears what controllers and switch say."""
        channel = Channel(stream)
        self.bridge.snoopers.add(channel.outbox)
        _rconn.info(f"new monitor connection from {name}")
        try:
            async with stream, trio.open_nursery() as nursery:
                channel.scope = nursery.cancel_scope
                nursery.start_soon(channel.write)
                self._connection(channel, Session(name, True), None).open()
                while await stream.receive_some(65536):
                    pass
                channel.hang_up()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass                                    # the peer left
        finally:
            self.bridge.snoopers.discard(channel.outbox)

    def _connection(self, channel: Channel, session: Session, remote: Remote | None) -> Connection:
        """The machine of a channel."""
        return Connection(session, channel.outbox, channel.hang_up, self.name,
                          self.bridge.versions, self.bridge.snoopers,
                          remote.controller if remote else None, self.now())

    async def _serve_stream(self, stream, session: Session, remote: Remote | None,
                            said: bytes | None = None) -> str:
        """Speaks OpenFlow on a stream until it ends; returns why it did. `said` is what a peer has
        said that has been greeted already."""
        channel = Channel(stream, lambda: self.bridge.news.resume_monitors(connection))
        connection = self._connection(channel, session, remote)
        is_done = False
        try:
            async with stream, trio.open_nursery() as nursery:
                channel.scope = nursery.cancel_scope
                nursery.start_soon(channel.write)
                if said is None:
                    connection.open()
                if session.version:
                    self.bridge.admit(connection, remote)
                nursery.start_soon(self._keep_time, connection)
                if remote is not None and not session.is_service:
                    remote.serve(connection)
                try:
                    await self._read(channel, connection, remote, said or b"")
                except trio.BrokenResourceError as error:
                    connection.fault = reason_of(error)
                is_done = True
                channel.finish()        # what has been answered still goes out
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass                                    # the peer left
        except* Exception as errors:
            # A mistake about one peer must not end the daemon.
            _connmgr.err(f"{self.name}<->{session.name}: "
                         f"{''.join(traceback.format_exception(errors))}")
        finally:
            channel.outbox.close()
            self.bridge.forget(connection, remote)
        if is_done:
            connection.log_end()
        return connection.fault or "End of file"

    async def _keep_time(self, connection: Connection) -> None:
        """Lets a connection know of the time while that may matter."""
        while True:
            # The deadline may change meanwhile.
            await trio.sleep_until(min(connection.next_deadline(), self.now() + _LONGEST_SLEEP))
            connection.elapse(self.now())

    async def _read(self, channel: Channel, connection: Connection, remote: Remote | None,
                    data: bytes) -> None:
        """Serves messages until the stream ends, or `connection.fault` says that it has to; those
        in `data` come first."""
        session, line = connection.session, channel.line
        while data := data or await line.receive():
            connection.feed(data, self.now())
            data = b""
            while True:
                while line.is_busy and len(channel.outbox) >= _REPLIES:
                    await channel.wait_for_writing()
                if not session.version:
                    if not connection.negotiate():
                        break
                    self.bridge.admit(connection, remote)
                await self._answer_quickly(channel, connection)
                message = connection.take()
                if message is None:
                    break
                await self._answer(channel, connection, message)
            if connection.fault:
                await trio.lowlevel.checkpoint()
                return
        connection.finish()

    async def _answer_quickly(self, channel: Channel, connection: Connection) -> None:
        """Serves what needs nobody's attention: runs of flow_mods that nobody listens to."""
        bridge, session, splitter = self.bridge, connection.session, connection.splitter
        service, codec, line = bridge.service, bridge.service.codec, channel.line
        may_converse = True
        while (session.role != "secondary" and not bridge.snoopers
               and not _vconn.is_dbg and not service.needs_care):
            if may_converse and quick.can_converse(line, session, splitter):
                replies = quick.converse(codec, service, session, line, splitter)
                if replies:
                    connection.outbox.send(replies)
                bridge.admit_by(connection, "OFPT_FLOW_MOD")
                may_converse = False                    # others have their turn now
                await trio.lowlevel.checkpoint()
            before = splitter.pending
            refused, is_unknown = quick.serve(codec, service, session, splitter)
            if splitter.pending != before:
                bridge.admit_by(connection, "OFPT_FLOW_MOD")
                await trio.lowlevel.checkpoint()
            for message, error in refused:
                connection.refuse(message, error)
            if is_unknown:
                message = splitter.take()
                service.compiled = None
                await self._answer(channel, connection, message)
                quick.teach(codec, bridge.bridge.handle, message, service.compiled)
            elif splitter.pending == before:
                return

    async def _answer(self, channel: Channel, connection: Connection, message: bytes) -> None:
        """Serves one request."""
        request = self.bridge.decode(connection, message)
        if request is None:
            return
        if isinstance(request.value, BarrierRequest):
            await self._reach_version()
            while connection.session.watcher.is_paused:     # what it covers goes out first
                await channel.wait_for_writing()
        if self.bridge.answer(connection, request, message):
            await trio.lowlevel.checkpoint()

    async def _reach_version(self) -> None:
        """Waits until no packet can meet rules older than now."""
        self.bridge.host.settle()
        handle = self.bridge.bridge.datapath.handle
        version = face.version_current(handle)
        while not face.version_reached(handle, version):
            # A worker ends its burst within some tens of microseconds; nothing tells when.
            await trio.sleep(0.0002)
