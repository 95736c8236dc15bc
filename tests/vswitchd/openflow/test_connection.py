"""One connection as a machine: versions, messages, probes and how it ends, with time by hand."""

import struct
from itertools import combinations

import pytest

from tests.vswitchd.openflow.machines import NAME, Wire, hello, message
from vswitchd.config.desired import Controller
from vswitchd.openflow.connection import ALL_VERSIONS
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.outbox import Outbox

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, _, FEATURES_REQUEST = range(6)
SETS = [frozenset(some) for n in range(1, 7) for some in combinations(sorted(ALL_VERSIONS), n)]


# -- versions

def test_the_highest_common_version_is_agreed_on():
    for ours in SETS:
        for theirs in SETS[::5]:
            wire = Wire(ours)
            wire.connection.open()
            wire.connection.feed(hello(*theirs), 100.0)
            agreed = wire.connection.negotiate()
            assert agreed == bool(ours & theirs), (ours, theirs)
            assert wire.connection.session.version == max(ours & theirs, default=0)
            assert wire.heard() == [(max(ours), HELLO)] + [(max(theirs), ERROR)] * (not agreed)


@pytest.mark.parametrize("header", range(1, 7))
def test_a_hello_without_a_list_means_all_versions_up_to_its_own(header):
    for ours in SETS:
        wire = Wire(ours)
        wire.connection.feed(message(header, HELLO), 100.0)
        common = {version for version in ours if version <= header}
        assert wire.connection.negotiate() == bool(common)
        assert wire.connection.session.version == max(common, default=0)


def test_who_has_no_common_version_is_told_and_logged(lines):
    wire = Wire(frozenset((4, 5)))
    wire.connection.feed(hello(1), 100.0)
    assert not wire.connection.negotiate() and wire.connection.fault == "Protocol error"
    assert b"We support versions 0x04, 0x05, you support version 0x01, no common" in wire.sent
    wire.connection.log_end()
    assert lines == [
        "vconn|WARN|tcp:h:1: version negotiation failed (we support versions 0x04, 0x05, peer "
        "supports version 0x01)",
        f"rconn|WARN|{NAME}: connection dropped (Protocol error)"]


def test_a_version_of_nobody_is_answered_in_the_lowest(lines):
    wire = Wire(frozenset((4,)))
    wire.connection.feed(message(6, HELLO, struct.pack("!HHI", 1, 8, 1 << 9)), 100.0)
    assert not wire.connection.negotiate()
    assert wire.heard() == [(min(ALL_VERSIONS), ERROR)]
    assert "ofp_errors|ERR|cannot encode error for unknown OpenFlow version 0x09" in lines


@pytest.mark.parametrize("first", [message(4, FEATURES_REQUEST), message(4, ECHO_REQUEST),
                                   b"GET / HTTP/1.0\r\n\r\n" * 2000])
def test_whoever_begins_otherwise_is_left(first, lines):
    wire = Wire()
    wire.connection.feed(first, 100.0)
    assert not wire.connection.negotiate() and wire.connection.fault == "Protocol error"
    assert wire.sent == b""
    assert "received message while expecting hello" in lines[-1]
    wire.connection.log_end()
    assert lines[-1] == f"rconn|INFO|{NAME}: connection failed (Protocol error)"


def test_a_hello_in_pieces_is_waited_for():
    wire = Wire()
    data = hello(1, 4)
    for byte in data[:-1]:
        wire.connection.feed(bytes([byte]), 100.0)
        assert not wire.connection.negotiate() and not wire.connection.fault
    wire.connection.feed(data[-1:] + message(4, ECHO_REQUEST), 100.0)
    assert wire.connection.negotiate() and wire.connection.session.version == 4
    assert wire.connection.take() == message(4, ECHO_REQUEST)
    assert wire.connection.take() is None


@pytest.mark.parametrize("kind", range(36))
def test_other_versions_are_refused_but_for_what_any_version_understands(kind):
    wire = Wire().agree(4)
    assert wire.connection.refuse_version(message(1, kind)) == (kind > ECHO_REPLY)
    assert wire.heard() == [(1, ERROR)] * (kind > ECHO_REPLY)
    assert not wire.connection.refuse_version(message(4, kind))


# -- messages

def test_a_length_that_cannot_be_ends_the_connection(lines):
    wire = Wire().agree(4)
    wire.connection.feed(message(4, ECHO_REQUEST) + b"\4\2\0\7" + bytes(4), 100.0)
    assert wire.connection.take() == message(4, ECHO_REQUEST) and not wire.connection.fault
    assert wire.connection.take() is None and wire.connection.fault == "Protocol error"
    assert lines == ["vconn_stream|ERR|received too-short ofp_header (7 bytes)"]


def test_a_stream_that_ends_within_a_message_is_told(lines):
    wire = Wire(is_service=True).agree(4)
    wire.connection.feed(message(4, ECHO_REQUEST)[:5], 100.0)
    wire.connection.finish()
    wire.connection.log_end()
    assert lines == ["vconn_stream|ERR|connection dropped mid-packet",
                     "rconn|WARN|br0<->unix#0: connection dropped (Protocol error)"]


@pytest.mark.parametrize("is_service, is_agreed, expected", [
    (False, True, [f"rconn|INFO|{NAME}: connection closed by peer"]),
    (False, False, [f"rconn|INFO|{NAME}: connection failed (End of file)"]),
    (True, True, []), (True, False, [])])
def test_what_is_told_when_a_peer_closes(is_service, is_agreed, expected, lines):
    wire = Wire(is_service=is_service)
    if is_agreed:
        wire.agree(4)
    wire.connection.finish()
    wire.connection.log_end()
    assert lines == expected


def test_errors_come_in_the_version_and_with_the_number_of_the_question():
    wire = Wire().agree(4)
    for version, told in ((1, 1), (4, 4), (9, 4)):
        wire.sent = b""
        wire.connection.refuse(message(version, 99, bytes(4), 0x1234),
                               OpenFlowError("OFPBRC_BAD_TYPE"))
        assert wire.sent == message(told, ERROR, b"\0\1\0\1" + message(version, 99, bytes(4),
                                                                       0x1234), 0x1234)


def test_an_error_never_outgrows_a_message():
    wire = Wire().agree(4)
    wire.connection.refuse(message(4, 99, bytes(0xffff - 8)), OpenFlowError("OFPBRC_BAD_TYPE"))
    assert len(wire.sent) == 0xffff


def test_snoopers_hear_both_sides_once_a_version_is_agreed_on():
    heard = []
    snooper = Outbox(lambda data: heard.append(data[1]) or b"")
    wire = Wire(snoopers={snooper}).agree(4)
    assert heard == []
    wire.connection.overhear(message(4, ECHO_REQUEST))
    wire.connection.transmit(message(4, ECHO_REPLY))
    assert heard == [ECHO_REQUEST, ECHO_REPLY]
    service = Wire(is_service=True, snoopers={snooper}).agree(4).connection
    service.overhear(message(4, ECHO_REQUEST))
    service.transmit(message(4, ECHO_REPLY))
    assert len(heard) == 2


def test_a_controller_counts_once_it_asks_for_more_than_a_handshake():
    connection = Wire().agree(4).connection
    for kind in ("OFPT_ECHO_REQUEST", "OFPT_FEATURES_REQUEST", "OFPT_SET_CONFIG"):
        assert not connection.admit_by(kind)
    assert connection.admit_by("OFPT_BARRIER_REQUEST")
    assert connection.admit_by("OFPT_ECHO_REQUEST")     # from then on


# -- time

@pytest.mark.parametrize("is_service", [True, False])
def test_a_peer_has_a_second_for_its_hello(is_service, lines):
    wire = Wire(is_service=is_service)
    assert wire.run(100.999) == [] and wire.is_open
    assert wire.run(102.0) == [101.0] and not wire.is_open
    assert lines == [f"rconn|INFO|{wire.connection.name}: connection timed out"]


@pytest.mark.parametrize(("controller", "interval"), [(None, 60), (Controller("ptcp:"), 5)])
def test_service_connections_are_probed_too(controller, interval, lines):
    wire = Wire(is_service=True, controller=controller).agree(4)
    assert wire.run(100 + interval) == [100 + interval] and wire.heard() == [(4, ECHO_REQUEST)]
    assert wire.run(100 + 2 * interval) == [100 + 2 * interval] and not wire.is_open


def test_silence_is_probed_and_then_given_up(lines):
    wire = Wire(controller=Controller("tcp:h:1", inactivity_probe=5.0)).agree(4)
    assert wire.run(104.9) == []
    assert wire.run(105.0) == [105.0] and wire.heard() == [(4, ECHO_REQUEST)]
    assert wire.run(120.0) == [110.0] and not wire.is_open
    assert lines == [f"rconn|ERR|{NAME}: no response to inactivity probe after 5 seconds, "
                     "disconnecting"]


def test_whatever_the_peer_says_ends_the_silence():
    wire = Wire(controller=Controller("tcp:h:1", inactivity_probe=5.0)).agree(4)
    assert wire.run(105.0) == [105.0]
    wire.connection.feed(b"\4", 109.0)                  # the beginning of something
    assert wire.run(113.9) == []
    assert wire.run(114.0) == [114.0] and wire.heard() == [(4, ECHO_REQUEST)] * 2
    assert wire.is_open


def test_probes_follow_the_record_of_the_controller():
    wire = Wire(controller=Controller("tcp:h:1", inactivity_probe=0.0)).agree(4)
    assert wire.run(1e9) == [] and wire.is_open         # never
    wire.connection.controller = Controller("tcp:h:1", inactivity_probe=60.0)
    assert wire.run(165.0) == [160.0] and wire.heard() == [(4, ECHO_REQUEST)]


def test_deadlines_are_met_whatever_way_sums_are_rounded():
    """A machine that would ask for the same moment again would keep its edge busy for ever."""
    for step in range(200):
        now = 1e6 / 7 * step + 0.1
        wire = Wire(controller=Controller("tcp:h:1", inactivity_probe=5.1), now=now)
        wire.agree(4, now)
        assert len(wire.run(now + 30)) == 2 and not wire.is_open
