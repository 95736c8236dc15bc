"""Bundles: messages that are collected and then carried out together, or not at all.

Flow and group changes of a bundle are staged in one version of the tables and published at once, so
no packet sees half of it; port changes and packets follow when that has succeeded. Control task
only. Source: OpenFlow 1.5.1 section 6.8.
"""

from dataclasses import dataclass, field

from datapath import face
from vswitchd.openflow import groups, messages, tables
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.hash_order import HashOrder
from vswitchd.openflow.messages.bundle import BundleAdd, BundleControl
from vswitchd.openflow.messages.flow import FlowMod
from vswitchd.openflow.messages.group import GroupMod

OPEN, CLOSE, COMMIT, DISCARD = range(0, 8, 2)     # each reply is its request plus one
ATOMIC = 1


@dataclass(slots=True)
class Bundle:
    """One bundle of a connection."""

    flags: int
    opener: bytes = b""         # the message that opened it
    used_ms: int = 0            # when a message was about it
    is_closed: bool = False
    # Whole messages; several flow_mods may be one item.
    added: list[bytes] = field(default_factory=list)


class BundleFailed(Exception):
    """Message `message` of a bundle cannot be carried out, so none is."""

    def __init__(self, message: bytes, error: OpenFlowError) -> None:
        super().__init__(str(error))
        self.message = message
        self.error = error


def read(value: BundleAdd):
    """The value of a message that is to be added. Raises OpenFlowError."""
    added = messages.decode(value.message).value
    if isinstance(added, FlowMod) and not added.command.startswith("delete"):
        tables.check_permission(added)
    return added


def add(bundles: dict[int, Bundle], value: BundleAdd) -> None:
    """Puts a message, which was read, into a bundle, which the first one opens. Raises
    OpenFlowError, and then there is no such bundle any more."""
    bundle = bundles.setdefault(value.bundle, Bundle(value.flags))
    if bundle.is_closed:
        del bundles[value.bundle]
        raise OpenFlowError("OFPBFC_BUNDLE_CLOSED")
    if bundle.flags != value.flags:
        del bundles[value.bundle]
        raise OpenFlowError("OFPBFC_BAD_FLAGS")
    bundle.added.append(value.message)


def note(bundles: dict[int, Bundle], number: int, message: bytes) -> None:
    """Notes that `message` was about a bundle."""
    bundle = bundles.get(number)
    if bundle is not None:
        bundle.used_ms = face.now()
        bundle.opener = bundle.opener or message


def expire(bundles: dict[int, Bundle], patience_ms: int) -> list[bytes]:
    """Discards bundles that no message has been about for so long; returns what opened them."""
    limit = face.now() - patience_ms
    found = [number for number in HashOrder(bundles) if bundles[number].used_ms <= limit]
    return [bundles.pop(number).opener for number in found]


def control(bundles: dict[int, Bundle], value: BundleControl, commit) -> BundleControl:
    """Carries out a request about a bundle; `commit(messages)` does what it holds.

    Raises OpenFlowError, BundleFailed.
    """
    bundle = bundles.get(value.bundle)
    if value.type == OPEN:
        if bundle is not None:
            del bundles[value.bundle]
            raise OpenFlowError("OFPBFC_BAD_ID")
        bundles[value.bundle] = Bundle(value.flags)
    elif value.type == CLOSE:
        _check(bundles, value, bundle)
        if bundle.is_closed:
            del bundles[value.bundle]
            raise OpenFlowError("OFPBFC_BUNDLE_CLOSED")
        bundle.is_closed = True
    elif value.type == COMMIT:
        _check(bundles, value, bundle)
        del bundles[value.bundle]
        commit(bundle.added)
    elif value.type == DISCARD:
        if bundle is None:
            raise OpenFlowError("OFPBFC_BAD_ID")
        del bundles[value.bundle]
    else:
        raise OpenFlowError("OFPBFC_BAD_TYPE")
    return BundleControl(value.bundle, value.type + 1, 0)


def _check(bundles: dict[int, Bundle], value: BundleControl, bundle: Bundle | None) -> None:
    if bundle is None:
        raise OpenFlowError("OFPBFC_BAD_ID")
    if bundle.flags != value.flags:
        del bundles[value.bundle]
        raise OpenFlowError("OFPBFC_BAD_FLAGS")


def stage(version: int, bridge: int, message: bytes) -> list[messages.Message]:
    """Stages one message of a bundle; returns it where it is neither flow nor group change.

    Raises BundleFailed.
    """
    try:
        decoded = messages.decode(message)
        match decoded.value:
            case FlowMod() as mod:
                face.rules_stage(version, [tables.change_of(bridge, mod)])
            case GroupMod() as mod:
                change = groups.change_of(bridge, mod)
                face.groups_stage(version, [change])
                groups.tell(change)
            case _:
                return [decoded]
    except OpenFlowError as error:
        raise BundleFailed(message, error) from None
    except face.RuleError as error:
        raise BundleFailed(message, OpenFlowError(error.name)) from None
    return []
