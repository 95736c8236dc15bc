/* arena.h: frames that live until the end of the burst.
 *
 * A bump allocator over chunks that are kept: in steady state no allocation
 * happens.  Owner: one worker, which calls arena_reset() between bursts. */
#pragma once

#include "base/base.h"

struct arena {
    uint8_t **chunks;
    uint32_t n_chunks, current;
    uint32_t used;              /* Of the current chunk. */
};

#define ARENA_CHUNK (256 * 1024)

void *arena_take_slow(struct arena *, uint32_t n);
void arena_destroy(struct arena *);

/* Returns 'n' (at most ARENA_CHUNK) bytes, aligned to a cache line. */
static inline void *
arena_take(struct arena *arena, uint32_t n)
{
    n = ROUND_UP(n, CACHE_LINE);
    if (UNLIKELY(!arena->n_chunks || n > ARENA_CHUNK - arena->used)) {
        return arena_take_slow(arena, n);
    }
    void *p = arena->chunks[arena->current] + arena->used;
    arena->used += n;
    return p;
}

static inline void
arena_reset(struct arena *arena)
{
    arena->current = 0;
    arena->used = 0;
}
