/* trie.h: a set of address prefixes that tells how many bits of an address
 * decide which of them it has.
 *
 * What.  A path-compressed binary trie; each node counts the rules whose
 * prefix ends there.  A lookup walks down the address and reports every length
 * at which some rule's prefix ends, and how many leading bits of the address
 * it had to look at to know that there are no others.  The classifier skips
 * subtables whose prefix length is not among them and un-wildcards only the
 * bits looked at.
 *
 * Threads.  Readers need only be inside an epoch.  Writers hold the pipeline
 * mutex.  Nodes' bits never change; a node that is split or merged is replaced
 * and the old one retired. */
#ifndef CLASSIFIER_TRIE_H
#define CLASSIFIER_TRIE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct trie_node;

struct trie {
    struct trie_node *_Atomic root;     /* Epoch. */
};

/* Lengths of prefixes: bit n - 1 is length n. */
struct trie_lengths {
    uint64_t bits[2];
};

void trie_insert(struct trie *, const uint8_t *value, unsigned length);
void trie_remove(struct trie *, const uint8_t *value, unsigned length);

/* Retires all nodes. */
void trie_clear(struct trie *);
/* Frees nodes where nobody looks any more, takes their number from '*max',
 * which does not get below 0; true: all. */
bool trie_dismantle(struct trie *, uint32_t *max);

/* Returns the number of leading bits of the 'n_bits' bits at 'value' that the
 * result depends on; adds to '*lengths' the lengths of prefixes that the value
 * has. */
unsigned trie_lookup(const struct trie *, const uint8_t *value,
                     unsigned n_bits, struct trie_lengths *lengths);

static inline int
trie_lengths_has(const struct trie_lengths *lengths, unsigned length)
{
    return lengths->bits[(length - 1) / 64] >> ((length - 1) % 64) & 1;
}

#endif /* trie.h */
