"""The engine beside its stupid twin: random transactions, same verdicts, same rows.

After each transaction the engine's own bookkeeping (reference counts, weak sources, indexes) is
compared with one made anew from its rows.
"""

import json

from hypothesis import given, settings, strategies as st

from ovsdb_server.engine.database import Context, Database, Triggers
from ovsdb_server.engine.schema import DatabaseSchema
from tests.model.database import Model, Refused
from tests.ovsdb_server.engine.transactions import ZOO

SCHEMA = DatabaseSchema.from_json(json.loads(ZOO.read_text()))


def _uuid(number):
    return f"00000000-0000-0000-0000-{number:012x}"


def _refs(numbers):
    return ["set", [["uuid", _uuid(n)] for n in sorted(set(numbers))]]


_PARENTS, _CHILDREN, _ROWS = range(1, 5), range(11, 17), range(21, 28)
_parent = st.sampled_from(_PARENTS)
_child = st.sampled_from(_CHILDREN)
_row = st.sampled_from(_ROWS)
_children = st.lists(_child, max_size=3, unique=True)
_name = st.sampled_from("abcd")

STEPS = st.one_of(
    st.tuples(st.just("add_parent"), _parent, _name, _children, _children),
    st.tuples(st.just("add_child"), _child, _name, st.none() | _child),
    st.tuples(st.just("add_indexed"), _row, _name, st.just(0)),
    st.tuples(st.just("set_children"), _parent, _children),
    st.tuples(st.just("set_friends"), _parent, _children),
    st.tuples(st.just("set_by_name"), _parent, st.dictionaries(_name, _child, max_size=2)),
    st.tuples(st.just("set_toy"), _child, st.none() | _child),
    st.tuples(st.just("rename"), _row, _name),
    st.tuples(st.just("remove"), st.one_of(_parent, _child, _row)),
)


@st.composite
def _family(draw):
    """A parent with children that have toys: what a commit mostly accepts."""
    parent, children = draw(_parent), draw(st.lists(_child, min_size=2, max_size=4, unique=True))
    toys = [draw(st.none() | st.sampled_from(children)) for _ in children]
    held = draw(st.lists(st.sampled_from(children), min_size=1, unique=True))
    return [*(("add_child", child, "a", toy) for child, toy in zip(children, toys)),
            ("add_parent", parent, "p", held, children)]


TRANSACTIONS = st.lists(_family() | st.lists(STEPS, min_size=1, max_size=4), max_size=10)


def _is(number):
    return [["_uuid", "==", ["uuid", _uuid(number)]]]


def _insert(table, number, row):
    return {"op": "insert", "table": table, "uuid": _uuid(number), "row": row}


def _update(table, number, row):
    return {"op": "update", "table": table, "where": _is(number), "row": row}


def _operation(step):
    """Return the operation that does `step`."""
    match step:
        case "add_parent", number, name, children, friends:
            return _insert("Parent", number, {"name": name, "children": _refs(children),
                                              "friends": _refs(friends)})
        case "add_child", number, name, toy:
            toys = [] if toy is None else [toy]
            return _insert("Child", number, {"name": name, "toy": _refs(toys)})
        case "add_indexed", number, name, a:
            return _insert("Indexed", number, {"name": name, "a": number * 100 + a})
        case "set_children", number, children:
            return _update("Parent", number, {"children": _refs(children)})
        case "set_friends", number, friends:
            return _update("Parent", number, {"friends": _refs(friends)})
        case "set_by_name", number, pairs:
            value = [[key, ["uuid", _uuid(child)]] for key, child in pairs.items()]
            return _update("Parent", number, {"by_name": ["map", value]})
        case "set_toy", number, toy:
            return _update("Child", number, {"toy": _refs([] if toy is None else [toy])})
        case "rename", number, name:
            return _update("Indexed", number, {"name": name})
    table = next(t for t, r in (("Parent", _PARENTS), ("Child", _CHILDREN), ("Indexed", _ROWS))
                 if step[1] in r)
    return {"op": "delete", "table": table, "where": _is(step[1])}


def _fits(model, steps):
    """Are the inserts possible: no UUID that exists or is inserted or removed twice?"""
    used = set(model.parents) | set(model.children) | set(model.indexed)
    for step in steps:
        if step[0].startswith("add_"):
            if step[1] in used:
                return False
            used.add(step[1])
        elif step[0] == "remove":
            used.add(step[1])
    return True


def _cell(database, table, number, column):
    rows = database.tables[table]
    return rows.rows[_uuid(number)][rows.schema.columns[column].index]


def _assert_same(model, database):
    for table, rows in (("Parent", model.parents), ("Child", model.children),
                        ("Indexed", model.indexed)):
        assert set(database.tables[table].rows) == {_uuid(n) for n in rows}
    for number, parent in model.parents.items():
        for column in ("children", "friends"):
            assert set(_cell(database, "Parent", number, column)) == {
                _uuid(n) for n in parent[column]}
        assert dict(_cell(database, "Parent", number, "by_name")) == {
            key: _uuid(n) for key, n in parent["by_name"].items()}
    for number, child in model.children.items():
        toys = () if child["toy"] is None else (_uuid(child["toy"]),)
        assert _cell(database, "Child", number, "toy") == toys
    for number, row in model.indexed.items():
        assert _cell(database, "Indexed", number, "name") == (row["name"],)


def _assert_bookkeeping(database):
    fresh = Database(SCHEMA)
    fresh.load({name: dict(table.rows) for name, table in database.tables.items()})
    for name, table in database.tables.items():
        assert table.references == fresh.tables[name].references
        assert table.weak_sources == fresh.tables[name].weak_sources
        assert table.indexes == fresh.tables[name].indexes


@settings(max_examples=300, deadline=None)
@given(TRANSACTIONS)
def test_random_transactions_have_the_twins_outcome(transactions):
    model, database = Model(), Database(SCHEMA)
    triggers = Triggers(database, lambda _delta, _comment: None)
    for steps in transactions:
        if not _fits(model, steps):
            continue
        verdict = None
        try:
            model.transact(steps)
        except Refused as refusal:
            verdict = str(refusal)
        operations = [_operation(step) for step in steps]
        results = triggers.submit(operations, Context(), 0.0, object()).results
        assert (results[-1] or {}).get("error") == verdict, (steps, results)
        _assert_same(model, database)
        _assert_bookkeeping(database)
