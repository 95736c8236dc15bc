/* lock.h: mutexes whose misuse aborts.  Order of locks, outermost first:
 * worker turn (worker.h), pipeline mutex, tables' own locks, upcall queues. */
#pragma once

#include <pthread.h>

#include "base/base.h"

struct lock {
    pthread_mutex_t mutex;
};

#define LOCK_INITIALIZER { PTHREAD_MUTEX_INITIALIZER }

static inline void
lock_init(struct lock *lock)
{
    if (pthread_mutex_init(&lock->mutex, NULL)) {
        abort();
    }
}

static inline void
lock_destroy(struct lock *lock)
{
    if (pthread_mutex_destroy(&lock->mutex)) {
        abort();
    }
}

static inline void
lock_take(struct lock *lock)
{
    if (pthread_mutex_lock(&lock->mutex)) {
        abort();
    }
}

static inline void
lock_drop(struct lock *lock)
{
    if (pthread_mutex_unlock(&lock->mutex)) {
        abort();
    }
}

/* Counters that one thread writes and others read. */
static inline void
count_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n,
                     __ATOMIC_RELAXED);
}

static inline uint64_t
count_get(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}
