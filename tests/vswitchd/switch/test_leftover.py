"""The list of devices that a crash would leave behind."""

from vswitchd.switch.leftover import Device, Leftovers

ROWS = frozenset((Device("internal", 0, "br0"), Device("system", 7, "eth 1")))


def test_list_is_read_back(tmp_path):
    path = tmp_path / "devices"
    Leftovers(path).follow(ROWS)
    assert Leftovers(path)._devices == ROWS


def test_no_devices_need_no_file(tmp_path):
    path = tmp_path / "devices"
    leftovers = Leftovers(path)
    leftovers.follow(frozenset())
    assert not path.exists()
    leftovers.follow(ROWS)
    leftovers.follow(frozenset())
    assert list(tmp_path.iterdir()) == []


def test_damaged_list_counts_as_empty(tmp_path):
    path = tmp_path / "devices"
    path.write_text("system x\n\0")
    assert Leftovers(path)._devices == frozenset()
    path.write_bytes(b"\xff\xfe")
    assert Leftovers(path)._devices == frozenset()


def test_clearing_away_what_is_gone_already_is_no_error(tmp_path):
    path = tmp_path / "devices"
    Leftovers(path).follow(frozenset((Device("internal", 0, "nosuchdevice0"),
                                      Device("system", 1 << 30, "nosuchdevice1"))))
    Leftovers(path).clear(ROWS)
