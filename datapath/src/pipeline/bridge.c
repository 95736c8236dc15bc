/* bridge.c: the life of a bridge: made by pipeline.c, kept by references, of
 * which megaflows' credits hold some after it is deleted.
 *
 * Any thread; bridge_new(): control thread. */
#include "pipeline/private.h"

/* Returns a bridge of 'p' with 'config', without ports; a reference. */
struct bridge *
bridge_new(struct pipeline *p, const struct bridge_config *config)
{
    struct bridge *bridge = xzalloc(sizeof *bridge);
    struct conf *conf = xzalloc(sizeof *conf);

    conf->config = *config;
    conf_link(conf);
    atomic_init(&bridge->conf, conf);
    bridge->pipeline = p;
    bridge->refs = 1;
    mac_table_init(&bridge->macs);
    for (unsigned i = 0; i < N_TABLES; i++) {
        bridge->tables[i].n_prefixes = UINT32_MAX;
        bridge->tables[i].max_flows = UINT32_MAX;
    }
    for (unsigned i = 0; i < N_MISSES; i++) {
        bridge->unmatched[i] = counters_new(0);
    }
    return bridge;
}

void
bridge_ref(struct bridge *bridge)
{
    __atomic_add_fetch(&bridge->refs, 1, __ATOMIC_RELAXED);
}

static void
bridge_free(void *bridge_)
{
    struct bridge *bridge = bridge_;

    for (unsigned i = 0; i < N_MISSES; i++) {
        counters_release(bridge->unmatched[i]);
    }
    mac_table_destroy(&bridge->macs);
    conf_free(atomic_load(&bridge->conf));
    free(bridge);
}

void
bridge_unref(struct bridge *bridge)
{
    if (bridge && !__atomic_sub_fetch(&bridge->refs, 1, __ATOMIC_ACQ_REL)) {
        epoch_retire(bridge, bridge_free);
    }
}

uint32_t
bridge_meter(const struct bridge *bridge, uint32_t ofp)
{
    const struct meter_map *map = atomic_load_explicit(
        &((struct bridge *) bridge)->meters, memory_order_acquire);
    uint32_t low = 0, high = map ? map->n : 0;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (map->entries[middle].ofp == ofp) {
            return map->entries[middle].id;
        } else if (map->entries[middle].ofp < ofp) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return METER_NONE;
}
