"""The `<error>` object of RFC 7047 section 3.1 as an exception, and JSON in its canonical text.

Lowest module of the engine: everything else raises `OvsdbError`.  `json_text` is the form in
which offending JSON is quoted inside errors and in which schemas are stored: compact, member
names sorted, numbers as the reference prints them.
"""

INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1
MAX_UINT32 = (1 << 32) - 1

_ESCAPES = {i: f"\\u{i:04x}" for i in range(0x20)}
_ESCAPES.update({8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"})


class OvsdbError(Exception):
    """An error of the database protocol.

    `tag` is the member "error", `details` a sentence, `syntax` the offending JSON as text,
    `io_error` what the operating system said.
    """

    def __init__(self, tag: str, details: str | None = None, syntax: str | None = None,
                 io_error: str | None = None):
        super().__init__(tag, details, syntax, io_error)
        self.tag = tag
        self.details = details
        self.syntax = syntax
        self.io_error = io_error

    def to_json(self) -> dict:
        """Return the `<error>` object that goes to a client."""
        result = {"error": self.tag}
        if self.details is not None:
            result["details"] = self.details
        if self.syntax is not None:
            result["syntax"] = self.syntax
        if self.io_error is not None:
            result["io-error"] = self.io_error
        return result

    def __str__(self) -> str:
        text = self.tag
        if self.details is not None:
            text = f"{text}: {self.details}"
        if self.io_error is not None:
            text = f"{text} ({self.io_error})"
        if self.syntax is not None:
            text = f'syntax "{self.syntax}": {text}'
        return text


def syntax_error(json, details: str, tag: str = "syntax error") -> OvsdbError:
    """Return an error about `json`, quoting it (not when None: nothing to quote)."""
    return OvsdbError(tag, details, json_text(json))


def constraint_violation(details: str) -> OvsdbError:
    """Return an error with the tag "constraint violation"."""
    return OvsdbError("constraint violation", details)


def real_text(value: float) -> str:
    """Return `value` with 15 significant digits, as C's "%.15g" prints it."""
    return "%.15g" % value


def number_text(value: int | float) -> str:
    """Return a JSON number as the reference prints it: integral int64 values as integers."""
    if type(value) is float:
        if value.is_integer() and INT64_MIN <= value < INT64_MAX:
            return str(int(value))
        return real_text(value)
    if INT64_MIN <= value <= INT64_MAX:
        return str(value)
    try:
        return real_text(float(value))
    except OverflowError:                # No peer can send one, but a caller might.
        return "inf" if value > 0 else "-inf"


def string_text(value: str) -> str:
    """Return `value` as a JSON string; only quote, backslash and control characters escaped."""
    return f'"{value.translate(_ESCAPES)}"'


def json_text(json) -> str:
    """Return `json` as compact text with sorted member names."""
    if isinstance(json, str):
        return string_text(json)
    if json is None:
        return "null"
    if json is True:
        return "true"
    if json is False:
        return "false"
    if isinstance(json, dict):
        members = (f"{string_text(name)}:{json_text(json[name])}" for name in sorted(json))
        return "{" + ",".join(members) + "}"
    if isinstance(json, (list, tuple)):
        return "[" + ",".join(map(json_text, json)) + "]"
    return number_text(json)
