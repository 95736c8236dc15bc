"""Devices that only the switch knows: dummy ports, which tests drive by hand, and patch ports.

See `netdev.py` for what a device is. Control task only.
"""

import hashlib

from vswitchd.config.derive import integer
from vswitchd.config.desired import Interface
from vswitchd.switch.netdev import DeviceError, DeviceState, Netdev, PortConfig


class Dummy(Netdev):
    """A port without a wire: frames come by netdev-dummy/receive or a stream (--enable-dummy).

    MACs are handed out in order of creation, aa:55:aa:55:00:00 first.
    """

    created = 0
    counts_losses = False

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

    def made_up(self, counts: dict[str, int]) -> dict[str, int]:
        received, sent = counts["rx_packets"], counts["tx_packets"]
        return {"rx_custom_packets_1": received, "rx_custom_packets_2": received,
                "rx_q0_bytes": counts["rx_bytes"], "rx_q0_packets": received,
                "tx_q0_bytes": counts["tx_bytes"], "tx_q0_packets": sent}

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
        self.mac = mac

    def set_mtu(self, mtu: int) -> None:
        self.mtu = self.interface.mtu_request or mtu

    def set_up(self, is_up: bool) -> None:
        self.is_up = is_up

    def config(self) -> PortConfig:
        options = self.options
        both = options.get("pcap", "")
        # What is down is not live, but passes frames all the same, as in the reference.
        return PortConfig(self.kind, self.name, self.mac, self.mtu,
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
