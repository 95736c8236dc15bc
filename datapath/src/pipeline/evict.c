/* evict.c: which rule makes room in a full table.
 *
 * Thread rule: control thread. */
#define _GNU_SOURCE             /* qsort_r() */
#include "pipeline/private.h"

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
