/* select.c: translating the use of OpenFlow groups: all, indirect, fast
 * failover, and select with its ways to choose a bucket.  Part of a
 * translation; any thread. */
#include "packet/flow_hash.h"
#include "translation/xlate.h"

#define MAX_LIVENESS_DEPTH 128

static const struct group_bucket *first_live_bucket(
    struct xlate *, const struct group *, unsigned depth);

static bool
port_is_live(const struct xlate *x, uint32_t ofp)
{
    const struct conf_port *port = conf_port(x->conf, ofp);

    return port && port->config.state & BP_LIVE;
}

/* A bucket of a "select" group that weighs nothing is never used. */
static bool
bucket_is_live(struct xlate *x, const struct group *group,
               const struct group_bucket *bucket, unsigned depth)
{
    if (depth >= MAX_LIVENESS_DEPTH
        || (group->type == GROUP_SELECT && !bucket->weight)) {
        return false;
    }
    bool watches_port = bucket->watch_port != UINT32_MAX
                        && bucket->watch_port != RESERVED_NONE;
    bool watches_group = bucket->watch_group != UINT32_MAX;
    if (!watches_port && !watches_group) {
        return true;
    }
    if (watches_port && port_is_live(x, bucket->watch_port)) {
        return true;
    }
    if (watches_group) {
        const struct group *g = group_lookup(x->bridge, bucket->watch_group,
                                             x->version);
        return g && first_live_bucket(x, g, depth + 1);
    }
    return false;
}

static void
report_dead(struct xlate *x, const struct group_bucket *bucket)
{
    uint32_t port = bucket->watch_port == RESERVED_NONE ? UINT32_MAX
                                                        : bucket->watch_port;

    REPORT(x, TRACE_BUCKET_DEAD, bucket->id,
           (uint64_t) port << 32 | bucket->watch_group, 0);
}

static const struct group_bucket *
first_live_bucket(struct xlate *x, const struct group *group,
                  unsigned depth)
{
    for (uint32_t i = 0; i < group->n_buckets; i++) {
        const struct group_bucket *bucket = &group->buckets[i];
        if (bucket_is_live(x, group, bucket, depth)) {
            return bucket;
        }
        report_dead(x, bucket);
    }
    return NULL;
}

static void
run_bucket(struct xlate *x, const struct group *group, uint32_t i)
{
    const struct group_bucket *bucket = &group->buckets[i];
    struct flow flow = x->flow;
    bool was_mpls = x->was_mpls, old_last = x->last_is_last;
    unsigned depth = x->trace_depth;
    uint32_t source = x->source;
    uint64_t old_group = x->bucket_group, old_index = x->bucket_index;

    x->bucket_group = ((uint64_t) x->bridge->handle << 32 | group->id);
    x->bucket_index = i + 1;
    if (xlate_traced(x)) {
        xlate_report(x, TRACE_BUCKET, bucket->id, x->bucket_group,
                     x->bucket_index, 0);
        x->trace_depth++;
    }
    x->last_is_last = false;
    x->depth++;
    xlate_action_set(x, program_ops(bucket->program), bucket->program->size,
                     true);
    x->depth--;
    xlate_finish_freezing(x, 0);
    x->bucket_group = old_group;
    x->bucket_index = old_index;
    x->last_is_last = old_last;
    x->trace_depth = depth;
    x->source = source;
    /* Each bucket has a copy of the frame to itself. */
    x->flow = flow;
    x->was_mpls = was_mpls;
    x->exit = false;
}

static void
credit_bucket(struct xlate *x, struct group *group, uint32_t i)
{
    if (i != UINT32_MAX) {
        xlate_credit_counters(x, group->buckets[i].counters);
    }
}

/* Un-wildcards addresses of IP. */
static void
mask_addresses(struct xlate *x)
{
    if (x->flow.eth_type == CONSTANT_BE16(ETH_TYPE_IPV4)) {
        x->wc->nw_src = x->wc->nw_dst = UINT32_MAX;
    } else {
        memset(x->wc->ipv6_src, 0xff, 16);
        memset(x->wc->ipv6_dst, 0xff, 16);
    }
}

static void
mask_l2(struct xlate *x)
{
    memset(x->wc->eth_src, 0xff, 6);
    memset(x->wc->eth_dst, 0xff, 6);
    x->wc->vlan0_tci |= CONSTANT_BE16(0x1fff);
}

/* Un-wildcards and hashes what a symmetric layer 4 hash looks at. */
static uint32_t
hash_symmetric_l4(struct xlate *x, uint32_t basis)
{
    mask_l2(x);
    if (is_ip(&x->flow)) {
        mask_addresses(x);
        x->wc->nw_proto = 0xff;
        if (x->flow.nw_proto != 17) {       /* Ports of UDP are not hashed. */
            x->wc->tp_src = x->wc->tp_dst = UINT16_MAX;
        }
    }
    return flow_hash_symmetric_l4(&x->flow, basis);
}

/* Hashes the fields that multipath and bundle name by number. */
static uint32_t
hash_fields(struct xlate *x, unsigned which, uint32_t basis)
{
    enum { ETH_SRC, SYMMETRIC_L4, SYMMETRIC_L3L4, SYMMETRIC_L3L4_UDP, NW_SRC,
           NW_DST, SYMMETRIC_L3 };
    const struct flow *f = &x->flow;
    struct flow *wc = x->wc;

    switch (which) {
    case ETH_SRC:
        memset(wc->eth_src, 0xff, 6);
        return lookup3_bytes(f->eth_src, 6, basis);
    case SYMMETRIC_L4:
        return hash_symmetric_l4(x, basis);
    case NW_SRC:
    case NW_DST:
        if (f->eth_type == CONSTANT_BE16(ETH_TYPE_IPV4)) {
            *(which == NW_SRC ? &wc->nw_src : &wc->nw_dst) = UINT32_MAX;
            return lookup3_bytes(which == NW_SRC ? &f->nw_src : &f->nw_dst, 4,
                                 basis);
        } else if (f->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6)) {
            memset(which == NW_SRC ? wc->ipv6_src : wc->ipv6_dst, 0xff, 16);
            return lookup3_bytes(which == NW_SRC ? f->ipv6_src : f->ipv6_dst,
                                 16, basis);
        }
        return basis;
    case SYMMETRIC_L3:
        if (is_ip(f)) {
            mask_addresses(x);
        }
        return flow_hash_symmetric_l3(f, basis);
    default:
        if (is_ip(f)) {
            mask_addresses(x);
            wc->nw_proto = 0xff;
            if (f->nw_proto == 6 || f->nw_proto == 132
                || (f->nw_proto == 17 && which == SYMMETRIC_L3L4_UDP)) {
                wc->tp_src = wc->tp_dst = UINT16_MAX;
            }
            return flow_hash_symmetric_l3l4(f, basis,
                                            which == SYMMETRIC_L3L4_UDP);
        }
        break;
    }
    mask_l2(x);
    return flow_hash_symmetric_l2(f, basis);
}

void
xlate_multipath(struct xlate *x, const struct op_multipath *op)
{
    enum { MODULO_N, HASH_THRESHOLD, HIGHEST_WEIGHT, ITER_HASH };
    uint32_t hash = hash_fields(x, op->fields, op->basis);
    uint32_t n = op->max_link + 1, link = 0;

    if (op->algorithm == MODULO_N) {
        link = hash % n;
    } else if (op->algorithm == HASH_THRESHOLD) {
        link = n == 1 ? 0 : hash / (UINT32_MAX / n + 1);
    } else if (op->algorithm == HIGHEST_WEIGHT && n <= 64) {
        uint32_t best = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t weight = murmur_2words(hash, i);
            if (!i || weight > best) {
                best = weight;
                link = i;
            }
        }
    } else {
        /* Hash until a link comes out that exists: below the smallest power
         * of two that is not too small for that to happen soon. */
        uint32_t modulus = op->algorithm == ITER_HASH ? op->arg : 0;
        if (modulus < n || modulus / 2 > n) {
            modulus = 1;
            while (modulus < n) {
                modulus *= 2;
            }
        }
        for (uint32_t i = 0; i < 65536; i++) {
            link = murmur_2words(hash, i) % modulus;
            if (link < n) {
                break;
            }
        }
        link = link < n ? link : 0;
    }
    subfield_mask(&op->dst, x->wc);
    subfield_set_u64(&op->dst, link, &x->flow);
}

uint32_t
xlate_bundle(struct xlate *x, const struct op_bundle *op)
{
    uint32_t chosen = RESERVED_NONE, best = 0;
    uint32_t hash = op->algorithm && op->n > 1
                    ? hash_fields(x, op->fields, op->basis) : 0;

    for (uint32_t i = 0; i < op->n; i++) {
        if (!port_is_live(x, op->tail[i])) {
            continue;
        }
        if (!op->algorithm) {
            return op->tail[i];
        }
        uint32_t weight = murmur_2words(i, hash);
        if (chosen == RESERVED_NONE || weight > best) {
            best = weight;
            chosen = op->tail[i];
        }
    }
    return chosen;
}

/* Picks the live bucket with the highest weighted score for 'hash'. */
static uint32_t
pick_by_score(struct xlate *x, const struct group *group, uint32_t hash)
{
    uint32_t best = UINT32_MAX;
    uint64_t best_score = 0;

    for (uint32_t i = 0; i < group->n_buckets; i++) {
        const struct group_bucket *b = &group->buckets[i];
        if (!bucket_is_live(x, group, b, 0)) {
            report_dead(x, b);
            continue;
        }
        uint64_t score = (uint64_t) (murmur_2words(b->id, hash) & 0xffff)
                         * b->weight;
        REPORT(x, TRACE_BUCKET_SCORE, b->id, score, 0);
        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best;
}

static uint32_t
pick_by_fields(struct xlate *x, const struct group *group)
{
    uint32_t hash = murmur_u64(group->method_param);

    for (uint32_t i = 0; i < group->n_fields; i++) {
        const struct hash_field *h = &group->fields[i];
        const struct field *f = &fields[h->field];
        if (!field_has_prereq(f->prereq, &x->flow, x->wc)) {
            continue;
        }
        struct subfield whole = { .field = h->field, .n_bits = f->width };
        struct flow mask;
        uint8_t value[16];
        subfield_read(&whole, &x->flow, value);
        if (h->field == FIELD_VLAN_VID && x->flow.vlan0_tci) {
            value[14] |= 0x10;  /* In OpenFlow it says that there is a tag. */
        }
        for (unsigned j = 0; j < sizeof value; j++) {
            value[j] &= h->mask[j];
        }
        hash = murmur_bytes(value + sizeof value - h->size, h->size, hash);
        memset(&mask, 0, sizeof mask);
        subfield_write(&whole, h->mask, &mask);
        field_mask(f, (const uint8_t *) &mask + f->offset, x->wc);
    }
    return pick_by_score(x, group, hash);
}

static uint32_t
pick_by_dp_hash(struct xlate *x, const struct group *group)
{
    uint32_t dp_hash = be32_to(x->flow.dp_hash);

    if (!dp_hash) {
        /* Not computed yet: do that and come back. */
        xlate_freeze(x);
        x->hash_for_recirc = true;
        x->hash_algorithm = group->hash_algorithm;
        x->hash_basis = group->hash_basis;
        return UINT32_MAX;
    }
    x->wc->dp_hash |= be32_from(group->hash_mask);
    for (uint32_t i = 0; i <= group->hash_mask; i++) {
        uint32_t b = group->hash_map[(dp_hash + i) & group->hash_mask];
        if (bucket_is_live(x, group, &group->buckets[b], 0)) {
            return b;
        }
    }
    return UINT32_MAX;
}

static uint32_t
pick_bucket(struct xlate *x, const struct group *group)
{
    if (group->type == GROUP_FAST_FAILOVER) {
        const struct group_bucket *b = first_live_bucket(x, group, 0);
        return b ? (uint32_t) (b - group->buckets) : UINT32_MAX;
    }
    if (group->hash_map) {
        return pick_by_dp_hash(x, group);
    }
    if (group->method == GROUP_METHOD_HASH && group->fields) {
        return pick_by_fields(x, group);
    }
    return pick_by_score(x, group, hash_symmetric_l4(x, 0));
}

void
xlate_group(struct xlate *x, uint32_t id)
{
    bool was_in_group = x->in_group;

    if (!xlate_may_resubmit(x)) {
        return;
    }
    struct group *group = group_lookup(x->bridge, id, x->version);
    if (!group) {
        REPORT(x, TRACE_NO_GROUP, id, 0, 0);
        return;
    }
    x->in_group = true;
    if (group->type == GROUP_ALL || group->type == GROUP_INDIRECT) {
        /* What went wrong in one does not keep it from others: all count. */
        for (uint32_t i = 0; i < group->n_buckets; i++) {
            run_bucket(x, group, i);
            credit_bucket(x, group, i);
        }
        group_ref(group);
        xlate_credit(x, CREDIT_GROUP, group);
    } else {
        uint32_t i = pick_bucket(x, group);
        if (i != UINT32_MAX) {
            REPORT(x, TRACE_USING_BUCKET, group->buckets[i].id, 0, 0);
            run_bucket(x, group, i);
            credit_bucket(x, group, i);
            group_ref(group);
            xlate_credit(x, CREDIT_GROUP, group);
        } else {
            REPORT(x, TRACE_NO_BUCKET, 0, 0, 0);
        }
    }
    x->in_group = was_in_group;
}
