/* priorities.c: see priorities.h. */
#include "classifier/priorities.h"

#include "base/base.h"

struct priority_count {
    int32_t priority;
    uint32_t count;             /* Plus one; 0: a free slot. */
};

static uint32_t
slot_of(const struct priorities *p, int32_t priority)
{
    return (uint32_t) priority * UINT32_C(0x9e3779b1) >> 7
           & (2 * p->capacity - 1);
}

static struct priority_count *
find(const struct priorities *p, int32_t priority)
{
    uint32_t mask = 2 * p->capacity - 1, i = slot_of(p, priority);

    while (p->slots[i].count && p->slots[i].priority != priority) {
        i = (i + 1) & mask;
    }
    return &p->slots[i];
}

static void
grow(struct priorities *p)
{
    struct priority_count *old = p->slots;
    uint32_t n_old = 2 * p->capacity;

    p->capacity = p->capacity ? 2 * p->capacity : 2;
    p->heap = xrealloc(p->heap, p->capacity * sizeof *p->heap);
    p->slots = xcalloc(2 * p->capacity, sizeof *p->slots);
    for (uint32_t i = 0; i < n_old; i++) {
        if (old[i].count) {
            *find(p, old[i].priority) = old[i];
        }
    }
    free(old);
}

void
priorities_add(struct priorities *p, int32_t priority)
{
    struct priority_count *slot = p->n ? find(p, priority) : NULL;

    if (slot && slot->count) {
        slot->count++;
        return;
    }
    if (p->n == p->capacity) {
        grow(p);
    }
    *find(p, priority) = (struct priority_count) { priority, 2 };
    uint32_t i = p->n++;
    while (i && p->heap[(i - 1) / 2] < priority) {
        p->heap[i] = p->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    p->heap[i] = priority;
}

void
priorities_remove(struct priorities *p, int32_t priority)
{
    find(p, priority)->count--;
}

/* Takes a slot out of the hash table, and closes the gap. */
static void
free_slot(struct priorities *p, struct priority_count *slot)
{
    uint32_t mask = 2 * p->capacity - 1, gap = slot - p->slots;

    for (uint32_t i = (gap + 1) & mask; p->slots[i].count;
         i = (i + 1) & mask) {
        uint32_t home = slot_of(p, p->slots[i].priority);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            p->slots[gap] = p->slots[i];
            gap = i;
        }
    }
    p->slots[gap].count = 0;
}

static void
pop(struct priorities *p)
{
    int32_t last = p->heap[--p->n];
    uint32_t i = 0;

    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= p->n) {
            break;
        }
        child += child + 1 < p->n && p->heap[child + 1] > p->heap[child];
        if (p->heap[child] <= last) {
            break;
        }
        p->heap[i] = p->heap[child];
        i = child;
    }
    p->heap[i] = last;
}

bool
priorities_max(struct priorities *p, int32_t *max)
{
    while (p->n) {
        struct priority_count *top = find(p, p->heap[0]);
        if (top->count > 1) {
            *max = top->priority;
            return true;
        }
        free_slot(p, top);
        pop(p);
    }
    return false;
}

void
priorities_free(struct priorities *p)
{
    free(p->slots);
    free(p->heap);
    *p = (struct priorities) { 0 };
}
