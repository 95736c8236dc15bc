"""OpenFlow actions and instructions: wire <-> values, in every version.

decode_actions(data, version) -> tuple of actions     an action list (packet-out, bucket, OF1.0 flow)
decode_instructions(data, version) -> tuple           the instructions of a flow, in one list
encode_actions(actions, version) -> bytes
encode_instructions(actions, version) -> bytes        OF1.0: an action list, else instructions
verify(actions, ...)                                  order and nesting, as the reference checks it

version is the wire's version byte, 1 for OpenFlow 1.0 to 6 for 1.5. The values are those of
`action_types`, whose names are all found here too. Decoders raise OpenFlowError and nothing else;
its `log` holds the WARN lines of the reference's module ofp_actions, its `offset` the place.
`consistency.py` checks actions against a match. Fixed layouts come from schema/openflow/actions.py.
Any thread.
"""

import struct
from collections.abc import Callable, Iterable
from functools import lru_cache

from schema.openflow.actions import (
    BUNDLE_ALGORITHMS, CT_COMMIT, CT_FORCE, ENCAP_NSH_CLASS, ENCAP_NSH_MD_TYPE, ENCAP_NSH_TLV,
    HASH_FIELDS, INSTRUCTIONS, INSTRUCTION_EXPERIMENTER,
    LEARN_WRITE_RESULT, MULTIPATH_ALGORITHMS, NAMES, NAT_DST, NAT_HASH, NAT_RANDOM,
    NAT_RANGE_IPV4_MAX, NAT_RANGE_IPV4_MIN, NAT_RANGE_IPV6_MAX, NAT_RANGE_IPV6_MIN,
    NAT_RANGE_PORT_MAX, NAT_RANGE_PORT_MIN, NAT_SRC, PACKET_TYPE_ETH, PACKET_TYPE_MPLS,
    PACKET_TYPE_MPLS_MC, PACKET_TYPE_NSH, RAWS, VENDORS, VENDOR_ACTION, Raw,
)
from vswitchd.openflow import action_types
from vswitchd.openflow.action_types import (
    Action, Actions, Bundle, CheckPktLarger, ClearActions, Clone, Conjunction, Controller, Ct,
    CtClear, DebugRecirc, DebugSlow, DecMplsTtl, DecNshTtl, DecTtl, Decap, DeleteField, Encap,
    EncapNsh, EncapTlv, Enqueue, Exit, FinTimeout, GotoTable, Group, Learn, LearnSpec, Meter,
    Multipath, Nat, Note, Output, OutputReg, OutputTrunc, PopMpls, PopQueue, PushMpls, PushVlan,
    RegMove, Resubmit, Sample, SetEthDst, SetEthSrc, SetField, SetIpDscp, SetIpEcn, SetIpTtl,
    SetIpv4Dst, SetIpv4Src, SetL4DstPort, SetL4SrcPort, SetMplsLabel, SetMplsTc, SetMplsTtl,
    SetQueue, SetTunnel, SetVlanPcp, SetVlanVid, StackPop, StackPush, StripVlan, Subfield,
    UnrollXlate, WriteActions, WriteMetadata,
)
from vswitchd.openflow.error import OpenFlowError
from vswitchd.openflow.fields import IN_PORT, INFO, LOCAL, MAX_PORT, NONE, Info
from vswitchd.openflow.match import ICMP, ICMPV6, SCTP, UDP, port_from_11, value_is_valid
from vswitchd.openflow.oxm import pull_entry, pull_header, put_entry, put_header
from vswitchd.openflow.value_text import format_value

_MODULE = "ofp_actions"
NX = VENDORS["NX"]
ONF = VENDORS["ONF"]
MIN_TRUNC = 14                                   # bytes that output(max_len=) must leave
_DEBUG = (254, 255)                              # subtypes of debug_slow and debug_recirc
_has_debug = False                               # this process knows them everywhere


def allow_debug_actions() -> None:
    """Lets every decoder of this process know debug_slow and debug_recirc (--enable-dummy)."""
    global _has_debug
    _has_debug = True


_VERSIONS = {1: "OpenFlow10", 2: "OpenFlow11", 3: "OpenFlow12", 4: "OpenFlow13",
             5: "OpenFlow14", 6: "OpenFlow15"}
_HEADER = struct.Struct("!HH")
_VENDOR = struct.Struct("!IH")
_U16, _U32, _U64 = struct.Struct("!H"), struct.Struct("!I"), struct.Struct("!Q")

NAME_OF: dict[type, str] = {getattr(action_types, row.action): row.texts[0] for row in NAMES}


def _bad(name: str, reason: str = "", module: str = _MODULE) -> OpenFlowError:
    return OpenFlowError(name, reason, module, log=((module, reason),) if reason else ())


# Layouts of the table, compiled.

class _Form:
    """A raw action in one version: how long it may be, how to decode it."""

    __slots__ = ("name", "least", "most", "decode")

    def __init__(self, raw: Raw, least: int, most: int, decode) -> None:
        kind, _, rest = raw.name.partition("_RAW")
        self.name = f"{kind}_{rest.partition('_')[2]}"
        self.least, self.most, self.decode = least, most, decode


class _Layout:
    """A fixed layout behind a header of `base` bytes: reads and writes its members."""

    __slots__ = ("code", "size", "zeros", "names", "packed")

    def __init__(self, layout: str, base: int) -> None:
        at, code, zeros, names = base, "!", [], []
        for word in layout.split():
            if word[-1] in "xz":
                count = int(word[:-1])
                if word[-1] == "z":
                    zeros.append((at, at + count))
                code += f"{count}x"
                at += count
                continue
            kind, name = word.split(":")
            size = struct.calcsize("!" + kind)
            gap = 0 if kind.endswith("s") else -at % size
            code += f"{gap}x{kind}"
            at += gap + size
            names.append(name)
        self.size = at + 7 & ~7
        self.code = struct.Struct(code)
        self.zeros, self.names = tuple(zeros), tuple(names)
        self.packed = struct.Struct(f"{code}{self.size - at}x")


_LAYOUTS: dict[tuple[str, int], _Layout] = {}


def _layout(raw: Raw, base: int) -> _Layout:
    key = (raw.layout, base)
    layout = _LAYOUTS.get(key)
    if layout is None:
        layout = _LAYOUTS[key] = _Layout(raw.layout, base)
    return layout


def _points(raw: Raw) -> Iterable[tuple[str, range, int]]:
    """Code points of a row: (vendor name, versions, type or subtype)."""
    for point in raw.points.split():
        where, _, number = point.rstrip("*").rstrip(")").partition("(")
        vendor = where.rstrip("0123456789.+-")
        low, _, high = where[len(vendor):].partition("-")
        first = int(low.rstrip("+")[2:]) + 1
        if low.endswith("+"):
            last = 6
        else:
            last = int(high[2:]) + 1 if high else first
        yield vendor, range(first, last + 1), int(number)


# Decoding.

def decode_actions(data: bytes, version: int, start: int = 0, end: int | None = None, *,
                   debug: bool = False) -> Actions:
    """Decodes an action list; neither order nor nesting of instructions is checked (verify does).

    debug: debug_recirc and debug_slow exist (as in a daemon with --enable-dummy).
    """
    if end is None:
        end = len(data)
    if (end - start) % 8:
        raise _bad("OFPBRC_BAD_LEN", f"OpenFlow message actions length {end - start} is not a "
                   "multiple of 8")
    return _decode_list(data, version, start, end, debug)


def _decode_list(data: bytes, version: int, start: int, end: int, debug: bool) -> Actions:
    forms = _FORMS[version]
    actions = []
    at = start
    try:
        while at < end:
            if end - at < 8:
                raise _bad("OFPBAC_BAD_LEN")
            kind, length = _HEADER.unpack_from(data, at)
            if kind == VENDOR_ACTION:
                form, number, vendor = _vendor_form(forms, data, at, end)
            else:
                form, number, vendor = forms.get(kind), kind, 0
            if form is None:
                text = (f"unknown {_VERSIONS[version]} action for vendor {_alternate(vendor)} "
                        f"and type {number}")
                raise _bad("OFPBAC_BAD_VENDOR_TYPE" if vendor else "OFPBAC_BAD_TYPE", text)
            if length > end - at:
                raise _bad("OFPBAC_BAD_LEN", f"OpenFlow action {form.name} length {length} "
                           f"exceeds action buffer length {end - at}")
            if length < form.least or length > form.most:
                raise _bad("OFPBAC_BAD_LEN", f"OpenFlow action {form.name} length {length} "
                           f"not in valid range [{form.least},{form.most}]")
            if length % 8:
                raise _bad("OFPBAC_BAD_LEN", f"OpenFlow action {form.name} length {length} "
                           "is not a multiple of 8")
            if vendor and number in _DEBUG and not (debug or _has_debug):
                raise _bad("OFPBAC_BAD_VENDOR_TYPE")
            actions.append(form.decode(data, at, at + length, version, debug))
            at += length
    except OpenFlowError as error:
        dump = hex_dump(data[start:end], 0)
        text = f"bad action at offset {at - start} ({error.name}):\n{dump}"
        raise OpenFlowError(error.name, error.reason, error.module, at,
                            (*error.log, (_MODULE, text.rstrip("\n")))) from None
    return tuple(actions)


def _alternate(number: int) -> str:
    """A number as C's %#x prints it: 0 has no prefix."""
    return f"{number:#x}" if number else "0"


def hex_dump(data: bytes, offset: int) -> str:
    """A dump as the reference's logs show it: 16 bytes a line, without the text column."""
    lines = []
    for at in range(0, len(data), 16):
        line = data[at:at + 16]
        first = " ".join(f"{byte:02x}" for byte in line[:8])
        second = " ".join(f"{byte:02x}" for byte in line[8:])
        lines.append(f"{offset + at:08x}  {first}" + (f"-{second}" if len(line) >= 8 else ""))
    return "\n".join(lines)


def _vendor_form(forms: dict, data: bytes, at: int, end: int):
    vendor = _U32.unpack_from(data, at + 4)[0]
    if vendor not in (NX, ONF):
        raise _bad("OFPBAC_BAD_VENDOR", f"OpenFlow action has unknown vendor {vendor:#x}")
    if end - at < 16:
        raise _bad("OFPBAC_BAD_LEN", f"OpenFlow message bad vendor action length {end - at}")
    number = _U16.unpack_from(data, at + 8)[0]
    return forms.get((vendor, number)), number, vendor


def _check_out_port(port: int) -> int:
    """An output port must be a real one or one of the reserved ones that one can output to."""
    if port < MAX_PORT or IN_PORT <= port <= LOCAL:
        return port
    raise _bad("OFPBAC_BAD_OUT_PORT")


def _port11(port: int) -> int:
    port10 = port_from_11(port)
    if port10 is None:
        raise _bad("OFPBAC_BAD_OUT_PORT", f"port {port} is outside the supported range 0 through "
                   "65279 or 0xffffff00 through 0xffffffff", "ofp_port")
    return port10


def _limited(cls: type, index: int, allowed: int, **extra):
    """Makes `cls` of its members if the member at `index` has no bit outside `allowed`."""
    def make(*members):
        if members[index] & ~allowed:
            raise _bad("OFPBAC_BAD_ARGUMENT")
        return cls(*members, **extra)
    return make


def _make_enqueue(port: int, queue: int) -> Enqueue:
    if port >= MAX_PORT and port not in (IN_PORT, LOCAL):
        raise _bad("OFPBAC_BAD_OUT_PORT")
    return Enqueue(port, queue)


def _one_of(cls: type, *allowed: int):
    def make(value: int):
        if value not in allowed:
            raise _bad("OFPBAC_BAD_ARGUMENT")
        return cls(value)
    return make


def _make_sample(probability: int, collector: int, domain: int, point: int, port: int = NONE,
                 direction: int = 0, domain_src=None, point_src=None) -> Sample:
    if not probability:
        raise _bad("OFPBAC_BAD_ARGUMENT")
    return Sample(probability, collector, domain, point, port, direction, domain_src, point_src)


def _make_conjunction(clause: int, n_clauses: int, conj_id: int) -> Conjunction:
    if not 2 <= n_clauses <= 64 or clause >= n_clauses:
        raise _bad("NXBAC_BAD_CONJUNCTION")
    return Conjunction(conj_id, clause, n_clauses)


def _make_trunc(port: int, max_len: int) -> OutputTrunc:
    if max_len < MIN_TRUNC:
        raise _bad("OFPBAC_BAD_ARGUMENT")
    return OutputTrunc(port, max_len)


_MAKE: dict[str, Callable[..., Action]] = {
    "OFPAT_RAW10_OUTPUT": lambda port, max_len: Output(_check_out_port(port), max_len),
    "OFPAT_RAW11_OUTPUT": lambda port, max_len: Output(_check_out_port(_port11(port)), max_len),
    "OFPAT_RAW10_SET_VLAN_VID": _limited(SetVlanVid, 0, 0xfff),
    "OFPAT_RAW10_SET_VLAN_PCP": _limited(SetVlanPcp, 0, 7),
    "OFPAT_RAW11_SET_VLAN_VID": _limited(SetVlanVid, 0, 0xfff, push=False),
    "OFPAT_RAW11_SET_VLAN_PCP": _limited(SetVlanPcp, 0, 7, push=False),
    "OFPAT_RAW11_PUSH_VLAN": _one_of(PushVlan, 0x8100, 0x88a8),
    "OFPAT_RAW11_POP_VLAN": lambda: StripVlan(True),
    "OFPAT_RAW_SET_DL_SRC": lambda mac: SetEthSrc(int.from_bytes(mac, "big")),
    "OFPAT_RAW_SET_DL_DST": lambda mac: SetEthDst(int.from_bytes(mac, "big")),
    "OFPAT_RAW_SET_NW_TOS": _limited(SetIpDscp, 0, 0xfc),
    "OFPAT_RAW11_SET_NW_ECN": _limited(SetIpEcn, 0, 3),
    "OFPAT_RAW10_ENQUEUE": _make_enqueue,
    "OFPAT_RAW_SET_MPLS_LABEL": _limited(SetMplsLabel, 0, 0xfffff),
    "OFPAT_RAW_SET_MPLS_TC": _limited(SetMplsTc, 0, 7),
    "OFPAT_RAW_PUSH_MPLS": _one_of(PushMpls, 0x8847, 0x8848),
    "NXAST_RAW_RESUBMIT": lambda in_port: Resubmit(in_port),
    "NXAST_RAW_RESUBMIT_TABLE_CT": lambda in_port, table: Resubmit(in_port, table, True),
    "NXAST_RAW_SET_TUNNEL64": lambda tun_id: SetTunnel(tun_id, True),
    "NXAST_RAW_SAMPLE": _make_sample,
    "NXAST_RAW_CONJUNCTION": _make_conjunction,
    "NXAST_RAW_OUTPUT_TRUNC": _make_trunc,
}


def _ofs_nbits(value: int) -> tuple[int, int]:
    return value >> 6, (value & 0x3f) + 1


def _subfield(info: Info | None, offset: int, n_bits: int, role: str) -> Subfield:
    """A checked subfield; role is 'source' or 'destination'."""
    if info is None:
        raise _bad("OFPBAC_BAD_SET_TYPE")
    problem = subfield_problem(info, offset, n_bits, role)
    if problem:
        raise _bad(problem[0], problem[1], "meta_flow")
    return Subfield(info.name, offset, n_bits)


def subfield_problem(info: Info, offset: int, n_bits: int, role: str) -> tuple[str, str] | None:
    """What is wrong with a subfield as source or destination: (error name, log text) or None."""
    if not n_bits:
        return "OFPBAC_BAD_SET_LEN", f"zero bit {role} field {info.name}"
    if offset >= info.bits:
        return "OFPBAC_BAD_SET_LEN", (f"bit offset {offset} exceeds {info.bits}-bit width of "
                                      f"{role} field {info.name}")
    if offset + n_bits > info.bits:
        return "OFPBAC_BAD_SET_LEN", (f"bit offset {offset} and width {n_bits} exceeds "
                                      f"{info.bits}-bit width of {role} field {info.name}")
    if role == "destination" and not info.writable:
        return "OFPBAC_BAD_SET_ARGUMENT", f"destination field {info.name} is not writable"
    return None


def _field32(data: bytes, at: int) -> Info | None:
    """The field of a four-byte NXM header, None if unknown."""
    return pull_header(data, at, at + 4)[0] if data[at:at + 2] != b"\xff\xff" else None


def _pull_field(data: bytes, at: int, end: int) -> tuple[Info, int]:
    info, _, _, _, next_at = pull_header(data, at, end)
    if info is None:
        raise _bad("OFPBMC_BAD_FIELD")
    return info, next_at


def _require_zero(data: bytes, at: int, end: int, error: str = "NXBRC_MUST_BE_ZERO") -> None:
    if any(data[at:end]):
        raise _bad(error)


def _decode_set_field(data: bytes, at: int, end: int, version: int, debug: bool) -> SetField:
    masks = version >= 6
    try:
        info, value, mask, next_at = pull_entry(data, at + 4, end, masks, action=True)
    except OpenFlowError as error:
        if error.name == "OFPBMC_BAD_MASK":
            raise _bad("OFPBAC_BAD_SET_MASK") from None
        raise
    if mask != info.full and not info.maskable and mask:
        raise _bad("OFPBAC_BAD_SET_MASK")
    _require_zero(data, next_at, end, "OFPBAC_BAD_SET_ARGUMENT")
    if info.name == "in_port_oxm":
        raise _bad("OFPBAC_BAD_SET_ARGUMENT")
    if not info.writable:
        raise _bad("OFPBAC_BAD_SET_ARGUMENT", f"destination field {info.name} is not writable")
    if not value_is_valid(info, value) or info.name == "vlan_vid" and not value & mask & 0x1000:
        raise _bad("OFPBAC_BAD_SET_ARGUMENT",
                   f"Invalid value for set field {info.name}: {format_value(info, value)}")
    return SetField(info.name, value & mask, mask)


def _decode_reg_load(data: bytes, at: int, end: int, version: int, debug: bool) -> SetField:
    ofs_nbits, = _U16.unpack_from(data, at + 10)
    value, = _U64.unpack_from(data, at + 16)
    offset, n_bits = _ofs_nbits(ofs_nbits)
    info = _field32(data, at + 12)
    dst = _subfield(info, offset, n_bits, "destination")
    if n_bits < 64 and value >> n_bits:
        raise _bad("OFPBAC_BAD_ARGUMENT")
    return load(dst, value)


def load(dst: Subfield, value: int) -> SetField:
    """The action load:value->dst."""
    info = INFO[dst.field]
    mask = ((1 << dst.n_bits) - 1) << dst.offset
    return SetField(dst.field, value << dst.offset & mask, _widen(info, mask), True)


def _widen(info: Info, mask: int) -> int:
    """A mask over all bits of the field is an exact one."""
    return info.full if mask & info.significant == info.significant else mask


def _decode_reg_load2(data: bytes, at: int, end: int, version: int, debug: bool) -> SetField:
    info, value, mask, next_at = pull_entry(data, at + 10, end, True, action=True)
    _require_zero(data, next_at, end, "OFPBAC_BAD_SET_ARGUMENT")
    if not info.writable:
        raise _bad("OFPBAC_BAD_SET_ARGUMENT", f"destination field {info.name} is not writable")
    if mask != info.full and not info.maskable and mask:
        raise _bad("OFPBMC_BAD_MASK")
    return SetField(info.name, value & mask, mask)


def _decode_move(where: int, sizes: int):
    """Copy-field and reg_move: n_bits, offsets at `where`, OXM headers at `sizes`."""
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> RegMove:
        n_bits, src_ofs, dst_ofs = struct.unpack_from("!HHH", data, at + where)
        src, next_at = _pull_field(data, at + sizes, end)
        dst, next_at = _pull_field(data, next_at, end)
        _require_zero(data, next_at, end)
        return RegMove(_subfield(src, src_ofs, n_bits, "source"),
                       _subfield(dst, dst_ofs, n_bits, "destination"))
    return decode


def _decode_dec_ttl_ids(data: bytes, at: int, end: int, version: int, debug: bool) -> DecTtl:
    count, = _U16.unpack_from(data, at + 10)
    _require_zero(data, at + 12, at + 16)
    room = end - at - 16
    if room < count * 2:
        raise _bad("OFPBAC_BAD_LEN", f"Nicira action dec_ttl_cnt_ids only has {room} bytes "
                   f"allocated for controller ids.  {count * 2} bytes are required for {count} "
                   "controllers.")
    return DecTtl(struct.unpack_from(f"!{count}H", data, at + 16))


def _decode_output_reg(data: bytes, at: int, end: int, version: int, debug: bool) -> OutputReg:
    ofs_nbits, = _U16.unpack_from(data, at + 10)
    max_len, = _U16.unpack_from(data, at + 16)
    _require_zero(data, at + 18, at + 24, "OFPBAC_BAD_ARGUMENT")
    src = _subfield(_field32(data, at + 12), *_ofs_nbits(ofs_nbits), "source")
    return OutputReg(src, max_len)


def _decode_output_reg2(data: bytes, at: int, end: int, version: int, debug: bool) -> OutputReg:
    ofs_nbits, max_len = struct.unpack_from("!HH", data, at + 10)
    info, next_at = _pull_field(data, at + 14, end)
    _require_zero(data, next_at, end)
    return OutputReg(_subfield(info, *_ofs_nbits(ofs_nbits), "source"), max_len)


def _decode_note(data: bytes, at: int, end: int, version: int, debug: bool) -> Note:
    return Note(bytes(data[at + 10:end]))


def _decode_multipath(data: bytes, at: int, end: int, version: int, debug: bool) -> Multipath:
    (fields, basis, _, algorithm, max_link, arg, _,
     ofs_nbits) = struct.unpack_from("!HHHHHIHH", data, at + 10)
    if fields >= len(HASH_FIELDS):
        raise _bad("OFPBAC_BAD_ARGUMENT", f"unsupported fields {fields}", "multipath")
    if algorithm >= len(MULTIPATH_ALGORITHMS):
        raise _bad("OFPBAC_BAD_ARGUMENT", f"unsupported algorithm {algorithm}", "multipath")
    offset, n_bits = _ofs_nbits(ofs_nbits)
    if n_bits < 16 and max_link + 1 > 1 << n_bits:
        raise _bad("OFPBAC_BAD_ARGUMENT",
                   f"{n_bits}-bit destination field allows specifying values 0 through "
                   f"{(1 << n_bits) - 1} but {max_link + 1} links need more", "multipath")
    dst = _subfield(_field32(data, at + 28), offset, n_bits, "destination")
    return Multipath(fields, basis, algorithm, max_link, arg, dst)


def _decode_bundle(with_load: bool):
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Bundle:
        (algorithm, fields, basis, _, count,
         ofs_nbits) = struct.unpack_from("!HHHIHH", data, at + 10)
        problems = []
        member_type, = _U32.unpack_from(data, at + 16)
        if fields >= len(HASH_FIELDS):
            problems.append(f"unsupported fields {fields}")
        if member_type != 2:
            problems.append(f"unsupported member type {member_type}")
        if algorithm >= len(BUNDLE_ALGORITHMS):
            problems.append(f"unsupported algorithm {algorithm}")
        if any(data[at + 28:at + 32]):
            problems.append("reserved field is nonzero")
        if not with_load and (ofs_nbits or any(data[at + 24:at + 28])):
            problems.append("bundle action has nonzero reserved fields")
        if problems:
            raise OpenFlowError("OFPBAC_BAD_ARGUMENT", problems[-1], _MODULE,
                                log=tuple((_MODULE, text) for text in problems))
        members_at = at + 32
        dst = None
        if with_load:
            offset, n_bits = _ofs_nbits(ofs_nbits)
            dst = _subfield(_field32(data, at + 24), offset, n_bits, "destination")
            if n_bits < 16:
                raise _bad("OFPBAC_BAD_ARGUMENT",
                           "bundle_load action requires at least 16 bit destination.")
        if end - members_at < count * 2:
            raise _bad("OFPBAC_BAD_LEN", "Nicira action bundle"
                       f"{'_load' if with_load else ''} only has {end - members_at} bytes "
                       f"allocated for members.  {count * 2} bytes are required for {count} "
                       "members.")
        members = struct.unpack_from(f"!{count}H", data, members_at)
        for port in members:
            if port != NONE:
                _check_out_port(port)
        return Bundle(fields, basis, algorithm, members, dst)
    return decode


def _decode_controller(data: bytes, at: int, end: int, version: int, debug: bool) -> Controller:
    max_len, controller, reason = struct.unpack_from("!HHB", data, at + 10)
    return Controller(max_len, controller, reason)


def _decode_controller2(data: bytes, at: int, end: int, version: int, debug: bool) -> Controller:
    _require_zero(data, at + 10, at + 16)
    members = {}
    at += 16
    while at < end:
        if end - at < 4:
            raise _bad("OFPBPC_BAD_LEN", "", "ofp_prop")
        kind, length = _HEADER.unpack_from(data, at)
        if length < 4 or at + length > end:
            raise _bad("OFPBPC_BAD_LEN", "", "ofp_prop")
        body = data[at + 4:at + length]
        form = _CONTROLLER_PROPS.get(kind)
        if form is None:
            raise _bad("OFPBPC_BAD_TYPE", f"unknown NXAST_RAW_CONTROLLER2 property type {kind}",
                       "ofp_prop")
        name, size = form
        if size is None:
            members[name] = bytes(body)
        elif len(body) != size and name != "pause":
            raise _bad("OFPBPC_BAD_LEN", "", "ofp_prop")
        else:
            # A number of 16 bits is followed by two bytes of padding that its length counts.
            number = body[:2] if kind < 2 else body
            members[name] = True if name == "pause" else int.from_bytes(number, "big")
        at += length + 7 & ~7
        if at > end:
            raise _bad("OFPBPC_BAD_LEN", "", "ofp_prop")
    return Controller(**members)


_CONTROLLER_PROPS: dict[int, tuple[str, int | None]] = {
    0: ("max_len", 4), 1: ("controller_id", 4), 2: ("reason", 1), 3: ("userdata", None),
    4: ("pause", 0), 5: ("meter", 4)}


def _decode_stack(cls: type, role: str):
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Action:
        offset, = _U16.unpack_from(data, at + 10)
        info, next_at = _pull_field(data, at + 12, end - 2)
        n_bits, = _U16.unpack_from(data, next_at)
        _require_zero(data, next_at + 2, end)
        return cls(_subfield(info, offset, n_bits, role))
    return decode


def _decode_sample2(direction: bool):
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Sample:
        (probability, collector, domain, point, port,
         way) = struct.unpack_from("!HIIIHB", data, at + 10)
        if not direction:
            way = 0
        if way > 2:
            raise _bad("OFPBAC_BAD_ARGUMENT", f"invalid sample direction {way}")
        return _make_sample(probability, collector, domain, point, port, way)
    return decode


def _decode_sample4(data: bytes, at: int, end: int, version: int, debug: bool) -> Sample:
    probability, collector = struct.unpack_from("!HI", data, at + 10)
    port, way = struct.unpack_from("!HB", data, at + 32)
    _require_zero(data, at + 35, at + 40)
    if way > 2:
        raise _bad("OFPBAC_BAD_ARGUMENT", f"invalid sample direction {way}")
    ids = []
    for where in (16, 24):
        if any(data[at + where:at + where + 4]):
            ofs_nbits, pad = struct.unpack_from("!HH", data, at + where + 4)
            if pad:
                raise _bad("NXBRC_MUST_BE_ZERO")
            src = _subfield(_field32(data, at + where), *_ofs_nbits(ofs_nbits), "source")
            if src.n_bits > 32:
                raise _bad("OFPBAC_BAD_SET_LEN",
                           "size of field used in observation_id (%d) exceeds maximum (%d)"
                           % (src.n_bits, 32))
            ids.append((0, src))
        else:
            ids.append((_U32.unpack_from(data, at + where + 4)[0], None))
    (domain, domain_src), (point, point_src) = ids
    return _make_sample(probability, collector, domain, point, port, way, domain_src, point_src)


_LEARN = struct.Struct("!HHHQHBBHH")


def _decode_learn(extended: bool):
    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Learn:
        (idle, hard, priority, cookie, flags, table, pad, fin_idle,
         fin_hard) = _LEARN.unpack_from(data, at + 10)
        if pad:
            raise _bad("OFPBAC_BAD_ARGUMENT")
        if flags & ~(7 if extended else 3) or table == 0xff:
            raise _bad("OFPBAC_BAD_ARGUMENT")
        limit, result_dst, specs_at = 0, None, at + 32
        if extended:
            limit, offset, pad = struct.unpack_from("!IHH", data, at + 32)
            if pad:
                raise _bad("OFPBAC_BAD_ARGUMENT")
            specs_at = at + 40
            if flags & LEARN_WRITE_RESULT:
                info, next_at = _pull_field(data, specs_at, end)
                if not info.writable:
                    raise _bad("OFPBAC_BAD_ARGUMENT",
                               f"destination field {info.name} is not writable", "meta_flow")
                result_dst = _subfield(info, offset, 1, "destination")
                specs_at = next_at
            elif offset:
                raise _bad("OFPBAC_BAD_ARGUMENT")
        specs = _decode_specs(data, specs_at, end)
        return Learn(table, idle, hard, priority, cookie, flags, fin_idle, fin_hard, limit,
                     result_dst, specs)
    return decode


def _decode_specs(data: bytes, at: int, end: int) -> tuple[LearnSpec, ...]:
    specs = []
    while end - at >= 2:
        header, = _U16.unpack_from(data, at)
        at += 2
        if not header:
            break
        n_bits, from_value, kind = header & 0x3ff, header >> 13 & 1, header >> 11 & 3
        if header & 0xc400 or kind == 3 or kind == 2 and from_value or not n_bits:
            raise _bad("OFPBAC_BAD_ARGUMENT")
        src, value = None, 0
        if from_value:
            size = (n_bits + 15) // 16 * 2
            if end - at < size:
                raise _bad("OFPBAC_BAD_LEN")
            value = int.from_bytes(data[at:at + size], "big") & (1 << n_bits) - 1
            at += size
        else:
            src, at = _spec_subfield(data, at, end, n_bits, "source")
        dst = None
        if kind != 2:
            role = "destination" if kind == 1 else "source"
            dst, at = _spec_subfield(data, at, end, n_bits, role)
        specs.append(LearnSpec(n_bits, src, value, kind, dst))
    _require_zero(data, at, end, "OFPBAC_BAD_ARGUMENT")
    return tuple(specs)


def _spec_subfield(data: bytes, at: int, end: int, n_bits: int,
                   role: str) -> tuple[Subfield, int]:
    if end - at < 6:
        raise _bad("OFPBAC_BAD_LEN")
    info, _, _, _, next_at = pull_header(data, at, end)
    if end - next_at < 2:
        raise _bad("OFPBAC_BAD_LEN")
    offset, = _U16.unpack_from(data, next_at)
    return _subfield(info, offset, n_bits, role), next_at + 2


def _decode_ct(data: bytes, at: int, end: int, version: int, debug: bool) -> Ct:
    flags, = _U16.unpack_from(data, at + 10)
    zone, table, alg = struct.unpack_from("!HB3xH", data, at + 16)
    zone_src = None
    if any(data[at + 12:at + 16]):
        zone_src = _subfield(_field32(data, at + 12), *_ofs_nbits(zone), "source")
        if zone_src.n_bits != 16:
            raise _bad("OFPBAC_BAD_SET_LEN",
                       f"zone n_bits {zone_src.n_bits} not within valid range [16..16]")
        zone = 0
    if flags & CT_FORCE and not flags & CT_COMMIT:
        raise _bad("OFPBAC_BAD_ARGUMENT")
    actions = _decode_list(data, version, at + 24, end, debug)
    if actions:
        verify(actions, instructions=False, outer=Ct)
        if not flags & CT_COMMIT and any(
                not isinstance(action, Nat) or action.flags or action.family for action in actions):
            raise _bad("OFPBAC_BAD_ARGUMENT",
                       "CT action requires commit flag if actions other than NAT "
                       "without arguments are specified.")
    return Ct(flags, table, zone, zone_src, alg, actions)


def _decode_nat(data: bytes, at: int, end: int, version: int, debug: bool) -> Nat:
    flags, ranges = struct.unpack_from("!HH", data, at + 12)
    if flags & ~0x1f or ranges & ~0x3f:
        raise _bad("OFPBAC_BAD_ARGUMENT")
    if flags & NAT_SRC and flags & NAT_DST:
        raise _bad("OFPBAC_BAD_ARGUMENT")
    if not flags & (NAT_SRC | NAT_DST) and (flags or ranges):
        raise _bad("OFPBAC_BAD_ARGUMENT")
    if flags & NAT_HASH and flags & NAT_RANDOM:
        raise _bad("OFPBAC_BAD_ARGUMENT")
    if (ranges & NAT_RANGE_IPV4_MIN and ranges & NAT_RANGE_IPV6_MIN
            or ranges & NAT_RANGE_IPV4_MAX and not ranges & NAT_RANGE_IPV4_MIN
            or ranges & NAT_RANGE_IPV6_MAX and not ranges & NAT_RANGE_IPV6_MIN
            or ranges & NAT_RANGE_PORT_MAX and not ranges & NAT_RANGE_PORT_MIN
            or ranges & NAT_RANGE_PORT_MIN
            and not ranges & (NAT_RANGE_IPV4_MIN | NAT_RANGE_IPV6_MIN)):
        raise _bad("OFPBAC_BAD_ARGUMENT")
    values = {}
    at += 16
    for bit, size in _NAT_RANGES:
        if ranges & bit:
            if end - at < size:
                raise _bad("OFPBAC_BAD_LEN")
            values[bit] = int.from_bytes(data[at:at + size], "big")
            at += size
    if end - at >= 8:
        raise _bad("OFPBAC_BAD_LEN")
    _require_zero(data, at, end, "OFPBAC_BAD_ARGUMENT")
    family = 4 if ranges & NAT_RANGE_IPV4_MIN else 6 if ranges & NAT_RANGE_IPV6_MIN else 0
    low, high = ((NAT_RANGE_IPV6_MIN, NAT_RANGE_IPV6_MAX) if family == 6
                 else (NAT_RANGE_IPV4_MIN, NAT_RANGE_IPV4_MAX))
    nat = Nat(flags, family, values.get(low, 0), values.get(high, 0),
              values.get(NAT_RANGE_PORT_MIN, 0), values.get(NAT_RANGE_PORT_MAX, 0))
    if (high in values and nat.ip_max < nat.ip_min
            or NAT_RANGE_PORT_MAX in values and nat.port_max < nat.port_min):
        raise _bad("OFPBAC_BAD_ARGUMENT")
    return nat


_NAT_RANGES = ((NAT_RANGE_IPV4_MIN, 4), (NAT_RANGE_IPV4_MAX, 4), (NAT_RANGE_IPV6_MIN, 16),
               (NAT_RANGE_IPV6_MAX, 16), (NAT_RANGE_PORT_MIN, 2), (NAT_RANGE_PORT_MAX, 2))


def _decode_clone(data: bytes, at: int, end: int, version: int, debug: bool) -> Clone:
    actions = _decode_list(data, version, at + 16, end, debug)
    verify(actions, instructions=False, outer=Clone, version=version)
    return Clone(actions)


_ENCAP_TYPES = (PACKET_TYPE_ETH, PACKET_TYPE_NSH, PACKET_TYPE_MPLS, PACKET_TYPE_MPLS_MC)


def _decode_encap(data: bytes, at: int, end: int, version: int, debug: bool) -> Encap:
    hdr_size, packet_type = struct.unpack_from("!HI", data, at + 10)
    if packet_type not in _ENCAP_TYPES:
        raise _bad("NXBAC_BAD_HEADER_TYPE")
    props = []
    at += 16
    while at < end:
        if end - at < 4:
            raise _bad("OFPBAC_BAD_LEN")
        prop_class, kind, length = struct.unpack_from("!HBB", data, at)
        if prop_class != ENCAP_NSH_CLASS or kind not in (ENCAP_NSH_MD_TYPE, ENCAP_NSH_TLV):
            raise _bad("NXBAC_UNKNOWN_ED_PROP")
        padded = length + 7 & ~7
        if length < 4 or padded > end - at:
            raise _bad("OFPBAC_BAD_LEN")
        if kind == ENCAP_NSH_MD_TYPE:
            if padded > 8 or length < 5:
                raise _bad("NXBAC_BAD_ED_PROP")
            props.append(EncapNsh(data[at + 4]))
            if props[-1].md_type not in (1, 2):
                raise _bad("NXBAC_BAD_ED_PROP")
        else:
            if length < 8:
                raise _bad("NXBAC_BAD_ED_PROP")
            tlv_class, tlv_type, tlv_len = struct.unpack_from("!HBB", data, at + 4)
            if tlv_len > length - 8:
                raise _bad("NXBAC_BAD_ED_PROP")
            props.append(EncapTlv(tlv_class, tlv_type, bytes(data[at + 8:at + 8 + tlv_len])))
        at += padded
    return Encap(packet_type, tuple(props), hdr_size)


def _decode_check_pkt_larger(data: bytes, at: int, end: int, version: int,
                             debug: bool) -> CheckPktLarger:
    size, offset = struct.unpack_from("!HH", data, at + 10)
    info, next_at = _pull_field(data, at + 14, end)
    _require_zero(data, next_at, end)
    return CheckPktLarger(size, _subfield(info, offset, 1, "destination"))


def _decode_delete_field(data: bytes, at: int, end: int, version: int, debug: bool) -> DeleteField:
    info, _ = _pull_field(data, at + 10, end)
    if not info.variable:
        raise _bad("OFPBAC_BAD_ARGUMENT")
    return DeleteField(info.name)


# Forms with their own decoders: (least length, decoder).
_SPECIAL: dict[str, tuple[int, Callable[..., Action]]] = {
    "NXAST_RAW_DEC_TTL_CNT_IDS": (16, _decode_dec_ttl_ids),
    "OFPAT_RAW12_SET_FIELD": (8, _decode_set_field),
    "OFPAT_RAW15_SET_FIELD": (8, _decode_set_field),
    "NXAST_RAW_REG_LOAD": (24, _decode_reg_load),
    "NXAST_RAW_REG_LOAD2": (16, _decode_reg_load2),
    "OFPAT_RAW15_COPY_FIELD": (16, _decode_move(4, 12)),
    "ONFACT_RAW13_COPY_FIELD": (24, _decode_move(12, 20)),
    "NXAST_RAW_REG_MOVE": (16, _decode_move(10, 16)),
    "NXAST_RAW_NOTE": (16, _decode_note),
    "NXAST_RAW_MULTIPATH": (32, _decode_multipath),
    "NXAST_RAW_BUNDLE": (32, _decode_bundle(False)),
    "NXAST_RAW_BUNDLE_LOAD": (32, _decode_bundle(True)),
    "NXAST_RAW_OUTPUT_REG": (24, _decode_output_reg),
    "NXAST_RAW_OUTPUT_REG2": (24, _decode_output_reg2),
    "NXAST_RAW_LEARN": (32, _decode_learn(False)),
    "NXAST_RAW_LEARN2": (40, _decode_learn(True)),
    "NXAST_RAW_CONTROLLER": (16, _decode_controller),
    "NXAST_RAW_CONTROLLER2": (16, _decode_controller2),
    "NXAST_RAW_STACK_PUSH": (24, _decode_stack(StackPush, "source")),
    "NXAST_RAW_STACK_POP": (24, _decode_stack(StackPop, "destination")),
    "NXAST_RAW_SAMPLE2": (32, _decode_sample2(False)),
    "NXAST_RAW_SAMPLE3": (32, _decode_sample2(True)),
    "NXAST_RAW_SAMPLE4": (40, _decode_sample4),
    "NXAST_RAW_CT": (24, _decode_ct),
    "NXAST_RAW_NAT": (16, _decode_nat),
    "NXAST_RAW_CLONE": (16, _decode_clone),
    "NXAST_RAW_ENCAP": (16, _decode_encap),
    "NXAST_RAW_CHECK_PKT_LARGER": (24, _decode_check_pkt_larger),
    "NXAST_RAW_DELETE_FIELD": (24, _decode_delete_field),
}
_ERRORS_OF_ZEROS = {"NXAST_RAW_RESUBMIT_TABLE": "OFPBAC_BAD_ARGUMENT",
                    "NXAST_RAW_RESUBMIT_TABLE_CT": "OFPBAC_BAD_ARGUMENT"}


def _fixed_decoder(raw: Raw, layout: _Layout, base: int):
    make = _MAKE.get(raw.name) or getattr(action_types, raw.action)
    unpack = layout.code.unpack_from
    if not layout.names and not layout.zeros:
        value = make()
        return lambda data, at, end, version, debug: value
    if not layout.zeros:
        return lambda data, at, end, version, debug: make(*unpack(data, at + base))
    zeros, error = layout.zeros, _ERRORS_OF_ZEROS.get(raw.name, "NXBRC_MUST_BE_ZERO")

    def decode(data: bytes, at: int, end: int, version: int, debug: bool) -> Action:
        for low, high in zeros:
            _require_zero(data, at + low, at + high, error)
        return make(*unpack(data, at + base))
    return decode


def _build_forms() -> tuple[dict, dict]:
    """({version: {type or (vendor, subtype): form}}, {(raw name, version): (vendor, number)})."""
    forms: dict[int, dict] = {version: {} for version in range(1, 7)}
    codes: dict[tuple[str, int], tuple[int, int]] = {}
    for raw in RAWS:
        made: dict[int, _Form] = {}
        for vendor_name, versions, number in _points(raw):
            vendor = VENDORS[vendor_name]
            base = 10 if vendor else 4
            form = made.get(base)
            if form is None:
                if raw.layout is None:
                    least, decode = _SPECIAL[raw.name]
                else:
                    layout = _layout(raw, base)
                    least, decode = layout.size, _fixed_decoder(raw, layout, base)
                most = least if raw.fixed else 0xfff8
                form = made[base] = _Form(raw, least, most, decode)
            for version in versions:
                forms[version][(vendor, number) if vendor else number] = form
                codes[raw.name, version] = (vendor, number)
    return forms, codes


_FORMS, _CODES = _build_forms()
_RAW: dict[str, Raw] = {raw.name: raw for raw in RAWS}


# Instructions.

_INSTRUCTION_BY_TYPE = {row.type: (index, row) for index, row in enumerate(INSTRUCTIONS)}
_APPLY = 1                                       # index of apply_actions in INSTRUCTIONS


def decode_instructions(data: bytes, version: int, start: int = 0, end: int | None = None, *,
                        debug: bool = False) -> Actions:
    """Decodes the instructions of a flow (OpenFlow 1.0: its actions) and verifies their order.

    The flows of a switch have few different actions, so the last few thousand are remembered.
    """
    return _decode_instructions(bytes(data[start:end]), version, debug)


@lru_cache(4096)
def _decode_instructions(data: bytes, version: int, debug: bool) -> Actions:
    end = len(data)
    if version == 1:
        actions = decode_actions(data, version, debug=debug)
        verify(actions)
        return actions
    if end % 8:
        raise _bad("OFPBIC_BAD_LEN", f"OpenFlow message instructions length {end} is not a "
                   "multiple of 8")
    found: list[tuple[int, int] | None] = [None] * len(INSTRUCTIONS)
    at = 0
    while at < end:
        kind, length = _HEADER.unpack_from(data, at)
        if length % 8 or length < 8 or length > end - at:
            raise _bad("OFPBIC_BAD_LEN", f"bad instruction format at offset {at}")
        if kind == INSTRUCTION_EXPERIMENTER:
            raise _bad("OFPBIC_BAD_EXPERIMENTER")
        index, row = _INSTRUCTION_BY_TYPE.get(kind, (0, None))
        if row is None or not row.versions[0] <= version <= row.versions[1]:
            raise _bad("OFPBIC_UNKNOWN_INST")
        if length != row.size if not row.variable else length < row.size:
            raise _bad("OFPBIC_BAD_LEN")
        if found[index] is not None:
            raise _bad("OFPBIC_DUP_INST")
        found[index] = (at, at + length)
        at += length
    actions = _assemble(data, version, found, debug)
    verify(actions)
    return actions


def _assemble(data: bytes, version: int, found: list[tuple[int, int] | None],
              debug: bool) -> Actions:
    actions: list[Action] = []
    for index, place in enumerate(found):
        if place is None:
            continue
        at, end = place
        match INSTRUCTIONS[index].action:
            case "":
                actions += _decode_list(data, version, at + 8, end, debug)
            case "Meter":
                actions.append(Meter(_U32.unpack_from(data, at + 4)[0]))
            case "ClearActions":
                actions.append(ClearActions())
            case "WriteActions":
                actions.append(WriteActions(
                    _decode_action_set(data, version, at + 8, end, debug)))
            case "WriteMetadata":
                metadata, mask = struct.unpack_from("!QQ", data, at + 8)
                actions.append(WriteMetadata(metadata, mask))
            case "GotoTable":
                actions.append(GotoTable(data[at + 4]))
    return tuple(actions)


def _decode_action_set(data: bytes, version: int, at: int, end: int, debug: bool) -> Actions:
    actions = _decode_list(data, version, at, end, debug)
    if any(type(action) not in _IN_ACTION_SET for action in actions):
        raise _bad("OFPBAC_BAD_TYPE", "disallowed action in action set")
    verify(actions, instructions=False, outer=WriteActions)
    return actions


_IN_ACTION_SET = frozenset({
    Output, Group, SetField, SetVlanVid, SetVlanPcp, StripVlan, PushVlan, SetEthSrc, SetEthDst,
    SetIpv4Src, SetIpv4Dst, SetIpDscp, SetIpEcn, SetIpTtl, SetL4SrcPort, SetL4DstPort, RegMove,
    DecTtl, SetMplsLabel, SetMplsTc, SetMplsTtl, DecMplsTtl, PushMpls, PopMpls, DecNshTtl,
    SetTunnel, SetQueue, Resubmit, Ct, CtClear, Encap, Decap, Meter, DebugRecirc, DebugSlow})

_INSTRUCTION_OF: dict[type, int] = {
    getattr(action_types, row.action): index for index, row in enumerate(INSTRUCTIONS)
    if row.action}
INSTRUCTION_NAMES = tuple(row.name for row in INSTRUCTIONS)


def instruction_of(action: Action, version: int = 2) -> int:
    """Index in INSTRUCTIONS of what carries an action; from 1.5 on a meter is a plain action."""
    index = _INSTRUCTION_OF.get(type(action), _APPLY)
    return _APPLY if version >= 6 and index == 0 else index


def fields_set(action: Action) -> Info | None:
    """The field that an action writes, None if it writes none."""
    match action:
        case SetField():
            return INFO[action.field]
        case RegMove() | CheckPktLarger():
            return INFO[action.dst.field]
        case StackPop():
            return INFO[action.subfield.field]
        case Bundle() | Multipath() if action.dst is not None:
            return INFO[action.dst.field]
        case Learn() if action.result_dst is not None:
            return INFO[action.result_dst.field]
    name = _SETTERS.get(type(action))
    return INFO[name] if name else None


_SETTERS: dict[type, str] = {
    SetVlanVid: "vlan_vid", SetVlanPcp: "vlan_pcp", SetEthSrc: "eth_src", SetEthDst: "eth_dst",
    SetIpv4Src: "ip_src", SetIpv4Dst: "ip_dst", SetIpDscp: "nw_tos", SetIpEcn: "nw_ecn",
    SetIpTtl: "nw_ttl", SetMplsLabel: "mpls_label", SetMplsTc: "mpls_tc", SetMplsTtl: "mpls_ttl",
    SetTunnel: "tun_id", SetL4SrcPort: "tcp_src", SetL4DstPort: "tcp_dst",
    WriteMetadata: "metadata",
}


def verify(actions: Actions, *, instructions: bool = True, outer: type | None = None,
           version: int = 2) -> None:
    """Checks order of instructions and nesting.

    instructions: others than actions are allowed. outer: class of the action around, if any.
    Raises OpenFlowError whose reason is what ovs-ofctl says about it.
    """
    previous = 0
    for index, action in enumerate(actions):
        if type(action) is Conjunction:
            for other in actions:
                if type(other) is not Conjunction and type(other) is not Note:
                    raise _bad("NXBAC_BAD_CONJUNCTION",
                               '"conjunction" actions may be used along with "note" but not any '
                               f'other kind of action (such as the "{NAME_OF[type(other)]}" '
                               "action used here)")
            return
        _verify_nested(action, outer)
        current = instruction_of(action, version)
        if index and (current < previous if previous == _APPLY else current <= previous):
            name, next_name = INSTRUCTION_NAMES[previous], INSTRUCTION_NAMES[current]
            if current == previous:
                raise _bad("OFPBAC_UNSUPPORTED_ORDER",
                           f"duplicate {name} instruction not allowed, for OpenFlow 1.1+ "
                           "compatibility")
            raise _bad("OFPBAC_UNSUPPORTED_ORDER",
                       f"invalid instruction ordering: {next_name} must appear before {name}, "
                       "for OpenFlow 1.1+ compatibility")
        if not instructions and current not in (_APPLY, 0):
            raise _bad("OFPBIC_UNSUP_INST",
                       f"{INSTRUCTION_NAMES[current]} instruction not allowed here")
        previous = current


_CT_FIELDS = frozenset({"ct_mark", "ct_label"})


def _verify_nested(action: Action, outer: type | None) -> None:
    kind = type(action)
    field = fields_set(action) if outer is Ct or kind not in _PLAIN else None
    if field is not None and field.name in _CT_FIELDS and outer is not Ct:
        raise _bad("OFPBAC_BAD_SET_ARGUMENT", "cannot set CT fields outside of ct action")
    if kind is Nat:
        if outer is not Ct:
            raise _bad("OFPBAC_BAD_SET_ARGUMENT", 'Cannot have NAT action outside of "ct" action')
        return
    if kind is Meter and outer in (Clone, WriteActions):
        raise _bad("OFPBAC_BAD_ARGUMENT",
                   f"{NAME_OF[outer]} action doesn't support nested action meter")
    if outer is Ct:
        if field is None:
            raise _bad("OFPBAC_BAD_ARGUMENT",
                       f"ct action doesn't support nested action {NAME_OF[kind]}")
        if field.name not in _CT_FIELDS:
            raise _bad("OFPBAC_BAD_ARGUMENT",
                       f"ct action doesn't support nested modification of {field.name}")


_PLAIN = frozenset({Output, Group, Resubmit, Controller, DecTtl, GotoTable, SetQueue, StripVlan})


# Encoding.

def encode_actions(actions: Actions, version: int) -> bytes:
    """Encodes an action list; what the version has no action for is expressed otherwise or left
    out (instructions in OpenFlow 1.0), as the reference does."""
    return b"".join([_ENCODE[type(action)](action, version) for action in actions])


def encode_instructions(actions: Actions, version: int) -> bytes:
    """Encodes what a flow carries: instructions, or in OpenFlow 1.0 an action list."""
    if version == 1:
        return encode_actions(actions, version)
    out: list[bytes] = []
    run: list[Action] = []

    def flush() -> None:
        if run:
            body = encode_actions(tuple(run), version)
            out.append(struct.pack("!HH4x", 4, len(body) + 8) + body)
            run.clear()

    for action in actions:
        index = instruction_of(action, version)
        if index == _APPLY:
            run.append(action)
            continue
        flush()
        match action:
            case Meter(meter):
                if version >= 4:
                    out.append(struct.pack("!HHI", 6, 8, meter))
            case ClearActions():
                out.append(struct.pack("!HH4x", 5, 8))
            case WriteActions(inner):
                body = encode_actions(inner, version)
                if body:
                    out.append(struct.pack("!HH4x", 3, len(body) + 8) + body)
            case WriteMetadata(metadata, mask):
                out.append(struct.pack("!HH4xQQ", 2, 24, metadata, mask))
            case GotoTable(table):
                out.append(struct.pack("!HHB3x", 1, 8, table))
    flush()
    return b"".join(out)


def _head(name: str, version: int, length: int) -> bytes:
    """Header of a raw action (10 bytes with a vendor, 4 without) for a whole of `length` bytes."""
    vendor, number = _CODES[name, version]
    if vendor:
        return struct.pack("!HHIH", VENDOR_ACTION, length, vendor, number)
    return struct.pack("!HH", number, length)


def _put(name: str, version: int, *members) -> bytes:
    """Encodes a raw action of fixed layout."""
    vendor, number = _CODES[name, version]
    if vendor:
        layout = _layout(_RAW[name], 10)
        return (struct.pack("!HHIH", VENDOR_ACTION, layout.size, vendor, number)
                + layout.packed.pack(*members))
    layout = _layout(_RAW[name], 4)
    return _HEADER.pack(number, layout.size) + layout.packed.pack(*members)


def _put_body(name: str, version: int, body: bytes) -> bytes:
    """Encodes a raw action with a body of any length, padded to 8."""
    head = len(_head(name, version, 0))
    length = head + len(body) + 7 & ~7
    return _head(name, version, length) + body + bytes(length - head - len(body))


def _simple(name: str):
    """Encoder of an action whose members are the layout's, in one raw form."""
    return lambda action, version: _put(name, version, *action)


def _encode_output(action: Output, version: int) -> bytes:
    if version == 1:
        return struct.pack("!HHHH", 0, 8, action.port, action.max_len)
    port, max_len = action
    return struct.pack("!HHIH6x", 0, 16, port if port < MAX_PORT else port + 0xffff0000, max_len)


def _encode_controller(action: Controller, version: int) -> bytes:
    if not action.userdata and not action.pause and not action.meter:
        return _put_body("NXAST_RAW_CONTROLLER", version, struct.pack(
            "!HHBx", action.max_len, action.controller_id, action.reason))
    props = []
    if action.max_len != 0xffff:
        props.append(struct.pack("!HHH2x", 0, 8, action.max_len))
    if action.controller_id:
        props.append(struct.pack("!HHH2x", 1, 8, action.controller_id))
    if action.reason != 1:
        props.append(struct.pack("!HHB3x", 2, 5, action.reason))
    if action.userdata:
        length = 4 + len(action.userdata)
        props.append(struct.pack("!HH", 3, length) + action.userdata + bytes(-length % 8))
    if action.pause:
        props.append(struct.pack("!HH4x", 4, 4))
    if action.meter:
        props.append(struct.pack("!HHI", 5, 8, action.meter))
    return _put_body("NXAST_RAW_CONTROLLER2", version, bytes(6) + b"".join(props))


def _encode_enqueue(action: Enqueue, version: int) -> bytes:
    if version == 1:
        return _put("OFPAT_RAW10_ENQUEUE", version, *action)
    return (_put("OFPAT_RAW_SET_QUEUE", version, action.queue)
            + _encode_output(Output(action.port, 0xffff), version)
            + _put("NXAST_RAW_POP_QUEUE", version))


def _nxm32(info: Info) -> bytes | None:
    """The four-byte NXM header of a field, None if its header is longer."""
    header = put_header(info, 0)
    return header if len(header) == 4 else None


def _bits(subfield: Subfield) -> int:
    return subfield.offset << 6 | subfield.n_bits - 1


def _encode_output_reg(action: OutputReg, version: int) -> bytes:
    info = INFO[action.src.field]
    header = _nxm32(info)
    if header is not None:
        return _put_body("NXAST_RAW_OUTPUT_REG", version, struct.pack(
            "!H4sH6x", _bits(action.src), header, action.max_len))
    return _put_body("NXAST_RAW_OUTPUT_REG2", version, struct.pack(
        "!HH10s", _bits(action.src), action.max_len, put_header(info, 0)))


def _encode_bundle(action: Bundle, version: int) -> bytes:
    dst = action.dst
    header = put_header(INFO[dst.field], 0)[:4] if dst else bytes(4)
    body = struct.pack("!HHHIHH4s4x", action.algorithm, action.fields, action.basis, 2,
                       len(action.members), _bits(dst) if dst else 0, header)
    body += struct.pack(f"!{len(action.members)}H", *action.members)
    name = "NXAST_RAW_BUNDLE_LOAD" if dst else "NXAST_RAW_BUNDLE"
    return _put_body(name, version, body)


def _encode_vlan_vid(action: SetVlanVid, version: int) -> bytes:
    if version == 1:
        return _put("OFPAT_RAW10_SET_VLAN_VID", version, action.vid)
    push = _vlan_push(action, version)
    if version == 2:
        return push + _put("OFPAT_RAW11_SET_VLAN_VID", version, action.vid)
    return push + _put_field(INFO["vlan_vid"], action.vid | 0x1000, version)


def _encode_vlan_pcp(action: SetVlanPcp, version: int) -> bytes:
    if version == 1:
        return _put("OFPAT_RAW10_SET_VLAN_PCP", version, action.pcp)
    push = _vlan_push(action, version)
    if version == 2:
        return push + _put("OFPAT_RAW11_SET_VLAN_PCP", version, action.pcp)
    return push + _put_field(INFO["vlan_pcp"], action.pcp, version)


def _vlan_push(action: SetVlanVid | SetVlanPcp, version: int) -> bytes:
    if action.push and not action.has_vlan:
        return _put("OFPAT_RAW11_PUSH_VLAN", version, 0x8100)
    return b""


def _put_field(info: Info, value: int, version: int, mask: int | None = None) -> bytes:
    """A set_field action (1.2 and later)."""
    name = "OFPAT_RAW15_SET_FIELD" if version >= 6 else "OFPAT_RAW12_SET_FIELD"
    return _put_body(name, version,
                     put_entry(info, version, value, info.full if mask is None else mask))


def segments(action: SetField) -> Iterable[tuple[Subfield, int]]:
    """Cuts a set_field into loads of at most 64 contiguous bits, lowest first."""
    info = INFO[action.field]
    mask = action.mask & info.significant
    at = 0
    while mask >> at:
        rest = mask >> at
        at += (rest & -rest).bit_length() - 1
        rest = mask >> at
        run = (~rest & rest + 1).bit_length() - 1
        n_bits = min(run, 64)
        yield Subfield(info.name, at, n_bits), action.value >> at & (1 << n_bits) - 1
        at += n_bits


def _encode_load(action: SetField, version: int) -> bytes:
    out = []
    info = INFO[action.field]
    header = None if info.variable else _nxm32(info)
    if header is None:
        return _put_body("NXAST_RAW_REG_LOAD2", version,
                         put_entry(info, 0, action.value, action.mask))
    for dst, value in segments(action):
        out.append(_put_body("NXAST_RAW_REG_LOAD", version, struct.pack(
            "!H4sQ", _bits(dst), header, value)))
    return b"".join(out)


# Fields that OpenFlow 1.0 and 1.1 set by actions of their own.
_LEGACY: dict[str, Callable[[int, int], Action]] = {
    "eth_src": lambda value, version: SetEthSrc(value),
    "eth_dst": lambda value, version: SetEthDst(value),
    "vlan_vid": lambda value, version: SetVlanVid(value & 0xfff, False, True),
    "vlan_pcp": lambda value, version: SetVlanPcp(value, False, True),
    "dl_vlan_pcp": lambda value, version: SetVlanPcp(value, False, True),
    "dl_vlan": lambda value, version: SetVlanVid(value & 0xfff, False, True),
    "ip_src": lambda value, version: SetIpv4Src(value),
    "ip_dst": lambda value, version: SetIpv4Dst(value),
    "nw_tos": lambda value, version: SetIpDscp(value & 0xfc),
    "ip_dscp": lambda value, version: SetIpDscp(value << 2 & 0xfc),
    **{f"{proto}_{part}": make for proto in ("tcp", "udp", "sctp") for part, make in (
        ("src", lambda value, version: SetL4SrcPort(value)),
        ("dst", lambda value, version: SetL4DstPort(value)))},
}


def _encode_set_field(action: SetField, version: int) -> bytes:
    info = INFO[action.field]
    if version >= 6:
        return _put_field(info, action.value, version, action.mask)
    if action.load:
        return _encode_load(action, version)
    if version >= 3:
        if action.mask == info.full:
            return _put_field(info, action.value, version)
        return _encode_load(action, version)
    if info.name == "vlan_tci":
        return _encode_set_tci(action, version)
    if info.name == "nw_ecn" and version == 2:
        return _put("OFPAT_RAW11_SET_NW_ECN", version, action.value & 3)
    legacy = _LEGACY.get(info.name)
    if legacy is not None:
        new = legacy(action.value, version)
        return _ENCODE[type(new)](new, version)
    return _encode_load(action, version)


def _encode_set_tci(action: SetField, version: int) -> bytes:
    """vlan_tci in 1.0 and 1.1: a tag is stripped, or its parts are set (the mask is lost)."""
    value = action.value
    if not value & 0x1000:
        return _encode_strip_vlan(StripVlan(), version)
    return (_encode_vlan_vid(SetVlanVid(value & 0xfff, True, action.has_vlan), version)
            + _encode_vlan_pcp(SetVlanPcp(value >> 13, True, True), version))


def _encode_strip_vlan(action: StripVlan, version: int) -> bytes:
    return _put("OFPAT_RAW10_STRIP_VLAN" if version == 1 else "OFPAT_RAW11_POP_VLAN", version)


def _setter(name: str, field: str, convert: Callable[[int], int] | None = None,
            last: int = 2, first: int = 1):
    """A header rewrite: `name` in versions first to last, set_field after, load before."""
    def encode(action: Action, version: int) -> bytes:
        if first <= version <= last:
            return _put(name, version, action[0])
        value = convert(action[0]) if convert else action[0]
        info = INFO[field]
        if version >= 3:
            return _put_field(info, value, version)
        return _encode_load(SetField(field, value, info.full, True), version)
    return encode


def _mac_setter(name: str, field: str):
    def encode(action: Action, version: int) -> bytes:
        if version <= 2:
            return _put(name, version, action[0].to_bytes(6, "big"))
        return _put_field(INFO[field], action[0], version)
    return encode


def _l4_setter(name: str, part: str):
    def encode(action: SetL4SrcPort | SetL4DstPort, version: int) -> bytes:
        port, proto = action
        if version <= 2:
            return _put(name, version, port)
        if proto in (ICMP, ICMPV6):
            family = "icmp" if proto == ICMP else "icmpv6"
            return _put_field(INFO[f"{family}_{'type' if part == 'src' else 'code'}"],
                              port & 0xff, version)
        family = {UDP: "udp", SCTP: "sctp"}.get(proto, "tcp")
        return _put_field(INFO[f"{family}_{part}"], port, version)
    return encode


def _encode_mpls_ttl(action: SetMplsTtl, version: int) -> bytes:
    return _put("OFPAT_RAW_SET_MPLS_TTL", version, action.ttl)


def _encode_tunnel(action: SetTunnel, version: int) -> bytes:
    if version >= 3:
        return _put_field(INFO["tun_id"], action.tun_id, version)
    wide = action.wide or action.tun_id > 0xffffffff
    return _put("NXAST_RAW_SET_TUNNEL64" if wide else "NXAST_RAW_SET_TUNNEL", version,
                action.tun_id)


def _encode_move(action: RegMove, version: int) -> bytes:
    src, dst = action
    if version >= 6:
        return _put_body("OFPAT_RAW15_COPY_FIELD", version, struct.pack(
            "!HHH2x", src.n_bits, src.offset, dst.offset)
            + put_header(INFO[src.field], version) + put_header(INFO[dst.field], version))
    return _put_body("NXAST_RAW_REG_MOVE", version, struct.pack(
        "!HHH", src.n_bits, src.offset, dst.offset)
        + put_header(INFO[src.field], 0) + put_header(INFO[dst.field], 0))


def _encode_stack(name: str):
    def encode(action: StackPush | StackPop, version: int) -> bytes:
        subfield = action.subfield
        body = (_U16.pack(subfield.offset) + put_header(INFO[subfield.field], 0)
                + _U16.pack(subfield.n_bits))
        return _put_body(name, version, body.ljust(14, b"\0"))
    return encode


def _encode_dec_ttl(action: DecTtl, version: int) -> bytes:
    if action.ids is None:
        return _put("OFPAT_RAW_DEC_NW_TTL", version)
    count = len(action.ids)
    return _put_body("NXAST_RAW_DEC_TTL_CNT_IDS", version,
                     struct.pack(f"!H4x{count}H", count, *action.ids))


def _encode_resubmit(action: Resubmit, version: int) -> bytes:
    name = "NXAST_RAW_RESUBMIT_TABLE_CT" if action.ct else "NXAST_RAW_RESUBMIT_TABLE"
    return _put(name, version, action.in_port, action.table)


def _encode_learn(action: Learn, version: int) -> bytes:
    extended = bool(action.limit or action.flags & LEARN_WRITE_RESULT)
    body = _LEARN.pack(action.idle_timeout, action.hard_timeout, action.priority, action.cookie,
                       action.flags, action.table, 0, action.fin_idle_timeout,
                       action.fin_hard_timeout)
    if extended:
        dst = action.result_dst
        body += struct.pack("!IHH", action.limit, dst.offset if dst else 0, 0)
        if dst is not None:
            body += put_header(INFO[dst.field], 0)
    out = [body]
    for n_bits, src, value, kind, dst in action.specs:
        out.append(_U16.pack((src is None) << 13 | kind << 11 | n_bits))
        if src is None:
            out.append(value.to_bytes((n_bits + 15) // 16 * 2, "big"))
        else:
            out.append(put_header(INFO[src.field], 0) + _U16.pack(src.offset))
        if dst is not None:
            out.append(put_header(INFO[dst.field], 0) + _U16.pack(dst.offset))
    return _put_body("NXAST_RAW_LEARN2" if extended else "NXAST_RAW_LEARN", version,
                     b"".join(out))


def _encode_multipath(action: Multipath, version: int) -> bytes:
    dst = action.dst
    return _put_body("NXAST_RAW_MULTIPATH", version, struct.pack(
        "!HHHHHIHH4s", action.fields, action.basis, 0, action.algorithm, action.max_link,
        action.arg, 0, _bits(dst), put_header(INFO[dst.field], 0)[:4]))


def _encode_sample(action: Sample, version: int) -> bytes:
    (probability, collector, domain, point, port, direction, domain_src, point_src) = action
    if domain_src is not None or point_src is not None:
        body = struct.pack("!HI", probability, collector)
        for value, src in ((domain, domain_src), (point, point_src)):
            body += (_nx_source(src) if src is not None else struct.pack("!4xI", value))
        return _put_body("NXAST_RAW_SAMPLE4", version,
                         body + struct.pack("!HB5x", port, direction))
    if direction or port != NONE:
        name = "NXAST_RAW_SAMPLE3" if direction else "NXAST_RAW_SAMPLE2"
        return _put_body(name, version, struct.pack(
            "!HIIIHB5x", probability, collector, domain, point, port, direction))
    return _put("NXAST_RAW_SAMPLE", version, probability, collector, domain, point)


def _nx_source(src: Subfield) -> bytes:
    return struct.pack("!4sH2x", put_header(INFO[src.field], 0)[:4], _bits(src))


def _encode_ct(action: Ct, version: int) -> bytes:
    src = action.zone_src
    zone = _bits(src) if src else action.zone
    header = put_header(INFO[src.field], 0)[:4] if src else bytes(4)
    body = struct.pack("!H4sHB3xH", action.flags, header, zone, action.table, action.alg)
    return _put_body("NXAST_RAW_CT", version, body + encode_actions(action.actions, version))


def _encode_nat(action: Nat, version: int) -> bytes:
    flags, family, ip_min, ip_max, port_min, port_max = action
    ranges, values = 0, []
    if family and ip_min:
        size = 4 if family == 4 else 16
        ranges |= NAT_RANGE_IPV4_MIN if family == 4 else NAT_RANGE_IPV6_MIN
        values.append(ip_min.to_bytes(size, "big"))
        if ip_max:
            ranges |= NAT_RANGE_IPV4_MAX if family == 4 else NAT_RANGE_IPV6_MAX
            values.append(ip_max.to_bytes(size, "big"))
        if port_min:
            ranges |= NAT_RANGE_PORT_MIN
            values.append(_U16.pack(port_min))
            if port_max:
                ranges |= NAT_RANGE_PORT_MAX
                values.append(_U16.pack(port_max))
    return _put_body("NXAST_RAW_NAT", version,
                     struct.pack("!2xHH", flags, ranges) + b"".join(values))


def _encode_clone(action: Clone, version: int) -> bytes:
    return _put_body("NXAST_RAW_CLONE", version,
                     bytes(6) + encode_actions(action.actions, version))


def _encode_encap(action: Encap, version: int) -> bytes:
    out = [struct.pack("!HI", action.hdr_size, action.packet_type)]
    for prop in action.props:
        if type(prop) is EncapNsh:
            out.append(struct.pack("!HBBB3x", ENCAP_NSH_CLASS, ENCAP_NSH_MD_TYPE, 5, prop.md_type))
        else:
            size = len(prop.data)
            out.append(struct.pack("!HBBHBB", ENCAP_NSH_CLASS, ENCAP_NSH_TLV, 8 + size + 7 & ~7,
                                   prop.tlv_class, prop.type, size)
                       + prop.data + bytes(-size % 8))
    return _put_body("NXAST_RAW_ENCAP", max(version, 4), b"".join(out))


def _encode_check_pkt_larger(action: CheckPktLarger, version: int) -> bytes:
    body = struct.pack("!HH", action.size, action.dst.offset)
    return _put_body("NXAST_RAW_CHECK_PKT_LARGER", version,
                     (body + put_header(INFO[action.dst.field], 0)).ljust(14, b"\0"))


def _encode_delete_field(action: DeleteField, version: int) -> bytes:
    return _put_body("NXAST_RAW_DELETE_FIELD", version,
                     put_header(INFO[action.field], 0).ljust(14, b"\0"))


def _encode_note(action: Note, version: int) -> bytes:
    return _put_body("NXAST_RAW_NOTE", version, action.data.ljust(6, b"\0"))


def _encode_write_metadata(action: WriteMetadata, version: int) -> bytes:
    if version == 1:
        return _put("NXAST_RAW_WRITE_METADATA", version, action.metadata, action.mask)
    return b""


def _encode_goto(action: GotoTable, version: int) -> bytes:
    return _encode_resubmit(Resubmit(IN_PORT, action.table), version) if version == 1 else b""


def _encode_meter(action: Meter, version: int) -> bytes:
    return _put("OFPAT_RAW15_METER", version, action.meter) if version >= 6 else b""


def _nothing(action: Action, version: int) -> bytes:
    return b""


def _from_13(name: str):
    """Actions that exist since 1.3: earlier ones are told the subtype all the same."""
    def encode(action: Action, version: int) -> bytes:
        return _put(name, max(version, 4), *action)
    return encode


def _encode_push_vlan(action: PushVlan, version: int) -> bytes:
    return _put("OFPAT_RAW11_PUSH_VLAN", version, action.eth_type) if version >= 2 else b""


_ENCODE: dict[type, Callable[[Action, int], bytes]] = {
    Output: _encode_output, Controller: _encode_controller, Enqueue: _encode_enqueue,
    OutputReg: _encode_output_reg, OutputTrunc: _simple("NXAST_RAW_OUTPUT_TRUNC"),
    Group: _simple("OFPAT_RAW_GROUP"), Bundle: _encode_bundle, SetField: _encode_set_field,
    SetVlanVid: _encode_vlan_vid, SetVlanPcp: _encode_vlan_pcp, StripVlan: _encode_strip_vlan,
    PushVlan: _encode_push_vlan,
    SetEthSrc: _mac_setter("OFPAT_RAW_SET_DL_SRC", "eth_src"),
    SetEthDst: _mac_setter("OFPAT_RAW_SET_DL_DST", "eth_dst"),
    SetIpv4Src: _setter("OFPAT_RAW_SET_NW_SRC", "ip_src"),
    SetIpv4Dst: _setter("OFPAT_RAW_SET_NW_DST", "ip_dst"),
    SetIpDscp: _setter("OFPAT_RAW_SET_NW_TOS", "ip_dscp", lambda tos: tos >> 2),
    SetIpEcn: _setter("OFPAT_RAW11_SET_NW_ECN", "nw_ecn", first=2),
    SetIpTtl: _setter("OFPAT_RAW11_SET_NW_TTL", "nw_ttl", first=2, last=6),
    SetL4SrcPort: _l4_setter("OFPAT_RAW_SET_TP_SRC", "src"),
    SetL4DstPort: _l4_setter("OFPAT_RAW_SET_TP_DST", "dst"),
    RegMove: _encode_move, StackPush: _encode_stack("NXAST_RAW_STACK_PUSH"),
    StackPop: _encode_stack("NXAST_RAW_STACK_POP"), DecTtl: _encode_dec_ttl,
    SetMplsLabel: _setter("OFPAT_RAW_SET_MPLS_LABEL", "mpls_label"),
    SetMplsTc: _setter("OFPAT_RAW_SET_MPLS_TC", "mpls_tc"), SetMplsTtl: _encode_mpls_ttl,
    DecMplsTtl: _simple("OFPAT_RAW_DEC_MPLS_TTL"), PushMpls: _simple("OFPAT_RAW_PUSH_MPLS"),
    PopMpls: _simple("OFPAT_RAW_POP_MPLS"), DecNshTtl: _from_13("NXAST_RAW_DEC_NSH_TTL"),
    DeleteField: _encode_delete_field, SetTunnel: _encode_tunnel,
    SetQueue: _simple("OFPAT_RAW_SET_QUEUE"), PopQueue: _simple("NXAST_RAW_POP_QUEUE"),
    FinTimeout: _simple("NXAST_RAW_FIN_TIMEOUT"), Resubmit: _encode_resubmit,
    Learn: _encode_learn, Multipath: _encode_multipath, Note: _encode_note,
    Conjunction: lambda action, version: _put("NXAST_RAW_CONJUNCTION", version, action.clause,
                                              action.n_clauses, action.id),
    Exit: _simple("NXAST_RAW_EXIT"), UnrollXlate: _nothing, Sample: _encode_sample, Ct: _encode_ct,
    Nat: _encode_nat, CtClear: _simple("NXAST_RAW_CT_CLEAR"), Clone: _encode_clone,
    Encap: _encode_encap, Decap: _from_13("NXAST_RAW_DECAP"),
    CheckPktLarger: _encode_check_pkt_larger, DebugRecirc: _simple("NXAST_RAW_DEBUG_RECIRC"),
    DebugSlow: _simple("NXAST_RAW_DEBUG_SLOW"), Meter: _encode_meter, ClearActions: _nothing,
    WriteActions: _nothing, WriteMetadata: _encode_write_metadata, GotoTable: _encode_goto,
}

__all__ = [name for name in dir(action_types) if name[0].isupper()] + [
    "decode_actions", "decode_instructions", "encode_actions", "encode_instructions", "verify",
    "instruction_of", "fields_set", "load", "segments", "subfield_problem", "hex_dump",
    "INSTRUCTION_NAMES", "NAME_OF"]
