/* set.c: ACTION_SET for every key attribute, and dec_ttl. */
#include "action/execute.h"
#include "base/hash.h"
#include "packet/checksum.h"
#include "packet/edit.h"
#include "packet/flow.h"
#include "packet/flow_hash.h"
#include "packet/header.h"

/* Stores in 'out' the 'n' bytes of 'current' with those bits of 'value' that
 * are set in 'mask'. */
static void
merge(void *out_, const void *current_, const void *value_, const void *mask_,
      uint32_t n)
{
    const uint8_t *current = current_, *value = value_, *mask = mask_;
    uint8_t *out = out_;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = (current[i] & ~mask[i]) | (value[i] & mask[i]);
    }
}

static void
set_ethernet(struct packet *p, const struct key_ethernet *value,
             const struct key_ethernet *mask)
{
    if (!p->packet_type && p->size >= ETH_HEADER) {
        merge(p->data, p->data, value->dst, mask->dst, 6);
        merge(p->data + 6, p->data + 6, value->src, mask->src, 6);
    }
}

static void
set_ipv4(struct packet *p, const struct key_ipv4 *value,
         const struct key_ipv4 *mask)
{
    if (packet_network(p) != NETWORK_IPV4) {
        return;
    }
    const uint8_t *ip = p->data + p->l3_ofs;
    uint8_t new[4];
    if (mask->src) {
        merge(new, ip + 12, &value->src, &mask->src, 4);
        edit_address(p, 12, new, 4);
    }
    if (mask->dst) {
        merge(new, ip + 16, &value->dst, &mask->dst, 4);
        edit_address(p, 16, new, 4);
    }
    if (mask->tos) {
        new[0] = ip[0];
        merge(new + 1, ip + 1, &value->tos, &mask->tos, 1);
        edit_ipv4_header(p, 0, new, 2);
    }
    if (mask->ttl) {
        merge(new, ip + 8, &value->ttl, &mask->ttl, 1);
        new[1] = ip[9];
        edit_ipv4_header(p, 8, new, 2);
    }
}

static void
set_ipv6(struct packet *p, const struct key_ipv6 *value,
         const struct key_ipv6 *mask)
{
    if (packet_network(p) != NETWORK_IPV6) {
        return;
    }
    uint8_t *ip = p->data + p->l3_ofs;
    uint8_t new[16];
    merge(new, ip + 8, value->src, mask->src, 16);
    edit_address(p, 8, new, 16);
    merge(new, ip + 24, value->dst, mask->dst, 16);
    edit_address(p, 24, new, 16);
    uint32_t word = be32_to(get_be32(ip));
    uint32_t label_mask = be32_to(mask->label) & 0xfffff;
    word = (word & ~label_mask) | (be32_to(value->label) & label_mask);
    uint32_t class_mask = (uint32_t) mask->tclass << 20;
    word = (word & ~class_mask)
           | ((uint32_t) value->tclass << 20 & class_mask);
    put_be32(ip, be32_from(word));
    merge(ip + 7, ip + 7, &value->hlimit, &mask->hlimit, 1);
}

static void
set_ports(struct packet *p, int proto, const struct key_ports *value,
          const struct key_ports *mask)
{
    uint8_t *checksum, new[4];
    if (packet_transport(p, &checksum) == proto) {
        merge(new, p->data + p->l4_ofs, value, mask, 4);
        edit_transport(p, 0, new, 4);
    }
}

static void
set_icmp(struct packet *p, int proto, const struct key_icmp *value,
         const struct key_icmp *mask)
{
    uint8_t *checksum, new[2];
    if (packet_transport(p, &checksum) == proto) {
        merge(new, p->data + p->l4_ofs, value, mask, 2);
        edit_transport(p, 0, new, 2);
    }
}

static void
set_arp(struct packet *p, const struct key_arp *value,
        const struct key_arp *mask)
{
    if (packet_network(p) != NETWORK_ARP) {
        return;
    }
    uint8_t *arp = p->data + p->l3_ofs;
    merge(arp + 6, arp + 6, &value->op, &mask->op, 2);
    merge(arp + 8, arp + 8, value->sha, mask->sha, 6);
    merge(arp + 14, arp + 14, &value->sip, &mask->sip, 4);
    merge(arp + 18, arp + 18, value->tha, mask->tha, 6);
    merge(arp + 24, arp + 24, &value->tip, &mask->tip, 4);
}

/* Returns the bytes of the ICMPv6 message of an ND frame, 0 for others. */
static uint32_t
nd_size(const struct packet *p)
{
    uint8_t *checksum;
    const uint8_t *l4 = p->data + p->l4_ofs;
    if (packet_transport(p, &checksum) != PROTO_ICMPV6
        || (l4[0] != ND_SOLICIT && l4[0] != ND_ADVERT) || l4[1]) {
        return 0;
    }
    uint32_t end = p->l3_ofs + IPV6_HEADER
                   + be16_to(get_be16(p->data + p->l3_ofs + 4));
    return MIN(end, p->size) - p->l4_ofs;
}

static void
set_nd(struct packet *p, const struct key_nd *value, const struct key_nd *mask)
{
    uint32_t size = nd_size(p);
    uint8_t new[16];
    if (size < 24) {
        return;
    }
    merge(new, p->data + p->l4_ofs + 8, value->target, mask->target, 16);
    edit_transport(p, 8, new, 16);
    for (uint32_t at = 24; at + 8 <= size; ) {
        const uint8_t *option = p->data + p->l4_ofs + at;
        if (!option[1]) {
            break;
        }
        if (option[1] == 1 && at + 8 <= size) {
            if (option[0] == ND_SLL) {
                merge(new, option + 2, value->sll, mask->sll, 6);
                edit_transport(p, at + 2, new, 6);
            } else if (option[0] == ND_TLL) {
                merge(new, option + 2, value->tll, mask->tll, 6);
                edit_transport(p, at + 2, new, 6);
            }
        }
        at += option[1] * 8;
    }
}

static void
set_nd_ext(struct packet *p, const struct key_nd_ext *value,
           const struct key_nd_ext *mask)
{
    uint32_t size = nd_size(p);
    uint8_t new[4];
    if (size < 8) {
        return;
    }
    merge(new, p->data + p->l4_ofs + 4, &value->reserved, &mask->reserved, 4);
    edit_transport(p, 4, new, 4);
    if (mask->options_type && size >= 32) {
        const uint8_t *option = p->data + p->l4_ofs + 24;
        merge(new, option, &value->options_type, &mask->options_type, 1);
        new[1] = option[1];
        edit_transport(p, 24, new, 2);
    }
}

static void
set_nsh(struct packet *p, const struct key_nsh *value,
        const struct key_nsh *mask)
{
    if (p->l3_ofs == OFFSET_NONE || p->l3_ofs + 8u > p->size
        || packet_eth_type(p) != CONSTANT_BE16(ETH_TYPE_NSH)) {
        return;
    }
    uint8_t *h = p->data + p->l3_ofs;
    uint16_t first = be16_to(get_be16(h));
    uint16_t bits_mask = (mask->flags & 3) << 12 | (mask->ttl & 0x3f) << 6;
    uint16_t bits = (value->flags & 3) << 12 | (value->ttl & 0x3f) << 6;
    first = (first & ~bits_mask) | (bits & bits_mask);
    put_be16(h, be16_from(first));
    merge(h + 4, h + 4, &value->path, &mask->path, 4);
    if ((h[2] & 15) == 1 && p->l3_ofs + 24u <= p->size) {
        merge(h + 8, h + 8, value->c, mask->c, 16);
    }
}

bool
action_set_execute(struct packet *p, const struct action_set *a)
{
    const void *value = a->data;
    const void *mask = a->data + ROUND_UP(a->key_size, 8);

    switch ((enum key_type) a->key) {
    case KEY_SKB_PRIORITY: {
        const struct key_u32 *v = value, *m = mask;
        p->skb_priority = ((p->skb_priority & ~m->value)
                           | (v->value & m->value));
        return true;
    }
    case KEY_SKB_MARK: {
        const struct key_u32 *v = value, *m = mask;
        p->pkt_mark = (p->pkt_mark & ~m->value) | (v->value & m->value);
        return true;
    }
    case KEY_ETHERNET:
        set_ethernet(p, value, mask);
        return true;
    case KEY_IPV4:
        set_ipv4(p, value, mask);
        return true;
    case KEY_IPV6:
        set_ipv6(p, value, mask);
        return true;
    case KEY_TCP:
        set_ports(p, PROTO_TCP, value, mask);
        return true;
    case KEY_UDP:
        set_ports(p, PROTO_UDP, value, mask);
        return true;
    case KEY_SCTP:
        set_ports(p, PROTO_SCTP, value, mask);
        return true;
    case KEY_ICMP:
        set_icmp(p, PROTO_ICMP, value, mask);
        return true;
    case KEY_ICMPV6:
        set_icmp(p, PROTO_ICMPV6, value, mask);
        return true;
    case KEY_ARP:
        set_arp(p, value, mask);
        return true;
    case KEY_ND:
        set_nd(p, value, mask);
        return true;
    case KEY_ND_EXT:
        set_nd_ext(p, value, mask);
        return true;
    case KEY_NSH:
        set_nsh(p, value, mask);
        return true;
    case KEY_MPLS: {
        const struct key_mpls *v = value, *m = mask;
        if (p->l25_ofs != OFFSET_NONE
            && p->l25_ofs + MPLS_HEADER <= (int64_t) p->size) {
            uint8_t *lse = p->data + p->l25_ofs;
            merge(lse, lse, &v->lse, &m->lse, 4);
        }
        return true;
    }
    case KEY_TUNNEL:
        return false;           /* XXX tunnels: nothing can use it yet. */
    }
    return false;
}

bool
action_dec_ttl_execute(struct packet *p)
{
    enum network network = packet_network(p);
    uint8_t *ip = p->data + p->l3_ofs;

    if (network == NETWORK_IPV4) {
        if (ip[8] <= 1) {
            return false;
        }
        uint8_t new[2] = { ip[8] - 1, ip[9] };
        edit_ipv4_header(p, 8, new, 2);
    } else if (network == NETWORK_IPV6) {
        if (ip[7] <= 1) {
            return false;
        }
        ip[7]--;
    }
    return true;
}

uint32_t
packet_hash_l4(struct packet *p, bool symmetric, uint32_t basis)
{
    struct packet copy = *p;
    struct flow flow;

    flow_extract(&copy, &flow);
    uint32_t hash = symmetric ? flow_hash_symmetric_l3l4(&flow, basis, false)
                    : murmur_2words(flow_hash_5tuple(&flow, 0), basis);
    return hash ? hash : 1;
}
