"""Messages about the connection itself: hello, error, echo, features, configuration, barrier,
roles, asynchronous message masks, and the Nicira knobs.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
Source: OpenFlow 1.0-1.5 and the Nicira extensions.
"""

import struct

from schema.openflow.errors import ERRORS
from schema.openflow.messages import NICIRA_VENDOR, OF10, OF12, OF13, OF14, ONF_VENDOR
from vswitchd.openflow.framing import Frame, OpenFlowError, find_raw
from vswitchd.openflow.messages.base import (
    Property, Style, hash_hex, hex_dump, pack_properties, read_properties, unknown_property,
)
from vswitchd.openflow.messages.port import Port, decode_ports, encode_port, show_ports
from vswitchd.openflow.value import Value

# Hello.


class Hello(Value):
    """OFPT_HELLO.  versions: version bytes that the sender speaks; whole: nothing else in it."""

    versions: frozenset[int]
    whole: bool = True


def decode_hello(frame: Frame) -> Hello:
    """The bitmap if there is one, else every version up to that of the header."""
    body, offset, whole, versions = frame.body, 0, True, None
    while offset < len(body):
        if len(body) - offset < 4:
            whole = False
            break
        kind, size = struct.unpack_from("!HH", body, offset)
        if size < 4 or (size + 7) & ~7 > len(body) - offset:
            whole = False
            break
        if kind == 1:
            bitmap = _decode_bitmap(body[offset + 4:offset + size])
            if bitmap is None:
                whole = False
            else:
                versions = bitmap
        else:
            whole = False
        offset += (size + 7) & ~7
    if not versions:
        versions = frozenset(range(1, min(frame.version, 31) + 1))
    return Hello(versions, whole)


def _decode_bitmap(data: bytes) -> frozenset[int] | None:
    if len(data) < 4 or len(data) % 4:
        return None
    bits = int.from_bytes(data[:4], "big") & ~1
    if not bits:
        return None
    return frozenset(n for n in range(1, 32) if bits >> n & 1)


def encode_hello(value: Hello, version: int):
    """A bitmap is said only if the versions do not simply run from 1 up to the header's."""
    versions = value.versions
    if versions == frozenset(range(1, version + 1)):
        return "OFPT_HELLO", b""
    return "OFPT_HELLO", struct.pack("!HHI", 1, 8, sum(1 << n for n in versions))


def show_hello(frame: Frame, out: list[str], style: Style) -> None:
    hello = decode_hello(frame)
    out.append("\n version bitmap: "
               + ", ".join(f"0x{n:02x}" for n in sorted(hello.versions)) + "\n")
    if not hello.whole:
        out.append(" unknown data in hello:\n")
        out.append(hex_dump(style.data))


# Errors.


class Error(Value):
    """OFPT_ERROR.  name: row of the error table, '' if unknown; data: the offending bytes."""

    name: str
    data: bytes = b""
    vendor: int = 0
    type: int = 0
    code: int = 0


_VENDOR_IDS = {"OF": 0, "NX": NICIRA_VENDOR, "ONF": ONF_VENDOR}
_NX_VENDOR_ERROR = 0xB0C2
_EXPERIMENTER = 0xFFFF


def find_error(version: int, vendor: int, kind: int, code: int | None) -> str:
    """Returns the name of the error with these code points, '' if there is none.

    Where two errors share a code point, as OpenFlow 1.0 has it, the general one wins.
    """
    for error in ERRORS:
        for point in error.codes:
            if (point.low <= version <= point.high and _VENDOR_IDS[point.vendor] == vendor
                    and point.type == kind and point.code == code):
                return error.name
    return ""


def _find_code(name: str, version: int):
    for error in ERRORS:
        if error.name == name:
            for point in error.codes:
                if point.low <= version <= point.high:
                    return point
    return None


def has_code(name: str, version: int) -> bool:
    """Whether the error `name` can be said in `version`."""
    return _find_code(name, version) is not None


def decode_error(frame: Frame) -> Error:
    body, version = frame.body, frame.version
    kind, code = struct.unpack_from("!HH", body)
    payload = body[4:]
    vendor, number = 0, code
    if kind == _NX_VENDOR_ERROR and code == 0:
        if len(payload) < 8:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        vendor, kind, number = struct.unpack_from("!IHH", payload)
        payload = payload[8:]
        name = find_error(version, vendor, kind, number)
    elif kind == _EXPERIMENTER:
        if len(payload) < 4:
            raise OpenFlowError("OFPBRC_BAD_LEN")
        vendor, kind = int.from_bytes(payload[:4], "big"), code
        payload = payload[4:]
        name, number = find_error(version, vendor, kind, None if vendor else 0), 0
    else:
        name = find_error(version, 0, kind, code)
    return Error(name, payload, vendor, kind, number)


def encode_error(value: Error, version: int):
    point = _find_code(value.name, version)
    if point is None and value.name:
        point = _find_code("NXBRC_UNENCODABLE_ERROR", version)
    if point is None:
        vendor, kind, code = value.vendor, value.type, value.code
    else:
        vendor, kind, code = _VENDOR_IDS[point.vendor], point.type, point.code
    if vendor == 0:
        head = struct.pack("!HH", kind, code)
    elif code is None or (point is None and version >= OF12):
        head = struct.pack("!HHI", _EXPERIMENTER, kind, vendor)
    else:
        head = struct.pack("!HHIHH", _NX_VENDOR_ERROR, 0, vendor, kind, code)
    return "OFPT_ERROR", head + value.data


def show_error(frame: Frame, out: list[str], style: Style) -> None:
    error = decode_error(frame)
    if not error.name:
        raise OpenFlowError("OFPBRC_BAD_LEN")
    out.append(f" {error.name}\n")
    if error.name.startswith("OFPHFC_"):
        if error.data:
            out.append(_printable(error.data).rstrip(" ") + "\n")
    else:
        out.append(style.nested(error.data, 1))


def _printable(data: bytes) -> str:
    return "".join(chr(c) if 0x20 <= c < 0x7F and c not in (0x22, 0x5C) else f"\\{c:03o}"
                   for c in data)


# Echo and barrier.


class EchoRequest(Value):
    """OFPT_ECHO_REQUEST; the reply returns the same data."""

    data: bytes = b""


class EchoReply(Value):
    """OFPT_ECHO_REPLY."""

    data: bytes = b""


def decode_echo_request(frame: Frame) -> EchoRequest:
    return EchoRequest(frame.body)


def decode_echo_reply(frame: Frame) -> EchoReply:
    return EchoReply(frame.body)


def encode_echo_request(value: EchoRequest, version: int):
    return "OFPT_ECHO_REQUEST", value.data


def encode_echo_reply(value: EchoReply, version: int):
    return "OFPT_ECHO_REPLY", value.data


def show_echo(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" {len(frame.body)} bytes of payload\n")
    if style.verbosity > 1:
        out.append(hex_dump(frame.body))


class BarrierRequest(Value):
    """OFPT_BARRIER_REQUEST."""


class BarrierReply(Value):
    """OFPT_BARRIER_REPLY."""


class FeaturesRequest(Value):
    """OFPT_FEATURES_REQUEST."""


class GetConfigRequest(Value):
    """OFPT_GET_CONFIG_REQUEST."""


class GetAsyncRequest(Value):
    """OFPT_GET_ASYNC_REQUEST."""


class FlowAge(Value):
    """NXT_FLOW_AGE, obsolete and without effect."""


def decode_barrier_request(frame: Frame) -> BarrierRequest:
    return BarrierRequest()


def decode_barrier_reply(frame: Frame) -> BarrierReply:
    return BarrierReply()


def decode_features_request(frame: Frame) -> FeaturesRequest:
    return FeaturesRequest()


def decode_get_config_request(frame: Frame) -> GetConfigRequest:
    return GetConfigRequest()


def decode_get_async_request(frame: Frame) -> GetAsyncRequest:
    return GetAsyncRequest()


def decode_flow_age(frame: Frame) -> FlowAge:
    return FlowAge()


def encode_barrier_request(value: BarrierRequest, version: int):
    return "OFPT_BARRIER_REQUEST", b""


def encode_barrier_reply(value: BarrierReply, version: int):
    return "OFPT_BARRIER_REPLY", b""


def encode_features_request(value: FeaturesRequest, version: int):
    return "OFPT_FEATURES_REQUEST", b""


def encode_get_config_request(value: GetConfigRequest, version: int):
    return "OFPT_GET_CONFIG_REQUEST", b""


def encode_get_async_request(value: GetAsyncRequest, version: int):
    return "OFPT_GET_ASYNC_REQUEST", b""


def encode_flow_age(value: FlowAge, version: int):
    return "NXT_FLOW_AGE", b""


# Features.

CAPABILITIES = (
    ("FLOW_STATS", 0x1, 1, 6), ("TABLE_STATS", 0x2, 1, 6), ("PORT_STATS", 0x4, 1, 6),
    ("STP", 0x8, 1, 1), ("GROUP_STATS", 0x8, 2, 6), ("IP_REASM", 0x20, 1, 6),
    ("QUEUE_STATS", 0x40, 1, 6), ("ARP_MATCH_IP", 0x80, 1, 2), ("PORT_BLOCKED", 0x100, 3, 6),
    ("BUNDLES", 0x200, 5, 6), ("FLOW_MONITORING", 0x400, 5, 6),
)
"""(name, bit, first and last version that has it), in the order of the text."""

FEATURE_ACTIONS = (
    "output", "set_vlan_vid", "set_vlan_pcp", "strip_vlan", "mod_dl_src", "mod_dl_dst",
    "mod_nw_src", "mod_nw_dst", "mod_nw_tos", "mod_tp_src", "mod_tp_dst", "enqueue",
)
"""OpenFlow 1.0 action names by bit of the features reply."""

ACTIONS_SHOWN = ("output", "enqueue") + FEATURE_ACTIONS[1:11]


class FeaturesReply(Value):
    """OFPT_FEATURES_REPLY.  actions and ports exist in OpenFlow 1.0, ports up to 1.2."""

    datapath_id: int
    n_buffers: int = 0
    n_tables: int = 254
    auxiliary_id: int = 0
    capabilities: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    ports: tuple[Port, ...] = ()


def decode_features_reply(frame: Frame) -> FeaturesReply:
    ports = decode_ports(frame.body[24:], frame.version) if frame.version < OF13 else ()
    return _decode_features(frame).replace(ports=ports)


def _decode_features(frame: Frame) -> FeaturesReply:
    dpid, buffers, tables, aux, capabilities, actions = struct.unpack_from(
        "!QIBB2xII", frame.body)
    version = frame.version
    if version < OF13:
        aux = 0
    names = frozenset(name for name, bit, low, high in CAPABILITIES
                      if low <= version <= high and capabilities & bit)
    done = frozenset()
    if version == OF10:
        done = frozenset(n for i, n in enumerate(FEATURE_ACTIONS) if actions >> i & 1)
    return FeaturesReply(dpid, buffers, tables, aux, names, done)


def encode_features_reply(value: FeaturesReply, version: int):
    capabilities = sum(bit for name, bit, low, high in CAPABILITIES
                       if low <= version <= high and name in value.capabilities)
    actions = 0
    if version == OF10:
        actions = sum(1 << i for i, n in enumerate(FEATURE_ACTIONS) if n in value.actions)
    aux = value.auxiliary_id if version >= OF13 else 0
    body = struct.pack("!QIBB2xII", value.datapath_id, value.n_buffers, value.n_tables, aux,
                       capabilities, actions)
    if version < OF13:
        body += b"".join(encode_port(port, version) for port in value.ports)
    return "OFPT_FEATURES_REPLY", body


def show_features_reply(frame: Frame, out: list[str], style: Style) -> None:
    value = _decode_features(frame)
    out.append(f" dpid:{value.datapath_id:016x}\n")
    out.append(f"n_tables:{value.n_tables}, n_buffers:{value.n_buffers}")
    if value.auxiliary_id:
        out.append(f", auxiliary_id:{value.auxiliary_id}")
    out.append("\ncapabilities: ")
    out.append(" ".join(row[0] for row in CAPABILITIES if row[0] in value.capabilities) or "0")
    out.append("\n")
    if frame.version == OF10:
        actions = " ".join(n for n in ACTIONS_SHOWN if n in value.actions)
        if actions:
            out.append(f"actions: {actions}\n")
    if frame.version < OF13:
        show_ports(frame.body[24:], frame.version, out)


# Configuration.

FRAGMENTS = {0: "normal", 1: "drop", 2: "reassemble", 3: "nx-match"}


class GetConfigReply(Value):
    """OFPT_GET_CONFIG_REPLY.  fragments: a key of FRAGMENTS; invalid_ttl: packet-ins wanted."""

    fragments: int = 0
    miss_send_len: int = 128
    invalid_ttl: bool = False


class SetConfig(Value):
    """OFPT_SET_CONFIG.  invalid_ttl is None where the version cannot say it (1.3 and later)."""

    fragments: int = 0
    miss_send_len: int = 128
    invalid_ttl: bool | None = False


def _decode_config(frame: Frame) -> tuple[int, int, bool | None]:
    flags, miss = struct.unpack("!HH", frame.body)
    known = 3 | (4 if frame.version < OF13 else 0)
    if flags & ~known and frame.raw.kind == "OFPT_SET_CONFIG":
        raise OpenFlowError("OFPSCFC_BAD_FLAGS")
    return flags & 3, miss, bool(flags & known & 4)


def decode_get_config_reply(frame: Frame) -> GetConfigReply:
    return GetConfigReply(*_decode_config(frame))


def decode_set_config(frame: Frame) -> SetConfig:
    fragments, miss, ttl = _decode_config(frame)
    return SetConfig(fragments, miss, ttl if frame.version < OF13 else None)


def _encode_config(value, version: int) -> bytes:
    flags = value.fragments | (4 if value.invalid_ttl and version < OF13 else 0)
    return struct.pack("!HH", flags, value.miss_send_len)


def encode_get_config_reply(value: GetConfigReply, version: int):
    return "OFPT_GET_CONFIG_REPLY", _encode_config(value, version)


def encode_set_config(value: SetConfig, version: int):
    return "OFPT_SET_CONFIG", _encode_config(value, version)


def show_config(frame: Frame, out: list[str], style: Style) -> None:
    fragments, miss, ttl = _decode_config(frame)
    out.append(f" frags={FRAGMENTS[fragments]}")
    if ttl:
        out.append(" invalid_ttl_to_controller")
    out.append(f" miss_send_len={miss}\n")


# Roles.

ROLES = {"nochange": 0, "equal": 1, "primary": 2, "secondary": 3}
_ROLE_NAMES = {number: name for name, number in ROLES.items()}


class RoleRequest(Value):
    """OFPT_ROLE_REQUEST or NXT_ROLE_REQUEST.  role: key of ROLES; generation_id or None."""

    role: str
    generation_id: int | None = None
    nicira: bool = False


class RoleReply(Value):
    """OFPT_ROLE_REPLY or NXT_ROLE_REPLY."""

    role: str
    generation_id: int | None = None
    nicira: bool = False


def _decode_role(frame: Frame) -> tuple[str, int | None, bool]:
    if frame.raw.space == "NXT":
        role = int.from_bytes(frame.body, "big") + 1
        if not 1 <= role <= 3:
            raise OpenFlowError("OFPRRFC_BAD_ROLE")
        return _ROLE_NAMES[role], None, True
    role, generation = struct.unpack("!I4xQ", frame.body)
    if role not in _ROLE_NAMES:
        raise OpenFlowError("OFPRRFC_BAD_ROLE")
    if role == 0 and frame.raw.kind == "OFPT_ROLE_REQUEST":
        return "nochange", None, False
    is_none = generation == _NO_GENERATION and frame.raw.kind != "OFPT_ROLE_REQUEST"
    return _ROLE_NAMES[role], None if is_none else generation, False


_NO_GENERATION = (1 << 64) - 1


def decode_role_request(frame: Frame) -> RoleRequest:
    return RoleRequest(*_decode_role(frame))


def decode_role_reply(frame: Frame) -> RoleReply:
    return RoleReply(*_decode_role(frame))


def _encode_role(value, version: int, kind: str, absent: int):
    if value.nicira or version < OF12:
        return f"NXT_{kind}", struct.pack("!I", ROLES[value.role] - 1)
    generation = value.generation_id
    return f"OFPT_{kind}", struct.pack("!I4xQ", ROLES[value.role],
                                       absent if generation is None else generation)


def encode_role_request(value: RoleRequest, version: int):
    return _encode_role(value, version, "ROLE_REQUEST", 0)


def encode_role_reply(value: RoleReply, version: int):
    return _encode_role(value, version, "ROLE_REPLY", (1 << 64) - 1)


def show_role(frame: Frame, out: list[str], style: Style) -> None:
    if frame.raw.kind.endswith("REQUEST"):
        value = decode_role_request(frame)
    else:
        value = decode_role_reply(frame)
    out.append(f" role={value.role}")
    if value.generation_id not in (None, _NO_GENERATION):
        out.append(f" generation_id={value.generation_id}")


ROLE_REASONS = ("primary_request", "configuration_changed", "experimenter_data_changed")


class RoleStatus(Value):
    """OFPT_ROLE_STATUS (1.4+; ONF message in 1.3).  reason: index of ROLE_REASONS."""

    role: str
    reason: int
    generation_id: int


def decode_role_status(frame: Frame) -> RoleStatus:
    role, reason, generation = struct.unpack_from("!IB3xQ", frame.body)
    if role not in _ROLE_NAMES:
        raise OpenFlowError("OFPRRFC_BAD_ROLE")
    return RoleStatus(_ROLE_NAMES[role], reason, generation)


def encode_role_status(value: RoleStatus, version: int):
    space = "ONFT" if version == OF13 else "OFPT"
    return f"{space}_ROLE_STATUS", struct.pack("!IB3xQ", ROLES[value.role], value.reason,
                                               value.generation_id)


def show_role_status(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_role_status(frame)
    out.append(f" role={value.role}")
    if value.generation_id != (1 << 64) - 1:
        out.append(f" generation_id={value.generation_id}")
    reason = (ROLE_REASONS[value.reason] if value.reason < len(ROLE_REASONS)
              else "(unknown)")
    out.append(f" reason={reason}")


# Nicira knobs.


class SetFlowFormat(Value):
    """NXT_SET_FLOW_FORMAT.  format: 0 OpenFlow 1.0, 2 NXM."""

    format: int


class FlowModTableId(Value):
    """NXT_FLOW_MOD_TABLE_ID: whether OpenFlow 1.0 flow_mods carry a table id."""

    enable: bool


class SetPacketInFormat(Value):
    """NXT_SET_PACKET_IN_FORMAT.  format: key of PACKET_IN_FORMATS."""

    format: str


class SetControllerId(Value):
    """NXT_SET_CONTROLLER_ID."""

    controller_id: int


PACKET_IN_FORMATS = {"standard": 0, "nxt_packet_in": 1, "nxt_packet_in2": 2}


def decode_set_flow_format(frame: Frame) -> SetFlowFormat:
    number = int.from_bytes(frame.body, "big")
    if number not in (0, 2):
        raise OpenFlowError("OFPBRC_EPERM")
    return SetFlowFormat(number)


def decode_flow_mod_table_id(frame: Frame) -> FlowModTableId:
    return FlowModTableId(bool(frame.body[0]))


def decode_set_packet_in_format(frame: Frame) -> SetPacketInFormat:
    number = int.from_bytes(frame.body, "big")
    for name, value in PACKET_IN_FORMATS.items():
        if value == number:
            return SetPacketInFormat(name)
    raise OpenFlowError("OFPBRC_EPERM", f"NXT_SET_PACKET_IN_FORMAT message specified invalid "
                                        f"packet-in format {number}", "ofp_packet")


def decode_set_controller_id(frame: Frame) -> SetControllerId:
    if any(frame.body[:6]):
        raise OpenFlowError("NXBRC_MUST_BE_ZERO")
    return SetControllerId(int.from_bytes(frame.body[6:8], "big"))


def encode_set_flow_format(value: SetFlowFormat, version: int):
    return "NXT_SET_FLOW_FORMAT", struct.pack("!I", value.format)


def encode_flow_mod_table_id(value: FlowModTableId, version: int):
    return "NXT_FLOW_MOD_TABLE_ID", struct.pack("!B7x", value.enable)


def encode_set_packet_in_format(value: SetPacketInFormat, version: int):
    return "NXT_SET_PACKET_IN_FORMAT", struct.pack("!I", PACKET_IN_FORMATS[value.format])


def encode_set_controller_id(value: SetControllerId, version: int):
    return "NXT_SET_CONTROLLER_ID", struct.pack("!6xH", value.controller_id)


def show_set_flow_format(frame: Frame, out: list[str], style: Style) -> None:
    number = int.from_bytes(frame.body, "big")
    names = {0: "openflow10", 2: "nxm"}
    if number not in names:
        style.warn("ofp_protocol", "NXT_SET_FLOW_FORMAT message specified invalid flow format "
                                   f"{number}")
    out.append(f" format={names.get(number, '(unknown)')}")


def show_flow_mod_table_id(frame: Frame, out: list[str], style: Style) -> None:
    out.append(" enable" if frame.body[0] else " disable")


def show_set_packet_in_format(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" format={decode_set_packet_in_format(frame).format}")


def show_set_controller_id(frame: Frame, out: list[str], style: Style) -> None:
    out.append(f" id={int.from_bytes(frame.body[6:8], 'big')}")


# Masks of asynchronous messages.

ASYNC_KINDS = ("packet_in", "port_status", "flow_removed", "role_status", "table_status",
               "requestforward")
"""The kinds of asynchronous messages, in the order of their properties."""

_ASYNC_FIXED = ("packet_in", "port_status", "flow_removed")
_TWO_MASKS = struct.Struct("!6I")

_ASYNC_REASONS = {
    "packet_in": ("no_match", "action", "invalid_ttl", "action_set", "group", "packet_out",
                  "explicit_miss", "implicit_miss"),
    "port_status": ("add", "delete", "modify"),
    "flow_removed": ("idle", "hard", "delete", "group_delete", "meter_delete", "eviction"),
    "role_status": ROLE_REASONS,
    "table_status": (None, None, None, "vacancy_down", "vacancy_up"),
    "requestforward": ("group_mod_request", "meter_mod_request"),
}


ASYNC_ALLOWED = {"packet_in": 0x3F, "port_status": 0x7, "flow_removed": 0x3F,
                 "role_status": 0x7, "table_status": 0x18, "requestforward": 0x3}
"""The reasons that a mask may name."""


class AsyncConfig(Value):
    """Which asynchronous messages are wanted.

    primary: of a primary or equal controller, secondary: of a secondary one; each {kind: mask
    of 1 << reason}; a kind that is not there is not changed.  form: the message that carries it:
    "set" or "reply" of the standard, "nx_set" (NXT_SET_ASYNC_CONFIG), "nx_set2".
    """

    primary: dict[str, int]
    secondary: dict[str, int]
    form: str = "set"


def decode_async_config(frame: Frame) -> AsyncConfig:
    form = {"OFPT_SET_ASYNC": "set", "OFPT_GET_ASYNC_REPLY": "reply",
            "NXT_SET_ASYNC_CONFIG": "nx_set", "NXT_SET_ASYNC_CONFIG2": "nx_set2"}
    kind = frame.raw.kind
    if frame.raw.size == 24:
        masks = _TWO_MASKS.unpack(frame.body)
        masks = [mask & _async_allowed(name, frame.version)
                 for mask, name in zip(masks, [n for n in _ASYNC_FIXED for _ in range(2)])]
        others = dict.fromkeys(ASYNC_KINDS, 0)      # Nobody can ask for them so.
        return AsyncConfig(others | dict(zip(_ASYNC_FIXED, masks[0::2])),
                           others | dict(zip(_ASYNC_FIXED, masks[1::2])), form[kind])
    primary: dict[str, int] = {}
    secondary: dict[str, int] = {}
    loose = form[kind] == "reply"
    for prop in read_properties(frame.body, 8, 0xFFFE):
        if prop.type >= 12:
            if loose:
                continue
            error = unknown_property(prop, "async config", "ofp_connection")
            if not prop.experimenter:
                error.name = "OFPACFC_UNSUPPORTED"
            raise error
        if len(prop.body) != 4:
            raise OpenFlowError("OFPBPC_BAD_LEN")
        table = primary if prop.type & 1 else secondary
        name = ASYNC_KINDS[prop.type >> 1]
        mask, allowed = int.from_bytes(prop.body, "big"), _async_allowed(name, frame.version)
        if mask & ~allowed and not loose:
            raise OpenFlowError("OFPACFC_INVALID",
                                f"bad value {hash_hex(mask)} for {name.upper()} "
                                f"(allowed mask {hash_hex(allowed)})",
                                "ofp_connection")
        table[name] = mask & allowed
    return AsyncConfig(primary, secondary, form[kind])


def _async_allowed(name: str, version: int) -> int:
    return 0x7 if name == "packet_in" and version < OF14 else ASYNC_ALLOWED[name]


def encode_async_config(value: AsyncConfig, version: int):
    kind = {"set": "OFPT_SET_ASYNC", "reply": "OFPT_GET_ASYNC_REPLY",
            "nx_set": "NXT_SET_ASYNC_CONFIG", "nx_set2": "NXT_SET_ASYNC_CONFIG2"}[value.form]
    raw = find_raw(kind, version)
    if raw is not None and raw.size == 24:
        masks = []
        for name in _ASYNC_FIXED:
            masks += [value.primary.get(name, 0), value.secondary.get(name, 0)]
        return kind, _TWO_MASKS.pack(*masks)
    props = []
    for index, name in enumerate(ASYNC_KINDS):
        for bit, table in ((0, value.secondary), (1, value.primary)):
            if name in table:
                props.append(Property(index * 2 + bit, struct.pack("!I", table[name])))
    return kind, pack_properties(props)


def show_async_config(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_async_config(frame)
    for title, table in (("primary", value.primary), ("secondary", value.secondary)):
        out.append(f"\n {title}:\n")
        for name in ASYNC_KINDS:
            mask = table.get(name, 0)
            words = [_async_reason(name, i) for i in range(32) if mask >> i & 1]
            out.append(f"{name.upper():>16}: {' '.join(words) or '(off)'}\n")


def _async_reason(name: str, index: int) -> str:
    names = _ASYNC_REASONS[name]
    return names[index] if index < len(names) and names[index] else str(index)
