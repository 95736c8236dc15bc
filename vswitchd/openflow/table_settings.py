"""How the flow tables of a bridge are set: by Flow_Table rows and by table_mods.

Limits, names, eviction groups and tries come from the database; what a miss does (before OpenFlow
1.3), eviction and vacancy events (since 1.4) come from controllers and live as long as the bridge.
`publish` hands what concerns packets and rules to the library. Control task only.
Source: OpenFlow 1.4.1 sections 7.3.3 and 7.4.5; ovs-vswitchd.conf.db(5), table Flow_Table.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from datapath import face
from ovsdb_server import vlog
from schema.flow.fields import FIELD
from schema.flow.seam import SEAM
from schema.openflow.limits import TABLE_ALL
from vswitchd.config.desired import FlowTable
from vswitchd.openflow import packed
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.features import N_TABLES, table_features
from vswitchd.openflow.fields import INFO
from vswitchd.openflow.match import Match
from vswitchd.openflow.messages.table import COMMANDS, TableFeatures
from vswitchd.openflow.messages.table_config import TableDesc, TableMod, Vacancy
from vswitchd.openflow.session import OF10, OF11, OF13
from vswitchd.openflow.value_text import FlowTextError, parse_subfield

VACANCY_DOWN, VACANCY_UP = 3, 4         # reasons of table_status
_PREFIXES = ("tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst", "ip_src", "ip_dst",
             "ipv6_src", "ipv6_dst")
_METER = 1 << 6                         # an instruction that OpenFlow 1.5 does not tell of
_EVICTION_FLAGS = 7                     # other, importance, lifetime
_UNLIMITED = 0xffffffff
_MISS = {0: SEAM["TABLE_MISS_CONTROLLER"], 1: SEAM["TABLE_MISS_CONTINUE"],
         2: SEAM["TABLE_MISS_DROP"], 3: SEAM["TABLE_MISS_CONTROLLER"]}

_bridge = vlog.module("bridge")


@dataclass(slots=True)
class TableState:
    """Settings of one table. `miss` is that of the message, None for the version's default; `name`
    is one that a controller gave, for want of one in the database."""

    number: int
    desired: FlowTable
    name: str = ""
    miss: int | None = None
    evicts: bool = False
    vacancy: tuple[int, int] | None = None
    next_event: int = VACANCY_DOWN

    @property
    def limit(self) -> int:
        """The most rules."""
        return _UNLIMITED if self.desired.flow_limit is None else self.desired.flow_limit

    def vacancy_of(self, n_rules: int) -> int:
        """How much of the table is free, in percent."""
        return max(0, self.limit - n_rules) * 100 // self.limit if self.limit else 0


class TableSettings:
    """All tables of the bridge `name`, `handle` in the library; those that nobody has set are not
    kept."""

    def __init__(self, name: str, handle: int):
        self.name = name
        self.handle = handle
        self.states: dict[int, TableState] = {}
        self.sends_misses = False       # to controllers, where a table's own setting says nothing

    # -- from the database

    def configure(self, wanted: tuple[FlowTable, ...]) -> None:
        """Follows the Flow_Table rows of the bridge."""
        rows = {row.number: row for row in wanted}
        for number in sorted(rows.keys() | self.states.keys()):
            state = self.state(number)
            desired = self.usable(rows.get(number, FlowTable(number)))
            if desired != state.desired:
                state.desired = desired
                if desired.name:
                    state.name = ""
                self.publish(state)

    def usable(self, row: FlowTable) -> FlowTable:
        """A row without what its table cannot have, which is logged."""
        prefixes, groups = row.prefixes, []
        if prefixes is not None:
            usable = tuple(name for name in prefixes if self.may_be_prefix(name))
            prefixes = usable if usable or "none" in prefixes else None
        for text in row.groups:
            try:
                parse_subfield(text)
                groups.append(text)
            except FlowTextError as error:
                _bridge.warn(f"bridge {self.name} table {row.number}: error parsing 'groups' "
                             f"({error})")
        return replace(row, prefixes=prefixes, groups=tuple(groups))

    def may_be_prefix(self, name: str) -> bool:
        """Whether a field can have a trie."""
        if name not in INFO:
            if name != "none":
                _bridge.warn(f"bridge {self.name}: 'prefixes' with unknown field: {name}")
            return False
        if INFO[name].name not in _PREFIXES:
            _bridge.warn(f"bridge {self.name}: 'prefixes' with incompatible field: {name}")
            return False
        return True

    def state(self, number: int) -> TableState:
        """The settings of a table."""
        return self.states.setdefault(number, TableState(number, FlowTable(number)))

    def follow_misses(self, are_sent: bool) -> None:
        """Sends packets that no rule matches to controllers, or drops them."""
        if are_sent != self.sends_misses:
            self.sends_misses = are_sent
            for number in range(N_TABLES):
                self.publish(self.states.get(number, TableState(number, FlowTable(number))))

    def publish(self, state: TableState) -> None:
        """Hands the settings of a table to the library."""
        desired = state.desired
        miss = (SEAM["TABLE_MISS_SENT" if self.sends_misses else "TABLE_MISS_DEFAULT"]
                if state.miss is None else _MISS[state.miss])
        face.table_set(
            self.handle, state.number, miss, state.limit,
            SEAM["TABLE_EVICT"] if desired.evicts or state.evicts else 0,
            None if desired.prefixes is None else tuple(
                FIELD[INFO[name].name].id for name in desired.prefixes),
            _group_mask(desired.groups))

    # -- from controllers

    def change(self, mod: TableMod) -> None:
        """Carries out a table_mod. Raises OpenFlowError."""
        if mod.table >= N_TABLES and mod.table != TABLE_ALL:
            raise OpenFlowError("OFPTMFC_BAD_TABLE" if mod.table == N_TABLES + 1
                                else "OFPTMFC_EPERM")
        stats = None
        for number in range(N_TABLES) if mod.table == TABLE_ALL else (mod.table,):
            state = self.state(number)
            if mod.miss is not None:
                state.miss = mod.miss
            if mod.eviction is not None:
                state.evicts = mod.eviction
            if isinstance(mod.vacancy, Vacancy):
                stats = stats or face.tables_stats(self.handle, N_TABLES)
                state.vacancy = (mod.vacancy.down, mod.vacancy.up)
                now = state.vacancy_of(stats[number].n_active)
                state.next_event = VACANCY_UP if now < mod.vacancy.up else VACANCY_DOWN
            elif mod.vacancy is not None:
                state.vacancy = None
            self.publish(state)

    def accept(self, wanted: Iterable[TableFeatures], version: int) -> None:
        """Gives tables the features that a controller wants, of which only names can change. Raises
        OpenFlowError."""
        found: dict[int, TableFeatures] = {}
        for features in wanted:
            if features.table in found:
                raise OpenFlowError("NXTFFC_DUP_TABLE")
            found[features.table] = features
        commands = {COMMANDS[features.command] for features in found.values()}
        if not commands <= {"replace", "modify"} or "replace" in commands and len(
                found) < N_TABLES:
            raise OpenFlowError("OFPTFFC_EPERM")
        for number, features in found.items():
            if (number >= N_TABLES or not _is_part(features, self.features(number, version))
                    or self.state(number).desired.name not in ("", features.name)):
                raise OpenFlowError("OFPTFFC_EPERM")
        for number, features in found.items():
            state = self.state(number)
            if not state.desired.name:
                state.name = features.name

    @property
    def has_vacancy(self) -> bool:
        """Whether some table tells when it is full or has room again."""
        return any(state.vacancy for state in self.states.values())

    def vacancy_events(self) -> Iterator[tuple[int, TableDesc]]:
        """(reason, description) of tables that have crossed a threshold since the last time."""
        if not self.has_vacancy:
            return
        stats = face.tables_stats(self.handle, N_TABLES)
        for state in self.states.values():
            if not state.vacancy:
                continue
            now, (down, up) = state.vacancy_of(stats[state.number].n_active), state.vacancy
            event = state.next_event
            if now < down if event == VACANCY_DOWN else now > up:
                state.next_event = VACANCY_UP if event == VACANCY_DOWN else VACANCY_DOWN
                yield event, self.describe(state.number, stats)

    # -- to controllers

    def describe(self, number: int, stats: list[face.TableStats]) -> TableDesc:
        """A table's configuration as OpenFlow 1.4 tells it."""
        state = self.states.get(number)
        if state is None:
            return TableDesc(number, False, _EVICTION_FLAGS)
        vacancy = state.vacancy and Vacancy(*state.vacancy,
                                            state.vacancy_of(stats[number].n_active))
        return TableDesc(number, state.evicts, _EVICTION_FLAGS, vacancy)

    def features(self, number: int, version: int, with_miss: bool = False) -> TableFeatures:
        """What a table can do, with its name and limit."""
        told = table_features(number, version, with_miss)
        state = self.states.get(number)
        if state is None:
            return told
        if with_miss and OF10 < version < OF13 and state.miss is not None:
            miss = state.miss % 3
            # As in the reference OpenFlow 1.1 tells it by numbers of its own.
            told = told.replace(miss=miss + 1 if version == OF11 else miss)
        desired = state.desired
        return told.replace(name=desired.name or state.name, max_entries=told.max_entries
                       if desired.flow_limit is None else desired.flow_limit)

    def is_plain(self) -> bool:
        """Whether all tables have the features of a table that nobody has set."""
        return all(not (state.desired.name or state.name) and state.desired.flow_limit is None
                   for state in self.states.values())


def _is_part(wanted: TableFeatures, own: TableFeatures) -> bool:
    """Whether a table that is `own` can do what is wanted."""
    return (wanted.max_entries == own.max_entries
            and all(few.next_tables <= all_.next_tables
                    and not few.instructions & ~(all_.instructions | _METER)
                    and few.write.actions <= all_.write.actions
                    and few.write.fields <= all_.write.fields
                    and few.apply.actions <= all_.apply.actions
                    and few.apply.fields <= all_.apply.fields
                    for few, all_ in ((wanted.hit, own.hit), (wanted.missed, own.missed)))
            and wanted.match <= own.match and wanted.mask <= own.mask
            and wanted.wildcard <= own.wildcard)


def _group_mask(groups: tuple[str, ...]) -> bytes:
    """The bits of a match in which rules of one eviction group agree; empty for one group."""
    fields: dict[str, tuple[int, int]] = {}
    for text in groups:
        info, offset, bits, _ = parse_subfield(text)
        before = fields.get(info.name, (0, 0))[1]
        fields[info.name] = 0, before | (1 << bits) - 1 << offset
    return packed.pack(Match(fields))[1] if fields else b""
