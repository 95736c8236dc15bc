"""Random command lines of ovs-ofctl, seeded: all commands and options, sound and wrong ones.

`setting` is what the directory of a run holds and what its switch has; `case(rng)` is one command
line with what stdin holds, or a line of shell.  test_client.py runs them.
"""

import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from tests.fuzz.structure import RECORDED

VERSIONS = ("OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15")

SETUP = """ovs-vsctl -- add-br br0 -- set bridge br0 datapath-type=dummy fail-mode=secure \
other-config:datapath-id=fedcba9876543210 other-config:hwaddr=aa:55:aa:55:00:00 \
protocols=OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15 \
flow_tables:1=@t -- --id=@t create Flow_Table name=t1 \
-- add-br br1 -- set bridge br1 datapath-type=dummy fail-mode=secure protocols=OpenFlow13 \
other-config:hwaddr=aa:55:aa:55:00:10 > setup
ovs-vsctl add-port br0 p1 -- set Interface p1 type=dummy ofport_request=1
ovs-vsctl add-port br0 p2 -- set Interface p2 type=dummy ofport_request=2"""
RESET = """o() { ovs-ofctl -O OpenFlow15 "$@"; }
o del-groups br0; o del-meters br0; o del-flows br0; ovs-ofctl del-tlv-map br0
ovs-ofctl -O OpenFlow13 del-flows br1
o add-group br0 group_id=1,type=all,bucket=actions=output:1,bucket=actions=output:2
o add-meter br0 meter=1,kbps,burst,bands=type=drop,rate=100,burst_size=10
o add-flow br0 cookie=1,priority=10,in_port=1,ip,actions=output:2
o add-flow br0 priority=5,tcp,tp_dst=80,actions=resubmit\\(,1\\)
o add-flow br0 table=1,idle_timeout=900,actions=output:1
for p in p1 p2 br0; do ovs-ofctl mod-port br0 $p up; ovs-ofctl mod-port br0 $p flood
ovs-ofctl mod-port br0 $p receive; ovs-ofctl mod-port br0 $p forward; done
ovs-ofctl set-frags br0 normal
ovs-ofctl -O OpenFlow14 mod-table br0 all noevict; ovs-ofctl -O OpenFlow14 mod-table br0 all novacancy
ovs-ofctl -O OpenFlow11 mod-table br0 all controller"""


@dataclass(frozen=True)
class Case:
    """What to run: `argv` behind ovs-ofctl, or `shell`. `out` is what stdout is."""

    argv: tuple[str, ...] = ()
    stdin: str = ""
    shell: str = ""
    out: str = "file"


FRAME = "50540000000750540000000508004500001c00000000401100000a0000010a00000200010002000800 00"
FRAME = FRAME.replace(" ", "")
MATCHES = (
    "", "", "in_port=1", "in_port=p1", "in_port=LOCAL", "tcp,tp_dst=80", "ip,nw_src=10.0.0.0/8",
    "ipv6,ipv6_src=::1", "dl_vlan=5", "vlan_tci=0x1005/0x1fff", "reg1=5", "arp,arp_op=1",
    "icmp,icmp_type=8", "metadata=3", "tun_id=7", "ct_state=+trk,ip", "mpls,mpls_label=3",
    "pkt_mark=1", "dl_src=00:11:22:33:44:55", "in_port=p2,ip", "conj_id=3,ip", "dl_type=0x1234",
    "udp,nw_src=1.2.3.4/0.0.255.255", "ip,tp_dst=5", "nw_src=1.2.3.4", "tcp,tcp_flags=+syn",
    "in_port=1,table=1", "table=t1", "table=1,ip", "cookie=1/-1", "cookie=0x1/0xff,table=0",
    "out_port=2", "out_port=p1,ip", "out_group=1", "tun_metadata0=5", "ip,ip_frag=later",
    "in_port=p9", "bad=1", "tcp,tp_dst=99999", "table=nosuch", "table=300", "priority=5",
    "dl_vlan=5,dl_vlan_pcp=3", "tcp6,tp_src=1/1", "ip,nw_tos=4", "nsh_spi=1,dl_type=0x894f",
    "in_port=ANY", "in_port=\"p1\"", "in_port='p2'", "in_port=65534", "in_port=0xfffffffe")
SETTINGS = (
    "table=1", "table=t1", "table=5", "priority=7", "priority=65535", "cookie=5", "cookie=0x123",
    "idle_timeout=60", "hard_timeout=900", "importance=3", "send_flow_rem", "check_overlap",
    "reset_counts", "no_packet_counts", "table=254", "priority=70000", "cookie=1/1",
    "idle_timeout=70000", "duration=5s", "n_packets=3", "out_port=1", "importance=70000",
    "table=all")
ACTIONS = (
    "drop", "1", "p2", "output:1,2", "normal", "flood", "all", "controller", "controller:50",
    "local", "in_port", "resubmit(,1)", "resubmit(,t1)", "resubmit:2", "goto_table:2",
    "goto_table:t1",
    "mod_vlan_vid:3,1", "strip_vlan,1", "push_vlan:0x8100,1", "load:5->NXM_NX_REG0[]",
    "set_field:5->reg1", "set_field:1.2.3.4->ip_src,1", "mod_nw_src:1.2.3.4,2", "mod_tp_dst:5,2",
    "learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])", "group:1",
    "group:77",
    "meter:1,2", "ct(commit),1", "ct(table=1,zone=3)", "enqueue:1:2", "set_queue:1,2",
    "note:01.02.03", "clone(1,2)", "write_actions(output:1)", "pop_mpls:0x800", "dec_ttl,1",
    "dec_ttl(1,2),1", "exit", "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],1", "set_tunnel:5,1",
    "controller(reason=action,max_len=20,id=3)", "controller(userdata=01.02,pause)", "stack",
    "push:NXM_NX_REG0[],pop:NXM_NX_REG1[]", "conjunction(3,1/2)",
    "multipath(eth_src,50,modulo_n,1,0,"
    "NXM_NX_REG0[])", "bundle(eth_src,0,hrw,ofport,members:1,2)", "sample(probability=5,"
    "collector_set_id=1)", "check_pkt_larger(100)->NXM_NX_REG0[0]", "output(port=1,max_len=100)",
    "write_metadata:5", "clear_actions", "fin_timeout(idle_timeout=5)", "output:nosuch", "bogus",
    "",
    "output:99999", "set_field:5->nosuch", "1,drop", "encap(nsh(md_type=1)),1", "dec_mpls_ttl",
    "p1,p2",
    "ct_clear,1", "delete_field:tun_metadata0", "set_mpls_label:5", "goto_table:1,1", "output:ANY")
GROUPS = (
    "group_id=1,type=all,bucket=output:1", "group_id=2,type=select,bucket=weight:3,output:1,bucket=p2",
    "group_id=3,type=indirect,bucket=actions=output:1", "group_id=4,type=all",
    "group_id=5,type=ff,bucket=watch_port:1,output:1,bucket=watch_port=p2,output:2",
    "group_id=5,type=fast_failover,bucket=watch_group:1,output:1",
    "group_id=6,type=select,selection_method=hash,fields(ip_src,tcp_dst),bucket=output:1",
    "group_id=6,type=select,selection_method=dp_hash,selection_method_param=3,bucket=1",
    "group_id=7,type=all,bucket=bucket_id:5,actions=group:1,bucket=actions=set_field:5->reg1,1",
    "group_id=8,type=all,bucket=group:99", "group_id=9", "type=all,bucket=1", "group_id=all",
    "group_id=10,type=wrong,bucket=1", "group_id=11,type=indirect,bucket=1,bucket=2",
    "group_id=1", "group_id=2", "group_id=4294967041,type=all",
    "group_id=12,type=all,bucket=weight:5,1",
    "group_id=13,type=ff,bucket=1", "group_id=14,type=all,bucket=nosuch",
    "group_id=15,type=all,bucket=p2,p1",
    "group_id=1,command_bucket_id=last,bucket=bucket_id=7,output:2",
    "group_id=1,command_bucket_id=0",
    "group_id=1,command_bucket_id=all", "group_id=1,command_bucket_id=first,bucket=bucket_id=9,output:2",
    "group_id=1,command_bucket_id=7", "group_id=7,command_bucket_id=5",
    "group_id=1 type=all bucket=2")
METERS = (
    "meter=1,kbps,bands=type=drop,rate=5", "meter=2,pktps,stats,burst,bands=type=drop,rate=5,burst_size=9",
    "meter=3,kbps,bands=type=drop,rate=5,type=drop,rate=9", "meter=1", "meter=2", "meter=all",
    "meter=4,kbps,bands=type=dscp_remark,rate=5,prec_level=1", "meter=5,bands=type=drop,rate=5",
    "meter=controller,pktps,bands=type=drop,rate=5", "meter=6,kbps", "kbps,bands=type=drop,rate=1",
    "meter=7,kbps,bands=rate=5", "meter=slowpath", "meter=0", "meter=99",
    "meter=7 kbps band=type=drop rate=5",
    "meter=8,kbps,bands=type=drop", "meter=x")
PORTS = ("1", "p1", "p2", "LOCAL", "br0", "2", "99", "nosuch", "all", "ANY", "65534", "")
TLVS = ("{class=0xffff,type=0,len=4}->tun_metadata0", "{class=0xffff,type=1,len=8}->tun_metadata1",
        "{class=0xffff,type=0,len=4}->tun_metadata0,{class=1,type=2,len=16}->tun_metadata2",
        "{class=0xffff,type=3,len=3}->tun_metadata3", "bad",
        "{class=1,type=2,len=4}->tun_metadata99", "")
OXMS = (
    "NXM_OF_IN_PORT(0001)", "NXM_OF_ETH_TYPE(0800), NXM_OF_IP_SRC(0a000001)",
    "OXM_OF_IN_PORT(00000001)",
    "NXM_OF_ETH_TYPE(0800), NXM_OF_IP_DST_W(0a000000/ff000000)", "NXM_NX_REG0(00000005)", "<any>",
    "OXM_OF_ETH_TYPE(0800), OXM_OF_IP_PROTO(06), OXM_OF_TCP_DST(0050)", "NXM_NX_REG0_W(0005/000f)",
    "NXM_OF_VLAN_TCI_W(1005/1fff)", "OXM_OF_VLAN_VID(1005)", "OXM_OF_TCP_DST(0050)",
    "NXM_NX_BAD(1)",
    "NXM_OF_ETH_TYPE(0800", "NXM_NX_TUN_ID(00000000000000ff)", "OXM_OF_METADATA_W(5/f)",
    "00010004(1234)",
    "NXM_OF_TCP_SRC(0001)", "NXM_NX_CT_STATE_W(20/20)",
    "OXM_OF_IPV6_SRC(20010db83c4d00010002000300040005)")
KINDS_10 = ("in_port=1", "dl_vlan=0xffff", "")


def flow(rng: random.Random, actions: bool = True, ports: bool = True) -> str:
    """A flow's text."""
    words = [rng.choice(MATCHES)]
    while rng.random() < 0.35:
        words.append(rng.choice(SETTINGS))
    rng.shuffle(words)
    if actions and rng.random() < 0.97:
        words.append("actions=" + ",".join(rng.choices(ACTIONS, k=rng.choice((1, 1, 1, 2)))))
    text = rng.choice((",", ",", ",", " ", ", ")).join(filter(None, words))
    return text


def sound_flow(rng: random.Random) -> str:
    """One that is mostly good."""
    words = [rng.choice(MATCHES[:32]), *rng.sample(SETTINGS[:10], rng.choice((0, 0, 1, 2))),
             "actions=" + rng.choice(ACTIONS[:40])]
    return ",".join(filter(None, words))


def flow_file(rng: random.Random, verbs: bool = True) -> str:
    lines = []
    for _ in range(rng.choice((0, 1, 2, 3, 5, 8))):
        line = sound_flow(rng) if rng.random() < 0.93 else flow(rng)
        if verbs and rng.random() < 0.25:
            verb = rng.choice(("add", "delete", "modify", "modify_strict", "delete_strict",
                               "wrong"))
            line = f"{verb} {line.partition('actions')[0].rstrip(',') if 'delete' in verb else line}"
        lines.append(rng.choice(("", "", " ", "\t")) + line + rng.choice(("", "", " # why", "\r")))
        if rng.random() < 0.15:
            lines.append(rng.choice(("", "# remark", "   ")))
    return "\n".join(lines) + rng.choice(("\n", "\n", ""))


def group_line(rng: random.Random, verbs: bool) -> str:
    verb = rng.choice(("add ", "modify ", "delete ", "insert_bucket ", "add_or_mod ",
                       "remove_bucket "))
    return (verb if verbs and rng.random() < 0.4 else "") + rng.choice(GROUPS)


def bundle_file(rng: random.Random) -> str:
    def line() -> str:
        match rng.randrange(8):
            case 0 | 1 | 2 | 3:
                verb = rng.choice(("add ", "", "modify ", "delete_strict "))
                text = sound_flow(rng)
                return f"flow {verb}" + (text.partition("actions")[0] if "del" in verb else text)
            case 4 | 5:
                return "group " + group_line(rng, True)
            case 6:
                return f"packet-out in_port=1,packet={FRAME},actions={rng.choice(ACTIONS[:12])}"
        return rng.choice(("wrong x", "# remark", "", "flow", "flow bad=1,actions=drop"))
    return "".join(line() + "\n" for _ in range(rng.choice((1, 2, 3, 5))))


def target(rng: random.Random) -> str:
    if rng.random() < 0.93:
        return "br0"
    return rng.choice(("br1", "unix:br0.mgmt", "dummy@br0", "br0.mgmt", "nosuch", "br0@",
                       "unix:nosuch",
                       "tcp:127.0.0.1:1", "@br0", "system@br0", "", "tcp:127.0.0.1",
                       "unix:"))


def own(rng: random.Random, *more: str) -> tuple[list[str], str]:
    return [target(rng), *more], ""


def maybe(rng: random.Random, values, chance: float = 0.5) -> list[str]:
    return [rng.choice(values)] if rng.random() < chance else []


def by_file(rng: random.Random, text: str) -> tuple[list[str], str]:
    """A file's name and what stdin holds; files of this run are stdin by other names."""
    name = rng.choice(("-", "-", "/dev/stdin"))
    return [target(rng), name], text


def flow_or_stdin(rng: random.Random, actions: bool) -> tuple[list[str], str]:
    if rng.random() < 0.15:
        lines = flow_file(rng, False)
        if not actions:
            lines = "\n".join(line.partition("actions")[0] for line in lines.split("\n"))
        return [target(rng), "-"], lines
    if not actions and rng.random() < 0.3:
        return own(rng)
    text = sound_flow(rng) if actions and rng.random() < 0.7 else flow(rng, actions)
    return own(rng, text)


def packet_out(rng: random.Random) -> tuple[list[str], str]:
    if rng.random() < 0.2:
        return own(rng, rng.choice(PORTS), rng.choice(ACTIONS), *[FRAME] * rng.choice((0, 1, 2)))
    words = [f"in_port={rng.choice(PORTS)}", f"packet={rng.choice((FRAME, FRAME, '5054', 'xx', ''))}",
             *maybe(rng, ("reg1=5", "tun_id=3", "metadata=5", "bad=1", "packet_type=(1,0x800)",
                          "ip"), 0.3),
             "actions=" + rng.choice(ACTIONS)]
    if rng.random() < 0.1:
        del words[rng.randrange(len(words))]
    return own(rng, rng.choice((" ", ",", ", ")).join(words))


def mod_port(rng: random.Random) -> tuple[list[str], str]:
    action = rng.choice(("up", "down", "stp", "no-stp", "receive", "no-receive", "flood", "noflood",
                         "no-forward", "forward", "no-packet-in", "packet-in", "UP", "noup", "no-",
                         "bad",
                         "receive-stp", "no-receive-stp"))
    return own(rng, rng.choice(PORTS), action)


def mod_table(rng: random.Random) -> tuple[list[str], str]:
    return own(rng, rng.choice(("0", "1", "t1", "all", "ALL", "254", "255", "nosuch", "300",
                                "0x1")),
               rng.choice(("drop", "continue", "controller", "evict", "noevict", "vacancy:20,80",
                           "novacancy",
                           "vacancy:80,20", "vacancy:1", "bad", "vacancy", "Drop")))


def ct_flush(rng: random.Random) -> tuple[list[str], str]:
    tuples = ("ct_nw_src=1.2.3.4,ct_nw_dst=5.6.7.8,ct_nw_proto=6,ct_tp_dst=5", "ct_nw_src=::1",
              "ct_bad=1",
              "ct_ipv6_src=::1,ct_nw_proto=58,icmp_type=3", "ct_nw_proto=17,ct_tp_src=9", "",
              "ct_tp_src=9",
              "ct_nw_src=1.2.3.4,ct_ipv6_dst=::1")
    return own(rng, *maybe(rng, ("zone=5", "zone=x", "zone=70000", "zone="), 0.6),
               *maybe(rng, tuples),
               *maybe(rng, tuples, 0.3))


def diff_flows(rng: random.Random) -> tuple[list[str], str]:
    sides = [rng.choice(("br0", "br0", "/dev/stdin", "./empty", "./flows", "flows", "br1", "nosuch",
                         "./none"))
             for _ in range(2)]
    if sides == ["/dev/stdin"] * 2:
        sides[0] = "br0"
    return sides, flow_file(rng, rng.random() < 0.1)


# Without a switch.


def messages(rng: random.Random) -> list[str]:
    return rng.choices(_recorded(), k=rng.choice((1, 1, 2, 3)))


def _recorded(cache: list[str] = []) -> list[str]:
    if not cache:
        cache += [row["message"] for line in RECORDED.read_text().splitlines()
                  if len((row := json.loads(line))["message"]) < 2000]
    return cache


def ofp_print(rng: random.Random) -> tuple[list[str], str]:
    text = rng.choice(messages(rng))
    if rng.random() < 0.2:
        text = text[:rng.randrange(len(text) + 1)]
    if rng.random() < 0.1:
        text = rng.choice((text + "zz", text + "00", " " + text, "0x" + text))
    return [text, *maybe(rng, ("0", "1", "2", "3", "x", "-1"), 0.4)], ""


def oxm_lines(rng: random.Random) -> str:
    return "".join(rng.choice(OXMS) + "\n" for _ in range(rng.choice((0, 1, 2, 4))))


def hex_lines(rng: random.Random) -> str:
    pool = ("0000000800010000", "ffff001000002320000700000000000005".replace(" ", "")[:32],
            "0019000800000000",
            "0000 0008 0001 0000", "00000010000000010000000000000000", "0001000802000000", "zz",
            "00",
            "ffff0018000023200007001f0001060400000000000005", "# remark", "")
    return "".join(rng.choice(pool) + "\n" for _ in range(rng.choice((0, 1, 2, 3))))


def match10(rng: random.Random) -> str:
    def one() -> str:
        wild = rng.choice((0x3820ff, 0x3fffff, 0x3820fe, 0x3820ee, 0x38204f, rng.getrandbits(22)))
        data = struct.pack("!IH6s6sHBxHBBxxIIHH", wild, rng.choice((1, 0, 0xfffe)), bytes(6),
                           bytes(6),
                           rng.choice((0, 5, 0xffff)), rng.choice((0, 3)),
                           rng.choice((0x800, 0x806, 5)),
                           rng.choice((0, 4)), rng.choice((6, 1, 17)), rng.getrandbits(32), 5, 80,
                           99)
        return data.hex() if rng.random() < 0.9 else data.hex()[:-2]
    return "".join(one() + "\n" for _ in range(rng.choice((1, 2))))


def match11(rng: random.Random) -> str:
    def one() -> str:
        data = struct.pack("!HHII6s6s6s6sHBxHBBIIIIHHIBxxxQQ", 0, 88, rng.choice((1, 0xfffffffe)),
                           rng.choice((0x3ff, 0x3fe, 0x2bf, rng.getrandbits(10))), bytes(6),
                           bytes(6), bytes(6),
                           b"\xff" * 6, rng.choice((0, 5, 0xffff)), 3, rng.choice((0x800, 0x8847)),
                           4,
                           rng.choice((6, 1)), 1, 0, 2, 0xff, 80, 90, 5, 1, 7, 0)
        return data.hex()
    return "".join(one() + "\n" for _ in range(rng.choice((1, 2))))


def key_values(rng: random.Random) -> list[str]:
    return [rng.choice(("a=b", "a:b,c=d", "a(b,c),d", "a", "", ",", "a=b=c", "a((b),c)=d", "a(b",
                        "a:(b)c",
                        "a(b)->c", "x->y,z", "a=(b,c)d,e", " a = b "))
            for _ in range(rng.choice((1, 2)))]


def check_vlan(rng: random.Random) -> tuple[list[str], str]:
    mask = rng.choice((0, 0xffff, 0x1fff, 0x1000, rng.getrandbits(16)))
    return [f"{rng.getrandbits(16) & mask:04x}",
            rng.choice((f"{mask:04x}", f"{mask:x}", f"0x{mask:x}"))], ""


def odd(rng: random.Random) -> tuple[list[str], str]:
    """Words that may be too few, too many or none."""
    return [rng.choice(("br0", "x", "1", "", "br0 x")) for _ in range(rng.randrange(5))], ""


Maker = Callable[[random.Random], tuple[list[str], str]]


def plain(*more) -> Maker:
    """A command that takes a switch and perhaps one of `more`."""
    return lambda rng: own(rng, *(maybe(rng, more) if more else []))


def changing(texts) -> Maker:
    def make(rng: random.Random) -> tuple[list[str], str]:
        if rng.random() < 0.1:
            return [target(rng), "-"], "".join(rng.choice(texts) + "\n" for _ in range(3))
        return own(rng, rng.choice(texts))
    return make


COMMANDS: dict[str, tuple[int, Maker]] = {
    "show": (4, plain()), "dump-desc": (1, plain()), "dump-tables": (2, plain()),
    "dump-table-features": (1, plain()), "dump-table-desc": (2, plain()),
    "dump-flows": (30, lambda rng: flow_or_stdin(rng, False)),
    "dump-aggregate": (6, lambda rng: flow_or_stdin(rng, False)),
    "queue-stats": (3, lambda rng: own(rng, *(maybe(rng, PORTS) + maybe(rng, ("1", "all", "x", ""),
                                                                        0.3)))),
    "queue-get-config": (3, lambda rng: own(rng,
                                            *(maybe(rng, PORTS) + maybe(rng, ("1", "all", "x"),
                                                                        0.3)))),
    "add-flow": (30, lambda rng: flow_or_stdin(rng, True)),
    "add-flows": (12, lambda rng: by_file(rng, flow_file(rng))),
    "mod-flows": (12, lambda rng: flow_or_stdin(rng, True)),
    "del-flows": (14, lambda rng: flow_or_stdin(rng, False)),
    "replace-flows": (8, lambda rng: by_file(rng, flow_file(rng, rng.random() < 0.1))),
    "diff-flows": (6, diff_flows),
    "add-meter": (4, changing(METERS)), "mod-meter": (4, changing(METERS)),
    "del-meter": (3, changing(METERS)), "del-meters": (2, plain(*METERS)),
    "dump-meter": (2, changing(METERS)), "dump-meters": (2, plain(*METERS)),
    "meter-stats": (2, plain(*METERS)), "meter-features": (2, plain()),
    "packet-out": (8, packet_out),
    "dump-ports": (4, plain(*PORTS)), "dump-ports-desc": (4, plain(*PORTS)),
    "mod-port": (8, mod_port), "mod-table": (8, mod_table),
    "get-frags": (1, plain()),
    "set-frags": (3, lambda rng: own(rng, rng.choice(("normal", "drop", "reassemble", "nx-match",
                                                      "bad",
                                                      "NORMAL")))),
    "probe": (1, plain()), "ping": (1, plain("0", "5", "x", "70000", "64")),
    "benchmark": (1, lambda rng: own(rng, rng.choice(("0", "5", "x")),
                                     rng.choice(("0", "3", "x")))),
    "dump-ipfix-bridge": (1, plain()), "dump-ipfix-flow": (1, plain()),
    "ct-flush-zone": (2, lambda rng: own(rng, rng.choice(("5", "0", "65535", "65536", "x", "", "-1",
                                                          "0x5")))),
    "ct-flush": (4, ct_flush),
    "add-group": (8, changing(GROUPS)), "mod-group": (5, changing(GROUPS)),
    "add-groups": (4, lambda rng: by_file(rng,
                                          "".join(group_line(rng, True) + "\n" for _ in range(3)))),
    "del-groups": (4, plain(*GROUPS)), "insert-buckets": (5, changing(GROUPS)),
    "remove-buckets": (5, changing(GROUPS)),
    "dump-groups": (4, plain("1", "2", "all", "99", "x", "ANY", "")),
    "dump-group-stats": (4, plain(*GROUPS, "1")), "dump-group-features": (2, plain()),
    "bundle": (8, lambda rng: by_file(rng, bundle_file(rng))),
    "add-tlv-map": (3, lambda rng: own(rng, rng.choice(TLVS))), "del-tlv-map": (3, plain(*TLVS)),
    "dump-tlv-map": (2, plain()), "list-commands": (1, odd),
    "parse-flow": (6, lambda rng: ([flow(rng)], "")),
    "parse-flows": (4, lambda rng: (["/dev/stdin"], flow_file(rng))),
    "parse-group": (3, lambda rng: ([rng.choice(GROUPS)], "")),
    "parse-nx-match": (1, lambda rng: ([], oxm_lines(rng))),
    "parse-nxm": (2, lambda rng: ([], oxm_lines(rng))),
    "parse-oxm": (2, lambda rng: ([rng.choice((*VERSIONS, "x"))], oxm_lines(rng))),
    "parse-actions": (2, lambda rng: ([rng.choice((*VERSIONS, "x"))], hex_lines(rng))),
    "parse-instructions": (2, lambda rng: ([rng.choice((*VERSIONS, "x"))], hex_lines(rng))),
    "parse-ofp10-match": (2, lambda rng: ([], match10(rng))),
    "parse-ofp11-match": (2, lambda rng: ([], match11(rng))),
    "check-vlan": (2, check_vlan),
    "print-error": (2, lambda rng: ([rng.choice(("OFPBRC_BAD_TYPE", "OFPBAC_BAD_OUT_PORT", "x", "",
                                                 "NXBRC_NXM_INVALID", "OFPFMFC_OVERLAP"))], "")),
    "encode-error-reply": (2, lambda rng: ([rng.choice(("OFPBRC_BAD_TYPE", "OFPFMFC_OVERLAP", "x",
                                                        "OFPBFC_TIMEOUT", "NXFMFC_HARDWARE")),
                                            rng.choice(messages(rng))[:200]], "")),
    "ofp-print": (6, ofp_print), "encode-hello": (2,
                                                  lambda rng: ([rng.choice(("0x2", "2", "0x7e", "6",
                                                                            "0x40"))], "")),
    "parse-key-value": (2, lambda rng: (key_values(rng), "")),
    "compose-packet": (2, lambda rng: ([rng.choice(MATCHES), *maybe(rng, ("100", "x", "5"), 0.2)],
                                       "")),
    "parse-packet": (1, lambda rng: ([], rng.choice(("", FRAME + "\n", "50540\n")))),
    "ofp-parse": (1, lambda rng: (["./messages"], "")),
    "ofp-parse-pcap": (2, lambda rng: ([rng.choice(("./pcap", "./none")), *maybe(
        rng, ("6653", "1234", "x", "0"), 0.3)], "")),
    "parse-pcap": (1, lambda rng: ([rng.choice(("./pcap", "./none"))] * rng.choice((1, 2)), "")),
    "nosuch": (1, odd),
}

_OPTIONS: tuple[tuple[int, Callable[[random.Random], str]], ...] = (
    (30, lambda rng: "-O" + rng.choice(VERSIONS)),
    (6, lambda rng: "-O" + ",".join(rng.sample(VERSIONS, rng.choice((2, 3))))),
    (1, lambda rng: "--protocols=" + rng.choice(("openflow13", "OpenFlow16", "",
                                                 "OpenFlow10 OpenFlow13", ","))),
    (8, lambda rng: "--strict"), (8, lambda rng: "--bundle"), (10, lambda rng: "--names"),
    (8, lambda rng: "--no-names"), (8, lambda rng: "--no-stats"), (2, lambda rng: "--stats"),
    (4, lambda rng: "--sort"), (4, lambda rng: "--sort=" + rng.choice(("in_port", "nw_src",
                                                                       "priority", "tcp_dst",
                                                                       "x"))),
    (4, lambda rng: "--rsort" + rng.choice(("", "=in_port", "=reg1", "=priority"))),
    (4, lambda rng: "--readd"), (6, lambda rng: rng.choice(("-m", "-mm", "--more", "-mmm"))),
    (8, lambda rng: "-F" + rng.choice((
        "any", "OpenFlow10", "NXM", "NXM+table_id", "OXM", "OXM-OpenFlow13", "OpenFlow10-table_id",
        "OpenFlow11",
        "OpenFlow10+table_id", "NXM-table_id", "bad", "nxm,OXM", "OXM-OpenFlow15", ""))),
    (2, lambda rng: "-P" + rng.choice(("standard", "nxt_packet_in", "nxt_packet_in2", "openflow10",
                                       "bad"))),
    (2, lambda rng: "--timestamp"), (3, lambda rng: "--may-create"), (2, lambda rng: "--read-only"),
    (2, lambda rng: "-t" + rng.choice(("5", "20", "x", "0", "-1"))),
    (5, lambda rng: "-v" + rng.choice(("vconn:console:dbg", "off", "warn", "vconn:dbg",
                                       "console:off", "bad", "ofctl",
                                      "syslog:off", "ofp_util:console:dbg", "console:warn"))),
    (1, lambda rng: "--color=" + rng.choice(("never", "auto", "always", "bad"))),
    (1, lambda rng: rng.choice(("--version", "--zork", "-V", "--names=x", "-q",
                                "--na"))))


def options(rng: random.Random) -> list[str]:
    weights = [weight for weight, _ in _OPTIONS]
    count = rng.choice((0, 0, 1, 1, 1, 2, 2, 3))
    return [make(rng) for _, make in rng.choices(_OPTIONS, weights, k=count)]


def case(rng: random.Random) -> Case:
    name = rng.choices(list(COMMANDS), [weight for weight, _ in COMMANDS.values()])[0]
    words, stdin = COMMANDS[name][1](rng)
    if rng.random() < 0.03:
        words = words[:-1] if rng.random() < 0.5 else [*words, rng.choice(("", "x", "br0"))]
    words = [name, *words]
    for option in options(rng):
        # Options may stand anywhere.
        words.insert(rng.choice((0, 0, 0, rng.randrange(len(words) + 1))), option)
    out = "file" if rng.random() < 0.97 else rng.choice(("full", "pipe", "closed"))
    return Case(tuple(words), stdin, out=out)


# Those that stay: a line of shell each.

CTL = "ovs-appctl -t $PWD/ctl ofctl/"
_WATCHES = ("watch:", "watch:!own", "watch:!initial", "watch:!add,!delete", "watch:table=1",
            "watch:out_port=2",
            "watch:ip", "watch:table=t1,!actions", "watch:in_port=p1,!modify", "watch:bad=1",
            "watch:out_group=1",
            "watch:table=nosuch", "watch:table")


def watching(rng: random.Random) -> Case:
    """monitor, what is said to it, and what happens meanwhile."""
    words = maybe(rng, ("65534", "0", "100", "50x"), 0.5) + maybe(rng, ("invalid_ttl",), 0.15)
    words += maybe(rng, ("resume",), 0.15) + maybe(rng, _WATCHES, 0.6) + maybe(rng, _WATCHES, 0.1)
    words = words[:3]
    given = [*maybe(rng, [f"-O{version}" for version in VERSIONS], 0.7),
             *maybe(rng, ("--names", "--no-names"), 0.3), *maybe(rng, ("-m", "-mm"), 0.2),
             *maybe(rng, ("-Pstandard", "-Pnxt_packet_in", "-Pnxt_packet_in2", "-Pbad"), 0.3),
             *maybe(rng, ("--timestamp",), 0.1)]
    start = " ".join(["ovs-ofctl", *given, "monitor", "br0", *(f"'{word}'" for word in words),
                      "--detach --no-chdir --pidfile=$PWD/pid --unixctl=$PWD/ctl 2>mon"])
    lines = []
    for _ in range(rng.choice((1, 2, 3, 5))):
        lines.append(rng.choice((
            f"ovs-ofctl -OOpenFlow15 add-flow br0 '{sound_flow(rng)}'",
            "ovs-ofctl del-flows br0 in_port=1",
            f"ovs-ofctl -OOpenFlow13 mod-flows br0 '{sound_flow(rng)}'",
            f"{CTL}send {rng.choice(('0102000800000005', '0402000c0000000001020304', '01', 'xx', '0105000800000000'))}",
            f"{CTL}packet-out 'in_port=1 packet={FRAME} actions={rng.choice(('2', 'controller', 'bad', 'p1'))}'",
            f"ovs-ofctl packet-out br0 'in_port=1 packet={FRAME} actions=controller(max_len=20)'",
            f"{CTL}set-output-file other", f"{CTL}barrier; {CTL}block; {CTL}block; {CTL}unblock",
            f"ovs-ofctl mod-port br0 p2 {rng.choice(('no-flood', 'flood'))}",
            f"ovs-ofctl -O OpenFlow13 packet-out br0 'in_port=1 packet={FRAME} actions=controller(pause),2'"))
            + f"; {CTL}barrier")
    end = f"{CTL}barrier; ovs-appctl -t $PWD/ctl exit; cat mon; cat other 2>/dev/null; rm -f mon other"
    return Case(shell="\n".join([f"{start} || {{ cat mon; exit; }}", *lines, end]))


def segments(stream: bytes) -> bytes:
    """A capture of a TCP connection to port 6653 on which `stream` was said."""
    packets, sequence = [], 1000
    for flags, part in [(2, b""), *((16, stream[at:at + 500])
                                    for at in range(0, len(stream), 500))]:
        tcp = struct.pack("!HHIIHHHH", 40000, 6653, sequence, 0, 0x5000 | flags, 100, 0, 0) + part
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, b"\x0a\0\0\1",
                           b"\x0a\0\0\2")
        packets.append(bytes(12) + b"\x08\x00" + head + tcp)
        sequence += len(part) + (flags == 2)
    return struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) + b"".join(
        struct.pack("<IIII", 5, 0, len(packet), len(packet)) + packet for packet in packets)
