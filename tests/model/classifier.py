"""The stupid twin of the C classifier: a list of rules, looked at one by one.

A match is {field: (value, mask)} and a flow {field: value}, with host integers. Finds what matches;
it says nothing of which bits mattered: that is checked by asking again with other bits changed.
"""

from typing import NamedTuple

Match = dict[str, tuple[int, int]]


class Rule(NamedTuple):
    """A rule; `answer` is whatever the owner wants back."""

    priority: int
    match: Match
    answer: object


def matches(match: Match, flow: dict[str, int]) -> bool:
    """Whether all bits that a match asks for are so in a flow; absent fields are 0."""
    return all(flow.get(name, 0) & mask == value & mask for name, (value, mask) in match.items())


def best(rules: list[Rule], flow: dict[str, int]) -> set:
    """The answers of the matching rules of the highest priority; empty if none matches."""
    found = [rule for rule in rules if matches(rule.match, flow)]
    top = max((rule.priority for rule in found), default=None)
    return {rule.answer for rule in found if rule.priority == top}
