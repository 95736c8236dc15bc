"""The kinds of network devices by their names: `KINDS` maps an Interface type to what makes one.

See `netdev.py` for what a device is. Control task only.
"""

from collections.abc import Callable

from vswitchd.config.desired import Interface
from vswitchd.switch.netdev import DeviceError, Netdev
from vswitchd.switch.virtual import Dummy, Patch


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
