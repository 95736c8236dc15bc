"""A living datapath: its ports and their numbers. One per type serves all bridges of that type.

`NAMES` maps a datapath_type to the datapath's name. Port numbers follow the reference: in the dummy
datapath the digits of a port's name, plus 100 where it begins with "br"; elsewhere, and where that
number is taken, the lowest free one. Control task only.
"""

import re
from dataclasses import replace

from datapath import face
from schema.flow.seam import SEAM
from vswitchd.config.desired import Interface, Settings
from vswitchd.switch.kinds import make
from vswitchd.switch.netdev import DeviceError, Netdev

NAMES = {"dummy": "ovs-dummy", "netdev": "ovs-netdev", "system": "ovs-system"}
LOCAL_KIND = {"dummy": "dummy-internal", "netdev": "internal", "system": "internal"}


def wished_number(name: str) -> int:
    """The number that a port of the dummy datapath has by its name, or 0 for none."""
    digits = re.search(r"\d+", name)
    if not digits:
        return 0
    number = int(digits.group()) + (100 if name.startswith("br") else 0)
    return number if number < 0x10000 else 0


class Datapath:
    """Ports of one datapath by number; `handle` is the library's."""

    def __init__(self, kind: str, settings: Settings, has_dummy: bool, name: str = ""):
        self.kind = kind
        self.name = name or NAMES[kind]
        self.ports: dict[int, Netdev] = {}
        self._meters: set[int] = set()          # numbers that are taken
        self.held: set[int] = set()             # ports that no bridge knows yet
        self.has_dummy = has_dummy
        self.settings = settings
        self.features = face.FEATURES_ALL
        self.numbers: dict[str, int] = {}       # features that are numbers and were set
        self.has_megaflows = True
        self.log_flags = 0
        self.handle = face.datapath_open(self.name, settings.max_idle_ms, settings.flow_limit,
                                         settings.vlan_limit, flags=self.flags)
        self._open_local()

    def _open_local(self) -> None:
        """Attaches port 0, a device with the datapath's name, where it can be had."""
        try:
            netdev = make(Interface(self.name, "", LOCAL_KIND[self.kind]), self.has_dummy)
            netdev.open()
            self.attach(netdev, 0)
        except (DeviceError, face.DatapathError):
            pass                # All else works without it.

    @property
    def title(self) -> str:
        """As shown: "netdev@ovs-netdev"."""
        return f"{self.kind}@{self.name}"

    @property
    def vlan_limit(self) -> int:
        """VLAN headers that are matched on."""
        return self.settings.vlan_limit

    @property
    def flags(self) -> int:
        """Flags of the library's datapath_config. While flows are being restored no packet meets
        the tables."""
        return (SEAM["DP_MEGAFLOWS"] * self.has_megaflows | self.log_flags
                | SEAM["DP_NO_UPCALLS"] * self.settings.flow_restore_wait)

    def set(self, settings: Settings) -> None:
        """Give the datapath other limits."""
        self.settings = settings
        face.datapath_set(self.handle, self.name, settings.max_idle_ms, settings.flow_limit,
                          settings.vlan_limit, self.features, self.flags)

    def set_feature(self, bit: int, is_wanted: bool) -> None:
        """Lets the translator use a feature, or not (dpif/set-dp-features)."""
        self.features = self.features | bit if is_wanted else self.features & ~bit
        self.set(self.settings)

    def free_number(self, name: str) -> int:
        """The number for a new port `name`."""
        if self.kind == "dummy":
            number = wished_number(name)
            if number and number not in self.ports:
                return number
        return next(number for number in range(1, 1 << 16) if number not in self.ports)

    def attach(self, netdev: Netdev, number: int | None = None) -> int:
        """Adds an opened device as a port; returns its number. Raises DatapathError."""
        if number is None:
            number = self.free_number(netdev.name)
        # Workers would hand frames to a bridge that does not know the port yet.
        is_held = netdev.kind not in ("dummy", "dummy-internal")
        face.port_add(self.handle, number, replace(netdev.config(), is_up=False) if is_held
                      else netdev.config())
        self.ports[number] = netdev
        if is_held:
            self.held.add(number)
        return number

    def release(self, number: int) -> None:
        """Lets frames of a new port in, once its bridge knows it."""
        if number in self.held:
            self.held.discard(number)
            self.update(number)

    def update(self, number: int) -> None:
        """Passes a changed device configuration on."""
        config = self.ports[number].config()
        if number in self.held:
            config = replace(config, is_up=False)
        face.port_set(self.handle, number, config)

    def detach(self, number: int) -> Netdev:
        """Removes a port; its device is left to the caller."""
        face.port_del(self.handle, number)
        self.held.discard(number)
        return self.ports.pop(number)

    def port_names(self) -> dict[int, str]:
        """{number: name} for printing."""
        return {number: netdev.name for number, netdev in self.ports.items()}

    def port_numbers(self) -> dict[str, int]:
        """{name: number} for reading."""
        return {netdev.name: number for number, netdev in self.ports.items()}

    def take_meter(self) -> int:
        """A number for a new meter."""
        number = next(number for number in range(len(self._meters) + 1)
                      if number not in self._meters)
        self._meters.add(number)
        return number

    def give_meter(self, number: int) -> None:
        """Lets a meter's number be used again."""
        self._meters.discard(number)

    def close(self, cleanup: bool) -> None:
        """Removes all ports and the datapath itself."""
        for number in sorted(self.ports, reverse=True):
            self.detach(number).close(cleanup)
        face.datapath_close(self.handle)
