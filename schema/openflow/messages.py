"""Every raw OpenFlow message form: where it stands on the wire, in which versions, how long.

One row is one body layout of one message.  Several rows may carry the same kind (the name
without its version digits): `OFPT10_PORT_STATUS` and `OFPT14_PORT_STATUS` are both
"OFPT_PORT_STATUS".  Read by `vswitchd.openflow.framing` (identify a message, check its length)
and by the encoders (find the row of a kind in a version).  Numbers and layouts are those of the
OpenFlow 1.0-1.5 specifications and of the Nicira and ONF extensions.
"""

from typing import NamedTuple

OF10, OF11, OF12, OF13, OF14, OF15 = 1, 2, 3, 4, 5, 6

VERSION_NAMES = {1: "OpenFlow10", 2: "OpenFlow11", 3: "OpenFlow12", 4: "OpenFlow13",
                 5: "OpenFlow14", 6: "OpenFlow15"}
"""Version byte -> the name that command lines and the database use."""

NICIRA_VENDOR = 0x00002320
ONF_VENDOR = 0x4F4E4600

VENDOR = 4
"""Message type of vendor (experimenter) messages in every version."""

STATS_VENDOR = 0xFFFF
"""Stats type of vendor (experimenter) statistics in every version."""


class Raw(NamedTuple):
    """One body layout of a message.

    space: "OFPT" by message type, "OFPST" by stats type, "NXT"/"ONFT" by vendor subtype,
    "NXST"/"ONFST" by vendor stats subtype.  number: in that space.  low, high: version bytes,
    inclusive.  name: as in the specification, unique.  size: bytes that the body has at least.
    unit: the body may continue by any multiple of it (0: it may not).
    """

    space: str
    number: int
    low: int
    high: int
    name: str
    size: int
    unit: int

    @property
    def kind(self) -> str:
        """The name without version digits: what the message is called in texts and in code."""
        space, rest = self.name.split("_", 1)
        return f"{space.rstrip('0123456789')}_{rest}"

    @property
    def is_stats(self) -> bool:
        return self.space in ("OFPST", "NXST", "ONFST")

    @property
    def is_reply(self) -> bool:
        return self.name.endswith("_REPLY")


RAWS: tuple[Raw, ...] = (
    Raw("OFPT", 0, 1, 255, "OFPT_HELLO", 0, 1),
    Raw("OFPT", 1, 1, 255, "OFPT_ERROR", 4, 1),
    Raw("OFPT", 2, 1, 255, "OFPT_ECHO_REQUEST", 0, 1),
    Raw("OFPT", 3, 1, 255, "OFPT_ECHO_REPLY", 0, 1),
    Raw("OFPT", 5, 1, 6, "OFPT_FEATURES_REQUEST", 0, 0),
    Raw("OFPT", 6, 1, 1, "OFPT10_FEATURES_REPLY", 24, 48),
    Raw("OFPT", 6, 2, 3, "OFPT11_FEATURES_REPLY", 24, 64),
    Raw("OFPT", 6, 4, 6, "OFPT13_FEATURES_REPLY", 24, 0),
    Raw("OFPT", 7, 1, 6, "OFPT_GET_CONFIG_REQUEST", 0, 0),
    Raw("OFPT", 8, 1, 6, "OFPT_GET_CONFIG_REPLY", 4, 0),
    Raw("OFPT", 9, 1, 6, "OFPT_SET_CONFIG", 4, 0),
    Raw("OFPT", 10, 1, 1, "OFPT10_PACKET_IN", 10, 1),
    Raw("OFPT", 10, 2, 2, "OFPT11_PACKET_IN", 16, 1),
    Raw("OFPT", 10, 3, 3, "OFPT12_PACKET_IN", 8, 1),
    Raw("OFPT", 10, 4, 6, "OFPT13_PACKET_IN", 16, 1),
    Raw("OFPT", 11, 1, 1, "OFPT10_FLOW_REMOVED", 80, 0),
    Raw("OFPT", 11, 2, 5, "OFPT11_FLOW_REMOVED", 40, 8),
    Raw("OFPT", 11, 6, 6, "OFPT15_FLOW_REMOVED", 16, 8),
    Raw("OFPT", 12, 1, 1, "OFPT10_PORT_STATUS", 56, 0),
    Raw("OFPT", 12, 2, 4, "OFPT11_PORT_STATUS", 72, 0),
    Raw("OFPT", 12, 5, 6, "OFPT14_PORT_STATUS", 48, 8),
    Raw("OFPT", 13, 1, 1, "OFPT10_PACKET_OUT", 8, 1),
    Raw("OFPT", 13, 2, 5, "OFPT11_PACKET_OUT", 16, 1),
    Raw("OFPT", 13, 6, 6, "OFPT15_PACKET_OUT", 8, 1),
    Raw("OFPT", 14, 1, 1, "OFPT10_FLOW_MOD", 64, 8),
    Raw("OFPT", 14, 2, 6, "OFPT11_FLOW_MOD", 40, 8),
    Raw("OFPT", 15, 1, 1, "OFPT10_PORT_MOD", 24, 0),
    Raw("OFPT", 15, 2, 5, "OFPT11_GROUP_MOD", 8, 8),
    Raw("OFPT", 15, 6, 6, "OFPT15_GROUP_MOD", 16, 8),
    Raw("OFPT", 16, 2, 4, "OFPT11_PORT_MOD", 32, 0),
    Raw("OFPT", 16, 5, 6, "OFPT14_PORT_MOD", 24, 8),
    Raw("OFPT", 17, 2, 4, "OFPT11_TABLE_MOD", 8, 0),
    Raw("OFPT", 17, 5, 6, "OFPT14_TABLE_MOD", 8, 8),
    Raw("OFPT", 18, 1, 1, "OFPT10_BARRIER_REQUEST", 0, 0),
    Raw("OFPT", 19, 1, 1, "OFPT10_BARRIER_REPLY", 0, 0),
    Raw("OFPT", 20, 1, 1, "OFPT10_QUEUE_GET_CONFIG_REQUEST", 4, 0),
    Raw("OFPT", 20, 2, 6, "OFPT11_BARRIER_REQUEST", 0, 0),
    Raw("OFPT", 21, 1, 1, "OFPT10_QUEUE_GET_CONFIG_REPLY", 8, 8),
    Raw("OFPT", 21, 2, 6, "OFPT11_BARRIER_REPLY", 0, 0),
    Raw("OFPT", 22, 2, 4, "OFPT11_QUEUE_GET_CONFIG_REQUEST", 8, 0),
    Raw("OFPT", 23, 2, 4, "OFPT11_QUEUE_GET_CONFIG_REPLY", 8, 8),
    Raw("OFPT", 24, 3, 6, "OFPT12_ROLE_REQUEST", 16, 0),
    Raw("OFPT", 25, 3, 6, "OFPT12_ROLE_REPLY", 16, 0),
    Raw("OFPT", 26, 4, 4, "OFPT13_GET_ASYNC_REQUEST", 0, 0),
    Raw("OFPT", 26, 5, 6, "OFPT14_GET_ASYNC_REQUEST", 0, 0),
    Raw("OFPT", 27, 4, 4, "OFPT13_GET_ASYNC_REPLY", 24, 0),
    Raw("OFPT", 27, 5, 6, "OFPT14_GET_ASYNC_REPLY", 0, 8),
    Raw("OFPT", 28, 4, 4, "OFPT13_SET_ASYNC", 24, 0),
    Raw("OFPT", 28, 5, 6, "OFPT14_SET_ASYNC", 0, 8),
    Raw("OFPT", 29, 4, 6, "OFPT13_METER_MOD", 8, 8),
    Raw("OFPT", 30, 5, 6, "OFPT14_ROLE_STATUS", 16, 8),
    Raw("OFPT", 31, 5, 6, "OFPT14_TABLE_STATUS", 8, 8),
    Raw("OFPT", 32, 5, 6, "OFPT14_REQUESTFORWARD", 8, 8),
    Raw("OFPT", 33, 5, 6, "OFPT14_BUNDLE_CONTROL", 8, 8),
    Raw("OFPT", 34, 5, 6, "OFPT14_BUNDLE_ADD_MESSAGE", 8, 1),
    Raw("OFPST", 0, 1, 6, "OFPST_DESC_REQUEST", 0, 0),
    Raw("OFPST", 0, 1, 6, "OFPST_DESC_REPLY", 1056, 0),
    Raw("OFPST", 1, 1, 1, "OFPST10_FLOW_REQUEST", 44, 0),
    Raw("OFPST", 1, 1, 1, "OFPST10_FLOW_REPLY", 0, 1),
    Raw("OFPST", 1, 2, 6, "OFPST11_FLOW_REQUEST", 32, 8),
    Raw("OFPST", 1, 2, 3, "OFPST11_FLOW_REPLY", 0, 1),
    Raw("OFPST", 1, 4, 5, "OFPST13_FLOW_REPLY", 0, 1),
    Raw("OFPST", 1, 6, 6, "OFPST15_FLOW_REPLY", 0, 1),
    Raw("OFPST", 2, 1, 1, "OFPST10_AGGREGATE_REQUEST", 44, 0),
    Raw("OFPST", 2, 1, 5, "OFPST_AGGREGATE_REPLY", 24, 0),
    Raw("OFPST", 2, 2, 5, "OFPST11_AGGREGATE_REQUEST", 32, 8),
    Raw("OFPST", 2, 6, 6, "OFPST15_AGGREGATE_REQUEST", 32, 8),
    Raw("OFPST", 2, 6, 6, "OFPST15_AGGREGATE_REPLY", 0, 1),
    Raw("OFPST", 3, 1, 1, "OFPST10_TABLE_REPLY", 0, 64),
    Raw("OFPST", 3, 1, 6, "OFPST_TABLE_REQUEST", 0, 0),
    Raw("OFPST", 3, 2, 2, "OFPST11_TABLE_REPLY", 0, 88),
    Raw("OFPST", 3, 3, 3, "OFPST12_TABLE_REPLY", 0, 128),
    Raw("OFPST", 3, 4, 6, "OFPST13_TABLE_REPLY", 0, 24),
    Raw("OFPST", 4, 1, 1, "OFPST10_PORT_REQUEST", 8, 0),
    Raw("OFPST", 4, 1, 1, "OFPST10_PORT_REPLY", 0, 104),
    Raw("OFPST", 4, 2, 6, "OFPST11_PORT_REQUEST", 8, 0),
    Raw("OFPST", 4, 2, 3, "OFPST11_PORT_REPLY", 0, 104),
    Raw("OFPST", 4, 4, 4, "OFPST13_PORT_REPLY", 0, 112),
    Raw("OFPST", 4, 5, 6, "OFPST14_PORT_REPLY", 0, 8),
    Raw("OFPST", 5, 1, 1, "OFPST10_QUEUE_REQUEST", 8, 0),
    Raw("OFPST", 5, 1, 1, "OFPST10_QUEUE_REPLY", 0, 32),
    Raw("OFPST", 5, 2, 6, "OFPST11_QUEUE_REQUEST", 8, 0),
    Raw("OFPST", 5, 2, 3, "OFPST11_QUEUE_REPLY", 0, 32),
    Raw("OFPST", 5, 4, 4, "OFPST13_QUEUE_REPLY", 0, 40),
    Raw("OFPST", 5, 5, 6, "OFPST14_QUEUE_REPLY", 0, 8),
    Raw("OFPST", 6, 2, 6, "OFPST11_GROUP_REQUEST", 8, 0),
    Raw("OFPST", 6, 2, 3, "OFPST11_GROUP_REPLY", 0, 8),
    Raw("OFPST", 6, 4, 6, "OFPST13_GROUP_REPLY", 0, 8),
    Raw("OFPST", 7, 2, 6, "OFPST11_GROUP_DESC_REPLY", 0, 8),
    Raw("OFPST", 7, 2, 5, "OFPST11_GROUP_DESC_REQUEST", 0, 0),
    Raw("OFPST", 7, 6, 6, "OFPST15_GROUP_DESC_REQUEST", 8, 0),
    Raw("OFPST", 8, 3, 6, "OFPST12_GROUP_FEATURES_REQUEST", 0, 0),
    Raw("OFPST", 8, 3, 6, "OFPST12_GROUP_FEATURES_REPLY", 40, 0),
    Raw("OFPST", 9, 4, 6, "OFPST13_METER_REQUEST", 8, 0),
    Raw("OFPST", 9, 4, 6, "OFPST13_METER_REPLY", 0, 8),
    Raw("OFPST", 10, 4, 6, "OFPST13_METER_CONFIG_REQUEST", 8, 0),
    Raw("OFPST", 10, 4, 6, "OFPST13_METER_CONFIG_REPLY", 0, 8),
    Raw("OFPST", 11, 4, 6, "OFPST13_METER_FEATURES_REQUEST", 0, 0),
    Raw("OFPST", 11, 4, 6, "OFPST13_METER_FEATURES_REPLY", 16, 0),
    Raw("OFPST", 12, 4, 6, "OFPST13_TABLE_FEATURES_REQUEST", 0, 8),
    Raw("OFPST", 12, 4, 6, "OFPST13_TABLE_FEATURES_REPLY", 64, 8),
    Raw("OFPST", 13, 1, 1, "OFPST10_PORT_DESC_REPLY", 0, 48),
    Raw("OFPST", 13, 1, 5, "OFPST10_PORT_DESC_REQUEST", 0, 0),
    Raw("OFPST", 13, 2, 4, "OFPST11_PORT_DESC_REPLY", 0, 64),
    Raw("OFPST", 13, 5, 6, "OFPST14_PORT_DESC_REPLY", 0, 8),
    Raw("OFPST", 13, 6, 6, "OFPST15_PORT_DESC_REQUEST", 8, 0),
    Raw("OFPST", 14, 5, 6, "OFPST14_TABLE_DESC_REQUEST", 0, 0),
    Raw("OFPST", 14, 5, 6, "OFPST14_TABLE_DESC_REPLY", 8, 8),
    Raw("OFPST", 15, 5, 6, "OFPST14_QUEUE_DESC_REQUEST", 8, 0),
    Raw("OFPST", 15, 5, 6, "OFPST14_QUEUE_DESC_REPLY", 0, 8),
    Raw("OFPST", 16, 5, 6, "OFPST14_FLOW_MONITOR_REQUEST", 0, 8),
    Raw("OFPST", 16, 5, 6, "OFPST14_FLOW_MONITOR_REPLY", 0, 8),
    Raw("NXT", 10, 1, 6, "NXT_ROLE_REQUEST", 4, 0),
    Raw("NXT", 11, 1, 6, "NXT_ROLE_REPLY", 4, 0),
    Raw("NXT", 12, 1, 1, "NXT_SET_FLOW_FORMAT", 4, 0),
    Raw("NXT", 13, 1, 6, "NXT_FLOW_MOD", 32, 8),
    Raw("NXT", 14, 1, 6, "NXT_FLOW_REMOVED", 40, 8),
    Raw("NXT", 15, 1, 6, "NXT_FLOW_MOD_TABLE_ID", 8, 0),
    Raw("NXT", 16, 1, 6, "NXT_SET_PACKET_IN_FORMAT", 4, 0),
    Raw("NXT", 17, 1, 6, "NXT_PACKET_IN", 24, 1),
    Raw("NXT", 18, 1, 6, "NXT_FLOW_AGE", 0, 0),
    Raw("NXT", 19, 1, 6, "NXT_SET_ASYNC_CONFIG", 24, 0),
    Raw("NXT", 20, 1, 6, "NXT_SET_CONTROLLER_ID", 8, 0),
    Raw("NXT", 21, 1, 3, "NXT_FLOW_MONITOR_CANCEL", 4, 0),
    Raw("NXT", 22, 1, 3, "NXT_FLOW_MONITOR_PAUSED", 0, 0),
    Raw("NXT", 23, 1, 3, "NXT_FLOW_MONITOR_RESUMED", 0, 0),
    Raw("NXT", 24, 1, 6, "NXT_TLV_TABLE_MOD", 8, 8),
    Raw("NXT", 25, 1, 6, "NXT_TLV_TABLE_REQUEST", 0, 0),
    Raw("NXT", 26, 1, 6, "NXT_TLV_TABLE_REPLY", 16, 8),
    Raw("NXT", 27, 1, 4, "NXT_SET_ASYNC_CONFIG2", 0, 8),
    Raw("NXT", 28, 1, 6, "NXT_RESUME", 0, 8),
    Raw("NXT", 29, 1, 6, "NXT_CT_FLUSH_ZONE", 8, 0),
    Raw("NXT", 30, 1, 6, "NXT_PACKET_IN2", 0, 8),
    Raw("NXT", 31, 1, 1, "NXT_GROUP_MOD", 16, 8),
    Raw("NXT", 32, 1, 6, "NXT_CT_FLUSH", 8, 8),
    Raw("NXT", 132, 1, 3, "NXT_REQUESTFORWARD", 8, 8),
    Raw("NXST", 0, 1, 1, "NXST_FLOW_REQUEST", 8, 8),
    Raw("NXST", 0, 1, 1, "NXST_FLOW_REPLY", 0, 1),
    Raw("NXST", 1, 1, 1, "NXST_AGGREGATE_REQUEST", 8, 8),
    Raw("NXST", 1, 1, 1, "NXST_AGGREGATE_REPLY", 24, 0),
    Raw("NXST", 2, 1, 3, "NXST_FLOW_MONITOR_REQUEST", 0, 8),
    Raw("NXST", 2, 1, 3, "NXST_FLOW_MONITOR_REPLY", 0, 8),
    Raw("NXST", 3, 1, 6, "NXST_IPFIX_BRIDGE_REQUEST", 0, 0),
    Raw("NXST", 3, 1, 6, "NXST_IPFIX_BRIDGE_REPLY", 88, 0),
    Raw("NXST", 4, 1, 6, "NXST_IPFIX_FLOW_REQUEST", 0, 0),
    Raw("NXST", 4, 1, 6, "NXST_IPFIX_FLOW_REPLY", 0, 88),
    Raw("NXST", 7, 1, 1, "NXST_GROUP_REQUEST", 8, 0),
    Raw("NXST", 7, 1, 1, "NXST_GROUP_REPLY", 0, 8),
    Raw("NXST", 8, 1, 1, "NXST_GROUP_DESC_REQUEST", 8, 0),
    Raw("NXST", 8, 1, 1, "NXST_GROUP_DESC_REPLY", 0, 8),
    Raw("NXST", 9, 1, 2, "NXST_GROUP_FEATURES_REQUEST", 0, 0),
    Raw("NXST", 9, 1, 2, "NXST_GROUP_FEATURES_REPLY", 40, 0),
    Raw("ONFT", 1870, 4, 4, "ONFT13_FLOW_MONITOR_CANCEL", 4, 0),
    Raw("ONFT", 1871, 4, 4, "ONFT13_FLOW_MONITOR_PAUSED", 0, 0),
    Raw("ONFT", 1872, 4, 4, "ONFT13_FLOW_MONITOR_RESUMED", 0, 0),
    Raw("ONFT", 1911, 4, 4, "ONFT13_ROLE_STATUS", 16, 8),
    Raw("ONFT", 2300, 4, 4, "ONFT13_BUNDLE_CONTROL", 8, 8),
    Raw("ONFT", 2301, 4, 4, "ONFT13_BUNDLE_ADD_MESSAGE", 8, 1),
    Raw("ONFT", 2350, 4, 4, "ONFT13_REQUESTFORWARD", 8, 8),
    Raw("ONFST", 1870, 4, 4, "ONFST13_FLOW_MONITOR_REQUEST", 0, 8),
    Raw("ONFST", 1870, 4, 4, "ONFST13_FLOW_MONITOR_REPLY", 0, 8),
)
