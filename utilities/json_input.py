"""JSON typed by a person: parsed, and complained about in the reference's words.

`parse_json(text)` uses the standard library; only a text that it refuses is walked character by
character to name the place and the mistake as the reference does.
"""

import json

_DEPTH_MAX = 1000
_SPACES = " \t\r\n"
_NUMBER = frozenset(".0123456789eE-+")
_ESCAPES = frozenset('"\\/bfnrt')


class JsonError(ValueError):
    """The text is not JSON; str() says where and why."""


def parse_json(text: str):
    """Return the object or array that a JSON text is.  Raises JsonError."""
    def refuse(name: str):
        raise ValueError(name)

    def real(digits: str) -> float:
        value = float(digits)
        return refuse(digits) if value in (float("inf"), float("-inf")) else value
    try:
        value = json.loads(text, parse_constant=refuse, parse_float=real)
        if isinstance(value, (dict, list)):
            return value
    except (ValueError, RecursionError):
        pass
    raise JsonError(_explain(text)) from None


class _Mistake(Exception):
    def __init__(self, position: int, reason: str, extra: int = 0) -> None:
        self.position = position
        self.reason = reason
        self.extra = extra


def _explain(text: str) -> str:
    """Return what is wrong with `text`: "line L, column C, byte B: reason"."""
    # One character per byte: the reference counts bytes, and names them.
    text = text.encode("utf-8", "surrogateescape").decode("latin-1")
    try:
        _walk(text)
        position, reason, extra = len(text), "syntax error", 0
    except _Mistake as mistake:
        position, reason, extra = mistake.position, mistake.reason, mistake.extra
    head = text[:position]
    line = head.count("\n")
    column = len(head) - (head.rfind("\n") + 1) + extra
    return f"line {line}, column {column}, byte {len(head) + extra}: {reason}"


def _walk(text: str) -> None:
    """Read tokens with the states of a JSON parser; raise _Mistake at the first wrong one."""
    stack: list[str] = []
    state = "start"
    position = 0
    kind = ""
    while True:
        while position < len(text) and text[position] in _SPACES:
            position += 1
        if position == len(text):
            if state == "start":
                raise _Mistake(position, "empty input stream")
            if state == "end":
                return
            # The reference ends a number or a keyword by a space of its own, and counts it.
            raise _Mistake(position, "unexpected end of input", int(kind == "other"))
        kind, end = _token(text, position)
        # A token is complained about before its last character, if that makes it complete.
        where = end if kind == "other" else end - 1
        state = _step(state, kind, stack, where)
        position = end


def _step(state: str, kind: str, stack: list[str], where: int) -> str:
    """Return the parser's next state after a token of `kind`."""
    if state == "end":
        raise _Mistake(where, "trailing garbage at end of input")
    if state in ("start", "value", "array start"):
        if kind == "]" and state == "array start":
            return _pop(stack)
        if kind in "{[":
            stack.append(kind)
            if len(stack) > _DEPTH_MAX:
                raise _Mistake(where, f"input exceeds maximum nesting depth {_DEPTH_MAX}")
            return "object start" if kind == "{" else "array start"
        if state == "start":
            raise _Mistake(where, "syntax error at beginning of input")
        if kind not in ("string", "other"):
            raise _Mistake(where, "syntax error expecting value")
        return _after(stack)
    if state == "object start":
        if kind == "}":
            return _pop(stack)
        if kind != "string":
            raise _Mistake(where, "syntax error parsing object expecting string")
        return "colon"
    if state == "name":
        if kind != "string":
            raise _Mistake(where, "syntax error parsing object expecting string")
        return "colon"
    if state == "colon":
        if kind != ":":
            raise _Mistake(where, "syntax error parsing object expecting ':'")
        return "value"
    if state == "object next":
        if kind == ",":
            return "name"
        if kind == "}":
            return _pop(stack)
        raise _Mistake(where, "syntax error expecting '}' or ','")
    if kind == ",":
        return "value"
    if kind == "]":
        return _pop(stack)
    raise _Mistake(where, "syntax error expecting ']' or ','")


def _after(stack: list[str]) -> str:
    if not stack:
        return "end"
    return "object next" if stack[-1] == "{" else "array next"


def _pop(stack: list[str]) -> str:
    stack.pop()
    return _after(stack)


def _token(text: str, start: int) -> tuple[str, int]:
    """Return the kind of the token at `start` (itself, "string" or "other") and its end."""
    char = text[start]
    if char in "{}[]:,":
        return char, start + 1
    if char == '"':
        return "string", _string(text, start)
    if "a" <= char <= "z":
        end = start
        while end < len(text) and "a" <= text[end] <= "z":
            end += 1
        word = text[start:end]
        if word not in ("true", "false", "null"):
            raise _Mistake(end, f"invalid keyword '{word}'")
        return "other", end
    if char.isdigit() and char.isascii() or char == "-":
        end = start
        while end < len(text) and text[end] in _NUMBER:
            end += 1
        _check_number(text[start:end], end)
        return "other", end
    if char.isascii() and char.isprintable():
        raise _Mistake(start, f"invalid character '{char}'")
    raise _Mistake(start, f"invalid character U+{ord(char):04x}")


def _string(text: str, start: int) -> int:
    """Return the end of the string token at `start`."""
    end = start + 1
    while end < len(text) and text[end] != '"':
        if text[end] < " ":
            raise _Mistake(end, f"U+{ord(text[end]):04X} must be escaped in quoted string")
        end += 2 if text[end] == "\\" else 1
    if end >= len(text):
        raise _Mistake(len(text), "unexpected end of input in quoted string")
    position = start + 1
    while position < end:
        if text[position] == "\\":
            letter = text[position + 1]
            if letter == "u":
                digits = text[position + 2:min(position + 6, end)]
                if len(digits) < 4:
                    raise _Mistake(end, "quoted string ends within \\u escape")
                if not all(digit in "0123456789abcdefABCDEF" for digit in digits):
                    raise _Mistake(end, "malformed \\u escape")
            elif letter not in _ESCAPES:
                raise _Mistake(end, f"bad escape \\{letter}")
            position += 1
        position += 1
    return end + 1


def _check_number(text: str, end: int) -> None:
    digits = text.removeprefix("-")
    if not digits[:1].isdigit():
        raise _Mistake(end, "'-' must be followed by digit")
    if digits[0] == "0" and digits[1:2].isdigit():
        raise _Mistake(end, "leading zeros not allowed")
    position = 0
    while digits[position:position + 1].isdigit():
        position += 1
    if digits[position:position + 1] == ".":
        position += 1
        if not digits[position:position + 1].isdigit():
            raise _Mistake(end, "decimal point must be followed by digit")
        while digits[position:position + 1].isdigit():
            position += 1
    if digits[position:position + 1] in ("e", "E"):
        position += 1
        if digits[position:position + 1] in ("+", "-"):
            position += 1
        if not digits[position:position + 1].isdigit():
            raise _Mistake(end, "exponent must contain at least one digit")
        while digits[position:position + 1].isdigit():
            position += 1
    if position < len(digits):
        raise _Mistake(end, "syntax error in number")
    if float(text) in (float("inf"), float("-inf")):
        raise _Mistake(end, "number outside valid range")
