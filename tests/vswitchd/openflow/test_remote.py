"""When a controller is connected to again, and what is told of it, with time by hand."""

import pytest

from tests.vswitchd.openflow.machines import NAME, Wire
from vswitchd.config.desired import Controller
from vswitchd.openflow.remote import Remote, kind_of


def remote(max_backoff: float = 8.0, **settings) -> Remote:
    return Remote(Controller("tcp:h:1", max_backoff=max_backoff, **settings), "br0", 100.0)


def attempts(machine: Remote, count: int, now: float = 100.0) -> list[tuple[float, float]]:
    """(seconds that an attempt may take, seconds until the next) of attempts that fail at once."""
    found = []
    for _ in range(count):
        patience = machine.begin(now)
        machine.fail("Connection refused")
        pause = machine.rest(now)
        now += pause
        found.append((patience, pause))
    return found


def test_attempts_that_fail_wait_longer_and_longer(lines):
    assert attempts(remote(), 6) == [(1, 1), (1, 2), (2, 4), (4, 8), (8, 8), (8, 8)]
    failed = f"rconn|WARN|{NAME}: connection failed (Connection refused)"
    begun = f"rconn|INFO|{NAME}: connecting..."
    waits = [f"rconn|INFO|{NAME}: waiting {n} seconds before reconnect" for n in (1, 2, 4)]
    quiet = (f"rconn|INFO|{NAME}: continuing to retry connections in the background but "
             "suppressing further logging")
    assert lines == [begun, failed, waits[0], begun, failed, waits[1], begun, failed, waits[2],
                     begun, failed, quiet, failed, failed]


@pytest.mark.parametrize("limit, pauses", [(0.5, [1, 1, 1]), (1.0, [1, 1, 1]), (3.0, [1, 2, 3, 3]),
                                           (60.0, [1, 2, 4, 8, 16, 32, 60, 60])])
def test_the_delay_grows_to_the_limit(limit, pauses):
    assert [pause for _, pause in attempts(remote(limit), len(pauses))] == pauses


def test_another_limit_of_the_record_is_followed():
    machine = remote(60.0)
    attempts(machine, 5)
    machine.change(Controller("tcp:h:1", max_backoff=2.0))
    assert attempts(machine, 2) == [(16, 2), (2, 2)]


@pytest.mark.parametrize("lasted, pause", [(3.9, 8), (4.0, 1), (1000.0, 1)])
def test_a_connection_that_lasted_as_long_as_the_delay_starts_over(lasted, pause):
    machine = remote(60.0)
    assert attempts(machine, 3)[-1] == (2, 4)
    machine.begin(200.0)
    machine.end("End of file")
    assert machine.rest(200.0 + lasted) == pause


def test_states_and_times_are_told_to_the_database():
    machine = remote(uuid="u")
    assert machine.status(100.0) == {"is_connected": (False,), "role": (),
                                     "status": (("state", "VOID"),)}
    machine.begin(100.0)
    assert ("state", "CONNECTING") in machine.status(100.0)["status"]
    wire = Wire().agree(4)
    machine.serve(wire.connection)
    machine.admit(wire.connection, 101.0)
    assert machine.status(111.5) == {
        "is_connected": (True,), "role": ("other",),
        "status": (("sec_since_connect", "10"), ("state", "ACTIVE"))}
    wire.connection.session.role = "primary"
    assert machine.status(111.5)["role"] == ("master",)
    machine.forget(wire.connection, 112.0)
    machine.end("Connection reset by peer")
    machine.rest(112.0)
    assert machine.status(115.0) == {
        "is_connected": (False,), "role": (),
        "status": (("last_error", "Connection reset by peer"), ("sec_since_connect", "14"),
                   ("sec_since_disconnect", "3"), ("state", "BACKOFF"))}


def test_reconnecting_hangs_up_once_and_only_on_what_we_have_made(lines):
    machine, wire, visitor = remote(), Wire().agree(4), Wire(is_service=True).agree(4)
    machine.reconnect()                         # there is none yet
    machine.serve(wire.connection)
    machine.admit(visitor.connection, 100.0)
    machine.reconnect()
    machine.reconnect()
    assert not wire.is_open and visitor.is_open
    assert lines == [f"rconn|INFO|{NAME}: disconnecting"]


def test_changed_limits_reach_the_connections():
    machine, wire = remote(), Wire(controller=Controller("tcp:h:1")).agree(4)
    wire.connection.follow_limits()
    machine.admit(wire.connection, 100.0)
    assert wire.connection.pace is None
    machine.change(Controller("tcp:h:1", rate_limit=100, burst_limit=7))
    assert (wire.connection.pace.rate, wire.connection.pace.burst) == (100, 7)
    pace = wire.connection.pace
    machine.change(Controller("tcp:h:1", rate_limit=200))
    assert wire.connection.pace is pace and (pace.rate, pace.burst) == (200, 50)
    machine.change(Controller("tcp:h:1"))
    assert wire.connection.pace is None and wire.is_open


@pytest.mark.parametrize("target, kind", [("tcp:1.2.3.4", "primary"), ("ssl:h:1", "primary"),
                                          ("unix:x", "primary"), ("ptcp:", "service"),
                                          ("punix:x", "service"), ("pssl:1", "service")])
def test_kinds_of_controllers(target, kind):
    assert kind_of(target) == kind
    assert Remote(Controller(target), "br0", 0.0).is_primary == (kind == "primary")
