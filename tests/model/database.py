"""The stupid twin of the database engine: dicts of rows, everything recomputed, no indexes.

Rows are {column: Python value}: an int, a str, a frozenset, or a dict for maps.  It knows the
tables of a small schema by heart and the rules of a commit by the book: after each transaction
garbage is collected and weak references cleaned by looking at every row until nothing changes.
A transaction is a list of simple steps (see `apply`); it either happens or raises `Refused`.
"""

import copy


class Refused(Exception):
    """The commit would break a rule; str() is the tag of the error."""


class Model:
    """Tables Parent (root), Child (not root) and Indexed, as in zoo.ovsschema."""

    def __init__(self):
        self.parents = {}        # uuid: {"name", "children", "friends", "by_name"}
        self.children = {}       # uuid: {"name", "toy"}
        self.indexed = {}        # uuid: {"name", "a"}; at most 4, names distinct

    def transact(self, steps):
        """Apply all `steps` or none.  Raises Refused."""
        trial = copy.deepcopy(self)
        for step in steps:
            trial.apply(*step)
        trial._commit()
        self.__dict__ = trial.__dict__

    def apply(self, verb, *arguments):
        """Do one step: its name is a method, its arguments are UUIDs and values."""
        getattr(self, f"_{verb}")(*arguments)

    def _add_parent(self, uuid, name, children, friends):
        self.parents[uuid] = {"name": name, "children": frozenset(children),
                              "friends": frozenset(friends), "by_name": {}}

    def _add_child(self, uuid, name, toy):
        self.children[uuid] = {"name": name, "toy": toy}

    def _add_indexed(self, uuid, name, a):
        self.indexed[uuid] = {"name": name, "a": a}

    def _set_children(self, parent, children):
        if parent in self.parents:
            self.parents[parent]["children"] = frozenset(children)

    def _set_friends(self, parent, friends):
        if parent in self.parents:
            self.parents[parent]["friends"] = frozenset(friends)

    def _set_by_name(self, parent, pairs):
        if parent in self.parents:
            self.parents[parent]["by_name"] = dict(pairs)

    def _set_toy(self, child, toy):
        if child in self.children:
            self.children[child]["toy"] = toy

    def _rename(self, indexed, name):
        if indexed in self.indexed:
            self.indexed[indexed]["name"] = name

    def _remove(self, uuid):
        for rows in (self.parents, self.children, self.indexed):
            rows.pop(uuid, None)

    def _commit(self):
        self._check_references()
        self._collect_garbage()
        if len(self.indexed) > 4:
            raise Refused("constraint violation")
        for parent in self.parents.values():
            parent["friends"] = frozenset(f for f in parent["friends"] if f in self.children)
        names = [row["name"] for row in self.indexed.values()]
        if len(set(names)) < len(names):
            raise Refused("constraint violation")

    def _references(self):
        for parent in self.parents.values():
            yield None, parent["children"]
            yield None, parent["by_name"].values()
        for uuid, child in self.children.items():
            if child["toy"] is not None:
                yield uuid, [child["toy"]]

    def _check_references(self):
        for source, targets in self._references():
            for target in targets:
                if target not in self.children and target != source:
                    raise Refused("referential integrity violation")

    def _collect_garbage(self):
        while True:
            kept = set()
            for source, targets in self._references():
                kept.update(t for t in targets if t != source)
            garbage = [uuid for uuid in self.children if uuid not in kept]
            if not garbage:
                return
            for uuid in garbage:
                del self.children[uuid]
