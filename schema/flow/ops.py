"""THE OP TABLE: what a compiled OpenFlow action list (a program) consists of.

`vswitchd/openflow/compile.py` turns actions of every OpenFlow version into these ops;
`datapath/program.py` packs them; the C structs and enum are generated from this table;
`datapath/src/pipeline/verify.c` checks a program once at load, so the translator needs no checks.

An op is an 8-byte head {u16 code, u16 size, u16 source, u16 flags}, its arguments in host byte
order in the order given (naturally aligned), and an optional tail; `size` counts all of it and is
a multiple of 8. `source` is the index of the OpenFlow action it stems from, counted depth first;
an action may compile to several ops. Argument types: u8 u16 u32 u64, `subfield` = {u16 field id,
u16 ofs, u16 n_bits, u16 zero}, `bits` = 16 bytes holding a container of `struct flow` at its
start (network byte order). Tails: `ops` (nested ops), `u16s`, `u32s`, `bytes` (preceded by the u32
argument `n` where their length is not implied).

Any thread; nothing changes after import.
"""

from typing import NamedTuple


class Op(NamedTuple):
    """One op: C enumerator OP_<NAME>, struct op_<name>; arguments ((name, type), ...) and tail."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()
    tail: str = ""


def _op(name: str, arguments: str = "", tail: str = "") -> Op:
    pairs = tuple(tuple(word.split(":")) for word in arguments.split())
    return Op(name, pairs, tail)


OPS: tuple[Op, ...] = (
    _op("output", "port:u32 max_len:u32"),          # port: OpenFlow 1.0 number, reserved ones too
    _op("output_reg", "src:subfield max_len:u32 pad:u32"),
    _op("output_trunc", "port:u32 max_len:u32"),
    _op("controller", "max_len:u16 controller_id:u16 reason:u8 pause:u8 pad:u16 meter_id:u32 n:u32",
        "bytes"),                                   # tail: userdata
    _op("enqueue", "port:u32 queue:u32"),
    _op("set_queue", "queue:u32 pad:u32"),
    _op("pop_queue"),
    _op("set_field", "field:u16 pad:u16 pad1:u32 value:bits mask:bits"),
    _op("move", "src:subfield dst:subfield"),
    _op("push", "src:subfield"),
    _op("pop", "dst:subfield"),
    _op("push_vlan", "tpid:u16 pad:u16 pad1:u32"),
    _op("pop_vlan"),
    _op("set_vlan_vid", "vid:u16 may_push:u16 pad:u32"),
    _op("set_vlan_pcp", "pcp:u16 may_push:u16 pad:u32"),
    _op("push_mpls", "eth_type:u16 pad:u16 pad1:u32"),
    _op("pop_mpls", "eth_type:u16 pad:u16 pad1:u32"),
    _op("dec_mpls_ttl"),
    _op("dec_ttl", "n:u32 pad:u32", "u16s"),        # tail: controller ids
    _op("dec_nsh_ttl"),
    _op("resubmit", "port:u32 table:u8 ct:u8 pad:u16"),   # port 0xfff8: keep; table 255: this one
    _op("goto_table", "table:u8 pad:u8 pad1:u16 pad2:u32"),
    _op("group", "group:u32 pad:u32"),
    _op("learn", "n:u32 pad:u32", "bytes"),         # tail: see `LEARN` in compile.py
    _op("conjunction", "id:u32 clause:u8 n_clauses:u8 pad:u16"),
    _op("ct", "flags:u16 alg:u16 table:u8 pad:u8 zone:u16 zone_src:subfield", "ops"),
    _op("ct_clear"),
    _op("nat", "flags:u16 family:u16 port_min:u16 port_max:u16 addr_min:bits addr_max:bits"),
    _op("clone", "", "ops"),
    _op("exit"),
    _op("note"),
    _op("fin_timeout", "idle:u16 hard:u16 pad:u32"),
    _op("sample", "probability:u32 collector_set:u32 obs_domain:u32 obs_point:u32 port:u32 "
        "direction:u32 obs_domain_src:subfield obs_point_src:subfield"),
    _op("bundle", "fields:u16 basis:u16 algorithm:u16 n:u16 dst:subfield", "u32s"),
    _op("multipath",
        "fields:u16 basis:u16 algorithm:u16 max_link:u16 arg:u32 pad:u32 dst:subfield"),
    _op("check_pkt_larger", "length:u32 pad:u32 dst:subfield"),
    _op("delete_field", "field:u16 pad:u16 pad1:u32"),
    _op("encap", "packet_type:u32 n:u32", "bytes"),
    _op("decap", "packet_type:u32 pad:u32"),
    _op("write_actions", "", "ops"),
    _op("clear_actions"),
    _op("meter", "meter:u32 pad:u32"),
    # Only in frozen lists: what follows stems from this rule (a handle) or, where `group` is not 0,
    # from a bucket of this group ((bridge << 32 | number) + 1); `flags` 1: no more than that,
    # else packets are told as of this table and cookie, too.
    _op("unroll", "rule:u64 cookie:u64 group:u64 bucket:u32 table:u32"),
    _op("debug_recirc"),
    _op("debug_slow"),
)

OP: dict[str, int] = {op.name: number for number, op in enumerate(OPS, 1)}
