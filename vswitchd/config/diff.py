"""Two desired states -> the actions that lead from one to the other.

Deletions come first, so that names, port numbers and devices are free for what is added. A bridge
whose datapath type changes, and an interface whose kind changes, is deleted and added anew; all
else is changed in place. Pure function; any thread. Complexity: linear.
"""

from dataclasses import replace

from vswitchd.config.actions import (Action, AddBridge, AddInterface, DeleteBridge, DeleteInterface,
                                     SetBridge, SetControllers, SetInterface, SetPorts, SetSettings)
from vswitchd.config.desired import Bridge, Interface, Switch


def interfaces(bridge: Bridge) -> dict[str, Interface]:
    """All interfaces of a bridge by name, those with a requested port number first, then those that
    had one before, LOCAL last: automatic numbers then never take one that is spoken for."""
    found = [iface for port in bridge.ports for iface in port.interfaces]
    found.sort(key=lambda iface: (
        iface.name == bridge.name, iface.ofport_request is None, iface.ofport_request or 0,
        (iface.last_ofport or 0) <= 0, iface.last_ofport or 0, iface.name))
    return {iface.name: iface for iface in found}


def _own(bridge: Bridge) -> Bridge:
    """The part of a bridge that SetBridge is about."""
    return replace(bridge, ports=(), controllers=(), fail_mode="", protocols=(), managers=(),
                   in_band_queue=None)


def _control(bridge: Bridge) -> SetControllers:
    """The part of a bridge that SetControllers is about."""
    return SetControllers(bridge.name, bridge.controllers, bridge.fail_mode, bridge.protocols,
                          bridge.managers, bridge.in_band_queue)


def _is_same_device(old: Interface, new: Interface) -> bool:
    """Whether `old` can become `new` without being detached, but perhaps for its OpenFlow port
    number, which depends on those that others have now (Bridge.renumber)."""
    return old.kind == new.kind


def diff(old: Switch, new: Switch) -> list[Action]:
    """The actions from `old` to `new`; [] where they are equal."""
    before = {bridge.name: bridge for bridge in old.bridges}
    after = {bridge.name: bridge for bridge in new.bridges}
    actions: list[Action] = []
    if old.settings != new.settings:
        actions.append(SetSettings(new.settings))
    for name, bridge in list(before.items()):
        if name not in after or after[name].datapath_type != bridge.datapath_type:
            actions.append(DeleteBridge(name))
            del before[name]
    for name, bridge in before.items():
        wanted = interfaces(after[name])
        actions.extend(DeleteInterface(name, iface.name) for iface in interfaces(bridge).values()
                       if iface.name not in wanted
                       or not _is_same_device(iface, wanted[iface.name]))
    for name, bridge in after.items():
        actions.extend(_bridge_actions(before.get(name), bridge))
    return actions


def _bridge_actions(old: Bridge | None, new: Bridge) -> list[Action]:
    actions: list[Action] = []
    if old is None:
        actions.append(AddBridge(new))
    elif _own(old) != _own(new):
        actions.append(SetBridge(new))
    present = interfaces(old) if old else {}
    for name, iface in interfaces(new).items():
        if name not in present or not _is_same_device(present[name], iface):
            actions.append(AddInterface(new.name, iface))
        elif present[name] != iface:
            actions.append(SetInterface(new.name, iface))
    if old is None or old.ports != new.ports:
        actions.append(SetPorts(new.name, new.ports))
    if old is None or _control(old) != _control(new):
        actions.append(_control(new))
    return actions
