"""Packet-ins are held to a rate, with a burst, in order."""

from vswitchd.openflow.pace import Pace


def test_a_burst_goes_at_once_and_the_rest_at_the_rate():
    pace = Pace(10, 3)
    assert [pace.admit(n, 5.0) for n in range(8)] == [[0], [1], [2], [], [], [], [], []]
    assert pace.n_dropped == 2              # only as many as the burst may wait
    assert pace.release(5.0625) == []
    assert pace.release(5.125) == [3]
    assert pace.release(9.0) == [4, 5]
    assert pace.admit(9, 9.0) == [9]


def test_without_a_burst_it_is_a_quarter_of_the_rate():
    assert Pace(100, 0).burst == 25
    assert Pace(1, 0).burst == 1
