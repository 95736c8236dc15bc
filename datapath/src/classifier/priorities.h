/* priorities.h: a bag of priorities that knows the highest.
 *
 * Why.  The order of subtables is by the highest priority in each.  When the
 * last rule that has it goes, the next one must be found without a look at
 * all rules: lists of rules are often deleted from the top.
 *
 * How.  A hash table counts each priority; a heap has each one that was
 * counted since it last came to the top.
 *
 * Threads.  One at a time. */
#ifndef CLASSIFIER_PRIORITIES_H
#define CLASSIFIER_PRIORITIES_H 1

#include <stdbool.h>
#include <stdint.h>

struct priorities {
    struct priority_count *slots;
    int32_t *heap;
    uint32_t n;                 /* Priorities, those with count 0 too. */
    uint32_t capacity;          /* Of 'heap'; twice that of 'slots'. */
};

void priorities_add(struct priorities *, int32_t priority);
void priorities_remove(struct priorities *, int32_t priority);
/* Stores the highest; false if there is none. */
bool priorities_max(struct priorities *, int32_t *max);
void priorities_free(struct priorities *);

#endif /* priorities.h */
