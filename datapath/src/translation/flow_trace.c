/* flow_trace.c: the seam's flow_trace(): a translation that describes itself.
 * Control thread. */
#include "translation/xlate.h"

/* What the last traces owe: it keeps the frozen states that they made, so that
 * a trace of what comes back finds them. */
static struct credits *kept[64];
static unsigned n_kept;

void
flow_trace_forget(void)
{
    while (n_kept) {
        credits_unref(kept[--n_kept]);
    }
}

static void
keep(struct credits *credits)
{
    if (credits) {
        if (n_kept == N_ELEMENTS(kept)) {
            flow_trace_forget();
        }
        kept[n_kept++] = credits;
    }
}

/* A tag written without its type is of the usual one. */
static void
complete_vlans(struct flow *flow)
{
    if (flow->vlan0_tci & CONSTANT_BE16(0x1000) && !flow->vlan0_tpid) {
        flow->vlan0_tpid = CONSTANT_BE16(ETH_TYPE_VLAN);
    }
    if (flow->vlan1_tci & CONSTANT_BE16(0x1000) && !flow->vlan1_tpid) {
        flow->vlan1_tpid = CONSTANT_BE16(ETH_TYPE_VLAN);
    }
}

int
flow_trace(uint32_t dp, uint32_t start_bridge, const uint8_t *flow_,
           const uint8_t *frame, uint32_t frame_size, bool learn,
           const uint8_t *program, uint32_t program_size, uint64_t version,
           struct trace_event *events, uint32_t max_events,
           uint8_t *final_flow, uint8_t *mask_, uint8_t *actions_,
           uint32_t max_actions, struct translation *t)
{
    struct pipeline *p = pipeline_find(dp);
    struct flow flow, mask, final;
    struct actions actions = ACTIONS_EMPTY;
    struct trace_sink sink = { .events = events, .max = max_events };

    memset(t, 0, sizeof *t);
    if (!p) {
        return error_set(ENODEV, "no datapath %u", dp);
    }
    if (start_bridge && !bridge_find(start_bridge)) {
        return error_set(ENODEV, "no bridge %u", start_bridge);
    }
    if (program) {
        int error = program_verify(program, program_size, false);
        if (error) {
            return error;
        }
    }
    /* Nothing deleted may show in the mask. */
    epoch_reclaim();
    epoch_reclaim();
    memcpy(&flow, flow_, sizeof flow);
    memset(&mask, 0, sizeof mask);
    complete_vlans(&flow);
    if (version) {
        classifiers_settle();
    } else if (!flow.recirc_id) {
        flow_trace_forget();
    }
    final = flow;
    struct xlate_in in = {
        .pipeline = p, .flow = &flow, .frame = frame,
        .frame_size = frame_size,
        .version = version ? version : pipeline_pin(p).version,
        .now_ms = clock_now(), .learn = learn || frame,
        .start_bridge = start_bridge, .program = program,
        .program_size = program_size, .trace = &sink,
    };
    struct xlate_out out = {
        .actions = &actions, .mask = &mask, .final = &final,
    };
    pipeline_translate(&in, &out);
    if (version && out.credits) {
        credits_settle(out.credits, 1, frame_size, in.now_ms,
                       be16_to(flow.tcp_flags));
    }
    t->error = out.error;
    t->n_events = MIN(sink.n, max_events);
    t->slow_reasons = out.slow_reasons;
    t->actions_size = actions.buffer.size;
    memcpy(final_flow, &final, sizeof final);
    memcpy(mask_, &mask, sizeof mask);
    int error = 0;
    if (actions.buffer.size > max_actions) {
        error = error_set(ENOBUFS, "%u bytes of actions",
                          actions.buffer.size);
    } else if (actions.buffer.size) {
        memcpy(actions_, actions.buffer.data, actions.buffer.size);
    }
    actions_destroy(&actions);
    keep(out.credits);
    return error;
}
