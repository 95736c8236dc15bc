"""Tables in every format, and values as people type them, without any database."""

import pytest

from ovsdb_server.engine.datum import ColumnType, format_bare, format_text, parse_text
from ovsdb_server.engine.error import OvsdbError
from utilities.table import Style, Table, pretty_json

STRINGS = ColumnType.from_json({"key": "string", "value": "string", "min": 0, "max": "unlimited"})
UUIDS = ColumnType.from_json({"key": "uuid", "min": 0, "max": "unlimited"})
UUID = "b91acae2-af40-41d0-a972-53ca4a4256c8"


def make() -> Table:
    table = Table(["name", "ids", "refs"], "a caption")
    table.rows = [["x", (STRINGS, (("a", "<b>&\"c"), ("d", "x y"))), (UUIDS, (UUID,))],
                  ["longer", (STRINGS, ()), None]]
    return table


def style(**options) -> Style:
    result = Style()
    for name, value in options.items():
        assert result.apply_option(name.replace("_", "-"), value)
    return result


def test_table() -> None:
    assert make().text(style(), True) == (
        "a caption\n"
        "name   ids                    refs\n"
        "------ ---------------------- --------------------------------------\n"
        f'x      {{a="<b>&\\"c", d="x y"}} [{UUID}]\n'
        "longer {}\n")


def test_narrow_table_without_headings() -> None:
    assert make().text(style(max_column_width="3", no_headings=None), False) == (
        '\na caption\nx   {a= [b9\nlon {}\n')


def test_list() -> None:
    assert make().text(style(bare=None), True) == (
        f'a caption\nx\na=<b>&"c d=x y\n{UUID}\n\nlonger\n\n\n')


def test_csv() -> None:
    assert make().text(style(format="csv"), True) == (
        f'a caption\nname,ids,refs\nx,"{{a=""<b>&\\""c"", d=""x y""}}",[{UUID}]\nlonger,{{}},\n')


def test_html() -> None:
    text = make().text(style(format="html"), False)
    assert text.startswith("<table border=1>\n    <caption>a caption</caption>\n  <tr>\n"
                           "    <th>name</th>\n")
    assert "<td>{a=&quot;&lt;b&gt;&amp;\\&quot;c&quot;, d=&quot;x y&quot;}</td>" in text
    assert f'<td>[<a href="#{UUID}">b91acae2</a>]</td>' in text


def test_json() -> None:
    assert make().text(style(format="json"), False) == (
        '{"caption":"a caption","data":[["x",["map",[["a","<b>&\\"c"],["d","x y"]]],'
        f'["uuid","{UUID}"]],["longer",["map",[]],null]],'
        '"headings":["name","ids","refs"]}\n')


def test_pretty_json() -> None:
    assert pretty_json({"b": [1, []], "a": {}}) == (
        '{\n  "a": {},\n  "b": [\n    1,\n    []]}')


def test_widths_count_bytes() -> None:
    table = Table(["n", "m"])
    table.rows = [["é", "x"], ["ab", "y"]]
    assert table.text(style(no_headings=None), True) == "é x\nab y\n"


INTEGERS = {"key": {"type": "integer", "minInteger": 0, "maxInteger": 4095}, "min": 0, "max": 4096}


@pytest.mark.parametrize("type_, text, shown, bare", [
    ("string", "abc", "abc", "abc"),
    ("string", "a_b-c.9", "a_b-c.9", "a_b-c.9"),
    ("string", "9a", '"9a"', "9a"),
    ("string", '"a b"', '"a b"', "a b"),
    ("string", "true", '"true"', "true"),
    ("string", UUID, f'"{UUID}"', UUID),
    ("string", '"\\u00e9\\n"', '"é\\n"', "é\n"),
    ("boolean", "yes", "true", "true"),
    ("real", "1e3", "1000", "1000"),
    (INTEGERS, "1-3,7", "[1, 2, 3, 7]", "1 2 3 7"),
    (INTEGERS, "[]", "[]", ""),
    (INTEGERS, "[ 3 2,1 ]", "[1, 2, 3]", "1 2 3"),
    ({"key": "string", "min": 0}, "[]", "[]", ""),
    ({"key": "string", "min": 0}, "[x]", "x", "x"),
    ({"key": "string", "value": "integer", "min": 0, "max": "unlimited"}, "b=2 a=1",
     "{a=1, b=2}", "a=1 b=2"),
    ({"key": "string", "value": "string", "min": 0, "max": "unlimited"}, "a\\,b=c",
     '{"a,b"=c}', "a,b=c"),
])
def test_values_are_read_and_shown(type_, text: str, shown: str, bare: str) -> None:
    column_type = ColumnType.from_json(type_)
    datum = parse_text(column_type, text)
    assert format_text(column_type, datum) == shown
    assert format_bare(column_type, datum) == bare


@pytest.mark.parametrize("type_, text, complaint", [
    (INTEGERS, "9-3", '"9-3" is not a valid range. Range end cannot be before start.'),
    (INTEGERS, "abc", '"abc" is not a valid integer or range'),
    (INTEGERS, "1,,2", '1,,2: unexpected "," parsing set of up to 4096 integers'),
    (INTEGERS, "[1", '[1: missing "]" at end of data'),
    (INTEGERS, "1,1", "1,1: set contains duplicate value"),
    (INTEGERS, "5000",
     "constraint violation: 5000 is not in the valid range 0 to 4095 (inclusive)"),
    ("integer", "1-4097", 'constraint violation: Range "1-4097" is too big. Maximum allowed '
                          "size is 4096."),
    ("string", "a,b", "a,b: 2 value(s) specified but the maximum number is 1"),
    ("string", '"a', '"a: quoted string extends past end of argument'),
    ("string", "a\\", "a\\: backslash at end of argument"),
    ("string", '"\\ud800"', '"\\ud800": malformed escaped surrogate pair'),
    ("boolean", "x", '"x" is not a valid boolean (use "true" or "false")'),
    ("uuid", "x", '"x" is not a valid UUID'),
    ({"key": "string", "value": "string", "min": 0, "max": "unlimited"}, "a=1,a=2",
     "a=1,a=2: map contains duplicate key"),
])
def test_wrong_values_are_named(type_, text: str, complaint: str) -> None:
    with pytest.raises(OvsdbError) as caught:
        parse_text(ColumnType.from_json(type_), text)
    assert str(caught.value) == complaint
