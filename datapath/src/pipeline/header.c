/* header.c: a flow as headers are pushed on and popped off its frame, and as
 * the connection tracker forgets it.
 *
 * 'wc' is the mask of bits that mattered, or NULL.  Any thread. */
#include "pipeline/header.h"

#define MPLS_BOS be32_from(0x100)

void
flow_pop_vlan(struct flow *flow, struct flow *wc)
{
    unsigned n = flow_n_vlans(flow);

    if (n > 1) {
        if (wc) {
            memset(&wc->vlan1_tpid, 0xff, 4);
        }
        memcpy(&flow->vlan0_tpid, &flow->vlan1_tpid, 4);
    }
    if (n) {
        memset(n > 1 ? &flow->vlan1_tpid : &flow->vlan0_tpid, 0, 4);
    }
}

/* Makes room for an outer tag, which is zero then. */
void
flow_push_vlan(struct flow *flow, struct flow *wc)
{
    unsigned n = flow_n_vlans(flow);

    if (wc && n) {
        memset(&wc->vlan0_tpid, 0xff, 4 * n);
    }
    memcpy(&flow->vlan1_tpid, &flow->vlan0_tpid, 4);
    memset(&flow->vlan0_tpid, 0, 4);
}

unsigned
flow_n_mpls(const struct flow *flow, struct flow *wc)
{
    unsigned n = 0;

    if (!eth_type_is_mpls(flow->eth_type)) {
        return 0;
    }
    for (unsigned i = 0; i < MAX_MPLS; i++) {
        if (wc) {
            wc->mpls_lse[i] |= MPLS_BOS;
        }
        if (flow->mpls_lse[i] & MPLS_BOS) {
            return i + 1;
        }
        n += flow->mpls_lse[i] != 0;
    }
    return n;
}

bool
flow_push_mpls(struct flow *flow, unsigned n, be16 eth_type, struct flow *wc,
               bool clear_l3)
{
    if (n) {
        if (n >= MAX_MPLS) {
            return false;
        }
        if (wc) {
            memset(wc->mpls_lse, 0xff, n * 4);
        }
        memmove(&flow->mpls_lse[1], &flow->mpls_lse[0], n * 4);
        flow->mpls_lse[0] = flow->mpls_lse[1] & ~MPLS_BOS;
    } else {
        uint32_t label = 0, tc = 0;     /* IPv4 explicit null. */
        uint8_t ttl = 64;
        if (flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6)) {
            label = 2;                  /* IPv6 explicit null. */
        }
        if (is_ip(flow)) {
            tc = (flow->nw_tos & 0xfc) >> 2;
            if (wc) {
                wc->nw_tos |= 0xfc;
                wc->nw_ttl = 0xff;
            }
            if (flow->nw_ttl) {
                ttl = flow->nw_ttl;
            }
        }
        flow->mpls_lse[0] = be32_from(label << 12 | (tc & 7) << 9 | 0x100
                                      | ttl);
        if (clear_l3) {
            /* Nothing behind the labels can be seen any more. */
            memset(&flow->nw_src, 0, sizeof *flow
                   - offsetof(struct flow, nw_src));
        }
    }
    flow->eth_type = eth_type;
    return true;
}

bool
flow_pop_mpls(struct flow *flow, unsigned n, be16 eth_type, struct flow *wc)
{
    if (!n) {
        return false;
    }
    if (n == MAX_MPLS) {
        if (wc) {
            wc->mpls_lse[n - 1] |= MPLS_BOS;
        }
        if (!(flow->mpls_lse[n - 1] & MPLS_BOS)) {
            return false;       /* What comes up behind is not known. */
        }
    }
    if (n > 1 && wc) {
        memset(&wc->mpls_lse[1], 0xff, (n - 1) * 4);
    }
    memmove(&flow->mpls_lse[0], &flow->mpls_lse[1], (n - 1) * 4);
    flow->mpls_lse[n - 1] = 0;
    flow->eth_type = eth_type;
    return true;
}

void
flow_clear_conntrack(struct flow *flow)
{
    flow->ct_state = 0;
    flow->ct_zone = 0;
    flow->ct_mark = 0;
    memset(flow->ct_label, 0, sizeof flow->ct_label);
    flow->ct_nw_proto = 0;
    flow->ct_nw_src = flow->ct_nw_dst = 0;
    flow->ct_tp_src = flow->ct_tp_dst = 0;
    memset(flow->ct_ipv6_src, 0, sizeof flow->ct_ipv6_src);
    memset(flow->ct_ipv6_dst, 0, sizeof flow->ct_ipv6_dst);
}
