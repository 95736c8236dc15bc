"""Levels, patterns, destinations and rate limits, in the reference's words."""

import os
import re

import pytest

from ovsdb_server import vlog


@pytest.fixture(autouse=True)
def restored():
    saved = ({name: list(logger.levels) for name, logger in vlog.LOG.loggers.items()},
             list(vlog.LOG.patterns), vlog.LOG.count, vlog.LOG.program)
    yield
    for name, levels in saved[0].items():
        for destination, level in enumerate(levels):
            vlog.set_level(name, destination, level)
    vlog.LOG.patterns[:], vlog.LOG.count, vlog.LOG.program = saved[1], saved[2], saved[3]
    vlog.close_file()
    vlog.LOG.file_path = None


def levels(name):
    return tuple(vlog.LEVELS[level] for level in vlog.LOG.loggers[name].levels)


def test_words_of_a_specification_come_in_any_order():
    vlog.set_levels("off")
    vlog.set_levels("dbg:jsonrpc:file")
    vlog.set_levels("console:warn:vconn")
    vlog.set_levels("unixctl")
    assert levels("jsonrpc") == ("OFF", "OFF", "DBG")
    assert levels("vconn") == ("OFF", "WARN", "OFF")
    assert levels("unixctl") == ("DBG", "DBG", "DBG")
    vlog.set_levels("ANY:info")
    assert levels("reconnect") == ("INFO", "INFO", "INFO")


@pytest.mark.parametrize("spec, text", [
    ("foo", 'no destination, level, or module "foo"'), ("file:console", "cannot specify multiple "
                                                                      "destinations"),
    ("dbg:info", "cannot specify multiple levels"), ("vconn:jsonrpc", "cannot specify multiple "
                                                                      "modules"),
    ("PATTERN:foo:%m", 'unknown destination "foo"'), ("FACILITY:foo", "invalid facility")])
def test_wrong_specifications_are_named(spec, text):
    with pytest.raises(vlog.VlogError, match=re.escape(text)):
        vlog.set_levels(spec)


def test_a_pattern_expands_every_letter():
    vlog.set_program("prog")
    vlog.LOG.count = 7
    text = vlog.LOG.expand("%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m|%-6c|%6c|%A|%P|%t|%%|%e",
                           "vlog", vlog.WARN, "hello", 1763819473.4068)
    assert text == (f"2025-11-22T13:51:13.406Z|00007|vlog|WARN|hello|vlog  |  vlog|prog|"
                    f"{os.getpid()}|main|%|e")


def test_the_file_gets_lines_in_the_references_form(tmp_path):
    path = tmp_path / "x.log"
    vlog.set_levels("console:off")
    vlog.open_file(str(path))
    vlog.module("reconnect").warn("trouble")
    vlog.module("reconnect").dbg("hidden")
    first, second = path.read_text().splitlines()
    form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\|\d{5}\|"
    assert re.fullmatch(form + rf"vlog\|INFO\|opened log file {re.escape(str(path))}", first)
    assert re.fullmatch(form + r"reconnect\|WARN\|trouble", second)
    assert path.stat().st_mode & 0o777 == 0o660 & ~_umask()


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_reopening_after_rotation_starts_a_new_file(tmp_path):
    path = tmp_path / "x.log"
    vlog.set_levels("console:off")
    vlog.open_file(str(path))
    assert vlog.reopen_file() is None and len(path.read_text().splitlines()) == 1
    path.rename(tmp_path / "x.log.1")
    assert vlog.reopen_file() is None
    assert "closing log file" in (tmp_path / "x.log.1").read_text()
    assert "opened log file" in path.read_text()


def test_a_burst_is_limited_and_the_loss_is_told():
    limit = vlog.RateLimit(per_minute=60, burst=2)
    taken = [limit.take(100.0) for _ in range(4)]
    assert taken == ["", "", None, None]
    assert limit.take(103.0) == ("Dropped 2 log messages in last 3 seconds (most recently, 3 "
                                 "seconds ago) due to excessive rate")
    assert limit.take(103.0) == ""


def test_the_tables_have_the_references_columns():
    vlog.set_levels("info")
    lines = vlog.list_levels().splitlines()
    assert lines[:2] == ["                 console    syslog    file",
                         "                 -------    ------    ------"]
    assert "jsonrpc           INFO       INFO       INFO" in lines
    assert "dpif_lookup_autovalidator  INFO       INFO       INFO" in lines
    lines = vlog.list_patterns().splitlines()
    assert lines[3] == ("CONSOLE  none                              "
                        "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m")
