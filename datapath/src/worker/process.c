/* process.c: one burst of packets: parse, look up, translate, execute,
 * send. */
#include "worker/worker.h"

#include "base/clock.h"
#include "base/upcall.h"
#include "packet/checksum.h"
#include "packet/edit.h"
#include "packet/flow.h"
#include "packet/header.h"

static void process_one(struct worker *, struct packet *);

static inline struct worker *
worker_of(struct executor *e)
{
    return (struct worker *) e;
}

static void
flush(struct worker *w, struct dirty *d)
{
    struct tx_context tx = { &w->arena, w->id, d->thread->drops };
    port_transmit(d->batch, &tx);
}

static void
execute_drop(struct executor *e, struct packet *p UNUSED,
             enum drop_reason reason)
{
    count_add(&worker_of(e)->dt->drops[reason], 1);
}

static inline void
output(struct worker *w, const struct packet *p, uint32_t odp)
{
    struct port *port = odp < MAX_ODP ? w->dp->ports[odp] : NULL;
    if (UNLIKELY(!port)) {
        count_add(&w->dt->drops[DROP_INVALID_PORT], 1);
        return;
    }
    struct tx_batch *batch = port->tx[w->id];
    if (!batch->n) {
        if (UNLIKELY(w->n_dirty == w->allocated_dirty)) {
            w->allocated_dirty = MAX(64, 2 * w->allocated_dirty);
            w->dirty = xrealloc(w->dirty,
                                w->allocated_dirty * sizeof *w->dirty);
        }
        w->dirty[w->n_dirty++] = (struct dirty) { batch, w->dt };
    } else if (UNLIKELY(batch->n == BURST)) {
        struct dirty d = { batch, w->dt };
        flush(w, &d);           /* It stays in the list of dirty ones. */
    }
    batch->packets[batch->n++] = *p;
}

static void
execute_output(struct executor *e, struct packet *p, uint32_t odp)
{
    output(worker_of(e), p, odp);
}

static bool
execute_meter(struct executor *e, struct packet *p, uint32_t id)
{
    struct worker *w = worker_of(e);

    return meter_pass(w->dp, e, p, id, w->now_ms);
}

static void
send_upcall(struct worker *w, struct packet *p,
            const struct action_userspace *a, const uint8_t *actions,
            uint32_t actions_size)
{
    static const struct { uint16_t kind; uint8_t queue; } kinds[] = {
        [USERSPACE_RAW] = { UPCALL_SAMPLE, QUEUE_SAMPLE },
        [USERSPACE_SLOW_PATH] = { UPCALL_SLOW_PATH, QUEUE_CONTROL },
        [USERSPACE_CONTROLLER] = { UPCALL_PACKET_IN, QUEUE_OPENFLOW },
        [USERSPACE_SFLOW] = { UPCALL_SAMPLE, QUEUE_SAMPLE },
        [USERSPACE_FLOW_SAMPLE] = { UPCALL_SAMPLE, QUEUE_SAMPLE },
        [USERSPACE_IPFIX] = { UPCALL_SAMPLE, QUEUE_SAMPLE },
    };
    uint8_t kind = a->kind < N_ELEMENTS(kinds) ? a->kind : USERSPACE_RAW;
    struct upcall_record record = {
        .kind = kinds[kind].kind,
        .reason = a->reason,
        .dp = w->dp->handle,
        .bridge = a->bridge,
        .odp = p->in_port,
        .ofp = a->ofp,
        .cookie = a->cookie,
        .rule = a->rule,
        .table = a->table,
        .controller_id = a->controller_id,
        .max_len = a->max_len,
        .recirc_id = a->recirc_id,
        .total_len = p->size,
    };
    struct flow flow;
    struct packet copy = *p;
    struct buffer both = { NULL, 0, 0 };
    bool paused = a->flags & USERSPACE_CONTINUATION;
    flow_extract(&copy, &flow);
    if (a->recirc_id && w->dp->pipeline) {
        pipeline_frozen(w->dp->pipeline, a->recirc_id, &flow,
                        paused ? &both : NULL);
    }

    /* Samples need the whole action, packet-ins only its userdata. */
    bool sample = kinds[kind].queue == QUEUE_SAMPLE;
    struct upcall_part data = {
        sample ? (const void *) a : a->data,
        sample ? a->head.size : a->n_data,
    };
    if (paused && both.size) {
        record.kind = UPCALL_PAUSED;
        data = (struct upcall_part) { both.data, both.size };
    } else if (sample && a->flags & USERSPACE_ACTIONS) {
        buffer_put(&both, a, a->head.size);
        buffer_put(&both, actions, actions_size);
        data = (struct upcall_part) { both.data, both.size };
    }
    uint32_t frame_size = p->size - MIN(p->size, p->cut);
    if (!upcall_put(kinds[kind].queue, &record,
                    (struct upcall_part) { &flow, sizeof flow }, data,
                    (struct upcall_part) { p->data, frame_size })) {
        count_add(&w->dt->drops[DROP_QUEUE_FULL], 1);
    }
    buffer_destroy(&both);
}

static void
execute_userspace(struct executor *e, struct packet *p,
                  const struct action_userspace *a, const uint8_t *actions,
                  uint32_t size)
{
    struct worker *w = worker_of(e);
    struct segmenter s;

    /* Python knows no offload state. */
    if (packet_is_gso(p) && segmenter_init(&s, p)) {
        struct packet segment;
        while (segmenter_next(&s, e->arena, &segment)) {
            send_upcall(w, &segment, a, actions, size);
        }
        return;
    }
    if (p->csum_partial && packet_own(p, e->arena, 0)) {
        packet_complete(p);
    }
    send_upcall(w, p, a, actions, size);
}

static void
execute_recirculate(struct executor *e, struct packet *p)
{
    struct worker *w = worker_of(e);
    if (w->depth >= MAX_DEPTH) {
        execute_drop(e, p, DROP_DEPTH);
        return;
    }
    w->depth++;
    process_one(w, p);
    w->depth--;
}

void
worker_init_executor(struct worker *w)
{
    w->executor = (struct executor) {
        .arena = &w->arena,
        .random = UINT64_C(0x2545f4914f6cdd1d) + w->id,
        .output = execute_output,
        .recirculate = execute_recirculate,
        .userspace = execute_userspace,
        .meter = execute_meter,
        .drop = execute_drop,
    };
}

void
worker_execute(struct worker *w, struct packet *p, const uint8_t *actions,
               uint32_t size)
{
    if (UNLIKELY(p->from_injection && !p->packet_type
                 && p->size < ETH_HEADER)) {
        return;                 /* As in Linux: no datapath executes it. */
    }
    actions_execute(&w->executor, p, actions, size);
}

/* Flags that statistics keep of a frame: TCP's, and, where Open vSwitch has
 * them too, the type of neighbor discovery's option. */
static uint16_t
flow_flags(const struct flow *flow)
{
    return be16_to(flow->tcp_flags) | flow->nd_options_type;
}

/* Stores a mask of everything that 'flow' has: for exact flows. */
static void
make_exact_mask(const struct flow *flow, struct flow *mask)
{
    be16 type = flow->eth_type;
    bool ipv4 = type == CONSTANT_BE16(ETH_TYPE_IPV4);
    bool ipv6 = type == CONSTANT_BE16(ETH_TYPE_IPV6);
    bool arp = (type == CONSTANT_BE16(ETH_TYPE_ARP)
                || type == CONSTANT_BE16(ETH_TYPE_RARP));

    memset(mask, 0, sizeof *mask);
    if (flow->tun_dst || flow->tun_src || flow->tun_ipv6_dst[0]) {
        memset(mask, 0xff, offsetof(struct flow, metadata));
    }
    mask->skb_priority = mask->pkt_mark = mask->dp_hash = UINT32_MAX;
    mask->in_port = mask->recirc_id = mask->packet_type = UINT32_MAX;
    mask->ct_state = mask->ct_mark = UINT32_MAX;
    mask->ct_zone = UINT16_MAX;
    memset(mask->ct_label, 0xff, sizeof mask->ct_label);
    memset(mask->eth_dst, 0xff, 12);
    mask->eth_type = UINT16_MAX;
    memset(&mask->vlan0_tpid, 0xff, 8);
    if (eth_type_is_mpls(type)) {
        memset(mask->mpls_lse, 0xff, sizeof mask->mpls_lse);
    }
    if (ipv4 || arp) {
        mask->nw_src = mask->nw_dst = UINT32_MAX;
        mask->nw_proto = UINT8_MAX;
    }
    if (ipv6) {
        memset(mask->ipv6_src, 0xff, 32);
        mask->ipv6_label = UINT32_MAX;
    }
    if (ipv4 || ipv6) {
        mask->nw_proto = mask->nw_tos = mask->nw_ttl = UINT8_MAX;
        mask->nw_frag = UINT8_MAX;
        mask->tp_src = mask->tp_dst = UINT16_MAX;
        if (flow->nw_proto == PROTO_TCP) {
            mask->tcp_flags = UINT16_MAX;
        }
        mask->igmp_group = ipv4 ? UINT32_MAX : 0;
    }
    if (arp || ipv6) {
        memset(mask->arp_sha, 0xff, 12);
    }
    if (ipv6) {
        memset(mask->nd_target, 0xff, 16);
        mask->nd_reserved = UINT32_MAX;
        mask->nd_options_type = UINT8_MAX;
    }
    if (type == CONSTANT_BE16(ETH_TYPE_NSH)) {
        memset(&mask->nsh_flags, 0xff, 24);
    }
}

/* Translates a real frame into '*s' and '*out'; the last four arguments as in
 * struct xlate_in. */
static void
translate_from(struct worker *w, struct packet *p, const struct flow *flow,
               struct scratch *s, struct xlate_out *out,
               uint32_t start_bridge, const uint8_t *program,
               uint32_t program_size, const struct frozen_record *resume)
{
    struct xlate_in in = {
        .pipeline = w->dp->pipeline,
        .flow = flow,
        .frame = p->data,
        .frame_size = p->size,
        .version = w->dt->pin.version,
        .now_ms = w->now_ms,
        .learn = true,
        .start_bridge = start_bridge,
        .program = program,
        .program_size = program_size,
        .resume = resume,
    };
    *out = (struct xlate_out) { .actions = &s->actions, .mask = &s->mask };
    actions_clear(&s->actions);
    memset(&s->mask, 0, sizeof s->mask);
    pipeline_translate(&in, out);
}

static void
translate(struct worker *w, struct packet *p, const struct flow *flow,
          struct scratch *s, struct xlate_out *out)
{
    translate_from(w, p, flow, s, out, 0, NULL, 0, NULL);
    megaflow_mask_complete(&s->mask);
    if (!(w->dp->config.flags & DP_MEGAFLOWS)) {
        make_exact_mask(flow, &s->mask);
    }
}

/* Makes '*m' do what 'out' says. */
static void
adopt(struct worker *w, struct megaflow *m, struct xlate_out *out)
{
    if (m->credits) {
        credits_unref(m->credits);
    }
    m->credits = out->credits;
    out->credits = NULL;
    m->serial = w->dt->pin.serial;
    m->drop = out->error;
    megaflow_set_slow(m, out->slow_reasons);
    cache_set_origin(&w->dt->cache, m, FLOW_TRANSLATED);
}

/* Puts the result of a translation into the cache; NULL: there is no room. */
static struct megaflow *
install(struct worker *w, const struct flow *flow, struct scratch *s,
        struct xlate_out *out)
{
    struct cache *c = &w->dt->cache;
    const struct buffer *actions = &s->actions.buffer;
    struct megaflow *m = cache_find_exact(c, flow, &s->mask);

    if (m) {
        cache_settle(c, m);
        megaflow_set_actions(m, actions->data, actions->size);
    } else if (c->n_megaflows >= w->dp->config.flow_limit) {
        return NULL;
    } else {
        m = cache_insert(c, flow, &s->mask, actions->data, actions->size,
                         w->now_ms);
    }
    adopt(w, m, out);
    if (UNLIKELY(w->dp->config.flags & DP_LOG_FLOWS)) {
        flow_log(w->dp, LOG_FLOW_ADD, m, NULL);
    }
    return m;
}

static void
run_scratch(struct worker *w, struct packet *p, const struct scratch *s,
            const struct xlate_out *out)
{
    if (!s->actions.buffer.size) {
        execute_drop(&w->executor, p, out->error ? out->error : DROP_RULE);
    } else {
        worker_execute(w, p, s->actions.buffer.data, s->actions.buffer.size);
    }
}

/* A frame that no megaflow matches. */
static void __attribute__((noinline))
miss(struct worker *w, struct packet *p, const struct key *key)
{
    struct datapath *dp = w->dp;
    struct dp_thread *dt = w->dt;
    struct scratch *s = &w->scratch[w->depth];
    struct xlate_out out;

    if (key) {
        key_expand(key, &s->flow);
    }
    count_add(&dt->n_missed, 1);
    if (!dp->pipeline || dp->config.flags & DP_NO_UPCALLS) {
        count_add(&dt->n_lost, 1);
        execute_drop(&w->executor, p, DROP_UPCALL_ERROR);
        return;
    }
    if (UNLIKELY(dp->config.flags & DP_LOG_UPCALLS)) {
        flow_log(dp, LOG_MISS, NULL, &s->flow);
    }
    translate(w, p, &s->flow, s, &out);
    if (out.credits) {
        /* As in Open vSwitch this frame is not counted in the megaflow. */
        credits_settle(out.credits, 1, p->size, w->now_ms,
                       flow_flags(&s->flow));
    }
    install(w, &s->flow, s, &out);
    run_scratch(w, p, s, &out);
    if (out.credits) {
        credits_unref(out.credits);
    }
}

/* Translates again what 'm' was made from, since something has changed. */
static struct megaflow * __attribute__((noinline))
refresh(struct worker *w, struct packet *p, const struct key *key,
        struct megaflow *m)
{
    struct cache *c = &w->dt->cache;
    struct scratch *s = &w->scratch[w->depth];
    const struct buffer *actions = &s->actions.buffer;
    struct xlate_out out;

    if (key) {
        key_expand(key, &s->flow);
    }
    cache_settle(c, m);
    translate(w, p, &s->flow, s, &out);
    if (flow_mask_covers(&m->subtable->flow_mask, &s->mask)) {
        if (actions->size != m->actions_size
            || (actions->size
                && memcmp(actions->data, m->actions, actions->size))) {
            megaflow_set_actions(m, actions->data, actions->size);
        }
        adopt(w, m, &out);
        return m;
    }
    if (UNLIKELY(w->dp->config.flags & DP_LOG_FLOWS)) {
        flow_log(w->dp, LOG_FLOW_DELETE, m, NULL);
    }
    cache_remove(c, m);
    m = install(w, &s->flow, s, &out);
    if (out.credits) {
        credits_unref(out.credits);
    }
    return m;
}

/* Decides about '*p', whose megaflow is 'm' (NULL: none).  'key' NULL: the
 * flow is in the scratch of this depth. */
static inline void
handle(struct worker *w, struct packet *p, const struct key *key,
       struct megaflow *m)
{
    struct dp_thread *dt = w->dt;

    if (UNLIKELY(!m)) {
        miss(w, p, key);
        return;
    }
    if (UNLIKELY(m->serial != dt->pin.serial) && m->origin == FLOW_TRANSLATED
        && !w->dp->paused) {
        m = refresh(w, p, key, m);
        if (!m) {               /* No room: as if it were not cached. */
            miss(w, p, key);
            return;
        }
    }
    uint16_t flags = key ? be16_to(key->tcp_flags)
                         : flow_flags(&w->scratch[w->depth].flow);
    megaflow_count(m, p->size, flags, w->now_ms);
    if (UNLIKELY(m->slow)) {
        struct scratch *s = &w->scratch[w->depth];
        struct xlate_out out;
        if (key) {
            key_expand(key, &s->flow);
        }
        translate(w, p, &s->flow, s, &out);
        run_scratch(w, p, s, &out);
        if (out.credits) {
            credits_unref(out.credits);
        }
        return;
    }
    if (LIKELY(m->output != UINT32_MAX)) {
        output(w, p, m->output);
    } else if (!m->actions_size) {
        count_add(&dt->drops[m->drop ? m->drop : DROP_RULE], 1);
    } else {
        worker_execute(w, p, m->actions, m->actions_size);
    }
}

static void
process_one(struct worker *w, struct packet *p)
{
    struct key key;
    struct cache *c = &w->dt->cache;
    struct megaflow *m;

    if (key_extract(p, &key)) {
        m = cache_find_key(c, &key);
        count_add(&w->dt->n_hit, m != NULL);
        handle(w, p, &key, m);
    } else {
        struct flow *flow = &w->scratch[w->depth].flow;
        flow_extract(p, flow);
        m = cache_find(c, flow);
        count_add(&w->dt->n_hit, m != NULL);
        handle(w, p, NULL, m);
    }
}

void
worker_begin(struct worker *w, struct datapath *dp)
{
    w->dp = dp;
    w->dt = dp->threads[w->id];
    w->now_ms = clock_now();
    w->depth = 0;
    if (dp->pipeline) {
        w->dt->pin = pipeline_pin(dp->pipeline);
        __atomic_store_n(&w->dt->pinned_version, w->dt->pin.version,
                         __ATOMIC_RELEASE);
    }
}

void
worker_end(struct worker *w)
{
    for (uint32_t i = 0; i < w->n_dirty; i++) {
        flush(w, &w->dirty[i]);
    }
    w->n_dirty = 0;
    cache_quiesce(&w->dt->cache);
    arena_reset(&w->arena);
    w->dp = NULL;
    w->dt = NULL;
}

void
worker_process(struct worker *w, struct packet *burst, uint32_t n)
{
    struct key keys[BURST];
    const struct key *plain[BURST] = { NULL };
    struct megaflow *found[BURST];
    int8_t index[BURST];        /* In 'plain', or -1. */
    uint32_t n_plain = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (LIKELY(key_extract(&burst[i], &keys[n_plain]))) {
            plain[n_plain] = &keys[n_plain];
            index[i] = n_plain++;
        } else {
            index[i] = -1;
        }
    }
    cache_find_burst(&w->dt->cache, plain, n_plain, found);
    uint32_t n_hit = 0;
    for (uint32_t i = 0; i < n; i++) {
        int j = index[i];
        if (LIKELY(j >= 0) && LIKELY(found[j] != NULL)
            && LIKELY(!found[j]->dead)) {
            handle(w, &burst[i], &keys[j], found[j]);
            n_hit++;
        } else {
            /* Maybe a frame before it has made the megaflow. */
            process_one(w, &burst[i]);
        }
    }
    count_add(&w->dt->n_hit, n_hit);
}

void
worker_translate(struct worker *w, struct packet *p, const struct flow *flow,
                 uint32_t start_bridge, const uint8_t *program,
                 uint32_t program_size, const struct frozen_record *resume)
{
    struct scratch *s = &w->scratch[w->depth];
    struct xlate_out out;

    if (!w->dp->pipeline) {
        execute_drop(&w->executor, p, DROP_BRIDGE_NOT_FOUND);
        return;
    }
    translate_from(w, p, flow, s, &out, start_bridge, program, program_size,
                   resume);
    if (out.credits) {
        credits_settle(out.credits, 1, p->size, w->now_ms,
                       flow_flags(flow));
    }
    run_scratch(w, p, s, &out);
    if (out.credits) {
        credits_unref(out.credits);
    }
}
