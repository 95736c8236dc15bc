/* encap.c: ops that add and remove headers: MPLS labels, NSH, Ethernet.  The
 * flow changes at once, the frame at the next commit.
 *
 * Part of a translation; any thread. */
#include "translation/xlate.h"

void
xlate_push_mpls(struct xlate *x, const struct op_push_mpls *op)
{
    unsigned n = flow_n_mpls(&x->flow, x->wc);

    if (!n) {
        xlate_commit(x);
    } else if (n >= MAX_MPLS) {
        if (x->in->frame) {
            REPORT(x, TRACE_MPLS_FULL, MAX_MPLS, 0, 0);
        }
        x->error = DROP_MPLS_DEPTH;
        return;
    }
    flow_push_mpls(&x->flow, n, be16_from(op->eth_type), x->wc, true);
}

void
xlate_pop_mpls(struct xlate *x, const struct op_pop_mpls *op)
{
    unsigned n = flow_n_mpls(&x->flow, x->wc);
    be16 type = be16_from(op->eth_type);

    if (flow_pop_mpls(&x->flow, n, type, x->wc)) {
        if (!eth_type_is_mpls(type)) {
            x->was_mpls = true;
        }
    } else if (n >= MAX_MPLS) {
        if (x->in->frame) {
            REPORT(x, TRACE_MPLS_POP, MAX_MPLS, 0, 0);
        }
        x->error = DROP_MPLS_DEPTH;
        x->actions->buffer.size = 0;
    }
}

#define PACKET_TYPE(ETH_TYPE) be32_from(UINT32_C(1) << 16 | (ETH_TYPE))

static void
refuse_type(struct xlate *x, enum trace_kind kind)
{
    uint32_t type = be32_to(x->flow.packet_type);

    REPORT(x, kind, type >> 16, type & 0xffff, 0);
    x->error = DROP_UNSUPPORTED_TYPE;
}

static void
encap_ethernet(struct xlate *x)
{
    struct flow *flow = &x->flow;
    uint32_t type = be32_to(flow->packet_type);

    MASK_ALL(x, packet_type);
    if (type >> 16 != 1) {
        refuse_type(x, TRACE_ENCAP_ETHERNET_REFUSED);
        return;
    }
    flow->packet_type = 0;
    memset(flow->eth_dst, 0, sizeof flow->eth_dst + sizeof flow->eth_src);
    flow->eth_type = be16_from(type);
}

static void
encap_nsh(struct xlate *x, const struct op_encap *op)
{
    struct flow *flow = &x->flow;
    uint8_t np, md_type = 1;

    MASK_ALL(x, packet_type);
    switch (be32_to(flow->packet_type)) {
    case 0: np = 3; break;
    case 1 << 16 | ETH_TYPE_IPV4: np = 1; break;
    case 1 << 16 | ETH_TYPE_IPV6: np = 2; break;
    case 1 << 16 | ETH_TYPE_NSH: np = 4; break;
    default:
        refuse_type(x, TRACE_ENCAP_NSH_REFUSED);
        return;
    }
    x->encap_size = 0;
    for (uint32_t at = 0; at < op->n; ) {
        const struct encap_property *p = (const void *) (op->tail + at);
        if (p->kind == ENCAP_MD_TYPE) {
            md_type = p->size;
            at += sizeof *p;
        } else {
            uint32_t n = p->size - sizeof *p;
            if (x->encap_size + 4 + n <= sizeof x->encap_data) {
                uint8_t *to = x->encap_data + x->encap_size;
                put_be16(to, be16_from(p->tlv_class));
                to[2] = p->tlv_type;
                to[3] = p->tlv_size;
                memcpy(to + 4, p + 1, n);
                x->encap_size += 4 + n;
            }
            at += p->size;
        }
    }
    memset(flow->eth_dst, 0,
           sizeof *flow - offsetof(struct flow, eth_dst));
    flow->packet_type = PACKET_TYPE(ETH_TYPE_NSH);
    flow->eth_type = CONSTANT_BE16(ETH_TYPE_NSH);
    flow->nsh_ttl = 63;
    flow->nsh_mdtype = md_type & 0xf;
    flow->nsh_np = np;
    flow->nsh_path = be32_from(255);
    if (md_type == 1) {
        x->encap_size = 0;
    }
}

static void
note_add_mpls(struct xlate *x)
{
    if (!(x->pipeline->features & DPF_ADD_MPLS)) {
        x->out->slow_reasons |= SLOW_ACTION;
    }
}

static void
encap_mpls(struct xlate *x, uint32_t packet_type)
{
    struct flow *flow = &x->flow;
    unsigned n = flow_n_mpls(flow, x->wc);
    bool ipv6 = flow->eth_type == CONSTANT_BE16(ETH_TYPE_IPV6);

    MASK_ALL(x, packet_type);
    note_add_mpls(x);
    if (n >= MAX_MPLS) {
        x->error = DROP_MPLS_DEPTH;
        return;
    }
    if (be32_to(flow->packet_type) >> 16 != 1
        || !eth_type_is_mpls(be16_from(be32_to(flow->packet_type)))) {
        memset(flow->mpls_lse, 0,
               sizeof *flow - offsetof(struct flow, mpls_lse));
        flow->eth_type = ipv6 ? CONSTANT_BE16(ETH_TYPE_IPV6) : 0;
    }
    flow_push_mpls(flow, n, be16_from(packet_type), ipv6 ? NULL : x->wc, true);
    flow->packet_type = be32_from(packet_type);
}

void
xlate_encap(struct xlate *x, const struct op_encap *op)
{
    xlate_commit(x);
    switch (op->packet_type) {
    case 0:
        encap_ethernet(x);
        break;
    case 1 << 16 | ETH_TYPE_NSH:
        encap_nsh(x, op);
        break;
    case 1 << 16 | ETH_TYPE_MPLS:
    case 1 << 16 | ETH_TYPE_MPLS_MCAST:
        encap_mpls(x, op->packet_type);
        break;
    default:
        refuse_type(x, TRACE_DECAP_REFUSED);
        break;
    }
    x->pending_encap = !x->error;
}

/* The frame has to be parsed again before anything else is done. */
static void
decap_and_freeze(struct xlate *x)
{
    x->pending_decap = true;
    xlate_freeze(x);
    x->freeze_begun = true;
}

static void
decap_nsh(struct xlate *x)
{
    x->wc->nsh_np = UINT8_MAX;
    switch (x->flow.nsh_np) {
    case 1: x->flow.packet_type = PACKET_TYPE(ETH_TYPE_IPV4); break;
    case 2: x->flow.packet_type = PACKET_TYPE(ETH_TYPE_IPV6); break;
    case 3: x->flow.packet_type = 0; break;
    case 4: x->flow.packet_type = PACKET_TYPE(ETH_TYPE_NSH); break;
    default:
        REPORT(x, TRACE_DECAP_NEXT, x->flow.nsh_np, 0, 0);
        x->error = DROP_UNSUPPORTED_TYPE;
        return;
    }
    decap_and_freeze(x);
}

static void
decap_mpls(struct xlate *x, uint32_t inside)
{
    unsigned n = flow_n_mpls(&x->flow, x->wc);
    be16 type = be16_from(inside ? inside : ETH_TYPE_TEB);

    note_add_mpls(x);
    flow_pop_mpls(&x->flow, n, type, x->wc);
    x->flow.packet_type = inside ? be32_from(inside) : 0;
    if (n == 1) {
        decap_and_freeze(x);
    } else {
        x->pending_decap = true;        /* What is inside is known. */
    }
}

void
xlate_decap(struct xlate *x, const struct op_decap *op)
{
    struct flow *flow = &x->flow;

    xlate_commit(x);
    switch (be32_to(flow->packet_type)) {
    case 0:
        if (flow->vlan0_tci & CONSTANT_BE16(0x1000)) {
            refuse_type(x, TRACE_DECAP_VLAN);
            return;
        }
        /* The commit takes the Ethernet header off. */
        flow->packet_type = PACKET_TYPE(be16_to(flow->eth_type));
        memset(flow->eth_dst, 0, sizeof flow->eth_dst + sizeof flow->eth_src);
        MASK_ALL(x, eth_type);
        break;
    case 1 << 16 | ETH_TYPE_NSH:
        decap_nsh(x);
        break;
    case 1 << 16 | ETH_TYPE_MPLS:
    case 1 << 16 | ETH_TYPE_MPLS_MCAST:
        decap_mpls(x, op->packet_type);
        break;
    default:
        refuse_type(x, TRACE_DECAP_REFUSED);
        break;
    }
}
