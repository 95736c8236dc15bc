/* group_stage.c: changes of OpenFlow groups in the open version, and dumps.
 *
 * A group is immutable; a change makes a new one with the old one's counters
 * where buckets are the same.  Thread rule: control thread. */
#include "pipeline/private.h"

#define MAX_HASH_VALUES 256     /* Most slots of a dp_hash map. */
#define MIN_HASH_VALUES 16

/* Spreads the hash values over the buckets by weight (Webster's method), so
 * that a bucket's share differs from its weight as little as can be. */
static void
make_hash_map(struct group *group)
{
    uint64_t total = 0;
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < group->n_buckets; i++) {
        uint32_t weight = group->buckets[i].weight;
        total += weight;
        if (weight && weight < least) {
            least = weight;
        }
    }
    if (!total) {
        return;
    }
    uint64_t wanted = (total + least - 1) / least;
    uint32_t n = MIN_HASH_VALUES;
    while (n < wanted && n <= MAX_HASH_VALUES) {
        n *= 2;
    }
    if (n > MAX_HASH_VALUES) {
        return;
    }
    group->hash_mask = n - 1;
    group->hash_map = xcalloc(n, sizeof *group->hash_map);
    uint32_t *divisors = xcalloc(group->n_buckets, sizeof *divisors);
    for (uint32_t i = 0; i < group->n_buckets; i++) {
        divisors[i] = 1;
    }
    for (uint32_t slot = 0; slot < n; slot++) {
        uint32_t best = 0;
        double best_value = -1;
        for (uint32_t i = 0; i < group->n_buckets; i++) {
            double value = (double) group->buckets[i].weight / divisors[i];
            if (value > best_value) {
                best_value = value;
                best = i;
            }
        }
        divisors[best] += 2;
        group->hash_map[slot] = best;
    }
    free(divisors);
}

static uint32_t
make_group(struct bridge *bridge, const struct group_change *c,
           const struct group *old, const uint8_t *blob, uint32_t blob_size,
           struct group **groupp)
{
    struct group *group = xzalloc(sizeof *group
                                  + c->n_buckets * sizeof *group->buckets);
    int64_t now_ms = clock_now();
    uint32_t at = c->buckets_offset;

    *groupp = group;
    group->bridge = bridge;
    bridge_ref(bridge);
    group->id = c->group;
    group->type = c->type;
    group->method = c->method;
    group->refs = 1;
    group->created_ms = old ? old->created_ms : now_ms;
    if (old) {
        group->counters = old->counters;
        counters_ref(group->counters);
    } else {
        group->counters = counters_new(now_ms);
    }
    group->source = program_get(NULL, 0, blob + c->source_offset,
                                c->source_size);
    group->method_param = c->method_param;
    if (c->n_fields) {
        uint32_t size = c->n_fields * sizeof *group->fields;
        if (c->n_fields > N_FIELDS || blob_size < size
            || c->fields_offset > blob_size - size) {
            error_set(EINVAL, "group fields outside of the blob");
            return GROUP_E_INVALID;
        }
        group->fields = xmemdup(blob + c->fields_offset, size);
        group->n_fields = c->n_fields;
        for (uint32_t i = 0; i < group->n_fields; i++) {
            const struct hash_field *f = &group->fields[i];
            if (f->field >= N_FIELDS || !fields[f->field].size
                || f->size > sizeof f->mask) {
                error_set(EINVAL, "bad field of a group");
                return GROUP_E_INVALID;
            }
        }
    }
    for (uint32_t i = 0; i < c->n_buckets; i++) {
        struct bucket b;
        if (blob_size < sizeof b || at > blob_size - sizeof b) {
            goto outside;
        }
        memcpy(&b, blob + at, sizeof b);
        if (b.size < sizeof b || b.size > blob_size - at
            || b.program_size > b.size - sizeof b) {
            goto outside;
        }
        const uint8_t *ops = blob + at + sizeof b;
        if (program_verify(ops, b.program_size, false)) {
            return GROUP_E_INVALID;
        }
        struct group_bucket *bucket = &group->buckets[i];
        bucket->id = b.id;
        bucket->weight = b.weight;
        bucket->watch_port = b.watch_port;
        bucket->watch_group = b.watch_group;
        bucket->program = program_get(ops, b.program_size, NULL, 0);
        for (uint32_t j = 0; old && j < old->n_buckets; j++) {
            const struct group_bucket *was = &old->buckets[j];
            if (was->id == b.id && was->program->size == b.program_size
                && !memcmp(was->program->bytes, ops, b.program_size)) {
                bucket->counters = was->counters;
                counters_ref(bucket->counters);
                break;
            }
        }
        if (!bucket->counters) {
            bucket->counters = counters_new(now_ms);
        }
        group->n_buckets++;
        at += b.size;
    }
    if (group->type == GROUP_SELECT) {
        if (group->method == GROUP_METHOD_DP_HASH) {
            group->hash_algorithm = c->method_param >> 32;
            group->hash_basis = c->method_param;
            make_hash_map(group);
        } else if (group->method == GROUP_METHOD_DEFAULT) {
            group->hash_algorithm = HASH_SYM_L4;
            make_hash_map(group);
        }
    }
    return 0;

outside:
    error_set(EINVAL, "group bucket outside of the blob");
    return GROUP_E_INVALID;
}

static uint32_t
stage_group(struct pipeline *p, void *change, const uint8_t *blob,
            uint32_t blob_size, uint64_t version)
{
    struct group_change *c = change;
    struct bridge *bridge = bridge_find(c->bridge);

    if (!bridge || bridge->pipeline != p) {
        error_set(ENODEV, "no bridge %u", c->bridge);
        return GROUP_E_INVALID;
    }
    if (c->source_offset > blob_size
        || c->source_size > blob_size - c->source_offset
        || c->buckets_offset > blob_size || c->n_buckets > blob_size) {
        error_set(EINVAL, "group change points outside of the blob");
        return GROUP_E_INVALID;
    }
    if (c->command == GROUP_DELETE) {
        for (unsigned i = 0; i < GROUP_HASH; i++) {
            struct group *g = atomic_load(&bridge->groups[i]);
            for (; g; g = atomic_load(&g->next)) {
                if ((c->group != UINT32_MAX && c->group != g->id)
                    || g != group_lookup(bridge, g->id, version)) {
                    continue;
                }
                rules_stage_group_deletion(p, bridge, g->id, version);
                atomic_store(&g->removed, version);
                stage_change(p, CHANGE_GROUP)->group_removed = g;
            }
        }
        return 0;
    }
    struct group *old = group_lookup(bridge, c->group, version), *new;
    if (old && c->command == GROUP_ADD) {
        return GROUP_E_EXISTS;
    }
    if (!old && c->command == GROUP_MODIFY) {
        return GROUP_E_UNKNOWN;
    }
    uint32_t error = make_group(bridge, c, old, blob, blob_size, &new);
    if (error) {
        group_unref(new);
        return error;
    }
    group_link(new, version);
    if (old) {
        atomic_store(&old->removed, version);
    }
    struct staged_change *staged = stage_change(p, CHANGE_GROUP);
    staged->group_added = new;
    staged->group_removed = old;
    return 0;
}

int
groups_stage(uint64_t version, struct group_change *changes, uint32_t n,
             const uint8_t *blob, uint32_t blob_size)
{
    return changes_stage(version, changes, n, sizeof *changes,
                         offsetof(struct group_change, error), stage_group,
                         blob, blob_size);
}

int
groups_dump(uint32_t handle, uint32_t id, uint64_t *cursor, uint8_t *buffer,
            uint32_t size, uint32_t *n_bytes, uint32_t *n_records)
{
    struct bridge *bridge = bridge_find(handle);
    uint64_t next = UINT64_MAX;

    *n_bytes = *n_records = 0;
    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", handle);
    }
    /* In ascending order of ids; the cursor is the next id, plus one. */
    uint64_t version = atomic_load(&bridge->pipeline->version);
    uint64_t from = id != UINT32_MAX ? id : *cursor ? *cursor - 1 : 0;
    *cursor = 0;
    for (;;) {
        struct group *found = NULL;
        next = UINT64_MAX;
        for (unsigned i = 0; i < GROUP_HASH; i++) {
            struct group *g = atomic_load(&bridge->groups[i]);
            for (; g; g = atomic_load(&g->next)) {
                if (g->id >= from && g->id < next
                    && g == group_lookup(bridge, g->id, version)) {
                    next = g->id;
                    found = g;
                }
            }
        }
        if (!found || (id != UINT32_MAX && found->id != id)) {
            return 0;
        }
        uint32_t needed = sizeof(struct group_record)
                          + found->n_buckets * 16
                          + ROUND_UP(found->source->source_size, 8);
        if (needed > size - *n_bytes) {
            if (!*n_bytes) {
                return error_set(ENOBUFS, "a group needs %u bytes", needed);
            }
            *cursor = next + 1;
            return 0;
        }
        struct group_record *r = (void *) (buffer + *n_bytes);
        memset(r, 0, needed);
        r->size = needed;
        r->group = found->id;
        r->n_buckets = found->n_buckets;
        r->n_packets = count_get(&found->counters->n_packets);
        r->n_bytes = count_get(&found->counters->n_bytes);
        r->created_ms = found->created_ms;
        r->source_size = found->source->source_size;
        uint64_t *counts = (void *) (r + 1);
        for (uint32_t i = 0; i < found->n_buckets; i++) {
            const struct counters *c = found->buckets[i].counters;
            *counts++ = count_get(&c->n_packets);
            *counts++ = count_get(&c->n_bytes);
        }
        memcpy(counts, program_source(found->source), r->source_size);
        for (unsigned t = 0; t < N_TABLES; t++) {
            for (struct rule *rule = bridge->tables[t].first; rule;
                 rule = rule->next) {
                r->ref_count += ops_count_group(rule->program->bytes,
                                                rule->program->size,
                                                found->id);
            }
        }
        *n_bytes += needed;
        (*n_records)++;
        from = next + 1;
        if (id != UINT32_MAX) {
            return 0;
        }
    }
}
