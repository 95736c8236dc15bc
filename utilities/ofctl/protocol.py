"""Flow formats and OpenFlow versions on the command line, and what a connection may use of them.

A flow format ("protocol") is one bit: OpenFlow 1.0 with or without NXM and with or without table
ids in flow_mods, and one for each later version.  Used by all of ovs-ofctl.
"""

from utilities.command_line import Fatal

OF10_STD, OF10_STD_TID, OF10_NXM, OF10_NXM_TID = 0x1, 0x2, 0x4, 0x8
OF11_STD, OF12_OXM, OF13_OXM, OF14_OXM, OF15_OXM = 0x10, 0x20, 0x40, 0x80, 0x100
ANY = 0x1FF
OF13_UP = OF13_OXM | OF14_OXM | OF15_OXM
# Group mods that change single buckets: those of OpenFlow 1.5, and of Nicira for 1.0.
WITH_BUCKET_COMMANDS = OF10_STD | OF10_STD_TID | OF10_NXM | OF10_NXM_TID | OF15_OXM

DUMP_ORDER = (OF15_OXM, OF14_OXM, OF13_OXM, OF12_OXM, OF11_STD, OF10_NXM, OF10_STD)
"""Formats in which flows are dumped, the most expressive first."""

_OF_VERSION = {1: OF10_STD | OF10_STD_TID | OF10_NXM | OF10_NXM_TID, 2: OF11_STD, 3: OF12_OXM,
               4: OF13_OXM, 5: OF14_OXM, 6: OF15_OXM}

_ABBREVIATIONS = (
    (ANY, "any"), (OF10_STD | OF10_STD_TID, "OpenFlow10"), (OF10_NXM | OF10_NXM_TID, "NXM"),
    (OF12_OXM | OF13_OXM | OF14_OXM | OF15_OXM, "OXM"),
)
_SINGLE = (
    (OF10_STD, "OpenFlow10-table_id"), (OF10_STD_TID, "OpenFlow10+table_id"),
    (OF10_NXM, "NXM-table_id"), (OF10_NXM_TID, "NXM+table_id"), (OF11_STD, "OpenFlow11"),
    (OF12_OXM, "OXM-OpenFlow12"), (OF13_OXM, "OXM-OpenFlow13"), (OF14_OXM, "OXM-OpenFlow14"),
    (OF15_OXM, "OXM-OpenFlow15"),
)
_ALIASES = {"openflow10": OF10_STD | OF10_STD_TID, "nxm": OF10_NXM | OF10_NXM_TID,
            "table_id": OF10_STD_TID | OF10_NXM_TID}


def of_versions(versions) -> int:
    """The formats of a set of versions."""
    return sum(_OF_VERSION[v] for v in versions)


def to_versions(protocols: int) -> frozenset[int]:
    """The versions of a set of formats."""
    return frozenset(v for v, bits in _OF_VERSION.items() if bits & protocols)


def of_version(version: int) -> int:
    """The format in which a fresh connection of `version` starts."""
    return OF10_STD if version == 1 else _OF_VERSION[version]


def format_protocols(protocols: int) -> str:
    """Names the formats, with the fewest words."""
    if not protocols:
        return "none"
    words = []
    for bits, name in _ABBREVIATIONS:
        if protocols & bits == bits:
            words.append(name)
            protocols &= ~bits
    for bits, name in _SINGLE:
        if protocols & bits:
            words.append(name)
    return ",".join(words)


def parse_protocols(text: str) -> int:
    """The formats that -F names.  Raises Fatal."""
    names = {name.lower(): bits for bits, name in _SINGLE + _ABBREVIATIONS}
    names.update(_ALIASES)
    protocols = 0
    words = [word for word in text.split(",") if word]
    if not words:
        raise Fatal(f"{text}: no flow protocol specified")
    for word in words:
        bits = names.get(word.lower())
        if bits is None:
            raise Fatal(f"{word}: unknown flow protocol")
        protocols |= bits
    return protocols


def version_named(name: str) -> int | None:
    """The version of this name, of which case does not matter."""
    from schema.openflow.messages import VERSION_NAMES      # Few runs need it.
    return next((version for version, known in VERSION_NAMES.items()
                 if known.lower() == name.lower()), None)


def parse_versions(text: str) -> frozenset[int]:
    """The versions that -O names, all if it names none.  Raises Fatal."""
    versions = set()
    for word in text.replace(",", " ").split():
        version = version_named(word)
        if version is None:
            raise Fatal(f'Unknown OpenFlow version: "{word}"')
        versions.add(version)
    return frozenset(versions or _OF_VERSION)


def format_versions(versions) -> str:
    from schema.openflow.messages import VERSION_NAMES
    return ", ".join(VERSION_NAMES[v] for v in sorted(versions))


def parse_sort_field(name: str | None) -> str | None:
    """The field that --sort names, None for priority alone.  Raises Fatal."""
    if name is None:
        return "priority"
    if name == "priority":
        return name
    # Only sorting needs the field table this early.
    from vswitchd.openflow.fields import INFO
    if name not in INFO:
        raise Fatal(f"{name}: unknown field name")
    return INFO[name].name


def parse_packet_in_format(name: str) -> str:
    """The format of packet-ins that -P names.  Raises Fatal."""
    from vswitchd.openflow.messages.session import PACKET_IN_FORMATS        # Few runs need it.
    found = {"openflow10": "standard", "nxm": "nxt_packet_in"}.get(name, name)
    if found not in PACKET_IN_FORMATS:
        raise Fatal(f"unknown packet-in format `{name}'")
    return found


def settle(settings) -> None:
    """Makes versions and formats agree, and with --bundle.  Raises Fatal."""
    if settings.bundle and not settings.versions & to_versions(OF13_UP):
        settings.versions = frozenset((5,))
    version_protocols = of_versions(settings.versions)
    if not settings.protocols & version_protocols:
        raise Fatal(
            f"None of the enabled OpenFlow versions ({format_versions(settings.versions)}) "
            f"supports any of the enabled flow formats ({format_protocols(settings.protocols)}).  "
            "(Use -O to enable additional OpenFlow versions or -F to enable additional flow "
            "formats.)")
    settings.protocols &= version_protocols
    settings.versions = to_versions(settings.protocols)
