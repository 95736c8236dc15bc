"""ofproto/trace and ofproto/trace-packet-out: arguments in, the text of `trace.py` out.

    ofproto/trace {[DP] ODP_FLOW | BRIDGE BR_FLOW} [OPTIONS] [-generate | PACKET]

Control task only. Source: ovs-vswitchd(8).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from datapath import face, text
from datapath.match import get_member
from ovsdb_server.rpc.unixctl import Answer, Command, CommandError
from schema.flow.fields import CT_STATE_BITS, MEMBER, Stage
from vswitchd import detrace, dpctl, trace
from vswitchd.openflow import groups, options, packed
from vswitchd.openflow.action_reader import parse_actions
from vswitchd.openflow.action_types import Actions, Group
from vswitchd.openflow.compile import compile_actions, number_actions
from vswitchd.openflow.consistency import check
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import INFO
from vswitchd.openflow.match import Match
from vswitchd.openflow.text import FlowTextError, parse_exact_flow
from vswitchd.switch.bridge import Bridge
from vswitchd.switch.datapath import Datapath
from vswitchd.switch.switch import Switch


@dataclass(slots=True)
class _Arguments:
    """The words of a command, sorted."""

    words: list[str] = field(default_factory=list)
    ct_next: list[int] = field(default_factory=list)
    with_names: bool = False
    generates: bool = False
    is_consistent: bool = False
    l7_size: int = 0


_EXCLUSIVE = {"est": "est", "rpl": "rpy"}         # not with new; how that is said


def _parse_state(written: str) -> int:
    """A connection state of --ct-next. Raises CommandError."""
    state, trk = 0, CT_STATE_BITS["trk"]
    for name in filter(None, written.replace(" ", ",").split(",")):
        if name not in CT_STATE_BITS:
            raise CommandError(f"{name}: unknown connection tracking state flag")
        state |= CT_STATE_BITS[name]
    names = [name for name, bit in CT_STATE_BITS.items() if state & bit]
    problems = []
    if state and not state & trk:
        problems.append('If "trk" is unset, no other flags are set')
    if "inv" in names and set(names) - {"inv", "trk"}:
        problems.append('when "inv" is set, only "trk" may also be set')
    elif "new" in names:
        problems += [f'"new" and "{shown}" are mutually exclusive'
                     for name, shown in _EXCLUSIVE.items() if name in names]
    if problems:
        raise CommandError("\n".join(f"{'|'.join(names)}: invalid connection state: {problem}"
                                     for problem in problems))
    return state


def _arguments(args: list[str], is_packet_out: bool = False) -> _Arguments:
    found, rest = _Arguments(), list(args)
    while rest:
        word = rest.pop(0)
        match word:
            case "-generate" | "--generate":
                found.generates = True
            case "--names":
                found.with_names = True
            case "-consistent" | "--consistent" if is_packet_out:
                found.is_consistent = True
            case "--ct-next" | "--l7" | "--l7-len":
                if not rest:
                    raise CommandError(f"Missing argument for option {word}")
                value = rest.pop(0)
                if word == "--ct-next":
                    found.ct_next.append(_parse_state(value))
                elif word == "--l7":
                    if not re.fullmatch(r"\s*([0-9a-fA-F]{2}\s*)*", value):
                        raise CommandError("Trailing garbage in packet data")
                    found.l7_size = len("".join(value.split())) // 2
                else:
                    found.l7_size = int((re.match(r"\s*-?\d+", value) or ["0"])[0])
                    if not 0 <= found.l7_size <= _MAX_L7:
                        raise CommandError(f"{value}: too much L7 data")
            case _ if word.startswith("-"):
                raise CommandError(f"{word}: unknown option")
            case _:
                found.words.append(word)
    return found


def names_of(switch: Switch, bridge: Bridge | None = None, with_names: bool = False) -> trace.Names:
    """What traces and complaints need to know of a switch; numbers or the names of `bridge`."""
    by_handle = {row.handle: row for row in switch.bridges.values()}

    def bundle(handle: int, identity: int) -> str:
        owner = by_handle.get(handle)
        found = owner.port_of(identity) if owner else None
        if found is None:
            return str(identity)
        return next((port.name for port in owner.bundles for iface in port.interfaces
                     if iface.name == found[0]), found[0])

    return trace.Names(
        lambda handle: by_handle[handle].name if handle in by_handle else "?", bundle,
        groups.bucket_actions,
        {port.ofport: name for name, port in bridge.ports.items()} if with_names else None,
        bridge.datapath.port_names() if with_names else None,
        lambda handle: {port.ofport: name for name, port in by_handle[handle].ports.items()})


class TraceCommands:
    """Handlers over the living switch; `settle` finishes what has been started."""

    def __init__(self, switch: Switch, settle: Callable[[], object]):
        self.switch = switch
        self.settle = settle

    # -- arguments

    def _of_key(self, name: str | None, key: text.Values) -> tuple[Bridge, bytes]:
        """The start of a datapath flow; `name` is that of the datapath or its type."""
        if name is None:
            if len(self.switch.datapaths) != 1:
                raise CommandError("Must specify datapath name, there is more than one type of "
                                   "datapath")
            datapath = next(iter(self.switch.datapaths.values()))
        else:
            datapath = next((row for row in self.switch.datapaths.values()
                             if row.kind == name.removeprefix("ovs-")), None)
            if datapath is None:
                raise CommandError("Cannot find the datapath")
        if not key.get("packet_type", 0) >> 16:
            key.setdefault("eth_type", _NO_ETH_TYPE)
        if datapath.vlan_limit == 1 and key.get("vlan1_tci"):
            # What is behind the first tag is not looked at.
            inner = key["vlan1_tpid"]
            key = {name: value for name, value in key.items() if name not in _INNER_VLAN
                   and MEMBER[name].stage in (Stage.METADATA, Stage.L2)} | {"eth_type": inner}
        return self._of_datapath(datapath, key)

    def _start(self, words: list[str]) -> tuple[Bridge, bytes]:
        """(bridge, struct flow with an OpenFlow in_port) of "[DP] ODP_FLOW" or "BRIDGE FLOW"."""
        ports: dict[str, int] = {}
        for datapath in self.switch.datapaths.values():
            ports |= datapath.port_numbers()
        try:
            key, _ = text.parse_flow(words[-1], ports)
            if not _ETHERNET.search(words[-1]) and "packet_type" not in key and key.get("eth_type"):
                # A packet without an Ethernet header is of the type that its flow tells.
                key["packet_type"] = 1 << 16 | key["eth_type"]
            return self._of_key(words[0] if len(words) > 1 else None, key)
        except text.TextError as error:
            if len(words) == 1:
                raise CommandError(f"{error} (or the bridge name was omitted)") from None
        bridge = self.switch.bridges.get(words[0])
        if bridge is None:
            raise CommandError(f"{words[0]}: unknown bridge")
        ports = {name: port.ofport for name, port in bridge.ports.items()}
        try:
            fields = parse_exact_flow(words[1], ports)
        except FlowTextError as error:
            raise CommandError(f"Bad openflow flow syntax: {error}") from None
        value, _ = packed.pack(Match({    # as in the reference without options that have no place
            key: (number, (1 << 992) - 1) for key, number in fields.items()
            if options.option_number(key) in (None, *options.PLACES)}))
        return bridge, value

    def _of_datapath(self, datapath: Datapath, key: text.Values) -> tuple[Bridge, bytes]:
        number = key.get("in_port", 0)
        if key.get("recirc_id"):
            frozen = face.frozen(datapath.handle, key["recirc_id"])
            if frozen is None:
                raise CommandError(f"no recirculation data for recirc_id {key['recirc_id']:#x}")
            for bridge in self.switch.bridges.values():
                if bridge.handle == frozen.bridge:
                    return bridge, text.pack({**key, "in_port": frozen.in_port})
        for bridge in self.switch.bridges.values():
            for port in bridge.ports.values():
                if bridge.datapath is datapath and port.number == number:
                    return bridge, text.pack({**key, "in_port": port.ofport})
        raise CommandError(f"no OpenFlow port for datapath port {number}")

    def _frame(self, found: _Arguments, flow: bytes, word: str | None) -> tuple[bytes, bytes]:
        """(struct flow, frame) with -generate or a packet in hex; the frame's fields go first."""
        if word is not None:
            try:
                frame = bytes.fromhex(word)
            except ValueError:
                raise CommandError("Trailing garbage in packet data") from None
            if len(frame) < _ETHERNET_SIZE:
                raise CommandError("Packet data too short for Ethernet")
        elif found.generates:
            return flow, face.frame_compose(flow, found.l7_size or 64)
        else:
            return flow, b""
        given = text.unpack(flow)
        is_tunneled = given.get("tun_dst") or given.get("tun_ipv6_dst")
        kept = _METADATA | _TUNNEL if is_tunneled else _METADATA
        metadata = {name: value for name, value in given.items() if name in kept}
        parsed = text.unpack(face.frame_parse(frame, 0))
        return text.pack({**parsed, **metadata}), frame

    # -- commands

    def _explain(self, found: _Arguments, actions: Actions | None = None, sayable: int = 0
                 ) -> Answer:
        """The answer to both commands; `actions` are those of a packet-out, which protocols of
        `sayable` can say."""
        if len(found.words) > 3:
            raise CommandError("too many arguments")
        has_packet = len(found.words) == 3 or len(found.words) == 2 and "(" in found.words[0]
        packet = found.words.pop() if has_packet else None
        if packet is not None and found.generates:
            raise CommandError("Syntax error")
        if not found.words:
            raise CommandError("must specify a flow")
        self.settle()
        bridge, flow = self._start(found.words)
        flow, frame = self._frame(found, flow, packet)
        program = None
        if actions is not None:
            fields = packed.flow_fields(flow)
            fields["packet_type"] = get_member(flow, "packet_type")
            try:
                fitting, usable = check(actions, Match({
                    key: (value, INFO[key].full) for key, value in fields.items()
                    if key in INFO}), table=0)
                if found.is_consistent and usable & sayable != sayable:
                    raise OpenFlowError("OFPBAC_MATCH_INCONSISTENT")
                named = [action.group for action in number_actions(actions)
                         if isinstance(action, Group)]
                if any(groups.find(bridge.handle, group) is None for group in named):
                    raise OpenFlowError("OFPBAC_BAD_OUT_GROUP")
                # Without actions the tables decide, as in the reference.
                program = compile_actions(fitting) if actions else None
            except OpenFlowError as error:
                raise CommandError(f"Bad actions: {error.name}") from None
        _, port = bridge.port_of(get_member(flow, "in_port")) or ("", None)

        def execute(program: bytes) -> None:
            face.packets_inject([face.Injection(bridge.datapath.handle, 0, port.number, frame,
                                                program)])
            self.settle()

        written = trace.trace_flow(
            bridge.datapath.handle, bridge.handle, flow,
            names_of(self.switch, bridge, found.with_names), frame, bool(frame), program,
            actions or (), found.ct_next,
            execute if frame and port is not None and port.number is not None else None)
        self.settle()
        return Answer(written.text, written.translations)

    def trace(self, args: list[str]) -> Answer:
        """What happens to a packet that comes in."""
        return self._explain(_arguments(args))

    def trace_packet_out(self, args: list[str]) -> Answer:
        """What actions do to a packet."""
        try:
            actions, sayable = parse_actions(args[-1])
        except FlowTextError as error:
            raise CommandError(str(error)) from None
        return self._explain(_arguments(args[:-1], True), actions, sayable)

    def detrace(self, args: list[str]) -> str:
        """The rules and groups behind a megaflow, named by its ufid or as it is dumped."""
        wanted = args[0]
        if not wanted.startswith("ufid:") and "(" not in wanted:
            raise CommandError("failed to parse ufid")
        self.settle()
        for datapath in self.switch.datapaths.values():
            for record in dpctl.records(datapath):
                if dpctl.is_named(record, wanted, datapath.port_numbers()):
                    bridge, flow = self._of_datapath(datapath, record.key)
                    traced = face.trace(datapath.handle, flow, bridge.handle)
                    face.forget_traces()
                    return detrace.format_origin(traced.events)
        raise CommandError("UFID was not found")

    def rows(self) -> tuple[Command, ...]:
        """The table."""
        usage = "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]"
        return (Command("ofproto/detrace", "ufid [pmd=PMD-ID]", 1, 2, self.detrace),
                Command("ofproto/trace", usage, 1, None, self.trace),
                Command("ofproto/trace-packet-out", f"[-consistent] {usage} actions", 2, None,
                        self.trace_packet_out))


_INNER_VLAN = ("vlan1_tpid", "vlan1_tci")
_MAX_L7 = 64000
_ETHERNET = re.compile(r"\beth\(")
_ETHERNET_SIZE = 14
_NO_ETH_TYPE = 0x05ff           # of frames that have a length in place of a type
_METADATA = frozenset((
    "in_port", "recirc_id", "pkt_mark", "skb_priority", "ct_state", "ct_zone", "ct_mark",
    "ct_label"))
_TUNNEL = frozenset((
    "tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst", "tun_flags", "tun_tos",
    "tun_ttl", "tun_tp_src", "tun_tp_dst", "tun_gbp_id", "tun_gbp_flags"))
