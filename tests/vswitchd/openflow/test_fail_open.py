"""When a bridge switches alone, and when no more, with time by hand."""

from tests.vswitchd.openflow.machines import Wire
from vswitchd.config.desired import Controller
from vswitchd.openflow.fail_open import Change, FailOpen
from vswitchd.openflow.remote import Remote


def remote(probe: float = 5.0, added_at: float = 100.0) -> Remote:
    return Remote(Controller("tcp:h:1", inactivity_probe=probe), "br0", added_at)


def first_change(failing: FailOpen, remotes: list[Remote], begin: float, end: float
                 ) -> tuple[float, Change] | None:
    """When something changes first, by a look every half second."""
    now = begin
    while now <= end:
        change = failing.follow(remotes, True, now)
        if change is not None:
            return now, change
        now += 0.5
    return None


def test_nothing_fails_without_controllers_or_in_secure_mode():
    failing = FailOpen()
    assert failing.follow([], True, 1e6) is None
    assert failing.follow([remote()], False, 1e6) is None
    assert not failing.is_open


def test_three_intervals_of_silence_open_the_bridge(lines):
    failing = FailOpen()
    assert first_change(failing, [remote()], 100.0, 200.0) == (115.0, Change.OPEN)
    assert first_change(failing, [remote()], 115.5, 1000.0) is None     # said once
    assert lines == ["fail_open|WARN|Could not connect to controller (or switch failed "
                     "controller's post-connection admission control policy) for 15 seconds, "
                     "failing open"]


def test_the_most_patient_and_the_last_heard_controller_count():
    assert first_change(FailOpen(), [remote(5.0), remote(20.0)], 100.0, 200.0) == (
        160.0, Change.OPEN)
    assert first_change(FailOpen(), [remote(), remote(added_at=150.0)], 150.0, 200.0) == (
        165.0, Change.OPEN)


def test_a_controller_that_only_shakes_hands_counts_after_half_a_minute(lines):
    failing, machine, wire = FailOpen(), remote(), Wire().agree(4)
    machine.admit(wire.connection, 110.0)
    assert first_change(failing, [machine], 110.0, 139.5) == (115.0, Change.OPEN)
    assert first_change(failing, [machine], 115.5, 200.0) == (140.0, Change.CLOSE)
    assert lines[-1] == "fail_open|WARN|No longer in fail-open mode"


def test_a_controller_that_asks_for_more_counts_at_once():
    failing, machine, wire = FailOpen(), remote(), Wire().agree(4)
    assert failing.follow([machine], True, 115.0) is Change.OPEN
    machine.admit(wire.connection, 120.0)
    assert failing.follow([machine], True, 120.0) is None
    wire.connection.admit_by("OFPT_FLOW_MOD")
    assert failing.follow([machine], True, 120.5) is Change.CLOSE


def test_a_lost_controller_is_missed_from_when_it_was_last_heard():
    failing, machine, wire = FailOpen(), remote(), Wire().agree(4)
    machine.admit(wire.connection, 101.0)
    wire.connection.admit_by("OFPT_BARRIER_REQUEST")
    machine.admitted_at = 130.0
    assert first_change(failing, [machine], 101.0, 300.0) is None       # while it is connected
    machine.forget(wire.connection, 300.0)
    machine.admitted_at = 299.0
    assert first_change(failing, [machine], 300.0, 400.0) == (314.0, Change.OPEN)


def test_leaving_the_mode_closes_silently(lines):
    failing = FailOpen()
    failing.follow([remote()], True, 1000.0)
    lines.clear()
    assert failing.follow([remote()], False, 1000.5) is Change.CLOSE
    assert failing.follow([remote()], False, 1001.0) is None and lines == []
