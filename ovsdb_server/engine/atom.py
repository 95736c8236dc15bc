"""Atoms: the scalar values of a database, and `BaseType`, what constrains one of them.

An atom is a plain Python value: int, float, bool, str, and for a UUID the canonical 36-character
lower-case text.  So atoms of one type compare, sort and hash as the protocol wants it: numbers
by value, false before true, strings by bytes (code point order is UTF-8 byte order), UUIDs as
128-bit numbers.  An atom does not know its type; the column does.

Source: RFC 7047 sections 3.2 and 5.1.  Pure values: any program may import this module.
"""

from .codec import is_uuid
from .error import (INT64_MAX, INT64_MIN, OvsdbError, constraint_violation, real_text,
                    string_text, syntax_error)
from .parser import as_integer, is_identifier

INTEGER_TYPE = "integer"
REAL_TYPE = "real"
BOOLEAN_TYPE = "boolean"
STRING_TYPE = "string"
UUID_TYPE = "uuid"
ATOMIC_TYPES = (INTEGER_TYPE, REAL_TYPE, BOOLEAN_TYPE, STRING_TYPE, UUID_TYPE)

ZERO_UUID = "00000000-0000-0000-0000-000000000000"
MAX_LENGTH = (1 << 32) - 1
RANGE_MAX = 4096

DEFAULT_ATOMS = {
    INTEGER_TYPE: 0, REAL_TYPE: 0.0, BOOLEAN_TYPE: False, STRING_TYPE: "", UUID_TYPE: ZERO_UUID}

Atom = int | float | bool | str

_INF = float("inf")
_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.")
_TRUE_WORDS = frozenset(("true", "yes", "on", "1"))
_FALSE_WORDS = frozenset(("false", "no", "off", "0"))


class Symbol:
    """A named UUID: `created` becomes true when an insert declares the name."""

    __slots__ = ("uuid", "created", "strongly_referenced", "weakly_referenced")

    def __init__(self, uuid: str):
        self.uuid = uuid
        self.created = False
        self.strongly_referenced = False
        self.weakly_referenced = False


class Symbols:
    """The names of one transaction; a name mentioned before its insert gets its UUID at once.

    `new_uuid` makes a random UUID text; passed in, so that tests can choose.
    """

    __slots__ = ("names", "_new_uuid")

    def __init__(self, new_uuid=None):
        self.names: dict[str, Symbol] = {}
        self._new_uuid = new_uuid or random_uuid

    def lookup(self, name: str) -> Symbol:
        """Return the symbol called `name`, making it when nobody mentioned it yet."""
        symbol = self.names.get(name)
        if symbol is None:
            symbol = self.names[name] = Symbol(self._new_uuid())
        return symbol


_spare_uuids: list[str] = []


def random_uuid() -> str:
    """Return a new random (version 4) UUID as text."""
    try:
        return _spare_uuids.pop()
    except IndexError:
        _make_uuids()
        return _spare_uuids.pop()


def _make_uuids() -> None:
    """Make some UUIDs ahead: asking for randomness once for many is cheaper."""
    import os
    if not _has_fork_hook:
        # A child must not give out what its parent has in store.
        os.register_at_fork(after_in_child=_spare_uuids.clear)
        _has_fork_hook.append(True)

    def groups(size: int) -> list[str]:
        return os.urandom(size * _N_SPARE).hex(" ", size).split()

    variants = [_VARIANTS[number & 3] for number in os.urandom(_N_SPARE)]
    _spare_uuids.extend([
        f"{a}-{b}-4{c[:3]}-{variant}{c[3:]}-{d}" for a, b, c, variant, d in zip(
            groups(4), groups(2), groups(3), variants, groups(6))])


_N_SPARE = 64
_VARIANTS = "89ab"
_has_fork_hook: list[bool] = []


class BaseType:
    """An atomic type with its constraints.

    `enum` is a sorted tuple of atoms or None; `minimum`, `maximum` bound integers and reals,
    None when unbounded; lengths bound strings; `ref_table` names the table that UUIDs refer to,
    `ref_type` is "strong" or "weak".  Immutable by convention.
    """

    __slots__ = ("type", "enum", "minimum", "maximum", "min_length", "max_length", "ref_table",
                 "ref_type", "is_constrained")

    def __init__(self, type: str, enum: tuple | None = None, minimum=None, maximum=None,
                 min_length: int = 0, max_length: int = MAX_LENGTH,
                 ref_table: str | None = None, ref_type: str = "strong"):
        self.type = type
        self.enum = enum
        self.minimum = minimum
        self.maximum = maximum
        self.min_length = min_length
        self.max_length = max_length
        self.ref_table = ref_table
        self.ref_type = ref_type
        self.is_constrained = (enum is not None or minimum is not None or maximum is not None
                               or min_length > 0 or max_length < MAX_LENGTH)

    @property
    def is_strong_ref(self) -> bool:
        """Does an atom of this type keep the row it names alive?"""
        return self.ref_table is not None and self.ref_type == "strong"

    @property
    def is_weak_ref(self) -> bool:
        """Does an atom of this type vanish with the row it names?"""
        return self.ref_table is not None and self.ref_type == "weak"

    def check(self, atom: Atom) -> None:
        """Raise a constraint violation unless `atom` obeys this type's constraints."""
        if self.enum is not None:
            if atom not in self.enum:
                allowed = ", ".join(format_atom(self.type, member) for member in self.enum)
                raise constraint_violation(f"{format_atom(self.type, atom)} is not one of the "
                                           f"allowed values ([{allowed}])")
        elif self.minimum is not None or self.maximum is not None:
            low, high = self.minimum, self.maximum
            if (low is None or atom >= low) and (high is None or atom <= high):
                return
            text = format_atom(self.type, atom)
            if low is not None and high is not None:
                raise constraint_violation(
                    f"{text} is not in the valid range {format_atom(self.type, low)} to "
                    f"{format_atom(self.type, high)} (inclusive)")
            if low is not None:
                raise constraint_violation(f"{text} is less than minimum allowed value "
                                           f"{format_atom(self.type, low)}")
            raise constraint_violation(f"{text} is greater than maximum allowed value "
                                       f"{format_atom(self.type, high)}")
        elif self.min_length or self.max_length < MAX_LENGTH:
            length = len(atom)
            if length < self.min_length:
                raise constraint_violation(f'"{atom}" length {length} is less than minimum '
                                           f"allowed length {self.min_length}")
            if length > self.max_length:
                raise constraint_violation(f'"{atom}" length {length} is greater than maximum '
                                           f"allowed length {self.max_length}")


def from_json_atom(base: BaseType, json, symbols: Symbols | None) -> Atom:
    """Parse an `<atom>` of type `base` and check its constraints.

    `symbols` resolves named UUIDs; None refuses them.  Raises OvsdbError.
    """
    kind = base.type
    if kind == STRING_TYPE:
        if type(json) is not str:
            raise syntax_error(json, "expected string")
        atom = json
        if "\0" in atom:
            raise syntax_error(json, "null bytes not supported in quoted strings")
        if not atom.isascii():
            try:
                atom.encode()
            except UnicodeEncodeError as error:
                raise constraint_violation(f"not a valid UTF-8 string: {error.reason}") from None
    elif kind == UUID_TYPE:
        return _uuid_from_json(base, json, symbols)
    elif kind == INTEGER_TYPE:
        atom = json if type(json) is int else as_integer(json)
        if atom is None or not INT64_MIN <= atom <= INT64_MAX:
            raise syntax_error(json, "expected integer")
    elif kind == BOOLEAN_TYPE:
        if type(json) is not bool:
            raise syntax_error(json, "expected boolean")
        atom = json
    else:
        if type(json) is not float and type(json) is not int:
            raise syntax_error(json, "expected real")
        try:
            atom = float(json)
        except OverflowError:
            atom = _INF
        if not -_INF < atom < _INF:
            raise syntax_error(json, "expected real")
    if base.is_constrained:
        base.check(atom)
    return atom


def _uuid_from_json(base: BaseType, json, symbols: Symbols | None) -> str:
    if (type(json) is list and len(json) == 2 and type(json[1]) is str):
        word, text = json
        if word == "uuid":
            if not is_uuid(text):
                raise syntax_error(json, f'"{text}" is not a valid UUID')
            atom = text.lower()
            if base.enum is not None:
                base.check(atom)
            return atom
        if word == "named-uuid" and symbols is not None:
            if not is_identifier(text):
                raise syntax_error(json, "named-uuid string is not a valid <id>")
            return symbols.lookup(text).uuid
    raise syntax_error(json, 'expected ["uuid", <string>]')


def to_json_atom(kind: str, atom: Atom):
    """Return the `<atom>` of an atom of atomic type `kind`."""
    if kind == UUID_TYPE:
        return ["uuid", atom]
    if kind == REAL_TYPE:
        rounded = float(real_text(atom))
        if -_INF < rounded < _INF:            # The largest double rounds up to infinity.
            atom = rounded
        return int(atom) if atom.is_integer() and INT64_MIN <= atom < INT64_MAX else atom
    return atom


def needs_quotes(text: str) -> bool:
    """Must a string be quoted to be read back as the same string?"""
    return (not text or not (text[0] == "_" or text[0].isascii() and text[0].isalpha())
            or not _WORD.issuperset(text) or text in ("true", "false") or is_uuid(text))


def format_atom(kind: str, atom: Atom) -> str:
    """Return an atom in the notation of `ovs-vsctl get` and of error texts."""
    if kind == STRING_TYPE:
        return string_text(atom) if needs_quotes(atom) else atom
    return format_atom_bare(kind, atom)


def format_atom_bare(kind: str, atom: Atom) -> str:
    """Return an atom as `format_atom` does but a string always without quotes."""
    if kind == STRING_TYPE or kind == UUID_TYPE:
        return atom
    if kind == BOOLEAN_TYPE:
        return "true" if atom else "false"
    return str(atom) if kind == INTEGER_TYPE else real_text(atom)


def parse_atom(base: BaseType, text: str, symbols: Symbols | None = None,
               ranges: bool = False) -> Atom | range:
    """Parse an atom typed by a person and check its constraints.

    A quoted string is unquoted as JSON.  `symbols` resolves "@name" in a UUID; with `ranges` an
    integer may be "1-5", which gives a range (end exclusive).  Raises OvsdbError, whose details
    are the whole sentence when its tag is "".
    """
    kind = base.type
    if kind == INTEGER_TYPE:
        atom = _parse_integers(text, ranges)
        if isinstance(atom, range):
            base.check(atom[0])
            base.check(atom[-1])
            if len(atom) > RANGE_MAX:
                raise constraint_violation(f'Range "{text}" is too big. Maximum allowed size is '
                                           f"{RANGE_MAX}.")
            return atom
    elif kind == REAL_TYPE:
        try:
            atom = float(text)
        except ValueError:
            raise _spoken(f'"{text}" is not a valid real number') from None
        if atom != atom or atom in (float("inf"), float("-inf")) or "_" in text:
            raise _spoken(f'"{text}" is not a valid real number')
    elif kind == BOOLEAN_TYPE:
        if text not in _TRUE_WORDS and text not in _FALSE_WORDS:
            raise _spoken(f'"{text}" is not a valid boolean (use "true" or "false")')
        atom = text in _TRUE_WORDS
    elif kind == STRING_TYPE:
        if text == "":
            raise _spoken('An empty string is not valid as input; use "" to represent the '
                          "empty string")
        atom = unquote(text) if text[0] == '"' else text
        if not atom.isascii():
            _check_utf8(atom)
    else:
        if text[:1] == "@" and symbols is not None:
            symbol = symbols.lookup(text)
            if base.is_weak_ref:
                symbol.weakly_referenced = True
            else:
                symbol.strongly_referenced = True
            return symbol.uuid
        if not is_uuid(text):
            raise _spoken(f'"{text}" is not a valid UUID')
        atom = text.lower()
    if base.is_constrained:
        base.check(atom)
    return atom


def _check_utf8(text: str) -> None:
    """Complain about the first byte of argv that is not UTF-8 (it came as a lone surrogate)."""
    for char in text:
        if "\udc80" <= char <= "\udcff":
            raise constraint_violation("not a valid UTF-8 string: invalid UTF-8 sequence "
                                       f"0x{ord(char) - 0xdc00:02x}")


def _spoken(sentence: str) -> "SpokenError":
    return SpokenError(sentence)


class SpokenError(OvsdbError):
    """A complaint about text a person typed: only a sentence, no tag."""

    def __init__(self, sentence: str):
        super().__init__("", sentence)

    def __str__(self) -> str:
        return self.details


def _parse_integer(text: str) -> int | None:
    digits = text.lstrip(" \t\n\v\f\r")
    if digits[:1] in ("+", "-"):
        digits = digits[1:]
    if not (digits.isascii() and digits.isdigit()):
        return None
    value = int(text)
    return value if INT64_MIN <= value <= INT64_MAX else None


def _parse_integers(text: str, ranges: bool) -> int | range:
    value = _parse_integer(text)
    if value is not None:
        return value
    if not ranges:
        raise _spoken(f'"{text}" is not a valid integer or range')
    dash = text.find("-", 1)
    first = _parse_integer(text[:dash]) if dash > 0 else None
    last = _parse_integer(text[dash + 1:]) if dash > 0 else None
    if first is None or last is None:
        raise _spoken(f'"{text}" is not a valid integer or range')
    if first > last:
        raise _spoken(f'"{text}" is not a valid range. Range end cannot be before start.')
    return range(first, last + 1)


_UNESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r",
              "t": "\t"}


def _escaped_code(token: str, body: str, index: int) -> int:
    """Return what the four digits after a \\u at `index` of `body` say."""
    digits = body[index:index + 4]
    if len(digits) < 4:
        raise _spoken(f"{token}: quoted string ends within \\u escape")
    if not _HEX_DIGITS.issuperset(digits):
        raise _spoken(f"{token}: malformed \\u escape")
    return int(digits, 16)


def unquote(token: str) -> str:
    """Return what a JSON string literal (with its quotes) says.  Raises OvsdbError."""
    if len(token) < 2 or token[-1] != '"':
        raise _spoken(f"{token}: missing quote at end of quoted string")
    body = token[1:-1]
    if "\\" not in body:
        if '"' in body:
            raise _spoken(f"{token}: quoting character in quoted string")
        return body
    out = []
    index = 0
    while index < len(body):
        char = body[index]
        index += 1
        if char != "\\":
            out.append(char)
            continue
        escape = body[index:index + 1]
        index += 1
        if escape in _UNESCAPES and escape:
            out.append(_UNESCAPES[escape])
        elif escape == "u":
            code = _escaped_code(token, body, index)
            index += 4
            if 0xD800 <= code < 0xE000:
                if body[index:index + 2] != "\\u":
                    raise _spoken(f"{token}: malformed escaped surrogate pair")
                low = _escaped_code(token, body, index + 2)
                if not (code < 0xDC00 <= low < 0xE000):
                    raise _spoken(f"{token}: second half of escaped surrogate pair is not "
                                  "trailing surrogate")
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                index += 6
            if code == 0:
                raise _spoken(f"{token}: null bytes not supported in quoted strings")
            out.append(chr(code))
        else:
            raise _spoken(f"{token}: bad escape \\{escape}")
    return "".join(out)


