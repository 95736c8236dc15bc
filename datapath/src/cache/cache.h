/* cache.h: the megaflows of one worker, and how a packet finds its own.
 *
 * What.  A megaflow says what to do with all frames whose flow, under its
 * mask, equals its key.  Megaflows with the same mask form a subtable: a hash
 * table over the masked words.  A miss in all subtables is translated.
 *
 * Why two forms of a flow.  A plain frame is a struct key of 64 or 96 bytes;
 * the other words of its flow are zero.  So a subtable's mask is kept in two
 * parts: its projection on keys, and the 'outer' words.  A plain frame is
 * looked up by its key alone, in megaflows whose outer words are zero
 * ('plain'); others by key and outer words.  The hash of a word that is 0 is
 * 0, so both give the same hash.
 *
 * Signatures.  In front of the subtables, a table of 64-byte buckets of eight
 * {32-bit hash, slot} entries remembers which megaflow a key hit.  An entry
 * proves nothing: a masked compare with the megaflow in that slot does, so
 * entries need not be invalidated.  It costs 8 bytes a flow, serves frames
 * that differ only in wildcarded bits as well, grows while it is crowded, and
 * is not used while there are few subtables.
 *
 * Thread safety: whoever has the worker's turn (worker.h).  Megaflows that are
 * removed in the middle of a burst are freed by cache_quiesce(). */
#pragma once

#include "action/action.h"
#include "generated/flow.h"
#include "packet/flow.h"

struct credits;

struct outer {                  /* A word of a mask that keys do not have. */
    uint32_t word;
    uint64_t mask;
};

struct subtable {
    struct key mask;            /* Projection of the mask on keys. */
    uint8_t n_words;            /* Words of it that are not zero. */
    uint8_t words[KEY_WORDS];   /* Which. */
    bool wide;                  /* The mask has bits in words 8 to 11. */
    uint32_t entries_mask;      /* Number of entries - 1. */
    uint64_t *entries;          /* Upper 16 bits of the hash << 48 | address of
                                 * the megaflow; 0 free, 1 deleted. */
    uint32_t n_outer;
    uint32_t n_megaflows;
    struct outer *outer;
    uint32_t n_deleted;         /* Deleted entries. */
    uint64_t n_hits;            /* Halved when subtables are sorted. */
    struct flow flow_mask;      /* The whole mask. */
};

struct megaflow {
    /* Compared with every candidate. */
    uint64_t key[KEY_WORDS_SHORT];      /* Masked; words 0 to 7 of a key. */

    /* Read and written for every frame. */
    struct subtable *subtable;
    uint64_t n_packets, n_bytes;
    int64_t used_ms;            /* 0: never. */
    uint64_t serial;            /* Of the pipeline when it was translated. */
    const uint8_t *actions;     /* Owned. */
    uint32_t actions_size;
    uint32_t output;            /* Port, where the only action is output to it,
                                 * else UINT32_MAX. */
    uint16_t tcp_flags;         /* Of all frames. */
    uint8_t drop;               /* enum drop_reason, where actions are none. */
    uint8_t origin;             /* FLOW_*. */
    bool plain;                 /* All outer words of the key are zero. */
    bool dead;                  /* Removed, waits for cache_quiesce(). */
    bool slow;                  /* 'slow_reasons' is not 0. */

    /* The rest. */
    uint64_t wide_key[KEY_WORDS - KEY_WORDS_SHORT];
    uint32_t slot;
    uint32_t hash;
    uint32_t slow_reasons;      /* SLOW_*. */
    struct credits *credits;    /* A reference, or NULL. */
    uint64_t settled_packets, settled_bytes;    /* Given to 'credits'. */
    int64_t created_ms;
    struct megaflow *next_dead;
    uint64_t *seen;             /* The flow that it was made for; owned. */
    uint64_t outer[];           /* One per subtable->outer. */
};

_Static_assert(offsetof(struct megaflow, wide_key) == 2 * CACHE_LINE,
               "the hot part of a megaflow is two cache lines");

struct bucket_line {
    uint64_t entries[8];        /* hash << 32 | slot + 1; 0 free. */
} __attribute__((aligned(CACHE_LINE)));

/* What the layers above do with credits. */
struct cache_ops {
    void (*settle)(struct credits *, uint64_t n_packets, uint64_t n_bytes,
                   int64_t used_ms, uint16_t tcp_flags);
    void (*unref)(struct credits *);
};

struct cache {
    struct subtable **subtables;        /* Most hit first. */
    uint32_t n_subtables, allocated_subtables;
    struct megaflow **slots;    /* NULL: free. */
    uint32_t n_slots, allocated_slots;
    uint32_t *free_slots;
    uint32_t n_free, allocated_free;
    uint32_t n_megaflows;
    uint32_t n_static;          /* Of them FLOW_STATIC. */
    struct bucket_line *lines;  /* Signatures. */
    uint32_t lines_mask;
    uint32_t n_evicted;         /* Signatures, since it grew. */
    uint32_t n_lookups;         /* Since subtables were sorted. */
    struct megaflow *dead;
    uint32_t sweep_at;          /* Next slot to sweep. */
    const struct cache_ops *ops;
    uint64_t n_mask_hit, n_exact_hit;
};

void cache_init(struct cache *, const struct cache_ops *);
void cache_destroy(struct cache *);

/* Full lookups. */
struct megaflow *cache_find(struct cache *, const struct flow *);
struct megaflow *cache_find_key(struct cache *, const struct key *);

/* Looks up 'n' (at most BURST) plain keys at once; NULL in 'found': missed. */
void cache_find_burst(struct cache *, const struct key *const *keys,
                      uint32_t n, struct megaflow **found);

/* Finds the megaflow with exactly this key and mask. */
struct megaflow *cache_find_exact(struct cache *, const struct flow *key,
                                  const struct flow *mask);

/* Inserts a megaflow for 'flow' under 'mask' with a copy of 'actions'; the
 * caller fills the rest.  There must be none with this key and mask. */
struct megaflow *cache_insert(struct cache *, const struct flow *flow,
                              const struct flow *mask, const uint8_t *actions,
                              uint32_t actions_size, int64_t now_ms);
/* Sets the origin of 'm', FLOW_*. */
void cache_set_origin(struct cache *, struct megaflow *m, uint8_t origin);

void megaflow_set_actions(struct megaflow *, const uint8_t *actions,
                          uint32_t size);

/* Settles, then removes. */
void cache_remove(struct cache *, struct megaflow *);

/* Hands counts not yet settled to the credits. */
void cache_settle(struct cache *, struct megaflow *);

/* Frees removed megaflows; between bursts. */
void cache_quiesce(struct cache *);

/* Rebuilds the key and mask of a megaflow as flows. */
void megaflow_flow(const struct megaflow *, struct flow *flow);

/* Rebuilds the flow, wildcarded bits too, that a megaflow was made for. */
void megaflow_seen(const struct megaflow *, struct flow *flow);

/* Returns 128 bits that identify key and mask. */
void megaflow_ufid(const struct megaflow *, uint8_t ufid[16]);

/* Adds what megaflows match besides what a translation says that it looked at.
 * Frames with and without tags, and with tags of different kinds, have
 * megaflows of their own: a translation does not say that it missed a tag.
 * What changes a part of an MPLS label writes all of it. */
static inline void
megaflow_mask_complete(struct flow *mask)
{
    if (!mask->vlan0_tci) {
        mask->vlan0_tci = CONSTANT_BE16(0x1fff);
    }
    mask->vlan0_tpid = UINT16_MAX;
    if (mask->vlan1_tci) {
        mask->vlan1_tpid = UINT16_MAX;
    }
    for (unsigned i = 0; i < 3; i++) {
        if (mask->mpls_lse[i] & ~be32_from(0x100)) {
            mask->mpls_lse[i] = UINT32_MAX;
        }
    }
}

static inline void
megaflow_set_slow(struct megaflow *m, uint32_t reasons)
{
    m->slow_reasons = reasons;
    m->slow = reasons != 0;
}

static inline void
megaflow_count(struct megaflow *m, uint32_t n_bytes, uint16_t flags,
               int64_t now_ms)
{
    m->n_packets++;
    m->n_bytes += n_bytes;
    m->tcp_flags |= flags;
    m->used_ms = now_ms;
}
