/* handle.h: tables that give objects integer handles which do not come back
 * soon.
 *
 * A 32-bit handle is {8 bits generation, 24 bits index + 1}; it is never 0.
 * Lookup by a handle whose object is gone gives NULL.
 *
 * Thread safety: lookup by any thread (the slots are published by release
 * store and never move); add and remove by one thread at a time. */
#pragma once

#include "base/base.h"

#define HANDLE_CHUNK 1024
#define HANDLE_CHUNKS 4096

struct handle_slot {
    void *object;               /* Atomic; NULL: free. */
    uint8_t generation;         /* Atomic. */
};

struct handle_table {
    struct handle_slot *chunks[HANDLE_CHUNKS];      /* Atomic. */
    uint32_t *free_list;        /* Owner: writer. */
    uint32_t n_free, allocated_free;
    uint32_t n_slots;           /* Atomic: slots ever used. */
};

uint32_t handle_add(struct handle_table *, void *object);
void *handle_find(const struct handle_table *, uint32_t handle);
void handle_remove(struct handle_table *, uint32_t handle);
