"""Transactions over the schema zoo.ovsschema, as data: what the engine and the reference agree on.

`CASES` is a list of transactions, run in order on one database (most undo themselves with an
abort).  It goes through every type with good and bad values, every function and mutator, and the
checks of a commit.  `test_differential.py` runs them all beside the real server; `test_golden.py`
compares a sample with answers recorded from it.
"""

from pathlib import Path

ZOO = Path(__file__).with_name("zoo.ovsschema")

ABORT = {"op": "abort"}
FINE = {"some": "x", "long": "yy"}       # What a row of Plain needs to be legal.


def insert(table, row, **more):
    return {"op": "insert", "table": table, "row": row, **more}


def select(table, where=(), **more):
    return {"op": "select", "table": table, "where": list(where), **more}


def update(table, row, where=()):
    return {"op": "update", "table": table, "where": list(where), "row": row}


def mutate(table, mutations, where=()):
    return {"op": "mutate", "table": table, "where": list(where), "mutations": mutations}


def delete(table, where=()):
    return {"op": "delete", "table": table, "where": list(where)}


def wait(table, rows, until="==", where=(), **more):
    return {"op": "wait", "table": table, "where": list(where), "rows": rows, "until": until,
            **more}


def uuid(number):
    return ["uuid", f"00000000-0000-0000-0000-{number:012}"]


def named(name):
    return ["named-uuid", name]


def a_set(*elements):
    return ["set", list(elements)]


def a_map(*pairs):
    return ["map", [list(pair) for pair in pairs]]


def plain(**values):
    return insert("Plain", {**FINE, **values})


VALUES = {
    "number": [2.0, 1e3, -0.0, 2.5, "x", True, None, a_set(1), a_set(), a_set(1, 2),
               9223372036854775807, 9223372036854775808.0, -9223372036854775807, 1e300, [], {},
               ["uuid", "x"]],
    "real": [1, 2.5, 1e-7, 12345678901234567890.0, 1E-7, 0.1, 1 / 3, 1e15, 1e16,
             123456789.123456789, "x", -0.0, True, 1e22],
    "flag": [True, 0, "true", None],
    "name": ["a", "a b", "", 5, "\u00e9", "\U0001f600", "tab\t", 'q"\\', "\x7f", "true"],
    "id": [["uuid", "zz"], ["uuid", 5], ["uuid"], "x", named("q"), named("9q"), named(5), uuid(1),
           ["uuid", "00000000-0000-0000-0000-00000000000A"], a_set(uuid(1)), ["uuid", "0", "1"]],
    "range": [0, 10, 11, -1, "x", a_set(3)],
    "low": [-5, -6],
    "high": [2.5, 2.6, 3],
    "short": ["abcd", "abcde", "\u00e9\u00e9\u00e9\u00e9", "\u00e9\u00e9\u00e9\u00e9\u00e9"],
    "long": ["x", "xy", a_set("ab", "cd", "ef"), a_set("ab", "cd", "ef", "gh"),
             a_set("ab", "ab"), a_set()],
    "choice": ["a", "b c", "true", "d", "e f", uuid(1)[1]],
    "odd": [1, 2, a_set(1, 2), a_set(5, 3, 1)],
    "numbers": [1, a_set(3, 1, 2), a_set(1, 2, 3, 4), a_set(1, 1), a_set(1, 1, 1, 1), a_set("a"),
                ["set"], ["set", 5], ["set", [], []], "x"],
    "reals": [a_set(2, 1.5, 1), a_set(1, 1.0)],
    "some": [a_set(), a_set("a", "b"), a_set("a", "b", "c"), "x"],
    "maybe": [1, a_set(), a_set(1), a_set(1, 2), "x"],
    "maybe_text": ["x", a_set(), 5],
    "map": [a_map(), a_map(("b", "1"), ("a", "2")), a_map(("a", "1"), ("a", "2")),
            ["map", [["a"]]], ["map", [["a", "b", "c"]]], ["map", ["a"]], ["map", {}],
            ["map", 5], ["mop", []], a_set(), "x", a_map(("a", 5)), a_map((5, "a")), 5,
            a_map(("a", "1"), ("a", 5))],
    "counts": [a_map(("a", 9)), a_map(("a", 10)), a_map(("a", 1), ("b", 2), ("c", 3)),
               a_map(("a", 1), ("b", 2))],
    "pair": [a_map((1, True)), a_map(), a_map((1, True), (2, False)), a_set()],
    "ids": [a_set(uuid(2), uuid(1)), a_set(uuid(1), uuid(1)), uuid(3)],
    "_uuid": [uuid(4), 5],
    "_version": [uuid(4)],
    "nope": [1],
    "fixed": ["x"],
    "fleeting": ["e"],
}
FUNCTIONS = ("==", "!=", "<", "<=", ">", ">=", "includes", "excludes")
MUTATORS = ("+=", "-=", "*=", "/=", "%=", "insert", "delete")

_ROW = {"number": 5, "real": 1.5, "numbers": a_set(1, 2), "map": a_map(("a", "1"), ("b", "2")),
        "maybe": 1, "reals": a_set(1, 2.5)}


def _value_cases():
    for column, values in VALUES.items():
        shown = "name" if column == "nope" else column
        for value in values:
            yield [plain(**{column: value}), select("Plain", columns=[shown]), ABORT]
            yield [plain(), update("Plain", {column: value}), select("Plain", columns=[shown]),
                   ABORT]
            for function in FUNCTIONS:
                yield [plain(**_ROW), plain(),
                       select("Plain", [[column, function, value]], columns=["name"]), ABORT]
            for mutator in MUTATORS:
                yield [plain(**{**_ROW, "number": 7, "range": 7, "counts": a_map(("a", 1))}),
                       mutate("Plain", [[column, mutator, value]]),
                       select("Plain", columns=[shown]), ABORT]


_MUTATIONS = [
    ("range", "+=", 5), ("number", "+=", 9223372036854775807),
    ("number", "-=", 9223372036854775807), ("number", "*=", 9223372036854775807),
    ("number", "/=", 0), ("number", "%=", 0), ("number", "/=", -2), ("number", "%=", -4),
    ("real", "/=", 0), ("real", "*=", 1e308), ("real", "/=", 4), ("real", "%=", 2),
    ("numbers", "*=", 0), ("numbers", "+=", 1), ("odd", "+=", 2), ("odd", "*=", 2),
    ("maybe", "+=", 3), ("map", "delete", a_set("a")), ("map", "delete", "a"),
    ("map", "delete", a_map(("a", "1"))), ("map", "delete", a_map(("a", "2"))),
    ("map", "delete", a_set("a", "zz")), ("map", "delete", 5),
    ("map", "insert", a_map(("a", "9"), ("z", "1"))), ("numbers", "insert", a_set(3, 4)),
    ("numbers", "insert", 3), ("numbers", "insert", 1),
    ("numbers", "delete", a_set(1, 2, 3, 4, 5)), ("some", "delete", "x"),
    ("pair", "insert", a_map((5, True))), ("pair", "delete", 0), ("maybe", "insert", 2),
    ("maybe", "insert", 1), ("maybe", "delete", 1), ("counts", "insert", a_map(("b", 99))),
    ("choice", "insert", "a"), ("number", "~=", 1), ("fixed", "insert", "x"),
    ("_uuid", "insert", uuid(1)), ("number", "&&", 1), ("some", "insert", a_set("y", "z")),
]


def _mutation_cases():
    for column, mutator, value in _MUTATIONS:
        yield [plain(number=-7, range=7, real=1e10, numbers=a_set(1, 2), odd=a_set(1, 3),
                     map=a_map(("a", "1"), ("b", "2")), counts=a_map(("a", 1)), maybe=1),
               mutate("Plain", [[column, mutator, value]]), select("Plain", columns=[column]),
               ABORT]
    yield [plain(), mutate("Plain", [["maybe", "+=", 3]]), mutate("Plain", []),
           mutate("Plain", [5])]
    for mutation in (["number", "+="], ["number", 5, 5], ["number", "+=", 1, 2]):
        yield [mutate("Plain", [mutation])]
    yield [mutate("Plain", 5)]
    yield [mutate("Nope", [])]
    three = ["numbers", "insert", a_set(1, 2, 3)]
    yield [plain(), mutate("Plain", [three, ["numbers", "insert", 4]])]
    yield [plain(), mutate("Plain", [three, ["numbers", "delete", 1], ["numbers", "insert", 4]]),
           select("Plain", columns=["numbers"]), ABORT]


_CONDITIONS = [
    [[]], [["number"]], [["number", "==", 1, 2]], [[5, "==", 1]], [["nope", "==", 1]],
    [["number", "~", 1]], [True], [False], [True, ["number", "==", 0]], [5], ["x"], [None],
    [["number", "==", 0], ["name", "==", ""]], [["range", "==", 99]], [["choice", "==", "zz"]],
    [["choice", "includes", "zz"]], [["numbers", "includes", a_set(1, 2, 3, 4)]],
    [["numbers", "excludes", a_set(1, 2, 3, 4)]], [["some", "includes", a_set()]],
    [["some", "==", a_set()]], [["map", "includes", a_map()]],
    [["map", "excludes", a_map(("a", "x"))]], [["map", "excludes", a_set("a")]],
    [["maybe", "<", 5]], [["maybe", "==", a_set()]], [["maybe", "<", a_set()]],
    [["numbers", "<", 5]], [["flag", "<", True]], [["_uuid", "==", uuid(1)]],
    [["_uuid", "includes", uuid(1)]], [["_uuid", "!=", uuid(1)]], [["_version", "!=", uuid(1)]],
    [["pair", "<", 1]], [["counts", "<", 1]], [["name", "==", ["set"]]],
    [["name", "==", a_set("a")]], [["name", "==", a_set("a", "b")]], [["name", "==", []]],
]


def _condition_cases():
    for where in _CONDITIONS:
        yield [plain(), select("Plain", where, columns=["name"]), ABORT]
    for column, value in (("musts", uuid(1)), ("must", uuid(1)), ("tag", 1)):
        yield [select("Needy", [[column, "<", value]])]


def _form_cases():
    """Operations that are put together wrongly, and every plain form of each."""
    yield [select("Plain") | {"where": 5}]
    for bad in ({"op": "select", "table": "Plain"}, {"op": "select", "where": []}, {"op": "foo"},
                {}, 5, "x", [], {"op": 5}, {"op": "a b"}, {"op": "foo", "x": 1},
                {"op": "abort", "x": 1}, {"op": "insert", "table": "Plain"},
                {"op": "insert", "table": "Plain", "row": 5}, {"op": "comment"},
                {"op": "comment", "comment": 5}, {"op": "comment", "comment": "x"},
                {"op": "commit"}, {"op": "commit", "durable": 1},
                {"op": "commit", "durable": True}, {"op": "assert", "lock": "x"},
                {"op": "assert", "lock": "9"}, {"op": "assert"}):
        yield [bad]
    # Several members are wrong: the first that the reference looks at is named.
    members = {"timeout": "x", "where": 5, "columns": 5, "until": 5, "rows": 5, "table": 5}
    for name in list(members):
        yield [{"op": "wait", **members}]
        members[name] = {"where": [], "columns": [], "until": "==", "rows": []}.get(name, 0)
    for name, members in (("delete", {"where": 5}), ("select", {"where": 5, "columns": 5}),
                          ("update", {"where": 5, "row": 5}),
                          ("mutate", {"where": 5, "mutations": 5}),
                          ("insert", {"row": 5, "uuid": 5, "uuid-name": 5})):
        for table in (5, "Nope", "Plain"):
            yield [{"op": name, "table": table, **members}]
    for columns in (5, ["nope"], ["name", "name"], [5], []):
        yield [select("Plain", columns=columns)]
    yield [select(5)]
    yield [select("Nope")]
    yield [select("Plain", extra=1)]
    yield [select("Plain", [["nope", "==", 1]], extra=1)]
    yield [plain(), plain(), select("Plain", columns=[]), select("Plain", columns=["name"]),
           ABORT]
    yield [plain(number=3), plain(number=1), select("Plain", columns=["number"], sort=["number"]),
           ABORT]
    yield []
    yield [ABORT]
    yield [select("Plain"), ABORT, select("Plain"), select("Plain")]
    yield [ABORT, {"op": "foo"}]


def _insert_cases():
    yield [insert("Plain", FINE, **{"uuid-name": "a"}), insert("Plain", FINE, **{"uuid-name": "a"})]
    yield [insert("Plain", FINE, **{"uuid-name": "9"})]
    yield [insert("Plain", FINE, uuid="x")]
    seven = uuid(7)[1]
    yield [insert("Plain", FINE, uuid=seven), delete("Plain"), insert("Plain", FINE, uuid=seven),
           ABORT]
    yield [insert("Plain", FINE, uuid=seven), insert("Plain", FINE, uuid=seven)]
    yield [insert("Plain", FINE, uuid=5)]
    yield [insert("Plain", {"some": 5}, uuid="x")]
    yield [insert("Plain", {"nope": 5}, **{"uuid-name": "a"}), insert("Plain", {})]
    yield [insert("Plain", FINE, uuid=seven, **{"uuid-name": "z"}), plain(id=named("z")),
           select("Plain", [["id", "==", uuid(7)]], columns=["id"]), ABORT]
    yield [plain(id=named("later")), insert("Plain", FINE, **{"uuid-name": "later"}),
           select("Plain", [["_uuid", "==", named("later")]], columns=["_uuid"]), ABORT]
    yield [insert("Plain", {"long": "yy"}), ABORT]
    yield [insert("Plain", {}), ABORT]


def _update_cases():
    for row in ({"fixed": "x"}, {"_uuid": uuid(1)}, {"_version": uuid(1)}, {"nope": 1}):
        yield [update("Plain", row)]
    yield [update("Plain", {"fixed": "x"}, [["nope", "==", 1]])]
    yield [update("Plain", {}, [["nope", "==", 1]])]
    yield [update("Nope", {})]
    yield [plain(), update("Plain", {}), ABORT]
    yield [plain(), update("Plain", {"name": "z"}, [["name", "==", ""]]),
           delete("Plain", [["name", "==", "z"]]), ABORT]
    yield [delete("Nope")]
    yield [delete("Plain", [["x", "==", 1]])]


def _wait_cases():
    for operation in (
            wait("Plain", [], timeout=0), wait("Plain", [], "!=", timeout=0),
            wait("Plain", [{"name": "x"}], timeout=0, columns=["name"]),
            wait("Plain", [{"name": "x"}], "!=", timeout=0, columns=["name"]),
            wait("Plain", [], "~", timeout=0), wait("Plain", [5], timeout=0),
            wait("Plain", [], timeout=-1), wait("Plain", [], timeout="x"),
            wait("Plain", [{"nope": 1}], timeout=0),
            wait("Plain", [], columns=["nope"], timeout=0),
            wait("Plain", [{"range": 99}], columns=["range"], timeout=0)):
        yield [operation, select("Plain")]
    yield [plain(), wait("Plain", [{"name": ""}, {"name": ""}], timeout=0, columns=["name"]),
           ABORT]
    yield [plain(), plain(), wait("Plain", [{"name": ""}], timeout=0, columns=["name"]), ABORT]
    yield [plain(), wait("Plain", [{}], timeout=0), ABORT]


def _indexed(name, a=0, b=a_set(), c=0):
    return insert("Indexed", {"name": name, "a": a, "b": b, "c": c})


def _is(name):
    return [["name", "==", name]]


def _index_cases():
    """What follows builds on what came before: the rows of Indexed stay."""
    shown = select("Indexed", columns=["name", "a"])
    yield [_indexed("x", 1), _indexed("x", 2)]
    yield [_indexed("x", 1), _indexed("y", 1)]
    yield [_indexed("x", 1, a_set(2, 1)), _indexed("y", 1, a_set(1, 2))]
    yield [_indexed("x", 1), _indexed("y", 2), select("Indexed", _is("x"), columns=["a"])]
    yield [_indexed("x", 3)]
    yield [update("Indexed", {"name": "y"}, _is("x"))]
    yield [update("Indexed", {"c": 5}, _is("x")), _indexed("x", 9)]
    yield [update("Indexed", {"name": "q"}, _is("x")), update("Indexed", {"name": "x"}, _is("y")),
           update("Indexed", {"name": "y"}, _is("q")), shown]
    yield [shown]
    yield [_indexed("p", 5), _indexed("q", 6)]
    yield [_indexed("r", 7)]
    yield [delete("Indexed", _is("p")), _indexed("p", 8), shown]
    yield [_indexed("r", 7), delete("Indexed", _is("r"))]
    yield [_indexed("r", 7), delete("Indexed", _is("x"))]
    yield [_indexed("a1", 11), _indexed("a2", 12)]
    yield [delete("Indexed"), _indexed("n1", 1), _indexed("n2", 2),
           select("Indexed", [["a", "==", 1], ["b", "==", a_set()]], columns=["name"])]
    yield [delete("Indexed")]


def _child(name, **values):
    return insert("Child", {"name": name, **values}, **{"uuid-name": name})


def _reference_cases():
    """What follows builds on what came before: families stay."""
    children = select("Child", columns=["name"])
    parents = select("Parent", columns=["name", "friends", "friend_ranks"])
    yield [insert("Child", {"name": "orphan"}), children]
    yield [children]
    yield [insert("Parent", {"name": "p", "children": named("c")}), _child("c")]
    yield [children]
    yield [insert("Parent", {"name": "p2", "children": named("cc")})]
    yield [insert("Parent", {"name": "p2", "children": uuid(5)})]
    yield [insert("Parent", {"name": "p2", "friends": uuid(5)}), parents]
    yield [parents]
    yield [delete("Parent", _is("p2"))]
    yield [delete("Child")]
    yield [_child("t"), mutate("Child", [["toy", "insert", named("t")]], _is("c"))]
    yield [children]
    yield [insert("Parent", {"name": "w", "friends": named("x"),
                             "friend_ranks": a_map((named("y"), 1))}), _child("x"),
           insert("Parent", {"name": "y"}, **{"uuid-name": "y"})]
    yield [parents]
    yield [delete("Parent", _is("y")), parents]
    yield [parents]
    yield [update("Parent", {"children": a_set()}, _is("p"))]
    yield [children]
    yield [_child("self", toy=named("self"))]
    yield [children]
    yield [_child("r1", toy=named("r2")), _child("r2", toy=named("r1"))]
    yield [children]
    yield [insert("Parent", {"name": "b",
                             "by_name": a_map(("k", named("k")), ("l", named("k")))}),
           _child("k")]
    yield [delete("Child", _is("k"))]
    yield [mutate("Parent", [["by_name", "delete", a_set("k")]], _is("b"))]
    yield [children]
    yield [delete("Child", _is("k"))]
    yield [mutate("Parent", [["by_name", "delete", a_set("l")]], _is("b")),
           delete("Child", _is("k"))]
    yield [children]
    yield [delete("Child", _is("r1"))]
    yield [delete("Child")]
    yield [children]
    yield from _weak_cases(children)


def _weak_cases(children):
    yield [insert("Needy", {})]
    yield [insert("Needy", {"must": named("pp"), "musts": named("pp")}),
           insert("Parent", {"name": "pp"}, **{"uuid-name": "pp"})]
    yield [delete("Parent", _is("pp"))]
    yield [update("Needy", {"musts": a_set(uuid(1), uuid(2))})]
    yield [update("Needy", {"must": uuid(1)})]
    yield [insert("Needy", {"musts": uuid(3)})]
    yield [delete("Needy"), delete("Parent")]
    yield [select("Parent"), select("Needy"), select("Child")]
    yield [insert("Parent", {"name": "z", "children": a_set(named("a"), named("b"))}),
           _child("a", toy=named("b")), _child("b", toy=named("a"))]
    yield [update("Parent", {"children": a_set()}, _is("z"))]
    yield [children]
    yield [delete("Child", _is("a")), delete("Child", _is("b"))]
    yield [children]


CASES = [
    *_mutation_cases(), *_condition_cases(), *_form_cases(), *_insert_cases(), *_update_cases(),
    *_wait_cases(), *_index_cases(), *_reference_cases(), *_value_cases(),
]
