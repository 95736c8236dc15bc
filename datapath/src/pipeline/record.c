/* record.c: rules as the seam shows them: one by one, in dumps, and in the
 * events that tell who watches of their coming and going.
 *
 * Thread rule: control thread. */
#include "base/upcall.h"
#include "pipeline/private.h"

/* Writes the record of 'rule' if it fits into 'size' bytes; returns what it
 * needs. */
static uint32_t
record_put(const struct rule *rule, uint8_t *buffer, uint32_t size)
{
    const struct program *program = rule->program;
    uint32_t needed = sizeof(struct rule_record) + 2 * sizeof(struct flow)
                      + ROUND_UP(program->source_size, 8);

    if (needed > size) {
        return needed;
    }
    struct rule_record *r = (void *) buffer;
    memset(r, 0, sizeof *r);
    r->size = needed;
    r->bridge = rule->bridge->handle;
    r->rule = rule->handle;
    r->cookie = rule->cookie;
    r->n_packets = count_get(&rule->counters->n_packets);
    r->n_bytes = count_get(&rule->counters->n_bytes);
    r->created_ms = rule->created_ms;
    r->modified_ms = rule->modified_ms;
    r->used_ms = counters_used(rule->counters);
    r->priority = rule->cls.priority;
    r->flags = rule->flags;
    r->idle_timeout = __atomic_load_n(&rule->idle_timeout, __ATOMIC_RELAXED);
    r->hard_timeout = __atomic_load_n(&rule->hard_timeout, __ATOMIC_RELAXED);
    r->importance = rule->importance;
    r->table = rule->table;
    r->tag = rule->tag;
    r->source_size = program->source_size;
    struct flow *match = (void *) (buffer + sizeof *r);
    cls_rule_expand(&rule->cls, &match[0], &match[1]);
    memset(&match[2], 0, ROUND_UP(program->source_size, 8));
    memcpy(&match[2], program_source(program), program->source_size);
    return needed;
}

void
rule_tell(const struct rule *rule, uint16_t kind, uint8_t reason,
          const struct rule *replaced)
{
    uint32_t size = record_put(rule, NULL, 0);
    uint32_t old_size = replaced ? record_put(replaced, NULL, 0) : 0;
    uint8_t *record = xmalloc(size + old_size);
    struct upcall_record upcall = {
        .kind = kind, .reason = reason, .dp = rule->bridge->pipeline->dp,
        .bridge = rule->bridge->handle, .cookie = rule->cookie,
        .rule = rule->handle, .tag = rule->tag, .table = rule->table,
        .when_ms = clock_now(),
    };
    record_put(rule, record, size);
    if (replaced) {
        record_put(replaced, record + size, old_size);
    }
    struct upcall_part none = { NULL, 0 }, data = { record, size };
    struct upcall_part old = { record + size, old_size };
    upcall_put(QUEUE_EVENT, &upcall, none, data, old);
    free(record);
}

int
rule_get(uint64_t handle, uint8_t *buffer, uint32_t size, uint32_t *n_bytes)
{
    struct rule *rule = rule_find(handle);

    *n_bytes = 0;
    if (!rule) {
        return error_set(ENOENT, "no such rule");
    }
    *n_bytes = record_put(rule, buffer, size);
    return *n_bytes > size
           ? error_set(ENOBUFS, "the rule needs %u bytes", *n_bytes) : 0;
}

int
rules_dump(const struct rule_filter *filter, const uint8_t *match,
           uint64_t cursor[2], uint8_t *buffer, uint32_t size,
           uint32_t *n_bytes, uint32_t *n_records)
{
    struct bridge *bridge = bridge_find(filter->bridge);
    static const struct flow any;
    const struct flow *value = match ? (const void *) match : &any;
    const struct flow *mask = match
        ? (const void *) (match + sizeof *mask) : &any;
    uint8_t table_id;
    struct walk_start start = walk_start_unpack(cursor, &table_id);
    uint32_t budget = 4096;     /* Rules looked at per call. */
    struct walk walk;
    struct rule *rule;
    struct cls_filter passes;

    *n_bytes = *n_records = 0;
    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", filter->bridge);
    }
    cls_filter_init(&passes, value, mask);
    start.rule = rule_find(start.handle);
    uint64_t version = atomic_load(&bridge->pipeline->version);
    for (; table_id < N_TABLES; table_id++, start.number = 0) {
        struct table *table = &bridge->tables[table_id];
        if (!table->first
            || (filter->table != 255 && filter->table != table_id)) {
            continue;
        }
        walk_begin(&walk, table, &start);
        while ((rule = walk_next(&walk))) {
            if (!budget--) {
                goto more;
            }
            if (!cls_rule_visible(&rule->cls, version)
                || (rule->cls.priority > UINT16_MAX && !filter->hidden)
                || !rule_has_cookie(rule, filter->cookie, filter->cookie_mask)
                || !cls_filter_passes(&passes, &rule->cls)) {
                continue;
            }
            if (filter->strict) {
                struct flow v, m;
                cls_rule_expand(&rule->cls, &v, &m);
                if (rule->cls.priority != filter->priority
                    || memcmp(&m, mask, sizeof m)) {
                    continue;
                }
            }
            if (!rule_reaches(rule, filter->out_port, filter->out_group,
                              filter->out_meter)) {
                continue;
            }
            uint32_t needed = record_put(rule, buffer + *n_bytes,
                                         size - *n_bytes);
            if (needed > size - *n_bytes) {
                if (!*n_bytes) {
                    walk_end(&walk);
                    return error_set(ENOBUFS, "a rule needs %u bytes",
                                     needed);
                }
                goto more;
            }
            *n_bytes += needed;
            (*n_records)++;
        }
        walk_end(&walk);
    }
    cursor[0] = cursor[1] = 0;
    return 0;
more:
    walk_start_pack(cursor, table_id, rule);
    walk_end(&walk);
    return 0;
}
