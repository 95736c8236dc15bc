"""Devices of the operating system: system (an existing link), internal and tap (made here).

A `SystemDevice` is reached through a packet socket with virtio-net headers (checksum and
segmentation offload survive), which does not hear what we send, is promiscuous only as long as it
is open, and whose frames `link.shield` keeps from the host. An `InternalDevice` is a persistent
tap: its addresses and routes survive a restart or crash of the daemon, which adopts it again, and
vanish with the port. The library does the packet I/O on the descriptors that are opened here.

Source: packet(7), Linux Documentation/networking/tuntap. Control task only.
"""

import errno
import fcntl
import os
import socket
import struct

from ovsdb_server import vlog
from vswitchd.config.desired import Interface
from vswitchd.switch import link as links
from vswitchd.switch.netdev import DeviceError, DeviceState, Netdev, PortConfig

_log = vlog.module("netdev")

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP, _PACKET_AUXDATA, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 1, 8, 15, 23
_PACKET_MR_PROMISC, _PACKET_STATISTICS = 1, 6
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SOCKET_BUFFER = 4 << 20        # bytes: some sixty frames of 64 kB

_TUNSETIFF, _TUNSETPERSIST, _TUNSETOFFLOAD, _TUNSETVNETHDRSZ = (0x400454ca, 0x400454cb, 0x400454d0,
                                                               0x400454d8)
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_TUN_F_CSUM, _TUN_F_TSO4, _TUN_F_TSO6, _TUN_F_TSO_ECN = 1, 2, 4, 8
_VNET_HEADER_SIZE = 10


def _cannot_open(name: str, error: OSError) -> DeviceError:
    return DeviceError(f"could not open network device {name} ({os.strerror(error.errno)})")


def _cannot_add(name: str, error: OSError) -> DeviceError:
    return DeviceError(f"could not add network device {name} to ofproto "
                       f"({os.strerror(error.errno)})")


def _refused_loopback(name: str) -> DeviceError:
    text = f"could not add network device {name} to ofproto (Invalid argument)"
    return DeviceError(text, (("dpif_netdev", "err", f"{name}: cannot add a loopback device"),
                              ("bridge", "warn", text)))


def _set_buffer(sock: socket.socket, forced: int, plain: int) -> None:
    """Gives a socket a large buffer; beyond net.core.rmem_max where we may."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, _SOCKET_BUFFER)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, plain, _SOCKET_BUFFER)


class _LinkDevice(Netdev):
    """What system, internal and tap devices share: a link whose state can be asked and set."""

    link: links.Link | None = None
    fd = -1
    last_mac = "00:00:00:00:00:00"
    last_mtu = 1500
    is_here = True              # the link is in our network namespace

    def state(self) -> DeviceState:
        try:
            self.last_mac = self.link.mac()
            self.last_mtu = self.link.mtu()
            is_up, has_carrier = self.link.flags()
            speed, duplex, media = self.link.speed()
            return DeviceState(self.last_mac, self.last_mtu, self.link.ifindex(), is_up,
                               has_carrier, speed=speed, duplex=duplex, media=media,
                               status=tuple(sorted(self.link.driver().items())))
        except OSError:
            return self.absent_state()

    def absent_state(self) -> DeviceState:
        """State of a link that is not to be found here."""
        return DeviceState(self.last_mac, self.last_mtu, None, False, False)

    def counters(self) -> dict[str, int]:
        try:
            return self.link.counters()
        except OSError:
            return {}           # not here

    def set_mac(self, mac: str) -> None:
        try:
            if self.link.mac() != mac:
                self.link.set_mac(mac)
        except OSError:
            pass                # gone; the monitor will tell

    def set_mtu(self, mtu: int) -> None:
        try:
            if self.link.mtu() != mtu:
                self.link.set_mtu(mtu)
        except OSError as error:
            # Interface.mtu shows what is true.
            if error.errno != errno.ENODEV:
                _log.warn(f"failed to set MTU for network device {self.name}: "
                          f"{os.strerror(error.errno)}")

    def set_up(self, is_up: bool) -> None:
        self.link.set_up(is_up)

    def _follow(self, interface: Interface) -> None:
        if interface.mtu_request:
            self.set_mtu(interface.mtu_request)

    def set(self, interface: Interface) -> None:
        super().set(interface)
        self._follow(interface)

    def is_present(self) -> bool:
        """Whether the link is still the one that was opened."""
        raise NotImplementedError


class SystemDevice(_LinkDevice):
    """An existing link, taken from the host."""

    _n_overruns = 0

    def open(self) -> None:
        self.link = links.Link(self.name)
        try:
            self.ifindex = self.link.ifindex()
        except OSError as error:
            self.link.close()
            raise _cannot_open(self.name, error) from None
        if self.link.is_loopback():
            self.link.close()
            raise _refused_loopback(self.name)
        try:
            self.fd = self._open_socket()
            links.shield(self.ifindex)
        except OSError as error:
            self.close(True)
            raise _cannot_add(self.name, error) from None
        self._follow(self.interface)

    def _open_socket(self) -> int:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        try:
            for option in (_PACKET_VNET_HDR, _PACKET_AUXDATA, _PACKET_IGNORE_OUTGOING):
                sock.setsockopt(_SOL_PACKET, option, 1)
            _set_buffer(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF)
            _set_buffer(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF)
            sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP,
                            struct.pack("iHH8s", self.ifindex, _PACKET_MR_PROMISC, 0, b""))
            sock.bind((self.name, _ETH_P_ALL))
        except OSError:
            sock.close()
            raise
        return sock.detach()

    def n_overruns(self) -> int:
        if self.fd >= 0:
            with socket.socket(fileno=os.dup(self.fd)) as sock:
                # The kernel starts anew with each reading.
                counts = sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            self._n_overruns += struct.unpack("=II", counts)[1]
        return self._n_overruns

    def close(self, cleanup: bool) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self.link:
            self.link.close()
            try:
                links.unshield(self.ifindex)
            except OSError:
                pass            # the link is gone, and its filter with it

    def is_present(self) -> bool:
        # A socket whose link was unregistered has forgotten it, even if the link comes back under
        # the same index.
        with socket.socket(fileno=os.dup(self.fd)) as sock:
            is_bound = sock.getsockname()[0] == self.name
        return is_bound and links.name_of(self.ifindex) == self.name

    def config(self) -> PortConfig:
        state = self.state()
        return PortConfig("system", self.name, state.mac, state.mtu or 1500, state.is_up, self.fd,
                          self.ifindex, has_offloads=True)


class TapDevice(_LinkDevice):
    """A tap of ours: what the host sends out of it comes in here. It vanishes with the port."""

    persists = False

    def open(self) -> None:
        if len(self.name.encode()) >= links.IFNAMSIZ:
            raise _cannot_open(self.name, OSError(errno.EINVAL, ""))
        try:
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
            fcntl.ioctl(self.fd, _TUNSETIFF, struct.pack("16sH22x", self.name.encode(), flags))
            fcntl.ioctl(self.fd, _TUNSETVNETHDRSZ, struct.pack("i", _VNET_HEADER_SIZE))
            fcntl.ioctl(self.fd, _TUNSETOFFLOAD,
                        _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6 | _TUN_F_TSO_ECN)
            fcntl.ioctl(self.fd, _TUNSETPERSIST, int(self.persists))
        except OSError as error:
            self.close(False)
            raise _cannot_add(self.name, error) from None
        self.link = links.Link(self.name, self.fd)
        self._follow(self.interface)
        if self.interface.mac:
            self.set_mac(self.interface.mac)

    def close(self, cleanup: bool) -> None:
        if self.link:
            self.link.close()
        if self.fd >= 0:
            if cleanup and self.persists:
                try:
                    fcntl.ioctl(self.fd, _TUNSETPERSIST, 0)
                except OSError:
                    pass        # the device was deleted under us
            os.close(self.fd)
            self.fd = -1

    def is_present(self) -> bool:
        try:
            self.link.mac()
        except OSError:
            return False        # the device was deleted; moved elsewhere it still answers
        return True

    def absent_state(self) -> DeviceState:
        try:
            return DeviceState(self.link.mac(), self.last_mtu, None)    # in another namespace
        except OSError:
            return super().absent_state()

    def config(self) -> PortConfig:
        state = self.state()
        return PortConfig("tap", self.name, state.mac, state.mtu or 1500, True, self.fd,
                          state.ifindex or 0, has_offloads=True)


class InternalDevice(TapDevice):
    """The host's own port into a bridge; LOCAL ports are such."""

    persists = True

    def config(self) -> PortConfig:
        state = self.state()
        return PortConfig("internal", self.name, state.mac, state.mtu or 1500, True, self.fd,
                          state.ifindex or 0, has_offloads=True)
