"""The quick way through the agent: runs of flow_mods, additions to bundles, dumps of flows.

`serve` takes from a connection's stream what C can read and does it; what is left at the
beginning of the stream is for the agent. `teach` tells C what the actions meant that it did
not know. `commit` stages the messages of a bundle, `dump` answers flow statistics requests. The
outcome of each is that of `Service`, message by message. Control task only.
"""

from collections.abc import Callable, Iterator

from datapath import face
from schema.openflow.limits import MESSAGE_MAX
from schema.openflow.messages import OF10, OF12, OF13, OF14, OF15
from vswitchd.openflow import bundles, messages, source, tables
from vswitchd.openflow.actions import encode_actions, encode_instructions
from vswitchd.openflow.bundles import BundleFailed
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.framing import Splitter, find_raw, pack
from vswitchd.openflow.line import Line
from vswitchd.openflow.messages.bundle import BundleAdd
from vswitchd.openflow.messages.flow import FlowMod, FlowStatsRequest, encode_flow_stats
from vswitchd.openflow.messages.packet import PacketOut
from vswitchd.openflow.quick.codec import END, MOST_RECEIVED, OTHER, UNKNOWN, Codec, Run
from vswitchd.openflow.session import Session, told_reason

_FLOW_MOD, _BUNDLE_ADD, _VENDOR, _PACKET_OUT = 14, 34, 4, 13
_PLAIN_VERSIONS = (OF10, OF13, OF14, OF15)     # whose packet-ins are common
_NOBODY = b"\xff" * 8            # no reason is told
_ROOM = MESSAGE_MAX - 24        # of a statistics reply, for entries
Refused = list[tuple[bytes, OpenFlowError]]


def serve(codec: Codec, service, session: Session, splitter: Splitter) -> tuple[Refused, bool]:
    """Does what can be done quickly at the beginning of a stream, a run of one kind.

    Returns the messages that were refused, and whether only the actions of the next one are not
    known.
    """
    version = session.version
    if splitter.pending < 8:
        return [], False
    kind = splitter.buffer[splitter.start + 1]
    if version >= OF14 and kind == _BUNDLE_ADD or version == OF13 and kind == _VENDOR:
        return _add_to_bundles(codec, session, splitter)
    if kind == _FLOW_MOD or version == OF10 and kind == _VENDOR:
        return _change_flows(codec, service, session, splitter)
    return [], False


def converse(codec: Codec, service, session: Session, line: Line, splitter: Splitter) -> bytes:
    """Lets a peer that asks quickly talk to C itself for a millisecond; returns the replies
    that could not be sent."""
    if splitter.pending > MOST_RECEIVED:
        return b""
    service.settle()
    number, bundle = _bundle_of(session) or (0, None)
    talk = codec.converse(session.version, session.table_in_command, service.dp,
                          service.bridge.handle, line.fd, splitter.buffer[splitter.start:],
                          line.is_quick, (number, bundle.flags) if bundle else None)
    splitter.skip(splitter.pending)
    splitter.feed(talk.rest)
    if talk.added:
        bundle.added.append(talk.added)
        bundle.used_ms = face.now()
    if talk.n_injected:
        service.settle()
    return talk.replies


def can_converse(line: Line, session: Session, splitter: Splitter) -> bool:
    """Whether something is gained by that."""
    return line.is_direct and (line.is_quick or bool(session.bundles) or splitter.pending >= 8
                               and splitter.buffer[splitter.start + 1] == _PACKET_OUT)


def _bundle_of(session: Session) -> tuple[int, bundles.Bundle] | None:
    """The bundle that a peer fills, and its number, if it is the only one."""
    if len(session.bundles) != 1:
        return None
    (number, bundle), = session.bundles.items()
    return None if bundle.is_closed else (number, bundle)


def _change_flows(codec: Codec, service, session: Session, splitter: Splitter) -> tuple[
        Refused, bool]:
    buffer, start = splitter.buffer, splitter.start
    run, changes = codec.decode(session.version, service.bridge.handle, buffer, start,
                                session.table_in_command)
    refused = []
    if run.n:
        service.settle()
        version = face.version_open(service.dp)
        at = 0
        while at < run.n:
            try:
                face.buffer_stage(version, changes, at)
                at = run.n
            except face.RuleError as error:
                begin, end = codec.item(error.index)
                refused.append((buffer[start + begin:start + end], OpenFlowError(error.name)))
                at = error.index + 1
        face.version_commit(version)
        splitter.skip(run.used)
    return refused, run.stop == UNKNOWN


def _add_to_bundles(codec: Codec, session: Session, splitter: Splitter) -> tuple[Refused, bool]:
    run, added = codec.check_bundled(session.version, splitter.buffer, splitter.start)
    if run.n:
        bundle = session.bundles.get(added.bundle)
        if bundle is None or bundle.is_closed or bundle.flags != added.flags:
            return [], False
        bundle.added.append(added.messages)
        bundle.used_ms = face.now()
        splitter.skip(run.used)
    return [], run.stop == UNKNOWN


def teach(codec: Codec, bridge: int, message: bytes,
          compiled: face.RuleChange | None = None) -> None:
    """Tells C what the actions of the message mean at which it stopped; `compiled` is the
    change that it made, if somebody compiled it already."""
    if compiled is None:
        try:
            mod = messages.decode(message).value
            if isinstance(mod, BundleAdd):
                mod = messages.decode(mod.message).value
            if not isinstance(mod, FlowMod):
                return
            compiled = tables.change_of(bridge, mod)
        except OpenFlowError:
            return              # it is refused each time, by those who can say why
    if not source.options_in(compiled.source):
        codec.learn(compiled.program, compiled.source)


def commit(codec: Codec, dp: int, bridge: int, added: list[bytes],
           send: Callable[[int, PacketOut], None]) -> list[messages.Message]:
    """Stages and publishes the flow and group changes of a bundle; returns the other messages.
    `send` is given each packet_out at its place, and the version that is open."""
    if not added:
        return []
    others: list[messages.Message] = []
    version = face.version_open(dp)
    try:
        for some in added:
            for message in _stage(codec, version, bridge, some):
                if isinstance(message.value, PacketOut):
                    send(version, message.value)
                else:
                    others.append(message)
    except BaseException:
        face.version_abort(version)
        raise
    face.version_commit(version)
    return others


def _stage(codec: Codec, version: int, bridge: int, some: bytes) -> Iterator[messages.Message]:
    """Stages messages of a bundle that lie one behind the other; yields those that are no changes
    of flows and groups, each at its place."""
    at = 0
    while at < len(some):
        run, changes = codec.decode(some[0], bridge, some, at)
        try:
            face.buffer_stage(version, changes)
        except face.RuleError as error:
            begin, end = codec.item(error.index)
            raise BundleFailed(some[at + begin:at + end], OpenFlowError(error.name)) from None
        at += run.used
        if run.stop in (OTHER, UNKNOWN):
            message = some[at:at + int.from_bytes(some[at + 2:at + 4], "big")]
            if run.stop == UNKNOWN:
                teach(codec, bridge, message)
            yield from bundles.stage(version, bridge, message)
            at += len(message)


def dump(codec: Codec, bridge: int, request: FlowStatsRequest, version: int) -> Iterator[bytes]:
    """The parts of the reply to a flow statistics request, with transaction id 0."""
    kind = "NXST_FLOW_REPLY" if version == OF10 else "OFPST_FLOW_REPLY"
    raw, now, body = find_raw(kind, version), face.now(), bytearray()
    rules = codec.begin_dump(version, tables.filter_of(bridge, request), now)
    while True:
        run, entries = codec.dump(rules, _ROOM - len(body))
        body += entries
        if run.stop == END:
            break
        if run.stop == UNKNOWN:
            _teach_wire(codec, version, rules.next()[0])
            continue
        if run.stop == OTHER:
            rule, size = rules.next()
            entry = encode_flow_stats(tables.stats_of(rule, now), version, request.form)
            if len(body) + len(entry) <= _ROOM:
                body += entry
                rules.skip(size)
                continue
        yield pack(raw, version, 0, bytes(body), 1)
        body.clear()
    yield pack(raw, version, 0, bytes(body), 0)


def _teach_wire(codec: Codec, version: int, rule: face.Rule) -> None:
    actions = source.unpack(rule.source)
    codec.learn_wire(version, rule.source, encode_actions(actions, version) if version == OF10
                     else encode_instructions(actions, version))


def can_hear(session: Session) -> bool:
    """Whether `tell` can write packet-ins for a connection."""
    return session.packet_in_format == "standard" and session.version in _PLAIN_VERSIONS


def count_packet_ins(codec: Codec, bridge: int, records: bytes, at: int) -> tuple[int, int]:
    """How many records from `at` on are common packet-ins of a bridge, and where they end."""
    run, _ = codec.packet_ins(bridge, OF13, 0, _NOBODY, records, at, len(records))
    return run.n, at + run.used


def tell(codec: Codec, bridge: int, session: Session, records: bytes, start: int, end: int
         ) -> tuple[Run, bytes]:
    """Packet-ins of these records for a connection."""
    told = bytearray(_NOBODY)
    for reason in range(len(told)):
        number = told_reason(reason, session.version)
        if number is not None and session.wants("packet_in", number):
            told[reason] = number
    return codec.packet_ins(bridge, session.version, session.controller_id, bytes(told), records,
                            start, end)


def can_dump(request: FlowStatsRequest, version: int) -> bool:
    """Whether `dump` can answer a request."""
    return (not request.aggregate and request.table != tables.HIDDEN_TABLE
            and (version >= OF12 or version == OF10 and request.form == "nxm"))
