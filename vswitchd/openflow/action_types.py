"""OpenFlow actions as values: one immutable class per action and instruction.

A flow's actions are a tuple of these, instructions among them in the order meter, actions,
clear_actions, write_actions, write_metadata, goto_table; that is the same in every version of
OpenFlow. `actions.py` maps them to and from the wire, `action_text.py` to and from text,
`consistency.py` judges them against a match, `compile.py` turns them into datapath programs.

Fields are named by their first name in schema/flow/fields.py ('ip_src', 'reg0', 'vlan_tci'); values
and masks are host integers; ports are OpenFlow 1.0 numbers (0xfffe is LOCAL). Values are tuples:
they compare, hash and match by position (`case Output(port, max_len)`), and equal values of two
classes differ. Any thread.
"""

from vswitchd.openflow.value import Value


class Action(Value):
    """Base of all actions and instructions."""


class Subfield(Value):
    """`n_bits` bits of a field, starting at bit `offset` from its least significant one."""

    field: str
    offset: int
    n_bits: int


class Output(Action):
    """Output to `port`; `max_len` bytes of it if that is the controller (0xffff: all)."""

    port: int
    max_len: int = 0


class Controller(Action):
    """Packet-in with more to say than Output; `meter` is 0 for none."""

    max_len: int = 0xffff
    controller_id: int = 0
    reason: int = 1
    userdata: bytes = b""
    pause: bool = False
    meter: int = 0


class Enqueue(Action):
    port: int
    queue: int


class OutputReg(Action):
    """Output to the port whose number is in `src`."""

    src: Subfield
    max_len: int = 0xffff


class OutputTrunc(Action):
    port: int
    max_len: int


class Group(Action):
    group: int


class Bundle(Action):
    """Output to a live member, or with `dst`, load its number there.

    fields and algorithm: indices in HASH_FIELDS and BUNDLE_ALGORITHMS.
    """

    fields: int
    basis: int
    algorithm: int
    members: tuple[int, ...]
    dst: Subfield | None = None


class SetField(Action):
    """Sets the bits of `field` that are 1 in `mask`.

    mask: all ones over the field's whole bytes if it is not masked. Text may leave bits in value
    that the mask does not cover; they mean nothing.
    load: True if it was written as load (NXAST_REG_LOAD): it prints and encodes as such.
    has_vlan: as in SetVlanVid; only said of vlan_tci.
    """

    field: str
    value: int
    mask: int
    load: bool = False
    has_vlan: bool = False


class SetVlanVid(Action):
    """push: a tag is pushed if there is none; has_vlan: the flow's match says there is one."""

    vid: int
    push: bool = True
    has_vlan: bool = False


class SetVlanPcp(Action):
    """push, has_vlan: as in SetVlanVid."""

    pcp: int
    push: bool = True
    has_vlan: bool = False


class StripVlan(Action):
    """pop: written as pop_vlan (OpenFlow 1.1 and later)."""

    pop: bool = False


class PushVlan(Action):
    eth_type: int


class SetEthSrc(Action):
    mac: int


class SetEthDst(Action):
    mac: int


class SetIpv4Src(Action):
    ip: int


class SetIpv4Dst(Action):
    ip: int


class SetIpDscp(Action):
    """tos: the DSCP in the upper six bits, the lower two 0."""

    tos: int


class SetIpEcn(Action):
    ecn: int


class SetIpTtl(Action):
    ttl: int


class SetL4SrcPort(Action):
    """proto: IP protocol of the flow's match, 0 if unknown; gives the field in 1.2 and later."""

    port: int
    proto: int = 0


class SetL4DstPort(Action):
    """proto: as in SetL4SrcPort."""

    port: int
    proto: int = 0


class RegMove(Action):
    """Copies `src` to `dst`, which is as wide."""

    src: Subfield
    dst: Subfield


class StackPush(Action):
    subfield: Subfield


class StackPop(Action):
    subfield: Subfield


class DecTtl(Action):
    """ids: controllers told of an expired TTL; None where the form without ids was used."""

    ids: tuple[int, ...] | None = None


class SetMplsLabel(Action):
    label: int


class SetMplsTc(Action):
    tc: int


class SetMplsTtl(Action):
    ttl: int


class DecMplsTtl(Action):
    pass


class PushMpls(Action):
    eth_type: int


class PopMpls(Action):
    eth_type: int


class DecNshTtl(Action):
    pass


class DeleteField(Action):
    field: str


class SetTunnel(Action):
    """wide: written as set_tunnel64."""

    tun_id: int
    wide: bool = False


class SetQueue(Action):
    queue: int


class PopQueue(Action):
    pass


class FinTimeout(Action):
    idle: int = 0
    hard: int = 0


class Resubmit(Action):
    """in_port: 0xfff8 keeps it; table: 255 is the current one; ct: look up with the ct tuple."""

    in_port: int = 0xfff8
    table: int = 0xff
    ct: bool = False


class LearnSpec(Value):
    """One part of a learned flow.

    src: where the bits come from, a subfield or None for the constant `value`.
    kind: 0 match, 1 load, 2 output; dst: where they go, None for output.
    """

    n_bits: int
    src: Subfield | None
    value: int
    kind: int
    dst: Subfield | None


class Learn(Action):
    """flags: LEARN_* of schema/openflow/actions.py; result_dst: set to whether it learned."""

    table: int = 1
    idle_timeout: int = 0
    hard_timeout: int = 0
    priority: int = 32768
    cookie: int = 0
    flags: int = 0
    fin_idle_timeout: int = 0
    fin_hard_timeout: int = 0
    limit: int = 0
    result_dst: Subfield | None = None
    specs: tuple[LearnSpec, ...] = ()


class Conjunction(Action):
    """clause: counted from 0."""

    id: int
    clause: int
    n_clauses: int


class Multipath(Action):
    """fields and algorithm: indices in HASH_FIELDS and MULTIPATH_ALGORITHMS."""

    fields: int
    basis: int
    algorithm: int
    max_link: int
    arg: int
    dst: Subfield


class Note(Action):
    data: bytes


class Exit(Action):
    pass


class UnrollXlate(Action):
    """Internal to continuations: restores table and cookie for what follows."""

    table: int
    cookie: int


class Sample(Action):
    """direction: 0 default, 1 ingress, 2 egress. port: 0xffff is none.

    domain_src, point_src: subfields read instead of the constants (SAMPLE4), else None.
    """

    probability: int
    collector_set: int
    domain: int = 0
    point: int = 0
    port: int = 0xffff
    direction: int = 0
    domain_src: Subfield | None = None
    point_src: Subfield | None = None


class Ct(Action):
    """flags: CT_COMMIT, CT_FORCE; table: 0xff is none; alg: 0, 21 (ftp), 69 (tftp).

    zone_src: subfield read instead of `zone`, else None. actions: Nat and settings of ct fields.
    """

    flags: int = 0
    table: int = 0xff
    zone: int = 0
    zone_src: Subfield | None = None
    alg: int = 0
    actions: tuple[Action, ...] = ()


class Nat(Action):
    """flags: NAT_*. family: 0, 4 or 6. A port of 0 is absent, a maximum of 0 too."""

    flags: int = 0
    family: int = 0
    ip_min: int = 0
    ip_max: int = 0
    port_min: int = 0
    port_max: int = 0


class CtClear(Action):
    pass


class Clone(Action):
    actions: tuple[Action, ...]


class EncapNsh(Value):
    """NSH header property md_type."""

    md_type: int


class EncapTlv(Value):
    """NSH header property: a TLV of metadata type 2."""

    tlv_class: int
    type: int
    data: bytes


class Encap(Action):
    """packet_type: namespace << 16 | type of the new header."""

    packet_type: int
    props: tuple[Value, ...] = ()
    hdr_size: int = 0


class Decap(Action):
    """packet_type: that of what is inside, PACKET_TYPE_NEXT if the header says it."""

    packet_type: int = 0xfffe


class CheckPktLarger(Action):
    size: int
    dst: Subfield


class DebugRecirc(Action):
    pass


class DebugSlow(Action):
    pass


class Meter(Action):
    meter: int


class ClearActions(Action):
    pass


class WriteActions(Action):
    actions: tuple[Action, ...]


class WriteMetadata(Action):
    metadata: int
    mask: int = 0xffffffffffffffff


class GotoTable(Action):
    table: int


Actions = tuple[Action, ...]
