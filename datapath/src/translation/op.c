/* op.c: ops and tables: runs the ops of what a lookup found, which may look
 * up, group, clone or output in turn.
 *
 * What.  A translation (translate.c) follows a flow through the tables of its
 * bridge (and across patch ports into others), changes its copy of the flow as
 * the ops say, and at each output commits the changes so far as set actions.
 * Every bit of the flow that a decision depended on is added to the mask.
 *
 * Limits and reports are the reference's.  Any thread inside an epoch. */
#include "translation/xlate.h"

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

void
xlate_buffers_save(struct xlate *x, struct saved_buffers *saved, bool copy)
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

void
xlate_buffers_restore(struct xlate *x, struct saved_buffers *saved)
{
    buffer_destroy(&x->stack);
    buffer_destroy(&x->action_set);
    x->stack = saved->stack;
    x->action_set = saved->action_set;
}

/* Runs what a lookup found. */
void
xlate_rule(struct xlate *x, struct rule *rule, enum miss miss, bool clone,
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
        xlate_credit_rule(x, rule);
        const struct program *p = rule->program;
        if (clone) {
            run_clone(x, program_ops(p), p->size, last);
        } else {
            xlate_ops(x, program_ops(p), p->size, false);
        }
    } else {
        xlate_credit_counters(x, x->bridge->unmatched[miss]);
        if (miss == MISS_PACKET_IN) {
            REPORT(x, TRACE_MISS_CONTROLLER, 0, 0, 0);
            xlate_packet_in(x, UINT16_MAX, REASON_IMPLICIT_MISS, 0, 0, NULL,
                            0);
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

bool
xlate_table(struct xlate *x, uint32_t in_port, uint8_t table,
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
    struct rule *rule = xlate_lookup(x, &x->table, in_port, may_packet_in,
                                     honor_miss, &miss);
    if (xlate_traced(x)) {
        xlate_report_table(x, rule, x->table, miss);
        x->trace_depth++;
    }
    x->resubmits++;
    x->depth += depth;
    bool in_group = x->in_group;
    x->in_group = false;        /* What a table does is no bucket's doing. */
    xlate_rule(x, rule, miss, clone, last);
    x->in_group = in_group;
    x->depth -= depth;
    x->trace_depth = old_trace_depth;
    x->table = old_table;
    return true;
}

void
xlate_action_set(struct xlate *x, const void *ops, uint32_t size,
                 bool in_group)
{
    struct buffer list = { NULL, 0, 0 };

    action_set_sort(&list, ops, size);
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

/* Tells whether 'op' can be done although MPLS labels were popped and what is
 * behind them has not been parsed. */
static bool
works_on_popped_mpls(const struct op *op)
{
    switch (op->code) {
    case OP_CONTROLLER:
        return op_is_output_to_controllers(op);
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

#define CT_TRACKED 0x20         /* Of ct_state. */

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
        xlate_table(x, in_port, table, false, false, false, last);
        return;
    }
    if (!(be32_to(flow->ct_state) & CT_TRACKED) || !is_ip(flow)) {
        REPORT(x, TRACE_RESUBMIT_UNTRACKED, 0, 0, 0);
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
    xlate_table(x, in_port, table, false, false, false, last);
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
    uint8_t old_label_mask[16];
    const struct op_nat *nat = NULL;

    if (op->zone_src.n_bits) {
        zone = subfield_u64(&op->zone_src, &x->flow);
        subfield_mask(&op->zone_src, x->wc);
    }
    /* All changes so far come before the connection tracker. */
    xlate_commit(x);
    uint32_t old_mark_mask = x->wc->ct_mark;
    memcpy(old_label_mask, x->wc->ct_label, 16);
    x->wc->ct_mark = 0;
    memset(x->wc->ct_label, 0, 16);

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
        xlate_report_subfield(x, &args->result);
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
        xlate_buffers_save(x, &saved, true);
        subfield_set_u64(&op->dst, larger, &x->flow);
        xlate_ops(x, rest, (const char *) end - (const char *) rest, false);
        if (!x->freezing) {
            xlate_action_set(x, x->action_set.data, x->action_set.size,
                             false);
        }
        xlate_finish_freezing(x, 0);
        xlate_buffers_restore(x, &saved);
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
        xlate_output_action(x, o->port, o->max_len, true, last);
        break;
    }
    case OP_OUTPUT_REG: {
        const struct op_output_reg *o = (const void *) op;
        uint64_t port = subfield_u64(&o->src, &x->flow);
        subfield_mask(&o->src, x->wc);
        if (port <= UINT16_MAX) {
            REPORT(x, TRACE_OUTPUT_PORT, port, 0, 0);
            xlate_output_action(x, port, o->max_len, false, last);
        } else {
            REPORT(x, TRACE_PORT_TOO_LARGE, port, 0, 0);
        }
        break;
    }
    case OP_OUTPUT_TRUNC:
        xlate_output_trunc(x, (const void *) op, last);
        break;
    case OP_CONTROLLER: {
        const struct op_controller *o = (const void *) op;
        if (o->pause) {
            xlate_freeze(x);
            x->freeze_begun = true;     /* This op is not to be done again. */
            x->pause = o;
        } else {
            xlate_packet_in(x, o->max_len, o->reason, o->controller_id,
                            o->meter_id, o->tail, o->n);
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
            xlate_output(x, port, 0, last);
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
        xlate_set_field(x, (const void *) op);
        break;
    case OP_MOVE:
        xlate_move(x, (const void *) op);
        break;
    case OP_PUSH:
        xlate_push(x, (const void *) op);
        break;
    case OP_POP:
        xlate_pop(x, (const void *) op);
        break;
    case OP_PUSH_VLAN:
        xlate_push_vlan(x, (const void *) op);
        break;
    case OP_POP_VLAN:
        flow_pop_vlan(&x->flow, x->wc);
        break;
    case OP_SET_VLAN_VID: {
        const struct op_set_vlan_vid *o = (const void *) op;
        xlate_set_vlan(x, 0, 12, o->vid, o->may_push);
        break;
    }
    case OP_SET_VLAN_PCP: {
        const struct op_set_vlan_pcp *o = (const void *) op;
        xlate_set_vlan(x, 13, 3, o->pcp, o->may_push);
        break;
    }
    case OP_PUSH_MPLS:
        xlate_push_mpls(x, (const void *) op);
        break;
    case OP_POP_MPLS:
        xlate_pop_mpls(x, (const void *) op);
        break;
    case OP_DEC_MPLS_TTL:
        return !xlate_dec_mpls_ttl(x);
    case OP_DEC_TTL:
        return !xlate_dec_ttl(x, (const void *) op);
    case OP_RESUBMIT:
        op_resubmit(x, (const void *) op, last);
        break;
    case OP_GOTO_TABLE:
        xlate_table(x, be32_to(x->flow.in_port),
                    ((const struct op_goto_table *) op)->table, true, true,
                    false, last);
        break;
    case OP_GROUP:
        xlate_group(x, ((const struct op_group *) op)->group);
        break;
    case OP_MULTIPATH:
        xlate_multipath(x, (const void *) op);
        xlate_report_subfield(x, &((const struct op_multipath *) op)->dst);
        break;
    case OP_BUNDLE: {
        const struct op_bundle *o = (const void *) op;
        uint32_t port = xlate_bundle(x, o);
        if (o->dst.n_bits) {
            subfield_mask(&o->dst, x->wc);
            subfield_set_u64(&o->dst, port, &x->flow);
            xlate_report_subfield(x, &o->dst);
        } else {
            xlate_output_action(x, port, 0, false, last);
        }
        break;
    }
    case OP_DEC_NSH_TTL:
        return !xlate_dec_nsh_ttl(x);
    case OP_ENCAP:
        xlate_encap(x, (const void *) op);
        break;
    case OP_DECAP:
        xlate_decap(x, (const void *) op);
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
        xlate_buffers_save(x, &saved, true);
        run_clone(x, o->tail, op->size - sizeof *o, last);
        xlate_buffers_restore(x, &saved);
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
        xlate_write_actions(x, o->tail, op->size - sizeof *o);
        break;
    }
    case OP_CLEAR_ACTIONS:
        xlate_report_action_set(x, TRACE_ACTION_SET_WAS,
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
        xlate_follow_owner(x, o);
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
                xlate_freeze_ops(x, op, end);
            }
            break;
        }
        x->source = op->source;
        if (op->code == OP_UNROLL) {
            source = UINT32_MAX;        /* The same action anew. */
        } else if (xlate_traced(x)
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
            xlate_freeze_ops(x, op, end);
            break;
        }
        if (!go_on) {
            break;
        }
        op = next;
    }
}
