/* arena.c: the rare path of arena.h. */
#include "packet/arena.h"

void *
arena_take_slow(struct arena *arena, uint32_t n)
{
    if (n > ARENA_CHUNK) {
        abort();
    }
    if (arena->n_chunks && arena->current + 1 < arena->n_chunks) {
        arena->current++;
    } else {
        arena->chunks = xrealloc(arena->chunks, (arena->n_chunks + 1)
                                                * sizeof *arena->chunks);
        arena->chunks[arena->n_chunks] = xaligned_zalloc(CACHE_LINE,
                                                         ARENA_CHUNK);
        arena->current = arena->n_chunks++;
    }
    arena->used = n;
    return arena->chunks[arena->current];
}

void
arena_destroy(struct arena *arena)
{
    for (uint32_t i = 0; i < arena->n_chunks; i++) {
        free(arena->chunks[i]);
    }
    free(arena->chunks);
    memset(arena, 0, sizeof *arena);
}
