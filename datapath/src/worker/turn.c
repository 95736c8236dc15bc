/* turn.c: who there is, workers and datapaths, and whose turn it is.
 *
 * Below all else in this room: nothing here runs a worker or a datapath.
 * Thread rule: control thread, except worker_wake() (any thread). */
#include "worker/worker.h"

#include "base/event.h"
#include "base/handle.h"

struct worker *workers[MAX_THREADS];
uint32_t n_workers;
struct datapath *datapaths;
static struct handle_table handles;

/* Gives 'dp' its handle; false: there are too many. */
bool
datapath_register(struct datapath *dp)
{
    dp->handle = handle_add(&handles, dp);
    return dp->handle != 0;
}

void
datapath_forget(struct datapath *dp)
{
    handle_remove(&handles, dp->handle);
}

struct datapath *
datapath_find(uint32_t handle)
{
    return handle_find(&handles, handle);
}

/* The same with an error; stores NULL then. */
int
datapath_get(uint32_t handle, struct datapath **dp)
{
    *dp = datapath_find(handle);
    return *dp ? 0 : error_set(ENODEV, "no datapath %u", handle);
}

void
worker_wake(struct worker *w)
{
    if (w->id) {
        event_signal(w->wake_fd);
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
