/* table.c: tables as a whole: their settings and statistics.
 *
 * Thread rule: control thread. */
#include "pipeline/private.h"

int
tables_stats_get(uint32_t handle, struct table_stats *stats, uint32_t n)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    for (uint32_t i = 0; i < n; i++) {
        memset(&stats[i], 0, sizeof stats[i]);
        if (i < N_TABLES) {
            const struct table *t = &bridge->tables[i];
            uint64_t matched = count_get(&t->n_matched);
            stats[i].n_active = t->n_rules;
            stats[i].n_matched = matched;
            stats[i].n_lookup = matched + count_get(&t->n_missed);
        }
    }
    return 0;
}

int
unmatched_stats_get(uint32_t handle, struct unmatched_stats *stats)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    const struct counters *sent = bridge->unmatched[MISS_PACKET_IN];
    const struct counters *dropped = bridge->unmatched[MISS_NOTHING];
    const struct counters *fragments = bridge->unmatched[MISS_FRAGMENT];
    *stats = (struct unmatched_stats) {
        .sent_packets = count_get(&sent->n_packets),
        .sent_bytes = count_get(&sent->n_bytes),
        .dropped_packets = count_get(&dropped->n_packets),
        .dropped_bytes = count_get(&dropped->n_bytes),
        .fragment_packets = count_get(&fragments->n_packets),
        .fragment_bytes = count_get(&fragments->n_bytes),
    };
    return 0;
}

/* Evicts what is above a table's limit. */
static void
evict(struct bridge *bridge, struct table *table)
{
    struct pipeline *p = bridge->pipeline;
    struct rule *victim;
    uint64_t version = 0;

    if (version_open(p->dp, &version)) {
        return;
    }
    while (table->n_staged > table->max_flows
           && (victim = table_choose_victim(table, version))) {
        rules_stage_removal(p, victim, RR_EVICTION, version);
    }
    version_commit(version);
}

int
table_set(uint32_t handle, uint32_t id, const struct table_config *config,
          const uint8_t *eviction_mask)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    if (id >= N_TABLES) {
        return error_set(EINVAL, "no table %u", id);
    }
    static const uint16_t defaults[] = {
        FIELD_IP_DST, FIELD_IP_SRC, FIELD_IPV6_DST, FIELD_IPV6_SRC
    };
    struct table *table = &bridge->tables[id];
    bool other = table->n_prefixes != config->n_prefixes
                 || memcmp(table->prefixes, config->prefixes,
                           sizeof table->prefixes);
    if (config->n_prefixes != UINT32_MAX && config->n_prefixes > 4) {
        return error_set(EINVAL, "more than 4 prefixes");
    }
    __atomic_store_n(&table->miss, config->miss, __ATOMIC_RELAXED);
    table->max_flows = config->max_flows;
    table->flags = config->flags;
    free(table->eviction_mask);
    table->eviction_mask = NULL;
    if (eviction_mask) {
        table->eviction_mask = xmalloc(sizeof *table->eviction_mask);
        memcpy(table->eviction_mask, eviction_mask,
               sizeof *table->eviction_mask);
    }
    table->n_prefixes = config->n_prefixes;
    memcpy(table->prefixes, config->prefixes, sizeof table->prefixes);
    if (other && table->cls) {
        int error = table->n_prefixes == UINT32_MAX
            ? classifier_set_prefixes(table->cls, defaults, 4)
            : classifier_set_prefixes(table->cls, table->prefixes,
                                      table->n_prefixes);
        if (error) {
            return error_set(error, "a field cannot have a prefix trie");
        }
    }
    pipeline_changed(bridge->pipeline);
    if (table->n_rules > table->max_flows && table->flags & TABLE_EVICT) {
        evict(bridge, table);
    }
    return 0;
}

int
rules_watch(uint32_t handle, bool watched)
{
    struct bridge *bridge = bridge_find(handle);

    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    bridge->watched = watched;
    return 0;
}
