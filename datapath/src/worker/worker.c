/* worker.c: the threads, their turns and sleep; dp_pump(). */
#include "worker/worker.h"

#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/upcall.h"

#define IDLE_ROUNDS 16          /* Empty rounds before a worker sleeps. */
#define REVALIDATE_SLICE 64     /* Megaflows per round. */
#define RECLAIM_SLICE 64        /* Objects freed per pump: somebody waits. */
#define RECLAIM_MANY 1024       /* Objects that somebody is told of. */

struct worker *workers[MAX_THREADS];
uint32_t n_workers;
struct datapath *datapaths;
static int reclaim_fd = -1;

static void
drain(int fd)
{
    uint64_t counter;
    if (read(fd, &counter, sizeof counter) < 0) {
        /* It was not readable: nothing to reset. */
    }
}

void
worker_wake(struct worker *w)
{
    uint64_t one = 1;
    if (w->id && write(w->wake_fd, &one, sizeof one) < 0) {
        /* It is readable already. */
    }
}

/* The turn of workers[0] is the control thread's for good. */
void
worker_take(struct worker *w)
{
    if (w->id) {
        __atomic_add_fetch(&w->n_waiters, 1, __ATOMIC_SEQ_CST);
        lock_take(&w->turn);
        __atomic_sub_fetch(&w->n_waiters, 1, __ATOMIC_SEQ_CST);
    }
}

void
worker_give(struct worker *w)
{
    if (w->id) {
        lock_drop(&w->turn);
    }
}

void
workers_take_all(void)
{
    WORKER_FOR_EACH (w) {
        worker_take(w);
    }
}

void
workers_give_all(void)
{
    WORKER_FOR_EACH (w) {
        worker_give(w);
    }
}

static struct worker *
worker_new(uint32_t id)
{
    struct worker *w = xaligned_zalloc(CACHE_LINE, sizeof *w);
    w->id = id;
    w->wake_fd = w->epoll_fd = -1;
    lock_init(&w->turn);
    lock_init(&w->inject_lock);
    w->last_injected = &w->injected;
    worker_init_executor(w);
    return w;
}

static void
worker_free(struct worker *w)
{
    inject_forget(w, NULL);
    for (size_t i = 0; i < N_ELEMENTS(w->scratch); i++) {
        actions_destroy(&w->scratch[i].actions);
    }
    arena_destroy(&w->arena);
    free(w->rx);
    free(w->dirty);
    if (w->wake_fd >= 0) {
        close(w->wake_fd);
    }
    if (w->epoll_fd >= 0) {
        close(w->epoll_fd);
    }
    lock_destroy(&w->turn);
    lock_destroy(&w->inject_lock);
    free(w);
}

void
workers_init(void)
{
    if (!workers[0]) {
        workers[0] = worker_new(0);
    }
}

/* Makes the epoll set anew after queues were dealt out.  With the turn. */
static void
watch(struct worker *w)
{
    if (w->epoll_fd >= 0) {
        close(w->epoll_fd);
    }
    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = { .events = EPOLLIN };
    bool failed = (w->epoll_fd < 0
                   || epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd,
                                &event));
    for (uint32_t i = 0; i < w->n_rx; i++) {
        int fd = w->rx[i].port->ops->poll_fd(w->rx[i].port, w->rx[i].queue);
        if (fd >= 0) {
            failed |= epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0;
        }
    }
    w->rx_changed = failed;     /* Tried again at the next sleep. */
}

/* Sleeps until a queue has frames, somebody wakes it, or upkeep is due. */
static void
sleep_until_work(struct worker *w)
{
    struct epoll_event events[16];
    bool has_flows = false;

    if (w->rx_changed) {
        watch(w);
    }
    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        has_flows |= dp->threads[w->id]->cache.n_megaflows != 0;
    }
    int timeout = w->rx_changed ? 10 : has_flows ? SWEEP_INTERVAL_MS : -1;
    int epoll_fd = w->epoll_fd;
    epoch_offline(&w->epoch);
    __atomic_store_n(&w->asleep, true, __ATOMIC_SEQ_CST);
    lock_drop(&w->turn);

    uint64_t start = clock_ns();
    epoll_wait(epoll_fd, events, N_ELEMENTS(events), timeout);
    count_add(&w->stats.idle_ns, clock_ns() - start);
    count_add(&w->stats.n_sleeps, 1);

    lock_take(&w->turn);
    __atomic_store_n(&w->asleep, false, __ATOMIC_SEQ_CST);
    epoch_online(&w->epoch);
    drain(w->wake_fd);
}

static void *
worker_main(void *w_)
{
    struct worker *w = w_;
    uint32_t n_idle = 0;
    uint64_t start = clock_ns();

    lock_take(&w->turn);
    epoch_reader_add(&w->epoch);
    epoch_online(&w->epoch);
    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        uint32_t n = worker_run_once(w);
        for (struct datapath *dp = datapaths; dp; dp = dp->next) {
            if (!dp->paused) {
                n += flows_revalidate_slice(w, dp, REVALIDATE_SLICE);
            }
            n += dp->threads[w->id]->sweeping;
        }
        epoch_quiesce(&w->epoch);
        n_idle = n ? 0 : n_idle + 1;

        if (UNLIKELY(__atomic_load_n(&w->n_waiters, __ATOMIC_RELAXED))) {
            epoch_offline(&w->epoch);
            lock_drop(&w->turn);
            while (__atomic_load_n(&w->n_waiters, __ATOMIC_ACQUIRE)) {
                sched_yield();
            }
            lock_take(&w->turn);
            epoch_online(&w->epoch);
        }
        if (n_idle >= IDLE_ROUNDS && !w->busy) {
            uint64_t now = clock_ns();
            count_add(&w->stats.busy_ns, now - start);
            sleep_until_work(w);
            start = clock_ns();
            n_idle = 0;
        }
    }
    count_add(&w->stats.busy_ns, clock_ns() - start);
    epoch_offline(&w->epoch);
    epoch_reader_remove(&w->epoch);
    lock_drop(&w->turn);
    return NULL;
}

static void
rx_add(struct worker *w, struct datapath *dp, struct port *port,
       uint32_t queue)
{
    if (w->n_rx == w->allocated_rx) {
        w->allocated_rx = MAX(16, 2 * w->allocated_rx);
        w->rx = xrealloc(w->rx, w->allocated_rx * sizeof *w->rx);
    }
    w->rx[w->n_rx++] = (struct rx) { dp, port, queue };
    w->busy |= port->ops->busy;
}

void
rx_assign(void)
{
    uint32_t turn = 0;

    WORKER_FOR_EACH (w) {
        w->n_rx = 0;
        w->busy = false;
        w->rx_changed = true;
    }
    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        for (uint32_t odp = 0; odp < MAX_ODP; odp++) {
            struct port *port = dp->ports[odp];
            if (!port) {
                continue;
            }
            for (uint32_t q = 0; q < port->config.n_rxq; q++) {
                uint32_t id = 0;
                if (n_workers && !port->ops->pumped) {
                    id = 1 + turn++ % n_workers;
                }
                rx_add(workers[id], dp, port, q);
            }
        }
    }
    WORKER_FOR_EACH (w) {
        worker_wake(w);         /* It must watch other descriptors. */
    }
}

static int
worker_start(uint32_t id)
{
    struct worker *w = worker_new(id);
    int error;

    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->wake_fd < 0) {
        error = error_set(errno, "cannot make an eventfd: %s",
                          strerror(errno));
        worker_free(w);
        return error;
    }
    workers[id] = w;
    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        dp_thread_add(dp, w);
    }
    w->rx_changed = true;
    error = pthread_create(&w->thread, NULL, worker_main, w);
    if (error) {
        for (struct datapath *dp = datapaths; dp; dp = dp->next) {
            dp_thread_remove(dp, w);
        }
        workers[id] = NULL;
        worker_free(w);
        return error_set(error, "cannot start a thread: %s", strerror(error));
    }
    return 0;
}

static void
worker_stop(uint32_t id)
{
    struct worker *w = workers[id];
    __atomic_store_n(&w->stop, true, __ATOMIC_RELEASE);
    worker_wake(w);
    pthread_join(w->thread, NULL);
    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        dp_thread_remove(dp, w);
    }
    workers[id] = NULL;
    worker_free(w);
}

int
workers_set(uint32_t n)
{
    int error = 0;

    workers_init();
    if (n >= MAX_THREADS) {
        return error_set(EINVAL, "at most %d workers", MAX_THREADS - 1);
    }
    while (n_workers > n) {
        /* Nobody polls its queues until rx_assign(). */
        worker_stop(n_workers);
        n_workers--;
    }
    while (n_workers < n && !error) {
        error = worker_start(n_workers + 1);
        if (!error) {
            n_workers++;
        }
    }
    workers_take_all();
    rx_assign();
    workers_give_all();
    return error;
}

int
worker_stats_get(uint32_t worker, struct worker_stats *stats)
{
    if (worker > n_workers || !workers[worker]) {
        return error_set(ENOENT, "no worker %u", worker);
    }
    const uint64_t *from = (const uint64_t *) &workers[worker]->stats;
    for (size_t i = 0; i < sizeof *stats / sizeof *from; i++) {
        ((uint64_t *) stats)[i] = count_get(&from[i]);
    }
    return 0;
}

void
dp_clock(bool steered, int64_t now_ms)
{
    clock_steer(steered, now_ms);
    for (uint32_t i = 1; i <= n_workers; i++) {
        worker_wake(workers[i]);        /* Something may be due. */
    }
}

int
dp_pump(uint64_t *n_work)
{
    uint64_t n = 0;

    workers_init();
    struct worker *w = workers[0];
    for (uint32_t n_new = 1; n_new && n < 4096; n += n_new) {
        n_new = worker_run_once(w);
    }
    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        if (dp->pipeline) {
            uint64_t n_done = 0;
            pipeline_expire(dp->pipeline, clock_now(), &n_done);
            n += n_done;
            if (!dp->paused) {
                n += flows_revalidate_slice(w, dp, REVALIDATE_SLICE);
            }
        }
    }
    epoch_reclaim_some(RECLAIM_SLICE);
    *n_work = n;
    return 0;
}

int
dp_reclaim(uint32_t max, uint32_t *n_freed)
{
    uint64_t before = epoch_n_retired();

    drain(reclaim_fd);
    /* Lists of subtables are made anew each time: not too often for many. */
    max = MIN(MAX(max, before / 16), RECLAIM_MANY);
    uint64_t left = epoch_reclaim_some(max);
    *n_freed = left < before ? before - left : 0;
    return 0;
}

static void
tell_of_many(void)
{
    uint64_t one = 1;
    if (write(reclaim_fd, &one, sizeof one) < 0) {
        /* It is readable already. */
    }
}

int
dp_reclaim_fd(void)
{
    if (reclaim_fd < 0) {
        reclaim_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        epoch_call_at(RECLAIM_MANY, tell_of_many);
    }
    return reclaim_fd;
}

int64_t
dp_deadline(void)
{
    int64_t deadline = INT64_MAX;

    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        const struct dp_thread *dt = dp->threads[0];
        if (dp->pipeline) {
            deadline = MIN(deadline, pipeline_deadline(dp->pipeline));
            if (dt->cache.n_megaflows
                && dt->revalidated != pipeline_pin(dp->pipeline).serial
                && !dp->paused) {
                deadline = MIN(deadline, clock_now());
            }
        }
        if (dt->cache.n_megaflows) {
            deadline = MIN(deadline, dt->swept_ms + SWEEP_INTERVAL_MS);
        }
    }
    uint64_t n = epoch_n_retired();
    return n > RECLAIM_MANY ? MIN(deadline, clock_now() + 10)
           : n ? MIN(deadline, clock_now() + 100) : deadline;
}
