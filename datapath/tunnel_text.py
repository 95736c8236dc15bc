"""Text of tunnel(...): the key of frames that came out of a tunnel, and what set(tunnel()) writes.

`PARTS` are the fields in the order in which they are written, `NESTED` those in parentheses of
their own. Options of Geneve that no TLV map gave a place to are kept as they are on the wire:
`RAW` is set in tun_flags, tun_metadata holds the options one after the other and
tun_metadata_present says how many bytes they are; a mask has the same layout.

`text.py` and `action_text.py` call this. Source: facts of ovs-dpctl(8), RFC 8926. Pure Python; any
thread.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from datapath.part import (DEC, HEX, HEX_0X, IP, IP6, Part, Values, hash_x, parse_int)
from schema.flow.fields import TUN_FLAG_BITS

KEY_FLAG = TUN_FLAG_BITS["key"]
ALL_FLAGS = sum(TUN_FLAG_BITS.values())
RAW = 0x10                      # of tun_flags
_METADATA_BITS = 2048
_MAX_OPTION = 124               # bytes of data

_TUN_ID = Part("tun_id", "tun_id", HEX_0X)
_TTL = Part("ttl", "tun_ttl", DEC)
PARTS: tuple[Part, ...] = (
    _TUN_ID, Part("src", "tun_src", IP), Part("dst", "tun_dst", IP),
    Part("ipv6_src", "tun_ipv6_src", IP6), Part("ipv6_dst", "tun_ipv6_dst", IP6),
    Part("tos", "tun_tos", HEX), _TTL, Part("tp_src", "tun_tp_src", DEC),
    Part("tp_dst", "tun_tp_dst", DEC))
_VERSION = Part("ver", "tun_erspan_ver", DEC)
_INDEX = Part("idx", "tun_erspan_idx", HEX)
_DIRECTION = Part("dir", "tun_erspan_dir", DEC)
_HARDWARE = Part("hwid", "tun_erspan_hwid", HEX)
_GBP = (Part("id", "tun_gbp_id", DEC), Part("flags", "tun_gbp_flags", HEX))
_ERSPAN = (_VERSION, _INDEX, _DIRECTION, _HARDWARE)
_GTPU = (Part("flags", "tun_gtpu_flags", HEX), Part("msgtype", "tun_gtpu_msgtype", DEC))
NESTED: dict[str, tuple[Part, ...]] = {"gbp": _GBP, "erspan": _ERSPAN, "gtpu": _GTPU}
MEMBERS = frozenset(
    [part.member for part in (*PARTS, *_GBP, *_ERSPAN, *_GTPU)]
    + ["tun_flags", "tun_metadata", "tun_metadata_present"])


class Option(NamedTuple):
    """A Geneve option; `data` has 0 to 124 bytes, a multiple of 4."""

    option_class: int
    type: int
    data: bytes

    def pack(self) -> bytes:
        """As on the wire."""
        return (self.option_class.to_bytes(2, "big") + bytes((self.type, len(self.data) // 4))
                + self.data)


# ---- options

def unpack_options(data: bytes) -> list[Option]:
    """The options in `data`; what is cut off is left out."""
    found, at = [], 0
    while at + 4 <= len(data):
        end = at + 4 + 4 * (data[at + 3] & 0x1f)
        if end > len(data):
            break
        found.append(Option(int.from_bytes(data[at:at + 2], "big"), data[at + 2], data[at + 4:end]))
        at = end
    return found


def format_option(option: Option, mask: Option | None = None) -> str:
    """"{class=0xffff,type=0x80,len=4,0xa}"."""
    def number(value: int, bits: int, full: int) -> str:
        return hash_x(value) + ("" if bits == full else "/" + hash_x(bits))

    kind = number(option.option_class, mask.option_class if mask else 0xffff, 0xffff)
    text = f"class={kind},type={number(option.type, mask.type if mask else 0xff, 0xff)},"
    text += f"len={len(option.data)}"
    if option.data:
        bits = int.from_bytes(mask.data, "big") if mask else -1
        full = (1 << 8 * len(option.data)) - 1
        text += "," + number(int.from_bytes(option.data, "big"), bits if mask else full, full)
    return f"{{{text}}}"


_OPTION = re.compile(r"\s*\{\s*class=([^,/}]+)(?:/([^,}]+))?,\s*type=([^,/}]+)(?:/([^,}]+))?,"
                     r"\s*len=(\d+)(?:,\s*([^/}]+)(?:/([^}]+))?)?\s*\}")


def parse_options(body: str) -> tuple[list[Option], list[Option]]:
    """(options, their masks) of "{...}{...}". Raises ValueError."""
    options, masks, at = [], [], 0
    while body[at:].strip(", "):
        match = _OPTION.match(body, at)
        if not match:
            raise ValueError(body[at:])
        option_class, class_mask, kind, kind_mask, size, data, data_mask = match.groups()
        length = int(size)
        if length % 4 or length > _MAX_OPTION:
            raise ValueError(size)
        value = parse_int(data) if data else 0
        bits = parse_int(data_mask) if data_mask else (1 << 8 * length) - 1
        options.append(Option(parse_int(option_class), parse_int(kind),
                              value.to_bytes(length, "big")))
        masks.append(Option(parse_int(class_mask or "0xffff"), parse_int(kind_mask or "0xff"),
                            bits.to_bytes(length, "big")))
        at = match.end()
    return options, masks


def _put_options(values: Values, options: list[Option]) -> None:
    data = b"".join(option.pack() for option in options)
    if len(data) > _METADATA_BITS // 8:
        raise ValueError("options")
    values["tun_flags"] = values.get("tun_flags", 0) | RAW
    values["tun_metadata"] = int.from_bytes(data.ljust(_METADATA_BITS // 8, b"\0"), "big")
    values["tun_metadata_present"] = len(data)


def _get_options(key: Mapping[str, int], mask: Mapping[str, int] | None
                 ) -> tuple[list[Option], list[Option | None]]:
    size = key.get("tun_metadata_present", 0)
    data = key.get("tun_metadata", 0).to_bytes(_METADATA_BITS // 8, "big")
    options = unpack_options(data[:size])
    if mask is None:
        return options, [None] * len(options)
    bits, at, masks = mask.get("tun_metadata", 0).to_bytes(_METADATA_BITS // 8, "big"), 0, []
    for option in options:                  # The lengths are the key's.
        end = at + 4 + len(option.data)
        masks.append(Option(int.from_bytes(bits[at:at + 2], "big"), bits[at + 2],
                            bits[at + 4:end]))
        at = end
    return options, masks


# ---- the attribute

def format_flags(bits: int, mask: int | None, full: int, names: Mapping[str, int]) -> str:
    """Flags: a|b where exact, +a-b where masked."""
    if mask is None or mask & full == full:
        text = "|".join(name for name, bit in names.items() if bits & bit)
        return text or "0"
    return "".join(("+" if bits & bit else "-") + name for name, bit in names.items() if mask & bit)


def parse_flags(text: str, names: Mapping[str, int], full: int) -> tuple[int, int]:
    """Flags as (value, mask): a|b, +a-b, 0xV or 0xV/0xM. Raises ValueError, KeyError."""
    text = text.strip()
    if re.fullmatch(r"(0x[0-9a-fA-F]+|\d+)(/(0x[0-9a-fA-F]+|\d+))?", text):
        value, slash, bits = text.partition("/")
        return parse_int(value), parse_int(bits) if slash else full
    if text[:1] in "+-" and text:
        value = mask = 0
        for sign, name in re.findall(r"([+-])([^+-]+)", text):
            mask |= names[name]
            value |= names[name] if sign == "+" else 0
        return value, mask
    value = 0
    for name in filter(None, text.split("|")):
        value |= names[name.strip()]
    return value, full


def is_tunneled(key: Mapping[str, int]) -> bool:
    """Whether a flow has the attribute."""
    return any(key.get(name) for name in ("tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst"))


def _is_there(part: Part, key: Mapping[str, int]) -> bool:
    if part is _TUN_ID:
        return bool(key.get("tun_id") or key.get("tun_flags", 0) & KEY_FLAG)
    return part is _TTL or bool(part.get(key))


def _format_parts(parts: tuple[Part, ...], key: Mapping[str, int],
                  mask: Mapping[str, int] | None, verbose: bool) -> str:
    return ",".join(filter(None, (part.format(key, mask, verbose) for part in parts)))


def format_tunnel(key: Mapping[str, int], mask: Mapping[str, int] | None = None,
                  verbose: bool = False) -> str:
    """"tunnel(...)"; "" where nothing of it is matched and `verbose` does not ask for it."""
    words = [_format_parts(tuple(part for part in PARTS if _is_there(part, key)), key, mask,
                           verbose)]
    if any(part.get(key) for part in _GBP):
        words.append(_wrap("vxlan(gbp({}))", _format_parts(_GBP, key, mask, verbose)))
    if key.get("tun_flags", 0) & RAW and (
            mask is None or mask.get("tun_flags", 0) & RAW or verbose):
        options = zip(*_get_options(key, mask))
        words.append(f"geneve({''.join(format_option(*pair) for pair in options)})")
    if version := key.get("tun_erspan_ver"):
        parts = (_VERSION, *((_INDEX,) if version == 1 else (_DIRECTION, _HARDWARE)))
        words.append(_wrap("erspan({})", _format_parts(parts, key, mask, verbose)))
    if any(part.get(key) for part in _GTPU):
        words.append(_wrap("gtpu({})", _format_parts(_GTPU, key, mask, verbose)))
    flags = key.get("tun_flags", 0) & ALL_FLAGS
    if key.get("tun_id"):
        flags |= KEY_FLAG
    care = None if mask is None else mask.get("tun_flags", 0) & ALL_FLAGS
    if care or (care is None or verbose) and flags:
        words.append(f"flags({format_flags(flags, care, ALL_FLAGS, TUN_FLAG_BITS)})")
    text = ",".join(filter(None, words))
    return f"tunnel({text})" if text or verbose or mask is None else ""


def _wrap(form: str, text: str) -> str:
    return form.format(text) if text else ""


_ATTRIBUTE = re.compile(r"\s*(\w+)(?:\(|=([^,()]*))")


def parse_tunnel(body: str, key: Values, mask: Values,
                 read: Callable[[Part, str, Values, Values], None]) -> None:
    """Puts what is between the parentheses into `key` and `mask`; `read` reads one "value/mask".

    Raises ValueError, KeyError.
    """
    by_key = {part.key: part for part in PARTS}
    at = 0
    while body[at:].strip(", "):
        match = _ATTRIBUTE.match(body, at)
        if not match:
            raise ValueError(body[at:])
        name, value = match.groups()
        at = match.end()
        if value is None:
            close = _closing(body, at)
            _parse_nested(name, body[at:close], key, mask, read)
            at = close + 1
        else:
            read(by_key[name], value, key, mask)
            if name == "tun_id":
                key["tun_flags"] = key.get("tun_flags", 0) | KEY_FLAG
                mask["tun_flags"] = mask.get("tun_flags", 0) | KEY_FLAG
        rest = body[at:].lstrip()
        if rest and not rest.startswith(","):
            raise ValueError(rest)
        at = len(body) - len(rest) + (1 if rest else 0)


def _closing(body: str, at: int) -> int:
    depth = 1
    for index in range(at, len(body)):
        depth += {"(": 1, ")": -1}.get(body[index], 0)
        if not depth:
            return index
    raise ValueError(body[at:])


def _parse_nested(name: str, inner: str, key: Values, mask: Values,
                  read: Callable[[Part, str, Values, Values], None]) -> None:
    if name == "flags":
        value, bits = parse_flags(inner, TUN_FLAG_BITS, ALL_FLAGS)
        key["tun_flags"] = key.get("tun_flags", 0) | value
        mask["tun_flags"] = mask.get("tun_flags", 0) | bits
        return
    if name == "geneve":
        options, masks = parse_options(inner)
        _put_options(key, options)
        _put_options(mask, masks)
        mask["tun_metadata_present"] = (1 << 64) - 1
        return
    if name == "vxlan":
        match = re.fullmatch(r"\s*gbp\((.*)\)\s*", inner)
        if not match:
            raise ValueError(inner)
        name, inner = "gbp", match[1]
    parts = {part.key: part for part in NESTED[name]}
    for word in inner.split(","):
        if word.strip():
            field, _, value = word.strip().partition("=")
            read(parts[field], value, key, mask)
    if name == "erspan" and key.get("tun_erspan_ver") not in (1, 2):
        raise ValueError(inner)
