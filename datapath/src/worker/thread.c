/* thread.c: the threads: their loop, their sleep, starting and stopping. */
#include "worker/worker.h"

#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"

#define IDLE_ROUNDS 16          /* Empty rounds before a worker sleeps. */
#define REVALIDATE_SLICE 64     /* Megaflows per round. */

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
    event_drain(w->wake_fd);
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

static int
worker_start(uint32_t id)
{
    struct worker *w = worker_new(id);
    int error = event_open(&w->wake_fd);

    if (error) {
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
