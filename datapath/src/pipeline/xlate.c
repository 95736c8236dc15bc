/* xlate.c: turns a flow into datapath actions: tables, ops, outputs, frozen
 * states.
 *
 * What.  pipeline_translate() follows a flow through the tables of its bridge
 * (and across patch ports into others), changes its copy of the flow as the
 * ops say, and at each output commits the changes so far as set actions.
 * Every bit of the flow that a decision depended on is added to the mask.
 *
 * Limits and reports are the reference's.  Any thread inside an epoch. */
#include "base/upcall.h"
#include "packet/flow.h"
#include "pipeline/xlate.h"

#define MASK_ALL(X, MEMBER) \
    memset(&(X)->wc->MEMBER, 0xff, sizeof (X)->wc->MEMBER)

#define MAX_MPLS 3

struct stack_entry {            /* A value pushed, right adjusted. */
    uint8_t value[16];
    uint64_t n_bits;
};

/* Trace. */

void
xlate_report(struct xlate *x, enum trace_kind kind, uint64_t a, uint64_t b,
             uint64_t c, uint64_t d)
{
    struct trace_sink *sink = x->in->trace;

    if (sink->n < sink->max) {
        struct trace_event *e = &sink->events[sink->n];
        e->kind = kind;
        e->depth = x->trace_depth;
        e->source = x->source;
        e->rule = x->rule_handle;
        e->arguments[0] = a;
        e->arguments[1] = b;
        e->arguments[2] = c;
        e->arguments[3] = d;
    }
    sink->n++;
}

void
xlate_complain(struct xlate *x, enum trace_kind kind, uint64_t a, uint64_t b,
               uint64_t c)
{
    struct trace_event event = { .kind = kind, .arguments = { a, b, c } };
    struct upcall_record record = {
        .kind = UPCALL_LOG, .reason = LOG_TRANSLATE, .dp = x->pipeline->dp,
        .bridge = x->bridge->handle, .ofp = be32_to(x->first.in_port),
        .when_ms = x->in->now_ms,
    };
    struct upcall_part flow = { &x->first, sizeof x->first };
    struct upcall_part data = { &event, sizeof event };

    upcall_put(QUEUE_LOG, &record, flow, data,
               (struct upcall_part) { NULL, 0 });
}

/* Credits. */

struct credit *
xlate_credit(struct xlate *x, enum credit_kind kind, void *object)
{
    if (x->n_credits == x->allocated_credits) {
        uint32_t n = x->allocated_credits * 2;
        if (x->credits == x->credit_room) {
            x->credits = xmalloc(n * sizeof *x->credits);
            memcpy(x->credits, x->credit_room, sizeof x->credit_room);
        } else {
            x->credits = xrealloc(x->credits, n * sizeof *x->credits);
        }
        x->allocated_credits = n;
    }
    struct credit *credit = &x->credits[x->n_credits++];
    memset(credit, 0, sizeof *credit);
    credit->kind = kind;
    credit->object = object;
    return credit;
}

static void
credit_rule(struct xlate *x, struct rule *rule)
{
    rule_ref(rule);
    xlate_credit(x, CREDIT_RULE, rule);
}

static void
credit_counters(struct xlate *x, struct counters *counters)
{
    counters_ref(counters);
    xlate_credit(x, CREDIT_COUNTERS, counters);
}

static void
credit_table(struct xlate *x, uint8_t table, bool matched)
{
    bridge_ref(x->bridge);
    xlate_credit(x, matched ? CREDIT_MATCHED : CREDIT_MISSED,
                 x->bridge)->table = table;
}

static void
credit_release(struct pipeline *p, struct credit *c)
{
    switch ((enum credit_kind) c->kind) {
    case CREDIT_RULE:
    case CREDIT_FIN_TIMEOUT:
        rule_unref(c->object);
        break;
    case CREDIT_MATCHED:
    case CREDIT_MISSED:
    case CREDIT_MAC:
        bridge_unref(c->object);
        break;
    case CREDIT_COUNTERS:
        counters_unref(c->object);
        break;
    case CREDIT_GROUP:
        group_unref(c->object);
        break;
    case CREDIT_FROZEN:
        frozen_unref(p, c->object);
        break;
    case CREDIT_LEARN:
        learned_unref(c->object);
        break;
    }
}

void
credits_unref(struct credits *credits)
{
    if (credits
        && !__atomic_sub_fetch(&credits->refs, 1, __ATOMIC_ACQ_REL)) {
        for (uint32_t i = 0; i < credits->n; i++) {
            credit_release(credits->pipeline, &credits->entries[i]);
        }
        free(credits);
    }
}

void
credits_settle(struct credits *credits, uint64_t n_packets, uint64_t n_bytes,
               int64_t used_ms, uint16_t tcp_flags)
{
    if (!credits || !n_packets) {
        return;
    }
    for (uint32_t i = 0; i < credits->n; i++) {
        struct credit *c = &credits->entries[i];
        switch ((enum credit_kind) c->kind) {
        case CREDIT_RULE:
            counters_add(((struct rule *) c->object)->counters, n_packets,
                         n_bytes, used_ms);
            break;
        case CREDIT_MATCHED:
        case CREDIT_MISSED: {
            struct table *t = &((struct bridge *) c->object)->tables[c->table];
            __atomic_add_fetch(c->kind == CREDIT_MATCHED ? &t->n_matched
                               : &t->n_missed, n_packets, __ATOMIC_RELAXED);
            break;
        }
        case CREDIT_COUNTERS:
            counters_add(c->object, n_packets, n_bytes, used_ms);
            break;
        case CREDIT_GROUP:
            counters_add(((struct group *) c->object)->counters, n_packets,
                         n_bytes, used_ms);
            break;
        case CREDIT_MAC: {
            struct bridge *bridge = c->object;
            if (!__atomic_load_n(&bridge->dead, __ATOMIC_RELAXED)
                && mac_learn(&bridge->macs, bridge_conf(bridge), c->mac,
                             c->vlan, c->bundle, c->table & 1, c->table & 2,
                             true, used_ms)) {
                pipeline_changed(bridge->pipeline);
            }
            break;
        }
        case CREDIT_FIN_TIMEOUT:
            if (tcp_flags & 5) {        /* FIN or RST. */
                struct rule *rule = c->object;
                rule_shorten(credits->pipeline, rule, c->vlan, c->bundle);
            }
            break;
        case CREDIT_LEARN:
            learn_later(credits->pipeline, c->object);
            break;
        case CREDIT_FROZEN:
            break;
        }
    }
}

/* Freezing. */

void
xlate_freeze(struct xlate *x)
{
    x->exit = true;
    x->freezing = true;
}

void
flow_clear_conntrack(struct flow *flow)
{
    flow->ct_state = 0;
    flow->ct_zone = 0;
    flow->ct_mark = 0;
    memset(flow->ct_label, 0, sizeof flow->ct_label);
    flow->ct_nw_proto = 0;
    flow->ct_nw_src = flow->ct_nw_dst = 0;
    flow->ct_tp_src = flow->ct_tp_dst = 0;
    memset(flow->ct_ipv6_src, 0, sizeof flow->ct_ipv6_src);
    memset(flow->ct_ipv6_dst, 0, sizeof flow->ct_ipv6_dst);
}

/* Makes the state of the translation a frozen one with 'ops' to go on with;
 * the megaflow's credits keep it. */
static struct frozen *
freeze_state(struct xlate *x, uint8_t table, const struct buffer *ops,
             const void *userdata, uint32_t userdata_size, bool for_packet_in)
{
    struct frozen template;
    uint8_t *bytes;

    memset(&template, 0, sizeof template);
    template.bridge = x->bridge->handle;
    template.table = table;
    /* What resumes knows its port; a packet-in does not. */
    template.for_packet_in = for_packet_in
        && conf_port(bridge_conf(x->first_bridge), be32_to(x->first.in_port));
    template.conntracked = x->conntracked;
    template.mirrors = x->mirrors;
    template.cookie = x->cookie;
    frozen_save(&template, &x->flow);
    template.stack_size = x->stack.size;
    template.action_set_size = x->action_set.size;
    template.ops_size = ops ? ops->size : 0;
    template.userdata_size = userdata_size;
    bytes = xzalloc(frozen_bytes_size(&template) + 1);
    uint8_t *at = bytes;
    if (x->stack.size) {
        memcpy(at, x->stack.data, x->stack.size);
    }
    at += ROUND_UP(x->stack.size, 8);
    if (x->action_set.size) {
        memcpy(at, x->action_set.data, x->action_set.size);
    }
    at += ROUND_UP(x->action_set.size, 8);
    if (template.ops_size) {
        memcpy(at, ops->data, ops->size);
    }
    at += ROUND_UP(template.ops_size, 8);
    if (userdata_size) {
        memcpy(at, userdata, userdata_size);
    }
    struct frozen *frozen = frozen_put(x->pipeline, &template, bytes);
    free(bytes);
    xlate_credit(x, CREDIT_FROZEN, frozen);
    return frozen;
}

static void
cancel_freeze(struct xlate *x)
{
    x->freezing = false;
    x->freeze_begun = false;
    x->hash_for_recirc = false;
    x->frozen_ops.size = 0;
    x->frozen_unroll = false;
    x->pause = NULL;
}

static void put_userspace(struct xlate *, const struct frozen *,
                          unsigned reason, uint16_t controller_id,
                          uint32_t max_len, uint32_t meter, uint8_t flags,
                          const void *userdata, uint32_t userdata_size);


uint32_t
xlate_finish_freezing(struct xlate *x, uint8_t table)
{
    if (!x->freezing) {
        return 0;
    }
    xlate_commit(x);
    const struct op_controller *pause = x->pause;
    uint64_t cookie = x->cookie;
    x->cookie = 0;              /* What goes on says whose it is. */
    struct frozen *frozen = freeze_state(x, table, &x->frozen_ops,
                                         pause ? pause->tail : NULL,
                                         pause ? pause->n : 0, false);
    x->cookie = cookie;
    if (pause) {
        if (x->in->learn || !xlate_traced(x)) {
            put_userspace(x, frozen, pause->reason, pause->controller_id,
                          pause->max_len, pause->meter_id,
                          USERSPACE_CONTINUATION, pause->tail, pause->n);
        }
        cancel_freeze(x);
        return frozen->id;
    }
    if (x->hash_for_recirc) {
        struct action_hash *h = actions_put(x->actions, ACTION_HASH,
                                            sizeof *h);
        h->algorithm = x->hash_algorithm;
        h->basis = x->hash_basis;
    }
    struct action_recirc *r = actions_put(x->actions, ACTION_RECIRC,
                                          sizeof *r);
    r->id = frozen->id;
    cancel_freeze(x);
    return frozen->id;
}

/* Appends an op_unroll for the rule or bucket whose ops run. */
static void
put_unroll(struct xlate *x, struct buffer *ops, uint16_t flags)
{
    struct op_unroll unroll = {
        .head = { .code = OP_UNROLL, .size = sizeof unroll,
                  .source = UINT16_MAX, .flags = flags },
        .rule = x->rule_handle, .cookie = x->cookie, .table = x->table,
        .group = x->bucket_index ? x->bucket_group + 1 : 0,
        .bucket = x->bucket_index,
    };
    buffer_put(ops, &unroll, sizeof unroll);
}

/* Tells whether what an op does depends on the table that it is in, or is told
 * with the table and cookie. */
static bool
needs_table(const struct op *op)
{
    switch (op->code) {
    case OP_OUTPUT:
    case OP_OUTPUT_REG:
    case OP_OUTPUT_TRUNC:
    case OP_CONTROLLER:
    case OP_GROUP:
    case OP_DEC_TTL:
    case OP_DEC_MPLS_TTL:
    case OP_DEC_NSH_TTL:
        return true;
    case OP_RESUBMIT:
        return ((const struct op_resubmit *) op)->table == 255;
    }
    return false;
}

/* Keeps the ops from 'op' to 'end' for when the frame comes back. */
static void
freeze_ops(struct xlate *x, const struct op *op, const struct op *end)
{
    if (op < end) {
        put_unroll(x, &x->frozen_ops, UNROLL_OWNER);
    }
    for (; op < end; op = (const void *) ((const char *) op + op->size)) {
        if (op->code == OP_NOTE || op->code == OP_CONJUNCTION) {
            continue;
        }
        if (op->code == OP_UNROLL) {
            const struct op_unroll *o = (const void *) op;
            if (!(op->flags & UNROLL_OWNER)) {
                x->frozen_unroll = true;
                x->frozen_table = o->table;
                x->frozen_cookie = o->cookie;
            }
        } else if (needs_table(op)
                   && (!x->frozen_unroll || x->frozen_table != x->table
                       || x->frozen_cookie != x->cookie)) {
            put_unroll(x, &x->frozen_ops, 0);
            x->frozen_unroll = true;
            x->frozen_table = x->table;
            x->frozen_cookie = x->cookie;
        }
        buffer_put(&x->frozen_ops, op, op->size);
    }
}

/* Packet-ins. */

/* The rule that OpenFlow calls a table-miss flow. */
static bool
is_table_miss(const struct rule *rule)
{
    return rule && !rule->cls.priority && cls_rule_is_catchall(&rule->cls);
}

/* Appends the action that sends the frame to controllers, behind the meter
 * that it has to pass, if any: 'meter', or the bridge's for packet-ins. */
static void
put_userspace(struct xlate *x, const struct frozen *frozen, unsigned reason,
              uint16_t controller_id, uint32_t max_len, uint32_t meter,
              uint8_t flags, const void *userdata, uint32_t userdata_size)
{
    uint32_t id = meter ? bridge_meter(x->bridge, meter) : METER_NONE;
    uint32_t start = 0;

    if (id == METER_NONE) {
        id = bridge_meter(x->bridge, METER_OF_CONTROLLER);
    }
    if (id != METER_NONE) {
        start = actions_begin(x->actions, ACTION_SAMPLE,
                              sizeof(struct action_sample));
        ((struct action_sample *) (void *)
         (x->actions->buffer.data + start))->probability = UINT32_MAX;
        ((struct action_meter *) actions_put(
            x->actions, ACTION_METER, sizeof(struct action_meter)))->id = id;
    }
    struct action_userspace *u = actions_put(x->actions, ACTION_USERSPACE,
                                             sizeof *u + userdata_size);
    if (u) {
        u->kind = USERSPACE_CONTROLLER;
        u->flags = flags | (xlate_traced(x) && !x->in->learn
                            ? USERSPACE_DONT_SEND : 0);
        u->reason = reason;
        u->cookie = x->cookie;
        u->recirc_id = frozen->id;
        u->controller_id = controller_id;
        u->max_len = MIN(max_len, UINT16_MAX);
        u->bridge = x->bridge->handle;
        u->ofp = be32_to(x->flow.in_port);
        u->rule = x->rule ? x->rule->handle : 0;
        u->table = frozen->table;
        u->n_data = userdata_size;
        if (userdata_size) {
            memcpy(u->data, userdata, userdata_size);
        }
    }
    if (id != METER_NONE) {
        actions_end(x->actions, start);
    }
}

/* Sends the frame to controllers; 'meter' 0: the op names none. */
static void
packet_in(struct xlate *x, uint32_t max_len, unsigned reason,
          uint16_t controller_id, uint32_t meter, const void *userdata,
          uint32_t userdata_size)
{
    xlate_commit(x);
    if (reason == REASON_ACTION && is_table_miss(x->rule)) {
        reason = REASON_EXPLICIT_MISS;
    }
    struct frozen *frozen = freeze_state(x, x->table, NULL, userdata,
                                         userdata_size, true);
    put_userspace(x, frozen, reason, controller_id, max_len, meter, 0,
                  userdata, userdata_size);
}

/* Outputs. */

/* Tells whether ops can be undone by later set actions, so that no clone is
 * needed around them. */
static bool
ops_are_reversible(const void *ops, uint32_t size)
{
    OPS_FOR_EACH (op, ops, size) {
        switch (op->code) {
        case OP_CT:
        case OP_METER:
        case OP_NAT:
        case OP_OUTPUT_TRUNC:
        case OP_ENCAP:
        case OP_DECAP:
        case OP_DEC_NSH_TTL:
            return false;
        }
    }
    return true;
}

_Static_assert(sizeof(struct action_clone) == sizeof(struct action_sample),
               "a sample that is always taken stands for clone");

/* Runs ops on a copy of the frame; only the flow's changes are undone where
 * that is enough. */
static void
run_clone(struct xlate *x, const void *ops, uint32_t size, bool last)
{
    struct flow flow = x->flow;
    bool conntracked = x->conntracked, was_mpls = x->was_mpls;
    bool encap = x->pending_encap, decap = x->pending_decap;
    bool nested = !last && !ops_are_reversible(ops, size);
    bool old_last = x->last_is_last, sampled = false;
    struct flow base;
    uint32_t start = 0, head = sizeof(struct action_clone);

    x->last_is_last = last || nested;

    if (nested) {
        uint64_t features = x->pipeline->features;
        xlate_commit(x);
        base = x->base;
        sampled = !(features & DPF_CLONE);
        if (!sampled) {
            start = actions_begin(x->actions, ACTION_CLONE, head);
        } else if (features & DPF_DEEP_SAMPLE) {
            head = sizeof(struct action_sample);
            start = actions_begin(x->actions, ACTION_SAMPLE, head);
        } else {
            REPORT(x, TRACE_NO_CLONE, 0, 0, 0);
            x->last_is_last = old_last;
            return;
        }
    }
    xlate_ops(x, ops, size, false);
    if (!x->freezing) {
        xlate_action_set(x, x->action_set.data, x->action_set.size, false);
    }
    xlate_finish_freezing(x, 0);
    if (nested) {
        if (x->actions->buffer.size == start + head) {
            x->actions->buffer.size = start;
        } else if (actions_end(x->actions, start) && sampled) {
            struct action_sample *a
                = (void *) (x->actions->buffer.data + start);
            a->probability = UINT32_MAX;
        }
        x->base = base;
    }
    x->last_is_last = old_last;
    x->conntracked = conntracked;
    x->was_mpls = was_mpls;
    x->pending_encap = encap;
    x->pending_decap = decap;
    x->flow = flow;
}

/* Gives the context a stack and action set of its own for a while. */
struct saved_buffers {
    struct buffer stack, action_set;
};

static void
buffers_save(struct xlate *x, struct saved_buffers *saved, bool copy)
{
    saved->stack = x->stack;
    saved->action_set = x->action_set;
    memset(&x->stack, 0, sizeof x->stack);
    memset(&x->action_set, 0, sizeof x->action_set);
    if (copy) {
        buffer_put(&x->stack, saved->stack.data, saved->stack.size);
        buffer_put(&x->action_set, saved->action_set.data,
                   saved->action_set.size);
    }
}

static void
buffers_restore(struct xlate *x, struct saved_buffers *saved)
{
    buffer_destroy(&x->stack);
    buffer_destroy(&x->action_set);
    x->stack = saved->stack;
    x->action_set = saved->action_set;
}

static bool run_table(struct xlate *, uint32_t in_port, uint8_t table,
                      bool may_packet_in, bool honor_miss, bool clone,
                      bool last);

static bool
may_receive(const struct conf_port *port)
{
    return !(port->config.config & PORT_NO_RECV);
}

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
    unsigned old_depth = x->trace_depth;
    struct saved_buffers saved;

    /* The peer sees a frame that has just come in. */
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
    buffers_save(x, &saved, false);
    credit_counters(x, port->tx);
    credit_counters(x, peer->rx);
    if (xlate_traced(x)) {
        xlate_report(x, TRACE_BRIDGE, bridge->handle, 0, 0, 0);
        x->trace_depth++;
    }
    if (may_receive(peer)) {
        if (peer->bundle) {
            xlate_mirror(x, peer->bundle, peer->bundle->mirrors_in);
        }
        run_table(x, peer->config.ofp, 0, true, true, true, last);
        if (!x->freezing) {
            xlate_action_set(x, x->action_set.data, x->action_set.size,
                             false);
        }
        xlate_finish_freezing(x, 0);
    }
    buffers_restore(x, &saved);
    x->trace_depth = old_depth;
    x->flow = old_flow;
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

static void
output_port(struct xlate *x, uint32_t ofp, uint32_t truncate, bool last)
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

void
xlate_output(struct xlate *x, uint32_t ofp, uint32_t truncate, bool last)
{
    output_port(x, ofp, truncate, last);
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
            output_port(x, port->ofp, 0, false);
        }
    }
}

static void
output_action(struct xlate *x, uint32_t port, uint32_t max_len,
              bool may_packet_in, bool last)
{
    uint32_t in_port = be32_to(x->flow.in_port);

    switch (port) {
    case RESERVED_IN_PORT:
        output_port(x, in_port, 0, last);
        break;
    case RESERVED_TABLE:
        run_table(x, in_port, 0, may_packet_in, true, false, last);
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
        packet_in(x, max_len, x->in->program && !xlate_traced(x)
                  ? REASON_PACKET_OUT
                  : x->in_group ? REASON_GROUP
                  : x->in_action_set ? REASON_ACTION_SET : REASON_ACTION,
                  0, 0, NULL, 0);
        break;
    case RESERVED_NONE:
        break;
    default:
        if (port != in_port) {
            output_port(x, port, 0, last);
        } else {
            REPORT(x, TRACE_TO_INPUT, port, 0, 0);
        }
        break;
    }
}

/* Tables. */

bool
xlate_may_resubmit(struct xlate *x)
{
    if (x->depth >= MAX_TRANSLATION_DEPTH) {
        REPORT(x, TRACE_DEPTH, MAX_TRANSLATION_DEPTH, 0, 0);
        x->error = DROP_RECURSION;
    } else if (x->resubmits >= MAX_RESUBMITS) {
        REPORT(x, TRACE_RESUBMITS, MAX_RESUBMITS, 0, 0);
        x->error = DROP_RESUBMITS;
    } else if (x->actions->buffer.size > 4 * UINT16_MAX) {
        REPORT(x, TRACE_TOO_MANY_ACTIONS, 0, 0, 0);
        x->exit = true;
    } else if (x->stack.size >= STACK_MAX / 8 * STACK_ENTRY) {
        REPORT(x, TRACE_STACK_TOO_DEEP, 0, 0, 0);
        x->error = DROP_STACK;
    } else {
        return true;
    }
    return false;
}


/* Looks the flow up in table '*table' (and those after it where its miss
 * configuration says so). */
static struct rule *
lookup(struct xlate *x, uint8_t *table, uint32_t in_port, bool may_packet_in,
       bool honor_miss, enum miss *miss)
{
    struct flow *flow = &x->flow;
    be16 tp_src = flow->tp_src, tp_dst = flow->tp_dst;
    be32 old_in_port = flow->in_port;
    struct rule *rule = NULL;
    uint32_t config = TABLE_MISS_DEFAULT;

    *miss = MISS_NOTHING;
    if (flow->nw_frag & 1 && is_ip(flow)) {
        if (x->conf->config.flags & BRIDGE_DROP_FRAGS) {
            *miss = MISS_FRAGMENT;
            credit_table(x, *table, true);
            return NULL;
        }
        if (!(x->conf->config.flags & BRIDGE_NX_MATCH_FRAGS)) {
            flow->tp_src = flow->tp_dst = 0;
        }
    }
    flow->in_port = be32_from(in_port);
    be16 eth_type = flow->eth_type, tci = flow->vlan0_tci;
    uint8_t seen[12 + 8];       /* Of addresses and tags. */
    if (flow->packet_type) {
        memcpy(seen, x->wc->eth_dst, 12);
        memcpy(seen + 12, &x->wc->vlan0_tpid, 8);
        /* Rules about Ethernet do not say that they are: they miss it by what
         * every Ethernet frame has. */
        flow->eth_type = 0;
        flow->vlan0_tci = CONSTANT_BE16(0xfff);
    }
    for (unsigned id = *table; id < N_TABLES; id++) {
        struct table *t = &x->bridge->tables[id];
        struct classifier *cls = __atomic_load_n(&t->cls, __ATOMIC_ACQUIRE);
        struct cls_rule *r = cls ? classifier_lookup(cls, x->version, flow,
                                                     x->wc) : NULL;
        *table = id;
        credit_table(x, id, r != NULL);
        if (r) {
            rule = CONTAINER_OF(r, struct rule, cls);
            break;
        }
        if (!honor_miss) {
            break;
        }
        config = __atomic_load_n(&t->miss, __ATOMIC_RELAXED);
        if (config != TABLE_MISS_CONTINUE || id == N_TABLES - 1) {
            break;
        }
    }
    flow->in_port = old_in_port;
    flow->eth_type = eth_type;
    flow->vlan0_tci = tci;
    if (flow->packet_type) {
        memcpy(x->wc->eth_dst, seen, 12);
        memcpy(&x->wc->vlan0_tpid, seen + 12, 8);
    }
    flow->tp_src = tp_src;
    flow->tp_dst = tp_dst;
    if (!rule && may_packet_in && config == TABLE_MISS_CONTROLLER) {
        const struct conf_port *port = conf_port(x->conf,
                                                 be32_to(old_in_port));
        if (!port || !(port->config.config & PORT_NO_PACKET_IN)) {
            *miss = MISS_PACKET_IN;
        }
    }
    return rule;
}

static void
report_table(struct xlate *x, const struct rule *rule, uint8_t table,
             enum miss miss)
{
    static const enum trace_kind kinds[] = {
        [MISS_NOTHING] = TRACE_NO_MATCH, [MISS_PACKET_IN] = TRACE_PACKET_IN,
        [MISS_FRAGMENT] = TRACE_DROP_FRAGS,
    };

    if (rule) {
        uint64_t saved = x->rule_handle;
        x->rule_handle = rule->handle;
        xlate_report(x, TRACE_TABLE, table, 0, 0, 0);
        x->rule_handle = saved;
    } else if (x->bridge != x->first_bridge) {
        /* The reference shows its own hidden rules here. */
        xlate_report(x, TRACE_FOREIGN_MISS, table,
                     miss == MISS_PACKET_IN ? 1 : miss == MISS_NOTHING ? 2 : 3,
                     0, 0);
    } else {
        xlate_report(x, kinds[miss], table, 0, 0, 0);
    }
}

/* Runs what a lookup found. */
static void
run_rule(struct xlate *x, struct rule *rule, enum miss miss, bool clone,
         bool last)
{
    struct rule *old_rule = x->rule;
    uint64_t old_handle = x->rule_handle, old_cookie = x->cookie;
    uint64_t old_group = x->bucket_group, old_bucket = x->bucket_index;
    uint32_t old_source = x->source;
    bool old_last = x->last_is_last;

    x->last_is_last = last;
    x->bucket_group = x->bucket_index = 0;
    x->rule = rule;
    x->rule_handle = rule ? rule->handle : 0;
    x->cookie = rule ? rule->cookie : 0;
    x->source = UINT32_MAX;
    if (rule) {
        credit_rule(x, rule);
        const struct program *p = rule->program;
        if (clone) {
            run_clone(x, program_ops(p), p->size, last);
        } else {
            xlate_ops(x, program_ops(p), p->size, false);
        }
    } else {
        credit_counters(x, x->bridge->unmatched[miss]);
        if (miss == MISS_PACKET_IN) {
            REPORT(x, TRACE_MISS_CONTROLLER, 0, 0, 0);
            packet_in(x, UINT16_MAX, REASON_IMPLICIT_MISS, 0, 0, NULL, 0);
        } else {
            REPORT(x, TRACE_DROP, 0, 0, 0);
        }
    }
    x->last_is_last = old_last;
    x->bucket_group = old_group;
    x->bucket_index = old_bucket;
    x->rule = old_rule;
    x->rule_handle = old_handle;
    x->cookie = old_cookie;
    x->source = old_source;
}

static bool
run_table(struct xlate *x, uint32_t in_port, uint8_t table,
          bool may_packet_in, bool honor_miss, bool clone, bool last)
{
    uint8_t old_table = x->table;
    enum miss miss;

    if (x->was_mpls) {
        xlate_freeze(x);
        return true;
    }
    if (!xlate_may_resubmit(x)) {
        return false;
    }
    unsigned depth = table <= old_table;
    unsigned old_trace_depth = x->trace_depth;
    x->table = table;
    struct rule *rule = lookup(x, &x->table, in_port, may_packet_in,
                               honor_miss, &miss);
    if (xlate_traced(x)) {
        report_table(x, rule, x->table, miss);
        x->trace_depth++;
    }
    x->resubmits++;
    x->depth += depth;
    bool in_group = x->in_group;
    x->in_group = false;        /* What a table does is no bucket's doing. */
    run_rule(x, rule, miss, clone, last);
    x->in_group = in_group;
    x->depth -= depth;
    x->trace_depth = old_trace_depth;
    x->table = old_table;
    return true;
}

/* Action sets. */

static bool
set_has(const struct op *op, const uint8_t *kinds, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (op->code == kinds[i]) {
            return true;
        }
    }
    return false;
}

/* Copies the last op of kind 'code', with its op_unroll, to 'out'. */
/* An op that says no more than an output to controllers is one. */
static bool
is_output_to_controllers(const struct op *op)
{
    const struct op_controller *o = (const void *) op;

    return op->code == OP_CONTROLLER && o->reason == REASON_ACTION
           && !o->controller_id && !o->meter_id && !o->pause && !o->n;
}

static bool
copy_last(struct buffer *out, const void *ops, uint32_t size, unsigned code)
{
    const struct op *unroll = NULL, *found = NULL, *found_unroll = NULL;

    OPS_FOR_EACH (op, ops, size) {
        if (op->code == OP_UNROLL) {
            unroll = op;
        } else if (op->code == code
                   || (code == OP_OUTPUT && is_output_to_controllers(op))) {
            found = op;
            found_unroll = unroll;
        }
    }
    if (found && found_unroll) {
        buffer_put(out, found_unroll, found_unroll->size);
    }
    if (found) {
        buffer_put(out, found, found->size);
    }
    return found != NULL;
}

/* Puts the ops of an action set into 'list' in the order that OpenFlow
 * prescribes; empty where nothing says where the frame goes. */
static void
sort_action_set(struct buffer *list, const void *ops, uint32_t size)
{
    static const uint8_t before[] = {
        OP_POP_VLAN, OP_POP_MPLS, OP_DECAP, OP_ENCAP, OP_PUSH_MPLS,
        OP_PUSH_VLAN, OP_DEC_TTL, OP_DEC_MPLS_TTL, OP_DEC_NSH_TTL,
    };
    static const uint8_t sets[] = {
        OP_SET_FIELD, OP_MOVE, OP_SET_VLAN_VID, OP_SET_VLAN_PCP,
        OP_DELETE_FIELD, OP_SET_QUEUE,
    };
    static const uint8_t finals[] = {
        OP_GROUP, OP_OUTPUT, OP_RESUBMIT, OP_CT_CLEAR, OP_CT,
    };
    const struct op *unroll = NULL;
    unsigned n = 0;

    for (unsigned i = 0; i < sizeof before; i++) {
        copy_last(list, ops, size, before[i]);
    }
    OPS_FOR_EACH (op, ops, size) {
        if (op->code == OP_UNROLL) {
            unroll = op;
        } else if (set_has(op, sets, sizeof sets)) {
            if (unroll) {
                buffer_put(list, unroll, unroll->size);
            }
            buffer_put(list, op, op->size);
        }
    }
    while (n < sizeof finals && !copy_last(list, ops, size, finals[n])) {
        n++;
    }
    if (n == sizeof finals) {
        list->size = 0;
    }
}

/* What follows stems from the rule or bucket of 'o'. */
static void
follow_owner(struct xlate *x, const struct op_unroll *o)
{
    x->rule_handle = o->rule;
    x->bucket_group = o->group ? o->group - 1 : 0;
    x->bucket_index = o->bucket;
}

/* Reports each op of a list as a member of the event before. */
static void
report_members(struct xlate *x, const void *ops, uint32_t size)
{
    uint64_t handle = x->rule_handle;
    uint64_t group = x->bucket_group, bucket = x->bucket_index;
    uint32_t old_source = x->source, source = UINT32_MAX;

    OPS_FOR_EACH (op, ops, size) {
        const struct op_unroll *unroll = (const void *) op;
        if (op->code == OP_UNROLL) {
            follow_owner(x, unroll);
            source = UINT32_MAX;
            if (!(op->flags & UNROLL_OWNER)) {
                xlate_report(x, TRACE_UNROLL_MEMBER, unroll->table,
                             unroll->cookie, 0, 0);
            }
        } else if (op->source != source) {
            x->source = source = op->source;
            xlate_report(x, TRACE_MEMBER, x->bucket_group, x->bucket_index,
                         op->code, 0);
        }
    }
    x->rule_handle = handle;
    x->bucket_group = group;
    x->bucket_index = bucket;
    x->source = old_source;
}

void
xlate_action_set(struct xlate *x, const void *ops, uint32_t size,
                 bool in_group)
{
    struct buffer list = { NULL, 0, 0 };

    sort_action_set(&list, ops, size);
    if (in_group) {
        xlate_ops(x, list.data, list.size, true);
    } else {
        x->action_set.size = 0;
        if (list.size) {
            unsigned depth = x->trace_depth;
            uint64_t handle = x->rule_handle;
            x->in_action_set = true;
            x->source = UINT32_MAX;
            if (xlate_traced(x)) {
                xlate_report(x, TRACE_ACTION_SET, 0, 0, 0, 0);
                x->trace_depth++;
            }
            xlate_ops(x, list.data, list.size, false);
            x->trace_depth = depth;
            x->rule_handle = handle;
            x->in_action_set = false;
        }
    }
    buffer_destroy(&list);
}

static void
report_action_set(struct xlate *x, enum trace_kind kind,
                  enum trace_kind empty)
{
    if (!xlate_traced(x)) {
        return;
    }
    struct buffer list = { NULL, 0, 0 };
    sort_action_set(&list, x->action_set.data, x->action_set.size);
    xlate_report(x, list.size ? kind : empty, 0, 0, 0, 0);
    report_members(x, list.data, list.size);
    buffer_destroy(&list);
}

static void
write_actions(struct xlate *x, const struct op *tail, uint32_t size)
{
    bool has_group = false;

    OPS_FOR_EACH (op, x->action_set.data, x->action_set.size) {
        has_group |= op->code == OP_GROUP;
    }
    OPS_FOR_EACH (op, tail, size) {
        if (has_group) {
            break;
        }
        if (op->code == OP_OUTPUT) {
            x->flow.actset_output = be32_from(
                ((const struct op_output *) op)->port);
        } else if (op->code == OP_GROUP) {
            x->flow.actset_output = be32_from(RESERVED_UNSET);
            has_group = true;
        }
    }
    OPS_FOR_EACH (op, tail, size) {
        put_unroll(x, &x->action_set, UNROLL_OWNER);
        buffer_put(&x->action_set, op, op->size);
    }
    report_action_set(x, TRACE_ACTION_SET_IS, TRACE_ACTION_SET_IS_EMPTY);
}

/* Ops. */

/* Tells whether 'op' can be done although MPLS labels were popped and what is
 * behind them has not been parsed. */
static bool
works_on_popped_mpls(const struct op *op)
{
    switch (op->code) {
    case OP_CONTROLLER:
        return is_output_to_controllers(op);
    case OP_SET_FIELD: {
        if (op->flags & SET_METADATA) {
            return false;
        }
        const struct field *f
            = &fields[((const struct op_set_field *) op)->field];
        return f->prereq == PREREQ_NONE || f->prereq == PREREQ_ETHERNET
               || f->prereq == PREREQ_VLAN;
    }
    case OP_GROUP:
    case OP_OUTPUT:
    case OP_OUTPUT_REG:
    case OP_OUTPUT_TRUNC:
    case OP_ENQUEUE:
    case OP_SET_QUEUE:
    case OP_SET_VLAN_VID:
    case OP_SET_VLAN_PCP:
    case OP_UNROLL:
        return true;
    }
    return false;
}

/* Tells whether setting a field makes the reference look at the protocol: all
 * of the network header's but the DSCP. */
static bool
depends_on_proto(const struct op_set_field *op)
{
    enum prereq prereq = fields[op->field].prereq;

    return (prereq == PREREQ_IP || prereq == PREREQ_IPV4
            || prereq == PREREQ_IPV6 || prereq == PREREQ_ARP)
           && op->field != FIELD_IP_DSCP;
}

/* A tag that comes into being with its number has the usual type. */
static void
complete_tag(struct xlate *x, unsigned field)
{
    if (fields[field].offset == offsetof(struct flow, vlan0_tci)
        && x->flow.vlan0_tci && !x->flow.vlan0_tpid) {
        x->flow.vlan0_tpid = CONSTANT_BE16(ETH_VLAN);
    }
}

static void
op_set_field(struct xlate *x, const struct op_set_field *op)
{
    const struct field *f = &fields[op->field];

    if (field_has_prereq(f->prereq, &x->flow, x->wc)) {
        if (!(op->head.flags & SET_METADATA)) {
            field_mask(f, op->mask, x->wc);
        }
        if (depends_on_proto(op)
            && x->flow.eth_type != CONSTANT_BE16(ETH_RARP)) {
            MASK_ALL(x, nw_proto);
        }
        field_set(f, op->value, op->mask, &x->flow);
        complete_tag(x, op->field);
    } else {
        REPORT(x, TRACE_PREREQUISITES, op->field, 0, 0);
    }
}

static void
report_subfield(struct xlate *x, const struct subfield *s)
{
    if (xlate_traced(x)) {
        uint64_t high = 0, low = 0;
        uint8_t value[16];
        subfield_read(s, &x->flow, value);
        if (s->field == FIELD_VLAN_VID && s->n_bits == 12) {
            memcpy(value + 14, &x->flow.vlan0_tci, 2);
            value[14] &= 0x1f;          /* Whether there is a tag, too. */
        }
        for (unsigned i = 0; i < 8; i++) {
            high = high << 8 | value[i];
            low = low << 8 | value[8 + i];
        }
        xlate_report(x, TRACE_IS_NOW, s->field,
                     (uint64_t) s->ofs << 16 | s->n_bits, high, low);
    }
}

static void
op_move(struct xlate *x, const struct op_move *op)
{
    const struct field *src = &fields[op->src.field];
    const struct field *dst = &fields[op->dst.field];

    if (field_has_prereq(dst->prereq, &x->flow, x->wc)
        && field_has_prereq(src->prereq, &x->flow, x->wc)) {
        subfield_mask(&op->src, x->wc);
        subfield_mask(&op->dst, x->wc);
        subfield_copy(&op->src, &x->flow, &op->dst, &x->flow);
        complete_tag(x, op->dst.field);
    }
    report_subfield(x, &op->dst);
}

static void
op_push(struct xlate *x, const struct op_push *op)
{
    struct stack_entry entry = { .n_bits = op->src.n_bits };

    subfield_mask(&op->src, x->wc);
    subfield_read(&op->src, &x->flow, entry.value);
    buffer_put(&x->stack, &entry, sizeof entry);
}

static void
op_pop(struct xlate *x, const struct op_pop *op)
{
    struct stack_entry entry;

    if (x->stack.size < sizeof entry) {
        REPORT(x, TRACE_STACK_EMPTY, 0, 0, 0);
        return;
    }
    x->stack.size -= sizeof entry;
    memcpy(&entry, x->stack.data + x->stack.size, sizeof entry);
    subfield_mask(&op->dst, x->wc);
    subfield_write(&op->dst, entry.value, &x->flow);
    complete_tag(x, op->dst.field);
    report_subfield(x, &op->dst);
}

static void
set_vlan(struct xlate *x, unsigned shift, unsigned width, unsigned value,
         bool may_push)
{
    uint16_t mask = ((1U << width) - 1) << shift;
    uint16_t tci = be16_to(x->flow.vlan0_tci);

    x->wc->vlan0_tci |= be16_from(mask | 0x1000);
    if (tci & 0x1000 || may_push) {
        if (!x->flow.vlan0_tpid) {
            x->flow.vlan0_tpid = CONSTANT_BE16(ETH_VLAN);
        }
        tci = (tci & ~mask) | value << shift | 0x1000;
        x->flow.vlan0_tci = be16_from(tci);
    }
}

static void
op_push_vlan(struct xlate *x, const struct op_push_vlan *op)
{
    flow_push_vlan(&x->flow, x->wc);
    x->flow.vlan0_tpid = be16_from(op->tpid);
    x->flow.vlan0_tci = CONSTANT_BE16(0x1000);
}

/* Returns true if the frame's life ends here for this table. */
static bool
op_dec_ttl(struct xlate *x, const struct op_dec_ttl *op)
{
    x->wc->nw_ttl = 0xff;
    x->wc->nw_proto = 0xff;
    if (!is_ip(&x->flow)) {
        return false;
    }
    if (x->flow.nw_ttl > 1) {
        x->flow.nw_ttl--;
        return false;
    }
    for (uint32_t i = 0; i < op->n; i++) {
        packet_in(x, UINT16_MAX, REASON_INVALID_TTL, op->tail[i], 0, NULL,
                  0);
    }
    if (!op->n) {
        packet_in(x, UINT16_MAX, REASON_INVALID_TTL, 0, 0, NULL, 0);
    }
    REPORT(x, TRACE_TTL_EXCEPTION,
           x->flow.eth_type == CONSTANT_BE16(ETH_IP) ? 4 : 6, 0, 0);
    return true;
}

static bool
op_dec_mpls_ttl(struct xlate *x)
{
    if (!is_mpls_type(x->flow.eth_type)) {
        return false;
    }
    uint32_t lse = be32_to(x->flow.mpls_lse[0]);
    x->wc->mpls_lse[0] |= be32_from(0xff);
    if ((lse & 0xff) > 1) {
        x->flow.mpls_lse[0] = be32_from(lse - 1);
        return false;
    }
    packet_in(x, UINT16_MAX, REASON_INVALID_TTL, 0, 0, NULL, 0);
    REPORT(x, TRACE_MPLS_TTL_EXCEPTION, 0, 0, 0);
    return true;
}

static void
op_push_mpls(struct xlate *x, const struct op_push_mpls *op)
{
    unsigned n = flow_n_mpls(&x->flow, x->wc);

    if (!n) {
        xlate_commit(x);
    } else if (n >= MAX_MPLS) {
        if (x->in->frame) {
            REPORT(x, TRACE_MPLS_FULL, MAX_MPLS, 0, 0);
        }
        x->error = DROP_MPLS_DEPTH;
        return;
    }
    flow_push_mpls(&x->flow, n, be16_from(op->eth_type), x->wc, true);
}

static void
op_pop_mpls(struct xlate *x, const struct op_pop_mpls *op)
{
    unsigned n = flow_n_mpls(&x->flow, x->wc);
    be16 type = be16_from(op->eth_type);

    if (flow_pop_mpls(&x->flow, n, type, x->wc)) {
        if (!is_mpls_type(type)) {
            x->was_mpls = true;
        }
    } else if (n >= MAX_MPLS) {
        if (x->in->frame) {
            REPORT(x, TRACE_MPLS_POP, MAX_MPLS, 0, 0);
        }
        x->error = DROP_MPLS_DEPTH;
        x->actions->buffer.size = 0;
    }
}

static bool
op_dec_nsh_ttl(struct xlate *x)
{
    if (x->flow.eth_type == CONSTANT_BE16(ETH_NSH)) {
        MASK_ALL(x, nsh_ttl);
        if (x->flow.nsh_ttl > 1) {
            x->flow.nsh_ttl--;
            return false;
        }
        packet_in(x, UINT16_MAX, REASON_INVALID_TTL, 0, 0, NULL, 0);
    }
    REPORT(x, TRACE_NSH_TTL_EXCEPTION, 0, 0, 0);
    return true;
}

/* Adding and removing headers.  The flow changes at once, the frame at the
 * next commit. */

#define PACKET_TYPE(ETH_TYPE) be32_from(UINT32_C(1) << 16 | (ETH_TYPE))

static void
refuse_type(struct xlate *x, enum trace_kind kind)
{
    uint32_t type = be32_to(x->flow.packet_type);

    REPORT(x, kind, type >> 16, type & 0xffff, 0);
    x->error = DROP_UNSUPPORTED_TYPE;
}

static void
encap_ethernet(struct xlate *x)
{
    struct flow *flow = &x->flow;
    uint32_t type = be32_to(flow->packet_type);

    MASK_ALL(x, packet_type);
    if (type >> 16 != 1) {
        refuse_type(x, TRACE_ENCAP_ETHERNET_REFUSED);
        return;
    }
    flow->packet_type = 0;
    memset(flow->eth_dst, 0, sizeof flow->eth_dst + sizeof flow->eth_src);
    flow->eth_type = be16_from(type);
}

static void
encap_nsh(struct xlate *x, const struct op_encap *op)
{
    struct flow *flow = &x->flow;
    uint8_t np, md_type = 1;

    MASK_ALL(x, packet_type);
    switch (be32_to(flow->packet_type)) {
    case 0: np = 3; break;
    case 1 << 16 | ETH_IP: np = 1; break;
    case 1 << 16 | ETH_IPV6: np = 2; break;
    case 1 << 16 | ETH_NSH: np = 4; break;
    default:
        refuse_type(x, TRACE_ENCAP_NSH_REFUSED);
        return;
    }
    x->encap_size = 0;
    for (uint32_t at = 0; at < op->n; ) {
        const struct encap_property *p = (const void *) (op->tail + at);
        if (p->kind == ENCAP_MD_TYPE) {
            md_type = p->size;
            at += sizeof *p;
        } else {
            uint32_t n = p->size - sizeof *p;
            if (x->encap_size + 4 + n <= sizeof x->encap_data) {
                uint8_t *to = x->encap_data + x->encap_size;
                put_be16(to, be16_from(p->tlv_class));
                to[2] = p->tlv_type;
                to[3] = p->tlv_size;
                memcpy(to + 4, p + 1, n);
                x->encap_size += 4 + n;
            }
            at += p->size;
        }
    }
    memset(flow->eth_dst, 0,
           sizeof *flow - offsetof(struct flow, eth_dst));
    flow->packet_type = PACKET_TYPE(ETH_NSH);
    flow->eth_type = CONSTANT_BE16(ETH_NSH);
    flow->nsh_ttl = 63;
    flow->nsh_mdtype = md_type & 0xf;
    flow->nsh_np = np;
    flow->nsh_path = be32_from(255);
    if (md_type == 1) {
        x->encap_size = 0;
    }
}

static void
note_add_mpls(struct xlate *x)
{
    if (!(x->pipeline->features & DPF_ADD_MPLS)) {
        x->out->slow_reasons |= SLOW_ACTION;
    }
}

static void
encap_mpls(struct xlate *x, uint32_t packet_type)
{
    struct flow *flow = &x->flow;
    unsigned n = flow_n_mpls(flow, x->wc);
    bool ipv6 = flow->eth_type == CONSTANT_BE16(ETH_IPV6);

    MASK_ALL(x, packet_type);
    note_add_mpls(x);
    if (n >= MAX_MPLS) {
        x->error = DROP_MPLS_DEPTH;
        return;
    }
    if (be32_to(flow->packet_type) >> 16 != 1
        || !is_mpls_type(be16_from(be32_to(flow->packet_type)))) {
        memset(flow->mpls_lse, 0,
               sizeof *flow - offsetof(struct flow, mpls_lse));
        flow->eth_type = ipv6 ? CONSTANT_BE16(ETH_IPV6) : 0;
    }
    flow_push_mpls(flow, n, be16_from(packet_type), ipv6 ? NULL : x->wc, true);
    flow->packet_type = be32_from(packet_type);
}

static void
op_encap(struct xlate *x, const struct op_encap *op)
{
    xlate_commit(x);
    switch (op->packet_type) {
    case 0:
        encap_ethernet(x);
        break;
    case 1 << 16 | ETH_NSH:
        encap_nsh(x, op);
        break;
    case 1 << 16 | ETH_MPLS:
    case 1 << 16 | ETH_MPLS_MCAST:
        encap_mpls(x, op->packet_type);
        break;
    default:
        refuse_type(x, TRACE_DECAP_REFUSED);
        break;
    }
    x->pending_encap = !x->error;
}

/* The frame has to be parsed again before anything else is done. */
static void
decap_and_freeze(struct xlate *x)
{
    x->pending_decap = true;
    xlate_freeze(x);
    x->freeze_begun = true;
}

static void
decap_nsh(struct xlate *x)
{
    x->wc->nsh_np = UINT8_MAX;
    switch (x->flow.nsh_np) {
    case 1: x->flow.packet_type = PACKET_TYPE(ETH_IP); break;
    case 2: x->flow.packet_type = PACKET_TYPE(ETH_IPV6); break;
    case 3: x->flow.packet_type = 0; break;
    case 4: x->flow.packet_type = PACKET_TYPE(ETH_NSH); break;
    default:
        refuse_type(x, TRACE_DECAP_NEXT);
        return;
    }
    decap_and_freeze(x);
}

static void
decap_mpls(struct xlate *x, uint32_t inside)
{
    unsigned n = flow_n_mpls(&x->flow, x->wc);
    be16 type = be16_from(inside ? inside : ETH_TEB);

    note_add_mpls(x);
    if (!flow_pop_mpls(&x->flow, n, type, x->wc)) {
        if (x->in->frame) {
            REPORT(x, TRACE_MPLS_POP, MAX_MPLS, 0, 0);
        }
        x->error = DROP_MPLS_DEPTH;
        return;
    }
    x->flow.packet_type = inside ? be32_from(inside) : 0;
    if (n > 1 && is_mpls_type(type)) {
        x->pending_decap = true;        /* What is inside is known. */
    } else {
        decap_and_freeze(x);
    }
}

static void
op_decap(struct xlate *x, const struct op_decap *op)
{
    struct flow *flow = &x->flow;

    xlate_commit(x);
    switch (be32_to(flow->packet_type)) {
    case 0:
        if (flow->vlan0_tci & CONSTANT_BE16(0x1000)) {
            refuse_type(x, TRACE_DECAP_VLAN);
            return;
        }
        /* The commit takes the Ethernet header off. */
        flow->packet_type = PACKET_TYPE(be16_to(flow->eth_type));
        memset(flow->eth_dst, 0, sizeof flow->eth_dst + sizeof flow->eth_src);
        MASK_ALL(x, eth_type);
        break;
    case 1 << 16 | ETH_NSH:
        decap_nsh(x);
        break;
    case 1 << 16 | ETH_MPLS:
    case 1 << 16 | ETH_MPLS_MCAST:
        decap_mpls(x, op->packet_type);
        break;
    default:
        refuse_type(x, TRACE_DECAP_REFUSED);
        break;
    }
}

static void
op_resubmit(struct xlate *x, const struct op_resubmit *op, bool last)
{
    uint32_t in_port = op->port == RESERVED_IN_PORT ? be32_to(x->flow.in_port)
                                               : op->port;
    uint8_t table = op->table == 255 ? x->table : op->table;
    struct flow *flow = &x->flow;

    if (x->in->program && !x->rule && op->table == 255) {
        table = 0;              /* A packet-out is in no table. */
    }
    if (!op->ct) {
        run_table(x, in_port, table, false, false, false, last);
        return;
    }
    /* Look up with the original direction's addresses in place of its own. */
    if (!flow->ct_nw_proto) {
        MASK_ALL(x, ct_nw_proto);
        return;
    }
    struct flow own = *flow;
    flow->nw_proto = flow->ct_nw_proto;
    flow->nw_src = own.ct_nw_src;
    flow->nw_dst = own.ct_nw_dst;
    memcpy(flow->ipv6_src, own.ct_ipv6_src, 16);
    memcpy(flow->ipv6_dst, own.ct_ipv6_dst, 16);
    flow->tp_src = own.ct_tp_src;
    flow->tp_dst = own.ct_tp_dst;
    run_table(x, in_port, table, false, false, false, last);
    flow->nw_proto = own.nw_proto;
    flow->nw_src = own.nw_src;
    flow->nw_dst = own.nw_dst;
    memcpy(flow->ipv6_src, own.ipv6_src, 16);
    memcpy(flow->ipv6_dst, own.ipv6_dst, 16);
    flow->tp_src = own.tp_src;
    flow->tp_dst = own.tp_dst;
}

static void
report_recirculation(struct xlate *x, const struct flow *flow, uint16_t zone,
                     const struct op_nat *nat)
{
    const word64 *words = (const word64 *) flow;
    const word64 *first = (const word64 *) &x->first;

    xlate_report(x, TRACE_RECIRCULATES, be32_to(flow->recirc_id), zone, 0, 0);
    for (unsigned i = 0; i < FLOW_WORDS; i++) {
        if (words[i] != first[i]) {
            xlate_report(x, TRACE_WORD, i, words[i], 0, 0);
        }
    }
    if (nat) {
        uint64_t high = 0, low = 0;
        for (unsigned i = 0; i < 8; i++) {
            high = high << 8 | nat->addr_min[i];
            low = low << 8 | nat->addr_min[8 + i];
        }
        xlate_report(x, TRACE_NAT, nat->flags | nat->family << 8
                     | (uint64_t) nat->port_min << 16, high, low, 0);
    }
}

static void
op_ct(struct xlate *x, const struct op_ct *op)
{
    bool commit = op->flags & 1, force = op->flags & 2;
    uint16_t zone = op->zone;
    uint32_t old_mark_mask = x->wc->ct_mark;
    uint8_t old_label_mask[16];
    const struct op_nat *nat = NULL;

    if (op->zone_src.n_bits) {
        zone = subfield_u64(&op->zone_src, &x->flow);
        subfield_mask(&op->zone_src, x->wc);
    }
    /* All changes so far come before the connection tracker. */
    xlate_commit(x);
    memcpy(old_label_mask, x->wc->ct_label, 16);
    be32 flow_mark = x->flow.ct_mark;
    uint8_t flow_label[16];
    memcpy(flow_label, x->flow.ct_label, 16);
    x->wc->ct_mark = 0;
    memset(x->wc->ct_label, 0, 16);
    x->flow.ct_mark = 0;
    memset(x->flow.ct_label, 0, 16);

    uint32_t tail_size = op->head.size - sizeof *op;
    OPS_FOR_EACH (n, op->tail, tail_size) {
        if (n->code == OP_NAT) {
            nat = (const void *) n;
        }
    }
    xlate_ops(x, op->tail, tail_size, false);

    struct action_ct *a = actions_put(x->actions, ACTION_CT, sizeof *a);
    a->flags = (commit ? CT_COMMIT : 0) | (force ? CT_COMMIT | CT_FORCE : 0);
    a->zone = zone;
    if (commit || force) {
        a->mark = be32_to(x->flow.ct_mark & x->wc->ct_mark);
        a->mark_mask = be32_to(x->wc->ct_mark);
        for (unsigned i = 0; i < 16; i++) {
            a->label[i] = x->flow.ct_label[i] & x->wc->ct_label[i];
            a->label_mask[i] = x->wc->ct_label[i];
        }
    }
    if (op->alg == 21 || op->alg == 69) {
        strcpy(a->helper, op->alg == 21 ? "ftp" : "tftp");
    }
    if (nat) {
        a->flags |= CT_NAT | (nat->flags & 1 ? CT_NAT_SRC : 0)
                    | (nat->flags & 2 ? CT_NAT_DST : 0)
                    | (nat->flags & 4 ? CT_NAT_PERSISTENT : 0)
                    | (nat->flags & 8 ? CT_NAT_HASH : 0)
                    | (nat->flags & 16 ? CT_NAT_RANDOM : 0);
        a->family = nat->family;
        a->port_min = nat->port_min;
        a->port_max = nat->port_max;
        memcpy(a->address_min, nat->addr_min, 16);
        memcpy(a->address_max, nat->addr_max, 16);
    }
    /* What was set is seen after recirculation. */
    x->flow.ct_mark |= flow_mark & ~x->wc->ct_mark;
    for (unsigned i = 0; i < 16; i++) {
        x->flow.ct_label[i] |= flow_label[i] & ~x->wc->ct_label[i];
    }
    x->wc->ct_mark = old_mark_mask;
    memcpy(x->wc->ct_label, old_label_mask, 16);

    if (op->table != 255) {
        x->conntracked = true;
        xlate_freeze(x);
        REPORT(x, TRACE_CT_FORK, op->table, 0, 0);
        /* The copy goes on in that table, with nothing left of this list. */
        uint32_t id = xlate_finish_freezing(x, op->table);
        if (xlate_traced(x)) {
            struct flow back = x->flow;
            back.recirc_id = be32_from(id);
            back.ct_zone = be16_from(zone);
            report_recirculation(x, &back, zone, nat);
        }
    }
    x->conntracked = false;
    x->exit = false;
    flow_clear_conntrack(&x->flow);
    x->base.ct_state = 0;
    REPORT(x, TRACE_CT_CLEARED, 0, 0, 0);
}

static void
report_learned(struct xlate *x, const struct learned *l)
{
    const void *parts[] = { &l->value, &l->mask, l->program->bytes };
    uint32_t sizes[] = { sizeof l->value, sizeof l->mask, l->program->size };
    uint64_t index = 0;

    xlate_report(x, TRACE_LEARNS, l->args.table, l->args.priority,
                 l->args.cookie, (uint64_t) l->args.flags << 32
                 | (uint32_t) l->args.idle << 16 | l->args.hard);
    for (unsigned i = 0; i < N_ELEMENTS(parts); i++) {
        for (uint32_t at = 0; at < sizes[i]; at += 8, index++) {
            uint64_t word = get_u64((const char *) parts[i] + at);
            if (word) {
                xlate_report(x, TRACE_PART, index, word, 0, 0);
            }
        }
    }
}

static void
op_output_trunc(struct xlate *x, const struct op_output_trunc *op, bool last)
{
    const struct conf_port *port = conf_port(x->conf, op->port);

    if (op->port == be32_to(x->flow.in_port)) {
        REPORT(x, TRACE_TO_INPUT, op->port, 0, 0);
    } else if (!port || port->config.odp == ODP_NONE) {
        REPORT(x, TRACE_NO_TRUNCATION, op->port, 0, 0);
    } else {
        put_trunc(x, op->max_len);
        output_action(x, op->port, 0, false, last);
    }
}

static void
op_learn(struct xlate *x, const struct op_learn *op)
{
    const struct learn_args *args = (const void *) op->tail;
    const struct learn_spec *specs = (const void *) (args + 1);

    for (unsigned i = 0; i < args->n_specs; i++) {
        if (specs[i].from_field) {
            subfield_mask(&specs[i].src, x->wc);
        }
    }
    if (xlate_traced(x) && !x->in->learn) {
        REPORT(x, TRACE_LEARN_IGNORED, 0, 0, 0);
        return;
    }
    struct learned *l = learn_make(op, &x->flow, x->bridge->handle);
    if (xlate_traced(x)) {
        report_learned(x, l);
    }
    bool writes = args->flags & LEARN_WRITE_RESULT;
    bool learns = !args->limit || !(writes || xlate_traced(x))
                  || learn_has_room(x->pipeline, x->bridge, l);
    if (writes) {
        subfield_mask(&args->result, x->wc);
        subfield_set_u64(&args->result, learns, &x->flow);
        report_subfield(x, &args->result);
    }
    if (!learns) {
        REPORT(x, TRACE_LEARN_FAILED, 0, 0, 0);
        learned_unref(l);
        return;
    }
    if (x->in->learn) {
        learn_later(x->pipeline, l);
    }
    xlate_credit(x, CREDIT_LEARN, l);
}

static void
op_check_larger(struct xlate *x, const struct op_check_pkt_larger *op,
                const struct op *rest, const struct op *end)
{
    struct flow flow = x->flow, base;
    bool conntracked = x->conntracked, was_mpls = x->was_mpls;
    bool exits = false;
    struct saved_buffers saved;

    xlate_commit(x);
    base = x->base;
    subfield_mask(&op->dst, x->wc);
    uint32_t start = actions_begin(x->actions, ACTION_CHECK_LEN,
                                   sizeof(struct action_check_len));
    uint32_t begun[2];
    for (unsigned larger = 2; larger-- > 0; ) {
        begun[larger] = x->actions->buffer.size;
        buffers_save(x, &saved, true);
        subfield_set_u64(&op->dst, larger, &x->flow);
        xlate_ops(x, rest, (const char *) end - (const char *) rest, false);
        if (!x->freezing) {
            xlate_action_set(x, x->action_set.data, x->action_set.size,
                             false);
        }
        xlate_finish_freezing(x, 0);
        buffers_restore(x, &saved);
        x->flow = flow;
        x->base = base;
        x->conntracked = conntracked;
        x->was_mpls = was_mpls;
        exits |= larger && x->exit;
        x->exit = false;
    }
    if (actions_end(x->actions, start)) {
        struct action_check_len *a
            = (void *) (x->actions->buffer.data + start);
        a->length = op->length;
        a->greater_size = begun[0] - begun[1];
    }
    /* The rest of this list has been done, twice.  Other lists go on, unless
     * the larger frame's ended them. */
    x->action_set.size = 0;
    x->exit = exits;
}

/* Translates one op; returns false if the list ends with it. */
static bool
run_op(struct xlate *x, const struct op *op, const struct op *next,
       const struct op *end, bool in_group)
{
    bool last = next >= end && x->last_is_last && !x->action_set.size;

    switch (op->code) {
    case OP_OUTPUT: {
        const struct op_output *o = (const void *) op;
        output_action(x, o->port, o->max_len, true, last);
        break;
    }
    case OP_OUTPUT_REG: {
        const struct op_output_reg *o = (const void *) op;
        uint64_t port = subfield_u64(&o->src, &x->flow);
        subfield_mask(&o->src, x->wc);
        if (port <= UINT16_MAX) {
            REPORT(x, TRACE_OUTPUT_PORT, port, 0, 0);
            output_action(x, port, o->max_len, false, last);
        } else {
            REPORT(x, TRACE_PORT_TOO_LARGE, port, 0, 0);
        }
        break;
    }
    case OP_OUTPUT_TRUNC:
        op_output_trunc(x, (const void *) op, last);
        break;
    case OP_CONTROLLER: {
        const struct op_controller *o = (const void *) op;
        if (o->pause) {
            xlate_freeze(x);
            x->freeze_begun = true;     /* This op is not to be done again. */
            x->pause = o;
        } else {
            packet_in(x, o->max_len, o->reason, o->controller_id, o->meter_id,
                      o->tail, o->n);
        }
        break;
    }
    case OP_ENQUEUE: {
        const struct op_enqueue *o = (const void *) op;
        be32 priority = x->flow.skb_priority;
        x->flow.skb_priority = be32_from(o->queue);
        MASK_ALL(x, skb_priority);
        uint32_t port = o->port == RESERVED_IN_PORT ? be32_to(x->flow.in_port)
                                               : o->port;
        if (o->port == RESERVED_IN_PORT || port != be32_to(x->flow.in_port)) {
            output_port(x, port, 0, last);
        }
        x->flow.skb_priority = priority;
        break;
    }
    case OP_SET_QUEUE:
        MASK_ALL(x, skb_priority);
        x->flow.skb_priority = be32_from(
            ((const struct op_set_queue *) op)->queue);
        break;
    case OP_POP_QUEUE:
        MASK_ALL(x, skb_priority);
        if (x->flow.skb_priority != x->first.skb_priority) {
            x->flow.skb_priority = x->first.skb_priority;
            REPORT(x, TRACE_QUEUE, be32_to(x->flow.skb_priority), 0, 0);
        }
        break;
    case OP_SET_FIELD:
        op_set_field(x, (const void *) op);
        break;
    case OP_MOVE:
        op_move(x, (const void *) op);
        break;
    case OP_PUSH:
        op_push(x, (const void *) op);
        break;
    case OP_POP:
        op_pop(x, (const void *) op);
        break;
    case OP_PUSH_VLAN:
        op_push_vlan(x, (const void *) op);
        break;
    case OP_POP_VLAN:
        flow_pop_vlan(&x->flow, x->wc);
        break;
    case OP_SET_VLAN_VID: {
        const struct op_set_vlan_vid *o = (const void *) op;
        set_vlan(x, 0, 12, o->vid, o->may_push);
        break;
    }
    case OP_SET_VLAN_PCP: {
        const struct op_set_vlan_pcp *o = (const void *) op;
        set_vlan(x, 13, 3, o->pcp, o->may_push);
        break;
    }
    case OP_PUSH_MPLS:
        op_push_mpls(x, (const void *) op);
        break;
    case OP_POP_MPLS:
        op_pop_mpls(x, (const void *) op);
        break;
    case OP_DEC_MPLS_TTL:
        return !op_dec_mpls_ttl(x);
    case OP_DEC_TTL:
        return !op_dec_ttl(x, (const void *) op);
    case OP_RESUBMIT:
        op_resubmit(x, (const void *) op, last);
        break;
    case OP_GOTO_TABLE:
        run_table(x, be32_to(x->flow.in_port),
                  ((const struct op_goto_table *) op)->table, true, true,
                  false, last);
        break;
    case OP_GROUP:
        xlate_group(x, ((const struct op_group *) op)->group);
        break;
    case OP_MULTIPATH:
        xlate_multipath(x, (const void *) op);
        report_subfield(x, &((const struct op_multipath *) op)->dst);
        break;
    case OP_BUNDLE: {
        const struct op_bundle *o = (const void *) op;
        uint32_t port = xlate_bundle(x, o);
        if (o->dst.n_bits) {
            subfield_mask(&o->dst, x->wc);
            subfield_set_u64(&o->dst, port, &x->flow);
            report_subfield(x, &o->dst);
        } else {
            output_action(x, port, 0, false, last);
        }
        break;
    }
    case OP_DEC_NSH_TTL:
        return !op_dec_nsh_ttl(x);
    case OP_ENCAP:
        op_encap(x, (const void *) op);
        break;
    case OP_DECAP:
        op_decap(x, (const void *) op);
        break;
    case OP_LEARN:
        op_learn(x, (const void *) op);
        break;
    case OP_CT:
        op_ct(x, (const void *) op);
        break;
    case OP_CT_CLEAR:
        if (x->conntracked) {
            flow_clear_conntrack(&x->flow);
            x->conntracked = false;
            actions_put(x->actions, ACTION_CT_CLEAR, sizeof(struct action));
        }
        break;
    case OP_CLONE: {
        const struct op_clone *o = (const void *) op;
        struct saved_buffers saved;
        buffers_save(x, &saved, true);
        run_clone(x, o->tail, op->size - sizeof *o, last);
        buffers_restore(x, &saved);
        break;
    }
    case OP_EXIT:
        x->exit = true;
        break;
    case OP_FIN_TIMEOUT:
        MASK_ALL(x, nw_proto);
        if (x->rule && is_ip(&x->flow) && x->flow.nw_proto == 6) {
            const struct op_fin_timeout *o = (const void *) op;
            rule_ref(x->rule);
            struct credit *c = xlate_credit(x, CREDIT_FIN_TIMEOUT, x->rule);
            c->vlan = o->idle;
            c->bundle = o->hard;
        }
        break;
    case OP_CHECK_PKT_LARGER:
        if (!(x->pipeline->features & DPF_CHECK_PKT_LEN)) {
            const struct op_check_pkt_larger *o = (const void *) op;
            x->out->slow_reasons |= SLOW_ACTION;
            subfield_set_u64(&o->dst,
                             x->in->frame && x->in->frame_size > o->length,
                             &x->flow);
            break;
        }
        op_check_larger(x, (const void *) op, next, end);
        return false;
    case OP_WRITE_ACTIONS: {
        const struct op_write_actions *o = (const void *) op;
        write_actions(x, o->tail, op->size - sizeof *o);
        break;
    }
    case OP_CLEAR_ACTIONS:
        report_action_set(x, TRACE_ACTION_SET_WAS,
                          TRACE_ACTION_SET_WAS_EMPTY);
        x->action_set.size = 0;
        x->flow.actset_output = be32_from(RESERVED_UNSET);
        break;
    case OP_METER: {
        uint32_t id = bridge_meter(x->bridge,
                                   ((const struct op_meter *) op)->meter);
        if (id != METER_NONE) {
            struct action_meter *a = actions_put(x->actions, ACTION_METER,
                                                 sizeof *a);
            a->id = id;
        }
        break;
    }
    case OP_DEBUG_SLOW:
        x->out->slow_reasons |= SLOW_ACTION;
        break;
    case OP_DEBUG_RECIRC:
        xlate_freeze(x);
        x->freeze_begun = true; /* This op is not to be done again. */
        break;
    case OP_UNROLL: {
        const struct op_unroll *o = (const void *) op;
        follow_owner(x, o);
        if (!(op->flags & UNROLL_OWNER)) {
            REPORT(x, TRACE_UNROLL, o->table, o->cookie, 0);
            REPORT(x, TRACE_RESTORED, o->table, o->cookie, 0);
            x->cookie = o->cookie;
            x->table = o->table;
        }
        break;
    }
    case OP_NOTE:
    case OP_CONJUNCTION:
    case OP_NAT:
    case OP_SAMPLE:
        break;
    case OP_DELETE_FIELD:       /* Ops before it have zeroed its bits. */
        REPORT(x, TRACE_DELETED,
               ((const struct op_delete_field *) op)->field, 0, 0);
        break;
    }
    (void) in_group;
    return true;
}

void
xlate_ops(struct xlate *x, const void *ops, uint32_t size, bool in_group)
{
    const struct op *op = ops;
    const struct op *end = (const void *) ((const char *) ops + size);
    uint32_t source = UINT32_MAX;
    uint64_t owner = 0, bucket = 0;

    if (!size) {
        x->source = UINT32_MAX;
        REPORT(x, TRACE_DROP, 0, 0, 0);
        return;
    }
    while (op < end) {
        const struct op *next = (const void *) ((const char *) op + op->size);
        if (x->error) {
            break;
        }
        if (x->was_mpls && !x->exit && !works_on_popped_mpls(op)) {
            xlate_freeze(x);
            x->freeze_begun = true;
        }
        if (x->exit) {
            /* The rest is for when the frame comes back. */
            if (x->freezing) {
                freeze_ops(x, op, end);
            }
            break;
        }
        x->source = op->source;
        if (xlate_traced(x) && op->code != OP_UNROLL
            && (op->source != source || x->rule_handle != owner
                || x->bucket_index != bucket)) {
            xlate_report(x, TRACE_ACTION, x->bucket_group, x->bucket_index,
                         op->code, in_group);
            source = op->source;
            owner = x->rule_handle;
            bucket = x->bucket_index;
        }
        bool go_on = run_op(x, op, next, end, in_group);
        if (!x->error && x->exit && x->freezing && !x->freeze_begun) {
            /* This op is to be done again when the frame comes back. */
            x->freeze_begun = true;
            freeze_ops(x, op, end);
            break;
        }
        if (!go_on) {
            break;
        }
        op = next;
    }
}

/* The whole. */

static bool
has_tunnel(const struct flow *flow)
{
    const word64 *v6 = (const word64 *) flow->tun_ipv6_dst;

    return flow->tun_dst || v6[0] || v6[1];
}

static void
finish_mask(struct xlate *x)
{
    struct flow *wc = x->wc;
    const struct flow *flow = &x->first;

    /* What is not in the frame cannot be matched in a cache. */
    wc->metadata = 0;
    memset(wc->regs, 0, sizeof wc->regs);
    wc->actset_output = 0;
    wc->conj_id = 0;
    bool icmp = is_ip(flow)
        && ((flow->eth_type == CONSTANT_BE16(ETH_IP) && flow->nw_proto == 1)
            || (flow->eth_type == CONSTANT_BE16(ETH_IPV6)
                && flow->nw_proto == 58));
    if (icmp) {
        wc->tp_src &= CONSTANT_BE16(0xff);
        wc->tp_dst &= CONSTANT_BE16(0xff);
    }
    if (wc->vlan0_tci) {
        wc->vlan0_tci |= CONSTANT_BE16(0x1000);
    }
    if (wc->vlan1_tci) {
        wc->vlan1_tci |= CONSTANT_BE16(0x1000);
    }
    if (flow_vlan_limit() < 2) {
        memset(&wc->vlan1_tpid, 0, 4);  /* Belongs to the payload. */
    }
    if (flow->nw_frag & 2) {
        wc->tp_src = wc->tp_dst = 0;
    }
    /* Bits that pushes and sets left on what the frame did not have. */
    if (!is_mpls_type(flow->eth_type)) {
        memset(wc->mpls_lse, 0, sizeof wc->mpls_lse);
    }
    if (!(flow->vlan0_tci & CONSTANT_BE16(0x1000))) {
        memset(&wc->vlan0_tpid, 0, 8);
    }
    if (!has_tunnel(flow)) {
        memset(wc, 0, offsetof(struct flow, metadata));
    }
}

static void
init_mask(struct xlate *x)
{
    enum { TUN_FLAGS_SEEN = 0x0e, ECN_MASK = 3 };   /* df, csum, key */

    memset(x->wc, 0, sizeof *x->wc);
    MASK_ALL(x, packet_type);
    MASK_ALL(x, in_port);
    MASK_ALL(x, eth_type);
    MASK_ALL(x, recirc_id);
    if (is_ip(&x->flow)) {
        x->wc->nw_frag = 3;
    }
    if (x->flow.tun_dst
        || memcmp(x->flow.tun_ipv6_dst, (uint8_t[16]) { 0 }, 16)) {
        MASK_ALL(x, tun_id);
        MASK_ALL(x, tun_tos);
        x->wc->tun_flags = be16_from(TUN_FLAGS_SEEN);
        if (x->flow.tun_dst) {
            MASK_ALL(x, tun_src);
            MASK_ALL(x, tun_dst);
        } else {
            memset(x->wc->tun_ipv6_src, 0xff, 16);
            memset(x->wc->tun_ipv6_dst, 0xff, 16);
        }
        if (is_ip(&x->flow)
            && (x->flow.tun_tos & ECN_MASK) == ECN_MASK) {
            x->wc->nw_tos |= ECN_MASK;
        }
    }
}

/* Brings back the state of 'frozen'; false: it cannot be. */
static bool
thaw(struct xlate *x, const struct frozen *f, const struct op **ops,
     uint32_t *ops_size)
{
    unsigned depth = x->trace_depth;

    if (xlate_traced(x)) {
        xlate_report(x, TRACE_THAW, 0, 0, 0, 0);
        x->trace_depth++;
    }
    struct bridge *bridge = bridge_find(f->bridge);
    if (!bridge) {
        REPORT(x, TRACE_FROZEN_BRIDGE, 0, 0, 0);
        x->error = DROP_BRIDGE_NOT_FOUND;
        return false;
    }
    x->bridge = bridge;
    x->conf = bridge_conf(bridge);
    x->table = f->table;
    REPORT(x, TRACE_RESUME, f->table, 0, 0);
    x->conntracked = f->conntracked;
    frozen_restore(f, &x->flow);
    x->mirrors = f->mirrors;
    const uint8_t *at = f->bytes;
    buffer_put(&x->stack, at, f->stack_size);
    at += ROUND_UP(f->stack_size, 8);
    if (f->action_set_size) {
        if (xlate_traced(x)) {
            xlate_report(x, TRACE_RESTORE_SET, f->id, 0, 0, 0);
            report_members(x, at, f->action_set_size);
        }
        buffer_put(&x->action_set, at, f->action_set_size);
        OPS_FOR_EACH (op, at, f->action_set_size) {
            if (op->code == OP_OUTPUT) {
                x->flow.actset_output = be32_from(
                    ((const struct op_output *) op)->port);
            }
        }
    }
    at += ROUND_UP(f->action_set_size, 8);
    *ops = (const void *) at;
    *ops_size = f->ops_size;
    if (f->ops_size && xlate_traced(x)) {
        xlate_report(x, TRACE_RESTORE_ACTIONS, f->id, 0, 0, 0);
        report_members(x, *ops, f->ops_size);
    }
    x->trace_depth = depth;
    return true;
}

static void
translate(struct xlate *x, struct frozen *frozen)
{
    const struct xlate_in *in = x->in;
    const struct op *ops = (const void *) in->program;
    uint32_t ops_size = in->program_size;
    bool has_ops = in->program != NULL;

    if (xlate_traced(x)) {
        xlate_report(x, TRACE_BRIDGE, x->bridge->handle, 0, 0, 0);
        x->trace_depth = 1;
    }
    if (frozen) {
        if (!thaw(x, frozen, &ops, &ops_size)) {
            return;
        }
        has_ops = ops_size > 0 || in->resume;
    } else if (x->flow.recirc_id) {
        REPORT(x, TRACE_NO_FROZEN, be32_to(x->flow.recirc_id), 0, 0);
        x->error = DROP_NO_RECIRCULATION;
        return;
    }

    uint32_t in_port = be32_to(x->flow.in_port);
    const struct conf_port *port = conf_port(x->conf, in_port);
    if (!frozen && port && port->bundle && port->bundle->mirror_target) {
        REPORT(x, TRACE_MIRROR_RESERVED, port->bundle->config.id, 0, 0);
        return;
    }
    enum miss miss = MISS_NOTHING;
    struct rule *rule = NULL;
    if (!has_ops) {
        rule = lookup(x, &x->table, in_port, true, true, &miss);
        if (xlate_traced(x)) {
            report_table(x, rule, x->table, miss);
            x->trace_depth++;
        }
    }
    if (!frozen && port && !may_receive(port)) {
        if (rule) {
            credit_rule(x, rule);
        } else if (!has_ops) {
            credit_counters(x, x->bridge->unmatched[miss]);
        }
        return;
    }
    if (!frozen && port && port->bundle && port->bundle->mirrors_in) {
        xlate_mirror(x, port->bundle, port->bundle->mirrors_in);
    }
    if (has_ops) {
        xlate_ops(x, ops, ops_size, false);
    } else {
        run_rule(x, rule, miss, false, true);
        x->cookie = rule ? rule->cookie : 0;    /* What freezes here is its. */
    }
    if (x->error) {
        return;
    }
    if (!x->freezing) {
        xlate_action_set(x, x->action_set.data, x->action_set.size, false);
    }
    xlate_finish_freezing(x, 0);
}

/* What is cloned last of all needs no clone. */
static void
unwrap_last_clone(struct actions *actions, uint32_t start)
{
    struct buffer *b = &actions->buffer;
    uint32_t last = UINT32_MAX;

    for (uint32_t at = start; at < b->size;
         at += ((const struct action *) (void *) (b->data + at))->size) {
        last = at;
    }
    if (last != UINT32_MAX
        && ((const struct action *) (void *) (b->data + last))->type
           == ACTION_CLONE) {
        uint32_t nested = last + sizeof(struct action_clone);
        memmove(b->data + last, b->data + nested, b->size - nested);
        b->size -= sizeof(struct action_clone);
    }
}

void
pipeline_translate(const struct xlate_in *in, struct xlate_out *out)
{
    struct xlate x;
    struct frozen *frozen = NULL;
    uint32_t start = out->actions->buffer.size;
    uint32_t ofp;

    out->credits = NULL;
    out->error = DROP_NONE;
    out->slow_reasons = 0;
    memset(&x, 0, offsetof(struct xlate, flow));
    memset(&x.wc, 0, sizeof x - offsetof(struct xlate, wc));
    x.in = in;
    x.out = out;
    x.pipeline = in->pipeline;
    x.version = in->version;
    x.flow = *in->flow;
    x.wc = out->mask;
    x.actions = out->actions;
    x.credits = x.credit_room;
    x.allocated_credits = N_ELEMENTS(x.credit_room);
    x.cookie = UINT64_MAX;
    x.source = UINT32_MAX;
    x.last_is_last = true;
    init_mask(&x);

    if (in->resume) {
        frozen = frozen_put_record(in->pipeline, in->resume, &x.flow);
    } else if (x.flow.recirc_id) {
        frozen = frozen_find(in->pipeline, be32_to(x.flow.recirc_id));
    }
    if (in->resume) {
        x.bridge = bridge_find(in->resume->bridge);
    } else if (in->start_bridge) {
        x.bridge = bridge_find(in->start_bridge);
    } else if (pipeline_find_port(in->pipeline, be32_to(x.flow.in_port),
                                  &x.bridge, &ofp)) {
        x.flow.in_port = be32_from(ofp);
    } else if (frozen) {
        x.bridge = bridge_find(frozen->bridge);
    }
    if (!x.bridge) {
        out->error = DROP_BRIDGE_NOT_FOUND;
        frozen_unref(in->pipeline, frozen);
        return;
    }
    x.conf = bridge_conf(x.bridge);
    x.first_bridge = x.bridge;
    x.flow.actset_output = be32_from(RESERVED_UNSET);
    x.base = x.flow;
    x.first = x.flow;
    x.conntracked = x.flow.ct_state != 0;
    if (frozen) {
        xlate_credit(&x, CREDIT_FROZEN, frozen);
    }
    translate(&x, frozen);

    if (!x.error || !xlate_traced(&x)) {
        finish_mask(&x);
    }
    out->error = x.error;
    if (x.error) {
        out->actions->buffer.size = start;
    } else {
        unwrap_last_clone(out->actions, start);
    }
    if (out->final) {
        *out->final = x.flow;
        if (x.flow.actset_output == be32_from(RESERVED_UNSET)) {
            out->final->actset_output = 0;
        }
    }
    if (x.n_credits) {
        struct credits *c = xmalloc(sizeof *c
                                    + x.n_credits * sizeof *c->entries);
        c->refs = 1;
        c->n = x.n_credits;
        c->pipeline = in->pipeline;
        memcpy(c->entries, x.credits, x.n_credits * sizeof *c->entries);
        out->credits = c;
    }
    if (x.credits != x.credit_room) {
        free(x.credits);
    }
    buffer_destroy(&x.stack);
    buffer_destroy(&x.action_set);
    buffer_destroy(&x.frozen_ops);
}
