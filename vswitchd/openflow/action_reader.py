"""Reads actions and instructions as ovs-ofctl does, from what `action_text.py` writes and more.

parse_instructions(text, ports, tables)             a flow's: (actions, protocols that can say it)
parse_actions(text, ports, tables)                  a bucket's or packet-out's: no instructions

`text.py` offers them too. Errors are FlowTextError with ovs-ofctl's sentences. Any thread.
"""

import re
from collections.abc import Callable

from schema.openflow.actions import (
    BUNDLE_ALGORITHMS, CT_ALGS, CT_COMMIT, CT_FORCE, CT_NO_TABLE, HASH_FIELDS, LEARN_DELETE_LEARNED,
    LEARN_SEND_FLOW_REM, LEARN_WRITE_RESULT, MULTIPATH_ALGORITHMS, NAT_DST, NAT_HASH,
    NAT_PERSISTENT, NAT_RANDOM, NAT_SRC, PACKET_IN_REASONS, PACKET_TYPE_NEXT, PACKET_TYPE_NSH,
)
from vswitchd.openflow.action_decoder import MIN_TRUNC
from vswitchd.openflow.action_layout import load
from vswitchd.openflow.action_order import verify
from vswitchd.openflow.action_text import ENCAP_NAMES
from vswitchd.openflow.action_types import (
    Action, Actions, Bundle, CheckPktLarger, ClearActions, Clone, Conjunction, Controller, Ct,
    CtClear, DebugRecirc, DebugSlow, DecMplsTtl, DecNshTtl, DecTtl, Decap, DeleteField, Encap,
    EncapNsh, EncapTlv, Enqueue, Exit, FinTimeout, GotoTable, Group, Learn, LearnSpec, Meter,
    Multipath, Nat, Note, Output, OutputReg, OutputTrunc, PopMpls, PopQueue, PushMpls, PushVlan,
    RegMove, Resubmit, Sample, SetEthDst, SetEthSrc, SetField, SetIpDscp, SetIpEcn, SetIpTtl,
    SetIpv4Dst, SetIpv4Src, SetL4DstPort, SetL4SrcPort, SetMplsLabel, SetMplsTc, SetMplsTtl,
    SetQueue, SetTunnel, SetVlanPcp, SetVlanVid, StackPop, StackPush, StripVlan, Subfield,
    WriteActions, WriteMetadata,
)
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import (
    ALL, ANY, CONTROLLER, FLOOD, IN_PORT, INFO, NONE, NORMAL, NXM_OF11_UP, OF11_UP, OF13_UP, TABLE,
    Info,
)
from vswitchd.openflow.match import value_is_valid
from vswitchd.openflow.value_text import (
    FlowTextError, Names, c_integer, complain, key_values, parse_ipv4, parse_ipv6, parse_mac,
    parse_port, parse_subfield, parse_table, parse_u8, parse_u16, parse_u32, parse_u64, parse_value,
    sized_integer,
)

_FULL64 = (1 << 64) - 1


class _Reader:
    """What parsers of single actions need: names of ports and tables, and the protocols left."""

    __slots__ = ("ports", "tables", "usable")

    def __init__(self, ports: Names | None, tables: Names | None) -> None:
        self.ports, self.tables, self.usable = ports, tables, ANY


def parse_instructions(text: str, ports: Names | None = None,
                       tables: Names | None = None) -> tuple[Actions, int]:
    """Reads the actions of a flow: (actions, protocols that can say them)."""
    reader = _Reader(ports, tables)
    return _parse_list(text, reader, True, None), reader.usable


def parse_actions(text: str, ports: Names | None = None,
                  tables: Names | None = None) -> tuple[Actions, int]:
    """Reads a list that may hold actions only (bucket, packet-out); as parse_instructions."""
    reader = _Reader(ports, tables)
    return _parse_list(text, reader, False, None), reader.usable


def _parse_list(text: str, reader: _Reader, instructions: bool,
                outer: type | None) -> Actions:
    actions: list[Action] = []
    drop = False
    for key, value in key_values(text):
        word = key.lower()
        parse = _PARSE.get(word)
        if parse is not None:
            new = parse(value, reader)
            if isinstance(new, Action):
                actions.append(new)
            elif new is not None:
                actions += new
        elif word == "drop":
            drop = True
        elif word == "apply_actions":
            raise FlowTextError("apply_actions is the default instruction")
        else:
            port = parse_port(key, reader.ports)
            if port is None:
                raise FlowTextError(f"unknown action {key}")
            actions.append(Output(port))
    if drop and actions:
        raise FlowTextError('"drop" must not be accompanied by any other action or instruction')
    found = tuple(actions)
    try:
        verify(found, instructions=instructions, outer=outer)
    except OpenFlowError as error:
        raise FlowTextError(error.reason) from None
    return found


def _port_or_fail(text: str, reader: _Reader, sentence: str) -> int:
    port = parse_port(text, reader.ports)
    if port is None:
        raise FlowTextError(sentence.format(text))
    return port


def _parse_output(text: str, reader: _Reader) -> Action:
    if "port" in text and "max_len" in text:
        return _parse_trunc(text, reader)
    port = parse_port(text, reader.ports)
    if port is not None:
        return Output(port, 0xffff if port == CONTROLLER else 0)
    try:
        info, offset, n_bits, rest = parse_subfield(text)
        if rest:
            raise FlowTextError("")
    except FlowTextError:
        raise FlowTextError(f"{text}: output to unknown port") from None
    return OutputReg(Subfield(info.name, offset, n_bits))


def _parse_trunc(text: str, reader: _Reader) -> OutputTrunc:
    port = max_len = 0
    for key, value in key_values(text):
        if key == "port":
            port = parse_port(value, reader.ports)
            if port is None:
                raise FlowTextError(f"output to unknown truncate port: {value}")
            if port in (NORMAL, FLOOD, ALL, TABLE, CONTROLLER, NONE):
                raise FlowTextError(f"output to unsupported truncate port: {value}")
        elif key == "max_len":
            max_len = parse_u32(value)
            if max_len < MIN_TRUNC:
                raise FlowTextError(
                    f"max_len {max_len} is less than the minimum value {MIN_TRUNC}")
        else:
            raise FlowTextError(f"invalid key '{key}' in output_trunc argument")
    return OutputTrunc(port, max_len)


def _parse_controller(text: str, reader: _Reader) -> Action:
    max_len, controller, reason, userdata, pause, meter = 0xffff, 0, 1, None, False, 0
    if not text:
        return Output(CONTROLLER, 0xffff)
    if text[0].isdigit() and all(char not in text for char in ",=("):
        return Output(CONTROLLER, parse_u16(text, "max_len"))
    for key, value in key_values(text):
        if key == "reason":
            if value not in PACKET_IN_REASONS:
                raise FlowTextError(f'unknown reason "{value}"')
            reason = PACKET_IN_REASONS.index(value)
        elif key == "max_len":
            max_len = parse_u16(value, "max_len")
        elif key == "id":
            controller = parse_u16(value, "id")
        elif key == "userdata":
            userdata = _hex_bytes(value, "bad hex digit in `controller' action `userdata'")
        elif key == "pause":
            pause = True
        elif key == "meter_id":
            meter = parse_u32(value)
        else:
            raise FlowTextError(f'unknown key "{key}" parsing controller action')
    if reason == 1 and not controller and userdata is None and not pause and not meter:
        return Output(CONTROLLER, max_len)
    return Controller(max_len, controller, reason, userdata or b"", pause, meter)


def _hex_bytes(text: str, sentence: str) -> bytes:
    """Pairs of hexadecimal digits, with dots between them at will."""
    out = bytearray()
    at = 0
    while at < len(text):
        if text[at] == ".":
            at += 1
            continue
        try:
            if len(text) - at < 2:
                raise ValueError
            out += bytes.fromhex(text[at:at + 2])
        except ValueError:
            raise FlowTextError(sentence) from None
        at += 2
    return bytes(out)


def _parse_enqueue(text: str, reader: _Reader) -> Enqueue:
    sep = ":" if ":" in text else ","
    port, _, queue = text.lstrip(sep).partition(sep)
    if not port or not queue:
        raise FlowTextError('"enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"')
    return Enqueue(_port_or_fail(port, reader, "{}: enqueue to unknown port"), parse_u32(queue))


def _words(text: str) -> list[str]:
    """Arguments separated by commas and blanks."""
    return text.replace(",", " ").split()


def _cut_word(text: str, delimiters: str) -> tuple[str, str]:
    """(the first word, what is behind the delimiter that ends it)."""
    text = text.lstrip(delimiters)
    size = next((at for at, char in enumerate(text) if char in delimiters), len(text))
    return text[:size], text[size + 1:]


def _parse_bundle(with_load: bool):
    def parse(text: str, reader: _Reader) -> Bundle:
        words, rest = [], text
        for _ in range(5 if with_load else 4):
            word, rest = _cut_word(rest, ", ")
            words.append(word)
        delimiter, rest = _cut_word(rest, ": ")
        if not delimiter:
            raise FlowTextError(f"{text}: not enough arguments to bundle action")
        if delimiter.lower() not in ("members", "slaves"):
            raise FlowTextError(f"{text}: missing member delimiter, expected `members', got "
                                f"`{delimiter}'")
        members = tuple(_port_or_fail(word, reader, "{}: bad port number")
                        for word in _words(re.sub(r"[\[\]]", " ", rest)))
        fields, basis, algorithm, member_type = words[:4]
        if fields not in HASH_FIELDS:
            raise FlowTextError(f"{text}: unknown fields `{fields}'")
        if algorithm not in BUNDLE_ALGORITHMS:
            raise FlowTextError(f"{text}: unknown algorithm `{algorithm}'")
        if member_type.lower() != "ofport":
            raise FlowTextError(f"{text}: unknown member_type `{member_type}'")
        dst = _subfield_alone(words[4]) if with_load else None
        return Bundle(HASH_FIELDS.index(fields), _lenient(basis) & 0xffff,
                      BUNDLE_ALGORITHMS.index(algorithm), members, dst)
    return parse


def _lenient(text: str) -> int:
    """A number as atoi reads it: 0 if it is none."""
    found = c_integer(text)
    return found[0] if found else 0


def _subfield_alone(text: str) -> Subfield:
    info, offset, n_bits, rest = parse_subfield(text)
    if rest:
        raise FlowTextError("unexpected input following field syntax")
    return Subfield(info.name, offset, n_bits)


def _parse_multipath(text: str, reader: _Reader) -> Multipath:
    words = _words(text)
    if len(words) < 6:
        raise FlowTextError(f"{text}: not enough arguments to multipath action")
    fields, basis, algorithm, n_links, arg, dst = words[:6]
    if fields not in HASH_FIELDS:
        raise FlowTextError(f"{text}: unknown fields `{fields}'")
    if algorithm not in MULTIPATH_ALGORITHMS:
        raise FlowTextError(f"{text}: unknown algorithm `{algorithm}'")
    links = _lenient(n_links)
    if not 1 <= links <= 65536:
        raise FlowTextError(f"{text}: n_links {links} is not in valid range 1 to 65536")
    where = _subfield_alone(dst)
    if where.n_bits < 16 and links > 1 << where.n_bits:
        raise FlowTextError(f"{text}: {where.n_bits}-bit destination field has "
                            f"{1 << where.n_bits} possible values, less than specified n_links "
                            f"{links}")
    return Multipath(HASH_FIELDS.index(fields), _lenient(basis) & 0xffff,
                     MULTIPATH_ALGORITHMS.index(algorithm), links - 1,
                     _lenient(arg) & 0xffffffff, where)


def _arrow(text: str) -> tuple[str, str]:
    """Cuts 'value->name'."""
    value, arrow, name = text.partition("->")
    if not arrow:
        raise FlowTextError(f"{text}: missing `->'")
    if not name:
        raise FlowTextError(f"{text}: missing field name following `->'")
    return value, name


def _parse_set_field(text: str, reader: _Reader) -> SetField:
    value_text, name = _arrow(text)
    info = INFO.get(name)
    if info is None:
        raise FlowTextError(f"{name} is not a valid OXM field name")
    if not info.writable:
        raise FlowTextError(f"{name} is read-only")
    if not info.codes:                           # dl_vlan and dl_vlan_pcp have no OXM
        info = INFO["vlan_vid" if info.bits == 12 else "vlan_pcp"]
        value, mask = parse_value(info, value_text, reader.ports)
        if info.bits == 12:
            value |= 0x1000
        reader.usable &= info.exact
        return SetField(info.name, value, mask)
    value, mask = parse_value(info, value_text, reader.ports)
    if not value_is_valid(info, value):
        raise FlowTextError(f"{value_text} is not a valid value for field {name}")
    reader.usable &= info.exact
    return SetField(info.name, value, mask)


def _parse_load(text: str, reader: _Reader) -> SetField:
    value_text, name = _arrow(text)
    dst = _subfield_alone(name)
    value, rest, large = sized_integer(value_text, INFO[dst.field].size)
    if rest or large or not value_text:
        raise FlowTextError(f"{text}: cannot parse integer value")
    if value >> dst.n_bits:
        raise FlowTextError(f"{text}: value {value:#x} does not fit into {dst.n_bits} bits")
    return load(dst, value)


def _parse_move(text: str, reader: _Reader) -> RegMove:
    source, arrow, target = text.partition("->")
    try:
        info, offset, n_bits, rest = parse_subfield(source if arrow else text)
    except FlowTextError as error:
        # The reference names everything that follows when a name is unknown.
        raise FlowTextError(_whole_text(str(error), source, text)) from None
    if not arrow or rest:
        raise FlowTextError(f"{text}: missing `->' following source")
    src = Subfield(info.name, offset, n_bits)
    dst = _subfield_alone(target)
    if src.n_bits != dst.n_bits:
        raise FlowTextError(f"{text}: source field is {src.n_bits} bits wide but destination is "
                            f"{dst.n_bits} bits wide")
    return RegMove(src, dst)


def _whole_text(sentence: str, source: str, text: str) -> str:
    prefix = f"{source}: "
    return f"{text}: {sentence[len(prefix):]}" if sentence.startswith(prefix) else sentence


def _parse_stack(cls: type):
    def parse(text: str, reader: _Reader) -> Action:
        info, offset, n_bits, rest = parse_subfield(text)
        if rest:
            raise FlowTextError(f"{rest}: trailing garbage following push or pop")
        return cls(Subfield(info.name, offset, n_bits))
    return parse


def _parse_vlan_vid(push: bool):
    def parse(text: str, reader: _Reader) -> SetVlanVid:
        vid = parse_u16(text, "VLAN VID")
        if vid & ~0xfff:
            raise FlowTextError(f"{text}: not a valid VLAN VID")
        return SetVlanVid(vid, push)
    return parse


def _parse_vlan_pcp(push: bool):
    def parse(text: str, reader: _Reader) -> SetVlanPcp:
        pcp = parse_u8(text, "VLAN PCP")
        if pcp & ~7:
            raise FlowTextError(f"{text}: not a valid VLAN PCP")
        return SetVlanPcp(pcp, push)
    return parse


def _parse_push_vlan(text: str, reader: _Reader) -> PushVlan:
    reader.usable &= OF11_UP
    eth_type = parse_u16(text, "ethertype")
    if eth_type not in (0x8100, 0x88a8):
        raise FlowTextError(f"{text}: not a valid VLAN ethertype")
    return PushVlan(eth_type)


def _parse_mac_setter(cls: type):
    def parse(text: str, reader: _Reader) -> Action:
        mac = parse_mac(text)
        if mac is None:
            raise FlowTextError(f"invalid mac address {text}")
        return cls(mac)
    return parse


def _parse_ip_setter(cls: type):
    def parse(text: str, reader: _Reader) -> Action:
        ip = parse_ipv4(text)
        if ip is None:
            complain("socket_util", "ERR", f'"{text}" is not a valid IP address')
            raise FlowTextError(f"{text}: could not convert to IP address")
        return cls(ip)
    return parse


def _parse_tos(text: str, reader: _Reader) -> SetIpDscp:
    tos = parse_u8(text, "TOS")
    if tos & ~0xfc:
        raise FlowTextError(f"{text}: not a valid TOS")
    return SetIpDscp(tos)


def _parse_ecn(text: str, reader: _Reader) -> SetIpEcn:
    ecn = parse_u8(text, "ECN")
    if ecn & ~3:
        raise FlowTextError(f"{text}: not a valid ECN")
    return SetIpEcn(ecn)


def _parse_dec_ttl(text: str, reader: _Reader) -> DecTtl:
    words = _words(text)
    if not words:
        return DecTtl()
    return DecTtl(tuple(_lenient(word) & 0xffff for word in words))


def _parse_mpls_label(text: str, reader: _Reader) -> SetMplsLabel:
    if not text:
        raise FlowTextError("set_mpls_label: expected label.")
    label = parse_u32(text)
    if label & ~0xfffff:
        raise FlowTextError(f"{text}: not a valid MPLS label")
    return SetMplsLabel(label)


def _parse_mpls_tc(text: str, reader: _Reader) -> SetMplsTc:
    if not text:
        raise FlowTextError("set_mpls_tc: expected tc.")
    tc = parse_u8(text, "MPLS TC")
    if tc & ~7:
        raise FlowTextError(f"{text}: not a valid MPLS TC")
    return SetMplsTc(tc)


def _parse_mpls_ttl(text: str, reader: _Reader) -> SetMplsTtl:
    if not text:
        raise FlowTextError("set_mpls_ttl: expected ttl.")
    return SetMplsTtl(parse_u8(text, "MPLS TTL"))


def _parse_delete_field(text: str, reader: _Reader) -> DeleteField:
    info = INFO.get(text)
    if info is None:
        raise FlowTextError(f"unknown field `{text}'")
    return DeleteField(info.name)


def _parse_fin_timeout(text: str, reader: _Reader) -> FinTimeout:
    idle = hard = 0
    for key, value in key_values(text):
        if key == "idle_timeout":
            idle = parse_u16(value, key)
        elif key == "hard_timeout":
            hard = parse_u16(value, key)
        else:
            raise FlowTextError(f"invalid key '{key}' in 'fin_timeout' argument")
    return FinTimeout(idle, hard)


def _parse_resubmit(text: str, reader: _Reader) -> Resubmit:
    words = text.split(",")
    in_port, table, ct = IN_PORT, 0xff, False
    if words[0]:
        in_port = _port_or_fail(words[0], reader, "{}: resubmit to unknown port")
    if len(words) > 1 and words[1]:
        found = parse_table(words[1], reader.tables)
        if found is None:
            raise FlowTextError(f"{words[1]}: resubmit to unknown table")
        table = found
    if len(words) > 2 and words[2]:
        if words[2].lower() != "ct":
            raise FlowTextError(f"{words[2]}: unknown parameter")
        ct = True
    if in_port == IN_PORT and table == 0xff:
        raise FlowTextError('at least one "in_port" or "table" must be specified on resubmit')
    return Resubmit(in_port, table, ct)


_LEARN_NUMBERS = {"idle_timeout": 0xffff, "hard_timeout": 0xffff, "priority": 0xffff,
                  "cookie": _FULL64, "fin_idle_timeout": 0xffff, "fin_hard_timeout": 0xffff,
                  "limit": 0xffffffff}


def _parse_learn(text: str, reader: _Reader) -> Learn:
    members: dict[str, object] = {}
    specs: list[LearnSpec] = []
    flags = 0
    for key, value in key_values(text):
        if key == "table":
            table = parse_table(value, reader.tables)
            if table is None:
                raise FlowTextError(f'unknown table "{value}"')
            if table == 255:
                raise FlowTextError(f"{text}: table id 255 not valid for `learn' action")
            members["table"] = table
        elif key in _LEARN_NUMBERS:
            members[key] = _lenient(value) & _LEARN_NUMBERS[key]
        elif key == "send_flow_rem":
            flags |= LEARN_SEND_FLOW_REM
        elif key == "delete_learned":
            flags |= LEARN_DELETE_LEARNED
        elif key == "result_dst":
            dst = _subfield_alone(value)
            if not INFO[dst.field].writable:
                raise FlowTextError(f"{value} is read-only")
            if dst.n_bits != 1:
                raise FlowTextError("result_dst in 'learn' action must be a single bit")
            members["result_dst"] = dst
            flags |= LEARN_WRITE_RESULT
        else:
            specs.append(_parse_spec(text, key, value, reader))
    return Learn(flags=flags, specs=tuple(specs), **members)


def _parse_spec(orig: str, key: str, value: str, reader: _Reader) -> LearnSpec:
    info = INFO.get(key)
    offset, n_bits = 0, 0
    if info is not None:
        n_bits = info.bits
    elif key == "load":
        return _parse_learn_load(value, reader)
    elif key == "output":
        src = _subfield_alone(value)
        return LearnSpec(src.n_bits, src, 0, 2, None)
    else:
        try:
            info, offset, n_bits, rest = parse_subfield(key)
        except FlowTextError:
            raise FlowTextError(f"{orig}: unknown keyword {key}") from None
    dst = Subfield(info.name, offset, n_bits)
    if not info.codes:
        raise FlowTextError(f"{orig}: experimenter OXM field '{info.name}' not supported")
    if not value:
        return LearnSpec(n_bits, dst, 0, 0, dst)
    try:
        src = _subfield_alone(value)
    except FlowTextError as error:
        try:
            number = _learn_immediate(dst, info, key, value, reader)
        except FlowTextError as second:
            raise FlowTextError(
                f"{orig}: {key} value {value} cannot be parsed as a subfield ({error}) or an "
                f"immediate value ({second})") from None
        return LearnSpec(n_bits, None, number, 0, dst)
    if src.n_bits != n_bits:
        raise FlowTextError(f"{orig}: bit widths of {key} ({src.n_bits}) and {value} ({n_bits}) "
                            "differ")
    return LearnSpec(n_bits, src, 0, 0, dst)


def _learn_immediate(dst: Subfield, info: Info, key: str, text: str, reader: _Reader) -> int:
    """A constant to match: written as the field is, or as an integer for part of one."""
    if dst.n_bits == info.bits:
        value, mask = parse_value(info, text, reader.ports)
        if mask != info.full:
            raise FlowTextError(f"{text}: wildcards not allowed here")
        return value & info.significant
    value, rest, large = sized_integer(text, 128)
    if rest or large or not text:
        raise FlowTextError(f"{key}={text}: cannot parse integer value")
    if value >> dst.n_bits:
        raise FlowTextError(f"{key}={text}: value {value:#x} does not fit into {dst.n_bits} bits")
    return value


def _parse_learn_load(text: str, reader: _Reader) -> LearnSpec:
    source, arrow, target = text.partition("->")
    if not arrow:
        raise FlowTextError(f"load: missing `->' in `{text}'")
    value, rest, large = sized_integer(source, 128)
    if rest == source or large or rest:
        try:
            src = _subfield_alone(source)
        except FlowTextError as error:
            raise FlowTextError(_whole_text(str(error), source, text)) from None
        dst = _subfield_alone(target)
        if src.n_bits != dst.n_bits:
            raise FlowTextError(f"{text}: source field is {src.n_bits} bits wide but destination "
                                f"is {dst.n_bits} bits wide")
        return LearnSpec(dst.n_bits, src, 0, 1, dst)
    dst = _subfield_alone(target)
    if value >> dst.n_bits:
        raise FlowTextError(f"{text}: value does not fit into {dst.n_bits} bits")
    return LearnSpec(dst.n_bits, None, value, 1, dst)


def _parse_conjunction(text: str, reader: _Reader) -> Conjunction:
    found = re.fullmatch(r"\s*(0[xX][0-9a-fA-F]+|\d+)\s*,\s*(\d+)\s*/\s*(\d+)\s*", text)
    if found is None:
        raise FlowTextError('"conjunction" syntax is "conjunction(id,i/n)"')
    conj_id, clause, count = int(found[1], 0), int(found[2]), int(found[3])
    if count < 2:
        raise FlowTextError("conjunction must have at least 2 clauses")
    if count > 64:
        raise FlowTextError("conjunction must have at most 64 clauses")
    if clause < 1:
        raise FlowTextError("clause index must be positive")
    if clause > count:
        raise FlowTextError("clause index must be less than or equal to number of clauses")
    return Conjunction(conj_id & 0xffffffff, clause - 1, count)


def _parse_note(text: str, reader: _Reader) -> Note:
    return Note(_padded_note(_hex_bytes(text, "bad hex digit in `note' argument")))


def _padded_note(data: bytes) -> bytes:
    return data + bytes(-(len(data) + 10) % 8)


def _parse_sample(text: str, reader: _Reader) -> Sample:
    probability, collector, port, direction = 0, 0, NONE, 0
    ids: dict[str, tuple[int, Subfield | None]] = {}
    for key, value in key_values(text):
        if key == "probability":
            probability = parse_u16(value, "probability")
            if not probability:
                raise FlowTextError(f'invalid probability value "{value}"')
        elif key == "collector_set_id":
            collector = parse_u32(value)
        elif key in ("obs_domain_id", "obs_point_id"):
            ids[key] = _observation_id(value)
        elif key == "sampling_port":
            port = _port_or_fail(value, reader, "{}: unknown port")
        elif key == "ingress":
            direction = 1
        elif key == "egress":
            direction = 2
        else:
            raise FlowTextError(f'invalid key "{key}" in "sample" argument')
    if not probability:
        raise FlowTextError('non-zero "probability" must be specified on sample')
    domain, domain_src = ids.get("obs_domain_id", (0, None))
    point, point_src = ids.get("obs_point_id", (0, None))
    return Sample(probability, collector, domain, point, port, direction, domain_src, point_src)


def _observation_id(text: str) -> tuple[int, Subfield | None]:
    """A number, or (4.0 and later) a subfield of at most 32 bits."""
    try:
        return parse_u32(text), None
    except FlowTextError:
        info, offset, n_bits, rest = parse_subfield(text)
        if rest:
            raise
        if n_bits > 32:
            raise FlowTextError(f"size of field ({n_bits}) exceeds maximum (32)") from None
        return 0, Subfield(info.name, offset, n_bits)


def _parse_ct(text: str, reader: _Reader) -> Ct:
    flags, table, zone, alg = 0, CT_NO_TABLE, 0, 0
    zone_src: Subfield | None = None
    inner: list[Action] = []
    for key, value in key_values(text):
        if key == "commit":
            flags |= CT_COMMIT
        elif key == "force":
            flags |= CT_FORCE
        elif key == "table":
            found = parse_table(value, reader.tables)
            if found is None:
                raise FlowTextError(f"unknown table {value}")
            if found == CT_NO_TABLE:
                raise FlowTextError("invalid table 0xff")
            table = found
        elif key == "zone":
            zone, zone_src = _parse_zone(value)
        elif key == "alg":
            alg = next((number for number, name in CT_ALGS.items() if name == value and number), 0)
            if not alg:
                raise FlowTextError(f'invalid conntrack helper "{value}"')
        elif key == "nat":
            inner.append(_parse_nat(value, reader))
        elif key == "exec":
            inner += _parse_list(value, reader, False, Ct)
        else:
            raise FlowTextError(f"invalid argument to \"ct\" action: `{key}'")
    if flags & CT_FORCE and not flags & CT_COMMIT:
        raise FlowTextError('"force" flag requires "commit" flag.')
    return Ct(flags, table, zone, zone_src, alg, tuple(inner))


def _parse_zone(text: str) -> tuple[int, Subfield | None]:
    try:
        return parse_u16(text, "zone"), None
    except FlowTextError:
        return 0, _subfield_alone(text)


def _parse_nat(text: str, reader: _Reader) -> Nat:
    flags, ranges = 0, (0, 0, 0, 0, 0)
    for key, value in key_values(text):
        if key in ("src", "dst"):
            flags |= NAT_SRC if key == "src" else NAT_DST
            if value:
                ranges = _parse_nat_range(value)
        elif key == "persistent":
            flags |= NAT_PERSISTENT
        elif key == "hash":
            flags |= NAT_HASH
        elif key == "random":
            flags |= NAT_RANDOM
        else:
            raise FlowTextError(f'invalid key "{key}" in "nat" argument')
    if flags & NAT_SRC and flags & NAT_DST:
        raise FlowTextError('May only specify one of "src" or "dst".')
    if not flags & (NAT_SRC | NAT_DST) and flags:
        raise FlowTextError('Flags allowed only with "src" or "dst".')
    if flags & NAT_HASH and flags & NAT_RANDOM:
        raise FlowTextError('Both "hash" and "random" are not allowed.')
    return Nat(flags, *ranges)


_IPV4 = re.compile(r"\d+\.\d+\.\d+\.\d+")
_IPV6 = re.compile(r"\[([0-9a-fA-F:.]+)\]|([0-9a-fA-F:.]+)")


def _nat_address(text: str, at: int, family: int) -> tuple[int, int, int]:
    """Reads an address at `at`: (family, value, next offset); family 0 if there is none."""
    if family in (0, 4):
        found = _IPV4.match(text, at)
        if found is not None:
            value = parse_ipv4(found[0])
            if value is not None:
                return 4, value, found.end()
    if family in (0, 6):
        found = _IPV6.match(text, at)
        if found is not None:
            value = parse_ipv6(found[1] or found[2])
            if value is not None:
                return 6, value, found.end()
    return 0, 0, at


def _parse_nat_range(text: str) -> tuple[int, int, int, int, int]:
    """'A[-B][:p[-q]]': (family, low and high address, low and high port)."""
    family, low, at = _nat_address(text, 0, 0)
    high = port_min = port_max = 0
    invalid = FlowTextError(f'invalid nat range "{text}"')
    if not family:
        position = 1 if text[:1] in "0123456789abcdefABCDEF[:" and text else 0
        raise FlowTextError(f'garbage ({text[position:]}) after nat range "{text}" '
                            f"(pos: {position})")
    if text[at:at + 1] == "-":
        found, high, at = _nat_address(text, at + 1, family)
        if not found or high < low:
            raise invalid
    if text[at:at + 1] == ":":
        first, rest = _leading_number(text, at + 1)
        if first is None:
            raise invalid
        port_min, at = first & 0xffff, rest
        if text[at:at + 1] == "-":
            second, rest = _leading_number(text, at + 1)
            if second is None or second < first:
                raise invalid
            port_max, at = second & 0xffff, rest
    if at != len(text):
        raise FlowTextError(f'garbage ({text[at:]}) after nat range "{text}" (pos: {at})')
    return family, low, high, port_min, port_max


def _leading_number(text: str, at: int) -> tuple[int | None, int]:
    end = at
    while end < len(text) and text[end].isdigit():
        end += 1
    return (int(text[at:end]), end) if end > at else (None, at)


def _parse_clone(text: str, reader: _Reader) -> Clone:
    return Clone(_parse_list(text, reader, False, Clone))


def _parse_check_pkt_larger(text: str, reader: _Reader) -> CheckPktLarger:
    size_text, arrow, target = text.partition(")->")
    if not arrow:
        size_text, target = _arrow(text)
    found = c_integer(size_text)
    if found is None or found[1] or not 0 <= found[0] <= 0xffff:
        raise FlowTextError(f'invalid (null) "{size_text}"')
    dst = _subfield_alone(target)
    if dst.n_bits != 1:
        raise FlowTextError("Only 1-bit destination field is allowed")
    return CheckPktLarger(found[0], dst)


_ENCAP_TYPES = {name: kind for kind, name in ENCAP_NAMES.items()}


def _parse_encap(text: str, reader: _Reader) -> Encap:
    reader.usable &= OF13_UP
    pairs = list(key_values(text))
    if not pairs:
        raise FlowTextError(f"Missing encap hdr: {text}")
    name, props_text = pairs[0]
    kind = _ENCAP_TYPES.get(name)
    if kind is None:
        raise FlowTextError(f"Encap hdr not supported: {props_text}")
    props = []
    for key, value in key_values(props_text):
        if kind != PACKET_TYPE_NSH or key not in ("md_type", "tlv"):
            raise FlowTextError(f"Invalid property: {key}")
        if not value:
            raise FlowTextError("Value missing for encap property")
        props.append(_parse_md_type(value) if key == "md_type" else _parse_tlv(value))
    return Encap(kind, tuple(props))


def _parse_md_type(text: str) -> EncapNsh:
    found = c_integer(text)
    if found is None or found[1] or not 0 <= found[0] <= 0xff:
        raise FlowTextError(f'invalid md_type "{text}"')
    if found[0] not in (1, 2):
        raise FlowTextError("invalid md_type")
    return EncapNsh(found[0])


def _parse_tlv(text: str) -> EncapTlv:
    words = text.split(",")
    invalid = FlowTextError(f"Invalid NSH TLV header: {text}")
    if len(words) != 3:
        raise invalid
    tlv_class, tlv_type = c_integer(words[0]), c_integer(words[1])
    if (tlv_class is None or tlv_class[1] or not 0 <= tlv_class[0] <= 0xffff
            or tlv_type is None or tlv_type[1] or not 0 <= tlv_type[0] <= 0xff
            or not words[2].startswith("0x")):
        raise invalid
    try:
        data = bytes.fromhex(words[2][2:])
    except ValueError:
        raise invalid from None
    return EncapTlv(tlv_class[0], tlv_type[0], data)


def _parse_decap(text: str, reader: _Reader) -> Decap:
    kind = PACKET_TYPE_NEXT
    for key, value in key_values(text):
        if key != "packet_type":
            raise FlowTextError(f"Invalid decap argument: {key}")
        numbers = {}
        for name, number in key_values(value):
            if name in ("ns", "type"):
                numbers[name] = parse_u16(number, name)
        for name in ("ns", "type"):
            if name not in numbers:
                raise FlowTextError(f"Missing packet_type attribute {name}")
        kind = numbers["ns"] << 16 | numbers["type"]
    return Decap(kind)


def _parse_meter(text: str, reader: _Reader) -> Meter:
    reader.usable &= OF13_UP
    return Meter(parse_u32(text))


def _parse_write_actions(text: str, reader: _Reader) -> WriteActions:
    return WriteActions(_parse_list(text, reader, False, WriteActions))


def _parse_write_metadata(text: str, reader: _Reader) -> WriteMetadata:
    reader.usable &= NXM_OF11_UP
    value, slash, mask = text.partition("/")
    return WriteMetadata(parse_u64(value), parse_u64(mask) if slash else _FULL64)


def _parse_goto(text: str, reader: _Reader) -> GotoTable:
    table = parse_table(text, reader.tables)
    if table is None:
        raise FlowTextError(f'unknown table "{text}"')
    return GotoTable(table)


def _parse_unroll(text: str, reader: _Reader) -> Action:
    raise FlowTextError("UNROLL is an internal action that shouldn't be used via OpenFlow")


def _parse_group(text: str, reader: _Reader) -> Group:
    return Group(parse_u32(text))


def _plain(action: Action):
    """An action without arguments; what is written behind it does not matter."""
    return lambda text, reader: action


_PARSE: dict[str, Callable[[str, _Reader], Action | Actions | None]] = {
    "output": _parse_output, "group": _parse_group, "controller": _parse_controller,
    "enqueue": _parse_enqueue, "bundle": _parse_bundle(False), "bundle_load": _parse_bundle(True),
    "set_field": _parse_set_field, "load": _parse_load, "move": _parse_move,
    "set_vlan_vid": _parse_vlan_vid(False), "mod_vlan_vid": _parse_vlan_vid(True),
    "set_vlan_pcp": _parse_vlan_pcp(False), "mod_vlan_pcp": _parse_vlan_pcp(True),
    "strip_vlan": _plain(StripVlan()), "pop_vlan": _plain(StripVlan(True)),
    "push_vlan": _parse_push_vlan, "mod_dl_src": _parse_mac_setter(SetEthSrc),
    "mod_dl_dst": _parse_mac_setter(SetEthDst), "mod_nw_src": _parse_ip_setter(SetIpv4Src),
    "mod_nw_dst": _parse_ip_setter(SetIpv4Dst), "mod_nw_tos": _parse_tos, "mod_nw_ecn": _parse_ecn,
    "mod_nw_ttl": lambda text, reader: SetIpTtl(parse_u8(text, "TTL")),
    "set_nw_ttl": lambda text, reader: SetIpTtl(parse_u8(text, "TTL")),
    "mod_tp_src": lambda text, reader: SetL4SrcPort(parse_u16(text, "source port")),
    "mod_tp_dst": lambda text, reader: SetL4DstPort(parse_u16(text, "destination port")),
    "push": _parse_stack(StackPush), "pop": _parse_stack(StackPop), "dec_ttl": _parse_dec_ttl,
    "set_mpls_label": _parse_mpls_label, "set_mpls_tc": _parse_mpls_tc,
    "set_mpls_ttl": _parse_mpls_ttl, "dec_mpls_ttl": _plain(DecMplsTtl()),
    "push_mpls": lambda text, reader: PushMpls(parse_u16(text, "push_mpls")),
    "pop_mpls": lambda text, reader: PopMpls(parse_u16(text, "pop_mpls")),
    "dec_nsh_ttl": _plain(DecNshTtl()), "delete_field": _parse_delete_field,
    "set_tunnel": lambda text, reader: SetTunnel(parse_u64(text)),
    "set_tunnel64": lambda text, reader: SetTunnel(parse_u64(text), True),
    "set_queue": lambda text, reader: SetQueue(parse_u32(text)), "pop_queue": _plain(PopQueue()),
    "fin_timeout": _parse_fin_timeout, "resubmit": _parse_resubmit, "learn": _parse_learn,
    "conjunction": _parse_conjunction, "multipath": _parse_multipath, "note": _parse_note,
    "exit": _plain(Exit()), "unroll_xlate": _parse_unroll, "sample": _parse_sample,
    "ct": _parse_ct, "ct_clear": _plain(CtClear()), "nat": _parse_nat, "clone": _parse_clone,
    "check_pkt_larger": _parse_check_pkt_larger, "encap": _parse_encap, "decap": _parse_decap,
    "debug_recirc": _plain(DebugRecirc()), "debug_slow": _plain(DebugSlow()),
    "meter": _parse_meter, "clear_actions": _plain(ClearActions()),
    "write_actions": _parse_write_actions, "write_metadata": _parse_write_metadata,
    "goto_table": _parse_goto,
}
