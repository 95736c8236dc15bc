"""Raw NXM and OXM as text."""

import pytest
from hypothesis import given, strategies as st

from vswitchd.openflow.match import Match
from vswitchd.openflow.oxm import encode_nxm
from vswitchd.openflow.oxm_text import format_oxm, parse_oxm
from vswitchd.openflow.value_text import FlowTextError

LINES = (
    "NXM_OF_IN_PORT(0001), NXM_NX_REG0_W(00000001/0000000f)",
    "OXM_OF_ETH_TYPE(0800), OXM_OF_IP_PROTO(06), OXM_OF_TCP_SRC(0050)",
    "OXM_OF_VLAN_VID_W(1000/1000), OXM_OF_VLAN_PCP(05)",
    "ONFOXM_ET_TCP_FLAGS_W(0002/0012)",
    "NXM_NX_COOKIE_W(0000000000000005/00000000000000ff)",
    "NXM_NX_TUN_METADATA0(1234)",
)


@pytest.mark.parametrize("line", LINES)
def test_lines_read_and_print(line):
    assert format_oxm(parse_oxm(line)) == line


def test_any():
    assert parse_oxm("<any>") == b"" and format_oxm(b"") == "<any>"


def test_blanks_and_raw_headers():
    assert parse_oxm("NXM_NX_REG0( 00000001 )") == encode_nxm(Match.of(reg0=1), 0)
    assert format_oxm(parse_oxm("0001fe04(00000005)")) == "1:127(00000005)"


@pytest.mark.parametrize("line,error", [
    ("FOO(1)", "FOO(1): unknown field `FOO'"),
    ("NXM_NX_REG0", "NXM_NX_REG0: missing ( at end of nx_match"),
    ("NXM_NX_REG0(", "expected to read 4 bytes but got 0"),
    ("NXM_NX_REG0(0000000)", "expected to read 4 bytes but got 3"),
    ("NXM_NX_REG0(0000000g)", "expected to read 4 bytes but got 3"),
    ("NXM_NX_REG0(000000010)", "NXM_NX_REG0(000000010): missing ) following field NXM_NX_REG0"),
    ("NXM_NX_REG0_W(00000001)", "NXM_NX_REG0_W(00000001): missing / in masked field "
                                "NXM_NX_REG0_W"),
    ("NXM_NX_REG0(00000001)x", "NXM_NX_REG0(00000001)x: missing ( at end of nx_match"),
    ("NXM_NX_REG0 (00000001)", "NXM_NX_REG0 (00000001): unknown field `NXM_NX_REG0 '"),
])
def test_errors_are_the_references(line, error):
    with pytest.raises(FlowTextError) as caught:
        parse_oxm(line)
    assert str(caught.value) == error


@given(st.binary(max_size=60))
def test_any_bytes_have_a_text(data):
    assert format_oxm(data)


@given(st.text(alphabet="NXM_OFREG0W()/ ,12af<>any", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        parse_oxm(text)
    except FlowTextError:
        pass
