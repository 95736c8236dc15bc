/* private.h: the pipeline's own structures; included by src/pipeline and
 * src/translation only.
 *
 * Ownership.  A `struct bridge` holds a `struct conf`: ports, bundles and
 * mirrors as one immutable value, replaced as a whole.  Tables hold rules,
 * whose match lives in the classifier and whose actions in a `struct program`.
 * Rules, groups, bridges, counters and frozen states are reference counted:
 * megaflows' credits keep what they count for alive after it is deleted.
 *
 * Threads.  Writers hold pipeline->mutex (the control thread, and later learn
 * ops of workers); translators only read, inside an epoch.  MAC tables have
 * their own lock. */
#ifndef PIPELINE_PRIVATE_H
#define PIPELINE_PRIVATE_H 1

#include "action/action.h"
#include "api.h"
#include "base/base.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/epoch.h"
#include "base/handle.h"
#include "base/hash.h"
#include "base/lock.h"
#include "classifier/classifier.h"
#include "generated/drops.h"
#include "generated/fields.h"
#include "generated/ops.h"
#include "generated/seam.h"
#include "packet/header.h"
#include "pipeline/pipeline.h"

#define N_TABLES 255
#define MAX_TRANSLATION_DEPTH 64
#define MAX_RESUBMITS (MAX_TRANSLATION_DEPTH * MAX_TRANSLATION_DEPTH)
#define STACK_MAX 65536
#define STACK_ENTRY 24          /* A value and how many bits it has. */

/* Reserved OpenFlow 1.0 ports, widened to 32 bits. */
#define RESERVED_UNSET 0xfff7
#define RESERVED_IN_PORT 0xfff8
#define RESERVED_TABLE 0xfff9
#define RESERVED_NORMAL 0xfffa
#define RESERVED_FLOOD 0xfffb
#define RESERVED_ALL 0xfffc
#define RESERVED_CONTROLLER 0xfffd
#define RESERVED_NONE 0xffff

#define ODP_NONE UINT32_MAX

/* Bits of bridge_port.config (OFPPC_* of OpenFlow 1.0). */
#define PORT_NO_RECV 0x04
#define PORT_NO_RECV_STP 0x08
#define PORT_NO_FLOOD 0x10
#define PORT_NO_FWD 0x20
#define PORT_NO_PACKET_IN 0x40

/* Reasons of packet-ins (numbers of OpenFlow 1.4). */
enum {
    REASON_NO_MATCH, REASON_ACTION, REASON_INVALID_TTL, REASON_ACTION_SET,
    REASON_GROUP, REASON_PACKET_OUT, REASON_EXPLICIT_MISS,
    REASON_IMPLICIT_MISS
};

struct counters {               /* Of a rule, bucket or patch port. */
    uint64_t n_packets, n_bytes;        /* Atomic. */
    int64_t used_ms;            /* Atomic. */
    uint32_t refs;              /* Atomic. */
    uint32_t pad;
};

struct counters *counters_new(int64_t now_ms);
int64_t counters_used(const struct counters *);
void counters_ref(struct counters *);
void counters_unref(struct counters *);
/* The same for somebody whose own readers are all gone. */
void counters_release(struct counters *);
void counters_add(struct counters *, uint64_t n_packets, uint64_t n_bytes,
                  int64_t used_ms);

/* Compiled ops and the opaque source they were made from.  Equal ones are one:
 * rules of which many do the same share them. */
struct program {
    uint32_t refs;              /* Atomic; guarded by its table's lock if 1. */
    uint32_t size;              /* Of the ops. */
    uint32_t source_size;
    uint32_t hash;
    struct program *next;       /* Of the same hash. */
    struct conjunction *conjunctions;
    uint32_t n_conjunctions;
    bool deletes_learned;       /* Has a learn op that cleans up. */
    uint64_t bytes[];           /* Ops, then the source. */
};

/* A reference to the program of these. */
struct program *program_get(const uint8_t *ops, uint32_t size,
                            const uint8_t *source, uint32_t source_size);
void program_ref(struct program *);
void program_unref(struct program *);
struct learn_args;
/* Finds learn ops with LEARN_DELETE_LEARNED, those inside other ops too, and
 * calls 'found'(args, aux) for each until that returns true. */
bool program_each_deleting(const struct program *,
                           bool (*found)(const struct learn_args *, void *),
                           void *aux);

static inline const struct op *
program_ops(const struct program *program)
{
    return (const struct op *) (const void *) program->bytes;
}

static inline const uint8_t *
program_source(const struct program *program)
{
    return (const uint8_t *) program->bytes + ROUND_UP(program->size, 8);
}

/* Iterates over the ops in 'SIZE' bytes at 'OPS'. */
#define OPS_FOR_EACH(OP, OPS, SIZE)                                     \
    for (const struct op *OP = (const void *) (OPS),                    \
         *OP##_end = (const void *) ((const char *) OP + (SIZE));       \
         OP < OP##_end;                                                 \
         OP = (const void *) ((const char *) OP + OP->size))

/* Returns the ops inside 'op', NULL: it holds none. */
static inline const void *
op_tail(const struct op *op)
{
    switch (op->code) {
    case OP_CLONE:
        return ((const struct op_clone *) op)->tail;
    case OP_WRITE_ACTIONS:
        return ((const struct op_write_actions *) op)->tail;
    case OP_CT:
        return ((const struct op_ct *) op)->tail;
    }
    return NULL;
}

static inline uint32_t
op_tail_size(const struct op *op, const void *tail)
{
    return (const char *) op + op->size - (const char *) tail;
}

typedef bool op_visitor(const struct op *, void *aux);

/* Calls 'visit' for each op, then for those inside it, until it returns true;
 * returns whether it did. */
static inline bool
ops_visit(const void *ops, uint32_t size, op_visitor *visit, void *aux)
{
    OPS_FOR_EACH (op, ops, size) {
        const void *tail = op_tail(op);
        if (visit(op, aux)
            || (tail && ops_visit(tail, op_tail_size(op, tail), visit, aux))) {
            return true;
        }
    }
    return false;
}

/* Tell whether ops output to 'port', use 'group' and meet 'meter', as far as
 * asked (0xffffffff, and meter 0: not), and how often they use group 'id'. */
bool ops_reach(const void *ops, uint32_t size, uint32_t port, uint32_t group,
               uint32_t meter);
unsigned ops_count_group(const void *ops, uint32_t size, uint32_t id);

/* Checks ops before they are loaded; 'nested' inside another op.  Returns 0 or
 * EINVAL/EOPNOTSUPP with a sentence. */
int program_verify(const uint8_t *ops, uint32_t size, bool nested);

struct rule {
    struct cls_rule cls;
    struct bridge *bridge;      /* A reference. */
    struct program *program;    /* A reference. */
    struct counters *counters;  /* A reference. */
    uint64_t cookie;
    union {
        struct {
            struct rule *next, *previous;   /* In the table's list, by age. */
            struct rule *next_due, *previous_due;   /* Rules with timeouts. */
        };
        struct epoch_node retired;          /* When it is in no list. */
    };
    bool has_timeout;           /* In that list. */
    bool dead;                  /* Removed in a committed version. */
    uint8_t table;
    uint8_t reason;             /* Of its removal. */
    uint16_t idle_timeout, hard_timeout, importance;
    uint32_t flags;
    uint32_t handle;
    uint32_t refs;              /* Atomic. */
    uint64_t tag;
    uint64_t number;            /* Of its creation; ascends in the list. */
    int64_t created_ms, modified_ms;
    uint64_t words[];           /* Of 'cls'. */
};

void rule_ref(struct rule *);
void rule_unref(struct rule *);
struct rule *rule_find(uint64_t handle);
/* Puts a new rule into its table from version 'added' on. */
struct rule *rule_insert(struct bridge *, uint8_t table_id, struct program *,
                         struct counters *, int32_t priority,
                         const struct cls_match *, uint64_t added);
/* Takes a rule out of what the control thread sees. */
void rule_unlist(struct pipeline *, struct rule *);
/* rule_unref() for somebody whose own readers are all gone. */
void rule_release(struct rule *);
/* Runs when no worker can look for the rule in an old version any more. */
void rule_unlink(void *retired);
/* Has expiry look at a rule, if it has a timeout. */
void rule_due_add(struct pipeline *, struct rule *);
/* Sends the record of a rule to the control thread's queue, with that of the
 * rule it replaced, if any. */
void rule_tell(const struct rule *, uint16_t kind, uint8_t reason,
               const struct rule *replaced);
/* Returns when the rule will be due if nothing uses it, and why. */
int64_t rule_deadline(const struct rule *, uint8_t *reason);

static inline bool
rule_reaches(const struct rule *rule, uint32_t port, uint32_t group,
             uint32_t meter)
{
    return ops_reach(rule->program->bytes, rule->program->size, port, group,
                     meter);
}

static inline bool
rule_has_cookie(const struct rule *rule, uint64_t cookie, uint64_t mask)
{
    return !((rule->cookie ^ cookie) & mask);
}

/* Lowers a rule's timeouts to so many seconds; 0: leaves them.  Any thread. */
void rule_shorten(struct pipeline *, struct rule *, uint16_t idle,
                  uint16_t hard);
/* Has expiry look at rules whose timeouts came down.  Control thread. */
void rules_follow_shortened(struct pipeline *);
/* Gives back what a bridge's tables hold; the pipeline's mutex is held. */
void bridge_rules_destroy(struct bridge *);

struct table {
    struct classifier *cls;     /* Atomic; NULL: never had a rule. */
    struct rule *first, *last;
    uint64_t n_matched, n_missed;       /* Atomic. */
    uint32_t n_rules;           /* Visible in the last version. */
    uint32_t n_staged;          /* Visible in the staged version. */
    uint32_t miss;              /* TABLE_MISS_*. */
    uint32_t max_flows;         /* 0xffffffff: no limit. */
    uint32_t flags;
    uint32_t n_prefixes;        /* 0xffffffff: default. */
    uint16_t prefixes[4];
    struct flow *eviction_mask; /* NULL: all rules are one group. */
    struct cleared *cleared;    /* What the staged version begins anew. */
};

/* Chooses the rule that makes room in a full table, NULL: none may go. */
struct rule *table_choose_victim(const struct table *, uint64_t version);

/* Begins a table in which no rule is left in staged 'version' anew; the rules
 * that go with it are given to 'release' when nobody looks for them. */
typedef void release_rule(struct rule *);
struct cleared *table_clear(struct table *, uint64_t version, release_rule *);
/* Takes a rule that is gone and in no list, if it goes with its table. */
bool cleared_take(struct rule *);
void cleared_committed(struct cleared *);
void cleared_aborted(struct cleared *);
/* Gives back, in pieces, the classifier of a table, which may be NULL, and the
 * rules in it, all of which are in 'first'. */
void table_destroy(struct table *, struct epoch_node *first, release_rule *);

/* The rules of a table one by one: see walk.c. */
struct walk_start {             /* Where a walk goes on. */
    uint64_t number;            /* The rule's; 0: from the first... */
    uint32_t place;             /* ...the place of its subtable... */
    uint32_t handle;            /* ...its handle... */
    struct rule *rule;          /* ...and what that is of now, or NULL. */
};

#define MAX_PLACE ((UINT64_C(1) << 24) - 1)     /* That a cursor can say. */

struct place;
struct walk {
    struct place *places;       /* NULL: by age. */
    uint32_t n, at;
    struct rule *next, *stop;
};

/* What is added during a walk is not met; what is removed stays in the table
 * until the version is committed. */
void walk_begin(struct walk *, const struct table *,
                const struct walk_start *);
struct rule *walk_next(struct walk *);
void walk_end(struct walk *);
/* The cursor of a dump that goes on with 'rule'. */
void walk_start_pack(uint64_t cursor[2], uint8_t table, const struct rule *);
struct walk_start walk_start_unpack(const uint64_t cursor[2], uint8_t *table);

struct group {
    struct group *_Atomic next; /* Same hash bucket; newest first. */
    struct bridge *bridge;      /* A reference. */
    uint32_t id;
    uint8_t type, method;
    uint32_t refs;              /* Atomic. */
    _Atomic uint64_t added, removed;    /* Versions. */
    int64_t created_ms;
    struct counters *counters;
    struct program *source;     /* Its source only. */
    uint32_t hash_algorithm, hash_basis;
    uint32_t hash_mask;         /* 0: no dp_hash. */
    uint16_t *hash_map;         /* Bucket index for each masked hash. */
    struct hash_field *fields;  /* Of method 2, or NULL. */
    uint32_t n_fields;
    uint64_t method_param;
    uint32_t n_buckets;
    struct group_bucket {
        uint32_t id, weight, watch_port, watch_group;
        struct program *program;
        struct counters *counters;
    } buckets[];
};

#define GROUP_HASH 256

struct conf_port {
    struct bridge_port config;
    struct conf_bundle *bundle; /* Or NULL. */
    struct counters *rx, *tx;   /* References. */
};

struct conf_bundle {
    struct bundle config;
    const uint32_t *members;    /* OpenFlow ports. */
    bool floodable;
    uint32_t mirrors_in, mirrors_out;   /* Bits of mirrors that select it. */
    bool mirror_target;         /* Reserved for mirroring. */
};

struct conf {                   /* Immutable once published. */
    struct bridge_config config;
    uint32_t n_ports, n_bundles, n_mirrors, n_members, n_mirror_bundles;
    struct conf_port *ports;
    struct conf_bundle *bundles;
    uint32_t *members;
    struct mirror *mirrors;
    uint32_t *mirror_bundles;
    uint32_t hash_mask;
    uint32_t *by_ofp;           /* Index + 1 into 'ports'. */
    uint32_t *flood_order;      /* Indexes into 'ports' as FLOOD goes. */
};

/* A copy of the 'N' elements of 'ARRAY', NULL if there are none. */
#define COPY_ARRAY(ARRAY, N) \
    ((N) ? xmemdup(ARRAY, (N) * sizeof *(ARRAY)) : NULL)

struct conf *conf_clone(const struct conf *);
void conf_link(struct conf *);
void conf_free(void *conf);
const struct conf_port *conf_port(const struct conf *, uint32_t ofp);
const struct conf_bundle *conf_bundle(const struct conf *, uint32_t id);

/* MAC table. */
struct mac {
    struct mac *next;           /* Same hash bucket. */
    struct mac *newer, *older;  /* By last use; static ones are in no list. */
    uint8_t address[6];
    uint16_t vlan;
    uint32_t bundle;            /* 0: none. */
    uint32_t ofp;               /* Of a static one. */
    bool is_static;
    int64_t used_ms;
    int64_t locked_until_ms;    /* For gratuitous ARP. */
    uint64_t place;             /* Ascends with the last use, or with when a
                                 * static one was added. */
};

struct mac_table {
    struct lock lock;
    uint32_t n_hash;            /* Buckets, a power of 2. */
    struct mac **hash;
    struct mac *oldest, *newest;
    uint64_t last_place;
    uint32_t n;
    struct mac_stats stats;
};

void mac_table_init(struct mac_table *);
void mac_table_destroy(struct mac_table *);
/* Forgets what was learned; with 'bundle' not 0, all that is on it. */
void mac_table_flush(struct mac_table *, uint32_t bundle);
/* Stores the bundle of a MAC; false: unknown. */
bool mac_lookup(struct mac_table *, const struct conf *, const uint8_t *mac,
                uint16_t vlan, int64_t now_ms, uint32_t *bundle,
                bool *grat_arp_locked);
/* Notes that 'mac' was seen; true: that is news.  'is_past': by a megaflow,
 * which tells late. */
bool mac_learn(struct mac_table *, const struct conf *, const uint8_t *mac,
               uint16_t vlan, uint32_t bundle, bool is_bond,
               bool gratuitous_arp, bool is_past, int64_t now_ms);
/* Forgets MACs that are too old or whose bundle is gone; returns how many. */
uint32_t mac_expire(struct mac_table *, const struct conf *, int64_t now_ms);
int64_t mac_deadline(struct mac_table *, const struct conf *);

struct meter_map {              /* Datapath meters of a bridge's meters. */
    uint32_t n;
    struct bridge_meter entries[];      /* In ascending order of 'ofp'. */
};

/* How a table has no rule for a packet. */
enum miss { MISS_NOTHING, MISS_PACKET_IN, MISS_FRAGMENT, N_MISSES };

struct bridge {
    uint32_t handle;
    uint32_t refs;              /* Atomic. */
    struct pipeline *pipeline;
    struct bridge *next;        /* Of the pipeline's list. */
    struct conf *_Atomic conf;  /* Epoch. */
    struct mac_table macs;
    struct table tables[N_TABLES];
    struct meter_map *_Atomic meters;   /* Epoch; or NULL. */
    struct group *_Atomic groups[GROUP_HASH];
    struct counters *unmatched[N_MISSES];
    uint32_t n_groups;
    bool watched;               /* Changes of rules are told. */
    bool dead;
};

static inline const struct conf *
bridge_conf(const struct bridge *bridge)
{
    return atomic_load_explicit(&((struct bridge *) bridge)->conf,
                                memory_order_acquire);
}

/* registry.c */
bool pipeline_register(struct pipeline *);
void pipeline_forget(struct pipeline *);
void bridge_register(struct bridge *);
void bridge_forget(struct bridge *);
struct bridge *bridge_find(uint32_t handle);

struct bridge *bridge_new(struct pipeline *, const struct bridge_config *);
void bridge_ref(struct bridge *);
void bridge_unref(struct bridge *);

#define METER_NONE UINT32_MAX
/* Returns the datapath's meter for OpenFlow's 'ofp', or METER_NONE. */
uint32_t bridge_meter(const struct bridge *, uint32_t ofp);

/* Which OpenFlow port a datapath port is. */
struct port_map {
    uint32_t hash_mask;
    struct port_map_entry {
        uint32_t odp;           /* ODP_NONE: free. */
        uint32_t ofp;
        struct bridge *bridge;
    } entries[];
};

#define FROZEN_HASH 1024

/* The rest of a translation, to go on when the frame comes back. */
struct frozen {
    struct frozen *next_hash, *next_id;
    uint32_t id;
    uint32_t refs;              /* Guarded by frozen_lock. */
    uint32_t hash;
    /* From here on: what makes two states equal. */
    uint32_t bridge;
    uint8_t table;
    bool conntracked;
    bool for_packet_in;         /* And so another than what resumes. */
    uint8_t pad[1];
    uint32_t in_port;           /* OpenFlow. */
    uint32_t mirrors;
    uint64_t cookie;            /* Of the rule that froze it. */
    uint64_t metadata;
    uint32_t regs[32];
    uint8_t tunnel[336];
    uint32_t stack_size, action_set_size, ops_size, userdata_size;
    uint8_t bytes[];            /* These three, padded to 8, and userdata. */
};

struct pipeline {
    uint32_t dp;
    uint64_t features;
    struct lock mutex;
    _Atomic uint64_t version, serial;
    uint64_t staged;            /* Version that is open, or 0. */
    struct staged_change *changes;      /* Of that version. */
    uint32_t n_changes, allocated_changes;
    uint64_t n_rules_made;
    struct bridge *bridges;
    struct port_map *_Atomic port_map;  /* Epoch. */
    struct rule *due, *last_due;        /* Rules with timeouts, by age. */
    int64_t next_expiry_ms;
    struct lock frozen_lock;
    struct frozen *frozen_by_hash[FROZEN_HASH];
    struct frozen *frozen_by_id[FROZEN_HASH];
    uint32_t next_recirc_id;
    uint64_t n_frozen;
    struct lock learn_lock;
    struct learned **learned;   /* What waits to become rules. */
    uint32_t n_learned;         /* Atomic; written under learn_lock. */
    uint32_t allocated_learned;
    struct learned *orphans;    /* Deletions that a commit brought about. */
    struct shortened *shortened;        /* Guarded by learn_lock. */
};

extern struct pipeline_hooks pipeline_hooks;

/* Returns the OpenFlow port of a datapath port, or false. */
bool pipeline_find_port(const struct pipeline *, uint32_t odp,
                        struct bridge **, uint32_t *ofp);

/* Returns a state equal to '*template' (with the bytes at 'bytes' and sizes
 * set), a new one if there is none; a reference. */
struct frozen *frozen_put(struct pipeline *, const struct frozen *template,
                          const uint8_t *bytes);
/* The same for a record that Python made; registers and so on come from
 * 'flow'. */
struct frozen *frozen_put_record(struct pipeline *,
                                 const struct frozen_record *,
                                 const struct flow *);
/* Finds a state; a reference. */
struct frozen *frozen_find(struct pipeline *, uint32_t id);
void frozen_unref(struct pipeline *, struct frozen *);
/* Moves what belongs to the pipeline between a flow and a state. */
void frozen_save(struct frozen *, const struct flow *);
void frozen_restore(const struct frozen *, struct flow *);

static inline uint32_t
frozen_bytes_size(const struct frozen *f)
{
    return ROUND_UP(f->stack_size, 8) + ROUND_UP(f->action_set_size, 8)
           + ROUND_UP(f->ops_size, 8) + f->userdata_size;
}

/* Flag of op_unroll. */
#define UNROLL_OWNER 1          /* Says only whose ops follow. */
#define SET_METADATA 1          /* A set_field that was write_metadata. */
#define SET_SILENT 2            /* ... mod_nw_tos or the like; no report. */

/* Groups. */
struct group *group_lookup(const struct bridge *, uint32_t id,
                           uint64_t version);
void group_ref(struct group *);
void group_unref(struct group *);
void group_link(struct group *, uint64_t added);
void bridge_groups_destroy(struct bridge *);

/* The open version's changes, so that it can be undone. */
enum change_kind {
    CHANGE_RULE, CHANGE_GROUP,
    CHANGE_CLEARING, CHANGE_CLEARED,    /* Around all that goes with it. */
};
struct staged_change {
    enum change_kind kind;
    bool is_addition;           /* Of a flow_mod that adds. */
    union {
        struct { struct rule *added, *removed; };
        struct { struct group *group_added, *group_removed; };
        struct cleared *cleared;        /* A table was begun anew. */
    };
};
struct staged_change *stage_change(struct pipeline *, enum change_kind);
/* Opens the pipeline's staged version (or finds it open). */
struct pipeline *pipeline_of_version(uint64_t version);
void changes_forget(struct pipeline *);
int version_publish(uint64_t version);
/* Stages 'n' changes of 'size' bytes in order by 'stage', up to the first that
 * fails, whose own effects are undone; each one's error goes to
 * 'error_offset'.  Returns 0 or EINVAL. */
typedef uint32_t stage_one(struct pipeline *, void *change,
                           const uint8_t *blob, uint32_t blob_size,
                           uint64_t version);
int changes_stage(uint64_t version, void *changes, uint32_t n, size_t size,
                  size_t error_offset, stage_one *, const uint8_t *blob,
                  uint32_t blob_size);
void groups_committed(struct staged_change *);
void groups_aborted(struct staged_change *);
/* Stages the removal of every rule of 'bridge' that outputs to 'group'. */
uint32_t rules_stage_group_deletion(struct pipeline *, struct bridge *,
                                    uint32_t group, uint64_t version);

/* Learning.  The bytes of a learn op, as compile.py packs them. */
enum { LEARN_MATCH = 0, LEARN_LOAD = 1, LEARN_OUTPUT = 2 };
enum { LEARN_SEND_FLOW_REM = 1, LEARN_DELETE_LEARNED = 2,
       LEARN_WRITE_RESULT = 4 };

struct learn_args {
    uint8_t table, pad;
    uint16_t priority, idle, hard, fin_idle, fin_hard, flags, n_specs;
    uint32_t limit, pad1;
    uint64_t cookie;
    struct subfield result;
};

struct learn_spec {
    uint16_t n_bits;
    uint16_t kind;              /* LEARN_MATCH and so on. */
    uint16_t from_field;        /* 'src' rather than 'value'. */
    uint16_t pad;
    struct subfield src, dst;
    uint8_t value[16];          /* Right adjusted. */
};

_Static_assert(sizeof(struct learn_args) == 40, "learn_args");
_Static_assert(sizeof(struct learn_spec) == 40, "learn_spec");

struct learned {                /* A rule to be made. */
    uint32_t refs;              /* Atomic. */
    uint32_t bridge;            /* Handle. */
    struct learned *next;       /* Of the orphans. */
    struct program *program;
    struct learn_args args;
    struct flow value, mask;
};

struct learned *learn_make(const struct op_learn *, const struct flow *,
                           uint32_t bridge);
void learned_ref(struct learned *);
void learned_unref(struct learned *);
/* Tells whether 'l' exists or may be made, as far as its limit goes. */
bool learn_has_room(struct pipeline *, struct bridge *,
                    const struct learned *l);
/* Puts 'l' into the list of what waits. */
void learn_later(struct pipeline *, struct learned *l);
uint64_t learn_apply(struct pipeline *);
/* Notes that 'rule' is gone; version_commit() looks what goes with it. */
void learn_forget(struct rule *);
void rules_stage_learned(struct pipeline *, struct bridge *,
                         const struct learned *, uint64_t version);
void rules_stage_removal(struct pipeline *, struct rule *, uint8_t reason,
                         uint64_t version);

/* Properties of an encap op, as compile.py packs them; the value of a TLV,
 * padded to 4, follows. */
enum { ENCAP_MD_TYPE = 1, ENCAP_TLV = 2 };
struct encap_property {
    uint16_t kind;              /* ENCAP_*. */
    uint16_t size;              /* With the value; MD_TYPE: the type. */
    uint16_t tlv_class;
    uint8_t tlv_type, tlv_size;
};

#endif /* private.h */
