/* flow.c: the parsers of flow.h.
 *
 * Every read is preceded by a check against 'end'; a header that is cut off or
 * contradicts itself ends the parse with what was read so far, as in Open
 * vSwitch: the frame is switched by its outer headers. */
#include "packet/flow.h"

#include "packet/header.h"

static uint32_t vlan_limit = 1;         /* Atomic. */

void
flow_set_vlan_limit(uint32_t limit)
{
    __atomic_store_n(&vlan_limit, MIN(limit, 2), __ATOMIC_RELAXED);
}

uint32_t
flow_vlan_limit(void)
{
    return __atomic_load_n(&vlan_limit, __ATOMIC_RELAXED);
}

struct cursor {
    const uint8_t *at;          /* Next byte. */
    const uint8_t *end;         /* After the last one. */
};

static inline uint32_t
left(const struct cursor *c)
{
    return c->end - c->at;
}

/* What lies behind an offset of 64 kB is parsed but cannot be edited. */
static inline uint16_t
offset_of(const struct packet *p, const uint8_t *at)
{
    uint32_t offset = at - p->data;
    return MIN(offset, OFFSET_NONE);
}

static be16
parse_eth_type(struct cursor *c)
{
    be16 type = get_be16(c->at);
    c->at += 2;
    if (be16_to(type) >= ETH_TYPE_MIN) {
        return type;
    }
    /* IEEE 802.2 with SNAP: DSAP, SSAP, control, organisation, type. */
    static const uint8_t snap[6] = { 0xaa, 0xaa, 0x03, 0, 0, 0 };
    if (left(c) >= 8 && !memcmp(c->at, snap, 6)
        && be16_to(get_be16(c->at + 6)) >= ETH_TYPE_MIN) {
        type = get_be16(c->at + 6);
        c->at += 8;
        return type;
    }
    return be16_from(ETH_TYPE_NONE);
}

/* Follows the extension headers from '*proto'; false where one is cut off. */
static bool
parse_extensions(struct cursor *c, uint8_t *proto, uint8_t *frag)
{
    for (;;) {
        uint32_t size;

        if (*proto != PROTO_HOP_OPTIONS && *proto != PROTO_ROUTING
            && *proto != PROTO_DST_OPTIONS && *proto != PROTO_AH
            && *proto != PROTO_FRAGMENT) {
            return true;
        }
        if (left(c) < 8) {
            return false;
        }
        if (*proto == PROTO_FRAGMENT) {
            uint16_t offset_flags = be16_to(get_be16(c->at + 2));
            *proto = c->at[0];
            c->at += 8;
            if (offset_flags) {
                *frag = FRAG_ANY;
                if (offset_flags & 0xfff8) {
                    *frag |= FRAG_LATER;
                    *proto = PROTO_FRAGMENT;
                    return true;
                }
            }
            continue;
        }
        size = (*proto == PROTO_AH ? (c->at[1] + 2) * 4
                : (c->at[1] + 1) * 8);
        if (size > left(c)) {
            return false;
        }
        *proto = c->at[0];
        c->at += size;
    }
}

static bool
mac_is_zero(const uint8_t mac[6])
{
    return !(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

/* RFC 4861 sections 4.3, 4.4 and 4.6.1; 'c' is behind the first 8 bytes. */
static void
parse_nd(struct cursor *c, const uint8_t *icmp, struct flow *flow)
{
    memcpy(&flow->nd_reserved, icmp + 4, 4);
    if (left(c) < 16) {
        return;
    }
    memcpy(flow->nd_target, c->at, 16);
    c->at += 16;
    while (left(c) >= 8) {
        uint32_t size = c->at[1] * 8;
        if (!size || size > left(c)) {
            return;
        }
        uint8_t type = c->at[0];
        if (size == 8 && (type == ND_SLL || type == ND_TLL)) {
            uint8_t *mac = type == ND_SLL ? flow->arp_sha : flow->arp_tha;
            if (!mac_is_zero(mac)) {    /* Twice the same option. */
                memset(flow->nd_target, 0, 16);
                memset(flow->arp_sha, 0, 6);
                memset(flow->arp_tha, 0, 6);
                return;
            }
            memcpy(mac, c->at + 2, 6);
            if (!flow->nd_options_type) {
                flow->nd_options_type = type;
            }
        }
        c->at += size;
    }
}

/* Whether 'size' bytes at 'h' hold the TCP header that its data offset
 * says. */
static inline bool
tcp_is_whole(const uint8_t *h, uint32_t size)
{
    uint32_t header = size >= TCP_HEADER ? (h[12] >> 4) * 4 : 0;
    return header >= TCP_HEADER && header <= size;
}

static void
parse_l4(struct cursor *c, struct flow *flow, bool is_ipv4)
{
    const uint8_t *h = c->at;
    uint32_t size = left(c);

    switch (flow->nw_proto) {
    case PROTO_TCP:
        if (tcp_is_whole(h, size)) {
            flow->tcp_flags = get_be16(h + 12) & CONSTANT_BE16(0x0fff);
            flow->tp_src = get_be16(h);
            flow->tp_dst = get_be16(h + 2);
        }
        break;
    case PROTO_UDP:
        if (size >= UDP_HEADER) {
            flow->tp_src = get_be16(h);
            flow->tp_dst = get_be16(h + 2);
        }
        break;
    case PROTO_SCTP:
        if (size >= SCTP_HEADER) {
            flow->tp_src = get_be16(h);
            flow->tp_dst = get_be16(h + 2);
        }
        break;
    case PROTO_ICMP:
    case PROTO_IGMP:
        if (is_ipv4 && size >= ICMP_HEADER) {
            flow->tp_src = be16_from(h[0]);
            flow->tp_dst = be16_from(h[1]);
            if (flow->nw_proto == PROTO_IGMP) {
                flow->igmp_group = get_be32(h + 4);
            }
        }
        break;
    case PROTO_ICMPV6:
        if (!is_ipv4 && size >= ICMP_HEADER) {
            flow->tp_src = be16_from(h[0]);
            flow->tp_dst = be16_from(h[1]);
            if (!h[1] && (h[0] == ND_SOLICIT || h[0] == ND_ADVERT)) {
                c->at += ICMP_HEADER;
                parse_nd(c, h, flow);
            }
        }
        break;
    }
}

/* Returns the header's size and narrows 'c' to the packet's length, or 0 where
 * the lengths contradict each other. */
static uint32_t
check_ipv4(struct cursor *c)
{
    if (left(c) < IPV4_HEADER) {
        return 0;
    }
    uint32_t header = (c->at[0] & 15) * 4;
    uint32_t total = be16_to(get_be16(c->at + 2));
    if (header < IPV4_HEADER || header > left(c) || total > left(c)
        || header > total) {
        return 0;
    }
    c->end = c->at + total;
    return header;
}

static bool
check_ipv6(struct cursor *c)
{
    if (left(c) < IPV6_HEADER) {
        return false;
    }
    uint32_t payload = be16_to(get_be16(c->at + 4));
    if (payload + IPV6_HEADER > left(c)) {
        return false;
    }
    c->end = c->at + IPV6_HEADER + payload;
    return true;
}

/* RFC 8300 section 2. */
static void
parse_nsh(struct cursor *c, struct flow *flow)
{
    if (left(c) < NSH_HEADER) {
        return;
    }
    const uint8_t *h = c->at;
    uint16_t first = be16_to(get_be16(h));
    uint32_t size = (first & 0x3f) * 4;
    if (first >> 14 || size < NSH_HEADER || size > left(c)) {
        return;                 /* Unknown version or cut off. */
    }
    uint8_t mdtype = h[2];
    if (mdtype == 1 && size != 24) {
        return;
    }
    flow->nsh_flags = (first >> 12) & 3;
    flow->nsh_ttl = (first >> 6) & 0x3f;
    flow->nsh_mdtype = mdtype;
    flow->nsh_np = h[3];
    flow->nsh_path = get_be32(h + 4);
    if (mdtype == 1) {
        memcpy(flow->nsh_c, h + 8, 16);
    }
}

static void
copy_metadata(const struct packet *p, struct flow *flow)
{
    if (UNLIKELY(p->metadata != NULL)) {
        memcpy(flow, p->metadata, offsetof(struct flow, metadata));
    }
    flow->skb_priority = be32_from(p->skb_priority);
    flow->pkt_mark = be32_from(p->pkt_mark);
    flow->dp_hash = be32_from(p->dp_hash);
    flow->in_port = be32_from(p->in_port);
    flow->recirc_id = be32_from(p->recirc_id);
    flow->packet_type = p->packet_type;
    if (p->ct) {
        const struct packet_ct *ct = p->ct;
        flow->ct_state = ct->state;
        flow->ct_mark = ct->mark;
        flow->ct_zone = ct->zone;
        flow->ct_nw_proto = ct->nw_proto;
        memcpy(flow->ct_label, ct->label, sizeof flow->ct_label);
        flow->ct_nw_src = ct->nw_src;
        flow->ct_nw_dst = ct->nw_dst;
        memcpy(flow->ct_ipv6_src, ct->ipv6_src, sizeof flow->ct_ipv6_src);
        memcpy(flow->ct_ipv6_dst, ct->ipv6_dst, sizeof flow->ct_ipv6_dst);
        flow->ct_tp_src = ct->tp_src;
        flow->ct_tp_dst = ct->tp_dst;
    }
}

static void
parse_l3(struct packet *p, struct cursor *c, be16 type, struct flow *flow)
{
    if (eth_type_is_mpls(type)) {
        unsigned int n = 0;
        p->l25_ofs = offset_of(p, c->at);
        while (left(c) >= MPLS_HEADER) {
            if (n < 3) {
                flow->mpls_lse[n] = get_be32(c->at);
            }
            n++;
            c->at += MPLS_HEADER;
            if (c->at[-2] & 1) {        /* Bottom of stack. */
                break;
            }
        }
    }

    p->l3_ofs = offset_of(p, c->at);
    switch (be16_to(type)) {
    case ETH_TYPE_IPV4: {
        uint32_t header = check_ipv4(c);
        if (!header) {
            return;
        }
        const uint8_t *h = c->at;
        uint16_t offset = be16_to(get_be16(h + 6));
        flow->nw_tos = h[1];
        flow->nw_ttl = h[8];
        flow->nw_proto = h[9];
        flow->nw_src = get_be32(h + 12);
        flow->nw_dst = get_be32(h + 16);
        if (offset & (IPV4_MORE | IPV4_OFFSET)) {
            flow->nw_frag = FRAG_ANY;
            if (offset & IPV4_OFFSET) {
                flow->nw_frag |= FRAG_LATER;
            }
        }
        c->at += header;
        p->l4_ofs = offset_of(p, c->at);
        if (!(flow->nw_frag & FRAG_LATER)) {
            parse_l4(c, flow, true);
        }
        break;
    }
    case ETH_TYPE_IPV6: {
        if (!check_ipv6(c)) {
            return;
        }
        const uint8_t *h = c->at;
        uint32_t word = be32_to(get_be32(h));
        uint8_t proto = h[6];
        memcpy(flow->ipv6_src, h + 8, 16);
        memcpy(flow->ipv6_dst, h + 24, 16);
        c->at += IPV6_HEADER;
        if (!parse_extensions(c, &proto, &flow->nw_frag)) {
            flow->nw_frag = 0;
            return;
        }
        flow->ipv6_label = be32_from(word & 0xfffff);
        flow->nw_tos = word >> 20;
        flow->nw_ttl = h[7];
        flow->nw_proto = proto;
        p->l4_ofs = offset_of(p, c->at);
        if (!(flow->nw_frag & FRAG_LATER)) {
            parse_l4(c, flow, false);
        }
        break;
    }
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP: {
        static const uint8_t ethernet_ipv4[6] = { 0, 1, 8, 0, 6, 4 };
        const uint8_t *h = c->at;
        if (left(c) < ARP_HEADER || memcmp(h, ethernet_ipv4, 6)) {
            return;
        }
        uint16_t operation = be16_to(get_be16(h + 6));
        if (operation <= 0xff) {
            flow->nw_proto = operation;
        }
        memcpy(flow->arp_sha, h + 8, 6);
        flow->nw_src = get_be32(h + 14);
        memcpy(flow->arp_tha, h + 18, 6);
        flow->nw_dst = get_be32(h + 24);
        break;
    }
    case ETH_TYPE_NSH:
        parse_nsh(c, flow);
        break;
    }
}

void
flow_extract(struct packet *p, struct flow *flow)
{
    struct cursor c = { p->data, p->data + p->size };
    be16 type;

    memset(flow, 0, sizeof *flow);
    p->l25_ofs = p->l3_ofs = p->l4_ofs = OFFSET_NONE;
    copy_metadata(p, flow);
    if (p->packet_type) {
        /* Namespace 1: what follows an Ethernet header of that type. */
        if (be32_to(p->packet_type) >> 16 != 1) {
            return;
        }
        type = be16_from(be32_to(p->packet_type));
        flow->eth_type = type;
    } else {
        if (p->size < ETH_HEADER) {
            return;
        }
        memcpy(flow->eth_dst, c.at, 12);
        c.at += 12;
        uint32_t limit = flow_vlan_limit();
        be16 *tag = &flow->vlan0_tpid;
        for (uint32_t n = 0; n < limit && eth_type_is_vlan(get_be16(c.at))
                             && left(&c) >= VLAN_HEADER + 2; n++) {
            tag[0] = get_be16(c.at);
            tag[1] = get_be16(c.at + 2) | CONSTANT_BE16(VLAN_PRESENT);
            tag += 2;
            c.at += VLAN_HEADER;
        }
        type = parse_eth_type(&c);
        flow->eth_type = type;
    }
    parse_l3(p, &c, type, flow);
}

bool
key_extract(struct packet *p, struct key *key)
{
    const uint8_t *data = p->data;
    const uint8_t *at = data + 12;
    const uint8_t *end = data + p->size;

    if (UNLIKELY(p->size < ETH_HEADER || p->metadata || p->ct || p->packet_type
                 || p->skb_priority | p->pkt_mark)) {
        return false;
    }
    word64 *w = (word64 *) key;
    memset(key, 0, 64);
    key->in_port = be32_from(p->in_port);
    key->recirc_id = be32_from(p->recirc_id);
    key->dp_hash = be32_from(p->dp_hash);
    memcpy(key->eth_dst, data, 12);

    be16 type = get_be16(at);
    if (eth_type_is_vlan(type)) {
        uint32_t limit = flow_vlan_limit();
        be16 *tag = &key->vlan0_tpid;
        for (uint32_t n = 0; n < limit && eth_type_is_vlan(type)
                             && end - at >= VLAN_HEADER + 2; n++) {
            tag[0] = type;
            tag[1] = get_be16(at + 2) | CONSTANT_BE16(VLAN_PRESENT);
            tag += 2;
            at += VLAN_HEADER;
            type = get_be16(at);
        }
    }
    at += 2;
    key->eth_type = type;
    p->l25_ofs = OFFSET_NONE;
    p->l3_ofs = at - data;

    const uint8_t *l4;
    uint8_t proto;
    if (LIKELY(type == CONSTANT_BE16(ETH_TYPE_IPV4))) {
        if (end - at < IPV4_HEADER || at[0] != 0x45
            || get_be16(at + 6) & CONSTANT_BE16(IPV4_MORE | IPV4_OFFSET)) {
            return false;
        }
        uint32_t total = be16_to(get_be16(at + 2));
        if (total > end - at || total < IPV4_HEADER) {
            return false;
        }
        end = at + total;
        memcpy(&key->nw_src, at + 12, 8);
        key->nw_tos = at[1];
        key->nw_ttl = at[8];
        key->nw_proto = proto = at[9];
        l4 = at + IPV4_HEADER;
    } else if (type == CONSTANT_BE16(ETH_TYPE_IPV6)) {
        if (end - at < IPV6_HEADER) {
            return false;
        }
        uint32_t payload = be16_to(get_be16(at + 4));
        proto = at[6];
        if (payload > end - at - IPV6_HEADER || proto == PROTO_ICMPV6
            || proto == PROTO_HOP_OPTIONS || proto == PROTO_ROUTING
            || proto == PROTO_FRAGMENT || proto == PROTO_AH
            || proto == PROTO_DST_OPTIONS) {
            return false;
        }
        end = at + IPV6_HEADER + payload;
        uint32_t word = be32_to(get_be32(at));
        key->ipv6_label = be32_from(word & 0xfffff);
        key->nw_tos = word >> 20;
        key->nw_ttl = at[7];
        key->nw_proto = proto;
        memcpy(key->ipv6_src, at + 8, 32);
        l4 = at + IPV6_HEADER;
        p->l4_ofs = l4 - data;
        goto l4;
    } else {
        if (be16_to(type) < ETH_TYPE_MIN || eth_type_is_mpls(type)
            || type == CONSTANT_BE16(ETH_TYPE_ARP)
            || type == CONSTANT_BE16(ETH_TYPE_RARP)
            || type == CONSTANT_BE16(ETH_TYPE_NSH)) {
            return false;
        }
        w[8] = w[9] = w[10] = w[11] = 0;
        p->l4_ofs = OFFSET_NONE;
        return true;
    }
    w[8] = w[9] = w[10] = w[11] = 0;
    p->l4_ofs = l4 - data;
    if (UNLIKELY(proto == PROTO_ICMP)) {
        if (end - l4 >= ICMP_HEADER) {
            key->tp_src = be16_from(l4[0]);
            key->tp_dst = be16_from(l4[1]);
        }
        return true;
    } else if (UNLIKELY(proto == PROTO_IGMP)) {
        return false;
    }

l4:
    if (LIKELY(proto == PROTO_UDP)) {
        if (end - l4 >= UDP_HEADER) {
            memcpy(&key->tp_src, l4, 4);
        }
    } else if (proto == PROTO_TCP) {
        if (tcp_is_whole(l4, end - l4)) {
            memcpy(&key->tp_src, l4, 4);
            key->tcp_flags = get_be16(l4 + 12) & CONSTANT_BE16(0x0fff);
        }
    } else if (proto == PROTO_SCTP) {
        if (end - l4 >= SCTP_HEADER) {
            memcpy(&key->tp_src, l4, 4);
        }
    }
    return true;
}

void
key_expand(const struct key *key, struct flow *flow)
{
    memset(flow, 0, sizeof *flow);
    flow->in_port = key->in_port;
    flow->recirc_id = key->recirc_id;
    flow->dp_hash = key->dp_hash;
    memcpy(flow->eth_dst, key->eth_dst, 14);    /* And eth_src, eth_type. */
    memcpy(&flow->vlan0_tpid, &key->vlan0_tpid, 8);
    memcpy(&flow->nw_src, &key->nw_src, 8);
    memcpy(&flow->ipv6_label, &key->ipv6_label, 8);
    flow->tp_src = key->tp_src;
    flow->tp_dst = key->tp_dst;
    flow->tcp_flags = key->tcp_flags;
    memcpy(flow->ipv6_src, key->ipv6_src, 32);  /* And ipv6_dst. */
}

bool
key_project(const struct flow *flow, struct key *key)
{
    memset(key, 0, sizeof *key);
    key->in_port = flow->in_port;
    key->recirc_id = flow->recirc_id;
    key->dp_hash = flow->dp_hash;
    memcpy(key->eth_dst, flow->eth_dst, 12);
    key->eth_type = flow->eth_type;
    memcpy(&key->vlan0_tpid, &flow->vlan0_tpid, 8);
    memcpy(&key->nw_src, &flow->nw_src, 8);
    memcpy(&key->ipv6_label, &flow->ipv6_label, 8);
    key->tp_src = flow->tp_src;
    key->tp_dst = flow->tp_dst;
    key->tcp_flags = flow->tcp_flags;
    memcpy(key->ipv6_src, flow->ipv6_src, 32);

    struct flow back;
    key_expand(key, &back);
    return !memcmp(&back, flow, sizeof back);
}
