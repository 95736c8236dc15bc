"""OpenFlow messages: bytes <-> values, for every message of every version we speak.

`decode` and `encode` are the doors; each family of messages is one module of this package with,
per message, a `Value`, `decode_NAME(frame)`, `encode_NAME(value, version)` and
`show_NAME(frame, out, style)` (the text, used by `vswitchd.openflow.print`).  Modules are loaded
when the first message of their family comes, so that tools start fast.  Pure.
"""

import importlib
import re
from functools import cache
from typing import Any, NamedTuple

from schema.openflow.limits import MESSAGE_MAX
from schema.openflow.messages import Raw
from vswitchd.openflow.framing import Frame, OpenFlowError, find_raw, open_frame, pack

KINDS = {
    "OFPT_HELLO": "session.hello",
    "OFPT_ERROR": "session.error",
    "OFPT_ECHO_REQUEST": "session.echo_request",
    "OFPT_ECHO_REPLY": "session.echo_reply",
    "OFPT_FEATURES_REQUEST": "session.features_request",
    "OFPT_FEATURES_REPLY": "session.features_reply",
    "OFPT_GET_CONFIG_REQUEST": "session.get_config_request",
    "OFPT_GET_CONFIG_REPLY": "session.get_config_reply",
    "OFPT_SET_CONFIG": "session.set_config",
    "OFPT_BARRIER_REQUEST": "session.barrier_request",
    "OFPT_BARRIER_REPLY": "session.barrier_reply",
    "OFPT_ROLE_REQUEST": "session.role_request",
    "NXT_ROLE_REQUEST": "session.role_request",
    "OFPT_ROLE_REPLY": "session.role_reply",
    "NXT_ROLE_REPLY": "session.role_reply",
    "OFPT_ROLE_STATUS": "session.role_status",
    "ONFT_ROLE_STATUS": "session.role_status",
    "OFPT_GET_ASYNC_REQUEST": "session.get_async_request",
    "OFPT_GET_ASYNC_REPLY": "session.async_config",
    "OFPT_SET_ASYNC": "session.async_config",
    "NXT_SET_ASYNC_CONFIG": "session.async_config",
    "NXT_SET_ASYNC_CONFIG2": "session.async_config",
    "NXT_SET_FLOW_FORMAT": "session.set_flow_format",
    "NXT_FLOW_MOD_TABLE_ID": "session.flow_mod_table_id",
    "NXT_SET_PACKET_IN_FORMAT": "session.set_packet_in_format",
    "NXT_SET_CONTROLLER_ID": "session.set_controller_id",
    "NXT_FLOW_AGE": "session.flow_age",
    "OFPT_PORT_STATUS": "port.port_status",
    "OFPT_PORT_MOD": "port.port_mod",
    "OFPST_PORT_REQUEST": "port.port_stats_request",
    "OFPST_PORT_REPLY": "port.port_stats_reply",
    "OFPST_PORT_DESC_REQUEST": "port.port_desc_request",
    "OFPST_PORT_DESC_REPLY": "port.port_desc_reply",
    "OFPST_DESC_REQUEST": "switch.desc_request",
    "OFPST_DESC_REPLY": "switch.desc_reply",
    "NXST_IPFIX_BRIDGE_REQUEST": "switch.ipfix_bridge_request",
    "NXST_IPFIX_BRIDGE_REPLY": "switch.ipfix_bridge_reply",
    "NXST_IPFIX_FLOW_REQUEST": "switch.ipfix_flow_request",
    "NXST_IPFIX_FLOW_REPLY": "switch.ipfix_flow_reply",
    "NXT_TLV_TABLE_MOD": "switch.tlv_table_mod",
    "NXT_TLV_TABLE_REQUEST": "switch.tlv_table_request",
    "NXT_TLV_TABLE_REPLY": "switch.tlv_table_reply",
    "NXT_CT_FLUSH_ZONE": "switch.ct_flush_zone",
    "NXT_CT_FLUSH": "switch.ct_flush",
    "OFPST_QUEUE_REQUEST": "queue.queue_stats_request",
    "OFPST_QUEUE_REPLY": "queue.queue_stats_reply",
    "OFPT_QUEUE_GET_CONFIG_REQUEST": "queue.queue_config_request",
    "OFPT_QUEUE_GET_CONFIG_REPLY": "queue.queue_config_reply",
    "OFPST_QUEUE_DESC_REQUEST": "queue.queue_config_request",
    "OFPST_QUEUE_DESC_REPLY": "queue.queue_config_reply",
    "OFPT_METER_MOD": "meter.meter_mod",
    "OFPST_METER_REQUEST": "meter.meter_stats_request",
    "OFPST_METER_REPLY": "meter.meter_stats_reply",
    "OFPST_METER_CONFIG_REQUEST": "meter.meter_config_request",
    "OFPST_METER_CONFIG_REPLY": "meter.meter_config_reply",
    "OFPST_METER_FEATURES_REQUEST": "meter.meter_features_request",
    "OFPST_METER_FEATURES_REPLY": "meter.meter_features_reply",
    "OFPT_BUNDLE_CONTROL": "bundle.bundle_control",
    "ONFT_BUNDLE_CONTROL": "bundle.bundle_control",
    "OFPT_BUNDLE_ADD_MESSAGE": "bundle.bundle_add",
    "ONFT_BUNDLE_ADD_MESSAGE": "bundle.bundle_add",
    "OFPT_REQUESTFORWARD": "bundle.request_forward",
    "ONFT_REQUESTFORWARD": "bundle.request_forward",
    "NXT_REQUESTFORWARD": "bundle.request_forward",
    "OFPST_TABLE_REQUEST": "table.table_stats_request",
    "OFPST_TABLE_REPLY": "table.table_stats_reply",
    "OFPST_TABLE_FEATURES_REQUEST": "table.table_features_request",
    "OFPST_TABLE_FEATURES_REPLY": "table.table_features_reply",
    "OFPST_TABLE_DESC_REQUEST": "table_config.table_desc_request",
    "OFPST_TABLE_DESC_REPLY": "table_config.table_desc_reply",
    "OFPT_TABLE_MOD": "table_config.table_mod",
    "OFPT_TABLE_STATUS": "table_config.table_status",
    "OFPT_FLOW_MOD": "flow.flow_mod",
    "NXT_FLOW_MOD": "flow.flow_mod",
    "OFPT_FLOW_REMOVED": "flow.flow_removed",
    "NXT_FLOW_REMOVED": "flow.flow_removed",
    "OFPST_FLOW_REQUEST": "flow.flow_stats_request",
    "NXST_FLOW_REQUEST": "flow.flow_stats_request",
    "OFPST_FLOW_REPLY": "flow.flow_stats_reply",
    "NXST_FLOW_REPLY": "flow.flow_stats_reply",
    "OFPST_AGGREGATE_REQUEST": "flow.flow_stats_request",
    "NXST_AGGREGATE_REQUEST": "flow.flow_stats_request",
    "OFPST_AGGREGATE_REPLY": "flow.aggregate_stats_reply",
    "NXST_AGGREGATE_REPLY": "flow.aggregate_stats_reply",
    "OFPT_PACKET_IN": "packet.packet_in",
    "NXT_PACKET_IN": "packet.packet_in",
    "NXT_PACKET_IN2": "packet.packet_in",
    "NXT_RESUME": "packet.packet_in",
    "OFPT_PACKET_OUT": "packet.packet_out",
    "OFPT_GROUP_MOD": "group.group_mod",
    "NXT_GROUP_MOD": "group.group_mod",
    "OFPST_GROUP_DESC_REQUEST": "group.group_desc_request",
    "NXST_GROUP_DESC_REQUEST": "group.group_desc_request",
    "OFPST_GROUP_DESC_REPLY": "group.group_desc_reply",
    "NXST_GROUP_DESC_REPLY": "group.group_desc_reply",
    "OFPST_GROUP_REQUEST": "group.group_stats_request",
    "NXST_GROUP_REQUEST": "group.group_stats_request",
    "OFPST_GROUP_REPLY": "group.group_stats_reply",
    "NXST_GROUP_REPLY": "group.group_stats_reply",
    "OFPST_GROUP_FEATURES_REQUEST": "group.group_features_request",
    "NXST_GROUP_FEATURES_REQUEST": "group.group_features_request",
    "OFPST_GROUP_FEATURES_REPLY": "group.group_features_reply",
    "NXST_GROUP_FEATURES_REPLY": "group.group_features_reply",
    "OFPST_FLOW_MONITOR_REQUEST": "monitor.flow_monitor_requests",
    "OFPST_FLOW_MONITOR_REPLY": "monitor.flow_monitor_reply",
    "ONFST_FLOW_MONITOR_REQUEST": "monitor.flow_monitor_requests",
    "ONFST_FLOW_MONITOR_REPLY": "monitor.flow_monitor_reply",
    "NXST_FLOW_MONITOR_REQUEST": "monitor.flow_monitor_requests",
    "NXST_FLOW_MONITOR_REPLY": "monitor.flow_monitor_reply",
    "NXT_FLOW_MONITOR_CANCEL": "monitor.flow_monitor_cancel",
    "NXT_FLOW_MONITOR_PAUSED": "monitor.flow_monitor_paused",
    "NXT_FLOW_MONITOR_RESUMED": "monitor.flow_monitor_resumed",
    "ONFT_FLOW_MONITOR_CANCEL": "monitor.flow_monitor_cancel",
    "ONFT_FLOW_MONITOR_PAUSED": "monitor.flow_monitor_paused",
    "ONFT_FLOW_MONITOR_RESUMED": "monitor.flow_monitor_resumed",
}
"""Kind -> module and name of its functions.  A kind that is not here is not spoken."""

_SHOWN_BY = {"echo_request": "echo", "echo_reply": "echo", "get_config_reply": "config",
             "set_config": "config", "role_request": "role", "role_reply": "role",
             "meter_stats_request": "meter_request", "meter_config_request": "meter_request",
             "group_desc_request": "group_request", "group_stats_request": "group_request",
             "table_features_request": "table_features",
             "table_features_reply": "table_features"}
"""Functions of the text that serve two messages."""


class Message(NamedTuple):
    """A decoded message.  more: further parts of these statistics follow."""

    raw: Raw
    version: int
    xid: int
    value: Any
    more: bool = False


@cache
def _function(verb: str, kind: str):
    """The function of `kind`, None if the kind is not spoken or the verb has nothing to do."""
    place = KINDS.get(kind)
    if place is None:
        return None
    module, name = place.split(".")
    if verb == "show":
        name = _SHOWN_BY.get(name, name)
    # Loaded on demand: a tool that shows ports need not pay for groups and meters.
    return getattr(importlib.import_module(f"{__name__}.{module}"), f"{verb}_{name}", None)


def is_spoken(kind: str) -> bool:
    """Whether messages of `kind` can be decoded."""
    return kind in KINDS


def decode(data: bytes) -> Message:
    """Decodes exactly one message.

    data: from version byte to the end that the header's length says.
    Raises OpenFlowError with the error that a switch answers.
    """
    return decode_frame(open_frame(data))


def decode_frame(frame: Frame) -> Message:
    """As `decode`, of a message that is already opened."""
    function = _function("decode", frame.raw.kind)
    if function is None:
        raise OpenFlowError("OFPBRC_BAD_TYPE", f"{frame.raw.kind} is not supported")
    value = function(frame)
    return Message(frame.raw, frame.version, frame.xid, value, bool(frame.flags & 1))


def show_function(kind: str):
    """The function that shows the body of `kind`, None if there is nothing to show."""
    return _function("show", kind)


@cache
def _encoder(cls: type):
    name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", cls.__name__).lower()
    return getattr(importlib.import_module(cls.__module__), f"encode_{name}")


def encode(value: Any, version: int, xid: int) -> bytes:
    """Encodes one message that fits 65535 bytes; see `encode_parts` for replies that may not."""
    parts = encode_parts(value, version, xid)
    if len(parts) != 1:
        raise ValueError(f"{type(value).__name__} needs {len(parts)} messages")
    return parts[0]


def encode_parts(value: Any, version: int, xid: int) -> list[bytes]:
    """Encodes a message; statistics that do not fit one are cut into parts, marked 'more'.

    Raises ValueError if `version` has no such message or the value does not fit it.
    """
    kind, body = _encoder(type(value))(value, version)
    raw = find_raw(kind, version)
    if raw is None:
        raise ValueError(f"OpenFlow version 0x{version:02x} has no {kind}")
    if isinstance(body, bytes):
        return [pack(raw, version, xid, body)]
    return pack_entries(raw, version, xid, body)


def pack_entries(raw: Raw, version: int, xid: int, entries: list[bytes]) -> list[bytes]:
    """Packs entries of statistics, each whole, into as few messages as they need."""
    room = MESSAGE_MAX - 24
    groups: list[list[bytes]] = [[]]
    used = 0
    for entry in entries:
        if used + len(entry) > room and groups[-1]:
            groups.append([])
            used = 0
        groups[-1].append(entry)
        used += len(entry)
    last = len(groups) - 1
    return [pack(raw, version, xid, b"".join(group), 0 if index == last else 1)
            for index, group in enumerate(groups)]
