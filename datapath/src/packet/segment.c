/* segment.c: the segmenter of edit.h: TCP over IPv4 and IPv6, and UDP. */
#include "packet/edit.h"

#include "packet/checksum.h"
#include "packet/header.h"

bool
segmenter_init(struct segmenter *s, const struct packet *p)
{
    uint8_t *checksum;
    struct packet copy = *p;
    int proto = packet_transport(&copy, &checksum);
    uint32_t l4_size;

    *s = (struct segmenter) { .whole = p };
    s->is_ipv6 = packet_network(p) == NETWORK_IPV6;
    s->is_tcp = p->gso_type == GSO_TCPV4 || p->gso_type == GSO_TCPV6;
    if (!p->gso_size || proto != (s->is_tcp ? PROTO_TCP : PROTO_UDP)
        || (!s->is_tcp && p->gso_type != GSO_UDP_L4)) {
        return false;
    }
    l4_size = s->is_tcp ? (p->data[p->l4_ofs + 12] >> 4) * 4 : UDP_HEADER;
    s->header_size = p->l4_ofs + l4_size;
    if ((s->is_tcp && l4_size < TCP_HEADER) || s->header_size > p->size) {
        return false;
    }
    s->payload_size = p->size - s->header_size;
    return true;
}

bool
segmenter_next(struct segmenter *s, struct arena *arena, struct packet *out)
{
    const struct packet *p = s->whole;
    uint32_t total = p->size - s->header_size;
    uint32_t done = total - s->payload_size;

    if (s->n_done && !s->payload_size) {
        return false;
    }
    uint32_t n = MIN(s->payload_size, p->gso_size);
    uint32_t size = s->header_size + n;
    bool is_last = n == s->payload_size;

    *out = *p;
    out->data = (uint8_t *) arena_take(arena, HEADROOM + size + 64) + HEADROOM;
    out->headroom = HEADROOM;
    out->tailroom = 64;
    out->size = size;
    out->shared = false;
    out->csum_partial = false;
    out->gso_type = GSO_NONE;
    out->gso_size = 0;
    memcpy(out->data, p->data, s->header_size);
    memcpy(out->data + s->header_size, p->data + s->header_size + done, n);

    uint8_t *ip = out->data + out->l3_ofs;
    uint8_t *l4 = out->data + out->l4_ofs;
    uint32_t l3_size = size - out->l3_ofs;
    if (s->is_ipv6) {
        put_be16(ip + 4, be16_from(l3_size - IPV6_HEADER));
    } else {
        put_be16(ip + 2, be16_from(l3_size));
        put_be16(ip + 4, be16_from(be16_to(get_be16(ip + 4)) + s->n_done));
        checksum_ipv4_header(ip, (ip[0] & 15) * 4);
    }
    if (s->is_tcp) {
        put_be32(l4 + 4, be32_from(be32_to(get_be32(l4 + 4)) + done));
        if (!is_last) {
            l4[13] &= ~(TCP_FIN | TCP_PSH);
        }
        if (s->n_done) {
            l4[13] &= ~TCP_CWR;
        }
    } else {
        put_be16(l4 + 4, be16_from(size - out->l4_ofs));
    }
    checksum_transport(out);
    s->n_done++;
    s->payload_size -= n;
    return true;
}
