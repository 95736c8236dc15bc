"""Links of the operating system: their state, and the filter that keeps their frames from the host.

State is read and set by the classic ioctls (they are one system call each and obey the socket's
network namespace); traffic control goes through pyroute2. `Monitor` tells when any link changes.

`shield()` drops, at clsact ingress, every frame of a link that the switch has taken: the packet
socket has seen it before, the host's own stack never does, as with the kernel module's rx handler.
The filter is a two-instruction BPF program in direct-action mode (which needs no act_gact), of the
classic kind, which a user namespace may load too. It bears `MARK`, so that a stale one is
recognised. Source: netdevice(7), packet(7), tc-bpf(8). Control task.
"""

import array
import errno
import fcntl
import os
import socket
import struct
import sys

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

MARK = b"pv"
IFNAMSIZ = 16

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_SIOCGIFMTU, _SIOCSIFMTU = 0x8921, 0x8922
_SIOCSIFHWADDR, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8924, 0x8927, 0x8933
_SIOCETHTOOL = 0x8946
_ETHTOOL_GSET, _ETHTOOL_GDRVINFO = 0x01, 0x03
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING = 0x1, 0x8, 0x40
_ARPHRD_ETHER = 1

_RTMGRP_LINK = 1
_RTM_GETLINK, _NLM_F_REQUEST, _IFLA_STATS64 = 18, 1, 23
# Places in struct rtnl_link_stats64.
_COUNTERS = {"collisions": 9, "rx_crc_err": 12, "rx_frame_err": 13, "rx_missed_errors": 15,
             "rx_multicast_packets": 8, "rx_over_err": 11}
_INGRESS = 0xfffffff2           # TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)
_EGRESS = 0xfffffff3


class Link:
    """One device by name, in the network namespace of the process; `fd` may be a tap's own
    descriptor, which reaches its MAC in any namespace. Methods raise OSError."""

    def __init__(self, name: str, fd: int | None = None):
        self.name = name
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._mac_fd = self._socket.fileno() if fd is None else fd

    def close(self) -> None:
        """Lets the query socket go."""
        self._socket.close()

    def _request(self, payload: bytes = b"") -> bytes:
        name = self.name.encode()
        if len(name) >= IFNAMSIZ:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return struct.pack("16s24s", name, payload)

    def _ioctl(self, request: int, payload: bytes = b"", fd: int | None = None) -> bytes:
        target = self._socket.fileno() if fd is None else fd
        return fcntl.ioctl(target, request, self._request(payload))[IFNAMSIZ:]

    def ifindex(self) -> int:
        """Its interface index."""
        return struct.unpack_from("i", self._ioctl(_SIOCGIFINDEX))[0]

    def mtu(self) -> int:
        """Its MTU in bytes."""
        return struct.unpack_from("i", self._ioctl(_SIOCGIFMTU))[0]

    def set_mtu(self, mtu: int) -> None:
        """Changes its MTU."""
        self._ioctl(_SIOCSIFMTU, struct.pack("i", mtu))

    def mac(self) -> str:
        """Its MAC address."""
        return self._ioctl(_SIOCGIFHWADDR, fd=self._mac_fd)[2:8].hex(":")

    def set_mac(self, mac: str) -> None:
        """Changes its MAC address."""
        payload = struct.pack("H", _ARPHRD_ETHER) + bytes.fromhex(mac.replace(":", ""))
        self._ioctl(_SIOCSIFHWADDR, payload, self._mac_fd)

    def flags(self) -> tuple[bool, bool]:
        """(administratively up, has a carrier)."""
        flags = struct.unpack_from("H", self._ioctl(_SIOCGIFFLAGS))[0]
        return bool(flags & _IFF_UP), bool(flags & _IFF_RUNNING)

    def is_loopback(self) -> bool:
        """Whether it is a loopback device."""
        return bool(struct.unpack_from("H", self._ioctl(_SIOCGIFFLAGS))[0] & _IFF_LOOPBACK)

    def set_up(self, is_up: bool) -> None:
        """Changes its administrative state."""
        flags = struct.unpack_from("H", self._ioctl(_SIOCGIFFLAGS))[0]
        self._ioctl(_SIOCSIFFLAGS,
                    struct.pack("H", flags | _IFF_UP if is_up else flags & ~_IFF_UP))

    def _ethtool(self, command: int, size: int) -> bytes:
        buffer = array.array("B", struct.pack("I", command) + bytes(size - 4))
        self._ioctl(_SIOCETHTOOL, struct.pack("P", buffer.buffer_info()[0]))
        return buffer.tobytes()

    def driver(self) -> dict[str, str]:
        """driver_name, driver_version and firmware_version; {} where the driver does not say."""
        try:
            info = self._ethtool(_ETHTOOL_GDRVINFO, 196)
        except OSError:
            return {}
        texts = [info[start:start + 32].split(b"\0")[0].decode("ascii", "replace")
                 for start in (4, 36, 68)]
        return dict(zip(("driver_name", "driver_version", "firmware_version"), texts))

    def speed(self) -> tuple[int | None, str | None, str | None]:
        """(bit/s, "full" or "half", "copper" or "fiber"), None where unknown."""
        try:
            settings = self._ethtool(_ETHTOOL_GSET, 44)
        except OSError:
            return None, None, None
        low, duplex, media = struct.unpack_from("HBB", settings, 12)
        high = struct.unpack_from("H", settings, 28)[0]
        speed = low | high << 16
        if speed in (0, 0xffff, 0xffffffff):
            return None, None, None
        return (speed * 1_000_000, {0: "half", 1: "full"}.get(duplex),
                {0: "copper", 3: "fiber"}.get(media))

    def counters(self) -> dict[str, int]:
        """What the device itself counts beside frames, by the names of Interface.statistics."""
        header = struct.pack("=IHHIIBxHiII", 32, _RTM_GETLINK, _NLM_F_REQUEST, 0, 0, 0, 0,
                             self.ifindex(), 0, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
            sock.sendto(header, (0, 0))
            reply = sock.recv(65536)
        at = 32
        while at + 4 <= len(reply):
            size, kind = struct.unpack_from("=HH", reply, at)
            if kind == _IFLA_STATS64 and size >= 4 + 8 * 16:
                values = struct.unpack_from("=16Q", reply, at + 4)
                return {name: values[index] for name, index in _COUNTERS.items()}
            at += max(4, size + -size % 4)
        return {}


def name_of(ifindex: int) -> str | None:
    """Name of an interface index here, None where there is none."""
    try:
        return socket.if_indextoname(ifindex)
    except OSError:
        return None


# ---- the shield

_TC_ACT_SHOT = 2
_RTM_NEWTFILTER, _NLMSG_ERROR = 44, 2
_NLM_F_REQUEST_ACK_EXCL_CREATE = 0x1 | 0x4 | 0x200 | 0x400
_TCA_KIND, _TCA_OPTIONS, _TCA_BPF_OPS_LEN, _TCA_BPF_OPS, _TCA_BPF_FLAGS = 1, 2, 4, 5, 8
_TCA_BPF_FLAG_ACT_DIRECT = 1
_ETH_P_ALL = 3
# Two instructions: ld #0, whose two jump offsets mean nothing and carry the mark; ret TC_ACT_SHOT.
_DROP = struct.pack("=HBBIHBBI", 0x00, *MARK, 0, 0x06, 0, 0, _TC_ACT_SHOT)


def _attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def _add_drop_filter(ifindex: int) -> None:
    """Adds the filter at a link's ingress. pyroute2 has no words for a classic program, so the
    message is written here. Raises OSError."""
    options = (_attribute(_TCA_BPF_OPS_LEN, struct.pack("=H", len(_DROP) // 8))
               + _attribute(_TCA_BPF_OPS, _DROP)
               + _attribute(_TCA_BPF_FLAGS, struct.pack("=I", _TCA_BPF_FLAG_ACT_DIRECT)))
    body = (struct.pack("=BxxxiIII", 0, ifindex, 1, _INGRESS, socket.htons(_ETH_P_ALL))
            + _attribute(_TCA_KIND, b"bpf\0") + _attribute(_TCA_OPTIONS, options))
    header = struct.pack("=IHHII", 16 + len(body), _RTM_NEWTFILTER,
                         _NLM_F_REQUEST_ACK_EXCL_CREATE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.sendto(header + body, (0, 0))
        reply = sock.recv(8192)
    kind, = struct.unpack_from("=H", reply, 4)
    code = -struct.unpack_from("=i", reply, 16)[0] if kind == _NLMSG_ERROR else 0
    if code:
        raise OSError(code, os.strerror(code))


def _filters(route: IPRoute, ifindex: int, parent: int) -> list:
    try:
        return [row for row in route.get_filters(index=ifindex, parent=parent)
                if row.get_attr("TCA_OPTIONS") is not None]    # the others are heads of chains
    except NetlinkError:
        return []


def _is_ours(row) -> bool:
    options = row.get_attr("TCA_OPTIONS")
    first = int.from_bytes(_DROP[:4], sys.byteorder)     # All that pyroute2 shows of a program.
    return row.get_attr("TCA_KIND") == "bpf" and options.get_attr("TCA_BPF_OPS") == first


def shield(ifindex: int) -> None:
    """Keeps the frames that a link receives from the host's own stack, until `unshield`.

    A filter that an earlier run left is kept. Raises OSError.
    """
    with IPRoute() as route:
        try:
            route.tc("add", "clsact", ifindex)
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise OSError(error.code, os.strerror(error.code)) from None
        if any(_is_ours(row) for row in _filters(route, ifindex, _INGRESS)):
            return
        _add_drop_filter(ifindex)


def unshield(ifindex: int) -> None:
    """Takes our filter away, and the clsact qdisc where nothing else uses it. A link that is gone
    needs nothing."""
    with IPRoute() as route:
        try:
            rows = _filters(route, ifindex, _INGRESS)
            for row in rows:
                if _is_ours(row):
                    route.tc("del-filter", "bpf", ifindex, parent=_INGRESS,
                             info=row["info"])
            others = [row for row in rows if not _is_ours(row)]
            if not others and not _filters(route, ifindex, _EGRESS):
                route.tc("del", "clsact", ifindex)
        except NetlinkError as error:
            if error.code not in (errno.ENODEV, errno.ENOENT, errno.EINVAL):
                raise OSError(error.code, os.strerror(error.code)) from None


class Monitor:
    """A netlink socket that is readable when a link appeared, vanished or changed."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK,
                                    socket.NETLINK_ROUTE)
        self.socket.bind((0, _RTMGRP_LINK))

    def fileno(self) -> int:
        """To wait on."""
        return self.socket.fileno()

    def drain(self) -> bool:
        """Reads all that is there; whether there was anything. An overrun counts as a change."""
        found = False
        while True:
            try:
                found = bool(self.socket.recv(65536)) or found
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                found = True

    def close(self) -> None:
        """Ends it."""
        self.socket.close()
