/* clock.c: see clock.h. */
#include "base/clock.h"

#include <time.h>

static bool steered;            /* Atomic. */
static int64_t steered_ms;      /* Atomic. */

int64_t
clock_now(void)
{
    if (__atomic_load_n(&steered, __ATOMIC_ACQUIRE)) {
        return __atomic_load_n(&steered_ms, __ATOMIC_RELAXED);
    }
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
clock_steer(bool by_hand, int64_t now_ms)
{
    __atomic_store_n(&steered_ms, now_ms, __ATOMIC_RELAXED);
    __atomic_store_n(&steered, by_hand, __ATOMIC_RELEASE);
}

uint64_t
clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * 1000000000 + ts.tv_nsec;
}
