/* field.c: reading, writing and masking bits of match fields in a struct flow,
 * by the field table.  Any thread; touches only its arguments. */
#include "pipeline/field.h"
#include "pipeline/header.h"

#define UNWILDCARD(WC, MEMBER)                                          \
    do {                                                                \
        if (WC) {                                                       \
            memset(&(WC)->MEMBER, 0xff, sizeof (WC)->MEMBER);           \
        }                                                               \
    } while (0)

static bool
has_proto(const struct flow *flow, struct flow *wc, uint8_t proto)
{
    if (!is_ip(flow)) {
        return false;
    }
    UNWILDCARD(wc, nw_proto);
    return flow->nw_proto == proto;
}

static bool
is_nd(const struct flow *flow, struct flow *wc, unsigned type)
{
    if (flow->eth_type != CONSTANT_BE16(ETH_TYPE_IPV6)
        || !has_proto(flow, wc, PROTO_ICMPV6)) {
        return false;
    }
    UNWILDCARD(wc, tp_dst);
    if (flow->tp_dst) {
        return false;
    }
    UNWILDCARD(wc, tp_src);
    unsigned is = be16_to(flow->tp_src);
    return type ? is == type : is == ND_SOLICIT || is == ND_ADVERT;
}

/* Tells whether a frame has what a field needs, and un-wildcards in 'wc' what
 * that depended on. */
bool
field_has_prereq(enum prereq prereq, const struct flow *flow, struct flow *wc)
{
    bool whole = !(flow->nw_frag & FRAG_LATER);

    switch (prereq) {
    case PREREQ_NONE:
        return true;
    case PREREQ_ETHERNET:
        UNWILDCARD(wc, packet_type);
        return !flow->packet_type;
    case PREREQ_VLAN:
        if (flow->packet_type) {
            return false;
        }
        if (wc) {
            wc->vlan0_tci |= CONSTANT_BE16(0x1000);
        }
        return flow->vlan0_tci & CONSTANT_BE16(0x1000);
    case PREREQ_ARP:
        return flow->eth_type == CONSTANT_BE16(ETH_TYPE_ARP)
               || flow->eth_type == CONSTANT_BE16(ETH_TYPE_RARP);
    case PREREQ_IPV4:
        return flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV4);
    case PREREQ_IPV6:
        return flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6);
    case PREREQ_IP:
        return is_ip(flow);
    case PREREQ_MPLS:
        return eth_type_is_mpls(flow->eth_type);
    case PREREQ_NSH:
        return flow->eth_type == CONSTANT_BE16(ETH_TYPE_NSH);
    case PREREQ_TCP:
        return has_proto(flow, wc, PROTO_TCP) && whole;
    case PREREQ_UDP:
        return has_proto(flow, wc, PROTO_UDP) && whole;
    case PREREQ_SCTP:
        return has_proto(flow, wc, PROTO_SCTP) && whole;
    case PREREQ_ICMPV4:
        return flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV4)
               && has_proto(flow, wc, PROTO_ICMP);
    case PREREQ_ICMPV6:
        return flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6)
               && has_proto(flow, wc, PROTO_ICMPV6);
    case PREREQ_ND:
        return is_nd(flow, wc, 0);
    case PREREQ_ND_SOLICIT:
        return is_nd(flow, wc, ND_SOLICIT);
    case PREREQ_ND_ADVERT:
        return is_nd(flow, wc, ND_ADVERT);
    case PREREQ_CT:
        UNWILDCARD(wc, ct_nw_proto);
        return flow->ct_nw_proto;
    }
    return false;
}

/* In the field "nw_tos" only DSCP counts; ECN is another field's. */
static uint8_t
bits_that_count(const struct field *f)
{
    return f == &fields[FIELD_NW_TOS] ? 0xfc : 0xff;
}

/* After a write to 'f' of what had 'tos': ECN stays. */
static void
keep_ecn(const struct field *f, struct flow *flow, uint8_t tos)
{
    if (f == &fields[FIELD_NW_TOS]) {
        flow->nw_tos = (flow->nw_tos & 0xfc) | (tos & 3);
    }
}

void
field_mask(const struct field *f, const uint8_t *mask, struct flow *wc)
{
    uint8_t *at = (uint8_t *) wc + f->offset;

    for (unsigned i = 0; i < f->size; i++) {
        at[i] |= mask[i] & bits_that_count(f);
    }
}

void
field_set(const struct field *f, const uint8_t *value, const uint8_t *mask,
          struct flow *flow)
{
    uint8_t *at = (uint8_t *) flow + f->offset;

    for (unsigned i = 0; i < f->size; i++) {
        uint8_t bits = mask[i] & bits_that_count(f);
        at[i] = (at[i] & ~bits) | (value[i] & bits);
    }
}

static inline unsigned
bit_get(const uint8_t *container, unsigned size, unsigned bit)
{
    return container[size - 1 - bit / 8] >> (bit % 8) & 1;
}

static inline void
bit_put(uint8_t *container, unsigned size, unsigned bit, unsigned value)
{
    uint8_t *byte = &container[size - 1 - bit / 8];

    *byte = (*byte & ~(1U << (bit % 8))) | value << (bit % 8);
}

/* Copies 'n' bits between big-endian containers of any size. */
static void
bits_copy(const uint8_t *src, unsigned src_size, unsigned src_bit,
          uint8_t *dst, unsigned dst_size, unsigned dst_bit, unsigned n)
{
    while (n) {
        if (n >= 8 && !(src_bit % 8) && !(dst_bit % 8)) {
            dst[dst_size - 1 - dst_bit / 8] = src[src_size - 1 - src_bit / 8];
            n -= 8;
            src_bit += 8;
            dst_bit += 8;
        } else {
            bit_put(dst, dst_size, dst_bit++,
                    bit_get(src, src_size, src_bit++));
            n--;
        }
    }
}

unsigned
field_bits(const struct field *f)
{
    return f == &fields[FIELD_ARP_OP] ? 16 : f->width;
}

/* How many bits of 's' a flow holds: those above are zero and stay so. */
static unsigned
n_held(const struct subfield *s)
{
    unsigned width = fields[s->field].width;

    return s->ofs >= width ? 0 : MIN(s->n_bits, width - s->ofs);
}

void
subfield_mask(const struct subfield *s, struct flow *wc)
{
    const struct field *f = &fields[s->field];
    uint8_t ones[16], tos = wc->nw_tos;

    memset(ones, 0xff, sizeof ones);
    bits_copy(ones, 16, 0, (uint8_t *) wc + f->offset, f->size,
              f->shift + s->ofs, n_held(s));
    keep_ecn(f, wc, tos);
}

void
subfield_copy(const struct subfield *src, const struct flow *from,
              const struct subfield *dst, struct flow *to)
{
    uint8_t value[16];

    subfield_read(src, from, value);
    subfield_write(dst, value, to);
}

void
subfield_read(const struct subfield *s, const struct flow *flow,
              uint8_t value[16])
{
    const struct field *f = &fields[s->field];
    const uint8_t *at = (const uint8_t *) flow + f->offset;
    uint8_t tos = flow->nw_tos & bits_that_count(f);

    memset(value, 0, 16);
    bits_copy(s->field == FIELD_NW_TOS ? &tos : at, f->size, f->shift + s->ofs,
              value, 16, 0, n_held(s));
}

void
subfield_write(const struct subfield *s, const uint8_t value[16],
               struct flow *flow)
{
    const struct field *f = &fields[s->field];
    uint8_t tos = flow->nw_tos;

    bits_copy(value, 16, 0, (uint8_t *) flow + f->offset, f->size,
              f->shift + s->ofs, n_held(s));
    keep_ecn(f, flow, tos);
}

uint64_t
subfield_u64(const struct subfield *s, const struct flow *flow)
{
    uint8_t value[16];
    uint64_t result = 0;

    subfield_read(s, flow, value);
    for (unsigned i = 8; i < 16; i++) {
        result = result << 8 | value[i];
    }
    return result;
}

void
subfield_set_u64(const struct subfield *s, uint64_t x, struct flow *flow)
{
    uint8_t value[16] = { 0 };

    for (unsigned i = 0; i < 8; i++) {
        value[15 - i] = x >> (8 * i);
    }
    subfield_write(s, value, flow);
}
