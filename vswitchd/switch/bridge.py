"""A living bridge: its OpenFlow ports, their numbers, its MAC and datapath id.

Holds what the desired state became, devices that could not be had included: `errors` is what goes
into Interface.error. `publish()` hands the whole of ports and bundles to the datapath, which finds
out what changed. Control task only.
"""

import errno
import hashlib
from dataclasses import dataclass

from datapath import face
from ovsdb_server import vlog
from vswitchd.config.desired import LOCAL, Bridge as DesiredBridge, Interface, Port
from vswitchd.switch.datapath import Datapath
from vswitchd.switch.kinds import make
from vswitchd.switch.netdev import DeviceError, Netdev
from vswitchd.switch.virtual import Patch

_log = vlog.module("bridge")
NO_PORT = 0xffffffff
MAX_OFPORT = 0xff00
# Devices whose other end is this host's own network stack.
_HOST_SIDE = ("internal", "tap", "dummy-internal")


@dataclass(slots=True)
class BridgePort:
    """An OpenFlow port: `number` is its datapath port (None for a patch port), `config` its OFPPC_*
    bits (OpenFlow 1.0)."""

    ofport: int
    netdev: Netdev
    number: int | None
    config: int = 0
    created_ms: int = 0

    def duration(self) -> tuple[int, int]:
        """(seconds, nanoseconds) since it was added."""
        seconds, rest = divmod(max(0, face.now() - self.created_ms), 1000)
        return seconds, rest * 1_000_000


def log_failure(error: Exception) -> None:
    """Tells why a device could not be had."""
    for module, level, text in getattr(error, "log", (("bridge", "warn", str(error)),)):
        getattr(vlog.module(module), level)(text)


class Bridge:
    """One bridge in one datapath; `handle` is the library's."""

    def __init__(self, desired: DesiredBridge, datapath: Datapath):
        self.desired = desired
        self.name = desired.name
        self.datapath = datapath
        self.ports: dict[str, BridgePort] = {}
        self.errors: dict[str, str] = {}
        self.former: dict[str, int] = {}        # OpenFlow port numbers of vanished devices
        self.bundles: tuple[Port, ...] = ()
        self.wanted: dict[str, Interface] = {}
        self.mac = self.default_mac()
        self.last_ofport = 0
        self.freed: set[int] = set()    # numbers that a port had: taken again only in need
        self.is_published = False
        self.fragments = "normal"       # how OpenFlow has IP fragments handled
        self.handle = face.bridge_add(datapath.handle, self.settings())

    # -- settings

    def default_mac(self) -> str:
        """A MAC of this bridge's own, the same at each start."""
        digest = hashlib.sha256(self.desired.uuid.encode()).digest()
        return (bytes([digest[0] & 0xfc | 0x02]) + digest[1:6]).hex(":")

    def settings(self) -> dict:
        """Keyword arguments for the library's bridge_config."""
        desired = self.desired
        return {"name": self.name, "mac_aging_s": desired.mac_aging,
                "mac_table_size": desired.mac_table_size, "flood_vlans": desired.flood_vlans,
                "forward_bpdu": desired.forward_bpdu, "mac": self.mac,
                "fragments": self.fragments}

    def set_fragments(self, mode: str) -> None:
        """Handles IP fragments another way: normal, drop or nx-match."""
        self.fragments = mode
        face.bridge_set(self.handle, self.settings())

    def set(self, desired: DesiredBridge) -> None:
        """Follow changed settings."""
        self.desired = desired
        self.follow_mac()
        face.bridge_set(self.handle, self.settings())
        self.is_published = False

    @property
    def datapath_id(self) -> int:
        """other_config:datapath-id, else the MAC."""
        wanted = (self.desired.datapath_id or "").removeprefix("0x")
        try:
            if wanted and len(wanted) <= 16 and int(wanted, 16):
                return int(wanted, 16)
        except ValueError:
            pass
        return int(self.mac.replace(":", ""), 16)

    def best_mac(self) -> str:
        """other_config:hwaddr, else the lowest MAC that a manufacturer gave one of the other ports,
        else one of our own.

        A MAC that somebody made up (locally administered) does not count, as in the reference: a
        port of a virtual machine or a container would change the bridge's datapath id, and with
        that end all connections to controllers, each time one with a lower MAC comes or goes.
        """
        if self.desired.hwaddr:
            return self.desired.hwaddr
        macs = (port.netdev.state().mac for port in self.ports.values() if port.ofport != LOCAL)
        return min((mac for mac in macs if not int(mac[:2], 16) & 3 and mac.strip("0:")),
                   default=self.default_mac())

    def follow_mac(self) -> None:
        """Give the bridge and its LOCAL device the MAC they should have."""
        local = self.ports.get(self.name)
        mac = self.best_mac()
        if mac != self.mac:
            self.mac = mac
            face.bridge_set(self.handle, self.settings())
        if local and local.netdev.state().mac != mac:
            local.netdev.set_mac(mac)
            self.datapath.update(local.number)

    def follow_mtu(self) -> None:
        """Give internal ports and taps without mtu_request the smallest MTU of the others."""
        followers, others = [], []
        for port in self.ports.values():
            has_own = port.netdev.kind not in _HOST_SIDE
            if not has_own and not port.netdev.interface.mtu_request:
                followers.append(port)
            elif port.number is not None:
                others.append(port.netdev.state().mtu or 1500)
        mtu = min(others, default=1500)
        for port in followers:
            if port.netdev.state().mtu != mtu:
                port.netdev.set_mtu(mtu)
                self.datapath.update(port.number)

    # -- ports

    def free_ofport(self, interface: Interface) -> int:
        """The OpenFlow port number that is requested or was had before, where it is free, else the
        next one not in use."""
        used = {port.ofport for port in self.ports.values()}
        for wish in (interface.ofport_request, self.former.get(interface.name),
                     interface.last_ofport):
            if wish and 0 < wish < MAX_OFPORT and wish not in used:
                return wish
        used |= self.freed
        for step in range(1, MAX_OFPORT):
            number = (self.last_ofport + step - 1) % (MAX_OFPORT - 1) + 1
            if number not in used:
                self.last_ofport = number
                return number
        if self.freed:
            self.freed.clear()
            return self.free_ofport(interface)
        raise DeviceError("no OpenFlow port number is free")

    def add(self, interface: Interface, has_dummy: bool) -> None:
        """Attaches a device; on failure the interface is kept in `errors` and may be tried again.
        Never raises on the user's mistakes."""
        self.wanted[interface.name] = interface
        self.is_published = False
        try:
            netdev = make(interface, has_dummy)
            netdev.open()
            try:
                number = self.datapath.attach(netdev) if netdev.has_datapath_port else None
            except face.DatapathError:
                netdev.close(True)
                raise
        except (DeviceError, face.DatapathError) as error:
            if self.errors.get(interface.name) != str(error):
                log_failure(error)
            self.errors[interface.name] = str(error)
            return
        self.errors.pop(interface.name, None)
        ofport = LOCAL if interface.name == self.name else self.free_ofport(interface)
        self.ports[interface.name] = BridgePort(ofport, netdev, number,
                                                created_ms=face.now())
        _log.info(f"bridge {self.name}: added interface {interface.name} on port {ofport}")

    def change(self, interface: Interface, has_dummy: bool) -> None:
        """Follows a changed interface; one that could not be had is tried again."""
        port = self.ports.get(interface.name)
        if port is None:
            self.add(interface, has_dummy)
            return
        self.wanted[interface.name] = interface
        self.is_published = False
        try:
            port.netdev.set(interface)
            if port.number is not None:
                self.datapath.update(port.number)
            self.errors.pop(interface.name, None)
        except (DeviceError, face.DatapathError) as error:
            log_failure(error)
            self.errors[interface.name] = str(error)

    def remove(self, name: str, cleanup: bool = True) -> None:
        """Detaches a device, or forgets one that could not be had."""
        self.wanted.pop(name, None)
        self.errors.pop(name, None)
        self.drop(name, cleanup)
        self.former.pop(name, None)

    def drop(self, name: str, cleanup: bool,
             bridges: "dict[str, Bridge] | None" = None) -> None:
        """Detaches a device that is still wanted (it vanished)."""
        port = self.ports.pop(name, None)
        if port is None:
            return
        self.is_published = False
        self.former[name] = port.ofport
        self.freed.add(port.ofport)
        _log.info(f"bridge {self.name}: deleted interface {name} on port {port.ofport}")
        # Detached first: a frame must not come from a port that its bridge has forgotten.
        if port.number is not None:
            self.datapath.detach(port.number)
        self.publish(bridges or {})
        port.netdev.close(cleanup)

    def renumber(self, has_dummy: bool, bridges: "dict[str, Bridge]") -> None:
        """Attaches anew the ports that request another number than they have, where it is free or
        had by a port that does not request it, which then gets another one."""
        holders = {port.ofport: name for name, port in self.ports.items()}
        moving: list[str] = []
        for name, port in self.ports.items():
            request = self.wanted[name].ofport_request
            if name in moving or port.ofport == LOCAL or request in (None, port.ofport):
                continue
            victim = holders.get(request)
            if victim is None or self.wanted[victim].ofport_request != request:
                for mover in filter(None, (name, victim)):
                    moving.append(mover)
                    del holders[self.ports[mover].ofport]
        for name in moving:
            self.drop(name, True, bridges)
            self.former.pop(name)
        for name in sorted(moving, key=lambda name: self.wanted[name].ofport_request is None):
            self.add(self.wanted[name], has_dummy)

    def port_of(self, ofport: int) -> tuple[str, BridgePort] | None:
        """(name, port) of an OpenFlow port number."""
        return next(((name, port) for name, port in self.ports.items() if port.ofport == ofport),
                    None)

    def statistics(self, port: BridgePort) -> dict[str, int]:
        """Interface.statistics of a port, as far as the datapath counts them."""
        if port.number is None:
            stats = self._patch_stats(port)
            names = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes")
        else:
            stats = face.port_stats(self.datapath.handle, port.number)
            names = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes")
            if port.netdev.counts_losses:
                names += ("rx_dropped", "tx_dropped", "rx_errors", "tx_errors")
        counts = {name: getattr(stats, name) for name in names}
        if "rx_dropped" in counts:
            counts["rx_dropped"] += port.netdev.n_overruns()
        return counts

    def _patch_stats(self, port: BridgePort) -> face.BridgePortStats:
        try:
            return face.bridge_port_stats(self.handle, port.ofport)
        except face.DatapathError as error:
            if error.number != errno.ENODEV:
                raise
            return face.BridgePortStats(0, 0, 0, 0)     # not published yet

    # -- to the datapath

    def publish(self, bridges: dict[str, "Bridge"]) -> None:
        """Hands ports and bundles to the datapath. `bridges` finds the peers of patch ports."""
        ofports, bundles, members = [], [], []
        bundle_of: dict[str, int] = {}
        for port in sorted(self.bundles, key=self._flood_place):
            numbers = [self.ports[iface.name].ofport for iface in port.interfaces
                       if iface.name in self.ports]
            if not numbers:
                continue
            first, identity = len(members), min(numbers)
            bundle_of.update((iface.name, identity) for iface in port.interfaces)
            members.extend(sorted(numbers))
            bundles.append({
                "id": identity, "vlan_mode": port.vlan_mode, "vlan": port.tag,
                "qinq_tpid": port.qinq_ethtype, "protected": port.protected,
                "priority_tags": port.priority_tags, "bond_mode": port.bond_mode,
                "active_ofp": min(numbers), "first_member": first, "n_members": len(numbers),
                "trunks": port.trunks, "cvlans": port.cvlans})
        for name, port in self.ports.items():
            peer_bridge, peer_ofp = self.find_peer(port, bridges)
            state = port.netdev.state()
            ofports.append({
                "ofp": port.ofport, "odp": NO_PORT if port.number is None else port.number,
                "peer_bridge": peer_bridge, "peer_ofp": peer_ofp, "config": port.config,
                "is_live": state.has_carrier and state.is_up and not port.config & 1,
                "bundle": bundle_of.get(name, 0), "mtu": state.mtu or 0, "name": name})
        face.bridge_ports_set(self.handle, ofports)
        face.bundles_set(self.handle, bundles, members)
        self.is_published = True

    def _flood_place(self, port: Port) -> tuple[bool, int]:
        """Frames are flooded to LOCAL, then to the others by their lowest OpenFlow port."""
        first = min((self.ports[iface.name].ofport for iface in port.interfaces
                     if iface.name in self.ports), default=0)
        return first != LOCAL, first

    def release(self) -> None:
        """Lets frames of new ports in: those that were handed to the datapath with a bundle."""
        for bundle in self.bundles:
            for interface in bundle.interfaces:
                port = self.ports.get(interface.name)
                if port is not None and port.number is not None:
                    self.datapath.release(port.number)

    def find_peer(self, port: BridgePort, bridges: dict[str, "Bridge"]) -> tuple[int, int]:
        """(bridge handle, OpenFlow port) of a patch port's other end, (0, 0) where there is none.

        Two patch ports are joined where each names the other and both bridges are of one datapath.
        """
        if not isinstance(port.netdev, Patch):
            return 0, 0
        for bridge in bridges.values():
            peer = bridge.ports.get(port.netdev.peer())
            if (peer and bridge.datapath is self.datapath and isinstance(peer.netdev, Patch)
                    and peer.netdev.peer() == port.netdev.name):
                return bridge.handle, peer.ofport
        return 0, 0

    def complaints(self, bridges: dict[str, "Bridge"]) -> dict[str, str]:
        """Interface.error by interface name."""
        found = dict(self.errors)
        for name, port in self.ports.items():
            if isinstance(port.netdev, Patch) and name not in found:
                if not self.find_peer(port, bridges)[0]:
                    found[name] = (f"No usable peer '{port.netdev.peer()}' exists in "
                                   f"'{self.datapath.kind}' datapath.")
        return found

    def close(self, cleanup: bool) -> None:
        """Detaches all ports and removes the bridge."""
        for name in sorted(self.ports, key=lambda name: name == self.name):
            port = self.ports.pop(name)
            if port.number is not None:
                self.datapath.detach(port.number)
            port.netdev.close(cleanup)
        face.bridge_del(self.handle)
