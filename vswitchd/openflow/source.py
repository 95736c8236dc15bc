"""Source actions as bytes: what a rule keeps of its OpenFlow actions while it is in the library.

`pack` and `unpack` are exact inverses for every action value (unlike a wire form, which differs by
version and forgets spellings). The bytes mean something only within one process. Any thread.
"""

import marshal
import re
from functools import lru_cache

from vswitchd.openflow import action_types
from vswitchd.openflow.action_types import Actions
from vswitchd.openflow.learned import MARK, unpack_learned
from vswitchd.openflow.value import Value

_CLASSES: tuple[type, ...] = tuple(sorted(
    (kind for kind in vars(action_types).values()
     if isinstance(kind, type) and issubclass(kind, Value)), key=lambda kind: kind.__name__))
_NUMBER = {kind: number for number, kind in enumerate(_CLASSES)}
_MARK = Ellipsis                # first element of a packed Value; no action has one as a member
_OPTION = re.compile(rb"tun_metadata(\d+)")
_FORMAT = 2                     # of marshal: equal actions are equal bytes, whoever else has them


def number_of(kind: type) -> int:
    """The number by which packed actions name a class of them."""
    return _NUMBER[kind]


def _plain(value):
    if isinstance(value, Value):
        return (_MARK, _NUMBER[type(value)], *map(_plain, value))
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value


def _value(plain):
    if not isinstance(plain, tuple):
        return plain
    if plain and plain[0] is _MARK:
        return _CLASSES[plain[1]](*map(_value, plain[2:]))
    return tuple(map(_value, plain))


def pack(actions: Actions) -> bytes:
    """The bytes of a list of actions; b"" for none."""
    return marshal.dumps(_plain(tuple(actions)), _FORMAT) if actions else b""


@lru_cache(256)
def unpack(source: bytes) -> Actions:
    """The actions of such bytes, or of what the library says of a learned rule."""
    if source.startswith(MARK):
        return unpack_learned(source)
    return _value(marshal.loads(source)) if source else ()


def options_in(source: bytes) -> set[int]:
    """Numbers of the tunnel options that actions name: where these lie hangs on the bridge."""
    plain = pack(unpack(source)) if source.startswith(MARK) else source
    return set(map(int, _OPTION.findall(plain)))
