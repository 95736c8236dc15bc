/* commit.c: makes the frame what the flow says: the difference between `base`
 * (what the datapath actions so far produce) and `flow` becomes set, push and
 * pop actions, in the reference's order: Ethernet, popped MPLS, IP or ARP,
 * ports, ICMP, ND, MPLS, VLAN, priority, mark.
 *
 * A set action writes whole fields that changed; its mask is what the
 * translation depended on of them.  Any thread; part of a translation. */
#include "translation/xlate.h"

struct part {                   /* A field of a key struct. */
    uint8_t offset, size;
};

/* Appends a set of the fields of a key that differ.  'mask' holds what was
 * un-wildcarded.  Returns true if something differs. */
static bool
commit_key(struct xlate *x, enum key_type type, const void *key_,
           const void *base_, void *mask_, uint32_t size,
           const struct part *parts, unsigned n)
{
    const uint8_t *key = key_, *base = base_;
    uint8_t *mask = mask_;
    bool differs = false;

    for (unsigned i = 0; i < n; i++) {
        unsigned at = parts[i].offset;
        if (memcmp(key + at, base + at, parts[i].size)) {
            differs = true;
        } else if (x->pipeline->features & DPF_MASKED_SET) {
            memset(mask + at, 0, parts[i].size);
        }
    }
    if (differs) {
        uint8_t value[sizeof(struct key_tunnel)];
        for (uint32_t i = 0; i < size; i++) {
            value[i] = key[i] & mask[i];
        }
        actions_put_set(x->actions, type, value, mask, size);
    }
    return differs;
}

#define PART(TYPE, MEMBER) \
    { offsetof(TYPE, MEMBER), sizeof(((TYPE *) 0)->MEMBER) }

static void
ethernet_key(const struct flow *flow, struct key_ethernet *key)
{
    memcpy(key->src, flow->eth_src, 6);
    memcpy(key->dst, flow->eth_dst, 6);
}

static void
commit_ethernet(struct xlate *x)
{
    static const struct part parts[] = {
        PART(struct key_ethernet, src), PART(struct key_ethernet, dst),
    };
    struct key_ethernet key, base, mask;

    if (x->flow.packet_type) {
        return;
    }
    ethernet_key(&x->flow, &key);
    ethernet_key(&x->base, &base);
    ethernet_key(x->wc, &mask);
    if (commit_key(x, KEY_ETHERNET, &key, &base, &mask, sizeof key, parts,
                   N_ELEMENTS(parts))) {
        memcpy(x->base.eth_src, x->flow.eth_src, 6);
        memcpy(x->base.eth_dst, x->flow.eth_dst, 6);
    }
}

static void
ipv4_key(const struct flow *flow, struct key_ipv4 *key)
{
    key->src = flow->nw_src;
    key->dst = flow->nw_dst;
    key->proto = flow->nw_proto;
    key->tos = flow->nw_tos;
    key->ttl = flow->nw_ttl;
    key->frag = flow->nw_frag;
}

static void
commit_ipv4(struct xlate *x)
{
    static const struct part parts[] = {
        PART(struct key_ipv4, src), PART(struct key_ipv4, dst),
        PART(struct key_ipv4, tos), PART(struct key_ipv4, ttl),
    };
    struct key_ipv4 key, base, mask;

    ipv4_key(&x->flow, &key);
    ipv4_key(&x->base, &base);
    ipv4_key(x->wc, &mask);
    mask.proto = mask.frag = 0;         /* Cannot be written. */
    if (commit_key(x, KEY_IPV4, &key, &base, &mask, sizeof key, parts,
                   N_ELEMENTS(parts))) {
        x->base.nw_src = x->flow.nw_src;
        x->base.nw_dst = x->flow.nw_dst;
        x->base.nw_tos = x->flow.nw_tos;
        x->base.nw_ttl = x->flow.nw_ttl;
    }
}

static void
ipv6_key(const struct flow *flow, struct key_ipv6 *key)
{
    memcpy(key->src, flow->ipv6_src, 16);
    memcpy(key->dst, flow->ipv6_dst, 16);
    key->label = flow->ipv6_label;
    key->proto = flow->nw_proto;
    key->tclass = flow->nw_tos;
    key->hlimit = flow->nw_ttl;
    key->frag = flow->nw_frag;
}

static void
commit_ipv6(struct xlate *x)
{
    static const struct part parts[] = {
        PART(struct key_ipv6, src), PART(struct key_ipv6, dst),
        PART(struct key_ipv6, label), PART(struct key_ipv6, tclass),
        PART(struct key_ipv6, hlimit),
    };
    struct key_ipv6 key, base, mask;

    ipv6_key(&x->flow, &key);
    ipv6_key(&x->base, &base);
    ipv6_key(x->wc, &mask);
    mask.proto = mask.frag = 0;
    mask.label &= be32_from(0xfffff);
    if (commit_key(x, KEY_IPV6, &key, &base, &mask, sizeof key, parts,
                   N_ELEMENTS(parts))) {
        memcpy(x->base.ipv6_src, x->flow.ipv6_src, 16);
        memcpy(x->base.ipv6_dst, x->flow.ipv6_dst, 16);
        x->base.ipv6_label = x->flow.ipv6_label;
        x->base.nw_tos = x->flow.nw_tos;
        x->base.nw_ttl = x->flow.nw_ttl;
    }
}

static void
arp_key(const struct flow *flow, struct key_arp *key)
{
    memset(key, 0, sizeof *key);
    key->sip = flow->nw_src;
    key->tip = flow->nw_dst;
    key->op = be16_from(flow->nw_proto);
    memcpy(key->sha, flow->arp_sha, 6);
    memcpy(key->tha, flow->arp_tha, 6);
}

static void
commit_arp(struct xlate *x)
{
    static const struct part parts[] = {
        PART(struct key_arp, sip), PART(struct key_arp, tip),
        PART(struct key_arp, op), PART(struct key_arp, sha),
        PART(struct key_arp, tha),
    };
    struct key_arp key, base, mask;

    arp_key(&x->flow, &key);
    arp_key(&x->base, &base);
    arp_key(x->wc, &mask);
    if (x->wc->nw_proto == UINT8_MAX) {
        mask.op = UINT16_MAX;
    }
    if (commit_key(x, KEY_ARP, &key, &base, &mask, sizeof key, parts,
                   N_ELEMENTS(parts))) {
        x->base.nw_src = x->flow.nw_src;
        x->base.nw_dst = x->flow.nw_dst;
        x->base.nw_proto = x->flow.nw_proto;
        memcpy(x->base.arp_sha, x->flow.arp_sha, 6);
        memcpy(x->base.arp_tha, x->flow.arp_tha, 6);
        x->out->slow_reasons |= SLOW_ACTION;
    }
}

static void
nd_key(const struct flow *flow, struct key_nd *key)
{
    memcpy(key->target, flow->nd_target, 16);
    memcpy(key->sll, flow->arp_sha, 6);
    memcpy(key->tll, flow->arp_tha, 6);
}

static void
commit_nd(struct xlate *x)
{
    static const struct part parts[] = {
        PART(struct key_nd, target), PART(struct key_nd, sll),
        PART(struct key_nd, tll),
    };
    static const struct part ext_parts[] = {
        PART(struct key_nd_ext, reserved),
        PART(struct key_nd_ext, options_type),
    };
    struct key_nd key, base, mask;
    struct key_nd_ext ekey = { .reserved = x->flow.nd_reserved,
                               .options_type = x->flow.nd_options_type };
    struct key_nd_ext ebase = { .reserved = x->base.nd_reserved,
                                .options_type = x->base.nd_options_type };
    struct key_nd_ext emask = { .reserved = x->wc->nd_reserved,
                                .options_type = x->wc->nd_options_type };

    if (commit_key(x, KEY_ND_EXT, &ekey, &ebase, &emask, sizeof ekey,
                   ext_parts, N_ELEMENTS(ext_parts))) {
        x->base.nd_reserved = x->flow.nd_reserved;
        x->base.nd_options_type = x->flow.nd_options_type;
        x->out->slow_reasons |= SLOW_ACTION;
    }
    nd_key(&x->flow, &key);
    nd_key(&x->base, &base);
    nd_key(x->wc, &mask);
    if (commit_key(x, KEY_ND, &key, &base, &mask, sizeof key, parts,
                   N_ELEMENTS(parts))) {
        memcpy(x->base.nd_target, x->flow.nd_target, 16);
        memcpy(x->base.arp_sha, x->flow.arp_sha, 6);
        memcpy(x->base.arp_tha, x->flow.arp_tha, 6);
        x->out->slow_reasons |= SLOW_ACTION;
    }
}

static void
commit_nsh(struct xlate *x)
{
    struct key_nsh key, base, mask;

    memcpy(&key, &x->flow.nsh_flags, sizeof key);
    memcpy(&base, &x->base.nsh_flags, sizeof base);
    memcpy(&mask, &x->wc->nsh_flags, sizeof mask);
    mask.mdtype = mask.np = 0;
    if (key.mdtype != 1) {      /* No context, but it is told. */
        memset(key.c, 0, sizeof key.c);
        memset(base.c, 0, sizeof base.c);
        memset(mask.c, 0xff, sizeof mask.c);
    }
    if (memcmp(&key, &base, sizeof key)) {
        /* All that was looked at is in the set, whether it differs or not. */
        uint8_t *bytes = (uint8_t *) &key;
        for (unsigned i = 0; i < sizeof key; i++) {
            bytes[i] &= ((const uint8_t *) &mask)[i];
        }
        actions_put_set(x->actions, KEY_NSH, &key, &mask, sizeof key);
        memcpy(&x->base.nsh_flags, &x->flow.nsh_flags, sizeof key);
    }
}

static void
commit_network(struct xlate *x)
{
    be16 type = x->base.eth_type;

    if (!x->flow.nw_proto && type != CONSTANT_BE16(ETH_TYPE_NSH)) {
        return;                 /* Not parsed: nothing to change. */
    }
    switch (be16_to(type)) {
    case ETH_TYPE_IPV4:
        commit_ipv4(x);
        break;
    case ETH_TYPE_IPV6:
        commit_ipv6(x);
        if (x->base.nw_proto == PROTO_ICMPV6
            && (x->base.tp_src == be16_from(135)
                || x->base.tp_src == be16_from(136))) {
            commit_nd(x);
        }
        break;
    case ETH_TYPE_ARP:
        commit_arp(x);
        break;
    case ETH_TYPE_NSH:
        if (x->flow.eth_type == CONSTANT_BE16(ETH_TYPE_NSH)) {
            commit_nsh(x);
        }
        break;
    }
}

static void
commit_ports(struct xlate *x)
{
    static const struct part parts[] = {
        PART(struct key_ports, src), PART(struct key_ports, dst),
    };
    struct flow *flow = &x->flow, *base = &x->base;

    if (!is_ip(base) || !flow->nw_proto) {
        return;
    }
    if (base->nw_proto == PROTO_ICMP || base->nw_proto == PROTO_ICMPV6) {
        bool v6 = base->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6);
        if (v6 != (base->nw_proto == PROTO_ICMPV6)) {
            return;
        }
        struct key_icmp key = { be16_to(flow->tp_src), be16_to(flow->tp_dst) };
        struct key_icmp was = { be16_to(base->tp_src), be16_to(base->tp_dst) };
        if (memcmp(&key, &was, sizeof key)) {
            /* Always written whole. */
            struct key_icmp mask = { 0xff, 0xff };
            actions_put_set(x->actions, v6 ? KEY_ICMPV6 : KEY_ICMP, &key,
                            &mask, sizeof key);
            x->wc->tp_src |= CONSTANT_BE16(0xff);
            x->wc->tp_dst |= CONSTANT_BE16(0xff);
            base->tp_src = flow->tp_src;
            base->tp_dst = flow->tp_dst;
            x->out->slow_reasons |= SLOW_ACTION;
        }
        return;
    }
    enum key_type type;
    switch (base->nw_proto) {
    case PROTO_TCP: type = KEY_TCP; break;
    case PROTO_UDP: type = KEY_UDP; break;
    case PROTO_SCTP: type = KEY_SCTP; break;
    default: return;
    }
    struct key_ports key = { flow->tp_src, flow->tp_dst };
    struct key_ports was = { base->tp_src, base->tp_dst };
    struct key_ports mask = { x->wc->tp_src, x->wc->tp_dst };
    if (commit_key(x, type, &key, &was, &mask, sizeof key, parts,
                   N_ELEMENTS(parts))) {
        base->tp_src = flow->tp_src;
        base->tp_dst = flow->tp_dst;
    }
}

/* VLAN headers. */

union vlan {
    struct { be16 tpid, tci; };
    uint32_t both;
};

static void
get_vlans(const struct flow *flow, union vlan vlans[2])
{
    memcpy(vlans, &flow->vlan0_tpid, 8);
}

static void
put_vlans(struct flow *flow, const union vlan vlans[2])
{
    memcpy(&flow->vlan0_tpid, vlans, 8);
}

static void
commit_vlan(struct xlate *x)
{
    union vlan flow[2], base[2];
    int flow_n = flow_n_vlans(&x->flow) - 1;
    int base_n = flow_n_vlans(&x->base) - 1;

    get_vlans(&x->flow, flow);
    get_vlans(&x->base, base);
    while (flow_n >= 0 && base_n >= 0
           && flow[flow_n].both == base[base_n].both) {
        flow_n--;
        base_n--;
    }
    for (; base_n >= 0; base_n--) {
        memset(&x->wc->vlan0_tpid, 0xff, 4);
        flow_pop_vlan(&x->base, x->wc);
        actions_put(x->actions, ACTION_POP_VLAN, sizeof(struct action));
    }
    for (; flow_n >= 0; flow_n--) {
        struct action_push_vlan *a = actions_put(
            x->actions, ACTION_PUSH_VLAN, sizeof *a);
        a->tpid = flow[flow_n].tpid;
        a->tci = flow[flow_n].tci;
        flow_push_vlan(&x->base, NULL);
        memcpy(&x->base.vlan0_tpid, &flow[flow_n], 4);
    }
    put_vlans(&x->base, flow);
}

/* MPLS labels. */

static unsigned
common_mpls(const struct flow *a, unsigned a_n, const struct flow *b,
            unsigned b_n)
{
    unsigned n = 0;

    while (n < a_n && n < b_n
           && a->mpls_lse[a_n - 1 - n] == b->mpls_lse[b_n - 1 - n]) {
        n++;
    }
    return n;
}

static void
commit_mpls(struct xlate *x)
{
    struct flow *flow = &x->flow, *base = &x->base;
    unsigned base_n = flow_n_mpls(base, NULL);
    unsigned flow_n = flow_n_mpls(flow, NULL);
    unsigned common = common_mpls(flow, flow_n, base, base_n);

    while (base_n > common) {
        if (base_n - 1 == common && flow_n > common) {
            struct key_mpls key = { flow->mpls_lse[flow_n - base_n] };
            struct key_mpls mask = { UINT32_MAX };
            actions_put_set(x->actions, KEY_MPLS, &key, &mask, sizeof key);
            base->mpls_lse[0] = key.lse;
            common++;
        } else {
            /* Only the last pop leaves something that is not MPLS. */
            be16 type = base_n > 1 && !eth_type_is_mpls(flow->eth_type)
                        ? CONSTANT_BE16(ETH_TYPE_MPLS) : flow->eth_type;
            struct action_pop_mpls *a = actions_put(
                x->actions, ACTION_POP_MPLS, sizeof *a);
            a->eth_type = type;
            flow_pop_mpls(base, base_n, type, NULL);
            base_n--;
        }
    }
    while (base_n < flow_n) {
        struct action_push_mpls *a = actions_put(
            x->actions, ACTION_PUSH_MPLS, sizeof *a);
        a->eth_type = flow->eth_type;
        a->lse = flow->mpls_lse[flow_n - base_n - 1];
        be32 lse = a->lse;
        flow_push_mpls(base, base_n, flow->eth_type, NULL, false);
        base->mpls_lse[0] = lse;
        base_n++;
    }
}

static void
commit_u32(struct xlate *x, enum key_type type, size_t offset)
{
    static const struct part parts[] = { PART(struct key_u32, value) };
    be32 flow, base, mask;

    memcpy(&flow, (char *) &x->flow + offset, 4);
    memcpy(&base, (char *) &x->base + offset, 4);
    memcpy(&mask, (char *) x->wc + offset, 4);
    struct key_u32 key = { be32_to(flow) }, was = { be32_to(base) };
    struct key_u32 bits = { be32_to(mask) };
    if (commit_key(x, type, &key, &was, &bits, sizeof key, parts, 1)) {
        memcpy((char *) &x->base + offset, &flow, 4);
    }
}

static void
put_push_nsh(struct xlate *x)
{
    const struct flow *f = &x->flow;
    uint32_t n = f->nsh_mdtype == 1 ? sizeof f->nsh_c : x->encap_size;
    struct action_push_nsh *a = actions_put(x->actions, ACTION_PUSH_NSH,
                                            sizeof *a + n);

    a->flags = f->nsh_flags;
    a->ttl = f->nsh_ttl;
    a->mdtype = f->nsh_mdtype;
    a->np = f->nsh_np;
    a->path = f->nsh_path;
    a->n_metadata = n;
    memcpy(a->metadata, f->nsh_mdtype == 1 ? (const void *) f->nsh_c
           : x->encap_data, n);
}

static void
commit_encap(struct xlate *x)
{
    const struct flow *flow = &x->flow;
    size_t l2 = offsetof(struct flow, eth_dst);

    if (!flow->packet_type) {
        struct action_push_eth *a = actions_put(x->actions, ACTION_PUSH_ETH,
                                                sizeof *a);
        memcpy(a->dst, flow->eth_dst, 6);
        memcpy(a->src, flow->eth_src, 6);
        memcpy(x->base.eth_dst, flow->eth_dst, 12);
    } else if (flow->eth_type == CONSTANT_BE16(ETH_TYPE_NSH)) {
        put_push_nsh(x);
        memcpy((char *) &x->base + l2, (const char *) flow + l2,
               sizeof *flow - l2);
    } else {
        struct action_push_mpls *a = actions_put(x->actions, ACTION_ADD_MPLS,
                                                 sizeof *a);
        a->eth_type = flow->eth_type;
        a->lse = flow->mpls_lse[0];
        memcpy((char *) &x->base + l2, (const char *) flow + l2,
               sizeof *flow - l2);
    }
    x->base.packet_type = flow->packet_type;
}

static void
commit_decap(struct xlate *x)
{
    struct flow *base = &x->base;

    if (!base->packet_type) {
        actions_put(x->actions, ACTION_POP_ETH, sizeof(struct action));
        memset(base->eth_dst, 0, 12);
    } else if (base->eth_type == CONSTANT_BE16(ETH_TYPE_NSH)) {
        actions_put(x->actions, ACTION_POP_NSH, sizeof(struct action));
    } else {
        struct action_pop_mpls *a = actions_put(x->actions, ACTION_POP_MPLS,
                                                sizeof *a);
        a->eth_type = x->flow.eth_type;
        base->eth_type = x->flow.eth_type;
        memcpy(base->mpls_lse, x->flow.mpls_lse, sizeof base->mpls_lse);
    }
    base->packet_type = x->flow.packet_type;
}

/* A datapath without masked sets writes whole headers: all of one in which
 * something differs then matters. */
static void
widen_sets(struct xlate *x)
{
    const struct flow *flow = &x->flow, *base = &x->base;
    struct flow *wc = x->wc;

    if (memcmp(flow->eth_src, base->eth_src, 6)
        || memcmp(flow->eth_dst, base->eth_dst, 6)) {
        memset(wc->eth_src, 0xff, 6);
        memset(wc->eth_dst, 0xff, 6);
    }
    if (!flow->nw_proto) {
        return;                 /* What is behind is not written. */
    }
    if (flow->nw_src != base->nw_src || flow->nw_dst != base->nw_dst
        || memcmp(flow->ipv6_src, base->ipv6_src, 16)
        || memcmp(flow->ipv6_dst, base->ipv6_dst, 16)
        || flow->ipv6_label != base->ipv6_label
        || flow->nw_tos != base->nw_tos || flow->nw_ttl != base->nw_ttl) {
        if (flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6)) {
            memset(wc->ipv6_src, 0xff, 16);
            memset(wc->ipv6_dst, 0xff, 16);
            wc->ipv6_label = be32_from(0xfffff);
        } else {
            wc->nw_src = wc->nw_dst = UINT32_MAX;
        }
        wc->nw_tos = wc->nw_ttl = wc->nw_proto = UINT8_MAX;
    }
    if (flow->tp_src != base->tp_src || flow->tp_dst != base->tp_dst) {
        wc->tp_src = wc->tp_dst = UINT16_MAX;
    }
}

void
xlate_commit(struct xlate *x)
{
    bool mpls_done = false;

    if (UNLIKELY(!(x->pipeline->features & DPF_MASKED_SET))) {
        widen_sets(x);
    }

    if (x->pending_encap) {
        commit_encap(x);
    } else if (x->pending_decap
               || x->flow.packet_type != x->base.packet_type) {
        commit_decap(x);
    }
    x->pending_encap = x->pending_decap = false;
    commit_ethernet(x);
    if (eth_type_is_mpls(x->base.eth_type)
        && !eth_type_is_mpls(x->flow.eth_type)) {
        commit_mpls(x);
        mpls_done = true;
    }
    commit_network(x);
    commit_ports(x);
    if (!mpls_done) {
        commit_mpls(x);
    }
    commit_vlan(x);
    commit_u32(x, KEY_SKB_PRIORITY, offsetof(struct flow, skb_priority));
    commit_u32(x, KEY_SKB_MARK, offsetof(struct flow, pkt_mark));
}
