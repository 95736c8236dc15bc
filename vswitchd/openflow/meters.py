"""Meters: what they could be. The datapath has none yet, so each change says that it has no room.

The features are those of the reference: controllers that mean to use meters only later look at the
numbers before they talk at all. Pure; any thread.
"""

from schema.openflow.limits import METER_ALL
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.messages.meter import BANDS, FLAGS, MeterFeaturesReply, MeterMod

_MAX_METERS, _MAX_BANDS = 262144, 8
FEATURES = MeterFeaturesReply(_MAX_METERS, 1 << BANDS["drop"], sum(FLAGS.values()), _MAX_BANDS, 0)


def check_number(number: int) -> None:
    """Whether a request for one meter can be answered. Raises OpenFlowError."""
    if number != METER_ALL:
        raise OpenFlowError("OFPMMFC_UNKNOWN_METER")


def refuse(mod: MeterMod) -> None:
    """Says why a meter_mod cannot be carried out, if it cannot. Raises OpenFlowError."""
    if mod.command != "delete":
        raise OpenFlowError("OFPMMFC_OUT_OF_METERS" if mod.command == "add"
                            else "OFPMMFC_UNKNOWN_METER")
