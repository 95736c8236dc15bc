"""The meters of a bridge: meter_mods in, configuration and statistics out.

The datapath has the buckets and counters (datapath/src/worker/meter.c) under numbers of its own,
which the bridges of a datapath share; a bridge knows which of its meters is which. Meters SLOWPATH
and CONTROLLER exist without a rule that names them: every packet-in meets the latter. Rules go with
the meter that they use. Limits, errors and the order of dumps are the reference's. Control task
only.
"""

from dataclasses import dataclass

from datapath import face
from schema.flow.fields import FLOW_SIZE
from schema.flow.seam import SEAM
from schema.openflow.limits import METER_ALL, METER_MAX
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.hash_order import HashOrder
from vswitchd.openflow.messages.meter import (BANDS, FLAGS, MeterConfig, MeterFeaturesReply,
                                              MeterMod, MeterStats)
from vswitchd.switch.datapath import Datapath

_MAX_METERS, _MAX_BANDS = 262144, 8
# As the reference tells them, which does not mention that DSCP can be remarked: it cannot there.
FEATURES = MeterFeaturesReply(_MAX_METERS, 1 << BANDS["drop"], sum(FLAGS.values()), _MAX_BANDS, 0)
_VIRTUAL = (SEAM["METER_OF_SLOWPATH"], SEAM["METER_OF_CONTROLLER"])
_LIBRARY_ERRORS = {7: "OFPMMFC_OUT_OF_METERS", 22: "OFPMMFC_OUT_OF_BANDS"}     # E2BIG, EINVAL


@dataclass(slots=True)
class _Meter:
    """One meter: its number in the datapath, what it was told to be and when."""

    number: int
    config: MeterConfig
    created_ms: int


class Meters:
    """The meters of the bridge with handle `bridge`."""

    def __init__(self, datapath: Datapath, bridge: int) -> None:
        self.datapath = datapath
        self.bridge = bridge
        self._meters: dict[int, _Meter] = {}
        self._order = HashOrder()

    def __contains__(self, number: int) -> bool:
        return number in self._meters

    def apply(self, mod: MeterMod) -> None:
        """Carries out a meter_mod. Raises OpenFlowError."""
        config = mod.config
        if mod.command == "delete":
            self._delete(tuple(self._meters) if config.meter == METER_ALL else
                         (config.meter,) if config.meter in self._meters else ())
            return
        if not config.meter or config.meter > METER_MAX and config.meter not in _VIRTUAL:
            raise OpenFlowError("OFPMMFC_INVALID_METER")
        if len(config.bands) > _MAX_BANDS:
            raise OpenFlowError("OFPMMFC_OUT_OF_BANDS")
        old = self._meters.get(config.meter)
        if mod.command == "add":
            if old is not None:
                raise OpenFlowError("OFPMMFC_METER_EXISTS")
            number = self.datapath.take_meter()
            try:
                self._set(number, config)
            except OpenFlowError:
                self.datapath.give_meter(number)
                raise
            self._meters[config.meter] = _Meter(number, config, face.now())
            self._order.add(config.meter)
            self._publish()
        elif old is None:
            raise OpenFlowError("OFPMMFC_UNKNOWN_METER")
        else:
            self._set(old.number, config)
            old.config = config

    def _set(self, number: int, config: MeterConfig) -> None:
        if not config.flags & (FLAGS["kbps"] | FLAGS["pktps"]):
            raise OpenFlowError("OFPMMFC_BAD_FLAGS")
        if not config.bands:
            raise OpenFlowError("OFPMMFC_OUT_OF_BANDS")
        if config.flags & ~sum(FLAGS.values()):
            raise OpenFlowError("OFPMMFC_BAD_FLAGS")
        try:
            face.meter_set(self.datapath.handle, number, face.Meter(config.flags, tuple(
                face.Band(BANDS[band.type], band.rate,
                          band.burst_size if config.flags & FLAGS["burst"] else 0, band.prec_level)
                for band in config.bands)))
        except face.DatapathError as error:
            raise OpenFlowError(_LIBRARY_ERRORS.get(error.number,
                                                    "OFPMMFC_UNKNOWN_METER")) from None

    def _delete(self, numbers: tuple[int, ...]) -> None:
        if not numbers:
            return
        face.rules_change(self.datapath.handle, [
            face.RuleChange(self.bridge, SEAM["RULE_DELETE"], 255, 0, bytes(FLOW_SIZE),
                            bytes(FLOW_SIZE), out_meter=number,
                            reason=SEAM["RR_METER_DELETE"]) for number in numbers])
        gone = [self._meters.pop(number) for number in numbers]
        for number in numbers:
            self._order.remove(number)
        self._publish()
        for meter in gone:
            self._free(meter)

    def _publish(self) -> None:
        face.bridge_meters_set(self.bridge, {number: meter.number
                                             for number, meter in self._meters.items()})

    def _free(self, meter: _Meter) -> None:
        face.meter_del(self.datapath.handle, meter.number)
        self.datapath.give_meter(meter.number)

    def clear(self) -> None:
        """Deletes all."""
        self._delete(tuple(self._meters))

    def release(self) -> None:
        """Gives the datapath's meters back when the bridge goes."""
        for meter in self._meters.values():
            self._free(meter)
        self._meters.clear()

    def _chosen(self, number: int) -> list[tuple[int, _Meter]]:
        if number == METER_ALL:
            return [(row, self._meters[row]) for row in self._order]
        if number not in self._meters:
            raise OpenFlowError("OFPMMFC_UNKNOWN_METER")
        return [(number, self._meters[number])]

    def configuration(self, number: int) -> tuple[MeterConfig, ...]:
        """All meters, or one. Raises OpenFlowError."""
        return tuple(meter.config for _, meter in self._chosen(number))

    def statistics(self, number: int) -> tuple[MeterStats, ...]:
        """Counters of all meters, or of one. Raises OpenFlowError."""
        found, now = [], face.now()
        for row, meter in self._chosen(number):
            counts = face.meter(self.datapath.handle, meter.number)
            n_rules = sum(1 for _ in face.rules(self.bridge, out_meter=row))
            seconds, rest = divmod(max(0, now - meter.created_ms), 1000)
            found.append(MeterStats(row, n_rules, counts.n_packets, counts.n_bytes,
                                    (seconds, rest * 1_000_000),
                                    tuple((band.n_packets, band.n_bytes)
                                          for band in counts.bands)))
        return tuple(found)
