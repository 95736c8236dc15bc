/* upcall.h: the queues by which C speaks to Python.
 *
 * What.  Per queue an eventfd and lists of records, one list per input port
 * (by its number modulo UPCALL_LISTS), taken in turn, so that a port that
 * floods a queue only crowds out its own records.  A list or queue that is
 * full drops the record; the caller counts that.  QUEUE_EVENT never loses
 * silently: when it is full one UPCALL_RESYNC record takes the place of what
 * was dropped.
 *
 * Why allocation and a lock: an upcall costs a wake-up of Python; the packet
 * path without upcalls never comes here.
 *
 * Thread safety: any thread. */
#pragma once

#include "api.h"
#include "base/base.h"
#include "generated/seam.h"

#define N_QUEUES (QUEUE_FRAMES + 1)
#define UPCALL_LISTS 64

struct upcall_part {            /* A piece of what follows a record. */
    const void *data;
    uint32_t size;
};

/* Queues a copy of '*record' followed by flow, data and frame (each may be
 * {NULL, 0}); sets its sizes and time.  Returns false where the queue is
 * full. */
bool upcall_put(uint32_t queue, const struct upcall_record *record,
                struct upcall_part flow, struct upcall_part data,
                struct upcall_part frame);

/* Records dropped so far because 'queue' was full. */
uint64_t upcall_n_lost(uint32_t queue);
