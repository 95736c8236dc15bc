"""The OpenFlow agent: all bridges, their controllers and what the datapath tells of them.

    Agent                   what the rest of the daemon calls; passes upcalls on to their bridges
      +-- BridgeAgent       controllers, requests (bridge_agent.py), unasked messages (news.py)
      |     +-- Connection  a peer: versions, probes, messages (connection.py, outbox.py)
      |     +-- Remote      a controller record: when it is connected to (remote.py)
      +-- Channels          the bridge's sockets and streams: all that waits (channels.py)
            +-- Reception   peers that come for a question (reception.py, visit.py)

Only the last two wait, or know sockets; the others are called with what came, and when.
Control task only.
"""

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from datapath import face, upcall as upcalls
from ovsdb_server import vlog
from schema.flow.seam import SEAM
from vswitchd.config.actions import SetControllers
from vswitchd.openflow import monitors, tables
from vswitchd.openflow.bridge_agent import BridgeAgent
from vswitchd.openflow.channels import Channels
from vswitchd.openflow.quick.codec import Codec
from vswitchd.switch.bridge import Bridge

if TYPE_CHECKING:
    import trio

_EXPIRED = (SEAM["RR_IDLE_TIMEOUT"], SEAM["RR_HARD_TIMEOUT"])
_bridge = vlog.module("bridge")


class Agent:
    """OpenFlow of all bridges. `nursery` runs the sockets, `settle` finishes what packets have
    started, `publish` hands changed bridges to the datapath, `report` has the
    database's status columns written soon, `tls(is_server)` is the context of encrypted
    connections, or raises OSError."""

    def __init__(self, nursery: "trio.Nursery", daemon, clock, settle: Callable[[], None],
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
        self._channels: dict[str, Channels] = {}
        self._number = -1

    def now(self) -> float:
        """Monotonic seconds of the daemon."""
        return self.clock.now()

    def number(self) -> int:
        """A number for a service connection's name."""
        self._number += 1
        return self._number

    def add_bridge(self, bridge: Bridge) -> None:
        """Starts to serve a bridge."""
        added = self.bridges[bridge.name] = BridgeAgent(self, bridge)
        added.follow_tables()
        channels = Channels(added, self.nursery, self.daemon, self.tls, self.number)
        self._channels[bridge.name] = channels
        channels.open()
        _bridge.info(f"bridge {bridge.name}: using datapath ID {bridge.datapath_id:016x}")

    def remove_bridge(self, name: str) -> None:
        """Ends to serve a bridge."""
        self.bridges.pop(name).close()
        self._channels.pop(name).close()

    def set_bridge(self, name: str) -> None:
        """Follows changed settings of a bridge."""
        self.bridges[name].follow_tables()

    def set_controllers(self, name: str, action: SetControllers) -> None:
        """Follows changed controllers of a bridge."""
        channels = self._channels[name]
        removed, added = self.bridges[name].set(action)
        for remote in removed:
            channels.stop(remote)
        for remote in added:
            channels.start(remote)

    def set_settings(self) -> None:
        """Follows changed settings of the whole switch."""
        for name, bridge in self.bridges.items():
            if bridge.in_band is not None:
                self.set_controllers(name, bridge.in_band)

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
        hidden = self.bridges[bridge.name].service.hidden_stats(now)
        return "\n".join(shown + tables.describe_hidden(hidden, offload))

    @property
    def n_connections(self) -> int:
        """How many peers have agreed on a version."""
        return sum(len(bridge.connections) for bridge in self.bridges.values())

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
            bridge.tick()

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
                bridge.news.rule_changed(monitors.DELETED, upcall, rule)
                if upcall.reason in _EXPIRED:
                    bridge.news.flush_monitors()         # each in a message of its own
                removed.append((bridge, rule, upcall.reason, upcall.when_ms))
            elif upcall.kind == SEAM["UPCALL_RULE_ADDED"]:
                bridge.news.rule_changed(monitors.ADDED, upcall, face.unpack_rule(upcall.data))
            elif upcall.kind == SEAM["UPCALL_RULE_CHANGED"]:
                bridge.news.rule_changed(monitors.MODIFIED, upcall, face.unpack_rule(upcall.data))
        if count:
            for bridge in self.bridges.values():
                bridge.news.flush_monitors()
        for bridge, *what in removed:       # those who monitor flows hear of it first
            bridge.news.rule_removed(*what)
        return count

    def pass_packets_on(self) -> int:
        """Passes frames on to those who want them; returns how many there were."""
        count = 0
        for records in upcalls.take_records(upcalls.Queue.OPENFLOW):
            at = 0
            while at < len(records):
                bridge = self.find(upcalls.bridge_of(records, at))
                n, at = bridge.news.packet_ins(records, at) if bridge else (0, at)
                if not n:
                    upcall, at = upcalls.unpack(records, at)
                    n = 1
                    if bridge:
                        bridge.news.packet_in(upcall)
                count += n
        return count

    def controller_status(self) -> dict[str, dict[str, tuple]]:
        """{Controller uuid: status columns}."""
        now = self.now()
        return {remote.controller.uuid: remote.status(now) for bridge in self.bridges.values()
                for remote in bridge.remotes.values() if remote.controller.uuid}
