/* translate.c: pipeline_translate(): one flow's translation from its beginning
 * (in tables, with given ops, or thawed) to its mask and credits.
 *
 * Any thread inside an epoch. */
#include "packet/flow.h"
#include "translation/xlate.h"

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
    /* As the reference looks at it: what became of the frame. */
    const struct flow *last = &x->flow;
    if ((last->eth_type == CONSTANT_BE16(ETH_TYPE_IPV4) && last->nw_proto == 1)
        || (last->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6)
            && last->nw_proto == 58)) {
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
    if (last->nw_frag & 2) {
        wc->tp_src = wc->tp_dst = 0;
    }
    /* Bits that pushes and sets left on what the frame did not have. */
    if (!eth_type_is_mpls(flow->eth_type)) {
        memset(wc->mpls_lse, 0, sizeof wc->mpls_lse);
    }
    if (!(flow->vlan0_tci & CONSTANT_BE16(0x1000))) {
        memset(&wc->vlan0_tpid, 0, 8);
    } else if (!(flow->vlan1_tci & CONSTANT_BE16(0x1000))) {
        memset(&wc->vlan1_tpid, 0, 4);
    }
    if (!has_tunnel(flow)) {
        memset(wc, 0, offsetof(struct flow, metadata));
    }
}

/* Tells whether the packet type says that there is IP. */
static bool
is_bare_ip(const struct flow *flow)
{
    uint32_t type = be32_to(flow->packet_type);

    return type == (1U << 16 | ETH_TYPE_IPV4)
           || type == (1U << 16 | ETH_TYPE_IPV6);
}

/* What a tunnel's header said about congestion, its frame says too; false: it
 * cannot, and has to be dropped. */
static bool
take_congestion(struct xlate *x)
{
    enum { ECN_MASK = 3, ECN_CE = 3 };
    struct flow *flow = &x->flow;

    if (!has_tunnel(flow) || !(is_ip(flow) || is_bare_ip(flow))
        || (flow->tun_tos & ECN_MASK) != ECN_CE) {
        return true;
    }
    if (!(flow->nw_tos & ECN_MASK)) {
        return false;
    }
    flow->nw_tos |= ECN_CE;
    return true;
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
    if (is_ip(&x->flow) || is_bare_ip(&x->flow)) {
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
        if (!xlate_thaw(x, frozen, &ops, &ops_size)) {
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
        rule = xlate_lookup(x, &x->table, in_port, true, true, &miss);
        if (xlate_traced(x)) {
            xlate_report_table(x, rule, x->table, miss);
            x->trace_depth++;
        }
    }
    if (!take_congestion(x) || (!frozen && port && !may_receive(port))) {
        if (rule) {
            xlate_credit_rule(x, rule);
        } else if (!has_ops) {
            xlate_credit_counters(x, x->bridge->unmatched[miss]);
        }
        return;
    }
    if (!frozen && port && port->bundle && port->bundle->mirrors_in) {
        xlate_mirror(x, port->bundle, port->bundle->mirrors_in);
    }
    if (has_ops) {
        xlate_ops(x, ops, ops_size, false);
    } else {
        xlate_rule(x, rule, miss, false, true);
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
