"""Event counters: totals, averages and the texts of coverage/*."""

import pytest

from ovsdb_server.coverage import Coverage


def test_a_counter_that_scripts_read_is_there_and_zero():
    assert Coverage().read(["dp_packet_batch_grow"]) == "0\n"
    with pytest.raises(LookupError, match="No such counter"):
        Coverage().read(["nonsense"])


def test_averages_cover_seconds_minute_and_hour():
    coverage = Coverage()
    counter = coverage.counter("things")
    coverage.tick(100.0)
    for step in range(1, 13):
        counter.add(10)
        coverage.tick(100.0 + 5 * step)
    first, row, last = coverage.show().splitlines()
    assert first.startswith("Event coverage, avg rate over last: 5 seconds, last minute, last "
                            "hour,  hash=")
    assert row == "things                     2.0/sec     2.000/sec        0.0333/sec   total: 120"
    assert last == "1 events never hit"
    coverage.tick(100.0 + 3600)
    assert "0.0/sec     0.000/sec" in coverage.show()
    assert coverage.read(["things"]) == "120\n"
