/* clear.c: tables whose rules go all at once.
 *
 * What.  A deletion that leaves nothing in a table begins it anew: from the
 * staged version on it has another classifier, and what is older is found
 * through that one.  So its rules need not be taken out of hash tables, tries
 * and indices one by one.  When no worker can be in an older version any more,
 * rules and classifier are freed in pieces, whenever nobody waits.
 *
 * Thread rule: control thread. */
#include "pipeline/private.h"

/* What was in a table before it was begun anew. */
struct cleared {
    struct epoch_heap heap;
    struct cleared *next;       /* Of the same table and version, older. */
    struct table *table;
    struct classifier *classifier;
    struct classifier *newer;   /* NULL: there is none. */
    struct epoch_node *first, **last;   /* Its rules, in no other list. */
    release_rule *release;
};

static bool
free_some(struct epoch_heap *heap, uint32_t *max)
{
    struct cleared *c = CONTAINER_OF(heap, struct cleared, heap);

    if (c->newer) {
        classifier_forget_older(c->newer);
        c->newer = NULL;
    }
    while (c->first && *max) {
        struct rule *rule = CONTAINER_OF(c->first, struct rule, retired);
        c->first = rule->retired.next;
        __builtin_prefetch(c->first);
        c->release(rule);
        --*max;
    }
    if (c->first || !*max || !classifier_dismantle(c->classifier, max)) {
        return false;
    }
    free(c);
    return true;
}

static struct cleared *
cleared_new(struct table *table, struct classifier *newer,
            release_rule *release)
{
    struct cleared *c = xzalloc(sizeof *c);

    c->heap.n = 1;
    c->heap.free_some = free_some;
    c->table = table;
    c->classifier = table->cls;
    c->newer = newer;
    c->last = &c->first;
    c->release = release;
    return c;
}

struct cleared *
table_clear(struct table *table, uint64_t version, release_rule *release)
{
    struct classifier *newer = classifier_succeed(table->cls, version);
    struct cleared *c = cleared_new(table, newer, release);

    c->next = table->cleared;
    table->cleared = c;
    __atomic_store_n(&table->cls, newer, __ATOMIC_RELEASE);
    return c;
}

bool
cleared_take(struct rule *rule)
{
    const struct table *table = &rule->bridge->tables[rule->table];
    struct cleared *c = table->cleared;

    while (c && c->classifier != classifier_of(&rule->cls)) {
        c = c->next;
    }
    if (c) {
        rule->retired.next = NULL;
        *c->last = &rule->retired;
        c->last = &rule->retired.next;
        c->heap.n++;
    }
    return c;
}

/* Comes when all rules that go with it have come: the first of a table and a
 * version is the oldest. */
void
cleared_committed(struct cleared *c)
{
    struct cleared **link = &c->table->cleared;

    while (*link != c) {
        link = &(*link)->next;
    }
    *link = c->next;
    epoch_retire_heap(&c->heap);
}

void
cleared_aborted(struct cleared *c)
{
    c->table->cleared = c->next;
    __atomic_store_n(&c->table->cls, c->classifier, __ATOMIC_RELEASE);
    classifier_retire(c->newer);
    free(c);
}

static void
retire_heap(void *node)
{
    epoch_retire_heap(CONTAINER_OF(node, struct epoch_heap, node));
}

/* Rules that were deleted earlier go before these, as they are still in the
 * classifier; workers that still have the bridge may look there. */
void
table_destroy(struct table *table, struct epoch_node *first,
              release_rule *release)
{
    if (table->cls) {
        struct cleared *c = cleared_new(table, NULL, release);
        c->first = first;
        for (; first; first = first->next) {
            c->heap.n++;
        }
        epoch_retire_node(&c->heap.node, retire_heap);
    }
    free(table->eviction_mask);
}
