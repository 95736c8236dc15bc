/* inject.c: frames that Python puts into the datapath: packet-outs, protocol
 * frames, resumed and learning packets. */
#include "worker/worker.h"

#include <sched.h>

#include "base/clock.h"
#include "packet/flow.h"

#define INJECTED_MAX 4096       /* Frames that may wait for a worker. */

struct inject {
    struct inject *next;
    struct datapath *dp;
    uint32_t bridge, in_port, flags;
    uint32_t frame_size, program_size;
    bool has_flow;
    struct flow flow;           /* Metadata. */
    uint8_t bytes[];            /* Program, HEADROOM, frame. */
};

static void
run(struct worker *w, struct inject *in)
{
    uint32_t program_size = ROUND_UP(in->program_size, 8);
    uint8_t *frame = in->bytes + program_size + HEADROOM;
    struct packet p;
    struct flow flow;

    worker_begin(w, in->dp);
    packet_init(&p, frame, in->frame_size, HEADROOM, in->in_port);
    p.tailroom = 64;
    p.from_injection = true;
    if (in->has_flow) {
        p.metadata = &in->flow;
        p.packet_type = in->flow.packet_type;
        p.pkt_mark = be32_to(in->flow.pkt_mark);
        p.skb_priority = be32_to(in->flow.skb_priority);
        p.recirc_id = be32_to(in->flow.recirc_id);
        p.dp_hash = be32_to(in->flow.dp_hash);
    }
    flow_extract(&p, &flow);
    if (in->has_flow) {         /* Registers and metadata of the pipeline. */
        flow.metadata = in->flow.metadata;
        memcpy(flow.regs, in->flow.regs, sizeof flow.regs);
        flow.ct_state = in->flow.ct_state;
        flow.ct_mark = in->flow.ct_mark;
        flow.ct_zone = in->flow.ct_zone;
        flow.ct_nw_proto = in->flow.ct_nw_proto;
        flow.ct_nw_src = in->flow.ct_nw_src;
        flow.ct_nw_dst = in->flow.ct_nw_dst;
        flow.ct_tp_src = in->flow.ct_tp_src;
        flow.ct_tp_dst = in->flow.ct_tp_dst;
        memcpy(flow.ct_ipv6_src, in->flow.ct_ipv6_src, 16);
        memcpy(flow.ct_ipv6_dst, in->flow.ct_ipv6_dst, 16);
        memcpy(flow.ct_label, in->flow.ct_label, sizeof flow.ct_label);
    }
    if (in->flags & INJECT_RESUME) {
        worker_translate(w, &p, &flow, 0, NULL, 0, (const void *) in->bytes);
    } else if (!in->bridge) {
        if (in->flags & INJECT_TABLES) {
            worker_process(w, &p, 1);
        } else if (!actions_verify(in->bytes, in->program_size)) {
            worker_execute(w, &p, in->bytes, in->program_size);
        }
    } else if (in->flags & INJECT_TABLES) {
        worker_translate(w, &p, &flow, in->bridge, NULL, 0, NULL);
    } else {
        worker_translate(w, &p, &flow, in->bridge, in->bytes,
                         in->program_size, NULL);
    }
    worker_end(w);
}

uint32_t
inject_run(struct worker *w)
{
    uint32_t n = 0;

    if (LIKELY(!__atomic_load_n(&w->injected, __ATOMIC_ACQUIRE))) {
        return 0;
    }
    lock_take(&w->inject_lock);
    struct inject *in = w->injected;
    __atomic_store_n(&w->injected, NULL, __ATOMIC_RELAXED);
    w->last_injected = &w->injected;
    lock_drop(&w->inject_lock);
    while (in) {
        struct inject *next = in->next;
        run(w, in);
        free(in);
        __atomic_sub_fetch(&w->n_injected, 1, __ATOMIC_RELAXED);
        in = next;
        n++;
    }
    return n;
}

void
inject_forget(struct worker *w, struct datapath *dp)
{
    lock_take(&w->inject_lock);
    for (struct inject **p = &w->injected; *p; ) {
        struct inject *in = *p;
        if (!dp || in->dp == dp) {
            *p = in->next;
            free(in);
            __atomic_sub_fetch(&w->n_injected, 1, __ATOMIC_RELAXED);
        } else {
            p = &in->next;
        }
    }
    w->last_injected = &w->injected;
    while (*w->last_injected) {
        w->last_injected = &(*w->last_injected)->next;
    }
    lock_drop(&w->inject_lock);
}

static int
check(const struct injection *i, uint32_t blob_size)
{
    uint64_t frame_end = (uint64_t) i->frame_offset + i->frame_size;
    uint64_t program_end = (uint64_t) i->program_offset + i->program_size;
    uint64_t flow_end = (uint64_t) i->flow_offset + FLOW_SIZE;

    if (frame_end > blob_size || program_end > blob_size
        || (i->flow_offset != UINT32_MAX && flow_end > blob_size)) {
        return error_set(EINVAL, "injection points outside its blob");
    }
    if (i->frame_size > FRAME_MAX) {
        return error_set(EMSGSIZE, "frame of %u bytes", i->frame_size);
    }
    return 0;
}

int
packets_inject(const struct injection *injections, uint32_t n,
               const uint8_t *blob, uint32_t blob_size)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct injection *from = &injections[i];
        struct datapath *dp = datapath_find(from->dp);
        int error = check(from, blob_size);

        if (!dp) {
            return error_set(ENODEV, "no datapath %u", from->dp);
        }
        if (!error && !(from->flags & INJECT_TABLES)) {
            uint8_t *copy = xmemdup(blob + from->program_offset,
                                    from->program_size);
            error = (from->flags & INJECT_RESUME ? pipeline_verify_record
                     : from->bridge ? pipeline_verify
                     : actions_verify)(copy, from->program_size);
            free(copy);
        }
        if (error) {
            return error;
        }
        uint32_t program_size = ROUND_UP(from->program_size, 8);
        struct inject *in = xaligned_zalloc(
            CACHE_LINE, sizeof *in + program_size + HEADROOM
                        + from->frame_size + 64);
        in->dp = dp;
        in->bridge = from->bridge;
        in->in_port = from->in_port;
        in->flags = from->flags;
        in->frame_size = from->frame_size;
        in->program_size = from->program_size;
        memcpy(in->bytes, blob + from->program_offset, from->program_size);
        memcpy(in->bytes + program_size + HEADROOM,
               blob + from->frame_offset, from->frame_size);
        if (from->flow_offset != UINT32_MAX) {
            in->has_flow = true;
            memcpy(&in->flow, blob + from->flow_offset, FLOW_SIZE);
        }

        struct worker *w = workers[n_workers ? 1 : 0];
        lock_take(&w->inject_lock);
        in->next = NULL;
        __atomic_add_fetch(&w->n_injected, 1, __ATOMIC_RELAXED);
        __atomic_store_n(w->last_injected, in, __ATOMIC_RELEASE);
        w->last_injected = &in->next;
        lock_drop(&w->inject_lock);
    }
    if (n_workers) {
        worker_wake(workers[1]);
        /* Who sends faster than the worker translates waits for it. */
        while (__atomic_load_n(&workers[1]->n_injected, __ATOMIC_RELAXED)
               > INJECTED_MAX) {
            sched_yield();
        }
    } else {
        worker_take(workers[0]);
        inject_run(workers[0]);
        worker_give(workers[0]);
    }
    return 0;
}
