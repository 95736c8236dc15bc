/* learn.c: rules made by rules.
 *
 * A translation for a real packet (and each settlement of its megaflow) puts
 * what it learned into the pipeline's list (learned.c); pipeline_expire(), on
 * the control thread, turns the list into one version.  A rule that is there
 * already is only refreshed.  Rules of a learn op with LEARN_DELETE_LEARNED go
 * when the last rule with that table and cookie has gone: a commit may bring
 * about another one.
 *
 * Thread rule: control thread. */
#include "pipeline/private.h"

static bool
is_same(const struct learn_args *args, void *l_)
{
    const struct learned *l = l_;

    return args->table == l->args.table && args->cookie == l->args.cookie;
}

static void
delete_orphans(struct pipeline *p)
{
    while (p->orphans) {
        struct learned *l = p->orphans;
        struct bridge *bridge = bridge_find(l->bridge);
        bool wanted = false;

        p->orphans = l->next;
        for (unsigned t = 0; bridge && t < N_TABLES && !wanted; t++) {
            for (struct rule *r = bridge->tables[t].first; r && !wanted;
                 r = r->next) {
                wanted = program_each_deleting(r->program, is_same, l);
            }
        }
        if (bridge && !wanted) {
            uint64_t version;
            version_open(p->dp, &version);
            for (struct rule *r = bridge->tables[l->args.table].first; r;
                 r = r->next) {
                if (r->cookie == l->args.cookie
                    && r->cls.priority <= UINT16_MAX) {
                    rules_stage_removal(p, r, RR_DELETE, version);
                }
            }
            version_publish(version);
        }
        learned_unref(l);
    }
}

int
version_commit(uint64_t version)
{
    struct pipeline *p = pipeline_of_version(version);
    int error = version_publish(version);

    if (!error) {
        delete_orphans(p);
    }
    return error;
}

/* Makes the rules that wait; returns how many things changed. */
uint64_t
learn_apply(struct pipeline *p)
{
    uint64_t version, n_changes;

    if (!__atomic_load_n(&p->n_learned, __ATOMIC_RELAXED) || p->staged) {
        return 0;
    }
    lock_take(&p->learn_lock);
    struct learned **list = p->learned;
    uint32_t n = p->n_learned;
    p->learned = NULL;
    p->allocated_learned = 0;
    __atomic_store_n(&p->n_learned, 0, __ATOMIC_RELAXED);
    lock_drop(&p->learn_lock);

    version_open(p->dp, &version);
    for (uint32_t i = 0; i < n; i++) {
        struct learned *l = list[i];
        struct bridge *bridge = bridge_find(l->bridge);
        if (bridge && bridge->pipeline == p) {
            rules_stage_learned(p, bridge, l, version);
        }
        learned_unref(l);
    }
    free(list);
    n_changes = p->n_changes;
    if (n_changes) {
        version_commit(version);
    } else {
        version_abort(version);
    }
    return n_changes;
}
