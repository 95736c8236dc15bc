"""JSON-RPC 1.0 messages and their framing, without I/O (RFC 7047 section 4).

A stream carries JSON objects one after another, with no delimiter and no length.  `Splitter` cuts
the bytes into whole objects, `decode` turns one into a `Message`, and the `encode_*` functions
produce bytes.  Both edges (`blocking.py`, `stream.py`) and unixctl are built from these; a `Codec`
says which JSON library does the work: the standard one starts faster (tools), orjson runs faster
(daemons).

Nothing here reads a socket or a clock; any thread may call it.  Keep the imports few: every tool
of the suite loads this module.
"""

REQUEST = "request"
NOTIFICATION = "notification"
REPLY = "reply"
ERROR = "error"

# One JSON text may not be larger than this; `ovsdb-client restore` sends a database at once.
SIZE_MAX = 256 * 1024 * 1024

# Nesting above this is a parse error, as in the reference; the JSON libraries have limits nearby.
DEPTH_MAX = 1000

# The member names a message may have.
_MEMBERS = frozenset(("id", "method", "params", "result", "error"))

_SPACE = b" \t\r\n"


class ProtocolError(Exception):
    """The peer sent bytes that are not a JSON-RPC message; the connection cannot continue.

    Args: `reason`, a sentence; `offset`, bytes from the start of the stream where it was found, or
    None; `is_syntax`, whether the bytes were no JSON at all (else: JSON of a wrong shape).
    """

    def __init__(self, reason: str, offset: int | None = None, is_syntax: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset
        self.is_syntax = is_syntax


def not_json(text: bytes, reason: str = "", offset: int | None = None) -> ProtocolError:
    """Return the error that names what is wrong with `text`, `reason` where nothing seems to be.

    A text that is JSON, but no object, is another kind of error.
    """
    # Only a peer that is out of its mind makes this necessary.
    from ovsdb_server.engine.json_complaint import explain
    if text[:1] == b"[":
        return ProtocolError("message is not a JSON object", offset, is_syntax=False)
    complaint = explain(text.decode("utf-8", "surrogateescape"))
    return ProtocolError(complaint or reason, offset)


class Codec:
    """A JSON library: `loads(bytes) -> value` and `dumps(value) -> compact bytes`.

    `loads` raises ValueError for anything that is not JSON in the sense of RFC 8259.
    """

    __slots__ = ("loads", "dumps")

    def __init__(self, loads, dumps) -> None:
        self.loads = loads
        self.dumps = dumps


def _refuse_constant(name: str) -> object:
    raise ValueError(f"invalid keyword '{name}'")


class _Grammar:
    """What the standard library's scanner asks of its decoder."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_refuse_constant)


def _standard_functions() -> tuple:
    """Return the standard library's scanner and encoder, as C functions.

    The `json` package around them costs a tool as much time as all of its other imports (it
    needs re, which needs enum): it is loaded only by an interpreter that lacks them.
    """
    try:
        from _json import encode_basestring, make_encoder, make_scanner
        encode = make_encoder(None, None, encode_basestring, None, ":", ",", False, False, False)
        return make_scanner(_Grammar), lambda value: "".join(encode(value, 0))
    except (ImportError, TypeError):
        import json
        decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return decoder.scan_once, encoder.encode


_scan, _encode = _standard_functions()
_TEXT_SPACE = " \t\r\n"


def _standard_loads(data: bytes) -> object:
    text = data.decode("utf-8")
    start = len(text) - len(text.lstrip(_TEXT_SPACE))
    try:
        value, end = _scan(text, start)
    except StopIteration:
        raise ValueError("syntax error expecting value") from None
    except RecursionError:
        raise ValueError("input exceeds maximum nesting depth") from None
    if end < len(text) and text[end:].strip(_TEXT_SPACE):
        raise ValueError("trailing garbage at end of input")
    return value


def _standard_dumps(value: object) -> bytes:
    return _encode(value).encode("utf-8", "surrogatepass")


STANDARD = Codec(_standard_loads, _standard_dumps)


def fast_codec() -> Codec:
    """Return a codec on orjson, or the standard one if orjson is not installed.

    Importing orjson costs about as much as starting Python, so only daemons ask for it.
    """
    try:
        import orjson
    except ImportError:
        return STANDARD
    loads, fast_dumps = orjson.loads, orjson.dumps

    def checked_loads(data: bytes) -> object:
        # The reference's strings are C strings: an escaped NUL is a parse error.
        if b"\\u0000" in data and b"\\u0000" in data.replace(b"\\\\", b""):
            raise ValueError("null bytes not supported in quoted strings")
        return loads(data)

    def dumps(value: object) -> bytes:
        try:
            return fast_dumps(value)
        except TypeError:
            # orjson reads deeper nesting than it writes.
            return _standard_dumps(value)

    return Codec(checked_loads, dumps)


class Message:
    """One JSON-RPC message.  `kind` is REQUEST, NOTIFICATION, REPLY or ERROR."""

    __slots__ = ("kind", "method", "params", "result", "error", "id")

    def __init__(self, kind: str, method: str | None = None, params: list | None = None,
                 result: object = None, error: object = None, id: object = None) -> None:
        self.kind = kind
        self.method = method
        self.params = params
        self.result = result
        self.error = error
        self.id = id

    def __repr__(self) -> str:
        match self.kind:
            case "request":
                return f"<request {self.method} {self.params} id={self.id!r}>"
            case "notification":
                return f"<notification {self.method} {self.params}>"
            case "reply":
                return f"<reply {self.result} id={self.id!r}>"
        return f"<error {self.error} id={self.id!r}>"


def describe(message: Message) -> str:
    """Return a message as debug logs show it."""
    parts = []
    for name in ("method", "params", "result", "error", "id"):
        value = getattr(message, name)
        if value is not None:
            parts.append(f"{name}={STANDARD.dumps(value).decode('utf-8', 'replace')}")
    return f"{message.kind}, {', '.join(parts)}"


def decode(data: bytes, codec: Codec = STANDARD) -> Message:
    """Parse one whole JSON text into a Message.  Raises: ProtocolError."""
    try:
        value = codec.loads(data)
    except ValueError as error:
        raise not_json(data, str(error)) from None
    return classify(value)


def classify(value: object) -> Message:
    """Return the Message that a parsed JSON value is.  Raises: ProtocolError.

    A non-null result makes a reply, else a non-null error an error, else a non-null id a request,
    else it is a notification (facts of the reference, RFC 7047 section 4).
    """
    if not isinstance(value, dict):
        raise ProtocolError("message is not a JSON object", is_syntax=False)
    get = value.get
    if len(value) == 3:
        # Nearly all that a server gets: a request and nothing else.
        method, params, id = get("method"), get("params"), get("id")
        if type(method) is str and type(params) is list and id is not None:
            return Message(REQUEST, method, params, None, None, id)
    method = get("method")
    if method is not None and not isinstance(method, str):
        raise ProtocolError("method is not a JSON string", is_syntax=False)
    params, result, error, id = get("params"), get("result"), get("error"), get("id")
    if not _MEMBERS.issuperset(value):
        extra = next(name for name in value if name not in _MEMBERS)
        raise ProtocolError(f'message has unexpected member "{extra}"', is_syntax=False)
    if result is not None:
        kind, wrong = REPLY, (method, params, error)
        needed = id
    elif error is not None:
        kind, wrong = ERROR, (method, params, result)
        needed = id
    elif id is not None:
        kind, wrong = REQUEST, (result, error)
        needed = method
    else:
        kind, wrong = NOTIFICATION, (result, error)
        needed = method
    if kind in (REPLY, ERROR):
        if needed is None:
            raise ProtocolError(f'{kind} must have "id"', is_syntax=False)
        for name, member in zip(("method", "params"), wrong):
            if member is not None:
                raise ProtocolError(f'{kind} must not have "{name}"', is_syntax=False)
        if kind is REPLY and error is not None:
            raise ProtocolError('reply must not have "error"', is_syntax=False)
        return Message(kind, result=result, error=error, id=id)
    if needed is None:
        raise ProtocolError(f'{kind} must have "method"', is_syntax=False)
    if params is None:
        raise ProtocolError(f'{kind} must have "params"', is_syntax=False)
    if not isinstance(params, list):
        raise ProtocolError('"params" must be JSON array', is_syntax=False)
    return Message(kind, method=method, params=params, id=id)


def encode_request(method: str, params: list, id: object, codec: Codec = STANDARD) -> bytes:
    return codec.dumps({"id": id, "method": method, "params": params})


def encode_notification(method: str, params: list, codec: Codec = STANDARD) -> bytes:
    return codec.dumps({"id": None, "method": method, "params": params})


def encode_reply(result: object, id: object, codec: Codec = STANDARD) -> bytes:
    return codec.dumps({"id": id, "result": result, "error": None})


def encode_error(error: object, id: object, codec: Codec = STANDARD) -> bytes:
    return codec.dumps({"id": id, "result": None, "error": error})


def first_object(text: bytes) -> bytes | None:
    """Return the JSON object that `text` begins with, or None; for streams that go wrong after it.
    """
    try:
        shown = text.decode("utf-8")
        _, end = _scan(shown, 0)
    except (ValueError, RecursionError, StopIteration):
        return None
    return shown[:end].encode()


def _candidate(data: bytes, position: int) -> int:
    """Return where a message may end in `data`: after a brace that a further object follows.

    Inside a JSON value no object directly follows another.  Without such a brace it is the end.
    """
    found = data.find(b"}{", position)
    end = found + 1 if found >= 0 else len(data)
    for brace in (b"} ", b"}\n", b"}\t", b"}\r"):
        found = data.find(brace, position, end)
        while found >= 0:
            next_char = found + 2
            while data[next_char:next_char + 1] in (b" ", b"\n", b"\t", b"\r"):
                next_char += 1
            if data[next_char:next_char + 1] == b"{":
                end = found + 1
                break
            found = data.find(brace, next_char, end)
    return end


class Splitter:
    """Cuts a byte stream into JSON objects; looks at each byte once, whatever the chunks.

    The scan runs at the speed of bytes.split and bytes.count: a candidate for a boundary is a `}`
    that is last in the data or is followed by a `{`; the segment up to it advances (depth, inside
    a string, after a backslash), and the candidate is one if that says depth zero.

    Args: `size_max`, the largest JSON text accepted in bytes.
    """

    __slots__ = ("_chunks", "_size", "_depth", "_in_string", "_escaped", "_size_max", "_offset",
                 "failure")

    def __init__(self, size_max: int = SIZE_MAX) -> None:
        self.failure: ProtocolError | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._size_max = size_max
        self._offset = 0

    @property
    def pending(self) -> int:
        """Bytes held of a message that is not complete yet."""
        return self._size

    def clear(self) -> None:
        """Forget what has come of a message: there will not be more."""
        self._chunks.clear()
        self.failure = None

    def pass_over(self, size: int) -> None:
        """Count `size` bytes of whole messages that the owner has found by itself."""
        self._offset += size

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes; return the JSON texts that they complete.

        When the stream cannot go on (it is no JSON objects, or one is too large), what came before
        is still returned, `failure` says why, and the next call raises it; without anything to
        return it is raised at once.
        """
        texts: list[bytes] = []
        if self.failure is None:
            try:
                self._split(data, texts)
            except ProtocolError as error:
                self.failure = error
        if self.failure is not None and not texts:
            raise self.failure
        return texts

    def _split(self, data: bytes, texts: list[bytes]) -> None:
        position = 0
        end = len(data)
        while position < end:
            if not self._chunks:
                position = self._skip_space(data, position)
                if position == end:
                    break
            stop = _candidate(data, position)
            position = self._pass_objects(data, position, stop)
            self._advance(data[position:stop])
            position = stop
            if self._depth < 0:
                text = b"".join(self._chunks)
                salvaged = first_object(text) or b""
                texts.extend([salvaged] if salvaged else [])
                raise not_json(text[len(salvaged):], "syntax error", self._offset)
            if self._depth > DEPTH_MAX:
                raise ProtocolError("input exceeds maximum nesting depth", self._offset)
            if self._depth == 0:
                texts.append(self._take())

    def _skip_space(self, data: bytes, position: int) -> int:
        """Return where the next message starts in `data`.  Raises: ProtocolError."""
        rest = data[position:position + 1]
        while rest and rest in _SPACE:
            position += 1
            rest = data[position:position + 1]
        if rest and rest != b"{":
            raise not_json(data[position:], offset=self._offset + position)
        return position

    def _advance(self, segment: bytes) -> None:
        """Add `segment` to the current message and move the scanner's state over it."""
        self._chunks.append(segment)
        self._size += len(segment)
        if self._size > self._size_max:
            raise ProtocolError(f"message exceeds {self._size_max} bytes", self._offset)
        if self._escaped:
            self._escaped = False
            segment = segment[1:]
        if b"\\" in segment:
            # Pairs of backslashes first: one that is left over escapes what follows it.
            segment = segment.replace(b"\\\\", b"").replace(b'\\"', b"")
            self._escaped = segment.endswith(b"\\")
        if b'"' in segment:
            parts = segment.split(b'"')
            outside = b"".join(parts[1::2] if self._in_string else parts[0::2])
            if len(parts) % 2 == 0:
                self._in_string = not self._in_string
        elif self._in_string:
            return
        else:
            outside = segment
        self._depth += (outside.count(b"{") + outside.count(b"[")
                        - outside.count(b"}") - outside.count(b"]"))

    def _pass_objects(self, data: bytes, position: int, stop: int) -> int:
        """Take part of `data` in, for those who do more with it; return where the rest begins."""
        return position

    def _take(self) -> bytes:
        text = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._offset += self._size
        self._size = 0
        return text
