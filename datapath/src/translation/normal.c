/* normal.c: NORMAL, switching as a learning VLAN switch does, and mirrors.
 *
 * A bundle (a Port record) has a VLAN mode.  On the way in the frame's tags
 * become the VLAN it is in; on the way out they are made from it.  Part of a
 * translation; any thread. */
#include "translation/xlate.h"

#define MASK_ALL(X, MEMBER) \
    memset(&(X)->wc->MEMBER, 0xff, sizeof (X)->wc->MEMBER)

struct tag {                    /* A VLAN header; no header: vid 0, pcp 0. */
    uint16_t tpid, vid, pcp;    /* 'pcp' in its place in the tci. */
};

struct tags {
    struct tag tag[2];          /* Outer first. */
};

static bool
in_bitmap(const uint64_t bits[64], uint16_t vlan)
{
    return bits[vlan / 64] >> (vlan % 64) & 1;
}

/* An empty bitmap means all VLANs. */
static bool
bitmap_allows(const uint64_t bits[64], uint16_t vlan)
{
    uint64_t any = 0;

    for (unsigned i = 0; i < 64; i++) {
        any |= bits[i];
    }
    return !any || in_bitmap(bits, vlan);
}

static bool
bundle_trunks(const struct conf_bundle *b, uint16_t vlan)
{
    if (b->config.vlan_mode == VLAN_ACCESS) {
        return false;
    }
    if (b->config.vlan_mode != VLAN_TRUNK && b->config.vlan) {
        /* Native modes carry their own VLAN and never VLAN 0. */
        if (!vlan || vlan == b->config.vlan) {
            return vlan;
        }
    }
    return bitmap_allows(b->config.trunks, vlan);
}

static bool
bundle_includes(const struct conf_bundle *b, const struct tags *tags)
{
    switch (b->config.vlan_mode) {
    case VLAN_ACCESS:
        return tags->tag[0].vid == b->config.vlan && !tags->tag[1].vid;
    case VLAN_DOT1Q_TUNNEL:
        return tags->tag[0].vid == b->config.vlan
               && bitmap_allows(b->config.cvlans, tags->tag[1].vid);
    default:
        return bundle_trunks(b, tags->tag[0].vid);
    }
}

static void
tags_extract(const struct flow *flow, struct tags *tags)
{
    const be16 *vlan = &flow->vlan0_tpid;

    memset(tags, 0, sizeof *tags);
    for (unsigned i = 0; i < 2; i++, vlan += 2) {
        uint16_t tci = be16_to(vlan[1]);
        if (!eth_type_is_vlan(vlan[0]) || !(tci & 0x1000)) {
            break;
        }
        tags->tag[i].tpid = be16_to(vlan[0]);
        tags->tag[i].vid = tci & 0xfff;
        tags->tag[i].pcp = tci & 0xe000;
    }
}

static bool
input_is_allowed(struct xlate *x, uint16_t vid, const struct conf_bundle *in)
{
    const struct bundle *b = &in->config;

    switch (b->vlan_mode) {
    case VLAN_ACCESS:
        if (vid) {
            REPORT(x, TRACE_ACCESS_TAGGED, vid, b->id, b->vlan);
            return false;
        }
        return true;
    case VLAN_NATIVE_TAGGED:
    case VLAN_NATIVE_UNTAGGED:
        if (!vid) {
            return true;
        }
        /* Fall through. */
    case VLAN_TRUNK:
        if (!bundle_trunks(in, vid)) {
            REPORT(x, TRACE_NOT_TRUNKED, vid, b->id, 0);
            return false;
        }
        return true;
    default:
        if (!bitmap_allows(b->cvlans, vid)) {
            REPORT(x, TRACE_CVLAN_REFUSED, vid, b->id, 0);
            return false;
        }
        return true;
    }
}

static void
tags_on_input(const struct conf_bundle *in, const struct tags *from,
              struct tags *tags)
{
    const struct bundle *b = &in->config;

    switch (b->vlan_mode) {
    case VLAN_ACCESS:
        memset(tags, 0, sizeof *tags);
        tags->tag[0].tpid = from->tag[0].tpid ? from->tag[0].tpid
                                              : ETH_TYPE_VLAN;
        tags->tag[0].vid = b->vlan;
        tags->tag[0].pcp = from->tag[0].pcp;
        break;
    case VLAN_NATIVE_TAGGED:
    case VLAN_NATIVE_UNTAGGED:
        *tags = *from;
        if (!from->tag[0].vid) {
            tags->tag[0].tpid = from->tag[0].tpid ? from->tag[0].tpid
                                                  : ETH_TYPE_VLAN;
            tags->tag[0].vid = b->vlan;
        }
        break;
    case VLAN_DOT1Q_TUNNEL:
        tags->tag[1] = from->tag[0];
        tags->tag[0].tpid = b->qinq_tpid ? b->qinq_tpid : ETH_TYPE_QINQ;
        tags->tag[0].vid = b->vlan;
        tags->tag[0].pcp = 0;
        break;
    default:
        *tags = *from;
        break;
    }
}

/* Sets 'to' to the tags with which 'out' sends what has 'tags' in the bridge,
 * and came with priority 'pcp'. */
static void
tags_on_output(const struct conf_bundle *out, const struct tags *tags,
               uint16_t pcp, struct tags *to)
{
    const struct bundle *b = &out->config;

    memset(to, 0, sizeof *to);
    switch (b->vlan_mode) {
    case VLAN_ACCESS:
        break;
    case VLAN_NATIVE_UNTAGGED:
        if (tags->tag[0].vid == b->vlan) {
            to->tag[0] = tags->tag[1];
        } else {
            *to = *tags;
        }
        break;
    case VLAN_DOT1Q_TUNNEL:
        to->tag[0] = tags->tag[1];
        break;
    default:
        *to = *tags;
        break;
    }
    if (b->flags & (BUNDLE_PRIORITY_TAGS_ALWAYS
                    | BUNDLE_PRIORITY_TAGS_NONZERO)) {
        to->tag[0].pcp = pcp;
    }
}

static void
tags_put(struct flow *flow, const struct tags *tags, uint16_t flags)
{
    be16 *vlan = &flow->vlan0_tpid;

    for (unsigned i = 0; i < 2; i++, vlan += 2) {
        const struct tag *tag = &tags->tag[i];
        /* What says nothing is kept only outermost, and where it was. */
        bool has = tag->vid || tag->pcp
                   || (!i && tag->tpid
                       && flags & BUNDLE_PRIORITY_TAGS_ALWAYS);
        vlan[0] = has ? be16_from(tag->tpid ? tag->tpid : ETH_TYPE_VLAN) : 0;
        vlan[1] = has ? be16_from(tag->vid | tag->pcp | 0x1000) : 0;
    }
}

static const uint32_t *
pick_member(struct xlate *x, const struct conf_bundle *out, uint16_t vlan)
{
    const struct bundle *b = &out->config;

    if (!b->n_members) {
        return NULL;
    }
    if (!b->bond_mode || b->n_members == 1) {
        return &out->members[0];
    }
    if (b->bond_mode == BOND_ACTIVE_BACKUP) {
        for (uint32_t i = 0; i < b->n_members; i++) {
            if (out->members[i] == b->active_ofp) {
                return &out->members[i];
            }
        }
        return NULL;
    }
    /* Spread by source MAC and VLAN over the members that are up. */
    uint32_t hash = hash_bytes(x->flow.eth_src, 6, vlan);
    memset(x->wc->eth_src, 0xff, 6);
    if (b->bond_mode == BOND_BALANCE_TCP) {
        const struct flow *f = &x->flow;
        memset(x->wc->eth_dst, 0xff, 6);
        hash ^= hash_bytes(f->eth_dst, 6, 0);
        if (is_ip(f)) {
            x->wc->nw_proto = 0xff;
            x->wc->nw_src = x->wc->nw_dst = UINT32_MAX;
            hash = hash_u64((uint64_t) f->nw_src << 32 | f->nw_dst, hash);
            if (f->nw_proto == 6 || f->nw_proto == 17) {
                x->wc->tp_src = x->wc->tp_dst = UINT16_MAX;
                hash = hash_u32((uint32_t) f->tp_src << 16 | f->tp_dst, hash);
            }
        }
    }
    for (uint32_t i = 0; i < b->n_members; i++) {
        const uint32_t *m = &out->members[((hash & 0xff) + i) % b->n_members];
        const struct conf_port *port = conf_port(x->conf, *m);
        if (port && port->config.state & BP_LIVE) {
            return m;
        }
    }
    return NULL;
}

static void
output_bundle(struct xlate *x, const struct conf_bundle *out,
              const struct tags *tags)
{
    struct tags to;
    be16 vlans[4];

    if (x->flow.vlan0_tci
        && !(x->flow.vlan0_tci & CONSTANT_BE16(0x0fff))) {
        x->wc->vlan0_tci |= CONSTANT_BE16(0xe000);      /* Decides tags. */
    }
    tags_on_output(out, tags, be16_to(x->flow.vlan0_tci) & 0xe000, &to);
    const uint32_t *member = pick_member(x, out, tags->tag[0].vid);
    if (!member) {
        return;
    }
    memcpy(vlans, &x->flow.vlan0_tpid, sizeof vlans);
    tags_put(&x->flow, &to, out->config.flags);
    xlate_output(x, *member, 0, false);
    memcpy(&x->flow.vlan0_tpid, vlans, sizeof vlans);
}

void
xlate_mirror(struct xlate *x, const struct conf_bundle *bundle,
             uint32_t mirrors)
{
    struct tags from, tags;

    mirrors &= ~x->mirrors;
    if (!mirrors) {
        return;
    }
    tags_extract(&x->flow, &from);
    tags_on_input(bundle, &from, &tags);
    for (uint32_t i = 0; i < x->conf->n_mirrors && i < 32; i++) {
        const struct mirror *m = &x->conf->mirrors[i];
        if (!(mirrors >> i & 1)) {
            continue;
        }
        uint64_t any = 0;
        for (unsigned j = 0; j < 64; j++) {
            any |= m->vlans[j];
        }
        if (any) {
            x->wc->vlan0_tci |= CONSTANT_BE16(0x1fff);
            if (!in_bitmap(m->vlans, tags.tag[0].vid)) {
                continue;
            }
        }
        x->mirrors |= 1U << i;
        if (m->out_bundle) {
            const struct conf_bundle *out = conf_bundle(x->conf,
                                                        m->out_bundle);
            if (out) {
                struct flow flow = x->flow;
                if (m->snaplen) {
                    const uint32_t *member = pick_member(x, out, 0);
                    struct tags to;
                    tags_on_output(out, &tags,
                                   be16_to(x->flow.vlan0_tci) & 0xe000,
                                   &to);
                    tags_put(&x->flow, &to, out->config.flags);
                    if (member) {
                        xlate_output(x, *member, m->snaplen, false);
                    }
                } else {
                    output_bundle(x, out, &tags);
                }
                x->flow = flow;
            }
        } else if (m->out_vlan != tags.tag[0].vid
                   && (x->conf->config.flags & BRIDGE_FORWARD_BPDU
                       || memcmp(x->flow.eth_dst,
                                 "\x01\x80\xc2\x00\x00", 5))) {
            struct tags to = tags;
            to.tag[0].vid = m->out_vlan;
            for (uint32_t j = 0; j < x->conf->n_bundles; j++) {
                const struct conf_bundle *out = &x->conf->bundles[j];
                if (bundle_includes(out, &to) && !out->mirror_target) {
                    output_bundle(x, out, &to);
                }
            }
        }
    }
}

/* Tells whether a frame announces its sender's address to all. */
static bool
is_gratuitous_arp(struct xlate *x)
{
    static const uint8_t broadcast[6] = { 255, 255, 255, 255, 255, 255 };
    const struct flow *flow = &x->flow;

    if (flow->eth_type != CONSTANT_BE16(ETH_TYPE_ARP)) {
        return false;
    }
    MASK_ALL(x, eth_dst);
    if (memcmp(flow->eth_dst, broadcast, 6)) {
        return false;
    }
    MASK_ALL(x, nw_proto);
    if (flow->nw_proto == 2) {
        return true;
    }
    if (flow->nw_proto != 1) {
        return false;
    }
    MASK_ALL(x, nw_src);
    MASK_ALL(x, nw_dst);
    return flow->nw_src == flow->nw_dst;
}

static uint64_t
mac_number(const uint8_t mac[6])
{
    uint64_t number = 0;

    for (unsigned i = 0; i < 6; i++) {
        number = number << 8 | mac[i];
    }
    return number;
}

/* Tells whether bridges do not forward frames to 'mac' unless they are told to
 * forward BPDUs: spanning trees, pause frames, discovery. */
static bool
is_reserved_mac(const uint8_t mac[6])
{
    static const struct {
        uint8_t mac[6], last;   /* All that differ in the last byte, to it. */
    } rows[] = {
        { { 0x01, 0x80, 0xc2, 0x00, 0x00, 0x00 }, 0x0f },   /* IEEE 802.1. */
        { { 0x00, 0xe0, 0x2b, 0x00, 0x00, 0x00 }, 0x00 },   /* Extreme: EDP, */
        { { 0x00, 0xe0, 0x2b, 0x00, 0x00, 0x04 }, 0x04 },   /* EAPS, */
        { { 0x00, 0xe0, 0x2b, 0x00, 0x00, 0x06 }, 0x06 },   /* EAPS. */
        { { 0x01, 0x00, 0x0c, 0x00, 0x00, 0x00 }, 0x00 },   /* Cisco: ISL, */
        { { 0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xc0 }, 0xc7 },   /* CFM, */
        { { 0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc }, 0xcd },   /* CDP, PVST+, */
        { { 0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xcd }, 0xcd },   /* FlexLink. */
    };

    for (unsigned i = 0; i < N_ELEMENTS(rows); i++) {
        if (!memcmp(mac, rows[i].mac, 5) && mac[5] >= rows[i].mac[5]
            && mac[5] <= rows[i].last) {
            return true;
        }
    }
    return false;
}

static bool
is_admissible(struct xlate *x, const struct conf_bundle *in, uint32_t in_port,
              uint16_t vlan)
{
    const struct flow *flow = &x->flow;

    if (!(x->conf->config.flags & BRIDGE_FORWARD_BPDU)
        && is_reserved_mac(flow->eth_dst)) {
        REPORT(x, TRACE_RESERVED_MULTICAST, 0, 0, 0);
        return false;
    }
    if (in->config.bond_mode && in->config.n_members > 1) {
        bool multicast = flow->eth_dst[0] & 1;
        if (multicast && in->config.active_ofp != in_port) {
            REPORT(x, TRACE_BOND_REFUSED, 0, 0, 0);
            return false;
        }
        if (in->config.bond_mode == BOND_BALANCE_SLB) {
            uint32_t bundle;
            bool locked;
            if (mac_lookup(&x->bridge->macs, x->conf, flow->eth_src, vlan,
                           x->in->now_ms, &bundle, &locked)
                && bundle != in->config.id
                && (!is_gratuitous_arp(x) || locked)) {
                REPORT(x, TRACE_SLB_LOOP, 0, 0, 0);
                return false;
            }
        }
    }
    return true;
}

static void
learn(struct xlate *x, const struct conf_bundle *in, uint16_t vlan,
      bool gratuitous)
{
    bool is_bond = in->config.bond_mode && in->config.n_members > 1;

    if (x->flow.packet_type) {
        return;                 /* What has no address teaches none. */
    }
    if (x->in->learn
        && mac_learn(&x->bridge->macs, x->conf, x->flow.eth_src, vlan,
                     in->config.id, is_bond, gratuitous, false,
                     x->in->now_ms)) {
        REPORT(x, TRACE_LEARNED, mac_number(x->flow.eth_src), in->config.id,
               vlan);
        pipeline_changed(x->pipeline);
    }
    bridge_ref(x->bridge);
    struct credit *c = xlate_credit(x, CREDIT_MAC, x->bridge);
    c->table = is_bond | gratuitous << 1;
    c->vlan = vlan;
    c->bundle = in->config.id;
    memcpy(c->mac, x->flow.eth_src, 6);
}

static void
flood_bundles(struct xlate *x, const struct conf_bundle *in,
              const struct tags *tags)
{
    for (uint32_t i = 0; i < x->conf->n_bundles; i++) {
        const struct conf_bundle *out = &x->conf->bundles[i];
        if (out != in && bundle_includes(out, tags) && out->floodable
            && !out->mirror_target) {
            output_bundle(x, out, tags);
        }
    }
}

void
xlate_normal(struct xlate *x)
{
    struct flow *flow = &x->flow;
    uint32_t in_port = be32_to(flow->in_port);

    MASK_ALL(x, eth_src);
    MASK_ALL(x, eth_dst);
    x->wc->vlan0_tci |= CONSTANT_BE16(0x1fff);

    const struct conf_port *port = conf_port(x->conf, in_port);
    const struct conf_bundle *in = port ? port->bundle : NULL;
    if (!in) {
        if (in_port != RESERVED_NONE && in_port != RESERVED_CONTROLLER) {
            REPORT(x, TRACE_PORT_UNKNOWN, in_port, 0, 0);
            REPORT(x, TRACE_NO_BUNDLE, 0, 0, 0);
            return;
        }
    }
    if (eth_type_is_vlan(flow->eth_type)
        && !(flow->vlan0_tci & CONSTANT_BE16(0x1000))) {
        if (in && x->in->frame) {
            REPORT(x, TRACE_PARTIAL_TAG_PACKET, in->config.id, 0, 0);
        }
        REPORT(x, TRACE_PARTIAL_TAG, 0, 0, 0);
        return;
    }
    if (in && in->mirror_target) {
        REPORT(x, TRACE_MIRROR_INPUT, 0, 0, 0);
        return;
    }
    struct tags from, tags;
    tags_extract(flow, &from);
    if (in && !input_is_allowed(x, from.tag[0].vid, in)) {
        REPORT(x, TRACE_VLAN_REFUSED, 0, 0, 0);
        return;
    }
    if (in) {
        tags_on_input(in, &from, &tags);
    } else {
        tags = from;
    }
    uint16_t vlan = tags.tag[0].vid;
    if (in && !is_admissible(x, in, in_port, vlan)) {
        return;
    }
    bool gratuitous = is_gratuitous_arp(x);
    if (in) {
        learn(x, in, vlan, gratuitous);
    }

    uint32_t id;
    if (!mac_lookup(&x->bridge->macs, x->conf, flow->eth_dst, vlan,
                    x->in->now_ms, &id, NULL)) {
        REPORT(x, TRACE_FLOODING, 0, 0, 0);
        flood_bundles(x, in, &tags);
        return;
    }
    const struct conf_bundle *out = conf_bundle(x->conf, id);
    if (!out) {
        REPORT(x, TRACE_UNKNOWN_BUNDLE, 0, 0, 0);
    } else if (out == in) {
        REPORT(x, TRACE_INPUT_IS_OUTPUT, 0, 0, 0);
    } else {
        REPORT(x, TRACE_FORWARDING, 0, 0, 0);
        output_bundle(x, out, &tags);
    }
}
