"""The rows by which C reads and writes matches, made of the field table.

`read_rows()` has a row per TLV header, `write_rows()` for a version the fields in the order of
`oxm.encode_nxm`. Fields that need more than a row can say (packet types,
tunnel metadata, connection tracking's tuple ...) have none: matches with them are for the codec.
Any thread.
"""

from typing import NamedTuple

from datapath.match import place
from schema.flow.fields import Prereq
from vswitchd.openflow import oxm
from vswitchd.openflow.fields import INFO, Info
from vswitchd.openflow.match import step_of

PLAIN, WHOLE, PORT, PORT16, PCP = range(5)      # enum quick_form
_FORMS = {"icmp_type": WHOLE, "icmp_code": WHOLE, "icmpv6_type": WHOLE, "icmpv6_code": WHOLE,
          "arp_op": WHOLE, "in_port_oxm": PORT, "in_port": PORT16, "vlan_pcp": PCP}
_ALL = (1 << 64) - 1
# The bits of its place that a field covers, and how far up they are.
_PLACES = {"vlan_vid": (0x1fff, 0), "vlan_pcp": (7, 13), "ip_dscp": (0x3f, 2),
           "nw_tos": (0xfc, 0), "nw_ecn": (3, 0), "ct_state": (0xff, 0)}
_ALLOWED = {"vlan_vid": 0x1fff, "nw_tos": 0xfc, "arp_op": 0xff, "ct_state": 0xff,
            "in_port_oxm": _ALL}
_NONE = frozenset((
    "packet_type", "actset_output", "tun_flags", "mpls_ttl", "nsh_flags", "nsh_ttl", "nsh_mdtype",
    "nsh_np", "dl_vlan", "dl_vlan_pcp"))


class Row(NamedTuple):
    """struct quick_field, but for its padding."""

    header: int
    header_masked: int
    offset: int
    size: int
    length: int
    shift: int
    masked: bool
    maskable: bool
    prereq: int
    form: int
    ones: int
    allowed: int


def _row(info: Info, header: int, header_masked: int, masked: bool, prereq: Prereq) -> Row | None:
    """The row of a field, None if it takes more than that."""
    step = step_of(info)
    if (info.name in _NONE or info.variable or info.prereq is Prereq.CT
            or info.name.startswith(("ct_nw", "ct_ipv6", "ct_tp"))):
        return None
    offset, size, shift, ones = place(step.key or info.name)
    if info.name in _PLACES:
        ones, shift = _PLACES[info.name]
    elif info.name in _FORMS:
        ones = 0xff if _FORMS[info.name] == WHOLE else 0xffff
    if size == 16 and (shift or info.size != 16) or size > 8 and size != 16:
        return None
    allowed = _ALLOWED.get(info.name, _ALL if info.size > 8 or step.is_valid is None
                           else info.significant)
    return Row(header, header_masked, offset, size, info.size, shift, masked, info.maskable,
               list(Prereq).index(prereq), _FORMS.get(info.name, PLAIN), ones & _ALL, allowed)


_HIDDEN = ("recirc_id", "dp_hash")          # only rules of our own may match these


def read_rows() -> list[Row]:
    """A row per TLV header that can be read, by header."""
    rows = (_row(step.info, header, 0, masked, step.info.prereq)
            for header, (step, _, masked) in sorted(oxm.QUICK.items())
            if step.info.name not in _HIDDEN)
    return [row for row in rows if row is not None]


def write_rows(version: int) -> list[Row]:
    """The fields that can be written, in their order; version 0: NXM."""
    rows = []
    for name, prereq in oxm.written_order(version):
        info = INFO[name]
        headers = info.headers[version], info.masked[version]
        if None in headers or any(len(header) != 4 for header in headers):
            continue
        row = _row(info, *(int.from_bytes(header, "big") for header in headers), False, prereq)
        if row is not None:
            rows.append(row)
    return rows
