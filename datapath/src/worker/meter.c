/* meter.c: meters, token buckets that all workers share.
 *
 * A band's bucket holds thousandths of packets, or bits; it fills by 'rate' a
 * millisecond up to 'burst' and a frame takes out what it weighs.  A frame
 * that finds too little in some bands is treated as the one with the highest
 * rate says.  All of a meter is under its lock, which is held for one frame: a
 * meter is one bucket, not one per worker.
 *
 * Meters are found by number in an array of pointers; one that is replaced or
 * deleted is retired.  meter_pass(): any worker; the seam's functions: control
 * thread. */
#include "worker/worker.h"

#include "base/clock.h"
#include "packet/edit.h"
#include "packet/flow.h"
#include "packet/header.h"

#define MAX_METERS (1U << 18)

struct meter_state {
    struct lock lock;
    /* Guarded by lock. */
    struct meter config;        /* With its counters. */
    int64_t filled_ms;          /* When the buckets were last filled. */
    uint64_t buckets[8];
};

struct meter_table {
    struct meter_state *_Atomic meters[MAX_METERS];     /* Epoch. */
};

static void
state_free(void *state_)
{
    struct meter_state *state = state_;

    lock_destroy(&state->lock);
    free(state);
}

/* Makes the drop precedence of an assured forwarding class (RFC 2597) 'level'
 * higher, 3 at most; other code points have none. */
static void
remark(struct executor *e, struct packet *p, uint32_t level)
{
    struct flow flow;
    flow_extract(p, &flow);
    bool v4 = flow.eth_type == be16_from(ETH_TYPE_IPV4);
    bool v6 = flow.eth_type == be16_from(ETH_TYPE_IPV6);
    uint8_t dscp = flow.nw_tos >> 2;
    uint8_t class = dscp >> 3, precedence = dscp >> 1 & 3;

    if ((!v4 && !v6) || dscp & 1 || !precedence || !class || class > 4) {
        return;
    }
    precedence = MIN(3, precedence + level);
    uint8_t tos = (class << 3 | precedence << 1) << 2;
    struct {
        struct action_set set;
        uint8_t data[2 * ROUND_UP(sizeof(struct key_ipv6), 8)];
    } action = { .set = { .head = { .type = ACTION_SET,
                                    .size = sizeof action } } };
    if (v4) {
        struct key_ipv4 key = { .tos = tos }, mask = { .tos = 0xfc };
        action.set.key = KEY_IPV4;
        action.set.key_size = sizeof key;
        memcpy(action.data, &key, sizeof key);
        memcpy(action.data + ROUND_UP(sizeof key, 8), &mask, sizeof mask);
    } else {
        struct key_ipv6 key = { .tclass = tos }, mask = { .tclass = 0xfc };
        action.set.key = KEY_IPV6;
        action.set.key_size = sizeof key;
        memcpy(action.data, &key, sizeof key);
        memcpy(action.data + ROUND_UP(sizeof key, 8), &mask, sizeof mask);
    }
    if (packet_own(p, e->arena, 0)) {
        action_set_execute(p, &action.set);
    }
}

/* Lets '*p' meet meter 'id' of 'dp'; returns false where it is to be dropped.
 * A meter that does not exist lets everything pass. */
bool
meter_pass(struct datapath *dp, struct executor *e, struct packet *p,
           uint32_t id, int64_t now_ms)
{
    struct meter_table *t = atomic_load_explicit(&dp->meters,
                                                 memory_order_acquire);
    struct meter_state *m = t && id < MAX_METERS
        ? atomic_load_explicit(&t->meters[id], memory_order_acquire) : NULL;

    if (!m) {
        return true;
    }
    lock_take(&m->lock);
    struct meter *c = &m->config;
    bool packets = c->flags & METER_PKTPS;
    uint64_t weight = packets ? 1000 : p->size * UINT64_C(8);
    uint64_t elapsed = MAX(0, now_ms - m->filled_ms);
    struct meter_band *fired = NULL;

    m->filled_ms += elapsed;
    c->n_packets++;
    c->n_bytes += p->size;
    for (uint32_t i = 0; i < c->n_bands; i++) {
        struct meter_band *band = &c->bands[i];
        uint64_t most = band->burst * UINT64_C(1000);
        uint64_t room = most - m->buckets[i];
        /* Compared like this so that nothing overflows. */
        m->buckets[i] += band->rate && elapsed > room / band->rate
                         ? room : elapsed * band->rate;
        if (m->buckets[i] >= weight) {
            m->buckets[i] -= weight;
        } else if (!fired || band->rate > fired->rate) {
            fired = band;
        }
    }
    if (fired) {
        fired->n_packets++;
        fired->n_bytes += p->size;
    }
    uint32_t type = fired ? fired->type : 0;
    uint32_t level = fired ? fired->level : 0;
    lock_drop(&m->lock);
    if (type == METER_DSCP_REMARK) {
        remark(e, p, level);
    }
    return type != METER_DROP;
}

/* The seam. */

static struct meter_state *
publish(struct datapath *dp, uint32_t id, struct meter_state *new)
{
    struct meter_table *t = atomic_load(&dp->meters);

    if (!t) {
        t = xcalloc(1, sizeof *t);
        atomic_store_explicit(&dp->meters, t, memory_order_release);
    }
    return atomic_exchange_explicit(&t->meters[id], new,
                                    memory_order_acq_rel);
}

static int
find(uint32_t dp_handle, uint32_t id, struct datapath **dp,
     struct meter_state **m)
{
    int error = datapath_get(dp_handle, dp);

    if (error) {
        return error;
    }
    struct meter_table *t = atomic_load(&(*dp)->meters);
    *m = t && id < MAX_METERS ? atomic_load(&t->meters[id]) : NULL;
    return *m ? 0 : error_set(ENOENT, "no meter %u", id);
}

int
meter_set(uint32_t dp_handle, uint32_t id, const struct meter *config)
{
    struct datapath *dp = datapath_find(dp_handle);

    if (!dp) {
        return error_set(ENODEV, "no datapath %u", dp_handle);
    }
    if (id >= MAX_METERS) {
        return error_set(E2BIG, "meter number %u is too high", id);
    }
    if (config->n_bands > N_ELEMENTS(config->bands)) {
        return error_set(EINVAL, "a meter has no more than %zu bands",
                         N_ELEMENTS(config->bands));
    }
    struct meter_state *new = xzalloc(sizeof *new);
    lock_init(&new->lock);
    new->config = *config;
    new->config.n_packets = new->config.n_bytes = 0;
    new->filled_ms = clock_now();
    for (uint32_t i = 0; i < config->n_bands; i++) {
        struct meter_band *band = &new->config.bands[i];
        band->n_packets = band->n_bytes = 0;
        if (!band->burst) {
            band->burst = band->rate;
        }
        new->buckets[i] = band->burst * UINT64_C(1000);
    }
    struct meter_state *old = publish(dp, id, new);
    if (old) {
        epoch_retire(old, state_free);
    }
    return 0;
}

int
meter_get(uint32_t dp_handle, uint32_t id, struct meter *config)
{
    struct datapath *dp;
    struct meter_state *m;
    int error = find(dp_handle, id, &dp, &m);

    if (!error) {
        lock_take(&m->lock);
        *config = m->config;
        lock_drop(&m->lock);
    }
    return error;
}

int
meter_del(uint32_t dp_handle, uint32_t id)
{
    struct datapath *dp;
    struct meter_state *m;
    int error = find(dp_handle, id, &dp, &m);

    if (!error) {
        publish(dp, id, NULL);
        epoch_retire(m, state_free);
    }
    return error;
}

void
meters_destroy(struct datapath *dp)
{
    struct meter_table *t = atomic_load(&dp->meters);

    for (uint32_t i = 0; t && i < MAX_METERS; i++) {
        struct meter_state *m = atomic_load(&t->meters[i]);
        if (m) {
            state_free(m);
        }
    }
    free(t);
}
