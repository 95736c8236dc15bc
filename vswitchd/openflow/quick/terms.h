/* terms.h: a table of byte strings, each with two others as its value.
 *
 * The values are also put once into each blob that needs them: where, is kept
 * here.  One thread. */
#pragma once
#include <stdint.h>
#include <string.h>
#include "base/base.h"

#define MAX_TERMS 16384         /* Then the table is begun anew. */

struct term {
    uint64_t hash;
    uint32_t key_size;
    uint32_t first_size, second_size;
    uint64_t run;               /* Of the blob that it is in already... */
    uint32_t first_at, second_at;       /* ...here. */
    uint8_t bytes[];            /* Key, first, second. */
};

struct terms {
    struct term *slots[2 * MAX_TERMS];
    uint32_t n;
};

static inline uint64_t
hash_bytes(const uint8_t *p, uint32_t size)
{
    uint64_t hash = 0x9e3779b97f4a7c15 ^ size, word;

    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        hash = (hash ^ word) * 0xff51afd7ed558ccd;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, p, size);
    hash = (hash ^ word) * 0xc4ceb9fe1a85ec53;
    return hash ^ hash >> 29;
}

static inline struct term **
terms_find(struct terms *terms, const uint8_t *key, uint32_t size,
           uint64_t hash)
{
    for (uint32_t i = hash;; i++) {
        struct term **slot = &terms->slots[i % N_ELEMENTS(terms->slots)];
        if (!*slot || ((*slot)->hash == hash && (*slot)->key_size == size
                       && !memcmp((*slot)->bytes, key, size))) {
            return slot;
        }
    }
}

void terms_clear(struct terms *);
/* Puts the values of a key, in place of those that it has. */
struct term *terms_put(struct terms *, const uint8_t *key, uint32_t key_size,
                       const uint8_t *first, uint32_t first_size,
                       const uint8_t *second, uint32_t second_size);
