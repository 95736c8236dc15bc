/* vnet.h: offload state in the form that Linux devices speak it.
 *
 * Packet sockets with PACKET_VNET_HDR and taps with IFF_VNET_HDR put a
 * virtio-net header in front of every frame: whether its checksum is to be
 * completed and how it is to be cut.  Frames of 64 kB cross the switch whole.
 *
 * Source: virtio 1.2 section 5.1.6, packet(7), linux/virtio_net.h. */
#pragma once

#include <linux/virtio_net.h>
#include <sys/mman.h>

#include "packet/packet.h"

#define VNET_SIZE 10            /* Of the header without num_buffers. */
#define VNET_BUFFER (HEADROOM + FRAME_MAX + 1 + 128)
#define VNET_TAILROOM 64

_Static_assert(sizeof(struct virtio_net_hdr) == VNET_SIZE, "virtio_net_hdr");

/* Takes over what the header says of a frame of which 'p' knows the bytes.
 * Returns false where it contradicts the frame. */
static inline bool
vnet_read(const struct virtio_net_hdr *h, struct packet *p)
{
    uint8_t gso = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        if ((uint32_t) h->csum_start + h->csum_offset + 2 > p->size) {
            return false;
        }
        p->csum_partial = true;
        p->csum_start = h->csum_start;
        p->csum_offset = h->csum_offset;
    }
    if (UNLIKELY(gso != VIRTIO_NET_HDR_GSO_NONE)) {
        if (!h->gso_size) {
            return false;
        }
        p->gso_type = gso;
        p->gso_size = h->gso_size;
        p->gso_ecn = (h->gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0;
    }
    return true;
}

/* Writes the header of '*p'. */
static inline void
vnet_write(struct virtio_net_hdr *h, const struct packet *p)
{
    memset(h, 0, sizeof *h);
    if (p->csum_partial) {
        h->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h->csum_start = p->csum_start;
        h->csum_offset = p->csum_offset;
    }
    if (UNLIKELY(packet_is_gso(p))) {
        h->gso_type = p->gso_type | (p->gso_ecn ? VIRTIO_NET_HDR_GSO_ECN : 0);
        h->gso_size = p->gso_size;
        if (p->l4_ofs != OFFSET_NONE && p->l4_ofs + 20u <= p->size) {
            bool is_tcp = p->gso_type == GSO_TCPV4
                          || p->gso_type == GSO_TCPV6;
            h->hdr_len = p->l4_ofs + (is_tcp ? (p->data[p->l4_ofs + 12] >> 4)
                                               * 4 : 8);
        }
    }
}

/* Puts an 802.1Q tag that the kernel took off back into the frame, which has
 * headroom; csum_start moves along. */
static inline void
vnet_put_tag(struct packet *p, uint16_t tpid, uint16_t tci)
{
    be16 tag[2] = { be16_from(tpid), be16_from(tci) };
    p->data -= 4;
    p->headroom -= 4;
    p->size += 4;
    memmove(p->data, p->data + 4, 12);
    memcpy(p->data + 12, tag, sizeof tag);
    p->csum_start += 4;
}

/* Reserves 'n' receive buffers; their pages come into being when first used.
 * NULL with errno. */
static inline uint8_t *
vnet_buffers(uint32_t n)
{
    void *p = mmap(NULL, (size_t) n * VNET_BUFFER, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}
