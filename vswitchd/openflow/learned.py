"""The actions of rules that the library has learned by itself.

Such a rule has no source actions: its source is `MARK` and its ops, which are shown as the
reference shows what learning makes, setting of fields as loads. Any thread.
"""

from vswitchd.openflow.action_types import Actions, SetField
from vswitchd.openflow.decompile import decompile

MARK = b"\0L"


def unpack_learned(source: bytes) -> Actions:
    """The actions of a source that begins with MARK."""
    return tuple(SetField(action.field, action.value, action.mask, load=True)
                 if isinstance(action, SetField) else action
                 for action in decompile(source[len(MARK):]))
