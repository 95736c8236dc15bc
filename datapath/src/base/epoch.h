/* epoch.h: memory that readers may still see is retired, not freed (QSBR).
 *
 * What: readers (workers) follow pointers without locks.  A writer unlinks an
 * object and retires it; it is freed when every reader has been quiescent
 * since.
 *
 * How: a global epoch counts up with each retirement batch.  A reader stores
 * the epoch it has seen whenever it holds no pointer (epoch_quiesce(), once a
 * burst), or goes offline before it sleeps.  epoch_reclaim() frees what was
 * retired before the oldest epoch that an online reader has seen.
 *
 * Thread safety: epoch_retire() any thread; epoch_reclaim() control thread,
 * while it holds no pointer itself.  The control thread is no reader: it runs
 * reclamation itself. */
#pragma once

#include "base/base.h"

struct epoch_reader {           /* One per worker thread. */
    uint64_t seen;              /* Epoch seen, UINT64_MAX: offline.  Atomic. */
    struct epoch_reader *next;  /* Guarded by the registry's lock. */
};

void epoch_reader_add(struct epoch_reader *);       /* Starts offline. */
void epoch_reader_remove(struct epoch_reader *);

void epoch_online(struct epoch_reader *);
void epoch_offline(struct epoch_reader *);
void epoch_quiesce(struct epoch_reader *);

/* Calls 'release'('object') when no reader can hold it any more. */
void epoch_retire(void *object, void (*release)(void *object));

struct epoch_node {             /* What waits; a member of an object or not. */
    struct epoch_node *next;
    uint64_t epoch;             /* Freed when all readers have seen a later. */
    void *object;               /* NULL: the node is a member of it. */
    void (*release)(void *);
};

/* The same for an object that has 'node' as a member, which is passed to
 * 'release'; nothing is allocated. */
void epoch_retire_node(struct epoch_node *, void (*release)(void *node));

/* Many objects that are retired together, and freed piece by piece. */
struct epoch_heap {
    struct epoch_node node;
    struct epoch_heap *next;    /* Of those that are being freed. */
    uint32_t n;                 /* Objects that wait in it, at least 1. */
    /* Frees some, takes their number from '*max', which does not get below 0;
     * true: all, and the heap itself. */
    bool (*free_some)(struct epoch_heap *, uint32_t *max);
};

/* The same for a heap whose 'n' and 'free_some' are set. */
void epoch_retire_heap(struct epoch_heap *);

/* Has 'function' called whenever something was freed. */
void epoch_call_after(void (*function)(void));

/* Has 'function' called, in any thread, when 'many' objects come to wait. */
void epoch_call_at(uint64_t many, void (*function)(void));

/* Frees what can be freed but heaps. */
void epoch_reclaim(void);
/* Frees at most 'max' objects; returns how many that were. */
uint32_t epoch_reclaim_some(uint32_t max);
/* How many wait. */
uint64_t epoch_n_retired(void);
