/* buffer.c: the rare path of buffer.h. */
#include "base/buffer.h"

void
buffer_reserve_slow(struct buffer *b, uint32_t n)
{
    uint64_t want = MAX((uint64_t) b->size + n, (uint64_t) b->allocated * 2);
    want = MAX(want, 64);
    if (want > UINT32_MAX) {
        abort();
    }
    b->data = xrealloc(b->data, want);
    b->allocated = want;
}
