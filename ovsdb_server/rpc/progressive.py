"""Large messages parsed as they arrive, so that nobody waits while the last byte is followed by
the parse of millions: what makes a message large is an array of objects (operations), or tables
of rows (what monitors tell).

`ProgressiveSplitter` is a `Splitter` whose `feed` returns `Parts` in place of the text of such a
message.  For daemons; without I/O, any thread.
"""

import os
import re

from ovsdb_server.rpc.message import Splitter

# Stands for the objects of a message; nobody else can know it.
_PLACE = os.urandom(16).hex()

_LARGE = 256 * 1024

# How a message about rows begins.  They are in tables of the result (`monitor`), or of the last
# element of the result (`monitor_cond_since`) or of the parameters (`update`).
_TABLES = re.compile(rb'\s*\{\s*(?:"id"\s*:[^{\[]{1,99}?)?'
                     rb'"(?:result"\s*:\s*(?:(\{)|\[)|method"\s*:\s*"update[23]?")')
_BEGINNING = 200

# What may be the end of a row that another follows, and how much of it is the row's.
_ROW_ENDS = ((b'}},"', 2), (b'},"', 1), (b'}}, "', 2), (b'}, "', 1))

# No table of rows yet, none in this message.
_UNKNOWN, _NONE = -1, 0


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


class TableParts(Parts):
    """A JSON text of tables of rows; `objects` are many of the rows, by the place of each lot.

    In `head`, the rest of the text, `_PLACE` and a number stand where a lot was.
    """

    __slots__ = ()

    def value(self, loads) -> object:
        value = loads(self._head)
        n_found = 0
        updates = value.get("result", value.get("params"))
        if type(updates) is list and updates:
            updates = updates[-1]
        for name, table in updates.items() if type(updates) is dict else ():
            if type(table) is dict:
                places = [key for key in table if key.startswith(_PLACE)]
                n_found += len(places)
                updates[name] = self._whole(table, places)
        if n_found != len(self._objects):
            raise ValueError("syntax error in middle of input")
        return value

    def _whole(self, table: dict, places: list[str]) -> dict:
        """Return the table with its lots; most rows are in one of them, and stay there."""
        lots = [self._objects[int(place[len(_PLACE):])] for place in places]
        for place in places:
            del table[place]
        lots.append(table)
        lots.sort(key=len)
        whole = lots.pop()
        for lot in lots:
            whole.update(lot)
        return whole


class ProgressiveSplitter(Splitter):
    """See above; `loads` parses; messages above `large` bytes are parsed as they arrive."""

    __slots__ = ("_loads", "_head", "_objects", "_large", "_is_past", "_table_depth", "_follows")

    def __init__(self, size_max: int, loads, large: int = _LARGE) -> None:
        super().__init__(size_max)
        self._large = large
        self._loads = loads
        self._head: bytes | None = None     # What came before `_objects`.
        self._objects: list = []
        self._is_past = False               # Is what comes now no part of them any more?
        self._table_depth = _UNKNOWN        # Of what is inside of a table of rows.
        self._follows = False               # Is what was parsed last the last lot of rows?

    def clear(self) -> None:
        super().clear()
        self._objects.clear()

    def _pass_objects(self, data: bytes, position: int, stop: int) -> int:
        """Parse what has arrived up to a comma between objects, if they are elements of a member.

        At depth 2 an object that another follows can only be one.
        """
        if self._size <= self._large or self._is_past:
            return position
        if self._table_depth == _UNKNOWN:
            self._find_tables()
        if self._table_depth != _NONE:
            return self._pass_rows(data, position, stop)
        cut = (data.rfind(b"},{", position, stop)
               if b"},{" in data else data.rfind(b"}, {", position, stop)) + 1
        if cut:
            self._advance(data[position:cut])
        elif self._ended_object() and data.startswith((b",{", b", {"), position):
            cut = position
        else:
            return position
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

    def _ended_object(self) -> bool:
        """Was the end of an object, or of something like it, the last that came?"""
        return bool(self._chunks) and self._chunks[-1].endswith(b"}")

    def _find_tables(self) -> None:
        """Find out at which depth the message has rows, if at all."""
        self._chunks = [b"".join(self._chunks)]
        found = _TABLES.match(self._chunks[0][:_BEGINNING])
        self._table_depth = _NONE if found is None else 3 if found[1] else 4

    def _pass_rows(self, data: bytes, position: int, stop: int) -> int:
        """Parse what has arrived up to a comma between rows; where tables meet, it is kept."""
        for end, size in _ROW_ENDS:
            cut = data.rfind(end, position, stop) + size
            if cut >= size:
                self._advance(data[position:cut])
                break
        else:
            if not (self._ended_object() and data.startswith((b',"', b', "'), position)):
                return position
            cut = position
        if self._depth == self._table_depth and not self._in_string:
            text = b"".join(self._chunks)
            if self._head is None:
                self._head = text
            else:
                self._take_rows(text)
            self._chunks = []
        return cut

    def _take_rows(self, text: bytes) -> None:
        """Parse `text`, a comma and what may be rows of one table that follow others."""
        try:
            rows = self._loads(b"{%b}" % text[1:])
        except ValueError:
            self._head += text
            self._follows = False
            return
        if self._follows:
            self._objects[-1].update(rows)
        else:
            self._head += b',"%b%d":0' % (_PLACE.encode(), len(self._objects))
            self._objects.append(rows)
            self._follows = True

    def _take(self) -> bytes | Parts:
        text = super()._take()
        if self._head is not None:
            text = (Parts(self._head, text[1:], self._objects) if self._table_depth == _NONE
                    else TableParts(self._head + text, b"", self._objects))
            self._head, self._objects = None, []
        self._is_past = self._follows = False
        self._table_depth = _UNKNOWN
        return text
