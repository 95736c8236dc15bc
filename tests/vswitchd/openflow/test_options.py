"""Tunnel options: maps, places, and matches and actions that use them."""

import pytest

from schema.flow.fields import OPTION_FIELD_ID
from vswitchd.openflow import options, packed
from vswitchd.openflow.compile import compile_actions
from vswitchd.openflow.decompile import decompile
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.text import parse_actions, parse_flow


@pytest.fixture
def tlv_map():
    found = options.TlvMap()
    yield found
    found.remove(found.rows)
    assert not options.PLACES


def test_matches_come_back_as_they_went(tlv_map):
    tlv_map.add([(0xffff, 0, 4, 0), (0xffff, 1, 124, 7), (0xffff, 2, 8, 63)])
    for text in ("tun_metadata0=0x12,tun_metadata63=0x1234567890", "tun_metadata7=0x1200/0xff00",
                 f"tun_metadata7=0x{'1f' * 124},ip"):
        match = parse_flow(f"{text},actions=drop", "add").match
        assert packed.unpack(*packed.pack(match)) == match


def test_what_is_not_mapped_cannot_be_used(tlv_map):
    for text in ("tun_metadata1=1,actions=drop", "actions=set_field:1->tun_metadata1"):
        flow = parse_flow(text, "add")
        with pytest.raises(OpenFlowError, match="INVALID_TLV_FIELD"):
            packed.pack(flow.match)
            compile_actions(flow.actions)


def test_bits_of_an_option_are_bits_of_pieces(tlv_map):
    tlv_map.add([(1, 1, 4, 0), (1, 2, 20, 1)])
    assert options.chunks("tun_metadata0", 4, 8) == [(OPTION_FIELD_ID, 100, 8, 4)]
    assert [chunk[2:] for chunk in options.chunks("tun_metadata1", 0, 992)] == [(64, 0), (96, 64)]


@pytest.mark.parametrize("rows, name", [
    ([(1, 1, 4, 0), (1, 2, 4, 0)], "ALREADY_MAPPED"), ([(1, 1, 4, 0), (1, 1, 4, 1)], "DUP_ENTRY"),
    ([(1, 1, 124, 0), (1, 2, 124, 1), (1, 3, 12, 2)], "TABLE_FULL")])
def test_a_map_takes_all_or_nothing(tlv_map, rows, name):
    with pytest.raises(OpenFlowError, match=name):
        tlv_map.add(rows)
    assert not tlv_map.rows and not options.PLACES


def test_bridges_share_places(tlv_map):
    other = options.TlvMap()
    tlv_map.add([(1, 1, 4, 0)])
    other.add([(2, 2, 4, 0)])
    with pytest.raises(OpenFlowError, match="TABLE_FULL"):
        options.TlvMap().add([(2, 2, 8, 0)])
    tlv_map.remove([0])
    assert 0 in options.PLACES
    other.remove([0])


def test_actions_that_use_options_are_known_to_use_them(tlv_map):
    tlv_map.add([(1, 1, 4, 0)])
    ops = compile_actions(parse_actions("delete_field:tun_metadata0")[0])
    assert "tun_metadata0" in repr(decompile(ops))
