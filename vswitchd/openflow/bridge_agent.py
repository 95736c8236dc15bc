"""OpenFlow of one bridge among its connections: who its controllers are, what their requests get.

A `BridgeAgent` follows the database's controllers (`remote.py`, one machine each), takes in
connections that have agreed on a version, serves their requests by `service.py`, and decides
whether the bridge has to switch alone (`fail_open.py`). `news.py` tells what nobody asked for. The
edge, `channels.py`, opens sockets and moves bytes. No I/O; control task only.
"""

import ipaddress
import traceback
from typing import Protocol

from datapath import upcall as upcalls
from ovsdb_server import vlog
from ovsdb_server.rpc import address
from schema.openflow.messages import VERSION_NAMES
from vswitchd.config.actions import SetControllers
from vswitchd.openflow import bundles, in_band, messages, monitors
from vswitchd.openflow.bundles import BundleFailed
from vswitchd.openflow.connection import ALL_VERSIONS, Connection
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fail_open import Change, FailOpen
from vswitchd.openflow.framing import HEADER, open_frame
from vswitchd.openflow.messages import session as session_messages
from vswitchd.openflow.messages.bundle import BundleAdd, BundleControl
from vswitchd.openflow.messages.flow import FlowMod, decode_flow_mod
from vswitchd.openflow.messages.group import GroupMod
from vswitchd.openflow.news import News
from vswitchd.openflow.outbox import Outbox
from vswitchd.openflow.quick.codec import Codec
from vswitchd.openflow.remote import Remote, kind_of
from vswitchd.openflow.service import Encoded, Service
from vswitchd.openflow.session import Session
from vswitchd.switch.bridge import Bridge

OPENFLOW_PORT, OVSDB_PORT = 6653, 6640
_VERSIONS = {name: version for version, name in VERSION_NAMES.items()}
_FLOW_MODS = ("OFPT_FLOW_MOD", "NXT_FLOW_MOD")      # whose form NXT_FLOW_MOD_TABLE_ID changes
_CHANGES = (FlowMod, GroupMod, BundleControl)      # requests whose changes of flows are their own

_connmgr = vlog.module("connmgr")
_rconn = vlog.module("rconn")


class Host(Protocol):
    """What the OpenFlow of a bridge needs of what is around it; `agent.py` is one."""

    codec: Codec

    def now(self) -> float:
        """Monotonic seconds of the daemon."""

    def settle(self) -> None:
        """Finishes what packets have started."""

    def publish(self) -> None:
        """Hands changed bridges to the datapath."""

    def report(self) -> None:
        """Has the database's status columns written soon."""

    def dispatch(self, queue: upcalls.Queue) -> int:
        """Passes everything in an upcall queue on; returns how much there was."""

    def datapath_of(self, handle: int) -> int:
        """The library's datapath of a bridge, 0 if there is no such bridge."""


class BridgeAgent:
    """OpenFlow of one bridge: its service, controllers and connections."""

    def __init__(self, host: Host, bridge: Bridge):
        self.host = host
        self.bridge = bridge
        self.service = Service(bridge, host.settle, host.codec, host.datapath_of)
        self.connections: set[Connection] = set()       # that have agreed on a version
        self.snoopers: set[Outbox] = set()
        self.news = News(self.service, self.connections, host.now)
        self.remotes: dict[str, Remote] = {}
        self.failing = FailOpen()
        self.versions = ALL_VERSIONS
        self.fail_mode = "standalone"
        self.datapath_id = bridge.datapath_id
        self.in_band: SetControllers | None = None
        # Whether controllers rule it, else its fail mode; None: not configured yet.
        self.ruler: tuple[bool, str] | None = None

    # -- configuration

    def set(self, action: SetControllers) -> tuple[list[Remote], list[Remote]]:
        """Follows controllers, fail mode and protocols of the database; returns those that it has
        removed, and those that are new."""
        self.fail_mode = action.fail_mode
        versions = frozenset(_VERSIONS[name] for name in action.protocols if name in _VERSIONS)
        before, self.versions = self.versions, versions or ALL_VERSIONS
        # Controllers would meddle with flows that are being restored.
        wanted = {} if self.bridge.datapath.settings.flow_restore_wait else {
            controller.target: controller for controller in action.controllers}
        removed, added = [], []
        for target, remote in list(self.remotes.items()):
            if target in wanted and self.versions == before:
                remote.change(wanted[target])
            else:
                removed.append(self.remotes.pop(target))
                _connmgr.info(f'{self.bridge.name}: removed {kind_of(target)} controller '
                              f'"{target}"')
        for target, controller in wanted.items():
            if target not in self.remotes:
                self.remotes[target] = Remote(controller, self.bridge.name, self.host.now())
                added.append(self.remotes[target])
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
        self._follow_remotes()
        self.follow_failure()
        return removed, added

    def _follow_remotes(self) -> None:
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

    def follow_tables(self) -> None:
        """Follows the Flow_Table rows of the bridge."""
        self.service.tables.configure(self.bridge.desired.flow_tables)

    def follow_failure(self) -> None:
        """Switches on its own where no controller is connected and fail_mode says so."""
        primaries = [remote for remote in self.remotes.values() if remote.is_primary]
        change = self.failing.follow(primaries, self.fail_mode == "standalone", self.host.now())
        if change is not None:
            if change is Change.OPEN:
                self.service.flush()
            self.service.set_fail_open(change is Change.OPEN)

    def reconnect(self) -> None:
        """Drops the controllers' connections; they are made again."""
        for remote in self.remotes.values():
            remote.reconnect()

    def follow_datapath_id(self) -> None:
        """Has all peers connect anew if the datapath id has changed: nothing else tells them."""
        if self.datapath_id == self.bridge.datapath_id:
            return
        self.datapath_id = self.bridge.datapath_id
        vlog.module("bridge").info(f"bridge {self.bridge.name}: using datapath ID "
                                   f"{self.datapath_id:016x}")
        vlog.module("ofproto").info(f"datapath ID changed to {self.datapath_id:016x}")
        for connection in list(self.connections):
            if connection.session.is_service:
                _rconn.info(f"{connection.name}: disconnecting")
                connection.hang_up()
        self.reconnect()

    def ports_changed(self) -> None:
        """Follows changed ports, and tells of them."""
        self.follow_datapath_id()
        self._follow_remotes()
        self.news.ports_changed()

    def tick(self) -> None:
        """Does what time asks for, once a second or so."""
        self.follow_failure()
        self.news.tables_changed()
        self.news.release_packets()
        self.news.expire_bundles()

    def close(self) -> None:
        """Lets go what outlives the bridge's connections."""
        self.service.meters.release()
        self.service.options.remove(self.service.options.rows)

    # -- connections

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
            remote.admit(connection, self.host.now())
            self.host.report()
        self.follow_failure()

    def admit_by(self, connection: Connection, kind: str) -> None:
        """Notes that a controller takes us for its switch: it asks for more than a handshake."""
        if connection.admit_by(kind):
            for remote in self.remotes.values():
                if connection in remote.connections:
                    remote.admitted_at = self.host.now()
            if self.failing.is_open:
                self.follow_failure()

    def forget(self, connection: Connection, remote: Remote | None) -> None:
        """Lets a connection go."""
        self.connections.discard(connection)
        if connection.session in self.service.sessions:
            self.service.sessions.remove(connection.session)
            self.service.follow_misses()
            self.service.follow_watchers()
        if remote is not None and connection in remote.connections:
            remote.forget(connection, self.host.now())
            self.host.report()
        self.follow_failure()

    # -- requests

    def decode(self, connection: Connection, message: bytes) -> messages.Message | None:
        """Looks at a message that came: the request that it is, None if it got an error."""
        session = connection.session
        if connection.refuse_version(message):
            return None
        connection.overhear(message)
        try:
            frame = open_frame(message)
            self.admit_by(connection, frame.raw.kind)
            self.service.check_kind(session, frame.raw.kind)
            if session.table_in_command and frame.raw.kind in _FLOW_MODS:
                return messages.Message(frame.raw, frame.version, frame.xid,
                                        decode_flow_mod(frame, True))
            return messages.decode_frame(frame)
        except Exception as error:
            self._fail(connection, message, error)
            return None

    def answer(self, connection: Connection, request: messages.Message, message: bytes) -> bool:
        """Carries out a request, which `message` was, and sends what it asks for; whether it
        succeeded."""
        session = connection.session
        self.service.forwards.clear()
        try:
            replies = self._carry_out(session, request)
            if isinstance(request.value, (BundleAdd, BundleControl)):
                bundles.note(session.bundles, request.value.bundle, message)
        except BundleFailed as failure:
            # The error is about the message that brought it into the bundle.
            xid = HEADER.unpack_from(failure.message)[3]
            brought = BundleAdd(request.value.bundle, request.value.flags, failure.message)
            connection.refuse(messages.encode(brought, session.version, xid), failure.error)
            connection.refuse(message, OpenFlowError("OFPBFC_MSG_FAILED"))
            return False
        except Exception as error:
            self._fail(connection, message, error)
            return False
        for value in replies:
            # What any version understands is answered in the version of the question.
            parts = (value.with_xid(request.xid) if isinstance(value, Encoded)
                     else messages.encode_parts(value, request.version, request.xid))
            for part in parts:
                connection.transmit(part)
        if self.service.forwards:
            self.news.forward(session)
        if isinstance(request.value, session_messages.RoleRequest):
            self.news.roles_changed()
            self.host.report()
        if not self.bridge.is_published:
            self.host.publish()
            self.ports_changed()
            self.host.report()
        return True

    def _fail(self, connection: Connection, message: bytes, error: Exception) -> None:
        """Answers a request that cannot be served."""
        if not isinstance(error, OpenFlowError):
            # A mistake in one message must not end the daemon.
            _connmgr.err(f"{self.bridge.name}<->{connection.session.name}: "
                         f"{''.join(traceback.format_exception(error))}")
            error = OpenFlowError("OFPBRC_EPERM")
        connection.refuse(message, error)

    def _carry_out(self, session: Session, request: messages.Message) -> list:
        """The replies to a request; those who monitor flows are told what it changed, first."""
        if not isinstance(request.value, _CHANGES):
            return self.service.handle(session, request)
        if not self.service.is_watched:
            replies = self.service.handle(session, request)
            self.news.tables_changed()
            return replies
        self.host.settle()
        self.news.cause = (session, request.xid)
        try:
            replies = self.service.handle(session, request)
            self.host.dispatch(upcalls.Queue.EVENT)
        finally:
            self.news.cause = None
        self.news.tables_changed()
        return replies


def remote_address(target: str, default_port: int) -> tuple[str, int] | None:
    """(IPv4 address, TCP port) of an active remote, None for others."""
    try:
        parsed = address.parse_remote(target, default_port)
        if parsed.is_passive or parsed.is_unix:
            return None
        return str(ipaddress.IPv4Address(parsed.host)), parsed.port
    except (ValueError, OSError):
        return None
