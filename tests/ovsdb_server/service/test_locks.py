"""Lock queues: first come first served, theft, and what the robbed hear."""

from ovsdb_server.service.locks import Locks, Notice


def test_waiters_get_the_lock_in_order():
    locks = Locks()
    assert locks.acquire("a", "l", False) == (True, [])
    assert locks.acquire("b", "l", False) == (False, [])
    assert locks.acquire("c", "l", False) == (False, [])
    assert locks.release("b", "l") == []
    assert locks.release("a", "l") == [Notice("c", "locked", "l")]
    assert locks.owns("c", "l") and not locks.owns("a", "l")


def test_the_robbed_waits_unless_it_was_a_thief_itself():
    locks = Locks()
    locks.acquire("a", "l", False)
    assert locks.acquire("b", "l", True) == (True, [Notice("a", "stolen", "l")])
    assert locks.acquire("c", "l", True) == (True, [Notice("b", "stolen", "l")])
    assert locks.names("a") == ([], ["l"], [])
    assert locks.names("b") == ([], [], ["l"])
    assert locks.wants("b", "l")
    assert locks.release("b", "l") == []
    assert not locks.wants("b", "l")
    assert locks.release_all("c") == [Notice("a", "locked", "l")]


def test_the_end_of_a_session_releases_all_it_had():
    locks = Locks()
    locks.acquire("a", "x", False)
    locks.acquire("a", "y", False)
    locks.acquire("b", "y", False)
    assert locks.release_all("a") == [Notice("b", "locked", "y")]
    assert locks.names("a") == ([], [], [])
    assert locks.acquire("c", "x", False) == (True, [])
