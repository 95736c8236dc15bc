"""TRACE EVENTS: what a translation can tell of itself, declared once.

The C enum `trace_kind` and the text of `ofproto/trace` (`vswitchd/trace.py`) are derived from this
table. An event is (kind, depth, source, rule, four arguments); `depth` is its place in the tree.
In a text, `{N}` is argument N in decimal, `{N:x}` in hexadecimal, `{N:mac}` an Ethernet address,
`{N:reserved}` an OpenFlow port's number or reserved name, `{N:bundle}` the name of the Port with
that bundle id, `{N:watched}` the port << 32 | group (-1: none) that a bucket watches, `{N:bridge}`
the name of a bridge, `{N:field}` a match field. `{rule}` is the match and priority of the event's
rule, `{action}` its source action, `{subfield}` and `{value}` the bits
{field, offset << 16 | bits, high, low} in the arguments, `{members}` the actions of the `member`
events that follow, `{learned}` the flow in the `part` events that follow.

Source: ofproto/trace as seen of the reference. Rows of `Node.ERROR` come last: they are also
logged when a real packet meets them. Any thread; nothing changes after import.
"""

from enum import Enum
from typing import NamedTuple


class Node(Enum):
    """How a line is set: what stands before it and whether others hang below it."""

    BRIDGE = "bridge"
    TABLE = "table"
    THAW = "thaw"
    ACTION = "action"
    BUCKET = "bucket"
    DETAIL = "detail"
    WARN = "warn"
    ERROR = "error"
    HIDDEN = "hidden"


class Trace(NamedTuple):
    """A kind of event: C enumerator TRACE_<NAME>, its `node` and its text."""

    name: str
    node: Node
    text: str


def _rows(node: Node, text: str) -> tuple[Trace, ...]:
    return tuple(Trace(line.split(None, 1)[0], node, line.split(None, 1)[1])
                 for line in text.strip().splitlines())


TRACES: tuple[Trace, ...] = (
    Trace("bridge", Node.BRIDGE, 'bridge("{0:bridge}")'),
    Trace("table", Node.TABLE, "{0:2d}. {rule}"),
    Trace("no_match", Node.TABLE, "{0:2d}. No match."),
    Trace("packet_in", Node.TABLE, '{0:2d}. No match, and a "packet-in" is called for.'),
    Trace("drop_frags", Node.TABLE,
          '{0:2d}. Packets are IP fragments and the fragment handling mode is "drop".'),
    Trace("foreign_miss", Node.TABLE, "{0:2d}. reg0={1:#x}, priority 0"),
    Trace("action_set", Node.TABLE, "--. Executing action set:"),
    Trace("thaw", Node.THAW, "thaw"),
    Trace("resume", Node.THAW, "Resuming from table {0}"),
    Trace("restore_actions", Node.THAW, "Restoring actions: {members}"),
    Trace("restore_set", Node.THAW, "Restoring action set: {members}"),
    Trace("restored", Node.THAW, "restored state: table={0}, cookie={1:#x}"),
    Trace("action", Node.ACTION, "{action}"),
    Trace("drop", Node.ACTION, "drop"),
    Trace("member", Node.ACTION, "{action}"),
    Trace("unroll_member", Node.ACTION, "unroll_xlate(table={0}, cookie={1:#x})"),
    # Word 0 (in memory order) of what is learned is 1: value and mask of the match, then ops.
    Trace("part", Node.HIDDEN, "{0} {1}"),
    Trace("unroll", Node.ACTION, "unroll_xlate(table={0}, cookie={1:#x})"),
    Trace("miss_controller", Node.ACTION, "controller(reason=)"),
    Trace("encap_ethernet_refused", Node.ACTION,
          "Dropping packet as encap(ethernet) is not supported for packet type ethernet."),
    Trace("encap_nsh_refused", Node.ACTION,
          "Dropping packet as encap(nsh) is not supported for packet type ({0},{1:#x})"),
    Trace("decap_vlan", Node.ACTION, "Dropping packet, cannot decap Ethernet if VLAN is present."),
    Trace("decap_next", Node.ACTION, "Dropping packet as NSH next protocol {0} is not supported"),
    Trace("decap_refused", Node.ACTION,
          "Dropping packet as the decap() does not support packet type ({0},{1:#x})"),
    # 1: handle of the bridge << 32 | number of the group; 2: place of the bucket, from 1.
    Trace("bucket", Node.BUCKET, "bucket {0}"),
    # The frame will come back with recirculation id 0 from connection tracking in zone 1; the
    # 64-bit words 0 of struct flow that differ from the first flow's are then 1 (memory order).
    Trace("recirculates", Node.HIDDEN, "{0} {1}"),
    Trace("word", Node.HIDDEN, "{0} {1}"),
    # Its address would be translated: flags of op_nat | family << 8 | lowest port << 16, lowest
    # address in two 64-bit words (IPv4: the high half of the first one).
    Trace("nat", Node.HIDDEN, "{0} {1} {2}"),
    *_rows(Node.DETAIL, """
        learned learned that {0:mac} is on port {1:bundle} in VLAN {2}
        flooding no learned MAC for destination, flooding
        forwarding forwarding to learned port
        input_is_output learned port is input port, dropping
        reserved_multicast packet has reserved destination MAC, dropping
        bond_refused bonding refused admissibility, dropping
        slb_loop SLB bond thinks this packet looped back, dropping
        no_fwd OFPPC_NO_FWD set, skipping output
        bucket_score bucket {0}: score {1}
        bucket_dead bucket {0}: not live due to {1:watched}
        using_bucket using bucket {0}
        no_bucket no live bucket
        ct_fork A clone of the packet is forked to recirculate. The forked pipeline will be """
          """resumed at table {0}.
        ct_cleared Sets the packet to an untracked state, and clears all the conntrack fields.
        is_now {subfield} is now {value}
        output_port output port is {0}
        queue queue = {0:#x}
        deleted delete {0:field}
        action_set_is action set is: {members}
        action_set_was action set was: {members}
        action_set_is_empty action set is empty
        action_set_was_empty action set was empty
        learns {learned}
        learn_failed Limit exceeded, learn failed
        mirror_ports_off mirror truncate to ODPP_NONE, skipping output"""),
    *_rows(Node.WARN, """
        learn_ignored suppressing side effects, so learn action ignored
        no_port Nonexistent output port
        port_too_large output port {0} is out of range
        to_input skipping output to input port
        no_group output to nonexistent group {0}
        no_bundle no input bundle, dropping
        partial_tag partial VLAN tag, dropping
        mirror_input input port is mirror output port, dropping
        vlan_refused disallowed VLAN VID for this input port, dropping
        unknown_bundle learned port is unknown, dropping
        protected Flow is between protected ports, skipping output.
        ttl_exception IPv{0} decrement TTL exception
        mpls_ttl_exception MPLS decrement TTL exception
        nsh_ttl_exception NSH decrement TTL exception
        legacy_l2 Trying to send non-Ethernet packet through legacy L2 port. Dropping packet.
        prerequisites unmet prerequisites for {0:field}, set_field ignored"""),
    *_rows(Node.ERROR, """
        access_tagged dropping VLAN {0} tagged packet received on port {1:bundle} configured as """
          """VLAN {2} access port
        not_trunked dropping VLAN {0} packet received on port {1:bundle} not configured for """
          """trunking VLAN {0}
        cvlan_refused dropping VLAN {0} packet received on dot1q-tunnel port {1:bundle} that """
          """excludes this VLAN
        mirror_reserved dropping packet received on port {0:bundle}, which is reserved """
          """exclusively for mirroring
        partial_tag_packet dropping packet with partial VLAN tag received on port {0:bundle}
        port_unknown received packet on unknown port {0}
        depth over max translation depth {0}
        resubmits over {0} resubmit actions
        too_many_actions resubmits yielded over 64 kB of actions
        stack_too_deep resubmits yielded over 64 kB of stack
        no_frozen Recirculation context not found for ID {0:x}
        frozen_bridge Frozen bridge no longer exists.
        no_truncation output_trunc does not support patch port {0:reserved}
        mpls_full dropping packet on which an MPLS push action can't be performed as it would """
          """have more MPLS LSEs than the {0} supported.
        mpls_pop dropping packet on which an MPLS pop action can't be performed as it has more """
          """MPLS LSEs than the {0} supported.
        stack_empty stack underflow
        resubmit_untracked resubmit(ct) with non-tracked or non-IP packet!
        no_clone Failed to compose clone action"""),
)

TRACE: dict[str, int] = {trace.name: number for number, trace in enumerate(TRACES, 1)}
