"""Network devices as the switch sees them: what every kind has, how one is opened, its state.

A `Netdev` is living state: `open()` makes or finds the device, `config()` says what the datapath
needs to attach it, `state()` is what goes back into the database. The kinds are in `linux.py` (the
operating system's) and `virtual.py`; `kinds.py` finds one by its name. Control task only.
"""

from dataclasses import dataclass

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
    """Base of all kinds: a name and the desired interface."""

    has_datapath_port = True
    counts_losses = True            # frames that were dropped, and errors

    def __init__(self, interface: Interface):
        self.interface = interface
        self.name = interface.name
        self.kind = interface.kind
        self._seen: DeviceState | None = None

    def open(self) -> None:
        """Make or find the device. Raises DeviceError."""

    def close(self, cleanup: bool) -> None:
        """Let the device go; with `cleanup` what outlives the daemon goes too."""

    def set(self, interface: Interface) -> None:
        """Follow a change of the desired interface. Raises DeviceError."""
        self.interface = interface

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

    def made_up(self, counts: dict[str, int]) -> dict[str, int]:
        """Statistics that only this kind of device has; `counts` are those of all."""
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
