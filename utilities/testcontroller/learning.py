"""One switch as ovs-testcontroller controls it: messages in, messages out.

`Learner` learns at which port an address is and answers packet-ins with flows and packet-outs, in
the switch's version of OpenFlow.  No I/O; used by `utilities.testcontroller` only.
"""

from dataclasses import dataclass, field

from utilities.ofctl.protocol import OF10_STD
from vswitchd.openflow.action_types import Enqueue, Output, PopQueue, SetQueue
from vswitchd.openflow.framing import HEADER
from vswitchd.openflow.match import EMPTY, Match
from vswitchd.openflow.messages import decode, encode
from vswitchd.openflow.messages.flow import FlowMod
from vswitchd.openflow.messages.packet import PacketIn, PacketOut
from vswitchd.openflow.messages.session import (
    EchoReply, EchoRequest, FeaturesReply, FeaturesRequest, SetConfig,
)
from vswitchd.openflow.packet_text import parse_packet
from vswitchd.openflow.text import ParsedFlow

_OF10, _OF12, _OF13 = 1, 3, 4
_FLOOD, _CONTROLLER, _NONE = 0xFFFB, 0xFFFD, 0xFFFFFFFF
_MISS_SEND_LEN, _TABLE_ANY = 128, 0xFF
_IP, _ARP, _RARP, _IPV6 = 0x0800, 0x0806, 0x8035, 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6, _SCTP = 1, 6, 17, 58, 132
_WITH_PORTS = (_ICMP, _TCP, _UDP, _ICMPV6, _SCTP)
_PRIORITY = 1
_RESERVED = bytes.fromhex("0180c20000")     # and a last byte up to 0x0f: not forwarded
LAYER_2 = 0x2820F0
"""The wildcards that let flows match on addresses of layer 2 only."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What the options say.

    max_idle: seconds of a flow, 0 for ever, None for no flows at all; wildcards: of OpenFlow 1.0;
    queues: {name of a port: queue of what comes from it}; flows: parsed, for every switch.
    """

    learns: bool = True
    max_idle: int | None = 60
    wildcards: int = 0
    queue: int | None = None
    queues: dict[str, int] = field(default_factory=dict)
    flows: tuple = ()


class Learner:
    """A switch that has agreed on `version`.  `next_xid` numbers messages."""

    def __init__(self, habits: Habits, version: int, next_xid) -> None:
        self._habits = habits
        self._version = version
        self._next_xid = next_xid
        self._macs: dict[int, int] = {}
        self._queues: dict[int, int] = {}       # by port

    def greet(self) -> list[bytes]:
        """What is said first."""
        values = [FeaturesRequest(), SetConfig(0, _MISS_SEND_LEN)]
        if self._version >= _OF13:              # which drops what no flow matches
            values.append(FlowMod("add", priority=0, table=0,
                                  actions=(Output(_CONTROLLER, _MISS_SEND_LEN),)))
        values += [self._flow_mod(flow) for flow in self._habits.flows]
        return list(map(self._encode, values))

    def _flow_mod(self, flow: ParsedFlow) -> FlowMod:
        """The message for a flow that everybody gets."""
        form = "of" if flow.usable & OF10_STD else "nxm"
        table = 0 if self._version > _OF10 and flow.table == _TABLE_ANY else flow.table
        return FlowMod("add", flow.match, flow.priority, flow.actions, table, flow.cookie,
                       idle_timeout=flow.idle_timeout, hard_timeout=flow.hard_timeout,
                       importance=flow.importance, flags=flow.flags, form=form)

    def answer(self, data: bytes) -> list[bytes]:
        """The answers to a message; one that cannot be read has none.  Raises OpenFlowError for
        what is worth a line in the log."""
        match decode(data).value:
            case EchoRequest() as echo:
                return [encode(EchoReply(echo.data), self._version,
                               HEADER.unpack_from(data)[3])]
            case FeaturesReply() as features:
                queues = self._habits.queues
                self._queues = {port.number: queues[port.name] for port in features.ports
                                if port.name in queues}
            case PacketIn() as packet:
                return list(map(self._encode, self._forward(packet)))
        return []

    def _encode(self, value) -> bytes:
        return encode(value, self._version, self._next_xid())

    def _forward(self, packet: PacketIn):
        port = packet.metadata.value("in_port")
        fields = parse_packet(packet.data).fields
        out = self._destination(port, fields)
        actions = () if out is None else self._actions(out, port)
        habits = self._habits
        if habits.max_idle is not None and (not habits.learns or out != _FLOOD):
            yield self._flow(port, fields, actions, packet.buffer_id)
            if packet.buffer_id == _NONE and actions:
                yield PacketOut(packet.data, actions, Match.of(in_port=port))
        elif packet.buffer_id != _NONE or actions:
            yield PacketOut(b"" if packet.buffer_id != _NONE else packet.data, actions,
                            Match.of(in_port=port), packet.buffer_id)

    def _destination(self, port: int, fields: dict[str, int]) -> int | None:
        """Where a packet goes, None for nowhere."""
        source, target = fields.get("eth_src", 0), fields.get("eth_dst", 0)
        if self._habits.learns and not source >> 40 & 1:
            self._macs[source] = port
        address = target.to_bytes(6, "big")
        if address[:5] == _RESERVED and address[5] < 16:
            return None
        if not self._habits.learns:
            return _FLOOD
        found = _FLOOD if target >> 40 & 1 else self._macs.get(target, _FLOOD)
        return None if found == port else found

    def _actions(self, out: int, port: int) -> tuple:
        queue = self._queues.get(port, self._habits.queue)
        if queue is None or out >= 0xFF00:
            return (Output(out),)
        if self._version == _OF10:
            return (Enqueue(out, queue),)
        return (SetQueue(queue), Output(out, 0xFFFF), PopQueue())

    def _flow(self, port: int, fields: dict[str, int], actions: tuple, buffer_id: int) -> FlowMod:
        match = exact_match(port, fields, self._version, self._habits.wildcards)
        return FlowMod("add", match, _PRIORITY, actions, table=0,
                       idle_timeout=self._habits.max_idle or 0, buffer_id=buffer_id, out_group=0)


def exact_match(port: int, fields: dict[str, int], version: int, wildcards: int) -> Match:
    """The match of a packet, less what `wildcards` of OpenFlow 1.0 leave out."""
    def has(bit: int) -> bool:
        return not wildcards >> bit & 1

    eth_type, proto = fields.get("eth_type", 0), fields.get("nw_proto", 0)
    found: dict[str, int | tuple[int, int]] = {"packet_type": 0}
    if has(0):
        found["in_port"] = port
    for bit, name in ((2, "eth_src"), (3, "eth_dst"), (4, "eth_type")):
        if has(bit):
            found[name] = fields.get(name, 0)
    tci = fields.get("vlan_tci", 0)
    pcp = 0xE000 if has(20) and (tci or version < _OF12) else 0
    care = (0x1FFF if has(1) else 0x1000 if has(20) and tci else 0) | pcp
    if care:
        found["vlan_tci"] = (tci & care, care)
    if has(4) and eth_type in (_IP, _ARP, _RARP):
        for shift, name in ((8, "ip_src"), (14, "ip_dst")):
            mask = 0xFFFFFFFF << min(wildcards >> shift & 63, 32) & 0xFFFFFFFF
            if mask:
                found[name] = (fields.get(name, 0) & mask, mask)
    if has(4) and eth_type in (_IP, _IPV6) and has(21):
        found["nw_tos"] = (fields.get("nw_tos", 0) & 0xFC, 0xFC)
    if has(4) and has(5) and eth_type in (_IP, _IPV6, _ARP, _RARP):
        found["nw_proto"] = proto
        if eth_type in (_IP, _IPV6) and proto in _WITH_PORTS:
            for bit, name in ((6, "tcp_src"), (7, "tcp_dst")):
                if has(bit):
                    found[name] = fields.get(name, 0)
    return Match.of(**found) if found else EMPTY
