"""What the connections of a bridge are told without asking: frames, ports, tables, and what became
of flows.

Each method says something to all who want to hear it. A slow reader loses frames; of flow monitors
it loses nothing, but is paused. No I/O; control task only.
"""

from collections.abc import Callable, Collection

from datapath import face, upcall as upcalls
from ovsdb_server import vlog
from schema.flow.seam import SEAM
from vswitchd.openflow import bundles, messages, monitors
from vswitchd.openflow.connection import Connection
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.messages.monitor import (FlowMonitorPaused, FlowMonitorReply,
                                                FlowMonitorResumed, FlowUpdate)
from vswitchd.openflow.outbox import FlowUpdates
from vswitchd.openflow.quick import serve as quick
from vswitchd.openflow.service import Service
from vswitchd.openflow.session import OF14, Session

_PACKET_IN_PARTS = 64           # messages of packet-ins, up to 64 kB each, that may wait
_LAST_PRIORITY = 0xffff         # rules above are hidden
_SLOW_READER = 128 * 1024       # bytes of flow updates that wait before a monitor is paused
_PAUSED, _RESUMED = 5, 6        # events of flow updates
_MARKS = {_PAUSED: FlowMonitorPaused, _RESUMED: FlowMonitorResumed}

_vconn = vlog.module("vconn")


class News:
    """Tells `connections` of a bridge what happens there; `now` is the daemon's time in seconds."""

    def __init__(self, service: Service, connections: Collection[Connection],
                 now: Callable[[], float]) -> None:
        self.service = service
        self.bridge = service.bridge
        self.codec = service.codec
        self.connections = connections
        self.now = now
        self.cause: tuple[Session, int] | None = None   # whose request changes flows now

    # -- frames

    def packet_ins(self, records: bytes, at: int) -> tuple[int, int]:
        """Passes the common frames on that begin at `at`; returns how many, and where the next
        record begins."""
        codec, bridge = self.codec, self.bridge.handle
        n, end = quick.count_packet_ins(codec, bridge, records, at)
        room = min(_PACKET_IN_PARTS, self.bridge.desired.packet_in_queue)
        for connection in list(self.connections):
            start = at
            if connection.pace is not None or _vconn.is_dbg or not quick.can_hear(
                    connection.session):
                start = end
                self._packets_in(connection, records, at, end)
            while start < end and len(connection.outbox) < room:
                run, data = quick.tell(codec, bridge, connection.session, records, start, end)
                if data:
                    connection.transmit(data)
                elif not run.n:
                    break
                start += run.used
        return n, end

    def _packets_in(self, connection: Connection, records: bytes, at: int, end: int) -> None:
        """Passes frames on to one who hears of them in a form of its own, or not too many."""
        while at < end:
            upcall, at = upcalls.unpack(records, at)
            self._packet_in(connection, upcall)

    def packet_in(self, upcall: upcalls.Upcall) -> None:
        """Passes a packet-in on."""
        for connection in list(self.connections):
            self._packet_in(connection, upcall)

    def _packet_in(self, connection: Connection, upcall: upcalls.Upcall) -> None:
        """Passes a packet-in on to one connection, if it wants it."""
        if len(connection.outbox) >= self.bridge.desired.packet_in_queue:
            return
        value = self.service.packet_in(connection.session, upcall)
        if value is None:
            return
        if connection.pace is None:
            connection.tell(value)
            return
        for due in connection.pace.admit(value, self.now()):
            connection.tell(due)

    def release_packets(self) -> None:
        """Sends packet-ins that a limit of their rate has held back."""
        for connection in list(self.connections):
            if connection.pace is not None and connection.pace.waiting:
                for due in connection.pace.release(self.now()):
                    connection.tell(due)

    # -- flows

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
            self._tell_updates(connection, watcher.take())
            if not watcher.is_paused and connection.outbox.n_watched > _SLOW_READER:
                watcher.is_paused = True
                self._tell_updates(connection, (), _PAUSED)

    def resume_monitors(self, connection: Connection) -> None:
        """Goes on telling one who has read all it was told."""
        watcher = connection.session.watcher
        if watcher.is_paused:
            self._tell_updates(connection, watcher.resume(), _RESUMED)

    @staticmethod
    def _tell_updates(connection: Connection, updates: tuple, mark: int | None = None) -> None:
        """Sends flow updates, then the mark of a pause or of its end."""
        version = connection.session.version
        values = [FlowMonitorReply(updates)] if updates else []
        if mark is not None:
            values.append(FlowMonitorReply((FlowUpdate(mark),)) if version >= OF14
                          else _MARKS[mark]())
        for value in values:
            for part in messages.encode_parts(value, version, 0):
                connection.transmit(FlowUpdates(part))

    def rule_removed(self, rule: face.Rule, reason: int, when_ms: int) -> None:
        """Tells that a rule is gone."""
        if not rule.flags & SEAM["RF_SEND_FLOW_REM"]:
            return
        for connection in list(self.connections):
            value = self.service.flow_removed(connection.session, rule, reason, when_ms)
            if value is not None:
                connection.tell(value)

    # -- what is configured

    def ports_changed(self) -> None:
        """Tells which ports came, went or changed."""
        for change in list(self.service.port_changes()):
            for connection in list(self.connections):
                if change.is_for(connection.session):
                    connection.tell(change.value)

    def tables_changed(self) -> None:
        """Tells which tables became full, or have room again."""
        for value in self.service.table_changes():
            for connection in list(self.connections):
                session = connection.session
                if session.version >= OF14 and session.wants("table_status", value.reason):
                    connection.tell(value)

    def roles_changed(self) -> None:
        """Tells those who lost the role of primary to another."""
        for connection in list(self.connections):
            status = self.service.role_status(connection.session)
            if status is not None:
                connection.tell(status)

    def forward(self, owner: Session) -> None:
        """Tells others which changes of groups and meters `owner` has asked for."""
        for change in self.service.forwards:
            for connection in list(self.connections):
                if connection.session is not owner:
                    value = self.service.forwarded(connection.session, change)
                    if value is not None:
                        connection.tell(value)
        self.service.forwards.clear()

    def expire_bundles(self) -> None:
        """Discards bundles that were left, and tells so."""
        patience_ms = self.bridge.datapath.settings.bundle_idle_ms
        for connection in self.connections:
            if connection.session.bundles:
                for opener in bundles.expire(connection.session.bundles, patience_ms):
                    connection.refuse(opener, OpenFlowError("OFPBFC_TIMEOUT"))
