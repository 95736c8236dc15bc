/* edit.c: see edit.h. */
#include "packet/edit.h"

#include "packet/checksum.h"
#include "packet/header.h"

bool
packet_own_slow(struct packet *p, struct arena *arena, uint32_t room)
{
    uint32_t headroom = MAX(room, HEADROOM), tailroom = 64;
    if (p->size > ARENA_CHUNK - headroom - tailroom - CACHE_LINE) {
        return false;
    }
    uint8_t *copy = arena_take(arena, headroom + p->size + tailroom);
    memcpy(copy + headroom, p->data, p->size);
    p->data = copy + headroom;
    p->headroom = headroom;
    p->tailroom = tailroom;
    p->shared = false;
    return true;
}

static void
shift_offset(uint16_t *offset, uint32_t at, int n)
{
    if (*offset != OFFSET_NONE && *offset >= at) {
        *offset += n;
    }
}

static void
shift_offsets(struct packet *p, uint32_t at, int n)
{
    shift_offset(&p->l25_ofs, at, n);
    shift_offset(&p->l3_ofs, at, n);
    shift_offset(&p->l4_ofs, at, n);
    if (p->csum_partial && p->csum_start >= at) {
        p->csum_start += n;
    }
}

void
edit_insert(struct packet *p, uint32_t at, uint32_t n)
{
    memmove(p->data - n, p->data, at);
    p->data -= n;
    p->headroom -= n;
    p->size += n;
    memset(p->data + at, 0, n);
    shift_offsets(p, at, n);
}

void
edit_remove(struct packet *p, uint32_t at, uint32_t n)
{
    memmove(p->data + n, p->data, at);
    p->data += n;
    p->headroom += n;
    p->size -= n;
    shift_offsets(p, at + n, -(int) n);
}

void
edit_push_vlan(struct packet *p, be16 tpid, be16 tci)
{
    if (p->packet_type || p->size < ETH_HEADER) {
        return;
    }
    edit_insert(p, 12, VLAN_HEADER);
    put_be16(p->data + 12, tpid);
    put_be16(p->data + 14, tci & ~CONSTANT_BE16(VLAN_PRESENT));
}

void
edit_pop_vlan(struct packet *p)
{
    if (!p->packet_type && p->size >= ETH_HEADER + VLAN_HEADER
        && eth_type_is_vlan(get_be16(p->data + 12))) {
        edit_remove(p, 12, VLAN_HEADER);
    }
}

/* Offset of the MPLS or network header; 0: of none, or cut off. */
static uint32_t
l25_or_l3(const struct packet *p)
{
    uint32_t at = p->l25_ofs != OFFSET_NONE ? p->l25_ofs : p->l3_ofs;
    return at != OFFSET_NONE && at <= p->size ? at : UINT32_MAX;
}

be16
packet_eth_type(const struct packet *p)
{
    uint32_t at = l25_or_l3(p);
    if (p->packet_type) {
        return be16_from(be32_to(p->packet_type));
    }
    return at != UINT32_MAX && at >= 2 ? get_be16(p->data + at - 2) : 0;
}

static void
set_eth_type(struct packet *p, uint32_t l3, be16 type)
{
    if (p->packet_type) {
        p->packet_type = be32_from(UINT32_C(1) << 16 | be16_to(type));
    } else if (l3 >= ETH_HEADER) {
        put_be16(p->data + l3 - 2, type);
    }
}

void
edit_push_mpls(struct packet *p, be16 eth_type, be32 lse)
{
    uint32_t at = l25_or_l3(p);
    if (at == UINT32_MAX || !eth_type_is_mpls(eth_type)) {
        return;
    }
    edit_insert(p, at, MPLS_HEADER);
    put_be32(p->data + at, lse);
    set_eth_type(p, at, eth_type);
    p->l25_ofs = at;
}

void
edit_add_mpls(struct packet *p, be16 eth_type, be32 lse, bool at_front)
{
    if (!at_front) {
        edit_push_mpls(p, eth_type, lse);
        return;
    }
    edit_insert(p, 0, MPLS_HEADER);
    put_be32(p->data, lse);
    p->packet_type = be32_from(UINT32_C(1) << 16 | be16_to(eth_type));
    p->l25_ofs = 0;
    p->l3_ofs = MPLS_HEADER;
    p->l4_ofs = OFFSET_NONE;
}

void
edit_pop_mpls(struct packet *p, be16 eth_type)
{
    uint32_t at = p->l25_ofs;
    if (at == OFFSET_NONE || p->size < at + MPLS_HEADER) {
        return;
    }
    if (p->packet_type && eth_type == CONSTANT_BE16(ETH_TYPE_TEB)) {
        edit_remove(p, at, MPLS_HEADER);
        p->packet_type = 0;             /* A whole frame was inside. */
        p->l25_ofs = p->l3_ofs = p->l4_ofs = OFFSET_NONE;
        return;
    }
    set_eth_type(p, at, eth_type);
    p->l25_ofs = OFFSET_NONE;
    if (p->l3_ofs < at + MPLS_HEADER) {
        p->l3_ofs = at + MPLS_HEADER;
    }
    edit_remove(p, at, MPLS_HEADER);
    if (eth_type_is_mpls(eth_type)) {
        p->l25_ofs = at;
    }
}

void
edit_push_eth(struct packet *p, const uint8_t dst[6], const uint8_t src[6])
{
    if (!p->packet_type) {
        return;
    }
    be16 type = be16_from(be32_to(p->packet_type));
    edit_insert(p, 0, ETH_HEADER);
    memcpy(p->data, dst, 6);
    memcpy(p->data + 6, src, 6);
    put_be16(p->data + 12, type);
    p->packet_type = 0;
}

void
edit_pop_eth(struct packet *p)
{
    uint32_t at = l25_or_l3(p);
    if (p->packet_type || at == UINT32_MAX || at < ETH_HEADER) {
        return;
    }
    be16 type = get_be16(p->data + at - 2);
    p->data += at;
    p->size -= at;
    p->headroom += at;
    shift_offsets(p, 0, -(int) at);
    p->packet_type = be32_from(UINT32_C(1) << 16 | be16_to(type));
}

enum network
packet_network(const struct packet *p)
{
    if (p->l3_ofs == OFFSET_NONE || p->l3_ofs >= p->size
        || p->l25_ofs != OFFSET_NONE) {
        return NETWORK_NONE;
    }
    const uint8_t *l3 = p->data + p->l3_ofs;
    uint32_t size = p->size - p->l3_ofs;
    be16 type = packet_eth_type(p);
    if (type == CONSTANT_BE16(ETH_TYPE_IPV4)) {
        return size >= IPV4_HEADER && p->l4_ofs != OFFSET_NONE
               ? NETWORK_IPV4 : NETWORK_NONE;
    } else if (type == CONSTANT_BE16(ETH_TYPE_IPV6)) {
        return size >= IPV6_HEADER && p->l4_ofs != OFFSET_NONE
               ? NETWORK_IPV6 : NETWORK_NONE;
    } else if ((type == CONSTANT_BE16(ETH_TYPE_ARP)
                || type == CONSTANT_BE16(ETH_TYPE_RARP))
               && size >= ARP_HEADER
               && !memcmp(l3, "\0\1\10\0\6\4", 6)) {
        return NETWORK_ARP;
    }
    return NETWORK_NONE;
}

/* Returns the protocol behind IPv6's extension headers, -1 where the frame is
 * a later fragment. */
static int
ipv6_protocol(const struct packet *p)
{
    const uint8_t *ip = p->data + p->l3_ofs;
    uint32_t skip = p->l4_ofs - p->l3_ofs;
    uint32_t at = IPV6_HEADER;
    uint8_t proto = ip[6];

    while (at + 8 <= skip) {
        if (proto == PROTO_FRAGMENT) {
            if (get_be16(ip + at + 2) & CONSTANT_BE16(0xfff8)) {
                return -1;
            }
            proto = ip[at];
            at += 8;
        } else {
            uint32_t size = (proto == PROTO_AH ? (ip[at + 1] + 2) * 4
                             : (ip[at + 1] + 1) * 8);
            proto = ip[at];
            at += size;
        }
    }
    return proto;
}

int
packet_transport(const struct packet *p, uint8_t **checksum)
{
    enum network network = packet_network(p);
    uint8_t *l4 = p->data + p->l4_ofs;
    int proto;

    *checksum = NULL;
    if (network == NETWORK_IPV4) {
        const uint8_t *ip = p->data + p->l3_ofs;
        if (get_be16(ip + 6) & CONSTANT_BE16(IPV4_OFFSET)) {
            return -1;
        }
        proto = ip[9];
    } else if (network == NETWORK_IPV6) {
        proto = ipv6_protocol(p);
    } else {
        return -1;
    }
    uint32_t size = p->size - p->l4_ofs;
    switch (proto) {
    case PROTO_TCP:
        if (size < TCP_HEADER) {
            return -1;
        }
        *checksum = l4 + 16;
        break;
    case PROTO_UDP:
        if (size < UDP_HEADER) {
            return -1;
        }
        if (get_be16(l4 + 6) || p->csum_partial) {
            *checksum = l4 + 6;
        }
        break;
    case PROTO_ICMP:
        if (size < ICMP_HEADER) {
            return -1;
        }
        break;
    case PROTO_ICMPV6:
        if (size < ICMP_HEADER) {
            return -1;
        }
        *checksum = l4 + 2;
        break;
    case PROTO_SCTP:
        if (size < SCTP_HEADER) {
            return -1;
        }
        break;
    }
    return proto;
}

#define IPV6_DESTINATION 24     /* Its offset in the header. */

/* Whether an IPv6 frame has a routing header with segments left: then the
 * pseudo-header has the final destination, not that of the IPv6 header (RFC
 * 8200 section 8.1). */
static bool
is_routed(const struct packet *p)
{
    if (packet_network(p) != NETWORK_IPV6) {
        return false;
    }
    const uint8_t *ip = p->data + p->l3_ofs;
    uint32_t end = p->l4_ofs - p->l3_ofs;
    uint8_t proto = ip[6];
    for (uint32_t at = IPV6_HEADER; at + 8 <= end; ) {
        if (proto == PROTO_ROUTING && ip[at + 3]) {
            return true;
        }
        uint32_t size = (proto == PROTO_FRAGMENT ? 8
                         : proto == PROTO_AH ? (ip[at + 1] + 2) * 4
                         : (ip[at + 1] + 1) * 8);
        proto = ip[at];
        at += size;
    }
    return false;
}

static bool
is_partial_here(const struct packet *p)
{
    return p->csum_partial && p->csum_start == p->l4_ofs;
}

/* Corrects the transport checksum for a change of the pseudo-header. */
static void
correct_pseudo(struct packet *p, const void *old, const void *new, uint32_t n)
{
    uint8_t *checksum;
    int proto = packet_transport(p, &checksum);

    if (proto < 0 || !checksum) {
        return;
    }
    be16 value = get_be16(checksum);
    if (is_partial_here(p)) {
        value = ~checksum_update(~value, old, new, n);
    } else {
        value = checksum_update(value, old, new, n);
        if (proto == PROTO_UDP && !value) {
            value = 0xffff;
        }
    }
    put_be16(checksum, value);
}

void
edit_ipv4_header(struct packet *p, uint32_t offset, const void *new,
                 uint32_t n)
{
    uint8_t *ip = p->data + p->l3_ofs;
    put_be16(ip + 10, checksum_update(get_be16(ip + 10), ip + offset, new, n));
    memcpy(ip + offset, new, n);
}

void
edit_address(struct packet *p, uint32_t offset, const void *new, uint32_t n)
{
    uint8_t *ip = p->data + p->l3_ofs;

    if (!memcmp(ip + offset, new, n)) {
        return;
    }
    if (offset != IPV6_DESTINATION || !is_routed(p)) {
        correct_pseudo(p, ip + offset, new, n);
    }
    if (packet_network(p) == NETWORK_IPV4) {
        edit_ipv4_header(p, offset, new, n);
    } else {
        memcpy(ip + offset, new, n);
    }
}

void
edit_transport(struct packet *p, uint32_t offset, const void *new, uint32_t n)
{
    uint8_t *checksum;
    int proto = packet_transport(p, &checksum);
    uint8_t *l4 = p->data + p->l4_ofs;

    if (proto < 0 || !memcmp(l4 + offset, new, n)) {
        return;
    }
    if (proto == PROTO_SCTP && !p->csum_partial) {
        /* A wrong checksum stays as wrong as it was. */
        be32 given = get_be32(l4 + 8);
        checksum_transport(p);
        be32 right = get_be32(l4 + 8);
        memcpy(l4 + offset, new, n);
        checksum_transport(p);
        put_be32(l4 + 8, get_be32(l4 + 8) ^ given ^ right);
        return;
    }
    if (proto == PROTO_ICMP) {
        checksum = l4 + 2;
    }
    if (checksum && !is_partial_here(p)) {
        be16 value = checksum_update(get_be16(checksum), l4 + offset, new, n);
        if (proto == PROTO_UDP && !value) {
            value = 0xffff;
        }
        put_be16(checksum, value);
        memcpy(l4 + offset, new, n);
    } else {
        memcpy(l4 + offset, new, n);
    }
}

uint32_t
packet_segment_size(const struct packet *p)
{
    if (!packet_is_gso(p) || p->l4_ofs == OFFSET_NONE || p->l4_ofs > p->size) {
        return p->size;
    }
    uint32_t header = p->l4_ofs;
    if (p->gso_type == GSO_UDP_L4) {
        header += UDP_HEADER;
    } else if (p->size - p->l4_ofs >= TCP_HEADER) {
        header += (p->data[p->l4_ofs + 12] >> 4) * 4;
    }
    return MIN(p->size, header + p->gso_size);
}

uint32_t
packet_l3_size(const struct packet *p)
{
    uint32_t link = l25_or_l3(p);
    uint32_t size = packet_segment_size(p);
    if (p->packet_type) {
        return size;
    }
    /* One VLAN tag does not count against the MTU. */
    if (link == UINT32_MAX) {
        link = MIN(ETH_HEADER, size);
    }
    return size - MIN(link, size);
}
