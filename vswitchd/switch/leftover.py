"""What a crash would leave behind: a record of our devices, and clearing away by it.

An internal port is a persistent tap and a system port has a filter that keeps its frames from the
host; both outlive a daemon that is killed, as they should when it comes back. A port that was
deleted from the database meanwhile must not: `Leftovers` keeps the list of our devices in the run
directory, and at the next start `clear` undoes what nobody asked for again. Only what is on the
list is touched, so daemons of other directories and the devices of users are safe. Control task
only.
"""

import fcntl
import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

from vswitchd.switch.netdev import Netdev

FILE_NAME = "ovs-vswitchd.devices"
_TUNSETIFF, _TUNSETPERSIST = 0x400454ca, 0x400454cb
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


class Device(NamedTuple):
    """A row of the list: `kind` is "system" or "internal"."""

    kind: str
    ifindex: int
    name: str


def device_of(netdev: Netdev) -> Device | None:
    """The row of an opened device, None where nothing of it outlives the daemon."""
    match netdev.kind:
        case "system":
            return Device("system", netdev.ifindex, netdev.name)
        case "internal":
            return Device("internal", 0, netdev.name)
    return None


class Leftovers:
    """The list in the file `path`; `follow` keeps it up to date."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._devices = self._read()

    def _read(self) -> frozenset[Device]:
        try:
            rows = [line.split(" ", 2) for line in self._path.read_text().splitlines()]
            return frozenset(Device(kind, int(ifindex), name) for kind, ifindex, name in rows)
        except (OSError, ValueError):
            return frozenset()

    def follow(self, devices: frozenset[Device]) -> None:
        """Makes the list `devices`. Raises OSError."""
        if devices == self._devices:
            return
        self._devices = devices
        if not devices:
            self._path.unlink(missing_ok=True)
            return
        draft = self._path.with_name(self._path.name + ".tmp")
        draft.write_text("".join(f"{row.kind} {row.ifindex} {row.name}\n"
                                 for row in sorted(devices)))
        draft.replace(self._path)

    def clear(self, devices: frozenset[Device]) -> None:
        """Undoes what an earlier run left of all devices on the list but `devices`."""
        names = {row.name for row in devices}
        for row in sorted(self._devices - devices):
            try:
                if row.kind == "internal" and row.name not in names:
                    _delete_tap(row.name)
                elif row.kind == "system":
                    _unshield(row)
            except OSError:
                pass            # it has gone by itself, or somebody uses it now


def _delete_tap(name: str) -> None:
    """Deletes a persistent tap that nobody holds open. Raises OSError."""
    socket.if_nametoindex(name)
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fcntl.ioctl(fd, _TUNSETPERSIST, 0)
    finally:
        os.close(fd)


def _unshield(row: Device) -> None:
    from vswitchd.switch import link    # netlink costs start-up time where it is not needed
    if link.name_of(row.ifindex) is not None:
        link.unshield(row.ifindex)
