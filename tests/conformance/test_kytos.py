"""python-openflow, the library of the controller Kytos, talks with our switch in OpenFlow 1.0, 1.3.

Each request is packed by it, and each answer unpacked by it and packed again: the same bytes.
"""

import importlib
import socket
from importlib.util import find_spec

import pytest

from tests.differential.switches import Switch
from tests.system.network import wait

pytestmark = pytest.mark.skipif(find_spec("pyof") is None,
                                reason="python-openflow is not installed")

HELLO, FLOW_REMOVED, CONTROLLER_10, CONTROLLER_13 = 0, 11, 0xFFFD, 0xFFFFFFFD
ALL, NO_BUFFER = 0xFFFFFFFF, 0xFFFFFFFF
FRAME = ("in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0806),"
         "arp(sip=1.1.1.1,tip=2.2.2.2,op=1,sha=50:54:00:00:00:09,tha=00:00:00:00:00:00)")


class Peer:
    """A controller's end of a connection, in a version as the library names it."""

    def __init__(self, port: int, version: str) -> None:
        self.version = version
        self._socket = socket.create_connection(("127.0.0.1", port), 5)
        self._unpack = self.load("common.utils", "unpack_message")
        self._xid = 100

    def load(self, module: str, name: str):
        """A class of the library."""
        return getattr(importlib.import_module(f"pyof.{self.version}.{module}"), name)

    def send(self, message) -> int:
        self._xid += 1
        message.header.xid = self._xid
        self._socket.sendall(message.pack())
        return self._xid

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            assert part, "the switch hung up"
            data += part
        return data

    def receive(self):
        """The next message that is no flow's end."""
        while True:
            header = self._read(8)
            data = header + self._read(int.from_bytes(header[2:4], "big") - 8)
            message = self._unpack(data)
            if header[1] == FLOW_REMOVED:
                continue
            assert header[1] == HELLO or message.pack() == data
            return message

    def ask(self, message):
        """The answer to a request."""
        xid = self.send(message)
        answer = self.receive()
        assert int(answer.header.xid) == xid
        return answer

    def settle(self) -> None:
        """Has the switch do what it was told."""
        self.ask(self.load("controller2switch.barrier_request", "BarrierRequest")())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def switch(tmp_path):
    found = Switch(tmp_path / "switch", real=False, our_tools=True)
    try:
        assert found.run(
            "ovs-vsctl add-br br0 -- set bridge br0 datapath_type=dummy "
            "other-config:hwaddr=aa:55:aa:55:00:01 -- set-controller br0 ptcp:0:127.0.0.1 "
            "-- add-port br0 p1 -- set interface p1 type=dummy ofport_request=1 "
            "-- add-port br0 p2 -- set interface p2 type=dummy ofport_request=2") == ""
        yield found
    finally:
        found.close()


def port_of(switch: Switch) -> int:
    """Where the switch listens for controllers."""
    log = switch.directory / "ovs-vswitchd.log"
    line = wait(lambda: next((line for line in log.read_text().splitlines()
                              if "listening on port" in line), None))
    return int(line.rpartition(" ")[2])


def greet(peer: Peer, n_ports: int | None) -> None:
    """What every controller does first."""
    peer.send(peer.load("symmetric.hello", "Hello")())
    peer.receive()
    features = peer.ask(peer.load("controller2switch.features_request", "FeaturesRequest")())
    assert str(features.datapath_id) == "00:00:aa:55:aa:55:00:01" and features.n_tables == 254
    assert n_ports is None or len(features.ports) == n_ports
    peer.send(peer.load("controller2switch.set_config", "SetConfig")(flags=0, miss_send_len=128))
    config = peer.ask(peer.load("controller2switch.get_config_request", "GetConfigRequest")())
    assert config.miss_send_len == 128


def exchange_packets(peer: Peer, switch: Switch, flow_mod, output) -> None:
    """What no other flow matches comes to the controller, and leaves by port 2."""
    peer.send(flow_mod)
    peer.settle()
    assert switch.run(f"ovs-appctl netdev-dummy/receive p1 '{FRAME}'") == ""
    packet = peer.receive()
    assert type(packet).__name__ == "PacketIn" and len(packet.data.value) == 42
    peer.send(peer.load("controller2switch.packet_out", "PacketOut")(
        buffer_id=NO_BUFFER, in_port=CONTROLLER_13 if peer.version == "v0x04" else CONTROLLER_10,
        actions=[output(port=2)], data=packet.data.value))
    peer.settle()
    assert "tx pkts=1, bytes=42" in switch.run("ovs-ofctl dump-ports br0 p2")


def test_openflow_10(switch) -> None:
    peer = Peer(port_of(switch), "v0x01")
    try:
        greet(peer, 3)
        flow_mod = peer.load("controller2switch.flow_mod", "FlowMod")
        match = peer.load("common.flow_match", "Match")
        output, vlan = (peer.load("common.action", name)
                        for name in ("ActionOutput", "ActionVlanVid"))
        peer.send(flow_mod(match=match(in_port=1, dl_type=0x800, nw_src="10.0.0.1"), cookie=5,
                           command=0, priority=7, out_port=0xFFFF, buffer_id=NO_BUFFER,
                           actions=[vlan(vlan_id=5), output(port=2)]))
        peer.settle()
        assert ("cookie=0x5, priority=7,ip,in_port=1,nw_src=10.0.0.1 "
                "actions=mod_vlan_vid:5,output:2") in switch.run(
                    "ovs-ofctl --no-stats dump-flows br0")
        module = "controller2switch.common"
        request = peer.load("controller2switch.stats_request", "StatsRequest")
        asked = ((0, b""), (3, b""), (4, peer.load(module, "PortStatsRequest")(port_no=0xFFFF)),
                 (5, peer.load(module, "QueueStatsRequest")(port_no=0xFFFC, queue_id=ALL)),
                 *((kind, peer.load(module, name)(match=match(), table_id=0xFF, out_port=0xFFFF))
                   for kind, name in ((1, "FlowStatsRequest"), (2, "AggregateStatsRequest"))))
        for kind, body in asked:
            answer = peer.ask(request(body_type=kind, flags=0, body=body))
            assert int(answer.body_type) == kind
        exchange_packets(peer, switch, flow_mod(
            match=match(), command=0, priority=1, out_port=0xFFFF, buffer_id=NO_BUFFER,
            actions=[output(port=CONTROLLER_10, max_length=128)]), output)
    finally:
        peer.close()


def test_openflow_13(switch) -> None:
    peer = Peer(port_of(switch), "v0x04")
    try:
        greet(peer, None)
        flow_mod = peer.load("controller2switch.flow_mod", "FlowMod")
        match, field, number = (peer.load("common.flow_match", name)
                                for name in ("Match", "OxmTLV", "OxmOfbMatchField"))
        apply, goto = (peer.load("common.flow_instructions", name)
                       for name in ("InstructionApplyAction", "InstructionGotoTable"))
        output, set_field = (peer.load("common.action", name)
                             for name in ("ActionOutput", "ActionSetField"))
        wanted = match(match_type=1)
        for name, value, has_mask in (("IN_PORT", "00000001", False), ("ETH_TYPE", "0800", False),
                                      ("IPV4_SRC", "0a000000ff000000", True)):
            wanted.oxm_match_fields.append(field(
                oxm_field=number[f"OFPXMT_OFB_{name}"], oxm_hasmask=has_mask,
                oxm_value=bytes.fromhex(value)))
        anyone = {"out_port": ALL, "out_group": ALL, "buffer_id": NO_BUFFER, "table_id": 0}
        added = flow_mod(command=0, match=wanted, priority=7, cookie=0x55, **anyone)
        target = field(oxm_field=number.OFPXMT_OFB_ETH_DST, oxm_value=bytes(range(1, 7)))
        added.instructions.append(apply(actions=[set_field(field=target), output(port=2)]))
        added.instructions.append(goto(table_id=3))
        peer.send(added)
        peer.settle()
        assert ("cookie=0x55, send_flow_rem priority=7,ip,in_port=1,nw_src=10.0.0.0/8 "
                "actions=set_field:01:02:03:04:05:06->eth_dst,output:2,goto_table:3"
                ) in switch.run("ovs-ofctl -OOpenFlow13 --no-stats dump-flows br0")
        module = "controller2switch.multipart_request"
        request = peer.load(module, "MultipartRequest")
        bodies = {1: ("FlowStatsRequest", {"match": match()}), 4: ("PortStatsRequest",
                                                                   {"port_no": ALL}),
                  2: ("AggregateStatsRequest", {"match": match()}), 5: ("QueueStatsRequest", {}),
                  6: ("GroupStatsRequest", {"group_id": 0xFFFFFFFC})}
        for kind in (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 13):
            name, words = bodies.get(kind, ("", {}))
            body = peer.load(module, name)(**words) if name else b""
            answer = peer.ask(request(multipart_type=kind, flags=0, body=body))
            assert int(answer.multipart_type) == kind
        role = peer.ask(peer.load("controller2switch.role_request", "RoleRequest")(
            role=1, generation_id=0))
        assert int(role.role) == 1
        to_us = flow_mod(match=match(), command=0, priority=1, **anyone)
        to_us.instructions.append(apply(actions=[output(port=CONTROLLER_13, max_length=0xFFFF)]))
        exchange_packets(peer, switch, to_us, output)
    finally:
        peer.close()
