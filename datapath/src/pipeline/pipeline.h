/* pipeline.h: what the caches and workers may call of the OpenFlow pipeline.
 *
 * What.  A `struct pipeline` belongs to a datapath: the OpenFlow side of it
 * (bridges, rule tables, groups, MAC tables, frozen states).  A cache that
 * misses calls pipeline_translate(), which turns a flow into datapath actions
 * and the mask of all bits that the decision depended on; together they are a
 * megaflow.
 *
 * Credits.  A translation also returns `struct credits`: the list of what its
 * megaflow owes statistics and refreshes to (rules, tables, MACs, buckets,
 * patch ports).  The megaflow holds one reference and hands its counts over by
 * credits_settle(): at least every 500 ms, before it is deleted and before it
 * is translated again.
 *
 * Versions.  Rules live in versions [added, removed).  A worker calls
 * pipeline_pin() once per burst and translates the whole burst, recirculations
 * included, at that pin's version.  'serial' changes with everything a
 * translation may depend on (rules, groups, ports, MACs): a megaflow whose
 * translation began at another serial than the burst's pin is translated again
 * before it is used.
 *
 * Threads.  pipeline_translate(), pipeline_pin(), credits_*() and
 * recirc_*(): any thread that is registered with the epochs and inside one.
 * The rest: control thread. */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H 1

#include <stdbool.h>
#include <stdint.h>

struct flow;
struct actions;                 /* Of action/action.h. */
struct credits;
struct frozen_record;
struct pipeline;
struct trace_sink;              /* Of pipeline/trace.h. */

struct pipeline_pin {
    uint64_t version;           /* Version of the rules that are visible. */
    uint64_t serial;            /* Changes when anything changes. */
};

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

/* Creates or destroys the pipeline of datapath handle 'dp'.  The seam's
 * functions that take 'dp' find it by pipeline_find(). */
struct pipeline *pipeline_open(uint32_t dp, uint64_t features);
void pipeline_set_features(struct pipeline *, uint64_t features);
void pipeline_close(struct pipeline *);
struct pipeline *pipeline_find(uint32_t dp);

/* Reads the version and serial for a burst. */
struct pipeline_pin pipeline_pin(const struct pipeline *);

/* Says that something changed that translations of 'pipeline' depend on. */
void pipeline_changed(struct pipeline *);

/* Translates.  Returns 0; all failures are in 'out->error'. */
void pipeline_translate(const struct xlate_in *, struct xlate_out *);

/* Adds 'n_packets' and 'n_bytes', last used at 'used_ms', to everything in
 * the list and repeats the side effects ('tcp_flags' of all packets seen). */
void credits_settle(struct credits *, uint64_t n_packets, uint64_t n_bytes,
                    int64_t used_ms, uint16_t tcp_flags);
void credits_unref(struct credits *);

/* Stores in '*flow' what belongs to the pipeline in frozen state 'id':
 * registers, metadata, tunnel; what connection tracking said is cleared where
 * the state does not know it.  Appends the state as a struct frozen_record to
 * 'record', if that is not NULL. */
struct buffer;
void pipeline_frozen(struct pipeline *, uint32_t id, struct flow *,
                     struct buffer *record);
/* Checks a record of 'size' bytes from Python and its ops; or ops alone. */
int pipeline_verify_record(const uint8_t *record, uint32_t size);
int pipeline_verify(const uint8_t *ops, uint32_t size);

/* Runs rule timeouts and MAC ageing that are due at 'now_ms'; stores the
 * number of things done in '*n_work' and returns the time of the next one. */
int64_t pipeline_expire(struct pipeline *, int64_t now_ms, uint64_t *n_work);
int64_t pipeline_deadline(const struct pipeline *);

struct memory_stats;
/* Adds what the pipeline holds to '*stats'. */
void pipeline_count(struct pipeline *, struct memory_stats *stats);

/* What the pipeline needs of the layers above it; set once at start. */
struct pipeline_hooks {
    void (*settle)(uint32_t dp);        /* Settle all megaflows now. */
    bool (*port_live)(uint32_t dp, uint32_t odp);
};
void pipeline_set_hooks(const struct pipeline_hooks *);

#endif /* pipeline.h */
