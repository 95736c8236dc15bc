"""Actions -> the living switch. The third step of the road from database to switch.

Each action is carried out on its own. What a device refuses is a complaint in its bridge; one that
meets a defect is told in the log and the others go on. Yields to the other tasks after a
millisecond of work. Control task only.
"""

import time
import traceback

import trio

from ovsdb_server import vlog
from vswitchd.config.actions import (Action, AddBridge, AddInterface, DeleteBridge, DeleteInterface,
                                     SetBridge, SetControllers, SetInterface, SetPorts, SetSettings)
from vswitchd.switch.switch import Switch

_log = vlog.module("bridge")

SLICE = 0.001       # seconds of work between two yields


def apply_one(action: Action, switch: Switch, agent) -> None:
    """Carries out one action. `agent` serves OpenFlow: it gets bridges and their controllers."""
    has_dummy = switch.dummy is not None
    if _bridge_of(action) not in (None, *switch.bridges):
        return                  # a bridge that could not be created
    match action:
        case SetSettings(settings):
            switch.set(settings)
            agent.set_settings()
        case DeleteBridge(name):
            if name in switch.bridges:
                agent.remove_bridge(name)
                switch.delete_bridge(name)
        case AddBridge(bridge):
            if switch.add_bridge(bridge):
                agent.add_bridge(switch.bridges[bridge.name])
        case SetBridge(bridge):
            switch.bridges[bridge.name].set(bridge)
            agent.set_bridge(bridge.name)
        case DeleteInterface(bridge, name):
            switch.bridges[bridge].remove(name)
        case AddInterface(bridge, interface):
            switch.bridges[bridge].add(interface, has_dummy)
        case SetInterface(bridge, interface):
            switch.bridges[bridge].change(interface, has_dummy)
        case SetPorts(bridge, ports):
            switch.bridges[bridge].bundles = ports
            switch.bridges[bridge].is_published = False
        case SetControllers(bridge):
            agent.set_controllers(bridge, action)


def _bridge_of(action: Action) -> str | None:
    """The bridge that must exist for an action, None for none."""
    match action:
        case SetBridge(bridge):
            return bridge.name
        case DeleteInterface() | AddInterface() | SetInterface() | SetPorts() | SetControllers():
            return action.bridge
    return None


async def apply(actions: list[Action], switch: Switch, agent) -> None:
    """Carries out all actions in order, then publishes what changed."""
    started = time.perf_counter()
    for action in actions:
        try:
            apply_one(action, switch, agent)
        except Exception:       # All else keeps running, whatever was wrong with this one.
            _log.err(f"cannot carry out {action}: {traceback.format_exc()}")
        if time.perf_counter() - started > SLICE:
            await trio.lowlevel.checkpoint()
            started = time.perf_counter()
    switch.renumber()
    switch.publish()
