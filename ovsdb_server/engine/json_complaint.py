"""What is wrong with a JSON text, and where, in the reference's words.

JSON is parsed by a fast library; when that refuses, `explain` walks the text again, the slow way,
to say "line 0, column 15, byte 15: unexpected end of input".  `read_json` does both, for tools.
"""

from json import loads

_SPACES = " \t\n\r"
_PUNCTUATION = "[]{}:,"
_NUMBER = "-0123456789.eE+"
_MAX_DEPTH = 1000


class JsonError(ValueError):
    """A text that is not JSON; str() says where and why."""


class _Complaint(Exception):
    def __init__(self, end: int, reason: str):
        super().__init__(reason)
        self.end = end


def read_json(text: str):
    """Return the object or array that `text` holds.  Raises JsonError."""
    try:
        value = loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        value = None
    if type(value) in (dict, list) and _is_sound(value):
        return value
    raise JsonError(explain(text) or "line 0, column 0, byte 0: syntax error at beginning of "
                                     "input")


def _refuse(_word: str):
    raise ValueError


def _is_sound(value) -> bool:
    """Are all strings and numbers such as the reference can hold?"""
    if isinstance(value, str):
        return "\0" not in value and value.isprintable() or not any(
            c == "\0" or "\ud800" <= c < "\ue000" for c in value)
    if isinstance(value, dict):
        return all(map(_is_sound, value)) and all(map(_is_sound, value.values()))
    if isinstance(value, list):
        return all(map(_is_sound, value))
    return type(value) is not float or abs(value) != float("inf")


def explain(text: str) -> str | None:
    """Return the complaint about `text`, or None when it is JSON."""
    try:
        _walk(text)
    except _Complaint as complaint:
        end = complaint.end
        before = text[:end]
        late = end - len(before)
        line = before.count("\n")
        column = len(before[before.rfind("\n") + 1:].encode("utf-8", "replace")) + late
        byte = len(before.encode("utf-8", "replace")) + late
        return f"line {line}, column {column}, byte {byte}: {complaint}"
    return None


def _tokens(text: str):
    """Yield (kind, start, end): punctuation as itself, "value", "string"."""
    index = 0
    while index < len(text):
        char = text[index]
        if char in _SPACES:
            index += 1
        elif char in _PUNCTUATION:
            yield char, index, index + 1
            index += 1
        elif char == '"':
            end = _string_end(text, index)
            yield "string", index, end
            index = end
        elif char == "-" or char.isascii() and char.isdigit():
            end = index
            while end < len(text) and text[end] in _NUMBER:
                end += 1
            _check_number(text[index:end], end)
            yield "value", index, end
            index = end
        elif "a" <= char <= "z":
            end = index
            while end < len(text) and "a" <= text[end] <= "z":
                end += 1
            if text[index:end] not in ("true", "false", "null"):
                raise _Complaint(end, f"invalid keyword '{text[index:end]}'")
            yield "value", index, end
            index = end
        elif char < " " or char > "~":
            first = char.encode("utf-8", "surrogateescape")[0]
            raise _Complaint(index, f"invalid character U+{first:04x}")
        else:
            raise _Complaint(index, f"invalid character '{char}'")


def _string_end(text: str, start: int) -> int:
    index = start + 1
    while index < len(text):
        char = text[index]
        if char == '"':
            _check_string(text[start + 1:index], start + 1, index)
            return index + 1
        index += 2 if char == "\\" else 1
    raise _Complaint(len(text), "unexpected end of input in quoted string")


def _check_string(body: str, start: int, end: int) -> None:
    index = 0
    while index < len(body):
        char = body[index]
        index += 1
        if char < " ":
            raise _Complaint(start + index - 1,
                             f"U+{ord(char):04X} must be escaped in quoted string")
        if char != "\\":
            continue
        escape = body[index]
        index += 1
        if escape != "u":
            if escape not in '"\\/bfnrt':
                raise _Complaint(end, f"bad escape \\{escape}")
            continue
        code = _code(body, index, end)
        index += 4
        if 0xD800 <= code < 0xE000:
            if code >= 0xDC00 or body[index:index + 2] != "\\u":
                raise _Complaint(end, "malformed escaped surrogate pair")
            if not 0xDC00 <= _code(body, index + 2, end) < 0xE000:
                raise _Complaint(end, "second half of escaped surrogate pair is not trailing "
                                      "surrogate")
            index += 6


def _code(body: str, index: int, end: int) -> int:
    digits = body[index:index + 4]
    if len(digits) < 4:
        raise _Complaint(end, "quoted string ends within \\u escape")
    if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
        raise _Complaint(end, "malformed \\u escape")
    code = int(digits, 16)
    if code == 0:
        raise _Complaint(end, "null bytes not supported in quoted strings")
    return code


def _check_number(number: str, end: int) -> None:
    digits = number.removeprefix("-")
    if not digits[:1].isdigit():
        raise _Complaint(end, "'-' must be followed by digit")
    if digits[0] == "0" and digits[1:2].isdigit():
        raise _Complaint(end, "leading zeros not allowed")
    rest = digits.lstrip("0123456789")
    if rest[:1] == ".":
        if not rest[1:2].isdigit():
            raise _Complaint(end, "decimal point must be followed by digit")
        rest = rest[1:].lstrip("0123456789")
    if rest[:1] in ("e", "E"):
        rest = rest[1:]
        if rest[:1] in ("+", "-"):
            rest = rest[1:]
        if not rest[:1].isdigit():
            raise _Complaint(end, "exponent must contain at least one digit")
        rest = rest.lstrip("0123456789")
    if rest:
        raise _Complaint(end, "syntax error in number")
    if abs(float(number)) == float("inf"):
        raise _Complaint(end, "number outside valid range")


def _walk(text: str) -> None:
    """Follow the grammar; `wanted` is what may come next."""
    stack: list[str] = []
    wanted = "start"
    for kind, start, end in _tokens(text):
        is_value = kind in ("value", "string", "[", "{")
        match wanted:
            case "start":
                if kind not in ("[", "{"):
                    raise _Complaint(start if len(kind) == 1 else end - (kind == "string"),
                                     "syntax error at beginning of input")
                wanted = _open(stack, kind, start)
                continue
            case "end":
                raise _at(kind, start, end, "trailing garbage at end of input")
            case "member or }" | "member":
                if kind == "string":
                    wanted = ":"
                    continue
                if kind != "}" or wanted == "member":
                    raise _at(kind, start, end, "syntax error parsing object expecting string")
            case ":":
                if kind != ":":
                    raise _at(kind, start, end, "syntax error parsing object expecting ':'")
                wanted = "value"
                continue
            case "value or ]" | "value":
                if is_value:
                    wanted = _open(stack, kind, start) if kind in "[{" else "next"
                    continue
                if kind != "]" or wanted == "value":
                    raise _at(kind, start, end, "syntax error expecting value")
            case "next":
                closing = "]" if stack[-1] == "[" else "}"
                if kind == ",":
                    wanted = "value" if closing == "]" else "member"
                    continue
                if kind != closing:
                    raise _at(kind, start, end, f"syntax error expecting '{closing}' or ','")
        stack.pop()
        wanted = "next" if stack else "end"
    if wanted == "start":
        raise _Complaint(len(text), "empty input stream")
    if wanted != "end":
        # A keyword or number that ends the text is complete only one step later.
        late = text[-1].isalnum()
        raise _Complaint(len(text) + late, "unexpected end of input")


def _at(kind: str, start: int, end: int, reason: str) -> _Complaint:
    if len(kind) == 1:
        return _Complaint(start, reason)
    return _Complaint(end - (kind == "string"), reason)


def _open(stack: list[str], kind: str, start: int) -> str:
    if len(stack) >= _MAX_DEPTH:
        raise _Complaint(start, f"input exceeds maximum nesting depth {_MAX_DEPTH}")
    stack.append(kind)
    return "value or ]" if kind == "[" else "member or }"
