/* pipeline.c: opening and closing pipelines, and how a bridge is configured.
 *
 * Thread rule: configuration functions are for the control thread; readers get
 * immutable values that are retired when replaced. */
#include "pipeline/private.h"

void
pipeline_set_features(struct pipeline *p, uint64_t features)
{
    p->features = features;
    pipeline_changed(p);
}

static void
pipeline_free(void *p_)
{
    struct pipeline *p = p_;

    for (unsigned i = 0; i < FROZEN_HASH; i++) {
        struct frozen *next;
        for (struct frozen *f = p->frozen_by_id[i]; f; f = next) {
            next = f->next_id;
            free(f);
        }
    }
    free(atomic_load(&p->port_map));
    free(p->changes);
    lock_destroy(&p->mutex);
    lock_destroy(&p->frozen_lock);
    lock_destroy(&p->learn_lock);
    for (uint32_t i = 0; i < p->n_learned; i++) {
        learned_unref(p->learned[i]);
    }
    free(p->learned);
    free(p);
}

struct pipeline *
pipeline_open(uint32_t dp, uint64_t features)
{
    struct pipeline *p = xzalloc(sizeof *p);
    struct port_map *map = xzalloc(sizeof *map + sizeof *map->entries);

    p->dp = dp;
    p->features = features;
    lock_init(&p->mutex);
    lock_init(&p->frozen_lock);
    lock_init(&p->learn_lock);
    p->next_recirc_id = 1;
    p->next_expiry_ms = INT64_MAX;
    atomic_init(&p->serial, 1);
    map->entries[0].odp = ODP_NONE;
    atomic_init(&p->port_map, map);
    if (!pipeline_register(p)) {
        pipeline_free(p);
        return NULL;
    }
    return p;
}

void
pipeline_close(struct pipeline *p)
{
    if (!p) {
        return;
    }
    rules_follow_shortened(p);
    while (p->bridges) {
        bridge_del(p->bridges->handle);
    }
    pipeline_forget(p);
    epoch_retire(p, pipeline_free);
}

static void
conf_publish(struct bridge *bridge, struct conf *conf)
{
    struct conf *old = atomic_load(&bridge->conf);

    conf_link(conf);
    atomic_store_explicit(&bridge->conf, conf, memory_order_release);
    epoch_retire(old, conf_free);
    pipeline_changed(bridge->pipeline);
}

/* Makes the map of datapath ports anew. */
static void
port_map_publish(struct pipeline *p)
{
    uint32_t n = 0, capacity = 4;

    for (struct bridge *b = p->bridges; b; b = b->next) {
        n += bridge_conf(b)->n_ports;
    }
    while (capacity < n * 2) {
        capacity *= 2;
    }
    struct port_map *map = xzalloc(sizeof *map
                                   + capacity * sizeof *map->entries);
    map->hash_mask = capacity - 1;
    for (uint32_t i = 0; i < capacity; i++) {
        map->entries[i].odp = ODP_NONE;
    }
    for (struct bridge *b = p->bridges; b; b = b->next) {
        const struct conf *conf = bridge_conf(b);
        for (uint32_t i = 0; i < conf->n_ports; i++) {
            const struct bridge_port *port = &conf->ports[i].config;
            if (port->odp == ODP_NONE) {
                continue;
            }
            uint32_t j = hash_u32(port->odp, 0) & map->hash_mask;
            while (map->entries[j].odp != ODP_NONE) {
                j = (j + 1) & map->hash_mask;
            }
            map->entries[j].odp = port->odp;
            map->entries[j].ofp = port->ofp;
            map->entries[j].bridge = b;
        }
    }
    struct port_map *old = atomic_load(&p->port_map);
    atomic_store_explicit(&p->port_map, map, memory_order_release);
    epoch_retire(old, free);
}

int
bridge_add(uint32_t dp, const struct bridge_config *config, uint32_t *handle)
{
    struct pipeline *p = pipeline_find(dp);

    if (!p) {
        return error_set(ENODEV, "no datapath %u", dp);
    }
    struct bridge *bridge = bridge_new(p, config);
    bridge_register(bridge);
    struct bridge **link = &p->bridges;
    while (*link) {
        link = &(*link)->next;
    }
    *link = bridge;
    *handle = bridge->handle;
    pipeline_changed(p);
    return 0;
}

int
bridge_set(uint32_t handle, const struct bridge_config *config)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    if (memcmp(&bridge_conf(bridge)->config, config, sizeof *config)) {
        struct conf *conf = conf_clone(bridge_conf(bridge));
        if (memcmp(conf->config.flood_vlans, config->flood_vlans,
                   sizeof config->flood_vlans)) {
            mac_table_flush(&bridge->macs, 0);
        }
        conf->config = *config;
        conf_publish(bridge, conf);
    }
    return 0;
}

int
bridge_meters_set(uint32_t handle, const struct bridge_meter *meters,
                  uint32_t n)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    for (uint32_t i = 1; i < n; i++) {
        if (meters[i].ofp <= meters[i - 1].ofp) {
            return error_set(EINVAL, "meters are not in order");
        }
    }
    struct meter_map *map = xzalloc(sizeof *map + n * sizeof *meters);
    map->n = n;
    if (n) {
        memcpy(map->entries, meters, n * sizeof *meters);
    }
    struct meter_map *old = atomic_exchange_explicit(&bridge->meters, map,
                                                     memory_order_acq_rel);
    if (old) {
        epoch_retire(old, free);
    }
    pipeline_changed(bridge->pipeline);
    return 0;
}

int
bridge_del(uint32_t handle)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    struct pipeline *p = bridge->pipeline;
    lock_take(&p->mutex);
    struct bridge **link = &p->bridges;
    while (*link != bridge) {
        link = &(*link)->next;
    }
    *link = bridge->next;
    __atomic_store_n(&bridge->dead, true, __ATOMIC_RELAXED);
    bridge_forget(bridge);
    bridge_rules_destroy(bridge);
    bridge_groups_destroy(bridge);
    port_map_publish(p);
    lock_drop(&p->mutex);
    pipeline_changed(p);
    bridge_unref(bridge);
    return 0;
}

/* Tells whether 'was' is among 'ports', with its number. */
static bool
has_port(const struct conf_port *ports, uint32_t n,
         const struct bridge_port *was)
{
    for (uint32_t i = 0; i < n; i++) {
        if (ports[i].config.ofp == was->ofp
            && !strcmp(ports[i].config.name, was->name)) {
            return true;
        }
    }
    return false;
}

/* Tells whether MACs learned on 'a' hold for 'b' too. */
static bool
learns_alike(const struct bundle *a, const struct bundle *b)
{
    return a->vlan_mode == b->vlan_mode && a->vlan == b->vlan
           && a->qinq_tpid == b->qinq_tpid && a->flags == b->flags
           && !memcmp(a->trunks, b->trunks, sizeof a->trunks)
           && !memcmp(a->cvlans, b->cvlans, sizeof a->cvlans);
}

int
bridge_ports_set(uint32_t handle, const struct bridge_port *ports, uint32_t n)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    const struct conf *old = bridge_conf(bridge);
    struct conf *conf = conf_clone(old);
    struct conf_port *new = n ? xcalloc(n, sizeof *new) : NULL;
    for (uint32_t i = 0; i < n; i++) {
        const struct conf_port *was = conf_port(old, ports[i].ofp);
        new[i].config = ports[i];
        if (was && !strcmp(was->config.name, ports[i].name)) {
            new[i].rx = was->rx;
            new[i].tx = was->tx;
            counters_ref(was->rx);
            counters_ref(was->tx);
        } else {
            new[i].rx = counters_new(0);
            new[i].tx = counters_new(0);
        }
    }
    for (uint32_t i = 0; i < conf->n_ports; i++) {
        const struct bridge_port *was = &conf->ports[i].config;
        if (was->bundle && !has_port(new, n, was)) {
            mac_table_flush(&bridge->macs, was->bundle);
        }
        counters_unref(conf->ports[i].rx);
        counters_unref(conf->ports[i].tx);
    }
    free(conf->ports);
    conf->ports = new;
    conf->n_ports = n;
    conf_publish(bridge, conf);
    port_map_publish(bridge->pipeline);
    return 0;
}

int
bundles_set(uint32_t handle, const struct bundle *bundles, uint32_t n,
            const uint32_t *members, uint32_t n_members)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (bundles[i].first_member > n_members
            || bundles[i].n_members > n_members - bundles[i].first_member) {
            return error_set(EINVAL, "bundle %u: members out of range",
                             bundles[i].id);
        }
    }
    struct conf *conf = conf_clone(bridge_conf(bridge));
    for (uint32_t i = 0; i < conf->n_bundles; i++) {
        const struct bundle *was = &conf->bundles[i].config;
        uint32_t j = 0;
        while (j < n && bundles[j].id != was->id) {
            j++;
        }
        if (j == n || !learns_alike(was, &bundles[j])) {
            mac_table_flush(&bridge->macs, was->id);
        }
    }
    free(conf->bundles);
    free(conf->members);
    conf->bundles = n ? xcalloc(n, sizeof *conf->bundles) : NULL;
    for (uint32_t i = 0; i < n; i++) {
        conf->bundles[i].config = bundles[i];
    }
    conf->n_bundles = n;
    conf->members = COPY_ARRAY(members, n_members);
    conf->n_members = n_members;
    conf_publish(bridge, conf);
    return 0;
}

int
mirrors_set(uint32_t handle, const struct mirror *mirrors, uint32_t n,
            const uint32_t *bundles, uint32_t n_bundles)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    if (n > 32) {
        return error_set(EINVAL, "more than 32 mirrors");
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct mirror *m = &mirrors[i];
        if (m->first_source > n_bundles || m->first_destination > n_bundles
            || m->n_sources > n_bundles - m->first_source
            || m->n_destinations > n_bundles - m->first_destination) {
            return error_set(EINVAL, "mirror %u: bundles out of range",
                             m->id);
        }
    }
    struct conf *conf = conf_clone(bridge_conf(bridge));
    free(conf->mirrors);
    free(conf->mirror_bundles);
    conf->mirrors = COPY_ARRAY(mirrors, n);
    conf->n_mirrors = n;
    conf->mirror_bundles = COPY_ARRAY(bundles, n_bundles);
    conf->n_mirror_bundles = n_bundles;
    conf_publish(bridge, conf);
    return 0;
}

int
bridge_port_stats_get(uint32_t handle, uint32_t ofp,
                      struct bridge_port_stats *stats)
{
    struct bridge *bridge = bridge_find(handle);
    const struct conf_port *port
        = bridge ? conf_port(bridge_conf(bridge), ofp) : NULL;

    if (!port) {
        return error_set(ENODEV, "bridge %u has no port %u", handle, ofp);
    }
    stats->rx_packets = count_get(&port->rx->n_packets);
    stats->rx_bytes = count_get(&port->rx->n_bytes);
    stats->tx_packets = count_get(&port->tx->n_packets);
    stats->tx_bytes = count_get(&port->tx->n_bytes);
    return 0;
}

void
pipeline_count(struct pipeline *p, struct memory_stats *stats)
{
    lock_take(&p->mutex);
    for (const struct bridge *b = p->bridges; b; b = b->next) {
        for (uint32_t i = 0; i < N_TABLES; i++) {
            stats->n_rules += b->tables[i].n_rules;
        }
        stats->n_macs += b->macs.n;
        stats->n_groups += b->n_groups;
    }
    lock_drop(&p->mutex);
    lock_take(&p->frozen_lock);
    stats->n_frozen += p->n_frozen;
    lock_drop(&p->frozen_lock);
}
