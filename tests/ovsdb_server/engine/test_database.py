"""Databases: waiting transactions, storage errors, comments, access control, conversion."""

import gc
import json

import orjson
import pytest

from ovsdb_server.engine import operations
from ovsdb_server.engine.database import Context, Database, Triggers, convert
from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.schema import DatabaseSchema
from tests.ovsdb_server.engine.transactions import (ZOO, a_map, a_set, delete, insert, mutate,
                                                    named, plain, select, update, wait)

ZOO_JSON = json.loads(ZOO.read_text())
WAIT = wait("Plain", [{"name": "x"}], columns=["name"], timeout=30)


def _nothing(_delta, _comment):
    """Store nothing, successfully."""


@pytest.fixture
def database():
    return Database(DatabaseSchema.from_json(ZOO_JSON))


@pytest.fixture
def triggers(database):
    return Triggers(database, _nothing)


def _run(triggers, *operations, context=Context(), now=0.0):
    return triggers.submit(list(operations), context, now, object()).results


def test_a_wait_is_run_again_when_the_database_changes(triggers):
    waiting = triggers.submit([WAIT, select("Plain", columns=["name"])], Context(), 5.0, "w")
    assert waiting.is_waiting and triggers.next_deadline() == 5.03
    assert triggers.run(5.01) == []
    _run(triggers, plain(name="x"))
    [(token, execution)] = triggers.run(5.02)
    assert token == "w" and execution.results == [{}, {"rows": [{"name": "x"}]}]
    assert len(triggers) == 0 and triggers.next_deadline() is None


def test_a_wait_times_out_at_its_deadline(triggers):
    triggers.submit([WAIT], Context(), 5.0, "w")
    [(_token, execution)] = triggers.run(triggers.next_deadline())
    assert execution.results == [
        {"error": "timed out", "details": '"wait" timed out after 30 ms'}]


def test_what_comes_before_a_wait_is_undone_until_it_holds(triggers, database):
    triggers.submit([plain(name="mine"), WAIT], Context(), 0.0, "w")
    assert not database.tables["Plain"].rows
    _run(triggers, plain(name="x"))
    assert triggers.run(0.0) == []       # Now there are two names: x and mine.
    triggers.cancel("w")
    _run(triggers, delete("Plain"))
    assert triggers.run(1.0) == [] and not database.tables["Plain"].rows


def test_one_waiting_transaction_may_release_another(triggers):
    triggers.submit([wait("Plain", [{"name": "b"}], columns=["name"])], Context(), 0.0, 1)
    triggers.submit([wait("Plain", [{"name": "a"}], columns=["name"]),
                     update("Plain", {"name": "b"})], Context(), 0.0, 2)
    assert triggers.next_deadline() is None
    _run(triggers, plain(name="a"))
    assert sorted(token for token, _execution in triggers.run(0.0)) == [1, 2]


def test_a_storage_that_fails_leaves_the_database_as_it_was(database):
    def fail(_delta, _comment):
        raise OvsdbError("I/O error", "db: write failed", io_error="No space left on device")
    execution = Triggers(database, fail).submit([plain(name="x")], Context(), 0.0, 1)
    assert execution.results[1] == {
        "error": "I/O error", "details": "db: write failed",
        "io-error": "No space left on device"}
    assert not execution.delta and not database.tables["Plain"].rows
    assert database.sequence == 0


def test_comments_are_joined_and_durability_noted(database):
    stored = []
    triggers = Triggers(database, lambda delta, comment: stored.append(comment))
    execution = triggers.submit(
        [plain(), {"op": "comment", "comment": "a"}, {"op": "comment", "comment": "b"},
         {"op": "commit", "durable": True}], Context(), 0.0, 1)
    assert stored == ["a\nb"] and execution.is_durable
    assert not triggers.submit([plain()], Context(), 0.0, 2).is_durable
    assert stored == ["a\nb", None]


def test_nothing_is_stored_when_nothing_changes(database, triggers):
    _run(triggers, plain(name="x"))
    execution = triggers.submit(
        [update("Plain", {"name": "y"}), update("Plain", {"name": "x"}), insert("Child", {})],
        Context(), 0.0, 1)
    assert execution.results[:2] == [{"count": 1}, {"count": 1}] and not execution.delta
    assert database.sequence == 1


def test_a_row_has_a_new_version_exactly_when_it_changed(database, triggers):
    _run(triggers, plain(name="x"), plain(name="y"))
    before = {row[0]: row[1] for row in database.tables["Plain"].rows.values()}
    _run(triggers, update("Plain", {"name": "y"}))
    changed = [row for row in database.tables["Plain"].rows.values() if before[row[0]] != row[1]]
    assert len(changed) == 1


@pytest.mark.parametrize("index, text, first_is_changed", [
    ({"name": "long"}, "(long)", True),
    ({"a": 12, "b": a_set(7)}, "(12 and [7])", False),
])
def test_rows_of_one_index_value_are_named_in_the_order_of_their_contents(
        triggers, index, text, first_is_changed):
    _run(triggers, insert("Indexed", {"name": "long", "a": 12, "b": 7}),
         insert("Indexed", {"name": "b", "a": 13}))
    details = _run(triggers, update("Indexed", index, [["name", "==", "b"]]))[-1]["details"]
    assert f"identical values {text} for index" in details
    changed = details.index("had the following index values before the transaction")
    kept = details.index("existed in the database before this transaction and was not modified")
    assert (changed < kept) is first_is_changed


def test_a_read_only_session_may_look_but_not_touch(triggers):
    context = Context(is_read_only=True)
    assert _run(triggers, select("Plain"), plain(), select("Plain"), context=context) == [
        {"rows": []}, {"error": "not allowed", "details": "insert operation not allowed when "
                       "database server is in read only mode"}, None]


def test_only_the_server_itself_writes_reserved_databases():
    schema = DatabaseSchema.from_json({**ZOO_JSON, "name": "_Zoo"})
    triggers = Triggers(Database(schema), _nothing)
    assert _run(triggers, plain())[0]["details"] == (
        "insert operation not allowed on table in reserved database _Zoo")
    assert "uuid" in _run(triggers, plain(), context=Context(is_internal=True))[0]


def test_assert_asks_the_session_about_its_lock(triggers):
    context = Context(owns_lock=lambda name: name == "mine")
    assert _run(triggers, {"op": "assert", "lock": "mine"}, context=context) == [{}]
    assert _run(triggers, {"op": "assert", "lock": "yours"}, context=context) == [
        {"error": "not owner", "details": "Asserted lock yours not held."}]


def test_weak_references_of_the_row_that_let_go_are_cleaned_too(triggers):
    _run(triggers, insert("Child", {"name": "c"}, **{"uuid-name": "c"}),
         insert("Parent", {"children": named("c"), "friends": named("c")}))
    _run(triggers, update("Parent", {"children": a_set()}))
    assert _run(triggers, select("Parent", columns=["friends"]))[0] == {
        "rows": [{"friends": a_set()}]}


def _with_roles(owner, authorization):
    """Return (triggers, ordinary context) of a database with access control."""
    ref = {"key": "string", "value": {"type": "uuid", "refTable": "RBAC_Permission"}, "min": 0,
           "max": "unlimited"}
    strings = {"key": "string", "min": 0, "max": "unlimited"}
    schema = DatabaseSchema.from_json({"name": "R", "tables": {
        "RBAC_Role": {"isRoot": True, "columns": {
            "name": {"type": "string"}, "permissions": {"type": ref}}},
        "RBAC_Permission": {"isRoot": True, "columns": {
            "table": {"type": "string"}, "authorization": {"type": strings},
            "insert_delete": {"type": "boolean"}, "update": {"type": strings}}},
        "T": {"isRoot": True, "columns": {
            "owner": {"type": "string"}, "value": {"type": "integer"},
            "free": {"type": "integer"},
            "ids": {"type": {"key": "string", "value": "string", "min": 0,
                             "max": "unlimited"}}}}}})
    triggers = Triggers(Database(schema), _nothing)
    _run(triggers, insert("RBAC_Permission", {
        "table": "T", "authorization": authorization, "insert_delete": True,
        "update": a_set("value")}, **{"uuid-name": "p"}),
        insert("RBAC_Role", {"name": "r", "permissions": a_map(("T", named("p")))}))
    return triggers, Context(role="r", client_id=owner)


def test_roles_may_write_only_their_own_rows():
    triggers, mine = _with_roles("me", a_set("owner", "ids:x"))
    assert "uuid" in _run(triggers, insert("T", {"owner": "me"}), context=mine)[0]
    assert "uuid" in _run(triggers, insert("T", {"ids": a_map(("x", "me"))}), context=mine)[0]
    refused = 'RBAC rules for client "me" role "r" prohibit '
    assert _run(triggers, insert("T", {"owner": "you"}), context=mine) == [
        {"error": "permission error", "details": f'{refused}row insertion into table "T".'}]
    assert "uuid" in _run(triggers, insert("T", {"owner": "you"}))[0]
    own = [["owner", "==", "me"]]
    assert _run(triggers, update("T", {"value": 1}, own), context=mine) == [{"count": 1}]
    assert _run(triggers, update("T", {"free": 1}, own), context=mine)[0]["details"] == (
        f'{refused}modification of table "T".')
    assert _run(triggers, mutate("T", [["value", "+=", 1]]), context=mine)[0]["details"] == (
        f'{refused}mutate operation on table "T".')
    assert _run(triggers, delete("T"), context=mine)[0]["details"] == (
        f'{refused}row deletion from table "T".')
    assert _run(triggers, delete("T", own), context=mine) == [{"count": 1}]
    assert _run(triggers, insert("RBAC_Role", {}), context=mine)[0]["error"] == (
        "permission error")
    assert len(_run(triggers, select("T"), context=mine)[0]["rows"]) == 2


def test_a_table_without_permission_is_refused_even_if_no_row_matches():
    triggers, mine = _with_roles("me", a_set("owner"))
    nothing = [["name", "==", "nobody"]]
    for operation, what in ((update("RBAC_Role", {"name": "x"}, nothing), "modification of"),
                            (mutate("RBAC_Role", [["permissions", "delete", a_set("T")]],
                                    nothing), "mutate operation on"),
                            (delete("RBAC_Role", nothing), "row deletion from")):
        assert _run(triggers, operation, context=mine)[0]["details"] == (
            f'RBAC rules for client "me" role "r" prohibit {what} table "RBAC_Role".')
    other = [["owner", "==", "you"]]
    assert _run(triggers, delete("T", other), update("T", {"free": 1}, other),
                context=mine) == [{"count": 0}, {"count": 0}]


def test_a_role_without_an_identity_may_write_nothing():
    triggers, _mine = _with_roles("me", a_set(""))
    nobody = Context(role="r")
    assert _run(triggers, insert("T", {}), context=nobody)[0]["error"] == "permission error"


def _changed_schema(change):
    json_schema = json.loads(ZOO.read_text())
    change(json_schema["tables"])
    return DatabaseSchema.from_json(json_schema)


def test_conversion_keeps_what_fits_and_drops_the_rest(database, triggers):
    _run(triggers, plain(name="x", number=5, maybe=3), insert("Indexed", {"name": "i"}))

    def change(tables):
        del tables["Indexed"], tables["Plain"]["columns"]["number"]
        tables["Plain"]["columns"]["fresh"] = {"type": "integer"}
        tables["Plain"]["columns"]["maybe"] = {"type": {"key": "integer", "max": 9, "min": 0}}
    converted = Triggers(convert(database, _changed_schema(change)), _nothing)
    assert orjson.loads(orjson.dumps(_run(converted, select(
        "Plain", columns=["name", "maybe", "fresh"])))) == [
            {"rows": [{"name": "x", "maybe": 3, "fresh": 0}]}]


def test_conversion_is_refused_when_a_value_does_not_fit(database, triggers):
    _run(triggers, plain(name="x"))

    def change(tables):
        tables["Plain"]["columns"]["name"] = {"type": "integer"}
    with pytest.raises(OvsdbError) as caught:
        convert(database, _changed_schema(change))
    assert str(caught.value) == 'syntax ""x"": syntax error: expected integer'


def test_conversion_is_refused_when_an_index_would_not_hold(database, triggers):
    _run(triggers, plain(name="x"), plain(name="x"))

    def change(tables):
        tables["Plain"]["indexes"] = [["name"]]
    with pytest.raises(OvsdbError, match="multiple rows"):
        convert(database, _changed_schema(change))


def test_a_string_that_no_journal_can_hold_is_refused(triggers):
    assert _run(triggers, plain(name="a\0b"))[0]["error"] == "syntax error"
    assert _run(triggers, plain(name="\ud800"))[0]["error"] == "constraint violation"
    assert "uuid" in _run(triggers, plain(name="\U0001f600"))[0]


@pytest.mark.parametrize("operations", [
    [plain(name=5)],
    [plain(name="x"), {"op": "abort"}],
    [wait("Plain", [{"name": "x"}], columns=["name"], timeout=0)],
    [{"op": "nope"}],
    [plain(name="x"), update("Plain", {"name": "y"}), delete("Plain")],
])
def test_a_transaction_leaves_nothing_to_the_cycle_collector(triggers, operations):
    """It comes seldom to a server, so what waits for it grows with the requests."""
    _run(triggers, *operations)
    gc.collect()
    gc.disable()
    try:
        _run(triggers, *operations)
        assert gc.collect() == 0
    finally:
        gc.enable()


def _verifications(where):
    """What a client says of a row that it has read, and what is nearly that; may it be true?"""
    right = wait("Plain", [{"name": "x", "number": 5}], columns=["number", "name"], where=where,
                 timeout=0)
    yield right
    yield right | {"rows": [{"name": "x", "number": 6}]}
    yield right | {"rows": [{"name": "x", "number": "5"}]}
    yield right | {"rows": [{"name": "x"}]}
    yield right | {"rows": [{"name": "x", "nosuch": 5}]}
    yield right | {"rows": []}
    yield right | {"columns": ["number", "number"]}
    yield right | {"columns": ["name", 5]}
    yield right | {"columns": ["_uuid", "name"]}
    yield right | {"until": "!="}
    yield right | {"timeout": -1}
    yield right | {"timeout": True}
    yield right | {"more": 1}
    yield {key: value for key, value in right.items() if key != "timeout"} | {"more": 1}
    yield right | {"table": "nosuch"}
    yield right | {"where": [["_uuid", "==", ["uuid", "x"]]]}
    yield right | {"where": [["_uuid", "==", ["uuid", "0" * 8 + "-0000-0000-0000-" + "0" * 12]]]}


def test_rows_are_verified_quickly_as_in_full(triggers, monkeypatch):
    row = _run(triggers, plain(name="x", number=5))[0]["uuid"]
    cases = list(_verifications([["_uuid", "==", row]]))
    quick = [_run(triggers, case) for case in cases]
    assert quick[0] == [{}] and quick.count([{}]) < 4
    asked = []
    full = operations.OPERATIONS["wait"]
    monkeypatch.setitem(operations.OPERATIONS, "wait", operations.Operation(
        lambda transaction, parser: asked.append(1) or full.execute(transaction, parser), False))
    assert _run(triggers, cases[0]) == [{}] and not asked
    monkeypatch.delitem(operations._QUICK, "wait")
    assert [_run(triggers, case) for case in cases] == quick
    assert len(asked) == len(cases)
