/* group.c: the life of OpenFlow groups, which come and go with versions as
 * rules do.
 *
 * Lookups walk a short list, newest first.  Thread rule: control thread,
 * except group_lookup() (any thread inside an epoch), group_ref() and
 * group_unref(). */
#include "pipeline/private.h"

void
group_ref(struct group *group)
{
    __atomic_add_fetch(&group->refs, 1, __ATOMIC_RELAXED);
}

static void
group_free(void *group_)
{
    struct group *group = group_;

    for (uint32_t i = 0; i < group->n_buckets; i++) {
        program_unref(group->buckets[i].program);
        counters_unref(group->buckets[i].counters);
    }
    program_unref(group->source);
    counters_unref(group->counters);
    bridge_unref(group->bridge);
    free(group->hash_map);
    free(group->fields);
    free(group);
}

void
group_unref(struct group *group)
{
    if (group && !__atomic_sub_fetch(&group->refs, 1, __ATOMIC_ACQ_REL)) {
        epoch_retire(group, group_free);
    }
}

static struct group *_Atomic *
chain(const struct bridge *bridge, uint32_t id)
{
    return &((struct bridge *) bridge)->groups[hash_u32(id, 0) % GROUP_HASH];
}

struct group *
group_lookup(const struct bridge *bridge, uint32_t id, uint64_t version)
{
    struct group *g = atomic_load_explicit(chain(bridge, id),
                                           memory_order_acquire);

    for (; g; g = atomic_load_explicit(&g->next, memory_order_acquire)) {
        if (g->id == id && atomic_load(&g->added) <= version
            && version < atomic_load(&g->removed)) {
            return g;
        }
    }
    return NULL;
}

/* Puts a new group before older ones of its id: it is found from version
 * 'added' on. */
void
group_link(struct group *group, uint64_t added)
{
    struct group *_Atomic *head = chain(group->bridge, group->id);

    atomic_init(&group->added, added);
    atomic_init(&group->removed, VERSION_NEVER);
    atomic_store(&group->next, atomic_load(head));
    atomic_store_explicit(head, group, memory_order_release);
}

/* Unlinks and gives back a group that no version has any more. */
static void
group_unlink(void *group_)
{
    struct group *group = group_;
    struct group *_Atomic *link = chain(group->bridge, group->id);

    while (atomic_load(link) != group) {
        link = &atomic_load(link)->next;
    }
    atomic_store_explicit(link, atomic_load(&group->next),
                          memory_order_release);
    group_unref(group);
}

static void
free_groups_of(struct staged_change *change)
{
    memset(change, 0, sizeof *change);
}

void
groups_committed(struct staged_change *change)
{
    struct group *added = change->group_added;
    struct group *removed = change->group_removed;

    if (removed) {
        epoch_retire(removed, group_unlink);
    }
    if (added && !removed) {
        added->bridge->n_groups++;
    } else if (removed && !added) {
        removed->bridge->n_groups--;
    }
    free_groups_of(change);
}

void
groups_aborted(struct staged_change *change)
{
    if (change->group_removed) {
        atomic_store(&change->group_removed->removed, VERSION_NEVER);
    }
    if (change->group_added) {
        atomic_store(&change->group_added->removed, 0);
        group_unlink(change->group_added);
    }
    free_groups_of(change);
}

void
bridge_groups_destroy(struct bridge *bridge)
{
    for (unsigned i = 0; i < GROUP_HASH; i++) {
        struct group *next;
        for (struct group *g = atomic_load(&bridge->groups[i]); g; g = next) {
            next = atomic_load(&g->next);
            /* A group removed before is retired, and unlinks itself. */
            if (atomic_load(&g->removed) == VERSION_NEVER) {
                atomic_store(&g->removed, 0);
                group_unlink(g);
            }
        }
    }
}
