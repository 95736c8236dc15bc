/* pool.c: see pool.h.
 *
 * A chunk has objects of one size, and lies at a multiple of its own size, so
 * that an object's address tells where its chunk begins.  Under sanitizers all
 * is left to malloc(), which they watch. */
#include "base/pool.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__

void *
pool_zalloc(size_t size)
{
    return xzalloc(size);
}

void
pool_free(void *p)
{
    free(p);
}

#else

#include <stdio.h>
#include <sys/mman.h>

#define CHUNK ((size_t) 1 << 18)
#define GRAIN 16                /* Sizes are multiples of this. */
#define SPARE_MAX 16            /* Chunks kept for later. */

struct chunk {
    struct chunk *next, *previous;      /* Of those with room. */
    void *free;                 /* Objects given back; each has the next. */
    uint8_t *fresh;             /* What has never been one. */
    uint32_t n, max;            /* Objects. */
    uint32_t size;              /* Of each. */
    uint32_t pad[5];
};

_Static_assert(sizeof(struct chunk) % GRAIN == 0, "chunk");

static struct chunk *with_room[POOL_MAX / GRAIN];       /* By size. */
static struct chunk *spare;
static uint32_t n_spare;

/* Maps twice as much and gives back what is around the chunk. */
static struct chunk *
chunk_map(void)
{
    uint8_t *p = mmap(NULL, 2 * CHUNK, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        fputs("datapath: memory exhausted\n", stderr);
        abort();
    }
    size_t before = -(uintptr_t) p % CHUNK;
    if (before) {
        munmap(p, before);
    }
    munmap(p + before + CHUNK, CHUNK - before);
    return (void *) (p + before);
}

static struct chunk *
chunk_new(uint32_t size)
{
    struct chunk *c = spare;

    if (c) {
        spare = c->next;
        n_spare--;
    } else {
        c = chunk_map();
    }
    *c = (struct chunk) {
        .size = size, .max = (CHUNK - sizeof *c) / size,
        .fresh = (uint8_t *) c + sizeof *c,
    };
    return c;
}

static void
link_chunk(struct chunk *c)
{
    struct chunk **first = &with_room[c->size / GRAIN - 1];

    c->previous = NULL;
    c->next = *first;
    if (*first) {
        (*first)->previous = c;
    }
    *first = c;
}

static void
unlink_chunk(struct chunk *c)
{
    *(c->previous ? &c->previous->next : &with_room[c->size / GRAIN - 1])
        = c->next;
    if (c->next) {
        c->next->previous = c->previous;
    }
}

void *
pool_zalloc(size_t size)
{
    size = ROUND_UP(MAX(size, 1), GRAIN);
    if (size > POOL_MAX) {
        abort();
    }
    struct chunk *c = with_room[size / GRAIN - 1];
    void *p;

    if (!c) {
        c = chunk_new(size);
        link_chunk(c);
    }
    if (c->free) {
        p = c->free;
        memcpy(&c->free, p, sizeof c->free);
    } else {
        p = c->fresh;
        c->fresh += size;
    }
    if (++c->n == c->max) {
        unlink_chunk(c);
    }
    return memset(p, 0, size);
}

void
pool_free(void *p)
{
    struct chunk *c = p ? (void *) ((uintptr_t) p & -CHUNK) : NULL;

    if (!c) {
        return;
    }
    if (c->n == c->max) {
        link_chunk(c);
    }
    memcpy(p, &c->free, sizeof c->free);
    c->free = p;
    if (--c->n) {
        return;
    }
    unlink_chunk(c);
    if (n_spare < SPARE_MAX) {
        c->next = spare;
        spare = c;
        n_spare++;
    } else {
        munmap(c, CHUNK);
    }
}

#endif
