"""Tables: how they are set: modification, description, status.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
"""

import struct
from collections.abc import Iterator

from schema.openflow.messages import OF13, OF14
from vswitchd.openflow.framing import Frame, OpenFlowError
from vswitchd.openflow.messages.base import (
    NO_ERROR_NAME, Style, describe_bits, pack_property, read_properties,
)
from vswitchd.openflow.messages.table import EVICTION, MISS, VACANCY
from vswitchd.openflow.value import Value
from vswitchd.openflow.value_text import FlowTextError

_MISS_NUMBERS = {name: number for number, name in MISS.items()}
EVICTION_FLAGS = ((1, "OTHER"), (2, "IMPORTANCE"), (4, "LIFETIME"))
_NO_FLAGS = 0xFFFFFFFF


class TableDescRequest(Value):
    """OFPST_TABLE_DESC request."""


def decode_table_desc_request(frame: Frame) -> TableDescRequest:
    return TableDescRequest()


def encode_table_desc_request(value: TableDescRequest, version: int):
    return "OFPST_TABLE_DESC_REQUEST", b""


class Vacancy(Value):
    """Vacancy events: thresholds and the present vacancy, in percent."""

    down: int
    up: int
    now: int = 0


class TableMod(Value):
    """OFPT_TABLE_MOD.

    miss: key of MISS, up to 1.2.  From 1.4 on: eviction and vacancy, off if False or None;
    eviction_flags as on the wire or None; vacancy False: off.
    """

    table: int
    miss: int | None = None
    eviction: bool | None = None
    eviction_flags: int | None = None
    vacancy: "Vacancy | bool | None" = None


class TableDesc(Value):
    """Configuration of one table."""

    table: int
    eviction: bool = False
    eviction_flags: int | None = None
    vacancy: Vacancy | None = None


class TableDescReply(Value):
    """OFPST_TABLE_DESC reply."""

    tables: tuple[TableDesc, ...]


class TableStatus(Value):
    """OFPT_TABLE_STATUS.  reason: 3 vacancy down, 4 vacancy up."""

    reason: int
    desc: TableDesc


def _read_table_properties(data: bytes, config: int, modify: bool):
    """(eviction flags, vacancy).  modify: they are for a switch, which checks them."""
    flags, vacancy = None, Vacancy(0, 0, 0) if config & VACANCY else None
    for prop in read_properties(data, 8):
        if len(prop.body) != 4 and prop.type in (2, 3):
            raise OpenFlowError("OFPBPC_BAD_LEN")
        if prop.type == 2:
            flags = int.from_bytes(prop.body, "big")
            flags = None if flags == _NO_FLAGS and not modify else flags
        elif prop.type == 3:
            down, up, now = prop.body[0], prop.body[1], prop.body[2]
            if modify and now:
                raise OpenFlowError("OFPBPC_BAD_VALUE",
                                    "Vacancy value should be zero for table-mod messages",
                                    "ofp_table")
            if modify:
                if down > up:
                    raise OpenFlowError("OFPBPC_BAD_VALUE",
                                        "Value of vacancy_down is greater than vacancy_up",
                                        "ofp_table")
                if down > 100 or up > 100 or now > 100:
                    raise OpenFlowError("OFPBPC_BAD_VALUE",
                                        "Vacancy threshold percentage should not be greater than "
                                        "100", "ofp_table")
            if config & VACANCY:
                vacancy = Vacancy(down, up, now)
        elif modify:
            raise OpenFlowError("OFPBRC_BAD_TYPE")
    return flags, vacancy


def decode_table_mod(frame: Frame) -> TableMod:
    table, config = struct.unpack_from("!B3xI", frame.body)
    if frame.version >= OF14:
        flags, vacancy = _read_table_properties(frame.body[8:], config, True)
        return TableMod(table, None, bool(config & EVICTION), flags, vacancy or False)
    if frame.version == OF13:
        return TableMod(table)
    return TableMod(table, config & 3)


def encode_table_mod(value: TableMod, version: int):
    if version < OF14:
        return "OFPT_TABLE_MOD", struct.pack("!B3xI", value.table, value.miss or 0)
    config = EVICTION if value.eviction else 0
    props = b""
    if value.eviction_flags is not None:
        props += pack_property(2, struct.pack("!I", value.eviction_flags))
    if value.vacancy:
        config |= VACANCY
        props += pack_property(3, bytes([value.vacancy.down, value.vacancy.up, 0, 0]))
    return "OFPT_TABLE_MOD", struct.pack("!B3xI", value.table, config) + props


def parse_table_mod(table: int, text: str) -> tuple[TableMod, frozenset[int]]:
    """What a setting of `mod-table` means, and the versions that can say it.

    Raises FlowTextError.
    """
    if text in _MISS_NUMBERS:
        return TableMod(table, _MISS_NUMBERS[text]), frozenset((2, 3))
    newer = frozenset((5, 6))
    if text in ("evict", "noevict"):
        return TableMod(table, eviction=text == "evict"), newer
    if text == "novacancy":
        return TableMod(table, vacancy=False), newer
    name, _, limits = text.partition(":")
    if name not in ("", "vacancy"):
        raise FlowTextError(f"invalid table_mod setting {text}")
    down, up, *_ = [*filter(None, limits.split(",")), "", ""]
    vacancy = Vacancy(_parse_percentage(down, "down"), _parse_percentage(up, "up"))
    if vacancy.up < vacancy.down:
        raise FlowTextError("Invalid vacancy range, vacancy up should be greater than vacancy "
                            "down (OFPBPC_BAD_VALUE)")
    return TableMod(table, vacancy=vacancy), newer


def _parse_percentage(text: str, which: str) -> int:
    if not text:
        raise FlowTextError(f"Vacancy {which} value missing")
    if not text.isdecimal() or int(text) > 100:
        raise FlowTextError(f'Invalid vacancy {which} value "{text}"')
    return int(text)


def _describe_eviction_flags(flags: int) -> str:
    return describe_bits(flags, EVICTION_FLAGS, "|")


def show_table_mod(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_table_mod(frame)
    if value.table == 255:
        out.append(" table_id: ALL_TABLES")
    else:
        out.append(f" table_id={style.table(value.table)}")
    if value.miss is not None:
        if value.miss == 3:
            style.warn("ofp_table", "bad table miss config 3")
        out.append(f", flow_miss_config={MISS.get(value.miss, 'controller')}")
    if frame.version < OF14:
        return
    # The reference shows eviction flags as if they were its setting: 1 on, 2 off, 0 not told.
    setting = value.eviction_flags
    if setting is None:
        setting = 1 if value.eviction else 2
    if setting:
        out.append(f", eviction={ {1: 'on', 2: 'off'}.get(setting, '***error***')}")
    if value.vacancy:
        out.append(f", vacancy=on vacancy:{value.vacancy.down},{value.vacancy.up}")
    else:
        out.append(", vacancy=off")


def _decode_desc(data: bytes, offset: int) -> tuple[TableDesc, int]:
    if len(data) - offset < 8:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    size, table, config = struct.unpack_from("!HBxI", data, offset)
    if size < 8 or size > len(data) - offset:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    flags, vacancy = _read_table_properties(data[offset + 8:offset + size], config, False)
    return TableDesc(table, bool(config & EVICTION), flags, vacancy), size


def iterate_table_descs(frame: Frame) -> Iterator[TableDesc]:
    """Yields each table of a description reply."""
    offset = 0
    while offset < len(frame.body):
        desc, size = _decode_desc(frame.body, offset)
        yield desc
        offset += size


def decode_table_desc_reply(frame: Frame) -> TableDescReply:
    return TableDescReply(tuple(iterate_table_descs(frame)))


def _encode_desc(desc: TableDesc) -> bytes:
    config = EVICTION if desc.eviction else 0
    props = b""
    if desc.eviction_flags is not None:
        props += pack_property(2, struct.pack("!I", desc.eviction_flags))
    if desc.vacancy is not None:
        config |= VACANCY
        props += pack_property(3, bytes([desc.vacancy.down, desc.vacancy.up, desc.vacancy.now, 0]))
    return struct.pack("!HBxI", 8 + len(props), desc.table, config) + props


def encode_table_desc_reply(value: TableDescReply, version: int):
    return "OFPST_TABLE_DESC_REPLY", [_encode_desc(desc) for desc in value.tables]


def _describe_desc(desc: TableDesc, style: Style) -> str:
    flags = desc.eviction_flags
    text = (f"\n  table {style.table(desc.table)}:\n"
            f"   eviction={'on' if desc.eviction else 'off'} eviction_flags="
            + ("(default)" if flags is None else _describe_eviction_flags(flags)) + "\n")
    if desc.vacancy is None:
        return text + "   vacancy=off\n"
    v = desc.vacancy
    return text + (f"   vacancy=on vacancy_down={v.down}% vacancy_up={v.up}% "
                   f"vacancy={v.now}%\n")


def show_table_desc_reply(frame: Frame, out: list[str], style: Style) -> None:
    for desc in iterate_table_descs(frame):
        out.append(_describe_desc(desc, style))


_STATUS_REASONS = {3: "VACANCY_DOWN", 4: "VACANCY_UP"}


def decode_table_status(frame: Frame) -> TableStatus:
    reason = frame.body[0]
    if reason not in _STATUS_REASONS:
        raise OpenFlowError("OFPBPC_BAD_VALUE")
    if len(frame.body) == 8:
        raise OpenFlowError(NO_ERROR_NAME)
    desc, _ = _decode_desc(frame.body, 8)
    return TableStatus(reason, desc)


def encode_table_status(value: TableStatus, version: int):
    return "OFPT_TABLE_STATUS", struct.pack("!B7x", value.reason) + _encode_desc(value.desc)


def show_table_status(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_table_status(frame)
    out.append(f" reason={_STATUS_REASONS[value.reason]}\ntable_desc:-"
               + _describe_desc(value.desc, style))
