/* counters.c: packets and bytes of a rule, bucket or patch port, counted by
 * many threads.
 *
 * Thread rule: any thread that has a reference, or is inside an epoch. */
#include "base/pool.h"
#include "pipeline/private.h"

struct counters *
counters_new(int64_t now_ms)
{
    struct counters *c = pool_zalloc(sizeof *c);

    c->used_ms = now_ms;
    c->refs = 1;
    return c;
}

void
counters_ref(struct counters *c)
{
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
}

void
counters_unref(struct counters *c)
{
    if (c && !__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL)) {
        epoch_retire(c, pool_free);
    }
}

/* Whoever else counts there has a reference; who only looks did so through
 * the caller's object, and may no more. */
void
counters_release(struct counters *c)
{
    if (!__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL)) {
        pool_free(c);
    }
}

int64_t
counters_used(const struct counters *c)
{
    return __atomic_load_n(&c->used_ms, __ATOMIC_RELAXED);
}

void
counters_add(struct counters *c, uint64_t n_packets, uint64_t n_bytes,
             int64_t used_ms)
{
    int64_t used = __atomic_load_n(&c->used_ms, __ATOMIC_RELAXED);

    __atomic_add_fetch(&c->n_packets, n_packets, __ATOMIC_RELAXED);
    __atomic_add_fetch(&c->n_bytes, n_bytes, __ATOMIC_RELAXED);
    while (used < used_ms
           && !__atomic_compare_exchange_n(&c->used_ms, &used, used_ms, true,
                                           __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED)) {
        continue;
    }
}
