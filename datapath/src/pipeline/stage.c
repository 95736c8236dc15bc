/* stage.c: flow_mods: what they add, modify and delete in the open version.
 *
 * A modified rule is a new rule with the old one's counters.
 *
 * Thread rule: control thread, except learn_has_room() (any thread). */
#include "pipeline/private.h"

#define MANY_REMOVED 32         /* Worth beginning a table anew... */
#define FEW_LEFT 16             /* ...with copies of hidden rules. */

/* Stages a copy of 'old' with other actions and counters, references of the
 * caller's, in its place. */
static struct rule *
stage_copy(struct pipeline *p, struct rule *old, struct program *program,
           struct counters *counters, uint64_t version)
{
    struct flow value, mask;
    struct cls_match match;

    cls_rule_expand(&old->cls, &value, &mask);
    cls_match_init(&match, &value, &mask);
    struct rule *new = rule_insert(old->bridge, old->table, program, counters,
                                   old->cls.priority, &match, version);
    new->cookie = old->cookie;
    new->flags = old->flags;
    new->idle_timeout = old->idle_timeout;
    new->hard_timeout = old->hard_timeout;
    new->importance = old->importance;
    new->tag = old->tag;
    new->created_ms = old->created_ms;
    new->modified_ms = old->modified_ms;
    atomic_store(&old->cls.removed, version);
    struct staged_change *change = stage_change(p, CHANGE_RULE);
    change->added = new;
    change->removed = old;
    return new;
}

static void
stage_modification(struct pipeline *p, struct rule *old,
                   const struct rule_change *c, struct program *program,
                   uint64_t version)
{
    bool reset = c->flags & RF_RESET_COUNTS;

    program_ref(program);
    if (!reset) {
        counters_ref(old->counters);
    }
    struct rule *new = stage_copy(
        p, old, program,
        reset ? counters_new(counters_used(old->counters)) : old->counters,
        version);
    if (c->cookie != UINT64_MAX && !(c->flags & RF_KEEP_COOKIE)) {
        new->cookie = c->cookie;
    }
    new->modified_ms = clock_now();
}

/* Begins a table anew in which at most the 'n' rules at 'left' are visible;
 * these get copies there. */
static void
stage_clearing(struct pipeline *p, struct table *table, struct rule **left,
               uint32_t n, uint64_t version)
{
    struct cleared *cleared = table_clear(table, version, rule_release);

    stage_change(p, CHANGE_CLEARING)->cleared = cleared;
    for (uint32_t i = 0; i < n; i++) {
        program_ref(left[i]->program);
        counters_ref(left[i]->counters);
        stage_copy(p, left[i], left[i]->program, left[i]->counters, version);
    }
    stage_change(p, CHANGE_CLEARED)->cleared = cleared;
}

static uint32_t
stage_addition(struct pipeline *p, struct bridge *bridge,
               struct rule_change *c, struct program *program,
               const struct cls_match *match, uint64_t version)
{
    struct table *table = &bridge->tables[c->table];
    struct rule *old = NULL;
    int64_t now_ms = clock_now();

    if (table->cls) {
        struct cls_rule *r = classifier_find(table->cls, match, c->priority,
                                             version);
        old = r ? CONTAINER_OF(r, struct rule, cls) : NULL;
        if (!old && c->flags & RF_CHECK_OVERLAP
            && classifier_overlaps(table->cls, match, c->priority,
                                   version)) {
            return RULE_E_OVERLAP;
        }
    }
    if (!old && table->n_staged >= table->max_flows) {
        struct rule *victim = table_choose_victim(table, version);
        if (!victim) {
            return RULE_E_TABLE_FULL;
        }
        rules_stage_removal(p, victim, RR_EVICTION, version);
    }
    table->n_staged += !old;
    bool keep = old && !(c->flags & RF_RESET_COUNTS);
    program_ref(program);
    if (keep) {
        counters_ref(old->counters);
    }
    struct rule *new = rule_insert(bridge, c->table, program,
                                   keep ? old->counters
                                   : counters_new(old ? counters_used(
                                                            old->counters)
                                                  : now_ms),
                                   c->priority, match, version);
    new->cookie = c->cookie;
    new->flags = c->flags & (RF_SEND_FLOW_REM | RF_NO_PKT_COUNTS
                             | RF_NO_BYT_COUNTS | RF_RESET_COUNTS
                             | RF_CHECK_OVERLAP);
    new->idle_timeout = c->idle_timeout;
    new->hard_timeout = c->hard_timeout;
    new->importance = c->importance;
    new->tag = c->tag;
    new->created_ms = new->modified_ms = now_ms;
    if (old) {
        atomic_store(&old->cls.removed, version);
    }
    struct staged_change *change = stage_change(p, CHANGE_RULE);
    change->added = new;
    change->removed = old;
    change->is_addition = true;
    c->n_affected = 1;
    return 0;
}

/* Finds a learned rule in 'version', and whether it could be added. */
static struct cls_rule *
find_learned(struct bridge *bridge, const struct learned *l,
             const struct cls_match *match, uint64_t version, bool *has_room)
{
    struct table *table = &bridge->tables[l->args.table];
    struct cls_rule *r = table->cls
        ? classifier_find(table->cls, match, l->args.priority, version)
        : NULL;
    uint32_t n = 0;

    if (!r && l->args.limit) {
        for (struct rule *rule = table->first; rule; rule = rule->next) {
            n += cls_rule_visible(&rule->cls, version)
                 && rule->cookie == l->args.cookie;
        }
    }
    *has_room = r || !l->args.limit || n < l->args.limit;
    return r;
}

/* Takes the pipeline's mutex, which only translations of learn ops with limit
 * and result do. */
bool
learn_has_room(struct pipeline *p, struct bridge *bridge,
               const struct learned *l)
{
    struct cls_match match;
    bool has_room;

    cls_match_init(&match, &l->value, &l->mask);
    lock_take(&p->mutex);
    find_learned(bridge, l, &match, atomic_load(&p->version), &has_room);
    lock_drop(&p->mutex);
    return has_room;
}

void
rules_stage_learned(struct pipeline *p, struct bridge *bridge,
                    const struct learned *l, uint64_t version)
{
    struct rule_change c = {
        .bridge = bridge->handle, .table = l->args.table,
        .priority = l->args.priority, .cookie = l->args.cookie,
        .idle_timeout = l->args.idle, .hard_timeout = l->args.hard,
        .flags = l->args.flags & LEARN_SEND_FLOW_REM ? RF_SEND_FLOW_REM : 0,
    };
    struct cls_match match;
    bool has_room;

    cls_match_init(&match, &l->value, &l->mask);
    struct cls_rule *r = find_learned(bridge, l, &match, version, &has_room);
    if (!r) {
        if (has_room) {
            stage_addition(p, bridge, &c, l->program, &match, version);
        }
        return;
    }
    struct rule *rule = CONTAINER_OF(r, struct rule, cls);
    if (rule->cookie == c.cookie && rule->program->size == l->program->size
        && !memcmp(rule->program->bytes, l->program->bytes,
                   l->program->size)) {
        rule->modified_ms = clock_now();        /* Only seen again. */
    } else {
        stage_modification(p, rule, &c, l->program, version);
    }
}

struct references {             /* Those of a program, being checked. */
    const struct bridge *bridge;
    uint64_t version;
    uint32_t error;             /* RULE_E_*, or 0. */
};

/* Notes a group or meter that does not exist. */
static bool
check_reference(const struct op *op, void *references)
{
    struct references *r = references;

    if (op->code == OP_GROUP
        && !group_lookup(r->bridge, ((const struct op_group *) op)->group,
                         r->version)) {
        error_set(ENOENT, "the group does not exist");
        r->error = RULE_E_BAD_GROUP;
    } else if (op->code == OP_METER
               && bridge_meter(r->bridge,
                               ((const struct op_meter *) op)->meter)
                  == METER_NONE) {
        error_set(ENOENT, "the meter does not exist");
        r->error = RULE_E_BAD_METER;
    }
    return r->error;
}

/* Checks the groups and meters that a program refers to; returns 0 or
 * RULE_E_*. */
static uint32_t
check_program(const struct bridge *bridge, const struct program *program,
              uint64_t version)
{
    struct references r = { bridge, version, 0 };

    ops_visit(program->bytes, program->size, check_reference, &r);
    return r.error;
}

static uint32_t
stage_checked(struct pipeline *p, struct bridge *bridge,
              struct rule_change *c, struct program *program,
              const struct cls_match *match, uint64_t version)
{
    uint32_t error = check_program(bridge, program, version);

    return error ? error : stage_addition(p, bridge, c, program, match,
                                          version);
}

static uint32_t
stage_rule(struct pipeline *p, void *change, const uint8_t *blob,
           uint32_t blob_size, uint64_t version)
{
    struct rule_change *c = change;
    struct bridge *bridge = bridge_find(c->bridge);
    bool writes = c->command <= RULE_MODIFY_STRICT;
    bool strict = c->command == RULE_MODIFY_STRICT
                  || c->command == RULE_DELETE_STRICT;
    static const struct walk_start from_first;
    struct flow copy[2];
    const struct flow *pair;    /* Value and mask. */
    struct cls_match match;
    struct program *program = NULL;
    struct cls_filter filter;
    uint32_t error = 0;

    c->n_affected = 0;
    if (!bridge || bridge->pipeline != p) {
        error_set(ENODEV, "no bridge %u", c->bridge);
        return RULE_E_BAD_PROGRAM;
    }
    if (c->match_offset > blob_size
        || blob_size - c->match_offset < sizeof copy
        || c->program_offset % 8
        || c->program_offset > blob_size
        || c->program_size > blob_size - c->program_offset
        || c->source_offset > blob_size
        || c->source_size > blob_size - c->source_offset) {
        error_set(EINVAL, "rule change points outside of the blob");
        return RULE_E_BAD_PROGRAM;
    }
    if (c->table >= N_TABLES && (c->command == RULE_ADD)) {
        return RULE_E_BAD_TABLE;
    }
    pair = (const void *) (blob + c->match_offset);
    if ((uintptr_t) pair % _Alignof(struct flow)) {
        pair = memcpy(copy, pair, sizeof copy);
    }
    cls_match_init(&match, &pair[0], &pair[1]);
    if (writes) {
        const uint8_t *ops = blob + c->program_offset;
        int bad = program_verify(ops, c->program_size, false);
        if (bad) {
            return bad == EOPNOTSUPP ? RULE_E_UNSUPPORTED
                                     : RULE_E_BAD_PROGRAM;
        }
        program = program_get(ops, c->program_size, blob + c->source_offset,
                              c->source_size);
    }

    if (c->command == RULE_ADD) {
        error = stage_checked(p, bridge, c, program, &match, version);
        goto done;
    }

    cls_filter_init(&filter, &pair[0], &pair[1]);
    unsigned first = c->table == 255 ? 0 : c->table;
    unsigned last = c->table == 255 ? N_TABLES - 1 : c->table;
    for (unsigned t = first; t <= last; t++) {
        struct table *table = &bridge->tables[t];
        struct rule *only = NULL;
        struct walk walk = { .places = NULL };
        struct rule *left[FEW_LEFT];
        uint32_t n_left = 0, n_before = table->n_staged;
        if (!table->first) {
            continue;
        }
        if (strict) {
            struct cls_rule *r = classifier_find(table->cls, &match,
                                                 c->priority, version);
            if (!r) {
                continue;
            }
            only = CONTAINER_OF(r, struct rule, cls);
        } else {
            walk_begin(&walk, table, &from_first);
        }
        for (struct rule *rule = only ? only : walk_next(&walk); rule;
             rule = only ? NULL : walk_next(&walk)) {
            if (!cls_rule_visible(&rule->cls, version)) {
                continue;
            }
            if (!only && rule->cls.priority > UINT16_MAX) {
                left[n_left++ % FEW_LEFT] = rule;
                continue;
            }
            if (!rule_has_cookie(rule, c->cookie_match, c->cookie_mask)
                || !rule_reaches(rule, c->out_port, c->out_group,
                                 c->out_meter)
                || (!only && !cls_filter_passes(&filter, &rule->cls))) {
                continue;
            }
            if (writes) {
                /* A modification that finds nothing refers to nothing. */
                if (!c->n_affected) {
                    error = check_program(bridge, program, version);
                    if (error) {
                        walk_end(&walk);
                        goto done;
                    }
                }
                stage_modification(p, rule, c, program, version);
            } else {
                rules_stage_removal(p, rule, c->reason, version);
            }
            c->n_affected++;
        }
        walk_end(&walk);
        if (table->n_staged == n_left && n_left <= FEW_LEFT
            && n_before - n_left >= MANY_REMOVED) {
            stage_clearing(p, table, left, n_left, version);
        }
    }
    if (writes && !c->n_affected && c->flags & RF_MODIFY_ADDS
        && !c->cookie_mask) {
        if (c->table >= N_TABLES) {
            c->table = 0;
        }
        error = stage_checked(p, bridge, c, program, &match, version);
    }
done:
    program_unref(program);
    return error;
}

int
rules_stage(uint64_t version, struct rule_change *changes, uint32_t n,
            const uint8_t *blob, uint32_t blob_size)
{
    return changes_stage(version, changes, n, sizeof *changes,
                         offsetof(struct rule_change, error), stage_rule,
                         blob, blob_size);
}

uint32_t
rules_stage_group_deletion(struct pipeline *p, struct bridge *bridge,
                           uint32_t group, uint64_t version)
{
    uint32_t n = 0;

    for (unsigned t = 0; t < N_TABLES; t++) {
        for (struct rule *rule = bridge->tables[t].first; rule;
             rule = rule->next) {
            if (cls_rule_visible(&rule->cls, version)
                && rule_reaches(rule, UINT32_MAX, group, 0)) {
                rules_stage_removal(p, rule, RR_GROUP_DELETE, version);
                n++;
            }
        }
    }
    return n;
}
