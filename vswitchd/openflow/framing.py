"""OpenFlow framing: headers, cutting a byte stream into messages, naming a message.

Sans-IO and stateless but for `Splitter`.  Used by `vswitchd.openflow.messages` (bodies),
`vswitchd.openflow.connection` and the tools.  Source: OpenFlow 1.0-1.5, section "OpenFlow
header", and the vendor headers of the Nicira and ONF extensions.
"""

import struct
from functools import cache
from typing import NamedTuple

from schema.openflow.limits import HEADER_SIZE
from schema.openflow.messages import (
    NICIRA_VENDOR, OF10, OF15, ONF_VENDOR, RAWS, STATS_VENDOR, VENDOR, Raw,
)
from vswitchd.openflow.error import OpenFlowError

HEADER = struct.Struct("!BBHI")
_STATS = struct.Struct("!HH")
_VENDOR = struct.Struct("!II")

_VENDORS = {NICIRA_VENDOR: ("NXT", "NXST"), ONF_VENDOR: ("ONFT", "ONFST")}
_VENDOR_OF_SPACE = {"NXT": NICIRA_VENDOR, "NXST": NICIRA_VENDOR,
                    "ONFT": ONF_VENDOR, "ONFST": ONF_VENDOR}


class Header(NamedTuple):
    """The eight bytes in front of every message."""

    version: int
    type: int
    length: int
    xid: int


class Frame(NamedTuple):
    """A message whose kind is known and whose body is not decoded yet.

    flags: of statistics, else 0.  body: what follows all headers.
    """

    raw: Raw
    version: int
    xid: int
    flags: int
    body: bytes


class Splitter:
    """Cuts a stream into whole messages.

    `feed` bytes as they come; `take` returns the next complete message, `messages` yields all there
    are. Who reads messages by itself finds them in `buffer` from `start` on and says with `skip`
    how much it has read. A length below eight can never be right: the stream is lost,
    `OpenFlowError` is raised.
    """

    def __init__(self) -> None:
        self.buffer = b""
        self.start = 0

    def feed(self, data: bytes) -> None:
        self.buffer = self.buffer[self.start:] + data
        self.start = 0

    def take(self) -> bytes | None:
        """The next message, None where it is not complete yet."""
        buffer, start = self.buffer, self.start
        if len(buffer) - start < HEADER_SIZE:
            return None
        length = (buffer[start + 2] << 8) | buffer[start + 3]
        if length < HEADER_SIZE:
            raise OpenFlowError("OFPBRC_BAD_LEN",
                                f"received too-short ofp_header ({length} bytes)", "vconn")
        if len(buffer) - start < length:
            return None
        self.start = start + length
        return bytes(buffer[start:start + length])

    def skip(self, size: int) -> None:
        """Leaves out what has been read otherwise."""
        self.start += size

    def messages(self):
        while (message := self.take()) is not None:
            yield message

    @property
    def pending(self) -> int:
        """Bytes that have not been taken."""
        return len(self.buffer) - self.start


def parse_header(data: bytes) -> Header:
    """Returns the header of `data`.  Raises OpenFlowError if there are fewer than 8 bytes."""
    if len(data) < HEADER_SIZE:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    return Header(*HEADER.unpack_from(data))


@cache
def _index() -> dict[tuple, Raw]:
    """(space, number, version, is_reply) -> row, is_reply being None outside statistics."""
    index = {}
    for raw in RAWS:
        reply = raw.is_reply if raw.is_stats else None
        for version in range(raw.low, min(raw.high, 6) + 1):
            index[raw.space, raw.number, version, reply] = raw
    return index


@cache
def _kinds() -> dict[tuple[str, int], Raw]:
    """(kind, version) -> row."""
    kinds = {}
    for raw in RAWS:
        for version in range(raw.low, min(raw.high, 6) + 1):
            kinds[raw.kind, version] = raw
    return kinds


def find_raw(kind: str, version: int) -> Raw | None:
    """Returns the row of `kind` in `version`, None if that version has no such message."""
    return _kinds().get((kind, version))


def _find_versionless(header: Header) -> Raw | None:
    """Hello, error and echo are understood in any version, also in unknown ones."""
    if not header.version or header.type > 3:
        return None
    return _index().get(("OFPT", header.type, OF10, None))


def identify(data: bytes) -> tuple[Raw, Header, int]:
    """Finds what message `data` begins.

    data: at least the headers of one message.  Returns (row, header, size of all headers).
    Raises OpenFlowError as a switch would answer: OFPBRC_BAD_TYPE, OFPBRC_BAD_STAT,
    OFPBRC_BAD_VENDOR, OFPBRC_BAD_SUBTYPE or OFPBRC_BAD_LEN.
    """
    header = parse_header(data)
    version, kind, size = header.version, header.type, len(data)
    raw = _find_versionless(header)
    if raw:
        return raw, header, HEADER_SIZE

    if kind == VENDOR:
        if size < 16:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        vendor = int.from_bytes(data[8:12], "big")
        spaces = _vendor_spaces(vendor)
        subtype = int.from_bytes(data[12:16], "big")
        raw = _index().get((spaces[0], subtype, version, None))
        if raw is None:
            raise OpenFlowError(
                "OFPBRC_BAD_SUBTYPE",
                f"unknown OpenFlow message (version {version}, type {kind}, "
                f"vendor 0x{vendor:x}, subtype {subtype})")
        return raw, header, 16

    request, reply = (16, 17) if version == OF10 else (18, 19)
    if kind in (request, reply):
        stats_size = 12 if version == OF10 else 16
        if size < stats_size:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        stat = (data[8] << 8) | data[9]
        if stat != STATS_VENDOR:
            raw = _index().get(("OFPST", stat, version, kind == reply))
            if raw is None:
                if not OF10 <= version <= OF15:
                    raise _unknown_type(version, kind)
                raise OpenFlowError(
                    "OFPBRC_BAD_STAT",
                    f"unknown OpenFlow message (version {version}, type {kind}, stat {stat})")
            return raw, header, stats_size
        if size < (16 if version == OF10 else 24):
            raise OpenFlowError("OFPBRC_BAD_LEN")
        vendor = int.from_bytes(data[stats_size:stats_size + 4], "big")
        spaces = _vendor_spaces(vendor)
        if version == OF10 and vendor == ONF_VENDOR:
            raise _unknown_vendor(vendor)
        if size < 24:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        subtype = int.from_bytes(data[stats_size + 4:stats_size + 8], "big")
        raw = _index().get((spaces[1], subtype, version, kind == reply))
        if raw is None:
            raise OpenFlowError(
                "OFPBRC_BAD_SUBTYPE",
                f"unknown OpenFlow message (version {version}, type {kind}, stat {stat}, "
                f"vendor 0x{vendor:x}, subtype {subtype})")
        return raw, header, 24

    raw = _index().get(("OFPT", kind, version, None))
    if raw is None:
        raise _unknown_type(version, kind)
    return raw, header, HEADER_SIZE


def _unknown_type(version: int, kind: int) -> OpenFlowError:
    return OpenFlowError("OFPBRC_BAD_TYPE",
                         f"unknown OpenFlow message (version {version}, type {kind})")


def _vendor_spaces(vendor: int) -> tuple[str, str]:
    spaces = _VENDORS.get(vendor)
    if spaces is None:
        raise _unknown_vendor(vendor)
    return spaces


def _unknown_vendor(vendor: int) -> OpenFlowError:
    return OpenFlowError("OFPBRC_BAD_VENDOR",
                         f"OpenFlow message has unknown vendor 0x{vendor:x}")


def open_frame(data: bytes) -> Frame:
    """Identifies one whole message and checks the length of its body against the table.

    Raises OpenFlowError.  The header's own length field is the caller's business: pass exactly
    the message.
    """
    raw, header, start = identify(data)
    flags = int.from_bytes(data[10:12], "big") if raw.is_stats else 0
    extra = len(data) - start - raw.size
    if extra < 0 or (extra % raw.unit if raw.unit else extra):
        raise OpenFlowError("OFPBRC_BAD_LEN", _describe_bad_length(raw, len(data), start))
    return Frame(raw, header.version, header.xid, flags, data[start:])


def _describe_bad_length(raw: Raw, size: int, start: int) -> str:
    least = start + raw.size
    said = f"received {name_raw(raw)} with incorrect length {size}"
    if raw.unit == 0:
        return f"{said} (expected length {least})"
    if raw.unit == 1:
        return f"{said} (expected length at least {least} bytes)"
    return (f"{said} (must be exactly {least} bytes or longer by an integer multiple of "
            f"{raw.unit} bytes)")


def name_raw(raw: Raw) -> str:
    """What logs and texts call the message: the kind; for statistics with request or reply."""
    if not raw.is_stats:
        return raw.kind
    kind = raw.kind
    return (f"{kind.removesuffix('_REPLY')} reply" if raw.is_reply
            else f"{kind.removesuffix('_REQUEST')} request")


def pack(raw: Raw, version: int, xid: int, body: bytes, flags: int = 0) -> bytes:
    """Puts all headers of `raw` in front of `body`.

    flags: of statistics (1: more parts follow).  Raises ValueError if it does not fit 65535.
    """
    space = raw.space
    if space == "OFPT":
        kind, middle = raw.number, b""
    elif space in ("NXT", "ONFT"):
        kind, middle = VENDOR, _VENDOR.pack(_VENDOR_OF_SPACE[space], raw.number)
    else:
        kind = (16 if version == OF10 else 18) + raw.is_reply
        if space == "OFPST":
            middle = _STATS.pack(raw.number, flags)
            if version != OF10:
                middle += bytes(4)
        else:
            middle = _STATS.pack(STATS_VENDOR, flags)
            vendor = _VENDOR.pack(_VENDOR_OF_SPACE[space], raw.number)
            middle += vendor + bytes(4) if version == OF10 else bytes(4) + vendor
    length = HEADER_SIZE + len(middle) + len(body)
    if length > 0xFFFF:
        raise ValueError(f"{raw.name} of {length} bytes does not fit a message")
    return HEADER.pack(version, kind, length, xid) + middle + body
