/* dummy.c: ports without a device, for tests: "dummy", "dummy-internal" and,
 * on workers, "dummy-pmd".
 *
 * Frames enter by port_receive() of the seam; those sent are counted, go to
 * pcap files, and to QUEUE_FRAMES with PORT_TX_TO_QUEUE. */
#include "port/kinds.h"

#include "base/event.h"
#include "base/upcall.h"

#define QUEUE_MAX 4096          /* Most frames waiting in a queue. */

struct frame {
    struct frame *next;
    uint32_t size;
    uint8_t bytes[];            /* HEADROOM, then the frame. */
};

struct rx_queue {
    struct lock lock;
    struct frame *first, **last;        /* Guarded by lock. */
    uint32_t n;                         /* Guarded by lock. */
    int fd;                             /* eventfd: frames are waiting. */
    struct frame *given;                /* Owner: worker.  Freed next time. */
};

struct dummy {
    uint32_t n_queues;
    struct rx_queue queues[];
};

static void
frames_free(struct frame *f)
{
    while (f) {
        struct frame *next = f->next;
        free(f);
        f = next;
    }
}

static void
dummy_close(struct port *port)
{
    struct dummy *d = port->private;
    for (uint32_t i = 0; i < d->n_queues; i++) {
        struct rx_queue *q = &d->queues[i];
        frames_free(q->first);
        frames_free(q->given);
        lock_destroy(&q->lock);
        if (q->fd >= 0) {
            close(q->fd);
        }
    }
    free(d);
}

static int
dummy_open(struct port *port)
{
    uint32_t n = port->config.n_rxq;
    struct dummy *d = xzalloc(sizeof *d + n * sizeof d->queues[0]);
    port->private = d;
    for (d->n_queues = 0; d->n_queues < n; ) {
        struct rx_queue *q = &d->queues[d->n_queues++];
        lock_init(&q->lock);
        q->last = &q->first;
        int error = event_open(&q->fd);
        if (error) {
            dummy_close(port);
            return error;
        }
    }
    return 0;
}

static int
dummy_inject(struct port *port, uint32_t queue, const uint8_t *bytes,
             uint32_t size)
{
    struct dummy *d = port->private;
    if (queue >= d->n_queues) {
        return error_set(EINVAL, "port %s has no queue %u", port->config.name,
                         queue);
    }
    struct rx_queue *q = &d->queues[queue];
    struct frame *f = xmalloc(sizeof *f + HEADROOM + size + 64);
    f->next = NULL;
    f->size = size;
    memcpy(f->bytes + HEADROOM, bytes, size);
    lock_take(&q->lock);
    bool full = q->n >= QUEUE_MAX;
    if (!full) {
        *q->last = f;
        q->last = &f->next;
        if (!q->n++) {
            event_signal(q->fd);
        }
    }
    lock_drop(&q->lock);
    if (full) {
        free(f);
        return error_set(ENOBUFS, "queue %u of port %s is full", queue,
                         port->config.name);
    }
    return 0;
}

static uint32_t
dummy_receive(struct port *port, uint32_t queue, struct packet *burst,
              uint32_t max)
{
    struct dummy *d = port->private;
    struct rx_queue *q = &d->queues[queue];
    uint32_t n = 0;

    frames_free(q->given);
    q->given = NULL;
    lock_take(&q->lock);
    if (q->n) {
        struct frame **end = &q->given;
        while (n < max && q->first) {
            struct frame *f = q->first;
            q->first = f->next;
            *end = f;
            end = &f->next;
            packet_init(&burst[n], f->bytes + HEADROOM, f->size, HEADROOM,
                        port->config.odp);
            burst[n++].tailroom = 64;
        }
        *end = NULL;
        if (!q->first) {
            q->last = &q->first;
        }
        q->n -= n;
        if (!q->n) {
            event_drain(q->fd);
        }
    }
    lock_drop(&q->lock);
    if (UNLIKELY(!(port->config.flags & PORT_UP))) {
        return 0;
    }
    return n;
}

static uint32_t
dummy_transmit(struct port *port, struct packet *burst, uint32_t n,
               struct tx_context *tx)
{
    if (port->config.flags & PORT_TX_TO_QUEUE) {
        struct upcall_record record = {
            .kind = UPCALL_FRAME, .dp = port->dp, .odp = port->config.odp,
        };
        for (uint32_t i = 0; i < n; i++) {
            struct upcall_part none = { NULL, 0 };
            struct upcall_part frame = { burst[i].data, burst[i].size };
            if (!upcall_put(QUEUE_FRAMES, &record, none, none, frame)) {
                count_add(&tx->drops[DROP_QUEUE_FULL], 1);
            }
        }
    }
    return n;
}

static int
dummy_poll_fd(struct port *port, uint32_t queue)
{
    struct dummy *d = port->private;
    return d->queues[queue].fd;
}

#define DUMMY(KIND, PUMPED)                                             \
    {                                                                   \
        .kind = KIND, .pumped = PUMPED, .open = dummy_open,             \
        .close = dummy_close, .receive = dummy_receive,                 \
        .transmit = dummy_transmit, .poll_fd = dummy_poll_fd,           \
        .inject = dummy_inject,                                         \
    }

const struct port_ops port_dummy = DUMMY("dummy", true);
const struct port_ops port_dummy_internal = DUMMY("dummy-internal", true);
const struct port_ops port_dummy_pmd = DUMMY("dummy-pmd", false);
