/* flow_hash.h: the hashes that choose among ports and buckets.
 *
 * Which member a flow is given is seen from outside, so these are the
 * reference's hashes and not those of hash.h, which are faster: Bob Jenkins'
 * lookup3 and the mixing of MurmurHash3 (both in the public domain).  A
 * symmetric hash is the same for both directions.
 *
 * Any thread; they only read their arguments. */
#pragma once

#include "generated/flow.h"

uint32_t lookup3_bytes(const void *, size_t n, uint32_t basis);
/* Hashes two words; also the hash of 'x' on a basis of 'y'. */
uint32_t murmur_2words(uint32_t x, uint32_t y);

uint32_t murmur_u64(uint64_t);
uint32_t murmur_bytes(const uint8_t *, size_t n, uint32_t basis);

uint32_t flow_hash_symmetric_l2(const struct flow *, uint32_t basis);
uint32_t flow_hash_symmetric_l3(const struct flow *, uint32_t basis);
uint32_t flow_hash_symmetric_l3l4(const struct flow *, uint32_t basis,
                                  bool with_udp_ports);
uint32_t flow_hash_symmetric_l4(const struct flow *, uint32_t basis);
uint32_t flow_hash_5tuple(const struct flow *, uint32_t basis);
