/* version.c: versions of the tables: opened, staged into, published as one, or
 * undone.
 *
 * A flow_mod inserts rules that exist from the staged version on, and marks
 * others as gone from it on; the version's journal says how to undo that.
 * What a published version removed is unlinked from the classifiers when no
 * worker can be in an older version any more.
 *
 * Thread rule: control thread. */
#include "pipeline/private.h"

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
        rule_due_add(p, added);
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
    changes_forget(p);
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
