"""Messages as JSON: what --format=json prints in place of text, one object per message.

`describe(data)` is the door.  Names are those of the values in `vswitchd.openflow.messages`; what
a message does not tell is left out; bytes are hexadecimal; a match is an object of its fields, an
action its text.  Loaded by `connection.print_message` only if JSON is wanted.
"""

import json
from typing import Any

from schema.openflow.messages import VERSION_NAMES
from vswitchd.openflow.framing import OpenFlowError
from vswitchd.openflow.match import Match
from vswitchd.openflow.messages import decode
from vswitchd.openflow.messages.base import format_port
from vswitchd.openflow.messages.group import TYPES as GROUP_TYPES
from vswitchd.openflow.messages.group import GroupDesc, GroupFeaturesReply, GroupMod
from vswitchd.openflow.messages.session import FeaturesReply
from vswitchd.openflow.messages.table import ActionFeatures
from vswitchd.openflow.text import format_actions, format_match, key_values
from vswitchd.openflow.value import Value

_FEATURES = (ActionFeatures, FeaturesReply, GroupFeaturesReply)
"""Values whose `actions` are names of actions, not actions."""

_ACTIONS = frozenset(("actions", "action_set"))
_PORTS = frozenset(("out_port", "watch_port", "port"))
_ADDRESSES = frozenset(("mac", "address"))


def describe(data: bytes, port_names: dict[int, str] | None = None) -> str:
    """One line of JSON.  A message that cannot be decoded has its error and its bytes."""
    try:
        message = decode(data)
    except OpenFlowError as error:
        return json.dumps({"error": error.name, "message": data.hex()})
    document = {"message": message.raw.kind, "version": VERSION_NAMES.get(message.version),
                "xid": message.xid}
    if message.more:
        document["more"] = True
    document.update(_members(message.value, port_names))
    return json.dumps(document)


def describe_flow(flow: Any, port_names: dict[int, str] | None = None) -> str:
    """One line of JSON for one flow of a dump."""
    return json.dumps(_members(flow, port_names))


def _members(value: Value, ports: dict[int, str] | None) -> dict[str, Any]:
    """The members of a value that say something."""
    found = {}
    for name, member in value.members().items():
        if member is None:
            continue
        if name in _ACTIONS and not isinstance(value, _FEATURES):
            found[name] = _actions(member, ports)
        elif name in _PORTS and isinstance(member, int):
            found[name] = _port(member, ports)
        elif name == "type" and isinstance(value, (GroupDesc, GroupMod)):
            found["type"] = GROUP_TYPES[member] if member < len(GROUP_TYPES) else member
        elif name in _ADDRESSES and isinstance(member, bytes):
            found[name] = member.hex(":")
        else:
            found[name] = _plain(member, ports)
    return found


def _plain(value: Any, ports: dict[int, str] | None) -> Any:
    """`value` in terms of JSON."""
    if isinstance(value, Match):
        return _match(value, ports)
    if isinstance(value, Value):
        return _members(value, ports)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, dict):
        return {str(key): _plain(member, ports) for key, member in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(member, ports) for member in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _port(number: int, ports: dict[int, str] | None) -> int | str:
    text = format_port(number, ports)
    return number if text == str(number) else text.strip('"')


def _match(match: Match, ports: dict[int, str] | None) -> dict[str, str | bool]:
    """The fields by name; those that say all by their name alone ("tcp") are true."""
    return {name: value or True for name, value in key_values(format_match(match, ports))}


def _actions(actions: tuple, ports: dict[int, str] | None) -> list[str]:
    return [format_actions((action,), ports) for action in actions]
