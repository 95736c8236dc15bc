/* journal.c: the changes of the open version, so that they can be undone.
 *
 * Thread rule: control thread. */
#include "pipeline/private.h"

#define MANY_CHANGES 65536      /* Not kept room for. */

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

/* Empties the journal, and gives its memory back where that is much. */
void
changes_forget(struct pipeline *p)
{
    p->n_changes = 0;
    if (p->allocated_changes > MANY_CHANGES) {
        free(p->changes);
        p->changes = NULL;
        p->allocated_changes = 0;
    }
}

void
rules_stage_removal(struct pipeline *p, struct rule *rule, uint8_t reason,
                    uint64_t version)
{
    atomic_store(&rule->cls.removed, version);
    rule->reason = reason;
    rule->bridge->tables[rule->table].n_staged--;
    stage_change(p, CHANGE_RULE)->removed = rule;
}
