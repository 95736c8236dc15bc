"""NXM and OXM, and the fixed matches of OpenFlow 1.0 and 1.1."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import INFO, INFOS
from vswitchd.openflow.match import Match, value_is_valid
from vswitchd.openflow.oxm import (
    decode_match, decode_match10, decode_match11, decode_nxm, encode_match, encode_nxm, put_entry,
)

DATA = Path(__file__).parent / "data"
ETHERNET = {"packet_type": (0, 0xffffffff)}
BASES = [{}, {"eth_type": 0x800}, {"eth_type": 0x86dd}, {"eth_type": 0x806},
         {"eth_type": 0x8847}, {"eth_type": 0x894f},
         *({"eth_type": kind, "nw_proto": proto} for kind in (0x800, 0x86dd)
           for proto in (6, 17, 132)),
         {"eth_type": 0x800, "nw_proto": 1}, {"eth_type": 0x86dd, "nw_proto": 58},
         {"eth_type": 0x86dd, "nw_proto": 58, "icmpv6_type": 135, "icmpv6_code": 0},
         {"eth_type": 0x86dd, "nw_proto": 58, "icmpv6_type": 136, "icmpv6_code": 0},
         {"vlan_vid": 0x1005}, {"ct_state": 0x22, "eth_type": 0x800, "ct_nw_proto": 6}]


def bodies():
    """(version byte, match bytes) of every recorded flow_mod."""
    for line in (DATA / "flow_mods.jsonl").read_text().splitlines():
        row = json.loads(line)
        if "flow_mod" not in row:
            continue
        data = bytes.fromhex(row["flow_mod"])
        if data[0] == 1 and data[1] == 4:
            yield row["flow"], 0, data[48:48 + int.from_bytes(data[40:42], "big")]
        elif data[0] == 1:
            yield row["flow"], 1, data[8:48]
        elif data[0] == 2:
            yield row["flow"], 2, data[48:136]
        else:
            length = int.from_bytes(data[50:52], "big")
            yield row["flow"], data[0], data[48:48 + (length + 7 & ~7)]


def test_recorded_matches_survive_decode_and_encode():
    n = 0
    for flow, version, data in bodies():
        if "nsh_mdtype=0x5a" in flow or "nsh_ttl=0x5a" in flow:
            with pytest.raises(OpenFlowError, match="OFPBMC_BAD_VALUE"):
                decode_match(data, 0, version) if version else decode_nxm(data)
            continue
        if version:
            match, end = decode_match(data, 0, version)
            assert end == len(data)
            assert encode_match(match, version) == data, flow
        else:
            assert encode_nxm(decode_nxm(data)[0], 0) == data, flow
        n += 1
    assert n > 900


@st.composite
def matches(draw):
    """A match whose prerequisites hold, with a few fields of any kind."""
    from vswitchd.openflow.match import add_ethernet, is_wild, prerequisites_hold, put
    fields = {}
    for name, value in draw(st.sampled_from(BASES)).items():
        put(fields, INFO[name], value, INFO[name].full)
        add_ethernet(fields, INFO[name])
    for info in draw(st.lists(st.sampled_from(INFOS), max_size=6)):
        if (not info.codes or info.variable or not is_wild(fields, info)
                or not prerequisites_hold(fields, info)
                or info.name in ("packet_type", "eth_type", "nw_proto", "ct_state", "vlan_tci",
                                 "icmpv6_type", "icmpv6_code", "vlan_vid", "in_port_oxm",
                                 "actset_output", "ip_frag")):
            continue
        value = draw(st.integers(0, info.significant))
        mask = draw(st.integers(1, info.significant)) if info.maskable and draw(
            st.booleans()) else info.full
        if value_is_valid(info, value):
            put(fields, info, value & mask, mask)
            add_ethernet(fields, info)
    return Match(fields)


@given(matches(), st.sampled_from((0, 3, 4, 5, 6)))
def test_any_match_survives_tlvs(match, version):
    data = encode_nxm(match, version)
    assert decode_nxm(data)[0] == match
    if version:
        padded = encode_match(match, version)
        assert len(padded) % 8 == 0
        assert decode_match(padded, 0, version) == (match, len(padded))


@given(st.binary(max_size=120), st.booleans(), st.booleans())
def test_no_bytes_raise_anything_but_openflow_errors(data, strict, cookie):
    try:
        match, _, _ = decode_nxm(data, strict=strict, cookie=cookie)
    except OpenFlowError as error:
        assert error.name.startswith("OFP")
    else:
        again = encode_nxm(match, 3)
        assert decode_nxm(again)[0].fields.keys() <= match.fields.keys() | {"packet_type"}


@settings(max_examples=60)
@given(st.sampled_from([data for _, version, data in bodies() if version >= 3][::7]),
       st.integers(4, 60), st.integers(0, 255))
def test_damaged_matches_give_openflow_errors(data, at, byte):
    damaged = bytearray(data)
    damaged[at % len(data)] = byte
    try:
        decode_match(bytes(damaged), 0, 4)
    except OpenFlowError:
        pass


@given(st.binary(min_size=88, max_size=88))
def test_fixed_matches_never_fail_otherwise(data):
    decode_match10(data)
    try:
        match = decode_match11(data)
    except OpenFlowError:
        return
    assert decode_match11(encode_match(match, 2)) == match


def error_of(data: str, **options) -> str:
    with pytest.raises(OpenFlowError) as caught:
        decode_nxm(bytes.fromhex(data), **options)
    return caught.value.name


def test_errors_of_tlvs():
    assert error_of("0000") == "OFPBMC_BAD_LEN"
    assert error_of("00010004 0000") == "OFPBMC_BAD_LEN"
    assert error_of("80001604 01020304") == "OFPBMC_BAD_PREREQ"
    assert error_of("00010004 00000001 00010004 00000001") == "OFPBMC_DUP_FIELD"
    assert error_of("00010108 00000001 00000000") == "OFPBMC_BAD_WILDCARDS"
    assert error_of("80000b04 0800ff00") == "OFPBMC_BAD_MASK"
    assert error_of("8000fe04 00000000") == "OFPBMC_BAD_FIELD"
    assert error_of("0001ff02 0000 00010004 00") == "OFPBMC_BAD_FIELD"
    assert error_of("80000c02 e000") == "OFPBMC_BAD_VALUE"
    assert error_of("80000004 00010000") == "OFPBMC_BAD_VALUE"
    assert error_of("ffff0002 0000") == "OFPBMC_BAD_LEN"
    assert error_of("00003c08 0000000000000001") == "OFPBMC_BAD_FIELD"


def test_unknown_fields_are_skipped_if_not_strict():
    match, _, _ = decode_nxm(bytes.fromhex("8000fe04 00000000 00010004 00000005"), strict=False)
    assert match == Match.of(reg0=5)


def test_cookies_travel_as_a_pseudo_field():
    data = encode_nxm(Match.of(reg0=5), 0, 0x1234, 0xffff)
    assert decode_nxm(data, cookie=True) == (Match.of(reg0=5), 0x1234, 0xffff)
    assert error_of(data.hex()) == "OFPBMC_BAD_FIELD"
    exact = encode_nxm(Match.of(), 0, 7, (1 << 64) - 1)
    assert decode_nxm(exact, cookie=True) == (Match.of(), 7, (1 << 64) - 1)
    assert error_of((exact + exact).hex(), cookie=True) == "OFPBMC_DUP_FIELD"


def test_tunnel_metadata_is_as_long_as_its_value():
    info = INFO["tun_metadata0"]
    assert put_entry(info, 0, 0x1234, info.full).hex() == "00015002" + "1234"
    assert put_entry(info, 0, 0, info.full).hex() == "00015000"
    assert put_entry(info, 0, 0x1200, 0xff00).hex() == "00015104" + "1200ff00"


def test_tunnel_metadata_may_have_to_be_there_whatever_its_value():
    data = bytes.fromhex("00015b00")
    match, _, _ = decode_nxm(data)
    assert match == Match({"tun_metadata5": (0, 0)})
    assert encode_nxm(match, 0) == data


def test_only_pipeline_fields_if_asked():
    ok = encode_nxm(Match.of(in_port=1, metadata=5), 6)
    assert decode_nxm(ok, pipeline=True)[0] == Match.of(in_port=1, metadata=5)
    assert error_of("80000a02 0800", pipeline=True) == "OFPBRC_PIPELINE_FIELDS_ONLY"
