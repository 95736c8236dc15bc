/* compose.c: frame_make() of flow.h, the parser's inverse. */
#include "packet/flow.h"

#include "packet/checksum.h"
#include "packet/header.h"

struct maker {
    uint8_t *frame;
    uint32_t size, max;
    bool counts;                /* Payload bytes count up. */
    bool full;                  /* Did not fit. */
};

static uint8_t *
put(struct maker *m, const void *bytes, uint32_t n)
{
    if (m->full || n > m->max - m->size) {
        m->full = true;
        return NULL;
    }
    uint8_t *p = m->frame + m->size;
    if (bytes) {
        memcpy(p, bytes, n);
    } else {
        memset(p, 0, n);
    }
    m->size += n;
    return p;
}

static void
put_payload(struct maker *m, uint32_t n)
{
    uint8_t *p = put(m, NULL, n);
    for (uint32_t i = 0; m->counts && p && i < n; i++) {
        p[i] = i;
    }
}

static bool
bytes_are_zero(const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

static void
put_nd(struct maker *m, const struct flow *flow)
{
    put(m, flow->nd_target, 16);
    uint8_t first = flow->nd_options_type == ND_TLL ? ND_TLL : ND_SLL;
    for (int i = 0; i < 2; i++) {
        uint8_t type = i ? ND_SLL + ND_TLL - first : first;
        const uint8_t *mac = type == ND_SLL ? flow->arp_sha : flow->arp_tha;
        if (!bytes_are_zero(mac, 6) || flow->nd_options_type == type) {
            uint8_t head[2] = { type, 1 };
            put(m, head, 2);
            put(m, mac, 6);
        }
    }
}

static void
put_l4(struct maker *m, const struct flow *flow, bool is_ipv4,
       uint32_t payload_size)
{
    uint8_t *h;

    if (flow->nw_frag & FRAG_LATER) {
        put_payload(m, payload_size);
        return;
    }
    switch (flow->nw_proto) {
    case PROTO_TCP:
        h = put(m, NULL, TCP_HEADER);
        if (h) {
            put_be16(h, flow->tp_src);
            put_be16(h + 2, flow->tp_dst);
            put_be16(h + 12, flow->tcp_flags | CONSTANT_BE16(0x5000));
        }
        break;
    case PROTO_UDP:
        h = put(m, NULL, UDP_HEADER);
        if (h) {
            put_be16(h, flow->tp_src);
            put_be16(h + 2, flow->tp_dst);
            put_be16(h + 4, be16_from(UDP_HEADER + payload_size));
        }
        break;
    case PROTO_SCTP:
        h = put(m, NULL, SCTP_HEADER);
        if (h) {
            put_be16(h, flow->tp_src);
            put_be16(h + 2, flow->tp_dst);
        }
        break;
    case PROTO_ICMP:
    case PROTO_IGMP:
        if (is_ipv4) {
            h = put(m, NULL, ICMP_HEADER);
            if (h) {
                h[0] = be16_to(flow->tp_src);
                h[1] = be16_to(flow->tp_dst);
                if (flow->nw_proto == PROTO_IGMP) {
                    put_be32(h + 4, flow->igmp_group);
                }
            }
        }
        break;
    case PROTO_ICMPV6:
        if (!is_ipv4) {
            uint8_t type = be16_to(flow->tp_src), code = be16_to(flow->tp_dst);
            h = put(m, NULL, ICMP_HEADER);
            if (h) {
                h[0] = type;
                h[1] = code;
                if (!code && (type == ND_SOLICIT || type == ND_ADVERT)) {
                    put_be32(h + 4, flow->nd_reserved);
                    put_nd(m, flow);
                    return;     /* A payload would be read as options. */
                }
            }
        }
        break;
    }
    put_payload(m, payload_size);
}

uint32_t
frame_make(const struct flow *flow, uint32_t payload_size, bool counts,
           uint8_t *frame, uint32_t max)
{
    struct maker m = { frame, 0, max, counts, false };
    struct packet p;
    be16 type = flow->eth_type;
    uint32_t l3, l4 = 0;

    packet_init(&p, frame, 0, 0, 0);
    if (!flow->packet_type) {
        put(&m, flow->eth_dst, 6);
        put(&m, flow->eth_src, 6);
        const be16 *tag = &flow->vlan0_tpid;
        for (int n = 0; n < 2; n++, tag += 2) {
            if (tag[1] & CONSTANT_BE16(VLAN_PRESENT)) {
                be16 tpid = tag[0] ? tag[0] : CONSTANT_BE16(ETH_TYPE_VLAN);
                /* On the wire that bit is the drop eligible indicator. */
                be16 tci = tag[1] & ~CONSTANT_BE16(VLAN_PRESENT);
                put(&m, &tpid, 2);
                put(&m, &tci, 2);
            }
        }
        if (type == CONSTANT_BE16(ETH_TYPE_NONE) || !type) {
            /* No type: a length, which Open vSwitch lets count all. */
            uint32_t size = m.size + 2 + payload_size;
            be16 length = be16_from(MIN(size, ETH_TYPE_MIN - 1));
            put(&m, &length, 2);
            put_payload(&m, payload_size);
            return m.full ? 0 : m.size;
        }
        put(&m, &type, 2);
    } else {
        type = be16_from(be32_to(flow->packet_type));
    }

    if (eth_type_is_mpls(type)) {
        bool bottom = false;
        for (int n = 0; n < 3 && !bottom && (!n || flow->mpls_lse[n]); n++) {
            put(&m, &flow->mpls_lse[n], 4);
            bottom = be32_to(flow->mpls_lse[n]) & 0x100;
        }
        if (!bottom) {          /* More labels than are matched by. */
            be32 last = be32_from(0x100);
            put(&m, &last, 4);
        }
        put_payload(&m, payload_size);
        return m.full ? 0 : m.size;
    }

    l3 = m.size;
    switch (be16_to(type)) {
    case ETH_TYPE_IPV4: {
        uint8_t *h = put(&m, NULL, IPV4_HEADER);
        if (!h) {
            break;
        }
        h[0] = 0x45;
        h[1] = flow->nw_tos;
        if (flow->nw_frag & FRAG_ANY) {
            put_be16(h + 6, be16_from(flow->nw_frag & FRAG_LATER
                                      ? IPV4_MORE | 100 : IPV4_MORE));
        }
        h[8] = flow->nw_ttl;
        h[9] = flow->nw_proto;
        put_be32(h + 12, flow->nw_src);
        put_be32(h + 16, flow->nw_dst);
        l4 = m.size;
        put_l4(&m, flow, true, payload_size);
        if (m.full || m.size - l3 > UINT16_MAX) {
            return 0;
        }
        put_be16(frame + l3 + 2, be16_from(m.size - l3));
        checksum_ipv4_header(frame + l3, IPV4_HEADER);
        break;
    }
    case ETH_TYPE_IPV6: {
        uint8_t *h = put(&m, NULL, IPV6_HEADER);
        if (!h) {
            break;
        }
        put_be32(h, be32_from(UINT32_C(6) << 28 | flow->nw_tos << 20)
                    | flow->ipv6_label);
        h[6] = flow->nw_proto;
        h[7] = flow->nw_ttl;
        memcpy(h + 8, flow->ipv6_src, 16);
        memcpy(h + 24, flow->ipv6_dst, 16);
        if (flow->nw_frag & FRAG_ANY) {
            bool later = flow->nw_frag & FRAG_LATER;
            uint8_t extension[8] = { flow->nw_proto };
            put_be16(extension + 2, be16_from(later ? 100 << 3 | 1 : 1));
            if (later) {
                extension[0] = PROTO_UDP;
            }
            h[6] = PROTO_FRAGMENT;
            put(&m, extension, 8);
        }
        l4 = m.size;
        put_l4(&m, flow, false, payload_size);
        if (m.full || m.size - l3 - IPV6_HEADER > UINT16_MAX) {
            return 0;
        }
        put_be16(frame + l3 + 4, be16_from(m.size - l3 - IPV6_HEADER));
        break;
    }
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP: {
        static const uint8_t head[6] = { 0, 1, 8, 0, 6, 4 };
        be16 operation = be16_from(flow->nw_proto);
        put(&m, head, 6);
        put(&m, &operation, 2);
        put(&m, flow->arp_sha, 6);
        put(&m, &flow->nw_src, 4);
        put(&m, flow->arp_tha, 6);
        put(&m, &flow->nw_dst, 4);
        break;
    }
    case ETH_TYPE_NSH: {
        uint8_t *h = put(&m, NULL, NSH_HEADER);
        if (h) {
            uint32_t size = flow->nsh_mdtype == 1 ? 24 : NSH_HEADER;
            put_be16(h, be16_from((flow->nsh_flags & 3) << 12
                                  | (flow->nsh_ttl & 0x3f) << 6 | size / 4));
            h[2] = flow->nsh_mdtype;
            h[3] = flow->nsh_np;
            put_be32(h + 4, flow->nsh_path);
            if (flow->nsh_mdtype == 1) {
                put(&m, flow->nsh_c, 16);
            }
        }
        put_payload(&m, payload_size);
        break;
    }
    default:
        put_payload(&m, payload_size);
    }
    if (m.full) {
        return 0;
    }
    if (l4 && !(flow->nw_frag & FRAG_LATER) && flow->nw_proto != PROTO_SCTP) {
        p.size = m.size;
        p.l3_ofs = l3;
        p.l4_ofs = l4;
        checksum_transport(&p);
    }
    return m.size;
}
