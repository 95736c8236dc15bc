/* terms.c: see terms.h. */
#include "terms.h"

void
terms_clear(struct terms *terms)
{
    for (uint32_t i = 0; i < N_ELEMENTS(terms->slots); i++) {
        free(terms->slots[i]);
        terms->slots[i] = NULL;
    }
    terms->n = 0;
}

struct term *
terms_put(struct terms *terms, const uint8_t *key, uint32_t key_size,
          const uint8_t *first, uint32_t first_size, const uint8_t *second,
          uint32_t second_size)
{
    if (terms->n >= MAX_TERMS) {
        terms_clear(terms);
    }
    uint64_t hash = hash_bytes(key, key_size);
    struct term **slot = terms_find(terms, key, key_size, hash);
    if (*slot) {
        free(*slot);
        terms->n--;
    }
    struct term *term = malloc(sizeof *term + key_size + first_size
                               + second_size);
    if (!term) {
        abort();
    }
    *term = (struct term) {
        .hash = hash, .key_size = key_size, .first_size = first_size,
        .second_size = second_size,
    };
    memcpy(term->bytes, key, key_size);
    memcpy(term->bytes + key_size, first, first_size);
    memcpy(term->bytes + key_size + first_size, second, second_size);
    *slot = term;
    terms->n++;
    return term;
}
