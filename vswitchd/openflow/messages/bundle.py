"""Bundles and forwarded requests: messages that carry messages.

Values, wire form and text of one family; entered through `vswitchd.openflow.messages`.
OpenFlow 1.4 and later; in 1.3 as ONF extensions, forwarded requests before that as Nicira's.
"""

import struct

from schema.openflow.messages import OF13
from vswitchd.openflow.framing import Frame, OpenFlowError, open_frame
from vswitchd.openflow.messages.base import Style, describe_bits, hash_hex
from vswitchd.openflow.value import Value

CONTROL_TYPES = ("OPEN_REQUEST", "OPEN_REPLY", "CLOSE_REQUEST", "CLOSE_REPLY", "COMMIT_REQUEST",
                 "COMMIT_REPLY", "DISCARD_REQUEST", "DISCARD_REPLY")
FLAGS = ((1, "atomic"), (2, "ordered"))
BUNDLED = ("OFPT_FLOW_MOD", "NXT_FLOW_MOD", "OFPT_PORT_MOD", "OFPT_GROUP_MOD", "NXT_GROUP_MOD",
           "OFPT_PACKET_OUT")
"""Kinds that may be put into a bundle."""


class BundleControl(Value):
    """OFPT_BUNDLE_CONTROL.  type: index of CONTROL_TYPES; flags: 1 atomic, 2 ordered."""

    bundle: int
    type: int
    flags: int = 0


class BundleAdd(Value):
    """OFPT_BUNDLE_ADD_MESSAGE.  message: the bytes of the message that is added."""

    bundle: int
    flags: int
    message: bytes


def decode_bundle_control(frame: Frame) -> BundleControl:
    bundle, kind, flags = struct.unpack_from("!IHH", frame.body)
    return BundleControl(bundle, kind, flags)


def encode_bundle_control(value: BundleControl, version: int):
    space = "ONFT" if version == OF13 else "OFPT"
    return f"{space}_BUNDLE_CONTROL", struct.pack("!IHH", value.bundle, value.type, value.flags)


def show_bundle_control(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_bundle_control(frame)
    name = CONTROL_TYPES[value.type] if value.type < len(CONTROL_TYPES) else ""
    out.append(f"\n bundle_id={hash_hex(value.bundle)} type={name} "
               f"flags={describe_bits(value.flags, FLAGS)}\n")


def decode_bundle_add(frame: Frame) -> BundleAdd:
    bundle, flags = struct.unpack_from("!I2xH", frame.body)
    inner = frame.body[8:]
    if len(inner) < 8:
        raise OpenFlowError("OFPBFC_MSG_BAD_LEN")
    if inner[0] != frame.version:
        raise OpenFlowError("OFPBFC_BAD_VERSION")
    length = int.from_bytes(inner[2:4], "big")
    if length > len(inner) or length < 8:
        raise OpenFlowError("OFPBFC_MSG_BAD_LEN")
    inner = inner[:length]
    if int.from_bytes(inner[4:8], "big") != frame.xid:
        raise OpenFlowError("OFPBFC_MSG_BAD_XID")
    try:
        kind = open_frame(inner).raw.kind
    except OpenFlowError as error:
        raise OpenFlowError("OFPBFC_MSG_UNSUP",
                            "OFPT14_BUNDLE_ADD_MESSAGE contained message is unparsable "
                            f"({error.name})", "ofp_bundle") from None
    if kind not in BUNDLED:
        raise OpenFlowError("OFPBFC_MSG_UNSUP",
                            f"{kind} message not allowed inside OFPT14_BUNDLE_ADD_MESSAGE",
                            "ofp_bundle")
    return BundleAdd(bundle, flags, inner)


def encode_bundle_add(value: BundleAdd, version: int):
    space = "ONFT" if version == OF13 else "OFPT"
    return f"{space}_BUNDLE_ADD_MESSAGE", (struct.pack("!I2xH", value.bundle, value.flags)
                                           + value.message)


def show_bundle_add(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_bundle_add(frame)
    out.append(f"\n bundle_id={hash_hex(value.bundle)} flags={describe_bits(value.flags, FLAGS)}\n")
    out.append(style.nested(value.message))


class RequestForward(Value):
    """OFPT_REQUESTFORWARD: a group_mod or meter_mod that another controller sent."""

    request: bytes


def decode_request_forward(frame: Frame) -> RequestForward:
    request = frame.body
    length = int.from_bytes(request[2:4], "big")
    if length < 8 or length > len(request):
        raise OpenFlowError("OFPBFC_MSG_BAD_LEN")
    request = request[:length]
    if request[0] != frame.version:
        raise OpenFlowError("OFPBRC_BAD_VERSION")
    if open_frame(request).raw.kind not in ("OFPT_GROUP_MOD", "NXT_GROUP_MOD",
                                            "OFPT_METER_MOD"):
        raise OpenFlowError("OFPBFC_MSG_UNSUP")
    return RequestForward(request)


def encode_request_forward(value: RequestForward, version: int):
    kind = "OFPT" if version > OF13 else "ONFT" if version == OF13 else "NXT"
    return f"{kind}_REQUESTFORWARD", value.request


def show_request_forward(frame: Frame, out: list[str], style: Style) -> None:
    value = decode_request_forward(frame)
    inner = open_frame(value.request)
    if inner.raw.kind == "OFPT_METER_MOD":
        # Loaded on demand: only one of the two is needed.
        from vswitchd.openflow.messages.meter import decode_meter_mod, format_meter_mod
        out.append(" reason=meter_mod" + format_meter_mod(decode_meter_mod(inner)))
    else:
        from vswitchd.openflow.messages.group import show_group_mod
        out.append(" reason=group_mod")
        show_group_mod(inner, out, style)
