"""Random cases for the whole OpenFlow pipeline: tables, groups and meters, and what is put to them.

`make_case(seed)` returns a `Case`: flows, most of which are valid and hit by the case's packets
because their matches are taken from the packets' own fields, and probes: arguments of
`ofproto/trace`, or frames to receive. Text that no OpenFlow message can say is left out while the
case is made. Everything follows from the seed. Used by `pipeline_fuzz.py`.
"""

import random
from dataclasses import dataclass

from tests.differential.pipeline_packets import (
    ADDRESSES, ADDRESSES6, MACS, PORTS, Field, Packet, make_packet, number, show,
)
from utilities.ofctl import meters, protocol
from utilities.ofctl.flows import make_flow_mod
from utilities.ofctl.groups import parse_group_mod
from vswitchd.openflow.messages import encode
from vswitchd.openflow.text import FlowTextError, parse_flow

TABLES = 4                      # 0 to 3 hold flows; 4 is where the learned ones go
_FORMATS = {1: protocol.OF10_NXM_TID, 2: protocol.OF11_STD, 3: protocol.OF12_OXM,
            4: protocol.OF13_OXM, 5: protocol.OF14_OXM, 6: protocol.OF15_OXM}


@dataclass(frozen=True)
class Probe:
    """What is put to both switches: "trace" (arguments of ofproto/trace), "packet-out" (arguments
    of ofproto/trace-packet-out), "frame" (port, hex), "change" (a flow_mod's command and text), or
    "keys" (traces of what the datapath's flows match)."""

    kind: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Flow:
    """A flow as parts, so that each can be left out. Actions are text or (head, actions, tail)."""

    head: tuple[str, ...]
    actions: tuple

    def text(self) -> str:
        return ",".join(self.head) + " actions=" + (join(self.actions) or "drop")


@dataclass(frozen=True)
class Case:
    """`version` is the wire's; groups are (head, buckets), buckets (head, actions)."""

    version: int
    flows: tuple[Flow, ...] = ()
    flows1: tuple[Flow, ...] = ()
    groups: tuple = ()
    meters: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()


def join(actions) -> str:
    """Actions as text."""
    return ",".join(action if isinstance(action, str)
                    else f"{action[0]}{join(action[1])}{action[2]}" for action in actions)


def group_text(group) -> str:
    """A group as text."""
    head, buckets = group
    return ",".join([head, *(f"bucket={','.join(filter(None, (text, 'actions=' + (join(actions) or 'drop'))))}"
                             for text, actions in buckets)])


def encode_flow(flow: Flow, version: int, xid: int) -> bytes:
    """A flow_mod. Raises FlowTextError and ValueError for what cannot be said."""
    parsed = parse_flow(flow.text(), "add")
    chosen = _FORMATS[version]
    if not parsed.usable & chosen:
        raise ValueError("not in this version")
    return encode(make_flow_mod(parsed, chosen)[0], version, xid)


def encode_change(command: str, text: str, version: int, xid: int) -> bytes:
    """A flow_mod that modifies or deletes. Raises FlowTextError and ValueError."""
    return encode(make_flow_mod(parse_flow(text, command), _FORMATS[version])[0], version, xid)


def encode_group(group, xid: int) -> bytes:
    """A group_mod of OpenFlow 1.5."""
    return encode(parse_group_mod(group_text(group), "add", None, None)[0], 6, xid)


def encode_meter(text: str, xid: int) -> bytes:
    """A meter_mod of OpenFlow 1.3."""
    return encode(meters.parse_meter_mod(text, "add"), 4, xid)


# Flows.


# What connection tracking leaves behind.
_TRACKED = (Field("ct_state", 32, 0x21, "hex", sets=False), Field("ct_mark", 32, 5, "hex", sets=False),
            Field("ct_label", 128, 9, "hex", sets=False), Field("ct_zone", 16, 5, "hex", False, False))


# Actions of OpenFlow 1.0 and 1.1 that set a field.
_OLDER = {"tp_src": "mod_tp_src", "tp_dst": "mod_tp_dst", "nw_src": "mod_nw_src", "nw_dst": "mod_nw_dst",
          "dl_src": "mod_dl_src", "dl_dst": "mod_dl_dst", "nw_ecn": "mod_nw_ecn", "nw_ttl": "mod_nw_ttl",
          "mpls_label": "set_mpls_label", "mpls_tc": "set_mpls_tc", "mpls_ttl": "set_mpls_ttl",
          "tun_id": "set_tunnel64"}


class Maker:
    """Makes flows and actions for the packets of a case."""

    def __init__(self, rng: random.Random, version: int, packets: list[Packet], extended: bool):
        self.rng = rng
        self.version = version
        self.packets = packets
        self.extended = extended        # with actions that this datapath only traces
        self.groups = rng.choice((0, 1, 2, 3))

    def mask(self, row: Field) -> int:
        full = (1 << row.bits) - 1
        if not row.masks or self.rng.random() < 0.45:
            return full
        if self.rng.random() < 0.6:
            return full & ~((1 << self.rng.randrange(row.bits)) - 1)
        return self.rng.getrandbits(row.bits) & full or full

    def match_part(self, row: Field) -> str:
        """NAME=VALUE[/MASK] that the packet meets, mostly."""
        value = row.value
        if self.rng.random() < 0.08:
            value ^= 1 << self.rng.randrange(row.bits)
        if row.style == "frag":
            return f"nw_frag={self.rng.choice(('no', 'no', 'yes', 'first', 'later', 'not_later'))}"
        if row.name == "ct_state":
            return self.rng.choice(("ct_state=+trk+est", "ct_state=+est", "ct_state=+trk-new",
                                    "ct_state=-trk", "ct_state=+trk-inv-rpl", "ct_state=+new",
                                    "ct_state=+dnat", "ct_state=+trk"))
        if row.name == "dl_vlan" and value == 0xffff:
            return "dl_vlan=0xffff"
        mask = self.mask(row)
        shown = show(row.style, value & mask, row.bits)
        if mask == (1 << row.bits) - 1:
            return f"{row.name}={shown}"
        style = "hex" if row.style == "dec" else row.style
        return f"{row.name}={show(style, value & mask, row.bits)}/{show(style, mask, row.bits)}"

    def match(self, packet: Packet, table: int) -> tuple[list[str], list[Field]]:
        """The words of a match and the fields that its actions may touch."""
        rng = self.rng
        pool = packet.fields
        if self.extended and table and rng.random() < 0.3:
            pool = [*rng.sample(pool, len(pool) // 2), *_TRACKED]
        rows = rng.sample(pool, min(len(pool), rng.choice((0, 1, 1, 2, 2, 3, 4))))
        needs: list[str] = []
        named, words = set(), []
        want = [row for row in packet.fields if row.needs]
        if want and rng.random() < 0.7:
            deep = rng.choice(want)
            if not any(part.split("=")[0] == deep.name for part in deep.needs.split(",")):
                needs += deep.needs.split(",")
        for row in rows:
            if row.name in ("vlan_tci", "dl_vlan", "vlan_vid", "dl_vlan_pcp") and named & {
                    "vlan_tci", "dl_vlan", "vlan_vid", "dl_vlan_pcp"}:
                continue
            if row.name in ("xreg1", "xxreg1", "reg1") and named & {"xreg1", "xxreg1", "reg1"}:
                continue
            named.add(row.name)
            needs += row.needs.split(",") if row.needs else []
            words.append(self.match_part(row))
        if table and rng.random() < 0.25 and "reg0" not in named:
            words.append(f"reg0={rng.choice((0, 1, 5))}")
        if "ct_state" in named and len([word for word in words if word.startswith("ct_state")]) > 1:
            words = [word for word in words if not word.startswith("ct_state")]
        order = []
        protocols = {"tcp", "udp", "sctp", "icmp", "tcp6", "udp6", "sctp6", "icmp6"}
        for need in needs:
            key = need.split("=")[0]
            if need not in order and key not in named:
                order.append(need)
        if set(order) & protocols:
            order = [need for need in order if need not in ("ip", "ipv6")]
        if len(kept := [need for need in order if need in protocols]) > 1:
            order = [need for need in order if need not in kept[1:]]
        if {"nw_proto"} & named and set(order) & protocols:
            words = [word for word in words if not word.startswith("nw_proto")]
        said = set(order) | ({"ip"} if {"tcp", "udp", "sctp", "icmp"} & set(order) else set()) | (
            {"ipv6"} if {"tcp6", "udp6", "sctp6", "icmp6"} & set(order) else set())
        said |= {word.split("=")[0] for word in words} | set(words)
        may = [row for row in packet.fields
               if all(part in said for part in row.needs.split(",") if part)]
        return order + words, may

    def value_for(self, row: Field) -> int:
        pools = {"mac": [number(mac) for mac in MACS], "ip": [number(ip) for ip in ADDRESSES],
                 "ip6": [number(ip) for ip in ADDRESSES6]}
        pool = pools.get(row.style, [0, 1, 5, 8, 80, 0x1234, row.value, (1 << row.bits) - 1])
        return self.rng.choice(pool) & ((1 << row.bits) - 1)

    def set_field(self, may: list[Field]) -> str:
        rng = self.rng
        rows = [row for row in may if row.sets and row.name != "in_port"]
        rows += [Field("reg0", 32, 0, "hex")] * 2
        row = rng.choice(rows)
        value, mask = self.value_for(row), self.mask(row)
        if row.name == "vlan_vid":          # Which is no tag without that bit.
            value, mask = value | 0x1000, mask | 0x1000
        full = (1 << row.bits) - 1
        name = row.name
        if rng.random() < 0.2 and name.startswith(("reg", "xreg", "xxreg", "tp_", "nw_", "dl_src", "metadata", "tun_m", "tun_id")):
            low = rng.randrange(row.bits)
            high = rng.randrange(low, min(row.bits, low + 64))
            return f"load:{hex(value & ((1 << (high - low + 1)) - 1))}->{name}[{low}..{high}]"
        if name in _OLDER and rng.random() < 0.3:
            return f"{_OLDER[name]}:{show(row.style, value, row.bits)}"
        if name in ("tp_src", "tp_dst"):
            name = f"{next(part for part in row.needs.split(',')).rstrip('6')}_{name[3:]}"
        if name == "nw_tos":
            return rng.choice((f"mod_nw_tos:{value & 0xfc}", f"set_field:{value >> 2}->ip_dscp"))
        if name == "dl_vlan":
            return f"mod_vlan_vid:{value}"
        if name == "dl_vlan_pcp":
            return f"mod_vlan_pcp:{value}"
        if mask == full or row.name == "vlan_tci":
            if row.name == "vlan_tci":
                return f"load:{hex(value)}->NXM_OF_VLAN_TCI[]"
            return f"set_field:{show(row.style, value, row.bits)}->{name}"
        style = "hex" if row.style == "dec" else row.style
        return f"set_field:{show(style, value & mask, row.bits)}/{show(style, mask, row.bits)}->{name}"

    def move(self, may: list[Field]) -> str:
        rng = self.rng
        rows = [row for row in may if row.name not in ("tp_src", "tp_dst", "dl_vlan", "dl_vlan_pcp", "ct_state",
                                                       "tcp_flags", "nw_frag", "dl_type", "in_port")]
        source = rng.choice([*rows, Field("in_port", 16, 0)])
        target = rng.choice([row for row in rows if row.sets] + [Field("reg1", 32, 0), Field("xxreg0", 128, 0)])
        width = rng.randint(1, min(source.bits, target.bits))
        low, to = rng.randrange(source.bits - width + 1), rng.randrange(target.bits - width + 1)
        return f"move:{source.name}[{low}..{low + width - 1}]->{target.name}[{to}..{to + width - 1}]"

    def output(self) -> str:
        rng = self.rng
        return rng.choices(
            (f"output:{rng.choice((*PORTS, 9))}", "in_port", "LOCAL", "NORMAL", "FLOOD", "ALL",
             f"output(port={rng.choice((*PORTS, 'in_port', 9, 'local', 'controller', 'normal', 'flood'))},"
             f"max_len={rng.choice((14, 60, 100))})",
             f"output:reg{rng.choice((0, 1))}[0..15]", "output:NXM_NX_REG0[]",
             f"enqueue:{rng.choice((*PORTS, 9, 'in_port', 'local'))}:{rng.choice((7, 0, 3))}",
             "output:77", "TABLE"), (30, 3, 2, 5, 2, 2, 3, 2, 1, 2, 1, 1))[0]

    def controller(self) -> str:
        rng = self.rng
        return rng.choice((
            "controller", "controller:64", "controller(reason=no_match,max_len=20)", "controller(userdata=01.02.03)",
            "controller(pause)", "controller(pause,userdata=00.ff,max_len=30)", "controller(id=0,max_len=100)",
            "controller(reason=invalid_ttl)", "controller(meter_id=1)", "controller(id=9,userdata=aa)"))

    def learn(self) -> str:
        rng = self.rng
        parts = [f"table={rng.choice((4, 4, 3, 2))}"]
        parts += rng.sample(["hard_timeout=300", "idle_timeout=60", f"priority={rng.choice((1, 5, 40000))}",
                             "cookie=0x77", "send_flow_rem", "delete_learned", "fin_idle_timeout=5",
                             "fin_hard_timeout=9", "limit=2", "limit=1,result_dst=reg0[0]", "result_dst=reg2[5]"], rng.choice((0, 1, 2)))
        parts += rng.sample(["NXM_OF_VLAN_TCI[0..11]", "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]", "NXM_OF_ETH_SRC[]",
                             "in_port=1", "reg1=0x5", "NXM_NX_REG2[0..15]=NXM_OF_IN_PORT[]", "eth_type=0x800",
                             "NXM_OF_ETH_TYPE[]", "metadata=7", "reg3[4..9]=reg0[0..5]", "NXM_NX_TUN_ID[]",
                             "eth_type=0x800,nw_proto=6,NXM_OF_TCP_SRC[]=NXM_OF_TCP_DST[]", "dl_vlan=5",
                             "eth_type=0x86dd,NXM_NX_IPV6_DST[]=NXM_NX_IPV6_SRC[]", "NXM_NX_XXREG1[]",
                             "eth_type=0x806,NXM_OF_ARP_SPA[]", "NXM_OF_VLAN_TCI[12]", "NXM_NX_PKT_MARK[3..9]",
                             "reg5[0..15]=0x5", "NXM_NX_REG6[]=0x77"],
                            rng.choice((1, 2, 3)))
        parts += rng.sample(["output:NXM_OF_IN_PORT[]", "load:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15]", "load:0x5->reg0[]",
                             "load:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "output:reg0", "load:0x123->NXM_OF_VLAN_TCI[]",
                             "load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[]", "load:NXM_OF_VLAN_TCI[0..11]->NXM_NX_REG2[4..15]",
                             "load:0x1234567890ab->NXM_OF_ETH_DST[]", "load:NXM_NX_XXREG1[]->NXM_NX_XXREG2[]",
                             "load:7->reg3[28..31]", "output:NXM_NX_REG1[0..15]"],
                            rng.choice((0, 1, 1, 2, 3)))
        return f"learn({','.join(parts)})"

    def resubmit(self, table: int) -> str:
        rng = self.rng
        to = (rng.randrange(table + 1, TABLES + 1) if table < TABLES and rng.random() < 0.93
              else rng.randrange(TABLES + 1))
        return rng.choices((f"resubmit(,{to})", f"resubmit({rng.choice(PORTS)},{to})", f"resubmit(,{to},ct)",
                            f"resubmit:{rng.choice(PORTS)}"),
                           (20, 3, 2 if self.extended else 0, 1 if table else 0))[0]

    def one(self, table: int, may: list[Field], depth: int) -> tuple | str:
        """An action."""
        rng = self.rng
        names = {row.name for row in may}
        is_ip = "nw_ttl" in names
        choices: list[tuple[int, object]] = [
            (22, self.output), (22, lambda: self.set_field(may)), (7, lambda: self.move(may)),
            (14, lambda: self.resubmit(table)), (4, self.controller), (3, self.learn),
            (6 if self.groups else 0, lambda: f"group:{rng.randint(1, self.groups)}"),
            (4, lambda: rng.choice(("push_vlan:0x8100", "push_vlan:0x88a8"))), (3, lambda: "strip_vlan"),
            (3, lambda: f"mod_vlan_vid:{rng.choice((10, 20, 100))}"), (2, lambda: f"mod_vlan_pcp:{rng.choice((0, 5))}"),
            (5 if is_ip else 0, lambda: rng.choice(("dec_ttl", "dec_ttl", "dec_ttl(0,1)"))),
            (3 if is_ip or "mpls_label" in names else 1, lambda: "push_mpls:0x8847"),
            (4 if "mpls_label" in names else 0, lambda: rng.choice(
                ("pop_mpls:0x0800", "pop_mpls:0x8847", "dec_mpls_ttl", "set_mpls_label:9", "set_mpls_tc:2",
                 "set_mpls_ttl:7", "pop_mpls:0x86dd", "pop_mpls:0x1234"))),
            (2 if "nsh_si" in names else 0, lambda: "dec_nsh_ttl"),
            (2, lambda: f"push:NXM_NX_REG{rng.choice((0, 1))}[{rng.choice(('', '0..15', '3..9'))}]"),
            (2, lambda: rng.choice(("pop:NXM_NX_REG2[]", "pop:NXM_OF_ETH_SRC[0..15]", "pop:NXM_NX_REG0[0..5]"))),
            (1, lambda: "note:01.02.03"), (1, lambda: "exit"), (1, lambda: "set_queue:3"), (1, lambda: "pop_queue"),
            (2 if "tcp_flags" in names else 0, lambda: "fin_timeout(idle_timeout=5,hard_timeout=7)"),
            (2, lambda: f"bundle({rng.choice(('eth_src', 'symmetric_l4', 'nw_src', 'nw_dst', 'symmetric_l3', 'symmetric_l3l4+udp'))},3,"
                        f"{rng.choice(('hrw', 'active_backup'))},ofport,members:{rng.choice(('1,2,3', '77,3', '2'))})"),
            (2, lambda: f"bundle_load({rng.choice(('eth_src', 'symmetric_l3l4', 'nw_dst', 'symmetric_l3'))},0,"
                        f"{rng.choice(('hrw', 'active_backup'))},ofport,{rng.choice(('NXM_NX_REG0[0..15]', 'NXM_NX_REG1[]', 'NXM_OF_ETH_DST[0..15]'))},"
                        f"members:{rng.choice(('3,2', '', '77', '1,9,4'))})"),
            (2, lambda: f"multipath({rng.choice(('eth_src', 'symmetric_l4', 'symmetric_l3', 'nw_dst'))},5,"
                        f"{rng.choice(('modulo_n,4,0', 'hrw,3,0', 'hash_threshold,5,0', 'iter_hash,3,9'))},NXM_NX_REG0[0..7])"),
            (2, lambda: f"check_pkt_larger({rng.choice((50, 100, 1500))})->{rng.choice(('NXM_NX_REG0[0]', 'NXM_NX_REG0[3]', 'metadata[7]', 'xxreg1[99]'))}"),
            (2 if "tun_metadata0" in names or "tun_metadata1" in names else 0, lambda: rng.choice(
                ("delete_field:tun_metadata0", "delete_field:tun_metadata1", "load:5->tun_metadata0[8..15]",
                 "move:reg0[]->tun_metadata0[]", "move:tun_metadata1[32..63]->reg1[]"))),
            (1, lambda: rng.choice(("set_field:10.0.0.9->tun_dst", "set_field:fe80::9->tun_ipv6_dst", "set_tunnel:7",
                                    "set_field:3->tun_gbp_id", "set_field:oam->tun_flags", "set_field:9->tun_ttl"))),
            (1, lambda: f"set_tunnel64:{hex(rng.choice((5, 0x123456789)))}"),
            (1, lambda: "write_metadata:0x12/0xff" if self.version == 1 else "note:ff"),
            (1 if self.extended else 0, lambda: "debug_slow"), 
            (1, lambda: "resubmit(,4)"),
        ]
        if depth < 3:
            choices.append((4 if depth else 3, lambda: ("clone(", self.actions(table, may, depth + 1, 3), ")")))
        if self.version >= 4:
            choices.append((2 if depth == 0 else 0, lambda: rng.choice(
                ("encap(nsh(md_type=1))", "encap(nsh)", "encap(ethernet)", "decap()", "encap(mpls)",
                 "encap(nsh),encap(ethernet)", "decap(packet_type(ns=0,type=0))", "decap(packet_type(ns=1,type=0x800))",
                 "encap(nsh),set_field:7->nsh_spi,set_field:9->nsh_c2,encap(ethernet)", "decap(),decap()",
                 "encap(mpls),set_mpls_label:9,encap(ethernet)",
                 "encap(nsh(md_type=2,tlv(0x1000,10,0x12345678)))"))))
        if self.version == 6:
            choices.append((1, lambda: f"meter:{rng.choice((1, 2))}"))
        if self.extended:
            choices += [(9, lambda: self.ct(table)), (1, lambda: "ct_clear"), (2, lambda: rng.choice((
                "sample(probability=12345,collector_set_id=1,obs_domain_id=2,obs_point_id=3)",
                "sample(probability=65535,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=2)",
                "sample(probability=1,collector_set_id=1,sampling_port=2,egress)")))]
        weights = [weight for weight, _ in choices]
        return rng.choices([make for _, make in choices], weights)[0]()

    def ct(self, table: int) -> str:
        rng = self.rng
        further = f"table={min(TABLES, rng.randint(table + 1, TABLES + 1))}"      # No loops.
        parts = rng.sample(["commit", "zone=5", "zone=NXM_NX_REG0[0..15]", "zone=reg1[16..31]",
                            *([further] * 2 if table < TABLES else ())], rng.choice((1, 2)))
        keys, kept = set(), []
        for part in parts:
            if part.split("=")[0] not in keys:
                keys.add(part.split("=")[0])
                kept.append(part)
        if rng.random() < 0.3:
            kept.append(rng.choice(("nat", "nat(src=10.0.0.240-10.0.0.250:34-99,random)", "nat(dst=10.0.9.9)", "nat(src)",
                                    "nat(dst=10.0.0.7:80,hash)", "nat(src=fd00::9)", "nat(src=10.0.0.3,persistent)",
                                    "nat(dst=[fd00::1]-[fd00::5]:7-9)", "nat(dst)", "nat(src=10.0.0.3:5)")))
        if "commit" in kept and rng.random() < 0.4:
            kept.append(rng.choice(("exec(set_field:0x5->ct_mark)", "exec(load:1->NXM_NX_CT_LABEL[3])",
                                    "exec(move:NXM_NX_REG0[]->NXM_NX_CT_MARK[])", "exec(set_field:0x7/0xf->ct_label)",
                                    "exec(set_field:1/3->ct_mark,set_field:6->ct_label)",
                                    "exec(move:NXM_OF_ETH_SRC[]->NXM_NX_CT_LABEL[16..63])",
                                    "exec(move:NXM_NX_CT_MARK[0..7]->NXM_NX_CT_LABEL[8..15])",
                                    "exec(load:3->NXM_NX_CT_MARK[4..9],move:reg1[0..3]->NXM_NX_CT_MARK[0..3])")))
        if "commit" in kept and rng.random() < 0.2:
            kept.append(rng.choice(("force", "alg=ftp", "alg=tftp")))
        return f"ct({','.join(kept)})"

    def actions(self, table: int, may: list[Field], depth: int = 0, most: int = 5) -> tuple:
        """A list of actions."""
        return tuple(self.one(table, may, depth) for _ in range(self.rng.choices(
            range(most + 1), [1, 4, 5, 4, 3, 2][:most + 1])[0]))

    def instructions(self, table: int, may: list[Field]) -> tuple:
        rng = self.rng
        found = self.actions(table, may)
        if self.version == 1:
            return found
        if self.version in (4, 5) and rng.random() < 0.08:
            found = (f"meter:{rng.choice((1, 2))}", *found)
        if rng.random() < 0.07:
            found += ("clear_actions",)
        if rng.random() < 0.2:
            # The set holds what OpenFlow has and one of each kind.
            pool = [self.output(), self.output(), self.set_field(may), self.set_field(may), "push_vlan:0x8100", "strip_vlan",
                    "push_mpls:0x8847", "dec_ttl", "group:1", "set_queue:4", f"resubmit(,{TABLES})", "ct_clear",
                    self.controller(), self.move(may), "mod_vlan_vid:20", "dec_mpls_ttl", "pop_mpls:0x800",
                    *(("ct(commit)", f"ct(table={TABLES})") if self.extended else ())]
            found += (("write_actions(", tuple(rng.sample(pool, rng.choice((1, 2, 3, 4)))), ")"),)
        if rng.random() < 0.1:
            found += (rng.choice(("write_metadata:0x5", "write_metadata:0x12/0xff")),)
        if table < TABLES and rng.random() < 0.3:
            found += (f"goto_table:{rng.randrange(table + 1, TABLES + 1)}",)
        return found

    def flow(self, table: int) -> Flow:
        rng = self.rng
        words, may = self.match(rng.choice(self.packets), table)
        head = [f"table={table}"]
        if rng.random() < 0.7:
            head.append(f"priority={rng.choice((0, 1, 5, 10, 100, 1000, 40000))}")
        if rng.random() < 0.2:
            head.append(f"cookie={rng.choice(('0x1', '0x1234567890'))}")
        if rng.random() < 0.08:
            head.append(rng.choice(("idle_timeout=600", "hard_timeout=900")))
        return Flow((*head, *words), self.instructions(table, may))

    def valid(self, table: int, count: int) -> list[Flow]:
        """`count` flows that a message can say."""
        found: list[Flow] = []
        for _ in range(count * 12):
            if len(found) == count:
                break
            flow = self.flow(table)
            if sayable(flow, self.version):
                found.append(flow)
        return found

    def change(self) -> Probe | None:
        """A modification or deletion."""
        rng = self.rng
        command = rng.choice(("modify", "modify_strict", "delete", "delete_strict", "delete"))
        flow = self.flow(rng.randrange(TABLES))
        head = [word for word in flow.head if not word.startswith(
            ("cookie", "idle", "hard") if command.endswith("strict") else ("cookie", "idle", "hard", "priority"))]
        text = ",".join(head)
        if command.startswith("modify"):
            text += f" actions={join(flow.actions) or 'drop'}"
        elif rng.random() < 0.3:
            text += f",out_port={rng.choice((1, 2, 3))}"
        try:
            encode_change(command, text, self.version, 1)
        except (FlowTextError, ValueError):
            return None
        return Probe("change", (command, text))

    def conjunctions(self) -> list[Flow]:
        """A conjunction over the fields of a packet."""
        rng = self.rng
        packet = rng.choice(self.packets)
        table, number = rng.randrange(TABLES), rng.choice((7, 8))
        dimensions = rng.choice((2, 2, 3, 4))
        found = []
        for clause in range(1, dimensions + 1):
            for _ in range(rng.choice((1, 2, 3))):
                words, _ = self.match(packet, table)
                found.append(Flow((f"table={table}", f"priority={rng.choice((5, 10, 10, 10))}", *words),
                                  (f"conjunction({number},{clause}/{dimensions})",)))
        found.append(Flow((f"table={table}", f"priority={rng.choice((10, 10, 100))}", f"conj_id={number}"),
                          (self.output(), self.resubmit(table))))
        return [flow for flow in found if sayable(flow, self.version)]

    def group(self, number: int):
        rng = self.rng
        kind = rng.choices(("all", "select", "indirect", "ff"), (4, 5, 2, 3))[0]
        head = f"group_id={number},type={kind}"
        if kind == "select" and rng.random() < 0.7:
            head += rng.choice((",selection_method=dp_hash", ",selection_method=dp_hash,selection_method_param=3",
                                ",selection_method=hash,fields(eth_src,ip_src)",
                                ",selection_method=hash,selection_method_param=9,fields(ip_dst=255.255.0.0,tcp_dst,in_port)"))
        packet = rng.choice(self.packets)
        may = [row for row in packet.fields if not row.needs or rng.random() < 0.5]
        buckets = []
        for index in range(1 if kind == "indirect" else rng.choice((0, 1, 2, 2, 3, 4))):
            words = []
            if kind == "select":
                words.append(f"weight={rng.choice((1, 1, 5, 100, 0))}")
            if kind == "ff" or rng.random() < 0.1:
                words.append(f"watch_port={rng.choice((1, 2, 3, 77))}")
            if rng.random() < 0.2:
                words.append(f"bucket_id={index + 10}")
            actions = self.actions(TABLES - 1, may, 1, 3)
            actions = tuple(action for action in actions if not (isinstance(action, str) and action.startswith("group:")
                                                                and int(action[6:]) >= number))
            buckets.append((",".join(words), actions))
        made = (head, tuple(buckets))
        try:
            encode_group(made, 1)
        except (FlowTextError, ValueError):
            return None
        return made


def sayable(flow: Flow, version: int) -> bool:
    """Whether a message of `version` can carry the flow."""
    try:
        return len(encode_flow(flow, version, 1)) < 60000
    except (FlowTextError, ValueError):
        return False


_STATES = ("trk,new", "trk,est", "trk,est,rpl", "trk,inv", "trk,new,rel", "trk,est,dnat", "trk",
           "trk,est,snat,rpl")


def _packet_types(rng: random.Random, packet: Packet) -> list[str]:
    """The words of a packet without an Ethernet header, if one can be said."""
    for name, kind in (("nw_src", 0x800), ("ipv6_src", 0x86dd), ("mpls_label", 0x8847), ("nsh_si", 0x894f)):
        if any(word.startswith(name) for word in packet.flow):
            break
    else:
        return packet.flow
    kept = [word for word in packet.flow if not word.startswith(("dl_", "vlan", "nw_frag"))]
    protocol = next((field for field in ("tcp6", "udp6", "sctp6", "icmp6", "tcp", "udp", "sctp", "icmp")
                     if field in kept), None)
    if protocol:
        kept[kept.index(protocol)] = f"nw_proto={dict(tcp=6, udp=17, sctp=132, icmp=1, icmp6=58).get(protocol, dict(tcp6=6, udp6=17, sctp6=132).get(protocol))}"
        kept = [word for word in kept if not word.startswith(("icmp", "nd_", "tcp_", "udp_", "sctp_"))]
    return [f"packet_type=(1,{kind:#x})", *(word for word in kept if word not in ("ip", "ipv6", "mpls"))]


def _probes(rng: random.Random, packets: list[Packet], maker: Maker) -> list[Probe]:
    found = []
    for packet in packets:
        extra = list(rng.choice(((), (), (), (), ("-generate",), ("--names",), ("--l7-len", "9", "-generate"),
                                 ("--l7", "0102", "-generate"))))
        if maker.extended and rng.random() < 0.6:
            for _ in range(rng.choice((1, 2, 3))):
                extra += ["--ct-next", rng.choice(_STATES)]
        words = packet.flow
        if rng.random() < 0.08:
            words = _packet_types(rng, packet)
        flow = ",".join(words)
        found.append(Probe("trace", ("br0", flow, *extra)))
        roll = rng.random()
        if roll < 0.35:
            head = ",".join(word for word in packet.flow if word.split("=")[0] in (
                "in_port", "reg0", "reg1", "metadata", "pkt_mark", "tun_id", "tun_src", "tun_dst"))
            found.append(Probe("trace", ("br0", head, *extra, packet.frame.hex())))
        elif roll < 0.5:
            port = str(rng.choice((packet.in_port, packet.in_port, "controller", "local")))
            actions = maker.actions(0, [row for row in packet.fields if not row.needs], 0, 3)
            found.append(Probe("packet-out", ("br0", flow.replace(f"in_port={packet.in_port}", f"in_port={port}"),
                                              *extra, rng.choice((join(actions).replace("note:ff", "exit").replace("note:01.02.03", "exit") or "drop", "TABLE")))))
        if not maker.extended:
            for _ in range(rng.choice((1, 2))):
                if packet.in_port != 9:
                    found.append(Probe("frame", (f"p{packet.in_port}", packet.frame.hex())))
    if not maker.extended and rng.random() < 0.3:
        found.append(Probe("keys", ()))
    if rng.random() < 0.15:
        change = maker.change()
        if change is not None:
            found += [change, found[0]]
    return found


def make_case(seed: int) -> Case:
    """The case of a seed."""
    rng = random.Random(seed)
    version = rng.choices((1, 2, 3, 4, 5, 6), (4, 1, 1, 10, 2, 7))[0]
    packets = [make_packet(rng) for _ in range(rng.choice((1, 2, 3)))]
    maker = Maker(rng, version, packets, rng.random() < 0.4)
    flows = []
    for table in range(TABLES):
        flows += maker.valid(table, rng.choice((2, 4, 6)) if table else rng.choice((2, 3, 5)))
    if rng.random() < 0.5:
        flows += maker.conjunctions()
    for table in range(TABLES + 1):
        if rng.random() < 0.6:
            catch = Flow((f"table={table}", "priority=0"), (*maker.actions(table, [], 0, 3),))
            if sayable(catch, version):
                flows.append(catch)
    groups = [group for number in range(1, maker.groups + 1) if (group := maker.group(number))]
    flows1 = Maker(rng, 6, packets, maker.extended).valid(0, 2) + [Flow(("table=0", "priority=0"), ("NORMAL",))]
    meters = ("meter=1,pktps,stats,bands=type=drop,rate=100000",
              "meter=2,kbps,burst,stats,bands=type=drop,rate=1000000,burst_size=1000000")
    probes = _probes(rng, packets, maker)
    return Case(version, tuple(flows), tuple(flows1), tuple(groups), meters, tuple(probes))
