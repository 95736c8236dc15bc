/* edit.h: changes to a frame that keep its offsets and checksums right.
 *
 * packet_own() comes first: it makes the frame this descriptor's own, with
 * room for new headers in front.  The edits need the offsets of the last parse
 * and move them.  An edit of a header that the frame does not have does
 * nothing.
 *
 * A partial checksum stays partial: the pseudo-header's sum is corrected.
 * Owner: one worker. */
#pragma once

#include "packet/arena.h"
#include "packet/packet.h"

/* Moves the frame of '*p' into 'arena' where it is shared or has less than
 * 'room' free bytes in front.  Returns false (and leaves it) where it is too
 * large to move. */
bool packet_own_slow(struct packet *p, struct arena *, uint32_t room);

static inline bool
packet_own(struct packet *p, struct arena *arena, uint32_t room)
{
    return LIKELY(!p->shared && p->headroom >= room)
           || packet_own_slow(p, arena, room);
}

/* Insert or remove 'n' bytes at offset 'at', moving what lies before. */
void edit_insert(struct packet *, uint32_t at, uint32_t n);
void edit_remove(struct packet *, uint32_t at, uint32_t n);

/* The EtherType in front of the network (or MPLS) header; 0: none. */
be16 packet_eth_type(const struct packet *);

void edit_push_vlan(struct packet *, be16 tpid, be16 tci);
void edit_pop_vlan(struct packet *);
void edit_push_mpls(struct packet *, be16 eth_type, be32 lse);
void edit_add_mpls(struct packet *, be16 eth_type, be32 lse, bool at_front);
void edit_pop_mpls(struct packet *, be16 eth_type);
void edit_push_eth(struct packet *, const uint8_t dst[6],
                   const uint8_t src[6]);
void edit_pop_eth(struct packet *);

/* What lies at the network header, by what it says itself. */
enum network { NETWORK_NONE, NETWORK_IPV4, NETWORK_IPV6, NETWORK_ARP };
enum network packet_network(const struct packet *);

/* Returns the protocol of the transport header and stores its offset's
 * checksum field in '*checksum' (NULL: it has none); -1 where the frame has no
 * transport header (also a later fragment). */
int packet_transport(const struct packet *, uint8_t **checksum);

/* Writes 'n' bytes (even, at an even offset from the header's start). */
void edit_ipv4_header(struct packet *, uint32_t offset, const void *new,
                      uint32_t n);
/* As above for addresses, which the transport checksum covers too. */
void edit_address(struct packet *, uint32_t offset, const void *new,
                  uint32_t n);
void edit_transport(struct packet *, uint32_t offset, const void *new,
                    uint32_t n);

/* Bytes that the frame, or the largest segment of it, has behind its link
 * header ('layer 3 size'), and on the wire. */
uint32_t packet_l3_size(const struct packet *);
uint32_t packet_segment_size(const struct packet *);

/* Cuts a GSO frame into segments. */
struct segmenter {
    const struct packet *whole;
    uint32_t header_size;       /* Link to transport header. */
    uint32_t payload_size;      /* Not yet sent. */
    uint32_t n_done;
    bool is_tcp, is_ipv6;
};

/* Prepares; false where 'p' is not what its gso_type says. */
bool segmenter_init(struct segmenter *, const struct packet *p);

/* Makes the next segment, with complete checksums, in 'arena'; false: all
 * done. */
bool segmenter_next(struct segmenter *, struct arena *, struct packet *out);
