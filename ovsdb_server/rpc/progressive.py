"""Large messages parsed as they arrive, so that nobody waits while the last byte is followed by
the parse of millions: what makes a message large is an array of objects (operations).

`ProgressiveSplitter` is a `Splitter` whose `feed` returns `Parts` in place of the text of such a
message.  For daemons; without I/O, any thread.
"""

import os

from ovsdb_server.rpc.message import Splitter

# Stands for the objects of a message; nobody else can know it.
_PLACE = os.urandom(16).hex()

_LARGE = 256 * 1024


class Parts:
    """A JSON text of many objects in one array, of which all but the ends have been parsed.

    `head` and `tail` of the text, and the objects between them: `value` makes a whole of them.
    """

    __slots__ = ("_head", "_tail", "_objects")

    def __init__(self, head: bytes, tail: bytes, objects: list) -> None:
        self._head = head
        self._tail = tail
        self._objects = objects

    def value(self, loads) -> object:
        """Return the whole.  Raises ValueError where it is not JSON."""
        value = loads(b'%b,"%b",%b' % (self._head, _PLACE.encode(), self._tail))
        for member in value.values():
            if type(member) is list and _PLACE in member:
                index = member.index(_PLACE)
                member[index:index + 1] = self._objects
                return value
        raise ValueError("syntax error in middle of input")


class ProgressiveSplitter(Splitter):
    """See above; `loads` parses; messages above `large` bytes are parsed as they arrive."""

    __slots__ = ("_loads", "_head", "_objects", "_large", "_is_past")

    def __init__(self, size_max: int, loads, large: int = _LARGE) -> None:
        super().__init__(size_max)
        self._large = large
        self._loads = loads
        self._head: bytes | None = None     # What came before `_objects`.
        self._objects: list = []
        self._is_past = False               # Is what comes now no part of them any more?

    def clear(self) -> None:
        super().clear()
        self._objects.clear()

    def _pass_objects(self, data: bytes, position: int, stop: int) -> int:
        """Parse what has arrived up to a comma between objects, if they are elements of a member.

        At depth 2 an object that another follows can only be one.
        """
        if self._size <= self._large or self._is_past:
            return position
        cut = (data.rfind(b"},{", position, stop)
               if b"},{" in data else data.rfind(b"}, {", position, stop)) + 1
        if not cut:
            return position
        self._advance(data[position:cut])
        if self._depth == 2 and not self._in_string:
            text = b"".join(self._chunks)
            self._chunks = []
            if self._head is None:
                self._head = text
            else:
                try:
                    self._objects += self._loads(b"[%b]" % text[1:])    # Without the comma.
                except ValueError:
                    # Another member with an array has begun, or it is wrong: `Parts` will know.
                    self._is_past = True
                    self._chunks = [text]
        return cut

    def _take(self) -> bytes | Parts:
        text = super()._take()
        if self._head is not None:
            text = Parts(self._head, text[1:], self._objects)
            self._head, self._objects, self._is_past = None, [], False
        return text
