/* flow_hash.c: see flow_hash.h. */
#include "packet/flow_hash.h"

#include "packet/header.h"

static inline uint32_t
rotate(uint32_t x, unsigned bits)
{
    return x << bits | x >> (32 - bits);
}

/* lookup3. */

uint32_t
lookup3_bytes(const void *p_, size_t n, uint32_t basis)
{
    static const uint8_t mix[6] = { 4, 6, 8, 16, 19, 4 };
    static const uint8_t last[7] = { 14, 11, 25, 16, 4, 14, 24 };
    const uint8_t *p = p_;
    uint32_t s[3], words[3];

    s[0] = s[1] = s[2] = UINT32_C(0xdeadbeef) + n + basis;
    for (; n >= sizeof words; n -= sizeof words, p += sizeof words) {
        memcpy(words, p, sizeof words);
        for (unsigned i = 0; i < 3; i++) {
            s[i] += words[i];
        }
        for (unsigned i = 0; i < 6; i++) {
            uint32_t *a = &s[i % 3], *b = &s[(i + 1) % 3];
            uint32_t *c = &s[(i + 2) % 3];
            *a -= *c;
            *a ^= rotate(*c, mix[i]);
            *c += *b;
        }
    }
    if (n) {
        memset(words, 0, sizeof words);
        memcpy(words, p, n);
        for (unsigned i = 0; i < 3; i++) {
            s[i] += words[i];
        }
        for (unsigned i = 0; i < 7; i++) {
            uint32_t *to = &s[(i + 2) % 3], *from = &s[(i + 1) % 3];
            *to ^= *from;
            *to -= rotate(*from, last[i]);
        }
    }
    return s[2];
}

/* MurmurHash3. */

static inline uint32_t
murmur_add(uint32_t hash, uint32_t x)
{
    x = rotate(x * UINT32_C(0xcc9e2d51), 15) * UINT32_C(0x1b873593);
    return rotate(hash ^ x, 13) * 5 + UINT32_C(0xe6546b64);
}

static inline uint32_t
murmur_finish(uint32_t hash, uint32_t n)
{
    hash ^= n;
    hash = (hash ^ hash >> 16) * UINT32_C(0x85ebca6b);
    hash = (hash ^ hash >> 13) * UINT32_C(0xc2b2ae35);
    return hash ^ hash >> 16;
}

uint32_t
murmur_2words(uint32_t x, uint32_t y)
{
    return murmur_finish(murmur_add(murmur_add(x, 0), y), 8);
}

uint32_t
murmur_u64(uint64_t x)
{
    return murmur_finish(murmur_add(murmur_add(0, x), x >> 32), 8);
}

uint32_t
murmur_bytes(const uint8_t *p, size_t n, uint32_t basis)
{
    uint32_t hash = basis;

    for (size_t i = 0; i < n; i += 4) {
        uint32_t word = 0;
        memcpy(&word, p + i, MIN(sizeof word, n - i));
        hash = murmur_add(hash, word);
    }
    return murmur_finish(hash, n);
}

static inline uint32_t
murmur_add_bytes(uint32_t hash, const uint8_t *p, const uint8_t *xor)
{
    for (unsigned i = 0; i < 16; i += 4) {
        uint32_t word;
        memcpy(&word, p + i, sizeof word);
        if (xor) {
            uint32_t other;
            memcpy(&other, xor + i, sizeof other);
            word ^= other;
        }
        hash = murmur_add(hash, word);
    }
    return hash;
}

/* Flows. */

static inline bool
is_v4(const struct flow *f)
{
    return f->eth_type == CONSTANT_BE16(ETH_TYPE_IPV4);
}

static inline bool
is_v6(const struct flow *f)
{
    return f->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6);
}

static be16
vlan_ids(const struct flow *f)
{
    return (f->vlan0_tci ^ f->vlan1_tci) & CONSTANT_BE16(0xfff);
}

uint32_t
flow_hash_symmetric_l2(const struct flow *f, uint32_t basis)
{
    struct {
        be16 eth_type, vlan;
        uint8_t mac[6];
        uint16_t pad;
    } key = { .eth_type = f->eth_type, .vlan = vlan_ids(f) };
    uint32_t words[3], hash = basis;

    if (f->packet_type) {
        return 0;
    }
    for (unsigned i = 0; i < 6; i++) {
        key.mac[i] = f->eth_src[i] ^ f->eth_dst[i];
    }
    memcpy(words, &key, sizeof words);
    for (unsigned i = 0; i < 3; i++) {
        hash = murmur_add(hash, words[i]);
    }
    return murmur_finish(hash, basis);
}

static uint32_t
add_addresses(const struct flow *f, uint32_t basis)
{
    return is_v4(f) ? murmur_add(basis, f->nw_src ^ f->nw_dst)
           : murmur_add_bytes(basis, f->ipv6_src, f->ipv6_dst);
}

/* Source address XOR destination address; zeros where there are none. */
static void
xor_addresses(const struct flow *f, uint8_t address[16])
{
    if (is_v4(f)) {
        be32 v4 = f->nw_src ^ f->nw_dst;
        memcpy(address, &v4, sizeof v4);
    } else if (is_v6(f)) {
        for (unsigned i = 0; i < 16; i++) {
            address[i] = f->ipv6_src[i] ^ f->ipv6_dst[i];
        }
    }
}

uint32_t
flow_hash_symmetric_l3(const struct flow *f, uint32_t basis)
{
    struct {
        uint8_t address[16];
        be16 eth_type, pad;
    } key = { .eth_type = f->eth_type };

    xor_addresses(f, key.address);
    return lookup3_bytes(&key, sizeof key, basis);
}

uint32_t
flow_hash_symmetric_l3l4(const struct flow *f, uint32_t basis,
                         bool with_udp_ports)
{
    if (!is_v4(f) && !is_v6(f)) {
        return flow_hash_symmetric_l2(f, basis);
    }
    uint32_t hash = murmur_add(add_addresses(f, basis), f->nw_proto);
    if (!f->nw_frag
        && (f->nw_proto == PROTO_TCP || f->nw_proto == PROTO_SCTP
            || (with_udp_ports && f->nw_proto == PROTO_UDP))) {
        hash = murmur_add(hash, f->tp_src ^ f->tp_dst);
    }
    return murmur_finish(hash, basis);
}

uint32_t
flow_hash_symmetric_l4(const struct flow *f, uint32_t basis)
{
    struct {
        uint8_t address[16];
        be16 eth_type, vlan, port;
        uint8_t mac[6];
        uint8_t proto, pad[3];
    } key = { .eth_type = f->eth_type, .vlan = vlan_ids(f) };

    for (unsigned i = 0; i < 6; i++) {
        key.mac[i] = f->eth_src[i] ^ f->eth_dst[i];
    }
    xor_addresses(f, key.address);
    if (is_v4(f) || is_v6(f)) {
        key.proto = f->nw_proto;
        if (f->nw_proto == PROTO_TCP || f->nw_proto == PROTO_SCTP) {
            key.port = f->tp_src ^ f->tp_dst;
        }
    }
    return lookup3_bytes(&key, sizeof key, basis);
}

uint32_t
flow_hash_5tuple(const struct flow *f, uint32_t basis)
{
    uint32_t hash = basis;

    if (is_v6(f)) {
        hash = murmur_add_bytes(hash, f->ipv6_src, NULL);
        hash = murmur_add_bytes(hash, f->ipv6_dst, NULL);
    } else if (is_v4(f)) {
        hash = murmur_add(murmur_add(hash, f->nw_src), f->nw_dst);
    } else {
        return murmur_finish(hash, 42);
    }
    hash = murmur_add(hash, f->nw_proto);
    switch (f->nw_proto) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
    case PROTO_ICMP:
    case PROTO_ICMPV6: {
        be16 ports[2] = { f->tp_src, f->tp_dst };
        uint32_t both;
        memcpy(&both, ports, sizeof both);
        hash = murmur_add(hash, both);
        break;
    }
    }
    return murmur_finish(hash, 42);
}
