/* classifier.c: see classifier.h. */
#include "classifier/classifier.h"

#include "base/base.h"
#include "base/epoch.h"
#include "classifier/priorities.h"
#include "classifier/trie.h"
#include "generated/fields.h"
#include "packet/header.h"

#define N_STAGES CLS_STAGES
#define N_INDICES (N_STAGES - 1)

/* Ends of the stages, in words of struct flow. */
static const uint8_t stage_ends[N_STAGES] = {
    FLOW_END_METADATA, FLOW_END_L2, FLOW_END_L3, FLOW_END_L4,
};

/* Fields that may have tries. */
static const struct prefix_field {
    uint16_t field;
    uint16_t offset;            /* In struct flow. */
    uint16_t n_bits;
    uint16_t eth_type;          /* That the field needs, 0: none. */
} prefix_fields[] = {
    { FIELD_IP_DST, offsetof(struct flow, nw_dst), 32, ETH_TYPE_IPV4 },
    { FIELD_IP_SRC, offsetof(struct flow, nw_src), 32, ETH_TYPE_IPV4 },
    { FIELD_IPV6_DST, offsetof(struct flow, ipv6_dst), 128, ETH_TYPE_IPV6 },
    { FIELD_IPV6_SRC, offsetof(struct flow, ipv6_src), 128, ETH_TYPE_IPV6 },
    { FIELD_TUN_ID, offsetof(struct flow, tun_id), 64, 0 },
    { FIELD_TUN_SRC, offsetof(struct flow, tun_src), 32, 0 },
    { FIELD_TUN_DST, offsetof(struct flow, tun_dst), 32, 0 },
    { FIELD_TUN_IPV6_SRC, offsetof(struct flow, tun_ipv6_src), 128, 0 },
    { FIELD_TUN_IPV6_DST, offsetof(struct flow, tun_ipv6_dst), 128, 0 },
};
#define N_PREFIX_FIELDS (sizeof prefix_fields / sizeof *prefix_fields)

/* Open-addressed set of hashes with counts: (hash << 32 | count + 1), 0 for a
 * slot never used. */
struct index {
    uint32_t capacity;                  /* A power of 2. */
    uint32_t n_used;                    /* Slots not 0. */
    _Atomic uint64_t slots[];
};

struct rule_slot {
    struct cls_rule *_Atomic head;      /* NULL: never used. */
    _Atomic uint32_t hash;
};

struct rule_table {
    uint32_t capacity;
    uint32_t n_used;                    /* Slots not NULL. */
    struct rule_slot slots[];
};

static struct cls_rule tombstone;       /* A slot that was used. */

/* Subtables whose masks are the same but for the last part.  Whatever of a
 * flow makes one of them fail before that part makes those fail that have not
 * been asked, if none of them has the flow's value there; and what they would
 * have un-wildcarded is what the first has.  So the others need no look. */
struct group {
    struct group *next;                 /* Of the same hash; for writers. */
    struct minimask mask;               /* Only of what is the same. */
    uint32_t hash;
    uint32_t number;                    /* From 1; 0: it has none. */
    uint32_t n_subtables;
    struct index *_Atomic index;        /* Epoch; of all their rules. */
};

#define MAX_GROUPS 1024                 /* With numbers, of a classifier. */

struct subtable {
    struct classifier *classifier;
    struct minimask mask;
    uint32_t mask_hash;
    struct group *group;                /* NULL: there is but one part. */
    struct subtable *_Atomic next;      /* Of the same hash. */
    /* For writers: */
    uint64_t stamp;                     /* When it was new. */
    uint32_t place;                     /* In the list; UINT32_MAX: in none. */
    uint32_t moved_at;                  /* In classifier.moved... */
    bool moved;                         /* ...or without rules. */
    uint8_t n_indices;
    uint8_t parts[N_STAGES + 1];        /* Words of mask before each part. */
    uint8_t prefix_lengths[N_PREFIX_FIELDS];    /* 0: not a prefix. */
    uint8_t ports_length;               /* Bits of ports in the trie. */
    uint32_t ports_mask;                /* Host order, source above. */
    struct trie ports;
    struct index *_Atomic indices[N_INDICES];   /* Epoch. */
    struct rule_table *_Atomic rules;   /* Epoch. */
    int32_t max_priority;
    struct priorities priorities;       /* Of all rules; for writers. */
    uint32_t n_rules;
};

struct subtable_list {
    uint32_t n;
    struct {
        _Atomic int32_t priority;
        uint32_t group;                 /* Its number. */
        struct subtable *subtable;
    } entries[];
};

struct chains {
    uint32_t n;
    struct subtable *_Atomic heads[];
};

struct trie_set {
    unsigned n;
    struct {
        uint8_t field;                  /* Index into prefix_fields[]. */
        struct trie trie;
    } tries[CLS_MAX_TRIES];
};

struct classifier {
    uint64_t since;                     /* Version from which on it holds... */
    struct classifier *_Atomic older;   /* ...and what does before, or NULL. */
    struct subtable_list *_Atomic subtables;    /* Epoch; by priority. */
    struct trie_set *_Atomic tries;             /* Epoch. */
    uint32_t n_rules;
    struct chains *_Atomic chains;      /* Epoch; by masks' hashes. */
    uint32_t n_subtables;
    /* For writers: */
    /* Those that the list does not have in their places. */
    struct subtable **moved;
    uint32_t n_moved, allocated_moved;
    uint64_t last_stamp;
    struct classifier *next_unsettled;
    struct group **groups;              /* Chains by hash... */
    uint32_t n_groups, n_group_chains;  /* ...a power of 2 of them. */
    uint64_t free_numbers[MAX_GROUPS / 64];
    uint32_t n_dismantled;              /* Chains without subtables again. */
};

#define LOAD(P) atomic_load_explicit(&(P), memory_order_acquire)
#define STORE(P, V) atomic_store_explicit(&(P), V, memory_order_release)

static inline uint64_t
mix_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return hash ^ hash >> 29;
}

static inline uint32_t
mix_finish(uint64_t hash)
{
    hash *= 0xbf58476d1ce4e5b9ULL;
    return hash >> 32;
}

static inline const word64 *
flow_words(const struct flow *flow)
{
    return (const word64 *) flow;
}

static void
minimask_init(struct minimask *mini, const struct flow *mask)
{
    const word64 *words = flow_words(mask);
    unsigned stage = 0;

    mini->n = 0;
    for (unsigned i = 0; i < CLS_WORDS; i++) {
        while (i == stage_ends[stage]) {
            mini->ends[stage++] = mini->n;
        }
        if (words[i]) {
            mini->index[mini->n] = i;
            mini->bits[mini->n++] = words[i];
        }
    }
    while (stage < N_STAGES) {
        mini->ends[stage++] = mini->n;
    }
}

static uint32_t
minimask_hash(const struct minimask *mini)
{
    uint64_t hash = 0;

    for (unsigned i = 0; i < mini->n; i++) {
        hash = mix_word(hash, mini->index[i]);
        hash = mix_word(hash, mini->bits[i]);
    }
    return mix_finish(hash);
}

static uint32_t
hash_words(const uint64_t *value, unsigned n)
{
    uint64_t hash = 0;

    for (unsigned i = 0; i < n; i++) {
        hash = mix_word(hash, value[i]);
    }
    return mix_finish(hash);
}

void
cls_match_init(struct cls_match *match, const struct flow *value,
               const struct flow *mask)
{
    struct minimask *mini = &match->mini;

    match->value = value;
    match->mask = mask;
    minimask_init(mini, mask);
    match->mask_hash = minimask_hash(mini);
    for (unsigned i = 0; i < mini->n; i++) {
        match->words[i] = flow_words(value)[mini->index[i]] & mini->bits[i];
    }
    match->hash = hash_words(match->words, mini->n);
}

static bool
minimask_equal(const struct minimask *a, const struct minimask *b)
{
    return a->n == b->n && !memcmp(a->index, b->index, a->n)
           && !memcmp(a->bits, b->bits, a->n * sizeof *a->bits);
}

/* Returns the length of the prefix in the 'n_bits' at 'mask', 0 if the bits
 * are not a prefix. */
static unsigned
prefix_length(const uint8_t *mask, unsigned n_bits)
{
    unsigned length = 0;

    while (length < n_bits && mask[length / 8] >> (7 - length % 8) & 1) {
        length++;
    }
    for (unsigned i = length; i < n_bits; i++) {
        if (mask[i / 8] >> (7 - i % 8) & 1) {
            return 0;
        }
    }
    return length;
}

/* Index of hashes. */

static struct index *
index_new(uint32_t capacity)
{
    struct index *index = xzalloc(sizeof *index
                                  + capacity * sizeof *index->slots);
    index->capacity = capacity;
    return index;
}

static bool
index_has(const struct index *index, uint32_t hash)
{
    uint32_t mask = index->capacity - 1;

    for (uint32_t i = hash & mask; ; i = (i + 1) & mask) {
        uint64_t slot = atomic_load_explicit(
            (_Atomic uint64_t *) &index->slots[i], memory_order_acquire);
        if (!slot) {
            return false;
        }
        if (slot >> 32 == hash) {
            return (uint32_t) slot > 1;
        }
    }
}

/* Adds 'delta' to the count of 'hash' and returns the index, a new one if the
 * old became too full (then the old one is retired by the caller). */
static struct index *
index_add(struct index *index, uint32_t hash, int delta)
{
    uint32_t mask = index->capacity - 1;

    for (uint32_t i = hash & mask; ; i = (i + 1) & mask) {
        uint64_t slot = atomic_load_explicit(&index->slots[i],
                                             memory_order_relaxed);
        if (!slot) {
            slot = (uint64_t) hash << 32 | 1;
            index->n_used++;
        }
        if (slot >> 32 == hash) {
            STORE(index->slots[i], slot + delta);
            break;
        }
    }
    if (index->n_used * 2 <= index->capacity) {
        return index;
    }
    uint32_t live = 0;
    for (uint32_t i = 0; i < index->capacity; i++) {
        live += (uint32_t) atomic_load(&index->slots[i]) > 1;
    }
    uint32_t capacity = 8;
    while (capacity < live * 4) {
        capacity *= 2;
    }
    struct index *bigger = index_new(capacity);
    for (uint32_t i = 0; i < index->capacity; i++) {
        uint64_t slot = atomic_load(&index->slots[i]);
        if ((uint32_t) slot > 1) {
            uint32_t j = slot >> 32 & (capacity - 1);
            while (atomic_load(&bigger->slots[j])) {
                j = (j + 1) & (capacity - 1);
            }
            atomic_init(&bigger->slots[j], slot);
            bigger->n_used++;
        }
    }
    return bigger;
}

/* Rules of a subtable. */

static struct rule_table *
rule_table_new(uint32_t capacity)
{
    struct rule_table *table = xcalloc(1, sizeof *table
                                       + capacity * sizeof *table->slots);
    table->capacity = capacity;
    return table;
}

static bool
rule_has_value(const struct cls_rule *rule, const uint64_t *value, unsigned n)
{
    return !memcmp(rule->value, value, n * sizeof *value);
}

/* Returns the slot of the rules with 'value', or NULL. */
static struct rule_slot *
rule_table_find(struct rule_table *table, uint32_t hash,
                const uint64_t *value, unsigned n)
{
    uint32_t mask = table->capacity - 1;

    for (uint32_t i = hash & mask; ; i = (i + 1) & mask) {
        struct rule_slot *slot = &table->slots[i];
        struct cls_rule *head = LOAD(slot->head);
        if (!head) {
            return NULL;
        }
        if (head != &tombstone
            && atomic_load_explicit(&slot->hash, memory_order_relaxed) == hash
            && rule_has_value(head, value, n)) {
            return slot;
        }
    }
}

static void
rule_table_put(struct rule_table *table, uint32_t hash, struct cls_rule *head)
{
    uint32_t mask = table->capacity - 1;
    uint32_t i = hash & mask;

    while (LOAD(table->slots[i].head)) {
        i = (i + 1) & mask;
    }
    atomic_store_explicit(&table->slots[i].hash, hash, memory_order_relaxed);
    STORE(table->slots[i].head, head);  /* Pairs with rule_table_find(). */
    table->n_used++;
}

/* Subtables. */

static struct subtable *
subtable_new(const struct minimask *mini, uint32_t hash,
             const struct flow *mask)
{
    struct subtable *subtable = xcalloc(1, sizeof *subtable);
    unsigned before = 0;

    subtable->mask = *mini;
    subtable->mask_hash = hash;
    subtable->place = UINT32_MAX;

    /* One index per stage but the last that has bits; the last part is what
     * the hash table itself decides. */
    for (unsigned i = 0; i < N_INDICES; i++) {
        if (mini->ends[i] > before) {
            before = mini->ends[i];
            subtable->parts[++subtable->n_indices] = before;
        }
    }
    if (subtable->n_indices && mini->n == before) {
        subtable->n_indices--;
    }
    subtable->parts[subtable->n_indices + 1] = mini->n;
    for (unsigned i = 0; i < subtable->n_indices; i++) {
        atomic_init(&subtable->indices[i], index_new(8));
    }
    for (unsigned i = 0; i < N_PREFIX_FIELDS; i++) {
        subtable->prefix_lengths[i]
            = prefix_length((const uint8_t *) mask + prefix_fields[i].offset,
                            prefix_fields[i].n_bits);
    }
    subtable->ports_mask = (uint32_t) be16_to(mask->tp_src) << 16
                           | be16_to(mask->tp_dst);
    subtable->ports_length = subtable->ports_mask
                             ? 32 - __builtin_ctz(subtable->ports_mask) : 0;
    atomic_init(&subtable->rules, rule_table_new(8));
    subtable->max_priority = INT32_MIN;
    return subtable;
}

static void
subtable_free(void *subtable_)
{
    struct subtable *subtable = subtable_;

    for (unsigned i = 0; i < subtable->n_indices; i++) {
        free(atomic_load(&subtable->indices[i]));
    }
    free(atomic_load(&subtable->rules));
    priorities_free(&subtable->priorities);
    free(subtable);
}

/* Groups. */

static struct group **
find_group(struct classifier *cls, const struct minimask *mask, uint32_t hash)
{
    struct group **link = &cls->groups[hash & (cls->n_group_chains - 1)];

    while (*link && ((*link)->hash != hash
                     || !minimask_equal(&(*link)->mask, mask))) {
        link = &(*link)->next;
    }
    return link;
}

/* Has no fewer chains than groups. */
static void
grow_groups(struct classifier *cls)
{
    uint32_t n = MAX(16, 2 * cls->n_group_chains);
    struct group **bigger = xcalloc(n, sizeof *bigger);

    for (uint32_t i = 0; i < cls->n_group_chains; i++) {
        for (struct group *g = cls->groups[i], *next; g; g = next) {
            next = g->next;
            g->next = bigger[g->hash & (n - 1)];
            bigger[g->hash & (n - 1)] = g;
        }
    }
    free(cls->groups);
    cls->groups = bigger;
    cls->n_group_chains = n;
}

static uint32_t
take_number(struct classifier *cls)
{
    for (uint32_t i = 0; i < N_ELEMENTS(cls->free_numbers); i++) {
        if (cls->free_numbers[i]) {
            uint32_t bit = __builtin_ctzll(cls->free_numbers[i]);
            cls->free_numbers[i] &= cls->free_numbers[i] - 1;
            return i * 64 + bit;
        }
    }
    return 0;
}

/* Finds or makes the group of a new subtable. */
static void
join_group(struct classifier *cls, struct subtable *subtable)
{
    struct minimask mask = subtable->mask;

    if (!subtable->n_indices) {
        return;
    }
    if (cls->n_groups >= cls->n_group_chains) {
        grow_groups(cls);
    }
    mask.n = subtable->parts[subtable->n_indices];
    uint32_t hash = minimask_hash(&mask);
    struct group **link = find_group(cls, &mask, hash), *group = *link;
    if (!group) {
        group = xcalloc(1, sizeof *group);
        group->mask = mask;
        group->hash = hash;
        group->number = take_number(cls);
        atomic_init(&group->index, index_new(8));
        *link = group;
        cls->n_groups++;
    }
    group->n_subtables++;
    subtable->group = group;
}

static void
group_free(void *group_)
{
    struct group *group = group_;

    free(atomic_load(&group->index));
    free(group);
}

static void
leave_group(struct classifier *cls, struct subtable *subtable)
{
    struct group *group = subtable->group;

    if (group && !--group->n_subtables) {
        *find_group(cls, &group->mask, group->hash) = group->next;
        cls->n_groups--;
        if (group->number) {
            cls->free_numbers[group->number / 64]
                |= UINT64_C(1) << group->number % 64;
        }
        epoch_retire(group, group_free);
    }
}

static struct subtable *
find_subtable(const struct classifier *cls, const struct minimask *mini,
              uint32_t hash)
{
    struct chains *chains = LOAD(((struct classifier *) cls)->chains);
    struct subtable *subtable = LOAD(chains->heads[hash & (chains->n - 1)]);

    while (subtable && (subtable->mask_hash != hash
                        || !minimask_equal(&subtable->mask, mini))) {
        subtable = LOAD(subtable->next);
    }
    return subtable;
}

static struct chains *
chains_new(uint32_t n)
{
    struct chains *chains = xcalloc(1, sizeof *chains
                                       + n * sizeof *chains->heads);

    chains->n = n;
    return chains;
}

static void
index_subtable(struct classifier *cls, struct subtable *subtable)
{
    struct chains *chains = LOAD(cls->chains);

    if (cls->n_subtables >= chains->n) {
        struct chains *old = chains;
        chains = chains_new(2 * old->n);
        for (uint32_t i = 0; i < old->n; i++) {
            for (struct subtable *s = LOAD(old->heads[i]), *next; s;
                 s = next) {
                next = LOAD(s->next);
                struct subtable *_Atomic *head
                    = &chains->heads[s->mask_hash & (chains->n - 1)];
                STORE(s->next, LOAD(*head));
                STORE(*head, s);
            }
        }
        STORE(cls->chains, chains);
        epoch_retire(old, free);
    }
    struct subtable *_Atomic *head
        = &chains->heads[subtable->mask_hash & (chains->n - 1)];
    STORE(subtable->next, LOAD(*head));
    STORE(*head, subtable);
    cls->n_subtables++;
}

static void
unindex_subtable(struct classifier *cls, struct subtable *subtable)
{
    struct chains *chains = LOAD(cls->chains);
    struct subtable *_Atomic *link
        = &chains->heads[subtable->mask_hash & (chains->n - 1)];

    while (LOAD(*link) != subtable) {
        link = &LOAD(*link)->next;
    }
    STORE(*link, LOAD(subtable->next));
    cls->n_subtables--;
}

static int32_t
entry_priority(const struct subtable_list *list, uint32_t i)
{
    return atomic_load_explicit(
        (_Atomic int32_t *) &list->entries[i].priority, memory_order_relaxed);
}

static void
list_put(struct subtable_list *list, struct subtable *subtable)
{
    atomic_init(&list->entries[list->n].priority, subtable->max_priority);
    list->entries[list->n].group = subtable->group ? subtable->group->number
                                                   : 0;
    list->entries[list->n].subtable = subtable;
    subtable->place = list->n++;
}

/* Whether 'changed', which is in the list, is where it belongs. */
static bool
is_in_place(const struct subtable_list *list, const struct subtable *changed)
{
    uint32_t i = changed->place;

    return (!i || entry_priority(list, i - 1) >= changed->max_priority)
           && (i + 1 == list->n
               || entry_priority(list, i + 1) <= changed->max_priority);
}

static struct classifier *unsettled;    /* Those whose lists are old. */

/* Has classifier_settle() put 'moved' where it belongs, or, NULL, leave out
 * what has no rules. */
static void
note_move(struct classifier *cls, struct subtable *moved)
{
    if (!cls->n_moved) {
        cls->next_unsettled = unsettled;
        unsettled = cls;
    }
    if (cls->n_moved == cls->allocated_moved) {
        cls->allocated_moved = MAX(16, 2 * cls->allocated_moved);
        cls->moved = xrealloc(cls->moved,
                              cls->allocated_moved * sizeof *cls->moved);
    }
    if (moved) {
        moved->moved_at = cls->n_moved;
    }
    cls->moved[cls->n_moved++] = moved;
}

/* Notes that 'changed' has another highest priority: of those that have the
 * same the list keeps the order, and a new one comes behind them. */
static void
move_subtable(struct classifier *cls, struct subtable *changed)
{
    struct subtable_list *list = LOAD(cls->subtables);

    if (changed->moved) {
        return;
    }
    if (changed->place == UINT32_MAX) {
        changed->stamp = ++cls->last_stamp;
    }
    if (changed->place != UINT32_MAX && !cls->n_moved
        && is_in_place(list, changed)) {
        atomic_store_explicit(&list->entries[changed->place].priority,
                              changed->max_priority, memory_order_relaxed);
        return;
    }
    changed->moved = true;
    note_move(cls, changed);
}

static void
drop_subtable(struct classifier *cls, struct subtable *gone)
{
    if (gone->moved) {
        cls->moved[gone->moved_at] = NULL;
    } else {
        gone->moved = true;
        note_move(cls, NULL);
    }
    unindex_subtable(cls, gone);
    leave_group(cls, gone);
    trie_clear(&gone->ports);
    if (gone->place == UINT32_MAX) {
        epoch_retire(gone, subtable_free);      /* Nobody has seen it. */
    }
}

static bool
comes_before(const struct subtable *a, const struct subtable *b)
{
    return a->max_priority != b->max_priority
           ? a->max_priority > b->max_priority
           : a->place != b->place ? a->place < b->place
           : a->stamp < b->stamp;
}

static int
compare_places(const void *a_, const void *b_)
{
    const struct subtable *a = *(struct subtable *const *) a_;
    const struct subtable *b = *(struct subtable *const *) b_;

    return !a || !b ? !a - !b : comes_before(a, b) ? -1 : comes_before(b, a);
}

static void
settle(struct classifier *cls)
{
    struct subtable_list *old = LOAD(cls->subtables);
    struct subtable_list *new
        = xcalloc(1, sizeof *new
                     + (old->n + cls->n_moved) * sizeof *new->entries);
    uint32_t n_moved = cls->n_moved, next = 0;

    qsort(cls->moved, n_moved, sizeof *cls->moved, compare_places);
    while (n_moved && !cls->moved[n_moved - 1]) {
        n_moved--;              /* Has gone since. */
    }
    for (uint32_t i = 0; i < old->n; i++) {
        struct subtable *subtable = old->entries[i].subtable;
        if (subtable->moved) {
            continue;
        }
        while (next < n_moved && comes_before(cls->moved[next], subtable)) {
            list_put(new, cls->moved[next++]);
        }
        list_put(new, subtable);
    }
    while (next < n_moved) {
        list_put(new, cls->moved[next++]);
    }
    for (uint32_t i = 0; i < n_moved; i++) {
        cls->moved[i]->moved = false;
    }
    cls->n_moved = 0;
    STORE(cls->subtables, new);         /* Pairs with lookup's load. */
    epoch_retire(old, free);
    for (uint32_t i = 0; i < old->n; i++) {
        struct subtable *subtable = old->entries[i].subtable;
        if (!subtable->n_rules) {
            epoch_retire(subtable, subtable_free);
        }
    }
}

void
classifier_settle(struct classifier *cls)
{
    if (cls->n_moved) {
        struct classifier **link = &unsettled;
        while (*link != cls) {
            link = &(*link)->next_unsettled;
        }
        *link = cls->next_unsettled;
        settle(cls);
    }
}

void
classifiers_settle(void)
{
    while (unsettled) {
        classifier_settle(unsettled);
    }
}

uint64_t
cls_rule_place(const struct cls_rule *rule)
{
    const struct subtable *subtable = rule->subtable;

    return subtable->place != UINT32_MAX ? subtable->place
                                         : UINT32_MAX + subtable->stamp;
}

struct classifier *
classifier_new(void)
{
    static const uint16_t defaults[] = {
        FIELD_IP_DST, FIELD_IP_SRC, FIELD_IPV6_DST, FIELD_IPV6_SRC
    };
    struct classifier *cls = xcalloc(1, sizeof *cls);

    epoch_call_after(classifiers_settle);
    memset(cls->free_numbers, 0xff, sizeof cls->free_numbers);
    cls->free_numbers[0] &= ~UINT64_C(1);
    atomic_init(&cls->subtables, xcalloc(1, sizeof(struct subtable_list)));
    atomic_init(&cls->tries, xcalloc(1, sizeof(struct trie_set)));
    atomic_init(&cls->chains, chains_new(16));
    classifier_set_prefixes(cls, defaults, 4);
    return cls;
}

static void
trie_set_retire(struct trie_set *set)
{
    for (unsigned i = 0; i < set->n; i++) {
        /* Readers that still hold 'set' must find the nodes: each node is
         * retired in place, the root stays. */
        struct trie copy;
        atomic_init(&copy.root, LOAD(set->tries[i].trie.root));
        trie_clear(&copy);
    }
    epoch_retire(set, free);
}

void
classifier_retire(struct classifier *cls)
{
    if (cls) {
        classifier_settle(cls);
        struct subtable_list *list = LOAD(cls->subtables);
        for (uint32_t i = 0; i < list->n; i++) {
            epoch_retire(list->entries[i].subtable, subtable_free);
        }
        epoch_retire(list, free);
        trie_set_retire(LOAD(cls->tries));
        epoch_retire(LOAD(cls->chains), free);
        free(cls->moved);
        free(cls->groups);
        epoch_retire(cls, free);
    }
}

struct classifier *
classifier_succeed(struct classifier *older, uint64_t since)
{
    struct classifier *cls = classifier_new();
    const struct trie_set *set = LOAD(older->tries);
    uint16_t fields[CLS_MAX_TRIES];

    for (unsigned i = 0; i < set->n; i++) {
        fields[i] = prefix_fields[set->tries[i].field].field;
    }
    classifier_set_prefixes(cls, fields, set->n);
    cls->since = since;
    STORE(cls->older, older);
    return cls;
}

struct classifier *
classifier_older(const struct classifier *cls)
{
    return LOAD(((struct classifier *) cls)->older);
}

void
classifier_forget_older(struct classifier *cls)
{
    STORE(cls->older, NULL);
}

/* The classifier that holds in 'version'. */
static const struct classifier *
in_version(const struct classifier *cls, uint64_t version)
{
    for (const struct classifier *older;
         UNLIKELY(version < cls->since) && (older = classifier_older(cls));
         cls = older) {
        continue;
    }
    return cls;
}

static bool
dismantle_subtable(struct subtable *subtable, uint32_t *max)
{
    struct group *group = subtable->group;

    if (!trie_dismantle(&subtable->ports, max) || !*max) {
        return false;
    }
    if (group && !--group->n_subtables) {
        group_free(group);
    }
    subtable_free(subtable);
    --*max;
    return true;
}

bool
classifier_dismantle(struct classifier *cls, uint32_t *max)
{
    struct chains *chains = LOAD(cls->chains);
    struct trie_set *set = LOAD(cls->tries);

    classifier_settle(cls);
    for (; cls->n_dismantled < chains->n; cls->n_dismantled++) {
        struct subtable *_Atomic *head = &chains->heads[cls->n_dismantled];
        for (struct subtable *s = LOAD(*head), *next; s; s = next) {
            next = LOAD(s->next);
            if (!dismantle_subtable(s, max)) {
                return false;
            }
            STORE(*head, next);
        }
    }
    for (unsigned i = 0; i < set->n; i++) {
        if (!trie_dismantle(&set->tries[i].trie, max)) {
            return false;
        }
    }
    free(LOAD(cls->subtables));
    free(set);
    free(chains);
    free(cls->moved);
    free(cls->groups);
    free(cls);
    return true;
}

/* Reads the 'size' bytes at 'offset' of the flow that a rule has as value, 16
 * at most. */
static void
rule_bytes(const struct cls_rule *rule, unsigned offset, unsigned size,
           uint8_t *bytes)
{
    const struct minimask *mini = &rule->subtable->mask;
    unsigned first = offset / 8, last = (offset + size - 1) / 8;
    uint64_t words[3] = { 0, 0, 0 };

    for (unsigned i = 0; i < mini->n && mini->index[i] <= last; i++) {
        if (mini->index[i] >= first) {
            words[mini->index[i] - first] = rule->value[i];
        }
    }
    memcpy(bytes, (const uint8_t *) words + offset % 8, size);
}

/* Calls trie_insert() or trie_remove() for a rule's prefixes in 'set'. */
static void
update_tries(struct trie_set *set, const struct cls_rule *rule,
             void (*update)(struct trie *, const uint8_t *, unsigned))
{
    for (unsigned i = 0; i < set->n; i++) {
        unsigned field = set->tries[i].field;
        unsigned length = rule->subtable->prefix_lengths[field];
        if (length) {
            uint8_t bytes[16];
            rule_bytes(rule, prefix_fields[field].offset,
                       prefix_fields[field].n_bits / 8, bytes);
            update(&set->tries[i].trie, bytes, length);
        }
    }
}

/* The same for its ports. */
static void
update_ports(struct subtable *subtable, const struct cls_rule *rule,
             void (*update)(struct trie *, const uint8_t *, unsigned))
{
    if (subtable->ports_length) {
        uint8_t bytes[4];
        rule_bytes(rule, offsetof(struct flow, tp_src), 2, bytes);
        rule_bytes(rule, offsetof(struct flow, tp_dst), 2, bytes + 2);
        update(&subtable->ports, bytes, subtable->ports_length);
    }
}

int
classifier_set_prefixes(struct classifier *cls, const uint16_t *fields,
                        unsigned n)
{
    struct trie_set *old = LOAD(cls->tries), *new;

    if (n > CLS_MAX_TRIES) {
        return EINVAL;
    }
    new = xcalloc(1, sizeof *new);
    for (unsigned i = 0; i < n; i++) {
        unsigned j = 0;
        while (j < N_PREFIX_FIELDS && prefix_fields[j].field != fields[i]) {
            j++;
        }
        if (j == N_PREFIX_FIELDS) {
            free(new);
            return EINVAL;
        }
        new->tries[new->n++].field = j;
    }
    classifier_settle(cls);
    const struct subtable_list *list = LOAD(cls->subtables);
    for (uint32_t i = 0; i < list->n; i++) {
        struct rule_table *table = LOAD(list->entries[i].subtable->rules);
        for (uint32_t j = 0; j < table->capacity; j++) {
            struct cls_rule *rule = LOAD(table->slots[j].head);
            for (; rule && rule != &tombstone; rule = LOAD(rule->next)) {
                update_tries(new, rule, trie_insert);
            }
        }
    }
    STORE(cls->tries, new);
    trie_set_retire(old);
    return 0;
}

static void
count_hash(struct index *_Atomic *index, uint32_t hash, int delta)
{
    struct index *old = LOAD(*index);
    struct index *new = index_add(old, hash, delta);

    if (new != old) {
        STORE(*index, new);
        epoch_retire(old, free);
    }
}

/* Adds 'delta' to the counts of the rule's value in all indices. */
static void
count_value(struct subtable *subtable, const struct cls_rule *rule, int delta)
{
    uint64_t hash = 0;
    unsigned word = 0;

    for (unsigned i = 0; i < subtable->n_indices; i++) {
        for (; word < subtable->parts[i + 1]; word++) {
            hash = mix_word(hash, rule->value[word]);
        }
        count_hash(&subtable->indices[i], mix_finish(hash), delta);
    }
    if (subtable->group) {
        count_hash(&subtable->group->index, mix_finish(hash), delta);
    }
}

void
classifier_insert(struct classifier *cls, struct cls_rule *rule,
                  const struct cls_match *match, uint64_t added)
{
    const struct minimask *mini = &match->mini;
    struct subtable *subtable = find_subtable(cls, mini, match->mask_hash);

    if (!subtable) {
        subtable = subtable_new(mini, match->mask_hash, match->mask);
        subtable->classifier = cls;
        index_subtable(cls, subtable);
        join_group(cls, subtable);
    }

    rule->subtable = subtable;
    memcpy(rule->value, match->words, mini->n * sizeof *match->words);
    rule->hash = match->hash;
    atomic_init(&rule->added, added);
    atomic_init(&rule->removed, VERSION_NEVER);
    atomic_init(&rule->next, NULL);

    /* Everything that leads to the rule comes before the rule itself. */
    update_tries(LOAD(cls->tries), rule, trie_insert);
    update_ports(subtable, rule, trie_insert);
    count_value(subtable, rule, 1);

    struct rule_table *table = LOAD(subtable->rules);
    struct rule_slot *slot = rule_table_find(table, rule->hash, rule->value,
                                             mini->n);
    if (slot) {
        struct cls_rule *_Atomic *link = &slot->head;
        struct cls_rule *next = LOAD(*link);
        while (next && next->priority > rule->priority) {
            link = &next->next;
            next = LOAD(*link);
        }
        atomic_init(&rule->next, next);
        STORE(*link, rule);
    } else {
        if ((table->n_used + 1) * 2 > table->capacity) {
            uint32_t capacity = 8;
            while (capacity < (subtable->n_rules + 1) * 4) {
                capacity *= 2;
            }
            struct rule_table *bigger = rule_table_new(capacity);
            for (uint32_t i = 0; i < table->capacity; i++) {
                struct cls_rule *head = LOAD(table->slots[i].head);
                if (head && head != &tombstone) {
                    rule_table_put(bigger, head->hash, head);
                }
            }
            STORE(subtable->rules, bigger);
            epoch_retire(table, free);
            table = bigger;
        }
        rule_table_put(table, rule->hash, rule);
    }

    subtable->n_rules++;
    cls->n_rules++;
    priorities_add(&subtable->priorities, rule->priority);
    if (rule->priority > subtable->max_priority) {
        subtable->max_priority = rule->priority;
        move_subtable(cls, subtable);
    }
}

struct classifier *
classifier_of(const struct cls_rule *rule)
{
    return rule->subtable->classifier;
}

void
classifier_remove(struct cls_rule *rule)
{
    struct subtable *subtable = rule->subtable;
    struct classifier *cls = subtable->classifier;
    unsigned n = subtable->mask.n;
    struct rule_table *table = LOAD(subtable->rules);
    struct rule_slot *slot = rule_table_find(table, rule->hash, rule->value,
                                             n);
    struct cls_rule *_Atomic *link = &slot->head;

    while (LOAD(*link) != rule) {
        link = &LOAD(*link)->next;
    }
    struct cls_rule *next = LOAD(rule->next);
    STORE(*link, link == &slot->head && !next ? &tombstone : next);

    count_value(subtable, rule, -1);
    update_ports(subtable, rule, trie_remove);
    update_tries(LOAD(cls->tries), rule, trie_remove);

    cls->n_rules--;
    priorities_remove(&subtable->priorities, rule->priority);
    if (!--subtable->n_rules) {
        drop_subtable(cls, subtable);
    } else if (rule->priority == subtable->max_priority) {
        priorities_max(&subtable->priorities, &subtable->max_priority);
        if (subtable->max_priority < rule->priority) {
            move_subtable(cls, subtable);
        }
    }
}

/* Lookup. */

struct trie_state {             /* What a trie said of the flow. */
    struct trie_lengths lengths;
    unsigned n_bits;            /* Bits that the answer depends on. */
    bool done;
};

static bool
prefix_bits_are_set(const uint8_t *mask, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!(mask[i / 8] >> (7 - i % 8) & 1)) {
            return false;
        }
    }
    return true;
}

static void
set_prefix_bits(uint8_t *mask, unsigned n)
{
    memset(mask, 0xff, n / 8);
    if (n % 8) {
        mask[n / 8] |= 0xff << (8 - n % 8);
    }
}

/* Tells whether a trie shows that no rule of 'subtable' can match, and then
 * un-wildcards what the trie looked at.  Only tries of fields in words 'first'
 * to 'end' of the subtable's mask are asked. */
static bool
tries_exclude(const struct trie_set *set, struct trie_state *states,
              const struct subtable *subtable, unsigned first, unsigned end,
              const struct flow *flow, struct flow *wc)
{
    for (unsigned i = 0; i < set->n; i++) {
        const struct prefix_field *f = &prefix_fields[set->tries[i].field];
        unsigned length = subtable->prefix_lengths[set->tries[i].field];
        if (!length || first == end) {
            continue;
        }
        unsigned word = f->offset / 8;
        if (word < subtable->mask.index[first]
            || word > subtable->mask.index[end - 1]) {
            continue;
        }
        struct trie_state *state = &states[i];
        if (!state->done) {
            state->done = true;
            memset(&state->lengths, 0, sizeof state->lengths);
            if (f->eth_type && f->eth_type != be16_to(flow->eth_type)) {
                /* The field means something else: no skipping. */
                memset(&state->lengths, 0xff, sizeof state->lengths);
                state->n_bits = 0;
            } else {
                state->n_bits = trie_lookup(&set->tries[i].trie,
                                            (const uint8_t *) flow + f->offset,
                                            f->n_bits, &state->lengths);
            }
        }
        if (!trie_lengths_has(&state->lengths, length)) {
            uint8_t *mask = (uint8_t *) wc + f->offset;
            /* The trie is shared by all subtables: never let it un-wildcard
             * more than this subtable would. */
            if (state->n_bits <= length) {
                set_prefix_bits(mask, state->n_bits);
                return true;
            }
            if (prefix_bits_are_set(mask, state->n_bits)) {
                return true;
            }
        }
    }
    return false;
}

static inline void
fold_mask(struct flow *wc, const struct minimask *mini, unsigned n)
{
    word64 *words = (word64 *) wc;

    for (unsigned i = 0; i < n; i++) {
        words[mini->index[i]] |= mini->bits[i];
    }
}

/* Returns the rule of highest priority in 'version' of a list. */
static struct cls_rule *
first_visible(struct cls_rule *rule, uint64_t version)
{
    while (rule && !cls_rule_visible(rule, version)) {
        rule = LOAD(rule->next);
    }
    return rule;
}

static struct cls_rule *
find_by_flow(const struct subtable *subtable, uint64_t version,
             const struct flow *flow, uint32_t hash)
{
    const struct rule_table *table
        = LOAD(((struct subtable *) subtable)->rules);
    const struct minimask *mini = &subtable->mask;
    const word64 *words = flow_words(flow);
    uint32_t mask = table->capacity - 1;

    for (uint32_t i = hash & mask; ; i = (i + 1) & mask) {
        struct rule_slot *slot = (struct rule_slot *) &table->slots[i];
        struct cls_rule *head = LOAD(slot->head);
        if (!head) {
            return NULL;
        }
        if (head == &tombstone || atomic_load_explicit(
                &slot->hash, memory_order_relaxed) != hash) {
            continue;
        }
        unsigned j = 0;
        while (j < mini->n
               && (words[mini->index[j]] & mini->bits[j]) == head->value[j]) {
            j++;
        }
        if (j == mini->n) {
            return first_visible(head, version);
        }
    }
}

static struct cls_rule *
search_subtable(const struct subtable *subtable, uint64_t version,
                const struct flow *flow, const struct trie_set *set,
                struct trie_state *states, struct flow *wc, bool *all_fail)
{
    const struct minimask *mini = &subtable->mask;
    const word64 *words = flow_words(flow);
    uint64_t hash = 0;
    unsigned looked_at = 0;     /* Words of the mask. */
    unsigned i = 0;

    for (unsigned part = 0; ; part++) {
        unsigned end = subtable->parts[part + 1];
        if (wc && tries_exclude(set, states, subtable, subtable->parts[part],
                                end, flow, wc)) {
            fold_mask(wc, mini, looked_at);
            *all_fail = part < subtable->n_indices;
            return NULL;
        }
        for (; i < end; i++) {
            hash = mix_word(hash, words[mini->index[i]] & mini->bits[i]);
        }
        if (part == subtable->n_indices) {
            break;
        }
        looked_at = end;
        if (!index_has(LOAD(((struct subtable *) subtable)->indices[part]),
                       mix_finish(hash))) {
            if (wc) {
                fold_mask(wc, mini, looked_at);
            }
            *all_fail = part + 1 == subtable->n_indices
                        && !index_has(LOAD(subtable->group->index),
                                      mix_finish(hash));
            return NULL;
        }
    }

    struct cls_rule *rule = find_by_flow(subtable, version, flow,
                                         mix_finish(hash));
    if (!wc) {
        return rule;
    }
    if (!rule && subtable->ports_length) {
        /* Only the last part failed, and it has ports: their trie may know a
         * shorter reason. */
        uint32_t ports = be32_from((((uint32_t) be16_to(flow->tp_src) << 16)
                                | be16_to(flow->tp_dst))
                               & subtable->ports_mask);
        struct trie_lengths lengths = { { 0, 0 } };
        unsigned n = trie_lookup(&subtable->ports, (const uint8_t *) &ports,
                                 32, &lengths);
        uint32_t bits = subtable->ports_mask
                        & (n ? 0xffffffffU << (32 - n) : 0);
        be16 tp_src = wc->tp_src, tp_dst = wc->tp_dst;
        fold_mask(wc, mini, mini->n);
        wc->tp_src = tp_src | be16_from(bits >> 16);
        wc->tp_dst = tp_dst | be16_from(bits);
        return NULL;
    }
    fold_mask(wc, mini, mini->n);
    return rule;
}

/* Conjunctions. */

/* Looks for a conjunction of which the rules of 'soft' with 'priority' satisfy
 * all clauses; stores its id. */
static bool
find_conjunction(struct cls_rule **soft, unsigned n_soft, int32_t priority,
                 uint32_t *id)
{
    struct { uint32_t id; uint64_t clauses; } seen[64];
    unsigned n_seen = 0;

    for (unsigned i = 0; i < n_soft; i++) {
        if (soft[i]->priority != priority) {
            continue;
        }
        for (unsigned j = 0; j < soft[i]->n_conjunctions; j++) {
            const struct conjunction *c = &soft[i]->conjunctions[j];
            unsigned k = 0;
            while (k < n_seen && seen[k].id != c->id) {
                k++;
            }
            if (k == n_seen) {
                if (n_seen == sizeof seen / sizeof *seen) {
                    continue;
                }
                seen[n_seen].id = c->id;
                seen[n_seen++].clauses = UINT64_MAX << (c->n_clauses - 1) << 1;
            }
            seen[k].clauses |= 1ULL << c->clause;
            if (seen[k].clauses == UINT64_MAX) {
                *id = c->id;
                return true;
            }
        }
    }
    return false;
}

static struct cls_rule *
lookup(const struct classifier *cls, uint64_t version, struct flow *flow,
       struct flow *wc, bool with_conjunctions)
{
    cls = in_version(cls, version);

    const struct subtable_list *list
        = LOAD(((struct classifier *) cls)->subtables);
    const struct trie_set *set = LOAD(((struct classifier *) cls)->tries);
    struct trie_state states[CLS_MAX_TRIES];
    uint64_t failed[MAX_GROUPS / 64] = { 0 };   /* Groups, by number. */
    struct cls_rule *soft[64];
    unsigned n_soft = 0;
    struct cls_rule *hard = NULL;
    int32_t hard_priority = INT32_MIN;

    for (unsigned i = 0; i < set->n; i++) {
        states[i].done = false;
    }
    for (uint32_t i = 0; i < list->n; i++) {
        if (entry_priority(list, i) <= hard_priority) {
            break;
        }
        uint32_t group = list->entries[i].group;
        if (failed[group / 64] >> group % 64 & 1) {
            continue;
        }
        bool all_fail = false;
        struct cls_rule *rule = search_subtable(
            list->entries[i].subtable, version, flow, set, states, wc,
            &all_fail);
        if (all_fail && group) {
            failed[group / 64] |= UINT64_C(1) << group % 64;
        }
        if (!rule || rule->priority <= hard_priority) {
            continue;
        }
        if (!rule->n_conjunctions) {
            hard = rule;
            hard_priority = rule->priority;
        } else if (with_conjunctions && n_soft < 64) {
            soft[n_soft++] = rule;
        }
    }

    while (n_soft) {
        int32_t best = INT32_MIN;
        unsigned n = 0;
        for (unsigned i = 0; i < n_soft; i++) {
            if (soft[i]->priority > hard_priority) {
                best = soft[i]->priority > best ? soft[i]->priority : best;
                soft[n++] = soft[i];
            }
        }
        n_soft = n;
        if (!n_soft) {
            break;
        }
        uint32_t id;
        if (find_conjunction(soft, n_soft, best, &id)) {
            uint32_t saved = flow->conj_id;
            flow->conj_id = be32_from(id);
            struct cls_rule *rule = lookup(cls, version, flow, wc, false);
            flow->conj_id = saved;
            if (rule) {
                if (wc) {
                    wc->conj_id = 0;
                }
                return rule;
            }
        }
        /* These did not make a match: look behind them. */
        n = 0;
        for (unsigned i = 0; i < n_soft; i++) {
            struct cls_rule *rule = soft[i];
            if (rule->priority == best) {
                rule = first_visible(LOAD(rule->next), version);
                if (!rule) {
                    continue;
                }
                if (!rule->n_conjunctions) {
                    if (rule->priority > hard_priority) {
                        hard = rule;
                        hard_priority = rule->priority;
                    }
                    continue;
                }
            }
            soft[n++] = rule;
        }
        n_soft = n;
    }
    return hard;
}

struct cls_rule *
classifier_lookup(const struct classifier *cls, uint64_t version,
                  struct flow *flow, struct flow *wc)
{
    return lookup(cls, version, flow, wc, true);
}

struct cls_rule *
classifier_find(const struct classifier *cls, const struct cls_match *match,
                int32_t priority, uint64_t version)
{
    struct subtable *subtable = find_subtable(in_version(cls, version),
                                              &match->mini, match->mask_hash);

    if (!subtable) {
        return NULL;
    }
    struct rule_slot *slot = rule_table_find(
        LOAD(subtable->rules), match->hash, match->words, match->mini.n);
    struct cls_rule *rule = slot ? LOAD(slot->head) : NULL;
    while (rule && (rule->priority != priority
                    || !cls_rule_visible(rule, version))) {
        rule = LOAD(rule->next);
    }
    return rule;
}

struct cls_rule *
classifier_overlaps(const struct classifier *cls,
                    const struct cls_match *match, int32_t priority,
                    uint64_t version)
{
    const word64 *value = flow_words(match->value);
    const word64 *mask = flow_words(match->mask);
    const struct subtable_list *list;

    cls = in_version(cls, version);
    classifier_settle((struct classifier *) cls);
    list = LOAD(((struct classifier *) cls)->subtables);

    for (uint32_t i = 0; i < list->n; i++) {
        if (entry_priority(list, i) < priority) {
            break;
        }
        const struct subtable *subtable = list->entries[i].subtable;
        struct rule_table *table = LOAD(((struct subtable *) subtable)->rules);
        for (uint32_t j = 0; j < table->capacity; j++) {
            struct cls_rule *rule = LOAD(table->slots[j].head);
            for (; rule && rule != &tombstone; rule = LOAD(rule->next)) {
                if (rule->priority != priority
                    || !cls_rule_visible(rule, version)) {
                    continue;
                }
                const struct minimask *mini = &subtable->mask;
                unsigned k = 0;
                for (; k < mini->n; k++) {
                    unsigned w = mini->index[k];
                    uint64_t common = mini->bits[k] & mask[w];
                    if ((rule->value[k] ^ value[w]) & common) {
                        break;
                    }
                }
                if (k == mini->n) {
                    return rule;
                }
            }
        }
    }
    return NULL;
}

void
cls_filter_init(struct cls_filter *filter, const struct flow *value,
                const struct flow *mask)
{
    filter->n = 0;
    for (unsigned w = 0; w < CLS_WORDS; w++) {
        if (flow_words(mask)[w]) {
            filter->index[filter->n] = w;
            filter->value[filter->n] = flow_words(value)[w];
            filter->mask[filter->n++] = flow_words(mask)[w];
        }
    }
}

bool
cls_filter_has(const struct cls_filter *filter, const struct cls_rule *rule)
{
    const struct minimask *mini = &rule->subtable->mask;
    unsigned k = 0;

    for (unsigned i = 0; i < filter->n; i++) {
        while (k < mini->n && mini->index[k] < filter->index[i]) {
            k++;
        }
        if (k == mini->n || mini->index[k] != filter->index[i]
            || filter->mask[i] & ~mini->bits[k]
            || (rule->value[k] ^ filter->value[i]) & filter->mask[i]) {
            return false;
        }
    }
    return true;
}

void
cls_rule_expand(const struct cls_rule *rule, struct flow *value,
                struct flow *mask)
{
    const struct minimask *mini = &rule->subtable->mask;

    memset(value, 0, sizeof *value);
    memset(mask, 0, sizeof *mask);
    for (unsigned i = 0; i < mini->n; i++) {
        ((word64 *) value)[mini->index[i]] = rule->value[i];
        ((word64 *) mask)[mini->index[i]] = mini->bits[i];
    }
}

bool
cls_rule_is_catchall(const struct cls_rule *rule)
{
    return !rule->subtable->mask.n;
}
