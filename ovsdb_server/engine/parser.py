"""Taking the members of a JSON object apart, with the reference's complaints.

`Parser` collects the first complaint instead of raising at once, because callers go on with the
remaining members and because a left-over member is reported only at the end (`finish`).
"""

from .error import INT64_MAX, INT64_MIN, OvsdbError, json_text

NULL, BOOLEAN, STRING, INTEGER, REAL, ARRAY, OBJECT = 1, 2, 4, 8, 16, 32, 64
NUMBER = INTEGER | REAL
IDENTIFIER = 128
ANY = 127

_KINDS = {type(None): NULL, bool: BOOLEAN, str: STRING, list: ARRAY, dict: OBJECT, tuple: ARRAY}


def is_identifier(name: object) -> bool:
    """Is `name` an `<id>`: a letter or underscore, then letters, digits and underscores?"""
    return isinstance(name, str) and name.isascii() and name.isidentifier()


def kind_of(json) -> int:
    """Return the kind bit of a JSON value; an integral number within int64 is INTEGER."""
    kind = _KINDS.get(type(json))
    if kind is not None:
        return kind
    return INTEGER if as_integer(json) is not None else REAL


def as_integer(json) -> int | None:
    """Return the int64 that `json` spells, however it spells it, or None."""
    if type(json) is int:
        return json if INT64_MIN <= json <= INT64_MAX else None
    if type(json) is float and json.is_integer() and INT64_MIN <= json < INT64_MAX:
        return int(json)
    return None


class Parser:
    """Members of one JSON object; `name` says in complaints what is being parsed."""

    __slots__ = ("json", "name", "error", "_used")

    def __init__(self, json, name: str):
        self.json = json
        self.name = name
        self.error: OvsdbError | None = None
        self._used: set[str] = set()
        if type(json) is not dict:
            self.error = OvsdbError("syntax error", f"Parsing {name} failed: Object expected.")
            self.json = {}

    def fail(self, reason: str) -> None:
        """Note a complaint unless there is one already."""
        if self.error is None:
            details = f"Parsing {self.name} failed: {reason}"
            self.error = OvsdbError("syntax error", details, json_text(self.json))

    def member(self, name: str, kinds: int, optional: bool = False):
        """Return member `name`, or None when it is absent or of a kind not in `kinds`."""
        try:
            value = self.json[name]
        except KeyError:
            if not optional:
                self.fail(f"Required '{name}' member is missing.")
            return None
        self._used.add(name)
        kind = kind_of(value)
        if kind & kinds or (kinds & IDENTIFIER and is_identifier(value)):
            return value
        self.fail(f"Type mismatch for member '{name}'.")
        return None

    def has(self, name: str) -> bool:
        """Is there a member `name`?"""
        return name in self.json

    def finish(self) -> None:
        """Raise the first complaint, or one about members that nobody asked for."""
        if self.error is None and len(self._used) < len(self.json):
            unused = [name for name in self.json if name not in self._used]
            if len(unused) == 1:
                self.fail(f"Member '{unused[0]}' is present but not allowed here.")
            elif unused:
                self.fail(f"Member '{unused[0]}' and {len(unused) - 1} other member"
                          f"{'s' if len(unused) > 2 else ''} are present but not allowed here.")
        if self.error is not None:
            # It will know the frames that know this parser: together they would be a cycle.
            error, self.error = self.error, None
            try:
                raise error
            finally:
                del error
