/* worker.h: datapaths, the threads that run them, and a packet's way through.
 *
 * Threads.  'workers[0]' is the control thread: what dp_pump() runs.
 * workers[1] and up are threads.  Each has its own cache per datapath, arena,
 * transmit batches and counters, so a burst takes no lock.
 *
 * Turns.  Whoever touches what belongs to a worker holds its turn: the worker
 * itself while it runs, or the control thread, which asks for it with
 * worker_take(); the worker gives it up between two bursts and whenever it
 * sleeps.  So dumps, flow_put, adding and deleting ports, and revalidation are
 * plain code.  Turns are taken in the order of workers, before any other lock:
 * nobody asks for a turn while he holds the pipeline mutex.
 *
 * Files, lowest first; each calls only those before it: turn.c whose turn it
 * is, rx.c who polls what, meter.c meters, flow.c megaflows as the seam sees
 * them, process.c a burst, inject.c frames from Python, round.c a worker and
 * its round, datapath.c datapaths and ports, thread.c threads, pump.c the
 * control thread's part. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "action/execute.h"
#include "api.h"
#include "base/epoch.h"
#include "base/lock.h"
#include "cache/cache.h"
#include "pipeline/pipeline.h"
#include "port/port.h"
#include "translation/translation.h"

#define MAX_ODP 65536
#define MAX_DEPTH 6             /* Recirculations of one frame. */
#define SWEEP_INTERVAL_MS 500
#define SWEEP_SLICE 256         /* Slots per round. */

struct dp_thread {              /* Of one datapath, in one thread. */
    struct cache cache;
    struct pipeline_pin pin;    /* Of this burst. */
    uint64_t pinned_version;    /* Atomic: for version_reached(). */
    uint64_t n_hit, n_missed, n_lost;
    uint64_t drops[N_DROPS];
    uint64_t revalidated;       /* Serial of the last completed pass. */
    uint32_t revalidate_at;     /* Next slot to check. */
    uint64_t revalidating;      /* Serial of the pass under way. */
    int64_t swept_ms;           /* When the last sweep began. */
    bool sweeping;              /* It has not ended. */
} __attribute__((aligned(CACHE_LINE)));

struct datapath {
    uint32_t handle;
    struct datapath_config config;
    struct pipeline *pipeline;  /* Or NULL: static flows only. */
    struct port **ports;        /* By datapath port number, MAX_ODP. */
    uint32_t n_ports;
    bool paused;                /* flows_pause(). */
    struct meter_table *_Atomic meters; /* NULL until there is one. */
    struct dp_thread *threads[MAX_THREADS];
    struct datapath *next;
};

struct rx {                     /* A receive queue that a worker polls. */
    struct datapath *dp;
    struct port *port;
    uint32_t queue;
};

struct scratch {                /* For one level of recirculation. */
    struct actions actions;
    struct flow flow, mask;
};

struct dirty {                  /* A transmit batch that is not empty. */
    struct tx_batch *batch;
    struct dp_thread *thread;
};

struct worker {
    struct executor executor;   /* First: its callbacks find the worker. */
    uint32_t id;
    struct lock turn;
    uint32_t n_waiters;         /* Atomic: who wants the turn. */
    bool stop;                  /* Atomic. */
    bool asleep;                /* Atomic: in epoll, without the turn. */
    struct epoch_reader epoch;
    pthread_t thread;
    int wake_fd, epoll_fd;
    struct rx *rx;              /* Guarded by turn. */
    uint32_t n_rx, allocated_rx;
    bool busy;                  /* Some queue never runs dry. */
    bool rx_changed;            /* epoll must be told. */
    struct arena arena;
    int64_t now_ms;             /* Of this burst. */
    struct dirty *dirty;
    uint32_t n_dirty, allocated_dirty;
    struct datapath *dp;        /* Being run. */
    struct dp_thread *dt;
    uint32_t depth;
    struct scratch scratch[MAX_DEPTH + 2];
    struct inject *injected;    /* Guarded by inject_lock. */
    struct inject **last_injected;
    uint32_t n_injected;        /* Atomic: how many wait. */
    struct lock inject_lock;
    struct worker_stats stats;
};

extern struct worker *workers[MAX_THREADS];
extern uint32_t n_workers;      /* Threads; workers[1..n_workers]. */
extern struct datapath *datapaths;

/* turn.c */
bool datapath_register(struct datapath *);
void datapath_forget(struct datapath *);
struct datapath *datapath_find(uint32_t handle);
int datapath_get(uint32_t handle, struct datapath **);
void worker_take(struct worker *);
void worker_give(struct worker *);
void worker_wake(struct worker *);
void workers_take_all(void);
void workers_give_all(void);

#define WORKER_FOR_EACH(W)                                              \
    for (uint32_t W##_i = 0; W##_i <= n_workers; W##_i++)               \
        for (struct worker *W = workers[W##_i]; W; W = NULL)

/* rx.c */
void rx_assign(void);           /* Deals queues out; all turns taken. */

/* process.c: all with the worker's turn. */
void worker_begin(struct worker *, struct datapath *);
void worker_end(struct worker *);       /* Sends all, ends the burst. */
void worker_process(struct worker *, struct packet *burst, uint32_t n);
void worker_execute(struct worker *, struct packet *, const uint8_t *actions,
                    uint32_t size);
/* Translates with 'start_bridge' and 'program', or from 'resume', and executes
 * the result. */
void worker_translate(struct worker *, struct packet *, const struct flow *,
                      uint32_t start_bridge, const uint8_t *program,
                      uint32_t program_size,
                      const struct frozen_record *resume);
void worker_init_executor(struct worker *);

/* flow.c */
bool flow_mask_covers(const struct flow *mask, const struct flow *wanted);
bool flows_sweep(struct worker *, struct datapath *, uint32_t max);
uint32_t flows_revalidate_slice(struct worker *, struct datapath *,
                                uint32_t max);
void flows_settle_all(struct datapath *);
void flow_log(struct datapath *, uint16_t what, const struct megaflow *,
              const struct flow *);

/* meter.c */
bool meter_pass(struct datapath *, struct executor *, struct packet *,
                uint32_t id, int64_t now_ms);
void meters_destroy(struct datapath *);

/* inject.c */
uint32_t inject_run(struct worker *);
void inject_forget(struct worker *, struct datapath *);   /* NULL: all. */

/* round.c */
void workers_init(void);        /* Idempotent; called by datapath_open(). */
struct worker *worker_new(uint32_t id);
void worker_free(struct worker *);
uint32_t worker_run_once(struct worker *);      /* With its turn. */

/* datapath.c */
void dp_thread_add(struct datapath *, struct worker *);
void dp_thread_remove(struct datapath *, struct worker *);
void port_thread_add(struct port *, struct worker *);
