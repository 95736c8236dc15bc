"""THE DROP REASONS: why a frame can disappear, declared once.

The C enum `drop_reason`, the counters of `coverage/show` (`drop_action_*`, `datapath_drop_*`) and
the texts of `dpctl/show` and trace are derived from this table. A frame that vanishes without
counting one of these is a bug. The number of a row is its position.

Source: names of ovs-vswitchd's coverage counters where the reference has one. Any thread.
"""

from typing import NamedTuple


class Drop(NamedTuple):
    """A reason: `name` (C enumerator DROP_<NAME>), `counter` (coverage name), `meaning`."""

    name: str
    counter: str
    meaning: str


DROPS: tuple[Drop, ...] = (
    Drop("none", "", "not dropped"),
    Drop("rule", "drop_action_of_pipeline", "the OpenFlow pipeline's result is to drop"),
    Drop("bridge_not_found", "drop_action_bridge_not_found", "the input port is in no bridge"),
    Drop("recursion", "drop_action_recursion_too_deep", "resubmit or patch depth limit"),
    Drop("resubmits", "drop_action_too_many_resubmit", "too many resubmits in one translation"),
    Drop("stack", "drop_action_stack_too_deep", "the pipeline's stack holds too much"),
    Drop("no_recirculation", "drop_action_no_recirculation_context",
         "the recirculation id names no frozen state"),
    Drop("recirculation_conflict", "drop_action_recirculation_conflict",
         "frozen state does not fit the frame"),
    Drop("mpls_depth", "drop_action_too_many_mpls_labels", "too many MPLS labels"),
    Drop("tunnel_metadata", "drop_action_invalid_tunnel_metadata", "invalid tunnel metadata"),
    Drop("unsupported_type", "drop_action_unsupported_packet_type", "packet type not supported"),
    Drop("congestion", "drop_action_congestion", "ECN mismatch at decapsulation"),
    Drop("forwarding_disabled", "drop_action_forwarding_disabled", "forwarding is off at the port"),
    Drop("unsupported", "datapath_drop_unsupported",
         "the action is translated but this version cannot execute it"),
    Drop("malformed", "drop_malformed", "shorter or other than its headers claim"),
    Drop("upcall_error", "datapath_drop_upcall_error", "translation failed"),
    Drop("lock_error", "datapath_drop_lock_error", "a lock could not be had"),
    Drop("meter", "datapath_drop_meter", "a meter's band"),
    Drop("userspace", "datapath_drop_userspace_action_error", "upcall with an error"),
    Drop("queue_full", "datapath_drop_upcall_queue_full", "an upcall queue was full"),
    Drop("invalid_port", "datapath_drop_invalid_port", "output to a port that does not exist"),
    Drop("depth", "datapath_drop_recirc_error", "recirculated too often"),
    Drop("too_big", "datapath_drop_tx_too_big", "larger than the egress port's MTU"),
    Drop("port_down", "datapath_drop_port_down", "the port is administratively down"),
    Drop("tx_full", "datapath_drop_tx_full", "the port's transmit queue was full"),
    Drop("tx_error", "datapath_drop_tx_error", "the port's device refused the frame"),
    Drop("rx_invalid", "datapath_drop_rx_invalid_packet", "an invalid frame was received"),
    Drop("nsh_decap", "datapath_drop_nsh_decap_error", "NSH header cannot be removed"),
    Drop("sample", "datapath_drop_sample_error", "sample action failed"),
    Drop("hw_miss", "datapath_drop_hw_miss_postprocess", "offload could not be undone"),
    Drop("share", "datapath_drop_port_share", "the port used up its share of worker time"),
    Drop("inject_full", "datapath_drop_inject_full", "an inject ring was full"),
)
