"""Monitors: what clients are told about changes, as encoded JSON, encoded once for equal ones.

A `Tracker` gathers the changes of the columns that some monitors watch; monitors of the same
tables, columns and selects share it.  It keeps a `_ChangeSet` per point in time at which some of
its monitors last looked: each holds the net change since then, so a slow client costs one set
and a thousand clients that keep up share one, and share its encoding too when they have no
condition.

Source: RFC 7047 sections 4.1.5 and 4.1.6; monitor_cond, monitor_cond_since and
monitor_cond_change of ovsdb-server(7).
"""

from collections.abc import Iterable, Iterator
from itertools import islice

import orjson

from . import datum
from .condition import Condition, parse_clause
from .error import OvsdbError, syntax_error
from .pace import Paced, at_once
from .parser import ARRAY, BOOLEAN, OBJECT, Parser
from .schema import Column, DatabaseSchema, Table
from .table import Change, Delta, Row, TableRows

MONITOR = "monitor"
COND = "monitor_cond"
COND_SINCE = "monitor_cond_since"

INITIAL, INSERT, DELETE, MODIFY = 1, 2, 4, 8
_SELECTS = (("initial", INITIAL), ("insert", INSERT), ("delete", DELETE), ("modify", MODIFY))

_TRUE = Condition([])

# Rows encoded at a time.
_SLICE = 250

# An update that looks at more rows than this is made in pieces.
_MANY = 1000


class Watch:
    """The columns watched in one table, each with the kinds of change it is wanted for.

    `judged`: further columns, of conditions, whose changes make rows come and go.
    `cells` {kind of change: (name, place in a row, default, writer) of the columns wanted for it}.
    """

    __slots__ = ("table", "columns", "select", "judged", "cells", "_indexes")

    def __init__(self, table: Table, columns: tuple[tuple[Column, int], ...], select: int,
                 judged: frozenset[Column] = frozenset()):
        self.judged = judged
        self.table = table
        self.columns = columns
        self.select = select
        self.cells = {kind: tuple((c.name, c.index, c.type.default, c.type.write)
                                  for c, wanted in columns if wanted & kind)
                      for kind in (INITIAL, INSERT, DELETE, MODIFY)}
        self._indexes = tuple(c.index for c, _select in columns) + tuple(
            sorted(c.index for c in judged))

    def judging(self, condition: Condition) -> "Watch":
        """Return the watch that also tracks the columns of `condition`."""
        used = {clause.column for clause in condition.clauses if clause.column is not None}
        more = used.difference(self.judged, (c for c, _select in self.columns))
        return Watch(self.table, self.columns, self.select, self.judged | more) if more else self

    def differs(self, old: Row, new: Row) -> bool:
        """Did a watched column change?"""
        for i in self._indexes:
            if old[i] is not new[i] and old[i] != new[i]:
                return True
        return False


class _ChangeSet:
    """Net changes since some moment.

    `encoded` {(is first form, conditions): bytes} of it and `framed` {(is first form, conditions,
    head): whole message} are dropped when it grows, and so are the `pieces` {(is first form,
    conditions): texts} of a large one.
    """

    __slots__ = ("tables", "encoded", "framed", "pieces", "n_users")

    def __init__(self):
        self.tables: Delta = {}
        self.pieces: dict[tuple, Iterable[bytes]] = {}
        self.encoded: dict[tuple, bytes | None] = {}
        self.framed: dict[tuple, bytes] = {}
        self.n_users = 0

    def add(self, delta: Delta) -> None:
        """Merge a later change into this one."""
        self.encoded.clear()
        self.framed.clear()
        self.pieces.clear()
        for name, changes in delta.items():
            mine = self.tables.get(name)
            if mine is None:
                self.tables[name] = dict(changes)
                continue
            for uuid, (old, new) in changes.items():
                before = mine.get(uuid)
                if before is not None:
                    old = before[0]
                    if old is None and new is None:
                        del mine[uuid]
                        continue
                mine[uuid] = old, new


class _Shared:
    """Pieces of text that are made once, when the first who goes over them comes to them."""

    def __init__(self, pieces: Iterator[bytes]):
        self._made: list[bytes] = []
        self._others = pieces

    def __iter__(self) -> Iterator[bytes]:
        n = 0
        while True:
            while n < len(self._made):
                yield self._made[n]
                n += 1
            piece = next(self._others, None)
            if piece is None:
                return
            self._made.append(piece)


def _join(tables: Iterable[tuple[str, Iterable[dict]]]) -> Iterator[bytes]:
    """Yield the JSON text {table: {...}} of the members that come in several objects per table.

    A table without members is left out; the last piece ends the object, "{}" without any.
    """
    before = b""
    for name, parts in tables:
        start = b'%b"%b":{' % (before or b"{", name.encode())
        for part in parts:
            text = orjson.dumps(part)
            if len(text) > 2:
                yield start + text[1:-1]
                start, before = b",", b"},"
            else:
                yield b""
    yield b"}}" if before else b"{}"


def _popped(items: dict) -> Iterator[tuple]:
    """Take everything out of `items`."""
    while items:
        yield items.popitem()


def _framed(head: bytes, pieces: Iterable[bytes], tail: bytes) -> Iterator[bytes]:
    """Yield `pieces` of an object with `head` and `tail` around them, if it has any members."""
    is_begun = False
    for piece in pieces:
        if not is_begun and piece and piece != b"{}":
            is_begun = True
            yield head
        yield piece if is_begun else b""
    if is_begun:
        yield tail


class Tracker:
    """Changes of what `watches` {table name: Watch} names, for all monitors that share it."""

    def __init__(self, watches: dict[str, Watch]):
        self.watches = watches
        self.idle: dict["Monitor", None] = {}
        self.sets: list[_ChangeSet] = []
        self.n_users = 0

    def note(self, relevant: Delta, awakened: list["Monitor"]) -> None:
        """Take in what of a commit is `relevant`.

        Monitors that had nothing to tell before are added to `awakened`.
        """
        if not relevant:
            return
        for change_set in self.sets:
            change_set.add(relevant)
        if self.idle:
            fresh = _ChangeSet()
            fresh.add(relevant)
            fresh.n_users = len(self.idle)
            self.sets.append(fresh)
            for monitor in self.idle:
                monitor.pending = fresh
                if monitor.owner is not None:
                    awakened.append(monitor)
            self.idle.clear()

    def relevant(self, delta: Delta, paced: Paced = at_once) -> Delta:
        """Return what of a delta touches anything watched."""
        relevant = {}
        for name, watch in self.watches.items():
            changes = delta.get(name)
            if changes:
                kept = {uuid: change for uuid, change in paced(changes.items())
                        if change[0] is None or change[1] is None or watch.differs(*change)}
                if kept:
                    relevant[name] = kept
        return relevant

    def release(self, monitor: "Monitor") -> None:
        """Let go of the monitor's change set."""
        change_set = monitor.pending
        monitor.pending = None
        if change_set is not None:
            change_set.n_users -= 1
            if not change_set.n_users:
                self.sets.remove(change_set)


Relevant = dict[Tracker, Delta]


class Monitors:
    """All monitors of one database."""

    def __init__(self, database):
        self._database = database
        self._trackers: dict[tuple, Tracker] = {}
        self._awakened: list["Monitor"] = []

    def __len__(self) -> int:
        """Those that watch the same count once."""
        return len(self._trackers)

    def note(self, delta: Delta, relevant: Relevant = {}) -> None:
        """Take in a commit, of which `prepare` may have found what is `relevant`."""
        for tracker in self._trackers.values():
            known = relevant.get(tracker)
            tracker.note(tracker.relevant(delta) if known is None else known, self._awakened)

    def prepare(self, delta: Delta, paced: Paced) -> Relevant:
        """Find what of `delta` is relevant to whom; monitors may come and go meanwhile."""
        relevant: Relevant = {}
        while new := [tracker for tracker in self._trackers.values() if tracker not in relevant]:
            relevant[new[0]] = new[0].relevant(delta, paced)
        return relevant

    def take_awakened(self) -> list["Monitor"]:
        """Return the monitors with an owner that a commit gave something to tell, once each."""
        awakened, self._awakened = self._awakened, []
        return awakened

    def add(self, kind: str, requests) -> "Monitor":
        """Start a monitor of `kind` (MONITOR, COND, COND_SINCE) with the monitor-requests JSON.

        Raises OvsdbError.
        """
        schema = self._database.schema
        if type(requests) is not dict:
            raise syntax_error(requests, "monitor-requests must be object")
        watches, conditions = {}, {}
        for name, json in requests.items():
            table = schema.tables.get(name)
            if table is None:
                raise OvsdbError("syntax error", f"no table named {name}")
            watch, condition = _parse_requests(table, json, kind != MONITOR)
            watches[name] = watch
            if condition.clauses:
                conditions[name] = condition
        tracker = self.tracker(watches)
        monitor = Monitor(self, tracker, kind, conditions)
        tracker.idle[monitor] = None
        return monitor

    def tracker(self, watches: dict[str, Watch]) -> Tracker:
        """Return the tracker of `watches`, with one user more."""
        key = tuple((name, tuple((c.name, select) for c, select in watches[name].columns),
                     watches[name].select, watches[name].judged) for name in sorted(watches))
        tracker = self._trackers.get(key)
        if tracker is None:
            tracker = self._trackers[key] = Tracker(watches)
        tracker.n_users += 1
        return tracker

    def drop(self, tracker: Tracker) -> None:
        """Count a monitor of `tracker` out."""
        tracker.n_users -= 1
        if not tracker.n_users:
            self._trackers = {k: t for k, t in self._trackers.items() if t is not tracker}

    @property
    def schema(self) -> DatabaseSchema:
        """Return the schema of the database."""
        return self._database.schema

    def rows(self, table: str) -> dict[str, Row]:
        """Return the committed rows of `table`."""
        return self._database.tables[table].rows

    def table(self, name: str) -> TableRows:
        """Return the committed state of a table."""
        return self._database.tables[name]


def flush_all(heads: list[tuple["Monitor", bytes]], tail: bytes) -> list[bytes | None]:
    """Return for each of many monitors what its `flush(head, tail)` gives.

    Those that say the same, which is mostly all, cost little one behind the other.
    """
    texts: list[bytes | None] = []
    text = last_set = last_key = last_head = None
    for monitor, head in heads:
        change_set = monitor.pending
        if (change_set is not None and change_set is last_set and head == last_head
                and monitor._key == last_key and monitor._former is None):
            tracker = monitor._tracker
            monitor.pending = None
            change_set.n_users -= 1
            if not change_set.n_users:
                tracker.sets.remove(change_set)
            tracker.idle[monitor] = None
        else:
            last_set = change_set if monitor._former is None else None
            last_key, last_head = monitor._key, head
            text = monitor.flush(head, tail)
        texts.append(text)
    return texts


def _parse_requests(table: Table, json, has_where: bool) -> tuple[Watch, Condition]:
    selects: dict[Column, int] = {}
    table_select = 0
    clauses = []
    for request in json if type(json) is list else (json,):
        parser = Parser(request, f"table {table.name}")
        where = parser.member("where", ARRAY, optional=True) if has_where else None
        columns_json = parser.member("columns", ARRAY, optional=True)
        select_json = parser.member("select", OBJECT, optional=True)
        parser.finish()
        select = INITIAL | INSERT | DELETE | MODIFY
        if select_json is not None:
            select = _parse_select(table, select_json)
        table_select |= select
        for column in _parse_columns(table, columns_json):
            if column in selects:
                raise syntax_error(columns_json,
                                   f"column {column.name} mentioned more than once")
            selects[column] = select
        clauses += [parse_clause(table, clause, None) for clause in where or ()]
    columns = tuple(sorted(selects.items(), key=lambda item: item[0].index))
    condition = Condition(clauses)
    return Watch(table, columns, table_select).judging(condition), condition


def _parse_select(table: Table, json: dict) -> int:
    parser = Parser(json, f"table {table.name} select")
    select = 0
    for name, bit in _SELECTS:
        if parser.member(name, BOOLEAN, optional=True) is not False:
            select |= bit
    parser.finish()
    return select


def _parse_columns(table: Table, json: list | None) -> list[Column]:
    if json is None:
        return list(table.order[1:])
    columns = []
    for name in json:
        if type(name) is not str:
            raise syntax_error(json, "array of column names expected")
        column = table.columns.get(name)
        if column is None:
            raise syntax_error(json, f"{name} is not a valid column name")
        columns.append(column)
    return columns


class Monitor:
    """One client's monitor; `kind` is MONITOR, COND or COND_SINCE.

    `pending` is its share of the tracker's changes, None when it is up to date; `owner` is
    whoever wants to be among those that `Monitors.take_awakened` names.
    """

    def __init__(self, monitors: Monitors, tracker: Tracker, kind: str,
                 conditions: dict[str, Condition]):
        self.kind = kind
        self.pending: _ChangeSet | None = None
        self.owner = None
        self._monitors = monitors
        self._tracker = tracker
        self._set_conditions(conditions)
        self._former: dict[str, Condition] | None = None

    def _set_conditions(self, conditions: dict[str, Condition]) -> None:
        self._conditions = conditions
        # What monitors share a text: equal ones have equal keys.
        self._key = self.kind == MONITOR, tuple(
            (name, tuple((clause.column and clause.column.name, clause.function, clause.argument)
                         for clause in conditions[name].clauses)) for name in sorted(conditions))

    @property
    def has_changes(self) -> bool:
        """Might `flush` have something to tell?"""
        return self.pending is not None or self._former is not None

    @property
    def _is_first_form(self) -> bool:
        return self.kind == MONITOR

    @property
    def n_initial(self) -> int:
        """How many rows does `initial` look at?"""
        n = 0
        for name, watch in self._tracker.watches.items():
            if watch.select & INITIAL:
                found = self._look_up(name)
                n += len(self._monitors.rows(name) if found is None else found)
        return n

    def _look_up(self, name: str) -> list[Row] | None:
        """Return the rows of a table that the monitor wants, None if that takes a scan."""
        condition = self._conditions.get(name)
        return condition and self._monitors.table(name).look_up_any(condition)

    def initial(self) -> bytes:
        """Return the table-updates (JSON text) that answer the monitor request."""
        return b"".join(self.initial_pieces())

    def initial_pieces(self) -> Iterator[bytes]:
        """Return an iterator over pieces of what `initial` gives, each of a millisecond or so.

        They tell of the rows as they are when this is called.
        """
        tables = []
        for name, watch in self._tracker.watches.items():
            if watch.select & INITIAL:
                found = self._look_up(name)
                if found is not None:
                    tables.append((name, watch, None, found))
                    continue
                condition = self._conditions.get(name)
                tables.append((name, watch, condition and condition.matches_any,
                               list(self._monitors.rows(name).values())))
        return self._encode_pieces(tables)

    def _encode_pieces(self, tables: list[tuple]) -> Iterator[bytes]:
        encode_new = self._encode_new

        def parts(watch: Watch, matches, rows: list[Row]) -> Iterator[dict]:
            for first in range(0, len(rows), _SLICE):
                some = rows[first:first + _SLICE]
                if matches is not None:
                    some = filter(matches, some)
                yield {row[0][0]: encode_new(watch, row, INITIAL) for row in some}

        return _join((name, parts(watch, matches, rows)) for name, watch, matches, rows in tables)

    def updates_of(self, deltas: list[Delta]) -> bytes:
        """Return what `deltas`, the last of the database, changed together, as JSON text."""
        change_set = _ChangeSet()
        for delta in deltas:
            change_set.add(self._tracker.relevant(delta))
        return orjson.dumps(self._conditional_updates(change_set, None))

    def _encode_new(self, watch: Watch, row: Row, kind: int) -> dict:
        if self._is_first_form:
            return {"new": {name: write(row[i]) for name, i, _, write in watch.cells[kind]}}
        return {"initial" if kind == INITIAL else "insert":
                {name: write(value) for name, i, default, write in watch.cells[kind]
                 if (value := row[i]) != default}}

    def flush(self, head: bytes = b"", tail: bytes = b"") -> bytes | None:
        """Return what changed since `initial` or the last `flush` as JSON text, or None.

        `head` and `tail` are put around it; the same for all monitors that share the change and
        the conditions and have the same head.
        """
        change_set, former = self.pending, self._former
        if change_set is None and former is None:
            return None
        if former is not None:
            text = self._dump(self._conditional_updates(change_set, former))
            text = text and b"%b%b%b" % (head, text, tail)
        else:
            key = self._key, head
            text = change_set.framed.get(key)
            if text is None:
                text = self._shared_text(change_set)
                if text is not None:
                    text = change_set.framed[key] = b"%b%b%b" % (head, text, tail)
        self._former = None
        self._tracker.release(self)
        self._tracker.idle[self] = None
        return text

    @property
    def is_large(self) -> bool:
        """Is what `flush` would tell so much that it should be told in pieces?"""
        n = 0
        if self.pending is not None:
            for changes in self.pending.tables.values():
                n += len(changes)
        if self._former is not None:
            for name in self._tracker.watches:
                if self._conditions.get(name) is not self._former.get(name):
                    n += len(self._monitors.rows(name))
        return n > _MANY

    def flush_pieces(self, head: bytes, tail: bytes) -> Iterator[bytes]:
        """As `flush`, in pieces of a millisecond or so, some of them empty; perhaps all.

        They tell of what has changed when this is called.
        """
        change_set, former = self.pending, self._former
        pieces = None
        if former is None:
            pieces = change_set.pieces.get(self._key)
        if pieces is None:
            pieces = _join(self._snapshot(change_set, former))
            if former is None and change_set.n_users > 1:
                pieces = change_set.pieces[self._key] = _Shared(pieces)
        self._former = None
        self._tracker.release(self)
        self._tracker.idle[self] = None
        return _framed(head, pieces, tail)

    def _snapshot(self, change_set: _ChangeSet | None, former: dict[str, Condition] | None
                  ) -> list[tuple[str, Iterator[dict]]]:
        """Return tables with their updates in parts, as they are now."""
        pending = {} if change_set is None else change_set.tables
        tables = []
        for name, watch in self._tracker.watches.items():
            after = self._conditions.get(name, _TRUE)
            before = after if former is None else former.get(name, _TRUE)
            changes = dict(pending.get(name, ()))
            rows = self._monitors.rows(name).copy() if before is not after else {}
            tables.append((name, self._update_parts(watch, before, after, changes, rows)))
        return tables

    def _update_parts(self, watch: Watch, before: Condition, after: Condition,
                      changes: dict[str, Change], rows: dict[str, Row]) -> Iterator[dict]:
        """Yield the updates of `changes`, and of those of the other `rows` that come or go.

        It uses `changes` up: what is not needed any more goes bit by bit.
        """
        told = set(changes) if rows else ()
        others = ((uuid, (row, row)) for uuid, row in rows.items() if uuid not in told)
        for items in (_popped(changes), others):
            while some := list(islice(items, _SLICE)):
                part = {}
                for uuid, (old, new) in some:
                    update = self._encode(
                        watch, old if old is not None and before.matches_any(old) else None,
                        new if new is not None and after.matches_any(new) else None)
                    if update is not None:
                        part[uuid] = update
                yield part

    def _shared_text(self, change_set: _ChangeSet) -> bytes | None:
        encoded = change_set.encoded
        if self._key not in encoded:
            encoded[self._key] = self._dump(
                self._conditional_updates(change_set, None) if self._conditions
                else self._updates(change_set.tables))
        return encoded[self._key]

    def _dump(self, updates: dict) -> bytes | None:
        return orjson.dumps(updates) if updates else None

    def _updates(self, tables: Delta) -> dict:
        updates = {}
        for name, changes in tables.items():
            watch = self._tracker.watches[name]
            rows = {}
            for uuid, (old, new) in changes.items():
                update = self._encode(watch, old, new)
                if update is not None:
                    rows[uuid] = update
            if rows:
                updates[name] = rows
        return updates

    def _conditional_updates(self, change_set: _ChangeSet | None,
                             former: dict[str, Condition] | None) -> dict:
        visible: Delta = {}
        pending = {} if change_set is None else change_set.tables
        for name in self._tracker.watches:
            after = self._conditions.get(name, _TRUE)
            before = after if former is None else former.get(name, _TRUE)
            changes: dict[str, Change] = dict(pending.get(name, ()))
            if before is not after:
                for uuid, row in self._monitors.rows(name).items():
                    changes.setdefault(uuid, (row, row))
            visible[name] = {
                uuid: (old if old is not None and before.matches_any(old) else None,
                       new if new is not None and after.matches_any(new) else None)
                for uuid, (old, new) in changes.items()}
        return self._updates(visible)

    def _encode(self, watch: Watch, old: Row | None, new: Row | None) -> dict | None:
        if old is None:
            if new is None or not watch.select & INSERT:
                return None
            return self._encode_new(watch, new, INSERT)
        if new is None:
            if not watch.select & DELETE:
                return None
            if not self._is_first_form:
                return {"delete": None}
            return {"old": {name: write(old[i]) for name, i, _, write in watch.cells[DELETE]}}
        if not watch.select & MODIFY or not watch.differs(old, new):
            return None
        if self._is_first_form:
            cells = watch.cells[MODIFY]
            return {"old": {name: write(old[i]) for name, i, _, write in cells
                            if old[i] != new[i]},
                    "new": {name: write(new[i]) for name, i, _, write in cells}}
        changed = {c.name: c.type.write(datum.diff(c.type, old[c.index], new[c.index]))
                   for c, select in watch.columns
                   if select & MODIFY and old[c.index] != new[c.index]}
        # Where only columns of a condition have changed, there is nothing to tell.
        is_told = changed or any(old[c.index] != new[c.index] for c, _select in watch.columns)
        return {"modify": changed} if is_told else None

    def change(self, requests) -> None:
        """Change the conditions (monitor_cond_change); `flush` then tells the difference.

        Raises OvsdbError, and then nothing is changed.
        """
        if type(requests) is not dict:
            raise OvsdbError("syntax error", "monitor-cond-change-requests must be object")
        if self._is_first_form:
            return
        conditions = dict(self._conditions)
        for name, json in requests.items():
            watch = self._tracker.watches.get(name)
            if name not in self._monitors.schema.tables:
                raise OvsdbError("syntax error", f"no table named {name}")
            if watch is None:
                raise OvsdbError("syntax error", f"no table named {name} in monitor session")
            if type(json) is not list:
                raise OvsdbError("syntax error",
                                 f"table {name} no monitor-cond-change JSON array")
            clauses = []
            for request in json:
                parser = Parser(request, f"table {name}")
                parser.member("columns", ARRAY, optional=True)
                where = parser.member("where", ARRAY, optional=True)
                parser.finish()
                if "columns" in request:
                    raise syntax_error(request, "changing columns is unsupported")
                clauses += [parse_clause(watch.table, clause, None) for clause in where or ()]
            conditions[name] = Condition(clauses)
        if self._former is None:
            self._former = self._conditions
        self._set_conditions(conditions)
        self._track({name: watch.judging(conditions.get(name, _TRUE))
                     for name, watch in self._tracker.watches.items()})

    def _track(self, watches: dict[str, Watch]) -> None:
        """Go on with another tracker if the present one does not watch all of `watches`."""
        if watches == self._tracker.watches:
            return
        pending = self.pending
        self._tracker.idle.pop(self, None)
        self._tracker.release(self)
        self._monitors.drop(self._tracker)
        self._tracker = self._monitors.tracker(watches)
        if pending is None:
            self._tracker.idle[self] = None
            return
        self.pending = _ChangeSet()
        self.pending.add(pending.tables)
        self.pending.n_users = 1
        self._tracker.sets.append(self.pending)

    def close(self) -> None:
        """Forget the monitor."""
        self._tracker.idle.pop(self, None)
        self._tracker.release(self)
        self._monitors.drop(self._tracker)
