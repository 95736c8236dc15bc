"""ovs-ofctl commands about meters.

Each function takes (settings, arguments) and returns an exit code or None for 0.
"""

import re

from schema.openflow.limits import METER_ALL
from utilities.command_line import Fatal
from utilities.ofctl import protocol
from utilities.ofctl.connection import next_xid, open_switch
from utilities.ofctl.flows import open_for_changes, send_silent
from utilities.ofctl.switch import dump, dump_trivial
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.meter import (
    BANDS, FLAGS, Band, MeterConfig, MeterConfigRequest, MeterFeaturesRequest, MeterMod,
    MeterStatsRequest,
)
from vswitchd.openflow.value_text import FlowTextError, parse_u8, parse_u32


class _Words:
    """Cuts a meter's text into names and, if asked for, their values."""

    _NAME = re.compile(r"[=, \t\r\n]*([^=, \t\r\n]*)[=, \t\r\n]?")
    _VALUE = re.compile(r"[, \t\r\n]*([^, \t\r\n]*)[, \t\r\n]?")

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def _next(self, pattern: re.Pattern) -> str:
        found = pattern.match(self._text, self._at)
        self._at = found.end()
        return found[1]

    def name(self) -> str:
        """The next name, "" at the end."""
        return self._next(self._NAME)

    def value_of(self, name: str) -> str:
        """What follows.  Raises FlowTextError if nothing does."""
        value = self._next(self._VALUE)
        if not value:
            raise FlowTextError(f"field {name} missing value")
        return value


def parse_meter_mod(text: str, command: str) -> MeterMod:
    """The MeterMod that a meter's text means; "delete" needs no more than its number.

    Raises FlowTextError.
    """
    head, *rest = [text] if command == "delete" else re.split(r"bands?=", text, maxsplit=1)
    if command != "delete" and (not rest):
        raise FlowTextError("must specify bands")
    meter, flags = None, 0
    words = _Words(head)
    while key := words.name():
        if key in FLAGS and command != "delete":
            flags |= FLAGS[key]
            continue
        value = words.value_of(key)
        if key != "meter":
            raise FlowTextError(f"unknown keyword {key}")
        meter = _parse_meter(value, command)
    if meter is None:
        raise FlowTextError("must specify 'meter'")
    if command != "delete" and not flags & 3:
        raise FlowTextError("meter must specify either 'kbps' or 'pktps'")
    bands: list[dict] = []
    words = _Words(re.sub(r"bands?=", "", rest[0]) if rest else "")
    while key := words.name():
        value = words.value_of(key)
        if key == "type":
            if value not in BANDS:
                raise FlowTextError(f"field type unknown value {value}")
            bands.append({"type": value, "rate": 0})
        elif not bands:
            raise FlowTextError("band must start with the 'type' keyword")
        elif key == "rate":
            bands[-1]["rate"] = parse_u32(value)
        elif key == "burst_size":
            bands[-1]["burst_size"] = parse_u32(value)
        elif key == "prec_level":
            if bands[-1]["type"] != "dscp_remark":
                raise FlowTextError("Only 'dscp_remark' band may have 'prec_level'")
            bands[-1]["prec_level"] = parse_u8(value, "prec_level")
        else:
            raise FlowTextError(f"unknown keyword {key}")
    for band in bands:
        if not band["rate"]:
            raise FlowTextError("band must have 'rate'")
        if band.get("burst_size"):
            flags |= FLAGS["burst"]
    return MeterMod(command, MeterConfig(meter, flags, tuple(Band(**band) for band in bands)))


def _parse_meter(value: str, command: str) -> int:
    special = {"slowpath": 0xFFFFFFFD, "controller": 0xFFFFFFFE}
    if command == "delete":
        special["all"] = 0xFFFFFFFF
    if value in special:
        return special[value]
    number = parse_u32(value)
    if not 0 < number <= 0xFFFF0000:
        raise FlowTextError("invalid value for meter")
    return number


def _change_meter(settings, arguments, command: str) -> None:
    switch = arguments[0]
    text = arguments[1] if len(arguments) > 1 else "meter=all"
    try:
        mod = parse_meter_mod(text, command)
    except FlowTextError as error:
        raise Fatal(str(error)) from None
    connection, _ = open_for_changes(settings, switch, protocol.OF13_UP)
    send_silent(settings, connection, [encode(mod, connection.version, next_xid())])
    connection.close()


def add_meter(settings, arguments) -> None:
    _change_meter(settings, arguments, "add")


def mod_meter(settings, arguments) -> None:
    _change_meter(settings, arguments, "modify")


def del_meters(settings, arguments) -> None:
    _change_meter(settings, arguments, "delete")


def _require_protocols(settings, usable: int) -> None:
    """Raises Fatal if no allowed flow format is among the usable ones."""
    if not usable & settings.protocols:
        raise Fatal(f"none of the usable flow formats ({protocol.format_protocols(usable)}) is "
                    "among the allowed flow formats "
                    f"({protocol.format_protocols(settings.protocols)})")


def _meter_request(settings, arguments, make) -> None:
    meter = METER_ALL
    if len(arguments) > 1:
        try:
            meter = parse_meter_mod(arguments[1], "delete").config.meter
        except FlowTextError as error:
            raise Fatal(str(error)) from None
    _require_protocols(settings, protocol.OF13_UP)
    connection = open_switch(settings, arguments[0])
    dump(settings, connection, make(meter))
    connection.close()


def dump_meters(settings, arguments) -> None:
    _meter_request(settings, arguments, MeterConfigRequest)


def meter_stats(settings, arguments) -> None:
    _meter_request(settings, arguments, MeterStatsRequest)


def meter_features(settings, arguments) -> None:
    _require_protocols(settings, protocol.OF13_UP)
    dump_trivial(settings, arguments[0], MeterFeaturesRequest())
