/* registry.c: which pipelines and bridges there are: finding them by handle,
 * version and port.
 *
 * Below all else of the pipeline that knows bridges.  Registering: control
 * thread; finding: any thread, inside an epoch for what is found. */
#include "pipeline/private.h"

#define MAX_PIPELINES 64

/* Versions of different pipelines differ: the slot is in their high bits. */
#define VERSION_SLOT_SHIFT 48

static struct pipeline *_Atomic pipelines[MAX_PIPELINES];
static struct handle_table bridge_handles;
struct pipeline_hooks pipeline_hooks;

void
pipeline_set_hooks(const struct pipeline_hooks *hooks)
{
    pipeline_hooks = *hooks;
}

/* Gives 'p' its slot and with it its first version; false: there are too
 * many. */
bool
pipeline_register(struct pipeline *p)
{
    for (unsigned i = 0; i < MAX_PIPELINES; i++) {
        if (!atomic_load(&pipelines[i])) {
            atomic_init(&p->version, (i + 1ULL) << VERSION_SLOT_SHIFT);
            atomic_store(&pipelines[i], p);
            return true;
        }
    }
    return false;
}

void
pipeline_forget(struct pipeline *p)
{
    for (unsigned i = 0; i < MAX_PIPELINES; i++) {
        if (atomic_load(&pipelines[i]) == p) {
            atomic_store(&pipelines[i], NULL);
        }
    }
}

struct pipeline *
pipeline_find(uint32_t dp)
{
    for (unsigned i = 0; i < MAX_PIPELINES; i++) {
        struct pipeline *p = atomic_load(&pipelines[i]);
        if (p && p->dp == dp) {
            return p;
        }
    }
    return NULL;
}

struct pipeline *
pipeline_of_version(uint64_t version)
{
    uint64_t slot = (version >> VERSION_SLOT_SHIFT) - 1;
    struct pipeline *p = slot < MAX_PIPELINES ? atomic_load(&pipelines[slot])
                                              : NULL;

    return p && p->staged == version ? p : NULL;
}

struct pipeline_pin
pipeline_pin(const struct pipeline *p_)
{
    struct pipeline *p = (struct pipeline *) p_;
    struct pipeline_pin pin;

    /* The serial first: what is translated may be newer, never older. */
    pin.serial = atomic_load_explicit(&p->serial, memory_order_acquire);
    pin.version = atomic_load_explicit(&p->version, memory_order_acquire);
    return pin;
}

void
pipeline_changed(struct pipeline *p)
{
    atomic_fetch_add_explicit(&p->serial, 1, memory_order_release);
}

void
bridge_register(struct bridge *bridge)
{
    bridge->handle = handle_add(&bridge_handles, bridge);
}

void
bridge_forget(struct bridge *bridge)
{
    handle_remove(&bridge_handles, bridge->handle);
}

struct bridge *
bridge_find(uint32_t handle)
{
    return handle_find(&bridge_handles, handle);
}

bool
pipeline_find_port(const struct pipeline *p, uint32_t odp,
                   struct bridge **bridge, uint32_t *ofp)
{
    const struct port_map *map = atomic_load_explicit(
        &((struct pipeline *) p)->port_map, memory_order_acquire);

    for (uint32_t i = hash_u32(odp, 0) & map->hash_mask; ;
         i = (i + 1) & map->hash_mask) {
        const struct port_map_entry *entry = &map->entries[i];
        if (entry->odp == ODP_NONE) {
            return false;
        }
        if (entry->odp == odp) {
            *bridge = entry->bridge;
            *ofp = entry->ofp;
            return true;
        }
    }
}
