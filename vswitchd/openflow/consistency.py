"""Do these actions make sense for packets that this match lets in?

check(actions, match, ...) -> (actions, usable protocols). It raises OpenFlowError (OFPBAC_* and
others) where no protocol could carry the flow; where only OpenFlow 1.0 would tolerate it (setting a
field that the packet need not have), the protocols returned are OpenFlow 1.0's, and the caller
refuses the flow with OFPBAC_MATCH_INCONSISTENT if its own is not among them. The actions returned
know what the match says about VLAN tags and L4 protocol; encoders and compile.py need that.

Used for every flow_mod and packet-out, and by ovs-ofctl. Any thread.
"""

from schema.openflow.actions import CT_COMMIT, PACKET_TYPE_ETH, PACKET_TYPE_NSH
from vswitchd.openflow.action_types import (
    Action, Actions, Bundle, CheckPktLarger, Clone, Ct, DecMplsTtl, DecNshTtl, DecTtl, Decap,
    DeleteField, Encap, Enqueue, FinTimeout, GotoTable, Learn, Meter, Multipath, Nat, Output,
    OutputReg, OutputTrunc, PopMpls, PushMpls, PushVlan, RegMove, Resubmit, Sample, SetEthDst,
    SetEthSrc, SetField, SetIpDscp, SetIpEcn, SetIpTtl, SetIpv4Dst, SetIpv4Src, SetL4DstPort,
    SetL4SrcPort, SetMplsLabel, SetMplsTc, SetMplsTtl, SetVlanPcp, SetVlanVid, StackPop,
    StackPush, StripVlan, Subfield, WriteActions,
)
from vswitchd.openflow.action_order import subfield_problem
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import (
    ANY, IN_PORT, INFO, LOCAL, MAX_PORT, NONE, NXM_ANY, OF10_ANY, PROTOCOLS_OF_VERSION,
)
from vswitchd.openflow.match import (
    ETH_IP, ETH_IPV6, ETH_MPLS, ETH_MPLS_MC, ETH_NSH, SCTP, TCP, UDP, VLAN_PRESENT, FieldDict,
    Match, eth_type, prerequisites_hold, put,
)

_ONLY_10 = OF10_ANY | NXM_ANY
_WILD = (0, 0)
MAX_METER = 0xffff0000
UNKNOWN_PACKET = 0xffffffff


def _bad(name: str, reason: str = "", module: str = "ofp_actions") -> OpenFlowError:
    return OpenFlowError(name, reason, module, log=((module, reason),) if reason else ())


class _Check:
    """State while actions are walked: the flow as it is after those already seen."""

    __slots__ = ("fields", "usable", "table", "n_tables", "max_ports", "inner_vlan")

    def __init__(self, fields: FieldDict, table: int, n_tables: int, max_ports: int) -> None:
        self.fields = fields
        self.usable = ANY
        self.table, self.n_tables, self.max_ports = table, n_tables, max_ports
        self.inner_vlan = 0

    def value(self, key: str) -> int:
        return self.fields.get(key, _WILD)[0]

    def assume(self, key: str, value: int) -> None:
        self.fields[key] = (value, self.fields.get(key, _WILD)[1] or 0xffffffff)

    def inconsistent_if(self, condition: bool) -> None:
        if condition:
            self.usable &= _ONLY_10

    @property
    def is_ip(self) -> bool:
        return eth_type(self.fields) in (ETH_IP, ETH_IPV6) and self._is_ethernet_or_l3

    @property
    def _is_ethernet_or_l3(self) -> bool:
        return self.value("packet_type") != UNKNOWN_PACKET

    @property
    def is_mpls(self) -> bool:
        return eth_type(self.fields) in (ETH_MPLS, ETH_MPLS_MC)

    def port(self, port: int) -> None:
        if port < self.max_ports or IN_PORT <= port <= LOCAL:
            return
        raise _bad("OFPBAC_BAD_OUT_PORT")

    def subfield(self, subfield: Subfield, role: str, fields: FieldDict | None = None) -> None:
        info = INFO[subfield.field]
        problem = subfield_problem(info, subfield.offset, subfield.n_bits, "source")
        if problem:
            raise _bad(problem[0], problem[1].replace("source", role), "meta_flow")
        if not prerequisites_hold(self.fields if fields is None else fields, info):
            raise _bad("OFPBAC_MATCH_INCONSISTENT",
                       f"{role} field {info.name} lacks correct prerequisites", "meta_flow")
        if role == "destination" and not info.writable:
            raise _bad("OFPBAC_BAD_SET_ARGUMENT",
                       f"destination field {info.name} is not writable", "meta_flow")


_CT_ADDRESSES = {"ct_nw_src": ETH_IP, "ct_nw_dst": ETH_IP, "ct_ipv6_src": ETH_IPV6,
                 "ct_ipv6_dst": ETH_IPV6}


def check(actions: Actions, match: Match, *, table: int = 0xff, n_tables: int = 0xff,
          max_ports: int = MAX_PORT, version: int = 0) -> tuple[Actions, int]:
    """Checks `actions` of a flow in `table` (255: unknown) against its match.

    n_tables: how many the switch has, 255 if it does not matter. max_ports: number of ports a
    switch can have, 0xff00 unless it is known. version: version byte of the message that carried
    them, 0 for text; a flow that it cannot say is OFPBAC_MATCH_INCONSISTENT, and a match on
    ct_nw_* needs the ethertype. Returns (actions, protocols that can say this). Raises
    OpenFlowError.
    """
    if version and not _CT_ADDRESSES.keys().isdisjoint(match.fields):
        kind = match.eth_type
        if any(key in match.fields and kind != needed for key, needed in _CT_ADDRESSES.items()):
            raise _bad("OFPBAC_MATCH_INCONSISTENT")
    state = _Check(dict(match.fields), table, n_tables, max_ports)
    actions = _walk(actions, state)
    if version and not state.usable & PROTOCOLS_OF_VERSION[version]:
        raise _bad("OFPBAC_MATCH_INCONSISTENT")
    return actions, state.usable


def _walk(actions: Actions, state: _Check) -> Actions:
    out: list[Action] | None = None
    for index, action in enumerate(actions):
        step = _STEPS.get(type(action))
        if step is None:
            continue
        new = step(action, state)
        if new is not None and new != action:
            if out is None:
                out = list(actions)
            out[index] = new
    return actions if out is None else tuple(out)


def _output(action: Output | OutputTrunc, state: _Check) -> None:
    port = action.port
    if port < state.max_ports or IN_PORT <= port <= LOCAL:
        return
    raise _bad("OFPBAC_BAD_OUT_PORT")


def _enqueue(action: Enqueue, state: _Check) -> None:
    if action.port >= state.max_ports and action.port not in (IN_PORT, LOCAL):
        raise _bad("OFPBAC_BAD_OUT_PORT")


def _output_reg(action: OutputReg, state: _Check) -> None:
    state.subfield(action.src, "source")


def _bundle(action: Bundle, state: _Check) -> None:
    if action.dst is not None:
        state.subfield(action.dst, "destination")
    for port in action.members:
        if port != NONE:
            try:
                state.port(port)
            except OpenFlowError:
                raise _bad("OFPBAC_BAD_OUT_PORT", f"invalid member {port}", "bundle") from None


def _vlan(action: SetVlanVid | SetVlanPcp, state: _Check) -> Action:
    has_vlan = bool(state.value("vlan_tci") & VLAN_PRESENT)
    state.inconsistent_if(not has_vlan and not action.push)
    state.assume("vlan_tci", state.value("vlan_tci") | VLAN_PRESENT)
    return action if action.has_vlan == has_vlan else type(action)(action[0], action.push, has_vlan)


def _strip_vlan(action: StripVlan, state: _Check) -> None:
    state.inconsistent_if(not state.value("vlan_tci") & VLAN_PRESENT)
    state.assume("vlan_tci", state.inner_vlan)
    state.inner_vlan = 0


def _push_vlan(action: PushVlan, state: _Check) -> None:
    if state.inner_vlan & VLAN_PRESENT:
        raise _bad("OFPBAC_BAD_TAG")
    state.inner_vlan = state.value("vlan_tci")
    state.assume("vlan_tci", VLAN_PRESENT)


def _ethernet(action: Action, state: _Check) -> None:
    state.inconsistent_if(state.value("packet_type") != PACKET_TYPE_ETH)


def _ipv4(action: Action, state: _Check) -> None:
    state.inconsistent_if(eth_type(state.fields) != ETH_IP)


def _ip(action: Action, state: _Check) -> None:
    state.inconsistent_if(not state.is_ip)


def _mpls(action: Action, state: _Check) -> None:
    state.inconsistent_if(not state.is_mpls)


def _l4(action: SetL4SrcPort | SetL4DstPort, state: _Check) -> Action:
    proto = state.value("nw_proto")
    state.inconsistent_if(not state.is_ip or bool(state.value("ip_frag") & 2)
                          or proto not in (TCP, UDP, SCTP))
    return action if action.proto == proto else type(action)(action.port, proto)


def _set_field(action: SetField, state: _Check) -> Action | None:
    info = INFO[action.field]
    if (not prerequisites_hold(state.fields, info)
            or info.name == "vlan_vid" and not state.value("vlan_tci") & VLAN_PRESENT):
        raise _bad("OFPBAC_MATCH_INCONSISTENT",
                   f"set_field {info.name} lacks correct prerequisites")
    if info.name != "vlan_tci":
        return None
    has_vlan = bool(state.value("vlan_tci") & VLAN_PRESENT)
    state.assume("vlan_tci", action.value)
    return action if action.has_vlan == has_vlan else action.replace(has_vlan=has_vlan)


def _move(action: RegMove, state: _Check) -> None:
    state.subfield(action.src, "source")
    state.subfield(action.dst, "destination")


def _stack_push(action: StackPush, state: _Check) -> None:
    state.subfield(action.subfield, "source")


def _stack_pop(action: StackPop, state: _Check) -> None:
    state.subfield(action.subfield, "destination")


def _to_dst(action: Multipath | CheckPktLarger, state: _Check) -> None:
    state.subfield(action.dst, "destination")


def _delete_field(action: DeleteField, state: _Check) -> None:
    if not INFO[action.field].variable:
        raise _bad("OFPBAC_BAD_ARGUMENT")


def _push_mpls(action: PushMpls, state: _Check) -> None:
    state.inconsistent_if(state.value("packet_type") != PACKET_TYPE_ETH)
    state.assume("eth_type", action.eth_type)
    state.assume("nw_proto", 0)                 # the payload of MPLS is opaque


def _pop_mpls(action: PopMpls, state: _Check) -> None:
    state.inconsistent_if(state.value("packet_type") != PACKET_TYPE_ETH or not state.is_mpls)
    state.assume("eth_type", action.eth_type)


def _resubmit(action: Resubmit, state: _Check) -> None:
    if action.ct and not prerequisites_hold(state.fields, INFO["ct_nw_src"]):
        raise _bad("OFPBAC_MATCH_INCONSISTENT")


def _fin_timeout(action: FinTimeout, state: _Check) -> None:
    state.inconsistent_if(state.value("nw_proto") != TCP)


def _learn(action: Learn, state: _Check) -> None:
    learned: FieldDict = {}
    for spec in action.specs:
        if spec.src is not None:
            state.subfield(spec.src, "source")
        if spec.kind == 0:
            state.subfield(spec.dst, "source", learned)
            if spec.src is None:
                mask = (1 << spec.n_bits) - 1 << spec.dst.offset
                info = INFO[spec.dst.field]
                put(learned, info, spec.value << spec.dst.offset, mask)
        elif spec.kind == 1:
            state.subfield(spec.dst, "destination", learned)


def _sample(action: Sample, state: _Check) -> None:
    for src in (action.domain_src, action.point_src):
        if src is not None:
            state.subfield(src, "source")


def _ct(action: Ct, state: _Check) -> Action | None:
    proto = state.value("nw_proto")
    if (not state.is_ip or action.alg == 21 and proto != TCP or action.alg == 69 and proto != UDP):
        raise _bad("OFPBAC_MATCH_INCONSISTENT")
    if action.zone_src is not None:
        state.subfield(action.zone_src, "source")
        return None
    inner = _walk(action.actions, state)
    return None if inner is action.actions else action.replace(actions=inner)


def _nat(action: Nat, state: _Check) -> None:
    kind = eth_type(state.fields)
    if (not state.is_ip or action.family == 4 and kind != ETH_IP
            or action.family == 6 and kind != ETH_IPV6):
        raise _bad("OFPBAC_MATCH_INCONSISTENT")


def _clone(action: Clone, state: _Check) -> Action | None:
    before, inner_vlan = dict(state.fields), state.inner_vlan
    inner = _walk(action.actions, state)
    state.fields, state.inner_vlan = before, inner_vlan
    return None if inner is action.actions else Clone(inner)


def _encap(action: Encap, state: _Check) -> None:
    state.fields["packet_type"] = (action.packet_type, 0xffffffff)
    if action.packet_type >> 16 == 1:
        state.assume("eth_type", action.packet_type & 0xffff)
    if not state.is_ip:
        state.assume("nw_proto", 0)


def _decap(action: Decap, state: _Check) -> None:
    if state.value("packet_type") == PACKET_TYPE_ETH:
        kind = 0x10000 | state.value("eth_type")
    else:
        kind = UNKNOWN_PACKET                   # nothing is known of what is inside
        state.assume("eth_type", 0xffff)
    state.fields["packet_type"] = (kind, 0xffffffff)


def _dec_nsh_ttl(action: DecNshTtl, state: _Check) -> None:
    state.inconsistent_if(state.value("packet_type") != PACKET_TYPE_NSH
                          and eth_type(state.fields) != ETH_NSH)


def _meter(action: Meter, state: _Check) -> None:
    if not 0 < action.meter <= MAX_METER:
        raise _bad("OFPMMFC_INVALID_METER")


def _write_actions(action: WriteActions, state: _Check) -> Action | None:
    # What an action set finds when it runs cannot be known, so protocols do not suffer.
    inner_state = _Check(dict(state.fields), state.table, state.n_tables, state.max_ports)
    inner_state.inner_vlan = state.inner_vlan
    inner = _walk(action.actions, inner_state)
    return None if inner is action.actions else WriteActions(inner)


def _goto_table(action: GotoTable, state: _Check) -> None:
    if (state.table != 0xff and action.table <= state.table
            or state.n_tables != 0xff and action.table >= state.n_tables):
        raise _bad("OFPBIC_BAD_TABLE_ID")


_STEPS = {
    Output: _output, OutputTrunc: _output, Enqueue: _enqueue, OutputReg: _output_reg,
    Bundle: _bundle, SetVlanVid: _vlan, SetVlanPcp: _vlan, StripVlan: _strip_vlan,
    PushVlan: _push_vlan, SetEthSrc: _ethernet, SetEthDst: _ethernet, SetIpv4Src: _ipv4,
    SetIpv4Dst: _ipv4, SetIpDscp: _ip, SetIpEcn: _ip, SetIpTtl: _ip, SetL4SrcPort: _l4,
    SetL4DstPort: _l4, SetField: _set_field, RegMove: _move, StackPush: _stack_push,
    StackPop: _stack_pop, DecTtl: _ip, SetMplsLabel: _mpls, SetMplsTc: _mpls, SetMplsTtl: _mpls,
    DecMplsTtl: _mpls, PushMpls: _push_mpls, PopMpls: _pop_mpls, Resubmit: _resubmit,
    FinTimeout: _fin_timeout, Learn: _learn, Multipath: _to_dst, CheckPktLarger: _to_dst,
    DeleteField: _delete_field, Sample: _sample, Ct: _ct, Nat: _nat, Clone: _clone,
    Encap: _encap, Decap: _decap, DecNshTtl: _dec_nsh_ttl, Meter: _meter,
    WriteActions: _write_actions, GotoTable: _goto_table,
}

__all__ = ["check", "CT_COMMIT"]
