"""The desired state of the switch: frozen values that `derive` makes and `diff` compares.

Nothing here refers to a database row except by uuid (for writing status back) and nothing to the
living switch. Names follow ovs-vswitchd.conf.db(5). Units: seconds unless the name says otherwise.
Pure values, no I/O; any thread.
"""

from dataclasses import dataclass, field

LOCAL = 0xfffe                      # the OpenFlow port that has the bridge's name
ALL_VLANS = (1 << 4096) - 1         # a set of VLANs is an integer with bit N for VLAN N

Pairs = tuple[tuple[str, str], ...]         # a string map, sorted


@dataclass(frozen=True, slots=True)
class Interface:
    """A network device of a port. `kind` is the effective type ("dummy-internal", not "internal",
    in a dummy datapath); `options` are the type's own."""

    name: str
    uuid: str
    kind: str
    ofport_request: int | None = None
    mac: str | None = None
    mtu_request: int | None = None
    options: Pairs = ()
    other_config: Pairs = ()
    last_ofport: int | None = field(default=None, compare=False)    # what it had before


@dataclass(frozen=True, slots=True)
class Port:
    """One or, bonded, several interfaces among which NORMAL does not distinguish."""

    name: str
    uuid: str
    interfaces: tuple[Interface, ...]
    vlan_mode: str = "trunk"        # access, trunk, native-tagged, native-untagged, dot1q-tunnel
    tag: int = 0
    trunks: int = ALL_VLANS
    cvlans: int = ALL_VLANS
    qinq_ethtype: int = 0x88a8
    priority_tags: str = "never"
    protected: bool = False
    bond_mode: str | None = None
    bond_primary: str | None = None


@dataclass(frozen=True, slots=True)
class Controller:
    """A Controller record, or the service controller of a bridge (`uuid` "")."""

    target: str
    uuid: str = ""
    max_backoff: float = 8.0
    inactivity_probe: float = 5.0
    is_in_band: bool = False        # reached through the bridge's own ports
    enable_async: bool = True
    rate_limit: int = 0
    burst_limit: int = 0


@dataclass(frozen=True, slots=True)
class FlowTable:
    """Settings of one OpenFlow table."""

    number: int
    name: str = ""
    flow_limit: int | None = None
    evicts: bool = False
    groups: tuple[str, ...] = ()    # subfields: rules that agree in them share what is evicted
    prefixes: tuple[str, ...] | None = None     # None: the default ones


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge with its ports, controllers and settings."""

    name: str
    uuid: str
    datapath_type: str              # "netdev", "system" or "dummy"
    ports: tuple[Port, ...]
    controllers: tuple[Controller, ...] = ()
    fail_mode: str = "standalone"
    protocols: tuple[str, ...] = ()     # empty: the default ones
    managers: tuple[str, ...] = ()      # targets of managers that are reached in band
    in_band_queue: int | None = None
    datapath_id: str | None = None
    hwaddr: str | None = None
    dp_desc: str | None = None
    dp_sn: str | None = None
    mac_aging: int = 300
    mac_table_size: int = 8192
    flood_vlans: int = 0
    forward_bpdu: bool = False
    flow_tables: tuple[FlowTable, ...] = ()
    packet_in_queue: int = 100      # packets that may wait for a controller


@dataclass(frozen=True, slots=True)
class Settings:
    """What applies to every datapath of this process."""

    flow_restore_wait: bool = False
    flow_limit: int = 200_000
    max_idle_ms: int = 10_000
    vlan_limit: int = 1
    n_workers: int | None = None    # None: one less than there are cores
    stats_interval: float = 5.0
    bundle_idle_ms: int = 10_000


@dataclass(frozen=True, slots=True)
class Switch:
    """All there shall be."""

    bridges: tuple[Bridge, ...] = ()
    settings: Settings = Settings()


@dataclass(frozen=True, slots=True)
class Complaint:
    """A mistake of the user: `text` is logged at `level`."""

    table: str
    uuid: str
    text: str
    level: str = "warn"
