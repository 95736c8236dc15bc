/* datapath.c: datapaths, their ports, their numbers. */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/upcall.h"
#include "packet/flow.h"

static const struct cache_ops cache_ops = { credits_settle, credits_unref };

static struct port *
find_port(struct datapath *dp, uint32_t odp)
{
    return odp < MAX_ODP ? dp->ports[odp] : NULL;
}

void
port_thread_add(struct port *port, struct worker *w)
{
    struct tx_batch *batch = xaligned_zalloc(CACHE_LINE, sizeof *batch);
    batch->port = port;
    port->tx[w->id] = batch;
}

void
dp_thread_add(struct datapath *dp, struct worker *w)
{
    struct dp_thread *dt = xaligned_zalloc(CACHE_LINE, sizeof *dt);
    cache_init(&dt->cache, &cache_ops);
    dt->swept_ms = clock_now();
    dp->threads[w->id] = dt;
    for (uint32_t odp = 0; odp < MAX_ODP; odp++) {
        if (dp->ports[odp]) {
            port_thread_add(dp->ports[odp], w);
        }
    }

    /* Static flows are in all caches. */
    if (w->id && dp->threads[0]) {
        struct cache *from = &dp->threads[0]->cache;
        for (uint32_t i = 0; i < from->n_slots; i++) {
            const struct megaflow *m = from->slots[i];
            if (m && m->origin == FLOW_STATIC) {
                struct flow flow;
                megaflow_flow(m, &flow);
                struct megaflow *copy = cache_insert(
                    &dt->cache, &flow, &m->subtable->flow_mask, m->actions,
                    m->actions_size, dt->swept_ms);
                cache_set_origin(&dt->cache, copy, FLOW_STATIC);
            }
        }
    }
}

/* Adds what a leaving thread counted to those of the control thread. */
void
dp_thread_remove(struct datapath *dp, struct worker *w)
{
    struct dp_thread *dt = dp->threads[w->id];
    if (w->id) {
        struct dp_thread *to = dp->threads[0];
        to->n_hit += dt->n_hit;
        to->n_missed += dt->n_missed;
        to->n_lost += dt->n_lost;
        for (int i = 0; i < N_DROPS; i++) {
            to->drops[i] += dt->drops[i];
        }
    }
    cache_destroy(&dt->cache);
    free(dt);
    dp->threads[w->id] = NULL;
    for (uint32_t odp = 0; odp < MAX_ODP; odp++) {
        if (dp->ports[odp]) {
            free(dp->ports[odp]->tx[w->id]);
            dp->ports[odp]->tx[w->id] = NULL;
        }
    }
}

static void
hook_settle(uint32_t handle)
{
    struct datapath *dp = datapath_find(handle);
    if (dp) {
        flows_settle_all(dp);
    }
}

static bool
hook_port_live(uint32_t handle, uint32_t odp)
{
    struct datapath *dp = datapath_find(handle);
    struct port *port = dp ? find_port(dp, odp) : NULL;
    return port && port->config.flags & PORT_UP;
}

static void
apply(struct datapath *dp, const struct datapath_config *config)
{
    dp->config = *config;
    flow_set_vlan_limit(config->vlan_limit ? config->vlan_limit : 2);
}

int
datapath_open(const struct datapath_config *config, uint32_t *handle)
{
    static const struct pipeline_hooks hooks = {
        hook_settle, hook_port_live,
    };
    workers_init();
    pipeline_set_hooks(&hooks);

    struct datapath *dp = xzalloc(sizeof *dp);
    if (!datapath_register(dp)) {
        free(dp);
        return error_set(ENOSPC, "too many datapaths");
    }
    dp->ports = xcalloc(MAX_ODP, sizeof *dp->ports);
    apply(dp, config);
    dp->pipeline = pipeline_open(dp->handle, config->features);

    workers_take_all();
    WORKER_FOR_EACH (w) {
        dp_thread_add(dp, w);
    }
    dp->next = datapaths;
    datapaths = dp;
    workers_give_all();
    *handle = dp->handle;
    return 0;
}

int
datapath_set(uint32_t handle, const struct datapath_config *config)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (!error) {
        workers_take_all();
        bool features = dp->config.features != config->features;
        apply(dp, config);
        workers_give_all();
        if (features && dp->pipeline) {
            pipeline_set_features(dp->pipeline, config->features);
        }
    }
    return error;
}

int
datapath_close(uint32_t handle)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (error) {
        return error;
    }
    workers_take_all();
    for (struct datapath **p = &datapaths; *p; p = &(*p)->next) {
        if (*p == dp) {
            *p = dp->next;
            break;
        }
    }
    rx_assign();
    WORKER_FOR_EACH (w) {
        inject_forget(w, dp);
        cache_destroy(&dp->threads[w->id]->cache);
        free(dp->threads[w->id]);
    }
    workers_give_all();
    for (uint32_t odp = 0; odp < MAX_ODP; odp++) {
        port_destroy(dp->ports[odp]);
    }
    datapath_forget(dp);
    if (dp->pipeline) {
        flow_trace_forget();    /* What it keeps is of this pipeline. */
        pipeline_close(dp->pipeline);
    }
    meters_destroy(dp);
    free(dp->ports);
    free(dp);
    return 0;
}

int
datapath_stats_get(uint32_t handle, struct datapath_stats *stats)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (error) {
        return error;
    }
    memset(stats, 0, sizeof *stats);
    WORKER_FOR_EACH (w) {
        worker_take(w);
        const struct dp_thread *dt = dp->threads[w->id];
        stats->n_hit += dt->n_hit;
        stats->n_missed += dt->n_missed;
        stats->n_lost += dt->n_lost;
        stats->n_mask_hit += dt->cache.n_mask_hit;
        /* Static flows are in all caches: counted once. */
        stats->n_flows += (dt->cache.n_megaflows
                           - (w->id ? dt->cache.n_static : 0));
        stats->n_masks += dt->cache.n_subtables;
        stats->n_exact_hit += dt->cache.n_exact_hit;
        worker_give(w);
    }
    for (uint32_t q = 0; q < N_QUEUES; q++) {
        stats->n_upcalls_lost += upcall_n_lost(q);
    }
    return 0;
}

int
drops_get(uint32_t handle, uint64_t *counts, uint32_t n)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (error) {
        return error;
    }
    memset(counts, 0, n * sizeof *counts);
    WORKER_FOR_EACH (w) {
        for (uint32_t i = 0; i < MIN(n, N_DROPS); i++) {
            counts[i] += count_get(&dp->threads[w->id]->drops[i]);
        }
    }
    return 0;
}

int
memory_stats_get(struct memory_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    for (struct datapath *dp = datapaths; dp; dp = dp->next) {
        stats->n_ports += dp->n_ports;
        if (dp->pipeline) {
            pipeline_count(dp->pipeline, stats);
        }
        WORKER_FOR_EACH (w) {
            worker_take(w);
            stats->n_megaflows += dp->threads[w->id]->cache.n_megaflows;
            worker_give(w);
        }
    }
    stats->n_retired = epoch_n_retired();
    return 0;
}

bool
version_reached(uint32_t handle, uint64_t version)
{
    struct datapath *dp = datapath_find(handle);
    if (!dp) {
        return true;
    }
    for (uint32_t i = 1; i <= n_workers; i++) {
        struct worker *w = workers[i];
        if (!__atomic_load_n(&w->asleep, __ATOMIC_SEQ_CST)
            && w->n_rx
            && __atomic_load_n(&dp->threads[i]->pinned_version,
                               __ATOMIC_ACQUIRE) < version) {
            return false;
        }
    }
    return true;
}

/* Ports. */

static int
check_config(const struct port_config *c)
{
    if (c->odp >= MAX_ODP - 1) {
        return error_set(EINVAL, "bad port number %u", c->odp);
    }
    if (!memchr(c->name, 0, sizeof c->name)
        || !memchr(c->rx_pcap, 0, sizeof c->rx_pcap)
        || !memchr(c->tx_pcap, 0, sizeof c->tx_pcap)) {
        return error_set(EINVAL, "a name is too long");
    }
    return 0;
}

static int
get_port(uint32_t handle, uint32_t odp, struct datapath **dp,
         struct port **port)
{
    int error = datapath_get(handle, dp);

    *port = error ? NULL : find_port(*dp, odp);
    return error || *port ? error : error_set(ENODEV, "no port %u", odp);
}

int
port_add(uint32_t handle, const struct port_config *config)
{
    struct datapath *dp;
    struct port *port;
    int error = datapath_get(handle, &dp);

    if (!error) {
        error = check_config(config);
    }
    if (error) {
        return error;
    }
    if (find_port(dp, config->odp)) {
        return error_set(EBUSY, "port number %u is taken", config->odp);
    }
    for (uint32_t odp = 0; odp < MAX_ODP; odp++) {
        if (dp->ports[odp]
            && !strcmp(dp->ports[odp]->config.name, config->name)) {
            return error_set(EEXIST, "port %s exists", config->name);
        }
    }
    error = port_new(handle, config, &port);
    if (error) {
        return error;
    }
    workers_take_all();
    WORKER_FOR_EACH (w) {
        port_thread_add(port, w);
    }
    dp->ports[config->odp] = port;
    dp->n_ports++;
    rx_assign();
    workers_give_all();
    return 0;
}

int
port_set(uint32_t handle, const struct port_config *config)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (!error) {
        error = check_config(config);
    }
    if (error) {
        return error;
    }
    struct port *port = find_port(dp, config->odp);
    if (!port) {
        return error_set(ENODEV, "no port %u", config->odp);
    }
    workers_take_all();
    error = port_reconfigure(port, config);
    WORKER_FOR_EACH (w) {
        w->rx_changed = true;
        worker_wake(w);
    }
    workers_give_all();
    return error;
}

int
port_del(uint32_t handle, uint32_t odp)
{
    struct datapath *dp;
    struct port *port;
    int error = get_port(handle, odp, &dp, &port);

    if (error) {
        return error;
    }
    workers_take_all();         /* Between bursts no batch holds a frame. */
    dp->ports[odp] = NULL;
    dp->n_ports--;
    rx_assign();
    workers_give_all();
    port_destroy(port);
    return 0;
}

int
port_stats_get(uint32_t handle, uint32_t odp, struct port_stats *stats)
{
    struct datapath *dp;
    struct port *port;
    int error = get_port(handle, odp, &dp, &port);

    if (error) {
        return error;
    }
    port_stats_sum(port, stats);
    return 0;
}

int
port_receive(uint32_t handle, uint32_t odp, uint32_t queue,
             const uint8_t *frame, uint32_t size)
{
    struct datapath *dp;
    struct port *port;
    int error = get_port(handle, odp, &dp, &port);

    if (error) {
        return error;
    }
    if (!port->ops->inject) {
        return error_set(EOPNOTSUPP, "port %s has a device of its own",
                         port->config.name);
    }
    if (size > FRAME_MAX) {
        return error_set(EMSGSIZE, "frame of %u bytes", size);
    }
    error = port->ops->inject(port, queue, frame, size);
    if (!error && !port->ops->pumped) {
        /* Switch it now, in the stead of the worker that has the queue: who
         * injected it may look at the result at once. */
        for (uint32_t i = 1; i <= n_workers; i++) {
            struct worker *w = workers[i];
            worker_take(w);
            for (uint32_t j = 0; j < w->n_rx; j++) {
                if (w->rx[j].port == port && w->rx[j].queue == queue) {
                    worker_run_once(w);
                    break;
                }
            }
            worker_give(w);
        }
    }
    return error;
}
