"""Datapath flows and actions are shown as the reference shows them (`data/odp.jsonl`)."""

import json
from pathlib import Path

import pytest

from datapath import action_text, text

ROWS = [json.loads(line) for line in (
    Path(__file__).parent / "data" / "odp.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"][:40])
def test_what_is_read_is_shown_as_the_reference_does(row):
    if row["kind"] == "actions":
        shown = action_text.format_actions(action_text.parse_actions(row["text"]))
    else:
        shown = text.format_flow(*text.parse_flow(row["text"]))
    assert shown == row["shown"]
