"""Datapath flows and actions are shown as the reference shows them (`data/odp.jsonl`)."""

import json
from pathlib import Path

import pytest

from datapath import action_text, text

ROWS = [json.loads(line) for line in (
    Path(__file__).parent / "data" / "odp.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["text"][:40])
def test_what_is_read_is_shown_as_the_reference_does(row):
    if row["shown"] is None:            # The reference refuses it.
        parse = action_text.parse_actions if row["kind"] == "actions" else text.parse_whole_flow
        with pytest.raises((text.TextError, text.UnfitError)):
            parse(row["text"])
    elif row["kind"] == "actions":
        assert action_text.format_actions(action_text.parse_actions(row["text"])) == row["shown"]
    elif row["kind"] == "whole":
        flow = text.parse_whole_flow(row["text"], {"p1": 1})
        assert text.format_flow(*flow) == row["shown"]
        assert text.format_flow(*flow, verbose=True) == row["verbose"]
        for half in flow:
            assert text.unpack(text.pack(half)) == {key: bits for key, bits in half.items() if bits}
    else:
        assert text.format_flow(*text.parse_flow(row["text"])) == row["shown"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "actions" and row["shown"]],
                         ids=lambda row: row["text"][:40])
def test_actions_that_are_shown_can_be_read(row):
    shown = action_text.format_actions(action_text.parse_actions(row["text"]))
    assert action_text.format_actions(action_text.parse_actions(shown)) == shown
