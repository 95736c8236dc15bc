/* flow.c: megaflows as the seam sees them: dump, put, delete; and their
 * upkeep: settling, expiry, revalidation. */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/upcall.h"

#define REVALIDATE_SLICE 256

/* Bytes of a record for 'm'. */
static uint32_t
record_size(const struct megaflow *m)
{
    return (sizeof(struct flow_record) + 3 * FLOW_SIZE
            + ROUND_UP(m->actions_size, 8));
}

static void
record_write(const struct megaflow *m, uint32_t worker, uint8_t *at)
{
    struct flow_record r = {
        .size = record_size(m),
        .worker = worker,
        .n_packets = m->n_packets,
        .n_bytes = m->n_bytes,
        .used_ms = m->used_ms,
        .tcp_flags = m->tcp_flags,
        .actions_size = m->actions_size,
        .origin = m->origin,
        .slow_reasons = m->slow_reasons,
    };
    struct flow flow;

    megaflow_ufid(m, r.ufid);
    megaflow_flow(m, &flow);
    memcpy(at, &r, sizeof r);
    at += sizeof r;
    memcpy(at, &flow, FLOW_SIZE);
    memcpy(at + FLOW_SIZE, &m->subtable->flow_mask, FLOW_SIZE);
    megaflow_seen(m, &flow);
    memcpy(at + 2 * FLOW_SIZE, &flow, FLOW_SIZE);
    at += 3 * FLOW_SIZE;
    memset(at, 0, ROUND_UP(m->actions_size, 8));
    memcpy(at, m->actions, m->actions_size);
}

void
flow_log(struct datapath *dp, uint16_t what, const struct megaflow *m,
         const struct flow *flow)
{
    struct upcall_record record = {
        .kind = UPCALL_LOG, .reason = what, .dp = dp->handle,
    };
    struct upcall_part none = { NULL, 0 }, part = none;
    uint8_t *data = NULL;

    if (m) {
        part.size = record_size(m);
        part.data = data = xmalloc(part.size);
        record_write(m, 0, data);
    }
    upcall_put(QUEUE_LOG, &record,
               flow ? (struct upcall_part) { flow, FLOW_SIZE } : none, part,
               none);
    free(data);
}

static void
remove_logged(struct datapath *dp, struct cache *c, struct megaflow *m)
{
    if (UNLIKELY(dp->config.flags & DP_LOG_FLOWS)) {
        flow_log(dp, LOG_FLOW_DELETE, m, NULL);
    }
    cache_remove(c, m);
}

/* Settles megaflows of a worker and deletes idle ones: all of them, beginning
 * every SWEEP_INTERVAL_MS, 'max' slots at a time.  Returns true when there is
 * nothing left to do for now. */
bool
flows_sweep(struct worker *w, struct datapath *dp, uint32_t max)
{
    struct dp_thread *dt = dp->threads[w->id];
    struct cache *c = &dt->cache;
    int64_t now = w->now_ms;

    if (!dt->sweeping) {
        if (now - dt->swept_ms < SWEEP_INTERVAL_MS && now >= dt->swept_ms) {
            return true;
        }
        dt->sweeping = true;
        dt->swept_ms = now;
        c->sweep_at = 0;
    }
    for (; c->sweep_at < c->n_slots && max; c->sweep_at++, max--) {
        struct megaflow *m = c->slots[c->sweep_at];
        if (!m) {
            continue;
        }
        int64_t last = m->used_ms ? m->used_ms : m->created_ms;
        cache_settle(c, m);
        if (m->origin == FLOW_TRANSLATED && !dp->paused
            && now - last >= dp->config.max_idle_ms) {
            remove_logged(dp, c, m);
        }
    }
    cache_quiesce(c);
    dt->sweeping = c->sweep_at < c->n_slots;
    return !dt->sweeping;
}

/* Whether a megaflow with 'mask' is met only by frames for which a translation
 * that looked at 'wanted' holds: as in Open vSwitch it then stays, although
 * another mask would do. */
bool
flow_mask_covers(const struct flow *mask, const struct flow *wanted)
{
    const word64 *have = (const word64 *) mask;
    const word64 *want = (const word64 *) wanted;

    for (unsigned i = 0; i < FLOW_WORDS; i++) {
        if (want[i] & ~have[i]) {
            return false;
        }
    }
    return true;
}

/* Translates one megaflow again; it may be gone afterwards. */
static void
revalidate(struct worker *w, struct datapath *dp, struct megaflow *m,
           struct pipeline_pin pin)
{
    struct cache *c = &dp->threads[w->id]->cache;
    struct scratch *s = &w->scratch[0];
    const struct buffer *actions = &s->actions.buffer;

    megaflow_flow(m, &s->flow);
    struct xlate_in in = {
        .pipeline = dp->pipeline,
        .flow = &s->flow,
        .version = pin.version,
        .now_ms = clock_now(),
    };
    struct xlate_out out = { .actions = &s->actions, .mask = &s->mask };
    cache_settle(c, m);
    actions_clear(&s->actions);
    memset(&s->mask, 0, sizeof s->mask);
    pipeline_translate(&in, &out);
    megaflow_mask_complete(&s->mask);
    if (!(dp->config.flags & DP_MEGAFLOWS)
        || flow_mask_covers(&m->subtable->flow_mask, &s->mask)) {
        if (actions->size != m->actions_size
            || (actions->size && memcmp(actions->data, m->actions,
                                        actions->size))) {
            megaflow_set_actions(m, actions->data, actions->size);
        }
        if (m->credits) {
            credits_unref(m->credits);
        }
        m->credits = out.credits;
        m->serial = pin.serial;
        m->drop = out.error;
        megaflow_set_slow(m, out.slow_reasons);
        return;
    }
    if (out.credits) {
        credits_unref(out.credits);
    }
    remove_logged(dp, c, m);
}

/* Checks up to 'max' megaflows that were translated before the last change.
 * Returns how many were looked at; 0: all are up to date. */
uint32_t
flows_revalidate_slice(struct worker *w, struct datapath *dp, uint32_t max)
{
    struct dp_thread *dt = dp->threads[w->id];
    struct cache *c = &dt->cache;
    uint32_t n = 0;

    if (!dp->pipeline) {
        return 0;
    }
    struct pipeline_pin pin = pipeline_pin(dp->pipeline);
    if (dt->revalidated == pin.serial) {
        return 0;
    }
    if (dt->revalidating != pin.serial) {
        dt->revalidating = pin.serial;
        dt->revalidate_at = 0;
    }
    for (; dt->revalidate_at < c->n_slots && n < max; dt->revalidate_at++) {
        struct megaflow *m = c->slots[dt->revalidate_at];
        if (m && m->origin == FLOW_TRANSLATED && m->serial != pin.serial) {
            revalidate(w, dp, m, pin);
            n++;
        }
    }
    cache_quiesce(c);
    if (dt->revalidate_at >= c->n_slots) {
        dt->revalidated = pin.serial;
    }
    return n;
}

void
flows_settle_all(struct datapath *dp)
{
    WORKER_FOR_EACH (w) {
        worker_take(w);
        struct cache *c = &dp->threads[w->id]->cache;
        for (uint32_t i = 0; i < c->n_slots; i++) {
            if (c->slots[i]) {
                cache_settle(c, c->slots[i]);
            }
        }
        worker_give(w);
    }
}

int
flows_dump(uint32_t handle, uint64_t *cursor, uint8_t *buffer, uint32_t size,
           uint32_t *n_bytes, uint32_t *n_records)
{
    struct datapath *dp;
    uint32_t thread = *cursor >> 32, slot = *cursor;
    int error = datapath_get(handle, &dp);

    *n_bytes = *n_records = 0;
    if (error) {
        return error;
    }
    for (; thread <= n_workers; thread++, slot = 0) {
        struct worker *w = workers[thread];
        worker_take(w);
        struct cache *c = &dp->threads[thread]->cache;
        for (; slot < c->n_slots; slot++) {
            struct megaflow *m = c->slots[slot];
            if (!m || (m->origin == FLOW_STATIC && thread)) {
                continue;       /* Static ones are in all: listed once. */
            }
            uint32_t need = record_size(m);
            if (need > size - *n_bytes) {
                worker_give(w);
                if (!*n_records) {
                    return error_set(ENOBUFS, "a flow has %u bytes", need);
                }
                *cursor = (uint64_t) thread << 32 | slot;
                return 0;
            }
            record_write(m, thread, buffer + *n_bytes);
            if (m->origin == FLOW_STATIC && n_workers) {
                struct flow_record r;
                struct flow flow;
                megaflow_flow(m, &flow);
                memcpy(&r, buffer + *n_bytes, sizeof r);
                for (uint32_t i = 1; i <= n_workers; i++) {
                    worker_take(workers[i]);
                    const struct megaflow *other = cache_find_exact(
                        &dp->threads[i]->cache, &flow,
                        &m->subtable->flow_mask);
                    if (other) {
                        r.n_packets += other->n_packets;
                        r.n_bytes += other->n_bytes;
                        r.tcp_flags |= other->tcp_flags;
                        r.used_ms = MAX(r.used_ms, other->used_ms);
                    }
                    worker_give(workers[i]);
                }
                memcpy(buffer + *n_bytes, &r, sizeof r);
            }
            *n_bytes += need;
            (*n_records)++;
        }
        worker_give(w);
    }
    *cursor = 0;
    return 0;
}

/* Aligned copies of a flow and mask given by Python, and the masked key. */
static void
read_key_mask(const uint8_t *key_mask, struct flow *flow, struct flow *key,
              struct flow *mask)
{
    memcpy(flow, key_mask, FLOW_SIZE);
    memcpy(key, key_mask, FLOW_SIZE);
    memcpy(mask, key_mask + FLOW_SIZE, FLOW_SIZE);
    for (uint32_t i = 0; i < FLOW_WORDS; i++) {
        flow_words(key)[i] &= flow_words(mask)[i];
    }
}

int
flow_put(uint32_t handle, const uint8_t *key_mask, const uint8_t *actions,
         uint32_t actions_size, bool may_exist, bool must_exist)
{
    struct datapath *dp;
    struct flow flow, key, mask;
    int error = datapath_get(handle, &dp);

    if (!error) {
        error = actions_verify(actions, actions_size);
    }
    if (error) {
        return error;
    }
    read_key_mask(key_mask, &flow, &key, &mask);
    worker_take(workers[0]);
    bool exists = cache_find_exact(&dp->threads[0]->cache, &key, &mask);
    worker_give(workers[0]);
    if (exists && !may_exist) {
        return error_set(EEXIST, "flow exists already");
    } else if (!exists && must_exist) {
        return error_set(ENOENT, "no such flow");
    }
    WORKER_FOR_EACH (w) {
        worker_take(w);
        struct cache *c = &dp->threads[w->id]->cache;
        struct megaflow *m = cache_find_exact(c, &key, &mask);
        if (m) {
            cache_settle(c, m);
            if (m->credits) {
                credits_unref(m->credits);
                m->credits = NULL;
            }
            megaflow_set_actions(m, actions, actions_size);
        } else {
            m = cache_insert(c, &flow, &mask, actions, actions_size,
                             clock_now());
        }
        cache_set_origin(c, m, FLOW_STATIC);
        megaflow_set_slow(m, 0);
        m->drop = DROP_NONE;
        if (dp->config.flags & DP_LOG_FLOWS && !w->id) {
            flow_log(dp, LOG_FLOW_ADD, m, NULL);
        }
        worker_give(w);
    }
    return 0;
}

int
flow_del(uint32_t handle, const uint8_t *key_mask)
{
    struct datapath *dp;
    struct flow flow, key, mask;
    bool found = false;
    int error = datapath_get(handle, &dp);

    if (error) {
        return error;
    }
    read_key_mask(key_mask, &flow, &key, &mask);
    WORKER_FOR_EACH (w) {
        worker_take(w);
        struct cache *c = &dp->threads[w->id]->cache;
        struct megaflow *m = cache_find_exact(c, &key, &mask);
        if (m) {
            found = true;
            remove_logged(dp, c, m);
            cache_quiesce(c);
        }
        worker_give(w);
    }
    return found ? 0 : error_set(ENOENT, "no such flow");
}

int
flows_flush(uint32_t handle)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (error) {
        return error;
    }
    WORKER_FOR_EACH (w) {
        worker_take(w);
        struct cache *c = &dp->threads[w->id]->cache;
        for (uint32_t i = 0; i < c->n_slots; i++) {
            if (c->slots[i]) {
                remove_logged(dp, c, c->slots[i]);
            }
        }
        cache_quiesce(c);
        worker_give(w);
    }
    return 0;
}

int
flows_revalidate(uint32_t handle)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (error) {
        return error;
    }
    WORKER_FOR_EACH (w) {
        worker_take(w);
        while (flows_revalidate_slice(w, dp, UINT32_MAX)) {
            continue;
        }
        struct dp_thread *dt = dp->threads[w->id];
        w->now_ms = clock_now();
        dt->sweeping = false;
        dt->swept_ms = w->now_ms - SWEEP_INTERVAL_MS;
        flows_sweep(w, dp, UINT32_MAX);
        worker_give(w);
    }
    return 0;
}

int
flows_pause(uint32_t handle, bool paused)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (!error) {
        workers_take_all();
        dp->paused = paused;
        workers_give_all();
    }
    return error;
}

int
flows_settle(uint32_t handle)
{
    struct datapath *dp;
    int error = datapath_get(handle, &dp);

    if (!error) {
        flows_settle_all(dp);
    }
    return error;
}
