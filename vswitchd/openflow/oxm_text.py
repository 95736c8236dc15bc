"""The text of raw NXM and OXM: 'NXM_OF_ETH_TYPE(0800), NXM_NX_REG0_W(00000001/0000000f)'.

format_oxm(data) shows TLVs as they are, without judging them; parse_oxm(text) makes them from text,
without checking that they suit each other. ovs-ofctl's parse-nxm and parse-oxm and its most verbose
printing use them. Any thread.
"""

import re
import struct

from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import BY_CODE, BY_OXM_NAME, COOKIE_CODE
from vswitchd.openflow.oxm import pull_header
from vswitchd.openflow.value_text import FlowTextError

_COOKIE = "NXM_NX_COOKIE"
_PAIR = re.compile(r"[0-9a-fA-F]{2}")
_NAMES = {(code.oxm_class << 7 | code.field, code.experimenter): code.name
          for info in BY_CODE.values() for code in info.codes}


def format_oxm(data: bytes) -> str:
    """TLVs as text, '<any>' if there are none; what cannot be read ends it with '<error: ...>'."""
    if not data:
        return "<any>"
    out = []
    at, end = 0, len(data)
    while at < end:
        try:
            info, code, length, masked, start = pull_header(data, at, end)
        except OpenFlowError as error:
            out.append(f"<error: {error.name}>")
            break
        if start + length > end:
            out.append("<error: OFPBMC_BAD_LEN>")
            break
        half = start + (length // 2 if masked else length)
        text = f"{_name(data, at, code, length, masked)}({data[start:half].hex()}"
        if masked:
            text += f"/{data[half:start + length].hex()}"
        out.append(text + ")")
        at = start + length
    return ", ".join(out)


def _name(data: bytes, at: int, code: int, length: int, masked: bool) -> str:
    vendor = struct.unpack_from("!I", data, at + 4)[0] if code >> 7 == 0xffff else 0
    if code == COOKIE_CODE and length == (16 if masked else 8):
        name = _COOKIE
    else:
        name = _NAMES.get((code, vendor))
    if name is None:
        shown = f"{vendor:#x}:" if vendor else ""
        return f"{shown}{code >> 7}:{code & 0x7f}"
    return f"{name}_W" if masked else name


def parse_oxm(text: str) -> bytes:
    """TLVs from text. Raises FlowTextError with ovs-ofctl's sentence."""
    if text.strip(" ,") == "<any>":
        return b""
    out = []
    rest = text.lstrip(" ,")
    while rest:
        name, parenthesis, tail = rest.partition("(")
        if not parenthesis:
            raise FlowTextError(f"{text}: missing ( at end of nx_match")
        head, size, masked, variable = _header(text, name)
        value, tail = _value(tail)
        if not variable and len(value) != size:
            raise FlowTextError(f"expected to read {size} bytes but got {len(value)}")
        mask = b""
        if masked:
            tail = tail.lstrip()
            if not tail.startswith("/"):
                raise FlowTextError(f"{text}: missing / in masked field {name}")
            mask, tail = _mask(tail[1:], len(value))
        tail = tail.lstrip()
        if not tail.startswith(")"):
            raise FlowTextError(f"{text}: missing ) following field {name}")
        length = len(head) - 4 + len(value) + len(mask)
        out.append(head[:3] + bytes([length & 0xff]) + head[4:] + value + mask)
        rest = tail[1:].lstrip(" ,")
    return b"".join(out)


def _header(text: str, name: str) -> tuple[bytes, int, bool, bool]:
    """Header of a named field: (bytes with any length, size of value, has a mask, any size)."""
    plain = name.removesuffix("_W")
    masked = plain != name
    if plain == _COOKIE:
        return struct.pack("!HBB", 0x0001, 30 << 1 | masked, 0), 8, masked, False
    info = BY_OXM_NAME.get(plain)
    if info is not None:
        code = next(code for code in info.codes if code.name == plain)
        head = struct.pack("!HBB", code.oxm_class, code.field << 1 | masked, 0)
        if code.experimenter:
            head += struct.pack("!I", code.experimenter)
        return head, info.size, masked, info.variable
    if re.fullmatch(r"[0-9a-fA-F]{8}", name) and int(name, 16):
        head = bytes.fromhex(name)
        masked = bool(head[2] & 1)
        return head, head[3] // 2 if masked else head[3], masked, False
    raise FlowTextError(f"{text}: unknown field `{name}'")


def _value(text: str) -> tuple[bytes, str]:
    """Reads pairs of digits with blanks between them: (bytes, what is left)."""
    out = bytearray()
    while _PAIR.match(text := text.lstrip(" \t")):
        out.append(int(text[:2], 16))
        text = text[2:]
    return bytes(out), text


def _mask(text: str, size: int) -> tuple[bytes, str]:
    """Reads `size` bytes in the same way."""
    out = bytearray()
    for _ in range(size):
        text = text.lstrip(" \t")
        if not _PAIR.match(text):
            raise FlowTextError(f"{text[:2]}: hex digits expected")
        out.append(int(text[:2], 16))
        text = text[2:]
    return bytes(out), text
