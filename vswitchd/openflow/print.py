"""OpenFlow messages as text, exactly as `ovs-ofctl` shows them.

`format_message` is the door; the lines of each kind of message are in its family's module of
`vswitchd.openflow.messages`.  Used by ovs-ofctl and by the daemon's debug log.  Pure.
"""

from collections.abc import Callable

from schema.openflow.messages import OF10, OF13
from vswitchd.openflow.framing import (
    HEADER_SIZE, Header, OpenFlowError, identify, name_raw, open_frame, parse_header,
)
from vswitchd.openflow.messages import is_spoken, show_function
from vswitchd.openflow.messages.base import Style, hex_dump

_RELEASES = {2: " (OF1.1)", 3: " (OF1.2)", 4: " (OF1.3)", 5: " (OF1.4)", 6: " (OF1.5)"}


def format_message(data: bytes, verbosity: int = 0, port_names: dict[int, str] | None = None,
                   table_names: dict[int, str] | None = None,
                   warn: Callable[[str, str], None] | None = None,
                   note: Callable[[str, str], None] | None = None) -> str:
    """Returns the text of `data`, which should be one whole message but may be anything.

    verbosity: 0 and up; from 5 on the bytes are dumped too.  port_names, table_names: {number:
    name}, None to show numbers.  warn: told (log module, text) of what is wrong with it; note: of
    what is odd.
    """
    warn, note = warn or _ignore, note or _ignore
    if len(data) < HEADER_SIZE:
        if not data:
            return "OpenFlow message is empty\n"
        return (f"OpenFlow packet too short (only {len(data)} bytes):\n" + hex_dump(data))
    header = parse_header(data)
    if header.length != len(data):
        return _format_wrong_size(data, header)
    out: list[str] = []
    try:
        frame = open_frame(data)
    except OpenFlowError as error:
        log_error(error, warn)
        return f"***decode error: {error.name}***\n" + hex_dump(data)
    out.append(_title(frame.raw, header))
    style = Style(
        data, frame.version, verbosity, port_names, table_names,
        lambda inner, curiosity=verbosity: format_message(inner, curiosity, port_names,
                                                          table_names, warn, note), warn, note)
    try:
        if not is_spoken(frame.raw.kind):
            raise OpenFlowError("OFPBRC_BAD_TYPE", f"{frame.raw.kind} is not supported")
        if frame.raw.is_stats:
            _show_flags(frame, out)
        show = show_function(frame.raw.kind)
        if show is not None:
            show(frame, out, style)
    except OpenFlowError as error:
        log_error(error, warn)
        text = "".join(out)
        gap = "" if text.endswith((" ", "\n")) else " " if text == out[0] else "\n"
        return (text + gap
                + f"***decode error: {error.name}***\n" + hex_dump(data))
    text = "".join(out)
    if not text.endswith("\n"):
        text += "\n"
    if verbosity >= 5:
        text += hex_dump(data)
    return text


def _ignore(module: str, text: str) -> None:
    """Nobody wants to know."""


def log_error(error: OpenFlowError, warn: Callable[[str, str], None]) -> None:
    """Says what the error says, in the order in which Open vSwitch says it."""
    said = list(error.log)
    # What is wrong with a match is worth a debug line only, unless it says itself that it is more.
    if error.reason and error.module != "nx_match" and (error.module, error.reason) not in said:
        said.insert(0, (error.module, error.reason))
    for module, text in said:
        warn(module, text)


def _format_wrong_size(data: bytes, header: Header) -> str:
    if header.length < len(data):
        return (f"(***only uses {header.length} bytes out of {len(data)}***)\n" + hex_dump(data))
    try:
        raw, _, _ = identify(data)
        title = _title(raw, header) + "\n"
    except OpenFlowError:
        title = ""
    return (f"{title}(***truncated to {len(data)} bytes from {header.length}***)\n"
            + hex_dump(data))


def _title(raw, header: Header) -> str:
    if header.version == OF10:
        release = ""
    else:
        release = _RELEASES.get(header.version, f" (OF 0x{header.version:02x})")
    return f"{name_raw(raw)}{release} (xid=0x{header.xid:x}):"


def _show_flags(frame, out: list[str]) -> None:
    flags = frame.flags
    if flags:
        out.append(" flags=")
        if flags & 1 and (frame.raw.is_reply or frame.version >= OF13):
            out.append("[more]")
            flags &= ~1
        if flags:
            out.append(f"[***unknown flags 0x{flags:04x}***]")
