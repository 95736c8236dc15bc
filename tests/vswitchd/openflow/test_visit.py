"""Tests of vswitchd/openflow/visit.py: what a guest is answered, and what it waits for."""

import struct
from types import SimpleNamespace

import pytest

from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.messages.session import EchoReply
from vswitchd.openflow.service import Encoded
from vswitchd.openflow.visit import Need, Visit

ECHO, ECHO_REPLY, FLOW_MOD = 2, 3, 14
FIXED = tuple(struct.pack("!BBHI", 4, 19, 12, 0) + bytes([i] * 4) for i in range(3))


def say(kind: int, xid: int, body: bytes = b"", version: int = 4) -> bytes:
    """A message."""
    return struct.pack("!BBHI", version, kind, 8 + len(body), xid) + body


def visit_of(rest: bytes, **state) -> Visit:
    """A visit whose guest has said `rest`."""
    guest = {"fd": -1, "version": 4, "flow_format": 0, "table_in_command": False, "rest": rest,
             "replies": b"", "is_quick": False, "is_over": False, "is_broken": False,
             "n_injected": 0}
    return Visit(SimpleNamespace(**(guest | state)), "unix#0")


def service_of(*replies) -> SimpleNamespace:
    """A service that answers everything so."""
    return SimpleNamespace(handle=lambda session, decoded: list(replies))


@pytest.mark.parametrize("rest, state, is_late, need", [
    (b"", {}, False, Need.QUESTION),
    (say(ECHO, 1)[:7], {}, True, Need.QUESTION),
    (b"", {"is_quick": True}, True, Need.TURN),
    (b"", {"is_quick": True}, False, Need.QUESTION),
    (b"", {"is_over": True}, False, Need.NOTHING),
    (b"", {"is_broken": True}, False, Need.KEEPER),
    (b"", {"replies": b"not sent"}, False, Need.ROOM),
    (say(ECHO, 1), {"is_broken": True}, False, None),
])
def test_what_a_guest_waits_for(rest, state, is_late, need):
    assert visit_of(rest, **state).next_need(is_late) is need


@pytest.mark.parametrize("version, kind, is_barrier", [
    (1, 18, True), (1, 20, False), (4, 20, True), (4, 18, False)])
def test_a_barrier_is_known_by_its_version(version, kind, is_barrier):
    assert visit_of(say(kind, 1, version=version),
                    version=version).is_at_barrier() is is_barrier


def test_an_answer_takes_the_question_away():
    visit = visit_of(say(ECHO, 7, b"abc") + say(ECHO, 8))
    assert list(visit.answer(service_of(EchoReply(b"abc")))) == [say(ECHO_REPLY, 7, b"abc")]
    assert visit.guest.rest == say(ECHO, 8)


@pytest.mark.parametrize("rest", [
    say(FLOW_MOD, 1), say(ECHO, 1, version=5), struct.pack("!BBHI", 4, ECHO, 4, 1)])
def test_others_answer_what_does_more_than_look(rest):
    visit = visit_of(rest)
    assert visit.next_need(False) is None
    assert visit.answer(service_of()) is None
    assert visit.guest.rest == rest


def test_others_tell_of_errors():
    def refuse(session, decoded):
        raise OpenFlowError("OFPBRC_EPERM")

    visit = visit_of(say(ECHO, 1))
    assert visit.answer(SimpleNamespace(handle=refuse)) is None
    assert visit.guest.rest == say(ECHO, 1)


def test_what_there_is_already_waits_for_room():
    visit = visit_of(say(ECHO, 9))
    assert list(visit.answer(service_of(Encoded(FIXED)))) == []
    written = b""
    while (part := visit.next_part()) is not None:
        visit.note_written(5)                   # as much as the socket takes
        written += part[:5]
    assert written == b"".join(part[:4] + struct.pack("!I", 9) + part[8:] for part in FIXED)
