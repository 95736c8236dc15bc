/* reading.h: numbers and matches from the wire, by the rows that Python makes
 * of the field table; for the codec and lines.c.
 *
 * A match that is odd in any way is not read: the codec in Python knows it. */

#pragma once
#include "quick.h"
#include "base/base.h"
#include "generated/fields.h"
#include "generated/flow.h"

static inline uint64_t
read_number(const uint8_t *p, uint32_t size)
{
    uint64_t x = 0;

    while (size--) {
        x = x << 8 | *p++;
    }
    return x;
}

static inline void
write_number(uint8_t *p, uint32_t size, uint64_t x)
{
    while (size--) {
        p[size] = x;
        x >>= 8;
    }
}

static inline bool
is_zero(const uint8_t *p, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

static inline uint16_t read16(const uint8_t *p) { return read_number(p, 2); }
static inline uint32_t read32(const uint8_t *p) { return read_number(p, 4); }


struct match {
    struct flow value, mask;
};

static inline bool
prereq_holds(const struct flow *flow, uint8_t prereq)
{
    uint16_t type = be16_to(flow->eth_type);
    bool ip4 = type == 0x0800, ip6 = type == 0x86dd, ip = ip4 || ip6;
    bool first = !(flow->nw_frag & 2);
    uint16_t nd_type = be16_to(flow->tp_src);
    bool nd = ip6 && flow->nw_proto == 58 && !flow->tp_dst;

    switch (prereq) {
    case PREREQ_NONE:
    case PREREQ_ETHERNET:
        return true;
    case PREREQ_VLAN:
        return flow->vlan0_tci & CONSTANT_BE16(0x1000);
    case PREREQ_ARP:
        return type == 0x0806 || type == 0x8035;
    case PREREQ_IPV4:
        return ip4;
    case PREREQ_IPV6:
        return ip6;
    case PREREQ_IP:
        return ip;
    case PREREQ_MPLS:
        return type == 0x8847 || type == 0x8848;
    case PREREQ_TCP:
        return ip && flow->nw_proto == 6 && first;
    case PREREQ_UDP:
        return ip && flow->nw_proto == 17 && first;
    case PREREQ_SCTP:
        return ip && flow->nw_proto == 132 && first;
    case PREREQ_ICMPV4:
        return ip4 && flow->nw_proto == 1;
    case PREREQ_ICMPV6:
        return ip6 && flow->nw_proto == 58;
    case PREREQ_ND:
        return nd && (nd_type == 135 || nd_type == 136);
    case PREREQ_ND_SOLICIT:
        return nd && nd_type == 135;
    case PREREQ_ND_ADVERT:
        return nd && nd_type == 136;
    default:
        return false;
    }
}

static inline const struct quick_field *
field_find(const struct quick_field *rows, uint32_t n, uint32_t header)
{
    uint32_t low = 0, high = n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (rows[middle].header < header) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < n && rows[low].header == header ? &rows[low] : NULL;
}

/* A field of 16 bytes fills its container. */
static inline bool
read_wide(const struct quick_field *f, const uint8_t *p, struct match *match)
{
    uint8_t *value = (uint8_t *) &match->value + f->offset;
    uint8_t *mask = (uint8_t *) &match->mask + f->offset;

    if (!is_zero(mask, 16)) {
        return false;
    }
    for (uint32_t i = 0; i < 16; i++) {
        mask[i] = f->masked ? p[16 + i] : 0xff;
        value[i] = p[i];
        if (p[i] & ~mask[i]) {
            return false;
        }
    }
    return true;
}

static inline bool
read_field(const struct quick_field *f, const uint8_t *p, struct match *match)
{
    if (!prereq_holds(&match->value, f->prereq)) {
        return false;
    }
    if (f->size == 16) {
        return read_wide(f, p, match);
    }
    uint64_t full = f->length == 8 ? UINT64_MAX
        : (UINT64_C(1) << 8 * f->length) - 1;
    uint64_t v = read_number(p, f->length);
    uint64_t m = f->masked ? read_number(p + f->length, f->length) : full;
    uint8_t *value = (uint8_t *) &match->value + f->offset;
    uint8_t *mask = (uint8_t *) &match->mask + f->offset;
    uint64_t old_value = read_number(value, f->size);
    uint64_t old_mask = read_number(mask, f->size);
    uint64_t place = f->form == QUICK_PLAIN || f->form == QUICK_PCP
        ? f->ones << f->shift : UINT64_MAX;

    if (v & ~m || v & ~f->allowed || old_mask & place
        || (m != full && (!m || !f->maskable))) {
        return false;
    }
    switch (f->form) {
    case QUICK_PLAIN:
        v = (v & m & f->ones) << f->shift;
        m = (m & f->ones) << f->shift;
        break;
    case QUICK_WHOLE:
        v &= f->ones;
        m = (UINT64_C(1) << 8 * f->size) - 1;
        break;
    case QUICK_PORT:
        if (v >= 0xff00 && v < 0xffffff00) {
            return false;
        }
        v &= 0xffff;
        m = 0xffffffff;
        break;
    case QUICK_PORT16:
        m = 0xffffffff;
        break;
    case QUICK_PCP:
        v = v << 13 | 0x1000;
        m = 0xf000;
        break;
    default:
        return false;
    }
    write_number(value, f->size, old_value | v);
    write_number(mask, f->size, old_mask | m);
    return true;
}

static inline bool
read_tlvs(const struct quick_field *rows, uint32_t n, const uint8_t *p,
          uint32_t size, struct match *match)
{
    while (size) {
        if (size < 4) {
            return false;
        }
        const struct quick_field *f = field_find(rows, n, read32(p));
        uint32_t length = f ? 4 + f->length * (f->masked ? 2 : 1) : 0;
        if (!f || length > size || !read_field(f, p + 4, match)) {
            return false;
        }
        p += length;
        size -= length;
    }
    return true;
}
