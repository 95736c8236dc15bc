"""What one OpenFlow connection has agreed on and asked for: version, role, formats, wishes.

Plain state without I/O: the agent makes one per connection, `service.py` reads and changes it.
Source: OpenFlow 1.0 to 1.5, section "OpenFlow channel"; the Nicira extensions.
"""

from dataclasses import dataclass, field
from typing import Any

from schema.openflow.limits import MISS_SEND_LEN_DEFAULT

OF10, OF11, OF12, OF13, OF14, OF15 = range(1, 7)
NO_MATCH, ACTION, EXPLICIT_MISS, IMPLICIT_MISS = 0, 1, 6, 7     # why a packet-in is sent
_SINCE_14 = (3, 4, 5)           # action_set, group, packet_out

# Kinds of asynchronous messages with a mask of 1 << reason, for primary or equal controllers and
# for secondary ones: what is sent unless the controller asks otherwise.
_INVALID_TTL = 1 << 2
_PRIMARY = {"packet_in": 0b111111 & ~_INVALID_TTL, "port_status": 0b111, "flow_removed": 0b111111,
            "role_status": 0, "table_status": 0, "requestforward": 0}
_SECONDARY = {"packet_in": 0, "port_status": 0b111, "flow_removed": 0, "role_status": 0,
              "table_status": 0, "requestforward": 0}
# Reasons why flows are removed: until OpenFlow 1.2, and in 1.3.
_REMOVED_12, _REMOVED_13 = 0b111, 0b1111


def _primary() -> dict[str, int]:
    return dict(_PRIMARY)


def _secondary() -> dict[str, int]:
    return dict(_SECONDARY)


@dataclass(slots=True)
class Session:
    """State of a connection. `version` is 0 until HELLOs were exchanged."""

    name: str                           # as logged: "unix#3", "tcp:127.0.0.1:6653"
    is_service: bool = False            # on BRIDGE.mgmt or a passive remote: no unasked messages
    version: int = 0
    role: str = "equal"
    is_demoted: bool = False            # another one took its role of primary: not told yet
    miss_send_len: int = MISS_SEND_LEN_DEFAULT
    packet_in_format: str = "standard"
    flow_format: str = "of"             # of NXT_SET_FLOW_FORMAT: how OpenFlow 1.0 flows are told
    table_in_command: bool = False      # NXT_FLOW_MOD_TABLE_ID
    controller_id: int = 0
    primary: dict[str, int] = field(default_factory=_primary)
    secondary: dict[str, int] = field(default_factory=_secondary)
    bundles: dict = field(default_factory=dict)     # {id: bundles.Bundle}
    watcher: Any = None                 # monitors.Watcher, of a connection to the switch
    features: bytearray = field(default_factory=bytearray)  # of tables: parts of a request
    next_xid: int = 0

    @property
    def peer(self) -> str:
        """Its name without that of the bridge."""
        return self.name.rpartition("<->")[2]

    def agree(self, version: int) -> None:
        """Sets the version; reasons that it does not know are not asked for."""
        self.version = version
        if version < OF14:
            self.primary["flow_removed"] &= _REMOVED_13 if version == OF13 else _REMOVED_12

    def xid(self) -> int:
        """A transaction id for a message of our own."""
        self.next_xid = (self.next_xid + 1) & 0xffffffff
        return self.next_xid

    @property
    def wants_invalid_ttl(self) -> bool:
        """Whether packets whose TTL ran out come as packet-ins: by SET_CONFIG of OpenFlow 1.0 to
        1.2, or like all others by the masks."""
        return bool(self.primary["packet_in"] & _INVALID_TTL)

    @wants_invalid_ttl.setter
    def wants_invalid_ttl(self, is_wanted: bool) -> None:
        mask = self.primary["packet_in"] & ~_INVALID_TTL
        self.primary["packet_in"] = mask | _INVALID_TTL * is_wanted

    def mute(self) -> None:
        """Starts without any asynchronous message: Controller.enable_async_messages is false."""
        self.primary = dict.fromkeys(self.primary, 0)
        self.secondary = dict.fromkeys(self.secondary, 0)

    def wants(self, kind: str, reason: int) -> bool:
        """Whether an asynchronous message is to be sent."""
        if self.is_service and not self.miss_send_len:
            return False
        masks = self.secondary if self.role == "secondary" else self.primary
        return bool(masks.get(kind, 0) >> reason & 1)


def told_reason(reason: int, version: int) -> int | None:
    """A packet-in's reason as `version` has it, None if controllers of it do not hear of it: since
    OpenFlow 1.3 a packet that no rule matches is dropped unless a table-miss rule sends it."""
    if reason == IMPLICIT_MISS:
        return None if version >= OF13 else NO_MATCH
    if reason == EXPLICIT_MISS:
        return NO_MATCH if version >= OF13 else ACTION
    return ACTION if version < OF14 and reason in _SINCE_14 else reason


def describe_versions(versions) -> str:
    """How Open vSwitch words a set of versions in logs and errors."""
    rows = sorted(versions)
    if len(rows) > 1 and rows == list(range(1, rows[-1] + 1)):
        return f"version 0x{rows[-1]:02x} and earlier"
    return f"version{'s' if len(rows) > 1 else ''} " + ", ".join(f"0x{v:02x}" for v in rows)
