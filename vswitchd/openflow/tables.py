"""The flow tables of a bridge as OpenFlow sees them: flow_mods in, flow statistics out.

The library's tables are the only truth: a flow_mod becomes a `face.RuleChange`, a dump reads rules
back and turns their source actions and packed matches into codec values. Control task only.
"""

from collections.abc import Iterator

from datapath import face
from schema.flow.seam import SEAM
from schema.openflow.limits import (COOKIE_NONE, GROUP_ANY, PORT_CONTROLLER, PORT_NONE,
                                    PRIORITY_DEFAULT, TABLE_ALL)
from vswitchd.openflow import options, packed, source
from vswitchd.openflow.action_types import Actions, Controller
from vswitchd.openflow.compile import compile_actions
from vswitchd.openflow.consistency import check
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.match import Match
from vswitchd.openflow.text import format_actions, format_match
from vswitchd.openflow.messages.flow import COMMANDS, FlowMod, FlowStats, FlowStatsRequest

N_TABLES = 255                  # table 254 is for rules of our own; told to who asks for it
HIDDEN_TABLE = 254
FAIL_OPEN_PRIORITY = 0xf0f0f0   # above every priority that a controller can use
# Priority, match and actions of the rules that the reference has in the hidden table; we need none,
# but who would delete them must hear that he may not, and who looks at them sees them.
_IMPLICIT_MISS = 7
_HIDDEN = ((2, Match.of(recirc_id=0), ()),
           (0, Match.of(reg0=1), (Controller(reason=_IMPLICIT_MISS),)), (0, Match.of(reg0=2), ()),
           (0, Match.of(reg0=3), ()))
N_HIDDEN = len(_HIDDEN)
_ANY = face.ANY
_ETHERNET = (0, 0xffffffff)
_HIDDEN_FIELDS = "(add_flow) only internal flows can set non-default values to hidden fields"
_ADD, _MODIFY = SEAM["RULE_ADD"], SEAM["RULE_MODIFY"]


def _out(number: int, none: int) -> int:
    return _ANY if number == none else number


def without_type(match: Match) -> Match:
    """A match without packet_type of Ethernet: OpenFlow 1.0 and 1.1 say it, later ones mean it,
    and both are the same rule."""
    if match.fields.get("packet_type") != _ETHERNET:
        return match
    return Match({name: row for name, row in match.fields.items() if name != "packet_type"})


def _pack(match: Match) -> tuple[bytes, bytes]:
    """A match of a message in two packed parts. Raises OpenFlowError."""
    return packed.pack(without_type(match))


def _would_change_hidden(mod: FlowMod) -> bool:
    """Whether a flow_mod for the hidden table is refused: all but deletions that find nothing."""
    match = without_type(mod.match)
    if mod.command == "delete":
        return any(match.covers(hidden) for _, hidden, _ in _HIDDEN)
    return mod.command != "delete_strict" or any(
        (mod.priority, match) == row[:2] for row in _HIDDEN)


def check_permission(mod: FlowMod) -> None:
    """Raises OFPBRC_EPERM if a flow_mod is about what only rules of our own may be."""
    if mod.table == HIDDEN_TABLE and _would_change_hidden(mod):
        raise OpenFlowError("OFPBRC_EPERM")
    if COMMANDS.index(mod.command) <= SEAM["RULE_MODIFY_STRICT"] and (
            "dp_hash" in mod.match.fields or mod.match.fields.get("recirc_id", (0, 0))[0]):
        raise OpenFlowError("OFPBRC_EPERM", _HIDDEN_FIELDS, "ofproto")


def change_of(bridge: int, mod: FlowMod, tag: int = 0) -> face.RuleChange:
    """A flow_mod as a change of the library's tables. Raises OpenFlowError."""
    command = COMMANDS.index(mod.command)
    table = mod.table
    if table == TABLE_ALL and command == _ADD:
        table = 0
    elif table == HIDDEN_TABLE:
        check_permission(mod)
    actions, program = mod.actions, b""
    if command <= SEAM["RULE_MODIFY_STRICT"]:
        actions, _ = check(actions, mod.match, table=table, n_tables=N_TABLES)
        program = compile_actions(actions)
        check_permission(mod)
    flags = mod.flags
    if command in (_MODIFY, SEAM["RULE_MODIFY_STRICT"]) and mod.new_cookie != COOKIE_NONE:
        # Before OpenFlow 1.2 a modification has a cookie to set, and adds what it does not find.
        flags |= SEAM["RF_MODIFY_ADDS"] | (SEAM["RF_KEEP_COOKIE"] if mod.keeps_cookie else 0)
    value, mask = _pack(mod.match)
    is_filtered = command != _ADD
    return face.RuleChange(
        bridge, command, table, mod.priority, value, mask, program, source.pack(actions),
        flags, mod.idle_timeout, mod.hard_timeout, mod.importance,
        _out(mod.out_port, PORT_NONE) if command >= SEAM["RULE_DELETE"] else _ANY,
        _out(mod.out_group, GROUP_ANY) if command >= SEAM["RULE_DELETE"] else _ANY,
        mod.new_cookie, mod.cookie if is_filtered else 0, mod.cookie_mask if is_filtered else 0,
        tag)


def apply(dp: int, changes: list[face.RuleChange]) -> None:
    """Publishes changes, all or none. Raises OpenFlowError."""
    try:
        face.rules_change(dp, changes)
    except face.RuleError as error:
        raise OpenFlowError(error.name) from None


def simple_rule(bridge: int, match: Match, actions: Actions, priority: int = 0, table: int = 0,
                is_deletion: bool = False) -> face.RuleChange:
    """A rule of our own: NORMAL of a standalone bridge, fail-open."""
    value, mask = _pack(match)
    return face.RuleChange(bridge, SEAM["RULE_DELETE_STRICT"] if is_deletion else _ADD, table,
                           priority, value, mask, compile_actions(actions), source.pack(actions))


def _span(since_ms: int, now_ms: int) -> tuple[int, int]:
    """(seconds, nanoseconds) from `since_ms` to now."""
    seconds, rest = divmod(max(0, now_ms - since_ms), 1000)
    return seconds, rest * 1_000_000


def stats_of(rule: face.Rule, now_ms: int) -> FlowStats:
    """One rule as flow statistics."""
    return FlowStats(
        packed.unpack(rule.value, rule.mask), rule.priority, source.unpack(rule.source),
        rule.table, rule.cookie, _span(rule.created_ms, now_ms), rule.idle_timeout,
        rule.hard_timeout, max(0, now_ms - rule.used_ms) // 1000,
        max(0, now_ms - rule.modified_ms) // 1000, rule.n_packets, rule.n_bytes, rule.flags & 0x1f,
        rule.importance)


_OFFLOADED = ["n_offload_packets=0", "n_offload_bytes=0"]   # no hardware takes packets over


def describe(rule: face.Rule, now_ms: int, offload: bool = False) -> str:
    """A rule as bridge/dump-flows shows it; `offload`: with what hardware did."""
    match = packed.unpack(rule.value, rule.mask)
    seconds = max(0, now_ms - rule.created_ms) // 1000
    shown = format_match(match)
    words = [f"table_id={rule.table}"] if rule.table else []
    words += [f"duration={seconds}s", f"n_packets={rule.n_packets}", f"n_bytes={rule.n_bytes}"]
    words += _OFFLOADED if offload else []
    priority = f"priority={rule.priority}" if rule.priority != PRIORITY_DEFAULT else ""
    words += [",".join(filter(None, (priority, shown)))]
    return ", ".join(words) + f",actions={format_actions(source.unpack(rule.source)) or 'drop'}"


def hidden_stats(bridge: int, created_ms: int, now_ms: int) -> list[FlowStats]:
    """The hidden table: what meets packets that no rule matches."""
    stats = face.unmatched_stats(bridge)
    counts = ((0, 0), stats[:2], stats[2:4], stats[4:])
    return [FlowStats(match, priority, actions, HIDDEN_TABLE,
                      duration=_span(created_ms, now_ms), idle_age=0, packets=n_packets,
                      bytes=n_bytes)
            for (priority, match, actions), (n_packets, n_bytes) in zip(_HIDDEN, counts)]


def select_hidden(rows: list[FlowStats], request: FlowStatsRequest) -> list[FlowStats]:
    """Those of the hidden table that a request asks for."""
    match = without_type(request.match)
    return [row for row in rows
            if match.covers(row.match) and request.out_group == GROUP_ANY
            and not request.cookie & request.cookie_mask
            and (request.out_port == PORT_NONE
                 or request.out_port == PORT_CONTROLLER and row.actions)]


def describe_hidden(rows: list[FlowStats], offload: bool = False) -> list[str]:
    """The hidden table as bridge/dump-flows shows it."""
    more = "".join(f"{word}, " for word in _OFFLOADED) if offload else ""
    return [f"table_id={HIDDEN_TABLE}, duration={row.duration[0]}s, n_packets={row.packets}, "
            f"n_bytes={row.bytes}, {more}priority={row.priority},{format_match(row.match)},"
            f"actions={format_actions(row.actions) or 'drop'}" for row in rows]


def filter_of(bridge: int, request: FlowStatsRequest) -> face.RuleFilter:
    """The rules that a statistics request asks for."""
    value, mask = _pack(request.match) if len(request.match) else (b"", b"")
    return face.RuleFilter(bridge, request.table, value, mask,
                           out_port=_out(request.out_port, PORT_NONE),
                           out_group=_out(request.out_group, GROUP_ANY), cookie=request.cookie,
                           cookie_mask=request.cookie_mask)


def used_options(bridge: int) -> set[int]:
    """Numbers of the tunnel options that rules of a bridge match on or set."""
    found: set[int] = set()
    for rule in face.rules(bridge):
        found |= source.options_in(rule.source)
        found.update(number for number in map(options.option_number, packed.unpack(
            rule.value, rule.mask).fields) if number is not None)
    return found


def select(bridge: int, request: FlowStatsRequest) -> Iterator[face.Rule]:
    """The rules that a statistics request asks for."""
    return face.unpack_records(face.rule_records(filter_of(bridge, request)))
