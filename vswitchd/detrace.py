"""`ofproto/detrace`: from a megaflow back to the OpenFlow rules and groups that made it.

The flow that the megaflow was made for is translated again, without side effects; each rule that
matches and each bucket that is taken is told once, in their order. Control task only.
"""

from collections.abc import Iterator, Sequence

from datapath import face
from datapath.face import Event
from schema.flow.trace import TRACE
from vswitchd.openflow import groups, packed, source
from vswitchd.openflow.action_text import format_actions
from vswitchd.openflow.messages.base import Style
from vswitchd.openflow.messages.group import format_group
from vswitchd.openflow.text import format_match

_ALL = 0                        # type of groups whose buckets are all taken
_STYLE = Style(version=6)


def format_origin(events: Sequence[Event]) -> str:
    """The rules and groups of a traced translation, a line each."""
    return "\n".join(dict.fromkeys(_lines(events)))


def _lines(events: Sequence[Event]) -> Iterator[str]:
    for event in events:
        if event.kind == TRACE["table"] and event.rule:
            rule = face.rule(event.rule)
            if rule is not None:
                yield _format_rule(event.arguments[0], rule)
        elif event.kind == TRACE["bucket"]:
            _, place, index, _ = event.arguments
            number = place & 0xffffffff
            group = groups.find(place >> 32, number)
            if group is not None:
                buckets = group.buckets if group.type == _ALL else group.buckets[index - 1:index]
                yield format_group(number, group.type, buckets, group.selection, _STYLE, True)


def _format_rule(table: int, rule: face.Rule) -> str:
    text = format_match(packed.unpack(rule.value, rule.mask))
    if rule.priority != 0x8000:
        text = f"priority={rule.priority}" + ("," if text else "") + text
    actions = format_actions(source.unpack(rule.source))
    return f"cookie={rule.cookie:#x}, table={table}, {text}{', ' if text else ''}actions={actions}"
