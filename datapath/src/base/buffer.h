/* buffer.h: a byte array that grows.  Owner: whoever made it. */
#pragma once

#include "base/base.h"

struct buffer {
    uint8_t *data;              /* 'size' bytes used. */
    uint32_t size;
    uint32_t allocated;
};

void buffer_reserve_slow(struct buffer *, uint32_t);

static inline void
buffer_destroy(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer) { NULL, 0, 0 };
}

/* Makes room for 'n' more bytes; 'data' may move. */
static inline void
buffer_reserve(struct buffer *b, uint32_t n)
{
    if (UNLIKELY(b->allocated - b->size < n)) {
        buffer_reserve_slow(b, n);
    }
}

/* Appends 'n' bytes of undefined content and returns the first. */
static inline void *
buffer_put_uninit(struct buffer *b, uint32_t n)
{
    buffer_reserve(b, n);
    void *p = b->data + b->size;
    b->size += n;
    return p;
}

static inline void *
buffer_put_zeros(struct buffer *b, uint32_t n)
{
    return n ? memset(buffer_put_uninit(b, n), 0, n) : b->data + b->size;
}

static inline void
buffer_put(struct buffer *b, const void *p, uint32_t n)
{
    if (n) {
        memcpy(buffer_put_uninit(b, n), p, n);
    }
}
