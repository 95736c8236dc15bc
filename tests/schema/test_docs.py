"""The pages of schema/docs: one per table, a heading per column and per key that is used."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = json.loads((ROOT / "schema" / "vswitch.ovsschema").read_text())["tables"]
PAGES = ROOT / "schema" / "docs"
# The modules that read keys of map columns, which are called so there.
READERS = sorted((ROOT / "vswitchd" / "config").glob("*.py")) + sorted(
    (ROOT / "vswitchd" / "switch").glob("*.py"))
MAPS = {"config", "other_config", "options", "external_ids"}


def sections(table):
    """Return {heading: text} of a table's page."""
    parts = re.split(r"^#+ (.*)\n", (PAGES / f"{table}.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


@pytest.mark.parametrize("table", TABLES)
def test_each_column_has_its_heading_and_text(table):
    found = sections(table)
    assert found[table], "a table's page begins with what the table is"
    assert {heading for heading in found if ":" not in heading} == {table, *TABLES[table]["columns"]}
    assert [heading for heading, text in found.items() if len(text) < 8] == []


@pytest.mark.parametrize("table", TABLES)
def test_headings_of_keys_belong_to_map_columns(table):
    columns = TABLES[table]["columns"]
    for heading in sections(table):
        column, colon, key = heading.partition(":")
        kind = columns[column]["type"] if colon else None
        is_set_of_names = isinstance(kind, dict) and kind.get("max") == "unlimited"
        assert not colon or (key and is_set_of_names), heading


def test_keys_of_an_enumeration_are_all_there():
    kinds = TABLES["CT_Timeout_Policy"]["columns"]["timeouts"]["type"]["key"]["enum"][1]
    assert {f"timeouts:{kind}" for kind in kinds} <= set(sections("CT_Timeout_Policy"))


def keys_read(path):
    """Return the keys that the module at `path` reads from maps, as `config.get("key")` or as
    `number(config, "key", ...)`."""
    keys = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="get" | "pop"), args=[first, *_]):
                words = [owner, first]
            case ast.Call(args=[owner, first, *_]):
                words = [owner, first]
            case ast.Subscript(value=owner, slice=first):
                words = [owner, first]
            case _:
                continue
        name = getattr(words[0], "id", getattr(words[0], "attr", None))
        if name in MAPS and isinstance(words[1], ast.Constant) and isinstance(words[1].value, str):
            keys.add(words[1].value)
    return keys


def test_each_key_that_the_switch_reads_is_documented():
    documented = {heading.partition(":")[2] for table in TABLES for heading in sections(table)}
    read = {key for path in READERS for key in keys_read(path)}
    assert len(read) > 10
    assert read - documented == set()


def test_the_index_links_every_page():
    links = set(re.findall(r"\]\((\w+)\.md\)", (PAGES / "README.md").read_text()))
    assert links == set(TABLES)
