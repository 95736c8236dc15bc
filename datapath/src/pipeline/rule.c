/* rule.c: the life of a rule of an OpenFlow table: put into its table, taken
 * out of it when no worker can be in a version that has it, freed when no
 * megaflow counts for it; and when it times out.
 *
 * Thread rule: control thread, except rule_ref(), rule_unref() and
 * rule_shorten(). */
#include "base/pool.h"
#include "pipeline/private.h"

static struct handle_table rule_handles;

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
    pool_free(rule);
}

void
rule_unref(struct rule *rule)
{
    if (rule && !__atomic_sub_fetch(&rule->refs, 1, __ATOMIC_ACQ_REL)) {
        epoch_retire_node(&rule->retired, rule_free);
    }
}

/* As rule_unref(), for somebody whose own readers are all gone. */
void
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

void
rule_due_add(struct pipeline *p, struct rule *rule)
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
void
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
struct rule *
rule_insert(struct bridge *bridge, uint8_t table_id, struct program *program,
            struct counters *counters, int32_t priority,
            const struct cls_match *match, uint64_t added)
{
    struct table *table = &bridge->tables[table_id];
    struct rule *rule = pool_zalloc(
        sizeof *rule + match->mini.n * sizeof *rule->words);

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
void
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
            rule_due_add(p, s->rule);
            p->next_expiry_ms = MIN(p->next_expiry_ms, clock_now());
        }
        rule_unref(s->rule);
        free(s);
    }
}
