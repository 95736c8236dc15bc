/* translation.h: what becomes of a flow in the OpenFlow pipeline.
 *
 * What.  A cache that misses calls pipeline_translate(), which turns a flow
 * into datapath actions and the mask of all bits that the decision depended
 * on; together they are a megaflow.
 *
 * Credits.  A translation also returns `struct credits`: the list of what its
 * megaflow owes statistics and refreshes to (rules, tables, MACs, buckets,
 * patch ports).  The megaflow holds one reference and hands its counts over by
 * credits_settle(): at least every 500 ms, before it is deleted and before it
 * is translated again.
 *
 * Threads.  Any thread that is registered with the epochs and inside one. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct flow;
struct actions;                 /* Of action/action.h. */
struct credits;
struct frozen_record;
struct pipeline;
struct trace_sink;              /* Of translation/trace.h. */

struct xlate_in {
    struct pipeline *pipeline;
    const struct flow *flow;    /* Key: 'in_port' is a datapath port number;
                                 * 'recirc_id' selects frozen state. */
    const uint8_t *frame;       /* Or NULL. */
    uint32_t frame_size;
    uint64_t version;           /* Of the burst's pin. */
    int64_t now_ms;
    bool learn;                 /* A real packet: MACs are learned, learn ops
                                 * act.  False when megaflows are checked. */
    uint32_t start_bridge;      /* Not 0: 'flow->in_port' is an OpenFlow port
                                 * of this bridge. */
    const uint8_t *program;     /* Not NULL: these ops instead of the tables
                                 * ('start_bridge' must be given). */
    uint32_t program_size;
    const struct frozen_record *resume; /* Not NULL: go on as it says; 'flow'
                                 * holds registers and metadata, too. */
    struct trace_sink *trace;   /* NULL but for flow_trace(). */
};

struct xlate_out {
    struct actions *actions;    /* In: a buffer.  Appended to.  Empty: drop. */
    struct flow *mask;          /* In: a buffer; out: bits that mattered. */
    struct flow *final;         /* In: NULL or a buffer; out: last flow. */
    struct credits *credits;    /* Out: a reference, or NULL. */
    uint32_t error;             /* Out: DROP_NONE or why it was dropped. */
    uint32_t slow_reasons;      /* Out: SLOW_*: must be done by translating
                                 * each packet. */
};

/* Translates.  Returns 0; all failures are in 'out->error'. */
void pipeline_translate(const struct xlate_in *, struct xlate_out *);

/* Adds 'n_packets' and 'n_bytes', last used at 'used_ms', to everything in
 * the list and repeats the side effects ('tcp_flags' of all packets seen). */
void credits_settle(struct credits *, uint64_t n_packets, uint64_t n_bytes,
                    int64_t used_ms, uint16_t tcp_flags);
void credits_unref(struct credits *);
