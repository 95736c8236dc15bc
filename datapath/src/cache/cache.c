/* cache.c: see cache.h. */
#include "cache/cache.h"

#include "base/hash.h"
#include "generated/seam.h"
#include "packet/header.h"

#define MIN_ENTRIES 16
#define MIN_LINES 128           /* 1024 signatures. */
#define MAX_LINES (1 << 18)     /* 2M signatures, 16 MB. */
#define FEW_SUBTABLES 1         /* Signatures do not pay. */
#define SORT_INTERVAL 65536     /* Lookups. */
#define DELETED 1               /* An entry of a subtable. */

/* Entries of subtables. */
static inline uint64_t
entry_make(uint32_t hash, const struct megaflow *m)
{
    return (uint64_t) (hash >> 16) << 48 | (uintptr_t) m;
}

static inline struct megaflow *
entry_megaflow(uint64_t entry)
{
    return (struct megaflow *) (uintptr_t) (entry & (UINT64_MAX >> 16));
}

/* Signatures. */
static inline uint64_t
signature_make(uint32_t hash, uint32_t slot)
{
    return (uint64_t) hash << 32 | (slot + 1);
}

static inline uint32_t
signature_slot(uint64_t signature)
{
    return (uint32_t) signature - 1;
}

void
cache_init(struct cache *c, const struct cache_ops *ops)
{
    memset(c, 0, sizeof *c);
    c->ops = ops;
    c->lines_mask = MIN_LINES - 1;
    c->lines = xaligned_zalloc(CACHE_LINE, MIN_LINES * sizeof *c->lines);
}

static void
subtable_free(struct subtable *st)
{
    free(st->outer);
    free(st->entries);
    free(st);
}

void
cache_destroy(struct cache *c)
{
    for (uint32_t i = 0; i < c->n_slots; i++) {
        if (c->slots[i]) {
            cache_remove(c, c->slots[i]);
        }
    }
    cache_quiesce(c);
    for (uint32_t i = 0; i < c->n_subtables; i++) {
        subtable_free(c->subtables[i]);
    }
    free(c->subtables);
    free(c->slots);
    free(c->free_slots);
    free(c->lines);
    memset(c, 0, sizeof *c);
}

/* A number for each place of a word, made beforehand. */
#define MULTIPLIERS (KEY_WORDS + FLOW_WORDS)
static uint64_t multipliers[MULTIPLIERS];

static void __attribute__((constructor))
make_multipliers(void)
{
    for (uint32_t i = 0; i < MULTIPLIERS; i++) {
        multipliers[i] = hash_multiplier(i);
    }
}

static inline uint64_t
mix_word(uint64_t x, uint32_t position)
{
    return hash_multiply(x, multipliers[position]);
}

static inline uint32_t
hash_key(const struct subtable *st, const struct key *key)
{
    const word64 *w = key_words(key), *m = key_words(&st->mask);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < st->n_words; i++) {
        uint32_t at = st->words[i];
        hash += mix_word(w[at] & m[at], at);
    }
    return hash_finish(hash);
}

static inline uint32_t
hash_flow(const struct subtable *st, const struct key *key,
          const struct flow *flow)
{
    const word64 *w = key_words(key), *m = key_words(&st->mask);
    const word64 *f = flow_words_const(flow);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < st->n_words; i++) {
        uint32_t at = st->words[i];
        hash += mix_word(w[at] & m[at], at);
    }
    for (uint32_t i = 0; i < st->n_outer; i++) {
        const struct outer *o = &st->outer[i];
        hash += mix_word(f[o->word] & o->mask, KEY_WORDS + o->word);
    }
    return hash_finish(hash);
}

/* Whether 'key' under the mask of 'st' equals the key of 'm'. */
static inline bool
key_matches(const struct subtable *st, const struct key *key,
            const struct megaflow *m)
{
    const word64 *w = key_words(key), *mask = key_words(&st->mask);
    const uint64_t *k = m->key;
    uint64_t differ = 0;

    for (int i = 0; i < KEY_WORDS_SHORT; i++) {
        differ |= (w[i] & mask[i]) ^ k[i];
    }
    if (UNLIKELY(st->wide)) {
        for (int i = KEY_WORDS_SHORT; i < KEY_WORDS; i++) {
            differ |= (w[i] & mask[i]) ^ m->wide_key[i - KEY_WORDS_SHORT];
        }
    }
    return !differ;
}

static inline bool
flow_matches(const struct subtable *st, const struct key *key,
             const struct flow *flow, const struct megaflow *m)
{
    const word64 *f = flow_words_const(flow);
    if (!key_matches(st, key, m)) {
        return false;
    }
    for (uint32_t i = 0; i < st->n_outer; i++) {
        if ((f[st->outer[i].word] & st->outer[i].mask) != m->outer[i]) {
            return false;
        }
    }
    return true;
}

/* Looks in one subtable; 'flow' NULL: a plain key. */
static inline struct megaflow *
subtable_find(const struct subtable *st, uint32_t hash, const struct key *key,
              const struct flow *flow)
{
    for (uint32_t i = hash; ; i++) {
        uint64_t entry = st->entries[i & st->entries_mask];
        if (!entry) {
            return NULL;
        }
        if (entry >> 48 == hash >> 16 && entry != DELETED) {
            struct megaflow *m = entry_megaflow(entry);
            if (flow ? flow_matches(st, key, flow, m)
                : m->plain && key_matches(st, key, m)) {
                return m;
            }
        }
    }
}

static int
compare_hits(const void *a_, const void *b_)
{
    const struct subtable *const *a = a_, *const *b = b_;
    return (*a)->n_hits > (*b)->n_hits ? -1 : (*a)->n_hits < (*b)->n_hits;
}

static void
count_lookup(struct cache *c)
{
    if (UNLIKELY(++c->n_lookups >= SORT_INTERVAL)) {
        c->n_lookups = 0;
        qsort(c->subtables, c->n_subtables, sizeof *c->subtables,
              compare_hits);
        for (uint32_t i = 0; i < c->n_subtables; i++) {
            c->subtables[i]->n_hits /= 2;
        }
    }
}

struct megaflow *
cache_find(struct cache *c, const struct flow *flow)
{
    struct key key;
    bool plain = key_project(flow, &key);

    count_lookup(c);
    for (uint32_t i = 0; i < c->n_subtables; i++) {
        struct subtable *st = c->subtables[i];
        uint32_t hash = (plain ? hash_key(st, &key)
                         : hash_flow(st, &key, flow));
        struct megaflow *m = subtable_find(st, hash, &key,
                                           plain ? NULL : flow);
        c->n_mask_hit++;
        if (m) {
            st->n_hits++;
            return m;
        }
    }
    return NULL;
}

struct megaflow *
cache_find_key(struct cache *c, const struct key *key)
{
    count_lookup(c);
    for (uint32_t i = 0; i < c->n_subtables; i++) {
        struct subtable *st = c->subtables[i];
        struct megaflow *m = subtable_find(st, hash_key(st, key), key, NULL);
        c->n_mask_hit++;
        if (m) {
            st->n_hits++;
            return m;
        }
    }
    return NULL;
}

/* The hash by which signatures are kept: of all words of the key. */
static inline uint32_t
hash_signature(const struct key *key)
{
    const word64 *w = key_words(key);
    uint64_t hash = 0;
    for (int i = 0; i < KEY_WORDS_SHORT; i++) {
        hash += mix_word(w[i], i);
    }
    if (key->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6)) {
        for (int i = KEY_WORDS_SHORT; i < KEY_WORDS; i++) {
            hash += mix_word(w[i], i);
        }
    }
    return hash_finish(hash);
}

static void
signature_put(struct cache *c, uint32_t hash, uint32_t slot)
{
    struct bucket_line *line = &c->lines[hash & c->lines_mask];
    uint64_t entry = signature_make(hash, slot);
    uint32_t victim = hash >> 29;

    for (uint32_t i = 0; i < 8; i++) {
        if (!line->entries[i] || line->entries[i] >> 32 == hash) {
            line->entries[i] = entry;
            return;
        }
    }
    line->entries[victim] = entry;
    c->n_evicted++;
}

/* Doubles the signature table while it is crowded. */
static void
signatures_grow(struct cache *c)
{
    uint32_t n = c->lines_mask + 1;
    if (c->n_evicted < n || n >= MAX_LINES) {
        return;
    }
    struct bucket_line *old = c->lines;
    c->lines = xaligned_zalloc(CACHE_LINE, 2 * n * sizeof *c->lines);
    c->lines_mask = 2 * n - 1;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < 8; j++) {
            uint64_t entry = old[i].entries[j];
            if (entry) {
                signature_put(c, entry >> 32, signature_slot(entry));
            }
        }
    }
    c->n_evicted = 0;
    free(old);
}

/* Starts to load the hot part of 'm', which may be NULL. */
static inline void
prefetch_megaflow(const struct megaflow *m)
{
    __builtin_prefetch(m);
    __builtin_prefetch((const void *) ((uintptr_t) m + CACHE_LINE));
}

void
cache_find_burst(struct cache *c, const struct key *const *keys, uint32_t n,
                 struct megaflow **found)
{
    uint32_t hashes[BURST];
    struct megaflow *candidates[BURST];

    if (c->n_subtables <= FEW_SUBTABLES) {
        if (!c->n_subtables) {
            memset(found, 0, n * sizeof *found);
            return;
        }
        struct subtable *st = c->subtables[0];
        for (uint32_t i = 0; i < n; i++) {
            hashes[i] = hash_key(st, keys[i]);
            __builtin_prefetch(&st->entries[hashes[i] & st->entries_mask]);
        }
        if (st->n_megaflows > 64) {     /* Else they are in the cache. */
            for (uint32_t i = 0; i < n; i++) {
                uint64_t entry = st->entries[hashes[i] & st->entries_mask];
                const struct megaflow *m = entry_megaflow(entry);
                prefetch_megaflow(m);
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            found[i] = subtable_find(st, hashes[i], keys[i], NULL);
        }
        c->n_mask_hit += n;
        return;
    }

    for (uint32_t i = 0; i < n; i++) {
        hashes[i] = hash_signature(keys[i]);
        __builtin_prefetch(&c->lines[hashes[i] & c->lines_mask]);
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct bucket_line *line = &c->lines[hashes[i] & c->lines_mask];
        struct megaflow *m = NULL;
        for (uint32_t j = 0; j < 8; j++) {
            uint64_t entry = line->entries[j];
            if (entry >> 32 == hashes[i] && entry) {
                m = c->slots[signature_slot(entry)];
                prefetch_megaflow(m);
                break;
            }
        }
        candidates[i] = m;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct megaflow *m = candidates[i];
        if (LIKELY(m != NULL) && m->plain
            && key_matches(m->subtable, keys[i], m)) {
            found[i] = m;
            c->n_exact_hit++;
            continue;
        }
        found[i] = m = cache_find_key(c, keys[i]);
        if (m) {
            signature_put(c, hashes[i], m->slot);
        }
    }
    signatures_grow(c);
}

static struct subtable *
subtable_find_mask(const struct cache *c, const struct flow *mask)
{
    for (uint32_t i = 0; i < c->n_subtables; i++) {
        if (!memcmp(&c->subtables[i]->flow_mask, mask, sizeof *mask)) {
            return c->subtables[i];
        }
    }
    return NULL;
}

static struct subtable *
subtable_new(struct cache *c, const struct flow *mask)
{
    struct subtable *st = xaligned_zalloc(CACHE_LINE, sizeof *st);
    struct flow inner;

    st->flow_mask = *mask;
    key_project(mask, &st->mask);
    const word64 *m = key_words(&st->mask);
    for (uint32_t i = 0; i < KEY_WORDS; i++) {
        if (m[i]) {
            st->words[st->n_words++] = i;
            st->wide |= i >= KEY_WORDS_SHORT;
        }
    }
    key_expand(&st->mask, &inner);
    const word64 *all = flow_words_const(mask);
    const word64 *in = flow_words_const(&inner);
    st->outer = xmalloc(FLOW_WORDS * sizeof *st->outer);
    for (uint32_t i = 0; i < FLOW_WORDS; i++) {
        if (all[i] & ~in[i]) {
            st->outer[st->n_outer].word = i;
            st->outer[st->n_outer++].mask = all[i] & ~in[i];
        }
    }
    st->outer = xrealloc(st->outer, MAX(1, st->n_outer) * sizeof *st->outer);
    st->entries_mask = MIN_ENTRIES - 1;
    st->entries = xcalloc(MIN_ENTRIES, sizeof *st->entries);

    if (c->n_subtables == c->allocated_subtables) {
        c->allocated_subtables = MAX(8, 2 * c->allocated_subtables);
        c->subtables = xrealloc(c->subtables, c->allocated_subtables
                                              * sizeof *c->subtables);
    }
    c->subtables[c->n_subtables++] = st;
    return st;
}

static void
subtable_put(struct subtable *st, const struct megaflow *m)
{
    uint32_t i = m->hash;
    while (st->entries[i & st->entries_mask]) {
        i++;
    }
    st->entries[i & st->entries_mask] = entry_make(m->hash, m);
}

static void
subtable_reserve(struct subtable *st)
{
    uint32_t n = st->entries_mask + 1;
    if ((st->n_megaflows + st->n_deleted + 1) * 2 <= n) {
        return;
    }
    uint64_t *old = st->entries;
    uint32_t n_new = st->n_megaflows * 4 > n ? 2 * n : n;
    st->entries = xcalloc(n_new, sizeof *st->entries);
    st->entries_mask = n_new - 1;
    st->n_deleted = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (old[i] && old[i] != DELETED) {
            subtable_put(st, entry_megaflow(old[i]));
        }
    }
    free(old);
}

struct megaflow *
cache_find_exact(struct cache *c, const struct flow *key,
                 const struct flow *mask)
{
    struct subtable *st = subtable_find_mask(c, mask);
    struct key short_key;
    if (!st) {
        return NULL;
    }
    key_project(key, &short_key);
    return subtable_find(st, hash_flow(st, &short_key, key), &short_key, key);
}

void
megaflow_set_actions(struct megaflow *m, const uint8_t *actions, uint32_t size)
{
    const struct action_output *a;
    free((void *) m->actions);
    m->actions = xmemdup(actions, size);
    m->actions_size = size;
    a = (const void *) m->actions;
    m->output = (size == sizeof *a && a->head.type == ACTION_OUTPUT
                 ? a->port : UINT32_MAX);
}

/* The words of a flow that are not zero, behind two words that say which. */
#define SEEN_MAPS 2
_Static_assert(FLOW_WORDS <= 64 * SEEN_MAPS, "bits of seen_pack()");

static uint64_t *
seen_pack(const struct flow *flow)
{
    const word64 *f = flow_words_const(flow);
    uint64_t words[SEEN_MAPS + FLOW_WORDS];
    uint32_t n = SEEN_MAPS;

    memset(words, 0, SEEN_MAPS * sizeof *words);
    for (uint32_t i = 0; i < FLOW_WORDS; i++) {
        if (f[i]) {
            words[i / 64] |= UINT64_C(1) << i % 64;
            words[n++] = f[i];
        }
    }
    uint64_t *seen = xmalloc(n * sizeof *seen);
    memcpy(seen, words, n * sizeof *seen);
    return seen;
}

void
megaflow_seen(const struct megaflow *m, struct flow *flow)
{
    const uint64_t *next = m->seen + SEEN_MAPS;
    word64 *f = flow_words(flow);

    for (uint32_t i = 0; i < FLOW_WORDS; i++) {
        f[i] = m->seen[i / 64] >> i % 64 & 1 ? *next++ : 0;
    }
}

struct megaflow *
cache_insert(struct cache *c, const struct flow *flow, const struct flow *mask,
             const uint8_t *actions, uint32_t actions_size, int64_t now_ms)
{
    struct subtable *st = subtable_find_mask(c, mask);
    if (!st) {
        st = subtable_new(c, mask);
    }
    subtable_reserve(st);

    struct megaflow *m = xaligned_zalloc(
        CACHE_LINE, sizeof *m + st->n_outer * sizeof m->outer[0]);
    const word64 *f = flow_words_const(flow);
    m->subtable = st;
    struct key key;
    key_project(flow, &key);
    m->hash = hash_flow(st, &key, flow);
    for (uint32_t i = 0; i < KEY_WORDS; i++) {
        uint64_t word = key_words(&key)[i] & key_words(&st->mask)[i];
        if (i < KEY_WORDS_SHORT) {
            m->key[i] = word;
        } else {
            m->wide_key[i - KEY_WORDS_SHORT] = word;
        }
    }
    m->plain = true;
    for (uint32_t i = 0; i < st->n_outer; i++) {
        m->outer[i] = f[st->outer[i].word] & st->outer[i].mask;
        m->plain &= !m->outer[i];
    }
    megaflow_set_actions(m, actions, actions_size);
    m->seen = seen_pack(flow);
    m->created_ms = now_ms;

    if (c->n_free) {
        m->slot = c->free_slots[--c->n_free];
    } else {
        if (c->n_slots == c->allocated_slots) {
            c->allocated_slots = MAX(64, 2 * c->allocated_slots);
            c->slots = xrealloc(c->slots,
                                c->allocated_slots * sizeof *c->slots);
        }
        m->slot = c->n_slots++;
    }
    c->slots[m->slot] = m;
    subtable_put(st, m);
    st->n_megaflows++;
    c->n_megaflows++;
    return m;
}

void
cache_set_origin(struct cache *c, struct megaflow *m, uint8_t origin)
{
    c->n_static += (origin == FLOW_STATIC) - (m->origin == FLOW_STATIC);
    m->origin = origin;
}

void
cache_settle(struct cache *c, struct megaflow *m)
{
    if (m->credits && m->n_packets != m->settled_packets) {
        c->ops->settle(m->credits, m->n_packets - m->settled_packets,
                       m->n_bytes - m->settled_bytes, m->used_ms,
                       m->tcp_flags);
    }
    m->settled_packets = m->n_packets;
    m->settled_bytes = m->n_bytes;
}

static void
subtable_remove(struct cache *c, struct subtable *st)
{
    for (uint32_t i = 0; i < c->n_subtables; i++) {
        if (c->subtables[i] == st) {
            c->n_subtables--;
            memmove(&c->subtables[i], &c->subtables[i + 1],
                    (c->n_subtables - i) * sizeof *c->subtables);
            return;
        }
    }
}

void
cache_remove(struct cache *c, struct megaflow *m)
{
    struct subtable *st = m->subtable;
    uint64_t entry = entry_make(m->hash, m);

    cache_settle(c, m);
    if (m->credits) {
        c->ops->unref(m->credits);
        m->credits = NULL;
    }
    for (uint32_t i = m->hash; ; i++) {
        uint64_t *e = &st->entries[i & st->entries_mask];
        if (*e == entry) {
            *e = DELETED;
            st->n_deleted++;
            break;
        }
    }
    cache_set_origin(c, m, FLOW_TRANSLATED);
    st->n_megaflows--;
    c->slots[m->slot] = NULL;
    c->n_megaflows--;
    m->dead = true;
    m->next_dead = c->dead;     /* Its slot is reused from then on. */
    c->dead = m;
}

void
cache_quiesce(struct cache *c)
{
    while (UNLIKELY(c->dead != NULL)) {
        struct megaflow *m = c->dead;
        struct subtable *st = m->subtable;
        c->dead = m->next_dead;
        if (c->n_free == c->allocated_free) {
            c->allocated_free = MAX(64, 2 * c->allocated_free);
            c->free_slots = xrealloc(c->free_slots, c->allocated_free
                                                    * sizeof *c->free_slots);
        }
        c->free_slots[c->n_free++] = m->slot;
        free((void *) m->actions);
        free(m->seen);
        free(m);

        bool is_last = !st->n_megaflows;
        for (struct megaflow *d = c->dead; d && is_last; d = d->next_dead) {
            is_last = d->subtable != st;
        }
        if (is_last) {
            subtable_remove(c, st);
            subtable_free(st);
        }
    }
}

void
megaflow_flow(const struct megaflow *m, struct flow *flow)
{
    struct key key;
    memcpy(&key, m->key, sizeof m->key);
    memcpy((uint8_t *) &key + sizeof m->key, m->wide_key, sizeof m->wide_key);
    key_expand(&key, flow);
    word64 *w = flow_words(flow);
    for (uint32_t i = 0; i < m->subtable->n_outer; i++) {
        w[m->subtable->outer[i].word] |= m->outer[i];
    }
}

void
megaflow_ufid(const struct megaflow *m, uint8_t ufid[16])
{
    struct flow flow;
    megaflow_flow(m, &flow);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t hash = hash_bytes(&m->subtable->flow_mask, FLOW_SIZE, i + 1);
        hash = hash_bytes(&flow, FLOW_SIZE, hash);
        memcpy(ufid + 4 * i, &hash, 4);
    }
}
