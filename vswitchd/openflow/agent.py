"""The OpenFlow agent: sockets and connections of all bridges (trio edge).

Per bridge there are the service sockets BRIDGE.mgmt and BRIDGE.snoop in the run directory and the
controllers of the database: passive ones (ptcp:, punix:) listen, active ones (tcp:, unix:) are
connected to, again and again with backoff. Every connection has a reader, which lets `service.py`
answer, and a writer with a queue of its own. `upcall` and `event` tell all connections of a bridge
what happened without their asking.

Log lines and waits follow the reference's modules connmgr, rconn, vconn and fail_open. Control task
only.
"""

import errno
import ipaddress
import math
import os
import ssl
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from datapath import face, upcall as upcalls
from ovsdb_server import vlog
from ovsdb_server.rpc import address
from ovsdb_server.rpc.tls import describe_error
from ovsdb_server.rpc.tls_files import TlsNotConfigured
from schema.flow.seam import SEAM
from schema.openflow.messages import VERSION_NAMES
from vswitchd.config.actions import SetControllers
from vswitchd.config.desired import Controller
from vswitchd.openflow import bundles, in_band, messages, monitors, tables
from vswitchd.openflow.bundles import BundleFailed
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.framing import HEADER, Splitter, identify, name_raw, open_frame
from vswitchd.openflow.line import Line
from vswitchd.openflow.messages import session as session_messages
from vswitchd.openflow.messages.bundle import BundleAdd, BundleControl
from vswitchd.openflow.messages.flow import FlowMod, decode_flow_mod
from vswitchd.openflow.messages.group import GroupMod
from vswitchd.openflow.messages.monitor import (FlowMonitorPaused, FlowMonitorReply,
                                                FlowMonitorResumed, FlowUpdate)
from vswitchd.openflow.quick import serve as quick
from vswitchd.openflow.quick.codec import Codec
from vswitchd.openflow.service import Encoded, Service
from vswitchd.openflow.pace import Pace
from vswitchd.openflow.session import OF14, Session, describe_versions
from vswitchd.switch.bridge import Bridge

OPENFLOW_PORT, OVSDB_PORT = 6653, 6640
ALL_VERSIONS = frozenset(VERSION_NAMES)
_HANDSHAKE = frozenset(("OFPT_HELLO", "OFPT_ERROR", "OFPT_ECHO_REQUEST", "OFPT_ECHO_REPLY",
                        "OFPT_FEATURES_REQUEST", "OFPT_FEATURES_REPLY",
                        "OFPT_GET_CONFIG_REQUEST", "OFPT_GET_CONFIG_REPLY", "OFPT_SET_CONFIG"))
_QUEUE_LENGTH = 65536           # messages that a slow reader may have waiting
_RATE = vlog.RateLimit(60, 60)
_ERROR_RATE = vlog.RateLimit(10, 10)    # of error replies
_REPLIES = 100                  # messages that wait for a peer before more of its are served
_PACKET_IN_PARTS = 64           # messages of packet-ins, up to 64 kB each, that may wait
_ERROR_DATA = 0xffff - 12       # most bytes of a message that an error returns
_HANDSHAKE_TIME = 10.0          # seconds that a peer has for a TLS handshake
_LONGEST_SLEEP = 5.0            # seconds between looks at a quiet connection
_HELLO_WAIT = 1.0               # seconds that a peer has for its hello
_LAST_VERSIONLESS = 3           # hello, error and echo are understood in any version
_FLOW_MODS = ("OFPT_FLOW_MOD", "NXT_FLOW_MOD")      # whose form NXT_FLOW_MOD_TABLE_ID changes

_CHANGES = (FlowMod, GroupMod, BundleControl)      # requests whose changes of flows are their own
_EXPIRED = (SEAM["RR_IDLE_TIMEOUT"], SEAM["RR_HARD_TIMEOUT"])
_LAST_PRIORITY = 0xffff         # rules above are hidden
_SLOW_READER = 128 * 1024       # bytes of flow updates that wait before a monitor is paused
_PAUSED, _RESUMED = 5, 6        # events of flow updates
_MARKS = {_PAUSED: FlowMonitorPaused, _RESUMED: FlowMonitorResumed}

_connmgr = vlog.module("connmgr")
_rconn = vlog.module("rconn")
_vconn = vlog.module("vconn")
_vconn_stream = vlog.module("vconn_stream")
_fail_open = vlog.module("fail_open")
_stream_ssl = vlog.module("stream_ssl")
# Limits of what peers cause by bad messages: {log module: limit}.
_LIMITS: dict[str, vlog.RateLimit] = {}


def _limit(module: str) -> vlog.RateLimit:
    return _LIMITS.setdefault(module, vlog.RateLimit(60, 5))


@dataclass(eq=False, slots=True)
class Connection:
    """One live connection of a bridge."""

    session: Session
    send_queue: trio.MemorySendChannel
    line: Line
    controller: Controller | None = None
    last_heard: float = 0.0
    is_probing: bool = False
    is_incompatible: bool = False       # there was no common version
    is_admitted: bool = False           # has asked for more than a handshake
    drained: trio.Event = field(default_factory=trio.Event)     # some more has been written
    n_watched: int = 0                  # bytes of flow updates that wait for the peer
    pace: Pace | None = None            # of packet-ins, where a limit is set
    scope: trio.CancelScope | None = None       # ends it

    def follow_limits(self) -> None:
        """Paces packet-ins as the controller's record says."""
        rate, burst = self.controller.rate_limit, self.controller.burst_limit
        if not rate:
            self.pace = None
        elif self.pace is None:
            self.pace = Pace(rate, burst)
        else:
            self.pace.change(rate, burst)

    @property
    def n_queued(self) -> int:
        """How many messages wait for the peer."""
        return self.send_queue.statistics().current_buffer_used

    async def wait_for_room(self) -> None:
        """Waits until a peer that is slow to read has read most of what waits for it."""
        while self.line.is_busy and self.n_queued >= _REPLIES:
            await self.wait_for_writing()

    async def wait_for_writing(self) -> None:
        """Waits until some more has been written."""
        self.drained = trio.Event()
        await self.drained.wait()

    def send_bytes(self, data: bytes) -> None:
        """Sends or queues encoded bytes; a peer that does not read loses what does not fit."""
        left = self.line.send_now(data)
        if not left:
            return
        data = type(data)(left)
        try:
            self.send_queue.send_nowait(data)
            self.line.is_busy = True
        except (trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            return
        if isinstance(data, FlowUpdates):
            self.n_watched += len(data)


class FlowUpdates(bytes):
    """An encoded message about monitored flows: how many bytes of these wait is counted."""


@dataclass(eq=False, slots=True)
class Remote:
    """A controller record at work."""

    controller: Controller
    scope: trio.CancelScope
    state: str = "VOID"
    is_connected: bool = False
    changed_at: float = 0.0
    admitted_at: float = 0.0            # when it was last heard as a controller, or added
    connected_at: float | None = None
    disconnected_at: float | None = None
    last_error: str = ""
    role: str = "other"
    kick: trio.Event = field(default_factory=trio.Event)
    connections: set = field(default_factory=set)

    def change(self, controller: Controller) -> None:
        """Follows another record of the same target, without connecting anew."""
        self.controller = controller
        for connection in self.connections:
            connection.controller = controller
            connection.follow_limits()


class BridgeAgent:
    """OpenFlow of one bridge: its service, sockets and connections."""

    def __init__(self, agent: "Agent", bridge: Bridge):
        self.agent = agent
        self.bridge = bridge
        self.created_ms = face.now()
        self.service = Service(bridge, agent.settle, agent.codec, agent.datapath_of)
        self.scope = trio.CancelScope()
        self.connections: set[Connection] = set()
        self.datapath_id = bridge.datapath_id
        self.snoopers: set[Connection] = set()
        self.paths: list[str] = []              # of the bridge's own sockets
        self.remotes: dict[str, Remote] = {}
        self.versions = ALL_VERSIONS
        self.fail_mode = "standalone"
        self.is_failed_open = False     # the hidden rule of fail-open is there
        self.in_band: SetControllers | None = None
        self.cause: tuple[Session, int] | None = None   # whose request changes flows now
        # Whether controllers rule it, else its fail mode; None: not configured yet.
        self.ruler: tuple[bool, str] | None = None

    # -- configuration

    def set(self, action: SetControllers) -> None:
        """Follows controllers, fail mode and protocols of the database."""
        self.fail_mode = action.fail_mode
        names = {name: version for version, name in VERSION_NAMES.items()}
        versions = frozenset(names[name] for name in action.protocols if name in names)
        before, self.versions = self.versions, versions or ALL_VERSIONS
        # Controllers would meddle with flows that are being restored.
        wanted = {} if self.bridge.datapath.settings.flow_restore_wait else {
            controller.target: controller for controller in action.controllers}
        for target, remote in list(self.remotes.items()):
            if target in wanted and self.versions == before:
                remote.change(wanted[target])
            else:
                remote.scope.cancel()
                del self.remotes[target]
                _connmgr.info(f'{self.bridge.name}: removed {kind_of(target)} controller '
                              f'"{target}"')
        for target, controller in wanted.items():
            if target not in self.remotes:
                now = self.agent.now()
                remote = Remote(controller, trio.CancelScope(), changed_at=now, admitted_at=now)
                self.remotes[target] = remote
                self.start_remote(remote)
        # Whoever listens only is no ruler.
        is_ruled = any(kind_of(controller.target) == "primary"
                       for controller in action.controllers)
        ruler = (is_ruled, "" if is_ruled else self.fail_mode)
        if ruler != self.ruler:
            # Whoever takes over, a controller or the bridge itself, finds no flows.
            if self.ruler is not None:
                self.service.flush()
            if ruler == (False, "standalone"):
                self.service.add_normal()
            self.ruler = ruler
        self.in_band = action
        self.follow_remotes()
        self.follow_failure()

    def follow_remotes(self) -> None:
        """Lets controllers and managers be reached through the bridge itself."""
        if self.in_band is None:
            return
        found = [remote_address(controller.target, OPENFLOW_PORT)
                 for controller in self.in_band.controllers if controller.is_in_band]
        found += [remote_address(target, OVSDB_PORT) for target in self.in_band.managers]
        local = self.bridge.ports.get(self.bridge.name)
        remotes = [remote for remote in found if remote]
        flows = in_band.flows(remotes, local.netdev.state().mac) if local and remotes else ()
        self.service.set_hidden(frozenset(flows), self.in_band.in_band_queue)

    def reconnect(self) -> None:
        """Drops the controllers' connections; they are made again."""
        for remote in self.remotes.values():
            remote.kick.set()
            remote.kick = trio.Event()

    def follow_datapath_id(self) -> None:
        """Has all peers connect anew if the datapath id has changed: nothing else tells them."""
        if self.datapath_id == self.bridge.datapath_id:
            return
        self.datapath_id = self.bridge.datapath_id
        vlog.module("bridge").info(f"bridge {self.bridge.name}: using datapath ID "
                                   f"{self.datapath_id:016x}")
        vlog.module("ofproto").info(f"datapath ID changed to {self.datapath_id:016x}")
        self.reconnect()
        for connection in list(self.connections):
            if connection.session.is_service and connection.scope is not None:
                _rconn.info(f"{self.bridge.name}<->{connection.session.name}: disconnecting")
                connection.scope.cancel()

    # -- sockets

    def open_sockets(self) -> list[tuple]:
        """Makes the bridge's own sockets, as (listener, path, what serves a connection): they are
        there when whoever asked for the bridge hears that it is."""
        name, opened = self.bridge.name, []
        for kind, run in (("mgmt", self.serve_service), ("snoop", self.serve_snooper)):
            path = os.path.join(address.run_directory(), f"{name}.{kind}")
            try:
                opened.append((address.listen_unix(path), path, run))
            except OSError as error:
                _connmgr.err(f"failed to listen on punix:{path}: {os.strerror(error.errno)}")
                continue
            self.agent.daemon.unlink_at_exit(path)
            self.paths.append(path)
            if kind == "mgmt":
                _connmgr.info(f'{name}: added service controller "punix:{path}"')
        return opened

    async def serve(self, opened: list[tuple]) -> None:
        """Serves the bridge's own sockets until it is removed."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                for row in opened:
                    nursery.start_soon(self.accept, *row)

    async def accept(self, listener, path: str, run: Callable, is_tls: bool = False) -> None:
        """Accepts connections on a listening socket, each served by `run(stream, name)`."""
        sockets = trio.SocketListener(trio.socket.from_stdlib_socket(listener))
        inode = inode_of(path)
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    try:
                        stream = await sockets.accept()
                    except OSError:
                        await trio.sleep(0.1)       # out of descriptors: later there may be some
                        continue
                    name = f"unix#{self.agent.number()}" if path else peer_name(stream)
                    if is_tls:
                        nursery.start_soon(self.accept_tls, stream, name.replace("tcp", "ssl", 1),
                                           run)
                    else:
                        nursery.start_soon(run, stream, name)
        finally:
            listener.close()
            # The path may be another's by now: of a bridge of the same name.
            if inode is not None and inode_of(path) == inode:
                self.remove_socket(path)

    async def accept_tls(self, stream, name: str, run: Callable) -> None:
        """Makes sure of who has come, and serves it."""
        try:
            with trio.fail_after(_HANDSHAKE_TIME):
                stream = await encrypt(stream, self.agent.tls(True), True)
        except (OSError, trio.TooSlowError) as error:
            await trio.aclose_forcefully(stream)
            reason = failure_of(error, "SSL_accept")
            if isinstance(error, TlsNotConfigured):
                _connmgr.warn(f"accept failed ({reason})", _RATE)
            else:
                _rconn.warn(f"{self.bridge.name}<->{name}: connection dropped ({reason})", _RATE)
            return
        await run(stream, name)

    def remove_socket(self, path: str) -> None:
        """Removes the file of a listening socket."""
        try:
            os.unlink(path)
        except OSError:
            pass                                    # the run directory is gone
        self.agent.daemon.forget(path)

    async def serve_service(self, stream, name: str) -> None:
        """One connection to the management socket."""
        await self.serve_stream(stream, Session(name, True, miss_send_len=0), None)

    async def serve_snooper(self, stream, name: str) -> None:
        """One connection to the snoop socket: it hears what controllers and switch say."""
        session = Session(name, True)
        send, receive = trio.open_memory_channel(_QUEUE_LENGTH)
        connection = Connection(session, send, Line(stream))
        self.snoopers.add(connection)
        _rconn.info(f"new monitor connection from {name}")
        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(write_all, stream, receive, connection,
                                   nursery.cancel_scope)
                hello = session_messages.Hello(self.versions)
                connection.send_bytes(messages.encode(hello, max(self.versions), session.xid()))
                while await stream.receive_some(65536):
                    pass
                nursery.cancel_scope.cancel()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass                                    # the peer left
        finally:
            self.snoopers.discard(connection)

    # -- controllers

    def start_remote(self, remote: Remote) -> None:
        """Starts to serve a controller record; a passive one listens from now on."""
        target = remote.controller.target
        try:
            parsed = address.parse_remote(target, OPENFLOW_PORT)
        except (ValueError, OSError):
            _connmgr.warn(f"{self.bridge.name}: unsupported controller \"{target}\"")
            return
        listener = None
        if parsed.is_passive:
            try:
                listener = (address.listen_unix(parsed.path) if parsed.is_unix
                            else address.listen_tcp(parsed.host, parsed.port))
            except OSError as error:
                _connmgr.err(f"failed to listen on {parsed.text}: {os.strerror(error.errno)}")
                return
        _connmgr.info(f'{self.bridge.name}: added {kind_of(target)} controller "{target}"')
        if listener is not None and not parsed.is_unix and not parsed.port:
            host, port = listener.getsockname()[:2]     # Nobody else knows which port it is.
            vlog.module("socket_util").info(f"0:{host}: listening on port {port}")
        self.agent.nursery.start_soon(self.serve_remote, remote, parsed, listener)

    async def serve_remote(self, remote: Remote, parsed: address.Remote, listener) -> None:
        """Serves one controller record until it is removed."""
        async def run(stream, name: str) -> None:
            await self.serve_stream(stream, Session(name, True, miss_send_len=0), remote)

        with remote.scope:
            if listener is None:
                await self.connect(parsed, remote)
            else:
                await self.accept(listener, parsed.path if parsed.is_unix else "", run,
                                  parsed.is_tls)

    async def connect(self, parsed: address.Remote, remote: Remote) -> None:
        """Keeps a connection to a controller, with backoff between attempts."""
        name = f"{self.bridge.name}<->{parsed.text}"
        limit = max(1.0, remote.controller.max_backoff)
        backoff = 0.0
        while True:
            settled_at = self.agent.now() + backoff     # a connection that lasts so long is good
            self.move(remote, "CONNECTING")
            if backoff < limit:
                _rconn.info(f"{name}: connecting...", _RATE)
            stream, failure = None, "Connection timed out"
            with trio.move_on_after(max(1.0, backoff)):
                try:
                    context = self.agent.tls(False) if parsed.is_tls else None
                    stream = await open_stream(parsed)
                    if context is not None:
                        stream = await encrypt(stream, context, False)
                except OSError as error:
                    stream, failure = None, failure_of(error)
            if stream is None:
                _rconn.warn(f"{name}: connection failed ({failure})", _RATE)
                remote.last_error, settled_at = failure, math.inf
            else:
                remote.last_error = await self.serve_stream(stream, Session(name), remote)
            if self.agent.now() >= settled_at:
                backoff = 1.0
            elif backoff < limit / 2:
                backoff = max(1.0, 2 * backoff)
                _rconn.info(f"{name}: waiting {backoff:.0f} seconds before reconnect", _RATE)
            else:
                if backoff < limit:
                    _rconn.info(f"{name}: continuing to retry connections in the background but "
                                f"suppressing further logging", _RATE)
                backoff = limit
            self.move(remote, "BACKOFF")
            self.agent.report()
            await trio.sleep(backoff)

    def move(self, remote: Remote, state: str) -> None:
        """Notes a change of a remote's state."""
        remote.state = state
        remote.changed_at = self.agent.now()

    # -- one connection

    async def serve_stream(self, stream, session: Session, remote: Remote | None) -> str:
        """Speaks OpenFlow on a stream until it ends; returns why it did."""
        send, receive = trio.open_memory_channel(_QUEUE_LENGTH)
        connection = Connection(session, send, Line(stream),
                                remote.controller if remote else None, self.agent.now())
        reason, is_done = "", False
        try:
            async with stream, trio.open_nursery() as nursery:
                connection.scope = nursery.cancel_scope
                nursery.start_soon(write_all, stream, receive, connection,
                                   nursery.cancel_scope, self.resume_monitors)
                hello = session_messages.Hello(self.versions)
                self.transmit(connection, messages.encode(hello, max(self.versions),
                                                          session.xid()))
                nursery.start_soon(self.await_hello, connection, nursery.cancel_scope)
                if not session.is_service:
                    nursery.start_soon(self.probe, connection, nursery.cancel_scope)
                    if remote:
                        nursery.start_soon(self.wait_kick, remote, nursery.cancel_scope)
                try:
                    reason = await self.read(connection, remote)
                except trio.BrokenResourceError as error:
                    reason = reason_of(error)
                is_done = True
                # What has been answered still goes out before the stream is closed: the writer
                # ends when its queue is empty.
                send.close()
                nursery.cancel_scope.deadline = trio.current_time() + 1
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass                                    # the peer left
        except* Exception as errors:
            # A mistake about one peer must not end the daemon.
            _connmgr.err(f"{self.bridge.name}<->{session.name}: "
                         f"{''.join(traceback.format_exception(errors))}")
        finally:
            self.forget(connection, remote)
        if is_done:
            self.log_end(connection, reason)
        return reason or "End of file"

    def log_end(self, connection: Connection, reason: str) -> None:
        """Tells why the peer ended a connection, or why we had to."""
        session = connection.session
        name = f"{self.bridge.name}<->{session.name}" if session.is_service else session.name
        if reason and not (session.version or session.is_service or connection.is_incompatible):
            _rconn.info(f"{name}: connection failed ({reason})", _RATE)
        elif reason:
            _rconn.warn(f"{name}: connection dropped ({reason})", _RATE)
        elif not session.version:
            if not session.is_service:
                _rconn.info(f"{name}: connection failed (End of file)", _RATE)
        elif not session.is_service:
            _rconn.info(f"{name}: connection closed by peer", _RATE)

    async def await_hello(self, connection: Connection, scope: trio.CancelScope) -> None:
        """Ends a connection whose peer does not say hello in time."""
        await trio.sleep(_HELLO_WAIT)
        if not connection.session.version:
            name = connection.session.name
            if connection.session.is_service:
                name = f"{self.bridge.name}<->{name}"
            _rconn.info(f"{name}: connection timed out", _RATE)
            scope.cancel()

    async def wait_kick(self, remote: Remote, scope: trio.CancelScope) -> None:
        """Ends a connection when bridge/reconnect asks for it."""
        await remote.kick.wait()
        _rconn.info(f"{self.bridge.name}<->{remote.controller.target}: disconnecting")
        scope.cancel()

    def admit(self, connection: Connection, remote: Remote | None) -> None:
        """Takes a connection in whose version is known."""
        self.connections.add(connection)
        connection.session.watcher = monitors.Watcher()
        if connection.controller is not None:
            connection.follow_limits()
            if not connection.controller.enable_async:
                connection.session.mute()
        self.service.sessions.append(connection.session)
        self.service.follow_misses()
        if remote is not None:
            remote.connections.add(connection)
            remote.is_connected = True
            remote.connected_at = self.agent.now()
            self.move(remote, "ACTIVE")
            self.agent.report()
            if not connection.session.is_service:
                _rconn.info(f"{connection.session.name}: connected")
        self.follow_failure()

    def admit_by(self, connection: Connection, kind: str) -> None:
        """Notes that a controller takes us for its switch: it asks for more than a handshake."""
        connection.is_admitted = connection.is_admitted or kind not in _HANDSHAKE
        if connection.is_admitted:
            for remote in self.remotes.values():
                if connection in remote.connections:
                    remote.admitted_at = self.agent.now()
            if self.is_failed_open:
                self.follow_failure()

    def forget(self, connection: Connection, remote: Remote | None) -> None:
        """Lets a connection go."""
        self.connections.discard(connection)
        if connection.session in self.service.sessions:
            self.service.sessions.remove(connection.session)
            self.service.follow_misses()
            self.service.follow_watchers()
        connection.send_queue.close()
        if remote is not None and connection in remote.connections:
            remote.connections.discard(connection)
            remote.is_connected = bool(remote.connections)
            remote.disconnected_at = self.agent.now()
            self.agent.report()
        self.follow_failure()

    async def read(self, connection: Connection, remote: Remote | None) -> str:
        """Answers messages until the stream ends; returns a reason other than the usual one."""
        splitter, session = Splitter(), connection.session
        while data := await connection.line.receive():
            connection.last_heard = self.agent.now()
            connection.is_probing = False
            splitter.feed(data)
            try:
                while True:
                    await connection.wait_for_room()
                    await self.answer_quickly(connection, splitter)
                    message = splitter.take()
                    if message is None:
                        break
                    if not session.version:
                        if not self.negotiate(connection, message):
                            await trio.lowlevel.checkpoint()
                            return "Protocol error"
                        self.admit(connection, remote)
                    elif message[0] != session.version and message[1] > _LAST_VERSIONLESS:
                        _vconn.err(f"{session.peer}: received OpenFlow version "
                                   f"0x{message[0]:02x} != expected {session.version:02x}",
                                   _limit("vconn"))
                        self.answer_error(connection, message, OpenFlowError("OFPBRC_BAD_VERSION"))
                    else:
                        await self.answer(connection, message)
            except OpenFlowError as error:
                _vconn_stream.err(error.reason, _limit("vconn_stream"))
                return "Protocol error"
        if splitter.pending:
            _vconn_stream.err("connection dropped mid-packet", _limit("vconn_stream"))
            return "Protocol error"
        return ""

    def negotiate(self, connection: Connection, message: bytes) -> bool:
        """Agrees on a version by the peer's first message."""
        session = connection.session
        try:
            value = messages.decode(message).value
        except OpenFlowError as error:
            value = None
            self.complain(error)
        if not isinstance(value, session_messages.Hello) or not value.versions:
            _vconn.warn(f"{session.peer}: received message while expecting hello: "
                        f"{self.agent.describe(message)}", _limit("vconn"))
            return False
        common = self.versions & value.versions
        if not common:
            ours, theirs = map(describe_versions, (self.versions, value.versions))
            _vconn.warn(f"{session.peer}: version negotiation failed (we support {ours}, "
                        f"peer supports {theirs})", _limit("vconn"))
            text = f"We support {ours}, you support {theirs}, no common versions."
            version = max(value.versions)
            if version not in ALL_VERSIONS:
                vlog.module("ofp_errors").err(f"cannot encode error for unknown OpenFlow version "
                                              f"0x{version:02x}", _limit("ofp_errors"))
                version = min(ALL_VERSIONS)
            error = session_messages.Error("OFPHFC_INCOMPATIBLE", text.encode())
            self.transmit(connection, messages.encode(error, version, 0))
            connection.is_incompatible = True
            return False
        session.agree(max(common))
        return True

    def transmit(self, connection: Connection, data: bytes) -> None:
        """Queues bytes for a peer, and for those who listen in."""
        connection.send_bytes(data)
        if connection.session.version and not connection.session.is_service:
            self.overhear(data)
        if _vconn.is_dbg:
            _vconn.dbg(f"{connection.session.peer}: sent (Success): {self.agent.describe(data)}")

    def overhear(self, data: bytes) -> None:
        """Passes a message of a controller's connection on to the snoopers."""
        for snooper in self.snoopers:
            snooper.send_bytes(data)

    async def answer_quickly(self, connection: Connection, splitter: Splitter) -> None:
        """Serves what needs nobody's attention: runs of flow_mods that nobody listens to."""
        session, codec = connection.session, self.agent.codec
        may_converse = True
        while (session.version and session.role != "secondary" and not self.snoopers
               and not _vconn.is_dbg and not self.service.needs_care):
            if may_converse and quick.can_converse(connection.line, splitter):
                replies = quick.converse(codec, self.service, session, connection.line, splitter)
                if replies:
                    connection.send_bytes(replies)
                self.admit_by(connection, "OFPT_FLOW_MOD")
                may_converse = False                    # others have their turn now
                await trio.lowlevel.checkpoint()
            before = splitter.pending
            refused, is_unknown = quick.serve(codec, self.service, session, splitter)
            if splitter.pending != before:
                self.admit_by(connection, "OFPT_FLOW_MOD")
                await trio.lowlevel.checkpoint()
            for message, error in refused:
                self.answer_error(connection, message, error)
            if is_unknown:
                message = splitter.take()
                self.service.compiled = None
                await self.answer(connection, message)
                quick.teach(codec, self.bridge.handle, message, self.service.compiled)
            elif splitter.pending == before:
                return

    async def answer(self, connection: Connection, message: bytes) -> None:
        """Serves one request."""
        session = connection.session
        if not session.is_service:
            self.overhear(message)
        if _vconn.is_dbg:
            _vconn.dbg(f"{session.peer}: received: {self.agent.describe(message)}")
        try:
            frame = open_frame(message)
            self.admit_by(connection, frame.raw.kind)
            self.service.check_kind(session, frame.raw.kind)
            if session.table_in_command and frame.raw.kind in _FLOW_MODS:
                decoded = messages.Message(frame.raw, frame.version, frame.xid,
                                           decode_flow_mod(frame, True))
            else:
                decoded = messages.decode_frame(frame)
            if isinstance(decoded.value, session_messages.BarrierRequest):
                await self.agent.reach_version(self.bridge)
                while session.watcher.is_paused:        # what the reply covers goes out first
                    await connection.wait_for_writing()
            self.service.forwards.clear()
            replies = self.carry_out(session, decoded)
            if isinstance(decoded.value, (BundleAdd, BundleControl)):
                bundles.note(session.bundles, decoded.value.bundle, message)
        except OpenFlowError as error:
            self.answer_error(connection, message, error)
            return
        except BundleFailed as failure:
            # The error is about the message that brought it into the bundle.
            xid = HEADER.unpack_from(failure.message)[3]
            brought = BundleAdd(decoded.value.bundle, decoded.value.flags, failure.message)
            self.answer_error(connection, messages.encode(brought, session.version, xid),
                              failure.error)
            self.answer_error(connection, message, OpenFlowError("OFPBFC_MSG_FAILED"))
            return
        except Exception as error:
            # A mistake in one message must not end the daemon.
            _connmgr.err(f"{self.bridge.name}<->{session.name}: "
                         f"{''.join(traceback.format_exception(error))}")
            self.answer_error(connection, message, OpenFlowError("OFPBRC_EPERM"))
            return
        for value in replies:
            # What any version understands is answered in the version of the question.
            parts = (value.with_xid(decoded.xid) if isinstance(value, Encoded)
                     else messages.encode_parts(value, decoded.version, decoded.xid))
            for part in parts:
                self.transmit(connection, part)
        for change in self.service.forwards:
            for other in list(self.connections):
                value = (self.service.forwarded(other.session, change)
                         if other.session is not session else None)
                if value is not None:
                    self.tell(other, value)
        self.service.forwards.clear()
        if isinstance(decoded.value, session_messages.RoleRequest):
            for other in list(self.connections):
                status = self.service.role_status(other.session)
                if status is not None:
                    self.tell(other, status)
            self.agent.report()
        if not self.bridge.is_published:
            self.agent.publish()
            self.ports_changed()
            self.agent.report()
        await trio.lowlevel.checkpoint()

    def carry_out(self, session: Session, decoded: messages.Message) -> list:
        """The replies to a request; those who monitor flows are told what it changed, first."""
        if not isinstance(decoded.value, _CHANGES):
            return self.service.handle(session, decoded)
        if not self.service.is_watched:
            replies = self.service.handle(session, decoded)
            self.tables_changed()
            return replies
        self.agent.settle()
        self.cause = (session, decoded.xid)
        try:
            replies = self.service.handle(session, decoded)
            self.agent.dispatch(upcalls.Queue.EVENT)
        finally:
            self.cause = None
        self.tables_changed()
        return replies

    def answer_error(self, connection: Connection, message: bytes, error: OpenFlowError) -> None:
        """Answers a message that cannot be served, in the message's own version."""
        self.complain(error)
        reply = session_messages.Error(error.name, message[:_ERROR_DATA])
        version = message[0] if message[0] in ALL_VERSIONS else connection.session.version
        self.transmit(connection, messages.encode(reply, version, HEADER.unpack_from(message)[3]))
        try:
            what = name_raw(identify(message)[0])
        except OpenFlowError:
            what = "invalid"
        _connmgr.info(f"{self.bridge.name}<->{connection.session.name}: sending {error.name} "
                      f"error reply to {what} message", _ERROR_RATE)

    def complain(self, error: OpenFlowError) -> None:
        """Logs what is wrong with a message. A bad match is worth a debug line only, unless the
        error says itself that it is more."""
        for module, text in error.log or ((error.module, error.reason),):
            if not text:
                continue
            log = vlog.module(module)
            if module == "nx_match" and not error.log:
                log.dbg(text)
            else:
                log.warn(f"{self.bridge.name}: {text}" if module == "ofproto" else text,
                         _limit(module))

    async def probe(self, connection: Connection, scope: trio.CancelScope) -> None:
        """Sends an echo request after silence; ends the connection if it stays silent."""
        while True:
            interval = (connection.controller.inactivity_probe if connection.controller else 0) or (
                math.inf)
            silence = self.agent.now() - connection.last_heard
            if silence >= interval:
                if connection.is_probing:
                    _rconn.err(f"{connection.session.name}: no response to inactivity probe after "
                               f"{interval:.0f} seconds, disconnecting")
                    scope.cancel()
                    return
                connection.is_probing = True
                connection.last_heard = self.agent.now()
                if connection.session.version:
                    echo = session_messages.EchoRequest()
                    self.transmit(connection, messages.encode(echo, connection.session.version,
                                                              connection.session.xid()))
                silence = 0.0
            # The interval may change meanwhile.
            await trio.sleep(min(interval - silence, _LONGEST_SLEEP))

    # -- what is told without asking

    def tell(self, connection: Connection, value) -> None:
        """Sends an asynchronous message: one that answers nothing has transaction id 0."""
        for part in messages.encode_parts(value, connection.session.version, 0):
            self.transmit(connection, part)

    def packet_ins(self, records: bytes, at: int) -> tuple[int, int]:
        """Passes the common frames on that begin at `at`; returns how many, and where the next
        record begins."""
        codec, bridge = self.agent.codec, self.bridge.handle
        n, end = quick.count_packet_ins(codec, bridge, records, at)
        room = min(_PACKET_IN_PARTS, self.bridge.desired.packet_in_queue)
        for connection in list(self.connections):
            if connection.pace is None and not _vconn.is_dbg and quick.can_hear(connection.session):
                start = at
            else:
                start = end
                self.packets_in(connection, records, at, end)
            while start < end and connection.n_queued < room:
                run, data = quick.tell(codec, bridge, connection.session, records, start, end)
                if data:
                    self.transmit(connection, data)
                elif not run.n:
                    break
                start += run.used
        return n, end

    def packets_in(self, connection: Connection, records: bytes, at: int, end: int) -> None:
        """Passes frames on to one who hears of them in a form of its own, or not too many."""
        while at < end:
            upcall, at = upcalls.unpack(records, at)
            self.packet_in(connection, upcall)

    def packet_in(self, connection: Connection, upcall: upcalls.Upcall) -> None:
        """Passes a packet-in on to one connection, if it wants it."""
        if connection.n_queued >= self.bridge.desired.packet_in_queue:
            return
        value = self.service.packet_in(connection.session, upcall)
        if value is None:
            return
        if connection.pace is None:
            self.tell(connection, value)
            return
        for due in connection.pace.admit(value, self.agent.now()):
            self.tell(connection, due)

    def release_packets(self) -> None:
        """Sends packet-ins that a limit of their rate has held back."""
        for connection in list(self.connections):
            if connection.pace is not None and connection.pace.waiting:
                for due in connection.pace.release(self.agent.now()):
                    self.tell(connection, due)

    def rule_changed(self, event: int, upcall: upcalls.Upcall, rule: face.Rule) -> None:
        """Notes a change of a rule for those who monitor flows."""
        if not self.service.is_watched or rule.priority > _LAST_PRIORITY:
            return
        old_source = face.unpack_rule(upcall.frame).source if upcall.frame else None
        owner, xid = self.cause or (None, None)
        for session in self.service.sessions:
            if session.watcher.monitors:
                session.watcher.report(event, rule, upcall.reason if event == monitors.DELETED
                                       else 0, old_source, xid if session is owner else None)

    def flush_monitors(self) -> None:
        """Sends what has been noted for those who monitor flows."""
        for connection in list(self.connections):
            watcher = connection.session.watcher
            if not watcher.updates:
                continue
            self.tell_updates(connection, watcher.take())
            if not watcher.is_paused and connection.n_watched > _SLOW_READER:
                watcher.is_paused = True
                self.tell_updates(connection, (), _PAUSED)

    def resume_monitors(self, connection: Connection) -> None:
        """Goes on telling one who has read all it was told."""
        watcher = connection.session.watcher
        if watcher.is_paused:
            self.tell_updates(connection, watcher.resume(), _RESUMED)

    def tell_updates(self, connection: Connection, updates: tuple, mark: int | None = None) -> None:
        """Sends flow updates, then the mark of a pause or of its end."""
        values = [FlowMonitorReply(updates)] if updates else []
        if mark is not None:
            values.append(FlowMonitorReply((FlowUpdate(mark),))
                          if connection.session.version >= OF14 else _MARKS[mark]())
        for value in values:
            for part in messages.encode_parts(value, connection.session.version, 0):
                self.transmit(connection, FlowUpdates(part))

    def rule_removed(self, rule: face.Rule, reason: int, when_ms: int) -> None:
        """Tells that a rule is gone."""
        if not rule.flags & SEAM["RF_SEND_FLOW_REM"]:
            return
        for connection in list(self.connections):
            value = self.service.flow_removed(connection.session, rule, reason, when_ms)
            if value is not None:
                self.tell(connection, value)

    def ports_changed(self) -> None:
        """Tells which ports came, went or changed."""
        self.follow_datapath_id()
        self.follow_remotes()
        for change in list(self.service.port_changes()):
            for connection in list(self.connections):
                if change.is_for(connection.session):
                    self.tell(connection, change.value)

    def tables_changed(self) -> None:
        """Tells which tables became full, or have room again."""
        for value in self.service.table_changes():
            for connection in list(self.connections):
                session = connection.session
                if session.version >= OF14 and session.wants("table_status", value.reason):
                    self.tell(connection, value)

    def follow_tables(self) -> None:
        """Follows the Flow_Table rows of the bridge."""
        self.service.tables.configure(self.bridge.desired.flow_tables)

    def expire_bundles(self) -> None:
        """Discards bundles that were left, and tells so."""
        patience_ms = self.bridge.datapath.settings.bundle_idle_ms
        for connection in self.connections:
            if connection.session.bundles:
                for opener in bundles.expire(connection.session.bundles, patience_ms):
                    self.answer_error(connection, opener, OpenFlowError("OFPBFC_TIMEOUT"))

    # -- failing

    def follow_failure(self) -> None:
        """Switches on its own where no controller is connected and fail_mode says so."""
        primaries = [remote for remote in self.remotes.values()
                     if kind_of(remote.controller.target) == "primary"]
        if not primaries or self.fail_mode != "standalone":
            if self.is_failed_open:
                self.is_failed_open = False
                self.service.set_fail_open(False)
            return
        now = self.agent.now()
        silence = min(now - remote.admitted_at for remote in primaries)
        is_up = any(connection.is_admitted or now - (remote.connected_at or now) >= 30
                    for remote in primaries for connection in remote.connections)
        patience = max(3 * remote.controller.inactivity_probe for remote in primaries)
        if self.is_failed_open and is_up:
            self.is_failed_open = False
            _fail_open.warn("No longer in fail-open mode")
            self.service.set_fail_open(False)
        elif not self.is_failed_open and not is_up and silence >= patience:
            self.is_failed_open = True
            _fail_open.warn(
                "Could not connect to controller (or switch failed controller's post-connection "
                f"admission control policy) for {silence:.0f} seconds, failing open")
            self.service.flush()
            self.service.set_fail_open(True)

    def close(self) -> None:
        """Ends all sockets and connections."""
        self.service.meters.release()
        self.service.options.remove(self.service.options.rows)
        for path in self.paths:
            self.remove_socket(path)
        self.scope.cancel()
        for remote in self.remotes.values():
            remote.scope.cancel()


def peer_name(stream: trio.SocketStream) -> str:
    """A TCP peer as logged."""
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:
        return "tcp:?"
    return f"tcp:[{host}]:{port}" if ":" in host else f"tcp:{host}:{port}"


def inode_of(path: str) -> int | None:
    """Which file a path names, None for none."""
    try:
        return os.stat(path).st_ino if path else None
    except OSError:
        return None


def reason_of(error: BaseException) -> str:
    """Why a connection could not be made, as the system says it; trio wraps the first reason."""
    while True:
        if isinstance(error, OSError) and error.errno:
            return os.strerror(error.errno)
        inner = (error.exceptions[0] if isinstance(error, BaseExceptionGroup)
                 else error.__cause__)
        if inner is None:
            return str(error)
        error = inner


def failure_of(error: BaseException, action: str = "SSL_connect") -> str:
    """Why a connection is none; what has gone wrong under TLS is logged here."""
    if isinstance(error, trio.TooSlowError):
        return os.strerror(errno.ETIMEDOUT)
    if isinstance(error, TlsNotConfigured):
        _stream_ssl.err(str(error), _limit("stream_ssl"))
        return error.strerror
    if isinstance(error, ssl.SSLError):
        _stream_ssl.warn(f"{action}: {describe_error(error)}", _limit("stream_ssl"))
        return os.strerror(errno.EPROTO)
    return reason_of(error)


async def encrypt(stream, context: ssl.SSLContext, is_server: bool) -> trio.SSLStream:
    """A TLS stream on a TCP stream, after the handshake. Raises OSError."""
    learn = getattr(context, "learn", None)
    wrapped = trio.SSLStream(stream, context, server_side=is_server, https_compatible=True,
                             server_hostname=None if is_server
                             else getattr(context, "server_name", None))
    try:
        await wrapped.do_handshake()
        if learn is not None and not is_server:
            learn(wrapped._ssl_object)      # who answered is trusted from the next time on
            raise OSError(errno.EPROTO, os.strerror(errno.EPROTO))
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error.__cause__, ssl.SSLError):
            raise error.__cause__ from None
        raise OSError(errno.EPROTO, os.strerror(errno.EPROTO)) from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return wrapped


def remote_address(target: str, default_port: int) -> tuple[str, int] | None:
    """(IPv4 address, TCP port) of an active remote, None for others."""
    try:
        parsed = address.parse_remote(target, default_port)
        if parsed.is_passive or parsed.is_unix:
            return None
        return str(ipaddress.IPv4Address(parsed.host)), parsed.port
    except (ValueError, OSError):
        return None


def kind_of(target: str) -> str:
    """What the log calls a controller: we go to a primary one, one of service comes to us."""
    return "service" if target.startswith("p") else "primary"


async def open_stream(parsed: address.Remote) -> trio.SocketStream:
    """A stream to an active remote. Raises OSError."""
    if parsed.is_unix:
        return trio.SocketStream(trio.socket.from_stdlib_socket(address.connect_unix(parsed.path)))
    return await trio.open_tcp_stream(parsed.host, parsed.port)


async def write_all(stream, receive: trio.MemoryReceiveChannel, connection: Connection,
                    scope: trio.CancelScope, resume: Callable[[Connection], None] | None = None
                    ) -> None:
    """Writes what is queued for a stream; the end of the queue, or a peer that left, ends the
    connection. `resume` is called when a peer has read all flow updates."""
    try:
        async for data in receive:
            await stream.send_all(data)
            if isinstance(data, FlowUpdates):
                connection.n_watched -= len(data)
                if not connection.n_watched and resume is not None:
                    resume(connection)
            connection.line.is_busy = connection.n_queued > 0
            connection.drained.set()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()


class Agent:
    """OpenFlow of all bridges. `nursery` runs the sockets, `settle` finishes what packets have
    started, `publish` hands changed bridges to the datapath, `report` has the
    database's status columns written soon, `tls(is_server)` is the context of encrypted
    connections, or raises OSError."""

    def __init__(self, nursery: trio.Nursery, daemon, clock, settle: Callable[[], None],
                 publish: Callable[[], None], report: Callable[[], None],
                 tls: Callable[[bool], ssl.SSLContext]):
        self.nursery = nursery
        self.daemon = daemon
        self.clock = clock
        self.settle = settle
        self.publish = publish
        self.report = report
        self.tls = tls
        self.codec = Codec()
        self.bridges: dict[str, BridgeAgent] = {}
        self._number = -1

    def now(self) -> float:
        """Monotonic seconds of the daemon."""
        return self.clock.now()

    def number(self) -> int:
        """A number for a service connection's name."""
        self._number += 1
        return self._number

    def describe(self, data: bytes) -> str:
        """A message as text, for the log."""
        from vswitchd.openflow.print import format_message    # costs time only when logging
        return format_message(data).rstrip("\n")

    def add_bridge(self, bridge: Bridge) -> None:
        """Starts to serve a bridge."""
        self.bridges[bridge.name] = BridgeAgent(self, bridge)
        self.bridges[bridge.name].follow_tables()
        self.nursery.start_soon(self.bridges[bridge.name].serve,
                                self.bridges[bridge.name].open_sockets())
        vlog.module("bridge").info(f"bridge {bridge.name}: using datapath ID "
                                   f"{bridge.datapath_id:016x}")

    def remove_bridge(self, name: str) -> None:
        """Ends to serve a bridge."""
        self.bridges.pop(name).close()

    def set_bridge(self, name: str) -> None:
        """Follows changed settings of a bridge."""
        self.bridges[name].follow_tables()

    def set_controllers(self, name: str, action: SetControllers) -> None:
        """Follows changed controllers of a bridge."""
        self.bridges[name].set(action)

    def set_settings(self) -> None:
        """Follows changed settings of the whole switch."""
        for bridge in self.bridges.values():
            if bridge.in_band is not None:
                bridge.set(bridge.in_band)

    def reconnect(self, name: str) -> None:
        """Connects a bridge's controllers anew."""
        self.bridges[name].reconnect()

    def ports_changed(self) -> None:
        """Tells all controllers what changed in their ports."""
        for bridge in self.bridges.values():
            bridge.ports_changed()

    def dump_all_flows(self, bridge: Bridge, offload: bool = False) -> str:
        """bridge/dump-flows: all rules, hidden ones too."""
        now = face.now()
        shown = [tables.describe(rule, now, offload)
                 for rule in face.rules(bridge.handle, hidden=True)]
        return "\n".join(shown + tables.describe_hidden(
            bridge.handle, self.bridges[bridge.name].created_ms, now, offload))

    def datapath_of(self, handle: int) -> int:
        """The library's datapath of a bridge, 0 if there is no such bridge."""
        bridge = self.find(handle)
        return bridge.bridge.datapath.handle if bridge else 0

    def find(self, handle: int) -> BridgeAgent | None:
        """The bridge of a library handle."""
        return next((bridge for bridge in self.bridges.values()
                     if bridge.bridge.handle == handle), None)

    def tick(self) -> None:
        """Looks whether a bridge has to fail open, how full its tables are, and what was left."""
        for bridge in self.bridges.values():
            bridge.follow_failure()
            bridge.tables_changed()
            bridge.release_packets()
            bridge.expire_bundles()

    async def reach_version(self, bridge: Bridge) -> None:
        """Waits until no packet can meet rules older than now."""
        self.settle()
        handle = bridge.datapath.handle
        version = face.version_current(handle)
        while not face.version_reached(handle, version):
            # A worker ends its burst within some tens of microseconds; nothing tells when.
            await trio.sleep(0.0002)

    def dispatch(self, queue: upcalls.Queue) -> int:
        """Passes everything in an upcall queue on; returns how much there was."""
        if queue == upcalls.Queue.OPENFLOW:
            return self.pass_packets_on()
        count = 0
        removed = []
        for upcall in upcalls.take(queue):
            count += 1
            bridge = self.find(upcall.bridge)
            if bridge is None:
                continue
            if upcall.kind == SEAM["UPCALL_RULE_REMOVED"]:
                rule = face.unpack_rule(upcall.data)
                bridge.rule_changed(monitors.DELETED, upcall, rule)
                if upcall.reason in _EXPIRED:
                    bridge.flush_monitors()         # each in a message of its own
                removed.append((bridge, rule, upcall.reason, upcall.when_ms))
            elif upcall.kind == SEAM["UPCALL_RULE_ADDED"]:
                bridge.rule_changed(monitors.ADDED, upcall, face.unpack_rule(upcall.data))
            elif upcall.kind == SEAM["UPCALL_RULE_CHANGED"]:
                bridge.rule_changed(monitors.MODIFIED, upcall, face.unpack_rule(upcall.data))
        if count:
            for bridge in self.bridges.values():
                bridge.flush_monitors()
        for bridge, *what in removed:       # those who monitor flows hear of it first
            bridge.rule_removed(*what)
        return count

    def pass_packets_on(self) -> int:
        """Passes frames on to those who want them; returns how many there were."""
        count = 0
        for records in upcalls.take_records(upcalls.Queue.OPENFLOW):
            at = 0
            while at < len(records):
                bridge = self.find(upcalls.bridge_of(records, at))
                n, at = bridge.packet_ins(records, at) if bridge else (0, at)
                if not n:
                    upcall, at = upcalls.unpack(records, at)
                    n = 1
                    for connection in list(bridge.connections) if bridge else ():
                        bridge.packet_in(connection, upcall)
                count += n
        return count

    def controller_status(self) -> dict[str, dict[str, tuple]]:
        """{Controller uuid: status columns}."""
        found = {}
        now = self.now()
        for bridge in self.bridges.values():
            for remote in bridge.remotes.values():
                if not remote.controller.uuid:
                    continue
                status = {"state": remote.state}
                if remote.connected_at is not None:
                    status["sec_since_connect"] = str(int(now - remote.connected_at))
                if remote.disconnected_at is not None:
                    status["sec_since_disconnect"] = str(int(now - remote.disconnected_at))
                if remote.last_error:
                    status["last_error"] = remote.last_error
                role = next((connection.session.role for connection in remote.connections), None)
                found[remote.controller.uuid] = {
                    "is_connected": (remote.is_connected,),
                    "role": ({"primary": "master", "secondary": "slave", "equal": "other"}[role],)
                    if role else (),
                    "status": tuple(sorted(status.items()))}
        return found
