"""The envelope of journal records: `OVSDB MAGIC LENGTH SHA1`, newline, LENGTH bytes of JSON.

The SHA-1 is over exactly the LENGTH bytes, which end in a newline when we write them.  Reading
works on any binary stream; a record that is cut off or damaged is an OvsdbError that says where.

Source: ovsdb(5), "File Formats".
"""

from collections.abc import Callable, Iterator
from hashlib import sha1
from typing import BinaryIO, NamedTuple

import orjson

from ovsdb_server.engine.error import OvsdbError
from ovsdb_server.engine.json_complaint import explain

STANDALONE = "JSON"
CLUSTERED = "CLUSTER"

_MAX_HEADER = 127
_HEX = frozenset(b"0123456789abcdefABCDEF")


class Record(NamedTuple):
    """A record: `offset` of its header, `end` of its body, and the `json` object it holds."""

    offset: int
    end: int
    json: dict


class Header(NamedTuple):
    """What the first line of a record says; `digest` is lower-case hexadecimal."""

    magic: str
    length: int
    digest: str


def encode_record(body: bytes, magic: str = STANDALONE) -> bytes:
    """Return the record of the JSON text `body`."""
    body += b"\n"
    return encode_header(len(body), sha1(body).hexdigest(), magic) + body


def encode_header(size: int, digest: str, magic: str = STANDALONE) -> bytes:
    """Return the header of a body of `size` bytes, its newline included."""
    return f"OVSDB {magic} {size} {digest}\n".encode()


def parse_header(line: bytes) -> Header | None:
    """Parse a header line with its newline; None when it is not one."""
    words = line.split(b" ")
    if len(words) != 4 or words[0] != b"OVSDB" or not words[2].isdigit():
        return None
    digest = words[3]
    if len(digest) != 41 or digest[40:] != b"\n" or not _HEX.issuperset(digest[:40]):
        return None
    return Header(words[1].decode("latin-1"), int(words[2]), digest[:40].decode().lower())


def identify(name: str, line: bytes) -> str:
    """Return the magic of a file that begins with `line`; `name` is for complaints.

    Raises OvsdbError when it is no database file.
    """
    if not line:
        raise OvsdbError("ovsdb error", f"{name}: cannot identify file type")
    header = parse_header(line)
    if header is None or header.magic not in (STANDALONE, CLUSTERED):
        raise OvsdbError("ovsdb error", f"{name}: unexpected file format")
    return header.magic


def read_records(stream: BinaryIO, name: str, magic: str = STANDALONE,
                 parse: Callable[[bytes], object] = orjson.loads) -> Iterator[Record]:
    """Yield the records of `stream`, which stands at the beginning of one.

    `parse` makes the `json` of a record of its JSON text, or raises ValueError.

    Raises OvsdbError at the first record that is damaged; everything before it was yielded.
    """
    offset = stream.tell()
    while True:
        line = stream.readline(_MAX_HEADER)
        if not line:
            return
        header = parse_header(line)
        if header is None or header.magic != magic:
            raise OvsdbError("syntax error", f"{name}: parse error at offset {offset} in header "
                                             f'line "{_shown(line)}"')
        start = offset + len(line)
        body = stream.read(header.length)
        where = f"{header.length} bytes starting at offset {start}"
        if len(body) < header.length:
            raise OvsdbError("I/O error", f"{name}: error reading {where}",
                             io_error="End of file")
        digest = sha1(body).hexdigest()
        if digest != header.digest:
            raise OvsdbError("syntax error", f"{name}: {where} have SHA-1 hash {digest} but "
                                             f"should have hash {header.digest}")
        try:
            json = parse(body)
        except ValueError as error:
            reason = explain(body.decode("utf-8", "surrogateescape"))
            complaint = f"are not valid JSON ({reason or error})"
            if reason is None and body.lstrip()[:1] != b"{":
                complaint = "are not a JSON object"
            raise OvsdbError("syntax error", f"{name}: {where} {complaint}") from None
        if parse is orjson.loads and type(json) is not dict:
            raise OvsdbError("syntax error", f"{name}: {where} are not a JSON object")
        end = start + header.length
        yield Record(offset, end, json)
        offset = end


def _shown(line: bytes) -> str:
    """Return what the reference shows of a bad header: cut at the second word once it is read."""
    text = line.split(b"\0")[0].rstrip(b"\n").decode("utf-8", "replace")
    words = text.split(" ")
    return " ".join(words[:2]) if words[0] == "OVSDB" else text
