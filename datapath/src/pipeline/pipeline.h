/* pipeline.h: what layers above may call of the OpenFlow pipeline.
 *
 * What.  A `struct pipeline` belongs to a datapath: the OpenFlow side of it
 * (bridges, rule tables, groups, MAC tables, frozen states).  What becomes of
 * a flow there is the translation's business (translation/translation.h).
 *
 * Versions.  Rules live in versions [added, removed).  A worker calls
 * pipeline_pin() once per burst and translates the whole burst, recirculations
 * included, at that pin's version.  'serial' changes with everything a
 * translation may depend on (rules, groups, ports, MACs): a megaflow whose
 * translation began at another serial than the burst's pin is translated again
 * before it is used.
 *
 * Threads.  pipeline_pin() and pipeline_frozen(): any thread that is
 * registered with the epochs and inside one.  The rest: control thread. */
#ifndef PIPELINE_PIPELINE_H
#define PIPELINE_PIPELINE_H 1

#include <stdbool.h>
#include <stdint.h>

struct flow;
struct frozen_record;
struct pipeline;

struct pipeline_pin {
    uint64_t version;           /* Version of the rules that are visible. */
    uint64_t serial;            /* Changes when anything changes. */
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
