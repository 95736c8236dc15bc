/* api.h: THE SEAM. Everything that Python may call of the switching library.
 *
 * gcc includes this file; cffi's cdef reads it (so: plain declarations, no
 * conditionals; struct flow, the ops and the enums of tables are generated).
 *
 * Rules.  Arrays in, arrays out.  Python owns the buffers it passes and C
 * copies before it returns; C owns everything else and Python holds integer
 * handles.  No callbacks: C speaks through the upcall queues.  A function
 * returns 0 or a positive errno; the sentence is in dp_error().  Times are
 * milliseconds of the datapath clock.  Unless a comment says "Any thread", a
 * function is for the control thread only.  Dumps take a cursor (start with 0,
 * finished when it is 0 again) and fill a buffer, so that none holds the
 * control thread for more than about a millisecond.
 *
 * Numbers.  'dp' is a datapath handle, 'bridge' a bridge handle, 'odp' a
 * datapath port number, 'ofp' an OpenFlow 1.0 port number widened to 32 bits
 * (0xfffe LOCAL, 0xffff NONE).  Handles are never 0. */

#pragma once
#include <stdbool.h>
#include <stdint.h>

/* ---- Errors, clock, threads ---- */

/* Returns the sentence for the last error of this thread.  Any thread. */
const char *dp_error(void);

/* Sets the datapath clock by hand ('steered': it stands at 'now_ms' until the
 * next call) or lets it follow CLOCK_MONOTONIC again. */
void dp_clock(bool steered, int64_t now_ms);
int64_t dp_now(void);           /* Any thread. */

/* Runs, in the caller, everything that waits for the control thread or that
 * workers would do for ports in pump mode: pumped ports' receive queues,
 * inject rings, rule timeouts, MAC ageing, megaflow expiry, slices of
 * revalidation, settlement and reclamation.  Stores the number of frames and
 * timers handled in '*n_work' (0: nothing was left to do). */
int dp_pump(uint64_t *n_work);

/* Returns the time at which dp_pump() has something to do next, INT64_MAX for
 * never. */
int64_t dp_deadline(void);

/* Frees up to 'max' of what was deleted, more if much was; stores how many
 * that were.  Nobody waits for it: it is for when there is nothing else to do.
 * The descriptor is readable when much waits, until dp_reclaim() is called. */
int dp_reclaim(uint32_t max, uint32_t *n_freed);
int dp_reclaim_fd(void);

/* Starts or stops worker threads until there are 'n'; 0 means that all ports
 * are pumped by the caller of dp_pump(). */
int workers_set(uint32_t n);

/* ---- Datapaths ---- */

struct datapath_config {
    char name[64];              /* "ovs-netdev". */
    uint64_t features;          /* DPF_* that the translator may use. */
    uint32_t max_idle_ms;       /* A megaflow unused so long is deleted. */
    uint32_t flow_limit;        /* Most megaflows. */
    uint32_t vlan_limit;        /* VLAN headers parsed, 1 or 2; 0: most. */
    uint32_t flags;             /* DP_MEGAFLOWS (else exact flows only),
                                 * DP_LOG_UPCALLS, DP_LOG_FLOWS, ... */
};

struct datapath_stats {
    uint64_t n_hit;             /* Looked up and found in a cache. */
    uint64_t n_missed;          /* Translated. */
    uint64_t n_lost;            /* Could not be translated. */
    uint64_t n_mask_hit;        /* Masks tried. */
    uint64_t n_flows;           /* Megaflows in all workers. */
    uint64_t n_masks;           /* Masks in all workers. */
    uint64_t n_exact_hit;       /* Found in the exact cache. */
    uint64_t n_upcalls_lost;    /* Dropped for a full upcall queue. */
};

int datapath_open(const struct datapath_config *, uint32_t *dp);
int datapath_set(uint32_t dp, const struct datapath_config *);
int datapath_close(uint32_t dp);
int datapath_stats_get(uint32_t dp, struct datapath_stats *);

/* Copies the drop counters, one per row of schema/flow/drops.py. */
int drops_get(uint32_t dp, uint64_t *counts, uint32_t n);

/* ---- Datapath ports ---- */

struct port_config {
    char name[64];              /* Device or port name. */
    char kind[16];              /* "dummy", "dummy-internal", "dummy-pmd",
                                 * "internal", "tap", "system", "discard",
                                 * "generate": a row of port_ops[]. */
    uint32_t odp;               /* Datapath port number, chosen by Python. */
    int32_t fd;                 /* Open tap descriptor, or -1. */
    int32_t ifindex;            /* Of a system port. */
    uint32_t mtu;               /* Largest layer 3 size, checked at egress. */
    uint32_t n_rxq;             /* Receive queues. */
    uint32_t flags;             /* PORT_UP, PORT_OFFLOADS, PORT_TX_TO_QUEUE. */
    uint8_t mac[8];             /* 6 bytes used. */
    char rx_pcap[256];          /* File that gets received frames, or "". */
    char tx_pcap[256];          /* File that gets every frame sent, or "". */
};

struct port_stats {
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
    uint64_t rx_dropped, tx_dropped, rx_errors, tx_errors;
    uint64_t tx_too_big, rx_gso, tx_gso;
};

int port_add(uint32_t dp, const struct port_config *);
int port_set(uint32_t dp, const struct port_config *);      /* By 'odp'. */
int port_del(uint32_t dp, uint32_t odp);
int port_stats_get(uint32_t dp, uint32_t odp, struct port_stats *);

/* Puts 'frame' into receive queue 'queue' of a dummy port as if it came from a
 * wire; it is switched by the next dp_pump(), or at once where the port is
 * polled by a worker. */
int port_receive(uint32_t dp, uint32_t odp, uint32_t queue,
                 const uint8_t *frame, uint32_t size);

/* ---- Bridges ---- */

struct bridge_config {
    char name[64];
    uint32_t mac_aging_s;       /* Idle time after which a MAC is forgotten. */
    uint32_t mac_table_size;    /* Most MACs. */
    uint32_t flags;             /* BRIDGE_FORWARD_BPDU, BRIDGE_DROP_FRAGS... */
    uint32_t miss_len;          /* Bytes of a frame sent on a table miss. */
    uint64_t flood_vlans[64];   /* Bitmap of VLANs that are not learned. */
    uint8_t mac[8];             /* The LOCAL port's. */
};

struct bridge_port {            /* An OpenFlow port. */
    uint32_t ofp;
    uint32_t odp;               /* Datapath port; 0xffffffff: a patch port. */
    uint32_t peer_bridge;       /* Of a patch port, 0: no peer. */
    uint32_t peer_ofp;
    uint32_t config;            /* OFPPC_* bits of OpenFlow 1.0. */
    uint32_t state;             /* BP_LIVE, BP_LINK_DOWN, ... */
    uint32_t bundle;            /* Id of its bundle, 0: none. */
    uint32_t mtu;
    char name[64];
};

struct bundle {                 /* A Port: what NORMAL switches among. */
    uint32_t id;                /* Not 0. */
    uint16_t vlan_mode;         /* VLAN_ACCESS, VLAN_TRUNK, ... */
    uint16_t vlan;              /* Access or native VLAN. */
    uint16_t qinq_tpid;
    uint16_t flags;             /* BUNDLE_PROTECTED, BUNDLE_PRIORITY_TAGS... */
    uint32_t bond_mode;         /* 0: no bond. */
    uint32_t active_ofp;        /* Active member of a bond. */
    uint32_t first_member;      /* Index into the array of members. */
    uint32_t n_members;
    uint64_t trunks[64];        /* VLANs carried. */
    uint64_t cvlans[64];
};

struct mirror {
    uint32_t id;
    uint32_t out_bundle;        /* 0: use out_vlan. */
    uint16_t out_vlan;
    uint16_t snaplen;
    uint32_t flags;
    uint64_t vlans[64];         /* Of frames to mirror. */
    uint32_t first_source, n_sources;           /* Into 'bundles'. */
    uint32_t first_destination, n_destinations;
};

int bridge_add(uint32_t dp, const struct bridge_config *, uint32_t *bridge);
int bridge_set(uint32_t bridge, const struct bridge_config *);
int bridge_del(uint32_t bridge);

/* Replace all ports, bundles or mirrors of a bridge.  Megaflows that depend on
 * what changed are re-translated before they are used again. */
int bridge_ports_set(uint32_t bridge, const struct bridge_port *, uint32_t n);
int bundles_set(uint32_t bridge, const struct bundle *, uint32_t n,
                const uint32_t *members, uint32_t n_members);
int mirrors_set(uint32_t bridge, const struct mirror *, uint32_t n,
                const uint32_t *bundles, uint32_t n_bundles);

struct bridge_port_stats {      /* What an OpenFlow port counted: a patch port
                                 * has no other counters. */
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
};
int bridge_port_stats_get(uint32_t bridge, uint32_t ofp,
                          struct bridge_port_stats *);

struct mac_entry {
    uint8_t mac[6];
    uint16_t vlan;
    uint32_t bundle;
    uint32_t ofp;               /* First port of the bundle. */
    uint32_t age_s;
    uint32_t is_static;
};
int macs_dump(uint32_t bridge, uint64_t *cursor, struct mac_entry *,
              uint32_t max, uint32_t *n);
int mac_set(uint32_t bridge, const struct mac_entry *);
int mac_del(uint32_t bridge, const struct mac_entry *);     /* ENOENT. */
int macs_flush(uint32_t bridge);

struct mac_stats {
    uint64_t n_current, n_static, n_learned, n_expired, n_evicted, n_moved;
};
int mac_stats_get(uint32_t bridge, struct mac_stats *, bool clear);

/* ---- Rules and groups: staged, then published ---- */

struct rule_change {            /* A flow_mod. */
    uint32_t bridge;
    uint16_t command;           /* RULE_ADD, RULE_MODIFY, RULE_MODIFY_STRICT,
                                 * RULE_DELETE, RULE_DELETE_STRICT (numbers of
                                 * OpenFlow). */
    uint8_t table;              /* 255 with DELETE and MODIFY: all. */
    uint8_t reason;             /* Of a deletion, for flow_removed. */
    int32_t priority;           /* 0..65535; hidden rules lie above. */
    uint32_t flags;             /* RF_* (OFPFF_* of OpenFlow 1.3 and more). */
    uint16_t idle_timeout, hard_timeout;    /* Seconds, 0: none. */
    uint16_t importance;
    uint16_t pad;
    uint32_t out_port, out_group;           /* Filters, 0xffffffff: any. */
    uint64_t cookie;            /* New cookie (ADD, MODIFY). */
    uint64_t cookie_match, cookie_mask;     /* Filter. */
    uint64_t tag;               /* Returned in events: owner connection. */
    uint32_t program_offset, program_size;  /* Compiled ops in 'blob'. */
    uint32_t source_offset, source_size;    /* Opaque source in 'blob'. */
    uint32_t match_offset;      /* In 'blob': struct flow value, then mask. */
    uint32_t error;             /* Out: 0 or RULE_E_*. */
    uint32_t n_affected;        /* Out: rules added, changed or deleted. */
    uint32_t out_meter;         /* Filter, 0: any. */
};

/* Opens a new version of a datapath's rules.  Changes staged in it are
 * invisible until it is committed; an error found while staging leaves the
 * version as it was before that change.  One version is open at a time. */
int version_open(uint32_t dp, uint64_t *version);
int rules_stage(uint64_t version, struct rule_change *, uint32_t n,
                const uint8_t *blob, uint32_t blob_size);
int version_commit(uint64_t version);   /* Constant time. */
int version_abort(uint64_t version);

/* Tells whether each worker has begun a burst at 'version' or later (asleep is
 * as good): the test of a barrier reply. */
bool version_reached(uint32_t dp, uint64_t version);
uint64_t version_current(uint32_t dp);

struct rule_filter {
    uint32_t bridge;
    uint8_t table;              /* 255: all. */
    uint8_t strict;             /* Compare match and priority exactly. */
    uint16_t hidden;            /* Include hidden rules. */
    int32_t priority;
    uint32_t out_port, out_group;
    uint64_t cookie, cookie_mask;
    uint32_t out_meter;         /* 0: any. */
    uint32_t pad;
};

struct rule_record {            /* Followed by match value, match mask and the
                                 * source actions; 'size' counts all, rounded
                                 * up to 8. */
    uint32_t size;
    uint32_t bridge;
    uint64_t rule;              /* Handle. */
    uint64_t cookie;
    uint64_t n_packets, n_bytes;
    int64_t created_ms, modified_ms, used_ms;
    int32_t priority;
    uint32_t flags;
    uint16_t idle_timeout, hard_timeout;
    uint16_t importance;
    uint8_t table;
    uint8_t pad;
    uint64_t tag;
    uint32_t source_size;
    uint32_t pad1;
};

/* 'match' is value then mask, or NULL for all.  Fills 'buffer' with whole
 * rule_records, by table; those of a small table in the order in which lookup
 * asks for their masks, others and those of one mask in the order in which
 * they were added or last modified.  'cursor' is {0, 0} at first and, when
 * nothing is left, again. */
int rules_dump(const struct rule_filter *, const uint8_t *match,
               uint64_t cursor[2], uint8_t *buffer, uint32_t size,
               uint32_t *n_bytes, uint32_t *n_records);
int rule_get(uint64_t rule, uint8_t *buffer, uint32_t size, uint32_t *n_bytes);

struct table_stats {
    uint64_t n_active, n_lookup, n_matched;
};
int tables_stats_get(uint32_t bridge, struct table_stats *, uint32_t n);

/* What became of packets that no rule matched. */
struct unmatched_stats {
    uint64_t sent_packets, sent_bytes;          /* To controllers. */
    uint64_t dropped_packets, dropped_bytes;
    uint64_t fragment_packets, fragment_bytes;  /* Dropped unseen. */
};
int unmatched_stats_get(uint32_t bridge, struct unmatched_stats *);

struct table_config {
    uint32_t miss;              /* TABLE_MISS_*: controller, drop... */
    uint32_t max_flows;         /* 0xffffffff: no limit. */
    uint32_t flags;             /* TABLE_EVICT: make room by evicting. */
    uint32_t n_prefixes;        /* 0xffffffff: the default ones. */
    uint16_t prefixes[4];       /* Field ids with tries. */
};
/* 'eviction_mask', a struct flow, or NULL: rules that agree where it has ones
 * are a group; evicted are rules of the largest group.  Rules above a limit
 * that shrank go at once. */
int table_set(uint32_t bridge, uint32_t table, const struct table_config *,
              const uint8_t *eviction_mask);

/* Has each change of a bridge's rules told, or no longer: UPCALL_RULE_ADDED,
 * UPCALL_RULE_CHANGED and UPCALL_RULE_REMOVED of all rules but hidden ones.
 * Not part of the configuration: it follows who listens. */
int rules_watch(uint32_t bridge, bool watched);

struct group_change {
    uint32_t bridge;
    uint16_t command;           /* GROUP_ADD, GROUP_MODIFY, GROUP_DELETE. */
    uint8_t type;               /* 0 all, 1 select, 2 indirect, 3 failover. */
    uint8_t method;             /* Of select: 0 default, 1 dp_hash, 2 hash. */
    uint32_t group;
    uint32_t n_buckets;
    uint64_t method_param;
    uint32_t buckets_offset;    /* In 'blob': struct bucket, each followed by
                                 * its program. */
    uint32_t source_offset, source_size;
    uint32_t fields_offset;     /* In 'blob': struct hash_field of method 2, in
                                 * the order of their ids. */
    uint32_t n_fields;
    uint32_t error;             /* Out. */
};
struct hash_field {             /* A field that a select group hashes. */
    uint8_t field;              /* Its id, with a fixed place. */
    uint8_t size;               /* Bytes of its value, at most 16. */
    uint8_t mask[16];           /* Right adjusted. */
    uint8_t pad[2];
};
struct bucket {
    uint32_t size;              /* With the program, a multiple of 8. */
    uint32_t id;
    uint32_t weight;
    uint32_t watch_port, watch_group;
    uint32_t program_size;
};
int groups_stage(uint64_t version, struct group_change *, uint32_t n,
                 const uint8_t *blob, uint32_t blob_size);

struct group_record {           /* Followed by {packets, bytes} per bucket and
                                 * the source. */
    uint32_t size, group, ref_count, n_buckets;
    uint64_t n_packets, n_bytes;
    int64_t created_ms;
    uint32_t source_size, pad;
};
int groups_dump(uint32_t bridge, uint32_t group, uint64_t *cursor,
                uint8_t *buffer, uint32_t size, uint32_t *n_bytes,
                uint32_t *n_records);

/* ---- Meters ---- */

struct meter_band {
    uint32_t type;              /* METER_DROP, METER_DSCP_REMARK. */
    uint32_t rate;              /* kbit/s or packets/s. */
    uint32_t burst;             /* kbit or packets; 0: what 'rate' lets through
                                 * in a second. */
    uint32_t level;             /* Added to the drop precedence. */
    uint64_t n_packets, n_bytes;        /* That exceeded it. */
};
struct meter {
    uint32_t flags;             /* METER_KBPS or METER_PKTPS, and more. */
    uint32_t n_bands;
    uint64_t n_packets, n_bytes;        /* That met the meter. */
    struct meter_band bands[8];
};

/* Makes or replaces (its counters start again) meter 'id' of a datapath; one
 * is shared by all workers.  E2BIG, EINVAL. */
int meter_set(uint32_t dp, uint32_t id, const struct meter *);
int meter_get(uint32_t dp, uint32_t id, struct meter *);    /* ENOENT. */
int meter_del(uint32_t dp, uint32_t id);                    /* ENOENT. */

/* Which meters of the datapath the bridge's meters are; 'ofp' are OpenFlow
 * numbers.  An op whose meter is not among them does not meter. */
struct bridge_meter {
    uint32_t ofp, id;
};
int bridge_meters_set(uint32_t bridge, const struct bridge_meter *,
                      uint32_t n);

/* ---- Megaflows ---- */

struct flow_record {            /* Followed by key, mask and the flow that it
                                 * was made for (struct flow each) and
                                 * datapath actions; 'size' as above. */
    uint32_t size;
    uint32_t worker;            /* 0: the control thread's cache. */
    uint8_t ufid[16];
    uint64_t n_packets, n_bytes;
    int64_t used_ms;            /* 0: never. */
    uint32_t tcp_flags;
    uint32_t actions_size;
    uint32_t origin;            /* FLOW_TRANSLATED, FLOW_STATIC (flow_put). */
    uint32_t slow_reasons;
};
int flows_dump(uint32_t dp, uint64_t *cursor, uint8_t *buffer, uint32_t size,
               uint32_t *n_bytes, uint32_t *n_records);

/* 'key_mask' is key then mask.  EEXIST, ENOENT, EINVAL. */
int flow_put(uint32_t dp, const uint8_t *key_mask, const uint8_t *actions,
             uint32_t actions_size, bool may_exist, bool must_exist);
int flow_del(uint32_t dp, const uint8_t *key_mask);         /* ENOENT. */
int flows_flush(uint32_t dp);       /* After settling their counters. */

int flows_revalidate(uint32_t dp);  /* All, now, and settle. */
int flows_pause(uint32_t dp, bool paused);
int flows_settle(uint32_t dp);

/* ---- Translation ---- */

struct trace_event {            /* A row of schema/flow/trace.py happened. */
    uint16_t kind;
    uint16_t depth;             /* Nesting, for indentation. */
    uint32_t source;            /* Source action index, or 0xffffffff. */
    uint64_t rule;              /* Rule handle, or 0. */
    uint64_t arguments[4];
};

struct translation {            /* What became of it. */
    uint32_t error;             /* 0 or a drop reason. */
    uint32_t n_events;
    uint32_t actions_size;
    uint32_t slow_reasons;
};

/* Translates 'flow' as if it came in and describes it: events, the flow at the
 * end, the mask and the datapath actions.  'start_bridge' 0: 'in_port' of
 * 'flow' is a datapath port that says which bridge; else it is an OpenFlow
 * port of that bridge.  recirc_id selects frozen state.  No side effects
 * unless 'frame' is given or 'learn' is true.  'program' NULL: the tables;
 * else these ops (trace-packet-out).  'version' 0: the current one; else the
 * one that is open, as staged so far, and the frame counts as one that went
 * this way: what a bundle sends at its place is translated there. */
int flow_trace(uint32_t dp, uint32_t start_bridge, const uint8_t *flow,
               const uint8_t *frame, uint32_t frame_size, bool learn,
               const uint8_t *program, uint32_t program_size,
               uint64_t version, struct trace_event *, uint32_t max_events,
               uint8_t *final_flow, uint8_t *mask,
               uint8_t *actions, uint32_t max_actions, struct translation *);

/* Gives back what traces kept so that a trace of what comes back finds it:
 * the frozen states that they made.  Control thread. */
void flow_trace_forget(void);

struct frozen_record {          /* Followed by stack (entries of 24 bytes: a
                                 * right-adjusted value and u64 bits), action
                                 * set, remaining ops, userdata, each padded to
                                 * 8. */
    uint32_t size, recirc_id, bridge;
    uint8_t table, conntracked, pad[2];
    uint64_t cookie;
    uint64_t metadata;
    uint32_t stack_size, action_set_size, ops_size, in_port;
    uint32_t mirrors, userdata_size;
    uint32_t regs[32];
};
int frozen_get(uint32_t dp, uint32_t recirc_id, uint8_t *buffer, uint32_t size,
               uint32_t *n_bytes);

/* ---- Frames in ---- */

struct injection {              /* A frame to be put through a program or
                                 * datapath actions. */
    uint32_t dp;
    uint32_t bridge;            /* 0: 'program' holds datapath actions. */
    uint32_t in_port;           /* ofp, or odp where 'bridge' is 0. */
    uint32_t frame_offset, frame_size;      /* In 'blob'. */
    uint32_t program_offset, program_size;  /* In 'blob'. */
    uint32_t flow_offset;       /* In 'blob': metadata as a struct flow, or
                                 * 0xffffffff. */
    uint32_t flags;             /* INJECT_TABLES: through the tables instead.
                                 * INJECT_RESUME: 'program' is a struct
                                 * frozen_record to go on with, 'in_port' odp,
                                 * 'flow' holds what is the pipeline's. */
};

/* Queues frames on an inject ring in order; without workers they run in the
 * next dp_pump(). */
int packets_inject(const struct injection *, uint32_t n, const uint8_t *blob,
                   uint32_t blob_size);

/* Parses 'frame' as a receive burst of 'in_port' would.  Any thread. */
int frame_parse(const uint8_t *frame, uint32_t size, uint32_t in_port,
                uint8_t *flow);

/* Makes a frame whose parse is 'flow', with right lengths and checksums, but
 * for SCTP's, which is 0.  'payload_size' bytes follow the last header: zeros,
 * or they count up.  Any thread. */
int frame_compose(const uint8_t *flow, uint32_t payload_size, bool counts,
                  uint8_t *frame, uint32_t max, uint32_t *size);

/* ---- Upcalls ---- */

struct upcall_record {          /* One entry of a queue.  Followed by struct
                                 * flow (where 'flow_size' is not 0), data,
                                 * frame; each padded to 8. */
    uint32_t size;              /* All of it. */
    uint16_t kind;              /* UPCALL_*. */
    uint16_t reason;
    uint32_t dp, bridge;
    uint32_t odp, ofp;          /* Input port. */
    uint64_t cookie;            /* Of the rule. */
    uint64_t rule;
    uint64_t tag;
    uint32_t table;
    uint32_t controller_id;
    uint32_t max_len;
    uint32_t recirc_id;         /* Frozen state of a paused frame. */
    uint32_t flow_size, data_size, frame_size;
    uint32_t total_len;         /* Of the frame before truncation. */
    int64_t when_ms;
};

/* Queues: QUEUE_CONTROL, QUEUE_OPENFLOW, QUEUE_SAMPLE, QUEUE_EVENT, QUEUE_LOG,
 * QUEUE_FRAMES (frames sent by ports with PORT_TX_TO_QUEUE). */
int upcall_fd(uint32_t queue, int *fd);     /* Readable: not empty. */
int upcalls_take(uint32_t queue, uint8_t *buffer, uint32_t size,
                 uint32_t *n_bytes, uint32_t *n_records);

/* ---- Numbers ---- */

struct worker_stats {
    uint64_t busy_ns, idle_ns, n_bursts, n_packets, n_sleeps;
};
int worker_stats_get(uint32_t worker, struct worker_stats *);

struct memory_stats {
    uint64_t n_rules, n_megaflows, n_macs, n_frozen, n_groups, n_ports;
    uint64_t n_retired;
};
int memory_stats_get(struct memory_stats *);

/* Returns a number that equals datapath.generate.LAYOUT: both were made from
 * the same tables. */
uint64_t dp_layout(void);
