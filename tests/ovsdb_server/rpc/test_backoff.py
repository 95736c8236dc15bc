"""Delays between attempts double to a limit, and the log goes quiet there."""

import pytest

from ovsdb_server import vlog
from ovsdb_server.rpc.backoff import UNANSWERED, Backoff


@pytest.fixture
def lines(monkeypatch):
    seen = []
    monkeypatch.setattr(vlog.LOG, "write",
                        lambda logger, level, text: seen.append((vlog.LEVELS[level], text)))
    return seen


def test_attempts_that_fail_wait_longer_and_longer(lines):
    backoff = Backoff("tcp:h:1", max_delay=8.0)
    delays = []
    for _ in range(6):
        backoff.connecting()
        delays.append(backoff.failed("Connection refused"))
    assert delays == [1, 2, 4, 8, 8, 8]
    assert [text for _, text in lines] == [
        "tcp:h:1: connecting...", "tcp:h:1: connection attempt failed (Connection refused)",
        "tcp:h:1: connecting...", "tcp:h:1: connection attempt failed (Connection refused)",
        "tcp:h:1: waiting 2 seconds before reconnect",
        "tcp:h:1: connecting...", "tcp:h:1: connection attempt failed (Connection refused)",
        "tcp:h:1: waiting 4 seconds before reconnect",
        "tcp:h:1: connecting...", "tcp:h:1: connection attempt failed (Connection refused)",
        "tcp:h:1: continuing to reconnect in the background but suppressing further logging"]
    backoff.connected()
    assert lines[-1] == ("INFO", "tcp:h:1: connected")


def test_a_connection_that_lasted_starts_over(lines):
    backoff = Backoff("unix:x")
    assert [backoff.failed("x") for _ in range(3)] == [1, 2, 4]
    backoff.connected()
    assert backoff.lost("Connection reset by peer", lasted=100) == 1
    assert lines[-1] == ("WARN", "unix:x: connection dropped (Connection reset by peer)")
    backoff.connected()
    assert backoff.lost("", lasted=0.1) == 2
    assert ("INFO", "unix:x: connection closed by peer") in lines
    backoff.connected()
    assert backoff.lost(UNANSWERED, lasted=0.1) == 4
    assert lines[-2][1] == "unix:x: connection dropped"
