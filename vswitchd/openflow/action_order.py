"""Order and nesting of actions and instructions, and what fields actions write.

`verify` is what the reference checks whenever it reads a list of actions, from the wire or from
text; `consistency.py` goes on to compare them with a match. Any thread.
"""

from schema.openflow.actions import INSTRUCTIONS, NAMES
from vswitchd.openflow import action_types
from vswitchd.openflow.action_types import (
    Action, Actions, Bundle, CheckPktLarger, Clone, Conjunction, Controller, Ct, DecTtl, GotoTable,
    Group, Learn, Meter, Multipath, Nat, Note, Output, RegMove, Resubmit, SetEthDst, SetEthSrc,
    SetField, SetIpDscp, SetIpEcn, SetIpTtl, SetIpv4Dst, SetIpv4Src, SetL4DstPort, SetL4SrcPort,
    SetMplsLabel, SetMplsTc, SetMplsTtl, SetQueue, SetTunnel, SetVlanPcp, SetVlanVid, StackPop,
    StripVlan, WriteActions, WriteMetadata,
)
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import INFO, Info

MODULE = "ofp_actions"
NAME_OF: dict[type, str] = {getattr(action_types, row.action): row.texts[0] for row in NAMES}
_INSTRUCTION_OF: dict[type, int] = {
    getattr(action_types, row.action): index for index, row in enumerate(INSTRUCTIONS)
    if row.action}
INSTRUCTION_NAMES = tuple(row.name for row in INSTRUCTIONS)
APPLY = 1                                       # index of apply_actions in INSTRUCTIONS


def bad(name: str, reason: str = "", module: str = MODULE) -> OpenFlowError:
    """An error whose reason, if any, is also the line that the reference logs."""
    return OpenFlowError(name, reason, module, log=((module, reason),) if reason else ())


def instruction_of(action: Action, version: int = 2) -> int:
    """Index in INSTRUCTIONS of what carries an action; from 1.5 on a meter is a plain action."""
    index = _INSTRUCTION_OF.get(type(action), APPLY)
    return APPLY if version >= 6 and index == 0 else index


def fields_set(action: Action) -> Info | None:
    """The field that an action writes, None if it writes none."""
    match action:
        case SetField():
            return INFO[action.field]
        case RegMove() | CheckPktLarger():
            return INFO[action.dst.field]
        case StackPop():
            return INFO[action.subfield.field]
        case Bundle() | Multipath() if action.dst is not None:
            return INFO[action.dst.field]
        case Learn() if action.result_dst is not None:
            return INFO[action.result_dst.field]
    name = _SETTERS.get(type(action))
    return INFO[name] if name else None


_SETTERS: dict[type, str] = {
    SetVlanVid: "vlan_vid", SetVlanPcp: "vlan_pcp", SetEthSrc: "eth_src", SetEthDst: "eth_dst",
    SetIpv4Src: "ip_src", SetIpv4Dst: "ip_dst", SetIpDscp: "nw_tos", SetIpEcn: "nw_ecn",
    SetIpTtl: "nw_ttl", SetMplsLabel: "mpls_label", SetMplsTc: "mpls_tc", SetMplsTtl: "mpls_ttl",
    SetTunnel: "tun_id", SetL4SrcPort: "tcp_src", SetL4DstPort: "tcp_dst",
    WriteMetadata: "metadata",
}


def subfield_problem(info: Info, offset: int, n_bits: int, role: str) -> tuple[str, str] | None:
    """What is wrong with a subfield as source or destination: (error name, log text) or None."""
    if not n_bits:
        return "OFPBAC_BAD_SET_LEN", f"zero bit {role} field {info.name}"
    if offset >= info.bits:
        return "OFPBAC_BAD_SET_LEN", (f"bit offset {offset} exceeds {info.bits}-bit width of "
                                      f"{role} field {info.name}")
    if offset + n_bits > info.bits:
        return "OFPBAC_BAD_SET_LEN", (f"bit offset {offset} and width {n_bits} exceeds "
                                      f"{info.bits}-bit width of {role} field {info.name}")
    if role == "destination" and not info.writable:
        return "OFPBAC_BAD_SET_ARGUMENT", f"destination field {info.name} is not writable"
    return None


def verify(actions: Actions, *, instructions: bool = True, outer: type | None = None,
           version: int = 2) -> None:
    """Checks order of instructions and nesting.

    instructions: others than actions are allowed. outer: class of the action around, if any.
    Raises OpenFlowError whose reason is what ovs-ofctl says about it.
    """
    previous = 0
    for index, action in enumerate(actions):
        if type(action) is Conjunction:
            for other in actions:
                if type(other) is not Conjunction and type(other) is not Note:
                    raise bad("NXBAC_BAD_CONJUNCTION",
                              '"conjunction" actions may be used along with "note" but not any '
                              f'other kind of action (such as the "{NAME_OF[type(other)]}" '
                              "action used here)")
            return
        _verify_nested(action, outer)
        current = instruction_of(action, version)
        if index and (current < previous if previous == APPLY else current <= previous):
            name, next_name = INSTRUCTION_NAMES[previous], INSTRUCTION_NAMES[current]
            if current == previous:
                raise bad("OFPBAC_UNSUPPORTED_ORDER",
                          f"duplicate {name} instruction not allowed, for OpenFlow 1.1+ "
                          "compatibility")
            raise bad("OFPBAC_UNSUPPORTED_ORDER",
                      f"invalid instruction ordering: {next_name} must appear before {name}, "
                      "for OpenFlow 1.1+ compatibility")
        if not instructions and current not in (APPLY, 0):
            raise bad("OFPBIC_UNSUP_INST",
                      f"{INSTRUCTION_NAMES[current]} instruction not allowed here")
        previous = current


_CT_FIELDS = frozenset({"ct_mark", "ct_label"})
_PLAIN = frozenset({Output, Group, Resubmit, Controller, DecTtl, GotoTable, SetQueue, StripVlan})


def _verify_nested(action: Action, outer: type | None) -> None:
    kind = type(action)
    field = fields_set(action) if outer is Ct or kind not in _PLAIN else None
    if field is not None and field.name in _CT_FIELDS and outer is not Ct:
        raise bad("OFPBAC_BAD_SET_ARGUMENT", "cannot set CT fields outside of ct action")
    if kind is Nat:
        if outer is not Ct:
            raise bad("OFPBAC_BAD_SET_ARGUMENT", 'Cannot have NAT action outside of "ct" action')
        return
    if kind is Meter and outer in (Clone, WriteActions):
        raise bad("OFPBAC_BAD_ARGUMENT",
                  f"{NAME_OF[outer]} action doesn't support nested action meter")
    if outer is Ct:
        if field is None:
            raise bad("OFPBAC_BAD_ARGUMENT",
                      f"ct action doesn't support nested action {NAME_OF[kind]}")
        if field.name not in _CT_FIELDS:
            raise bad("OFPBAC_BAD_ARGUMENT",
                      f"ct action doesn't support nested modification of {field.name}")
