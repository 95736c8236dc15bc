"""ovs-vsctl beside the reference's: the same scripts, the same texts, codes and databases.

Each script runs on two fresh databases, one command line after the other.  A line that starts
with "~" prints rows in an order that the database chooses, so its lines are compared sorted.
"""

import shlex

import pytest

from tests.utilities.oracle import Pair, needs_reference
from utilities.vsctl import main

pytestmark = [pytest.mark.differential, needs_reference]

SCRIPTS = {
    "bridges": r"""
        init
        list-br
        show
        add-br br0
        add-br br0
        add-br ''
        add-br
        add-br a b
        add-br a b c d
        --may-exist add-br br0
        br-exists br0
        br-exists nosuch
        list-br
        list-ports br0
        list-ifaces br0
        list-ports nosuch
        br-to-vlan br0
        br-to-parent br0
        br-to-vlan nosuch
        port-to-br br0
        iface-to-br br0
        add-br br1 -- add-br br2 -- list-br -- add-port br1 p1 -- list-ports br1
        list-br
        del-br br1
        del-br br1
        --if-exists del-br br1
        list-br
        br-exists br2 -- br-exists br1 -- br-exists br0
        -- --if-exists del-br br2 -- --may-exist add-br br0
        ~show
        """,
    "fake bridges": r"""
        add-br br0 -- add-br fake0 br0 5
        add-br fake1 br0 5
        add-br fake1 br0 4096
        add-br fake1 br0 -1
        add-br fake1 br0 x
        add-br fake2 nosuch 7
        add-br fake2 fake0 7
        --may-exist add-br fake0 br0 5
        --may-exist add-br fake0 br0 6
        --may-exist add-br fake0 other 5
        --may-exist add-br fake0
        --may-exist add-br br0 br0 5
        list-br
        list-br --real
        -- --real list-br
        -- --fake list-br
        -- --real --fake list-br
        br-to-vlan fake0
        br-to-parent fake0
        add-port fake0 p1
        add-port br0 p2 tag=5
        add-port br0 p3 tag=6
        list-ports br0
        list-ports fake0
        list-ifaces fake0
        port-to-br p1
        port-to-br p2
        iface-to-br p1
        get port p1 tag
        del-port br0 p1
        del-port br0 nosuch
        del-port fake0 p3
        br-set-external-id fake0 key value
        br-set-external-id fake0 key2 value2
        br-get-external-id fake0 key
        br-get-external-id fake0
        br-get-external-id br0
        br-set-external-id fake0 key
        br-get-external-id fake0
        get port fake0 external_ids
        get-controller fake0
        set-controller fake0 tcp:1.2.3.4
        del-controller fake0
        get-fail-mode fake0
        set-fail-mode fake0 secure
        del-fail-mode fake0
        add-bond fake0 bond0 a b
        get port bond0 tag
        ~show
        del-port p1
        del-br fake0
        list-ports br0
        add-br fake3 br0 8 -- add-port fake3 p8 -- list-ports fake3
        del-br br0
        list-br
        """,
    "ports": r"""
        add-br br0 -- add-br br1
        add-port br0 p1
        add-port br0 p1
        add-port br1 p1
        add-port nosuch p9
        add-port br0 br1
        add-port br0 ''
        add-port br0
        add-port br0 p2 tag=9 -- set Interface p2 type=internal
        add-port br0 p3 tag=9 trunks=1,2 vlan_mode=native-tagged other_config:a=b external-ids:c=d
        add-port br0 p4 nosuch=1
        add-port br0 p4 tag=4096
        add-port br0 p4 tag=x
        add-port br0 p4 tag
        add-port br0 p4 t=1
        add-port br0 p4 ta=1
        add-port br0 p5 trunk=1,2,3
        add-port br0 p5 --may-exist
        --may-exist add-port br0 p1
        --may-exist add-port br1 p1
        --may-exist add-port br0 p1 tag=7
        get port p1 tag
        -- --may-exist add-port br0 p6 tag=7
        get port p6 tag
        list-ports br0
        list-ifaces br0
        port-to-br p1
        port-to-br nosuch
        iface-to-br p1
        iface-to-br nosuch
        del-port nosuch
        --if-exists del-port nosuch
        del-port br0
        --if-exists del-port br0
        del-port br1 p1
        del-port nosuch p1
        del-port br0 p1
        list-ports br0
        del-port p2 -- del-port p3 -- list-ports br0
        -- --if-exists del-port p5 -- add-port br1 p5 tag=1 -- set interface p5 external-ids:attached-mac="52:54:00:00:00:01" -- set interface p5 external-ids:iface-id=12345678-1234-1234-1234-1234567890ab -- set interface p5 external-ids:iface-status=active
        get interface p5 external_ids:attached-mac external_ids:iface-id
        get interface p5 external_ids:PortData
        set interface p5 external_ids:PortData='a b=c,d'
        get interface p5 external_ids:PortData
        add-port br0 $'x y'
        list-ports br0
        """,
    "bonds": r"""
        add-br br0
        add-bond br0 b0 e1
        add-bond br0 b0 e1 x=y
        add-bond br0 b0 e1 e2 lacp=active bond_mode=balance-tcp
        add-bond br0 b0 e1 e2
        add-bond br0 b1 e1 e3
        add-bond br0 b1 e3 ''
        -- --may-exist add-bond br0 b0 e2 e1
        -- --may-exist add-bond br0 b0 e1 e3
        -- --may-exist add-bond br1 b0 e1 e2
        -- --may-exist add-bond br0 b0 e1 e2 x=y
        -- --fake-iface add-bond br0 b2 e5 e6
        get port b2 bond_fake_iface
        --may-exist add-port br0 b0
        list-ports br0
        list-ifaces br0
        iface-to-br e1
        port-to-br e1
        add-bond-iface b0 e3
        add-bond-iface b0 e3
        --may-exist add-bond-iface b0 e3
        --may-exist add-bond-iface b2 e3
        add-bond-iface nosuch e9
        add-bond-iface b0 b2
        del-bond-iface b0 e3
        del-bond-iface b0 e3
        --if-exists del-bond-iface b0 e3
        del-bond-iface nosuch e1
        del-bond-iface b2 e1
        del-bond-iface e1
        del-bond-iface b0 e2
        del-bond-iface e2
        del-bond-iface br0
        list-ifaces br0
        del-port e5
        -- --with-iface del-port e5
        -- --with-iface del-port nosuch
        -- --if-exists --with-iface del-port nosuch
        -- --with-iface del-port br0 e2
        list-ifaces br0
        """,
    "external ids": r"""
        add-br br0
        br-set-external-id br0 k1 v1 -- br-set-external-id br0 k2 'v 2'
        br-set-external-id br0 k1 other
        br-get-external-id br0 k1
        br-get-external-id br0 nosuch
        br-get-external-id br0
        br-set-external-id br0 k1
        br-set-external-id br0 nosuch
        br-get-external-id br0
        br-set-external-id nosuch a b
        br-get-external-id nosuch
        br-set-external-id br0
        get bridge br0 external-ids
        """,
    "controllers": r"""
        add-br br0
        get-controller br0
        set-controller br0 tcp:1.2.3.4:6653 ssl:5.6.7.8
        get-controller br0
        set-controller br0 foo:bar
        get-controller br0
        set-controller br0 foo
        set-controller br0
        get-controller br0
        --inactivity-probe=30000 set-controller br0 ptcp:
        get controller br0 inactivity_probe target
        -- --inactivity-probe=x set-controller br0 ptcp:
        del-controller br0
        del-controller br0
        get-controller br0
        get-controller nosuch
        set-controller nosuch tcp:1.2.3.4
        get-fail-mode br0
        set-fail-mode br0 secure
        get-fail-mode br0
        set-fail-mode br0 wrong
        set-fail-mode br0
        del-fail-mode br0
        get-fail-mode br0
        get-manager
        set-manager ptcp:6640 tcp:1.2.3.4
        get-manager
        set-manager wrong:6640
        --inactivity-probe=5000 set-manager punix:DIR/x
        get-manager
        set-manager ptcp:6640 ptcp:6640
        del-manager
        get-manager
        get-ssl
        set-ssl key cert
        set-ssl key cert ca
        get-ssl
        --bootstrap set-ssl key2 cert2 ca2
        get-ssl
        del-ssl
        del-ssl
        get-ssl
        """,
    "auto attach": r"""
        add-br br0
        get-aa-mapping br0
        add-aa-mapping br0 1 2
        add-aa-mapping br0 30 4
        add-aa-mapping br0 1 5
        get-aa-mapping br0
        add-aa-mapping br0 x 5
        add-aa-mapping br0 5 x
        add-aa-mapping br0 16777216 1
        add-aa-mapping br0 5
        get autoattach br0 mappings
        del-aa-mapping br0 1 3
        del-aa-mapping br0 1 2
        del-aa-mapping br0 x 2
        get-aa-mapping br0
        get-aa-mapping nosuch
        """,
    "zones": r"""
        list-dp-cap netdev
        list-zone-tp netdev
        add-zone-tp netdev zone=1 tcp_syn_sent=5
        -- --id=@d create Datapath datapath_version=1 capabilities:a=b capabilities:c="d e" -- set Open_vSwitch . datapaths:netdev=@d
        list-dp-cap netdev
        add-zone-tp netdev zone=1 tcp_syn_sent=5 icmp_first=3
        add-zone-tp netdev zone=1 tcp_syn_sent=5
        --may-exist add-zone-tp netdev zone=1 tcp_syn_sent=6
        add-zone-tp netdev zone=2
        add-zone-tp netdev zone=3 foo=1
        add-zone-tp netdev zone=4 icmp_first
        add-zone-tp netdev zone=70000 icmp_first=1
        add-zone-tp netdev zone=7 icmp_first=1 icmp_first=2 udp_single=9
        list-zone-tp netdev
        del-zone-tp netdev zone=2
        del-zone-tp nosuch zone=2
        --if-exists del-zone-tp netdev zone=2
        del-zone-tp netdev zone=1
        del-zone-tp netdev
        list-zone-tp netdev
        list-zone-tp
        """,
    "values": r"""
        add-br br0 -- add-port br0 p1
        set bridge br0 'other_config:a\,b=1'
        get bridge br0 other_config
        set bridge br0 'other_config={"a b"=c, d = "e f"}'
        get bridge br0 other_config
        set bridge br0 'other_config:a"b c"d=x"y'
        set bridge br0 'other_config:k=x y"z'
        get bridge br0 other_config
        set bridge br0 'other_config=k=x y"z'
        set bridge br0 'other_config=k=xx\'
        set bridge br0 'other_config=k=x\x'
        set bridge br0 'other_config=a=b,,c=d'
        set bridge br0 'other_config=a=b c=d,'
        get bridge br0 other_config
        set bridge br0 'other_config=[a=b]'
        set bridge br0 'other_config={a=b,a=c}'
        set bridge br0 'other_config={a=b'
        set bridge br0 'other_config={a=b}}'
        set bridge br0 'other_config=a'
        set bridge br0 'other_config=a,b=c'
        set bridge br0 'other_config=a={b}'
        set bridge br0 flood_vlans=1,,2
        set bridge br0 'flood_vlans=[1,2'
        set bridge br0 'flood_vlans=[1,2]x'
        set bridge br0 'flood_vlans=[1,2] '
        set bridge br0 'flood_vlans=1]'
        set bridge br0 'flood_vlans=1 2 3'
        set bridge br0 'flood_vlans=[1 2:3]'
        set bridge br0 flood_vlans=1-3,7
        get bridge br0 flood_vlans
        set bridge br0 flood_vlans=9-3
        set bridge br0 flood_vlans=3-3
        set bridge br0 flood_vlans=-3
        set bridge br0 flood_vlans=1--3
        set bridge br0 flood_vlans=1-1000000
        set bridge br0 flood_vlans=4090-5000
        set bridge br0 flood_vlans=5000
        set bridge br0 flood_vlans=1,1
        set bridge br0 flood_vlans=1-3,2
        set bridge br0 flood_vlans=abc
        set bridge br0 flood_vlans=1x
        set bridge br0 flood_vlans=-
        set bridge br0 flood_vlans=1-
        set bridge br0 flood_vlans=[]
        get bridge br0 flood_vlans
        set interface p1 mtu_request=0
        set interface p1 mtu_request=-5-3
        set interface p1 mtu_request=9223372036854775808
        set interface p1 ofport_request=1-3
        set interface p1 cfm_mpid=1-4097
        set interface p1 cfm_mpid=1-4096
        set interface p1 cfm_mpid=+5
        get interface p1 cfm_mpid
        set interface p1 'cfm_mpid= 6'
        set interface p1 cfm_mpid=0x10
        set interface p1 cfm_mpid=-9223372036854775808
        get interface p1 cfm_mpid
        set port p1 interfaces=[]
        set bridge br0 'fail_mode=[standalone,secure]'
        set bridge br0 fail_mode=a,b
        set bridge br0 datapath_type=a,b
        set bridge br0 datapath_type=[]
        set bridge br0 datapath_type={}
        set bridge br0 other_config=[]
        set bridge br0 other_config:a:b=c
        set bridge br0 stp_enable:a=true
        set bridge br0 stp_enable=foo
        set bridge br0 stp_enable=yes rstp_enable=1 mcast_snooping_enable=on
        get bridge br0 stp_enable rstp_enable mcast_snooping_enable
        set bridge br0 stp_enable=no rstp_enable=0 mcast_snooping_enable=off
        get bridge br0 stp_enable rstp_enable mcast_snooping_enable
        set bridge br0 ':=3'
        set bridge br0 '=3'
        set bridge br0 'external_ids:=3'
        set bridge br0 'external_ids:""=3'
        set bridge br0 'external_ids:"x=3'
        set bridge br0 'external_ids:x="'
        set bridge br0 'external_ids:x="a\q"'
        set bridge br0 'external_ids:x='
        set bridge br0 'external_ids:x=""'
        get bridge br0 external_ids
        get bridge br0 external_ids:
        get bridge br0 'external_ids:a,b'
        get bridge br0 'external_ids:a=b'
        get bridge br0 'external_ids x'
        set bridge br0 'datapath_type="'
        set bridge br0 'datapath_type='
        set bridge br0 'datapath_type=""'
        set bridge br0 'datapath_type=a b'
        set bridge br0 'datapath_type="a b"'
        get bridge br0 datapath_type
        set bridge br0 'datapath_type=a"b'
        set bridge br0 datapath_type=true
        get bridge br0 datapath_type
        set bridge br0 datapath_type=12
        get bridge br0 datapath_type
        set bridge br0 datapath_type=12345678-1234-1234-1234-1234567890ab
        get bridge br0 datapath_type
        set bridge br0 datapath_type=_a-b.c9
        get bridge br0 datapath_type
        set bridge br0 datapath_type=a/b
        get bridge br0 datapath_type
        set bridge br0 'datapath_type="\ud800"'
        set bridge br0 'datapath_type="\ud83d\ude00"'
        get bridge br0 datapath_type
        set bridge br0 'datapath_type="\ud83d\u0020"'
        set bridge br0 'datapath_type="\u0000"'
        set bridge br0 'datapath_type="a\tb\u0001\u007f/\b\f\n\r\\\""'
        get bridge br0 datapath_type
        set bridge br0 'datapath_type="\u12"'
        set bridge br0 'datapath_type="\uzzzz"'
        set bridge br0 'datapath_type="é"'
        get bridge br0 datapath_type
        add bridge br0 flood_vlans ' '
        add bridge br0 flood_vlans '[ ]'
        remove bridge br0 other_config ''
        add bridge br0 other_config ''
        find bridge 'stp_enable= '
        set bridge br0 'flood_vlans= '
        set bridge br0 'other_config= a=b '
        set bridge br0 flow_tables:x=y
        set bridge br0 flow_tables=x=y
        set bridge br0 flow_tables:1-3=y
        set bridge br0 flow_tables=1=y
        set bridge br0 flow_tables=300=y
        set bridge br0 protocols=OpenFlow17
        set bridge br0 protocols=OpenFlow10,OpenFlow15
        get bridge br0 protocols
        set bridge br0 controller=abc
        set bridge br0 controller=@a
        set bridge br0 controller=12345678-1234-1234-1234-1234567890ab
        """,
    "get and set": r"""
        add-br br0 -- add-port br0 p1
        get bridge br0
        get bridge . name
        get port . name
        get qos . type
        list ssl .
        get bridge br0 name _uuid -uuid _UUID datapath-type Ports external_ids
        get bri br0 na
        get BRIDGE br0 NAME
        get nosuch br0 name
        get i br0 name
        get interface br0 c
        get interface br0 cfm
        get interface br0 link
        get interface br0 nosuch
        get interface br0 ''
        get bridge nosuch name
        --if-exists get bridge nosuch name
        --if-exists get bridge br0 other_config:nosuch
        get bridge br0 other_config:nosuch
        get bridge br0 name:key
        get bridge br0 statistics
        -- --id=@x --if-exists get bridge br0 name
        -- --id=x get bridge br0 name
        -- --id=@x get bridge br0 name -- --id=@x get bridge br0 name
        -- --id=@x get bridge br0 -- set port p1 external_ids:uuid=@x
        get port p1 external_ids
        set bridge br0
        set bridge br0 name
        set bridge br0 name=
        set bridge br0 name=other
        set bridge br0 datapath-type=netdev fail-mode=secure other-config:a=b other-config:c=d
        get bridge br0 datapath_type fail_mode other_config
        set bridge br0 other_config:a=x -- set bridge br0 other_config:a=y other_config:e=f
        get bridge br0 other_config
        set bridge br0 other_config={} -- set bridge br0 other_config:z=1 -- get bridge br0 other_config
        set bridge br0 other_config:q=1 -- set bridge br0 other_config={r=2}
        get bridge br0 other_config
        set bridge br0 other_config:r=2
        set bridge nosuch stp_enable=true
        --if-exists set bridge nosuch stp_enable=true
        set bridge br0 nosuch=true
        set bridge br0 'stp_enable<true'
        set open . external_ids:system-id=abc
        set open_vswitch . other_config:x=y
        get open . external_ids other_config:x
        get open_vswitch nosuch external_ids
        get Open_vSwitch br0 external_ids
        add bridge br0 flood_vlans 5 6 -- add bridge br0 flood_vlans 7,8
        add bridge br0 flood_vlans 5
        get bridge br0 flood_vlans
        add bridge br0 flood_vlans 5000
        add bridge br0 flood_vlans
        add bridge br0 flood_vlans []
        add bridge br0 other_config a=b c=d
        add bridge br0 other_config a=c
        get bridge br0 other_config
        add bridge br0 other_config a
        add bridge br0 stp_enable true
        add bridge br0 stp_enable false
        add bridge br0 fail_mode standalone
        add bridge br0 name x
        add bridge br0 nosuch x
        add bridge nosuch other_config a=b
        --if-exists add bridge nosuch other_config a=b
        remove bridge br0 flood_vlans 5
        remove bridge br0 flood_vlans 6,7
        remove bridge br0 flood_vlans 99
        remove bridge br0 flood_vlans x
        get bridge br0 flood_vlans
        remove bridge br0 other_config a
        remove bridge br0 other_config c=wrong
        remove bridge br0 other_config c=d
        remove bridge br0 other_config nosuch
        remove bridge br0 other_config 'x y'
        remove bridge br0 other_config 'x{'
        get bridge br0 other_config
        remove bridge br0 fail_mode secure
        get bridge br0 fail_mode
        remove bridge br0 stp_enable false
        remove bridge br0 name br0
        remove bridge nosuch other_config a
        --if-exists remove bridge nosuch other_config a
        clear bridge br0 other_config flood-vlans
        clear bridge br0 stp_enable
        clear bridge br0 name
        clear bridge br0
        clear bridge nosuch other_config
        --if-exists clear bridge nosuch other_config
        clear bridge br0 nosuch
        get bridge br0 other_config flood_vlans
        """,
    "list and find": r"""
        add-br br0 -- add-port br0 p1 tag=5 -- add-port br0 p2 tag=6 trunks=1,2,3
        --columns=name,tag list port p1
        --columns=name,tag list port p1 p2 p1
        --columns=name,nosuch list port p1
        --columns= list port
        --columns=, list port
        --columns=name,,tag list port p1
        --columns='tag name,_uuid' list port p1
        list port nosuch
        --if-exists list port nosuch
        --if-exists --columns=name list port p1 nosuch p2
        list nosuch
        list
        list bridge br0
        list port p1
        list interface p1
        list Open_vSwitch
        list QoS
        ~--columns=name list interface
        --columns=name find port tag=5
        --columns=name find port tag=5,6
        --columns=name find port tag:x=5
        --columns=name find port nosuch=5
        --columns=name find port tag
        --columns=name find port 'tag<6' 'name=p1'
        ~--columns=name find port 'tag<=5'
        --columns=name find port 'tag>5'
        ~--columns=name find port 'tag>=5'
        ~--columns=name find port 'tag!=5'
        ~--columns=name find port 'tag=[]'
        --columns=name find port 'trunks{=}1,2,3'
        ~--columns=name find port 'trunks{!=}1,2,3'
        ~--columns=name find port 'trunks{<=}1,2,3'
        ~--columns=name find port 'trunks{<}1,2,3'
        --columns=name find port 'trunks{>=}1,2'
        --columns=name find port 'trunks{>}1,2'
        --columns=name find port 'trunks{>}1,2,3'
        ~--columns=name find port 'trunks{in}1,2,3,4'
        ~--columns=name find port 'trunks{not-in}3,4'
        ~--columns=name find port 'tag{in}5,6,7'
        ~--columns=name find port 'name{in}p1,p2'
        --columns=name find port 'trunks{'
        --columns=name find port 'trunks=1-3'
        ~--columns=name find port 'trunks<1,2,4'
        ~--columns=name find port 'trunks<1,2,4' name!=br0
        set port p1 other_config:a=1 -- set port p2 other_config:a=2 other_config:b=3
        --columns=name find port other_config:a=1
        --columns=name find port 'other_config:a!=1'
        --columns=name find port 'other_config:b!=1'
        ~--columns=name find port 'other_config:b{!=}1'
        ~--columns=name find port 'other_config:a{=}1'
        ~--columns=name find port 'other_config:a{in}1,2'
        ~--columns=name find port 'other_config:a{not-in}1,3'
        --columns=name find port 'other_config:a>1'
        --columns=name find port 'other_config{>=}a=1'
        --columns=name find port 'other_config={a=2,b=3}'
        --columns=name find port 'other_config=a'
        --columns=name find port 'other_config:a=1,2'
        --columns=name find port 'name=p1' 'tag=5'
        ~--columns=name find port
        find
        -f table --columns=name,tag,trunks,other_config find port name=p2
        -f csv --columns=name,tag,trunks,other_config find port name=p2
        -f json --columns=name,tag,trunks,other_config find port name=p2
        -f html --columns=name,tag,trunks,other_config,interfaces,_uuid find port name=p2
        --bare --columns=name,tag,trunks,other_config find port name=p2
        -d bare -f table --columns=name,tag,trunks,other_config find port name=p2
        -d json -f list --columns=name,tag,trunks,other_config find port name=p2
        -d json -f csv --columns=name,tag,trunks,other_config find port name=p2
        -f json --pretty --columns=name,tag,trunks,other_config find port name=p2
        -f table --no-headings --columns=name,tag find port name=p2
        -f csv --no-headings --columns=name,tag find port name=p2
        -f list --no-headings --columns=name,tag find port name=p2
        -f html --no-headings --columns=name,tag find port name=p2
        --no-heading --format=csv --data=bare --columns=name find port name=p2
        -f table --max-column-width=4 --columns=name,tag,trunks,other_config find port name=p2
        -f table --max-column-width=0 --columns=name,trunks find port name=p2
        -f table --columns=name find port name=nosuch
        -f json --columns=name find port name=nosuch
        -f list --columns=name list port p1 -- --columns=name list port p2 -- get port p1 tag
        -f table --columns=name list port p1 -- get port p1 tag -- --columns=name list port p2
        -f csv --columns=name list port p1 -- --columns=name list port p2
        -f html --columns=name list port p1 -- --columns=name list port p2
        -f json --columns=name list port p1 -- --columns=name list port p2
        --oneline get port p1 name tag -- list-br -- --columns=name list port p1 -- comment x
        --oneline init
        --oneline get port p2 name other_config -- list-ports br0
        set port p1 'external_ids:x="a\\b\nc,\"d\""'
        -f csv --columns=external_ids list port p1
        -f csv -d bare --columns=external_ids list port p1
        -f table -d bare --columns=external_ids list port p1
        --oneline get port p1 external_ids:x
        """,
    "records": r"""
        add-br br0 -- add-port br0 p1
        -- --id=@q create QoS type=linux-htb queues:0=@q0 queues:1=@q1 -- --id=@q0 create Queue other-config:min-rate=1 -- --id=@q1 create Queue dscp=5 -- set port p1 qos=@q
        get qos p1 type
        get qos br0 type
        --columns=type,other_config list qos p1
        create QoS type=x
        create Bridge name=x
        create QoS
        create QoS nosuch=1
        create nosuch a=b
        -- --id=q create QoS type=x
        -- --id=@q create QoS type=x -- --id=@q create QoS type=y
        -- --id=@b create Bridge name=br9
        -- --id=@m create Mirror name=m0 -- --id=@p get port p1 -- set bridge br0 mirrors=@m -- set mirror m0 select-all=true
        -- --id=@m create Mirror name=m1 output_port=@p -- --id=@p get port p1 -- add bridge br0 mirrors @m
        -- --id=@p get port p1 -- --id=@m create Mirror name=m1 output_port=@p -- add bridge br0 mirrors @m
        get mirror m0 name select_all
        -- --id=@rec get Mirror m0 -- remove bridge br0 mirrors @rec
        -- --id=@nf create NetFlow 'targets="192.168.0.34:5566"' active-timeout=30 -- set bridge br0 netflow=@nf
        set NetFlow br0 active_timeout=60
        get netflow br0 targets active_timeout
        clear Bridge br0 netflow
        get netflow br0 targets
        -- --id=@s create sFlow agent=eth1 'target="10.0.0.1:6343"' header=128 sampling=64 polling=10 -- set Bridge br0 sflow=@s
        get sflow br0 agent
        -- --id=@i create IPFIX 'targets="192.168.0.34:4739"' obs_domain_id=123 -- set Bridge br0 ipfix=@i
        get ipfix br0 obs_domain_id
        -- --id=@ft create Flow_Table name=ft flow_limit=100 overflow_policy=refuse 'groups="NXM_OF_IN_PORT[]"' -- set Bridge br0 flow_tables=0=@ft
        get flow_table ft flow_limit groups
        get bridge br0 flow_tables:0
        -- --id=@c create Controller 'target="tcp:1.2.3.4:6653"' max_backoff=1000 -- set bridge br0 controller=[@c] other_config:datapath-id=0000000000000001 fail_mode=secure
        get controller br0 target max_backoff
        -- --id=@c create Controller target=x max_backoff=5 -- set bridge br0 controller=@c
        -- --id=@f create Flow_Sample_Collector_Set id=7 bridge=@b -- --id=@b get bridge br0
        -- --id=@b get bridge br0 -- --id=@f create Flow_Sample_Collector_Set id=7 bridge=@b
        get flow_sample 7 id
        get flow_sample 8 id
        get flow_sample x id
        set-manager ptcp:1
        get manager ptcp:1 target
        destroy QoS
        -- --all destroy QoS x
        -- --all --if-exists destroy QoS
        destroy QoS nosuch
        --if-exists destroy QoS nosuch
        destroy QoS p1 -- clear port p1 qos
        -- --all destroy Queue
        --columns=dscp list queue
        destroy Flow_Sample_Collector_Set 7
        destroy Bridge br0
        list-br
        del-br br0
        """,
    "chosen uuid": r"""
        -- --id=12345678-1234-1234-1234-1234567890ab create QoS type=x
        get qos 12345678-1234-1234-1234-1234567890ab type
        get qos 1234 type
        get qos 12345678-1234-1234-1234-1234567890AB type
        get qos 123 type
        get qos 12345678-x type
        -- --id=12345678-1234-1234-1234-1234567890ac create QoS type=y
        get qos 1234 type
        get qos 12345678-1234-1234-1234-1234567890ac type
        """,
    "warnings": r"""
        add-br br0
        -- --id=@q create Mirror name=x
        -- --id=@q create Queue dscp=1
        -- --id=@m create Mirror name=x output_port=@p -- --id=@p create Port name=p -- set bridge br0 mirrors=@m
        create Mirror name=y
        """,
    "wait-until": r"""
        add-br br0
        wait-until bridge br0
        wait-until bridge br0 stp_enable=false
        wait-until bridge br0 stp_enable=false -- get bridge br0 name
        wait-until bridge br0 nosuch=1
        wait-until nosuch br0
        -t 1 wait-until bridge br0 stp_enable=true
        -t 1 wait-until bridge br1
        """,
    "emer-reset": r"""
        add-br br0 -- add-port br0 p1 -- set-manager ptcp:1 -- set-ssl a b c -- set-controller br0 tcp:1.2.3.4
        set bridge br0 other_config:hwaddr=aa:bb:cc:dd:ee:ff other_config:x=y fail_mode=secure flood_vlans=5 external_ids:a=b
        set port p1 other_config:a=b -- set interface p1 ingress_policing_rate=5 ingress_policing_burst=6 other_config:a=b
        -- --id=@m create Mirror name=m0 -- set bridge br0 mirrors=@m
        emer-reset
        ~show
        emer-reset x
        """,
    "syntax": r"""
        .
        foo
        --foo
        -x
        --db
        -t
        -t x show
        -t 0 show
        -t -5 show
        --n show
        --no-wait=3 show
        --help=3
        --retry=3 list-br
        --db=foo:bar show
        --db=unix:/nonexistent show
        --db=unix:/nonexistent,unix:/nonexistent list-br
        --db=unix:/nonexistent,unix:DIR/db.sock list-br
        --db=unix:DIR/db.sock list-br
        --db=unix:db.sock list-br
        --db= list-br
        -f foo show
        -d foo list Bridge
        -vfoo:bar show
        -vPATTERN:foo:x list-br
        -vFACILITY:foo list-br
        -vconsole:file:warn list-br
        -vwarn:dbg list-br
        -vvsctl:jsonrpc:off list-br
        -vconsole:off destroy QoS
        -vconsole:err destroy QoS
        -vANY:off list-br
        --verb=warn list-br
        --log-file=/nonexistent/x show
        --log-file=DIR/x.log list-br
        --if-exists --if-exists show
        -- --if-exists --if-exists show
        --may-exist show
        -- --id create Bridge
        -- --id= create QoS type=x
        -- --may-exist=3 add-br br0
        -- --foo add-br br0
        --may-exist
        --may-exist -- add-br br0
        --
        -- --
        list-br -- -- list-br
        show x
        show -x
        list-br x
        list-br -- foo
        list-br -- add-br
        --db=ssl:127.0.0.1:1 list-br
        --i set bridge br0
        --re list-br
        --may add-br br0
        --dry-run add-br br5 -- list-br
        list-br
        --dry-run -- --id=@q create QoS type=x
        --no-syslog list-br
        --no-leader-only --no-shuffle-remotes list-br
        comment
        comment a b c
        -h -V -t
        """,
    "management software": r"""
        init -- set Open_vSwitch . db-version=8.8.0
        -- set Open_vSwitch . ovs-version=4.0.90 external-ids:system-id="abc" external-ids:rundir="/x" system-type="debian" system-version="12"
        --timeout=5 -- --may-exist add-br ovsbr0
        --timeout=5 -- --if-exists del-port vnet0 -- add-port ovsbr0 vnet0 vlan_mode=native-untagged tag=7 trunk=1,2,3 -- set Interface vnet0 'external-ids:attached-mac="52:54:00:11:22:33"' -- set Interface vnet0 'external-ids:iface-id="12345678-1234-1234-1234-1234567890ab"' -- set Interface vnet0 'external-ids:vm-id="abcdefab-1234-1234-1234-1234567890ab"' -- set Interface vnet0 external-ids:iface-status=active
        --timeout=5 get Interface vnet0 external_ids:PortData
        --timeout=5 set Interface vnet0 external_ids:PortData=abc=
        --timeout=5 get Interface vnet0 external_ids:PortData
        --timeout=5 --format=list --data=json --no-headings --columns=statistics list Interface vnet0
        --timeout=5 -- --if-exists del-port vnet0
        -t 5 add-br br1 -- set bridge br1 external-ids:a=b
        -t 5 br-to-parent br1
        -t 5 br-to-vlan br1
        -t 5 get-fail-mode br1
        -t 5 set-fail-mode br1 secure
        -t 5 br-get-external-id br1
        -t 5 add-port br1 p1 tag=5 -- set Interface p1 type=internal
        -t 5 get Port p1 tag
        -t 5 get Port p1 external_ids
        -t 5 remove port p1 external_ids k
        -t 5 list Port p1
        --timeout=5 -- --fake-iface add-bond br1 bond0 e0 e1 bond_mode=active-backup
        --timeout=5 -- --may-exist add-br fake br1 9 -- set Interface fake type=internal
        --timeout=15 --no-heading --format=csv --data=bare --columns=name find Interface type=internal external_ids:x=y
        --timeout=15 --if-exists get interface p1 mac_in_use
        --timeout=15 --may-exist add-br br2 -- set Bridge br2 fail_mode=secure -- set Interface br2 mtu_request=1400
        --timeout=15 port-to-br p1
        -- --id=@c1 create Controller target=\"tcp:127.0.0.1:6653\" max_backoff=1000 -- --id=@c2 create Controller target=\"ptcp:6654\" max_backoff=1000 -- --if-exists del-br s1 -- add-br s1 -- set bridge s1 controller=[@c1,@c2] other_config:datapath-id=0000000000000001 fail_mode=secure other-config:disable-in-band=true protocols=OpenFlow13 stp_enable=false other-config:dp-desc=s1 -- add-port s1 s1-eth1 -- set Interface s1-eth1 ofport_request=1 -- add-port s1 s1-eth2 -- set Interface s1-eth2 ofport_request=2
        get-controller s1
        -- get Bridge s1 fail_mode
        --if-exists del-br s1
        -- --all destroy QoS -- --all destroy Queue
        list-br
        """,
    "refusals": r"""
        add-br br0
        add-br br1
        set-controller br1 tcp:127.0.0.1
        -- --id=@n create netflow 'targets="1.2.3.4:567"' -- set bridge br0 netflow=@n
        list interx x
        list bridge x
        get bridge br1 "datapath_id:x"
        get bridge br1 "datapath_id=x"
        get b br0 flow_tables
        -vreconnect:emer --db=unix:db.sock -- list-br
        set b br0 flood_vlans=-1
        set b br0 flood_vlans=4096
        set c br1 connection-mode=xyz
        set c br1 connection-mode:x=y
        set b br1 datapath_id:y>=z
        set b br1 'datapath_id:y>=z'
        wait-until b br1 datapath_id:y,z
        add b br1 datapath_id x y
        add b br1 datapath_id x
        add b br1 datapath_id y
        add b br1 datapath_id x
        get b br1 datapath_id
        remove n br0 targets '"1.2.3.4:567"'
        remove n br0 targets '"1.2.3.4:567"' '"5.6.7.8:9"'
        clear n br0 targets
        destroy b br2
        add in br1 name x
        set port br1 name br2
        set port br1 name=br2
        remove bridge br1 name br1
        remove bridge br1 name br2
        add bridge br1 ports x
        add bridge br1 ports @x
        add bridge br1 flood_vlans 1 2 3 2
        add bridge br1 flood_vlans 1-3,5
        get bridge br1 flood_vlans
        add bridge br1 protocols OpenFlow10,OpenFlow11
        add bridge br1 protocols OpenFlow10 OpenFlow99
        get bridge br1 protocols
        add bridge br1 flow_tables 1=2
        add bridge br1 other_config a=b c=d -- add bridge br1 other_config a=e -- get bridge br1 other_config
        add bridge br1 other_config a=x -- add bridge br1 other_config a=y g=h
        get bridge br1 other_config
        add b br1 datapath_id x y -- list-br
        add bridge br1 stp_enable true -- list-br
        add bridge br1 other_config n=1 -- add bridge br1 other_config n=2
        get bridge br1 other_config
        get bridge br1 other_config
        set bridge br1 other_config:a=1 -- remove bridge br1 other_config a -- get bridge br1 other_config
        get bridge br1 other_config
        add bridge br1 flood_vlans 7 -- remove bridge br1 flood_vlans 7 1 -- get bridge br1 flood_vlans
        get bridge br1 flood_vlans
        set bridge br1 flood_vlans=9 -- add bridge br1 flood_vlans 8 -- get bridge br1 flood_vlans
        get bridge br1 flood_vlans
        add bridge br1 flood_vlans 4 -- set bridge br1 flood_vlans=3 -- get bridge br1 flood_vlans
        get bridge br1 flood_vlans
        clear bridge br1 flood_vlans -- add bridge br1 flood_vlans 2
        get bridge br1 flood_vlans
        set bridge br1 other_config:x=1 -- clear bridge br1 other_config
        get bridge br1 other_config
        clear bridge br1 other_config -- set bridge br1 other_config:x=1
        get bridge br1 other_config
        set bridge br1 other_config:x=2 other_config:x=3
        get bridge br1 other_config
        -- --id=@p create port name=pp interfaces=@i -- --id=@i create interface name=pp -- add bridge br1 ports @p -- add port pp trunks 1 2 -- set port pp other_config:a=b
        get port pp trunks other_config
        """,
    "mistakes of the database": r"""
        add-br br0 -- add-port br0 p1
        -- --id=@p create port name=p9 -- add bridge br0 ports @p
        set interface p1 options:remote_ip=flow type=vxlan -- add port p1 interfaces 12345678-1234-1234-1234-1234567890ab
        clear open . bridges -- list-br
        list-br
        """,
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Make pairs of servers; all are stopped at the end."""
    made = []

    def make() -> Pair:
        made.append(Pair(tmp_path_factory.mktemp("pair")))
        return made[-1]
    yield make
    for pair in made:
        pair.stop()


def script_lines(script: str) -> list[str]:
    return [line.strip() for line in script.strip().splitlines() if line.strip()]


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_has_the_same_effect(name: str, pairs) -> None:
    pair = pairs()
    failures = []
    for line in script_lines(SCRIPTS[name]):
        is_sorted = line.startswith("~")
        argv = shlex.split(line.lstrip("~"))
        if not {"-h", "-V"} & set(argv):
            argv.insert(0, "--no-wait")
        if argv == ["--no-wait", "."]:
            argv.pop()
        if argv[0] == "-h":
            continue
        try:
            pair.compare("ovs-vsctl", main, argv, is_sorted)
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n\n".join(failures)
    pair.compare_databases()
