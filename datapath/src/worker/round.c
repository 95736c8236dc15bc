/* round.c: what a worker is made of, and one round of its work. */
#include "worker/worker.h"

#include <unistd.h>

#include "base/clock.h"

struct worker *
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

void
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

/* One round: a burst of each queue, the inject ring, a slice of upkeep.
 * Returns the number of frames. */
uint32_t
worker_run_once(struct worker *w)
{
    struct packet burst[BURST];
    uint32_t n_frames = 0;

    for (uint32_t i = 0; i < w->n_rx; i++) {
        struct rx *rx = &w->rx[i];
        uint32_t n = port_receive_burst(rx->port, rx->queue, w->id, burst);
        if (n) {
            worker_begin(w, rx->dp);
            worker_process(w, burst, n);
            worker_end(w);
            n_frames += n;
            w->stats.n_bursts++;
        }
    }
    n_frames += inject_run(w);
    w->now_ms = clock_now();
    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        flows_sweep(w, dp, w->id ? SWEEP_SLICE : UINT32_MAX);
    }
    count_add(&w->stats.n_packets, n_frames);
    return n_frames;
}
