/* header.h: a flow as headers are pushed on and popped off its frame, and as
 * the connection tracker forgets it.
 *
 * 'wc' is the mask of bits that mattered, or NULL.  Any thread; touches only
 * its arguments. */
#pragma once

#include "pipeline/private.h"

#define MAX_MPLS 3              /* Labels that a flow has room for. */

static inline bool
is_ip(const struct flow *flow)
{
    return flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV4)
           || flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6);
}

static inline unsigned
flow_n_vlans(const struct flow *flow)
{
    return !(flow->vlan0_tci & CONSTANT_BE16(0x1000)) ? 0
           : !(flow->vlan1_tci & CONSTANT_BE16(0x1000)) ? 1 : 2;
}
void flow_pop_vlan(struct flow *, struct flow *wc);
/* Makes room for an outer tag, which is zero then. */
void flow_push_vlan(struct flow *, struct flow *wc);
unsigned flow_n_mpls(const struct flow *, struct flow *wc);
bool flow_pop_mpls(struct flow *, unsigned n, be16 eth_type,
                   struct flow *wc);
bool flow_push_mpls(struct flow *, unsigned n, be16 eth_type,
                    struct flow *wc, bool clear_l3);
void flow_clear_conntrack(struct flow *);
