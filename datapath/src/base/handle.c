/* handle.c: see handle.h. */
#include "base/handle.h"

static struct handle_slot *
slot_at(const struct handle_table *table, uint32_t index)
{
    if (index >= HANDLE_CHUNK * HANDLE_CHUNKS) {
        return NULL;
    }
    struct handle_slot *chunk
        = __atomic_load_n(&table->chunks[index / HANDLE_CHUNK],
                          __ATOMIC_ACQUIRE);    /* Pairs with handle_add(). */
    return chunk ? &chunk[index % HANDLE_CHUNK] : NULL;
}

uint32_t
handle_add(struct handle_table *table, void *object)
{
    uint32_t index;
    if (table->n_free) {
        index = table->free_list[--table->n_free];
    } else {
        index = table->n_slots;
        if (index >= HANDLE_CHUNK * HANDLE_CHUNKS) {
            return 0;
        }
        if (!table->chunks[index / HANDLE_CHUNK]) {
            struct handle_slot *chunk = xcalloc(HANDLE_CHUNK, sizeof *chunk);
            __atomic_store_n(&table->chunks[index / HANDLE_CHUNK], chunk,
                             __ATOMIC_RELEASE);
        }
        __atomic_store_n(&table->n_slots, index + 1, __ATOMIC_RELEASE);
    }
    struct handle_slot *slot = slot_at(table, index);
    __atomic_store_n(&slot->object, object, __ATOMIC_RELEASE);
    return (uint32_t) slot->generation << 24 | (index + 1);
}

void *
handle_find(const struct handle_table *table, uint32_t handle)
{
    uint32_t index = (handle & 0xffffff) - 1;
    struct handle_slot *slot = (handle & 0xffffff
                                ? slot_at(table, index) : NULL);
    if (!slot || __atomic_load_n(&slot->generation, __ATOMIC_RELAXED)
                 != handle >> 24) {
        return NULL;
    }
    return __atomic_load_n(&slot->object, __ATOMIC_ACQUIRE);
}

void
handle_remove(struct handle_table *table, uint32_t handle)
{
    uint32_t index = (handle & 0xffffff) - 1;
    if (!handle_find(table, handle)) {
        return;
    }
    struct handle_slot *slot = slot_at(table, index);
    __atomic_store_n(&slot->object, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->generation, slot->generation + 1,
                     __ATOMIC_RELAXED);
    if (table->n_free == table->allocated_free) {
        table->allocated_free = MAX(64, 2 * table->allocated_free);
        table->free_list = xrealloc(table->free_list,
                                    table->allocated_free * sizeof(uint32_t));
    }
    table->free_list[table->n_free++] = index;
}
