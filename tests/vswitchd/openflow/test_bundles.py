"""Tests of vswitchd/openflow/bundles.py, by way of the service."""

import pytest

from vswitchd.openflow import bundles, messages
from vswitchd.openflow.action_types import Output
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.messages.bundle import BundleAdd
from vswitchd.openflow.messages.flow import FlowMod
from vswitchd.openflow.messages.packet import PacketOut
from vswitchd.openflow.service import Service
from vswitchd.openflow.session import OF14, Session

FLOW = messages.encode(FlowMod("add", table=0, actions=(Output(1),)), OF14, 5)


@pytest.mark.parametrize("message", [
    FLOW[:24] + b"\xfe" + FLOW[25:],                        # to the hidden table
    FLOW[:56] + b"\0\x63" + FLOW[58:],                      # an instruction that there is not
    messages.encode(PacketOut(bytes(14), (Output(0xfff0),)), OF14, 5)],
    ids=["permission", "instruction", "packet-out"])
def test_a_message_that_is_refused_opens_no_bundle(message):
    """It would have no message by which it is told when nobody cares for it any more."""
    session = Session("peer", True)
    session.agree(OF14)
    with pytest.raises(OpenFlowError):
        Service.bundle_add(Service, session, BundleAdd(7, 3, message))
    assert session.bundles == {}
    assert Service.bundle_add(Service, session, BundleAdd(7, 3, FLOW)) == ()
    bundles.note(session.bundles, 7, b"opener")
    with pytest.raises(OpenFlowError):
        Service.bundle_add(Service, session, BundleAdd(7, 3, message))
    assert session.bundles[7].added == [FLOW]
    assert bundles.expire(session.bundles, -1000) == [b"opener"]
