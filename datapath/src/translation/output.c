/* output.c: outputs: to ports, across patch ports into other bridges, and to
 * OpenFlow's reserved ports.
 *
 * Part of a translation; any thread. */
#include "packet/flow.h"
#include "translation/xlate.h"

static void
output_to_patch(struct xlate *x, const struct conf_port *port, bool last)
{
    struct bridge *bridge = port->config.peer_bridge
                            ? bridge_find(port->config.peer_bridge) : NULL;
    const struct conf_port *peer
        = bridge ? conf_port(bridge_conf(bridge), port->config.peer_ofp)
        : NULL;

    if (!peer) {
        return;
    }
    struct flow old_flow = x->flow;
    struct bridge *old_bridge = x->bridge;
    const struct conf *old_conf = x->conf;
    bool old_conntracked = x->conntracked, old_was_mpls = x->was_mpls;
    bool old_in_group = x->in_group, old_in_set = x->in_action_set;
    uint32_t old_mirrors = x->mirrors;
    uint8_t tunnel_seen[offsetof(struct flow, metadata)];
    unsigned old_depth = x->trace_depth;
    struct saved_buffers saved;

    /* The peer sees a frame that has just come in, by no tunnel. */
    memcpy(tunnel_seen, x->wc, sizeof tunnel_seen);
    memset(&x->flow, 0, offsetof(struct flow, metadata));
    x->flow.metadata = 0;
    memset(x->flow.regs, 0, sizeof x->flow.regs);
    x->flow.in_port = be32_from(peer->config.ofp);
    x->flow.actset_output = be32_from(RESERVED_UNSET);
    flow_clear_conntrack(&x->flow);
    x->conntracked = false;
    x->bridge = bridge;
    x->conf = bridge_conf(bridge);
    x->in_group = x->in_action_set = false;
    if (bridge != old_bridge) {
        x->mirrors = 0;
    }
    xlate_buffers_save(x, &saved, false);
    xlate_credit_counters(x, port->tx);
    xlate_credit_counters(x, peer->rx);
    if (xlate_traced(x)) {
        xlate_report(x, TRACE_BRIDGE, bridge->handle, 0, 0, 0);
        x->trace_depth++;
    }
    if (may_receive(peer)) {
        if (peer->bundle) {
            xlate_mirror(x, peer->bundle, peer->bundle->mirrors_in);
        }
        xlate_table(x, peer->config.ofp, 0, true, true, true, last);
        if (!x->freezing) {
            xlate_action_set(x, x->action_set.data, x->action_set.size,
                             false);
        }
        xlate_finish_freezing(x, 0);
    }
    xlate_buffers_restore(x, &saved);
    x->trace_depth = old_depth;
    x->flow = old_flow;
    memcpy(x->wc, tunnel_seen, sizeof tunnel_seen);
    x->bridge = old_bridge;
    x->conf = old_conf;
    x->conntracked = old_conntracked;
    x->was_mpls = old_was_mpls;
    x->in_group = old_in_group;
    x->in_action_set = old_in_set;
    x->mirrors = old_mirrors;
    /* What happens there does not end what happens here. */
    x->exit = false;
    x->error = DROP_NONE;
}

static void
put_trunc(struct xlate *x, uint32_t max_len)
{
    if (!(x->pipeline->features & DPF_TRUNC)) {
        x->out->slow_reasons |= SLOW_ACTION;
    }
    struct action_trunc *t = actions_put(x->actions, ACTION_TRUNC, sizeof *t);

    t->max_len = max_len;
}

void
xlate_output(struct xlate *x, uint32_t ofp, uint32_t truncate, bool last)
{
    const struct conf_port *port = conf_port(x->conf, ofp);

    if (!port) {
        REPORT(x, TRACE_NO_PORT, ofp, 0, 0);
        return;
    }
    if (port->config.config & PORT_NO_FWD) {
        REPORT(x, TRACE_NO_FWD, ofp, 0, 0);
        return;
    }
    if (port->bundle && port->bundle->config.flags & BUNDLE_PROTECTED) {
        const struct conf_port *in = conf_port(x->conf,
                                               be32_to(x->flow.in_port));
        if (in && in->bundle && in->bundle->config.flags & BUNDLE_PROTECTED) {
            REPORT(x, TRACE_PROTECTED, ofp, 0, 0);
            return;
        }
    }
    if (port->config.odp == ODP_NONE) {
        output_to_patch(x, port, last);
        return;
    }
    if (x->flow.packet_type) {
        REPORT(x, TRACE_LEGACY_L2, ofp, 0, 0);
        return;
    }
    xlate_commit(x);
    if (truncate) {
        put_trunc(x, truncate);
    }
    actions_put_output(x->actions, port->config.odp);
    if (port->bundle && port->bundle->mirrors_out) {
        xlate_mirror(x, port->bundle, port->bundle->mirrors_out);
    }
}

static void
flood(struct xlate *x, bool all)
{
    const struct conf *conf = x->conf;
    uint32_t in_port = be32_to(x->flow.in_port);

    for (uint32_t i = 0; i < conf->n_ports; i++) {
        const struct bridge_port *port
            = &conf->ports[conf->flood_order[i]].config;
        if (port->ofp != in_port && (all || !(port->config & PORT_NO_FLOOD))) {
            xlate_output(x, port->ofp, 0, false);
        }
    }
}

void
xlate_output_action(struct xlate *x, uint32_t port, uint32_t max_len,
                    bool may_packet_in, bool last)
{
    uint32_t in_port = be32_to(x->flow.in_port);

    switch (port) {
    case RESERVED_IN_PORT:
        xlate_output(x, in_port, 0, last);
        break;
    case RESERVED_TABLE:
        xlate_table(x, in_port, 0, may_packet_in, true, false, last);
        break;
    case RESERVED_NORMAL:
        xlate_normal(x);
        break;
    case RESERVED_FLOOD:
        flood(x, false);
        break;
    case RESERVED_ALL:
        flood(x, true);
        break;
    case RESERVED_CONTROLLER:
        xlate_packet_in(x, max_len, x->in->program && !xlate_traced(x)
                        ? REASON_PACKET_OUT
                        : x->in_group ? REASON_GROUP
                        : x->in_action_set ? REASON_ACTION_SET : REASON_ACTION,
                        0, 0, NULL, 0);
        break;
    case RESERVED_NONE:
        break;
    default:
        if (port != in_port) {
            xlate_output(x, port, 0, last);
        } else {
            REPORT(x, TRACE_TO_INPUT, port, 0, 0);
        }
        break;
    }
}

void
xlate_output_trunc(struct xlate *x, const struct op_output_trunc *op,
                   bool last)
{
    const struct conf_port *port = conf_port(x->conf, op->port);

    if (op->port == be32_to(x->flow.in_port)) {
        REPORT(x, TRACE_TO_INPUT, op->port, 0, 0);
    } else if (!port || port->config.odp == ODP_NONE) {
        REPORT(x, TRACE_NO_TRUNCATION, op->port, 0, 0);
    } else {
        put_trunc(x, op->max_len);
        xlate_output_action(x, op->port, 0, false, last);
    }
}
