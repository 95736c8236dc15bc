"""What C makes of flows before Python is there is what the codec makes of them, or it says nothing.

flow.c is asked for the messages of many flows, made of the words that it knows and of others, and
the codec, too.
"""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utilities.ofctl import flows, pieces, protocol
from vswitchd.openflow.fields import INFO
from vswitchd.openflow.messages import encode
from vswitchd.openflow.messages.flow import FlowStatsRequest
from vswitchd.openflow.text import FlowTextError, match_words, note_normal, parse_flow
from vswitchd.openflow.value_text import ComplainingTo, port_words

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("add", "modify", "modify_strict", "delete", "delete_strict", "match")
SELECT = COMMANDS.index("match")


class Message(ctypes.Structure):
    """struct flow_message."""

    _fields_ = (("usable", ctypes.c_uint32), ("format", ctypes.c_uint32), ("type", ctypes.c_uint8),
                ("size", ctypes.c_uint16), ("body", ctypes.c_uint8 * 4096))


class Port(ctypes.Structure):
    """A member of struct flow_ports."""

    _fields_ = (("name", ctypes.c_char * 16), ("number", ctypes.c_uint16))


class Ports(ctypes.Structure):
    """struct flow_ports."""

    _fields_ = (("any", ctypes.c_bool), ("n", ctypes.c_size_t), ("ports", Port * 1024))


PORTS = {"eth0": 7, "veth-1.5": 65000, "exit": 9, "tcp_src": 10, "a" * 15: 11, "local": 12}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """flow_make: from (text, command, version, aggregate) to (flow format, message type, body), or
    None."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    pieces.write()
    library = tmp_path_factory.mktemp("flow") / "flow.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror",
                    f"-I{ROOT / 'vswitchd/openflow/quick'}", "-o", library,
                    ROOT / "utilities/ofctl/flow.c"], check=True)
    call = ctypes.CDLL(str(library)).flow_make
    call.restype = ctypes.c_bool
    ports = Ports(False, len(PORTS))
    for index, (name, number) in enumerate(PORTS.items()):
        ports.ports[index].name, ports.ports[index].number = name.encode(), number

    def make_one(text: str, command: int, version: int, aggregate: bool = False):
        out = Message()
        if not call(text.encode(), command, ctypes.c_uint8(version), ctypes.c_bool(aggregate),
                    ctypes.c_uint32(0x1ff), ctypes.byref(ports), ctypes.byref(out)):
            return None
        return out.format, out.type, bytes(out.body[:out.size])

    return make_one


def codec(text: str, command: int, version: int, aggregate: bool = False):
    """The same by the codec; the reason where it is wrong or the user is to be told something."""
    heard: list[object] = []
    try:
        with ComplainingTo(lambda *words: heard.append(words)):
            flow = parse_flow(text, COMMANDS[command], PORTS)
        note_normal(flow.match, lambda *words: heard.append(words))
    except FlowTextError as error:
        return str(error)
    if heard:
        return repr(heard)
    bits = protocol.of_versions((version,))
    usable = flow.usable & bits
    if command == SELECT:
        tids = flow.usable & (protocol.OF10_STD_TID | protocol.OF10_NXM_TID)
        usable = (flow.usable | tids >> 1) & bits
        chosen = next((bit for bit in protocol.DUMP_ORDER if bit & usable), 0)
        value = FlowStatsRequest(flow.match, flow.table, flow.out_port, flow.out_group,
                                 flow.cookie, flow.cookie_mask, aggregate,
                                 "nxm" if chosen & protocol.OF10_NXM else "of")
    else:
        chosen = usable & -usable
        value = flows.make_flow_mod(flow, chosen)[0] if chosen else None
    if not chosen:
        return "no format"
    data = encode(value, version, 0)
    return chosen, data[1], data[8:]


USUAL = (
    "priority=5,tcp,nw_src=10.0.0.1,actions=output:1", "actions=drop", "actions=normal",
    "table=0,priority=100,in_port=1,dl_vlan=5,actions=strip_vlan,output:2",
    "in_port=LOCAL,actions=NORMAL", "table=10, priority=1, actions=resubmit(,20)",
    "cookie=0x12,table=71,priority=75,ct_state=+est-rel-rpl,reg6=0x1,actions=ct(commit,zone=5)",
    "priority=10,ip,nw_dst=10.0.0.0/24,idle_timeout=60,actions=mod_dl_dst:00:11:22:33:44:55,2",
    "table=4,tun_id=0x64,actions=mod_vlan_vid:3,resubmit(,10)", "arp,arp_op=1,actions=FLOOD",
    "arp,nw_src=10.0.0.1,actions=controller:65535",
    "ipv6,ipv6_dst=fe80::/10,icmp6,icmp_type=135,actions=flood", "dl_type=0x88cc,actions=CONTROLLER",
    "udp,tp_dst=53,send_flow_rem,hard_timeout=3,actions=set_queue:2,output:3",
    "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,actions=in_port", "actions=goto_table:3",
    "ip,nw_tos=32,actions=dec_ttl,1", "tcp,tp_src=0x400/0xfc00,actions=LOCAL",
    "table=1,ip,actions=set_field:10.0.0.5->nw_dst,goto_table:2", "reg0=5/7,metadata=9,actions=1",
    "actions=load:0x5->NXM_NX_REG0[],resubmit(,2)", "actions=set_field:5->tun_id,3",
    "in_port=eth0,actions=output:veth-1.5", "in_port=eth0,actions=resubmit(eth0,3),output=exit",
    "dl_vlan=7,dl_vlan_pcp=3,actions=pop_vlan,4", "actions=push_vlan:0x8100,mod_vlan_vid:9,1",
)


@pytest.mark.parametrize("text", USUAL)
@pytest.mark.parametrize("version", [1, 4])
def test_usual_flows_need_no_python(text, version, make):
    found = make(text, 0, version)
    expected = codec(text, 0, version)
    assert found == expected or (found is None and isinstance(expected, str))
    assert (found is None) == isinstance(expected, str)


@pytest.mark.parametrize("text", ["", "table=0", "in_port=2", "cookie=0x10/-1", "ip,nw_dst=10.0.0.1",
                                  "cookie=1/0xff,table=3", "out_port=4", "dl_vlan=3,table=0"])
@pytest.mark.parametrize("command", [3, 5])
@pytest.mark.parametrize("version", [1, 4])
def test_usual_selections_need_no_python(text, command, version, make):
    assert make(text, command, version) == codec(text, command, version)


_MAC = st.sampled_from(["00:11:22:33:44:55", "ff:ff:ff:ff:ff:ff", "01:00:5E:00:00:fb", "1:2:3:4:5:6"])
_IPV4 = st.sampled_from(["10.0.0.1", "0.0.0.0", "255.255.255.255", "010.0.0.1", "224.0.0.251"])
_IPV6 = st.sampled_from(["::", "fe80::1", "2001:db8::1:2", "::ffff:10.0.0.1", "ff02::1:ff00:0"])
_NUMBER = st.one_of(
    st.integers(0, 9).map(str), st.integers(0, 1 << 17).map(str), st.integers(0, 1 << 65).map(hex),
    st.sampled_from(["0x800", "0x86dd", "6", "010", "0xffff", "65280", "0xfff8", "4096", "-1", "a"]))
_PORTS = st.one_of(_NUMBER, st.sampled_from([*port_words(), *PORTS, "LOCAL", "Normal", "eth1", '"x"']))
_CT = st.lists(st.sampled_from(["+trk", "-trk", "+est", "-new", "+rel", "-inv", "+rpl", "+x", "est"]),
               max_size=4).map("".join)
_BY_FORM = {pieces.NUMBER: _NUMBER, pieces.DECIMAL: _NUMBER, pieces.IPV4: _IPV4, pieces.MAC: _MAC,
            pieces.IPV6: _IPV6, pieces.PORT: _PORTS, pieces.CT_STATE: _CT}
_NAMES = sorted(name for name in INFO if not name.startswith(("tun_metadata", "reg", "xreg", "nsh"))
                ) + ["reg0", "reg1", "reg9", "reg31", "xreg0", "nsh_si", "tun_metadata0"]
_SPACES = st.sampled_from([",", ",", ",", " ", ", ", "\t"])


@st.composite
def _masked(draw, value: st.SearchStrategy[str], prefix: bool) -> str:
    text = draw(value)
    if draw(st.integers(0, 3)):
        return text
    mask = draw(st.integers(0, 130).map(str)) if prefix and draw(st.booleans()) else draw(value)
    return f"{text}/{mask}"


@st.composite
def _keys(draw) -> str:
    name = draw(st.sampled_from(_NAMES))
    form = pieces.form_of(INFO[name])
    value = _masked(_BY_FORM.get(form, _NUMBER), form in (pieces.IPV4, pieces.IPV6))
    return f"{name}{draw(st.sampled_from('===:'))}{draw(value)}"


_OTHERS = st.builds(
    "{}={}".format, st.sampled_from(["table", "priority", "cookie", "idle_timeout", "hard_timeout",
                                     "importance", "out_port", "out_group", "duration"]),
    _masked(st.one_of(_NUMBER, st.integers(0, 255).map(str)), False))
_WORDS = st.sampled_from([*match_words(), "eth", "send_flow_rem", "check_overlap", "reset_counts",
                          "no_byte_counts", "no_readonly_table", "in_port", "ip=1"])
_MATCHES = st.lists(st.one_of(_WORDS, _keys(), _OTHERS), max_size=6)
_TEMPLATES = [(text, piece.slots) for piece in pieces.pieces() for text in piece.texts]


@st.composite
def _actions(draw) -> str:
    text, slots = draw(st.sampled_from(_TEMPLATES))
    for form, most in slots:
        value = _BY_FORM[form]
        if form <= pieces.DECIMAL:
            value = st.one_of(value, st.integers(0, most).map(str))
        text = text.replace("%", draw(value), 1)
    return text


_RARE = st.sampled_from(["drop", "Drop", "note:01", "learn(table=1)", "ct(commit", ")", "fin_timeout()",
                         "write_actions(output:1)", "clone(1)", "output:NXM_NX_REG0[]"])
_LISTS = st.lists(st.one_of(_actions(), _actions(), _actions(), _RARE), max_size=5)


@st.composite
def _flows(draw, has_actions: bool) -> str:
    space = draw(_SPACES)
    words = draw(_MATCHES)
    if not has_actions:
        return space.join(words)
    equals = draw(st.sampled_from(["actions="] * 6 + ["action=", "actions:", "actions ="]))
    return space.join([*words, equals + draw(_SPACES).join(draw(_LISTS))])


def _hold(make, text: str, command: int, version: int, aggregate: bool = False) -> None:
    found = make(text, command, version, aggregate)
    if found is not None:
        assert found == codec(text, command, version, aggregate)


@settings(max_examples=400, deadline=None)
@given(_flows(True), st.sampled_from([0, 0, 1, 2]), st.sampled_from(pieces.VERSIONS))
def test_any_flow_is_made_as_the_codec_makes_it(make, text, command, version):
    _hold(make, text, command, version)


@settings(max_examples=150, deadline=None)
@given(_flows(False), st.sampled_from([3, 4, 5]), st.sampled_from(pieces.VERSIONS), st.booleans())
def test_any_selection_is_made_as_the_codec_makes_it(make, text, command, version, aggregate):
    _hold(make, text, command, version, aggregate)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(pieces.CONTEXTS), st.lists(_actions(), min_size=1, max_size=3),
       st.sampled_from(pieces.VERSIONS))
def test_actions_beside_what_they_need(make, context, actions, version):
    _hold(make, f"{context},actions={','.join(actions)}", 0, version)


@pytest.mark.parametrize("text", [
    "actions=resubmit(,1)" + ",resubmit(,1)" * 200, "actions=1,2\x01", "tcp,actions=1\n", "actions",
    "ip,nw_src=1.2.3.4/33,actions=1", "cookie=1/1,actions=1", "x" * 5000])
def test_what_is_too_much_or_odd_is_left_to_the_codec(text, make):
    assert make(text, 0, 1) is None
