"""The flow monitors of one connection: which changes of flow tables it hears of, and how.

Changes of one request come as one message. The connection's own changes come abbreviated, as the
transaction id alone, unless it asked for them whole. While it is paused, because it reads too
slowly, only deletions of rules that it knows are told; what else happened is kept as the net change
of each rule and told when it resumes. No I/O; control task only. Source: OpenFlow 1.5.1 section
7.3.5.18 (7.3.5.17 in 1.4), ovs-ofctl(8) "monitor".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from datapath import face
from schema.openflow.limits import GROUP_ANY, PORT_NONE, TABLE_ALL
from vswitchd.openflow import packed, source, tables
from vswitchd.openflow.action_types import (Action, Controller, Enqueue, Group, Output,
                                            OutputTrunc)
from vswitchd.openflow.compile import number_actions
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.messages.flow import FlowStatsRequest
from vswitchd.openflow.messages.monitor import (ACTIONS, ADD, INITIAL, MODIFY, OWN, REMOVED,
                                                FlowMonitorRequest, FlowUpdate)

ADDED, DELETED, MODIFIED, ABBREVIATED = range(1, 5)     # events of FlowUpdate
_INITIAL_EVENT = 0
_WANTED_BY = {ADDED: ADD, DELETED: REMOVED, MODIFIED: MODIFY}
_CONTROLLER_PORT = 0xfffd

Key = tuple[int, int, bytes, bytes]     # table, priority, value, mask: what makes a rule


class Monitor(NamedTuple):
    """A request with its match packed."""

    request: FlowMonitorRequest
    value: int
    mask: int

    def covers(self, rule: face.Rule, old_source: bytes | None) -> bool:
        """Whether it is about a rule; `old_source` are actions that it had before."""
        request = self.request
        if request.table not in (TABLE_ALL, rule.table):
            return False
        if self.mask:
            if self.mask & ~int.from_bytes(rule.mask, "big"):
                return False
            if (int.from_bytes(rule.value, "big") ^ self.value) & self.mask:
                return False
        # Who watches a port hears of rules that no longer output there; of a group, not.
        return ((request.out_port == PORT_NONE
                 or _has(rule.source, _reaches_port, request.out_port)
                 or old_source is not None and _has(old_source, _reaches_port, request.out_port))
                and (request.out_group == GROUP_ANY
                     or _has(rule.source, _reaches_group, request.out_group)))


def _has(packed_actions: bytes, is_it: Callable[[Action, int], bool], number: int) -> bool:
    """Whether `is_it(action, number)` for one of these actions."""
    return any(is_it(action, number) for action in number_actions(source.unpack(packed_actions)))


def _reaches_port(action: Action, port: int) -> bool:
    return (isinstance(action, (Output, OutputTrunc, Enqueue)) and action.port == port
            or isinstance(action, Controller) and port == _CONTROLLER_PORT)


def _reaches_group(action: Action, group: int) -> bool:
    return isinstance(action, Group) and action.group == group


def _key(rule: face.Rule) -> Key:
    return rule.table, rule.priority, rule.value, rule.mask


def _update(event: int, rule: face.Rule, reason: int, flags: int) -> FlowUpdate:
    return FlowUpdate(event, 0, packed.unpack(rule.value, rule.mask), rule.priority, rule.table,
                      rule.cookie, reason, rule.idle_timeout, rule.hard_timeout,
                      source.unpack(rule.source) if flags & ACTIONS else None)


@dataclass(slots=True)
class Watcher:
    """The monitors of a connection and what is to be told."""

    monitors: dict[int, Monitor] = field(default_factory=dict)
    updates: list[FlowUpdate] = field(default_factory=list)
    is_paused: bool = False
    # While paused: what has to be told of a rule at the end, ADDED or MODIFIED, how it is, and
    # whether it came meanwhile.
    net: dict[Key, tuple[int, face.Rule, bytes | None, bool]] = field(default_factory=dict)

    def change(self, bridge: int, requests: tuple[FlowMonitorRequest, ...]) -> list[FlowUpdate]:
        """Carries out the requests of one message; returns the rules that it asks to be told at
        once. Raises OpenFlowError, and none is carried out."""
        monitors, new = dict(self.monitors), []
        for request in requests:
            if request.command == "delete":
                self._remove(monitors, request.monitor)
                continue
            if request.table != TABLE_ALL and request.table >= tables.N_TABLES:
                raise OpenFlowError("OFPBRC_BAD_TABLE_ID")
            if request.command == "modify":
                self._remove(monitors, request.monitor)
            elif request.monitor in monitors:
                raise OpenFlowError("OFPMOFC_MONITOR_EXISTS")
            value, mask = packed.pack(tables.without_type(request.match))
            monitors[request.monitor] = Monitor(request, int.from_bytes(value, "big"),
                                                int.from_bytes(mask, "big"))
            new.append(monitors[request.monitor])
        self.monitors = monitors
        found: dict[int, tuple[face.Rule, int]] = {}
        for monitor in new:
            request = monitor.request
            if request.flags & INITIAL:
                for rule in tables.select(bridge, FlowStatsRequest(
                        match=request.match, table=request.table, out_port=request.out_port,
                        out_group=request.out_group)):
                    flags = found[rule.handle][1] if rule.handle in found else 0
                    found[rule.handle] = rule, flags | request.flags
        return [_update(_INITIAL_EVENT, rule, 0, flags) for rule, flags in found.values()]

    def cancel(self, number: int) -> None:
        """Ends a monitor. Raises OpenFlowError."""
        self._remove(self.monitors, number)

    @staticmethod
    def _remove(monitors: dict[int, Monitor], number: int) -> None:
        if monitors.pop(number, None) is None:
            raise OpenFlowError("OFPMOFC_UNKNOWN_MONITOR")

    def _flags(self, event: int, rule: face.Rule, old_source: bytes | None) -> int:
        flags = 0
        for monitor in self.monitors.values():
            if (monitor.request.flags & _WANTED_BY[event]
                    and monitor.covers(rule, old_source)):
                flags |= monitor.request.flags
        return flags

    def report(self, event: int, rule: face.Rule, reason: int, old_source: bytes | None,
               own_xid: int | None) -> None:
        """Notes a change of a rule, by this connection's request `own_xid` if that is not None."""
        if self.is_paused:
            kept = self.net.pop(_key(rule), None)
            came = kept is not None and kept[3]
            if event != DELETED:
                self.net[_key(rule)] = event, rule, old_source, came or event == ADDED
                return
            if came:
                return                          # it has gone again
        flags = self._flags(event, rule, old_source)
        if not flags:
            return
        if own_xid is None or flags & OWN or self.is_paused:
            self.updates.append(_update(event, rule, reason, flags))
        elif all(update.event != ABBREVIATED for update in self.updates):
            self.updates.append(FlowUpdate(ABBREVIATED, own_xid))

    def take(self) -> tuple[FlowUpdate, ...]:
        """What is to be told now."""
        updates, self.updates = tuple(self.updates), []
        return updates

    def resume(self) -> tuple[FlowUpdate, ...]:
        """Ends the pause; returns the net changes that it kept back."""
        kept, self.net, self.is_paused = self.net, {}, False
        told = ((event, rule, self._flags(event, rule, old_source))
                for event, rule, old_source, _ in kept.values())
        return tuple(_update(event, rule, 0, flags) for event, rule, flags in told if flags)
