"""The small actions that lead the living switch from one desired state to the next.

`diff` returns a list of them in an order in which each can be carried out; `apply` carries them
out. Pure values; any thread.
"""

from dataclasses import dataclass

from vswitchd.config.desired import Bridge, Controller, Interface, Port, Settings


@dataclass(frozen=True, slots=True)
class SetSettings:
    """Give every datapath these settings."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class DeleteBridge:
    """Close a bridge and all its ports."""

    name: str


@dataclass(frozen=True, slots=True)
class AddBridge:
    """Open a bridge without ports."""

    bridge: Bridge


@dataclass(frozen=True, slots=True)
class SetBridge:
    """Change a bridge's own settings; its ports and controllers have actions of their own."""

    bridge: Bridge


@dataclass(frozen=True, slots=True)
class DeleteInterface:
    """Detach a device from a bridge."""

    bridge: str
    name: str


@dataclass(frozen=True, slots=True)
class AddInterface:
    """Attach a device to a bridge."""

    bridge: str
    interface: Interface


@dataclass(frozen=True, slots=True)
class SetInterface:
    """Change an attached device."""

    bridge: str
    interface: Interface


@dataclass(frozen=True, slots=True)
class SetPorts:
    """Make these the ports (bundles) of a bridge."""

    bridge: str
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class SetControllers:
    """Make these the controllers of a bridge."""

    bridge: str
    controllers: tuple[Controller, ...]
    fail_mode: str
    protocols: tuple[str, ...]
    managers: tuple[str, ...] = ()
    in_band_queue: int | None = None


Action = (SetSettings | DeleteBridge | AddBridge | SetBridge | DeleteInterface | AddInterface
          | SetInterface | SetPorts | SetControllers)
