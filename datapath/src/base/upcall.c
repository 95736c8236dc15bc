/* upcall.c: see upcall.h; and upcall_fd(), upcalls_take() of the seam. */
#include "base/upcall.h"

#include "base/clock.h"
#include "base/event.h"
#include "base/lock.h"

#define LIST_BYTES (1024 * 1024)        /* Most bytes waiting of one port. */
#define QUEUE_BYTES (16 * 1024 * 1024)  /* Most bytes waiting in a queue. */
#define EVENT_BYTES (256 * 1024 * 1024) /* Of events: all rules deleted. */

struct entry {
    struct entry *next;
    struct upcall_record record;        /* Followed by its parts. */
};

struct list {
    struct entry *first, *last;
    uint64_t n_bytes;
};

struct queue {
    struct lock lock;
    int fd;                     /* eventfd, -1: not asked for yet. */
    struct list lists[UPCALL_LISTS];
    uint32_t turn;              /* Next list to take from. */
    uint64_t n_bytes;
    uint64_t n_lost;
    bool resync;                /* Of QUEUE_EVENT: some were lost. */
};

static struct queue queues[N_QUEUES] = {
    [0 ... N_QUEUES - 1] = { .lock = LOCK_INITIALIZER, .fd = -1 },
};

static void
signal_fd(struct queue *q)
{
    if (q->fd >= 0) {
        event_signal(q->fd);
    }
}

static uint8_t *
append(uint8_t *at, struct upcall_part part)
{
    uint32_t padded = ROUND_UP(part.size, 8);
    if (part.size) {
        memcpy(at, part.data, part.size);
        memset(at + part.size, 0, padded - part.size);
    }
    return at + padded;
}

bool
upcall_put(uint32_t queue, const struct upcall_record *record,
           struct upcall_part flow, struct upcall_part data,
           struct upcall_part frame)
{
    struct queue *q = &queues[queue];
    uint32_t size = (sizeof *record + ROUND_UP(flow.size, 8)
                     + ROUND_UP(data.size, 8) + ROUND_UP(frame.size, 8));
    struct list *list = &q->lists[record->odp % UPCALL_LISTS];
    uint64_t list_limit = queue == QUEUE_EVENT ? EVENT_BYTES : LIST_BYTES;
    uint64_t queue_limit = queue == QUEUE_EVENT ? EVENT_BYTES : QUEUE_BYTES;

    struct entry *e = xmalloc(offsetof(struct entry, record) + size);
    e->next = NULL;
    e->record = *record;
    e->record.size = size;
    e->record.flow_size = flow.size;
    e->record.data_size = data.size;
    e->record.frame_size = frame.size;
    if (!e->record.total_len) {
        e->record.total_len = frame.size;
    }
    e->record.when_ms = clock_now();
    uint8_t *at = (uint8_t *) (&e->record + 1);
    at = append(at, flow);
    at = append(at, data);
    append(at, frame);

    if (queue == QUEUE_EVENT) {
        list = &q->lists[0];    /* In order. */
    }
    lock_take(&q->lock);
    bool full = (list->n_bytes + size > list_limit
                 || q->n_bytes + size > queue_limit);
    bool was_empty = !q->n_bytes && !q->resync;
    if (full) {
        q->n_lost++;
        q->resync |= queue == QUEUE_EVENT;
    } else {
        if (list->last) {
            list->last->next = e;
        } else {
            list->first = e;
        }
        list->last = e;
        list->n_bytes += size;
        q->n_bytes += size;
    }
    if (was_empty && (!full || q->resync)) {
        signal_fd(q);
    }
    lock_drop(&q->lock);
    if (full) {
        free(e);
    }
    return !full;
}

uint64_t
upcall_n_lost(uint32_t queue)
{
    lock_take(&queues[queue].lock);
    uint64_t n = queues[queue].n_lost;
    lock_drop(&queues[queue].lock);
    return n;
}

int
upcall_fd(uint32_t queue, int *fd)
{
    if (queue >= N_QUEUES) {
        return error_set(EINVAL, "no upcall queue %u", queue);
    }
    struct queue *q = &queues[queue];
    int error = 0;
    lock_take(&q->lock);
    if (q->fd < 0) {
        error = event_open(&q->fd);
        if (!error && (q->n_bytes || q->resync)) {
            signal_fd(q);
        }
    }
    *fd = q->fd;
    lock_drop(&q->lock);
    return error;
}

int
upcalls_take(uint32_t queue, uint8_t *buffer, uint32_t size,
             uint32_t *n_bytes, uint32_t *n_records)
{
    if (queue >= N_QUEUES) {
        return error_set(EINVAL, "no upcall queue %u", queue);
    }
    struct queue *q = &queues[queue];
    struct entry *done = NULL;
    int error = 0;

    *n_bytes = *n_records = 0;
    lock_take(&q->lock);
    uint32_t n_empty = 0;
    while (n_empty < UPCALL_LISTS) {
        struct list *list = &q->lists[q->turn];
        struct entry *e = list->first;
        if (!e) {
            q->turn = (q->turn + 1) % UPCALL_LISTS;
            n_empty++;
            continue;
        }
        if (e->record.size > size - *n_bytes) {
            if (!*n_records) {
                error = error_set(ENOBUFS, "the next record has %u bytes",
                                  e->record.size);
            }
            break;
        }
        memcpy(buffer + *n_bytes, &e->record, e->record.size);
        *n_bytes += e->record.size;
        (*n_records)++;
        list->first = e->next;
        if (!list->first) {
            list->last = NULL;
        }
        list->n_bytes -= e->record.size;
        q->n_bytes -= e->record.size;
        e->next = done;
        done = e;
        n_empty = 0;
        q->turn = (q->turn + 1) % UPCALL_LISTS;
    }
    if (q->resync && !q->n_bytes
        && size - *n_bytes >= sizeof(struct upcall_record)) {
        struct upcall_record resync = {
            .size = sizeof resync, .kind = UPCALL_RESYNC,
            .when_ms = clock_now(),
        };
        memcpy(buffer + *n_bytes, &resync, sizeof resync);
        *n_bytes += sizeof resync;
        (*n_records)++;
        q->resync = false;
    }
    if (!q->n_bytes && !q->resync && q->fd >= 0) {
        event_drain(q->fd);
    }
    lock_drop(&q->lock);
    while (done) {
        struct entry *next = done->next;
        free(done);
        done = next;
    }
    return error;
}
