"""A learning switch on os-ken that asks its switch for everything; run as a program by the tests.

usage: controller_app.py VERSION PORT     VERSION: 1 (OpenFlow 1.0) or 4 (OpenFlow 1.3)

Listens on 127.0.0.1:PORT and prints a line per message of the switch, without what differs from run
to run (times, addresses that are made up), so that two switches can be compared.
"""

import re
import sys

from os_ken import cfg
from os_ken.base import app_manager
from os_ken.controller import handler, ofp_event
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_0, ofproto_v1_3

VERSION = int(sys.argv[1]) if len(sys.argv) == 3 else 4
BOTH = [handler.CONFIG_DISPATCHER, handler.MAIN_DISPATCHER]
REPLIES = ("BarrierReply", "GetConfigReply", "ErrorMsg", "FlowRemoved",
           "QueueGetConfigReply", "DescStatsReply", "FlowStatsReply", "AggregateStatsReply",
           "TableStatsReply", "PortStatsReply", "QueueStatsReply", "RoleReply", "GetAsyncReply",
           "PortDescStatsReply", "GroupStatsReply", "GroupDescStatsReply",
           "GroupFeaturesStatsReply", "MeterStatsReply", "MeterConfigStatsReply",
           "MeterFeaturesStatsReply")


def describe(message) -> str:
    """The content of a message on one line."""
    text = re.sub(r"^version=.*?,xid=0x[0-9a-f]+,?", "", str(message))
    text = re.sub(r"(duration_n?sec|[rt]x_dropped|[rt]x_errors|rx_\w+_err|collisions)=\d+", r"\1=N",
                  text)
    return re.sub(r"'?aa:55:aa:55:00:\w\w'?", "MAC", text)


def tell(line: str) -> None:
    print(line, flush=True)


class LearningSwitch(app_manager.OSKenApp):
    """Learns addresses; each known pair gets a flow that tells of its end."""

    OFP_VERSIONS = [ofproto_v1_0.OFP_VERSION if VERSION == 1 else ofproto_v1_3.OFP_VERSION]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ports = {}

    @handler.set_ev_cls([getattr(ofp_event, f"EventOFP{name}") for name in REPLIES], BOTH)
    def show(self, event):
        tell(f"{type(event).__name__.removeprefix('EventOFP')}: {describe(event.msg)}")

    @handler.set_ev_cls(ofp_event.EventOFPPortStatus, BOTH)
    def note(self, event):
        desc, reason = event.msg.desc, event.msg.reason
        what = ("added", "deleted", f"config={desc.config}")[reason]
        tell(f"PortStatus: {what} {desc.port_no} {desc.name} {desc.hw_addr}")

    @handler.set_ev_cls(ofp_event.EventOFPSwitchFeatures, handler.CONFIG_DISPATCHER)
    def ask(self, event):
        datapath = event.msg.datapath
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        tell(f"SwitchFeatures: {describe(event.msg)}")
        for request in self.requests(datapath, parser, proto):
            datapath.send_msg(request)

    def requests(self, datapath, parser, proto):
        """One of each kind of request, a flow for unknown packets, a barrier."""
        yield parser.OFPGetConfigRequest(datapath)
        yield parser.OFPSetConfig(datapath, proto.OFPC_FRAG_NORMAL, 128)
        yield parser.OFPDescStatsRequest(datapath, 0)
        if VERSION == 1:
            yield parser.OFPTableStatsRequest(datapath, 0)
            yield parser.OFPPortStatsRequest(datapath, 0, proto.OFPP_NONE)
            yield parser.OFPQueueStatsRequest(datapath, 0, proto.OFPP_ALL, proto.OFPQ_ALL)
            yield parser.OFPQueueGetConfigRequest(datapath, 1)
            every = parser.OFPMatch()
            yield parser.OFPFlowStatsRequest(datapath, 0, every, 0xff, proto.OFPP_NONE)
            yield parser.OFPAggregateStatsRequest(datapath, 0, every, 0xff, proto.OFPP_NONE)
        else:
            yield parser.OFPTableStatsRequest(datapath, 0)
            yield parser.OFPPortStatsRequest(datapath, 0, proto.OFPP_ANY)
            yield parser.OFPPortDescStatsRequest(datapath, 0)
            yield parser.OFPQueueStatsRequest(datapath, 0, proto.OFPP_ANY, proto.OFPQ_ALL)
            yield parser.OFPQueueGetConfigRequest(datapath, proto.OFPP_ANY)
            yield parser.OFPFlowStatsRequest(datapath)
            yield parser.OFPAggregateStatsRequest(datapath, 0, proto.OFPTT_ALL, proto.OFPP_ANY,
                                                  proto.OFPG_ANY, 0, 0, parser.OFPMatch())
            yield parser.OFPRoleRequest(datapath, proto.OFPCR_ROLE_NOCHANGE, 0)
            yield parser.OFPRoleRequest(datapath, proto.OFPCR_ROLE_MASTER, 1)
            yield parser.OFPGetAsyncRequest(datapath)
            yield parser.OFPSetAsync(datapath, [3, 0], [7, 7], [15, 0])
            yield parser.OFPGetAsyncRequest(datapath)
            yield parser.OFPGroupFeaturesStatsRequest(datapath, 0)
            bucket = parser.OFPBucket(actions=[parser.OFPActionOutput(2)])
            yield parser.OFPGroupMod(datapath, proto.OFPGC_ADD, proto.OFPGT_ALL, 7, [bucket])
            yield parser.OFPGroupDescStatsRequest(datapath, 0)
            yield parser.OFPGroupStatsRequest(datapath, 0, proto.OFPG_ALL)
            yield parser.OFPMeterFeaturesStatsRequest(datapath, 0)
            yield parser.OFPMeterStatsRequest(datapath, 0, proto.OFPM_ALL)
            yield parser.OFPMeterConfigStatsRequest(datapath, 0, proto.OFPM_ALL)
        yield self.flow(datapath, 0, parser.OFPMatch(), proto.OFPP_CONTROLLER, 0)
        yield parser.OFPBarrierRequest(datapath)

    @staticmethod
    def flow(datapath, priority, match, port, flags):
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        actions = [parser.OFPActionOutput(port, 0xffff)]
        if VERSION == 1:
            return parser.OFPFlowMod(datapath, match, 5, proto.OFPFC_ADD, priority=priority,
                                     flags=flags, actions=actions)
        return parser.OFPFlowMod(
            datapath, cookie=5, priority=priority, match=match, flags=flags, instructions=[
                parser.OFPInstructionActions(proto.OFPIT_APPLY_ACTIONS, actions)])

    @handler.set_ev_cls(ofp_event.EventOFPPacketIn, handler.MAIN_DISPATCHER)
    def learn(self, event):
        message = event.msg
        datapath = message.datapath
        parser, proto = datapath.ofproto_parser, datapath.ofproto
        in_port = message.in_port if VERSION == 1 else message.match["in_port"]
        frame = packet.Packet(message.data).get_protocols(ethernet.ethernet)[0]
        where = "" if VERSION == 1 else f" table {message.table_id} cookie {message.cookie}"
        tell(f"PacketIn: port {in_port} reason {message.reason} of {message.total_len}{where} "
             f"{frame.src}>{frame.dst} {len(message.data)}")
        self.ports[frame.src] = in_port
        out = self.ports.get(frame.dst, proto.OFPP_FLOOD)
        if out != proto.OFPP_FLOOD:
            names = ({"dl_src": frame.src, "dl_dst": frame.dst} if VERSION == 1 else
                     {"eth_src": frame.src, "eth_dst": frame.dst})
            datapath.send_msg(self.flow(datapath, 1, parser.OFPMatch(in_port=in_port, **names), out,
                                        proto.OFPFF_SEND_FLOW_REM))
        datapath.send_msg(parser.OFPPacketOut(
            datapath=datapath, buffer_id=message.buffer_id, in_port=in_port,
            actions=[parser.OFPActionOutput(out)], data=message.data))
        datapath.send_msg(parser.OFPBarrierRequest(datapath))


def main() -> None:
    cfg.CONF(args=[], project="os_ken")
    cfg.CONF.set_override("ofp_tcp_listen_port", int(sys.argv[2]))
    cfg.CONF.set_override("ofp_listen_host", "127.0.0.1")
    manager = app_manager.AppManager.get_instance()
    manager.run_apps(["os_ken.controller.ofp_handler", __file__])


if __name__ == "__main__":
    main()
