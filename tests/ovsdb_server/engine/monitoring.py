"""A session of monitors and transactions over zoo.ovsschema, as data.

`STEPS` is a list of (method, params).  Left out is what the reference does by its own accident:
several "where" of one table are joined there only when one of them is not an equality, and a
change in a column that only a condition names yields an empty "modify".
"""

from tests.ovsdb_server.engine.transactions import (a_map, a_set, delete, insert, mutate, named,
                                                    plain, update)

_ZERO = "00000000-0000-0000-0000-000000000000"
_ALL = ["name", "number", "numbers", "map", "maybe", "maybe_text", "real", "counts"]


def _where(*clauses):
    return {"Plain": [{"where": list(clauses)}]}


def _transact(*operations):
    return "transact", ["Zoo", *operations]


_X = [["name", "==", "x"]]

STEPS = [
    ("monitor", ["Zoo", "a", {"Plain": {"columns": ["name", "number", "numbers", "map"]},
                              "Parent": {}}]),
    ("monitor", ["Zoo", "b", {"Plain": [
        {"columns": ["name"], "select": {"modify": False}},
        {"columns": ["number"],
         "select": {"initial": False, "insert": False, "delete": False}}]}]),
    ("monitor", ["Zoo", "c", {"Plain": {"columns": []}}]),
    ("monitor", ["Zoo", "e", {"Plain": []}]),
    ("monitor_cond", ["Zoo", "d", {"Plain": [
        {"columns": _ALL, "where": [["number", "==", 1], ["name", "==", "x"]]}],
        "Child": [{}]}]),
    ("monitor_cond_since", ["Zoo", "f", {"Plain": [
        {"columns": ["name", "number"], "where": [["number", ">", 1]],
         "select": {"insert": False}}]}, _ZERO]),
    ("monitor_cond", ["Zoo", "g", {"Plain": [{"columns": ["name"], "where": [False]}]}]),
    ("monitor_cond", ["Zoo", "i", {"Plain": [
        {"columns": ["name"], "select": {"delete": False, "modify": False}}]}]),
    _transact(plain(name="x", numbers=a_set(1, 2), map=a_map(("a", "1"), ("b", "2")), maybe=5)),
    _transact(plain(name="y", number=1)),
    _transact(update("Plain", {"number": 2}, _X)),
    _transact(update("Plain", {"name": "z"}, [["name", "==", "y"]])),
    _transact(mutate("Plain", [
        ["numbers", "insert", 3], ["numbers", "delete", 1], ["map", "delete", a_map(("a", "1"))],
        ["map", "insert", a_map(("c", "9"))]], _X)),
    _transact(update("Plain", {"map": a_map(("b", "7"), ("c", "9"), ("d", "d"))}, _X)),
    _transact(update("Plain", {"maybe": a_set(), "maybe_text": "t", "real": 1.5,
                               "counts": a_map(("a", 1))}, _X)),
    _transact(update("Plain", {"fleeting": "only"}, _X)),
    _transact(update("Plain", {"number": 5}, _X), update("Plain", {"number": 2}, _X)),
    _transact(update("Plain", {"number": 1, "name": "q"}, _X)),
    _transact(update("Plain", {"number": 9, "name": "qq"}, [["name", "==", "q"]])),
    ("monitor_cond_change", ["d", "d2", _where(["number", "==", 9])]),
    ("monitor_cond_change", ["g", "g", _where(True)]),
    ("monitor_cond_change", ["f", "f", _where()]),
    ("monitor_cond_change", ["i", "i", {"Nope": [{"where": []}]}]),
    ("monitor_cond_change", ["i", "i", {"Child": [{"where": []}]}]),
    ("monitor_cond_change", ["i", "i", {"Plain": {"where": []}}]),
    ("monitor_cond_change", ["i", "i", {"Plain": [{"where": [], "columns": ["name"]}]}]),
    ("monitor_cond_change", ["i", "i", 5]),
    ("monitor_cond_change", ["i", "i", {"Plain": [{"where": 5}]}]),
    ("monitor_cond_change", ["i", "i", _where(["nope", "==", 1])]),
    ("monitor_cond_change", ["i", "i", {"Plain": [5]}]),
    ("monitor_cond_change", ["a", "a", _where(False)]),
    ("monitor_cond_change", ["g", "g", _where(["name", "==", "qq"])]),
    ("monitor_cond_change", ["g", "g", {}]),
    _transact(delete("Plain", [["name", "==", "z"]]), plain(name="new", number=9)),
    _transact(insert("Parent", {"children": named("c")}),
              insert("Child", {"name": "k"}, **{"uuid-name": "c"})),
    _transact(delete("Parent")),
    _transact(plain(name="gone"), delete("Plain", [["name", "==", "gone"]])),
    _transact(update("Plain", {"number": 1}), delete("Plain", [["name", "==", "new"]])),
    *((method, ["Zoo", f"bad {number}", requests]) for number, requests in enumerate([
        5, {"Nope": {}}, {"Plain": 5}, {"Plain": {"columns": ["nope"]}},
        {"Plain": {"columns": [5]}}, {"Plain": {"columns": 5}},
        {"Plain": {"columns": ["name", "name"]}},
        {"Plain": [{"columns": ["name"]}, {"columns": ["name"]}]}, {"Plain": {"select": 5}},
        {"Plain": {"select": {"initial": 5}}}, {"Plain": {"select": {"foo": True}}},
        {"Plain": {"foo": 5}}, {"Plain": [{"where": [["name", "==", 5]]}]},
        {"Plain": {"where": 5}}, {"Plain": {"where": [["name", "~", 5]]}},
        {"Plain": {"where": [[]]}}]) for method in ("monitor", "monitor_cond")),
    ("monitor_cancel", ["a"]),
    _transact(delete("Plain")),
]
