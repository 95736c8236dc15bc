/* xlate.h: the state of one translation, shared by the files that make it up.
 *
 * Lowest first: report.c (what a trace shows), commit.c (flow changes -> set
 * actions), credit.c (whom packets count for), freeze.c (going on later),
 * lookup.c (tables), action_set.c, rewrite.c and encap.c (ops that call no
 * others); then those that call each other, since a rule may output to a patch
 * port or a group whose ops look up again: op.c (ops), output.c, normal.c
 * (NORMAL, mirrors), select.c (groups); on top translate.c, the whole.
 *
 * Included by src/translation only.  A context lives on the stack of the
 * thread that translates; nothing here is shared. */
#ifndef TRANSLATION_XLATE_H
#define TRANSLATION_XLATE_H 1

#include "pipeline/field.h"
#include "pipeline/header.h"
#include "pipeline/private.h"
#include "translation/trace.h"
#include "translation/translation.h"

/* Credits. */
enum credit_kind {
    CREDIT_RULE, CREDIT_MATCHED, CREDIT_MISSED, CREDIT_COUNTERS,
    CREDIT_MAC, CREDIT_FROZEN, CREDIT_FIN_TIMEOUT, CREDIT_GROUP,
    CREDIT_LEARN,
};

struct credit {
    uint8_t kind;
    uint8_t table;              /* Or: MAC flags. */
    uint16_t vlan;              /* MAC; fin_timeout: idle. */
    uint32_t bundle;            /* MAC; fin_timeout: hard. */
    void *object;               /* A reference. */
    uint8_t mac[8];
};

struct credits {
    uint32_t refs;              /* Atomic. */
    uint32_t n;
    struct pipeline *pipeline;
    struct credit entries[];
};

struct xlate {
    const struct xlate_in *in;
    struct xlate_out *out;
    struct pipeline *pipeline;
    struct bridge *bridge;
    const struct conf *conf;
    uint64_t version;

    struct flow flow;           /* As it is now. */
    struct flow base;           /* As the datapath actions left the frame. */
    struct flow first;          /* As it was at the beginning. */
    struct flow *wc;            /* Bits that mattered. */
    struct actions *actions;

    struct rule *rule;          /* Whose actions run, or NULL. */
    uint64_t rule_handle;       /* The same, for the trace. */
    uint64_t cookie;
    uint8_t table;
    unsigned depth, resubmits;
    uint32_t error;             /* DROP_*. */
    bool exit;
    bool in_group, in_action_set;
    bool was_mpls;              /* MPLS was popped: parse again first. */
    bool pending_encap;         /* A header was added since the commit. */
    bool pending_decap;         /* One was removed since. */
    uint32_t encap_size;        /* Of the metadata of an NSH header added. */
    uint8_t encap_data[248];
    bool conntracked;
    bool learned;               /* Something was learned on the way. */

    bool freezing;
    bool freeze_begun;          /* What is to be done again is decided. */
    bool hash_for_recirc;       /* Compute dp_hash on the way. */
    uint32_t hash_algorithm, hash_basis;
    const struct op_controller *pause;  /* Why it freezes, or NULL. */
    struct buffer frozen_ops;
    bool frozen_unroll;         /* Table and cookie are told in frozen_ops: */
    uint8_t frozen_table;
    uint64_t frozen_cookie;

    struct buffer stack;        /* Entries of 136 bytes. */
    struct buffer action_set;   /* Ops. */

    uint32_t mirrors;           /* Mirrors that already got the frame. */
    const struct bridge *first_bridge;
    bool last_is_last;          /* The list's last op is the very last. */
    uint64_t bucket_group;      /* For the trace: (bridge << 32 | group) + 1
                                 * and bucket, while a bucket runs. */
    uint64_t bucket_index;

    struct credit *credits;
    uint32_t n_credits, allocated_credits;
    struct credit credit_room[16];

    unsigned trace_depth;
    uint32_t source;            /* Of the op that runs. */
};

#define MASK_ALL(X, MEMBER) \
    memset(&(X)->wc->MEMBER, 0xff, sizeof (X)->wc->MEMBER)

/* report.c */
static inline bool
xlate_traced(const struct xlate *x)
{
    return UNLIKELY(x->in->trace != NULL);
}
void xlate_report(struct xlate *, enum trace_kind, uint64_t a, uint64_t b,
                  uint64_t c, uint64_t d);
/* Logs a report for a real packet. */
void xlate_complain(struct xlate *, enum trace_kind, uint64_t a, uint64_t b,
                    uint64_t c);
#define REPORT(X, KIND, A, B, C)                                        \
    do {                                                                \
        if (xlate_traced(X)) {                                          \
            xlate_report(X, KIND, A, B, C, 0);                          \
        } else if ((KIND) >= TRACE_FIRST_ERROR && (X)->in->learn) {     \
            xlate_complain(X, KIND, A, B, C);                           \
        }                                                               \
    } while (0)

/* Reports what a subfield is now. */
void xlate_report_subfield(struct xlate *, const struct subfield *);
/* Reports each op of a list as a member of the event before. */
void xlate_report_members(struct xlate *, const void *ops, uint32_t size);
/* What follows stems from the rule or bucket of the op. */
void xlate_follow_owner(struct xlate *, const struct op_unroll *);

/* credit.c */
struct credit *xlate_credit(struct xlate *, enum credit_kind, void *object);
void xlate_credit_rule(struct xlate *, struct rule *);
void xlate_credit_counters(struct xlate *, struct counters *);
void xlate_credit_table(struct xlate *, uint8_t table, bool matched);

/* freeze.c */
void xlate_freeze(struct xlate *);
/* Keeps the ops from 'op' to 'end' for when the frame comes back. */
void xlate_freeze_ops(struct xlate *, const struct op *op,
                      const struct op *end);
/* Ends with recirc() to go on in 'table'; returns its id, 0: no freezing. */
uint32_t xlate_finish_freezing(struct xlate *, uint8_t table);
/* Appends an op_unroll for the rule or bucket whose ops run. */
void xlate_put_unroll(struct xlate *, struct buffer *ops, uint16_t flags);
/* Sends the frame to controllers; 'meter' 0: the op names none. */
void xlate_packet_in(struct xlate *, uint32_t max_len, unsigned reason,
                     uint16_t controller_id, uint32_t meter,
                     const void *userdata, uint32_t userdata_size);
/* Brings back a state and the ops to go on with; false: it cannot be. */
bool xlate_thaw(struct xlate *, const struct frozen *, const struct op **ops,
                uint32_t *ops_size);

/* lookup.c */
bool xlate_may_resubmit(struct xlate *);
/* Looks the flow up in table '*table' (and those after it where its miss
 * configuration says so). */
struct rule *xlate_lookup(struct xlate *, uint8_t *table, uint32_t in_port,
                          bool may_packet_in, bool honor_miss,
                          enum miss *miss);
void xlate_report_table(struct xlate *, const struct rule *, uint8_t table,
                        enum miss miss);

/* action_set.c */
bool op_is_output_to_controllers(const struct op *);
/* Puts the ops of an action set into 'list' in the order that OpenFlow
 * prescribes; empty where nothing says where the frame goes. */
void action_set_sort(struct buffer *list, const void *ops, uint32_t size);
void xlate_report_action_set(struct xlate *, enum trace_kind kind,
                             enum trace_kind empty);
void xlate_write_actions(struct xlate *, const struct op *tail,
                         uint32_t size);

/* rewrite.c: returns true where the frame's life ends for this table. */
void xlate_set_field(struct xlate *, const struct op_set_field *);
void xlate_move(struct xlate *, const struct op_move *);
void xlate_push(struct xlate *, const struct op_push *);
void xlate_pop(struct xlate *, const struct op_pop *);
void xlate_set_vlan(struct xlate *, unsigned shift, unsigned width,
                    unsigned value, bool may_push);
void xlate_push_vlan(struct xlate *, const struct op_push_vlan *);
bool xlate_dec_ttl(struct xlate *, const struct op_dec_ttl *);
bool xlate_dec_mpls_ttl(struct xlate *);
bool xlate_dec_nsh_ttl(struct xlate *);

/* encap.c */
void xlate_push_mpls(struct xlate *, const struct op_push_mpls *);
void xlate_pop_mpls(struct xlate *, const struct op_pop_mpls *);
void xlate_encap(struct xlate *, const struct op_encap *);
void xlate_decap(struct xlate *, const struct op_decap *);

/* output.c */
/* Outputs to an OpenFlow port; 'truncate' 0: all bytes. */
void xlate_output(struct xlate *, uint32_t ofp, uint32_t truncate,
                  bool last);
/* The same to any port, reserved ones too. */
void xlate_output_action(struct xlate *, uint32_t port, uint32_t max_len,
                         bool may_packet_in, bool last);
void xlate_output_trunc(struct xlate *, const struct op_output_trunc *,
                        bool last);

static inline bool
may_receive(const struct conf_port *port)
{
    return !(port->config.config & PORT_NO_RECV);
}

/* normal.c */
void xlate_normal(struct xlate *);
void xlate_mirror(struct xlate *, const struct conf_bundle *,
                  uint32_t mirrors);

/* select.c */
void xlate_group(struct xlate *, uint32_t id);
void xlate_multipath(struct xlate *, const struct op_multipath *);
/* Returns the member chosen, RESERVED_NONE if none is live. */
uint32_t xlate_bundle(struct xlate *, const struct op_bundle *);

/* op.c */
/* Runs ops; 'in_group' as a group's bucket. */
void xlate_ops(struct xlate *, const void *ops, uint32_t size,
               bool in_group);
/* Looks the flow up, as if it came in at 'in_port', and runs what is found;
 * false: it may not. */
bool xlate_table(struct xlate *, uint32_t in_port, uint8_t table,
                 bool may_packet_in, bool honor_miss, bool clone, bool last);
/* Runs what a lookup found. */
void xlate_rule(struct xlate *, struct rule *, enum miss, bool clone,
                bool last);
/* Runs a set of actions in the order that OpenFlow prescribes. */
void xlate_action_set(struct xlate *, const void *ops, uint32_t size,
                      bool in_group);
/* Gives the context a stack and action set of its own for a while. */
struct saved_buffers {
    struct buffer stack, action_set;
};
void xlate_buffers_save(struct xlate *, struct saved_buffers *, bool copy);
void xlate_buffers_restore(struct xlate *, struct saved_buffers *);

/* commit.c */
void xlate_commit(struct xlate *);

#endif /* xlate.h */
