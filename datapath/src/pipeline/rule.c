/* rule.c: the rules of OpenFlow tables: flow_mods staged in versions, dumps.
 *
 * A flow_mod inserts rules that exist from the staged version on, and marks
 * others as gone from it on; the version's journal says how to undo that.
 * Commit publishes the version; what it removed is unlinked from the
 * classifiers when no worker can be in an older version any more, and freed
 * when no megaflow counts for it; where a table loses all, clear.c does that
 * for the table as a whole.  A modified rule is a new rule with the old one's
 * counters.
 *
 * Thread rule: control thread, except rule_ref() and rule_unref(). */
#define _GNU_SOURCE             /* qsort_r() */
#include "base/upcall.h"
#include "pipeline/private.h"

#define MANY_CHANGES 65536      /* Not kept room for. */
#define MANY_REMOVED 32         /* Worth beginning a table anew... */
#define FEW_LEFT 16             /* ...with copies of hidden rules. */

static struct handle_table rule_handles;

/* Life of a rule. */

void
rule_ref(struct rule *rule)
{
    __atomic_add_fetch(&rule->refs, 1, __ATOMIC_RELAXED);
}

static void
rule_free(void *node)
{
    struct rule *rule = CONTAINER_OF(node, struct rule, retired);

    program_unref(rule->program);
    counters_release(rule->counters);
    bridge_unref(rule->bridge);
    free(rule);
}

void
rule_unref(struct rule *rule)
{
    if (rule && !__atomic_sub_fetch(&rule->refs, 1, __ATOMIC_ACQ_REL)) {
        epoch_retire_node(&rule->retired, rule_free);
    }
}

/* As rule_unref(), for somebody whose own readers are all gone. */
static void
rule_release(struct rule *rule)
{
    if (!__atomic_sub_fetch(&rule->refs, 1, __ATOMIC_ACQ_REL)) {
        rule_free(&rule->retired);
    }
}

struct rule *
rule_find(uint64_t handle)
{
    return handle_find(&rule_handles, handle);
}

static void
due_remove(struct pipeline *p, struct rule *rule)
{
    if (rule->has_timeout) {
        *(rule->previous_due ? &rule->previous_due->next_due : &p->due)
            = rule->next_due;
        *(rule->next_due ? &rule->next_due->previous_due : &p->last_due)
            = rule->previous_due;
        rule->has_timeout = false;
    }
}

static void
due_add(struct pipeline *p, struct rule *rule)
{
    if ((rule->idle_timeout || rule->hard_timeout) && !rule->has_timeout) {
        rule->previous_due = p->last_due;
        rule->next_due = NULL;
        *(p->last_due ? &p->last_due->next_due : &p->due) = rule;
        p->last_due = rule;
        rule->has_timeout = true;
        p->next_expiry_ms = MIN(p->next_expiry_ms, clock_now());
    }
}

/* Takes a rule out of what the control thread sees. */
static void
rule_unlist(struct pipeline *p, struct rule *rule)
{
    struct table *table = &rule->bridge->tables[rule->table];

    *(rule->previous ? &rule->previous->next : &table->first) = rule->next;
    *(rule->next ? &rule->next->previous : &table->last) = rule->previous;
    due_remove(p, rule);
    handle_remove(&rule_handles, rule->handle);
    rule->dead = true;
}

/* Puts a new rule into its table from version 'added' on. */
static struct rule *
rule_insert(struct bridge *bridge, uint8_t table_id, struct program *program,
            struct counters *counters, int32_t priority,
            const struct cls_match *match, uint64_t added)
{
    struct table *table = &bridge->tables[table_id];
    struct rule *rule = xzalloc(sizeof *rule
                                + match->mini.n * sizeof *rule->words);

    if (!table->cls) {
        struct classifier *cls = classifier_new();
        if (table->n_prefixes != UINT32_MAX) {
            classifier_set_prefixes(cls, table->prefixes, table->n_prefixes);
        }
        __atomic_store_n(&table->cls, cls, __ATOMIC_RELEASE);
    }
    rule->bridge = bridge;
    bridge_ref(bridge);
    rule->table = table_id;
    rule->program = program;
    rule->counters = counters;
    rule->refs = 1;
    rule->cls.value = rule->words;
    rule->cls.priority = priority;
    rule->cls.conjunctions = program->conjunctions;
    rule->cls.n_conjunctions = program->n_conjunctions;
    rule->handle = handle_add(&rule_handles, rule);
    rule->number = ++bridge->pipeline->n_rules_made;
    classifier_insert(table->cls, &rule->cls, match, added);
    rule->previous = table->last;
    *(table->last ? &table->last->next : &table->first) = rule;
    table->last = rule;
    return rule;
}

/* Runs when no worker can look for the rule in an old version any more. */
static void
rule_unlink(void *node)
{
    struct rule *rule = CONTAINER_OF(node, struct rule, retired);

    classifier_remove(&rule->cls);
    rule_unref(rule);
}

void
bridge_rules_destroy(struct bridge *bridge)
{
    for (unsigned i = 0; i < N_TABLES; i++) {
        struct table *table = &bridge->tables[i];
        struct epoch_node *first = NULL, **last = &first;
        while (table->first) {
            struct rule *rule = table->first;
            rule_unlist(bridge->pipeline, rule);
            atomic_store(&rule->cls.removed, 0);
            rule->retired.next = NULL;
            *last = &rule->retired;
            last = &rule->retired.next;
        }
        table_destroy(table, first, rule_release);
    }
}

/* Versions. */

int
version_open(uint32_t dp, uint64_t *version)
{
    struct pipeline *p = pipeline_find(dp);

    if (!p) {
        return error_set(ENODEV, "no datapath %u", dp);
    }
    if (p->staged) {
        return error_set(EBUSY, "a version is open");
    }
    p->staged = *version = atomic_load(&p->version) + 1;
    return 0;
}

struct staged_change *
stage_change(struct pipeline *p, enum change_kind kind)
{
    if (p->n_changes == p->allocated_changes) {
        p->allocated_changes = p->allocated_changes
                               ? p->allocated_changes * 2 : 16;
        p->changes = xrealloc(p->changes,
                              p->allocated_changes * sizeof *p->changes);
    }
    struct staged_change *change = &p->changes[p->n_changes++];
    memset(change, 0, sizeof *change);
    change->kind = kind;
    return change;
}

/* Sends the record of a rule to the control thread's queue, with that of the
 * rule it replaced, if any. */
static void rule_tell(const struct rule *, uint16_t kind, uint8_t reason,
                      const struct rule *replaced);

/* Tells those who watch of a rule that is there from now on. */
static void
tell_addition(const struct staged_change *change)
{
    const struct rule *added = change->added, *old = change->removed;

    if (!added->bridge->watched || added->cls.priority > UINT16_MAX) {
        return;
    }
    const struct program *p = added->program, *q = old ? old->program : NULL;
    bool other = q && (p->source_size != q->source_size
                       || memcmp(program_source(p), program_source(q),
                                 p->source_size));
    if (!old || change->is_addition) {
        rule_tell(added, UPCALL_RULE_ADDED, 0, other ? old : NULL);
    } else if (other || added->cookie != old->cookie) {
        rule_tell(added, UPCALL_RULE_CHANGED, 0, other ? old : NULL);
    }
}

static void
commit_rule(struct pipeline *p, struct staged_change *change)
{
    struct rule *added = change->added, *removed = change->removed;

    if (added) {
        due_add(p, added);
        if (!removed) {
            added->bridge->tables[added->table].n_rules++;
        }
        tell_addition(change);
    }
    if (removed) {
        if (!added) {
            removed->bridge->tables[removed->table].n_rules--;
            if (removed->flags & RF_SEND_FLOW_REM
                || (removed->bridge->watched
                    && removed->cls.priority <= UINT16_MAX)) {
                rule_tell(removed, UPCALL_RULE_REMOVED, removed->reason,
                          NULL);
            }
        }
        learn_forget(removed);
        rule_unlist(p, removed);
        if (!cleared_take(removed)) {
            epoch_retire_node(&removed->retired, rule_unlink);
        }
    }
}

static void
commit_change(struct pipeline *p, struct staged_change *change)
{
    switch (change->kind) {
    case CHANGE_RULE:
        commit_rule(p, change);
        break;
    case CHANGE_GROUP:
        groups_committed(change);
        break;
    case CHANGE_CLEARING:
        break;
    case CHANGE_CLEARED:
        cleared_committed(change->cleared);
        break;
    }
}

/* Empties the journal, and gives its memory back where that is much. */
static void
forget_changes(struct pipeline *p)
{
    p->n_changes = 0;
    if (p->allocated_changes > MANY_CHANGES) {
        free(p->changes);
        p->changes = NULL;
        p->allocated_changes = 0;
    }
}

/* Publishes the open version.  Rules that go with what it removed are noted:
 * see version_commit(). */
int
version_publish(uint64_t version)
{
    struct pipeline *p = pipeline_of_version(version);

    if (!p) {
        return error_set(ENOENT, "no such version is open");
    }
    if (p->n_changes && pipeline_hooks.settle) {
        pipeline_hooks.settle(p->dp);
    }
    classifiers_settle();
    /* Pairs with pipeline_pin(). */
    atomic_store_explicit(&p->version, version, memory_order_release);
    for (uint32_t i = 0; i < p->n_changes; i++) {
        commit_change(p, &p->changes[i]);
    }
    bool changed = p->n_changes > 0;
    forget_changes(p);
    p->staged = 0;
    if (changed) {
        pipeline_changed(p);
    }
    return 0;
}

static void
abort_rule(struct pipeline *p, struct staged_change *change)
{
    if (change->removed) {
        struct rule *rule = change->removed;
        atomic_store(&rule->cls.removed, VERSION_NEVER);
        rule->bridge->tables[rule->table].n_staged++;
    }
    if (change->added) {
        struct rule *rule = change->added;
        rule->bridge->tables[rule->table].n_staged--;
        rule_unlist(p, rule);
        classifier_remove(&rule->cls);
        rule_unref(rule);
    }
}

/* Undoes the journal down to 'n' changes. */
static void
roll_back(struct pipeline *p, uint32_t n)
{
    while (p->n_changes > n) {
        struct staged_change *change = &p->changes[--p->n_changes];
        switch (change->kind) {
        case CHANGE_RULE:
            abort_rule(p, change);
            break;
        case CHANGE_GROUP:
            groups_aborted(change);
            break;
        case CHANGE_CLEARING:
            cleared_aborted(change->cleared);
            break;
        case CHANGE_CLEARED:
            break;
        }
    }
}

int
version_abort(uint64_t version)
{
    struct pipeline *p = pipeline_of_version(version);

    if (!p) {
        return error_set(ENOENT, "no such version is open");
    }
    roll_back(p, 0);
    classifiers_settle();
    p->staged = 0;
    return 0;
}

uint64_t
version_current(uint32_t dp)
{
    struct pipeline *p = pipeline_find(dp);

    return p ? atomic_load(&p->version) : 0;
}

/* Filters. */

static bool
rule_reaches(const struct rule *rule, uint32_t port, uint32_t group,
             uint32_t meter)
{
    return ops_reach(rule->program->bytes, rule->program->size, port, group,
                     meter);
}

static bool
cookie_matches(const struct rule *rule, uint64_t cookie, uint64_t mask)
{
    return !((rule->cookie ^ cookie) & mask);
}

/* Staging. */

void
rules_stage_removal(struct pipeline *p, struct rule *rule, uint8_t reason,
                    uint64_t version)
{
    atomic_store(&rule->cls.removed, version);
    rule->reason = reason;
    rule->bridge->tables[rule->table].n_staged--;
    stage_change(p, CHANGE_RULE)->removed = rule;
}

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

/* Tells how one rule's group, the part of its match under 'mask', compares to
 * another's: as memcmp() does. */
static int
compare_groups(const struct rule *a, const struct rule *b,
               const struct flow *mask)
{
    struct flow value[2], any;

    if (!mask) {
        return 0;
    }
    cls_rule_expand(&a->cls, &value[0], &any);
    cls_rule_expand(&b->cls, &value[1], &any);
    for (unsigned i = 0; i < FLOW_WORDS; i++) {
        word64 x = ((word64 *) &value[0])[i] & ((const word64 *) mask)[i];
        word64 y = ((word64 *) &value[1])[i] & ((const word64 *) mask)[i];
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return 0;
}

static int
compare_rules_by_group(const void *a_, const void *b_, void *mask)
{
    return compare_groups(*(struct rule *const *) a_,
                          *(struct rule *const *) b_, mask);
}

/* Chooses the rule that makes room in a full table: of the largest group, the
 * least important and, among those, the next to time out.  Rules that never
 * do stay.  Returns NULL where no rule may go. */
struct rule *
table_choose_victim(const struct table *table, uint64_t version)
{
    struct rule **rules, *best = NULL;
    uint32_t n = 0, most = 0;
    int64_t best_deadline = 0;
    uint8_t reason;

    if (!(table->flags & TABLE_EVICT) || !table->n_staged) {
        return NULL;
    }
    rules = xcalloc(table->n_staged, sizeof *rules);
    for (struct rule *r = table->first; r && n < table->n_staged;
         r = r->next) {
        if ((r->idle_timeout || r->hard_timeout)
            && cls_rule_visible(&r->cls, version)) {
            rules[n++] = r;
        }
    }
    if (table->eviction_mask) {
        qsort_r(rules, n, sizeof *rules, compare_rules_by_group,
                table->eviction_mask);
    }
    for (uint32_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n; end++) {
            if (compare_groups(rules[first], rules[end],
                               table->eviction_mask)) {
                break;
            }
        }
        if (end - first < most) {
            continue;
        }
        most = end - first;
        best = NULL;
        for (uint32_t i = first; i < end; i++) {
            int64_t deadline = rule_deadline(rules[i], &reason);
            if (!best || rules[i]->importance < best->importance
                || (rules[i]->importance == best->importance
                    && deadline < best_deadline)) {
                best = rules[i];
                best_deadline = deadline;
            }
        }
    }
    free(rules);
    return best;
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

/* Asks for what a walk along a table's list will need after this. */
static void
prefetch_after(const struct rule *rule)
{
    if (rule) {
        __builtin_prefetch(rule->next);
        __builtin_prefetch((const char *) rule->next + CACHE_LINE);
    }
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
        struct rule *only = NULL, *stop = table->last, *rule, *next;
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
        }
        for (rule = only ? only : table->first; rule; rule = next) {
            next = only || rule == stop ? NULL : rule->next;
            prefetch_after(next);
            if (!cls_rule_visible(&rule->cls, version)) {
                continue;
            }
            if (!only && rule->cls.priority > UINT16_MAX) {
                left[n_left++ % FEW_LEFT] = rule;
                continue;
            }
            if (!cookie_matches(rule, c->cookie_match, c->cookie_mask)
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
                        goto done;
                    }
                }
                stage_modification(p, rule, c, program, version);
            } else {
                rules_stage_removal(p, rule, c->reason, version);
            }
            c->n_affected++;
        }
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
changes_stage(uint64_t version, void *changes, uint32_t n, size_t size,
              size_t error_offset, stage_one *stage, const uint8_t *blob,
              uint32_t blob_size)
{
    struct pipeline *p = pipeline_of_version(version);
    int result = 0;

    if (!p) {
        return error_set(ENOENT, "no such version is open");
    }
    lock_take(&p->mutex);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *change = (uint8_t *) changes + i * size;
        uint32_t *error = (void *) (change + error_offset);
        uint32_t before = p->n_changes;
        *error = result ? UINT32_MAX
                 : stage(p, change, blob, blob_size, version);
        if (*error && !result) {
            roll_back(p, before);
            result = EINVAL;
        }
    }
    lock_drop(&p->mutex);
    return result;
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

/* Records. */

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

static void
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

/* Returns the first rule of 'table' whose number is at least 'number': the one
 * with 'handle' if it is still there. */
static struct rule *
rule_since(const struct table *table, uint32_t handle, uint64_t number)
{
    struct rule *rule = rule_find(handle);

    if (!rule || rule->number != number) {
        for (rule = table->first; rule && rule->number < number; ) {
            rule = rule->next;
        }
    }
    return rule;
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
    unsigned table_id = cursor[0] >> 32;
    uint32_t budget = 4096;     /* Rules looked at per call. */
    struct rule *rule;
    struct cls_filter passes;

    *n_bytes = *n_records = 0;
    if (!bridge) {
        return error_set(ENODEV, "no bridge %u", filter->bridge);
    }
    cls_filter_init(&passes, value, mask);
    uint64_t version = atomic_load(&bridge->pipeline->version);
    uint64_t from = cursor[1];
    for (; table_id < N_TABLES; table_id++, from = 0) {
        struct table *table = &bridge->tables[table_id];
        if (!table->first
            || (filter->table != 255 && filter->table != table_id)) {
            continue;
        }
        for (rule = from ? rule_since(table, cursor[0], from) : table->first;
             rule; rule = rule->next) {
            if (!budget--) {
                goto more;
            }
            if (!cls_rule_visible(&rule->cls, version)
                || (rule->cls.priority > UINT16_MAX && !filter->hidden)
                || !cookie_matches(rule, filter->cookie, filter->cookie_mask)
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
                    return error_set(ENOBUFS, "a rule needs %u bytes",
                                     needed);
                }
                goto more;
            }
            *n_bytes += needed;
            (*n_records)++;
        }
    }
    cursor[0] = cursor[1] = 0;
    return 0;
more:
    cursor[0] = (uint64_t) table_id << 32 | rule->handle;
    cursor[1] = rule->number;
    return 0;
}

struct shortened {              /* A rule to be looked at by expiry. */
    struct shortened *next;
    struct rule *rule;          /* A reference. */
};

/* Lowers a timeout to 'limit' seconds, if that is not 0 ("no timeout"). */
static bool
shorten(uint16_t *timeout, uint16_t limit)
{
    uint16_t now = __atomic_load_n(timeout, __ATOMIC_RELAXED);
    bool lowers = limit && (!now || now > limit);

    if (lowers) {
        __atomic_store_n(timeout, limit, __ATOMIC_RELAXED);
    }
    return lowers;
}

void
rule_shorten(struct pipeline *p, struct rule *rule, uint16_t idle,
             uint16_t hard)
{
    bool lowers_idle = shorten(&rule->idle_timeout, idle);

    if (shorten(&rule->hard_timeout, hard) || lowers_idle) {
        struct shortened *s = xzalloc(sizeof *s);
        rule_ref(rule);
        s->rule = rule;
        lock_take(&p->learn_lock);
        s->next = p->shortened;
        __atomic_store_n(&p->shortened, s, __ATOMIC_RELAXED);
        lock_drop(&p->learn_lock);
    }
}

void
rules_follow_shortened(struct pipeline *p)
{
    if (!__atomic_load_n(&p->shortened, __ATOMIC_RELAXED)) {
        return;
    }
    lock_take(&p->learn_lock);
    struct shortened *next, *s = p->shortened;
    __atomic_store_n(&p->shortened, NULL, __ATOMIC_RELAXED);
    lock_drop(&p->learn_lock);
    for (; s; s = next) {
        next = s->next;
        if (!s->rule->dead) {
            due_add(p, s->rule);
            p->next_expiry_ms = MIN(p->next_expiry_ms, clock_now());
        }
        rule_unref(s->rule);
        free(s);
    }
}

int64_t
rule_deadline(const struct rule *rule, uint8_t *reason)
{
    uint16_t hard = __atomic_load_n(&rule->hard_timeout, __ATOMIC_RELAXED);
    uint16_t idle = __atomic_load_n(&rule->idle_timeout, __ATOMIC_RELAXED);
    int64_t deadline = INT64_MAX;

    /* A timeout is over when more than its seconds have gone by. */
    if (hard) {
        deadline = rule->modified_ms + hard * INT64_C(1000) + 1;
        *reason = RR_HARD_TIMEOUT;
    }
    if (idle) {
        int64_t unused = (counters_used(rule->counters)
                          + idle * INT64_C(1000) + 1);
        if (unused < deadline) {
            deadline = unused;
            *reason = RR_IDLE_TIMEOUT;
        }
    }
    return deadline;
}
