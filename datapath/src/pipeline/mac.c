/* mac.c: MAC learning tables and the seam's functions for them.
 *
 * One table per bridge, keyed by (MAC, VLAN), guarded by its own lock, which
 * is held for a lookup at most.  Learned MACs age out `mac_aging_s` seconds
 * after their last use; the one used longest ago makes room when the table is
 * full.
 * Any thread; the seam's functions: control thread. */
#include "pipeline/private.h"

#include <stdlib.h>

#define GRAT_ARP_LOCK_MS 5000

void
mac_table_init(struct mac_table *t)
{
    lock_init(&t->lock);
    t->n_hash = 64;
    t->hash = xcalloc(t->n_hash, sizeof *t->hash);
}

void
mac_table_destroy(struct mac_table *t)
{
    for (uint32_t i = 0; i < t->n_hash; i++) {
        struct mac *next;
        for (struct mac *m = t->hash[i]; m; m = next) {
            next = m->next;
            free(m);
        }
    }
    free(t->hash);
    lock_destroy(&t->lock);
}

static uint32_t
mac_hash(const uint8_t *address, uint16_t vlan)
{
    uint64_t key = 0;

    memcpy(&key, address, 6);
    return hash_u64(key << 16 | vlan, 0);
}

static struct mac **
find(struct mac_table *t, const uint8_t *address, uint16_t vlan)
{
    struct mac **link = &t->hash[mac_hash(address, vlan) & (t->n_hash - 1)];

    while (*link && ((*link)->vlan != vlan
                     || memcmp((*link)->address, address, 6))) {
        link = &(*link)->next;
    }
    return link;
}

static void
list_remove(struct mac_table *t, struct mac *m)
{
    if (!m->is_static) {
        *(m->older ? &m->older->newer : &t->oldest) = m->newer;
        *(m->newer ? &m->newer->older : &t->newest) = m->older;
        m->newer = m->older = NULL;
    }
}

static void
list_append(struct mac_table *t, struct mac *m)
{
    m->place = ++t->last_place;
    m->older = t->newest;
    m->newer = NULL;
    *(t->newest ? &t->newest->newer : &t->oldest) = m;
    t->newest = m;
}

static void
remove_mac(struct mac_table *t, struct mac *m)
{
    struct mac **link = find(t, m->address, m->vlan);

    *link = m->next;
    list_remove(t, m);
    t->stats.n_static -= m->is_static;
    t->n--;
    free(m);
}

void
mac_table_flush(struct mac_table *t, uint32_t bundle)
{
    lock_take(&t->lock);
    while (!bundle && t->oldest) {
        remove_mac(t, t->oldest);
    }
    for (uint32_t i = 0; bundle && i < t->n_hash; i++) {
        struct mac *next;
        for (struct mac *m = t->hash[i]; m; m = next) {
            next = m->next;
            if (m->bundle == bundle) {
                remove_mac(t, m);
            }
        }
    }
    lock_drop(&t->lock);
}

static struct mac *
add_mac(struct mac_table *t, const uint8_t *address, uint16_t vlan)
{
    struct mac *m = xzalloc(sizeof *m);

    if (t->n >= t->n_hash) {
        uint32_t n_hash = t->n_hash * 2;
        struct mac **hash = xcalloc(n_hash, sizeof *hash);
        for (uint32_t i = 0; i < t->n_hash; i++) {
            struct mac *next;
            for (struct mac *old = t->hash[i]; old; old = next) {
                next = old->next;
                uint32_t j = mac_hash(old->address, old->vlan) & (n_hash - 1);
                old->next = hash[j];
                hash[j] = old;
            }
        }
        free(t->hash);
        t->hash = hash;
        t->n_hash = n_hash;
    }
    memcpy(m->address, address, 6);
    m->vlan = vlan;
    *find(t, address, vlan) = m;
    t->n++;
    return m;
}

static bool
is_expired(const struct mac *m, const struct conf *conf, int64_t now_ms)
{
    return !m->is_static
           && now_ms - m->used_ms >= conf->config.mac_aging_s * INT64_C(1000);
}

bool
mac_lookup(struct mac_table *t, const struct conf *conf,
           const uint8_t *address, uint16_t vlan, int64_t now_ms,
           uint32_t *bundle, bool *locked)
{
    bool found = false;

    if (address[0] & 1
        || conf->config.flood_vlans[vlan / 64] >> (vlan % 64) & 1) {
        return false;
    }
    lock_take(&t->lock);
    struct mac *m = *find(t, address, vlan);
    if (m && !is_expired(m, conf, now_ms)) {
        *bundle = m->bundle;
        if (locked) {
            *locked = now_ms < m->locked_until_ms;
        }
        found = true;
    }
    lock_drop(&t->lock);
    return found;
}

bool
mac_learn(struct mac_table *t, const struct conf *conf,
          const uint8_t *address, uint16_t vlan, uint32_t bundle, bool is_bond,
          bool gratuitous_arp, bool is_past,
          int64_t now_ms)
{
    bool news = false;

    if (address[0] & 1
        || conf->config.flood_vlans[vlan / 64] >> (vlan % 64) & 1) {
        return false;
    }
    lock_take(&t->lock);
    struct mac *m = *find(t, address, vlan);
    if (m && m->is_static) {
        goto done;
    }
    if (m && is_past && m->bundle != bundle && now_ms <= m->used_ms) {
        goto done;              /* It has been seen elsewhere since. */
    }
    if (m && m->bundle == bundle && !gratuitous_arp
        && now_ms / 1000 == m->used_ms / 1000) {
        goto done;              /* Nothing new in this second. */
    }
    if (m && is_expired(m, conf, now_ms)) {
        remove_mac(t, m);
        t->stats.n_expired++;
        m = NULL;
    }
    if (!m) {
        uint32_t max = conf->config.mac_table_size;
        while (max && t->n - t->stats.n_static >= max && t->oldest) {
            remove_mac(t, t->oldest);
            t->stats.n_evicted++;
        }
        m = add_mac(t, address, vlan);
        t->stats.n_learned++;
        news = true;
    } else {
        list_remove(t, m);
    }
    if (now_ms > m->used_ms) {
        m->used_ms = now_ms;
    }
    list_append(t, m);
    if (gratuitous_arp && !is_bond) {
        /* An announcement seen on a port that is no bond settles where the
         * MAC is for a while: bonds may reflect it. */
        m->locked_until_ms = now_ms + GRAT_ARP_LOCK_MS;
    } else if (gratuitous_arp && now_ms < m->locked_until_ms) {
        goto done;
    }
    if (m->bundle != bundle) {
        t->stats.n_moved += !news;
        m->bundle = bundle;
        news = true;
    }
done:
    lock_drop(&t->lock);
    return news;
}

uint32_t
mac_expire(struct mac_table *t, const struct conf *conf, int64_t now_ms)
{
    uint32_t n = 0;

    lock_take(&t->lock);
    while (t->oldest && is_expired(t->oldest, conf, now_ms)) {
        remove_mac(t, t->oldest);
        t->stats.n_expired++;
        n++;
    }
    lock_drop(&t->lock);
    return n;
}

int64_t
mac_deadline(struct mac_table *t, const struct conf *conf)
{
    int64_t deadline = INT64_MAX;

    lock_take(&t->lock);
    if (t->oldest) {
        deadline = t->oldest->used_ms
                   + conf->config.mac_aging_s * INT64_C(1000);
    }
    lock_drop(&t->lock);
    return deadline;
}

static int
compare_places(const void *a_, const void *b_)
{
    const struct mac *a = *(struct mac *const *) a_;
    const struct mac *b = *(struct mac *const *) b_;

    return (a->place > b->place) - (a->place < b->place);
}

int
macs_dump(uint32_t handle, uint64_t *cursor, struct mac_entry *entries,
          uint32_t max, uint32_t *n)
{
    struct bridge *bridge = bridge_find(handle);

    *n = 0;
    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    /* A cursor is the place after which to go on. */
    struct mac_table *t = &bridge->macs;
    const struct conf *conf = bridge_conf(bridge);
    int64_t now_ms = clock_now();
    lock_take(&t->lock);
    struct mac **macs = xcalloc(t->n + 1, sizeof *macs);
    uint32_t n_macs = 0, at = 0;
    for (uint32_t i = 0; i < t->n_hash; i++) {
        for (struct mac *m = t->hash[i]; m; m = m->next) {
            if (m->place > *cursor) {
                macs[n_macs++] = m;
            }
        }
    }
    qsort(macs, n_macs, sizeof *macs, compare_places);
    for (; at < n_macs && *n < max; at++) {
        const struct mac *m = macs[at];
        struct mac_entry *e = &entries[(*n)++];
        const struct conf_bundle *b = conf_bundle(conf, m->bundle);
        memset(e, 0, sizeof *e);
        memcpy(e->mac, m->address, 6);
        e->vlan = m->vlan;
        e->bundle = m->bundle;
        e->ofp = m->ofp ? m->ofp
                 : b && b->config.n_members ? b->members[0]
                 : RESERVED_NONE;
        e->is_static = m->is_static;
        e->age_s = m->is_static ? 0 : (now_ms - m->used_ms) / 1000;
        *cursor = m->place;
    }
    if (at == n_macs) {
        *cursor = 0;
    }
    lock_drop(&t->lock);
    free(macs);
    return 0;
}

int
mac_set(uint32_t handle, const struct mac_entry *entry)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    struct mac_table *t = &bridge->macs;
    lock_take(&t->lock);
    struct mac *m = *find(t, entry->mac, entry->vlan);
    if (m) {
        list_remove(t, m);
        t->stats.n_static -= m->is_static;
    } else {
        m = add_mac(t, entry->mac, entry->vlan);
        m->place = ++t->last_place;
    }
    const struct conf_port *port = conf_port(bridge_conf(bridge), entry->ofp);
    m->bundle = entry->bundle ? entry->bundle
                : port && port->bundle ? port->bundle->config.id : 0;
    m->ofp = entry->ofp;
    m->is_static = entry->is_static;
    m->used_ms = clock_now();
    if (m->is_static) {
        t->stats.n_static++;
    } else {
        list_append(t, m);
    }
    lock_drop(&t->lock);
    pipeline_changed(bridge->pipeline);
    return 0;
}

int
mac_del(uint32_t handle, const struct mac_entry *entry)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    struct mac_table *t = &bridge->macs;
    lock_take(&t->lock);
    struct mac *m = *find(t, entry->mac, entry->vlan);
    if (m) {
        remove_mac(t, m);
    }
    lock_drop(&t->lock);
    if (!m) {
        return error_set(ENOENT, "no such MAC");
    }
    pipeline_changed(bridge->pipeline);
    return 0;
}

int
macs_flush(uint32_t handle)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    mac_table_flush(&bridge->macs, 0);
    pipeline_changed(bridge->pipeline);
    return 0;
}

int
mac_stats_get(uint32_t handle, struct mac_stats *stats, bool clear)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    struct mac_table *t = &bridge->macs;
    lock_take(&t->lock);
    *stats = t->stats;
    stats->n_current = t->n;
    if (clear) {
        uint64_t n_static = t->stats.n_static;
        memset(&t->stats, 0, sizeof t->stats);
        t->stats.n_static = n_static;
    }
    lock_drop(&t->lock);
    return 0;
}
