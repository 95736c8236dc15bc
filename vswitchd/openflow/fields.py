"""Match fields as the codecs use them: the field table with everything precomputed.

`Info` is one row of schema/flow/fields.py with its OXM headers per version, its place (the key
under which a `Match` holds it) and the set of protocols that can carry it. Used by match.py,
oxm.py, the codec of actions, the text modules and ovs-ofctl. Any thread.

Ports are OpenFlow 1.0 numbers here as everywhere above the wire: 0xff00 and up are reserved.
"""

import struct

from schema.flow.fields import FIELDS, Format, Of1x, Prereq

# Protocols (flow formats): what a connection may speak. Bits are ordered as ovs-ofctl prefers them.
OF10, OF10_TID, NXM, NXM_TID = 0x01, 0x02, 0x04, 0x08
OF11, OXM12, OXM13, OXM14, OXM15 = 0x10, 0x20, 0x40, 0x80, 0x100
OF10_ANY = OF10 | OF10_TID
NXM_ANY = NXM | NXM_TID
OXM_ANY = OXM12 | OXM13 | OXM14 | OXM15
NXM_OXM_ANY = NXM_ANY | OXM_ANY
OF13_UP = OXM13 | OXM14 | OXM15
OF12_UP = OXM_ANY
OF11_UP = OF11 | OXM_ANY
NXM_OF11_UP = NXM_ANY | OF11_UP
TID_ANY = OF10_TID | NXM_TID | OF11_UP          # those that carry a table number
ANY = OF10_ANY | NXM_ANY | OF11_UP
PROTOCOLS_OF_VERSION = (0, OF10_ANY | NXM_ANY, OF11, OXM12, OXM13, OXM14, OXM15)

MAX_PORT = 0xff00                                # ports below are real ones
PORT11_OFFSET = 0xffff0000
IN_PORT, TABLE, NORMAL, FLOOD, ALL, CONTROLLER, LOCAL, NONE = range(0xfff8, 0x10000)
UNSET = 0xfff7

# Fields that share their place in the flow struct; a match holds them under one key.
PLACES = {
    "in_port_oxm": "in_port", "dl_vlan": "vlan_tci", "vlan_vid": "vlan_tci",
    "dl_vlan_pcp": "vlan_tci", "vlan_pcp": "vlan_tci", "ip_dscp": "nw_tos", "nw_ecn": "nw_tos",
    "arp_op": "nw_proto", "arp_spa": "ip_src", "arp_tpa": "ip_dst",
    "nd_sll": "arp_sha", "nd_tll": "arp_tha",
    **{name: "tcp_src" for name in ("udp_src", "sctp_src", "icmp_type", "icmpv6_type")},
    **{name: "tcp_dst" for name in ("udp_dst", "sctp_dst", "icmp_code", "icmpv6_code")},
}
_VERSION = {"": 0, "1.0": 1, "1.1": 2, "1.2": 3, "1.3": 4, "1.4": 5, "1.5": 6}


class Info:
    """One match field.

    full: all ones over its bytes, the mask of an exact value. significant: all ones over its bits.
    headers[v]: OXM header of an exact value for version byte v, 0 being plain NXM; None if it has
    none. masked[v]: that of a masked value. exact, cidr, bitwise: protocols that can match it so.
    nxm_name: name by which action texts print it.
    """

    __slots__ = ("id", "name", "size", "bits", "full", "significant", "maskable", "writable",
                 "format", "prereq", "place", "headers", "masked", "exact", "cidr", "bitwise",
                 "nxm_name", "variable", "codes")

    def __init__(self, row) -> None:
        self.id, self.name, self.size, self.bits = row.id, row.name, row.size, row.bits
        self.full = (1 << row.size * 8) - 1
        self.significant = (1 << row.bits) - 1
        self.maskable, self.writable = row.maskable, row.writable
        self.format, self.prereq = row.format, row.prereq
        self.place = PLACES.get(row.name, row.name)
        self.variable = row.where is None
        self.codes = row.codes
        self._protocols(row)

    def __getattr__(self, name: str) -> object:
        """The members that few fields are asked for are found out when they are."""
        if name not in ("headers", "masked", "nxm_name"):
            raise AttributeError(name)
        self._headers()
        return getattr(self, name)

    def _headers(self) -> None:
        if not self.codes:
            self.headers = self.masked = (None,) * 7
            self.nxm_name = self.name
            return
        # Of several code points a version uses the newest it knows, else the oldest there is.
        codes = sorted(self.codes, key=lambda code: _VERSION[code.since])
        best = []
        for version in range(7):
            known = [code for code in codes if _VERSION[code.since] <= version]
            best.append(known[-1] if known else codes[0])
        self.headers = tuple(_header(code, self.size, False) for code in best)
        self.masked = tuple(_header(code, self.size, True) for code in best)
        self.nxm_name = best[0].name

    def _protocols(self, row) -> None:
        anything = NXM_OXM_ANY if row.codes or self.place == "vlan_tci" else 0
        exact = cidr = bitwise = anything
        if row.of10 is not Of1x.NONE:
            exact |= OF10_ANY
            if row.of10 is Of1x.CIDR:
                cidr |= OF10_ANY
        if row.of11 is not Of1x.NONE:
            exact |= OF11
            if row.of11 is Of1x.BITWISE:
                cidr |= OF11
                bitwise |= OF11
        self.exact, self.cidr, self.bitwise = exact, cidr, bitwise

    def usable(self, mask: int) -> int:
        """Returns the protocols that can express a match on this field with `mask`."""
        if mask == self.full:
            return self.exact
        ones = self.full & ~mask
        return self.bitwise if ones & (ones + 1) else self.cidr

    def __repr__(self) -> str:
        return f"<field {self.name}>"


def _header(code, size: int, masked: bool) -> bytes:
    length = size * 2 if masked else size
    if code.experimenter:
        return struct.pack("!HBBI", code.oxm_class, code.field << 1 | masked,
                           length + 4 & 0xff, code.experimenter)
    return struct.pack("!HBB", code.oxm_class, code.field << 1 | masked, length & 0xff)


INFOS: tuple[Info, ...] = tuple(Info(row) for row in FIELDS)
INFO: dict[str, Info] = {}                       # by name and alias
BY_CODE: dict[tuple[int, int], Info] = {}        # by (class << 7 | field, experimenter)
BY_OXM_NAME: dict[str, Info] = {}
for _row, _info in zip(FIELDS, INFOS):
    for _name in (_row.name, *_row.aliases):
        INFO[_name] = _info
    for _code in _row.codes:
        BY_CODE[_code.oxm_class << 7 | _code.field, _code.experimenter] = _info
        BY_OXM_NAME[_code.name] = _info
COOKIE_CODE = 0x0001 << 7 | 30                   # NXM_NX_COOKIE, shared with NXM_NX_MPLS_TTL

__all__ = ["INFO", "INFOS", "Info", "BY_CODE", "BY_OXM_NAME", "Format", "Prereq"]
