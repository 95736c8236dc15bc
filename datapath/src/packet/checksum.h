/* checksum.h: Internet checksums (RFC 1071, 1624) and CRC32c (RFC 9260 B).
 *
 * A 'sum' is a one's complement sum that is not yet folded; a 'checksum' is
 * what a header holds.  Any thread. */
#pragma once

#include "packet/packet.h"

/* Adds 'n' bytes at 'p' to 'sum'; all but the last piece of a sum must have an
 * even number of bytes. */
uint64_t checksum_add(uint64_t sum, const void *p, uint32_t n);

static inline be16
checksum_fold(uint64_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static inline be16
checksum_finish(uint64_t sum)
{
    return ~checksum_fold(sum);
}

/* Sum of the pseudo-header of the IP header at 'ip' (version 4 or 6) for
 * 'size' bytes of 'proto'. */
uint64_t checksum_pseudo(const uint8_t *ip, bool is_ipv6, uint8_t proto,
                         uint32_t size);

/* Returns 'checksum' after 'n' bytes (even, at an even offset) that it covers
 * changed from 'old' to 'new'. */
be16 checksum_update(be16 checksum, const void *old, const void *new,
                     uint32_t n);

be32 crc32c(const uint8_t *, uint32_t n);

/* Writes the IPv4 header checksum of the 'size' bytes at 'ip'. */
void checksum_ipv4_header(uint8_t *ip, uint32_t size);

/* Computes the transport checksum of a parsed frame anew (TCP, UDP, SCTP,
 * ICMP, ICMPv6, IGMP).  Not for fragments. */
void checksum_transport(struct packet *);

/* Writes the checksum that is only partial. */
void packet_complete(struct packet *);
