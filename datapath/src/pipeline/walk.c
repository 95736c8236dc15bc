/* walk.c: the rules of a table, one by one in the order that dumps have.
 *
 * That is the order in which lookup asks for their masks, and among those of
 * one mask the order in which they came or were last modified: scripts compare
 * dumps that they have not sorted.  Tables of more than MAX_ORDERED rules are
 * gone through by age alone: nobody looks at their order, and sorting them
 * anew for each part of a dump would cost.
 *
 * Holds the pipeline mutex, or is the control thread. */
#include "pipeline/private.h"

#include <stdlib.h>

#define MAX_ORDERED 1024

struct place {
    uint64_t subtable;          /* Where lookup comes to it. */
    struct rule *rule;
};

static int
compare(const void *a_, const void *b_)
{
    const struct place *a = a_, *b = b_;

    return a->subtable != b->subtable
           ? (a->subtable > b->subtable) - (a->subtable < b->subtable)
           : (a->rule->number > b->rule->number)
             - (a->rule->number < b->rule->number);
}

/* Puts the rules of a small table, those of all versions, into their order. */
static void
put_places(struct walk *walk, const struct table *table)
{
    uint32_t n = 0;

    for (const struct rule *rule = table->first; rule; rule = rule->next) {
        if (++n > MAX_ORDERED) {
            return;
        }
    }
    if (!n) {
        return;
    }
    walk->places = xcalloc(n, sizeof *walk->places);
    for (struct rule *rule = table->first; rule; rule = rule->next) {
        walk->places[walk->n++]
            = (struct place) { cls_rule_place(&rule->cls), rule };
    }
    qsort(walk->places, n, sizeof *walk->places, compare);
}

/* Returns the index of the first place from 'start' on. */
static uint32_t
find_place(const struct walk *walk, const struct walk_start *start)
{
    uint32_t found = walk->n;

    for (uint32_t i = walk->n; i-- > 0; ) {
        const struct place *place = &walk->places[i];
        if (place->rule->number == start->number) {
            return i;
        }
        if (place->subtable > start->place
            || (place->subtable == start->place
                && place->rule->number > start->number)) {
            found = i;
        }
    }
    return found;
}

/* Returns the first rule by age whose number is at least that of 'start': its
 * own if that is still there. */
static struct rule *
find_age(const struct table *table, const struct walk_start *start)
{
    struct rule *rule = start->rule;

    if (!rule || rule->number != start->number) {
        for (rule = table->first; rule && rule->number < start->number; ) {
            rule = rule->next;
        }
    }
    return rule;
}

void
walk_begin(struct walk *walk, const struct table *table,
           const struct walk_start *start)
{
    *walk = (struct walk) { .stop = table->last };
    put_places(walk, table);
    if (walk->places) {
        walk->at = start->number ? find_place(walk, start) : 0;
    } else {
        walk->next = start->number ? find_age(table, start) : table->first;
    }
}

struct rule *
walk_next(struct walk *walk)
{
    struct rule *rule = walk->next;

    if (walk->places) {
        return walk->at < walk->n ? walk->places[walk->at++].rule : NULL;
    }
    if (rule) {
        walk->next = rule == walk->stop ? NULL : rule->next;
        if (walk->next) {
            __builtin_prefetch(walk->next->next);
            __builtin_prefetch((const char *) walk->next->next + CACHE_LINE);
        }
    }
    return rule;
}

void
walk_end(struct walk *walk)
{
    free(walk->places);
    *walk = (struct walk) { .places = NULL };
}

void
walk_start_pack(uint64_t cursor[2], uint8_t table, const struct rule *rule)
{
    uint64_t place = MIN(cls_rule_place(&rule->cls), MAX_PLACE);

    cursor[0] = place << 40 | (uint64_t) table << 32 | rule->handle;
    cursor[1] = rule->number;
}

struct walk_start
walk_start_unpack(const uint64_t cursor[2], uint8_t *table)
{
    *table = cursor[0] >> 32;
    return (struct walk_start) {
        .handle = cursor[0],
        .place = cursor[0] >> 40,
        .number = cursor[1],
    };
}
