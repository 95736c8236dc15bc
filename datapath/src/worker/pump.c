/* pump.c: what the control thread does itself: a round of its own, rules that
 * time out, freeing what was retired; and when something of it is due. */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/event.h"

#define REVALIDATE_SLICE 64     /* Megaflows per pump. */
#define RECLAIM_SLICE 64        /* Objects freed per pump: somebody waits. */
#define RECLAIM_MANY 1024       /* Objects that somebody is told of. */

static int reclaim_fd = -1;

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

    event_drain(reclaim_fd);
    /* Lists of subtables are made anew each time: not too often for many. */
    max = MIN(MAX(max, before / 16), RECLAIM_MANY);
    *n_freed = epoch_reclaim_some(max);
    return 0;
}

static void
tell_of_many(void)
{
    event_signal(reclaim_fd);
}

int
dp_reclaim_fd(void)
{
    if (reclaim_fd < 0 && !event_open(&reclaim_fd)) {
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
