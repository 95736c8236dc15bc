/* trie.c: see trie.h.
 *
 * An edge holds at most 32 bits, so long prefixes are chains; a lookup's
 * result does not depend on how a path is cut into edges. */
#include "classifier/trie.h"

#include "base/base.h"
#include "base/epoch.h"
#include "base/pool.h"

#define EDGE_BITS 32

struct trie_node {
    uint32_t prefix;            /* 'n_bits' bits, left adjusted. */
    uint8_t n_bits;
    _Atomic uint32_t n_rules;   /* Rules whose prefix ends here. */
    struct trie_node *_Atomic edges[2];         /* Epoch. */
};

/* Returns up to 'n' bits of 'value' that begin at bit 'ofs', left adjusted. */
static uint32_t
take_bits(const uint8_t *value, unsigned ofs, unsigned n)
{
    uint64_t acc = 0;
    unsigned first = ofs / 8, last = (ofs + n + 7) / 8;

    if (!n) {
        return 0;
    }
    for (unsigned i = first; i < first + 5; i++) {
        acc = acc << 8 | (i < last ? value[i] : 0);
    }
    /* 'acc' holds 40 bits, the first one wanted is 39 - ofs % 8. */
    acc = acc << (ofs % 8) & 0xffffffffffULL;
    uint32_t bits = acc >> 8;
    return n >= 32 ? bits : bits & ~(0xffffffffU >> n);
}

static unsigned
get_bit(const uint8_t *value, unsigned ofs)
{
    return value[ofs / 8] >> (7 - ofs % 8) & 1;
}

/* Returns how many leading bits of the 'n' bits in 'a' are as in 'b'. */
static unsigned
equal_bits(uint32_t a, uint32_t b, unsigned n)
{
    uint32_t diff = a ^ b;
    unsigned same = diff ? __builtin_clz(diff) : 32;

    return same < n ? same : n;
}

static struct trie_node *
node_new(uint32_t prefix, unsigned n_bits, uint32_t n_rules)
{
    struct trie_node *node = pool_zalloc(sizeof *node);

    node->n_bits = n_bits;
    node->prefix = n_bits >= 32 ? prefix
                   : prefix & ~(0xffffffffU >> n_bits);
    atomic_init(&node->n_rules, n_rules);
    return node;
}

/* Makes the chain of nodes for bits 'ofs' to 'length' of 'value'. */
static struct trie_node *
branch_new(const uint8_t *value, unsigned ofs, unsigned length)
{
    unsigned left = length - ofs;

    if (left <= EDGE_BITS) {
        return node_new(take_bits(value, ofs, left), left, 1);
    }
    struct trie_node *node = node_new(take_bits(value, ofs, EDGE_BITS),
                                      EDGE_BITS, 0);
    atomic_init(&node->edges[get_bit(value, ofs + EDGE_BITS)],
                branch_new(value, ofs + EDGE_BITS, length));
    return node;
}

static struct trie_node *
load(struct trie_node *const _Atomic *edge)
{
    return atomic_load_explicit((struct trie_node *_Atomic *) edge,
                                memory_order_acquire);
}

/* Pairs with load(). */
static void
store(struct trie_node *_Atomic *edge, struct trie_node *node)
{
    atomic_store_explicit(edge, node, memory_order_release);
}

void
trie_insert(struct trie *trie, const uint8_t *value, unsigned length)
{
    struct trie_node *_Atomic *edge = &trie->root;
    unsigned ofs = 0;

    for (;;) {
        struct trie_node *node = load(edge);
        if (!node) {
            store(edge, branch_new(value, ofs, length));
            return;
        }
        unsigned left = length - ofs;
        unsigned n = left < node->n_bits ? left : node->n_bits;
        unsigned same = equal_bits(take_bits(value, ofs, n), node->prefix, n);
        ofs += same;
        if (same < node->n_bits) {
            /* Split: an upper node for the common bits, the rest below. */
            struct trie_node *upper = node_new(node->prefix, same, 0);
            struct trie_node *lower = node_new(node->prefix << same,
                                               node->n_bits - same,
                                               atomic_load(&node->n_rules));
            for (int i = 0; i < 2; i++) {
                atomic_init(&lower->edges[i], load(&node->edges[i]));
            }
            atomic_init(&upper->edges[lower->prefix >> 31], lower);
            if (ofs == length) {
                atomic_store(&upper->n_rules, 1);
            } else {
                atomic_init(&upper->edges[get_bit(value, ofs)],
                            branch_new(value, ofs, length));
            }
            store(edge, upper);
            epoch_retire(node, pool_free);
            return;
        }
        if (ofs == length) {
            atomic_fetch_add(&node->n_rules, 1);
            return;
        }
        edge = &node->edges[get_bit(value, ofs)];
    }
}

void
trie_remove(struct trie *trie, const uint8_t *value, unsigned length)
{
    struct trie_node *_Atomic *path[130];
    unsigned depth = 0, ofs = 0;
    struct trie_node *_Atomic *edge = &trie->root;
    struct trie_node *node;

    for (;;) {
        node = load(edge);
        if (!node || length - ofs < node->n_bits
            || equal_bits(take_bits(value, ofs, node->n_bits), node->prefix,
                          node->n_bits) < node->n_bits) {
            return;
        }
        path[depth++] = edge;
        ofs += node->n_bits;
        if (ofs == length) {
            break;
        }
        edge = &node->edges[get_bit(value, ofs)];
    }
    if (!atomic_load(&node->n_rules)
        || atomic_fetch_sub(&node->n_rules, 1) > 1) {
        return;
    }
    /* Drop nodes that no longer say anything; merge those with one child. */
    while (depth) {
        edge = path[--depth];
        node = load(edge);
        struct trie_node *left = load(&node->edges[0]);
        struct trie_node *right = load(&node->edges[1]);
        if (atomic_load(&node->n_rules) || (left && right)) {
            return;
        }
        struct trie_node *child = left ? left : right;
        if (!child) {
            store(edge, NULL);
            epoch_retire(node, pool_free);
            continue;
        }
        if (node->n_bits + child->n_bits <= EDGE_BITS) {
            uint32_t prefix = node->prefix;
            if (node->n_bits < 32) {
                prefix |= child->prefix >> node->n_bits;
            }
            struct trie_node *merged
                = node_new(prefix, node->n_bits + child->n_bits,
                           atomic_load(&child->n_rules));
            for (int i = 0; i < 2; i++) {
                atomic_init(&merged->edges[i], load(&child->edges[i]));
            }
            store(edge, merged);
            epoch_retire(node, pool_free);
            epoch_retire(child, pool_free);
        }
        return;
    }
}

static void
clear_branch(struct trie_node *node)
{
    if (node) {
        clear_branch(load(&node->edges[0]));
        clear_branch(load(&node->edges[1]));
        epoch_retire(node, pool_free);
    }
}

void
trie_clear(struct trie *trie)
{
    struct trie_node *root = load(&trie->root);

    store(&trie->root, NULL);
    clear_branch(root);
}

/* Turns each left branch into a right one above it, so that there is nothing
 * to come back to. */
bool
trie_dismantle(struct trie *trie, uint32_t *max)
{
    struct trie_node *node = load(&trie->root);

    while (node && *max) {
        struct trie_node *left = load(&node->edges[0]);
        if (left) {
            store(&node->edges[0], load(&left->edges[1]));
            store(&left->edges[1], node);
            node = left;
        } else {
            struct trie_node *right = load(&node->edges[1]);
            pool_free(node);
            --*max;
            node = right;
        }
    }
    store(&trie->root, node);
    return !node;
}

unsigned
trie_lookup(const struct trie *trie, const uint8_t *value, unsigned n_bits,
            struct trie_lengths *lengths)
{
    const struct trie_node *last = NULL;
    const struct trie_node *node = load(&trie->root);
    unsigned ofs = 0;

    while (node) {
        unsigned left = n_bits - ofs;
        unsigned n = node->n_bits < left ? node->n_bits : left;
        unsigned same = equal_bits(take_bits(value, ofs, n), node->prefix, n);
        ofs += same;
        if (same < node->n_bits) {
            return ofs < n_bits ? ofs + 1 : n_bits;
        }
        if (ofs && atomic_load_explicit(&node->n_rules,
                                        memory_order_relaxed)) {
            lengths->bits[(ofs - 1) / 64] |= 1ULL << ((ofs - 1) % 64);
        }
        if (ofs >= n_bits) {
            return n_bits;
        }
        last = node;
        node = load(&node->edges[get_bit(value, ofs)]);
    }
    /* A dead end: the bit that led here matters if the other one leads on. */
    bool leaf = !last || (!load(&last->edges[0]) && !load(&last->edges[1]));
    return leaf ? ofs : ofs + 1;
}
