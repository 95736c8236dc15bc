/* packet.h: the packet descriptor: everything known of a frame but its bytes.
 *
 * What.  A descriptor points at a frame in storage that somebody else owns (a
 * port's receive buffers, an inject ring, a worker's arena) until the end of
 * the burst.  Descriptors are copied freely; a copy shares the frame.  A
 * descriptor whose frame may be seen by another one (an output that is waiting
 * to be sent) is 'shared': packet_edit() moves it to a frame of its own before
 * the first change, and not earlier.
 *
 * Offload state.  As virtio-net headers say it.  'csum_partial': the checksum
 * at csum_start + csum_offset holds the sum of the pseudo-header only and
 * covers everything from csum_start.  'gso_type' not GSO_NONE: the frame is to
 * be cut into segments of 'gso_size' bytes of payload.  A port that cannot
 * take that gets packet_complete()d or segmented frames.
 *
 * Offsets are from 'data'; OFFSET_NONE where the layer is absent.  They are
 * set by packet_parse() and kept by the edits.
 *
 * Thread safety: a descriptor belongs to one worker. */
#pragma once

#include "base/base.h"
#include "generated/flow.h"

#define BURST 32                /* Most packets received at a time. */
#define HEADROOM 128            /* Free bytes in front of received frames. */
#define OFFSET_NONE UINT16_MAX
#define FRAME_MAX 65600         /* Most bytes of a frame: GSO and headers. */

enum gso_type {                 /* As the kernel's VIRTIO_NET_HDR_GSO_*. */
    GSO_NONE = 0,
    GSO_TCPV4 = 1,
    GSO_UDP = 3,
    GSO_TCPV6 = 4,
    GSO_UDP_L4 = 5,
};

struct packet_ct {              /* What conntrack said; all zero: nothing. */
    be32 state, mark;
    uint8_t label[16];
    be16 zone;
    uint8_t nw_proto, pad;
    be16 tp_src, tp_dst;
    be32 nw_src, nw_dst;
    uint8_t ipv6_src[16], ipv6_dst[16];
};

struct packet {
    uint8_t *data;              /* First byte of the frame. */
    uint32_t size;              /* Bytes of the frame. */
    uint16_t l25_ofs;           /* First MPLS label. */
    uint16_t l3_ofs;            /* Network header. */
    uint16_t l4_ofs;            /* Transport header. */
    uint16_t headroom;          /* Free bytes in front of 'data'. */
    uint16_t tailroom;          /* Free bytes after the frame. */
    bool shared;                /* The frame has other readers. */
    bool csum_partial;
    uint16_t csum_start;        /* From 'data'. */
    uint16_t csum_offset;       /* From csum_start. */
    uint16_t gso_size;          /* Payload bytes per segment. */
    uint8_t gso_type;           /* enum gso_type. */
    bool gso_ecn;               /* First segment only has CWR. */
    bool from_injection;        /* Did not come from a wire. */
    be32 packet_type;           /* 0: Ethernet. */
    uint32_t in_port;           /* Datapath port number. */
    uint32_t recirc_id;
    uint32_t dp_hash;
    uint32_t skb_priority;
    uint32_t pkt_mark;
    uint32_t cut;               /* Bytes that the next output leaves off at
                                 * the end. */
    const struct flow *metadata;        /* NULL, or a flow whose tunnel and
                                         * other metadata this frame has. */
    const struct packet_ct *ct; /* NULL: not tracked. */
};

/* Prepares '*p' for a frame of 'size' bytes at 'data' just received. */
static inline void
packet_init(struct packet *p, uint8_t *data, uint32_t size,
            uint16_t headroom, uint32_t in_port)
{
    memset(p, 0, sizeof *p);
    p->data = data;
    p->size = size;
    p->headroom = headroom;
    p->l25_ofs = p->l3_ofs = p->l4_ofs = OFFSET_NONE;
    p->in_port = in_port;
}

static inline bool
packet_is_gso(const struct packet *p)
{
    return p->gso_type != GSO_NONE;
}
