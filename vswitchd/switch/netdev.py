"""Network devices as the switch sees them: what a kind is, how one is opened, its state.

`KINDS` maps an Interface type to its class. A `Netdev` is living state: `open()` makes or finds the
device, `config()` says what the datapath needs to attach it, `state()` is what goes back into the
database. The devices of the operating system are in `linux.py`; here are the dummy ones, which
tests drive by hand, and patch ports, which have no device at all. Control task only.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from vswitchd.config.derive import integer
from vswitchd.config.desired import Interface


class DeviceError(Exception):
    """A device cannot be had; the text is shown in Interface.error.

    `log` are the lines that tell of it: (module, level, text).
    """

    def __init__(self, text: str, log: tuple[tuple[str, str, str], ...] | None = None) -> None:
        super().__init__(text)
        self.log = (("bridge", "warn", text),) if log is None else log


@dataclass(frozen=True, slots=True)
class DeviceState:
    """State of a device now. `mtu` and `ifindex` are None where the kind has none."""

    mac: str
    mtu: int | None = 1500
    ifindex: int | None = 0
    is_up: bool = True
    has_carrier: bool = True
    link_resets: int = 0
    speed: int | None = None        # bit/s
    duplex: str | None = None
    media: str | None = None        # "copper" or "fiber"
    status: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class PortConfig:
    """What the datapath needs to attach a device (struct port_config of api.h)."""

    kind: str
    name: str
    mac: str
    mtu: int
    is_up: bool = True
    fd: int = -1
    ifindex: int = 0
    n_rxq: int = 1
    has_offloads: bool = False
    sends_to_queue: bool = False
    rx_pcap: str = ""
    tx_pcap: str = ""


class Netdev:
    """Base of all kinds: a name, the desired interface, and a change counter.

    `touched` counts changes of state that the database should hear of.
    """

    has_datapath_port = True

    def __init__(self, interface: Interface):
        self.interface = interface
        self.name = interface.name
        self.kind = interface.kind
        self.touched = 0
        self._seen: DeviceState | None = None

    def open(self) -> None:
        """Make or find the device. Raises DeviceError."""

    def close(self, cleanup: bool) -> None:
        """Let the device go; with `cleanup` what outlives the daemon goes too."""

    def set(self, interface: Interface) -> None:
        """Follow a change of the desired interface. Raises DeviceError."""
        self.interface = interface
        self.touched += 1

    def set_mac(self, mac: str) -> None:
        """Change the device's MAC (LOCAL ports follow their bridge)."""

    def set_mtu(self, mtu: int) -> None:
        """Change the device's MTU (internal ports follow their bridge)."""

    def set_up(self, is_up: bool) -> None:
        """Change the administrative state."""

    def config(self) -> PortConfig:
        """How the datapath attaches it."""
        raise NotImplementedError

    def state(self) -> DeviceState:
        """What is true of it now."""
        raise NotImplementedError

    def n_overruns(self) -> int:
        """Received frames that were lost because the datapath came too late for them."""
        return 0

    def counters(self) -> dict[str, int]:
        """What the device itself counts beside frames, by the names of Interface.statistics."""
        return {}

    def is_present(self) -> bool:
        """Whether the device that was opened is still there."""
        return True

    def has_moved(self) -> bool:
        """Whether its state differs from that at the last call."""
        state = self.state()
        is_changed, self._seen = state != self._seen, state
        return is_changed

    def transmit(self, frame: bytes) -> None:
        """Takes a frame that the switch sent to it (ports that send to the FRAMES queue)."""


class Dummy(Netdev):
    """A port without a wire: frames come by netdev-dummy/receive or a stream (--enable-dummy).

    MACs are handed out in order of creation, aa:55:aa:55:00:00 first.
    """

    created = 0

    def __init__(self, interface: Interface):
        super().__init__(interface)
        number = Dummy.created
        Dummy.created += 1
        self.mac = f"aa:55:aa:55:{number >> 8 & 255:02x}:{number & 255:02x}"
        self.mtu = 1500
        self.is_up = True
        self.addresses: list[str] = []
        self.stream_state = "unknown"
        self._follow()

    def set(self, interface: Interface) -> None:
        super().set(interface)
        self._follow()

    def _follow(self) -> None:
        self.options = dict(self.interface.options)
        if self.interface.mac and self.kind == "dummy-internal":
            self.mac = self.interface.mac
        if self.interface.mtu_request:
            self.mtu = self.interface.mtu_request

    def set_mac(self, mac: str) -> None:
        if mac != self.mac:
            self.mac = mac
            self.touched += 1

    def set_mtu(self, mtu: int) -> None:
        self.mtu = self.interface.mtu_request or mtu

    def set_up(self, is_up: bool) -> None:
        self.is_up = is_up
        self.touched += 1

    def config(self) -> PortConfig:
        options = self.options
        both = options.get("pcap", "")
        return PortConfig(self.kind, self.name, self.mac, self.mtu, self.is_up,
                          n_rxq=(integer(options.get("n_rxq"), 1, 1, 1 << 16)
                                 if self.kind == "dummy-pmd" else 1),
                          sends_to_queue="stream" in options or "pstream" in options,
                          rx_pcap=options.get("rxq_pcap", both),
                          tx_pcap=options.get("tx_pcap", both))

    def state(self) -> DeviceState:
        return DeviceState(self.mac, self.mtu, is_up=self.is_up, has_carrier=self.is_up)

    def connection_state(self) -> str:
        """"connected", "disconnected", or "unknown" where it has no stream."""
        return self.stream_state


class Patch(Netdev):
    """One end of a wire between two bridges: translated across, never a datapath port."""

    has_datapath_port = False

    def open(self) -> None:
        peer = dict(self.interface.options).get("peer")
        if peer and peer != self.name:
            return
        text = (f"{self.name}: patch peer must not be self" if peer else
                f"{self.name}: patch type requires valid 'peer' argument")
        raise DeviceError(text, (
            ("netdev_vport", "err", text),
            ("netdev", "warn", f"{self.name}: could not set configuration (Invalid argument)")))

    def set(self, interface: Interface) -> None:
        super().set(interface)
        self.open()

    def peer(self) -> str:
        """Name of the other end."""
        return dict(self.interface.options).get("peer", "")

    def state(self) -> DeviceState:
        digest = hashlib.sha256(self.name.encode()).digest()
        mac = bytes([digest[0] & 0xfc | 0x02]) + digest[1:6]
        return DeviceState(mac.hex(":"), None)


def _linux(class_name: str) -> Callable[[Interface], Netdev]:
    """A kind of the operating system; its module, with netlink, is loaded at first use."""
    def make(interface: Interface) -> Netdev:
        from vswitchd.switch import linux   # netlink costs start-up time where it is not needed
        return getattr(linux, class_name)(interface)
    return make


KINDS: dict[str, Callable[[Interface], Netdev]] = {
    "dummy": Dummy,
    "dummy-internal": Dummy,
    "dummy-pmd": Dummy,
    "patch": Patch,
    "system": _linux("SystemDevice"),
    "internal": _linux("InternalDevice"),
    "tap": _linux("TapDevice"),
}
DUMMY_KINDS = ("dummy", "dummy-internal", "dummy-pmd")


def make(interface: Interface, has_dummy: bool) -> Netdev:
    """The device of an interface, not opened yet. Raises DeviceError for a kind that does not
    exist here."""
    maker = KINDS.get(interface.kind)
    if maker is None or (interface.kind in DUMMY_KINDS and not has_dummy):
        text = (f"could not open network device {interface.name} "
                f"(Address family not supported by protocol)")
        raise DeviceError(text, (
            ("netdev", "warn", f"could not create netdev {interface.name} of unknown type "
                               f"{interface.kind}"), ("bridge", "warn", text)))
    return maker(interface)
