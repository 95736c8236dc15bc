"""Options, logging levels and JSON complaints of the tools, without any daemon."""

import re

import pytest

from utilities.command_line import (DBG, ERR, INFO, LOG, NO_ARGUMENT, OPTIONAL_ARGUMENT,
                                    REQUIRED_ARGUMENT, WARN, Fatal, Log, parse_options)
from ovsdb_server.engine.json_complaint import JsonError, read_json

TABLE = (("db", REQUIRED_ARGUMENT, ""), ("no-wait", NO_ARGUMENT, ""),
         ("no-syslog", NO_ARGUMENT, ""), ("timeout", REQUIRED_ARGUMENT, "t"),
         ("verbose", OPTIONAL_ARGUMENT, "v"), ("version", NO_ARGUMENT, "V"),
         ("help", NO_ARGUMENT, "h"), ("may-exist", NO_ARGUMENT, "", "command"),
         ("may-not", NO_ARGUMENT, "", "command"))


@pytest.mark.parametrize("argv, found, rest", [
    ([], [], []),
    (["--db=x", "show"], [("db", "x")], ["show"]),
    (["--db", "x", "show"], [("db", "x")], ["show"]),
    (["--db=", "show"], [("db", "")], ["show"]),
    (["-t5", "-t", "6", "-hV", "a"],
     [("timeout", "5"), ("timeout", "6"), ("help", None), ("version", None)], ["a"]),
    (["-vdbg", "-v", "x", "--verbose", "--verbose=y"],
     [("verbose", "dbg"), ("verbose", None)], ["x", "--verbose", "--verbose=y"]),
    (["--verbose", "--verbose=y"], [("verbose", None), ("verbose", "y")], []),
    (["--no-w", "--", "--db", "x"], [("no-wait", None)], ["--db", "x"]),
    (["a", "--db", "x"], [], ["a", "--db", "x"]),
    (["-", "--db"], [], ["-", "--db"]),
    (["--t", "3"], [("timeout", "3")], []),
    (["--may"], [("may-exist", None)], []),
])
def test_options_are_read_as_getopt_does(argv, found, rest) -> None:
    options, words = parse_options(argv, TABLE)
    assert (list(options), words) == (found, rest)


def test_options_may_follow_words_when_reordering() -> None:
    options, words = parse_options(["a", "--db", "x", "b", "--", "--help"], TABLE, reorder=True)
    assert (list(options), words) == ([("db", "x")], ["a", "b", "--help"])


def test_options_before_a_wrong_one_take_effect() -> None:
    options, _ = parse_options(["--db", "x", "--foo"], TABLE)
    assert next(options) == ("db", "x")
    with pytest.raises(Fatal):
        next(options)


@pytest.mark.parametrize("argv, text", [
    (["--foo"], "unrecognized option '--foo'"),
    (["-x"], "invalid option -- 'x'"),
    (["-hx"], "invalid option -- 'x'"),
    (["--db"], "option '--db' requires an argument"),
    (["-t"], "option requires an argument -- 't'"),
    (["--no-wait=3"], "option '--no-wait' doesn't allow an argument"),
    (["--no-w=3"], "option '--no-wait' doesn't allow an argument"),
    (["--no"], "option '--no' is ambiguous; possibilities: '--no-wait' '--no-syslog'"),
    (["--ver"], "option '--ver' is ambiguous; possibilities: '--verbose' '--version'"),
])
def test_wrong_options_are_named_as_getopt_does(argv, text) -> None:
    with pytest.raises(Fatal) as caught:
        list(parse_options(argv, TABLE)[0])
    assert caught.value.text == text


@pytest.mark.parametrize("specification, complaint", [
    ("foo:bar", 'no destination, level, or module "foo"'),
    ("FACILITY:foo", "invalid facility"),
    ("PATTERN:foo:x", 'unknown destination "foo"'),
    ("console:file:warn", "cannot specify multiple destinations"),
    ("warn:dbg", "cannot specify multiple levels"),
    ("vsctl:jsonrpc", "cannot specify multiple modules"),
])
def test_wrong_logging_specifications_are_named(specification: str, complaint: str) -> None:
    with pytest.raises(Fatal) as caught:
        Log().set_levels(specification)
    assert caught.value.text == f'processing "{specification}": {complaint}'


def test_levels_per_module_and_destination(capfd, monkeypatch) -> None:
    monkeypatch.setenv("OVS_SYSLOG_METHOD", "null")
    log = Log()
    log.program = "ovs-vsctl"
    log.log("vsctl", INFO, "not on the console, but counted: syslog wants it")
    log.log("vsctl", DBG, "nowhere")
    log.log("vsctl", WARN, "first")
    log.set_levels("vsctl:console:err")
    log.log("vsctl", WARN, "hidden, and counted")
    log.log("db-ctl-base", WARN, "other module")
    log.set_levels("ANY:console:dbg")
    log.log("vsctl", DBG, "all")
    log.set_levels("PATTERN:console:%-6p|%4N|%A|%c|%m%%")
    log.log("vsctl", ERR, "shaped")
    lines = capfd.readouterr().err.splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|"
    assert re.fullmatch(stamp + r"00002\|vsctl\|WARN\|first", lines[0])
    assert re.fullmatch(stamp + r"00004\|db-ctl-base\|WARN\|other module", lines[1])
    assert re.fullmatch(stamp + r"00005\|vsctl\|DBG\|all", lines[2])
    assert lines[3:] == ["ERR   |   6|ovs-vsctl|vsctl|shaped%"]


def test_log_file_has_milliseconds(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OVS_SYSLOG_METHOD", "null")
    log = Log()
    log.open_file(str(tmp_path / "x.log"))
    log.log("vsctl", INFO, "text")
    first, second = (tmp_path / "x.log").read_text().splitlines()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\|"
    assert re.fullmatch(stamp + r"00001\|vlog\|INFO\|opened log file .*/x\.log", first)
    assert re.fullmatch(stamp + r"00002\|vsctl\|INFO\|text", second)


def test_a_relative_log_file_starts_in_the_working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OVS_SYSLOG_METHOD", "null")
    monkeypatch.setenv("OVS_LOGDIR", "/nonexistent")
    monkeypatch.chdir(tmp_path)
    Log().open_file("x.log")
    assert (tmp_path / "x.log").read_text().endswith("|opened log file x.log\n")


def test_the_tools_share_one_log() -> None:
    assert isinstance(LOG, Log)


@pytest.mark.parametrize("text, value", [
    ("[]", []), ('{"a":[1,2.5,"x"]}', {"a": [1, 2.5, "x"]}),
    (' ["\\ud83d\\ude00", null] ', ["\U0001f600", None])])
def test_json_is_parsed(text: str, value) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize("text, complaint", [
    ("", "line 0, column 0, byte 0: empty input stream"),
    ("[", "line 0, column 1, byte 1: unexpected end of input"),
    ("x", "line 0, column 1, byte 1: invalid keyword 'x'"),
    ('["ordinals"', "line 0, column 11, byte 11: unexpected end of input"),
    ('["ordinals",]', "line 0, column 12, byte 12: syntax error expecting value"),
    ('{"a":1', "line 0, column 7, byte 7: unexpected end of input"),
    ('["a\\q"]', "line 0, column 5, byte 5: bad escape \\q"),
    ('"abc', "line 0, column 4, byte 4: unexpected end of input in quoted string"),
    ("[01]", "line 0, column 3, byte 3: leading zeros not allowed"),
    ("[1.]", "line 0, column 3, byte 3: decimal point must be followed by digit"),
    ("O", "line 0, column 0, byte 0: invalid character 'O'"),
    ("null", "line 0, column 4, byte 4: syntax error at beginning of input"),
    ('"a"', "line 0, column 2, byte 2: syntax error at beginning of input"),
    ("[é", "line 0, column 1, byte 1: invalid character U+00c3"),
    ("[\n\n x]", "line 2, column 2, byte 5: invalid keyword 'x'"),
])
def test_json_mistakes_are_placed(text: str, complaint: str) -> None:
    with pytest.raises(JsonError) as caught:
        read_json(text)
    assert str(caught.value) == complaint
