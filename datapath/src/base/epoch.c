/* epoch.c: see epoch.h. */
#include "base/epoch.h"

#include "base/lock.h"

static struct lock epoch_lock = LOCK_INITIALIZER;
static struct epoch_reader *readers;        /* Guarded by epoch_lock. */
static struct epoch_node *first;            /* Guarded by epoch_lock. */
static struct epoch_node **last = &first;   /* Guarded by epoch_lock. */
static uint64_t n_retired;                  /* Guarded by epoch_lock. */
static uint64_t epoch_now = 1;              /* Atomic; written under lock. */

static struct epoch_heap *open_heaps;       /* Control thread. */
static struct epoch_heap **last_open = &open_heaps;     /* Control thread. */
static void (*after)(void);                 /* Control thread. */
static void (*at_many)(void);               /* Guarded by epoch_lock. */
static uint64_t many;                       /* Guarded by epoch_lock. */

void
epoch_call_after(void (*function)(void))
{
    after = function;
}

void
epoch_call_at(uint64_t n, void (*function)(void))
{
    lock_take(&epoch_lock);
    many = n;
    at_many = function;
    lock_drop(&epoch_lock);
}

void
epoch_reader_add(struct epoch_reader *reader)
{
    lock_take(&epoch_lock);
    reader->seen = UINT64_MAX;
    reader->next = readers;
    readers = reader;
    lock_drop(&epoch_lock);
}

void
epoch_reader_remove(struct epoch_reader *reader)
{
    lock_take(&epoch_lock);
    for (struct epoch_reader **p = &readers; *p; p = &(*p)->next) {
        if (*p == reader) {
            *p = reader->next;
            break;
        }
    }
    lock_drop(&epoch_lock);
}

/* Full barrier: the reader's later loads of pointers must not be seen before
 * 'seen' is; pairs with the lock in epoch_reclaim(). */
void
epoch_online(struct epoch_reader *reader)
{
    uint64_t now = __atomic_load_n(&epoch_now, __ATOMIC_SEQ_CST);
    __atomic_store_n(&reader->seen, now, __ATOMIC_SEQ_CST);
}

void
epoch_offline(struct epoch_reader *reader)
{
    __atomic_store_n(&reader->seen, UINT64_MAX, __ATOMIC_SEQ_CST);
}

void
epoch_quiesce(struct epoch_reader *reader)
{
    uint64_t now = __atomic_load_n(&epoch_now, __ATOMIC_SEQ_CST);
    if (now != __atomic_load_n(&reader->seen, __ATOMIC_RELAXED)) {
        __atomic_store_n(&reader->seen, now, __ATOMIC_SEQ_CST);
    }
}

/* Appends a node that counts for 'n' objects. */
static void
enqueue(struct epoch_node *r, uint32_t n)
{
    r->next = NULL;
    lock_take(&epoch_lock);
    r->epoch = __atomic_fetch_add(&epoch_now, 1, __ATOMIC_SEQ_CST);
    *last = r;
    last = &r->next;
    void (*call)(void) = n_retired < many && n_retired + n >= many ? at_many
                                                                   : NULL;
    n_retired += n;
    lock_drop(&epoch_lock);
    if (call) {
        call();
    }
}

void
epoch_retire(void *object, void (*release)(void *))
{
    if (object) {
        struct epoch_node *r = xmalloc(sizeof *r);
        r->object = object;
        r->release = release;
        enqueue(r, 1);
    }
}

void
epoch_retire_node(struct epoch_node *node, void (*release)(void *))
{
    node->object = NULL;
    node->release = release;
    enqueue(node, 1);
}

static void
open_heap(void *node)
{
    struct epoch_heap *heap = CONTAINER_OF(node, struct epoch_heap, node);

    heap->next = NULL;
    *last_open = heap;
    last_open = &heap->next;
}

void
epoch_retire_heap(struct epoch_heap *heap)
{
    heap->node.object = NULL;
    heap->node.release = open_heap;
    enqueue(&heap->node, heap->n);
}

/* Releases what no reader can see any more, but 'max' at most. */
static uint32_t
release(uint32_t max)
{
    uint64_t oldest = UINT64_MAX;
    uint32_t n = 0;

    lock_take(&epoch_lock);
    for (struct epoch_reader *r = readers; r; r = r->next) {
        oldest = MIN(oldest, __atomic_load_n(&r->seen, __ATOMIC_SEQ_CST));
    }
    struct epoch_node *done = NULL, **end = &done;
    while (first && first->epoch < oldest && n < max) {
        *end = first;
        end = &first->next;
        n_retired -= first->release != open_heap;
        first = first->next;
        n++;
    }
    *end = NULL;
    if (!first) {
        last = &first;
    }
    lock_drop(&epoch_lock);

    while (done) {              /* A release may retire further objects. */
        struct epoch_node *next = done->next;
        if (done->object) {
            done->release(done->object);
            free(done);
        } else {
            done->release(done);
        }
        done = next;
        if (!done && after) {
            after();
        }
    }
    return n;
}

/* Frees at most 'max' pieces of heaps, of the oldest first. */
static uint32_t
free_from_heaps(uint32_t max)
{
    uint32_t left = max;

    while (open_heaps && left) {
        struct epoch_heap *heap = open_heaps, *next = heap->next;
        uint32_t n = heap->n, before = left;
        bool is_done = heap->free_some(heap, &left);
        if (is_done) {
            open_heaps = next;
            last_open = next ? last_open : &open_heaps;
        } else {
            n = MIN(before - left, heap->n - 1);
            heap->n -= n;
        }
        lock_take(&epoch_lock);
        n_retired -= n;
        lock_drop(&epoch_lock);
    }
    return max - left;
}

void
epoch_reclaim(void)
{
    release(UINT32_MAX);
}

uint32_t
epoch_reclaim_some(uint32_t max)
{
    uint32_t n = release(max);

    return n + free_from_heaps(max - n);
}

uint64_t
epoch_n_retired(void)
{
    lock_take(&epoch_lock);
    uint64_t n = n_retired;
    lock_drop(&epoch_lock);
    return n;
}
