/* checksum.c: see checksum.h. */
#include "packet/checksum.h"

#include "packet/header.h"

uint64_t
checksum_add(uint64_t sum, const void *p_, uint32_t n)
{
    const uint8_t *p = p_;

    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word = get_u64(p);
        sum += word;
        sum += sum < word;              /* End-around carry. */
    }
    uint64_t last = 0;
    if (n) {
        memcpy(&last, p, n);
        sum += last;
        sum += sum < last;
    }
    return sum;
}

uint64_t
checksum_pseudo(const uint8_t *ip, bool is_ipv6, uint8_t proto, uint32_t size)
{
    struct { be32 size; uint8_t zero[3], proto; } tail
        = { be32_from(size), { 0, 0, 0 }, proto };
    uint64_t sum = (is_ipv6 ? checksum_add(0, ip + 8, 32)
                    : checksum_add(0, ip + 12, 8));
    return checksum_add(sum, &tail, sizeof tail);
}

be16
checksum_update(be16 checksum, const void *old, const void *new, uint32_t n)
{
    const uint8_t *a = old, *b = new;
    uint64_t sum = (be16) ~checksum;

    for (uint32_t i = 0; i < n; i += 2) {
        sum += (be16) ~get_be16(a + i);
        sum += get_be16(b + i);
    }
    return checksum_finish(sum);
}

static uint32_t crc_table[256];

static void __attribute__((constructor))
crc_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
        }
        crc_table[i] = crc;
    }
}

/* The result is stored in little-endian order on the wire. */
be32
crc32c(const uint8_t *p, uint32_t n)
{
    uint32_t crc = UINT32_MAX;
    while (n--) {
        crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 255];
    }
    return be32_from(__builtin_bswap32(~crc));
}

void
checksum_ipv4_header(uint8_t *ip, uint32_t size)
{
    put_be16(ip + 10, 0);
    put_be16(ip + 10, checksum_finish(checksum_add(0, ip, size)));
}

void
checksum_transport(struct packet *p)
{
    if (p->l3_ofs == OFFSET_NONE || p->l4_ofs == OFFSET_NONE) {
        return;
    }
    uint8_t *ip = p->data + p->l3_ofs;
    uint8_t *l4 = p->data + p->l4_ofs;
    bool is_ipv6 = ip[0] >> 4 == 6;
    uint32_t end = (is_ipv6 ? IPV6_HEADER + be16_to(get_be16(ip + 4))
                    : be16_to(get_be16(ip + 2)));
    uint32_t skip = p->l4_ofs - p->l3_ofs;
    if (end < skip || p->l3_ofs + end > p->size) {
        return;
    }
    uint32_t size = end - skip;
    uint8_t proto = is_ipv6 ? ip[6] : ip[9];
    if (is_ipv6) {              /* The last extension header names it. */
        uint32_t at = IPV6_HEADER;
        while (at < skip) {
            uint8_t next = ip[at];
            at += (proto == PROTO_AH ? (ip[at + 1] + 2) * 4
                   : proto == PROTO_FRAGMENT ? 8 : (ip[at + 1] + 1) * 8);
            proto = next;
        }
    }

    uint32_t offset;
    switch (proto) {
    case PROTO_TCP:
        offset = size >= TCP_HEADER ? 16 : 0;
        break;
    case PROTO_UDP:
        offset = size >= UDP_HEADER ? 6 : 0;
        break;
    case PROTO_ICMPV6:
        offset = is_ipv6 && size >= 4 ? 2 : 0;
        break;
    case PROTO_ICMP:
    case PROTO_IGMP:
        if (!is_ipv6 && size >= ICMP_HEADER) {
            put_be16(l4 + 2, 0);
            put_be16(l4 + 2, checksum_finish(checksum_add(0, l4, size)));
        }
        return;
    case PROTO_SCTP:
        if (size >= SCTP_HEADER) {
            put_be32(l4 + 8, 0);
            put_be32(l4 + 8, crc32c(l4, size));
        }
        return;
    default:
        return;
    }
    if (offset) {
        put_be16(l4 + offset, 0);
        uint64_t sum = checksum_pseudo(ip, is_ipv6, proto, size);
        be16 checksum = checksum_finish(checksum_add(sum, l4, size));
        if (proto == PROTO_UDP && !checksum) {
            checksum = 0xffff;
        }
        put_be16(l4 + offset, checksum);
    }
}

void
packet_complete(struct packet *p)
{
    if (!p->csum_partial) {
        return;
    }
    uint32_t at = p->csum_start + p->csum_offset;
    if (at + 2 <= p->size) {
        /* The field already holds the sum of the pseudo-header. */
        be16 checksum = checksum_finish(
            checksum_add(0, p->data + p->csum_start,
                         p->size - p->csum_start));
        if (p->csum_offset == 6 && !checksum) {
            checksum = 0xffff;          /* UDP: 0 means none. */
        }
        put_be16(p->data + at, checksum);
    }
    p->csum_partial = false;
}
