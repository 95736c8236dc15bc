/* header.h: numbers of the headers that the parser and the edits know.
 *
 * Headers are read at byte offsets with get_be16() and friends, since frames
 * are not aligned.  Sources: IEEE 802.1Q, RFC 791, 826, 3032, 4861, 8200,
 * 8300, 9260, 9293. */
#pragma once

#include "base/base.h"

enum {
    ETH_HEADER = 14, VLAN_HEADER = 4, MPLS_HEADER = 4, ARP_HEADER = 28,
    IPV4_HEADER = 20, IPV6_HEADER = 40, TCP_HEADER = 20, UDP_HEADER = 8,
    SCTP_HEADER = 12, ICMP_HEADER = 8, IGMP_HEADER = 8, NSH_HEADER = 8,
};

enum {
    ETH_TYPE_MIN = 0x0600,      /* Smaller: a length, not a type. */
    ETH_TYPE_NONE = 0x05ff,     /* In struct flow: 802.2 without SNAP. */
    ETH_TYPE_IPV4 = 0x0800,
    ETH_TYPE_ARP = 0x0806,
    ETH_TYPE_TEB = 0x6558,
    ETH_TYPE_RARP = 0x8035,
    ETH_TYPE_VLAN = 0x8100,
    ETH_TYPE_IPV6 = 0x86dd,
    ETH_TYPE_MPLS = 0x8847,
    ETH_TYPE_MPLS_MCAST = 0x8848,
    ETH_TYPE_QINQ = 0x88a8,
    ETH_TYPE_NSH = 0x894f,
};

enum {
    PROTO_HOP_OPTIONS = 0, PROTO_ICMP = 1, PROTO_IGMP = 2, PROTO_TCP = 6,
    PROTO_UDP = 17, PROTO_ROUTING = 43, PROTO_FRAGMENT = 44, PROTO_AH = 51,
    PROTO_ICMPV6 = 58, PROTO_DST_OPTIONS = 60, PROTO_SCTP = 132,
};

enum { ND_SOLICIT = 135, ND_ADVERT = 136, ND_SLL = 1, ND_TLL = 2 };
enum { FRAG_ANY = 1, FRAG_LATER = 2 };          /* Of nw_frag. */
enum { VLAN_PRESENT = 0x1000 };                 /* Of a vlan tci. */
enum { IPV4_MORE = 0x2000, IPV4_OFFSET = 0x1fff };
enum { TCP_CWR = 0x80, TCP_FIN = 0x01, TCP_PSH = 0x08 };

static inline bool
eth_type_is_vlan(be16 type)
{
    return type == CONSTANT_BE16(ETH_TYPE_VLAN)
           || type == CONSTANT_BE16(ETH_TYPE_QINQ);
}

static inline bool
eth_type_is_mpls(be16 type)
{
    return type == CONSTANT_BE16(ETH_TYPE_MPLS)
           || type == CONSTANT_BE16(ETH_TYPE_MPLS_MCAST);
}
