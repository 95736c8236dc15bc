"""`ofproto/trace`: the translator's account of itself, as a tree and as the reference's text.

`build_tree` turns the events of a traced translation (schema/flow/trace.py) into `Line`s,
`format_tree` sets them as the reference does, `tree_value` makes plain lists and dicts of them for
JSON. `trace_flow` does the whole: it translates a flow, follows what connection tracking sends
round again, and writes Flow, tree, Final flow, Megaflow and Datapath actions.

What only the daemon knows (names of bridges and ports, a group's buckets) comes in `Names`.
Control task only.
"""

import re
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from datapath import action_text, face
from datapath.face import Event
from datapath.match import get_member
from schema.flow.fields import CT_STATE_BITS, FIELDS, FLOW_SIZE, OFFSET, VLAN_PRESENT
from schema.flow.drops import DROPS
from schema.flow.seam import SEAM
from schema.flow.trace import TRACE, TRACES, Node
from vswitchd.openflow import options, packed, source
from vswitchd.openflow.action_text import format_actions, format_subfield
from vswitchd.openflow.action_types import Actions, Subfield
from vswitchd.openflow.compile import number_actions
from vswitchd.openflow.fields import INFO
from vswitchd.openflow.learned import MARK, unpack_learned
from vswitchd.openflow.match import Match
from vswitchd.openflow.text import ABSENT, format_flow, format_match, format_megaflow
from vswitchd.openflow.value_text import RESERVED_PORTS, format_value

_EVENT = struct.Struct("=HHIQ4Q")
_TERMINAL = frozenset((Node.ACTION, Node.BUCKET, Node.DETAIL, Node.WARN, Node.ERROR))
_MARKS = {Node.DETAIL: " -> {}", Node.WARN: " >> {}", Node.ERROR: " >>>> {} <<<<"}
_MEMBERS = (TRACE["member"], TRACE["unroll_member"], TRACE["part"])
_FIELD_NAMES = {row.id: row.name for row in FIELDS}
_PLACEHOLDER = re.compile(r"\{(\w+)(?::([^}]*))?\}")
_RULE_LINE = "="*79
_NAT_SRC, _NAT_DST = 1, 2
_MOST = 1000                    # translations of a trace
_SEND_FLOW_REM = 1              # of a learn action

_CHANGES = frozenset(action_text.Type[name] for name in (
    "USERSPACE", "SET", "PUSH_VLAN", "POP_VLAN", "PUSH_MPLS", "ADD_MPLS", "POP_MPLS", "PUSH_ETH",
    "POP_ETH", "PUSH_NSH", "POP_NSH", "CT_CLEAR"))

_ERRORS = {
    "bridge_not_found": "Bridge not found", "recursion": "Recursion too deep",
    "resubmits": "Too many resubmits", "stack": "Stack too deep",
    "no_recirculation": "No recirculation context",
    "recirculation_conflict": "Recirculation conflict", "mpls_depth": "Too many MPLS labels",
    "tunnel_metadata": "Invalid tunnel metadata", "unsupported_type": "Unsupported packet type",
    "congestion": "Congestion Drop", "forwarding_disabled": "Forwarding is disabled",
}
_SLOW = {
    "SLOW_CFM": "Consists of CFM packets", "SLOW_BFD": "Consists of BFD packets",
    "SLOW_LACP": "Consists of LACP packets", "SLOW_STP": "Consists of STP packets",
    "SLOW_LLDP": "Consists of LLDP packets",
    "SLOW_ACTION": "Uses action(s) not supported by datapath",
    "SLOW_MATCH": "Needs more specific match in datapath",
}


_NOTHING = 0xffffffff           # what a bucket watches that watches no port, or no group


class Names(NamedTuple):
    """What the text needs to know of the switch.

    bridge: name of a bridge handle; bundle: name of the Port with a bundle id of a bridge handle;
    bucket: actions of a bucket by (bridge, group, index); ports and odp_ports: {number: name} where
    names are asked for (--names), else None; bridge_ports: the same by bridge handle, if `ports`
    are not those of all.
    """

    bridge: Callable[[int], str]
    bundle: Callable[[int, int], str]
    bucket: Callable[[int, int, int], Actions] = lambda bridge, group, index: ()
    ports: Mapping[int, str] | None = None
    odp_ports: Mapping[int, str] | None = None
    bridge_ports: Callable[[int], Mapping[int, str]] | None = None


class Account(NamedTuple):
    """A trace: the reference's text, and plain values of each translation for JSON."""

    text: str
    translations: list[dict]


@dataclass(slots=True)
class Line:
    """A line of a trace and what hangs below it."""

    node: Node
    kind: str
    text: str
    below: list["Line"] = field(default_factory=list)


class _Writer:
    """Makes texts of events; remembers rules and the bridge it is in."""

    def __init__(self, names: Names, program: Actions) -> None:
        self.names = names
        self.program = tuple(number_actions(program))
        self.bridges: list[tuple[int, int]] = []          # (depth, handle)
        self.rules: dict[int, face.Rule | None] = {}

    def rule(self, handle: int) -> face.Rule | None:
        if handle not in self.rules:
            self.rules[handle] = face.rule(handle) if handle else None
        return self.rules[handle]

    def actions(self, event: Event) -> Sequence:
        group, index = event.arguments[:2]
        if index:
            return tuple(number_actions(
                self.names.bucket(group >> 32, group & 0xffffffff, index - 1)))
        if event.rule:
            rule = self.rule(event.rule)
            return tuple(number_actions(source.unpack(rule.source))) if rule else ()
        return self.program

    def action(self, event: Event) -> str:
        actions = self.actions(event)
        if event.source < len(actions):
            return _whole_options(format_actions((actions[event.source],), self.ports))
        return "?"

    def rule_text(self, event: Event) -> str:
        rule = self.rule(event.rule)
        if rule is None:
            return "?"
        text = format_match(packed.unpack(rule.value, rule.mask), self.ports)
        text += f"{', ' if text else ''}priority {rule.priority}"
        return text + (f", cookie {rule.cookie:#x}" if rule.cookie else "")

    def option(self, event: Event) -> Subfield:
        """What the action of an event writes to."""
        rule = self.rule(event.rule)
        actions = tuple(number_actions(source.unpack(rule.source))) if rule else self.program
        action = actions[event.source] if event.source < len(actions) else None
        return getattr(action, "dst", getattr(action, "subfield", None)) or Subfield("?", 0, 0)

    def subfield(self, event: Event) -> str:
        number, place, *_ = event.arguments
        if number not in _FIELD_NAMES:          # a piece of a tunnel option
            return _whole_options(format_subfield(self.option(event)))
        return format_subfield(Subfield(_FIELD_NAMES[number], place >> 16, place & 0xffff))

    def value(self, event: Event) -> str:
        number, place, high, low = event.arguments
        value = high << 64 | low
        if number not in _FIELD_NAMES:
            return f"{value:#x}" if value else "0"
        info = INFO[_FIELD_NAMES[number]]
        if place & 0xffff == info.bits:
            return format_value(info, value, names=self.ports)
        return f"{value:#x}" if value else "0"

    def learned(self, event: Event, parts: Sequence[Event]) -> str:
        """The flow that a learn action makes, as the reference shows it."""
        words: dict[int, int] = {part.arguments[0]: part.arguments[1] for part in parts}
        data = b"".join(words.get(index, 0).to_bytes(8, sys.byteorder)
                        for index in range(max(words, default=0) + 1)).ljust(2 * FLOW_SIZE, b"\0")
        data += bytes(64)       # Zero words are not told.
        value, mask, ops = data[:FLOW_SIZE], data[FLOW_SIZE:2 * FLOW_SIZE], data[2 * FLOW_SIZE:]
        table, priority, cookie, timeouts = event.arguments
        out = f"table={table} {format_match(packed.unpack(value, mask), None)}"
        out += f" priority={priority}"
        for name, number in (("cookie", cookie), ("idle", timeouts >> 16 & 0xffff),
                             ("hard", timeouts & 0xffff)):
            if number:
                out += f" {name}={number:#x}" if name == "cookie" else f" {name}={number}"
        if timeouts >> 32 & _SEND_FLOW_REM:
            out += " send_flow_rem"
        actions = format_actions(unpack_learned(MARK + ops), None)
        return f"{out} actions={actions}"

    @property
    def ports(self) -> Mapping[int, str] | None:
        """The names of the bridge's ports, where names are asked for."""
        names = self.names
        if names.ports is None or not self.bridges or names.bridge_ports is None:
            return names.ports
        return names.bridge_ports(self.bridges[-1][1])

    def unnamed(self) -> "_Writer":
        """This one with numbers for names: so the reference lists actions."""
        return self if self.names.ports is None else _Writer(
            self.names._replace(ports=None), self.program)

    def text(self, event: Event, members: Sequence[Event]) -> str:
        """The text of an event; `members` are those that it lists."""
        bridge = self.bridges[-1][1] if self.bridges else 0

        def fill(match: re.Match) -> str:
            name, form = match.groups()
            if not name.isdigit():
                if name == "learned":
                    return self.learned(event, members)
                if name == "members":
                    unnamed = self.unnamed()
                    return ",".join(unnamed.text(member, ()) for member in members) or "drop"
                return {"rule": self.rule_text, "action": self.action, "subfield": self.subfield,
                        "value": self.value}[name](event)
            number = event.arguments[int(name)]
            match form:
                case "mac":
                    return ":".join(f"{byte:02x}" for byte in number.to_bytes(6, "big"))
                case "bundle":
                    return self.names.bundle(bridge, number)
                case "reserved":
                    return RESERVED_PORTS.get(number, str(number))
                case "watched":
                    watched = (number >> 32, number & 0xffffffff)
                    return " and ".join(f"port {each}" for each in watched if each != _NOTHING)
                case "bridge":
                    return self.names.bridge(number)
                case "field":
                    return _FIELD_NAMES[number]
                case "#x" if not number:
                    return "0"
            return format(number, form or "d")

        return _PLACEHOLDER.sub(fill, TRACES[event.kind - 1].text)


def _whole_options(text: str) -> str:
    """Text in which all bits of a tunnel option are told as the whole field."""
    for number, place in options.PLACES.items():
        text = text.replace(f"TUN_METADATA{number}[0..{8 * place.size - 1}]",
                            f"TUN_METADATA{number}[]")
    return text


def build_tree(events: Sequence[Event], names: Names, program: Actions = ()) -> list[Line]:
    """The lines of a traced translation. `program`: the actions that it began with, if any."""
    writer = _Writer(names, program)
    root: list[Line] = []
    stack = [root]                  # lists of lines by depth
    at = 0
    while at < len(events):
        event = events[at]
        row = TRACES[event.kind - 1]
        at += 1
        first = at
        while at < len(events) and events[at].kind in _MEMBERS:
            at += 1
        if row.node is Node.HIDDEN:
            continue
        del stack[event.depth + 1:]
        while writer.bridges and writer.bridges[-1][0] >= event.depth:
            writer.bridges.pop()
        if row.node is Node.BRIDGE:
            writer.bridges.append((event.depth, event.arguments[0]))
        line = Line(row.node, row.name, writer.text(event, events[first:at]))
        stack[min(event.depth, len(stack) - 1)].append(line)
        stack.append(line.below)
    return root


def format_complaint(event: bytes, flow: bytes, bridge: int, names: Names) -> str:
    """The sentence that the reference logs when a real packet meets an error.

    event: the packed struct trace_event of a LOG record; flow, bridge: that record's.
    """
    kind, depth, place, rule, *arguments = _EVENT.unpack(event)
    writer = _Writer(names, ())
    writer.bridges.append((0, bridge))
    text = writer.text(Event(kind, depth, place, rule, tuple(arguments)), ())
    return f"{text} on bridge {names.bridge(bridge)} while processing {_flow_text(flow, names)}"


def format_tree(lines: Sequence[Line], level: int = 0) -> str:
    """The lines as the reference sets them.

    What is last of its list and may have others below does not indent them: a chain of resubmits
    stays flat.
    """
    out = ""
    for index, line in enumerate(lines):
        more = index + 1 < len(lines) or line.node in _TERMINAL
        indent = " " * (4 * (level + more))
        if line.node is Node.BRIDGE:
            out += f"\n{indent}{line.text}\n{indent}{'-' * len(line.text)}\n"
        else:
            out += f"{indent}{_MARKS.get(line.node, '{}').format(line.text)}\n"
        out += format_tree(line.below, level + 2 * more)
    return out


def tree_value(lines: Sequence[Line]) -> list[dict]:
    """The lines as plain values."""
    return [{"node": line.node.value, "kind": line.kind, "text": line.text,
             **({"below": tree_value(line.below)} if line.below else {})} for line in lines]


def _comparable(flow: bytes) -> bytes:
    """A flow with the usual type of its tags where its text left that out."""
    for number in (0, 1):
        at = OFFSET[f"vlan{number}_tpid"]
        if get_member(flow, f"vlan{number}_tci") & VLAN_PRESENT and not any(flow[at:at + 2]):
            flow = flow[:at] + b"\x81\0" + flow[at + 2:]
    return flow


class _Returning(NamedTuple):
    """What comes back from connection tracking; `nat` as TRACE["nat"] tells it, or None."""

    recirc_id: int
    zone: int
    flow: bytearray
    nat: list[tuple[int, int, int, int]]


def _returning(first: bytes, events: Sequence[Event]) -> list[_Returning]:
    found: list[_Returning] = []
    for event in events:
        if event.kind == TRACE["recirculates"]:
            found.append(_Returning(*event.arguments[:2], bytearray(first), []))
        elif event.kind == TRACE["word"] and found:
            at = event.arguments[0] * 8
            found[-1].flow[at:at + 8] = event.arguments[1].to_bytes(8, sys.byteorder)
        elif event.kind == TRACE["nat"] and found:
            found[-1].nat.append(event.arguments)
    return found


def _translate_address(back: _Returning) -> str:
    """Does to a flow what NAT would do to its packet, with the first address and port there are;
    returns how the reference tells of it, "" without NAT."""
    if not back.nat:
        return ""
    head, high, low, _ = back.nat[0]
    flags, family, port = head & 0xff, head >> 8 & 0xff, head >> 16
    out = "Replacing src/dst IP/ports to simulate NAT:\n"
    is_told = family and flags & (_NAT_SRC | _NAT_DST)
    initial = _address_text(back.flow) if is_told else ""
    for bit, side in ((_NAT_SRC, "src"), (_NAT_DST, "dst")):
        if flags & bit:
            name, size = (f"nw_{side}", 4) if family == 4 else (f"ipv6_{side}", 16)
            address = (high << 64 | low).to_bytes(16, "big")[:size]
            if is_told:
                back.flow[OFFSET[name]:OFFSET[name] + size] = address
            if port:
                at = OFFSET[f"tp_{side}"]
                back.flow[at:at + 2] = port.to_bytes(2, "big")
    modified = _address_text(back.flow) if is_told else ""
    return out + f" Initial flow: {initial}\n Modified flow: {modified}\n"


def _address_text(flow: bytes) -> str:
    words = []
    for side in ("src", "dst"):
        if get_member(flow, "eth_type") == 0x86dd:
            address = format_value(INFO[f"ipv6_{side}"], get_member(flow, f"ipv6_{side}"))
            words.append(f"ipv6_{side}=[{address}]")
        else:
            address = format_value(INFO[f"ip_{side}"], get_member(flow, f"nw_{side}"))
            words.append(f"nw_{side}={address}")
        words.append(f"tp_{side}={get_member(flow, f'tp_{side}')}")
    return ",".join(words)


def _flow_text(flow: bytes, names: Names) -> str:
    fields = packed.flow_fields(flow)
    fields.pop("actset_output", None)
    fields["vlan1_tci"] = get_member(flow, "vlan1_tci")
    fields["mpls_lse1"], fields["mpls_lse2"] = _inner_labels(flow)
    return format_flow(fields, names.ports)


def _inner_labels(flow: bytes) -> tuple[int, int]:
    """The second and third MPLS label stack entries."""
    entries = get_member(flow, "mpls_lse")
    return entries >> 64 & 0xffffffff, entries >> 32 & 0xffffffff


def _masked(flow: bytes, mask: bytes) -> Match:
    bits = int.from_bytes(flow, "big") & int.from_bytes(mask, "big")
    match = packed.unpack(bits.to_bytes(FLOW_SIZE, "big"), mask)
    if get_member(flow, "packet_type"):
        for key in ("eth_src", "eth_dst"):
            match.fields.pop(key, None)
    tos = get_member(mask, "nw_tos")
    if tos:
        match.fields["nw_tos"] = (get_member(flow, "nw_tos") & tos, tos)
    care = get_member(mask, "tun_flags")
    if care:
        match.fields["tun_flags"] = (get_member(flow, "tun_flags") & care, care)
    care = get_member(mask, "vlan1_tci")
    if care:
        match.fields["vlan1_tci"] = (get_member(flow, "vlan1_tci") & care, care)
    for number, (value, care) in enumerate(zip(_inner_labels(flow), _inner_labels(mask)), 1):
        if care:
            match.fields[f"mpls_lse{number}"] = (value & care, care)
    present = get_member(flow, "tun_metadata_present")
    for key in match.fields:
        number = options.option_number(key)
        if number is not None and not present >> number & 1:
            match.fields[key] = (ABSENT, 0)
    return match


def _section(flow: bytes, shown: bytes, traced: face.Trace, names: Names,
             program: Actions) -> Account:
    """One translation in full: `flow` as it was given, `shown` with an OpenFlow input port."""
    same = _comparable(shown) == _comparable(traced.final)
    tree = build_tree(traced.events, names, program)
    value = {
        "flow": _flow_text(shown, names), "tree": tree_value(tree),
        "final-flow": "unchanged" if same else _flow_text(traced.final, names),
        "megaflow": format_megaflow(_masked(shown, traced.mask), names.ports),
        "datapath-actions": action_text.format_actions(traced.actions, names.odp_ports) or "drop"}
    out = f"Flow: {value['flow']}\n"
    out += format_tree(tree)
    out += f"\nFinal flow: {value['final-flow']}\n"
    out += f"Megaflow: {value['megaflow']}\n"
    out += f"Datapath actions: {value['datapath-actions']}"
    if traced.error:
        value["error"] = _ERRORS.get(DROPS[traced.error].name, DROPS[traced.error].meaning)
        out += f"\nTranslation failed ({value['error']}), packet is dropped.\n"
    elif traced.slow_reasons:
        value["slow-path"] = [sentence for name, sentence in _SLOW.items()
                              if traced.slow_reasons & SEAM[name]]
        out += "\nThis flow is handled by the userspace slow path because it:"
        out += "".join(f"\n  - {sentence}." for sentence in value["slow-path"])
        out += "\n"
    return Account(out, [value])


def trace_flow(dp: int, bridge: int, flow: bytes, names: Names, frame: bytes = b"",
               learn: bool = False, program: bytes | None = None, actions: Actions = (),
               ct_next: Sequence[int] = (),
               execute: Callable[[bytes], None] | None = None) -> Account:
    """The whole of ofproto/trace.

    dp, bridge: handles; flow: struct flow whose in_port is an OpenFlow port of `bridge`. program
    and actions: of trace-packet-out, else the tables decide. ct_next: connection states for the
    frames that come back from connection tracking, in order; then trk|new. execute: is given the
    datapath actions by which controllers get `frame`.
    Raises: DatapathError.
    """
    try:
        traced = face.trace(dp, flow, bridge, frame, learn, program)
        if execute is not None and (told := _to_controllers(traced.actions)):
            execute(told)
        return _trace_rest(dp, bridge, flow, names, frame, learn, traced, actions, ct_next)
    finally:
        face.forget_traces()


def _to_controllers(actions: bytes) -> bytes:
    """Of datapath actions those that send a frame to controllers, and those that change it before;
    none if nothing is sent."""
    kept, at, is_sent = b"", 0, False
    for kind, body in action_text.records(actions):
        end = at + len(body) + action_text.HEAD_SIZE
        if kind in _CHANGES:
            kept += actions[at:end]
            is_sent = is_sent or kind == action_text.Type.USERSPACE
        at = end
    return kept if is_sent else b""


def _trace_rest(dp: int, bridge: int, flow: bytes, names: Names, frame: bytes, learn: bool,
                traced: face.Trace, actions: Actions, ct_next: Sequence[int]) -> Account:
    out, translations = _section(flow, flow, traced, names, actions)
    waiting = _returning(flow, traced.events)
    states = list(ct_next)
    while waiting and len(translations) < _MOST:      # It may go round for ever.
        returning = waiting.pop(0)
        recirc_id, _, back, _ = returning
        translated = _translate_address(returning)
        state = states.pop(0) if states else None
        shown_state = CT_STATE_BITS["trk"] | CT_STATE_BITS["new"] if state is None else state
        at = OFFSET["ct_state"]
        back[at:at + 4] = shown_state.to_bytes(4, "big")
        named = "|".join(name for name, bit in CT_STATE_BITS.items() if shown_state & bit)
        how = (f"with default ct_state={_state_text(shown_state)} (use --ct-next to customize)"
               if state is None else f"with ct_state={named}")
        out += "" if "slow-path" in translations[-1] else "\n"
        out += (f"\n{_RULE_LINE}\nrecirc({recirc_id:#x}) - resume conntrack {how}\n"
                f"{translated}{_RULE_LINE}\n\n")
        traced = face.trace(dp, bytes(back), bridge, frame, learn)
        text, (value,) = _section(bytes(back), bytes(back), traced, names, ())
        out += text
        translations.append({"recirc-id": recirc_id, "ct-state": named} | value)
        waiting += _returning(bytes(back), traced.events)
    return Account(out, translations)


def _state_text(state: int) -> str:
    """A connection state with trk first, as the reference writes its default."""
    names = [name for name, bit in CT_STATE_BITS.items() if state & bit]
    return "|".join(sorted(names, key=lambda name: name != "trk"))
