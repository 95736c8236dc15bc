"""The living switch: all datapaths and bridges of this process, and the time they share.

`config/apply.py` changes it, `commands.py` shows it, `openflow/agent.py` serves its bridges.
Control task only.
"""

import os
from collections import Counter
from dataclasses import replace

from datapath import face
from ovsdb_server import vlog
from vswitchd.config.desired import Settings
from vswitchd.switch.bridge import Bridge
from vswitchd.switch.datapath import Datapath
from vswitchd.switch.kinds import DUMMY_KINDS
from vswitchd.switch.leftover import Device, device_of
from vswitchd.switch.netdev import Netdev


class Switch:
    """`dummy` is None without --enable-dummy, else its argument ("" where there is none);
    `has_system` is False with --disable-system."""

    def __init__(self, dummy: str | None = None, has_system: bool = True):
        self.dummy = dummy
        self.has_system = has_system
        self.settings = Settings()
        self.datapaths: dict[str, Datapath] = {}
        self.bridges: dict[str, Bridge] = {}
        self.past_drops: Counter[str] = Counter()       # of datapaths that are closed
        self.n_workers = 0

    def datapath_types(self) -> tuple[str, ...]:
        """Open_vSwitch.datapath_types."""
        return tuple(kind for kind, exists in (("dummy", self.dummy is not None), ("netdev", True),
                                               ("system", self.has_system)) if exists)

    def datapath(self, kind: str) -> Datapath:
        """The datapath of a type, opened at first use."""
        if kind not in self.datapaths:
            self.datapaths[kind] = Datapath(kind, self.settings, self.dummy is not None)
        return self.datapaths[kind]

    def add_datapath(self, kind: str, name: str) -> None:
        """Opens a datapath without bridges (dpctl/add-dp)."""
        self.datapaths[name] = Datapath(kind, self.settings, self.dummy is not None, name)

    def delete_datapath(self, datapath: Datapath) -> None:
        """Closes a datapath without bridges (dpctl/del-dp)."""
        self.close_datapath(datapath, True)

    def close_datapath(self, datapath: Datapath, cleanup: bool) -> None:
        """Closes a datapath; what it dropped stays counted."""
        self.past_drops.update(face.drops(datapath.handle))
        datapath.close(cleanup)
        self.datapaths = {key: other for key, other in self.datapaths.items()
                          if other is not datapath}

    def drops(self) -> Counter[str]:
        """Frames dropped since the start, by the names of schema/flow/drops.py."""
        total = Counter(self.past_drops)
        for datapath in self.datapaths.values():
            total.update(face.drops(datapath.handle))
        return total

    def set(self, settings: Settings) -> None:
        """Gives all datapaths other settings."""
        self.settings = settings
        for datapath in self.datapaths.values():
            datapath.set(settings)
        self.follow_workers()

    def follow_workers(self) -> None:
        """Starts worker threads once a port needs them: a core is left to the control thread."""
        needs = any(netdev.kind not in ("dummy", "dummy-internal")
                    for datapath in self.datapaths.values() for netdev in datapath.ports.values())
        cores = len(os.sched_getaffinity(0))
        wanted = (self.settings.n_workers or max(1, cores - 1)) if needs else 0
        if wanted != self.n_workers:
            face.workers_set(wanted)
            self.n_workers = wanted

    def use_megaflows(self, is_enabled: bool) -> None:
        """Lets megaflows wildcard, or not (upcall/disable-megaflows)."""
        for datapath in self.datapaths.values():
            datapath.has_megaflows = is_enabled
            datapath.set(self.settings)

    def set_flow_limit(self, limit: int) -> None:
        """Changes the most megaflows until the configuration is read again."""
        self.set(replace(self.settings, flow_limit=limit))

    def add_bridge(self, desired) -> bool:
        """Opens a bridge without ports; False, with log lines, where its datapath type does not
        exist."""
        kind = desired.datapath_type
        if kind not in self.datapath_types():
            ofproto = vlog.module("ofproto")
            ofproto.warn(f"unknown datapath type {kind}")
            ofproto.warn(f"could not create datapath {desired.name} of unknown type {kind}")
            vlog.module("bridge").err(f"failed to create bridge {desired.name}: "
                                      f"Address family not supported by protocol")
            return False
        self.bridges[desired.name] = Bridge(desired, self.datapath(kind))
        return True

    def delete_bridge(self, name: str, cleanup: bool = True) -> None:
        """Closes a bridge; the last one of its datapath takes that along."""
        bridge = self.bridges.pop(name)
        bridge.close(cleanup)
        datapath = bridge.datapath
        if not any(other.datapath is datapath for other in self.bridges.values()):
            self.close_datapath(datapath, cleanup)

    def renumber(self) -> None:
        """Gives ports the OpenFlow port numbers that they request now."""
        for bridge in self.bridges.values():
            bridge.renumber(self.dummy is not None, self.bridges)

    def publish(self) -> None:
        """Hands every bridge that changed to its datapath; peers of patch ports follow."""
        if all(bridge.is_published for bridge in self.bridges.values()):
            return
        for bridge in self.bridges.values():
            bridge.follow_mac()
            bridge.follow_mtu()
        for bridge in self.bridges.values():
            bridge.publish(self.bridges)
        for bridge in self.bridges.values():
            bridge.release()
        self.follow_workers()

    def retry_failed(self) -> bool:
        """Tries devices again that could not be had; whether one could now."""
        had_one = False
        for bridge in self.bridges.values():
            for name in list(bridge.errors):
                if name not in bridge.ports:
                    bridge.add(bridge.wanted[name], self.dummy is not None)
                    had_one = had_one or name in bridge.ports
        return had_one

    def follow_links(self) -> bool:
        """Lets go of devices that vanished, tries those that failed; whether ports changed."""
        is_changed = False
        for bridge in self.bridges.values():
            for name, port in list(bridge.ports.items()):
                if not port.netdev.is_present():
                    bridge.drop(name, False)
                    bridge.errors[name] = (f"could not open network device {name} "
                                           f"(No such device)")
                    is_changed = True
                elif port.netdev.has_moved():
                    if port.number is not None:
                        bridge.datapath.update(port.number)
                    bridge.is_published = False
                    is_changed = True
        return self.retry_failed() or is_changed

    def netdev(self, name: str) -> Netdev | None:
        """The device of that name in any datapath."""
        for datapath in self.datapaths.values():
            for netdev in datapath.ports.values():
                if netdev.name == name:
                    return netdev
        return None

    def outliving(self) -> frozenset[Device]:
        """The devices of which something would outlive this process."""
        rows = (device_of(netdev) for datapath in self.datapaths.values()
                for netdev in datapath.ports.values())
        return frozenset(row for row in rows if row is not None)

    def dummies(self) -> list[Netdev]:
        """All dummy devices by name."""
        found = {netdev.name: netdev for datapath in self.datapaths.values()
                 for netdev in datapath.ports.values() if netdev.kind in DUMMY_KINDS}
        return [found[name] for name in sorted(found)]

    def close(self, cleanup: bool) -> None:
        """Closes everything; without `cleanup` devices that outlive the daemon stay."""
        for name in list(self.bridges):
            self.delete_bridge(name, cleanup)
        for datapath in list(self.datapaths.values()):
            self.close_datapath(datapath, cleanup)
