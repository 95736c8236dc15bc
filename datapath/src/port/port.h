/* port.h: where frames enter and leave: the table of port kinds.
 *
 * A port has receive queues, each polled by one worker, and is sent to by all
 * of them.  port_transmit() does what is common to all kinds (link state, MTU,
 * completing checksums and segments for ports without offloads, counters,
 * pcap) and then hands frames to the kind's 'transmit'.
 *
 * Frames that 'receive' returns belong to the port and stay valid until the
 * next call for that queue.  'transmit' must have copied or sent a frame when
 * it returns.
 *
 * Thread safety: 'open', 'set', 'close' run while no worker runs; 'receive' in
 * the worker that has the queue; 'transmit' in any worker, several at a
 * time; 'stats' in the control thread. */
#pragma once

#include "api.h"
#include "base/base.h"
#include "base/lock.h"
#include "generated/drops.h"
#include "generated/seam.h"
#include "packet/arena.h"
#include "packet/packet.h"

#define MAX_THREADS 65          /* The control thread and 64 workers. */
#define MAX_RXQ 64

struct port;
struct pcap;

struct tx_context {
    struct arena *arena;
    uint32_t thread;            /* Index of the worker. */
    uint64_t *drops;            /* Counters, by drop_reason. */
    uint32_t n_refused;         /* Of the frames accepted, by the device... */
    uint64_t n_refused_bytes;   /* ...for port_refused(). */
};

struct port_ops {
    const char *kind;
    bool pumped;                /* Polled by dp_pump() even if workers run. */
    bool busy;                  /* Always has frames: never sleep. */

    int (*open)(struct port *);
    /* 'config' of the port has changed from '*old'.  May be NULL. */
    int (*set)(struct port *, const struct port_config *old);
    void (*close)(struct port *);
    uint32_t (*receive)(struct port *, uint32_t queue, struct packet *burst,
                        uint32_t max);
    /* Sends 'n' frames and returns how many were accepted, from the first; the
     * others count as DROP_TX_FULL.  One of the accepted that the device did
     * not take goes to port_refused(). */
    uint32_t (*transmit)(struct port *, struct packet *burst, uint32_t n,
                         struct tx_context *);
    /* A descriptor that is readable while 'queue' has frames, or -1. */
    int (*poll_fd)(struct port *, uint32_t queue);
    /* Puts a frame into a receive queue (dummy ports).  May be NULL. */
    int (*inject)(struct port *, uint32_t queue, const uint8_t *frame,
                  uint32_t size);
};

struct tx_batch {               /* Owner: the worker. */
    struct packet packets[BURST];
    uint32_t n;
    struct port *port;
};

struct port {
    const struct port_ops *ops;
    struct port_config config;
    uint32_t dp;                /* Handle. */
    void *private;              /* Of the kind. */
    struct port_stats stats[MAX_THREADS];       /* Owner: each worker. */
    struct tx_batch *tx[MAX_THREADS];           /* Owner: each worker. */
    struct pcap *rx_pcap, *tx_pcap;             /* Or NULL. */
};

/* Makes a port; the seam's port_add() with everything checked. */
int port_new(uint32_t dp, const struct port_config *, struct port **);
int port_reconfigure(struct port *, const struct port_config *);
void port_destroy(struct port *);

/* Receives at most BURST frames: counters and pcap included. */
uint32_t port_receive_burst(struct port *, uint32_t queue, uint32_t thread,
                            struct packet *burst);

/* Sends the frames of 'batch' and empties it. */
void port_transmit(struct tx_batch *, struct tx_context *);

/* Counts '*p', which the device refused with 'error' when it was sent. */
void port_refused(struct port *, const struct packet *, int error,
                  struct tx_context *);

void port_stats_sum(const struct port *, struct port_stats *);

extern const struct port_ops *const port_kinds[];      /* NULL-terminated. */
