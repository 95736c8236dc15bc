/* hash.h: hash functions for tables.
 *
 * hash_multiply() maps 0 to 0 whatever the number, so that the sum of the
 * hashes of a sparse array of words needs only the words that are not zero:
 * the megaflow table hashes a short key and a full flow to the same number
 * that way. */
#pragma once

#include "base/base.h"

/* Mixes all bits of 'x'. */
static inline uint64_t
hash_finish(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* An odd number for each 'position'. */
static inline uint64_t
hash_multiplier(unsigned int position)
{
    return (UINT64_C(0x9e3779b97f4a7c15) * (2 * position + 1)) | 1;
}

/* Folds the 128-bit product of 'x' and 'odd'. */
static inline uint64_t
hash_multiply(uint64_t x, uint64_t odd)
{
    unsigned __int128 product = (unsigned __int128) x * odd;
    return (uint64_t) product ^ (uint64_t) (product >> 64);
}

static inline uint32_t
hash_u32(uint32_t x, uint32_t basis)
{
    return hash_finish(((uint64_t) basis << 32 | x) + UINT64_C(0x9e3779b9));
}

static inline uint32_t
hash_u64(uint64_t x, uint32_t basis)
{
    return hash_finish(hash_finish(x + 0x51ed27) ^ basis);
}

static inline uint32_t
hash_bytes(const void *p_, size_t n, uint32_t basis)
{
    const uint8_t *p = p_;
    uint64_t hash = hash_finish(basis + n * UINT64_C(0x9e3779b97f4a7c15));
    for (; n >= 8; n -= 8, p += 8) {
        hash = (hash ^ hash_finish(get_u64(p))) * UINT64_C(0xd6e8feb86659fd93);
    }
    if (n) {
        uint64_t last = 0;
        memcpy(&last, p, n);
        hash = (hash ^ hash_finish(last + n)) * UINT64_C(0xd6e8feb86659fd93);
    }
    return hash_finish(hash);
}
