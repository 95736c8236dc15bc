/* base.h: what every C file of the library starts from.
 *
 * Byte-order types and conversions, allocation that cannot fail, the error
 * sentence, and small macros.  Includes nothing of ours.  Any thread. */
#pragma once

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint16_t be16;          /* Network byte order. */
typedef uint32_t be32;
typedef uint64_t be64;

/* A 64-bit word that may overlay any object. */
typedef uint64_t __attribute__((may_alias)) word64;

#define CACHE_LINE 64
#define N_ELEMENTS(ARRAY) (sizeof (ARRAY) / sizeof (ARRAY)[0])
#define ROUND_UP(X, Y) (((X) + (Y) - 1) / (Y) * (Y))
#define LIKELY(X) __builtin_expect(!!(X), 1)
#define UNLIKELY(X) __builtin_expect(!!(X), 0)
#define MIN(A, B) ((A) < (B) ? (A) : (B))
#define MAX(A, B) ((A) > (B) ? (A) : (B))
#define CONTAINER_OF(POINTER, TYPE, MEMBER) \
    ((TYPE *) (void *) ((char *) (POINTER) - offsetof(TYPE, MEMBER)))
#define PRINTF_LIKE(FORMAT, FIRST) \
    __attribute__((format(printf, FORMAT, FIRST)))
#define UNUSED __attribute__((unused))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SWAP_TO_BE(BITS, X) __builtin_bswap##BITS(X)
#else
#define SWAP_TO_BE(BITS, X) (X)
#endif
/* The same, usable in constant expressions. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CONSTANT_BE16(X) ((be16) ((((X) & 0xff) << 8) | (((X) >> 8) & 0xff)))
#else
#define CONSTANT_BE16(X) ((be16) (X))
#endif

static inline be16 be16_from(uint16_t x) { return SWAP_TO_BE(16, x); }
static inline be32 be32_from(uint32_t x) { return SWAP_TO_BE(32, x); }
static inline be64 be64_from(uint64_t x) { return SWAP_TO_BE(64, x); }
static inline uint16_t be16_to(be16 x) { return SWAP_TO_BE(16, x); }
static inline uint32_t be32_to(be32 x) { return SWAP_TO_BE(32, x); }
static inline uint64_t be64_to(be64 x) { return SWAP_TO_BE(64, x); }

/* Unaligned access. */
static inline be16
get_be16(const void *p)
{
    be16 x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline be32
get_be32(const void *p)
{
    be32 x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline uint64_t
get_u64(const void *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void put_be16(void *p, be16 x) { memcpy(p, &x, 2); }
static inline void put_be32(void *p, be32 x) { memcpy(p, &x, 4); }

/* As malloc and friends, but abort where memory is exhausted. */
void *xmalloc(size_t);
void *xcalloc(size_t n, size_t size);
void *xzalloc(size_t);
void *xrealloc(void *, size_t);
void *xmemdup(const void *, size_t);
void *xaligned_zalloc(size_t alignment, size_t);    /* Release with free(). */

/* Stores the sentence that dp_error() returns to this thread and returns
 * 'error'. */
int error_set(int error, const char *format, ...) PRINTF_LIKE(2, 3);
const char *error_sentence(void);
