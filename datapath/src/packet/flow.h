/* flow.h: from a frame to what it is matched by.
 *
 * Two parsers.  flow_extract() reads any frame into a whole struct flow.
 * key_extract() reads the common ones ('plain': Ethernet, VLANs, IPv4 or IPv6
 * without fragments and extension headers, no tunnel, mark or conntrack state)
 * into a struct key of 96 bytes, of which IPv4 and others use the first 64,
 * and says when a frame is not plain.  key_expand() makes the flow of a key:
 *
 *     key_extract(p, &key)  implies  key_expand(&key) == flow_extract(p)
 *
 * so every bit of the flow of a plain frame is either in the key or zero, and
 * a mask may be projected on keys.
 *
 * Any thread. */
#pragma once

#include "generated/flow.h"
#include "packet/packet.h"

#define KEY_WORDS 12
#define KEY_WORDS_SHORT 8       /* Words 8 to 11 hold IPv6 addresses only. */

struct key {
    be32 in_port, recirc_id;                    /* Word 0. */
    uint8_t eth_dst[6], eth_src[6];             /* Words 1 and 2. */
    be16 eth_type, pad_l2;
    be16 vlan0_tpid, vlan0_tci, vlan1_tpid, vlan1_tci;      /* Word 3. */
    be32 nw_src, nw_dst;                        /* Word 4. */
    be32 ipv6_label;                            /* Word 5. */
    uint8_t nw_frag, nw_tos, nw_ttl, nw_proto;
    be16 tp_src, tp_dst, tcp_flags, pad_l4;     /* Word 6. */
    be32 dp_hash, pad_hash;                     /* Word 7. */
    uint8_t ipv6_src[16], ipv6_dst[16];         /* Words 8 to 11. */
} __attribute__((aligned(16)));

_Static_assert(sizeof(struct key) == KEY_WORDS * 8, "struct key");

/* Most VLAN headers parsed, 1 or 2; the others are payload. */
void flow_set_vlan_limit(uint32_t);
uint32_t flow_vlan_limit(void);

/* Fills '*flow' from the frame and metadata of 'p' and sets the offsets of
 * 'p'. */
void flow_extract(struct packet *p, struct flow *flow);

/* As flow_extract(), into '*key'; false where the frame is not plain (then
 * neither '*key' nor the offsets are to be used). */
bool key_extract(struct packet *p, struct key *key);

void key_expand(const struct key *, struct flow *);

/* Stores the part of 'flow' (or mask) that keys have in '*key' and returns
 * whether it is all of 'flow'. */
bool key_project(const struct flow *flow, struct key *key);

/* Makes a frame whose parse is 'flow', with 'payload_size' bytes after the
 * last header, right lengths and checksums.  Returns its size, or 0 where it
 * does not fit into 'max' bytes. */
uint32_t frame_make(const struct flow *flow, uint32_t payload_size,
                    bool counts, uint8_t *frame, uint32_t max);

static inline word64 *
flow_words(struct flow *flow)
{
    return (word64 *) flow;
}

static inline const word64 *
flow_words_const(const struct flow *flow)
{
    return (const word64 *) flow;
}

static inline const word64 *
key_words(const struct key *key)
{
    return (const word64 *) key;
}
