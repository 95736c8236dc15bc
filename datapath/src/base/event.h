/* event.h: descriptors that become readable when somebody is told something.
 *
 * Any thread may signal; who reads drains first and then looks. */
#pragma once

#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base.h"

/* Stores a new descriptor in '*fd'; returns 0 or errno with a sentence, and
 * stores -1. */
static inline int
event_open(int *fd)
{
    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return *fd >= 0 ? 0 : error_set(errno, "cannot make an eventfd: %s",
                                    strerror(errno));
}

/* Makes 'fd' readable. */
static inline void
event_signal(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) < 0) {
        /* It is readable already. */
    }
}

/* Makes 'fd' not readable. */
static inline void
event_drain(int fd)
{
    uint64_t counter;
    if (read(fd, &counter, sizeof counter) < 0) {
        /* It was not readable: nothing to reset. */
    }
}
