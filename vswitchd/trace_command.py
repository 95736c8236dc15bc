"""ofproto/trace and ofproto/trace-packet-out: arguments in, the text of `trace.py` out.

    ofproto/trace {[DP] ODP_FLOW | BRIDGE BR_FLOW} [OPTIONS] [-generate | PACKET]

Control task only. Source: ovs-vswitchd(8).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from datapath import face, match as packed_match, text
from ovsdb_server.rpc.unixctl import Answer, Command, CommandError
from schema.flow.fields import CT_STATE_BITS
from vswitchd import trace
from vswitchd.openflow import groups
from vswitchd.openflow.action_text import parse_actions
from vswitchd.openflow.compile import compile_actions
from vswitchd.openflow.consistency import check
from vswitchd.openflow.error import OpenFlowError
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


def _parse_state(word: str) -> int:
    """A connection state of --ct-next. Raises CommandError."""
    state = CT_STATE_BITS["trk"]
    for name in word.replace("|", ",").split(","):
        if name.strip() not in CT_STATE_BITS:
            raise CommandError(f"{name}: unknown connection tracking state flag")
        state |= CT_STATE_BITS[name.strip()]
    return state


def _arguments(args: list[str]) -> _Arguments:
    found, rest = _Arguments(), list(args)
    while rest:
        word = rest.pop(0)
        match word:
            case "-generate" | "--generate":
                found.generates = True
            case "--names":
                found.with_names = True
            case "--no-names":
                found.with_names = False
            case "-consistent" | "--consistent":
                found.is_consistent = True
            case "--ct-next" | "--l7" | "--l7-len":
                if not rest:
                    raise CommandError(f"Missing argument for option {word}")
                value = rest.pop(0)
                if word == "--ct-next":
                    found.ct_next.append(_parse_state(value))
                elif word == "--l7":
                    found.l7_size = len(value) // 2
                else:
                    if not value.isdigit() or not 0 < int(value) <= 64000:
                        raise CommandError(f"Invalid --l7-len argument ({value})")
                    found.l7_size = int(value)
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
        bridge.datapath.port_names() if with_names else None)


class TraceCommands:
    """Handlers over the living switch; `settle` finishes what has been started."""

    def __init__(self, switch: Switch, settle: Callable[[], object]):
        self.switch = switch
        self.settle = settle

    # -- arguments

    def _datapath(self, name: str) -> Datapath | None:
        return next((row for row in self.switch.datapaths.values()
                     if name in (row.name, row.title)), None)

    def _start(self, words: list[str]) -> tuple[Bridge, bytes]:
        """(bridge, struct flow with an OpenFlow in_port) of "[DP] ODP_FLOW" or "BRIDGE FLOW"."""
        datapath = self._datapath(words[0]) if len(words) > 1 else None
        if len(words) == 1 and len(self.switch.datapaths) == 1:
            datapath = next(iter(self.switch.datapaths.values()))
        problem = ""
        if datapath is not None:
            try:
                key, _ = text.parse_flow(words[-1], datapath.port_numbers())
                return self._of_datapath(datapath, key)
            except text.TextError as error:
                problem = str(error)
            if len(words) == 1:
                raise CommandError("Must specify bridge name" if "(" not in words[0] else problem)
            raise CommandError(problem)
        if len(words) == 1:
            raise CommandError("Must specify bridge name")
        bridge = self.switch.bridges.get(words[0])
        if bridge is None:
            raise CommandError(f"{words[0]}: unknown bridge")
        ports = {name: port.ofport for name, port in bridge.ports.items()}
        try:
            fields = parse_exact_flow(words[1], ports)
        except FlowTextError as error:
            raise CommandError(f"Bad openflow flow syntax: {error}") from None
        value, _ = packed_match.pack_match({key: (number, (1 << 992) - 1)
                                            for key, number in fields.items()})
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
        raise CommandError("Invalid datapath flow")

    def _frame(self, found: _Arguments, flow: bytes, word: str | None) -> tuple[bytes, bytes]:
        """(struct flow, frame) with -generate or a packet in hex; the frame's fields go first."""
        if word is not None:
            try:
                frame = bytes.fromhex(word)
            except ValueError:
                raise CommandError("Trailing garbage in packet data" if word else
                                   "unable to parse packet") from None
        elif found.generates:
            return flow, face.frame_compose(flow, found.l7_size or 64)
        else:
            return flow, b""
        metadata = {name: value for name, value in text.unpack(flow).items()
                    if name in _METADATA}
        parsed = text.unpack(face.frame_parse(frame, 0))
        return text.pack({**parsed, **metadata}), frame

    # -- commands

    def trace(self, args: list[str]) -> Answer:
        found = _arguments(args)
        words, packet = found.words, None
        if len(words) == 3 or (len(words) == 2 and "(" in words[0]):
            packet = words.pop()
        if not 1 <= len(words) <= 2:
            raise CommandError("Too many arguments" if words else "Missing arguments")
        if packet is not None and found.generates:
            raise CommandError("packet and -generate cannot be combined")
        self.settle()
        bridge, flow = self._start(words)
        flow, frame = self._frame(found, flow, packet)
        written = trace.trace_flow(
            bridge.datapath.handle, bridge.handle, flow,
            names_of(self.switch, bridge, found.with_names), frame, bool(frame),
            ct_next=found.ct_next)
        self.settle()
        return Answer(written.text, written.translations)

    def trace_packet_out(self, args: list[str]) -> Answer:
        found = _arguments(args)
        *words, actions_text = found.words or [""]
        packet = words.pop() if len(words) == 3 else None
        if not words:
            raise CommandError("Missing arguments")
        self.settle()
        bridge, flow = self._start(words)
        flow, frame = self._frame(found, flow, packet)
        try:
            actions, _ = parse_actions(actions_text)
            if found.is_consistent:
                check(actions, Match({}), table=0)
            program = compile_actions(actions)
        except (FlowTextError, OpenFlowError) as error:
            raise CommandError(f"Bad actions: {error}") from None
        written = trace.trace_flow(
            bridge.datapath.handle, bridge.handle, flow,
            names_of(self.switch, bridge, found.with_names), frame, bool(frame), program,
            actions, found.ct_next)
        self.settle()
        return Answer(written.text, written.translations)

    def rows(self) -> tuple[Command, ...]:
        """The table."""
        usage = "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]"
        return (Command("ofproto/trace", usage, 1, None, self.trace),
                Command("ofproto/trace-packet-out", f"[-consistent] {usage} actions", 2, None,
                        self.trace_packet_out))


_METADATA = frozenset((
    "in_port", "recirc_id", "pkt_mark", "skb_priority", "ct_state", "ct_zone", "ct_mark",
    "ct_label", "metadata", "regs", "tun_id", "tun_src", "tun_dst", "tun_flags"))
