/* classifier.h: one OpenFlow table's rules, found by packet.
 *
 * What.  Rules have a match (value, mask over struct flow), a priority and an
 * interval of versions in which they exist.  A lookup returns the rule of
 * highest priority that matches a flow in a version, and adds to a mask every
 * bit of the flow that the answer depended on.
 *
 * Why.  The mask is an interface: it becomes the megaflow that users see and
 * scripts compare.  It is bit for bit that of Open vSwitch, so the order in
 * which things are looked at is part of the contract:
 *
 *   - Rules with the same mask form a subtable, a hash table keyed by the
 *     masked fields.  Subtables are tried in descending order of the highest
 *     priority in them, until none left can beat the match found.
 *   - Each subtable is searched in stages (metadata, L2, L3, L4: the field
 *     table's), each with an index of its own; a miss in one un-wildcards only
 *     the fields of the stages looked at.
 *   - Address prefixes (the table's 'prefixes') have tries.  Before a stage
 *     that has such a field, the trie may say that no rule has a prefix of
 *     this length for the address; then only the bits that the trie looked at
 *     are un-wildcarded.
 *   - A subtable whose last stage has ports keeps a trie of them for the same
 *     use when only the last stage fails.
 *   - Rules with conjunctions are 'soft' matches: they count only when all
 *     clauses of a conjunction matched at one priority and a rule with its
 *     conj_id exists.
 *
 * How.  Subtables are listed in an immutable array, which a batch of changes
 * replaces once; hash tables are open
 * addressed, replaced when they fill.  Rules of one match hang in a list of
 * descending priority.
 *
 * Threads.  classifier_lookup(): any thread inside an epoch.  All else holds
 * the pipeline mutex.  The owner of rules retires them after removal. */
#ifndef CLASSIFIER_CLASSIFIER_H
#define CLASSIFIER_CLASSIFIER_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "generated/flow.h"

#define VERSION_NEVER UINT64_MAX
#define CLS_WORDS FLOW_WORDS
#define CLS_MAX_TRIES 4

#define CLS_STAGES FLOW_N_STAGES

struct subtable;

/* A mask without its zero words. */
struct minimask {
    uint8_t n;                          /* Words. */
    uint8_t ends[CLS_STAGES];           /* First word index past each stage. */
    uint8_t index[CLS_WORDS];           /* Position in struct flow. */
    uint64_t bits[CLS_WORDS];
};

/* A match as rules have it: made once, then looked for and inserted. */
struct cls_match {
    const struct flow *value, *mask;    /* The user's. */
    uint32_t mask_hash, hash;           /* Of the mask; of the words. */
    uint64_t words[CLS_WORDS];          /* The value's, masked. */
    struct minimask mini;
};

void cls_match_init(struct cls_match *, const struct flow *value,
                    const struct flow *mask);

/* One clause that a rule satisfies. */
struct conjunction {
    uint32_t id;
    uint8_t clause;             /* From 0. */
    uint8_t n_clauses;
};

struct cls_rule {
    struct subtable *subtable;          /* NULL: in no classifier. */
    struct cls_rule *_Atomic next;      /* Same match, not above 'priority'. */
    uint64_t *value;                    /* Masked words of the subtable:
                                         * room for as many as the match. */
    const struct conjunction *conjunctions;     /* Owner: the user. */
    uint32_t n_conjunctions;
    int32_t priority;
    _Atomic uint64_t added;             /* First version that has it. */
    _Atomic uint64_t removed;           /* First version that lacks it. */
    uint32_t hash;                      /* Of all words. */
};

struct classifier;

struct classifier *classifier_new(void);
/* Retires a classifier without rules. */
void classifier_retire(struct classifier *);

/* Returns a classifier without rules, but with the same prefixes, that takes
 * the place of 'older' from version 'since' on: those who look in earlier
 * versions are sent on to it. */
struct classifier *classifier_succeed(struct classifier *older,
                                      uint64_t since);
struct classifier *classifier_older(const struct classifier *);
/* Nobody is in a version before its own any more. */
void classifier_forget_older(struct classifier *);

/* Frees some of a classifier in which nobody looks any more, without a look at
 * its rules: these are the user's.  Takes the number of pieces from '*max',
 * which does not get below 0; true: all of it. */
bool classifier_dismantle(struct classifier *, uint32_t *max);

/* Chooses the fields that have tries, by FIELD_* id; EINVAL if one cannot. */
int classifier_set_prefixes(struct classifier *, const uint16_t *fields,
                            unsigned n);

/* Inserts a rule whose 'priority', conjunctions and room for its value are
 * set.  It is visible from version 'added' on. */
void classifier_insert(struct classifier *, struct cls_rule *,
                       const struct cls_match *, uint64_t added);

/* Unlinks a rule that is visible in no version any more; the caller retires
 * it. */
void classifier_remove(struct cls_rule *);
/* The classifier that a rule is in. */
struct classifier *classifier_of(const struct cls_rule *);

static inline bool
cls_rule_visible(const struct cls_rule *rule, uint64_t version)
{
    return atomic_load_explicit((_Atomic uint64_t *) &rule->added,
                                memory_order_relaxed) <= version
           && version < atomic_load_explicit(
               (_Atomic uint64_t *) &rule->removed, memory_order_relaxed);
}

/* Puts subtables whose highest priority has changed where they belong: before
 * rules that were inserted become visible, and some time after removals. */
void classifier_settle(struct classifier *);
void classifiers_settle(void);

/* Where the rules with a rule's mask stand among those with other masks: they
 * are asked in ascending order of this. */
uint64_t cls_rule_place(const struct cls_rule *);

/* Returns the best rule for 'flow' in 'version', or NULL.  'wc' NULL: nobody
 * asks what it depended on.  'flow->conj_id' is changed for the time of the
 * call when conjunctions match. */
struct cls_rule *classifier_lookup(const struct classifier *, uint64_t version,
                                   struct flow *flow, struct flow *wc);

/* Returns the rule with exactly this match and priority, or NULL. */
struct cls_rule *classifier_find(const struct classifier *,
                                 const struct cls_match *, int32_t priority,
                                 uint64_t version);

/* Returns a rule of 'priority' that some flow of the match can match as well,
 * or NULL. */
struct cls_rule *classifier_overlaps(const struct classifier *,
                                     const struct cls_match *,
                                     int32_t priority, uint64_t version);

/* Tells which rules match at least what 'value' and 'mask' ask for: the test
 * of a non-strict flow_mod. */
struct cls_filter {
    unsigned n;
    uint8_t index[CLS_WORDS];           /* Of words that are asked for. */
    uint64_t value[CLS_WORDS], mask[CLS_WORDS];
};

void cls_filter_init(struct cls_filter *, const struct flow *value,
                     const struct flow *mask);
bool cls_filter_has(const struct cls_filter *, const struct cls_rule *);

static inline bool
cls_filter_passes(const struct cls_filter *filter, const struct cls_rule *rule)
{
    return !filter->n || cls_filter_has(filter, rule);
}

/* Writes the match of a rule in full. */
void cls_rule_expand(const struct cls_rule *, struct flow *value,
                     struct flow *mask);

/* Tells whether the rule matches everything. */
bool cls_rule_is_catchall(const struct cls_rule *);

#endif /* classifier.h */
