"""What the pipeline does beyond forwarding, beside Debian's switch: meters, continuations.

Each case is a script of shell lines, run against both switches, as in test_daemon.py.
"""

import pytest

from tests.differential.switches import Switch, is_installed, normal

pytestmark = [pytest.mark.differential,
              pytest.mark.skipif(not is_installed(), reason="Debian's openvswitch-switch is absent")]

VERSIONS = "protocols='[OpenFlow10,OpenFlow13,OpenFlow15]'"
SETUP = " -- ".join((
    f"ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy fail_mode=secure {VERSIONS}",
    *(f"add-port br0 p{n} -- set interface p{n} type=dummy ofport_request={n}" for n in (1, 2, 3))))
PATCH = " -- ".join((
    f"ovs-vsctl add-br br1 -- set bridge br1 datapath_type=dummy fail_mode=secure {VERSIONS}",
    "add-port br0 a -- set interface a type=patch ofport_request=9 options:peer=b",
    "add-port br1 b -- set interface b type=patch ofport_request=1 options:peer=a",
    "add-port br1 p12 -- set interface p12 type=dummy ofport_request=2"))
O13 = "ovs-ofctl -O OpenFlow13"


def udp(port: int, tp_dst: int = 9, in_port: int = 1) -> str:
    """The line that has a packet come in."""
    return (f"ovs-appctl netdev-dummy/receive p{port} 'in_port({in_port}),"
            "eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),"
            f"ipv4(src=10.1.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=8,dst={tp_dst})'")


def trace(flow: str, options: str = "") -> str:
    """The line that traces a UDP packet."""
    return (f"ovs-appctl ofproto/trace br0 in_port=1,udp,nw_ttl=64,nw_src=10.1.0.1,nw_dst=10.0.0.2,"
            f"{flow} {options}")


def flows(bridge: str, *lines: str) -> str:
    """The line that adds flows."""
    return (f"printf '%s\\n' {' '.join(repr(line) for line in lines)} "
            f"| {O13} add-flows {bridge} -")


_NINE = ",".join(f"type=drop,rate={n}" for n in range(1, 10))
SCRIPTS: dict[str, list[str]] = {
    "meter changes": [
        f"{O13} meter-features br0", "ovs-ofctl -O OpenFlow15 meter-features br0",
        *(f"{O13} add-meter br0 meter={meter}" for meter in (
            "1,pktps,burst,stats,bands=type=drop,rate=1,burst_size=2", "1,kbps,bands=type=drop,rate=1",
            "2,kbps,bands=type=drop,rate=1", "3,kbps,bands=type=drop,rate=1000,type=drop,rate=10",
            "300000,kbps,bands=type=drop,rate=1000", "262144,kbps,bands=type=drop,rate=1000",
            f"7,pktps,bands={_NINE}", "controller,pktps,bands=type=drop,rate=5",
            "slowpath,pktps,bands=type=drop,rate=5")),
        f"{O13} mod-meter br0 meter=9,pktps,bands=type=drop,rate=1",
        f"{O13} mod-meter br0 meter=2,pktps,stats,bands=type=drop,rate=5", f"{O13} del-meter br0 meter=77",
        f"{O13} dump-meters br0", f"{O13} dump-meter br0 meter=1", f"{O13} dump-meter br0 meter=55",
        f"{O13} meter-stats br0 meter=55", f"{O13} meter-stats br0",
        f"{O13} add-flow br0 in_port=2,actions=meter:99,output:1",
        flows("br0", "in_port=1,actions=meter:1,output:2", "in_port=2,actions=controller,2"),
        f"{O13} meter-stats br0 meter=1", f"{O13} del-meter br0 meter=1", f"{O13} dump-flows br0",
        "ovs-appctl ofproto/trace br0 in_port=2", f"{O13} del-meters br0", f"{O13} dump-meters br0",
        "ovs-appctl ofproto/trace br0 in_port=2"],
    "meters at work": [
        "ovs-appctl time/stop",
        f"{O13} add-meter br0 meter=1,pktps,burst,stats,bands=type=drop,rate=1,burst_size=2",
        f"{O13} add-meter br0 meter=2,kbps,burst,stats,bands=type=drop,rate=1,burst_size=1,type=drop,rate=2,burst_size=2",
        flows("br0", "in_port=1,actions=meter:1,output:2", "in_port=2,actions=meter:2,output:1",
              "in_port=3,actions=controller(meter_id=1),output:1"),
        *[udp(1)] * 5, "ovs-appctl time/warp 3000", *[udp(1)] * 5, *[udp(2, in_port=2)] * 4,
        "ovs-appctl time/warp 500", *[udp(2, in_port=2)] * 3, "ovs-appctl revalidator/wait",
        f"{O13} meter-stats br0", "ovs-appctl dpctl/dump-flows | sort",
        "ovs-appctl coverage/read-counter datapath_drop_meter", "ovs-ofctl dump-ports br0 2",
        "ovs-appctl ofproto/trace br0 in_port=1", "ovs-appctl ofproto/trace br0 in_port=3",
        f"{O13} mod-meter br0 meter=1,pktps,stats,bands=type=drop,rate=1000", *[udp(1)] * 5,
        f"{O13} meter-stats br0 meter=1", f"{O13} del-meter br0 meter=1", udp(1), f"{O13} dump-flows br0"],
    "continuations": [
        PATCH,
        flows("br0", "table=0 cookie=0x11 in_port=1,udp,udp_dst=9 actions=set_field:7->reg1,push:NXM_NX_REG1[],"
              "resubmit(,1),set_field:5->reg2,output:2",
              "table=1 cookie=0x22 udp actions=set_field:9->metadata,controller(pause,userdata=01.02.03),"
              "note:01.02,dec_ttl,set_field:6->reg3,resubmit(,2),output:2",
              "table=2 cookie=0x33 actions=set_field:8->reg4,output:9",
              "table=0 in_port=1,udp,udp_dst=10 actions=clone(set_field:3->reg1,controller(pause),output:2),output:3",
              "table=0 in_port=1,udp,udp_dst=11 actions=goto_table:3",
              "table=3 actions=controller(pause),set_field:4->reg5,controller(pause,max_len=20),resubmit(,4)",
              "table=4 actions=output:3"),
        f"{O13} add-flow br1 'cookie=0x44 in_port=1,actions=set_field:3->reg3,controller(pause),output:2'",
        *(f"{O13} -P nxt_packet_in2 monitor {bridge} 65534 resume --detach --no-chdir --pidfile={bridge}.pid "
          f"--unixctl={bridge}.ctl 2> {bridge}.mon" for bridge in ("br0", "br1")),
        *(line for number in (9, 10, 11) for line in (
            trace(f"udp_dst={number}"), udp(1, number),
            *["ovs-appctl -t $PWD/br0.ctl ofctl/barrier; ovs-appctl -t $PWD/br1.ctl ofctl/barrier"] * 3)),
        "ovs-appctl -t $PWD/br0.ctl exit; ovs-appctl -t $PWD/br1.ctl exit", "cat br0.mon br1.mon | tr -d '\\0'",
        f"{O13} dump-flows br0", f"{O13} dump-flows br1", *(f"ovs-ofctl dump-ports {port}" for port in ("br0 2", "br0 3", "br0 9", "br1 1", "br1 2")),
        "ovs-appctl dpctl/dump-flows | sed 's/recirc_id=[0-9]*/recirc_id=N/g' | sort"],
    "exit ends more than its list": [
        flows("br0", "udp actions=clone(exit,output:3),output:2", "tcp actions=clone(debug_recirc,output:3),output:2",
              "icmp actions=check_pkt_larger(100)->reg0[0],resubmit(,5),output:3", "table=5,icmp,reg0=1 actions=exit",
              "table=5,icmp actions=output:2", "sctp actions=write_actions(output:2),goto_table:4",
              "table=4 actions=output:3,exit"),
        *(f"ovs-appctl ofproto/trace br0 in_port=1,{protocol}" for protocol in ("udp", "tcp", "icmp", "sctp"))],
}


_PACKET = "in_port=1,icmp,dl_src=00:11:22:33:44:55,dl_dst=66:77:88:99:aa:bb,nw_dst=1.1.1.1,nw_src=2.2.2.2,nw_ttl=9"
_NSH = ("in_port=1,dl_type=0x894f,nsh_mdtype=1,nsh_np=3,nsh_spi=0x1234,nsh_si=255,nsh_ttl=63,"
        "nsh_c1=0x11223344,nsh_c4=0xddeeff00")
_MPLS = "in_port=1,mpls,mpls_label=3,mpls_ttl=64,mpls_bos=1"
_MAC = "set_field:11:22:33:44:55:66->dl_dst"
_UDP = ("in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),"
        "ipv4(src=10.1.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=8,dst=9)")
_NSH_FRAME = ("505400000007505400000005894f0fc6010300123401112233440000000000000000000000005054000000"
              "07505400000005080045000026000000004011b6c30a0100010a0000020008000900120000" + "00" * 16)
_MPLS_FRAME = ("50540000000750540000000588470000204000003140450000240000000040116ac30a0100010a00000200"
               "080009001200000000000000000000000000")


def traced(packet: str, *rows: str) -> list[str]:
    """Lines that put one flow after the other into the empty table and trace a packet; a row may
    hold several flows, separated by " & "."""
    return [line for row in rows for line in (
        f"{O13} del-flows br0", flows("br0", *(f"in_port=1,{flow}" if not flow.startswith("table=1")
                                              else flow for flow in row.split(" & "))),
        f"ovs-appctl ofproto/trace br0 {packet} | grep -v ^Flow:")]


def sent(packet: str, *rows: str) -> list[str]:
    """The same for a frame: what leaves by port 2, and the megaflows."""
    return ["ovs-vsctl set interface p2 options:tx_pcap=p2.pcap", *(line for row in rows for line in (
        f"{O13} del-flows br0", flows("br0", *(f"in_port=1,{flow}" if not flow.startswith("table=1")
                                              else flow for flow in row.split(" & "))),
        f"ovs-appctl netdev-dummy/receive p1 '{packet}'",
        "tail -c +$(($(cat seen 2>/dev/null || echo 24) + 17)) p2.pcap | xxd -p; stat -c %s p2.pcap > seen",
        "ovs-appctl dpctl/dump-flows | sort", "ovs-appctl revalidator/purge"))]


SCRIPTS |= {
    "headers added and removed": [
        *traced(_PACKET, f"ip,actions=encap(nsh(md_type=1)),set_field:0x1234->nsh_spi,set_field:1->nsh_c1,encap(ethernet),{_MAC},2",
                f"ip,actions=encap(nsh(md_type=2,tlv(0x1000,10,0x12345678),tlv(0x2000,20,0xfedcba9876))),encap(ethernet),{_MAC},2",
                "ip,actions=encap(nsh),2", "ip,actions=encap(nsh),encap(nsh(md_type=1)),set_field:2->nsh_spi,encap(ethernet),2",
                "ip,actions=decap,encap(ethernet),2", "ip,actions=decap,2", "ip,actions=encap(ethernet),2",
                "ip,actions=push_vlan:0x8100,decap,2", "ip,actions=clone(encap(nsh),encap(ethernet),2),3",
                "ip,actions=encap(nsh),resubmit(,1) & table=1 priority=1,packet_type=(1,0x894f),actions=encap(ethernet),2",
                "ip,actions=encap(nsh),decap,2", "ip,actions=encap(nsh(md_type=2)),controller",
                *(f"ip,actions={many},encap(ethernet),{_MAC},2" for many in (
                    "encap(mpls),set_mpls_label:2", "encap(mpls),encap(mpls),set_mpls_label:3", "encap(mpls_mc)",
                    ",".join(["encap(mpls)"] * 3), ",".join(["encap(mpls)"] * 4), "decap,encap(mpls)"))),
        *traced(_NSH, "dl_type=0x894f,nsh_mdtype=1,nsh_c1=0x11223344,actions=decap(),decap(),2",
                "dl_type=0x894f,actions=decap,dec_nsh_ttl,set_field:5->nsh_si,encap(ethernet),3",
                "dl_type=0x894f,actions=dec_nsh_ttl,2"),
        *traced(_NSH.replace("ttl=63", "ttl=1"), "dl_type=0x894f,actions=dec_nsh_ttl,2"),
        *traced("in_port=1,arp", "arp actions=decap,encap(nsh),encap(ethernet),2"),
        *traced(_MPLS, "mpls,actions=decap(packet_type(ns=0,type=0)),2", "mpls,actions=decap,decap(packet_type(ns=1,type=0x800)),2",
                f"mpls,actions=encap(mpls),set_mpls_label:2,encap(ethernet),{_MAC},2",
                f"mpls,actions=decap,encap(mpls),set_mpls_label:2,encap(ethernet),{_MAC},2",
                "mpls,actions=decap,decap(packet_type(ns=0,type=0)),2"),
        *traced(_MPLS.replace("bos=1", "bos=0"), "mpls,actions=pop_mpls:0x8847,pop_mpls:0x800,dec_ttl,2",
                "mpls,actions=decap,decap(packet_type(ns=1,type=0x8847)),decap(packet_type(ns=0,type=0)),2"),
        "ovs-appctl dpif/set-dp-features br0 add_mpls false",
        *traced(_PACKET, f"ip,actions=encap(mpls),set_mpls_label:5,encap(ethernet),{_MAC},2")],
    "headers on the wire": [
        *sent(_UDP, f"ip,actions=encap(nsh(md_type=1)),set_field:0x1234->nsh_spi,set_field:9->nsh_c1,encap(ethernet),{_MAC},2",
              f"ip,actions=encap(nsh(md_type=2,tlv(0x1000,10,0x12345678),tlv(0x2000,20,0xfedcba9876))),encap(ethernet),{_MAC},2",
              "ip,actions=decap,encap(nsh),encap(nsh(md_type=1)),set_field:2->nsh_spi,encap(ethernet),2",
              f"ip,actions=encap(mpls),set_mpls_label:2,encap(mpls),set_mpls_label:3,encap(ethernet),{_MAC},2",
              "ip,actions=push_mpls:0x8847,set_mpls_label:5,push_vlan:0x88a8,set_field:4101->vlan_vid,push_mpls:0x8847,2",
              "ip,actions=push_vlan:0x88a8,set_field:4101->vlan_vid,output(port=2,max_len=30)"),
        *sent(_NSH_FRAME, "dl_type=0x894f,actions=decap,decap,resubmit(,1) & table=1,udp,actions=dec_ttl,2",
              "dl_type=0x894f,actions=dec_nsh_ttl,set_field:7->nsh_si,set_field:9->nsh_c4,2",
              f"dl_type=0x894f,nsh_c1=0x11223344,actions=decap,dec_nsh_ttl,set_field:7->nsh_si,encap(ethernet),{_MAC},2"),
        *sent(_MPLS_FRAME, "mpls,actions=dec_mpls_ttl,set_mpls_tc:3,push_mpls:0x8847,set_mpls_label:77,2")],
    "other actions": [
        *traced(_PACKET, *(f"ip,actions=push_vlan:0x8100,output(port={port},max_len=30),3"
                           for port in ("1", "2", "9", "local", "in_port")),
                "ip actions=clone(output(port=2,max_len=40),3),3",
                "ip actions=enqueue:2:3,set_queue:5,2,enqueue:3:7,pop_queue,3,enqueue:in_port:1,enqueue:9:1,enqueue:local:1",
                "ip actions=bundle(eth_src,0,active_backup,ofport,members:9,2,3)",
                "ip actions=bundle_load(eth_src,0,active_backup,ofport,NXM_NX_REG0[0..15],members:3,2),2",
                "ip actions=check_pkt_larger(200)->reg0[0],check_pkt_larger(100)->reg0[1],resubmit(,1) & "
                "table=1,reg0=0 actions=2 & table=1,reg0=1 actions=3 & table=1,reg0=2 actions=2,3 & table=1,reg0=3 actions=drop",
                "ip actions=output:NXM_NX_REG0[],set_field:2->reg0,output:NXM_NX_REG0[0..15],set_field:0xfffb->reg0,output:reg0[0..15]",
                "ip actions=pop:NXM_NX_REG0[],push:NXM_NX_REG1[3..9],pop:NXM_OF_ETH_SRC[0..6],2",
                "ip actions=dec_ttl(3,4),2", "ip actions=note:01.02,exit,2", "ip actions=debug_slow,2"),
        *traced(_PACKET.replace("ttl=9", "ttl=1"), "ip actions=dec_ttl(3,4),2"),
        f"{O13} del-flows br0",
        flows("br0", "ip actions=learn(table=1,limit=1,result_dst=NXM_NX_REG0[1],eth_type=0x800,"
              "NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],output:NXM_OF_IN_PORT[]),resubmit(,2)",
              "table=2,reg0=2 actions=2", "table=2,priority=1 actions=3"),
        *(f"ovs-appctl ofproto/trace br0 in_port=1,ip,nw_src={address}" for address in (
            "9.9.9.9 -generate", "8.8.8.8 -generate", "9.9.9.9 -generate", "8.8.8.8")),
        f"{O13} dump-flows br0 table=1"],
}

_NATTED = "in_port=1,udp,nw_src=9.9.9.9,nw_dst=8.8.8.8,udp_src=7,udp_dst=6,nw_ttl=4"
SCRIPTS["connections traced"] = [
    *(line for row in ("nat(src=10.0.0.1)", "nat(dst=10.0.0.1-10.0.0.5:80-90)", "nat(src)",
                       "nat(src=10.0.0.1),exec(set_field:5->ct_mark,set_field:7->ct_label),zone=9")
      for line in traced(_NATTED, f"ip,actions=ct(commit,{row},table=1) & table=1,ct_mark=5,actions=2 & "
                         "table=1,priority=1,actions=3")),
    *(f"ovs-appctl ofproto/trace br0 {_NATTED} {options}" for options in (
        "--ct-next trk,est", "--ct-next foo", "--bogus")),
    *traced("in_port=1,tcp6,ipv6_src=fe80::1,ipv6_dst=fe80::2,tcp_src=4,tcp_dst=5",
            "ipv6,actions=ct(commit,nat(src=fd00::1-fd00::9),table=1) & table=1,actions=2")]

_OPTION = "{class=0xffff,type=0,len=4}->tun_metadata0"
SCRIPTS["tunnel options"] = [
    f"{O13} dump-tlv-map br0", f"{O13} add-flow br0 tun_metadata0=1,actions=2",
    *(f"{O13} add-tlv-map br0 '{row}'" for row in (
        _OPTION, _OPTION, _OPTION.replace("data0", "data1"),
        "{class=0xffff,type=1,len=8}->tun_metadata1,{class=0xffff,type=2,len=124}->tun_metadata2",
        "{class=0xffff,type=3,len=124}->tun_metadata3")),
    f"{O13} dump-tlv-map br0", f"{O13} del-tlv-map br0 '{{class=0xffff,type=2,len=124}}->tun_metadata2'",
    f"{O13} dump-tlv-map br0",
    flows("br0", "in_port=1,actions=set_field:0x1200->tun_metadata0,resubmit(,1)",
          "in_port=2,actions=load:0x77->tun_metadata1[],resubmit(,1)",
          "in_port=3,actions=set_field:0x1210->reg0,move:NXM_NX_REG0[]->NXM_NX_TUN_METADATA0[0..31],resubmit(,1)",
          "in_port=4,actions=set_field:0x1/0xf->tun_metadata1,push:NXM_NX_TUN_METADATA1[0..31],"
          "pop:NXM_NX_REG1[],delete_field:tun_metadata1,resubmit(,1)",
          "table=1,tun_metadata0=0x1234/0xff00,actions=2", "table=1,tun_metadata1=0x77,actions=1",
          "table=1,priority=1,actions=controller"),
    *(f"ovs-appctl ofproto/trace br0 in_port={port}" for port in (1, 2, 3, 4)),
    f"{O13} dump-flows br0 table=1 | sed s/duration=[^,]*// | sort", f"{O13} add-flow br0 in_port=5,actions=push:NXM_NX_TUN_METADATA1[]",
    *(f"{O13} add-flow br0 actions={action}:tun_metadata5" for action in ("delete_field", "set_field:1-\\>")),
    f"{O13} del-tlv-map br0", f"{O13} del-tlv-map br0 '{_OPTION}'", f"{O13} del-flows br0",
    f"{O13} del-tlv-map br0", f"{O13} dump-tlv-map br0"]

_HASHES = ",".join(
    f"multipath({fields},{13 * index},{algorithm},NXM_NX_REG0[])"
    for index, (fields, algorithm) in enumerate(
        (fields, algorithm)
        for fields in ("eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "symmetric_l3",
                       "nw_src", "nw_dst")
        for algorithm in ("modulo_n,60000,0", "hash_threshold,7,0", "hrw,9,0", "hrw,1000,0",
                          "iter_hash,5,0", "iter_hash,5,600")))
_MACS = "in_port=1,dl_src=00:00:00:00:00:0a,dl_dst=00:11:00:00:00:0b"
SCRIPTS["hashes"] = [
    flows("br0", f"priority=1,actions={_HASHES},bundle_load(eth_src,3,hrw,ofport,NXM_NX_REG1[],members:1,2,3)"),
    *(f"ovs-appctl ofproto/trace br0 {_MACS},{packet} | grep -v ^Flow" for packet in (
        "tcp,nw_src=1.2.3.4,nw_dst=5.6.7.8,tcp_src=10,tcp_dst=20", "udp,nw_src=1.2.3.4,udp_src=9,dl_vlan=7",
        "tcp6,ipv6_src=fe80::1,ipv6_dst=fe80::9,tcp_src=1,tcp_dst=4", "icmp,nw_src=9.2.3.4")),
    "ovs-appctl vlog/set ofproto_dpif:file:dbg",
    *(f"ovs-ofctl -O OpenFlow15 {group}" for group in (
        "add-group br0 'group_id=1,type=select,bucket=bucket_id:4,weight:3,output:2,bucket=bucket_id:7,weight:5,output:3'",
        "add-group br0 'group_id=2,type=select,selection_method=dp_hash,selection_method_param=5,"
        "bucket=bucket_id:4,weight:3,output:2,bucket=bucket_id:7,weight:5,output:3'",
        "add-group br0 'group_id=3,type=select,bucket=weight:0,output:2'",
        "add-group br0 'group_id=4,type=select,bucket=weight:1,output:2,bucket=weight:300,output:2'",
        "add-group br0 'group_id=5,type=select,selection_method=hash,fields(eth_dst),bucket=weight:3,output:2'")),
    f"{O13} add-flow br0 priority=2,udp,actions=group:1", f"{O13} add-flow br0 priority=2,tcp,actions=group:2",
    *(line for number in range(1, 7) for line in (
        udp(1, number), udp(1, number).replace("proto=17", "proto=6").replace("udp(", "tcp("))),
    "ovs-appctl dpctl/dump-flows | sed 's/dp_hash(0x[0-9a-f]*\\([0-9a-f]\\)/dp_hash(0x\\1/;s/, packets.*, a/ a/' | sort",
    "ovs-appctl revalidator/wait",
    *(f"ovs-ofctl -O OpenFlow15 dump-group-stats br0 group_id={number}" for number in (1, 2)),
    "grep -E 'select group|hash|weight|Selection' ovs-vswitchd.log | grep DBG | grep -v unixctl | cut -d'|' -f3-"]

_FIELDS = ("fields(ip_src,ip_dst)", "fields=eth_src", "fields(ip_src=255.255.0.0)",
           "fields(tcp_src,udp_src,ipv6_src)", "fields(in_port,vlan_vid,metadata,reg0)",
           "fields(tcp_dst,icmp_type,arp_spa)", "fields(xreg0,tun_id,vlan_pcp)")
SCRIPTS["groups that hash fields"] = [
    line for fields in _FIELDS for line in (
        "ovs-ofctl -O OpenFlow15 del-groups br0",
        f"ovs-ofctl -O OpenFlow15 add-group br0 'group_id=1,type=select,selection_method=hash,"
        f"selection_method_param=12345678901,{fields},bucket=weight:1,output:2,bucket=weight:9,output:3'",
        f"{O13} add-flow br0 actions=group:1",
        *(f"ovs-appctl ofproto/trace br0 {_MACS},{packet}" for packet in (
            "tcp,nw_src=1.2.3.4,nw_dst=5.6.7.8,tcp_src=10,tcp_dst=20", "udp,udp_src=9,dl_vlan=7",
            "tcp6,ipv6_src=fe80::1,ipv6_dst=fe80::9,tcp_src=1", "arp,arp_spa=1.2.3.4")))]

_STATES = ("foo", "est,rpl", "", "trk|new", "trk,new,est", "trk,inv,est", "trk,new,rpl", "trk,,new")
SCRIPTS["arguments of traces"] = [
    *(f"ovs-appctl ofproto/trace br0 in_port=1 --ct-next '{state}'" for state in _STATES),
    *(f"ovs-appctl ofproto/trace {arguments}" for arguments in (
        "br0 in_port=1 --l7-len 64001", "br0 in_port=1 --l7 zz", "br0 in_port=1 -generate 0102", "br0",
        "foo in_port=1", "'in_port(1)'", "dummy 'in_port(1)'", "ovs-dummy 'in_port(1)'", "x@y 'in_port(1)'",
        "ovs-dummy 'in_port(77),eth()'", "ovs-dummy zz", "br0 'in_port(1)'", "br0 in_port=1 a b",
        "br0 in_port=1 0102")),
    *(f"ovs-appctl ofproto/trace-packet-out {arguments}" for arguments in (
        "br0 in_port=1 drop zz", "br0 in_port=1 2", "'in_port(1)' -generate 2", "zz 2",
        "br0 in_port=1 'set_field:1.1.1.1->ip_dst'", "br0 tcp,in_port=1 'set_field:1.1.1.1->ip_dst'",
        "br0 in_port=1 drop", "br0 in_port=1 goto_table:1"))]

_KEY = ("eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),"
        "ipv4(src=10.1.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=8,dst=9)")
_FRAME = "50540000000750540000000508004500001e0000000040112cb30a0100010a00000200080009000a00000000"
SCRIPTS["forms of traces"] = [
    flows("br0", "priority=9,udp,actions=dec_ttl,set_field:7->reg0,output:2,ct(table=1,zone=reg0[0..15])",
          "priority=8,ipv6,actions=controller(userdata=01),output:2", "priority=0,actions=output:3",
          "table=1,ip,ct_state=+trk+new,ct_zone=7,actions=ct(commit,zone=7,exec(set_field:5->ct_mark),table=2)",
          "table=1,ip,ct_state=+trk+est,actions=ct_clear,output:3", "table=1,priority=0,actions=output:LOCAL",
          "table=2,ct_mark=5,actions=output:3", "table=2,priority=0,ct_state=+dnat,actions=output:1",
          "table=2,priority=0,actions=drop"),
    *(f"ovs-appctl ofproto/trace {arguments}" for arguments in (
        "br0 in_port=p1,udp,udp_dst=9", "br0 in_port=p1,udp,tp_dst=9", "--names br0 in_port=p1,udp", "br0 --names in_port=p1,udp",
        "br0 in_port=1,udp -generate --l7 0102", "br0 in_port=1,udp --l7-len 0 -generate", "br0 'in_port=1 udp'",
        f"br0 in_port=1 {_FRAME}", f"br0 in_port=2,reg1=5,dl_vlan=7,tcp --names {_FRAME}", "br0 ''",
        f"br0 '' {_FRAME}", "br0 in_port=LOCAL", "br0 in_port=controller,udp", "br0 in_port=77",
        f"dummy@ovs-dummy 'in_port(1),{_KEY}'", f"'in_port(p1),{_KEY}'", f"--names 'in_port(p1),{_KEY}'",
        f"ovs-dummy 'skb_priority(0x5),skb_mark(0x7),in_port(2),{_KEY}' -generate", f"'in_port(1)' {_FRAME}",
        f"dummy 'recirc_id(0x7777),in_port(1),{_KEY}'", f"br0 'in_port(1),{_KEY}'",
        f"'recirc_id(0),dp_hash(0x5/0xf),in_port(1/0xff),{_KEY}'", f"'in_port(1),eth(),eth_type(0x8100),vlan(vid=5,pcp=1),encap({_KEY[49:]})'",
        "br0 in_port=1,udp --ct-next trk,new --ct-next trk,est", "br0 in_port=1,udp --ct-next trk,est",
        "br0 in_port=1,udp --ct-next 'trk,new' --ct-next trk,rel,dnat,new", "br0 in_port=1,udp --ct-next trk,inv --names",
        "br0 in_port=1,udp --ct-next 0", "br0 in_port=1,udp --ct-next trk,est,rpl --ct-next trk",
        "br0 in_port=1,udp6,ipv6_src=fe80::1 -generate", "br0 'in_port=1,ct_state=trk|est,udp,ct_zone=7,ct_nw_proto=17'",
        "br0 in_port=1,tun_id=5,tun_src=1.1.1.1,tun_dst=2.2.2.2,tun_flags=oam,udp", "br0 'in_port=1,packet_type=(1,0x800)'",
        "br0 in_port=1,udp,recirc_id=99999", "br0 in_port=1,ip,nw_frag=later", "br0 in_port=1,dl_vlan=5,dl_vlan_pcp=3,udp")),
    *(f"ovs-appctl ofproto/trace-packet-out {arguments}" for arguments in (
        "br0 in_port=p1,udp output:2", "br0 in_port=1,udp TABLE", "br0 in_port=controller,udp -generate 'dec_ttl,output:2,LOCAL'",
        f"br0 in_port=1 {_FRAME} 'resubmit(,1)'", "br0 in_port=1,udp 'ct(commit,zone=5),output:3'", "br0 in_port=1,udp p2",
        "br0 --names in_port=p1,udp output:p2", f"'in_port(1),{_KEY}' 'set_field:1.1.1.1->ip_src,IN_PORT'",
        "br0 in_port=1,udp 'group:5,controller(max_len=9)'", "br0 in_port=1,udp -consistent 'mod_tp_dst:5,2'"))]

SCRIPTS["features that are set"] = [
    *(f"ovs-appctl dpif/set-dp-features br0 {words}" for words in (
        "foo", "clone xx", "clone", "clone false", "clone", "clone true", "sample_nesting 2",
        "sample_nesting", "sample_nesting 11", "sample_nesting abc", "sample_nesting 10")),
    flows("br0", "ip,actions=clone(ct(commit),output:2),output:3"),
    *(line for value in ("false", "true") for line in (
        f"ovs-appctl dpif/set-dp-features br0 clone {value}", trace("udp_dst=5")))]

_TAGGED = udp(1).replace("eth_type(0x0800),", "eth_type(0x8100),vlan(vid=50,pcp=0),encap(eth_type(0x0800),"
                         ).replace(")'", "))'")
SCRIPTS["frames with and without a tag"] = [
    line for rule in ("dl_vlan=50,actions=2", "dl_vlan=9,actions=2", "dl_vlan=0xffff,actions=2", "actions=2",
                      "actions=mod_vlan_vid:7,2", "actions=strip_vlan,2", "actions=normal")
    for line in ("ovs-ofctl del-flows br0", f"ovs-ofctl add-flow br0 {rule}",
                 "ovs-appctl revalidator/purge", udp(1), _TAGGED, "ovs-appctl revalidator/wait", _TAGGED, udp(1),
                 "ovs-appctl dpctl/dump-flows | sed 's/,pcp=0[^,]*0x0//;s/[0-9,]*100[0-9,]*$/flood/' | sort")]

_O15 = "ovs-ofctl -O OpenFlow15"
SCRIPTS["what actions and groups tell of themselves"] = [
    "ovs-ofctl mod-port br0 p3 down",
    f"{_O15} add-group br0 group_id=100,type=ff,bucket=watch_port:3,output:3",
    *(line for group in (
        "type=ff,bucket=watch_port:9,output:2,bucket=watch_port:3,watch_group:77,output:3,bucket=watch_port:2,output:2",
        "type=ff,bucket=watch_group:100,output:1", "type=select,bucket=weight:0,output:3,bucket=weight:0,watch_port:2,output:2",
        "type=select,selection_method=hash,bucket=watch_port:3,output:3,bucket=output:2")
      for line in (f"{O13} del-flows br0; {_O15} del-groups br0 group_id=1",
                   f"{_O15} add-group br0 'group_id=1,{group}'", f"{O13} add-flow br0 actions=group:1",
                   trace("udp_dst=9"))),
    *traced(f"{_PACKET.replace('icmp', 'tcp')},nw_tos=3", "ip,actions=load:255->NXM_OF_IP_TOS[],move:NXM_OF_IP_TOS[]->NXM_NX_REG0[0..7],2",
            "ip,actions=load:0x1005->NXM_OF_VLAN_TCI[],2", "ip,actions=set_field:0x10002->reg0,output:reg0,debug_slow,2",
            "ip,actions=bundle(symmetric_l4,0,hrw,ofport,members:2),bundle(symmetric_l4,0,hrw,ofport,members:3,2)",
            "ip,actions=resubmit(,1),clone(check_pkt_larger(200)->reg0[1],exit),3 & table=1 actions=check_pkt_larger(100)->reg0[0],2",
            "ip,actions=debug_recirc,2"),
    *["ovs-appctl ofproto/trace br0 in_port=1,ip,nw_ttl=5"] * 2, udp(1), udp(1), "ovs-appctl dpctl/dump-flows | sort",
    f"{O13} del-flows br0; {O13} add-flow br0 in_port=1,actions=debug_slow,2", udp(1), "ovs-appctl dpctl/dump-flows | sort",
    "ovs-appctl revalidator/purge", f"{O13} add-flow br0 'in_port=1,actions=learn(table=1,eth_src=eth_src,output:reg1)'",
    "ovs-appctl ofproto/trace br0 in_port=1,reg1=0x70003 -generate", f"{O13} dump-flows br0 table=1",
    *(f"{command} br0 {match},actions=2 2>&1 | head -2" for command in (f"{O13} add-flow", f"{_O15} --bundle mod-flows")
      for match in ("dp_hash=5", "recirc_id=1", "recirc_id=0", "table=254")),
    *(f"ovs-appctl ofproto/trace br0 'in_port=1,udp,ct_state={state},ct_nw_src=1.1.1.1' | head -1"
      for state in ("trk", "trk|new", "trk|rel")),
    f"{O13} add-flow br0 udp,ct_state=+snat,ct_nw_src=1.1.1.1,actions=2",
    "grep -c nx_match.WARN ovs-vswitchd.log"]

_FIN = udp(1).replace("proto=17", "proto=6").replace("udp(src=8,dst=9)", "tcp(src=8,dst=9),tcp_flags(fin|ack)")
SCRIPTS["the end of connections"] = [
    "ovs-appctl time/stop",
    flows("br0", "in_port=1,tcp,idle_timeout=100,actions=fin_timeout(idle_timeout=5,hard_timeout=10),2",
          "priority=9,in_port=1,tcp,tp_dst=9,actions=fin_timeout(idle_timeout=3),3"),
    _FIN, _FIN, _FIN.replace("dst=9", "dst=10"), "ovs-appctl revalidator/wait", "ovs-ofctl --no-stats dump-flows br0",
    *["ovs-appctl time/warp 4000 500", f"{O13} dump-flows br0 | sed 's/idle_age=[0-9]*//'"] * 2]

_FDB = "ovs-appctl fdb/show br0 | sort"


def _broadcast(port: int, host: int, tag: str = "") -> str:
    """The line that has a broadcast frame of a host come in, with a tag's "vid=V,pcp=P" if given."""
    line = udp(port, in_port=port).replace("50:54:00:00:00:05", f"50:54:00:00:01:{host:02x}").replace(
        "50:54:00:00:00:07", "ff:ff:ff:ff:ff:ff")
    return line if not tag else line.replace("eth_type(0x0800),", f"eth_type(0x8100),vlan({tag}),encap("
                                             "eth_type(0x0800),").replace(")'", "))'")


SCRIPTS["who is where"] = [
    "ovs-vsctl set bridge br0 other_config:mac-table-size=3", "ovs-ofctl add-flow br0 actions=normal",
    *(_broadcast(port, port) for port in (1, 2, 3)), "ovs-appctl fdb/add br0 p3 0 50:54:00:00:01:01",
    "ovs-appctl fdb/add br0 p3 0 50:54:00:00:01:01", "ovs-appctl fdb/add br0 p2 0x 50:54:00:00:01:01", _FDB,
    "ovs-appctl fdb/stats-show br0",
    *(f"ovs-appctl ofproto/trace br0 in_port=1,dl_src=50:54:00:00:02:0{host},dl_dst=50:54:00:00:01:0{host}"
      for host in (1, 3)),
    "ovs-vsctl set port p3 trunks=0,1", _FDB, "ovs-vsctl set port p2 other_config:priority-tags=if-nonzero", _FDB,
    _broadcast(3, 4), "ovs-vsctl set bridge br0 flood_vlans=7", _FDB, _broadcast(3, 5), "ovs-vsctl del-port p3", _FDB,
    *(f"ovs-appctl ofproto/trace br0 in_port=1,dl_dst={mac} | grep -c reserved"
      for mac in ("00:e0:2b:00:00:04", "00:e0:2b:00:00:05", "01:00:0c:cc:cc:c7", "01:00:0c:cc:cc:c8"))]

SCRIPTS["ports that are down and tags that say nothing"] = [
    "ovs-ofctl add-flow br0 actions=normal", "ovs-ofctl mod-port br0 p1 down",
    "ovs-appctl netdev-dummy/set-admin-state p2 down", *(_broadcast(port, port) for port in (1, 2, 3)),
    *(f"ovs-ofctl dump-ports br0 {port}; ovs-vsctl get interface p{port} admin_state link_state" for port in (1, 2)),
    "ovs-ofctl mod-port br0 p2 no-receive",
    *(f"ovs-appctl ofproto/trace br0 in_port=2,dl_dst={mac}" for mac in ("01:80:c2:00:00:00", "ff:ff:ff:ff:ff:ff")),
    "ovs-ofctl mod-port br0 p2 receive",
    "ovs-vsctl set port p1 tag=99 -- set port br0 tag=98 -- set port p2 tag=10 -- set port p3 trunks=10",
    *(f"ovs-vsctl set port p3 vlan_mode={mode} tag=10 other_config:priority-tags={tags}; "
      f"ovs-appctl ofproto/trace br0 in_port={port},{tag}dl_dst=ff:ff:ff:ff:ff:ff | tail -1"
      for mode in ("native-untagged", "native-tagged", "access") for tags in ("always", "if-nonzero", "never")
      for port, tag in ((2, ""), (2, "dl_vlan=0,dl_vlan_pcp=5,"))),
    _broadcast(2, 9, "vid=0,pcp=3"), "ovs-appctl dpctl/dump-flows | grep -c 'vid=0,pcp=3)'"]

_V6 = udp(1).replace("eth_type(0x0800),ipv4(src=10.1.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64",
                     "eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0x5,proto=17,tclass=0,hlimit=9")
SCRIPTS["dumps that leave out"] = [
    flows("br0", "priority=9,ip,nw_ttl=64,actions=2", "priority=8,ipv6,actions=3", "actions=drop"), udp(1), _V6, udp(2, 9, 2),
    *(f"ovs-appctl dpctl/dump-flows {words} | sort" for words in (
        "type=ovs", "type=offloaded", "type=bogus", "filter=in_port=1,ip", "filter=ipv6", "filter=ip,nw_ttl=64,dl_vlan=5",
        "filter=in_port=p2", "filter=bogus", "filter=ip,nw_src=1.0.0.0/8", "filter=nw_src=1.1.1.1", "ovs-dummy",
        "dummy@ovs-dummy filter=udp6 type=ovs,offloaded", "pmd=-1", "pmd=0", "pmd=zz", "-x", "--zz")),
    "ovs-appctl dpif/dump-flows -m br0 | cut -c42- | sort",
    "ovs-vsctl set bridge br0 flow_tables:0=@n -- --id=@n create Flow_Table prefixes=tp_dst",
    f"{O13} add-flow br0 priority=99,ip,nw_dst=10.0.0.0/24,actions=1", trace("udp_dst=3"),
    "ovs-vsctl set Flow_Table . prefixes=none", trace("udp_dst=3")]


SCRIPTS["what random pipelines found"] = [
    *traced(_MPLS, *(f"mpls,actions=pop_mpls:0x0800,{action},2" for action in (
        "controller", "controller(userdata=01)", "note:01", "clone(output:3)", "push_vlan:0x8100")),
        "mpls,actions=pop_mpls:0x0800,write_metadata:5"),
    *traced(_PACKET, *(f"ip,actions=write_actions({actions})" for actions in (
        "ct_clear", "set_queue:4,set_field:5->reg0,output:2,set_queue:5", "output:2,controller(id=3)")),
        "ip,actions=encap(nsh),resubmit(,1) & table=1 ip,actions=drop & table=1 priority=1,actions=2",
        "ip,actions=learn(table=3,send_flow_rem,cookie=7,NXM_OF_ETH_SRC[])"),
    *traced("in_port=1,arp,arp_op=1", "arp,actions=set_field:1.2.3.4->arp_tpa,2", "arp,actions=move:reg0[0..15]->arp_op[],2"),
    *traced("in_port=1,tcp,ct_state=trk|est,tun_dst=1.2.3.4", "actions=ct_clear,2"),
    *traced("in_port=1,ip,ct_state=trk,ct_mark=0x77,reg1=9", *(f"ip,actions=ct(commit,{words}),2" for words in (
        "exec(move:NXM_NX_CT_MARK[0..7]->NXM_NX_CT_LABEL[8..15])", "zone=NXM_NX_CT_MARK[0..15],exec(set_field:5->ct_mark)",
        "exec(move:NXM_NX_REG1[0..3]->NXM_NX_CT_MARK[2..5],move:NXM_NX_CT_MARK[0..3]->NXM_NX_CT_MARK[8..11])"))),
    *traced("in_port=1,arp,reg0=2", "arp,actions=move:reg0[0..5]->arp_op[2..7],2", "arp,actions=set_field:3->arp_op,2"),
    *traced(_NSH, "dl_type=0x894f,nsh_spi=0x1234,actions=set_field:5->nsh_flags,2", "dl_type=0x894f,nsh_ttl=63,actions=set_field:0x10/0x30->nsh_flags,2"),
    *traced(_NSH.replace("mdtype=1", "mdtype=2").split(",nsh_c1")[0], "dl_type=0x894f,actions=dec_nsh_ttl,2,set_field:7->nsh_spi,2"),
    f"{_O15} add-group br0 group_id=1,type=all,bucket=output:3", f"{O13} add-flow br0 'in_port=1,actions=group:1,clone(group:1),write_actions(group:1)'",
    f"{_O15} dump-group-stats br0 | sed 's/duration.*ref/ref/'", f"{_O15} dump-flows br0",
    f"ovs-ofctl add-flow br0 ip,in_port=2,actions=load:0-\\>NXM_NX_IP_ECN[]; {_O15} --no-stats dump-flows br0 ip",
    "ovs-appctl ofproto/trace br0 in_port=1,reg0=5,metadata=7,tun_id=9 505400000007505400000005894f00860103001234ff"]


def answer(switch: Switch, name: str) -> str:
    """What the lines of a script print; the switch is closed."""
    try:
        return "".join(f"$ {line}\n" + normal(switch.run(line), switch.directory)
                       for line in [SETUP, *SCRIPTS[name]])
    finally:
        switch.close()


# What random traces and quicker tests see as well.
_LONG = ("meter changes", "the end of connections", "exit ends more than its list", "connections traced", "tunnel options")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long if name in _LONG else ())
                                  for name in SCRIPTS])
def test_our_pipeline_does_what_the_real_one_does(name, tmp_path):
    theirs = answer(Switch(tmp_path / "real", True), name)
    ours = answer(Switch(tmp_path / "ours", False), name)
    assert ours == theirs
