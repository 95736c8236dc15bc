"""Text of datapath actions: what `dpctl/dump-flows` prints and `dpctl/add-flow` reads.

`format_actions` renders the records of src/action/action.h, `parse_actions` makes them. `FORMS` has
one row per record: its type, the layout of its fixed part, and how it is written; the keys of set
are those of `text.py`. Where the reference prints a form that it cannot read, both work here.

Source: ovs-actions(7); types are OVS_ACTION_ATTR_*. Pure Python, needs no compiled library; any
thread.
"""

import re
import struct
from collections.abc import Callable, Mapping
from enum import IntEnum, IntFlag
from itertools import accumulate

from datapath import text
from datapath.header_text import format_header, parse_header
from datapath.part import TextError, Values, hash_x, parse_pairs, width
from datapath.text import format_port
from datapath.tunnel_text import format_tunnel
from schema.flow.fields import OFFSET

_HEAD = struct.Struct("=HH")
HEAD_SIZE = _HEAD.size          # of a record
ALWAYS = 0xffffffff             # probability of a sample that is always taken


class Type(IntEnum):
    """enum action_type."""

    OUTPUT = 1
    USERSPACE = 2
    PUSH_VLAN = 4
    POP_VLAN = 5
    SAMPLE = 6
    RECIRC = 7
    HASH = 8
    PUSH_MPLS = 9
    POP_MPLS = 10
    SET = 11
    CT = 12
    TRUNC = 13
    PUSH_ETH = 14
    POP_ETH = 15
    CT_CLEAR = 16
    PUSH_NSH = 17
    POP_NSH = 18
    METER = 19
    CLONE = 20
    CHECK_LEN = 21
    ADD_MPLS = 22
    DEC_TTL = 23
    DROP = 24
    PSAMPLE = 25
    TNL_PUSH = 26
    TNL_POP = 27
    LB_OUTPUT = 28


class Userspace(IntFlag):
    """Flags of struct action_userspace."""

    DONT_SEND = 1
    CONTINUATION = 2
    ACTIONS = 4
    TUNNEL_OUT = 8
    INGRESS = 16
    EGRESS = 32


class Ct(IntFlag):
    """Flags of struct action_ct."""

    COMMIT = 1
    FORCE = 2
    NAT = 4
    SRC = 8
    DST = 16
    PERSISTENT = 32
    HASH = 64
    RANDOM = 128


RAW, SLOW_PATH, CONTROLLER, SFLOW, FLOW_SAMPLE, IPFIX = range(6)
SLOW_REASONS = {"cfm": 1, "bfd": 2, "lacp": 4, "stp": 8, "lldp": 16, "action": 32, "match": 64}

# Fixed parts, after the head.
_USERSPACE = struct.Struct("=BBHIIQIHHIIIIIII2sHQII")
_CT = struct.Struct("=HHII16s16s16s32sB3xHH16s16s")
_LAYOUT: dict[Type, struct.Struct] = {
    Type.OUTPUT: struct.Struct("=I"), Type.PUSH_VLAN: struct.Struct("=2s2s"),
    Type.SAMPLE: struct.Struct("=I"), Type.RECIRC: struct.Struct("=I"),
    Type.HASH: struct.Struct("=III"), Type.PUSH_MPLS: struct.Struct("=2sH4sI"),
    Type.ADD_MPLS: struct.Struct("=2sH4sI"), Type.POP_MPLS: struct.Struct("=2sH"),
    Type.TRUNC: struct.Struct("=I"), Type.PUSH_ETH: struct.Struct("=6s6s"),
    Type.PUSH_NSH: struct.Struct("=BBBB4sI"), Type.METER: struct.Struct("=I"),
    Type.CLONE: struct.Struct("=I"), Type.CHECK_LEN: struct.Struct("=HHII"),
    Type.DEC_TTL: struct.Struct("=I"), Type.DROP: struct.Struct("=I"),
    Type.PSAMPLE: struct.Struct("=I16sII"), Type.TNL_PUSH: struct.Struct("=IIIII"),
    Type.TNL_POP: struct.Struct("=I"), Type.LB_OUTPUT: struct.Struct("=I"),
    Type.SET: struct.Struct("=HH"), Type.CT: _CT, Type.USERSPACE: _USERSPACE,
}

# Keys of set: number -> ((struct member, its bytes), ...) in the order of the C struct.
_SET_KEYS: dict[int, tuple[tuple[str, int], ...]] = {
    2: (("skb_priority", 4),), 15: (("pkt_mark", 4),),
    4: (("eth_src", 6), ("eth_dst", 6)),
    7: (("nw_src", 4), ("nw_dst", 4), ("nw_proto", 1), ("nw_tos", 1), ("nw_ttl", 1),
        ("nw_frag", 1)),
    8: (("ipv6_src", 16), ("ipv6_dst", 16), ("ipv6_label", 4), ("nw_proto", 1), ("nw_tos", 1),
        ("nw_ttl", 1), ("nw_frag", 1)),
    9: (("tp_src", 2), ("tp_dst", 2)), 10: (("tp_src", 2), ("tp_dst", 2)),
    17: (("tp_src", 2), ("tp_dst", 2)),
    11: (("tp_src", 1), ("tp_dst", 1)), 12: (("tp_src", 1), ("tp_dst", 1)),
    13: (("nw_src", 4), ("nw_dst", 4), ("nw_proto", 2), ("arp_sha", 6), ("arp_tha", 6),
         ("", 2)),
    14: (("nd_target", 16), ("arp_sha", 6), ("arp_tha", 6)),
    30: (("nd_reserved", 4), ("nd_options_type", 1), ("", 3)),
    21: (("mpls_lse", 4),),
    28: (("nsh_flags", 1), ("nsh_ttl", 1), ("nsh_mdtype", 1), ("nsh_np", 1), ("nsh_path", 4),
         ("nsh_c", 16)),
}
_HOST_ORDER = (2, 15)           # struct key_u32 is in host byte order
_SET_TUNNEL, _TUNNEL_SIZE = 16, OFFSET["metadata"]
_NAMED_SETS = {key.number: key for key in text.NAMED.values() if key.number in _SET_KEYS}


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def record(kind: Type, *fixed, tail: bytes = b"") -> bytes:
    """One record."""
    layout = _LAYOUT.get(kind)
    body = (layout.pack(*fixed) if layout else bytes(4)) + tail
    body += bytes(-(_HEAD.size + len(body)) % 8)
    return _HEAD.pack(kind, _HEAD.size + len(body)) + body


# ---- printing

def records(actions: bytes):
    """(type, body, tail) of each record; `body` is everything after the head."""
    at = 0
    while at < len(actions):
        kind, size = _HEAD.unpack_from(actions, at)
        yield kind, actions[at + _HEAD.size:at + size]
        at += size


def format_actions(actions: bytes, ports: Mapping[int, str] | None = None) -> str:
    """A list of actions; "drop" for an empty one. `ports`: names to print instead of numbers."""
    texts = [_FORMATS[kind](body, ports) for kind, body in records(actions)]
    return ",".join(texts) or "drop"


def format_slow_path(reasons: int) -> str:
    """The actions of a flow whose packets are translated one by one, for these SLOW_* bits."""
    names = [name for name, bit in SLOW_REASONS.items() if reasons & bit]
    return f"userspace(pid=0,slow_path({','.join(names)}))"


def _fixed(kind: Type, body: bytes) -> tuple:
    return _LAYOUT[kind].unpack_from(body)


def _tail(kind: Type, body: bytes) -> bytes:
    return body[_LAYOUT[kind].size:]


def _be(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _format_userspace(body: bytes, ports) -> str:
    (kind, flags, reason, pid, tunnel_out, cookie, recirc, controller, max_len, _, _, probability,
     collector, domain, point, output, tci, n_data, _, _, _) = _USERSPACE.unpack_from(body)
    data = body[_USERSPACE.size:_USERSPACE.size + n_data]
    words = [f"pid={pid}"]
    if kind == SLOW_PATH:
        names = [name for name, bit in SLOW_REASONS.items() if reason & bit]
        words.append(f"slow_path({','.join(names) or '0'})")
    elif kind == CONTROLLER:
        words.append(f"controller(reason={reason},dont_send={int(bool(flags & 1))},"
                     f"continuation={int(bool(flags & 2))},recirc_id={recirc},"
                     f"rule_cookie={hash_x(cookie)},controller_id={controller},"
                     f"max_len={max_len})")
    elif kind == SFLOW:
        vlan = _be(tci)
        words.append(f"sFlow(vid={vlan & 0xfff},pcp={vlan >> 13},output={output})")
    elif kind == FLOW_SAMPLE:
        where = {Userspace.INGRESS: ",ingress", Userspace.EGRESS: ",egress"}.get(
            Userspace(flags & 48), "")
        words.append(f"flow_sample(probability={probability},collector_set_id={collector},"
                     f"obs_domain_id={domain},obs_point_id={point},"
                     f"output_port={format_port(output, ports)}{where})")
    elif kind == IPFIX:
        words.append(f"ipfix(output_port={output})")
    elif data:
        words.append(f"userdata({data.hex()})")
    if flags & Userspace.ACTIONS:
        words.append("actions")
    if flags & Userspace.TUNNEL_OUT:
        words.append(f"tunnel_out_port={tunnel_out}")
    return f"userspace({','.join(words)})"


def _format_tci(tci: int) -> str:
    text_ = f"vid={tci & 0xfff},pcp={tci >> 13}"
    return text_ if tci & 0x1000 else text_ + ",cfi=0"


def _format_push_vlan(body: bytes, ports) -> str:
    tpid, tci = map(_be, _fixed(Type.PUSH_VLAN, body))
    prefix = "" if tpid == 0x8100 else f"tpid=0x{tpid:04x},"
    return f"push_vlan({prefix}{_format_tci(tci)})"


def _format_lse(lse: int) -> str:
    return f"label={lse >> 12},tc={lse >> 9 & 7},ttl={lse & 255},bos={lse >> 8 & 1}"


def _format_push_mpls(name: str, kind: Type) -> Callable:
    def format_(body: bytes, ports) -> str:
        eth_type, _, lse, _ = _fixed(kind, body)
        return f"{name}({_format_lse(_be(lse))},eth_type=0x{_be(eth_type):x})"
    return format_


def unpack_set(body: bytes) -> tuple[int, Values, Values]:
    """(key number, values, masks) of a set record, by members of struct flow."""
    number, size = _LAYOUT[Type.SET].unpack_from(body)
    start = _LAYOUT[Type.SET].size
    halves = body[start:start + size], body[start + len(_pad(bytes(size))):][:size]
    found: list[Values] = []
    for is_mask, data in enumerate(halves):
        values: Values = {}
        if number == _SET_TUNNEL:
            values = text.unpack(data + bytes(text.FLOW_SIZE - len(data)))
        else:
            at = 0
            for member, n_bytes in _SET_KEYS[number]:
                if member:
                    piece = data[at:at + n_bytes]
                    if is_mask and not piece.strip(b"\xff"):
                        # An ICMP type has a byte here and two in struct flow.
                        values[member] = (1 << width(member)) - 1
                    else:
                        values[member] = (struct.unpack("=I", piece)[0] if number in _HOST_ORDER
                                          else _be(piece))
                at += n_bytes
        found.append(values)
    return number, found[0], found[1]


def _format_set(body: bytes, ports) -> str:
    number, values, masks = unpack_set(body)
    if number == _SET_TUNNEL:
        return f"set({format_tunnel(values)})"
    if number in _HOST_ORDER:
        name = "skb_priority" if number == 2 else "skb_mark"
        member = _SET_KEYS[number][0][0]
        mask = masks[member]
        suffix = "" if mask == 0xffffffff else f"/{mask:#x}"
        return f"set({name}({hash_x(values[member])}{suffix}))"
    if number == 21:
        values, masks = ({"mpls_lse": half["mpls_lse"] << 96} for half in (values, masks))
        return f"set({text.format_labels(text.MPLS[0], values, masks)})"
    return f"set({text.format_key(_NAMED_SETS[number], values, masks)})"


def _format_sample(body: bytes, ports) -> str:
    (probability,) = _fixed(Type.SAMPLE, body)
    nested = format_actions(_tail(Type.SAMPLE, body), ports)
    return f"sample(sample={100 * probability / ALWAYS:.1f}%,actions({nested}))"


def _format_hash(body: bytes, ports) -> str:
    algorithm, basis, _ = _fixed(Type.HASH, body)
    return f"hash({('l4', 'sym_l4')[algorithm]}({basis}))"


def _format_address(data: bytes, family: int, has_port: bool) -> str:
    if family == 4:
        return ".".join(map(str, data[:4]))
    import ipaddress
    written = str(ipaddress.IPv6Address(data))
    return f"[{written}]" if has_port else written


def _format_ct(body: bytes, ports) -> str:
    (flags, zone, mark, mark_mask, label, label_mask, helper, timeout, family, port_min, port_max,
     low, high) = _CT.unpack_from(body)
    words = []
    if flags & Ct.COMMIT:
        words.append("force_commit" if flags & Ct.FORCE else "commit")
    if zone:
        words.append(f"zone={zone}")
    if mark_mask:
        words.append(f"mark={hash_x(mark)}/{mark_mask:#x}")
    if any(label_mask):
        exact = label_mask == b"\xff" * 16
        words.append(f"label={hash_x(_be(label))}" + ("" if exact else f"/{_be(label_mask):#x}"))
    for name, value in (("helper", helper), ("timeout", timeout)):
        if value[0]:
            words.append(f"{name}={value.split(bytes(1))[0].decode()}")
    if flags & Ct.NAT:
        words.append(_format_nat(flags, family, low, high, port_min, port_max))
    return f"ct({','.join(words)})" if words else "ct"


def _format_nat(flags: int, family: int, low: bytes, high: bytes, port_min: int,
                port_max: int) -> str:
    if not flags & (Ct.SRC | Ct.DST):
        return "nat"
    words = ["src" if flags & Ct.SRC else "dst"]
    if family:
        words[0] += "=" + _format_address(low, family, bool(port_min))
        if any(high) and high != low:
            words[0] += "-" + _format_address(high, family, bool(port_min))
    if port_min:
        words[0] += ("" if family else "=") + f":{port_min}"
        if port_max and port_max != port_min:
            words[0] += f"-{port_max}"
    for bit, name in ((Ct.PERSISTENT, "persistent"), (Ct.HASH, "hash"), (Ct.RANDOM, "random")):
        if flags & bit:
            words.append(name)
    return f"nat({','.join(words)})"


def _format_push_eth(body: bytes, ports) -> str:
    dst, src = _fixed(Type.PUSH_ETH, body)
    return f"push_eth(src={src.hex(':')},dst={dst.hex(':')})"


def _format_push_nsh(body: bytes, ports) -> str:
    flags, ttl, mdtype, np, path, n_metadata = _fixed(Type.PUSH_NSH, body)
    metadata = _tail(Type.PUSH_NSH, body)[:n_metadata]
    words = (f"flags={flags},ttl={ttl},mdtype={mdtype},np={np},spi=0x{_be(path) >> 8:x},"
             f"si={_be(path) & 255}")
    if mdtype == 1:
        return f"push_nsh({words}," + ",".join(
            f"c{n + 1}=0x{_be(metadata[4 * n:4 * n + 4]):x}" for n in range(4)) + ")"
    return f"push_nsh({words},md2={hash_x(_be(metadata))})"


def _format_check_len(body: bytes, ports) -> str:
    length, _, greater, _ = _fixed(Type.CHECK_LEN, body)
    nested = _tail(Type.CHECK_LEN, body)
    return (f"check_pkt_len(size={length},gt({format_actions(nested[:greater], ports)}),"
            f"le({format_actions(nested[greater:], ports)}))")


def _number(name: str, kind: Type, base: str = "d") -> Callable:
    def format_(body: bytes, ports) -> str:
        number = _fixed(kind, body)[0]
        return f"{name}({number:#x})" if base == "x" else f"{name}({number})"
    return format_


def _word(name: str) -> Callable:
    return lambda body, ports: name


def _format_psample(body: bytes, ports) -> str:
    group, cookie, n_cookie, _ = _fixed(Type.PSAMPLE, body)
    suffix = f",cookie={cookie[:n_cookie].hex()}" if n_cookie else ""
    return f"psample(group={group}{suffix})"


def _format_tnl_push(body: bytes, ports) -> str:
    tunnel, output, kind, size, _ = _fixed(Type.TNL_PUSH, body)
    header = format_header(kind, _tail(Type.TNL_PUSH, body)[:size])
    return (f"tnl_push(tnl_port({format_port(tunnel, ports)}),header({header}),"
            f"out_port({format_port(output, ports)}))")


_FORMATS: dict[int, Callable[[bytes, Mapping[int, str] | None], str]] = {
    Type.OUTPUT: lambda body, ports: format_port(_fixed(Type.OUTPUT, body)[0], ports),
    Type.USERSPACE: _format_userspace,
    Type.PUSH_VLAN: _format_push_vlan,
    Type.POP_VLAN: _word("pop_vlan"),
    Type.SAMPLE: _format_sample,
    Type.RECIRC: _number("recirc", Type.RECIRC, "x"),
    Type.HASH: _format_hash,
    Type.PUSH_MPLS: _format_push_mpls("push_mpls", Type.PUSH_MPLS),
    Type.ADD_MPLS: _format_push_mpls("add_mpls", Type.ADD_MPLS),
    Type.POP_MPLS: lambda body, ports: (
        f"pop_mpls(eth_type=0x{_be(_fixed(Type.POP_MPLS, body)[0]):x})"),
    Type.SET: _format_set,
    Type.CT: _format_ct,
    Type.TRUNC: _number("trunc", Type.TRUNC),
    Type.PUSH_ETH: _format_push_eth,
    Type.POP_ETH: _word("pop_eth"),
    Type.CT_CLEAR: _word("ct_clear"),
    Type.PUSH_NSH: _format_push_nsh,
    Type.POP_NSH: _word("pop_nsh()"),
    Type.METER: _number("meter", Type.METER),
    Type.CLONE: lambda body, ports: f"clone({format_actions(_tail(Type.CLONE, body), ports)})",
    Type.CHECK_LEN: _format_check_len,
    Type.DEC_TTL: lambda body, ports: (
        f"dec_ttl(le_1({format_actions(_tail(Type.DEC_TTL, body), ports)}))"),
    Type.DROP: _word("drop"),
    Type.PSAMPLE: _format_psample,
    Type.TNL_PUSH: _format_tnl_push,
    Type.TNL_POP: lambda body, ports: (
        f"tnl_pop({format_port(_fixed(Type.TNL_POP, body)[0], ports)})"),
    Type.LB_OUTPUT: _number("lb_output", Type.LB_OUTPUT),
}


# ---- parsing

class _Parser:
    """Reads a list of actions from `text`, one after the other."""

    def __init__(self, written: str, ports: Mapping[str, int] | None):
        self.text = written
        self.at = 0
        self.ports = ports or {}

    def error(self) -> TextError:
        return TextError(f"syntax error at {self.text[self.at:]}")

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in ", \t\r\n":
            self.at += 1

    def actions(self, end: str = "") -> bytes:
        """Actions up to `end` (")" when nested), which is eaten."""
        found = []
        while True:
            self.skip()
            if self.at >= len(self.text):
                if end:
                    raise self.error()
                return b"".join(found)
            if end and self.text[self.at] == end:
                self.at += 1
                return b"".join(found)
            found.append(self.action())

    def action(self) -> bytes:
        match = re.compile(r'"([^"]*)"|([^,()\s]+)').match(self.text, self.at)
        if not match:
            raise self.error()
        name = match.group(1) or match.group(2)
        start = self.at
        self.at = match.end()
        try:
            if self.text[self.at:self.at + 1] == "(" and name in _PARSERS:
                self.at += 1
                return _PARSERS[name](self)
            if name == "drop" and not self.is_alone(start):
                raise self.error()
            if name in _WORDS:
                return _WORDS[name]
            if name in self.ports:
                return record(Type.OUTPUT, self.ports[name])
            return record(Type.OUTPUT, int(name, 0))
        except TextError:
            raise
        except (ValueError, LookupError, TypeError, OverflowError, struct.error):
            self.at = start
            raise self.error() from None

    def is_alone(self, start: int) -> bool:
        """Whether the word from `start` to here is all of its list."""
        return (self.text[:start].rstrip()[-1:] in ("", "(")
                and self.text[self.at:].lstrip()[:1] in ("", ")"))

    def body(self) -> str:
        """Text up to the parenthesis that closes the one just eaten."""
        depth, start = 1, self.at
        while depth:
            if self.at >= len(self.text):
                raise self.error()
            depth += {"(": 1, ")": -1}.get(self.text[self.at], 0)
            self.at += 1
        return self.text[start:self.at - 1]

    def port(self, word: str) -> int:
        """A port by name or number."""
        word = word.strip().strip('"')
        return self.ports[word] if word in self.ports else int(word, 0)

    def expect(self, literal: str) -> None:
        self.skip()
        if not self.text.startswith(literal, self.at):
            raise self.error()
        self.at += len(literal)


def _int(value: str) -> int:
    return int(value, 0)


def _parse_push_vlan(parser: _Parser) -> bytes:
    pairs = parse_pairs(parser.body())
    vid, pcp = _int(pairs["vid"]), _int(pairs["pcp"])
    if vid > 0xfff or pcp > 7:
        raise ValueError(pairs)
    tci = vid | pcp << 13 | 0x1000 * bool(_int(pairs.get("cfi", "1")))
    return record(Type.PUSH_VLAN, _int(pairs.get("tpid", "0x8100")).to_bytes(2, "big"),
                  tci.to_bytes(2, "big"))


def _parse_mpls(kind: Type) -> Callable[[_Parser], bytes]:
    def parse(parser: _Parser) -> bytes:
        pairs = {key: _int(value) for key, value in parse_pairs(parser.body()).items()}
        lse = pairs["label"] << 12 | pairs["tc"] << 9 | pairs["bos"] << 8 | pairs["ttl"]
        return record(kind, pairs["eth_type"].to_bytes(2, "big"), 0, lse.to_bytes(4, "big"), 0)
    return parse


def pack_set(number: int, values: Values, masks: Values) -> bytes:
    """A set record of a key by number, from members of struct flow."""
    halves = []
    for half in (values, masks):
        if number == _SET_TUNNEL:
            halves.append(text.pack(half)[:_TUNNEL_SIZE])
            continue
        data = b""
        for member, n_bytes in _SET_KEYS[number]:
            value = half.get(member, 0)
            if number == 21:
                value >>= 96
            data += (struct.pack("=I", value) if number in _HOST_ORDER
                     else (value & (1 << 8 * n_bytes) - 1).to_bytes(n_bytes, "big"))
        halves.append(data)
    size = len(halves[0])
    return record(Type.SET, number, size, tail=_pad(halves[0]) + _pad(halves[1]))


def _parse_set(parser: _Parser) -> bytes:
    body = parser.body()
    values, masks = text.parse_flow(body)
    name = body.split("(")[0].strip()
    depths = list(accumulate({"(": 1, ")": -1}.get(char, 0) for char in body.strip()))
    if 0 in depths[len(name):-1]:
        raise ValueError(body)          # more than one attribute
    number = text.SCALARS[name][0] if name in text.SCALARS else {
        "tunnel": _SET_TUNNEL, "mpls": 21}.get(name) or text.NAMED[name].number
    return pack_set(number, values, masks)


def _parse_sample(parser: _Parser) -> bytes:
    match = re.compile(r"sample=([\d.]+)%\s*,\s*actions\(").match(parser.text, parser.at)
    if not match:
        raise parser.error()
    parser.at = match.end()
    nested = parser.actions(")")
    parser.expect(")")
    share = float(match.group(1)) / 100
    return record(Type.SAMPLE, round(share * ALWAYS), tail=nested)


def _parse_clone(parser: _Parser) -> bytes:
    return record(Type.CLONE, 0, tail=parser.actions(")"))


def _parse_dec_ttl(parser: _Parser) -> bytes:
    parser.expect("le_1(")
    nested = parser.actions(")")
    parser.expect(")")
    return record(Type.DEC_TTL, 0, tail=nested)


def _parse_check_len(parser: _Parser) -> bytes:
    match = re.compile(r"size=(\d+)\s*,\s*gt\(").match(parser.text, parser.at)
    if not match:
        raise parser.error()
    parser.at = match.end()
    greater = parser.actions(")")
    parser.expect("le(")
    others = parser.actions(")")
    parser.expect(")")
    return record(Type.CHECK_LEN, int(match.group(1)), 0, len(greater), 0, tail=greater + others)


def _parse_hash(parser: _Parser) -> bytes:
    match = re.fullmatch(r"(l4|sym_l4)\((\d+)\)", parser.body().strip())
    return record(Type.HASH, ("l4", "sym_l4").index(match[1]), int(match[2]), 0)


def _parse_push_eth(parser: _Parser) -> bytes:
    pairs = parse_pairs(parser.body())
    return record(Type.PUSH_ETH, *(bytes.fromhex(pairs[key].replace(":", ""))
                                   for key in ("dst", "src")))


def _words(number: int) -> bytes:
    """A number in as many words of 32 bits as it needs."""
    return number.to_bytes((number.bit_length() + 31) // 32 * 4, "big")


def _parse_push_nsh(parser: _Parser) -> bytes:
    pairs = parse_pairs(parser.body())
    path = _int(pairs.get("spi", "0")) << 8 | _int(pairs.get("si", "255"))
    mdtype = _int(pairs.get("mdtype", "1"))
    metadata = (b"".join(_int(pairs.get(f"c{n}", "0")).to_bytes(4, "big") for n in range(1, 5))
                if mdtype == 1 else _words(_int(pairs.get("md2", "0"))))
    return record(Type.PUSH_NSH, _int(pairs.get("flags", "0")), _int(pairs.get("ttl", "63")),
                  mdtype, _int(pairs.get("np", "3")), path.to_bytes(4, "big"), len(metadata),
                  tail=metadata)


def _address(written: str) -> tuple[int, bytes]:
    import ipaddress
    address = ipaddress.ip_address(written)
    return address.version, address.packed.ljust(16, b"\0")


# IPv6 addresses have brackets where ports follow.
_ADDRESS = r"\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:.]+\]"
_NAT = re.compile(rf"(?P<kind>src|dst)(?:=(?:(?P<low>{_ADDRESS})(?:-(?P<high>{_ADDRESS}))?)?"
                  r"(?::(?P<port>\d+)(?:-(?P<port_max>\d+))?)?)?")
_NAT_IPV6 = re.compile(r"(?P<kind>src|dst)=(?P<low>[0-9a-fA-F:.]+)(?:-(?P<high>[0-9a-fA-F:.]+))?"
                       r"(?P<port>(?!))?(?P<port_max>(?!))?")


_CT_WORDS = frozenset(("commit", "force_commit", "zone", "mark", "label", "helper", "timeout"))


def _parse_ct(parser: _Parser) -> bytes:
    body = parser.body()
    flags, family, ports = 0, 0, (0, 0)
    low = high = bytes(16)
    nat = re.search(r"\bnat(?:\(([^()]*)\))?", body)
    if nat:
        body = body[:nat.start()] + body[nat.end():]
        flags |= Ct.NAT
        for word in filter(None, (nat.group(1) or "").split(",")):
            if word in ("persistent", "hash", "random"):
                flags |= Ct[word.upper()]
                continue
            match = _NAT.fullmatch(word) or _NAT_IPV6.fullmatch(word)
            if flags & (Ct.SRC | Ct.DST):
                raise ValueError(word)
            flags |= Ct[match["kind"].upper()]
            if match["low"]:
                family, low = _address(match["low"].strip("[]"))
                high = _address(match["high"].strip("[]"))[1] if match["high"] else low
            if match["port"]:
                ports = int(match["port"]), int(match["port_max"] or match["port"])
    pairs = parse_pairs(body)
    if not _CT_WORDS.issuperset(pairs) or {"commit", "force_commit"} <= pairs.keys():
        raise ValueError(body)
    flags |= (Ct.COMMIT if "commit" in pairs else 0) | (
        Ct.COMMIT | Ct.FORCE if "force_commit" in pairs else 0)

    def masked(name: str, ones: int) -> tuple[int, int]:
        value, slash, mask = pairs.get(name, "").partition("/")
        return (_int(value), _int(mask) if slash else ones) if value else (0, 0)

    mark, label = masked("mark", 0xffffffff), masked("label", (1 << 128) - 1)
    return record(Type.CT, flags, _int(pairs.get("zone", "0")), *mark,
                  *(half.to_bytes(16, "big") for half in label),
                  pairs.get("helper", "").encode(), pairs.get("timeout", "").encode(), family,
                  *ports, low, high)


_CONTROLLER_WORDS = frozenset(("reason", "dont_send", "continuation", "recirc_id", "rule_cookie",
                               "controller_id", "max_len"))


def _parse_userspace(parser: _Parser) -> bytes:
    body = parser.body()
    nested = {name: inner for name, inner in re.findall(r"(\w+)\(([^()]*)\)", body)}
    pairs = parse_pairs(re.sub(r"\w+\([^()]*\)", "", body))
    kind, flags, reason, data = RAW, 0, 0, b""
    values: dict[str, int] = {}
    tci = 0
    for name, inner in nested.items():
        if name == "userdata":
            data = bytes.fromhex(inner)
            continue
        kind = {"slow_path": SLOW_PATH, "controller": CONTROLLER, "sFlow": SFLOW,
                "flow_sample": FLOW_SAMPLE, "ipfix": IPFIX}[name]
        inner_pairs = parse_pairs(inner)
        if kind == SLOW_PATH:
            reason = (_int(inner) if inner.strip().isdigit() else
                      sum(SLOW_REASONS[word] for word in inner_pairs))
            continue
        for word, bit in (("ingress", Userspace.INGRESS), ("egress", Userspace.EGRESS)):
            if word in inner_pairs:
                del inner_pairs[word]
                flags |= bit
        if kind == CONTROLLER and inner_pairs.keys() != _CONTROLLER_WORDS:
            raise ValueError(inner)
        values = {key: parser.ports[value] if value in parser.ports else _int(value)
                  for key, value in inner_pairs.items()}
        reason = values.get("reason", 0)
        flags |= Userspace.DONT_SEND * values.get("dont_send", 0)
        flags |= Userspace.CONTINUATION * values.get("continuation", 0)
        tci = values.get("vid", 0) | values.get("pcp", 0) << 13
    if "actions" in pairs:
        flags |= Userspace.ACTIONS
    if "tunnel_out_port" in pairs:
        flags |= Userspace.TUNNEL_OUT
    get = values.get
    return record(Type.USERSPACE, kind, flags, reason, _int(pairs["pid"]),
                  _int(pairs.get("tunnel_out_port", "0")), get("rule_cookie", 0),
                  get("recirc_id", 0), get("controller_id", 0), get("max_len", 0), 0, 0,
                  get("probability", 0), get("collector_set_id", 0), get("obs_domain_id", 0),
                  get("obs_point_id", 0), get("output_port", get("output", 0)),
                  tci.to_bytes(2, "big"), len(data), 0, 0, 0, tail=data)


def _parse_number(kind: Type) -> Callable[[_Parser], bytes]:
    return lambda parser: record(kind, _int(parser.body()))


def _parse_psample(parser: _Parser) -> bytes:
    pairs = parse_pairs(parser.body())
    cookie = bytes.fromhex(pairs.get("cookie", "").removeprefix("0x"))
    return record(Type.PSAMPLE, _int(pairs["group"]), cookie, len(cookie), 0)


_TNL_PUSH = re.compile(r"\s*tnl_port\(([^)]*)\),\s*header\((.*)\),\s*out_port\(([^)]*)\)\s*")


def _parse_tnl_push(parser: _Parser) -> bytes:
    match = _TNL_PUSH.fullmatch(parser.body())
    tunnel, output = (parser.port(match[number]) for number in (1, 3))
    kind, header = parse_header(match[2])
    return record(Type.TNL_PUSH, tunnel, output, kind, len(header), 0, tail=header)


def _empty(kind: Type) -> Callable[[_Parser], bytes]:
    def parse(parser: _Parser) -> bytes:
        parser.expect(")")
        return record(kind)
    return parse


_PARSERS: dict[str, Callable[[_Parser], bytes]] = {
    "userspace": _parse_userspace, "set": _parse_set, "push_vlan": _parse_push_vlan,
    "sample": _parse_sample, "recirc": _parse_number(Type.RECIRC), "hash": _parse_hash,
    "push_mpls": _parse_mpls(Type.PUSH_MPLS), "add_mpls": _parse_mpls(Type.ADD_MPLS),
    "pop_mpls": lambda parser: record(
        Type.POP_MPLS, _int(parse_pairs(parser.body())["eth_type"]).to_bytes(2, "big"), 0),
    "ct": _parse_ct, "trunc": _parse_number(Type.TRUNC), "push_eth": _parse_push_eth,
    "push_nsh": _parse_push_nsh, "pop_nsh": _empty(Type.POP_NSH),
    "meter": _parse_number(Type.METER), "clone": _parse_clone, "check_pkt_len": _parse_check_len,
    "dec_ttl": _parse_dec_ttl, "psample": _parse_psample, "tnl_push": _parse_tnl_push,
    "tnl_pop": lambda parser: record(Type.TNL_POP, parser.port(parser.body())),
    "lb_output": _parse_number(Type.LB_OUTPUT),
}
_WORDS: dict[str, bytes] = {
    "pop_vlan": record(Type.POP_VLAN), "pop_eth": record(Type.POP_ETH),
    "ct_clear": record(Type.CT_CLEAR), "drop": b"",
    "ct": record(Type.CT, 0, 0, 0, 0, bytes(16), bytes(16), b"", b"", 0, 0, 0, bytes(16),
                 bytes(16)),
}


def parse_actions(written: str, ports: Mapping[str, int] | None = None) -> bytes:
    """The records of a list of actions. `ports`: numbers by name. Raises TextError."""
    return _Parser(written, ports).actions()
