/* lookup.c: looking a flow up in the tables of its bridge, and how far a
 * translation may go on doing so.
 *
 * Part of a translation; any thread. */
#include "translation/xlate.h"

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
struct rule *
xlate_lookup(struct xlate *x, uint8_t *table, uint32_t in_port,
             bool may_packet_in, bool honor_miss, enum miss *miss)
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
            xlate_credit_table(x, *table, true);
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
        xlate_credit_table(x, id, r != NULL);
        if (r) {
            rule = CONTAINER_OF(r, struct rule, cls);
            break;
        }
        if (!honor_miss) {
            break;
        }
        config = __atomic_load_n(&t->miss, __ATOMIC_RELAXED);
        if (config != TABLE_MISS_CONTINUE || id >= N_TABLES - 2) {
            break;              /* The last table is for our own rules. */
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
    if (!rule && may_packet_in && config == TABLE_MISS_SENT) {
        *miss = MISS_PACKET_IN;         /* Whatever the port says. */
    }
    /* Nothing can continue behind the last table of controllers. */
    if (!rule && may_packet_in && (config == TABLE_MISS_CONTROLLER
                                   || config == TABLE_MISS_CONTINUE)) {
        const struct conf_port *port = conf_port(x->conf,
                                                 be32_to(old_in_port));
        if (!port || !(port->config.config & PORT_NO_PACKET_IN)) {
            *miss = MISS_PACKET_IN;
        }
    }
    return rule;
}

void
xlate_report_table(struct xlate *x, const struct rule *rule, uint8_t table,
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
